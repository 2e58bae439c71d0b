//! From the text of an `eval` to an object: pure text work, and a compiler.
//!
//! [`snippet`] takes the text apart into what stays (functions, types,
//! variables, directives) and what runs once, and writes one C file of both in
//! which every line still knows its place in the snippet. [`Compiler`] turns
//! that into an object.

mod compiler;
mod snippet;

pub use compiler::{Cc, Compiler, Object, SourceFile};
pub use snippet::{RESULT, Snippet, snippet};
