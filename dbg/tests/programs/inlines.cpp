#include <cstdio>

static int cells[4] = {1, 2, 3, 4};

static inline __attribute__((always_inline)) int square(int v) {
  int r = v * v;
  cells[0] += r;
  return r + 1;
}

static inline __attribute__((always_inline)) int twice(int v) {
  int s = square(v) + square(v + 1);
  return s * 2;
}

__attribute__((noinline)) int outer(int n) {
  int t = twice(n);
  t += square(t);
  cells[1] = t;
  return t;
}

int main(int argc, char **) {
  int a = outer(argc);
  int b = square(a);
  std::printf("%d %d\n", a, b);
  return 0;
}
