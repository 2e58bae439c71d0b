//! From the text of an `eval` to an object: pure text work, and a compiler.
//!
//! [`mentioned`] says which of the program's names it uses, [`Declarations`] or
//! [`CppDeclarations`] declares them. [`snippet`] takes the text apart into what
//! stays (functions, types, variables, directives) and what runs once, and writes
//! one C or C++ file of both in which every line still knows its place in the
//! snippet. [`Compiler`] turns that into an object.

mod adopt;
mod compiler;
mod cpp;
mod cpp_names;
mod declare;
mod declare_cpp;
mod headers;
mod mentions;
mod snippet;

pub use adopt::{Defines, Definition, definitions, put_at};
pub use compiler::{Cc, Compiler, Object, SourceFile};
pub use cpp::Around;
pub use cpp_names::last_part;
pub use declare::Declarations;
pub use declare_cpp::CppDeclarations;
pub use mentions::{Mention, Mentions};
pub use snippet::{DECLARATIONS, RESULT, Snippet, mentioned, snippet};

/// The language of a snippet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// C, as GNU has it.
    C,
    /// C++.
    Cpp,
}

impl Dialect {
    /// What the name of a file says of its language.
    pub fn of_file(name: &str) -> Option<Dialect> {
        match name.rsplit_once('.')?.1 {
            "c" | "i" => Some(Dialect::C),
            "cc" | "cpp" | "cxx" | "C" | "c++" | "ii" => Some(Dialect::Cpp),
            _ => None,
        }
    }
}
