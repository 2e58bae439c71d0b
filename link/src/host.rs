//! [`Host`] and [`Resolver`]: what the session may ask of whoever runs the
//! image, and of whoever knows names it does not.
//!
//! A `Host`'s abilities are separate traits, each reached by a method that says
//! `None` when the host has not got it. A publish that needs a missing ability
//! is refused with that reason, before anything is written.

use std::fmt;
use std::ops::Range;

use crate::addr::HostAddr;
use crate::space::SpaceError;

/// Why the host could not do what it was asked.
#[derive(Debug)]
pub enum HostError {
    /// The request failed; the target goes on as it was.
    Failed(String),
    /// The code that was called faulted, was interrupted or timed out.
    Faulted(String),
    /// The target is gone.
    Lost(String),
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostError::Failed(why) | HostError::Faulted(why) => f.write_str(why),
            HostError::Lost(why) => write!(f, "target lost: {why}"),
        }
    }
}

impl std::error::Error for HostError {}

impl From<SpaceError> for HostError {
    fn from(error: SpaceError) -> HostError {
        match error {
            SpaceError::Lost(why) => HostError::Lost(why),
            other => HostError::Failed(other.to_string()),
        }
    }
}

/// What can be asked of whoever runs the image. The unit type has no ability.
pub trait Host {
    /// Call functions in the target.
    fn call(&mut self) -> Option<&mut dyn Call> {
        None
    }
    /// Stop every thread and say where each one is.
    fn world(&mut self) -> Option<&mut dyn StopWorld> {
        None
    }
    /// Place thread-local storage.
    fn thread_locals(&mut self) -> Option<&mut dyn ThreadLocals> {
        None
    }
    /// Tell the target's unwinder about new code.
    fn unwind(&mut self) -> Option<&mut dyn Unwind> {
        None
    }
}

impl Host for () {}

/// Calls into the target.
pub trait Call {
    /// Calls the C function at `function` with up to six integer arguments and
    /// gives its integer result.
    fn call(&mut self, function: HostAddr, arguments: &[u64]) -> Result<u64, HostError>;

    /// Calls an initialiser of a batch. A host that has something to do before
    /// any of the new code runs may keep it and call it soon after.
    fn initialise(&mut self, function: HostAddr) -> Result<(), HostError> {
        self.call(function, &[]).map(drop)
    }

    /// Arranges for `function`, a C function of no arguments, to be called when
    /// the program exits, last registered first.
    fn at_exit(&mut self, function: HostAddr) -> Result<(), HostError>;
}

/// Stopping all of the target's threads, which `replace` batches need.
pub trait StopWorld {
    /// Stops every thread and gives every pc and return address on every stack;
    /// what only looks like one may be among them. On error nothing is stopped.
    /// The world stays stopped until [`resume`](StopWorld::resume); meanwhile the
    /// session neither allocates nor frees, because a thread of this process may
    /// have been stopped with the allocator's lock.
    fn stop(&mut self) -> Result<Vec<HostAddr>, HostError>;
    /// Lets every thread go on.
    fn resume(&mut self) -> Result<(), HostError>;
}

/// Thread-local storage in the target.
pub trait ThreadLocals {
    /// Reserves `size` bytes with this alignment in every thread, present and
    /// future. Gives the block's offset from the thread pointer (negative on
    /// x86-64).
    fn reserve(&mut self, size: u64, alignment: u64) -> Result<i64, HostError>;
    /// Sets the initial bytes of a reserved block in every thread, present and
    /// future.
    fn initialise(&mut self, offset: i64, bytes: &[u8]) -> Result<(), HostError>;
    /// Gives back the most recent reservations, down to `offset`.
    fn release(&mut self, offset: i64) -> Result<(), HostError>;
}

/// Where libgcc's unwinder has its entry points in the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Libgcc {
    /// `__register_frame_info`.
    pub register_frame_info: HostAddr,
    /// `__deregister_frame_info`.
    pub deregister_frame_info: HostAddr,
    /// `_Unwind_Find_FDE`.
    pub find_fde: HostAddr,
}

/// The target's unwinder.
pub trait Unwind {
    /// libgcc's entry points, when it is the target's unwinder and the host can
    /// [`call`](Host::call) them. An image's entries are then registered once
    /// for each slab, and publishing more of them costs no call.
    fn libgcc(&mut self) -> Result<Option<Libgcc>, HostError> {
        Ok(None)
    }

    /// Registers an `.eh_frame` section that ends with a zero terminator.
    fn register(&mut self, eh_frame: Range<HostAddr>) -> Result<(), HostError>;
    /// Takes a registration back.
    fn deregister(&mut self, eh_frame: Range<HostAddr>) -> Result<(), HostError>;
}

/// A name that neither the image nor the batch defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The symbol's name.
    pub name: &'a str,
    /// The version the object asks for, when it names one (`name@VERSION`).
    pub version: Option<&'a str>,
    /// Whether the object says that it is a thread-local: its offset is wanted then,
    /// in every thread the same.
    pub thread_local: bool,
}

/// What a name outside the image stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// A function or object at this address.
    Address(HostAddr),
    /// An indirect function: its resolver is here, and must be called in the
    /// target to learn the address.
    Ifunc(HostAddr),
    /// A thread-local at this offset from the thread pointer.
    ThreadOffset(i64),
}

/// What lies at an address outside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How long it is, in bytes; 0 where that is not known.
    pub size: u64,
    /// Whether it is a function.
    pub function: bool,
}

/// What the session asks when neither image nor batch defines a name.
pub trait Resolver {
    /// Looks up many names at once (one round trip to a far target). Gives one
    /// answer for each, `None` for a name nobody knows.
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError>;

    /// Says what begins at addresses that it gave, one answer for each, `None` where
    /// it cannot tell. It is asked for code that holds addresses in 32 bits: a stub
    /// in reach may stand for a function, and a copy for a class's tables.
    fn extents(&mut self, at: &[HostAddr]) -> Result<Vec<Option<Extent>>, HostError> {
        Ok(vec![None; at.len()])
    }
}

/// Knows no name.
impl Resolver for () {
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError> {
        Ok(vec![None; wanted.len()])
    }
}

/// A resolver from any function of a name to an address.
impl<F: FnMut(&str) -> Option<HostAddr>> Resolver for F {
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError> {
        Ok(wanted
            .iter()
            .map(|w| self(w.name).map(Outside::Address))
            .collect())
    }
}
