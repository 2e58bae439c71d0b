//> break Circle::area
//> run
//> bt
//> p *this
//> p this->radius
//> p radius
//> p this
//> finish
//> break total
//> continue
//> p shapes
//> p *shapes[0]
//> ptype Shape
//> ptype Circle
//> up
//> p circle
//> p square
//> whatis circle
//> info line Square::area
//> delete
//> continue
#include <cstdio>
class Shape {
public:
    explicit Shape(int id) : id(id) {}
    virtual ~Shape() {}
    virtual double area() const = 0;
    int id;
};
class Circle : public Shape {
public:
    Circle(int id, double radius) : Shape(id), radius(radius) {}
    double area() const override;
private:
    double radius;
};
class Square : public Shape {
public:
    Square(int id, double side) : Shape(id), side(side) {}
    double area() const override;
protected:
    double side;
};
double Circle::area() const { return 3.0 * radius * radius; }
double Square::area() const { return side * side; }
__attribute__((noinline)) double total(Shape **shapes, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += shapes[i]->area();
    return sum;
}
int main() {
    Circle circle(1, 2.0);
    Square square(2, 3.0);
    Shape *shapes[] = {&circle, &square};
    std::printf("%f\n", circle.area() + total(shapes, 2));
    return 0;
}
