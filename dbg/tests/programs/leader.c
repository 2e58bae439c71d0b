#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int last(int x) { return x + 1; }

static void *go(void *unused) {
  usleep(100000);
  int v = last(3);
  printf("v=%d\n", v);
  exit(v);
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, go, 0);
  pthread_exit(0);
}
