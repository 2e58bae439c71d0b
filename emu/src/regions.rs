//! Which blocks the second tier compiles together: a loop, with the functions
//! that are called in it.
//!
//! Control goes from block to block by direct jumps, into a function by a call,
//! and out of it to wherever a call in the same set of blocks wants to go on.
//! A return to anywhere else leaves. A jump through a fixed slot of memory goes
//! where that points now, if it still does when the jump is taken: so are the
//! functions of libraries called. A block is in a region once, so a function
//! that is called from two places is shared by them, recursion included.
//!
//! Pure: blocks in, blocks out. It does not know how often any of them runs.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::GuestAddr;
use crate::ir::{Binary, Block, End, Hint, Op, Place, Size, Value, Width};

/// For blocks that end in a return, where the calls in the same set go on.
pub type Returns = FxHashMap<GuestAddr, Vec<GuestAddr>>;

/// Has a block that ends in a jump through a slot of memory at a fixed address
/// say where it likely goes: where the slot points now, as `read` finds.
pub fn foresee(block: &mut Block, read: impl Fn(GuestAddr) -> Option<u64>) {
    let back = match block.end {
        End::Indirect(_, Hint::None) => None,
        End::Indirect(_, Hint::Call(back)) => Some(back),
        _ => return,
    };
    if let End::Indirect(to, ref mut hint) = block.end
        && let Some(to) = value_now(&block.ops, to, &read)
    {
        let to = GuestAddr(to);
        *hint = Hint::Likely { to, back };
    }
}

/// What a value would be now, if it hangs on nothing but memory at fixed addresses.
fn value_now(ops: &[Op], v: Value, read: &impl Fn(GuestAddr) -> Option<u64>) -> Option<u64> {
    match ops[v.index()] {
        Op::Const(n) => Some(n),
        Op::Load(Size::B8, _, at, offset) => {
            let at = value_now(ops, at, read)?;
            read(GuestAddr(at.wrapping_add_signed(offset.into())))
        }
        Op::Binary(Binary::Add, Width::W64, a, b) => {
            Some(value_now(ops, a, read)?.wrapping_add(value_now(ops, b, read)?))
        }
        Op::Binary(Binary::And, Width::W64, a, b) => {
            Some(value_now(ops, a, read)? & value_now(ops, b, read)?)
        }
        _ => None,
    }
}

/// What is called at the end of a block, and where that returns to.
fn call(end: &End) -> Option<(GuestAddr, GuestAddr)> {
    match *end {
        End::Call { to, back }
        | End::Indirect(
            _,
            Hint::Likely {
                to,
                back: Some(back),
            },
        ) => Some((to, back)),
        _ => None,
    }
}

/// Where a block goes within its function: by direct jumps, and over calls.
fn within_function(end: &End) -> impl Iterator<Item = GuestAddr> {
    let (first, second) = match *end {
        _ if let Some((_, back)) = call(end) => (Some(back), None),
        End::Jump(to) | End::Synchronise(to, false) | End::Indirect(_, Hint::Likely { to, .. }) => {
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
    let (called, skipped) = match call(end) {
        Some((to, _)) => (calls.then_some(to), !calls),
        None => (None, false),
    };
    let rest = within_function(end).filter(move |_| !skipped);
    rest.chain(called)
}

/// Finds the returns of the functions that are called in these blocks.
pub fn returns(blocks: &[Block]) -> Returns {
    let ends: FxHashMap<GuestAddr, &End> = blocks.iter().map(|b| (b.start, &b.end)).collect();
    let mut returns = Returns::default();
    for block in blocks {
        let Some((to, back)) = call(&block.end) else {
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
        End::Jump(to)
        | End::Synchronise(to, false)
        | End::Call { to, .. }
        | End::Indirect(_, Hint::Likely { to, .. }) => (Some(to), None),
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

/// The innermost loop around a block: those blocks that lead back to it by a jump
/// backwards, and not by way of a loop around. Empty when there is none.
fn loop_around(head: GuestAddr, blocks: &[Block], returns: &Returns) -> FxHashSet<GuestAddr> {
    let mut inner = FxHashSet::default();
    let mut grew = true;
    while std::mem::take(&mut grew) {
        for block in blocks {
            let leads_back = |to| {
                if to == head {
                    block.start >= head
                } else {
                    inner.contains(&to)
                }
            };
            if !inner.contains(&block.start) && successors(block, returns).any(leads_back) {
                inner.insert(block.start);
                grew = true;
            }
        }
    }
    if inner.contains(&head) {
        inner
    } else {
        FxHashSet::default()
    }
}

/// What a loop is made of.
pub struct Nest {
    /// The innermost loop around its first block.
    pub inner: FxHashSet<GuestAddr>,
    /// Where control may come to each time that it comes to that loop, other than
    /// in further loops.
    pub around: Vec<GuestAddr>,
}

/// Looks at a loop for the one around its first block.
pub fn nest(blocks: &[Block]) -> Option<Nest> {
    let returns = returns(blocks);
    let head = blocks.first()?.start;
    let inner = loop_around(head, blocks, &returns);
    if inner.is_empty() || inner.len() == blocks.len() {
        return None;
    }
    let outer = blocks.iter().map(|block| block.start);
    let outer = outer.filter(|start| !inner.contains(start));
    let around = outer.filter(|&start| {
        let other = loop_around(start, blocks, &returns);
        other.is_empty() || other.contains(&head)
    });
    let around = around.collect();
    Some(Nest { inner, around })
}

/// Begins a loop at a block before which the condition flags do not matter, if
/// there is one: within the loop it is known what they are flags of, and at its
/// beginning it is not.
pub fn begin_without_flags(mut blocks: Vec<Block>) -> Vec<Block> {
    let live = flags_matter(&blocks);
    if let Some(head) = live.iter().position(|live| !live) {
        blocks.swap(0, head);
    }
    blocks
}

/// For each block, whether anything in these blocks reads the flags as they are
/// before it.
fn flags_matter(blocks: &[Block]) -> Vec<bool> {
    let returns = returns(blocks);
    let index = |at| blocks.iter().position(|block: &Block| block.start == at);
    let first_use = |block: &Block| {
        block.ops.iter().find_map(|op| match *op {
            Op::Get(Place::Nzcv) => Some(true),
            Op::Set(Place::Nzcv, _) => Some(false),
            _ => None,
        })
    };
    let uses: Vec<Option<bool>> = blocks.iter().map(first_use).collect();
    let mut live: Vec<bool> = uses.iter().map(|first| *first == Some(true)).collect();
    let mut grew = true;
    while std::mem::take(&mut grew) {
        for (i, block) in blocks.iter().enumerate() {
            let after = |to| index(to).is_some_and(|next| live[next]);
            if !live[i] && uses[i].is_none() && successors(block, &returns).any(after) {
                live[i] = true;
                grew = true;
            }
        }
    }
    live
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Cond;

    fn block(start: u64, ops: Vec<Op>, end: End) -> Block {
        Block {
            start: GuestAddr(start),
            length: 4,
            instructions: 1,
            ops,
            end,
        }
    }

    fn branch(taken: u64, next: u64) -> (Vec<Op>, End) {
        let end = End::Branch {
            cond: Cond::Ne,
            a: Value(0),
            b: Value(0),
            taken: GuestAddr(taken),
            next: GuestAddr(next),
        };
        (vec![Op::Const(0)], end)
    }

    fn jump(start: u64, to: u64) -> Block {
        block(start, Vec::new(), End::Jump(GuestAddr(to)))
    }

    fn branching(start: u64, taken: u64, next: u64) -> Block {
        let (ops, end) = branch(taken, next);
        block(start, ops, end)
    }

    /// A loop at 10, 11 in one at 0 to 20, which has another at 15.
    fn loops() -> Vec<Block> {
        vec![
            jump(10, 11),
            branching(11, 10, 15),
            branching(15, 15, 20),
            branching(20, 0, 21),
            jump(0, 10),
        ]
    }

    #[test]
    fn the_innermost_loop_is_told_from_those_around_it() {
        let nest = nest(&loop_through_first(loops())).unwrap();
        let mut inner: Vec<u64> = nest.inner.iter().map(|at| at.0).collect();
        inner.sort_unstable();
        assert_eq!(inner, [10, 11]);
        let around: Vec<u64> = nest.around.iter().map(|at| at.0).collect();
        assert_eq!(around, [20, 0], "15 is a loop of its own");
        assert!(super::nest(&[branching(10, 10, 11)]).is_none());
    }

    #[test]
    fn a_loop_begins_where_no_flags_are_read() {
        let reads = || vec![Op::Get(Place::Nzcv)];
        let sets = || {
            let mut ops = reads();
            ops.insert(0, Op::Set(Place::Nzcv, Value(1)));
            ops
        };
        let end = |to| End::Jump(GuestAddr(to));
        let starts = |blocks: Vec<Block>| blocks[0].start.0;
        // The first reads, the second hands on, the third sets.
        let blocks = vec![
            block(1, reads(), end(2)),
            block(2, Vec::new(), end(3)),
            block(3, sets(), end(1)),
        ];
        assert_eq!(starts(begin_without_flags(blocks)), 2);
        // Nobody sets them.
        let blocks = vec![block(1, reads(), end(2)), block(2, Vec::new(), end(1))];
        assert_eq!(starts(begin_without_flags(blocks)), 1);
    }

    #[test]
    fn a_jump_through_a_slot_goes_where_that_points() {
        let memory = |at: GuestAddr| (at.0 == 0x1008).then_some(0x5001);
        let through = |at, hint| {
            let ops = vec![
                Op::Const(at),
                Op::Load(Size::B8, false, Value(0), 8),
                Op::Const(!1),
                Op::Binary(Binary::And, Width::W64, Value(1), Value(2)),
            ];
            let mut block = block(0, ops, End::Indirect(Value(3), hint));
            foresee(&mut block, memory);
            block.end
        };
        let likely = |back| {
            let to = GuestAddr(0x5000);
            End::Indirect(Value(3), Hint::Likely { to, back })
        };
        assert_eq!(through(0x1000, Hint::None), likely(None));
        let back = GuestAddr(4);
        assert_eq!(through(0x1000, Hint::Call(back)), likely(Some(back)));
        assert_eq!(
            through(0x1000, Hint::Return),
            End::Indirect(Value(3), Hint::Return)
        );
        assert_eq!(through(0, Hint::None), End::Indirect(Value(3), Hint::None));
    }

    #[test]
    fn what_is_called_through_a_slot_returns() {
        let to = GuestAddr(100);
        let back = Some(GuestAddr(1));
        let call = End::Indirect(Value(0), Hint::Likely { to, back });
        let blocks = vec![
            block(0, vec![Op::Const(100)], call),
            jump(1, 0),
            block(
                100,
                vec![Op::Const(1)],
                End::Indirect(Value(0), Hint::Return),
            ),
        ];
        assert_eq!(returns(&blocks)[&to], [GuestAddr(1)]);
        assert_eq!(loop_through_first(blocks).len(), 3);
    }
}
