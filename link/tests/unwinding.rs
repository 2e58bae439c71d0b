//! Exceptions and panics that cross image frames, in both directions.

mod common;

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Bench, compile, compile_with};
use sapwood_link::Options;

/// The C++ library, as a program linked with it would have it.
fn load_cpp_library() {
    const NAME: &CStr = c"libstdc++.so.6";
    // SAFETY: loading a system library runs its initialisers and nothing else.
    let handle = unsafe { libc::dlopen(NAME.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    assert!(!handle.is_null(), "apt-get install libstdc++6");
}

const THROWS: &str = r#"
    #include <stdexcept>
    #include <string>
    int alive = 0;
    struct Guard { Guard() { alive++; } ~Guard() { alive--; } };
    struct Own { long value; };
    extern "C" long throws(long a, long b) {
        Guard guard;
        if (a == 1) throw b;
        if (a == 2) throw Own{b};
        if (a == 3) throw std::runtime_error(std::to_string(b));
        return b;
    }
"#;
const CATCHES: &str = r#"
    #include <stdexcept>
    #include <string>
    extern int alive;
    struct Own { long value; };
    extern "C" long throws(long, long);
    static long through(long a, long b) { std::string held(100, 'x'); return throws(a, b) + held.size(); }
    extern "C" long catches(long a, long b) {
        try { return through(a, b); }
        catch (long value) { return 1000 + value + alive; }
        catch (Own &own) { return 2000 + own.value + alive; }
        catch (std::exception &error) { return 3000 + (error.what()[0] - '0') + alive; }
    }
"#;

fn check(flags: &[&str], one_batch: bool) {
    load_cpp_library();
    let throws = compile_with("c++", "c++", flags, THROWS);
    let catches = compile_with("c++", "c++", flags, CATCHES);
    let mut bench = Bench::with(Options::default());
    if one_batch {
        let both = [("throws.o", &throws[..]), ("catches.o", &catches[..])];
        bench.publish(&both).unwrap();
    } else {
        bench.publish(&[("throws.o", &throws)]).unwrap();
        let published = bench.publish(&[("catches.o", &catches)]).unwrap();
        assert!(published.faulted.is_none(), "{:?}", published.faulted);
    }
    for _ in 0..3 {
        assert_eq!(bench.call("catches", 0, 5), 105, "{flags:?}");
        assert_eq!(bench.call("catches", 1, 5), 1005, "{flags:?}");
        assert_eq!(bench.call("catches", 2, 6), 2006, "{flags:?}");
        assert_eq!(bench.call("catches", 3, 7), 3007, "{flags:?}");
    }
}

#[test]
fn cpp_exceptions_cross_frames_of_position_independent_code() {
    for one_batch in [true, false] {
        check(&["-fPIC", "-O0"], one_batch);
        check(&["-fPIC", "-O2", "-ffunction-sections"], one_batch);
    }
}

#[test]
fn cpp_exceptions_cross_frames_of_other_code() {
    for one_batch in [true, false] {
        check(&["-fno-pic", "-O0"], one_batch);
        check(&["-fno-pic", "-O2"], one_batch);
    }
}

extern "C-unwind" fn panics(value: i64) -> i64 {
    if value > 0 {
        std::panic::panic_any(value);
    }
    value
}

#[test]
fn rust_panics_cross_image_frames() {
    let object = compile(
        &["-fPIC", "-O1", "-fexceptions"],
        "long middle(long (*callback)(long), long a) { return callback(a) + 1; }",
    );
    let mut bench = Bench::new();
    bench.publish(&[("middle.o", &object)]).unwrap();
    let address = bench.session.view().symbol("middle").unwrap().address;
    type Middle = extern "C-unwind" fn(extern "C-unwind" fn(i64) -> i64, i64) -> i64;
    // SAFETY: the test compiled it with this type.
    let middle: Middle = unsafe { std::mem::transmute(address.get() as *const ()) };
    assert_eq!(middle(panics, 0), 1);
    let caught = catch_unwind(AssertUnwindSafe(|| middle(panics, 42)));
    assert_eq!(caught.unwrap_err().downcast_ref::<i64>(), Some(&42));
}

#[test]
fn a_released_image_leaves_the_unwinder_as_it_was() {
    load_cpp_library();
    let throws = compile_with("c++", "c++", &["-fPIC"], THROWS);
    let catches = compile_with("c++", "c++", &["-fPIC"], CATCHES);
    for _ in 0..20 {
        let mut bench = Bench::new();
        bench
            .publish(&[("throws.o", &throws), ("catches.o", &catches)])
            .unwrap();
        assert_eq!(bench.call("catches", 1, 5), 1005);
        drop(bench);
        assert!(catch_unwind(|| panic!("through the process's own frames")).is_err());
    }
}

#[test]
fn entries_of_many_batches_are_all_found() {
    load_cpp_library();
    let mut bench = Bench::new();
    let throws = compile_with("c++", "c++", &["-fPIC"], THROWS);
    bench.publish(&[("throws.o", &throws)]).unwrap();
    for number in 0..8 {
        let source = format!(
            "extern \"C\" long throws(long, long);
             extern \"C\" long catches_{number}(long a, long b) {{
                 try {{ return throws(a, b); }} catch (long value) {{ return value + {number}; }} }}"
        );
        let object = compile_with("c++", "c++", &["-fPIC"], &source);
        bench.publish(&[("catches.o", &object)]).unwrap();
        for known in [0, number / 2, number] {
            assert_eq!(bench.call(&format!("catches_{known}"), 1, 9), 9 + known);
        }
    }
}
