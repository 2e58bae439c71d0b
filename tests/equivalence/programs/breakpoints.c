//> break stride if i == 3
//> tbreak main
//> info breakpoints
//> run
//> next
//> continue
//> p i
//> ignore 1 2
//> condition 1 i > 4
//> continue
//> info breakpoints
//> disable 1
//> break breakpoints.c:33
//> continue
//> p total
//> delete 3
//> enable 1
//> break nowhere_at_all
//> continue
#include <stdio.h>
__attribute__((noinline)) int stride(int i) {
    return i * 3;
}

int main(void) {
    int total = 0;

    for (int i = 0; i < 12; i++) {
        total += stride(i);
    }

    printf("%d\n", total);
    return 0;
}
