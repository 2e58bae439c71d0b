#include <pthread.h>
#include <signal.h>
#include <stdio.h>

static int total;

static int twice(int x)
{
    int y = 2 * x;
    total += y;
    return y;
}

static void *work(void *count)
{
    for (int i = 0; i < *(int *)count; i++)
        twice(i);
    return count;
}

static void handler(int signal)
{
    total += 1000;
}

int main(void)
{
    int count = 3;
    signal(SIGUSR1, handler);
    int a = twice(21);
    pthread_t thread;
    pthread_create(&thread, 0, work, &count);
    pthread_join(thread, 0);
    raise(SIGUSR1);
    printf("%d %d\n", a, total);
    return 3;
}
