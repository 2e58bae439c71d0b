//! Bringing signals to the guest: which action is taken, on which stack, with
//! which mask, and what becomes of an interrupted system call.
//!
//! A signal gets here in one of two ways. Either the host's kernel gave it to
//! our handler, which happens only while the guest has a handler for it (the
//! host does what the guest's default is by itself), or for the few signals
//! that report faults; or the guest's own instruction faulted.

use super::abi::{AlternateStack, Entry, FrameContents};
use super::gdb::Stop;
use super::host::{self, Disposition, FAULT_SIGNALS};
use super::signal::{
    Action, DefaultAction, HANDLER_DEFAULT, HANDLER_IGNORE, SIGNALS, SigInfo, SignalSet,
    default_action,
};
use super::thread::{Process, Thread};
use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::memory::Plain;
use std::sync::atomic::Ordering;

/// `SS_AUTODISARM`: the alternate stack is disarmed while a handler uses it.
const SS_AUTODISARM: u32 = 1 << 31;

impl Process {
    /// Sets what is done with a signal, here and on the host; gives what was.
    pub fn set_action(&self, signal: i32, action: Action) -> Result<Action, Errno> {
        let mut actions = self.actions();
        let kept = (libc::SA_NOCLDSTOP | libc::SA_NOCLDWAIT) as u64;
        let disposition = match action.handler {
            HANDLER_DEFAULT => Disposition::Default(action.flags & kept),
            HANDLER_IGNORE => Disposition::Ignore,
            _ => Disposition::Catch(action.flags & kept),
        };
        let disposition = match self.traced().is_some() {
            // Its tracer is told of each.
            true => Disposition::Catch(action.flags & kept),
            false => disposition,
        };
        if !FAULT_SIGNALS.contains(signal) {
            host::set_disposition(signal, disposition)?;
        }
        let action = Action {
            mask: action.mask.blockable(),
            ..action
        };
        Ok(std::mem::replace(&mut actions[signal as usize - 1], action))
    }

    /// Has the host do what is right now that the process is traced, or is not
    /// any more.
    pub fn renew_dispositions(&self) {
        for signal in 1..=SIGNALS {
            let action = self.action(signal);
            let _ = self.set_action(signal, action);
        }
    }
}

impl Thread {
    /// Sets the signals that this thread blocks.
    pub fn set_mask(&mut self, mask: SignalSet) {
        self.mask = mask.blockable();
        host::block_all();
        self.open_signals();
    }

    /// Makes the host's mask the guest's, unless a signal waits: then all stay
    /// blocked until it is taken. All are blocked when this is called.
    pub fn open_signals(&self) {
        if !self.mailbox.is_full() {
            host::set_mask(self.mask);
        }
    }

    /// Delivers what waits. Afterwards nothing is pending, and the host's mask
    /// is the guest's.
    pub fn take_signals(&mut self) {
        loop {
            self.state.interrupt.store(0, Ordering::Relaxed);
            if let Some(orders) = self.mailbox.take_orders() {
                self.obey(orders);
                self.open_signals();
            } else if let Some(info) = self.mailbox.take() {
                self.deliver(info);
                self.open_signals();
            } else if let Some(index) = self
                .held
                .iter()
                .position(|info| !self.mask.contains(info.signal))
            {
                let info = self.held.remove(index);
                self.deliver(info);
                self.open_signals();
            } else {
                break;
            }
        }
        self.restarting = false;
    }

    /// A signal that the thread cannot put off: its own instruction faulted.
    pub fn force(&mut self, info: SigInfo) {
        if !self.debugger_passes(&info) {
            return;
        }
        match self.tracer_passes(&info) {
            Some(info) => self.force_untold(info),
            None => self.open_signals(),
        }
    }

    /// The same, after whoever wants to know was told.
    pub fn force_untold(&mut self, info: SigInfo) {
        let action = self.process.action(info.signal);
        if !action.is_caught() || self.mask.contains(info.signal) {
            self.die(&info);
        }
        self.trace(&info);
        host::block_all();
        self.enter(&action, info);
        self.open_signals();
    }

    fn deliver(&mut self, info: SigInfo) {
        let signal = info.signal;
        if self.mask.contains(signal) && FAULT_SIGNALS.contains(signal) {
            self.held.push(info);
            return;
        }
        if !self.debugger_passes(&info) {
            return;
        }
        let Some(info) = self.tracer_passes(&info) else {
            return;
        };
        let signal = info.signal;
        let action = self.process.action(signal);
        self.trace(&info);
        match action.handler {
            HANDLER_IGNORE => {}
            HANDLER_DEFAULT => match default_action(signal) {
                DefaultAction::Terminate => self.die(&info),
                // The disposition changed while the signal was on its way; the
                // host does what the default is when it is sent once more.
                DefaultAction::Stop if self.group_stop(signal) => {}
                DefaultAction::Stop => host::send_to_self(signal),
                DefaultAction::Ignore => {}
            },
            _ => self.enter(&action, info),
        }
    }

    /// Whether the guest is to get a signal, of which a debugger is told first.
    fn debugger_passes(&mut self, info: &SigInfo) -> bool {
        let process = self.process.clone();
        match &process.stub {
            Some(stub) => stub.stop(self, Stop::Signal(info.signal)) == Some(info.signal),
            None => true,
        }
    }

    /// Puts the guest into its handler.
    fn enter(&mut self, action: &Action, info: SigInfo) {
        let process = self.process.clone();
        let abi = process.abi;
        if self.restarting && !action.has(libc::SA_RESTART) {
            abi.set_result(&mut self.state, Errno::EINTR.as_result());
            abi.step_over_call(&mut self.state);
        }
        self.restarting = false;
        let contents = FrameContents {
            info,
            mask: self.mask,
            alternate: self.alternate,
        };
        let entry = Entry {
            handler: GuestAddr(action.handler),
            stack: self.handler_stack(action),
            trampoline: process.trampoline,
        };
        if abi
            .enter_handler(&mut self.state, &process.memory, entry, &contents)
            .is_err()
        {
            self.die(&SigInfo::fault(libc::SIGSEGV, libc::SI_KERNEL, entry.stack));
        }
        if self.alternate.flags & SS_AUTODISARM != 0 {
            self.alternate = AlternateStack {
                flags: libc::SS_DISABLE as u32,
                ..AlternateStack::ZERO
            };
        }
        let mut mask = self.mask.with(action.mask);
        if !action.has(libc::SA_NODEFER) {
            mask = mask.with(SignalSet::of(&[info.signal]));
        }
        self.mask = mask.blockable();
        if action.has(libc::SA_RESETHAND) {
            let default = Action {
                handler: HANDLER_DEFAULT,
                ..*action
            };
            let _ = process.set_action(info.signal, default);
        }
    }

    /// The stack that a handler runs on.
    fn handler_stack(&self, action: &Action) -> GuestAddr {
        let stack = self.process.abi.stack_pointer(&self.state);
        let usable = action.has(libc::SA_ONSTACK)
            && self.alternate.flags & libc::SS_DISABLE as u32 == 0
            && !self.is_on_alternate(stack);
        if usable {
            GuestAddr(self.alternate.base + self.alternate.size)
        } else {
            stack
        }
    }

    /// Whether a stack pointer lies on the alternate stack.
    pub fn is_on_alternate(&self, stack: GuestAddr) -> bool {
        self.alternate.flags & SS_AUTODISARM == 0
            && stack.0 > self.alternate.base
            && stack.0 - self.alternate.base <= self.alternate.size
    }

    /// Goes back from a handler. A frame that cannot be read is fatal.
    pub fn return_from_handler(&mut self) {
        let process = self.process.clone();
        match process.abi.leave_handler(&mut self.state, &process.memory) {
            Ok((mask, alternate)) => {
                self.alternate = alternate;
                self.set_mask(mask);
            }
            Err(_) => self.force(SigInfo::fault(libc::SIGSEGV, libc::SI_KERNEL, GuestAddr(0))),
        }
    }

    /// The process dies of a signal.
    fn die(&mut self, info: &SigInfo) -> ! {
        self.trace(info);
        self.process.ended(Err(info.signal));
        host::die_of(info.signal)
    }

    fn trace(&self, info: &SigInfo) {
        if self.process.options.trace_calls {
            super::strace::signal(self, info);
        }
    }
}
