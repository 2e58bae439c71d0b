//> break show
//> run
//> p *v
//> p v->as
//> p v->as.bytes
//> p/x v->as.whole
//> p v->as.parts.low
//> p &v->as
//> p *v->owner
//> p v->owner->v == v
//> ptype v->as
//> ptype struct owner
//> p list
//> p list[0]@2
//> p flags
//> p (enum flag) 3
//> p (enum flag) 8
//> p ONE | TWO
//> whatis (short) 3
//> p 'a' + 1
//> p "abc"
//> p sizeof("abc")
//> continue
#include <stdio.h>
enum flag { ONE = 1, TWO = 2, FOUR = 4 };
struct owner;
struct value {
    union { unsigned whole; unsigned char bytes[4]; struct { unsigned short low, high; } parts; } as;
    struct owner *owner;
};
struct owner { int id; struct value *v; };
int list[3] = {10, 20, 30};
enum flag flags = ONE | FOUR;
__attribute__((noinline)) void show(struct value *v) {
    printf("%u %d\n", v->as.whole, v->owner->id);
}
int main(void) {
    struct owner owner = {42, 0};
    struct value value = {{0x01020304}, &owner};
    owner.v = &value;
    show(&value);
    printf("%d %d\n", list[1], flags);
    return 0;
}
