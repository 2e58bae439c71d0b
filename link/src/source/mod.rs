//! From what a user names to bytes that a session takes: sources are compiled,
//! libraries are found.
//!
//! | file | what it owns |
//! |---|---|
//! | `compiler` | [`compile`]: sources to objects, in memory, in parallel |
//! | `cache` | [`Cache`]: objects that were compiled before |
//! | `scratch` | [`Scratch`]: a temporary folder that is removed again |
//! | `library` | [`find_library`]: `-l NAME` to files; linker scripts |
//!
//! The session's core does no I/O and does not import this; it is given the
//! bytes. What is done here is decided by arguments alone: no environment
//! variable but `TMPDIR` (and what the compiler itself reads) has a say.

mod cache;
mod compiler;
mod library;
mod scratch;

pub use cache::Cache;
pub use compiler::{CompileError, Compiled, Flags, Language, Source, Tools, compile};
pub use library::{Library, LibraryError, SYSTEM_FOLDERS, find_library};
pub use scratch::Scratch;
