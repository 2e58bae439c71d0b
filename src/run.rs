//! `sapwood run`: the live linker.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::help::{self, Topic};

/// `sapwood run …`.
pub fn main(arguments: &mut lexopt::Parser) -> Result<ExitCode, Failure> {
    use lexopt::Arg::{Long, Short};
    if let Some(Short('h') | Long("help")) = arguments.next()? {
        return help::print(Topic::Run);
    }
    Err(Failure::new("the live linker is not built in yet"))
}
