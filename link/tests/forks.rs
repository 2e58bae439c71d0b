//! This process forks while it is appended to, on both sides: each child runs the
//! code of its moment with data of its own, and goes on appending and replacing
//! in its own copy, whatever its parent does meanwhile.

#[path = "common/cases.rs"]
mod cases;
mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use common::{Bench, compile, compile_with};
use sapwood_link::{AtomKind, AtomSpec, Error, LocalHost, Near, Options, Parts, Published};

const CASES: &[cases::Case] = &[(
    "a_thousand_children_of_this_process_append_too",
    a_thousand_children_of_this_process_append_too,
)];

fn main() -> ExitCode {
    cases::main(CASES, &[])
}

/// How often it forks, and how many children there are at a time.
const FORKS: i64 = 1000;
const AT_A_TIME: usize = 6;
/// How often each child appends.
const TURNS: i64 = 3;

/// What is there before the first fork; `VERSION` is replaced.
const SHARED: &str = r#"
    long counter = 100; __thread long of_thread = 7; long zeroes[600];
    long bump(long a, long b) { counter += a; zeroes[a]++; return counter; }
    long bump_thread(long a, long b) { return of_thread += a; }
    __attribute__((noinline)) long version(long a, long b) {
        return VERSION; }
    long version_twice(long a, long b) { return version(a, b) * 2; }
"#;

/// What each child appends: code that uses what was there, with data of its own.
const APPENDED: &str = r#"
    extern "C" {
        extern long counter; long version(long, long); long bump(long, long);
        static long own = 40; static thread_local long own_of_thread = 2;
        long appended(long a, long b) {
            own++; own_of_thread++;
            try { if (version(a, b) > 0) throw bump(a, b); return -1; }
            catch (long found) { return found * 1000 + own + own_of_thread; }
        }
    }
"#;

fn shared(version: i64) -> Vec<u8> {
    let flags = [
        "-fPIC",
        "-O1",
        "-fno-ipa-ra",
        "-fno-inline",
        "-ffunction-sections",
        "-fdata-sections",
    ];
    // Every third outgrows its slot.
    let body = match version % 3 {
        0 => format!(
            "long n = 1; for (long i = 0; i < b; i++) n = n * 3 % 7 + i; return n ? {version} : 0;"
        ),
        _ => format!("return {version};"),
    };
    let source = SHARED.replace("return VERSION;", &body);
    compile(&flags, &source)
}

fn publish(bench: &mut Bench, replaces: bool, object: &[u8]) -> Result<Published, Error> {
    // SAFETY: the test publishes code that it compiled.
    let (mut host, mut resolver) = unsafe { (LocalHost::new(), LocalHost::new()) };
    let mut batch = bench.session.batch();
    if replaces {
        batch.replace();
    }
    batch.object("part.o", object)?;
    batch.publish(&mut Parts {
        space: &mut bench.space,
        host: &mut host,
        resolver: &mut resolver,
    })
}

/// Appends a function that gives a number.
fn append_number(bench: &mut Bench, name: &str, number: i32) {
    let mut code = vec![0xb8];
    code.extend(number.to_le_bytes());
    code.push(0xc3);
    let mut batch = bench.session.batch();
    let spec = AtomSpec {
        name: Some(name),
        kind: AtomKind::Code,
        alignment: 16,
        bytes: &code,
        size: code.len() as u64,
        relocs: &[],
    };
    batch.atom("number", &spec).unwrap();
    let published = batch.publish(&mut Parts {
        space: &mut bench.space,
        host: &mut (),
        resolver: &mut (),
    });
    published.unwrap();
}

/// What a child does; it panics where something is not as it should be.
fn child(bench: &mut Bench, number: i64, appended: &[u8], next: &[u8], other: &AtomicI64) {
    let version = bench.call("version", 0, 5);
    let counter = bench.call("bump", 0, 0);
    assert_eq!(counter, 100 + number, "the parent's count when it forked");
    // Another thread of the parent's was publishing; its code is here too.
    let elsewhere = other.load(Ordering::Acquire);
    if elsewhere != 0 {
        // SAFETY: such a function was published before its address was stored.
        let function: extern "C" fn(i64, i64) -> i64 =
            unsafe { std::mem::transmute(elsewhere as *const ()) };
        assert!(function(0, 0) >= 0);
    }
    let published = publish(bench, false, appended).unwrap();
    assert!(published.faulted.is_none(), "{:?}", published.faulted);
    for turn in 1..=TURNS {
        assert_eq!(
            bench.call("version", 0, 5),
            version,
            "nobody replaced it here"
        );
        let found = bench.call("appended", 1, 0);
        assert_eq!(found, (counter + turn) * 1000 + (40 + turn) + (2 + turn));
        append_number(
            bench,
            &format!("of_child{turn}"),
            (number * 100 + turn) as i32,
        );
        let name = format!("of_child{}", (turn + 1) / 2);
        assert_eq!(bench.call(&name, 0, 0), number * 100 + (turn + 1) / 2);
    }
    assert_eq!(bench.call("bump_thread", 1, 0), 8);
    if number % 20 == 0 {
        let published = publish(bench, true, next).unwrap();
        assert!(published.faulted.is_none(), "{:?}", published.faulted);
        assert_eq!(bench.call("version_twice", 0, 5), 2_000_002 * 2);
        assert_eq!(
            bench.call("bump", 1, 0),
            counter + TURNS + 1,
            "its data stayed"
        );
    }
}

fn fork(action: impl FnOnce()) -> i32 {
    // SAFETY: the child runs this test's code only, and ends without returning;
    // the C library makes its allocator usable there.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let done = catch_unwind(AssertUnwindSafe(action));
        // SAFETY: ends the child, whose memory nobody else sees.
        unsafe { libc::_exit(i32::from(done.is_err())) };
    }
    pid
}

fn wait_for(children: &mut Vec<i32>, most: usize) {
    while children.len() > most {
        let pid = children.remove(0);
        let mut status = 0;
        // SAFETY: waits for a child of ours.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        assert_eq!((waited, status), (pid, 0), "a child failed");
    }
}

fn a_thousand_children_of_this_process_append_too() {
    common::load_library(c"libstdc++.so.6");
    let options = || Options {
        near: Near::Anywhere,
        slab_length: 1 << 20,
        ..Options::default()
    };
    let appended = compile_with("c++", "c++", &["-fPIC", "-O1"], APPENDED);
    let versions: Vec<Vec<u8>> = (1..8).map(shared).collect();
    let next = shared(2_000_002);
    let mut bench = Bench::with(options());
    publish(&mut bench, false, &versions[0]).unwrap();
    let (newest, done) = (AtomicI64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // Another thread appends to an image of its own all the while.
        let appender = scope.spawn(|| {
            let mut bench = Bench::with(options());
            let mut number = 0;
            while !done.load(Ordering::Acquire) {
                let name = format!("number{number}");
                append_number(&mut bench, &name, number);
                let at = bench.session.view().symbol(&name).unwrap().address;
                newest.store(at.get() as i64, Ordering::Release);
                assert_eq!(bench.call(&name, 0, 0), i64::from(number));
                number += 1;
                std::thread::sleep(Duration::from_micros(300));
            }
            number
        });
        let (mut children, mut replaced) = (Vec::new(), 0);
        for number in 0..FORKS {
            let (copy, other) = (&mut bench, &newest);
            children.push(fork(|| child(copy, number, &appended, &next, other)));
            wait_for(&mut children, AT_A_TIME);
            append_number(&mut bench, &format!("of_parent{number}"), number as i32);
            assert_eq!(
                bench.call(&format!("of_parent{}", number / 2), 0, 0),
                number / 2
            );
            assert_eq!(
                bench.call("bump", 1, 0),
                101 + number,
                "only the parent counts here"
            );
            if number % 20 == 0 {
                let version = &versions[replaced % versions.len()];
                publish(&mut bench, true, version).unwrap();
                let expected = (replaced % versions.len()) as i64 + 1;
                assert_eq!(bench.call("version_twice", 0, 5), expected * 2);
                replaced += 1;
            }
        }
        wait_for(&mut children, 0);
        done.store(true, Ordering::Release);
        assert!(appender.join().unwrap() > 100);
    });
    assert_eq!(bench.call("bump_thread", 0, 0), 7);
}
