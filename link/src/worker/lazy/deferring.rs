//! [`Deferring`]: a worker's abilities, with initialisers kept for later.
//!
//! An initialiser may call a lazy library, which is then published on the same
//! session; so none runs while a publish has the session.

use crate::HostAddr;
use crate::host::{Call, Host, HostError, StopWorld, ThreadLocals, Unwind};
use crate::worker::services::WorkerHost;

/// See the [module page](self).
pub struct Deferring {
    inner: WorkerHost,
    initialisers: Vec<HostAddr>,
}

impl Deferring {
    pub fn new(inner: WorkerHost) -> Deferring {
        Deferring {
            inner,
            initialisers: Vec::new(),
        }
    }

    /// Calls the initialisers that were kept, in order, and no session held.
    pub fn initialise(mut self) -> Result<(), HostError> {
        for function in std::mem::take(&mut self.initialisers) {
            Call::call(&mut self.inner, function, &[])?;
        }
        Ok(())
    }
}

impl Host for Deferring {
    fn call(&mut self) -> Option<&mut dyn Call> {
        Some(self)
    }

    fn world(&mut self) -> Option<&mut dyn StopWorld> {
        self.inner.world()
    }

    fn thread_locals(&mut self) -> Option<&mut dyn ThreadLocals> {
        self.inner.thread_locals()
    }

    fn unwind(&mut self) -> Option<&mut dyn Unwind> {
        self.inner.unwind()
    }
}

impl Call for Deferring {
    fn call(&mut self, function: HostAddr, arguments: &[u64]) -> Result<u64, HostError> {
        Call::call(&mut self.inner, function, arguments)
    }

    fn initialise(&mut self, function: HostAddr) -> Result<(), HostError> {
        self.initialisers.push(function);
        Ok(())
    }

    fn at_exit(&mut self, function: HostAddr) -> Result<(), HostError> {
        self.inner.at_exit(function)
    }
}
