//! [`LocalSpace`]: an image in this process.
//!
//! Code and constants live in memory files mapped twice: executable (or
//! read-only) where the image runs, and writable elsewhere, so that no page is
//! ever writable and executable at one address. Data is private memory, so that
//! a `fork` copies it.
//!
//! After a fork both processes run the code that was there, from the same pages.
//! Neither may disturb the other: the child leaves those regions as they are and
//! publishes into fresh ones, and whoever overwrites published code first gets
//! pages of its own. Forks are noticed without the C library's help, by a page
//! that the kernel wipes in a child.
//!
//! What holds between calls: each region is mapped whole, without a commit
//! charge; both mappings of a memory file are the same length.

use std::ffi::{CStr, c_int};
use std::io;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::addr::HostAddr;
use crate::arena::{self, OwnArena};
use crate::extent::extent;
use crate::fork::{self, Fork};
use crate::gap::{find_gap, parse_maps};
use crate::host::{
    Call, Extent, Host, HostError, Libgcc, Outside, Resolver, StopWorld, ThreadLocals, Unwind,
    Wanted,
};
use crate::space::{AddressSpace, Near, Protection, Region, Reserve, SpaceError, SpaceId, Write};
use crate::stop::{self, Stopped};
use crate::{surplus, table};

/// This process as a place for an image. Dropping it leaves its regions mapped:
/// code may be running there. [`Session::release`](crate::Session::release)
/// unmaps them.
pub struct LocalSpace {
    id: SpaceId,
    regions: Vec<Mapped>,
    fork: Fork,
    /// How code is mapped where it runs.
    sharing: c_int,
}

struct Mapped {
    region: Region,
    /// The writable view's first byte; the region's own for data.
    window: *mut u8,
    /// The memory file, for code and constants.
    file: Option<c_int>,
    /// Pages were asked for ahead of need up to here, counted from the start.
    populated: u64,
    /// The process that made it, as [`Fork::process`] counts them.
    process: u64,
    /// How often this process had forked when the file became its own; nothing
    /// when that was not known.
    forks: Option<u64>,
    /// How it is mapped where it runs.
    sharing: c_int,
}

// SAFETY: the pointers are to mappings of the whole process, which any thread
// may use; access to them goes through `&mut self`.
unsafe impl Send for LocalSpace {}

impl LocalSpace {
    /// This process. Each value is a space of its own.
    #[allow(clippy::new_without_default)]
    pub fn new() -> LocalSpace {
        LocalSpace {
            id: SpaceId::fresh(),
            regions: Vec::new(),
            fork: Fork::watch(),
            sharing: libc::MAP_SHARED,
        }
    }

    /// The same, with code in private pages, so that a debugger of this process
    /// can poke breakpoints into it. What is written into a page afterwards is
    /// not seen where it runs: give each atom of code pages of its own, by its
    /// alignment, and replace none.
    pub fn for_debuggers() -> LocalSpace {
        LocalSpace {
            sharing: libc::MAP_PRIVATE,
            ..LocalSpace::new()
        }
    }

    /// Near the C library, so that code compiled for an executable reaches the
    /// library's data by 32-bit displacements.
    pub fn near_libraries() -> Near {
        let library = HostAddr(libc::malloc as *const () as u64);
        Near::Range(library..library.add(1))
    }

    /// The region that holds a range.
    #[inline]
    fn number_of(&self, at: HostAddr, length: u64) -> Option<usize> {
        let holds = |mapped: &Mapped| {
            let start = mapped.region.start.get();
            let offset = at.get().wrapping_sub(start);
            offset <= mapped.region.length && length <= mapped.region.length - offset
        };
        self.regions.iter().position(holds)
    }

    fn mapped(&self, at: HostAddr, length: u64) -> Option<&Mapped> {
        Some(&self.regions[self.number_of(at, length)?])
    }

    /// The writable view of a range.
    fn view(&mut self, at: HostAddr, length: u64) -> Option<&mut [u8]> {
        let number = self.number_of(at, length)?;
        let mapped = &mut self.regions[number];
        let start = at.distance_from(mapped.region.start) as u64;
        Some(mapped.bytes(start, length))
    }

    /// Maps a region. Another thread may take the gap that was found before it
    /// is mapped, so that is tried a few times.
    fn map(&self, want: &Reserve) -> io::Result<Mapped> {
        let mut tries = 0;
        loop {
            match self.try_map(want) {
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) && tries < 100 => {
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    fn try_map(&self, want: &Reserve) -> io::Result<Mapped> {
        let length = want.length.next_multiple_of(4096) as usize;
        let file = match want.protection {
            Protection::Data => None,
            Protection::Code | Protection::ReadOnly => Some(memory_file(length)?),
        };
        let close = |error| {
            close(file);
            error
        };
        let protection = match want.protection {
            Protection::Code => libc::PROT_READ | libc::PROT_EXEC,
            Protection::ReadOnly => libc::PROT_READ,
            Protection::Data => libc::PROT_READ | libc::PROT_WRITE,
        };
        let start = match &want.near {
            Near::Anywhere => map(None, length, protection, file).map_err(close)?,
            _ => match guess(want, protection, file) {
                Some(start) => start,
                None => {
                    let maps = std::fs::read_to_string("/proc/self/maps").map_err(close)?;
                    let at = find_gap(&parse_maps(&maps), want)
                        .ok_or_else(|| close(io::ErrorKind::AddrNotAvailable.into()))?;
                    map(Some(at), length, protection, file).map_err(close)?
                }
            },
        };
        let window = match file {
            None => start,
            Some(_) => {
                let writable = libc::PROT_READ | libc::PROT_WRITE;
                map(None, length, writable, file).map_err(|error| {
                    unmap(start, length);
                    close(error)
                })?
            }
        };
        let region = Region {
            start: HostAddr(start as u64),
            length: length as u64,
            protection: want.protection,
        };
        let sharing = match want.protection {
            Protection::Code => self.sharing,
            _ => libc::MAP_SHARED,
        };
        if let Some(file) = file
            && sharing == libc::MAP_PRIVATE
        {
            map_over(start, length, protection, file, sharing).map_err(|error| {
                unmap(start, length);
                unmap(window, length);
                close(error)
            })?;
        }
        Ok(Mapped {
            region,
            window,
            file,
            populated: 0,
            process: self.fork.process(),
            forks: fork::count(),
            sharing,
        })
    }
}

impl Mapped {
    /// The writable view of a range of the region.
    #[inline]
    fn bytes(&mut self, start: u64, length: u64) -> &mut [u8] {
        debug_assert!(start + length <= self.region.length);
        // SAFETY: the callers made sure that the range lies in the region, whose
        // window is mapped writable whole. Rust code refers to these bytes only
        // through this view, under `&mut self`; published bytes that image code
        // may be reading at the same time are never given out again by the
        // session.
        unsafe { std::slice::from_raw_parts_mut(self.window.add(start as usize), length as usize) }
    }

    /// Asks for the pages of a range that is about to be written and for some
    /// behind it, in one call in place of a fault for each.
    #[cold]
    fn populate(&mut self, start: u64, length: u64) {
        let from = self.populated.max(start) & !4095;
        let ahead = table::ahead(start as usize) as u64;
        let end = (start + length).max(from + ahead).next_multiple_of(4096);
        let end = end.min(self.region.length);
        // SAFETY: the range lies in the window; populating it changes no byte,
        // and where it fails the pages come one by one.
        unsafe {
            let at = self.window.add(from as usize);
            libc::madvise(at.cast(), (end - from) as usize, libc::MADV_POPULATE_WRITE);
        }
        self.populated = end;
    }

    fn is_written(&self, writes: &[Write<'_>]) -> bool {
        let range = self.region.range();
        let mut writes = writes.iter();
        self.file.is_some() && writes.any(|write| range.contains(&write.at))
    }

    /// Whether a process that was forked may see the memory file too. In a child
    /// the number has changed as well.
    fn may_be_shared(&self) -> bool {
        self.forks.is_none() || self.forks != fork::count()
    }

    /// Puts a copy of the memory file in its place. The bytes are the same, so
    /// code that stands there does not notice.
    fn unshare(&mut self) -> io::Result<()> {
        let length = self.region.length as usize;
        let Some(old) = self.file else { return Ok(()) };
        let file = memory_file(length)?;
        let replaced = copy_file(old, self.window, file).and_then(|()| {
            let access = match self.region.protection {
                Protection::Code => libc::PROT_READ | libc::PROT_EXEC,
                _ => libc::PROT_READ,
            };
            map_over(
                self.window,
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                file,
                libc::MAP_SHARED,
            )?;
            let start = self.region.start.get() as *mut u8;
            map_over(start, length, access, file, self.sharing)
        });
        let unused = if replaced.is_ok() { old } else { file };
        close(Some(unused));
        if replaced.is_ok() {
            self.file = Some(file);
        }
        replaced
    }
}

/// Copies what a sparse memory file holds, read through a mapping of it.
fn copy_file(from: c_int, mapping: *const u8, to: c_int) -> io::Result<()> {
    let mut end = 0;
    loop {
        // SAFETY: system calls on descriptors of ours; what is written is in the
        // mapping, which is as long as the file.
        unsafe {
            let start = libc::lseek(from, end, libc::SEEK_DATA);
            if start < 0 {
                let error = io::Error::last_os_error();
                // No data past `end`.
                return match error.raw_os_error() {
                    Some(libc::ENXIO) => Ok(()),
                    _ => Err(error),
                };
            }
            end = libc::lseek(from, start, libc::SEEK_HOLE);
            let mut at = start;
            while at < end {
                let bytes = mapping.add(at as usize).cast();
                let written = libc::pwrite(to, bytes, (end - at) as usize, at);
                if written <= 0 {
                    return Err(io::Error::last_os_error());
                }
                at += written as i64;
            }
        }
    }
}

/// Maps a file in the place of a mapping of this module's.
fn map_over(
    start: *mut u8,
    length: usize,
    access: c_int,
    file: c_int,
    sharing: c_int,
) -> io::Result<()> {
    let flags = sharing | libc::MAP_NORESERVE | libc::MAP_FIXED;
    // SAFETY: the range is a mapping of this module's, whose bytes stay the same.
    let mapped = unsafe { libc::mmap(start.cast(), length, access, flags, file, 0) };
    match mapped == libc::MAP_FAILED {
        true => Err(io::Error::last_os_error()),
        false => Ok(()),
    }
}

/// Maps a region that is to lie in reach of a range at one of the places below
/// it, if one is free: the kernel says so much faster than its list of mappings
/// is read, which a process that starts does not want to wait for.
fn guess(want: &Reserve, protection: c_int, file: Option<c_int>) -> Option<*mut u8> {
    /// Regions come with others of the same length beside them.
    const PLACES: u64 = 4;
    let Near::Range(range) = &want.near else {
        return None;
    };
    let length = want.length.next_multiple_of(4096);
    (0..PLACES).find_map(|place| {
        // Whether that is in reach of all of the range, `find_gap` knows.
        let taken = range.start.get().checked_sub(place * length)?..range.start.get();
        let at =
            find_gap(std::slice::from_ref(&taken), want).filter(|at| at.get() < taken.start)?;
        map(Some(at), length as usize, protection, file).ok()
    })
}

/// A fresh, sparse memory file.
fn memory_file(length: usize) -> io::Result<c_int> {
    const NAME: &CStr = c"sapwood-image";
    // SAFETY: memfd_create reads a NUL-terminated name and makes a descriptor.
    let file = unsafe { libc::memfd_create(NAME.as_ptr(), libc::MFD_CLOEXEC) };
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    let grown = with_long_files(length as u64, || {
        // SAFETY: `file` is a descriptor of ours.
        match unsafe { libc::ftruncate(file, length as libc::off_t) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    });
    if let Err(error) = grown {
        close(Some(file));
        return Err(error);
    }
    Ok(file)
}

/// Makes a file of this process's longer. What its user allows for files
/// (`ulimit -f`) counts for those in memory too, and who goes beyond is killed;
/// it is not meant for us.
fn with_long_files(length: u64, grow: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel fills `limit`.
    unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    if limit.rlim_cur >= length {
        return grow();
    }
    let raised = libc::rlimit {
        rlim_cur: length,
        rlim_max: limit.rlim_max.max(length),
    };
    // SAFETY: the kernel reads the limits.
    unsafe {
        if libc::setrlimit(libc::RLIMIT_FSIZE, &raised) < 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let grown = grow();
        libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
        grown
    }
}

fn close(file: Option<c_int>) {
    if let Some(file) = file {
        // SAFETY: `file` is a descriptor of ours, closed once.
        unsafe { libc::close(file) };
    }
}

/// Maps `length` bytes of a memory file, or of private memory, at `at` if it is
/// free, or anywhere.
fn map(
    at: Option<HostAddr>,
    length: usize,
    protection: c_int,
    file: Option<c_int>,
) -> io::Result<*mut u8> {
    let mut flags = libc::MAP_NORESERVE;
    flags |= if file.is_some() {
        libc::MAP_SHARED
    } else {
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS
    };
    if at.is_some() {
        flags |= libc::MAP_FIXED_NOREPLACE;
    }
    let hint = at.map_or(ptr::null_mut(), |at| at.get() as *mut libc::c_void);
    // SAFETY: without MAP_FIXED the kernel never replaces a mapping that is
    // there, so no memory that anyone uses changes.
    let start = unsafe { libc::mmap(hint, length, protection, flags, file.unwrap_or(-1), 0) };
    if start == libc::MAP_FAILED {
        Err(io::Error::last_os_error())
    } else {
        Ok(start.cast())
    }
}

fn unmap(start: *mut u8, length: usize) {
    // SAFETY: callers pass a mapping of this module's that nothing uses any
    // more: a failed reservation, or one the session released.
    unsafe { libc::munmap(start.cast(), length) };
}

impl AddressSpace for LocalSpace {
    fn id(&self) -> SpaceId {
        self.id
    }

    fn reserve(&mut self, want: &Reserve) -> Result<Region, SpaceError> {
        let mapped = self.map(want).map_err(|error| {
            let Reserve { length, near, .. } = want;
            SpaceError::NoRoom(format!("{length:#x} bytes, {near:?}: {error}"))
        })?;
        let region = mapped.region.clone();
        self.regions.push(mapped);
        Ok(region)
    }

    fn release(&mut self, region: &Region) -> Result<(), SpaceError> {
        let Some(index) = self
            .regions
            .iter()
            .position(|mapped| mapped.region == *region)
        else {
            return Err(SpaceError::Failed(format!("no region at {}", region.start)));
        };
        let mapped = self.regions.swap_remove(index);
        let length = region.length as usize;
        unmap(region.start.get() as *mut u8, length);
        if mapped.file.is_some() {
            unmap(mapped.window, length);
            close(mapped.file);
        }
        Ok(())
    }

    fn grows(&self, region: &Region) -> bool {
        let mapped = self.regions.iter().find(|mapped| mapped.region == *region);
        mapped.is_some_and(|mapped| mapped.file.is_none() || mapped.process == self.fork.process())
    }

    fn unshare(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        for mapped in &mut self.regions {
            if mapped.is_written(writes) && mapped.may_be_shared() {
                let forks = fork::count();
                mapped.unshare().map_err(|error| {
                    SpaceError::Failed(format!("cannot give a forked process its code: {error}"))
                })?;
                mapped.forks = forks;
            }
        }
        Ok(())
    }

    fn is_unshared(&mut self, writes: &[Write<'_>]) -> bool {
        let mut written = self
            .regions
            .iter()
            .filter(|mapped| mapped.is_written(writes));
        written.all(|mapped| !mapped.may_be_shared())
    }

    fn commit(&mut self, _region: &Region, _length: u64) -> Result<(), SpaceError> {
        // Regions are mapped whole; pages come when they are touched.
        Ok(())
    }

    fn decommit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        let rest = region.length - length;
        if let Some(number) = self.number_of(region.start, region.length) {
            let populated = &mut self.regions[number].populated;
            *populated = (*populated).min(length);
        }
        if let Some(bytes) = self.view(region.start.add(length), rest) {
            let page = length.next_multiple_of(4096) - length;
            let (partial, whole) = bytes.split_at_mut(page.min(rest) as usize);
            partial.fill(0);
            // SAFETY: `whole` is page-aligned memory of a region of ours, which
            // MADV_REMOVE and MADV_DONTNEED turn back into zeroes.
            unsafe {
                let advice = match region.protection {
                    Protection::Data => libc::MADV_DONTNEED,
                    Protection::Code | Protection::ReadOnly => libc::MADV_REMOVE,
                };
                libc::madvise(whole.as_mut_ptr().cast(), whole.len(), advice);
            }
        }
        Ok(())
    }

    fn window(&mut self, at: HostAddr, length: u64) -> Option<&mut [u8]> {
        let number = self.number_of(at, length)?;
        let mapped = &mut self.regions[number];
        let start = at.distance_from(mapped.region.start) as u64;
        if start + length > mapped.populated {
            mapped.populate(start, length);
        }
        Some(mapped.bytes(start, length))
    }

    fn apply(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        for write in writes {
            let length = write.bytes.len() as u64;
            if self.mapped(write.at, length).is_none() {
                return Err(SpaceError::Failed(format!("no region at {}", write.at)));
            }
        }
        for write in writes {
            let window = self.window(write.at, write.bytes.len() as u64);
            window.expect("checked above").copy_from_slice(write.bytes);
        }
        Ok(())
    }

    fn redirect(&mut self, cell: HostAddr, to: HostAddr) -> Result<(), SpaceError> {
        let mapped = self.mapped(cell, 8);
        let cells = mapped.and_then(|mapped| Cells::of(&mapped.region));
        // SAFETY: the region stays mapped while `self` is borrowed.
        cells
            .is_some_and(|cells| unsafe { cells.redirect(cell, to) })
            .then_some(())
            .ok_or_else(|| SpaceError::Failed(format!("no word of data at {cell}")))
    }

    fn read(&mut self, at: HostAddr, into: &mut [u8]) -> Result<(), SpaceError> {
        if let Some(window) = self.view(at, into.len() as u64) {
            into.copy_from_slice(window);
            return Ok(());
        }
        // Of the rest of the process what is readable is read, and what is not
        // is an error and no fault.
        let len = into.len();
        let local = libc::iovec {
            iov_base: into.as_mut_ptr().cast(),
            iov_len: len,
        };
        let remote = libc::iovec {
            iov_base: at.get() as *mut libc::c_void,
            iov_len: len,
        };
        // SAFETY: it writes to `into` only.
        let read = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
        if usize::try_from(read) == Ok(len) {
            Ok(())
        } else {
            Err(SpaceError::Failed(format!(
                "no {len} bytes to read at {at}"
            )))
        }
    }
}

/// The indirection cells in a region of this process, for whoever moves code often
/// and from many threads: [`Session::redirect`](crate::Session::redirect) without
/// the session, by the same single store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cells(Range<HostAddr>);

impl Cells {
    /// Those of a region of data; nothing for another.
    pub fn of(region: &Region) -> Option<Cells> {
        (region.protection == Protection::Data).then(|| Cells(region.range()))
    }

    /// Points a cell elsewhere. False, and nothing is changed, when it is no aligned
    /// word of the region.
    ///
    /// # Safety
    /// The region is one of this process's that has not been released, and the word
    /// lies in data that was published there. While it may be used as a cell, nobody
    /// accesses it but in single accesses.
    #[inline]
    pub unsafe fn redirect(&self, cell: HostAddr, to: HostAddr) -> bool {
        let room = self.0.end.get().wrapping_sub(cell.get());
        if !self.0.contains(&cell) || room < 8 || !cell.get().is_multiple_of(8) {
            return false;
        }
        // SAFETY: an aligned word of a region of data, which the caller keeps
        // mapped, writable at its own address.
        let cell = unsafe { AtomicU64::from_ptr(cell.get() as *mut u64) };
        cell.store(to.get(), Ordering::Release);
        true
    }
}

/// This process as a host and a resolver: functions are called on the calling
/// thread, names are those the dynamic linker knows.
pub struct LocalHost {
    arena: OwnArena,
    stopped: Option<Stopped>,
}

impl LocalHost {
    /// This process.
    ///
    /// # Safety
    /// Whatever is published with this host runs in this process, initialisers
    /// at once: the caller vouches for its code.
    pub unsafe fn new() -> LocalHost {
        LocalHost {
            arena: OwnArena,
            stopped: None,
        }
    }
}

impl Host for LocalHost {
    fn call(&mut self) -> Option<&mut dyn Call> {
        Some(self)
    }
    fn world(&mut self) -> Option<&mut dyn StopWorld> {
        Some(self)
    }
    fn thread_locals(&mut self) -> Option<&mut dyn ThreadLocals> {
        Some(&mut self.arena)
    }
    fn unwind(&mut self) -> Option<&mut dyn Unwind> {
        Some(self)
    }
}

impl Call for LocalHost {
    fn call(&mut self, function: HostAddr, arguments: &[u64]) -> Result<u64, HostError> {
        assert!(arguments.len() <= 6, "six integer arguments at most");
        let argument = |i: usize| arguments.get(i).copied().unwrap_or(0);
        type Function = extern "C" fn(u64, u64, u64, u64, u64, u64) -> u64;
        // SAFETY: whoever made this host vouched for the code it publishes; the
        // C ABI lets a callee ignore arguments it does not take.
        let function =
            unsafe { std::mem::transmute::<*const (), Function>(function.get() as *const ()) };
        Ok(function(
            argument(0),
            argument(1),
            argument(2),
            argument(3),
            argument(4),
            argument(5),
        ))
    }

    fn at_exit(&mut self, function: HostAddr) -> Result<(), HostError> {
        // SAFETY: as in `call`; atexit keeps the pointer until exit, and an
        // image's addresses stay good for the life of the process.
        let failed = unsafe {
            libc::atexit(std::mem::transmute::<*const (), extern "C" fn()>(
                function.get() as *const (),
            ))
        };
        if failed != 0 {
            Err(HostError::Failed("atexit failed".into()))
        } else {
            Ok(())
        }
    }
}

/// Every thread but the calling one, by a signal; see [`stop`](crate::stop).
impl StopWorld for LocalHost {
    fn stop(&mut self) -> Result<Vec<HostAddr>, HostError> {
        let stopped = stop::stop();
        let (stopped, places) = stopped.map_err(|error| HostError::Failed(error.to_string()))?;
        self.stopped = Some(stopped);
        Ok(places.found)
    }

    fn resume(&mut self) -> Result<(), HostError> {
        self.stopped = None;
        Ok(())
    }
}

unsafe extern "C" {
    fn __register_frame(begin: *const u8);
    fn __deregister_frame(begin: *const u8);
    fn __register_frame_info(begin: *const u8, object: *mut u8);
    fn __deregister_frame_info(begin: *const u8) -> *mut u8;
    fn _Unwind_Find_FDE(pc: *const u8, bases: *mut u8) -> *const u8;
}

impl Unwind for LocalHost {
    fn libgcc(&mut self) -> Result<Option<Libgcc>, HostError> {
        let at = |function: *const ()| HostAddr(function as u64);
        Ok(Some(Libgcc {
            register_frame_info: at(__register_frame_info as *const ()),
            deregister_frame_info: at(__deregister_frame_info as *const ()),
            find_fde: at(_Unwind_Find_FDE as *const ()),
        }))
    }

    fn register(&mut self, eh_frame: std::ops::Range<HostAddr>) -> Result<(), HostError> {
        // SAFETY: the session registers whole, relocated sections of its image
        // that end with a zero terminator and stay mapped.
        unsafe { __register_frame(eh_frame.start.get() as *const u8) };
        Ok(())
    }

    fn deregister(&mut self, eh_frame: std::ops::Range<HostAddr>) -> Result<(), HostError> {
        // SAFETY: the session deregisters only what it registered.
        unsafe { __deregister_frame(eh_frame.start.get() as *const u8) };
        Ok(())
    }
}

impl Resolver for LocalHost {
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError> {
        wanted.iter().map(lookup).collect()
    }

    fn extents(&mut self, at: &[HostAddr]) -> Result<Vec<Option<Extent>>, HostError> {
        Ok(at.iter().copied().map(extent).collect())
    }
}

fn lookup(wanted: &Wanted<'_>) -> Result<Option<Outside>, HostError> {
    let Ok(name) = std::ffi::CString::new(wanted.name) else {
        return Ok(None);
    };
    let offset = match wanted.thread_local {
        true => surplus::offsets(&[&name]).map_err(|why| no_offset(wanted.name, &why))?,
        false => vec![None],
    };
    let offset = offset[0].map(Outside::ThreadOffset);
    Ok(offset.or_else(|| found(&name, wanted)))
}

/// Why a library's thread-local cannot be referred to.
pub(crate) fn no_offset(name: &str, why: &str) -> HostError {
    let why = format!("`{name}` is a library's thread-local without a place of its own: {why}");
    HostError::Failed(why)
}

/// What the dynamic linker finds.
fn found(name: &CStr, wanted: &Wanted<'_>) -> Option<Outside> {
    let version = wanted
        .version
        .and_then(|version| std::ffi::CString::new(version).ok());
    let find = || {
        // SAFETY: both look-ups read NUL-terminated strings and change nothing but
        // the thread's dlerror state.
        let found = unsafe {
            match &version {
                Some(version) => libc::dlvsym(libc::RTLD_DEFAULT, name.as_ptr(), version.as_ptr()),
                None => libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()),
            }
        };
        found as i64
    };
    let found = find();
    if found == 0 {
        return None;
    }
    if is_in_a_library(found as *mut _) {
        return Some(Outside::Address(HostAddr(found as u64)));
    }
    // What lies in no library is a thread-local of the calling thread. Only
    // where it lies at the same offset in another thread can code be bound to
    // that offset.
    let offset = found.wrapping_sub(arena::thread_pointer());
    let there = std::thread::scope(|scope| {
        let other = scope.spawn(|| find().wrapping_sub(arena::thread_pointer()));
        other.join().ok()
    });
    (there == Some(offset)).then_some(Outside::ThreadOffset(offset))
}

fn is_in_a_library(address: *mut libc::c_void) -> bool {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: it fills in the structure, which is not read.
    unsafe { libc::dladdr(address, info.as_mut_ptr()) != 0 }
}
