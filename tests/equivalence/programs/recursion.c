//> break fib if n == 2
//> run
//> bt
//> up
//> info args
//> p n
//> down
//> p n
//> delete
//> finish
//> finish
//> p $
//> break main
//> info breakpoints
//> continue
#include <stdio.h>
__attribute__((noinline)) int fib(int n) {
    if (n < 2)
        return n;
    int one = fib(n - 1);
    int two = fib(n - 2);
    return one + two;
}
int main(void) {
    int value = fib(6);
    printf("%d\n", value);
    return 0;
}
