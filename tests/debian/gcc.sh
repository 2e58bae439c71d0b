# packages: gcc libc6-dev
cat > program.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <pthread.h>
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static void *work(void *sum) { for (int i = 0; i < 1000; i++) __atomic_add_fetch((int *)sum, i, __ATOMIC_SEQ_CST); return 0; }
int main(void) {
    int values[500], sum = 0; unsigned x = 1;
    for (int i = 0; i < 500; i++) { x = x * 1103515245 + 12345; values[i] = x >> 8 & 0xffff; }
    qsort(values, 500, sizeof *values, compare);
    pthread_t t[4]; for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, work, &sum);
    for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
    printf("%d %d %d %d %.15g %s\n", values[0], values[250], values[499], sum, sin(1) + exp(2), strrchr("a/b/c", '/'));
    return 3;
}
C
for level in -O0 -O2 '-O3 -g -static'; do gcc $level program.c -o program -lm -pthread && ./program; echo "status $?"; done
gcc -O2 -c program.c && ar rc lib.a program.o && nm lib.a | grep ' T ' && size program.o | tail -n 1 | wc -w
gcc -Wall -x c - -o /dev/null <<< 'int main(void) { int unused; return missing; }' 2>&1 | sed 's/^.*: error/error/' | head -n 4
echo 'int twice(int x) { return 2 * x; }' > part.c; gcc -shared -fPIC part.c -o libpart.so
gcc -x c - -L. -lpart -Wl,-rpath,. -o user <<< 'int twice(int); int main(void) { return twice(21); }' && ./user; echo "status $?"
