//> break compare
//> run
//> p *(const int *) one
//> p *(const int *) other
//> up
//> delete
//> break apply
//> continue
//> p how
//> p *how
//> p ways
//> p ways[1]
//> ptype how
//> whatis ways[0]
//> step
//> bt
//> finish
//> info line twice
//> info symbol twice
//> continue
#include <stdio.h>
#include <stdlib.h>
static int compare(const void *one, const void *other) {
    return *(const int *)one - *(const int *)other;
}
static int twice(int v) { return v * 2; }
static int square(int v) { return v * v; }
static int (*ways[])(int) = {twice, square};
__attribute__((noinline)) int apply(int (*how)(int), int value) {
    int got = how(value);
    return got + 1;
}
int main(void) {
    int values[] = {3, 1, 2};
    qsort(values, 3, sizeof values[0], compare);
    int sum = 0;
    for (int i = 0; i < 2; i++)
        sum += apply(ways[i], values[i + 1]);
    printf("%d\n", sum);
    return 0;
}
