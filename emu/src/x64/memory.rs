//! Guest memory: loads, stores, reservations, atomics.

use super::asm::{Alu, Cc, Reg, Rm};
use super::{Emit, MEMORY, state};
use crate::ir::{AtomicOp, Format, Op, Size, Value};
use crate::state::offset;

impl Emit<'_> {
    pub(super) fn memory_op(&mut self, op: &Op) -> bool {
        match *op {
            Op::Load(size, signed, a, by) => {
                let from = self.guest(a, by);
                let to = self.result();
                self.asm.load(size.bytes(), signed, to, from);
            }
            Op::Store(size, a, by, v) => {
                let to = self.guest(a, by);
                let zero = self.places.constant(v) == Some(0);
                if zero && matches!(size, Size::B4 | Size::B8) {
                    self.asm.store_imm(size == Size::B8, to, 0);
                } else {
                    let from = self.reg(v);
                    self.asm.store(size.bytes(), to, from);
                }
            }
            Op::LoadFloat(format, a, by) => {
                let from = self.guest(a, by);
                let to = self.vector_result();
                self.asm.load_scalar(format == Format::Double, to, from);
            }
            Op::StoreFloat(format, a, by, v) => {
                let to = self.guest(a, by);
                let from = self.vector(v);
                self.asm.store_scalar(format == Format::Double, to, from);
            }
            Op::LoadReserved(size, a) => self.load_reserved(size, a),
            Op::StoreConditional(size, a, v) => self.store_conditional(size, a, v),
            Op::Atomic(op, size, a, v) => return self.atomic(op, size, a, v),
            Op::CompareExchange(size, a, expected, new) => {
                self.compare_exchange(size, a, expected, new);
            }
            Op::ClearReservation => self.asm.store_imm(true, state(offset::RESERVATION), -1),
            Op::Fence => self.asm.fence(state(offset::SINK)),
            _ => return false,
        }
        true
    }

    /// Guest memory at a value + offset. The value is compared with the limit
    /// the first time a block uses it as an address; the offset is not checked,
    /// because the guards on both sides of guest memory are longer than any.
    pub(super) fn guest(&mut self, a: Value, by: i32) -> Rm {
        let base = self.reg(a);
        if self.places.check(a) {
            self.asm
                .alu(Alu::Cmp, true, base, state(offset::MEMORY_LIMIT));
            self.interpret_if(Cc::Ae);
        }
        Rm::Index(MEMORY, base, 0, by)
    }

    /// Guest memory for an atomic, which must be aligned.
    fn aligned(&mut self, size: Size, a: Value) -> Rm {
        let base = self.reg(a);
        self.asm.test_imm(base, size.bytes() as i32 - 1);
        self.interpret_if(Cc::Ne);
        self.guest(a, 0)
    }

    fn load_reserved(&mut self, size: Size, a: Value) {
        let from = self.aligned(size, a);
        let address = self.reg(a);
        let value = self.scratch();
        self.asm.load(size.bytes(), true, value, from);
        self.asm.store(8, state(offset::RESERVATION), address);
        self.asm.store(8, state(offset::RESERVATION_VALUE), value);
        self.result_in(value);
    }

    /// Both comparisons leave in the flags whether the store was made.
    fn store_conditional(&mut self, size: Size, a: Value, v: Value) {
        self.take(Reg::RAX);
        let to = self.aligned(size, a);
        let address = self.reg(a);
        let new = self.reg(v);
        self.asm
            .alu(Alu::Cmp, true, address, state(offset::RESERVATION));
        let other = self.asm.jcc(Cc::Ne);
        self.asm
            .mov(true, Reg::RAX, state(offset::RESERVATION_VALUE));
        self.asm.lock_cmpxchg(size.bytes(), to, new);
        self.asm.land(other);
        self.asm.store_imm(true, state(offset::RESERVATION), -1);
        self.asm.set(Cc::Ne, Reg::RAX);
        self.result_in(Reg::RAX);
    }

    fn atomic(&mut self, op: AtomicOp, size: Size, a: Value, v: Value) -> bool {
        let wide = size == Size::B8;
        if matches!(op, AtomicOp::Swap | AtomicOp::Add) {
            let memory = self.aligned(size, a);
            let old = self.scratch();
            self.load_into(old, v);
            if op == AtomicOp::Swap {
                self.asm.xchg(size.bytes(), memory, old);
            } else {
                self.asm.lock_xadd(size.bytes(), memory, old);
            }
            self.old_value(size, old);
            return true;
        }
        let compares = matches!(
            op,
            AtomicOp::MinS | AtomicOp::MaxS | AtomicOp::MinU | AtomicOp::MaxU
        );
        if self.places.constant(v).is_some() || compares && size.bytes() < 4 {
            return false;
        }
        self.take(Reg::RAX);
        self.take(Reg::RCX);
        let memory = self.aligned(size, a);
        let operand = self.operand(v);
        self.asm.load(size.bytes(), false, Reg::RAX, memory);
        let again = self.asm.len();
        self.asm.mov(true, Reg::RCX, Reg::RAX);
        let least = |emit: &mut Self, cc| {
            emit.asm.alu(Alu::Cmp, wide, Reg::RCX, operand);
            emit.asm.cmov(cc, wide, Reg::RCX, operand);
        };
        match op {
            AtomicOp::Xor => self.asm.alu(Alu::Xor, wide, Reg::RCX, operand),
            AtomicOp::And => self.asm.alu(Alu::And, wide, Reg::RCX, operand),
            AtomicOp::Or => self.asm.alu(Alu::Or, wide, Reg::RCX, operand),
            AtomicOp::MinS => least(self, Cc::G),
            AtomicOp::MaxS => least(self, Cc::L),
            AtomicOp::MinU => least(self, Cc::A),
            AtomicOp::MaxU => least(self, Cc::B),
            AtomicOp::Swap | AtomicOp::Add => unreachable!("done above"),
        }
        self.asm.lock_cmpxchg(size.bytes(), memory, Reg::RCX);
        let retry = self.asm.jcc(Cc::Ne);
        self.asm.land_at(retry, again);
        self.old_value(size, Reg::RAX);
        true
    }

    fn compare_exchange(&mut self, size: Size, a: Value, expected: Value, new: Value) {
        self.take(Reg::RAX);
        let to = self.aligned(size, a);
        let new = self.reg(new);
        self.load_into(Reg::RAX, expected);
        self.asm.lock_cmpxchg(size.bytes(), to, new);
        self.old_value(size, Reg::RAX);
    }

    fn old_value(&mut self, size: Size, old: Reg) {
        if size != Size::B8 {
            self.asm.load(size.bytes(), true, old, old.into());
        }
        self.result_in(old);
    }
}
