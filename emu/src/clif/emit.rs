//! The frame of a region: entry, registers, write-back, checkpoints and exits.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I8, I8X16, I32, I64};
use cranelift_codegen::ir::{
    self as clif, AbiParam, BlockArg, ExternalName, GlobalValueData, InstBuilder, MemFlagsData,
    SigRef, Signature, SourceLoc, UserExternalName,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, Variable};
use rustc_hash::FxHashMap;

use super::dirty::{Ways, dirty_at_entry, dirty_bit, home, into_loops};
use super::flags::FlagsRegister;
use super::float::{is_float, may_raise, single_registers};
use super::numbers::{float_type, scalar_registers};
use crate::addr::GuestAddr;
use crate::blocks::{ENTRY_CODE, ENTRY_PC, LAST_CHECKPOINT, LOOKUP_ENTRIES};
use crate::enter::{LEAVE, RESUME, reason};
use crate::ir::{Binary, Block, Cond, End, Flags, Format, Hint, Op, Place, Value, Vector, Width};
use crate::regions::{self, Returns};
use crate::state::offset;

/// What a region needs besides its code.
pub(super) struct Emitted {
    pub exits: Vec<GuestAddr>,
    /// Guest instructions, by the number that the source locations have.
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
    let into_loops = into_loops(region, &returns);
    let dirty = dirty_at_entry(region, &returns, &into_loops, fused);
    let mut emit = Emit::new(builder, region, returns, fused);
    emit.into_loops = into_loops;
    emit.entry(region);
    for (block, dirty) in region.iter().zip(dirty) {
        emit.block(block, dirty);
    }
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
    /// The ways into loops that store: what is dirty there is written back before.
    into_loops: Ways,
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
    nzcv: Option<FlagsRegister>,
    /// The flags that the block has set last.
    flags_now: Option<clif::Value>,
    /// Registers whose variable may be newer than the state, by [`dirty_bit`].
    dirty: u128,
    /// `fcsr`, as long as nothing can have raised a flag since it was read.
    pub(super) fcsr_now: Option<clif::Value>,
    /// The instruction has stored: what it sets is written back at once, and
    /// the next one is a checkpoint, so that it is not done again.
    pub(super) stored: bool,
    /// Results that may be NaN and that nobody has looked at yet; whether one
    /// is shows in each result that is computed of it.
    unseen: Vec<Unseen>,
    /// Base addresses found to be below the limit, in this block, or so far from
    /// one that was.
    checked: FxHashMap<Value, u64>,
    exits: Vec<GuestAddr>,
    pcs: Vec<GuestAddr>,
    /// The block and the guest instruction that are being lowered.
    start: GuestAddr,
    pub(super) pc: GuestAddr,
    /// How often each value of the block is used.
    uses: Vec<u32>,
    /// Takes a reason, leaves with it.
    leave: clif::Block,
    /// Leaves for the last checkpoint.
    replay: clif::Block,
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
        let leave = b.create_block();
        b.append_block_param(leave, I64);
        b.set_cold_block(leave);
        let replay = b.create_block();
        b.set_cold_block(replay);
        Emit {
            b,
            fused,
            values: Vec::new(),
            boxes: FxHashMap::default(),
            scalars: FxHashMap::default(),
            returns,
            into_loops: Ways::default(),
            labels,
            state,
            base,
            x: [None; 32],
            f: [None; 32],
            v: [None; 32],
            scalar_registers: scalar_registers(region),
            single_registers: single_registers(region),
            nzcv: None,
            flags_now: None,
            dirty: 0,
            fcsr_now: None,
            stored: false,
            unseen: Vec::new(),
            checked: FxHashMap::default(),
            exits: Vec::new(),
            pcs: vec![LAST_CHECKPOINT],
            start: region[0].start,
            pc: region[0].start,
            uses: Vec::new(),
            leave,
            replay,
            leave_signature,
        }
    }

    /// Reads every register that the region touches, and looks for an interrupt.
    fn entry(&mut self, region: &[Block]) {
        self.checkpoint(region[0].start);
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

    /// Here the state is exact but for `pc`, which it gets to know.
    pub(super) fn checkpoint(&mut self, pc: GuestAddr) {
        let pc = self.constant(pc.0);
        self.store_state(pc, offset::CHECKPOINT);
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

    fn block(&mut self, block: &Block, dirty: u128) {
        self.b.switch_to_block(self.labels[&block.start]);
        self.b.set_srcloc(SourceLoc::new(0));
        self.start = block.start;
        self.dirty = dirty;
        self.stored = false;
        self.flags_now = None;
        self.fcsr_now = None;
        self.boxes.clear();
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
                self.after_store(at);
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
                    self.store_state(unordered, offset::SINK);
                }
                Some(value)
            }
            Op::Vector(ref vector) => {
                let value = self.vector(vector, &block.ops)?;
                if matches!(vector, Vector::ToInt(..)) && self.uses[self.values.len()] == 0 {
                    self.store_state(value, offset::SINK);
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
                if self.uses[self.values.len()] == 0 {
                    // Its flags count even if its value does not.
                    self.store_state(value, offset::SINK);
                }
                Some(value)
            }
            ref op => {
                self.follow(block, op);
                self.int_op(op)
            }
        }
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

    /// The instruction before has stored: the one at `next` is not done twice.
    fn after_store(&mut self, next: GuestAddr) {
        if std::mem::take(&mut self.stored) {
            self.checkpoint(next);
            self.b.set_srcloc(SourceLoc::new(0));
        }
    }

    /// Remembers that a result may be NaN, in place of what it was computed of.
    pub(super) fn may_be_nan(&mut self, of: &[Value], lowered: clif::Value) {
        let ty = self.b.func.dfg.value_type(lowered);
        let dfg = &self.b.func.dfg;
        self.unseen
            .retain(|one| !of.contains(&one.value) || dfg.value_type(one.lowered) != ty);
        self.unseen.push(Unseen {
            value: self.current(),
            lowered,
        });
    }

    /// Goes back to the last checkpoint if any result is NaN, two at a time.
    fn see(&mut self) {
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
            self.interpret_if(nan, false);
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
        // What an atomic did must not be done again after a fault.
        let at_once = self.stored || matches!(from, Op::Atomic(..) | Op::StoreConditional(..));
        if at_once {
            self.write_back(place);
            self.dirty &= !dirty_bit(place);
        } else {
            self.dirty |= dirty_bit(place);
        }
    }

    /// A vector as its register has it in this region.
    fn as_register(&mut self, n: u8, v: Value) -> clif::Value {
        match self.scalar_registers[usize::from(n)] {
            Some(format) => self.scalar(format, v),
            None => self.get(v),
        }
    }

    fn variable(&self, place: Place) -> Variable {
        let variable = match place {
            Place::X(n) => self.x[usize::from(n)],
            Place::F(n) => self.f[usize::from(n)],
            Place::V(n) => self.v[usize::from(n)],
            Place::Nzcv | Place::Fpcr | Place::Fpsr | Place::Tpidr => None,
        };
        variable.expect("the entry declares every register that is touched")
    }

    fn write_back(&mut self, place: Place) {
        if place == Place::Nzcv {
            self.store_deferred(self.nzcv.expect("declared"));
            return;
        }
        let value = self.b.use_var(self.variable(place));
        self.store_state(value, home(place));
    }

    /// Writes back what is dirty; the state is exact then, but for condition
    /// flags, which it may have as operands.
    pub(super) fn flush(&mut self) {
        self.see();
        self.store_dirty();
        self.dirty = 0;
    }

    fn store_dirty(&mut self) {
        self.write_back_all(self.dirty);
    }

    /// What the flags register holds.
    fn current_flags(&mut self) -> clif::Value {
        match self.flags_now {
            Some(flags) => flags,
            None => self.packed_flags(self.nzcv.expect("declared")),
        }
    }

    fn write_back_all(&mut self, places: u128) {
        for n in 0..32 {
            for place in [Place::X(n), Place::F(n), Place::V(n)] {
                if places & dirty_bit(place) != 0 {
                    self.write_back(place);
                }
            }
        }
        if places & dirty_bit(Place::Nzcv) != 0 {
            self.write_back(Place::Nzcv);
        }
    }

    /// Leaves for good, the state exact but for `pc`.
    fn leave(&mut self, pc: GuestAddr, reason: u64) {
        let pc = self.constant(pc.0);
        self.store_state(pc, offset::PC);
        let reason = self.constant(reason);
        self.b.ins().jump(self.leave, &[BlockArg::Value(reason)]);
    }

    /// The blocks that all of those share.
    fn leaving(&mut self) {
        self.b.switch_to_block(self.replay);
        self.b.set_srcloc(SourceLoc::default());
        let reason = self.constant(reason::REPLAY);
        self.b.ins().jump(self.leave, &[BlockArg::Value(reason)]);
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
        let go_on = self.b.create_block();
        if unless {
            self.b.ins().brif(condition, go_on, &[], self.replay, &[]);
        } else {
            self.b.ins().brif(condition, self.replay, &[], go_on, &[]);
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
        let cold = self.b.create_block();
        let go_on = self.b.create_block();
        self.b.set_cold_block(cold);
        self.b.ins().brif(flag, cold, &[], go_on, &[]);
        self.b.switch_to_block(cold);
        self.store_dirty();
        self.leave(pc, reason::INTERRUPTED);
        self.b.switch_to_block(go_on);
    }

    /// The host address of guest memory at `v` + offset. Leaves for the
    /// interpreter when it may be beyond the limit. The offset is not checked:
    /// the guards on both sides are longer than any. Before a store the state
    /// is made exact, because a store is not done twice; a load may be.
    pub(super) fn host_address(&mut self, v: Value, stores: bool) -> clif::Value {
        let address = self.get(v);
        if self.checked.insert(v, 0).is_none() {
            if self.stored {
                // A second address, of which the first has been written to.
                self.checkpoint(self.pc);
            }
            // Not kept in a register, which loops have better uses for.
            let limit = self.load_state(I64, offset::MEMORY_LIMIT);
            let below = self.b.ins().icmp(IntCC::UnsignedLessThan, address, limit);
            self.interpret_if(below, true);
        }
        if stores && !self.stored {
            self.flush();
            self.stored = true;
            // The state is this instruction's now: so is the row.
            self.b.set_srcloc(SourceLoc::new(self.pcs.len() as u32));
            self.pcs.push(self.pc);
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
                if hint == Hint::Return {
                    self.return_within(block.start, to);
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
        let (dirty, stored) = (self.dirty, self.stored);
        self.b.switch_to_block(yes);
        self.go(to);
        (self.dirty, self.stored) = (dirty, stored);
        self.b.switch_to_block(no);
    }

    /// Goes to where a call of this region goes on, if that is the address.
    fn return_within(&mut self, start: GuestAddr, to: Value) {
        for back in self.returns.get(&start).cloned().unwrap_or_default() {
            let known = self.constant(back.0);
            let address = self.get(to);
            let same = self.b.ins().icmp(IntCC::Equal, address, known);
            let (yes, no) = (self.b.create_block(), self.b.create_block());
            self.b.ins().brif(same, yes, &[], no, &[]);
            self.go_of_two(back, yes, no);
        }
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
            self.after_store(to);
            if self.into_loops.contains(&(self.start, to)) {
                self.flush();
                self.checkpoint(to);
            }
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
