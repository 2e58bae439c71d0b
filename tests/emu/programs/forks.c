/* forks N: N times, a fork with both sides running code that is new to them.
   churn SECONDS: makes code, runs it and throws it away. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef unsigned (*code)(unsigned);

/* `return argument + n`, n < 2048, for the machine this is built for. */
static size_t make(unsigned char *at, unsigned n)
{
#if defined __riscv
    unsigned words[] = { 0x0005051b | n << 20, 0x00008067 };
#elif defined __aarch64__
    unsigned words[] = { 0x11000000 | n << 10, 0xd65f03c0 };
#else
    unsigned char words[] = { 0x8d, 0x87, n, n >> 8, 0, 0, 0xc3 };
#endif
    memcpy(at, words, sizeof words);
    return sizeof words;
}

static unsigned run(unsigned n, unsigned argument)
{
    unsigned char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t length = make(page, n);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    __builtin___clear_cache((char *)page, (char *)page + length);
    unsigned result = ((code)page)(argument);
    munmap(page, 4096);
    return result;
}

static int forks(int count)
{
    unsigned sum = 0, wrong = 0;
    for (int i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return perror("fork"), 1;
        if (pid == 0)
            _exit(run(i % 2000, 1) % 251);
        sum += run((i * 7) % 2000, i);
        int status;
        waitpid(pid, &status, 0);
        wrong += !WIFEXITED(status) || WEXITSTATUS(status) != (i % 2000 + 1) % 251;
    }
    printf("%d forks, sum %u, %u wrong\n", count, sum, wrong);
    return wrong != 0;
}

static int churn(int seconds)
{
    unsigned n = 0, wrong = 0;
    unsigned char *pages = mmap(0, 1 << 20, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (time_t end = time(0) + seconds; time(0) < end || n < 4;) {
        size_t used = 0, length = 0;
        for (int i = 0; i < 2000; i++, used += 64)
            length = make(pages + used, (n + i) % 2000);
        __builtin___clear_cache((char *)pages, (char *)pages + used + length);
        for (int i = 0; i < 2000; i++)
            wrong += ((code)(pages + i * 64))(i) != i + (n + i) % 2000;
        n++;
    }
    /* How much of the machine's memory it has, in MiB. */
    char line[256];
    long resident = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status))
        sscanf(line, "VmRSS: %ld", &resident);
    printf("churned, %u wrong, %s\n", wrong, resident < 400 << 10 ? "bounded" : line);
    return wrong != 0;
}

int main(int argc, char **argv)
{
    int count = atoi(argv[2]);
    return strcmp(argv[1], "forks") ? churn(count) : forks(count);
}
