//! Vectors as lanes: integer operations on vectors, as pure functions.
//!
//! Lanes are passed around zero-extended; saturating operations compute in 128
//! bits and say whether they saturated.

use crate::aarch64::estimate;
use crate::interp::{crypto, extend};
use crate::ir::{Size, VectorBinary, VectorShift, VectorTernary, VectorUnary};

/// Whether anything saturated: FPSR.QC.
pub type Saturated = bool;

fn bits(size: Size) -> u32 {
    size.bytes() * 8
}

fn count(size: Size) -> u32 {
    16 / size.bytes()
}

fn mask(size: Size) -> u64 {
    u64::MAX >> (64 - bits(size))
}

/// The size twice as large.
pub fn double(size: Size) -> Size {
    match size {
        Size::B1 => Size::B2,
        Size::B2 => Size::B4,
        _ => Size::B8,
    }
}

/// Lane n, zero-extended.
pub fn lane(size: Size, a: u128, n: u32) -> u64 {
    (a >> (n * bits(size))) as u64 & mask(size)
}

/// a with lane n replaced by the low bits of `value`.
pub fn with_lane(size: Size, a: u128, n: u32, value: u64) -> u128 {
    let at = n * bits(size);
    a & !(u128::from(mask(size)) << at) | u128::from(value & mask(size)) << at
}

/// The vector whose lane n is the low bits of `f(n)`.
pub fn build(size: Size, mut f: impl FnMut(u32) -> u64) -> u128 {
    (0..count(size)).fold(0, |a, n| {
        a | u128::from(f(n) & mask(size)) << (n * bits(size))
    })
}

fn signed(size: Size, a: u64) -> i64 {
    extend(size, true, a) as i64
}

/// Clamps to a lane.
fn saturate(size: Size, to_signed: bool, value: i128, saturated: &mut Saturated) -> u64 {
    let (least, greatest) = if to_signed {
        (
            -(1i128 << (bits(size) - 1)),
            (1i128 << (bits(size) - 1)) - 1,
        )
    } else {
        (0, i128::from(mask(size)))
    };
    *saturated |= value < least || value > greatest;
    value.clamp(least, greatest) as u64 & mask(size)
}

fn all_ones(holds: bool) -> u64 {
    if holds { u64::MAX } else { 0 }
}

/// a × 2^by for a lane as an integer, exactly but for the rounding of right shifts.
fn shift(a: i128, by: i8, round: bool) -> i128 {
    match i32::from(by) {
        left @ 0.. if a == 0 || left < 64 => a << left.min(63),
        left @ 0.. => a.signum() << (62 + left.min(64)),
        right if -right > 126 => {
            if round || a >= 0 {
                0
            } else {
                -1
            }
        }
        right if round => (a + (1i128 << (-right - 1))) >> -right,
        right => a >> -right,
    }
}

/// See [`VectorUnary`].
pub fn unary(op: VectorUnary, size: Size, a: u128, saturated: &mut Saturated) -> u128 {
    use VectorUnary as V;
    let each = |f: &mut dyn FnMut(u64) -> u64| build(size, |n| f(lane(size, a, n)));
    let least = |key: &dyn Fn(u64) -> i128| -> u128 {
        let lanes = (0..count(size)).map(|n| lane(size, a, n));
        lanes.min_by_key(|&x| key(x)).unwrap_or(0).into()
    };
    let wide = double(size);
    match op {
        V::Low => a & u128::from(u64::MAX),
        V::High => a >> 64,
        V::Not => !a,
        V::Neg => each(&mut |x| x.wrapping_neg()),
        V::Abs => each(&mut |x| signed(size, x).unsigned_abs()),
        V::NegSat => each(&mut |x| saturate(size, true, -i128::from(signed(size, x)), saturated)),
        V::AbsSat => {
            each(&mut |x| saturate(size, true, i128::from(signed(size, x)).abs(), saturated))
        }
        V::Clz => each(&mut |x| (x.leading_zeros() - (64 - bits(size))).into()),
        V::Cls => each(&mut |x| {
            let s = signed(size, x);
            let same = if s < 0 {
                s.leading_ones()
            } else {
                s.leading_zeros()
            };
            (same - 1 - (64 - bits(size))).into()
        }),
        V::PopCount => each(&mut |x| x.count_ones().into()),
        V::ReverseBits => each(&mut |x| (x as u8).reverse_bits().into()),
        V::Reverse16 => reverse(size, a, 2),
        V::Reverse32 => reverse(size, a, 4),
        V::Reverse64 => reverse(size, a, 8),
        V::WidenU => build(wide, |n| lane(size, a, n)),
        V::WidenS => build(wide, |n| extend(size, true, lane(size, a, n))),
        V::Narrow => narrow(size, a, |x| x),
        V::NarrowSS => narrow(size, a, |x| {
            saturate(size, true, signed(wide, x).into(), saturated)
        }),
        V::NarrowSU => narrow(size, a, |x| {
            saturate(size, false, signed(wide, x).into(), saturated)
        }),
        V::NarrowUU => narrow(size, a, |x| saturate(size, false, x.into(), saturated)),
        V::Sum => {
            let sum = (0..count(size)).fold(0u64, |sum, n| sum.wrapping_add(lane(size, a, n)));
            (sum & mask(size)).into()
        }
        V::LeastS => least(&|x| signed(size, x).into()),
        V::LeastU => least(&|x| x.into()),
        V::GreatestS => least(&|x| -i128::from(signed(size, x))),
        V::GreatestU => least(&|x| -i128::from(x)),
        V::PairwiseWidenS => build(wide, |n| {
            let pair = [2 * n, 2 * n + 1].map(|n| extend(size, true, lane(size, a, n)));
            pair[0].wrapping_add(pair[1])
        }),
        V::PairwiseWidenU => build(wide, |n| {
            lane(size, a, 2 * n).wrapping_add(lane(size, a, 2 * n + 1))
        }),
        V::RecipEstimate => each(&mut |x| estimate::unsigned_recip_estimate(x as u32).into()),
        V::RsqrtEstimate => each(&mut |x| estimate::unsigned_rsqrt_estimate(x as u32).into()),
        V::AesMix => crypto::aes_mix(a),
        V::AesUnmix => crypto::aes_unmix(a),
        V::Sha1H => (a as u32).rotate_left(30).into(),
    }
}

/// Reverses lanes within each `container` bytes.
fn reverse(size: Size, a: u128, container: u32) -> u128 {
    let flip = container / size.bytes() - 1;
    build(size, |n| lane(size, a, n ^ flip))
}

/// Each lane of twice the size through `f`, into the lower half.
fn narrow(size: Size, a: u128, mut f: impl FnMut(u64) -> u64) -> u128 {
    let wide = double(size);
    build(size, |n| {
        if n < count(wide) {
            f(lane(wide, a, n))
        } else {
            0
        }
    })
}

/// See [`VectorBinary`].
pub fn binary(op: VectorBinary, size: Size, a: u128, b: u128, saturated: &mut Saturated) -> u128 {
    use VectorBinary as V;
    match op {
        V::And => a & b,
        V::Or => a | b,
        V::Xor => a ^ b,
        V::AndNot => a & !b,
        V::OrNot => a | !b,
        V::Concat => a & u128::from(u64::MAX) | b << 64,
        V::Zip1 => build(size, |n| lane(size, if n % 2 == 0 { a } else { b }, n / 2)),
        V::Zip2 => build(size, |n| {
            lane(size, if n % 2 == 0 { a } else { b }, (n + count(size)) / 2)
        }),
        V::Uzp1 => unzip(size, a, b, 0),
        V::Uzp2 => unzip(size, a, b, 1),
        V::Trn1 => build(size, |n| lane(size, if n % 2 == 0 { a } else { b }, n & !1)),
        V::Trn2 => build(size, |n| lane(size, if n % 2 == 0 { a } else { b }, n | 1)),
        V::Table => build(Size::B1, |n| match lane(Size::B1, b, n) as u32 {
            index @ 0..16 => lane(Size::B1, a, index),
            _ => 0,
        }),
        V::MulWideS => build(double(size), |n| {
            let (x, y) = (
                signed(size, lane(size, a, n)),
                signed(size, lane(size, b, n)),
            );
            (x * y) as u64
        }),
        V::MulWideU => build(double(size), |n| lane(size, a, n) * lane(size, b, n)),
        V::DoubleMulWide => build(double(size), |n| {
            let (x, y) = (
                signed(size, lane(size, a, n)),
                signed(size, lane(size, b, n)),
            );
            saturate(
                double(size),
                true,
                i128::from(x) * i128::from(y) * 2,
                saturated,
            )
        }),
        V::PolyMulWide if size == Size::B8 => polynomial(a as u64, b as u64),
        V::PolyMulWide => build(double(size), |n| {
            polynomial(lane(size, a, n), lane(size, b, n)) as u64
        }),
        V::AesEncrypt => crypto::aes_encrypt(a ^ b),
        V::AesDecrypt => crypto::aes_decrypt(a ^ b),
        V::Sha1Su1 => crypto::sha1_su1(a, b),
        V::Sha256Su0 => crypto::sha256_su0(a, b),
        _ => build(size, |n| {
            lane_binary(op, size, lane(size, a, n), lane(size, b, n), saturated)
        }),
    }
}

fn unzip(size: Size, a: u128, b: u128, odd: u32) -> u128 {
    let half = count(size) / 2;
    build(size, |n| {
        if n < half {
            lane(size, a, 2 * n + odd)
        } else {
            lane(size, b, 2 * (n - half) + odd)
        }
    })
}

/// The product of polynomials over {0, 1}.
fn polynomial(a: u64, b: u64) -> u128 {
    (0..64)
        .filter(|&i| b >> i & 1 != 0)
        .fold(0, |product, i| product ^ u128::from(a) << i)
}

fn lane_binary(op: VectorBinary, size: Size, a: u64, b: u64, saturated: &mut Saturated) -> u64 {
    use VectorBinary as V;
    let (s, t) = (signed(size, a), signed(size, b));
    let (sa, sb) = (i128::from(s), i128::from(t));
    let (ua, ub) = (i128::from(a), i128::from(b));
    let w = bits(size);
    let double_product = (sa * sb).wrapping_mul(2);
    match op {
        V::Add => a.wrapping_add(b),
        V::Sub => a.wrapping_sub(b),
        V::Mul => a.wrapping_mul(b),
        V::MinS => s.min(t) as u64,
        V::MinU => a.min(b),
        V::MaxS => s.max(t) as u64,
        V::MaxU => a.max(b),
        V::DiffS => s.abs_diff(t),
        V::DiffU => a.abs_diff(b),
        V::AverageDownS => ((sa + sb) >> 1) as u64,
        V::AverageDownU => ((ua + ub) >> 1) as u64,
        V::AverageUpS => ((sa + sb + 1) >> 1) as u64,
        V::AverageUpU => ((ua + ub + 1) >> 1) as u64,
        V::HalfSubS => ((sa - sb) >> 1) as u64,
        V::HalfSubU => ((ua - ub) >> 1) as u64,
        V::AddSatS => saturate(size, true, sa + sb, saturated),
        V::AddSatU => saturate(size, false, ua + ub, saturated),
        V::AddSatSU => saturate(size, true, sa + ub, saturated),
        V::AddSatUS => saturate(size, false, ua + sb, saturated),
        V::SubSatS => saturate(size, true, sa - sb, saturated),
        V::SubSatU => saturate(size, false, ua - ub, saturated),
        V::Eq => all_ones(a == b),
        V::GtS => all_ones(s > t),
        V::GtU => all_ones(a > b),
        V::GeS => all_ones(s >= t),
        V::GeU => all_ones(a >= b),
        V::Test => all_ones(a & b != 0),
        V::ShiftS => shift_modular(sa, b as i8, false, w),
        V::ShiftU => shift_modular(ua, b as i8, false, w),
        V::ShiftRoundS => shift_modular(sa, b as i8, true, w),
        V::ShiftRoundU => shift_modular(ua, b as i8, true, w),
        V::ShiftSatS => saturate(size, true, shift(sa, b as i8, false), saturated),
        V::ShiftSatU => saturate(size, false, shift(ua, b as i8, false), saturated),
        V::ShiftRoundSatS => saturate(size, true, shift(sa, b as i8, true), saturated),
        V::ShiftRoundSatU => saturate(size, false, shift(ua, b as i8, true), saturated),
        V::ShiftSatSU => saturate(size, false, shift(sa, b as i8, false), saturated),
        V::DoubleMulHigh => saturate(size, true, double_product >> w, saturated),
        V::DoubleMulHighRound => saturate(
            size,
            true,
            (double_product + (1 << (w - 1))) >> w,
            saturated,
        ),
        V::PolyMul => polynomial(a, b) as u64,
        _ => unreachable!("{op:?} is not done lane by lane"),
    }
}

/// As [`shift`], modulo 2^64: a left shift by the lane's width or more is zero.
fn shift_modular(a: i128, by: i8, round: bool, w: u32) -> u64 {
    if i32::from(by) >= w as i32 {
        0
    } else {
        shift(a, by, round) as u64
    }
}

/// See [`VectorShift`].
pub fn shift_by(op: VectorShift, size: Size, a: u128, by: u8) -> u128 {
    let right = (by as i8).wrapping_neg();
    build(size, |n| {
        let x = lane(size, a, n);
        let (s, u) = (i128::from(signed(size, x)), i128::from(x));
        match op {
            VectorShift::Left => x << by,
            VectorShift::RightS => shift(s, right, false) as u64,
            VectorShift::RightU => shift(u, right, false) as u64,
            VectorShift::RightRoundS => shift(s, right, true) as u64,
            VectorShift::RightRoundU => shift(u, right, true) as u64,
        }
    })
}

/// See [`VectorTernary`].
pub fn ternary(
    op: VectorTernary,
    size: Size,
    (a, b, c): (u128, u128, u128),
    saturated: &mut Saturated,
) -> u128 {
    use VectorTernary as V;
    match op {
        V::Select => a & b | !a & c,
        V::DotS | V::DotU => build(Size::B4, |n| {
            (4 * n..4 * n + 4).fold(lane(Size::B4, a, n), |sum, n| {
                let (x, y) = (lane(Size::B1, b, n), lane(Size::B1, c, n));
                let signed = op == V::DotS;
                let product = extend(Size::B1, signed, x).wrapping_mul(extend(Size::B1, signed, y));
                sum.wrapping_add(product)
            })
        }),
        V::DoubleMulAddHighRound | V::DoubleMulSubHighRound => build(size, |n| {
            let [x, y, z] = [a, b, c].map(|v| i128::from(signed(size, lane(size, v, n))));
            let product = if op == V::DoubleMulAddHighRound {
                2 * y * z
            } else {
                -2 * y * z
            };
            let w = bits(size);
            saturate(
                size,
                true,
                ((x << w) + product + (1 << (w - 1))) >> w,
                saturated,
            )
        }),
        V::Sha1C => crypto::sha1_rounds(a, b, c, |x, y, z| x & y | !x & z),
        V::Sha1P => crypto::sha1_rounds(a, b, c, |x, y, z| x ^ y ^ z),
        V::Sha1M => crypto::sha1_rounds(a, b, c, |x, y, z| x & y | (x | y) & z),
        V::Sha1Su0 => crypto::sha1_su0(a, b, c),
        V::Sha256H => crypto::sha256_rounds(a, b, c).0,
        // The manual's SHA256H2 has the two halves of the state the other way round.
        V::Sha256H2 => crypto::sha256_rounds(b, a, c).1,
        V::Sha256Su1 => crypto::sha256_su1(a, b, c),
    }
}
