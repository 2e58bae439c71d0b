//! [`Tables`]: everything that was ever published, shared with every view.
//!
//! The tables only grow. A record is pushed before the generation that shows
//! it, and the push of the generation's record is the one store that publishes
//! a batch: a reader that sees generation N sees whole everything up to N.

use std::ops::Range;
use std::sync::Mutex;

use crate::addr::HostAddr;
use crate::host::HostError;
use crate::ids::{AtomId, Generation, InputId, NameId, SymbolId};
use crate::index::Index;
use crate::locals::Locals;
use crate::model::{AtomKind, AtomRecord, Binding, NONE, Reloc, RelocRecord, SymbolRecord};
use crate::names::Names;
use crate::space::Region;
use crate::table::{Table, Text, TextAt, Writer, count_before};

/// Where a segment's bytes lie, and which atoms lie there.
pub(crate) struct RegionRecord {
    pub region: Region,
    /// The atoms in it, in the order of their addresses.
    pub atoms: Table<AtomId>,
}

/// An input as the table keeps it.
pub(crate) struct InputRecord {
    pub name: TextAt,
    pub generation: u32,
}

/// Which atoms were overwritten where they lay, and by which.
pub(crate) struct Successors {
    /// By the overwritten atom's number.
    index: Index,
    /// The overwritten atom and the one there now, in the order of the latter.
    pairs: Table<(AtomId, AtomId)>,
}

impl Successors {
    fn new(writer: &mut Writer) -> Successors {
        Successors {
            index: Index::new(writer),
            pairs: Table::default(),
        }
    }

    /// The atom that overwrote this one.
    pub fn of(&self, atom: AtomId) -> Option<AtomId> {
        if self.pairs.len() == 0 {
            return None;
        }
        let pair = |number: u32| *self.pairs.get(number as usize).expect("it is indexed");
        let found = self.index.find(Self::hash(atom), |n| pair(n).0 == atom);
        found.map(|number| pair(number).1)
    }

    /// The atoms that these overwrote.
    pub fn overwritten_by(&self, newer: &Range<AtomId>) -> Vec<AtomId> {
        let pair = |index| *self.pairs.get(index).expect("below the length");
        let low = count_before(self.pairs.len(), |index| pair(index).1 < newer.start);
        let rest = (low..self.pairs.len()).map(pair);
        let these = rest.take_while(|(_, atom)| *atom < newer.end);
        these.map(|(old, _)| old).collect()
    }

    pub fn push(&self, writer: &mut Writer, old: AtomId, new: AtomId) {
        let number = writer.push(&self.pairs, (old, new));
        self.index.insert(writer, Self::hash(old), number);
    }

    fn hash(atom: AtomId) -> u32 {
        atom.0.wrapping_mul(0x9e37_79b9)
    }
}

/// See the [module page](self).
pub(crate) struct Tables {
    pub names: Names,
    /// The names of symbols that only their own inputs see.
    pub locals: Locals,
    pub symbols: Table<SymbolRecord>,
    pub atoms: Table<AtomRecord>,
    pub relocs: Table<RelocRecord>,
    /// Addends that do not fit a record.
    pub wide_addends: Table<i64>,
    pub inputs: Table<InputRecord>,
    pub input_names: Text,
    pub regions: Table<RegionRecord>,
    /// For each generation, how many atoms there are in it. Element 0 is the
    /// empty image, so the length less one is the newest generation.
    pub generations: Table<u32>,
    /// Thread-local atoms in the order of their ids, and their offsets from the
    /// thread pointer in bytes.
    pub thread_locals: Table<(AtomId, i64)>,
    /// Atoms that were overwritten in their slots.
    pub successors: Successors,
    /// Generations whose `run` step faulted, and how.
    pub faults: Mutex<Vec<(Generation, String)>>,
}

impl Tables {
    pub fn new(writer: &mut Writer) -> Tables {
        let tables = Tables {
            names: Names::new(writer),
            locals: Locals::default(),
            symbols: Table::default(),
            atoms: Table::default(),
            relocs: Table::default(),
            wide_addends: Table::default(),
            inputs: Table::default(),
            input_names: Text::default(),
            regions: Table::default(),
            generations: Table::default(),
            thread_locals: Table::default(),
            successors: Successors::new(writer),
            faults: Mutex::default(),
        };
        writer.push(&tables.generations, 0);
        tables
    }

    /// Asks for memory for what comes next, of one table at most: records are of even
    /// lengths, so many tables would need it at once. Part of commit.
    pub fn prepare(&self, writer: &mut Writer, regions: Range<u16>) {
        let mut regions = regions.map(|region| &self.region(region).atoms);
        let _ = writer.prepare(&self.symbols)
            || writer.prepare(&self.atoms)
            || writer.prepare(&self.relocs)
            || self.names.prepare(writer)
            || writer.prepare(&self.inputs)
            || writer.prepare(&self.generations)
            || self.locals.prepare(writer)
            || regions.any(|atoms| writer.prepare(atoms));
    }

    /// The newest generation.
    pub fn newest(&self) -> Generation {
        Generation(self.generations.len() as u32 - 1)
    }

    /// How many atoms there are in a generation.
    pub fn atoms_in(&self, generation: Generation) -> u32 {
        *self
            .generations
            .get(generation.index())
            .expect("a Generation was published")
    }

    pub fn atom(&self, atom: AtomId) -> &AtomRecord {
        self.atoms
            .get(atom.index())
            .expect("an AtomId comes from this table")
    }

    pub fn symbol(&self, symbol: SymbolId) -> &SymbolRecord {
        self.symbols
            .get(symbol.index())
            .expect("a SymbolId comes from this table")
    }

    pub fn input(&self, input: InputId) -> &InputRecord {
        self.inputs
            .get(input.index())
            .expect("an InputId comes from this table")
    }

    pub fn region(&self, region: u16) -> &RegionRecord {
        self.regions
            .get(usize::from(region))
            .expect("an atom's region is pushed before it")
    }

    /// Where an atom lies.
    pub fn address(&self, atom: AtomId) -> HostAddr {
        let record = self.atom(atom);
        self.region(record.region)
            .region
            .start
            .add(u64::from(record.offset))
    }

    /// A symbol's address, or its value when it is absolute.
    pub fn symbol_address(&self, symbol: SymbolId) -> HostAddr {
        let record = self.symbol(symbol);
        match record.atom {
            SymbolRecord::ABSOLUTE | SymbolRecord::OUTSIDE | SymbolRecord::THREAD_OUTSIDE => {
                HostAddr(record.value)
            }
            atom => self.address(AtomId(atom)).add(record.value),
        }
    }

    /// A thread-local symbol's offset from the thread pointer, in bytes; nothing
    /// for any other symbol.
    pub fn thread_offset(&self, symbol: SymbolId) -> Option<i64> {
        let record = self.symbol(symbol);
        match record.atom {
            SymbolRecord::THREAD_OUTSIDE => Some(record.value as i64),
            SymbolRecord::ABSOLUTE | SymbolRecord::OUTSIDE => None,
            atom if self.atom(AtomId(atom)).kind == AtomKind::ThreadLocal => {
                let start = self.atom_thread_offset(AtomId(atom))?;
                Some(start.wrapping_add(record.value as i64))
            }
            _ => None,
        }
    }

    /// A thread-local atom's offset from the thread pointer, in bytes.
    pub fn atom_thread_offset(&self, atom: AtomId) -> Option<i64> {
        let places = &self.thread_locals;
        let place = |index| *places.get(index).expect("below the length");
        let (mut low, mut high) = (0, places.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if place(middle).0 < atom {
                low = middle + 1
            } else {
                high = middle
            }
        }
        let found = places.get(low).filter(|(found, _)| *found == atom);
        found.map(|(_, offset)| *offset)
    }

    /// The newest symbol of a name that `accept` takes.
    pub fn find_symbol(
        &self,
        name: NameId,
        accept: impl Fn(&SymbolRecord) -> bool,
    ) -> Option<SymbolId> {
        let mut next = self.names.newest(name);
        while let Some(symbol) = next {
            let record = self.symbol(symbol);
            if accept(record) {
                return Some(symbol);
            }
            next = (record.older != NONE).then_some(SymbolId(record.older));
        }
        None
    }

    /// The symbol of the same name before this one: of those that others see, or
    /// of those that only their own inputs do.
    pub fn older(&self, symbol: SymbolId) -> Option<SymbolId> {
        let record = self.symbol(symbol);
        if record.binding != Binding::Local {
            return (record.older != NONE).then_some(SymbolId(record.older));
        }
        let named = self.locals.named(self, self.symbol_name(symbol));
        named.into_iter().find(|older| *older < symbol)
    }

    /// What a symbol is called.
    pub fn symbol_name(&self, symbol: SymbolId) -> &str {
        let record = self.symbol(symbol);
        match record.binding {
            Binding::Local => self.locals.text(record.name),
            _ => self.names.text(NameId(record.name)),
        }
    }

    /// A relocation by its number.
    pub fn reloc(&self, number: usize) -> Option<Reloc> {
        let record = self.relocs.get(number)?;
        let wide = record.wide_addend();
        Some(record.unpack(wide.and_then(|wide| self.wide_addends.get(wide).copied())))
    }

    /// The name an input was loaded under.
    pub fn input_name(&self, input: InputId) -> &str {
        self.input_names.get(self.input(input).name)
    }

    /// Remembers that a generation's `run` step faulted.
    pub fn mark_faulted(&self, generation: Generation, error: &HostError) {
        let mut faults = self
            .faults
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        faults.push((generation, error.to_string()));
    }
}
