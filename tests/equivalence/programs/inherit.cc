//> break use
//> run
//> p *d
//> p d->base
//> p d->other
//> p d->Base::base
//> p *this
//> ptype d
//> up
//> p derived
//> p virtual_one.shared
//> p sizeof(Derived)
//> whatis &derived
//> continue
#include <cstdio>
struct Base { int base = 1; };
struct Other { short other = 2; };
struct Derived : Base, Other { char own = 'x'; };
struct Shared { int shared = 77; };
struct Left : virtual Shared { int left = 1; };
struct Right : virtual Shared { int right = 2; };
struct Bottom : Left, Right { int bottom = 3; };
__attribute__((noinline)) int use(Derived *d) {
    d->base += d->other;
    return d->base;
}
int main() {
    Derived derived;
    Bottom virtual_one;
    int got = use(&derived);
    std::printf("%d %d\n", got, virtual_one.shared);
    return 0;
}
