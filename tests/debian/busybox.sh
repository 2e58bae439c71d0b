# packages: busybox
for applet in ls wc sort uniq; do ln -s /bin/busybox $applet; done
seq=$(busybox seq 1 200)
echo "$seq" | ./sort -r | busybox head -n 5
echo "$seq" | busybox awk '{ total += $1 * $1 } END { print total, sqrt(total) }'
busybox printf '%s\n' b a c a | ./sort | ./uniq -c
busybox echo text > file && busybox sha256sum file && busybox md5sum file
busybox tar cf file.tar file && busybox tar tf file.tar && busybox gzip -k file && busybox zcat file.gz
busybox vi --help 2>&1 | busybox head -n 1
busybox sh -c 'trap "echo trapped" USR1; kill -USR1 $$; echo after'
busybox nslookup 2>&1 | busybox head -n 2
busybox expr 6 '*' 7
busybox bc <<< '2 ^ 200'
