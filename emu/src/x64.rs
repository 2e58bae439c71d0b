//! The first tier: host code from IR in one pass, a block at a time.
//!
//! Ten guest registers live in host registers ([`Ways::pins`]),
//! the rest in the guest state; a write goes to its register's home at once, so
//! the state is exact at every access to memory by construction, and a fault
//! needs no more than the pins to be saved. Values between operations live
//! wherever they happen to be: in their register's home, in one of three
//! scratch registers, in a vector register, in a constant, or, when those run
//! out, in a spill slot ([`place`]).
//!
//! What is rare leaves for the interpreter by a cold path behind the block:
//! addresses beyond the limit, misaligned atomics, NaN operands whose flags
//! differ, conversions out of range, rounding modes that are not the dynamic
//! one, and operations that no instruction here does.

mod asm;
mod end;
mod flags;
mod float;
mod int;
mod memory;
mod place;
mod vector;
mod vector_float;

use asm::{Asm, Cc, Jump, Reg, Rm, Xmm};

use crate::addr::GuestAddr;
use crate::blocks::{CellUse, Compiled};
use crate::enter::{Ways, reason};
use crate::ir::{Block, End, Flags, Op, Place, Value, Width};
use crate::state::offset;
use place::{Pins, Places};

/// Holds the address of the guest state, biased.
const STATE: Reg = Reg::R15;

/// Holds the host address of guest address 0.
const MEMORY: Reg = Reg::R14;

/// Memory in the guest state.
const fn state(at: i32) -> Rm {
    Rm::Base(STATE, at - offset::BIAS)
}

/// Where a guest register lives in the state.
fn home(place: Place) -> Rm {
    match place {
        Place::X(n) => state(offset::X + 8 * i32::from(n)),
        Place::F(n) => state(offset::F + 8 * i32::from(n)),
        Place::V(n) => state(offset::V + 16 * i32::from(n)),
        Place::Nzcv => state(offset::NZCV),
        Place::Fpcr => state(offset::FPCR),
        Place::Fpsr => state(offset::FPSR),
        Place::Tpidr => state(offset::TPIDR),
    }
}

/// Host instructions that not every x86-64 has.
#[derive(Clone, Copy, Debug)]
struct Features {
    /// Shifts by any register.
    bmi2: bool,
    /// lzcnt, tzcnt, popcnt.
    counts: bool,
    /// Fused multiplication and addition.
    fused: bool,
    /// SSE 4.2 and all before it, which vectors need.
    vectors: bool,
    /// AES rounds.
    aes: bool,
}

/// What is done behind the block, off the straight path.
enum Cold {
    /// Leave for good, at this guest pc.
    Leave(Vec<Jump>, GuestAddr, u64),
    /// The result is NaN: make it the guest's, and go back to this offset.
    Nan(Jump, Xmm, bool, usize),
    /// A division with no ordinary result; see [`int`].
    Divide(Jump, int::Division, usize),
    /// A comparison of numbers of which one is NaN: its flags, and back.
    Unordered(Jump, usize),
}

/// Translates blocks.
pub struct Translator {
    features: Features,
    pins: Pins,
    /// The last block's; the next one uses the memory again.
    places: Box<Places>,
    compiled: Compiled,
    cold: Vec<Cold>,
}

/// One block on its way.
struct Emit<'a> {
    asm: Asm,
    block: &'a Block,
    places: Box<Places>,
    features: Features,
    pins: Pins,
    /// The operation that is being emitted.
    at: usize,
    /// A comparison whose only use, which follows, does it.
    deferred: Option<Value>,
    /// The host's flags are those of a comparison (its width and operands) as
    /// long as the code is this long.
    compared: (usize, Option<(Width, Value, Value)>),
    pc: GuestAddr,
    /// The jumps of the current guest instruction to its own way into the
    /// interpreter.
    to_interpreter: Vec<Jump>,
    cold: Vec<Cold>,
    compiled: Compiled,
}

impl Translator {
    /// For this host and a guest.
    pub fn new(ways: &Ways) -> Translator {
        Translator {
            pins: Pins::new(ways),
            places: Box::default(),
            compiled: Compiled::default(),
            cold: Vec::new(),
            features: Features {
                bmi2: is_x86_feature_detected!("bmi2"),
                counts: is_x86_feature_detected!("lzcnt")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("popcnt"),
                fused: is_x86_feature_detected!("fma"),
                vectors: is_x86_feature_detected!("sse4.2"),
                aes: is_x86_feature_detected!("aes"),
            },
        }
    }

    /// Translates a block.
    pub fn translate(&mut self, block: &Block) -> &Compiled {
        let mut compiled = std::mem::take(&mut self.compiled);
        compiled.clear();
        let mut places = std::mem::take(&mut self.places);
        places.begin(block);
        let mut emit = Emit {
            asm: Asm {
                code: std::mem::take(&mut compiled.code),
            },
            block,
            places,
            features: self.features,
            pins: self.pins,
            deferred: None,
            compared: (0, None),
            at: 0,
            pc: block.start,
            to_interpreter: Vec::new(),
            cold: std::mem::take(&mut self.cold),
            compiled,
        };
        emit.asm.code.reserve(64 + block.ops.len() * 8);
        emit.run();
        if emit.places.full {
            emit.begin_again();
        }
        self.places = emit.places;
        self.cold = emit.cold;
        self.compiled = emit.compiled;
        self.compiled.code = emit.asm.code;
        &self.compiled
    }
}

/// The prologue of second-tier code: what [`enter`](crate::enter) says of the
/// way between the tiers. Padded to 32 bytes' alignment.
pub fn region_prologue(ways: &Ways) -> Vec<u8> {
    let mut asm = Asm::default();
    for (guest, host) in ways.pins {
        asm.store(8, home(Place::X(guest)), Reg(host));
    }
    asm.store_imm(false, state(offset::IN_REGION), 1);
    let padding = asm.len().next_multiple_of(32) - asm.len();
    asm.code.extend(std::iter::repeat_n(0x90, padding));
    asm.code
}

impl Emit<'_> {
    fn run(&mut self) {
        let block = self.block;
        for (at, op) in block.ops.iter().enumerate() {
            self.at = at;
            if let Op::Guest(pc) = *op {
                self.begin_instruction(pc);
                continue;
            }
            if self.places.uses(self.value()) == 0 && op.is_pure() {
                self.places.done(op);
                continue;
            }
            if self.defer(op) {
                continue;
            }
            if !self.op(op) {
                // What cannot be done here ends the block: the interpreter
                // does the instruction.
                self.leave(self.pc, reason::INTERPRET);
                self.finish();
                return;
            }
            self.places.done(op);
        }
        self.at = block.ops.len();
        self.end();
        self.finish();
    }

    /// More values live at once than there is room for: the interpreter does
    /// the block's first instruction, and another block begins at the next.
    fn begin_again(&mut self) {
        self.asm.code.clear();
        self.compiled.clear();
        self.begin_instruction(self.block.start);
        self.leave(self.block.start, reason::INTERPRET);
    }

    /// Whether a comparison can be left to the operation that follows, because
    /// that one asks for nothing but its outcome.
    fn defer(&mut self, op: &Op) -> bool {
        if !matches!(op, Op::Compare(..) | Op::Flags(Flags::Test(..))) {
            return false;
        }
        let v = self.value();
        let mut rest = self.block.ops[self.at + 1..].iter();
        let next = rest.find(|op| !matches!(op, Op::Const(_)));
        let asked = match next {
            Some(&Op::Select(c, a, b)) => c == v && a != v && b != v,
            Some(_) => false,
            None => matches!(
                self.block.end,
                End::Branch { cond: crate::ir::Cond::Ne, a, b, .. }
                    if a == v && self.places.constant(b) == Some(0)
            ),
        };
        let defer = asked && self.places.uses(v) == 1;
        if defer {
            self.deferred = Some(v);
        }
        defer
    }

    /// Leaves in the host's flags whether a value is not 0, and gives the
    /// condition that says so. Nothing is held afterwards.
    fn truth(&mut self, v: Value) -> Cc {
        if self.deferred.take_if(|deferred| *deferred == v).is_none() {
            let c = self.reg(v);
            self.asm.test(true, c);
            self.release();
            return Cc::Ne;
        }
        let op = self.block.ops[v.index()];
        let cc = match op {
            Op::Compare(cond, width, a, b) => self.compare(cond, width, a, b),
            Op::Flags(Flags::Test(condition, flags)) => self.test(condition, flags),
            _ => unreachable!("only comparisons are put off"),
        };
        self.places.done(&op);
        cc
    }

    fn begin_instruction(&mut self, pc: GuestAddr) {
        self.close_instruction();
        self.pc = pc;
        self.compiled.rows.push((self.asm.len() as u32, pc));
    }

    fn close_instruction(&mut self) {
        if !self.to_interpreter.is_empty() {
            let jumps = std::mem::take(&mut self.to_interpreter);
            self.cold
                .push(Cold::Leave(jumps, self.pc, reason::INTERPRET));
        }
    }

    /// Lets the interpreter do this instruction when the condition holds.
    fn interpret_if(&mut self, cc: Cc) {
        let jump = self.asm.jcc(cc);
        self.to_interpreter.push(jump);
    }

    /// Leaves for good.
    fn leave(&mut self, pc: GuestAddr, reason: u64) {
        self.asm.constant(Reg::RAX, pc.0);
        self.asm.constant(Reg::RCX, reason);
        self.asm.jmp_memory(state(offset::LEAVE));
    }

    /// Emits what was put off.
    fn finish(&mut self) {
        self.close_instruction();
        let mut cold = std::mem::take(&mut self.cold);
        for cold in cold.drain(..) {
            match cold {
                Cold::Leave(jumps, pc, reason) => {
                    for jump in jumps {
                        self.asm.land(jump);
                    }
                    self.leave(pc, reason);
                }
                Cold::Nan(jump, xmm, double, back) => {
                    self.asm.land(jump);
                    let nan = offset::NAN + if double { 0 } else { 8 };
                    self.asm.load_scalar(double, xmm, state(nan));
                    let jump = self.asm.jmp();
                    self.asm.land_at(jump, back);
                }
                Cold::Divide(jump, division, back) => self.divide_specially(jump, division, back),
                Cold::Unordered(jump, back) => {
                    self.asm.land(jump);
                    // No borrow, overflow.
                    self.asm.constant(Reg::RAX, 1);
                    let jump = self.asm.jmp();
                    self.asm.land_at(jump, back);
                }
            }
        }
        self.cold = cold;
    }

    /// Emits an operation; false when it cannot be.
    fn op(&mut self, op: &Op) -> bool {
        match *op {
            Op::Const(_) => true,
            Op::Get(Place::Fpcr | Place::Fpsr) | Op::Set(Place::Fpcr | Place::Fpsr, _) => false,
            Op::Get(place) => {
                self.places.at_home(self.value(), place);
                true
            }
            Op::Set(place, v) => {
                self.set(place, v);
                true
            }
            Op::Binary(op, width, a, b) => self.binary(op, width, a, b),
            Op::Unary(op, width, a) => self.unary(op, width, a),
            Op::Compare(cond, width, a, b) => {
                let cc = self.compare(cond, width, a, b);
                self.set_result(cc);
                true
            }
            Op::Extend(size, signed, a) => {
                let from = self.operand(a);
                let to = self.result();
                self.asm.load(size.bytes(), signed, to, from);
                true
            }
            Op::Select(c, a, b) => {
                self.select(c, a, b);
                true
            }
            Op::Load(..)
            | Op::Store(..)
            | Op::LoadFloat(..)
            | Op::StoreFloat(..)
            | Op::LoadReserved(..)
            | Op::StoreConditional(..)
            | Op::Atomic(..)
            | Op::CompareExchange(..)
            | Op::ClearReservation
            | Op::Fence => self.memory_op(op),
            Op::Flags(flags) => self.flags(flags),
            Op::Vector(vector) => self.features.vectors && self.vector_op(&vector),
            ref other => self.float_op(other),
        }
    }

    /// The current value is 1 if the condition holds, otherwise 0.
    fn set_result(&mut self, cc: Cc) {
        let to = self.result();
        self.asm.set(cc, to);
    }

    /// Adds an exit to `to` and goes there through its cell.
    fn exit(&mut self, to: GuestAddr) {
        let exit = self.compiled.exits.len() as u32;
        self.compiled.exits.push(to);
        self.asm.lea(true, Reg::RAX, Rm::Rip);
        let place = self.asm.len() as u32 - 4;
        self.compiled.cells.push(CellUse { place, exit });
        self.asm.jmp_memory(Rm::Base(Reg::RAX, 0));
    }
}
