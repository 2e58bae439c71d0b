#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *self;

static void *other(void *p) {
  execl(self, self, "again", (char *)0);
  return p;
}

static int spawn(void) {
  pid_t child = fork();
  if (child == 0)
    _exit(7);
  return child > 0;
}

static int done(int n) { return n; }

int main(int argc, char **argv) {
  self = argv[0];
  if (argc > 1)
    return done(spawn());
  pthread_t thread;
  pthread_create(&thread, 0, other, 0);
  for (;;)
    pause();
}
