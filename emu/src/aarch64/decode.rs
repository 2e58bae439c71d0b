//! Finds the row of the [table](super::table) that a word matches.
//!
//! The rows are parsed into masks when this is compiled. A look-up tries those
//! that bits 31 to 21 leave possible, which are found when such a word is met
//! first: a program that starts has few kinds of instructions, and no time.

use std::sync::OnceLock;

use super::table::{Op, ROWS, field_length, same};

/// One decoded instruction. Its fields lie where the manual has them; asking for
/// one that its encoding has not got gives whatever bits are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// Which instruction.
    pub op: Op,
    /// The word it was decoded from.
    pub word: u32,
}

/// Decodes one word. `None` when no row matches: the encoding is undefined.
pub fn decode(word: u32) -> Option<Insn> {
    let bucket = word >> BUCKET_SHIFT;
    let candidates = BUCKETS[bucket as usize].get_or_init(|| candidates(bucket));
    let row = candidates
        .iter()
        .map(|&i| &PARSED[usize::from(i)])
        .find(|row| row.matches(word))?;
    Some(Insn { op: row.op, word })
}

impl Insn {
    /// `length` bits from bit `low` on.
    pub const fn bits(self, low: u32, length: u32) -> u32 {
        self.word >> low & ((1 << length) - 1)
    }

    /// One bit.
    pub const fn bit(self, at: u32) -> bool {
        self.word >> at & 1 != 0
    }

    /// A field, sign-extended.
    pub const fn signed(self, low: u32, length: u32) -> i64 {
        ((self.word << (32 - low - length)) as i32 >> (32 - length)) as i64
    }

    /// Register field in bits 4 to 0: Rd or Rt.
    pub const fn rd(self) -> u8 {
        self.bits(0, 5) as u8
    }

    /// Register field in bits 9 to 5.
    pub const fn rn(self) -> u8 {
        self.bits(5, 5) as u8
    }

    /// Register field in bits 20 to 16: Rm or Rs.
    pub const fn rm(self) -> u8 {
        self.bits(16, 5) as u8
    }

    /// Register field in bits 14 to 10: Ra or Rt2.
    pub const fn ra(self) -> u8 {
        self.bits(10, 5) as u8
    }

    /// Bit 31: 64-bit integer operation.
    pub const fn sf(self) -> bool {
        self.bit(31)
    }

    /// Bit 30: 128-bit vector operation.
    pub const fn q(self) -> bool {
        self.bit(30)
    }

    /// Bit 29: unsigned.
    pub const fn u(self) -> bool {
        self.bit(29)
    }

    /// Of an Advanced SIMD row: the scalar form.
    pub const fn scalar(self) -> bool {
        self.bit(28)
    }
}

/// The fields of an encoding, as (name, lowest bit, length), high to low.
pub type Fields = Vec<(&'static str, u32, u32)>;

/// Every row of the table: the instruction, its fixed bits as (mask, value),
/// and its fields. For tests that make instructions up.
pub fn encodings() -> impl Iterator<Item = (Op, u32, u32, Fields)> {
    ROWS.iter().zip(&PARSED).map(|(&(op, pattern), row)| {
        let mut at = 32;
        let mut fields = Fields::new();
        let tokens = pattern.split_whitespace().filter(|t| !t.starts_with('!'));
        for token in tokens {
            match field_length(token.as_bytes()) {
                Some(length) => {
                    at -= length;
                    fields.push((token, at, length));
                }
                None => at -= token.len() as u32,
            }
        }
        (op, row.mask, row.value, fields)
    })
}

const BUCKET_SHIFT: u32 = 21;

/// For each value of the highest bits, the rows that may match.
static BUCKETS: [OnceLock<Box<[u16]>>; 1 << (32 - BUCKET_SHIFT)] =
    [const { OnceLock::new() }; 1 << (32 - BUCKET_SHIFT)];

fn candidates(bucket: u32) -> Box<[u16]> {
    let bits = bucket << BUCKET_SHIFT;
    let fixed = !0 << BUCKET_SHIFT;
    let may_match = |row: &Row| (bits ^ row.value) & row.mask & fixed == 0;
    let rows = (0u16..).zip(&PARSED).filter(|(_, row)| may_match(row));
    rows.map(|(i, _)| i).collect()
}

/// No row has more exclusions.
const EXCLUSIONS: usize = 12;

/// A row, parsed.
#[derive(Clone, Copy)]
struct Row {
    op: Op,
    mask: u32,
    value: u32,
    /// (mask, value) of encodings that are not this row's; unused ones match
    /// nothing.
    excluded: [(u32, u32); EXCLUSIONS],
}

/// (mask, value) that no word matches.
const NOTHING: (u32, u32) = (0, 1);

// A second or so, once, which every start of a guest would pay a part of.
#[allow(long_running_const_eval)]
static PARSED: [Row; ROWS.len()] = {
    let mut rows = [Row::new(ROWS[0].0, ROWS[0].1); ROWS.len()];
    let mut i = 1;
    while i < rows.len() {
        rows[i] = Row::new(ROWS[i].0, ROWS[i].1);
        i += 1;
    }
    rows
};

/// The piece of a text from `at` to the next of these bytes or its end.
const fn piece(text: &[u8], at: usize, until: u8, or: u8) -> &[u8] {
    let mut end = at;
    while end < text.len() && text[end] != until && text[end] != or {
        end += 1;
    }
    text.split_at(end).0.split_at(at).1
}

impl Row {
    const fn new(op: Op, pattern: &str) -> Row {
        let text = pattern.as_bytes();
        let (mut mask, mut value) = (0, 0);
        let mut excluded = [NOTHING; EXCLUSIONS];
        let mut exclusions = 0;
        let (mut left, mut at) = (32, 0);
        while at < text.len() {
            let token = piece(text, at, b' ', b' ');
            at += token.len() + 1;
            if let [b'!', exclusion @ ..] = token {
                excluded[exclusions] = self::exclusion(text, exclusion);
                exclusions += 1;
            } else if let Some(length) = field_length(token) {
                left -= length;
            } else {
                let mut i = 0;
                while i < token.len() {
                    left -= 1;
                    let (one, bit) = fixed_bit(token[i]);
                    mask |= one << left;
                    value |= bit << left;
                    i += 1;
                }
            }
        }
        assert!(left == 0, "every row has 32 bits");
        Row {
            op,
            mask,
            value,
            excluded,
        }
    }

    fn matches(&self, word: u32) -> bool {
        word & self.mask == self.value
            && !self
                .excluded
                .iter()
                .any(|&(mask, value)| word & mask == value)
    }
}

/// `a:b=10-` of a row as a mask and a value of the whole word.
const fn exclusion(row: &[u8], text: &[u8]) -> (u32, u32) {
    let names = piece(text, 0, b'=', b'=');
    let (mut mask, mut value) = (0, 0);
    let (mut name_at, mut bit_at) = (0, names.len() + 1);
    while name_at < names.len() {
        let name = piece(names, name_at, b':', b':');
        name_at += name.len() + 1;
        let (low, length) = place(row, name);
        let mut i = length;
        while i > 0 {
            i -= 1;
            let (one, bit) = fixed_bit(text[bit_at]);
            mask |= one << (low + i);
            value |= bit << (low + i);
            bit_at += 1;
        }
    }
    assert!(
        bit_at == text.len(),
        "an exclusion has a bit for each of its fields"
    );
    (mask, value)
}

/// The lowest bit of a field of a row, and how many it has.
const fn place(row: &[u8], name: &[u8]) -> (u32, u32) {
    let (mut left, mut at) = (32, 0);
    while at < row.len() {
        let token = piece(row, at, b' ', b' ');
        at += token.len() + 1;
        let length = match field_length(token) {
            Some(length) => length,
            None => token.len() as u32,
        };
        left -= length;
        if same(token, name) {
            return (left, length);
        }
    }
    panic!("an exclusion names a field of its row")
}

/// Mask and value of one character of a pattern.
const fn fixed_bit(c: u8) -> (u32, u32) {
    match c {
        b'0' => (1, 0),
        b'1' => (1, 1),
        b'-' => (0, 0),
        _ => panic!("neither a bit nor a field"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No word is claimed by two rows: the order of rows has no meaning.
    #[test]
    fn rows_do_not_overlap() {
        let mut seed = 1u64;
        let mut random = || {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 32) as u32
        };
        let rows = &PARSED;
        for row in rows {
            for _ in 0..200 {
                let word = row.value | random() & !row.mask;
                if row.matches(word) {
                    let all: Vec<Op> = rows
                        .iter()
                        .filter(|r| r.matches(word))
                        .map(|r| r.op)
                        .collect();
                    assert_eq!(all, [row.op], "{word:#010x}");
                }
            }
        }
    }
}
