//! [`Engine`]: runs guest instructions until something needs the caller.
//!
//! The loop is: find translated code for the guest pc and run it, or else let
//! the interpreter run one block; a block that was interpreted often enough is
//! translated. Translated code goes from block to block by itself; it comes
//! back for what it does not know, and the reason says what.
//!
//! One lock holds all that is known of the code; it is never held while guest
//! instructions run.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::blocks::{Blocks, ExitId};
use crate::code::{CodeSpace, Mapping};
use crate::enter::{self, Left, reason};
use crate::exit::{Access, FaultKind};
use crate::fault::{self, Registration};
use crate::interp::{self, Next};
use crate::ir::Block;
use crate::{aarch64, riscv};
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
    /// Interpret everything: slow, and what translated code is checked against.
    Interpret,
}

/// A block that was interpreted this often is translated.
const HOT: u32 = 4;

/// Runs the threads of one guest process.
pub struct Engine {
    guest: Guest,
    tier: Tier,
    inner: Mutex<Inner>,
}

struct Inner {
    blocks: Blocks,
    lowering: crate::clif::Lowering,
    _registration: Registration,
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
        // Nothing of the guest's runs without this memory, and only a host that
        // is out of address space refuses it.
        let space = CodeSpace::new().expect("address space for translated code");
        let registration = fault::register(space.code(), enter::landing());
        Inner {
            blocks: Blocks::new(space),
            lowering: crate::clif::Lowering::new(),
            _registration: registration,
        }
    }
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
        let inner = &mut *inner;
        let pc = state.pc;
        let plain = enter::control_word(state.fcsr).is_some() && state.aarch64.fpcr == 0;
        let translate = self.tier == Tier::Translate && plain;
        if translate && let Some(code) = inner.blocks.code_at(pc) {
            return inner.step_into(code, state);
        }
        let record = match inner.blocks.record(pc) {
            Some(record) => record,
            None => {
                let (block, bytes) = self.guest.lift(pc, memory, riscv::lift::MAX_INSTRUCTIONS);
                if matches!(block.end, crate::ir::End::Fault(..)) {
                    return Step::Interpret(Arc::new(block));
                }
                inner.blocks.insert(Arc::new(block), &bytes)
            }
        };
        record.heat += 1;
        let block = record.block.clone();
        if translate && record.heat >= HOT && inner.translate(pc) {
            let code = inner.blocks.code_at(pc).expect("it was just translated");
            return inner.step_into(code, state);
        }
        Step::Interpret(block)
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
                state.pc = self.lock().blocks.target(ExitId(left.payload as u32));
                Ok(Next::Block)
            }
            reason::DISPATCH => Ok(Next::Block),
            reason::SYSCALL => Err(Exit::Syscall),
            reason::BREAKPOINT => Err(Exit::Breakpoint),
            reason::ILLEGAL => Err(Exit::Illegal),
            reason::INTERRUPTED => Err(Exit::Interrupted),
            reason::INTERPRET => self.interpret_one(state, memory, values),
            reason::FAULT => {
                let host = state.fault_pc;
                let pc = self.lock().blocks.guest_pc(host);
                state.pc = pc.unwrap_or_else(|| panic!("no guest instruction at host {host:#x}"));
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
    fn step_into(&self, code: u64, state: &mut GuestState) -> Step {
        state.exits = std::ptr::from_ref(enter::exits()) as u64;
        state.lookup = self.blocks.lookup_address();
        Step::Enter(code, self.blocks.space().mapping().clone())
    }

    /// Translates the block at `pc`, with what belongs to it. False when the
    /// space was full; then everything is forgotten and a new one begun.
    fn translate(&mut self, pc: GuestAddr) -> bool {
        let region = self.gather(pc);
        let members: Vec<GuestAddr> = region.iter().map(|block| block.start).collect();
        let compiled = self.lowering.compile(&region, self.blocks.next_exit().0);
        if self.blocks.publish(&members, &compiled).is_ok() {
            return true;
        }
        *self = Inner::new();
        false
    }

    /// The blocks to translate together with the one at `head`: those that
    /// direct jumps reach from it and that have run.
    fn gather(&mut self, head: GuestAddr) -> Vec<Arc<Block>> {
        let mut region: Vec<Arc<Block>> = Vec::new();
        let mut wanted = std::collections::VecDeque::from([head]);
        let mut seen = rustc_hash::FxHashSet::default();
        while let Some(pc) = wanted.pop_front() {
            if region.len() == REGION_BLOCKS || !seen.insert(pc) {
                continue;
            }
            let Some(record) = self.blocks.record(pc).filter(|record| record.heat > 0) else {
                continue;
            };
            region.push(record.block.clone());
            match record.block.end {
                crate::ir::End::Jump(to) | crate::ir::End::Synchronise(to, false) => {
                    wanted.push_back(to)
                }
                crate::ir::End::Branch { taken, next, .. } => {
                    wanted.push_back(next);
                    wanted.push_back(taken);
                }
                _ => {}
            }
        }
        region
    }
}

/// No region has more blocks than this.
const REGION_BLOCKS: usize = 24;

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
