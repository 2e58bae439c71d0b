// What C++ compilers turn into COMDAT groups, vtables, type information, guards
// and unwind tables.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <vector>

namespace {
std::string text;

template <class... Parts> void say(const char *format, Parts... parts)
{
    char line[256];
    snprintf(line, sizeof line, format, parts...);
    text += line;
}

struct Shape {
    virtual ~Shape() { say("gone %s\n", name()); }
    virtual double area() const = 0;
    virtual const char *name() const { return "shape"; }
};
struct Square : virtual Shape {
    double side;
    explicit Square(double side) : side(side) {}
    double area() const override { return side * side; }
    const char *name() const override { return "square"; }
};
struct Named {
    std::string label = "label";
    virtual ~Named() = default;
};
struct Both : Square, Named {
    Both() : Square(3) {}
    const char *name() const override { return "both"; }
};
struct Trouble : std::runtime_error {
    int code;
    Trouble(int code) : std::runtime_error("trouble"), code(code) {}
};
struct Counted {
    static inline int alive = 0;
    Counted() { alive++; }
    ~Counted() { alive--; }
};
struct Early {
    int value;
    Early() : value(42) {}
} early;

inline int &counter()
{
    static int count = [] { return 40; }();
    return count;
}
template <class T> T twice(T x) { return x + x; }
thread_local std::string per_thread = "each";

__attribute__((noinline)) int risky(int x)
{
    Counted counted;
    if (x == 1) throw Trouble(7);
    if (x == 2) throw std::out_of_range("far");
    if (x == 3) throw 5;
    if (x == 4) return std::vector<int>(2).at(9);
    return x;
}

__attribute__((noinline)) int guarded(int x)
{
    try {
        return risky(x);
    } catch (const Trouble &trouble) {
        say("trouble %d %s\n", trouble.code, trouble.what());
        return -1;
    } catch (const std::exception &error) {
        say("error %s\n", typeid(error).name());
        return -2;
    } catch (int number) {
        return -number;
    }
}
}

extern "C" int spread(char *into, int size)
{
    text.clear();
    say("early %d\n", early.value);
    {
        std::unique_ptr<Shape> shape(new Both);
        say("%s %.1f %d\n", shape->name(), shape->area(), dynamic_cast<Named *>(shape.get()) != nullptr);
        say("%s\n", dynamic_cast<Named &>(*shape).label.c_str());
    }
    for (int i = 0; i < 6; i++) say("risky %d, %d alive\n", guarded(i), Counted::alive);
    std::map<std::string, int> counts;
    for (const char *word : {"a", "b", "a", "c", "a", "b"}) counts[word]++;
    for (auto &[word, count] : counts) say("%s=%d ", word.c_str(), count);
    std::vector<int> numbers{5, 3, 9, 1, 7};
    std::sort(numbers.begin(), numbers.end(), std::greater<>());
    for (int number : numbers) say("%d ", number);
    int base = 10;
    std::function<int(int)> add = [&](int x) { return x + base; };
    base = 20;
    say("\nclosure %d, twice %d %.1f %s\n", add(1), twice(4), twice(1.25), twice(std::string("ab")).c_str());
    counter()++;
    say("counter %d, %s\n", counter(), (per_thread += "!").c_str());
    int (Square::*none)() = nullptr;
    double (Square::*area)() const = &Square::area;
    Square square(4);
    say("member %.1f %d\n", (square.*area)(), none == nullptr);
    int len = std::min<int>(size, text.size());
    std::copy_n(text.data(), len, into);
    return len;
}
