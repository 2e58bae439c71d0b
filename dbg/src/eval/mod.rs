//! From the text of an `eval` to an object: pure text work, and a compiler.
//!
//! [`mentioned`] says which of the program's names it uses, [`Declarations`]
//! declares them. [`snippet`] takes the text apart into what stays (functions, types,
//! variables, directives) and what runs once, and writes one C file of both in
//! which every line still knows its place in the snippet. [`Compiler`] turns
//! that into an object.

mod adopt;
mod compiler;
mod declare;
mod mentions;
mod snippet;

pub use adopt::{Defines, Definition, definitions, put_at};
pub use compiler::{Cc, Compiler, Object, SourceFile};
pub use declare::Declarations;
pub use mentions::{Mention, Mentions};
pub use snippet::{DECLARATIONS, RESULT, Snippet, mentioned, snippet};
