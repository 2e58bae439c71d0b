#include <signal.h>

volatile unsigned long spins;

int main(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, 0);
  for (;;)
    spins++;
}
