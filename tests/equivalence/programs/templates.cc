//> break largest<int>
//> run
//> bt
//> info args
//> finish
//> break largest<double>
//> continue
//> info args
//> up
//> p pair
//> p pair.first
//> ptype pair
//> whatis pair
//> p geometry::origin
//> p geometry::Point::count
//> delete
//> continue
#include <cstdio>
namespace geometry {
struct Point {
    int x, y;
    static int count;
};
int Point::count = 4;
Point origin = {1, -1};
}
template <typename A, typename B> struct Pair {
    A first;
    B second;
};
template <typename T> __attribute__((noinline)) T largest(const T *values, int count) {
    T best = values[0];
    for (int i = 1; i < count; i++)
        if (values[i] > best)
            best = values[i];
    return best;
}
int main() {
    int numbers[] = {3, 9, 4};
    double halves[] = {0.5, 2.5, 1.5};
    Pair<int, double> pair = {largest(numbers, 3), 0};
    pair.second = largest(halves, 3);
    std::printf("%d %f %d\n", pair.first, pair.second, geometry::origin.x);
    return 0;
}
