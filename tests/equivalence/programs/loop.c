//> break main
//> run
//> next
//> next
//> next
//> next
//> next
//> until
//> next
//> info locals
//> step
//> info args
//> next
//> finish
//> next
//> next
//> continue
#include <stdio.h>
__attribute__((noinline)) int mul(int a, int b) {
    int c = a * b;
    return c;
}
int main(void) {
    int sum = 0;
    for (int i = 0; i < 3; i++) {
        sum += i;
        sum ^= 1;
    }
    sum = mul(sum, 5);
    sum = mul(sum, mul(2, 3));
    printf("%d\n", sum);
    return 0;
}
