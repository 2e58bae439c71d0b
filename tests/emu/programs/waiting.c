/* poll, select, epoll, eventfd, timerfd, signalfd, inotify. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

static volatile int ticks;
static void tick(int s) { ticks++; }

int main(void)
{
    int a[2], b[2];
    pipe(a);
    pipe2(b, O_NONBLOCK | O_CLOEXEC);
    struct pollfd p[3] = { { a[0], POLLIN }, { b[1], POLLOUT }, { 99, POLLIN } };
    printf("%d", poll(p, 3, 0));
    printf(" %x %x %x\n", p[0].revents, p[1].revents, p[2].revents);
    write(a[1], "x", 1);
    printf("%d", poll(p, 1, -1));
    printf(" %x\n", p[0].revents);
    close(a[1]);
    printf("%d", poll(p, 1, -1));
    printf(" %x\n", p[0].revents);
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(b[0], &in);
    FD_SET(b[1], &out);
    struct timeval tv = { 0, 1000 };
    printf("%d", select(b[1] + 1, &in, &out, NULL, &tv));
    printf(" %d %d\n", FD_ISSET(b[0], &in), FD_ISSET(b[1], &out));

    int e = epoll_create1(EPOLL_CLOEXEC), events = eventfd(3, EFD_NONBLOCK);
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec when = { .it_value = { 0, 10000000 } };
    timerfd_settime(timer, 0, &when, NULL);
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0x123456789abcdef0 };
    epoll_ctl(e, EPOLL_CTL_ADD, events, &event);
    event = (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 2 };
    epoll_ctl(e, EPOLL_CTL_ADD, timer, &event);
    event = (struct epoll_event){ .events = EPOLLIN | EPOLLHUP, .data.u64 = 3 };
    epoll_ctl(e, EPOLL_CTL_ADD, b[0], &event);
    struct epoll_event ready[5];
    int n = epoll_wait(e, ready, 5, -1);
    printf("%d %x %llx\n", n, ready[0].events, (unsigned long long)ready[0].data.u64);
    uint64_t value;
    read(events, &value, 8);
    printf("%llu\n", (unsigned long long)value);
    n = epoll_wait(e, ready, 5, 2000);
    printf("%d %x %llu\n", n, ready[0].events, (unsigned long long)ready[0].data.u64);
    read(timer, &value, 8);
    printf("%llu %d\n", (unsigned long long)value, epoll_wait(e, ready, 5, 0));
    printf("%d", epoll_ctl(e, EPOLL_CTL_DEL, 77, NULL));
    printf(" %s\n", strerror(errno));

    sigset_t mask, none;
    sigemptyset(&none);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    int signals = signalfd(-1, &mask, SFD_NONBLOCK);
    kill(getpid(), SIGUSR1);
    struct signalfd_siginfo info;
    printf("%ld", (long)read(signals, &info, sizeof info));
    printf(" %u %d\n", info.ssi_signo, info.ssi_pid == getpid());
    printf("%ld", (long)read(signals, &info, sizeof info));
    printf(" %s\n", strerror(errno));

    signal(SIGALRM, tick);
    sigaddset(&mask, SIGALRM);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    struct itimerval alarm = { .it_value = { 0, 5000 } };
    struct timespec limit = { 5, 0 };
    setitimer(ITIMER_REAL, &alarm, NULL);
    printf("%d", ppoll(p, 0, &limit, &none));
    printf(" %s %d\n", strerror(errno), ticks);
    setitimer(ITIMER_REAL, &alarm, NULL);
    printf("%d", pselect(0, NULL, NULL, NULL, &limit, &none));
    printf(" %s %d\n", strerror(errno), ticks);
    setitimer(ITIMER_REAL, &alarm, NULL);
    printf("%d", epoll_pwait(e, ready, 5, 5000, &none));
    printf(" %s %d\n", strerror(errno), ticks);

    int watch = inotify_init1(IN_NONBLOCK);
    inotify_add_watch(watch, ".", IN_CREATE | IN_DELETE);
    close(open("seen", O_CREAT | O_WRONLY, 0600));
    unlink("seen");
    char buffer[4096] __attribute__((aligned(8)));
    ssize_t length = read(watch, buffer, sizeof buffer);
    for (char *at = buffer; at < buffer + length;) {
        struct inotify_event *one = (void *)at;
        printf("%x %s\n", one->mask, one->name);
        at += sizeof *one + one->len;
    }
    return 0;
}
