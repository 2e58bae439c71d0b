//! Views: snapshots that stay good while newer generations land.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use common::{Bench, compile, release};
use sapwood_link::{
    AtomKind, AtomSpec, Generation, LocalSpace, Options, Parts, RelocTarget, Session,
};

/// `mov eax, value; ret`.
fn returning(value: u32) -> Vec<u8> {
    let mut code = vec![0xb8];
    code.extend(value.to_le_bytes());
    code.push(0xc3);
    code
}

fn publish(session: &mut Session, space: &mut LocalSpace, name: &str, value: u32) {
    let mut batch = session.batch();
    let bytes = returning(value);
    let spec = AtomSpec {
        name: Some(name),
        kind: AtomKind::Code,
        alignment: 16,
        bytes: &bytes,
        size: bytes.len() as u64,
        relocs: &[],
    };
    batch.atom("by hand", &spec).unwrap();
    batch
        .publish(&mut Parts {
            space,
            host: &mut (),
            resolver: &mut (),
        })
        .unwrap();
}

#[test]
fn views_stay_good_on_another_thread_while_generations_land() {
    let mut session = Session::new(Options::default());
    let mut space = LocalSpace::new();
    let (send, receive) = mpsc::channel::<sapwood_link::View>();
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut views = Vec::new();
            while !done.load(Ordering::Acquire) {
                views.extend(receive.try_recv());
                for view in &views {
                    let last = view.generation().index() as u32;
                    assert_eq!(view.atom_count() as u32, last);
                    if last > 0 {
                        let symbol = view.symbol(&format!("f{last}")).expect("shown");
                        assert_eq!(symbol.generation, view.generation());
                        let atom = view.atom_at(symbol.address).expect("it has an atom");
                        assert_eq!(atom.address, symbol.address);
                    }
                    assert!(
                        view.symbol(&format!("f{}", last + 1)).is_none(),
                        "not shown yet"
                    );
                }
            }
        });
        for i in 1..=3000u32 {
            publish(&mut session, &mut space, &format!("f{i}"), i);
            if i % 500 == 1 {
                send.send(session.view()).unwrap();
            }
        }
        done.store(true, Ordering::Release);
    });
    release(session, &mut space);
}

#[test]
fn published_addresses_and_bytes_never_change() {
    let mut bench = Bench::new();
    let source = "long value(long a, long b) { return a * 3 + b; } int word = 77; const char text[] = \"abc\";";
    let object = compile(&["-fPIC", "-g"], source);
    bench.publish(&[("first.o", &object)]).unwrap();
    let before: Vec<_> = snapshot(&mut bench);
    for i in 0..200u32 {
        publish(&mut bench.session, &mut bench.space, &format!("g{i}"), i);
    }
    let after = snapshot(&mut bench);
    assert_eq!(before[..], after[..before.len()]);
    assert_eq!(bench.call("value", 2, 1), 7);
}

fn snapshot(bench: &mut Bench) -> Vec<(u64, Vec<u8>)> {
    use sapwood_link::AddressSpace;
    let view = bench.session.view();
    let atoms = view.atoms();
    let read = atoms.map(|atom| {
        let mut bytes = vec![0; atom.size as usize];
        bench.space.read(atom.address, &mut bytes).unwrap();
        (atom.address.get(), bytes)
    });
    read.collect()
}

#[test]
fn since_lists_what_each_generation_added() {
    let mut bench = Bench::new();
    let one = compile(
        &["-fPIC"],
        "int counter; static int hidden(void) { return 1; } int one(void) { return hidden() + counter; }",
    );
    let two = compile(&["-fPIC"], "int one(void); int two(void) { return one(); }");
    bench.publish(&[("one.o", &one)]).unwrap();
    let seen = bench.session.generation();
    bench.publish(&[("two.o", &two)]).unwrap();
    let view = bench.session.view();
    let added: Vec<_> = view.since(seen).collect();
    assert_eq!(added.len(), 1);
    let inputs: Vec<_> = added[0]
        .input_ids()
        .map(|input| view.input_name(input))
        .collect();
    assert_eq!(inputs, ["two.o"]);
    let symbols: Vec<_> = added[0]
        .symbol_ids()
        .map(|id| view.symbol_by_id(id).name)
        .collect();
    assert_eq!(symbols, ["two"]);
    let first = view.since(Generation::EMPTY).next().unwrap();
    let mut symbols: Vec<_> = first
        .symbol_ids()
        .map(|id| view.symbol_by_id(id).name)
        .collect();
    symbols.sort_unstable();
    assert_eq!(symbols, ["counter", "hidden", "one"]);
    let one = view.symbol("one").unwrap();
    let (found, past) = view.symbol_at(one.address.add(2)).unwrap();
    assert_eq!((found.name, past), ("one", 2));
    // Relocations are kept, symbolic.
    let sapwood_link::Definition::Atom(atom, _) = view.symbol("two").unwrap().definition else {
        panic!()
    };
    let targets: Vec<_> = view.relocs(atom).map(|reloc| reloc.target).collect();
    assert_eq!(targets, [RelocTarget::Symbol(one.id)]);
}

#[test]
fn debug_images_say_where_things_are() {
    let mut bench = Bench::new();
    for flags in [["-fPIC", "-g", "-gz=none"], ["-fPIC", "-g", "-gz=zlib"]] {
        let name = if flags[2].ends_with("none") {
            "plain"
        } else {
            "packed"
        };
        let source =
            format!("static int s = 1;\nlong {name}(long a, long b)\n{{\n  return a + s;\n}}\n");
        let object = compile(&flags, &source);
        let published = bench.publish(&[("debug.o", &object)]).unwrap();
        let image = bench
            .session
            .debug_image(published.inputs.start)
            .unwrap()
            .unwrap();
        let folder = common::Folder::new();
        let path = folder.path().join("image");
        std::fs::write(&path, image).unwrap();
        // addr2line of binutils is the independent reader.
        let address = bench.session.view().symbol(name).unwrap().address;
        let output = std::process::Command::new("addr2line")
            .args(["-f", "-s", "-e"])
            .arg(&path)
            .arg(address.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.trim(), format!("{name}\ninput:3"));
    }
}
