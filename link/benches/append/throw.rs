//! What an exception through image frames costs, with few and many objects in
//! the image, each with unwind information.

use std::ffi::CStr;
use std::io::Write;
use std::process::{Command, Stdio};

use sapwood_link::Parts;

use crate::measure::{Clock, Sample, call, load_library};
use crate::object::Template;
use crate::{Image, LOADS};

/// Throws and catches in two functions of the image.
const SOURCE: &str = r#"
    __attribute__((noinline)) static long throws(long value) { throw value; }
    extern "C" long catches(long value) {
        try { return throws(value); } catch (long caught) { return caught + 1; }
    }
"#;

pub fn table(template: &Template) {
    println!("\nthrow: a C++ exception through two image frames");
    println!(
        "{:>10} {:>12} {:>12} {:>12}",
        "atoms", "first µs", "median µs", "p99 µs"
    );
    const LIBRARY: &CStr = c"libstdc++.so.6";
    if !load_library(LIBRARY) {
        println!("  libstdc++.so.6 is not here: apt-get install libstdc++6");
        return;
    }
    let object = compile();
    let clock = Clock::new();
    let mut resolver = crate::measure::host();
    for load in LOADS {
        let mut image = Image::new();
        // Half of the objects before, half behind.
        for number in 0..load / 2 {
            image.object(template, number);
        }
        let mut batch = image.session.batch();
        batch
            .object("throw.o", &object)
            .expect("the object is good");
        batch
            .publish(&mut Parts {
                space: &mut image.space,
                host: &mut image.host,
                resolver: &mut resolver,
            })
            .expect("there is room");
        for number in load / 2..load {
            image.object(template, number);
        }
        let function = image.session.view().symbol("catches").map(|s| s.address);
        let function = function.expect("just published");
        let throw = || assert_eq!(call(function, 41), 42);
        let first = clock.time(throw);
        let mut sample = Sample::default();
        for _ in 0..1000 {
            sample.push(clock.time(throw));
        }
        let (median, p99, _) = sample.quantiles();
        let us = |ns: u64| ns as f64 / 1000.0;
        println!(
            "{load:>10} {:>12.1} {:>12.2} {:>12.2}",
            us(first),
            us(median),
            us(p99)
        );
        image.release();
    }
}

fn compile() -> Vec<u8> {
    let path = std::env::temp_dir().join(format!("sapwood-throw-{}.o", std::process::id()));
    let mut compiler = Command::new("c++")
        .args(["-x", "c++", "-O1", "-fPIC", "-c", "-", "-o"])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("c++ is installed");
    let mut input = compiler.stdin.take().expect("it is piped");
    input.write_all(SOURCE.as_bytes()).expect("c++ reads it");
    drop(input);
    assert!(compiler.wait().expect("c++ ends").success());
    let bytes = std::fs::read(&path).expect("c++ wrote it");
    std::fs::remove_file(&path).expect("it was there");
    bytes
}
