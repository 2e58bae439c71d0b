//! `sapwood link`: the file linker, of which only the manual page stands.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::help::{self, Topic};

/// `sapwood link …`.
pub fn main(arguments: &mut lexopt::Parser) -> Result<ExitCode, Failure> {
    use lexopt::Arg::{Long, Short};
    if let Some(Short('h') | Long("help")) = arguments.next()? {
        return help::print(Topic::Link);
    }
    Err(Failure::new(
        "the file linker is not there yet: this version links into live processes only \
         (`sapwood run`, `sapwood dbg`)",
    ))
}
