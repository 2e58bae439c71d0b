#include <stdio.h>

enum colour { RED, GREEN = 5 };
typedef struct {
  unsigned small : 3;
  unsigned wide : 20;
} bits;
struct node {
  const char *name;
  struct node *next;
  enum colour colour;
  bits flags;
  union {
    int whole;
    char bytes[4];
  };
};

static struct node second = {"second", 0, GREEN, {5, 1000}, {7}};
static struct node first = {"first", &second, RED, {1, 2}, {3}};
static int weigh(const struct node *n) { return n->flags.wide + n->whole; }

static int walk(struct node *from, int limit) {
  int seen = 0;
  for (struct node *n = from; n && seen < limit; n = n->next)
    seen += 1 + (weigh(n) > 100);
  return seen;
}

int main(void) {
  register int kept __asm__("rbx") = 4;
  __asm__ volatile("" : "+r"(kept));
  int r = walk(&first, 10);
  __asm__ volatile("" : "+r"(kept));
  printf("r=%d kept=%d small=%u\n", r, kept, second.flags.small);
  return 0;
}
