//: builds gcc -O0 | gcc -O0 -no-pie | clang -O0 | gcc -Og
//> printf "none yet %d%%\n", 5
//> dprintf step_on,"at %d of %s\n", i, names[i]
//> break done
//> info breakpoints
//> run
//> info breakpoints
//> p $bpnum
//> echo hello\tworld\041\n
//> echo two \
//>> lines\n
//> output total
//> output/x 255
//> printf "%5d|%-5d|%05d|%x|%#o|%c|%s|%5.1f|%e|%g\n", total, total, total, 255, 8, 65, names[1], ratio, ratio, ratio
//> printf "%lu %ld %u %p\n", -1, -1, -1, 0
//> printf "%s\n", word
//> printf "%d\n"
//> printf "%q\n", 1
//> printf
//> define twice
//>> printf "%d\n", 2 * $arg0
//>> if $argc > 1
//>> echo more\n
//>> else
//>> echo one\n
//>> end
//>> end
//> twice 4
//> twice 4 5
//> document twice
//>> Prints twice its argument.
//>> end
//> help twice
//> set $n = 0
//> while $n < 5
//>> set $n = $n + 1
//>> if $n == 2
//>> loop_continue
//>> end
//>> if $n == 4
//>> loop_break
//>> end
//>> output $n
//>> echo \n
//>> end
//> p $n
//> if total == 6
//>> p total
//>> else
//>> p 0
//>> end
//> twice
//> show user twice
//> p $_
//> x/2dw counts
//> p $_
//> p $__
//> p $nothing
//> p $_thread
//> p $_gthread
//> p $_inferior
//> set listsize 3
//> list 60
//> show args
//> show print pretty
//> show print elements
//> show print repeats
//> show print union
//> show print object
//> show print address
//> show print symbol
//> show print static-members
//> show print frame-arguments
//> show print max-depth
//> show confirm
//> frame function main
//> frame level 0
//> frame apply all p 1
//> frame apply 1 -q p 2
//> thread apply all -q p total
//> continue
//> p $_exitcode
//> info frame
//> info locals
#include <stdio.h>
const char *names[] = {"zero", "one", "two"};
char word[8] = "abcdef";
int counts[4] = {1, 2, 3, 4};
double ratio = 2.5;
__attribute__((noinline)) int step_on(int i) {
    return counts[i];
}
__attribute__((noinline)) void done(int total) {
    fprintf(stderr, "%s", total < 0 ? "bad" : "");
}
int main(void) {
    int total = 0;
    for (int i = 0; i < 3; i++)
        total += step_on(i);
    done(total);
    return total;
}
