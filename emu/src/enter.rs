//! The way into translated code and out of it, and what the two agree on.
//!
//! While translated code runs, r15 points into the guest state
//! ([`offset::BIAS`] past its beginning) and the host's floating-point control
//! word is the guest's. Translated code is jumped to, never called: it ends by
//! jumping to further translated code or to one of the exits here.
//!
//! Wherever one piece of translated code goes on to another, r14 is the base
//! of guest memory and the registers of [`Ways::pins`] are in host registers; a
//! direct jump also has the address of the exit's cell in rax. Second-tier code keeps
//! registers its own way inside: its prologue puts the pins into the state, and
//! `resume` takes them out again.

use std::arch::global_asm;

use crate::state::{DeferredFlags, GuestState, offset};

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
    /// An exit that is not linked was taken; the payload is the address of its
    /// cell. `pc` is not set: the exit's record has it.
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
    /// Second-tier code found what it does not do, and is back at a checkpoint,
    /// which is `pc`; the payload is the cell of the first of its exits.
    pub const REPLAY: u64 = 9;
    /// Second-tier code cannot begin with the registers as they are; all else is
    /// as with a replay.
    pub const REFUSED: u64 = 10;
    /// The fuel is used up; `pc` is where to go on.
    pub const FUEL: u64 = 8;
    /// The host faulted. `pc` is not set: the host pc is in the state.
    pub const FAULT: u64 = 7;
}

/// What translated code reaches through the guest state.
#[repr(C)]
#[derive(Debug)]
pub struct Exits {
    /// Takes a reason in rdi and its payload in rsi, and leaves.
    pub leave: u64,
    /// Where second-tier code goes on to other code: the cell of the exit in
    /// rdi, the code in rsi.
    pub resume: u64,
    /// Puts the host's control word, with the flags raised so far, into the state.
    /// Called, and leaves all registers alone, as the next one.
    pub flags: u64,
    /// Clears the flags there.
    pub clear_flags: u64,
}

/// Offset of [`Exits::leave`].
pub const LEAVE: i32 = std::mem::offset_of!(Exits, leave) as i32;
/// Offset of [`Exits::resume`].
pub const RESUME: i32 = std::mem::offset_of!(Exits, resume) as i32;
/// Offset of [`Exits::flags`].
pub const FLAGS: i32 = std::mem::offset_of!(Exits, flags) as i32;
/// Offset of [`Exits::clear_flags`].
pub const CLEAR_FLAGS: i32 = std::mem::offset_of!(Exits, clear_flags) as i32;

/// The ways between translated code and the engine, for one guest: they agree
/// on which guest registers are in host registers.
#[derive(Debug)]
pub struct Ways {
    /// Guest integer registers that live in host registers while first-tier
    /// code runs: (guest register, host register's number). The rest live in
    /// the state.
    pub pins: [(u8, u8); PINS],
    /// Enters: the biased state, the code.
    enter: unsafe extern "C" fn(u64, u64) -> Left,
    /// What code reaches through the state.
    exits: Exits,
    /// Where first-tier code leaves: the guest pc in rax, the reason in ecx.
    pub leave_pinned: u64,
    /// Where an exit that is not linked leads; it is entered with its cell's
    /// address in rax, the guest's registers as first-tier code has them.
    pub unlinked: u64,
    /// Where the fault handler continues.
    pub landing: u64,
}

/// How many guest registers are pinned.
pub const PINS: usize = 10;

impl Ways {
    /// The address of the table of exits.
    pub fn exits(&self) -> u64 {
        &raw const self.exits as u64
    }
}

/// One guest's ways, from the pins as `guest register, host register, its number`.
macro_rules! ways {
    ($name:ident, $guest:literal, $(($register:literal, $host:literal, $number:literal))*) => {
        global_asm!(
            ".pushsection .text.sapwood_enter, \"ax\", @progbits",
            // Optimised builds refer to these from other objects.
            concat!(".globl sapwood_enter_", $guest),
            concat!(".globl sapwood_resume_", $guest),
            concat!(".globl sapwood_unlinked_", $guest),
            concat!(".globl sapwood_leave_pinned_", $guest),
            concat!(".globl sapwood_landing_", $guest),
            ".p2align 4",
            concat!("sapwood_enter_", $guest, ":"),
            // For debuggers: from here on all code has this frame.
            ".cfi_startproc",
            "push rbp",
            ".cfi_adjust_cfa_offset 8",
            ".cfi_rel_offset 6, 0",
            "push rbx",
            ".cfi_adjust_cfa_offset 8",
            ".cfi_rel_offset 3, 0",
            "push r12",
            ".cfi_adjust_cfa_offset 8",
            ".cfi_rel_offset 12, 0",
            "push r13",
            ".cfi_adjust_cfa_offset 8",
            ".cfi_rel_offset 13, 0",
            "push r14",
            ".cfi_adjust_cfa_offset 8",
            ".cfi_rel_offset 14, 0",
            "push r15",
            ".cfi_adjust_cfa_offset 8",
            ".cfi_rel_offset 15, 0",
            "mov r15, rdi",
            "mov rax, rsi",
            "mov [r15 + {host_stack}], rsp",
            "stmxcsr [r15 + {host_mxcsr}]",
            "ldmxcsr [r15 + {guest_mxcsr}]",
            "mov r14, [r15 + {memory_base}]",
            $(concat!("mov ", $host, ", [r15 + {x} + 8 * ", $register, "]"),)*
            "jmp rax",
            // From second-tier code: rdi is an exit's cell, rsi where it leads.
            ".p2align 4",
            concat!("sapwood_resume_", $guest, ":"),
            "mov dword ptr [r15 + {in_region}], 0",
            "cmp qword ptr [r15 + {deferred}], 0",
            "jne 3f",
            "4:",
            "mov rax, rdi",
            "mov rcx, rsi",
            "mov r14, [r15 + {memory_base}]",
            $(concat!("mov ", $host, ", [r15 + {x} + 8 * ", $register, "]"),)*
            "jmp rcx",
            "3: call sapwood_settle",
            "jmp 4b",
            ".p2align 4",
            concat!("sapwood_unlinked_", $guest, ":"),
            $(concat!("mov [r15 + {x} + 8 * ", $register, "], ", $host),)*
            "mov rsi, rax",
            "xor edi, edi",
            "jmp sapwood_leave",
            ".p2align 4",
            concat!("sapwood_leave_pinned_", $guest, ":"),
            "mov [r15 + {pc}], rax",
            $(concat!("mov [r15 + {x} + 8 * ", $register, "], ", $host),)*
            "mov edi, ecx",
            "xor esi, esi",
            "jmp sapwood_leave",
            ".p2align 4",
            concat!("sapwood_landing_", $guest, ":"),
            $(concat!("mov [r15 + {x} + 8 * ", $register, "], ", $host),)*
            "mov edi, {fault}",
            "xor esi, esi",
            "jmp sapwood_leave",
            ".cfi_endproc",
            ".popsection",
            x = const offset::X - offset::BIAS,
            pc = const offset::PC - offset::BIAS,
            memory_base = const offset::MEMORY_BASE - offset::BIAS,
            in_region = const offset::IN_REGION - offset::BIAS,
            host_stack = const offset::HOST_STACK - offset::BIAS,
            guest_mxcsr = const offset::MXCSR - offset::BIAS,
            host_mxcsr = const offset::MXCSR + 4 - offset::BIAS,
            deferred = const offset::DEFERRED - offset::BIAS,
            fault = const reason::FAULT,
        );

        /// The ways of this guest.
        pub fn $name() -> &'static Ways {
            unsafe extern "C" {
                #[link_name = concat!("sapwood_enter_", $guest)]
                fn enter(state: u64, code: u64) -> Left;
                #[link_name = concat!("sapwood_resume_", $guest)]
                fn resume();
                #[link_name = concat!("sapwood_unlinked_", $guest)]
                fn unlinked();
                #[link_name = concat!("sapwood_leave_pinned_", $guest)]
                fn leave_pinned();
                #[link_name = concat!("sapwood_landing_", $guest)]
                fn landing();
            }
            static WAYS: std::sync::LazyLock<Ways> = std::sync::LazyLock::new(|| Ways {
                pins: [$(($register, $number)),*],
                enter,
                exits: Exits {
                    leave: sapwood_leave as *const () as u64,
                    resume: resume as *const () as u64,
                    flags: sapwood_flags as *const () as u64,
                    clear_flags: sapwood_clear_flags as *const () as u64,
                },
                leave_pinned: leave_pinned as *const () as u64,
                unlinked: unlinked as *const () as u64,
                landing: landing as *const () as u64,
            });
            &WAYS
        }
    };
}

// sp, s0, s1, a0 to a6.
ways! {
    riscv64, "riscv64",
    (2, "rbx", 3) (8, "rbp", 5) (9, "rsi", 6) (10, "rdi", 7) (11, "r8", 8)
    (12, "r9", 9) (13, "r10", 10) (14, "r11", 11) (15, "r12", 12) (16, "r13", 13)
}

// sp, x0 to x6, x19, x20.
ways! {
    aarch64, "aarch64",
    (31, "rbx", 3) (19, "rbp", 5) (1, "rsi", 6) (0, "rdi", 7) (2, "r8", 8)
    (3, "r9", 9) (4, "r10", 10) (5, "r11", 11) (6, "r12", 12) (20, "r13", 13)
}

global_asm!(
    ".pushsection .text.sapwood_enter, \"ax\", @progbits",
    ".globl sapwood_leave",
    ".globl sapwood_flags",
    ".globl sapwood_clear_flags",
    ".globl sapwood_settle",
    ".p2align 4",
    "sapwood_leave:",
    ".cfi_startproc",
    ".cfi_def_cfa_offset 56",
    ".cfi_offset 6, -16",
    ".cfi_offset 3, -24",
    ".cfi_offset 12, -32",
    ".cfi_offset 13, -40",
    ".cfi_offset 14, -48",
    ".cfi_offset 15, -56",
    "mov rsp, [r15 + {host_stack}]",
    "stmxcsr [r15 + {guest_mxcsr}]",
    "ldmxcsr [r15 + {host_mxcsr}]",
    "mov rax, rdi",
    "mov rdx, rsi",
    "pop r15",
    ".cfi_adjust_cfa_offset -8",
    ".cfi_same_value 15",
    "pop r14",
    ".cfi_adjust_cfa_offset -8",
    ".cfi_same_value 14",
    "pop r13",
    ".cfi_adjust_cfa_offset -8",
    ".cfi_same_value 13",
    "pop r12",
    ".cfi_adjust_cfa_offset -8",
    ".cfi_same_value 12",
    "pop rbx",
    ".cfi_adjust_cfa_offset -8",
    ".cfi_same_value 3",
    "pop rbp",
    ".cfi_adjust_cfa_offset -8",
    ".cfi_same_value 6",
    "ret",
    ".cfi_endproc",
    // Works out condition flags that were left as operands (`DeferredFlags`),
    // on the host's own. Leaves rdi and rsi alone.
    ".p2align 4",
    "sapwood_settle:",
    "mov rax, [r15 + {deferred}]",
    "mov rdx, [r15 + {deferred} + 8]",
    "mov rcx, [r15 + {deferred} + 16]",
    "mov qword ptr [r15 + {deferred}], 0",
    "test al, {of}",
    "jz 5f",
    "test al, {numbers}",
    "jnz 4f",
    "test al, {narrow}",
    "jz 2f",
    "shl rdx, 32",
    "shl rcx, 32",
    "2: test al, {result}",
    "jnz 2f",
    "test al, {sum}",
    "jnz 3f",
    "cmp rdx, rcx",
    "jmp 6f",
    "2: test rdx, rdx",
    "stc",
    "jmp 6f",
    "3: add rdx, rcx",
    "cmc",
    "6: seto al",
    "lahf",
    "mov [r15 + {nzcv}], eax",
    "ret",
    "4: test al, {narrow}",
    "jz 2f",
    "movd xmm0, edx",
    "movd xmm1, ecx",
    "ucomiss xmm0, xmm1",
    "jmp 3f",
    "2: movq xmm0, rdx",
    "movq xmm1, rcx",
    "ucomisd xmm0, xmm1",
    // Less is a borrow to the host, and negative as well to the guest.
    "3: mov edx, 1",
    "jp 5f",
    "setb dl",
    "mov eax, 0",
    "lahf",
    "shl edx, 15",
    "or edx, eax",
    "5: mov [r15 + {nzcv}], edx",
    "ret",
    ".p2align 4",
    "sapwood_flags:",
    "stmxcsr [r15 + {guest_mxcsr}]",
    "ret",
    ".p2align 4",
    "sapwood_clear_flags:",
    "stmxcsr [r15 + {guest_mxcsr}]",
    "and dword ptr [r15 + {guest_mxcsr}], 0xffffffc0",
    "ldmxcsr [r15 + {guest_mxcsr}]",
    "ret",
    ".popsection",
    deferred = const offset::DEFERRED - offset::BIAS,
    nzcv = const offset::NZCV - offset::BIAS,
    of = const DeferredFlags::OF,
    narrow = const DeferredFlags::NARROW,
    sum = const DeferredFlags::SUM,
    result = const DeferredFlags::RESULT,
    numbers = const DeferredFlags::NUMBERS,
    host_stack = const offset::HOST_STACK - offset::BIAS,
    guest_mxcsr = const offset::MXCSR - offset::BIAS,
    host_mxcsr = const offset::MXCSR + 4 - offset::BIAS,
);

const _: () = assert!(reason::LINK == 0, "sapwood_unlinked gives it as such");

unsafe extern "C" {
    fn sapwood_leave();
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
pub const FLAG_TABLE: [u8; 64] = {
    let mut table = [0; 64];
    let mut i = 0;
    while i < table.len() {
        table[i] = flags(i as u32) as u8;
        i += 1;
    }
    table
};

/// AArch64's condition flags as translated code keeps them: as the host's `lahf`
/// and `seto al` leave them after a subtraction. N is bit 15, Z 14, the borrow
/// (not C) 8, V bit 0; the other bits are anything.
pub const fn host_flags(nzcv: u32) -> u32 {
    nzcv >> 16 & 0xc000 | (!nzcv >> 29 & 1) << 8 | nzcv >> 28 & 1
}

/// The inverse of [`host_flags`].
pub const fn guest_flags(host: u32) -> u32 {
    (host & 0xc000) << 16 | (!host >> 8 & 1) << 29 | (host & 1) << 28
}

/// Runs translated code until it leaves, and takes the floating-point flags
/// into `fcsr`. An AArch64 guest's condition flags are in the host's form
/// meanwhile ([`host_flags`]); second-tier code may leave them as operands.
///
/// # Safety
/// `code` is the entry of translated code, made for this layout of the state,
/// that stays mapped meanwhile; the state's memory fields describe guest
/// memory; [`control_word`] has a word for its `fcsr`.
pub unsafe fn enter(ways: &Ways, state: &mut GuestState, code: u64) -> Left {
    state.mxcsr[0] = control_word(state.fcsr).expect("the caller checked the rounding mode");
    let biased = (&raw mut *state)
        .cast::<u8>()
        .wrapping_offset(offset::BIAS as isize) as u64;
    // SAFETY: the caller vouches for `code`; the state is exclusively ours.
    let left = unsafe { (ways.enter)(biased, code) };
    state.fcsr |= flags(state.mxcsr[0]);
    if std::mem::take(&mut state.in_region) != 0
        && let Some(nzcv) = state.deferred.take()
    {
        state.aarch64.nzcv = host_flags(nzcv);
    }
    left
}
