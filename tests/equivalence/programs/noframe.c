//> break raw
//> run
//> bt
//> up
//> info locals
//> finish
//> continue
//: builds gcc -O0 | gcc -O2 -fomit-frame-pointer | gcc -O1 -fno-asynchronous-unwind-tables | clang -O0 | clang -O2 | gcc -O2 -static -no-pie | gcc -O2 -static-pie
#include <stdio.h>
volatile int sink;
__attribute__((noinline)) int raw(int *out, int by) {
    sink = by;
    *out += by;
    return by;
}
__attribute__((noinline)) int around(int by) {
    int out = by;
    int got = raw(&out, by + 1);
    return got + out;
}
volatile int argc = 1;
int main(void) {
    int got = around(argc);
    printf("%d\n", got);
    return 0;
}
