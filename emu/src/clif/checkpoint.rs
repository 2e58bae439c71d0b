//! Checkpoints: what a region goes back to when it cannot go on.
//!
//! A checkpoint is a guest instruction, with the values that the guest's
//! registers have before it. Making one costs nothing where it is made; its *way
//! out*, a block off the straight path, writes those values to the state and
//! leaves for the interpreter, which does that instruction again. So since the
//! checkpoint there may only have been what can be done twice: loads and
//! arithmetic. After an instruction that stores, there is a new one.
//!
//! To whatever can fail (a check, a fault in an access: [`marks`](crate::marks))
//! leads a branch to the last checkpoint's way out. The older a checkpoint is,
//! the more values have to be kept that nothing else wants; so a new one is made
//! when a few have been replaced. The region's entry needs none: until anything is
//! stored, that is the checkpoint. What a block of the guest does not set, all its
//! ways out have in common: that is written by a *tail* which they share.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self as clif, BlockArg, InstBuilder, SourceLoc};

use super::dirty::{dirty_bit, home};
use super::emit::Emit;
use crate::addr::GuestAddr;
use crate::enter::reason;
use crate::ir::Place;
use crate::state::offset;

/// So many replaced values are kept before another checkpoint is made.
const MOST_REPLACED: u32 = 2;

/// A checkpoint of the block that is being lowered.
pub(super) struct Checkpoint {
    pc: GuestAddr,
    way_out: clif::Block,
    /// The registers that the way out writes, by [`dirty_bit`], and those of them
    /// that have been set since.
    dirty: u128,
    replaced: u128,
}

impl Checkpoint {
    pub(super) fn way_out(&self) -> clif::Block {
        self.way_out
    }
}

/// A way out that has been branched to and not emitted.
pub(super) struct WayOut {
    block: clif::Block,
    kind: Kind,
    registers: Vec<Register>,
}

enum Kind {
    /// Leaves for this instruction, for this reason, by the tail if there is one.
    Leaves(GuestAddr, u64, Option<clif::Block>),
    /// A tail, which gets the reason.
    Tail(clif::Value),
}

/// What the ways out of a block of the guest have in common.
#[derive(Default)]
pub(super) struct Steady {
    /// The registers, by [`dirty_bit`].
    places: u128,
    /// What writes them, once it is needed.
    tail: Option<clif::Block>,
}

impl Steady {
    /// Of a block with these registers dirty at its entry, that sets those.
    pub(super) fn new(dirty: u128, set: u128) -> Steady {
        Steady {
            places: dirty & !set,
            tail: None,
        }
    }
}

/// A value, and where in the state it belongs.
type Register = (i32, clif::Value);

impl Emit<'_> {
    /// Where to go if something in the current instruction cannot be done.
    pub(super) fn way_out(&mut self) -> clif::Block {
        let known = self.checkpoint.as_ref().filter(|last| {
            let here = last.pc == self.pc;
            // What the instruction has stored, is not stored before others again.
            let old = self.stored || last.replaced.count_ones() > MOST_REPLACED;
            here || !old || !self.stored && self.has_unseen()
        });
        match known {
            Some(checkpoint) => checkpoint.way_out,
            None => self.begin_checkpoint(),
        }
    }

    /// The checkpoint of whatever comes before anything is stored: the state is as
    /// it was at the region's entry, for nothing has been written back.
    pub(super) fn entry_checkpoint(&self) -> Checkpoint {
        Checkpoint {
            pc: self.first,
            way_out: self.back_to_entry,
            dirty: 0,
            replaced: 0,
        }
    }

    /// The checkpoint of the entry itself: what leads to it is known before
    /// anything is done.
    pub(super) fn not_entered(&mut self) -> Checkpoint {
        Checkpoint {
            way_out: self.leave_by_block(self.first, reason::REFUSED),
            ..self.entry_checkpoint()
        }
    }

    /// Makes a checkpoint of the current instruction, which has set nothing yet.
    pub(super) fn begin_checkpoint(&mut self) -> clif::Block {
        debug_assert!(!self.has_unseen(), "what may be NaN is not written");
        let block = self.leave_by_block(self.pc, reason::REPLAY);
        self.checkpoint = Some(Checkpoint {
            pc: self.pc,
            way_out: block,
            dirty: self.dirty,
            replaced: 0,
        });
        block
    }

    /// A block that leaves for an instruction before which all registers are as
    /// they are now.
    pub(super) fn leave_by_block(&mut self, pc: GuestAddr, reason: u64) -> clif::Block {
        let places = self.steady.places;
        if self.steady.tail.is_none() && places != 0 {
            let block = self.b.create_block();
            let reason = self.b.append_block_param(block, I64);
            self.add_way_out(block, Kind::Tail(reason), places);
            self.steady.tail = Some(block);
        }
        let kind = Kind::Leaves(pc, reason, self.steady.tail);
        let block = self.b.create_block();
        self.add_way_out(block, kind, self.dirty & !places);
        block
    }

    fn add_way_out(&mut self, block: clif::Block, kind: Kind, places: u128) {
        self.b.set_cold_block(block);
        let registers = self.registers(places);
        self.ways_out.push(WayOut {
            block,
            kind,
            registers,
        });
    }

    /// A register is set.
    pub(super) fn replace(&mut self, place: Place) {
        self.dirty |= dirty_bit(place);
        if let Some(last) = &mut self.checkpoint {
            last.replaced |= last.dirty & dirty_bit(place);
        }
    }

    /// Guest memory has been accessed just now. What leads to the way out becomes
    /// a mark; it asks for the one register that every access has.
    pub(super) fn accessed(&mut self, stores: bool) {
        let way_out = self.way_out();
        let go_on = self.b.create_block();
        self.locate(true);
        self.b.ins().brif(self.base, go_on, &[], way_out, &[]);
        self.b.switch_to_block(go_on);
        self.locate(false);
        self.stored |= stores;
    }

    /// What follows belongs to the current instruction; or it is a mark of it.
    pub(super) fn locate(&mut self, mark: bool) {
        let row = self.pcs.len() as u32 - 1;
        let location = SourceLoc::new(2 * row + u32::from(mark));
        self.b.set_srcloc(location);
    }

    /// The registers in a set, as they are now.
    pub(super) fn registers(&mut self, places: u128) -> Vec<Register> {
        let mut registers = Vec::new();
        for n in 0..32 {
            for place in [Place::X(n), Place::F(n), Place::V(n)] {
                if places & dirty_bit(place) != 0 {
                    let value = self.b.use_var(self.variable(place));
                    registers.push((home(place), value));
                }
            }
        }
        if places & dirty_bit(Place::Nzcv) != 0 {
            // It is left to whoever finds the state to work the flags out.
            let parts = self.nzcv.expect("declared").parts();
            for (n, variable) in (0..).zip(parts) {
                let value = self.b.use_var(variable);
                registers.push((offset::DEFERRED + 8 * n, value));
            }
        }
        registers
    }

    /// Emits the ways out, after everything else.
    pub(super) fn emit_ways_out(&mut self) {
        self.ways_out.push(WayOut {
            block: self.back_to_entry,
            kind: Kind::Leaves(self.first, reason::REPLAY, None),
            registers: Vec::new(),
        });
        for out in std::mem::take(&mut self.ways_out) {
            self.b.switch_to_block(out.block);
            self.b.set_srcloc(SourceLoc::default());
            for (at, value) in out.registers {
                self.store_state(value, at);
            }
            let (to, reason) = match out.kind {
                Kind::Leaves(pc, reason, tail) => {
                    let pc = self.constant(pc.0);
                    self.store_state(pc, offset::PC);
                    (tail.unwrap_or(self.leave), self.constant(reason))
                }
                Kind::Tail(reason) => (self.leave, reason),
            };
            self.b.ins().jump(to, &[BlockArg::Value(reason)]);
        }
    }
}
