//> break workers::work
//> run
//> bt 1
//> delete
//> break workers::after
//> continue
//> info args
//> continue
use std::thread;
#[inline(never)]
fn work(id: u64) -> u64 {
    id * 10
}
#[inline(never)]
fn after(total: u64) {
    println!("{total}");
}
fn main() {
    let mut total = 0;
    for id in 1..4 {
        total += thread::spawn(move || work(id)).join().unwrap();
    }
    after(total);
}
