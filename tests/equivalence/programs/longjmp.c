//> break risky
//> run
//> bt
//> next
//> next
//> next
//> break done
//> continue
//> info args
//> up
//> continue
#include <setjmp.h>
#include <stdio.h>
static jmp_buf back;
__attribute__((noinline)) void risky(int n) {
    if (n > 2)
        longjmp(back, n);
    printf("%d\n", n);
}
__attribute__((noinline)) void done(int how) {
    printf("%d\n", how);
}
int main(void) {
    volatile int tries = 2;
    int how = setjmp(back);
    if (how == 0) {
        risky(tries++);
        risky(tries++);
    }
    done(how);
    return 0;
}
