//! What of us is in a process that we attached to, while it stands still and the
//! user thinks: nothing.
//!
//! A debugger may be killed at any time, and the kernel lets its tracees run on
//! as they are. So while such a process is *at rest* no breakpoint is in its
//! memory, no debug register watches, and no thread is about to trap after an
//! instruction; all of it comes back when the process is let go. While it runs,
//! a [`Guardian`] keeps watch. A process that we started dies with us instead.

use std::fs::File;

use super::{Native, sys};
use crate::patches::Patches;
use crate::target::Address;

impl Native {
    /// Whether patches are in memory, and not merely recorded.
    pub(super) fn has_patches_in_place(&self) -> bool {
        !self.patches_suspended && !self.at_rest
    }

    /// Takes out of an attached process what it could not live with, were we to
    /// die now.
    pub(super) fn rest(&mut self) {
        if self.launched || self.ended || self.at_rest {
            return;
        }
        if !self.patches_suspended {
            self.unpatch(&self.memory);
        }
        self.at_rest = true;
        for thread in self.threads.keys().copied().collect::<Vec<_>>() {
            if self.is_watching() {
                let _ = sys::set_debug_register(thread, super::watch::CONTROL, 0);
            }
            self.end_stepping(thread);
        }
    }

    /// Puts it back.
    pub(super) fn wake(&mut self) {
        if !std::mem::take(&mut self.at_rest) {
            return;
        }
        if !self.patches_suspended {
            self.patch();
        }
        if self.is_watching() {
            for thread in self.threads.keys() {
                let _ = self.arm_watches(*thread);
            }
        }
    }

    /// The memory that the guardian was given is another's now.
    pub(super) fn renew_guardian(&mut self) {
        if self.guardian.take().is_some() {
            self.guardian = Guardian::start(self.process, &self.memory);
        }
    }

    /// The kernel leaves a thread that was stepped in single-step mode until it
    /// is told otherwise. Asked to stop and let go at once, the thread stops
    /// again where it is, in the other mode.
    fn end_stepping(&mut self, thread: i32) {
        let Some(known) = self.threads.get_mut(&thread) else {
            return;
        };
        if !known.stepping || known.running || known.signal.is_some() {
            return;
        }
        known.stepping = false;
        let asked = sys::interrupt(thread).and_then(|()| sys::proceed(thread, 0));
        if asked.is_ok()
            && let Ok(Some((_, status))) = sys::wait(thread, true)
            && !libc::WIFSTOPPED(status)
        {
            // Killed meanwhile: whoever waits for it next is told.
            self.early.insert(thread, status);
        }
    }
}

/// A process that outlives us, and takes our patches out of a running program
/// when we are killed.
///
/// It shares a page with us that lists the patches, and waits for the end of a
/// pipe whose other end only we have.
pub(super) struct Guardian {
    process: i32,
    list: sys::SharedWords,
    /// The end of it is what it waits for.
    _pipe: std::io::PipeWriter,
}

/// How many patches it can take back.
const MOST_PATCHES: usize = 1 << 16;

impl Guardian {
    /// Starts one for a process whose memory that is. `None` where it cannot be
    /// had: the debugger works without.
    pub fn start(process: i32, memory: &File) -> Option<Guardian> {
        use std::os::fd::AsRawFd;
        let list = sys::SharedWords::new(1 + MOST_PATCHES).ok()?;
        let (reader, writer) = std::io::pipe().ok()?;
        let guardian = sys::guard(process, reader.as_raw_fd(), memory.as_raw_fd(), &list).ok()?;
        Some(Guardian {
            process: guardian,
            list,
            _pipe: writer,
        })
    }

    /// Says what is in the process now. The first word is how many follow, and
    /// in its highest bit whether debug registers watch; each of the others is
    /// an address and, in its lowest byte, what the program has there.
    pub fn tell(&self, patches: &Patches, is_watching: bool) {
        let mut count = 0;
        for (Address(at), original) in patches.iter().take(MOST_PATCHES) {
            count += 1;
            self.list.set(count, at << 8 | u64::from(original));
        }
        let watching = if is_watching { sys::WATCHING } else { 0 };
        self.list.set(0, count as u64 | watching);
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        sys::kill(self.process, libc::SIGKILL);
        let _ = sys::wait(self.process, true);
    }
}
