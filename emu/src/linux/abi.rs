//! [`Abi`]: what one guest architecture's Linux does its own way.
//!
//! System call numbers, `errno`, flags and most structures are the generic
//! ones on RISC-V and AArch64 alike. What is left, registers, the signal
//! frame, a few flags and layouts, is behind this trait, one file per
//! architecture; nothing else in `linux` knows a register.

mod aarch64;
mod riscv64;

use std::fmt::Debug;

use super::signal::{SigInfo, SignalSet};
use super::vdso::Vdso;
use crate::addr::GuestAddr;
use crate::engine::Guest;
use crate::errno::Errno;
use crate::memory::{GuestMemory, plain_structs};
use crate::state::GuestState;

pub use aarch64::Aarch64;
pub use riscv64::Riscv64;

/// The Linux of programs with this `e_machine`, if there is one.
pub fn for_machine(machine: u16) -> Option<&'static dyn Abi> {
    let all: [&'static dyn Abi; 2] = [&Riscv64, &Aarch64];
    all.into_iter().find(|abi| abi.machine() == machine)
}

/// A system call as the registers have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub number: u64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

plain_structs! {
    /// `stack_t`: the stack that signal handlers may run on.
    pub struct AlternateStack {
        /// Its lowest address.
        pub base: u64,
        /// `SS_…` bits.
        pub flags: u32,
        /// Nothing.
        pub reserved: u32,
        /// Its length in bytes.
        pub size: u64,
    }
}

/// What a signal frame holds besides the registers.
#[derive(Clone, Copy)]
pub struct FrameContents {
    /// What came with the signal.
    pub info: SigInfo,
    /// The mask to go back to.
    pub mask: SignalSet,
    /// The alternate stack as it was.
    pub alternate: AlternateStack,
}

/// How a signal handler is to be entered.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The guest's function.
    pub handler: GuestAddr,
    /// Where the stack stands: the frame goes below.
    pub stack: GuestAddr,
    /// Where the function returns to.
    pub trampoline: GuestAddr,
}

/// One register as debuggers know it.
pub struct Register {
    /// Its name.
    pub name: String,
    /// How long it is.
    pub bytes: usize,
    /// Its type in a target description.
    pub kind: &'static str,
}

/// Registers that belong together.
pub struct Feature {
    /// gdb's name for them.
    pub name: &'static str,
    /// Types that they need, as a target description has them.
    pub types: &'static str,
    /// Them.
    pub registers: Vec<Register>,
}

impl Feature {
    fn new(name: &'static str) -> Feature {
        Feature {
            name,
            types: "",
            registers: Vec::new(),
        }
    }

    fn with(
        mut self,
        names: impl IntoIterator<Item = String>,
        bytes: usize,
        kind: &'static str,
    ) -> Feature {
        let registers = names.into_iter();
        self.registers
            .extend(registers.map(|name| Register { name, bytes, kind }));
        self
    }
}

/// Takes a value from the front of what debuggers know as registers.
fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (first, rest) = bytes
        .split_first_chunk()
        .expect("the table says how many bytes there are");
    *bytes = rest;
    *first
}

/// A word among registers, by where it is.
fn word_at(registers: &[u8], at: usize) -> u64 {
    let bytes = registers[at..at + 8].try_into();
    u64::from_le_bytes(bytes.expect("eight bytes"))
}

/// Some bytes of the registers: from where, to where.
pub type Part = (usize, usize);

/// Register sets that every architecture has (`NT_PRSTATUS`, `NT_PRFPREG`).
const GENERAL: u64 = 1;
const FLOAT: u64 = 2;

/// One guest architecture's Linux.
pub trait Abi: Sync + Debug {
    /// The processor that its programs run on.
    fn guest(&self) -> Guest;

    /// `e_machine` of its programs.
    fn machine(&self) -> u16;

    /// What `uname` calls the machine.
    fn name(&self) -> &'static str;

    /// `/proc/cpuinfo` of a machine with this many processors.
    fn processors(&self, count: usize) -> String;

    /// `AT_HWCAP`: the features that programs may use.
    fn capabilities(&self) -> u64;

    /// The system call that a thread at a system call instruction asks for.
    fn request(&self, state: &GuestState) -> Request;

    /// Sets the result of a system call.
    fn set_result(&self, state: &mut GuestState, result: u64);

    /// Moves past the system call instruction.
    fn step_over_call(&self, state: &mut GuestState);

    /// Moves back to the system call instruction.
    fn step_back_call(&self, state: &mut GuestState) {
        state.pc = GuestAddr(state.pc.0.wrapping_sub(4));
    }

    /// Makes the system call that is asked for another.
    fn set_call_number(&self, state: &mut GuestState, number: u64);

    /// The stack pointer.
    fn stack_pointer(&self, state: &GuestState) -> GuestAddr;

    /// Sets the stack pointer.
    fn set_stack_pointer(&self, state: &mut GuestState, value: GuestAddr);

    /// Sets the thread pointer.
    fn set_thread_pointer(&self, state: &mut GuestState, value: u64);

    /// Linux's own library. Its first function is what a signal handler returns
    /// to: it makes the system call `rt_sigreturn`.
    fn vdso(&self) -> &'static Vdso;

    /// Puts a signal frame on the guest's stack and enters the handler.
    /// `EFAULT` when the frame cannot be written; the state is unchanged then.
    fn enter_handler(
        &self,
        state: &mut GuestState,
        memory: &GuestMemory,
        entry: Entry,
        contents: &FrameContents,
    ) -> Result<(), Errno>;

    /// Takes the registers back from the frame at the stack pointer, and gives
    /// the mask and alternate stack that it holds.
    fn leave_handler(
        &self,
        state: &mut GuestState,
        memory: &GuestMemory,
    ) -> Result<(SignalSet, AlternateStack), Errno>;

    /// What gdb calls the architecture.
    fn debugger_name(&self) -> &'static str;

    /// The registers that a debugger sees, in order.
    fn register_table(&self) -> Vec<Feature>;

    /// Their values, one after the other.
    fn registers(&self, state: &GuestState) -> Vec<u8>;

    /// Sets them: as many bytes as [`registers`](Self::registers) gives.
    fn set_registers(&self, state: &mut GuestState, bytes: &[u8]);

    /// The parts of [`registers`](Self::registers), one after the other, that
    /// `PTRACE_GETREGSET` gives for a kind (`NT_…`), and how long that is with
    /// the zeros behind them.
    fn register_set(&self, kind: u64) -> Option<(&'static [Part], usize)>;

    /// Whether the number of a system call is a register set of its own.
    fn has_call_number_set(&self) -> bool {
        false
    }

    /// The pc and the stack pointer among registers.
    fn places(&self, registers: &[u8]) -> (u64, u64);

    /// What auditing calls the architecture (`AUDIT_ARCH_…`).
    fn audit_number(&self) -> u32;

    /// Whether `struct sigaction` names the function that handlers return to.
    fn action_has_restorer(&self) -> bool {
        false
    }

    /// The host's `open` flags for the guest's.
    fn open_flags_to_host(&self, flags: u64) -> u64 {
        flags
    }

    /// The guest's `open` flags for the host's.
    fn open_flags_to_guest(&self, flags: u64) -> u64 {
        flags
    }
}
