//! Linux on RISC-V, 64 bits.
//!
//! Registers: the number in `a7`, arguments in `a0` to `a5`, the result in
//! `a0`. The signal frame is the kernel's `struct rt_sigframe`
//! (arch/riscv/kernel/signal.c): a `siginfo`, then a `ucontext` whose
//! `sc_regs` are `pc` and `x1` to `x31`, and the floating-point registers.

use super::{Abi, AlternateStack, Entry, Feature, FrameContents, Part, Request, take};
use crate::addr::GuestAddr;
use crate::elf::MACHINE_RISCV;
use crate::engine::Guest;
use crate::errno::Errno;
use crate::linux::signal::{SigInfo, SignalSet};
use crate::linux::vdso::Vdso;
use crate::memory::{GuestMemory, plain_structs};
use crate::state::GuestState;

const RA: usize = 1;
const SP: usize = 2;
const TP: usize = 4;
const A0: usize = 10;
const A7: usize = 17;

/// Each: `li a7, NUMBER`, `ecall`, `ret`.
static VDSO: Vdso = Vdso {
    version: "LINUX_4.15",
    functions: &[
        ("__vdso_rt_sigreturn", &[0x08b0_0893, 0x73]),
        ("__vdso_gettimeofday", &[0x0a90_0893, 0x73, 0x8067]),
        ("__vdso_clock_gettime", &[0x0710_0893, 0x73, 0x8067]),
        ("__vdso_clock_getres", &[0x0720_0893, 0x73, 0x8067]),
        ("__vdso_getcpu", &[0x0a80_0893, 0x73, 0x8067]),
        ("__vdso_flush_icache", &[0x1030_0893, 0x73, 0x8067]),
    ],
};

plain_structs! {
    /// `struct ucontext`, from its start to the end of the register state.
    pub struct Context {
        flags: u64,
        link: u64,
        stack: AlternateStack,
        mask: u64,
        /// Room for a larger mask, and up to the next 16 bytes.
        unused: [u64; 16],
        /// `pc`, then `x1` to `x31`.
        registers: [u64; 32],
        /// `f0` to `f31`.
        float: [u64; 32],
        /// Floating-point control and status.
        fcsr: u32,
        pad: u32,
        /// The rest of the union with the quad-precision state; its end, zero,
        /// says that no further extension's state follows.
        rest: [u64; 33],
    }
}

plain_structs! {
    /// `struct rt_sigframe`.
    pub struct Frame {
        info: SigInfo,
        context: Context,
    }
}

/// RISC-V with 64 bits, RV64GC.
#[derive(Debug)]
pub struct Riscv64;

impl Abi for Riscv64 {
    fn guest(&self) -> Guest {
        Guest::Riscv64
    }

    fn machine(&self) -> u16 {
        MACHINE_RISCV
    }

    fn name(&self) -> &'static str {
        "riscv64"
    }

    fn processors(&self, count: usize) -> String {
        let one = |number| {
            format!(
                "processor\t: {number}\nhart\t\t: {number}\n\
                 isa\t\t: rv64imafdc_zicond_zicsr_zifencei_zba_zbb_zbs\n\
                 mmu\t\t: sv39\n\n"
            )
        };
        (0..count).map(one).collect()
    }

    fn capabilities(&self) -> u64 {
        // One bit for each letter, as the kernel's COMPAT_HWCAP_ISA_… has them.
        b"IMAFDC"
            .iter()
            .fold(0, |bits, letter| bits | 1 << (letter - b'A'))
    }

    fn request(&self, state: &GuestState) -> Request {
        let mut arguments = [0; 6];
        arguments.copy_from_slice(&state.x[A0..A0 + 6]);
        Request {
            number: state.x[A7],
            arguments,
        }
    }

    fn set_result(&self, state: &mut GuestState, result: u64) {
        state.x[A0] = result;
    }

    fn step_over_call(&self, state: &mut GuestState) {
        state.pc = state.pc.add(4);
    }

    fn set_call_number(&self, state: &mut GuestState, number: u64) {
        state.x[A7] = number;
    }

    fn register_set(&self, kind: u64) -> Option<(&'static [Part], usize)> {
        // What `registers` gives: x0 to x31, pc, f0 to f31, fcsr.
        const PC: usize = 32 * 8;
        const FLOAT: usize = PC + 8;
        match kind {
            super::GENERAL => Some((&[(PC, FLOAT), (8, PC)], 32 * 8)),
            super::FLOAT => Some((&[(FLOAT, FLOAT + 32 * 8 + 4)], 33 * 8)),
            _ => None,
        }
    }

    fn places(&self, registers: &[u8]) -> (u64, u64) {
        (
            super::word_at(registers, 32 * 8),
            super::word_at(registers, SP * 8),
        )
    }

    fn audit_number(&self) -> u32 {
        0xc000_00f3
    }

    fn stack_pointer(&self, state: &GuestState) -> GuestAddr {
        GuestAddr(state.x[SP])
    }

    fn set_stack_pointer(&self, state: &mut GuestState, value: GuestAddr) {
        state.x[SP] = value.0;
    }

    fn set_thread_pointer(&self, state: &mut GuestState, value: u64) {
        state.x[TP] = value;
    }

    fn debugger_name(&self) -> &'static str {
        "riscv:rv64"
    }

    fn register_table(&self) -> Vec<Feature> {
        const INTEGER: &str = "zero ra sp gp tp t0 t1 t2 fp s1 a0 a1 a2 a3 a4 a5 a6 a7 \
                               s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6";
        const FLOAT: &str = "ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 \
                             fa6 fa7 fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11 ft8 ft9 ft10 ft11";
        let names = |list: &'static str| list.split_whitespace().map(str::to_owned);
        vec![
            Feature::new("org.gnu.gdb.riscv.cpu")
                .with(names(INTEGER), 8, "int")
                .with(names("pc"), 8, "code_ptr"),
            Feature::new("org.gnu.gdb.riscv.fpu")
                .with(names(FLOAT), 8, "ieee_double")
                .with(names("fcsr"), 4, "int"),
        ]
    }

    fn registers(&self, state: &GuestState) -> Vec<u8> {
        let words = state.x.iter().chain([&state.pc.0]).chain(&state.f);
        let mut bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(state.fcsr.to_le_bytes());
        bytes
    }

    fn set_registers(&self, state: &mut GuestState, mut bytes: &[u8]) {
        for register in &mut state.x {
            *register = u64::from_le_bytes(take(&mut bytes));
        }
        state.x[0] = 0;
        state.pc = GuestAddr(u64::from_le_bytes(take(&mut bytes)));
        for register in &mut state.f {
            *register = u64::from_le_bytes(take(&mut bytes));
        }
        state.fcsr = u32::from_le_bytes(take(&mut bytes)) & 0xff;
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
        let mut registers = state.x;
        registers[0] = state.pc.0;
        let frame = Frame {
            info: contents.info,
            context: Context {
                flags: 0,
                link: 0,
                stack: contents.alternate,
                mask: contents.mask.bits(),
                unused: [0; 16],
                registers,
                float: state.f,
                fcsr: state.fcsr,
                pad: 0,
                rest: [0; 33],
            },
        };
        let size = size_of::<Frame>() as u64;
        let at = GuestAddr(entry.stack.0.checked_sub(size).ok_or(Errno::EFAULT)? & !15);
        memory.write(at, &frame)?;
        state.x[A0] = contents.info.signal as u64;
        state.x[A0 + 1] = at.0;
        state.x[A0 + 2] = at.0 + size_of::<SigInfo>() as u64;
        state.x[RA] = entry.trampoline.0;
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
        state.x = context.registers;
        state.x[0] = 0;
        state.pc = GuestAddr(context.registers[0]);
        state.f = context.float;
        state.fcsr = context.fcsr & 0xff;
        Ok((SignalSet::from_bits(context.mask), context.stack))
    }
}

/// The offsets of the kernel's headers, counted by hand from them.
#[cfg(test)]
#[test]
fn the_frame_is_laid_out_as_the_kernel_does() {
    use std::mem::offset_of;
    assert_eq!(offset_of!(Context, mask), 40);
    assert_eq!(offset_of!(Context, registers), 176);
    assert_eq!(offset_of!(Context, float), 432);
    assert_eq!(offset_of!(Context, fcsr), 688);
    assert_eq!(size_of::<Context>(), 960);
    assert_eq!(size_of::<Frame>(), 1088);
}
