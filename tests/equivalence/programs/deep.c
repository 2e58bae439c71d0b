//> break bottom
//> run
//> bt 3
//> bt -3
//> frame 5
//> info locals
//> up 3
//> p level
//> down 2
//> p level
//> frame 0
//> finish
//> delete
//> continue
#include <stdio.h>
volatile int sink;
__attribute__((noinline)) void bottom(int level) { sink = level; }
__attribute__((noinline)) int dig(int level, long pad) {
    volatile long kept = pad + level;
    if (level == 0) {
        bottom(level);
        return 1;
    }
    return dig(level - 1, pad * 2) + (int)kept;
}
int main(void) {
    int got = dig(40, 1);
    printf("%d\n", got);
    return 0;
}
