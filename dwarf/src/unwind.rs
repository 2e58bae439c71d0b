//! Unwinding: from a frame's registers to its caller's.
//!
//! The rule comes from `.eh_frame` or `.debug_frame`; code without either is
//! tried by its frame pointer. An [`Unwinder`] remembers the rules it found.

use std::fmt;

use rustc_hash::FxHashMap;

use crate::frames::{Cfa, Rule, Saved};
use crate::operations::{self, Machine};
use crate::{
    Address, Arch, FrameAddress, LocationError, Memory, MemoryError, Module, ModuleId, Modules,
    Register, Registers,
};

/// What unwinding one frame found.
#[derive(Clone, Debug)]
pub struct Unwound {
    /// The frame's canonical frame address: its stack pointer before the call
    /// that entered it. `None` where not even that is known.
    pub cfa: Option<Address>,
    /// Whether the frame is a signal trampoline: its caller was interrupted,
    /// and did not call.
    pub is_signal: bool,
    /// The caller; `None` at the outermost frame.
    pub caller: Option<(FrameAddress, Registers)>,
}

/// Why a stack could not be followed further.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UnwindError {
    /// The frame's memory could not be read.
    Memory(MemoryError),
    /// A register that the rule needs is not known.
    NoRegister,
    /// The rule leads to a frame that is not further out than this one.
    NotFurtherOut,
    /// The unwind information is at fault.
    Malformed(crate::Error),
}

impl fmt::Display for UnwindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnwindError::Memory(error) => error.fmt(f),
            UnwindError::NoRegister => f.write_str("a register that unwinding needs is not known"),
            UnwindError::NotFurtherOut => {
                f.write_str("previous frame identical to this frame (corrupt stack?)")
            }
            UnwindError::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UnwindError {}

/// Unwinds frames, remembering the rules of the code it has seen.
#[derive(Default)]
pub struct Unwinder {
    rules: FxHashMap<(ModuleId, u64), Option<Rule>>,
    context: Context,
    /// How often a rule was found here, and how often it had to be read.
    hits: u64,
    misses: u64,
}

/// What gimli needs to run call frame instructions, kept for the next time.
#[derive(Default)]
pub(crate) struct Context(pub(crate) gimli::UnwindContext<usize>);

/// The most rules that are remembered before all are forgotten.
const MAX_RULES: usize = 16 * 1024;

impl Unwinder {
    /// An unwinder that has seen nothing.
    pub fn new() -> Unwinder {
        Unwinder::default()
    }

    /// How often a rule was remembered, and how often it had to be read.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    /// Unwinds one frame.
    ///
    /// With a rule for the frame's code it is followed. Without one it is tried
    /// as a signal trampoline, then by what the code at a function's start must
    /// have done to the stack, then by the frame pointer.
    pub fn step(
        &mut self,
        modules: &Modules,
        at: FrameAddress,
        registers: &Registers,
        memory: &mut dyn Memory,
    ) -> Result<Unwound, UnwindError> {
        if let Some((id, module)) = modules.at(at.lookup())
            && let Some(rule) = self.rule(id, module, at.lookup())?
        {
            if !rule.is_signal
                && let Some(trampoline) = self.trampoline_rule(modules, at)?
            {
                return follow(trampoline, registers, memory);
            }
            let rule = self.known(id, module, at.lookup());
            return follow(rule.expect("it was just found"), registers, memory);
        }
        if let Some(trampoline) = self.trampoline_rule(modules, at)? {
            return follow(trampoline, registers, memory);
        }
        guess(modules, at, registers, memory)
    }

    /// Whether there is a rule for code, so that a frame in it need not be guessed.
    pub fn has_rule(&mut self, modules: &Modules, at: Address) -> bool {
        let found = modules.at(at);
        found.is_some_and(|(id, module)| matches!(self.rule(id, module, at), Ok(Some(_))))
    }

    /// Where a frame keeps its caller's registers in memory, as far as its rule
    /// says so. `cfa` is what [`Unwinder::step`] found.
    pub fn saved_places(
        &mut self,
        modules: &Modules,
        at: FrameAddress,
        cfa: Address,
    ) -> Vec<(Register, Address)> {
        let Some((id, module)) = modules.at(at.lookup()) else {
            return Vec::new();
        };
        let Ok(Some(rule)) = self.rule(id, module, at.lookup()) else {
            return Vec::new();
        };
        let places = rule
            .saved
            .iter()
            .filter_map(|(register, saved)| match saved {
                Saved::At(offset) => Some((*register, cfa.offset(*offset))),
                _ => None,
            });
        places.collect()
    }

    /// The rule of a signal trampoline that the frame "returns" to: the
    /// kernel's return address is the trampoline's first byte, so that the
    /// byte before it may belong to another function, or to none.
    fn trampoline_rule(
        &mut self,
        modules: &Modules,
        at: FrameAddress,
    ) -> Result<Option<&Rule>, UnwindError> {
        let FrameAddress::ReturnAddress(pc) = at else {
            return Ok(None);
        };
        let Some((id, module)) = modules.at(pc) else {
            return Ok(None);
        };
        let is_signal = self
            .rule(id, module, pc)?
            .is_some_and(|rule| rule.is_signal);
        Ok(if is_signal {
            self.known(id, module, pc)
        } else {
            None
        })
    }

    fn known(&self, id: ModuleId, module: &Module, at: Address) -> Option<&Rule> {
        self.rules.get(&(id, module.to_file(at)))?.as_ref()
    }

    /// The rule for an address, read on first use.
    fn rule(
        &mut self,
        id: ModuleId,
        module: &Module,
        at: Address,
    ) -> Result<Option<&Rule>, UnwindError> {
        let key = (id, module.to_file(at));
        if self.rules.contains_key(&key) {
            self.hits += 1;
        } else {
            self.misses += 1;
            if self.rules.len() >= MAX_RULES {
                self.rules.clear();
            }
            let rule = module.frame_rule(key.1, &mut self.context.0);
            self.rules
                .insert(key, rule.map_err(UnwindError::Malformed)?);
        }
        Ok(self.rules[&key].as_ref())
    }
}

/// The frame's side of a CFI expression: its registers and memory.
struct FrameMachine<'a> {
    registers: &'a Registers,
    memory: &'a mut dyn Memory,
}

impl Memory for FrameMachine<'_> {
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<(), MemoryError> {
        self.memory.read(at, into)
    }
}

impl Machine for FrameMachine<'_> {
    fn register(&mut self, register: Register) -> Option<u64> {
        self.registers.get(register)
    }
}

/// Applies a rule.
fn follow(
    rule: &Rule,
    registers: &Registers,
    memory: &mut dyn Memory,
) -> Result<Unwound, UnwindError> {
    let mut machine = FrameMachine { registers, memory };
    let cfa = match &rule.cfa {
        Cfa::Register(register, offset) => {
            let base = registers.get(*register).ok_or(UnwindError::NoRegister)?;
            Address(base).offset(*offset)
        }
        Cfa::Expression(bytes) => Address(operations::number(
            bytes,
            rule.encoding,
            None,
            &mut machine,
        )?),
    };
    let mut caller = Registers::new(registers.arch());
    caller.set_other(registers.shared_other());
    for &number in registers.arch().callee_saved() {
        if let Some(value) = registers.get(Register(number)) {
            caller.set(Register(number), value);
        }
    }
    caller.set_sp(cfa);
    // A register without a rule keeps its value, if it is one that calls keep.
    let mut return_address = registers.get(rule.return_address);
    if registers.arch() == Arch::X86_64 {
        return_address = None;
    }
    for (register, saved) in &rule.saved {
        let value = recover(rule, *register, saved, cfa, &mut machine)?;
        match value {
            Some(value) => caller.set(*register, value),
            None => caller.forget(*register),
        }
        if *register == rule.return_address {
            return_address = value;
        }
    }
    let unwound = |caller| Unwound {
        cfa: Some(cfa),
        is_signal: rule.is_signal,
        caller,
    };
    let Some(pc) = return_address.filter(|&pc| pc != 0) else {
        return Ok(unwound(None));
    };
    caller.set_pc(Address(pc));
    if !rule.is_signal {
        caller.inherit_unsaved(registers);
    }
    if caller.sp() == registers.sp() && caller.pc() == registers.pc() {
        return Err(UnwindError::NotFurtherOut);
    }
    let at = match rule.is_signal {
        true => FrameAddress::InstructionPointer(Address(pc)),
        false => FrameAddress::ReturnAddress(Address(pc)),
    };
    Ok(unwound(Some((at, caller))))
}

/// The caller's value of a register; `None` where the rule says that it is lost.
fn recover(
    rule: &Rule,
    register: Register,
    saved: &Saved,
    cfa: Address,
    machine: &mut FrameMachine<'_>,
) -> Result<Option<u64>, UnwindError> {
    let is_sp_or_pc = register == rule.return_address;
    let load = |at: Address, machine: &mut FrameMachine<'_>| {
        match machine.read_unsigned(at, 8) {
            Ok(value) => Ok(Some(value)),
            // Only the return address must be there; another register is lost.
            Err(error) if is_sp_or_pc => Err(UnwindError::Memory(error)),
            Err(_) => Ok(None),
        }
    };
    match saved {
        Saved::Lost => Ok(None),
        Saved::Same => Ok(machine.registers.get(register)),
        Saved::At(offset) => load(cfa.offset(*offset), machine),
        Saved::Is(offset) => Ok(Some(cfa.offset(*offset).0)),
        Saved::In(other) => Ok(machine.registers.get(*other)),
        Saved::AtExpression(bytes) => {
            let at = operations::number(bytes, rule.encoding, Some(cfa.0), machine)?;
            load(Address(at), machine)
        }
        Saved::IsExpression(bytes) => Ok(Some(operations::number(
            bytes,
            rule.encoding,
            Some(cfa.0),
            machine,
        )?)),
    }
}

impl From<LocationError> for UnwindError {
    fn from(error: LocationError) -> UnwindError {
        match error {
            LocationError::Memory(error) => UnwindError::Memory(error),
            LocationError::Malformed(error) => UnwindError::Malformed(error),
            _ => UnwindError::NoRegister,
        }
    }
}

/// Unwinds a frame whose code nobody describes.
fn guess(
    modules: &Modules,
    at: FrameAddress,
    registers: &Registers,
    memory: &mut dyn Memory,
) -> Result<Unwound, UnwindError> {
    let nothing = Unwound {
        cfa: None,
        is_signal: false,
        caller: None,
    };
    if registers.arch() != Arch::X86_64 || at.pc().0 == 0 && is_return(at) {
        return Ok(nothing);
    }
    if let Some(interrupted) = guess_signal(at.pc(), registers, memory) {
        return Ok(interrupted);
    }
    if let FrameAddress::InstructionPointer(pc) = at
        && let Some(unwound) = guess_at_entry(modules, pc, registers, memory)
    {
        return Ok(unwound);
    }
    if let Some(unwound) = guess_without_frame(modules, at, registers, memory) {
        return Ok(unwound);
    }
    let (Some(fp), Some(sp)) = (registers.fp(), registers.sp()) else {
        return Ok(nothing);
    };
    // A frame pointer points up the stack, aligned; anything else is a number.
    if fp < sp || fp.0 % 8 != 0 {
        return Ok(nothing);
    }
    let pc = memory
        .read_unsigned(fp.add(8), 8)
        .map_err(UnwindError::Memory)?;
    let outer = memory.read_unsigned(fp, 8).map_err(UnwindError::Memory)?;
    let cfa = fp.add(16);
    Ok(returned(registers, cfa, pc, Some(outer), modules))
}

fn is_return(at: FrameAddress) -> bool {
    matches!(at, FrameAddress::ReturnAddress(_))
}

/// The caller that `pc` and the stack pointer after the return describe; none
/// where `pc` is no code.
fn returned(
    registers: &Registers,
    cfa: Address,
    pc: u64,
    fp: Option<u64>,
    modules: &Modules,
) -> Unwound {
    let mut caller = Registers::new(registers.arch());
    caller.set_other(registers.shared_other());
    for &number in registers.arch().callee_saved() {
        if let Some(value) = registers.get(Register(number)) {
            caller.set(Register(number), value);
        }
    }
    caller.set_sp(cfa);
    caller.set_pc(Address(pc));
    if let Some(fp) = fp {
        caller.set(registers.arch().fp(), fp);
    }
    let pc = Address(pc);
    let is_code = modules.at(pc.offset(-1)).is_some();
    let caller = is_code.then_some((FrameAddress::ReturnAddress(pc), caller));
    Unwound {
        cfa: Some(cfa),
        is_signal: false,
        caller,
    }
}

/// A frame that stands before or just after its function pushed the frame
/// pointer, or in no code at all because it jumped through a bad pointer.
fn guess_at_entry(
    modules: &Modules,
    pc: Address,
    registers: &Registers,
    memory: &mut dyn Memory,
) -> Option<Unwound> {
    let sp = registers.sp()?;
    let pushed = match modules.at(pc) {
        None => 0,
        Some((_, module)) => {
            let (_, into) = module.symbol_at(pc)?;
            let mut code = [0; 5];
            memory
                .read(pc.offset(-(into.min(5) as i64)), &mut code)
                .ok()?;
            match into {
                0 => 0,
                1 if code[0] == PUSH_RBP => 8,
                4 if code[..4] == ENDBR64 => 0,
                5 if code[..4] == ENDBR64 && code[4] == PUSH_RBP => 8,
                _ => return None,
            }
        }
    };
    let slot = sp.add(pushed);
    let return_address = memory.read_unsigned(slot, 8).ok()?;
    let fp = (pushed != 0)
        .then(|| memory.read_unsigned(sp, 8).ok())
        .flatten();
    let unwound = returned(registers, slot.add(8), return_address, fp, modules);
    unwound.caller.is_some().then_some(unwound)
}

const PUSH_RBP: u8 = 0x55;
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// A frame of a function that does not begin with keeping the frame pointer,
/// which is its caller's then. Nothing is known of what it keeps on the stack but
/// that most such functions keep nothing: so the return address is on top, if
/// what is there comes behind a call.
fn guess_without_frame(
    modules: &Modules,
    at: FrameAddress,
    registers: &Registers,
    memory: &mut dyn Memory,
) -> Option<Unwound> {
    let (_, module) = modules.at(at.lookup())?;
    let (_, into) = module.symbol_at(at.lookup())?;
    let mut code = [0; 5];
    let start = at.lookup().offset(-i64::try_from(into).ok()?);
    memory.read(start, &mut code).ok()?;
    if code[0] == PUSH_RBP || code[..4] == ENDBR64 && code[4] == PUSH_RBP {
        return None;
    }
    let sp = registers.sp()?;
    let return_address = memory.read_unsigned(sp, 8).ok()?;
    if !follows_call(Address(return_address), memory) {
        return None;
    }
    let unwound = returned(registers, sp.add(8), return_address, None, modules);
    unwound.caller.is_some().then_some(unwound)
}

/// Whether the instruction before an address may be a call: `e8 rel32`, or `ff /2`
/// of two to seven bytes.
fn follows_call(at: Address, memory: &mut dyn Memory) -> bool {
    const LONGEST: usize = 7;
    let mut code = [0; LONGEST];
    if memory
        .read(at.offset(-(LONGEST as i64)), &mut code)
        .is_err()
    {
        return false;
    }
    let is_indirect = |length: usize| {
        let from = LONGEST - length;
        code[from] == 0xff && code[from + 1] >> 3 & 7 == 2
    };
    code[LONGEST - 5] == 0xe8 || (2..=LONGEST).any(is_indirect)
}

/// A signal trampoline by its code, `mov $15, %rax; syscall`: the kernel left
/// a `struct ucontext` where the stack pointer is.
fn guess_signal(pc: Address, registers: &Registers, memory: &mut dyn Memory) -> Option<Unwound> {
    const CODE: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
    let mut code = [0; CODE.len()];
    memory.read(pc, &mut code).ok()?;
    if code != CODE {
        return None;
    }
    // `uc_mcontext.gregs`, from its offset in `struct ucontext`, by DWARF number.
    const GREGS: u64 = 40;
    const ORDER: [u16; 17] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16];
    let context = registers.sp()?;
    let mut caller = Registers::new(Arch::X86_64);
    caller.set_other(registers.shared_other());
    for (index, number) in ORDER.into_iter().enumerate() {
        let slot = context.add(GREGS + 8 * index as u64);
        caller.set(Register(number), memory.read_unsigned(slot, 8).ok()?);
    }
    let at = FrameAddress::InstructionPointer(caller.pc()?);
    Some(Unwound {
        cfa: Some(context),
        is_signal: true,
        caller: Some((at, caller)),
    })
}
