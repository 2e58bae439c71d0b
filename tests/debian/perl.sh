# packages: perl
perl -e 'my %h; $h{$_ % 97} += $_ for 1..50000; print join(",", map {"$_=$h{$_}"} sort { $a <=> $b } keys %h), "\n"' | md5sum
perl -MList::Util=sum,shuffle -e 'print sum(1..100), "\n"; printf "%.10f %e %g\n", atan2(1,1)*4, 1e300*10, 1/3;'
perl -e '$_ = "the quick brown fox" x 50; my $n = () = /(\w)(?=\w*\1)/g; print "$n\n"; s/(\w+)/\u$1/g; print substr($_, 0, 40), "\n"'
perl -e 'my $pid = fork; if (!$pid) { exit 7 } waitpid $pid, 0; print $? >> 8, "\n"; pipe(R, W); if (!fork) { print W "from child\n"; exit } close W; print <R>;'
perl -e '$SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; select undef, undef, undef, 5; }; print $@; $SIG{USR1} = sub { print "usr1\n" }; kill USR1 => $$;'
perl -MPOSIX -e 'print POSIX::strtol("ff", 16), " ", POSIX::floor(-2.5), " ", POSIX::fmod(7, 3), "\n"; print strftime("%F", gmtime 86400 * 365), "\n"'
perl -MDigest::SHA=sha256_hex -MMIME::Base64 -MStorable=freeze,thaw -e 'print sha256_hex("abc"), encode_base64("xyz"), thaw(freeze([1, {a => 2}]))->[1]{a}, "\n"'
perl -MSocket -e 'socketpair(A, B, AF_UNIX, SOCK_STREAM, 0); syswrite A, "hello"; sysread B, $x, 5; print "$x\n"'
perl -Mthreads -Mthreads::shared -e 'my $n :shared = 0; my @t = map { threads->create(sub { for (1..200) { lock $n; $n++ } }) } 1..4; $_->join for @t; print "$n\n"'
perl -Mbigint -e 'print 2**300, "\n"'; perl -e 'print pack("NnC", 1, 2, 3) eq "\0\0\0\1\0\2\3" ? "packed\n" : "no\n"'
perl -c -e 'use strict; my $x = 1' 2>&1; perl -e 'die "dead\n"'; echo "status $?"
