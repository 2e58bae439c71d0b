//> break accumulate
//> run
//> info args
//> bt
//> up
//> info locals
//> break consume
//> continue
//> info args
//> bt
//> up
//> info locals
//> p seed
//> finish
//> continue
#include <stdio.h>
struct pair { long one, other; };
volatile long sink;
__attribute__((noinline)) void consume(long value, struct pair *pair) {
    sink = value + pair->one;
}
__attribute__((noinline)) long accumulate(const long *values, int count, long seed) {
    long sum = seed, product = 1;
    for (int i = 0; i < count; i++) {
        sum += values[i];
        product *= values[i] | 1;
    }
    struct pair pair = {sum, product};
    consume(sum ^ product, &pair);
    return pair.one - seed;
}
volatile int argc = 1;
int main(void) {
    long values[] = {argc + 1, 4, 9, 16};
    long got = accumulate(values, 4, argc * 100);
    printf("%ld\n", got);
    return 0;
}
