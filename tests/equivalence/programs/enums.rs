//> break enums::area
//> run
//> bt
//> finish
//> delete
//> break enums::report
//> continue
//> info args
//> up
//> p code
//> continue
enum Shape {
    Circle(f64),
    Rectangle { width: f64, height: f64 },
    Empty,
}
#[inline(never)]
fn area(shape: &Shape) -> f64 {
    match shape {
        Shape::Circle(radius) => 3.0 * radius * radius,
        Shape::Rectangle { width, height } => width * height,
        Shape::Empty => 0.0,
    }
}
#[inline(never)]
fn report(code: u32, sum: f64) {
    println!("{code} {sum}");
}
fn main() {
    let shapes = [Shape::Circle(1.0), Shape::Rectangle { width: 2.0, height: 3.0 }, Shape::Empty];
    let mut sum = 0.0;
    for shape in &shapes {
        sum += area(shape);
    }
    let code = 17;
    report(code, sum);
}
