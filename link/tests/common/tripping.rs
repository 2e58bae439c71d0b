//! [`Tripping`]: any ground, whose n-th call fails.
//!
//! What undoes (release, decommit, giving thread-locals back, letting the world
//! go on) is counted too when everything from a call on is to fail.

#![allow(dead_code)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;

use sapwood_link::host::{Call, StopWorld, ThreadLocals, Unwind};
use sapwood_link::{
    AddressSpace, Extent, Ground, Host, HostAddr, HostError, Libgcc, Outside, Protection, Region,
    Reserve, Resolver, SpaceError, SpaceId, Wanted, Write,
};

/// How calls fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// One fails, and changes nothing.
    Once,
    /// One finds the target gone.
    Lost,
    /// One and all after it fail, the undoing ones too.
    FromThenOn,
}

/// Which call fails, and how.
struct Trip {
    /// Calls until it does.
    left: Cell<Option<usize>>,
    how: How,
    /// The call that failed.
    tripped: Cell<Option<&'static str>>,
}

impl Trip {
    /// Counts a call; true when it is to fail.
    fn trips(&self, name: &'static str, undoes: bool) -> bool {
        if self.tripped.get().is_some() {
            return self.how == How::FromThenOn;
        }
        match self.left.get() {
            Some(0) if !undoes => {
                self.left.set(None);
                self.tripped.set(Some(name));
                true
            }
            Some(left) if !undoes => {
                self.left.set(Some(left - 1));
                false
            }
            _ => false,
        }
    }
}

/// See the [module page](self).
pub struct Tripping<G> {
    pub inner: G,
    /// Whether the session sees windows, where there are any.
    pub windows: bool,
    /// What is reserved, and how much of each is committed.
    pub committed: BTreeMap<HostAddr, (Region, u64)>,
    /// How often libgcc was told of an object more than that it was taken back.
    pub registered: i64,
    /// Where a thread stands besides those there are, when the world is stopped.
    pub stands: Vec<HostAddr>,
    /// Whether the unwinder is one whose tables are registered batch by batch.
    pub plain_unwinder: bool,
    id: SpaceId,
    libgcc: Option<Libgcc>,
    trip: Trip,
}

impl<G: Ground> Tripping<G> {
    pub fn new(mut inner: G, windows: bool) -> Tripping<G> {
        Tripping {
            id: inner.space().id(),
            inner,
            stands: Vec::new(),
            plain_unwinder: false,
            windows,
            committed: BTreeMap::new(),
            registered: 0,
            libgcc: None,
            trip: Trip {
                left: Cell::new(None),
                how: How::Once,
                tripped: Cell::new(None),
            },
        }
    }

    /// Has a call fail, counted from 0.
    pub fn trip(&mut self, call: usize, how: How) {
        self.trip.left.set(Some(call));
        self.trip.how = how;
        self.trip.tripped.set(None);
    }

    /// Nothing fails from here on. Gives the call that did, if it came to that.
    pub fn steady(&mut self) -> Option<&'static str> {
        self.trip.left.set(None);
        self.trip.tripped.take()
    }

    fn space_step(&self, name: &'static str, undoes: bool) -> Result<(), SpaceError> {
        let why = || format!("{name} fails");
        match (self.trip.trips(name, undoes), self.trip.how) {
            (false, _) => Ok(()),
            (true, How::Lost) => Err(SpaceError::Lost(why())),
            (true, _) => Err(SpaceError::Failed(why())),
        }
    }

    fn host_step(&self, name: &'static str, undoes: bool) -> Result<(), HostError> {
        Ok(self.space_step(name, undoes)?)
    }
}

impl<G: Ground> Ground for Tripping<G> {
    fn space(&mut self) -> &mut dyn AddressSpace {
        self
    }
    fn host(&mut self) -> &mut dyn Host {
        self
    }
    fn resolver(&mut self) -> &mut dyn Resolver {
        self
    }
}

impl<G: Ground> AddressSpace for Tripping<G> {
    fn id(&self) -> SpaceId {
        self.id
    }
    fn reserve(&mut self, want: &Reserve) -> Result<Region, SpaceError> {
        self.space_step("reserve", false)?;
        let region = self.inner.space().reserve(want)?;
        let known = (region.clone(), 0);
        self.committed.insert(region.start, known);
        Ok(region)
    }
    fn release(&mut self, region: &Region) -> Result<(), SpaceError> {
        self.space_step("release", true)?;
        self.inner.space().release(region)?;
        self.committed.remove(&region.start);
        Ok(())
    }
    fn commit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        self.space_step("commit", false)?;
        self.inner.space().commit(region, length)?;
        let known = self.committed.get_mut(&region.start).expect("reserved");
        known.1 = known.1.max(length);
        Ok(())
    }
    fn decommit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        self.space_step("decommit", true)?;
        self.inner.space().decommit(region, length)?;
        let known = self.committed.get_mut(&region.start).expect("reserved");
        known.1 = known.1.min(length);
        Ok(())
    }
    fn window(&mut self, at: HostAddr, length: u64) -> Option<&mut [u8]> {
        match self.windows {
            true => self.inner.space().window(at, length),
            false => None,
        }
    }
    fn apply(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        self.space_step("apply", false)?;
        self.inner.space().apply(writes)
    }
    fn unshare(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        self.space_step("unshare", false)?;
        self.inner.space().unshare(writes)
    }
    fn is_unshared(&mut self, writes: &[Write<'_>]) -> bool {
        self.inner.space().is_unshared(writes)
    }
    fn read(&mut self, at: HostAddr, into: &mut [u8]) -> Result<(), SpaceError> {
        self.space_step("read", false)?;
        self.inner.space().read(at, into)
    }
    fn seal(&mut self, range: Range<HostAddr>, protection: Protection) -> Result<(), SpaceError> {
        self.space_step("seal", false)?;
        self.inner.space().seal(range, protection)
    }
}

impl<G: Ground> Host for Tripping<G> {
    fn call(&mut self) -> Option<&mut dyn Call> {
        self.inner.host().call()?;
        Some(self)
    }
    fn world(&mut self) -> Option<&mut dyn StopWorld> {
        self.inner.host().world()?;
        Some(self)
    }
    fn thread_locals(&mut self) -> Option<&mut dyn ThreadLocals> {
        self.inner.host().thread_locals()?;
        Some(self)
    }
    fn unwind(&mut self) -> Option<&mut dyn Unwind> {
        self.inner.host().unwind()?;
        Some(self)
    }
}

const THERE: &str = "the method above asked for it";

impl<G: Ground> Call for Tripping<G> {
    fn call(&mut self, function: HostAddr, arguments: &[u64]) -> Result<u64, HostError> {
        let is = |at: fn(&Libgcc) -> HostAddr| self.libgcc.as_ref().map(at) == Some(function);
        let (registers, deregisters) = (
            is(|it| it.register_frame_info),
            is(|it| it.deregister_frame_info),
        );
        let name = match (registers, deregisters, is(|it| it.find_fde)) {
            (true, ..) => "register_frame_info",
            (_, true, _) => "deregister_frame_info",
            (.., true) => "find_fde",
            _ => "call",
        };
        self.host_step(name, deregisters)?;
        self.registered += i64::from(registers) - i64::from(deregisters);
        let call = self.inner.host().call().expect(THERE);
        call.call(function, arguments)
    }
    fn initialise(&mut self, function: HostAddr) -> Result<(), HostError> {
        self.host_step("initialise", false)?;
        let call = self.inner.host().call().expect(THERE);
        call.initialise(function)
    }
    fn at_exit(&mut self, _function: HostAddr) -> Result<(), HostError> {
        // The image is gone when the process exits.
        self.host_step("at_exit", false)
    }
}

impl<G: Ground> StopWorld for Tripping<G> {
    fn stop(&mut self) -> Result<Vec<HostAddr>, HostError> {
        self.host_step("stop", false)?;
        let mut places = self.inner.host().world().expect(THERE).stop()?;
        // In this process there is room: nothing may be allocated here.
        places.extend(self.stands.iter().copied());
        Ok(places)
    }
    fn resume(&mut self) -> Result<(), HostError> {
        // However it is reported, nobody is left standing.
        self.inner.host().world().expect(THERE).resume()?;
        self.host_step("resume", true)
    }
}

impl<G: Ground> ThreadLocals for Tripping<G> {
    fn reserve(&mut self, size: u64, alignment: u64) -> Result<i64, HostError> {
        self.host_step("thread_locals.reserve", false)?;
        let room = self.inner.host().thread_locals().expect(THERE);
        room.reserve(size, alignment)
    }
    fn initialise(&mut self, offset: i64, bytes: &[u8]) -> Result<(), HostError> {
        self.host_step("thread_locals.initialise", false)?;
        let room = self.inner.host().thread_locals().expect(THERE);
        room.initialise(offset, bytes)
    }
    fn release(&mut self, offset: i64) -> Result<(), HostError> {
        self.host_step("thread_locals.release", true)?;
        let room = self.inner.host().thread_locals().expect(THERE);
        room.release(offset)
    }
}

impl<G: Ground> Unwind for Tripping<G> {
    fn libgcc(&mut self) -> Result<Option<Libgcc>, HostError> {
        self.host_step("libgcc", false)?;
        if !self.plain_unwinder {
            self.libgcc = self.inner.host().unwind().expect(THERE).libgcc()?;
        }
        Ok(self.libgcc)
    }
    fn register(&mut self, eh_frame: Range<HostAddr>) -> Result<(), HostError> {
        self.host_step("register", false)?;
        self.inner.host().unwind().expect(THERE).register(eh_frame)
    }
    fn deregister(&mut self, eh_frame: Range<HostAddr>) -> Result<(), HostError> {
        self.host_step("deregister", true)?;
        let unwind = self.inner.host().unwind().expect(THERE);
        unwind.deregister(eh_frame)
    }
}

impl<G: Ground> Resolver for Tripping<G> {
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError> {
        self.host_step("resolve", false)?;
        self.inner.resolver().resolve(wanted)
    }

    fn extents(&mut self, at: &[HostAddr]) -> Result<Vec<Option<Extent>>, HostError> {
        self.host_step("extents", false)?;
        self.inner.resolver().extents(at)
    }
}
