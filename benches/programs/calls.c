/* Small functions that call themselves and each other. */
#include "bench.h"

__attribute__((noinline)) static int fibonacci(int n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__attribute__((noinline)) static int ackermann(int m, int n)
{
    if (m == 0)
        return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

__attribute__((noinline)) static int is_even(int n);
__attribute__((noinline)) static int is_odd(int n)
{
    return n == 0 ? 0 : is_even(n - 1);
}
__attribute__((noinline)) static int is_even(int n)
{
    return n == 0 ? 1 : 2 - (is_odd(n - 1) + 1);
}

int main(int argc, char **argv)
{
    unsigned sum = 0;
    for (long i = 0, n = scaled(argc, argv, 900); i < n; i++) {
        sum = sum * 3 + fibonacci(27);
        sum += ackermann(2, 200 + i % 7);
        for (int j = 0; j < 200; j++)
            sum += is_even(j + i % 5);
    }
    printf("%u\n", sum);
}
