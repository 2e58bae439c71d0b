//! Vectors, as values of sixteen bytes. Operations that the host has not got in
//! a few instructions are left to the interpreter ([`is_lowered`]).

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F64, I8, I8X16, I16, I16X8, I32, I32X4, I64, I64X2};
use cranelift_codegen::ir::{self as clif, ConstantData, Endianness, InstBuilder, MemFlagsData};

use super::emit::Emit;
use super::lanes;
use super::numbers;
use crate::ir::{
    Bytes, Format, Op, Size, Value, Vector, VectorBinary as B, VectorShift as S,
    VectorTernary as T, VectorUnary as U,
};

/// Accesses to guest memory: not aligned, and they may fault.
const GUEST: MemFlagsData = MemFlagsData::new();

/// A cast between lane sizes, as they lie in memory.
fn cast() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

pub(super) fn vector_type(size: Size) -> clif::Type {
    match size {
        Size::B1 => I8X16,
        Size::B2 => I16X8,
        Size::B4 => I32X4,
        Size::B8 => I64X2,
    }
}

pub(super) fn lane_type(size: Size) -> clif::Type {
    match size {
        Size::B1 => I8,
        Size::B2 => I16,
        Size::B4 => I32,
        Size::B8 => I64,
    }
}

/// Whether an operation is lowered here.
pub(super) fn is_lowered(op: &Vector, fused: bool) -> bool {
    match *op {
        Vector::Unary(op, size, _) => match op {
            U::Low | U::High | U::Not | U::Neg | U::WidenS | U::WidenU | U::PopCount => true,
            U::Abs => true,
            _ => lanes::is_unary(op, size),
        },
        Vector::Binary(op, size, ..) => match op {
            B::And | B::Or | B::Xor | B::AndNot | B::OrNot | B::Add | B::Sub | B::Concat => true,
            B::Eq | B::GtS | B::GeS | B::GtU | B::GeU | B::Test => true,
            B::Zip1 | B::Zip2 | B::Uzp1 | B::Uzp2 | B::Trn1 | B::Trn2 | B::Table => true,
            B::MinS | B::MinU | B::MaxS | B::MaxU => size != Size::B8,
            _ => size != Size::B1 && op == B::Mul || lanes::is_binary(op, size),
        },
        Vector::Shift(..) => true,
        Vector::Ternary(op, ..) => op == T::Select || lanes::is_ternary(op),
        ref float @ (Vector::FloatUnary(..)
        | Vector::FloatBinary(..)
        | Vector::FloatFused(..)
        | Vector::FloatConvert(..)
        | Vector::ToInt(..)
        | Vector::FromScalar(..)) => numbers::is_lowered(float, fused),
        Vector::LoadReserved(_) | Vector::StoreConditional(..) | Vector::CompareExchange(..) => {
            false
        }
        _ => true,
    }
}

impl Emit<'_> {
    pub(super) fn as_type(&mut self, ty: clif::Type, v: clif::Value) -> clif::Value {
        if self.b.func.dfg.value_type(v) == ty {
            v
        } else {
            self.b.ins().bitcast(ty, cast(), v)
        }
    }

    pub(super) fn lanes(&mut self, size: Size, v: Value) -> clif::Value {
        let v = self.get(v);
        self.as_type(vector_type(size), v)
    }

    pub(super) fn bytes(&mut self, v: clif::Value) -> clif::Value {
        self.as_type(I8X16, v)
    }

    pub(super) fn constant_vector(&mut self, low: u64, high: u64) -> clif::Value {
        let bytes = [low.to_le_bytes(), high.to_le_bytes()].concat();
        let handle = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
        self.b.ins().vconst(I8X16, handle)
    }

    /// A scalar of an integer type in the lowest lane, the rest zero.
    pub(super) fn in_lowest(&mut self, scalar: clif::Value) -> clif::Value {
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

    pub(super) fn vector(&mut self, op: &Vector, ops: &[Op]) -> Option<clif::Value> {
        Some(match *op {
            Vector::Const(low, high) => self.constant_vector(low, high),
            Vector::Load(bytes, a, by) => {
                let at = self.host_address(a, false);
                let ty = match bytes.size() {
                    None => I8X16,
                    Some(Size::B8) => F64,
                    Some(Size::B4) => F32,
                    Some(size) => lane_type(size),
                };
                let loaded = self.b.ins().load(ty, GUEST, at, by);
                self.accessed(false);
                match ty {
                    I8X16 => loaded,
                    F64 | F32 => self.in_lowest_float(loaded),
                    _ => self.in_lowest(loaded),
                }
            }
            Vector::Store(bytes, a, by, v) => {
                let at = self.host_address(a, true);
                let value = match bytes.size() {
                    None => self.get(v),
                    Some(Size::B8) => self.scalar(Format::Double, v),
                    Some(Size::B4) => self.scalar(Format::Single, v),
                    Some(size) => {
                        let v = self.lanes(size, v);
                        self.b.ins().extractlane(v, 0)
                    }
                };
                debug_assert!(bytes != Bytes::B16 || self.b.func.dfg.value_type(value) == I8X16);
                self.b.ins().store(GUEST, value, at, by);
                self.accessed(true);
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
            Vector::Binary(op, size, a, b) => {
                self.sign_of_scalar(op, a, b, ops);
                self.vector_binary(op, size, a, b)
            }
            Vector::Shift(op, size, a, by) => self.vector_shift(op, size, a, by),
            Vector::Ternary(op @ (T::DotS | T::DotU), _, a, b, c) => self.dot(op, a, b, c),
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
    pub(super) fn shuffle(
        &mut self,
        a: clif::Value,
        b: clif::Value,
        from: impl Fn(u8) -> u8,
    ) -> clif::Value {
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
        if lanes::is_unary(op, size) {
            return self.lanes_unary(op, size, a);
        }
        let value = match op {
            U::Low => {
                let low = self.scalar(Format::Double, a);
                return self.in_lowest_float(low);
            }
            U::High => {
                let (a, zero) = (self.get(a), self.constant_vector(0, 0));
                self.shuffle(a, zero, |i| i + 8)
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
        if lanes::is_binary(op, size) {
            return self.lanes_binary(op, size, a, b);
        }
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
        let value = match op {
            S::Left => self.shifted(S::Left, a, by.into()),
            S::RightS | S::RightU => self.shifted_right(op, bits, a, by),
            S::RightRoundS | S::RightRoundU => {
                // Rounded up where the last bit that goes is one.
                let down = self.shifted_right(op, bits, a, by);
                let up = self.shifted(S::Left, a, (bits - by).into());
                let last = self.shifted(S::RightU, up, (bits - 1).into());
                self.b.ins().iadd(down, last)
            }
        };
        self.bytes(value)
    }

    /// Shifted by as many bits as a lane has, or fewer.
    fn shifted_right(&mut self, op: S, bits: u8, a: clif::Value, by: u8) -> clif::Value {
        if matches!(op, S::RightS | S::RightRoundS) {
            return self.shifted(op, a, by.min(bits - 1).into());
        }
        if by == bits {
            let zero = self.constant_vector(0, 0);
            let ty = self.b.func.dfg.value_type(a);
            return self.as_type(ty, zero);
        }
        self.shifted(op, a, by.into())
    }
}
