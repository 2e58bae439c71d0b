//! [`Exit`]: why a guest thread stopped running guest instructions.
//!
//! Whatever the reason, the [`GuestState`](crate::GuestState) is exact: every
//! instruction before `pc` has had its whole effect, the one at `pc` has had
//! none. To go on past a system call or a breakpoint the caller moves `pc`
//! itself.

use std::fmt;

use crate::addr::GuestAddr;

/// Why [`Engine::run`](crate::Engine::run) returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// A system call instruction (`ecall`, 4 bytes) stands at `pc`.
    Syscall,
    /// A breakpoint instruction (`ebreak`, 4 bytes, or `c.ebreak`, 2) stands at `pc`.
    Breakpoint,
    /// The bytes at `pc` are no instruction of this guest.
    Illegal,
    /// The instruction at `pc` accessed memory that it may not.
    Fault(Fault),
    /// [`GuestState::interrupt`](crate::GuestState::interrupt) was found set.
    /// It stays set: the caller clears it before it runs on.
    Interrupted,
}

/// An access to guest memory that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The first byte that could not be accessed, or the address of the whole
    /// access where the two cannot be told apart (a misaligned atomic).
    pub address: GuestAddr,
    /// What was tried.
    pub access: Access,
    /// What forbade it.
    pub kind: FaultKind,
}

/// What an instruction does with memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// A load.
    Read,
    /// A store, or the store part of an atomic.
    Write,
    /// An instruction fetch.
    Execute,
}

/// What forbade an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// Nothing is mapped there, or the address is beyond guest memory.
    Unmapped,
    /// The page is mapped, but not for this access.
    Protection,
    /// The page is mapped from a file that has become too short.
    PastEnd,
    /// An atomic or a reservation at an address that is no multiple of its size.
    Misaligned,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::Read => "read",
            Access::Write => "write",
            Access::Execute => "execute",
        };
        let kind = match self.kind {
            FaultKind::Unmapped => "nothing is mapped there",
            FaultKind::Protection => "the page forbids it",
            FaultKind::PastEnd => "the mapped file ends before it",
            FaultKind::Misaligned => "misaligned",
        };
        write!(f, "{access} at {}: {kind}", self.address)
    }
}
