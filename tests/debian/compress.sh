# packages: xz-utils zstd gzip bzip2
for i in $(seq 3000); do echo "line $i of $((i * i)) and $((i * 7919 % 1000))"; done > text
for tool in 'xz -T1' 'xz -T2 -3' 'zstd -q' 'zstd -q -19 -T2' 'gzip -n' 'bzip2'; do
    $tool < text > packed; $tool -d < packed | cmp - text && echo "$tool: $(wc -c < packed) $(md5sum < packed)"
done
xz -k text && xz --robot -l text.xz | head -n 2 | cut -f1-5; head -c 100 text.xz | xz -d 2>&1 > /dev/null; echo "status $?"
zstd -q --train text -B100 -o dictionary --maxdict=1000 2>&1 | tail -n 1; zstd -b1 -e2 -i1 -q text > /dev/null 2>&1; echo "bench $?"
