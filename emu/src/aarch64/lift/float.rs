//! Floating point, scalar and vector.
//!
//! A scalar is one lane of a vector whose other lanes become zero; the IR's
//! operations say how many lanes they are about, so nothing here clips.

use super::{Insn, Lifter, W64, width};
use crate::aarch64::table::Op as Code;
use crate::ir::{
    Convert, Flags, Format, Rounding, ScalarInt, Shape, Size, Value, Vector, VectorBinary,
    VectorFloatBinary as F, VectorFloatUnary as G, Width,
};

/// `VFPExpandImm` to 32 bits.
pub(super) fn expand_single(imm8: u32) -> u64 {
    let imm = u64::from(imm8);
    let exponent = if imm8 & 0x40 != 0 {
        0x1f << 25
    } else {
        1 << 30
    };
    (imm & 0x80) << 24 | exponent | (imm & 0x3f) << 19
}

/// `VFPExpandImm` to 64 bits.
pub(super) fn expand_double(imm8: u32) -> u64 {
    let imm = u64::from(imm8);
    let exponent = if imm8 & 0x40 != 0 {
        0xff << 54
    } else {
        1 << 62
    };
    (imm & 0x80) << 56 | exponent | (imm & 0x3f) << 48
}

fn format(double: bool) -> Format {
    if double {
        Format::Double
    } else {
        Format::Single
    }
}

/// The lanes of an Advanced SIMD instruction with its size in bit 22.
fn shape(i: Insn) -> Shape {
    shape_of(i, format(i.bit(22)))
}

fn shape_of(i: Insn, format: Format) -> Shape {
    let lanes = match (i.scalar(), i.q(), format) {
        (true, ..) => 1,
        (false, true, Format::Single) => 4,
        (false, false, Format::Double) => 1,
        _ => 2,
    };
    Shape { format, lanes }
}

/// The one lane of a scalar instruction with its type in bits 23 and 22.
fn scalar(i: Insn) -> Shape {
    Shape {
        format: format(i.bits(22, 2) == 1),
        lanes: 1,
    }
}

fn sign_bit(format: Format) -> u64 {
    match format {
        Format::Single => 1 << 31 | 1 << 63,
        Format::Double => 1 << 63,
    }
}

fn lane_size(format: Format) -> Size {
    match format {
        Format::Single => Size::B4,
        Format::Double => Size::B8,
    }
}

/// The rounding of bits 23 and 12 of FRINT and vector conversions, and of `rmode`.
fn rounding(field: u32) -> Rounding {
    [
        Rounding::Nearest,
        Rounding::Up,
        Rounding::Down,
        Rounding::Zero,
    ][field as usize & 3]
}

impl Lifter {
    /// Lifts one of these instructions.
    pub(super) fn float(&mut self, i: Insn) -> bool {
        self.float_vector(i) || self.float_misc(i) || self.float_scalar(i) || self.float_move(i)
    }

    fn float_binary(&mut self, op: F, shape: Shape, a: Value, b: Value) -> Value {
        self.vector(Vector::FloatBinary(op, shape, a, b))
    }

    /// Rd ← Rn op Rm.
    fn two(&mut self, i: Insn, op: F, shape: Shape) {
        let (a, b) = (self.v(i.rn()), self.v(i.rm()));
        let v = self.float_binary(op, shape, a, b);
        self.set_v(i.rd(), v);
    }

    /// Rd ← op Rn.
    fn one_float(&mut self, i: Insn, op: G, shape: Shape) {
        let a = self.v(i.rn());
        let v = self.vector(Vector::FloatUnary(op, shape, a));
        self.set_v(i.rd(), v);
    }

    /// All lanes with their sign bits flipped.
    fn negated(&mut self, format: Format, a: Value) -> Value {
        let mask = self.vector(Vector::Const(sign_bit(format), sign_bit(format)));
        self.pairwise(VectorBinary::Xor, Size::B8, a, mask)
    }

    /// All lanes without their sign bits.
    fn absolute(&mut self, format: Format, a: Value) -> Value {
        let mask = self.vector(Vector::Const(sign_bit(format), sign_bit(format)));
        self.pairwise(VectorBinary::AndNot, Size::B8, a, mask)
    }

    /// Clears the lanes beyond the shape.
    fn shaped(&mut self, shape: Shape, a: Value) -> Value {
        match shape.lanes as u32 * lane_size(shape.format).bytes() {
            16 => a,
            8 => self.low(a),
            _ => {
                let mask = self.vector(Vector::Const(0xffff_ffff, 0));
                self.pairwise(VectorBinary::And, Size::B4, a, mask)
            }
        }
    }

    fn fused(&mut self, i: Insn, shape: Shape, b: Value, subtract: bool) {
        let (mut a, d) = (self.v(i.rn()), self.v(i.rd()));
        if subtract {
            a = self.negated(shape.format, a);
        }
        let v = self.vector(Vector::FloatFused(shape, d, a, b));
        self.set_v(i.rd(), v);
    }

    fn float_vector(&mut self, i: Insn) -> bool {
        let shape = shape(i);
        match i.op {
            Code::Fadd => self.two(i, F::Add, shape),
            Code::Fsub => self.two(i, F::Sub, shape),
            Code::Fmul => self.two(i, F::Mul, shape),
            Code::Fdiv => self.two(i, F::Div, shape),
            Code::Fmulx => self.two(i, F::MulExtended, shape),
            Code::Fmax => self.two(i, F::Max, shape),
            Code::Fmin => self.two(i, F::Min, shape),
            Code::Fmaxnm => self.two(i, F::MaxNumber, shape),
            Code::Fminnm => self.two(i, F::MinNumber, shape),
            Code::Frecps => self.two(i, F::RecipStep, shape),
            Code::Frsqrts => self.two(i, F::RsqrtStep, shape),
            Code::Fcmeq => self.two(i, F::Eq, shape),
            Code::Fcmge => self.two(i, F::Ge, shape),
            Code::Fcmgt => self.two(i, F::Gt, shape),
            Code::Facge | Code::Facgt => {
                let (a, b) = (self.v(i.rn()), self.v(i.rm()));
                let (a, b) = (
                    self.absolute(shape.format, a),
                    self.absolute(shape.format, b),
                );
                let v =
                    self.float_binary(if i.op == Code::Facge { F::Ge } else { F::Gt }, shape, a, b);
                self.set_v(i.rd(), v);
            }
            Code::Fabd => {
                let (a, b) = (self.v(i.rn()), self.v(i.rm()));
                let v = self.float_binary(F::Sub, shape, a, b);
                let v = self.absolute(shape.format, v);
                self.set_v(i.rd(), v);
            }
            Code::Fmla | Code::Fmls => {
                let b = self.v(i.rm());
                self.fused(i, shape, b, i.op == Code::Fmls);
            }
            Code::FmlaLane | Code::FmlsLane => {
                let b = self.float_element(i);
                self.fused(i, shape, b, i.op == Code::FmlsLane);
            }
            Code::FmulLane | Code::FmulxLane => {
                let (a, b) = (self.v(i.rn()), self.float_element(i));
                let v = self.float_binary(if i.u() { F::MulExtended } else { F::Mul }, shape, a, b);
                self.set_v(i.rd(), v);
            }
            Code::Faddp => self.float_pairs(i, F::Add),
            Code::Fmaxp => self.float_pairs(i, F::Max),
            Code::Fminp => self.float_pairs(i, F::Min),
            Code::Fmaxnmp => self.float_pairs(i, F::MaxNumber),
            Code::Fminnmp => self.float_pairs(i, F::MinNumber),
            Code::FaddpScalar => self.float_pair(i, F::Add),
            Code::FmaxpScalar => self.float_pair(i, F::Max),
            Code::FminpScalar => self.float_pair(i, F::Min),
            Code::FmaxnmpScalar => self.float_pair(i, F::MaxNumber),
            Code::FminnmpScalar => self.float_pair(i, F::MinNumber),
            Code::Fmaxv => self.float_across(i, F::Max),
            Code::Fminv => self.float_across(i, F::Min),
            Code::Fmaxnmv => self.float_across(i, F::MaxNumber),
            Code::Fminnmv => self.float_across(i, F::MinNumber),
            _ => return false,
        }
        true
    }

    /// The element that a by-element instruction multiplies by, in all lanes.
    fn float_element(&mut self, i: Insn) -> Value {
        let (l, h) = (i.bits(21, 1), i.bits(11, 1));
        let (size, index) = if i.bit(22) {
            (Size::B8, h)
        } else {
            (Size::B4, h << 1 | l)
        };
        let v = self.v(i.rm());
        self.vector(Vector::SplatLane(size, index as u8, v))
    }

    fn float_pairs(&mut self, i: Insn, op: F) {
        let shape = shape(i);
        let (a, b) = self.pairs(i, lane_size(shape.format));
        let v = self.float_binary(op, shape, a, b);
        self.set_v(i.rd(), v);
    }

    /// Rd ← lane 0 of Rn op lane 1 of Rn.
    fn float_pair(&mut self, i: Insn, op: F) {
        let format = format(i.bit(22));
        let a = self.v(i.rn());
        let b = self.vector(Vector::SplatLane(lane_size(format), 1, a));
        let v = self.float_binary(op, Shape { format, lanes: 1 }, a, b);
        self.set_v(i.rd(), v);
    }

    /// The four lanes reduced, neighbours first.
    fn float_across(&mut self, i: Insn, op: F) {
        let a = self.v(i.rn());
        let even = self.pairwise(VectorBinary::Uzp1, Size::B4, a, a);
        let odd = self.pairwise(VectorBinary::Uzp2, Size::B4, a, a);
        let two = self.float_binary(
            op,
            Shape {
                format: Format::Single,
                lanes: 2,
            },
            even,
            odd,
        );
        let second = self.vector(Vector::SplatLane(Size::B4, 1, two));
        let v = self.float_binary(
            op,
            Shape {
                format: Format::Single,
                lanes: 1,
            },
            two,
            second,
        );
        self.set_v(i.rd(), v);
    }

    /// Two registers, miscellaneous.
    fn float_misc(&mut self, i: Insn) -> bool {
        let shape = shape(i);
        match i.op {
            Code::VecFrintn => self.one_float(i, G::Round(Rounding::Nearest, false), shape),
            Code::VecFrinta => self.one_float(i, G::Round(Rounding::NearestAway, false), shape),
            Code::VecFrintp => self.one_float(i, G::Round(Rounding::Up, false), shape),
            Code::VecFrintm => self.one_float(i, G::Round(Rounding::Down, false), shape),
            Code::VecFrintz => self.one_float(i, G::Round(Rounding::Zero, false), shape),
            Code::VecFrintx => self.one_float(i, G::Round(Rounding::Dynamic, true), shape),
            Code::VecFrinti => self.one_float(i, G::Round(Rounding::Dynamic, false), shape),
            Code::VecFcvtn => self.one_float(i, G::ToInt(Rounding::Nearest, !i.u(), 0), shape),
            Code::VecFcvtp => self.one_float(i, G::ToInt(Rounding::Up, !i.u(), 0), shape),
            Code::VecFcvtm => self.one_float(i, G::ToInt(Rounding::Down, !i.u(), 0), shape),
            Code::VecFcvtz => self.one_float(i, G::ToInt(Rounding::Zero, !i.u(), 0), shape),
            Code::VecFcvta => self.one_float(i, G::ToInt(Rounding::NearestAway, !i.u(), 0), shape),
            Code::VecCvtf => self.one_float(i, G::FromInt(!i.u(), 0), shape),
            Code::FcvtzImm | Code::CvtfImm => {
                let shape = shape_of(i, format(i.bit(22)));
                let fraction = (16 * lane_size(shape.format).bytes() - i.bits(16, 7)) as u8;
                let op = if i.op == Code::CvtfImm {
                    G::FromInt(!i.u(), fraction)
                } else {
                    G::ToInt(Rounding::Zero, !i.u(), fraction)
                };
                self.one_float(i, op, shape);
            }
            Code::Frecpe => self.one_float(i, G::RecipEstimate, shape),
            Code::Frsqrte => self.one_float(i, G::RsqrtEstimate, shape),
            Code::Frecpx => self.one_float(i, G::RecipExponent, shape),
            Code::VecFsqrt => self.one_float(i, G::Sqrt, shape),
            Code::FcmgtZero => self.float_compare_zero(i, F::Gt, false),
            Code::FcmgeZero => self.float_compare_zero(i, F::Ge, false),
            Code::FcmeqZero => self.float_compare_zero(i, F::Eq, false),
            Code::FcmleZero => self.float_compare_zero(i, F::Ge, true),
            Code::FcmltZero => self.float_compare_zero(i, F::Gt, true),
            Code::VecFabs | Code::VecFneg => {
                let a = self.v(i.rn());
                let v = if i.u() {
                    self.negated(shape.format, a)
                } else {
                    self.absolute(shape.format, a)
                };
                let v = self.shaped(shape, v);
                self.set_v(i.rd(), v);
            }
            Code::Fcvtn => {
                let (op, count) = if i.bit(22) {
                    (Convert::DoubleToSingle, 2)
                } else {
                    (Convert::SingleToHalf, 4)
                };
                self.float_narrow(i, op, count);
            }
            Code::Fcvtxn => self.float_narrow(
                i,
                Convert::DoubleToSingleOdd,
                if i.scalar() { 1 } else { 2 },
            ),
            Code::Fcvtl => {
                let a = self.half(i, i.rn());
                let (op, count) = if i.bit(22) {
                    (Convert::SingleToDouble, 2)
                } else {
                    (Convert::HalfToSingle, 4)
                };
                let v = self.vector(Vector::FloatConvert(op, count, a));
                self.set_v(i.rd(), v);
            }
            _ => return false,
        }
        true
    }

    fn float_compare_zero(&mut self, i: Insn, op: F, zero_first: bool) {
        let (shape, a, zero) = (shape(i), self.v(i.rn()), self.zero_vector());
        let (a, b) = if zero_first { (zero, a) } else { (a, zero) };
        let v = self.float_binary(op, shape, a, b);
        self.set_v(i.rd(), v);
    }

    fn float_narrow(&mut self, i: Insn, op: Convert, count: u8) {
        let a = self.v(i.rn());
        let mut v = self.vector(Vector::FloatConvert(op, count, a));
        if i.q() && !i.scalar() {
            let d = self.v(i.rd());
            v = self.pairwise(VectorBinary::Concat, Size::B8, d, v);
        }
        self.set_v(i.rd(), v);
    }

    fn float_scalar(&mut self, i: Insn) -> bool {
        let shape = scalar(i);
        match i.op {
            Code::FmulScalar => self.two(i, F::Mul, shape),
            Code::FdivScalar => self.two(i, F::Div, shape),
            Code::FaddScalar => self.two(i, F::Add, shape),
            Code::FsubScalar => self.two(i, F::Sub, shape),
            Code::FmaxScalar => self.two(i, F::Max, shape),
            Code::FminScalar => self.two(i, F::Min, shape),
            Code::FmaxnmScalar => self.two(i, F::MaxNumber, shape),
            Code::FminnmScalar => self.two(i, F::MinNumber, shape),
            Code::Fnmul => {
                let (a, b) = (self.v(i.rn()), self.v(i.rm()));
                let product = self.float_binary(F::Mul, shape, a, b);
                let v = self.negated(shape.format, product);
                let v = self.shaped(shape, v);
                self.set_v(i.rd(), v);
            }
            Code::FmaddScalar => {
                let (mut a, b, mut c) = (self.v(i.rn()), self.v(i.rm()), self.v(i.ra()));
                // o1 negates the addend, and o0 exclusive or o1 the product.
                if i.bit(15) != i.bit(21) {
                    a = self.negated(shape.format, a);
                }
                if i.bit(21) {
                    c = self.negated(shape.format, c);
                }
                let v = self.vector(Vector::FloatFused(shape, c, a, b));
                self.set_v(i.rd(), v);
            }
            Code::Fsqrt => self.one_float(i, G::Sqrt, shape),
            Code::Frint => {
                let op = match i.bits(15, 3) {
                    field @ 0..4 => G::Round(rounding(field), false),
                    4 => G::Round(Rounding::NearestAway, false),
                    6 => G::Round(Rounding::Dynamic, true),
                    _ => G::Round(Rounding::Dynamic, false),
                };
                self.one_float(i, op, shape);
            }
            Code::Fcvt => {
                let op = match (i.bits(22, 2), i.bits(15, 2)) {
                    (0, 1) => Convert::SingleToDouble,
                    (0, _) => Convert::SingleToHalf,
                    (1, 0) => Convert::DoubleToSingle,
                    (1, _) => Convert::DoubleToHalf,
                    (_, 0) => Convert::HalfToSingle,
                    _ => Convert::HalfToDouble,
                };
                let a = self.v(i.rn());
                let v = self.vector(Vector::FloatConvert(op, 1, a));
                self.set_v(i.rd(), v);
            }
            Code::Fcmp | Code::FcmpZero => {
                let a = self.v(i.rn());
                let b = if i.op == Code::FcmpZero {
                    self.zero_vector()
                } else {
                    self.v(i.rm())
                };
                self.set_flags(Flags::Float(shape.format, i.bit(4), a, b));
            }
            Code::Fccmp => self.float_conditional_compare(i, shape),
            _ => return self.float_integer(i, shape),
        }
        true
    }

    /// FCCMP, FCCMPE. Compares only if the condition holds, since comparing may
    /// raise flags: otherwise it compares zeros.
    fn float_conditional_compare(&mut self, i: Insn, shape: Shape) {
        let holds = self.holds(i.bits(12, 4));
        let (a, b, zero) = (self.v(i.rn()), self.v(i.rm()), self.zero_vector());
        let a = self.vector(Vector::Choose(holds, a, zero));
        let b = self.vector(Vector::Choose(holds, b, zero));
        let compared = self.flag_op(Flags::Float(shape.format, i.bit(4), a, b));
        self.choose_flags(holds, compared, i.bits(0, 4));
    }

    /// Conversions between scalars and integer registers.
    fn float_integer(&mut self, i: Insn, shape: Shape) -> bool {
        let fixed = matches!(i.op, Code::CvtfFixed | Code::FcvtzFixed);
        let conversion = ScalarInt {
            format: shape.format,
            width: width(i),
            signed: !i.bit(16),
            rounding: match i.op {
                Code::FcvtInt => rounding(i.bits(19, 2)),
                Code::FcvtaInt => Rounding::NearestAway,
                Code::FcvtzFixed => Rounding::Zero,
                _ => Rounding::Dynamic,
            },
            fraction: if fixed { 64 - i.bits(10, 6) as u8 } else { 0 },
        };
        match i.op {
            Code::FcvtInt | Code::FcvtaInt | Code::FcvtzFixed => {
                let a = self.v(i.rn());
                let v = self.vector(Vector::ToInt(conversion, a));
                self.set_x(i.rd(), v);
            }
            Code::CvtfInt | Code::CvtfFixed => {
                let a = self.x(i.rn());
                let v = self.vector(Vector::FromScalar(conversion, a));
                self.set_v(i.rd(), v);
            }
            _ => return false,
        }
        true
    }

    fn float_move(&mut self, i: Insn) -> bool {
        let shape = scalar(i);
        match i.op {
            Code::FmovRegister | Code::Fabs | Code::Fneg => {
                let mut v = self.v(i.rn());
                match i.op {
                    Code::Fabs => v = self.absolute(shape.format, v),
                    Code::Fneg => v = self.negated(shape.format, v),
                    _ => {}
                }
                let v = self.shaped(shape, v);
                self.set_v(i.rd(), v);
            }
            Code::FmovImm => {
                let imm8 = i.bits(13, 8);
                let n = if shape.format == Format::Double {
                    expand_double(imm8)
                } else {
                    expand_single(imm8)
                };
                let v = self.vector(Vector::Const(n, 0));
                self.set_v(i.rd(), v);
            }
            Code::Fcsel => {
                let holds = self.holds(i.bits(12, 4));
                let (a, b) = (self.v(i.rn()), self.v(i.rm()));
                let v = self.vector(Vector::Choose(holds, a, b));
                let v = self.shaped(shape, v);
                self.set_v(i.rd(), v);
            }
            Code::FmovToGeneral => {
                let a = self.v(i.rn());
                let v = self.vector(Vector::Lane(lane_of(width(i)), 0, false, a));
                self.set_x(i.rd(), v);
            }
            Code::FmovToVector => {
                let a = self.x(i.rn());
                let a = self.fit(width(i), a);
                let v = self.vector(Vector::FromInt(a));
                self.set_v(i.rd(), v);
            }
            Code::FmovFromHigh => {
                let a = self.v(i.rn());
                let v = self.vector(Vector::Lane(Size::B8, 1, false, a));
                self.set_x(i.rd(), v);
            }
            Code::FmovToHigh => {
                let (a, d) = (self.x(i.rn()), self.v(i.rd()));
                let v = self.vector(Vector::WithLane(Size::B8, 1, d, a));
                self.set_v(i.rd(), v);
            }
            _ => return false,
        }
        true
    }
}

/// The lane that holds a scalar of an integer register's width.
fn lane_of(width: Width) -> Size {
    if width == W64 { Size::B8 } else { Size::B4 }
}
