//! Signal actions, masks and stacks.

use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::linux::abi::AlternateStack;
use crate::linux::signal::{Action, SIGNALS, SignalSet};
use crate::linux::structures::GenericAction;
use crate::linux::system_call::{Call, Outcome};
use crate::memory::Plain;

/// Bytes of a signal set, which every call says again.
const SET_SIZE: u64 = 8;
const SS_AUTODISARM: u32 = 1 << 31;

/// `rt_sigaction(signal, new, old, size)`
pub fn rt_sigaction(call: &mut Call<'_>) -> Result<u64, Errno> {
    let signal = call.int(0);
    if call.arguments[3] != SET_SIZE || !(1..=SIGNALS).contains(&signal) {
        return Err(Errno::EINVAL);
    }
    let new = match call.address(1) {
        GuestAddr(0) => None,
        at => Some(read_action(call, at)?),
    };
    let old = match new {
        Some(_) if signal == libc::SIGKILL || signal == libc::SIGSTOP => return Err(Errno::EINVAL),
        Some(action) => call.process().set_action(signal, action)?,
        None => call.process().action(signal),
    };
    match call.address(2) {
        GuestAddr(0) => {}
        at => write_action(call, at, &old)?,
    }
    Ok(0)
}

fn read_action(call: &Call<'_>, at: GuestAddr) -> Result<Action, Errno> {
    if call.process().abi.action_has_restorer() {
        let [handler, flags, restorer, mask] = call.memory().read::<[u64; 4]>(at)?;
        return Ok(Action {
            handler,
            flags,
            restorer,
            mask: SignalSet::from_bits(mask),
        });
    }
    let GenericAction {
        handler,
        flags,
        mask,
    } = call.memory().read(at)?;
    Ok(Action {
        handler,
        flags,
        restorer: 0,
        mask: SignalSet::from_bits(mask),
    })
}

fn write_action(call: &Call<'_>, at: GuestAddr, action: &Action) -> Result<(), Errno> {
    let Action {
        handler,
        flags,
        restorer,
        mask,
    } = *action;
    if call.process().abi.action_has_restorer() {
        return call
            .memory()
            .write(at, &[handler, flags, restorer, mask.bits()]);
    }
    call.memory().write(
        at,
        &GenericAction {
            handler,
            flags,
            mask: mask.bits(),
        },
    )
}

/// `rt_sigprocmask(how, new, old, size)`
pub fn rt_sigprocmask(call: &mut Call<'_>) -> Result<u64, Errno> {
    if call.arguments[3] != SET_SIZE {
        return Err(Errno::EINVAL);
    }
    let old = call.thread.mask;
    if call.arguments[1] != 0 {
        let set = SignalSet::from_bits(call.load(1)?);
        let mask = match call.int(0) {
            libc::SIG_BLOCK => old.with(set),
            libc::SIG_UNBLOCK => old.without(set),
            libc::SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
        call.thread.set_mask(mask);
    }
    if call.arguments[2] != 0 {
        call.store(2, &old.bits())?;
    }
    Ok(0)
}

/// `sigaltstack(new, old)`
pub fn sigaltstack(call: &mut Call<'_>) -> Result<u64, Errno> {
    /// `MINSIGSTKSZ`
    const SMALLEST: u64 = 2048;
    let stack_pointer = call.process().abi.stack_pointer(&call.thread.state);
    let on_it = call.thread.is_on_alternate(stack_pointer);
    let old = call.thread.alternate;
    if call.arguments[0] != 0 {
        let new: AlternateStack = call.load(0)?;
        if on_it {
            return Err(Errno::EPERM);
        }
        call.thread.alternate = match new.flags & !SS_AUTODISARM {
            flags if flags == libc::SS_DISABLE as u32 => AlternateStack {
                flags: new.flags,
                ..AlternateStack::ZERO
            },
            flags if flags != 0 && flags != libc::SS_ONSTACK as u32 => return Err(Errno::EINVAL),
            _ if new.size < SMALLEST => return Err(Errno::ENOMEM),
            _ => AlternateStack {
                flags: new.flags & SS_AUTODISARM,
                ..new
            },
        };
    }
    if call.arguments[1] != 0 {
        let flags = if on_it {
            old.flags | libc::SS_ONSTACK as u32
        } else {
            old.flags
        };
        call.store(1, &AlternateStack { flags, ..old })?;
    }
    Ok(0)
}

/// `rt_sigreturn()`
pub fn rt_sigreturn(call: &mut Call<'_>) -> Outcome {
    call.thread.return_from_handler();
    Outcome::RegistersSet
}

/// `restart_syscall()`: the host restarts its calls by itself, so a guest has
/// nothing to restart.
pub fn restart_syscall(_: &mut Call<'_>) -> Result<u64, Errno> {
    Err(Errno::EINTR)
}
