//! The formats that `print/x` and `x/x` name by a letter.

use super::float;

/// How a number is shown, where its type does not decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Format {
    /// `x`: hexadecimal.
    Hex,
    /// `z`: hexadecimal with leading zeros.
    PaddedHex,
    /// `d`: signed decimal.
    Decimal,
    /// `u`: unsigned decimal.
    Unsigned,
    /// `o`: octal.
    Octal,
    /// `t`: binary.
    Binary,
    /// `a`: an address and the symbol that it lies in.
    Address,
    /// `c`: a character and its number.
    Character,
    /// `f`: floating point.
    Float,
    /// `s`: text, where the type has any.
    Text,
    /// `i`: an instruction; `x` only.
    Instruction,
    /// `r`: without pretty-printing.
    Raw,
}

impl Format {
    /// The format of a letter.
    pub fn of(letter: char) -> Option<Format> {
        Some(match letter {
            'x' => Format::Hex,
            'z' => Format::PaddedHex,
            'd' => Format::Decimal,
            'u' => Format::Unsigned,
            'o' => Format::Octal,
            't' => Format::Binary,
            'a' => Format::Address,
            'c' => Format::Character,
            'f' => Format::Float,
            's' => Format::Text,
            'i' => Format::Instruction,
            'r' => Format::Raw,
            _ => return None,
        })
    }

    /// Whether each number is shown by its bits, whatever its type.
    pub fn is_numeric(self) -> bool {
        !matches!(self, Format::Text | Format::Instruction | Format::Raw)
    }
}

/// A number's bytes as an unsigned number.
pub fn unsigned(bytes: &[u8]) -> u128 {
    let mut wide = [0; 16];
    let len = bytes.len().min(16);
    wide[..len].copy_from_slice(&bytes[..len]);
    u128::from_le_bytes(wide)
}

/// A number's bytes as a signed number.
pub fn signed(bytes: &[u8]) -> i128 {
    let len = bytes.len().clamp(1, 16) as u32;
    let shift = 128 - 8 * len;
    (unsigned(bytes) as i128) << shift >> shift
}

/// A number's bytes in a format; `Address` without its symbol. `is_signed`
/// and `is_float` say what the type makes of the bytes.
pub fn show(bytes: &[u8], format: Format, is_signed: bool, is_float: bool) -> String {
    let number = unsigned(bytes);
    match format {
        Format::Hex | Format::Address => format!("{number:#x}"),
        Format::PaddedHex => format!("0x{number:0width$x}", width = 2 * bytes.len()),
        Format::Decimal => signed(bytes).to_string(),
        Format::Unsigned => number.to_string(),
        Format::Octal if number == 0 => "0".into(),
        Format::Octal => format!("0{number:o}"),
        Format::Binary => format!("{number:b}"),
        Format::Character => {
            let unit = number as u8;
            let number = if is_signed {
                signed(bytes).to_string()
            } else {
                number.to_string()
            };
            format!("{number} {}", character(unit.into(), 1))
        }
        Format::Float if is_float || matches!(bytes.len(), 4 | 8 | 16) => float::show(bytes),
        _ if is_float => float::show(bytes),
        _ if is_signed => signed(bytes).to_string(),
        _ => number.to_string(),
    }
}

/// A character of that many bytes in quotes.
pub fn character(unit: u32, size: usize) -> String {
    let mut text = String::from("'");
    escape(unit, size, '\'', &mut text);
    text.push('\'');
    text
}

/// Writes one character as C would between such quotes.
pub fn escape(unit: u32, size: usize, quote: char, out: &mut String) {
    let short = match unit {
        7 => Some('a'),
        8 => Some('b'),
        9 => Some('t'),
        10 => Some('n'),
        11 => Some('v'),
        12 => Some('f'),
        13 => Some('r'),
        92 => Some('\\'),
        unit if unit == quote as u32 => Some(quote),
        _ => None,
    };
    if let Some(short) = short {
        out.push('\\');
        out.push(short);
        return;
    }
    match char::from_u32(unit) {
        Some(plain @ ' '..='~') => out.push(plain),
        Some(wide) if size > 1 && unit >= 0xa0 && !wide.is_control() => out.push(wide),
        _ => {
            let units = unit.to_le_bytes();
            // Each byte by itself, the most significant first.
            let len = if size == 1 || unit < 0x100 {
                1
            } else {
                size.min(4)
            };
            for byte in units[..len].iter().rev() {
                out.push_str(&format!("\\{byte:03o}"));
            }
        }
    }
}

/// The limits of what is shown of text and arrays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most elements or characters.
    pub elements: usize,
    /// More equal ones than this in a row are counted instead.
    pub repeats: usize,
}

/// Text of units of that many bytes, in quotes, runs counted. `is_cut` says
/// that more follows.
pub fn text(units: &[u32], size: usize, prefix: &str, is_cut: bool, limits: Limits) -> String {
    if units.is_empty() {
        return format!("{prefix}\"\"{}", if is_cut { "..." } else { "" });
    }
    let mut out = String::new();
    let mut is_open = false;
    let (mut at, mut shown) = (0, 0);
    while at < units.len() && shown < limits.elements {
        let run = units[at..]
            .iter()
            .take_while(|&&unit| unit == units[at])
            .count();
        if run > limits.repeats {
            if is_open {
                out.push('"');
                is_open = false;
            }
            if !out.is_empty() {
                out.push_str(", ");
            }
            out.push_str(prefix);
            out.push_str(&character(units[at], size));
            out.push_str(&format!(" <repeats {run} times>"));
            at += run;
            shown += limits.repeats;
            continue;
        }
        if !is_open {
            if !out.is_empty() {
                out.push_str(", ");
            }
            out.push_str(prefix);
            out.push('"');
            is_open = true;
        }
        let taken = match size {
            1 => utf8_at(&units[at..], &mut out),
            _ => 0,
        };
        if taken == 0 {
            escape(units[at], size, '"', &mut out);
        }
        at += taken.max(1);
        shown += 1;
    }
    if is_open {
        out.push('"');
    }
    if is_cut || at < units.len() {
        out.push_str("...");
    }
    out
}

/// Writes a character of two to four bytes that stands at the front, if one
/// does, and says how many bytes it took.
fn utf8_at(units: &[u32], out: &mut String) -> usize {
    let len = match units[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return 0,
    };
    let bytes: Vec<u8> = units.iter().take(len).map(|&unit| unit as u8).collect();
    match std::str::from_utf8(&bytes) {
        Ok(text) if !text.contains(char::is_control) => {
            out.push_str(text);
            len
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        elements: 200,
        repeats: 10,
    };

    fn quoted(bytes: &[u8]) -> String {
        let units: Vec<u32> = bytes.iter().map(|&byte| byte.into()).collect();
        text(&units, 1, "", false, LIMITS)
    }

    /// Each as gdb 13 prints it.
    #[test]
    fn runs_are_counted() {
        assert_eq!(
            quoted(b"hi\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            r#""hi", '\000' <repeats 13 times>"#
        );
        assert_eq!(quoted(b"aaaaaaaaaabc"), r#""aaaaaaaaaabc""#);
        assert_eq!(quoted(b"aaaaaaaaaaabc"), r#"'a' <repeats 11 times>, "bc""#);
        assert_eq!(quoted(b"a\tb\"c\\\x1b\x01"), r#""a\tb\"c\\\033\001""#);
        assert_eq!(quoted(b""), r#""""#);
        assert_eq!(quoted("é".as_bytes()), "\"é\"");
        assert_eq!(character(39, 1), r"'\''");
        assert_eq!(character(200, 1), r"'\310'");
    }

    #[test]
    fn numbers_in_each_format() {
        let minus_five = (-5i32).to_le_bytes();
        let check = |format, text: &str| assert_eq!(show(&minus_five, format, true, false), text);
        check(Format::Hex, "0xfffffffb");
        check(Format::Octal, "037777777773");
        check(Format::Binary, "11111111111111111111111111111011");
        check(Format::Unsigned, "4294967291");
        check(Format::Character, r"-5 '\373'");
        check(Format::Decimal, "-5");
        assert_eq!(
            show(&[5, 0, 0, 0], Format::PaddedHex, true, false),
            "0x00000005"
        );
    }
}
