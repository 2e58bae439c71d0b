//! Branches, system calls, barriers and system registers.

use super::{Insn, Lifter, W64, condition, width};
use crate::aarch64::features;
use crate::aarch64::table::Op as Code;
use crate::ir::{Binary, Bytes, Cond, Counter, End, Flags, Hint, Op, Place, Value, Vector};

impl Lifter {
    /// Lifts one of these instructions: `Some` if it is one, with the end of the
    /// block if there is one.
    pub(super) fn system(&mut self, i: Insn) -> Option<Option<End>> {
        let rd = i.rd();
        match i.op {
            Code::B => {
                let to = self.pc.add((i.signed(0, 26) * 4) as u64);
                if !i.bit(31) {
                    return Some(Some(End::Jump(to)));
                }
                self.link();
                return Some(Some(End::Call {
                    to,
                    back: self.next,
                }));
            }
            Code::BCond => return Some(Some(self.conditional(i))),
            Code::CompareBranch | Code::TestBranch => return Some(Some(self.zero_branch(i))),
            Code::Br => {
                let to = self.x(i.rn());
                return Some(Some(End::Indirect(to, Hint::None)));
            }
            Code::Blr => {
                let to = self.x(i.rn());
                self.link();
                return Some(Some(End::Indirect(to, Hint::Call(self.next))));
            }
            Code::Ret => {
                let to = self.x(i.rn());
                return Some(Some(End::Indirect(to, Hint::Return)));
            }
            Code::Svc => return Some(Some(End::Syscall(self.pc))),
            Code::Brk => return Some(Some(End::Breakpoint(self.pc))),
            // Code that was written is looked at again here, which the
            // architecture asks for after IC IVAU, so that is nothing by itself.
            Code::Isb => return Some(Some(End::Synchronise(self.next, true))),
            Code::Hint | Code::IcIvau | Code::DcClean | Code::Prfm => {}
            Code::Clrex => {
                self.op(Op::ClearReservation);
            }
            Code::Dsb | Code::Dmb => {
                // The host orders loads, and stores among themselves, already.
                if i.bits(8, 2) == 3 || i.bits(8, 2) == 0 {
                    self.op(Op::Fence);
                }
            }
            Code::DcZva => self.zero_block(i),
            Code::MsrNzcv => {
                let v = self.x(rd);
                self.set_flags(Flags::Pack(v));
            }
            Code::MrsNzcv => {
                let flags = self.get_flags();
                let v = self.flag_op(Flags::Unpack(flags));
                self.set_x(rd, v);
            }
            Code::MsrFpcr => {
                let v = self.x(rd);
                self.op(Op::Set(Place::Fpcr, v));
                return Some(Some(End::Synchronise(self.next, false)));
            }
            Code::MsrFpsr => {
                let v = self.x(rd);
                self.op(Op::Set(Place::Fpsr, v));
            }
            Code::MsrTpidr => {
                let v = self.x(rd);
                self.op(Op::Set(Place::Tpidr, v));
            }
            Code::MrsFpcr => self.read(rd, Op::Get(Place::Fpcr)),
            Code::MrsFpsr => self.read(rd, Op::Get(Place::Fpsr)),
            Code::MrsTpidr => self.read(rd, Op::Get(Place::Tpidr)),
            Code::MrsCntvct => self.read(rd, Op::Counter(Counter::Nanoseconds)),
            Code::MrsTpidrro => self.read(rd, Op::Const(0)),
            Code::MrsCtr => self.read(rd, Op::Const(features::CTR)),
            Code::MrsDczid => self.read(rd, Op::Const(features::DCZID)),
            Code::MrsCntfrq => self.read(rd, Op::Const(features::COUNTER_HZ)),
            Code::MrsId => {
                let value = features::identification(i.bits(8, 4), i.bits(5, 3));
                self.read(rd, Op::Const(value));
            }
            _ => return None,
        }
        Some(None)
    }

    fn read(&mut self, rd: u8, op: Op) {
        let v = self.op(op);
        self.set_x(rd, v);
    }

    fn link(&mut self) {
        let back = self.constant(self.next.0);
        self.set_x(30, back);
    }

    fn conditional(&mut self, i: Insn) -> End {
        let taken = self.pc.add((i.signed(5, 19) * 4) as u64);
        let Some(condition) = condition(i.bits(0, 4)) else {
            return End::Jump(taken);
        };
        if let Some((cond, W64, a, b)) = self.comparison(condition) {
            return End::Branch {
                cond,
                a,
                b,
                taken,
                next: self.next,
            };
        }
        let holds = self.holds(i.bits(0, 4));
        self.branch_unless_zero(holds, taken)
    }

    fn branch_unless_zero(&mut self, a: Value, taken: crate::GuestAddr) -> End {
        let b = self.constant(0);
        End::Branch {
            cond: Cond::Ne,
            a,
            b,
            taken,
            next: self.next,
        }
    }

    fn zero_branch(&mut self, i: Insn) -> End {
        let register = self.x(i.rd());
        let (tested, offset) = if i.op == Code::TestBranch {
            let bit = i.bits(31, 1) << 5 | i.bits(19, 5);
            (
                self.with(Binary::And, W64, register, 1 << bit),
                i.signed(5, 14),
            )
        } else {
            (self.fit(width(i), register), i.signed(5, 19))
        };
        let taken = self.pc.add((offset * 4) as u64);
        let b = self.constant(0);
        let cond = if i.bit(24) { Cond::Ne } else { Cond::Eq };
        End::Branch {
            cond,
            a: tested,
            b,
            taken,
            next: self.next,
        }
    }

    /// DC ZVA: 64 bytes of zeros.
    fn zero_block(&mut self, i: Insn) {
        let address = self.x(i.rd());
        let block = self.with(Binary::And, W64, address, !63);
        let zero = self.zero_vector();
        for offset in [0, 16, 32, 48] {
            self.vector(Vector::Store(Bytes::B16, block, offset, zero));
        }
    }
}
