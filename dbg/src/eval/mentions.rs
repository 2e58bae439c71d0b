//! [`mentions`]: which names a snippet uses, and which it declares itself: by
//! tokens, without knowing types.

use std::collections::HashSet;

use crate::clex::{Kind, Token, tokens};

/// The names in a snippet.
#[derive(Clone, Default, Debug)]
pub struct Mentions {
    /// Names that may be the program's, each once, in order.
    pub words: Vec<Mention>,
    /// Names that the snippet declares at file level, tags included.
    pub declared: HashSet<String>,
}

/// A name that may be the program's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mention {
    /// The name.
    pub name: String,
    /// `struct`, `union` or `enum`, when it follows that.
    pub tag: Option<String>,
}

const KEYWORDS: &[&str] = &[
    "auto", "bool", "break", "case", "char", "const", "continue", "default", "do", "double",
    "else", "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "register",
    "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "typedef",
    "typeof", "union", "unsigned", "void", "volatile", "while", "asm", "true", "false", "NULL",
];

/// Looks through a snippet. `at_file_level` says whether the piece of the text
/// that a place lies in stays at file level.
pub fn mentions(text: &str, at_file_level: impl Fn(usize) -> bool) -> Mentions {
    let tokens = tokens(text);
    let mut found = Mentions::default();
    let mut depth = 0usize;
    // Whether the braces that are open are an enumeration's.
    let mut in_enum = false;
    for (index, token) in tokens.iter().enumerate() {
        let mark = |offset: isize| match tokens.get(index.wrapping_add_signed(offset)) {
            Some(token) => match token.kind {
                Kind::Mark(mark) => Some(mark),
                _ => None,
            },
            None => None,
        };
        match token.kind {
            Kind::Directive => {
                let rest = text[token.at.clone()].trim_start_matches('#').trim_start();
                if let Some(rest) = rest.strip_prefix("define") {
                    let name = rest.trim_start();
                    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
                    let name = &name[..end.unwrap_or(name.len())];
                    found.declared.insert(name.to_owned());
                }
            }
            Kind::Mark(b'(' | b'[' | b'{') => {
                let before = |back: usize| word(text, &tokens, index.wrapping_sub(back));
                if token.kind == Kind::Mark(b'{') {
                    in_enum = before(1) == "enum" || before(2) == "enum";
                }
                depth += 1;
            }
            Kind::Mark(b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            Kind::Word => {
                let name = &text[token.at.clone()];
                if KEYWORDS.contains(&name) || name.starts_with("__") || name.starts_with('_') {
                    continue;
                }
                let previous = word(text, &tokens, index.wrapping_sub(1));
                let tag = matches!(previous, "struct" | "union" | "enum").then(|| previous.into());
                let next = mark(1);
                let ends = matches!(next, None | Some(b'(' | b';' | b'=' | b'[' | b',' | b')'));
                let file = at_file_level(token.at.start);
                if (tag.is_some() && next == Some(b'{'))
                    || (file && tag.is_none() && depth == 0 && ends)
                    || (in_enum && matches!(next, Some(b',' | b'}' | b'=')))
                {
                    found.declared.insert(name.to_owned());
                    continue;
                }
                let is_member =
                    mark(-1) == Some(b'.') || (mark(-1) == Some(b'>') && mark(-2) == Some(b'-'));
                if is_member {
                    continue;
                }
                let mention = Mention {
                    name: name.to_owned(),
                    tag,
                };
                if !found.words.contains(&mention) {
                    found.words.push(mention);
                }
            }
            _ => {}
        }
    }
    let declared = &found.declared;
    found.words.retain(|word| !declared.contains(&word.name));
    found
}

fn word<'t>(text: &'t str, tokens: &[Token], index: usize) -> &'t str {
    match tokens.get(index) {
        Some(token) if token.kind == Kind::Word => &text[token.at.clone()],
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, file: bool, words: &str, declared: &str) {
        let found = mentions(text, |_| file);
        let names: Vec<&str> = found.words.iter().map(|word| &word.name[..]).collect();
        assert_eq!(names.join(" "), words, "{text}");
        let mut names: Vec<&str> = found.declared.iter().map(|name| &name[..]).collect();
        names.sort_unstable();
        assert_eq!(names.join(" "), declared, "{text}");
    }

    #[test]
    fn members_are_not_the_programs() {
        check("oak.height + p->next->name", false, "oak p", "");
        check("struct tree *t = &oak; t->height", false, "tree t oak", "");
    }

    #[test]
    fn what_a_snippet_declares_is_its_own() {
        check(
            "int grow(int v) { return v + base; }",
            true,
            "v base",
            "grow",
        );
        check("struct pair { int a; };", true, "a", "pair");
        check("enum kind { RED, BLUE = 3 };", true, "", "BLUE RED kind");
        check("#define LIMIT 3\nLIMIT", false, "", "LIMIT");
        check("node *find(int);", true, "node", "find");
    }
}
