/* The spectral norm of an infinite matrix, whose elements are computed. */
#include "bench.h"
#include <math.h>

enum { N = 300 };

static double element(int i, int j)
{
    return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1);
}

__attribute__((noinline)) static void times(const double *v, double *out, int transposed)
{
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int j = 0; j < N; j++)
            sum += (transposed ? element(j, i) : element(i, j)) * v[j];
        out[i] = sum;
    }
}

int main(int argc, char **argv)
{
    static double u[N], v[N], t[N];
    for (int i = 0; i < N; i++)
        u[i] = 1;
    for (long i = 0, n = scaled(argc, argv, 900); i < n; i++) {
        times(u, t, 0), times(t, v, 1);
        times(v, t, 0), times(t, u, 1);
        double largest = u[0] + u[N - 1];
        for (int j = 0; j < N; j++)
            u[j] /= largest;
    }
    double uv = 0, vv = 0;
    for (int i = 0; i < N; i++)
        uv += u[i] * v[i], vv += v[i] * v[i];
    printf("%.6f\n", sqrt(uv / vv));
}
