/* Half of the work in each of two threads, or (threads PERCENT 1) all in one. */
#include "bench.h"
#include <pthread.h>

static uint64_t shared;

struct part {
    long rounds;
    uint64_t result;
};

static void *work(void *argument)
{
    struct part *part = argument;
    uint64_t x = 88172645463325252u, sum = 0;
    uint32_t table[256];
    for (int i = 0; i < 256; i++)
        table[i] = i * 2654435761u;
    for (long i = 0; i < part->rounds; i++) {
        for (int j = 0; j < 1000; j++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            table[x & 255] += (uint32_t)x;
            sum += table[x >> 8 & 255];
        }
        __atomic_fetch_add(&shared, 1, __ATOMIC_RELAXED);
    }
    part->result = sum;
    return NULL;
}

int main(int argc, char **argv)
{
    int count = argc > 2 ? atoi(argv[2]) : 2;
    long rounds = 2 * scaled(argc, argv, 200000);
    struct part parts[2];
    pthread_t threads[2];
    for (int i = 0; i < count; i++) {
        parts[i].rounds = rounds / count;
        pthread_create(&threads[i], NULL, work, &parts[i]);
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    printf("%llu %llu\n", (unsigned long long)shared, (unsigned long long)(parts[0].result & 1));
}
