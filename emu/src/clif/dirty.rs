//! What a region has changed and not written back: decided for all of its blocks
//! before any of them is emitted.

use rustc_hash::{FxHashMap, FxHashSet};

use super::emit::is_left_to_interpreter;
use crate::GuestAddr;
use crate::ir::{Block, Op, Place, Vector};
use crate::regions::{self, Returns};
use crate::state::offset;

/// Ways from block to block.
pub(super) type Ways = FxHashSet<(GuestAddr, GuestAddr)>;

/// The ways into the loops that store, from outside. Each store writes back all
/// that may be dirty; what is dirty before a loop only would be written back in
/// each turn of it.
pub(super) fn into_loops(region: &[Block], returns: &Returns) -> Ways {
    let mut ways = Ways::default();
    for (head, members) in regions::loops(region, returns) {
        let stores = |block: &Block| members.contains(&block.start) && sets(block, true).0;
        if region.iter().any(stores) {
            let outside = region.iter().filter(|b| !members.contains(&b.start));
            ways.extend(
                outside
                    .filter(|block| regions::successors(block, returns).any(|to| to == head))
                    .map(|block| (block.start, head)),
            );
        }
    }
    ways
}

/// For each block of a region, the registers that may be dirty when it is
/// entered from another one: what was set since the last store on any way there.
pub(super) fn dirty_at_entry(
    region: &[Block],
    returns: &Returns,
    into_loops: &Ways,
    fused: bool,
) -> Vec<u128> {
    let index: FxHashMap<GuestAddr, usize> = region
        .iter()
        .enumerate()
        .map(|(i, block)| (block.start, i))
        .collect();
    let effects: Vec<(bool, u128)> = region.iter().map(|block| sets(block, fused)).collect();
    let mut dirty = vec![0u128; region.len()];
    let mut grew = true;
    while std::mem::take(&mut grew) {
        for (i, block) in region.iter().enumerate() {
            let (stores, set) = effects[i];
            let after = if stores { set } else { dirty[i] | set };
            let successors = regions::successors(block, returns);
            let clean = |to: &GuestAddr| into_loops.contains(&(block.start, *to));
            let successors = successors.filter(|to| !clean(to));
            for next in successors.filter_map(|to| index.get(&to)) {
                grew |= after & !dirty[*next] != 0;
                dirty[*next] |= after;
            }
        }
    }
    dirty
}

/// Whether a block writes everything back somewhere, and what it sets after the
/// last place where it does.
fn sets(block: &Block, fused: bool) -> (bool, u128) {
    let (mut stores, mut set) = (false, 0);
    for op in &block.ops {
        match *op {
            Op::Set(place, _) => set |= dirty_bit(place),
            Op::Store(..)
            | Op::StoreFloat(..)
            | Op::Atomic(..)
            | Op::StoreConditional(..)
            | Op::CompareExchange(..)
            | Op::SetFcsr(_)
            | Op::Vector(Vector::Store(..)) => (stores, set) = (true, 0),
            ref op if is_left_to_interpreter(op, fused) => (stores, set) = (true, 0),
            _ => {}
        }
    }
    (stores, set)
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
