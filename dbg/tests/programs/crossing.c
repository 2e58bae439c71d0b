/* Four threads that cross the same instructions all the time, with signals
   raining and processes being forked meanwhile. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static long stores, calls, pauses, faults;
static char *page;
static __thread long own;

static void store(int n) {
  own += n;
}

__attribute__((noinline)) static void count(long *what) {
  __atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

static void caller(void) { count(&calls); }

/* clock_nanosleep, the instruction itself. */
long pausing(long, long, struct timespec *, void *);
__asm__(".text\n.globl pausing\n.type pausing,@function\npausing:\n  syscall\n  ret\n.size pausing,.-pausing\n");

static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  __atomic_fetch_add(&faults, 1, __ATOMIC_RELAXED);
  mprotect(page, 4096, PROT_READ | PROT_WRITE);
  (void)context;
}

static void on_alarm(int signal) {
  (void)signal;
}

static void faulting(void) {
  static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&one);
  mprotect(page, 4096, PROT_NONE);
  page[0] = 1;
  pthread_mutex_unlock(&one);
}

static void *work(void *p) {
  (void)p;
  struct timespec moment = {0, 1000};
  for (int i = 0; i < 500; i++) {
    store(1);
    caller();
    long result;
    register void *rest __asm__("r10") = 0;
    __asm__ volatile("call pausing"
                     : "=a"(result)
                     : "a"(230L), "D"(1L), "S"(0L), "d"(&moment), "r"(rest)
                     : "rcx", "r11", "memory");
    count(&pauses);
    if (i % 250 == 7) {
      pid_t child = fork();
      if (child == 0) _exit(0);
      waitpid(child, 0, 0);
    }
  }
  faulting();
  __atomic_fetch_add(&stores, own, __ATOMIC_RELAXED);
  return 0;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, 0);
  struct sigaction tick = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &tick, 0);
  page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, work, 0);
  for (int i = 0; i < 100; i++) {
    kill(getpid(), SIGALRM);
    usleep(1000);
  }
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
  printf("%ld %ld %ld %ld\n", stores, calls, pauses, faults);
  return 0;
}
