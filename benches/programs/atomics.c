/* Atomic operations of all sizes, and locks, without contention. */
#include "bench.h"

int main(int argc, char **argv)
{
    static uint64_t wide;
    static uint32_t word, lock;
    static uint16_t half;
    static uint8_t byte;
    uint64_t sum = 0;
    for (long i = 0, n = scaled(argc, argv, 40000000); i < n; i++) {
        __atomic_fetch_add(&wide, i, __ATOMIC_SEQ_CST);
        sum += __atomic_fetch_or(&word, 1u << i % 32, __ATOMIC_ACQ_REL);
        sum += __atomic_fetch_and(&word, ~(uint32_t)i, __ATOMIC_RELAXED);
        uint8_t was = __atomic_load_n(&byte, __ATOMIC_ACQUIRE);
        sum += __atomic_compare_exchange_n(&byte, &was, was + i, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
        sum += __atomic_exchange_n(&half, i, __ATOMIC_ACQ_REL);
        uint32_t open = 0;
        while (!__atomic_compare_exchange_n(&lock, &open, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            open = 0;
        sum += wide;
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    }
    printf("%llu\n", (unsigned long long)(sum + word + byte));
}
