/* What a guest finds in a root of its own, and about itself. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static void list(const char *folder)
{
    char *names[100];
    int count = 0;
    DIR *open = opendir(folder);
    for (struct dirent *e; (e = readdir(open));)
        if (e->d_name[0] != '.')
            names[count++] = strdup(e->d_name);
    closedir(open);
    qsort(names, count, sizeof *names, by_name);
    printf("%s:", folder);
    for (int i = 0; i < count; i++)
        printf(" %s", names[i]);
    puts("");
}

static void show(const char *name, int fd)
{
    char text[200] = "";
    if (fd < 0)
        printf("%s: %s\n", name, strerror(errno));
    else if (read(fd, text, sizeof text - 1) >= 0)
        printf("%s: %s", name, text);
}

static void run(char **arguments)
{
    fflush(stdout);
    if (fork() == 0) {
        execv(arguments[0], arguments);
        perror(arguments[0]);
        _exit(127);
    }
    wait(0);
}

static void paths(void)
{
    char text[200] = "";
    list("/");
    show("/link", open("/link", O_RDONLY));
    show("/usr/../../../link", open("/usr/../../../link", O_RDONLY));
    chdir("/usr/share");
    show("relative", open("../../../link", O_RDONLY));
    show("/etc/passwd", open("/etc/passwd", O_RDONLY));
    readlink("/proc/self/exe", text, sizeof text - 1);
    printf("/proc/self/exe -> %s\n", text);
    run((char *[]){ "/bin/again", "again", 0 });
    run((char *[]){ "/bin/script", 0 });
    chdir("/tmp");
    int made = open("made", O_CREAT | O_WRONLY, 0644);
    write(made, "made inside\n", 12);
    snprintf(text, sizeof text, "/proc/self/fd/%d", made);
    char name[200] = "";
    readlink(text, name, sizeof name - 1);
    printf("made: %s in %s\n", name, getcwd(text, sizeof text));
}

static void *wait_for_end(void *lock) { pthread_mutex_lock(lock); return 0; }

static void proc(void)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t thread;
    pthread_mutex_lock(&lock);
    pthread_create(&thread, 0, wait_for_end, &lock);
    char line[500], *only = "only the guest's";
    unsigned long start, end, total = 0, threads = 0, size = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    char writable[500] = "none writable and executable";
    while (fgets(line, sizeof line, file)) {
        char how[5];
        sscanf(line, "%lx-%lx %4s", &start, &end, how);
        total += end - start;
        if (strstr(line, "sapwood") || end > 1ul << 38)
            only = strdup(line);
        if (strstr(how, "wx"))
            strcpy(writable, line);
    }
    printf("maps: %s, %s\n", only, writable);
    file = fopen("/proc/self/cmdline", "r");
    size_t length = fread(line, 1, sizeof line, file);
    for (size_t i = 0; i + 1 < length; i++)
        if (!line[i])
            line[i] = ' ';
    printf("cmdline: %s\n", line);
    printf("mem: %s\n", open("/proc/self/mem", O_RDWR) < 0 ? strerror(errno) : "open");
    file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, file)) {
        sscanf(line, "Threads: %lu", &threads);
        sscanf(line, "VmSize: %lu", &size);
    }
    printf("status: %lu threads, size %s\n", threads,
           size >= total / 1024 && size < total / 1024 + 1024 ? "as mapped" : "wrong");
    file = fopen("/proc/self/stat", "r");
    fscanf(file, "%*d %s %*c", line);
    for (int field = 4; field < 20; field++)
        fscanf(file, "%*s");
    fscanf(file, "%lu", &threads);
    printf("stat: %s %lu threads\n", line, threads);
    int tasks = 0;
    DIR *open = opendir("/proc/self/task");
    for (struct dirent *e; (e = readdir(open));)
        tasks += e->d_name[0] != '.';
    printf("task: %d\n", tasks);
    file = fopen("/proc/cpuinfo", "r");
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, "isa", 3)) {
            printf("cpuinfo: %s", line);
            break;
        }
}

int main(int argc, char **argv)
{
    char text[200] = "", where[200];
    if (argc > 1 && !strcmp(argv[1], "paths"))
        paths();
    else if (argc > 1 && !strcmp(argv[1], "proc"))
        proc();
    else if (argc > 2)
        printf("script: %s %s %s\n", argv[0], argv[1], argv[2]);
    else {
        readlink("/proc/self/exe", text, sizeof text - 1);
        printf("%s: %s in %s\n", argv[0], text, getcwd(where, sizeof where));
    }
    return 0;
}
