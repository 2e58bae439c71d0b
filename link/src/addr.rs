//! The address and length types that cross this crate's boundary.
//!
//! An address here always means an address *in the process that runs the
//! image*, which need not be this one: never dereference one without asking
//! the [`AddressSpace`](crate::AddressSpace) it belongs to.

use std::fmt;
use std::ops::Range;

/// A virtual address in the process (or file, or emulated program) that runs
/// the image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HostAddr(pub u64);

impl HostAddr {
    /// The address as a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The address `bytes` further on. Wraps, as the hardware does.
    pub const fn add(self, bytes: u64) -> HostAddr {
        HostAddr(self.0.wrapping_add(bytes))
    }

    /// How far this address lies past `base`, in bytes; negative when before it.
    pub const fn distance_from(self, base: HostAddr) -> i64 {
        self.0.wrapping_sub(base.0) as i64
    }

    /// The range of `len` bytes that starts here.
    pub const fn range(self, len: u64) -> Range<HostAddr> {
        self..self.add(len)
    }
}

impl fmt::Display for HostAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for HostAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
