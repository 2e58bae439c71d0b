//! Every kind of batch, and each call that a publish of it makes of its ground
//! failing in turn. Of a refused batch nothing may be left: tables, reservations,
//! committed pages, bytes, mappings and thread-locals are compared. What fails past
//! the commit is a fault of what was published, and the session goes on.
//!
//! The grounds are those of the tests that use this: this process, workers
//! (`every_call.rs`), a process that a debugger has stopped (in `dbg`).

#![allow(dead_code)]

use std::sync::OnceLock;

use sapwood_link::worker::ARENA_SIZE;
use sapwood_link::{
    AtomKind, AtomSpec, Error, Ground, HostAddr, Near, Options, Published, RelocKind, RelocSpec,
    Session,
};

use crate::common::{archive, compile, compile_with};
use crate::tripping::{How, Tripping};

/// A ground that can be looked at past what the session may ask.
pub trait Target: Ground {
    fn process(&self) -> u32;
    /// The thread pointers of some threads.
    fn thread_pointers(&mut self) -> Vec<u64>;
    /// Where thread-locals begin, from there.
    fn first_thread_local(&self) -> i64;
    /// Runs what a publish has put off.
    fn settle(&mut self) {}
    /// Takes the image out.
    fn end(self, session: Session);
}

/// Where a ground's thread-locals begin, asked while it has none; 0 where
/// there is no room for any.
pub fn first_thread_local(ground: &mut dyn Ground) -> i64 {
    let Some(room) = ground.host().thread_locals() else {
        return 0;
    };
    let first = room.reserve(1, 1).unwrap();
    room.release(first).unwrap();
    first
}

/// Everything a batch could change.
#[derive(PartialEq)]
pub struct Everything {
    tables: String,
    /// Reservations, what of each is committed, and those bytes.
    memory: Vec<String>,
    bytes: Vec<Vec<u8>>,
    /// The image's mappings as the kernel has them.
    mappings: Vec<String>,
    /// Where the next thread-local would go, and all of the arena.
    next_thread_local: i64,
    thread_locals: Vec<Vec<u8>>,
    stands_registered: i64,
}

/// All of it, now.
pub fn everything<G: Target>(session: &Session, ground: &mut Tripping<G>) -> Everything {
    let reserved: Vec<_> = ground.committed.values().cloned().collect();
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", ground.inner.process())).unwrap();
    let is_images = |line: &&str| {
        let start = line.split('-').next().unwrap();
        let start = HostAddr(u64::from_str_radix(start, 16).unwrap());
        let mut ranges = reserved.iter().map(|(region, _)| region.range());
        line.contains("sapwood") || ranges.any(|range| range.contains(&start))
    };
    let mappings = maps.lines().filter(is_images).map(str::to_owned).collect();
    let read = |ground: &mut Tripping<G>, at: HostAddr, length: u64| {
        let mut bytes = vec![0; length as usize];
        let read = ground.inner.space().read(at, &mut bytes);
        read.unwrap_or_else(|error| panic!("{at}, {length:#x} bytes: {error}"));
        bytes
    };
    let bytes = reserved.iter().map(|(region, committed)| {
        let length = (*committed).min(region.length);
        read(ground, region.start, length)
    });
    let bytes = bytes.collect();
    let next = first_thread_local(&mut ground.inner);
    let first = ground.inner.first_thread_local();
    let pointers = ground.inner.thread_pointers();
    let thread_locals = pointers.iter().map(|pointer| {
        let at = HostAddr(pointer.wrapping_add_signed(first));
        read(ground, at, ARENA_SIZE as u64)
    });
    Everything {
        tables: session.state(),
        memory: reserved.iter().map(|known| format!("{known:?}")).collect(),
        bytes,
        mappings,
        next_thread_local: next,
        thread_locals: thread_locals.collect(),
        stands_registered: ground.registered,
    }
}

impl Everything {
    /// What is not as in another, in words.
    pub fn differs_from(&self, other: &Everything) -> Option<String> {
        let mut what = Vec::new();
        let lines = |one: &str, two: &str| {
            let two: Vec<&str> = two.lines().collect();
            let new = one.lines().filter(|line| !two.contains(line));
            new.take(5).map(str::to_owned).collect::<Vec<_>>()
        };
        if self.tables != other.tables {
            let gone = lines(&other.tables, &self.tables);
            what.push(format!(
                "tables: {:?}, not {gone:?}",
                lines(&self.tables, &other.tables)
            ));
        }
        if self.memory != other.memory {
            what.push(format!("memory: {:?}, not {:?}", self.memory, other.memory));
        }
        if self.mappings != other.mappings {
            what.push(format!(
                "mappings: {:?}, not {:?}",
                self.mappings, other.mappings
            ));
        }
        for (number, (now, then)) in self.bytes.iter().zip(&other.bytes).enumerate() {
            if let Some(at) = now.iter().zip(then).position(|(now, then)| now != then) {
                what.push(format!("bytes of region {number} from {at:#x} on"));
            }
        }
        if self.thread_locals != other.thread_locals {
            what.push("bytes of thread-locals".into());
        }
        if self.next_thread_local != other.next_thread_local {
            what.push("room for thread-locals".into());
        }
        if self.stands_registered != other.stands_registered {
            what.push("what libgcc knows".into());
        }
        (!what.is_empty()).then(|| what.join("; "))
    }
}

/// What one publish is of.
#[derive(Clone, Default)]
pub struct Stage {
    pub replaces: bool,
    pub objects: Vec<(&'static str, Vec<u8>)>,
    pub once: Option<Vec<u8>>,
    pub archive: Option<Vec<u8>>,
    pub atoms: bool,
}

/// A kind of batch: what was published before, what is published, and how the
/// session and its ground are.
#[derive(Clone, Default)]
pub struct Kind {
    pub name: &'static str,
    pub before: Vec<Stage>,
    pub batch: Stage,
    pub slab_length: Option<u64>,
    /// The symbol in whose code a thread stands, five bytes in.
    pub stands_in: Option<&'static str>,
    pub plain_unwinder: bool,
    /// What is there to be called afterwards, and what it gives for 3 and 4.
    pub check: (&'static str, i64),
}

/// Publishes a stage.
pub fn publish(
    session: &mut Session,
    ground: &mut dyn Ground,
    stage: &Stage,
) -> Result<Published, Error> {
    let mut batch = session.batch();
    if stage.replaces {
        batch.replace();
    }
    for (name, object) in &stage.objects {
        batch.object(name, object)?;
    }
    if let Some(once) = &stage.once {
        assert!(batch.object_once("once.o", once)?, "it is not known yet");
    }
    if let Some(archive) = &stage.archive {
        batch.archive("lib.a", &archive[..])?;
    }
    if stage.atoms {
        let relocs = [RelocSpec {
            offset: 1,
            kind: RelocKind(4),
            target: "puts",
            addend: -4,
        }];
        for (name, kind, relocs) in [
            (Some("by_hand"), AtomKind::Code, &relocs[..]),
            (None, AtomKind::Data, &[]),
        ] {
            let spec = AtomSpec {
                name,
                kind,
                alignment: 16,
                bytes: &[0xe8, 0, 0, 0, 0, 0xc3],
                size: 6,
                relocs,
            };
            batch.atom("by hand", &spec)?;
        }
    }
    batch.publish(ground)
}

/// Something of everything that an object may have.
const FULL: &str = r#"
    #include <stdio.h>
    #include <string.h>
    long counter = 3; long zeroes[5000]; int common_block[4]; static __thread long mine = 11;
    __thread long zero_of_thread;
    extern long member(long);
    static long one(long x) { return x + 1; }
    static void *choose(void) { return one; }
    long chosen(long) __attribute__((ifunc("choose")));
    __attribute__((constructor(300))) static void starts(void) { counter += 100; }
    __attribute__((constructor)) static void starts_late(void) { counter += 1000; }
    __attribute__((destructor)) static void ends(void) { counter = 0; }
    extern int missing(void) __attribute__((weak));
    __attribute__((section("named"))) int in_named = 1; extern int __start_named[];
    long value(long a, long b) {
        return chosen(a) + member(b) + mine + zero_of_thread + counter + (long)strlen("abc")
            + (missing ? 1 : 0) + __start_named[0] + common_block[0] + zeroes[4999];
    }
"#;
/// What `value(3, 4)` is: 4 + 8 + 11 + 0 + 1103 + 3 + 0 + 1.
const FULL_VALUE: i64 = 1130;

const SMALL: &str = "
    long kept = 5; __thread long kept_of_thread = 6; static long calls;
    __attribute__((noinline)) long inner(long x) { return x + 1; }
    long outer(long a, long b) { calls++; return inner(a) * 10 + b + kept + kept_of_thread; }
    long (*stored)(long, long) = outer;";

/// Every kind of batch, compiled once.
pub fn kinds() -> &'static [Kind] {
    static KINDS: OnceLock<Vec<Kind>> = OnceLock::new();
    KINDS.get_or_init(make_kinds)
}

fn make_kinds() -> Vec<Kind> {
    let flags = [
        "-fPIC",
        "-O1",
        "-g",
        "-fcommon",
        "-ffunction-sections",
        "-fdata-sections",
        "-fno-ipa-ra",
        "-fno-inline",
        "-w",
    ];
    let c = |source: &str| compile(&flags, source);
    let small = || Stage {
        objects: vec![("part.o", c(SMALL))],
        ..Stage::default()
    };
    let replacing = |object: Vec<u8>| Stage {
        replaces: true,
        objects: vec![("part.o", object)],
        ..Stage::default()
    };
    let full = Stage {
        objects: vec![("full.o", c(FULL))],
        once: Some(c("long only_once = 1;")),
        archive: Some(archive(&c("long member(long x) { return x * 2; }"))),
        atoms: true,
        ..Stage::default()
    };
    let moved = SMALL.replace(
        "return x + 1;",
        "for (long i = 0; i < x; i++) kept ^= kept << i ^ x * 7; kept = 5; return x + 2;",
    );
    let fresh =
        "long fresh(long); static __thread long fresh_of_thread = 40; long fresh_zeroes[3000];
        static long two(long x) { return x; } static void *choose(void) { return two; }
        long fresh(long) __attribute__((ifunc(\"choose\")));
        __attribute__((constructor)) static void again(void) { fresh_zeroes[0] = 9; }";
    let uses = "return inner(a) * 10 - fresh(a) + fresh_of_thread";
    let mixed = fresh.to_owned() + &moved.replace("return inner(a) * 10", uses);
    let far = |what: &str, flags: &[&str]| {
        let source = format!(
            "long inner(long x) {{ {what} }} long outer(long a, long b) {{ return inner(a) * 10 + b + 11; }}"
        );
        let low = "long (*stored)(long, long) = outer;
            unsigned low(void) { return (unsigned)(long)&stored; }";
        let low = if flags[0] == "-fno-pic" { low } else { "" };
        // No slab of a page has room for what is aligned to a page.
        let align = match flags[0] {
            "-fno-pic" => "-falign-functions=32",
            _ => "-falign-functions=4096",
        };
        let flags = [flags, &["-O1", "-fno-inline", align]].concat();
        compile(&flags, &(source + low))
    };
    let throws = |name: &str, thrown: &str| {
        let source = format!(
            "extern \"C\" long {name}(long a, long b) {{
                try {{ if (a) throw {thrown}; return 0; }} catch (long x) {{ return x; }} }}"
        );
        compile_with("c++", "c++", &["-fPIC", "-O1"], &source)
    };
    let throwing = |name: &'static str, thrown: &str| Stage {
        objects: vec![("throws.o", throws(name, thrown))],
        ..Stage::default()
    };
    vec![
        Kind {
            name: "the first append, of everything",
            batch: full.clone(),
            check: ("value", FULL_VALUE),
            ..Kind::default()
        },
        Kind {
            name: "a later append, with a member of an earlier archive",
            before: vec![Stage {
                archive: full.archive.clone(),
                ..small()
            }],
            batch: Stage {
                archive: None,
                ..full.clone()
            },
            check: ("value", FULL_VALUE),
            ..Kind::default()
        },
        Kind {
            name: "an append that begins a slab",
            before: vec![small()],
            batch: full.clone(),
            slab_length: Some(4096),
            check: ("value", FULL_VALUE),
            ..Kind::default()
        },
        Kind {
            name: "an append below 2 GiB, beside the slab",
            before: vec![small()],
            batch: Stage {
                objects: vec![(
                    "low.o",
                    compile(
                        &["-fno-pic", "-O1"],
                        "long table[9]; unsigned long low(long a, long b) { return (unsigned)(long)&table[a] != 0; }",
                    ),
                )],
                ..Stage::default()
            },
            check: ("low", 1),
            ..Kind::default()
        },
        Kind {
            name: "a replacement in the slot",
            before: vec![small()],
            batch: replacing(c(&SMALL.replace("x + 1", "x + 3"))),
            check: ("outer", 60 + 4 + 11),
            ..Kind::default()
        },
        Kind {
            name: "a replacement that moves by a jump",
            before: vec![small()],
            batch: replacing(c(&moved)),
            check: ("outer", 50 + 4 + 11),
            ..Kind::default()
        },
        Kind {
            name: "a replacement that moves because a thread is in the way",
            before: vec![small()],
            batch: replacing(c(&SMALL.replace("x + 1", "x + 3"))),
            stands_in: Some("outer"),
            check: ("outer", 60 + 4 + 11),
            ..Kind::default()
        },
        Kind {
            name: "a replacement that moves out of reach of a short jump",
            before: vec![Stage {
                objects: vec![("part.o", far("return x + 1;", &["-fno-pic"]))],
                ..Stage::default()
            }],
            batch: replacing(far("return x * x * x + 3;", &["-fPIC"])),
            slab_length: Some(4096),
            check: ("outer", 300 + 4 + 11),
            ..Kind::default()
        },
        Kind {
            name: "a replacement of everything at once, with new things beside",
            before: vec![small(), replacing(c(&SMALL.replace("x + 1", "x + 9")))],
            batch: Stage {
                once: Some(c("long only_once = 1;")),
                archive: full.archive.clone(),
                ..replacing(c(&mixed))
            },
            check: ("outer", 50 - 3 + 40 + 4 + 11),
            ..Kind::default()
        },
        Kind {
            name: "entries registered batch by batch",
            before: vec![throwing("first", "a")],
            batch: throwing("second", "a + b"),
            plain_unwinder: true,
            check: ("second", 7),
            ..Kind::default()
        },
        Kind {
            name: "entries in a sorted array",
            before: vec![],
            batch: throwing("second", "a + b"),
            check: ("second", 7),
            ..Kind::default()
        },
    ]
}

/// A session in which a kind of batch can be published.
pub fn prepare<G: Target>(kind: &Kind, mut ground: Tripping<G>) -> (Session, Tripping<G>) {
    let mut session = Session::new(Options {
        near: Near::Anywhere,
        slab_length: kind.slab_length.unwrap_or(1 << 20),
        ..Options::default()
    });
    ground.plain_unwinder = kind.plain_unwinder;
    for stage in &kind.before {
        let published = publish(&mut session, &mut ground, stage);
        let published = published.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        assert!(published.faulted.is_none(), "{:?}", published.faulted);
        ground.inner.settle();
    }
    if let Some(name) = kind.stands_in {
        let at = session.view().symbol(name).unwrap().address;
        ground.stands = vec![at.add(5)];
    }
    (session, ground)
}

/// Calls what a batch brought.
pub fn check<G: Target>(kind: &Kind, session: &Session, ground: &mut Tripping<G>) {
    let (name, expected) = kind.check;
    let at = session.view().symbol(name).unwrap().address;
    let call = ground.inner.host().call().unwrap();
    let value = call.call(at, &[3, 4]).unwrap();
    assert_eq!(value.cast_signed(), expected, "{}: {name}", kind.name);
}

/// Tries every kind.
pub fn every_kind<G: Target>(ground: impl Fn() -> Tripping<G>) {
    for kind in kinds() {
        every_call(kind, &ground);
    }
}

/// One object for each is registered with libgcc, at most.
pub fn slabs<G>(ground: &Tripping<G>) -> i64 {
    ground.committed.len() as i64 / 4
}

/// Has each call fail once, until none is left to fail.
pub fn every_call<G: Target>(kind: &Kind, ground: &impl Fn() -> Tripping<G>) {
    let (mut refused, mut faulted) = (Vec::new(), Vec::new());
    let (mut session, mut tripping) = prepare(kind, ground());
    let mut before = everything(&session, &mut tripping);
    for call in 0.. {
        tripping.trip(call, How::Once);
        let result = publish(&mut session, &mut tripping, &kind.batch);
        let tripped = tripping.steady();
        let what = || format!("{}: call {call}, {tripped:?}", kind.name);
        match result {
            // A first try was written, a thread was in its way, and it could not
            // be taken back.
            Err(Error::Lost(why)) if kind.stands_in.is_some() => {
                assert!(why.contains("could not undo"), "{}: {why}", what());
                assert!(session.state() == before.tables, "{}", what());
                forget_thread_locals(&mut tripping.inner);
                (session, tripping) = prepare(kind, ground());
                before = everything(&session, &mut tripping);
            }
            Err(error) => {
                let name = tripped.unwrap_or_else(|| panic!("{}: {error}", kind.name));
                assert!(
                    error.to_string().contains(&format!("{name} fails")),
                    "{}: {error}",
                    what()
                );
                let after = everything(&session, &mut tripping);
                if let Some(trace) = after.differs_from(&before) {
                    panic!("{} left a trace: {trace}", what());
                }
                refused.push(name);
            }
            Ok(published) => {
                // What undoes a first try does without what it would read.
                let harmless = kind.stands_in.is_some() && tripped == Some("read");
                let tripped = tripped.filter(|_| !harmless);
                assert_eq!(tripped.is_some(), published.faulted.is_some(), "{}", what());
                let added = session.view().added(published.generation);
                assert_eq!(added.fault.is_some(), tripped.is_some(), "{}", what());
                assert!(
                    (0..=slabs(&tripping)).contains(&tripping.registered),
                    "{}",
                    what()
                );
                tripping.inner.settle();
                if tripped.is_none() {
                    check(kind, &session, &mut tripping);
                }
                tripping.inner.end(session);
                if tripped.is_none() && !harmless {
                    break;
                }
                faulted.extend(tripped);
                (session, tripping) = prepare(kind, ground());
                before = everything(&session, &mut tripping);
            }
        }
    }
    assert!(!refused.is_empty(), "{}", kind.name);
    println!(
        "{}: refused at {refused:?}, faulted at {faulted:?}",
        kind.name
    );
}

/// Gives back all room for thread-locals that anybody has.
pub fn forget_thread_locals<G: Target>(ground: &mut G) {
    let first = ground.first_thread_local();
    let Some(room) = ground.host().thread_locals() else {
        return;
    };
    for offset in first..0 {
        room.release(offset).unwrap();
    }
}
