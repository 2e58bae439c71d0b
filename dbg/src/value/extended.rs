//! [`Extended`]: x87's 80-bit floating-point numbers, `long double` in C.
//!
//! The processor that debugs has them too, but Rust has no type for them; the
//! four sums are done here, in whole numbers, rounded as the processor rounds:
//! to the nearest of 64-bit mantissas, a tie to the even one.

use std::cmp::Ordering;

use super::float;

/// What x87 adds to an exponent.
const BIAS: i32 = 16383;
/// The exponent of infinities and of what is no number.
const TOP: i32 = 0x7fff;

/// A number of x87's.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Extended {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Magnitude {
    Zero,
    /// `mantissa * 2^exponent`; the mantissa's top bit is set.
    Finite(u64, i32),
    Infinite,
    NoNumber,
}

use Magnitude::{Finite, Infinite, NoNumber, Zero};

/// `wide * 2^exponent`, rounded; `more` says that the number is a little greater.
fn rounded(wide: u128, exponent: i32, more: bool) -> Magnitude {
    if wide == 0 {
        return Zero;
    }
    let excess = 64 - wide.leading_zeros() as i32;
    if excess <= 0 {
        return Finite((wide << -excess) as u64, exponent + excess);
    }
    let kept = (wide >> excess) as u64;
    let rest = wide & ((1 << excess) - 1);
    let half = 1 << (excess - 1);
    let is_up = rest > half || (rest == half && (more || kept & 1 == 1));
    match kept.checked_add(u64::from(is_up)) {
        Some(mantissa) => Finite(mantissa, exponent + excess),
        None => Finite(1 << 63, exponent + excess + 1),
    }
}

impl Extended {
    /// Reads ten bytes, and no more of a padded one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Extended> {
        let mantissa = u64::from_le_bytes(*bytes.first_chunk()?);
        let top = u16::from_le_bytes([*bytes.get(8)?, *bytes.get(9)?]);
        let exponent = i32::from(top & 0x7fff);
        let magnitude = match exponent {
            TOP if mantissa << 1 == 0 => Infinite,
            TOP => NoNumber,
            _ => rounded(mantissa.into(), exponent.max(1) - BIAS - 63, false),
        };
        Some(Extended {
            negative: top >> 15 == 1,
            magnitude,
        })
    }

    /// Its bytes, padded to a size.
    pub fn to_bytes(self, size: usize) -> Vec<u8> {
        let (exponent, mantissa) = match self.magnitude {
            Zero => (0, 0),
            Infinite => (TOP, 1 << 63),
            NoNumber => (TOP, 3 << 62),
            Finite(mantissa, exponent) => match exponent + 63 + BIAS {
                TOP.. => (TOP, 1 << 63),
                biased @ 1.. => (biased, mantissa),
                // One that has fewer digits.
                biased => (0, mantissa.checked_shr((1 - biased) as u32).unwrap_or(0)),
            },
        };
        let mut bytes = mantissa.to_le_bytes().to_vec();
        let sign = u16::from(self.negative) << 15;
        bytes.extend((exponent as u16 | sign).to_le_bytes());
        bytes.resize(size, 0);
        bytes
    }

    /// A double, exactly.
    pub fn from_double(value: f64) -> Extended {
        let bytes = float::to_bytes(value, 10).unwrap_or_default();
        Extended::from_bytes(&bytes).expect("ten bytes")
    }

    /// The nearest double.
    pub fn to_double(self) -> f64 {
        float::value(&self.to_bytes(10)).unwrap_or(f64::NAN)
    }

    /// A whole number, rounded.
    pub fn from_whole(negative: bool, value: u128) -> Extended {
        let magnitude = rounded(value, 0, false);
        Extended {
            negative,
            magnitude,
        }
    }

    /// The whole part; the greatest there is of what is greater.
    pub fn to_whole(self) -> i128 {
        let whole = match self.magnitude {
            Zero | NoNumber => 0,
            Infinite => i128::MAX as u128,
            Finite(mantissa, exponent @ 0..) if exponent < 63 => u128::from(mantissa) << exponent,
            Finite(_, 0..) => i128::MAX as u128,
            Finite(mantissa, exponent) => {
                u128::from(mantissa.checked_shr(exponent.unsigned_abs()).unwrap_or(0))
            }
        };
        match self.negative {
            true => -(whole as i128),
            false => whole as i128,
        }
    }

    /// Whether it is not zero.
    pub fn is_true(self) -> bool {
        self.magnitude != Zero
    }

    fn new(negative: bool, magnitude: Magnitude) -> Extended {
        Extended {
            negative,
            magnitude,
        }
    }

    /// The sum of two.
    pub fn plus(self, other: Extended) -> Extended {
        let ((a, x), (b, y)) = match (self.magnitude, other.magnitude) {
            (NoNumber, _) | (_, NoNumber) => return Extended::new(false, NoNumber),
            (Infinite, Infinite) if self.negative != other.negative => {
                return Extended::new(false, NoNumber);
            }
            (Infinite, _) => return self,
            (_, Infinite) => return other,
            (Zero, Zero) => return Extended::new(self.negative && other.negative, Zero),
            (Zero, _) => return other,
            (_, Zero) => return self,
            (Finite(a, x), Finite(b, y)) if (x, a) >= (y, b) => ((a, x), (b, y)),
            _ => return other.plus(self),
        };
        // Room for a carry above, and for the digits that a shift brings below.
        const BELOW: i32 = 62;
        let wide = u128::from(a) << BELOW;
        let less = u128::from(b) << BELOW;
        let distance = (x - y) as u32;
        let shifted = less.checked_shr(distance).unwrap_or(0);
        let lost = distance > 0 && shifted.checked_shl(distance).unwrap_or(0) != less;
        let sum = match self.negative == other.negative {
            true => rounded(wide + shifted, x - BELOW, lost),
            // What was lost makes the difference a little less.
            false => rounded(wide - shifted - u128::from(lost), x - BELOW, lost),
        };
        Extended::new(self.negative && sum != Zero, sum)
    }

    /// The number with the other sign.
    pub fn negate(self) -> Extended {
        Extended::new(!self.negative, self.magnitude)
    }

    /// The product of two.
    pub fn multiply(self, other: Extended) -> Extended {
        let product = match (self.magnitude, other.magnitude) {
            (NoNumber, _) | (_, NoNumber) | (Infinite, Zero) | (Zero, Infinite) => NoNumber,
            (Infinite, _) | (_, Infinite) => Infinite,
            (Zero, _) | (_, Zero) => Zero,
            (Finite(a, x), Finite(b, y)) => rounded(u128::from(a) * u128::from(b), x + y, false),
        };
        Extended::new(self.negative != other.negative, product)
    }

    /// The quotient of two.
    pub fn divide(self, other: Extended) -> Extended {
        let quotient = match (self.magnitude, other.magnitude) {
            (NoNumber, _) | (_, NoNumber) | (Infinite, Infinite) | (Zero, Zero) => NoNumber,
            (Infinite, _) | (Finite(..), Zero) => Infinite,
            (Zero, _) | (_, Infinite) => Zero,
            (Finite(a, x), Finite(b, y)) => {
                // In two steps, for more digits than there are in the end.
                let b = u128::from(b);
                let (first, rest) = ((u128::from(a) << 64) / b, (u128::from(a) << 64) % b);
                let (second, rest) = ((rest << 32) / b, (rest << 32) % b);
                rounded(first << 32 | second, x - y - 96, rest != 0)
            }
        };
        Extended::new(self.negative != other.negative, quotient)
    }
}

impl PartialOrd for Extended {
    fn partial_cmp(&self, other: &Extended) -> Option<Ordering> {
        let difference = self.plus(other.negate());
        match (self.magnitude, other.magnitude) {
            (NoNumber, _) | (_, NoNumber) => return None,
            (Infinite, Infinite) if self.negative == other.negative => {
                return Some(Ordering::Equal);
            }
            _ => {}
        }
        Some(match (difference.magnitude, difference.negative) {
            (Zero, _) => Ordering::Equal,
            (_, true) => Ordering::Less,
            (_, false) => Ordering::Greater,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: f64) -> Extended {
        Extended::from_double(value)
    }

    fn shown(value: Extended) -> String {
        float::show(&value.to_bytes(16))
    }

    /// Each as gcc's `%.21Lg` prints what the processor makes of it.
    #[test]
    fn sums_are_the_processors() {
        let third = of(1.0).divide(of(3.0));
        assert_eq!(shown(third), "0.333333333333333333342");
        assert_eq!(shown(third.plus(third)), "0.666666666666666666685");
        assert_eq!(shown(third.multiply(of(3.0))), "1");
        assert_eq!(
            shown(of(2.0).divide(of(3.0)).plus(third.negate())),
            "0.333333333333333333342"
        );
        assert_eq!(
            shown(of(1e300).multiply(of(1e300))),
            "1.00000000000000010506e+600"
        );
        assert_eq!(shown(of(1.0).plus(of(2f64.powi(-70)))), "1");
        assert_eq!(
            shown(of(1.0).plus(of(-2f64.powi(-64)))),
            "0.999999999999999999946"
        );
        assert_eq!(shown(of(-1.0).divide(of(0.0))), "-inf");
        assert_eq!(shown(of(5.0).plus(of(-5.0))), "0");
    }

    #[test]
    fn doubles_are_kept() {
        for value in [0.0, -2.5, 1e-310, 6.02e23, f64::MAX, f64::NEG_INFINITY] {
            assert_eq!(of(value).to_double(), value);
            assert!(of(value) <= of(value) && of(value).partial_cmp(&of(value)).is_some());
        }
        assert!(of(f64::NAN).to_double().is_nan() && of(f64::NAN).partial_cmp(&of(1.0)).is_none());
        assert!(of(-1.0) < of(0.5) && of(3.0) > of(2.0) && of(f64::INFINITY) > of(1.0));
        assert_eq!(of(-7.75).to_whole(), -7);
        assert_eq!(Extended::from_whole(true, 1 << 80).to_whole(), -(1 << 80));
    }
}
