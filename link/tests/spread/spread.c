// What C compilers turn into many kinds of sections, symbols and relocations.
// Everything it computes goes into the text that `spread` gives back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *out;
static int room;

static void say(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int len = vsnprintf(out, room, format, list);
    va_end(list);
    out += len;
    room -= len;
}

int common_block[5];
static int zeroes[4096];
int initialised = 7;
const double constants[] = {1.5, 2.25, -3.125};
static const char *const words[] = {"alpha", "beta", "alphabeta", "beta", ""};
static _Thread_local int per_thread = 11;
_Thread_local char per_thread_zero[64];
extern int absent(int) __attribute__((weak));
static int added(int a, int b) { return a + b; }
static int taken(int a, int b) { return a - b; }
static int (*const table[])(int, int) = {added, taken};
int aliased(int x) { return x * 3; }
int alias(int x) __attribute__((alias("aliased")));
__attribute__((visibility("hidden"))) int hidden_one = 5;
__attribute__((weak)) int weak_one(int x) { return x + 100; }
static int constructed;
__attribute__((constructor(200))) static void second(void) { constructed = constructed * 10 + 2; }
__attribute__((constructor(150))) static void first(void) { constructed = constructed * 10 + 1; }
static int *pointer_inside = &zeroes[17];
static char *text_inside = (char *)"in the middle" + 7;
__attribute__((section("listed"), used)) static int listed_one = 31;
__attribute__((section("listed"), used)) static int listed_two = 32;
extern int __start_listed[], __stop_listed[];

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

__attribute__((noinline)) static const char *choose(int x)
{
    switch (x) {
    case 0: return "zero";
    case 1: return "one";
    case 2: return "two";
    case 3: return "three";
    case 4: return "four";
    case 5: return "five";
    case 9: return "nine";
    default: return "many";
    }
}

__attribute__((noinline)) static int threaded(const unsigned char *code)
{
    static const void *const labels[] = {&&push, &&add, &&mul, &&stop};
    int stack[8], top = 0;
    goto *labels[*code];
push: stack[top++] = *++code; goto *labels[*++code];
add: top--; stack[top - 1] += stack[top]; goto *labels[*++code];
mul: top--; stack[top - 1] *= stack[top]; goto *labels[*++code];
stop: return stack[0];
}

struct pair { long a; double b; };
__attribute__((noinline)) static struct pair made(long a, double b)
{
    struct pair pair = {a * 2, b / 2};
    return pair;
}

struct bits { unsigned a : 3, b : 11, c : 18; };
static jmp_buf back;
__attribute__((noinline)) static void jump(int x) { longjmp(back, x); }

int spread(char *into, int size)
{
    out = into;
    room = size;
    say("constructed %d\n", constructed);
    for (int i = 0; i < 5; i++) common_block[i] = i * i;
    say("common %d %d, zero %d\n", common_block[3], common_block[4], zeroes[4000]);
    initialised += hidden_one;
    say("data %d, double %.3f %.3f\n", initialised, constants[1], constants[2] * 3);
    per_thread += 3;
    per_thread_zero[5] = 9;
    say("thread-local %d %d %d\n", per_thread, per_thread_zero[5], per_thread_zero[6]);
    say("weak %s %d\n", absent ? "there" : "absent", weak_one(1));
    say("calls %d %d %d\n", table[0](7, 5), table[1](7, 5), alias(14));
    const char *sorted[5];
    memcpy(sorted, words, sizeof sorted);
    qsort(sorted, 5, sizeof *sorted, by_name);
    for (int i = 0; i < 5; i++) say("[%s]", sorted[i]);
    for (int i = 0; i < 11; i++) say(" %s", choose(i));
    const unsigned char code[] = {0, 6, 0, 7, 2, 0, 8, 1, 3};
    say("\nthreaded %d\n", threaded(code));
    struct pair pair = made(21, 5.0);
    say("pair %ld %.2f\n", pair.a, pair.b);
    struct bits bits = {5, 1234, 200000};
    bits.b++;
    say("bits %u %u %u\n", bits.a, bits.b, bits.c);
    *pointer_inside = 77;
    say("inside %d %s %td\n", zeroes[17], text_inside, pointer_inside - zeroes);
    int sum = 0;
    for (int *at = __start_listed; at < __stop_listed; at++) sum += *at;
    say("listed %d\n", sum);
    int caught = setjmp(back);
    if (!caught) jump(13);
    say("jumped %d\n", caught);
    long double third = 1.0L / 3;
    unsigned __int128 wide = (unsigned __int128)1 << 100;
    wide /= (unsigned)initialised;
    say("wide %.15Lf %llx %llx\n", third, (unsigned long long)(wide >> 64), (unsigned long long)wide);
    float single = 0;
    for (int i = 1; i < 100; i++) single += 1.0f / i;
    say("single %.4f, %d\n", single, (int)(single * 1e6f) % 7);
    char *copy = malloc(32);
    strcpy(copy, "alphabeta");
    say("same %d, length %zu\n", strcmp(copy, words[2]), strlen(copy));
    free(copy);
    return size - room;
}
