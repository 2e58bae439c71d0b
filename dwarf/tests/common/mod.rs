//! Programs for the tests: compiled from `fixtures/` into a folder that goes
//! away with its test.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

use sapwood_dwarf::{Bytes, Input, Module, ModuleKind};

/// A folder under the system's temporary one, taken away when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path =
            std::env::temp_dir().join(format!("sapwood-dwarf-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    /// Compiles a fixture; `name` is the program's.
    pub fn compile(&self, compiler: &str, source: &str, options: &[&str], name: &str) -> PathBuf {
        let program = self.0.join(name);
        let status = Command::new(compiler)
            .args(options)
            .arg("-o")
            .arg(&program)
            .arg(fixture(source))
            .current_dir(&self.0)
            .status()
            .unwrap_or_else(|error| panic!("{compiler}: {error}"));
        assert!(status.success(), "{compiler} {options:?} {source}");
        program
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

pub fn open(path: &Path, bias: u64) -> Module {
    let bytes = Bytes::from(std::fs::read(path).expect("a file"));
    Module::open(Input::new(path, ModuleKind::Executable, bytes, bias)).expect("an ELF file")
}

/// Whether a tool is there; a test that lacks one says so and passes.
pub fn has(tool: &str) -> bool {
    let has = Command::new(tool).arg("--version").output().is_ok();
    if !has {
        println!("skipped: no {tool}");
    }
    has
}

/// What a command writes.
pub fn output(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).output().expect("a tool");
    assert!(output.status.success(), "{tool} {arguments:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The compilers that are here, and the options to try each with.
pub fn builds() -> Vec<(&'static str, Vec<&'static str>)> {
    let options: [&[&str]; 12] = [
        &["-g", "-O0"],
        &["-g", "-O1"],
        &["-g", "-O2"],
        &["-g", "-O3", "-ffunction-sections", "-Wl,--gc-sections"],
        &["-gdwarf-2", "-gstrict-dwarf", "-O1"],
        &["-gdwarf-3", "-O2"],
        &["-gdwarf-4", "-O2", "-fdebug-types-section"],
        &["-gdwarf-5", "-O2", "-no-pie"],
        &["-g", "-O2", "-gz=zlib"],
        &["-g", "-O2", "-flto"],
        &["-g", "-O2", "-static"],
        &["-g", "-Og", "-fno-asynchronous-unwind-tables"],
    ];
    let mut builds = Vec::new();
    for compiler in ["gcc", "clang"] {
        if has(compiler) {
            let usable = options.iter().filter(|options| {
                // clang's own link-time optimisation needs a linker plugin.
                compiler == "gcc" || !options.contains(&"-flto")
            });
            builds.extend(usable.map(|options| (compiler, options.to_vec())));
        }
    }
    assert!(!builds.is_empty(), "a C compiler is needed");
    builds
}
