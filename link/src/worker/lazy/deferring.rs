//! [`Deferring`]: a host's abilities, with initialisers kept for later.
//!
//! An initialiser may call a lazy library, which is then published on the same
//! session; so none runs while a publish has the session.

use crate::HostAddr;
use crate::host::{Call, Host, HostError, StopWorld, ThreadLocals, Unwind};

/// See the [module page](self).
pub struct Deferring<H> {
    inner: H,
    initialisers: Vec<HostAddr>,
}

impl<H: Host> Deferring<H> {
    pub fn new(inner: H) -> Deferring<H> {
        Deferring {
            inner,
            initialisers: Vec::new(),
        }
    }

    /// Calls the initialisers that were kept, in order, and no session held.
    pub fn initialise(mut self) -> Result<(), HostError> {
        for function in std::mem::take(&mut self.initialisers) {
            self.calls()?.call(function, &[])?;
        }
        Ok(())
    }

    fn calls(&mut self) -> Result<&mut dyn Call, HostError> {
        let call = self.inner.call();
        call.ok_or_else(|| HostError::Failed("no function can be called here".to_owned()))
    }
}

impl<H: Host> Host for Deferring<H> {
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

impl<H: Host> Call for Deferring<H> {
    fn call(&mut self, function: HostAddr, arguments: &[u64]) -> Result<u64, HostError> {
        self.calls()?.call(function, arguments)
    }

    fn initialise(&mut self, function: HostAddr) -> Result<(), HostError> {
        self.initialisers.push(function);
        Ok(())
    }

    fn at_exit(&mut self, function: HostAddr) -> Result<(), HostError> {
        self.calls()?.at_exit(function)
    }
}
