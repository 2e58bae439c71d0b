//! [`Interrupter`]: the one thing another thread, or a signal handler, may do to
//! a debugger that waits: ask it to stop the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

#[derive(Debug, Default)]
struct Shared {
    wanted: AtomicBool,
    /// The process to be nudged out of the wait; 0 when nothing runs.
    process: AtomicI32,
}

/// Asks a waiting debugger to stop the program and return to its user. Clone it,
/// move it to another thread, call it from a signal handler.
#[derive(Clone, Debug, Default)]
pub struct Interrupter(Arc<Shared>);

impl Interrupter {
    /// Asks. Async-signal-safe: two atomic accesses and one `kill`.
    ///
    /// The nudge is SIGSTOP because a process can neither block nor ignore it;
    /// the debugger takes it back before the program sees it.
    pub fn interrupt(&self) {
        self.0.wanted.store(true, Ordering::SeqCst);
        let process = self.0.process.load(Ordering::SeqCst);
        if process != 0 {
            crate::native::nudge(process);
        }
    }

    /// Whether somebody asked since the last [`take`](Interrupter::take).
    pub fn wanted(&self) -> bool {
        self.0.wanted.load(Ordering::SeqCst)
    }

    /// Takes the request back, and says whether there was one.
    pub fn take(&self) -> bool {
        self.0.wanted.swap(false, Ordering::SeqCst)
    }

    /// Says which process runs (0: none), so that it can be nudged.
    pub(crate) fn watch(&self, process: i32) {
        self.0.process.store(process, Ordering::SeqCst);
    }
}
