//! Linux on AArch64.
//!
//! Registers: the number in `x8`, arguments in `x0` to `x5`, the result in
//! `x0`. The signal frame is the kernel's `struct rt_sigframe`
//! (arch/arm64/kernel/signal.c): a `siginfo`, then a `ucontext` whose
//! `sigcontext` has the integer registers and, in its reserved area, records of
//! further state, of which there is one, with the vector registers. Above it
//! lies the frame record that `x29` points to.

use super::{Abi, AlternateStack, Entry, Feature, FrameContents, Part, Request, take};
use crate::aarch64::features;
use crate::addr::GuestAddr;
use crate::elf::MACHINE_AARCH64;
use crate::engine::Guest;
use crate::errno::Errno;
use crate::linux::signal::{SigInfo, SignalSet};
use crate::linux::vdso::Vdso;
use crate::memory::{GuestMemory, plain_structs};
use crate::state::GuestState;

const FRAME_POINTER: usize = 29;
const LINK: usize = 30;
const SP: usize = 31;

/// Each: `mov x8, NUMBER`, `svc #0`, `ret`.
static VDSO: Vdso = Vdso {
    version: "LINUX_2.6.39",
    functions: &[
        ("__kernel_rt_sigreturn", &[0xd280_1168, 0xd400_0001]),
        (
            "__kernel_gettimeofday",
            &[0xd280_1528, 0xd400_0001, 0xd65f_03c0],
        ),
        (
            "__kernel_clock_gettime",
            &[0xd280_0e28, 0xd400_0001, 0xd65f_03c0],
        ),
        (
            "__kernel_clock_getres",
            &[0xd280_0e48, 0xd400_0001, 0xd65f_03c0],
        ),
    ],
};

/// `FPSIMD_MAGIC`, and the size of its record.
const VECTORS_MAGIC: u32 = 0x4650_8001;
const VECTORS_SIZE: u32 = 528;

plain_structs! {
    /// `struct ucontext`, with what this kernel writes into the reserved area.
    pub struct Context {
        flags: u64,
        link: u64,
        stack: AlternateStack,
        mask: u64,
        /// Room for a larger mask, and up to the next 16 bytes.
        unused: [u64; 16],
        fault_address: u64,
        /// `x0` to `x30` and the stack pointer.
        registers: [u64; 32],
        pc: u64,
        /// The condition flags in their place; the rest zero: user mode.
        pstate: u64,
        /// Up to the next 16 bytes.
        gap: u64,
        vectors_magic: u32,
        vectors_size: u32,
        fpsr: u32,
        fpcr: u32,
        /// `v0` to `v31`.
        vectors: [u64; 64],
        /// The end of the records, and the rest of the 4,096 bytes for them.
        rest: [u64; 446],
    }
}

plain_structs! {
    /// `struct rt_sigframe`.
    pub struct Frame {
        info: SigInfo,
        context: Context,
    }
}

/// AArch64, little-endian.
#[derive(Debug)]
pub struct Aarch64;

/// How a debugger may look at a vector register.
const VECTOR_TYPES: &str = "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\
    <vector id=\"v2u\" type=\"uint64\" count=\"2\"/>\
    <vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\
    <vector id=\"v4u\" type=\"uint32\" count=\"4\"/>\
    <vector id=\"v8u\" type=\"uint16\" count=\"8\"/>\
    <vector id=\"v16u\" type=\"uint8\" count=\"16\"/>\
    <union id=\"aarch64v\"><field name=\"d\" type=\"v2d\"/><field name=\"u\" type=\"v2u\"/>\
    <field name=\"f\" type=\"v4f\"/><field name=\"s\" type=\"v4u\"/>\
    <field name=\"h\" type=\"v8u\"/><field name=\"b\" type=\"v16u\"/></union>";

impl Abi for Aarch64 {
    fn guest(&self) -> Guest {
        Guest::Aarch64
    }

    fn machine(&self) -> u16 {
        MACHINE_AARCH64
    }

    fn name(&self) -> &'static str {
        "aarch64"
    }

    fn processors(&self, count: usize) -> String {
        let one = |number| {
            format!(
                "processor\t: {number}\nBogoMIPS\t: 2000.00\nFeatures\t: {}\n\
                 CPU implementer\t: {:#04x}\nCPU architecture: 8\nCPU variant\t: {:#x}\n\
                 CPU part\t: {:#05x}\nCPU revision\t: {}\n\n",
                features::NAMES,
                features::MIDR >> 24,
                features::MIDR >> 20 & 15,
                features::MIDR >> 4 & 0xfff,
                features::MIDR & 15,
            )
        };
        (0..count).map(one).collect()
    }

    fn capabilities(&self) -> u64 {
        features::HWCAP
    }

    fn request(&self, state: &GuestState) -> Request {
        let mut arguments = [0; 6];
        arguments.copy_from_slice(&state.x[..6]);
        Request {
            number: state.x[8],
            arguments,
        }
    }

    fn set_result(&self, state: &mut GuestState, result: u64) {
        state.x[0] = result;
    }

    fn step_over_call(&self, state: &mut GuestState) {
        state.pc = state.pc.add(4);
    }

    fn set_call_number(&self, state: &mut GuestState, number: u64) {
        state.x[8] = number;
    }

    fn register_set(&self, kind: u64) -> Option<(&'static [Part], usize)> {
        const THREAD_POINTER: u64 = 0x401;
        // What `registers` gives: x0 to x30, sp and pc, the flags, the vectors,
        // fpsr and fpcr, the thread pointer.
        const PC_END: usize = 33 * 8;
        const VECTORS: usize = PC_END + 4;
        const STATUS_END: usize = VECTORS + 32 * 16 + 8;
        match kind {
            super::GENERAL => Some((&[(0, VECTORS)], PC_END + 8)),
            super::FLOAT => Some((&[(VECTORS, STATUS_END)], 32 * 16 + 16)),
            THREAD_POINTER => Some((&[(STATUS_END, STATUS_END + 8)], 8)),
            _ => None,
        }
    }

    fn has_call_number_set(&self) -> bool {
        true
    }

    fn places(&self, registers: &[u8]) -> (u64, u64) {
        (
            super::word_at(registers, 32 * 8),
            super::word_at(registers, SP * 8),
        )
    }

    fn audit_number(&self) -> u32 {
        0xc000_00b7
    }

    fn stack_pointer(&self, state: &GuestState) -> GuestAddr {
        GuestAddr(state.x[SP])
    }

    fn set_stack_pointer(&self, state: &mut GuestState, value: GuestAddr) {
        state.x[SP] = value.0;
    }

    fn set_thread_pointer(&self, state: &mut GuestState, value: u64) {
        state.aarch64.tpidr = value;
    }

    fn debugger_name(&self) -> &'static str {
        "aarch64"
    }

    fn register_table(&self) -> Vec<Feature> {
        let names = |letter: &'static str, count| (0..count).map(move |n| format!("{letter}{n}"));
        let one = |name: &str| [name.to_owned()];
        let vectors = Feature {
            types: VECTOR_TYPES,
            ..Feature::new("org.gnu.gdb.aarch64.fpu")
        };
        vec![
            Feature::new("org.gnu.gdb.aarch64.core")
                .with(names("x", 31), 8, "int")
                .with(one("sp"), 8, "data_ptr")
                .with(one("pc"), 8, "code_ptr")
                .with(one("cpsr"), 4, "int"),
            vectors
                .with(names("v", 32), 16, "aarch64v")
                .with(one("fpsr"), 4, "int")
                .with(one("fpcr"), 4, "int"),
            Feature::new("org.gnu.gdb.aarch64.tls").with(one("tpidr"), 8, "data_ptr"),
        ]
    }

    fn registers(&self, state: &GuestState) -> Vec<u8> {
        let more = &state.aarch64;
        let words = state.x.iter().chain([&state.pc.0]);
        let mut bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(more.nzcv.to_le_bytes());
        bytes.extend(more.v.iter().flatten().flat_map(|half| half.to_le_bytes()));
        bytes.extend(more.fpsr.to_le_bytes());
        bytes.extend(more.fpcr.to_le_bytes());
        bytes.extend(more.tpidr.to_le_bytes());
        bytes
    }

    fn set_registers(&self, state: &mut GuestState, mut bytes: &[u8]) {
        const FLAGS: u32 = 0xf000_0000;
        const STATUS: u32 = 1 << 27 | 1 << 7 | 0x1f;
        const CONTROL: u32 = 0x1f << 22;
        for register in &mut state.x {
            *register = u64::from_le_bytes(take(&mut bytes));
        }
        state.pc = GuestAddr(u64::from_le_bytes(take(&mut bytes)));
        let more = &mut state.aarch64;
        more.nzcv = u32::from_le_bytes(take(&mut bytes)) & FLAGS;
        for half in more.v.iter_mut().flatten() {
            *half = u64::from_le_bytes(take(&mut bytes));
        }
        more.fpsr = u32::from_le_bytes(take(&mut bytes)) & STATUS;
        more.fpcr = u32::from_le_bytes(take(&mut bytes)) & CONTROL;
        more.tpidr = u64::from_le_bytes(take(&mut bytes));
    }

    fn vdso(&self) -> &'static Vdso {
        &VDSO
    }

    fn enter_handler(
        &self,
        state: &mut GuestState,
        memory: &GuestMemory,
        entry: Entry,
        contents: &FrameContents,
    ) -> Result<(), Errno> {
        let extra = &state.aarch64;
        let frame = Frame {
            info: contents.info,
            context: Context {
                flags: 0,
                link: 0,
                stack: contents.alternate,
                mask: contents.mask.bits(),
                unused: [0; 16],
                fault_address: 0,
                registers: state.x,
                pc: state.pc.0,
                pstate: extra.nzcv.into(),
                gap: 0,
                vectors_magic: VECTORS_MAGIC,
                vectors_size: VECTORS_SIZE,
                fpsr: extra.fpsr,
                fpcr: extra.fpcr,
                vectors: std::array::from_fn(|n| extra.v[n / 2][n % 2]),
                rest: [0; 446],
            },
        };
        let below = |top: u64, size: usize| {
            let at = top.checked_sub(size as u64).ok_or(Errno::EFAULT)?;
            Ok::<_, Errno>(GuestAddr(at & !15))
        };
        let record = below(entry.stack.0, 16)?;
        let at = below(record.0, size_of::<Frame>())?;
        memory.write(record, &state.x[FRAME_POINTER])?;
        memory.write(record.add(8), &state.x[LINK])?;
        memory.write(at, &frame)?;
        state.x[0] = contents.info.signal as u64;
        state.x[1] = at.0;
        state.x[2] = at.0 + size_of::<SigInfo>() as u64;
        state.x[FRAME_POINTER] = record.0;
        state.x[LINK] = entry.trampoline.0;
        state.x[SP] = at.0;
        state.pc = entry.handler;
        Ok(())
    }

    fn leave_handler(
        &self,
        state: &mut GuestState,
        memory: &GuestMemory,
    ) -> Result<(SignalSet, AlternateStack), Errno> {
        let frame: Frame = memory.read(self.stack_pointer(state))?;
        let context = &frame.context;
        if context.vectors_magic != VECTORS_MAGIC || context.vectors_size != VECTORS_SIZE {
            return Err(Errno::EFAULT);
        }
        state.x = context.registers;
        state.pc = GuestAddr(context.pc);
        let extra = &mut state.aarch64;
        extra.nzcv = context.pstate as u32 & 0xf000_0000;
        extra.fpsr = context.fpsr & crate::aarch64::float::FPSR_BITS;
        extra.fpcr = context.fpcr & crate::aarch64::float::FPCR_BITS;
        for (register, halves) in extra.v.iter_mut().zip(context.vectors.chunks(2)) {
            *register = [halves[0], halves[1]];
        }
        Ok((SignalSet::from_bits(context.mask), context.stack))
    }

    fn open_flags_to_host(&self, flags: u64) -> u64 {
        exchange(flags, |(guest, host)| (guest, host))
    }

    fn open_flags_to_guest(&self, flags: u64) -> u64 {
        exchange(flags, |(guest, host)| (host, guest))
    }
}

/// `O_DIRECTORY`, `O_NOFOLLOW`, `O_DIRECT`, `O_LARGEFILE`: AArch64's and x86-64's.
const OPEN_FLAGS: [(u64, u64); 4] = [
    (0o40000, 0o200000),
    (0o100000, 0o400000),
    (0o200000, 0o40000),
    (0o400000, 0o100000),
];

fn exchange(flags: u64, order: impl Fn((u64, u64)) -> (u64, u64)) -> u64 {
    let all = OPEN_FLAGS.iter().fold(0, |all, &(a, b)| all | a | b);
    let pairs = OPEN_FLAGS.map(order);
    let set = pairs.iter().filter(|(from, _)| flags & from != 0);
    set.fold(flags & !all, |flags, (_, to)| flags | to)
}

/// The offsets of the kernel's headers, counted by hand from them.
#[cfg(test)]
#[test]
fn the_frame_is_laid_out_as_the_kernel_does() {
    use std::mem::offset_of;
    assert_eq!(offset_of!(Context, mask), 40);
    assert_eq!(offset_of!(Context, fault_address), 176);
    assert_eq!(offset_of!(Context, registers), 184);
    assert_eq!(offset_of!(Context, pc), 440);
    assert_eq!(offset_of!(Context, vectors_magic), 464);
    assert_eq!(size_of::<Context>(), 464 + 4096);
    assert_eq!(size_of::<Frame>(), 128 + 464 + 4096);
}
