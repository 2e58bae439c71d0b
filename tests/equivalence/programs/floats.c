//> break mix
//> run
//> info args
//> p d
//> p f
//> p ld
//> p d * f
//> p d / 0
//> p -d / 0
//> p (int) d
//> p/f 1
//> p z
//> finish
//> p pi
//> p tiny
//> p huge
//> p whole
//> p vector
//> continue
#include <complex.h>
#include <stdio.h>
double pi = 3.14159265358979, tiny = 1e-300, huge = 1e22, whole = 100;
float vector[3] = {0.1f, 1e10f, -0.0f};
__attribute__((noinline)) double mix(double d, float f, long double ld, int i) {
    return d + f + (double)ld + i;
}
int main(void) {
    double got = mix(2.5, 0.1f, 1.25L, 4);
    printf("%f %g %g %g %g %g\n", got, pi, tiny, huge, whole, vector[0]);
    return 0;
}
