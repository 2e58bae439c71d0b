//! [`Arena`]: a process's thread-local storage for the image.
//!
//! The executable has a thread-local variable of [`ARENA_SIZE`] bytes. It lies
//! at one offset from the thread pointer in every thread, because the
//! executable's thread-locals are part of the block that each thread is made
//! with; so code may be linked against it with the models that an executable
//! uses. What a new thread finds in it is copied by the C library from the
//! executable's *template*, which is written here too.
//!
//! Threads that are there already are found through `/proc/self/task`, and the
//! thread pointer of each through its robust list, whose head the C library
//! keeps at one distance from the thread pointer. They are written with
//! `process_vm_writev`, which fails where a plain store to the memory of a thread
//! that has just ended would fault.
//!
//! A thread that is being made at that moment may have copied the template before
//! it was written and not be listed yet. So the threads are written while the
//! world is [stopped](crate::stop), at a moment when none of them is inside
//! `pthread_create`. Where the world cannot be stopped, because a thread blocks
//! every signal, the list is read again until it shows nobody new, which leaves a
//! window of microseconds to a program that makes threads on such a thread.
//!
//! What holds between calls: reserved bytes never written by the program are the
//! same in the template and in every thread; bytes that are not reserved are zero
//! unless a program wrote to them.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::io;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::host::{HostError, ThreadLocals};
use crate::stop;

/// The size of a page, in bytes.
const PAGE: u64 = 4096;

/// Bytes of thread-local storage for all that is published into one process.
/// Every thread of this executable pays for them.
pub const ARENA_SIZE: usize = 16 << 10;

/// What the arena begins with before anybody uses it, by which its template is
/// found: the variable is initialised, so it is in the template.
const MARK: [u8; 32] = *b"sapwood: thread-local storage \xf0\x0d";

#[repr(C, align(64))]
struct Storage(UnsafeCell<[u8; ARENA_SIZE]>);

const fn marked() -> [u8; ARENA_SIZE] {
    let mut bytes = [0; ARENA_SIZE];
    let mut index = 0;
    while index < MARK.len() {
        bytes[index] = MARK[index];
        index += 1;
    }
    bytes
}

thread_local! {
    static STORAGE: Storage = const { Storage(UnsafeCell::new(marked())) };
}

/// The calling thread's arena.
fn storage() -> *mut u8 {
    STORAGE.with(|storage| storage.0.get().cast())
}

/// The calling thread's thread pointer, from which thread-locals are counted.
pub fn thread_pointer() -> i64 {
    let pointer: i64;
    // SAFETY: on x86-64 the thread pointer's first word is its own address.
    unsafe {
        std::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly, preserves_flags));
    }
    pointer
}

/// How much of the arena is taken.
#[derive(Debug, Default)]
pub struct Arena {
    used: u64,
    /// The start and end of each reservation, in their order; those given back
    /// while later ones are in use are marked.
    taken: Vec<(u64, u64, Back)>,
    /// How far initial bytes were written.
    written: u64,
    /// The template, once it was looked for.
    template: Option<Template>,
}

/// Whether a reservation was given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Back {
    Not,
    Given,
}

/// Where the C library copies new threads' arenas from.
#[derive(Clone, Copy, Debug)]
struct Template(*mut u8);

// SAFETY: a place in the executable's own memory, the same for every thread.
unsafe impl Send for Template {}

impl Arena {
    /// Takes `size` bytes. Gives their offset from the thread pointer, or
    /// nothing when there is no room.
    pub fn reserve(&mut self, size: u64, alignment: u64) -> Option<i64> {
        let base = self.base();
        let taken = alignment_from(base, self.used, alignment)?;
        let end = taken.checked_add(size)?;
        if end > ARENA_SIZE as u64 {
            return None;
        }
        self.used = end;
        self.taken.push((taken, end, Back::Not));
        Some(base + taken.cast_signed())
    }

    /// Gives a reservation back. Its room is used again once all later ones
    /// have been given back too.
    pub fn release(&mut self, offset: i64) {
        let start = offset.wrapping_sub(self.base());
        let given = self.taken.iter_mut().rev();
        for taken in given.filter(|taken| taken.0.cast_signed() == start).take(1) {
            taken.2 = Back::Given;
        }
        while self.taken.pop_if(|taken| taken.2 == Back::Given).is_some() {}
        self.used = self.taken.last().map_or(0, |taken| taken.1);
        if self.written > self.used {
            // The next who reserves them finds zeroes. A failure has nobody to be
            // told: the same write succeeded before.
            let zeroes = vec![0; (self.written - self.used) as usize];
            let _ = self.write_everywhere(self.used as usize, &zeroes);
            self.written = self.used;
        }
    }

    /// Sets what reserved bytes hold, in every thread, present and future.
    pub fn initialise(&mut self, offset: i64, bytes: &[u8]) -> io::Result<()> {
        let start = offset
            .wrapping_sub(self.base())
            .try_into()
            .map_err(|_| outside())?;
        let end = usize::checked_add(start, bytes.len()).ok_or_else(outside)?;
        if end as u64 > self.used {
            return Err(outside());
        }
        self.written = self.written.max(end as u64);
        self.write_everywhere(start, bytes)
    }

    /// Writes at one place of the arena, to the template and to every thread's.
    fn write_everywhere(&mut self, start: usize, bytes: &[u8]) -> io::Result<()> {
        assert!(start + bytes.len() <= ARENA_SIZE, "in the arena");
        let template = self.template()?;
        template.write(start, bytes)?;
        // SAFETY: the range was checked to lie in the arena, and nobody uses
        // bytes of it before they have been given their first values.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), storage().add(start), bytes.len());
        }
        write_in_other_threads(self.base() + start as i64, bytes)
    }

    fn base(&self) -> i64 {
        (storage() as i64).wrapping_sub(thread_pointer())
    }

    /// Finds the template, and takes the mark off it and off this thread's
    /// arena.
    fn template(&mut self) -> io::Result<Template> {
        if let Some(template) = self.template {
            return Ok(template);
        }
        let image = template_image()
            .ok_or_else(|| io::Error::other("the executable has no thread-locals"))?;
        // SAFETY: the range is the executable's own initialised data, mapped
        // readable for good, and written by nobody but this file.
        let bytes = unsafe { std::slice::from_raw_parts(image.start, length(&image)) };
        let at = bytes
            .windows(MARK.len())
            .position(|window| window == MARK)
            .filter(|at| at + ARENA_SIZE <= bytes.len())
            .ok_or_else(|| io::Error::other("the executable's thread-local arena is not there"))?;
        // SAFETY: `at` lies in the range.
        let template = Template(unsafe { image.start.add(at) });
        template.write(0, &[0; MARK.len()])?;
        // SAFETY: the arena is longer than the mark, and this thread's own.
        unsafe { std::ptr::write_bytes(storage(), 0, MARK.len()) };
        let base = self.base();
        write_in_other_threads(base, &[0; MARK.len()])?;
        self.template = Some(template);
        Ok(template)
    }
}

/// Writes at one offset from the thread pointer of every thread but this one, at
/// a moment when no thread is being made, if there is one.
fn write_in_other_threads(offset: i64, bytes: &[u8]) -> io::Result<()> {
    /// How long to wait for such a moment. What only looks like a call of
    /// `pthread_create` may lie on a stack for ever.
    const PATIENCE: Duration = Duration::from_secs(1);
    if is_alone()? {
        return Ok(());
    }
    let makes_threads = code_of_pthread_create();
    let began = Instant::now();
    while let Ok((stopped, places)) = stop::stop() {
        let mut found = places.found.iter();
        let wait = found.any(|place| makes_threads.contains(&place.get()));
        if wait && began.elapsed() < PATIENCE {
            drop(stopped);
            std::thread::sleep(Duration::from_micros(100));
            continue;
        }
        // Nothing is allocated until the threads go on.
        let distance = robust_list(0).map(|head| head.wrapping_sub(thread_pointer()));
        if let Ok(distance) = distance {
            for (task, ..) in &places.threads {
                write_in_thread(*task, distance, offset, bytes);
            }
        }
        drop(stopped);
        return distance.map(drop);
    }
    write_in_listed_threads(offset, bytes)
}

/// Whether this is the process's only thread.
fn is_alone() -> io::Result<bool> {
    Ok(std::fs::read_dir("/proc/self/task")?.take(2).count() == 1)
}

/// Where the C library's `pthread_create` lies.
fn code_of_pthread_create() -> Range<u64> {
    unsafe extern "C" {
        fn dladdr1(
            address: *const c_void,
            info: *mut libc::Dl_info,
            extra: *mut *const libc::Elf64_Sym,
            flags: c_int,
        ) -> c_int;
    }
    const RTLD_DL_SYMENT: c_int = 1;
    /// Longer than it is in any version of the library.
    const LONGEST: u64 = 8 << 10;
    let start = libc::pthread_create as *const () as u64;
    // SAFETY: the call fills in the two; the symbol, where one was found, stays
    // mapped with its library.
    let size = unsafe {
        let mut info = std::mem::zeroed::<libc::Dl_info>();
        let mut symbol = std::ptr::null();
        let address = start as *const c_void;
        let found = dladdr1(address, &raw mut info, &raw mut symbol, RTLD_DL_SYMENT);
        match found != 0 && !symbol.is_null() {
            true => (*symbol).st_size,
            false => LONGEST,
        }
    };
    start..start + size.clamp(1, LONGEST)
}

/// Writes at an offset from the thread pointer of one thread. One that has ended
/// meanwhile, or that the C library did not make, has no arena.
fn write_in_thread(task: c_int, distance: i64, offset: i64, bytes: &[u8]) {
    let Ok(head) = robust_list(task) else {
        return;
    };
    let pointer = head.wrapping_sub(distance);
    if pointer != thread_pointer() && is_thread_pointer(pointer) {
        write_own_memory(pointer.wrapping_add(offset), bytes);
    }
}

/// The same for threads as they are listed, until nobody new is.
fn write_in_listed_threads(offset: i64, bytes: &[u8]) -> io::Result<()> {
    let (own, head) = (thread_pointer(), robust_list(0)?);
    let distance = head.wrapping_sub(own);
    let mut written = Vec::new();
    loop {
        let mut found = false;
        for task in std::fs::read_dir("/proc/self/task")? {
            let task: Option<c_int> = task?.file_name().to_str().and_then(|id| id.parse().ok());
            let Some(task) = task.filter(|task| !written.contains(task)) else {
                continue;
            };
            found = true;
            written.push(task);
            write_in_thread(task, distance, offset, bytes);
        }
        if !found {
            return Ok(());
        }
    }
}

/// The head of a thread's list of robust futexes; 0 is the calling thread.
fn robust_list(task: c_int) -> io::Result<i64> {
    let (mut head, mut len) = (0i64, 0usize);
    // SAFETY: the kernel fills in the two words.
    let failed =
        unsafe { libc::syscall(libc::SYS_get_robust_list, task, &raw mut head, &raw mut len) };
    match (failed, head) {
        (0, 0) => Err(io::ErrorKind::NotFound.into()),
        (0, head) => Ok(head),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the word at an address is the address itself, as the ABI has it for
/// thread pointers.
fn is_thread_pointer(pointer: i64) -> bool {
    let mut word = [0; 8];
    let local = libc::iovec {
        iov_base: word.as_mut_ptr().cast(),
        iov_len: word.len(),
    };
    let remote = libc::iovec {
        iov_base: pointer as *mut c_void,
        iov_len: word.len(),
    };
    // SAFETY: it writes eight bytes to `word`, and fails where there is nothing
    // to read.
    let read = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
    read == 8 && i64::from_le_bytes(word) == pointer
}

/// Writes to this process's memory, where it is still there.
fn write_own_memory(at: i64, bytes: &[u8]) {
    let local = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: at as *mut c_void,
        iov_len: bytes.len(),
    };
    // SAFETY: the range lies in another thread's arena, of which Rust code
    // holds no reference; a thread that has ended leaves no mapping, which is an
    // error that means nothing.
    unsafe { libc::process_vm_writev(libc::getpid(), &local, 1, &remote, 1, 0) };
}

/// This process's arena, for whoever publishes into its own process.
#[derive(Debug)]
pub struct OwnArena;

static OWN: Mutex<Arena> = Mutex::new(Arena {
    used: 0,
    taken: Vec::new(),
    written: 0,
    template: None,
});

/// This process's arena.
pub(crate) fn own() -> MutexGuard<'static, Arena> {
    OWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl ThreadLocals for OwnArena {
    fn reserve(&mut self, size: u64, alignment: u64) -> Result<i64, HostError> {
        let room = own().reserve(size, alignment);
        room.ok_or_else(|| {
            let why = format!(
                "there is no room: it wants {size} bytes aligned to {alignment} in every thread, \
                 and all have {ARENA_SIZE}"
            );
            HostError::Failed(why)
        })
    }

    fn initialise(&mut self, offset: i64, bytes: &[u8]) -> Result<(), HostError> {
        let done = own().initialise(offset, bytes);
        done.map_err(|error| HostError::Failed(error.to_string()))
    }

    fn release(&mut self, offset: i64) -> Result<(), HostError> {
        own().release(offset);
        Ok(())
    }
}

fn outside() -> io::Error {
    io::Error::other("not in reserved thread-local storage")
}

/// The first multiple of `alignment`, counted as an address, at or after `used`
/// bytes from an arena at `base`; relative to the arena. The thread pointer is
/// aligned to 64, and nothing more than that is promised.
fn alignment_from(base: i64, used: u64, alignment: u64) -> Option<u64> {
    const MOST: u64 = 64;
    if !alignment.is_power_of_two() || alignment > MOST {
        return None;
    }
    let address = base.wrapping_add(used.cast_signed());
    let padding = address.wrapping_neg() & (alignment.cast_signed() - 1);
    used.checked_add(padding.cast_unsigned())
}

impl Template {
    /// Writes to the template, which the dynamic linker has made read-only.
    fn write(self, start: usize, bytes: &[u8]) -> io::Result<()> {
        let first = self.0 as u64 + start as u64;
        let pages = first & !(PAGE - 1)..(first + bytes.len() as u64).next_multiple_of(PAGE);
        protect(&pages, libc::PROT_READ | libc::PROT_WRITE)?;
        // SAFETY: the caller's range lies in the template; its pages are
        // writable now, and only the C library reads them, when a thread is
        // made, which this one does not do meanwhile.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.add(start), bytes.len()) };
        // They are left writable: data that is not read-only may share them.
        Ok(())
    }
}

fn protect(pages: &Range<u64>, access: c_int) -> io::Result<()> {
    // SAFETY: pages of the executable's data, which only gain an access.
    let failed = unsafe {
        libc::mprotect(
            pages.start as *mut c_void,
            (pages.end - pages.start) as usize,
            access,
        )
    };
    match failed {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn length(range: &Range<*mut u8>) -> usize {
    range.end as usize - range.start as usize
}

/// The initialised part of the executable's thread-local template.
fn template_image() -> Option<Range<*mut u8>> {
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        found: *mut c_void,
    ) -> c_int {
        // SAFETY: the C library gives a valid structure, whose headers stay
        // mapped; `found` is what was passed below.
        let (info, found) = unsafe { (&*info, &mut *found.cast::<Option<Range<*mut u8>>>()) };
        // SAFETY: as above.
        let headers =
            unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        if let Some(header) = headers.iter().find(|h| h.p_type == libc::PT_TLS) {
            let start = info.dlpi_addr.wrapping_add(header.p_vaddr) as *mut u8;
            *found = Some(start..start.wrapping_add(header.p_filesz as usize));
        }
        // The executable comes first, and is the only one of interest.
        1
    }
    let mut found = None;
    // SAFETY: the callback takes what is passed with it.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut found).cast()) };
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_counts_from_the_thread_pointer() {
        assert_eq!(alignment_from(-0x4000, 0, 16), Some(0));
        assert_eq!(alignment_from(-0x4000, 1, 16), Some(16));
        assert_eq!(alignment_from(-0x4008, 0, 16), Some(8));
        assert_eq!(alignment_from(-0x4008, 9, 1), Some(9));
        assert_eq!(alignment_from(-0x4000, 0, 128), None);
        assert_eq!(alignment_from(-0x4000, 0, 3), None);
    }
}
