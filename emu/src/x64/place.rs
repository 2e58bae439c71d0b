//! Where values are while a block is emitted.
//!
//! A value has any of: a constant, the home of the guest register that holds
//! it, a scratch register, a vector register, a spill slot. Taking one of these
//! away from a value that is still wanted and is nowhere else spills it first.

use super::asm::{Reg, Rm, Xmm};
use super::{Emit, home, state};
use crate::enter::{Ways, host_flags};
use crate::ir::{Block, Flags, Op, Place, Type, Value};
use crate::state::{SPILL_SLOTS, offset};

/// Scratch registers, by number: rax, rcx, rdx.
const SCRATCH: usize = 3;

const VECTORS: usize = 16;

#[derive(Clone, Copy, Default)]
struct Location {
    constant: Option<u64>,
    home: Option<Place>,
    scratch: Option<u8>,
    vector: Option<u8>,
    slot: Option<u8>,
}

/// Where every value of a block is.
#[derive(Default)]
pub(super) struct Places {
    locations: Vec<Location>,
    /// Uses that are still to come, the current operation's included.
    uses: Vec<u32>,
    x: [Option<Value>; 32],
    /// Floating-point registers or vectors, as the guest has them.
    f: [Option<Value>; 32],
    nzcv: Option<Value>,
    tpidr: Option<Value>,
    scratch: [Option<Value>; SCRATCH],
    scratch_locked: [bool; SCRATCH],
    vector: [Option<Value>; VECTORS],
    vector_locked: [bool; VECTORS],
    /// The spill slots that are taken, and those of them that begin a pair.
    slots: u64,
    wide_slots: u64,
    /// There was no slot for a value that needed one: the code is of no use.
    pub(super) full: bool,
    /// Values found to be below the limit of guest memory.
    checked: Vec<Value>,
}

/// The host register that each guest register lives in.
#[derive(Clone, Copy)]
pub(super) struct Pins([Option<Reg>; 32]);

impl Pins {
    pub(super) fn new(ways: &Ways) -> Pins {
        let mut pins = [None; 32];
        for (guest, host) in ways.pins {
            pins[usize::from(guest)] = Some(Reg(host));
        }
        Pins(pins)
    }
}

impl Places {
    /// Begins a block: nothing is anywhere but the constants.
    pub(super) fn begin(&mut self, block: &Block) {
        let Places {
            mut uses,
            mut locations,
            mut checked,
            ..
        } = std::mem::take(self);
        uses.clear();
        uses.resize(block.ops.len(), 0);
        locations.clear();
        locations.resize(block.ops.len(), Location::default());
        checked.clear();
        for (i, op) in block.ops.iter().enumerate() {
            op.operands(|v, _| uses[v.index()] += 1);
            match *op {
                Op::Const(n) => locations[i].constant = Some(n),
                Op::Flags(Flags::Pack(bits)) => {
                    let bits = locations[bits.index()].constant;
                    locations[i].constant = bits.map(|bits| host_flags(bits as u32).into());
                }
                _ => {}
            }
        }
        block.end.operands(|v| uses[v.index()] += 1);
        self.uses = uses;
        self.locations = locations;
        self.checked = checked;
    }

    /// The operation is emitted: its operands have one use less, and nothing
    /// is held for it any more.
    pub(super) fn done(&mut self, op: &Op) {
        op.operands(|v, _| {
            self.uses[v.index()] -= 1;
            if self.uses[v.index()] == 0 {
                self.free(v);
            }
        });
        self.scratch_locked = [false; SCRATCH];
        self.vector_locked = [false; VECTORS];
    }

    /// Whether a value has not been compared with the limit before; it is now.
    pub(super) fn check(&mut self, v: Value) -> bool {
        let first = !self.checked.contains(&v);
        if first {
            self.checked.push(v);
        }
        first
    }

    pub(super) fn constant(&self, v: Value) -> Option<u64> {
        self.locations[v.index()].constant
    }

    pub(super) fn uses(&self, v: Value) -> u32 {
        self.uses[v.index()]
    }

    fn holder(&mut self, place: Place) -> &mut Option<Value> {
        match place {
            Place::X(n) => &mut self.x[usize::from(n)],
            Place::F(n) | Place::V(n) => &mut self.f[usize::from(n)],
            Place::Nzcv => &mut self.nzcv,
            Place::Tpidr => &mut self.tpidr,
            Place::Fpcr | Place::Fpsr => unreachable!("{place:?} is the interpreter's"),
        }
    }

    /// The register holds this value now, and no other.
    pub(super) fn at_home(&mut self, v: Value, place: Place) {
        if let Some(old) = self.holder(place).replace(v) {
            let location = &mut self.locations[old.index()];
            if old != v && location.home == Some(place) {
                location.home = None;
            }
        }
        self.locations[v.index()].home = Some(place);
    }

    /// Gives back the slot of a value that nobody wants any more.
    fn free(&mut self, v: Value) {
        if let Some(slot) = self.locations[v.index()].slot {
            let pair = self.wide_slots >> slot & 1;
            self.slots &= !((1 | pair << 1) << slot);
            self.wide_slots &= !(1 << slot);
        }
    }

    fn free_slot(&mut self) -> u8 {
        let slot = self.slots.trailing_ones() as usize;
        if slot >= SPILL_SLOTS {
            self.full = true;
            return 0;
        }
        self.slots |= 1 << slot;
        slot as u8
    }

    /// Two slots in a row, for a vector; the first one's number.
    fn free_wide_slot(&mut self) -> u8 {
        let both = !self.slots & !self.slots >> 1 & 0x5555_5555_5555_5555;
        let slot = both.trailing_zeros() as usize;
        if slot >= SPILL_SLOTS {
            self.full = true;
            return 0;
        }
        self.slots |= 3 << slot;
        self.wide_slots |= 1 << slot;
        slot as u8
    }
}

fn slot(n: u8) -> Rm {
    state(offset::SPILL + 8 * i32::from(n))
}

impl Emit<'_> {
    /// The value of the current operation.
    pub(super) fn value(&self) -> Value {
        Value(self.at as u32)
    }

    /// The host register that a guest register lives in.
    pub(super) fn pin(&self, n: u8) -> Option<Reg> {
        self.pins.0[usize::from(n)]
    }

    /// Nothing is held for the current operation any more.
    pub(super) fn release(&mut self) {
        self.places.scratch_locked = [false; SCRATCH];
        self.places.vector_locked = [false; VECTORS];
    }

    /// Whether a value is wanted after the current operation.
    fn wanted_later(&self, v: Value) -> bool {
        let now = if self.at < self.block.ops.len() {
            let mut now = 0;
            self.block.ops[self.at].operands(|operand, _| now += u32::from(operand == v));
            now
        } else {
            0
        };
        self.places.uses(v) > now
    }

    fn location(&mut self, v: Value) -> &mut Location {
        &mut self.places.locations[v.index()]
    }

    /// Keeps a value that is about to lose a scratch register.
    fn save_scratch(&mut self, v: Value, from: Reg) {
        let location = *self.location(v);
        let elsewhere =
            location.constant.is_some() || location.home.is_some() || location.slot.is_some();
        if self.places.uses(v) > 0 && !elsewhere {
            let to = self.places.free_slot();
            self.asm.store(8, slot(to), from);
            self.location(v).slot = Some(to);
        }
        self.location(v).scratch = None;
    }

    /// Takes a scratch register for the current operation.
    pub(super) fn take(&mut self, reg: Reg) {
        let index = usize::from(reg.0);
        assert!(
            !self.places.scratch_locked[index],
            "scratch registers are taken once an operation"
        );
        if let Some(v) = self.places.scratch[index].take() {
            self.save_scratch(v, reg);
        }
        self.places.scratch_locked[index] = true;
    }

    /// Takes any scratch register for the current operation.
    pub(super) fn scratch(&mut self) -> Reg {
        let free = |emit: &Self, i: usize| match emit.places.scratch[i] {
            None => true,
            Some(v) => emit.places.uses(v) == 0,
        };
        let open = |emit: &Self, i: &usize| !emit.places.scratch_locked[*i];
        // rax last: flags, atomics and divisions want it.
        let index = (0..SCRATCH)
            .rev()
            .filter(|i| open(self, i))
            .find(|&i| free(self, i))
            .or_else(|| (0..SCRATCH).rev().find(|i| open(self, i)))
            .expect("no operation needs more scratch registers than there are");
        let reg = Reg(index as u8);
        self.take(reg);
        reg
    }

    /// Whether a value is in rax.
    pub(super) fn is_in_rax(&self, v: Value) -> bool {
        self.places.locations[v.index()].scratch == Some(Reg::RAX.0)
    }

    /// Puts flags into rax, which was taken, of as many bytes as were stored.
    pub(super) fn load_flags(&mut self, v: Value) {
        match self.constant_or_operand(v) {
            Ok(n) => self.asm.constant(Reg::RAX, n),
            Err(from) => self.asm.mov(false, Reg::RAX, from),
        }
    }

    /// A value in a general register, which must not be written.
    pub(super) fn reg(&mut self, v: Value) -> Reg {
        let location = *self.location(v);
        if let Some(index) = location.scratch {
            self.places.scratch_locked[usize::from(index)] = true;
            return Reg(index);
        }
        if let Some(Place::X(n)) = location.home
            && let Some(reg) = self.pin(n)
        {
            return reg;
        }
        let to = self.scratch();
        self.load_into(to, v);
        self.places.scratch[usize::from(to.0)] = Some(v);
        self.location(v).scratch = Some(to.0);
        to
    }

    /// Puts a value into a register that the caller has taken.
    pub(super) fn load_into(&mut self, to: Reg, v: Value) {
        match self.constant_or_operand(v) {
            Ok(n) => self.asm.constant(to, n),
            Err(from) => self.asm.mov(true, to, from),
        }
    }

    fn constant_or_operand(&mut self, v: Value) -> Result<u64, Rm> {
        let location = *self.location(v);
        if let Some(index) = location.scratch {
            return Err(Rm::Reg(index));
        }
        if let Some(n) = location.constant {
            return Ok(n);
        }
        if let Some(place) = location.home {
            return Err(match place {
                Place::X(n) => self.pin(n).map_or(home(place), Rm::from),
                _ => home(place),
            });
        }
        let slot_number = location.slot.expect("a value that is wanted is somewhere");
        Err(slot(slot_number))
    }

    /// A value as the operand of an instruction, which must not write it.
    pub(super) fn operand(&mut self, v: Value) -> Rm {
        match self.constant_or_operand(v) {
            Ok(_) => self.reg(v).into(),
            Err(rm) => {
                if let Rm::Reg(n) = rm
                    && usize::from(n) < SCRATCH
                {
                    self.places.scratch_locked[usize::from(n)] = true;
                }
                rm
            }
        }
    }

    /// A constant that fits an instruction.
    pub(super) fn immediate(&self, v: Value) -> Option<i32> {
        let n = self.places.constant(v)?;
        i32::try_from(n as i64).ok()
    }

    /// Keeps what a guest register held for those that want it later.
    fn displace(&mut self, place: Place) {
        let Some(old) = *self.places.holder(place) else {
            return;
        };
        let location = *self.location(old);
        if location.home != Some(place) {
            return;
        }
        let elsewhere = location.constant.is_some()
            || location.scratch.is_some()
            || location.vector.is_some()
            || location.slot.is_some();
        if self.wanted_later(old) && !elsewhere {
            match place {
                Place::X(n) => {
                    let from = self.pin(n).unwrap_or_else(|| self.reg(old));
                    let to = self.places.free_slot();
                    self.asm.store(8, slot(to), from);
                    self.location(old).slot = Some(to);
                }
                Place::Nzcv | Place::Tpidr => {
                    let from = self.reg(old);
                    let to = self.places.free_slot();
                    self.asm.store(8, slot(to), from);
                    self.location(old).slot = Some(to);
                }
                _ => {
                    self.vector(old);
                }
            }
        }
        self.location(old).home = None;
        *self.places.holder(place) = None;
    }

    /// The pinned register that the current value is about to be written to,
    /// directly or after an extension in place.
    fn destined(&self) -> Option<u8> {
        let v = self.value();
        let ops = &self.block.ops;
        match (ops.get(self.at + 1)?, ops.get(self.at + 2)) {
            (&Op::Set(Place::X(n), set), _) if set == v => self.pin(n).map(|_| n),
            (&Op::Extend(_, _, from), Some(&Op::Set(Place::X(n), set)))
                if from == v && self.places.uses(v) == 1 && set.index() == self.at + 1 =>
            {
                self.pin(n).map(|_| n)
            }
            _ => None,
        }
    }

    /// A register for the current operation's value. Operands were fetched
    /// before; it may be one of them.
    pub(super) fn result(&mut self) -> Reg {
        let v = self.value();
        if let Some(n) = self.destined() {
            self.displace(Place::X(n));
            self.places.at_home(v, Place::X(n));
            return self.pin(n).expect("it is pinned");
        }
        let reg = self.scratch();
        self.places.scratch[usize::from(reg.0)] = Some(v);
        self.location(v).scratch = Some(reg.0);
        reg
    }

    /// The current operation's value is in a scratch register that was taken.
    pub(super) fn result_in(&mut self, reg: Reg) {
        let v = self.value();
        if let Some(n) = self.destined() {
            self.displace(Place::X(n));
            self.places.at_home(v, Place::X(n));
            let pinned = self.pin(n).expect("it is pinned");
            self.asm.mov(true, pinned, reg);
            return;
        }
        self.places.scratch[usize::from(reg.0)] = Some(v);
        self.location(v).scratch = Some(reg.0);
    }

    /// Writes a guest register.
    pub(super) fn set(&mut self, place: Place, v: Value) {
        if self.location(v).home == Some(place) {
            return;
        }
        match place {
            Place::X(n) => self.set_x(n, v),
            Place::V(_) => {
                let from = self.vector(v);
                self.displace(place);
                self.asm.store_vector(home(place), from);
            }
            Place::Nzcv | Place::Tpidr => {
                let from = self.reg(v);
                self.displace(place);
                let bytes = if place == Place::Nzcv { 4 } else { 8 };
                self.asm.store(bytes, home(place), from);
                if self.compared.0 == usize::MAX {
                    self.compared.0 = self.asm.len();
                }
            }
            _ => self.set_f(place, v),
        }
        self.places.at_home(v, place);
    }

    fn set_x(&mut self, n: u8, v: Value) {
        self.displace(Place::X(n));
        if let Some(to) = self.pin(n) {
            self.load_into(to, v);
        } else if let Some(small) = self.immediate(v) {
            self.asm.store_imm(true, home(Place::X(n)), small);
        } else {
            let from = self.reg(v);
            self.asm.store(8, home(Place::X(n)), from);
        }
    }

    fn set_f(&mut self, place: Place, v: Value) {
        if let Op::Box(single) = self.block.ops[v.index()] {
            let Rm::Base(base, by) = home(place) else {
                unreachable!("homes are in the state")
            };
            // The single's use by the box is over, but nothing came between.
            let from = self.vector_of(single, false);
            self.displace(place);
            self.asm.store_scalar(false, Rm::Base(base, by), from);
            self.asm.store_imm(false, Rm::Base(base, by + 4), -1);
            return;
        }
        let from = self.vector(v);
        self.displace(place);
        self.asm.store_scalar(true, home(place), from);
    }

    fn take_vector(&mut self) -> Xmm {
        let usable = |emit: &Self, i: &usize| !emit.places.vector_locked[*i];
        let free = |emit: &Self, i: usize| match emit.places.vector[i] {
            None => true,
            Some(v) => emit.places.uses(v) == 0,
        };
        let index = (0..VECTORS)
            .filter(|i| usable(self, i))
            .find(|&i| free(self, i))
            .or_else(|| (0..VECTORS).find(|i| usable(self, i)))
            .expect("no operation needs sixteen vector registers");
        if let Some(v) = self.places.vector[index].take() {
            let location = *self.location(v);
            if self.places.uses(v) > 0 && location.home.is_none() && location.slot.is_none() {
                let to = self.save_vector(v, Xmm(index as u8));
                self.location(v).slot = Some(to);
            }
            self.location(v).vector = None;
        }
        self.places.vector_locked[index] = true;
        Xmm(index as u8)
    }

    /// Puts a value of a vector register into a new slot.
    fn save_vector(&mut self, v: Value, from: Xmm) -> u8 {
        if self.is_vector(v) {
            let to = self.places.free_wide_slot();
            self.asm.store_vector(slot(to), from);
            return to;
        }
        let to = self.places.free_slot();
        self.asm.store_scalar(true, slot(to), from);
        to
    }

    /// Whether a value has sixteen bytes.
    fn is_vector(&self, v: Value) -> bool {
        self.block.ops[v.index()].ty() == Some(Type::Vector)
    }

    /// A vector register of no value, for the current operation.
    pub(super) fn vector_scratch(&mut self) -> Xmm {
        self.take_vector()
    }

    /// A floating-point value in a vector register, which must not be written.
    pub(super) fn vector(&mut self, v: Value) -> Xmm {
        let double = self.block.ops[v.index()].ty() == Some(Type::F64);
        self.vector_of(v, double)
    }

    fn vector_of(&mut self, v: Value, double: bool) -> Xmm {
        let location = *self.location(v);
        if let Some(index) = location.vector {
            self.places.vector_locked[usize::from(index)] = true;
            return Xmm(index);
        }
        let to = self.take_vector();
        let from = match (location.home, location.slot) {
            (Some(place), _) => home(place),
            (None, Some(n)) => slot(n),
            (None, None) => unreachable!("a value that is wanted is somewhere"),
        };
        if self.is_vector(v) {
            self.asm.load_vector(to, from);
        } else {
            self.asm.load_scalar(double, to, from);
        }
        self.places.vector[usize::from(to.0)] = Some(v);
        self.location(v).vector = Some(to.0);
        to
    }

    /// A floating-point value as an operand, in memory if it is only there.
    pub(super) fn vector_operand(&mut self, v: Value) -> Rm {
        let location = *self.location(v);
        match (location.vector, location.home) {
            (None, Some(place)) if self.block.ops[v.index()].ty() != Some(Type::F32) => home(place),
            _ => self.vector(v).into(),
        }
    }

    /// A floating-point value in memory, where an integer instruction can
    /// read it.
    pub(super) fn in_memory(&mut self, v: Value) -> Rm {
        let location = *self.location(v);
        if let Some(place) = location.home {
            return home(place);
        }
        if let Some(n) = location.slot {
            return slot(n);
        }
        let from = self.vector(v);
        let to = self.save_vector(v, from);
        self.location(v).slot = Some(to);
        slot(to)
    }

    /// A vector register for the current operation's value; no operand is in it.
    pub(super) fn vector_result(&mut self) -> Xmm {
        let to = self.take_vector();
        let v = self.value();
        self.places.vector[usize::from(to.0)] = Some(v);
        self.location(v).vector = Some(to.0);
        to
    }
}
