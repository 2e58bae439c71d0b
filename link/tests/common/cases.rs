//! A test harness for executables that are their own worker: cases run in order,
//! and each must leave no child.

#![allow(dead_code)]

use std::ffi::OsString;
use std::process::ExitCode;

use sapwood_link::worker::agent;

/// A case's name and what it does.
pub type Case = (&'static str, fn());

/// What the executable is started as beside the tests: a word and what it does.
pub type Part = (&'static str, fn() -> ExitCode);

/// The executable's `main`: it is the tests, their worker, or one of `parts`.
pub fn main(all: &[Case], parts: &[Part]) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let word = arguments.first().and_then(|word| word.to_str());
    if word == Some("__worker") {
        agent::main(&arguments[1..]);
    }
    match parts.iter().find(|(name, _)| Some(*name) == word) {
        Some((_, part)) => part(),
        None => run(all, &arguments),
    }
}

/// The test runner: cases whose names contain one of the arguments, in order.
fn run(all: &[Case], arguments: &[OsString]) -> ExitCode {
    let wanted: Vec<&str> = arguments
        .iter()
        .filter_map(|word| word.to_str())
        .filter(|word| !word.starts_with('-'))
        .collect();
    let (mut passed, mut failed, mut left_out) = (0, 0, 0);
    for (name, case) in all {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word)) {
            left_out += 1;
            continue;
        }
        let outcome = std::panic::catch_unwind(|| {
            case();
            assert_eq!(children(), 0, "a child was left");
        });
        match outcome {
            Ok(()) => passed += 1,
            Err(_) => failed += 1,
        }
        println!(
            "test {name} ... {}",
            if outcome.is_ok() { "ok" } else { "FAILED" }
        );
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left_out} filtered out\n"
    );
    ExitCode::from(u8::from(failed != 0))
}

fn children() -> usize {
    let pid = std::process::id();
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .map_or(0, |text| text.split_whitespace().count())
}
