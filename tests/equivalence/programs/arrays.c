//> break fill
//> run
//> p grid
//> p grid[1]
//> p grid[1][2]
//> finish
//> p grid
//> p names
//> p *names@2
//> p names[0][1]
//> p text
//> p &text[3]
//> p/x numbers
//> p/d small
//> p/c small
//> p numbers[1] + numbers[2] * 2
//> x/4dw numbers
//> x/s text
//> whatis grid
//> ptype names
//> p sizeof grid / sizeof grid[0]
//> continue
#include <stdio.h>
int grid[3][4];
const char *names[] = {"alpha", "beta", "gamma"};
char text[16] = "hello\n\tx";
unsigned numbers[5] = {1, 2, 3, 0xffffffffu, 5};
signed char small[4] = {-1, 65, 0, 127};
__attribute__((noinline)) void fill(int by) {
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            grid[i][j] = i * by + j;
}
int main(void) {
    fill(10);
    printf("%d %s %s %u %d\n", grid[2][3], names[1], text, numbers[3], small[0]);
    return 0;
}
