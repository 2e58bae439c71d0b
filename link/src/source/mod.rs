//! From what a user names to bytes that a session takes: sources are compiled,
//! libraries are found.
//!
//! | file | what it owns |
//! |---|---|
//! | `language` | [`Language`], [`Flags`]: which compiler, and how it is asked |
//! | `rust` | toolchains, and [`rust_library`] |
//! | `compiler` | [`compile`]: sources to objects, in memory, in parallel |
//! | `cache` | [`Cache`]: objects that were compiled before |
//! | `runs` | [`Question`], [`Answer`]: whole programs that were linked before |
//! | `autoload` | [`definers`]: names to the libraries that define them |
//! | `scratch` | [`Scratch`]: a temporary folder that is removed again |
//! | `library` | [`find_library`]: `-l NAME` to files; linker scripts |
//!
//! The session's core does no I/O and does not import this; it is given the
//! bytes. What is done here is decided by arguments alone: no environment
//! variable but `TMPDIR` (and what the compiler itself reads) has a say.

mod autoload;
mod cache;
mod compiler;
mod language;
mod library;
mod runs;
mod rust;
mod scratch;

pub use autoload::definers;
pub use cache::Cache;
pub use compiler::{CompileError, Compiled, compile};
pub use language::{Flags, Language, Source, Tools};
pub use library::{Library, LibraryError, SYSTEM_FOLDERS, find_library};
pub use runs::{Answer, Asking, Question};
pub use rust::rust_library;
pub use scratch::Scratch;
