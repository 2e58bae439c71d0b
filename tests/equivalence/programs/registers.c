//: builds gcc -O0 | gcc -O0 -no-pie | clang -O0 | clang -O0 -no-pie
//> break hold
//> run
//> p $xmm0
//> p $xmm0.v4_float
//> p $xmm1.v2_double[0]
//> p/x $xmm0.v4_int32
//> ptype $xmm0
//> whatis $xmm0
//> p $eflags & 0x200
//> whatis $eflags
//> p $mxcsr
//> p $cs
//> p/x $st0
//> p $st0
//> whatis $rip
//> whatis $rsp
//> whatis $rax
//> p $rdi
//> p $edi
//> p/c $dil
//> p $_siginfo.si_signo
//> p $_siginfo._sifields._kill.si_pid == 0
//> ptype $_siginfo._sifields._sigfault
//> whatis $_siginfo
//> info registers rdi
//> info all-registers mxcsr
//> info registers nonsense
//> info float
//> set var $rdi = 77
//> p $rdi
//> p whole
//> x/4xb bytes
//> x/2xh
//> x/2xw bytes
//> x/xg bytes
//> x/2dw bytes
//> x/2uw bytes
//> x/2ow bytes
//> x/tw bytes
//> x/4c text
//> x/s text
//> x/2s text
//> x/f &half
//> x/2f doubles
//> x/fw &single
//> x/a &pointer
//> x/zw bytes
//> p $_
//> p $__
//> p/t 10
//> p/z 10
//> p/o 8
//> p/c 65
//> p/d 'A'
//> p/x -1
//> p/u (char)-1
//> p/f 3
//> p/f 1.5
//> p/a &text
//> p/s text
//> p/x doubles
//> p -5 % 3
//> p 10 / 4.0
//> output whole
//> up
//> p $rip
//> p $pc == $rip
//> frame function hold
//> info line hold
//> info line 111
//> info symbol hold
//> info symbol bytes
//> info symbol &bytes[2]
//> info symbol 1
//> tbreak after
//> continue
//> info source
//> list after
//> list -
//> list hold
//> list 1,3
//> list after,
//> list ,5
//> list registers.c:90
//> list nosuch
//> list 5000
//> info functions ^hold$
//> info variables ^single$
//> info types holder
//> advance 125
//> until 126
//> info program
//> delete
//> jump 127
//> p $_exitcode
//> info registers
//> info frame
//> p $rip
#include <stdio.h>
unsigned char bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
char text[8] = "ab\001d";
double half = 0.5;
double doubles[2] = {1.5, -2.25};
float single = 3.75f;
char *pointer = text;
long whole = -7;
struct holder {
    int one;
};
struct holder held;
__attribute__((noinline)) double hold(int number, float first, double second) {
    __asm__ volatile("" ::: "memory");
    return number + first + second;
}
__attribute__((noinline)) int after(int number) {
    held.one = number;
    return number;
}
int main(void) {
    double got = hold(5, 1.25f, 2.5);
    int more = after(3);
    more += 1;
    more += 2;
    printf("%g\n", got);
    more += 3;
    return more - 9;
}
