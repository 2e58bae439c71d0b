#include <cstdio>
#include <stdexcept>
__thread int own = 40;
int thrown = 0;
extern "C" void thrower(int n) { thrown++; throw std::runtime_error(n == 1 ? "one" : "other"); }
extern "C" int guarded(int (*f)(int), int n)
{
    try {
        return f(n);
    } catch (const std::exception &e) {
        std::printf("caught %s\n", e.what());
        return -1;
    }
}
int main()
{
    own += 2;
    std::printf("%d\n", guarded([](int n) { return n; }, own));
    std::fflush(stdout);
    return thrown;
}
