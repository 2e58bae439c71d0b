//! Blocks that an earlier process translated: [`Frozen`], a unit as it is used.
//!
//! A frozen block costs nothing until it is reached, and when it is reached by
//! a direct jump from its own unit not even then: the unit's cells lead there.
//! What needs more of a block than to run it, thaws it: other code that wants
//! to link to it, a look at how often it runs, a change of the guest's code.
//!
//! What holds between calls: cells of a unit lead to code of the unit or back
//! to the engine, unless the exit was taken or its target was thawed; such exits
//! are in [`Blocks::exits`] too. A block that is gone was thawed or is not valid.

use std::ops::Range;

use rustc_hash::FxHashMap;
use sapwood_link::HostAddr;

use super::{Blocks, Entry, ExitId, Translation, TranslationId, row_pc};
use crate::addr::GuestAddr;
use crate::kept::{Key, Unit};

/// The most bytes of guest code in one block.
const LONGEST: u64 = 4 * crate::riscv::lift::MAX_INSTRUCTIONS as u64;

/// A unit in use.
pub(super) struct Frozen {
    pub unit: Unit,
    pub key: Key,
    extent: Range<GuestAddr>,
    /// The blocks that are frozen no longer, and how many.
    gone: Vec<bool>,
    gone_count: usize,
    /// For each block, what the look-up table points to, plus 1; 0 for nothing.
    entries: Vec<u32>,
    /// The exits that are known as others are.
    taken: FxHashMap<u32, ExitId>,
    /// Whether the guest's code is there still.
    alive: bool,
}

impl Frozen {
    /// How many blocks are frozen.
    pub fn blocks(&self) -> usize {
        if self.alive {
            self.gone.len() - self.gone_count
        } else {
            0
        }
    }

    /// Whether this block is frozen.
    pub fn has(&self, index: u32) -> bool {
        self.alive && !self.gone[index as usize]
    }

    fn go(&mut self, index: u32) {
        self.gone[index as usize] = true;
        self.gone_count += 1;
    }

    /// Has every exit lead back to the engine.
    pub fn unlink_all(&self, unlinked: u64) {
        for exit in 0..self.unit.exit_count() {
            self.unit.set_cell(self.unit.cell(exit), unlinked);
        }
    }
}

impl Blocks {
    /// Takes in what an earlier process left, as far as the guest's code, which
    /// `read` (at, into → whether it could be read) reads, is what it was.
    pub fn adopt(
        &mut self,
        key: Key,
        unit: Unit,
        mut read: impl FnMut(GuestAddr, &mut [u8]) -> bool,
    ) {
        let mut stale = Vec::new();
        let mut now = Vec::new();
        for (start, bytes) in unit.extents() {
            now.resize(bytes.len(), 0);
            if !read(start, &mut now) || now != bytes {
                stale.push(start..start.add(bytes.len() as u64));
            }
        }
        let extent = unit.extent();
        let known = self.records.keys().filter(|pc| extent.contains(pc));
        let known: Vec<u32> = known.filter_map(|&pc| unit.find(pc)).collect();
        let frozen = Frozen {
            key,
            extent,
            gone: vec![false; unit.len()],
            gone_count: 0,
            entries: vec![0; unit.len()],
            taken: FxHashMap::default(),
            alive: true,
            unit,
        };
        let index = self.frozen.len();
        self.frozen.push(frozen);
        // What is known already stays as it is known.
        for block in known {
            self.discard(index, block);
        }
        for range in stale {
            for block in self.frozen_within(index, &range) {
                self.discard(index, block);
            }
        }
        // Where indirect jumps went they will go again.
        let unit = &self.frozen[index].unit;
        let wanted = unit.blocks().filter(|block| block.in_table);
        let wanted: Vec<GuestAddr> = wanted.map(|block| block.start).collect();
        for pc in wanted {
            self.enter_in_table(pc);
        }
    }

    /// How many units were taken in.
    pub fn units(&self) -> usize {
        self.frozen.len()
    }

    /// Whether a unit with this key is in use.
    pub fn has_unit(&self, key: &Key) -> bool {
        self.frozen
            .iter()
            .any(|frozen| frozen.alive && frozen.key == *key)
    }

    /// A frozen block is not valid, nor is any region that contains it.
    fn discard(&mut self, index: usize, block: u32) {
        let unlinked = self.space.ways().unlinked;
        let mut doomed = vec![block];
        while let Some(block) = doomed.pop() {
            let frozen = &mut self.frozen[index];
            if !frozen.has(block) {
                continue;
            }
            frozen.go(block);
            let row = frozen.unit.block(block);
            for exit in frozen.unit.incoming(&row) {
                frozen.unit.set_cell(frozen.unit.cell(exit), unlinked);
            }
            if row.in_region {
                let with_it = frozen
                    .unit
                    .regions()
                    .filter(|region| region.members.iter().any(|(start, _)| *start == row.start));
                doomed.extend(with_it.map(|region| region.head));
            }
        }
    }

    /// The frozen block that begins at `pc`.
    fn frozen_at(&self, pc: GuestAddr) -> Option<(usize, u32)> {
        self.frozen.iter().enumerate().find_map(|(index, frozen)| {
            if !frozen.alive || !frozen.extent.contains(&pc) {
                return None;
            }
            let block = frozen.unit.find(pc)?;
            frozen.has(block).then_some((index, block))
        })
    }

    /// The frozen blocks of a unit with a byte in the range, and the heads of
    /// regions that contain such blocks.
    fn frozen_within(&self, index: usize, range: &Range<GuestAddr>) -> Vec<u32> {
        let unit = &self.frozen[index].unit;
        let touches = |start: GuestAddr, length: u32| {
            start < range.end && start.0 + u64::from(length) > range.start.0
        };
        let first = unit.first_from(GuestAddr(range.start.0.saturating_sub(LONGEST)));
        let mut found: Vec<u32> = (first..unit.len() as u32)
            .map(|block| (block, unit.block(block)))
            .take_while(|(_, block)| block.start < range.end)
            .filter(|(_, block)| touches(block.start, block.length))
            .map(|(block, _)| block)
            .collect();
        let regions = unit.regions().filter(|region| {
            let mut members = region.members.iter();
            members.any(|&(start, length)| touches(start, length))
        });
        found.extend(regions.map(|region| region.head));
        found
    }

    /// The guest code of the frozen block that begins at `pc`.
    pub(super) fn frozen_code_of(&self, pc: GuestAddr) -> Option<&[u8]> {
        let (index, block) = self.frozen_at(pc)?;
        let unit = &self.frozen[index].unit;
        Some(unit.bytes(pc, unit.block(block).length))
    }

    /// As [`Blocks::code_at`], of a frozen block.
    pub(super) fn frozen_code_at(&self, pc: GuestAddr) -> Option<u64> {
        let (index, block) = self.frozen_at(pc)?;
        let unit = &self.frozen[index].unit;
        Some(unit.entry(&unit.block(block)))
    }

    /// What the look-up table points to for a frozen block, made if there is
    /// nothing yet.
    pub(super) fn frozen_entry(&mut self, pc: GuestAddr) -> Option<*mut Entry> {
        let (index, block) = self.frozen_at(pc)?;
        let frozen = &self.frozen[index];
        let entry = match frozen.entries[block as usize].checked_sub(1) {
            Some(entry) => entry,
            None => {
                let code = frozen.unit.entry(&frozen.unit.block(block));
                let entry = self.add_entry(Entry { pc: pc.0, code });
                self.frozen[index].entries[block as usize] = entry + 1;
                entry
            }
        };
        Some(self.entry(entry))
    }

    /// The same, if there is something.
    pub(super) fn known_frozen_entry(&self, pc: GuestAddr) -> Option<*mut Entry> {
        let (index, block) = self.frozen_at(pc)?;
        let number = self.frozen[index].entries[block as usize].checked_sub(1)?;
        Some(self.entry(number))
    }

    /// As [`Blocks::head_at`], of a frozen block.
    pub(super) fn frozen_head_at(&self, host: u64) -> Option<(GuestAddr, u64)> {
        self.frozen.iter().find_map(|frozen| {
            let (block, offset) = frozen.unit.block_at(host)?;
            Some((frozen.unit.block(block).start, offset.into()))
        })
    }

    /// The guest instruction that code of a unit at `host` belongs to.
    pub(super) fn frozen_guest_pc(&self, host: u64) -> Option<GuestAddr> {
        self.frozen.iter().find_map(|frozen| {
            let (block, offset) = frozen.unit.block_at(host)?;
            let block = frozen.unit.block(block);
            let rows = frozen.unit.rows(&block);
            let row = rows.take_while(|&(from, _)| from <= offset).last()?;
            Some(row_pc(block.start, row.1))
        })
    }

    /// Where the exit of a unit with this cell leads.
    pub(super) fn frozen_target_at(&self, cell: HostAddr) -> Option<GuestAddr> {
        self.frozen
            .iter()
            .find_map(|frozen| Some(frozen.unit.target(frozen.unit.exit_at(cell)?)))
    }

    /// The exit of a unit with this cell: from now on it is linked as others are.
    pub(super) fn frozen_taken(&mut self, cell: HostAddr) -> Option<ExitId> {
        let mut units = self.frozen.iter().enumerate();
        let (index, exit) = units.find_map(|(i, frozen)| Some((i, frozen.unit.exit_at(cell)?)))?;
        if let Some(&known) = self.frozen[index].taken.get(&exit) {
            return Some(known);
        }
        let target = self.frozen[index].unit.target(exit);
        let id = self.add_exit(cell, target);
        self.frozen[index].taken.insert(exit, id);
        self.link(id, target);
        Some(id)
    }

    /// The head of the region of a unit whose first exit has this cell.
    pub fn frozen_region(&self, first_cell: HostAddr) -> Option<GuestAddr> {
        self.frozen.iter().find_map(|frozen| {
            let block = frozen
                .unit
                .block_of_exit(frozen.unit.exit_at(first_cell)?)?;
            Some(frozen.unit.block(block).start)
        })
    }

    /// Thaws the block that begins at `pc`, if one is frozen there.
    pub(super) fn thaw_at(&mut self, pc: GuestAddr) {
        if !self.frozen.is_empty()
            && let Some((index, block)) = self.frozen_at(pc)
        {
            self.thaw(index, block);
        }
    }

    /// Thaws every block with a byte in the range. A unit that lies in it whole
    /// is left at once.
    pub(super) fn thaw_within(&mut self, range: Range<GuestAddr>) {
        for index in 0..self.frozen.len() {
            let frozen = &self.frozen[index];
            let extent = &frozen.extent;
            if !frozen.alive || extent.start >= range.end || extent.end <= range.start {
                continue;
            }
            if range.start <= extent.start && extent.end <= range.end {
                self.abandon(index);
                continue;
            }
            for block in self.frozen_within(index, &range) {
                self.thaw(index, block);
            }
        }
    }

    /// The guest's code of a unit is not there any more.
    fn abandon(&mut self, index: usize) {
        let frozen = &mut self.frozen[index];
        frozen.alive = false;
        frozen.unlink_all(self.space.ways().unlinked);
        let numbers = frozen.entries.iter().zip(0..);
        let known = numbers.filter_map(|(number, block)| Some((number.checked_sub(1)?, block)));
        let known: Vec<(u32, u32)> = known
            .filter(|&(_, block)| !frozen.gone[block as usize])
            .collect();
        for (entry, block) in known {
            let pc = self.frozen[index].unit.block(block).start;
            self.forget_entry(pc, entry);
        }
    }

    /// Gives a block a record and a translation.
    fn thaw(&mut self, index: usize, block: u32) {
        if !self.frozen[index].has(block) {
            return;
        }
        self.frozen[index].go(block);
        let unit = &self.frozen[index].unit;
        let row = unit.block(block);
        let code = unit.entry(&row);
        let bytes = unit.bytes(row.start, row.length).to_vec();
        let incoming: Vec<u32> = unit.incoming(&row).collect();
        self.add_record(row.start, &bytes);
        let entry = match self.frozen[index].entries[block as usize].checked_sub(1) {
            Some(entry) => entry,
            None => self.add_entry(Entry {
                pc: row.start.0,
                code,
            }),
        };
        let id = TranslationId(self.translations.len() as u32);
        self.translations.push(Translation {
            head: row.start,
            host: code..code + u64::from(row.code.end - row.code.start),
            rows: 0..0,
            uses: 0..0,
            exits: 0..0,
            members: Box::default(),
            thawed: Some((index as u32, block)),
            entry,
            incoming: None,
            alive: true,
        });
        self.record_mut(row.start).code = Some(id);
        for exit in incoming {
            let frozen = &self.frozen[index];
            if frozen.taken.contains_key(&exit) {
                continue;
            }
            let known = self.add_exit(frozen.unit.cell(exit), row.start);
            self.frozen[index].taken.insert(exit, known);
            let next = self.translations[id.0 as usize].incoming.replace(known);
            self.set_next(known, next);
        }
        if row.in_region {
            self.thaw_regions(index, block, row.start, id);
        }
    }

    /// A block that belongs to regions was thawed, to translation `id`. If it is
    /// the head of one, that now depends on the records of its members; the
    /// regions that it is a member of are thawed.
    fn thaw_regions(&mut self, index: usize, block: u32, start: GuestAddr, id: TranslationId) {
        let regions = self.frozen[index].unit.regions();
        let with_it = regions.filter(|region| region.members.iter().any(|(at, _)| *at == start));
        for region in with_it.collect::<Vec<_>>() {
            if region.head != block {
                self.thaw(index, region.head);
                continue;
            }
            let members: Box<[GuestAddr]> = region.members.iter().map(|(at, _)| *at).collect();
            self.translations[id.0 as usize].members = members;
            for (member, length) in region.members {
                self.thaw_at(member);
                if !self.records.contains_key(&member) {
                    let bytes = self.frozen[index].unit.bytes(member, length).to_vec();
                    self.add_record(member, &bytes);
                }
                self.record_mut(member).used_by.push(id);
            }
        }
    }
}
