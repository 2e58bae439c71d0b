//! What rustc writes: long mangled names, constants by the hundred, vtables,
//! calls into `core`, jump tables relative to themselves.

#![no_std]
#![crate_type = "lib"]

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, Ordering};

struct Out<'a> {
    into: &'a mut [u8],
    len: usize,
}

impl Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.into.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Shape {
    Point,
    Circle(f64),
    Box { width: f32, height: f32 },
    Named(&'static str),
}

trait Area: fmt::Debug + Sync {
    fn area(&self) -> f64;
    fn doubled(&self) -> f64 {
        self.area() * 2.0
    }
}

impl Area for Shape {
    fn area(&self) -> f64 {
        match *self {
            Shape::Point => 0.0,
            Shape::Circle(radius) => 3.0 * radius * radius,
            Shape::Box { width, height } => f64::from(width * height),
            Shape::Named(name) => name.len() as f64,
        }
    }
}

impl Area for u32 {
    fn area(&self) -> f64 {
        f64::from(*self)
    }
}

static COUNT: AtomicU32 = AtomicU32::new(5);
static SHAPES: [&dyn Area; 5] = [
    &Shape::Point,
    &Shape::Circle(2.0),
    &Shape::Box { width: 2.0, height: 3.5 },
    &Shape::Named("naïve"),
    &17u32,
];

#[inline(never)]
fn word(number: u8) -> &'static str {
    match number {
        0 => "zero",
        1 => "one",
        2 => "two",
        3 => "three",
        7 => "seven",
        8 => "eight",
        9 => "nine",
        _ => "other",
    }
}

#[inline(never)]
fn parsed(text: &str) -> Result<i32, core::num::ParseIntError> {
    Ok(text.trim().parse::<i32>()? * 2)
}

fn all(out: &mut Out) -> fmt::Result {
    for shape in SHAPES {
        writeln!(out, "{shape:?} {:.2} {:>8.3}", shape.area(), shape.doubled())?;
    }
    for number in 0..11 {
        write!(out, "{} ", word(number))?;
    }
    writeln!(out, "\n{:?} {:?}", parsed(" 21 "), parsed("x"))?;
    COUNT.fetch_add(37, Ordering::SeqCst);
    let mut numbers = [5u64, 1 << 40, 9, u64::MAX, 0];
    numbers.sort_unstable();
    writeln!(out, "{numbers:#x?} {}", COUNT.load(Ordering::SeqCst))?;
    let wide = u128::from(numbers[4]) * 3 / 7;
    writeln!(out, "{wide} {:e} {:?}", 1234.5f64, "quo\"ted\u{1f333}")?;
    let joined = "a,b,,c".split(',').filter(|part| !part.is_empty());
    writeln!(out, "{:?} {:?}", joined.clone().last(), joined.map(str::len).sum::<usize>())
}

#[no_mangle]
pub extern "C" fn spread(into: *mut u8, size: i32) -> i32 {
    // SAFETY: the caller has that much room there.
    let into = unsafe { core::slice::from_raw_parts_mut(into, size as usize) };
    let mut out = Out { into, len: 0 };
    match all(&mut out) {
        Ok(()) => out.len as i32,
        Err(_) => -1,
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Nothing unwinds here; `core` names it.
#[no_mangle]
pub extern "C" fn rust_eh_personality() {}
