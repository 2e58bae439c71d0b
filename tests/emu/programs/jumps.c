/* setjmp and longjmp through frames, volatile locals, signal masks. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static jmp_buf top;
static sigjmp_buf masked;

static int deep(int n, int value)
{
    volatile double keep = n * 0.5;
    if (n == 0)
        longjmp(top, value);
    return deep(n - 1, value) + (int)keep;
}

static void on_signal(int s) { siglongjmp(masked, s); }

int main(void)
{
    volatile int rounds = 0;
    int got = setjmp(top);
    printf("%d %d\n", got, rounds);
    if (rounds < 5)
        deep(100, ++rounds * 10);
    if (rounds == 5) {
        rounds++;
        deep(3, 0);
    }
    signal(SIGUSR1, on_signal);
    volatile int times = 0;
    got = sigsetjmp(masked, 1);
    printf("signal %d\n", got);
    if (times++ < 3)
        raise(SIGUSR1);
    double x = 1;
    for (volatile int i = 0; i < 1000; i++) {
        if (setjmp(top) == 0)
            deep(i % 7, 1);
        else
            x = x * 1.01;
    }
    printf("%.6f\n", x);
    return 0;
}
