//! [`snippet`]: a C or C++ file from the text of an `eval`.
//!
//! The text is taken apart at the top level only, by tokens, without knowing
//! types. Directives, functions, types, prototypes, and variables with `static`
//! or `extern` stay at file level. Statements go into a function that is called
//! once. A plain variable is a local of that function, unless a function
//! defined after it may use it, or nothing is to be run at all. Each piece is
//! preceded by a `#line`, so that the compiler's messages, breakpoints and
//! steps speak of the snippet's own lines.

use std::fmt::Write;
use std::ops::Range;

use super::Dialect;
use super::cpp::{self, Around};
use super::mentions::{Mentions, mentions};
use crate::clex::{Kind, Token, tokens};

/// The variable, static in the wrapper, that holds the last expression's value.
pub const RESULT: &str = "__value";

/// What messages call the declarations that are made for a snippet.
pub const DECLARATIONS: &str = "<the program>";

/// A snippet made into a C file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snippet {
    /// The file.
    pub c: String,
    /// The function that runs its statements, if it has any. It gives the
    /// address of the value, or null when there is none.
    pub wrapper: Option<String>,
    /// What is called to run it: the wrapper, or what catches what it throws.
    pub entry: Option<String>,
    /// The snippet's own lines: what stops and `list` show.
    pub text: String,
}

/// What a piece of the text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    /// Stays at file level.
    File,
    /// A variable without storage class.
    Variable,
    /// Runs.
    Statement,
    /// Runs, and has a value.
    Expression,
}

/// A piece of the text, from its first token to its last.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Piece {
    at: Range<usize>,
    role: Role,
    /// Is a function definition.
    is_function: bool,
}

/// A text that begins with a line end has its first line after it.
fn from_first_line(text: &str) -> &str {
    let trimmed = text.trim_start_matches([' ', '\t', '\r']);
    trimmed.strip_prefix('\n').unwrap_or(text)
}

/// Which of the program's names a snippet uses.
pub fn mentioned(text: &str, dialect: Dialect) -> Mentions {
    let text = from_first_line(text);
    let mut pieces = pieces(text, dialect);
    assign(&mut pieces);
    mentions(text, dialect, |at| {
        let piece = pieces.iter().find(|piece| piece.at.contains(&at));
        piece.is_some_and(|piece| piece.role == Role::File)
    })
}

/// Makes a file of a snippet. `name` is the file its lines belong to, `number`
/// makes the wrapper's name its own; the declarations `around` it are put before
/// everything but the directives that the snippet begins with.
pub fn snippet(text: &str, name: &str, number: u32, dialect: Dialect, around: &Around) -> Snippet {
    let text = from_first_line(text);
    let declarations = &around.declarations;
    let mut pieces = pieces(text, dialect);
    assign(&mut pieces);
    let runs = pieces.iter().any(|p| p.role != Role::File);
    let mut c = String::new();
    let is_directive = |piece: &&Piece| text[piece.at.clone()].starts_with('#');
    let first = pieces.iter().take_while(is_directive).count();
    let (directives, rest) = pieces.split_at(first);
    for piece in directives {
        place(&mut c, text, name, piece);
    }
    for header in &around.includes {
        let _ = writeln!(c, "#include <{header}>");
    }
    if !declarations.is_empty() {
        let _ = writeln!(c, "#line 1 \"{DECLARATIONS}\"\n{declarations}");
    }
    // The frame's variables are the whole file's where a function may use them.
    let has_function = rest.iter().any(|piece| piece.is_function);
    if dialect == Dialect::Cpp && has_function {
        let _ = writeln!(c, "{}{}", around.spaces_opened(), around.usings());
    }
    for piece in rest.iter().filter(|p| p.role == Role::File) {
        place(&mut c, text, name, piece);
    }
    let wrapper = runs.then(|| format!("__eval{number}"));
    if let Some(wrapper) = &wrapper {
        match dialect {
            Dialect::C => write_wrapper(&mut c, text, name, wrapper, &pieces),
            Dialect::Cpp => {
                let usings = if has_function {
                    String::new()
                } else {
                    around.usings()
                };
                let before = format!("{}{usings}", around.opening());
                write_cpp_wrapper(&mut c, text, name, wrapper, &pieces, &before);
            }
        }
    }
    let entry = wrapper.as_ref().map(|wrapper| match dialect {
        Dialect::C => wrapper.clone(),
        Dialect::Cpp => cpp::entry(wrapper),
    });
    Snippet {
        c,
        wrapper,
        entry,
        text: text.trim_end().to_owned(),
    }
}

/// Decides which variables are locals.
fn assign(pieces: &mut [Piece]) {
    let last_function = pieces.iter().rposition(|p| p.is_function);
    let runs = pieces
        .iter()
        .any(|p| matches!(p.role, Role::Statement | Role::Expression));
    let mut ran = false;
    for (index, piece) in pieces.iter_mut().enumerate() {
        ran |= matches!(piece.role, Role::Statement | Role::Expression);
        let used_by_function = last_function.is_some_and(|last| index < last) && !ran;
        if piece.role == Role::Variable && (used_by_function || !runs) {
            piece.role = Role::File;
        }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].bytes().filter(|b| *b == b'\n').count()
}

/// A piece with its place in the snippet. Spaces stand for what is left of it
/// in its line, so that columns are right as well.
fn place(c: &mut String, text: &str, name: &str, piece: &Piece) {
    let start = piece.at.start;
    let line = line_of(text, start);
    let column = start - text[..start].rfind('\n').map_or(0, |n| n + 1);
    let _ = writeln!(c, "#line {line} \"{name}\"");
    let _ = writeln!(c, "{:column$}{}", "", &text[piece.at.clone()]);
}

fn write_wrapper(c: &mut String, text: &str, name: &str, wrapper: &str, pieces: &[Piece]) {
    let running: Vec<&Piece> = pieces.iter().filter(|p| p.role != Role::File).collect();
    let (last, before) = running.split_last().expect("there is something to run");
    let at_first = format!("#line {} \"{name}\"", line_of(text, running[0].at.start));
    // What we add to the snippet's end belongs to its last line.
    let at_last = format!("#line {} \"{name}\"", line_of(text, last.at.end - 1));
    let _ = writeln!(c, "{at_first}\nvoid *{wrapper}(void) {{");
    for piece in before {
        place(c, text, name, piece);
        end_statement(c, text, piece);
    }
    if last.role != Role::Expression {
        place(c, text, name, last);
        end_statement(c, text, last);
        let _ = writeln!(c, "{at_last}\nreturn 0; }}");
        return;
    }
    let mut expression = String::new();
    let bare = text[last.at.clone()].trim_end().trim_end_matches(';');
    let piece = Piece {
        at: last.at.start..last.at.start + bare.len(),
        ..(*last).clone()
    };
    place(&mut expression, text, name, &piece);
    // A void expression has no value to keep; arrays and bit-fields decay
    // behind the comma.
    let _ = writeln!(
        c,
        "enum {{ __is_void = __builtin_types_compatible_p(__typeof__((void)0, (\n{expression})), void) }};\n\
         {at_last}\n\
         __auto_type __now = __builtin_choose_expr(__is_void, ((\n{expression}), 0), ((void)0, (\n{expression})));\n\
         {at_last}\n\
         static __typeof__(__now) {RESULT};\n\
         {at_last}\n\
         __builtin_memcpy((void *)&{RESULT}, (void *)&__now, sizeof __now); return __is_void ? (void *)0 : (void *)&{RESULT}; }}"
    );
}

/// The same in C++: what is thrown is caught, and told.
fn write_cpp_wrapper(
    c: &mut String,
    text: &str,
    name: &str,
    wrapper: &str,
    pieces: &[Piece],
    before_all: &str,
) {
    let running: Vec<&Piece> = pieces.iter().filter(|p| p.role != Role::File).collect();
    let (last, before) = running.split_last().expect("there is something to run");
    let at_first = format!("#line {} \"{name}\"", line_of(text, running[0].at.start));
    let at_last = format!("#line {} \"{name}\"", line_of(text, last.at.end - 1));
    let _ = writeln!(
        c,
        "#line 1 \"{DECLARATIONS}\"\n{}\n{at_first}\n{} {{",
        cpp::KEEPING,
        cpp::head(wrapper)
    );
    let _ = writeln!(
        c,
        "#line 1 \"{DECLARATIONS}\"\n{before_all}\n#define this __this\n{at_first}"
    );
    for piece in before {
        place(c, text, name, piece);
        end_statement(c, text, piece);
    }
    if last.role != Role::Expression {
        place(c, text, name, last);
        end_statement(c, text, last);
        let _ = writeln!(c, "{at_last}\nreturn {{ 0, 0 }}; {}", cpp::tail(wrapper));
        return;
    }
    let bare = text[last.at.clone()].trim_end().trim_end_matches(';');
    let piece = Piece {
        at: last.at.start..last.at.start + bare.len(),
        ..(*last).clone()
    };
    let mut expression = String::new();
    place(&mut expression, text, name, &piece);
    let _ = writeln!(
        c,
        "{at_last}\nauto __run = [&]() -> decltype(auto) {{ return (\n{expression});\n{at_last}\n}};"
    );
    let _ = writeln!(
        c,
        "{at_last}\nstatic decltype(__sapwood::keeper<decltype(__run())>::of(__run)) {RESULT}; {RESULT} = __sapwood::keeper<decltype(__run())>::of(__run); return {{ {RESULT} ? (void *)&{RESULT} : 0, 0 }}; {}",
        cpp::tail(wrapper)
    );
}

/// A last statement may lack its semicolon.
fn end_statement(c: &mut String, text: &str, piece: &Piece) {
    if !text[piece.at.clone()].trim_end().ends_with([';', '}']) {
        c.push_str(";\n");
    }
}

/// Takes a text apart at its top level.
fn pieces(text: &str, dialect: Dialect) -> Vec<Piece> {
    let tokens = tokens(text);
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let end = piece_end(text, &tokens, at, dialect);
        let piece = &tokens[at..end];
        let is_empty = piece.iter().all(|t| t.kind == Kind::Mark(b';'));
        if !is_empty {
            let (role, is_function) = role(text, piece, end == tokens.len(), dialect);
            pieces.push(Piece {
                at: piece[0].at.start..piece[piece.len() - 1].at.end,
                role,
                is_function,
            });
        }
        at = end;
    }
    pieces
}

fn word<'t>(text: &'t str, token: Option<&Token>) -> &'t str {
    match token {
        Some(token) if token.kind == Kind::Word => &text[token.at.clone()],
        _ => "",
    }
}

/// One past the last token of the piece that begins at `from`.
fn piece_end(text: &str, tokens: &[Token], from: usize, dialect: Dialect) -> usize {
    if tokens[from].kind == Kind::Directive {
        return from + 1;
    }
    let (mut depth, mut at) = (0usize, from);
    // After an initialiser's `=`, a brace is no body.
    let mut assigned = false;
    let first = word(text, tokens.get(from));
    let is_cpp = dialect == Dialect::Cpp;
    let type_first =
        matches!(first, "struct" | "union" | "enum" | "typedef") || is_cpp && first == "class";
    // In C++ a brace behind a name may be an initialiser.
    let opens_block = !is_cpp
        || matches!(first, "namespace" | "extern" | "try" | "template")
        || tokens[from].kind == Kind::Mark(b'{');
    let mut parens = false;
    while at < tokens.len() {
        match tokens[at].kind {
            Kind::Directive if depth == 0 && at > from => return at,
            Kind::Mark(b'(' | b'[' | b'{') => {
                // Those within a class's braces are its functions'.
                parens |= tokens[at].kind == Kind::Mark(b'(') && (depth == 0 || !is_cpp);
                depth += 1;
            }
            Kind::Mark(b')' | b']') => depth = depth.saturating_sub(1),
            Kind::Mark(b'}') => {
                depth = depth.saturating_sub(1);
                let next = word(text, tokens.get(at + 1));
                let goes_on = match first {
                    "if" => next == "else",
                    "do" => next == "while",
                    "try" => next == "catch",
                    _ => false,
                };
                // The braces of a type are followed by what is declared of it.
                let is_type = type_first && !parens;
                let is_block = parens || opens_block;
                let body = !assigned && !is_type && first != "do" && is_block;
                if depth == 0 && body && !goes_on {
                    return at + 1;
                }
            }
            Kind::Mark(b'=') if depth == 0 => assigned = true,
            Kind::Mark(b';') if depth == 0 => {
                let after_if = first == "if" && word(text, tokens.get(at + 1)) == "else";
                if !after_if {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    tokens.len()
}

/// Words that begin statements that are no expressions.
const STATEMENTS: &[&str] = &[
    "if", "else", "for", "while", "do", "switch", "return", "break", "continue", "goto", "case",
    "default", "asm", "__asm__", "__asm",
];

/// Words that begin statements of C++ alone.
const CPP_STATEMENTS: &[&str] = &["try", "throw", "delete"];

/// Words that begin expressions of C++ alone.
const CPP_EXPRESSIONS: &[&str] = &[
    "new",
    "typeid",
    "this",
    "nullptr",
    "true",
    "false",
    "not",
    "static_cast",
    "const_cast",
    "dynamic_cast",
    "reinterpret_cast",
    "alignof",
];

/// Words that begin what stays, in C++ alone.
const CPP_FILE: &[&str] = &["template", "using", "namespace", "class", "friend"];

/// Words that begin declarations of C++ alone.
const CPP_TYPES: &[&str] = &[
    "constexpr",
    "wchar_t",
    "decltype",
    "typename",
    "thread_local",
];

/// Words that begin declarations.
const TYPES: &[&str] = &[
    "void",
    "char",
    "short",
    "int",
    "long",
    "float",
    "double",
    "signed",
    "unsigned",
    "_Bool",
    "bool",
    "struct",
    "union",
    "enum",
    "const",
    "volatile",
    "register",
    "auto",
    "__auto_type",
    "__typeof__",
    "typeof",
    "_Complex",
    "__int128",
    "_Atomic",
    "__thread",
    "_Thread_local",
    "inline",
    "__inline__",
    "__attribute__",
    "__extension__",
];

/// What a piece is, and whether it defines a function.
fn role(text: &str, piece: &[Token], is_last: bool, dialect: Dialect) -> (Role, bool) {
    let first = word(text, piece.first());
    let is_cpp = dialect == Dialect::Cpp;
    if piece[0].kind == Kind::Directive {
        return (Role::File, false);
    }
    if first == "_Static_assert" || first == "static_assert" {
        return (Role::File, false);
    }
    let is_statement = STATEMENTS.contains(&first) || is_cpp && CPP_STATEMENTS.contains(&first);
    if is_statement || piece[0].kind == Kind::Mark(b'{') {
        return (Role::Statement, false);
    }
    if is_cpp && CPP_FILE.contains(&first) {
        return (Role::File, first == "template");
    }
    if is_cpp && CPP_EXPRESSIONS.contains(&first) {
        return (Role::Expression, false);
    }
    if is_cpp && CPP_TYPES.contains(&first) && !is_function_definition(piece) {
        return (declaration(text, piece), false);
    }
    if is_cpp
        && !TYPES.contains(&first)
        && !is_function_definition(piece)
        && let Some(end) = cpp::type_end(text, piece)
    {
        return match looks_declared_behind(piece, end, is_last) {
            true => (declaration(text, piece), false),
            false => (Role::Expression, false),
        };
    }
    if first.is_empty() || first == "sizeof" || first == "_Alignof" {
        return (Role::Expression, false);
    }
    // A label.
    let is_colon = |at: usize| piece.get(at).map(|t| t.kind) == Some(Kind::Mark(b':'));
    if is_colon(1) && !(is_cpp && is_colon(2)) {
        return (Role::Statement, false);
    }
    if is_function_definition(piece) {
        return (Role::File, true);
    }
    if matches!(first, "typedef" | "static" | "extern") {
        return (Role::File, false);
    }
    if TYPES.contains(&first) || looks_declared(piece, is_last) {
        return (declaration(text, piece), false);
    }
    (Role::Expression, false)
}

/// At the top level `name (…)` followed by a body, with a type before the name.
fn is_function_definition(piece: &[Token]) -> bool {
    let ends_with_body = piece.last().is_some_and(|t| t.kind == Kind::Mark(b'}'));
    let Some(open) = piece.iter().position(|t| t.kind == Kind::Mark(b'(')) else {
        return false;
    };
    let assigned = piece[..open].iter().any(|t| t.kind == Kind::Mark(b'='));
    let typed = open >= 2 && piece[open - 1].kind == Kind::Word;
    ends_with_body && typed && !assigned
}

/// `T x`, `T *x =`, `T **x`: a type's name and what is declared of it.
fn looks_declared(piece: &[Token], is_last: bool) -> bool {
    let kind = |index: usize| piece.get(index).map(|t: &Token| t.kind);
    if kind(1) == Some(Kind::Word) {
        return true;
    }
    let stars = piece[1..]
        .iter()
        .take_while(|t| t.kind == Kind::Mark(b'*'))
        .count();
    if stars == 0 || kind(1 + stars) != Some(Kind::Word) {
        return false;
    }
    let after = kind(2 + stars);
    // `a * b` as the last thing is a product.
    let assigned = after == Some(Kind::Mark(b'=')) && kind(3 + stars) != Some(Kind::Mark(b'='));
    assigned || stars > 1 || (!is_last && matches!(after, Some(Kind::Mark(b';' | b',' | b'['))))
}

/// Whether a variable is declared behind a type that ends there, as `vec<int> v`
/// and `ns::node *n = …` do.
fn looks_declared_behind(piece: &[Token], end: usize, is_last: bool) -> bool {
    let kind = |index: usize| piece.get(index).map(|t: &Token| t.kind);
    let signs = piece[end..]
        .iter()
        .take_while(|t| matches!(t.kind, Kind::Mark(b'*' | b'&')))
        .count();
    if kind(end + signs) != Some(Kind::Word) {
        return false;
    }
    if signs == 0 {
        return true;
    }
    let after = kind(end + signs + 1);
    let assigned =
        after == Some(Kind::Mark(b'=')) && kind(end + signs + 2) != Some(Kind::Mark(b'='));
    assigned || (!is_last && matches!(after, Some(Kind::Mark(b';' | b',' | b'[' | b'{'))))
}

/// A declaration: a prototype or a type stays, a variable may be a local.
fn declaration(text: &str, piece: &[Token]) -> Role {
    let first = word(text, piece.first());
    let kinds: Vec<Kind> = piece.iter().map(|t| t.kind).collect();
    let assigned = kinds.iter().position(|k| *k == Kind::Mark(b'='));
    if matches!(first, "struct" | "union") && assigned.is_none() || first == "enum" {
        // `struct S { … };` and `struct S;` declare no variable.
        let body = [Kind::Mark(b'}'), Kind::Mark(b';')];
        if kinds.ends_with(&body) || kinds.len() <= 3 {
            return Role::File;
        }
        if kinds.last() == Some(&Kind::Mark(b'}')) {
            return Role::File;
        }
    }
    let is_initialised = |open: usize| {
        // `T v(1)` and `T v("a")`: what is in brackets is a value.
        matches!(
            kinds.get(open + 1),
            Some(Kind::Number | Kind::Literal | Kind::Mark(b'&' | b'{' | b'-'))
        )
    };
    let is_thread_local = matches!(first, "__thread" | "_Thread_local");
    let open = kinds.iter().position(|k| *k == Kind::Mark(b'('));
    // `int f(int);` but not `int (*f)(int);`
    let prototype = match (open, assigned) {
        (Some(open), None) => {
            kinds[open - 1] == Kind::Word
                && !text_is_attribute(text, &piece[open - 1])
                && kinds.get(open + 1) != Some(&Kind::Mark(b'*'))
                && !is_initialised(open)
        }
        _ => false,
    };
    match prototype || is_thread_local {
        true => Role::File,
        false => Role::Variable,
    }
}

fn text_is_attribute(text: &str, token: &Token) -> bool {
    matches!(
        &text[token.at.clone()],
        "__attribute__" | "__typeof__" | "typeof" | "_Alignas" | "_Atomic"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each piece as its role's letter and its text.
    #[track_caller]
    fn check(text: &str, expected: &[(char, &str)]) {
        check_in(Dialect::C, text, expected);
    }

    #[track_caller]
    fn check_in(dialect: Dialect, text: &str, expected: &[(char, &str)]) {
        let mut found = pieces(text, dialect);
        assign(&mut found);
        let found: Vec<(char, &str)> = found
            .iter()
            .map(|piece| {
                let letter = match piece.role {
                    Role::File => 'f',
                    Role::Variable => 'v',
                    Role::Statement => 's',
                    Role::Expression => 'e',
                };
                (letter, &text[piece.at.clone()])
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn expressions_and_statements() {
        check("f(3)", &[('e', "f(3)")]);
        check("x = 1; x + 1;", &[('e', "x = 1;"), ('e', "x + 1;")]);
        check("a * b", &[('e', "a * b")]);
        check(
            "for (int i = 0; i < 3; i++) { f(i); } done",
            &[
                ('s', "for (int i = 0; i < 3; i++) { f(i); }"),
                ('e', "done"),
            ],
        );
        check(
            "if (a) b(); else { c(); } d",
            &[('s', "if (a) b(); else { c(); }"), ('e', "d")],
        );
        check(
            "do { a(); } while (b); c",
            &[('s', "do { a(); } while (b);"), ('e', "c")],
        );
        check("\"}\" /* ; */", &[('e', "\"}\"")]);
        check("(struct p){1, 2}", &[('e', "(struct p){1, 2}")]);
    }

    #[test]
    fn definitions_stay() {
        check(
            "#include <stdio.h>\nstruct p { int x; };\nint f(int);\nstatic int g(void) { return 1; }\nstruct p h(struct p a) { return a; }\nf(g());",
            &[
                ('f', "#include <stdio.h>"),
                ('f', "struct p { int x; };"),
                ('f', "int f(int);"),
                ('f', "static int g(void) { return 1; }"),
                ('f', "struct p h(struct p a) { return a; }"),
                ('e', "f(g());"),
            ],
        );
        check("enum e { A, B };", &[('f', "enum e { A, B };")]);
        check(
            "typedef struct { int x; } t;",
            &[('f', "typedef struct { int x; } t;")],
        );
    }

    #[test]
    fn variables_are_locals_unless_a_function_may_use_them() {
        check("int n = f(); n", &[('v', "int n = f();"), ('e', "n")]);
        check("int n = 1;", &[('f', "int n = 1;")]);
        check(
            "int n; int f(void) { return n; } int m = f(); m",
            &[
                ('f', "int n;"),
                ('f', "int f(void) { return n; }"),
                ('v', "int m = f();"),
                ('e', "m"),
            ],
        );
        check(
            "node *p = head; p->next",
            &[('v', "node *p = head;"), ('e', "p->next")],
        );
        check(
            "struct p a = {1, 2}; a",
            &[('v', "struct p a = {1, 2};"), ('e', "a")],
        );
        check(
            "int (*f)(int) = g; f(1)",
            &[('v', "int (*f)(int) = g;"), ('e', "f(1)")],
        );
    }

    #[test]
    fn lines_are_those_of_the_snippet() {
        let made = snippet(
            "\nint f(void);\n\n  f()\n",
            "snip.c",
            1,
            Dialect::C,
            &Around::default(),
        );
        assert!(
            made.c.contains("#line 1 \"snip.c\"\nint f(void);"),
            "{}",
            made.c
        );
        assert!(made.c.contains("#line 3 \"snip.c\"\n  f()\n"), "{}", made.c);
        assert_eq!(made.text, "int f(void);\n\n  f()");
        assert_eq!(made.wrapper.as_deref(), Some("__eval1"));
        let same_line = snippet(" 1 + 1 ", "snip.c", 2, Dialect::C, &Around::default());
        assert!(
            same_line.c.contains("#line 1 \"snip.c\"\n 1 + 1"),
            "{}",
            same_line.c
        );
    }

    #[test]
    fn definitions_alone_run_nothing() {
        let made = snippet(
            "int f(void) { return 1; }",
            "a.c",
            1,
            Dialect::C,
            &Around::default(),
        );
        assert_eq!(made.wrapper, None);
    }

    #[test]
    fn pieces_of_cpp() {
        let check = |text, expected: &[(char, &str)]| check_in(Dialect::Cpp, text, expected);
        check(
            "std::string s = \"a\"; s.size()",
            &[('v', "std::string s = \"a\";"), ('e', "s.size()")],
        );
        check(
            "std::vector<int> v{1, 2}; v.size()",
            &[('v', "std::vector<int> v{1, 2};"), ('e', "v.size()")],
        );
        check(
            "auto f = [&](int x) { return x; }; f(1)",
            &[('v', "auto f = [&](int x) { return x; };"), ('e', "f(1)")],
        );
        check("ns::f(1)", &[('e', "ns::f(1)")]);
        check("f<int>(1)", &[('e', "f<int>(1)")]);
        check("new T(1)", &[('e', "new T(1)")]);
        check("a < b", &[('e', "a < b")]);
        check(
            "struct p { int f() { return 1; } }; using namespace std; try { g(); } catch (...) { } p{}.f()",
            &[
                ('f', "struct p { int f() { return 1; } };"),
                ('f', "using namespace std;"),
                ('s', "try { g(); } catch (...) { }"),
                ('e', "p{}.f()"),
            ],
        );
        check(
            "template<class T> T twice(T t) { return t + t; } twice(2)",
            &[
                ('f', "template<class T> T twice(T t) { return t + t; }"),
                ('e', "twice(2)"),
            ],
        );
        check(
            "ns::node *n = head; for (auto &x : v) g(x); n->next",
            &[
                ('v', "ns::node *n = head;"),
                ('s', "for (auto &x : v) g(x);"),
                ('e', "n->next"),
            ],
        );
    }

    #[test]
    fn unfinished_text_is_left_to_the_compiler() {
        for text in ["(", "}", "int f(", "{{", "a = {", "else", ";;;", ""] {
            let _ = snippet(text, "a.c", 1, Dialect::C, &Around::default());
            let _ = snippet(text, "a.cc", 1, Dialect::Cpp, &Around::default());
        }
    }
}
