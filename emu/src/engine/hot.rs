//! What runs often: which blocks the second tier compiles, and what comes of it.
//!
//! First-tier code comes back when its fuel is used up; where it does so again and
//! again is a loop. Its blocks are gathered, and compiled on a thread of their
//! own; what that has finished is published by whoever holds the lock next.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;
use sapwood_link::HostAddr;

use super::{Guest, Inner, Phase, Tier};
use crate::clif::Lowering;
use crate::compiler::{Done, Region};
use crate::ir::Block;
use crate::{GuestAddr, GuestMemory};
use crate::{regions, riscv};

/// A jump target at which the fuel ran out this often is the head of a hot loop.
/// A region takes milliseconds of another processor, and each time the fuel runs
/// out takes some ten microseconds: less is not worth it to a program that only
/// starts and ends.
const HOT: u32 = 16;

/// No region has more blocks than this.
const REGION_BLOCKS: usize = 64;

/// No block is added to a region that has as many guest instructions.
const REGION_INSTRUCTIONS: u32 = 1024;

/// The same where a region is, or will be, that the place is in the middle of:
/// the way to its head may take long.
const HOT_WITHIN: u32 = 64;

/// A loop that goes round so many times each time it is entered gets a region of
/// its own.
const MANY_TURNS: u32 = 8;

/// A region that lost so much is given up: what it loses each time that it cannot
/// be entered is one.
const MOST_LOSS: u32 = 16 * REPLAY_LOSS;

/// What a region loses when it goes back to a checkpoint, and does its work twice:
/// one that has to does so in many of its turns.
pub(super) const REPLAY_LOSS: u32 = 4096;

impl Inner {
    /// The fuel ran out on the way to `pc`: a sample of where time goes. When
    /// it is often the same place, and a loop, that is compiled by the second
    /// tier.
    pub(super) fn sample(&mut self, guest: Guest, pc: GuestAddr, memory: &GuestMemory) {
        if self.pending.contains(&pc) {
            return;
        }
        let Some(record) = self.blocks.record(pc) else {
            return;
        };
        record.heat += 1;
        let enough = if self.members.contains(&pc) {
            HOT_WITHIN
        } else {
            HOT
        };
        if record.heat != enough || self.is_followed() || self.is_exhausted {
            return;
        }
        // The first tier does more operations than the second; a loop that left
        // for the interpreter in each turn would be slower than it.
        let mut blocks = regions::loop_through_first(self.gather(guest, pc, memory, true, true));
        if blocks.is_empty() {
            // Too much is called.
            blocks = regions::loop_through_first(self.gather(guest, pc, memory, false, true));
        }
        if blocks.is_empty() {
            return;
        }
        if enough == HOT {
            blocks = self.worth_their_registers(blocks);
            blocks = regions::begin_without_flags(blocks);
        }
        let Some(region) = self.region(blocks) else {
            return;
        };
        let members = region.blocks.iter().map(|block| block.start);
        self.members.extend(members.clone());
        self.pending.extend(members);
        if let Err(region) = self.compiler.compile(region) {
            let done = self.compile_here(region);
            self.publish(&done);
        }
    }

    /// A loop without those around it, if it goes round many times before it goes
    /// on with them: then it has the host's registers for itself, and the others
    /// will leave it alone.
    fn worth_their_registers(&mut self, mut blocks: Vec<Block>) -> Vec<Block> {
        let Some(nest) = regions::nest(&blocks) else {
            return blocks;
        };
        let mut heat = |at: GuestAddr| self.blocks.record(at).map_or(0, |record| record.heat);
        let around = nest.around.iter().map(|&at| heat(at)).max();
        if around.unwrap_or(0) * MANY_TURNS <= heat(blocks[0].start) {
            blocks.retain(|block| nest.inner.contains(&block.start));
            self.tight.extend(nest.inner);
        }
        blocks
    }

    /// What the compiler needs to know. `None` when the space was full; then a
    /// new one was begun.
    fn region(&mut self, blocks: Vec<Block>) -> Option<Region> {
        let code = self.code_of(blocks.iter().map(|block| block.start))?;
        let Ok(first_exit) = self.blocks.reserve_exits(2 * blocks.len()) else {
            self.renew();
            return None;
        };
        Some(Region {
            blocks,
            code,
            first_exit,
        })
    }

    fn code_of(&self, members: impl Iterator<Item = GuestAddr>) -> Option<Vec<u8>> {
        let mut code = Vec::new();
        for member in members {
            code.extend_from_slice(self.blocks.code_of(member)?);
        }
        Some(code)
    }

    fn compile_here(&mut self, region: Region) -> Done {
        let second = self.second.get_or_insert_with(|| Lowering::new(self.ways));
        Done::new(second, region)
    }

    /// Compiles a region by the second tier, at once.
    pub(super) fn optimise_here(&mut self, blocks: Vec<Block>, pc: GuestAddr) -> Option<u64> {
        let region = self.region(blocks)?;
        let done = self.compile_here(region);
        self.publish(&done);
        self.blocks.code_at(pc)
    }

    /// Publishes what the compiler has finished.
    pub(super) fn take_finished(&mut self) {
        for done in self.compiler.finished() {
            self.publish(&done);
        }
    }

    /// Publishes a compiled region, unless the guest's code is another by now.
    fn publish(&mut self, done: &Done) {
        for member in &done.members {
            self.pending.remove(member);
        }
        let ours = self.blocks.target(done.first_exit).is_some()
            || done.first_exit == self.blocks.next_exit();
        let members = done.members.iter().copied();
        if !ours || self.code_of(members).as_ref() != Some(&done.code) {
            return;
        }
        self.statistics.add(Phase::Optimise, done.took);
        let Some(compiled) = &done.compiled else {
            self.statistics.given_up += 1;
            return;
        };
        let published = self
            .blocks
            .publish(&done.members, compiled, done.first_exit);
        match published {
            Ok(()) => {
                self.statistics.regions += 1;
                self.tell_of_region(done);
                self.regions.insert(done.first_exit, (done.members[0], 0));
            }
            Err(_) => self.renew(),
        }
    }

    /// A region was not entered, or went back to its last checkpoint. If that
    /// happens again and again, the first tier is better.
    pub(super) fn count_loss(&mut self, first_cell: HostAddr, loss: u32) {
        let frozen = self.blocks.frozen_region(first_cell);
        let Some(first) = self.blocks.taken(first_cell) else {
            return;
        };
        if let Some(head) = frozen {
            self.regions.entry(first).or_insert((head, 0));
        }
        let Some((head, lost)) = self.regions.get_mut(&first) else {
            return;
        };
        let before = *lost;
        *lost = before.saturating_add(loss);
        if before < MOST_LOSS && *lost >= MOST_LOSS && self.tier == Tier::Translate {
            self.statistics.given_up += 1;
            self.blocks.demote(*head);
        }
    }

    /// The known blocks that jumps reach from the one at `head`, and calls if
    /// `calls` says so; if `whole` says so, only those of which the second tier
    /// leaves nothing to the interpreter.
    pub(super) fn gather(
        &mut self,
        guest: Guest,
        head: GuestAddr,
        memory: &GuestMemory,
        calls: bool,
        whole: bool,
    ) -> Vec<Block> {
        let mut region: Vec<Block> = Vec::new();
        let mut wanted = VecDeque::from([head]);
        let mut seen = FxHashSet::default();
        let mut instructions = 0;
        while let Some(pc) = wanted.pop_front() {
            let full = region.len() == REGION_BLOCKS || instructions >= REGION_INSTRUCTIONS;
            let apart = pc != head && self.tight.contains(&pc);
            if full || apart || self.breakpoints.contains(&pc) || !seen.insert(pc) {
                continue;
            }
            if let Some(code) = self.blocks.code_of(pc) {
                let mut block =
                    guest.lift_code(Vec::new(), pc, code, riscv::lift::MAX_INSTRUCTIONS);
                if whole && !crate::clif::does_all(&block) {
                    continue;
                }
                regions::foresee(&mut block, |at| memory.read(at).ok());
                wanted.extend(regions::onward(&block.end, calls));
                instructions += block.instructions;
                region.push(block);
            }
        }
        region
    }
}
