//> break generics::largest<i32>
//> run
//> bt
//> finish
//> delete
//> break generics::done
//> continue
//> info args
//> bt
//> continue
#[inline(never)]
fn largest<T: PartialOrd + Copy>(values: &[T]) -> T {
    let mut best = values[0];
    for &value in values {
        if value > best {
            best = value;
        }
    }
    best
}
#[inline(never)]
fn done(number: i32, half: f64) {
    println!("{number} {half}");
}
fn main() {
    let number = largest(&[3, 9, 4]);
    let half = largest(&[0.5, 2.5, 1.5]);
    done(number, half);
}
