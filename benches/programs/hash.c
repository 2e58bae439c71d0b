/* A hash table with linear probing, and hashes of short keys. */
#include "bench.h"

enum { SLOTS = 1 << 15 };
struct slot {
    uint64_t key, value;
};
static struct slot slots[SLOTS];

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33, x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33, x *= 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

static struct slot *find(uint64_t key)
{
    uint64_t at = mix(key);
    for (;; at++) {
        struct slot *slot = &slots[at % SLOTS];
        if (slot->key == key || slot->key == 0)
            return slot;
    }
}

static uint32_t fnv(const char *text, int length)
{
    uint32_t h = 2166136261u;
    for (int i = 0; i < length; i++)
        h = (h ^ (uint8_t)text[i]) * 16777619u;
    return h;
}

int main(int argc, char **argv)
{
    uint64_t sum = 0;
    for (long i = 0, n = scaled(argc, argv, 2000); i < n; i++) {
        memset(slots, 0, sizeof slots);
        for (int j = 0; j < 16000; j++) {
            uint32_t r = next_random() % 12000 + 1;
            struct slot *slot = find(r);
            slot->key = r;
            slot->value += j;
        }
        for (int j = 1; j < 16000; j++)
            sum += find(j)->value;
        char text[32];
        int length = snprintf(text, sizeof text, "key-%ld", i);
        for (int j = 0; j < 100; j++) {
            text[j % length]++;
            sum = sum * 3 + fnv(text, length);
        }
    }
    printf("%llu\n", (unsigned long long)sum);
}
