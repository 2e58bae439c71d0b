//! The frame of a region: entry, registers, write-back, checkpoints and exits.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F64, I8, I8X16, I32, I64};
use cranelift_codegen::ir::{
    self as clif, AbiParam, BlockArg, ExternalName, GlobalValueData, InstBuilder, MemFlagsData,
    SigRef, Signature, SourceLoc, UserExternalName,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, Variable};
use rustc_hash::{FxHashMap, FxHashSet};

use super::flags::FlagsRegister;
use crate::addr::GuestAddr;
use crate::blocks::{ENTRY_CODE, ENTRY_PC, LAST_CHECKPOINT, LOOKUP_ENTRIES};
use crate::enter::{CLEAR_FLAGS, FLAGS, LEAVE, RESUME, reason};
use crate::ir::{Block, Cond, End, Flags, Op, Place, Value, Vector, Width};
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
    let mut emit = Emit::new(builder, region, fused);
    let dirty = dirty_at_entry(region, fused);
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
    /// Where region blocks are entered.
    labels: FxHashMap<GuestAddr, clif::Block>,
    state: clif::Value,
    pub(super) base: clif::Value,
    limit: clif::Value,
    x: [Option<Variable>; 32],
    f: [Option<Variable>; 32],
    v: [Option<Variable>; 32],
    nzcv: Option<FlagsRegister>,
    /// The flags that the block has set last.
    flags_now: Option<clif::Value>,
    /// Registers whose variable may be newer than the state, by [`dirty_bit`].
    dirty: u128,
    /// The instruction has stored: what it sets is written back at once, and
    /// the next one is a checkpoint, so that it is not done again.
    stored: bool,
    /// Results that may be NaN and that nobody has looked at yet; whether one
    /// is shows in each result that is computed of it.
    unseen: Vec<Unseen>,
    /// Base addresses found to be below the limit, in this block.
    checked: FxHashSet<Value>,
    exits: Vec<GuestAddr>,
    pcs: Vec<GuestAddr>,
    /// The guest instruction that is being lowered.
    pc: GuestAddr,
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

/// Accesses to the guest state.
pub(super) const STATE: MemFlagsData = MemFlagsData::trusted();

impl<'a> Emit<'a> {
    fn new(mut b: FunctionBuilder<'a>, region: &[Block], fused: bool) -> Emit<'a> {
        let mut signature = Signature::new(CallConv::Tail);
        signature.params.push(AbiParam::new(I64));
        signature.params.push(AbiParam::new(I64));
        let leave_signature = b.import_signature(signature);
        let entry = b.create_block();
        b.switch_to_block(entry);
        let state = b.ins().get_pinned_reg(I64);
        let load =
            |b: &mut FunctionBuilder<'_>, at| b.ins().load(I64, STATE, state, at - offset::BIAS);
        let base = load(&mut b, offset::MEMORY_BASE);
        let limit = load(&mut b, offset::MEMORY_LIMIT);
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
            labels,
            state,
            base,
            limit,
            x: [None; 32],
            f: [None; 32],
            v: [None; 32],
            nzcv: None,
            flags_now: None,
            dirty: 0,
            stored: false,
            unseen: Vec::new(),
            checked: FxHashSet::default(),
            exits: Vec::new(),
            pcs: vec![LAST_CHECKPOINT],
            pc: region[0].start,
            uses: Vec::new(),
            leave,
            replay,
            leave_signature,
        }
    }

    /// Reads every register that the region touches, and looks for an interrupt.
    fn entry(&mut self, region: &[Block]) {
        for op in region.iter().flat_map(|block| &block.ops) {
            let (Op::Get(place) | Op::Set(place, _)) = *op else {
                continue;
            };
            let (slot, ty) = match place {
                Place::X(n) => (&mut self.x[usize::from(n)], I64),
                Place::F(n) => (&mut self.f[usize::from(n)], F64),
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
        self.checkpoint(region[0].start);
        self.b.ins().jump(self.labels[&region[0].start], &[]);
    }

    /// Here the state is exact but for `pc`, which it gets to know.
    fn checkpoint(&mut self, pc: GuestAddr) {
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

    /// The lowered value of an operand.
    pub(super) fn get(&self, v: Value) -> clif::Value {
        self.values[v.index()].expect("operands have values")
    }

    fn block(&mut self, block: &Block, dirty: u128) {
        self.b.switch_to_block(self.labels[&block.start]);
        self.b.set_srcloc(SourceLoc::new(0));
        self.dirty = dirty;
        self.stored = false;
        self.flags_now = None;
        self.checked.clear();
        self.values.clear();
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
        self.end(&block.end);
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
            Op::Get(Place::F(n)) => Some(self.b.use_var(self.f[usize::from(n)].expect("declared"))),
            Op::Get(Place::V(n)) => Some(self.b.use_var(self.v[usize::from(n)].expect("declared"))),
            Op::Get(Place::Nzcv) => Some(self.current_flags()),
            Op::Get(Place::Tpidr) => Some(self.load_state(I64, offset::TPIDR)),
            Op::Flags(ref flags) => {
                let value = self.flags(flags);
                // Of a comparison that only sets flags which nobody may read,
                // what it raised counts all the same.
                if matches!(flags, Flags::Float(..)) && self.uses[self.values.len()] < 2 {
                    self.store_state(value, offset::SINK);
                }
                Some(value)
            }
            Op::Vector(ref vector) => {
                let value = self.vector(vector)?;
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
                let value = self.float_op(op);
                if self.uses[self.values.len()] == 0 {
                    // Its flags count even if its value does not.
                    self.store_state(value, offset::SINK);
                }
                Some(value)
            }
            ref op => self.int_op(op),
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
            value: Value(self.values.len() as u32),
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

    /// Calls a function of the table of exits; `result` says whether it gives one.
    fn call(&mut self, at: i32, result: bool) -> Option<clif::Value> {
        let mut signature = Signature::new(CallConv::SystemV);
        if result {
            signature.returns.push(AbiParam::new(I64));
        }
        let signature = self.b.import_signature(signature);
        let exits = self.load_state(I64, offset::EXITS);
        let function = self.b.ins().load(I64, STATE, exits, at);
        let call = self.b.ins().call_indirect(signature, function, &[]);
        self.b.inst_results(call).first().copied()
    }

    /// `fcsr`, flags still in the host's control word included.
    fn fcsr(&mut self) -> clif::Value {
        let raised = self.call(FLAGS, true).expect("it gives the flags");
        let kept = self.load_state(I32, offset::FCSR);
        let kept = self.b.ins().uextend(I64, kept);
        self.b.ins().bor(kept, raised)
    }

    /// Writes `fcsr`. Nothing needs doing when it is what it was, as after a
    /// comparison between a read and a write of the flags. A new rounding mode
    /// is for the interpreter, which does the whole instruction.
    fn set_fcsr(&mut self, v: Value) {
        self.flush();
        self.checkpoint(self.pc);
        self.stored = true;
        let new = self.get(v);
        let new = self.b.ins().band_imm_s(new, 0xff);
        let now = self.fcsr();
        let same = self.b.ins().icmp(IntCC::Equal, new, now);
        let (change, done) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(same, done, &[], change, &[]);
        self.b.switch_to_block(change);
        let differs = self.b.ins().bxor(new, now);
        let mode = self.b.ins().band_imm_s(differs, 0xe0);
        self.interpret_if(mode, false);
        let new = self.b.ins().ireduce(I32, new);
        self.store_state(new, offset::FCSR);
        self.call(CLEAR_FLAGS, false);
        self.b.ins().jump(done, &[]);
        self.b.switch_to_block(done);
    }

    fn set(&mut self, place: Place, v: Value, from: &Op) {
        let value = self.get(v);
        if place == Place::Nzcv {
            self.set_flags_register(self.nzcv.expect("declared"), value, from);
            self.flags_now = Some(value);
        } else {
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
        let value = if place == Place::Nzcv {
            let flags = self.current_flags();
            self.flags_word(flags)
        } else {
            self.b.use_var(self.variable(place))
        };
        self.store_state(value, home(place));
    }

    /// Writes back what is dirty; the state is exact then.
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
        if self.checked.insert(v) {
            if self.stored {
                // A second address, of which the first has been written to.
                self.checkpoint(self.pc);
            }
            let below = self
                .b
                .ins()
                .icmp(IntCC::UnsignedLessThan, address, self.limit);
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

    fn end(&mut self, end: &End) {
        match *end {
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
                let (dirty, stored) = (self.dirty, self.stored);
                self.b.ins().brif(holds, yes, &[], no, &[]);
                self.b.switch_to_block(yes);
                self.go(taken);
                (self.dirty, self.stored) = (dirty, stored);
                self.b.switch_to_block(no);
                self.go(next);
            }
            End::Indirect(to, _) => self.indirect(to),
            End::Syscall(at) => self.leave_exactly(at, reason::SYSCALL),
            End::Breakpoint(at) => self.leave_exactly(at, reason::BREAKPOINT),
            End::Illegal(at) => self.leave_exactly(at, reason::ILLEGAL),
            End::Fault(at, _) => self.leave_exactly(at, reason::INTERPRET),
            End::Synchronise(..) => self.leave_exactly(self.pc, reason::INTERPRET),
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

/// For each block of a region, the registers that may be dirty when it is
/// entered from another one: what was set since the last store on any way there.
fn dirty_at_entry(region: &[Block], fused: bool) -> Vec<u128> {
    let index: FxHashMap<GuestAddr, usize> = region
        .iter()
        .enumerate()
        .map(|(i, block)| (block.start, i))
        .collect();
    let effects: Vec<(bool, u128)> = region.iter().map(|block| sets(block, fused)).collect();
    let mut dirty = vec![0u128; region.len()];
    let mut grew = true;
    while std::mem::take(&mut grew) {
        for (i, block) in region.iter().enumerate() {
            let (stores, set) = effects[i];
            let after = if stores { set } else { dirty[i] | set };
            let (to, other) = match block.end {
                End::Jump(to) | End::Call { to, .. } | End::Synchronise(to, false) => (to, to),
                End::Branch { taken, next, .. } => (taken, next),
                _ => continue,
            };
            for next in [to, other].into_iter().filter_map(|to| index.get(&to)) {
                grew |= after & !dirty[*next] != 0;
                dirty[*next] |= after;
            }
        }
    }
    dirty
}

/// Whether a block writes everything back somewhere, and what it sets after the
/// last place where it does.
fn sets(block: &Block, fused: bool) -> (bool, u128) {
    let (mut stores, mut set) = (false, 0);
    for op in &block.ops {
        match *op {
            Op::Set(place, _) => set |= dirty_bit(place),
            Op::Store(..)
            | Op::StoreFloat(..)
            | Op::Atomic(..)
            | Op::StoreConditional(..)
            | Op::CompareExchange(..)
            | Op::SetFcsr(_)
            | Op::Vector(Vector::Store(..)) => (stores, set) = (true, 0),
            ref op if is_left_to_interpreter(op, fused) => (stores, set) = (true, 0),
            _ => {}
        }
    }
    (stores, set)
}

/// Integer registers, floating-point ones, vectors, flags.
fn dirty_bit(place: Place) -> u128 {
    match place {
        Place::X(n) => 1 << n,
        Place::F(n) => 1 << (32 + n),
        Place::V(n) => 1 << (64 + n),
        Place::Nzcv => 1 << 96,
        // Written by the interpreter alone.
        Place::Fpcr | Place::Fpsr | Place::Tpidr => 0,
    }
}

/// Where a register lives in the state.
fn home(place: Place) -> i32 {
    match place {
        Place::X(n) => offset::X + 8 * i32::from(n),
        Place::F(n) => offset::F + 8 * i32::from(n),
        Place::V(n) => offset::V + 16 * i32::from(n),
        Place::Nzcv => offset::NZCV,
        Place::Fpcr => offset::FPCR,
        Place::Fpsr => offset::FPSR,
        Place::Tpidr => offset::TPIDR,
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

fn is_float(op: &Op) -> bool {
    matches!(
        op,
        Op::Float(..)
            | Op::FloatMinMax(..)
            | Op::FloatSqrt(..)
            | Op::FloatFused(..)
            | Op::FloatCompare(..)
            | Op::FloatToInt(..)
            | Op::IntToFloat(..)
            | Op::FloatConvert(..)
            | Op::FloatSign(..)
            | Op::Bits(..)
            | Op::FromBits(..)
            | Op::Box(_)
            | Op::Unbox(_)
    )
}
