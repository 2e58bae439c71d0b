static int total;

static int one(int n) {
  total += n;
  return n + 1;
}

static int two(int n) {
  total -= n;
  return n * 2;
}

int main(void) {
  int a = one(two(one(3)));
  a += two(one(a));
  a += one(a);
  return a & 1;
}
