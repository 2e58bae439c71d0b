//! [`Pin`]: puts *our* thread on the processor where the stopped thread ran.
//!
//! A stop is a hand-over between two threads. When they share a processor it
//! costs a context switch, 11 µs measured; when they do not, it costs wake-ups
//! of an idle processor both ways, 43 µs. So during a series of resumes this
//! thread follows the debuggee. The debuggee's own affinity is never touched.

use crate::native::{process, sys};

/// How many resumes it takes before we look again where the thread runs.
const LOOK_AGAIN: u32 = 512;

/// The affinity of this thread, moved while a series of resumes lasts.
#[derive(Default)]
pub struct Pin {
    before: Option<libc::cpu_set_t>,
    processor: Option<usize>,
    resumes: u32,
}

impl Pin {
    /// Moves to where `thread` ran last, now and then.
    pub fn follow(&mut self, process: i32, thread: i32) {
        self.resumes += 1;
        // The first two resumes of a series stay where they are: most series
        // are no longer, and looking costs as much as a stop.
        if self.resumes % LOOK_AGAIN != 3 {
            return;
        }
        let Some(processor) = process::last_processor(process, thread) else {
            return;
        };
        if self.processor == Some(processor) {
            return;
        }
        if self.before.is_none() {
            self.before = sys::affinity().ok();
        }
        if let (Some(_), Some(set)) = (&self.before, sys::one_processor(processor)) {
            // A processor that we may not use stays out of reach, and we slower.
            if sys::set_affinity(&set).is_ok() {
                self.processor = Some(processor);
            }
        }
    }

    /// Goes back to where we were allowed before.
    pub fn release(&mut self) {
        self.resumes = 0;
        self.processor = None;
        if let Some(before) = self.before.take() {
            let _ = sys::set_affinity(&before);
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.release();
    }
}
