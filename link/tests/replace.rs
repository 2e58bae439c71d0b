//! Replace batches: functions move and leave a jump, variables stay.

mod common;

use std::sync::{Mutex, MutexGuard};

use common::{Bench, Faulty, compile};
use sapwood_link::host::{Call, StopWorld, ThreadLocals, Unwind};
use sapwood_link::{Error, Host, HostAddr, HostError, LocalHost, Parts, Published};

/// The threads of the whole process share its thread-locals' arena.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// This process, with a world that stands where the test says.
struct World {
    local: LocalHost,
    places: Vec<HostAddr>,
    stopped: usize,
    resumed: usize,
}

impl World {
    fn at(places: &[HostAddr]) -> World {
        World {
            // SAFETY: the tests publish code that they compiled.
            local: unsafe { LocalHost::new() },
            places: places.to_vec(),
            stopped: 0,
            resumed: 0,
        }
    }
}

impl Host for World {
    fn call(&mut self) -> Option<&mut dyn Call> {
        self.local.call_host()
    }
    fn world(&mut self) -> Option<&mut dyn StopWorld> {
        Some(self)
    }
    fn thread_locals(&mut self) -> Option<&mut dyn ThreadLocals> {
        Host::thread_locals(&mut self.local)
    }
    fn unwind(&mut self) -> Option<&mut dyn Unwind> {
        Host::unwind(&mut self.local)
    }
}

/// `LocalHost` has both a `Host::call` and a `Call::call`.
trait CallHost {
    fn call_host(&mut self) -> Option<&mut dyn Call>;
}

impl CallHost for LocalHost {
    fn call_host(&mut self) -> Option<&mut dyn Call> {
        Host::call(self)
    }
}

impl StopWorld for World {
    fn stop(&mut self) -> Result<Vec<HostAddr>, HostError> {
        self.stopped += 1;
        Ok(self.places.clone())
    }
    fn resume(&mut self) -> Result<(), HostError> {
        self.resumed += 1;
        Ok(())
    }
}

fn replace(bench: &mut Bench, world: &mut World, object: &[u8]) -> Result<Published, Error> {
    let mut batch = bench.session.batch();
    batch.replace();
    batch.object("part.o", object)?;
    // SAFETY: as above.
    let mut resolver = unsafe { LocalHost::new() };
    let published = batch.publish(&mut Parts {
        space: &mut bench.space,
        host: world,
        resolver: &mut resolver,
    });
    assert_eq!(world.stopped, world.resumed, "the world goes on");
    published
}

fn part(version: &str) -> String {
    format!(
        r#"
        long total = 10;
        static long calls;
        static __thread long mine = 5;
        static long step(long x) {{ return x + {version}; }}
        long value(long a, long b) {{
            static long kept = 100;
            calls++; kept++; mine++; total++;
            return step(a) * 10000 + kept + calls + mine + total;
        }}
        __attribute__((constructor)) static void init(void) {{ total += 1000; }}
        "#
    )
}

const CALLER: &str = r#"
    long value(long, long);
    long (*stored)(long, long) = value;
    long calls_value(long a, long b) { return value(a, b) + 1; }
    long calls_stored(long a, long b) { return stored(a, b) + 2; }
"#;

#[test]
fn functions_move_and_variables_keep_their_values() {
    let _turn = turn();
    for flags in [
        ["-fPIC", "-O0", "-fno-data-sections"],
        ["-fPIC", "-O2", "-fdata-sections"],
        ["-fno-pic", "-O1", "-fdata-sections"],
    ] {
        let mut bench = Bench::new();
        let compiled = |version: &str| compile(&flags, &part(version));
        let caller = compile(&flags, CALLER);
        bench
            .publish(&[("part.o", &compiled("1")), ("caller.o", &caller)])
            .unwrap();
        let count = |calls: i64| 100 + 5 + 1010 + 4 * calls;
        let old = bench.session.view().symbol("value").unwrap().address;
        assert_eq!(bench.call("value", 1, 0), 20_000 + count(1), "{flags:?}");
        for version in 2..6i64 {
            let calls = 1 + (version - 2) * 3;
            // A thread past the jump's bytes: the code moves, at the second try.
            let newest = bench.session.view().symbol("value").unwrap().address;
            let mut world = World::at(&[HostAddr(old.get() - 1), newest.add(5)]);
            let object = compiled(&version.to_string());
            replace(&mut bench, &mut world, &object).unwrap();
            assert_eq!(world.stopped, 2);
            let expected = |calls: i64| (1 + version) * 10_000 + count(calls);
            assert_eq!(bench.call("calls_value", 1, 0), expected(calls + 1) + 1);
            assert_eq!(bench.call("calls_stored", 1, 0), expected(calls + 2) + 2);
            let new = bench.session.view().symbol("value").unwrap().address;
            assert_ne!(old, new);
            assert_eq!(bench.call("value", 1, 0), expected(calls + 3));
        }
    }
}

#[test]
fn a_thread_in_the_way_is_a_refusal_without_a_trace() {
    let _turn = turn();
    let mut bench = Bench::new();
    let one = compile(&["-fPIC", "-O1"], &part("1"));
    let two = compile(&["-fPIC", "-O1"], &part("2"));
    bench.publish(&[("part.o", &one)]).unwrap();
    let at = bench.session.view().symbol("value").unwrap().address;
    for inside in 1..5 {
        let mut world = World::at(&[HostAddr(1), at.add(inside)]);
        let error = replace(&mut bench, &mut world, &two).unwrap_err();
        assert!(error.to_string().contains("a thread is in"), "{error}");
        assert_eq!(bench.session.generation().to_string(), "gen1");
        assert_eq!(bench.call("value", 1, 0) / 10_000, 2);
    }
    // Nobody who is about to begin a function is in it.
    for (places, expected) in [(vec![at.add(5)], 3), (vec![at], 3)] {
        let mut world = World::at(&places);
        replace(&mut bench, &mut world, &two).unwrap();
        assert_eq!(bench.call("value", 1, 0) / 10_000, expected);
    }
}

#[test]
fn what_fits_is_written_over_the_old_code() {
    let _turn = turn();
    let mut bench = Bench::new();
    let flags = [
        "-fPIC",
        "-O1",
        "-g",
        "-ffunction-sections",
        "-fdata-sections",
    ];
    let object = |version: &str| compile(&flags, &part(version));
    bench
        .publish(&[
            ("part.o", &object("1")),
            ("caller.o", &compile(&flags, CALLER)),
        ])
        .unwrap();
    let before = bench.session.view();
    let old = before.symbol("value").unwrap();
    let old_atom = before.atom_at(old.address).unwrap();
    let regions = |bench: &Bench| bench.session.regions()[0].1;
    let code = regions(&bench);
    let mut calls = 0;
    for version in 2..5i64 {
        replace(
            &mut bench,
            &mut World::at(&[]),
            &object(&version.to_string()),
        )
        .unwrap();
        calls += 1;
        let count = 100 + 5 + 1010 + 4 * calls;
        assert_eq!(
            bench.call("calls_stored", 1, 0),
            (1 + version) * 10_000 + count + 2
        );
        let view = bench.session.view();
        let new = view.symbol("value").unwrap();
        assert_eq!(new.address, old.address, "it has not moved");
        let there = view.atom_at(old.address).unwrap();
        assert_ne!(there.id, old_atom.id, "the newest atom covers the address");
        let (named, past) = view.symbol_at(old.address).unwrap();
        assert_eq!((named.id, past), (new.id, 0));
        let added = view.added(view.generation());
        assert!(!added.overwritten.is_empty());
        // An older view shows what was there in its time.
        assert_eq!(before.atom_at(old.address).unwrap().id, old_atom.id);
        // Only the newest object's debug information covers the address.
        let all = view.since(sapwood_link::Generation::EMPTY);
        for input in all.flat_map(|added| added.input_ids()) {
            let Some(image) = bench.session.debug_image(input).unwrap() else {
                continue;
            };
            let newest = input == added.inputs.start;
            assert_eq!(covers(&image, old.address), newest, "{input}");
        }
    }
    assert_eq!(regions(&bench), code, "no code was added");
}

/// Whether a section of an object's debug image lies at an address.
fn covers(image: &[u8], address: HostAddr) -> bool {
    use object::{Object, ObjectSection};
    let file = object::File::parse(image).unwrap();
    let mut text = file
        .sections()
        .filter(|s| s.kind() == object::SectionKind::Text);
    text.any(|section| section.address() == address.get() && section.size() > 0)
}

#[test]
fn what_is_thrown_finds_its_way_through_code_in_a_slot() {
    let _turn = turn();
    // SAFETY: a C string; the library's initialisers are sound.
    let library = unsafe {
        let flags = libc::RTLD_NOW | libc::RTLD_GLOBAL;
        libc::dlopen(c"libstdc++.so.6".as_ptr(), flags)
    };
    assert!(!library.is_null());
    let flags = ["-fPIC", "-O1", "-ffunction-sections"];
    let thrower = |version: &str| {
        let source = format!(
            "extern \"C\" {{ extern long depth;
             long thrown(long a, long b) {{ long kept[{version}]; depth = (long)&kept;
               if (a > 0) throw a + {version}; return depth; }}
             long caught(long a, long b) {{
               try {{ return thrown(a, b); }} catch (long found) {{ return found; }} }} }}"
        );
        common::compile_with("c++", "c++", &flags, &source)
    };
    let mut bench = Bench::new();
    let depth = compile(&["-fPIC"], "long depth;");
    let first = thrower("50");
    bench
        .publish(&[("depth.o", &depth), ("part.o", &first)])
        .unwrap();
    assert_eq!(bench.call("caught", 1, 0), 51);
    let old = bench.session.view().symbol("thrown").unwrap().address;
    // Another frame size: its unwind entry is another too.
    for version in ["40", "70", "100"] {
        replace(&mut bench, &mut World::at(&[]), &thrower(version)).unwrap();
        let expected: i64 = version.parse().unwrap();
        assert_eq!(bench.call("caught", 1, 0), 1 + expected);
        assert_eq!(bench.session.view().symbol("thrown").unwrap().address, old);
    }
}

#[test]
fn code_that_moves_out_of_reach_leaves_a_longer_jump() {
    let _turn = turn();
    // No slab of a page has room for what is aligned to a page.
    let flags = ["-fPIC", "-O1", "-falign-functions=4096"];
    let one = compile(
        &flags,
        "long far(long a, long b) { return a * 3 + b * 5 + 1; }",
    );
    let two = compile(
        &flags,
        "long far(long a, long b) { while (a > 5) a -= b; return a * 7 + b + 2; }",
    );
    // A slab in the low 2 GiB is full, and the next lies far above.
    let mut bench = Bench::with(sapwood_link::Options {
        near: sapwood_link::Near::Anywhere,
        slab_length: 4096,
        ..Default::default()
    });
    let low = compile(&["-fno-pic", "-O1"], LOW);
    bench.publish(&[("low.o", &low)]).unwrap();
    let old = bench.session.view().symbol("far").unwrap().address;
    assert!(old.get() < 1 << 31);
    assert_eq!(bench.call("by_pointer", 1, 1), 9);
    for object in [&one, &two] {
        replace(&mut bench, &mut World::at(&[]), object).unwrap();
        let new = bench.session.view().symbol("far").unwrap().address;
        assert!(new.get() > 1 << 32, "{new}");
    }
    assert_eq!(bench.call("by_pointer", 1, 1), 10);
    assert_eq!(bench.call("far", 1, 1), 10);
}

#[test]
fn code_that_moves_stays_in_its_slab_while_there_is_room() {
    let _turn = turn();
    let long = "long far(long a, long b) { while (a > 5) a -= b; return a * 7 + b + 2; }";
    let long = compile(&["-fPIC", "-O1"], long);
    let options = sapwood_link::Options {
        near: sapwood_link::Near::Anywhere,
        slab_length: 8192,
        ..Default::default()
    };
    // A slab below 2 GiB, which position-independent code does not need.
    let mut bench = Bench::with(options.clone());
    let low = compile(&["-fno-pic", "-O1"], LOW);
    bench.publish(&[("low.o", &low)]).unwrap();
    replace(&mut bench, &mut World::at(&[]), &long).unwrap();
    let new = bench.session.view().symbol("far").unwrap().address;
    assert!(new.get() < 1 << 31, "{new}");
    assert_eq!(bench.call("by_pointer", 1, 1), 10);

    // One that was too full for a batch that came later.
    let mut bench = Bench::with(options);
    let short = compile(
        &["-fPIC", "-O1"],
        "long far(long a, long b) { return a + b; }",
    );
    let large = format!(
        "long large[2000] = {{ 1 }}; long g(void) {{ {} }}",
        "asm(\"nop\");".repeat(9000)
    );
    let large = compile(&["-fPIC", "-O1", "-w"], &large);
    bench.publish(&[("part.o", &short)]).unwrap();
    let old = bench.session.view().symbol("far").unwrap().address;
    bench.publish(&[("large.o", &large)]).unwrap();
    let (first, _) = bench.session.regions()[0].clone();
    assert!(first.range().contains(&old) && bench.session.regions().len() == 8);
    for turn in 0..3 {
        replace(&mut bench, &mut World::at(&[]), &long).unwrap();
        let new = bench.session.view().symbol("far").unwrap().address;
        assert!(
            first.range().contains(&new),
            "{turn}: {new} is not in {first:?}"
        );
        assert_eq!(bench.call("far", 1, 1), 10);
    }
    let more = compile(
        &["-fPIC", "-O1"],
        "long far(long, long); long h(long a, long b) { return far(a, b); }",
    );
    bench.publish(&[("more.o", &more)]).unwrap();
    assert_eq!(bench.call("h", 1, 1), 10);
}

const LOW: &str = r#"
    long far(long a, long b) { return a * 3 + b * 5 + 1; }
    long (*pointer)(long, long) = far;
    long table[1] = { (long)far };
    unsigned absolute(void) { return (unsigned)(long)&table; }
    long by_pointer(long a, long b) { return pointer(a, b); }
"#;

#[test]
fn what_cannot_be_replaced_is_refused_with_the_reason() {
    let _turn = turn();
    let flags = ["-fPIC", "-O1", "-fno-data-sections", "-w"];
    let first = "long a = 1, b = 2; long f(long x, long y) { return a + b + x; }";
    let cases = [
        (
            "long a[2] = {1}; long b = 2;",
            "`a`: its shape would change: it has 16 bytes, and had 8",
        ),
        ("long a = 1, c = 3, b = 2;", "`c`: it is new in a section"),
        ("long b = 2, a = 1;", "lies elsewhere"),
        (
            "long f = 4;",
            "`f`: it is a variable, and was another kind of thing",
        ),
        (
            "long a(long x, long y) { return x; }",
            "`a`: it is a function, and was none",
        ),
        (
            "__thread long a = 1;",
            "`a`: it is a variable, and was another",
        ),
    ];
    for (source, reason) in cases {
        let mut bench = Bench::new();
        bench
            .publish(&[("part.o", &compile(&flags, first))])
            .unwrap();
        let object = compile(&flags, source);
        let error = replace(&mut bench, &mut World::at(&[]), &object).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(bench.call("f", 1, 0), 4);
    }
    // No ability to stop the world.
    let mut bench = Bench::new();
    bench
        .publish(&[("part.o", &compile(&flags, first))])
        .unwrap();
    let object = compile(&flags, first);
    let mut batch = bench.session.batch();
    batch.replace();
    batch.object("part.o", &object).unwrap();
    let error = batch
        .publish(&mut Parts {
            space: &mut bench.space,
            host: &mut (),
            resolver: &mut (),
        })
        .unwrap_err();
    assert!(error.to_string().contains("cannot be stopped"), "{error}");
}

#[test]
fn a_failing_step_puts_the_old_code_back() {
    let _turn = turn();
    let one = compile(
        &["-fPIC", "-O1"],
        "long f(long a, long b) { return a + b + 1; }",
    );
    let two = compile(
        &["-fPIC", "-O1"],
        "long f(long a, long b) { return a * b + 2; }",
    );
    for windows in [true, false] {
        for step in ["commit", "apply", "seal"] {
            let mut session = sapwood_link::Session::new(Default::default());
            let mut space = Faulty::new(windows);
            let mut world = World::at(&[]);
            let mut publish =
                |session: &mut sapwood_link::Session, space: &mut Faulty, object: &[u8]| {
                    let mut batch = session.batch();
                    batch.replace();
                    batch.object("part.o", object).unwrap();
                    let parts = &mut Parts {
                        space,
                        host: &mut world,
                        resolver: &mut (),
                    };
                    batch.publish(parts).map(drop)
                };
            publish(&mut session, &mut space, &one).unwrap();
            let at = session.view().symbol("f").unwrap().address;
            let mut before = [0; 5];
            use sapwood_link::AddressSpace;
            space.read(at, &mut before).unwrap();
            space.failing = Some(step);
            let failed = publish(&mut session, &mut space, &two).is_err();
            space.failing = None;
            let mut after = [0; 5];
            space.read(at, &mut after).unwrap();
            // A second small batch finds pages committed, and windows need no apply.
            assert_eq!(failed, step == "seal" || (step == "apply" && !windows));
            assert_eq!(before == after, failed, "{step}, windows: {windows}");
            session
                .release(&mut Parts {
                    space: &mut space,
                    host: &mut World::at(&[]),
                    resolver: &mut (),
                })
                .unwrap();
        }
    }
}
