//! What this crate asks of the debugged program's memory.

use std::fmt;

use crate::Address;

/// Reads bytes of the debugged program, live or dead.
///
/// Unwinding and location expressions take it as an argument, so that a live
/// process, a core file and a test's byte array take one path.
pub trait Memory {
    /// Fills `into` with the bytes that start at `at`, or changes nothing that
    /// the caller may rely on and fails.
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<(), MemoryError>;

    /// Reads a little-endian number of `size` bytes, 8 at most.
    fn read_unsigned(&mut self, at: Address, size: usize) -> Result<u64, MemoryError> {
        let mut bytes = [0; 8];
        let wanted = bytes.get_mut(..size).ok_or(MemoryError { at, len: size })?;
        self.read(at, wanted)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

impl<M: Memory + ?Sized> Memory for &mut M {
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<(), MemoryError> {
        (**self).read(at, into)
    }
}

/// Memory that could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryError {
    /// The first address that was asked for.
    pub at: Address,
    /// How many bytes were asked for.
    pub len: usize,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cannot access memory at address {}", self.at)
    }
}

impl std::error::Error for MemoryError {}

/// A program without memory: each read fails.
///
/// For evaluating what needs none, such as a global variable's address.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMemory;

impl Memory for NoMemory {
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<(), MemoryError> {
        Err(MemoryError {
            at,
            len: into.len(),
        })
    }
}
