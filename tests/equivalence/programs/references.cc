//> break swap
//> run
//> info args
//> p a
//> p &a
//> p *&a
//> next
//> next
//> info locals
//> finish
//> p one
//> p other
//> p alias
//> p constant
//> p e
//> p Color::green
//> p (int) e
//> p ok
//> p member
//> continue
#include <cstdio>
enum class Color : char { red, green = 7 };
struct Holder { int value; int twice() const { return value * 2; } };
__attribute__((noinline)) void swap(int &a, int &b) {
    int kept = a;
    a = b;
    b = kept;
}
int main() {
    int one = 1, other = 2;
    int &alias = one;
    const int constant = 12;
    Color e = Color::green;
    bool ok = true;
    int Holder::*member = &Holder::value;
    Holder holder = {5};
    swap(one, other);
    std::printf("%d %d %d %d %d %d %d\n", one, other, alias, constant, (int)e, ok, holder.*member);
    return 0;
}
