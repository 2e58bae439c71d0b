/* A program of a small stack machine, which both interpreters run: it sums the
 * numbers below a limit that no smaller number divides, by trial. */
enum { PUSH, LOAD, STORE, ADD, SUBTRACT, MULTIPLY, MODULO, LESS, JUMP, JUMP_IF_ZERO, HALT };

enum { I, J, SUM, LIMIT, VARIABLES };

static int program[128], length;

static int emit(int op, int operand)
{
    program[length] = op;
    program[length + 1] = operand;
    length += 2;
    return length - 1;
}

static void assemble(void)
{
    emit(PUSH, 2), emit(STORE, I);
    int outer = length;
    emit(LOAD, I), emit(LOAD, LIMIT), emit(LESS, 0);
    int to_end = emit(JUMP_IF_ZERO, 0);
    emit(PUSH, 2), emit(STORE, J);
    int inner = length;
    emit(LOAD, I), emit(LOAD, J), emit(LOAD, J), emit(MULTIPLY, 0), emit(LESS, 0);
    emit(PUSH, 1), emit(SUBTRACT, 0);
    int to_prime = emit(JUMP_IF_ZERO, 0);
    emit(LOAD, I), emit(LOAD, J), emit(MODULO, 0);
    int to_next = emit(JUMP_IF_ZERO, 0);
    emit(LOAD, J), emit(PUSH, 1), emit(ADD, 0), emit(STORE, J), emit(JUMP, inner);
    program[to_prime] = length;
    emit(LOAD, SUM), emit(LOAD, I), emit(ADD, 0), emit(STORE, SUM);
    program[to_next] = length;
    emit(LOAD, I), emit(PUSH, 1), emit(ADD, 0), emit(STORE, I), emit(JUMP, outer);
    program[to_end] = length;
    emit(HALT, 0);
}
