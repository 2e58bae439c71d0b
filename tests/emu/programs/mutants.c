/* mutants SAPWOOD SYSROOT SEED ROUNDS PROGRAM...

   Runs damaged copies of guest programs, each made from a seed: headers with
   fields that make no sense, files that end too early, code and data with other
   bytes. Whatever becomes of one, it must not be a crash of the emulator: it
   ends, dies of a signal of its own, or is refused in one line.

   A mutant may ask for anything, so they run as nobody, in name spaces of their
   own, where all files but a few in memory are read-only. Without the right to
   make those only what never runs far is damaged: the headers. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t seed;
static uint64_t draw(void) { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; return seed; }
static uint64_t below(uint64_t n) { return draw() % n; }

static char *slurp(const char *path, size_t *length)
{
    FILE *f = fopen(path, "rb");
    if (!f) { *length = 0; return calloc(1, 1); }
    size_t room = 1 << 20;
    char *bytes = malloc(room + 1);
    *length = 0;
    for (size_t got; (got = fread(bytes + *length, 1, room - *length, f)) > 0;)
        if ((*length += got) == room) bytes = realloc(bytes, (room *= 2) + 1);
    bytes[*length] = 0;
    fclose(f);
    return bytes;
}

static void spill(const char *path, const char *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    if (fd < 0 || write(fd, bytes, length) != (ssize_t)length) { perror(path); exit(2); }
    close(fd);
}

/* A number that is likely to be wrong somewhere. */
static uint64_t odd(void)
{
    static const uint64_t all[] = { 0, 1, 7, 0xfff, 0x1000, 0x1001, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 1ull << 38, (1ull << 38) - 1, 1ull << 47, 1ull << 63, ~0ull, ~0ull - 4095, ~0ull << 12 };
    return below(3) ? all[below(sizeof all / sizeof *all)] : draw();
}

/* Damages a copy; gives how long it is. */
static size_t damage(char *bytes, size_t length, int everything)
{
    size_t headers = 64 + 56 * 10 < length ? 64 + 56 * 10 : length;
    for (int left = 1 + below(3); left > 0; left--) {
        uint64_t value = odd();
        switch (below(everything ? 6 : 3)) {
        case 0: /* A field of the header. */
            memcpy(bytes + 16 + 2 * below(24), &value, 1ull << below(3));
            break;
        case 1: /* A field of a program header. */
            memcpy(bytes + 64 + 8 * below((headers - 64) / 8 - 1), &value, below(2) ? 8 : 4);
            break;
        case 2: /* It ends early. */
            if (below(3) == 0) length = length < 128 ? length : 64 + below(length - 64);
            break;
        case 3: /* Some bytes anywhere. */
            for (int n = 1 + below(64); n > 0; n--) bytes[64 + below(length - 64)] = draw();
            break;
        case 4: { /* A run of one byte, or of noise. */
            size_t at = 64 + below(length - 64), run = below(256);
            for (size_t i = at; i < at + run && i < length; i++) bytes[i] = value & 1 ? (char)(value >> 8) : (char)draw();
            break;
        }
        case 5: /* One bit of the first pages, where what is linked first is. */
            bytes[64 + below((length < 65536 ? length : 65536) - 64)] ^= 1 << below(8);
            break;
        }
    }
    return length;
}

static int isolated(void)
{
    if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC)) return 0;
    pid_t pid = fork();
    int status;
    if (pid > 0) {
        waitpid(pid, &status, 0);
        exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
    }
    return !mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) && !mount("proc", "/proc", "proc", 0, 0)
        && !mount("tmpfs", "/mnt", "tmpfs", 0, 0) && !mount(0, "/", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0);
}

int main(int argc, char **argv)
{
    uint64_t first = strtoull(argv[3], 0, 0), rounds = strtoull(argv[4], 0, 0);
    int programs = argc - 5, bad = 0, counts[4] = { 0 };
    size_t lengths[16], length;
    char *originals[16], *sysroot = argv[2];
    for (int i = 0; i < programs; i++) originals[i] = slurp(argv[5 + i], &lengths[i]);
    char *emulator = slurp(argv[1], &length);
    int everything = isolated();
    if (chdir(everything ? "/mnt" : ".")) return 2;
    spill("emulator", emulator, length);
    free(emulator);
    for (uint64_t round = 0; round < rounds; round++) {
        seed = (first + round) * 0x9e3779b97f4a7c15ull + 1;
        for (int i = 0; i < 8; i++) draw();
        int which = below(programs);
        char *copy = malloc(lengths[which] + 64);
        memcpy(copy, originals[which], lengths[which]);
        spill("mutant", copy, damage(copy, lengths[which], everything));
        free(copy);
        pid_t pid = fork();
        if (pid == 0) {
            struct rlimit seconds = { 2, 3 }, files = { 1 << 27, 1 << 27 }, processes = { 64, 64 }, core = { 0, 0 };
            setrlimit(RLIMIT_CPU, &seconds);
            setrlimit(RLIMIT_FSIZE, &files);
            setrlimit(RLIMIT_CORE, &core);
            close(0);
            open("/dev/null", O_RDONLY);
            dup2(open("out", O_WRONLY | O_CREAT | O_TRUNC, 0666), 1);
            dup2(open("errors", O_WRONLY | O_CREAT | O_TRUNC, 0666), 2);
            if (everything) { setrlimit(RLIMIT_NPROC, &processes); setgid(65534); setuid(65534); }
            alarm(10);
            char *const environment[] = { "PATH=/usr/bin:/bin", 0 };
            execle("./emulator", "sapwood", "emu", "--no-cache", "-L", sysroot, "./mutant", (char *)0, environment);
            _exit(99);
        }
        int status;
        waitpid(pid, &status, 0);
        kill(-1, SIGKILL * everything);
        while (everything && waitpid(-1, 0, 0) > 0) { }
        char *errors = slurp("errors", &length);
        int refused = !strncmp(errors, "error: ", 7);
        int lines = 0;
        for (size_t i = 0; i < length; i++) lines += errors[i] == '\n';
        int ours = strstr(errors, "emulator itself broke") || strstr(errors, "panicked at") || strstr(errors, "memory allocation of");
        if (ours || (refused && (lines != 1 || !WIFEXITED(status))) || (WIFEXITED(status) && WEXITSTATUS(status) == 99)) {
            printf("seed %llu of %s: status %#x\n%.2000s\n", (unsigned long long)(first + round), argv[5 + which], status, errors);
            bad++;
        }
        int slow = WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGALRM);
        counts[refused ? 0 : slow ? 3 : WIFSIGNALED(status) ? 2 : 1]++;
        free(errors);
    }
    fprintf(stderr, "%llu mutants%s: %d refused, %d ended, %d died of a signal, %d took too long\n", (unsigned long long)rounds, everything ? "" : ", of headers only", counts[0], counts[1], counts[2], counts[3]);
    printf("%d crashes\n", bad);
    return bad != 0;
}
