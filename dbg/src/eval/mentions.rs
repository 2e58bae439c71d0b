//! [`mentions`]: which names a snippet uses, and which it declares itself: by
//! tokens, without knowing types.

use std::collections::HashSet;

use super::Dialect;
use crate::clex::{Kind, Token, tokens};

/// The names in a snippet.
#[derive(Clone, Default, Debug)]
pub struct Mentions {
    /// Names that may be the program's, each once, in order. In C++ they may be
    /// qualified.
    pub words: Vec<Mention>,
    /// Operators that it uses, of those that may be functions in C++.
    pub operators: Vec<&'static str>,
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

/// C++'s, beyond those of C.
const CPP_KEYWORDS: &[&str] = &[
    "alignas",
    "alignof",
    "and",
    "catch",
    "class",
    "concept",
    "constexpr",
    "const_cast",
    "decltype",
    "delete",
    "dynamic_cast",
    "explicit",
    "export",
    "final",
    "friend",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "nullptr",
    "operator",
    "or",
    "override",
    "private",
    "protected",
    "public",
    "reinterpret_cast",
    "requires",
    "static_assert",
    "static_cast",
    "template",
    "this",
    "throw",
    "try",
    "typeid",
    "typename",
    "using",
    "virtual",
    "wchar_t",
    "xor",
];

/// Operators that may be functions of no class, longer ones first.
const OPERATORS: &[&str] = &[
    "<=>", "<<=", ">>=", "==", "!=", "<=", ">=", "<<", ">>", "&&", "||", "+=", "-=", "*=", "/=",
    "%=", "&=", "|=", "^=", "++", "--", "+", "-", "*", "/", "%", "<", ">", "!", "~", "&", "|", "^",
];

/// The operators that the marks of a text may be.
fn operators(text: &str, tokens: &[Token]) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let rest = &text[tokens[at].at.start..];
        let operator = match tokens[at].kind {
            Kind::Mark(_) => OPERATORS
                .iter()
                .find(|operator| rest.starts_with(**operator)),
            _ => None,
        };
        if let Some(operator) = operator
            && !rest.starts_with("->")
            && !found.contains(operator)
        {
            found.push(*operator);
        }
        at += operator.map_or(1, |operator| operator.len());
    }
    found
}

/// Looks through a snippet. `at_file_level` says whether the piece of the text
/// that a place lies in stays at file level.
pub fn mentions(text: &str, dialect: Dialect, at_file_level: impl Fn(usize) -> bool) -> Mentions {
    let tokens = tokens(text);
    let is_cpp = dialect == Dialect::Cpp;
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
                let is_keyword = KEYWORDS.contains(&name) || is_cpp && CPP_KEYWORDS.contains(&name);
                if is_keyword || name.starts_with("__") || name.starts_with('_') {
                    continue;
                }
                // What is behind `::` was taken with what is before it.
                if is_cpp && is_qualified(text, &tokens, index) {
                    continue;
                }
                let path = match is_cpp {
                    true => path_from(text, &tokens, index),
                    false => name.to_owned(),
                };
                let previous = word(text, &tokens, index.wrapping_sub(1));
                let tag = matches!(previous, "struct" | "union" | "enum" | "class")
                    .then(|| previous.into());
                let next = mark(1);
                let ends = matches!(next, None | Some(b'(' | b';' | b'=' | b'[' | b',' | b')'));
                let file = at_file_level(token.at.start);
                let is_own = is_cpp
                    && (tag.is_some() && next == Some(b':') && mark(2) != Some(b':')
                        || matches!(previous, "using" | "namespace") && mark(1) != Some(b':'));
                if is_own
                    || (tag.is_some() && next == Some(b'{'))
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
                    name: path,
                    // C++ needs no word before a type's name.
                    tag: tag.filter(|_| !is_cpp),
                };
                if !found.words.contains(&mention) {
                    found.words.push(mention);
                }
            }
            _ => {}
        }
    }
    if is_cpp {
        found.operators = operators(text, &tokens);
    }
    let declared = &found.declared;
    found.words.retain(|word| !declared.contains(&word.name));
    found
}

/// Whether `::` stands before a word, and a word before that.
fn is_qualified(text: &str, tokens: &[Token], index: usize) -> bool {
    let is_colon = |back: usize| {
        let token = index.checked_sub(back).and_then(|at| tokens.get(at));
        token.is_some_and(|token| token.kind == Kind::Mark(b':'))
    };
    is_colon(1) && is_colon(2) && !word(text, tokens, index.wrapping_sub(3)).is_empty()
}

/// A name with all that is behind it by `::`.
fn path_from(text: &str, tokens: &[Token], index: usize) -> String {
    let mut path = word(text, tokens, index).to_owned();
    let mut at = index + 1;
    let is_colon =
        |at: usize| matches!(tokens.get(at), Some(token) if token.kind == Kind::Mark(b':'));
    while is_colon(at) && is_colon(at + 1) && !word(text, tokens, at + 2).is_empty() {
        path.push_str("::");
        path.push_str(word(text, tokens, at + 2));
        at += 3;
    }
    path
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
        let found = mentions(text, Dialect::C, |_| file);
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
    fn qualified_names_are_one() {
        let found = mentions("ns::f(std::string(a), b::c)", Dialect::Cpp, |_| false);
        let names: Vec<&str> = found.words.iter().map(|word| &word.name[..]).collect();
        assert_eq!(names, ["ns::f", "std::string", "a", "b::c"]);
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
