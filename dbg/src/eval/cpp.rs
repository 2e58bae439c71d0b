//! What a C++ snippet has around it: the frame's variables and functions as names
//! of the wrapper's, and the wrapper's own parts.
//!
//! The value of the last expression is kept as what it is: an object that the
//! program has is shown where it is, what was made is kept in room of its own.
//! It is what [`RESULT`](super::RESULT) points to.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::declare_cpp::FRAME;
use crate::clex::{Kind, Token};

/// What is declared around a snippet.
#[derive(Clone, Default, Debug)]
pub struct Around {
    /// The program's own names.
    pub declarations: String,
    /// The headers that these take.
    pub includes: BTreeSet<&'static str>,
    /// The frame's variables, among them `__this`.
    pub locals: Vec<String>,
    /// The functions of the object whose function the frame is in.
    pub methods: Vec<String>,
    /// The namespaces that the frame's function is in.
    pub spaces: Vec<String>,
}

impl Around {
    /// Makes the frame's variables names of a scope.
    pub(super) fn usings(&self) -> String {
        let mut text = String::new();
        for name in &self.locals {
            let _ = write!(text, "using {FRAME}::{name}; ");
        }
        text
    }

    /// Opens the frame's namespaces.
    pub(super) fn spaces_opened(&self) -> String {
        let spaces = self.spaces.iter();
        spaces
            .map(|space| format!("using namespace {space}; "))
            .collect()
    }

    /// Opens the frame's namespaces and its object.
    pub(super) fn opening(&self) -> String {
        let mut text = self.spaces_opened();
        for name in &self.methods {
            let _ = write!(
                text,
                "auto {name} = [](auto &&...__a) -> decltype(auto) {{ return \
                 ({FRAME}::__this->{name}(static_cast<decltype(__a) &&>(__a)...)); }}; "
            );
        }
        text
    }
}

/// How the value of an expression is kept, by what it is.
pub(super) const KEEPING: &str = "\
namespace __sapwood { struct here { void *at; }; struct result { void *value; const char *threw; }; }
inline void *operator new(decltype(sizeof 0), __sapwood::here h) noexcept { return h.at; }
extern \"C\" void *__cxa_current_exception_type();
namespace __sapwood {
template<class T> struct keeper { template<class F> static T *of(F &f) { alignas(T) static unsigned char room[sizeof(T)]; return ::new (here{ (void *)room }) T(f()); } };
template<class T> struct keeper<T &> { template<class F> static T *of(F &f) { return __builtin_addressof(f()); } };
template<class T> struct keeper<T &&> { template<class F> static T *of(F &f) { T &&r = f(); return __builtin_addressof(r); } };
template<> struct keeper<void> { template<class F> static void *of(F &f) { f(); return 0; } };
}";

/// The wrapper's beginning, up to its brace.
pub(super) fn head(wrapper: &str) -> String {
    format!("extern \"C\" __sapwood::result {wrapper}()")
}

/// What is called to run a wrapper.
pub(super) fn entry(wrapper: &str) -> String {
    format!("{wrapper}_caught")
}

/// The wrapper's end, from its brace on, and what calls it: what is thrown is told
/// by the name of its type, which is the second word of what the runtime says of
/// that.
pub(super) fn tail(wrapper: &str) -> String {
    format!(
        "}}\n#undef this\n{} try {{ return {wrapper}(); }} catch (...) {{ \
         void *type = __cxa_current_exception_type(); \
         return {{ 0, type ? ((const char *const *)type)[1] : \"?\" }}; }}",
        head(&entry(wrapper))
    )
}

/// Where a type ends that a piece may begin with: a qualified name with its
/// arguments; nothing where it is plainly something else.
pub(super) fn type_end(text: &str, piece: &[Token]) -> Option<usize> {
    let is = |at: usize, mark: u8| piece.get(at).is_some_and(|t| t.kind == Kind::Mark(mark));
    let is_word = |at: usize| piece.get(at).is_some_and(|t| t.kind == Kind::Word);
    let mut at = 0;
    if is(0, b':') && is(1, b':') {
        at = 2;
    }
    loop {
        if !is_word(at) {
            return None;
        }
        at += 1;
        if is(at, b'<') {
            at = arguments_end(piece, at)?;
        }
        if is(at, b':') && is(at + 1, b':') {
            at += 2;
            continue;
        }
        let is_const = piece
            .get(at)
            .is_some_and(|token| &text[token.at.clone()] == "const");
        return Some(at + usize::from(is_const));
    }
}

/// One past the `>` for the `<` at `from`.
fn arguments_end(piece: &[Token], from: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in piece.iter().enumerate().skip(from) {
        match token.kind {
            Kind::Mark(b'<') => depth += 1,
            Kind::Mark(b'>') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            Kind::Mark(b';' | b'{' | b'=' | b'|' | b'+') => return None,
            _ => {}
        }
    }
    None
}
