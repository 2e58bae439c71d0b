//! What tools outside see of an image: gdb and perf.

mod common;

use std::process::Command;

use common::{Bench, compile};
use sapwood_link::gdb::Listed;
use sapwood_link::{Generation, Parts};

const SOURCE: &str = "static long twice(long x)\n{\n  return x + x;\n}\n\
                      long shown_to_gdb(long a, long b)\n{\n  long held = twice(a);\n  return held + b;\n}\n";

#[test]
fn perf_maps_list_functions_with_their_sizes() {
    let mut bench = Bench::new();
    let object = compile(&["-fPIC", "-O0"], SOURCE);
    bench.publish(&[("one.o", &object)]).unwrap();
    let view = bench.session.view();
    let map = view.perf_map(Generation::EMPTY);
    for name in ["twice", "shown_to_gdb"] {
        let symbol = view.symbols_named(name).next().unwrap();
        let line = format!("{:x} {:x} {name}", symbol.address.get(), symbol.size);
        assert!(map.lines().any(|found| found == line), "{line} in\n{map}");
    }
    assert_eq!(view.perf_map(view.generation()), "");
}

#[test]
fn loading_a_name_twice_is_one_load() {
    let mut bench = Bench::new();
    let object = compile(&["-fPIC"], SOURCE);
    let bad = compile(
        &["-fPIC"],
        "void nowhere(void); void f(void) { nowhere(); }",
    );
    let mut staged = Vec::new();
    for (name, bytes) in [
        ("a.o", &object),
        ("bad.o", &bad),
        ("a.o", &object),
        ("bad.o", &bad),
    ] {
        let mut batch = bench.session.batch();
        let first = batch.object_once(name, bytes).unwrap();
        assert!(
            !batch.object_once(name, bytes).unwrap(),
            "it is in the batch"
        );
        staged.push(first);
        let _ = batch.publish(&mut Parts {
            space: &mut bench.space,
            host: &mut (),
            resolver: &mut (),
        });
    }
    // What failed was not loaded.
    assert_eq!(staged, [true, true, false, true]);
}

/// Run under gdb by the test below; by itself it does nothing.
#[test]
fn debuggee() {
    if std::env::var_os("SAPWOOD_TEST_DEBUGGEE").is_none() {
        return;
    }
    let mut bench = Bench::new();
    let object = compile(&["-fPIC", "-O0", "-g"], SOURCE);
    let published = bench.publish(&[("one.o", &object)]).unwrap();
    let image = bench.session.debug_image(published.inputs.start).unwrap();
    let listed = Listed::new(image.unwrap());
    assert_eq!(bench.call("shown_to_gdb", 20, 2), 42);
    drop(listed);
}

#[test]
fn gdb_stops_in_image_code_and_finishes_it() {
    // In this process code lies in shared pages, which refuse a debugger's poke:
    // its breakpoints there are the hardware's.
    let commands = [
        "set breakpoint pending on",
        "hbreak shown_to_gdb",
        "run",
        "stepi",
        "print held == 40",
        "finish",
    ];
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "--batch"]);
    for command in commands {
        gdb.args(["-ex", command]);
    }
    gdb.arg("--args").arg(std::env::current_exe().unwrap());
    gdb.args(["--exact", "debuggee", "--test-threads=1"]);
    gdb.env("SAPWOOD_TEST_DEBUGGEE", "1");
    let output = gdb.output().expect("apt-get install gdb");
    let text = String::from_utf8_lossy(&output.stdout);
    for part in [
        "shown_to_gdb (a=20, b=2) at",
        "input:7",
        "Value returned is $2 = 42",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}
