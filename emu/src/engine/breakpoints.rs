//! Breakpoints: blocks end at them, and guest memory stays as it is.

use super::{Engine, Guest, Inner};
use crate::ir::{Block, End};
use crate::{GuestAddr, riscv};

impl Engine {
    /// Sets or removes a breakpoint: [`run`](Engine::run) gives
    /// [`Exit::Breakpoint`] before the instruction there. Guest memory stays as
    /// it is.
    pub fn set_breakpoint(&self, at: GuestAddr, is_set: bool) {
        let mut inner = self.lock();
        match is_set {
            true => inner.breakpoints.insert(at),
            false => inner.breakpoints.remove(&at),
        };
        inner.invalidate(at..at.add(1));
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
}

impl Inner {
    /// The block, or as much of it as comes before a breakpoint.
    pub(super) fn stop_at_breakpoint(&self, guest: Guest, block: Block, code: &[u8]) -> Block {
        let pc = block.start;
        let end = pc.add(u64::from(block.length));
        let Some(&stop) = self.breakpoints.range(pc..end).next() else {
            return block;
        };
        if stop > pc {
            let before = &code[..(stop.0 - pc.0) as usize];
            return guest.lift_code(block.ops, pc, before, riscv::lift::MAX_INSTRUCTIONS);
        }
        let mut block = guest.lift_code(block.ops, pc, code, 1);
        block.ops.clear();
        block.end = End::Breakpoint(pc);
        block
    }
}
