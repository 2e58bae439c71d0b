//! What the benchmarks of the binary share: a folder, compilers, medians, and
//! tables as plain text.

#![allow(dead_code)] // Each benchmark uses a part.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A folder for a benchmark's files, removed when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path =
            std::env::temp_dir().join(format!("sapwood-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder can be made");
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A file of the repository.
pub fn repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// The binary that is measured, built as `cargo bench` builds it.
pub fn sapwood() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sapwood"))
}

/// Whether a program is installed; says so when it is not.
pub fn is_installed(program: &str, package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        println!("  ({program} is not installed: apt-get install {package})");
    }
    found
}

/// Runs a command that must succeed; false, and a word, when it does not.
pub fn succeeds(command: &mut Command) -> bool {
    match command.status() {
        Ok(status) if status.success() => true,
        other => {
            println!("  ({command:?}: {other:?})");
            false
        }
    }
}

/// Runs a command and gives its wall time and its standard output.
pub fn timed(command: &mut Command) -> (Duration, String) {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output();
    let taken = start.elapsed();
    let text = output.map_or_else(
        |error| error.to_string(),
        |output| {
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            if !output.status.success() {
                text.push_str(&format!("[{}]", output.status));
            }
            text
        },
    );
    (taken, text)
}

/// The middle one.
pub fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Prints one row for each contender, with its median over the first one's.
pub fn print_table(unit: &str, per_unit_s: f64, contenders: &mut [(String, Vec<Duration>)]) {
    let first = contenders[0].0.clone();
    println!(
        "  {:<28}{:>12}{:>12}{:>12}",
        "",
        unit,
        "fastest",
        format!("/ {first}")
    );
    let base = median(&mut contenders[0].1).as_secs_f64();
    for (name, times) in contenders {
        let middle = median(times).as_secs_f64();
        println!(
            "  {name:<28}{:>12.3}{:>12.3}{:>12.2}",
            middle / per_unit_s,
            times[0].as_secs_f64() / per_unit_s,
            middle / base
        );
    }
}
