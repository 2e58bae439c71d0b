//! Notices that this process was forked, in the child and in the parent.
//!
//! A child is told by a page that the kernel wipes there (`MADV_WIPEONFORK`), so
//! a fork that goes past the C library is noticed too. A parent is told by the C
//! library's `pthread_atfork`; there is nothing else to ask. Looking costs a load.
//!
//! What holds between calls: [`Fork::process`] gives the same number in one
//! process for ever, and another one in each of its children.

use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// The page's length.
const PAGE: usize = 4096;

/// How many forks of this process, and of those it was forked from, have begun
/// and ended. Between the two numbers nobody can tell whether there is a child.
#[repr(C)]
pub(crate) struct Forks {
    begun: AtomicU64,
    ended: AtomicU64,
}

static FORKS: Forks = Forks {
    begun: AtomicU64::new(0),
    ended: AtomicU64::new(0),
};

/// The wiped page: the number of the process, or 0 in a fresh child.
static MARK: std::sync::atomic::AtomicPtr<AtomicU64> =
    std::sync::atomic::AtomicPtr::new(ptr::null_mut());

/// See the [module page](self).
pub(crate) struct Fork {
    mark: &'static AtomicU64,
}

/// How often this process has forked; nothing while it is doing so.
pub(crate) fn count() -> Option<u64> {
    let ended = FORKS.ended.load(Ordering::Acquire);
    settled(FORKS.begun.load(Ordering::Acquire), ended)
}

/// The number of forks when so many have begun and ended.
pub(crate) fn settled(begun: u64, ended: u64) -> Option<u64> {
    (begun == ended).then_some(begun)
}

/// Where the two numbers are, for whoever reads this process's memory.
pub(crate) fn address() -> u64 {
    &raw const FORKS as u64
}

extern "C" fn begins() {
    FORKS.begun.fetch_add(1, Ordering::AcqRel);
}

extern "C" fn ends() {
    FORKS.ended.fetch_add(1, Ordering::AcqRel);
}

impl Fork {
    /// Begins to look; once is enough for all.
    pub fn watch() -> Fork {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            MARK.store(wiped_page(), Ordering::Release);
            // SAFETY: the handlers are functions for ever, and only count.
            unsafe { libc::pthread_atfork(Some(begins), Some(ends), Some(ends)) };
        });
        // SAFETY: a page that was made above, and is never unmapped.
        let mark = unsafe { &*MARK.load(Ordering::Acquire) };
        Fork { mark }
    }

    /// The process's number among those forked from one another.
    pub fn process(&self) -> u64 {
        match self.mark.load(Ordering::Relaxed) {
            0 => {
                // SAFETY: a system call without arguments.
                let own = u64::from(unsafe { libc::getpid() }.cast_unsigned());
                // Numbers of processes come again; the count of forks does not.
                let number = own << 32 | FORKS.begun.load(Ordering::Relaxed) & 0xffff_ffff;
                let first =
                    self.mark
                        .compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
                first.err().unwrap_or(number)
            }
            number => number,
        }
    }
}

/// A page that is zero in every child. Where the kernel does not know how, a
/// leaked word, and children that are not noticed.
fn wiped_page() -> *mut AtomicU64 {
    // SAFETY: a new mapping of the kernel's choice touches nobody's memory; the
    // advice is about that mapping.
    unsafe {
        let page = libc::mmap(
            ptr::null_mut(),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            return Box::into_raw(Box::new(AtomicU64::new(1)));
        }
        libc::madvise(page, PAGE, libc::MADV_WIPEONFORK);
        page.cast()
    }
}
