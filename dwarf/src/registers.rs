//! The registers of one frame, by their DWARF numbers.
//!
//! A frame's register is *known* or not: a caller-saved register of an outer
//! frame is not, and a location expression that needs it makes its variable
//! "optimised out", never a wrong value.

use std::fmt;
use std::sync::Arc;

use crate::Address;

/// An instruction set whose registers and unwinding this crate knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Arch {
    /// AMD64, System V ABI.
    X86_64,
    /// 64-bit little-endian ARM.
    Aarch64,
    /// 64-bit little-endian RISC-V.
    Riscv64,
}

impl Arch {
    /// The column that stands for the pc in [`Registers`].
    ///
    /// On x86-64 it is DWARF's own number for the return address, 16; the
    /// other two have no number for the pc, and get the first free slot.
    pub const fn pc(self) -> Register {
        match self {
            Arch::X86_64 => Register(16),
            Arch::Aarch64 | Arch::Riscv64 => Register(32),
        }
    }

    /// The stack pointer's DWARF number.
    pub const fn sp(self) -> Register {
        match self {
            Arch::X86_64 => Register(7),
            Arch::Aarch64 => Register(31),
            Arch::Riscv64 => Register(2),
        }
    }

    /// The frame pointer's DWARF number.
    pub const fn fp(self) -> Register {
        match self {
            Arch::X86_64 => Register(6),
            Arch::Aarch64 => Register(29),
            Arch::Riscv64 => Register(8),
        }
    }

    /// The registers that a callee leaves as it found them, by DWARF number,
    /// the stack pointer aside.
    pub const fn callee_saved(self) -> &'static [u16] {
        match self {
            Arch::X86_64 => &[3, 6, 12, 13, 14, 15],
            Arch::Aarch64 => &[19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29],
            Arch::Riscv64 => &[3, 4, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27],
        }
    }

    /// The name of a general register, as an assembler writes it.
    pub fn register_name(self, register: Register) -> Option<&'static str> {
        let names: &[&str] = match self {
            Arch::X86_64 => &X86_64_NAMES,
            Arch::Aarch64 => &AARCH64_NAMES,
            Arch::Riscv64 => &RISCV64_NAMES,
        };
        names.get(usize::from(register.0)).copied()
    }

    /// The general register of that name.
    pub fn register_named(self, name: &str) -> Option<Register> {
        (0..=Registers::LAST.0)
            .map(Register)
            .find(|&r| self.register_name(r) == Some(name))
    }
}

const X86_64_NAMES: [&str; 17] = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15", "rip",
];

const AARCH64_NAMES: [&str; 33] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
    "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
    "x28", "x29", "x30", "sp", "pc",
];

const RISCV64_NAMES: [&str; 33] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "fp", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6", "pc",
];

/// A register's DWARF number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Register(pub u16);

/// What a frame's registers held: the general ones and the pc, each known or
/// not, and, where the caller fetched them, the rest of the machine's state.
#[derive(Clone, PartialEq)]
pub struct Registers {
    arch: Arch,
    known: u64,
    /// Those that calls may change, and that no callee is known to have changed.
    unsaved: u64,
    values: [u64; Registers::LAST.0 as usize + 1],
    other: Option<Arc<OtherRegisters>>,
}

/// Registers that are fetched only when a value lives in one.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OtherRegisters {
    /// The base of `%fs`, the thread pointer on x86-64.
    pub fs_base: u64,
    /// The base of `%gs`.
    pub gs_base: u64,
    /// The flags.
    pub eflags: u32,
    /// cs, ss, ds, es, fs, gs.
    pub segments: [u16; 6],
    /// The vector registers, 32 bytes each (`ymm` of which the lower half is
    /// `xmm`), little-endian.
    pub vectors: Vec<[u8; 32]>,
    /// x87 `st(0)` to `st(7)`, 10 bytes each.
    pub x87: Vec<[u8; 10]>,
    /// The vector unit's control word.
    pub mxcsr: u32,
}

impl Registers {
    /// The last register number that has a slot.
    pub const LAST: Register = Register(32);

    /// No register known.
    pub const fn new(arch: Arch) -> Registers {
        Registers {
            arch,
            known: 0,
            unsaved: 0,
            values: [0; Registers::LAST.0 as usize + 1],
            other: None,
        }
    }

    /// Whose registers these are.
    pub const fn arch(&self) -> Arch {
        self.arch
    }

    /// A general register's value, or `None` where nobody knows it.
    pub fn get(&self, register: Register) -> Option<u64> {
        let known = register.0 <= Self::LAST.0 && self.known >> register.0 & 1 == 1;
        known.then(|| self.values[usize::from(register.0)])
    }

    /// What a register that calls may change held in the frame that was called;
    /// for a caller that knows its callee.
    pub fn unsaved(&self, register: Register) -> Option<u64> {
        let has = register.0 <= Self::LAST.0 && self.unsaved >> register.0 & 1 == 1;
        has.then(|| self.values[usize::from(register.0)])
    }

    /// Takes over the registers that calls may change from the frame that was
    /// called.
    pub(crate) fn inherit_unsaved(&mut self, callee: &Registers) {
        for number in 0..=Self::LAST.0 {
            let register = Register(number);
            if self.get(register).is_none()
                && let Some(value) = callee.get(register).or_else(|| callee.unsaved(register))
            {
                self.unsaved |= 1 << number;
                self.values[usize::from(number)] = value;
            }
        }
    }

    /// Makes a general register known. A number without a slot is ignored.
    pub fn set(&mut self, register: Register, value: u64) {
        if register.0 <= Self::LAST.0 {
            self.known |= 1 << register.0;
            self.unsaved &= !(1 << register.0);
            self.values[usize::from(register.0)] = value;
        }
    }

    /// Makes a general register unknown.
    pub fn forget(&mut self, register: Register) {
        if register.0 <= Self::LAST.0 {
            self.known &= !(1 << register.0);
        }
    }

    /// The pc, as it stands in the register (a return address, for an outer
    /// frame).
    pub fn pc(&self) -> Option<Address> {
        self.get(self.arch.pc()).map(Address)
    }

    /// The stack pointer.
    pub fn sp(&self) -> Option<Address> {
        self.get(self.arch.sp()).map(Address)
    }

    /// The frame pointer.
    pub fn fp(&self) -> Option<Address> {
        self.get(self.arch.fp()).map(Address)
    }

    /// Sets the pc.
    pub fn set_pc(&mut self, pc: Address) {
        self.set(self.arch.pc(), pc.0);
    }

    /// Sets the stack pointer.
    pub fn set_sp(&mut self, sp: Address) {
        self.set(self.arch.sp(), sp.0);
    }

    /// The registers beyond the general ones, where they were fetched.
    pub fn other(&self) -> Option<&OtherRegisters> {
        self.other.as_deref()
    }

    /// The registers beyond the general ones, to hand on.
    pub fn shared_other(&self) -> Option<Arc<OtherRegisters>> {
        self.other.clone()
    }

    /// Attaches the registers beyond the general ones.
    pub fn set_other(&mut self, other: Option<Arc<OtherRegisters>>) {
        self.other = other;
    }

    /// The bytes of any register that DWARF can name, or `None` where it is
    /// not known.
    ///
    /// x86-64: 0–16 general, 17–32 xmm0–15, 33–40 st0–7, 49 rflags, 50–55
    /// segments, 58 and 59 the fs and gs bases, 64 mxcsr (System V psABI, figure
    /// 3.36).
    pub fn bytes(&self, register: Register) -> Option<Vec<u8>> {
        if self.arch != Arch::X86_64 || register.0 <= 16 {
            return self.get(register).map(|value| value.to_le_bytes().to_vec());
        }
        let other = self.other()?;
        let number = usize::from(register.0);
        match number {
            17..=32 => other.vectors.get(number - 17).map(|v| v.to_vec()),
            33..=40 => other.x87.get(number - 33).map(|v| v.to_vec()),
            49 => Some(other.eflags.to_le_bytes().to_vec()),
            50..=55 => {
                // es, cs, ss, ds, fs, gs in the psABI's order.
                let order = [3, 0, 1, 2, 4, 5];
                Some(other.segments[order[number - 50]].to_le_bytes().to_vec())
            }
            58 => Some(other.fs_base.to_le_bytes().to_vec()),
            59 => Some(other.gs_base.to_le_bytes().to_vec()),
            64 => Some(other.mxcsr.to_le_bytes().to_vec()),
            67..=82 => other.vectors.get(number - 67 + 16).map(|v| v.to_vec()),
            _ => None,
        }
    }
}

impl fmt::Debug for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for number in 0..=Self::LAST.0 {
            if let Some(value) = self.get(Register(number)) {
                let name = self.arch.register_name(Register(number)).unwrap_or("?");
                map.entry(&name, &format_args!("{value:#x}"));
            }
        }
        map.finish()
    }
}
