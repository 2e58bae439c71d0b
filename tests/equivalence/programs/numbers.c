//: builds gcc -O0 | gcc -O0 -gdwarf-4 | gcc -O0 -gdwarf-3 | gcc -O0 -gdwarf-2 | clang -O0 | clang -O0 -gdwarf-4
//> break show
//> run
//> up
//> p bits
//> p bits.a
//> p bits.c
//> p/x bits
//> ptype bits
//> p big
//> p ubig
//> p/x ubig
//> p ld
//> p ld * 2
//> p cf
//> p cd
//> whatis cd
//> p u
//> p u.parts
//> p *flex
//> p flex->items
//> p flex->items[1]
//> p flex->items[0]@3
//> p vla
//> whatis vla
//> p sizeof vla
//> p vla[1]
//> p op
//> p *op
//> p ops
//> p ops[1]
//> ptype ops
//> p op(3)
//> p ops[0](4)
//> whatis op
//> p truth
//> p e
//> p (enum colour)2
//> p (enum colour)7
//> p flags
//> p wide
//> p nested
//> p nested.in.deep[1]
//> p &nested.in
//> p *&nested.in
//> p matrix
//> p matrix[1]
//> p nullp
//> p *nullp
//> p text
//> p *text@3
//> p cp
//> p &cp
//> p 1 == 1
//> p sizeof(struct nest)
//> p (char)97
//> p (short)-1
//> p (unsigned char)300
//> p 5 > 3 && 2 > 1
//> p 7 / 2
//> p 7 % 4
//> p 1 << 4
//> p ~0
//> p !5
//> p 07 + 0x10
//> p 'a' + 1
//> p "str"
//> p sizeof("str")
//> set var nested.in.deep[1] = 42
//> p nested.in.deep
//> set var bits.b = 3
//> p bits
//> p nested.in.deep[0] = 9
//> p nested
//> p $_
//> p $
//> p $$
//> p $$3
//> p $1
//> p nosuch
//> p nested.nosuch
//> p nested.in.
//> p *5
//> whatis nested.in
//> whatis &matrix
//> whatis matrix[0]
//> whatis struct nest
//> ptype struct nest
//> ptype int*
//> whatis (char)1
//> ptype unsigned long
//> p half
//> whatis half
#include <complex.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>
struct bits {
    unsigned a : 3;
    int b : 5;
    unsigned long c : 40;
    signed char d;
};
#ifdef __clang__
typedef float half_float;
#else
typedef _Float16 half_float;
#endif
enum colour { RED, GREEN = 2, BLUE };
enum flag { F1 = 1, F2 = 2, F4 = 4 };
struct flex {
    int count;
    int items[];
};
struct nest {
    int id;
    struct {
        int deep[3];
        const char *name;
    } in;
};
union both {
    unsigned whole;
    struct {
        unsigned short low, high;
    } parts;
};
static int twice(int v) { return 2 * v; }
static int thrice(int v) { return 3 * v; }
__attribute__((noinline)) static void show(int n) { printf("%d\n", n); }
static void all(int n) {
    struct bits bits = {5, -3, 123456789, 'x'};
    __int128 big = (__int128)1 << 100;
    unsigned __int128 ubig = ~(unsigned __int128)0;
    long double ld = 1.0L / 3;
    float complex cf = 1.5f + 2.5f * I;
    double complex cd = -1 + 0.5 * I;
    union both u = {0x12345678};
    struct flex *flex = malloc(sizeof *flex + 3 * sizeof(int));
    int vla[n];
    int (*op)(int) = twice;
    int (*ops[2])(int) = {twice, thrice};
    _Bool truth = 1;
    enum colour e = BLUE;
    enum flag flags = (enum flag)(F1 | F4);
    wchar_t wide[] = L"w\u00e9";
    struct nest nested = {7, {{1, 2, 3}, "deep"}};
    int matrix[2][3] = {{1, 2, 3}, {4, 5, 6}};
    int *nullp = NULL;
    char text[] = "hello";
    const char *cp = "const";
    half_float half = 1.5;
    flex->count = 3;
    for (int i = 0; i < 3; i++)
        flex->items[i] = 10 * i;
    for (int i = 0; i < n; i++)
        vla[i] = i + 1;
    show(n + (int)half);
    if (bits.a + (int)big + (int)ubig + (int)ld + (int)creal(cd) + (int)crealf(cf) + u.whole == 0)
        printf("%d %d %d %ls %d %d %p %s %s %d\n", op(1), truth, e + flags, wide, nested.id,
               matrix[0][0], (void *)nullp, text, cp, ops[0](1));
    free(flex);
}
int main(void) {
    all(4);
    return 0;
}
