//! Which blocks the second tier compiles together: a loop, with the functions
//! that are called in it.
//!
//! Control goes from block to block by direct jumps, into a function by a call,
//! and out of it to wherever a call in the same set of blocks wants to go on.
//! A return to anywhere else leaves. A block is in a region once, so a function
//! that is called from two places is shared by them, recursion included.
//!
//! Pure: blocks in, blocks out. It does not know how often any of them runs.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::GuestAddr;
use crate::ir::{Block, End, Hint};

/// For blocks that end in a return, where the calls in the same set go on.
pub type Returns = FxHashMap<GuestAddr, Vec<GuestAddr>>;

/// Where a block goes within its function: by direct jumps, and over calls.
fn within_function(end: &End) -> impl Iterator<Item = GuestAddr> {
    let (first, second) = match *end {
        End::Jump(to) | End::Synchronise(to, false) | End::Call { back: to, .. } => {
            (Some(to), None)
        }
        End::Branch { taken, next, .. } => (Some(next), Some(taken)),
        _ => (None, None),
    };
    first.into_iter().chain(second)
}

/// Where to look for further blocks after one that ends so: calls are followed
/// if `calls` says so, otherwise they end the way.
pub fn onward(end: &End, calls: bool) -> impl Iterator<Item = GuestAddr> {
    let (called, skipped) = match *end {
        End::Call { to, .. } => (calls.then_some(to), !calls),
        _ => (None, false),
    };
    let rest = within_function(end).filter(move |_| !skipped);
    rest.chain(called)
}

/// Finds the returns of the functions that are called in these blocks.
pub fn returns(blocks: &[Block]) -> Returns {
    let ends: FxHashMap<GuestAddr, &End> = blocks.iter().map(|b| (b.start, &b.end)).collect();
    let mut returns = Returns::default();
    for block in blocks {
        let End::Call { to, back } = block.end else {
            continue;
        };
        if !ends.contains_key(&back) {
            continue;
        }
        let mut wanted = vec![to];
        let mut seen = FxHashSet::default();
        while let Some(at) = wanted.pop() {
            let Some(&end) = ends.get(&at) else { continue };
            if !seen.insert(at) {
                continue;
            }
            if matches!(end, End::Indirect(_, Hint::Return)) {
                let known = returns.entry(at).or_default();
                if !known.contains(&back) {
                    known.push(back);
                }
            }
            wanted.extend(within_function(end));
        }
    }
    returns
}

/// Where a block goes without leaving the set: by jumps, calls and returns.
pub fn successors<'a>(
    block: &Block,
    returns: &'a Returns,
) -> impl Iterator<Item = GuestAddr> + use<'a> {
    let (first, second) = match block.end {
        End::Jump(to) | End::Synchronise(to, false) | End::Call { to, .. } => (Some(to), None),
        End::Branch { taken, next, .. } => (Some(next), Some(taken)),
        _ => (None, None),
    };
    let back = match block.end {
        End::Indirect(_, Hint::Return) => returns.get(&block.start).map_or(&[][..], |all| all),
        _ => &[],
    };
    first.into_iter().chain(second).chain(back.iter().copied())
}

/// The blocks of `reachable` that are on a way from its first block back to it:
/// the loop. Empty when there is none. Whatever else the loop leads to is better
/// left to the first tier, whose registers need no moving.
pub fn loop_through_first(reachable: Vec<Block>) -> Vec<Block> {
    let Some(head) = reachable.first().map(|block| block.start) else {
        return reachable;
    };
    let returns = returns(&reachable);
    let mut back = FxHashSet::default();
    let mut grew = true;
    while std::mem::take(&mut grew) {
        for block in &reachable {
            let leads_back = |to| to == head || back.contains(&to);
            if !back.contains(&block.start) && successors(block, &returns).any(leads_back) {
                back.insert(block.start);
                grew = true;
            }
        }
    }
    if back.contains(&head) {
        let on_the_way = |block: &Block| back.contains(&block.start);
        reachable.into_iter().filter(on_the_way).collect()
    } else {
        Vec::new()
    }
}
