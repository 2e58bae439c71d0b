//> break add
//> run
//> info args
//> next
//> next
//> next
//> info locals
//> finish
//> until
//> until
//> advance report
//> info args
//> continue
#include <stdarg.h>
#include <stdio.h>
__attribute__((noinline)) int add(int count, ...) {
    va_list list;
    int sum = 0;
    va_start(list, count);
    for (int i = 0; i < count; i++)
        sum += va_arg(list, int);
    va_end(list);
    return sum;
}
__attribute__((noinline)) void report(const char *what, int value) {
    printf("%s %d\n", what, value);
}
int main(void) {
    int first = add(3, 1, 2, 3);
    int second = add(1, 40);
    for (int i = 0; i < 3; i++)
        first += i;
    report("sum", first + second);
    return 0;
}
