#include <stdio.h>

struct node {
  int value;
  struct node *next;
};

static struct node first = {1, 0}, second = {2, &first};
static struct node *current = &first;
static int sum;

static void touch(int by) {
  current->value += by;
}

static int read_sum(void) { return sum; }

static int twice(int n) {
  int local = n;
  local *= 2;
  return local;
}

int main(void) {
  struct node *p = &first;
  for (int i = 0; i < 2; i++)
    sum += twice(i);
  p->value = 5;
  p = &second;
  first.value = 6;
  p->value = 7;
  touch(10);
  current = &second;
  touch(20);
  sum = read_sum() + 1;
  printf("%d %d %d\n", sum, first.value, second.value);
  return 0;
}
