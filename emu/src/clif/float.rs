//! Floating-point operations, on the host's own.
//!
//! While translated code runs the host's control word has the guest's rounding
//! mode and collects the flags. x86 and RISC-V agree on everything but NaNs
//! (the guest has one), on some flags when an operand is NaN, and on
//! conversions out of range.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I32, I64};
use cranelift_codegen::ir::{self as clif, InstBuilder, MemFlagsData};

use super::emit::Emit;
use crate::ir::{
    Block, FloatCond, FloatOp, Format, Fused, IntFloat, Op, Place, Rounding, Sign, Value, Width,
};
use crate::soft::quiet_nan;
use crate::state::offset;

const AS_IS: MemFlagsData = MemFlagsData::new();

impl Emit<'_> {
    /// Lowers a floating-point operation.
    pub(super) fn float_op(&mut self, op: &Op) -> clif::Value {
        match *op {
            Op::Float(op, _, rounding, a, b) => {
                self.require_rounding(rounding);
                let of = [a, b];
                let (a, b) = (self.get(a), self.get(b));
                let result = match op {
                    FloatOp::Add => self.b.ins().fadd(a, b),
                    FloatOp::Sub => self.b.ins().fsub(a, b),
                    FloatOp::Mul => self.b.ins().fmul(a, b),
                    FloatOp::Div => self.b.ins().fdiv(a, b),
                };
                self.canonical(&of, result)
            }
            Op::FloatMinMax(max, _, a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                let nan = self.b.ins().fcmp(FloatCC::Unordered, a, b);
                self.interpret_if(nan, false);
                if max {
                    self.b.ins().fmax(a, b)
                } else {
                    self.b.ins().fmin(a, b)
                }
            }
            Op::FloatSqrt(_, rounding, a) => {
                self.require_rounding(rounding);
                let of = self.get(a);
                let result = self.b.ins().sqrt(of);
                self.canonical(&[a], result)
            }
            Op::FloatFused(fused, a, b, c) => self.fused(fused, a, b, c),
            Op::FloatCompare(cond, _, a, b) => self.float_compare(cond, a, b),
            Op::FloatToInt(conversion, a) => self.float_to_int(conversion, a),
            Op::IntToFloat(conversion, a) => self.int_to_float(conversion, a),
            Op::FloatConvert(Format::Single, rounding, a) => {
                self.require_rounding(rounding);
                let a = self.get(a);
                let result = self.b.ins().fdemote(F32, a);
                self.canonical(&[], result)
            }
            Op::FloatConvert(Format::Double, _, a) => {
                let a = self.get(a);
                let result = self.b.ins().fpromote(F64, a);
                self.canonical(&[], result)
            }
            Op::FloatSign(sign, format, a, b) => self.sign(sign, format, a, b),
            Op::Bits(format, a) => {
                let a = self.get(a);
                let bits = self.b.ins().bitcast(bits_type(format), AS_IS, a);
                self.widen(bits)
            }
            Op::FromBits(format, a) => {
                let width = if format == Format::Single {
                    Width::W32
                } else {
                    Width::W64
                };
                let bits = self.narrow(width, a);
                self.b.ins().bitcast(float_type(format), AS_IS, bits)
            }
            Op::Box(a) => {
                let a = self.get(a);
                self.boxed(a)
            }
            Op::Unbox(a) => self.unbox(a),
            ref other => unreachable!("{other} is no floating-point operation"),
        }
    }

    /// Leaves for the interpreter when the host does not have this rounding
    /// mode set: translated code runs with the dynamic one.
    fn require_rounding(&mut self, rounding: Rounding) {
        let mode = match rounding {
            Rounding::Dynamic => return,
            Rounding::Nearest => 0,
            Rounding::Zero => 1,
            Rounding::Down => 2,
            Rounding::Up => 3,
            Rounding::NearestAway => 4,
        };
        let fcsr = self.load_state(I32, offset::FCSR);
        let field = self.b.ins().band_imm_s(fcsr, 0xe0);
        let same = self.b.ins().icmp_imm_s(IntCC::Equal, field, mode << 5);
        self.interpret_if(same, true);
    }

    /// A result, which the first tier does again if it is NaN: the guest has
    /// one NaN.
    fn canonical(&mut self, of: &[Value], result: clif::Value) -> clif::Value {
        self.may_be_nan(of, result);
        result
    }

    /// ∞ × 0 + NaN is invalid here and not on the host: the interpreter does
    /// what gives NaN.
    fn fused(&mut self, fused: Fused, a: Value, b: Value, c: Value) -> clif::Value {
        let of = [a, b, c];
        let (mut a, b, mut c) = (self.get(a), self.get(b), self.get(c));
        self.require_rounding(fused.rounding);
        if !self.fused {
            let always = self.b.ins().iconst(I32, 1);
            self.interpret_if(always, false);
            return c;
        }
        if fused.negate_product {
            a = self.b.ins().fneg(a);
        }
        if fused.negate_addend {
            c = self.b.ins().fneg(c);
        }
        let result = self.b.ins().fma(a, b, c);
        self.canonical(&of, result)
    }

    fn float_compare(&mut self, cond: FloatCond, a: Value, b: Value) -> clif::Value {
        let (a, b) = (self.get(a), self.get(b));
        let cond = match cond {
            FloatCond::Eq => FloatCC::Equal,
            FloatCond::Lt => FloatCC::LessThan,
            FloatCond::Le => FloatCC::LessThanOrEqual,
        };
        if cond != FloatCC::Equal {
            // The host's comparison is quiet; the guest's is not.
            let nan = self.b.ins().fcmp(FloatCC::Unordered, a, b);
            self.interpret_if(nan, false);
        }
        let holds = self.b.ins().fcmp(cond, a, b);
        self.widen(holds)
    }

    /// Converts what is in range of the host's conversion to 64 signed bits
    /// and surely in range of the result.
    fn float_to_int(&mut self, conversion: IntFloat, a: Value) -> clif::Value {
        let a = self.get(a);
        let rounding = match conversion.rounding {
            Rounding::Dynamic => {
                self.require_rounding(Rounding::Nearest);
                Rounding::Nearest
            }
            other => other,
        };
        let truncates = rounding == Rounding::Zero;
        let (least, bound) = match (conversion.width, conversion.signed) {
            // What is rounded up must fit as well.
            (Width::W32, true) if !truncates => (-2147483648.0, 2147483520.0),
            (Width::W32, false) if !truncates => (0.0, 4294967040.0),
            (Width::W32, true) => (-2147483648.0, 2147483648.0),
            (Width::W32, false) => (0.0, 4294967296.0),
            (Width::W64, true) => (-9223372036854775808.0, 9223372036854775808.0),
            (Width::W64, false) => (0.0, 9223372036854775808.0),
        };
        let (least, bound) = match conversion.format {
            Format::Single => (
                self.b.ins().f32const(least as f32),
                self.b.ins().f32const(bound as f32),
            ),
            Format::Double => (self.b.ins().f64const(least), self.b.ins().f64const(bound)),
        };
        let high_enough = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, a, least);
        let low_enough = self.b.ins().fcmp(FloatCC::LessThan, a, bound);
        let mut fine = self.b.ins().band(high_enough, low_enough);
        if rounding == Rounding::NearestAway {
            let never = self.b.ins().iconst(clif::types::I8, 0);
            fine = self.b.ins().band(fine, never);
        }
        self.interpret_if(fine, true);
        let rounded = self.rounded(rounding, a);
        let integer = self.b.ins().fcvt_to_sint_sat(I64, rounded);
        match conversion.width {
            Width::W64 => integer,
            Width::W32 => {
                let low = self.b.ins().ireduce(I32, integer);
                self.widen(low)
            }
        }
    }

    fn int_to_float(&mut self, conversion: IntFloat, a: Value) -> clif::Value {
        let exact = conversion.format == Format::Double && conversion.width == Width::W32;
        if !exact {
            self.require_rounding(conversion.rounding);
        }
        let ty = float_type(conversion.format);
        let integer = self.narrow(conversion.width, a);
        match (conversion.width, conversion.signed) {
            (Width::W64, true) => self.b.ins().fcvt_from_sint(ty, integer),
            (Width::W64, false) => {
                // The host converts signed integers; the upper half of the
                // unsigned ones is for the interpreter.
                let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, integer, 0);
                self.interpret_if(negative, false);
                self.b.ins().fcvt_from_sint(ty, integer)
            }
            (Width::W32, true) => {
                let wide = self.b.ins().sextend(I64, integer);
                self.b.ins().fcvt_from_sint(ty, wide)
            }
            (Width::W32, false) => {
                let wide = self.b.ins().uextend(I64, integer);
                self.b.ins().fcvt_from_sint(ty, wide)
            }
        }
    }

    fn sign(&mut self, sign: Sign, format: Format, a: Value, b: Value) -> clif::Value {
        let (a, b) = (self.get(a), self.get(b));
        match sign {
            Sign::Copy => self.b.ins().fcopysign(a, b),
            Sign::CopyNot if a == b => self.b.ins().fneg(a),
            Sign::CopyNot => {
                let b = self.b.ins().fneg(b);
                self.b.ins().fcopysign(a, b)
            }
            Sign::Xor if a == b => self.b.ins().fabs(a),
            Sign::Xor => {
                let ty = bits_type(format);
                let a = self.b.ins().bitcast(ty, AS_IS, a);
                let b = self.b.ins().bitcast(ty, AS_IS, b);
                let mask = match format {
                    Format::Single => self.b.ins().iconst(ty, 1 << 31),
                    Format::Double => self.b.ins().iconst(ty, i64::MIN),
                };
                let flip = self.b.ins().band(b, mask);
                let result = self.b.ins().bxor(a, flip);
                self.b.ins().bitcast(float_type(format), AS_IS, result)
            }
        }
    }

    /// The current value as a register has it.
    pub(super) fn boxed(&mut self, single: clif::Value) -> clif::Value {
        self.boxes.insert(self.current(), single);
        let bits = self.b.ins().bitcast(I32, AS_IS, single);
        let bits = self.b.ins().uextend(I64, bits);
        let ones = self.constant(0xffff_ffff << 32);
        let boxed = self.b.ins().bor(bits, ones);
        self.b.ins().bitcast(F64, AS_IS, boxed)
    }

    /// Reads a register that is only ever set to boxed numbers, and leaves if it
    /// is none.
    pub(super) fn enter_single(&mut self, at: i32) -> clif::Value {
        let upper = self.load_state(I32, at + 4);
        let boxed = self.b.ins().icmp_imm_s(IntCC::Equal, upper, -1);
        self.interpret_if(boxed, true);
        self.load_state(F32, at)
    }

    pub(super) fn unbox(&mut self, a: Value) -> clif::Value {
        if let Some(&single) = self.boxes.get(&a) {
            return single;
        }
        // Whether a NaN looks boxed, is not the host's to say.
        self.see();
        let a = self.get(a);
        let bits = self.b.ins().bitcast(I64, AS_IS, a);
        let upper = self.b.ins().ushr_imm_u(bits, 32);
        let boxed = self.b.ins().icmp_imm_u(IntCC::Equal, upper, 0xffff_ffff);
        let low = self.b.ins().ireduce(I32, bits);
        let nan = self.b.ins().iconst(I32, quiet_nan(Format::Single) as i64);
        let low = self.b.ins().select(boxed, low, nan);
        self.b.ins().bitcast(F32, AS_IS, low)
    }
}

fn bits_type(format: Format) -> clif::Type {
    if format == Format::Single { I32 } else { I64 }
}

fn float_type(format: Format) -> clif::Type {
    if format == Format::Single { F32 } else { F64 }
}

/// The floating-point registers that a region only sets to boxed numbers: its
/// entry checks that they hold some, and then their upper halves stay as they are.
pub(super) fn single_registers(region: &[Block]) -> [bool; 32] {
    let (mut singles, mut others) = ([false; 32], [false; 32]);
    for block in region {
        for op in &block.ops {
            if let Op::Set(Place::F(n), v) = *op {
                let is_box = matches!(block.ops[v.index()], Op::Box(_));
                let all = if is_box { &mut singles } else { &mut others };
                all[usize::from(n)] = true;
            }
        }
    }
    std::array::from_fn(|n| singles[n] && !others[n])
}

/// Whether a floating-point operation raises flags on the host without leaving
/// for the interpreter.
pub(super) fn may_raise(op: &Op) -> bool {
    !matches!(
        op,
        Op::FloatCompare(FloatCond::Lt | FloatCond::Le, ..)
            | Op::FloatSign(..)
            | Op::Bits(..)
            | Op::FromBits(..)
            | Op::Box(_)
            | Op::Unbox(_)
    )
}

/// Whether an operation raises flags and gives what is not looked at.
pub(super) fn raises_unseen(op: &Op) -> bool {
    let exact = |c: &IntFloat| c.format == Format::Double && c.width == Width::W32;
    match op {
        Op::IntToFloat(conversion, _) => !exact(conversion),
        Op::FloatToInt(..) | Op::FloatCompare(FloatCond::Eq, ..) => true,
        _ => false,
    }
}

/// Whether an operation is one of floating-point numbers.
pub(super) fn is_float(op: &Op) -> bool {
    matches!(
        op,
        Op::Float(..)
            | Op::FloatMinMax(..)
            | Op::FloatSqrt(..)
            | Op::FloatFused(..)
            | Op::FloatCompare(..)
            | Op::FloatToInt(..)
            | Op::IntToFloat(..)
            | Op::FloatConvert(..)
            | Op::FloatSign(..)
            | Op::Bits(..)
            | Op::FromBits(..)
            | Op::Box(_)
            | Op::Unbox(_)
    )
}
