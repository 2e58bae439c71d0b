//! [`Signal`] and the table of what to do when one arrives.

use std::fmt;

/// A signal by the kernel's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Signal(pub i32);

/// Number, name and what it means, in gdb's words.
const NAMES: &[(i32, &str, &str)] = &[
    (libc::SIGHUP, "SIGHUP", "Hangup"),
    (libc::SIGINT, "SIGINT", "Interrupt"),
    (libc::SIGQUIT, "SIGQUIT", "Quit"),
    (libc::SIGILL, "SIGILL", "Illegal instruction"),
    (libc::SIGTRAP, "SIGTRAP", "Trace/breakpoint trap"),
    (libc::SIGABRT, "SIGABRT", "Aborted"),
    (libc::SIGBUS, "SIGBUS", "Bus error"),
    (libc::SIGFPE, "SIGFPE", "Arithmetic exception"),
    (libc::SIGKILL, "SIGKILL", "Killed"),
    (libc::SIGUSR1, "SIGUSR1", "User defined signal 1"),
    (libc::SIGSEGV, "SIGSEGV", "Segmentation fault"),
    (libc::SIGUSR2, "SIGUSR2", "User defined signal 2"),
    (libc::SIGPIPE, "SIGPIPE", "Broken pipe"),
    (libc::SIGALRM, "SIGALRM", "Alarm clock"),
    (libc::SIGTERM, "SIGTERM", "Terminated"),
    (libc::SIGSTKFLT, "SIGSTKFLT", "Stack fault"),
    (libc::SIGCHLD, "SIGCHLD", "Child status changed"),
    (libc::SIGCONT, "SIGCONT", "Continued"),
    (libc::SIGSTOP, "SIGSTOP", "Stopped (signal)"),
    (libc::SIGTSTP, "SIGTSTP", "Stopped (user)"),
    (libc::SIGTTIN, "SIGTTIN", "Stopped (tty input)"),
    (libc::SIGTTOU, "SIGTTOU", "Stopped (tty output)"),
    (libc::SIGURG, "SIGURG", "Urgent I/O condition"),
    (libc::SIGXCPU, "SIGXCPU", "CPU time limit exceeded"),
    (libc::SIGXFSZ, "SIGXFSZ", "File size limit exceeded"),
    (libc::SIGVTALRM, "SIGVTALRM", "Virtual timer expired"),
    (libc::SIGPROF, "SIGPROF", "Profiling timer expired"),
    (libc::SIGWINCH, "SIGWINCH", "Window size changed"),
    (libc::SIGIO, "SIGIO", "I/O possible"),
    (libc::SIGPWR, "SIGPWR", "Power fail/restart"),
    (libc::SIGSYS, "SIGSYS", "Bad system call"),
];

/// One past the last signal number of Linux.
pub const SIGNALS: i32 = 65;

impl Signal {
    /// The usual name, `SIG34` for a real-time one.
    pub fn name(self) -> String {
        match NAMES.iter().find(|(n, ..)| *n == self.0) {
            Some((_, name, _)) => (*name).to_owned(),
            None => format!("SIG{}", self.0),
        }
    }

    /// What it means.
    pub fn meaning(self) -> String {
        match NAMES.iter().find(|(n, ..)| *n == self.0) {
            Some((_, _, meaning)) => (*meaning).to_owned(),
            None => format!("Real-time event {}", self.0),
        }
    }

    /// By name, with or without `SIG`, or by number.
    pub fn parse(text: &str) -> Option<Signal> {
        if let Ok(number) = text.parse::<i32>() {
            return (1..SIGNALS).contains(&number).then_some(Signal(number));
        }
        let upper = text.to_ascii_uppercase();
        let full = if upper.starts_with("SIG") {
            upper
        } else {
            format!("SIG{upper}")
        };
        (1..SIGNALS).map(Signal).find(|s| s.name() == full)
    }

    /// Whether a fault of the program's own instruction raises it.
    pub fn is_fault(self) -> bool {
        matches!(
            self.0,
            libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP
        )
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// What to do when a signal arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disposition {
    /// Stop and return to the user.
    pub stop: bool,
    /// Say that it arrived.
    pub print: bool,
    /// Let the program have it.
    pub pass: bool,
}

/// A [`Disposition`] for each signal, with gdb's defaults.
#[derive(Clone, Debug)]
pub struct Dispositions([Disposition; SIGNALS as usize]);

impl Default for Dispositions {
    fn default() -> Dispositions {
        let loud = Disposition {
            stop: true,
            print: true,
            pass: true,
        };
        let quiet = Disposition {
            stop: false,
            print: false,
            pass: true,
        };
        let mut table = [loud; SIGNALS as usize];
        for signal in [
            libc::SIGALRM,
            libc::SIGURG,
            libc::SIGIO,
            libc::SIGVTALRM,
            libc::SIGPROF,
            libc::SIGCHLD,
            libc::SIGWINCH,
            // The two that the C library keeps for itself.
            32,
            33,
        ] {
            table[signal as usize] = quiet;
        }
        for signal in [libc::SIGTRAP, libc::SIGINT] {
            table[signal as usize].pass = false;
        }
        Dispositions(table)
    }
}

impl Dispositions {
    /// What to do with this one.
    pub fn get(&self, signal: Signal) -> Disposition {
        self.0[signal.0.clamp(0, SIGNALS - 1) as usize]
    }

    /// Changes it.
    pub fn set(&mut self, signal: Signal, disposition: Disposition) {
        self.0[signal.0.clamp(0, SIGNALS - 1) as usize] = disposition;
    }
}
