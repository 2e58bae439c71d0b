//! [`Words`]: what Tab completes at the prompt.

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

/// Commands whose arguments are files.
const TAKE_FILES: [&str; 5] = ["core-file", "file", "generate-core-file", "load", "source"];

/// Completes the first word as a command, and the rest as files where the
/// command takes them.
#[derive(Default)]
pub struct Words {
    files: FilenameCompleter,
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = &line[..position];
        let start = typed.len() - typed.trim_start().len();
        match typed.trim_start().split_once(char::is_whitespace) {
            None => Ok((start, commands(&typed[start..]))),
            Some((word, _)) if TAKE_FILES.contains(&word) => {
                self.files.complete(line, position, context)
            }
            Some(_) => Ok((position, Vec::new())),
        }
    }
}

fn commands(prefix: &str) -> Vec<Pair> {
    sapwood_dbg::parse::completions(prefix)
        .into_iter()
        .map(|word| Pair {
            display: word.to_owned(),
            replacement: format!("{word} "),
        })
        .collect()
}

impl Hinter for Words {
    type Hint = String;
}
impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}
