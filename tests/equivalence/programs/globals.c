//> p counter
//> p &counter
//> break tick
//> run
//> p counter
//> p hidden
//> p tick::calls
//> p sizes
//> p/x mask
//> p big
//> p half
//> p letter
//> p yes
//> watch counter
//> continue
//> continue
//> delete
//> set var counter = 40
//> p counter
//> p counter++
//> p counter
//> p -counter / 3
//> p counter % 7 << 2
//> p (char) 66
//> p (long) counter
//> p 1.5 + counter
//> p counter > 3 && hidden
//> p ~mask
//> p $rip
//> p nothing_of_that_name
//> continue
#include <stdbool.h>
#include <stdio.h>
int counter = 7;
static int hidden = -2;
size_t sizes[2] = {sizeof(int), sizeof(long)};
unsigned long mask = 0xf0f0f0f0f0f0f0f0ul;
long long big = -1234567890123ll;
float half = 0.5f;
char letter = 'q';
bool yes = true;
__attribute__((noinline)) void tick(int by) {
    static int calls = 11;
    calls++;
    counter += by;
    hidden -= by;
}
int main(void) {
    for (int i = 1; i < 4; i++)
        tick(i);
    printf("%d %d %zu %lx %lld %f %c %d\n", counter, hidden, sizes[0], mask, big, half, letter, yes);
    return 0;
}
