//! Operations on 128-bit vectors.
//!
//! A vector is lanes of 1, 2, 4 or 8 bytes, lane 0 lowest. Integer operations
//! work on all lanes; a lifter that needs only the lower half clears the rest
//! with [`VectorUnary::Low`]. Floating-point operations say how many lanes they
//! work on, because each lane may raise flags; the lanes beyond are zero in the
//! result. A scalar floating-point number is a vector of one such lane, so that
//! scalar and vector code meet in the same host registers.
//!
//! Floating point here is AArch64's: rounding, flush to zero and default NaN
//! as the state's FPCR says, flags into its FPSR, NaN operands propagated (the
//! first signalling one, else the first quiet one, made quiet), tininess before
//! rounding (Arm DDI 0487, "Floating-point exceptions"). Saturating operations
//! set FPSR.QC where they saturate. All else has no effect but its value.

use super::{Format, Rounding, Size, Type, Value, Width};

/// How many bytes a vector load or store touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub enum Bytes {
    B1,
    B2,
    B4,
    B8,
    B16,
}

impl Bytes {
    /// 1, 2, 4, 8 or 16.
    pub const fn count(self) -> u32 {
        1 << self as u32
    }

    /// As the size of an integer access, unless it is of 16 bytes.
    pub const fn size(self) -> Option<Size> {
        Some(match self {
            Bytes::B1 => Size::B1,
            Bytes::B2 => Size::B2,
            Bytes::B4 => Size::B4,
            Bytes::B8 => Size::B8,
            Bytes::B16 => return None,
        })
    }
}

/// The lanes of a floating-point operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Shape {
    /// The format of each.
    pub format: Format,
    /// How many from the lowest: 1, 2 or 4.
    pub lanes: u8,
}

/// Operations of one operand. `w` is the lane's width in bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum VectorUnary {
    /// The lower 64 bits; the upper are zero. The size does not matter.
    Low,
    /// The upper 64 bits, moved to the lower; the upper are zero. The size does not matter.
    High,
    /// not a
    Not,
    /// 0 − a
    Neg,
    /// |a|, modulo 2^w
    Abs,
    /// 0 − a, saturated, signed
    NegSat,
    /// |a|, saturated
    AbsSat,
    /// Zero bits above the highest one
    Clz,
    /// Bits below the sign bit that equal it, without a gap
    Cls,
    /// Bits that are one; bytes only
    PopCount,
    /// Bits in reverse order; bytes only
    ReverseBits,
    /// Lanes in reverse order within each 16 bits
    Reverse16,
    /// Lanes in reverse order within each 32 bits
    Reverse32,
    /// Lanes in reverse order within each 64 bits
    Reverse64,
    /// The lanes of the lower half, zero-extended to twice the width
    WidenU,
    /// The lanes of the lower half, sign-extended to twice the width
    WidenS,
    /// The lower half of each lane of twice this size, in the lower half; the upper is zero
    Narrow,
    /// As `Narrow`, signed to signed, saturated
    NarrowSS,
    /// As `Narrow`, signed to unsigned, saturated
    NarrowSU,
    /// As `Narrow`, unsigned, saturated
    NarrowUU,
    /// Sum of all lanes in the lowest lane, the rest zero
    Sum,
    /// The least lane, signed, in the lowest, the rest zero
    LeastS,
    /// The least lane, unsigned, in the lowest, the rest zero
    LeastU,
    /// The greatest lane, signed, in the lowest, the rest zero
    GreatestS,
    /// The greatest lane, unsigned, in the lowest, the rest zero
    GreatestU,
    /// The sum of each two neighbours, signed, in a lane of twice the size
    PairwiseWidenS,
    /// The sum of each two neighbours, unsigned, in a lane of twice the size
    PairwiseWidenU,
    /// URECPE: estimate of 1 ÷ a; 4-byte lanes only
    RecipEstimate,
    /// URSQRTE: estimate of 1 ÷ √a; 4-byte lanes only
    RsqrtEstimate,
    /// AESMC: the mix-columns step
    AesMix,
    /// AESIMC: the inverse mix-columns step
    AesUnmix,
    /// SHA1H: the lowest 4 bytes turned left by 30, the rest zero
    Sha1H,
}

/// Operations of two operands, lane by lane unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum VectorBinary {
    /// a and b
    And,
    /// a or b
    Or,
    /// a xor b
    Xor,
    /// a and not b
    AndNot,
    /// a or not b
    OrNot,
    /// a + b
    Add,
    /// a − b
    Sub,
    /// a × b
    Mul,
    /// the lesser, signed
    MinS,
    /// the lesser, unsigned
    MinU,
    /// the greater, signed
    MaxS,
    /// the greater, unsigned
    MaxU,
    /// |a − b|, signed
    DiffS,
    /// |a − b|, unsigned
    DiffU,
    /// ⌊(a + b) ÷ 2⌋, signed
    AverageDownS,
    /// ⌊(a + b) ÷ 2⌋, unsigned
    AverageDownU,
    /// ⌊(a + b + 1) ÷ 2⌋, signed
    AverageUpS,
    /// ⌊(a + b + 1) ÷ 2⌋, unsigned
    AverageUpU,
    /// ⌊(a − b) ÷ 2⌋, signed
    HalfSubS,
    /// ⌊(a − b) ÷ 2⌋, unsigned operands
    HalfSubU,
    /// a + b, saturated, signed
    AddSatS,
    /// a + b, saturated, unsigned
    AddSatU,
    /// a + b, a signed, b unsigned, saturated to signed (SUQADD)
    AddSatSU,
    /// a + b, a unsigned, b signed, saturated to unsigned (USQADD)
    AddSatUS,
    /// a − b, saturated, signed
    SubSatS,
    /// a − b, saturated, unsigned
    SubSatU,
    /// all ones where a = b, otherwise zero
    Eq,
    /// all ones where a > b, signed
    GtS,
    /// all ones where a > b, unsigned
    GtU,
    /// all ones where a ≥ b, signed
    GeS,
    /// all ones where a ≥ b, unsigned
    GeU,
    /// all ones where a and b have a bit in common
    Test,
    /// a × 2^s, signed, where s is the lowest byte of b, signed; rounded down
    ShiftS,
    /// a × 2^s, unsigned; rounded down
    ShiftU,
    /// a × 2^s, signed; rounded to nearest, ties up
    ShiftRoundS,
    /// a × 2^s, unsigned; rounded to nearest, ties up
    ShiftRoundU,
    /// as `ShiftS`, saturated
    ShiftSatS,
    /// as `ShiftU`, saturated
    ShiftSatU,
    /// as `ShiftRoundS`, saturated
    ShiftRoundSatS,
    /// as `ShiftRoundU`, saturated
    ShiftRoundSatU,
    /// a × 2^s, a signed, saturated to unsigned (SQSHLU)
    ShiftSatSU,
    /// ⌊2ab ÷ 2^w⌋, signed, saturated (SQDMULH)
    DoubleMulHigh,
    /// ⌊(2ab + 2^(w−1)) ÷ 2^w⌋, signed, saturated (SQRDMULH)
    DoubleMulHighRound,
    /// products of polynomials over {0, 1}, the lower w bits; bytes only
    PolyMul,
    /// products of the lower halves' lanes, in lanes of twice the size, signed
    MulWideS,
    /// products of the lower halves' lanes, in lanes of twice the size, unsigned
    MulWideU,
    /// 2ab of the lower halves' lanes, in lanes of twice the size, signed, saturated
    DoubleMulWide,
    /// products of polynomials of the lower halves' lanes; 1 or 8 bytes
    PolyMulWide,
    /// lower half of a, then lower half of b above it. The size does not matter.
    Concat,
    /// lanes of the lower halves in turn: a0 b0 a1 b1 …
    Zip1,
    /// lanes of the upper halves in turn
    Zip2,
    /// even lanes of a, then those of b
    Uzp1,
    /// odd lanes of a, then those of b
    Uzp2,
    /// even lanes in turn: a0 b0 a2 b2 …
    Trn1,
    /// odd lanes in turn: a1 b1 a3 b3 …
    Trn2,
    /// for each byte n of b, byte n of a, or 0 when n > 15; bytes only
    Table,
    /// AESE: (a xor b) after shift-rows and sub-bytes
    AesEncrypt,
    /// AESD: (a xor b) after the inverse of these
    AesDecrypt,
    /// SHA1SU1
    Sha1Su1,
    /// SHA256SU0
    Sha256Su0,
}

/// Shifts by a constant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum VectorShift {
    /// a × 2^n, n < w
    Left,
    /// ⌊a ÷ 2^n⌋, signed, 1 ≤ n ≤ w
    RightS,
    /// ⌊a ÷ 2^n⌋, unsigned, 1 ≤ n ≤ w
    RightU,
    /// a ÷ 2^n to nearest, ties up, signed, 1 ≤ n ≤ w
    RightRoundS,
    /// a ÷ 2^n to nearest, ties up, unsigned, 1 ≤ n ≤ w
    RightRoundU,
}

/// Operations of three operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum VectorTernary {
    /// bits of b where a has ones, of c where it has zeros
    Select,
    /// a + Σ of the 4 products of bytes of b and c in each 4-byte lane, signed (SDOT)
    DotS,
    /// the same, unsigned (UDOT)
    DotU,
    /// ⌊(a × 2^w + 2bc + 2^(w−1)) ÷ 2^w⌋, signed, saturated (SQRDMLAH)
    DoubleMulAddHighRound,
    /// the same with − 2bc (SQRDMLSH)
    DoubleMulSubHighRound,
    /// SHA1C
    Sha1C,
    /// SHA1P
    Sha1P,
    /// SHA1M
    Sha1M,
    /// SHA1SU0
    Sha1Su0,
    /// SHA256H
    Sha256H,
    /// SHA256H2
    Sha256H2,
    /// SHA256SU1
    Sha256Su1,
}

/// Floating-point operations of one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum VectorFloatUnary {
    /// √a
    Sqrt,
    /// the integer that `rounding` gives; `true`: an inexact result is flagged
    Round(Rounding, bool),
    /// FRECPE
    RecipEstimate,
    /// FRSQRTE
    RsqrtEstimate,
    /// FRECPX
    RecipExponent,
    /// as an integer of the lane's width with this many fraction bits,
    /// saturated, NaN to 0; the flag says signed
    ToInt(Rounding, bool, u8),
    /// from an integer of the lane's width with this many fraction bits
    FromInt(bool, u8),
}

/// Floating-point operations of two operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum VectorFloatBinary {
    /// a + b
    Add,
    /// a − b
    Sub,
    /// a × b
    Mul,
    /// a ÷ b
    Div,
    /// the lesser; NaN when either is
    Min,
    /// the greater; NaN when either is
    Max,
    /// the lesser; a quiet NaN loses against a number
    MinNumber,
    /// the greater; a quiet NaN loses against a number
    MaxNumber,
    /// a × b, but 0 × ∞ is 2
    MulExtended,
    /// FRECPS: 2 − ab, fused
    RecipStep,
    /// FRSQRTS: (3 − ab) ÷ 2, fused
    RsqrtStep,
    /// all ones where a = b; only a signalling NaN is an invalid operation
    Eq,
    /// all ones where a ≥ b; any NaN is an invalid operation
    Ge,
    /// all ones where a > b; any NaN is an invalid operation
    Gt,
}

/// Conversions between floating-point formats, each of the lowest lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Convert {
    /// binary16 to binary32
    HalfToSingle,
    /// binary16 to binary64
    HalfToDouble,
    /// binary32 to binary16
    SingleToHalf,
    /// binary64 to binary16
    DoubleToHalf,
    /// binary32 to binary64
    SingleToDouble,
    /// binary64 to binary32
    DoubleToSingle,
    /// binary64 to binary32, rounded to odd (FCVTXN)
    DoubleToSingleOdd,
}

/// A conversion between a scalar and an integer register.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ScalarInt {
    /// The floating-point format.
    pub format: Format,
    /// The integer's width.
    pub width: Width,
    /// Whether the integer is signed.
    pub signed: bool,
    /// Rounding of the result.
    pub rounding: Rounding,
    /// How many bits of the integer are a fraction.
    pub fraction: u8,
}

/// One operation on vectors. An operand or result without a word is a vector.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Vector {
    /// The number, lower half first.
    Const(u64, u64),
    /// Memory at address + offset in the lowest bytes, the rest zero. As [`Op::Load`](super::Op::Load).
    Load(Bytes, Value, i32),
    /// No value. As [`Op::Store`](super::Op::Store).
    Store(Bytes, Value, i32, Value),
    /// An integer in the lower 64 bits, the upper zero.
    FromInt(Value),
    /// An integer: lane n, sign-extended (`true`) or zero-extended.
    Lane(Size, u8, bool, Value),
    /// a with lane n the low bytes of an integer.
    WithLane(Size, u8, Value, Value),
    /// All lanes the low bytes of an integer.
    Splat(Size, Value),
    /// All lanes lane n of a.
    SplatLane(Size, u8, Value),
    /// The second value when the first, an integer, is not 0, otherwise the third.
    Choose(Value, Value, Value),
    /// See [`VectorUnary`].
    Unary(VectorUnary, Size, Value),
    /// See [`VectorBinary`].
    Binary(VectorBinary, Size, Value, Value),
    /// See [`VectorShift`].
    Shift(VectorShift, Size, Value, u8),
    /// See [`VectorTernary`].
    Ternary(VectorTernary, Size, Value, Value, Value),
    /// Bytes n to n + 15 of b above a.
    Extract(Value, Value, u8),
    /// See [`VectorFloatUnary`].
    FloatUnary(VectorFloatUnary, Shape, Value),
    /// See [`VectorFloatBinary`].
    FloatBinary(VectorFloatBinary, Shape, Value, Value),
    /// a + b × c with one rounding.
    FloatFused(Shape, Value, Value, Value),
    /// The lowest lanes converted, in the lowest lanes, the rest zero.
    FloatConvert(Convert, u8, Value),
    /// An integer: the lowest number as one, saturated, NaN to 0. `W32` zero-extends.
    ToInt(ScalarInt, Value),
    /// An integer as a number in the lowest lane, the rest zero.
    FromScalar(ScalarInt, Value),
    /// 16 bytes of memory at the address, read at once; the address is now
    /// reserved with that value. As [`Op::LoadReserved`](super::Op::LoadReserved).
    LoadReserved(Value),
    /// An integer. As [`Op::StoreConditional`](super::Op::StoreConditional), of 16 bytes.
    StoreConditional(Value, Value),
    /// As [`Op::CompareExchange`](super::Op::CompareExchange), of 16 bytes.
    CompareExchange(Value, Value, Value),
}

impl Vector {
    /// The type of the operation's value, if it gives one.
    pub const fn ty(&self) -> Option<Type> {
        match self {
            Vector::Store(..) => None,
            Vector::Lane(..) | Vector::ToInt(..) | Vector::StoreConditional(..) => Some(Type::Int),
            _ => Some(Type::Vector),
        }
    }

    /// Calls `visit` with each operand and the type it must have.
    pub fn operands(&self, mut visit: impl FnMut(Value, Type)) {
        let types: &[(Value, Type)] = match *self {
            Vector::Const(..) => &[],
            Vector::Load(_, a, _)
            | Vector::FromInt(a)
            | Vector::Splat(_, a)
            | Vector::FromScalar(_, a)
            | Vector::LoadReserved(a) => &[(a, Type::Int)],
            Vector::Store(_, a, _, b) | Vector::StoreConditional(a, b) => {
                &[(a, Type::Int), (b, Type::Vector)]
            }
            Vector::WithLane(_, _, a, b) => &[(a, Type::Vector), (b, Type::Int)],
            Vector::Choose(c, a, b) | Vector::CompareExchange(c, a, b) => {
                &[(c, Type::Int), (a, Type::Vector), (b, Type::Vector)]
            }
            Vector::Lane(_, _, _, a)
            | Vector::SplatLane(_, _, a)
            | Vector::Unary(_, _, a)
            | Vector::Shift(_, _, a, _)
            | Vector::FloatUnary(_, _, a)
            | Vector::FloatConvert(_, _, a)
            | Vector::ToInt(_, a) => &[(a, Type::Vector)],
            Vector::Binary(_, _, a, b)
            | Vector::Extract(a, b, _)
            | Vector::FloatBinary(_, _, a, b) => &[(a, Type::Vector), (b, Type::Vector)],
            Vector::Ternary(_, _, a, b, c) | Vector::FloatFused(_, a, b, c) => {
                &[(a, Type::Vector), (b, Type::Vector), (c, Type::Vector)]
            }
        };
        for &(value, ty) in types {
            visit(value, ty);
        }
    }
}
