/* A machine of a thousand states, each with code of its own: far more code than
 * the hot loops of other programs. */
#include "bench.h"

static uint32_t memory[1024];

#define ONE(n, a, b)                                                      \
    case (n):                                                             \
        x = x * (2 * (n) + 1) + memory[(x ^ (n)) & 1023];                 \
        if (x & 1u << (a))                                                \
            state = (x >> 7 ^ (n)) & 1023, memory[((n)*7 + x) & 1023] ^= x >> 3; \
        else                                                              \
            state = ((n)*5 + (x >> (b))) & 1023, y += x ^ (n);            \
        break;
#define FOUR(n) ONE(n, (n) % 29, (n) % 13 + 5) ONE(n + 1, (n + 3) % 31, (n) % 17 + 3) ONE(n + 2, (n + 7) % 23, 9) ONE(n + 3, 11, (n) % 7 + 8)
#define SIXTEEN(n) FOUR(n) FOUR(n + 4) FOUR(n + 8) FOUR(n + 12)
#define SIXTY_FOUR(n) SIXTEEN(n) SIXTEEN(n + 16) SIXTEEN(n + 32) SIXTEEN(n + 48)
#define MANY(n) SIXTY_FOUR(n) SIXTY_FOUR(n + 64) SIXTY_FOUR(n + 128) SIXTY_FOUR(n + 192)

int main(int argc, char **argv)
{
    for (int i = 0; i < 1024; i++)
        memory[i] = next_random();
    uint32_t x = 1, y = 0, state = 0;
    for (long i = 0, n = scaled(argc, argv, 45000000); i < n; i++)
        switch (state) {
            MANY(0) MANY(256) MANY(512) MANY(768)
        }
    printf("%u\n", x + y);
}
