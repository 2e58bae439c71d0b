#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace farm {
enum class Kind { Cow, Hen };
template <class T> struct Box {
  T inner;
  Box(T t) : inner(t) {}
  T get() const { return inner; }
};
template <class T, int N> struct Ring {
  T items[N];
  int at = 0;
  void put(T t) { items[at++ % N] = t; }
};
class Animal {
public:
  virtual ~Animal() {}
  virtual std::string name() const = 0;
  virtual int legs() const { return 4; }
  int age = 3;
protected:
  int secret = 7;
};
class Hen : public Animal {
public:
  Hen(int eggs) : eggs(eggs) {}
  std::string name() const override { return "hen"; }
  int legs() const override { return 2; }
  int lay(int more) {
    eggs += more;
    return eggs + helper(more);
  }
  static int count(int x) { return x * 2; }
  struct Nest { int straw; bool warm; };
  Nest nest{5, true};
  static int hatched;
private:
  int helper(int x) { return x + 100; }
  int eggs;
};
int Hen::hatched = 9;
int total = 40;
static int add(int a, int b) { return a + b; }
static double add(double a, double b) { return a + b; }
namespace {
int hidden(int x) { return x * 3; }
struct Inner { int v; } inner{11};
}
struct Pair {
  int x, y;
  Pair operator+(Pair o) const { return {x + o.x, y + o.y}; }
  bool operator==(const Pair &o) const { return x == o.x && y == o.y; }
};
Pair operator*(Pair a, int k) { return {a.x * k, a.y * k}; }

int work(Hen &hen, std::vector<int> &v, const std::string &s) {
  std::map<std::string, int> m{{"a", 1}, {"b", 2}};
  Box<int> box(5);
  Ring<long, 4> ring{};
  ring.put(9);
  Pair a{1, 2}, b{3, 4};
  Pair c = a + b * 2;
  Kind kind = Kind::Hen;
  auto lambda = [&](int x) { return x + box.inner; };
  int r = hen.lay(1) + box.get() + lambda(1) + c.x + (a == b) + hidden(1);
  r += add(1, 2) + (int)add(1.0, 2.0) + Hen::count(2) + inner.v + (int)kind;
  return r + v.size() + s.size() + m["a"];
}
}

int main() {
  farm::Hen hen(6);
  std::vector<int> v{1, 2, 3};
  return farm::work(hen, v, "straw") == 0;
}
