//> break 22
//> run
//> info locals
//> p base
//> finish
//> tbreak 27
//> continue
//> p sum
//> next
//> continue
#include <cstdio>


template <typename F> __attribute__((noinline)) int each(const int *values, int count, F f) {
    int sum = 0;
    for (int i = 0; i < count; i++)
        sum += f(values[i]);
    return sum;
}
int main() {
    int values[] = {1, 2, 3};
    int base = 10;
    auto add = [&](int value) {
        int got = value + base;
        return got;
    };
    int sum = each(values, 3, add);
    base = sum;
    std::printf("%d\n", base);
    return 0;
}
