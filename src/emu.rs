//! `sapwood emu`: run a foreign-architecture Linux program.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::help::{self, Topic};

/// `sapwood emu …`.
pub fn main(arguments: &mut lexopt::Parser) -> Result<ExitCode, Failure> {
    use lexopt::Arg::{Long, Short};
    if let Some(Short('h') | Long("help")) = arguments.next()? {
        return help::print(Topic::Emu);
    }
    Err(Failure::new("the emulator is not built in yet"))
}
