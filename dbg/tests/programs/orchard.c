#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tree {
  const char *name;
  int height;
  struct tree *next;
};

enum season { SPRING, SUMMER, AUTUMN = 5 };

static int counter;
static struct tree oak = {"oak", 20, 0};
double ratio = 2.5;
enum season now = SUMMER;

static int scale(int value) {
  counter++;
  return value * 10;
}

static int depth(int levels) {
  if (levels == 0)
    return 0;
  return 1 + depth(levels - 1);
}

double mean(double a, double b) { return (a + b) / 2; }

static int sum(int n) {
  int total = 0;
  for (int i = 0; i < n; i++)
    total += scale(i);
  return total;
}

int main(int argc, char **argv) {
  struct tree elm = {"elm", 12, &oak};
  int r = sum(3);
  r += depth(5);
  printf("r=%d counter=%d %s\n", r, counter, elm.name);
  return r == 35 ? 3 : 4;
}
