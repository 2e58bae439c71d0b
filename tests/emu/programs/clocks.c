/* Clocks, sleeping, calendars, timers. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(void)
{
    double before = now(CLOCK_MONOTONIC);
    struct timespec wait = { 0, 20000000 };
    printf("%d\n", nanosleep(&wait, NULL));
    double slept = now(CLOCK_MONOTONIC) - before;
    printf("%d\n", slept >= 0.02);
    int forward = 1;
    for (int i = 0; i < 1000; i++) {
        double a = now(CLOCK_MONOTONIC), b = now(CLOCK_MONOTONIC);
        forward &= a <= b;
    }
    printf("%d %d\n", forward, labs((long)now(CLOCK_REALTIME) - time(NULL)) <= 1);
    struct timeval tv;
    printf("%d", gettimeofday(&tv, NULL));
    printf(" %d\n", labs(tv.tv_sec - time(NULL)) <= 1);
    struct timespec resolution;
    printf("%d", clock_getres(CLOCK_MONOTONIC, &resolution));
    printf(" %ld\n", resolution.tv_nsec);
    printf("%d\n", now(CLOCK_PROCESS_CPUTIME_ID) >= 0);
    time_t t = 1234567890;
    char text[100];
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %j %U %a %b", gmtime(&t));
    puts(text);
    setenv("TZ", "XXX-5:30", 1);
    tzset();
    strftime(text, sizeof text, "%F %T %z %Z", localtime(&t));
    puts(text);
    struct tm tm = { .tm_year = 124, .tm_mon = 1, .tm_mday = 30, .tm_hour = 25 };
    printf("%ld", (long)mktime(&tm));
    printf(" %d-%d\n", tm.tm_mon, tm.tm_mday);
    struct timespec late = { 5, 1000000000 };
    printf("%d\n", clock_nanosleep(CLOCK_MONOTONIC, 0, &late, NULL));
    struct itimerval timer;
    printf("%d", getitimer(ITIMER_REAL, &timer));
    printf(" %ld\n", (long)timer.it_value.tv_sec);
    timer_t id;
    struct sigevent event = { .sigev_notify = SIGEV_NONE };
    struct itimerspec in = { .it_value = { 1000, 0 } }, out;
    printf("%d", timer_create(CLOCK_MONOTONIC, &event, &id));
    printf(" %d", timer_settime(id, 0, &in, NULL));
    printf(" %d", timer_gettime(id, &out));
    printf(" %d %d\n", out.it_value.tv_sec >= 998, timer_delete(id));
    struct tms usage;
    printf("%d %ld\n", times(&usage) != (clock_t)-1, sysconf(_SC_CLK_TCK));
    return 0;
}
