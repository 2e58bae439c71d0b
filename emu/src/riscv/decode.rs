//! Finds the row of the [listing](super::table) that an encoding matches, and
//! takes its fields apart.
//!
//! The rows are parsed into masks and bit gathers when this is compiled. A
//! look-up tries those that the opcode and the three bits that the manual calls
//! funct3 leave possible, which are found when such an encoding is met first: a
//! program that starts has few kinds of instructions, and no time.

use std::sync::OnceLock;

use super::table::{COMPRESSED, FULL, Implied, Op, Row};

/// One decoded instruction. Fields that its encoding has not got are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// Which instruction; the full form of a compressed one.
    pub op: Op,
    /// Bytes it takes: 2 or 4.
    pub length: u8,
    /// Destination register.
    pub rd: u8,
    /// First source register, or the 5-bit immediate of a CSR instruction.
    pub rs1: u8,
    /// Second source register.
    pub rs2: u8,
    /// Third source register.
    pub rs3: u8,
    /// Rounding mode, 7 for the dynamic one.
    pub rm: u8,
    /// Floating-point format: 0 single, 1 double.
    pub fmt: u8,
    /// The immediate, sign-extended, or the number of a CSR.
    pub imm: i64,
}

/// Every row of the listing: what it is, its pattern, and its length in bits.
pub fn listing() -> impl Iterator<Item = (Op, &'static str, u8)> {
    let full = FULL.iter().map(|row| (row.op, row.pattern, 32));
    full.chain(COMPRESSED.iter().map(|row| (row.op, row.pattern, 16)))
}

/// The length in bytes of the instruction whose first 16 bits these are.
/// Encodings longer than 4 bytes are not in this guest and count as 4.
pub fn length(low: u16) -> u8 {
    if low & 3 == 3 { 4 } else { 2 }
}

/// Decodes one instruction; of a 2-byte one only the low 16 bits are looked at.
/// `None` when no row of the listing matches.
pub fn decode(word: u32) -> Option<Insn> {
    let length = length(word as u16);
    let (word, bucket) = if length == 2 {
        let word = word & 0xffff;
        (word, compressed_bucket(word))
    } else {
        (word, full_bucket(word))
    };
    let candidates = BUCKETS[bucket].get_or_init(|| candidates(bucket));
    candidates
        .iter()
        .find_map(|&i| PARSED[usize::from(i)].matches(word, length))
}

/// Buckets of 32-bit encodings, and of all.
const FULL_BUCKETS: usize = 256;
const ALL_BUCKETS: usize = FULL_BUCKETS + 32;

/// The rows that may match the encodings of each bucket.
static BUCKETS: [OnceLock<Box<[u16]>>; ALL_BUCKETS] = [const { OnceLock::new() }; ALL_BUCKETS];

fn candidates(bucket: usize) -> Box<[u16]> {
    let is_full = bucket < FULL_BUCKETS;
    let (key, mask) = if is_full {
        let b = bucket as u32;
        ((b >> 3) << 2 | (b & 7) << 12 | 3, 0x707f)
    } else {
        let b = (bucket - FULL_BUCKETS) as u32;
        (b >> 3 | (b & 7) << 13, 0xe003)
    };
    let rows = if is_full {
        0..FULL.len()
    } else {
        FULL.len()..PARSED.len()
    };
    let may_match = |&i: &usize| (key ^ PARSED[i].value) & PARSED[i].mask & mask == 0;
    rows.filter(may_match).map(|i| i as u16).collect()
}

fn full_bucket(word: u32) -> usize {
    ((word >> 2 & 31) << 3 | word >> 12 & 7) as usize
}

fn compressed_bucket(word: u32) -> usize {
    FULL_BUCKETS + ((word & 3) << 3 | word >> 13 & 7) as usize
}

/// A run of bits: `word >> from & mask` goes to bit `to` of the immediate.
#[derive(Clone, Copy)]
struct Gather {
    from: u8,
    to: u8,
    mask: u32,
}

/// A register field.
#[derive(Clone, Copy)]
struct Field {
    which: Which,
    from: u8,
    prime: bool,
    non_zero: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Rd,
    Rs1,
    Rs2,
    Rs3,
    Both,
    Rm,
    Fmt,
    Csr,
}

/// No row has more register fields, or more runs of bits in its immediate.
const FIELDS: usize = 6;
const GATHERS: usize = 8;

/// A row, parsed.
#[derive(Clone, Copy)]
struct Parsed {
    op: Op,
    mask: u32,
    value: u32,
    implied: Implied,
    fields: [Option<Field>; FIELDS],
    gathers: [Gather; GATHERS],
    /// The bit that the immediate is sign-extended from.
    sign: Option<u8>,
    non_zero: bool,
}

/// The rows of both listings, the 32-bit encodings first.
// A moment, once, which every start of a guest would pay a part of.
#[allow(long_running_const_eval)]
static PARSED: [Parsed; FULL.len() + COMPRESSED.len()] = {
    let mut rows = [Parsed::new(&FULL[0], 32); FULL.len() + COMPRESSED.len()];
    let mut i = 1;
    while i < rows.len() {
        rows[i] = if i < FULL.len() {
            Parsed::new(&FULL[i], 32)
        } else {
            Parsed::new(&COMPRESSED[i - FULL.len()], 16)
        };
        i += 1;
    }
    rows
};

/// The piece of a text from `at` to the next of this byte or its end.
const fn piece(text: &[u8], at: usize, until: u8) -> &[u8] {
    let mut end = at;
    while end < text.len() && text[end] != until {
        end += 1;
    }
    text.split_at(end).0.split_at(at).1
}

const fn contains(text: &[u8], byte: u8) -> bool {
    piece(text, 0, byte).len() < text.len()
}

impl Parsed {
    /// Parses a row of an encoding of `bits` bits. Panics when the listing is
    /// wrong: it is not compiled then.
    const fn new(row: &Row, bits: u8) -> Parsed {
        let mut parsed = Parsed {
            op: row.op,
            mask: 0,
            value: 0,
            implied: row.implied,
            fields: [None; FIELDS],
            gathers: [Gather {
                from: 0,
                to: 0,
                mask: 0,
            }; GATHERS],
            sign: None,
            non_zero: false,
        };
        let text = row.pattern.as_bytes();
        let (mut left, mut at) = (bits, 0);
        while at < text.len() {
            let token = piece(text, at, b' ');
            at += token.len() + 1;
            if !token.is_empty() {
                left -= parsed.token(token, left);
            }
        }
        assert!(left == 0, "a row has as many bits as its encoding");
        parsed
    }

    /// Takes in the token whose highest bit is below `left`; gives its width.
    const fn token(&mut self, token: &[u8], left: u8) -> u8 {
        let (name, non_zero) = match token {
            [name @ .., b'!', b'0'] => (name, true),
            name => (name, false),
        };
        let (name, prime) = match name {
            [name @ .., b'\''] => (name, true),
            name => (name, false),
        };
        let which = match name {
            b"rd" => Which::Rd,
            b"rs1" => Which::Rs1,
            b"rs2" => Which::Rs2,
            b"rs3" => Which::Rs3,
            b"rsd" => Which::Both,
            b"rm" => Which::Rm,
            b"fmt" => Which::Fmt,
            b"csr" => Which::Csr,
            _ if contains(token, b'[') => return self.immediate(token, left),
            _ => return self.fixed(token, left),
        };
        let width = match which {
            Which::Csr => 12,
            Which::Fmt => 2,
            Which::Rm => 3,
            _ if prime => 3,
            _ => 5,
        };
        let mut unused = 0;
        while self.fields[unused].is_some() {
            unused += 1;
        }
        self.fields[unused] = Some(Field {
            which,
            from: left - width,
            prime,
            non_zero,
        });
        width
    }

    const fn fixed(&mut self, token: &[u8], left: u8) -> u8 {
        let mut i = 0;
        while i < token.len() {
            let bit = 1u32 << (left as usize - 1 - i);
            match token[i] {
                b'0' => self.mask |= bit,
                b'1' => {
                    self.mask |= bit;
                    self.value |= bit;
                }
                b'-' => {}
                _ => panic!("neither a bit nor a field"),
            }
            i += 1;
        }
        token.len() as u8
    }

    /// `simm[…]` or `uimm[…]`, with or without `nz` before it.
    const fn immediate(&mut self, token: &[u8], left: u8) -> u8 {
        let kind = piece(token, 0, b'[');
        let (kind, non_zero) = match kind {
            [b'n', b'z', kind @ ..] => (kind, true),
            kind => (kind, false),
        };
        self.non_zero |= non_zero;
        let pieces = token.split_at(piece(token, 0, b'[').len() + 1).1;
        let pieces = piece(pieces, 0, b']');
        let (mut width, mut at, mut unused) = (0, 0, 0);
        while self.gathers[unused].mask != 0 {
            unused += 1;
        }
        while at < pieces.len() {
            let run = piece(pieces, at, b'|');
            at += run.len() + 1;
            let first = piece(run, 0, b':');
            let high = number(first);
            let low = if first.len() < run.len() {
                number(run.split_at(first.len() + 1).1)
            } else {
                high
            };
            let length = high - low + 1;
            width += length;
            self.gathers[unused] = Gather {
                from: left - width,
                to: low,
                mask: ((1u64 << length) - 1) as u32,
            };
            unused += 1;
            self.sign = match (kind[0], self.sign) {
                (b's', Some(sign)) if sign > high => Some(sign),
                (b's', _) => Some(high),
                (_, sign) => sign,
            };
        }
        width
    }

    fn matches(&self, word: u32, length: u8) -> Option<Insn> {
        if word & self.mask != self.value {
            return None;
        }
        let mut insn = Insn {
            op: self.op,
            length,
            rd: self.implied.rd,
            rs1: self.implied.rs1,
            rs2: 0,
            rs3: 0,
            rm: 0,
            fmt: 0,
            imm: 0,
        };
        for field in self.fields.iter().map_while(|field| *field) {
            field.take(word, &mut insn)?;
        }
        for g in self.gathers.iter().take_while(|g| g.mask != 0) {
            insn.imm |= i64::from(word >> g.from & g.mask) << g.to;
        }
        if let Some(sign) = self.sign {
            let shift = 63 - u32::from(sign);
            insn.imm = insn.imm << shift >> shift;
        }
        if self.non_zero && insn.imm == 0 {
            None
        } else {
            Some(insn)
        }
    }
}

/// A bit number, in decimal.
const fn number(text: &[u8]) -> u8 {
    let (mut number, mut i) = (0, 0);
    while i < text.len() {
        assert!(text[i].is_ascii_digit(), "bits are numbered in decimal");
        number = number * 10 + (text[i] - b'0');
        i += 1;
    }
    number
}

impl Field {
    /// Puts the field into the instruction; `None` when its value is excluded.
    fn take(&self, word: u32, insn: &mut Insn) -> Option<()> {
        let bits = word >> self.from;
        let register = if self.prime {
            8 + (bits & 7) as u8
        } else {
            (bits & 31) as u8
        };
        if self.non_zero && register == 0 {
            return None;
        }
        match self.which {
            Which::Rd => insn.rd = register,
            Which::Rs1 => insn.rs1 = register,
            Which::Rs2 => insn.rs2 = register,
            Which::Rs3 => insn.rs3 = register,
            Which::Both => {
                insn.rd = register;
                insn.rs1 = register;
            }
            Which::Rm => {
                insn.rm = (bits & 7) as u8;
                if insn.rm == 5 || insn.rm == 6 {
                    return None;
                }
            }
            Which::Fmt => {
                insn.fmt = (bits & 3) as u8;
                if insn.fmt > 1 {
                    return None;
                }
            }
            Which::Csr => insn.imm = i64::from(bits & 0xfff),
        }
        Some(())
    }
}
