//! How long it takes from starting the debugger to the first breakpoint of a
//! small C program, beside gdb, interleaved in one run.
//!
//! `cargo bench --bench first_stop`. What is measured ends when the line that
//! tells of the stop arrives through a pipe.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs of each contender; the middle one counts.
const ROUNDS: usize = 21;

fn main() {
    println!("\nsmall C program to its first breakpoint, wall time, {ROUNDS} rounds");
    let folder = support::Folder::new("first-stop");
    let program = folder.path("orchard");
    let source = support::repository("tests/demo/orchard.c");
    let mut compile = Command::new("cc");
    compile
        .args(["-g", "-O0"])
        .arg(source)
        .arg("-o")
        .arg(&program);
    if !support::succeeds(&mut compile) {
        return;
    }
    let with_gdb = support::is_installed("gdb", "gdb");
    let mut rows = vec![("sapwood dbg".to_owned(), Vec::new())];
    if with_gdb {
        rows.insert(0, ("gdb".to_owned(), Vec::new()));
    }
    for _ in 0..ROUNDS {
        for (name, times) in &mut rows {
            let command = match name.as_str() {
                "gdb" => gdb(&program),
                _ => sapwood(&program),
            };
            match time_to_stop(command) {
                Some(time) => times.push(time),
                None => {
                    println!("  ({name} did not stop)");
                    return;
                }
            }
        }
    }
    support::print_table("ms", 1e-3, &mut rows);
}

fn gdb(program: &Path) -> Command {
    let mut command = Command::new("gdb");
    command
        .args(["-nx", "--batch", "-ex", "break main", "-ex", "run"])
        .arg(program);
    command
}

fn sapwood(program: &Path) -> Command {
    let mut command = support::sapwood();
    command
        .args(["dbg", "--batch", "-e", "b main", "-e", "run"])
        .arg(program);
    command
}

/// From the start of the process to the line that tells of the stop.
fn time_to_stop(mut command: Command) -> Option<Duration> {
    let start = Instant::now();
    let mut debugger = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(debugger.stdout.take()?).lines();
    let stopped = lines.find(|line| {
        line.as_ref()
            .is_ok_and(|line| line.starts_with("Breakpoint 1, main"))
    });
    let taken = start.elapsed();
    // To the end, so that it is not killed by a closed pipe.
    lines.for_each(drop);
    debugger.wait().ok()?;
    stopped.map(|_| taken)
}
