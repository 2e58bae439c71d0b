//! Finds the row of the [listing](super::table) that an encoding matches, and
//! takes its fields apart.
//!
//! The rows are parsed once, at first use, into masks and bit gathers, and
//! sorted into buckets by opcode and the three bits that the manual calls
//! funct3, so that a look-up tries a handful of rows.

use std::sync::LazyLock;

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
    let rows = &ROWS.rows;
    let candidates = &ROWS.buckets[bucket];
    candidates
        .iter()
        .find_map(|&i| rows[usize::from(i)].matches(word, length))
}

fn full_bucket(word: u32) -> usize {
    ((word >> 2 & 31) << 3 | word >> 12 & 7) as usize
}

fn compressed_bucket(word: u32) -> usize {
    256 + ((word & 3) << 3 | word >> 13 & 7) as usize
}

/// A run of bits: `word >> from & mask` goes to bit `to` of the immediate.
#[derive(Clone, Copy, Default)]
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

/// A row, parsed.
struct Parsed {
    op: Op,
    mask: u32,
    value: u32,
    implied: Implied,
    fields: Vec<Field>,
    gathers: Vec<Gather>,
    /// The bit that the immediate is sign-extended from.
    sign: Option<u8>,
    non_zero: bool,
}

struct Rows {
    rows: Vec<Parsed>,
    buckets: Vec<Vec<u16>>,
}

static ROWS: LazyLock<Rows> = LazyLock::new(|| {
    let mut rows: Vec<Parsed> = Vec::new();
    let mut buckets = vec![Vec::new(); 256 + 32];
    for (row, bits) in FULL
        .iter()
        .map(|r| (r, 32))
        .chain(COMPRESSED.iter().map(|r| (r, 16)))
    {
        let parsed = Parsed::new(row, bits);
        let index = u16::try_from(rows.len()).expect("fewer than 65,536 rows");
        for (b, bucket) in buckets.iter_mut().enumerate() {
            let (key, mask) = if b < 256 {
                let b = b as u32;
                ((b >> 3) << 2 | (b & 7) << 12 | 3, 0x707f)
            } else {
                let b = b as u32 - 256;
                (b >> 3 | (b & 7) << 13, 0xe003)
            };
            let same_length = (b < 256) == (bits == 32);
            if same_length && (key ^ parsed.value) & parsed.mask & mask == 0 {
                bucket.push(index);
            }
        }
        rows.push(parsed);
    }
    Rows { rows, buckets }
});

impl Parsed {
    /// Parses a row of an encoding of `bits` bits. Panics when the listing is
    /// wrong, which the tests would show.
    fn new(row: &Row, bits: u8) -> Parsed {
        let mut parsed = Parsed {
            op: row.op,
            mask: 0,
            value: 0,
            implied: row.implied,
            fields: Vec::new(),
            gathers: Vec::new(),
            sign: None,
            non_zero: false,
        };
        let mut left = bits;
        for token in row.pattern.split_whitespace() {
            left -= parsed.token(token, left);
        }
        assert_eq!(left, 0, "the row of {:?} has not {bits} bits", row.op);
        parsed
    }

    /// Takes in the token whose highest bit is below `left`; gives its width.
    fn token(&mut self, token: &str, left: u8) -> u8 {
        let (name, non_zero) = match token.strip_suffix("!0") {
            Some(name) => (name, true),
            None => (token, false),
        };
        let (name, prime) = match name.strip_suffix('\'') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let which = match name {
            "rd" => Which::Rd,
            "rs1" => Which::Rs1,
            "rs2" => Which::Rs2,
            "rs3" => Which::Rs3,
            "rsd" => Which::Both,
            "rm" => Which::Rm,
            "fmt" => Which::Fmt,
            "csr" => Which::Csr,
            _ if token.contains("imm[") => return self.immediate(token, left),
            _ => return self.fixed(token, left),
        };
        let width = match which {
            Which::Csr => 12,
            Which::Fmt => 2,
            Which::Rm => 3,
            _ if prime => 3,
            _ => 5,
        };
        self.fields.push(Field {
            which,
            from: left - width,
            prime,
            non_zero,
        });
        width
    }

    fn fixed(&mut self, token: &str, left: u8) -> u8 {
        for (i, digit) in token.bytes().enumerate() {
            let bit = 1u32 << (left as usize - 1 - i);
            match digit {
                b'0' => self.mask |= bit,
                b'1' => {
                    self.mask |= bit;
                    self.value |= bit;
                }
                b'-' => {}
                _ => panic!("{token} is no token of the listing"),
            }
        }
        token.len() as u8
    }

    fn immediate(&mut self, token: &str, left: u8) -> u8 {
        let (kind, pieces) = token.split_once('[').expect("an immediate has pieces");
        let (kind, non_zero) = match kind.strip_prefix("nz") {
            Some(kind) => (kind, true),
            None => (kind, false),
        };
        self.non_zero |= non_zero;
        let mut width = 0;
        for piece in pieces.trim_end_matches(']').split('|') {
            let (high, low) = piece.split_once(':').unwrap_or((piece, piece));
            let high: u8 = high.parse().expect("a bit number");
            let low: u8 = low.parse().expect("a bit number");
            let run = high - low + 1;
            width += run;
            self.gathers.push(Gather {
                from: left - width,
                to: low,
                mask: ((1u64 << run) - 1) as u32,
            });
            if kind == "simm" {
                self.sign = self.sign.max(Some(high));
            }
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
        for field in &self.fields {
            field.take(word, &mut insn)?;
        }
        for g in &self.gathers {
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
