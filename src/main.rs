//! The `sapwood` command: picks the job its first argument names and hands the
//! rest of the command line to it.
//!
//! This crate is the only one that knows a terminal, and the only one that
//! knows both the debugger and the emulator. Each job is one file here: it
//! reads its command line, calls a library, prints, and chooses the exit
//! status. Nothing below decides anything about linking, debugging or
//! emulation.
#![forbid(unsafe_code)]

mod dbg;
mod emu;
mod failure;
mod help;
mod inputs;
mod link;
mod run;

use std::ffi::OsString;
use std::process::ExitCode;

use failure::Failure;
use help::Topic;

fn main() -> ExitCode {
    let mut arguments = lexopt::Parser::from_env();
    match dispatch(&mut arguments) {
        Ok(status) => status,
        Err(failure) => failure.report(),
    }
}

/// Reads the word that names the job and does it.
fn dispatch(arguments: &mut lexopt::Parser) -> Result<ExitCode, Failure> {
    use lexopt::Arg::{Long, Short, Value};

    let word = match arguments.next()? {
        None => return Err(Failure::usage(Topic::Sapwood, "no command given")),
        Some(Short('h') | Long("help")) => return help::print(Topic::Sapwood),
        Some(Short('V') | Long("version")) => return help::print_version(),
        Some(Value(word)) => word,
        Some(other) => return Err(Failure::usage(Topic::Sapwood, other.unexpected())),
    };
    match word.to_str() {
        Some("dbg") => dbg::main(arguments),
        Some("emu") => emu::main(arguments),
        Some("run") => run::main(arguments),
        Some("link") => link::main(arguments),
        Some("help") => help::main(arguments),
        // Not for people: `sapwood run` and `sapwood dbg FILE.c` start this
        // executable again as the process that the program lives in, and a kept
        // program does when it crashes.
        Some("__worker") => {
            let rest: Vec<OsString> = arguments.raw_args()?.collect();
            sapwood_link::worker::agent::main(&rest)
        }
        Some("__crashed") => run::report_crash(arguments.raw_args()?.collect()),
        _ => Err(Failure::usage(
            Topic::Sapwood,
            format!("no command is named {:?}", word.to_string_lossy()),
        )),
    }
}
