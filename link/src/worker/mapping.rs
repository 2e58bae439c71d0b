//! Owned `mmap`s and memory files.
//!
//! A [`Mapping`] is unmapped when it is dropped. Its bytes may be read by
//! another process at any time (that is what it is for), which Rust's memory
//! model does not see; the accesses here are ordinary copies, and the session
//! publishes what it wrote only afterwards, with a request over a socket or a
//! release store.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The page size of every machine that this crate runs on.
pub const PAGE: u64 = 4096;

/// A new memory file of `length` bytes, all zero, that costs nothing until it
/// is written. The name is what `/proc/PID/maps` shows.
pub fn memory_file(name: &std::ffi::CStr) -> io::Result<File> {
    // Kernels since 6.3 want to be told that the file may be mapped
    // executable; older ones do not know the flag.
    const MFD_EXEC: libc::c_uint = 0x10;
    // SAFETY: the name is a valid C string; the call has no other memory effect.
    let create = |flags| unsafe { libc::memfd_create(name.as_ptr(), flags) };
    let mut fd = create(libc::MFD_CLOEXEC | MFD_EXEC);
    if fd < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL) {
        fd = create(libc::MFD_CLOEXEC);
    }
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and nobody else owns it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// A shared, writable view of a memory file in this process.
#[derive(Debug)]
pub struct Mapping {
    start: *mut u8,
    length: usize,
}

// SAFETY: the mapping is plain memory, reached only through `&mut Mapping` or
// copied out through `&Mapping`; no thread has a claim of its own on it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes of `file`, which may still be shorter: the
    /// caller touches only what the file has grown to.
    pub fn shared(file: &File, length: u64) -> io::Result<Mapping> {
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no
        // memory that anyone has.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping {
            start: start.cast(),
            length,
        })
    }

    /// The bytes of `range`, to be written. The caller knows that the file is
    /// at least that long: past its end a page is there but not accessible.
    ///
    /// # Panics
    /// When the range is not inside the mapping.
    pub fn bytes(&mut self, range: Range<u64>) -> &mut [u8] {
        let (start, end) = (range.start as usize, range.end as usize);
        assert!(start <= end && end <= self.length, "range outside mapping");
        // SAFETY: the range was checked to lie in the mapping, which lives as
        // long as `self`, and `&mut self` makes this the only reference to it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), end - start) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is this mapping's own, and no reference into it can
        // outlive it.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}
