/* Loops that call through slots of memory: a library's functions, and functions
   that are others later, while the loop runs. */
#include <stdio.h>
#include <string.h>

static long twice(long x) { return x * 2 + 1; }
static long thrice(long x) { return x * 3 ^ 5; }
static long (*volatile slot)(long) = twice;

static long called(long n)
{
    long sum = 0;
    for (long i = 0; i < n; i++) {
        if (i % 30011 == 0)
            slot = i % 2 ? thrice : twice;
        sum = sum * 7 + slot(i);
    }
    return sum;
}

static unsigned long library(long n)
{
    char a[64] = "the quick brown", b[64] = "the quick brawn";
    unsigned long sum = 0;
    for (long i = 0; i < n; i++) {
        a[3] = 'a' + i % 26;
        sum = sum * 3 + strlen(a) + (strcmp(a, b) > 0);
        b[i % 15] ^= 1;
        b[i % 15] |= 32;
    }
    return sum;
}

/* An inner loop that goes round much more often than the one around it, and
   begins with what that did to the vector registers. */
static double nested(long n)
{
    static double a[400], b[400];
    double sum = 0;
    for (int i = 0; i < 400; i++)
        a[i] = i, b[i] = 0.5;
    for (long k = 0; k < n; k++) {
        for (int i = 0; i < 400; i++)
            sum += a[i] * b[i];
        for (int i = 0; i < 4; i++)
            a[(k + i) % 400] += 1 + i;
        sum = (long)(sum / 3);
    }
    return sum;
}

int main(void)
{
    printf("%ld\n", called(3000000));
    printf("%lu\n", library(1000000));
    printf("%.1f\n", nested(8000));
}
