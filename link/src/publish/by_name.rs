//! The names of a batch: each is hashed once and looked up once in the image.
//!
//! Lists are kept from batch to batch, so that a small one allocates nothing.

use crate::ids::{NameId, SymbolId};
use crate::model::{Binding, NONE, SymbolKind};
use crate::publish::bind::Target;
use crate::staged::{Staged, StagedDefinition, StagedSymbol, make_room};
use crate::tables::Tables;

/// How strongly the batch defines a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Rank {
    Weak,
    Common,
    Strong,
}

/// Slots that a batch begins with.
const FIRST_LEN: usize = 64;
/// No entry in a slot. No hash and number are these: entries are fewer.
const EMPTY: u64 = u64::MAX;

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
    /// Whether all that refer to it are content if it is not there.
    pub weak: bool,
    /// A symbol of it that a relocation refers to, or `NONE`.
    pub reference: u32,
    /// The record that the batch makes of it.
    pub record: Option<SymbolId>,
    /// What it stands for, if it is referred to or an indirect function.
    pub target: Target,
}

impl Entry {
    /// Notes whether a symbol of this name is referred to, and how strongly.
    fn refer(&mut self, index: u32, symbol: &StagedSymbol) {
        if symbol.referred {
            self.weak &= symbol.binding == Binding::Weak;
            if self.reference == NONE {
                self.reference = index;
            }
        }
    }
}

/// See the [module page](self).
#[derive(Default)]
pub(crate) struct ByName {
    entries: Vec<Entry>,
    /// For each staged symbol its entry, or `NONE`.
    of_symbol: Vec<u32>,
    /// Open addressing by hash, half full at most: the hash in the high half and
    /// the entry's number in the low, or `EMPTY`.
    slots: Vec<u64>,
    definitions: Vec<u32>,
    /// The staged symbols that only their own inputs see.
    locals: Vec<u32>,
    local_ifuncs: Vec<u32>,
}

impl ByName {
    /// Takes in the names of all staged symbols.
    pub fn fill(&mut self, tables: &Tables, staged: &Staged<'_>) {
        self.entries.clear();
        self.of_symbol.clear();
        self.slots.clear();
        self.definitions.clear();
        self.locals.clear();
        self.local_ifuncs.clear();
        self.slots.resize(FIRST_LEN, EMPTY);
        self.of_symbol.reserve(staged.symbols.len());
        for (input, of) in staged.inputs.iter().enumerate() {
            let bytes = staged.bytes_of(input as u32);
            for index in of.symbols.clone() {
                let symbol = &staged.symbols[index as usize];
                let number = self.take_in(tables, staged, bytes, index, symbol);
                self.of_symbol.push(number);
            }
        }
    }

    /// Takes in one symbol, whose input has these bytes: gives its name's
    /// number.
    fn take_in(
        &mut self,
        tables: &Tables,
        staged: &Staged<'_>,
        bytes: &[u8],
        index: u32,
        symbol: &StagedSymbol,
    ) -> u32 {
        if symbol.is_local() {
            self.locals.push(index);
            if symbol.kind == SymbolKind::Ifunc {
                self.local_ifuncs.push(index);
            }
            if symbol.nameless {
                return NONE;
            }
            return self.entry_of(tables, staged, index, symbol, symbol.name.of(bytes));
        }
        let number = self.entry_of(tables, staged, index, symbol, symbol.name.of(bytes));
        if !matches!(
            symbol.definition,
            StagedDefinition::Undefined | StagedDefinition::Elsewhere
        ) {
            self.definitions.push(index);
        }
        let entry = &mut self.entries[number as usize];
        entry.refer(index, symbol);
        if entry.image == NONE && entry.id != NONE {
            entry.image = shown(tables, NameId(entry.id));
        }
        number
    }

    /// Says again which names relocations refer to.
    pub fn refer_again(&mut self, staged: &Staged<'_>) {
        for entry in &mut self.entries {
            (entry.weak, entry.reference) = (true, NONE);
        }
        for (index, symbol) in staged.symbols.iter().enumerate() {
            if !symbol.is_local() {
                let number = self.of_symbol[index];
                self.entries[number as usize].refer(index as u32, symbol);
            }
        }
    }

    /// The staged symbols that only their own inputs see.
    pub fn locals(&self) -> &[u32] {
        &self.locals
    }

    /// The staged symbols that define a name for others to see.
    pub fn definitions(&self) -> &[u32] {
        &self.definitions
    }

    /// The indirect functions that only their own inputs see.
    pub fn local_ifuncs(&self) -> &[u32] {
        &self.local_ifuncs
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// A name by its number.
    pub fn entry(&self, number: u32) -> &Entry {
        &self.entries[number as usize]
    }

    /// The same, to be changed.
    pub fn entry_mut(&mut self, number: u32) -> &mut Entry {
        &mut self.entries[number as usize]
    }

    /// The number of a symbol's name, which is made if there is none.
    fn entry_of(
        &mut self,
        tables: &Tables,
        staged: &Staged<'_>,
        index: u32,
        symbol: &StagedSymbol,
        text: &[u8],
    ) -> u32 {
        let hash = symbol.hash;
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                break;
            }
            let found = slot as u32;
            if (slot >> 32) as u32 == hash {
                let known = self.entries[found as usize].symbol;
                if staged.symbol_bytes(known) == text {
                    return found;
                }
            }
            at = (at + 1) & mask;
        }
        let number = self.entries.len() as u32;
        self.slots[at] = u64::from(hash) << 32 | u64::from(number);
        let id = tables.names.find_hashed(hash, text);
        make_room(&mut self.entries, 1);
        self.entries.push(Entry {
            symbol: index,
            id: id.map_or(NONE, |id| id.0),
            image: NONE,
            winner: NONE,
            rank: Rank::Weak,
            weak: true,
            reference: NONE,
            record: None,
            target: Target::Unbound,
        });
        if self.entries.len() > self.slots.len() / 2 {
            self.grow();
        }
        number
    }

    /// Makes the table of slots four times as long.
    fn grow(&mut self) {
        let len = self.slots.len() * 4;
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![EMPTY; len];
        for slot in old.into_iter().filter(|slot| *slot != EMPTY) {
            let mut at = (slot >> 32) as usize & (len - 1);
            while self.slots[at] != EMPTY {
                at = (at + 1) & (len - 1);
            }
            self.slots[at] = slot;
        }
    }

    /// The name of a staged symbol; it must have one.
    pub fn of(&self, symbol: u32) -> &Entry {
        &self.entries[self.of_symbol[symbol as usize] as usize]
    }

    /// The name of a staged symbol that others see; none for one that only its
    /// own input does.
    pub fn visible(&self, staged: &Staged<'_>, symbol: u32) -> Option<&Entry> {
        (!staged.symbols[symbol as usize].is_local()).then(|| self.of(symbol))
    }

    /// The same as [`of`](ByName::of), to be changed.
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
        for entry in &mut self.entries {
            entry.record = None;
        }
    }

    /// The number of a staged symbol's name; it must have one.
    pub fn number_of(&self, symbol: u32) -> u32 {
        self.of_symbol[symbol as usize]
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
