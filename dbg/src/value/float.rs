//! Floating-point numbers as text, the way C's `%g` writes them.

/// The digits that gdb shows of each size, enough to tell any two apart.
const DIGITS: [(usize, usize); 4] = [(2, 5), (4, 9), (8, 17), (16, 21)];

/// A binary floating-point number of 2, 4, 8, 10 or 16 bytes (the last being
/// x87's ten, padded), as text.
pub fn show(bytes: &[u8]) -> String {
    match bytes.len() {
        2 => show_half(u16::from_le_bytes([bytes[0], bytes[1]])),
        4 => {
            let bits = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
            let value = f32::from_bits(bits);
            special(
                value.is_nan(),
                value.is_infinite(),
                value.is_sign_negative(),
                u128::from(bits & 0x7f_ffff),
            )
            .unwrap_or_else(|| general(f64::from(value), 9))
        }
        8 => {
            let bits = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
            let value = f64::from_bits(bits);
            special(
                value.is_nan(),
                value.is_infinite(),
                value.is_sign_negative(),
                u128::from(bits & 0xf_ffff_ffff_ffff),
            )
            .unwrap_or_else(|| general(value, 17))
        }
        10..=16 => show_x87(bytes),
        _ => "<invalid float value>".into(),
    }
}

fn special(is_nan: bool, is_infinite: bool, is_negative: bool, mantissa: u128) -> Option<String> {
    let sign = if is_negative { "-" } else { "" };
    if is_nan {
        return Some(format!("{sign}nan({mantissa:#x})"));
    }
    is_infinite.then(|| format!("{sign}inf"))
}

/// The value of a number of 2, 4, 8 or 16 bytes, as near as a double gets.
pub fn value(bytes: &[u8]) -> Option<f64> {
    Some(match bytes.len() {
        2 => half(u16::from_le_bytes([bytes[0], bytes[1]])),
        4 => f64::from(f32::from_le_bytes(bytes.try_into().ok()?)),
        8 => f64::from_le_bytes(bytes.try_into().ok()?),
        10..=16 => {
            let (sign, exponent, mantissa) = x87_parts(bytes);
            let magnitude = if exponent == 0x7fff {
                if mantissa << 1 == 0 {
                    f64::INFINITY
                } else {
                    f64::NAN
                }
            } else {
                mantissa as f64 * 2f64.powi(exponent - 16383 - 63)
            };
            if sign { -magnitude } else { magnitude }
        }
        _ => return None,
    })
}

/// The bytes of a number of that size.
pub fn to_bytes(value: f64, size: u64) -> Option<Vec<u8>> {
    Some(match size {
        4 => (value as f32).to_le_bytes().to_vec(),
        8 => value.to_le_bytes().to_vec(),
        10..=16 => x87_bytes(value, size as usize),
        _ => return None,
    })
}

fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + mantissa) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 {
        -magnitude
    } else {
        magnitude
    }
}

fn show_half(bits: u16) -> String {
    let value = half(bits);
    let mantissa = u128::from(bits & 0x3ff);
    special(
        value.is_nan(),
        value.is_infinite(),
        bits >> 15 == 1,
        mantissa,
    )
    .unwrap_or_else(|| general(value, DIGITS[0].1))
}

/// Sign, exponent and 64-bit mantissa of x87's format.
fn x87_parts(bytes: &[u8]) -> (bool, i32, u64) {
    let mantissa = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
    let top = u16::from_le_bytes([bytes[8], bytes[9]]);
    (top >> 15 == 1, i32::from(top & 0x7fff), mantissa)
}

fn x87_bytes(value: f64, size: usize) -> Vec<u8> {
    let bits = value.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7ff) as u16, bits & ((1 << 52) - 1));
    let sign = (bits >> 63 << 15) as u16;
    let (top, mantissa) = match exponent {
        0 if fraction == 0 => (0, 0),
        0 => {
            let shift = fraction.leading_zeros();
            ((16383 - 1022 - (shift as u16 - 11)), fraction << shift)
        }
        0x7ff => (0x7fff, 1 << 63 | fraction << 11),
        _ => (exponent + 16383 - 1023, 1 << 63 | fraction << 11),
    };
    let mut bytes = mantissa.to_le_bytes().to_vec();
    bytes.extend((top | sign).to_le_bytes());
    bytes.resize(size, 0);
    bytes
}

fn show_x87(bytes: &[u8]) -> String {
    let (sign, exponent, mantissa) = x87_parts(bytes);
    let minus = if sign { "-" } else { "" };
    if exponent == 0x7fff {
        let fraction = mantissa << 1 >> 1;
        return match fraction {
            0 => format!("{minus}inf"),
            _ => format!("{minus}nan({mantissa:#x})"),
        };
    }
    if mantissa == 0 {
        return format!("{minus}0");
    }
    let (digits, point) = decimal(mantissa, exponent.max(1) - 16383 - 63, DIGITS[3].1);
    format!("{minus}{}", lay_out(&digits, point, DIGITS[3].1))
}

/// The first `count` digits of `mantissa * 2^exponent`, rounded, and the power
/// of ten of the first one.
///
/// Exact, in big decimal numbers of base 10^9; used for x87 alone.
fn decimal(mantissa: u64, exponent: i32, count: usize) -> (String, i32) {
    const BASE: u64 = 1_000_000_000;
    // The number is `limbs` (lowest first) times 10^scale.
    let mut limbs = vec![
        mantissa % BASE,
        mantissa / BASE % BASE,
        mantissa / BASE / BASE,
    ];
    let mut scale = 0;
    // 2^-n is 5^n times 10^-n.
    let factor = if exponent >= 0 { 2 } else { 5 };
    for _ in 0..exponent.unsigned_abs() {
        let mut carry = 0;
        for limb in &mut limbs {
            let product = *limb * factor + carry;
            (*limb, carry) = (product % BASE, product / BASE);
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    if exponent < 0 {
        scale = exponent;
    }
    let mut text: String = limbs
        .iter()
        .rev()
        .map(|limb| format!("{limb:09}"))
        .collect();
    text = text.trim_start_matches('0').to_owned();
    let point = text.len() as i32 - 1 + scale;
    round(text, point, count)
}

/// Cuts a row of digits to `count`, half to even.
fn round(text: String, point: i32, count: usize) -> (String, i32) {
    if text.len() <= count {
        return (text, point);
    }
    let (kept, rest) = text.split_at(count);
    let mut digits: Vec<u8> = kept.bytes().collect();
    let is_half = rest.starts_with('5') && rest[1..].bytes().all(|digit| digit == b'0');
    let is_up = match is_half {
        true => digits[count - 1] % 2 == 1,
        false => rest.as_bytes()[0] >= b'5',
    };
    let mut point = point;
    if is_up {
        let mut at = count;
        loop {
            if at == 0 {
                digits.insert(0, b'1');
                digits.pop();
                point += 1;
                break;
            }
            at -= 1;
            if digits[at] == b'9' {
                digits[at] = b'0';
            } else {
                digits[at] += 1;
                break;
            }
        }
    }
    (String::from_utf8(digits).expect("digits"), point)
}

/// C's `%.{precision}g`.
pub fn general(value: f64, precision: usize) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() {
            "-0".into()
        } else {
            "0".into()
        };
    }
    let minus = if value < 0.0 { "-" } else { "" };
    let scientific = format!("{:.*e}", precision - 1, value.abs());
    let (digits, exponent) = scientific.split_once('e').expect("scientific form");
    let exponent: i32 = exponent.parse().expect("an exponent");
    format!(
        "{minus}{}",
        lay_out(&digits.replace('.', ""), exponent, precision)
    )
}

/// Digits and the power of ten of the first one, as `%g` lays them out.
fn lay_out(digits: &str, exponent: i32, precision: usize) -> String {
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    if exponent < -4 || exponent >= precision as i32 {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{first}{point}{rest}e{sign}{:02}", exponent.abs());
    }
    if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        return format!("0.{zeros}{digits}");
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each as gdb 13 prints it.
    #[test]
    fn doubles_and_floats() {
        for (value, text) in [
            (3.3, "3.2999999999999998"),
            (5.0, "5"),
            (1e300, "1.0000000000000001e+300"),
            (1.0 / 3.0, "0.33333333333333331"),
            (1000.0, "1000"),
            (-0.00001, "-1.0000000000000001e-05"),
            (1e17, "1e+17"),
            (123456789012345680.0, "1.2345678901234568e+17"),
        ] {
            assert_eq!(show(&f64::to_le_bytes(value)), text);
        }
        for (value, text) in [
            (0.1f32, "0.100000001"),
            (10.0 / 3.0, "3.33333325"),
            (1e-45, "1.40129846e-45"),
        ] {
            assert_eq!(show(&f32::to_le_bytes(value)), text);
        }
        assert_eq!(show(&f64::NAN.to_le_bytes()), "nan(0x8000000000000)");
        assert_eq!(show(&f32::NEG_INFINITY.to_le_bytes()), "-inf");
    }

    #[test]
    fn long_doubles() {
        // 0.1L, as gcc writes it.
        let tenth = [
            0xcd, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xfb, 0x3f, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(show(&tenth), "0.100000000000000000001");
        for value in [1.0, -2.5, 1e-310, 6.02e23, 0.0] {
            let bytes = to_bytes(value, 16).unwrap();
            assert_eq!(super::value(&bytes), Some(value));
        }
        assert_eq!(show(&to_bytes(-2.5, 16).unwrap()), "-2.5");
    }
}
