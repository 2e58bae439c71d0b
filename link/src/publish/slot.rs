//! Slots: where new code may be written over old, and how much room there is.
//!
//! A staged atom may take the place of an image's when every function of the old
//! one begins at the same offset in the new one, nothing but itself jumps into
//! the old one's middle, and the new bytes end before the next atom begins. What
//! lies between functions is theirs too when it is padding.
//!
//! What is known of an old generation is gathered once for each batch.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::addr::HostAddr;
use crate::arch::x86_64::{code_offset, may_be_padding};
use crate::batch::Ground;
use crate::error::Error;
use crate::ids::{AtomId, Generation, InputId, SymbolId};
use crate::model::{AtomKind, NONE, RelocTarget};
use crate::session::Session;
use crate::tables::Tables;
use crate::view::View;

/// Padding is no longer than functions are aligned to.
const MOST_PADDING: u64 = 64;

/// What is known of the generations whose functions are replaced.
#[derive(Default)]
pub(super) struct Old {
    known: FxHashSet<u32>,
    /// For each atom where its symbols are, counted from its start, ascending.
    starts: FxHashMap<AtomId, Vec<u64>>,
    /// Atoms that code elsewhere jumps into the middle of.
    entered: FxHashSet<AtomId>,
}

impl Old {
    /// The offsets of an atom's symbols.
    pub fn starts(&mut self, session: &Session, atom: AtomId) -> &[u64] {
        self.learn(session, atom);
        self.starts.get(&atom).map_or(&[], |starts| starts)
    }

    /// Whether other code than its own enters an atom where no symbol is.
    pub fn is_entered(&mut self, session: &Session, atom: AtomId) -> bool {
        self.learn(session, atom);
        self.entered.contains(&atom)
    }

    fn learn(&mut self, session: &Session, atom: AtomId) {
        let input = session.tables.atom(atom).input;
        if input == NONE {
            return;
        }
        let generation = session.tables.input(InputId(input)).generation;
        if !self.known.insert(generation) {
            return;
        }
        let view = session.view();
        let added = view.added(Generation(generation));
        for symbol in added.symbol_ids() {
            let record = session.tables.symbol(symbol);
            if session.tables.atoms.get(record.atom as usize).is_some() {
                let starts = self.starts.entry(AtomId(record.atom)).or_default();
                starts.push(record.value);
            }
        }
        for starts in self.starts.values_mut() {
            starts.sort_unstable();
            starts.dedup();
        }
        for atom in added.atom_ids() {
            if view.atom(atom).kind == AtomKind::Code {
                self.note_entered(&session.tables, &view, atom);
            }
        }
    }

    fn note_entered(&mut self, tables: &Tables, view: &View, from: AtomId) {
        for reloc in view.relocs(from) {
            let (atom, base) = match reloc.target {
                RelocTarget::Atom(atom) => (atom, 0),
                RelocTarget::Symbol(symbol) => {
                    let record = tables.symbol(symbol);
                    match tables.atoms.get(record.atom as usize) {
                        Some(_) => (AtomId(record.atom), record.value),
                        None => continue,
                    }
                }
                RelocTarget::Null => continue,
            };
            let offset = base.wrapping_add(code_offset(reloc.kind, reloc.addend) as u64);
            let starts = self.starts.get(&atom);
            let at_start = starts.is_some_and(|starts| starts.binary_search(&offset).is_ok());
            if atom != from && !at_start {
                self.entered.insert(atom);
            }
        }
    }
}

/// How many bytes an atom's slot has: up to the next atom of its region.
pub(super) fn capacity(session: &Session, atom: AtomId) -> u64 {
    let tables = &session.tables;
    let record = tables.atom(atom);
    let own = (record.offset, record.size);
    let atoms = &tables.region(record.region).atoms;
    let offset = |index: usize| {
        let atom = *atoms.get(index).expect("below the length");
        tables.atom(atom).offset
    };
    let (mut low, mut high) = (0, atoms.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if offset(middle) <= own.0 {
            low = middle + 1
        } else {
            high = middle
        }
    }
    match low < atoms.len() {
        true => u64::from(offset(low) - own.0),
        false => u64::from(own.1),
    }
}

/// How many bytes may be overwritten from a function's start: its own, and the
/// padding behind it.
pub(super) fn room(
    session: &Session,
    old: &mut Old,
    function: SymbolId,
    ground: &mut dyn Ground,
) -> Result<u64, Error> {
    let tables = &session.tables;
    let record = *tables.symbol(function);
    let atom = AtomId(record.atom);
    let to_end = u64::from(tables.atom(atom).size).saturating_sub(record.value);
    let size = match u64::from(record.size) {
        0 => to_end,
        size => size.min(to_end),
    };
    let starts = old.starts(session, atom);
    let next = starts.iter().find(|start| **start > record.value);
    let limit = match next {
        Some(next) => next - record.value,
        None => capacity(session, atom).saturating_sub(record.value),
    };
    let limit = limit.min(size.saturating_add(MOST_PADDING)).max(size);
    let at = tables.symbol_address(function);
    let mut between = vec![0; (limit - size) as usize];
    ground.space().read(at.add(size), &mut between)?;
    let padding = between.iter().take_while(|byte| may_be_padding(**byte));
    Ok(size + padding.count() as u64)
}

/// Whether an address is a multiple of an alignment.
pub(super) fn is_aligned(at: HostAddr, alignment_log2: u8) -> bool {
    at.get().trailing_zeros() >= u32::from(alignment_log2)
}
