//! What a signal is: its number, sets of them, what comes with one
//! ([`SigInfo`]), and what the guest wants done ([`Action`]).
//!
//! Plain data, with the numbers and layouts that RISC-V, AArch64 and x86-64
//! share. How one reaches the guest is in `deliver`.

use crate::addr::GuestAddr;
use crate::memory::Plain;

/// Signals are numbered from 1 to this.
pub const SIGNALS: i32 = 64;

/// A set of signals, bit `n - 1` for signal `n`, as the kernel has it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SignalSet(u64);

impl SignalSet {
    /// Every signal.
    pub const ALL: SignalSet = SignalSet(!0);

    /// The set of these.
    pub const fn of(signals: &[i32]) -> SignalSet {
        let mut bits = 0;
        let mut index = 0;
        while index < signals.len() {
            bits |= 1 << (signals[index] - 1);
            index += 1;
        }
        SignalSet(bits)
    }

    /// The set that these bits say.
    pub const fn from_bits(bits: u64) -> SignalSet {
        SignalSet(bits)
    }

    /// Its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether `signal` is in it.
    pub const fn contains(self, signal: i32) -> bool {
        self.0 >> (signal - 1) & 1 != 0
    }

    /// This set and the other.
    pub const fn with(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 | other.0)
    }

    /// This set less the other.
    pub const fn without(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 & !other.0)
    }

    /// This set less what no thread can block.
    pub const fn blockable(self) -> SignalSet {
        self.without(SignalSet::of(&[libc::SIGKILL, libc::SIGSTOP]))
    }
}

/// `siginfo_t`, 128 bytes on every 64-bit Linux, kept as it came.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct SigInfo {
    /// The signal.
    pub signal: i32,
    /// An error number, mostly 0.
    pub errno: i32,
    /// Who sent it, or why.
    pub code: i32,
    padding: u32,
    fields: [u64; 14],
}

// SAFETY: repr(C) without gaps (4 × 4 + 14 × 8 bytes), integers only.
unsafe impl Plain for SigInfo {
    const ZERO: SigInfo = SigInfo {
        signal: 0,
        errno: 0,
        code: 0,
        padding: 0,
        fields: [0; 14],
    };
}

impl Default for SigInfo {
    fn default() -> SigInfo {
        SigInfo::ZERO
    }
}

impl SigInfo {
    /// A fault of the guest's at an address (`si_addr`).
    pub fn fault(signal: i32, code: i32, address: GuestAddr) -> SigInfo {
        let mut info = SigInfo {
            signal,
            code,
            ..SigInfo::ZERO
        };
        info.fields[0] = address.0;
        info
    }

    /// Where the fault was, for a fault.
    pub fn address(&self) -> GuestAddr {
        GuestAddr(self.fields[0])
    }

    /// The process that sent it, for one that was sent.
    pub fn sender(&self) -> i32 {
        self.fields[0] as i32
    }

    /// The value that was sent with it.
    pub fn value(&self) -> u64 {
        self.fields[1]
    }

    /// What a stop for a tracer says of itself: which, and whose it is.
    pub fn of_stop(code: i32, sender: i32, user: u32) -> SigInfo {
        let mut info = SigInfo {
            signal: libc::SIGTRAP,
            code,
            ..SigInfo::ZERO
        };
        info.fields[0] = sender as u32 as u64 | u64::from(user) << 32;
        info
    }

    /// Whether a process sent it, rather than the kernel.
    pub fn was_sent(&self) -> bool {
        self.code <= 0
    }
}

/// The signal handler value that asks for the default.
pub const HANDLER_DEFAULT: u64 = libc::SIG_DFL as u64;
/// The signal handler value that asks for nothing to be done.
pub const HANDLER_IGNORE: u64 = libc::SIG_IGN as u64;

/// What the guest wants done with a signal.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Action {
    /// The guest's function, or [`HANDLER_DEFAULT`] or [`HANDLER_IGNORE`].
    pub handler: u64,
    /// `SA_…` bits, the same on every architecture.
    pub flags: u64,
    /// Blocked while the handler runs.
    pub mask: SignalSet,
    /// Where the handler returns to, on architectures whose C library says so.
    pub restorer: u64,
}

impl Action {
    /// Whether the guest has a function for it.
    pub fn is_caught(&self) -> bool {
        self.handler != HANDLER_DEFAULT && self.handler != HANDLER_IGNORE
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: i32) -> bool {
        self.flags & flag as u32 as u64 != 0
    }
}

/// What Linux does with a signal that the guest has nothing for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultAction {
    /// The process ends.
    Terminate,
    /// The process stops.
    Stop,
    /// Nothing.
    Ignore,
}

/// What Linux does with `signal` by default.
pub fn default_action(signal: i32) -> DefaultAction {
    match signal {
        libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH | libc::SIGCONT => DefaultAction::Ignore,
        libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => DefaultAction::Stop,
        _ => DefaultAction::Terminate,
    }
}

/// A signal's name, for `--strace`.
pub fn name(signal: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    match usize::try_from(signal - 1)
        .ok()
        .and_then(|index| NAMES.get(index))
    {
        Some(name) => format!("SIG{name}"),
        None => format!("SIG{signal}"),
    }
}
