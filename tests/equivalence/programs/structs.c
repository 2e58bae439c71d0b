//> break inspect
//> run
//> info args
//> p *s
//> p s->kind
//> p s->kind == CIRCLE
//> p s->u
//> p s->u.circle.radius
//> p s->bits
//> p sizeof(struct shape)
//> p s->name
//> p *s->name@4
//> p table
//> p table[1].name
//> p &table[1]
//> p/x s->bits.b
//> ptype s
//> ptype enum kind
//> up
//> p local
//> continue
#include <stdio.h>
enum kind { SQUARE, CIRCLE = 5 };
struct shape {
    enum kind kind;
    const char *name;
    union { struct { double radius; } circle; struct { float side; } square; } u;
    struct { unsigned a : 3, b : 5; int c : 9; } bits;
};
struct shape table[2] = {{SQUARE, "one", .u.square = {2.5f}, {1, 2, -3}}, {CIRCLE, "two", .u.circle = {1.25}, {7, 31, 255}}};
__attribute__((noinline)) double inspect(struct shape *s, int times) {
    printf("%s %d\n", s->name, times);
    return s->kind == CIRCLE ? s->u.circle.radius * times : s->u.square.side;
}
int main(void) {
    struct shape local = table[1];
    local.bits.c = -1;
    double got = inspect(&local, 3);
    printf("%f\n", got);
    return 0;
}
