/* fork, wait, pipes, groups, shared memory, orphaned descriptors. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int child(int how)
{
    switch (how) {
    case 0: _exit(0);
    case 1: _exit(255);
    case 2: exit(17);
    case 3: abort();
    case 4: raise(SIGKILL);
    case 5: *(volatile int *)8 = 1;
    case 6: raise(SIGTERM);
    case 7: alarm(1), pause();
    }
    return 99;
}

int main(void)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    for (int how = 0; how < 8; how++) {
        pid_t pid = fork();
        if (pid == 0)
            return child(how);
        int status;
        pid_t got = waitpid(pid, &status, 0);
        printf("%d %d exited %d %d signaled %d %d\n", how, got == pid, WIFEXITED(status), WEXITSTATUS(status),
               WIFSIGNALED(status), WTERMSIG(status));
    }
    /* A pipeline of processes that each add one. */
    int in[2], out[2];
    pipe(in);
    write(in[1], &(int){ 5 }, 4);
    close(in[1]);
    for (int i = 0; i < 10; i++) {
        pipe(out);
        if (fork() == 0) {
            int v;
            close(out[0]);
            read(in[0], &v, 4);
            v++;
            write(out[1], &v, 4);
            _exit(0);
        }
        close(out[1]);
        close(in[0]);
        in[0] = out[0];
    }
    int v = 0;
    read(in[0], &v, 4);
    printf("%d\n", v);
    int n = 0;
    while (wait(NULL) > 0)
        n++;
    printf("%d %s\n", n, strerror(errno));
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int private = 1;
    for (int i = 0; i < 20; i++)
        if (fork() == 0) {
            __sync_fetch_and_add(shared, i);
            private++;
            _exit(private);
        }
    int sum = 0, status;
    while (wait(&status) > 0)
        sum += WEXITSTATUS(status);
    printf("%d %d %d\n", *shared, private, sum);
    pid_t stopped = fork();
    if (stopped == 0) {
        raise(SIGSTOP);
        _exit(4);
    }
    waitpid(stopped, &status, WUNTRACED);
    printf("%d %d\n", WIFSTOPPED(status), WSTOPSIG(status));
    kill(stopped, SIGCONT);
    siginfo_t info = { 0 };
    waitid(P_PID, stopped, &info, WEXITED | WNOWAIT);
    printf("%d %d %d\n", info.si_signo, info.si_code, info.si_status);
    waitpid(stopped, &status, 0);
    printf("%d %d\n", WEXITSTATUS(status), getppid() == getpgid(getppid()) || 1);
    printf("%d", waitpid(12345678, NULL, 0));
    printf(" %s\n", strerror(errno));
    if (vfork() == 0)
        _exit(3);
    wait(&status);
    printf("%d\n", WEXITSTATUS(status));
    fflush(stdout);
    printf("buffered twice\n");
    if (fork() == 0)
        exit(0);
    wait(NULL);
    struct rusage usage;
    printf("%d\n", getrusage(RUSAGE_CHILDREN, &usage));
    return 0;
}
