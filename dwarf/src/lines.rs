//! Source lines: from an address to its line, from a line to its addresses.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use gimli::constants as c;

use crate::info::{Info, Slice, Unit};
use crate::{Address, EntryId, Function, Module};

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

/// A row of a decoded line table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) address: u64,
    pub(crate) file: u32,
    pub(crate) line: u32,
    pub(crate) column: u16,
    pub(crate) is_stmt: bool,
    pub(crate) prologue_end: bool,
}

/// A stretch of code whose rows lie in order of address.
#[derive(Clone, Copy, Debug)]
struct Sequence {
    start: u64,
    end: u64,
    first: u32,
    after: u32,
}

/// The line rows of one unit.
pub(crate) struct UnitLines {
    rows: Vec<Row>,
    /// Sorted by start.
    sequences: Vec<Sequence>,
}

impl UnitLines {
    /// Runs a unit's line program. `None` where it has none.
    pub(crate) fn decode(
        info: &Info<'_>,
        index: u32,
        unit: &Unit<'_>,
    ) -> gimli::Result<Option<UnitLines>> {
        let Some(program) = unit.line_program.clone() else {
            return Ok(None);
        };
        let mut lines = UnitLines {
            rows: Vec::new(),
            sequences: Vec::new(),
        };
        let mut rows = program.rows();
        let mut first = 0;
        loop {
            let row = match rows.next_row() {
                Ok(Some((_, row))) => row,
                Ok(None) => break,
                Err(error) => {
                    // The sequences before the damage are still good.
                    let offset = info.slot(index).and_then(|slot| slot.section_offset());
                    info.complain(".debug_line", offset, error);
                    break;
                }
            };
            if row.end_sequence() {
                lines.close(info, first, row.address());
                first = lines.rows.len();
                continue;
            }
            lines.rows.push(Row {
                address: row.address(),
                file: row.file_index() as u32,
                line: row.line().map_or(0, |line| line.get() as u32),
                column: match row.column() {
                    gimli::ColumnType::LeftEdge => 0,
                    gimli::ColumnType::Column(column) => column.get().min(0xffff) as u16,
                },
                is_stmt: row.is_stmt(),
                prologue_end: row.prologue_end(),
            });
        }
        lines.rows.truncate(first);
        lines.rows.shrink_to_fit();
        lines.sequences.sort_by_key(|sequence| sequence.start);
        Ok(Some(lines))
    }

    /// Ends the sequence whose rows began at `first`, or drops it where its
    /// code was dropped by the linker.
    fn close(&mut self, info: &Info<'_>, first: usize, end: u64) {
        let rows = &mut self.rows[first..];
        if !rows.is_sorted_by_key(|row| row.address) {
            rows.sort_by_key(|row| row.address);
        }
        let start = rows.first().map_or(end, |row| row.address);
        if start >= end || !info.is_code(start) {
            self.rows.truncate(first);
            return;
        }
        let (first, after) = (first as u32, self.rows.len() as u32);
        self.sequences.push(Sequence {
            start,
            end,
            first,
            after,
        });
    }

    /// The sequence that covers an address.
    fn sequence_at(&self, address: u64) -> Option<&Sequence> {
        let after = self.sequences.partition_point(|s| s.start <= address);
        // A few steps back find an enclosing one, should sequences overlap.
        self.sequences[..after]
            .iter()
            .rev()
            .take(4)
            .find(|s| s.end > address)
    }

    fn rows_of(&self, sequence: &Sequence) -> &[Row] {
        &self.rows[sequence.first as usize..sequence.after as usize]
    }

    /// The row that covers an address, and the addresses that it covers.
    ///
    /// Of several at one address it is the last, which says what the code there
    /// is; unless that one starts no statement and another does.
    pub(crate) fn at(&self, address: u64) -> Option<(Row, Range<u64>)> {
        let sequence = self.sequence_at(address)?;
        let rows = self.rows_of(sequence);
        let after = rows.partition_point(|row| row.address <= address);
        let last = after.checked_sub(1)?;
        let start = rows[last].address;
        let same = rows[..after]
            .iter()
            .rev()
            .take_while(|row| row.address == start);
        let row = same
            .clone()
            .find(|row| row.is_stmt)
            .copied()
            .unwrap_or(rows[last]);
        let end = rows.get(after).map_or(sequence.end, |next| next.address);
        Some((row, start..end))
    }

    /// The last row up to an address that names a line.
    fn named_before(&self, address: u64) -> Option<Row> {
        let rows = self.rows_of(self.sequence_at(address)?);
        let after = rows.partition_point(|row| row.address <= address);
        rows[..after]
            .iter()
            .rev()
            .find(|row| row.line != 0)
            .copied()
    }

    /// The rows that overlap a range, each with the addresses that it covers;
    /// of several at one address the one that [`UnitLines::at`] gives.
    pub(crate) fn within(&self, wanted: &Range<u64>) -> Vec<(Row, Range<u64>)> {
        let mut found = Vec::new();
        for sequence in &self.sequences {
            if sequence.start >= wanted.end || sequence.end <= wanted.start {
                continue;
            }
            let mut address = wanted.start.max(sequence.start);
            while address < wanted.end.min(sequence.end) {
                let Some((row, range)) = self.at(address) else {
                    break;
                };
                address = range.end.max(address + 1);
                found.push((row, range));
            }
        }
        found
    }

    /// All rows of statements.
    fn statements(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_stmt && row.line != 0)
    }
}

/// Where a statement of a line begins in a function or in an inlined copy of
/// one.
struct Statement {
    copy: Option<EntryId>,
    is_inlined: bool,
    address: u64,
    line: u32,
}

impl<'a> Info<'a> {
    /// The line row at an address of the file.
    pub(crate) fn line_at(&self, address: u64) -> Option<(u32, Row, Range<u64>)> {
        self.unit_ranges().at(address).find_map(|unit| {
            let (row, range) = self.lines(unit)?.at(address)?;
            Some((unit, row, range))
        })
    }

    /// Where the statements of a line begin, or of the next line that has any:
    /// unit, address and line.
    fn statements_of(&self, file: &str, line: u32) -> Vec<(u32, u64, u32)> {
        let mut best = u32::MAX;
        let mut found = Vec::new();
        for (unit, files) in self.mentions(file) {
            let Some(lines) = self.lines(unit) else {
                continue;
            };
            for row in lines.statements() {
                if row.line < line || row.line > best || !files.contains(&row.file.into()) {
                    continue;
                }
                if row.line < best {
                    best = row.line;
                    found.clear();
                }
                found.push((unit, row.address, row.line));
            }
        }
        found.sort_unstable_by_key(|&(_, address, _)| address);
        found.dedup_by_key(|&mut (_, address, _)| address);
        found
    }

    /// The first address of each function or inlined copy among those found.
    fn one_per_copy(&self, statements: Vec<(u32, u64, u32)>) -> Vec<Statement> {
        let mut copies: Vec<Statement> = Vec::new();
        for (_, address, line) in statements {
            let chain = self.chain_at(address);
            let (copy, is_inlined) = match chain.split_first() {
                Some((innermost, outer)) => (Some(innermost.id()), !outer.is_empty()),
                None => (None, false),
            };
            let known = copies.iter().any(|other| other.copy == copy);
            if !known || copy.is_none() {
                copies.push(Statement {
                    copy,
                    is_inlined,
                    address,
                    line,
                });
            }
        }
        copies
    }

    /// Where the body of a function begins, given its entry point's range.
    ///
    /// A compiler that marks the end of the prologue is believed. Otherwise it
    /// is the second row of the function, as compilers without marks write
    /// one row for the prologue and one for the body; but for optimised code
    /// of gcc, whose location lists already hold at the entry point.
    pub(crate) fn prologue_end(&self, unit: u32, code: &Range<u64>) -> u64 {
        let Some(lines) = self.lines(unit) else {
            return code.start;
        };
        let Some(sequence) = lines.sequence_at(code.start) else {
            return code.start;
        };
        let rows = lines.rows_of(sequence);
        let first = rows.partition_point(|row| row.address < code.start);
        let rows: Vec<&Row> = rows[first..]
            .iter()
            .take_while(|row| row.address < code.end)
            .collect();
        if let Some(row) = rows.iter().find(|row| row.prologue_end) {
            return row.address;
        }
        if self.is_optimised_by_gcc(unit) {
            return code.start;
        }
        let second = rows
            .iter()
            .find(|row| row.address > code.start && row.line != 0);
        second.map_or(code.start, |row| row.address)
    }

    /// Who compiled a unit, and how.
    fn producer(&self, index: u32) -> Option<Slice<'a>> {
        let unit = self.unit(index)?;
        let root = unit.entry(unit.header.root_offset()).ok()?;
        let producer = root.attr_value(c::DW_AT_producer)?;
        self.dwarf_of(index).attr_string(unit, producer).ok()
    }

    /// Whether gcc compiled a unit.
    pub(crate) fn is_by_gcc(&self, index: u32) -> bool {
        let producer = self.producer(index);
        producer.is_some_and(|producer| producer.slice().starts_with(b"GNU "))
    }

    fn is_optimised_by_gcc(&self, index: u32) -> bool {
        let Some(producer) = self.producer(index) else {
            return false;
        };
        let mut options = producer.slice().split(|&byte| byte == b' ').rev();
        let level = options.find(|option| option.starts_with(b"-O"));
        self.is_by_gcc(index) && level.is_some_and(|level| level != b"-O0")
    }

    /// A row as the outside sees it.
    fn present(&self, unit: u32, row: Row, range: Range<u64>, bias: u64) -> Option<LineRow> {
        let at = |address: u64| Address(address.wrapping_add(bias));
        Some(LineRow {
            range: at(range.start)..at(range.end),
            file: self.unit_files(unit)?.get(row.file.into())?.clone(),
            line: row.line,
            column: row.column.into(),
            is_stmt: row.is_stmt,
            prologue_end: row.prologue_end,
        })
    }
}

impl Module {
    /// The line row that covers `at`.
    pub fn line_at(&self, at: Address) -> Option<LineRow> {
        self.info(|info| {
            let (unit, row, range) = info.line_at(self.to_file(at))?;
            info.present(unit, row, range, self.bias())
        })?
    }

    /// The file and line that code goes on with which no line brought about:
    /// those of the code before it.
    pub fn line_before(&self, at: Address) -> Option<(Arc<Path>, u32)> {
        let at = self.to_file(at);
        self.info(|info| {
            info.unit_ranges().at(at).find_map(|unit| {
                let row = info.lines(unit)?.named_before(at)?;
                let file = info.unit_files(unit)?.get(row.file.into())?.clone();
                Some((file, row.line))
            })
        })?
    }

    /// Where the code of a line begins: one place for each function (or inlined
    /// copy) that has code of it. `file` is a path suffix on `/` boundaries.
    ///
    /// When the line has no code, the places are those of the next line of the
    /// same file that has any, and say so in [`Place::line`].
    pub fn places(&self, file: &str, line: u32) -> Vec<Place> {
        if !self.may_mention(file) {
            return Vec::new();
        }
        let places = self.info(|info| {
            let copies = info.one_per_copy(info.statements_of(file, line));
            let mut places: Vec<Place> = copies
                .into_iter()
                .filter_map(|statement| self.place(info, &statement))
                .collect();
            places.sort_by_key(|place| place.address);
            places.dedup_by_key(|place| place.address);
            places
        });
        places.unwrap_or_default()
    }

    /// The place at an address of the file, past the prologue where a function
    /// begins there.
    fn place(&self, info: &Info<'_>, statement: &Statement) -> Option<Place> {
        let mut address = statement.address;
        if !statement.is_inlined
            && let Some((unit, code)) = info.code_at(address)
            && code.start == address
        {
            address = info.prologue_end(unit, &code);
        }
        let (unit, row, _) = info.line_at(address)?;
        let innermost = info.chain_at(address).into_iter().next();
        Some(Place {
            address: self.to_memory(address),
            file: info.unit_files(unit)?.get(row.file.into())?.clone(),
            // Several lines may begin where the one that is wanted does.
            line: match address == statement.address {
                true => statement.line,
                false => row.line,
            },
            function: innermost.and_then(|frame| self.function_of(info, frame.id())),
            is_inlined: statement.is_inlined,
        })
    }

    /// The source files of the module whose path ends in `suffix` on a `/`
    /// boundary; all of them for the empty suffix. Each once, sorted.
    pub fn files(&self, suffix: &str) -> Vec<Arc<Path>> {
        if !suffix.is_empty() && !self.may_mention(suffix) {
            return Vec::new();
        }
        let files = self.info(|info| {
            if suffix.is_empty() {
                return info.all_files();
            }
            let mut files: Vec<Arc<Path>> = Vec::new();
            for (unit, numbers) in info.mentions(suffix) {
                let unit = info.unit_files(unit);
                files.extend(numbers.iter().filter_map(|&file| unit?.get(file).cloned()));
            }
            files.sort_unstable();
            files.dedup();
            files
        });
        files.unwrap_or_default()
    }

    /// The addresses that come from a line of a file, as sorted ranges.
    pub fn ranges_of_line(&self, file: &Path, line: u32) -> Vec<Range<Address>> {
        let Some(file) = file.to_str() else {
            return Vec::new();
        };
        let ranges = self.info(|info| {
            let mut ranges: Vec<Range<Address>> = Vec::new();
            for (unit, files) in info.mentions(file) {
                let Some(lines) = info.lines(unit) else {
                    continue;
                };
                for (row, range) in lines.within(&(0..u64::MAX)) {
                    if row.line == line && files.contains(&row.file.into()) {
                        ranges.push(self.to_memory(range.start)..self.to_memory(range.end));
                    }
                }
            }
            ranges.sort_by_key(|range| range.start);
            ranges.dedup();
            ranges
        });
        ranges.unwrap_or_default()
    }

    /// The line rows that overlap a range of addresses, in order of address.
    pub fn lines_in(&self, range: Range<Address>) -> Vec<LineRow> {
        let rows = self.info(|info| {
            let wanted = self.to_file(range.start)..self.to_file(range.end);
            let mut rows = Vec::new();
            for unit in info.unit_ranges().overlapping(&wanted) {
                let Some(lines) = info.lines(unit) else {
                    continue;
                };
                for (row, range) in lines.within(&wanted) {
                    rows.extend(info.present(unit, row, range, self.bias()));
                }
            }
            rows.sort_by_key(|row: &LineRow| row.range.start);
            rows
        });
        rows.unwrap_or_default()
    }

    /// Where a function's body begins: what a breakpoint on it should use, so
    /// that its arguments are in place. Its entry point where nobody knows, 0
    /// where it has no code of its own.
    pub fn prologue_end(&self, function: &Function) -> Address {
        let Some(code) = function.ranges.first() else {
            return function.entry.unwrap_or_default();
        };
        let code = self.to_file(code.start)..self.to_file(code.end);
        let end = self.info(|info| info.prologue_end(function.id.unit, &code));
        self.to_memory(end.unwrap_or(code.start))
    }
}
