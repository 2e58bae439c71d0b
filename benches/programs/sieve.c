/* The sieve of Eratosthenes, in bytes and in bits. */
#include "bench.h"

enum { N = 1 << 20 };

int main(int argc, char **argv)
{
    static uint8_t bytes[N];
    static uint64_t bits[N / 64];
    uint64_t sum = 0;
    for (long i = 0, n = scaled(argc, argv, 250); i < n; i++) {
        memset(bytes, 1, N);
        for (long p = 2; p * p < N; p++)
            if (bytes[p])
                for (long q = p * p; q < N; q += p)
                    bytes[q] = 0;
        memset(bits, 0, sizeof bits);
        for (long p = 3; p * p < N; p += 2)
            if (!(bits[p / 64] >> p % 64 & 1))
                for (long q = p * p; q < N; q += 2 * p)
                    bits[q / 64] |= 1ull << q % 64;
        for (long p = 2; p < N; p += 1 + i % 3)
            sum = sum * 3 + bytes[p] + (bits[p / 64] >> p % 64 & 1);
    }
    printf("%llu\n", (unsigned long long)sum);
}
