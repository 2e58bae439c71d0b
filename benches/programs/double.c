/* Double precision: bodies that attract each other, and triads over arrays. */
#include "bench.h"
#include <math.h>

enum { BODIES = 5, N = 2000 };
static double at[BODIES][3], velocity[BODIES][3], mass[BODIES];

static void advance(double dt)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            double d[3], square = 0.01;
            for (int k = 0; k < 3; k++) {
                d[k] = at[i][k] - at[j][k];
                square += d[k] * d[k];
            }
            double force = dt / (square * sqrt(square));
            for (int k = 0; k < 3; k++) {
                velocity[i][k] -= d[k] * mass[j] * force;
                velocity[j][k] += d[k] * mass[i] * force;
            }
        }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            at[i][k] += dt * velocity[i][k];
}

int main(int argc, char **argv)
{
    static double a[N], b[N], c[N];
    for (int i = 0; i < BODIES; i++) {
        mass[i] = 1 + i;
        for (int k = 0; k < 3; k++)
            at[i][k] = (i * 7 + k * 3) % 11, velocity[i][k] = (i + k) % 3 * 0.1;
    }
    for (int i = 0; i < N; i++)
        a[i] = i * 0.25, b[i] = N - i, c[i] = 0;
    double sum = 0;
    for (long i = 0, n = scaled(argc, argv, 120000); i < n; i++) {
        for (int j = 0; j < 20; j++)
            advance(0.001);
        double dot = 0;
        for (int j = 0; j < N; j++) {
            c[j] = a[j] + 0.5 * b[j];
            dot += a[j] * c[j];
        }
        sum += dot * 1e-9 + at[i % BODIES][1];
        a[i % N] += 0.125;
    }
    printf("%.3f\n", sum);
}
