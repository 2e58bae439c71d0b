/* Calls that do not return, functions that are skipped, a value that changes. */
#include <setjmp.h>
#include <stdio.h>
#include <sys/syscall.h>

static jmp_buf there;
static int level;
static int cells[8];

static void leap(int n) {
  if (n == 0) longjmp(there, 1);
  leap(n - 1);
}

static int half(int n) {
  return n / 2;
}

static int twice(int n) {
  return n * 2;
}

static int attempt(void) {
  if (setjmp(there)) {
    level = 2;
    return 7;
  }
  level = 1;
  leap(3);
  level = 3;
  return 8;
}

static long say(const char *text, long length) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_write), "D"(1L), "S"(text), "d"(length) : "rcx", "r11", "memory");
  return result;
}

int main(void) {
  int got = attempt();
  int sum = half(got) + twice(got);
  for (int i = 0; i < 8; i++) {
    cells[i] = sum + i;
  }
  say("done\n", 5);
  return sum - 17;
}
