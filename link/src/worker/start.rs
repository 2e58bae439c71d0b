//! The worker's side: how it gets ready to be the program, and becomes it.

use std::ffi::{CString, c_char, c_int};
use std::io;

use super::signals;

type Main = unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
    static mut program_invocation_name: *mut c_char;
    static mut program_invocation_short_name: *mut c_char;
}

/// Puts the process into the state in which `exec` hands it to a C program:
/// called once, first thing.
pub fn prepare() -> io::Result<()> {
    signals::restore_defaults()
}

/// Lets any process of the user attach, where the kernel asks for that.
pub fn allow_debuggers() {
    // SAFETY: it sets an attribute of this process.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
}

/// Sleeps until a debugger traces this process. It stands still then, and goes on
/// when the debugger lets it.
pub fn wait_for_debugger() {
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
    let traced = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mut lines = status.lines();
        let tracer = lines.find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_none_or(|tracer| tracer.trim() != "0")
    };
    while !traced() {
        std::thread::sleep(PAUSE);
    }
}

/// The arguments as `main` takes them: an array that ends with a null pointer,
/// and lives as long as the process.
struct Arguments {
    count: c_int,
    array: *mut *mut c_char,
}

impl Arguments {
    /// An argument cannot hold a zero byte: the kernel made none, and the wire
    /// may hold what it likes, so it ends at the first.
    fn new(arguments: impl IntoIterator<Item = Vec<u8>>) -> Arguments {
        let mut array: Vec<*mut c_char> = arguments
            .into_iter()
            .map(|mut bytes| {
                if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
                    bytes.truncate(end);
                }
                CString::new(bytes)
                    .expect("zero bytes were cut off")
                    .into_raw()
            })
            .collect();
        let count = array.len() as c_int;
        array.push(std::ptr::null_mut());
        Arguments {
            count,
            array: array.leak().as_mut_ptr(),
        }
    }

    /// Tells libc and the kernel the program's name, for messages and lists.
    fn name_the_process(&self) {
        // SAFETY: the array holds `count` pointers to C strings that live for
        // ever, and the libc variables are only read by it for messages; the
        // process has one thread.
        unsafe {
            if self.count == 0 {
                return;
            }
            let name = *self.array;
            let slash = libc::strrchr(name, c_int::from(b'/'));
            let short = if slash.is_null() { name } else { slash.add(1) };
            program_invocation_name = name;
            program_invocation_short_name = short;
            libc::prctl(libc::PR_SET_NAME, short);
        }
    }
}

/// Calls the program's `main` and exits with what it returns, through libc, so
/// that what was registered with `atexit` runs and its streams are flushed.
pub fn become_program(main: u64, arguments: Vec<Vec<u8>>) -> ! {
    let arguments = Arguments::new(arguments);
    arguments.name_the_process();
    // SAFETY: whoever controls the worker says that a C `main` is published at
    // this address. From here on the process is the program's, and what it does
    // wrong is its own doing.
    unsafe {
        let main = std::mem::transmute::<usize, Main>(main as usize);
        libc::exit(main(arguments.count, arguments.array, environ))
    }
}
