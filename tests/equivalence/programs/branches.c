//> break classify
//> run
//> next
//> next
//> next
//> info locals
//> continue
//> next
//> next
//> tbreak branches.c:34
//> delete 1
//> continue
//> next
//> next
//> p kinds
//> continue
#include <stdio.h>
__attribute__((noinline)) int classify(int n) {
    int kind;
    switch (n % 4) {
    case 0:
        kind = n + 1;
        break;
    case 1:
        kind = n * n;
        break;
    default:
        kind = -1;
        for (int i = 0; i < 2; i++)
            kind -= i;
    }
    return kind;
}
volatile int argc = 1;
int main(void) {
    int kinds[4];
    for (int i = 0; i < 4; i++)
        kinds[i] = classify(i + argc);
    int sum = kinds[0] + kinds[1];
    sum += kinds[2] + kinds[3];
    printf("%d\n", sum);
    return 0;
}
