//! [`Watch`]: who wants to see what is translated, and what runs.
//!
//! The engine tells a watcher of each piece of code when it is made. One who
//! follows is also told of each block before it runs; then no block is linked to
//! another, and each goes through the engine.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use sapwood_link::HostAddr;

use crate::addr::GuestAddr;
use crate::engine::Guest;
use crate::state::offset;

/// How a debugger leaves translated code, in x86-64's numbers of registers: the
/// word at this distance from what r15 holds is the stack pointer that code was
/// entered with, wherever in it the thread is.
pub const ENTRY_STACK: i32 = offset::HOST_STACK - offset::BIAS;

/// What was pushed there on the way in, by DWARF's numbers for registers: first
/// rbp, last r15. Below the first is the return address.
pub const ENTRY_SAVED: [u8; 6] = [6, 3, 12, 13, 14, 15];

/// Sees what is translated. Called with the engine locked, so it must not call
/// the engine.
pub trait Watch: Send + Sync {
    /// Code was made.
    fn translated(&self, piece: &Translated<'_>);

    /// Whether each block is to be told of before it runs.
    fn follows(&self) -> bool {
        false
    }

    /// Whether debuggers of this process are to poke into the code.
    fn is_for_debuggers(&self) -> bool {
        false
    }

    /// A block is about to run.
    fn running(&self, _pc: GuestAddr) {}
}

/// A watcher, as part of the options.
#[derive(Clone)]
pub struct Watcher(pub Arc<dyn Watch>);

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

/// Code that was made.
pub struct Translated<'a> {
    /// The guest's processor.
    pub guest: Guest,
    /// Where its first block begins.
    pub start: GuestAddr,
    /// The first block's guest code.
    pub guest_code: &'a [u8],
    /// Where that comes from: a file, and the offset in it.
    pub file: Option<(PathBuf, u64)>,
    /// What it does, in our own terms; unknown of a region.
    pub ir: Option<String>,
    /// How many blocks it is made of: more than one for a region.
    pub blocks: usize,
    /// Where its code runs.
    pub at: HostAddr,
    /// Its code.
    pub code: &'a [u8],
    /// Offset in the code → the guest instruction that the code from there on
    /// belongs to, ascending.
    pub rows: &'a [(u32, GuestAddr)],
}
