//! [`Error`]: why a command could not be done, in the user's words.

use std::fmt;

use crate::target::TargetError;

/// Why a command could not be done. The program and the debugger are as they
/// were, unless the text says otherwise.
#[derive(Debug)]
pub enum Error {
    /// There is no process, and the command needs one.
    NotRunning,
    /// There is no program to run.
    NoProgram,
    /// The target refused or is gone.
    Target(TargetError),
    /// Anything else; the text is for the user.
    Message(String),
}

impl Error {
    /// An error with that text.
    pub fn new(text: impl Into<String>) -> Error {
        Error::Message(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotRunning => f.write_str("The program is not being run."),
            Error::NoProgram => {
                f.write_str("No executable file specified.  Use the \"file\" command.")
            }
            Error::Target(error) => error.fmt(f),
            Error::Message(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl From<TargetError> for Error {
    fn from(error: TargetError) -> Error {
        Error::Target(error)
    }
}

impl From<sapwood_link::HostError> for Error {
    fn from(error: sapwood_link::HostError) -> Error {
        Error::Message(error.to_string())
    }
}

impl From<sapwood_dwarf::Error> for Error {
    fn from(error: sapwood_dwarf::Error) -> Error {
        Error::Message(error.to_string())
    }
}

/// Shorthand for what commands return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
