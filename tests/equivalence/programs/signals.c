//> break handle
//> handle SIGUSR1 nostop noprint pass
//> run
//> bt 2
//> up
//> p seen
//> p $_siginfo.si_signo
//> continue
#include <signal.h>
#include <stdio.h>
volatile int seen;
static void handle(int number) {
    seen += number;
}
__attribute__((noinline)) int work(int rounds) {
    int sum = 0;
    for (int i = 0; i < rounds; i++) {
        if (i == 2)
            raise(SIGUSR1);
        sum += i;
    }
    return sum;
}
int main(void) {
    signal(SIGUSR1, handle);
    int sum = work(5);
    printf("%d %d\n", sum, seen);
    return 0;
}
