//! An ELF file with the debug information of translated code: DWARF that leads
//! from host addresses to the guest's functions, files and lines, and out of the
//! code to the engine's frames.
//!
//! Each piece is a compilation unit of its own with its own table of lines,
//! because pieces lie anywhere. A function's pieces are functions in it: the one
//! that the function begins with has its name, so that a breakpoint at it is one
//! where it is entered; others have `name+0x10`. No piece has variables: where
//! the guest's are is not where the host's debugger looks. DWARF 4, which every
//! debugger reads; "DWARF Debugging Information Format, Version 4" numbers all.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use sapwood_emu::watch::{ENTRY_SAVED, ENTRY_STACK};

/// Code that was published in one piece.
pub struct Piece {
    /// Where it runs.
    pub at: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The guest address that it begins with, which names what has no symbol.
    pub pc: u64,
    /// What it is of, ascending.
    pub runs: Vec<Run>,
}

/// Code from one offset up to the next run's.
pub struct Run {
    /// Offset from the piece's start.
    pub offset: u64,
    /// The guest's function that it is part of.
    pub function: Option<String>,
    /// How far into that the first instruction is.
    pub into: u64,
    /// The file and line that brought it about.
    pub line: Option<(Arc<Path>, u32)>,
}

/// A function of a piece: all runs that follow one another and are of one.
struct Function {
    name: String,
    at: u64,
    length: u64,
}

impl Piece {
    fn functions(&self) -> Vec<Function> {
        let mut all: Vec<Function> = Vec::new();
        let mut last: Option<&str> = None;
        let named = |run: &Run| match (&run.function, run.into) {
            (Some(name), 0) => name.clone(),
            (Some(name), into) => format!("{name}+{into:#x}"),
            (None, _) => format!("guest_{:x}", self.pc),
        };
        for (index, run) in self.runs.iter().enumerate() {
            let end = self
                .runs
                .get(index + 1)
                .map_or(self.length, |run| run.offset);
            // What belongs to no instruction is part of what came before.
            let of_no_line = run.function.is_none() && run.line.is_none();
            match all.last_mut() {
                Some(function) if of_no_line || last == run.function.as_deref() => {
                    function.length = self.at + end - function.at;
                    continue;
                }
                _ => {}
            }
            last = run.function.as_deref();
            all.push(Function {
                name: named(run),
                at: self.at + run.offset,
                length: end - run.offset,
            });
        }
        all
    }
}

/// Bytes in DWARF's and ELF's ways.
#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }
    fn uleb(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }
    fn sleb(&mut self, mut value: i64) {
        while !(-0x40..0x40).contains(&value) {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8 & 0x7f);
    }
    fn string(&mut self, value: &[u8]) {
        self.0.extend(value.iter().filter(|&&byte| byte != 0));
        self.u8(0);
    }
    /// A length of 32 bits before what `write` writes.
    fn sized(&mut self, write: impl FnOnce(&mut Out)) {
        let at = self.0.len();
        self.u32(0);
        write(self);
        let length = (self.0.len() - at - 4) as u32;
        self.0[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

const UNIT: u64 = 1;
const UNIT_WITHOUT_LINES: u64 = 2;
const FUNCTION: u64 = 3;

/// Section 7.5.3: the shapes of the entries.
fn abbreviations() -> Vec<u8> {
    let mut out = Out::default();
    let (name, statements, low, high, external) = (0x03, 0x10, 0x11, 0x12, 0x3f);
    let (address, data8, string, offset, present) = (0x01, 0x07, 0x08, 0x17, 0x19);
    let mut shape = |code, tag, has_children, attributes: &[(u64, u64)]| {
        out.uleb(code);
        out.uleb(tag);
        out.u8(u8::from(has_children));
        for &(attribute, form) in attributes.iter().chain([&(0, 0)]) {
            out.uleb(attribute);
            out.uleb(form);
        }
    };
    let plain = [(name, string), (low, address), (high, data8)];
    let with = |more| [plain[0], plain[1], plain[2], more];
    shape(UNIT, 0x11, true, &with((statements, offset)));
    shape(UNIT_WITHOUT_LINES, 0x11, true, &plain);
    shape(FUNCTION, 0x2e, false, &with((external, present)));
    out.u8(0);
    out.0
}

/// Section 7.5.1: a unit with its functions.
fn unit(piece: &Piece, lines: Option<u32>, info: &mut Out) {
    let entry = |out: &mut Out, code, name: &[u8], at, length| {
        out.uleb(code);
        out.string(name);
        out.u64(at);
        out.u64(length);
    };
    let name = piece.runs.iter().find_map(|run| run.line.as_ref());
    let name = name.map_or(&b"guest"[..], |(file, _)| {
        file.as_os_str().as_encoded_bytes()
    });
    info.sized(|out| {
        out.u16(4);
        out.u32(0);
        out.u8(8);
        let code = lines.map_or(UNIT_WITHOUT_LINES, |_| UNIT);
        entry(out, code, name, piece.at, piece.length);
        if let Some(lines) = lines {
            out.u32(lines);
        }
        for function in piece.functions() {
            let (at, length) = (function.at, function.length);
            entry(out, FUNCTION, function.name.as_bytes(), at, length);
        }
        out.u8(0);
    });
}

/// Section 6.2: the piece's table of lines, by standard operations alone.
fn table_of_lines(piece: &Piece, lines: &mut Out) {
    let mut files: Vec<&Arc<Path>> = Vec::new();
    for (file, _) in piece.runs.iter().filter_map(|run| run.line.as_ref()) {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    lines.sized(|out| {
        out.u16(4);
        out.sized(|out| {
            // Instructions are of one byte, one operation each; rows are statements.
            [1, 1, 1, 0, 1, 10]
                .into_iter()
                .for_each(|byte| out.u8(byte));
            // How many operands the standard operations 1 to 9 have.
            [0, 1, 1, 1, 1, 0, 0, 0, 1]
                .into_iter()
                .for_each(|byte| out.u8(byte));
            out.u8(0);
            for file in &files {
                out.string(file.as_os_str().as_encoded_bytes());
                (0..3).for_each(|_| out.u8(0));
            }
            out.u8(0);
        });
        out.u8(0);
        out.uleb(9);
        out.u8(2); // DW_LNE_set_address
        out.u64(piece.at);
        let (mut at, mut line) = (0, 1);
        let advance = |out: &mut Out, by: u64| {
            out.u8(2); // DW_LNS_advance_pc
            out.uleb(by);
        };
        for run in &piece.runs {
            advance(out, run.offset - at);
            at = run.offset;
            let (file, to) = match &run.line {
                Some((file, line)) => (files.iter().position(|known| *known == file), *line),
                None => (None, 0),
            };
            if let Some(file) = file {
                out.u8(4); // DW_LNS_set_file
                out.uleb(file as u64 + 1);
            }
            out.u8(3); // DW_LNS_advance_line
            out.sleb(i64::from(to) - line);
            line = i64::from(to);
            out.u8(1); // DW_LNS_copy
        }
        advance(out, piece.length - at);
        [0, 1, 1].into_iter().for_each(|byte| out.u8(byte)); // DW_LNE_end_sequence
    });
}

/// Section 6.4: wherever in the code a thread is, its caller is the engine's,
/// which entered it.
fn frames(pieces: &[Piece]) -> Vec<u8> {
    let mut out = Out::default();
    let expression = |out: &mut Out, bytes: &Out| {
        out.uleb(bytes.0.len() as u64);
        out.0.extend(&bytes.0);
    };
    let pushed = 8 * (ENTRY_SAVED.len() as u64 + 1);
    out.sized(|out| {
        out.u32(u32::MAX);
        out.u8(4);
        out.u8(0);
        out.u8(8);
        out.u8(0);
        out.uleb(1);
        out.sleb(-8);
        out.uleb(16);
        let mut caller = Out::default();
        caller.u8(0x70 + 15); // DW_OP_breg15
        caller.sleb(ENTRY_STACK.into());
        caller.u8(0x06); // DW_OP_deref
        caller.u8(0x23); // DW_OP_plus_uconst
        caller.uleb(pushed);
        out.u8(0x0f); // DW_CFA_def_cfa_expression
        expression(out, &caller);
        for (above, register) in [16].into_iter().chain(ENTRY_SAVED).enumerate() {
            out.u8(0x80 | register); // DW_CFA_offset
            out.uleb(above as u64 + 1);
        }
        while !out.0.len().is_multiple_of(8) {
            out.u8(0);
        }
    });
    for piece in pieces {
        out.sized(|out| {
            out.u32(0);
            out.u64(piece.at);
            out.u64(piece.length);
            (0..4).for_each(|_| out.u8(0));
        });
    }
    out.0
}

/// One section of the file.
struct Section {
    name: &'static str,
    kind: u32,
    flags: u64,
    at: u64,
    /// Of one that has no bytes in the file.
    length: u64,
    bytes: Vec<u8>,
    link: u32,
    info: u32,
    entry: u64,
}

impl Section {
    fn new(name: &'static str, kind: u32, bytes: Vec<u8>) -> Section {
        Section {
            name,
            kind,
            flags: 0,
            at: 0,
            length: bytes.len() as u64,
            bytes,
            link: 0,
            info: 0,
            entry: 0,
        }
    }
}

const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const NOBITS: u32 = 8;
const ALLOCATED_CODE: u64 = 2 | 4;
/// The sections that every file has: none, and six of bytes. Code follows.
const STRINGS_SECTION: u32 = 6;
const CODE_SECTIONS: usize = 7;
/// Pieces that lie closer than this are one section.
const NEAR: u64 = 4096;

/// The addresses of code, in sections that have nobody else's code in them.
fn code_sections(pieces: &[Piece]) -> Vec<Range<u64>> {
    let mut all: Vec<_> = pieces
        .iter()
        .map(|piece| piece.at..piece.at + piece.length)
        .collect();
    all.sort_unstable_by_key(|range| range.start);
    all.dedup_by(|next, range| {
        let is_near = next.start - range.end < NEAR;
        if is_near {
            range.end = next.end;
        }
        is_near
    });
    all
}

/// The symbols and their names.
fn symbols(pieces: &[Piece], code: &[Range<u64>]) -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut names) = (Out::default(), Out::default());
    names.u8(0);
    table.0.resize(24, 0);
    for function in pieces.iter().flat_map(Piece::functions) {
        let section = code.partition_point(|range| range.end <= function.at);
        table.u32(names.0.len() as u32);
        names.string(function.name.as_bytes());
        table.u8(2); // STB_LOCAL, STT_FUNC
        table.u8(0);
        table.u16((CODE_SECTIONS + section) as u16);
        table.u64(function.at);
        table.u64(function.length);
    }
    (table.0, names.0)
}

/// The file.
pub fn write(pieces: &[Piece]) -> Vec<u8> {
    let (mut info, mut lines) = (Out::default(), Out::default());
    for piece in pieces {
        let has_lines = piece.runs.iter().any(|run| run.line.is_some());
        let at = has_lines.then_some(lines.0.len() as u32);
        if has_lines {
            table_of_lines(piece, &mut lines);
        }
        unit(piece, at, &mut info);
    }
    let code = code_sections(pieces);
    let (table, names) = symbols(pieces, &code);
    let table = Section {
        link: STRINGS_SECTION,
        info: (table.len() / 24) as u32,
        entry: 24,
        ..Section::new(".symtab", SYMTAB, table)
    };
    let mut sections = vec![
        Section::new("", 0, Vec::new()),
        Section::new(".debug_info", PROGBITS, info.0),
        Section::new(".debug_abbrev", PROGBITS, abbreviations()),
        Section::new(".debug_line", PROGBITS, lines.0),
        Section::new(".debug_frame", PROGBITS, frames(pieces)),
        table,
        Section::new(".strtab", STRTAB, names),
    ];
    sections.extend(code.into_iter().map(|range| Section {
        flags: ALLOCATED_CODE,
        at: range.start,
        length: range.end - range.start,
        ..Section::new(".text", NOBITS, Vec::new())
    }));
    file(sections)
}

/// An executable of these sections, and one with their names.
fn file(mut sections: Vec<Section>) -> Vec<u8> {
    let mut names = Out::default();
    let mut places = Vec::new();
    for name in sections
        .iter()
        .map(|section| section.name)
        .chain([".shstrtab"])
    {
        places.push(names.0.len() as u32);
        names.string(name.as_bytes());
    }
    sections.push(Section::new(".shstrtab", STRTAB, names.0));
    let count = sections.len() as u16;

    let mut out = Out::default();
    out.0.extend(b"\x7fELF\x02\x01\x01");
    out.0.resize(16, 0);
    out.u16(2); // ET_EXEC: addresses are where things are.
    out.u16(62); // EM_X86_64
    out.u32(1);
    out.u64(0);
    out.u64(0);
    out.u64(64);
    out.u32(0);
    [64, 0, 0, 64, count, count - 1]
        .into_iter()
        .for_each(|half| out.u16(half));
    let mut offset = 64 + 64 * u64::from(count);
    for (section, name) in sections.iter().zip(places) {
        out.u32(name);
        out.u32(section.kind);
        out.u64(section.flags);
        out.u64(section.at);
        out.u64(offset);
        out.u64(section.length);
        out.u32(section.link);
        out.u32(section.info);
        out.u64(if section.kind == 0 { 0 } else { 1 });
        out.u64(section.entry);
        offset += section.bytes.len() as u64;
    }
    for section in &sections {
        out.0.extend(&section.bytes);
    }
    out.0
}
