//! `plan`: placements, relocation values and records of a batch, or an error.
//!
//! Pure but for what the caller reserved for it and gives back when the batch
//! fails: a fresh slab, and room for thread-locals. Atoms are placed in the
//! order they were staged, but for sections whose bounds are wanted, which come
//! together; then [`relocate`](super::relocate) computes every field, and adds
//! stubs and cells as they turn out to be needed.

use crate::addr::HostAddr;
use crate::arch::x86_64::{self, CELL_LEN, STUB_LEN};
use crate::error::Error;
use crate::ids::{AtomId, InputId, NameId, SymbolId};
use crate::image::{Ground, SEGMENTS, Slab, segment_of};
use crate::model::{AtomKind, AtomRecord, Binding, NONE, RelocTarget, SymbolKind, SymbolRecord};
use crate::publish::bind::{Bound, COPY_LEN, Target};
use crate::publish::unwind;
use crate::session::Session;
use crate::staged::{Role, Staged, StagedDefinition};
use crate::txn::{FunctionList, IfuncCell, InSlot, Made, Resolved, ThreadBlock, Txn};

/// Zero bytes after each input's `.eh_frame`, which end the unwinder's list.
const EH_FRAME_TERMINATOR: u32 = 4;

/// Which slab a batch must go to: below 2 GiB when any of its fields holds a
/// 32-bit absolute address.
pub(super) fn ground(staged: &Staged<'_>) -> Ground {
    if staged.wants_low {
        Ground::Low
    } else {
        Ground::Preferred
    }
}

/// An upper bound of what a batch takes in each segment, in bytes.
pub(super) fn wanted(staged: &Staged<'_>, bound: &Bound) -> [u64; SEGMENTS] {
    let mut wanted = [64; SEGMENTS];
    for atom in staged.atoms.iter().filter(|atom| !atom.discarded) {
        let padding = (1 << atom.alignment_log2) + u64::from(EH_FRAME_TERMINATOR);
        wanted[segment_of(atom.kind)] += u64::from(atom.size) + padding;
    }
    let frames = staged.atoms.iter().filter(|a| a.role == Role::EhFrame);
    // An entry has at least 16 bytes.
    let frames: u64 = frames.map(|atom| u64::from(atom.size) / 16).sum();
    wanted[unwind::SEGMENT] += unwind::ARRAY + frames * 8;
    let made = (staged.relocs.len() + bound.ifuncs.len()) as u64;
    wanted[0] += made * STUB_LEN;
    wanted[2] += made * CELL_LEN + (bound.copies.len() * COPY_LEN) as u64;
    wanted
}

/// The kept thread-local atoms with their offsets in the batch's block, and the
/// block's size and alignment.
pub(super) fn thread_layout(staged: &Staged<'_>, atoms: &mut Vec<(u32, i64)>) -> (u64, u64) {
    let (mut size, mut alignment) = (0u64, 1);
    for (index, atom) in staged.atoms.iter().enumerate() {
        if atom.kind == AtomKind::ThreadLocal && !atom.discarded {
            let own = 1 << atom.alignment_log2;
            size = size.next_multiple_of(own);
            atoms.push((index as u32, size as i64));
            size += u64::from(atom.size);
            alignment = alignment.max(own);
        }
    }
    (size, alignment)
}

/// Computes everything the batch would change in `slab`. `txn` holds the
/// thread-locals' places already and nothing else.
pub(super) fn plan(
    session: &Session,
    staged: &Staged<'_>,
    bound: &mut Bound,
    slab: &Slab,
    txn: &mut Txn,
) -> Result<(), Error> {
    txn.code_start = slab.segments[0].region.start;
    txn.used = slab.segments.each_ref().map(|segment| segment.used);
    let mut plan = Plan {
        session,
        staged,
        bound,
        slab,
        next_symbol: session.tables.symbols.len() as u32,
        next_atom: session.tables.atoms.len() as u32,
        kept_atoms: 0,
        txn,
    };
    plan.number_atoms();
    plan.place_atoms();
    plan.place_thread_locals();
    plan.place_ifuncs();
    plan.resolve_symbols();
    plan.relocate()?;
    plan.keep_own_atoms();
    plan.list_actions();
    plan.list_frames()
}

pub(super) struct Plan<'p, 'i> {
    pub session: &'p Session,
    pub staged: &'p Staged<'i>,
    pub bound: &'p mut Bound,
    pub slab: &'p Slab,
    /// Ids that the first published records will get.
    next_symbol: u32,
    next_atom: u32,
    /// How many staged atoms are kept; the session's own are numbered after.
    kept_atoms: u32,
    pub txn: &'p mut Txn,
}

impl Plan<'_, '_> {
    /// Makes a record of every kept atom, in the order they were staged. Their
    /// relocations are kept in the same order.
    fn number_atoms(&mut self) {
        let first_input = self.session.tables.inputs.len() as u32;
        let mut relocs = self.session.tables.relocs.len() as u32;
        for atom in &self.staged.atoms {
            if atom.discarded {
                self.txn.atom_numbers.push(NONE);
                continue;
            }
            self.txn.atom_numbers.push(self.txn.atoms.len() as u32);
            self.txn.atoms.push(AtomRecord {
                input: first_input + atom.input,
                offset: 0,
                size: atom.size,
                relocs,
                region: self.slab.first_region + segment_of(atom.kind) as u16,
                kind: atom.kind,
                alignment_log2: atom.alignment_log2,
            });
            relocs += atom.relocs.len() as u32;
        }
        self.kept_atoms = self.txn.atoms.len() as u32;
    }

    /// Gives every kept atom its address. Zeroes come behind the data, and the
    /// session's own cells behind them, so that zeroes are never written.
    fn place_atoms(&mut self) {
        for zeroes in [false, true] {
            for bracket in 0..self.bound.brackets.len() {
                for member in 0..self.bound.brackets[bracket].len() {
                    self.place_atom(self.bound.brackets[bracket][member], zeroes);
                }
            }
            for index in 0..self.staged.atoms.len() as u32 {
                if !self.bound.brackets.iter().any(|b| b.contains(&index)) {
                    self.place_atom(index, zeroes);
                }
            }
            if !zeroes {
                self.txn.data_end = self.txn.used[2];
            }
        }
        self.txn.cells_start = self.txn.used[2].next_multiple_of(CELL_LEN);
        self.txn.stubs_start = self.txn.used[0].next_multiple_of(STUB_LEN);
    }

    fn place_atom(&mut self, index: u32, zeroes: bool) {
        let number = self.txn.atom_numbers[index as usize];
        let atom = &self.staged.atoms[index as usize];
        if number == NONE || (atom.kind == AtomKind::Zero) != zeroes {
            return;
        }
        if let Some(offset) = self.place_in_slot(index) {
            self.txn.atoms[number as usize].offset = offset;
            return;
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

    /// Gives an atom the place of the one that it replaces, where it may have it
    /// and that lies in this slab.
    fn place_in_slot(&mut self, index: u32) -> Option<u32> {
        let old = AtomId(*self.bound.slots.get(index as usize)?);
        let record = self.session.tables.atoms.get(old.index())?;
        if record.region != self.slab.first_region {
            return None;
        }
        let at = self.session.tables.address(old);
        self.txn.in_slots.push(InSlot {
            staged: index,
            old,
            range: at.range(u64::from(record.size)),
        });
        Some(record.offset)
    }

    /// Moves a segment's cursor past `len` aligned bytes and gives where they
    /// begin, counted from the segment's start.
    pub fn take(&mut self, segment: usize, len: u64, alignment: u64) -> u32 {
        let region = &self.slab.segments[segment].region;
        let base = region.start.get();
        let offset = (base + self.txn.used[segment]).next_multiple_of(alignment) - base;
        let used = offset + len;
        assert!(used <= region.length, "`wanted` bounds what a batch takes");
        self.txn.used[segment] = used;
        offset as u32
    }

    /// Turns offsets in the batch's thread-local block into offsets from the
    /// thread pointer, and staged atoms into published ones.
    fn place_thread_locals(&mut self) {
        let Some(ThreadBlock { offset, .. }) = self.txn.thread_block else {
            return;
        };
        for (atom, in_block) in &mut self.txn.thread_locals {
            *atom = self.txn.atom_numbers[*atom as usize];
            *in_block += offset;
        }
    }

    /// Gives each indirect function a stub and the cell that its resolver's
    /// answer goes to. They come first among the session's own.
    fn place_ifuncs(&mut self) {
        for index in 0..self.bound.ifuncs.len() {
            let (atom, offset) = self.bound.ifuncs[index];
            let (cell_at, cell) = self.take_own(2, CELL_LEN);
            let (stub_at, stub) = self.take_own(0, STUB_LEN);
            let bytes = x86_64::stub(stub.get(), cell.get());
            let bytes = bytes.expect("a slab's segments are in reach of one another");
            let made = [(0, stub_at, bytes), (2, cell_at, [0; 8])];
            self.txn
                .made
                .extend(made.map(|(segment, offset, bytes)| Made {
                    segment,
                    offset,
                    bytes,
                }));
            let resolver = self.address_of(atom).add(offset);
            self.txn.actions.ifuncs.push(IfuncCell { cell, resolver });
        }
    }

    /// Room for a stub or cell of the session's own: its offset and address.
    pub fn take_own(&mut self, segment: usize, len: u64) -> (u32, HostAddr) {
        let offset = self.take(segment, len, len);
        let start = self.slab.segments[segment].region.start;
        (offset, start.add(u64::from(offset)))
    }

    /// Makes records of the symbols that the batch publishes (its definitions,
    /// its named locals, and the names it bound outside), and says what every
    /// staged symbol resolves to.
    fn resolve_symbols(&mut self) {
        let first_outside = self.name_symbols();
        for index in 0..self.staged.symbols.len() as u32 {
            let mut resolved = self.resolve(index, first_outside);
            // A name that the batch defines is referred to by its symbol.
            let symbol = &self.staged.symbols[index as usize];
            let winner = if symbol.binding == Binding::Local || symbol.nameless {
                NONE
            } else {
                self.bound.names.of(index).winner
            };
            let definition = if winner == NONE { index } else { winner };
            let recorded = self.txn.resolved[definition as usize].target;
            if recorded != RelocTarget::Null {
                resolved.target = recorded;
                resolved.offset = 0;
            }
            self.txn.resolved[index as usize] = resolved;
        }
    }

    /// Pushes the records, and says in `resolved` which staged symbols have
    /// one. Gives the number of the first of those bound outside.
    fn name_symbols(&mut self) -> u32 {
        let nothing = Resolved {
            address: 0,
            offset: 0,
            target: RelocTarget::Null,
            size: 0,
            thread_local: false,
        };
        let mut next_winner = 0;
        for index in 0..self.staged.symbols.len() as u32 {
            self.txn.resolved.push(nothing);
            let wins = self.bound.winners.get(next_winner) == Some(&index);
            next_winner += usize::from(wins);
            let symbol = &self.staged.symbols[index as usize];
            if !wins && (symbol.binding != Binding::Local || symbol.nameless) {
                continue;
            }
            let (value, atom) = match (self.bound.targets[index as usize], symbol.definition) {
                (Target::Ifunc(number), _) => (
                    u64::from(number) * STUB_LEN,
                    self.next_atom + self.kept_atoms,
                ),
                (_, StagedDefinition::Atom(atom, offset)) => {
                    let number = self.txn.atom_numbers[atom as usize];
                    if number == NONE {
                        continue;
                    }
                    (offset, self.next_atom + number)
                }
                (_, StagedDefinition::Absolute(value)) => (value, SymbolRecord::ABSOLUTE),
                _ => continue,
            };
            self.push_symbol(index, value, atom, symbol.binding);
        }
        let first_outside = self.next_symbol + self.txn.symbols.len() as u32;
        for number in 0..self.bound.outside.len() {
            let outside = self.bound.outside[number];
            let atom = if outside.thread_local {
                SymbolRecord::THREAD_OUTSIDE
            } else {
                SymbolRecord::OUTSIDE
            };
            self.push_symbol(outside.symbol, outside.value, atom, Binding::Global);
        }
        first_outside
    }

    fn push_symbol(&mut self, staged: u32, value: u64, atom: u32, binding: Binding) {
        let symbol = &self.staged.symbols[staged as usize];
        let id = SymbolId(self.next_symbol + self.txn.symbols.len() as u32);
        let record = SymbolRecord {
            value,
            name: self.name_id(staged).0,
            generation: self.session.generation().0 + 1,
            older: NONE,
            atom,
            size: u32::try_from(symbol.size).unwrap_or(u32::MAX),
            binding,
            visibility: symbol.visibility,
            kind: match symbol.kind {
                // What is published is the stub.
                SymbolKind::Ifunc => SymbolKind::Function,
                kind => kind,
            },
        };
        self.txn.symbols.push(record);
        self.txn.resolved[staged as usize].target = RelocTarget::Symbol(id);
    }

    /// The id a symbol's name has, or will have once the batch is committed.
    fn name_id(&mut self, staged: u32) -> NameId {
        let next = (self.session.tables.names.len() + self.txn.names.len()) as u32;
        let entry = self.bound.names.of_mut(staged);
        if entry.id == NONE {
            entry.id = next;
            self.txn.names.push(staged);
        }
        NameId(entry.id)
    }

    /// What a staged symbol's target is, as if it had no record of its own.
    fn resolve(&self, index: u32, first_outside: u32) -> Resolved {
        let symbol = &self.staged.symbols[index as usize];
        let plain = |address: HostAddr, target, offset| Resolved {
            address: address.get(),
            offset,
            target,
            size: u32::try_from(symbol.size).unwrap_or(u32::MAX),
            thread_local: false,
        };
        let fixed = |address: HostAddr| plain(address, RelocTarget::Null, address.get());
        let bracket = |number: u32| &self.bound.brackets[number as usize];
        match self.bound.targets[index as usize] {
            Target::Atom(atom, offset) => {
                let number = self.txn.atom_numbers[atom as usize];
                let target = RelocTarget::Atom(AtomId(self.next_atom + number));
                let own = plain(self.address_of(atom).add(offset), target, offset);
                match self.thread_offset(atom) {
                    Some(start) => Resolved {
                        address: start.wrapping_add(offset as i64) as u64,
                        thread_local: true,
                        ..own
                    },
                    None => own,
                }
            }
            Target::Absolute(value) => fixed(HostAddr(value)),
            Target::Known(known) => self.known(known),
            Target::Old(atom, offset) => {
                let tables = &self.session.tables;
                let thread_offset = tables.atom_thread_offset(atom);
                let address = match thread_offset {
                    Some(start) => HostAddr(start as u64),
                    None => tables.address(atom),
                };
                Resolved {
                    thread_local: thread_offset.is_some(),
                    ..plain(address.add(offset), RelocTarget::Atom(atom), offset)
                }
            }
            Target::Outside(number) => {
                let outside = &self.bound.outside[number as usize];
                let target = RelocTarget::Symbol(SymbolId(first_outside + number));
                Resolved {
                    thread_local: outside.thread_local,
                    ..plain(HostAddr(outside.value), target, 0)
                }
            }
            Target::Ifunc(number) => {
                let offset = u64::from(number) * STUB_LEN;
                let code = self.slab.segments[0].region.start;
                let address = code.add(self.txn.stubs_start + offset);
                let atom = AtomId(self.next_atom + self.kept_atoms);
                plain(address, RelocTarget::Atom(atom), offset)
            }
            Target::Start(number) => fixed(self.address_of(bracket(number)[0])),
            Target::Stop(number) => {
                let last = *bracket(number).last().expect("a bracket has a section");
                let size = self.staged.atoms[last as usize].size;
                fixed(self.address_of(last).add(u64::from(size)))
            }
            Target::GotBase => fixed(self.slab.got()),
            Target::ImageBase => fixed(self.slab.segments[0].region.start),
            Target::Asked(_) => unreachable!("`bind` put an answer in place of it"),
            Target::Null | Target::Discarded | Target::Unbound => fixed(HostAddr(0)),
        }
    }

    /// A symbol of an earlier generation.
    fn known(&self, symbol: SymbolId) -> Resolved {
        let tables = &self.session.tables;
        let record = tables.symbol(symbol);
        let thread_offset = tables.thread_offset(symbol);
        Resolved {
            address: thread_offset.map_or_else(
                || tables.symbol_address(symbol).get(),
                |offset| offset as u64,
            ),
            offset: 0,
            target: RelocTarget::Symbol(symbol),
            size: record.size,
            thread_local: thread_offset.is_some(),
        }
    }

    /// Where a staged atom lies.
    pub fn address_of(&self, atom: u32) -> HostAddr {
        let number = self.txn.atom_numbers[atom as usize];
        let offset = self.txn.atoms[number as usize].offset;
        let segment = segment_of(self.staged.atoms[atom as usize].kind);
        self.slab.segments[segment]
            .region
            .start
            .add(u64::from(offset))
    }

    /// A thread-local atom's offset from the thread pointer.
    fn thread_offset(&self, atom: u32) -> Option<i64> {
        if self.staged.atoms[atom as usize].kind != AtomKind::ThreadLocal {
            return None;
        }
        let number = self.txn.atom_numbers[atom as usize];
        let places = &self.txn.thread_locals;
        let place = places.binary_search_by_key(&number, |(atom, _)| *atom);
        Some(places[place.expect("every thread-local atom was placed")].1)
    }

    /// Adds one atom for the batch's stubs and one for its cells, so that every
    /// published byte belongs to an atom.
    fn keep_own_atoms(&mut self) {
        let ifuncs = !self.bound.ifuncs.is_empty();
        let own = [
            (
                0,
                AtomKind::Code,
                self.txn.stubs_start,
                ifuncs || !self.txn.stubs.is_empty(),
            ),
            (
                2,
                AtomKind::Data,
                self.txn.cells_start,
                ifuncs || self.txn.has_cells(),
            ),
        ];
        let relocs: u32 = self.kept_relocs();
        for (segment, kind, start, made) in own {
            if made {
                self.txn.atoms.push(AtomRecord {
                    input: NONE,
                    offset: start as u32,
                    size: (self.txn.used[segment] - start) as u32,
                    relocs: self.session.tables.relocs.len() as u32 + relocs,
                    region: self.slab.first_region + segment as u16,
                    kind,
                    alignment_log2: 3,
                });
            }
        }
    }

    /// Whether the image has an input of this name that the batch replaces.
    fn is_replaced(&self, input: u32) -> bool {
        let tables = &self.session.tables;
        let name = self.staged.input_name(input);
        self.staged.replaces
            && (0..tables.inputs.len() as u32).any(|old| tables.input_name(InputId(old)) == name)
    }

    /// Lists the unwind entries of the batch's code for the unwinder's array.
    fn list_frames(&mut self) -> Result<(), Error> {
        if !self.txn.keeps_array {
            return Ok(());
        }
        let start = self.slab.segments[0].region.start;
        let code = self.slab.segments[0].cursor()..start.add(self.txn.used[0]);
        for atom in 0..self.staged.atoms.len() as u32 {
            let staged = &self.staged.atoms[atom as usize];
            if staged.role == Role::EhFrame && !staged.discarded {
                let base = self.address_of(atom);
                unwind::frames(self.staged, self.bound, self.txn, atom, base, &code)?;
            }
        }
        if self.txn.frames.is_empty() {
            return Ok(());
        }
        self.txn.frames.sort_unstable();
        self.txn.frames.dedup_by_key(|(pc, _)| *pc);
        unwind::array_bytes(self.slab, self.txn);
        self.txn.used[unwind::SEGMENT] += self.txn.array_bytes.len() as u64;
        Ok(())
    }

    /// How many relocations the kept atoms have.
    fn kept_relocs(&self) -> u32 {
        let kept = self.staged.atoms.iter().filter(|atom| !atom.discarded);
        kept.map(|atom| atom.relocs.len() as u32).sum()
    }

    /// Lists what must run in the target: unwind registrations, initialisers by
    /// rising priority, finalisers by falling.
    fn list_actions(&mut self) {
        for (index, atom) in self.staged.atoms.iter().enumerate() {
            let index = index as u32;
            if atom.role == Role::Plain || atom.discarded || atom.size == 0 {
                continue;
            }
            // What is replaced has been initialised, and is registered for exit.
            if atom.role != Role::EhFrame && self.is_replaced(atom.input) {
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
        let actions = &mut self.txn.actions;
        actions.initialisers.sort_by_key(|list| list.priority);
        actions.finalisers.sort_by_key(|list| list.priority);
    }
}
