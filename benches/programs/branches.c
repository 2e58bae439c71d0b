/* Branches that depend on data: Collatz sequences and a sorting of numbers into kinds. */
#include "bench.h"

int main(int argc, char **argv)
{
    uint64_t steps = 0, kinds[5] = {0};
    for (long i = 1, n = scaled(argc, argv, 4000000); i < n; i++) {
        uint64_t x = i;
        while (x != 1) {
            if (x & 1)
                x = 3 * x + 1;
            else
                x >>= 1;
            steps++;
        }
        uint32_t r = next_random();
        if (r % 3 == 0)
            kinds[0] += r;
        else if (r < 1u << 30)
            kinds[1]++;
        else if ((r ^ steps) & 64)
            kinds[2] += 2;
        else if (r & 256)
            kinds[3] ^= r;
        else
            kinds[4] += 5;
    }
    for (int i = 0; i < 5; i++)
        steps = steps * 31 + kinds[i];
    printf("%llu\n", (unsigned long long)steps);
}
