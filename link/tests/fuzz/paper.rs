//! [`Paper`]: a ground that is nobody's memory. Regions are byte vectors at
//! addresses of their own choosing, calls answer with numbers, and each can be
//! made to fail. A publish on it costs no system call, so that millions can be
//! tried.

use std::ops::Range;

use sapwood_link::host::{Call, StopWorld, ThreadLocals, Unwind};
use sapwood_link::{
    AddressSpace, Ground, Host, HostAddr, HostError, Near, Outside, Protection, Region, Reserve,
    Resolver, SpaceError, SpaceId, Wanted, Write,
};

/// See the [module page](self).
pub struct Paper {
    id: SpaceId,
    regions: Vec<(Region, Vec<u8>)>,
    next: u64,
    next_low: u64,
    /// Whether the session sees windows.
    pub windows: bool,
    /// Calls until one fails.
    pub fails_in: Option<usize>,
    /// The call that failed.
    pub failed: Option<&'static str>,
    /// Where threads stand when the world is stopped.
    pub places: Vec<HostAddr>,
    stopped: bool,
    /// Bytes of thread-local storage that are taken.
    pub thread_locals: i64,
    /// Where each block begins, and how much was taken before it.
    blocks: Vec<(i64, i64)>,
}

/// All that a thread has for thread-locals, in bytes.
const THREAD_LOCALS: i64 = 4096;

/// What of a region can be used, in bytes: an object may ask for gigabytes of
/// zeroes, which are the target's and not the session's to have.
const MOST_COMMITTED: u64 = 8 << 20;

impl Paper {
    pub fn new(windows: bool) -> Paper {
        Paper {
            id: SpaceId::fresh(),
            regions: Vec::new(),
            next: 0x7000_0000_0000,
            next_low: 0x1000_0000,
            windows,
            fails_in: None,
            failed: None,
            places: Vec::new(),
            stopped: false,
            thread_locals: 0,
            blocks: Vec::new(),
        }
    }

    /// Every region, and what is committed of it.
    pub fn memory(&self) -> &[(Region, Vec<u8>)] {
        &self.regions
    }

    fn fails(&mut self) -> bool {
        match &mut self.fails_in {
            Some(0) => {
                self.fails_in = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn space_step(&mut self, name: &'static str) -> Result<(), SpaceError> {
        match self.fails() {
            true => {
                self.failed = Some(name);
                Err(SpaceError::Failed(format!("{name} fails")))
            }
            false => Ok(()),
        }
    }

    fn host_step(&mut self, name: &'static str) -> Result<(), HostError> {
        Ok(self.space_step(name)?)
    }

    fn index(&self, region: &Region) -> usize {
        let mut regions = self.regions.iter();
        let index = regions.position(|(known, _)| known == region);
        index.expect("the session asks for regions that it has")
    }

    fn bytes(&mut self, at: HostAddr, length: u64) -> Option<&mut [u8]> {
        let mut regions = self.regions.iter_mut();
        let (region, bytes) = regions.find(|(region, _)| region.range().contains(&at))?;
        let start = at.distance_from(region.start) as usize;
        bytes.get_mut(start..start.checked_add(length as usize)?)
    }
}

impl Ground for Paper {
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

impl AddressSpace for Paper {
    fn id(&self) -> SpaceId {
        self.id
    }
    fn reserve(&mut self, want: &Reserve) -> Result<Region, SpaceError> {
        self.space_step("reserve")?;
        let length = want.length.next_multiple_of(4096);
        let next = match want.near {
            Near::Low => &mut self.next_low,
            Near::Range(ref near) if near.end.get() <= 1 << 31 => &mut self.next_low,
            _ => &mut self.next,
        };
        let start = next.next_multiple_of(want.alignment);
        let end = start + length;
        if want.near == Near::Low && end > 1 << 31 {
            return Err(SpaceError::NoRoom("the low 2 GiB are full".into()));
        }
        if let Near::Range(near) = &want.near {
            let reach = end.max(near.end.get()) - start.min(near.start.get());
            if reach >= 1 << 31 {
                return Err(SpaceError::NoRoom("nothing so near".into()));
            }
        }
        *next = end;
        let region = Region {
            start: HostAddr(start),
            length,
            protection: want.protection,
        };
        self.regions.push((region.clone(), Vec::new()));
        Ok(region)
    }
    fn release(&mut self, region: &Region) -> Result<(), SpaceError> {
        let index = self.index(region);
        self.regions.remove(index);
        Ok(())
    }
    fn commit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        self.space_step("commit")?;
        if length > MOST_COMMITTED {
            return Err(SpaceError::NoRoom(format!("no {length:#x} bytes of paper")));
        }
        let index = self.index(region);
        assert!(length <= region.length);
        let bytes = &mut self.regions[index].1;
        bytes.resize((length as usize).max(bytes.len()), 0);
        Ok(())
    }
    fn decommit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        let index = self.index(region);
        self.regions[index].1.truncate(length as usize);
        Ok(())
    }
    fn window(&mut self, at: HostAddr, length: u64) -> Option<&mut [u8]> {
        match self.windows {
            true => self.bytes(at, length),
            false => None,
        }
    }
    fn apply(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        self.space_step("apply")?;
        for write in writes {
            let into = self.bytes(write.at, write.bytes.len() as u64);
            let into = into.expect("the session writes what it committed");
            into.copy_from_slice(write.bytes);
        }
        Ok(())
    }
    fn read(&mut self, at: HostAddr, into: &mut [u8]) -> Result<(), SpaceError> {
        self.space_step("read")?;
        match self.bytes(at, into.len() as u64) {
            Some(bytes) => into.copy_from_slice(bytes),
            None => return Err(SpaceError::Failed(format!("nothing at {at}"))),
        }
        Ok(())
    }
    fn seal(&mut self, _: Range<HostAddr>, _: Protection) -> Result<(), SpaceError> {
        self.space_step("seal")
    }
}

impl Host for Paper {
    fn call(&mut self) -> Option<&mut dyn Call> {
        Some(self)
    }
    fn world(&mut self) -> Option<&mut dyn StopWorld> {
        Some(self)
    }
    fn thread_locals(&mut self) -> Option<&mut dyn ThreadLocals> {
        Some(self)
    }
    fn unwind(&mut self) -> Option<&mut dyn Unwind> {
        Some(self)
    }
}

impl Call for Paper {
    fn call(&mut self, function: HostAddr, _: &[u64]) -> Result<u64, HostError> {
        self.host_step("call")?;
        Ok(function.get() ^ 1)
    }
    fn at_exit(&mut self, _: HostAddr) -> Result<(), HostError> {
        self.host_step("at_exit")
    }
}

impl StopWorld for Paper {
    fn stop(&mut self) -> Result<Vec<HostAddr>, HostError> {
        self.host_step("stop")?;
        assert!(!self.stopped);
        self.stopped = true;
        Ok(self.places.clone())
    }
    fn resume(&mut self) -> Result<(), HostError> {
        assert!(std::mem::take(&mut self.stopped));
        Ok(())
    }
}

impl ThreadLocals for Paper {
    fn reserve(&mut self, size: u64, alignment: u64) -> Result<i64, HostError> {
        self.host_step("thread-local reserve")?;
        let size = i64::try_from(size)
            .ok()
            .filter(|size| *size <= THREAD_LOCALS);
        let start = (self.thread_locals.cast_unsigned()).next_multiple_of(alignment.min(64));
        let end = size.map(|size| start.cast_signed() + size);
        match end.filter(|end| *end <= THREAD_LOCALS && alignment <= 64) {
            Some(end) => {
                let offset = start.cast_signed() - THREAD_LOCALS;
                self.blocks.push((offset, self.thread_locals));
                self.thread_locals = end;
                Ok(offset)
            }
            None => Err(HostError::Failed("there is no room".into())),
        }
    }
    fn initialise(&mut self, _: i64, _: &[u8]) -> Result<(), HostError> {
        self.host_step("thread-local initialise")
    }
    fn release(&mut self, offset: i64) -> Result<(), HostError> {
        let (last, before) = self.blocks.pop().expect("it was reserved");
        assert_eq!(last, offset, "the last one first");
        self.thread_locals = before;
        Ok(())
    }
}

impl Unwind for Paper {
    fn register(&mut self, _: Range<HostAddr>) -> Result<(), HostError> {
        self.host_step("register")
    }
    fn deregister(&mut self, _: Range<HostAddr>) -> Result<(), HostError> {
        Ok(())
    }
}

impl Resolver for Paper {
    /// Names are known or not by their bytes.
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError> {
        self.host_step("resolve")?;
        let answer = |wanted: &Wanted<'_>| {
            let sum = wanted
                .name
                .bytes()
                .fold(0u64, |sum, byte| sum + u64::from(byte));
            match sum % 64 {
                0 => None,
                1 => Some(Outside::Ifunc(HostAddr(0x7100_0000_0000))),
                2 if wanted.name.len() < 4 => Some(Outside::ThreadOffset(-8)),
                _ => Some(Outside::Address(HostAddr(0x1000 + sum))),
            }
        };
        Ok(wanted.iter().map(answer).collect())
    }
}
