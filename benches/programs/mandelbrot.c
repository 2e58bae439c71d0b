/* Points of the Mandelbrot set. */
#include "bench.h"

int main(int argc, char **argv)
{
    enum { SIDE = 200 };
    unsigned sum = 0;
    for (long round = 0, n = scaled(argc, argv, 60); round < n; round++)
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++) {
                double a = -2 + 3.0 * i / SIDE + round * 1e-4, b = -1.5 + 3.0 * j / SIDE;
                double x = 0, y = 0;
                int steps = 0;
                while (steps < 500 && x * x + y * y < 4) {
                    double t = x * x - y * y + a;
                    y = 2 * x * y + b;
                    x = t;
                    steps++;
                }
                sum = sum * 3 + steps;
            }
    printf("%u\n", sum);
}
