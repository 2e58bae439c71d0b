//: builds g++ -std=c++20 -O0 | g++ -std=c++20 -O0 -gdwarf-4
//: printers
//> break stop
//> run
//> up
//> p fl
//> p st
//> p q
//> p bits
//> p none
//> p sp
//> p il
//> p an
//> p an0
//> p it
//> p ord
//> p dq
//> p li
//> p se
//> p tu
//> p sv
//> p op
//> p ums
//> set print pretty on
//> p mp
//> p vec
//> p inner
//> set print pretty off
//> set print elements 2
//> p mp
//> p vec
//> p li
#include <any>
#include <bitset>
#include <compare>
#include <deque>
#include <forward_list>
#include <initializer_list>
#include <list>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <span>
#include <stack>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>
struct Point { int x, y; };
__attribute__((noinline)) void stop(int n) { __asm__ volatile("" ::"r"(n)); }
int main() {
    std::forward_list<int> fl{1, 2, 3};
    std::stack<int> st;
    st.push(1);
    st.push(2);
    std::queue<int> q;
    q.push(7);
    std::bitset<70> bits;
    bits.set(1).set(65);
    std::bitset<8> none;
    int raw[] = {1, 2, 3};
    std::span<int> sp(raw);
    std::initializer_list<int> il = {4, 5};
    std::any an = 5, an0;
    std::vector<int> vec{1, 2, 3};
    auto it = vec.begin();
    auto ord = 1 <=> 2;
    std::deque<int> dq{1, 2};
    std::list<std::string> li{"a", "b", "c"};
    std::set<int> se{3, 1};
    std::tuple<int, char, double> tu{1, 'x', 2.5};
    std::string_view sv = "view";
    std::variant<int, std::string> va = "text";
    std::optional<Point> op = Point{1, 2};
    std::unordered_map<int, const char *> ums{{1, "one"}};
    std::map<int, Point> mp{{1, {2, 3}}, {4, {5, 6}}, {7, {8, 9}}};
    std::vector<std::vector<Point>> inner{{{1, 2}}, {{3, 4}, {5, 6}}};
    stop(ord < 0 && it != vec.end());
}
