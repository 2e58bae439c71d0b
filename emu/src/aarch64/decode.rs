//! Finds the row of the [table](super::table) that a word matches.
//!
//! The rows are parsed once, at first use, into masks, and sorted into buckets
//! by bits 31 to 21, so that a look-up tries a handful of rows.

use std::sync::LazyLock;

use super::table::{Op, ROWS, field_length};

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
    let rows = &*ROWS_BY_BITS;
    let candidates = &rows.buckets[(word >> BUCKET_SHIFT) as usize];
    let row = candidates
        .iter()
        .map(|&i| &rows.rows[usize::from(i)])
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
    ROWS.iter().map(|&(op, pattern)| {
        let row = Row::new(op, pattern);
        (op, row.mask, row.value, row.fields)
    })
}

const BUCKET_SHIFT: u32 = 21;
const BUCKETS: u32 = 1 << (32 - BUCKET_SHIFT);

/// A row, parsed.
struct Row {
    op: Op,
    mask: u32,
    value: u32,
    fields: Fields,
    /// (mask, value) of encodings that are not this row's.
    excluded: Vec<(u32, u32)>,
}

struct Rows {
    rows: Vec<Row>,
    buckets: Vec<Vec<u16>>,
}

static ROWS_BY_BITS: LazyLock<Rows> = LazyLock::new(|| {
    let rows: Vec<Row> = ROWS
        .iter()
        .map(|&(op, pattern)| Row::new(op, pattern))
        .collect();
    let fixed = !0 << BUCKET_SHIFT;
    let bucket = |bucket: u32| {
        let bits = bucket << BUCKET_SHIFT;
        let may_match = |row: &Row| (bits ^ row.value) & row.mask & fixed == 0;
        (0u16..)
            .zip(&rows)
            .filter(|(_, row)| may_match(row))
            .map(|(i, _)| i)
            .collect()
    };
    let buckets = (0..BUCKETS).map(bucket).collect();
    Rows { rows, buckets }
});

impl Row {
    fn new(op: Op, pattern: &'static str) -> Row {
        let mut row = Row {
            op,
            mask: 0,
            value: 0,
            fields: Vec::new(),
            excluded: Vec::new(),
        };
        let mut at = 32;
        for token in pattern.split_whitespace() {
            if let Some(exclusion) = token.strip_prefix('!') {
                let excluded = row.exclusion(exclusion);
                row.excluded.push(excluded);
            } else if let Some(length) = field_length(token) {
                at -= length;
                row.fields.push((token, at, length));
            } else {
                for bit in token.chars() {
                    at -= 1;
                    let (mask, value) = fixed_bit(bit);
                    row.mask |= mask << at;
                    row.value |= value << at;
                }
            }
        }
        assert_eq!(at, 0, "{op:?} has 32 bits: {pattern}");
        row
    }

    /// `a:b=10-` as a mask and a value of the whole word.
    fn exclusion(&self, text: &str) -> (u32, u32) {
        let (names, pattern) = text.split_once('=').expect("an exclusion has a pattern");
        let places = names.split(':').flat_map(|name| {
            let find = |field: &&(&str, u32, u32)| field.0 == name;
            let &(_, low, length) = self.fields.iter().find(find).expect("a field of this row");
            (low..low + length).rev()
        });
        let bits: Vec<u32> = places.collect();
        assert_eq!(bits.len(), pattern.len(), "{:?}: {text}", self.op);
        bits.iter()
            .zip(pattern.chars())
            .fold((0, 0), |(masks, values), (&at, bit)| {
                let (mask, value) = fixed_bit(bit);
                (masks | mask << at, values | value << at)
            })
    }

    fn matches(&self, word: u32) -> bool {
        word & self.mask == self.value
            && !self
                .excluded
                .iter()
                .any(|&(mask, value)| word & mask == value)
    }
}

/// Mask and value of one character of a pattern.
fn fixed_bit(c: char) -> (u32, u32) {
    match c {
        '0' => (1, 0),
        '1' => (1, 1),
        '-' => (0, 0),
        _ => panic!("{c:?} is neither a bit nor a field"),
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
        let rows = &ROWS_BY_BITS.rows;
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
