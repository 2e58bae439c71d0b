/* Calls through pointers, as of methods of objects of several classes. */
#include "bench.h"

struct object;
typedef int method(struct object *, int);
struct object {
    method *const *methods;
    int value;
};

static int add(struct object *o, int n) { return o->value += n; }
static int twice(struct object *o, int n) { return o->value = 2 * o->value + n; }
static int mix(struct object *o, int n) { return o->value ^= n << 3 | (unsigned)n >> 5; }
static int turn(struct object *o, int n) { return o->value = (int)((unsigned)o->value >> 7 | (unsigned)o->value << 25) + n; }
static int less(struct object *o, int n) { return o->value -= n >> 1; }
static int same(struct object *o, int n) { return o->value + n; }

static method *const first[] = {add, twice, mix, turn};
static method *const second[] = {less, mix, same, add};
static method *const third[] = {turn, same, twice, less};
static method *const *const classes[] = {first, second, third};

int main(int argc, char **argv)
{
    enum { OBJECTS = 64 };
    static struct object objects[OBJECTS];
    for (int i = 0; i < OBJECTS; i++)
        objects[i] = (struct object){classes[next_random() % 3], i};
    unsigned sum = 0;
    for (long i = 0, n = scaled(argc, argv, 2700000); i < n; i++)
        for (int j = 0; j < OBJECTS; j++)
            sum += objects[j].methods[(j + i / 64) & 3](&objects[j], (int)i);
    printf("%u\n", sum);
}
