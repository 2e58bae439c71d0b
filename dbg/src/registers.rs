//! [`Registers`]: a thread's general registers with a description of what they
//! are, so that code above [`Target`](crate::Target) names no architecture.

use std::fmt;

use crate::target::Address;

/// The most general registers any architecture here has.
const MOST: usize = 40;

/// What an architecture's general registers are called and used for.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// The architecture's usual name.
    pub architecture: &'static str,
    /// Names, in the order of [`Registers::get`]'s index.
    pub names: &'static [&'static str],
    /// DWARF numbers: `(number, index)` for each register that has one.
    pub dwarf: &'static [(u16, usize)],
    /// Index of the program counter.
    pub pc: usize,
    /// Index of the stack pointer.
    pub sp: usize,
    /// Index of the conventional frame pointer.
    pub fp: usize,
    /// How many of the names the user sees; those after it are the kernel's.
    pub shown: usize,
    /// The breakpoint instruction.
    pub breakpoint: &'static [u8],
}

/// x86-64, in gdb's order; `orig_rax` is the number of the system call that the
/// thread is in, or -1.
pub static X86_64: Layout = Layout {
    architecture: "x86-64",
    names: &[
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15", "rip", "eflags", "cs", "ss", "ds", "es", "fs", "gs", "fs_base",
        "gs_base", "orig_rax",
    ],
    dwarf: &[
        (0, x86::RAX),
        (1, x86::RDX),
        (2, x86::RCX),
        (3, x86::RBX),
        (4, x86::RSI),
        (5, x86::RDI),
        (6, x86::RBP),
        (7, x86::RSP),
        (8, 8),
        (9, 9),
        (10, 10),
        (11, 11),
        (12, 12),
        (13, 13),
        (14, 14),
        (15, 15),
        (16, x86::RIP),
        (49, x86::EFLAGS),
        (58, x86::FS_BASE),
        (59, x86::GS_BASE),
    ],
    pc: x86::RIP,
    sp: x86::RSP,
    fp: x86::RBP,
    shown: 26,
    breakpoint: &[0xcc],
};

/// Indices into x86-64's [`Registers`].
pub mod x86 {
    #![allow(missing_docs)]
    pub const RAX: usize = 0;
    pub const RBX: usize = 1;
    pub const RCX: usize = 2;
    pub const RDX: usize = 3;
    pub const RSI: usize = 4;
    pub const RDI: usize = 5;
    pub const RBP: usize = 6;
    pub const RSP: usize = 7;
    pub const R8: usize = 8;
    pub const R9: usize = 9;
    pub const R10: usize = 10;
    pub const R11: usize = 11;
    pub const R12: usize = 12;
    pub const R13: usize = 13;
    pub const R14: usize = 14;
    pub const R15: usize = 15;
    pub const RIP: usize = 16;
    pub const EFLAGS: usize = 17;
    pub const FS_BASE: usize = 24;
    pub const GS_BASE: usize = 25;
    pub const ORIG_RAX: usize = 26;
}

/// The values of a thread's general registers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    layout: &'static Layout,
    values: [u64; MOST],
}

impl Registers {
    /// All zero.
    pub fn new(layout: &'static Layout) -> Registers {
        Registers {
            layout,
            values: [0; MOST],
        }
    }

    /// What the registers are.
    pub fn layout(&self) -> &'static Layout {
        self.layout
    }

    /// The value of the register with this index in [`Layout::names`].
    pub fn get(&self, index: usize) -> u64 {
        self.values[index]
    }

    /// Changes a register.
    pub fn set(&mut self, index: usize, value: u64) {
        self.values[index] = value;
    }

    /// The index of a register by name; `pc`, `sp` and `fp` are understood
    /// everywhere.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        match name {
            "pc" => Some(self.layout.pc),
            "sp" => Some(self.layout.sp),
            "fp" => Some(self.layout.fp),
            _ => self.layout.names.iter().position(|n| *n == name),
        }
    }

    /// The program counter.
    pub fn pc(&self) -> Address {
        Address(self.values[self.layout.pc])
    }

    /// Moves the program counter.
    pub fn set_pc(&mut self, pc: Address) {
        self.values[self.layout.pc] = pc.0;
    }

    /// The stack pointer.
    pub fn sp(&self) -> Address {
        Address(self.values[self.layout.sp])
    }
}

impl fmt::Debug for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.layout.names.iter().zip(self.values) {
            map.entry(name, &format_args!("{value:#x}"));
        }
        map.finish()
    }
}

/// A thread's floating-point and vector registers, as the processor saves them
/// (x86-64: the XSAVE area in standard format, which begins with the 512 bytes
/// of FXSAVE).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VectorState(pub Vec<u8>);

impl VectorState {
    /// x86-64: the 16 bytes of `xmm{number}`.
    ///
    /// Formula: FXSAVE keeps them from byte 160, 16 bytes each (Intel SDM vol. 1,
    /// table 10-2).
    pub fn xmm(&self, number: usize) -> Option<[u8; 16]> {
        let at = 160 + 16 * number;
        (number < 16).then_some(())?;
        self.0.get(at..at + 16)?.try_into().ok()
    }

    /// x86-64: the 32 bytes of `ymm{number}`; the upper half is zero where the
    /// thread has not used it.
    ///
    /// XSAVE's standard format keeps the upper halves from byte 576, where bit 2
    /// of the header says that they are in use (Intel SDM vol. 1, 13.4).
    pub fn ymm(&self, number: usize) -> Option<[u8; 32]> {
        let mut whole = [0; 32];
        whole[..16].copy_from_slice(&self.xmm(number)?);
        let at = 576 + 16 * number;
        let in_use = self.0.get(512).is_some_and(|present| present & 4 != 0);
        if let (true, Some(upper)) = (in_use, self.0.get(at..at + 16)) {
            whole[16..].copy_from_slice(upper);
        }
        Some(whole)
    }

    /// x86-64: changes `xmm{number}`, and marks the SSE component as in use, so
    /// that the kernel loads it.
    pub fn set_xmm(&mut self, number: usize, value: [u8; 16]) {
        let at = 160 + 16 * number;
        if let Some(bytes) = self.0.get_mut(at..at + 16) {
            bytes.copy_from_slice(&value);
        }
        if let Some(present) = self.0.get_mut(512) {
            *present |= 2;
        }
    }

    /// x86-64: the 10 bytes of `st(number)`, extended precision.
    pub fn st(&self, number: usize) -> Option<[u8; 10]> {
        let at = 32 + 16 * number;
        (number < 8).then_some(())?;
        self.0.get(at..at + 10)?.try_into().ok()
    }

    /// x86-64: the control and status words of x87, by gdb's names for them.
    ///
    /// FXSAVE keeps one bit of the tag word for each register, which says only
    /// whether it is empty (Intel SDM vol. 1, 10.5.1.1).
    pub fn x87_words(&self) -> Vec<(&'static str, u32)> {
        let short = |at: usize| {
            let bytes = self.0.get(at..at + 2).unwrap_or(&[0, 0]);
            u32::from(bytes[0]) | u32::from(bytes[1]) << 8
        };
        let top = short(2) >> 11 & 7;
        let mut tag = 0;
        for physical in 0..8u32 {
            let slot = ((physical + 8 - top) % 8) as usize;
            let kind = match short(4) >> physical & 1 {
                0 => 3,
                _ => self.st(slot).map_or(3, |bytes| x87_kind(&bytes)),
            };
            tag |= kind << (2 * physical);
        }
        vec![
            ("fctrl", short(0)),
            ("fstat", short(2)),
            ("ftag", tag),
            ("fiseg", short(12)),
            ("fioff", short(8) | short(10) << 16),
            ("foseg", short(20)),
            ("fooff", short(16) | short(18) << 16),
            ("fop", short(6) & 0x7ff),
        ]
    }

    /// x86-64: SSE control and status.
    pub fn mxcsr(&self) -> Option<u32> {
        Some(u32::from_le_bytes(self.0.get(24..28)?.try_into().ok()?))
    }
}

/// What x87's full tag word says of a register that is not empty: 0 for a
/// number, 1 for zero, 2 for anything else.
fn x87_kind(bytes: &[u8; 10]) -> u32 {
    let exponent = u16::from_le_bytes([bytes[8], bytes[9]]) & 0x7fff;
    let mantissa = &bytes[..8];
    match exponent {
        0 if mantissa.iter().all(|byte| *byte == 0) => 1,
        0 | 0x7fff => 2,
        _ if mantissa[7] & 0x80 == 0 => 2,
        _ => 0,
    }
}

/// Names of x86-64's flag bits.
pub const FLAGS: &[(u32, &str)] = &[
    (0, "CF"),
    (2, "PF"),
    (4, "AF"),
    (6, "ZF"),
    (7, "SF"),
    (8, "TF"),
    (9, "IF"),
    (10, "DF"),
    (11, "OF"),
];

/// Names of the bits of `mxcsr`.
pub const MXCSR: &[(u32, &str)] = &[
    (0, "IE"),
    (1, "DE"),
    (2, "ZE"),
    (3, "OE"),
    (4, "UE"),
    (5, "PE"),
    (6, "DAZ"),
    (7, "IM"),
    (8, "DM"),
    (9, "ZM"),
    (10, "OM"),
    (11, "UM"),
    (12, "PM"),
    (15, "FZ"),
];

/// The names of the bits that are set.
pub fn bits_text(value: u64, names: &[(u32, &str)]) -> String {
    let set: Vec<&str> = names
        .iter()
        .filter(|(bit, _)| value >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    match set.is_empty() {
        true => "[ ]".to_owned(),
        false => format!("[ {} ]", set.join(" ")),
    }
}
