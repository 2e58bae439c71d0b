//> break basics::total
//> run
//> bt
//> info args
//> next
//> next
//> info locals
//> finish
//> p point
//> p point.x
//> p numbers
//> p tuple
//> p tuple.0
//> p flag
//> p letter
//> next
//> continue
#[derive(Clone, Copy)]
struct Point {
    x: i32,
    y: i64,
}
#[inline(never)]
fn total(numbers: &[i32; 4], by: i32) -> i32 {
    let mut sum = 0;
    for number in numbers {
        sum += number * by;
    }
    sum
}
fn main() {
    let point = Point { x: 3, y: -4 };
    let numbers = [1, 2, 3, 4];
    let tuple = (7u8, 2.5f64);
    let flag = true;
    let letter = 'q';
    let sum = total(&numbers, point.x);
    println!("{sum} {} {} {} {flag} {letter}", point.y, tuple.0, tuple.1);
}
