//! A batch lands whole or leaves no trace: each step is made to fail in turn,
//! and everything that can be seen is compared before and after.

mod common;

use std::sync::{Mutex, MutexGuard};

use common::{Faulty, compile, release};
use sapwood_link::{
    AddressSpace, AtomKind, Error, HostAddr, LocalHost, Near, Options, Parts, Session,
};

/// Everything a batch could change: the session's tables as a view lists them,
/// the memory of every region, and this process's mappings of images.
#[derive(PartialEq, Debug)]
struct Everything {
    generation: String,
    atoms: Vec<String>,
    symbols: Vec<String>,
    regions: Vec<String>,
    memory: Vec<Vec<u8>>,
    mappings: usize,
}

/// The mappings of the whole process are compared, so tests take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// How much of each region is compared: more than any batch here uses.
const LOOK: u64 = 1 << 20;

fn everything(session: &Session, space: &mut Faulty) -> Everything {
    let view = session.view();
    let mut memory = Vec::new();
    for (region, _) in session.regions() {
        let mut bytes = vec![0; LOOK.min(region.length) as usize];
        space.inner.read(region.start, &mut bytes).unwrap();
        memory.push(bytes);
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    Everything {
        generation: view.generation().to_string(),
        atoms: view.atoms().map(|atom| format!("{atom:?}")).collect(),
        symbols: view.symbols().map(|symbol| format!("{symbol:?}")).collect(),
        regions: session
            .regions()
            .iter()
            .map(|region| format!("{region:?}"))
            .collect(),
        memory,
        mappings: maps
            .lines()
            .filter(|line| line.contains("sapwood-image"))
            .count(),
    }
}

fn publish(
    session: &mut Session,
    space: &mut Faulty,
    objects: &[(&str, &[u8])],
) -> Result<(), Error> {
    let mut batch = session.batch();
    for (name, bytes) in objects {
        batch.object(name, bytes)?;
    }
    // SAFETY: the test publishes code that it compiled.
    let mut resolver = unsafe { LocalHost::new() };
    batch
        .publish(&mut Parts {
            space,
            host: &mut (),
            resolver: &mut resolver,
        })
        .map(drop)
}

const SOURCE: &str = r#"
    #include <stdio.h>
    int data = 5; int zeroes[100000]; extern int environ_like __attribute__((weak));
    long PREFIX_f(long a, long b) { data++; zeroes[a] = puts("x"); return (long)&environ_like; }
"#;

fn object(name: &str) -> Vec<u8> {
    let source = SOURCE
        .replace("PREFIX", name)
        .replace("data", &format!("{name}_data"));
    compile(
        &["-fPIC", "-O1"],
        &source.replace("zeroes", &format!("{name}_zeroes")),
    )
}

#[test]
fn every_step_that_fails_leaves_no_trace() {
    let _turn = turn();
    let first = object("first");
    let second = object("second");
    let bad = compile(
        &["-fPIC"],
        "int nowhere(void); long g(void) { return nowhere(); }",
    );
    for windows in [true, false] {
        for published_before in [false, true] {
            let mut session = Session::new(Options {
                near: Near::Anywhere,
                ..Options::default()
            });
            let mut space = Faulty::new(windows);
            if published_before {
                publish(&mut session, &mut space, &[("first.o", &first)]).unwrap();
            }
            let before = everything(&session, &mut space);
            for step in [
                "reserve", "commit", "apply", "seal", "bind", "plan", "stage", "none",
            ] {
                let happens = match step {
                    "reserve" => !published_before,
                    "apply" => !windows,
                    // A second small batch finds pages committed.
                    "commit" => true,
                    _ => true,
                };
                if !happens {
                    continue;
                }
                space.failing = Some(step);
                let mut objects = vec![("second.o", &second[..])];
                match step {
                    "bind" => objects.push(("bad.o", &bad)),
                    "plan" => objects.push(("again.o", &second)),
                    "stage" => objects.push(("cut.o", &second[..second.len() / 2])),
                    // The real thing, so that the comparison itself is tried.
                    "none" => space.failing = None,
                    _ => {}
                }
                let result = publish(&mut session, &mut space, &objects);
                space.failing = None;
                let after = everything(&session, &mut space);
                if step == "none" {
                    result.unwrap();
                    assert_ne!(before, after);
                } else {
                    let error = result.expect_err(step).to_string();
                    let named = match step {
                        "bind" => "nowhere",
                        "plan" => "second_f",
                        "stage" => "cut.o",
                        step => step,
                    };
                    assert!(error.contains(named), "{step}: {error}");
                    assert!(before == after, "{step} left a trace (windows: {windows})");
                }
            }
            release(session, &mut space);
        }
    }
}

#[test]
fn one_publish_makes_at_most_one_apply_and_one_seal() {
    let _turn = turn();
    let object = object("third");
    let mut session = Session::new(Options {
        near: Near::Anywhere,
        ..Options::default()
    });
    let mut space = Faulty::new(false);
    publish(&mut session, &mut space, &[("third.o", &object)]).unwrap();
    assert_eq!(space.calls[4..], [1, 1], "apply, seal");
    release(session, &mut space);
}

#[test]
fn an_emission_that_is_dropped_leaves_no_trace() {
    let _turn = turn();
    let mut session = Session::new(Options {
        near: Near::Anywhere,
        ..Options::default()
    });
    let mut space = Faulty::new(true);
    let finish = |session: &mut Session, space: &mut Faulty| {
        let mut emission = session
            .emit_in_place(space, AtomKind::Code, 16, 64)
            .unwrap();
        emission.bytes()[..4].copy_from_slice(&[1, 2, 3, 4]);
        emission.finish(4).unwrap()
    };
    finish(&mut session, &mut space);
    let before = everything(&session, &mut space);
    let mut emission = session
        .emit_in_place(&mut space, AtomKind::Code, 16, 64)
        .unwrap();
    let at = emission.address();
    emission.bytes().fill(0xcc);
    drop(emission);
    assert!(before == everything(&session, &mut space));
    let (generation, atom) = finish(&mut session, &mut space);
    let view = session.view();
    assert_eq!(generation.to_string(), "gen2");
    assert_eq!(view.atom(atom).address, at);
    assert_eq!(view.atom_at(HostAddr(at.get() + 3)).unwrap().id, atom);
    assert!(view.atom_at(HostAddr(at.get() + 4)).is_none());
    release(session, &mut space);
}

#[test]
fn an_image_refuses_another_space() {
    let _turn = turn();
    let object = object("fourth");
    let mut session = Session::new(Options {
        near: Near::Anywhere,
        ..Options::default()
    });
    let (mut space, mut other) = (Faulty::new(true), Faulty::new(true));
    publish(&mut session, &mut space, &[("fourth.o", &object)]).unwrap();
    let more = self::object("fifth");
    let error = publish(&mut session, &mut other, &[("fifth.o", &more)]).unwrap_err();
    assert!(matches!(error, Error::OtherSpace { .. }), "{error}");
    release(session, &mut space);
}
