//! Mapping, unmapping and protecting guest pages, and copying in and out.
//!
//! Each operation here changes the host's page tables and [`Ranges`] together,
//! under the one lock. An operation that takes executable pages away says so
//! ([`Changed::stale`]), because translations of them may exist; forgetting
//! those is its caller's part, for this file knows nothing of translations.

use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::Arc;

use super::ranges::{Attributes, BackingFile, Kind};
use super::{GuestMemory, LOWEST_ADDRESS, Layout, PAGE_SIZE, Protection, page_down, page_up};
use crate::addr::GuestAddr;
use crate::errno::Errno;

/// Where a mapping should lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// Wherever there is room.
    Anywhere,
    /// Here if the pages are free, else wherever there is room.
    Hint(GuestAddr),
    /// Here, in place of whatever is there.
    Fixed(GuestAddr),
    /// Here, or `EEXIST`.
    FixedIfFree(GuestAddr),
}

/// What a mapping shows.
#[derive(Clone, Debug)]
pub enum Source {
    /// Zeroed memory, recorded under this kind.
    Anonymous(Kind),
    /// A file from `offset` on, which is a multiple of the page size.
    File {
        /// An open descriptor of the host.
        fd: RawFd,
        /// Bytes from the start of the file.
        offset: u64,
        /// How `/proc/self/maps` names it.
        backing: Arc<BackingFile>,
    },
}

/// A request to map pages.
#[derive(Clone, Debug)]
pub struct Map {
    /// Where.
    pub placement: Placement,
    /// Bytes; rounded up to pages.
    pub length: u64,
    /// What the guest may do with them.
    pub protection: Protection,
    /// Whether other processes that map the same see the writes.
    pub shared: bool,
    /// Further `MAP_…` bits for the host's kernel: `MAP_NORESERVE`,
    /// `MAP_POPULATE` and their like, nothing that says where or what.
    pub host_flags: i32,
    /// What is mapped.
    pub source: Source,
}

/// What an operation on the map did.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "translations of stale code must be forgotten"]
pub struct Changed {
    /// The first address of what is mapped now; where nothing is, the address
    /// that was asked for.
    pub address: GuestAddr,
    /// Guest code that is no longer what or where it was.
    pub stale: Option<Range<GuestAddr>>,
}

impl GuestMemory {
    /// Maps pages, as `mmap` does.
    pub fn map(&self, request: &Map) -> Result<Changed, Errno> {
        if request.length == 0 {
            return Err(Errno::EINVAL);
        }
        let length = page_up(request.length)
            .filter(|&length| length <= self.size)
            .ok_or(Errno::ENOMEM)?;
        let mut layout = self.layout();
        let start = self.place(&layout, request.placement, length)?;
        let stale = self.map_at(&mut layout, start..start + length, request)?;
        Ok(Changed {
            address: GuestAddr(start),
            stale,
        })
    }

    /// Unmaps every page that `length` bytes from `address` touch.
    pub fn unmap(&self, address: GuestAddr, length: u64) -> Result<Changed, Errno> {
        let range = self.whole_pages(address, length)?;
        let mut layout = self.layout();
        if range.is_empty() {
            return Err(Errno::EINVAL);
        }
        let stale = stale_part(&layout, &range);
        self.take_away(&range)?;
        layout.ranges.remove(range);
        Ok(Changed { address, stale })
    }

    /// Changes what the guest may do with pages. `ENOMEM` when a page is not
    /// mapped, after those before it were changed, as Linux does.
    pub fn protect(
        &self,
        address: GuestAddr,
        length: u64,
        protection: Protection,
    ) -> Result<Changed, Errno> {
        let range = self
            .whole_pages(address, length)
            .map_err(|error| match error {
                Errno::EINVAL if address.0.is_multiple_of(PAGE_SIZE) => Errno::ENOMEM,
                other => other,
            })?;
        let mut layout = self.layout();
        let reached = layout.ranges.mapped_prefix(range.clone());
        let done = range.start..reached;
        let mut stale = None;
        if !done.is_empty() {
            stale = stale_part(&layout, &done);
            // SAFETY: the range lies in our reservation and holds guest pages
            // only, on which nothing of ours depends.
            check(unsafe {
                libc::mprotect(
                    self.host(done.start),
                    length_of(&done),
                    protection.host_bits(),
                )
            })?;
            layout.ranges.protect(done, protection);
        }
        if reached == range.end {
            Ok(Changed { address, stale })
        } else {
            Err(Errno::ENOMEM)
        }
    }

    /// Resizes or moves a mapping, as `mremap` does with `flags`
    /// (`MREMAP_…` bits) and, with `MREMAP_FIXED`, a `target`.
    pub fn remap(
        &self,
        address: GuestAddr,
        old_length: u64,
        new_length: u64,
        flags: i32,
        target: GuestAddr,
    ) -> Result<Changed, Errno> {
        let fixed = flags & libc::MREMAP_FIXED != 0;
        let may_move = flags & libc::MREMAP_MAYMOVE != 0;
        let keep = flags & libc::MREMAP_DONTUNMAP != 0;
        let known = libc::MREMAP_FIXED | libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP;
        if flags & !known != 0
            || ((fixed || keep) && !may_move)
            || old_length == 0
            || new_length == 0
        {
            return Err(Errno::EINVAL);
        }
        let old = self.whole_pages(address, old_length)?;
        let new_length = page_up(new_length)
            .filter(|&length| length <= self.size)
            .ok_or(Errno::ENOMEM)?;
        if keep && new_length != old.end - old.start {
            return Err(Errno::EINVAL);
        }
        let mut layout = self.layout();
        if !layout.ranges.covers(old.clone()) {
            return Err(Errno::EFAULT);
        }
        if !fixed && !keep {
            if let Some(changed) = self.resize_in_place(&mut layout, &old, new_length)? {
                return Ok(changed);
            }
            if !may_move {
                return Err(Errno::ENOMEM);
            }
        }
        let placement = if fixed {
            Placement::Fixed(target)
        } else {
            Placement::Anywhere
        };
        let start = self.place(&layout, placement, new_length)?;
        let new = start..start + new_length;
        if new.start < old.end && old.start < new.end {
            return Err(Errno::EINVAL);
        }
        self.move_mapping(&mut layout, old, new, keep)
    }

    /// Attaches a System V segment of `length` bytes, as `shmat` does.
    pub fn attach_segment(
        &self,
        segment: i32,
        length: u64,
        placement: Placement,
        read_only: bool,
    ) -> Result<Changed, Errno> {
        let length = page_up(length)
            .filter(|&length| length <= self.size)
            .ok_or(Errno::ENOMEM)?;
        let mut layout = self.layout();
        let start = self.place(&layout, placement, length)?;
        let range = start..start + length;
        let stale = stale_part(&layout, &range);
        let flags = libc::SHM_REMAP | if read_only { libc::SHM_RDONLY } else { 0 };
        // SAFETY: the segment, whose length the caller knows, goes over pages
        // of our reservation, where nothing but guest pages is ever mapped.
        let got = unsafe { libc::shmat(segment, self.host(start), flags) };
        if got != self.host(start) {
            return Err(Errno::last());
        }
        let protection = if read_only {
            Protection::READ
        } else {
            Protection::READ_WRITE
        };
        let attributes = Attributes {
            protection,
            shared: true,
            kind: Kind::Segment(segment),
        };
        layout.ranges.insert(range, attributes);
        Ok(Changed {
            address: GuestAddr(start),
            stale,
        })
    }

    /// Detaches the System V segment that begins at `address`, as `shmdt` does.
    pub fn detach_segment(&self, address: GuestAddr) -> Result<Changed, Errno> {
        let range = {
            let layout = self.layout();
            let found = layout.ranges.at(address.0);
            let is_one = |(range, attributes): &(Range<u64>, &Attributes)| {
                range.start == address.0 && matches!(attributes.kind, Kind::Segment(_))
            };
            found
                .filter(is_one)
                .map(|(range, _)| range)
                .ok_or(Errno::EINVAL)?
        };
        self.unmap(address, range.end - range.start)
    }

    /// Where the heap begins: page-aligned, past the program's own pages.
    pub fn set_heap(&self, start: GuestAddr) {
        let start = page_up(start.0).expect("a loaded program ends inside guest memory");
        self.layout().heap = super::Heap { start, end: start };
    }

    /// Moves the end of the heap, as `brk` does: gives the end that now is,
    /// which is the old one when the new one cannot be had.
    pub fn set_break(&self, wanted: GuestAddr) -> Changed {
        let mut layout = self.layout();
        let heap = layout.heap;
        let unchanged = Changed {
            address: GuestAddr(heap.end),
            stale: None,
        };
        if wanted.0 < heap.start || wanted.0 >= self.size {
            return unchanged;
        }
        let (old_top, new_top) = (page_up(heap.end), page_up(wanted.0));
        let (Some(old_top), Some(new_top)) = (old_top, new_top) else {
            return unchanged;
        };
        let mut stale = None;
        if new_top > old_top {
            let grown = old_top..new_top;
            if !layout.ranges.is_free(grown.clone()) || self.grow_heap(&mut layout, grown).is_err()
            {
                return unchanged;
            }
        } else if new_top < old_top {
            let shed = new_top..old_top;
            stale = stale_part(&layout, &shed);
            if self.take_away(&shed).is_err() {
                return unchanged;
            }
            layout.ranges.remove(shed);
        }
        layout.heap.end = wanted.0;
        Changed {
            address: wanted,
            stale,
        }
    }

    /// Keeps `mmap` without an address below `top`.
    pub fn set_mmap_top(&self, top: GuestAddr) {
        self.layout().mmap_top = page_down(top.0);
    }

    /// Whether every page of the range is mapped: what `msync`, `mlock` and
    /// `madvise` require.
    pub fn is_mapped(&self, address: GuestAddr, length: u64) -> bool {
        self.whole_pages(address, length)
            .is_ok_and(|range| self.layout().ranges.covers(range))
    }

    fn grow_heap(&self, layout: &mut Layout, grown: Range<u64>) -> Result<(), Errno> {
        let request = Map {
            placement: Placement::Fixed(GuestAddr(grown.start)),
            length: grown.end - grown.start,
            protection: Protection::READ_WRITE,
            shared: false,
            host_flags: 0,
            source: Source::Anonymous(Kind::Heap),
        };
        self.map_at(layout, grown, &request).map(drop)
    }

    /// The whole pages that `length` bytes from `address` touch.
    fn whole_pages(&self, address: GuestAddr, length: u64) -> Result<Range<u64>, Errno> {
        if !address.0.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let end = page_up(length).and_then(|length| address.0.checked_add(length));
        end.filter(|&end| end <= self.size)
            .map(|end| address.0..end)
            .ok_or(Errno::EINVAL)
    }

    /// Finds where `length` bytes, whole pages, go.
    fn place(&self, layout: &Layout, placement: Placement, length: u64) -> Result<u64, Errno> {
        let anywhere = || {
            let found =
                layout
                    .ranges
                    .highest_gap(length, LOWEST_ADDRESS, layout.mmap_top, PAGE_SIZE);
            found.ok_or(Errno::ENOMEM)
        };
        match placement {
            Placement::Anywhere => anywhere(),
            Placement::Hint(GuestAddr(hint)) => {
                let start = page_down(hint);
                let fits = start >= LOWEST_ADDRESS
                    && start
                        .checked_add(length)
                        .is_some_and(|end| end <= self.size);
                let free = fits && layout.ranges.is_free(start..start + length);
                if free { Ok(start) } else { anywhere() }
            }
            Placement::Fixed(GuestAddr(start)) | Placement::FixedIfFree(GuestAddr(start)) => {
                if start % PAGE_SIZE != 0 {
                    return Err(Errno::EINVAL);
                }
                let end = start
                    .checked_add(length)
                    .filter(|&end| end <= self.size)
                    .ok_or(Errno::ENOMEM)?;
                if start < LOWEST_ADDRESS {
                    return Err(Errno::EPERM);
                }
                let taken = matches!(placement, Placement::FixedIfFree(_))
                    && !layout.ranges.is_free(start..end);
                if taken { Err(Errno::EEXIST) } else { Ok(start) }
            }
        }
    }

    /// Maps exactly `range`, in place of whatever is there; gives the stale code.
    fn map_at(
        &self,
        layout: &mut Layout,
        range: Range<u64>,
        request: &Map,
    ) -> Result<Option<Range<GuestAddr>>, Errno> {
        let (fd, offset, kind, anonymous) = match &request.source {
            Source::Anonymous(kind) => (-1, 0, kind.clone(), libc::MAP_ANONYMOUS),
            Source::File {
                fd,
                offset,
                backing,
            } => (*fd, *offset, Kind::File(backing.clone(), *offset), 0),
        };
        let sharing = if request.shared {
            libc::MAP_SHARED
        } else {
            libc::MAP_PRIVATE
        };
        let flags = request.host_flags | sharing | anonymous | libc::MAP_FIXED;
        let offset = libc::off_t::try_from(offset).map_err(|_| Errno(libc::EOVERFLOW))?;
        let stale = stale_part(layout, &range);
        let host = self.host(range.start);
        // SAFETY: the range lies in our reservation, of which nothing but
        // guest pages is ever mapped, so nothing of ours is replaced.
        let got = unsafe {
            libc::mmap(
                host,
                length_of(&range),
                request.protection.host_bits(),
                flags,
                fd,
                offset,
            )
        };
        if got == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let attributes = Attributes {
            protection: request.protection,
            shared: request.shared,
            kind,
        };
        layout.ranges.insert(range, attributes);
        Ok(stale)
    }

    /// Shrinks a mapping, or grows it where it lies if the pages behind it are
    /// free. `None` when it has to move.
    fn resize_in_place(
        &self,
        layout: &mut Layout,
        old: &Range<u64>,
        new_length: u64,
    ) -> Result<Option<Changed>, Errno> {
        let address = GuestAddr(old.start);
        let new_end = old.start.checked_add(new_length).ok_or(Errno::ENOMEM)?;
        if new_end <= old.end {
            let shed = new_end..old.end;
            let stale = stale_part(layout, &shed);
            if !shed.is_empty() {
                self.take_away(&shed)?;
                layout.ranges.remove(shed);
            }
            return Ok(Some(Changed { address, stale }));
        }
        let (_, attributes) = layout
            .ranges
            .at(old.end - 1)
            .expect("the caller found it mapped");
        let growable = attributes.kind == Kind::Anonymous && !attributes.shared;
        if !growable || new_end > self.size || !layout.ranges.is_free(old.end..new_end) {
            return Ok(None);
        }
        let request = anonymous_like(attributes);
        self.map_at(layout, old.end..new_end, &request)?;
        Ok(Some(Changed {
            address,
            stale: None,
        }))
    }

    /// Moves the mapping at `old` to `new`, growing or shrinking it.
    ///
    /// Pages leave `old` only by having others laid over them, so that no
    /// other thread's allocation can slip into the gap.
    fn move_mapping(
        &self,
        layout: &mut Layout,
        old: Range<u64>,
        new: Range<u64>,
        keep: bool,
    ) -> Result<Changed, Errno> {
        let stale = stale_part(layout, &old).or_else(|| stale_part(layout, &new));
        let (whole, attributes) = layout
            .ranges
            .at(old.start)
            .expect("the caller found it mapped");
        if whole.end < old.end {
            return Err(Errno::EFAULT);
        }
        let attributes = attributes.clone();
        let common = (old.end - old.start).min(new.end - new.start);
        let moved = old.start..old.start + common;
        let grows = new.end - new.start > common;
        if grows && (attributes.shared || attributes.kind != Kind::Anonymous) {
            self.move_at_once(&old, &new)?;
            layout.ranges.relocate(old, new.start);
            let (part, tail) = (new.start + common, attributes);
            let tail = tail_attributes(layout, part, tail);
            layout.ranges.insert(part..new.end, tail);
        } else {
            self.move_pages(&moved, new.start, &attributes)?;
            if keep {
                layout.ranges.remove(new.clone());
                layout.ranges.insert(new.clone(), attributes.clone());
            } else {
                self.take_away(&old)?;
                layout.ranges.relocate(moved.clone(), new.start);
                layout.ranges.remove(old.clone());
            }
            if grows {
                self.map_at(
                    layout,
                    new.start + common..new.end,
                    &anonymous_like(&attributes),
                )?;
            }
        }
        Ok(Changed {
            address: GuestAddr(new.start),
            stale,
        })
    }

    /// Moves pages and leaves `from` mapped and empty. When the host keeps
    /// them as several mappings and will not move them in one, they are copied.
    fn move_pages(&self, from: &Range<u64>, to: u64, attributes: &Attributes) -> Result<(), Errno> {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
        let length = length_of(from);
        // SAFETY: both ranges lie in our reservation and hold guest pages only.
        let got =
            unsafe { libc::mremap(self.host(from.start), length, length, flags, self.host(to)) };
        if got != libc::MAP_FAILED {
            return Ok(());
        }
        if attributes.shared || attributes.kind != Kind::Anonymous {
            return Err(Errno::last());
        }
        self.copy_pages(from, to, attributes.protection)
    }

    fn copy_pages(&self, from: &Range<u64>, to: u64, protection: Protection) -> Result<(), Errno> {
        let length = length_of(from);
        let (source, target) = (self.host(from.start), self.host(to));
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: both ranges lie in our reservation and hold guest pages only;
        // the copy is made by the kernel, which reports a fault instead of
        // taking one.
        unsafe {
            let got = libc::mmap(
                target,
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                -1,
                0,
            );
            if got == libc::MAP_FAILED {
                return Err(Errno::last());
            }
            check(libc::mprotect(
                source,
                length,
                protection.host_bits() | libc::PROT_READ,
            ))?;
            let mut done = 0;
            while done < length {
                let local = libc::iovec {
                    iov_base: target.add(done),
                    iov_len: length - done,
                };
                let remote = libc::iovec {
                    iov_base: source.add(done),
                    iov_len: length - done,
                };
                match libc::process_vm_readv(this_thread(), &local, 1, &remote, 1, 0) {
                    count if count > 0 => done += count as usize,
                    _ => return Err(Errno::last()),
                }
            }
            check(libc::mprotect(target, length, protection.host_bits()))
        }
    }

    /// Moves and grows a mapping that only the kernel can grow (of a file, or
    /// shared), then closes the gap that it leaves.
    fn move_at_once(&self, old: &Range<u64>, new: &Range<u64>) -> Result<(), Errno> {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: both ranges lie in our reservation and hold guest pages only.
        let got = unsafe {
            libc::mremap(
                self.host(old.start),
                length_of(old),
                length_of(new),
                flags,
                self.host(new.start),
            )
        };
        if got == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        // SAFETY: MAP_FIXED_NOREPLACE replaces nothing.
        let closed = unsafe {
            reserve_at(
                self.host(old.start),
                length_of(old),
                libc::MAP_FIXED_NOREPLACE,
            )
        };
        assert!(
            closed,
            "another mapping slipped into guest memory at {:#x}",
            old.start
        );
        Ok(())
    }

    /// Puts inaccessible pages where guest pages are.
    fn take_away(&self, range: &Range<u64>) -> Result<(), Errno> {
        // SAFETY: the range lies in our reservation and holds guest pages only.
        let done = unsafe { reserve_at(self.host(range.start), length_of(range), libc::MAP_FIXED) };
        if done { Ok(()) } else { Err(Errno::last()) }
    }

    fn host(&self, address: u64) -> *mut c_void {
        debug_assert!(address <= self.size);
        self.base.wrapping_add(address as usize).cast()
    }
}

/// The executable part of `range`, if any of it is.
fn stale_part(layout: &Layout, range: &Range<u64>) -> Option<Range<GuestAddr>> {
    layout
        .ranges
        .any_executable(range.clone())
        .then_some(GuestAddr(range.start)..GuestAddr(range.end))
}

/// A request for more pages of an anonymous private mapping.
fn anonymous_like(attributes: &Attributes) -> Map {
    Map {
        placement: Placement::Anywhere,
        length: 0,
        protection: attributes.protection,
        shared: false,
        host_flags: 0,
        source: Source::Anonymous(attributes.kind.clone()),
    }
}

/// The attributes of what the kernel added behind a mapping that now ends at
/// `end`: the file goes on where the mapping stopped.
fn tail_attributes(layout: &Layout, end: u64, mut attributes: Attributes) -> Attributes {
    if let Some((range, before)) = layout.ranges.at(end - 1)
        && let (Kind::File(_, offset), Kind::File(_, start)) = (&mut attributes.kind, &before.kind)
    {
        *offset = start + (end - range.start);
    }
    attributes
}

fn length_of(range: &Range<u64>) -> usize {
    (range.end - range.start) as usize
}

fn check(result: i32) -> Result<(), Errno> {
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::last())
    }
}

/// This thread, to name this process's memory by: the process's own number
/// names its first thread, which may have ended before the others.
fn this_thread() -> libc::pid_t {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// Lays inaccessible pages that cost nothing at an address.
///
/// # Safety
/// With `MAP_FIXED`, nothing that is needed lies in the range.
unsafe fn reserve_at(host: *mut c_void, length: usize, fixed: i32) -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | fixed;
    // SAFETY: the caller's promise.
    unsafe { libc::mmap(host, length, libc::PROT_NONE, flags, -1, 0) == host }
}

/// Reserves `length` bytes of inaccessible addresses anywhere.
pub(super) fn reserve(length: u64) -> Result<*mut u8, Errno> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: without MAP_FIXED nothing that exists is touched.
    let got = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length as usize,
            libc::PROT_NONE,
            flags,
            -1,
            0,
        )
    };
    if got == libc::MAP_FAILED {
        Err(Errno::last())
    } else {
        Ok(got.cast())
    }
}

/// Gives a reservation back.
pub(super) fn release(start: *mut u8, length: u64) {
    // SAFETY: only `GuestMemory::drop` calls this, with what `reserve` gave;
    // no guest thread runs any more, for each holds the memory alive.
    let result = unsafe { libc::munmap(start.cast(), length as usize) };
    assert_eq!(
        result,
        0,
        "a reservation can be given back: {}",
        io::Error::last_os_error()
    );
}

/// Copies guest bytes to `into`, up to the first page that cannot be read.
pub(super) fn copy_in(from: *mut u8, into: &mut [u8]) -> Result<usize, Errno> {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: from.cast(),
        iov_len: into.len(),
    };
    // SAFETY: the kernel writes at most `into.len()` bytes to `into`, and
    // checks the other side itself.
    transferred(unsafe { libc::process_vm_readv(this_thread(), &local, 1, &remote, 1, 0) })
}

/// Copies bytes to guest pages, up to the first that cannot be written.
pub(super) fn copy_out(bytes: &[u8], to: *mut u8) -> Result<usize, Errno> {
    let local = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: to.cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: the kernel reads at most `bytes.len()` bytes of `bytes`; `to`
    // lies in the reservation, where only guest pages are writable.
    transferred(unsafe { libc::process_vm_writev(this_thread(), &local, 1, &remote, 1, 0) })
}

fn transferred(count: isize) -> Result<usize, Errno> {
    match count {
        count if count > 0 => Ok(count as usize),
        _ => Err(Errno::EFAULT),
    }
}
