//! What the host's `ptrace` is used for when one guest process traces another:
//! a thread that stops where its tracer's `wait` sees it, and the other side of
//! that. What the stops mean is in [`tracing`](crate::linux::tracing).

use std::arch::global_asm;
use std::ffi::c_long;

use super::{FAULT_SIGNALS, SET_SIZE, SignalSet, set_mask};
use crate::errno::Errno;
use crate::linux::tracing::Board;

/// What is in `r12` of a thread that stopped for its tracer; `r13` has the
/// address of its [`Board`].
const MARK: u64 = u64::from_le_bytes(*b"sapwoodB");

/// `si_code` of the `SIGSEGV` that brings a tracer's orders.
pub const ORDER_CODE: i32 = -0x5a9;

global_asm!(
    // sapwood_stop_for_tracer(board: *mut Board)
    ".pushsection .text.sapwood_stop_for_tracer,\"ax\",@progbits",
    ".globl sapwood_stop_for_tracer",
    ".globl sapwood_stopped_for_tracer",
    "sapwood_stop_for_tracer:",
    "    push r12",
    "    push r13",
    "    mov r12, {mark}",
    "    mov r13, rdi",
    "    int3",
    "sapwood_stopped_for_tracer:",
    "    pop r13",
    "    pop r12",
    "    ret",
    ".popsection",
    mark = const MARK,
);

unsafe extern "C" {
    fn sapwood_stop_for_tracer(board: *mut Board);
    static sapwood_stopped_for_tracer: u8;
}

/// Whether a `SIGTRAP` with this program counter is a stop for a tracer that is
/// there no more.
pub fn is_stop(pc: u64) -> bool {
    pc == &raw const sapwood_stopped_for_tracer as u64
}

/// Stops this thread until its tracer, which reads the board and writes to it,
/// lets it go on. Every signal is blocked afterwards.
pub fn stop(board: &mut Board) {
    let trap = SignalSet::of(&[libc::SIGTRAP]);
    set_mask(SignalSet::ALL.without(FAULT_SIGNALS).without(trap));
    // SAFETY: the routine touches nothing but the stack; the tracer writes to
    // the board only, which is borrowed for the length of the call, and may
    // hold any bytes.
    unsafe { sapwood_stop_for_tracer(board) };
    set_mask(SignalSet::ALL);
}

/// A `ptrace` request of the host's that takes numbers only.
fn request(request: u32, thread: i32, data: u64) -> Result<(), Errno> {
    // SAFETY: none of the requests that come here takes an address of ours.
    let done = unsafe { libc::ptrace(request, thread, 0 as c_long, data) };
    if done < 0 { Err(Errno::last()) } else { Ok(()) }
}

/// This thread is traced by its maker from now on.
pub fn trace_me() -> Result<(), Errno> {
    request(libc::PTRACE_TRACEME, 0, 0)
}

/// The options that the host is always given: a stop at an exec that is told
/// from a signal.
fn options(kills_on_exit: bool) -> u64 {
    let kills = if kills_on_exit {
        libc::PTRACE_O_EXITKILL
    } else {
        0
    };
    (libc::PTRACE_O_TRACEEXEC | kills) as u64
}

/// Traces a thread, which runs on.
pub fn seize(thread: i32, kills_on_exit: bool) -> Result<(), Errno> {
    request(libc::PTRACE_SEIZE, thread, options(kills_on_exit))
}

/// Sets the host's options of a thread that is stopped.
pub fn set_options(thread: i32, kills_on_exit: bool) -> Result<(), Errno> {
    request(libc::PTRACE_SETOPTIONS, thread, options(kills_on_exit))
}

/// Lets a stopped thread go on, with a signal of the host's.
pub fn go_on(thread: i32, signal: i32) -> Result<(), Errno> {
    request(libc::PTRACE_CONT, thread, signal as u64)
}

/// The same, and traces it no more.
pub fn detach(thread: i32) -> Result<(), Errno> {
    request(libc::PTRACE_DETACH, thread, 0)
}

/// Where the board is of a thread that stopped for its tracer; `None` if it
/// stopped for another reason.
pub fn board_of(thread: i32) -> Result<Option<u64>, Errno> {
    // SAFETY: a register set is plain data for which all zeros is a value, and
    // the kernel fills it.
    let registers = unsafe {
        let mut registers: libc::user_regs_struct = std::mem::zeroed();
        if libc::ptrace(libc::PTRACE_GETREGS, thread, 0, &mut registers) < 0 {
            return Err(Errno::last());
        }
        registers
    };
    Ok((registers.r12 == MARK).then_some(registers.r13))
}

/// Reads all of these bytes of another process's memory, as it could itself.
pub fn read(thread: i32, at: u64, into: &mut [u8]) -> Result<(), Errno> {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: at as *mut libc::c_void,
        iov_len: into.len(),
    };
    // SAFETY: the kernel writes no more than `into` has.
    let got = unsafe { libc::process_vm_readv(thread, &local, 1, &remote, 1, 0) };
    match got == into.len() as isize {
        true => Ok(()),
        false => Err(Errno::EFAULT),
    }
}

/// Sends a process a signal, if it is there.
pub fn send(process: i32, signal: i32) {
    // SAFETY: numbers only.
    unsafe { libc::kill(process, signal) };
}

/// Has a thread stop, on the host, for [`hand_over`] to give it its orders. Of
/// several of these before that, the kernel keeps one.
pub fn announce(process: i32, thread: i32) -> Result<(), Errno> {
    let mut info = [0_u64; 16];
    info[0] = libc::SIGSEGV as u64;
    info[1] = ORDER_CODE as u32 as u64;
    info[2] = std::process::id().into();
    // SAFETY: the kernel reads the 128 bytes of a siginfo.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_rt_tgsigqueueinfo,
            process,
            thread,
            libc::SIGSEGV,
            &info,
        )
    };
    if sent < 0 { Err(Errno::last()) } else { Ok(()) }
}

/// Puts orders, bits that the thread's mailbox collects, into the signal that it
/// is stopped by on the host; gives whether that is one of [`announce`].
pub fn hand_over(thread: i32, orders: u64) -> bool {
    let mut info = [0_u64; 16];
    // SAFETY: the kernel fills the 128 bytes of a siginfo, and reads them.
    unsafe {
        let got = libc::ptrace(libc::PTRACE_GETSIGINFO, thread, 0, &mut info);
        if got < 0 || info[1] as i32 != ORDER_CODE {
            return false;
        }
        info[3] = orders;
        libc::ptrace(libc::PTRACE_SETSIGINFO, thread, 0, &info) == 0
    }
}

/// Sleeps until a signal comes or some milliseconds are over, with this mask.
pub fn sleep(mask: SignalSet, milliseconds: i32) {
    let time = libc::timespec {
        tv_sec: (milliseconds / 1000).into(),
        tv_nsec: i64::from(milliseconds % 1000) * 1_000_000,
    };
    let mask = mask.without(FAULT_SIGNALS).bits();
    // SAFETY: no descriptors; the kernel reads the time and the mask.
    unsafe { libc::syscall(libc::SYS_ppoll, 0, 0, &time, &mask, SET_SIZE) };
}
