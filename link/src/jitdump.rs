//! perf's jitdump: functions of an image, with their bytes and lines, as
//! `perf inject --jit` takes them in.
//!
//! The format is that of `tools/perf/Documentation/jitdump-specification.txt` in
//! the kernel's source, version 1: a header, then a record for each function, and
//! before it one of its lines where those are known. A record holds from its
//! time on, so a function that is written over another later is told apart.
//! Times are nanoseconds of `CLOCK_MONOTONIC`, for `perf record -k mono`.
//!
//! This file makes bytes. Where they are kept, what the time is, how code is read
//! and who knows lines is its caller's business.

use std::ops::Range;

use rustc_hash::FxHashSet;

use crate::addr::HostAddr;
use crate::ids::Generation;
use crate::view::View;

const MAGIC: u32 = 0x4a69_5444;
const VERSION: u32 = 1;
const HEADER_LEN: u32 = 40;
/// `EM_X86_64`.
const MACHINE: u32 = 62;
const CODE_LOAD: u32 = 0;
const DEBUG_INFO: u32 = 2;
/// Bytes of a record's kind, length and time.
const PREFIX_LEN: usize = 16;

/// The source line from which code comes, up to the next one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Where its code begins.
    pub at: HostAddr,
    /// The source file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// Who knows more of an image than its session.
pub trait Source {
    /// Reads code. False when there is nothing to read.
    fn read(&mut self, at: HostAddr, into: &mut [u8]) -> bool;
    /// The lines of a function, by address; none where they are not known.
    fn lines(&mut self, code: Range<HostAddr>) -> Vec<Line>;
}

/// A jitdump in the making.
pub struct Dump {
    process: u32,
    /// The number of the next function.
    index: u64,
    bytes: Vec<u8>,
}

impl Dump {
    /// A dump of a process's image, as yet without functions.
    pub fn new(process: u32, now_ns: u64) -> Dump {
        let mut bytes = Vec::new();
        for word in [MAGIC, VERSION, HEADER_LEN, MACHINE, 0, process] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(now_ns.to_le_bytes());
        // Flags: none.
        bytes.extend(0u64.to_le_bytes());
        Dump {
            process,
            index: 0,
            bytes,
        }
    }

    /// Adds the functions that came after a generation.
    pub fn add(&mut self, view: &View, seen: Generation, now_ns: u64, source: &mut dyn Source) {
        let mut known = FxHashSet::default();
        for (symbol, size) in view.functions(seen) {
            // One of the names of each.
            if size == 0 || !known.insert((symbol.address, size)) {
                continue;
            }
            let mut code = vec![0; size as usize];
            if source.read(symbol.address, &mut code) {
                let lines = source.lines(symbol.address.range(size));
                self.add_lines(now_ns, symbol.address, &lines);
                self.add_code(now_ns, symbol.name, symbol.address, &code);
            }
        }
    }

    /// The bytes that were added since they were taken last; the header comes with
    /// the first.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    fn add_lines(&mut self, now_ns: u64, at: HostAddr, lines: &[Line]) {
        if lines.is_empty() {
            return;
        }
        let mut entries = Vec::new();
        for line in lines {
            entries.extend(line.at.get().to_le_bytes());
            entries.extend(line.line.to_le_bytes());
            // Discriminator: none.
            entries.extend(0u32.to_le_bytes());
            push_text(&mut entries, &line.file);
        }
        let numbers = [at.get(), lines.len() as u64];
        self.record(DEBUG_INFO, now_ns, &[], &numbers, &entries);
    }

    fn add_code(&mut self, now_ns: u64, name: &str, at: HostAddr, code: &[u8]) {
        let mut rest = Vec::with_capacity(name.len() + 1 + code.len());
        push_text(&mut rest, name);
        rest.extend(code);
        let numbers = [at.get(), at.get(), code.len() as u64, self.index];
        // The process, and the thread that made it.
        let who = [self.process, self.process];
        self.record(CODE_LOAD, now_ns, &who, &numbers, &rest);
        self.index += 1;
    }

    fn record(&mut self, kind: u32, now_ns: u64, words: &[u32], numbers: &[u64], rest: &[u8]) {
        let len = PREFIX_LEN + words.len() * 4 + numbers.len() * 8 + rest.len();
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend((len as u32).to_le_bytes());
        self.bytes.extend(now_ns.to_le_bytes());
        for word in words {
            self.bytes.extend(word.to_le_bytes());
        }
        for number in numbers {
            self.bytes.extend(number.to_le_bytes());
        }
        self.bytes.extend(rest);
    }
}

/// A text and the zero that ends it.
fn push_text(into: &mut Vec<u8>, text: &str) {
    into.extend(text.bytes().filter(|byte| *byte != 0));
    into.push(0);
}
