//! The worker's side: how it gets ready to be the program, and becomes it.

use std::ffi::{CString, OsStr, OsString, c_char, c_int};
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::agent;
use super::signals;

/// What `rsi` holds when a debuggee stops, and [`Start::magic`] with it:
/// `sapwood1` as little-endian bytes.
pub const MAGIC: u64 = u64::from_le_bytes(*b"sapwood1");

/// What a debugger finds, and fills in, when a debuggee stops. See the
/// [module page](super).
#[repr(C)]
#[derive(Debug)]
pub struct Start {
    /// [`MAGIC`].
    pub magic: u64,
    /// The address of `main`: zero, until the debugger writes it.
    pub main: u64,
    /// The number of arguments, the program's name included.
    pub argc: u64,
    /// The address of the arguments, as `main` will get it.
    pub argv: u64,
    /// The address of the environment, as `main` will get it.
    pub envp: u64,
}

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
    call_main(main, &arguments)
}

fn call_main(main: u64, arguments: &Arguments) -> ! {
    // SAFETY: whoever controls the worker says that a C `main` is published at
    // this address. From here on the process is the program's, and what it does
    // wrong is its own doing.
    unsafe {
        let main = std::mem::transmute::<usize, Main>(main as usize);
        libc::exit(main(arguments.count, arguments.array, environ))
    }
}

/// `__worker debuggee [-l LIBRARY]… -- NAME [ARGUMENT]…`: see the
/// [module page](super).
pub fn debuggee(command_line: &[OsString]) -> ! {
    let (libraries, arguments) = split_command_line(command_line);
    if let Err(error) = prepare() {
        give_up(&format!("cannot reset signals: {error}"));
    }
    for library in libraries {
        if let Err(why) = agent::open_library(&library.to_string_lossy()) {
            give_up(&why);
        }
    }
    let arguments = Arguments::new(arguments.iter().map(|a| a.as_bytes().to_vec()));
    arguments.name_the_process();
    let mut start = Start {
        magic: MAGIC,
        main: 0,
        argc: arguments.count as u64,
        argv: arguments.array as u64,
        // SAFETY: a read of a pointer; the process has one thread.
        envp: unsafe { environ } as u64,
    };
    sapwood_worker_ready(&raw mut start, MAGIC);
    // SAFETY: a read of a live local, which the debugger may have written: it
    // must not be read from a register.
    let main = unsafe { (&raw const start.main).read_volatile() };
    if main == 0 {
        std::process::exit(127);
    }
    call_main(main, &arguments)
}

/// The libraries named by `-l`, and what follows `--`.
fn split_command_line(command_line: &[OsString]) -> (Vec<&OsStr>, &[OsString]) {
    let mut libraries = Vec::new();
    let mut rest = command_line;
    while let [word, library, after @ ..] = rest
        && word == "-l"
    {
        libraries.push(library.as_os_str());
        rest = after;
    }
    match rest {
        [dashes, arguments @ ..] if dashes == "--" => (libraries, arguments),
        _ => give_up("the command line of a debuggee is `[-l LIBRARY]... -- NAME [ARGUMENT]...`"),
    }
}

/// Where a debuggee stops, with `start` in `rdi` and [`MAGIC`] in `rsi`. See
/// the [module page](super).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sapwood_worker_ready(start: *mut Start, magic: u64) {
    // SAFETY: a trap, which a debugger takes and goes on from; it may write
    // memory, as an asm block may by default. Without a debugger the process
    // dies of SIGTRAP, as it should.
    unsafe {
        std::arch::asm!("int3", in("rdi") start, in("rsi") magic);
    }
}

fn give_up(why: &str) -> ! {
    eprintln!("error: {why}");
    std::process::exit(127)
}
