//! [`Words`]: what Tab completes at the prompt.
//!
//! What fits is the debugger's answer; files are found by the editor.

use std::cell::RefCell;
use std::rc::Rc;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};
use sapwood_dbg::Debugger;

/// Completes what a person types.
pub struct Words {
    debugger: Rc<RefCell<Debugger>>,
    files: FilenameCompleter,
}

impl Words {
    /// Asks this debugger, which is idle while somebody types.
    pub fn new(debugger: Rc<RefCell<Debugger>>) -> Words {
        Words {
            debugger,
            files: FilenameCompleter::new(),
        }
    }
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Ok(mut debugger) = self.debugger.try_borrow_mut() else {
            return Ok((position, Vec::new()));
        };
        let found = debugger.complete(&line[..position]);
        if found.files {
            return self.files.complete(line, position, context);
        }
        // A command's word is done when it is whole; a member may go on.
        let is_command = line[..found.start].trim().is_empty();
        let pairs = found.candidates.into_iter().map(|word| Pair {
            replacement: match is_command {
                true => format!("{word} "),
                false => word.clone(),
            },
            display: word,
        });
        Ok((found.start, pairs.collect()))
    }
}

impl Hinter for Words {
    type Hint = String;
}
impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}
