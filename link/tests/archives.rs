//! Static archives: members on demand, and again by later batches.

mod common;

use std::process::Command;

use common::{Bench, Folder, compile};
use sapwood_link::{Error, LocalHost, Parts};

fn archive(members: &[(&str, &str)], flags: &str) -> Vec<u8> {
    let folder = Folder::new();
    let mut names = Vec::new();
    for (name, source) in members {
        std::fs::write(folder.path().join(name), compile(&["-fPIC"], source)).unwrap();
        names.push(*name);
    }
    let mut command = Command::new("ar");
    command
        .arg(flags)
        .arg("lib.a")
        .args(&names)
        .current_dir(folder.path());
    assert!(command.status().unwrap().success());
    std::fs::read(folder.path().join("lib.a")).unwrap()
}

fn publish(bench: &mut Bench, object: &[u8], library: Option<&[u8]>) -> Result<(), Error> {
    let mut batch = bench.session.batch();
    batch.object("main.o", object)?;
    if let Some(library) = library {
        batch.archive("lib.a", library)?;
    }
    // SAFETY: the test publishes code that it compiled.
    let mut host = unsafe { LocalHost::new() };
    let parts = &mut Parts {
        space: &mut bench.space,
        host: &mut host,
        resolver: &mut (),
    };
    batch.publish(parts).map(drop)
}

const MEMBERS: &[(&str, &str)] = &[
    (
        "one.o",
        "long two(long, long); long one(long a, long b) { return two(a, b) + 1; }",
    ),
    ("two.o", "long two(long a, long b) { return a * b; }"),
    ("three.o", "long three(long a, long b) { return a - b; }"),
    (
        "broken.o",
        "long nowhere(void); long broken(long a, long b) { return nowhere(); }",
    ),
];

#[test]
fn members_are_pulled_on_demand_and_again_by_later_batches() {
    for flags in ["rcs", "rcS"] {
        let library = archive(MEMBERS, flags);
        let mut bench = Bench::new();
        let main = compile(
            &["-fPIC"],
            "long one(long, long); long f(long a, long b) { return one(a, b); }",
        );
        publish(&mut bench, &main, Some(&library)).unwrap();
        assert_eq!(bench.call("f", 3, 4), 13);
        assert!(
            bench.session.view().symbol("three").is_none(),
            "nobody wanted it yet"
        );
        let inputs = bench.session.view();
        let names: Vec<_> = inputs
            .since(sapwood_link::Generation::EMPTY)
            .flat_map(|a| a.input_ids())
            .collect();
        let names: Vec<_> = names
            .iter()
            .map(|input| inputs.input_name(*input))
            .collect();
        assert_eq!(names, ["main.o", "lib.a(one.o)", "lib.a(two.o)"]);
        let later = compile(
            &["-fPIC"],
            "long three(long, long); long g(long a, long b) { return three(a, b); }",
        );
        publish(&mut bench, &later, None).unwrap();
        assert_eq!(bench.call("g", 9, 4), 5);
    }
}

#[test]
fn a_member_pulled_by_a_failed_batch_can_be_pulled_again() {
    let library = archive(MEMBERS, "rcs");
    let mut bench = Bench::new();
    let main = compile(&["-fPIC"], "long f(long a, long b) { return a; }");
    publish(&mut bench, &main, Some(&library)).unwrap();
    let bad = compile(
        &["-fPIC"],
        "long broken(void); long three(long, long); long h(void) { return broken() + three(1, 2); }",
    );
    let error = publish(&mut bench, &bad, None).unwrap_err().to_string();
    assert!(
        error.contains("`nowhere`, wanted by lib.a(broken.o)"),
        "{error}"
    );
    let good = compile(
        &["-fPIC"],
        "long three(long, long); long g(long a, long b) { return three(a, b); }",
    );
    publish(&mut bench, &good, None).unwrap();
    assert_eq!(bench.call("g", 9, 4), 5);
}

#[test]
fn a_damaged_archive_is_an_error() {
    let library = archive(MEMBERS, "rcs");
    let mut bench = Bench::new();
    for cut in [0, 4, 8, 20, 70, 100, library.len() / 2, library.len() - 1] {
        let mut batch = bench.session.batch();
        if let Err(error) = batch.archive("cut.a", &library[..cut]) {
            assert!(error.to_string().starts_with("cut.a: "), "{error}");
        }
    }
}
