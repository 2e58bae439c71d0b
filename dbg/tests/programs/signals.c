#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static volatile int got;

static void handler(int number) {
  got += number;
}

int main(void) {
  signal(SIGUSR1, handler);
  signal(SIGALRM, handler);
  raise(SIGALRM);
  raise(SIGUSR1);
  got++;
  printf("got=%d\n", got);
  int *nothing = 0;
  return *nothing;
}
