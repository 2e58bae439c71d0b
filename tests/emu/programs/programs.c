/* exec: ourselves, scripts, programs of the host, failures, environments. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int wait_for(pid_t pid)
{
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "again") == 0) {
        printf("%s:", argv[0]);
        for (int i = 1; i < argc; i++)
            printf(" [%s]", argv[i]);
        sigset_t mask;
        sigprocmask(SIG_BLOCK, NULL, &mask);
        printf(" %s %s blocked %d ignored %d open %d\n", getenv("LD_THING"), getenv("PATH"),
               sigismember(&mask, SIGUSR1), signal(SIGHUP, SIG_DFL) == SIG_IGN, fcntl(9, F_GETFD) != -1);
        return 21;
    }
    char *again[] = { "another name", "again", "", "with space", "--strace", "\xff", NULL };
    char *environment[] = { "LD_THING=thing", "PATH=/bin", NULL };
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGHUP, SIG_IGN);
    dup2(1, 9);
    fcntl(9, F_SETFD, FD_CLOEXEC);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        execve("./program", again, environment);
        _exit(1);
    }
    printf("%d\n", wait_for(pid));
    fflush(stdout);
    if ((pid = fork()) == 0) {
        execve("/proc/self/exe", again, environment);
        _exit(1);
    }
    printf("%d\n", wait_for(pid));
    FILE *script = fopen("script", "w");
    fprintf(script, "#! ./program again\nignored\n");
    fclose(script);
    chmod("script", 0755);
    fflush(stdout);
    if ((pid = fork()) == 0) {
        execle("./script", "name", "x", NULL, environment);
        _exit(1);
    }
    printf("%d\n", wait_for(pid));
    fflush(stdout);
    printf("%d\n", system("echo from the shell; exit 5") >> 8);
    char *echo[] = { "echo", "spawned", NULL };
    fflush(stdout);
    printf("%d", posix_spawnp(&pid, "echo", NULL, NULL, echo, environ));
    printf(" %d\n", wait_for(pid));
    printf("%s\n", strerror(posix_spawn(&pid, "./missing", NULL, NULL, echo, environ)));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    printf("%s\n", strerror(posix_spawn(&pid, "./missing", &actions, NULL, echo, environ)));
    volatile int told = 1;
    if ((pid = vfork()) == 0) {
        told = 2;
        execve("./program/not", echo, environ);
        told = 3;
        _exit(told);
    }
    printf("%d %d\n", told, wait_for(pid));
    fflush(stdout);
    FILE *out = popen("echo through a pipe; exit 3", "r");
    char line[200];
    while (fgets(line, sizeof line, out))
        printf("> %s", line);
    printf("%d\n", pclose(out) >> 8);
    execl("./missing", "x", NULL);
    printf("%s\n", strerror(errno));
    execl(".", "x", NULL);
    printf("%s\n", strerror(errno));
    close(open("empty", O_CREAT | O_WRONLY, 0755));
    execl("./empty", "x", NULL);
    printf("%s\n", strerror(errno));
    chmod("script", 0644);
    execl("./script", "x", NULL);
    printf("%s\n", getuid() ? strerror(errno) : strerror(EACCES));
    fflush(stdout);
    int fd = open("./program", O_RDONLY | O_CLOEXEC);
    fexecve(fd, again, environment);
    return 1;
}
