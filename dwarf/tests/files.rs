//! Debug information that is not in the program's own file.

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use common::{Folder, fixture, has, open};
use sapwood_dwarf::{Address, Bytes, DebugFiles, Input, Module, ModuleKind, Wanted};

/// Splits a program in two, as distributions do, with a link from one to the
/// other.
fn split(program: &Path, debug: &Path) {
    let run = |arguments: &[&std::ffi::OsStr]| {
        let status = Command::new("objcopy")
            .args(arguments)
            .status()
            .expect("objcopy");
        assert!(status.success(), "objcopy {arguments:?}");
    };
    let link = format!("--add-gnu-debuglink={}", debug.display());
    run(&[
        "--only-keep-debug".as_ref(),
        program.as_os_str(),
        debug.as_os_str(),
    ]);
    run(&["--strip-all".as_ref(), link.as_ref(), program.as_os_str()]);
}

/// Finds a debug file by the name that the module's link has.
struct Beside(Bytes);

impl DebugFiles for Beside {
    fn find(&self, wanted: &Wanted<'_>) -> Option<Bytes> {
        match wanted {
            Wanted::Separate {
                build_id: Some(id),
                link: Some((name, sum)),
                ..
            } => {
                assert_eq!(id.len(), 20);
                assert!(*sum != 0);
                (*name == Path::new("program.debug")).then(|| self.0.clone())
            }
            _ => None,
        }
    }
}

#[test]
fn a_separate_debug_file_is_as_good_as_none() {
    if !has("objcopy") {
        return;
    }
    let folder = Folder::new("separate");
    let options = ["-g", "-O1", "-Wl,--build-id=sha1"];
    let whole = folder.compile("cc", "shapes.c", &options, "whole");
    let program = folder.compile("cc", "shapes.c", &options, "program");
    let debug = folder.0.join("program.debug");
    split(&program, &debug);
    let read = |path: &Path| Bytes::from(std::fs::read(path).expect("a file"));
    let input = || Input::new("program", ModuleKind::Executable, read(&program), 0x1000);

    let bare = Module::open(input()).expect("an ELF file");
    assert!(!bare.has_debug_info());
    assert!(bare.line_at(Address(0x2000)).is_none() && bare.functions("sum").is_empty());

    let given = input().with_debug(Some(read(&debug)));
    let asked = input().with_files(Arc::new(Beside(read(&debug))));
    let whole = open(&whole, 0x1000);
    let sum = whole.functions("sum").remove(0);
    for input in [given, asked] {
        let module = Module::open(input).expect("an ELF file");
        let same = module.functions("sum").remove(0);
        assert_eq!((&same.ranges, same.line), (&sum.ranges, sum.line));
        let at = sum.entry.expect("code");
        assert_eq!(module.line_at(at), whole.line_at(at));
        assert_eq!(
            module.symbol_at(at).map(|(symbol, _)| symbol.name),
            Some("sum")
        );
        assert!(module.symbol_named("main").is_some());
    }
}

#[test]
fn a_debug_file_of_another_program_is_refused() {
    let folder = Folder::new("another");
    let options = ["-g", "-Wl,--build-id=sha1"];
    let program = folder.compile("cc", "shapes.c", &options, "program");
    let other = folder.compile("cc", "signal.c", &options, "other");
    let bytes = Bytes::from(std::fs::read(&program).expect("a file"));
    let debug = Bytes::from(std::fs::read(&other).expect("a file"));
    let input = Input::new("program", ModuleKind::Executable, bytes, 0).with_debug(Some(debug));
    let error = Module::open(input).expect_err("another build id");
    assert_eq!(
        error.to_string(),
        "program: the debug file's build id is another one"
    );
}

#[test]
fn what_is_no_program_is_one_clear_error() {
    for (bytes, expected) in [
        (&b""[..], "x: not an ELF file"),
        (b"#!/bin/sh\n", "x: not an ELF file"),
        (
            b"\x7fELF\x01\x01\x01",
            "x: a 32-bit ELF file, which is not supported",
        ),
        (
            b"\x7fELF\x02\x02\x01",
            "x: a big-endian ELF file, which is not supported",
        ),
        (b"\x7fELF\x02\x01\x01", "x: the ELF header is damaged"),
    ] {
        let input = Input::new("x", ModuleKind::Library, Bytes::from(bytes.to_vec()), 0);
        assert_eq!(
            Module::open(input).expect_err("no program").to_string(),
            expected
        );
    }
}

/// Finds whatever is asked for as one file, right or wrong.
struct Always(Bytes);

impl DebugFiles for Always {
    fn find(&self, _: &Wanted<'_>) -> Option<Bytes> {
        Some(self.0.clone())
    }
}

#[test]
fn without_build_ids_the_checksum_tells_whose_a_debug_file_is() {
    if !has("objcopy") {
        return;
    }
    let folder = Folder::new("checksum");
    let options = ["-g", "-O1", "-Wl,--build-id=none"];
    let program = folder.compile("cc", "shapes.c", &options, "program");
    let debug = folder.0.join("program.debug");
    split(&program, &debug);
    let read = |path: &Path| std::fs::read(path).expect("a file");
    let open_with = |debug: Vec<u8>| {
        let input = Input::new(
            "program",
            ModuleKind::Executable,
            Bytes::from(read(&program)),
            0,
        );
        Module::open(input.with_files(Arc::new(Always(Bytes::from(debug))))).expect("an ELF file")
    };
    assert!(open_with(read(&debug)).has_debug_info());
    let mut other = read(&debug);
    *other.last_mut().expect("bytes") ^= 1;
    assert!(!open_with(other).has_debug_info());
}

#[test]
fn a_stripped_file_has_the_symbols_that_it_carries_packed() {
    if !has("objcopy") || !has("xz") {
        return;
    }
    let folder = Folder::new("mini");
    let program = folder.compile("cc", "shapes.c", &["-O0"], "program");
    let whole = open(&program, 0);
    let expected = whole.symbol_named("sum").map(|s| (s.address, s.size));
    assert!(expected.is_some());
    let run = |tool: &str, arguments: &[&str]| {
        let status = Command::new(tool)
            .args(arguments)
            .current_dir(&folder.0)
            .status();
        assert!(status.expect("a tool").success(), "{tool} {arguments:?}");
    };
    run("objcopy", &["-S", "--keep-symbol=sum", "program", "mini"]);
    run("xz", &["--check=crc32", "mini"]);
    run("strip", &["program"]);
    let section = ".gnu_debugdata=mini.xz";
    run("objcopy", &["--add-section", section, "program", "packed"]);
    assert!(open(&program, 0).symbol_named("sum").is_none());
    let packed = open(&folder.0.join("packed"), 0);
    assert_eq!(
        packed.symbol_named("sum").map(|s| (s.address, s.size)),
        expected
    );
    let (symbol, into) = packed
        .symbol_at(expected.expect("it is there").0.add(2))
        .expect("one");
    assert_eq!((symbol.name, into), ("sum", 2));
}

#[test]
fn a_name_means_its_default_version_or_the_one_that_is_asked_for() {
    let folder = Folder::new("versions");
    let script = format!("-Wl,--version-script={}", fixture("versions.map").display());
    let options = ["-shared", "-fPIC", script.as_str()];
    let library = folder.compile("cc", "versions.c", &options, "libversions.so");
    let module = open(&library, 0x1000);
    let at = |name: &str| Some(module.symbol_named(name).expect("in .symtab").address);
    let exported = |name: &str, version| module.exported(name, version).map(|s| s.address);
    assert_eq!(exported("changed", None), at("second"));
    assert_eq!(exported("changed", Some("V2")), at("second"));
    assert_eq!(exported("changed", Some("V1")), at("first"));
    assert_ne!(at("first"), at("second"));
    assert_eq!(exported("plain", None), at("plain"));
    assert_eq!(exported("plain", Some("V1")), at("plain"));
    for (name, version) in [("changed", "V3"), ("plain", "V2"), ("nothing", "V1")] {
        assert_eq!(exported(name, Some(version)), None, "{name}@{version}");
    }
    // What only the library itself sees is not for others.
    assert_eq!(exported("first", None), None);
}

#[test]
fn names_are_found_alike_before_and_after_there_is_a_table_of_them() {
    let folder = Folder::new("scans");
    let script = format!("-Wl,--version-script={}", fixture("versions.map").display());
    let options = ["-shared", "-fPIC", script.as_str()];
    let library = folder.compile("cc", "versions.c", &options, "libversions.so");
    let module = open(&library, 0x1000);
    let names = [
        "first", "second", "changed", "plain", "plai", "plain2", "_init", "",
    ];
    let rounds: Vec<Vec<_>> = (0..4)
        .map(|_| {
            names
                .iter()
                .map(|name| module.symbols_named(name))
                .collect()
        })
        .collect();
    assert!(rounds[0].iter().filter(|found| !found.is_empty()).count() >= 4);
    assert!(rounds.iter().all(|round| *round == rounds[0]));
    let mut among = module.symbols_among(&names);
    let mut each: Vec<_> = rounds[0].iter().flatten().copied().collect();
    among.sort_by_key(|symbol| (symbol.address, symbol.name));
    each.sort_by_key(|symbol| (symbol.address, symbol.name));
    assert_eq!(among, each);
}

/// Indexes by build id and kind.
type Indexes = HashMap<(Vec<u8>, u32), Vec<u8>>;

/// Keeps indexes in memory.
#[derive(Default)]
struct Memory(Mutex<Indexes>);

impl DebugFiles for Memory {
    fn find(&self, _: &Wanted<'_>) -> Option<Bytes> {
        None
    }

    fn kept_index(&self, build_id: &[u8], kind: u32) -> Option<Bytes> {
        let kept = self.0.lock().unwrap();
        Some(Bytes::from(kept.get(&(build_id.to_vec(), kind))?.clone()))
    }

    fn keep_index(&self, build_id: &[u8], kind: u32, index: &[u8]) {
        let mut kept = self.0.lock().unwrap();
        kept.insert((build_id.to_vec(), kind), index.to_vec());
    }
}

#[test]
fn a_kept_index_says_which_files_are_mentioned_unless_it_is_of_another_program() {
    let folder = Folder::new("kept");
    let write = |name: &str, types: usize| {
        // More debug information than that of which no index is kept.
        let types = (0..types).map(|n| format!("struct s{n} {{ int a; }} v{n};\n"));
        let text: String = types
            .chain(["int main(void) { return 0; }\n".into()])
            .collect();
        std::fs::write(folder.0.join(name), text).expect("a source");
    };
    let build = |source: &str, types: usize| {
        write(source, types);
        let output = folder.0.join("large");
        let status = Command::new("cc")
            .args([
                "-g",
                "-Wl,--build-id=0x0123456789abcdef0123456789abcdef01234567",
                "-o",
            ])
            .arg(&output)
            .arg(source)
            .current_dir(&folder.0)
            .status();
        assert!(status.expect("cc").success());
        output
    };
    let kept = Arc::new(Memory::default());
    let files = |program: &Path, names: [&str; 2]| {
        let bytes = Bytes::from(std::fs::read(program).expect("a program"));
        let input = Input::new("large", ModuleKind::Executable, bytes, 0);
        let module = Module::open(input.with_files(kept.clone())).expect("an ELF file");
        names.map(|name| {
            let last = module.places(name, 12_000);
            (last.len(), module.files(name).len())
        })
    };
    let program = build("large.c", 12_000);
    assert_eq!(files(&program, ["absent.c", "large.c"]), [(0, 0), (1, 1)]);
    assert!(!kept.0.lock().unwrap().is_empty());
    assert_eq!(files(&program, ["absent.c", "large.c"]), [(0, 0), (1, 1)]);
    // The same build id, and other debug information: what was kept says nothing.
    let other = build("other.c", 12_001);
    assert_eq!(files(&other, ["other.c", "large.c"]), [(1, 1), (0, 0)]);
}
