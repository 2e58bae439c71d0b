//> break trouble
//> run
//> bt
//> up
//> info locals
//> p level
//> delete
//> continue
#include <stdio.h>
#include <stdlib.h>
volatile int seen;
__attribute__((noinline, cold)) void trouble(int level) {
    seen = level;
}
__attribute__((noinline)) int guard(int level, int *out) {
    if (__builtin_expect(level > 3, 0)) {
        trouble(level);
        trouble(level + 1);
        *out = -level;
        return -1;
    }
    *out = level * 2;
    return 0;
}
volatile int argc = 1;
int main(void) {
    int got = 0, failed = 0;
    for (int i = argc; i < 5; i++)
        failed += guard(i, &got);
    printf("%d %d %d\n", got, failed, seen);
    return 0;
}
