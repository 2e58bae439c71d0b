/* Ends by each way that its argument names. */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int forever(volatile char *p)
{
    volatile char room[4096];
    room[0] = *p;
    return forever(room) + room[1];
}
static void *leave(void *x) { exit(44); }
static void *crash(void *x) { *(volatile int *)0 = 0; return NULL; }

int main(int argc, char **argv)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    const char *how = argv[1];
    pthread_t thread;
    puts("printed before");
    fflush(stdout);
    if (!strcmp(how, "return")) return 300;
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "assert")) assert(argc == 99);
    if (!strcmp(how, "null")) *(volatile int *)0 = 1;
    if (!strcmp(how, "odd")) ((void (*)(void))1)();
    if (!strcmp(how, "stack")) return forever(argv[0]);
    if (!strcmp(how, "kill")) kill(getpid(), SIGKILL);
    if (!strcmp(how, "segv")) kill(getpid(), SIGSEGV);
    if (!strcmp(how, "ignored")) signal(SIGSEGV, SIG_IGN), *(volatile int *)0 = 1;
    if (!strcmp(how, "alarm")) ualarm(1000, 0), pause();
    if (!strcmp(how, "quit")) raise(SIGQUIT);
    if (!strcmp(how, "thread-exit")) pthread_create(&thread, NULL, leave, NULL), pause();
    if (!strcmp(how, "thread-crash")) pthread_create(&thread, NULL, crash, NULL), pause();
    if (!strcmp(how, "execute")) ((void (*)(void))argv)();
    if (!strcmp(how, "free")) { char *p = malloc(10); free(p); free(p); }
    if (!strcmp(how, "smash")) { char b[8]; memset(b, 'x', 100 * argc); puts(b); }
    return 1;
}
