//! What a region has changed and not written back: decided for all of its blocks
//! before any of them is emitted.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::GuestAddr;
use crate::ir::{Block, Op, Place, Vector};
use crate::regions::{self, Returns};
use crate::state::offset;

/// For each block of a region, the registers that may be dirty when it is
/// entered from another one: what is set on any way there.
pub(super) fn dirty_at_entry(region: &[Block], returns: &Returns) -> Vec<u128> {
    let index: FxHashMap<GuestAddr, usize> = region
        .iter()
        .enumerate()
        .map(|(i, block)| (block.start, i))
        .collect();
    let set: Vec<u128> = region.iter().map(set_by).collect();
    let mut dirty = vec![0u128; region.len()];
    let mut grew = true;
    while std::mem::take(&mut grew) {
        for (i, block) in region.iter().enumerate() {
            let after = dirty[i] | set[i];
            let successors = regions::successors(block, returns);
            for next in successors.filter_map(|to| index.get(&to)) {
                grew |= after & !dirty[*next] != 0;
                dirty[*next] |= after;
            }
        }
    }
    dirty
}

/// For each block of a region, whether anything may have been stored when it is
/// entered, since the region was.
pub(super) fn stored_at_entry(region: &[Block], returns: &Returns) -> Vec<bool> {
    let mut wanted: Vec<GuestAddr> = region
        .iter()
        .filter(|block| block.ops.iter().any(stores))
        .flat_map(|block| regions::successors(block, returns))
        .collect();
    let blocks: FxHashMap<GuestAddr, &Block> = region.iter().map(|b| (b.start, b)).collect();
    let mut stored = FxHashSet::default();
    while let Some(at) = wanted.pop() {
        if let Some(block) = blocks.get(&at)
            && stored.insert(at)
        {
            wanted.extend(regions::successors(block, returns));
        }
    }
    region
        .iter()
        .map(|block| stored.contains(&block.start))
        .collect()
}

/// Whether an operation does what is not done twice.
fn stores(op: &Op) -> bool {
    matches!(
        op,
        Op::Store(..)
            | Op::StoreFloat(..)
            | Op::Atomic(..)
            | Op::StoreConditional(..)
            | Op::CompareExchange(..)
            | Op::SetFcsr(_)
            | Op::Vector(Vector::Store(..))
    )
}

/// What a block sets.
pub(super) fn set_by(block: &Block) -> u128 {
    let sets = block.ops.iter().map(|op| match *op {
        Op::Set(place, _) => dirty_bit(place),
        _ => 0,
    });
    sets.fold(0, |all, one| all | one)
}

/// Integer registers, floating-point ones, vectors, flags.
pub(super) fn dirty_bit(place: Place) -> u128 {
    match place {
        Place::X(n) => 1 << n,
        Place::F(n) => 1 << (32 + n),
        Place::V(n) => 1 << (64 + n),
        Place::Nzcv => 1 << 96,
        // Written by the interpreter alone.
        Place::Fpcr | Place::Fpsr | Place::Tpidr => 0,
    }
}

/// Where a register lives in the state.
pub(super) fn home(place: Place) -> i32 {
    match place {
        Place::X(n) => offset::X + 8 * i32::from(n),
        Place::F(n) => offset::F + 8 * i32::from(n),
        Place::V(n) => offset::V + 16 * i32::from(n),
        Place::Nzcv => offset::NZCV,
        Place::Fpcr => offset::FPCR,
        Place::Fpsr => offset::FPSR,
        Place::Tpidr => offset::TPIDR,
    }
}
