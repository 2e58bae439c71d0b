//! Lazy libraries in this process: no worker, the session is the test's own.

mod common;

use std::path::Path;
use std::sync::Barrier;

use common::{call_at, compile, in_child, lazy_here};
use sapwood_link::source::{Chosen, Load, Making, Pattern, Registry, Scratch, SourceLibrary};
use sapwood_link::worker::lazy::LocalLazyLibraries;
use sapwood_link::{Error, HostAddr};

/// A library of one source, whose names begin with its own.
fn library(folder: &Path, name: &str, text: &str) -> SourceLibrary {
    let path = folder.join(format!("{name}.c"));
    std::fs::write(&path, text).unwrap();
    SourceLibrary {
        name: name.to_owned(),
        sources: vec![path],
        language: None,
        include: Vec::new(),
        flags: Vec::new(),
        needs: Vec::new(),
        symbols: vec![Pattern::new(format!("{name}*"))],
        load: Load::Lazy,
    }
}

fn lazy(libraries: Vec<SourceLibrary>) -> LocalLazyLibraries {
    let mut registry = Registry::default();
    for library in libraries {
        registry.add(library).unwrap();
    }
    let chosen = Chosen::new(registry, &[], true, Making::default(), |_| ());
    lazy_here(Box::new(chosen))
}

/// Publishes a program, and gives where its `run` is.
fn program(lazy: &LocalLazyLibraries, source: &str) -> HostAddr {
    let object = compile(&["-fPIC", "-O1"], source);
    let linked = lazy.link(|session, ground| {
        let mut batch = session.batch();
        batch.object("program.o", &object)?;
        let published = batch.publish(ground)?;
        assert!(published.faulted.is_none(), "{:?}", published.faulted);
        Ok::<_, Error>(session.view().symbol("run").unwrap().address)
    });
    linked.unwrap()
}

fn counted(name: &str, more: &str) -> String {
    format!(
        "int {name}_made; \
         __attribute__((constructor)) static void make(void) {{ {name}_made++; }} \
         long {name}(void) {{ return {name}_made {more}; }}"
    )
}

#[test]
fn threads_that_call_at_once_load_each_library_once() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path();
    let six = counted("six", "+ one() + two()");
    for _ in 0..3 {
        let lazy = lazy(vec![
            library(folder, "one", &counted("one", "")),
            library(folder, "two", &counted("two", "")),
            library(folder, "six", &format!("long one(void), two(void); {six}")),
        ]);
        let source = "long one(void), two(void), six(void);
            long run(long first, long unused) {
                long sum = 0;
                for (long i = first; i < first + 3; i++)
                    sum += i % 3 == 0 ? one() : i % 3 == 1 ? 10 * two() : 100 * six();
                return sum;
            }";
        let run = program(&lazy, source);
        assert_eq!(lazy.look(|session, _| session.generation().index()), 1);
        let barrier = Barrier::new(8);
        std::thread::scope(|scope| {
            for first in 0..8 {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    assert_eq!(call_at(run, first, 0), 311);
                });
            }
        });
        // The program, and each library once.
        assert_eq!(lazy.look(|session, _| session.generation().index()), 4);
        assert_eq!(call_at(run, 0, 0), 311);
    }
}

/// Each library's initialiser calls the other's function.
#[test]
fn libraries_may_call_each_other_in_a_circle() {
    let scratch = Scratch::new().unwrap();
    let circle = |name: &str, other: &str| {
        format!(
            "long {other}(void); static long made;
             __attribute__((constructor)) static void make(void) {{ made = 1 + {other}(); }}
             long {name}(void) {{ return made; }}"
        )
    };
    let lazy = lazy(vec![
        library(scratch.path(), "first", &circle("first", "second")),
        library(scratch.path(), "second", &circle("second", "first")),
    ]);
    let source = "long first(void), second(void);
        long run(long a, long b) { return 10 * first() + second(); }";
    let run = program(&lazy, source);
    assert_eq!(call_at(run, 0, 0), 21);
}

#[test]
fn what_is_not_called_is_not_compiled_and_what_cannot_be_ends_the_process() {
    let scratch = Scratch::new().unwrap();
    let lazy = lazy(vec![library(scratch.path(), "broken", "this is not C")]);
    let source = "long broken(void);
        long run(long calls, long b) { return calls ? broken() : 4; }";
    let run = program(&lazy, source);
    assert_eq!(call_at(run, 0, 0), 4);
    assert_eq!(in_child(|| call_at(run, 1, 0) as i32), 127);
    assert_eq!(call_at(run, 0, 0), 4);
}

#[test]
fn children_load_what_they_call_while_others_load() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path();
    let names: Vec<String> = (0..6).map(|number| format!("lib{number}_f")).collect();
    let libraries = names
        .iter()
        .map(|name| library(folder, name, &counted(name, "+ 1")));
    let lazy = lazy(libraries.collect());
    let declared: String = names
        .iter()
        .map(|name| format!("long {name}(void);"))
        .collect();
    let calls: String = (0..)
        .zip(&names)
        .map(|(number, name)| format!("case {number}: return {name}();"))
        .collect();
    let source =
        format!("{declared} long run(long n, long b) {{ switch (n) {{ {calls} }} return 0; }}");
    let run = program(&lazy, &source);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..6 {
                assert_eq!(call_at(run, number, 0), 2);
            }
        });
        for turn in 0..6 {
            let all = in_child(|| {
                let sum: i64 = (0..6)
                    .map(|number| call_at(run, (number + turn) % 6, 0))
                    .sum();
                sum as i32
            });
            assert_eq!(all, 12, "child {turn}");
        }
    });
    assert_eq!((0..6).map(|n| call_at(run, n, 0)).sum::<i64>(), 12);
}
