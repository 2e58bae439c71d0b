//! [`Engine`]: runs guest instructions until something needs the caller.
//!
//! The loop is: find translated code for the guest pc, or translate the block
//! there by the first tier, and run it. Translated code goes from block to block
//! by itself; it comes back for what it does not know, and the reason says what.
//! It also comes back when it has made a number of backward jumps; where that
//! happens repeatedly is a hot loop, which the second tier compiles as a region.
//!
//! One lock holds all that is known of the code; it is never held while guest
//! instructions run.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::blocks::{Blocks, ExitId};
use crate::code::{CodeSpace, Mapping};
use crate::enter::{self, Left, reason};
use crate::exit::{Access, FaultKind};
use crate::fault;
use crate::interp::{self, Next};
use crate::ir::{Block, End};
use crate::{aarch64, riscv};
use rustc_hash::FxHashSet;

use crate::{Exit, Fault, GuestAddr, GuestMemory, GuestState};

/// The processor that guest code is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Guest {
    Riscv64,
    Aarch64,
}

/// How an engine runs guest code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tier {
    /// Translate what runs often.
    #[default]
    Translate,
    /// Translate everything by the second tier at once: slow to begin, and what
    /// tests that tier.
    Optimise,
    /// Interpret everything: slow, and what translated code is checked against.
    Interpret,
}

/// Backward and indirect jumps that first-tier code makes before it comes back.
const FUEL: i32 = 1000;

/// A jump target at which the fuel ran out this often is the head of a hot loop.
const HOT: u32 = 2;

/// A block that was interpreted this often is compiled, for a guest that the
/// first tier does not do.
const WARM: u32 = 4;

/// No region has more blocks than this.
const REGION_BLOCKS: usize = 24;

/// Runs the threads of one guest process.
pub struct Engine {
    guest: Guest,
    tier: Tier,
    inner: Mutex<Inner>,
}

struct Inner {
    blocks: Blocks,
    /// Where blocks end because a debugger wants to see these instructions.
    breakpoints: BTreeSet<GuestAddr>,
    /// Full spaces that threads may still be in.
    retired: Vec<Blocks>,
    first: crate::x64::Translator,
    second: crate::clif::Lowering,
}

/// What to do next for a thread, decided under the lock.
enum Step {
    Enter(u64, Arc<Mapping>),
    Interpret(Arc<Block>),
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = self.lock().blocks.counts();
        write!(
            f,
            "Engine({:?}, (blocks, translations) = {counts:?})",
            self.tier
        )
    }
}

impl Inner {
    fn new() -> Inner {
        Inner {
            blocks: Blocks::new(code_space(), ExitId(0)),
            breakpoints: BTreeSet::new(),
            retired: Vec::new(),
            first: crate::x64::Translator::new(),
            second: crate::clif::Lowering::new(),
        }
    }

    /// Begins a new space, after the old one is full. What is in it goes when
    /// the last thread has left it.
    fn renew(&mut self) {
        self.retired
            .retain(|blocks| Arc::strong_count(blocks.space().mapping()) > 1);
        let next = self.blocks.next_exit();
        let mut old = std::mem::replace(&mut self.blocks, Blocks::new(code_space(), next));
        old.unlink_all();
        self.retired.push(old);
    }

    fn target(&self, exit: ExitId) -> GuestAddr {
        let mut all = std::iter::once(&self.blocks).chain(&self.retired);
        let target = all.find_map(|blocks| blocks.target(exit));
        target.unwrap_or_else(|| panic!("translated code left by {exit:?}, which it has not got"))
    }

    fn guest_pc(&self, host: u64) -> GuestAddr {
        let mut all = std::iter::once(&self.blocks).chain(&self.retired);
        let pc = all.find_map(|blocks| blocks.guest_pc(host));
        pc.unwrap_or_else(|| panic!("no guest instruction is at host address {host:#x}"))
    }
}

fn code_space() -> CodeSpace {
    // Nothing of the guest's runs without this memory, and only a host that is
    // out of address space refuses it.
    CodeSpace::new().expect("address space for translated code")
}

impl Engine {
    /// An engine with nothing translated yet.
    pub fn new(guest: Guest, tier: Tier) -> Engine {
        fault::install();
        Engine {
            guest,
            tier,
            inner: Mutex::new(Inner::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held is a bug that has already been told.
        self.inner
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs guest instructions from `state.pc` until one of them needs the
    /// caller. `state` and `memory` belong together, always the same for this
    /// engine.
    pub fn run(&self, state: &mut GuestState, memory: &GuestMemory) -> Exit {
        let mut values = Vec::new();
        loop {
            if state.interrupt.load(Ordering::Relaxed) != 0 {
                return Exit::Interrupted;
            }
            let left = match self.next(state, memory) {
                Step::Interpret(block) => interp::run(&block, state, memory, &mut values),
                Step::Enter(code, _mapping) => {
                    // SAFETY: `code` is the entry of a translation in the
                    // mapping that is held; `next` checked the rounding mode;
                    // the caller vouches for the memory.
                    let left = unsafe { enter::enter(state, code) };
                    if self.guest == Guest::Aarch64 {
                        state.take_flags();
                    }
                    self.left(left, state, memory, &mut values)
                }
            };
            match left {
                Ok(Next::Block) => {}
                Ok(Next::CodeChanged) => self.revalidate(memory),
                Err(Exit::Fault(fault)) if fault.access == Access::Execute => {
                    return Exit::Fault(fetch_fault(fault, memory));
                }
                Err(exit) => return exit,
            }
        }
    }

    /// Forgets what was translated from these guest addresses. To be called
    /// when a mapping or a protection there changes.
    pub fn invalidate(&self, range: Range<GuestAddr>) {
        self.lock().blocks.invalidate(range);
    }

    /// Sets or removes a breakpoint: [`run`](Self::run) gives
    /// [`Exit::Breakpoint`] before the instruction there. Guest memory stays as
    /// it is.
    pub fn set_breakpoint(&self, at: GuestAddr, is_set: bool) {
        let mut inner = self.lock();
        match is_set {
            true => inner.breakpoints.insert(at),
            false => inner.breakpoints.remove(&at),
        };
        inner.blocks.invalidate(at..at.add(1));
    }

    /// Whether there is a breakpoint at this instruction.
    pub fn has_breakpoint(&self, at: GuestAddr) -> bool {
        self.lock().breakpoints.contains(&at)
    }

    /// Removes every breakpoint.
    pub fn clear_breakpoints(&self) {
        let all: Vec<GuestAddr> = self.lock().breakpoints.iter().copied().collect();
        all.into_iter()
            .for_each(|at| self.set_breakpoint(at, false));
    }

    /// To be called in the child after a fork: the child must not append to
    /// code that it shares with its parent, so it begins anew.
    pub fn after_fork(&self) {
        *self.lock() = Inner::new();
    }

    /// Takes the lock, so that a fork finds it free in the child: hold what
    /// this returns across the fork, in both processes.
    pub fn freeze(&self) -> Frozen<'_> {
        Frozen {
            _inner: self.lock(),
        }
    }

    fn revalidate(&self, memory: &GuestMemory) {
        self.lock()
            .blocks
            .revalidate(|at, into| memory.fetch(at, into) == into.len());
    }

    /// Decides how the block at `state.pc` is to be run.
    fn next(&self, state: &mut GuestState, memory: &GuestMemory) -> Step {
        let mut inner = self.lock();
        let pc = state.pc;
        let plain = enter::control_word(state.fcsr).is_some() && state.aarch64.fpcr == 0;
        let translate = self.tier != Tier::Interpret && plain;
        if translate && let Some(code) = inner.blocks.code_at(pc) {
            return inner.step_into(code, state);
        }
        let known = inner.blocks.record(pc).map(|record| record.block.clone());
        let block = match known {
            Some(block) => block,
            None => {
                let (block, bytes) = inner.lift(self.guest, pc, memory);
                let block = Arc::new(block);
                if matches!(block.end, End::Fault(..)) {
                    return Step::Interpret(block);
                }
                inner.blocks.insert(block.clone(), &bytes);
                block
            }
        };
        if !translate {
            return Step::Interpret(block);
        }
        let code = match self.tier {
            Tier::Optimise => {
                let region = inner.gather(pc);
                inner.optimise(&region)
            }
            // The first tier is for RISC-V so far: the second does its work.
            Tier::Translate if self.guest == Guest::Aarch64 => inner.optimise_if_warm(pc),
            _ => inner.translate(&block),
        };
        match code {
            Some(code) => inner.step_into(code, state),
            None => Step::Interpret(block),
        }
    }

    /// Deals with what translated code came back for.
    fn left(
        &self,
        left: Left,
        state: &mut GuestState,
        memory: &GuestMemory,
        values: &mut Vec<u128>,
    ) -> Result<Next, Exit> {
        match left.reason {
            reason::LINK => {
                state.pc = self.lock().target(ExitId(left.payload as u32));
                Ok(Next::Block)
            }
            reason::DISPATCH => Ok(Next::Block),
            reason::FUEL => {
                self.lock().sample(state.pc);
                Ok(Next::Block)
            }
            reason::SYSCALL => Err(Exit::Syscall),
            reason::BREAKPOINT => Err(Exit::Breakpoint),
            reason::ILLEGAL => Err(Exit::Illegal),
            reason::INTERRUPTED => Err(Exit::Interrupted),
            reason::INTERPRET => self.interpret_one(state, memory, values),
            reason::FAULT => {
                state.pc = self.lock().guest_pc(state.fault_pc);
                self.interpret_one(state, memory, values)
            }
            other => unreachable!("translated code left with reason {other}"),
        }
    }

    /// Interprets the instruction at `state.pc`: it has the last word on
    /// whether, and how, an instruction faults.
    fn interpret_one(
        &self,
        state: &mut GuestState,
        memory: &GuestMemory,
        values: &mut Vec<u128>,
    ) -> Result<Next, Exit> {
        let (block, _) = self.guest.lift(state.pc, memory, 1);
        interp::run(&block, state, memory, values)
    }

    /// Runs one instruction, for a debugger's single step. `None` when it was
    /// done and nothing needs the caller.
    pub fn step(&self, state: &mut GuestState, memory: &GuestMemory) -> Option<Exit> {
        match self.interpret_one(state, memory, &mut Vec::new()) {
            Ok(Next::Block) => None,
            Ok(Next::CodeChanged) => {
                self.revalidate(memory);
                None
            }
            Err(Exit::Fault(fault)) if fault.access == Access::Execute => {
                Some(Exit::Fault(fetch_fault(fault, memory)))
            }
            Err(exit) => Some(exit),
        }
    }
}

/// Keeps an engine's tables as they are while it lives.
pub struct Frozen<'a> {
    _inner: MutexGuard<'a, Inner>,
}

impl Inner {
    /// Lifts the block at `pc`, which ends where a breakpoint is.
    fn lift(&self, guest: Guest, pc: GuestAddr, memory: &GuestMemory) -> (Block, Vec<u8>) {
        let (block, bytes) = guest.lift(pc, memory, riscv::lift::MAX_INSTRUCTIONS);
        let end = pc.add(bytes.len() as u64);
        let Some(&stop) = self.breakpoints.range(pc..end).next() else {
            return (block, bytes);
        };
        // One instruction more at a time: few blocks have a breakpoint.
        let mut shorter = (1..).map(|count| guest.lift(pc, memory, count));
        let (mut block, mut bytes) = shorter.next().expect("it has no end");
        if stop == pc {
            block.ops.clear();
            block.end = End::Breakpoint(pc);
            return (block, bytes);
        }
        while pc.add(bytes.len() as u64) < stop {
            (block, bytes) = shorter.next().expect("it has no end");
        }
        (block, bytes)
    }

    fn step_into(&self, code: u64, state: &mut GuestState) -> Step {
        state.exits = std::ptr::from_ref(enter::exits()) as u64;
        state.lookup = self.blocks.lookup_address();
        state.fuel = FUEL;
        Step::Enter(code, self.blocks.space().mapping().clone())
    }

    /// Translates a block by the first tier. `None` when the space was full;
    /// then a new one was begun.
    fn translate(&mut self, block: &Block) -> Option<u64> {
        let compiled = self.first.translate(block, self.blocks.next_exit().0);
        if self.blocks.publish(&[block.start], &compiled).is_err() {
            self.renew();
            return None;
        }
        self.blocks.code_at(block.start)
    }

    /// Compiles the region that begins at `pc` once its first block has been
    /// interpreted a few times.
    fn optimise_if_warm(&mut self, pc: GuestAddr) -> Option<u64> {
        let record = self.blocks.record(pc)?;
        record.heat += 1;
        if record.heat < WARM {
            return None;
        }
        let region = self.gather(pc);
        self.optimise(&region)
    }

    /// The fuel ran out on the way to `pc`: a sample of where time goes. When
    /// it is often the same place, and a loop, that is compiled by the second
    /// tier.
    fn sample(&mut self, pc: GuestAddr) {
        let Some(record) = self.blocks.record(pc) else {
            return;
        };
        record.heat += 1;
        if record.heat != HOT {
            return;
        }
        let region = loop_through_first(&self.gather(pc));
        if !region.is_empty() {
            self.optimise(&region);
        }
    }

    /// Compiles a region by the second tier, as [`translate`](Self::translate)
    /// does.
    fn optimise(&mut self, region: &[Arc<Block>]) -> Option<u64> {
        let members: Vec<GuestAddr> = region.iter().map(|block| block.start).collect();
        let compiled = self.second.compile(region, self.blocks.next_exit().0);
        if self.blocks.publish(&members, &compiled).is_err() {
            self.renew();
            return None;
        }
        self.blocks.code_at(members[0])
    }

    /// The known blocks that direct jumps reach from the one at `head`.
    fn gather(&mut self, head: GuestAddr) -> Vec<Arc<Block>> {
        let mut region: Vec<Arc<Block>> = Vec::new();
        let mut wanted = VecDeque::from([head]);
        let mut seen = FxHashSet::default();
        while let Some(pc) = wanted.pop_front() {
            if region.len() == REGION_BLOCKS || !seen.insert(pc) {
                continue;
            }
            if let Some(record) = self.blocks.record(pc) {
                wanted.extend(direct_successors(&record.block.end));
                region.push(record.block.clone());
            }
        }
        region
    }
}

/// Where a block goes by direct jumps that are no calls.
fn direct_successors(end: &End) -> impl Iterator<Item = GuestAddr> {
    let (first, second) = match *end {
        End::Jump(to) | End::Synchronise(to, false) => (Some(to), None),
        End::Branch { taken, next, .. } => (Some(next), Some(taken)),
        _ => (None, None),
    };
    first.into_iter().chain(second)
}

/// The blocks of `reachable` that are on a way from its first block back to it:
/// the loop. Empty when there is none. Whatever else the loop leads to, calls
/// above all, is better left to the first tier, whose registers need no moving.
fn loop_through_first(reachable: &[Arc<Block>]) -> Vec<Arc<Block>> {
    let head = reachable[0].start;
    let mut back = FxHashSet::default();
    let mut grew = true;
    while std::mem::take(&mut grew) {
        for block in reachable {
            let leads_back = |to| to == head || back.contains(&to);
            if !back.contains(&block.start) && direct_successors(&block.end).any(leads_back) {
                back.insert(block.start);
                grew = true;
            }
        }
    }
    let on_the_way = |block: &&Arc<Block>| back.contains(&block.start);
    if back.contains(&head) {
        reachable.iter().filter(on_the_way).cloned().collect()
    } else {
        Vec::new()
    }
}

impl Guest {
    /// Lifts the block at `pc`; gives it and the bytes it was lifted from.
    fn lift(self, pc: GuestAddr, memory: &GuestMemory, limit: u32) -> (Block, Vec<u8>) {
        let mut bytes = vec![0; 4 * limit as usize];
        let got = memory.fetch(pc, &mut bytes);
        let block = match self {
            Guest::Riscv64 => riscv::lift_block(pc, &bytes[..got], limit),
            Guest::Aarch64 => aarch64::lift_block(pc, &bytes[..got], limit),
        };
        bytes.truncate(block.length as usize);
        (block, bytes)
    }
}

/// A failed fetch, with what the map of guest memory says of it.
fn fetch_fault(fault: Fault, memory: &GuestMemory) -> Fault {
    let kind = match memory.protection_at(fault.address) {
        Some(protection) if protection.execute() => FaultKind::PastEnd,
        Some(_) => FaultKind::Protection,
        None => FaultKind::Unmapped,
    };
    Fault { kind, ..fault }
}
