/* One process traces another: each way to begin, to stop and to go on, and what
   is seen of a stopped one. The argument says which part. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
typedef struct user_regs_struct registers;
#define PC(r) (r).rip
#define BREAKPOINT "\xcc"
#define BEFORE 1 /* The pc is behind the breakpoint. */
#define FIRST(r) (r).rdi
#elif defined __riscv
typedef struct { uint64_t pc, x[31]; } registers;
#define PC(r) (r).pc
#define BREAKPOINT "\x73\x00\x10\x00"
#define BEFORE 0
#define FIRST(r) (r).x[9]
#else
typedef struct { uint64_t x[31], sp, pc, pstate; } registers;
#define PC(r) (r).pc
#define BREAKPOINT "\x00\x00\x20\xd4"
#define BEFORE 0
#define FIRST(r) (r).x[0]
#endif

struct call_info {
    uint8_t op, pad[3];
    uint32_t arch;
    uint64_t pc, sp;
    union {
        struct { uint64_t nr, args[6]; } entry;
        struct { int64_t rval; uint8_t is_error; } exit;
    };
};

static volatile long watched = 11;
static int sysgood = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;

static void expect(int ok, const char *what) { if (!ok) { printf("not so: %s (%s)\n", what, strerror(errno)); fflush(stdout); _exit(1); } }
#define EXPECT(x) expect((x), #x)

static void show(const char *who, int status)
{
    if (WIFEXITED(status)) printf("%s: exited %d\n", who, WEXITSTATUS(status));
    else if (WIFSIGNALED(status)) printf("%s: killed %d\n", who, WTERMSIG(status));
    else printf("%s: stopped %#x event %d\n", who, WSTOPSIG(status), status >> 16);
    fflush(stdout);
}

static int next(pid_t pid, const char *who)
{
    int status;
    EXPECT(waitpid(pid, &status, __WALL) == pid);
    show(who, status);
    return status;
}

static registers get(pid_t pid)
{
    registers r;
    struct iovec v = { &r, sizeof r };
    EXPECT(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v) == 0);
    EXPECT(v.iov_len == sizeof r);
    return r;
}

static void set(pid_t pid, registers r)
{
    struct iovec v = { &r, sizeof r };
    EXPECT(ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &v) == 0);
}

/* A child that is traced and stopped before it calls `then`. */
static pid_t traced(void (*then)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        EXPECT(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
        raise(SIGSTOP);
        then();
        _exit(9);
    }
    int status;
    EXPECT(waitpid(pid, &status, 0) == pid);
    EXPECT(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    EXPECT(ptrace(PTRACE_SETOPTIONS, pid, 0, sysgood) == 0);
    return pid;
}

static void calls(void)
{
    syscall(SYS_getppid);
    syscall(SYS_write, 1, "written\n", 8);
    syscall(SYS_close, 12345);
    syscall(SYS_exit_group, 7);
}

static const char *name_of(uint64_t nr)
{
    return nr == SYS_getppid ? "getppid" : nr == SYS_write ? "write" : nr == SYS_close ? "close" : nr == SYS_exit_group ? "exit_group" : "another";
}

static void test_calls(void)
{
    pid_t pid = traced(calls);
    int status = 0, inside = 0;
    struct call_info info;
    while (ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
        EXPECT(WSTOPSIG(status) == (SIGTRAP | 0x80));
        memset(&info, 0, sizeof info);
        long size = ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
        inside = !inside;
        EXPECT(info.op == (inside ? 1 : 2) && info.pc != 0 && info.sp != 0);
        if (inside && !strcmp(name_of(info.entry.nr), "another")) { inside = 2; }
        if (inside == 2) { ptrace(PTRACE_SYSCALL, pid, 0, 0); waitpid(pid, &status, 0); inside = 0; continue; }
        if (inside) printf("%s(%d) of %ld bytes\n", name_of(info.entry.nr), info.entry.nr == SYS_getppid ? 0 : (int)info.entry.args[0], size);
        else printf("  = %ld %d\n", (long)(info.exit.rval == getpid() ? 0 : info.exit.rval), info.exit.is_error);
        fflush(stdout);
    }
    show("caller", status);
}

static void tell(void) { printf("watched is %ld\n", watched); fflush(stdout); _exit(0); }

static void test_memory(void)
{
    pid_t pid = traced(tell);
    errno = 0;
    printf("peeked %ld\n", ptrace(PTRACE_PEEKDATA, pid, &watched, 0));
    EXPECT(errno == 0);
    EXPECT(ptrace(PTRACE_PEEKDATA, pid, (void *)8, 0) == -1 && errno == EIO);
    EXPECT(ptrace(PTRACE_POKEDATA, pid, &watched, 22L) == 0);
    long there = 0;
    struct iovec local = { &there, 8 }, remote = { (void *)&watched, 8 };
    EXPECT(process_vm_readv(pid, &local, 1, &remote, 1, 0) == 8);
    printf("read %ld, own %ld\n", there, watched);
    there = 33;
    EXPECT(process_vm_writev(pid, &local, 1, &remote, 1, 0) == 8);
    EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    next(pid, "teller");
}

static volatile int one, two;
static void on_one(int s) { one++; }
static void on_two(int s) { two++; }
static void raising(void)
{
    signal(SIGUSR1, on_one);
    signal(SIGUSR2, on_two);
    raise(SIGUSR1);
    raise(SIGUSR1);
    raise(SIGUSR1);
    raise(SIGWINCH);
    printf("handled %d %d\n", one, two);
    fflush(stdout);
    raise(SIGTERM);
}

static void test_signals(void)
{
    pid_t pid = traced(raising);
    siginfo_t info;
    EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    next(pid, "raiser");
    EXPECT(ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0);
    printf("info %d %d own %d\n", info.si_signo, info.si_code, info.si_pid == pid);
    EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    next(pid, "raiser");
    EXPECT(ptrace(PTRACE_CONT, pid, 0, SIGUSR1) == 0);
    next(pid, "raiser");
    EXPECT(ptrace(PTRACE_CONT, pid, 0, SIGUSR2) == 0);
    next(pid, "raiser");
    EXPECT(ptrace(PTRACE_CONT, pid, 0, SIGWINCH) == 0);
    next(pid, "raiser");
    EXPECT(ptrace(PTRACE_CONT, pid, 0, SIGTERM) == 0);
    next(pid, "raiser");
}

__attribute__((noinline, aligned(16))) static long target(long x) { __asm__ volatile("" : "+r"(x)); return x * 3; }
static void targets(void)
{
    long sum = 0;
    for (int i = 0; i < 3; i++) sum += target(i + 5);
    printf("sum %ld\n", sum);
    fflush(stdout);
    _exit(0);
}

static void test_breakpoint(void)
{
    pid_t pid = traced(targets);
    long before = ptrace(PTRACE_PEEKTEXT, pid, target, 0), with = before;
    memcpy(&with, BREAKPOINT, sizeof BREAKPOINT - 1);
    for (int hit = 0; hit < 3; hit++) {
        EXPECT(ptrace(PTRACE_POKETEXT, pid, target, with) == 0);
        EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
        next(pid, "hit");
        registers r = get(pid);
        EXPECT(PC(r) == (uint64_t)target + BEFORE);
        printf("argument %ld\n", (long)FIRST(r));
        FIRST(r) += 100;
        PC(r) = (uint64_t)target;
        set(pid, r);
        EXPECT(ptrace(PTRACE_POKETEXT, pid, target, before) == 0);
        EXPECT(ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == 0);
        next(pid, "stepped");
        r = get(pid);
        EXPECT(PC(r) > (uint64_t)target && PC(r) < (uint64_t)target + 32);
        siginfo_t info;
        EXPECT(ptrace(PTRACE_GETSIGINFO, pid, 0, &info) == 0);
        printf("code %d\n", info.si_code);
    }
    EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    next(pid, "target");
}

static void test_steps(void)
{
    pid_t pid = traced(targets);
    int steps = 0, status;
    for (;;) {
        EXPECT(ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == 0);
        EXPECT(waitpid(pid, &status, 0) == pid);
        if (!WIFSTOPPED(status)) break;
        EXPECT(WSTOPSIG(status) == SIGTRAP);
        steps++;
    }
    show("stepped", status);
    printf("many steps: %d\n", steps > 100);
}

static void *thread(void *x) { return 0; }
static void making(void)
{
    pthread_t t;
    int status;
    pid_t pid = fork();
    if (pid == 0) _exit(3);
    waitpid(pid, &status, 0);
    pthread_create(&t, 0, thread, 0);
    pthread_join(t, 0);
    pid = vfork();
    if (pid == 0) _exit(4);
    waitpid(pid, &status, 0);
    _exit(5);
}

/* Everything that is made is traced; counted, for order is nobody's promise. */
static void follow(pid_t pid, int seized)
{
    int events[8] = { 0 }, first = 0, exits[16] = { 0 }, left = 1, status;
    pid_t made[8], got;
    int count = 0, stops = 0;
    while (left > 0) {
        got = waitpid(-1, &status, __WALL);
        EXPECT(got > 0);
        if (!WIFSTOPPED(status)) { if (WIFEXITED(status)) exits[WEXITSTATUS(status)]++; left--; continue; }
        int event = status >> 16, signal = WSTOPSIG(status);
        if (event && event < 8) {
            unsigned long message = 0;
            EXPECT(ptrace(PTRACE_GETEVENTMSG, got, 0, &message) == 0);
            events[event]++;
            if (event < PTRACE_EVENT_EXEC) { made[count++] = message; left++; }
            signal = 0;
        } else if (seized ? event == PTRACE_EVENT_STOP : signal == SIGSTOP) {
            stops++;
            signal = 0;
        } else if (signal == SIGTRAP) signal = 0;
        EXPECT(ptrace(PTRACE_CONT, got, 0, signal == SIGCHLD ? 0 : signal) == 0);
    }
    /* A thread that has not quite ended ends with its process's status. */
    printf("fork %d vfork %d clone %d exec %d done %d exit %d; stops %d; exits %d %d %d\n", events[1], events[2], events[3], events[4], events[5], events[6], stops, exits[3], exits[4], exits[0] + exits[5]);
}

static void one_child(void)
{
    pid_t pid = fork();
    if (pid == 0) { syscall(SYS_getppid); _exit(3); }
    waitpid(pid, 0, 0);
    _exit(5);
}

/* Calls of a child begin before they end. */
static void test_child_calls(void)
{
    pid_t pid = traced(one_child), child = 0, got;
    int status, began = 0, ended = 0, begins_first = 1, left = 1;
    EXPECT(ptrace(PTRACE_SETOPTIONS, pid, 0, sysgood | PTRACE_O_TRACEFORK) == 0);
    EXPECT(ptrace(PTRACE_SYSCALL, pid, 0, 0) == 0);
    while (left > 0) {
        got = waitpid(-1, &status, __WALL);
        EXPECT(got > 0);
        if (!WIFSTOPPED(status)) { left--; continue; }
        int signal = WSTOPSIG(status);
        if (status >> 16 == PTRACE_EVENT_FORK) left++;
        if (signal == (SIGTRAP | 0x80) && got != pid) {
            struct call_info info;
            EXPECT(ptrace(PTRACE_GET_SYSCALL_INFO, got, sizeof info, &info) > 0);
            if (info.op == 1) began++; else ended++;
            begins_first &= began >= ended;
        }
        EXPECT(ptrace(PTRACE_SYSCALL, got, 0, signal == SIGCHLD ? SIGCHLD : 0) == 0);
    }
    printf("begins first: %d, all ended but one: %d\n", begins_first, began == ended + 1);
}

static void test_made(void)
{
    pid_t pid = traced(making);
    int all = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT;
    EXPECT(ptrace(PTRACE_SETOPTIONS, pid, 0, sysgood | all) == 0);
    EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    follow(pid, 0);
    fflush(stdout);
    int ready[2];
    char c;
    EXPECT(pipe(ready) == 0);
    pid = fork();
    if (pid == 0) { close(ready[1]); read(ready[0], &c, 1); making(); }
    EXPECT(ptrace(PTRACE_SEIZE, pid, 0, all) == 0);
    close(ready[0]);
    close(ready[1]);
    follow(pid, 1);
}

static char *self;
static void executes(void) { execl(self, self, "hello", (char *)0); _exit(6); }

static void test_exec(void)
{
    pid_t pid = traced(executes);
    EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    next(pid, "old way");
    EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    next(pid, "old way");
    pid = traced(executes);
    unsigned long message = 0;
    EXPECT(ptrace(PTRACE_SETOPTIONS, pid, 0, sysgood | PTRACE_O_TRACEEXEC) == 0);
    EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    next(pid, "with the event");
    EXPECT(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message) == 0);
    printf("former thread is the process: %d\n", message == (unsigned long)pid);
    EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    next(pid, "with the event");
}

static void test_seize(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) for (;;) watched++;
    EXPECT(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == -1 && errno == ESRCH);
    EXPECT(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL) == 0);
    EXPECT(ptrace(PTRACE_GETEVENTMSG, pid, 0, &watched) == -1 && errno == ESRCH);
    EXPECT(ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0);
    next(pid, "spinner");
    registers r = get(pid);
    EXPECT(PC(r) != 0);
    EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    kill(pid, SIGSTOP);
    next(pid, "spinner");
    EXPECT(ptrace(PTRACE_CONT, pid, 0, SIGSTOP) == 0);
    next(pid, "spinner");
    siginfo_t info;
    EXPECT(ptrace(PTRACE_LISTEN, pid, 0, 0) == 0);
    kill(pid, SIGCONT);
    next(pid, "spinner");
    EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
    next(pid, "spinner");
    EXPECT(ptrace(PTRACE_DETACH, pid, 0, 0) == 0);
    EXPECT(ptrace(PTRACE_CONT, pid, 0, 0) == -1 && errno == ESRCH);
    kill(pid, SIGKILL);
    next(pid, "spinner");
}

/* A stranger, which sleeps in a system call. */
static void test_attach(void)
{
    int told[2], go[2];
    pid_t stranger;
    char c;
    fflush(stdout);
    EXPECT(pipe(told) == 0 && pipe(go) == 0);
    pid_t middle = fork();
    if (middle == 0) {
        if ((stranger = fork()) == 0) {
            close(go[1]);
            long got = read(go[0], &c, 1);
            printf("read %ld, watched %ld\n", got, watched);
            fflush(stdout);
            _exit(8);
        }
        write(told[1], &stranger, sizeof stranger);
        _exit(0);
    }
    read(told[0], &stranger, sizeof stranger);
    waitpid(middle, 0, 0);
    EXPECT(ptrace(PTRACE_ATTACH, stranger, 0, 0) == 0);
    int status = next(stranger, "stranger");
    EXPECT(WSTOPSIG(status) == SIGSTOP);
    EXPECT(ptrace(PTRACE_POKEDATA, stranger, &watched, 44L) == 0);
    EXPECT(ptrace(PTRACE_CONT, stranger, 0, 0) == 0);
    usleep(50000);
    EXPECT(waitpid(stranger, &status, WNOHANG | __WALL) == 0);
    write(go[1], "x", 1);
    next(stranger, "stranger");
    EXPECT(ptrace(PTRACE_ATTACH, getpid(), 0, 0) == -1 && errno == EPERM);
    EXPECT(ptrace(PTRACE_CONT, 1, 0, 0) == -1 && errno == ESRCH);
}

/* A tracer that dies leaves its tracee, or takes it along. */
static void test_gone(void)
{
    for (int kills = 0; kills < 2; kills++) {
        int told[2];
        char c;
        fflush(stdout);
        EXPECT(pipe(told) == 0);
        pid_t spared = fork();
        if (spared == 0) { close(told[0]); usleep(200000); write(told[1], "x", 1); _exit(0); }
        pid_t tracer = fork();
        if (tracer == 0) {
            EXPECT(ptrace(PTRACE_SEIZE, spared, 0, kills ? PTRACE_O_EXITKILL : 0) == 0);
            EXPECT(ptrace(PTRACE_INTERRUPT, spared, 0, 0) == 0);
            EXPECT(waitpid(spared, 0, __WALL) == spared);
            _exit(0);
        }
        close(told[1]);
        waitpid(tracer, 0, 0);
        printf("told: %ld\n", (long)read(told[0], &c, 1));
        next(spared, "spared");
    }
}

int main(int argc, char **argv)
{
    self = argv[0];
    setvbuf(stdout, 0, _IONBF, 0);
    const char *part = argc > 1 ? argv[1] : "";
    if (!strcmp(part, "hello")) { printf("hello\n"); return 0; }
    struct { const char *name; void (*run)(void); } parts[] = {
        { "calls", test_calls }, { "memory", test_memory }, { "signals", test_signals }, { "breakpoint", test_breakpoint },
        { "steps", test_steps }, { "made", test_made }, { "child", test_child_calls }, { "exec", test_exec }, { "seize", test_seize }, { "attach", test_attach }, { "gone", test_gone },
    };
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!*part || !strcmp(part, parts[i].name)) { printf("-- %s\n", parts[i].name); fflush(stdout); parts[i].run(); }
    return 0;
}
