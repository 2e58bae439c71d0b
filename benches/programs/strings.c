/* The string routines of libc on short and on long strings. */
#include "bench.h"

enum { N = 1 << 14 };

int main(int argc, char **argv)
{
    static char text[N + 1], copy[N + 1], words[64][40];
    for (int i = 0; i < N; i++)
        text[i] = 'a' + next_random() % 26;
    for (int i = 0; i < 64; i++)
        for (unsigned j = 0, n = 3 + next_random() % 30; j < n; j++)
            words[i][j] = 'a' + next_random() % 4;
    unsigned sum = 0;
    for (long i = 0, n = scaled(argc, argv, 450000); i < n; i++) {
        memcpy(copy, text, N + 1);
        copy[i % N] = '!';
        sum += strlen(copy);
        sum += (char *)memchr(copy, '!', N) - copy;
        sum += strchr(copy, '!') - copy;
        sum += memcmp(copy, text, N) < 0;
        memmove(copy + 5, copy, N / 2);
        memset(copy + N / 2, 'z', 1000);
        sum = sum * 3 + (unsigned char)copy[i * 31 % N];
        for (int j = 0; j < 64; j++) {
            const char *a = words[j], *b = words[(j * 7 + i) % 64];
            sum += strcmp(a, b) < 0;
            sum += strlen(a);
            sum += strncmp(a, b, 5) == 0;
            strcpy(copy + j * 40, b);
        }
        sum += strstr(words[i % 64], "abc") != NULL;
    }
    printf("%u\n", sum);
}
