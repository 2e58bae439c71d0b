#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

volatile long spins[2];
volatile int stop;

static void *spin(void *arg) {
  long me = (long)arg;
  while (!stop)
    spins[me]++;
  return arg;
}

static int probe(int v) { return v + 1; }

int main(void) {
  pthread_t threads[2];
  for (long i = 0; i < 2; i++)
    pthread_create(&threads[i], 0, spin, (void *)i);
  while (!spins[0] || !spins[1])
    ;
  int r = probe(1);
  for (int i = 0; i < 3; i++)
    r = probe(r);
  stop = 1;
  for (int i = 0; i < 2; i++)
    pthread_join(threads[i], 0);
  printf("r=%d\n", r);
  return 0;
}
