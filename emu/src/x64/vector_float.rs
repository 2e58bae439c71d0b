//! Floating-point operations on vectors and on AArch64's scalars, which are
//! vectors of one lane. The lanes beyond are zero in the result, so a scalar
//! operation works on a copy whose other lanes are zero.
//!
//! The host's results are AArch64's under the default FPCR, which is checked
//! before translated code is entered, unless one is NaN: then the interpreter
//! does the instruction again. (The host finds tininess after rounding and
//! AArch64 before it, so a result that was rounded up to the least normal number
//! does not raise underflow here.)

use super::Emit;
use super::asm::{Alu, Cc, Map, Reg, Sse, Xmm};
use super::vector::{MOVQ, PXOR, equal};
use crate::ir::{
    Convert, Format, Rounding, ScalarInt, Shape, Size, Value, Vector, VectorFloatBinary as F,
    VectorFloatUnary as G, Width,
};

/// The comparison that says which lanes are NaN.
const UNORDERED: u8 = 3;

impl Shape {
    fn is_double(self) -> bool {
        self.format == Format::Double
    }

    fn is_whole(self) -> bool {
        self.lanes as u32 * if self.is_double() { 8 } else { 4 } == 16
    }

    /// An opcode of arithmetic in the form for these lanes.
    fn sse(self, opcode: u8) -> Sse {
        let prefix = match (self.lanes == 1, self.is_double()) {
            (true, true) => 0xf2,
            (true, false) => 0xf3,
            (false, true) => 0x66,
            (false, false) => 0,
        };
        Sse(prefix, Map::Two, opcode)
    }
}

/// How `roundsd` and its like name a rounding.
fn rounding_mode(rounding: Rounding) -> Option<u8> {
    Some(match rounding {
        Rounding::Nearest => 0,
        Rounding::Down => 1,
        Rounding::Up => 2,
        Rounding::Zero => 3,
        Rounding::Dynamic => 4,
        Rounding::NearestAway => return None,
    })
}

impl Emit<'_> {
    pub(super) fn vector_float(&mut self, op: &Vector) -> bool {
        match *op {
            Vector::FloatBinary(op, shape, a, b) => self.vector_float_binary(op, shape, a, b),
            Vector::FloatUnary(op, shape, a) => self.vector_float_unary(op, shape, a),
            Vector::FloatFused(shape, a, b, c) => {
                if !self.features.fused {
                    return false;
                }
                let (b, c) = (self.vector(b), self.vector(c));
                let to = self.shaped(shape, a);
                let (b, c) = if shape.lanes == 2 && !shape.is_double() {
                    let (low_b, low_c) = (self.vector_scratch(), self.vector_scratch());
                    self.asm.sse(MOVQ, low_b, b);
                    self.asm.sse(MOVQ, low_c, c);
                    (low_b, low_c)
                } else {
                    (b, c)
                };
                let packed = shape.lanes > 1;
                self.asm.fused_add(packed, shape.is_double(), to, b, c);
                self.unless_nan(shape, to);
                true
            }
            Vector::FloatConvert(op, lanes, a) => self.vector_convert(op, lanes, a),
            Vector::ToInt(c, a) => self.number_to_int(c, a),
            Vector::FromScalar(c, a) => self.int_to_number(c, a),
            _ => false,
        }
    }

    /// The current value's register, holding the lanes of a that the shape has,
    /// the rest zero.
    fn shaped(&mut self, shape: Shape, a: Value) -> Xmm {
        let from = self.vector(a);
        let to = self.vector_result();
        self.load_shaped(shape, to, from);
        to
    }

    fn load_shaped(&mut self, shape: Shape, to: Xmm, from: Xmm) {
        if shape.is_whole() {
            self.asm.load_vector(to, from);
        } else if shape.lanes == 1 && !shape.is_double() {
            // Lane 0 to lane 0, lanes 1 to 3 zero.
            self.asm
                .sse_imm(Sse(0x66, Map::Three3A, 0x21), to, from, 0b1110);
        } else {
            self.asm.sse(MOVQ, to, from);
        }
    }

    /// Lets the interpreter do what gave NaN in any lane.
    fn unless_nan(&mut self, shape: Shape, result: Xmm) {
        if shape.lanes == 1 {
            self.asm
                .compare_scalar(shape.is_double(), false, result, result);
            return self.interpret_if(Cc::P);
        }
        let nan = self.vector_scratch();
        self.asm.load_vector(nan, result);
        self.asm.sse_imm(shape.sse(0xc2), nan, nan, UNORDERED);
        self.asm.sse(Sse(0x66, Map::Three38, 0x17), nan, nan);
        self.interpret_if(Cc::Ne);
    }

    fn vector_float_binary(&mut self, op: F, shape: Shape, a: Value, b: Value) -> bool {
        let half = shape.lanes == 2 && !shape.is_double();
        let opcode = match op {
            F::Add => 0x58,
            F::Mul => 0x59,
            F::Sub => 0x5c,
            // 0 ÷ 0 in the lanes beyond would be invalid.
            F::Div if !half => 0x5e,
            F::Eq | F::Ge | F::Gt => return self.compare_lanes(op, shape, a, b),
            F::Min | F::Max | F::MinNumber | F::MaxNumber => {
                let max = matches!(op, F::Max | F::MaxNumber);
                self.least_or_greatest(max, shape, a, b);
                return true;
            }
            _ => return false,
        };
        let mut right = self.vector_operand(b);
        let to = self.shaped(shape, a);
        if half {
            let low = self.vector_scratch();
            self.asm.sse(MOVQ, low, right);
            right = low.into();
        }
        self.asm.sse(shape.sse(opcode), to, right);
        self.unless_nan(shape, to);
        true
    }

    /// The host's gives the second operand when both are zeros: both orders
    /// together have both signs.
    fn least_or_greatest(&mut self, max: bool, shape: Shape, a: Value, b: Value) {
        let (left, right) = (self.vector(a), self.vector(b));
        let to = self.vector_result();
        let other = self.vector_scratch();
        self.load_shaped(shape, to, left);
        self.load_shaped(shape, other, right);
        if shape.lanes == 1 {
            self.asm.compare_scalar(shape.is_double(), false, to, other);
            self.interpret_if(Cc::P);
        } else {
            let nan = self.vector_scratch();
            self.asm.load_vector(nan, to);
            self.asm.sse_imm(shape.sse(0xc2), nan, other, UNORDERED);
            self.asm.sse(Sse(0x66, Map::Three38, 0x17), nan, nan);
            self.interpret_if(Cc::Ne);
        }
        let opcode = if max { 0x5f } else { 0x5d };
        let first = self.vector_scratch();
        self.asm.load_vector(first, to);
        self.asm.sse(shape.sse(opcode), to, other);
        self.asm.sse(shape.sse(opcode), other, first);
        let join = if max { 0x54 } else { 0x56 };
        self.asm.sse(Sse(0, Map::Two, join), to, other);
    }

    /// With the operands exchanged, the host's signalling "less" is "greater".
    fn compare_lanes(&mut self, op: F, shape: Shape, a: Value, b: Value) -> bool {
        let (first, second, predicate) = match op {
            F::Eq => (a, b, 0),
            F::Gt => (b, a, 1),
            _ => (b, a, 2),
        };
        let mut right = self.vector(second);
        let to = self.shaped(shape, first);
        if !shape.is_whole() && shape.lanes > 1 {
            let low = self.vector_scratch();
            self.asm.sse(MOVQ, low, right);
            right = low;
        }
        self.asm.sse_imm(shape.sse(0xc2), to, right, predicate);
        if !shape.is_whole() && shape.lanes > 1 {
            self.clear_high(to);
        }
        true
    }

    fn vector_float_unary(&mut self, op: G, shape: Shape, a: Value) -> bool {
        match op {
            G::Sqrt => {
                let to = self.shaped(shape, a);
                self.asm.sse(shape.sse(0x51), to, to);
                self.unless_nan(shape, to);
            }
            G::Round(rounding, exact) => {
                let Some(mode) = rounding_mode(rounding) else {
                    return false;
                };
                let to = self.shaped(shape, a);
                self.round(shape, to, mode | if exact { 0 } else { 8 });
                self.unless_nan(shape, to);
            }
            G::FromInt(true, 0) if !shape.is_double() => {
                let to = self.shaped(shape, a);
                self.asm.sse(Sse(0, Map::Two, 0x5b), to, to);
            }
            G::FromInt(true, 0) if shape.lanes == 1 => {
                let from = self.vector(a);
                let (to, integer) = (self.vector_result(), self.scratch());
                let out = Sse(0x66, Map::Two, 0x7e);
                self.asm.sse_general(out, true, from, integer);
                self.asm.integer_to_scalar(true, true, to, integer);
            }
            G::ToInt(rounding, true, 0) if !shape.is_double() => {
                let Some(mode) = rounding_mode(rounding) else {
                    return false;
                };
                let to = self.shaped(shape, a);
                if rounding != Rounding::Zero {
                    self.round(shape, to, mode);
                }
                self.asm.sse(Sse(0xf3, Map::Two, 0x5b), to, to);
                // What is out of range gives the least integer.
                let least = self.vector_scratch();
                self.asm.sse(equal(Size::B4), least, least);
                self.asm.vector_shift(0x72, 6, least, 31);
                self.asm.sse(equal(Size::B4), least, to);
                self.asm.sse(Sse(0x66, Map::Three38, 0x17), least, least);
                self.interpret_if(Cc::Ne);
            }
            _ => return false,
        }
        true
    }

    fn round(&mut self, shape: Shape, to: Xmm, mode: u8) {
        let opcode = match (shape.lanes == 1, shape.is_double()) {
            (false, false) => 0x08,
            (false, true) => 0x09,
            (true, false) => 0x0a,
            (true, true) => 0x0b,
        };
        self.asm
            .sse_imm(Sse(0x66, Map::Three3A, opcode), to, to, mode);
    }

    fn vector_convert(&mut self, op: Convert, lanes: u8, a: Value) -> bool {
        let widens = match op {
            Convert::SingleToDouble => true,
            Convert::DoubleToSingle => false,
            _ => return false,
        };
        let from = self.vector(a);
        let to = self.vector_result();
        let format = if widens {
            Format::Double
        } else {
            Format::Single
        };
        if lanes == 1 {
            self.asm.sse(PXOR, to, to);
            self.asm.convert(!widens, to, from);
        } else {
            let prefix = if widens { 0 } else { 0x66 };
            self.asm.sse(Sse(prefix, Map::Two, 0x5a), to, from);
        }
        // The two upper lanes of singles are zero.
        let lanes = match (lanes, widens) {
            (1, _) => 1,
            (_, true) => 2,
            (_, false) => 4,
        };
        self.unless_nan(Shape { format, lanes }, to);
        true
    }

    /// What is out of range is the interpreter's, and so is NaN.
    fn number_to_int(&mut self, c: ScalarInt, a: Value) -> bool {
        if c.fraction != 0 {
            return false;
        }
        let Some(mode) = rounding_mode(c.rounding) else {
            return false;
        };
        let double = c.format == Format::Double;
        let shape = Shape {
            format: c.format,
            lanes: 1,
        };
        let from = self.vector(a);
        if !c.signed {
            if c.rounding != Rounding::Zero {
                return false;
            }
            self.float_to_unsigned(double, c.width, from);
            return true;
        }
        let wide = c.width == Width::W64;
        let to = self.scratch();
        let direct = matches!(
            c.rounding,
            Rounding::Zero | Rounding::Nearest | Rounding::Dynamic
        );
        if direct {
            let truncate = c.rounding == Rounding::Zero;
            self.asm.scalar_to_integer(double, truncate, wide, to, from);
            self.asm.alu_imm(Alu::Cmp, wide, to, 1);
            self.interpret_if(Cc::O);
        } else {
            // What is out of range must not have been inexact before.
            let rounded = self.vector_scratch();
            self.asm.load_vector(rounded, from);
            self.round(shape, rounded, mode | 8);
            self.asm.scalar_to_integer(double, true, wide, to, rounded);
            self.asm.alu_imm(Alu::Cmp, wide, to, 1);
            self.interpret_if(Cc::O);
            self.asm.load_vector(rounded, from);
            self.round(shape, rounded, mode);
        }
        self.result_in(to);
        true
    }

    fn int_to_number(&mut self, c: ScalarInt, a: Value) -> bool {
        if c.fraction != 0 || !matches!(c.rounding, Rounding::Nearest | Rounding::Dynamic) {
            return false;
        }
        let double = c.format == Format::Double;
        let from: Reg = self.reg(a);
        let narrow = c.width == Width::W32;
        let (integer, wide) = match (narrow, c.signed) {
            (_, true) => (from, !narrow),
            (true, false) => {
                let extended = self.scratch();
                self.asm.mov(false, extended, from);
                (extended, true)
            }
            (false, false) => {
                self.asm.test(true, from);
                self.interpret_if(Cc::S);
                (from, true)
            }
        };
        let to = self.vector_result();
        self.asm.integer_to_scalar(double, wide, to, integer);
        true
    }
}
