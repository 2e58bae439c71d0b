/* An interpreter of bytecode whose loop is one switch. */
#include "bench.h"
#include "machine.h"

__attribute__((noinline)) static unsigned interpret(int limit)
{
    unsigned stack[16], *top = stack, variables[VARIABLES] = {0};
    const int *at = program;
    variables[LIMIT] = limit;
    for (;;) {
        int operand = at[1];
        switch (at[0]) {
        case PUSH: *++top = operand; break;
        case LOAD: *++top = variables[operand]; break;
        case STORE: variables[operand] = *top--; break;
        case ADD: top--; *top += top[1]; break;
        case SUBTRACT: top--; *top -= top[1]; break;
        case MULTIPLY: top--; *top *= top[1]; break;
        case MODULO: top--; *top %= top[1]; break;
        case LESS: top--; *top = *top < top[1]; break;
        case JUMP: at = program + operand; continue;
        case JUMP_IF_ZERO:
            if (*top-- == 0) {
                at = program + operand;
                continue;
            }
            break;
        case HALT: return variables[SUM];
        }
        at += 2;
    }
}

int main(int argc, char **argv)
{
    unsigned sum = 0;
    assemble();
    for (long i = 0, n = scaled(argc, argv, 400); i < n; i++)
        sum = sum * 5 + interpret(4000 + i % 3);
    printf("%u\n", sum);
}
