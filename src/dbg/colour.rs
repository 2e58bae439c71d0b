//! Colours of source text at a terminal.
//!
//! Words of C, C++ and Rust are told apart well enough to be read more easily;
//! nothing depends on it. What a line means begins at the top of its file,
//! because of comments that span lines.

use std::path::Path;

use sapwood_dbg::event::SourceLines;

const KEYWORD: &str = "\x1b[34m";
const TYPE: &str = "\x1b[36m";
const TEXT: &str = "\x1b[32m";
const NUMBER: &str = "\x1b[35m";
const COMMENT: &str = "\x1b[90m";
const DIRECTIVE: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// Words with a meaning of their own in any of the three languages.
const KEYWORDS: &[&str] = &[
    "alignas",
    "as",
    "asm",
    "async",
    "auto",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "constexpr",
    "continue",
    "crate",
    "default",
    "delete",
    "do",
    "dyn",
    "else",
    "enum",
    "explicit",
    "extern",
    "false",
    "fn",
    "for",
    "friend",
    "goto",
    "if",
    "impl",
    "in",
    "inline",
    "let",
    "loop",
    "match",
    "mod",
    "move",
    "mut",
    "namespace",
    "new",
    "noexcept",
    "nullptr",
    "operator",
    "override",
    "private",
    "protected",
    "pub",
    "public",
    "ref",
    "register",
    "restrict",
    "return",
    "self",
    "sizeof",
    "static",
    "struct",
    "super",
    "switch",
    "template",
    "this",
    "throw",
    "trait",
    "true",
    "try",
    "type",
    "typedef",
    "typename",
    "union",
    "unsafe",
    "use",
    "using",
    "virtual",
    "volatile",
    "where",
    "while",
];

/// Words that name types.
const TYPES: &[&str] = &[
    "String", "Vec", "Option", "Result", "Box", "Self", "bool", "char", "double", "float", "f32",
    "f64", "i128", "i16", "i32", "i64", "i8", "int", "isize", "long", "short", "signed", "size_t",
    "str", "u128", "u16", "u32", "u64", "u8", "unsigned", "usize", "void",
];

/// The lines with colours in them, which end where the line does.
pub fn paint(source: &mut SourceLines) {
    let mut in_comment = opens_in_comment(&source.file, source.first, &source.lines);
    let is_rust = source.file.extension().is_some_and(|e| e == "rs");
    for line in &mut source.lines {
        *line = painted(line, &mut in_comment, is_rust);
    }
}

/// Whether the first of these lines, as numbered in the file, lies in a comment
/// that began above it.
fn opens_in_comment(file: &Path, first: u32, lines: &[String]) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else {
        return false;
    };
    let mut above = text.lines();
    let mut in_comment = false;
    for line in above.by_ref().take(first.saturating_sub(1) as usize) {
        painted(line, &mut in_comment, false);
    }
    // The file may have changed since, or be another.
    in_comment && above.next() == lines.first().map(String::as_str)
}

fn painted(line: &str, in_comment: &mut bool, is_rust: bool) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    let mut rest = line;
    let mut put = |colour: &str, text: &str| {
        if colour.is_empty() {
            out.push_str(text);
        } else if !text.is_empty() {
            out.push_str(colour);
            out.push_str(text);
            out.push_str(PLAIN);
        }
    };
    if !is_rust && !*in_comment && line.trim_start().starts_with('#') {
        put(DIRECTIVE, line);
        return out;
    }
    while let Some(c) = rest.chars().next() {
        if *in_comment {
            let end = rest.find("*/").map(|at| at + 2);
            *in_comment = end.is_none();
            let (comment, after) = rest.split_at(end.unwrap_or(rest.len()));
            put(COMMENT, comment);
            rest = after;
            continue;
        }
        if rest.starts_with("//") {
            put(COMMENT, rest);
            break;
        }
        if rest.starts_with("/*") {
            let end = rest[2..].find("*/").map(|at| at + 4);
            *in_comment = end.is_none();
            let (comment, after) = rest.split_at(end.unwrap_or(rest.len()));
            put(COMMENT, comment);
            rest = after;
            continue;
        }
        let (colour, length) = match c {
            '"' => (TEXT, quoted(rest, '"')),
            '\'' if is_character(rest) => (TEXT, quoted(rest, '\'')),
            '0'..='9' => (
                NUMBER,
                run(rest, |c| c.is_alphanumeric() || c == '.' || c == '_'),
            ),
            c if c.is_alphabetic() || c == '_' => {
                let length = run(rest, |c| c.is_alphanumeric() || c == '_');
                let word = &rest[..length];
                let colour = match () {
                    () if KEYWORDS.contains(&word) => KEYWORD,
                    () if TYPES.contains(&word) => TYPE,
                    () => "",
                };
                (colour, length)
            }
            c => ("", c.len_utf8()),
        };
        let (piece, after) = rest.split_at(length);
        put(colour, piece);
        rest = after;
    }
    out
}

/// The length of the run of characters at the start of which this holds.
fn run(text: &str, holds: impl Fn(char) -> bool) -> usize {
    text.find(|c| !holds(c)).unwrap_or(text.len())
}

/// The length of a quoted text, its quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Whether a quote begins a character, and not one of Rust's lifetimes.
fn is_character(text: &str) -> bool {
    let mut after = text.chars().skip(1);
    match (after.next(), after.next()) {
        (Some('\\'), _) => true,
        (_, second) => second == Some('\''),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a line, with `<k…>` for a coloured piece, its colour's initial
    /// first.
    fn check(line: &str, expected: &str, is_rust: bool) {
        let mut in_comment = false;
        let mut text = painted(line, &mut in_comment, is_rust);
        for (colour, letter) in [
            (KEYWORD, "k"),
            (TYPE, "y"),
            (TEXT, "t"),
            (NUMBER, "n"),
            (COMMENT, "c"),
            (DIRECTIVE, "d"),
        ] {
            text = text.replace(colour, &format!("<{letter}"));
        }
        assert_eq!(text.replace(PLAIN, ">"), expected);
    }

    #[test]
    fn words_are_told_apart() {
        check("#include <a.h>", "<d#include <a.h>>", false);
        check(
            "return f(\"a\\\"b\", 0x1f) /* why */ + 'c'; // end",
            "<kreturn> f(<t\"a\\\"b\">, <n0x1f>) <c/* why */> + <t'c'>; <c// end>",
            false,
        );
        check("fn f<'a>(x: &'a str)", "<kfn> f<'a>(x: &'a <ystr>)", true);
        check(
            "int über = 1; /* open",
            "<yint> über = <n1>; <c/* open>",
            false,
        );
    }
}
