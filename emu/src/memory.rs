//! [`GuestMemory`]: the guest's address space, inside one reservation of ours.
//!
//! ```text
//! host   |  guard  | guest 0 … limit                           |  guard  |
//!        |  4 GiB  | base                                      |  4 GiB  |
//! ```
//!
//! Guest address `a` is host address `base + a`. The whole reservation is
//! mapped without access from the start, and whatever the guest maps is laid
//! over it, so that no host allocation can ever fall between guest pages. A
//! guest address at or past [`GuestMemory::limit`] is refused here, and every
//! structure or buffer that the host's kernel is handed begins below the limit:
//! the guard behind is larger than the largest transfer the kernel makes, so a
//! length, however wrong, runs into the guard and gives `EFAULT`.
//!
//! What holds between calls:
//! * the reservation never shrinks: unmapping puts inaccessible pages back;
//! * no guest page is executable on the host, whatever the guest asked for
//!   ([`Ranges`] knows, and the translator asks [`GuestMemory::fetch`]);
//! * the lowest 64 KiB are never mapped;
//! * [`Ranges`] and the host's page tables agree but for execution.
//!
//! The typed accessors ([`GuestMemory::read`], [`GuestMemory::c_string`], …)
//! are for system calls: they go through the kernel (`process_vm_readv` on
//! ourselves), so that a bad pointer, a page past the end of a file or a page
//! that another guest thread unmaps at this moment is `EFAULT` and never a
//! fault of ours. Translated code does not come here; it adds the base.

mod mapping;
mod plain;
mod ranges;

use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::ir::Size;

pub use mapping::{Changed, Map, Placement, Source};
pub use plain::Plain;
pub(crate) use plain::{bytes_of, bytes_of_mut, bytes_of_slice, bytes_of_slice_mut, plain_structs};
pub use ranges::{Attributes, BackingFile, Kind, Ranges};

/// Bytes in a page, of the guest and of the host.
pub const PAGE_SIZE: u64 = 4096;

/// Guest addresses below this are never mapped, so that a null pointer with a
/// small offset faults (the kernel's `vm.mmap_min_addr`).
pub const LOWEST_ADDRESS: u64 = 64 << 10;

/// Inaccessible bytes before and after the guest's addresses. More than
/// `MAX_RW_COUNT` (2 GiB less a page), the most that one system call moves.
const GUARD: u64 = 4 << 30;

/// A path longer than this, its zero byte counted, is refused by Linux.
const PATH_MAX: usize = 4096;

/// What may be done with a page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Protection(u8);

impl Protection {
    /// Nothing at all.
    pub const NONE: Protection = Protection(0);
    /// Reading.
    pub const READ: Protection = Protection(libc::PROT_READ as u8);
    /// Reading and writing.
    pub const READ_WRITE: Protection = Protection((libc::PROT_READ | libc::PROT_WRITE) as u8);
    /// Reading and executing.
    pub const READ_EXECUTE: Protection = Protection((libc::PROT_READ | libc::PROT_EXEC) as u8);

    /// The protection that `PROT_…` bits ask for; `None` if a bit is unknown.
    pub fn from_bits(bits: u64) -> Option<Protection> {
        let known = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as u64;
        (bits & !known == 0).then_some(Protection(bits as u8))
    }

    /// The protection given piece by piece.
    pub fn new(read: bool, write: bool, execute: bool) -> Protection {
        Protection(u8::from(read) | u8::from(write) << 1 | u8::from(execute) << 2)
    }

    /// Whether reading is allowed. Whoever may write or execute may read too
    /// on the host, but this says what was asked for.
    pub fn read(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether writing is allowed.
    pub fn write(self) -> bool {
        self.0 & 2 != 0
    }

    /// Whether executing is allowed.
    pub fn execute(self) -> bool {
        self.0 & 4 != 0
    }

    /// The host's protection for a guest page of this one: never executable,
    /// and readable where the guest may execute, because we read its code.
    fn host_bits(self) -> i32 {
        let mut bits = i32::from(self.0) & (libc::PROT_READ | libc::PROT_WRITE);
        if self.execute() {
            bits |= libc::PROT_READ;
        }
        bits
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |allowed, letter| if allowed { letter } else { '-' };
        write!(
            f,
            "{}{}{}",
            letter(self.read(), 'r'),
            letter(self.write(), 'w'),
            letter(self.execute(), 'x')
        )
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Rounds up to whole pages; `None` when that overflows.
pub fn page_up(bytes: u64) -> Option<u64> {
    Some(bytes.checked_add(PAGE_SIZE - 1)? & !(PAGE_SIZE - 1))
}

/// Rounds down to a page.
pub const fn page_down(address: u64) -> u64 {
    address & !(PAGE_SIZE - 1)
}

/// One guest's address space. Shared by its threads.
pub struct GuestMemory {
    base: *mut u8,
    size: u64,
    layout: Mutex<Layout>,
}

/// What changes as the guest maps and unmaps.
struct Layout {
    ranges: Ranges,
    /// `mmap` without an address looks for room below this.
    mmap_top: u64,
    heap: Heap,
}

/// Where in guest memory a file is whose code is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CodeFile {
    /// The address that the file's first byte has, or would have if all of it
    /// were mapped like its code.
    pub base: GuestAddr,
    /// Where the page is that tells it from other files: its first, or if that
    /// is not there the first of its code.
    pub page: GuestAddr,
}

impl Layout {
    fn code_file(&self, range: &Range<u64>, attributes: &Attributes) -> Option<CodeFile> {
        let Attributes {
            protection,
            shared: false,
            kind: Kind::File(file, offset),
        } = attributes
        else {
            return None;
        };
        if !protection.execute() || protection.write() {
            return None;
        }
        let base = range.start.checked_sub(*offset)?;
        let first = self.ranges.at(base).filter(|(range, attributes)| {
            let Kind::File(other, start) = &attributes.kind else {
                return false;
            };
            other == file && start + (base - range.start) == 0
        });
        Some(CodeFile {
            base: GuestAddr(base),
            page: GuestAddr(if first.is_some() { base } else { range.start }),
        })
    }
}

/// The area that `brk` grows.
#[derive(Clone, Copy, Default)]
struct Heap {
    start: u64,
    end: u64,
}

// SAFETY: `base` is the address of a reservation that lives as long as the
// value; all reads and writes through it go through the kernel or are the
// guest's own, and the tables are behind a lock.
unsafe impl Send for GuestMemory {}
// SAFETY: as above.
unsafe impl Sync for GuestMemory {}

impl GuestMemory {
    /// Reserves `size` bytes of address space for a guest, a power of two of
    /// at least 4 GiB. When the host refuses so much, half is tried, and so
    /// on down to 4 GiB; [`limit`](Self::limit) says what was got.
    pub fn new(size: u64) -> Result<GuestMemory, Errno> {
        assert!(
            size.is_power_of_two() && size >= 4 << 30,
            "a guest needs 4 GiB of addresses or more"
        );
        let mut size = size;
        loop {
            match mapping::reserve(size + 2 * GUARD) {
                Ok(start) => {
                    let layout = Layout {
                        ranges: Ranges::default(),
                        mmap_top: size - PAGE_SIZE,
                        heap: Heap::default(),
                    };
                    let base = start.wrapping_add(GUARD as usize);
                    return Ok(GuestMemory {
                        base,
                        size,
                        layout: Mutex::new(layout),
                    });
                }
                Err(_) if size > 4 << 30 => size /= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// The host address of guest address 0. Translated code adds it to each
    /// guest address that it has found to be below [`limit`](Self::limit).
    pub fn base(&self) -> u64 {
        self.base as u64
    }

    /// The first guest address that does not exist, a power of two.
    pub fn limit(&self) -> u64 {
        self.size
    }

    /// The guest address that `host` is, if it lies in guest memory: for a
    /// fault handler that was given a host address.
    pub fn guest_of(&self, host: u64) -> Option<GuestAddr> {
        let offset = host.wrapping_sub(self.base as u64);
        (offset < self.size).then_some(GuestAddr(offset))
    }

    /// The host address to hand to the kernel for a guest pointer. Null stays
    /// null; an address outside becomes one in the guard, where the kernel
    /// finds nothing, so that the error and its order among others are its.
    pub fn host_pointer(&self, address: GuestAddr) -> u64 {
        match address.0 {
            0 => 0,
            inside if inside < self.size => self.base as u64 + inside,
            _ => self.base as u64 + self.size,
        }
    }

    /// The host address of `length` guest bytes at `address`, which need not be
    /// mapped. `EFAULT` when a byte lies outside guest memory.
    pub fn host_range(&self, address: GuestAddr, length: u64) -> Result<u64, Errno> {
        let end = address.0.checked_add(length).ok_or(Errno::EFAULT)?;
        if end > self.size {
            Err(Errno::EFAULT)
        } else {
            Ok(self.base as u64 + address.0)
        }
    }

    /// Copies guest bytes out; all of them or `EFAULT`.
    pub fn read_into(&self, address: GuestAddr, into: &mut [u8]) -> Result<(), Errno> {
        let length = into.len();
        if self.read_some(address, into)? == length {
            Ok(())
        } else {
            Err(Errno::EFAULT)
        }
    }

    /// Copies as many guest bytes as can be read without a break, at least one
    /// unless `into` is empty.
    pub fn read_some(&self, address: GuestAddr, into: &mut [u8]) -> Result<usize, Errno> {
        let length = (into.len() as u64).min(self.size.saturating_sub(address.0)) as usize;
        if into.is_empty() {
            return Ok(0);
        }
        mapping::copy_in(
            self.base.wrapping_add(address.0 as usize),
            &mut into[..length],
        )
    }

    /// Copies `length` guest bytes out. The caller has bounded `length`.
    pub fn read_bytes(&self, address: GuestAddr, length: usize) -> Result<Vec<u8>, Errno> {
        self.host_range(address, length as u64)?;
        let mut bytes = vec![0; length];
        self.read_into(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Copies bytes into guest memory, as the guest itself could write them.
    /// `EFAULT` may come after a part was written.
    pub fn write_bytes(&self, address: GuestAddr, bytes: &[u8]) -> Result<(), Errno> {
        self.host_range(address, bytes.len() as u64)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let done = mapping::copy_out(bytes, self.base.wrapping_add(address.0 as usize))?;
        if done == bytes.len() {
            Ok(())
        } else {
            Err(Errno::EFAULT)
        }
    }

    /// Reads one value.
    pub fn read<T: Plain>(&self, address: GuestAddr) -> Result<T, Errno> {
        let mut value = T::ZERO;
        self.read_into(address, plain::bytes_of_mut(&mut value))?;
        Ok(value)
    }

    /// Writes one value.
    pub fn write<T: Plain>(&self, address: GuestAddr, value: &T) -> Result<(), Errno> {
        self.write_bytes(address, plain::bytes_of(value))
    }

    /// Reads `count` values that lie one after another. The caller has bounded
    /// `count`.
    pub fn read_array<T: Plain>(&self, address: GuestAddr, count: usize) -> Result<Vec<T>, Errno> {
        let length = (count as u64)
            .checked_mul(size_of::<T>() as u64)
            .ok_or(Errno::EFAULT)?;
        self.host_range(address, length)?;
        let mut values = vec![T::ZERO; count];
        self.read_into(address, plain::bytes_of_slice_mut(&mut values))?;
        Ok(values)
    }

    /// Reads a string up to its zero byte, which is left out. Longer than
    /// `limit` bytes, zero byte counted, is `None`.
    pub fn c_string_within(
        &self,
        address: GuestAddr,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Errno> {
        let mut string = Vec::new();
        let mut at = address.0;
        while string.len() < limit {
            let to_page_end = (PAGE_SIZE - at % PAGE_SIZE) as usize;
            let mut piece = [0; 256];
            let length = to_page_end.min(piece.len()).min(limit - string.len());
            let got = self.read_some(GuestAddr(at), &mut piece[..length])?;
            if let Some(end) = piece[..got].iter().position(|&byte| byte == 0) {
                string.extend_from_slice(&piece[..end]);
                return Ok(Some(string));
            }
            string.extend_from_slice(&piece[..got]);
            at += got as u64;
        }
        Ok(None)
    }

    /// Reads a path; `ENAMETOOLONG` from 4,096 bytes on.
    pub fn c_string(&self, address: GuestAddr) -> Result<Vec<u8>, Errno> {
        self.c_string_within(address, PATH_MAX)?
            .ok_or(Errno::ENAMETOOLONG)
    }

    /// Copies code for the translator: bytes from `address` on, as long as they
    /// may be executed, at most `into.len()`. Zero means that the guest faults
    /// when it executes there.
    pub fn fetch(&self, address: GuestAddr, into: &mut [u8]) -> usize {
        let wanted = address.0..address.0.saturating_add(into.len() as u64).min(self.size);
        if wanted.start >= wanted.end {
            return 0;
        }
        let reached = {
            let layout = self.layout();
            let mut reached = wanted.start;
            for (part, attributes) in layout.ranges.within(wanted.clone()) {
                if part.start != reached || !attributes.protection.execute() {
                    break;
                }
                reached = part.end;
            }
            reached
        };
        let length = (reached - wanted.start) as usize;
        self.read_directly(address, &mut into[..length])
    }

    /// Reads without a system call, as code does that is translated: it is read
    /// a piece at a time. Gives how many bytes there were.
    fn read_directly(&self, address: GuestAddr, into: &mut [u8]) -> usize {
        crate::fault::install();
        let base = self.base as u64 + address.0;
        let (mut done, mut by_byte) = (0, false);
        while done < into.len() {
            by_byte |= into.len() - done < 8;
            let size = if by_byte { Size::B1 } else { Size::B8 };
            // SAFETY: the address is in guest memory, because the caller bounded
            // the length by its ranges, and the handler is installed.
            let value = match unsafe { crate::fault::load(size, base + done as u64) } {
                Ok(value) => value,
                Err(_) if by_byte => break,
                Err(_) => {
                    by_byte = true;
                    continue;
                }
            };
            let count = size.bytes() as usize;
            into[done..done + count].copy_from_slice(&value.to_le_bytes()[..count]);
            done += count;
        }
        done
    }

    /// Whether the guest may execute at `address`, and up to where: the end of
    /// the range that holds it.
    pub fn executable_until(&self, address: GuestAddr) -> Option<GuestAddr> {
        let layout = self.layout();
        let (range, attributes) = layout.ranges.at(address.0)?;
        attributes
            .protection
            .execute()
            .then_some(GuestAddr(range.end))
    }

    /// Where translations of the code at `address` could be kept from one run to
    /// the next: if it comes from a file and cannot be written. The range around
    /// the address is given in any case.
    pub fn code_at(&self, address: GuestAddr) -> Option<(Range<u64>, Option<CodeFile>)> {
        let layout = self.layout();
        let (range, attributes) = layout.ranges.at(address.0)?;
        let file = layout.code_file(&range, attributes);
        Some((range, file))
    }

    /// The file that is mapped at an address, and the offset in it.
    pub fn file_at(&self, address: GuestAddr) -> Option<(std::path::PathBuf, u64)> {
        let layout = self.layout();
        let (range, attributes) = layout.ranges.at(address.0)?;
        match &attributes.kind {
            Kind::File(file, offset) => {
                Some((file.path.clone(), offset + (address.0 - range.start)))
            }
            _ => None,
        }
    }

    /// Every range of code that comes from a file.
    pub fn code_files(&self) -> Vec<(Range<u64>, CodeFile)> {
        let layout = self.layout();
        let ranges = layout.ranges.iter();
        let files = ranges.filter_map(|(range, attributes)| {
            let file = layout.code_file(&range, attributes)?;
            Some((range, file))
        });
        files.collect()
    }

    /// The range, if any of it may be executed: what translations of it become
    /// stale when its contents change behind the guest's back.
    pub fn code_within(&self, address: GuestAddr, length: u64) -> Option<Range<GuestAddr>> {
        let end = address.0.saturating_add(length).min(self.size);
        if address.0 >= end || !self.layout().ranges.any_executable(address.0..end) {
            return None;
        }
        Some(address..GuestAddr(end))
    }

    /// What the guest may do at `address`; `None` where nothing is mapped. The
    /// difference is `SEGV_ACCERR` against `SEGV_MAPERR`.
    pub fn protection_at(&self, address: GuestAddr) -> Option<Protection> {
        self.layout()
            .ranges
            .at(address.0)
            .map(|(_, attributes)| attributes.protection)
    }

    /// A copy of the map as it is now, for `/proc/self/maps`.
    pub fn snapshot(&self) -> Ranges {
        self.layout().ranges.clone()
    }

    /// Takes the lock of the tables, so that a fork finds it free in the child:
    /// hold what this returns across the fork.
    pub fn freeze(&self) -> Frozen<'_> {
        Frozen {
            _layout: self.layout(),
        }
    }

    fn layout(&self) -> MutexGuard<'_, Layout> {
        // A panic while the lock was held is a bug that has already been told.
        self.layout
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Guest memory whose map nobody changes while this lives.
pub struct Frozen<'a> {
    _layout: MutexGuard<'a, Layout>,
}

impl Drop for GuestMemory {
    fn drop(&mut self) {
        mapping::release(
            self.base.wrapping_sub(GUARD as usize),
            self.size + 2 * GUARD,
        );
    }
}

#[cfg(test)]
mod tests;
