//! [`References`]: which names objects want of others, and how.
//!
//! A name that is only ever called can stand for a stub. One whose address is
//! taken, or that is read, may be data, which an object file does not tell; so
//! what has it must be there before the program is.

use std::collections::{BTreeMap, BTreeSet};

use object::read::archive::ArchiveFile;
use object::{
    Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SectionFlags, elf,
};

use crate::RelocKind;
use crate::arch::x86_64::is_branch;

/// How a name is referred to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reference {
    /// By calls and jumps alone.
    Called,
    /// In another way too.
    Other,
}

/// See the [module page](self).
#[derive(Clone, Default, Debug)]
pub struct References {
    wanted: BTreeMap<String, Reference>,
    defined: BTreeSet<String>,
}

impl References {
    /// Takes in an object. What cannot be read of it refers to nothing here: who
    /// links it will say what is wrong.
    pub fn object(&mut self, bytes: &[u8]) {
        // An object that is malformed half way is refused later.
        let _ = self.read(bytes);
    }

    /// Takes in all members of an archive that is not thin.
    pub fn archive(&mut self, bytes: &[u8]) {
        let Ok(archive) = ArchiveFile::parse(bytes) else {
            return;
        };
        for member in archive.members().flatten() {
            if let Ok(member) = member.data(bytes) {
                self.object(member);
            }
        }
    }

    /// The names that are wanted and that none of the objects defines.
    pub fn wanted(&self) -> impl Iterator<Item = (&str, Reference)> {
        self.wanted
            .iter()
            .filter(|(name, _)| !self.defined.contains(*name))
            .map(|(name, how)| (name.as_str(), *how))
    }

    fn read(&mut self, bytes: &[u8]) -> object::Result<()> {
        let file = object::File::parse(bytes)?;
        for symbol in file.symbols().filter(|symbol| symbol.is_global()) {
            let name = symbol.name()?;
            if symbol.is_undefined() {
                let how = self.wanted.entry(name.to_owned());
                how.or_insert(Reference::Called);
            } else {
                self.defined.insert(name.to_owned());
            }
        }
        for section in file.sections() {
            let loaded = match section.flags() {
                SectionFlags::Elf { sh_flags, .. } => sh_flags.contains(elf::SHF_ALLOC),
                _ => false,
            };
            if !loaded {
                continue;
            }
            let code = section.data()?;
            for (offset, reloc) in section.relocations() {
                let (RelocationTarget::Symbol(index), RelocationFlags::Elf { r_type }) =
                    (reloc.target(), reloc.flags())
                else {
                    continue;
                };
                let symbol = file.symbol_by_index(index)?;
                if !symbol.is_undefined() {
                    continue;
                }
                let before = code.get(..offset as usize).unwrap_or_default();
                if !calls(RelocKind(r_type.0), before) {
                    self.wanted
                        .insert(symbol.name()?.to_owned(), Reference::Other);
                }
            }
        }
        Ok(())
    }
}

/// Whether a field is a branch's: its displacement, or the cell that it goes
/// through (`call *f@GOTPCREL(%rip)`).
fn calls(kind: RelocKind, before: &[u8]) -> bool {
    let through_cell = matches!(
        elf::RelocationType(kind.0),
        elf::R_X86_64_GOTPCREL | elf::R_X86_64_GOTPCRELX
    );
    is_branch(kind, before) || through_cell && matches!(before, [.., 0xff, 0x15 | 0x25])
}
