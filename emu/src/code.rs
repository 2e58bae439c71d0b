//! [`CodeSpace`]: where translated code and its indirection cells live.
//!
//! One reservation holds both, so that code reaches cells relative to the
//! instruction pointer, with an inaccessible gap between them, so that they
//! never share a page. Code is a memory file mapped twice: executable where it
//! runs, writable elsewhere, and never both at one address. Published code is
//! never written again; what changes is the cells. Cells are private memory, so
//! that after a fork each side links its own code.

use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sapwood_link::HostAddr;

use crate::enter;
use crate::fault::{self, Registration};

/// Bytes for code. An engine that fills them begins a new space.
const CODE_BYTES: usize = 64 << 20;

/// Bytes for cells, 8 each.
const CELL_BYTES: usize = 16 << 20;

/// Bytes between the two.
const GAP_BYTES: usize = 1 << 20;

/// Code begins at multiples of this.
const ALIGNMENT: usize = 16;

/// A bounded piece of address space for translated code.
#[derive(Debug)]
pub struct CodeSpace {
    mapping: Arc<Mapping>,
    used: usize,
    cells: usize,
}

/// The memory of a [`CodeSpace`], which is unmapped when the last share of it
/// goes. Who runs its code holds a share.
#[derive(Debug)]
pub struct Mapping {
    reservation: u64,
    /// The writable view of the code.
    view: u64,
    /// Makes host faults in the code the guest's.
    registration: Option<Registration>,
}

/// The space is full.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

const CODE_START: usize = CELL_BYTES + GAP_BYTES;

impl Mapping {
    fn new() -> io::Result<Mapping> {
        let total = CODE_START + CODE_BYTES;
        // SAFETY: new anonymous memory at an address the kernel chooses.
        let reservation = check(unsafe {
            libc::mmap(
                ptr::null_mut(),
                total,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        })?;
        let mut mapping = Mapping {
            reservation,
            view: 0,
            registration: None,
        };
        mapping.map()?;
        let code = mapping.code_start()..mapping.code_start() + CODE_BYTES as u64;
        mapping.registration = Some(fault::register(code, enter::landing()));
        Ok(mapping)
    }

    fn map(&mut self) -> io::Result<()> {
        let cells = self.reservation as *mut libc::c_void;
        // SAFETY: the beginning of our own reservation.
        if unsafe { libc::mprotect(cells, CELL_BYTES, libc::PROT_READ | libc::PROT_WRITE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the name is a C string; the call has no other requirement.
        let file = unsafe { libc::memfd_create(c"sapwood-code".as_ptr(), libc::MFD_CLOEXEC) };
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        let mapped = self.map_file(file);
        // SAFETY: `file` is ours and not used afterwards.
        unsafe { libc::close(file) };
        mapped
    }

    fn map_file(&mut self, file: i32) -> io::Result<()> {
        // SAFETY: `file` is an open memory file.
        if unsafe { libc::ftruncate(file, CODE_BYTES as libc::off_t) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        let code = self.code_start() as *mut libc::c_void;
        // SAFETY: the code part of our own reservation, which is replaced.
        check(unsafe {
            let protection = libc::PROT_READ | libc::PROT_EXEC;
            libc::mmap(
                code,
                CODE_BYTES,
                protection,
                flags | libc::MAP_FIXED,
                file,
                0,
            )
        })?;
        // SAFETY: a new mapping at an address the kernel chooses.
        self.view = check(unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(ptr::null_mut(), CODE_BYTES, protection, flags, file, 0)
        })?;
        Ok(())
    }

    fn code_start(&self) -> u64 {
        self.reservation + CODE_START as u64
    }
}

impl CodeSpace {
    /// An empty space.
    pub fn new() -> io::Result<CodeSpace> {
        Ok(CodeSpace {
            mapping: Arc::new(Mapping::new()?),
            used: 0,
            cells: 0,
        })
    }

    /// A share of the memory, to hold while its code runs.
    pub fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// The addresses of all code there can be.
    pub fn code(&self) -> std::ops::Range<u64> {
        let start = self.mapping.code_start();
        start..start + CODE_BYTES as u64
    }

    /// Bytes of code so far.
    pub fn used(&self) -> usize {
        self.used
    }

    /// The address at which the next code will begin.
    pub fn next(&self) -> HostAddr {
        HostAddr(self.mapping.code_start() + self.used as u64)
    }

    /// Appends code, which was made for the address [`next`](Self::next).
    pub fn append(&mut self, code: &[u8]) -> Result<HostAddr, Full> {
        let slot = self.slot(code.len())?;
        slot.copy_from_slice(code);
        Ok(self.finish(code.len()))
    }

    /// The bytes of the next code, at most `max`, to be written in place.
    pub fn slot(&mut self, max: usize) -> Result<&mut [u8], Full> {
        if max > CODE_BYTES - self.used {
            return Err(Full);
        }
        // SAFETY: the bytes lie in the writable view, past everything that was
        // published, and `&mut self` is the only way to reach them.
        Ok(unsafe {
            std::slice::from_raw_parts_mut((self.mapping.view + self.used as u64) as *mut u8, max)
        })
    }

    /// Publishes the first `length` bytes of the slot; gives their address.
    pub fn finish(&mut self, length: usize) -> HostAddr {
        let address = self.next();
        self.used = (self.used + length)
            .next_multiple_of(ALIGNMENT)
            .min(CODE_BYTES);
        address
    }

    /// A new cell, holding `value`.
    pub fn cell(&mut self, value: u64) -> Result<HostAddr, Full> {
        if (self.cells + 1) * 8 > CELL_BYTES {
            return Err(Full);
        }
        let address = HostAddr(self.mapping.reservation + self.cells as u64 * 8);
        self.cells += 1;
        self.set_cell(address, value);
        Ok(address)
    }

    /// Changes a cell. Running code sees the old value or the new one.
    pub fn set_cell(&self, cell: HostAddr, value: u64) {
        let offset = cell.0.wrapping_sub(self.mapping.reservation);
        assert!(
            offset < self.cells as u64 * 8 && offset % 8 == 0,
            "{cell} is no cell of this space"
        );
        // SAFETY: checked to be an aligned cell in our mapping; all accesses
        // to it, here and in translated code, are single 8-byte accesses.
        let cell = unsafe { AtomicU64::from_ptr(cell.0 as *mut u64) };
        cell.store(value, Ordering::Release);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Before the addresses can be anything else's.
        self.registration = None;
        // SAFETY: both mappings are ours; who runs code in them holds a share.
        unsafe {
            libc::munmap(
                self.reservation as *mut libc::c_void,
                CODE_START + CODE_BYTES,
            );
            if self.view != 0 {
                libc::munmap(self.view as *mut libc::c_void, CODE_BYTES);
            }
        }
    }
}

fn check(mapped: *mut libc::c_void) -> io::Result<u64> {
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(mapped as u64)
}
