//! The addresses that cross this crate's boundary.
//!
//! An [`Address`] is always one in the *running* program, its module's load
//! bias applied. The addresses inside a file (what DWARF and ELF write) stay
//! private to a [`Module`](crate::Module), which adds its bias on the way out
//! and takes it off on the way in.

use std::fmt;
use std::ops::Range;

/// An address in the debugged program, load bias applied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Address(pub u64);

impl Address {
    /// The address as a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The address `bytes` further on, wrapping as the hardware does.
    pub const fn add(self, bytes: u64) -> Address {
        Address(self.0.wrapping_add(bytes))
    }

    /// The address `bytes` away, wrapping as the hardware does.
    pub const fn offset(self, bytes: i64) -> Address {
        Address(self.0.wrapping_add_signed(bytes))
    }

    /// How far this address lies past `base`, in bytes.
    ///
    /// `None` when it lies before it.
    pub const fn past(self, base: Address) -> Option<u64> {
        self.0.checked_sub(base.0)
    }

    /// The range of `len` bytes that starts here; cut off at the last address.
    pub const fn range(self, len: u64) -> Range<Address> {
        self..Address(self.0.saturating_add(len))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::LowerHex for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// Where a frame stands: at an instruction it is about to run, or after a call
/// that has not yet returned.
///
/// The difference decides which byte belongs to the frame. A call may be the
/// last instruction of its function, so a return address may already lie in
/// the next one; the byte before it is still inside the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum FrameAddress {
    /// The frame was interrupted here: the innermost frame, or one that a
    /// signal handler was called over.
    InstructionPointer(Address),
    /// The frame called another one, which will return here.
    ReturnAddress(Address),
}

impl FrameAddress {
    /// The pc as the frame has it, to show to the user.
    pub const fn pc(self) -> Address {
        match self {
            FrameAddress::InstructionPointer(pc) | FrameAddress::ReturnAddress(pc) => pc,
        }
    }

    /// The address by which to look up the frame's function, line, scope and
    /// unwind row: inside the call for a return address.
    pub const fn lookup(self) -> Address {
        match self {
            FrameAddress::InstructionPointer(pc) => pc,
            FrameAddress::ReturnAddress(pc) => Address(pc.0.wrapping_sub(1)),
        }
    }
}
