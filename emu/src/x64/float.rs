//! Floating-point operations, on the host's own.
//!
//! The host's control word has the guest's rounding mode and collects the
//! flags. x86 and RISC-V agree on everything but NaNs (the guest has one), on
//! some flags when an operand is NaN, and on conversions out of range.

use super::asm::{Alu, Cc, Reg, Rm, Xmm};
use super::{Cold, Emit, state};
use crate::ir::{FloatCond, FloatOp, Format, Fused, IntFloat, Op, Rounding, Sign, Value, Width};
use crate::state::offset;

/// Opcodes of bitwise operations.
const AND: u8 = 0x54;
const OR: u8 = 0x56;
const XOR: u8 = 0x57;

impl Emit<'_> {
    pub(super) fn float_op(&mut self, op: &Op) -> bool {
        match *op {
            Op::Float(op, format, rounding, a, b) => {
                self.require_rounding(rounding);
                let opcode = match op {
                    FloatOp::Add => 0x58,
                    FloatOp::Mul => 0x59,
                    FloatOp::Sub => 0x5c,
                    FloatOp::Div => 0x5e,
                };
                let double = format == Format::Double;
                let (left, right) = (self.vector_operand(a), self.vector_operand(b));
                let to = self.vector_result();
                self.asm.load_scalar(double, to, left);
                self.asm.scalar(opcode, double, to, right);
                self.canonical(double, to);
            }
            Op::FloatSqrt(format, rounding, a) => {
                self.require_rounding(rounding);
                let double = format == Format::Double;
                let from = self.vector(a);
                let to = self.vector_result();
                self.asm.scalar(0x51, double, to, from);
                self.canonical(double, to);
            }
            Op::FloatConvert(to_format, rounding, a) => {
                let from_double = to_format == Format::Single;
                if from_double {
                    self.require_rounding(rounding);
                }
                let from = self.vector(a);
                let to = self.vector_result();
                self.asm.convert(from_double, to, from);
                self.canonical(!from_double, to);
            }
            Op::FloatMinMax(max, format, a, b) => self.min_max(max, format == Format::Double, a, b),
            Op::FloatFused(fused, a, b, c) => return self.fused(fused, a, b, c),
            Op::FloatCompare(cond, format, a, b) => {
                self.float_compare(cond, format == Format::Double, a, b);
            }
            Op::FloatToInt(conversion, a) => return self.float_to_int(conversion, a),
            Op::IntToFloat(conversion, a) => self.int_to_float(conversion, a),
            Op::FloatSign(sign, format, a, b) => self.sign(sign, format == Format::Double, a, b),
            Op::Bits(format, a) => {
                let from = self.in_memory(a);
                let to = self.result();
                self.asm.mov(format == Format::Double, to, from);
            }
            Op::FromBits(format, a) => {
                let from = self.reg(a);
                let to = self.vector_result();
                self.asm.move_in(format == Format::Double, to, from);
            }
            // Stored as such where it is set; see `set_f`.
            Op::Box(_) => return self.box_is_only_set(),
            Op::Unbox(a) => self.unbox(a),
            Op::GetFcsr => {
                let to = self.scratch();
                self.fcsr(to);
                self.result_in(to);
            }
            Op::SetFcsr(v) => self.set_fcsr(v),
            _ => return false,
        }
        true
    }

    /// Leaves for the interpreter when the host has not this rounding mode set.
    fn require_rounding(&mut self, rounding: Rounding) {
        let mode = match rounding {
            Rounding::Dynamic => return,
            Rounding::Nearest => 0,
            Rounding::Zero => 1,
            Rounding::Down => 2,
            Rounding::Up => 3,
            Rounding::NearestAway => 4,
        };
        if mode == 0 {
            self.asm.test_imm(state(offset::FCSR), 0xe0);
        } else {
            let field = self.scratch();
            self.asm.mov(false, field, state(offset::FCSR));
            self.asm.alu_imm(Alu::And, false, field, 0xe0);
            self.asm.alu_imm(Alu::Cmp, false, field, mode << 5);
        }
        self.interpret_if(Cc::Ne);
    }

    /// Makes a NaN the guest's.
    fn canonical(&mut self, double: bool, result: Xmm) {
        self.asm.compare_scalar(double, false, result, result);
        let nan = self.asm.jcc(Cc::P);
        self.cold
            .push(Cold::Nan(nan, result, double, self.asm.len()));
    }

    /// NaN operands are for the interpreter. Equal ones may be zeros of two
    /// signs, which the host does not tell apart.
    fn min_max(&mut self, max: bool, double: bool, a: Value, b: Value) {
        let (left, right) = (self.vector(a), self.vector(b));
        self.asm.compare_scalar(double, false, left, right);
        self.interpret_if(Cc::P);
        let to = self.vector_result();
        self.asm.load_scalar(double, to, left);
        let differ = self.asm.jcc(Cc::Ne);
        self.asm.bits(if max { AND } else { OR }, to, right);
        let done = self.asm.jmp();
        self.asm.land(differ);
        self.asm
            .scalar(if max { 0x5f } else { 0x5d }, double, to, right);
        self.asm.land(done);
    }

    /// ∞ × 0 + NaN is invalid here and not on the host: the interpreter does
    /// what gives NaN.
    fn fused(&mut self, fused: Fused, a: Value, b: Value, c: Value) -> bool {
        if !self.features.fused {
            return false;
        }
        self.require_rounding(fused.rounding);
        let double = fused.format == Format::Double;
        let (left, right, addend) = (self.vector(a), self.vector(b), self.vector(c));
        let to = self.vector_result();
        self.asm.load_scalar(double, to, left);
        let opcode = match (fused.negate_product, fused.negate_addend) {
            (false, false) => 0xa9,
            (false, true) => 0xab,
            (true, false) => 0xad,
            (true, true) => 0xaf,
        };
        self.asm.fused(opcode, double, to, right, addend);
        self.asm.compare_scalar(double, false, to, to);
        self.interpret_if(Cc::P);
        true
    }

    fn float_compare(&mut self, cond: FloatCond, double: bool, a: Value, b: Value) {
        let (left, right) = (self.vector(a), self.vector(b));
        if cond == FloatCond::Eq {
            let unordered = self.scratch();
            self.asm.compare_scalar(double, false, left, right);
            self.asm.set(Cc::Np, unordered);
            let to = self.scratch();
            self.asm.set(Cc::E, to);
            self.asm.alu(Alu::And, false, to, unordered);
            self.result_in(to);
            return;
        }
        // With the operands exchanged, NaN makes neither condition hold.
        self.asm.compare_scalar(double, true, right, left);
        let to = self.result();
        self.asm
            .set(if cond == FloatCond::Lt { Cc::A } else { Cc::Ae }, to);
    }

    /// Unsigned integers are truncated to only: rounding can lead out of range
    /// either way, which must not be found out after the host was inexact.
    fn float_to_int(&mut self, conversion: IntFloat, a: Value) -> bool {
        let double = conversion.format == Format::Double;
        let truncate = conversion.rounding == Rounding::Zero;
        if !truncate {
            if !conversion.signed {
                return false;
            }
            self.require_rounding(conversion.rounding);
        }
        let from = self.vector(a);
        if conversion.signed {
            let wide = conversion.width == Width::W64;
            let to = self.scratch();
            self.asm.scalar_to_integer(double, truncate, wide, to, from);
            // What is out of range gives the least integer, the only one from
            // which 1 cannot be taken.
            self.asm.alu_imm(Alu::Cmp, wide, to, 1);
            self.interpret_if(Cc::O);
            self.result_in(to);
            return true;
        }
        self.float_to_unsigned(double, conversion.width, from);
        true
    }

    /// A number in range as an unsigned integer, truncated: the current value.
    /// What is not in range is the interpreter's.
    pub(super) fn float_to_unsigned(&mut self, double: bool, width: Width, from: Xmm) {
        let (bounds, size) = if double {
            (offset::BOUNDS64, 8)
        } else {
            (offset::BOUNDS32, 4)
        };
        let bound = if width == Width::W32 { 0 } else { size };
        // −1 < a < bound, or else NaN or out of range.
        self.asm
            .compare_scalar(double, false, from, state(bounds + 2 * size));
        self.interpret_if(Cc::Be);
        let limit = self.vector_scratch();
        self.asm.load_scalar(double, limit, state(bounds + bound));
        self.asm.compare_scalar(double, false, limit, from);
        self.interpret_if(Cc::Be);
        let to = self.scratch();
        self.asm.scalar_to_integer(double, true, true, to, from);
        self.result_in(to);
    }

    fn int_to_float(&mut self, conversion: IntFloat, a: Value) {
        let double = conversion.format == Format::Double;
        let narrow = conversion.width == Width::W32;
        if !(double && narrow) {
            self.require_rounding(conversion.rounding);
        }
        let mut from = self.operand(a);
        let mut wide = !narrow;
        if !conversion.signed && narrow {
            let extended = self.scratch();
            self.asm.mov(false, extended, from);
            (from, wide) = (extended.into(), true);
        } else if !conversion.signed {
            // The host converts signed integers; the upper half of the unsigned
            // ones is for the interpreter.
            let integer = self.reg(a);
            self.asm.test(true, integer);
            self.interpret_if(Cc::S);
            from = integer.into();
        }
        let to = self.vector_result();
        self.asm.integer_to_scalar(double, wide, to, from);
    }

    fn sign(&mut self, sign: Sign, double: bool, a: Value, b: Value) {
        let (signs, magnitude) = if double { (0, 16) } else { (32, 48) };
        let (signs, magnitude) = (
            state(offset::SIGNS + signs),
            state(offset::SIGNS + magnitude),
        );
        let (left, right) = (self.vector(a), self.vector(b));
        let to = self.vector_result();
        self.asm.load_scalar(double, to, left);
        match sign {
            Sign::CopyNot if a == b => self.asm.bits(XOR, to, signs),
            Sign::Xor if a == b => self.asm.bits(AND, to, magnitude),
            _ => {
                let other = self.vector_scratch();
                self.asm.load_scalar(double, other, right);
                if sign == Sign::CopyNot {
                    self.asm.bits(XOR, other, signs);
                }
                self.asm.bits(AND, other, signs);
                if sign == Sign::Xor {
                    self.asm.bits(XOR, to, other);
                } else {
                    self.asm.bits(AND, to, magnitude);
                    self.asm.bits(OR, to, other);
                }
            }
        }
    }

    /// Whether the boxed value goes into a register next and is wanted nowhere
    /// else before, as lifters do it.
    fn box_is_only_set(&self) -> bool {
        matches!(self.block.ops.get(self.at + 1), Some(&Op::Set(_, v)) if v == self.value())
    }

    fn unbox(&mut self, a: Value) {
        let Rm::Base(base, by) = self.in_memory(a) else {
            unreachable!("values in memory are in the state");
        };
        self.asm
            .alu_imm(Alu::Cmp, false, Rm::Base(base, by + 4), -1);
        self.interpret_if(Cc::Ne);
        let to = self.vector_result();
        self.asm.load_scalar(false, to, Rm::Base(base, by));
    }

    /// `fcsr`, flags still in the host's control word included.
    fn fcsr(&mut self, to: Reg) {
        self.asm.stmxcsr(state(offset::SINK));
        self.asm.mov(false, to, state(offset::SINK));
        self.asm.alu_imm(Alu::And, false, to, 0x3f);
        let Rm::Base(base, table) = state(offset::FLAG_TABLE) else {
            unreachable!("the table is in the state");
        };
        self.asm.load(1, false, to, Rm::Index(base, to, 0, table));
        self.asm.alu(Alu::Or, false, to, state(offset::FCSR));
    }

    /// Writes `fcsr`. Nothing needs doing when it is what it was, as after a
    /// comparison between a read and a write of the flags. A new rounding mode
    /// is for the interpreter, which does the whole instruction.
    fn set_fcsr(&mut self, v: Value) {
        let new = self.reg(v);
        let now = self.scratch();
        self.fcsr(now);
        self.asm.alu(Alu::Cmp, false, now, new);
        let same = self.asm.jcc(Cc::E);
        self.asm.alu(Alu::Xor, false, now, new);
        self.asm.test_imm(now, 0xe0);
        self.interpret_if(Cc::Ne);
        self.asm.store(4, state(offset::FCSR), new);
        self.asm
            .alu_imm(Alu::And, false, state(offset::SINK), !0x3f);
        self.asm.ldmxcsr(state(offset::SINK));
        self.asm.land(same);
    }
}
