//! IEEE 754 arithmetic in integers.
//!
//! The independent answer that tests compare host floating point with, and what
//! runs when the host cannot: ties away from zero, and fused multiplication
//! without a host instruction for it. Every operation computes the result
//! exactly, or with a sticky lowest bit, in 128 bits, and rounds it once, in
//! [`Float::round`].
//!
//! A number is its bits in the low end of a `u64`. NaN results are the one
//! quiet NaN (positive, highest fraction bit alone), as RISC-V has it.

use std::cmp::Ordering;

use crate::ir::{Format, Rounding};

/// Invalid operation.
pub const NV: u8 = 0x10;
/// Division of a finite number by zero.
pub const DZ: u8 = 0x08;
/// Overflow.
pub const OF: u8 = 0x04;
/// Underflow: tiny after rounding, and inexact.
pub const UF: u8 = 0x02;
/// Inexact.
pub const NX: u8 = 0x01;

/// A format, a rounding mode, and the flags raised so far.
#[derive(Clone, Copy, Debug)]
pub struct Float {
    format: Format,
    rounding: Rounding,
    /// [`NV`] and so on, sticky.
    pub flags: u8,
}

/// A number taken apart.
#[derive(Clone, Copy, Debug)]
struct Parts {
    sign: bool,
    class: Class,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Zero,
    /// significand × 2^exponent, the significand not zero.
    Finite {
        exponent: i32,
        significand: u64,
    },
    Infinity,
    QuietNan,
    SignallingNan,
}

/// Bits of the fraction field.
const fn fraction_bits(format: Format) -> u32 {
    match format {
        Format::Single => 23,
        Format::Double => 52,
    }
}

const fn bias(format: Format) -> i32 {
    match format {
        Format::Single => 127,
        Format::Double => 1023,
    }
}

const fn sign_bit(format: Format) -> u64 {
    match format {
        Format::Single => 1 << 31,
        Format::Double => 1 << 63,
    }
}

const fn infinity(format: Format) -> u64 {
    (2 * bias(format) as u64 + 1) << fraction_bits(format)
}

/// The quiet NaN that every operation gives.
pub const fn quiet_nan(format: Format) -> u64 {
    infinity(format) | 1 << (fraction_bits(format) - 1)
}

fn take_apart(format: Format, bits: u64) -> Parts {
    let fraction = bits & ((1 << fraction_bits(format)) - 1);
    let field = (bits & !sign_bit(format)) >> fraction_bits(format);
    let lowest = 1 - bias(format) - fraction_bits(format) as i32;
    let class = match (field as i32, fraction) {
        (0, 0) => Class::Zero,
        (0, _) => Class::Finite {
            exponent: lowest,
            significand: fraction,
        },
        (f, 0) if f == 2 * bias(format) + 1 => Class::Infinity,
        (f, _) if f == 2 * bias(format) + 1 => {
            if fraction >> (fraction_bits(format) - 1) == 1 {
                Class::QuietNan
            } else {
                Class::SignallingNan
            }
        }
        (f, _) => Class::Finite {
            exponent: lowest + f - 1,
            significand: fraction | 1 << fraction_bits(format),
        },
    };
    Parts {
        sign: bits & sign_bit(format) != 0,
        class,
    }
}

/// Shifts right by any amount; ones that fall out leave the lowest bit set.
fn shift_right_sticky(n: u128, by: u32) -> u128 {
    match by {
        0 => n,
        128.. => u128::from(n != 0),
        _ => n >> by | u128::from(n << (128 - by) != 0),
    }
}

impl Float {
    /// Arithmetic in this format. `rounding` must not be dynamic.
    pub fn new(format: Format, rounding: Rounding) -> Float {
        assert_ne!(
            rounding,
            Rounding::Dynamic,
            "the caller knows the rounding mode"
        );
        Float {
            format,
            rounding,
            flags: 0,
        }
    }

    fn nan(&mut self, invalid: bool) -> u64 {
        if invalid {
            self.flags |= NV;
        }
        quiet_nan(self.format)
    }

    /// The result when any of the operands is NaN.
    fn any_nan(&mut self, operands: &[Parts]) -> Option<u64> {
        let signalling = operands.iter().any(|p| p.class == Class::SignallingNan);
        let quiet = operands.iter().any(|p| p.class == Class::QuietNan);
        (signalling || quiet).then(|| self.nan(signalling))
    }

    fn zero(&self, sign: bool) -> u64 {
        if sign { sign_bit(self.format) } else { 0 }
    }

    fn signed_infinity(&self, sign: bool) -> u64 {
        self.zero(sign) | infinity(self.format)
    }

    /// The sign of a sum that is exactly zero, of terms that are not both
    /// zeros of one sign.
    fn cancelled(&self) -> u64 {
        self.zero(self.rounding == Rounding::Down)
    }

    /// Whether the magnitude goes up to the next one, when `remainder` is what
    /// is left over, in comparison with half of the last place.
    fn goes_up(&self, sign: bool, odd: bool, inexact: bool, half: Ordering) -> bool {
        match self.rounding {
            Rounding::Nearest => half == Ordering::Greater || half == Ordering::Equal && odd,
            Rounding::NearestAway => half != Ordering::Less,
            Rounding::Down => inexact && sign,
            Rounding::Up => inexact && !sign,
            Rounding::Zero | Rounding::Dynamic => false,
        }
    }

    /// significand ÷ 2^by rounded to an integer, and whether that was inexact.
    fn shift_rounded(&self, sign: bool, significand: u128, by: i32) -> (u128, bool) {
        if by <= 0 {
            return (significand << -by, false);
        }
        let (kept, half) = match by {
            129.. => (0, Ordering::Less),
            128 => (0, significand.cmp(&(1 << 127))),
            _ => {
                let rest = significand & ((1 << by) - 1);
                (significand >> by, rest.cmp(&(1 << (by - 1))))
            }
        };
        let inexact = by >= 128 || kept << by != significand;
        let up = self.goes_up(sign, kept & 1 == 1, inexact, half);
        (kept + u128::from(up), inexact)
    }

    /// ±significand × 2^exponent in this format, rounded. The significand is
    /// not zero; its lowest bit may be sticky when it has at least three bits
    /// more than the format.
    fn round(&mut self, sign: bool, exponent: i32, significand: u128) -> u64 {
        let fraction = fraction_bits(self.format) as i32;
        let lowest_normal = 1 - bias(self.format);
        let leading = exponent + 127 - significand.leading_zeros() as i32;
        let mut unit = leading.max(lowest_normal) - fraction;
        let (mut kept, inexact) = self.shift_rounded(sign, significand, unit - exponent);
        if kept >> (fraction + 1) != 0 {
            kept >>= 1;
            unit += 1;
        }
        if inexact {
            self.flags |= NX;
            if self.is_tiny(sign, leading, significand, exponent) {
                self.flags |= UF;
            }
        }
        if kept >> fraction == 0 {
            return self.zero(sign) | kept as u64;
        }
        let field = unit + fraction + bias(self.format);
        if field > 2 * bias(self.format) {
            return self.overflow(sign);
        }
        let fraction_mask = (1u64 << fraction) - 1;
        self.zero(sign) | (field as u64) << fraction | kept as u64 & fraction_mask
    }

    /// Whether the number would lie below the normal ones if exponents had no
    /// bound: tininess after rounding.
    fn is_tiny(&self, sign: bool, leading: i32, significand: u128, exponent: i32) -> bool {
        let fraction = fraction_bits(self.format) as i32;
        let lowest_normal = 1 - bias(self.format);
        if leading != lowest_normal - 1 {
            return leading < lowest_normal;
        }
        let (kept, _) = self.shift_rounded(sign, significand, leading - fraction - exponent);
        kept >> (fraction + 1) == 0
    }

    fn overflow(&mut self, sign: bool) -> u64 {
        self.flags |= OF | NX;
        let to_infinity = match self.rounding {
            Rounding::Nearest | Rounding::NearestAway => true,
            Rounding::Up => !sign,
            Rounding::Down => sign,
            Rounding::Zero | Rounding::Dynamic => false,
        };
        self.signed_infinity(sign) - u64::from(!to_infinity)
    }

    /// a + b, or a − b.
    pub fn add(&mut self, a: u64, b: u64, subtract: bool) -> u64 {
        let x = take_apart(self.format, a);
        let mut y = take_apart(self.format, b);
        y.sign ^= subtract;
        if let Some(nan) = self.any_nan(&[x, y]) {
            return nan;
        }
        match (x.class, y.class) {
            (Class::Infinity, Class::Infinity) if x.sign != y.sign => self.nan(true),
            (Class::Infinity, _) => self.signed_infinity(x.sign),
            (_, Class::Infinity) => self.signed_infinity(y.sign),
            (Class::Zero, Class::Zero) if x.sign == y.sign => self.zero(x.sign),
            (Class::Zero, Class::Zero) => self.cancelled(),
            (Class::Zero, _) => b ^ self.zero(subtract),
            (_, Class::Zero) => a,
            (
                Class::Finite {
                    exponent: e,
                    significand: s,
                },
                Class::Finite {
                    exponent: f,
                    significand: t,
                },
            ) => {
                if e >= f {
                    self.sum((x.sign, e, s.into()), (y.sign, f, t.into()), 70)
                } else {
                    self.sum((y.sign, f, t.into()), (x.sign, e, s.into()), 70)
                }
            }
            _ => unreachable!("NaNs were dealt with"),
        }
    }

    /// The sum of two numbers, the first with the greater exponent, of whose
    /// significand the highest `room` bits are zero.
    fn sum(&mut self, high: (bool, i32, u128), low: (bool, i32, u128), room: u32) -> u64 {
        let distance = (high.1 - low.1) as u32;
        let up = distance.min(room);
        let big = high.2 << up;
        let small = shift_right_sticky(low.2, distance - up);
        let exponent = high.1 - up as i32;
        if high.0 == low.0 {
            return self.round(high.0, exponent, big + small);
        }
        match big.cmp(&small) {
            Ordering::Equal => self.cancelled(),
            Ordering::Greater => self.round(high.0, exponent, big - small),
            Ordering::Less => self.round(low.0, exponent, small - big),
        }
    }

    /// a × b.
    pub fn mul(&mut self, a: u64, b: u64) -> u64 {
        let (x, y) = (take_apart(self.format, a), take_apart(self.format, b));
        if let Some(nan) = self.any_nan(&[x, y]) {
            return nan;
        }
        let sign = x.sign ^ y.sign;
        match (x.class, y.class) {
            (Class::Infinity, Class::Zero) | (Class::Zero, Class::Infinity) => self.nan(true),
            (Class::Infinity, _) | (_, Class::Infinity) => self.signed_infinity(sign),
            (
                Class::Finite {
                    exponent: e,
                    significand: s,
                },
                Class::Finite {
                    exponent: f,
                    significand: t,
                },
            ) => self.round(sign, e + f, u128::from(s) * u128::from(t)),
            _ => self.zero(sign),
        }
    }

    /// a ÷ b.
    pub fn div(&mut self, a: u64, b: u64) -> u64 {
        let (x, y) = (take_apart(self.format, a), take_apart(self.format, b));
        if let Some(nan) = self.any_nan(&[x, y]) {
            return nan;
        }
        let sign = x.sign ^ y.sign;
        match (x.class, y.class) {
            (Class::Infinity, Class::Infinity) | (Class::Zero, Class::Zero) => self.nan(true),
            (Class::Infinity, _) => self.signed_infinity(sign),
            (Class::Zero, _) | (_, Class::Infinity) => self.zero(sign),
            (_, Class::Zero) => {
                self.flags |= DZ;
                self.signed_infinity(sign)
            }
            (
                Class::Finite {
                    exponent: e,
                    significand: s,
                },
                Class::Finite {
                    exponent: f,
                    significand: t,
                },
            ) => {
                let shift = u128::from(s).leading_zeros() - 1;
                let (dividend, divisor) = (u128::from(s) << shift, u128::from(t));
                let sticky = u128::from(dividend % divisor != 0);
                self.round(sign, e - f - shift as i32, dividend / divisor | sticky)
            }
            _ => unreachable!("NaNs were dealt with"),
        }
    }

    /// √a.
    pub fn sqrt(&mut self, a: u64) -> u64 {
        let x = take_apart(self.format, a);
        if let Some(nan) = self.any_nan(&[x]) {
            return nan;
        }
        match x.class {
            Class::Zero => a,
            _ if x.sign => self.nan(true),
            Class::Finite {
                exponent,
                significand,
            } => {
                let mut shift = u128::from(significand).leading_zeros() as i32 - 1;
                shift -= (exponent - shift) & 1;
                let square = u128::from(significand) << shift;
                let root = square.isqrt();
                let sticky = u128::from(root * root != square);
                self.round(false, (exponent - shift) / 2, root | sticky)
            }
            _ => a,
        }
    }

    /// a × b + c with one rounding.
    pub fn fused(&mut self, a: u64, b: u64, c: u64) -> u64 {
        let [x, y, z] = [a, b, c].map(|bits| take_apart(self.format, bits));
        let zero_times_infinity = matches!(
            (x.class, y.class),
            (Class::Zero, Class::Infinity) | (Class::Infinity, Class::Zero)
        );
        let nan = self.any_nan(&[x, y, z]);
        if zero_times_infinity {
            return self.nan(true);
        }
        if let Some(nan) = nan {
            return nan;
        }
        let sign = x.sign ^ y.sign;
        let product_is_infinite = x.class == Class::Infinity || y.class == Class::Infinity;
        match z.class {
            Class::Infinity if product_is_infinite && sign != z.sign => return self.nan(true),
            Class::Infinity => return c,
            _ if product_is_infinite => return self.signed_infinity(sign),
            _ => {}
        }
        let (
            Class::Finite {
                exponent: e,
                significand: s,
            },
            Class::Finite {
                exponent: f,
                significand: t,
            },
        ) = (x.class, y.class)
        else {
            return match z.class {
                Class::Zero if z.sign == sign => self.zero(sign),
                Class::Zero => self.cancelled(),
                _ => c,
            };
        };
        let product = (sign, e + f, u128::from(s) * u128::from(t));
        match z.class {
            Class::Finite {
                exponent,
                significand,
            } if exponent > product.1 => {
                self.sum((z.sign, exponent, significand.into()), product, 73)
            }
            Class::Finite {
                exponent,
                significand,
            } => self.sum(product, (z.sign, exponent, significand.into()), 20),
            _ => self.round(product.0, product.1, product.2),
        }
    }

    /// The lesser or (`max`) the greater; a NaN loses, −0 < +0.
    pub fn min_max(&mut self, a: u64, b: u64, max: bool) -> u64 {
        let (x, y) = (take_apart(self.format, a), take_apart(self.format, b));
        if x.class == Class::SignallingNan || y.class == Class::SignallingNan {
            self.flags |= NV;
        }
        let is_nan = |p: Parts| matches!(p.class, Class::QuietNan | Class::SignallingNan);
        match (is_nan(x), is_nan(y)) {
            (true, true) => quiet_nan(self.format),
            (true, false) => b,
            (false, true) => a,
            (false, false) => {
                let a_less = self.key(a) < self.key(b);
                if a_less != max { a } else { b }
            }
        }
    }

    /// Orders numbers that are not NaN, −0 before +0.
    fn key(&self, bits: u64) -> i64 {
        let magnitude = (bits & !sign_bit(self.format)) as i64;
        if bits & sign_bit(self.format) != 0 {
            !magnitude
        } else {
            magnitude
        }
    }

    /// How a compares with b; `None` when either is NaN, which is invalid for
    /// a signalling one and, if `signals`, for any.
    pub fn compare(&mut self, a: u64, b: u64, signals: bool) -> Option<Ordering> {
        let (x, y) = (take_apart(self.format, a), take_apart(self.format, b));
        let signalling = x.class == Class::SignallingNan || y.class == Class::SignallingNan;
        let quiet = x.class == Class::QuietNan || y.class == Class::QuietNan;
        if signalling || quiet {
            self.nan(signalling || signals);
            return None;
        }
        if x.class == Class::Zero && y.class == Class::Zero {
            return Some(Ordering::Equal);
        }
        Some(self.key(a).cmp(&self.key(b)))
    }

    /// The bit of [`Op::FloatClass`](crate::ir::Op::FloatClass).
    pub fn class(&self, a: u64) -> u64 {
        let x = take_apart(self.format, a);
        let normal = 1u64 << fraction_bits(self.format);
        let bit = match (x.class, x.sign) {
            (Class::Infinity, true) => 0,
            (Class::Finite { significand, .. }, true) => {
                if significand >= normal {
                    1
                } else {
                    2
                }
            }
            (Class::Zero, true) => 3,
            (Class::Zero, false) => 4,
            (Class::Finite { significand, .. }, false) => {
                if significand >= normal {
                    6
                } else {
                    5
                }
            }
            (Class::Infinity, false) => 7,
            (Class::SignallingNan, _) => 8,
            (Class::QuietNan, _) => 9,
        };
        1 << bit
    }

    /// The number as an integer of `bits` (32 or 64) bits, zero-extended;
    /// saturates, a NaN to the greatest.
    pub fn to_int(&mut self, a: u64, bits: u32, signed: bool) -> u64 {
        let x = take_apart(self.format, a);
        let mask = u64::MAX >> (64 - bits);
        let (least, greatest) = if signed {
            (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
        } else {
            (0, i128::from(mask))
        };
        let (magnitude, inexact) = match x.class {
            Class::Zero => (0, false),
            Class::Finite {
                exponent,
                significand,
            } if exponent < 64 => self.shift_rounded(x.sign, significand.into(), -exponent),
            Class::QuietNan | Class::SignallingNan => {
                self.flags |= NV;
                return greatest as u64 & mask;
            }
            _ => (1 << 100, false),
        };
        let integer = if x.sign {
            -(magnitude as i128)
        } else {
            magnitude as i128
        };
        if integer < least || integer > greatest {
            self.flags |= NV;
            return integer.clamp(least, greatest) as u64 & mask;
        }
        if inexact {
            self.flags |= NX;
        }
        integer as u64 & mask
    }

    /// An integer as a number of this format.
    pub fn from_int(&mut self, integer: i128) -> u64 {
        match integer {
            0 => 0,
            _ => self.round(integer < 0, 0, integer.unsigned_abs()),
        }
    }

    /// A number of the format `from` in this one.
    pub fn convert(&mut self, from: Format, a: u64) -> u64 {
        let x = take_apart(from, a);
        match x.class {
            Class::Zero => self.zero(x.sign),
            Class::Infinity => self.signed_infinity(x.sign),
            Class::QuietNan => self.nan(false),
            Class::SignallingNan => self.nan(true),
            Class::Finite {
                exponent,
                significand,
            } => self.round(x.sign, exponent, significand.into()),
        }
    }
}
