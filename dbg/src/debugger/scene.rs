//! What a [`Stepper`](crate::step::Stepper) sees of a stopped thread.

use std::ops::Range;

use sapwood_dwarf::{FrameAddress, Function, Modules, Unwinder};

use super::Debugger;
use super::frames::{TargetMemory, dwarf_registers};
use super::hooks::Hooks;
use super::motion::is_called;
use super::replace::Replaced;
use super::skip::Skips;
use crate::flow::{self, Flow, LONGEST};
use crate::libraries::read_word;
use crate::registers::{Registers, x86};
use crate::step::{CallSite, Goal, Row, Scene};
use crate::target::{Address, Target};

/// A stopped thread, its code and its stack.
pub(super) struct ThreadScene<'a> {
    pub target: &'a mut dyn Target,
    pub modules: &'a Modules,
    pub unwinder: &'a mut Unwinder,
    /// Functions that are not stopped in.
    pub skips: &'a Skips,
    pub registers: Registers,
    /// The one function that may be entered, where one was chosen.
    pub chosen: Option<&'a str>,
    /// Code that was read, and where it is.
    pub window: (Address, Vec<u8>),
    /// Inlined calls at its pc that it is still to make.
    pub hidden: usize,
    /// Functions at whose entries jumps to newer versions are.
    pub replaced: &'a [Replaced],
    /// Where a call may be left without returning.
    pub hooks: &'a mut Hooks,
}

/// The sections that linkage stubs are in.
const STUBS: [&str; 3] = [".plt", ".plt.sec", ".plt.got"];

/// Where a `jmp_buf` has the stack pointer and the pc, and where a thread has
/// what glibc hides them with.
const JMP_BUF_SP: u64 = 48;
const JMP_BUF_PC: u64 = 56;
const POINTER_GUARD: u64 = 0x30;

/// Lines with more code than this are stepped through.
const LONGEST_LINE: u64 = 1 << 16;

/// So many instructions cost less to step through than the breakpoints at their
/// exits do.
const SHORT: usize = 1;

/// How much code is read at a time, a power of two.
const WINDOW: usize = 256;

/// Longer than any symbol's name.
const LONGEST_NAME: u64 = 4096;

/// Bytes of a linkage stub that are looked at: `endbr64; bnd jmp *slot(%rip)`.
const STUB: u64 = 16;

impl ThreadScene<'_> {
    /// Whether a step may go into a function.
    fn enters(&self, function: &Function) -> bool {
        let is_chosen = |name: &str| is_called(&function.name, name);
        self.chosen.is_none_or(is_chosen) && !self.skips.covers(function)
    }

    /// Bytes of code. Those around them are kept: most of what is asked for
    /// while a thread stands still lies together.
    fn code_at(&mut self, at: Address, length: usize) -> Option<&[u8]> {
        let (start, bytes) = &self.window;
        let inside = at
            .past(*start)
            .is_some_and(|n| n as usize + length <= bytes.len());
        if !inside {
            let start = Address(at.0 & !(WINDOW as u64 - 1));
            let mut bytes = vec![0; WINDOW.max((at.0 - start.0) as usize + length)];
            if self.target.read(start, &mut bytes).is_ok() {
                self.window = (start, bytes);
            } else {
                let mut bytes = vec![0; length];
                self.target.read(at, &mut bytes).ok()?;
                self.window = (at, bytes);
            }
        }
        let (start, bytes) = &self.window;
        let from = (at.0 - start.0) as usize;
        bytes.get(from..from + length)
    }

    /// The entry that the stub at `pc` jumps to now, by its slot.
    ///
    /// Formula: `ff 25 disp32` jumps to `*(end of instruction + disp32)`.
    fn slot(&mut self, pc: Address) -> Option<(Address, Address)> {
        let mut bytes = [0; STUB as usize];
        self.target.read(pc, &mut bytes).ok()?;
        let at = bytes.windows(2).position(|w| w == [0xff, 0x25])?;
        let displacement = i32::from_le_bytes(bytes.get(at + 2..at + 6)?.try_into().ok()?);
        let slot = pc.add(at as u64 + 6).offset(i64::from(displacement));
        let value = Address(read_word(self.target, slot).ok()?);
        Some((slot, value))
    }
}

/// The name that the relocation of a jump slot asks for, read from the module's
/// loaded dynamic sections: Elf64_Rela `{ offset, info, addend }`, whose info's
/// upper half is the index of an Elf64_Sym, which begins with the name's offset.
fn slot_symbol(
    target: &mut dyn Target,
    bias: u64,
    sections: &[(&str, Range<Address>)],
    slot: Address,
) -> Option<String> {
    let section = |name: &str| {
        let found = sections.iter().find(|(n, _)| *n == name);
        found.map(|(_, range)| range.clone())
    };
    let relocations = section(".rela.plt")?;
    let (symbols, strings) = (section(".dynsym")?, section(".dynstr")?);
    let mut at = relocations.start;
    while at < relocations.end {
        if bias.wrapping_add(read_word(target, at).ok()?) == slot.0 {
            let index = read_word(target, at.add(8)).ok()? >> 32;
            let name = read_word(target, symbols.start.add(index * 24)).ok()? as u32;
            let from = strings.start.add(u64::from(name));
            let length = strings.end.past(from)?.min(LONGEST_NAME);
            let mut bytes = vec![0; length as usize];
            target.read(from, &mut bytes).ok()?;
            let end = bytes.iter().position(|byte| *byte == 0)?;
            bytes.truncate(end);
            return String::from_utf8(bytes).ok();
        }
        at = at.add(24);
    }
    None
}

impl Scene for ThreadScene<'_> {
    fn pc(&self) -> Address {
        self.registers.pc()
    }

    fn sp(&self) -> Address {
        self.registers.sp()
    }

    fn flow(&mut self) -> Flow {
        let pc = self.pc();
        // The last instruction of a mapping has fewer bytes behind it.
        for length in [LONGEST, 8, 4, 2, 1] {
            if let Some(bytes) = self.code_at(pc, length) {
                return flow::flow(bytes);
            }
        }
        Flow::Next
    }

    fn row(&mut self) -> Option<Row> {
        self.row_at(self.pc())
    }

    fn row_at(&mut self, at: Address) -> Option<Row> {
        let (_, module) = self.modules.at(at)?;
        let row = module.line_at(at)?;
        let chain = module.inlined_at(at);
        // A frame says where the call of the one before it is.
        let sites = chain.iter().zip(chain.iter().skip(1));
        let calls = sites.map(|(call, around)| CallSite {
            file: around.file.clone().unwrap_or_else(|| row.file.clone()),
            line: around.line,
            begins: call.ranges.iter().any(|range| range.start == at),
            is_entered: self.enters(&call.function),
        });
        let calls = calls.collect();
        Some(Row {
            range: row.range,
            file: row.file,
            line: row.line,
            is_stmt: row.is_stmt,
            calls,
        })
    }

    fn hidden(&self) -> usize {
        self.hidden
    }

    fn jump_hooks(&mut self) -> Vec<Address> {
        self.hooks.jumps(self.modules).to_vec()
    }

    /// Formula (glibc's PTR_DEMANGLE): `value <- ror(stored, 17) ^ guard`, the
    /// guard being the word at `fs:0x30`. musl stores both as they are. The
    /// places in the buffer are the same.
    fn jump_target(&mut self) -> Option<Goal> {
        if !self
            .hooks
            .jumps(self.modules)
            .contains(&self.registers.pc())
        {
            return None;
        }
        let buffer = Address(self.registers.get(x86::RDI));
        let guard = Address(self.registers.get(x86::FS_BASE)).add(POINTER_GUARD);
        let guard = read_word(self.target, guard).ok()?;
        let stored_sp = read_word(self.target, buffer.add(JMP_BUF_SP)).ok()?;
        let stored_pc = read_word(self.target, buffer.add(JMP_BUF_PC)).ok()?;
        let open = |stored: u64| stored.rotate_right(17) ^ guard;
        let both = [(open(stored_pc), open(stored_sp)), (stored_pc, stored_sp)];
        let is_code = |pc: u64| self.modules.at(Address(pc)).is_some();
        let (pc, sp) = both.into_iter().find(|(pc, _)| is_code(*pc))?;
        Some(Goal {
            address: Address(pc),
            stack_at_least: Some(Address(sp)),
        })
    }

    fn code(&mut self, range: &Range<Address>) -> Option<Vec<u8>> {
        let length = range.end.past(range.start).filter(|n| *n <= LONGEST_LINE)?;
        self.code_at(range.start, length as usize)
            .map(<[u8]>::to_vec)
    }

    fn patience(&self) -> usize {
        // To run is to stop every other thread afterwards.
        SHORT + self.target.thread_count()
    }

    fn function(&mut self) -> Option<Vec<Range<Address>>> {
        let pc = self.pc();
        let (_, module) = self.modules.at(pc)?;
        if let Some(function) = module.function_at(pc) {
            return Some(function.ranges.clone());
        }
        let (symbol, _) = module.symbol_at(pc)?;
        Some(vec![symbol.address.range(symbol.size.max(1))])
    }

    fn top_of_stack(&mut self) -> Option<Address> {
        let sp = self.sp();
        read_word(self.target, sp).ok().map(Address)
    }

    fn tail_caller(&mut self) -> Option<Goal> {
        if self.unwinder.has_rule(self.modules, self.pc()) {
            return self.caller();
        }
        self.just_called_from()
    }

    fn caller(&mut self) -> Option<Goal> {
        let registers = dwarf_registers(&self.registers);
        let at = FrameAddress::InstructionPointer(self.pc());
        let mut memory = TargetMemory(self.target);
        let frame = self
            .unwinder
            .step(self.modules, at, &registers, &mut memory)
            .ok()?;
        let (caller, _) = frame.caller?;
        Some(Goal {
            address: caller.pc(),
            stack_at_least: frame.cfa,
        })
    }

    fn body(&mut self, entry: Address) -> Option<Address> {
        let (_, module) = self.modules.at(entry)?;
        let function = module.function_at(entry)?;
        if !self.enters(&function) {
            return None;
        }
        module.line_at(entry).filter(|row| row.line != 0)?;
        Some(match function.entry == Some(entry) {
            true => module.prologue_end(&function),
            // Not the beginning of a function: a cold part, say.
            false => entry,
        })
    }

    fn catch_hook(&mut self) -> Option<Address> {
        self.hooks.catch(self.modules)
    }

    fn stub(&mut self) -> Option<Vec<Address>> {
        let pc = self.pc();
        if let Some(newest) = Debugger::replaced_by(self.replaced, pc) {
            return Some(vec![newest]);
        }
        let (_, module) = self.modules.at(pc)?;
        let sections = module.sections();
        let is_stub = sections
            .iter()
            .any(|(name, range)| STUBS.contains(name) && range.contains(&pc));
        // An image's stubs are in no section that has a name.
        if !is_stub {
            return None;
        }
        let Some((slot, value)) = self.slot(pc) else {
            return Some(Vec::new());
        };
        let here = sections.iter().any(|(_, range)| range.contains(&value));
        if !here {
            return Some(vec![value]);
        }
        // Not bound yet: the slot leads back into this module's own stubs. The
        // relocation of the slot names the function.
        let name = slot_symbol(self.target, module.bias(), &sections, slot)?;
        let entries = self.modules.naming(&name).filter_map(|(_, other)| {
            let symbol = other.symbol_named(&name)?;
            Some(symbol.address)
        });
        Some(entries.collect())
    }
}
