//! Core files: what a dead process left, as a [`Target`](crate::Target), and
//! writing one of a living process.
//!
//! One file for the formats ([`notes`], both ways), one that reads ([`read`])
//! and one that writes ([`write`]), so that what we write is what we read. All
//! of it is x86-64 Linux: `Elf64_Ehdr` with `ET_CORE`, a `PT_NOTE` of the
//! threads, and a `PT_LOAD` for each mapping (Linux, `fs/binfmt_elf.c`).
//!
//! What it deliberately does not do: run anything, and trust a number of the
//! file's. A core file that is damaged gives an error that names the place, or
//! memory that cannot be read.

mod notes;
mod read;
mod write;

pub use read::Core;
pub use write::{Written, write};
