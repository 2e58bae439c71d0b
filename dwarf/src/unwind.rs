//! Unwinding: from a frame's registers to its caller's.
//!
//! The rule comes from `.eh_frame` or `.debug_frame`; code without either is
//! tried by its frame pointer. An [`Unwinder`] remembers the rules it found.

use std::fmt;

use crate::{Address, FrameAddress, Memory, MemoryError, Modules, Registers};

/// What unwinding one frame found.
#[derive(Clone, Debug)]
pub struct Unwound {
    /// The frame's canonical frame address: its stack pointer before the call
    /// that entered it. `None` where not even that is known.
    pub cfa: Option<Address>,
    /// Whether the frame is a signal trampoline: its caller was interrupted,
    /// and did not call.
    pub is_signal: bool,
    /// The caller; `None` at the outermost frame.
    pub caller: Option<(FrameAddress, Registers)>,
}

/// Why a stack could not be followed further.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UnwindError {
    /// The frame's memory could not be read.
    Memory(MemoryError),
    /// A register that the rule needs is not known.
    NoRegister,
    /// The rule leads to a frame that is not further out than this one.
    NotFurtherOut,
    /// The unwind information is at fault.
    Malformed(crate::Error),
}

impl fmt::Display for UnwindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnwindError::Memory(error) => error.fmt(f),
            UnwindError::NoRegister => f.write_str("a register that unwinding needs is not known"),
            UnwindError::NotFurtherOut => {
                f.write_str("previous frame identical to this frame (corrupt stack?)")
            }
            UnwindError::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UnwindError {}

/// Unwinds frames, remembering the rules of the code it has seen.
#[derive(Default)]
pub struct Unwinder {}

impl Unwinder {
    /// An unwinder that has seen nothing.
    pub fn new() -> Unwinder {
        Unwinder::default()
    }

    /// Unwinds one frame.
    pub fn step(
        &mut self,
        modules: &Modules,
        at: FrameAddress,
        registers: &Registers,
        memory: &mut dyn Memory,
    ) -> Result<Unwound, UnwindError> {
        let _ = (modules, at, registers, memory);
        todo!()
    }
}

/// The tables of a module's call frame information.
#[derive(Default)]
pub(crate) struct FrameTables {}
