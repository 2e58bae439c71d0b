//> break check
//> run
//> next
//> bt
//> delete
//> break recovered
//> continue
//> bt
//> p code
//> finish
//> next
//> continue
#include <cstdio>
#include <stdexcept>
__attribute__((noinline)) int check(int value) {
    if (value > 2)
        throw std::runtime_error("too large");
    return value;
}
__attribute__((noinline)) void recovered(int code) {
    std::printf("%d\n", code);
}
__attribute__((noinline)) int attempt(int value) {
    try {
        return check(value);
    } catch (const std::exception &error) {
        recovered(value + 100);
    }
    return -1;
}
int main() {
    int sum = attempt(1);
    sum += attempt(5);
    std::printf("%d\n", sum);
    return 0;
}
