//! [`Draft`]: translations on their way into a file.
//!
//! Code is added block by block, in the order of guest addresses; it is laid
//! out in that order too. The cells get their places when all code has one, so
//! the displacements in the code are written last.

use rustc_hash::FxHashMap;

use super::unit::{
    Counts, FORMAT, HEADER, IN_REGION, IN_TABLE, Key, Layout, MAGIC, NOWHERE, Table, sum,
};
use crate::addr::GuestAddr;

/// Code begins at multiples of this.
const ALIGNMENT: usize = 16;

/// A unit that is being written.
pub struct Draft {
    base: GuestAddr,
    blocks: Vec<[u32; 8]>,
    /// Where each exit leads.
    targets: Vec<u32>,
    rows: Vec<(u32, u32)>,
    uses: Vec<(u32, u32)>,
    code: Vec<u8>,
    regions: Vec<[u32; 2]>,
    members: Vec<(u32, u32)>,
    /// Guest code, as it comes.
    bytes: Vec<u8>,
    chunks: Vec<Chunk>,
}

/// Some guest code, and where it is among the bytes.
struct Chunk {
    start: u32,
    length: u32,
    at: usize,
}

/// The code of one block, or of the region that begins at it.
pub struct Piece<'a, E, R, U> {
    pub start: GuestAddr,
    /// The block's guest code.
    pub bytes: &'a [u8],
    pub code: &'a [u8],
    /// Whether indirect jumps go to it.
    pub in_table: bool,
    /// Where its exits lead.
    pub exits: E,
    /// Offset in the code, and distance from the start.
    pub rows: R,
    /// Place in the code, and exit.
    pub uses: U,
}

impl Draft {
    /// Of guest code at `base` and above.
    pub fn new(base: GuestAddr) -> Draft {
        Draft {
            base,
            blocks: Vec::new(),
            targets: Vec::new(),
            rows: Vec::new(),
            uses: Vec::new(),
            code: Vec::new(),
            regions: Vec::new(),
            members: Vec::new(),
            bytes: Vec::new(),
            chunks: Vec::new(),
        }
    }

    /// The distance of an address from the base, if it can be written down.
    pub fn offset(&self, at: GuestAddr) -> Option<u32> {
        u32::try_from(at.0.checked_sub(self.base.0)?).ok()
    }

    /// Adds a piece; its start is beyond the last one's. One that leads too far
    /// away to be written down is left out (`false`).
    pub fn add(
        &mut self,
        piece: Piece<
            '_,
            impl Iterator<Item = GuestAddr>,
            impl Iterator<Item = (u32, u32)>,
            impl Iterator<Item = (u32, u32)>,
        >,
    ) -> bool {
        let Some(start) = self.offset(piece.start) else {
            return false;
        };
        let first_exit = self.targets.len();
        for target in piece.exits {
            let Some(target) = self.offset(target) else {
                self.targets.truncate(first_exit);
                return false;
            };
            self.targets.push(target);
        }
        self.code
            .resize(self.code.len().next_multiple_of(ALIGNMENT), 0xcc);
        self.blocks.push([
            start,
            piece.bytes.len() as u32 | if piece.in_table { IN_TABLE } else { 0 },
            self.code.len() as u32,
            piece.code.len() as u32,
            first_exit as u32,
            self.rows.len() as u32,
            self.uses.len() as u32,
            0,
        ]);
        self.code.extend_from_slice(piece.code);
        self.rows.extend(piece.rows);
        self.uses.extend(piece.uses);
        self.guest_code(start, piece.bytes);
        true
    }

    fn guest_code(&mut self, start: u32, bytes: &[u8]) {
        self.chunks.push(Chunk {
            start,
            length: bytes.len() as u32,
            at: self.bytes.len(),
        });
        self.bytes.extend_from_slice(bytes);
    }

    /// The piece that was added last is a region of these blocks.
    pub fn region<'b>(&mut self, members: impl Iterator<Item = (GuestAddr, &'b [u8])>) {
        let head = self.blocks.len() as u32 - 1;
        self.regions.push([head, self.members.len() as u32]);
        for (start, bytes) in members {
            let start = self.offset(start).expect("regions are of near blocks");
            self.members.push((start, bytes.len() as u32));
            self.guest_code(start, bytes);
        }
    }

    /// The file.
    pub fn finish(mut self, key: &Key) -> Vec<u8> {
        let index: FxHashMap<u32, u32> =
            self.blocks.iter().map(|block| block[0]).zip(0..).collect();
        for (start, _) in &self.members {
            if let Some(&member) = index.get(start) {
                self.blocks[member as usize][1] |= IN_REGION;
            }
        }
        let linked: Vec<Option<u32>> = self
            .targets
            .iter()
            .map(|to| index.get(to).copied())
            .collect();
        let incoming = self.incoming(&linked);
        let (extents, bytes) = self.extents();
        let counts = Counts::new(self.base.0)
            .with(Table::Blocks, self.blocks.len())
            .with(Table::Exits, self.targets.len())
            .with(Table::Extents, extents.len())
            .with(Table::Regions, self.regions.len())
            .with(Table::Members, self.members.len())
            .with(Table::Bytes, bytes.len())
            .with(Table::Code, self.code.len())
            .with(Table::Rows, self.rows.len())
            .with(Table::Uses, self.uses.len())
            .with(Table::Incoming, incoming.len());
        let layout = Layout::of(&counts);
        self.place_cells(layout.cells());
        self.blocks.push([
            u32::MAX,
            0,
            counts[Table::Code] as u32,
            0,
            counts[Table::Exits] as u32,
            counts[Table::Rows] as u32,
            counts[Table::Uses] as u32,
            counts[Table::Incoming] as u32,
        ]);
        self.regions.push([u32::MAX, counts[Table::Members] as u32]);

        let mut out = Vec::with_capacity(layout.end);
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(key);
        for word in counts.words() {
            out.extend_from_slice(&word.to_le_bytes());
        }
        debug_assert_eq!(out.len(), HEADER);
        let mut words = |at: usize, words: &mut dyn Iterator<Item = u32>| {
            out.resize(at, 0);
            words.for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        };
        let code_of = |block: Option<u32>| block.map_or(NOWHERE, |i| self.blocks[i as usize][2]);
        let exits = self.targets.iter().zip(&linked);
        let pair = |&(a, b): &(u32, u32)| [a, b];
        words(
            layout[Table::Blocks],
            &mut self.blocks.iter().flatten().copied(),
        );
        words(
            layout[Table::Exits],
            &mut exits.flat_map(|(&to, &block)| [to, code_of(block)]),
        );
        words(
            layout[Table::Extents],
            &mut extents.iter().flatten().copied(),
        );
        words(
            layout[Table::Regions],
            &mut self.regions.iter().flatten().copied(),
        );
        words(
            layout[Table::Members],
            &mut self.members.iter().flat_map(pair),
        );
        out.resize(layout[Table::Bytes], 0);
        out.extend_from_slice(&bytes);
        out.resize(layout[Table::Code], 0);
        out.extend_from_slice(&self.code);
        let mut words = |at: usize, words: &mut dyn Iterator<Item = u32>| {
            out.resize(at, 0);
            words.for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        };
        words(layout[Table::Rows], &mut self.rows.iter().flat_map(pair));
        words(layout[Table::Uses], &mut self.uses.iter().flat_map(pair));
        words(layout[Table::Incoming], &mut incoming.iter().copied());
        out.resize(layout.end, 0);
        let sum = sum(&out);
        out[8..16].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// The exits, sorted by the block that they lead to; where each block's
    /// begin is noted in it.
    fn incoming(&mut self, linked: &[Option<u32>]) -> Vec<u32> {
        let mut counts = vec![0u32; self.blocks.len()];
        for &block in linked.iter().flatten() {
            counts[block as usize] += 1;
        }
        let mut next = 0;
        for (block, count) in self.blocks.iter_mut().zip(&mut counts) {
            block[7] = next;
            next += std::mem::replace(count, next);
        }
        let mut incoming = vec![0; next as usize];
        for (exit, block) in linked.iter().enumerate() {
            if let Some(block) = block {
                let at = &mut counts[*block as usize];
                incoming[*at as usize] = exit as u32;
                *at += 1;
            }
        }
        incoming
    }

    /// The guest code in runs: start, length, and where its bytes are.
    fn extents(&mut self) -> (Vec<[u32; 3]>, Vec<u8>) {
        self.chunks.sort_unstable_by_key(|chunk| chunk.start);
        let (mut extents, mut bytes): (Vec<[u32; 3]>, Vec<u8>) = (Vec::new(), Vec::new());
        for chunk in &self.chunks {
            let end = extents
                .last()
                .map_or(0, |[start, length, _]| start + length);
            let known = match extents.last_mut() {
                Some([_, length, _]) if chunk.start <= end => {
                    let known = (end - chunk.start).min(chunk.length);
                    *length += chunk.length - known;
                    known
                }
                _ => {
                    extents.push([chunk.start, chunk.length, bytes.len() as u32]);
                    0
                }
            };
            let new = chunk.at + known as usize..chunk.at + chunk.length as usize;
            bytes.extend_from_slice(&self.bytes[new]);
        }
        (extents, bytes)
    }

    /// Writes the cells' addresses into the code, `cells` bytes before the first.
    fn place_cells(&mut self, cells: usize) {
        let ends = self.blocks.iter().skip(1).map(|next| next[6]);
        let ends: Vec<u32> = ends.chain([self.uses.len() as u32]).collect();
        for (block, end) in self.blocks.iter().zip(ends) {
            for &(place, exit) in &self.uses[block[6] as usize..end as usize] {
                let place = block[2] as usize + place as usize;
                let cell = cells + 8 * (block[4] + exit) as usize;
                let value = (cell - place - 4) as u32;
                self.code[place..place + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
    }
}

/// What makes one unit another: the format, and whatever its user adds.
pub fn key(parts: &[&[u8]]) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&FORMAT.to_le_bytes());
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}
