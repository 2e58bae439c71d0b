//! The names of a batch: each is hashed once and looked up once in the image.
//!
//! Lists are kept from batch to batch, so that a small one allocates nothing.

use crate::ids::{NameId, SymbolId};
use crate::model::{Binding, NONE};
use crate::staged::Staged;
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
    /// A staged symbol of this name.
    pub symbol: u32,
    /// Its id in the session or, once `plan` has given it one, the id it will
    /// get; else `NONE`.
    pub id: u32,
    /// The image's definition of it, or where the image bound it outside, or
    /// `NONE`.
    pub image: u32,
    /// The batch's definition, or `NONE`.
    pub winner: u32,
    pub rank: Rank,
    /// Its place among the names to ask the resolver for, or `NONE`.
    pub asked: u32,
}

/// See the [module page](self).
#[derive(Default)]
pub(crate) struct ByName {
    entries: Vec<Entry>,
    /// For each staged symbol its entry, or `NONE`.
    of_symbol: Vec<u32>,
    /// Open addressing by hash; entries or `NONE`.
    slots: Vec<u32>,
}

impl ByName {
    /// Takes in the names of all staged symbols.
    pub fn fill(&mut self, tables: &Tables, staged: &Staged<'_>) {
        self.entries.clear();
        self.of_symbol.clear();
        self.slots.clear();
        let slots = (staged.symbols.len() * 2).next_power_of_two();
        self.slots.resize(slots, NONE);
        for (index, symbol) in staged.symbols.iter().enumerate() {
            let entry = if symbol.nameless {
                NONE
            } else {
                self.entry(tables, staged, index as u32)
            };
            self.of_symbol.push(entry);
            if entry != NONE && symbol.binding != Binding::Local {
                let entry = &mut self.entries[entry as usize];
                if entry.image == NONE && entry.id != NONE {
                    entry.image = shown(tables, NameId(entry.id));
                }
            }
        }
    }

    /// The entry of a symbol's name, made if there is none.
    fn entry(&mut self, tables: &Tables, staged: &Staged<'_>, symbol: u32) -> u32 {
        let hash = staged.symbols[symbol as usize].hash;
        let text = staged.symbol_bytes(symbol);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let found = self.slots[at];
            if found == NONE {
                break;
            }
            let other = self.entries[found as usize].symbol;
            if staged.symbols[other as usize].hash == hash && staged.symbol_bytes(other) == text {
                return found;
            }
            at = (at + 1) & mask;
        }
        let id = tables.names.find_hashed(hash, text);
        let number = self.entries.len() as u32;
        self.slots[at] = number;
        self.entries.push(Entry {
            symbol,
            id: id.map_or(NONE, |id| id.0),
            image: NONE,
            winner: NONE,
            rank: Rank::Weak,
            asked: NONE,
        });
        number
    }

    /// The name of a staged symbol; it must have one.
    pub fn of(&self, symbol: u32) -> &Entry {
        &self.entries[self.of_symbol[symbol as usize] as usize]
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, symbol: u32) -> &mut Entry {
        &mut self.entries[self.of_symbol[symbol as usize] as usize]
    }

    /// Takes back the ids that `plan` gave to names new to the session.
    pub fn forget_new(&mut self, tables: &Tables) {
        let known = tables.names.len() as u32;
        let new = self.entries.iter_mut();
        for entry in new.filter(|entry| entry.id != NONE && entry.id >= known) {
            entry.id = NONE;
        }
    }

    /// All names.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

/// What a name stands for in the image: its definition, or else where the name
/// was bound outside.
fn shown(tables: &Tables, name: NameId) -> u32 {
    let definition = tables.find_symbol(name, |symbol| symbol.is_image_definition());
    let shown = definition.or_else(|| tables.find_symbol(name, |s| s.binding != Binding::Local));
    shown.map_or(NONE, |SymbolId(symbol)| symbol)
}
