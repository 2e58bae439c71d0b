//! Signals of the controller and the worker: what is passed on, what is put
//! back, and dying of the same one.

use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

/// What a user may send to `sapwood run` and mean the program by it.
const PASSED_ON: [libc::c_int; 7] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
];

/// Who gets the signals; zero for nobody.
static RECEIVER: AtomicI32 = AtomicI32::new(0);

/// From here on this process does not die of a signal that was meant for the
/// program: what another process sends is passed on to `pid`, and what the
/// terminal sends has reached `pid` already. It stays so until the process
/// ends; signals that were ignored stay ignored.
pub fn pass_on_to(pid: u32) -> io::Result<()> {
    RECEIVER.store(pid.cast_signed(), Ordering::Relaxed);
    for signal in PASSED_ON {
        if disposition(signal)? != libc::SIG_IGN {
            set_handler(signal, pass_on as *const () as usize)?;
        }
    }
    Ok(())
}

/// No more: the process that got the signals has been reaped, and its number
/// may mean another.
pub fn pass_on_no_more() {
    RECEIVER.store(0, Ordering::Relaxed);
}

/// Keeps this process alive through the signals that end it as a rule, for as
/// long as it waits for a child that gets them too and dies of them; gives the
/// one that came, if any, when it is over.
pub fn hold_off<T>(work: impl FnOnce() -> T) -> io::Result<(T, Option<i32>)> {
    CAME.store(0, Ordering::Relaxed);
    let mut before = Vec::new();
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        let old = disposition(signal)?;
        if old != libc::SIG_IGN {
            set_handler(signal, note as *const () as usize)?;
            before.push((signal, old));
        }
    }
    let result = work();
    for (signal, old) in before {
        set_handler(signal, old)?;
    }
    let came = CAME.load(Ordering::Relaxed);
    Ok((result, (came != 0).then_some(came)))
}

static CAME: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: libc::c_int) {
    CAME.store(signal, Ordering::Relaxed);
}

extern "C" fn pass_on(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    let receiver = RECEIVER.load(Ordering::Relaxed);
    // SAFETY: the kernel gives a valid pointer to the handler of a signal that
    // was installed with SA_SIGINFO.
    let sent_by_a_process = unsafe { (*info).si_code } <= 0;
    if receiver != 0 && sent_by_a_process {
        // SAFETY: `kill` may be called in a signal handler, and touches no
        // memory; errno, which it may set, is put back.
        unsafe {
            let errno = libc::__errno_location();
            let before = *errno;
            libc::kill(receiver, signal);
            *errno = before;
        }
    }
}

/// Undoes what the Rust runtime did to this process's signals at its start, so
/// that the program finds what `exec` would have given it: SIGPIPE is at its
/// default, and nobody catches SIGSEGV and SIGBUS on an alternate stack.
pub fn restore_defaults() -> io::Result<()> {
    set_handler(libc::SIGPIPE, libc::SIG_DFL)?;
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        if disposition(signal)? != libc::SIG_IGN {
            set_handler(signal, libc::SIG_DFL)?;
        }
    }
    let none = libc::stack_t {
        ss_sp: std::ptr::null_mut(),
        ss_flags: libc::SS_DISABLE,
        ss_size: 0,
    };
    // SAFETY: the old stack is no longer used by any handler, since both that
    // ran on it were taken away above.
    check(unsafe { libc::sigaltstack(&raw const none, std::ptr::null_mut()) })
}

/// Blocks every signal for the calling thread. Gives those that were blocked
/// before.
pub fn block_all() -> io::Result<libc::sigset_t> {
    // SAFETY: all-zero sets are valid values to be filled by the calls.
    let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    // SAFETY: the sets are valid for writes, then for reads.
    let failed = unsafe {
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before)
    };
    match failed {
        0 => Ok(before),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Blocks these signals for the calling thread, and no others.
pub fn restore(blocked: &libc::sigset_t) {
    // SAFETY: the set is valid for reads; the call cannot fail for a valid
    // `how`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, blocked, std::ptr::null_mut()) };
}

/// Ends this process by `signal`, as a shell expects of a wrapper whose program
/// died of it; without a core file, since it would be the wrapper's.
pub fn die_of(signal: i32) -> ! {
    let no_core = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: valid structures for the calls; the set is initialised by
    // `sigemptyset` before it is read. What the default action of a signal does
    // to this process is the purpose.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
        libc::signal(signal, libc::SIG_DFL);
        let mut only: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut only);
        libc::sigaddset(&raw mut only, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const only, std::ptr::null_mut());
        libc::raise(signal);
    }
    // The signal's default is not to end a process.
    std::process::exit(128 + signal)
}

/// A signal's name and meaning: `SIGSEGV (Segmentation fault)`.
pub fn describe(signal: i32) -> String {
    // SAFETY: `strsignal` gives a C string that is valid until its next call on
    // this thread.
    let meaning = unsafe {
        let text = libc::strsignal(signal);
        if text.is_null() {
            return format!("signal {signal}");
        }
        std::ffi::CStr::from_ptr(text).to_string_lossy()
    };
    match name(signal) {
        Some(name) => format!("{name} ({meaning})"),
        None => format!("signal {signal} ({meaning})"),
    }
}

fn name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

/// Has `handler` write down how this process crashes of a signal, unless the
/// signal is ignored. It runs on the alternate stack where there is one.
pub fn write_down(
    signal: libc::c_int,
    handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void),
) -> io::Result<()> {
    if disposition(signal)? == libc::SIG_IGN {
        return Ok(());
    }
    // SAFETY: an all-zero action is valid: an empty mask and no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_ONSTACK;
    // SAFETY: the handler has SA_SIGINFO's type, and its author knows that it
    // runs in a signal's context.
    check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })
}

fn disposition(signal: libc::c_int) -> io::Result<libc::sighandler_t> {
    // SAFETY: an all-zero action is valid, and is overwritten by the call.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks only; `old` is valid for writes.
    check(unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut old) })?;
    Ok(old.sa_sigaction)
}

fn set_handler(signal: libc::c_int, handler: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: an all-zero action is valid: an empty mask and no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        action.sa_flags = 0;
    }
    // SAFETY: the handler is one of this file's, written for a signal context
    // and for SA_SIGINFO's arguments (of which `note` takes the first), or one
    // of the kernel's two constants, or what was installed before.
    check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
