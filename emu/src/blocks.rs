//! [`Blocks`]: what is known of the guest's code: blocks lifted, code translated
//! from them, and which exits lead where.
//!
//! ```text
//! guest pc → Record (the lifted block, its bytes, how often it ran)
//!              │ head of
//!              ▼
//!            Translation (host code of one block or of a region of several)
//!              │ leaves by
//!              ▼
//!            Exit (a cell, and the guest pc it wants) ── linked to ──► Translation
//! ```
//!
//! What holds between calls: a cell holds the entry of a translation that is
//! alive, or the address of the unlinked exit; a translation knows every exit
//! linked to it, so that forgetting it is writing those cells; the look-up
//! table refers to translations that are alive only. Code that was forgotten
//! stays where it is until the whole space goes, because a thread may be in it.
//!
//! What an earlier process left on disk is *frozen*: it is in a unit's tables
//! ([`frozen`]) and in none of those here, until something about it changes; then
//! it is thawed, which gives it a record and a translation like any other. A
//! block is known in one way or the other, never in both.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use rustc_hash::FxHashMap;
use sapwood_link::HostAddr;

use crate::addr::GuestAddr;
use crate::code::{CodeSpace, Full};
use crate::ir::Block;

mod frozen;
mod keep;

use frozen::Frozen;
pub use keep::Keeping;

/// Names one [`Translation`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TranslationId(pub u32);

/// Names one exit of translated code. The code itself names it by its cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ExitId(pub u32);

/// One block of guest code.
pub struct Record {
    /// Where its bytes are among those of all blocks, and how many.
    bytes: (u32, u32),
    /// How often it ran outside translated code.
    pub heat: u32,
    /// The code to run for it.
    pub code: Option<TranslationId>,
    /// What it does, where that is kept: it is lifted again otherwise.
    pub block: Option<Arc<Block>>,
    /// The regions that contain it.
    used_by: Vec<TranslationId>,
}

/// Host code, ready to be published.
#[derive(Default)]
pub struct Compiled {
    /// The code. Position-independent but for `cells`.
    pub code: Vec<u8>,
    /// The exits' cells, wherever the code has one's address.
    pub cells: Vec<CellUse>,
    /// Where each exit leads.
    pub exits: Vec<GuestAddr>,
    /// Offset in the code → the guest instruction that the code from there on
    /// belongs to; ascending.
    pub rows: Vec<(u32, GuestAddr)>,
}

impl Compiled {
    /// As new, with the memory kept.
    pub fn clear(&mut self) {
        self.code.clear();
        self.cells.clear();
        self.exits.clear();
        self.rows.clear();
    }
}

/// A cell's address in code, relative to the instruction pointer: 4 bytes at
/// the end of their instruction that become `cell − place − 4`.
#[derive(Clone, Copy, Debug)]
pub struct CellUse {
    /// Offset in the code of the 4 bytes.
    pub place: u32,
    /// Index of the exit whose cell it is.
    pub exit: u32,
}

struct Translation {
    head: GuestAddr,
    host: Range<u64>,
    /// Its part of all rows.
    rows: Range<u32>,
    /// Its part of all uses of cells.
    uses: Range<u32>,
    /// Its exits.
    exits: Range<u32>,
    /// The blocks that it was made of, if it is a region.
    members: Box<[GuestAddr]>,
    /// Where the above are instead, if it was frozen: the unit, and its block.
    thawed: Option<(u32, u32)>,
    /// Its part of what the look-up table points to.
    entry: u32,
    /// The first of the exits that are linked to it.
    incoming: Option<ExitId>,
    alive: bool,
}

struct Exit {
    cell: HostAddr,
    target: GuestAddr,
    /// The next one in the list, of those linked to one translation or of those
    /// waiting for one, that it is in.
    next: Option<ExitId>,
}

/// What the look-up table points to. Translated code reads it.
#[repr(C)]
pub struct Entry {
    pc: u64,
    code: u64,
}

/// Entries in the look-up table; a power of two. `python3 -c pass` has some ten
/// thousand targets, and AArch64 only uses every other entry.
pub const LOOKUP_ENTRIES: usize = 32768;

/// Entries that are kept in one piece.
const ENTRIES: usize = 256;

/// Offsets into [`Entry`], for generated code.
pub const ENTRY_PC: i32 = std::mem::offset_of!(Entry, pc) as i32;
/// See [`ENTRY_PC`].
pub const ENTRY_CODE: i32 = std::mem::offset_of!(Entry, code) as i32;

/// What a slot of the look-up table has that leads nowhere: no pc that is looked
/// up there is the entry's, since that belongs to another slot. A guest may jump
/// anywhere, to odd addresses too.
static NO_ENTRIES: [Entry; 2] = [Entry { pc: 2, code: 0 }, Entry { pc: 0, code: 0 }];

fn no_entry(slot: usize) -> *mut Entry {
    (&raw const NO_ENTRIES[usize::from(slot != 0)]).cast_mut()
}

/// Everything that is known of one guest's code.
pub struct Blocks {
    space: CodeSpace,
    /// The number of the first exit here: numbers are not used twice, so that
    /// code of an earlier space is not taken for code of this one.
    first_exit: u32,
    records: FxHashMap<GuestAddr, Record>,
    /// Page number → the records with a byte in it.
    pages: FxHashMap<u64, Vec<GuestAddr>>,
    translations: Vec<Translation>,
    /// The translations by ascending address of their code, a list for each
    /// stretch of memory; but for those that were frozen.
    by_address: Vec<Vec<TranslationId>>,
    exits: Vec<Exit>,
    /// The exits by their cells: stretches of cells, each with its first.
    by_cell: Vec<(HostAddr, Vec<ExitId>)>,
    /// What an earlier process left.
    frozen: Vec<Frozen>,
    /// How many pieces of code were published.
    published: usize,
    /// Whether no block leads to another by itself.
    apart: bool,
    /// Exits that were taken, or made, before there was code for their target:
    /// the first of each list.
    waiting: FxHashMap<GuestAddr, ExitId>,
    /// The bytes of all records, also of those that are forgotten.
    bytes: Vec<u8>,
    /// The rows of all translations: offset in the code → distance from the head.
    rows: Vec<(u32, u32)>,
    /// The uses of cells of all translations: place in the code, and which of
    /// its exits.
    uses: Vec<(u32, u32)>,
    /// What the look-up table points to; none moves.
    entries: Vec<Vec<Entry>>,
    lookup: Box<[AtomicPtr<Entry>]>,
}

const PAGE_BITS: u32 = 12;

fn pages(start: GuestAddr, length: usize) -> std::ops::RangeInclusive<u64> {
    let last = start.0.saturating_add(length.max(1) as u64 - 1);
    start.0 >> PAGE_BITS..=last >> PAGE_BITS
}

fn slot(pc: GuestAddr) -> usize {
    (pc.0 >> 1) as usize & (LOOKUP_ENTRIES - 1)
}

/// The guest instruction of a row that is kept.
fn row_pc(head: GuestAddr, distance: u32) -> GuestAddr {
    head.add(i64::from(distance as i32) as u64)
}

impl Blocks {
    /// Nothing known yet. Exits are numbered from `first_exit` on.
    pub fn new(space: CodeSpace, first_exit: ExitId) -> Blocks {
        Blocks {
            space,
            first_exit: first_exit.0,
            records: FxHashMap::default(),
            pages: FxHashMap::default(),
            translations: Vec::new(),
            by_address: Vec::new(),
            exits: Vec::new(),
            by_cell: Vec::new(),
            frozen: Vec::new(),
            published: 0,
            apart: false,
            waiting: FxHashMap::default(),
            bytes: Vec::new(),
            rows: Vec::new(),
            uses: Vec::new(),
            entries: Vec::new(),
            lookup: (0..LOOKUP_ENTRIES)
                .map(|slot| AtomicPtr::new(no_entry(slot)))
                .collect(),
        }
    }

    /// To be called in the child after a fork; `Err` when it had better begin
    /// anew.
    pub fn forked(&mut self) -> Result<(), Full> {
        self.space.forked()
    }

    /// Where the code is.
    pub fn space(&self) -> &CodeSpace {
        &self.space
    }

    /// The address of the look-up table. It lives as long as these blocks.
    pub fn lookup_address(&self) -> u64 {
        self.lookup.as_ptr() as u64
    }

    /// The record of the block that begins at `pc`.
    pub fn record(&mut self, pc: GuestAddr) -> Option<&mut Record> {
        self.thaw_at(pc);
        self.records.get_mut(&pc)
    }

    /// How many blocks and translations there are.
    pub fn counts(&self) -> (usize, usize) {
        let frozen: usize = self.frozen.iter().map(Frozen::blocks).sum();
        (
            frozen + self.records.len(),
            frozen + self.translations.iter().filter(|t| t.alive).count(),
        )
    }

    /// From now on no block leads to another by itself.
    pub fn keep_apart(&mut self) {
        self.apart = true;
    }

    /// Where the code of the block at `pc` is, and its rows.
    pub fn code_range(&self, pc: GuestAddr) -> Option<Range<u64>> {
        let code = self.records.get(&pc)?.code?;
        Some(self.translations[code.0 as usize].host.clone())
    }

    /// The rows of the code of the block at `pc`.
    pub fn rows_of(&self, pc: GuestAddr) -> Option<Vec<(u32, GuestAddr)>> {
        let translation = &self.translations[self.records.get(&pc)?.code?.0 as usize];
        let rows = translation.rows.start as usize..translation.rows.end as usize;
        let row = |&(offset, distance): &(u32, u32)| (offset, row_pc(pc, distance));
        Some(self.rows[rows].iter().map(row).collect())
    }

    /// How many pieces of code were published here.
    pub fn published(&self) -> usize {
        self.published
    }

    /// Remembers a block, by the code it was lifted from.
    pub fn insert(&mut self, start: GuestAddr, bytes: &[u8]) {
        self.thaw_at(start);
        match self.code_of(start) {
            Some(known) if known == bytes => return,
            Some(_) => self.forget(start),
            None => {}
        }
        self.add_record(start, bytes);
    }

    fn add_record(&mut self, start: GuestAddr, bytes: &[u8]) {
        for page in pages(start, bytes.len()) {
            self.pages.entry(page).or_default().push(start);
        }
        let at = (self.bytes.len() as u32, bytes.len() as u32);
        self.bytes.extend_from_slice(bytes);
        let record = Record {
            bytes: at,
            heat: 0,
            code: None,
            block: None,
            used_by: Vec::new(),
        };
        self.records.insert(start, record);
    }

    /// The code of the block that begins at `pc`, if it is known.
    pub fn code_of(&self, pc: GuestAddr) -> Option<&[u8]> {
        match self.records.get(&pc) {
            Some(record) => Some(self.bytes_of(record)),
            None => self.frozen_code_of(pc),
        }
    }

    fn bytes_of(&self, record: &Record) -> &[u8] {
        let (at, length) = (record.bytes.0 as usize, record.bytes.1 as usize);
        &self.bytes[at..at + length]
    }

    /// The number that the next exit will have.
    pub fn next_exit(&self) -> ExitId {
        ExitId(self.first_exit + self.exits.len() as u32)
    }

    /// Numbers for exits of code that is not made yet, `count` of them.
    pub fn reserve_exits(&mut self, count: usize) -> Result<ExitId, Full> {
        let first = self.next_exit();
        for _ in 0..count {
            let cell = self.space.cell(self.space.ways().unlinked)?;
            let exit = self.add_exit(cell, GuestAddr(0));
            let end = |(start, exits): &(HostAddr, Vec<ExitId>)| start.add(8 * exits.len() as u64);
            if self.by_cell.last().map(end) != Some(cell) {
                self.by_cell.push((cell, Vec::new()));
            }
            self.by_cell.last_mut().expect("just made").1.push(exit);
        }
        Ok(first)
    }

    fn add_exit(&mut self, cell: HostAddr, target: GuestAddr) -> ExitId {
        let exit = self.next_exit();
        self.exits.push(Exit {
            cell,
            target,
            next: None,
        });
        exit
    }

    /// Publishes the code of the blocks that begin at `members`, of which the
    /// first is its entry, and points what waited for that at it. Its exits have
    /// the reserved numbers from `first` on.
    pub fn publish(
        &mut self,
        members: &[GuestAddr],
        compiled: &Compiled,
        first: ExitId,
    ) -> Result<(), Full> {
        members.iter().for_each(|&member| self.thaw_at(member));
        let index = (first.0 - self.first_exit) as usize;
        let exits = &mut self.exits[index..index + compiled.exits.len()];
        for (exit, &target) in exits.iter_mut().zip(&compiled.exits) {
            exit.target = target;
        }
        let at = self.space.publish(compiled.code.len(), |at, code| {
            code.copy_from_slice(&compiled.code);
            for used in &compiled.cells {
                let cell = exits[used.exit as usize].cell;
                let place = at.add(used.place.into());
                let value = cell.distance_from(place) - 4;
                let value = i32::try_from(value).expect("cells are within 2 GiB of code");
                let place = used.place as usize;
                code[place..place + 4].copy_from_slice(&value.to_le_bytes());
            }
        })?;
        let id = TranslationId(self.translations.len() as u32);
        let head = members[0];
        let rows = self.rows.len() as u32;
        let row = |&(offset, pc): &(u32, GuestAddr)| (offset, pc.0.wrapping_sub(head.0) as u32);
        self.rows.extend(compiled.rows.iter().map(row));
        let uses = self.uses.len() as u32;
        let used = compiled.cells.iter().map(|used| (used.place, used.exit));
        self.uses.extend(used);
        let entry = self.add_entry(Entry {
            pc: head.0,
            code: at.0,
        });
        self.translations.push(Translation {
            head,
            host: at.0..at.0 + compiled.code.len() as u64,
            rows: rows..self.rows.len() as u32,
            uses: uses..self.uses.len() as u32,
            exits: first.0..first.0 + compiled.exits.len() as u32,
            members: if members.len() > 1 {
                members.into()
            } else {
                Box::default()
            },
            thawed: None,
            entry,
            incoming: None,
            alive: true,
        });
        self.note_address(id);
        self.published += 1;
        if members.len() > 1
            || self
                .record(head)
                .is_some_and(|record| record.code.is_some())
        {
            for member in members {
                self.record_mut(*member).used_by.push(id);
            }
        }
        self.replace(head, id);
        for (i, &target) in compiled.exits.iter().enumerate() {
            self.link(ExitId(first.0 + i as u32), target);
        }
        Ok(())
    }

    /// Keeps an entry for the look-up table, where it stays; gives its number.
    fn add_entry(&mut self, entry: Entry) -> u32 {
        if self.entries.last().is_none_or(|last| last.len() == ENTRIES) {
            self.entries.push(Vec::with_capacity(ENTRIES));
        }
        let before = (self.entries.len() - 1) * ENTRIES;
        let last = self.entries.last_mut().expect("just made");
        last.push(entry);
        (before + last.len() - 1) as u32
    }

    fn entry(&self, number: u32) -> *mut Entry {
        let index = number as usize;
        (&raw const self.entries[index / ENTRIES][index % ENTRIES]).cast_mut()
    }

    fn entry_of(&self, id: TranslationId) -> *mut Entry {
        self.entry(self.translations[id.0 as usize].entry)
    }

    /// Notes where a translation's code is, for [`guest_pc`](Self::guest_pc).
    fn note_address(&mut self, id: TranslationId) {
        let start = self.code(id);
        let list = self.by_address.last();
        if list
            .and_then(|list| list.last())
            .is_none_or(|&last| self.code(last) > start)
        {
            self.by_address.push(Vec::new());
        }
        self.by_address.last_mut().expect("just made").push(id);
    }

    fn code(&self, id: TranslationId) -> u64 {
        self.translations[id.0 as usize].host.start
    }

    /// Points every exit of a list at some code; gives the last one.
    fn point(&self, list: Option<ExitId>, code: u64) -> Option<ExitId> {
        let code = if self.apart {
            self.space.ways().unlinked
        } else {
            code
        };
        let (mut next, mut last) = (list, None);
        while let Some(exit) = next {
            self.set_cell(self.cell(exit), code);
            last = next;
            next = self.exit(exit).next;
        }
        last
    }

    /// Puts one list before another.
    fn join(
        &mut self,
        first: Option<ExitId>,
        last: Option<ExitId>,
        rest: Option<ExitId>,
    ) -> Option<ExitId> {
        let Some(last) = last else { return rest };
        self.set_next(last, rest);
        first
    }

    fn record_mut(&mut self, start: GuestAddr) -> &mut Record {
        let record = self.records.get_mut(&start);
        record.expect("translated blocks have records")
    }

    fn set_next(&mut self, exit: ExitId, next: Option<ExitId>) {
        self.exits[(exit.0 - self.first_exit) as usize].next = next;
    }

    /// Makes `id` the code of the block at `head`, in place of what it had.
    fn replace(&mut self, head: GuestAddr, id: TranslationId) {
        let old = self.record_mut(head).code.replace(id);
        let code = self.code(id);
        let waiting = self.waiting.remove(&head);
        let last = self.point(waiting, code);
        let mut incoming = waiting;
        if let Some(old) = old {
            let old_entry = self.entry_of(old);
            let old = &mut self.translations[old.0 as usize];
            old.alive = false;
            let moved = old.incoming.take();
            self.point(moved, code);
            incoming = self.join(waiting, last, moved);
            let _ = self.lookup[slot(head)].compare_exchange(
                old_entry,
                self.entry_of(id),
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
        }
        let new = &mut self.translations[id.0 as usize];
        new.incoming = incoming;
    }

    /// Points an exit at the code for its target, or has it wait for some.
    fn link(&mut self, exit: ExitId, target: GuestAddr) {
        self.thaw_at(target);
        let code = self.records.get(&target).and_then(|record| record.code);
        let next = if let Some(id) = code {
            let next = self.translations[id.0 as usize].incoming.replace(exit);
            if !self.apart {
                self.set_cell(self.cell(exit), self.code(id));
            }
            next
        } else {
            self.waiting.insert(target, exit)
        };
        self.set_next(exit, next);
    }

    fn exit(&self, exit: ExitId) -> &Exit {
        &self.exits[(exit.0 - self.first_exit) as usize]
    }

    fn cell(&self, exit: ExitId) -> HostAddr {
        self.exit(exit).cell
    }

    /// Where an exit leads; `None` when it is none of these blocks'.
    pub fn target(&self, exit: ExitId) -> Option<GuestAddr> {
        let index = exit.0.checked_sub(self.first_exit)?;
        Some(self.exits.get(index as usize)?.target)
    }

    /// The exit with this cell, if it is one of these blocks'. One that was
    /// frozen is no exit of these until it was taken.
    fn exit_at(&self, cell: HostAddr) -> Option<ExitId> {
        self.by_cell.iter().rev().find_map(|(start, exits)| {
            let distance = cell.0.wrapping_sub(start.0) / 8;
            exits.get(usize::try_from(distance).ok()?).copied()
        })
    }

    /// Where the exit with this cell leads, if it is one of these blocks'.
    pub fn target_at(&self, cell: HostAddr) -> Option<GuestAddr> {
        match self.exit_at(cell) {
            Some(exit) => self.target(exit),
            None => self.frozen_target_at(cell),
        }
    }

    /// The exit with this cell, which was taken; that of a region's replay too.
    pub fn taken(&mut self, cell: HostAddr) -> Option<ExitId> {
        self.exit_at(cell).or_else(|| self.frozen_taken(cell))
    }

    /// Changes a cell, of the space or of what was frozen.
    fn set_cell(&self, cell: HostAddr, value: u64) {
        if !self
            .frozen
            .iter()
            .any(|frozen| frozen.unit.set_cell(cell, value))
        {
            self.space.set_cell(cell, value);
        }
    }

    /// Has every exit lead back to the engine, so that threads leave this code.
    pub fn unlink_all(&mut self) {
        for exit in &self.exits {
            self.set_cell(exit.cell, self.space.ways().unlinked);
        }
        for frozen in &self.frozen {
            frozen.unlink_all(self.space.ways().unlinked);
        }
    }

    /// The entry of the code for the block at `pc`.
    pub fn code_at(&self, pc: GuestAddr) -> Option<u64> {
        match self.records.get(&pc) {
            Some(record) => Some(self.code(record.code?)),
            None => self.frozen_code_at(pc),
        }
    }

    /// Has the look-up table lead to the code for the block at `pc`, to which an
    /// indirect jump went.
    pub fn enter_in_table(&mut self, pc: GuestAddr) {
        let entry = match self.records.get(&pc) {
            _ if self.apart => return,
            Some(record) => record.code.map(|code| self.entry_of(code)),
            None => self.frozen_entry(pc),
        };
        if let Some(entry) = entry {
            self.lookup[slot(pc)].store(entry, Ordering::Release);
        }
    }

    /// Whether the look-up table leads to the block at `pc`.
    fn is_in_table(&self, pc: GuestAddr) -> bool {
        let found = self.lookup[slot(pc)].load(Ordering::Acquire);
        let own = match self.records.get(&pc) {
            Some(record) => record.code.map(|code| self.entry_of(code)),
            None => self.known_frozen_entry(pc),
        };
        own == Some(found)
    }

    /// Takes the code away from a block that the first tier does better.
    pub fn demote(&mut self, head: GuestAddr) {
        self.thaw_at(head);
        if let Some(id) = self.records.get(&head).and_then(|record| record.code) {
            self.retire(id);
        }
    }

    /// The first block of the translation at `host`, and how far into it that is.
    pub fn head_at(&self, host: u64) -> Option<(GuestAddr, u64)> {
        if let Some(found) = self.frozen_head_at(host) {
            return Some(found);
        }
        let translation = self.translation_at(host)?;
        Some((translation.head, host - translation.host.start))
    }

    fn translation_at(&self, host: u64) -> Option<&Translation> {
        self.by_address.iter().find_map(|list| {
            let end = |id: &TranslationId| self.translations[id.0 as usize].host.end;
            let id = list.get(list.partition_point(|id| end(id) <= host))?;
            let translation = &self.translations[id.0 as usize];
            translation.host.contains(&host).then_some(translation)
        })
    }

    /// The guest instruction that the host code at `host` belongs to.
    pub fn guest_pc(&self, host: u64) -> Option<GuestAddr> {
        if let Some(pc) = self.frozen_guest_pc(host) {
            return Some(pc);
        }
        let translation = self.translation_at(host)?;
        let offset = (host - translation.host.start) as u32;
        let rows = &self.rows[translation.rows.start as usize..translation.rows.end as usize];
        let row = rows.partition_point(|&(from, _)| from <= offset);
        Some(row_pc(translation.head, rows[row.checked_sub(1)?].1))
    }

    /// Forgets every block with a byte in the range.
    pub fn invalidate(&mut self, range: Range<GuestAddr>) {
        if range.start >= range.end {
            return;
        }
        self.thaw_within(range.clone());
        let first = range.start.0 >> PAGE_BITS;
        let last = (range.end.0 - 1) >> PAGE_BITS;
        // A range with more pages than are known is walked the other way round.
        let touched: Vec<GuestAddr> = if last - first < self.pages.len() as u64 {
            (first..=last)
                .filter_map(|page| self.pages.get(&page))
                .flatten()
                .copied()
                .collect()
        } else {
            let inside = |page: &u64| (first..=last).contains(page);
            self.pages
                .iter()
                .filter(|(page, _)| inside(page))
                .flat_map(|(_, starts)| starts)
                .copied()
                .collect()
        };
        for start in touched {
            let overlaps = self.records.get(&start).is_some_and(|record| {
                start < range.end && start.0 + u64::from(record.bytes.1) > range.start.0
            });
            if overlaps {
                self.forget(start);
            }
        }
    }

    /// Forgets every block whose bytes `read` (at, into → whether it could be
    /// read) says are no longer what they were.
    pub fn revalidate(&mut self, mut read: impl FnMut(GuestAddr, &mut [u8]) -> bool) {
        let mut now = Vec::new();
        let changed = |(&start, record): (&GuestAddr, &Record)| {
            now.resize(record.bytes.1 as usize, 0);
            let same = read(start, &mut now) && *now == *self.bytes_of(record);
            (!same).then_some(start)
        };
        let changed: Vec<GuestAddr> = self.records.iter().filter_map(changed).collect();
        for start in changed {
            self.forget(start);
        }
    }

    /// Forgets one block and every translation that contains it.
    fn forget(&mut self, start: GuestAddr) {
        let Some(record) = self.records.remove(&start) else {
            return;
        };
        for page in pages(start, record.bytes.1 as usize) {
            if let Some(starts) = self.pages.get_mut(&page) {
                starts.retain(|&other| other != start);
                if starts.is_empty() {
                    self.pages.remove(&page);
                }
            }
        }
        for id in record.used_by.into_iter().chain(record.code) {
            self.retire(id);
        }
    }

    /// Unlinks a translation from everything that leads to it.
    fn retire(&mut self, id: TranslationId) {
        let translation = &mut self.translations[id.0 as usize];
        if !std::mem::replace(&mut translation.alive, false) {
            return;
        }
        let head = translation.head;
        let incoming = translation.incoming.take();
        let entry = self.translations[id.0 as usize].entry;
        let last = self.point(incoming, self.space.ways().unlinked);
        if incoming.is_some() {
            let waiting = self.waiting.remove(&head);
            let all = self.join(incoming, last, waiting);
            self.waiting
                .insert(head, all.expect("it begins with what came in"));
        }
        self.forget_entry(head, entry);
        if let Some(record) = self.records.get_mut(&head)
            && record.code == Some(id)
        {
            record.code = None;
        }
    }

    /// The look-up table leads by this entry no more.
    fn forget_entry(&self, pc: GuestAddr, entry: u32) {
        let (entry, none) = (self.entry(entry), no_entry(slot(pc)));
        let _ = self.lookup[slot(pc)].compare_exchange(
            entry,
            none,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
    }
}
