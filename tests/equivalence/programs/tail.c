//> break last
//> run
//> bt
//> up
//> finish
//> continue
#include <stdio.h>
volatile int sink;
__attribute__((noinline)) int last(int value) {
    sink = value;
    return value + 1;
}
__attribute__((noinline)) int between(int value) {
    sink++;
    return last(value * 2);
}
__attribute__((noinline)) int first(int value) {
    sink--;
    return between(value + 3);
}
volatile int argc = 1;
int main(void) {
    int got = first(argc);
    printf("%d\n", got);
    return 0;
}
