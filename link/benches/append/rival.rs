//! LLVM's JITLink on the same objects, through a small C++ program.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bulk;
use crate::object::Template;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/append/jitlink.cpp");
/// Objects that JITLink is given: it ends at 32,710, the kernel's mapping limit.
const OBJECTS: usize = 30_000;

/// `ours` is what `bulk` reached in this run, in MB/s.
pub fn table(template: &Template, ours: Option<f64>) {
    println!("\nrival: LLVM JITLink, the same objects");
    let folder = std::env::temp_dir().join(format!("sapwood-rival-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a temporary folder can be made");
    match run(template, &folder) {
        Some(text) => {
            print!("{text}");
            let theirs = text.split_whitespace().rev().nth(1);
            let theirs = theirs.and_then(|speed| speed.parse::<f64>().ok());
            if let (Some(ours), Some(theirs)) = (ours, theirs.filter(|theirs| *theirs > 0.0)) {
                println!("bulk, ours: {ours:.0} MB/s, {:.0} x that", ours / theirs);
            }
        }
        None => println!(
            "  not installed (apt-get install llvm-dev clang); measured elsewhere with LLVM 22:\n  \
             30-32 µs an object, 8.6 KB and 2 mappings each, ends at object 32,710;\n  \
             libcrypto's objects 18-37 MB/s"
        ),
    }
    std::fs::remove_dir_all(&folder).expect("it was made above");
}

fn run(template: &Template, folder: &Path) -> Option<String> {
    let program = compile(folder)?;
    let object = folder.join("one.o");
    template.with(0, |_, bytes| std::fs::write(&object, bytes).ok())?;
    let mut run = Command::new(program);
    run.arg(&object).arg(OBJECTS.to_string());
    if let Ok(library) = std::fs::read(bulk::LIBRARY) {
        let objects = bulk::members(&library);
        let total: u64 = objects
            .iter()
            .map(|(_, bytes)| bulk::allocated(bytes))
            .sum();
        run.arg(bulk::LIBRARY).arg(total.to_string());
    }
    let output = run.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    Some(format!(
        "{text}{}",
        errors.lines().take(3).collect::<String>()
    ))
}

/// Compiles the program against the LLVM that is here.
fn compile(folder: &Path) -> Option<PathBuf> {
    // The newest first; what has no suffix is the distribution's choice.
    let newest = (14..30)
        .rev()
        .map(|version| format!("llvm-config-{version}"));
    let config = newest.chain(["llvm-config".into()]).find_map(|config| {
        let output = Command::new(config)
            .args(["--cxxflags", "--ldflags", "--libs", "orcjit", "native"])
            .output();
        output.ok().filter(|output| output.status.success())
    })?;
    let flags = String::from_utf8_lossy(&config.stdout).into_owned();
    let program = folder.join("jitlink");
    let mut compiler = Command::new("c++");
    compiler.args(["-O2", "-w", PROGRAM, "-o"]).arg(&program);
    compiler.args(flags.split_whitespace());
    compiler.output().ok()?.status.success().then_some(program)
}
