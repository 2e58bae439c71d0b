//! As much of C's lexical grammar as it takes to find where a text's braces,
//! statements and definitions end: tokens, with strings, character constants,
//! comments and preprocessor lines each in one piece.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An identifier or keyword.
    Word,
    /// A number.
    Number,
    /// A string or character constant.
    Literal,
    /// One character of anything else.
    Mark(u8),
    /// A whole preprocessor line, continuation lines included.
    Directive,
}

/// A token and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its bytes in the text.
    pub at: Range<usize>,
}

/// Splits C text into tokens. Comments and white space are left out. Never
/// fails: what C would reject becomes marks.
pub fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut line_start = true;
    while at < bytes.len() {
        let start = at;
        let kind = match bytes[at] {
            b'\n' => {
                line_start = true;
                at += 1;
                continue;
            }
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = end_of_line(bytes, at);
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let end = text[at + 2..].find("*/");
                at = end.map_or(bytes.len(), |end| at + 2 + end + 2);
                continue;
            }
            b'#' if line_start => {
                at = end_of_line(bytes, at);
                Kind::Directive
            }
            quote @ (b'"' | b'\'') => {
                at = end_of_literal(bytes, at + 1, quote);
                Kind::Literal
            }
            byte if is_word(byte) && !byte.is_ascii_digit() => {
                at = run(bytes, at, is_word);
                Kind::Word
            }
            byte if byte.is_ascii_digit() => {
                at = run(bytes, at, |b| is_word(b) || b == b'.');
                Kind::Number
            }
            byte => {
                at += 1;
                Kind::Mark(byte)
            }
        };
        line_start = false;
        tokens.push(Token {
            kind,
            at: start..at,
        });
    }
    tokens
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn run(bytes: &[u8], from: usize, holds: impl Fn(u8) -> bool) -> usize {
    let rest = bytes[from..].iter().position(|b| !holds(*b));
    rest.map_or(bytes.len(), |n| from + n)
}

/// The end of a line that a backslash may continue.
fn end_of_line(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() && bytes[at] != b'\n' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

fn end_of_literal(bytes: &[u8], from: usize, quote: u8) -> usize {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            // An unclosed literal ends with its line.
            b'\n' => return at,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Where the brace stands that closes one opened just before `text`.
pub fn matching_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for token in tokens(text) {
        match token.kind {
            Kind::Mark(b'{') => depth += 1,
            Kind::Mark(b'}') if depth == 0 => return Some(token.at.start),
            Kind::Mark(b'}') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether a text can name a snippet: one word with no slash in it.
pub fn is_file_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'+'))
        && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text).into_iter().map(|t| &text[t.at]).collect()
    }

    #[test]
    fn tokens_of_c() {
        assert_eq!(
            words("#define A \\\n 1\nint a='\\'';/* } */ \"x\\\"}\" // {\n1.5f+b"),
            [
                "#define A \\\n 1",
                "int",
                "a",
                "=",
                "'\\''",
                ";",
                "\"x\\\"}\"",
                "1.5f",
                "+",
                "b"
            ]
        );
    }

    #[test]
    fn unfinished_text_is_no_panic() {
        for text in ["\"", "'\\", "/*", "#a\\", "é\\", "/", "{"] {
            let _ = tokens(text);
        }
    }

    #[test]
    fn the_brace_that_matches() {
        assert_eq!(matching_brace("a { '}' } b } c"), Some(12));
        assert_eq!(matching_brace("a { }"), None);
    }
}
