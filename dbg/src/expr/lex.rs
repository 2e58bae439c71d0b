//! Expressions cut into tokens.

use crate::value::Error;

/// A token, and where it begins.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    Integer(u128, String),
    Float(f64, Option<char>),
    Character(u32, String),
    Text(Vec<u32>, String),
    /// A quoted name that is no character: `'file.c'`.
    Quoted(String),
    Name(String),
    Dollar(String),
    Sign(&'static str),
    End,
}

/// The signs, longest first.
const SIGNS: [&str; 45] = [
    "<<=", ">>=", "...", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=",
    "-=", "*=", "/=", "%=", "&=", "|=", "^=", "::", "..", "+", "-", "*", "/", "%", "&", "|", "^",
    "!", "~", "<", ">", "=", "?", ":", ",", ".", "(", ")", "[", "]",
];

/// Cuts a text into tokens, [`Token::End`] last.
pub(super) fn lex(text: &str) -> Result<Vec<Lexeme>, Error> {
    let mut tokens: Vec<Lexeme> = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            break;
        };
        // Behind a dot stands a member, which Rust's tuples number.
        let is_member = matches!(
            tokens.last(),
            Some(Lexeme {
                token: Token::Sign("."),
                ..
            })
        );
        let (token, len) = match first {
            '0'..='9' if is_member => {
                let len = rest
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(rest.len());
                (Token::Name(format!("__{}", &rest[..len])), len)
            }
            '0'..='9' => number(rest)?,
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit())
                && !ends_operand(tokens.last()) =>
            {
                number(rest)?
            }
            '"' | '\'' => quoted(rest, "")?,
            '$' => {
                let dollars = if rest.starts_with("$$") { 2 } else { 1 };
                let len = dollars + word(&rest[dollars..]);
                (Token::Dollar(rest[1..len].to_owned()), len)
            }
            '@' => (Token::Sign("@"), 1),
            '{' => (Token::Sign("{"), 1),
            '}' => (Token::Sign("}"), 1),
            first if first.is_alphabetic() || first == '_' => {
                let len = word(rest);
                match (&rest[..len], rest[len..].chars().next()) {
                    (prefix @ ("L" | "u" | "U" | "u8"), Some('"' | '\'')) => {
                        let (token, quoted) = quoted(&rest[len..], prefix)?;
                        (token, len + quoted)
                    }
                    (name, _) => (Token::Name(name.to_owned()), len),
                }
            }
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => {
                    return Err(Error::new(format_args!(
                        "Invalid character '{first}' in expression."
                    )));
                }
            },
        };
        tokens.push(Lexeme {
            token,
            start: at,
            end: at + len,
        });
        at += len;
    }
    tokens.push(Lexeme {
        token: Token::End,
        start: text.len(),
        end: text.len(),
    });
    Ok(tokens)
}

/// Whether a token ends an operand, so that a dot behind it is a member's.
fn ends_operand(token: Option<&Lexeme>) -> bool {
    match token.map(|lexeme| &lexeme.token) {
        Some(Token::Sign(sign)) => matches!(*sign, ")" | "]"),
        Some(Token::Name(_) | Token::Dollar(_) | Token::Quoted(_)) => true,
        _ => false,
    }
}

/// How many bytes of a name stand at the front.
fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

fn number(text: &str) -> Result<(Token, usize), Error> {
    let bytes = text.as_bytes();
    let is_hex = text.starts_with("0x") || text.starts_with("0X");
    let mut len = 0;
    let mut is_float = false;
    while len < bytes.len() {
        match bytes[len] {
            // `1..4` is a range and not two points.
            b'.' if bytes.get(len + 1) == Some(&b'.') => break,
            b'.' if is_hex => break,
            b'.' => is_float = true,
            b'e' | b'E' if !is_hex => {
                is_float = true;
                if matches!(bytes.get(len + 1), Some(b'+' | b'-')) {
                    len += 1;
                }
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'_' => {}
            _ => break,
        }
        len += 1;
    }
    let invalid = || Error::new(format_args!("Invalid number \"{}\".", &text[..len]));
    let word = &text[..len];
    let is_float = is_float || (!is_hex && word.ends_with(['f', 'F']) && !word.starts_with("0b"));
    if is_float {
        let (digits, suffix) = match word.char_indices().last() {
            Some((at, letter @ ('f' | 'F' | 'l' | 'L'))) => {
                (&word[..at], Some(letter.to_ascii_lowercase()))
            }
            _ => (word, None),
        };
        return Ok((
            Token::Float(digits.parse().map_err(|_| invalid())?, suffix),
            len,
        ));
    }
    let (radix, digits) = match word.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &word[2..]),
        [b'0', b'b' | b'B', ..] => (2, &word[2..]),
        [b'0', _, ..] => (8, &word[1..]),
        _ => (10, word),
    };
    let end = digits
        .find(|c: char| !c.is_digit(radix) && c != '_')
        .unwrap_or(digits.len());
    let suffix = digits[end..].to_ascii_lowercase();
    if !matches!(
        &suffix[..],
        "" | "u" | "l" | "ul" | "lu" | "ll" | "ull" | "llu"
    ) {
        return Err(invalid());
    }
    let plain = digits[..end].replace('_', "");
    // A lone zero with a suffix was taken for octal.
    let value = match &plain[..] {
        "" if word.starts_with('0') && radix == 8 => 0,
        plain => u128::from_str_radix(plain, radix).map_err(|_| invalid())?,
    };
    Ok((Token::Integer(value, suffix), len))
}

/// A character, a text or a quoted name, from its opening quote on.
fn quoted(text: &str, prefix: &str) -> Result<(Token, usize), Error> {
    let quote = text.chars().next().expect("a quote");
    let mut units = Vec::new();
    let mut at = 1;
    loop {
        let rest = &text[at..];
        let Some(next) = rest.chars().next() else {
            return Err(Error::new(match quote {
                '"' => "Unterminated string in expression.",
                _ => "Unmatched single quote.",
            }));
        };
        at += next.len_utf8();
        if next == quote {
            break;
        }
        if next != '\\' {
            match prefix {
                "" | "u8" => units.extend(rest[..next.len_utf8()].bytes().map(u32::from)),
                _ => units.push(next as u32),
            }
            continue;
        }
        let (unit, len) = escaped(&text[at..])?;
        units.push(unit);
        at += len;
    }
    if quote == '"' {
        return Ok((Token::Text(units, prefix.to_owned()), at));
    }
    if let [unit] = units[..] {
        return Ok((Token::Character(unit, prefix.to_owned()), at));
    }
    let name = &text[1..at - 1];
    if name.is_empty() {
        return Err(Error::new("Empty character constant."));
    }
    Ok((Token::Quoted(name.to_owned()), at))
}

/// The character behind a backslash, and how many bytes it took.
fn escaped(text: &str) -> Result<(u32, usize), Error> {
    let malformed = || Error::new("Malformed escape sequence.");
    let first = text.chars().next().ok_or_else(malformed)?;
    let digits = |radix: u32, from: usize, most: usize| {
        let rest = &text[from..];
        let len = rest
            .find(|c: char| !c.is_digit(radix))
            .unwrap_or(rest.len())
            .min(most);
        let value = u32::from_str_radix(&rest[..len], radix).map_err(|_| malformed())?;
        Ok::<_, Error>((value, from + len))
    };
    Ok(match first {
        '0'..='7' => digits(8, 0, 3)?,
        'x' => digits(16, 1, 8)?,
        'u' => digits(16, 1, 4)?,
        'U' => digits(16, 1, 8)?,
        'a' => (7, 1),
        'b' => (8, 1),
        't' => (9, 1),
        'n' => (10, 1),
        'v' => (11, 1),
        'f' => (12, 1),
        'r' => (13, 1),
        'e' => (27, 1),
        other => (other as u32, other.len_utf8()),
    })
}
