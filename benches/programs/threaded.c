/* The same interpreter with a jump at the end of each operation. */
#include "bench.h"
#include "machine.h"

__attribute__((noinline)) static unsigned interpret(int limit)
{
    static const void *const labels[] = {
        &&push, &&load, &&store, &&add, &&subtract, &&multiply, &&modulo, &&less, &&jump, &&jump_if_zero, &&halt,
    };
    unsigned stack[16], *top = stack, variables[VARIABLES] = {0};
    const int *at = program;
    variables[LIMIT] = limit;
#define GO goto *labels[at[0]]
#define NEXT at += 2; GO
    GO;
push: *++top = at[1]; NEXT;
load: *++top = variables[at[1]]; NEXT;
store: variables[at[1]] = *top--; NEXT;
add: top--; *top += top[1]; NEXT;
subtract: top--; *top -= top[1]; NEXT;
multiply: top--; *top *= top[1]; NEXT;
modulo: top--; *top %= top[1]; NEXT;
less: top--; *top = *top < top[1]; NEXT;
jump: at = program + at[1]; GO;
jump_if_zero:
    if (*top-- == 0) {
        at = program + at[1];
        GO;
    }
    NEXT;
halt:
    return variables[SUM];
}

int main(int argc, char **argv)
{
    unsigned sum = 0;
    assemble();
    for (long i = 0, n = scaled(argc, argv, 800); i < n; i++)
        sum = sum * 5 + interpret(4000 + i % 3);
    printf("%u\n", sum);
}
