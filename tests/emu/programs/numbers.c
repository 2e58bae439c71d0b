/* Floating point: printing, parsing, rounding modes, exceptions, exact operations. */
#include <fenv.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile double zero = 0, one = 1, three = 3, tiny = 1e-300, big = 1e300;
static volatile float fthree = 3, fone = 1;

static void show(const char *what, double x)
{
    uint64_t bits;
    if (isnan(x)) {
        printf("%s nan\n", what);
        return;
    }
    memcpy(&bits, &x, 8);
    printf("%s %016llx %.17g %a\n", what, (unsigned long long)bits, x, x);
}

int main(void)
{
    const char *text[] = { "0.1", "1e23", "9007199254740993", "2.2250738585072011e-308", "4.9e-324", "1e400",
                           "-0", "0x1.8p3", "nan", "-inf", "123456789012345678901234567890", "1e-400" };
    for (unsigned i = 0; i < sizeof text / sizeof *text; i++)
        show(text[i], strtod(text[i], NULL));
    show("third", one / three);
    show("float third", fone / fthree);
    show("sqrt", sqrt(three));
    show("fma", fma(one / three, three, -1));
    show("overflow", big * big);
    show("underflow", tiny * tiny);
    show("invalid", zero / zero);
    int modes[] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
    for (int i = 0; i < 4; i++) {
        fesetround(modes[i]);
        show("rounded", one / three);
        printf("%ld %ld %.0f %.0f\n", lrint(2.5 * one), lrint(-2.5 * one), rint(1.5 * one), nearbyint(-1.5 * one));
    }
    fesetround(FE_TONEAREST);
    feclearexcept(FE_ALL_EXCEPT);
    volatile double r = one / zero;
    printf("%d", !!fetestexcept(FE_DIVBYZERO));
    r = big * big;
    printf("%d", !!fetestexcept(FE_OVERFLOW));
    r = one / three;
    printf("%d", !!fetestexcept(FE_INEXACT));
    feclearexcept(FE_ALL_EXCEPT);
    r = sqrt(-one);
    printf("%d%d\n", !!fetestexcept(FE_INVALID), !!fetestexcept(FE_INEXACT));
    printf("%f %f %f %f\n", floor(-2.5 * one), ceil(-2.5 * one), trunc(-2.5 * one), round(-2.5 * one));
    printf("%f %f\n", fmod(10 * one, 3), remainder(10 * one, 4));
    int exponent;
    double mantissa = frexp(12.75 * one, &exponent);
    printf("%f %d %f\n", mantissa, exponent, ldexp(0.5, 10));
    printf("%.10f %.10f %.10f %.10f\n", sin(one), exp(one), log(three), pow(three, 0.3));
    printf("%d %d %d %d\n", isnan(NAN), isinf(-INFINITY), signbit(-zero) != 0, fpclassify(tiny * 1e-20));
    printf("%d %d\n", (int)(-3.99 * one), (int)(unsigned char)(200.7 * one));
    printf("%.20Lf\n", 1.0L / 8);
    printf("%g %g %g\n", DBL_MAX, DBL_MIN, FLT_EPSILON);
    float sum = 0;
    double dsum = 0;
    for (int i = 1; i < 100000; i++) {
        sum += fone / i;
        dsum += one / i;
    }
    printf("%.9g %.17g\n", sum, dsum);
    int64_t i64 = LLONG_MIN;
    printf("%.1f %.1f %.1f\n", (double)i64, (double)(uint64_t)i64, (double)(float)16777217);
    return 0;
}
