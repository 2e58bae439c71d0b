/* argv, environment, atexit order, getopt, limits, names. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

static void first(void) { puts("registered first, runs last"); }
static void second(void) { puts("registered second"); }
__attribute__((constructor)) static void before(void) { puts("constructor"); }
__attribute__((destructor)) static void after(void) { puts("destructor"); }

int main(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        printf("%d [%s]\n", i, argv[i]);
    printf("%s %d\n", program_invocation_short_name, argv[argc] == NULL);
    int c;
    opterr = 1;
    while ((c = getopt(argc, argv, "ab:")) != -1)
        printf("option %c %s\n", c, optarg);
    setenv("NEW", "value", 1);
    putenv("OTHER=thing");
    unsetenv("HOME");
    printf("%s %s %s %s\n", getenv("NEW"), getenv("OTHER"), getenv("HOME"), getenv("LC_ALL"));
    struct utsname names;
    uname(&names);
    printf("%s %d\n", names.sysname, strlen(names.machine) > 3);
    printf("%ld %d\n", sysconf(_SC_PAGESIZE), sysconf(_SC_NPROCESSORS_ONLN) == get_nprocs());
    struct rlimit limit = { 100, 200 };
    printf("%d", setrlimit(RLIMIT_NOFILE, &limit));
    getrlimit(RLIMIT_NOFILE, &limit);
    printf(" %ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
    char name[17] = { 0 };
    prctl(PR_SET_NAME, "renamed thread x");
    prctl(PR_GET_NAME, name);
    puts(name);
    printf("%d %ld\n", getauxval(AT_PAGESZ) == 4096, getauxval(AT_SECURE));
    printf("%d %d\n", getpid() > 1, getuid() == geteuid());
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    puts(strrchr(path, '/'));
    FILE *file = fopen("/proc/self/cmdline", "r");
    n = fread(path, 1, sizeof path, file);
    fclose(file);
    for (int i = 0; i < n; i++)
        putchar(path[i] ? path[i] : '|');
    file = fopen("/proc/self/comm", "r");
    fgets(path, sizeof path, file);
    printf("\n%s", path);
    fclose(file);
    unsigned long here = (unsigned long)&limit, there = (unsigned long)main;
    int found = 0, writable_code = 0;
    file = fopen("/proc/self/maps", "r");
    while (fgets(path, sizeof path, file)) {
        unsigned long from, to;
        char mode[5], *stack = strstr(path, "[stack]");
        sscanf(path, "%lx-%lx %4s", &from, &to, mode);
        if (from <= here && here < to)
            found |= stack ? 1 : 2;
        if (from <= there && there < to)
            found |= strcmp(mode, "r-xp") ? 4 : 8;
        writable_code |= mode[1] == 'w' && mode[2] == 'x';
    }
    printf("%d %d\n", found, writable_code);
    atexit(first);
    atexit(second);
    exit(-1);
}
