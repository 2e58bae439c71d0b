//! [`GuestState`]: the registers of one guest thread, in the one layout that
//! the interpreter, every tier of translated code and the system calls share.
//!
//! The layout is the only contract between tiers, so it is `repr(C)` and
//! [`offset`] names every field that generated code touches. The general
//! registers come first so that code which keeps a pointer into their middle
//! reaches each with a one-byte displacement.
//!
//! What holds whenever no translated code of this thread is running: every
//! field is exact. While translated code runs, a tier may hold registers and
//! the floating-point flags in host registers; it puts them back before it
//! returns.

use std::sync::atomic::AtomicU32;

use crate::addr::GuestAddr;
use crate::enter::guest_flags;
use crate::interp::flags;
use crate::ir::Width;

/// AArch64's registers that [`GuestState::x`] does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Aarch64State {
    /// Vector registers, lower half first.
    pub v: [[u64; 2]; 32],
    /// Condition flags: N, Z, C, V in bits 31 to 28, the rest zero. While
    /// translated code runs, as [`host_flags`](crate::enter::host_flags) has them.
    pub nzcv: u32,
    /// Floating-point control: AHP, DN, FZ, RMode in bits 26 to 22, the rest zero.
    pub fpcr: u32,
    /// Floating-point status: QC in bit 27, IDC in 7, IXC, UFC, OFC, DZC, IOC
    /// in 4 to 0, the rest zero.
    pub fpsr: u32,
    /// TPIDR_EL0, the thread pointer.
    pub tpidr: u64,
    /// The upper half of what the last exclusive load of a pair read.
    pub reservation_high: u64,
}

/// Condition flags that second-tier code has not worked out: what they are of,
/// 0 when the state has them itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct DeferredFlags {
    /// A number of the bits below.
    pub of: u64,
    /// The operands, or the flags themselves, in the host's form, in `a`.
    pub a: u64,
    pub b: u64,
}

impl DeferredFlags {
    /// These are the flags; with no other bit, `a` is.
    pub const SOME: u64 = 256;
    /// Of something.
    pub const OF: u64 = 1;
    /// Of the lower halves; of numbers of single precision.
    pub const NARROW: u64 = 2;
    /// Of a sum, otherwise a difference.
    pub const SUM: u64 = 4;
    /// Of a result: the difference to 0, but without the borrow.
    pub const RESULT: u64 = 8;
    /// Of a comparison of floating-point numbers.
    pub const NUMBERS: u64 = 16;

    /// The flags, in AArch64's form; `None` when the state has them.
    pub fn take(&mut self) -> Option<u32> {
        let DeferredFlags { of, a, b } = std::mem::take(self);
        if of & Self::SOME == 0 {
            return None;
        }
        let narrow = of & Self::NARROW != 0;
        let width = if narrow { Width::W32 } else { Width::W64 };
        Some(match of {
            _ if of & Self::OF == 0 => guest_flags(a as u32),
            _ if of & Self::NUMBERS != 0 && narrow => {
                flags::float(f32::from_bits(a as u32).partial_cmp(&f32::from_bits(b as u32))) as u32
            }
            _ if of & Self::NUMBERS != 0 => {
                flags::float(f64::from_bits(a).partial_cmp(&f64::from_bits(b))) as u32
            }
            _ if of & Self::RESULT != 0 => flags::logic(width, a) as u32,
            _ if of & Self::SUM != 0 => flags::add(width, a, b, false) as u32,
            _ => flags::add(width, a, !b, true) as u32,
        })
    }
}

/// What one guest thread is, besides its memory.
///
/// RISC-V: `x[0]` is kept zero by everyone who writes registers. AArch64:
/// `x[31]` is the stack pointer, and `f` and `fcsr` are not used.
#[repr(C, align(64))]
pub struct GuestState {
    /// Integer registers `x0` to `x31`; on RISC-V `x[2]` is the stack pointer,
    /// `x[4]` the thread pointer.
    pub x: [u64; 32],
    /// Floating-point registers, raw. A single-precision value is NaN-boxed:
    /// its upper 32 bits are ones.
    pub f: [u64; 32],
    /// Address of the instruction to run next.
    pub pc: GuestAddr,
    /// Floating-point control and status: bits 4–0 flags (NV DZ OF UF NX),
    /// bits 7–5 rounding mode, the rest zero.
    pub fcsr: u32,
    /// Non-zero asks the thread to stop soon with
    /// [`Exit::Interrupted`](crate::Exit::Interrupted). May be set from another
    /// thread or from a signal handler.
    pub interrupt: AtomicU32,
    /// Where guest address 0 lies in this process.
    pub memory_base: u64,
    /// The first guest address beyond guest memory.
    pub memory_limit: u64,
    /// The address of the last load-reserved, [`NO_RESERVATION`] when there is none.
    pub reservation: u64,
    /// The value which that load-reserved read, extended as it was loaded.
    pub reservation_value: u64,
    /// The ways out of translated code ([`crate::enter`]). Set by the engine
    /// when it begins to run this state.
    pub(crate) exits: u64,
    /// Table from guest pc to translated code, for indirect jumps. Set by the
    /// engine when it begins to run this state.
    pub(crate) lookup: u64,
    /// The host stack pointer to return to when translated code ends.
    pub(crate) host_stack: u64,
    /// Written, never read: keeps floating-point operations alive whose value
    /// nobody wants but whose flags count.
    pub(crate) sink: u64,
    /// Where in translated code the host faulted; set by the fault handler.
    pub(crate) fault_pc: u64,
    /// The host's floating-point control word while translated code runs (low
    /// half), and the one of the caller (high half).
    pub(crate) mxcsr: [u32; 2],
    /// How many more backward and indirect jumps first-tier code makes before
    /// it comes back, so that interrupts are seen and hot loops noticed.
    pub(crate) fuel: i32,
    /// Not 0 while second-tier code runs: then no guest register is in a host
    /// register that the landing after a fault would have to save.
    pub(crate) in_region: u32,
    /// Condition flags as second-tier code leaves them.
    pub(crate) deferred: DeferredFlags,
    /// What first-tier code needs and has no register or instruction for.
    pub(crate) tables: Tables,
    /// The rest of an AArch64 guest's registers.
    pub aarch64: Aarch64State,
}

/// Constants and addresses that first-tier code reads from the state.
#[repr(C, align(16))]
#[derive(Clone)]
pub(crate) struct Tables {
    /// Sign bit of a double; the upper half is not used.
    pub sign64: [u64; 2],
    /// All bits of a double but the sign.
    pub magnitude64: [u64; 2],
    /// Sign bit of a single.
    pub sign32: [u64; 2],
    /// All bits of a single but the sign.
    pub magnitude32: [u64; 2],
    /// The guest's NaN, as a double and as a single.
    pub nan: [u64; 2],
    /// 2^32, 2^63 and −1 as doubles.
    pub bounds64: [f64; 3],
    /// 2^32, 2^63 and −1 as singles.
    pub bounds32: [f32; 4],
    /// RISC-V's flags for each value of the host's six.
    pub flags: [u8; 64],
    /// Where first-tier code goes when it leaves for good. Set by the engine
    /// when it begins to run this state.
    pub leave: u64,
    /// Masks for shuffles of vectors ([`Shuffle`]).
    pub shuffles: [[u64; 2]; Shuffle::ALL],
    /// A place to put things.
    pub spill: [u64; SPILL_SLOTS],
}

/// Values that one block may have in memory at once.
pub(crate) const SPILL_SLOTS: usize = 64;

/// Constants of 16 bytes that vector code reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shuffle {
    /// Bytes in reverse order within each 2, 4, 8.
    Bytes16,
    Bytes32,
    Bytes64,
    /// Halfwords in reverse order within each 4, 8.
    Halves32,
    Halves64,
    /// The lower byte of each 2, and the lower half of each 4.
    LowBytes,
    LowHalves,
    /// The lower half of each byte, and how many bits each half has set.
    LowNibbles,
    NibbleCounts,
    /// What added with saturation to an index of a byte makes the host ignore it.
    Beyond,
    /// Ones in each byte.
    Ones,
}

impl Shuffle {
    const ALL: usize = 11;

    const TABLE: [[u64; 2]; Shuffle::ALL] = [
        [0x0607_0405_0203_0001, 0x0e0f_0c0d_0a0b_0809],
        [0x0405_0607_0001_0203, 0x0c0d_0e0f_0809_0a0b],
        [0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f],
        [0x0504_0706_0100_0302, 0x0d0c_0f0e_0908_0b0a],
        [0x0100_0302_0504_0706, 0x0908_0b0a_0d0c_0f0e],
        [0x00ff_00ff_00ff_00ff; 2],
        [0x0000_ffff_0000_ffff; 2],
        [0x0f0f_0f0f_0f0f_0f0f; 2],
        [0x0302_0201_0201_0100, 0x0403_0302_0302_0201],
        [0x7070_7070_7070_7070; 2],
        [0x0101_0101_0101_0101; 2],
    ];
}

impl Tables {
    fn new() -> Tables {
        Tables {
            sign64: [1 << 63, 0],
            magnitude64: [!(1 << 63), 0],
            sign32: [1 << 31, 0],
            magnitude32: [!(1u32 << 31) as u64, 0],
            nan: [0x7ff8_0000_0000_0000, 0x7fc0_0000],
            bounds64: [4294967296.0, 9223372036854775808.0, -1.0],
            bounds32: [4294967296.0, 9223372036854775808.0, -1.0, 0.0],
            flags: crate::enter::FLAG_TABLE,
            leave: 0,
            shuffles: Shuffle::TABLE,
            spill: [0; SPILL_SLOTS],
        }
    }
}

/// No load-reserved is outstanding. Odd, so that no aligned address equals it.
pub const NO_RESERVATION: u64 = u64::MAX;

/// Byte offsets into [`GuestState`] for generated code.
pub mod offset {
    use super::{GuestState, Tables};
    use std::mem::offset_of;

    /// Translated code keeps the state's address plus this in a register: the
    /// 32 integer registers then have one-byte displacements.
    pub const BIAS: i32 = 128;

    /// `x0`; register n is 8 × n further.
    pub const X: i32 = offset_of!(GuestState, x) as i32;
    /// `f0`; register n is 8 × n further.
    pub const F: i32 = offset_of!(GuestState, f) as i32;
    /// The program counter.
    pub const PC: i32 = offset_of!(GuestState, pc) as i32;
    /// `fcsr`, 32 bits.
    pub const FCSR: i32 = offset_of!(GuestState, fcsr) as i32;
    /// The interrupt flag, 32 bits.
    pub const INTERRUPT: i32 = offset_of!(GuestState, interrupt) as i32;
    /// Host address of guest address 0.
    pub const MEMORY_BASE: i32 = offset_of!(GuestState, memory_base) as i32;
    /// First guest address beyond guest memory.
    pub const MEMORY_LIMIT: i32 = offset_of!(GuestState, memory_limit) as i32;
    /// Address of the outstanding load-reserved.
    pub const RESERVATION: i32 = offset_of!(GuestState, reservation) as i32;
    /// What that load-reserved read.
    pub const RESERVATION_VALUE: i32 = offset_of!(GuestState, reservation_value) as i32;
    /// The table of exits.
    pub const EXITS: i32 = offset_of!(GuestState, exits) as i32;
    /// The table of translated code.
    pub const LOOKUP: i32 = offset_of!(GuestState, lookup) as i32;
    /// The host's stack pointer.
    pub const HOST_STACK: i32 = offset_of!(GuestState, host_stack) as i32;
    /// A place to write to.
    pub const SINK: i32 = offset_of!(GuestState, sink) as i32;
    /// The host pc of a fault.
    pub const FAULT_PC: i32 = offset_of!(GuestState, fault_pc) as i32;
    /// Jumps left.
    pub const FUEL: i32 = offset_of!(GuestState, fuel) as i32;
    /// Whether second-tier code runs.
    pub const IN_REGION: i32 = offset_of!(GuestState, in_region) as i32;
    /// What condition flags are of, and the two operands, 8 bytes each.
    pub const DEFERRED: i32 = offset_of!(GuestState, deferred) as i32;
    const TABLES: i32 = offset_of!(GuestState, tables) as i32;
    /// Masks of a double's sign and its other bits, 16 bytes each, then the
    /// same of a single.
    pub const SIGNS: i32 = TABLES + offset_of!(Tables, sign64) as i32;
    /// The NaN of a double, then of a single, 8 bytes each.
    pub const NAN: i32 = TABLES + offset_of!(Tables, nan) as i32;
    /// 2^32, 2^63, −1 as doubles.
    pub const BOUNDS64: i32 = TABLES + offset_of!(Tables, bounds64) as i32;
    /// 2^32, 2^63, −1 as singles.
    pub const BOUNDS32: i32 = TABLES + offset_of!(Tables, bounds32) as i32;
    /// Flags of the guest by flags of the host.
    pub const FLAG_TABLE: i32 = TABLES + offset_of!(Tables, flags) as i32;
    /// Where first-tier code leaves.
    pub const LEAVE: i32 = TABLES + offset_of!(Tables, leave) as i32;
    /// The first of the constants of vector code, 16 bytes each.
    pub const SHUFFLES: i32 = TABLES + offset_of!(Tables, shuffles) as i32;
    /// Scratch memory, 8 bytes each.
    pub const SPILL: i32 = TABLES + offset_of!(Tables, spill) as i32;
    /// The floating-point control word of translated code.
    pub const MXCSR: i32 = offset_of!(GuestState, mxcsr) as i32;
    /// `v0`, 128 bits; register n is 16 × n further.
    pub const V: i32 = offset_of!(GuestState, aarch64.v) as i32;
    /// The condition flags, 32 bits.
    pub const NZCV: i32 = offset_of!(GuestState, aarch64.nzcv) as i32;
    /// FPCR, 32 bits.
    pub const FPCR: i32 = offset_of!(GuestState, aarch64.fpcr) as i32;
    /// FPSR, 32 bits.
    pub const FPSR: i32 = offset_of!(GuestState, aarch64.fpsr) as i32;
    /// TPIDR_EL0, 64 bits.
    pub const TPIDR: i32 = offset_of!(GuestState, aarch64.tpidr) as i32;
    /// The upper half of what the last exclusive load of a pair read.
    pub const RESERVATION_HIGH: i32 = offset_of!(GuestState, aarch64.reservation_high) as i32;
}

impl GuestState {
    /// A thread with all registers zero, at address 0, over the guest memory
    /// that begins at host address `memory_base` and has `memory_limit` bytes.
    pub fn new(memory_base: u64, memory_limit: u64) -> GuestState {
        GuestState {
            x: [0; 32],
            f: [0; 32],
            pc: GuestAddr(0),
            fcsr: 0,
            interrupt: AtomicU32::new(0),
            memory_base,
            memory_limit,
            reservation: NO_RESERVATION,
            reservation_value: 0,
            exits: 0,
            lookup: 0,
            host_stack: 0,
            sink: 0,
            fault_pc: 0,
            mxcsr: [0; 2],
            fuel: 0,
            in_region: 0,
            deferred: DeferredFlags::default(),
            tables: Tables::new(),
            aarch64: Aarch64State::default(),
        }
    }

    /// Moves the floating-point flags that translated code left in `fcsr`, in
    /// RISC-V's order, to FPSR, which has them the other way round.
    pub(crate) fn take_flags(&mut self) {
        let flags = std::mem::take(&mut self.fcsr);
        self.aarch64.fpsr |= (flags & 0x1f).reverse_bits() >> 27;
    }

    /// A copy for a new thread of the same guest, with no reservation and no
    /// interrupt pending.
    pub fn duplicate(&self) -> GuestState {
        GuestState {
            x: self.x,
            f: self.f,
            pc: self.pc,
            fcsr: self.fcsr,
            aarch64: Aarch64State {
                reservation_high: 0,
                ..self.aarch64
            },
            ..GuestState::new(self.memory_base, self.memory_limit)
        }
    }
}
