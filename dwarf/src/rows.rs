//! Rows of numbers: what the indexes are made of, so that one that was built
//! and one that lies in a file kept from an earlier run are looked at alike.
//!
//! A [`HashedRows`] is a table of three numbers a row, the first of them a hash.
//! It is not sorted but divided by the highest bits of the hash, which costs two
//! passes, into parts of some sixteen rows, which are looked through.
//!
//! [`pack`] and [`unpack`] are the kept form: little-endian words, with a
//! header that says of what file they are and a checksum. One that is damaged,
//! of another file or of another version is as good as none. What the rows say
//! is believed by nobody: whoever follows a number checks that it leads
//! somewhere.

use std::ops::Range;

use crate::Bytes;

/// A table of `N` numbers a row.
#[derive(Clone)]
pub(crate) enum Rows<const N: usize> {
    Built(Vec<[u32; N]>),
    Kept(Bytes, Range<usize>),
}

impl<const N: usize> Default for Rows<N> {
    fn default() -> Rows<N> {
        Rows::Built(Vec::new())
    }
}

impl<const N: usize> Rows<N> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Rows::Built(rows) => rows.len(),
            Rows::Kept(_, range) => range.len() / (4 * N),
        }
    }

    /// The row of that number; zeros behind the last.
    pub(crate) fn get(&self, index: usize) -> [u32; N] {
        match self {
            Rows::Built(rows) => rows.get(index).copied().unwrap_or([0; N]),
            Rows::Kept(bytes, range) => {
                let at = range.start + index * 4 * N;
                let words = bytes.get().get(at..at + 4 * N).unwrap_or_default();
                let mut row = [0; N];
                for (number, word) in row.iter_mut().zip(words.chunks_exact(4)) {
                    *number = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
                }
                row
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = [u32; N]> {
        (0..self.len()).map(|index| self.get(index))
    }

    fn write(&self, into: &mut Vec<u8>) {
        match self {
            Rows::Built(rows) => {
                let words = rows.iter().flatten();
                into.extend(words.flat_map(|word| word.to_le_bytes()));
            }
            Rows::Kept(bytes, range) => {
                into.extend(bytes.get().get(range.clone()).unwrap_or_default());
            }
        }
    }
}

/// Rows that are found by a hash.
#[derive(Clone, Default)]
pub(crate) struct HashedRows {
    /// Where each part begins, and the end.
    parts: Rows<1>,
    rows: Rows<3>,
}

/// How many rows a part has on average, as a power of two.
const PART_BITS: u32 = 4;

/// How far to shift a hash for the part that it is in; 32 for the only one.
fn shift(parts: usize) -> u32 {
    32 - parts.max(1).ilog2()
}

fn part_of(hash: u32, shift: u32) -> usize {
    (u64::from(hash) >> shift) as usize
}

impl HashedRows {
    /// Divides rows by their hashes.
    pub(crate) fn build(gathered: &[Vec<[u32; 3]>]) -> HashedRows {
        let count: usize = gathered.iter().map(Vec::len).sum();
        let parts = (count >> PART_BITS).max(1).next_power_of_two();
        let shift = shift(parts);
        let mut starts = vec![[0u32]; parts + 1];
        for row in gathered.iter().flatten() {
            starts[part_of(row[0], shift) + 1][0] += 1;
        }
        for part in 0..parts {
            starts[part + 1][0] += starts[part][0];
        }
        let mut next: Vec<u32> = starts.iter().map(|start| start[0]).collect();
        let mut rows = vec![[0; 3]; count];
        for row in gathered.iter().flatten() {
            let next = &mut next[part_of(row[0], shift)];
            rows[*next as usize] = *row;
            *next += 1;
        }
        HashedRows {
            parts: Rows::Built(starts),
            rows: Rows::Built(rows),
        }
    }

    /// The rows with that hash, in order.
    pub(crate) fn with_hash(&self, hash: u32) -> Vec<[u32; 3]> {
        let Some(parts) = self.parts.len().checked_sub(1).filter(|&parts| parts > 0) else {
            return Vec::new();
        };
        let part = part_of(hash, shift(parts));
        let [start] = self.parts.get(part);
        let [end] = self.parts.get(part + 1);
        let end = (end as usize).min(self.rows.len());
        let mut found: Vec<[u32; 3]> = (start as usize..end)
            .map(|index| self.rows.get(index))
            .filter(|row| row[0] == hash)
            .collect();
        // Which thread found what first is chance.
        found.sort_unstable();
        found
    }

    /// All rows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = [u32; 3]> {
        self.rows.iter()
    }
}

/// Which file an index is of, beyond the build id by which it was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    /// What kind of index it is.
    pub(crate) kind: u32,
    /// The sizes of `.debug_info` and `.debug_line`, which it was made from.
    pub(crate) sizes: [u32; 2],
}

/// All that is kept of one kind.
#[derive(Clone, Default)]
pub(crate) struct Index {
    /// Where each unit of `.debug_info` begins.
    pub(crate) starts: Rows<1>,
    /// The units' ranges, see [`UnitRanges`](crate::units::UnitRanges).
    pub(crate) ranges: Rows<7>,
    pub(crate) hashed: HashedRows,
}

/// `sapwoodi`, and the version of the form.
const MAGIC: [u32; 3] = [0x7770_6173, 0x6964_6f6f, 3];
/// Magic, identity, four lengths, checksum.
const HEADER: usize = 4 * (3 + 3 + 4 + 1);

/// The kept form of an index.
pub(crate) fn pack(identity: Identity, index: &Index) -> Vec<u8> {
    let hashed = &index.hashed;
    let mut body = Vec::with_capacity(12 * hashed.rows.len() + 64);
    index.starts.write(&mut body);
    index.ranges.write(&mut body);
    hashed.parts.write(&mut body);
    hashed.rows.write(&mut body);
    let lengths = [
        index.starts.len(),
        index.ranges.len(),
        hashed.parts.len(),
        hashed.rows.len(),
    ];
    let mut packed = Vec::with_capacity(HEADER + body.len());
    let words = MAGIC.into_iter().chain([identity.kind]);
    let words = words.chain(identity.sizes);
    let words = words.chain(lengths.map(|length| length as u32));
    packed.extend(words.flat_map(u32::to_le_bytes));
    packed.extend(checksum(&packed, &body).to_le_bytes());
    packed.extend(body);
    packed
}

fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(body);
    hasher.finalize()
}

/// Reads the kept form; `None` where it is damaged or of something else.
pub(crate) fn unpack(bytes: &Bytes, identity: Identity) -> Option<Index> {
    let all = bytes.get();
    let (header, body) = all.split_at_checked(HEADER)?;
    let word = |index: usize| {
        let word = header.get(4 * index..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*word))
    };
    let mut expected = MAGIC.into_iter().chain([identity.kind]);
    let mut sizes = identity.sizes.into_iter();
    for index in 0..6 {
        let wanted = expected.next().or_else(|| sizes.next())?;
        if word(index)? != wanted {
            return None;
        }
    }
    let sum = word(10)?;
    if checksum(&header[..HEADER - 4], body) != sum {
        return None;
    }
    let length = |index: usize| Some(word(index)? as usize);
    let parts_length = length(8)?;
    let mut at = HEADER;
    let mut next = |length: usize, width: usize| {
        let end = at.checked_add(length.checked_mul(4 * width)?)?;
        let range = at..end;
        at = end;
        (end <= all.len()).then_some(range)
    };
    let starts = Rows::Kept(bytes.clone(), next(length(6)?, 1)?);
    let ranges = Rows::Kept(bytes.clone(), next(length(7)?, 7)?);
    let parts = Rows::Kept(bytes.clone(), next(parts_length, 1)?);
    let rows = Rows::Kept(bytes.clone(), next(length(9)?, 3)?);
    let is_whole = at == all.len() && parts_length.saturating_sub(1).is_power_of_two();
    is_whole.then_some(Index {
        starts,
        ranges,
        hashed: HashedRows { parts, rows },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity {
        kind: 1,
        sizes: [2, 3],
    };

    fn sample() -> Index {
        let rows: Vec<[u32; 3]> = (0..1000u32)
            .map(|n| [n.wrapping_mul(0x9e37_79b9), n, n + 1])
            .collect();
        Index {
            starts: Rows::Built(vec![[0], [77]]),
            ranges: Rows::Built(vec![[1, 2, 3, 4, 5, 6, 7], [6, 7, 8, 9, 10, 11, 12]]),
            hashed: HashedRows::build(&[rows[..400].to_vec(), rows[400..].to_vec()]),
        }
    }

    #[test]
    fn every_row_is_found_by_its_hash() {
        let index = sample();
        let bytes = Bytes::from(pack(IDENTITY, &index));
        let kept = unpack(&bytes, IDENTITY).expect("it is whole");
        assert!(kept.ranges.iter().eq(index.ranges.iter()));
        assert!(kept.starts.iter().eq(index.starts.iter()));
        let (built, kept) = (index.hashed, kept.hashed);
        for n in 0..1000u32 {
            let hash = n.wrapping_mul(0x9e37_79b9);
            let expected = vec![[hash, n, n + 1]];
            assert_eq!(built.with_hash(hash), expected);
            assert_eq!(kept.with_hash(hash), expected);
        }
        assert!(built.with_hash(77).is_empty());
        assert!(HashedRows::default().with_hash(0).is_empty());
        assert_eq!(
            HashedRows::build(&[vec![[0, 1, 2]]]).with_hash(0),
            [[0, 1, 2]]
        );
    }

    #[test]
    fn what_was_damaged_or_is_of_another_file_is_none() {
        let whole = pack(IDENTITY, &sample());
        for at in (0..whole.len()).step_by(37).chain([whole.len() - 1]) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            assert!(unpack(&Bytes::from(damaged), IDENTITY).is_none(), "{at}");
        }
        for length in [0, 1, HEADER, whole.len() - 12, whole.len() - 1] {
            let cut = Bytes::from(whole[..length].to_vec());
            assert!(unpack(&cut, IDENTITY).is_none(), "{length}");
        }
        let other = Identity {
            kind: 2,
            ..IDENTITY
        };
        assert!(unpack(&Bytes::from(whole), other).is_none());
    }
}
