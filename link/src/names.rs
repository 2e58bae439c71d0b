//! Interned names, the symbols of each, and the index that finds them.
//!
//! What holds between calls: every name is in the index under the hash of its
//! text, once.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::ids::{NameId, SymbolId};
use crate::index::Index;
use crate::table::{Table, Text, TextAt, Writer};

/// No symbol.
const NONE: u32 = u32::MAX;

struct Name {
    text: TextAt,
    /// The newest symbol of this name, or `NONE`.
    newest: AtomicU32,
}

/// All names of a session.
pub(crate) struct Names {
    names: Table<Name>,
    text: Text,
    index: Index,
}

impl Names {
    /// No names yet.
    pub fn new(writer: &mut Writer) -> Names {
        Names {
            names: Table::default(),
            text: Text::default(),
            index: Index::new(writer),
        }
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The text of a name.
    pub fn text(&self, name: NameId) -> &str {
        self.text.get(self.name(name).text)
    }

    /// Finds a name.
    pub fn find(&self, text: &str) -> Option<NameId> {
        self.find_hashed(hash(text.as_bytes()), text.as_bytes())
    }

    /// Finds a name whose [`hash`] is known.
    pub fn find_hashed(&self, hash: u32, text: &[u8]) -> Option<NameId> {
        let is_it = |name: u32| self.text.bytes(self.name(NameId(name)).text) == text;
        self.index.find(hash, is_it).map(NameId)
    }

    /// Interns names that [`find_hashed`](Names::find_hashed) does not know:
    /// texts in UTF-8, of `len` bytes together, and their [`hash`]es. Part of
    /// commit.
    pub fn intern_new<'t>(
        &self,
        writer: &mut Writer,
        len: usize,
        texts: impl Iterator<Item = &'t [u8]>,
        hashes: impl Iterator<Item = u32>,
    ) {
        let first = self.names.len();
        writer.extend_named(&self.names, &self.text, len, texts, |text| Name {
            text,
            newest: AtomicU32::new(NONE),
        });
        self.index.reserve(writer, self.names.len() - first);
        for (hash, number) in hashes.zip(first as u32..) {
            self.index.insert(writer, hash, number);
        }
    }

    /// Asks for memory for names to come, if there is little: says whether it did.
    pub fn prepare(&self, writer: &mut Writer) -> bool {
        writer.prepare(&self.names)
    }

    /// The newest symbol of a name.
    pub fn newest(&self, name: NameId) -> Option<SymbolId> {
        let newest = self.name(name).newest.load(Ordering::Acquire);
        (newest != NONE).then_some(SymbolId(newest))
    }

    /// Makes `symbol` the newest of its name. Part of commit.
    pub fn set_newest(&self, _writer: &mut Writer, name: NameId, symbol: SymbolId) {
        self.name(name).newest.store(symbol.0, Ordering::Release);
    }

    fn name(&self, name: NameId) -> &Name {
        self.names
            .get(name.index())
            .expect("a NameId comes from this table")
    }
}

/// The plain name and the version of a definition that assemblers write `f@@V`:
/// the version that is meant by whoever names none.
pub(crate) fn default_version(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = name.iter().position(|byte| *byte == b'@')?;
    let version = name[at..].strip_prefix(b"@@")?;
    let is_one = at > 0 && !version.is_empty() && !version.contains(&b'@');
    is_one.then_some((&name[..at], version))
}

/// Mixes a word of a name into its hash: FxHash's step.
const fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Spreads every bit over the whole of the hash.
const fn finish(hash: u64) -> u32 {
    let product = hash as u128 * 0xd6e8_feb8_6659_fd93_u128;
    let folded = product as u64 ^ (product >> 64) as u64;
    (folded ^ folded >> 32) as u32
}

/// The hash that names are found by.
pub(crate) fn hash(text: &[u8]) -> u32 {
    let (words, rest) = text.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let hash = words.fold(0, mix);
    if rest.is_empty() {
        return finish(hash);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    finish(mix(hash, u64::from_le_bytes(last)))
}

/// Bit 7 of each byte of a word that is zero, and perhaps of those above it.
#[inline]
const fn zeroes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

/// The length of the name that begins `bytes` and ends with a zero, if one does.
#[inline]
pub(crate) fn len_to_nul(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let zeroes = zeroes(u64::from_le_bytes(*word));
        if zeroes != 0 {
            return Some(number * 8 + zeroes.trailing_zeros() as usize / 8);
        }
    }
    let len = rest.iter().position(|byte| *byte == 0)?;
    Some(words.len() * 8 + len)
}

/// The length of the name that begins `bytes` and ends with a zero, and its
/// [`hash`], in one pass. None when no zero follows.
#[inline]
pub(crate) fn hash_to_nul(bytes: &[u8]) -> Option<(usize, u32)> {
    let (words, _) = bytes.as_chunks::<8>();
    let mut state = 0;
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let zeroes = zeroes(word);
        if zeroes == 0 {
            state = mix(state, word);
            continue;
        }
        let len = zeroes.trailing_zeros() as usize / 8;
        if len > 0 {
            state = mix(state, word & ((1 << (len * 8)) - 1));
        }
        return Some((number * 8 + len, finish(state)));
    }
    // The table's last few bytes.
    let len = bytes.iter().position(|byte| *byte == 0)?;
    Some((len, hash(&bytes[..len])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hashes_of_a_name_are_one() {
        let table = b"a\0ab\0abcdefg\0abcdefgh\0abcdefghi\0\xc3\xa9\xff\x80\x01\0end";
        for start in 0..table.len() {
            let len = table[start..].iter().position(|byte| *byte == 0);
            let expected = len.map(|len| (len, hash(&table[start..start + len])));
            assert_eq!(hash_to_nul(&table[start..]), expected, "from {start}");
            assert_eq!(len_to_nul(&table[start..]), len, "from {start}");
        }
    }

    #[test]
    fn every_name_is_found_and_no_other() {
        let mut writer = Writer::new();
        let names = Names::new(&mut writer);
        for i in 0..20_000u32 {
            let text = format!("function_{i}");
            assert_eq!(names.find(&text), None);
            let new = std::iter::once(text.as_bytes());
            let hashes = new.clone().map(hash);
            names.intern_new(&mut writer, text.len(), new, hashes);
            assert_eq!(names.find(&text), Some(NameId(i)));
        }
        for i in 0..20_000u32 {
            let text = format!("function_{i}");
            let id = names.find(&text).unwrap();
            assert_eq!(names.text(id), text);
        }
        assert_eq!(names.len(), 20_000);
        assert_eq!(names.find("function_20000"), None);
        assert_eq!(names.find(""), None);
    }
}
