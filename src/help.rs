//! `sapwood help`: the manual pages, which live as text beside this file.
//!
//! A page is written once, in `src/help/`, and serves `sapwood help TOPIC` and
//! `sapwood TOPIC --help` alike.

use std::io::Write;
use std::process::ExitCode;

use crate::failure::Failure;

/// A page of the manual.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Topic {
    /// The command as a whole.
    Sapwood,
    /// `sapwood dbg`.
    Dbg,
    /// `sapwood emu`.
    Emu,
    /// `sapwood run`.
    Run,
    /// `sapwood link`.
    Link,
}

impl Topic {
    const ALL: [Topic; 5] = [
        Topic::Sapwood,
        Topic::Dbg,
        Topic::Emu,
        Topic::Run,
        Topic::Link,
    ];

    /// The word after `sapwood help` that asks for this page.
    fn word(self) -> &'static str {
        match self {
            Topic::Sapwood => "sapwood",
            Topic::Dbg => "dbg",
            Topic::Emu => "emu",
            Topic::Run => "run",
            Topic::Link => "link",
        }
    }

    /// The command that the page describes.
    pub fn command(self) -> String {
        match self {
            Topic::Sapwood => "sapwood".to_owned(),
            other => format!("sapwood {}", other.word()),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Topic::Sapwood => include_str!("help/sapwood.txt"),
            Topic::Dbg => include_str!("help/dbg.txt"),
            Topic::Emu => include_str!("help/emu.txt"),
            Topic::Run => include_str!("help/run.txt"),
            Topic::Link => include_str!("help/link.txt"),
        }
    }
}

/// `sapwood help [TOPIC]`.
pub fn main(arguments: &mut lexopt::Parser) -> Result<ExitCode, Failure> {
    use lexopt::Arg::{Long, Short, Value};
    match arguments.next()? {
        None | Some(Short('h') | Long("help")) => print(Topic::Sapwood),
        Some(Value(word)) => Topic::ALL
            .into_iter()
            .find(|topic| word == topic.word())
            .map(print)
            .unwrap_or_else(|| Err(unknown_topic(&word.to_string_lossy()))),
        Some(other) => Err(Failure::usage(Topic::Sapwood, other.unexpected())),
    }
}

fn unknown_topic(word: &str) -> Failure {
    let words: Vec<_> = Topic::ALL.iter().map(|topic| topic.word()).collect();
    Failure::usage(
        Topic::Sapwood,
        format!("no page is named {word:?}; there are: {}", words.join(", ")),
    )
}

/// Prints a page to standard output.
pub fn print(topic: Topic) -> Result<ExitCode, Failure> {
    print_text(topic.text())
}

/// Prints the version to standard output.
pub fn print_version() -> Result<ExitCode, Failure> {
    print_text(concat!("sapwood ", env!("CARGO_PKG_VERSION"), "\n"))
}

/// A reader that has seen enough (`sapwood help | head -3`) is no error.
fn print_text(text: &str) -> Result<ExitCode, Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::new(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_names_its_command_and_fits_eighty_columns() {
        for topic in Topic::ALL {
            assert!(topic.text().contains(&topic.command()), "{topic:?}");
            for line in topic.text().lines() {
                assert!(line.len() <= 79, "{topic:?}: {line}");
            }
        }
    }
}
