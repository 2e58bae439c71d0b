//! Malformed objects and archives, and random sequences of batches.
//!
//! Seed-driven and structure-aware: a good object or archive is damaged in its
//! headers, tables and fields, and what reaches publish is published with a
//! host that runs nothing. `SAPWOOD_FUZZ_SECONDS` sets how long (two seconds for
//! each of the two by default), `SAPWOOD_FUZZ_SEED` where it begins; a failing
//! seed is in the message.
//!
//! What is looked for: a panic, a hang, a trace left by a refused batch, memory
//! beyond [`MOST_BYTES`] for one input.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Faulty, compile, compile_with};
use sapwood_link::{HostAddr, Near, Options, Parts, Session};

/// What one input of a few kilobytes may allocate at most, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// The system's allocator, that remembers the most that was in use.
struct Watching;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// A small generator of numbers (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A number of the kind that breaks readers.
    fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => u64::MAX - self.below(16) as u64,
            2 => 1 << self.below(64),
            3 => self.below(64) as u64,
            4 => self.below(1 << 16) as u64,
            _ => self.next(),
        }
    }
}

fn seconds() -> Duration {
    let seconds = std::env::var("SAPWOOD_FUZZ_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|s| s.parse().ok()).unwrap_or(2))
}

fn first_seed() -> u64 {
    let seed = std::env::var("SAPWOOD_FUZZ_SEED").ok();
    seed.and_then(|s| s.parse().ok()).unwrap_or(1)
}

/// Good objects that have everything a reader looks at.
fn good_objects() -> Vec<Vec<u8>> {
    let c = r#"
        static int table[3] = { 1, 2, 3 }; int common; char zeroes[99]; __thread int t = 4;
        extern int outside(int); extern int w(void) __attribute__((weak));
        const char *text = "text"; int (*pointer)(int) = outside;
        __attribute__((constructor)) static void init(void) { common = 1; }
        static void *choose(void) { return init; }
        void chosen(void) __attribute__((ifunc("choose")));
        __attribute__((section("named"))) int n = 1; extern int __start_named[];
        int f(int x) { t++; chosen(); return outside(x) + table[x] + (w ? w() : 0) + __start_named[0]; }
    "#;
    let cpp = "struct A { virtual ~A() {} virtual int f() { return 1; } };
        inline int &counter() { static int c; return c; }
        template <class T> T twice(T x) { return x + x; }
        int g(A &a) { try { return twice(a.f()) + counter(); } catch (int x) { return x; } }";
    vec![
        compile(&["-fPIC", "-O0", "-fcommon", "-g"], c),
        compile(&["-fno-pic", "-O2", "-fcommon", "-ffunction-sections"], c),
        compile(&["-fPIC", "-mtls-dialect=gnu2", "-O1"], c),
        compile_with("c++", "c++", &["-fPIC", "-O1"], cpp),
    ]
}

/// Where an object's section headers lie, and how many.
fn headers(object: &[u8]) -> (usize, usize) {
    let word = |at: usize, len: usize| {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(&object[at..at + len]);
        u64::from_le_bytes(bytes) as usize
    };
    (word(40, 8), word(60, 2))
}

/// Damages an object in one of the places where a reader believes it.
fn damage(object: &mut Vec<u8>, random: &mut Random) {
    let (table, count) = headers(object);
    for _ in 0..1 + random.below(3) {
        let section = table + random.below(count) * 64;
        if section + 64 > object.len() {
            return;
        }
        let part = |at: usize| {
            let bytes: [u8; 8] = object[section + at..section + at + 8].try_into().unwrap();
            u64::from_le_bytes(bytes) as usize
        };
        let (start, size) = (part(24), part(32));
        let value = random.number().to_le_bytes();
        match random.below(8) {
            // A field of the section's header.
            0 | 1 => {
                let field = [0, 4, 8, 16, 24, 32, 40, 44, 48, 56][random.below(10)];
                let width = if matches!(field, 0 | 4 | 40 | 44) {
                    4
                } else {
                    8
                };
                object[section + field..][..width].copy_from_slice(&value[..width]);
            }
            // A field in its contents: symbols, relocations, groups, code.
            2..=5 if start < object.len() && size >= 8 => {
                let size = size.min(object.len() - start);
                let at = start + random.below(size) / 4 * 4;
                let width = [1, 2, 4, 8][random.below(4)];
                if let Some(field) = object.get_mut(at..at + width) {
                    field.copy_from_slice(&value[..width]);
                }
            }
            6 => {
                let at = random.below(64);
                object[at] = value[0];
            }
            _ => {
                let keep = random.below(object.len());
                object.truncate(keep.max(64));
                return;
            }
        }
    }
}

/// An archive of two objects without an index, so that members are read for
/// their names.
fn archive(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (number, object) in objects.iter().enumerate() {
        let size = object.len();
        let header = format!(
            "{:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
            format!("m{number}.o/"),
            0,
            0,
            0,
            644
        );
        archive.extend(header.as_bytes());
        archive.extend(object);
        if size % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

/// How far inputs came.
#[derive(Default)]
struct Reached {
    inputs: u64,
    past_header: u64,
    to_relocation: u64,
    published: u64,
}

/// Stages and publishes; the text is the error's, if it was refused.
fn try_one(session: &mut Session, space: &mut Faulty, bytes: &[u8], reached: &mut Reached) {
    reached.inputs += 1;
    let before = (session.generation(), session.view().atom_count());
    let mut batch = session.batch();
    let staged = match bytes.starts_with(b"!<arch>") {
        true => batch.archive("fuzz.a", bytes).map(|()| true),
        false => batch.object("fuzz.o", bytes).map(|()| true),
    };
    let mut resolver = |_: &str| Some(HostAddr(0x1000));
    let mut past_header = false;
    let result = staged.and_then(|_| {
        past_header = true;
        batch.publish(&mut Parts {
            space,
            host: &mut (),
            resolver: &mut resolver,
        })
    });
    match result {
        Ok(_) => {
            reached.to_relocation += 1;
            reached.published += 1;
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty());
            let late = ["R_X86_64", "thread-local", "call functions", "COMDAT"];
            let relocated = late.iter().any(|part| text.contains(part));
            reached.to_relocation += u64::from(relocated);
            past_header |= ["symbol", "section", "relocation"]
                .iter()
                .any(|part| text.contains(part));
            assert_eq!(
                before,
                (session.generation(), session.view().atom_count()),
                "{text}"
            );
        }
    }
    reached.past_header += u64::from(past_header);
}

fn run(name: &str, each: impl Fn(&mut Random, &mut Session, &mut Faulty, &mut Reached)) -> Reached {
    let mut reached = Reached::default();
    let end = Instant::now() + seconds();
    let mut seed = first_seed();
    while Instant::now() < end {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut session = Session::new(Options {
            near: [Near::Anywhere, Near::Low][random.below(2)].clone(),
            slab_length: 1 << 20,
            ..Options::default()
        });
        let mut space = Faulty::new(random.below(2) == 0);
        let (in_use, started) = (IN_USE.load(Ordering::Relaxed), Instant::now());
        MOST.store(in_use, Ordering::Relaxed);
        let done = catch_unwind(AssertUnwindSafe(|| {
            each(&mut random, &mut session, &mut space, &mut reached)
        }));
        assert!(done.is_ok(), "{name}: seed {seed} panics");
        let most = MOST.load(Ordering::Relaxed).saturating_sub(in_use);
        assert!(most < MOST_BYTES, "{name}: seed {seed} took {most} bytes");
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{name}: seed {seed} hangs"
        );
        session.release(&mut space, &mut ()).unwrap();
        seed += 1;
    }
    println!(
        "{name}: {} inputs, {} past the header, {} to relocation, {} published; seeds {}..{seed}",
        reached.inputs,
        reached.past_header,
        reached.to_relocation,
        reached.published,
        first_seed()
    );
    reached
}

/// The allocations of the whole process are counted, so there is one test.
#[test]
fn malformed_inputs_and_random_batches_are_refused_or_published_whole() {
    let good = good_objects();
    let reached = run("objects", |random, session, space, reached| {
        for _ in 0..8 {
            let mut object = good[random.below(good.len())].clone();
            damage(&mut object, random);
            try_one(session, space, &object, reached);
        }
    });
    assert!(
        reached.past_header * 2 > reached.inputs,
        "most inputs pass the header"
    );
    assert!(
        reached.to_relocation * 5 > reached.inputs,
        "a fifth reach relocation"
    );
    run("batches", |random, session, space, reached| {
        for _ in 0..6 {
            let mut objects: Vec<Vec<u8>> = (0..1 + random.below(3))
                .map(|_| good[random.below(good.len())].clone())
                .collect();
            if random.below(2) == 0 {
                let which = random.below(objects.len());
                damage(&mut objects[which], random);
            }
            space.failing = [
                None,
                Some("commit"),
                Some("apply"),
                Some("seal"),
                Some("reserve"),
            ][random.below(5)];
            let mut input = match random.below(3) {
                0 => archive(&objects),
                _ => objects.swap_remove(0),
            };
            if random.below(4) == 0 {
                let at = random.below(input.len());
                input[at] = random.next() as u8;
            }
            try_one(session, space, &input, reached);
            space.failing = None;
        }
    });
}
