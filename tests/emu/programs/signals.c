/* Handlers: order, masks, nesting, flags, stacks, waiting, restarting. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int depth, count, code;
static char alternate[65536];

static void nested(int s)
{
    printf("enter %d at depth %d\n", s, depth++);
    if (s == SIGUSR1 && depth == 1)
        raise(SIGUSR2);
    printf("leave %d at depth %d\n", s, --depth);
}

static void once(int s) { printf("once %d\n", s); }

static void recursive(int s)
{
    printf("recursive %d\n", ++count);
    if (count < 3)
        raise(s);
}

static void informed(int s, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    char here;
    int on_stack = &here >= alternate && &here < alternate + sizeof alternate;
    code = info->si_code;
    printf("signal %d code %d pid %d value %d alternate %d blocked %d\n", s, info->si_code,
           info->si_pid == getpid(), info->si_value.sival_int, on_stack, sigismember(&u->uc_sigmask, SIGHUP));
}

static void quiet(int s) { count++; }

static void set(int s, void (*f)(int), int flags, int block)
{
    struct sigaction a = { .sa_handler = f, .sa_flags = flags };
    sigemptyset(&a.sa_mask);
    if (block)
        sigaddset(&a.sa_mask, block);
    if (sigaction(s, &a, NULL))
        perror("sigaction");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    set(SIGUSR1, nested, 0, 0);
    set(SIGUSR2, nested, 0, 0);
    raise(SIGUSR1);
    puts("-- with the second blocked by the first");
    set(SIGUSR1, nested, 0, SIGUSR2);
    raise(SIGUSR1);
    puts("-- reset after one");
    set(SIGTERM, once, SA_RESETHAND, 0);
    raise(SIGTERM);
    struct sigaction old;
    sigaction(SIGTERM, NULL, &old);
    printf("%d\n", old.sa_handler == SIG_DFL);
    puts("-- not deferred");
    set(SIGHUP, recursive, SA_NODEFER, 0);
    raise(SIGHUP);

    puts("-- information and the alternate stack");
    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate }, had;
    sigaltstack(&stack, NULL);
    struct sigaction a = { .sa_sigaction = informed, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigaction(SIGUSR1, &a, NULL);
    sigset_t mask, was, pending;
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, &was);
    raise(SIGUSR1);
    kill(getpid(), SIGUSR1);
    sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 77 });
    sigaltstack(NULL, &had);
    printf("%d %d\n", had.ss_flags, had.ss_sp == alternate);

    puts("-- blocked, pending, opened");
    raise(SIGHUP);
    sigpending(&pending);
    printf("%d %d\n", sigismember(&pending, SIGHUP), sigismember(&pending, SIGUSR1));
    count = 0;
    sigprocmask(SIG_SETMASK, &was, NULL);
    printf("%d\n", count);

    puts("-- real-time signals queue in order");
    sigemptyset(&mask);
    sigaddset(&mask, SIGRTMIN);
    sigaddset(&mask, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    for (int i = 0; i < 3; i++) {
        sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 10 + i });
        sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = i });
    }
    siginfo_t info;
    for (int i = 0; i < 6; i++) {
        int s = sigwaitinfo(&mask, &info);
        printf("%d:%d ", s - SIGRTMIN, info.si_value.sival_int);
    }
    struct timespec short_time = { 0, 1000000 };
    printf("%d", sigtimedwait(&mask, &info, &short_time));
    printf(" %s\n", strerror(errno));

    puts("-- waiting for one");
    set(SIGALRM, quiet, 0, 0);
    struct itimerval timer = { .it_value = { 0, 20000 } };
    sigemptyset(&mask);
    sigaddset(&mask, SIGALRM);
    sigprocmask(SIG_BLOCK, &mask, &was);
    count = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
    printf("%d", sigsuspend(&was));
    printf(" %s %d\n", strerror(errno), count);
    sigprocmask(SIG_SETMASK, &was, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    printf("%d", pause());
    printf(" %s %d\n", strerror(errno), count);

    puts("-- interrupted and restarted reads");
    int pipes[2];
    pipe(pipes);
    char byte = 0;
    setitimer(ITIMER_REAL, &timer, NULL);
    int got = read(pipes[0], &byte, 1);
    printf("%d %s\n", got, strerror(errno));
    set(SIGALRM, quiet, SA_RESTART, 0);
    pid_t child = fork();
    if (child == 0) {
        usleep(100000);
        write(pipes[1], "x", 1);
        _exit(0);
    }
    timer.it_interval.tv_usec = 10000;
    setitimer(ITIMER_REAL, &timer, NULL);
    count = 0;
    got = read(pipes[0], &byte, 1);
    timer = (struct itimerval){ 0 };
    setitimer(ITIMER_REAL, &timer, NULL);
    printf("%d %c %d\n", got, byte, count > 1);
    waitpid(child, NULL, 0);

    puts("-- busy loops see signals");
    count = 0;
    timer.it_value.tv_usec = 10000;
    setitimer(ITIMER_REAL, &timer, NULL);
    while (count == 0)
        ;
    printf("%d\n", count);
    signal(SIGPIPE, SIG_IGN);
    close(pipes[0]);
    got = write(pipes[1], "x", 1);
    printf("%d %s\n", got, strerror(errno));
    signal(SIGPIPE, SIG_DFL);
    write(pipes[1], "x", 1);
    puts("not reached");
    return 0;
}
