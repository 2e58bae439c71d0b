//! Source lines: from an address to its line, from a line to its addresses.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::{Address, Function, Module};

/// The source line of a range of addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineRow {
    /// The addresses that the row covers: up to the next row of its sequence.
    pub range: Range<Address>,
    /// The source file, absolute where the compiler said so.
    pub file: Arc<Path>,
    /// The line, from 1; 0 for code that no line brought about.
    pub line: u32,
    /// The column, from 1; 0 where the compiler does not say.
    pub column: u32,
    /// Whether the range starts a statement, so that a breakpoint makes sense.
    pub is_stmt: bool,
    /// Whether the function's prologue ends here.
    pub prologue_end: bool,
}

/// Somewhere to put a breakpoint for a line.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where the line's code begins, a function's prologue skipped.
    pub address: Address,
    /// The source file that the line table names.
    pub file: Arc<Path>,
    /// The line that has this code: the one asked for, or the next one that
    /// has any.
    pub line: u32,
    /// The function whose code it is: the inlined one where it was inlined.
    pub function: Option<Arc<Function>>,
    /// Whether it lies in an inlined copy.
    pub is_inlined: bool,
}

impl Module {
    /// The line row that covers `at`.
    pub fn line_at(&self, at: Address) -> Option<LineRow> {
        let _ = at;
        todo!()
    }

    /// Where the code of a line begins: one place for each function (or inlined
    /// copy) that has code of it. `file` is a path suffix on `/` boundaries.
    ///
    /// When the line has no code, the places are those of the next line of the
    /// same file that has any, and say so in [`Place::line`].
    pub fn places(&self, file: &str, line: u32) -> Vec<Place> {
        let _ = (file, line);
        todo!()
    }

    /// The source files of the module whose path ends in `suffix` on a `/`
    /// boundary; all of them for the empty suffix. Each once, sorted.
    pub fn files(&self, suffix: &str) -> Vec<Arc<Path>> {
        let _ = suffix;
        todo!()
    }

    /// The addresses that come from a line of a file, as sorted ranges.
    pub fn ranges_of_line(&self, file: &Path, line: u32) -> Vec<Range<Address>> {
        let _ = (file, line);
        todo!()
    }

    /// The line rows that overlap a range of addresses, in order of address.
    pub fn lines_in(&self, range: Range<Address>) -> Vec<LineRow> {
        let _ = range;
        todo!()
    }

    /// Where a function's body begins: what a breakpoint on it should use, so
    /// that its arguments are in place.
    pub fn prologue_end(&self, function: &Function) -> Address {
        let _ = function;
        todo!()
    }
}
