//! C expressions over a stopped program: parsed to a tree, evaluated against a
//! frame.
//!
//! The language is C's (with C++'s and Rust's `::` names) and gdb's additions:
//! `$register`, `$convenience`, `$1` of the history, `array@count`,
//! `array[low..high]`, `'file.c'::static`. [`parse`] needs to be told which
//! names are types, as a C compiler does. [`Evaluator`] does the rest.

mod arithmetic;
mod evaluate;
mod lex;
mod parse;
mod tree;

pub use evaluate::Evaluator;
pub use parse::{Names, parse, parse_type};
pub use tree::{Base, Binary, Derive, Expr, TypeExpr, Unary};
