//! Stops every other thread of this process, and says where each one is.
//!
//! A thread is stopped by a real-time signal whose handler parks it on a futex
//! until the world goes on. Its pc comes from the signal's frame; return
//! addresses are found by reading its stack from the stack pointer up and keeping
//! every word that points behind a call, and the pc in every signal's frame. So a
//! return address that was left in memory nobody has written since counts too.
//! (Frames of the handler itself are marked before it returns, and do not.) A
//! thread that stands on its alternate signal stack has a second stack, found
//! through the frame that the kernel left there. Stacks that no thread runs on
//! (suspended coroutines) are not known to anybody, and not read.
//!
//! A parked thread may hold any lock, the allocator's first of all. So between
//! [`stop`] and the end of [`Stopped`] this file allocates nothing and takes no
//! lock: what it needs is made before, and lists of threads are read with plain
//! system calls. Whoever stops the world must keep to the same rule.
//!
//! A thread that blocks the signal cannot be parked. After a while that is an
//! error, and those that were parked already go on. System calls that sleep and
//! are never restarted (`poll`, `nanosleep`) end with `EINTR`, as after any
//! signal that a program handles.
//!
//! What holds between calls: no thread is parked unless a [`Stopped`] is alive.

use std::ffi::{CStr, c_int, c_void};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::addr::HostAddr;
use crate::gap;

/// The most threads that can be stopped.
const MOST_THREADS: usize = 4096;
/// How long a thread may block the signal before it is taken for one that always
/// does, when it sleeps and when it wants to run: the C library blocks all for
/// moments, and so does the handler that a thread has yet to leave.
const BLOCKED: Duration = Duration::from_millis(100);
const BLOCKED_RUNNING: Duration = Duration::from_secs(2);
/// How long a thread may take to answer that does not block the signal: it may
/// be in the kernel, or wait for a processor.
const SILENT: Duration = Duration::from_secs(10);
/// Bytes of a stack that are read at a time, and the most that are read at all.
const PIECE: usize = 64 << 10;
const DEEPEST: u64 = 1 << 30;

/// One thread to be stopped. `state` is the round's number times eight, and one
/// of the phases below; it is what a thread sleeps on.
struct Slot {
    state: AtomicU32,
    pc: AtomicU64,
    sp: AtomicU64,
    /// The lowest address past its alternate stack, when it stands on one.
    alternate_end: AtomicU64,
}

const ASKED: u32 = 1;
const ARRIVING: u32 = 2;
const PARKED: u32 = 3;
const GO_ON: u32 = 4;

static SLOTS: [Slot; MOST_THREADS] = [const {
    Slot {
        state: AtomicU32::new(0),
        pc: AtomicU64::new(0),
        sp: AtomicU64::new(0),
        alternate_end: AtomicU64::new(0),
    }
}; MOST_THREADS];

/// The number of the newest round: a signal that arrives late names another.
static ROUND: AtomicU32 = AtomicU32::new(0);
/// The signal, once its handler is installed.
static SIGNAL: AtomicU32 = AtomicU32::new(0);
/// Whether the world is stopped, or being stopped.
static BUSY: AtomicBool = AtomicBool::new(false);

/// A stopped world. Dropping it lets the threads go on.
pub struct Stopped {
    threads: Threads,
    _turn: Turn,
}

/// The right to stop the world, which one thread has at a time. Not a mutex
/// guard, because it may be given up on another thread.
struct Turn;

impl Turn {
    fn wait() -> Turn {
        while BUSY.swap(true, Ordering::Acquire) {
            std::thread::sleep(Duration::from_micros(50));
        }
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::Release);
    }
}

/// The threads that were asked to stop, by slot.
struct Threads {
    round: u32,
    tasks: Vec<c_int>,
}

/// Why the world does not stand still; those that had stopped have gone on.
pub enum Refused {
    /// More places than there was room for.
    Full,
    /// A thread that cannot be stopped, or the machine's own refusal.
    Because(String),
}

/// Where the threads are.
#[derive(Default)]
pub struct Places {
    /// Every pc, and every return address on a stack.
    pub found: Vec<HostAddr>,
    /// For each thread its task number, its pc, and where its stack begins.
    pub threads: Vec<(c_int, HostAddr, u64)>,
}

/// Stops every thread but the calling one.
pub fn stop() -> io::Result<(Stopped, Places)> {
    let mut room = 1 << 12;
    loop {
        match try_stop(room) {
            Ok(stopped) => return Ok(stopped),
            Err(Refused::Full) => room *= 8,
            Err(Refused::Because(why)) => return Err(io::Error::other(why)),
        }
    }
}

fn try_stop(room: usize) -> Result<(Stopped, Places), Refused> {
    let turn = Turn::wait();
    let because = |error: io::Error| Refused::Because(error.to_string());
    let signal = install().map_err(because)?;
    let code = executable().map_err(because)?;
    let mut places = Places {
        found: Vec::with_capacity(room),
        threads: Vec::with_capacity(MOST_THREADS),
    };
    let mut piece = vec![0; PIECE];
    let round = ROUND.load(Ordering::Relaxed).wrapping_add(1) % (1 << 28);
    ROUND.store(round, Ordering::Release);
    let mut stopped = Stopped {
        threads: Threads {
            round,
            tasks: Vec::with_capacity(MOST_THREADS),
        },
        _turn: turn,
    };
    // From here on nothing is allocated until the threads go on.
    let read = match stopped.threads.gather(signal) {
        Ok(()) => stopped.threads.read(&code, &mut piece, &mut places),
        Err(silent) => Err(Err(silent)),
    };
    match read {
        Ok(()) => Ok((stopped, places)),
        Err(refusal) => {
            drop(stopped);
            Err(match refusal {
                Ok(Full) => Refused::Full,
                Err(silent) => Refused::Because(silent.describe(signal)),
            })
        }
    }
}

/// More places were found than there is room for.
struct Full;

/// Who did not stop.
enum Silent {
    Blocks(c_int),
    NoAnswer(c_int),
    TooMany,
    Machine(c_int),
}

impl Silent {
    fn describe(self, signal: c_int) -> String {
        let name = |task| {
            let name = std::fs::read_to_string(format!("/proc/self/task/{task}/comm"));
            name.map_or_else(|_| String::from("?"), |name| name.trim().to_owned())
        };
        match self {
            Silent::Blocks(task) => {
                let name = name(task);
                format!(
                    "thread {task} ({name}) blocks signal {signal}, by which it would be stopped"
                )
            }
            Silent::NoAnswer(task) => {
                let name = name(task);
                let seconds = SILENT.as_secs();
                format!("thread {task} ({name}) did not stop within {seconds} s")
            }
            Silent::TooMany => format!("there are more than {MOST_THREADS} threads"),
            Silent::Machine(error) => io::Error::from_raw_os_error(error).to_string(),
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let round = self.threads.round;
        for slot in &SLOTS[..self.threads.tasks.len()] {
            // Whoever has not come yet finds that it is over.
            slot.state.store(round * 8 + GO_ON, Ordering::Release);
            futex(&slot.state, libc::FUTEX_WAKE, c_int::MAX as u32);
        }
    }
}

impl Threads {
    /// Asks every thread, new ones too, and waits until all are parked.
    fn gather(&mut self, signal: c_int) -> Result<(), Silent> {
        // SAFETY: asks for the calling thread's number.
        let own = unsafe { libc::gettid() };
        let began = Instant::now();
        loop {
            let before = self.tasks.len();
            let mut refused = None;
            let mut ask = |task: c_int| {
                if task != own && !self.tasks.contains(&task) && refused.is_none() {
                    refused = self.ask(task, signal).err();
                }
            };
            for_each_task(&mut ask).map_err(Silent::Machine)?;
            if let Some(silent) = refused {
                return Err(silent);
            }
            if self.tasks.len() == before {
                return Ok(());
            }
            for index in before..self.tasks.len() {
                self.wait_for(index, signal, began)?;
            }
        }
    }

    fn ask(&mut self, task: c_int, signal: c_int) -> Result<(), Silent> {
        let index = self.tasks.len();
        if index == MOST_THREADS {
            return Err(Silent::TooMany);
        }
        let slot = &SLOTS[index];
        slot.state.store(self.round * 8 + ASKED, Ordering::Release);
        self.tasks.push(task);
        match send(task, signal, self.round, index) {
            Ok(()) => Ok(()),
            // It has ended.
            Err(libc::ESRCH) => Ok(()),
            Err(error) => Err(Silent::Machine(error)),
        }
    }

    /// Waits until a thread is parked, or has ended.
    fn wait_for(&self, index: usize, signal: c_int, began: Instant) -> Result<(), Silent> {
        let (slot, task) = (&SLOTS[index], self.tasks[index]);
        let mut pause = Duration::from_micros(20);
        loop {
            if slot.state.load(Ordering::Acquire) == self.round * 8 + PARKED {
                return Ok(());
            }
            // What it did not do at once it may not be able to do.
            let waited = began.elapsed();
            if pause > Duration::from_millis(1) {
                match state_of(task) {
                    State::Ended => return Ok(()),
                    State::Blocks { mask, patience }
                        if mask >> (signal - 1) & 1 != 0 && waited > patience =>
                    {
                        return Err(Silent::Blocks(task));
                    }
                    _ if waited > SILENT => return Err(Silent::NoAnswer(task)),
                    _ => {}
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }

    /// Reads every parked thread's pc and stack.
    fn read(
        &self,
        code: &[Range<u64>],
        piece: &mut [u8],
        places: &mut Places,
    ) -> Result<(), Result<Full, Silent>> {
        for (slot, &task) in SLOTS.iter().zip(&self.tasks) {
            if slot.state.load(Ordering::Acquire) != self.round * 8 + PARKED {
                continue;
            }
            let (pc, sp) = (
                slot.pc.load(Ordering::Relaxed),
                slot.sp.load(Ordering::Relaxed),
            );
            places.threads.push((task, HostAddr(pc), sp));
            let mut keep = |word: u64| push(&mut places.found, word);
            keep(pc).map_err(Ok)?;
            let alternate_end = slot.alternate_end.load(Ordering::Relaxed);
            scan(code, sp, alternate_end, piece, &mut keep).map_err(Ok)?;
        }
        Ok(())
    }
}

/// Keeps a word where there is room, without growing.
fn push(found: &mut Vec<HostAddr>, word: u64) -> Result<(), Full> {
    if found.len() == found.capacity() {
        return Err(Full);
    }
    found.push(HostAddr(word));
    Ok(())
}

/// Gives every return address of a thread's stack, and the pc of every signal's
/// frame.
fn scan(
    code: &[Range<u64>],
    sp: u64,
    alternate_end: u64,
    piece: &mut [u8],
    keep: &mut dyn FnMut(u64) -> Result<(), Full>,
) -> Result<(), Full> {
    let mut of_stack = |sp, end, below: &mut Option<u64>| {
        words(sp, end, piece, &mut |window| {
            if let Some((stack, pc)) = interrupted(window).filter(|(_, pc)| is_code(code, *pc)) {
                below.get_or_insert(stack);
                keep(pc)?;
            }
            let word = window[WINDOW - 1];
            let mut read = |at, into: &mut [u8]| read_own(at, into) == into.len();
            let is_return = is_code(code, word) && follows_call(word, &mut read);
            if is_return { keep(word) } else { Ok(()) }
        })
    };
    let mut below = None;
    match alternate_end {
        0 => of_stack(sp, u64::MAX, &mut below),
        end => {
            of_stack(sp, end, &mut below)?;
            match below {
                Some(sp) => of_stack(sp, u64::MAX, &mut None),
                None => Ok(()),
            }
        }
    }
}

/// How many words of a stack are looked at together: from a signal's frame the
/// registers from `rsp` to `cr2`.
pub(crate) const WINDOW: usize = 8;

/// What the handler leaves in place of `cr2` in its own frames, which the kernel
/// does not restore.
const OWN_FRAME: u64 = 0x7361_7077_6f6f_6401;

/// The stack pointer and pc that a signal's frame holds, when these words may be
/// of one: pc, flags and the code segment of user mode follow the stack pointer
/// there.
pub(crate) fn interrupted(window: &[u64; WINDOW]) -> Option<(u64, u64)> {
    let &[stack, pc, flags, segments, .., cr2] = window;
    let is_frame = segments as u16 == 0x33 && flags >> 32 == 0 && cr2 != OWN_FRAME;
    is_frame.then_some((stack, pc))
}

/// The bytes before a return address that show the call.
const CALL: usize = 8;

/// Whether a call may come before an address. `read` reads code.
pub(crate) fn follows_call(at: u64, read: &mut dyn FnMut(u64, &mut [u8]) -> bool) -> bool {
    let mut before = [0; CALL];
    if read(at.wrapping_sub(CALL as u64), &mut before) {
        return ends_in_call(&before);
    }
    // Code may begin with the page.
    let there = (at % 4096) as usize;
    before = [0; CALL];
    let start = CALL.saturating_sub(there);
    start > 0 && read(at - there as u64, &mut before[start..]) && ends_in_call(&before)
}

/// Whether these bytes may end in a call: `e8 rel32`, or `ff /2` with an operand
/// of any length.
fn ends_in_call(bytes: &[u8; CALL]) -> bool {
    let indirect = |length: usize| {
        let (code, operand) = (bytes[CALL - length], bytes[CALL - length + 1]);
        code == 0xff && operand >> 3 & 7 == 2
    };
    bytes[CALL - 5] == 0xe8 || [2, 3, 4, 6, 7].into_iter().any(indirect)
}

/// Whether an address lies in one of these ascending ranges.
pub(crate) fn is_code(code: &[Range<u64>], word: u64) -> bool {
    let after = code.partition_point(|range| range.start <= word);
    after > 0 && word < code[after - 1].end
}

/// Gives the words of this process's memory from `at` on, each as the last of a
/// window, until `end` or until there is nothing to read.
fn words(
    at: u64,
    end: u64,
    piece: &mut [u8],
    take: &mut dyn FnMut(&[u64; WINDOW]) -> Result<(), Full>,
) -> Result<(), Full> {
    let mut at = at & !7;
    let end = end.min(at.saturating_add(DEEPEST));
    let mut window = [0; WINDOW];
    while at < end {
        let step = (PIECE as u64 - at % PIECE as u64).min(end - at) as usize;
        let read = read_own(at, &mut piece[..step]);
        for word in piece[..read].chunks_exact(8) {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            window.rotate_left(1);
            window[WINDOW - 1] = word;
            take(&window)?;
        }
        if read < step {
            break;
        }
        at += step as u64;
    }
    Ok(())
}

/// Reads this process's memory where it is readable; gives how many bytes.
fn read_own(at: u64, into: &mut [u8]) -> usize {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: at as *mut c_void,
        iov_len: into.len(),
    };
    // SAFETY: it writes to `into` only, and fails where there is nothing to
    // read.
    let read = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
    usize::try_from(read).unwrap_or(0)
}

/// This process's executable memory, ascending.
fn executable() -> io::Result<Vec<Range<u64>>> {
    executable_in(&std::fs::read_to_string("/proc/self/maps")?)
}

/// The executable mappings of a `maps` file, ascending.
pub(crate) fn executable_in(maps: &str) -> io::Result<Vec<Range<u64>>> {
    let lines = maps.lines().filter(|line| {
        let access = line.split_ascii_whitespace().nth(1);
        access.is_some_and(|access| access.as_bytes().get(2) == Some(&b'x'))
    });
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    Ok(gap::parse_maps(&text))
}

/// Finds a signal that nobody uses and installs the handler, once.
fn install() -> io::Result<c_int> {
    let known = SIGNAL.load(Ordering::Relaxed) as c_int;
    if known != 0 {
        return Ok(known);
    }
    for signal in (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev() {
        // SAFETY: an all-zero action is valid: no flags and an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: asks for the signal's disposition only.
        let failed = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
        if failed != 0 || action.sa_sigaction != libc::SIG_DFL {
            continue;
        }
        action.sa_sigaction = park as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        // SAFETY: the set is valid for writes; the handler is written for a
        // signal's context and for SA_SIGINFO's arguments.
        let failed = unsafe {
            libc::sigfillset(&raw mut action.sa_mask);
            libc::sigaction(signal, &raw const action, std::ptr::null_mut())
        };
        if failed == 0 {
            SIGNAL.store(signal as u32, Ordering::Relaxed);
            return Ok(signal);
        }
    }
    Err(io::Error::other("the program uses every real-time signal"))
}

/// The handler: parks the thread until the world goes on.
extern "C" fn park(_signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel gives valid pointers to a handler with SA_SIGINFO.
    let (code, sender, value) = unsafe {
        let value = (*info).si_value().sival_ptr as u64;
        ((*info).si_code, (*info).si_pid(), value)
    };
    // SAFETY: a system call without arguments.
    if code != libc::SI_QUEUE || sender != unsafe { libc::getpid() } {
        return;
    }
    let (round, index) = ((value >> 32) as u32, value as u32 as usize);
    let Some(slot) = SLOTS.get(index) else { return };
    let phase = |phase| round * 8 + phase;
    let asked = slot.state.compare_exchange(
        phase(ASKED),
        phase(ARRIVING),
        Ordering::Acquire,
        Ordering::Relaxed,
    );
    if asked.is_err() {
        return;
    }
    // SAFETY: errno is this thread's own; the context is the interrupted
    // thread's, as the kernel saved it, and the stack's description is valid for
    // writes.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let registers = &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let sp = registers[libc::REG_RSP as usize] as u64;
        let alternate = (*context.cast::<libc::ucontext_t>()).uc_stack;
        let first = alternate.ss_sp as u64;
        let end = first.saturating_add(alternate.ss_size as u64);
        let stands_there = (first..end).contains(&sp);
        let end = if stands_there { end } else { 0 };
        let pc = registers[libc::REG_RIP as usize] as u64;
        slot.pc.store(pc, Ordering::Relaxed);
        slot.sp.store(sp, Ordering::Relaxed);
        slot.alternate_end.store(end, Ordering::Relaxed);
        // The world may have gone on without this thread.
        let parked = slot.state.compare_exchange(
            phase(ARRIVING),
            phase(PARKED),
            Ordering::Release,
            Ordering::Relaxed,
        );
        while parked.is_ok() && slot.state.load(Ordering::Acquire) == phase(PARKED) {
            futex(&slot.state, libc::FUTEX_WAIT, phase(PARKED));
        }
        *errno = before;
        let frame = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        frame[libc::REG_CR2 as usize] = OWN_FRAME as i64;
    }
}

/// One futex call on a word of this process.
fn futex(word: &AtomicU32, operation: c_int, value: u32) {
    let timeout: *const libc::timespec = std::ptr::null();
    // SAFETY: the word is alive for ever, and the kernel only reads it.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation | libc::FUTEX_PRIVATE_FLAG,
            value,
            timeout,
        )
    };
}

/// Sends the signal to one thread, with the round and the slot.
fn send(task: c_int, signal: c_int, round: u32, index: usize) -> Result<(), c_int> {
    /// The head of `siginfo_t` as `SI_QUEUE` has it.
    #[repr(C, align(8))]
    struct Info {
        signal: c_int,
        errno: c_int,
        code: c_int,
        padding: c_int,
        pid: libc::pid_t,
        uid: libc::uid_t,
        value: u64,
        rest: [u8; 96],
    }
    // SAFETY: the structure is as long as the kernel's, and only read; the
    // other calls ask for numbers.
    let failed = unsafe {
        let info = Info {
            signal,
            errno: 0,
            code: libc::SI_QUEUE,
            padding: 0,
            pid: libc::getpid(),
            uid: libc::getuid(),
            value: u64::from(round) << 32 | index as u64,
            rest: [0; 96],
        };
        libc::syscall(
            libc::SYS_rt_tgsigqueueinfo,
            info.pid,
            task,
            signal,
            &raw const info,
        )
    };
    match failed {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
}

/// What the kernel says of a thread.
enum State {
    Ended,
    /// The signals it blocks, and how long it may.
    Blocks {
        mask: u64,
        patience: Duration,
    },
}

/// Reads `/proc/self/task/TASK/status` without allocating.
fn state_of(task: c_int) -> State {
    let mut path = [0; 64];
    write_path(&mut path, task);
    let mut text = [0; 4096];
    let length = read_file(&path, &mut text);
    if length == 0 {
        return State::Ended;
    }
    let text = &text[..length];
    let field = |name: &[u8]| {
        let at = text.windows(name.len()).position(|word| word == name)?;
        Some(text[at + name.len()..].trim_ascii_start())
    };
    let patience = match field(b"\nState:") {
        Some([b'Z' | b'X', ..]) | None => return State::Ended,
        Some([b'S', ..]) => BLOCKED,
        Some(_) => BLOCKED_RUNNING,
    };
    let digits = field(b"\nSigBlk:").unwrap_or_default();
    let digits = digits
        .iter()
        .map_while(|digit| (*digit as char).to_digit(16));
    let mask = digits.fold(0, |mask, digit| mask << 4 | u64::from(digit));
    State::Blocks { mask, patience }
}

/// Writes `/proc/self/task/TASK/status` and a zero byte.
fn write_path(path: &mut [u8; 64], task: c_int) {
    let mut digits = [0; 10];
    let (mut rest, mut count) = (task.unsigned_abs(), 0);
    while rest > 0 {
        digits[count] = b'0' + (rest % 10) as u8;
        rest /= 10;
        count += 1;
    }
    let digits = digits[..count].iter().rev();
    let text = b"/proc/self/task/".iter().chain(digits).chain(b"/status\0");
    for (to, from) in path.iter_mut().zip(text) {
        *to = *from;
    }
}

/// Reads the beginning of a file; gives how much was read.
fn read_file(path: &[u8], into: &mut [u8]) -> usize {
    let Ok(path) = CStr::from_bytes_until_nul(path) else {
        return 0;
    };
    // SAFETY: a C string; the descriptor is this function's own; the buffer is
    // valid for writes of its length.
    let read = unsafe {
        let file = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return 0;
        }
        let read = libc::read(file, into.as_mut_ptr().cast(), into.len());
        libc::close(file);
        read
    };
    usize::try_from(read).unwrap_or(0)
}

/// Gives the number of each of this process's threads, without allocating.
fn for_each_task(take: &mut dyn FnMut(c_int)) -> Result<(), c_int> {
    let failed = || Err(io::Error::last_os_error().raw_os_error().unwrap_or(0));
    /// Room for directory entries, aligned as the kernel writes them.
    #[repr(C, align(8))]
    struct Entries([u8; 4096]);
    let mut entries = Entries([0; 4096]);
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a C string.
    let folder = unsafe { libc::open(c"/proc/self/task".as_ptr(), flags) };
    if folder < 0 {
        return failed();
    }
    let result = loop {
        let length = entries.0.len();
        let into = entries.0.as_mut_ptr();
        // SAFETY: the buffer is valid for writes of its length.
        let read = unsafe { libc::syscall(libc::SYS_getdents64, folder, into, length) };
        match usize::try_from(read) {
            Ok(0) => break Ok(()),
            Ok(read) => task_numbers(&entries.0[..read], take),
            Err(_) => break failed(),
        }
    };
    // SAFETY: the descriptor is this function's own.
    unsafe { libc::close(folder) };
    result
}

/// The names of directory entries (`struct linux_dirent64`) that are numbers.
fn task_numbers(mut entries: &[u8], take: &mut dyn FnMut(c_int)) {
    /// Offsets of the entry's length and of its name.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    while entries.len() > NAME {
        let length = usize::from(u16::from_le_bytes([entries[LENGTH], entries[LENGTH + 1]]));
        let Some((entry, rest)) = entries.split_at_checked(length.max(NAME)) else {
            return;
        };
        let name = CStr::from_bytes_until_nul(&entry[NAME..]);
        let name = name.ok().and_then(|name| name.to_str().ok());
        if let Some(task) = name.and_then(|name| name.parse().ok()) {
            take(task);
        }
        entries = rest;
    }
}
