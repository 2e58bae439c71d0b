/* Queens on a board by bits, with recursion, and counts of bits. */
#include "bench.h"

static long place(uint32_t all, uint32_t columns, uint32_t left, uint32_t right)
{
    if (columns == all)
        return 1;
    long found = 0;
    for (uint32_t open = all & ~(columns | left | right); open;) {
        uint32_t bit = open & -open;
        open ^= bit;
        found += place(all, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return found;
}

int main(int argc, char **argv)
{
    uint64_t sum = 0;
    for (long i = 0, n = scaled(argc, argv, 1300); i < n; i++) {
        sum = sum * 3 + place((1u << (9 + i % 3)) - 1, 0, 0, 0);
        for (int j = 0; j < 20000; j++) {
            uint64_t x = (uint64_t)next_random() << 32 | next_random();
            sum += __builtin_popcountll(x) * 3 + __builtin_clzll(x | 1) + __builtin_ctzll(x | 1ull << 63);
        }
    }
    printf("%llu\n", (unsigned long long)sum);
}
