#include <stdio.h>
#include <unistd.h>
#include <errno.h>

volatile int ready;
static int twice(int v) { return 2 * v; }
int forever(void) { for (volatile int i = 0;; i++); }
int crash(void) { return *(volatile int *)8; }

int main(void) {
  char byte = 0;
  int pipes[2];
  pipe(pipes);
  if (fork() == 0) {
    sleep(1);
    write(pipes[1], "x", 1);
    _exit(0);
  }
  ready = 1;
  long n = read(pipes[0], &byte, 1);
  printf("read %ld %c %d\n", n, byte, twice(4));
  return n == 1 && byte == 'x' ? 0 : 9;
}
