//! Replacing functions of this process while its threads run.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use common::{Bench, compile};
use sapwood_link::{Error, Host, LocalHost, Published};

/// Stopping the world stops the other tests' threads too.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Tells the other threads of a test to end, also when it fails.
struct Done<'d>(&'d AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn replace(bench: &mut Bench, object: &[u8]) -> Result<Published, Error> {
    bench.replace(&[("part.o", object)])
}

/// The same number three times, so that a torn function shows.
fn part(version: u64, padding: &str) -> Vec<u8> {
    let source = format!(
        "static volatile long sink;
         static long inner(long x) {{ sink += x; {padding} return {version}; }}
         long value(long a, long b) {{
             long one = inner(a), two = {version};
             return one == two && inner(b) == two ? two : -1; }}"
    );
    compile(
        &[
            "-fPIC",
            "-O1",
            "-fno-ipa-ra",
            "-ffunction-sections",
            "-fdata-sections",
        ],
        &source,
    )
}

#[test]
fn busy_threads_see_the_old_code_or_the_new() {
    let _turn = turn();
    let mut bench = Bench::new();
    bench.publish(&[("part.o", &part(1, ""))]).unwrap();
    let value = bench.session.view().symbol("value").unwrap().address;
    // SAFETY: the function has this type, in every version.
    let value: extern "C" fn(i64, i64) -> i64 =
        unsafe { std::mem::transmute(value.get() as *const ()) };
    let (done, newest) = (AtomicBool::new(false), AtomicU64::new(1));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let least = newest.load(Ordering::Acquire) as i64;
                    let mut kept = Vec::new();
                    for _ in 0..100 {
                        // The allocator's lock is busy as well.
                        kept.push(vec![0u8; 200]);
                        let seen = value(1, 2);
                        assert!(seen >= least, "{seen} after {least}");
                    }
                    std::hint::black_box(kept);
                }
            });
        }
        let _done = Done(&done);
        let (mut refused, mut moved, mut in_place) = (0, 0, 0);
        for version in 2..40u64 {
            // Long ones do not fit the slot of a short one.
            let padding = if version % 7 == 0 {
                "sink ^= 3; sink *= x; sink -= 9;"
            } else {
                ""
            };
            let object = part(version, padding);
            for attempt in 0.. {
                match replace(&mut bench, &object) {
                    Ok(published) => {
                        let view = bench.session.view();
                        match view.added(published.generation).overwritten.len() {
                            0 => moved += 1,
                            _ => in_place += 1,
                        }
                        break;
                    }
                    Err(error) => {
                        assert!(error.to_string().contains("a thread is in"), "{error}");
                        assert!(attempt < 1000, "{error}");
                        refused += 1;
                        std::thread::yield_now();
                    }
                }
            }
            newest.store(version, Ordering::Release);
        }
        println!("{moved} moved, {in_place} in place, {refused} refused");
        assert!(moved > 0 && in_place > 0);
    });
}

#[test]
fn threads_come_and_go_while_the_world_is_stopped() {
    let _turn = turn();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                std::thread::spawn(|| ()).join().unwrap();
            }
        });
        let _done = Done(&done);
        // SAFETY: it publishes nothing.
        let mut host = unsafe { LocalHost::new() };
        for _ in 0..100 {
            let places = host.world().unwrap().stop().unwrap();
            host.world().unwrap().resume().unwrap();
            assert!(!places.is_empty());
        }
    });
}

#[test]
fn a_return_address_on_any_stack_is_found() {
    let _turn = turn();
    let mut bench = Bench::new();
    let object = compile(
        &["-fPIC", "-O0"],
        r#"
        #define _GNU_SOURCE
        #include <signal.h>
        #include <stdlib.h>
        #include <unistd.h>
        volatile int ready, go;
        static void on_signal(int signal) { ready = 1; while (!go) usleep(100); }
        // Stands in a handler on an alternate stack, above this function.
        long interrupted(long a, long b) {
            stack_t stack = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
            sigaltstack(&stack, 0);
            struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
            sigaction(SIGUSR1, &action, 0);
            raise(SIGUSR1);
            return 5;
        }
        long is_ready(long a, long b) { return ready; }
        long let_go(long a, long b) { go = 1; return 0; }
        "#,
    );
    bench.publish(&[("one.o", &object)]).unwrap();
    let view = bench.session.view();
    let function = view.symbol("interrupted").unwrap();
    let inside = function.address.range(function.size);
    std::thread::scope(|scope| {
        let at = function.address.get() as usize;
        let thread = scope.spawn(move || {
            // SAFETY: the function has this type.
            let interrupted: extern "C" fn(i64, i64) -> i64 =
                unsafe { std::mem::transmute(at as *const ()) };
            interrupted(0, 0)
        });
        while bench.call("is_ready", 0, 0) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        // SAFETY: it publishes nothing.
        let mut host = unsafe { LocalHost::new() };
        let places = host.world().unwrap().stop().unwrap();
        host.world().unwrap().resume().unwrap();
        bench.call("let_go", 0, 0);
        assert_eq!(thread.join().unwrap(), 5);
        let found =
            |place: &&sapwood_link::HostAddr| inside.contains(*place) && **place != inside.start;
        assert!(places.iter().any(|place| found(&place)), "{inside:?}");
    });
}

#[test]
fn a_thread_that_blocks_the_signal_is_named_and_the_others_go_on() {
    let _turn = turn();
    let (done, counted) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (blocked, is_blocked) = std::sync::mpsc::channel();
        let done = &done;
        let _done = Done(done);
        let deaf = std::thread::Builder::new().name("deaf".into());
        deaf.spawn_scoped(scope, move || {
            // SAFETY: blocks signals for this thread only.
            unsafe {
                let mut all: libc::sigset_t = std::mem::zeroed();
                libc::sigfillset(&raw mut all);
                libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
            }
            blocked.send(()).unwrap();
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
        })
        .unwrap();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        is_blocked.recv().unwrap();
        // SAFETY: it publishes nothing.
        let mut host = unsafe { LocalHost::new() };
        let error = host.world().unwrap().stop().unwrap_err().to_string();
        assert!(error.contains("(deaf) blocks signal"), "{error}");
        let before = counted.load(Ordering::Relaxed);
        while counted.load(Ordering::Relaxed) == before {
            std::thread::yield_now();
        }
    });
}
