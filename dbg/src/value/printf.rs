//! `printf`'s texts: C's conversions applied to values of the program.

use super::{Error, Reader, Shape, Value, format};
use sapwood_dwarf::{Address, Encoding};

/// A text with conversions, and the expressions that follow it, as `printf` and
/// `dprintf` take them: `"%d of %s\n", count, name`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    pieces: Vec<Piece>,
    /// The expressions, in order.
    pub arguments: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    Conversion(Conversion),
}

/// `%-8.3ld`, taken apart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Conversion {
    minus: bool,
    plus: bool,
    blank: bool,
    hash: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    /// Bytes that an integer is taken as: by `hh`, `h`, `l`, `ll`, `z`, `j`, `t`.
    size: usize,
    letter: char,
}

/// More columns than anybody has.
const MAX_WIDTH: usize = 1 << 16;
/// More characters of one `%s` than anybody reads.
const MAX_TEXT: usize = 1 << 20;

impl Template {
    /// Takes apart what follows the command's word.
    pub fn parse(text: &str) -> Result<Template, Error> {
        let text = text.trim_start();
        let Some(rest) = text.strip_prefix('"') else {
            return Err(Error::new(match text {
                "" => "Argument required (format-control string and values to print).",
                _ => "Bad format string",
            }));
        };
        let mut said = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next() {
                None => return Err(Error::new("Bad format string, non-terminated '\"'")),
                Some((at, '"')) => break at + 1,
                Some((_, '\\')) => {
                    let after = characters.as_str();
                    let (c, used) = escape(after)?;
                    said.push(c);
                    for _ in 0..used {
                        characters.next();
                    }
                }
                Some((_, c)) => said.push(c),
            }
        };
        let rest = rest[end..].trim_start();
        let arguments = match rest.strip_prefix(',') {
            Some(rest) => split_at_commas(rest),
            None if rest.is_empty() => Vec::new(),
            None => return Err(Error::new("Invalid argument syntax")),
        };
        let pieces = pieces(&said)?;
        let wanted = pieces
            .iter()
            .filter(|piece| matches!(piece, Piece::Conversion(_)))
            .count();
        if wanted != arguments.len() {
            return Err(Error::new(
                "Wrong number of arguments for specified format-string",
            ));
        }
        Ok(Template { pieces, arguments })
    }

    /// The text, with the values of the arguments in it.
    pub fn fill(&self, values: &[Value], reader: &mut Reader<'_>) -> Result<String, Error> {
        let mut out = String::new();
        let mut values = values.iter();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Conversion(conversion) => {
                    let value = values.next().expect("as many as conversions");
                    out.push_str(&conversion.apply(value, reader)?);
                }
            }
        }
        Ok(out)
    }
}

/// What follows a backslash: the character, and how many characters name it.
fn escape(after: &str) -> Result<(char, usize), Error> {
    let first = after.chars().next();
    Ok(match first {
        Some('n') => ('\n', 1),
        Some('t') => ('\t', 1),
        Some('r') => ('\r', 1),
        Some('a') => ('\x07', 1),
        Some('b') => ('\x08', 1),
        Some('f') => ('\x0c', 1),
        Some('v') => ('\x0b', 1),
        Some('e') => ('\x1b', 1),
        Some(c @ ('\\' | '"')) => (c, 1),
        Some('0'..='7') => {
            let digits = after.chars().take(3).take_while(|c| c.is_digit(8)).count();
            let value = u8::from_str_radix(&after[..digits], 8).unwrap_or(0xff);
            (char::from(value), digits)
        }
        Some(c) => {
            return Err(Error::new(format_args!(
                "Unrecognized escape character \\{c} in format string."
            )));
        }
        None => return Err(Error::new("Bad format string")),
    })
}

fn pieces(text: &str) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            plain.push('%');
            rest = after;
            continue;
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        let (conversion, used) = conversion(rest)?;
        pieces.push(Piece::Conversion(conversion));
        rest = &rest[used..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// Reads a conversion behind its `%`; says how many bytes it has.
fn conversion(text: &str) -> Result<(Conversion, usize), Error> {
    let mut found = Conversion {
        size: 4,
        ..Conversion::default()
    };
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(flag) = bytes.get(at) {
        match flag {
            b'-' => found.minus = true,
            b'+' => found.plus = true,
            b' ' => found.blank = true,
            b'#' => found.hash = true,
            b'0' => found.zero = true,
            b'\'' => {}
            _ => break,
        }
        at += 1;
    }
    let number = |at: &mut usize| {
        let start = *at;
        while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
            *at += 1;
        }
        text[start..*at]
            .parse::<usize>()
            .unwrap_or(0)
            .min(MAX_WIDTH)
    };
    found.width = number(&mut at);
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        found.precision = Some(number(&mut at));
    }
    if bytes.get(at) == Some(&b'*') {
        return Err(Error::new(
            "`*' not supported for precision or width in printf",
        ));
    }
    while let Some(size) = bytes.get(at) {
        found.size = match size {
            b'h' if found.size == 2 => 1,
            b'h' => 2,
            b'l' | b'z' | b'j' | b't' | b'L' | b'w' => 8,
            _ => break,
        };
        at += 1;
    }
    found.letter = match text[at..].chars().next() {
        Some(letter) if "diouxXcspeEfFgGaA".contains(letter) => letter,
        Some(letter) => {
            return Err(Error::new(format_args!(
                "Unrecognized format specifier '{letter}' in printf"
            )));
        }
        None => {
            return Err(Error::new(
                "Incomplete format specifier at end of format string",
            ));
        }
    };
    Ok((found, at + 1))
}

/// Expressions between commas that no bracket or quote holds.
pub(crate) fn split_at_commas(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let (mut depth, mut quote, mut escaped) = (0i32, None, false);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), _) => {
                if c == open && !escaped {
                    quote = None;
                }
                escaped = c == '\\' && !escaped;
            }
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            (None, ',') if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        all.last_mut().expect("never empty").push(c);
    }
    all.into_iter().map(|one| one.trim().to_owned()).collect()
}

impl Conversion {
    fn apply(&self, value: &Value, reader: &mut Reader<'_>) -> Result<String, Error> {
        Ok(match self.letter {
            's' => {
                let mut text = text_of(value, reader)?;
                if let Some(most) = self.precision {
                    text = text.chars().take(most).collect();
                }
                self.padded(text, false)
            }
            'c' => {
                let (number, _) = whole(value, reader)?;
                let c = match self.size {
                    8 => char::from_u32(number as u32).unwrap_or('\u{fffd}'),
                    _ => char::from(number as u8),
                };
                self.padded(c.to_string(), false)
            }
            'p' => {
                let (number, _) = whole(value, reader)?;
                let text = match number as u64 {
                    0 => "(nil)".to_owned(),
                    at => format!("{at:#x}"),
                };
                self.padded(text, false)
            }
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'a' | 'A' => {
                self.padded(self.float(floating(value, reader)?), true)
            }
            _ => self.integer(whole(value, reader)?.0),
        })
    }

    fn integer(&self, number: i128) -> String {
        let bits = 8 * self.size as u32;
        let low = number & ((1i128 << bits) - 1);
        let is_signed = matches!(self.letter, 'd' | 'i');
        let negative = is_signed && low >> (bits - 1) & 1 == 1;
        let size = if negative { (1i128 << bits) - low } else { low };
        let mut digits = match self.letter {
            'o' => format!("{size:o}"),
            'x' => format!("{size:x}"),
            'X' => format!("{size:X}"),
            _ => size.to_string(),
        };
        if let Some(least) = self.precision {
            digits = format!("{}{digits}", "0".repeat(least.saturating_sub(digits.len())));
        }
        let sign = match (is_signed, negative, self.letter) {
            (true, true, _) => "-",
            (true, ..) if self.plus => "+",
            (true, ..) if self.blank => " ",
            (_, _, 'x') if self.hash && size != 0 => "0x",
            (_, _, 'X') if self.hash && size != 0 => "0X",
            (_, _, 'o') if self.hash && !digits.starts_with('0') => "0",
            _ => "",
        };
        self.padded(format!("{sign}{digits}"), self.precision.is_none())
    }

    fn float(&self, value: f64) -> String {
        let precision = self.precision.unwrap_or(6);
        let size = value.abs();
        let lower = self.letter.to_ascii_lowercase();
        let digits = match lower {
            _ if size.is_nan() => "nan".to_owned(),
            _ if size.is_infinite() => "inf".to_owned(),
            'f' => format!("{size:.precision$}"),
            'e' => exponent(size, precision),
            'a' => hexadecimal(size),
            _ => super::float::general(size, precision.max(1)),
        };
        let sign = match value.is_sign_negative() {
            true => "-",
            false if self.plus => "+",
            false if self.blank => " ",
            false => "",
        };
        let text = format!("{sign}{digits}");
        match self.letter.is_ascii_uppercase() {
            true => text.to_uppercase(),
            false => text,
        }
    }

    fn padded(&self, text: String, by_zeros: bool) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        if self.minus {
            return text + &" ".repeat(missing);
        }
        if !(self.zero && by_zeros) || text.ends_with("inf") || text.ends_with("nan") {
            return " ".repeat(missing) + &text;
        }
        // Zeros go behind the sign and the base.
        let digits = text.trim_start_matches(['-', '+', ' ']);
        let base = if digits.starts_with("0x") || digits.starts_with("0X") {
            2
        } else {
            0
        };
        let at = text.len() - digits.len() + base;
        format!("{}{}{}", &text[..at], "0".repeat(missing), &text[at..])
    }
}

/// As C's `%e` writes it: at least two digits of exponent, with its sign.
fn exponent(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.unsigned_abs())
}

/// As C's `%a` writes it.
fn hexadecimal(value: f64) -> String {
    const MANTISSA: u32 = 52;
    let bits = value.to_bits();
    let power = (bits >> MANTISSA & 0x7ff) as i32;
    let digits = format!("{:013x}", bits & ((1 << MANTISSA) - 1));
    let digits = digits.trim_end_matches('0');
    let dot = if digits.is_empty() { "" } else { "." };
    match (power, digits) {
        (0, "") => "0x0p+0".to_owned(),
        (0, _) => format!("0x0{dot}{digits}p-1022"),
        _ => format!("0x1{dot}{digits}p{:+}", power - 1023),
    }
}

/// A value as a whole number, and whether its type has a sign.
fn whole(value: &Value, reader: &mut Reader<'_>) -> Result<(i128, bool), Error> {
    let shape = value.ty.shape(reader.modules)?;
    if let (Shape::Array { .. } | Shape::Function { .. }, Some(at)) = (&shape, value.address()) {
        return Ok((at.0.into(), false));
    }
    if let Shape::Reference(to, _) = shape {
        let at = Address(format::unsigned(&reader.bytes(value)?) as u64);
        return whole(&Value::in_memory(to, at), reader);
    }
    let bytes = reader.bytes(value)?;
    if let Shape::Number {
        encoding: Encoding::Float,
        ..
    } = shape
    {
        let number = super::float::value(&bytes).unwrap_or(0.0);
        return Ok((number as i128, true));
    }
    if matches!(shape, Shape::Composite(..) | Shape::Void) {
        return Err(Error::new("Value can't be converted to integer."));
    }
    let is_signed = super::print::is_signed(&value.ty, reader.modules)?;
    Ok(match is_signed {
        true => (format::signed(&bytes), true),
        false => (format::unsigned(&bytes) as i128, false),
    })
}

fn floating(value: &Value, reader: &mut Reader<'_>) -> Result<f64, Error> {
    match value.ty.shape(reader.modules)? {
        Shape::Number {
            encoding: Encoding::Float,
            ..
        } => {
            let bytes = reader.bytes(value)?;
            super::float::value(&bytes).ok_or_else(|| Error::new("a number of that size"))
        }
        Shape::Reference(to, _) => {
            let at = Address(format::unsigned(&reader.bytes(value)?) as u64);
            floating(&Value::in_memory(to, at), reader)
        }
        _ => Ok(whole(value, reader)?.0 as f64),
    }
}

/// The text that a value is, or that it points to.
fn text_of(value: &Value, reader: &mut Reader<'_>) -> Result<String, Error> {
    let size = match value.ty.shape(reader.modules)? {
        Shape::Array { element, .. } => element.size(reader.modules)?.unwrap_or(1),
        Shape::Pointer(to) => to.size(reader.modules)?.unwrap_or(1),
        _ => 1,
    };
    let size = if matches!(size, 2 | 4) {
        size as usize
    } else {
        1
    };
    if let (Shape::Array { .. }, None) = (value.ty.shape(reader.modules)?, value.address()) {
        let bytes = reader.bytes(value)?;
        let units = bytes.chunks(size).map(|unit| format::unsigned(unit) as u32);
        let units: Vec<u32> = units.take_while(|unit| *unit != 0).collect();
        return Ok(characters(&units, size));
    }
    let (at, _) = whole(value, reader)?;
    if at == 0 {
        return Ok("(null)".to_owned());
    }
    let (units, _) = reader.text_at(Address(at as u64), size, MAX_TEXT)?;
    Ok(characters(&units, size))
}

fn characters(units: &[u32], size: usize) -> String {
    if size == 1 {
        let bytes: Vec<u8> = units.iter().map(|unit| *unit as u8).collect();
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    if size == 2 {
        let units: Vec<u16> = units.iter().map(|unit| *unit as u16).collect();
        return String::from_utf16_lossy(&units);
    }
    let all = units
        .iter()
        .map(|&unit| char::from_u32(unit).unwrap_or('\u{fffd}'));
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checked with printf(3).
    #[test]
    fn numbers_are_written_as_c_does() {
        for (text, number, expected) in [
            ("d", -5, "-5"),
            ("5d|", -5, "   -5"),
            ("-5d|", -5, "-5   "),
            ("05d", -5, "-0005"),
            ("+d", 5, "+5"),
            (" d", 5, " 5"),
            (".3d", 5, "005"),
            ("u", -1, "4294967295"),
            ("lu", -1, "18446744073709551615"),
            ("hhd", 255, "-1"),
            ("hu", 65537, "1"),
            ("#x", 255, "0xff"),
            ("#010X", 255, "0X000000FF"),
            ("#o", 8, "010"),
            ("x", -1, "ffffffff"),
        ] {
            let (conversion, _) = conversion(text).expect(text);
            assert_eq!(conversion.integer(number), expected, "%{text}");
        }
        for (text, number, expected) in [
            ("f", 1.5, "1.500000"),
            (".2f", -1.005, "-1.00"),
            ("e", 12345.678, "1.234568e+04"),
            ("g", 0.0001, "0.0001"),
            ("g", 0.00001, "1e-05"),
            ("g", 1_000_000.0, "1e+06"),
            ("g", 100000.0, "100000"),
            (".3g", 4.56789, "4.57"),
            ("G", 1e-10, "1E-10"),
            ("f", f64::INFINITY, "inf"),
            ("+.1e", 9.99, "+1.0e+01"),
        ] {
            let (conversion, _) = conversion(text).expect(text);
            assert_eq!(conversion.float(number), expected, "%{text}");
        }
    }

    #[test]
    fn a_template_is_taken_apart() {
        let template = Template::parse(r#" "%d of \"%s\"\n", f(1, 2), "a,b""#).unwrap();
        assert_eq!(template.arguments, ["f(1, 2)", "\"a,b\""]);
        assert!(Template::parse("\"%d\"").is_err());
        assert!(Template::parse("\"%q\", 1").is_err());
        assert!(Template::parse("\"abc").is_err());
    }
}
