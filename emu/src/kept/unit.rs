//! [`Unit`]: the translations of one guest file at one place, as they lie in a
//! file of ours and, mapped, in this process.
//!
//! ```text
//! file   | header | blocks | exits | extents | regions | members | bytes | code | rows | uses | incoming |
//! memory                                                          | code | cells |
//! ```
//!
//! The code refers to nothing but its cells, which lie at a fixed distance
//! behind it, so it runs wherever it is mapped, straight from the file. Each
//! exit's cell is filled in when the unit is mapped: with the code that the exit
//! leads to, when that is in the unit, or with the way back to the engine.
//!
//! What is checked when a file is opened: whose it is, its key, that the tables
//! add up to its length, and the sum of all its bytes. What the tables say is
//! believed then. Whether the guest's code is still what was translated is not
//! known here: the unit has the bytes, and who maps it compares.

use std::fs::File;
use std::io;
use std::ops::{Index, Range};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use sapwood_link::HostAddr;

use super::map::{Image, View};
use crate::addr::GuestAddr;
use crate::enter::Ways;
use crate::fault::{self, Registration};

/// How the file begins.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"sapwoodT");

/// Changes with the format. What else the contents depend on is in the key.
pub(super) const FORMAT: u64 = 2;

/// Names a unit, in the name of its file and inside.
pub type Key = [u8; 32];

/// The header's length: the magic, the sum, the key, and the counts.
pub(super) const HEADER: usize = 16 + 32 + COUNTS * 8;
const COUNTS: usize = 1 + TABLES;

/// An exit that leads to no code of the unit.
pub(super) const NOWHERE: u32 = u32::MAX;

/// A block that belongs to a region.
pub(super) const IN_REGION: u32 = 1 << 16;

/// A block that indirect jumps went to.
pub(super) const IN_TABLE: u32 = 1 << 17;

const PAGE: usize = 4096;

/// The tables of a file, in the order in which they lie there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Table {
    Blocks,
    /// Where each leads, and the code there if it is in the unit.
    Exits,
    /// Runs of guest code: start, length, and where among the bytes.
    Extents,
    Regions,
    Members,
    /// Guest code.
    Bytes,
    /// Host code.
    Code,
    Rows,
    Uses,
    /// Exits by the block that they lead to.
    Incoming,
}

const TABLES: usize = 10;

/// Of each table the length of an entry, and whether it begins with a page. The
/// first of two that begin so is what is mapped to run.
const SHAPES: [(Table, usize, bool); TABLES] = [
    (Table::Blocks, 32, false),
    (Table::Exits, 8, false),
    (Table::Extents, 12, false),
    (Table::Regions, 8, false),
    (Table::Members, 8, false),
    (Table::Bytes, 1, false),
    (Table::Code, 1, true),
    (Table::Rows, 8, true),
    (Table::Uses, 8, false),
    (Table::Incoming, 4, false),
];

/// How many entries each table has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    /// The guest address that others are counted from.
    pub base: u64,
    of: [usize; TABLES],
}

impl Counts {
    /// Nothing yet.
    pub fn new(base: u64) -> Counts {
        let of = [0; TABLES];
        Counts { base, of }
    }

    /// The same, with so many entries in a table.
    pub fn with(mut self, table: Table, count: usize) -> Counts {
        self.of[table as usize] = count;
        self
    }

    pub fn words(&self) -> [u64; COUNTS] {
        let mut words = [self.base; COUNTS];
        for (word, count) in words[1..].iter_mut().zip(self.of) {
            *word = count as u64;
        }
        words
    }

    /// `None` when the counts are beyond anything that was ever written.
    fn from_words(words: [u64; COUNTS]) -> Option<Counts> {
        const MOST: u64 = 1 << 30;
        let [base, counts @ ..] = words;
        if counts.iter().any(|&count| count > MOST) {
            return None;
        }
        let of = counts.map(|count| count as usize);
        Some(Counts { base, of })
    }
}

impl Index<Table> for Counts {
    type Output = usize;

    fn index(&self, table: Table) -> &usize {
        &self.of[table as usize]
    }
}

/// Where each table begins in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    at: [usize; TABLES],
    pub end: usize,
}

impl Layout {
    pub fn of(counts: &Counts) -> Layout {
        let mut at = [0; TABLES];
        let mut end = HEADER;
        for (table, entry, begins_page) in SHAPES {
            if begins_page {
                end = end.next_multiple_of(PAGE);
            }
            at[table as usize] = end;
            // Those that have ranges of others have one more: it ends the last.
            let ends_last = matches!(table, Table::Blocks | Table::Regions);
            end += (counts[table] + usize::from(ends_last)) * entry;
        }
        Layout { at, end }
    }

    /// How far behind the beginning of the code the cells are.
    pub fn cells(&self) -> usize {
        self[Table::Rows] - self[Table::Code]
    }
}

impl Index<Table> for Layout {
    type Output = usize;

    fn index(&self, table: Table) -> &usize {
        &self.at[table as usize]
    }
}

/// What the file's bytes behind the sum add up to.
pub(super) fn sum(file: &[u8]) -> u64 {
    crc32fast::hash(&file[16..]).into()
}

/// One block of a unit.
#[derive(Clone, Debug)]
pub struct UnitBlock {
    pub start: GuestAddr,
    /// Bytes of guest code.
    pub length: u32,
    /// Whether a region begins at it or contains it.
    pub in_region: bool,
    /// Whether indirect jumps went to it.
    pub in_table: bool,
    /// Its code, from the beginning of the unit's.
    pub code: Range<u32>,
    pub exits: Range<u32>,
    rows: Range<u32>,
    uses: Range<u32>,
    incoming: Range<u32>,
}

/// A region of a unit: its head, and every block that it was made of.
pub struct UnitRegion {
    pub head: u32,
    pub members: Vec<(GuestAddr, u32)>,
}

/// A unit that is mapped.
pub struct Unit {
    file: View,
    layout: Layout,
    counts: Counts,
    image: Image,
    /// Where the blocks start, as the table has it: looked through often.
    starts: Box<[u32]>,
    /// Makes host faults in the code the guest's.
    _registration: Option<Registration>,
}

impl std::fmt::Debug for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Unit").field(&self.counts).finish()
    }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Unit {
    /// Maps the unit in a file, after the checks that the module's page names.
    pub fn open(path: &Path, key: &Key, ways: &Ways) -> io::Result<Unit> {
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.mode() & 0o022 != 0 || metadata.uid() != super::user() {
            return Err(refused("another's"));
        }
        let length = metadata.len();
        if length < HEADER as u64 || length > u64::from(u32::MAX) {
            return Err(refused("length"));
        }
        let view = View::of(&file, length as usize)?;
        let bytes = view.bytes();
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        if word(0) != MAGIC || bytes[16..48] != *key {
            return Err(refused("key"));
        }
        let counts = Counts::from_words(std::array::from_fn(|i| word(48 + 8 * i)));
        let counts = counts.ok_or_else(|| refused("counts"))?;
        let layout = Layout::of(&counts);
        if layout.end as u64 != length || word(8) != sum(bytes) {
            return Err(refused("sum"));
        }
        let cells = counts[Table::Exits] * 8;
        let image = Image::map(&file, layout[Table::Code], layout.cells(), cells)?;
        let code = image.start().0;
        let registration = (counts[Table::Code] > 0)
            .then(|| fault::register(code..code + counts[Table::Code] as u64, ways.landing));
        let mut unit = Unit {
            file: view,
            layout,
            counts,
            image,
            starts: Box::default(),
            _registration: registration,
        };
        unit.fill_cells(ways.unlinked);
        let starts = unit.rows_of_blocks().map(|block| block[0]);
        unit.starts = starts.collect();
        Ok(unit)
    }

    fn fill_cells(&mut self, unlinked: u64) {
        let code = self.image.start().0;
        let table = &self.file.bytes()[self.layout[Table::Exits]..self.layout[Table::Extents]];
        let linked = table.chunks_exact(8).map(|exit| {
            match u32::from_le_bytes(exit[4..].try_into().expect("4 bytes")) {
                NOWHERE => unlinked,
                at => code + u64::from(at),
            }
        });
        self.image.fill(linked);
    }

    fn words<const N: usize>(&self, table: Table, index: usize) -> [u32; N] {
        let at = self.layout[table] + index * N * 4;
        let bytes = &self.file.bytes()[at..at + N * 4];
        std::array::from_fn(|i| {
            u32::from_le_bytes(bytes[i * 4..i * 4 + 4].try_into().expect("4 bytes"))
        })
    }

    /// How many blocks it has.
    pub fn len(&self) -> usize {
        self.counts[Table::Blocks]
    }

    /// From the first byte of guest code that it knows to past the last.
    pub fn extent(&self) -> Range<GuestAddr> {
        let base = GuestAddr(self.counts.base);
        let Some(last) = self.counts[Table::Extents].checked_sub(1) else {
            return base..base;
        };
        let [start, ..] = self.words::<3>(Table::Extents, 0);
        let [end, length, _] = self.words::<3>(Table::Extents, last);
        base.add(start.into())..base.add(u64::from(end) + u64::from(length))
    }

    /// The runs of guest code that it knows, ascending.
    pub fn extents(&self) -> impl Iterator<Item = (GuestAddr, &[u8])> {
        (0..self.counts[Table::Extents]).map(|i| {
            let [start, length, at] = self.words::<3>(Table::Extents, i);
            let at = self.layout[Table::Bytes] + at as usize;
            let start = GuestAddr(self.counts.base + u64::from(start));
            (start, &self.file.bytes()[at..at + length as usize])
        })
    }

    /// Bytes of guest code, which lie in one of the extents.
    pub fn bytes(&self, start: GuestAddr, length: u32) -> &[u8] {
        let from = (start.0 - self.counts.base) as u32;
        let (mut low, mut high) = (0, self.counts[Table::Extents]);
        while high - low > 1 {
            let middle = low.midpoint(high);
            let [first, ..] = self.words::<3>(Table::Extents, middle);
            if first <= from {
                low = middle;
            } else {
                high = middle;
            }
        }
        let [first, _, at] = self.words::<3>(Table::Extents, low);
        let at = self.layout[Table::Bytes] + at as usize + (from - first) as usize;
        &self.file.bytes()[at..at + length as usize]
    }

    /// A block by its number.
    pub fn block(&self, index: u32) -> UnitBlock {
        let words = |i| self.words::<8>(Table::Blocks, i);
        let [
            start,
            length,
            code,
            code_length,
            exits,
            rows,
            uses,
            incoming,
        ] = words(index as usize);
        let [_, _, _, _, exits_end, rows_end, uses_end, incoming_end] = words(index as usize + 1);
        UnitBlock {
            start: GuestAddr(self.counts.base + u64::from(start)),
            length: length & 0xffff,
            in_region: length & IN_REGION != 0,
            in_table: length & IN_TABLE != 0,
            code: code..code + code_length,
            exits: exits..exits_end,
            rows: rows..rows_end,
            uses: uses..uses_end,
            incoming: incoming..incoming_end,
        }
    }

    /// The number of the first block that begins at `pc` or later.
    pub fn first_from(&self, pc: GuestAddr) -> u32 {
        let wanted = pc.0.saturating_sub(self.counts.base);
        self.starts
            .partition_point(|&start| u64::from(start) < wanted) as u32
    }

    /// The block that begins at `pc`.
    pub fn find(&self, pc: GuestAddr) -> Option<u32> {
        let start = u32::try_from(pc.0.checked_sub(self.counts.base)?).ok()?;
        self.starts
            .binary_search(&start)
            .ok()
            .map(|index| index as u32)
    }

    /// Every block.
    pub fn blocks(&self) -> impl Iterator<Item = UnitBlock> {
        (0..self.counts[Table::Blocks] as u32).map(|index| self.block(index))
    }

    fn rows_of_blocks(&self) -> impl Iterator<Item = [u32; 8]> {
        (0..self.counts[Table::Blocks]).map(|i| self.words(Table::Blocks, i))
    }

    /// How many blocks at the beginning of the table satisfy `before`.
    fn partition(&self, before: impl Fn([u32; 8]) -> bool) -> u32 {
        let (mut low, mut high) = (0, self.counts[Table::Blocks]);
        while low < high {
            let middle = low.midpoint(high);
            if before(self.words(Table::Blocks, middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low as u32
    }

    /// The code of a block.
    pub fn code(&self, block: &UnitBlock) -> &[u8] {
        let at = self.layout[Table::Code];
        &self.file.bytes()[at + block.code.start as usize..at + block.code.end as usize]
    }

    /// Where the code of a block runs.
    pub fn entry(&self, block: &UnitBlock) -> u64 {
        self.image.start().0 + u64::from(block.code.start)
    }

    /// Where code of the unit runs.
    pub fn code_range(&self) -> Range<u64> {
        let start = self.image.start().0;
        start..start + self.counts[Table::Code] as u64
    }

    /// The block whose code is at a host address, and how far into it.
    pub fn block_at(&self, host: u64) -> Option<(u32, u32)> {
        if !self.code_range().contains(&host) {
            return None;
        }
        let offset = (host - self.image.start().0) as u32;
        let index = self.partition(|block| block[2] <= offset).checked_sub(1)?;
        Some((index, offset - self.block(index).code.start))
    }

    /// Rows of a block: offset in its code, and distance from its start.
    pub fn rows(&self, block: &UnitBlock) -> impl Iterator<Item = (u32, u32)> {
        self.pairs(Table::Rows, block.rows.clone())
    }

    /// Uses of cells in a block: place in its code, and the exit, counted from
    /// the block's first.
    pub fn uses(&self, block: &UnitBlock) -> impl Iterator<Item = (u32, u32)> {
        self.pairs(Table::Uses, block.uses.clone())
    }

    fn pairs(&self, table: Table, range: Range<u32>) -> impl Iterator<Item = (u32, u32)> {
        range.map(move |i| {
            let [first, second] = self.words(table, i as usize);
            (first, second)
        })
    }

    /// Exits that are linked to a block when the unit is mapped.
    pub fn incoming(&self, block: &UnitBlock) -> impl Iterator<Item = u32> {
        block.incoming.clone().map(move |i| {
            let [exit] = self.words(Table::Incoming, i as usize);
            exit
        })
    }

    /// How many exits it has.
    pub fn exit_count(&self) -> u32 {
        self.counts[Table::Exits] as u32
    }

    /// Where an exit leads.
    pub fn target(&self, exit: u32) -> GuestAddr {
        let [target, _] = self.words(Table::Exits, exit as usize);
        GuestAddr(self.counts.base + u64::from(target))
    }

    /// An exit's cell.
    pub fn cell(&self, exit: u32) -> HostAddr {
        let cells = self.image.start().add(self.layout.cells() as u64);
        cells.add(8 * u64::from(exit))
    }

    /// The exit whose cell this is.
    pub fn exit_at(&self, cell: HostAddr) -> Option<u32> {
        let distance = cell.0.wrapping_sub(self.cell(0).0) / 8;
        (distance < self.counts[Table::Exits] as u64).then_some(distance as u32)
    }

    /// The block that an exit belongs to.
    pub fn block_of_exit(&self, exit: u32) -> Option<u32> {
        self.partition(|block| block[4] <= exit).checked_sub(1)
    }

    /// Changes a cell, if it is one of the unit's. Running code sees the old
    /// value or the new one.
    pub fn set_cell(&self, cell: HostAddr, value: u64) -> bool {
        match self.exit_at(cell) {
            Some(exit) => {
                self.image.set(exit as usize, value);
                true
            }
            None => false,
        }
    }

    /// Its regions.
    pub fn regions(&self) -> impl Iterator<Item = UnitRegion> {
        (0..self.counts[Table::Regions]).map(|i| {
            let [head, first] = self.words(Table::Regions, i);
            let [_, end] = self.words::<2>(Table::Regions, i + 1);
            let members = self.pairs(Table::Members, first..end);
            let base = self.counts.base;
            let member = |(start, length)| (GuestAddr(base + u64::from(start)), length);
            UnitRegion {
                head,
                members: members.map(member).collect(),
            }
        })
    }
}
