/* CRC-32 by table and bit by bit, and Adler-32, over a buffer of bytes. */
#include "bench.h"

enum { N = 1 << 16 };

int main(int argc, char **argv)
{
    static uint8_t bytes[N];
    static uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
        table[i] = c;
    }
    for (int i = 0; i < N; i++)
        bytes[i] = (uint8_t)next_random();
    uint32_t sum = 0;
    for (long i = 0, n = scaled(argc, argv, 3500); i < n; i++) {
        uint32_t c = ~0u, slow = i, a = 1, b = 0;
        for (int j = 0; j < N; j++)
            c = table[(c ^ bytes[j]) & 255] ^ c >> 8;
        for (int j = 0; j < N; j += 16) {
            slow ^= bytes[j];
            for (int bit = 0; bit < 8; bit++)
                slow = slow & 1 ? slow >> 1 ^ 0xedb88320 : slow >> 1;
        }
        for (int j = 0; j < N; j++) {
            a += bytes[j];
            b += a;
            if (j % 4096 == 0)
                a %= 65521, b %= 65521;
        }
        sum = sum * 3 + c + slow + (b << 16 ^ a);
        bytes[i % N] ^= c;
    }
    printf("%u\n", sum);
}
