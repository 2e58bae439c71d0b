//! How long a program's indexes take to build, and what they cost.
//!
//! `cargo bench -p sapwood-dwarf -- PROGRAM`; its own executable without one.
//! Memory is `RssAnon` of this process; the file itself was read before.

use std::path::PathBuf;
use std::time::Instant;

use sapwood_dwarf::{Bytes, Input, Module, ModuleKind};

/// This process's anonymous memory, in MiB.
fn anonymous() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (before, start) = (anonymous(), Instant::now());
    let result = work();
    let ms = start.elapsed().as_secs_f64() * 1000.0;
    println!(
        "{what:<32} {ms:>9.2} ms {:>9.1} MiB more",
        anonymous() - before
    );
    result
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let program = arguments.iter().find(|argument| !argument.starts_with('-'));
    let program = program.map(PathBuf::from);
    let program = program
        .or_else(|| std::env::current_exe().ok())
        .expect("a program");
    let file = std::fs::File::open(&program).expect("a file");
    let bytes = contents(&file);
    println!(
        "{} ({} MB)",
        program.display(),
        bytes.get().len() / 1_000_000
    );
    // The first pass brings the file into the page cache.
    for round in ["cold", "warm"] {
        println!("{round}:");
        let input = Input::new(&program, ModuleKind::Executable, bytes.clone(), 0);
        let module = timed("open", || Module::open(input).expect("an ELF file"));
        let place = timed("first line look-up", || module.places("main.rs", 1).len());
        let found = timed("first name look-up", || module.functions("main").len());
        timed("another name look-up", || module.functions("nosuch").len());
        timed("first symbol by name", || {
            module.symbol_named("main").is_some()
        });
        println!(
            "{place} places, {found} functions, {:.1} MiB in all",
            anonymous()
        );
    }
}

/// The file's bytes. Read, and not mapped: mapping is unsafe, and what it would
/// save shows in the first round only.
fn contents(file: &std::fs::File) -> Bytes {
    use std::io::Read;
    let mut bytes = Vec::new();
    let mut file = file;
    file.read_to_end(&mut bytes).expect("its bytes");
    Bytes::from(bytes)
}
