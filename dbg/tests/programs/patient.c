#include <stdio.h>
#include <unistd.h>

static volatile int rounds;

static void work(void) {
  rounds++;
}

static int starts;

int nap(int tenths) {
  while (tenths-- > 0)
    usleep(100000);
  return 7;
}

int main(void) {
  starts++;
  puts("ready");
  fflush(stdout);
  for (;;) {
    work();
    usleep(1000);
  }
}
