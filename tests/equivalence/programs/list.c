//> break total
//> run
//> bt
//> info args
//> next
//> next
//> info locals
//> p *n
//> p n->next->value
//> finish
//> next
//> p a
//> p &a == c.next
//> ptype struct node
//> whatis b
//> continue
#include <stdio.h>
struct node { int value; struct node *next; };
static __attribute__((noinline)) int total(struct node *n) {
    int sum = 0;
    while (n) {
        sum += n->value;
        n = n->next;
    }
    return sum;
}
volatile int argc = 1;
int main(void) {
    struct node c = {3, 0}, b = {2, &c}, a = {1, &b};
    int sum = total(&a);
    printf("%d %d\n", sum, argc);
    return sum;
}
