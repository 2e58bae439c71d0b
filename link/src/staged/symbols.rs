//! [`Symbols`]: the symbols of one input of a batch, read from its records as they
//! are wanted.

use object::elf;
use object::pod;
use object::read::elf::Sym;

use super::merge::{self, Merged};
use super::{LE, Mark, SYMBOL_LEN, Says, StagedDefinition, SymbolRecord};
use crate::model::NONE;

/// The symbols of an input at hand.
#[derive(Clone, Copy)]
pub(crate) struct Symbols<'s> {
    /// The number of the first in the batch.
    pub first: u32,
    /// How many come before the first that others may see.
    pub(super) locals: usize,
    /// None when the input has no symbol table.
    pub(super) records: &'s [SymbolRecord],
    pub(super) marks: &'s [Mark],
    /// The atoms of the input's sections, or `NONE`.
    pub(super) sections: &'s [u32],
    pub(super) merged: &'s Merged,
    pub(super) strings: &'s [u8],
    pub(super) section_numbers: &'s [u8],
}

impl<'s> Symbols<'s> {
    /// What is noted of each.
    #[inline]
    pub fn marks(&self) -> &'s [Mark] {
        self.marks
    }

    /// The record of one, by its number in the batch.
    #[inline]
    pub fn record(&self, number: u32) -> &'s SymbolRecord {
        let record = self.records.get((number - self.first) as usize);
        record.unwrap_or_else(|| nothing())
    }

    /// Those that others see: number, record, mark and the number of the name.
    #[inline]
    pub fn globals(&self) -> impl Iterator<Item = (u32, &'s SymbolRecord, Mark, u32)> + use<'s> {
        let first = self.first + self.locals as u32;
        let records = self.records.get(self.locals..).unwrap_or_default();
        let marks = &self.marks[self.locals..];
        let all = records.iter().zip(marks).zip(first..);
        all.filter_map(|((record, mark), number)| Some((number, record, *mark, mark.name()?)))
    }

    /// Those that only the input itself sees: number, record and mark.
    #[inline]
    pub fn locals(&self) -> impl Iterator<Item = (u32, &'s SymbolRecord, Mark)> + use<'s> {
        let all = self.records.iter().zip(self.marks).zip(self.first..);
        all.filter(|((_, mark), _)| mark.name().is_none())
            .map(|((record, mark), number)| (number, record, *mark))
    }

    /// Where one is defined.
    #[inline]
    pub fn definition(&self, number: u32, record: &SymbolRecord) -> StagedDefinition {
        let section = record.st_shndx(LE);
        if section == elf::SHN_UNDEF {
            return StagedDefinition::Undefined;
        }
        if section.0 >= elf::SHN_LORESERVE {
            return self.unusual_definition(number, record);
        }
        self.in_section(usize::from(section.0), record.st_value(LE))
    }

    #[inline]
    fn in_section(&self, section: usize, value: u64) -> StagedDefinition {
        match self.sections[section] {
            NONE => StagedDefinition::Elsewhere,
            merged if merge::is_merged(merged) => {
                let place = self.merged.place(merged, value);
                let offset = place.expect("it was checked to lie in its section");
                StagedDefinition::Atom(self.merged.atom(merged), offset)
            }
            atom => StagedDefinition::Atom(atom, value),
        }
    }

    /// For the symbol of a merged section, which stands for one entry or another:
    /// the section's entry in [`Staged::sections`].
    #[inline]
    pub fn merged_section(&self, record: &SymbolRecord) -> Option<u32> {
        if self.merged.is_empty() || !record.is_place() {
            return None;
        }
        let section = self.sections.get(usize::from(record.st_shndx(LE).0));
        section
            .copied()
            .filter(|section| merge::is_merged(*section))
    }

    #[cold]
    fn unusual_definition(&self, number: u32, record: &SymbolRecord) -> StagedDefinition {
        let value = record.st_value(LE);
        match record.st_shndx(LE) {
            elf::SHN_ABS => StagedDefinition::Absolute(value),
            elf::SHN_COMMON => StagedDefinition::Common { alignment: value },
            _ => {
                let at = (number - self.first) as usize * 4;
                let section = &self.section_numbers[at..at + 4];
                let section = u32::from_le_bytes(section.try_into().expect("four bytes"));
                self.in_section(section as usize, value)
            }
        }
    }

    /// What one is called.
    #[inline]
    pub fn text(&self, record: &SymbolRecord) -> &'s [u8] {
        match record.st_name(LE) {
            0 => &[],
            offset => to_nul(&self.strings[offset as usize..]),
        }
    }

    /// Whether one that only the input itself sees has a name worth keeping: it
    /// is no section or file, and no assembler's label.
    #[inline]
    pub fn has_local_name(&self, record: &SymbolRecord) -> bool {
        if record.st_name(LE) == 0 || record.is_place() {
            return false;
        }
        !matches!(
            &self.strings[record.st_name(LE) as usize..],
            [] | [0, ..] | [b'.', b'L', ..]
        )
    }
}

/// Symbol 0, of inputs without a symbol table.
fn nothing() -> &'static SymbolRecord {
    static ZEROES: [u8; SYMBOL_LEN] = [0; SYMBOL_LEN];
    let record = pod::from_bytes(&ZEROES);
    record.expect("it is as long as a record").0
}

/// The bytes before the first that is zero.
#[inline]
fn to_nul(bytes: &[u8]) -> &[u8] {
    &bytes[..crate::names::len_to_nul(bytes).unwrap_or(bytes.len())]
}
