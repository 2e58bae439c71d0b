//: builds g++ -std=c++20 -O0 | g++ -std=c++20 -O0 -gdwarf-4 | clang++ -std=c++20 -O0
//> break stop
//> run
//> up
//> ptype Shape
//> ptype Circle
//> ptype V
//> ptype/m Shape
//> ptype/t Shape
//> ptype/mt Shape
//> ptype box
//> ptype plain
//> ptype pm
//> ptype e
//> ptype N::In
//> whatis box
//> whatis shape
//> ptype/o plain
//> ptype/o struct Plain
//> ptype/o Shape
//> ptype/o virt
//> ptype/ox plain
//> p mp
//> p mf
//> p nothing
//> p pmf
//> whatis mp
//> whatis mf
//> p virt
//> p plain
//> p *shape
//> set print pretty on
//> p virt
//> p plain
//> p row
//> p *shape
//> info locals
//> set print pretty off
//> set print object on
//> p *shape
//> p shape
//> p ref
//> whatis shape
//> whatis *shape
//> ptype shape
//> set print object off
//> p shape
//> set print union off
//> p plain
//> set print union on
//> set print static-members off
//> p circle
//> set print static-members on
//> set print array on
//> p row
//> p plain.arr
//> set print array off
//> set print array-indexes on
//> p plain.arr
//> set print array-indexes off
//> set print symbol off
//> p &made_one
//> set print symbol on
//> set print elements 2
//> p plain.arr
//> p name
//> set print elements 200
//> set print max-depth 1
//> p plain
//> set print max-depth 20
//> set print address off
//> p name
//> p shape
//> bt
//> set print address on
//> set print frame-arguments all
//> bt
//> set print frame-arguments none
//> bt
//> set print frame-arguments presence
//> bt
//> set print frame-arguments scalars
//> bt
#include <cstdio>
namespace N { enum class E { A, B = 5 }; struct In { int q = 9; }; }
template <class T, int K> struct Box {
    T value;
    T get() const { return value; }
    static int count;
    T arr[K];
    int plain;
};
template <class T, int K> int Box<T, K>::count = 3;
class Shape {
public:
    explicit Shape(int id) : id(id) {}
    virtual ~Shape() {}
    virtual double area() const = 0;
    int id;
    static int made;
    typedef int Num;
    Num f(Num a, ...) volatile { return a; }
    static void sf(int);
    operator bool() const { return id; }
    bool operator==(const Shape &o) const { return id == o.id; }
protected:
    int pp = 3;
private:
    unsigned bf : 3 = 5;
    union { int u1 = 7; float u2; };
    struct { int s1 = 8; } named;
};
int Shape::made = 1;
void Shape::sf(int) {}
class Circle : public Shape {
public:
    Circle(int i) : Shape(i) {}
    double area() const override { return 1; }
private:
    double radius = 2;
};
struct V : virtual Shape, private N::In {
    V() : Shape(3) {}
    double area() const override { return 2; }
    int z = 4;
};
struct Plain {
    int a; char b; long c;
    struct { int x, y; } in;
    union { int u; struct { short h; } hh; };
    int (*fp)(int, char *);
    int arr[3];
    enum { P, Q } en;
};
struct PM { int a = 1; int get() { return a; } private: int b = 2; };
int made_one = 1;
__attribute__((noinline)) void stop(Plain given, const Plain &other, int number, const char *text) {
    std::printf("%d %d %d %s\n", given.a, other.a, number, text);
}
int main() {
    Box<int, 4> box{};
    Circle circle(1);
    V virt;
    Plain plain{1, 'b', 2, {3, 4}, {5}, nullptr, {6, 7, 8}, Plain::Q};
    N::E e = N::E::B;
    PM pm{};
    const char *name = "abcdef";
    Shape *shape = &circle;
    Shape &ref = virt;
    int Plain::*mp = &Plain::a;
    int Plain::*nothing = nullptr;
    double (Shape::*mf)() const = &Shape::area;
    int (PM::*pmf)() = &PM::get;
    N::In row[2] = {{1}, {2}};
    circle.f(1, 2);
    Shape::sf(1);
    bool same = circle && circle == *shape;
    stop(plain, plain, 5, name);
    return box.get() + (pm.*pmf)() + plain.*mp + (int)(shape->*mf)() + (int)e + row[1].q + same + ref.id + (nothing != nullptr);
}
