//! How long an emulated program takes from start to end when it does next to
//! nothing: a static `hello`, and `python3 -c pass` of Debian. Beside each
//! other, interleaved: native, `qemu-user`, ours with an empty cache of
//! translations, and ours with what the run before kept.
//!
//! `cargo bench --bench start [riscv64|aarch64]`; the Debians are unpacked by
//! `tests/sysroot` into SAPWOOD_DEBIAN (a folder of the target folder if not
//! set), which takes a while the first time.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Runs of each contender; the middle one counts.
const ROUNDS: usize = 15;

const GUESTS: [(&str, &str, Option<&str>); 2] = [
    ("aarch64", "arm64", None),
    ("riscv64", "riscv64", Some("trixie")),
];

fn main() {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let folder = support::Folder::new("start");
    for (guest, debian, suite) in GUESTS {
        if wanted.as_ref().is_none_or(|wanted| wanted == guest) {
            hello(guest, &folder);
            python(guest, debian, suite, &folder);
        }
    }
}

fn hello(guest: &str, folder: &support::Folder) {
    let source = folder.path("hello.c");
    let text = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";
    std::fs::write(&source, text).expect("a file can be written");
    let (native, program) = (folder.path("native"), folder.path(guest));
    let compile = |compiler: &str, to: &Path| {
        let mut command = Command::new(compiler);
        support::succeeds(
            command
                .args(["-O2", "-static"])
                .arg(&source)
                .arg("-o")
                .arg(to),
        )
    };
    if compile("cc", &native) && compile(&format!("{guest}-linux-gnu-gcc"), &program) {
        println!("\nstatic hello, {guest}");
        race(guest, folder, Command::new(native), None, &program, &[]);
    }
}

fn python(guest: &str, debian: &str, suite: Option<&str>, folder: &support::Folder) {
    let debians = std::env::var_os("SAPWOOD_DEBIAN").map(PathBuf::from);
    let root = debians
        .unwrap_or_else(|| support::repository("target/debian"))
        .join(debian);
    let mut unpack = Command::new(support::repository("tests/sysroot"));
    unpack.arg(debian).arg(&root).arg("python3");
    if let Some(suite) = suite {
        unpack.env("SAPWOOD_SUITE", suite);
    }
    if support::succeeds(&mut unpack) {
        println!("\npython3 -c pass, {guest} (native is this machine's own python3)");
        let program = root.join("usr/bin/python3");
        race(
            guest,
            folder,
            Command::new("python3"),
            Some(&root),
            &program,
            &["-c", "pass"],
        );
    }
}

/// Runs every contender in turn, round after round, and prints the table.
fn race(
    guest: &str,
    folder: &support::Folder,
    native: Command,
    root: Option<&Path>,
    program: &Path,
    arguments: &'static [&'static str],
) {
    let cache = folder.path("cache");
    let native = native.get_program().to_owned();
    let (root, program) = (root.map(Path::to_owned), program.to_owned());
    let qemu = format!("qemu-{guest}");
    let below = |mut command: Command| {
        if let Some(root) = &root {
            command.arg("-L").arg(root);
        }
        command
    };
    let emulated = |words: &[&std::ffi::OsStr]| {
        let mut command = support::sapwood();
        command.arg("emu").args(words);
        below(command)
    };
    let commands = || {
        let kept = ["--cache".as_ref(), cache.as_os_str()];
        [
            ("native", Command::new(&native), false),
            ("qemu-user", below(Command::new(&qemu)), true),
            (
                "sapwood, nothing kept",
                emulated(&["--no-cache".as_ref()]),
                true,
            ),
            ("sapwood, cold", emulated(&kept), true),
            ("sapwood, warm", emulated(&kept), true),
        ]
    };
    let mut rows: Vec<(String, Vec<Duration>)> = commands()
        .iter()
        .map(|(name, ..)| ((*name).to_owned(), Vec::new()))
        .collect();
    for _ in 0..ROUNDS {
        for ((name, mut command, is_guest), (_, times)) in commands().into_iter().zip(&mut rows) {
            if name.ends_with("cold") {
                let _ = std::fs::remove_dir_all(&cache);
            }
            if is_guest {
                command.arg(&program);
            }
            times.push(support::timed(command.args(arguments)).0);
        }
    }
    support::print_table("ms", 1e-3, &mut rows);
}
