//! The way into translated code and out of it, and what the two agree on.
//!
//! While translated code runs, r15 points into the guest state
//! ([`offset::BIAS`] past its beginning) and the host's floating-point control
//! word is the guest's. Translated code is jumped to, never called: it ends by
//! jumping to further translated code or to one of the exits here, through
//! [`EXITS`], a table whose address is in the guest state.

use std::arch::global_asm;

use crate::state::{GuestState, offset};

/// Why translated code came back, and one number that goes with it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// One of [`reason`].
    pub reason: u64,
    /// What the reason says it is.
    pub payload: u64,
}

/// Reasons to leave translated code.
pub mod reason {
    /// An exit that is not linked was taken; the payload is its number. `pc` is
    /// not set: the exit's record has it.
    pub const LINK: u64 = 0;
    /// `pc` is set and no translation is known for it here.
    pub const DISPATCH: u64 = 1;
    /// A system call at `pc`.
    pub const SYSCALL: u64 = 2;
    /// A breakpoint at `pc`.
    pub const BREAKPOINT: u64 = 3;
    /// An illegal instruction at `pc`.
    pub const ILLEGAL: u64 = 4;
    /// The instruction at `pc` is for the interpreter.
    pub const INTERPRET: u64 = 5;
    /// The interrupt flag is set; `pc` is where to go on.
    pub const INTERRUPTED: u64 = 6;
    /// The host faulted. `pc` is not set: the host pc is in the state.
    pub const FAULT: u64 = 7;
}

/// What translated code reaches through the guest state.
#[repr(C)]
#[derive(Debug)]
pub struct Exits {
    /// Takes a reason in rdi and its payload in rsi, and leaves.
    pub leave: u64,
    /// A C function that gives the RISC-V flags raised in the host's control
    /// word so far.
    pub flags: u64,
    /// A C function that clears them.
    pub clear_flags: u64,
}

/// Offset of [`Exits::leave`].
pub const LEAVE: i32 = std::mem::offset_of!(Exits, leave) as i32;
/// Offset of [`Exits::flags`].
pub const FLAGS: i32 = std::mem::offset_of!(Exits, flags) as i32;
/// Offset of [`Exits::clear_flags`].
pub const CLEAR_FLAGS: i32 = std::mem::offset_of!(Exits, clear_flags) as i32;

/// The one table of exits.
pub fn exits() -> &'static Exits {
    static TABLE: std::sync::LazyLock<Exits> = std::sync::LazyLock::new(|| Exits {
        leave: sapwood_leave as *const () as u64,
        flags: sapwood_flags as *const () as u64,
        clear_flags: sapwood_clear_flags as *const () as u64,
    });
    &TABLE
}

/// Where an exit that is not linked leads; it is entered with the exit's number
/// in rdi.
pub fn unlinked() -> u64 {
    sapwood_unlinked as *const () as u64
}

/// Where the fault handler continues.
pub fn landing() -> u64 {
    sapwood_landing as *const () as u64
}

global_asm!(
    ".pushsection .text.sapwood_enter, \"ax\", @progbits",
    ".p2align 4",
    "sapwood_enter:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov r15, rdi",
    "mov [r15 + {host_stack}], rsp",
    "stmxcsr [r15 + {host_mxcsr}]",
    "ldmxcsr [r15 + {guest_mxcsr}]",
    "jmp rsi",
    ".p2align 4",
    "sapwood_unlinked:",
    "mov rsi, rdi",
    "xor edi, edi",
    "jmp sapwood_leave",
    ".p2align 4",
    "sapwood_landing:",
    "mov edi, {fault}",
    "xor esi, esi",
    ".p2align 4",
    "sapwood_leave:",
    "mov rsp, [r15 + {host_stack}]",
    "stmxcsr [r15 + {guest_mxcsr}]",
    "ldmxcsr [r15 + {host_mxcsr}]",
    "mov rax, rdi",
    "mov rdx, rsi",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    ".p2align 4",
    "sapwood_flags:",
    "stmxcsr [rsp - 8]",
    "mov eax, [rsp - 8]",
    "and eax, 0x3f",
    "lea rcx, [rip + sapwood_flag_table]",
    "movzx eax, byte ptr [rcx + rax]",
    "ret",
    ".p2align 4",
    "sapwood_clear_flags:",
    "stmxcsr [rsp - 8]",
    "and dword ptr [rsp - 8], 0xffffffc0",
    "ldmxcsr [rsp - 8]",
    "ret",
    ".popsection",
    host_stack = const offset::HOST_STACK - offset::BIAS,
    guest_mxcsr = const offset::MXCSR - offset::BIAS,
    host_mxcsr = const offset::MXCSR + 4 - offset::BIAS,
    fault = const reason::FAULT,
);

const _: () = assert!(reason::LINK == 0, "sapwood_unlinked gives it as such");

unsafe extern "C" {
    fn sapwood_enter(state: u64, code: u64) -> Left;
    fn sapwood_leave();
    fn sapwood_unlinked();
    fn sapwood_landing();
    fn sapwood_flags();
    fn sapwood_clear_flags();
}

/// MXCSR with every exception masked, no flag set, and the rounding mode of
/// this `fcsr`. `None` when the host has not got that mode.
pub fn control_word(fcsr: u32) -> Option<u32> {
    const MASKED: u32 = 0x1f80;
    // RISC-V's nearest, zero, down, up are x86's 0, 3, 1, 2 (bits 14 and 13).
    let rounding = *[0u32, 3, 1, 2].get((fcsr >> 5 & 7) as usize)?;
    Some(MASKED | rounding << 13)
}

/// RISC-V's flags for MXCSR's: its bits 0 to 5 are invalid, denormal, zero
/// divide, overflow, underflow, inexact.
pub const fn flags(mxcsr: u32) -> u32 {
    (mxcsr & 1) << 4
        | (mxcsr >> 2 & 1) << 3
        | (mxcsr >> 3 & 1) << 2
        | (mxcsr >> 4 & 1) << 1
        | mxcsr >> 5 & 1
}

/// [`flags`] of each value of MXCSR's six flags.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static sapwood_flag_table: [u8; 64] = {
    let mut table = [0; 64];
    let mut i = 0;
    while i < table.len() {
        table[i] = flags(i as u32) as u8;
        i += 1;
    }
    table
};

/// Runs translated code until it leaves, and takes the floating-point flags
/// into `fcsr`.
///
/// # Safety
/// `code` is the entry of translated code, made for this layout of the state,
/// that stays mapped meanwhile; the state's memory fields describe guest
/// memory; [`control_word`] has a word for its `fcsr`.
pub unsafe fn enter(state: &mut GuestState, code: u64) -> Left {
    state.mxcsr[0] = control_word(state.fcsr).expect("the caller checked the rounding mode");
    let biased = (&raw mut *state)
        .cast::<u8>()
        .wrapping_offset(offset::BIAS as isize) as u64;
    // SAFETY: the caller vouches for `code`; the state is exclusively ours.
    let left = unsafe { sapwood_enter(biased, code) };
    state.fcsr |= flags(state.mxcsr[0]);
    left
}
