//! Integer, memory and atomic operations.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64};
use cranelift_codegen::ir::{self as clif, AtomicRmwOp, BlockArg, InstBuilder, MemFlagsData};

use super::emit::{Emit, STATE};
use crate::ir::{AtomicOp, Binary, Format, Op, Size, Unary, Value};
use crate::state::{NO_RESERVATION, offset};

/// Accesses to guest memory: not aligned, and they may fault.
const GUEST: MemFlagsData = MemFlagsData::new();

fn clif_type(size: Size) -> clif::Type {
    match size {
        Size::B1 => I8,
        Size::B2 => I16,
        Size::B4 => I32,
        Size::B8 => I64,
    }
}

impl Emit<'_> {
    /// Lowers an operation that is not floating-point arithmetic.
    pub(super) fn int_op(&mut self, op: &Op) -> Option<clif::Value> {
        Some(match *op {
            Op::Const(n) => self.constant(n),
            Op::Binary(op, width, a, b) => {
                let (a, b) = (self.narrow(width, a), self.narrow(width, b));
                let result = self.binary(op, a, b);
                self.widen(result)
            }
            Op::Unary(op, width, a) => {
                let a = self.narrow(width, a);
                let result = self.unary(op, a);
                self.widen(result)
            }
            Op::Compare(cond, width, a, b) => {
                let holds = self.compare(cond, width, a, b);
                self.widen(holds)
            }
            Op::Extend(size, signed, a) => {
                let a = self.get(a);
                self.extend(size, signed, a)
            }
            Op::Select(c, a, b) => {
                let (c, a, b) = (self.get(c), self.get(a), self.get(b));
                self.b.ins().select(c, a, b)
            }
            Op::Load(size, signed, a, by) => {
                let at = self.host_address(a, false);
                let narrow = self.b.ins().load(clif_type(size), GUEST, at, by);
                self.accessed(false);
                match (size, signed) {
                    (Size::B8, _) => narrow,
                    (_, true) => self.b.ins().sextend(I64, narrow),
                    (_, false) => self.b.ins().uextend(I64, narrow),
                }
            }
            Op::Store(size, a, by, v) => {
                let at = self.host_address(a, true);
                let value = self.low(size, v);
                self.b.ins().store(GUEST, value, at, by);
                self.accessed(true);
                return None;
            }
            Op::LoadFloat(format, a, by) => {
                let at = self.host_address(a, false);
                let ty = if format == Format::Single { F32 } else { F64 };
                let loaded = self.b.ins().load(ty, GUEST, at, by);
                self.accessed(false);
                loaded
            }
            Op::StoreFloat(_, a, by, v) => {
                let at = self.host_address(a, true);
                let value = self.get(v);
                self.b.ins().store(GUEST, value, at, by);
                self.accessed(true);
                return None;
            }
            Op::LoadReserved(size, a) => self.load_reserved(size, a),
            Op::StoreConditional(size, a, v) => self.store_conditional(size, a, v),
            Op::Atomic(op, size, a, v) => self.atomic(op, size, a, v),
            Op::CompareExchange(size, a, expected, new) => {
                self.require_aligned(a, size.bytes());
                let at = self.host_address(a, true);
                let (expected, new) = (self.low(size, expected), self.low(size, new));
                let old = self.b.ins().atomic_cas(GUEST, at, expected, new);
                self.accessed(true);
                self.old_value(old)
            }
            Op::ClearReservation => {
                let none = self.constant(NO_RESERVATION);
                self.store_state(none, offset::RESERVATION);
                return None;
            }
            Op::Fence => {
                // A locked operation is a fence, and a quicker one.
                let at = i64::from(offset::SINK - offset::BIAS);
                let at = self.b.ins().iadd_imm_s(self.state, at);
                let nothing = self.constant(0);
                let or = AtomicRmwOp::Or;
                self.b.ins().atomic_rmw(I64, STATE, or, at, nothing);
                return None;
            }
            ref other => unreachable!("{other} is lowered elsewhere"),
        })
    }

    fn low(&mut self, size: Size, v: Value) -> clif::Value {
        let v = self.get(v);
        match size {
            Size::B8 => v,
            _ => self.b.ins().ireduce(clif_type(size), v),
        }
    }

    fn extend(&mut self, size: Size, signed: bool, v: clif::Value) -> clif::Value {
        if size == Size::B8 {
            return v;
        }
        let low = self.b.ins().ireduce(clif_type(size), v);
        if signed {
            self.b.ins().sextend(I64, low)
        } else {
            self.b.ins().uextend(I64, low)
        }
    }

    /// Lowers an operation on operands of its width.
    fn binary(&mut self, op: Binary, a: clif::Value, b: clif::Value) -> clif::Value {
        let ins = self.b.ins();
        match op {
            Binary::Add => ins.iadd(a, b),
            Binary::Sub => ins.isub(a, b),
            Binary::And => ins.band(a, b),
            Binary::Or => ins.bor(a, b),
            Binary::Xor => ins.bxor(a, b),
            Binary::Shl => ins.ishl(a, b),
            Binary::ShrU => ins.ushr(a, b),
            Binary::ShrS => ins.sshr(a, b),
            Binary::RotR => ins.rotr(a, b),
            Binary::Mul => ins.imul(a, b),
            Binary::MulHighS => ins.smulhi(a, b),
            Binary::MulHighU => ins.umulhi(a, b),
            Binary::MulHighSU => self.mul_high_mixed(a, b),
            Binary::DivS | Binary::RemS => self.divide_signed(op, a, b),
            Binary::DivU | Binary::RemU => self.divide_unsigned(op, a, b),
            Binary::MinS => ins.smin(a, b),
            Binary::MinU => ins.umin(a, b),
            Binary::MaxS => ins.smax(a, b),
            Binary::MaxU => ins.umax(a, b),
        }
    }

    /// The unsigned product's upper half, less b × 2^w when a is negative.
    fn mul_high_mixed(&mut self, a: clif::Value, b: clif::Value) -> clif::Value {
        let bits = i64::from(self.b.func.dfg.value_type(a).bits());
        let high = self.b.ins().umulhi(a, b);
        let sign = self.b.ins().sshr_imm_u(a, bits - 1);
        let excess = self.b.ins().band(sign, b);
        self.b.ins().isub(high, excess)
    }

    /// `value` when the condition does not hold, what `special` gives otherwise.
    fn unless(
        &mut self,
        condition: clif::Value,
        special: clif::Value,
        value: impl FnOnce(&mut Self) -> clif::Value,
    ) -> clif::Value {
        let ty = self.b.func.dfg.value_type(special);
        let (ordinary, join) = (self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(join, ty);
        self.b
            .ins()
            .brif(condition, join, &[BlockArg::Value(special)], ordinary, &[]);
        self.b.switch_to_block(ordinary);
        let value = value(self);
        self.b.ins().jump(join, &[BlockArg::Value(value)]);
        self.b.switch_to_block(join);
        result
    }

    fn divide_unsigned(&mut self, op: Binary, a: clif::Value, b: clif::Value) -> clif::Value {
        let ty = self.b.func.dfg.value_type(a);
        let zero = self.b.ins().icmp_imm_s(IntCC::Equal, b, 0);
        if op == Binary::RemU {
            return self.unless(zero, a, |emit| emit.b.ins().urem(a, b));
        }
        let ones = self.b.ins().iconst(ty, ones(ty));
        self.unless(zero, ones, |emit| emit.b.ins().udiv(a, b))
    }

    /// A divisor of 0 or −1 (which could overflow) is no division at all.
    fn divide_signed(&mut self, op: Binary, a: clif::Value, b: clif::Value) -> clif::Value {
        let ty = self.b.func.dfg.value_type(a);
        let above = self.b.ins().iadd_imm_s(b, 1);
        let special = self
            .b
            .ins()
            .icmp_imm_u(IntCC::UnsignedLessThanOrEqual, above, 1);
        let zero = self.b.ins().icmp_imm_s(IntCC::Equal, b, 0);
        if op == Binary::RemS {
            let nothing = self.b.ins().iconst(ty, 0);
            let result = self.b.ins().select(zero, a, nothing);
            return self.unless(special, result, |emit| emit.b.ins().srem(a, b));
        }
        let negative = self.b.ins().ineg(a);
        let ones = self.b.ins().iconst(ty, ones(ty));
        let result = self.b.ins().select(zero, ones, negative);
        self.unless(special, result, |emit| emit.b.ins().sdiv(a, b))
    }

    fn unary(&mut self, op: Unary, a: clif::Value) -> clif::Value {
        match op {
            Unary::Clz => self.b.ins().clz(a),
            Unary::Ctz => self.b.ins().ctz(a),
            Unary::PopCount => self.b.ins().popcnt(a),
            Unary::ByteSwap => self.b.ins().bswap(a),
            Unary::BitSwap => self.b.ins().bitrev(a),
            Unary::OrBytes => self.or_bytes(a),
        }
    }

    /// The highest bit of each byte says whether any was set; that bit, moved
    /// down and multiplied by 255, fills its byte.
    fn or_bytes(&mut self, a: clif::Value) -> clif::Value {
        let ty = self.b.func.dfg.value_type(a);
        let low_bits = self.b.ins().iconst(ty, narrowed(0x7f7f_7f7f_7f7f_7f7f, ty));
        let high_bits = self.b.ins().iconst(ty, narrowed(0x8080_8080_8080_8080, ty));
        let low = self.b.ins().band(a, low_bits);
        let carried = self.b.ins().iadd(low, low_bits);
        let any = self.b.ins().bor(carried, a);
        let any = self.b.ins().band(any, high_bits);
        let one = self.b.ins().ushr_imm_u(any, 7);
        self.b.ins().imul_imm_s(one, 0xff)
    }

    fn load_reserved(&mut self, size: Size, a: Value) -> clif::Value {
        self.require_aligned(a, size.bytes());
        let at = self.host_address(a, false);
        let narrow = self.b.ins().atomic_load(clif_type(size), GUEST, at);
        self.accessed(false);
        let value = self.old_value(narrow);
        let address = self.get(a);
        self.store_state(address, offset::RESERVATION);
        self.store_state(value, offset::RESERVATION_VALUE);
        value
    }

    fn store_conditional(&mut self, size: Size, a: Value, v: Value) -> clif::Value {
        self.require_aligned(a, size.bytes());
        let at = self.host_address(a, true);
        let address = self.get(a);
        let reserved = self.load_state(I64, offset::RESERVATION);
        let other = self.b.ins().icmp(IntCC::NotEqual, reserved, address);
        let failed = self.constant(1);
        let ty = clif_type(size);
        let new = self.low(size, v);
        let result = self.unless(other, failed, |emit| {
            let expected = emit.load_state(ty, offset::RESERVATION_VALUE);
            let old = emit.b.ins().atomic_cas(GUEST, at, expected, new);
            emit.accessed(true);
            let differs = emit.b.ins().icmp(IntCC::NotEqual, old, expected);
            emit.widen(differs)
        });
        let none = self.constant(NO_RESERVATION);
        self.store_state(none, offset::RESERVATION);
        result
    }

    fn atomic(&mut self, op: AtomicOp, size: Size, a: Value, v: Value) -> clif::Value {
        self.require_aligned(a, size.bytes());
        let at = self.host_address(a, true);
        let operand = self.low(size, v);
        let unused = self.uses[self.current().index()] == 0;
        let op = match op {
            AtomicOp::Swap => AtomicRmwOp::Xchg,
            AtomicOp::Add => AtomicRmwOp::Add,
            AtomicOp::Xor if unused => AtomicRmwOp::Xor,
            AtomicOp::And if unused => AtomicRmwOp::And,
            AtomicOp::Or if unused => AtomicRmwOp::Or,
            _ => return self.compute_atomically(op, at, operand),
        };
        let ty = clif_type(size);
        let old = self.b.ins().atomic_rmw(ty, GUEST, op, at, operand);
        self.accessed(true);
        self.old_value(old)
    }

    /// What the host has no instruction for is tried until nobody comes between.
    fn compute_atomically(
        &mut self,
        op: AtomicOp,
        at: clif::Value,
        operand: clif::Value,
    ) -> clif::Value {
        let ty = self.b.func.dfg.value_type(operand);
        let first = self.b.ins().load(ty, GUEST, at, 0);
        self.accessed(false);
        let (again, done) = (self.b.create_block(), self.b.create_block());
        let old = self.b.append_block_param(again, ty);
        self.b.ins().jump(again, &[BlockArg::Value(first)]);
        self.b.switch_to_block(again);
        let ins = self.b.ins();
        let new = match op {
            AtomicOp::Swap => operand,
            AtomicOp::Add => ins.iadd(old, operand),
            AtomicOp::Xor => ins.bxor(old, operand),
            AtomicOp::And => ins.band(old, operand),
            AtomicOp::Or => ins.bor(old, operand),
            AtomicOp::MinS => ins.smin(old, operand),
            AtomicOp::MaxS => ins.smax(old, operand),
            AtomicOp::MinU => ins.umin(old, operand),
            AtomicOp::MaxU => ins.umax(old, operand),
        };
        let found = self.b.ins().atomic_cas(GUEST, at, old, new);
        self.accessed(true);
        let same = self.b.ins().icmp(IntCC::Equal, found, old);
        let retry = [BlockArg::Value(found)];
        self.b.ins().brif(same, done, &[], again, &retry);
        self.b.switch_to_block(done);
        self.old_value(found)
    }

    /// What an atomic found in memory.
    fn old_value(&mut self, old: clif::Value) -> clif::Value {
        if self.b.func.dfg.value_type(old) == I64 {
            old
        } else {
            self.b.ins().sextend(I64, old)
        }
    }
}

fn ones(ty: clif::Type) -> i64 {
    narrowed(u64::MAX, ty)
}

/// A constant as Cranelift wants it for a type: zero-extended.
fn narrowed(n: u64, ty: clif::Type) -> i64 {
    if ty == I32 {
        i64::from(n as u32)
    } else {
        n as i64
    }
}
