//! AArch64's floating point in integers: the oracle of every tier.
//!
//! Source: Arm DDI 0487, the shared pseudocode functions `FPUnpack`, `FPRound`,
//! `FPProcessNaNs`, `FPToFixed`, `FPRoundInt`, `FPMulAdd`, `FPRecipEstimate` and
//! their like, whose names the comments give. It differs from RISC-V's
//! ([`crate::soft`]) in what it does with NaNs, in flushing to zero, in tininess
//! (before rounding), and in saturating conversions.
//!
//! A number is its bits in the low end of a `u64`. Results are exact, or have a
//! sticky lowest bit, in 128 bits, and are rounded once, in `round`.

use std::cmp::Ordering;

use super::estimate::{recip_estimate, rsqrt_estimate};
use crate::ir::{Format, Rounding};

/// FPSR: a saturating operation saturated.
pub const QC: u32 = 1 << 27;
/// FPSR: a denormal operand was flushed to zero.
pub const IDC: u32 = 1 << 7;
/// FPSR: inexact.
pub const IXC: u32 = 1 << 4;
/// FPSR: underflow.
pub const UFC: u32 = 1 << 3;
/// FPSR: overflow.
pub const OFC: u32 = 1 << 2;
/// FPSR: division of a finite number by zero.
pub const DZC: u32 = 1 << 1;
/// FPSR: invalid operation.
pub const IOC: u32 = 1 << 0;

/// FPCR: binary16 has no infinities and NaNs but more numbers.
pub const AHP: u32 = 1 << 26;
/// FPCR: every NaN result is the default one.
pub const DN: u32 = 1 << 25;
/// FPCR: denormal operands and results are zero.
pub const FZ: u32 = 1 << 24;

/// The bits of FPCR that are there.
pub const FPCR_BITS: u32 = AHP | DN | FZ | 3 << 22;
/// The bits of FPSR that are there.
pub const FPSR_BITS: u32 = QC | IDC | IXC | UFC | OFC | DZC | IOC;

/// A format that numbers are kept in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Precision {
    Half,
    Single,
    Double,
}

impl From<Format> for Precision {
    fn from(format: Format) -> Precision {
        match format {
            Format::Single => Precision::Single,
            Format::Double => Precision::Double,
        }
    }
}

impl Precision {
    const fn fraction(self) -> u32 {
        match self {
            Precision::Half => 10,
            Precision::Single => 23,
            Precision::Double => 52,
        }
    }

    const fn bias(self) -> i32 {
        match self {
            Precision::Half => 15,
            Precision::Single => 127,
            Precision::Double => 1023,
        }
    }

    /// The sign bit alone.
    pub const fn sign_bit(self) -> u64 {
        match self {
            Precision::Half => 1 << 15,
            Precision::Single => 1 << 31,
            Precision::Double => 1 << 63,
        }
    }

    const fn infinity(self) -> u64 {
        (2 * self.bias() as u64 + 1) << self.fraction()
    }

    const fn quiet_bit(self) -> u64 {
        1 << (self.fraction() - 1)
    }

    const fn default_nan(self) -> u64 {
        self.infinity() | self.quiet_bit()
    }

    const fn lowest_normal(self) -> i32 {
        1 - self.bias()
    }

    const fn zero(self, sign: bool) -> u64 {
        if sign { self.sign_bit() } else { 0 }
    }
}

/// How to round, with the mode that only FCVTXN has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Nearest,
    Up,
    Down,
    Zero,
    Away,
    Odd,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Zero,
    /// significand × 2^exponent, the significand not zero.
    Finite,
    Infinity,
    Quiet,
    Signalling,
}

/// A number taken apart.
#[derive(Clone, Copy, Debug)]
struct Number {
    bits: u64,
    sign: bool,
    class: Class,
    exponent: i32,
    significand: u64,
}

impl Number {
    const fn is_nan(&self) -> bool {
        matches!(self.class, Class::Quiet | Class::Signalling)
    }

    const fn is(&self, class: Class) -> bool {
        self.class as u8 == class as u8
    }
}

/// A term of a sum: ±significand × 2^exponent.
type Term = (bool, i32, u128);

/// Shifts right by any amount; ones that fall out leave the lowest bit set.
fn shift_right_sticky(n: u128, by: u32) -> u128 {
    match by {
        0 => n,
        128.. => u128::from(n != 0),
        _ => n >> by | u128::from(n << (128 - by) != 0),
    }
}

/// significand ÷ 2^by rounded to an integer, and whether that was inexact.
fn shift_rounded(mode: Mode, sign: bool, significand: u128, by: i32) -> (u128, bool) {
    if by <= 0 {
        return (significand << -by, false);
    }
    let (kept, half) = match by {
        129.. => (0, Ordering::Less),
        128 => (0, significand.cmp(&(1 << 127))),
        _ => (
            significand >> by,
            (significand & ((1 << by) - 1)).cmp(&(1 << (by - 1))),
        ),
    };
    let inexact = by >= 128 || kept << by != significand;
    let up = match mode {
        Mode::Nearest => half == Ordering::Greater || half == Ordering::Equal && kept & 1 == 1,
        Mode::Away => half != Ordering::Less,
        Mode::Down => inexact && sign,
        Mode::Up => inexact && !sign,
        Mode::Odd => inexact && kept & 1 == 0,
        Mode::Zero => false,
    };
    (kept + u128::from(up), inexact)
}

/// Arithmetic under one FPCR, and the flags it raised, as bits of FPSR.
#[derive(Clone, Copy, Debug)]
pub struct Float {
    fpcr: u32,
    /// What was raised so far.
    pub raised: u32,
}

impl Float {
    /// Arithmetic as this FPCR says it.
    pub fn new(fpcr: u32) -> Float {
        Float { fpcr, raised: 0 }
    }

    fn has(&self, bit: u32) -> bool {
        self.fpcr & bit != 0
    }

    /// The mode in FPCR.RMode.
    fn mode(&self) -> Mode {
        [Mode::Nearest, Mode::Up, Mode::Down, Mode::Zero][(self.fpcr >> 22 & 3) as usize]
    }

    fn explicit(&self, rounding: Rounding) -> Mode {
        match rounding {
            Rounding::Dynamic => self.mode(),
            Rounding::Nearest => Mode::Nearest,
            Rounding::Zero => Mode::Zero,
            Rounding::Down => Mode::Down,
            Rounding::Up => Mode::Up,
            Rounding::NearestAway => Mode::Away,
        }
    }

    /// `FPUnpack`.
    fn unpack(&mut self, p: Precision, bits: u64) -> Number {
        let bits = bits & (p.sign_bit() | (p.sign_bit() - 1));
        let fraction = bits & ((1 << p.fraction()) - 1);
        let field = ((bits & !p.sign_bit()) >> p.fraction()) as i32;
        let lowest = p.lowest_normal() - p.fraction() as i32;
        let all_ones = field == 2 * p.bias() + 1 && !(p == Precision::Half && self.has(AHP));
        let flushes = self.has(FZ) && p != Precision::Half;
        let (class, exponent, significand) = match (field, fraction) {
            (0, 0) => (Class::Zero, 0, 0),
            (0, _) if flushes => {
                self.raised |= IDC;
                (Class::Zero, 0, 0)
            }
            (0, _) => (Class::Finite, lowest, fraction),
            (_, 0) if all_ones => (Class::Infinity, 0, 0),
            (_, _) if all_ones && fraction & p.quiet_bit() != 0 => (Class::Quiet, 0, 0),
            (_, _) if all_ones => (Class::Signalling, 0, 0),
            _ => (
                Class::Finite,
                lowest + field - 1,
                fraction | 1 << p.fraction(),
            ),
        };
        Number {
            bits,
            sign: bits & p.sign_bit() != 0,
            class,
            exponent,
            significand,
        }
    }

    fn invalid(&mut self, p: Precision) -> u64 {
        self.raised |= IOC;
        p.default_nan()
    }

    /// `FPProcessNaN`.
    fn nan(&mut self, p: Precision, n: &Number) -> u64 {
        if n.is(Class::Signalling) {
            self.raised |= IOC;
        }
        if self.has(DN) {
            p.default_nan()
        } else {
            n.bits | p.quiet_bit()
        }
    }

    /// `FPProcessNaNs`: the result when any operand is NaN.
    fn nans(&mut self, p: Precision, operands: &[Number]) -> Option<u64> {
        let of = |class| operands.iter().find(|n| n.is(class));
        let nan = of(Class::Signalling).or_else(|| of(Class::Quiet))?;
        Some(self.nan(p, nan))
    }

    /// `FPRound` of ±significand × 2^exponent. The significand is not zero; its
    /// lowest bit may be sticky when it has at least three bits more than the format.
    fn round(&mut self, p: Precision, mode: Mode, (sign, exponent, significand): Term) -> u64 {
        let fraction = p.fraction() as i32;
        let leading = exponent + 127 - significand.leading_zeros() as i32;
        let tiny = leading < p.lowest_normal();
        if tiny && self.has(FZ) && p != Precision::Half {
            self.raised |= UFC;
            return p.zero(sign);
        }
        let mut unit = leading.max(p.lowest_normal()) - fraction;
        let (mut kept, inexact) = shift_rounded(mode, sign, significand, unit - exponent);
        if kept >> (fraction + 1) != 0 {
            kept >>= 1;
            unit += 1;
        }
        let field = unit + fraction + p.bias();
        let alternative = p == Precision::Half && self.has(AHP);
        if alternative && kept >> fraction != 0 && field > 2 * p.bias() + 1 {
            self.raised |= IOC;
            return p.zero(sign) | (p.sign_bit() - 1);
        }
        if inexact {
            self.raised |= IXC;
            if tiny {
                self.raised |= UFC;
            }
        }
        if kept >> fraction == 0 {
            return p.zero(sign) | kept as u64;
        }
        if !alternative && field > 2 * p.bias() {
            return self.overflow(p, mode, sign);
        }
        p.zero(sign) | (field as u64) << fraction | kept as u64 & ((1 << fraction) - 1)
    }

    fn overflow(&mut self, p: Precision, mode: Mode, sign: bool) -> u64 {
        self.raised |= OFC | IXC;
        let to_infinity = match mode {
            Mode::Nearest | Mode::Away => true,
            Mode::Up => !sign,
            Mode::Down => sign,
            Mode::Zero | Mode::Odd => false,
        };
        (p.zero(sign) | p.infinity()) - u64::from(!to_infinity)
    }

    fn term(n: &Number) -> Term {
        (n.sign, n.exponent, n.significand.into())
    }

    /// The exact sum of two terms, perhaps with a sticky bit; `None` when it is
    /// zero. Significands have at most 64 bits, or 106 in a product.
    fn sum(a: Term, b: Term) -> Option<Term> {
        let (high, low) = if a.1 >= b.1 { (a, b) } else { (b, a) };
        let distance = (high.1 - low.1) as u32;
        let up = distance.min(high.2.leading_zeros() - 2);
        let (big, small) = (high.2 << up, shift_right_sticky(low.2, distance - up));
        let exponent = high.1 - up as i32;
        if high.0 == low.0 {
            return Some((high.0, exponent, big + small));
        }
        match big.cmp(&small) {
            Ordering::Equal => None,
            Ordering::Greater => Some((high.0, exponent, big - small)),
            Ordering::Less => Some((low.0, exponent, small - big)),
        }
    }

    /// A sum that is exactly zero, of terms of opposite signs.
    fn cancelled(&self, p: Precision) -> u64 {
        p.zero(self.mode() == Mode::Down)
    }

    /// `FPAdd`, `FPSub`.
    pub fn add(&mut self, p: Precision, a: u64, b: u64, subtract: bool) -> u64 {
        let (x, mut y) = (self.unpack(p, a), self.unpack(p, b));
        if let Some(nan) = self.nans(p, &[x, y]) {
            return nan;
        }
        y.sign ^= subtract;
        match (x.class, y.class) {
            (Class::Infinity, Class::Infinity) if x.sign != y.sign => self.invalid(p),
            (Class::Infinity, _) => p.zero(x.sign) | p.infinity(),
            (_, Class::Infinity) => p.zero(y.sign) | p.infinity(),
            (Class::Zero, Class::Zero) if x.sign == y.sign => p.zero(x.sign),
            (Class::Zero, Class::Zero) => self.cancelled(p),
            (Class::Zero, _) => self.round(p, self.mode(), Self::term(&y)),
            (_, Class::Zero) => self.round(p, self.mode(), Self::term(&x)),
            _ => match Self::sum(Self::term(&x), Self::term(&y)) {
                Some(term) => self.round(p, self.mode(), term),
                None => self.cancelled(p),
            },
        }
    }

    /// `FPMul`; when `extended`, `FPMulX`.
    pub fn mul(&mut self, p: Precision, a: u64, b: u64, extended: bool) -> u64 {
        let (x, y) = (self.unpack(p, a), self.unpack(p, b));
        if let Some(nan) = self.nans(p, &[x, y]) {
            return nan;
        }
        let sign = x.sign ^ y.sign;
        match (x.class, y.class) {
            (Class::Infinity, Class::Zero) | (Class::Zero, Class::Infinity) if extended => {
                p.zero(sign) | (p.bias() as u64 + 1) << p.fraction()
            }
            (Class::Infinity, Class::Zero) | (Class::Zero, Class::Infinity) => self.invalid(p),
            (Class::Infinity, _) | (_, Class::Infinity) => p.zero(sign) | p.infinity(),
            (Class::Zero, _) | (_, Class::Zero) => p.zero(sign),
            _ => {
                let product = u128::from(x.significand) * u128::from(y.significand);
                self.round(p, self.mode(), (sign, x.exponent + y.exponent, product))
            }
        }
    }

    /// `FPDiv`.
    pub fn div(&mut self, p: Precision, a: u64, b: u64) -> u64 {
        let (x, y) = (self.unpack(p, a), self.unpack(p, b));
        if let Some(nan) = self.nans(p, &[x, y]) {
            return nan;
        }
        let sign = x.sign ^ y.sign;
        match (x.class, y.class) {
            (Class::Infinity, Class::Infinity) | (Class::Zero, Class::Zero) => self.invalid(p),
            (Class::Infinity, _) => p.zero(sign) | p.infinity(),
            (Class::Zero, _) | (_, Class::Infinity) => p.zero(sign),
            (_, Class::Zero) => {
                self.raised |= DZC;
                p.zero(sign) | p.infinity()
            }
            _ => {
                let shift = u128::from(x.significand).leading_zeros() - 1;
                let (dividend, divisor) = (
                    u128::from(x.significand) << shift,
                    u128::from(y.significand),
                );
                let sticky = u128::from(dividend % divisor != 0);
                let quotient = (dividend / divisor) | sticky;
                self.round(
                    p,
                    self.mode(),
                    (sign, x.exponent - y.exponent - shift as i32, quotient),
                )
            }
        }
    }

    /// `FPSqrt`.
    pub fn sqrt(&mut self, p: Precision, a: u64) -> u64 {
        let x = self.unpack(p, a);
        match x.class {
            Class::Quiet | Class::Signalling => self.nan(p, &x),
            Class::Zero => p.zero(x.sign),
            _ if x.sign => self.invalid(p),
            Class::Infinity => p.infinity(),
            Class::Finite => {
                let mut shift = u128::from(x.significand).leading_zeros() as i32 - 1;
                shift -= (x.exponent - shift) & 1;
                let square = u128::from(x.significand) << shift;
                let root = square.isqrt();
                let root = root | u128::from(root * root != square);
                self.round(p, self.mode(), (false, (x.exponent - shift) / 2, root))
            }
        }
    }

    /// `FPMulAdd`: addend + a × b.
    pub fn fused(&mut self, p: Precision, addend: u64, a: u64, b: u64) -> u64 {
        let (z, x, y) = (self.unpack(p, addend), self.unpack(p, a), self.unpack(p, b));
        let undefined = x.is(Class::Infinity) && y.is(Class::Zero)
            || x.is(Class::Zero) && y.is(Class::Infinity);
        let nan = self.nans(p, &[z, x, y]);
        if undefined && (nan.is_none() || z.is(Class::Quiet)) {
            return self.invalid(p);
        }
        nan.unwrap_or_else(|| self.fused_numbers(p, &z, &x, &y, 0))
    }

    /// (z + x × y) ÷ 2^halvings of numbers whose product is defined.
    fn fused_numbers(
        &mut self,
        p: Precision,
        z: &Number,
        x: &Number,
        y: &Number,
        halvings: i32,
    ) -> u64 {
        let sign = x.sign ^ y.sign;
        let infinite = x.is(Class::Infinity) || y.is(Class::Infinity);
        match z.class {
            Class::Infinity if infinite && sign != z.sign => return self.invalid(p),
            Class::Infinity => return p.zero(z.sign) | p.infinity(),
            _ if infinite => return p.zero(sign) | p.infinity(),
            _ => {}
        }
        let product_is_zero = x.is(Class::Zero) || y.is(Class::Zero);
        let product = (
            sign,
            x.exponent + y.exponent,
            u128::from(x.significand) * u128::from(y.significand),
        );
        let exact = match (z.is(Class::Zero), product_is_zero) {
            (true, true) if z.sign == sign => return p.zero(sign),
            (true, true) => None,
            (true, false) => Some(product),
            (false, true) => Some(Self::term(z)),
            (false, false) => Self::sum(Self::term(z), product),
        };
        match exact {
            Some((sign, exponent, n)) => self.round(p, self.mode(), (sign, exponent - halvings, n)),
            None => self.cancelled(p),
        }
    }

    /// `FPRecipStepFused` (2 − ab) or, when `root`, `FPRSqrtStepFused` ((3 − ab) ÷ 2).
    pub fn step(&mut self, p: Precision, a: u64, b: u64, root: bool) -> u64 {
        let (x, y) = (self.unpack(p, a ^ p.sign_bit()), self.unpack(p, b));
        if let Some(nan) = self.nans(p, &[x, y]) {
            return nan;
        }
        let one = (p.bias() as u64) << p.fraction();
        let two = one + (1 << p.fraction());
        let undefined = x.is(Class::Infinity) && y.is(Class::Zero)
            || x.is(Class::Zero) && y.is(Class::Infinity);
        match (undefined, root) {
            (true, false) => two,
            (true, true) => one | p.quiet_bit(),
            (false, false) => {
                let z = self.unpack(p, two);
                self.fused_numbers(p, &z, &x, &y, 0)
            }
            (false, true) => {
                let z = self.unpack(p, two | p.quiet_bit());
                self.fused_numbers(p, &z, &x, &y, 1)
            }
        }
    }

    /// `FPMin`, `FPMax`.
    pub fn min_max(&mut self, p: Precision, a: u64, b: u64, max: bool) -> u64 {
        let (x, y) = (self.unpack(p, a), self.unpack(p, b));
        if let Some(nan) = self.nans(p, &[x, y]) {
            return nan;
        }
        if x.is(Class::Zero) && y.is(Class::Zero) {
            return p.zero(if max {
                x.sign && y.sign
            } else {
                x.sign || y.sign
            });
        }
        let greater = Self::order(p, &x, &y) == Ordering::Greater;
        let chosen = if greater == max { x } else { y };
        if chosen.is(Class::Zero) {
            p.zero(chosen.sign)
        } else {
            chosen.bits
        }
    }

    /// `FPMinNum`, `FPMaxNum`.
    pub fn min_max_number(&mut self, p: Precision, mut a: u64, mut b: u64, max: bool) -> u64 {
        let (x, y) = (self.unpack(p, a), self.unpack(p, b));
        let loser = p.zero(max) | p.infinity();
        match (x.is(Class::Quiet), y.is(Class::Quiet)) {
            (true, false) => a = loser,
            (false, true) => b = loser,
            _ => {}
        }
        self.min_max(p, a, b, max)
    }

    /// The order of two numbers that are not NaN.
    fn order(p: Precision, x: &Number, y: &Number) -> Ordering {
        let key = |n: &Number| {
            let magnitude = if n.is(Class::Zero) {
                0
            } else {
                (n.bits & !p.sign_bit()) as i64
            };
            if n.sign { -magnitude } else { magnitude }
        };
        key(x).cmp(&key(y))
    }

    /// `FPCompare`: `None` when either is NaN, which is invalid for a signalling
    /// one and, if `signals`, for any.
    pub fn compare(&mut self, p: Precision, a: u64, b: u64, signals: bool) -> Option<Ordering> {
        let (x, y) = (self.unpack(p, a), self.unpack(p, b));
        if x.is_nan() || y.is_nan() {
            if signals || x.is(Class::Signalling) || y.is(Class::Signalling) {
                self.raised |= IOC;
            }
            return None;
        }
        Some(Self::order(p, &x, &y))
    }

    /// `FPToFixed`: the number × 2^fraction as an integer of `bits` bits,
    /// zero-extended, saturated.
    pub fn to_int(
        &mut self,
        p: Precision,
        a: u64,
        (bits, signed, fraction): (u32, bool, u8),
        rounding: Rounding,
    ) -> u64 {
        let x = self.unpack(p, a);
        let mask = u64::MAX >> (64 - bits);
        let (least, greatest) = if signed {
            (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
        } else {
            (0, i128::from(mask))
        };
        let exponent = x.exponent + i32::from(fraction);
        let (magnitude, inexact) = match x.class {
            Class::Zero => (0, false),
            Class::Finite if exponent < 64 => shift_rounded(
                self.explicit(rounding),
                x.sign,
                x.significand.into(),
                -exponent,
            ),
            Class::Quiet | Class::Signalling => {
                self.raised |= IOC;
                return 0;
            }
            _ => (1 << 100, false),
        };
        let magnitude = magnitude.min(1 << 100) as i128;
        let integer = if x.sign { -magnitude } else { magnitude };
        if integer < least || integer > greatest {
            self.raised |= IOC;
            return integer.clamp(least, greatest) as u64 & mask;
        }
        if inexact {
            self.raised |= IXC;
        }
        integer as u64 & mask
    }

    /// `FixedToFP`: integer ÷ 2^fraction.
    pub fn from_int(
        &mut self,
        p: Precision,
        integer: i128,
        fraction: u8,
        rounding: Rounding,
    ) -> u64 {
        match integer {
            0 => 0,
            _ => {
                let term = (integer < 0, -i32::from(fraction), integer.unsigned_abs());
                self.round(p, self.explicit(rounding), term)
            }
        }
    }

    /// `FPRoundInt`.
    pub fn round_int(&mut self, p: Precision, a: u64, rounding: Rounding, exact: bool) -> u64 {
        let x = self.unpack(p, a);
        match x.class {
            Class::Quiet | Class::Signalling => self.nan(p, &x),
            Class::Zero => p.zero(x.sign),
            Class::Infinity => x.bits,
            Class::Finite if x.exponent >= 0 => x.bits,
            Class::Finite => {
                let mode = self.explicit(rounding);
                let (integer, inexact) =
                    shift_rounded(mode, x.sign, x.significand.into(), -x.exponent);
                if inexact && exact {
                    self.raised |= IXC;
                }
                match integer {
                    0 => p.zero(x.sign),
                    _ => self.round(p, Mode::Zero, (x.sign, 0, integer)),
                }
            }
        }
    }

    /// `FPConvert`, under the mode of FPCR or, when `odd`, to odd.
    pub fn convert(&mut self, from: Precision, to: Precision, a: u64, odd: bool) -> u64 {
        let x = self.unpack(from, a);
        let alternative = to == Precision::Half && self.has(AHP);
        match x.class {
            Class::Quiet | Class::Signalling => {
                if x.is(Class::Signalling) || alternative {
                    self.raised |= IOC;
                }
                if alternative {
                    return to.zero(x.sign);
                }
                if self.has(DN) {
                    return to.default_nan();
                }
                let payload = (x.bits & ((1 << from.fraction()) - 1)) << (52 - from.fraction());
                to.zero(x.sign) | to.default_nan() | payload >> (52 - to.fraction())
            }
            Class::Infinity if alternative => {
                self.raised |= IOC;
                to.zero(x.sign) | (to.sign_bit() - 1)
            }
            Class::Infinity => to.zero(x.sign) | to.infinity(),
            Class::Zero => to.zero(x.sign),
            Class::Finite => {
                let mode = if odd { Mode::Odd } else { self.mode() };
                self.round(to, mode, Self::term(&x))
            }
        }
    }

    /// `FPRecipEstimate`.
    pub fn recip_estimate(&mut self, p: Precision, a: u64) -> u64 {
        let x = self.unpack(p, a);
        match x.class {
            Class::Quiet | Class::Signalling => return self.nan(p, &x),
            Class::Infinity => return p.zero(x.sign),
            Class::Zero => {
                self.raised |= DZC;
                return p.zero(x.sign) | p.infinity();
            }
            Class::Finite => {}
        }
        let leading = x.exponent + 63 - x.significand.leading_zeros() as i32;
        if leading < -1 - p.bias() {
            return self.overflow(p, self.mode(), x.sign);
        }
        if leading >= p.bias() - 1 && self.has(FZ) {
            self.raised |= UFC;
            return p.zero(x.sign);
        }
        let (field, fraction) = Self::normalised(&x, p);
        let estimate = u64::from(recip_estimate(256 | (fraction >> 44) as u32)) & 0xff;
        let result_field = 2 * p.bias() - 1 - field;
        let fraction = match result_field {
            0 => 1 << 51 | estimate << 43,
            -1 => 1 << 50 | estimate << 42,
            _ => estimate << 44,
        };
        p.zero(x.sign)
            | (result_field.max(0) as u64) << p.fraction()
            | fraction >> (52 - p.fraction())
    }

    /// `FPRSqrtEstimate`.
    pub fn rsqrt_estimate(&mut self, p: Precision, a: u64) -> u64 {
        let x = self.unpack(p, a);
        match x.class {
            Class::Quiet | Class::Signalling => return self.nan(p, &x),
            Class::Zero => {
                self.raised |= DZC;
                return p.zero(x.sign) | p.infinity();
            }
            _ if x.sign => return self.invalid(p),
            Class::Infinity => return 0,
            Class::Finite => {}
        }
        let (field, fraction) = Self::normalised(&x, p);
        let scaled = if field & 1 == 0 {
            256 | fraction >> 44
        } else {
            128 | fraction >> 45
        };
        let estimate = u64::from(rsqrt_estimate(scaled as u32)) & 0xff;
        let result_field = (3 * p.bias() - 1 - field) / 2;
        (result_field as u64) << p.fraction() | estimate << (p.fraction() - 8)
    }

    /// The exponent field (below 1 for a denormal number) and the fraction as 52
    /// bits, of a number made normal.
    fn normalised(x: &Number, p: Precision) -> (i32, u64) {
        let shift = x.significand.leading_zeros();
        let leading = x.exponent + 63 - shift as i32;
        (leading + p.bias(), (x.significand << shift) << 1 >> 12)
    }

    /// `FPRecpX`.
    pub fn recip_exponent(&mut self, p: Precision, a: u64) -> u64 {
        let x = self.unpack(p, a);
        if x.is_nan() {
            return self.nan(p, &x);
        }
        let field = x.bits & p.infinity();
        let inverted = if field == 0 {
            p.infinity() - (1 << p.fraction())
        } else {
            field ^ p.infinity()
        };
        p.zero(x.sign) | inverted
    }
}
