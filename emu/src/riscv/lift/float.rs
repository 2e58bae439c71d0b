//! The floating-point instructions, F and D.
//!
//! A single-precision result is boxed as it goes into its register, and taken
//! out of its box at most once.

use super::{Lifter, W32, format, rounding};
use crate::ir::{FloatCond, FloatOp, Format, Fused, IntFloat, Op, Sign, Size, Width};
use crate::riscv::decode::Insn;

impl Lifter {
    pub(super) fn float_binary(&mut self, i: &Insn, op: FloatOp) {
        let format = format(i);
        let (a, b) = (self.float(format, i.rs1), self.float(format, i.rs2));
        let v = self.op(Op::Float(op, format, rounding(i), a, b));
        self.set_float(format, i.rd, v);
    }

    pub(super) fn fused(&mut self, i: &Insn, negate_product: bool, negate_addend: bool) {
        let format = format(i);
        let a = self.float(format, i.rs1);
        let b = self.float(format, i.rs2);
        let c = self.float(format, i.rs3);
        let fused = Fused {
            format,
            rounding: rounding(i),
            negate_product,
            negate_addend,
        };
        let v = self.op(Op::FloatFused(fused, a, b, c));
        self.set_float(format, i.rd, v);
    }

    pub(super) fn sign(&mut self, i: &Insn, sign: Sign) {
        let format = format(i);
        let (a, b) = (self.float(format, i.rs1), self.float(format, i.rs2));
        let copy = sign == Sign::Copy && i.rs1 == i.rs2;
        let v = if copy {
            a
        } else {
            self.op(Op::FloatSign(sign, format, a, b))
        };
        self.set_float(format, i.rd, v);
    }

    pub(super) fn min_max(&mut self, i: &Insn, max: bool) {
        let format = format(i);
        let (a, b) = (self.float(format, i.rs1), self.float(format, i.rs2));
        let v = self.op(Op::FloatMinMax(max, format, a, b));
        self.set_float(format, i.rd, v);
    }

    pub(super) fn float_compare(&mut self, i: &Insn, cond: FloatCond) {
        let format = format(i);
        let (a, b) = (self.float(format, i.rs1), self.float(format, i.rs2));
        let v = self.op(Op::FloatCompare(cond, format, a, b));
        self.set_x(i.rd, v);
    }

    pub(super) fn float_to_int(&mut self, i: &Insn, width: Width, signed: bool) {
        let format = format(i);
        let a = self.float(format, i.rs1);
        let conversion = IntFloat {
            format,
            width,
            signed,
            rounding: rounding(i),
        };
        let mut v = self.op(Op::FloatToInt(conversion, a));
        if width == W32 {
            v = self.extend(Size::B4, true, v);
        }
        self.set_x(i.rd, v);
    }

    pub(super) fn int_to_float(&mut self, i: &Insn, width: Width, signed: bool) {
        let format = format(i);
        let a = self.x(i.rs1);
        let conversion = IntFloat {
            format,
            width,
            signed,
            rounding: rounding(i),
        };
        let v = self.op(Op::IntToFloat(conversion, a));
        self.set_float(format, i.rd, v);
    }

    pub(super) fn convert(&mut self, i: &Insn, to: Format) {
        let from = if to == Format::Single {
            Format::Double
        } else {
            Format::Single
        };
        let a = self.float(from, i.rs1);
        let v = self.op(Op::FloatConvert(to, rounding(i), a));
        self.set_float(to, i.rd, v);
    }

    pub(super) fn load_float(&mut self, i: &Insn, format: Format) {
        let a = self.x(i.rs1);
        let v = self.op(Op::LoadFloat(format, a, i.imm as i32));
        self.set_float(format, i.rd, v);
    }

    pub(super) fn store_float(&mut self, i: &Insn, format: Format) {
        let a = self.x(i.rs1);
        // The low half of a register is stored as it is, boxed or not.
        let known = self.single[usize::from(i.rs2)]
            .filter(|&v| !matches!(self.ops[v.index()], Op::Unbox(_)));
        match (format, known) {
            (Format::Single, Some(v)) => {
                self.op(Op::StoreFloat(format, a, i.imm as i32, v));
            }
            (Format::Single, None) => {
                let raw = self.f(i.rs2);
                let bits = self.op(Op::Bits(Format::Double, raw));
                self.op(Op::Store(Size::B4, a, i.imm as i32, bits));
            }
            (Format::Double, _) => {
                let v = self.f(i.rs2);
                self.op(Op::StoreFloat(format, a, i.imm as i32, v));
            }
        }
    }

    pub(super) fn bits_to_x(&mut self, i: &Insn) {
        let raw = self.f(i.rs1);
        let mut v = self.op(Op::Bits(Format::Double, raw));
        if format(i) == Format::Single {
            v = self.extend(Size::B4, true, v);
        }
        self.set_x(i.rd, v);
    }

    pub(super) fn bits_to_f(&mut self, i: &Insn) {
        let a = self.x(i.rs1);
        let v = self.op(Op::FromBits(format(i), a));
        self.set_float(format(i), i.rd, v);
    }
}
