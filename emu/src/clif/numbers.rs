//! Floating point on vectors and on their lowest lane: the host's, whose results
//! are AArch64's under the default FPCR, which is checked before translated code
//! is entered, unless one is NaN: then the interpreter does the instruction.
//! (The host finds tininess after rounding and AArch64 before it, so a result
//! that was rounded up to the least normal number does not raise underflow here.)
//!
//! A scalar is a vector whose other lanes are zero, but in a chain of scalar
//! operations nobody asks for those. So a number that is known is kept beside
//! its vector, which Cranelift drops where it is not used; and a register
//! that is only ever set to scalars in a region ([`scalar_registers`]) is a
//! variable of a scalar's type. The entry of the region checks that its upper
//! part is zero, which then stays so.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::types::{F32, F32X4, F64, F64X2, I32, I32X4, I64, I64X2};
use cranelift_codegen::ir::{self as clif, InstBuilder};

use super::emit::Emit;
use super::vector::{lane_type, vector_type};
use crate::ir::{
    Block, Bytes, Convert, Format, Op, Place, Rounding, ScalarInt, Shape, Size, Value, Vector,
    VectorBinary as B, VectorFloatBinary as F, VectorFloatUnary as G, VectorUnary as U, Width,
};

pub(super) fn float_type(format: Format) -> (clif::Type, clif::Type) {
    match format {
        Format::Single => (F32, F32X4),
        Format::Double => (F64, F64X2),
    }
}

fn size_of(format: Format) -> Size {
    match format {
        Format::Single => Size::B4,
        Format::Double => Size::B8,
    }
}

fn is_default(rounding: Rounding) -> bool {
    matches!(rounding, Rounding::Dynamic | Rounding::Nearest)
}

/// Whether an operation on numbers is lowered here.
pub(super) fn is_lowered(op: &Vector, fused: bool) -> bool {
    match *op {
        Vector::FloatUnary(op, shape, _) => match op {
            G::Sqrt => true,
            // The host's rounding to an integer tells when it is inexact.
            G::Round(rounding, exact) => exact && is_default(rounding),
            G::ToInt(rounding, signed, 0) => {
                rounding != Rounding::NearestAway
                    && (shape.lanes == 1 || signed && shape.format == Format::Single)
            }
            G::FromInt(signed, 0) => signed || shape.lanes == 1,
            _ => false,
        },
        Vector::FloatBinary(op, ..) => matches!(
            op,
            F::Add
                | F::Sub
                | F::Mul
                | F::Div
                | F::Eq
                | F::Ge
                | F::Gt
                | F::Min
                | F::Max
                | F::MinNumber
                | F::MaxNumber
        ),
        Vector::FloatFused(..) => fused,
        Vector::FloatConvert(op, ..) => {
            matches!(op, Convert::SingleToDouble | Convert::DoubleToSingle)
        }
        Vector::ToInt(c, _) => c.rounding != Rounding::NearestAway && c.fraction == 0,
        Vector::FromScalar(c, _) => is_default(c.rounding) && c.fraction == 0,
        _ => false,
    }
}

/// The format of a value that is zero beyond one number; a constant may be of
/// any format that holds it.
fn scalar_format(block: &Block, v: Value) -> Option<Format> {
    let single = |fits: bool| {
        if fits { Format::Single } else { Format::Double }
    };
    let Op::Vector(vector) = &block.ops[v.index()] else {
        return None;
    };
    match *vector {
        Vector::FloatUnary(_, shape, _)
        | Vector::FloatBinary(_, shape, ..)
        | Vector::FloatFused(shape, ..) => (shape.lanes == 1).then_some(shape.format),
        Vector::FloatConvert(Convert::SingleToDouble, 1, _) => Some(Format::Double),
        Vector::FloatConvert(Convert::DoubleToSingle, 1, _) => Some(Format::Single),
        Vector::FromScalar(c, _) => Some(c.format),
        Vector::Load(Bytes::B8, ..) | Vector::FromInt(_) => Some(Format::Double),
        Vector::Load(Bytes::B4, ..) => Some(Format::Single),
        Vector::Unary(U::Low, ..) => Some(Format::Double),
        Vector::Const(low, 0) => Some(single(low >> 32 == 0)),
        Vector::Binary(B::And, _, _, mask) => match block.ops[mask.index()] {
            Op::Vector(Vector::Const(low, 0)) => Some(single(low >> 32 == 0)),
            _ => None,
        },
        _ => None,
    }
}

/// The vector registers that a region sets to scalars only, and which.
pub(super) fn scalar_registers(region: &[Block]) -> [Option<Format>; 32] {
    let (mut formats, mut others) = ([None; 32], [false; 32]);
    for block in region {
        for op in &block.ops {
            let Op::Set(Place::V(n), v) = *op else {
                continue;
            };
            let n = usize::from(n);
            match (scalar_format(block, v), formats[n]) {
                (None, _) => others[n] = true,
                (Some(Format::Single), Some(_)) => {}
                (format, _) => formats[n] = format,
            }
        }
    }
    for n in 0..32 {
        if others[n] {
            formats[n] = None;
        }
    }
    formats
}

impl Emit<'_> {
    /// The lowest number of a vector.
    pub(super) fn scalar(&mut self, format: Format, v: Value) -> clif::Value {
        if let Some(scalar) = self.scalars.get(&v)
            && self.b.func.dfg.value_type(*scalar) == float_type(format).0
        {
            return *scalar;
        }
        let v = self.get(v);
        let v = self.as_type(float_type(format).1, v);
        self.b.ins().extractlane(v, 0)
    }

    /// The current value as a vector: a number in the lowest lane, the rest zero.
    pub(super) fn in_lowest_float(&mut self, v: clif::Value) -> clif::Value {
        self.scalars.insert(self.current(), v);
        let ty = if self.b.func.dfg.value_type(v) == F64 {
            F64X2
        } else {
            F32X4
        };
        let v = self.b.ins().scalar_to_vector(ty, v);
        self.bytes(v)
    }

    /// A vector operation that does no more to a scalar than change its sign is
    /// one of the host's on scalars.
    pub(super) fn sign_of_scalar(&mut self, op: B, a: Value, b: Value, ops: &[Op]) {
        let (Some(&scalar), Op::Vector(Vector::Const(low, _))) =
            (self.scalars.get(&a), ops[b.index()])
        else {
            return;
        };
        let sign = match self.b.func.dfg.value_type(scalar) {
            F64 => 1 << 63,
            _ => 1 << 31,
        };
        let mask = if sign == 1 << 63 {
            u64::MAX
        } else {
            0xffff_ffff
        };
        let scalar = match op {
            B::Xor if low & mask == sign => self.b.ins().fneg(scalar),
            B::AndNot if low & mask == sign => self.b.ins().fabs(scalar),
            B::And if low & mask == mask => scalar,
            _ => return,
        };
        self.scalars.insert(self.current(), scalar);
    }

    pub(super) fn vector_float(&mut self, op: &Vector) -> clif::Value {
        match *op {
            Vector::FloatUnary(op, shape, a) => self.float_unary(op, shape, a),
            Vector::FloatBinary(op, shape, a, b) => self.float_binary(op, shape, a, b),
            Vector::FloatFused(shape, a, b, c) => {
                let of = [a, b, c];
                let [a, b, c] = of.map(|v| self.operand(shape, v));
                let result = self.b.ins().fma(b, c, a);
                self.number(shape, &of, result)
            }
            Vector::FloatConvert(op, lanes, a) => self.convert(op, lanes, a),
            Vector::ToInt(c, a) => {
                let a = self.scalar(c.format, a);
                let result = self.scalar_to_int(c, a);
                self.widen(result)
            }
            Vector::FromScalar(c, a) => {
                let a = self.narrow(c.width, a);
                let result = self.number_from_int(c.format, c.signed, a);
                self.in_lowest_float(result)
            }
            ref other => unreachable!("{other:?} is left to the interpreter"),
        }
    }

    fn convert(&mut self, op: Convert, lanes: u8, a: Value) -> clif::Value {
        let (from, to) = if op == Convert::SingleToDouble {
            (Format::Single, Format::Double)
        } else {
            (Format::Double, Format::Single)
        };
        let result = match (lanes, to) {
            (1, _) => {
                let a = self.scalar(from, a);
                if to == Format::Double {
                    self.b.ins().fpromote(F64, a)
                } else {
                    self.b.ins().fdemote(F32, a)
                }
            }
            (_, Format::Double) => {
                let a = self.get(a);
                let a = self.as_type(F32X4, a);
                self.b.ins().fvpromote_low(a)
            }
            (_, Format::Single) => {
                let a = self.get(a);
                let a = self.as_type(F64X2, a);
                self.b.ins().fvdemote(a)
            }
        };
        if lanes == 1 {
            return self.number(
                Shape {
                    format: to,
                    lanes: 1,
                },
                &[],
                result,
            );
        }
        self.may_be_nan(&[], result);
        self.bytes(result)
    }

    fn number_from_int(&mut self, format: Format, signed: bool, a: clif::Value) -> clif::Value {
        let ty = float_type(format).0;
        if signed {
            self.b.ins().fcvt_from_sint(ty, a)
        } else {
            self.b.ins().fcvt_from_uint(ty, a)
        }
    }

    /// As an integer of 32 or 64 bits. Truncation to a signed one saturates as
    /// AArch64's does, with the same flags; anything else is looked at before it
    /// is converted, and what may not fit is the interpreter's.
    fn scalar_to_int(&mut self, c: ScalarInt, a: clif::Value) -> clif::Value {
        let ty = if c.width == Width::W32 { I32 } else { I64 };
        if c.rounding == Rounding::Zero && c.signed {
            return self.b.ins().fcvt_to_sint_sat(ty, a);
        }
        // Numbers that would be rounded beyond the bound are not below it.
        let (least, bound) = match (c.width, c.signed) {
            (Width::W32, true) => (-2147483648.0, 2147483520.0),
            (Width::W32, false) => (0.0, 4294967040.0),
            (Width::W64, true) => (-9223372036854775808.0, 9223372036854775808.0),
            (Width::W64, false) => (0.0, 9223372036854775808.0),
        };
        let (least, bound) = match c.format {
            Format::Single => (
                self.b.ins().f32const(least as f32),
                self.b.ins().f32const(bound as f32),
            ),
            Format::Double => (self.b.ins().f64const(least), self.b.ins().f64const(bound)),
        };
        let high_enough = self.b.ins().fcmp(FloatCC::GreaterThanOrEqual, a, least);
        self.interpret_if(high_enough, true);
        let low_enough = self.b.ins().fcmp(FloatCC::LessThan, a, bound);
        self.interpret_if(low_enough, true);
        let rounded = self.rounded(c.rounding, a);
        let wide = self.b.ins().fcvt_to_sint_sat(I64, rounded);
        if ty == I32 {
            self.b.ins().ireduce(I32, wide)
        } else {
            wide
        }
    }

    /// Rounded to an integer, which is inexact when the conversion is.
    pub(super) fn rounded(&mut self, rounding: Rounding, a: clif::Value) -> clif::Value {
        match rounding {
            Rounding::Zero => a,
            Rounding::Down => self.b.ins().floor(a),
            Rounding::Up => self.b.ins().ceil(a),
            _ => self.b.ins().nearest(a),
        }
    }

    /// The lanes of an operand: a scalar for one lane, the whole vector for
    /// more, with what lies beyond the shape made to be harmless.
    fn operand(&mut self, shape: Shape, v: Value) -> clif::Value {
        if shape.lanes == 1 {
            return self.scalar(shape.format, v);
        }
        let v = self.get(v);
        let v = if is_whole(shape) {
            v
        } else {
            let one = self.constant_vector(0, 0x3f80_0000_3f80_0000);
            self.shuffle(v, one, |i| if i < 8 { i } else { i + 16 })
        };
        self.as_type(float_type(shape.format).1, v)
    }

    /// A result as a vector; the first tier does it again if any lane is NaN.
    fn number(&mut self, shape: Shape, of: &[Value], result: clif::Value) -> clif::Value {
        let ty = self.b.func.dfg.value_type(result);
        if !ty.is_vector() {
            self.may_be_nan(of, result);
            return self.in_lowest_float(result);
        }
        // Of a half, the operands' other half is looked at for itself.
        self.may_be_nan(if is_whole(shape) { of } else { &[] }, result);
        let v = self.bytes(result);
        self.clipped(shape, v)
    }

    /// A vector with what lies beyond the shape made zero.
    fn clipped(&mut self, shape: Shape, v: clif::Value) -> clif::Value {
        if is_whole(shape) {
            return v;
        }
        let bytes = shape.lanes * size_of(shape.format).bytes() as u8;
        let zero = self.constant_vector(0, 0);
        self.shuffle(v, zero, |i| if i < bytes { i } else { 16 + i % 16 })
    }

    fn float_unary(&mut self, op: G, shape: Shape, a: Value) -> clif::Value {
        match op {
            G::FromInt(signed, _) => return self.lanes_from_int(shape, signed, a),
            G::ToInt(rounding, signed, _) => return self.lanes_to_int(shape, rounding, signed, a),
            _ => {}
        }
        let of = [a];
        let a = self.operand(shape, a);
        let result = match op {
            G::Sqrt => self.b.ins().sqrt(a),
            _ => self.b.ins().nearest(a),
        };
        self.number(shape, &of, result)
    }

    fn lanes_from_int(&mut self, shape: Shape, signed: bool, a: Value) -> clif::Value {
        let ty = vector_type(size_of(shape.format));
        let a = self.get(a);
        match (shape.format, shape.lanes) {
            (Format::Single, 2..) => {
                let a = self.clipped(shape, a);
                let a = self.as_type(ty, a);
                let result = self.b.ins().fcvt_from_sint(F32X4, a);
                self.bytes(result)
            }
            (_, lanes) => {
                let a = self.as_type(ty, a);
                let first = self.b.ins().extractlane(a, 0);
                let first = self.number_from_int(shape.format, signed, first);
                if lanes == 1 {
                    return self.in_lowest_float(first);
                }
                let second = self.b.ins().extractlane(a, 1);
                let second = self.number_from_int(shape.format, signed, second);
                let result = self.b.ins().scalar_to_vector(F64X2, first);
                let result = self.b.ins().insertlane(result, second, 1);
                self.bytes(result)
            }
        }
    }

    fn lanes_to_int(
        &mut self,
        shape: Shape,
        rounding: Rounding,
        signed: bool,
        a: Value,
    ) -> clif::Value {
        if shape.lanes == 1 {
            let a = self.scalar(shape.format, a);
            let c = ScalarInt {
                format: shape.format,
                width: if shape.format == Format::Single {
                    Width::W32
                } else {
                    Width::W64
                },
                signed,
                rounding,
                fraction: 0,
            };
            let result = self.scalar_to_int(c, a);
            return self.in_lowest(result);
        }
        let a = self.operand(shape, a);
        let bound = self.b.ins().f32const(2147483648.0);
        let bound = self.b.ins().splat(F32X4, bound);
        let size = self.b.ins().fabs(a);
        let beyond = self
            .b
            .ins()
            .fcmp(FloatCC::UnorderedOrGreaterThanOrEqual, size, bound);
        let any = self.b.ins().vany_true(beyond);
        self.interpret_if(any, false);
        let rounded = self.rounded(rounding, a);
        let result = self.b.ins().x86_cvtt2dq(I32X4, rounded);
        let v = self.bytes(result);
        self.clipped(shape, v)
    }

    fn float_binary(&mut self, op: F, shape: Shape, a: Value, b: Value) -> clif::Value {
        let of = [a, b];
        let compared = match op {
            F::Eq => Some(FloatCC::Equal),
            F::Ge => Some(FloatCC::GreaterThanOrEqual),
            F::Gt => Some(FloatCC::GreaterThan),
            _ => None,
        };
        if let Some(cond) = compared {
            return self.compared(cond, shape, a, b);
        }
        let (a, b) = (self.operand(shape, a), self.operand(shape, b));
        if matches!(op, F::Min | F::Max | F::MinNumber | F::MaxNumber) {
            let nan = self.b.ins().fcmp(FloatCC::Unordered, a, b);
            let nan = if shape.lanes > 1 {
                self.b.ins().vany_true(nan)
            } else {
                nan
            };
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

    /// A mask. Of one lane, the rest are compared as zeros.
    fn compared(&mut self, cond: FloatCC, shape: Shape, a: Value, b: Value) -> clif::Value {
        let [a, b] = [a, b].map(|v| {
            let v = self.get(v);
            let v = self.clipped(shape, v);
            self.as_type(float_type(shape.format).1, v)
        });
        let mask = self.b.ins().fcmp(cond, a, b);
        debug_assert!(matches!(self.b.func.dfg.value_type(mask), I32X4 | I64X2));
        let mask = self.bytes(mask);
        self.clipped(shape, mask)
    }

    /// Reads a register that is only ever set to scalars, and leaves if it is
    /// none.
    pub(super) fn enter_scalar(&mut self, format: Format, at: i32) -> clif::Value {
        let ty = lane_type(size_of(format));
        let beyond = self.load_state(I64, at + 8);
        let beyond = if ty == I32 {
            let upper = self.load_state(I32, at + 4);
            let upper = self.widen(upper);
            self.b.ins().bor(beyond, upper)
        } else {
            beyond
        };
        self.interpret_if(beyond, false);
        self.load_state(float_type(format).0, at)
    }
}

/// Whether all lanes of a register are in a shape.
fn is_whole(shape: Shape) -> bool {
    shape.lanes as u32 * size_of(shape.format).bytes() == 16
}
