//: builds gcc -O0 -gdwarf-4 | gcc -O2 -gdwarf-3 | gcc -O1 -gdwarf-2 | gcc -O2 -gz=zlib | gcc -O1 -fdebug-types-section | gcc -O2 -gsplit-dwarf | clang -O1 -gdwarf-4 | clang -O2 -gdwarf-4 -gsplit-dwarf | clang -O0 -gsplit-dwarf | gcc -O2 -ffunction-sections -Wl,--gc-sections | gcc -O2 -flto
//> break scale
//> run
//> bt
//> info args
//> p *in
//> p limits
//> ptype in
//> next
//> info locals
//> finish
//> up
//> continue
#include <stdio.h>
struct input { const char *name; int values[3]; struct { int low, high; } range; };
static int limits[2] = {-5, 500};
__attribute__((noinline)) int scale(const struct input *in, int by) {
    int sum = 0;
    for (int i = 0; i < 3; i++)
        sum += in->values[i] * by;
    if (sum > in->range.high)
        sum = in->range.high;
    return sum + limits[0];
}
volatile int argc = 1;
int main(void) {
    struct input in = {"in", {1, 2, 3}, {0, 50}};
    int got = scale(&in, argc + 1);
    printf("%d %d %s\n", got, limits[1], in.name);
    return 0;
}
