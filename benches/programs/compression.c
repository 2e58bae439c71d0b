/* Compression by references to earlier text with a hash of three bytes, then
 * by lengths of codes in bits; and back again. */
#include "bench.h"

enum { N = 1 << 16, HASH = 1 << 12 };
static uint8_t text[N], packed[2 * N], back[N];

static long pack(void)
{
    static int heads[HASH];
    memset(heads, -1, sizeof heads);
    uint8_t *out = packed;
    for (int i = 0; i < N;) {
        int length = 0, from = -1;
        if (i + 3 < N) {
            uint32_t h = ((uint32_t)(text[i] | text[i + 1] << 8 | text[i + 2] << 16) * 2654435761u) >> 20;
            from = heads[h];
            heads[h] = i;
            if (from >= 0 && i - from < 65536)
                while (length < 255 && i + length < N && text[from + length] == text[i + length])
                    length++;
        }
        if (length >= 4) {
            *out++ = 0;
            *out++ = length;
            *out++ = (i - from) & 255;
            *out++ = (i - from) >> 8;
            i += length;
        } else {
            *out++ = text[i++];
        }
    }
    return out - packed;
}

static void unpack(long length)
{
    uint8_t *out = back;
    for (const uint8_t *in = packed; in < packed + length;) {
        if (*in) {
            *out++ = *in++;
            continue;
        }
        const uint8_t *from = out - (in[2] | in[3] << 8);
        for (int n = in[1]; n > 0; n--)
            *out++ = *from++;
        in += 4;
    }
}

static long bits(long length)
{
    uint32_t counts[256] = {0};
    long total = 0;
    for (long i = 0; i < length; i++)
        counts[packed[i]]++;
    for (int i = 0; i < 256; i++)
        if (counts[i])
            total += (long)counts[i] * (32 - __builtin_clz((uint32_t)(length / counts[i]) | 1));
    return total;
}

int main(int argc, char **argv)
{
    static const char *const words[] = {"the ", "tree ", "grows ", "and ", "never ", "shrinks ", "while ", "it ", "lives ", "image ", "block ", "of "};
    uint32_t sum = 0;
    for (long i = 0, n = scaled(argc, argv, 1500); i < n; i++) {
        if (i % 16 == 0)
            for (int at = 0; at < N;)
                for (const char *word = words[next_random() % 12]; *word && at < N; word++)
                    text[at++] = *word + (next_random() % 40 == 0);
        text[i * 37 % N] = 'x';
        long length = pack();
        unpack(length);
        sum = sum * 3 + length + bits(length) + memcmp(text, back, N);
    }
    printf("%u\n", sum);
}
