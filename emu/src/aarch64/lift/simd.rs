//! Advanced SIMD on integers, permutations, cryptography.

use super::{Insn, Lifter, size};
use crate::aarch64::table::Op as Code;
use crate::ir::{
    Size, Value, Vector, VectorBinary as B, VectorShift as S, VectorTernary as T, VectorUnary as U,
};

/// The size of a lane of twice the width.
fn double(size: Size) -> Size {
    crate::interp::lanes::double(size)
}

/// A signed or unsigned operation, by bit 29.
fn by_sign<T>(i: Insn, signed: T, unsigned: T) -> T {
    if i.u() { unsigned } else { signed }
}

/// The lane that `imm5` names: its size and index.
fn lane(imm5: u32) -> (Size, u8) {
    let scale = imm5.trailing_zeros();
    (size(scale), (imm5 >> (scale + 1)) as u8)
}

/// The value of a modified immediate, `AdvSIMDExpandImm`.
fn expand_immediate(op: bool, cmode: u32, imm8: u32) -> u64 {
    let byte = u64::from(imm8);
    let both = |word: u64| word << 32 | word;
    match cmode {
        0..8 => both(byte << (8 * (cmode >> 1))),
        8..12 => both(byte << (8 * (cmode >> 1 & 1))) * 0x1_0001,
        12 => both(byte << 8 | 0xff),
        13 => both(byte << 16 | 0xffff),
        14 if op => (0..8)
            .filter(|n| imm8 >> n & 1 != 0)
            .fold(0, |all, n| all | 0xff << (8 * n)),
        14 => byte * 0x0101_0101_0101_0101,
        _ if op => super::float::expand_double(imm8),
        _ => both(super::float::expand_single(imm8)),
    }
}

impl Lifter {
    /// The operands of an operation that saturates: the lanes that it is not
    /// about are zero, so that they cannot.
    fn exact(&mut self, i: Insn, size: Size, n: u8) -> Value {
        let v = self.v(n);
        self.clip(i, size, v)
    }

    /// Clears the lanes that a scalar or a 64-bit operation is not about.
    pub(super) fn clip(&mut self, i: Insn, size: Size, v: Value) -> Value {
        if i.scalar() && size != Size::B8 {
            let mask = u64::MAX >> (64 - 8 * size.bytes());
            let mask = self.vector(Vector::Const(mask, 0));
            self.pairwise(B::And, size, v, mask)
        } else if i.scalar() || !i.q() {
            self.low(v)
        } else {
            v
        }
    }

    fn set_clipped(&mut self, i: Insn, size: Size, v: Value) {
        let v = self.clip(i, size, v);
        self.set_v(i.rd(), v);
    }

    /// Rd ← Rn op Rm.
    fn same(&mut self, i: Insn, op: B) {
        let size = size(i.bits(22, 2));
        let (a, b) = (self.v(i.rn()), self.v(i.rm()));
        let v = self.pairwise(op, size, a, b);
        self.set_clipped(i, size, v);
    }

    /// The same, of operations that saturate.
    fn same_saturating(&mut self, i: Insn, op: B) {
        let size = size(i.bits(22, 2));
        let (a, b) = (self.exact(i, size, i.rn()), self.exact(i, size, i.rm()));
        let v = self.pairwise(op, size, a, b);
        self.set_v(i.rd(), v);
    }

    /// Rd ← Rd op2 (Rn op Rm).
    fn accumulate_same(&mut self, i: Insn, op: B, then: B) {
        let size = size(i.bits(22, 2));
        let (a, b, d) = (self.v(i.rn()), self.v(i.rm()), self.v(i.rd()));
        let inner = self.pairwise(op, size, a, b);
        let v = self.pairwise(then, size, d, inner);
        self.set_clipped(i, size, v);
    }

    /// Even and odd lanes of Rn and Rm in a row.
    pub(super) fn pairs(&mut self, i: Insn, size: Size) -> (Value, Value) {
        let (mut a, mut b) = (self.v(i.rn()), self.v(i.rm()));
        if !i.q() {
            a = self.pairwise(B::Concat, Size::B8, a, b);
            b = a;
        }
        (
            self.pairwise(B::Uzp1, size, a, b),
            self.pairwise(B::Uzp2, size, a, b),
        )
    }

    fn pairwise_op(&mut self, i: Insn, op: B) {
        let size = size(i.bits(22, 2));
        let (a, b) = self.pairs(i, size);
        let v = self.pairwise(op, size, a, b);
        self.set_clipped(i, size, v);
    }

    fn one_operand(&mut self, i: Insn, op: U, size: Size) {
        let a = self.v(i.rn());
        let v = self.unary(op, size, a);
        self.set_clipped(i, size, v);
    }

    fn compare_zero(&mut self, i: Insn, op: B, zero_first: bool) {
        let size = size(i.bits(22, 2));
        let (a, zero) = (self.v(i.rn()), self.zero_vector());
        let v = if zero_first {
            self.pairwise(op, size, zero, a)
        } else {
            self.pairwise(op, size, a, zero)
        };
        self.set_clipped(i, size, v);
    }

    /// Lifts one of these instructions; false if it is none.
    pub(super) fn simd(&mut self, i: Insn) -> bool {
        self.simd_same(i)
            || self.simd_misc(i)
            || self.simd_wide(i)
            || self.simd_shift(i)
            || self.simd_move(i)
    }

    fn simd_same(&mut self, i: Insn) -> bool {
        let size = size(i.bits(22, 2));
        match i.op {
            Code::Hadd => self.same(i, by_sign(i, B::AverageDownS, B::AverageDownU)),
            Code::Rhadd => self.same(i, by_sign(i, B::AverageUpS, B::AverageUpU)),
            Code::Hsub => self.same(i, by_sign(i, B::HalfSubS, B::HalfSubU)),
            Code::Qadd => self.same_saturating(i, by_sign(i, B::AddSatS, B::AddSatU)),
            Code::Qsub => self.same_saturating(i, by_sign(i, B::SubSatS, B::SubSatU)),
            Code::And => self.same(i, B::And),
            Code::Bic => self.same(i, B::AndNot),
            Code::Orr => self.same(i, B::Or),
            Code::Orn => self.same(i, B::OrNot),
            Code::Eor => self.same(i, B::Xor),
            Code::Bsl | Code::Bit | Code::Bif => {
                let (n, m, d) = (self.v(i.rn()), self.v(i.rm()), self.v(i.rd()));
                let (mask, a, b) = match i.op {
                    Code::Bsl => (d, n, m),
                    Code::Bit => (m, n, d),
                    _ => (m, d, n),
                };
                let v = self.vector(Vector::Ternary(T::Select, Size::B8, mask, a, b));
                self.set_clipped(i, size, v);
            }
            Code::Cmgt => self.same(i, by_sign(i, B::GtS, B::GtU)),
            Code::Cmge => self.same(i, by_sign(i, B::GeS, B::GeU)),
            Code::Cmtst => self.same(i, B::Test),
            Code::Cmeq => self.same(i, B::Eq),
            Code::Shl => self.same(i, by_sign(i, B::ShiftS, B::ShiftU)),
            Code::Rshl => self.same(i, by_sign(i, B::ShiftRoundS, B::ShiftRoundU)),
            Code::Qshl => self.same_saturating(i, by_sign(i, B::ShiftSatS, B::ShiftSatU)),
            Code::Qrshl => {
                self.same_saturating(i, by_sign(i, B::ShiftRoundSatS, B::ShiftRoundSatU))
            }
            Code::Max => self.same(i, by_sign(i, B::MaxS, B::MaxU)),
            Code::Min => self.same(i, by_sign(i, B::MinS, B::MinU)),
            Code::Abd => self.same(i, by_sign(i, B::DiffS, B::DiffU)),
            Code::Aba => self.accumulate_same(i, by_sign(i, B::DiffS, B::DiffU), B::Add),
            Code::Add => self.same(i, B::Add),
            Code::Sub => self.same(i, B::Sub),
            Code::Mla => self.accumulate_same(i, B::Mul, B::Add),
            Code::Mls => self.accumulate_same(i, B::Mul, B::Sub),
            Code::Mul => self.same(i, B::Mul),
            Code::Pmul => self.same(i, B::PolyMul),
            Code::Maxp => self.pairwise_op(i, by_sign(i, B::MaxS, B::MaxU)),
            Code::Minp => self.pairwise_op(i, by_sign(i, B::MinS, B::MinU)),
            Code::Addp => self.pairwise_op(i, B::Add),
            Code::Sqdmulh => self.same_saturating(i, B::DoubleMulHigh),
            Code::Sqrdmulh => self.same_saturating(i, B::DoubleMulHighRound),
            Code::Sqrdmlah | Code::Sqrdmlsh => {
                let b = self.exact(i, size, i.rm());
                self.multiply_add_high(i, i.op == Code::Sqrdmlah, b);
            }
            Code::Dot => {
                let b = self.v(i.rm());
                self.dot(i, b);
            }
            _ => return self.simd_lane(i),
        }
        true
    }

    /// SQRDMLAH (`add`), SQRDMLSH.
    fn multiply_add_high(&mut self, i: Insn, add: bool, b: Value) {
        let size = size(i.bits(22, 2));
        let (a, d) = (self.exact(i, size, i.rn()), self.exact(i, size, i.rd()));
        let op = if add {
            T::DoubleMulAddHighRound
        } else {
            T::DoubleMulSubHighRound
        };
        let v = self.vector(Vector::Ternary(op, size, d, a, b));
        self.set_v(i.rd(), v);
    }

    fn dot(&mut self, i: Insn, b: Value) {
        let (d, a) = (self.v(i.rd()), self.v(i.rn()));
        let v = self.vector(Vector::Ternary(
            by_sign(i, T::DotS, T::DotU),
            Size::B4,
            d,
            a,
            b,
        ));
        self.set_clipped(i, Size::B4, v);
    }

    /// The element that a by-element instruction multiplies by, in all lanes.
    fn element(&mut self, i: Insn) -> Value {
        let (l, m, h) = (i.bits(21, 1), i.bits(20, 1), i.bits(11, 1));
        let (size, register, index) = if i.bits(22, 2) == 1 {
            (Size::B2, i.bits(16, 4), h << 2 | l << 1 | m)
        } else {
            (Size::B4, i.bits(16, 5), h << 1 | l)
        };
        let v = self.v(register as u8);
        self.vector(Vector::SplatLane(size, index as u8, v))
    }

    /// Instructions by element.
    fn simd_lane(&mut self, i: Insn) -> bool {
        let size = size(i.bits(22, 2));
        match i.op {
            Code::MlaLane | Code::MlsLane | Code::MulLane => {
                let (a, b) = (self.v(i.rn()), self.element(i));
                let mut v = self.pairwise(B::Mul, size, a, b);
                if i.op != Code::MulLane {
                    let d = self.v(i.rd());
                    v = self.pairwise(
                        if i.op == Code::MlaLane {
                            B::Add
                        } else {
                            B::Sub
                        },
                        size,
                        d,
                        v,
                    );
                }
                self.set_clipped(i, size, v);
            }
            Code::SqdmulhLane | Code::SqrdmulhLane => {
                let (a, b) = (self.exact(i, size, i.rn()), self.element(i));
                let op = if i.op == Code::SqdmulhLane {
                    B::DoubleMulHigh
                } else {
                    B::DoubleMulHighRound
                };
                let v = self.pairwise(op, size, a, b);
                self.set_v(i.rd(), v);
            }
            Code::SqrdmlahLane | Code::SqrdmlshLane => {
                let b = self.element(i);
                self.multiply_add_high(i, i.op == Code::SqrdmlahLane, b);
            }
            Code::MlalLane | Code::MlslLane | Code::MullLane => {
                let b = self.element(i);
                let then = match i.op {
                    Code::MlalLane => Some(B::Add),
                    Code::MlslLane => Some(B::Sub),
                    _ => None,
                };
                self.multiply_long(i, by_sign(i, B::MulWideS, B::MulWideU), b, then);
            }
            Code::SqdmlalLane | Code::SqdmlslLane | Code::SqdmullLane => {
                let b = self.element(i);
                self.double_multiply_long(i, b);
            }
            Code::DotLane => {
                let v = self.v(i.bits(16, 5) as u8);
                let index = i.bits(11, 1) << 1 | i.bits(21, 1);
                let b = self.vector(Vector::SplatLane(Size::B4, index as u8, v));
                self.dot(i, b);
            }
            _ => return false,
        }
        true
    }

    fn simd_misc(&mut self, i: Insn) -> bool {
        let size = size(i.bits(22, 2));
        match i.op {
            Code::VecRev64 => self.one_operand(i, U::Reverse64, size),
            Code::VecRev32 => self.one_operand(i, U::Reverse32, size),
            Code::VecRev16 => self.one_operand(i, U::Reverse16, size),
            Code::VecCls => self.one_operand(i, U::Cls, size),
            Code::VecClz => self.one_operand(i, U::Clz, size),
            Code::Cnt => self.one_operand(i, U::PopCount, Size::B1),
            Code::Not => self.one_operand(i, U::Not, Size::B1),
            Code::VecRbit => self.one_operand(i, U::ReverseBits, Size::B1),
            Code::Abs => self.one_operand(i, U::Abs, size),
            Code::Neg => self.one_operand(i, U::Neg, size),
            Code::Urecpe => self.one_operand(i, U::RecipEstimate, Size::B4),
            Code::Ursqrte => self.one_operand(i, U::RsqrtEstimate, Size::B4),
            Code::Addlp | Code::Adalp => {
                let a = self.v(i.rn());
                let mut v = self.unary(by_sign(i, U::PairwiseWidenS, U::PairwiseWidenU), size, a);
                if i.op == Code::Adalp {
                    let d = self.v(i.rd());
                    v = self.pairwise(B::Add, double(size), d, v);
                }
                self.set_clipped(i, size, v);
            }
            Code::Uqadd => {
                let (d, a) = (self.exact(i, size, i.rd()), self.exact(i, size, i.rn()));
                let v = self.pairwise(by_sign(i, B::AddSatSU, B::AddSatUS), size, d, a);
                self.set_v(i.rd(), v);
            }
            Code::Sqabs | Code::Sqneg => {
                let a = self.exact(i, size, i.rn());
                let v = self.unary(if i.u() { U::NegSat } else { U::AbsSat }, size, a);
                self.set_v(i.rd(), v);
            }
            Code::CmgtZero => self.compare_zero(i, B::GtS, false),
            Code::CmgeZero => self.compare_zero(i, B::GeS, false),
            Code::CmeqZero => self.compare_zero(i, B::Eq, false),
            Code::CmleZero => self.compare_zero(i, B::GeS, true),
            Code::CmltZero => self.compare_zero(i, B::GtS, true),
            Code::Xtn => {
                let a = self.v(i.rn());
                self.narrowed(i, U::Narrow, size, a);
            }
            Code::Sqxtun | Code::Qxtn => {
                let a = self.wide_operand(i, size);
                let op = if i.op == Code::Sqxtun {
                    U::NarrowSU
                } else {
                    by_sign(i, U::NarrowSS, U::NarrowUU)
                };
                self.narrowed(i, op, size, a);
            }
            Code::Addlv => {
                let a = self.exact(i, size, i.rn());
                let pairs = self.unary(by_sign(i, U::PairwiseWidenS, U::PairwiseWidenU), size, a);
                let v = self.unary(U::Sum, double(size), pairs);
                self.set_v(i.rd(), v);
            }
            Code::Addv => {
                let a = self.exact(i, size, i.rn());
                let v = self.unary(U::Sum, size, a);
                self.set_v(i.rd(), v);
            }
            Code::Maxv | Code::Minv => {
                let mut a = self.v(i.rn());
                if !i.q() {
                    a = self.pairwise(B::Concat, Size::B8, a, a);
                }
                let op = if i.op == Code::Maxv {
                    by_sign(i, U::GreatestS, U::GreatestU)
                } else {
                    by_sign(i, U::LeastS, U::LeastU)
                };
                let v = self.unary(op, size, a);
                self.set_v(i.rd(), v);
            }
            Code::AddpScalar => {
                let a = self.v(i.rn());
                let v = self.unary(U::Sum, Size::B8, a);
                self.set_v(i.rd(), v);
            }
            _ => return self.crypto(i),
        }
        true
    }

    fn crypto(&mut self, i: Insn) -> bool {
        let (a, b, d) = (i.rn(), i.rm(), i.rd());
        let ternary = match i.op {
            Code::Sha1c => Some(T::Sha1C),
            Code::Sha1p => Some(T::Sha1P),
            Code::Sha1m => Some(T::Sha1M),
            Code::Sha1su0 => Some(T::Sha1Su0),
            Code::Sha256h => Some(T::Sha256H),
            Code::Sha256h2 => Some(T::Sha256H2),
            Code::Sha256su1 => Some(T::Sha256Su1),
            _ => None,
        };
        let binary = match i.op {
            Code::Aese => Some(B::AesEncrypt),
            Code::Aesd => Some(B::AesDecrypt),
            Code::Sha1su1 => Some(B::Sha1Su1),
            Code::Sha256su0 => Some(B::Sha256Su0),
            _ => None,
        };
        let unary = match i.op {
            Code::Aesmc => Some(U::AesMix),
            Code::Aesimc => Some(U::AesUnmix),
            Code::Sha1h => Some(U::Sha1H),
            _ => None,
        };
        let v = match (ternary, binary, unary) {
            (Some(op), ..) => {
                let (d, a, b) = (self.v(d), self.v(a), self.v(b));
                self.vector(Vector::Ternary(op, Size::B4, d, a, b))
            }
            (_, Some(op), _) => {
                let (d, a) = (self.v(d), self.v(a));
                self.pairwise(op, Size::B1, d, a)
            }
            (.., Some(op)) => {
                let a = self.v(a);
                self.unary(op, Size::B1, a)
            }
            _ => return false,
        };
        self.set_v(d, v);
        true
    }

    /// The operand of a narrowing instruction that saturates: of a scalar one
    /// its one lane.
    fn wide_operand(&mut self, i: Insn, size: Size) -> Value {
        let a = self.v(i.rn());
        if i.scalar() {
            self.clip(i, double(size), a)
        } else {
            a
        }
    }

    /// Narrows lanes into the lower half of Rd, or into its upper half.
    fn narrowed(&mut self, i: Insn, op: U, size: Size, a: Value) {
        let mut v = self.unary(op, size, a);
        if i.q() && !i.scalar() {
            let d = self.v(i.rd());
            v = self.pairwise(B::Concat, Size::B8, d, v);
        }
        self.set_v(i.rd(), v);
    }

    /// The half of a register that a long instruction takes, in the lower half.
    pub(super) fn half(&mut self, i: Insn, n: u8) -> Value {
        let v = self.v(n);
        if i.q() && !i.scalar() {
            self.unary(U::High, Size::B8, v)
        } else {
            v
        }
    }

    fn multiply_long(&mut self, i: Insn, op: B, b: Value, then: Option<B>) {
        let size = size(i.bits(22, 2));
        let a = self.half(i, i.rn());
        let mut v = self.pairwise(op, size, a, b);
        if let Some(then) = then {
            let d = self.v(i.rd());
            v = self.pairwise(then, double(size), d, v);
        }
        self.set_v(i.rd(), v);
    }

    /// SQDMULL, SQDMLAL, SQDMLSL.
    fn double_multiply_long(&mut self, i: Insn, b: Value) {
        let size = size(i.bits(22, 2));
        let a = self.half(i, i.rn());
        let a = if i.scalar() { self.clip(i, size, a) } else { a };
        let mut v = self.pairwise(B::DoubleMulWide, size, a, b);
        let then = match i.op {
            Code::Sqdmlal | Code::SqdmlalLane => Some(B::AddSatS),
            Code::Sqdmlsl | Code::SqdmlslLane => Some(B::SubSatS),
            _ => None,
        };
        if let Some(then) = then {
            let d = self.v(i.rd());
            let d = if i.scalar() {
                self.clip(i, double(size), d)
            } else {
                d
            };
            v = self.pairwise(then, double(size), d, v);
        }
        self.set_v(i.rd(), v);
    }

    /// Three registers of different types.
    fn simd_wide(&mut self, i: Insn) -> bool {
        let size = size(i.bits(22, 2));
        let wide = double(size);
        let widen = by_sign(i, U::WidenS, U::WidenU);
        match i.op {
            Code::Addl | Code::Subl | Code::Addw | Code::Subw => {
                let b = self.half(i, i.rm());
                let b = self.unary(widen, size, b);
                let a = if matches!(i.op, Code::Addl | Code::Subl) {
                    let a = self.half(i, i.rn());
                    self.unary(widen, size, a)
                } else {
                    self.v(i.rn())
                };
                let op = if matches!(i.op, Code::Addl | Code::Addw) {
                    B::Add
                } else {
                    B::Sub
                };
                let v = self.pairwise(op, wide, a, b);
                self.set_v(i.rd(), v);
            }
            Code::Addhn | Code::Subhn => {
                let (a, b) = (self.v(i.rn()), self.v(i.rm()));
                let mut v = self.pairwise(
                    if i.op == Code::Addhn { B::Add } else { B::Sub },
                    wide,
                    a,
                    b,
                );
                let bits = size.bytes() * 8;
                if i.u() {
                    let half = self.splat_constant(wide, 1 << (bits - 1));
                    v = self.pairwise(B::Add, wide, v, half);
                }
                let v = self.vector(Vector::Shift(S::RightU, wide, v, bits as u8));
                self.narrowed(i, U::Narrow, size, v);
            }
            Code::Abdl | Code::Abal => {
                let (a, b) = (self.half(i, i.rn()), self.half(i, i.rm()));
                let (a, b) = (self.unary(widen, size, a), self.unary(widen, size, b));
                let mut v = self.pairwise(by_sign(i, B::DiffS, B::DiffU), wide, a, b);
                if i.op == Code::Abal {
                    let d = self.v(i.rd());
                    v = self.pairwise(B::Add, wide, d, v);
                }
                self.set_v(i.rd(), v);
            }
            Code::Mull | Code::Mlal | Code::Mlsl | Code::Pmull => {
                let b = self.half(i, i.rm());
                let (op, then) = match i.op {
                    Code::Pmull => (B::PolyMulWide, None),
                    Code::Mull => (by_sign(i, B::MulWideS, B::MulWideU), None),
                    Code::Mlal => (by_sign(i, B::MulWideS, B::MulWideU), Some(B::Add)),
                    _ => (by_sign(i, B::MulWideS, B::MulWideU), Some(B::Sub)),
                };
                self.multiply_long(i, op, b, then);
            }
            Code::Sqdmull | Code::Sqdmlal | Code::Sqdmlsl => {
                let b = self.half(i, i.rm());
                self.double_multiply_long(i, b);
            }
            Code::Shll => {
                let a = self.half(i, i.rn());
                let a = self.unary(U::WidenU, size, a);
                let v = self.vector(Vector::Shift(S::Left, wide, a, (size.bytes() * 8) as u8));
                self.set_v(i.rd(), v);
            }
            _ => return false,
        }
        true
    }

    /// Shifts by an immediate.
    fn simd_shift(&mut self, i: Insn) -> bool {
        let shift_field = i.bits(16, 7);
        let scale = (i.bits(19, 4) | 1).ilog2().min(3);
        let size = size(scale);
        let bits = 8 << scale;
        let left = (shift_field & (bits - 1)) as u8;
        let right = (2 * bits).wrapping_sub(shift_field) as u8;
        let shift = by_sign(i, S::RightS, S::RightU);
        let round = by_sign(i, S::RightRoundS, S::RightRoundU);
        match i.op {
            Code::ShrImm => self.shift_right(i, shift, size, right, false),
            Code::SraImm => self.shift_right(i, shift, size, right, true),
            Code::RshrImm => self.shift_right(i, round, size, right, false),
            Code::RsraImm => self.shift_right(i, round, size, right, true),
            Code::SriImm => {
                let keep = u64::MAX << (bits - u32::from(right)).min(63) << u32::from(right == 0);
                let keep = if u32::from(right) == bits {
                    u64::MAX
                } else {
                    keep
                };
                self.shift_insert(
                    i,
                    S::RightU,
                    size,
                    right,
                    if bits == u32::from(right) {
                        u64::MAX
                    } else {
                        keep
                    },
                );
            }
            Code::SliImm => self.shift_insert(i, S::Left, size, left, (1 << left) - 1),
            Code::ShlImm => {
                let a = self.v(i.rn());
                let v = self.vector(Vector::Shift(S::Left, size, a, left));
                self.set_clipped(i, size, v);
            }
            Code::SqshluImm | Code::QshlImm => {
                let a = self.exact(i, size, i.rn());
                let by = self.splat_constant(size, left.into());
                let op = if i.op == Code::SqshluImm {
                    B::ShiftSatSU
                } else {
                    by_sign(i, B::ShiftSatS, B::ShiftSatU)
                };
                let v = self.pairwise(op, size, a, by);
                self.set_v(i.rd(), v);
            }
            Code::ShrnImm => self.shift_narrow(i, S::RightU, U::Narrow, size, right),
            Code::RshrnImm => self.shift_narrow(i, S::RightRoundU, U::Narrow, size, right),
            Code::SqshrunImm => self.shift_narrow(i, S::RightS, U::NarrowSU, size, right),
            Code::SqrshrunImm => self.shift_narrow(i, S::RightRoundS, U::NarrowSU, size, right),
            Code::QshrnImm => {
                self.shift_narrow(i, shift, by_sign(i, U::NarrowSS, U::NarrowUU), size, right)
            }
            Code::QrshrnImm => {
                self.shift_narrow(i, round, by_sign(i, U::NarrowSS, U::NarrowUU), size, right)
            }
            Code::ShllImm => {
                let a = self.half(i, i.rn());
                let a = self.unary(by_sign(i, U::WidenS, U::WidenU), size, a);
                let v = self.vector(Vector::Shift(S::Left, double(size), a, left));
                self.set_v(i.rd(), v);
            }
            _ => return false,
        }
        true
    }

    fn shift_right(&mut self, i: Insn, op: S, size: Size, by: u8, accumulate: bool) {
        let a = self.v(i.rn());
        let mut v = self.vector(Vector::Shift(op, size, a, by));
        if accumulate {
            let d = self.v(i.rd());
            v = self.pairwise(B::Add, size, d, v);
        }
        self.set_clipped(i, size, v);
    }

    /// The shifted lanes, but for the bits that Rd keeps.
    fn shift_insert(&mut self, i: Insn, op: S, size: Size, by: u8, keep: u64) {
        let (a, d) = (self.v(i.rn()), self.v(i.rd()));
        let shifted = self.vector(Vector::Shift(op, size, a, by));
        let keep = self.splat_constant(size, keep);
        let v = self.vector(Vector::Ternary(T::Select, Size::B8, keep, d, shifted));
        self.set_clipped(i, size, v);
    }

    fn shift_narrow(&mut self, i: Insn, op: S, narrow: U, size: Size, by: u8) {
        let a = self.wide_operand(i, size);
        let v = self.vector(Vector::Shift(op, double(size), a, by));
        self.narrowed(i, narrow, size, v);
    }

    /// Copies, extracts, tables, permutations and immediates.
    fn simd_move(&mut self, i: Insn) -> bool {
        let imm5 = i.bits(16, 5);
        match i.op {
            Code::DupLane => {
                let (size, n) = lane(imm5);
                let a = self.v(i.rn());
                let v = self.vector(Vector::SplatLane(size, n, a));
                self.set_clipped(i, size, v);
            }
            Code::DupGeneral => {
                let (size, _) = lane(imm5);
                let a = self.x(i.rn());
                let v = self.vector(Vector::Splat(size, a));
                self.set_clipped(i, size, v);
            }
            Code::Smov | Code::Umov => {
                let (size, n) = lane(imm5);
                let a = self.v(i.rn());
                let signed = i.op == Code::Smov;
                let v = self.vector(Vector::Lane(size, n, signed, a));
                let v = if signed && !i.q() {
                    self.extend(Size::B4, false, v)
                } else {
                    v
                };
                self.set_x(i.rd(), v);
            }
            Code::InsGeneral => {
                let (size, n) = lane(imm5);
                let (a, d) = (self.x(i.rn()), self.v(i.rd()));
                let v = self.vector(Vector::WithLane(size, n, d, a));
                self.set_v(i.rd(), v);
            }
            Code::InsLane => {
                let (size, n) = lane(imm5);
                let from = i.bits(11, 4) >> (size.bytes().trailing_zeros());
                let (a, d) = (self.v(i.rn()), self.v(i.rd()));
                let element = self.vector(Vector::Lane(size, from as u8, false, a));
                let v = self.vector(Vector::WithLane(size, n, d, element));
                self.set_v(i.rd(), v);
            }
            Code::Ext => {
                let (mut a, mut b, n) = (self.v(i.rn()), self.v(i.rm()), i.bits(11, 4) as u8);
                if !i.q() {
                    a = self.pairwise(B::Concat, Size::B8, a, b);
                    b = a;
                }
                let v = self.vector(Vector::Extract(a, b, n));
                self.set_clipped(i, Size::B8, v);
            }
            Code::Tbl => self.table(i),
            Code::Uzp1 | Code::Uzp2 => {
                let (even, odd) = self.pairs(i, size(i.bits(22, 2)));
                self.set_clipped(i, Size::B8, if i.op == Code::Uzp1 { even } else { odd });
            }
            Code::Trn1 => self.same(i, B::Trn1),
            Code::Trn2 => self.same(i, B::Trn2),
            Code::Zip1 => self.same(i, B::Zip1),
            Code::Zip2 if i.q() => self.same(i, B::Zip2),
            Code::Zip2 => {
                // The upper half of what interleaving the lower halves gives.
                let (a, b) = (self.v(i.rn()), self.v(i.rm()));
                let v = self.pairwise(B::Zip1, size(i.bits(22, 2)), a, b);
                let v = self.unary(U::High, Size::B8, v);
                self.set_v(i.rd(), v);
            }
            Code::Movi => self.immediate(i),
            _ => return false,
        }
        true
    }

    /// TBL, TBX: a table of one to four registers, 16 bytes at a time.
    fn table(&mut self, i: Insn) {
        let index = self.v(i.rm());
        let registers = i.bits(13, 2) + 1;
        let mut all = None;
        for n in 0..registers {
            let table = self.v((i.rn() + n as u8) % 32);
            let below = self.splat_constant(Size::B1, u64::from(16 * n));
            let local = if n == 0 {
                index
            } else {
                self.pairwise(B::Sub, Size::B1, index, below)
            };
            let found = self.pairwise(B::Table, Size::B1, table, local);
            all = Some(match all {
                None => found,
                Some(others) => self.pairwise(B::Or, Size::B1, others, found),
            });
        }
        let mut v = all.expect("there is at least one register");
        if i.bit(12) {
            let (limit, d) = (
                self.splat_constant(Size::B1, u64::from(16 * registers)),
                self.v(i.rd()),
            );
            let beyond = self.pairwise(B::GeU, Size::B1, index, limit);
            v = self.vector(Vector::Ternary(T::Select, Size::B8, beyond, d, v));
        }
        self.set_clipped(i, Size::B8, v);
    }

    /// MOVI, MVNI, ORR, BIC and FMOV of an immediate.
    fn immediate(&mut self, i: Insn) {
        let (op, cmode) = (i.bit(29), i.bits(12, 4));
        let n = expand_immediate(op, cmode, i.bits(16, 3) << 5 | i.bits(5, 5));
        let combines = cmode & 1 != 0 && cmode < 12;
        let inverts = op && cmode < 14 && !combines;
        let n = if inverts { !n } else { n };
        let high = if i.q() { n } else { 0 };
        let mut v = self.vector(Vector::Const(n, high));
        if combines {
            let d = self.v(i.rd());
            v = self.pairwise(if op { B::AndNot } else { B::Or }, Size::B8, d, v);
            v = self.clip(i, Size::B8, v);
        }
        self.set_v(i.rd(), v);
    }
}
