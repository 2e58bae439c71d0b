//! Vectors, as values of sixteen bytes. Operations that the host has not got in
//! a few instructions are left to the interpreter ([`is_lowered`]).
//!
//! Floating point is the host's, whose results are AArch64's under the default
//! FPCR, which is checked before translated code is entered, unless one is NaN:
//! then the interpreter does the instruction. (The host finds tininess after
//! rounding and AArch64 before it, so a result that was rounded up to the least
//! normal number does not raise underflow here.)

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{
    F32, F32X4, F64, F64X2, I8, I8X16, I16, I16X8, I32, I32X4, I64, I64X2,
};
use cranelift_codegen::ir::{self as clif, ConstantData, Endianness, InstBuilder, MemFlagsData};

use super::emit::Emit;
use crate::ir::{
    Bytes, Convert, Format, Rounding, ScalarInt, Shape, Size, Value, Vector, VectorBinary as B,
    VectorFloatBinary as F, VectorFloatUnary as G, VectorShift as S, VectorTernary as T,
    VectorUnary as U, Width,
};

/// Accesses to guest memory: not aligned, and they may fault.
const GUEST: MemFlagsData = MemFlagsData::new();

/// A cast between lane sizes, as they lie in memory.
fn cast() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

fn vector_type(size: Size) -> clif::Type {
    match size {
        Size::B1 => I8X16,
        Size::B2 => I16X8,
        Size::B4 => I32X4,
        Size::B8 => I64X2,
    }
}

fn lane_type(size: Size) -> clif::Type {
    match size {
        Size::B1 => I8,
        Size::B2 => I16,
        Size::B4 => I32,
        Size::B8 => I64,
    }
}

fn float_type(format: Format) -> (clif::Type, clif::Type) {
    match format {
        Format::Single => (F32, F32X4),
        Format::Double => (F64, F64X2),
    }
}

fn is_default(rounding: Rounding) -> bool {
    matches!(rounding, Rounding::Dynamic | Rounding::Nearest)
}

/// Whether an operation is lowered here.
pub(super) fn is_lowered(op: &Vector, fused: bool) -> bool {
    match *op {
        Vector::Unary(op, size, _) => match op {
            U::Low | U::High | U::Not | U::Neg | U::WidenS | U::WidenU | U::PopCount => true,
            U::Abs => size != Size::B8,
            _ => false,
        },
        Vector::Binary(op, size, ..) => match op {
            B::And | B::Or | B::Xor | B::AndNot | B::OrNot | B::Add | B::Sub | B::Concat => true,
            B::Eq | B::GtS | B::GeS | B::GtU | B::GeU | B::Test => true,
            B::Zip1 | B::Zip2 | B::Uzp1 | B::Uzp2 | B::Trn1 | B::Trn2 | B::Table => true,
            B::Mul => size != Size::B1,
            B::MinS | B::MinU | B::MaxS | B::MaxU => size != Size::B8,
            _ => false,
        },
        Vector::Shift(op, size, _, _) => {
            matches!(op, S::Left | S::RightU) || op == S::RightS && size != Size::B8
        }
        Vector::Ternary(op, ..) => op == T::Select,
        Vector::FloatUnary(op, shape, _) => match op {
            G::Sqrt => true,
            // The host's rounding to an integer tells when it is inexact.
            G::Round(rounding, exact) => exact && is_default(rounding),
            G::ToInt(rounding, signed, 0) => {
                rounding == Rounding::Zero && signed && shape.lanes == 1
            }
            G::FromInt(signed, 0) => signed && shape.lanes == 1,
            _ => false,
        },
        Vector::FloatBinary(op, shape, ..) => match op {
            F::Add | F::Sub | F::Mul | F::Div => true,
            F::Eq | F::Ge | F::Gt => shape.lanes as u32 * size_of(shape.format).bytes() == 16,
            F::Min | F::Max | F::MinNumber | F::MaxNumber => shape.lanes == 1,
            _ => false,
        },
        Vector::FloatFused(..) => fused,
        Vector::FloatConvert(op, lanes, _) => {
            matches!(op, Convert::SingleToDouble | Convert::DoubleToSingle) && lanes == 1
        }
        Vector::ToInt(c, _) => c.rounding == Rounding::Zero && c.signed && c.fraction == 0,
        Vector::FromScalar(c, _) => is_default(c.rounding) && c.fraction == 0,
        Vector::LoadReserved(_) | Vector::StoreConditional(..) | Vector::CompareExchange(..) => {
            false
        }
        _ => true,
    }
}

fn size_of(format: Format) -> Size {
    match format {
        Format::Single => Size::B4,
        Format::Double => Size::B8,
    }
}

impl Emit<'_> {
    fn as_type(&mut self, ty: clif::Type, v: clif::Value) -> clif::Value {
        if self.b.func.dfg.value_type(v) == ty {
            v
        } else {
            self.b.ins().bitcast(ty, cast(), v)
        }
    }

    fn lanes(&mut self, size: Size, v: Value) -> clif::Value {
        let v = self.get(v);
        self.as_type(vector_type(size), v)
    }

    fn bytes(&mut self, v: clif::Value) -> clif::Value {
        self.as_type(I8X16, v)
    }

    fn constant_vector(&mut self, low: u64, high: u64) -> clif::Value {
        let bytes = [low.to_le_bytes(), high.to_le_bytes()].concat();
        let handle = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
        self.b.ins().vconst(I8X16, handle)
    }

    /// A scalar of an integer type in the lowest lane, the rest zero.
    fn in_lowest(&mut self, scalar: clif::Value) -> clif::Value {
        let ty = self.b.func.dfg.value_type(scalar);
        let wide = if ty == I8 || ty == I16 {
            self.b.ins().uextend(I32, scalar)
        } else {
            scalar
        };
        let ty = if ty == I64 { I64X2 } else { I32X4 };
        let v = self.b.ins().scalar_to_vector(ty, wide);
        self.bytes(v)
    }

    /// The lowest number of a vector.
    pub(super) fn scalar(&mut self, format: Format, v: Value) -> clif::Value {
        let v = self.get(v);
        let v = self.as_type(float_type(format).1, v);
        self.b.ins().extractlane(v, 0)
    }

    /// A number in the lowest lane, the rest zero.
    fn in_lowest_float(&mut self, format: Format, v: clif::Value) -> clif::Value {
        let zero = self.constant_vector(0, 0);
        let zero = self.as_type(float_type(format).1, zero);
        let v = self.b.ins().insertlane(zero, v, 0);
        self.bytes(v)
    }

    pub(super) fn vector(&mut self, op: &Vector) -> Option<clif::Value> {
        Some(match *op {
            Vector::Const(low, high) => self.constant_vector(low, high),
            Vector::Load(bytes, a, by) => {
                let at = self.host_address(a, false);
                match bytes.size() {
                    None => self.b.ins().load(I8X16, GUEST, at, by),
                    Some(size) => {
                        let scalar = self.b.ins().load(lane_type(size), GUEST, at, by);
                        self.in_lowest(scalar)
                    }
                }
            }
            Vector::Store(bytes, a, by, v) => {
                let at = self.host_address(a, true);
                let value = match bytes.size() {
                    None => self.get(v),
                    Some(size) => {
                        let v = self.lanes(size, v);
                        self.b.ins().extractlane(v, 0)
                    }
                };
                debug_assert!(bytes != Bytes::B16 || self.b.func.dfg.value_type(value) == I8X16);
                self.b.ins().store(GUEST, value, at, by);
                return None;
            }
            Vector::FromInt(a) => {
                let a = self.get(a);
                self.in_lowest(a)
            }
            Vector::Lane(size, n, signed, a) => {
                let a = self.lanes(size, a);
                let lane = self.b.ins().extractlane(a, n);
                match (size, signed) {
                    (Size::B8, _) => lane,
                    (_, true) => self.b.ins().sextend(I64, lane),
                    (_, false) => self.b.ins().uextend(I64, lane),
                }
            }
            Vector::WithLane(size, n, a, b) => {
                let (a, b) = (self.lanes(size, a), self.low_bits(size, b));
                let v = self.b.ins().insertlane(a, b, n);
                self.bytes(v)
            }
            Vector::Splat(size, a) => {
                let a = self.low_bits(size, a);
                let v = self.b.ins().splat(vector_type(size), a);
                self.bytes(v)
            }
            Vector::SplatLane(size, n, a) => {
                let a = self.lanes(size, a);
                let lane = self.b.ins().extractlane(a, n);
                let v = self.b.ins().splat(vector_type(size), lane);
                self.bytes(v)
            }
            Vector::Choose(c, a, b) => {
                let (c, a, b) = (self.get(c), self.get(a), self.get(b));
                self.b.ins().select(c, a, b)
            }
            Vector::Unary(op, size, a) => self.vector_unary(op, size, a),
            Vector::Binary(op, size, a, b) => self.vector_binary(op, size, a, b),
            Vector::Shift(op, size, a, by) => self.vector_shift(op, size, a, by),
            Vector::Ternary(_, _, a, b, c) => {
                let (a, b, c) = (self.get(a), self.get(b), self.get(c));
                self.b.ins().bitselect(a, b, c)
            }
            Vector::Extract(a, b, n) => {
                let (a, b) = (self.get(a), self.get(b));
                self.shuffle(a, b, |i| i + n)
            }
            ref float => self.vector_float(float),
        })
    }

    fn low_bits(&mut self, size: Size, v: Value) -> clif::Value {
        let v = self.get(v);
        if size == Size::B8 {
            v
        } else {
            self.b.ins().ireduce(lane_type(size), v)
        }
    }

    /// Byte n of the result is byte `from(n)` of a and b in a row.
    fn shuffle(&mut self, a: clif::Value, b: clif::Value, from: impl Fn(u8) -> u8) -> clif::Value {
        let mask: Vec<u8> = (0..16).map(from).collect();
        let mask = self.b.func.dfg.immediates.push(ConstantData::from(mask));
        self.b.ins().shuffle(a, b, mask)
    }

    /// As [`shuffle`](Self::shuffle), by lanes.
    fn shuffle_lanes(
        &mut self,
        size: Size,
        a: Value,
        b: Value,
        from: impl Fn(u8) -> u8,
    ) -> clif::Value {
        let (a, b, bytes) = (self.get(a), self.get(b), size.bytes() as u8);
        self.shuffle(a, b, |i| from(i / bytes) * bytes + i % bytes)
    }

    fn vector_unary(&mut self, op: U, size: Size, a: Value) -> clif::Value {
        let value = match op {
            U::Low | U::High => {
                let (a, zero) = (self.get(a), self.constant_vector(0, 0));
                let from = if op == U::Low { 0 } else { 8 };
                self.shuffle(a, zero, |i| if i < 8 { i + from } else { i + 8 })
            }
            U::Not => {
                let a = self.get(a);
                self.b.ins().bnot(a)
            }
            U::PopCount => {
                let a = self.get(a);
                self.b.ins().popcnt(a)
            }
            _ => {
                let a = self.lanes(size, a);
                match op {
                    U::Neg => self.b.ins().ineg(a),
                    U::Abs => self.b.ins().iabs(a),
                    U::WidenS if size == Size::B8 => a,
                    U::WidenS => self.b.ins().swiden_low(a),
                    U::WidenU => self.b.ins().uwiden_low(a),
                    other => unreachable!("{other:?} is left to the interpreter"),
                }
            }
        };
        self.bytes(value)
    }

    fn vector_binary(&mut self, op: B, size: Size, a: Value, b: Value) -> clif::Value {
        let lanes = 16 / size.bytes() as u8;
        match op {
            B::Concat => return self.shuffle_lanes(Size::B8, a, b, |n| 2 * n),
            B::Zip1 => return self.shuffle_lanes(size, a, b, |n| n / 2 + n % 2 * lanes),
            B::Zip2 => return self.shuffle_lanes(size, a, b, |n| (n + lanes) / 2 + n % 2 * lanes),
            B::Uzp1 => return self.shuffle_lanes(size, a, b, |n| 2 * n),
            B::Uzp2 => return self.shuffle_lanes(size, a, b, |n| 2 * n + 1),
            B::Trn1 => return self.shuffle_lanes(size, a, b, |n| (n & !1) + n % 2 * lanes),
            B::Trn2 => return self.shuffle_lanes(size, a, b, |n| (n | 1) + n % 2 * lanes),
            B::Table => {
                let (a, b) = (self.get(a), self.get(b));
                return self.b.ins().swizzle(a, b);
            }
            _ => {}
        }
        let (a, b) = (self.lanes(size, a), self.lanes(size, b));
        let ins = self.b.ins();
        let value = match op {
            B::And => ins.band(a, b),
            B::Or => ins.bor(a, b),
            B::Xor => ins.bxor(a, b),
            B::AndNot => ins.band_not(a, b),
            B::OrNot => {
                let not = ins.bnot(b);
                self.b.ins().bor(a, not)
            }
            B::Add => ins.iadd(a, b),
            B::Sub => ins.isub(a, b),
            B::Mul => ins.imul(a, b),
            B::MinS => ins.smin(a, b),
            B::MinU => ins.umin(a, b),
            B::MaxS => ins.smax(a, b),
            B::MaxU => ins.umax(a, b),
            B::Eq => ins.icmp(IntCC::Equal, a, b),
            B::GtS => ins.icmp(IntCC::SignedGreaterThan, a, b),
            B::GtU => ins.icmp(IntCC::UnsignedGreaterThan, a, b),
            B::GeS => ins.icmp(IntCC::SignedGreaterThanOrEqual, a, b),
            B::GeU => ins.icmp(IntCC::UnsignedGreaterThanOrEqual, a, b),
            B::Test => {
                let common = ins.band(a, b);
                let zero = self.constant_vector(0, 0);
                let zero = self.as_type(vector_type(size), zero);
                self.b.ins().icmp(IntCC::NotEqual, common, zero)
            }
            other => unreachable!("{other:?} is left to the interpreter"),
        };
        self.bytes(value)
    }

    fn vector_shift(&mut self, op: S, size: Size, a: Value, by: u8) -> clif::Value {
        let bits = (size.bytes() * 8) as u8;
        let a = self.lanes(size, a);
        let amount = self.b.ins().iconst(I32, i64::from(by.min(bits - 1)));
        let value = match op {
            S::Left => self.b.ins().ishl(a, amount),
            S::RightU if by == bits => return self.constant_vector(0, 0),
            S::RightU => self.b.ins().ushr(a, amount),
            _ => self.b.ins().sshr(a, amount),
        };
        self.bytes(value)
    }

    fn vector_float(&mut self, op: &Vector) -> clif::Value {
        match *op {
            Vector::FloatUnary(op, shape, a) => self.float_unary(op, shape, a),
            Vector::FloatBinary(op, shape, a, b) => self.float_binary(op, shape, a, b),
            Vector::FloatFused(shape, a, b, c) => {
                let of = [a, b, c];
                let [a, b, c] = of.map(|v| self.operand(shape, v));
                let result = self.b.ins().fma(b, c, a);
                self.number(shape, &of, result)
            }
            Vector::FloatConvert(Convert::SingleToDouble, _, a) => {
                let a = self.scalar(Format::Single, a);
                let result = self.b.ins().fpromote(F64, a);
                self.number(
                    Shape {
                        format: Format::Double,
                        lanes: 1,
                    },
                    &[],
                    result,
                )
            }
            Vector::FloatConvert(_, _, a) => {
                let a = self.scalar(Format::Double, a);
                let result = self.b.ins().fdemote(F32, a);
                self.number(
                    Shape {
                        format: Format::Single,
                        lanes: 1,
                    },
                    &[],
                    result,
                )
            }
            Vector::ToInt(c, a) => self.scalar_to_int(c, a),
            Vector::FromScalar(c, a) => {
                let a = self.narrow(c.width, a);
                let ty = float_type(c.format).0;
                let ins = self.b.ins();
                let result = if c.signed {
                    ins.fcvt_from_sint(ty, a)
                } else {
                    ins.fcvt_from_uint(ty, a)
                };
                self.in_lowest_float(c.format, result)
            }
            ref other => unreachable!("{other:?} is left to the interpreter"),
        }
    }

    /// Saturates as AArch64 does, and NaN is 0; but the flags would not be the
    /// same then.
    fn scalar_to_int(&mut self, c: ScalarInt, a: Value) -> clif::Value {
        let a = self.scalar(c.format, a);
        let ty = if c.width == Width::W32 { I32 } else { I64 };
        let result = self.b.ins().fcvt_to_sint_sat(ty, a);
        self.widen(result)
    }

    /// The lanes of an operand: a scalar for one lane, the whole vector for
    /// more, with what lies beyond the shape made to be harmless.
    fn operand(&mut self, shape: Shape, v: Value) -> clif::Value {
        match shape.lanes as u32 * size_of(shape.format).bytes() {
            _ if shape.lanes == 1 => self.scalar(shape.format, v),
            16 => {
                let v = self.get(v);
                self.as_type(float_type(shape.format).1, v)
            }
            _ => {
                let (v, one) = (self.get(v), self.constant_vector(0, 0x3f80_0000_3f80_0000));
                let v = self.shuffle(v, one, |i| if i < 8 { i } else { i + 16 });
                self.as_type(F32X4, v)
            }
        }
    }

    /// A result as a vector; the first tier does it again if any lane is NaN.
    fn number(&mut self, shape: Shape, of: &[Value], result: clif::Value) -> clif::Value {
        let ty = self.b.func.dfg.value_type(result);
        if !ty.is_vector() {
            self.may_be_nan(of, result);
            return self.in_lowest_float(shape.format, result);
        }
        let whole = shape.lanes as u32 * size_of(shape.format).bytes() == 16;
        // Of a half, the operands' other half is looked at for itself.
        self.may_be_nan(if whole { of } else { &[] }, result);
        let v = self.bytes(result);
        if whole {
            return v;
        }
        let zero = self.constant_vector(0, 0);
        self.shuffle(v, zero, |i| if i < 8 { i } else { i + 8 })
    }

    fn float_unary(&mut self, op: G, shape: Shape, a: Value) -> clif::Value {
        if let G::FromInt(..) = op {
            let (a, size) = (self.get(a), size_of(shape.format));
            let a = self.as_type(vector_type(size), a);
            let lane = self.b.ins().extractlane(a, 0);
            let result = self
                .b
                .ins()
                .fcvt_from_sint(float_type(shape.format).0, lane);
            return self.in_lowest_float(shape.format, result);
        }
        let of = [a];
        let a = self.operand(shape, a);
        let result = match op {
            G::Sqrt => self.b.ins().sqrt(a),
            G::Round(..) => self.b.ins().nearest(a),
            _ => {
                let ty = lane_type(size_of(shape.format));
                let integer = self.b.ins().fcvt_to_sint_sat(ty, a);
                return self.in_lowest(integer);
            }
        };
        self.number(shape, &of, result)
    }

    fn float_binary(&mut self, op: F, shape: Shape, a: Value, b: Value) -> clif::Value {
        let of = [a, b];
        let (a, b) = (self.operand(shape, a), self.operand(shape, b));
        let compared = match op {
            F::Eq => Some(FloatCC::Equal),
            F::Ge => Some(FloatCC::GreaterThanOrEqual),
            F::Gt => Some(FloatCC::GreaterThan),
            _ => None,
        };
        if let Some(cond) = compared {
            let mask = self.b.ins().fcmp(cond, a, b);
            return self.bytes(mask);
        }
        if matches!(op, F::Min | F::Max | F::MinNumber | F::MaxNumber) {
            let nan = self.b.ins().fcmp(FloatCC::Unordered, a, b);
            self.interpret_if(nan, false);
        }
        let result = match op {
            F::Add => self.b.ins().fadd(a, b),
            F::Sub => self.b.ins().fsub(a, b),
            F::Mul => self.b.ins().fmul(a, b),
            F::Div => self.b.ins().fdiv(a, b),
            F::Min | F::MinNumber => self.b.ins().fmin(a, b),
            _ => self.b.ins().fmax(a, b),
        };
        self.number(shape, &of, result)
    }
}
