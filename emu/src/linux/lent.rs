//! [`LentStack`]: what the child of a `vfork` writes to its maker's stack.
//!
//! Here such a child has a copy of its maker's memory, not the memory itself.
//! Programs rely on one thing that this breaks: the child tells its maker, in a
//! variable on the stack that both know, why it could not run what it was to
//! run (`posix_spawn` does). The maker sleeps all the while, so it is enough
//! that what the child changed there is put in place before it wakes.
//!
//! Changes travel through the pipe on whose end the maker waits, as runs:
//! address, length, bytes.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};

use crate::addr::GuestAddr;
use crate::memory::GuestMemory;

/// How much of the stack is lent, upwards from the stack pointer, in bytes.
const LENT: usize = 64 << 10;
/// Changes are told in units of this many bytes.
const UNIT: usize = 8;
/// More than this is not read from the child, whatever it sends: each unit as
/// a run of its own, before the exec and at the end.
pub const MOST_BYTES: u64 = 4 * (LENT / UNIT * (UNIT + 16)) as u64;

/// The stack that a child was lent, as it was then, and where its changes go.
pub struct LentStack {
    start: GuestAddr,
    before: Vec<u8>,
    pipe: File,
}

impl LentStack {
    /// Lends the stack from `start` upwards.
    pub fn new(memory: &GuestMemory, start: GuestAddr, pipe: File) -> LentStack {
        let before = read(memory, start);
        LentStack {
            start,
            before,
            pipe,
        }
    }

    /// The descriptor that the guest does not know of, and must not close.
    pub fn descriptor(&self) -> RawFd {
        self.pipe.as_raw_fd()
    }

    /// Tells the maker what has changed since it was told last.
    pub fn give_back(&mut self, memory: &GuestMemory) {
        let now = read(memory, self.start);
        let mut message = Vec::new();
        let units = self.before.chunks(UNIT).zip(now.chunks(UNIT));
        for (index, (before, now)) in units.enumerate() {
            if before != now {
                let at = self.start.0 + (index * UNIT) as u64;
                message.extend_from_slice(&at.to_le_bytes());
                message.extend_from_slice(&(now.len() as u64).to_le_bytes());
                message.extend_from_slice(now);
            }
        }
        self.before = now;
        // A maker that is gone needs nothing.
        let _ = self.pipe.write_all(&message);
    }
}

/// In the maker: puts in place what its child changed.
pub fn take_back(memory: &GuestMemory, mut message: &[u8]) {
    while let Some((header, rest)) = message.split_at_checked(16) {
        let (at, length) = header.split_at(8);
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let Some((bytes, rest)) = rest.split_at_checked(word(length).min(UNIT as u64) as usize)
        else {
            return;
        };
        let _ = memory.write_bytes(GuestAddr(word(at)), bytes);
        message = rest;
    }
}

fn read(memory: &GuestMemory, start: GuestAddr) -> Vec<u8> {
    let mut bytes = vec![0; LENT];
    let got = memory.read_some(start, &mut bytes).unwrap_or(0);
    bytes.truncate(got);
    bytes
}
