/* What the programs of `cargo bench --bench programs` share. Each takes how
 * many per cent of its work to do, prints a checksum that depends on all of it,
 * and needs about a second for 100 natively. The programs are fixed: an emulator
 * is tuned to them only as far as it is to all programs of their kind. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* n, scaled to the percentage that was asked for; at least 1. */
static long scaled(int argc, char **argv, long n)
{
    double percent = argc > 1 ? atof(argv[1]) : 100;
    long scaled = (long)(n * percent / 100);
    return scaled > 0 ? scaled : 1;
}

static uint32_t random_state = 2463534242u;

static inline uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}
