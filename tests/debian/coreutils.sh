# packages: coreutils grep sed findutils
mkdir -p tree/{a,b}/{c,d}; touch tree/a/c/{1..9}; ln -s ../a tree/b/link
find tree | sort; find tree -type l -printf '%p -> %l\n'
ls -lR --time-style=+ tree | sed 's/  */ /g' | grep -v '^total' | cut -d' ' -f1,2,5-
seq 1000 | shuf --random-source=<(yes) | sort -n | md5sum
seq 100 | factor | tail -n 4; echo 2305843009213693951 | factor
head -c 100000 < <(yes abc) | tee >(sha512sum > sum) | b2sum; sleep 0.1; cat sum
date -u -d @1700000000; date -u -d '2024-02-29 + 1 year' +%F
stat -c '%n %s %F' tree/b/link sum; df / > /dev/null && echo df
timeout 0.2 sleep 5; echo "timeout $?"; nproc > /dev/null && echo nproc
printf '%5.2f|%-8s|%x\n' 3.14159 left 255; numfmt --to=iec 123456789
cp -a tree copy && diff -r tree copy && rm -r copy && echo copied
split -l 100 <(seq 1000) part. && ls part.* | wc -l && cat part.* | tail -n 1
env -i A=1 env; od -An -tx1 <<< text; base64 <<< 'some text' | base64 -d
mkfifo pipe; (echo through > pipe &); cat pipe; realpath tree/b/link; readlink tree/b/link
stdbuf -oL echo lined; nice -n 5 nice; tac <(seq 3); paste -s -d+ <(seq 4)
