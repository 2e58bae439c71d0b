//> break inline.rs:19
//> run
//> bt
//> next
//> next
//> break inline::finish_up
//> continue
//> bt
//> info args
//> up
//> continue
#[inline(always)]
fn scale(value: u64, by: u64) -> u64 {
    let wide = value * by;
    wide ^ (wide >> 3)
}
#[inline(never)]
fn mixed(seed: u64) -> u64 {
    let one = scale(seed, 3);
    let other = scale(one + 1, 5);
    one + other
}
#[inline(never)]
fn finish_up(value: u64) {
    println!("{value}");
}
fn main() {
    let seed = std::env::args().count() as u64;
    let got = mixed(seed + 10);
    finish_up(got);
}
