/* Faults that the program handles: where, why, and going on. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf back;
static char *volatile page;
static volatile int fixed;

static void on_fault(int s, siginfo_t *info, void *context)
{
    char *at = info->si_addr;
    printf("signal %d code %d ", s, info->si_code);
    if (at >= page && at < page + 16384)
        printf("at page + %d\n", (int)(at - page));
    else if ((uintptr_t)at < 65536)
        printf("at %d\n", (int)(uintptr_t)at);
    else
        printf("elsewhere\n");
    siglongjmp(back, 1);
}

static void repair(int s, siginfo_t *info, void *context)
{
    fixed++;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void handle(int s, void (*f)(int, siginfo_t *, void *))
{
    struct sigaction a = { .sa_sigaction = f, .sa_flags = SA_SIGINFO };
    sigaction(s, &a, NULL);
}

#define TRY(what) do { if (sigsetjmp(back, 1) == 0) { what; puts("no fault: " #what); } } while (0)

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    page = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    handle(SIGSEGV, on_fault);
    handle(SIGBUS, on_fault);
    handle(SIGILL, on_fault);
    volatile char *p = page, *null = NULL;
    TRY(*null = 1);
    TRY(*(volatile int *)(null + 100));
    TRY(p[10] = 1);
    mprotect(page, 4096, PROT_READ);
    TRY(p[11] = 1);
    TRY((void)p[10]);
    mprotect(page, 4096, PROT_NONE);
    TRY((void)p[12]);
    munmap(page + 8192, 4096);
    TRY(p[8192] = 1);
    TRY(((void (*)(void))(page + 4096))());
    FILE *file = tmpfile();
    fputs("short", file);
    fflush(file);
    munmap(page, 16384);
    page = mmap(NULL, 16384, PROT_READ, MAP_SHARED, fileno(file), 0);
    p = page;
    TRY((void)p[4095]);
    TRY((void)p[4097]);
    for (int i = 0; i < 1000; i++)
        if (sigsetjmp(back, 1) == 0) {
            fclose(fopen("/dev/null", "w"));
            handle(SIGSEGV, repair);
            page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            *(volatile char *)page = i;
            fixed += page[0] == (char)i;
            munmap(page, 4096);
        }
    printf("%d\n", fixed);
    handle(SIGSEGV, on_fault);
    return 0;
}
