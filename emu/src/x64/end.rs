//! Ends of blocks.

use super::asm::{Alu, Cc, Reg, Rm};
use super::{Cold, Emit, state};
use crate::addr::GuestAddr;
use crate::blocks::{ENTRY_CODE, ENTRY_PC, LOOKUP_ENTRIES};
use crate::enter::reason;
use crate::ir::{Cond, End, Value, Width};
use crate::state::offset;

impl Emit<'_> {
    pub(super) fn end(&mut self) {
        match self.block.end {
            End::Jump(to) | End::Call { to, .. } | End::Synchronise(to, false) => self.go(to),
            End::Branch {
                cond,
                a,
                b,
                taken,
                next,
            } => self.branch(cond, a, b, taken, next),
            End::Indirect(to, _) => self.indirect(to),
            End::Syscall(at) => self.leave(at, reason::SYSCALL),
            End::Breakpoint(at) => self.leave(at, reason::BREAKPOINT),
            End::Illegal(at) => self.leave(at, reason::ILLEGAL),
            End::Fault(at, _) => self.leave(at, reason::INTERPRET),
            End::Synchronise(_, true) => self.leave(self.pc, reason::INTERPRET),
        }
    }

    fn branch(&mut self, cond: Cond, a: Value, b: Value, taken: GuestAddr, next: GuestAddr) {
        let cc = if self.deferred == Some(a) {
            self.truth(a)
        } else {
            self.compare(cond, Width::W64, a, b)
        };
        let yes = self.asm.jcc(cc);
        self.go(next);
        self.asm.land(yes);
        self.go(taken);
    }

    /// Uses up fuel on the way to `pc`, which is in rax if it is not known.
    fn burn(&mut self, pc: GuestAddr) {
        self.asm.alu_imm(Alu::Sub, false, state(offset::FUEL), 1);
        let jump = self.asm.jcc(Cc::S);
        self.cold.push(Cold::Leave(vec![jump], pc, reason::FUEL));
    }

    fn go(&mut self, to: GuestAddr) {
        if to <= self.pc {
            self.burn(to);
        }
        if to == self.block.start {
            let jump = self.asm.jmp();
            self.asm.land_at(jump, 0);
        } else {
            self.exit(to);
        }
    }

    /// Through the table of translated code. The pc is in rax.
    fn indirect(&mut self, to: Value) {
        self.load_into(Reg::RAX, to);
        self.asm.alu_imm(Alu::Sub, false, state(offset::FUEL), 1);
        let tired = self.asm.jcc(Cc::S);
        self.asm.mov(true, Reg::RDX, state(offset::LOOKUP));
        self.asm.mov(false, Reg::RCX, Reg::RAX);
        self.asm
            .alu_imm(Alu::And, false, Reg::RCX, (LOOKUP_ENTRIES as i32 - 1) << 1);
        self.asm
            .mov(true, Reg::RDX, Rm::Index(Reg::RDX, Reg::RCX, 2, 0));
        self.asm
            .alu(Alu::Cmp, true, Reg::RAX, Rm::Base(Reg::RDX, ENTRY_PC));
        let miss = self.asm.jcc(Cc::Ne);
        self.asm.jmp_memory(Rm::Base(Reg::RDX, ENTRY_CODE));
        self.asm.land(miss);
        self.asm.constant(Reg::RCX, reason::DISPATCH);
        self.asm.jmp_memory(state(offset::LEAVE));
        self.asm.land(tired);
        self.asm.constant(Reg::RCX, reason::FUEL);
        self.asm.jmp_memory(state(offset::LEAVE));
    }
}
