//! Split debug information: a program that keeps most of it in `.dwo` files,
//! or in one `.dwp`, reads as the same program with all of it inside.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::{Folder, has, open};
use sapwood_dwarf::{Bytes, DebugFiles, Input, Module, ModuleKind, Wanted};

/// Finds split files where compilers put them, and the package by that name.
struct Beside {
    package: Option<PathBuf>,
}

impl DebugFiles for Beside {
    fn find(&self, wanted: &Wanted<'_>) -> Option<Bytes> {
        let path = match wanted {
            Wanted::Split {
                directory, name, ..
            } => directory.join(name),
            Wanted::Package { .. } => self.package.clone()?,
            _ => return None,
        };
        Some(Bytes::from(std::fs::read(path).ok()?))
    }
}

fn open_split(path: &Path, package: Option<PathBuf>) -> Module {
    let bytes = Bytes::from(std::fs::read(path).expect("a file"));
    let input = Input::new(path, ModuleKind::Executable, bytes, 0);
    Module::open(input.with_files(Arc::new(Beside { package }))).expect("an ELF file")
}

/// All that the tests compare, as text.
fn described(module: &Module) -> Vec<String> {
    let mut found = Vec::new();
    for name in module.function_names() {
        for function in module.functions(&name) {
            let file = function.file.as_ref().and_then(|file| file.file_name());
            found.push(format!(
                "{name} {:?} {file:?}:{} {:?}",
                function.ranges, function.line, function.linkage_name
            ));
            let Some(entry) = function.entry else {
                continue;
            };
            for frame in module.inlined_at(entry.add(4)) {
                let variables = module.variables(frame.entry, entry.add(4));
                for variable in variables.expect("they can be read") {
                    let size = variable.type_id.map(|id| module.size_of(id));
                    found.push(format!("  {} {size:?}", variable.name));
                }
            }
            found.push(format!("  {:?}", module.line_at(entry)));
        }
    }
    for name in module.global_names() {
        found.push(format!("global {name}"));
    }
    let types = module.type_names().into_iter();
    found.extend(types.map(|name| format!("type {name}")));
    found
}

/// The ways to split, each with the packager that understands it.
fn ways() -> Vec<(&'static str, Vec<&'static str>, &'static str)> {
    let mut ways = Vec::new();
    for compiler in ["gcc", "g++", "clang"] {
        if !has(compiler) {
            continue;
        }
        // The one of binutils knows no DWARF 5, and LLVM 14's never ends with
        // what g++ writes of that.
        let packager = match compiler {
            "g++" => "no packager",
            _ => "llvm-dwp",
        };
        for (version, packager) in [("-gdwarf-4", "dwp"), ("-gdwarf-5", packager)] {
            ways.push((compiler, vec![version, "-O1"], packager));
            ways.push((
                compiler,
                vec![version, "-O2", "-fdebug-types-section"],
                packager,
            ));
        }
    }
    ways
}

#[test]
fn a_split_program_reads_as_a_whole_one() {
    for (number, (compiler, options, packager)) in ways().into_iter().enumerate() {
        let folder = Folder::new(&format!("split-{number}"));
        let source = match compiler {
            "g++" => "split.cc",
            _ => "shapes.c",
        };
        let whole = folder.compile(compiler, source, &options, "whole");
        let expected = described(&open(&whole, 0));
        assert!(expected.len() > 10, "{expected:?}");

        let mut split: Vec<&str> = options.clone();
        split.push("-gsplit-dwarf");
        let program = folder.compile(compiler, source, &split, "program");
        let apart = open_split(&program, None);
        let what = format!("{compiler} {split:?}");
        assert_eq!(described(&apart), expected, "{what}");
        assert!(
            apart.complaints().is_empty(),
            "{what} {:?}",
            apart.complaints()
        );

        if has(packager) {
            let package = folder.0.join("program.dwp");
            let status = Command::new(packager)
                .args(["-e".as_ref(), program.as_os_str()])
                .args(["-o".as_ref(), package.as_os_str()])
                .current_dir(&folder.0)
                .status()
                .expect("a packager");
            assert!(status.success(), "{packager} {what}");
            remove_dwos(&folder.0);
            let packed = open_split(&program, Some(package));
            assert_eq!(described(&packed), expected, "{what}, {packager}");
            assert!(
                packed.complaints().is_empty(),
                "{what} {:?}",
                packed.complaints()
            );
        }
    }
}

fn remove_dwos(folder: &Path) {
    for file in std::fs::read_dir(folder).expect("a folder") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|kind| kind == "dwo") {
            std::fs::remove_file(path).expect("it was there");
        }
    }
}

#[test]
fn without_its_dwo_a_unit_has_lines_and_a_complaint() {
    let folder = Folder::new("split-missing");
    let program = folder.compile("cc", "shapes.c", &["-g", "-O0", "-gsplit-dwarf"], "program");
    remove_dwos(&folder.0);
    let module = open_split(&program, None);
    assert!(module.functions("area").is_empty());
    let main = module.symbol_named("main").expect("a symbol").address;
    assert!(module.line_at(main).is_some());
    let complaints = module.complaints();
    let [complaint] = &complaints[..] else {
        panic!("{complaints:?}");
    };
    let text = complaint.to_string();
    assert!(
        text.contains("its split debug file") && text.ends_with("is missing"),
        "{text}"
    );
}

#[test]
fn a_dwo_of_another_compilation_is_refused() {
    let folder = Folder::new("split-other");
    let options = ["-g", "-O0", "-gsplit-dwarf"];
    let program = folder.compile("cc", "shapes.c", &options, "program");
    let find = || {
        let files = std::fs::read_dir(&folder.0).expect("a folder");
        let paths = files.map(|file| file.expect("a file").path());
        let mut dwos = paths.filter(|path| path.extension().is_some_and(|kind| kind == "dwo"));
        dwos.next().expect("a .dwo")
    };
    let dwo = find();
    let aside = folder.0.join("aside");
    std::fs::rename(&dwo, &aside).expect("it is there");
    folder.compile("cc", "signal.c", &options, "other");
    std::fs::rename(find(), &dwo).expect("it is there");
    let module = open_split(&program, None);
    assert!(module.functions("sum").is_empty());
    let text = module.complaints()[0].to_string();
    assert!(text.ends_with("is of another compilation"), "{text}");
}
