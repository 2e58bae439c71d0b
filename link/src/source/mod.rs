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
//! | `registry` | [`Registry`]: libraries that are source, by name |
//! | `references` | [`References`]: what objects want of others, and how |
//! | `chosen` | [`Chosen`]: the registry's libraries that a program uses |
//! | `marks` | what the file system says of files |
//! | `autoload` | [`definers`]: names to the libraries that define them |
//! | `scratch` | [`Scratch`]: a temporary folder that is removed again |
//! | `user` | [`user_folder`]: where a user keeps what is ours |
//! | `library` | [`find_library`]: `-l NAME` to files; linker scripts |
//! | `thin` | [`whole_archive`]: thin archives, with their members in them |
//!
//! The session's core does no I/O and does not import this; it is given the
//! bytes. What is done here is decided by arguments alone: no environment
//! variable but `TMPDIR` (and what the compiler itself reads) has a say, but for
//! `user`, which only says what others may pass.

mod autoload;
mod cache;
mod chosen;
mod compiler;
mod language;
mod library;
mod marks;
mod references;
mod registry;
mod runs;
mod rust;
mod scratch;
mod thin;
mod user;

pub use autoload::definers;
pub use cache::Cache;
pub use chosen::{Chosen, MadeLibrary, Making};
pub use compiler::{CompileError, Compiled, compile};
pub use language::{Flags, Language, Source, Tools};
pub use library::{Library, LibraryError, SYSTEM_FOLDERS, find_library};
pub use references::{Reference, References};
pub use registry::{Load, Pattern, Registry, RegistryError, SourceLibrary};
pub use runs::{Answer, Asking, Question};
pub use rust::rust_library;
pub use scratch::Scratch;
pub use thin::{ThinError, WholeArchive, whole_archive};
pub use user::{UserFolder, user_folder};
