//> break traits::use_one
//> run
//> bt
//> next
//> finish
//> break traits::Dog::noise
//> continue
//> bt
//> up
//> delete
//> continue
trait Animal {
    fn noise(&self) -> u32;
}
struct Dog {
    size: u32,
}
struct Cat;
impl Dog {
    #[inline(never)]
    fn noise(&self) -> u32 {
        self.size * 2
    }
}
impl Animal for Dog {
    fn noise(&self) -> u32 {
        Dog::noise(self) + 1
    }
}
impl Animal for Cat {
    fn noise(&self) -> u32 {
        9
    }
}
#[inline(never)]
fn use_one(animal: &dyn Animal, times: u32) -> u32 {
    let mut sum = 0;
    for _ in 0..times {
        sum += animal.noise();
    }
    sum
}
fn main() {
    let sum = use_one(&Cat, 2) + use_one(&Dog { size: 4 }, 1);
    println!("{sum}");
}
