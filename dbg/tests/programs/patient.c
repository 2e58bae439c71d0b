#include <stdio.h>
#include <unistd.h>

static volatile int rounds;

static void work(void) {
  rounds++;
}

int main(void) {
  puts("ready");
  fflush(stdout);
  for (;;) {
    work();
    usleep(1000);
  }
}
