//! Vector operations in the interpreter: [`lanes`](super::lanes) and
//! [`float`](crate::aarch64::float) applied to the guest's state and memory.

use std::cmp::Ordering;

use super::Run;
use super::{extend, lanes};
use crate::aarch64::float::{Float, Precision, QC};
use crate::exit::{Access, Exit};
use crate::fault::{self, Wide};
use crate::ir::{
    Bytes, Convert, Format, Rounding, ScalarInt, Shape, Size, Vector, VectorFloatBinary,
    VectorFloatUnary,
};
use crate::state::NO_RESERVATION;

fn size_of(format: Format) -> Size {
    match format {
        Format::Single => Size::B4,
        Format::Double => Size::B8,
    }
}

fn halves(a: u128) -> [u64; 2] {
    [a as u64, (a >> 64) as u64]
}

fn whole([low, high]: [u64; 2]) -> u128 {
    u128::from(low) | u128::from(high) << 64
}

/// The lowest lanes through `f`, the rest zero.
fn each(shape: Shape, mut f: impl FnMut(u32) -> u64) -> u128 {
    let size = size_of(shape.format);
    lanes::build(size, |n| if n < shape.lanes.into() { f(n) } else { 0 })
}

/// One lane of a [`Vector::FloatUnary`].
pub fn float_unary(float: &mut Float, op: VectorFloatUnary, format: Format, a: u64) -> u64 {
    use VectorFloatUnary as V;
    let p = Precision::from(format);
    let size = size_of(format);
    let bits = size.bytes() * 8;
    match op {
        V::Sqrt => float.sqrt(p, a),
        V::Round(rounding, exact) => float.round_int(p, a, rounding, exact),
        V::RecipEstimate => float.recip_estimate(p, a),
        V::RsqrtEstimate => float.rsqrt_estimate(p, a),
        V::RecipExponent => float.recip_exponent(p, a),
        V::ToInt(rounding, signed, fraction) => {
            float.to_int(p, a, (bits, signed, fraction), rounding)
        }
        V::FromInt(signed, fraction) => {
            let a = extend(size, signed, a);
            let integer = if signed {
                i128::from(a as i64)
            } else {
                i128::from(a)
            };
            float.from_int(p, integer, fraction, Rounding::Dynamic)
        }
    }
}

/// One lane of a [`Vector::FloatBinary`].
pub fn float_binary(
    float: &mut Float,
    op: VectorFloatBinary,
    format: Format,
    a: u64,
    b: u64,
) -> u64 {
    use VectorFloatBinary as V;
    let p = Precision::from(format);
    let ones = |holds| if holds { u64::MAX } else { 0 };
    match op {
        V::Add => float.add(p, a, b, false),
        V::Sub => float.add(p, a, b, true),
        V::Mul => float.mul(p, a, b, false),
        V::MulExtended => float.mul(p, a, b, true),
        V::Div => float.div(p, a, b),
        V::Min => float.min_max(p, a, b, false),
        V::Max => float.min_max(p, a, b, true),
        V::MinNumber => float.min_max_number(p, a, b, false),
        V::MaxNumber => float.min_max_number(p, a, b, true),
        V::RecipStep => float.step(p, a, b, false),
        V::RsqrtStep => float.step(p, a, b, true),
        V::Eq => ones(float.compare(p, a, b, false) == Some(Ordering::Equal)),
        V::Ge => ones(float.compare(p, a, b, true).is_some_and(Ordering::is_ge)),
        V::Gt => ones(float.compare(p, a, b, true) == Some(Ordering::Greater)),
    }
}

fn convert(float: &mut Float, op: Convert, count: u8, a: u128) -> u128 {
    use Precision::{Double, Half, Single};
    let (from, to, odd) = match op {
        Convert::HalfToSingle => (Half, Single, false),
        Convert::HalfToDouble => (Half, Double, false),
        Convert::SingleToHalf => (Single, Half, false),
        Convert::DoubleToHalf => (Double, Half, false),
        Convert::SingleToDouble => (Single, Double, false),
        Convert::DoubleToSingle => (Double, Single, false),
        Convert::DoubleToSingleOdd => (Double, Single, true),
    };
    let size = |p| match p {
        Half => Size::B2,
        Single => Size::B4,
        Double => Size::B8,
    };
    (0..count.into()).fold(0, |result, n| {
        let value = float.convert(from, to, lanes::lane(size(from), a, n), odd);
        lanes::with_lane(size(to), result, n, value)
    })
}

impl Run<'_> {
    pub(super) fn vector_register(&self, n: u8) -> u128 {
        whole(self.state.aarch64.v[usize::from(n)])
    }

    pub(super) fn set_vector_register(&mut self, n: u8, value: u128) {
        self.state.aarch64.v[usize::from(n)] = halves(value);
    }

    /// Runs AArch64's floating-point arithmetic and keeps the flags it raised.
    pub(super) fn arm<T>(&mut self, f: impl FnOnce(&mut Float) -> T) -> T {
        let mut float = Float::new(self.state.aarch64.fpcr);
        let value = f(&mut float);
        self.state.aarch64.fpsr |= float.raised;
        value
    }

    fn saturating(&mut self, f: impl FnOnce(&mut bool) -> u128) -> u128 {
        let mut saturated = false;
        let value = f(&mut saturated);
        if saturated {
            self.state.aarch64.fpsr |= QC;
        }
        value
    }

    /// Does one operation and gives its value, 0 when it has none.
    pub(super) fn vector(&mut self, op: &Vector) -> Result<u128, Exit> {
        Ok(match *op {
            Vector::Const(low, high) => whole([low, high]),
            Vector::Load(bytes, a, by) => {
                self.load_vector(bytes, self.get(a).wrapping_add_signed(by.into()))?
            }
            Vector::Store(bytes, a, by, v) => {
                let address = self.get(a).wrapping_add_signed(by.into());
                self.store_vector(bytes, address, self.get_vector(v))?;
                0
            }
            Vector::FromInt(a) => self.get(a).into(),
            Vector::Lane(size, n, signed, a) => extend(
                size,
                signed,
                lanes::lane(size, self.get_vector(a), n.into()),
            )
            .into(),
            Vector::WithLane(size, n, a, b) => {
                lanes::with_lane(size, self.get_vector(a), n.into(), self.get(b))
            }
            Vector::Splat(size, a) => lanes::build(size, |_| self.get(a)),
            Vector::SplatLane(size, n, a) => {
                let value = lanes::lane(size, self.get_vector(a), n.into());
                lanes::build(size, |_| value)
            }
            Vector::Choose(c, a, b) => self.get_vector(if self.get(c) != 0 { a } else { b }),
            Vector::Unary(op, size, a) => {
                let a = self.get_vector(a);
                self.saturating(|saturated| lanes::unary(op, size, a, saturated))
            }
            Vector::Binary(op, size, a, b) => {
                let (a, b) = (self.get_vector(a), self.get_vector(b));
                self.saturating(|saturated| lanes::binary(op, size, a, b, saturated))
            }
            Vector::Shift(op, size, a, by) => lanes::shift_by(op, size, self.get_vector(a), by),
            Vector::Ternary(op, size, a, b, c) => {
                let operands = (self.get_vector(a), self.get_vector(b), self.get_vector(c));
                self.saturating(|saturated| lanes::ternary(op, size, operands, saturated))
            }
            Vector::Extract(a, b, n) => match u32::from(n) * 8 {
                0 => self.get_vector(a),
                by => self.get_vector(a) >> by | self.get_vector(b) << (128 - by),
            },
            Vector::LoadReserved(a) => self.load_reserved_pair(self.get(a))?,
            Vector::StoreConditional(a, v) => self
                .store_conditional_pair(self.get(a), self.get_vector(v))?
                .into(),
            Vector::CompareExchange(a, expected, new) => {
                let host = self.aligned_pair(self.get(a), Access::Write)?;
                self.exchange_pair(host, self.get_vector(expected), self.get_vector(new))?
            }
            ref float => self.vector_float(float),
        })
    }

    fn vector_float(&mut self, op: &Vector) -> u128 {
        match *op {
            Vector::FloatUnary(op, shape, a) => {
                let (a, size) = (self.get_vector(a), size_of(shape.format));
                let f = |float: &mut Float, n| {
                    float_unary(float, op, shape.format, lanes::lane(size, a, n))
                };
                self.arm(|float| each(shape, |n| f(float, n)))
            }
            Vector::FloatBinary(op, shape, a, b) => {
                let (a, b, size) = (
                    self.get_vector(a),
                    self.get_vector(b),
                    size_of(shape.format),
                );
                self.arm(|float| {
                    each(shape, |n| {
                        let (x, y) = (lanes::lane(size, a, n), lanes::lane(size, b, n));
                        float_binary(float, op, shape.format, x, y)
                    })
                })
            }
            Vector::FloatFused(shape, a, b, c) => {
                let operands = [self.get_vector(a), self.get_vector(b), self.get_vector(c)];
                let size = size_of(shape.format);
                self.arm(|float| {
                    each(shape, |n| {
                        let [x, y, z] = operands.map(|v| lanes::lane(size, v, n));
                        float.fused(Precision::from(shape.format), x, y, z)
                    })
                })
            }
            Vector::FloatConvert(op, count, a) => {
                let a = self.get_vector(a);
                self.arm(|float| convert(float, op, count, a))
            }
            Vector::ToInt(c, a) => {
                let a = lanes::lane(size_of(c.format), self.get_vector(a), 0);
                let target = (c.width.bits(), c.signed, c.fraction);
                self.arm(|float| float.to_int(c.format.into(), a, target, c.rounding))
                    .into()
            }
            Vector::FromScalar(c, a) => {
                let a = integer(&c, self.get(a));
                self.arm(|float| float.from_int(c.format.into(), a, c.fraction, c.rounding))
                    .into()
            }
            ref other => unreachable!("{other:?} is no floating-point operation"),
        }
    }

    fn load_vector(&mut self, bytes: Bytes, address: u64) -> Result<u128, Exit> {
        let host = self.host(address, Access::Read)?;
        let loaded = match bytes.size() {
            // SAFETY: `host` checked that the first byte is below the limit, and
            // the guard behind it is longer than any access.
            Some(size) => unsafe { fault::load(size, host) }.map(u128::from),
            // SAFETY: the same.
            None => unsafe { fault::load_wide(host) }.map(whole),
        };
        loaded.map_err(|fault| self.fault(fault, Access::Read))
    }

    fn store_vector(&mut self, bytes: Bytes, address: u64, value: u128) -> Result<(), Exit> {
        let host = self.host(address, Access::Write)?;
        let stored = match bytes.size() {
            // SAFETY: as in `load_vector`.
            Some(size) => unsafe { fault::store(size, host, value as u64) },
            // SAFETY: as in `load_vector`.
            None => unsafe { fault::store_wide(host, halves(value)) },
        };
        stored.map_err(|fault| self.fault(fault, Access::Write))
    }

    /// The host address of an aligned access of 16 bytes.
    fn aligned_pair(&self, address: u64, access: Access) -> Result<u64, Exit> {
        if address.is_multiple_of(16) {
            return self.host(address, access);
        }
        Err(super::misaligned(address, access))
    }

    fn load_reserved_pair(&mut self, address: u64) -> Result<u128, Exit> {
        let host = self.aligned_pair(address, Access::Read)?;
        // SAFETY: as in `load_vector`.
        let loaded = unsafe { fault::load_wide(host) };
        let [low, high] = loaded.map_err(|fault| self.fault(fault, Access::Read))?;
        self.state.reservation = address;
        self.state.reservation_value = low;
        self.state.aarch64.reservation_high = high;
        Ok(whole([low, high]))
    }

    fn store_conditional_pair(&mut self, address: u64, value: u128) -> Result<u64, Exit> {
        let host = self.aligned_pair(address, Access::Write)?;
        let reserved = self.state.reservation == address;
        let expected = whole([
            self.state.reservation_value,
            self.state.aarch64.reservation_high,
        ]);
        let failed = !reserved || self.exchange_pair(host, expected, value)? != expected;
        self.state.reservation = NO_RESERVATION;
        Ok(failed.into())
    }

    fn exchange_pair(&mut self, host: u64, expected: u128, new: u128) -> Result<u128, Exit> {
        let exchange = Wide {
            expected: halves(expected),
            new: halves(new),
        };
        // SAFETY: as in `load_vector`.
        let old = unsafe { fault::compare_exchange_wide(host, exchange) };
        old.map(whole)
            .map_err(|fault| self.fault(fault, Access::Write))
    }
}

/// An integer register as the number that it is.
fn integer(c: &ScalarInt, a: u64) -> i128 {
    let size = if c.width.bits() == 32 {
        Size::B4
    } else {
        Size::B8
    };
    let a = extend(size, c.signed, a);
    if c.signed {
        i128::from(a as i64)
    } else {
        i128::from(a)
    }
}
