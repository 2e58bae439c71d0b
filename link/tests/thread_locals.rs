//! Thread-locals in every model, in every thread that there is and will be.

mod common;

use std::sync::{Barrier, Mutex, MutexGuard};

use common::{Bench, compile, compile_with};
use sapwood_link::{Error, HostAddr};

/// The threads of the whole process are looked at, so tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Initialised, zero, file-local, and holding an address, which is relocated;
/// and those of another object and of the C library.
const USES: &str = r#"
    #include <errno.h>
    __thread long counter = 40;
    __thread char zeroes[100];
    static __thread long hidden = 1, hidden_too = 2;
    static long somewhere = 7;
    __thread long *pointer = &somewhere;
    extern __thread long elsewhere;
    long uses(long a, long b) {
        counter += a; zeroes[99] += 1; hidden_too += hidden; elsewhere += 1; errno = 5;
        long extra = b ? counter : 0;
        return counter * 1000 + zeroes[99] * 100 + *pointer + hidden_too + elsewhere + errno + extra;
    }
    long *address(void) { return &counter; }
"#;
const DEFINES: &str = "__thread long elsewhere = 300;";

/// What the first call of `uses(2, 0)` in a thread gives.
const FIRST: i64 = 42_000 + 100 + 7 + 3 + 301 + 5;

#[test]
fn every_model_works_in_threads_old_and_new() {
    let _turn = turn();
    let models: [(&str, &[&str]); 12] = [
        ("cc", &["-fPIC"]),
        ("cc", &["-fPIC", "-fno-plt"]),
        ("cc", &["-fPIC", "-mtls-dialect=gnu2"]),
        ("cc", &["-fPIC", "-ftls-model=local-dynamic"]),
        ("cc", &["-fPIC", "-fno-plt", "-ftls-model=local-dynamic"]),
        ("cc", &["-fPIC", "-ftls-model=initial-exec"]),
        ("cc", &["-fPIE"]),
        ("cc", &["-fno-pic"]),
        ("cc", &["-fPIC", "-mcmodel=large"]),
        (
            "cc",
            &["-fPIC", "-mcmodel=large", "-ftls-model=local-dynamic"],
        ),
        ("clang", &["-fPIC"]),
        ("clang", &["-fPIC", "-mcmodel=large"]),
    ];
    for (compiler, flags) in models {
        if compiler == "clang" && std::process::Command::new("clang").output().is_err() {
            continue;
        }
        for level in ["-O0", "-O2"] {
            let flags = [flags, &[level, "-w"]].concat();
            check(compiler, &flags);
        }
    }
}

fn check(compiler: &str, flags: &[&str]) {
    let uses = compile_with(compiler, "c", flags, USES);
    let defines = compile_with(compiler, "c", flags, DEFINES);
    let near = sapwood_link::LocalSpace::near_libraries();
    let mut bench = Bench::with(sapwood_link::Options {
        near,
        ..Default::default()
    });
    let ready = &Barrier::new(2);
    let mut function = HostAddr(0);
    std::thread::scope(|scope| {
        let (send, receive) = std::sync::mpsc::channel();
        let old = scope.spawn(move || {
            ready.wait();
            let function: HostAddr = receive.recv().unwrap();
            call(function)
        });
        ready.wait();
        // The definition comes in an earlier batch: it is bound by its symbol.
        bench.publish(&[("defines.o", &defines)]).unwrap();
        bench.publish(&[("uses.o", &uses)]).unwrap();
        let view = bench.session.view();
        let symbol = view.symbol("uses").unwrap();
        function = symbol.address;
        assert!(
            view.thread_offset(view.symbol("counter").unwrap().id)
                .unwrap()
                < 0
        );
        assert!(view.thread_offset(symbol.id).is_none());
        send.send(function).unwrap();
        assert_eq!(
            old.join().unwrap(),
            FIRST,
            "{compiler} {flags:?}, an old thread"
        );
    });
    assert_eq!(call(function), FIRST, "{compiler} {flags:?}, this thread");
    assert_eq!(call(function), FIRST + 2_000 + 100 + 1 + 1);
    let new = std::thread::spawn(move || call(function)).join().unwrap();
    assert_eq!(new, FIRST, "{compiler} {flags:?}, a new thread");
}

fn call(function: HostAddr) -> i64 {
    // SAFETY: the test compiled it with this type.
    let function: extern "C" fn(i64, i64) -> i64 =
        unsafe { std::mem::transmute(function.get() as *const ()) };
    function(2, 0)
}

#[test]
fn too_much_is_an_error_that_names_object_and_symbol_and_leaves_no_trace() {
    let _turn = turn();
    let big = compile(
        &["-fPIC"],
        "__thread char huge[1 << 20]; char *f(void) { return huge; }",
    );
    let mut bench = Bench::new();
    let error = bench.publish(&[("big.o", &big)]).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("big.o") && text.contains("`huge`"), "{text}");
    assert_eq!(bench.session.generation().to_string(), "gen0");
}

#[test]
fn room_of_failed_batches_and_released_sessions_is_used_again() {
    let _turn = turn();
    let half = compile(
        &["-fPIC"],
        "__thread char half[9000] = {1}; char *f(void) { return half; } int nowhere(void);",
    );
    let bad = compile(
        &["-fPIC"],
        "extern char half[9000]; __thread char other[9000]; long g = (long)1;
         __attribute__((constructor)) static void f(void) {} int h(void) { return other[0]; }",
    );
    for _ in 0..5 {
        let mut bench = Bench::new();
        bench.publish(&[("half.o", &half)]).unwrap();
        assert!(
            bench.publish(&[("bad.o", &bad)]).is_err(),
            "there is no room for two"
        );
    }
}

#[test]
fn a_symbol_that_is_not_thread_local_is_refused() {
    let _turn = turn();
    let wants = compile(
        &["-fPIC"],
        "extern __thread long plain; long f(void) { return plain; }",
    );
    let has = compile(&["-fPIC"], "long plain = 3;");
    let mut bench = Bench::new();
    let error = bench
        .publish(&[("wants.o", &wants), ("has.o", &has)])
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("wants.o") && text.contains("`plain`, which is not thread-local"),
        "{text}"
    );
}
