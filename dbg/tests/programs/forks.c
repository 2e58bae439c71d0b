#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int child(int v) { return v + 1; }

int main(void) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0)
    _exit(child(6));
  waitpid(pid, &status, 0);
  int code = child(WEXITSTATUS(status));
  int shell = system("exit 5");
  printf("child %d shell %d\n", code, WEXITSTATUS(shell));
  return 0;
}
