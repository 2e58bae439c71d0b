#include <stdio.h>

static int calls = 0;
int factor = 2;

static int scale(int v) {
  static int last = 1;
  calls += 10;
  last += v;
  return 1000 * v + last;
}

int report(int v) { return scale(v) + calls; }

int main(void) {
  int r = 0;
  for (int i = 1; i <= 4; i++)
    r = report(i);
  printf("r=%d calls=%d\n", r, calls);
  return 0;
}
