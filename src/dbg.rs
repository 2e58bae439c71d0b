//! `sapwood dbg`: the debugger at a terminal, and in scripts.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::help::{self, Topic};

/// `sapwood dbg …`.
pub fn main(arguments: &mut lexopt::Parser) -> Result<ExitCode, Failure> {
    use lexopt::Arg::{Long, Short};
    if let Some(Short('h') | Long("help")) = arguments.next()? {
        return help::print(Topic::Dbg);
    }
    Err(Failure::new("the debugger is not built in yet"))
}
