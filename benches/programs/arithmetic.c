/* Multiplication, division, shifts and carries in one long dependency. */
#include "bench.h"

int main(int argc, char **argv)
{
    uint64_t a = 88172645463325252u, b = 1, sum = 0;
    uint32_t c = 12345;
    for (long i = 0, n = scaled(argc, argv, 250000000); i < n; i++) {
        a ^= a << 13, a ^= a >> 7, a ^= a << 17;
        b = b * 6364136223846793005u + a;
        c = (c >> 3 | c << 29) + (uint32_t)b;
        sum += (b >> 33) % ((c & 1023) + 1);
        sum += (unsigned __int128)a * b >> 64;
        if (i % 1000 == 0)
            sum ^= a / (c | 1);
    }
    printf("%llu\n", (unsigned long long)sum);
}
