/* Vectors of four floats: points turned and scaled, least and greatest. */
#include "bench.h"

typedef float vec __attribute__((vector_size(16)));
typedef int mask __attribute__((vector_size(16)));

enum { N = 4096 };

static vec least(vec a, vec b)
{
    mask m = a < b;
    return (vec)(((mask)a & m) | ((mask)b & ~m));
}

int main(int argc, char **argv)
{
    static vec x[N], y[N];
    for (int i = 0; i < N; i++) {
        x[i] = (vec){i % 7, i % 11, i % 13, i % 17};
        y[i] = (vec){i % 5, i % 3, i % 19, i % 23};
    }
    vec low = {1e9f, 1e9f, 1e9f, 1e9f}, total = {0};
    for (long round = 0, n = scaled(argc, argv, 90000); round < n; round++) {
        vec turn = {0.8f, 0.8f, 0.8f, 0.8f}, other = {0.6f, 0.6f, 0.6f, 0.6f};
        for (int i = 0; i < N; i++) {
            vec a = x[i] * turn - y[i] * other, b = x[i] * other + y[i] * turn;
            x[i] = a;
            y[i] = b;
            low = least(low, a);
            total += a * b;
        }
        if (round % 64 == 63)
            total *= (vec){0.5f, 0.5f, 0.5f, 0.5f};
    }
    printf("%.0f %.0f %d\n", low[0], low[3], total[1] == total[1]);
}
