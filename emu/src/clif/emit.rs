//! The frame of a region: entry, registers, write-back and exits.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I8, I8X16, I32, I64};
use cranelift_codegen::ir::{
    self as clif, AbiParam, BlockArg, ExternalName, GlobalValueData, InstBuilder, MemFlagsData,
    SigRef, Signature, SourceLoc, UserExternalName,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, Variable};
use rustc_hash::FxHashMap;

use super::checkpoint::{Checkpoint, Steady, WayOut};
use super::dirty::{dirty_at_entry, home, set_by, stored_at_entry};
use super::flags::{FlagsRegister, Kind, Known, flags_at_entry};
use super::float::{is_float, may_raise, raises_unseen, single_registers};
use super::numbers::{float_type, scalar_registers};
use crate::addr::GuestAddr;
use crate::blocks::{ENTRY_CODE, ENTRY_PC, LOOKUP_ENTRIES};
use crate::enter::{LEAVE, RESUME, reason};
use crate::ir::{Binary, Block, Cond, End, Flags, Format, Hint, Op, Place, Value, Vector, Width};
use crate::regions::{self, Returns};
use crate::state::{SPILL_SLOTS, offset};

/// What a region needs besides its code.
pub(super) struct Emitted {
    pub exits: Vec<GuestAddr>,
    /// Guest instructions: source location 2n is of the one with number n, and
    /// 2n + 1 is what becomes a mark in it.
    pub pcs: Vec<GuestAddr>,
}

/// Emits a whole region.
pub(super) fn region(
    builder: FunctionBuilder<'_>,
    region: &[Block],
    fused: bool,
    config: TargetFrontendConfig,
) -> Emitted {
    let returns = regions::returns(region);
    let dirty = dirty_at_entry(region, &returns);
    let mut emit = Emit::new(builder, region, returns.clone(), fused);
    emit.entry(region);
    let stored = stored_at_entry(region, &returns);
    let flags = flags_at_entry(region, &returns);
    for (i, block) in region.iter().enumerate() {
        emit.flags_of = flags[i];
        emit.block(block, dirty[i], stored[i]);
    }
    emit.emit_ways_out();
    emit.leaving();
    emit.b.seal_all_blocks();
    emit.b.finalize(config);
    Emitted {
        exits: emit.exits,
        pcs: emit.pcs,
    }
}

pub(super) struct Emit<'a> {
    pub(super) b: FunctionBuilder<'a>,
    /// Whether the host multiplies and adds in one rounding.
    pub(super) fused: bool,
    /// The values of the block that is being lowered.
    pub(super) values: Vec<Option<clif::Value>>,
    /// The single-precision numbers that are boxed in some of them.
    pub(super) boxes: FxHashMap<Value, clif::Value>,
    /// The lowest numbers of those vectors of which they are known.
    pub(super) scalars: FxHashMap<Value, clif::Value>,
    /// Where returns lead within the region.
    returns: Returns,
    /// Where region blocks are entered.
    labels: FxHashMap<GuestAddr, clif::Block>,
    pub(super) state: clif::Value,
    pub(super) base: clif::Value,
    x: [Option<Variable>; 32],
    f: [Option<Variable>; 32],
    v: [Option<Variable>; 32],
    /// Which of the vectors are scalars.
    scalar_registers: [Option<Format>; 32],
    /// Which of the floating-point registers hold boxed single-precision numbers.
    single_registers: [bool; 32],
    pub(super) nzcv: Option<FlagsRegister>,
    /// What the flags register is of while the block has not set it, if that is
    /// known, and the values that are these flags.
    flags_of: Option<Kind>,
    pub(super) known: FxHashMap<Value, Known>,
    /// The flags that the block has set last.
    flags_now: Option<clif::Value>,
    /// Registers whose variable may be newer than the state, by
    /// [`dirty_bit`](super::dirty::dirty_bit).
    pub(super) dirty: u128,
    /// `fcsr`, as long as nothing can have raised a flag since it was read.
    pub(super) fcsr_now: Option<clif::Value>,
    /// The instruction has stored: nothing goes back beyond the next one.
    pub(super) stored: bool,
    /// The last checkpoint of the block.
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) ways_out: Vec<WayOut>,
    /// What they have in common.
    pub(super) steady: Steady,
    /// Leaves for the region's first instruction, with the state as it was then.
    pub(super) back_to_entry: clif::Block,
    /// The region's first instruction.
    pub(super) first: GuestAddr,
    /// Results that may be NaN and that nobody has looked at yet; whether one
    /// is shows in each result that is computed of it.
    unseen: Vec<Unseen>,
    /// Base addresses found to be below the limit, in this block, or so far from
    /// one that was.
    checked: FxHashMap<Value, u64>,
    exits: Vec<GuestAddr>,
    pub(super) pcs: Vec<GuestAddr>,
    /// The guest instruction that is being lowered.
    pub(super) pc: GuestAddr,
    /// How often each value of the block is used.
    pub(super) uses: Vec<u32>,
    /// Takes a reason, leaves with it.
    pub(super) leave: clif::Block,
    leave_signature: SigRef,
}

/// A result that may be NaN.
struct Unseen {
    value: Value,
    /// The same, of a type of floating-point numbers.
    lowered: clif::Value,
}

/// How far an address may be from one that was checked.
const FARTHEST: u64 = 1 << 30;

/// Accesses to the guest state.
pub(super) const STATE: MemFlagsData = MemFlagsData::trusted();

impl<'a> Emit<'a> {
    fn new(
        mut b: FunctionBuilder<'a>,
        region: &[Block],
        returns: Returns,
        fused: bool,
    ) -> Emit<'a> {
        let mut signature = Signature::new(CallConv::Tail);
        signature.params.push(AbiParam::new(I64));
        signature.params.push(AbiParam::new(I64));
        let leave_signature = b.import_signature(signature);
        let entry = b.create_block();
        b.switch_to_block(entry);
        let state = b.ins().get_pinned_reg(I64);
        let base = offset::MEMORY_BASE - offset::BIAS;
        let base = b.ins().load(I64, STATE, state, base);
        let labels = region
            .iter()
            .map(|block| (block.start, b.create_block()))
            .collect();
        let back_to_entry = b.create_block();
        b.set_cold_block(back_to_entry);
        let leave = b.create_block();
        b.append_block_param(leave, I64);
        b.set_cold_block(leave);
        Emit {
            b,
            fused,
            values: Vec::new(),
            boxes: FxHashMap::default(),
            scalars: FxHashMap::default(),
            returns,
            labels,
            state,
            base,
            x: [None; 32],
            f: [None; 32],
            v: [None; 32],
            scalar_registers: scalar_registers(region),
            single_registers: single_registers(region),
            nzcv: None,
            flags_of: None,
            known: FxHashMap::default(),
            flags_now: None,
            dirty: 0,
            fcsr_now: None,
            stored: false,
            checkpoint: None,
            ways_out: Vec::new(),
            steady: Steady::default(),
            back_to_entry,
            first: region[0].start,
            unseen: Vec::new(),
            checked: FxHashMap::default(),
            exits: Vec::new(),
            pcs: vec![region[0].start],
            pc: region[0].start,
            uses: Vec::new(),
            leave,
            leave_signature,
        }
    }

    /// Reads every register that the region touches, and looks for an interrupt.
    fn entry(&mut self, region: &[Block]) {
        self.checkpoint = Some(self.not_entered());
        for op in region.iter().flat_map(|block| &block.ops) {
            let (Op::Get(place) | Op::Set(place, _)) = *op else {
                continue;
            };
            let (slot, ty) = match place {
                Place::X(n) => (&mut self.x[usize::from(n)], I64),
                Place::F(n) if self.f[usize::from(n)].is_some() => continue,
                Place::F(n) if self.single_registers[usize::from(n)] => {
                    let value = self.enter_single(home(place));
                    let variable = self.b.declare_var(F32);
                    self.f[usize::from(n)] = Some(variable);
                    self.b.def_var(variable, value);
                    continue;
                }
                Place::F(n) => (&mut self.f[usize::from(n)], F64),
                Place::V(n) if self.v[usize::from(n)].is_some() => continue,
                Place::V(n) if let Some(format) = self.scalar_registers[usize::from(n)] => {
                    let value = self.enter_scalar(format, home(place));
                    let variable = self.b.declare_var(float_type(format).0);
                    self.v[usize::from(n)] = Some(variable);
                    self.b.def_var(variable, value);
                    continue;
                }
                Place::V(n) => (&mut self.v[usize::from(n)], I8X16),
                Place::Nzcv => {
                    if self.nzcv.is_none() {
                        let word = self.load_state(I32, home(place));
                        let word = self.b.ins().uextend(I64, word);
                        let register = FlagsRegister::declare(&mut self.b);
                        self.nzcv = Some(register);
                        self.set_packed_flags(register, word);
                    }
                    continue;
                }
                Place::Fpcr | Place::Fpsr | Place::Tpidr => continue,
            };
            if slot.is_none() {
                let variable = self.b.declare_var(ty);
                *slot = Some(variable);
                let value = self.load_state(ty, home(place));
                self.b.def_var(variable, value);
            }
        }
        self.interruptible(region[0].start);
        self.b.ins().jump(self.labels[&region[0].start], &[]);
    }

    pub(super) fn load_state(&mut self, ty: clif::Type, at: i32) -> clif::Value {
        self.b.ins().load(ty, STATE, self.state, at - offset::BIAS)
    }

    pub(super) fn store_state(&mut self, value: clif::Value, at: i32) {
        self.b
            .ins()
            .store(STATE, value, self.state, at - offset::BIAS);
    }

    pub(super) fn constant(&mut self, n: u64) -> clif::Value {
        self.b.ins().iconst(I64, n as i64)
    }

    /// The value that is being lowered.
    pub(super) fn current(&self) -> Value {
        Value(self.values.len() as u32)
    }

    /// The lowered value of an operand.
    pub(super) fn get(&self, v: Value) -> clif::Value {
        self.values[v.index()].expect("operands have values")
    }

    /// Emits a block that is entered with these registers dirty, and perhaps
    /// after something was stored.
    fn block(&mut self, block: &Block, dirty: u128, stored: bool) {
        self.b.switch_to_block(self.labels[&block.start]);
        self.dirty = dirty;
        self.stored = false;
        self.checkpoint = (!stored).then(|| self.entry_checkpoint());
        self.steady = Steady::new(dirty, set_by(block));
        self.flags_now = None;
        if let (Some(register), Some(kind)) = (self.nzcv, self.flags_of) {
            self.fix_kind(register, kind);
        }
        self.fcsr_now = None;
        self.boxes.clear();
        self.known.clear();
        self.checked.clear();
        self.values.clear();
        self.scalars.clear();
        self.count_uses(block);
        for (i, op) in block.ops.iter().enumerate() {
            if matches!(op, Op::Guest(_)) && self.is_left(&block.ops[i + 1..]) {
                self.op(block, op);
                self.interpret();
                return;
            }
            let value = self.op(block, op);
            self.values.push(value);
        }
        self.see();
        self.end(block);
    }

    /// Whether the instruction with these operations, and those of the next
    /// ones, has any that is left to the interpreter.
    fn is_left(&self, ops: &[Op]) -> bool {
        let mut instruction = ops.iter().take_while(|op| !matches!(op, Op::Guest(_)));
        instruction.any(|op| is_left_to_interpreter(op, self.fused))
    }

    fn count_uses(&mut self, block: &Block) {
        self.uses.clear();
        self.uses.resize(block.ops.len(), 0);
        for op in &block.ops {
            op.operands(|v, _| self.uses[v.index()] += 1);
        }
        block.end.operands(|v| self.uses[v.index()] += 1);
    }

    fn op(&mut self, block: &Block, op: &Op) -> Option<clif::Value> {
        match *op {
            Op::Guest(at) => {
                self.pc = at;
                self.pcs.push(at);
                self.locate(false);
                if std::mem::take(&mut self.stored) {
                    self.checkpoint = None;
                }
                None
            }
            Op::Get(Place::X(n)) => Some(self.b.use_var(self.x[usize::from(n)].expect("declared"))),
            Op::Get(Place::F(n)) => {
                let value = self.b.use_var(self.f[usize::from(n)].expect("declared"));
                Some(if self.single_registers[usize::from(n)] {
                    self.boxed(value)
                } else {
                    value
                })
            }
            Op::Get(Place::V(n)) => {
                let value = self.b.use_var(self.v[usize::from(n)].expect("declared"));
                let is_scalar = !self.b.func.dfg.value_type(value).is_vector();
                Some(if is_scalar {
                    self.in_lowest_float(value)
                } else {
                    value
                })
            }
            Op::Get(Place::Nzcv) => Some(self.current_flags()),
            Op::Get(Place::Tpidr) => Some(self.load_state(I64, offset::TPIDR)),
            Op::Flags(ref flags) => {
                let value = self.flags(flags, &block.ops);
                // Of a comparison that only sets flags which nobody may read,
                // what it raised counts all the same.
                if let Flags::Float(format, _, a, b) = *flags
                    && self.uses[self.values.len()] < 2
                {
                    let unordered = self.unordered(format, a, b);
                    self.keep(unordered);
                }
                Some(value)
            }
            Op::Vector(ref vector) => {
                let value = self.vector(vector, &block.ops)?;
                if matches!(vector, Vector::ToInt(..) | Vector::FromScalar(..)) {
                    let scalar = self.scalars.get(&self.current()).copied();
                    self.keep(scalar.unwrap_or(value));
                }
                Some(value)
            }
            Op::Set(place, v) => {
                self.set(place, v, &block.ops[v.index()]);
                None
            }
            Op::GetFcsr => Some(self.fcsr()),
            Op::SetFcsr(v) => {
                self.set_fcsr(v);
                None
            }
            ref op if is_float(op) => {
                if may_raise(op) {
                    self.fcsr_now = None;
                }
                let value = self.float_op(op);
                // Its flags count even if its value does not, or only on the way
                // out; what may be NaN is looked at in any case.
                let unused = self.uses[self.values.len()] == 0;
                let mut at_end = false;
                block.end.operands(|v| at_end |= v == self.current());
                if unused || raises_unseen(op) && !at_end {
                    self.keep(value);
                }
                Some(value)
            }
            ref op => {
                self.follow(block, op);
                self.int_op(op)
            }
        }
    }

    /// Has a value computed, whose flags count, even if nobody reads it: it is
    /// written where nothing else is soon, or the write would be dropped too.
    fn keep(&mut self, value: clif::Value) {
        let slot = self.values.len() % SPILL_SLOTS;
        self.store_state(value, offset::SPILL + 8 * slot as i32);
    }

    /// An address near one that was checked need not be: the guards of guest
    /// memory are longer than all such steps and offsets together.
    fn follow(&mut self, block: &Block, op: &Op) {
        let Op::Binary(Binary::Add | Binary::Sub, Width::W64, a, b) = *op else {
            return;
        };
        if let (Some(&far), &Op::Const(step)) = (self.checked.get(&a), &block.ops[b.index()]) {
            let far = (step as i64).unsigned_abs().saturating_add(far);
            if far < FARTHEST {
                self.checked.insert(self.current(), far);
            }
        }
    }

    /// Remembers that a result may be NaN, in place of what it was computed of.
    pub(super) fn may_be_nan(&mut self, of: &[Value], lowered: clif::Value) {
        // There is something to go back to, when it is looked at.
        self.way_out();
        let ty = self.b.func.dfg.value_type(lowered);
        let dfg = &self.b.func.dfg;
        self.unseen
            .retain(|one| !of.contains(&one.value) || dfg.value_type(one.lowered) != ty);
        self.unseen.push(Unseen {
            value: self.current(),
            lowered,
        });
    }

    /// Whether there are results that may be NaN and have not been looked at.
    pub(super) fn has_unseen(&self) -> bool {
        !self.unseen.is_empty()
    }

    /// Goes back to the last checkpoint if any result is NaN, two at a time.
    pub(super) fn see(&mut self) {
        if self.unseen.is_empty() {
            return;
        }
        let last = self.checkpoint.as_ref().expect("of before any of them");
        let way_out = last.way_out();
        while let Some(Unseen { lowered, .. }) = self.unseen.pop() {
            let ty = self.b.func.dfg.value_type(lowered);
            let same = |one: &Unseen| self.b.func.dfg.value_type(one.lowered) == ty;
            let other = self.unseen.iter().position(same);
            let other = other.map_or(lowered, |at| self.unseen.swap_remove(at).lowered);
            let nan = self.b.ins().fcmp(FloatCC::Unordered, lowered, other);
            let nan = if ty.is_vector() {
                self.b.ins().vany_true(nan)
            } else {
                nan
            };
            self.leave_if(nan, false, way_out);
        }
    }

    fn set(&mut self, place: Place, v: Value, from: &Op) {
        let value = self.get(v);
        if place == Place::Nzcv {
            self.set_flags_register(self.nzcv.expect("declared"), value, from);
            self.flags_now = Some(value);
        } else {
            let value = match place {
                Place::V(n) => self.as_register(n, v),
                Place::F(n) if self.single_registers[usize::from(n)] => self.unbox(v),
                _ => value,
            };
            self.b.def_var(self.variable(place), value);
        }
        self.replace(place);
    }

    /// A vector as its register has it in this region.
    fn as_register(&mut self, n: u8, v: Value) -> clif::Value {
        match self.scalar_registers[usize::from(n)] {
            Some(format) => self.scalar(format, v),
            None => self.get(v),
        }
    }

    pub(super) fn variable(&self, place: Place) -> Variable {
        let variable = match place {
            Place::X(n) => self.x[usize::from(n)],
            Place::F(n) => self.f[usize::from(n)],
            Place::V(n) => self.v[usize::from(n)],
            Place::Nzcv | Place::Fpcr | Place::Fpsr | Place::Tpidr => None,
        };
        variable.expect("the entry declares every register that is touched")
    }

    /// Writes back what is dirty; the state is exact then, but for condition
    /// flags, which it may have as operands.
    pub(super) fn flush(&mut self) {
        self.see();
        self.store_dirty();
        self.dirty = 0;
    }

    fn store_dirty(&mut self) {
        for (at, value) in self.registers(self.dirty) {
            self.store_state(value, at);
        }
    }

    /// What the flags register holds.
    fn current_flags(&mut self) -> clif::Value {
        let register = self.nzcv.expect("declared");
        match (self.flags_now, self.flags_of) {
            (Some(flags), _) => flags,
            (None, Some(kind)) => {
                let known = self.known_flags(register, kind);
                self.known.insert(self.current(), known);
                self.work_out(known)
            }
            (None, None) => self.packed_flags(register),
        }
    }

    /// Leaves for good, the state exact but for `pc`.
    fn leave(&mut self, pc: GuestAddr, reason: u64) {
        let pc = self.constant(pc.0);
        self.store_state(pc, offset::PC);
        let reason = self.constant(reason);
        self.b.ins().jump(self.leave, &[BlockArg::Value(reason)]);
    }

    /// The block that all of those share.
    fn leaving(&mut self) {
        self.b.switch_to_block(self.leave);
        self.b.set_srcloc(SourceLoc::default());
        let reason = self.b.block_params(self.leave)[0];
        let exits = self.load_state(I64, offset::EXITS);
        let leave = self.b.ins().load(I64, STATE, exits, LEAVE);
        // Which region it was. One that never goes elsewhere has a cell for this.
        if self.exits.is_empty() {
            self.exits.push(self.pc);
        }
        let region = self.cell(0);
        self.b
            .ins()
            .return_call_indirect(self.leave_signature, leave, &[reason, region]);
    }

    /// Lets the interpreter do this instruction.
    fn interpret(&mut self) {
        self.flush();
        self.leave(self.pc, reason::INTERPRET);
    }

    /// Goes back to the last checkpoint if the condition is not 0, or (`unless`)
    /// if it is 0: this instruction will be the interpreter's, as the first tier
    /// finds when it comes to it.
    pub(super) fn interpret_if(&mut self, condition: clif::Value, unless: bool) {
        let way_out = self.way_out();
        self.leave_if(condition, unless, way_out);
    }

    fn leave_if(&mut self, condition: clif::Value, unless: bool, way_out: clif::Block) {
        let go_on = self.b.create_block();
        if unless {
            self.b.ins().brif(condition, go_on, &[], way_out, &[]);
        } else {
            self.b.ins().brif(condition, way_out, &[], go_on, &[]);
        }
        self.b.switch_to_block(go_on);
    }

    /// Leaves for `pc` when an interrupt is pending.
    fn interruptible(&mut self, pc: GuestAddr) {
        // Atomic, so that it is read anew each time, and a barrier: no guest
        // load is moved over it, out of a loop that waits for memory to change.
        let at = self
            .b
            .ins()
            .iadd_imm_s(self.state, i64::from(offset::INTERRUPT - offset::BIAS));
        let flag = self.b.ins().atomic_load(I32, STATE, at);
        let cold = self.leave_by_block(pc, reason::INTERRUPTED);
        let go_on = self.b.create_block();
        self.b.ins().brif(flag, cold, &[], go_on, &[]);
        self.b.switch_to_block(go_on);
    }

    /// The host address of guest memory at `v` + offset. Leaves for the
    /// interpreter when it may be beyond the limit. The offset is not checked:
    /// the guards on both sides are longer than any. Before a store nothing is
    /// left unseen, because a store is not done twice; a load may be. The access
    /// follows, and then [`accessed`](Self::accessed).
    pub(super) fn host_address(&mut self, v: Value, stores: bool) -> clif::Value {
        if stores {
            self.see();
        }
        let address = self.get(v);
        if self.checked.insert(v, 0).is_none() {
            // Not kept in a register, which loops have better uses for.
            let limit = self.load_state(I64, offset::MEMORY_LIMIT);
            let below = self.b.ins().icmp(IntCC::UnsignedLessThan, address, limit);
            self.interpret_if(below, true);
        }
        self.b.ins().iadd(self.base, address)
    }

    /// Leaves for the interpreter when an atomic's address is not a multiple of
    /// `size`.
    pub(super) fn require_aligned(&mut self, v: Value, size: u32) {
        let address = self.get(v);
        let low = self.b.ins().band_imm_s(address, i64::from(size) - 1);
        self.interpret_if(low, false);
    }

    fn end(&mut self, block: &Block) {
        match block.end {
            End::Jump(to) | End::Call { to, .. } | End::Synchronise(to, false) => self.go(to),
            End::Branch {
                cond,
                a,
                b,
                taken,
                next,
            } => {
                let holds = self.compare(cond, Width::W64, a, b);
                let (yes, no) = (self.b.create_block(), self.b.create_block());
                self.b.ins().brif(holds, yes, &[], no, &[]);
                self.go_of_two(taken, yes, no);
                self.go(next);
            }
            End::Indirect(to, hint) => {
                match hint {
                    Hint::Return => {
                        for back in self.returns.get(&block.start).cloned().unwrap_or_default() {
                            self.go_if(to, back);
                        }
                    }
                    Hint::Likely { to: likely, .. } if self.labels.contains_key(&likely) => {
                        self.go_if(to, likely);
                    }
                    _ => {}
                }
                self.indirect(to);
            }
            End::Syscall(at) => self.leave_exactly(at, reason::SYSCALL),
            End::Breakpoint(at) => self.leave_exactly(at, reason::BREAKPOINT),
            End::Illegal(at) => self.leave_exactly(at, reason::ILLEGAL),
            End::Fault(at, _) => self.leave_exactly(at, reason::INTERPRET),
            End::Synchronise(..) => self.leave_exactly(self.pc, reason::INTERPRET),
        }
    }

    /// Goes to `to` from the block `yes`, and is in the block `no` then.
    fn go_of_two(&mut self, to: GuestAddr, yes: clif::Block, no: clif::Block) {
        let dirty = self.dirty;
        self.b.switch_to_block(yes);
        self.go(to);
        self.dirty = dirty;
        self.b.switch_to_block(no);
    }

    /// Goes to a block of this region, if that is the address.
    fn go_if(&mut self, to: Value, block: GuestAddr) {
        let known = self.constant(block.0);
        let address = self.get(to);
        let same = self.b.ins().icmp(IntCC::Equal, address, known);
        let (yes, no) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(same, yes, &[], no, &[]);
        self.go_of_two(block, yes, no);
    }

    fn leave_exactly(&mut self, pc: GuestAddr, reason: u64) {
        self.flush();
        self.leave(pc, reason);
    }

    pub(super) fn compare(&mut self, cond: Cond, width: Width, a: Value, b: Value) -> clif::Value {
        let (a, b) = (self.narrow(width, a), self.narrow(width, b));
        let cond = match cond {
            Cond::Eq => IntCC::Equal,
            Cond::Ne => IntCC::NotEqual,
            Cond::LtS => IntCC::SignedLessThan,
            Cond::GeS => IntCC::SignedGreaterThanOrEqual,
            Cond::LtU => IntCC::UnsignedLessThan,
            Cond::GeU => IntCC::UnsignedGreaterThanOrEqual,
        };
        self.b.ins().icmp(cond, a, b)
    }

    /// The low half of a value, or all of it.
    pub(super) fn narrow(&mut self, width: Width, v: Value) -> clif::Value {
        let v = self.get(v);
        match width {
            Width::W64 => v,
            Width::W32 => self.b.ins().ireduce(I32, v),
        }
    }

    /// Zero-extends a condition or a 32-bit result.
    pub(super) fn widen(&mut self, v: clif::Value) -> clif::Value {
        match self.b.func.dfg.value_type(v) {
            I64 => v,
            ty => {
                debug_assert!(ty == I32 || ty == I8);
                self.b.ins().uextend(I64, v)
            }
        }
    }

    /// Goes to a known address: a block of this region, or an exit.
    fn go(&mut self, to: GuestAddr) {
        if let Some(&label) = self.labels.get(&to) {
            if to <= self.pc {
                self.interruptible(to);
            }
            self.b.ins().jump(label, &[]);
            return;
        }
        self.flush();
        let exit = self.exits.len() as u32;
        self.exits.push(to);
        let cell = self.cell(exit);
        let target = self.b.ins().load(I64, STATE, cell, 0);
        self.resume(cell, target);
    }

    /// The address of an exit's cell.
    fn cell(&mut self, exit: u32) -> clif::Value {
        let name = self
            .b
            .func
            .declare_imported_user_function(UserExternalName::new(0, exit));
        let cell = self.b.create_global_value(GlobalValueData::Symbol {
            name: ExternalName::user(name),
            offset: 0.into(),
            colocated: true,
            tls: false,
        });
        self.b.ins().symbol_value(I64, cell)
    }

    /// Goes on to other translated code.
    fn resume(&mut self, cell: clif::Value, target: clif::Value) {
        let exits = self.load_state(I64, offset::EXITS);
        let resume = self.b.ins().load(I64, STATE, exits, RESUME);
        self.b
            .ins()
            .return_call_indirect(self.leave_signature, resume, &[cell, target]);
    }

    /// Goes to a computed address, through the look-up table.
    fn indirect(&mut self, to: Value) {
        self.flush();
        let to = self.get(to);
        self.store_state(to, offset::PC);
        let table = self.load_state(I64, offset::LOOKUP);
        let index = self.b.ins().ishl_imm_u(to, 2);
        let index = self
            .b
            .ins()
            .band_imm_s(index, (LOOKUP_ENTRIES as i64 - 1) << 3);
        let slot = self.b.ins().iadd(table, index);
        let entry = self.b.ins().load(I64, STATE, slot, 0);
        let pc = self.b.ins().load(I64, STATE, entry, ENTRY_PC);
        let found = self.b.ins().icmp(IntCC::Equal, pc, to);
        let (hit, miss) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(miss);
        self.b.ins().brif(found, hit, &[], miss, &[]);
        self.b.switch_to_block(miss);
        let reason = self.constant(reason::DISPATCH);
        self.b.ins().jump(self.leave, &[BlockArg::Value(reason)]);
        self.b.switch_to_block(hit);
        let code = self.b.ins().load(I64, STATE, entry, ENTRY_CODE);
        let nothing = self.constant(0);
        self.resume(nothing, code);
    }
}

/// Operations that are too rare to be lowered.
pub(super) fn is_left_to_interpreter(op: &Op, fused: bool) -> bool {
    if let Op::Vector(op) = op {
        return !super::vector::is_lowered(op, fused);
    }
    matches!(
        op,
        Op::Counter(_)
            | Op::FloatClass(..)
            | Op::Crc32(..)
            | Op::Get(Place::Fpcr | Place::Fpsr)
            | Op::Set(Place::Fpcr | Place::Fpsr | Place::Tpidr, _)
    )
}
