//! [`GuestAddr`]: an address as the emulated program sees it.
//!
//! It is never a pointer of this process: the byte it names lies at
//! [`GuestState::memory_base`](crate::GuestState::memory_base) plus its value,
//! when it is below the limit of guest memory, and nowhere otherwise.

use std::fmt;

/// An address in the emulated program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GuestAddr(pub u64);

impl GuestAddr {
    /// The address as a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The address `bytes` further on. Wraps, as the hardware does.
    #[allow(clippy::should_implement_trait)]
    pub const fn add(self, bytes: u64) -> GuestAddr {
        GuestAddr(self.0.wrapping_add(bytes))
    }
}

impl fmt::Display for GuestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for GuestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
