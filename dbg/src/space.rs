//! A stopped process as an image's ground: [`AddressSpace`], [`Host`] and
//! [`Resolver`] of `sapwood-link`, made of [`Target`].
//!
//! Pages are private and anonymous, reserved without memory and made usable by
//! system calls in the name of the stopped thread; bytes go through the
//! target's memory, so that breakpoints stay laid over them. What runs in the
//! process is those system calls, and what makes new code known to its runtime
//! (the unwinder; resolvers of indirect functions), called on the thread while
//! all others stand still. Initialisers are kept, and called by the debugger
//! once breakpoints know the new code.

use std::ops::Range;
use std::time::Duration;

use sapwood_link::host::{Call, StopWorld, Unwind};
use sapwood_link::{
    AddressSpace, Host, HostAddr, HostError, Libgcc, Protection, Region, Reserve, SpaceError,
    SpaceId, Write, gap,
};

use crate::call::{self, Alarm, MachineCall};
use crate::interrupt::Interrupter;
use crate::target::{Address, Target, TargetError, ThreadId};

/// Bytes in a page.
const PAGE: u64 = 4096;
/// How often another place is tried when the kernel refuses one.
const TRIES: usize = 8;

/// How long a call that tells the runtime of new code may take: it needs a lock
/// of the runtime, which a stopped thread may hold.
const QUIET_TIME: Duration = Duration::from_secs(2);

const MAP_FLAGS: u64 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as u64;

/// A stopped process's address space. The thread lends its name to system
/// calls.
pub struct ProcessSpace<'t> {
    /// The process.
    pub target: &'t mut dyn Target,
    /// The thread.
    pub thread: ThreadId,
    /// The space's identity, the same for the process's life.
    pub id: SpaceId,
    /// Functions that a batch wants called, in order.
    pub calls: Vec<Deferred>,
    /// How functions are called at once; nothing where they cannot be.
    pub quiet: Option<QuietCalls>,
    /// The process's unwinder, if it is libgcc's.
    pub libgcc: Option<Libgcc>,
    /// Every pc and return address of the stopped threads, where somebody looked.
    pub world: Option<Vec<HostAddr>>,
}

/// What calling a function at once takes.
pub struct QuietCalls {
    /// Where it returns to.
    pub returns_to: Address,
    /// A breakpoint stands there already.
    pub stands: bool,
    /// Who ends one that takes too long.
    pub interrupter: Interrupter,
}

/// A call that a batch asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deferred {
    /// Call this function now.
    Now(HostAddr),
    /// Have it called when the program exits.
    AtExit(HostAddr),
}

fn space_error(error: TargetError) -> SpaceError {
    match error {
        TargetError::Gone(why) => SpaceError::Lost(why),
        other => SpaceError::Failed(other.to_string()),
    }
}

fn protection_bits(protection: Protection) -> u64 {
    let bits = match protection {
        Protection::Code => libc::PROT_READ | libc::PROT_EXEC,
        Protection::ReadOnly => libc::PROT_READ,
        Protection::Data => libc::PROT_READ | libc::PROT_WRITE,
    };
    bits as u64
}

fn up(length: u64) -> u64 {
    length.next_multiple_of(PAGE)
}

impl ProcessSpace<'_> {
    fn syscall(&mut self, number: i64, arguments: [u64; 6]) -> Result<u64, SpaceError> {
        let Some(syscalls) = self.target.syscalls() else {
            return Err(SpaceError::Failed(
                "this target takes no new code".to_owned(),
            ));
        };
        let result = syscalls
            .syscall(self.thread, number, arguments)
            .map_err(space_error)?;
        if (-4095..0).contains(&result) {
            let error = std::io::Error::from_raw_os_error(-result as i32);
            return Err(SpaceError::Failed(format!("the process: {error}")));
        }
        Ok(result as u64)
    }

    fn map_nothing(&mut self, at: u64, length: u64, fixed: i32) -> Result<u64, SpaceError> {
        self.syscall(
            libc::SYS_mmap,
            [
                at,
                length,
                libc::PROT_NONE as u64,
                MAP_FLAGS | fixed as u64,
                u64::MAX,
                0,
            ],
        )
    }

    /// Puts zeros where some writes may have gone.
    fn undo(&mut self, writes: &[Write<'_>], error: TargetError) -> SpaceError {
        for write in writes {
            let zeros = vec![0; write.bytes.len()];
            if self.target.write(Address(write.at.get()), &zeros).is_err() {
                return SpaceError::Lost(error.to_string());
            }
        }
        space_error(error)
    }
}

impl AddressSpace for ProcessSpace<'_> {
    fn id(&self) -> SpaceId {
        self.id
    }

    fn reserve(&mut self, want: &Reserve) -> Result<Region, SpaceError> {
        let length = up(want.length);
        let mut taken: Vec<Range<u64>> = self
            .target
            .mappings()
            .map_err(space_error)?
            .iter()
            .map(|m| m.start.0..m.end.0)
            .collect();
        for _ in 0..TRIES {
            let Some(at) = gap::find_gap(&taken, want) else {
                break;
            };
            let fixed = libc::MAP_FIXED_NOREPLACE;
            match self.map_nothing(at.get(), length, fixed) {
                Ok(start) if start == at.get() => {
                    return Ok(Region {
                        start: at,
                        length,
                        protection: want.protection,
                    });
                }
                // An old kernel took the address as a hint.
                Ok(elsewhere) => {
                    self.syscall(libc::SYS_munmap, [elsewhere, length, 0, 0, 0, 0])?;
                }
                Err(lost @ SpaceError::Lost(_)) => return Err(lost),
                Err(_) => {}
            }
            taken.push(at.get()..at.get() + length);
            taken.sort_by_key(|range| range.start);
        }
        Err(SpaceError::NoRoom(format!(
            "{length:#x} bytes in the process, {:?}",
            want.near
        )))
    }

    fn release(&mut self, region: &Region) -> Result<(), SpaceError> {
        let (at, length) = (region.start.get(), region.length);
        self.syscall(libc::SYS_munmap, [at, length, 0, 0, 0, 0])?;
        Ok(())
    }

    fn commit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        let bits = protection_bits(region.protection);
        let (at, length) = (region.start.get(), up(length));
        self.syscall(libc::SYS_mprotect, [at, length, bits, 0, 0, 0])?;
        Ok(())
    }

    fn decommit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        let keep = up(length);
        if keep < region.length {
            let at = region.start.get() + keep;
            self.map_nothing(at, region.length - keep, libc::MAP_FIXED)?;
        }
        let rest = vec![0; (keep - length) as usize];
        if !rest.is_empty() {
            let at = Address(region.start.get() + length);
            self.target.write(at, &rest).map_err(space_error)?;
        }
        Ok(())
    }

    fn window(&mut self, _: HostAddr, _: u64) -> Option<&mut [u8]> {
        None
    }

    fn apply(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        let mut index = 0;
        while index < writes.len() {
            // Neighbours go in one piece.
            let first = writes[index];
            let mut bytes = first.bytes.to_vec();
            let mut next = index + 1;
            while next < writes.len() && writes[next].at == first.at.add(bytes.len() as u64) {
                bytes.extend_from_slice(writes[next].bytes);
                next += 1;
            }
            if let Err(error) = self.target.write(Address(first.at.get()), &bytes) {
                return Err(self.undo(&writes[..next], error));
            }
            index = next;
        }
        Ok(())
    }

    fn read(&mut self, at: HostAddr, into: &mut [u8]) -> Result<(), SpaceError> {
        self.target
            .read(Address(at.get()), into)
            .map_err(space_error)
    }
}

impl ProcessSpace<'_> {
    /// Calls a function on the thread at once, telling nobody.
    fn call_now(&mut self, function: HostAddr, arguments: &[u64]) -> Result<u64, HostError> {
        let Some(quiet) = &self.quiet else {
            let why = "this program has no entry point for a call to return to";
            return Err(HostError::Failed(why.to_owned()));
        };
        let call = MachineCall {
            function: Address(function.get()),
            integers: arguments.to_vec(),
            ..MachineCall::default()
        };
        let mut alarm = Alarm::default();
        alarm.start(QUIET_TIME, &quiet.interrupter);
        let (at, stands) = (quiet.returns_to, quiet.stands);
        let returned = call::quietly(self.target, self.thread, &call, at, stands);
        alarm.stop();
        match returned {
            Ok(result) => Ok(result.integers[0]),
            Err(TargetError::Gone(why)) => Err(HostError::Lost(why)),
            Err(error) => Err(HostError::Faulted(error.to_string())),
        }
    }
}

impl Host for ProcessSpace<'_> {
    fn call(&mut self) -> Option<&mut dyn Call> {
        Some(self)
    }

    fn world(&mut self) -> Option<&mut dyn StopWorld> {
        self.world.is_some().then_some(self)
    }

    fn unwind(&mut self) -> Option<&mut dyn Unwind> {
        self.libgcc.is_some().then_some(self)
    }
}

impl Call for ProcessSpace<'_> {
    fn call(&mut self, function: HostAddr, arguments: &[u64]) -> Result<u64, HostError> {
        self.call_now(function, arguments)
    }

    fn initialise(&mut self, function: HostAddr) -> Result<(), HostError> {
        self.calls.push(Deferred::Now(function));
        Ok(())
    }

    fn at_exit(&mut self, function: HostAddr) -> Result<(), HostError> {
        self.calls.push(Deferred::AtExit(function));
        Ok(())
    }
}

/// All threads are stopped already, and stay so.
impl StopWorld for ProcessSpace<'_> {
    fn stop(&mut self) -> Result<Vec<HostAddr>, HostError> {
        Ok(self.world.clone().unwrap_or_default())
    }

    fn resume(&mut self) -> Result<(), HostError> {
        Ok(())
    }
}

impl Unwind for ProcessSpace<'_> {
    fn libgcc(&mut self) -> Result<Option<Libgcc>, HostError> {
        Ok(self.libgcc)
    }

    // A libgcc that does not take the session's array is not told of each
    // batch: that costs a call each, and every throw becomes slower.
    fn register(&mut self, _: Range<HostAddr>) -> Result<(), HostError> {
        Err(HostError::Failed(
            "the program's libgcc is one that this linker does not know: exceptions do not cross \
             the new code"
                .to_owned(),
        ))
    }

    fn deregister(&mut self, _: Range<HostAddr>) -> Result<(), HostError> {
        Ok(())
    }
}
