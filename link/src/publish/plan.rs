//! `plan`: placements, relocation values and records of a batch, or an error.
//!
//! Pure but for the reservation of a fresh slab, which the caller gives back
//! when the batch fails. Atoms are placed in the order they were staged; then
//! every relocation's value is computed and its range checked, and stubs and
//! cells are added as they turn out to be needed.

use rustc_hash::FxHashMap;

use crate::addr::HostAddr;
use crate::arch::x86_64::{self, CELL_LEN, Field, Letters, Needs, STUB_LEN};
use crate::error::Error;
use crate::ids::{AtomId, NameId, SymbolId};
use crate::image::{Ground, SEGMENTS, Slab, segment_of};
use crate::model::{
    AtomKind, AtomRecord, Binding, NONE, Reloc, RelocRecord, RelocTarget, SymbolRecord,
};
use crate::publish::bind::{Bound, Target, place};
use crate::session::Session;
use crate::staged::{Role, Staged, StagedDefinition, StagedReloc};
use crate::txn::{Fix, FunctionList, Made, Txn};

/// Zero bytes after each input's `.eh_frame`, which end the unwinder's list.
const EH_FRAME_TERMINATOR: u32 = 4;

/// Which slab a batch must go to: below 2 GiB when any of its fields holds a
/// 32-bit absolute address.
pub(super) fn ground(staged: &Staged<'_>) -> Ground {
    let low = staged
        .relocs
        .iter()
        .any(|reloc| x86_64::is_absolute_32(reloc.kind));
    if low { Ground::Low } else { Ground::Preferred }
}

/// An upper bound of what a batch takes in each segment, in bytes.
pub(super) fn wanted(staged: &Staged<'_>) -> [u64; SEGMENTS] {
    let mut wanted = [64; SEGMENTS];
    for atom in staged.atoms.iter().filter(|atom| !atom.discarded) {
        let padding = (1 << atom.alignment_log2) + u64::from(EH_FRAME_TERMINATOR);
        wanted[segment_of(atom.kind)] += u64::from(atom.size) + padding;
    }
    wanted[0] += staged.relocs.len() as u64 * STUB_LEN;
    wanted[2] += staged.relocs.len() as u64 * CELL_LEN;
    wanted
}

/// Computes everything the batch would change in `slab`.
pub(super) fn plan(
    session: &Session,
    staged: &Staged<'_>,
    bound: &Bound,
    slab: &Slab,
) -> Result<Txn, Error> {
    let mut plan = Plan {
        session,
        staged,
        bound,
        slab,
        next_symbol: session.tables.symbols.len() as u32,
        next_atom: session.tables.atoms.len() as u32,
        symbol_numbers: vec![NONE; staged.symbols.len()],
        outside_numbers: Vec::with_capacity(bound.outside.len()),
        new_names: FxHashMap::default(),
        txn: Txn {
            used: slab.segments.each_ref().map(|segment| segment.used),
            ..Txn::default()
        },
    };
    plan.number_atoms()?;
    plan.place_atoms();
    plan.name_symbols();
    plan.relocate()?;
    plan.keep_own_atoms();
    plan.list_actions()?;
    Ok(plan.txn)
}

struct Plan<'p, 'i> {
    session: &'p Session,
    staged: &'p Staged<'i>,
    bound: &'p Bound,
    slab: &'p Slab,
    /// Ids that the first published records will get.
    next_symbol: u32,
    next_atom: u32,
    /// For each staged symbol that is published, its index in `txn.symbols`.
    symbol_numbers: Vec<u32>,
    /// The same for each name bound outside.
    outside_numbers: Vec<u32>,
    /// Names new to the session, with their index in `txn.names`.
    new_names: FxHashMap<&'p str, u32>,
    txn: Txn,
}

/// What a relocation refers to.
struct Resolved {
    address: u64,
    /// The symbol's size, for the relocations that ask for it.
    size: u64,
    /// How the kept record names it, and what that adds to the addend.
    target: RelocTarget,
    offset: u64,
}

impl<'p> Plan<'p, '_> {
    /// Makes a record of every kept atom, in the order they were staged.
    fn number_atoms(&mut self) -> Result<(), Error> {
        let first_input = self.session.tables.inputs.len() as u32;
        for (index, atom) in self.staged.atoms.iter().enumerate() {
            if atom.discarded {
                self.txn.atom_numbers.push(NONE);
                continue;
            }
            if atom.kind == AtomKind::ThreadLocal {
                let name = self.staged.atom_name(index as u32);
                let what = format!("`{name}` is thread-local, which this target has no room for");
                let input = &self.staged.input_of_atom(index as u32).name;
                return Err(Error::unsupported(input, what));
            }
            self.txn.atom_numbers.push(self.txn.atoms.len() as u32);
            self.txn.atoms.push(AtomRecord {
                input: first_input + atom.input,
                offset: 0,
                size: atom.size,
                relocs: 0,
                region: self.slab.first_region + segment_of(atom.kind) as u16,
                kind: atom.kind,
                alignment_log2: atom.alignment_log2,
            });
        }
        Ok(())
    }

    /// Gives every kept atom its address. Zeroes come behind the data, and the
    /// session's own cells behind them, so that zeroes are never written.
    fn place_atoms(&mut self) {
        for zeroes in [false, true] {
            for (index, atom) in self.staged.atoms.iter().enumerate() {
                let number = self.txn.atom_numbers[index];
                if number == NONE || (atom.kind == AtomKind::Zero) != zeroes {
                    continue;
                }
                let behind = if atom.role == Role::EhFrame {
                    EH_FRAME_TERMINATOR
                } else {
                    0
                };
                let len = u64::from(atom.size) + u64::from(behind);
                let offset = self.take(segment_of(atom.kind), len, 1 << atom.alignment_log2);
                self.txn.atoms[number as usize].offset = offset;
            }
            if !zeroes {
                self.txn.data_end = self.txn.used[2];
            }
        }
        self.txn.cells_start = self.txn.used[2].next_multiple_of(CELL_LEN);
        self.txn.stubs_start = self.txn.used[0].next_multiple_of(STUB_LEN);
    }

    /// Moves a segment's cursor past `len` aligned bytes and gives where they
    /// begin, counted from the segment's start.
    fn take(&mut self, segment: usize, len: u64, alignment: u64) -> u32 {
        let region = &self.slab.segments[segment].region;
        let base = region.start.get();
        let offset = (base + self.txn.used[segment]).next_multiple_of(alignment) - base;
        let used = offset + len;
        assert!(used <= region.length, "`wanted` bounds what a batch takes");
        self.txn.used[segment] = used;
        offset as u32
    }

    /// Makes records of the symbols that the batch publishes: its definitions,
    /// its named locals, and the names it bound outside.
    fn name_symbols(&mut self) {
        let mut winners = self.bound.winners.iter().peekable();
        for index in 0..self.staged.symbols.len() as u32 {
            let wins = winners.next_if(|winner| **winner == index).is_some();
            let symbol = &self.staged.symbols[index as usize];
            if !wins && (symbol.binding != Binding::Local || symbol.nameless) {
                continue;
            }
            let (value, atom) = match symbol.definition {
                StagedDefinition::Atom(atom, offset) => {
                    let number = self.txn.atom_numbers[atom as usize];
                    if number == NONE {
                        continue;
                    }
                    (offset, self.next_atom + number)
                }
                StagedDefinition::Absolute(value) => (value, SymbolRecord::ABSOLUTE),
                _ => continue,
            };
            self.symbol_numbers[index as usize] = self.txn.symbols.len() as u32;
            self.push_symbol(index, value, atom, symbol.binding);
        }
        for &(index, address) in &self.bound.outside {
            self.outside_numbers.push(self.txn.symbols.len() as u32);
            self.push_symbol(index, address, SymbolRecord::OUTSIDE, Binding::Global);
        }
    }

    fn push_symbol(&mut self, staged: u32, value: u64, atom: u32, binding: Binding) {
        let symbol = &self.staged.symbols[staged as usize];
        let record = SymbolRecord {
            value,
            name: self.name_id(staged).0,
            generation: self.session.generation().0 + 1,
            older: NONE,
            atom,
            size: u32::try_from(symbol.size).unwrap_or(u32::MAX),
            binding,
            visibility: symbol.visibility,
            kind: symbol.kind,
        };
        self.txn.symbols.push(record);
    }

    /// The id a symbol's name has, or will have once the batch is committed.
    fn name_id(&mut self, staged: u32) -> NameId {
        let text = self.staged.symbol_name(staged);
        let names = &self.session.tables.names;
        if let Some(name) = names.find(text) {
            return name;
        }
        let number = *self
            .new_names
            .entry(text)
            .or_insert(self.txn.names.len() as u32);
        if number == self.txn.names.len() as u32 {
            self.txn.names.push(staged);
        }
        NameId(names.len() as u32 + number)
    }

    /// Computes every field of every kept atom.
    fn relocate(&mut self) -> Result<(), Error> {
        let first = self.session.tables.relocs.len() as u32;
        for index in 0..self.staged.atoms.len() as u32 {
            let number = self.txn.atom_numbers[index as usize];
            if number == NONE {
                continue;
            }
            self.txn.atoms[number as usize].relocs = first + self.txn.relocs.len() as u32;
            for reloc in self.staged.atoms[index as usize].relocs.clone() {
                self.relocate_one(index, &self.staged.relocs[reloc as usize])?;
            }
        }
        Ok(())
    }

    fn relocate_one(&mut self, atom: u32, reloc: &StagedReloc) -> Result<(), Error> {
        let resolved = self.resolve(reloc.symbol);
        self.txn.relocs.push(RelocRecord::pack(Reloc {
            offset: reloc.offset,
            kind: reloc.kind,
            target: resolved.target,
            addend: reloc.addend.wrapping_add(resolved.offset as i64),
        }));
        if self.bound.targets[reloc.symbol as usize] == Target::Discarded {
            return self.refer_to_discarded(atom, reloc);
        }
        let needs = x86_64::needs(reloc.kind).expect("the reader refuses other kinds");
        let mut letters = Letters {
            s: resolved.address,
            a: reloc.addend,
            p: self.address_of(atom).add(u64::from(reloc.offset)).get(),
            z: resolved.size,
            cell: 0,
            got: self.slab.got().get(),
        };
        if needs == Needs::Cell {
            letters.cell = self.cell_for(resolved.address).get();
        }
        let mut field = x86_64::field(reloc.kind, &letters);
        if field.is_none() && needs == Needs::Reach && self.is_branch(atom, reloc) {
            letters.s = self.stub_for(resolved.address, atom, reloc)?.get();
            field = x86_64::field(reloc.kind, &letters);
        }
        let Some(field) = field else {
            return Err(self.out_of_range(atom, reloc, &letters));
        };
        self.txn.fixes.push(Fix {
            atom,
            offset: reloc.offset,
            field,
        });
        Ok(())
    }

    /// A reference to a discarded copy of a COMDAT group. Unwinders take a zero
    /// pc for an entry that a linker dropped; from anywhere else it is an error.
    fn refer_to_discarded(&mut self, atom: u32, reloc: &StagedReloc) -> Result<(), Error> {
        if self.staged.atoms[atom as usize].role != Role::EhFrame {
            let place = place(self.staged, atom, reloc.offset);
            let what = format!(
                "{}+{:#x} refers to a discarded copy of a COMDAT group",
                place.section, place.offset
            );
            return Err(Error::malformed(&place.input, what));
        }
        let field = Field {
            value: 0,
            width: x86_64::width(reloc.kind),
        };
        self.txn.fixes.push(Fix {
            atom,
            offset: reloc.offset,
            field,
        });
        Ok(())
    }

    fn resolve(&self, symbol: u32) -> Resolved {
        let staged = &self.staged.symbols[symbol as usize];
        let published = |number: u32| {
            (number != NONE).then(|| RelocTarget::Symbol(SymbolId(self.next_symbol + number)))
        };
        match self.bound.targets[symbol as usize] {
            Target::Atom(atom, offset) => {
                let number = self.txn.atom_numbers[atom as usize];
                let address = self.address_of(atom).add(offset).get();
                let (target, offset) = match published(self.symbol_numbers[symbol as usize]) {
                    Some(target) => (target, 0),
                    None => (RelocTarget::Atom(AtomId(self.next_atom + number)), offset),
                };
                Resolved {
                    address,
                    size: staged.size,
                    target,
                    offset,
                }
            }
            Target::Absolute(value) => {
                let target = published(self.symbol_numbers[symbol as usize]);
                let target = target.unwrap_or(RelocTarget::Null);
                Resolved {
                    address: value,
                    size: staged.size,
                    target,
                    offset: value,
                }
            }
            Target::Known(known) => {
                let tables = &self.session.tables;
                let size = u64::from(tables.symbol(known).size);
                let address = tables.symbol_address(known).get();
                Resolved {
                    address,
                    size,
                    target: RelocTarget::Symbol(known),
                    offset: 0,
                }
            }
            Target::Outside(number) => {
                let address = self.bound.outside[number as usize].1;
                let target = published(self.outside_numbers[number as usize]);
                let target = target.expect("names bound outside are published");
                Resolved {
                    address,
                    size: staged.size,
                    target,
                    offset: 0,
                }
            }
            Target::GotBase => self.fixed(self.slab.got()),
            Target::ImageBase => self.fixed(self.slab.segments[0].region.start),
            Target::Null | Target::Discarded | Target::Unbound => self.fixed(HostAddr(0)),
        }
    }

    fn fixed(&self, address: HostAddr) -> Resolved {
        Resolved {
            address: address.get(),
            size: 0,
            target: RelocTarget::Null,
            offset: address.get(),
        }
    }

    fn address_of(&self, atom: u32) -> HostAddr {
        let number = self.txn.atom_numbers[atom as usize];
        let offset = self.txn.atoms[number as usize].offset;
        let segment = segment_of(self.staged.atoms[atom as usize].kind);
        self.slab.segments[segment]
            .region
            .start
            .add(u64::from(offset))
    }

    /// Whether a field is the target of a call or jump, which may go through a
    /// stub. A PLT32 always is; a PC32 is by the opcode before it.
    fn is_branch(&self, atom: u32, reloc: &StagedReloc) -> bool {
        let bytes = self.staged.atoms[atom as usize].bytes;
        let bytes = bytes.of(self.staged.input_of_atom(atom).source.bytes());
        x86_64::is_branch(reloc.kind, &bytes[..reloc.offset as usize])
    }

    /// The cell that holds `value`, made if there is none in reach.
    fn cell_for(&mut self, value: u64) -> HostAddr {
        if let Some(&cell) = self
            .slab
            .cells
            .get(&value)
            .or_else(|| self.txn.cells.get(&value))
        {
            return cell;
        }
        let offset = self.take(2, CELL_LEN, CELL_LEN);
        let cell = self.slab.segments[2].region.start.add(u64::from(offset));
        self.txn.cells.insert(value, cell);
        self.txn.made.push(Made {
            segment: 2,
            offset,
            bytes: value.to_le_bytes(),
        });
        cell
    }

    /// The stub that jumps to `value`, made if there is none in reach.
    fn stub_for(&mut self, value: u64, atom: u32, reloc: &StagedReloc) -> Result<HostAddr, Error> {
        if let Some(&stub) = self
            .slab
            .stubs
            .get(&value)
            .or_else(|| self.txn.stubs.get(&value))
        {
            return Ok(stub);
        }
        let cell = self.cell_for(value).get();
        let offset = self.take(0, STUB_LEN, STUB_LEN);
        let stub = self.slab.segments[0].region.start.add(u64::from(offset));
        let Some(bytes) = x86_64::stub(stub.get(), cell) else {
            let letters = Letters {
                s: cell,
                a: 0,
                p: stub.get(),
                z: 0,
                cell,
                got: 0,
            };
            return Err(self.out_of_range(atom, reloc, &letters));
        };
        self.txn.stubs.insert(value, stub);
        self.txn.made.push(Made {
            segment: 0,
            offset,
            bytes,
        });
        Ok(stub)
    }

    fn out_of_range(&self, atom: u32, reloc: &StagedReloc, letters: &Letters) -> Error {
        let symbol = &self.staged.symbols[reloc.symbol as usize];
        let name = self.staged.symbol_name(reloc.symbol);
        let symbol = match (name, symbol.definition) {
            ("", StagedDefinition::Atom(atom, _)) => self.staged.atom_name(atom).to_owned(),
            _ => name.to_owned(),
        };
        Error::Range {
            place: place(self.staged, atom, reloc.offset),
            relocation: x86_64::name(reloc.kind).unwrap_or("relocation"),
            symbol,
            target: HostAddr(letters.s),
            field: HostAddr(letters.p),
        }
    }

    /// Adds one atom for the batch's stubs and one for its cells, so that every
    /// published byte belongs to an atom.
    fn keep_own_atoms(&mut self) {
        let starts = [
            (0, AtomKind::Code, self.txn.stubs_start),
            (2, AtomKind::Data, self.txn.cells_start),
        ];
        let made = [!self.txn.stubs.is_empty(), !self.txn.cells.is_empty()];
        for ((segment, kind, start), made) in starts.into_iter().zip(made) {
            if made {
                self.txn.atoms.push(AtomRecord {
                    input: NONE,
                    offset: start as u32,
                    size: (self.txn.used[segment] - start) as u32,
                    relocs: (self.session.tables.relocs.len() + self.txn.relocs.len()) as u32,
                    region: self.slab.first_region + segment as u16,
                    kind,
                    alignment_log2: 3,
                });
            }
        }
    }

    /// Lists what must run in the target: unwind registrations, initialisers by
    /// rising priority, finalisers by falling.
    fn list_actions(&mut self) -> Result<(), Error> {
        for (index, atom) in self.staged.atoms.iter().enumerate() {
            let index = index as u32;
            if self.txn.atom_numbers[index as usize] == NONE || atom.size == 0 {
                continue;
            }
            let at = self.address_of(index);
            let list = |priority, reversed| FunctionList {
                priority,
                at,
                count: atom.size / 8,
                reversed,
            };
            match atom.role {
                Role::Plain => {}
                Role::EhFrame => {
                    let len = u64::from(atom.size + EH_FRAME_TERMINATOR);
                    self.txn.actions.unwind.push(at.range(len));
                }
                Role::Initialisers { priority, reversed } => {
                    self.txn.actions.initialisers.push(list(priority, reversed));
                }
                Role::Finalisers { priority, reversed } => {
                    // At exit the last registered runs first, and within one
                    // array the last entry does.
                    self.txn.actions.finalisers.push(list(priority, reversed));
                }
            }
        }
        self.txn
            .actions
            .initialisers
            .sort_by_key(|list| list.priority);
        self.txn
            .actions
            .finalisers
            .sort_by_key(|list| list.priority);
        Ok(())
    }
}
