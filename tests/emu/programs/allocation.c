/* malloc in all sizes: bins, mmap, mremap, brk; contents checked. */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t state = 12345;
static uint32_t next(void) { return state = state * 1664525 + 1013904223; }

int main(void)
{
    enum { N = 500 };
    unsigned char *block[N] = { 0 };
    size_t size[N] = { 0 };
    unsigned long sum = 0;
    for (int round = 0; round < 20000; round++) {
        int i = next() % N;
        for (size_t k = 0; k < size[i]; k += 97)
            if (block[i][k] != (unsigned char)(i + k))
                return printf("block %d damaged at %zu\n", i, k), 1;
        size_t wanted = next() % 100 == 0 ? next() % 400000 : next() % 600;
        if (next() % 3 == 0) {
            free(block[i]);
            block[i] = NULL;
            wanted = 0;
        } else {
            block[i] = realloc(block[i], wanted + 1);
        }
        for (size_t k = 0; k < wanted; k++)
            block[i][k] = (unsigned char)(i + k);
        size[i] = wanted;
        sum += wanted;
    }
    printf("%lu\n", sum);
    char *large = malloc(3 << 20);
    memset(large, 7, 3 << 20);
    for (int i = 4; i < 40; i += 4) {
        large = realloc(large, (size_t)i << 20);
        printf("%d", large[(3 << 20) - 1]);
    }
    free(large);
    void *aligned = aligned_alloc(65536, 65536);
    printf("\n%d\n", (int)((uintptr_t)aligned % 65536));
    int *zeroed = calloc(1000000, sizeof(int));
    long total = 0;
    for (int i = 0; i < 1000000; i++)
        total += zeroed[i];
    printf("%ld\n", total);
    volatile size_t huge = SIZE_MAX / 2;
    printf("%p\n", malloc(huge));
    malloc_trim(0);
    return 0;
}
