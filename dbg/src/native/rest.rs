//! What of us is in a process that we attached to, while it stands still and the
//! user thinks: nothing.
//!
//! A debugger may be killed at any time, and the kernel lets its tracees run on
//! as they are. So while such a process is *at rest* no breakpoint is in its
//! memory, no debug register watches, and no thread is about to trap after an
//! instruction, or in a function that we called; all of it comes back when the
//! process is let go. While it runs, a [`Guardian`] keeps watch. A process that we
//! started dies with us instead.

use std::collections::BTreeMap;
use std::fs::File;

use super::{Native, registers, sys};
use crate::call::Saved;
use crate::patches::Patches;
use crate::target::{Address, Target, ThreadId};

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
        for thread in self.kept.keys().copied().collect::<Vec<_>>() {
            self.shelve(thread);
        }
    }

    /// See [`Target::keep_state`].
    pub(super) fn keep(&mut self, thread: i32, state: Option<&Saved>) {
        if self.launched {
            return;
        }
        let states = self.kept.entry(thread).or_default();
        match state {
            Some(state) => states.push(state.clone()),
            None => {
                states.pop();
            }
        }
        if states.is_empty() {
            self.kept.remove(&thread);
            self.shelved.remove(&thread);
        }
    }

    /// Puts a thread that is in a function which we called back to where it was,
    /// as far as the kernel knows; what it has in the call stays with us.
    fn shelve(&mut self, thread: i32) {
        let id = ThreadId(thread);
        // A displaced one shows other registers than it has: they were read.
        let stands = self
            .threads
            .get(&thread)
            .is_some_and(|known| !known.running);
        if !stands || self.registers(id).is_err() {
            return;
        }
        let before = self.kept.get(&thread).and_then(|states| states.first());
        let (Some(before), Ok(vectors), Ok(mask)) =
            (before, sys::vector_state(thread), sys::signal_mask(thread))
        else {
            return;
        };
        if put_back(thread, before).is_ok() {
            self.shelved.insert(thread, Shelf { vectors, mask });
            if let Some(known) = self.threads.get_mut(&thread) {
                known.changed = true;
            }
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
        // Registers are written when the thread is resumed.
        for (thread, shelf) in std::mem::take(&mut self.shelved) {
            let _ = sys::set_vector_state(thread, &shelf.vectors);
            let _ = sys::set_signal_mask(thread, shelf.mask);
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

/// What a thread has in a function that we called, but for its registers.
pub(super) struct Shelf {
    pub vectors: Vec<u8>,
    pub mask: u64,
}

fn put_back(thread: i32, state: &Saved) -> std::io::Result<()> {
    sys::set_registers(thread, &registers::to_kernel(&state.registers))?;
    if let Some(vectors) = &state.vectors {
        sys::set_vector_state(thread, &vectors.0)?;
    }
    state
        .mask
        .map_or(Ok(()), |mask| sys::set_signal_mask(thread, mask))
}

/// A process that outlives us, and takes our patches out of a running program
/// when we are killed.
///
/// It shares pages with us that list the patches, and what threads have to be put
/// back to; and waits for the end of a pipe whose other end only we have.
pub(super) struct Guardian {
    process: i32,
    list: sys::SharedWords,
    states: sys::SharedWords,
    /// The end of it is what it waits for.
    _pipe: std::io::PipeWriter,
}

/// How many threads it can put back.
const MOST_STATES: usize = 16;

/// How many patches it can take back.
const MOST_PATCHES: usize = 1 << 16;

impl Guardian {
    /// Starts one for a process whose memory that is. `None` where it cannot be
    /// had: the debugger works without.
    pub fn start(process: i32, memory: &File) -> Option<Guardian> {
        use std::os::fd::AsRawFd;
        let list = sys::SharedWords::new(1 + MOST_PATCHES).ok()?;
        let states = sys::SharedWords::new(1 + MOST_STATES * sys::STATE_WORDS).ok()?;
        let (reader, writer) = std::io::pipe().ok()?;
        let (until, memory) = (reader.as_raw_fd(), memory.as_raw_fd());
        let guardian = sys::guard(process, until, memory, &list, &states).ok()?;
        Some(Guardian {
            process: guardian,
            list,
            states,
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

    /// Says what threads have to be put back to.
    pub fn tell_states(&self, kept: &BTreeMap<i32, Vec<Saved>>) {
        if kept.is_empty() && self.states.get(0) == 0 {
            return;
        }
        let mut count = 0;
        for (thread, states) in kept.iter().take(MOST_STATES) {
            if let Some(state) = states.first() {
                let kernel = registers::to_kernel(&state.registers);
                let vectors = state.vectors.as_ref().map_or(&[][..], |v| &v.0);
                sys::write_state(&self.states, count, *thread, &kernel, vectors, state.mask);
                count += 1;
            }
        }
        self.states.set(0, count as u64);
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        sys::kill(self.process, libc::SIGKILL);
        let _ = sys::wait(self.process, true);
    }
}
