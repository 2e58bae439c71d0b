//! How a program crashed: written down by the worker as it dies, read by the
//! controller afterwards.
//!
//! The two share a page or more of memory from the start. (A program that has no
//! controller [starts](report) whoever reads it.) In the worker a handler
//! of the signals that crashes are made of writes pc, fault address, the top of
//! the stack and the list of mappings there, puts the signal back to its default
//! and returns: the instruction faults again, and the process dies as it would
//! have, core file and all. A program that installs handlers of its own never
//! reaches this one, and one that asks finds a handler where it might expect
//! none. It runs on a stack of its own on the main thread, so that an overflow is
//! written down too; another thread's leaves no record, unless the program gave that
//! thread an alternate stack. The program does not see that stack either, by the C
//! library's functions.
//!
//! What holds between calls: the record is the worker's own, not a child's that
//! it forked, and is whole once its first word says so.

use std::cell::UnsafeCell;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::mapping::{Mapping, memory_file};
use super::{report, signals};
use crate::addr::HostAddr;
use crate::stop::follows_call;
use crate::view::View;

/// Words of the record: whether it is whole, the signal, the pc, the faulting
/// address, how many words of stack, the length of the mappings' text.
const WHOLE: usize = 0;
const SIGNAL: usize = 1;
const PC: usize = 2;
const FAULT: usize = 3;
const STACK_WORDS: usize = 4;
const MAPS_LENGTH: usize = 5;
/// The process whose record it is.
const PROCESS: usize = 6;
/// Whether `main` has not been called, where that is known.
const BEFORE_MAIN: usize = 7;
/// The stack's words follow, then the mappings.
const STACK: usize = 16;
const MOST_STACK: usize = 1008;
const MAPS: usize = STACK + MOST_STACK;
const LENGTH: u64 = 128 << 10;

/// What crashes are made of.
const SIGNALS: [libc::c_int; 6] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGABRT,
    libc::SIGSYS,
];

/// The controller's end of the record.
#[derive(Debug)]
pub struct Record {
    pub file: File,
    memory: Mapping,
}

/// How a worker crashed.
#[derive(Clone, Debug)]
pub struct Crash {
    /// The signal.
    pub signal: i32,
    /// Where it was.
    pub pc: HostAddr,
    /// The address that could not be reached, for the signals that have one.
    pub fault: HostAddr,
    /// Whether that is known to have been before `main`.
    pub before_main: bool,
    /// The words at the top of its stack.
    stack: Vec<u64>,
    /// `/proc/PID/maps` at that moment.
    maps: String,
}

impl Record {
    /// An empty record.
    pub fn new() -> io::Result<Record> {
        let file = memory_file(c"sapwood crash")?;
        file.set_len(LENGTH)?;
        let memory = Mapping::shared(&file, LENGTH)?;
        Ok(Record { file, memory })
    }

    /// What the worker with this number wrote down.
    pub fn read(&mut self, pid: u32) -> Option<Crash> {
        parse(self.memory.bytes(0..LENGTH))
            .filter(|(process, _)| *process == u64::from(pid))
            .map(|(_, crash)| crash)
    }
}

/// The process that wrote a record down, and how it crashed.
fn parse(bytes: &[u8]) -> Option<(u64, Crash)> {
    let word = |index: usize| {
        let word = &bytes[index * 8..index * 8 + 8];
        u64::from_le_bytes(word.try_into().expect("eight bytes"))
    };
    if bytes.len() as u64 != LENGTH || word(WHOLE) != 1 {
        return None;
    }
    let words = (word(STACK_WORDS) as usize).min(MOST_STACK);
    let most = LENGTH as usize - MAPS * 8;
    let maps = &bytes[MAPS * 8..][..(word(MAPS_LENGTH) as usize).min(most)];
    let crash = Crash {
        signal: word(SIGNAL) as i32,
        pc: HostAddr(word(PC)),
        fault: HostAddr(word(FAULT)),
        before_main: word(BEFORE_MAIN) != 0,
        stack: (STACK..STACK + words).map(word).collect(),
        maps: String::from_utf8_lossy(maps).into_owned(),
    };
    Some((word(PROCESS), crash))
}

impl Crash {
    /// How the program crashed that started this process to report it.
    pub fn to_report() -> Option<Crash> {
        let record = std::fs::read(format!("/proc/self/fd/{}", report::RECORD_FD));
        parse(&record.ok()?).map(|(_, crash)| crash)
    }

    /// Where it was, in words: `parse+0x12 (parse.c)`, and when that was in a
    /// library, which function of the image it was called from. The latter is
    /// found among the words on the stack. `code` reads the image's bytes.
    pub fn place(
        &self,
        view: &View,
        code: &mut dyn FnMut(HostAddr, &mut [u8]) -> bool,
    ) -> Option<String> {
        if let Some(place) = in_image(view, self.pc, 0) {
            return Some(place);
        }
        let library = self.library();
        let caller = self.stack.iter().find_map(|word| {
            // A call that does not return may be a function's last instruction.
            let place = in_image(view, HostAddr(word.wrapping_sub(1)), 1)?;
            let mut read = |at, into: &mut [u8]| code(HostAddr(at), into);
            follows_call(*word, &mut read).then_some(place)
        });
        match (library, caller) {
            (Some(library), Some(caller)) => Some(format!("{library}, called from {caller}")),
            (None, Some(caller)) => Some(format!(
                "{}, where no code is, called from {caller}",
                self.pc
            )),
            (Some(library), None) => Some(library),
            (None, None) => None,
        }
    }

    /// The file that the pc is in.
    fn library(&self) -> Option<String> {
        let mut lines = self.maps.lines();
        lines.find_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (start, end) = fields.next()?.split_once('-')?;
            let hex = |text| u64::from_str_radix(text, 16).ok();
            let range = hex(start)?..hex(end)?;
            let path = fields.nth(4)?;
            let name = path.rsplit('/').next().unwrap_or(path);
            range.contains(&self.pc.get()).then(|| name.to_owned())
        })
    }
}

/// A place in the image, `after` bytes past `at`: the symbol, how far past it, and
/// the input's name.
fn in_image(view: &View, at: HostAddr, after: u64) -> Option<String> {
    let (symbol, past) = view.symbol_at(at)?;
    let past = past + after;
    let input = view.atom_at(at)?.input?;
    let name = view.input_name(input);
    let name = name.rsplit('/').next().unwrap_or(name);
    Some(format!("{}+{past:#x} ({name})", symbol.name))
}

/// The worker's end of the record.
static RECORD: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());

/// The handler's stack on the main thread. The kernel puts all registers on it,
/// vectors too, and the handler calls nothing deep. Nothing of it is touched before
/// a crash.
#[repr(align(64))]
struct HandlerStack(UnsafeCell<[u8; HANDLER_STACK_LEN]>);

/// Its length in bytes: a program's handler that asks for an alternate stack, and has
/// made none, runs there too.
const HANDLER_STACK_LEN: usize = 256 << 10;

// SAFETY: only the kernel, and the handler of the one thread that it was given
// to, use the bytes.
unsafe impl Sync for HandlerStack {}

static HANDLER_STACK: HandlerStack = HandlerStack(UnsafeCell::new([0; HANDLER_STACK_LEN]));

/// Maps the record and installs the handlers. Called on the main thread.
pub fn write_down_crashes(file: &File) -> io::Result<()> {
    begin(libc::MAP_SHARED, file.as_raw_fd())
}

/// The same in memory of this process's own, for [`report`]. What crashes until
/// [`main_is_called`] crashes before `main`.
pub fn report_crashes() -> io::Result<()> {
    begin(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)?;
    put(BEFORE_MAIN, 1);
    Ok(())
}

/// See [`report_crashes`].
pub fn main_is_called() {
    put(BEFORE_MAIN, 0);
}

fn begin(kind: libc::c_int, file: libc::c_int) -> io::Result<()> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping of the kernel's choice touches nobody's memory.
    let start = unsafe { libc::mmap(ptr::null_mut(), LENGTH as usize, access, kind, file, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    RECORD.store(start.cast(), Ordering::Release);
    put(PROCESS, u64::from(std::process::id()));
    take_handler_stack()?;
    for signal in SIGNALS {
        signals::write_down(signal, crashed)?;
    }
    Ok(())
}

/// Makes the handler's stack the calling thread's alternate one.
fn take_handler_stack() -> io::Result<()> {
    let stack = libc::stack_t {
        ss_sp: HANDLER_STACK.0.get().cast(),
        ss_flags: 0,
        ss_size: HANDLER_STACK_LEN,
    };
    // SAFETY: memory that is nobody else's, for good.
    match unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn put(index: usize, value: u64) {
    let record = RECORD.load(Ordering::Acquire);
    assert!(index < MAPS, "a word of the record");
    // SAFETY: the record is mapped for good once it is stored, and is longer
    // than its words.
    unsafe { (*record.add(index)).store(value, Ordering::Release) };
}

/// The handler. Nothing is called here but system calls.
extern "C" fn crashed(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let record = RECORD.load(Ordering::Acquire);
    // SAFETY: the kernel gives valid pointers to a handler with SA_SIGINFO; the
    // record is mapped for good, and what is written to it lies inside.
    unsafe {
        let own = libc::getpid();
        let first = (*record.add(WHOLE)).load(Ordering::Acquire) == 0;
        if first && (*record.add(PROCESS)).load(Ordering::Acquire) == own as u64 {
            let registers = &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
            let sp = registers[libc::REG_RSP as usize] as u64;
            put(SIGNAL, signal as u64);
            put(PC, registers[libc::REG_RIP as usize] as u64);
            put(FAULT, (*info).si_addr() as u64);
            // What is readable of the stack; it may be the stack that is broken.
            let local = libc::iovec {
                iov_base: record.add(STACK).cast(),
                iov_len: MOST_STACK * 8,
            };
            let remote = libc::iovec {
                iov_base: sp as *mut libc::c_void,
                iov_len: MOST_STACK * 8,
            };
            let read = libc::process_vm_readv(own, &raw const local, 1, &raw const remote, 1, 0);
            put(STACK_WORDS, read.max(0) as u64 / 8);
            put(MAPS_LENGTH, read_maps(record.add(MAPS).cast()));
            put(WHOLE, 1);
            report::report(record.cast_const().cast(), LENGTH as usize);
            if (*record.add(BEFORE_MAIN)).load(Ordering::Acquire) != 0 {
                // There was no program yet: it could not be started.
                libc::_exit(1);
            }
        }
        libc::signal(signal, libc::SIG_DFL);
        // What was sent, and is not a fault, would not come again by itself.
        if (*info).si_code <= 0 {
            libc::syscall(libc::SYS_tgkill, own, libc::gettid(), signal);
        }
    }
}

/// Reads the list of mappings into the rest of the record.
///
/// # Safety
/// `into` is where the mappings' text begins.
unsafe fn read_maps(into: *mut u8) -> u64 {
    let room = LENGTH as usize - MAPS * 8;
    let mut length = 0;
    // SAFETY: a C string, a descriptor of this function's own, and the rest of
    // the record.
    unsafe {
        let file = libc::open(
            c"/proc/self/maps".as_ptr(),
            libc::O_RDONLY | libc::O_CLOEXEC,
        );
        while length < room {
            let read = libc::read(file, into.add(length).cast(), room - length);
            if read <= 0 {
                break;
            }
            length += read as usize;
        }
        libc::close(file);
    }
    length as u64
}

/// What a program is given for the C library's functions that tell a signal's
/// handler, and the alternate stack: the same, but for a handler that is this file's,
/// which they call the default, and for the handler's stack, which they call none.
pub fn stands_in_for(name: &str) -> Option<HostAddr> {
    if RECORD.load(Ordering::Relaxed).is_null() {
        return None;
    }
    let function = match name {
        "sigaction" => sigaction as *const (),
        "signal" => signal as *const (),
        "sigaltstack" => sigaltstack as *const (),
        _ => return None,
    };
    Some(HostAddr(function as u64))
}

unsafe extern "C" fn sigaction(
    number: libc::c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> libc::c_int {
    // SAFETY: the arguments are the program's, as the C library takes them; `old`
    // was filled in when it succeeds.
    unsafe {
        let result = libc::sigaction(number, new, old);
        if result == 0 && !old.is_null() && (*old).sa_sigaction == crashed as *const () as usize {
            *old = std::mem::zeroed();
        }
        result
    }
}

unsafe extern "C" fn signal(
    number: libc::c_int,
    handler: libc::sighandler_t,
) -> libc::sighandler_t {
    // SAFETY: the arguments are the program's, as the C library takes them.
    let old = unsafe { libc::signal(number, handler) };
    if old == crashed as *const () as usize {
        libc::SIG_DFL
    } else {
        old
    }
}

unsafe extern "C" fn sigaltstack(
    new: *const libc::stack_t,
    old: *mut libc::stack_t,
) -> libc::c_int {
    // SAFETY: the arguments are the program's, as the C library takes them.
    unsafe {
        let mut before: libc::stack_t = std::mem::zeroed();
        let result = libc::sigaltstack(new, &raw mut before);
        if result != 0 {
            return result;
        }
        let was_ours = before.ss_sp == HANDLER_STACK.0.get().cast();
        if !old.is_null() {
            *old = match was_ours {
                false => before,
                true => libc::stack_t {
                    ss_sp: ptr::null_mut(),
                    ss_flags: libc::SS_DISABLE,
                    ss_size: 0,
                },
            };
        }
        let takes_its_own_away = !new.is_null() && (*new).ss_flags & libc::SS_DISABLE != 0;
        if takes_its_own_away && libc::gettid() == libc::getpid() {
            // Without it an overflow leaves no record, and that is all.
            let _ = take_handler_stack();
        }
        result
    }
}
