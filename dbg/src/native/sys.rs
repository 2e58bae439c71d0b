//! The system calls that need `unsafe`: ptrace, wait, fork.
//!
//! The only file of the debugger's that talks to ptrace. Everything here is a
//! thin, typed wrapper: no state, no policy.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::os::raw::{c_int, c_long, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

use libc::{siginfo_t, user_regs_struct};

/// `PTRACE_EVENT_STOP`, which libc does not name everywhere.
pub const EVENT_STOP: i32 = 128;

/// `NT_X86_XSTATE`: the register set that is the XSAVE area.
const NT_X86_XSTATE: usize = 0x202;

/// More than any XSAVE area of today's processors (AMX's is 11,008 bytes).
const XSTATE_MOST: usize = 16 << 10;

/// What a traced program reports, beyond stops by signals.
pub const OPTIONS: c_int = libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACEVFORKDONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACESYSGOOD;

/// The tracee dies with its tracer.
pub const EXIT_KILL: c_int = libc::PTRACE_O_EXITKILL;

fn check(result: c_long) -> io::Result<c_long> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// A request whose address and data are plain numbers.
fn plain(request: libc::c_uint, thread: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: for the requests this file passes here (SEIZE, INTERRUPT, CONT,
    // SINGLESTEP, SYSCALL, DETACH, POKEUSER) the kernel takes both as numbers
    // and touches no memory of ours.
    check(unsafe { libc::ptrace(request, thread, address as *mut c_void, data as *mut c_void) })?;
    Ok(())
}

/// Begins tracing without stopping the thread.
pub fn seize(thread: i32, options: c_int) -> io::Result<()> {
    plain(libc::PTRACE_SEIZE, thread, 0, options as usize)
}

/// Asks a running tracee to stop.
pub fn interrupt(thread: i32) -> io::Result<()> {
    plain(libc::PTRACE_INTERRUPT, thread, 0, 0)
}

/// Lets a stopped tracee go on, with a signal (0: none).
pub fn proceed(thread: i32, signal: i32) -> io::Result<()> {
    plain(libc::PTRACE_CONT, thread, 0, signal as usize)
}

/// Lets a stopped tracee go on to where it next enters or leaves a system call.
pub fn proceed_to_syscall(thread: i32, signal: i32) -> io::Result<()> {
    plain(libc::PTRACE_SYSCALL, thread, 0, signal as usize)
}

/// Whether a thread that is stopped for a system call is entering it:
/// `ptrace_syscall_info.op` is 1 then.
pub fn enters_syscall(thread: i32) -> io::Result<bool> {
    let mut info = [0u8; 96];
    // SAFETY: the kernel writes at most as many bytes as the address argument
    // says, which is the array's length.
    check(unsafe {
        libc::ptrace(
            libc::PTRACE_GET_SYSCALL_INFO,
            thread,
            info.len() as *mut c_void,
            info.as_mut_ptr(),
        )
    })?;
    Ok(info[0] == 1)
}

/// Lets a stopped tracee execute one instruction.
pub fn step(thread: i32, signal: i32) -> io::Result<()> {
    plain(libc::PTRACE_SINGLESTEP, thread, 0, signal as usize)
}

/// Ends tracing of a stopped tracee.
pub fn detach(thread: i32, signal: i32) -> io::Result<()> {
    plain(libc::PTRACE_DETACH, thread, 0, signal as usize)
}

/// The message that came with a `PTRACE_EVENT_*` stop.
pub fn event_message(thread: i32) -> io::Result<u64> {
    let mut message: libc::c_ulong = 0;
    // SAFETY: the kernel writes one unsigned long to the valid pointer.
    check(unsafe {
        libc::ptrace(
            libc::PTRACE_GETEVENTMSG,
            thread,
            std::ptr::null_mut::<c_void>(),
            &raw mut message,
        )
    })?;
    Ok(message)
}

/// What is known of the signal that stopped a thread.
pub fn signal_info(thread: i32) -> io::Result<siginfo_t> {
    let mut info = MaybeUninit::<siginfo_t>::zeroed();
    // SAFETY: the kernel writes one siginfo_t to the valid pointer; all of its
    // bytes were zeroed before, and any bytes are a valid siginfo_t.
    unsafe {
        check(libc::ptrace(
            libc::PTRACE_GETSIGINFO,
            thread,
            std::ptr::null_mut::<c_void>(),
            info.as_mut_ptr(),
        ))?;
        Ok(info.assume_init())
    }
}

/// What is known of the signal that stopped a thread, as the kernel lays it out.
pub fn signal_bytes(thread: i32) -> io::Result<[u8; size_of::<siginfo_t>()]> {
    let info = signal_info(thread)?;
    // SAFETY: the sizes are equal, and every byte was zeroed or written by the
    // kernel.
    Ok(unsafe { std::mem::transmute::<siginfo_t, [u8; size_of::<siginfo_t>()]>(info) })
}

/// The address in a fault's `siginfo_t`, and the sender in one that was sent.
pub fn signal_details(info: &siginfo_t) -> (u64, i32) {
    // SAFETY: reading either union member of a fully initialised siginfo_t gives
    // some number; the caller asks for the one that `si_signo` makes meaningful.
    unsafe { (info.si_addr() as u64, info.si_pid()) }
}

/// The general registers.
pub fn registers(thread: i32) -> io::Result<user_regs_struct> {
    let mut registers = MaybeUninit::<user_regs_struct>::zeroed();
    // SAFETY: the kernel fills the whole structure, which was zeroed and is
    // valid for any bytes.
    unsafe {
        check(libc::ptrace(
            libc::PTRACE_GETREGS,
            thread,
            std::ptr::null_mut::<c_void>(),
            registers.as_mut_ptr(),
        ))?;
        Ok(registers.assume_init())
    }
}

/// Changes the general registers.
pub fn set_registers(thread: i32, registers: &user_regs_struct) -> io::Result<()> {
    // SAFETY: the kernel reads the structure behind the valid pointer.
    check(unsafe {
        libc::ptrace(
            libc::PTRACE_SETREGS,
            thread,
            std::ptr::null_mut::<c_void>(),
            std::ptr::from_ref(registers).cast_mut(),
        )
    })?;
    Ok(())
}

/// The XSAVE area.
pub fn vector_state(thread: i32) -> io::Result<Vec<u8>> {
    let mut area = vec![0u8; XSTATE_MOST];
    let mut slice = libc::iovec {
        iov_base: area.as_mut_ptr().cast(),
        iov_len: area.len(),
    };
    // SAFETY: the kernel writes at most `iov_len` bytes to the buffer that
    // `area` owns, and the length it wrote to `slice`.
    check(unsafe {
        libc::ptrace(
            libc::PTRACE_GETREGSET,
            thread,
            NT_X86_XSTATE as *mut c_void,
            &raw mut slice,
        )
    })?;
    area.truncate(slice.iov_len);
    Ok(area)
}

/// Changes the XSAVE area.
pub fn set_vector_state(thread: i32, area: &[u8]) -> io::Result<()> {
    let slice = libc::iovec {
        iov_base: area.as_ptr().cast_mut().cast(),
        iov_len: area.len(),
    };
    // SAFETY: the kernel reads at most `iov_len` bytes of the borrowed area.
    check(unsafe {
        libc::ptrace(
            libc::PTRACE_SETREGSET,
            thread,
            NT_X86_XSTATE as *mut c_void,
            std::ptr::from_ref(&slice).cast_mut(),
        )
    })?;
    Ok(())
}

/// A thread's blocked signals.
pub fn signal_mask(thread: i32) -> io::Result<u64> {
    let mut mask = 0u64;
    // SAFETY: the kernel writes 8 bytes (the size in the address argument) to
    // the valid pointer.
    check(unsafe {
        libc::ptrace(
            libc::PTRACE_GETSIGMASK,
            thread,
            size_of::<u64>() as *mut c_void,
            &raw mut mask,
        )
    })?;
    Ok(mask)
}

/// Changes a thread's blocked signals.
pub fn set_signal_mask(thread: i32, mask: u64) -> io::Result<()> {
    let mut mask = mask;
    // SAFETY: the kernel reads 8 bytes (the size in the address argument) from
    // the valid pointer.
    check(unsafe {
        libc::ptrace(
            libc::PTRACE_SETSIGMASK,
            thread,
            size_of::<u64>() as *mut c_void,
            &raw mut mask,
        )
    })?;
    Ok(())
}

fn debug_register_offset(number: usize) -> usize {
    std::mem::offset_of!(libc::user, u_debugreg) + number * size_of::<u64>()
}

/// A debug register.
pub fn debug_register(thread: i32, number: usize) -> io::Result<u64> {
    // PEEKUSER gives its result by value, so only errno tells an error.
    // SAFETY: errno is this thread's own; PEEKUSER reads no memory of ours.
    unsafe {
        *libc::__errno_location() = 0;
        let value = libc::ptrace(
            libc::PTRACE_PEEKUSER,
            thread,
            debug_register_offset(number) as *mut c_void,
            std::ptr::null_mut::<c_void>(),
        );
        if value == -1 && *libc::__errno_location() != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(value as u64)
    }
}

/// Changes a debug register.
pub fn set_debug_register(thread: i32, number: usize, value: u64) -> io::Result<()> {
    plain(
        libc::PTRACE_POKEUSER,
        thread,
        debug_register_offset(number),
        value as usize,
    )
}

/// Waits for a tracee of *this thread* (-1: any). Gives `None` when `block` is
/// not set and there is nothing to report.
pub fn wait(thread: i32, block: bool) -> io::Result<Option<(i32, c_int)>> {
    let flags = libc::__WALL | libc::__WNOTHREAD | if block { 0 } else { libc::WNOHANG };
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes one int to the valid pointer.
        let result = unsafe { libc::waitpid(thread, &raw mut status, flags) };
        match result {
            0 => return Ok(None),
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            id => return Ok(Some((id, status))),
        }
    }
}

/// Sends a signal to a process.
pub fn kill(process: i32, signal: i32) {
    // SAFETY: kill touches no memory.
    unsafe { libc::kill(process, signal) };
}

/// Waits for a child that is not traced to end.
pub fn bury(process: i32) {
    // SAFETY: the kernel writes no status where there is no pointer.
    unsafe { libc::waitpid(process, std::ptr::null_mut(), 0) };
}

/// All that the child needs between `fork` and `execve`, made ready before,
/// because the child may not allocate.
pub struct Image {
    /// The file to execute.
    pub path: CString,
    /// Its arguments, its own name first.
    pub arguments: Vec<CString>,
    /// Its environment, `NAME=VALUE`.
    pub environment: Vec<CString>,
    /// Where to be.
    pub directory: Option<CString>,
    /// Descriptors to become 0, 1 and 2.
    pub stdio: [Option<RawFd>; 3],
    /// Whether the kernel places mappings at random.
    pub randomise: bool,
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    let mut pointers: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
    pointers.push(std::ptr::null());
    pointers
}

/// Forks a child that waits for a byte on `go`, then executes the image; if it
/// cannot, it writes errno to `failed` and dies. It leads a process group of
/// its own. Gives the child's number.
///
/// The parent closes its copies of the child's ends.
pub fn spawn(image: &Image, go: RawFd, failed: RawFd) -> io::Result<i32> {
    let arguments = pointers(&image.arguments);
    let environment = pointers(&image.environment);
    // SAFETY: the child runs only `child` below, which allocates nothing, takes
    // no lock and never returns; fork itself has no other requirement.
    let process = unsafe { libc::fork() };
    if process == 0 {
        // SAFETY: in the child; all pointers were made before the fork and are
        // null-terminated arrays of C strings that `image` owns.
        unsafe { child(image, &arguments, &environment, go, failed) }
    }
    check(c_long::from(process))?;
    Ok(process)
}

/// The child between `fork` and `execve`.
///
/// # Safety
/// Only to be called in a freshly forked child. The arrays end with null.
unsafe fn child(
    image: &Image,
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
    go: RawFd,
    failed: RawFd,
) -> ! {
    // SAFETY: each of these is async-signal-safe, and is given pointers that
    // live in memory copied from the parent.
    unsafe {
        libc::setpgid(0, 0);
        for signal in 1..32 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
        let mut byte = 0u8;
        if libc::read(go, (&raw mut byte).cast(), 1) != 1 {
            libc::_exit(127);
        }
        let mut well = true;
        if !image.randomise {
            let now = libc::personality(0xffff_ffff);
            libc::personality((now | libc::ADDR_NO_RANDOMIZE) as libc::c_ulong);
        }
        if let Some(directory) = &image.directory {
            well &= libc::chdir(directory.as_ptr()) == 0;
        }
        for (number, from) in (0..).zip(image.stdio) {
            if let Some(from) = from {
                well &= libc::dup2(from, number) == number;
            }
        }
        if well {
            libc::execve(
                image.path.as_ptr(),
                arguments.as_ptr(),
                environment.as_ptr(),
            );
        }
        let errno = *libc::__errno_location();
        libc::write(failed, (&raw const errno).cast(), size_of::<c_int>());
        libc::_exit(127)
    }
}

/// Words that a process shares with those that it forks.
pub struct SharedWords {
    words: std::ptr::NonNull<AtomicU64>,
    count: usize,
}

impl SharedWords {
    /// So many zeros.
    pub fn new(count: usize) -> io::Result<SharedWords> {
        // SAFETY: a new mapping of the kernel's choosing overlaps nothing.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                count * size_of::<u64>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let words = std::ptr::NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(SharedWords { words, count })
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.count);
        // SAFETY: the mapping has `count` words, is zeroed, aligned to a page,
        // and lives as long as `self`; atomics may be shared with anybody.
        unsafe { self.words.add(index).as_ref() }
    }

    /// A word.
    pub fn get(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::SeqCst)
    }

    /// Changes a word.
    pub fn set(&self, index: usize, value: u64) {
        self.word(index).store(value, Ordering::SeqCst);
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping is `self`'s own, and goes with it.
        unsafe { libc::munmap(self.words.as_ptr().cast(), self.count * size_of::<u64>()) };
    }
}

/// The bit of the first word that says that debug registers watch.
pub const WATCHING: u64 = 1 << 63;

/// Forks a process that waits until nobody has the other end of the pipe `until`
/// any more, and then takes what `list` says out of a process whose memory that
/// is. Gives its number.
pub fn guard(
    process: i32,
    until: RawFd,
    memory: RawFd,
    list: &SharedWords,
    states: &SharedWords,
) -> io::Result<i32> {
    let folder = CString::new(format!("/proc/{process}/task"))?;
    // SAFETY: the child runs only `stand_guard`, which allocates nothing, takes
    // no lock and never returns; fork itself has no other requirement.
    let guardian = unsafe { libc::fork() };
    if guardian == 0 {
        // SAFETY: in the child.
        unsafe { stand_guard(until, memory, list, states, &folder) }
    }
    check(c_long::from(guardian))?;
    Ok(guardian)
}

/// What the guardian does.
///
/// # Safety
/// Only to be called in a freshly forked child.
unsafe fn stand_guard(
    until: RawFd,
    memory: RawFd,
    list: &SharedWords,
    states: &SharedWords,
    folder: &CString,
) -> ! {
    // SAFETY: each of these is async-signal-safe, and is given pointers to this
    // frame or to what was made before the fork.
    unsafe {
        // Nothing that ends the debugger's session or its terminal's ends this.
        libc::setsid();
        libc::prctl(libc::PR_SET_NAME, c"sapwood-guard".as_ptr());
        let (until, memory) = (libc::fcntl(until, libc::F_DUPFD, 10), {
            libc::fcntl(memory, libc::F_DUPFD, 10)
        });
        libc::syscall(libc::SYS_close_range, 0, 9, 0);
        libc::syscall(libc::SYS_close_range, until.max(memory) + 1, u32::MAX, 0);
        let mut byte = 0u8;
        loop {
            let got = libc::read(until, (&raw mut byte).cast(), 1);
            let interrupted = got < 0 && *libc::__errno_location() == libc::EINTR;
            if got == 0 || (got < 0 && !interrupted) {
                break;
            }
        }
        let first = list.get(0);
        for index in 1..=(first & !WATCHING) as usize {
            let word = list.get(index);
            let (at, original) = ((word >> 8) as libc::off_t, word as u8);
            let mut now = 0u8;
            let read = libc::pread(memory, (&raw mut now).cast(), 1, at) == 1;
            if read && now == crate::patches::INT3 {
                libc::pwrite(memory, (&raw const original).cast(), 1, at);
            }
        }
        for index in 0..states.get(0) as usize {
            put_back(states, index);
        }
        if first & WATCHING != 0 {
            stop_watching(folder);
        }
        libc::_exit(0)
    }
}

/// How many words a thread's state takes: the thread, its blocked signals and
/// whether they are known, its registers, the length of its vector registers, and
/// those.
pub const STATE_WORDS: usize = 4 + REGISTER_WORDS + XSTATE_MOST / size_of::<u64>();

const REGISTER_WORDS: usize = size_of::<user_regs_struct>() / size_of::<u64>();

/// Writes a thread's state where a guardian finds it.
pub fn write_state(
    words: &SharedWords,
    index: usize,
    thread: i32,
    registers: &user_regs_struct,
    vectors: &[u8],
    mask: Option<u64>,
) {
    let at = 1 + index * STATE_WORDS;
    words.set(at, thread as u64);
    words.set(at + 1, mask.unwrap_or_default());
    words.set(at + 2, u64::from(mask.is_some()));
    // SAFETY: the structure is made of so many words.
    let registers =
        unsafe { std::mem::transmute::<user_regs_struct, [u64; REGISTER_WORDS]>(*registers) };
    for (number, word) in registers.into_iter().enumerate() {
        words.set(at + 3 + number, word);
    }
    let at = at + 3 + REGISTER_WORDS;
    let vectors = &vectors[..vectors.len().min(XSTATE_MOST)];
    words.set(at, vectors.len() as u64);
    for (number, bytes) in vectors.chunks(size_of::<u64>()).enumerate() {
        let mut word = [0; size_of::<u64>()];
        word[..bytes.len()].copy_from_slice(bytes);
        words.set(at + 1 + number, u64::from_ne_bytes(word));
    }
}

/// Puts a thread back to what was written of it. Allocates nothing.
fn put_back(words: &SharedWords, index: usize) {
    let at = 1 + index * STATE_WORDS;
    let thread = words.get(at) as i32;
    let Some(signal) = hold(thread) else {
        return;
    };
    let mut registers = [0; REGISTER_WORDS];
    for (number, word) in registers.iter_mut().enumerate() {
        *word = words.get(at + 3 + number);
    }
    // SAFETY: the structure is made of so many words, of any value.
    let registers =
        unsafe { std::mem::transmute::<[u64; REGISTER_WORDS], user_regs_struct>(registers) };
    let _ = set_registers(thread, &registers);
    let vectors_at = at + 3 + REGISTER_WORDS;
    let length = (words.get(vectors_at) as usize).min(XSTATE_MOST);
    let mut vectors = [0; XSTATE_MOST];
    for (number, bytes) in vectors.chunks_exact_mut(size_of::<u64>()).enumerate() {
        bytes.copy_from_slice(&words.get(vectors_at + 1 + number).to_ne_bytes());
    }
    if length > 0 {
        let _ = set_vector_state(thread, &vectors[..length]);
    }
    if words.get(at + 2) != 0 {
        let _ = set_signal_mask(thread, words.get(at + 1));
    }
    let _ = detach(thread, signal);
}

/// Takes hold of a thread that runs. Gives the signal that it was about to get,
/// which is for whoever lets it go to deliver.
fn hold(thread: i32) -> Option<c_int> {
    seize(thread, 0).and_then(|()| interrupt(thread)).ok()?;
    match wait(thread, true) {
        Ok(Some((_, status))) if libc::WIFSTOPPED(status) && status >> 16 == 0 => {
            Some(libc::WSTOPSIG(status))
        }
        Ok(Some((_, status))) if libc::WIFSTOPPED(status) => Some(0),
        _ => None,
    }
}

/// Clears the debug registers of every thread in `/proc/PID/task`, allocating
/// nothing. Each entry that the kernel gives of a folder is `{ u64 inode, i64
/// offset, u16 length, u8 type, name }`.
///
/// # Safety
/// Only to be called in a forked child that does nothing else.
unsafe fn stop_watching(folder: &CString) {
    const NAME: usize = 19;
    // SAFETY: the kernel writes at most the buffer's length; the rest takes
    // numbers.
    unsafe {
        let open = libc::open(folder.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
        let mut buffer = [0u8; 4096];
        loop {
            let got = libc::syscall(
                libc::SYS_getdents64,
                open,
                buffer.as_mut_ptr(),
                buffer.len(),
            );
            let Ok(got @ 1..) = usize::try_from(got) else {
                return;
            };
            let mut at = 0;
            while at + NAME < got {
                let length = u16::from_le_bytes([buffer[at + 16], buffer[at + 17]]);
                let name = &buffer[at + NAME..got];
                let digits = name.iter().take_while(|byte| byte.is_ascii_digit());
                let thread = digits.fold(0i32, |n, digit| {
                    n.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'))
                });
                if thread > 0
                    && let Some(signal) = hold(thread)
                {
                    let _ = set_debug_register(thread, 7, 0);
                    let _ = detach(thread, signal);
                }
                at += usize::from(length).max(1);
            }
        }
    }
}

/// The processors this thread may run on, as the kernel's bit mask.
pub fn affinity() -> io::Result<libc::cpu_set_t> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the kernel writes at most the size of the set, which was zeroed.
    unsafe {
        check(c_long::from(libc::sched_getaffinity(
            0,
            size_of::<libc::cpu_set_t>(),
            set.as_mut_ptr(),
        )))?;
        Ok(set.assume_init())
    }
}

/// Restricts this thread to some processors.
pub fn set_affinity(set: &libc::cpu_set_t) -> io::Result<()> {
    // SAFETY: the kernel reads the set behind the valid pointer.
    check(c_long::from(unsafe {
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set)
    }))?;
    Ok(())
}

/// The set of one processor.
pub fn one_processor(number: usize) -> Option<libc::cpu_set_t> {
    if number >= libc::CPU_SETSIZE as usize {
        return None;
    }
    // SAFETY: an all-zero cpu_set_t is the empty set, and the number is in range.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(number, &mut set);
        Some(set)
    }
}

/// Makes `group` the terminal's foreground process group, without being stopped
/// for it when we are in the background ourselves. Says whether it is.
pub fn give_terminal(terminal: RawFd, group: i32) -> bool {
    // SAFETY: the signal sets are initialised by sigemptyset and sigprocmask
    // before they are read; tcsetpgrp touches no memory.
    unsafe {
        let mut blocked = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(blocked.as_mut_ptr());
        libc::sigaddset(blocked.as_mut_ptr(), libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, blocked.as_ptr(), before.as_mut_ptr());
        let given = libc::tcsetpgrp(terminal, group) == 0;
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        given
    }
}

/// The terminal's settings.
pub fn terminal_settings(terminal: RawFd) -> Option<libc::termios> {
    let mut settings = MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: tcgetattr fills the structure when it gives 0.
    unsafe {
        (libc::tcgetattr(terminal, settings.as_mut_ptr()) == 0).then(|| settings.assume_init())
    }
}

/// Changes the terminal's settings. Call it only as the foreground group.
pub fn set_terminal_settings(terminal: RawFd, settings: &libc::termios) {
    // SAFETY: tcsetattr reads the structure behind the valid pointer.
    unsafe { libc::tcsetattr(terminal, libc::TCSADRAIN, settings) };
}

/// The terminal's foreground process group.
pub fn foreground_group(terminal: RawFd) -> Option<i32> {
    // SAFETY: it touches no memory.
    let group = unsafe { libc::tcgetpgrp(terminal) };
    (group > 0).then_some(group)
}

/// Our own process group, and whether a descriptor is a terminal in whose
/// foreground that group is.
pub fn foreground(terminal: RawFd) -> Option<i32> {
    // SAFETY: these touch no memory.
    unsafe {
        let own = libc::getpgrp();
        (libc::isatty(terminal) == 1 && libc::tcgetpgrp(terminal) == own).then_some(own)
    }
}
