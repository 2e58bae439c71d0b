//! The host's kernel, asked directly: system calls that a signal can interrupt
//! without a race, signal dispositions and masks, and the ends of threads and
//! of the process.
//!
//! The C library is passed by on purpose. Its `sigaction` hides two signals
//! that the guest's own C library needs, and none of its calls can tell a
//! signal that came just before the system call from one that did not come.
//!
//! **The race.** A guest thread is about to block in `read`. A signal comes for
//! which the guest has a handler; ours only leaves a note, for the guest's
//! handler cannot run inside it. If that happens after the thread looked for
//! notes and before the kernel is entered, the guest sleeps on its signal. So
//! looking and entering are one short stretch of assembly, and a handler that
//! finds the thread inside that stretch moves it to another end of it, where
//! [`NOT_BEGUN`] is the result: the guest's handler runs first, and then the
//! call is made. Host handlers are installed with `SA_RESTART`: a call that
//! Linux would restart is found with its program counter back on the `syscall`
//! instruction, inside the stretch, and with what that instruction leaves in
//! `rcx`, so that it is told from one that has not begun: it gives [`RESTART`].
//! One that must not be restarted is found behind the stretch with `EINTR`. So
//! the kernel itself decides which calls restart.
//!
//! **Masks.** A guest thread's signal mask is its host thread's, but for the
//! signals by which the processor reports faults: those stay open, since the
//! engine needs them. What is blocked thus stays pending in the kernel, and
//! `sigpending`, `sigtimedwait` and `signalfd` work by themselves. From the
//! moment our handler has left a note until the guest's handler is entered,
//! everything is blocked: one note is all that a thread ever has.

pub mod tracing;

use std::arch::global_asm;
use std::cell::{Cell, UnsafeCell};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::crash::{self, Crash};
use super::signal::{SigInfo, SignalSet};
use crate::Engine;
use crate::errno::Errno;
use crate::state::GuestState;

/// What an interruptible system call gives when a signal came while it slept
/// in a way that Linux restarts, if the handler wants that. Never shown to the
/// guest.
pub const RESTART: Errno = Errno(512);
/// What it gives when a signal came before it began. Never shown to the guest.
pub const NOT_BEGUN: Errno = Errno(513);

/// Signals that an access of translated code raises on the host: the engine
/// has handlers for them, and a guest cannot block them on the host.
pub const FAULT_SIGNALS: SignalSet = SignalSet::of(&[libc::SIGSEGV, libc::SIGBUS]);

/// Signals that an instruction can raise. From the kernel, on the host, and not
/// taken by the engine, they mean that the emulator itself is broken.
const INSTRUCTION_SIGNALS: SignalSet = SignalSet::of(&[
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
]);

const SA_RESTORER: u64 = 0x0400_0000;
/// Bytes of the kernel's signal set.
const SET_SIZE: usize = 8;

global_asm!(
    // sapwood_system_call(pending: *const u32, number: u64, arguments: *const [u64; 6]) -> i64
    ".pushsection .text.sapwood_system_call,\"ax\",@progbits",
    ".globl sapwood_system_call",
    ".globl sapwood_system_call_begin",
    ".globl sapwood_system_call_end",
    ".globl sapwood_system_call_interrupted",
    ".globl sapwood_system_call_not_begun",
    ".globl sapwood_restore_rt",
    "sapwood_system_call:",
    "    push rbx",
    "    mov rbx, rdi",
    "    mov rax, rsi",
    "    mov r11, rdx",
    "    mov rdi, [r11]",
    "    mov rsi, [r11 + 8]",
    "    mov rdx, [r11 + 16]",
    "    mov r10, [r11 + 24]",
    "    mov r8, [r11 + 32]",
    "    mov r9, [r11 + 40]",
    // Not what the syscall instruction leaves there.
    "    xor ecx, ecx",
    "sapwood_system_call_begin:",
    "    cmp dword ptr [rbx], 0",
    "    jne sapwood_system_call_not_begun",
    "    syscall",
    "sapwood_system_call_end:",
    "    pop rbx",
    "    ret",
    "sapwood_system_call_interrupted:",
    "    mov rax, -512",
    "    pop rbx",
    "    ret",
    "sapwood_system_call_not_begun:",
    "    mov rax, -513",
    "    pop rbx",
    "    ret",
    "sapwood_restore_rt:",
    "    mov eax, 15", // rt_sigreturn
    "    syscall",
    ".popsection",
);

unsafe extern "C" {
    fn sapwood_system_call(
        pending: *const AtomicU32,
        number: u64,
        arguments: *const [u64; 6],
    ) -> i64;
    static sapwood_system_call_begin: u8;
    static sapwood_system_call_end: u8;
    static sapwood_system_call_interrupted: u8;
    static sapwood_system_call_not_begun: u8;
    fn sapwood_restore_rt();
}

/// Where the host's signal handler leaves a signal for its thread.
#[derive(Default)]
pub struct Mailbox {
    /// Which of the slots below hold a signal, one bit each, and [`ORDERS`].
    pending: AtomicU32,
    slots: [UnsafeCell<SigInfo>; 2],
    /// What a tracer wants done.
    orders: AtomicU64,
}

/// The slot for all signals that can be blocked while it is full.
const ORDINARY: usize = 0;
/// The slot for the others; a second one is dropped, for such signals do not
/// queue anyway.
const FAULT: usize = 1;
/// The bit of `pending` that says that there are orders.
const ORDERS: u32 = 1 << 2;

// SAFETY: a slot is written on the owning thread, by the handler, while its
// bit of `pending` is zero, and read by that thread while it is set.
unsafe impl Sync for Mailbox {}

impl Mailbox {
    /// Takes a signal that waits, if one does. All signals stay blocked on the
    /// host until the caller sets the mask.
    pub fn take(&self) -> Option<SigInfo> {
        let pending = self.pending.load(Ordering::Acquire);
        let slot = if pending & 1 << FAULT != 0 {
            FAULT
        } else {
            ORDINARY
        };
        if pending & 1 << slot == 0 {
            return None;
        }
        // SAFETY: the slot's bit is set, so the handler has written it and
        // leaves it alone until the bit is cleared.
        let info = unsafe { *self.slots[slot].get() };
        self.pending.fetch_and(!(1 << slot), Ordering::AcqRel);
        Some(info)
    }

    /// Whether a signal waits.
    pub fn is_full(&self) -> bool {
        self.pending.load(Ordering::Acquire) != 0
    }

    /// Takes a tracer's orders, if there are any. All signals stay blocked, as
    /// after [`take`](Self::take).
    pub fn take_orders(&self) -> Option<u64> {
        if self.pending.load(Ordering::Acquire) & ORDERS == 0 {
            return None;
        }
        self.pending.fetch_and(!ORDERS, Ordering::AcqRel);
        Some(self.orders.swap(0, Ordering::AcqRel))
    }

    /// Drops the signals that wait: a fork's child does not inherit them. Orders
    /// may be for it already.
    pub fn forget(&self) {
        self.pending.fetch_and(ORDERS, Ordering::AcqRel);
    }

    /// Leaves a signal, or orders; called by the handler alone.
    fn leave(&self, info: SigInfo) {
        if info.signal == libc::SIGSEGV && info.code == tracing::ORDER_CODE {
            self.orders.fetch_or(info.value(), Ordering::AcqRel);
            self.pending.fetch_or(ORDERS, Ordering::AcqRel);
            return;
        }
        let slot = if FAULT_SIGNALS.contains(info.signal) {
            FAULT
        } else {
            ORDINARY
        };
        if self.pending.load(Ordering::Acquire) & 1 << slot == 0 {
            // SAFETY: the slot's bit is clear, so nobody reads it.
            unsafe { *self.slots[slot].get() = info };
            self.pending.fetch_or(1 << slot, Ordering::AcqRel);
        }
    }
}

thread_local! {
    /// The guest thread that runs here.
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
}

/// The mailbox and the registers of a guest thread, and what runs it.
#[derive(Clone, Copy)]
struct Current {
    mailbox: *const Mailbox,
    state: *const GuestState,
    engine: *const Engine,
}

/// A guest thread, to take what reaches a thread that is none of the guest's.
static FALLBACK_THREAD: AtomicI32 = AtomicI32::new(0);

/// Makes this host thread take signals for a guest thread: each is left in
/// `mailbox`, and the state's `interrupt` set to 1.
///
/// # Safety
/// All stay where they are until the guard is dropped or the thread ends.
pub unsafe fn attach(mailbox: &Mailbox, state: &GuestState, engine: &Engine) -> Attached {
    CURRENT.set(Some(Current {
        mailbox,
        state,
        engine,
    }));
    interrupts().push((thread_id(), Interrupt(&state.interrupt)));
    if FALLBACK_THREAD.load(Ordering::Relaxed) == 0 {
        FALLBACK_THREAD.store(thread_id(), Ordering::Relaxed);
    }
    Attached {
        _not_send: PhantomData,
    }
}

/// The child of a fork has a new identifier.
pub fn attached_thread_forked() {
    FALLBACK_THREAD.store(thread_id(), Ordering::Relaxed);
    let Some(Current { state, .. }) = CURRENT.get() else {
        return;
    };
    // SAFETY: `attach` was promised that the state is still where it was.
    let interrupt = unsafe { &raw const (*state).interrupt };
    *interrupts() = vec![(thread_id(), Interrupt(interrupt))];
}

/// The interrupt flags of the threads that are attached.
static INTERRUPTS: Mutex<Vec<(i32, Interrupt)>> = Mutex::new(Vec::new());

struct Interrupt(*const AtomicU32);

// SAFETY: an atomic may be reached from any thread; where it is, `attach` was
// promised, until `Attached::drop` takes the entry out.
unsafe impl Send for Interrupt {}

fn interrupts() -> MutexGuard<'static, Vec<(i32, Interrupt)>> {
    INTERRUPTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the interrupt flag of a guest thread, by its identifier.
pub fn interrupt(thread: i32) {
    let all = interrupts();
    if let Some((_, flag)) = all.iter().find(|(one, _)| *one == thread) {
        // SAFETY: the entry is in the list, so the flag is where it was.
        unsafe { &*flag.0 }.store(1, Ordering::Release);
    }
}

/// Keeps the list of threads as it is, over a fork.
pub fn freeze() -> impl Sized {
    interrupts()
}

/// See [`attach`].
pub struct Attached {
    _not_send: PhantomData<*const ()>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        interrupts().retain(|(thread, _)| *thread != thread_id());
        CURRENT.set(None);
    }
}

/// A system call's argument.
pub enum Argument<'a> {
    /// A number, a descriptor, a set of flags: anything that is no address.
    Value(u64),
    /// An address in guest memory, as [`GuestMemory::host_pointer`] gave it.
    ///
    /// [`GuestMemory::host_pointer`]: crate::GuestMemory::host_pointer
    Guest(u64),
    /// Bytes of ours that the kernel reads.
    In(&'a [u8]),
    /// Bytes of ours that the kernel fills.
    Out(&'a mut [u8]),
}

impl Argument<'_> {
    fn register(&mut self) -> u64 {
        match self {
            Argument::Value(value) | Argument::Guest(value) => *value,
            Argument::In(bytes) => bytes.as_ptr() as u64,
            Argument::Out(bytes) => bytes.as_mut_ptr() as u64,
        }
    }
}

/// Makes a system call for a guest thread; [`NOT_BEGUN`] or [`RESTART`] when a
/// signal for it waits.
///
/// The caller gives an address only as the kind of [`Argument`] that says so,
/// with `In` and `Out` as long as what the call reads and writes. System calls
/// that change this process behind the emulator's back (mappings, threads,
/// handlers) are not made through this function.
pub fn call(mailbox: &Mailbox, number: i64, arguments: &mut [Argument<'_>]) -> Result<u64, Errno> {
    let mut registers = [0; 6];
    for (register, argument) in registers.iter_mut().zip(arguments) {
        *register = argument.register();
    }
    // SAFETY: every address among the arguments is in guest memory, where the
    // kernel may do what the guest asks, or is that of a slice that is borrowed
    // until the call is over.
    let raw = unsafe { sapwood_system_call(&mailbox.pending, number as u64, &registers) };
    Errno::from_raw(raw)
}

/// Makes a system call that no signal is to keep from being made.
pub fn uninterrupted(number: i64, arguments: &mut [Argument<'_>]) -> Result<u64, Errno> {
    let mailbox = Mailbox::default();
    loop {
        match call(&mailbox, number, arguments) {
            Err(NOT_BEGUN | RESTART) => {}
            result => return result,
        }
    }
}

/// `struct sigaction` of the x86-64 kernel.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// What the host does with a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// What the kernel does by itself, with these flags (`SA_NOCLDWAIT`).
    Default(u64),
    /// Nothing.
    Ignore,
    /// It is left in the mailbox of the thread that it reaches. The flags are
    /// those of the guest's action that the kernel acts upon
    /// (`SA_NOCLDSTOP`, `SA_NOCLDWAIT`).
    Catch(u64),
}

/// Sets what the host does with a signal. `EINVAL` for `SIGKILL` and `SIGSTOP`.
pub fn set_disposition(signal: i32, disposition: Disposition) -> Result<(), Errno> {
    let caught = (libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK) as u64;
    let (handler, flags) = match disposition {
        Disposition::Default(flags) => (libc::SIG_DFL, flags),
        Disposition::Ignore => (libc::SIG_IGN, 0),
        Disposition::Catch(flags) => (on_signal as *const () as usize, flags | caught),
    };
    let action = KernelAction {
        handler,
        flags: flags | SA_RESTORER,
        restorer: sapwood_restore_rt as *const () as usize,
        mask: !0,
    };
    // SAFETY: `action` is laid out as the kernel wants it, and `on_signal` does
    // only what a signal handler may.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &action, 0, SET_SIZE) };
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::last())
    }
}

/// Whether the host ignores a signal now.
pub fn is_ignored(signal: i32) -> bool {
    let mut action = KernelAction {
        handler: 0,
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    // SAFETY: the kernel fills `action`.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, 0, &mut action, SET_SIZE) };
    result == 0 && action.handler == libc::SIG_IGN
}

/// Leaves a signal in its thread's mailbox and closes the thread to further
/// ones. Runs with all signals blocked.
extern "C" fn on_signal(signal: i32, info: *const SigInfo, context: *mut libc::ucontext_t) {
    // SAFETY: the kernel gives a valid siginfo.
    if INSTRUCTION_SIGNALS.contains(signal) && !unsafe { (*info).was_sent() } {
        // SAFETY: the kernel gives a valid siginfo and context.
        let (at, address) = unsafe {
            let at = (*context).uc_mcontext.gregs[libc::REG_RIP as usize] as u64;
            (at, (*info).address().0)
        };
        if signal == libc::SIGTRAP && tracing::is_stop(at) {
            return;
        }
        let crash = Crash::Fault {
            signal,
            at,
            address,
        };
        crash::report(crash, running());
        // The instruction runs again, and this process dies of its own fault.
        let _ = set_disposition(signal, Disposition::Default(0));
        return;
    }
    let Some(Current { mailbox, state, .. }) = CURRENT.get() else {
        return pass_on(signal, info);
    };
    // SAFETY: `attach` was promised that both live, and the kernel gives a
    // valid siginfo and context.
    unsafe {
        (*mailbox).leave(*info);
        (*state).interrupt.store(1, Ordering::Release);
        // Only the kernel's eight bytes of the mask: the C library's type is
        // larger than what the kernel put on the stack.
        let mask = (&raw mut (*context).uc_sigmask).cast::<u64>();
        mask.write(SignalSet::ALL.without(FAULT_SIGNALS).bits());
        let registers = &mut (*context).uc_mcontext.gregs;
        let begin = &raw const sapwood_system_call_begin as i64;
        let end = &raw const sapwood_system_call_end as i64;
        if (begin..end).contains(&registers[libc::REG_RIP as usize]) {
            // The instruction leaves the address behind it in rcx.
            let has_begun = registers[libc::REG_RCX as usize] == end;
            registers[libc::REG_RIP as usize] = match has_begun {
                true => &raw const sapwood_system_call_interrupted as i64,
                false => &raw const sapwood_system_call_not_begun as i64,
            };
        }
    }
}

/// The registers of the guest thread that runs here, and what runs it, to be
/// shown when all is lost.
fn running() -> Option<(&'static GuestState, &'static Engine)> {
    let Current { state, engine, .. } = CURRENT.get()?;
    // SAFETY: `attach` was promised that they live; the code that writes to the
    // state runs on this thread, and does not run now.
    Some(unsafe { (&*state, &*engine) })
}

/// Has a panic show the guest and end the process: a guest thread that is gone
/// would leave the others waiting.
pub fn die_of_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        crash::report(Crash::Panic, running());
        die_of(libc::SIGABRT)
    }));
}

/// Writes to standard error, whatever becomes of it.
pub fn write_error(bytes: &[u8]) {
    // SAFETY: the kernel reads as many bytes as there are.
    unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
}

/// A signal for the process reached a thread that is none of the guest's: a
/// guest thread gets it.
fn pass_on(signal: i32, info: *const SigInfo) {
    let thread = FALLBACK_THREAD.load(Ordering::Relaxed);
    // SAFETY: the kernel reads a siginfo that it has just given.
    unsafe {
        libc::syscall(
            libc::SYS_rt_tgsigqueueinfo,
            std::process::id(),
            thread,
            signal,
            info,
        )
    };
}

/// Sets which signals this host thread blocks, and gives what it blocked. The
/// signals that report faults are never blocked.
pub fn set_mask(mask: SignalSet) -> SignalSet {
    let new = mask.without(FAULT_SIGNALS).bits();
    let mut old = 0_u64;
    // SAFETY: both are as long as the size says.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &new,
            &mut old,
            SET_SIZE,
        )
    };
    SignalSet::from_bits(old)
}

/// Blocks every signal that can be blocked on this host thread.
pub fn block_all() -> SignalSet {
    set_mask(SignalSet::ALL)
}

/// The host's identifier of this thread, which is the guest's too.
pub fn thread_id() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// Ends this host thread; the process lives on until the last has ended.
pub fn exit_thread(status: i32) -> ! {
    loop {
        // SAFETY: the thread ends here; what it owned is left to the process.
        unsafe { libc::syscall(libc::SYS_exit, status) };
    }
}

/// Ends the process.
pub fn exit_process(status: i32) -> ! {
    loop {
        // SAFETY: nothing is left to be done.
        unsafe { libc::syscall(libc::SYS_exit_group, status) };
    }
}

/// Dies of a signal, so that whoever waits sees the guest's death. No core is
/// written: it would show us, not the guest.
pub fn die_of(signal: i32) -> ! {
    let no_core = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let open = SignalSet::ALL.without(SignalSet::of(&[signal])).bits();
    let _ = set_disposition(signal, Disposition::Default(0));
    // SAFETY: plain calls on values of ours; the signal goes to this thread.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &no_core);
        libc::syscall(libc::SYS_tgkill, std::process::id(), thread_id(), signal);
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &open,
            0,
            SET_SIZE,
        );
    }
    exit_process(128 + signal)
}

/// Duplicates the process; the child gets `None`. Only the calling thread
/// exists in the child: the caller has blocked all signals, and holds every
/// lock that the child will take.
pub fn fork() -> Result<Option<i32>, Errno> {
    // SAFETY: the child goes on in Rust code with one thread; the locks are the
    // caller's promise, and the C library's fork sees to its own.
    match unsafe { libc::fork() } {
        -1 => Err(Errno::last()),
        0 => Ok(None),
        child => Ok(Some(child)),
    }
}

/// Replaces the process by another program; gives the reason when it could not.
pub fn execute(path: &CStr, arguments: &[CString], environment: &[CString]) -> Errno {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings
            .iter()
            .map(|string| string.as_ptr())
            .chain([ptr::null()])
            .collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both lists end with a null pointer, and their strings are
    // borrowed for the length of the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    Errno::last()
}

/// Sends a signal to this thread.
pub fn send_to_self(signal: i32) {
    // SAFETY: numbers only.
    unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread_id(), signal) };
}

/// How the maker of a child waits until it runs another program or ends: a
/// pipe whose other end is the child's alone, and is closed by either.
pub struct Waiting {
    child_end: File,
    own_end: File,
}

impl Waiting {
    /// Before the fork.
    pub fn new() -> Result<Waiting, Errno> {
        let (reader, writer) = io::pipe()?;
        // Out of the way of the numbers that the guest's child may close or
        // replace one by one.
        let moved = duplicate_high(writer.as_raw_fd())?;
        Ok(Waiting {
            child_end: File::from(moved),
            own_end: File::from(OwnedFd::from(reader)),
        })
    }

    /// In the child: the end to keep open, and to write to.
    pub fn into_child_end(self) -> File {
        self.child_end
    }

    /// In the maker, with all signals blocked: what the child wrote before it
    /// ran another program or ended, at most `limit` bytes.
    pub fn wait(self, limit: u64) -> Vec<u8> {
        drop(self.child_end);
        let mut bytes = Vec::new();
        // A pipe gives no error but for what cannot be blocked.
        let _ = self.own_end.take(limit).read_to_end(&mut bytes);
        bytes
    }
}

/// Duplicates a descriptor at a high number, closed on exec.
fn duplicate_high(fd: RawFd) -> Result<OwnedFd, Errno> {
    const HIGH: i32 = 900;
    // SAFETY: numbers only.
    let got = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, HIGH) };
    let got = if got >= 0 {
        got
    } else {
        // SAFETY: as above.
        unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) }
    };
    if got < 0 {
        return Err(Errno::last());
    }
    // SAFETY: the kernel has just given it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(got) })
}

/// Runs `action` with exactly this mask on the host, fault signals included:
/// for what a new program inherits.
pub fn with_exact_mask<T>(mask: SignalSet, action: impl FnOnce() -> T) -> T {
    let (new, mut old) = (mask.bits(), 0_u64);
    // SAFETY: both are as long as the size says.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &new,
            &mut old,
            SET_SIZE,
        )
    };
    let result = action();
    // SAFETY: as above.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &old,
            0,
            SET_SIZE,
        )
    };
    result
}

/// Closes a descriptor that this process was given.
pub fn close(fd: RawFd) {
    // SAFETY: the caller, who starts a guest, gives up a standard descriptor,
    // which nothing of ours owns.
    unsafe { libc::close(fd) };
}

/// A new file that exists in memory only.
pub fn memory_file(name: &CStr) -> Result<File, Errno> {
    // SAFETY: the name is a string that ends.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(Errno::last());
    }
    // SAFETY: the kernel has just given it, and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// The signals that this thread blocks now.
pub fn inherited_mask() -> SignalSet {
    let mut mask = 0_u64;
    // SAFETY: the kernel fills as many bytes as the size says.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_BLOCK,
            0,
            &mut mask,
            SET_SIZE,
        )
    };
    SignalSet::from_bits(mask)
}

/// The soft limit of the stack, in bytes.
pub fn stack_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the C library fills `limit`.
    unsafe { libc::getrlimit(libc::RLIMIT_STACK, &mut limit) };
    limit.rlim_cur
}

/// User, effective user, group and effective group.
pub fn identity() -> [u32; 4] {
    // SAFETY: they take nothing and cannot fail.
    unsafe {
        [
            libc::getuid(),
            libc::geteuid(),
            libc::getgid(),
            libc::getegid(),
        ]
    }
}

/// The length of a System V shared memory segment in bytes.
pub fn segment_length(segment: i32) -> Result<u64, Errno> {
    // SAFETY: a `shmid_ds` is plain data for which all zeros is a value, and
    // the C library fills it.
    let (result, found) = unsafe {
        let mut found: libc::shmid_ds = std::mem::zeroed();
        (libc::shmctl(segment, libc::IPC_STAT, &mut found), found)
    };
    if result < 0 {
        Err(Errno::last())
    } else {
        Ok(found.shm_segsz as u64)
    }
}
