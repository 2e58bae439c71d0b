//! Operations on lanes of integers that the host does in a few instructions:
//! across lanes, between sizes, averages, and saturation. What saturates sets a
//! flag, so it is left to the interpreter; what does not is plain arithmetic.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I16X8, I32, I32X4};
use cranelift_codegen::ir::{self as clif, InstBuilder};

use super::emit::Emit;
use super::vector::vector_type;
use crate::ir::{
    Size, Value, VectorBinary as B, VectorShift as S, VectorTernary as T, VectorUnary as U,
};

/// Whether an operation of one operand is lowered here.
pub(super) fn is_unary(op: U, size: Size) -> bool {
    let small = size != Size::B8;
    match op {
        U::Reverse16 | U::Reverse32 | U::Reverse64 | U::NegSat | U::AbsSat | U::Sum => true,
        U::Narrow | U::NarrowSS | U::NarrowSU | U::NarrowUU => small,
        U::LeastS | U::LeastU | U::GreatestS | U::GreatestU => small,
        U::PairwiseWidenS | U::PairwiseWidenU => small,
        _ => false,
    }
}

/// Whether an operation of two operands is lowered here.
pub(super) fn is_binary(op: B, size: Size) -> bool {
    let small = size != Size::B8;
    match op {
        B::AverageDownS | B::AverageDownU | B::AverageUpS | B::AverageUpU => true,
        B::HalfSubS | B::HalfSubU => true,
        B::AddSatS | B::AddSatU | B::SubSatS | B::SubSatU => true,
        B::DiffS | B::DiffU | B::MulWideS | B::MulWideU => small,
        B::Mul => size == Size::B1,
        _ => false,
    }
}

/// Whether an operation of three operands is lowered here.
pub(super) fn is_ternary(op: T) -> bool {
    matches!(op, T::DotS | T::DotU)
}

const fn double(size: Size) -> Size {
    match size {
        Size::B1 => Size::B2,
        Size::B2 => Size::B4,
        _ => Size::B8,
    }
}

const fn bits(size: Size) -> i64 {
    size.bytes() as i64 * 8
}

impl Emit<'_> {
    pub(super) fn lanes_unary(&mut self, op: U, size: Size, a: Value) -> clif::Value {
        match op {
            U::Reverse16 => self.reverse(2, size, a),
            U::Reverse32 => self.reverse(4, size, a),
            U::Reverse64 => self.reverse(8, size, a),
            U::Narrow => {
                let a = self.get(a);
                self.narrow_lanes(size, a)
            }
            U::NarrowSS | U::NarrowSU | U::NarrowUU => {
                let wide = self.lanes(double(size), a);
                let whole = self.bytes(wide);
                let narrow = self.narrow_lanes(size, whole);
                let lanes = self.as_type(vector_type(size), narrow);
                let again = if op == U::NarrowSS {
                    self.b.ins().swiden_low(lanes)
                } else {
                    self.b.ins().uwiden_low(lanes)
                };
                self.saturates_if_any(IntCC::NotEqual, again, wide);
                narrow
            }
            U::NegSat | U::AbsSat => {
                let a = self.lanes(size, a);
                let least = self.splat_of(size, 1 << (bits(size) - 1));
                self.saturates_if_any(IntCC::Equal, a, least);
                let value = if op == U::NegSat {
                    self.b.ins().ineg(a)
                } else {
                    self.b.ins().iabs(a)
                };
                self.bytes(value)
            }
            U::PairwiseWidenS | U::PairwiseWidenU => {
                let a = self.lanes(double(size), a);
                let value = self.pairwise_widened(op == U::PairwiseWidenS, bits(size), a);
                self.bytes(value)
            }
            _ => self.across(op, size, a),
        }
    }

    /// Every lane of the size, shared by all.
    fn splat_of(&mut self, size: Size, n: u64) -> clif::Value {
        let lane = n & (u64::MAX >> (64 - bits(size)));
        let half = (0..8 / size.bytes()).fold(0, |all, i| all | lane << (i * size.bytes() * 8));
        let v = self.constant_vector(half, half);
        self.as_type(vector_type(size), v)
    }

    /// All lanes shifted, without rounding, by less than they have bits.
    pub(super) fn shifted(&mut self, op: S, a: clif::Value, by: i64) -> clif::Value {
        let by = self.b.ins().iconst(I32, by);
        match op {
            S::Left => self.b.ins().ishl(a, by),
            S::RightS | S::RightRoundS => self.b.ins().sshr(a, by),
            S::RightU | S::RightRoundU => self.b.ins().ushr(a, by),
        }
    }

    /// Leaves for the interpreter if the comparison holds in any lane.
    fn saturates_if_any(&mut self, cond: IntCC, a: clif::Value, b: clif::Value) {
        let lanes = self.b.ins().icmp(cond, a, b);
        let any = self.b.ins().vany_true(lanes);
        self.interpret_if(any, false);
    }

    fn reverse(&mut self, group: u8, size: Size, a: Value) -> clif::Value {
        let (a, bytes) = (self.get(a), size.bytes() as u8);
        let flip = group / bytes - 1;
        self.shuffle(a, a, |i| ((i / bytes) ^ flip) * bytes + i % bytes)
    }

    /// The lower half of each lane of twice the size, in the lower half.
    fn narrow_lanes(&mut self, size: Size, a: clif::Value) -> clif::Value {
        let (zero, bytes) = (self.constant_vector(0, 0), size.bytes() as u8);
        self.shuffle(a, zero, |i| {
            if i < 8 {
                i / bytes * 2 * bytes + i % bytes
            } else {
                16 + i
            }
        })
    }

    /// In each lane the sum of its halves, which have this many bits.
    fn pairwise_widened(&mut self, signed: bool, bits: i64, a: clif::Value) -> clif::Value {
        let right = if signed { S::RightS } else { S::RightU };
        let up = self.shifted(S::Left, a, bits);
        let (low, high) = (self.shifted(right, up, bits), self.shifted(right, a, bits));
        self.b.ins().iadd(low, high)
    }

    /// All lanes folded into the lowest, half of them at a time; the rest zero.
    fn across(&mut self, op: U, size: Size, a: Value) -> clif::Value {
        let mut all = self.get(a);
        let bytes = size.bytes() as u8;
        let mut half = 8;
        while half >= bytes {
            let upper = self.shuffle(all, all, |i| (i + half) % 16);
            let (x, y) = (
                self.as_type(vector_type(size), all),
                self.as_type(vector_type(size), upper),
            );
            let ins = self.b.ins();
            let folded = match op {
                U::Sum => ins.iadd(x, y),
                U::LeastS => ins.smin(x, y),
                U::LeastU => ins.umin(x, y),
                U::GreatestS => ins.smax(x, y),
                U::GreatestU => ins.umax(x, y),
                other => unreachable!("{other:?} is left to the interpreter"),
            };
            all = self.bytes(folded);
            half /= 2;
        }
        let zero = self.constant_vector(0, 0);
        self.shuffle(all, zero, |i| if i < bytes { i } else { 16 + i % 16 })
    }

    pub(super) fn lanes_binary(&mut self, op: B, size: Size, a: Value, b: Value) -> clif::Value {
        let (x, y) = (self.lanes(size, a), self.lanes(size, b));
        let value = match op {
            B::Mul => self.multiply_bytes(a, b),
            B::MulWideS => {
                let (x, y) = (self.b.ins().swiden_low(x), self.b.ins().swiden_low(y));
                self.b.ins().imul(x, y)
            }
            B::MulWideU => {
                let (x, y) = (self.b.ins().uwiden_low(x), self.b.ins().uwiden_low(y));
                self.b.ins().imul(x, y)
            }
            B::DiffS => {
                let (most, least) = (self.b.ins().smax(x, y), self.b.ins().smin(x, y));
                self.b.ins().isub(most, least)
            }
            B::DiffU => {
                let (most, least) = (self.b.ins().umax(x, y), self.b.ins().umin(x, y));
                self.b.ins().isub(most, least)
            }
            B::AddSatS | B::AddSatU | B::SubSatS | B::SubSatU => self.saturating(op, size, x, y),
            _ => self.half_sum(op, x, y),
        };
        self.bytes(value)
    }

    /// a + b is twice what they have in common, and what only one has; a − b is
    /// what only one has, less twice what only b has.
    fn half_sum(&mut self, op: B, a: clif::Value, b: clif::Value) -> clif::Value {
        let differ = self.b.ins().bxor(a, b);
        let half = if matches!(op, B::AverageDownS | B::AverageUpS | B::HalfSubS) {
            self.shifted(S::RightS, differ, 1)
        } else {
            // Whether the operands are signed: the difference is.
            self.shifted(S::RightU, differ, 1)
        };
        match op {
            B::AverageDownS | B::AverageDownU => {
                let common = self.b.ins().band(a, b);
                self.b.ins().iadd(common, half)
            }
            B::AverageUpS | B::AverageUpU => {
                let any = self.b.ins().bor(a, b);
                self.b.ins().isub(any, half)
            }
            _ => {
                let only = self.b.ins().band_not(b, a);
                self.b.ins().isub(half, only)
            }
        }
    }

    /// A sum or difference that does not saturate.
    fn saturating(&mut self, op: B, size: Size, a: clif::Value, b: clif::Value) -> clif::Value {
        let subtracts = matches!(op, B::SubSatS | B::SubSatU);
        let result = if subtracts {
            self.b.ins().isub(a, b)
        } else {
            self.b.ins().iadd(a, b)
        };
        match op {
            B::AddSatU => self.saturates_if_any(IntCC::UnsignedLessThan, result, a),
            B::SubSatU => self.saturates_if_any(IntCC::UnsignedLessThan, a, b),
            _ => {
                // The sign of the result is not that of a, though b's (of a
                // difference: its opposite) is.
                let from_a = self.b.ins().bxor(result, a);
                let of_b = if subtracts { a } else { result };
                let from_b = self.b.ins().bxor(of_b, b);
                let both = self.b.ins().band(from_a, from_b);
                let zero = self.splat_of(size, 0);
                self.saturates_if_any(IntCC::SignedLessThan, both, zero);
            }
        }
        result
    }

    /// The host multiplies lanes of two bytes: even ones, then odd ones.
    fn multiply_bytes(&mut self, a: Value, b: Value) -> clif::Value {
        let (a, b) = (self.lanes(Size::B2, a), self.lanes(Size::B2, b));
        let low = self.splat_of(Size::B2, 0xff);
        let even = self.b.ins().imul(a, b);
        let even = self.b.ins().band(even, low);
        let (a, b) = (self.shifted(S::RightU, a, 8), self.shifted(S::RightU, b, 8));
        let odd = self.b.ins().imul(a, b);
        let odd = self.shifted(S::Left, odd, 8);
        self.b.ins().bor(even, odd)
    }

    /// a + the sums of four products of bytes each.
    pub(super) fn dot(&mut self, op: T, a: Value, b: Value, c: Value) -> clif::Value {
        let signed = op == T::DotS;
        let (b, c) = (self.lanes(Size::B1, b), self.lanes(Size::B1, c));
        let (low, high) = if signed {
            let (b0, c0) = (self.b.ins().swiden_low(b), self.b.ins().swiden_low(c));
            let (b1, c1) = (self.b.ins().swiden_high(b), self.b.ins().swiden_high(c));
            (self.b.ins().imul(b0, c0), self.b.ins().imul(b1, c1))
        } else {
            let (b0, c0) = (self.b.ins().uwiden_low(b), self.b.ins().uwiden_low(c));
            let (b1, c1) = (self.b.ins().uwiden_high(b), self.b.ins().uwiden_high(c));
            (self.b.ins().imul(b0, c0), self.b.ins().imul(b1, c1))
        };
        let pairs = [low, high].map(|products| {
            debug_assert_eq!(self.b.func.dfg.value_type(products), I16X8);
            let products = self.bytes(products);
            let products = self.as_type(I32X4, products);
            self.pairwise_widened(signed, 16, products)
        });
        let sums = self.b.ins().iadd_pairwise(pairs[0], pairs[1]);
        let a = self.lanes(Size::B4, a);
        let value = self.b.ins().iadd(a, sums);
        self.bytes(value)
    }
}
