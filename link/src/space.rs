//! [`AddressSpace`]: where an image's bytes live.
//!
//! The session decides *what* is written *where*; an implementor knows *how*
//! bytes get there: through a second mapping of the same memory (this process,
//! a worker), through `/proc/PID/mem` (a stopped process), into a file. The
//! session never learns which.
//!
//! What holds between calls: a region that was reserved keeps its address
//! until it is released; committed pages read as zero until written; a page is
//! never writable and executable at once in the process that runs it (the
//! implementor writes code through a view of its own).

use std::fmt;
use std::ops::Range;

use crate::addr::HostAddr;

/// How the process that runs the image may use a page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protection {
    /// Readable and executable: functions, stubs, jump islands.
    Code,
    /// Readable: constants, strings, unwind tables.
    ReadOnly,
    /// Readable and writable, private to the process so that `fork` copies it:
    /// data, zeroed data, GOT and indirection cells.
    Data,
}

/// Where a reservation should lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Near {
    /// Wherever the implementor finds room.
    Anywhere,
    /// Wholly below 2 GiB, so that sign-extended 32-bit absolute addresses
    /// (`R_X86_64_32S`) reach it.
    Low,
    /// Every byte within ±2 GiB of every byte of this range (the program that
    /// the image grows in).
    Range(Range<HostAddr>),
    /// Exactly here.
    At(HostAddr),
}

/// A request for address space.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reserve {
    /// Bytes wanted; the implementor rounds up to whole pages.
    pub length: u64,
    /// What the pages are for.
    pub protection: Protection,
    /// Alignment of the start, in bytes; a power of two.
    pub alignment: u64,
    /// Where it should lie.
    pub near: Near,
}

/// A contiguous range of reserved addresses. Plain data: dropping it releases
/// nothing, [`AddressSpace::release`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address; page-aligned.
    pub start: HostAddr,
    /// Length in bytes; whole pages.
    pub length: u64,
    /// What the pages are for.
    pub protection: Protection,
}

impl Region {
    /// The addresses of the region.
    pub fn range(&self) -> Range<HostAddr> {
        self.start.range(self.length)
    }
}

/// One run of bytes to be written at an address.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// Where the first byte goes.
    pub at: HostAddr,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Identifies one address space for the life of this process, so that an image
/// can refuse to grow in another one than it began in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SpaceId(pub u64);

impl SpaceId {
    /// A number never handed out before in this process.
    pub fn fresh() -> SpaceId {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        SpaceId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Why an address space could not do what it was asked.
#[derive(Debug)]
pub enum SpaceError {
    /// No room for the reservation; the text says how much was wanted, and where.
    NoRoom(String),
    /// The operation failed and changed nothing.
    Failed(String),
    /// The target is gone, or in a state nobody can tell.
    Lost(String),
}

impl fmt::Display for SpaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpaceError::NoRoom(why) => write!(f, "no address space: {why}"),
            SpaceError::Failed(why) => write!(f, "{why}"),
            SpaceError::Lost(why) => write!(f, "target lost: {why}"),
        }
    }
}

impl std::error::Error for SpaceError {}

/// Where an image's bytes live. See the [module page](self).
pub trait AddressSpace {
    /// The identity of this space, the same for its whole life.
    fn id(&self) -> SpaceId;

    /// Reserves addresses. Costs no memory; no byte is accessible yet.
    fn reserve(&mut self, want: &Reserve) -> Result<Region, SpaceError>;

    /// Gives a reservation back, committed or not.
    fn release(&mut self, region: &Region) -> Result<(), SpaceError>;

    /// Makes the first `length` bytes of a region usable: zeroed, with the
    /// region's protection. Called with growing lengths, in large steps; bytes
    /// committed earlier keep their contents.
    fn commit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError>;

    /// Gives back what lies past `length` after a failed publish: those bytes
    /// read as zero when they are committed again. The inverse of `commit`.
    fn decommit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError>;

    /// A direct writable view of committed bytes, where there is one. It is
    /// valid until the next call. Writing through it is the same as `apply`.
    fn window(&mut self, at: HostAddr, length: u64) -> Option<&mut [u8]>;

    /// Writes all of `writes`, or none, or reports the target lost. A publish
    /// calls this at most once for what it adds, and once more, with the world
    /// stopped, for what a replace batch overwrites where there is no window.
    fn apply(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError>;

    /// Called before published bytes are overwritten, while the world still runs.
    /// A space whose code other processes see too (children of a fork) puts a copy
    /// of this one's own in its place.
    fn unshare(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        let _ = writes;
        Ok(())
    }

    /// Asked once the world is stopped: whether what is to be overwritten is this
    /// process's own still. If not, the world goes on and everything is tried
    /// again. Allocates nothing, and asks no thread of the target.
    fn is_unshared(&mut self, writes: &[Write<'_>]) -> bool {
        let _ = writes;
        true
    }

    /// Whether more can be put into a region: not where a process that was
    /// forked shares it with the one that goes on filling it. What such a process
    /// publishes goes to fresh regions.
    fn grows(&self, region: &Region) -> bool {
        let _ = region;
        true
    }

    /// Points an indirection cell elsewhere: the word at `cell`, which is aligned
    /// and lies in published data, becomes `to` in one store. Code that goes
    /// through it sees the old value or the new one, so nobody need be stopped.
    fn redirect(&mut self, cell: HostAddr, to: HostAddr) -> Result<(), SpaceError> {
        let bytes = &to.get().to_le_bytes();
        self.apply(&[Write { at: cell, bytes }])
    }

    /// Reads committed bytes.
    fn read(&mut self, at: HostAddr, into: &mut [u8]) -> Result<(), SpaceError>;

    /// Called once at the end of a publish with the range of code that became
    /// visible, so that an implementor that cannot write behind a protection
    /// may restore it, or synchronise instruction caches. Most do nothing.
    fn seal(&mut self, range: Range<HostAddr>, protection: Protection) -> Result<(), SpaceError> {
        let _ = (range, protection);
        Ok(())
    }
}
