//! End-to-end tests of the `sapwood` binary, all of them data.
//!
//! A case is a text file `tests/{cli,dbg,emu,run}/NAME.case`; a new one needs
//! no Rust. It is what a person would see at a terminal, with the files it
//! needs below:
//!
//! ```text
//! What the case shows, in words.
//! : needs riscv64-linux-gnu-gcc
//!
//! $ cc -g -O0 greet.c -o greet
//! $ sapwood dbg --batch -e 'b main' -e run greet
//! Breakpoint 1 at [..]: file greet.c, line 3.
//! ! error: what went to standard error, after what went to standard output
//! [exit 1]
//!
//! -- greet.c --
//! #include <stdio.h>
//! ...
//! ```
//!
//! Each `$` line runs under `sh` in a new folder that holds the files, with
//! `sapwood` in `PATH`. In what is expected, `[..]` stands for anything within
//! a line, and a line that is `[...]` for any lines. A line that would be taken
//! for a command or a file is written with a `\` before it. Directives, which
//! stand before the first command, begin with `: `:
//!
//! | directive | |
//! |---|---|
//! | `: needs PROGRAM…` | say which Debian package is missing, and fail, where one is |
//! | `: copy FILE…` | copy files, named from `tests/`, into the folder |
//! | `: hide addresses` | show hexadecimal numbers of five digits and more as `0xADDR` |
//! | `: hide processes` | show numbers of processes as `PID` |
//! | `: replace REGEX => TEXT` | in each line of output |
//! | `: timeout SECONDS` | for each command; 60 when not said |
//!
//! The command `terminal FILE` has a person at a terminal act out a file of the
//! case: see `harness/terminal.rs`.
//!
//! After each command nothing may be left: no process that it started, and no
//! file in `TMPDIR`.
//!
//! The cases of `tests/libraries` are run by `bash tests/libraries/all` only.
//!
//! `cargo test --test cases WORD…` runs the cases whose names contain a word.
//! With `SAPWOOD_BLESS=1` in the environment what was printed becomes what is
//! expected; look at the difference before committing it.

mod harness;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Libraries that take minutes to compile; see `tests/libraries/all`.
    let areas: &[&str] = match std::env::var_os("SAPWOOD_LIBRARIES") {
        Some(_) => &["libraries"],
        None => &["cli", "dbg", "emu", "run"],
    };
    harness::runner::run(
        std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")),
        areas,
        std::path::Path::new(env!("CARGO_BIN_EXE_sapwood")),
    )
}
