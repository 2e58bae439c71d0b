//> break outer
//> run
//> bt
//> next
//> step
//> bt
//> info locals
//> up
//> info locals
//> break leaf
//> continue
//> bt
//> info args
//> continue
//> bt
//> delete
//> finish
//> continue
#include <stdio.h>
static inline __attribute__((always_inline)) int leaf(int value) {
    int doubled = value * 2;
    if (doubled > 10)
        doubled -= 3;
    return doubled;
}
static inline __attribute__((always_inline)) int middle(int value) {
    int first = leaf(value);
    int second = leaf(value + 7);
    return first * second;
}
__attribute__((noinline)) int outer(int value) {
    int got = middle(value);
    printf("%d\n", got);
    return got + 1;
}
volatile int argc = 1;
int main(void) {
    return outer(argc + 3) & 1;
}
