/* Products of matrices of floats, four columns at a time. */
#include "bench.h"

typedef float vec __attribute__((vector_size(16)));

enum { N = 128 };

int main(int argc, char **argv)
{
    static vec a[N][N / 4], b[N][N / 4], c[N][N / 4];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            ((float *)a[i])[j] = (int)(next_random() & 7);
            ((float *)b[i])[j] = (int)(next_random() & 7);
        }
    double sum = 0;
    for (long round = 0, n = scaled(argc, argv, 1900); round < n; round++) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N / 4; j += 2) {
                vec left = {0}, right = {0};
                for (int k = 0; k < N; k++) {
                    float f = ((float *)a[i])[k];
                    vec all = {f, f, f, f};
                    left += all * b[k][j];
                    right += all * b[k][j + 1];
                }
                c[i][j] = left;
                c[i][j + 1] = right;
            }
        sum += ((float *)c[round % N])[round * 5 % N];
        ((float *)a[round % N])[round * 3 % N] = round & 7;
    }
    printf("%.0f\n", sum);
}
