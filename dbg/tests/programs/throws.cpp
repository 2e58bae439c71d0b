#include <stdexcept>

static int fail(int x) {
  if (x > 2)
    throw std::runtime_error("too big");
  return x;
}

int main() {
  int r = fail(1);
  try {
    r += fail(3);
    r = 100;
  } catch (const std::exception &e) {
    r += 5;
  }
  return r;
}
