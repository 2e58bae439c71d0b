//! A report of a crash, by a process that the crashing one starts.
//!
//! A program that is started from what was kept of it has nobody beside it who
//! would say where it crashed. So the handler that writes the crash down starts
//! this executable again, gives it the record as descriptor
//! [`RECORD_FD`], waits until it has said what there is to say, and goes on to die.
//!
//! What holds: everything that the handler needs was made before the program
//! began, and it makes system calls only: the program's heap may be broken.

use std::ffi::{CString, OsString, c_char};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The descriptor that the reporter finds the record in.
pub const RECORD_FD: libc::c_int = 3;

/// A command line and an environment, as `execve` takes them.
struct Command {
    arguments: *const *const c_char,
    environment: *const *const c_char,
}

static REPORTER: AtomicPtr<Command> = AtomicPtr::new(ptr::null_mut());

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// Has crashes reported by this executable, with this command line.
pub fn report_by(words: Vec<OsString>) -> io::Result<()> {
    let words: Result<Vec<CString>, _> = words
        .into_iter()
        .map(|word| CString::new(word.into_vec()))
        .collect();
    let mut arguments: Vec<*const c_char> = words?
        .into_iter()
        .map(|word| word.into_raw().cast_const())
        .collect();
    arguments.push(ptr::null());
    let command = Box::new(Command {
        arguments: arguments.leak().as_ptr(),
        // SAFETY: the environment as this process was given it, which has one
        // thread.
        environment: unsafe { environ },
    });
    REPORTER.store(Box::into_raw(command), Ordering::Release);
    Ok(())
}

/// Starts the reporter, if there is one, and waits for it. For a handler of
/// signals: system calls only.
///
/// # Safety
/// `length` bytes at `record` can be read.
pub unsafe fn report(record: *const u8, length: usize) {
    let reporter = REPORTER.load(Ordering::Acquire);
    if reporter.is_null() {
        return;
    }
    // SAFETY: what the caller promises of the record; the reporter was made
    // before, for good. The child shares nothing with this process and does
    // nothing but system calls until it is another program.
    unsafe {
        let mut all = [!0u64];
        let mut before = [0u64];
        let set_mask = |new: *const u64, old: *mut u64| {
            libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, old, 8);
        };
        set_mask(all.as_mut_ptr(), before.as_mut_ptr());
        let file = libc::memfd_create(c"sapwood crash".as_ptr(), 0);
        let written = file >= 0 && libc::write(file, record.cast(), length) == length as isize;
        let child = match written {
            true => libc::syscall(libc::SYS_fork) as libc::pid_t,
            false => -1,
        };
        if child == 0 {
            set_mask(before.as_ptr(), ptr::null_mut());
            if file == RECORD_FD || libc::dup2(file, RECORD_FD) == RECORD_FD {
                let command = &*reporter;
                libc::execve(
                    c"/proc/self/exe".as_ptr(),
                    command.arguments,
                    command.environment,
                );
            }
            libc::_exit(127);
        }
        if child > 0 {
            let none = ptr::null_mut::<libc::c_int>();
            while libc::syscall(libc::SYS_wait4, child, none, 0, none) < 0
                && *libc::__errno_location() == libc::EINTR
            {}
        }
        libc::close(file);
        set_mask(before.as_ptr(), ptr::null_mut());
    }
}
