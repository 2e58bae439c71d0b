/* malloc, realloc and free of blocks of many sizes. */
#include "bench.h"

enum { LIVE = 2000 };

int main(int argc, char **argv)
{
    static unsigned char *blocks[LIVE];
    static unsigned sizes[LIVE];
    unsigned sum = 0;
    for (long i = 0, n = scaled(argc, argv, 16000000); i < n; i++) {
        uint32_t r = next_random();
        unsigned at = r % LIVE, size = 8 + (r >> 12) % ((r & 31) == 0 ? 4000 : 200);
        if (!blocks[at]) {
            blocks[at] = malloc(size);
        } else if (r & 1 << 20) {
            sum = sum * 3 + blocks[at][sizes[at] - 1];
            free(blocks[at]);
            blocks[at] = NULL;
            continue;
        } else {
            blocks[at] = realloc(blocks[at], size);
        }
        sizes[at] = size;
        blocks[at][0] = r;
        blocks[at][size - 1] = r >> 8;
    }
    printf("%u\n", sum);
}
