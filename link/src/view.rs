//! [`View`]: an immutable snapshot of one generation.
//!
//! A view is a reference to the session's append-only tables and the number of
//! the generation it shows, so taking one copies nothing, and newer generations
//! may land on another thread while it is read.

use std::ops::Range;
use std::sync::Arc;

use crate::addr::HostAddr;
use crate::ids::{AtomId, Generation, InputId, SymbolId};
use crate::model::{Atom, AtomKind, Definition, NONE, Reloc, Symbol, SymbolRecord};
use crate::space::Region;
use crate::table::count_before;
use crate::tables::Tables;

/// See the [module page](self).
#[derive(Clone)]
pub struct View {
    tables: Arc<Tables>,
    generation: Generation,
}

/// What one generation added.
#[derive(Clone, Debug)]
pub struct Added {
    /// The generation.
    pub generation: Generation,
    /// Its inputs, first and one past the last.
    pub inputs: Range<InputId>,
    /// Its atoms, likewise; the session's own stubs and cells among them.
    pub atoms: Range<AtomId>,
    /// Its symbols, likewise; local ones and names bound outside among them.
    pub symbols: Range<SymbolId>,
    /// Older atoms that it overwrote in their slots. Whoever keeps debug
    /// information by address forgets theirs.
    pub overwritten: Vec<AtomId>,
    /// How its `run` step faulted, if it did.
    pub fault: Option<String>,
}

impl View {
    pub(crate) fn new(tables: Arc<Tables>, generation: Generation) -> View {
        View { tables, generation }
    }

    /// The generation this view shows.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// How many atoms there are.
    pub fn atom_count(&self) -> usize {
        self.tables.atoms_in(self.generation) as usize
    }

    /// The newest definition of a name for others to see, or where the image
    /// bound the name outside.
    pub fn symbol(&self, name: &str) -> Option<Symbol<'_>> {
        let name = self.tables.names.find(name)?;
        let shown = |record: &SymbolRecord| record.generation <= self.generation.0;
        let found = self
            .tables
            .find_symbol(name, |r| shown(r) && r.is_image_definition());
        let found = found.or_else(|| self.tables.find_symbol(name, shown))?;
        Some(self.symbol_by_id(found))
    }

    /// Every symbol of a name, newest first, local ones included. The first call
    /// after a publish takes in the local names that it brought.
    pub fn symbols_named(&self, name: &str) -> impl Iterator<Item = Symbol<'_>> {
        let mut all = self.tables.locals.named(&self.tables, name);
        let name = self.tables.names.find(name);
        let newest = name.and_then(|name| self.tables.names.newest(name));
        let global = std::iter::successors(newest, |symbol| self.tables.older(*symbol));
        all.extend(global);
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter()
            .filter(|symbol| self.tables.symbol(*symbol).generation <= self.generation.0)
            .map(|symbol| self.symbol_by_id(symbol))
    }

    /// A symbol of this session.
    pub fn symbol_by_id(&self, id: SymbolId) -> Symbol<'_> {
        let record = self.tables.symbol(id);
        Symbol {
            id,
            name: self.tables.symbol_name(id),
            definition: record.definition(),
            address: self.tables.symbol_address(id),
            size: u64::from(record.size),
            binding: record.binding,
            visibility: record.visibility,
            kind: record.kind,
            generation: Generation(record.generation),
        }
    }

    /// A thread-local symbol's offset from the thread pointer, in bytes; nothing
    /// for any other symbol. (Its `address` is that of its initial bytes.)
    pub fn thread_offset(&self, symbol: SymbolId) -> Option<i64> {
        self.tables.thread_offset(symbol)
    }

    /// All symbols, oldest first.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol<'_>> {
        let end = self.first_symbol_after(self.generation);
        (0..end).map(|index| self.symbol_by_id(SymbolId(index)))
    }

    /// The atom whose bytes lie at an address.
    pub fn atom_at(&self, address: HostAddr) -> Option<Atom> {
        let region = self
            .tables_regions()
            .find(|record| record.region.range().contains(&address))?;
        let atoms = &region.atoms;
        // Atoms of a region are in the order of their addresses.
        let (mut low, mut high) = (0, atoms.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let atom = *atoms.get(middle).expect("below the length");
            if self.tables.address(atom) <= address {
                low = middle + 1
            } else {
                high = middle
            }
        }
        // Empty atoms share an address with what follows them: look back past
        // them for one that holds the byte.
        for index in (0..low).rev() {
            let first = *atoms.get(index).expect("below the length");
            let atom = self.atom(self.occupant(first));
            if atom.id.0 < self.atom_count() as u32
                && address.distance_from(atom.address) < atom.size as i64
            {
                return Some(atom);
            }
            if atom.size > 0 {
                return None;
            }
        }
        None
    }

    /// The atom that is where `atom` was placed: itself, unless it was
    /// overwritten in its slot.
    fn occupant(&self, atom: AtomId) -> AtomId {
        std::iter::successors(Some(atom), |atom| self.overwritten_by(*atom))
            .last()
            .expect("it begins with one")
    }

    /// The atom that a replace batch has written over this one, if any did.
    /// Nothing of an overwritten atom is left; its symbols stand for the newer
    /// one's.
    pub fn overwritten_by(&self, atom: AtomId) -> Option<AtomId> {
        let newer = self.tables.successors.of(atom)?;
        (newer.0 < self.atom_count() as u32).then_some(newer)
    }

    /// The named symbol that covers an address, or else the nearest one before
    /// it in the same atom, and how far the address lies past it in bytes.
    pub fn symbol_at(&self, address: HostAddr) -> Option<(Symbol<'_>, u64)> {
        let atom = self.atom_at(address)?;
        let input = atom.input?;
        let generation = self.tables.input(input).generation;
        let first = self.first_symbol_after(Generation(generation - 1));
        let end = self.first_symbol_after(Generation(generation));
        let here = (first..end).map(SymbolId).filter_map(|symbol| {
            match self.tables.symbol(symbol).definition() {
                Definition::Atom(of, _) if of == atom.id => {
                    let past = address.distance_from(self.tables.symbol_address(symbol));
                    (past >= 0).then_some((past as u64, symbol))
                }
                _ => None,
            }
        });
        let (past, symbol) = here.min_by_key(|(past, _)| *past)?;
        Some((self.symbol_by_id(symbol), past))
    }

    /// An atom of this session.
    pub fn atom(&self, id: AtomId) -> Atom {
        let record = self.tables.atom(id);
        Atom {
            id,
            input: (record.input != NONE).then_some(InputId(record.input)),
            kind: record.kind,
            address: self.tables.address(id),
            size: u64::from(record.size),
            alignment: 1 << record.alignment_log2,
        }
    }

    /// All atoms, oldest first.
    pub fn atoms(&self) -> impl Iterator<Item = Atom> + '_ {
        (0..self.atom_count() as u32).map(|index| self.atom(AtomId(index)))
    }

    /// An atom's relocations, as they are kept.
    pub fn relocs(&self, atom: AtomId) -> impl Iterator<Item = Reloc> + '_ {
        let first = self.tables.atom(atom).relocs as usize;
        let next = self
            .tables
            .atoms
            .get(atom.index() + 1)
            .map(|next| next.relocs as usize);
        let end = next.unwrap_or_else(|| self.tables.relocs.len()).max(first);
        (first..end).filter_map(|index| self.tables.reloc(index))
    }

    /// The name an input was staged under.
    pub fn input_name(&self, input: InputId) -> &str {
        self.tables.input_name(input)
    }

    /// The generation that brought an input.
    pub fn input_generation(&self, input: InputId) -> Generation {
        Generation(self.tables.input(input).generation)
    }

    /// Where a symbol is defined, as messages say it: the input's name.
    pub fn place(&self, symbol: SymbolId) -> Option<String> {
        match self.tables.symbol(symbol).definition() {
            Definition::Atom(atom, _) => {
                let input = self.atom(atom).input?;
                let generation = self.input_generation(input);
                Some(format!("{} ({generation})", self.input_name(input)))
            }
            _ => None,
        }
    }

    /// The address ranges the image holds, newest slab last.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.tables_regions().map(|record| &record.region)
    }

    fn tables_regions(&self) -> impl Iterator<Item = &crate::tables::RegionRecord> {
        (0..self.tables.regions.len()).filter_map(|index| self.tables.regions.get(index))
    }

    /// The functions that came after `seen`, each of their names, with their
    /// sizes in bytes.
    pub fn functions(&self, seen: Generation) -> impl Iterator<Item = (Symbol<'_>, u64)> {
        let symbols = self.since(seen).flat_map(|added| added.symbol_ids());
        let symbols = symbols.map(|id| self.symbol_by_id(id));
        symbols.filter_map(|symbol| {
            let Definition::Atom(atom, offset) = symbol.definition else {
                return None;
            };
            let atom = self.atom(atom);
            let size = match symbol.size {
                0 => atom.size.saturating_sub(offset),
                size => size,
            };
            (atom.kind == AtomKind::Code).then_some((symbol, size))
        })
    }

    /// The functions that came after `seen`, as `perf` reads them from
    /// `/tmp/perf-PID.map`: start, size and name on a line, numbers in hex.
    /// Append what a newer view gives to the file as generations land.
    pub fn perf_map(&self, seen: Generation) -> String {
        use std::fmt::Write;
        let mut map = String::new();
        for (symbol, size) in self.functions(seen) {
            let (at, name) = (symbol.address.get(), symbol.name);
            writeln!(map, "{at:x} {size:x} {name}").expect("a string takes all");
        }
        map
    }

    /// What each generation after `seen` added, oldest first. This is how
    /// subscribers keep up: they pull.
    pub fn since(&self, seen: Generation) -> impl Iterator<Item = Added> + '_ {
        (seen.0 + 1..=self.generation.0).map(|number| self.added(Generation(number)))
    }

    /// What one generation added.
    pub fn added(&self, generation: Generation) -> Added {
        let before = Generation(generation.0 - 1);
        let faults = self
            .tables
            .faults
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let fault = faults.iter().find(|(faulted, _)| *faulted == generation);
        let atoms = AtomId(self.tables.atoms_in(before))..AtomId(self.tables.atoms_in(generation));
        Added {
            generation,
            inputs: InputId(self.first_input_after(before))
                ..InputId(self.first_input_after(generation)),
            overwritten: self.tables.successors.overwritten_by(&atoms),
            atoms,
            symbols: SymbolId(self.first_symbol_after(before))
                ..SymbolId(self.first_symbol_after(generation)),
            fault: fault.map(|(_, why)| why.clone()),
        }
    }

    fn first_symbol_after(&self, generation: Generation) -> u32 {
        let symbols = &self.tables.symbols;
        let known = |index| {
            symbols
                .get(index)
                .is_some_and(|symbol| symbol.generation <= generation.0)
        };
        count_before(symbols.len(), known) as u32
    }

    fn first_input_after(&self, generation: Generation) -> u32 {
        let inputs = &self.tables.inputs;
        let known = |index| {
            inputs
                .get(index)
                .is_some_and(|input| input.generation <= generation.0)
        };
        count_before(inputs.len(), known) as u32
    }
}

impl Added {
    /// The ids of the atoms.
    pub fn atom_ids(&self) -> impl Iterator<Item = AtomId> + use<> {
        (self.atoms.start.0..self.atoms.end.0).map(AtomId)
    }

    /// The ids of the symbols.
    pub fn symbol_ids(&self) -> impl Iterator<Item = SymbolId> + use<> {
        (self.symbols.start.0..self.symbols.end.0).map(SymbolId)
    }

    /// The ids of the inputs.
    pub fn input_ids(&self) -> impl Iterator<Item = InputId> + use<> {
        (self.inputs.start.0..self.inputs.end.0).map(InputId)
    }
}
