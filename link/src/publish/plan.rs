//! `plan`: placements, relocation values and records of a batch, or an error.
//!
//! Pure but for what the caller reserved for it and gives back when the batch
//! fails: a fresh slab, and room for thread-locals. Atoms are placed in the
//! order they were staged, but for sections whose bounds are wanted, which come
//! together; then [`relocate`](super::relocate) computes every field, and adds
//! stubs and cells as they turn out to be needed.

use std::ops::Range;

use object::LittleEndian;
use object::read::elf::Sym;

use crate::addr::HostAddr;
use crate::arch::x86_64::{self, CELL_LEN, STUB_LEN};
use crate::error::Error;
use crate::ids::{AtomId, InputId, SymbolId};
use crate::image::{Ground, SEGMENTS, Slab, segment_of};
use crate::model::{AtomKind, AtomRecord, Binding, NONE, PackedTarget, SymbolKind, SymbolRecord};
use crate::publish::bind::{Bound, Target};
use crate::publish::unwind;
use crate::session::Session;
use crate::staged::{self, Role, Says, Staged, StagedDefinition, SymbolAt, Symbols};
use crate::txn::{
    FunctionList, IfuncCell, InSlot, Made, MergedAt, Resolved, State, ThreadBlock, Txn,
};

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
    let made = (staged.relocs + bound.ifuncs.len()) as u64;
    wanted[0] += made * STUB_LEN;
    let copied = bound
        .copies
        .iter()
        .map(|(_, bytes)| bytes.len() as u64 + CELL_LEN);
    wanted[2] += made * CELL_LEN + copied.sum::<u64>();
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

/// Computes what the batch would change in `slab`, but for what shows when
/// fields are filled in: stubs, cells and the relocations' records. `txn` holds
/// the thread-locals' places already and nothing else.
pub(super) fn plan(
    session: &Session,
    staged: &Staged<'_>,
    bound: &mut Bound,
    slab: &Slab,
    txn: &mut Txn,
) -> Result<(), Error> {
    txn.code_start = slab.segments[0].region.start;
    txn.used = slab.segments.each_ref().map(|segment| segment.used);
    let mut plan = Plan::new(session, staged, bound, slab, txn);
    plan.number_atoms();
    plan.place_atoms();
    plan.place_thread_locals();
    plan.place_ifuncs();
    plan.resolve_names();
    plan.list_actions();
    plan.list_frames()
}

/// What a symbol that nobody asks for resolves to.
const NOTHING: Resolved = Resolved {
    address: 0,
    offset: 0,
    target: PackedTarget::NULL,
    state: State::Plain,
};

/// Referred to by its own record, if there is one.
fn named(resolved: Resolved, record: Option<SymbolId>) -> Resolved {
    match record {
        Some(record) => Resolved {
            target: PackedTarget::symbol(record),
            offset: 0,
            ..resolved
        },
        None => resolved,
    }
}

/// What is published of an indirect function is the stub.
fn published(kind: SymbolKind) -> SymbolKind {
    match kind {
        SymbolKind::Ifunc => SymbolKind::Function,
        kind => kind,
    }
}

/// What a record says of where a symbol is that stands for `target`: its value
/// and atom, if there is anything to record. The batch's atoms get ids from
/// `first_atom` on.
#[inline]
fn place_of(
    txn: &Txn,
    first_atom: u32,
    definition: StagedDefinition,
    target: Target,
) -> Option<(u64, u32)> {
    match (target, definition) {
        (Target::Ifunc(number), _) => {
            Some((u64::from(number) * STUB_LEN, first_atom + txn.kept_atoms))
        }
        (_, StagedDefinition::Atom(atom, offset)) => {
            let number = txn.atom_numbers[atom as usize];
            (number != NONE).then(|| (offset, first_atom + number))
        }
        (_, StagedDefinition::Absolute(value)) => Some((value, SymbolRecord::ABSOLUTE)),
        _ => None,
    }
}

/// The records of an input's named local symbols, with their names: all but the
/// numbers of those. `first_atom` and `generation` are what the batch gets.
pub(super) fn local_records<'s>(
    staged: &'s Staged<'_>,
    bound: &'s Bound,
    txn: &'s Txn,
    (first_atom, generation): (u32, u32),
    input: u32,
) -> impl Iterator<Item = (SymbolRecord, &'s [u8])> {
    let symbols = staged.symbols_of(input);
    let named = symbols.locals();
    let named = named.filter(move |(_, record, _)| symbols.has_local_name(record));
    named.filter_map(move |(number, record, _)| {
        let definition = symbols.definition(number, record);
        let target = match record.kind() == SymbolKind::Ifunc {
            true => bound.local_target(staged, record, definition),
            false => Target::Unbound,
        };
        let (value, atom) = place_of(txn, first_atom, definition, target)?;
        let symbol = SymbolRecord {
            value,
            name: NONE,
            generation,
            older: NONE,
            atom,
            size: u32::try_from(record.st_size(LittleEndian)).unwrap_or(u32::MAX),
            binding: Binding::Local,
            visibility: record.visibility(),
            kind: published(record.kind()),
        };
        Some((symbol, symbols.text(record)))
    })
}

/// A batch being planned, or written.
pub(super) struct Plan<'p, 'i> {
    pub session: &'p Session,
    pub staged: &'p Staged<'i>,
    pub bound: &'p mut Bound,
    pub slab: &'p Slab,
    /// Ids that the first published records will get.
    next_symbol: u32,
    next_atom: u32,
    /// Named local symbols of the inputs before the one at hand.
    locals_before: u32,
    pub txn: &'p mut Txn,
}

impl<'p, 'i> Plan<'p, 'i> {
    pub fn new(
        session: &'p Session,
        staged: &'p Staged<'i>,
        bound: &'p mut Bound,
        slab: &'p Slab,
        txn: &'p mut Txn,
    ) -> Plan<'p, 'i> {
        Plan {
            session,
            staged,
            bound,
            slab,
            next_symbol: session.tables.symbols.len() as u32,
            next_atom: session.tables.atoms.len() as u32,
            locals_before: 0,
            txn,
        }
    }
}

impl Plan<'_, '_> {
    /// Makes a record of every kept atom, in the order they were staged. Where
    /// its relocations begin is known when they are read.
    fn number_atoms(&mut self) {
        let first_input = self.session.tables.inputs.len() as u32;
        self.txn.atoms.reserve(self.staged.atoms.len() + 2);
        self.txn.atom_numbers.reserve(self.staged.atoms.len());
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
                relocs: 0,
                region: self.slab.first_region + segment_of(atom.kind) as u16,
                kind: atom.kind,
                alignment_log2: atom.alignment_log2,
            });
        }
        self.txn.kept_atoms = self.txn.atoms.len() as u32;
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

    /// Makes records of the names that the batch publishes: its definitions, and
    /// what it bound outside. Says what every name resolves to that is referred
    /// to. Symbols that only their inputs see are resolved input by input.
    fn resolve_names(&mut self) {
        let generation = self.session.generation().0 + 1;
        let names = &self.bound.names;
        let records = names.definitions().len() + self.bound.outside.len();
        self.txn.symbols.reserve(records);
        self.txn.names.reserve(records.min(names.len()));
        for number in 0..self.bound.names.definitions().len() {
            let (symbol, name) = self.bound.names.definitions()[number];
            let entry = self.bound.names.entry(name);
            if entry.winner != symbol {
                continue;
            }
            let (definition, target) = (entry.definition, entry.target);
            if let Some((value, atom)) = place_of(self.txn, self.next_atom, definition, target) {
                let entry = self.bound.names.entry(name);
                let record = SymbolRecord {
                    value,
                    name: NONE,
                    generation,
                    older: NONE,
                    atom,
                    size: u32::try_from(entry.size).unwrap_or(u32::MAX),
                    binding: entry.binding,
                    visibility: entry.visibility,
                    kind: published(entry.kind),
                };
                self.push_symbol(name, record);
            }
        }
        let first_outside = self.next_symbol + self.txn.symbols.len() as u32;
        for number in 0..self.bound.outside.len() {
            let outside = self.bound.outside[number];
            let atom = if outside.thread_local {
                SymbolRecord::THREAD_OUTSIDE
            } else {
                SymbolRecord::OUTSIDE
            };
            let staged = self.staged.record(outside.symbol);
            let record = SymbolRecord {
                value: outside.value,
                name: NONE,
                generation,
                older: NONE,
                atom,
                size: u32::try_from(staged.st_size(LittleEndian)).unwrap_or(u32::MAX),
                binding: Binding::Global,
                visibility: staged.visibility(),
                kind: published(staged.kind()),
            };
            self.push_symbol(outside.name, record);
        }
        self.txn.by_name.reserve(self.bound.names.len());
        for entry in self.bound.names.iter() {
            let resolved = match entry.reference.is_some() {
                false => NOTHING,
                // A name that the batch defines is referred to by its symbol.
                true => named(self.resolve(entry.target, first_outside), entry.record),
            };
            self.txn.by_name.push(resolved);
        }
        if !self.bound.far_functions.is_empty() || !self.bound.copies.is_empty() {
            self.let_others_stand_in();
        }
    }

    /// Puts stubs and copies in the place of what is outside and out of 32-bit
    /// fields' reach. All of the batch takes them for it, so that an address is the
    /// same wherever it is named.
    fn let_others_stand_in(&mut self) {
        for name in 0..self.txn.by_name.len() {
            let Resolved { address, state, .. } = self.txn.by_name[name];
            if state != State::Plain {
                continue;
            }
            let stands_in = match self.bound.far_functions.contains(&address) {
                true => {
                    let stub = self.stub_for(address);
                    Some(stub.expect("a slab's segments are in reach of one another"))
                }
                false => self.copy_of(address),
            };
            if let Some(at) = stands_in {
                self.txn.by_name[name].address = at.get();
            }
        }
    }

    /// Adds the record of a name, and names it.
    fn push_symbol(&mut self, name: u32, mut record: SymbolRecord) {
        let id = SymbolId(self.next_symbol + self.txn.symbols.len() as u32);
        let entry = self.bound.names.entry_mut(name);
        if entry.id == NONE {
            let known = self.session.tables.names.len() + self.txn.names.len();
            entry.id = known as u32;
            self.txn.names.push(name);
        }
        entry.record = Some(id);
        record.name = entry.id;
        self.txn.symbols.push(record);
    }

    /// Says what every symbol of an input resolves to that is referred to, in
    /// `txn.resolved`. Inputs come in their order.
    pub fn resolve_input(&mut self, input: u32) {
        let symbols = self.staged.symbols_of(input);
        let mut resolved = std::mem::take(&mut self.txn.resolved);
        resolved.clear();
        let first_local = self.next_symbol + self.txn.symbols.len() as u32;
        resolved.extend(
            symbols
                .marks()
                .iter()
                .zip(symbols.first..)
                .map(|(mark, number)| {
                    if let Some(name) = mark.name() {
                        return self.txn.by_name[name as usize];
                    }
                    let record = symbols.record(number);
                    let definition = symbols.definition(number, record);
                    let published = symbols.has_local_name(record) && self.is_placed(definition);
                    let id = published.then(|| SymbolId(first_local + self.locals_before));
                    self.locals_before += u32::from(published);
                    if !mark.is_referred() {
                        return NOTHING;
                    }
                    if let Some(section) = symbols.merged_section(record) {
                        let value = record.st_value(LittleEndian);
                        let at = MergedAt::new(section, value);
                        return Resolved {
                            offset: at.expect("it was checked to lie in its section").0,
                            state: State::Merged,
                            ..self.resolve_plainly(self.staged.merged.atom(section), 0)
                        };
                    }
                    named(self.resolve_local(record, definition), id)
                }),
        );
        self.txn.resolved = resolved;
    }

    /// What a symbol resolves to that only its own input sees.
    #[inline]
    fn resolve_local(
        &self,
        record: &staged::SymbolRecord,
        definition: StagedDefinition,
    ) -> Resolved {
        match self.bound.local_target(self.staged, record, definition) {
            // Nearly all.
            Target::Atom(atom, offset)
                if self.staged.atoms[atom as usize].kind != AtomKind::ThreadLocal =>
            {
                self.resolve_plainly(atom, offset)
            }
            target => self.resolve(target, 0),
        }
    }

    /// What a place in an atom of the batch that is not thread-local resolves to.
    #[inline]
    pub fn resolve_plainly(&self, atom: u32, offset: u64) -> Resolved {
        let number = self.txn.atom_numbers[atom as usize];
        Resolved {
            address: self.address_of(atom).add(offset).get(),
            offset,
            target: PackedTarget::atom(AtomId(self.next_atom + number)),
            state: State::Plain,
        }
    }

    /// What a symbol that is referred to resolves to, but for its record.
    #[inline]
    fn resolve_symbol(&self, symbols: &Symbols<'_>, number: u32) -> Resolved {
        let mark = symbols.marks()[(number - symbols.first) as usize];
        match mark.name() {
            Some(name) => self.txn.by_name[name as usize],
            None => {
                let record = symbols.record(number);
                self.resolve_local(record, symbols.definition(number, record))
            }
        }
    }

    /// Whether a local symbol is defined in what is published.
    #[inline]
    fn is_placed(&self, definition: StagedDefinition) -> bool {
        match definition {
            StagedDefinition::Atom(atom, _) => self.txn.atom_numbers[atom as usize] != NONE,
            StagedDefinition::Absolute(_) => true,
            _ => false,
        }
    }

    /// What a target resolves to, as if there were no record of its own.
    fn resolve(&self, target: Target, first_outside: u32) -> Resolved {
        let plain = |address: HostAddr, target, offset| Resolved {
            address: address.get(),
            offset,
            target,
            state: State::Plain,
        };
        let thread_local = |offset: u64, own: Resolved| Resolved {
            address: offset,
            state: State::ThreadLocal,
            ..own
        };
        let fixed = |address: HostAddr| plain(address, PackedTarget::NULL, address.get());
        let bracket = |number: u32| &self.bound.brackets[number as usize];
        match target {
            Target::Atom(atom, offset) => {
                let number = self.txn.atom_numbers[atom as usize];
                let target = PackedTarget::atom(AtomId(self.next_atom + number));
                let own = plain(self.address_of(atom).add(offset), target, offset);
                match self.thread_offset(atom) {
                    Some(start) => thread_local(start.wrapping_add(offset as i64) as u64, own),
                    None => own,
                }
            }
            Target::Absolute(value) => fixed(HostAddr(value)),
            Target::Known(symbol) => {
                let tables = &self.session.tables;
                let address = tables.symbol_address(symbol);
                let own = plain(address, PackedTarget::symbol(symbol), 0);
                match tables.thread_offset(symbol) {
                    Some(offset) => thread_local(offset as u64, own),
                    None => own,
                }
            }
            Target::Old(atom, offset) => {
                let tables = &self.session.tables;
                let address = tables.address(atom).add(offset);
                let own = plain(address, PackedTarget::atom(atom), offset);
                match tables.atom_thread_offset(atom) {
                    Some(start) => thread_local(start.wrapping_add(offset as i64) as u64, own),
                    None => own,
                }
            }
            Target::Outside(number) => {
                let outside = &self.bound.outside[number as usize];
                let target = PackedTarget::symbol(SymbolId(first_outside + number));
                let own = plain(HostAddr(outside.value), target, 0);
                match outside.thread_local {
                    true => thread_local(outside.value, own),
                    false => own,
                }
            }
            Target::Ifunc(number) => {
                let offset = u64::from(number) * STUB_LEN;
                let code = self.slab.segments[0].region.start;
                let address = code.add(self.txn.stubs_start + offset);
                let atom = AtomId(self.next_atom + self.txn.kept_atoms);
                plain(address, PackedTarget::atom(atom), offset)
            }
            Target::Start(number) => fixed(self.address_of(bracket(number)[0])),
            Target::Stop(number) => {
                let last = *bracket(number).last().expect("a bracket has a section");
                let size = self.staged.atoms[last as usize].size;
                fixed(self.address_of(last).add(u64::from(size)))
            }
            Target::GotBase => fixed(self.slab.got()),
            Target::ImageBase => fixed(self.slab.segments[0].region.start),
            Target::Discarded => Resolved {
                state: State::Discarded,
                ..fixed(HostAddr(0))
            },
            Target::Null | Target::Unbound => fixed(HostAddr(0)),
        }
    }

    /// How long what a staged symbol stands for is, for the relocations that
    /// ask.
    pub fn size_of(&self, symbol: SymbolAt) -> u64 {
        if let Target::Known(known) = self.bound.target(self.staged, symbol) {
            return u64::from(self.session.tables.symbol(known).size);
        }
        match self.bound.names.of(self.staged, symbol) {
            Some(entry) if entry.winner.is_some() => entry.size,
            _ => self.staged.record(symbol).st_size(LittleEndian),
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
    pub fn keep_own_atoms(&mut self) {
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
        let relocs = (self.session.tables.relocs.len() + self.txn.relocs.len()) as u32;
        for (segment, kind, start, made) in own {
            if made {
                self.txn.atoms.push(AtomRecord {
                    input: NONE,
                    offset: start as u32,
                    size: (self.txn.used[segment] - start) as u32,
                    relocs,
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
                let mut frames = std::mem::take(&mut self.txn.frames);
                let result = self.list_frames_of(atom, &code, &mut frames);
                self.txn.frames = frames;
                result?;
            }
        }
        if self.txn.frames.is_empty() {
            return Ok(());
        }
        // Stable, because that finds the runs in order, which are nearly all.
        self.txn.frames.sort();
        self.txn.frames.dedup_by_key(|(pc, _)| *pc);
        unwind::array_bytes(self.slab, self.txn);
        self.txn.used[unwind::SEGMENT] += self.txn.array_bytes.len() as u64;
        Ok(())
    }

    fn list_frames_of(
        &mut self,
        atom: u32,
        code: &Range<HostAddr>,
        frames: &mut Vec<(HostAddr, HostAddr)>,
    ) -> Result<(), Error> {
        let base = self.address_of(atom);
        let symbols = self
            .staged
            .symbols_of(self.staged.atoms[atom as usize].input);
        let entries = unwind::Entries::new(self.staged, atom);
        for entry in entries {
            let (at, reloc) = entry?;
            let resolved = self.resolve_symbol(&symbols, reloc.symbol);
            let pc = HostAddr(resolved.address.wrapping_add(reloc.addend as u64));
            let kept = resolved.state != State::Discarded;
            let frame = (pc, base.add(u64::from(at)));
            if kept && code.contains(&pc) {
                frames.push(frame);
            } else if kept && self.txn.is_in_slot(pc) {
                self.txn.slot_frames.push(frame);
            }
        }
        Ok(())
    }

    /// Lists what must run in the target: unwind registrations, initialisers by
    /// rising priority, finalisers by falling.
    fn list_actions(&mut self) {
        for (index, atom) in self.staged.atoms.iter().enumerate() {
            let index = index as u32;
            if matches!(atom.role, Role::Plain | Role::Merged) || atom.discarded || atom.size == 0 {
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
                Role::Plain | Role::Merged => {}
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
