//! Turns a host fault on guest memory into a value.
//!
//! Two kinds of code of ours touch guest memory directly: translated code, and
//! the single accesses here ([`load`], [`store`], [`compare_exchange`]), which
//! the interpreter is built from. When the host raises SIGSEGV or SIGBUS in an
//! access here, the handler makes it return a failure; in translated code, it
//! notes the host pc in the guest state and continues at the landing of that
//! code region, which leaves translated code in order; in second-tier code it
//! continues where the [mark](crate::marks) says. A fault anywhere else is
//! none of ours and goes to the handler that was installed before.
//!
//! This file holds the signal handler and nothing that decides: what the guest
//! sees of a fault is worked out where it is not in a signal handler.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::ir::Size;
use crate::marks;
use crate::state::offset;

/// A host access that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostFault {
    /// The first byte that could not be accessed.
    pub address: u64,
    /// Whether the page exists but its file does not reach that far (SIGBUS).
    pub past_end: bool,
}

std::arch::global_asm!(
    ".pushsection .text.sapwood_access, \"ax\", @progbits",
    // Optimised builds refer to these from other objects.
    ".globl sapwood_access_begin",
    ".globl sapwood_load1",
    ".globl sapwood_load2",
    ".globl sapwood_load4",
    ".globl sapwood_load8",
    ".globl sapwood_store1",
    ".globl sapwood_store2",
    ".globl sapwood_store4",
    ".globl sapwood_store8",
    ".globl sapwood_exchange1",
    ".globl sapwood_exchange2",
    ".globl sapwood_load16",
    ".globl sapwood_store16",
    ".globl sapwood_exchange4",
    ".globl sapwood_exchange8",
    ".globl sapwood_exchange16",
    ".globl sapwood_access_end",
    ".globl sapwood_access_failed",
    ".globl sapwood_exchange16_failed",
    ".p2align 4",
    "sapwood_access_begin:",
    "sapwood_load1: movzx eax, byte ptr [rdi]",
    "xor edx, edx",
    "ret",
    "sapwood_load2: movzx eax, word ptr [rdi]",
    "xor edx, edx",
    "ret",
    "sapwood_load4: mov eax, dword ptr [rdi]",
    "xor edx, edx",
    "ret",
    "sapwood_load8: mov rax, qword ptr [rdi]",
    "xor edx, edx",
    "ret",
    "sapwood_store1: mov byte ptr [rdi], sil",
    "xor edx, edx",
    "ret",
    "sapwood_store2: mov word ptr [rdi], si",
    "xor edx, edx",
    "ret",
    "sapwood_store4: mov dword ptr [rdi], esi",
    "xor edx, edx",
    "ret",
    "sapwood_store8: mov qword ptr [rdi], rsi",
    "xor edx, edx",
    "ret",
    "sapwood_exchange1: mov eax, esi",
    "lock cmpxchg byte ptr [rdi], dl",
    "movzx eax, al",
    "xor edx, edx",
    "ret",
    "sapwood_exchange2: mov eax, esi",
    "lock cmpxchg word ptr [rdi], dx",
    "movzx eax, ax",
    "xor edx, edx",
    "ret",
    "sapwood_load16: movups xmm0, [rdi]",
    "movups [rsi], xmm0",
    "xor edx, edx",
    "ret",
    "sapwood_store16: movups xmm0, [rsi]",
    "movups [rdi], xmm0",
    "xor edx, edx",
    "ret",
    "sapwood_exchange4: mov eax, esi",
    "lock cmpxchg dword ptr [rdi], edx",
    "xor edx, edx",
    "ret",
    "sapwood_exchange8: mov rax, rsi",
    "lock cmpxchg qword ptr [rdi], rdx",
    "xor edx, edx",
    "ret",
    // The operands and the result are in memory at rsi; r9 keeps rbx.
    "sapwood_exchange16: mov r9, rbx",
    "mov rax, [rsi]",
    "mov rdx, [rsi + 8]",
    "mov rbx, [rsi + 16]",
    "mov rcx, [rsi + 24]",
    "lock cmpxchg16b [rdi]",
    "mov rbx, r9",
    "mov [rsi], rax",
    "mov [rsi + 8], rdx",
    "xor edx, edx",
    "ret",
    "sapwood_access_end:",
    // The handler continues here, with rax the address and rdx the kind.
    "sapwood_access_failed: ret",
    "sapwood_exchange16_failed: mov rbx, r9",
    "ret",
    ".popsection",
);

/// What an access leaves in rax and rdx: a value and 0, or the address of the
/// fault and what it was.
#[repr(C)]
struct Outcome {
    value: u64,
    failed: u64,
}

const SEGMENT: u64 = 1;
const BUS: u64 = 2;

unsafe extern "C" {
    fn sapwood_load1(at: u64) -> Outcome;
    fn sapwood_load2(at: u64) -> Outcome;
    fn sapwood_load4(at: u64) -> Outcome;
    fn sapwood_load8(at: u64) -> Outcome;
    fn sapwood_store1(at: u64, value: u64) -> Outcome;
    fn sapwood_store2(at: u64, value: u64) -> Outcome;
    fn sapwood_store4(at: u64, value: u64) -> Outcome;
    fn sapwood_store8(at: u64, value: u64) -> Outcome;
    fn sapwood_load16(at: u64, into: *mut [u64; 2]) -> Outcome;
    fn sapwood_store16(at: u64, from: *const [u64; 2]) -> Outcome;
    fn sapwood_exchange1(at: u64, expected: u64, new: u64) -> Outcome;
    fn sapwood_exchange2(at: u64, expected: u64, new: u64) -> Outcome;
    fn sapwood_exchange16(at: u64, operands: *mut Wide) -> Outcome;
    fn sapwood_exchange16_failed();
    fn sapwood_exchange4(at: u64, expected: u64, new: u64) -> Outcome;
    fn sapwood_exchange8(at: u64, expected: u64, new: u64) -> Outcome;
    fn sapwood_access_begin();
    fn sapwood_access_end();
    fn sapwood_access_failed();
}

impl Outcome {
    fn result(self) -> Result<u64, HostFault> {
        match self.failed {
            0 => Ok(self.value),
            kind => Err(HostFault {
                address: self.value,
                past_end: kind == BUS,
            }),
        }
    }
}

/// Reads guest memory at a host address, zero-extended.
///
/// # Safety
/// `at` lies in guest memory or its guards. [`install`] was called.
pub unsafe fn load(size: Size, at: u64) -> Result<u64, HostFault> {
    // SAFETY: the routine does one read at `at`, which the caller vouches for,
    // and a fault in it is turned into a result.
    let outcome = unsafe {
        match size {
            Size::B1 => sapwood_load1(at),
            Size::B2 => sapwood_load2(at),
            Size::B4 => sapwood_load4(at),
            Size::B8 => sapwood_load8(at),
        }
    };
    outcome.result()
}

/// Writes guest memory at a host address.
///
/// # Safety
/// As for [`load`].
pub unsafe fn store(size: Size, at: u64, value: u64) -> Result<(), HostFault> {
    // SAFETY: the routine does one write at `at`, which the caller vouches for,
    // and a fault in it is turned into a result.
    let outcome = unsafe {
        match size {
            Size::B1 => sapwood_store1(at, value),
            Size::B2 => sapwood_store2(at, value),
            Size::B4 => sapwood_store4(at, value),
            Size::B8 => sapwood_store8(at, value),
        }
    };
    outcome.result().map(drop)
}

/// Replaces `expected` by `new` in guest memory in one indivisible step, and
/// gives what was there.
///
/// # Safety
/// As for [`load`].
pub unsafe fn compare_exchange(
    size: Size,
    at: u64,
    expected: u64,
    new: u64,
) -> Result<u64, HostFault> {
    // SAFETY: the routine does one locked access at `at`, which the caller
    // vouches for, and a fault in it is turned into a result.
    let outcome = unsafe {
        match size {
            Size::B8 => sapwood_exchange8(at, expected, new),
            Size::B4 => sapwood_exchange4(at, expected, new),
            Size::B2 => sapwood_exchange2(at, expected, new),
            Size::B1 => sapwood_exchange1(at, expected, new),
        }
    };
    outcome.result()
}

/// What a [`compare_exchange_wide`] compares with and replaces by.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Wide {
    /// What must be there.
    pub expected: [u64; 2],
    /// What is then there.
    pub new: [u64; 2],
}

/// Reads 16 bytes of guest memory at a host address, lower half first.
///
/// # Safety
/// As for [`load`].
pub unsafe fn load_wide(at: u64) -> Result<[u64; 2], HostFault> {
    let mut value = [0; 2];
    // SAFETY: the routine does one read at `at`, which the caller vouches for,
    // and writes `value`; a fault in it is turned into a result.
    unsafe { sapwood_load16(at, &mut value) }.result()?;
    Ok(value)
}

/// Writes 16 bytes of guest memory at a host address.
///
/// # Safety
/// As for [`load`].
pub unsafe fn store_wide(at: u64, value: [u64; 2]) -> Result<(), HostFault> {
    // SAFETY: the routine reads `value` and does one write at `at`, which the
    // caller vouches for, and a fault in it is turned into a result.
    unsafe { sapwood_store16(at, &value) }.result().map(drop)
}

/// As [`compare_exchange`], of 16 bytes, aligned.
///
/// # Safety
/// As for [`load`].
pub unsafe fn compare_exchange_wide(at: u64, mut operands: Wide) -> Result<[u64; 2], HostFault> {
    // SAFETY: the routine does one locked access at `at`, which the caller
    // vouches for, and touches `operands`; a fault is turned into a result.
    unsafe { sapwood_exchange16(at, &mut operands) }.result()?;
    Ok(operands.expected)
}

/// A region of translated code.
struct Region {
    start: AtomicU64,
    end: AtomicU64,
    landing: AtomicU64,
}

/// Regions at once in one process. Each engine has a few, and one for each unit
/// of kept translations; a process has one engine but for tests. A slot is used
/// again when its region is gone.
const REGIONS: usize = 1024;

static USED: AtomicUsize = AtomicUsize::new(0);
static CODE: [Region; REGIONS] = [const {
    Region {
        start: AtomicU64::new(0),
        end: AtomicU64::new(0),
        landing: AtomicU64::new(0),
    }
}; REGIONS];

/// A registered region; dropping it ends the registration.
#[derive(Debug)]
pub struct Registration(usize);

/// Tells the handler of a region of translated code, in which r15 points to the
/// middle of the guest state (see [`offset::BIAS`]) whenever guest memory is
/// touched, and of the address in it to continue at after a fault.
pub fn register(code: Range<u64>, landing: u64) -> Registration {
    assert!(code.start < code.end, "a region has a length");
    for (i, region) in CODE.iter().enumerate() {
        let taken = region
            .end
            .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
        if taken.is_ok() {
            region.landing.store(landing, Ordering::Relaxed);
            region.start.store(code.start, Ordering::Release);
            region.end.store(code.end, Ordering::Release);
            USED.fetch_max(i + 1, Ordering::AcqRel);
            return Registration(i);
        }
    }
    panic!("more than {REGIONS} engines at once");
}

impl Drop for Registration {
    fn drop(&mut self) {
        let region = &CODE[self.0];
        region.start.store(u64::MAX, Ordering::Release);
        region.end.store(0, Ordering::Release);
    }
}

/// The landing of the region that holds `pc`, and where that ends.
fn landing(pc: u64) -> Option<(u64, u64)> {
    let used = USED.load(Ordering::Acquire);
    let region = CODE[..used].iter().find(|region| {
        region.start.load(Ordering::Acquire) <= pc && pc < region.end.load(Ordering::Acquire)
    })?;
    let end = region.end.load(Ordering::Relaxed);
    Some((region.landing.load(Ordering::Relaxed), end))
}

/// Where second-tier code goes on after a fault at `pc`, in code before `end`.
fn way_out(pc: u64, end: u64) -> Option<u64> {
    let length = (end - pc).min(2 * marks::FARTHEST_MARK as u64) as usize;
    // SAFETY: translated code is readable and is not written once it is
    // published; the region's bytes from `pc` to `end` stay mapped while a thread
    // runs there, which this one does.
    let code = unsafe { std::slice::from_raw_parts(pc as *const u8, length) };
    Some(pc.wrapping_add_signed(marks::way_out(code)?))
}

static mut PREVIOUS: [libc::sigaction; 2] = [const {
    // SAFETY: a sigaction is plain data for which all zeros is a value.
    unsafe { std::mem::zeroed() }
}; 2];

/// Calls `f` with every signal blocked: a thread that it makes inherits that,
/// and never gets a signal which is meant for the guest.
pub fn without_signals<T>(f: impl FnOnce() -> T) -> T {
    // SAFETY: both masks are valid sets, of which the second is filled in by
    // the first call, and the mask of this thread is as before at the end.
    unsafe {
        let (mut all, mut before) = std::mem::zeroed::<(libc::sigset_t, libc::sigset_t)>();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let result = f();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        result
    }
}

/// Installs the handler, once in the life of the process.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for (i, signal) in [libc::SIGSEGV, libc::SIGBUS].into_iter().enumerate() {
            // SAFETY: `action` is a valid sigaction, the handler keeps to what
            // a signal handler may do, and PREVIOUS is written once, before
            // the handler can run for this signal.
            unsafe {
                let previous = (&raw mut PREVIOUS).cast::<libc::sigaction>().add(i);
                libc::sigaction(signal, std::ptr::null(), previous);
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handler as *const () as usize;
                // One that was sent may come while a system call sleeps.
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
                libc::sigemptyset(&mut action.sa_mask);
                libc::sigaction(signal, &action, std::ptr::null_mut());
            }
        }
    });
}

extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes valid pointers to a SA_SIGINFO handler, and
    // nothing else refers to them while it runs.
    let (info_ref, registers) = unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        (&*info, &mut context.uc_mcontext.gregs)
    };
    let pc = registers[libc::REG_RIP as usize] as u64;
    let access = sapwood_access_begin as *const () as u64..sapwood_access_end as *const () as u64;
    // si_code > 0: raised by the kernel for an access, not sent by someone.
    if info_ref.si_code > 0 && access.contains(&pc) {
        // SAFETY: for these signals, si_addr is the member that is valid.
        let address = unsafe { info_ref.si_addr() } as i64;
        let kind = if signal == libc::SIGBUS { BUS } else { SEGMENT };
        registers[libc::REG_RAX as usize] = address;
        registers[libc::REG_RDX as usize] = kind as i64;
        let in_wide = pc >= sapwood_exchange16 as *const () as u64;
        let failed = if in_wide {
            sapwood_exchange16_failed as *const ()
        } else {
            sapwood_access_failed as *const ()
        };
        registers[libc::REG_RIP as usize] = failed as i64;
        return;
    }
    if info_ref.si_code > 0
        && let Some((landing, end)) = landing(pc)
    {
        let state = registers[libc::REG_R15 as usize] as u64;
        let at = |field: i32| state.wrapping_add_signed(i64::from(field - offset::BIAS));
        // SAFETY: in a registered region r15 holds the biased address of the
        // guest state of this thread, which nobody else uses now.
        let in_region = unsafe { (at(offset::IN_REGION) as *const u32).read() } != 0;
        if !in_region {
            // SAFETY: as above.
            unsafe { (at(offset::FAULT_PC) as *mut u64).write(pc) };
        }
        let goes_on = if in_region {
            way_out(pc, end)
        } else {
            Some(landing)
        };
        if let Some(goes_on) = goes_on {
            registers[libc::REG_RIP as usize] = goes_on as i64;
            return;
        }
    }
    // SAFETY: the arguments are those of this handler.
    unsafe { not_ours(signal, info, context) }
}

/// Lets whoever was installed before handle the signal.
unsafe fn not_ours(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let index = usize::from(signal == libc::SIGBUS);
    // SAFETY: `install` wrote it before this handler could run.
    let previous = unsafe {
        (&raw const PREVIOUS)
            .cast::<libc::sigaction>()
            .add(index)
            .read()
    };
    match previous.sa_sigaction {
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: the default action is put back and the instruction runs
            // again, so that the process dies of its own signal.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        other if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: the flag says that the handler has this type.
            unsafe {
                let other: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                    std::mem::transmute(other);
                other(signal, info, context);
            }
        }
        other => {
            // SAFETY: without the flag the handler has this type.
            unsafe {
                let other: extern "C" fn(c_int) = std::mem::transmute(other);
                other(signal);
            }
        }
    }
}
