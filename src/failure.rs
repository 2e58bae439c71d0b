//! [`Failure`]: why a command stops, and how it says so.
//!
//! Every command of the binary ends here when it cannot go on: one line (or
//! several, when a compiler wrote them) on standard error that begins with
//! `error: `, and exit status 1, or 2 when the command line itself was wrong.

use std::fmt::Display;
use std::process::ExitCode;

use crate::help::Topic;

/// Why a command stops.
#[derive(Debug)]
pub struct Failure {
    message: String,
    status: u8,
}

impl Failure {
    /// Something went wrong while the command did its work.
    pub fn new(message: impl Display) -> Failure {
        Failure {
            message: message.to_string(),
            status: 1,
        }
    }

    /// The command line makes no sense; points at the page that explains it.
    pub fn usage(topic: Topic, message: impl Display) -> Failure {
        Failure {
            message: format!("{message}\ntry `{} --help`", topic.command()),
            status: 2,
        }
    }

    /// The same with another exit status.
    pub fn with_status(self, status: u8) -> Failure {
        Failure { status, ..self }
    }

    /// Prints the message and gives the exit status.
    pub fn report(&self) -> ExitCode {
        eprintln!("error: {}", self.message);
        ExitCode::from(self.status)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Failure {
        Failure::usage(Topic::Sapwood, error)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::new(message)
    }
}
