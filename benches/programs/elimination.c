/* Gauss's elimination with pivots, in double precision. */
#include "bench.h"
#include <math.h>

enum { N = 120 };

int main(int argc, char **argv)
{
    static double a[N][N + 1];
    double sum = 0;
    for (long round = 0, n = scaled(argc, argv, 1400); round < n; round++) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j <= N; j++)
                a[i][j] = (int)(next_random() & 1023) - 512;
        for (int k = 0; k < N; k++) {
            int pivot = k;
            for (int i = k + 1; i < N; i++)
                if (fabs(a[i][k]) > fabs(a[pivot][k]))
                    pivot = i;
            for (int j = k; j <= N; j++) {
                double t = a[k][j];
                a[k][j] = a[pivot][j];
                a[pivot][j] = t;
            }
            for (int i = k + 1; i < N; i++) {
                double factor = a[i][k] / a[k][k];
                for (int j = k; j <= N; j++)
                    a[i][j] -= factor * a[k][j];
            }
        }
        for (int i = N; i-- > 0;) {
            for (int j = i + 1; j < N; j++)
                a[i][N] -= a[i][j] * a[j][N];
            a[i][N] /= a[i][i];
        }
        sum += a[round % N][N] > 0 ? 1 : 3;
    }
    printf("%.0f\n", sum);
}
