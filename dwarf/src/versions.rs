//! The versions of a module's dynamic symbols (`.gnu.version`, `.gnu.version_d`):
//! which of several definitions of one name is which.
//!
//! A library that has changed a function keeps the old one for programs that were
//! linked against it: `memcpy@GLIBC_2.2.5` beside `memcpy@@GLIBC_2.14`, of which
//! the second is the *default*, the one that is meant by the plain name. What is
//! damaged is as if it were not there.

use object::elf;

use crate::elf::{Elf, Section};

/// Set in a symbol's version number when it is not the default one.
const HIDDEN: u16 = 0x8000;
/// Numbers below are no versions: a local symbol, and one without a version.
const FIRST: u16 = 2;

/// A version of a symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Version {
    /// Where its name lies in `.dynstr`; none for a symbol without a version.
    pub name: Option<u32>,
    /// Whether the plain name does not mean it.
    pub is_hidden: bool,
}

/// See the [module page](self).
#[derive(Default)]
pub(crate) struct Versions {
    /// A symbol's number in `.dynsym` is the place of its version number here.
    numbers: Vec<u16>,
    /// Version numbers and where their names lie in `.dynstr`.
    names: Vec<(u16, u32)>,
}

impl Versions {
    /// Reads the two sections.
    pub fn read(elf: &Elf, data: &[u8]) -> Versions {
        let bytes = |kind| {
            let section: Option<&Section> = elf.sections.iter().find(|s| s.kind == kind);
            let range = section.map(|section| section.file.clone());
            range.and_then(|range| data.get(range)).unwrap_or_default()
        };
        let pairs = bytes(elf::SHT_GNU_VERSYM).chunks_exact(2);
        Versions {
            numbers: pairs
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect(),
            names: definitions(bytes(elf::SHT_GNU_VERDEF)),
        }
    }

    /// The version of a dynamic symbol, by the symbol's number.
    pub fn of(&self, symbol: usize) -> Version {
        let number = self.numbers.get(symbol).copied().unwrap_or_default();
        let named = number & !HIDDEN;
        let name = self.names.iter().find(|(known, _)| *known == named);
        Version {
            name: name.filter(|_| named >= FIRST).map(|(_, name)| *name),
            is_hidden: number & HIDDEN != 0,
        }
    }
}

/// The version numbers that a module defines, with their names' places: a chain of
/// records, each with a chain of names of which the first is its own.
fn definitions(section: &[u8]) -> Vec<(u16, u32)> {
    let half = |at: usize| {
        let bytes = section.get(at..at.checked_add(2)?)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    };
    let word = |at: usize| {
        let bytes = section.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let name = word(at + 12).and_then(|aux| word(at.checked_add(aux as usize)?));
        let (Some(number), Some(name), Some(next)) = (half(at + 4), name, word(at + 16)) else {
            return found;
        };
        found.push((number, name));
        if next == 0 {
            return found;
        }
        at += next as usize;
    }
}
