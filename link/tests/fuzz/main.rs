//! Malformed objects and archives, and random sequences of batches.
//!
//! Seed-driven and structure-aware: good objects and archives are damaged in
//! their headers, tables and fields, and published by appending and replacing
//! batches, on a [ground](paper) that fails now and then.
//! `SAPWOOD_FUZZ_SECONDS` sets how long (four seconds by default),
//! `SAPWOOD_FUZZ_SEED` where it begins; a failing seed is in the message.
//! `link/tests/coverage` says which lines of the crate it reaches.
//!
//! What is looked for: a panic, a hang, a trace left by a refused batch, memory
//! beyond [`MOST_BYTES`] for one input.

#[path = "../common/mod.rs"]
mod common;
mod damage;
mod paper;

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{compile, compile_with};
use damage::{Good, archive};
use paper::Paper;
use sapwood_link::{
    AtomKind, AtomSpec, Error, Near, Options, Parts, Published, RelocKind, RelocSpec, Session,
};

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
    Duration::from_secs(seconds.and_then(|s| s.parse().ok()).unwrap_or(4))
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
    let asm = r#"
        .section .ctors.00042,"aw"; .quad early
        .section .dtors,"aw"; .quad early
        .section .preinit_array,"aw",@preinit_array; .quad early
        .section .init_array.7,"aw",@init_array; .quad early
        .section .text.early,"axG",@progbits,group,comdat
        .globl early; .weak early; .type early,@function
        early: .cfi_startproc; call f@PLT; call *outside@GOTPCREL(%rip); ret; .cfi_endproc
        .size early,.-early
        .data; .balign 64
        .symver versioned,outside@GLIBC_2.2.5
        .quad versioned, early+5; .long early-., outside@GOTPCREL, 0, 0; .short 0; .byte 0
        absolute = 0x1234; .globl absolute
    "#;
    vec![
        compile(&["-fPIC", "-O0", "-fcommon", "-g"], c),
        compile(&["-fPIC", "-O1", "-g", "-gz", "-fdata-sections"], c),
        compile(&["-fno-pic", "-O2", "-fcommon", "-ffunction-sections"], c),
        compile(&["-fPIC", "-mtls-dialect=gnu2", "-O1"], c),
        compile(&["-fPIC", "-mcmodel=large", "-O1"], c),
        compile_with("c++", "c++", &["-fPIC", "-O1"], cpp),
        compile_with("c++", "c++", &["-fno-pic", "-O0", "-g"], cpp),
        compile_with("cc", "assembler", &[], asm),
    ]
}

/// How far inputs came.
#[derive(Default)]
struct Reached {
    inputs: u64,
    past_header: u64,
    to_relocation: u64,
    published: u64,
    replaced: u64,
    faulted: u64,
    refused_by_the_ground: u64,
    lost: u64,
}

/// Everything that a refused batch could have changed.
fn everything(session: &Session, paper: &Paper) -> (String, i64, Vec<Vec<u8>>) {
    let memory = paper.memory().iter().map(|(_, bytes)| bytes.clone());
    (session.state(), paper.thread_locals, memory.collect())
}

/// One batch: a damaged object, or an archive, or atoms by hand, or some of these.
struct Input {
    objects: Vec<Vec<u8>>,
    archive: Option<Vec<u8>>,
    atom: Option<(Vec<u8>, AtomKind, u64, RelocSpec<'static>)>,
    replaces: bool,
}

/// Names that the good objects define or want.
const NAMES: [&str; 6] = ["f", "outside", "common", "t", "chosen", "counter"];

impl Input {
    fn new(good: &[Good], random: &mut Random) -> Input {
        let one = |random: &mut Random| {
            let object = &good[random.below(good.len())];
            match random.below(12) {
                0 => object.bytes.clone(),
                _ => object.damaged(random),
            }
        };
        let mut input = Input {
            objects: Vec::new(),
            archive: None,
            atom: None,
            replaces: random.below(3) == 0,
        };
        match random.below(16) {
            0 | 1 => {
                let members: Vec<_> = (0..1 + random.below(2)).map(|_| one(random)).collect();
                let mut bytes = archive(&members, &NAMES[..1 + random.below(6)], random);
                if random.below(2) == 0 {
                    let at = random.below(bytes.len());
                    bytes[at] = random.next() as u8;
                }
                input.archive = Some(bytes);
                let object = &good[random.below(good.len())];
                input.objects.push(object.bytes.clone());
            }
            2 => {
                let len = random.below(40);
                let kinds = [
                    AtomKind::Code,
                    AtomKind::ReadOnly,
                    AtomKind::Data,
                    AtomKind::ThreadLocal,
                ];
                let reloc = RelocSpec {
                    offset: random.below(44) as u32,
                    kind: RelocKind(random.below(46) as u32),
                    target: NAMES[random.below(6)],
                    addend: random.number().cast_signed(),
                };
                let bytes = (0..len).map(|_| random.next() as u8).collect();
                let alignment = 1 << random.below(22);
                input.atom = Some((bytes, kinds[random.below(4)], alignment, reloc));
            }
            3 => input.objects.extend([one(random), one(random)]),
            _ => input.objects.push(one(random)),
        }
        input
    }

    /// Stages and publishes. The flag says whether all was staged.
    fn publish(
        &self,
        session: &mut Session,
        paper: &mut Paper,
    ) -> (bool, Result<Published, Error>) {
        let mut batch = session.batch();
        if self.replaces {
            batch.replace();
        }
        let mut staged = Ok(());
        for object in &self.objects {
            staged = staged.and_then(|()| batch.object("fuzz.o", object));
        }
        if let Some(archive) = &self.archive {
            staged = staged.and_then(|()| batch.archive("fuzz.a", &archive[..]));
        }
        if let Some((bytes, kind, alignment, reloc)) = &self.atom {
            let spec = AtomSpec {
                name: Some("by_hand"),
                kind: *kind,
                alignment: *alignment,
                bytes,
                size: bytes.len() as u64,
                relocs: std::slice::from_ref(reloc),
            };
            staged = staged.and_then(|()| batch.atom("by hand", &spec));
        }
        match staged {
            Ok(()) => (true, batch.publish(paper)),
            Err(error) => (false, Err(error)),
        }
    }
}

/// Publishes one input and looks at what came of it. False when the target is
/// lost, and nothing more can be published.
fn try_one(
    input: &Input,
    session: &mut Session,
    paper: &mut Paper,
    random: &mut Random,
    reached: &mut Reached,
) -> bool {
    reached.inputs += 1;
    paper.failed = None;
    paper.fails_in = (random.below(4) == 0).then(|| random.below(20));
    let view = session.view();
    let atoms = view.atom_count();
    paper.places.clear();
    for _ in 0..random.below(3) {
        // Threads stand in code, at its beginning more often than not.
        if let Some(atom) = view.atoms().nth(random.below(atoms)) {
            let inside = random.below(2) * random.below(atom.size as usize);
            paper.places.push(atom.address.add(inside as u64));
        }
    }
    // To compare all takes longer than all the rest.
    let before = (random.below(8) == 0).then(|| everything(session, paper));
    let (staged, result) = input.publish(session, paper);
    paper.fails_in = None;
    match result {
        Ok(published) => {
            reached.past_header += 1;
            reached.to_relocation += 1;
            reached.published += 1;
            reached.replaced += u64::from(input.replaces);
            reached.faulted += u64::from(published.faulted.is_some());
            look_at(session, &published);
        }
        // A thread was in the way of code in its slot, and the one call that fails
        // is the one that takes the first try back.
        Err(Error::Lost(why)) => {
            assert!(input.replaces && !paper.places.is_empty(), "{why}");
            assert_eq!(paper.failed, Some("apply"), "{why}");
            assert_eq!(why, "could not undo a batch: apply fails");
            assert_eq!(view.generation(), session.generation(), "{why}");
            reached.lost += 1;
            return false;
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty());
            let late = ["R_X86_64", "thread-local", "COMDAT", "cannot replace"];
            let relocated = late.iter().any(|part| text.contains(part));
            reached.to_relocation += u64::from(staged && relocated);
            let parts = ["symbol", "section", "relocation"];
            let past_header = staged || parts.iter().any(|part| text.contains(part));
            reached.past_header += u64::from(past_header);
            reached.refused_by_the_ground += u64::from(text.contains(" fails"));
            assert_eq!(view.generation(), session.generation(), "{text}");
            assert_eq!(atoms, session.view().atom_count(), "{text}");
            if let Some(before) = before {
                assert!(before == everything(session, paper), "a trace of: {text}");
            }
        }
    }
    true
}

/// Reads all that a view and a debugger would of what was published.
fn look_at(session: &Session, published: &Published) {
    let view = session.view();
    for atom in view.added(published.generation).atom_ids() {
        let atom = view.atom(atom);
        if atom.size > 0 {
            assert!(view.atom_at(atom.address).is_some());
            view.symbol_at(atom.address);
        }
        assert!(view.relocs(atom.id).count() < 1 << 20);
    }
    for symbol in view.added(published.generation).symbol_ids() {
        let symbol = view.symbol_by_id(symbol);
        assert!(
            view.symbols_named(symbol.name)
                .any(|same| same.id == symbol.id)
        );
    }
    for input in view.added(published.generation).input_ids() {
        let _ = session.debug_image(input);
    }
    assert!(view.functions(view.generation()).next().is_none());
}

/// A session of a few inputs.
fn sequence(good: &[Good], seed: u64, reached: &mut Reached) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut session = Session::new(Options {
        near: [Near::Anywhere, Near::Low][random.below(2)].clone(),
        slab_length: 1 << 20,
        ..Options::default()
    });
    let mut paper = Paper::new(random.below(2) == 0);
    for _ in 0..1 + random.below(16) {
        let input = Input::new(good, &mut random);
        if !try_one(&input, &mut session, &mut paper, &mut random, reached) {
            break;
        }
    }
    if session.space().is_some() {
        session
            .release(&mut Parts {
                space: &mut paper,
                host: &mut (),
                resolver: &mut (),
            })
            .unwrap();
        assert!(paper.memory().is_empty(), "a region is left");
    }
}

/// The allocations of the whole process are counted, so there is one test.
#[test]
fn malformed_inputs_and_random_batches_are_refused_or_published_whole() {
    let good: Vec<Good> = good_objects().into_iter().map(Good::new).collect();
    let mut reached = Reached::default();
    let end = Instant::now() + seconds();
    let mut seed = first_seed();
    while Instant::now() < end {
        let (in_use, started) = (IN_USE.load(Ordering::Relaxed), Instant::now());
        MOST.store(in_use, Ordering::Relaxed);
        let done = catch_unwind(AssertUnwindSafe(|| sequence(&good, seed, &mut reached)));
        assert!(done.is_ok(), "seed {seed} panics");
        let most = MOST.load(Ordering::Relaxed).saturating_sub(in_use);
        assert!(most < MOST_BYTES, "seed {seed} took {most} bytes");
        let took = started.elapsed();
        assert!(took < Duration::from_secs(20), "seed {seed} hangs");
        seed += 1;
    }
    println!(
        "{} inputs, {} past the header, {} to relocation, {} published, {} of these replacing, \
         {} faulted; {} refused by the ground, {} lost; seeds {}..{seed}",
        reached.inputs,
        reached.past_header,
        reached.to_relocation,
        reached.published,
        reached.replaced,
        reached.faulted,
        reached.refused_by_the_ground,
        reached.lost,
        first_seed()
    );
    assert!(
        reached.past_header * 2 > reached.inputs,
        "most inputs pass the header"
    );
    assert!(
        reached.to_relocation * 5 > reached.inputs,
        "a fifth reach relocation"
    );
    assert!(reached.replaced > 0 && reached.refused_by_the_ground > 0);
}
