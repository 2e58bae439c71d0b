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

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use rustc_hash::FxHashMap;
use sapwood_link::HostAddr;

use crate::addr::GuestAddr;
use crate::code::{CodeSpace, Full};
use crate::ir::Block;

/// Names one [`Translation`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TranslationId(pub u32);

/// Names one exit of translated code; it is what the code hands back.
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
    /// Places of 4 bytes that become `cell − place + addend`, for the cell of
    /// the exit with this index.
    pub cells: Vec<CellUse>,
    /// Where each exit leads.
    pub exits: Vec<GuestAddr>,
    /// Offset in the code → the guest instruction that the code from there on
    /// belongs to, or [`LAST_CHECKPOINT`]; ascending.
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

/// In place of a guest instruction: the one that the state names as its last
/// checkpoint.
pub const LAST_CHECKPOINT: GuestAddr = GuestAddr(u64::MAX);

/// The same in the rows that are kept, where others have distances.
const LAST_CHECKPOINT_ROW: u32 = 1 << 31;

/// A reference to a cell.
#[derive(Clone, Copy, Debug)]
pub struct CellUse {
    /// Offset in the code of the 4 bytes.
    pub place: u32,
    /// Index of the exit.
    pub exit: u32,
    /// What is added.
    pub addend: i64,
}

struct Translation {
    head: GuestAddr,
    host: Range<u64>,
    /// Its part of all rows.
    rows: Range<u32>,
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

/// Entries in the look-up table; a power of two.
pub const LOOKUP_ENTRIES: usize = 8192;

/// Entries that are kept in one piece.
const ENTRIES: usize = 256;

/// Offsets into [`Entry`], for generated code.
pub const ENTRY_PC: i32 = std::mem::offset_of!(Entry, pc) as i32;
/// See [`ENTRY_PC`].
pub const ENTRY_CODE: i32 = std::mem::offset_of!(Entry, code) as i32;

/// An entry that no pc matches: guest instructions have even addresses.
static NO_ENTRY: Entry = Entry { pc: 1, code: 0 };

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
    exits: Vec<Exit>,
    /// Exits that were taken, or made, before there was code for their target:
    /// the first of each list.
    waiting: FxHashMap<GuestAddr, ExitId>,
    /// The bytes of all records, also of those that are forgotten.
    bytes: Vec<u8>,
    /// The rows of all translations: offset in the code → distance from the head.
    rows: Vec<(u32, u32)>,
    /// What the look-up table points to, by translation; none moves.
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

impl Blocks {
    /// Nothing known yet. Exits are numbered from `first_exit` on.
    pub fn new(space: CodeSpace, first_exit: ExitId) -> Blocks {
        let empty = || AtomicPtr::new((&raw const NO_ENTRY).cast_mut());
        Blocks {
            space,
            first_exit: first_exit.0,
            records: FxHashMap::default(),
            pages: FxHashMap::default(),
            translations: Vec::new(),
            exits: Vec::new(),
            waiting: FxHashMap::default(),
            bytes: Vec::new(),
            rows: Vec::new(),
            entries: Vec::new(),
            lookup: (0..LOOKUP_ENTRIES).map(|_| empty()).collect(),
        }
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
        self.records.get_mut(&pc)
    }

    /// How many blocks and translations there are.
    pub fn counts(&self) -> (usize, usize) {
        (
            self.records.len(),
            self.translations.iter().filter(|t| t.alive).count(),
        )
    }

    /// Remembers a block, by the code it was lifted from.
    pub fn insert(&mut self, start: GuestAddr, bytes: &[u8]) {
        match self.code_of(start) {
            Some(known) if known == bytes => return,
            Some(_) => self.forget(start),
            None => {}
        }
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
        Some(self.bytes_of(self.records.get(&pc)?))
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
            self.exits.push(Exit {
                cell,
                target: GuestAddr(0),
                next: None,
            });
        }
        Ok(first)
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
                let value = cell.distance_from(place) + used.addend;
                let value = i32::try_from(value).expect("cells are within 2 GiB of code");
                let place = used.place as usize;
                code[place..place + 4].copy_from_slice(&value.to_le_bytes());
            }
        })?;
        let id = TranslationId(self.translations.len() as u32);
        let head = members[0];
        let rows = self.rows.len() as u32;
        let row = |&(offset, pc): &(u32, GuestAddr)| match pc {
            LAST_CHECKPOINT => (offset, LAST_CHECKPOINT_ROW),
            pc => (offset, pc.0.wrapping_sub(head.0) as u32),
        };
        self.rows.extend(compiled.rows.iter().map(row));
        self.add_entry(Entry {
            pc: head.0,
            code: at.0,
        });
        self.translations.push(Translation {
            head,
            host: at.0..at.0 + compiled.code.len() as u64,
            rows: rows..self.rows.len() as u32,
            incoming: None,
            alive: true,
        });
        if members.len() > 1
            || self
                .record(head)
                .is_some_and(|record| record.code.is_some())
        {
            for member in members {
                let record = self.records.get_mut(member);
                let record = record.expect("translated blocks have records");
                record.used_by.push(id);
            }
        }
        self.replace(head, id);
        for (i, &target) in compiled.exits.iter().enumerate() {
            self.link(ExitId(first.0 + i as u32), target);
        }
        Ok(())
    }

    /// Keeps the next translation's entry, where it stays.
    fn add_entry(&mut self, entry: Entry) {
        if self.entries.last().is_none_or(|last| last.len() == ENTRIES) {
            self.entries.push(Vec::with_capacity(ENTRIES));
        }
        let last = self.entries.last_mut().expect("just made");
        last.push(entry);
    }

    fn entry(&self, id: TranslationId) -> *mut Entry {
        let index = id.0 as usize;
        (&raw const self.entries[index / ENTRIES][index % ENTRIES]).cast_mut()
    }

    fn code(&self, id: TranslationId) -> u64 {
        self.translations[id.0 as usize].host.start
    }

    /// Points every exit of a list at some code; gives the last one.
    fn point(&self, list: Option<ExitId>, code: u64) -> Option<ExitId> {
        let (mut next, mut last) = (list, None);
        while let Some(exit) = next {
            self.space.set_cell(self.cell(exit), code);
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
        self.exits[(last.0 - self.first_exit) as usize].next = rest;
        first
    }

    /// Makes `id` the code of the block at `head`, in place of what it had.
    fn replace(&mut self, head: GuestAddr, id: TranslationId) {
        let record = self
            .records
            .get_mut(&head)
            .expect("translated blocks have records");
        let old = record.code.replace(id);
        let code = self.code(id);
        let waiting = self.waiting.remove(&head);
        let last = self.point(waiting, code);
        let mut incoming = waiting;
        if let Some(old) = old {
            let old = &mut self.translations[old.0 as usize];
            old.alive = false;
            let moved = old.incoming.take();
            self.point(moved, code);
            incoming = self.join(waiting, last, moved);
        }
        let new = &mut self.translations[id.0 as usize];
        new.incoming = incoming;
        self.lookup[slot(head)].store(self.entry(id), Ordering::Release);
    }

    /// Points an exit at the code for its target, or has it wait for some.
    fn link(&mut self, exit: ExitId, target: GuestAddr) {
        let code = self.records.get(&target).and_then(|record| record.code);
        let next = if let Some(id) = code {
            let next = self.translations[id.0 as usize].incoming.replace(exit);
            self.space.set_cell(self.cell(exit), self.code(id));
            next
        } else {
            self.waiting.insert(target, exit)
        };
        self.exits[(exit.0 - self.first_exit) as usize].next = next;
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

    /// Has every exit lead back to the engine, so that threads leave this code.
    pub fn unlink_all(&mut self) {
        for exit in &self.exits {
            self.space.set_cell(exit.cell, self.space.ways().unlinked);
        }
    }

    /// The entry of the code for the block at `pc`, which the look-up table
    /// then has too.
    pub fn code_at(&self, pc: GuestAddr) -> Option<u64> {
        let code = self.records.get(&pc)?.code?;
        self.lookup[slot(pc)].store(self.entry(code), Ordering::Release);
        Some(self.code(code))
    }

    /// Takes the code away from a block that the first tier does better.
    pub fn demote(&mut self, head: GuestAddr) {
        if let Some(id) = self.records.get(&head).and_then(|record| record.code) {
            self.retire(id);
        }
    }

    /// The guest instruction that the host code at `host` belongs to, or
    /// [`LAST_CHECKPOINT`].
    pub fn guest_pc(&self, host: u64) -> Option<GuestAddr> {
        let index = self.translations.partition_point(|t| t.host.end <= host);
        let translation = self
            .translations
            .get(index)
            .filter(|t| t.host.contains(&host))?;
        let offset = (host - translation.host.start) as u32;
        let rows = &self.rows[translation.rows.start as usize..translation.rows.end as usize];
        let row = rows.partition_point(|&(from, _)| from <= offset);
        let distance = match rows[row.checked_sub(1)?].1 {
            LAST_CHECKPOINT_ROW => return Some(LAST_CHECKPOINT),
            distance => distance as i32,
        };
        Some(translation.head.add(i64::from(distance) as u64))
    }

    /// Forgets every block with a byte in the range.
    pub fn invalidate(&mut self, range: Range<GuestAddr>) {
        if range.start >= range.end {
            return;
        }
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
        let entry = self.entry(id);
        let last = self.point(incoming, self.space.ways().unlinked);
        if incoming.is_some() {
            let waiting = self.waiting.remove(&head);
            let all = self.join(incoming, last, waiting);
            self.waiting
                .insert(head, all.expect("it begins with what came in"));
        }
        let none = (&raw const NO_ENTRY).cast_mut();
        let _ = self.lookup[slot(head)].compare_exchange(
            entry,
            none,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if let Some(record) = self.records.get_mut(&head)
            && record.code == Some(id)
        {
            record.code = None;
        }
    }
}
