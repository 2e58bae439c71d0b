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
use crate::enter;
use crate::ir::Block;

/// Names one [`Translation`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TranslationId(pub u32);

/// Names one exit of translated code; it is what the code hands back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExitId(pub u32);

/// One lifted block.
pub struct Record {
    /// What it does.
    pub block: Arc<Block>,
    /// The guest code it was lifted from.
    pub bytes: Box<[u8]>,
    /// How often it ran outside translated code.
    pub heat: u32,
    /// The code to run for it.
    pub code: Option<TranslationId>,
    /// Every translation that contains it.
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
    /// belongs to; ascending.
    pub rows: Vec<(u32, GuestAddr)>,
}

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
    rows: Box<[(u32, GuestAddr)]>,
    incoming: Vec<ExitId>,
    entry: Box<Entry>,
    alive: bool,
}

struct Exit {
    cell: HostAddr,
    target: GuestAddr,
}

/// What the look-up table points to. Translated code reads it.
#[repr(C)]
pub struct Entry {
    pc: u64,
    code: u64,
}

/// Entries in the look-up table; a power of two.
pub const LOOKUP_ENTRIES: usize = 8192;

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
    /// Exits that were taken, or made, before there was code for their target.
    waiting: FxHashMap<GuestAddr, Vec<ExitId>>,
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

    /// Remembers a lifted block.
    pub fn insert(&mut self, block: Arc<Block>, bytes: &[u8]) -> &mut Record {
        let start = block.start;
        for page in pages(start, bytes.len()) {
            self.pages.entry(page).or_default().push(start);
        }
        let record = Record {
            block,
            bytes: bytes.into(),
            heat: 0,
            code: None,
            used_by: Vec::new(),
        };
        self.records.entry(start).insert_entry(record).into_mut()
    }

    /// The number that the next exit will have.
    pub fn next_exit(&self) -> ExitId {
        ExitId(self.first_exit + self.exits.len() as u32)
    }

    /// Publishes the code of the blocks that begin at `members`, of which the
    /// first is its entry, and points what waited for that at it. The exits
    /// were numbered from [`next_exit`](Self::next_exit) on.
    pub fn publish(&mut self, members: &[GuestAddr], compiled: &Compiled) -> Result<(), Full> {
        let first = self.exits.len();
        for &target in &compiled.exits {
            let cell = self.space.cell(enter::unlinked())?;
            self.exits.push(Exit { cell, target });
        }
        let at = self.space.next();
        let slot = self.space.slot(compiled.code.len())?;
        slot.copy_from_slice(&compiled.code);
        for used in &compiled.cells {
            let cell = self.exits[first + used.exit as usize].cell;
            let place = at.add(used.place.into());
            let value = cell.distance_from(place) + used.addend;
            let value = i32::try_from(value).expect("cells are within 2 GiB of code");
            let place = used.place as usize;
            slot[place..place + 4].copy_from_slice(&value.to_le_bytes());
        }
        self.space.finish(compiled.code.len());
        let id = TranslationId(self.translations.len() as u32);
        let head = members[0];
        self.translations.push(Translation {
            head,
            host: at.0..at.0 + compiled.code.len() as u64,
            rows: compiled.rows.as_slice().into(),
            incoming: Vec::new(),
            entry: Box::new(Entry {
                pc: head.0,
                code: at.0,
            }),
            alive: true,
        });
        for member in members {
            let record = self
                .records
                .get_mut(member)
                .expect("translated blocks have records");
            record.used_by.push(id);
        }
        self.replace(head, id);
        for (i, &target) in compiled.exits.iter().enumerate() {
            self.link(ExitId(self.first_exit + (first + i) as u32), target);
        }
        Ok(())
    }

    /// Makes `id` the code of the block at `head`, in place of what it had.
    fn replace(&mut self, head: GuestAddr, id: TranslationId) {
        let record = self
            .records
            .get_mut(&head)
            .expect("translated blocks have records");
        let old = record.code.replace(id);
        let mut exits = self.waiting.remove(&head).unwrap_or_default();
        if let Some(old) = old {
            let old = &mut self.translations[old.0 as usize];
            old.alive = false;
            exits.append(&mut old.incoming);
        }
        let code = self.translations[id.0 as usize].entry.code;
        for &exit in &exits {
            self.space.set_cell(self.cell(exit), code);
        }
        let new = &mut self.translations[id.0 as usize];
        new.incoming = exits;
        let entry = &raw const *new.entry;
        self.lookup[slot(head)].store(entry.cast_mut(), Ordering::Release);
    }

    /// Points an exit at the code for its target, or has it wait for some.
    fn link(&mut self, exit: ExitId, target: GuestAddr) {
        let code = self.records.get(&target).and_then(|record| record.code);
        let Some(code) = code else {
            self.waiting.entry(target).or_default().push(exit);
            return;
        };
        let translation = &mut self.translations[code.0 as usize];
        translation.incoming.push(exit);
        let code = translation.entry.code;
        self.space.set_cell(self.cell(exit), code);
    }

    fn cell(&self, exit: ExitId) -> HostAddr {
        self.exits[(exit.0 - self.first_exit) as usize].cell
    }

    /// Where an exit leads; `None` when it is none of these blocks'.
    pub fn target(&self, exit: ExitId) -> Option<GuestAddr> {
        let index = exit.0.checked_sub(self.first_exit)?;
        Some(self.exits.get(index as usize)?.target)
    }

    /// Has every exit lead back to the engine, so that threads leave this code.
    pub fn unlink_all(&mut self) {
        for exit in &self.exits {
            self.space.set_cell(exit.cell, enter::unlinked());
        }
    }

    /// The entry of the code for the block at `pc`, which the look-up table
    /// then has too.
    pub fn code_at(&self, pc: GuestAddr) -> Option<u64> {
        let code = self.records.get(&pc)?.code?;
        let entry = &*self.translations[code.0 as usize].entry;
        self.lookup[slot(pc)].store((&raw const *entry).cast_mut(), Ordering::Release);
        Some(entry.code)
    }

    /// The guest instruction that the host code at `host` belongs to.
    pub fn guest_pc(&self, host: u64) -> Option<GuestAddr> {
        let index = self.translations.partition_point(|t| t.host.end <= host);
        let translation = self
            .translations
            .get(index)
            .filter(|t| t.host.contains(&host))?;
        let offset = (host - translation.host.start) as u32;
        let row = translation
            .rows
            .partition_point(|&(from, _)| from <= offset);
        Some(translation.rows[row.checked_sub(1)?].1)
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
                start < range.end && start.0 + record.bytes.len() as u64 > range.start.0
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
            now.resize(record.bytes.len(), 0);
            let same = read(start, &mut now) && *now == *record.bytes;
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
        for page in pages(start, record.bytes.len()) {
            if let Some(starts) = self.pages.get_mut(&page) {
                starts.retain(|&other| other != start);
                if starts.is_empty() {
                    self.pages.remove(&page);
                }
            }
        }
        for id in record.used_by {
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
        let incoming = std::mem::take(&mut translation.incoming);
        let entry = (&raw const *translation.entry).cast_mut();
        for &exit in &incoming {
            self.space.set_cell(self.cell(exit), enter::unlinked());
        }
        self.waiting.entry(head).or_default().extend(incoming);
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
