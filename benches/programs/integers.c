/* Products of integer matrices, of 32 and of 8 bits. */
#include "bench.h"

enum { N = 96 };

int main(int argc, char **argv)
{
    static int32_t a[N][N], b[N][N], c[N][N];
    static int8_t p[N][N], q[N][N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = next_random() & 255, b[i][j] = next_random() & 255;
            p[i][j] = next_random(), q[i][j] = next_random();
        }
    uint32_t sum = 0;
    for (long i = 0, n = scaled(argc, argv, 400); i < n; i++) {
        for (int r = 0; r < N; r++)
            for (int s = 0; s < N; s++) {
                int32_t total = 0, small = 0;
                for (int t = 0; t < N; t++) {
                    total += a[r][t] * b[t][s];
                    small += p[r][t] * q[t][s];
                }
                c[r][s] = total + small;
            }
        sum = sum * 3 + c[i % N][i * 7 % N];
        a[i * 5 % N][i % N] ^= sum & 255;
    }
    printf("%u\n", sum);
}
