//! Files of translations in memory: [`View`] to read one, [`Image`] to run the
//! code of one. All `unsafe` of this folder.
//!
//! Both map the file privately. We never write a file that another process may
//! have mapped: it is replaced by another one of the same name. What somebody
//! else writes to a mapped file, or that he shortens it, is as fatal as his
//! writing to any program that runs.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use sapwood_link::HostAddr;

/// A mapping of ours, unmapped when it is dropped.
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping is the process's, and is not written but for the cells,
// which are atomic.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes, which are not 0, anywhere.
    fn new(length: usize, protection: i32, flags: i32, file: i32) -> io::Result<Mapping> {
        // SAFETY: without MAP_FIXED nothing that exists is touched.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                protection,
                flags | libc::MAP_PRIVATE,
                file,
                0,
            )
        };
        match NonNull::new(start.cast::<u8>()) {
            Some(found) if start != libc::MAP_FAILED => Ok(Mapping {
                start: found,
                length,
            }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new`, and whoever refers to it
        // borrows from the value that owns this one.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// A whole file, to be read.
pub struct View(Mapping);

impl View {
    /// Maps the first `length` bytes of a file, which has them.
    pub fn of(file: &File, length: usize) -> io::Result<View> {
        let flags = libc::MAP_POPULATE;
        Mapping::new(length, libc::PROT_READ, flags, file.as_raw_fd()).map(View)
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is readable, as long as this borrow lives, and
        // nobody writes to it (see the module's page).
        unsafe { std::slice::from_raw_parts(self.0.start.as_ptr(), self.0.length) }
    }
}

/// Code, executable, mapped from a file, and cells behind it.
pub struct Image {
    mapping: Mapping,
    code: usize,
    cells: usize,
}

impl Image {
    /// Maps `code` bytes of a file from `offset` on, both whole pages, and
    /// `cells` bytes of cells behind them.
    pub fn map(file: &File, offset: usize, code: usize, cells: usize) -> io::Result<Image> {
        let writable = libc::PROT_READ | libc::PROT_WRITE;
        // A page more, so that there is one.
        let length = (code + cells).next_multiple_of(4096) + 4096;
        let flags = libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let mapping = Mapping::new(length, writable, flags, -1)?;
        if code > 0 {
            // SAFETY: the range is the beginning of the mapping that was just
            // made, to which nothing refers yet.
            let mapped = unsafe {
                libc::mmap(
                    mapping.start.as_ptr().cast(),
                    code,
                    libc::PROT_READ | libc::PROT_EXEC,
                    libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_POPULATE,
                    file.as_raw_fd(),
                    offset as libc::off_t,
                )
            };
            if mapped == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Image {
            mapping,
            code,
            cells: cells / 8,
        })
    }

    /// Where the code begins.
    pub fn start(&self) -> HostAddr {
        HostAddr(self.mapping.start.as_ptr() as u64)
    }

    fn cell(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.cells, "cell {index} of {}", self.cells);
        // SAFETY: the index was checked, so it is 8 aligned bytes of the
        // writable part of the mapping, all accesses to which are single
        // accesses of 8 bytes.
        unsafe {
            let at = self.mapping.start.as_ptr().add(self.code + 8 * index);
            AtomicU64::from_ptr(at.cast())
        }
    }

    /// Fills in the cells, from the first on.
    pub fn fill(&mut self, values: impl Iterator<Item = u64>) {
        for (index, value) in values.enumerate() {
            self.cell(index).store(value, Ordering::Relaxed);
        }
    }

    /// Changes a cell.
    pub fn set(&self, index: usize, value: u64) {
        self.cell(index).store(value, Ordering::Release);
    }
}

/// The user whose files we trust.
pub fn user() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// How long a file may be that this process writes, in bytes.
pub fn longest_file() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the C library fills `limit`.
    unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    limit.rlim_cur
}
