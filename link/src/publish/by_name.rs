//! What the names of a batch stand for, as [`bind`](super::bind) finds it: one
//! entry for each name that others than its input see, by the number it was
//! staged under. Each is looked up once in the image.
//!
//! The list is kept from batch to batch, so that a small one allocates nothing.

use object::LittleEndian;
use object::read::elf::Sym;

use crate::ids::{NameId, SymbolId};
use crate::model::{Binding, NONE, SymbolKind, Visibility};
use crate::publish::bind::Target;
use crate::staged::{Mark, Says, Staged, StagedDefinition, SymbolAt, SymbolRecord};
use crate::tables::Tables;

/// How strongly the batch defines a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Rank {
    Weak,
    Common,
    Strong,
}

/// One name.
pub(super) struct Entry {
    /// Its id in the session or, once `plan` has given it one, the id it will
    /// get; else `NONE`.
    pub id: u32,
    /// The image's definition of it, or where the image bound it outside, or
    /// `NONE`.
    pub image: u32,
    /// The batch's definition, or none, and where that is. A common block's is
    /// an atom once it was made.
    pub winner: SymbolAt,
    pub definition: StagedDefinition,
    /// What its record says; a common block's size is that of the largest.
    pub size: u64,
    pub binding: Binding,
    pub visibility: Visibility,
    pub kind: SymbolKind,
    pub rank: Rank,
    /// Whether all that refer to it are content if it is not there.
    pub weak: bool,
    /// A symbol of it that a relocation refers to, or none.
    pub reference: SymbolAt,
    /// The record that the batch makes of it.
    pub record: Option<SymbolId>,
    /// What it stands for, if it is referred to or an indirect function.
    pub target: Target,
}

impl Entry {
    /// Notes whether a symbol of this name is referred to, and how strongly.
    #[inline]
    pub fn refer(&mut self, symbol: SymbolAt, record: &SymbolRecord, mark: Mark) {
        if mark.is_referred() {
            self.weak &= record.binding() == Binding::Weak;
            if !self.reference.is_some() {
                self.reference = symbol;
            }
        }
    }
}

impl Entry {
    /// Makes a symbol the batch's definition.
    #[inline]
    pub fn define(
        &mut self,
        symbol: SymbolAt,
        record: &SymbolRecord,
        definition: StagedDefinition,
        rank: Rank,
    ) {
        (self.winner, self.rank, self.definition) = (symbol, rank, definition);
        self.size = record.st_size(LittleEndian);
        (self.binding, self.visibility) = (record.binding(), record.visibility());
        self.kind = record.kind();
    }
}

/// See the [module page](self).
#[derive(Default)]
pub(crate) struct ByName {
    entries: Vec<Entry>,
    /// The symbols that define a name, with its number.
    definitions: Vec<(SymbolAt, u32)>,
}

impl ByName {
    /// An entry for each staged name, with what the session knows of it.
    pub fn fill(&mut self, tables: &Tables, staged: &Staged<'_>) {
        self.definitions.clear();
        self.entries.clear();
        self.entries.reserve(staged.names.len());
        for name in staged.names.iter() {
            let text = staged.names.text(name);
            let id = tables.names.find_hashed(name.hash, text);
            self.entries.push(Entry {
                id: id.map_or(NONE, |id| id.0),
                image: id.map_or(NONE, |id| shown(tables, id)),
                winner: SymbolAt::NONE,
                definition: StagedDefinition::Undefined,
                size: 0,
                binding: Binding::Global,
                visibility: Visibility::Default,
                kind: SymbolKind::Untyped,
                rank: Rank::Weak,
                weak: true,
                reference: SymbolAt::NONE,
                record: None,
                target: Target::Unbound,
            });
        }
    }

    /// Says again which names relocations refer to.
    pub fn refer_again(&mut self, staged: &Staged<'_>) {
        for entry in &mut self.entries {
            (entry.weak, entry.reference) = (true, SymbolAt::NONE);
        }
        for input in 0..staged.inputs.len() as u32 {
            for (symbol, record, name) in staged.globals(input) {
                let mark = staged.mark(symbol);
                self.entries[name as usize].refer(symbol, record, mark);
            }
        }
    }

    /// Notes that a symbol defines a name.
    #[inline]
    pub fn add_definition(&mut self, symbol: SymbolAt, name: u32) {
        self.definitions.push((symbol, name));
    }

    /// The symbols that define a name, with its number.
    pub fn definitions(&self) -> &[(SymbolAt, u32)] {
        &self.definitions
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// A name by its number.
    #[inline]
    pub fn entry(&self, number: u32) -> &Entry {
        &self.entries[number as usize]
    }

    /// The same, to be changed.
    #[inline]
    pub fn entry_mut(&mut self, number: u32) -> &mut Entry {
        &mut self.entries[number as usize]
    }

    /// The name of a staged symbol; none for one that only its own input sees.
    pub fn of(&self, staged: &Staged<'_>, symbol: SymbolAt) -> Option<&Entry> {
        let name = staged.mark(symbol).name()?;
        Some(&self.entries[name as usize])
    }

    /// Takes back the ids that `plan` gave to names new to the session.
    pub fn forget_new(&mut self, tables: &Tables) {
        let known = tables.names.len() as u32;
        for entry in &mut self.entries {
            if entry.id != NONE && entry.id >= known {
                entry.id = NONE;
            }
            entry.record = None;
        }
    }

    /// All names.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }
}

/// What a name stands for in the image: its definition, or else where the name
/// was bound outside.
fn shown(tables: &Tables, name: NameId) -> u32 {
    let definition = tables.find_symbol(name, |symbol| symbol.is_image_definition());
    let shown = definition.or_else(|| tables.find_symbol(name, |_| true));
    shown.map_or(NONE, |SymbolId(symbol)| symbol)
}
