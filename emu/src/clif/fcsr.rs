//! RISC-V's floating-point control and status register, part of which is in the
//! host's control word while translated code runs.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{self as clif, InstBuilder, Signature};
use cranelift_codegen::isa::CallConv;

use super::emit::{Emit, STATE};
use crate::enter::{CLEAR_FLAGS, FLAGS};
use crate::ir::Value;
use crate::state::offset;

impl Emit<'_> {
    /// Calls a function of the table of exits, which leaves all registers alone.
    fn call(&mut self, at: i32) {
        let signature = Signature::new(CallConv::PreserveAll);
        let signature = self.b.import_signature(signature);
        let exits = self.load_state(I64, offset::EXITS);
        let function = self.b.ins().load(I64, STATE, exits, at);
        self.b.ins().call_indirect(signature, function, &[]);
    }

    /// `fcsr`, flags still in the host's control word included.
    pub(super) fn fcsr(&mut self) -> clif::Value {
        if let Some(fcsr) = self.fcsr_now {
            return fcsr;
        }
        // What raises flags must have been computed: that looking sees to.
        self.see();
        self.call(FLAGS);
        let word = self.load_state(I32, offset::MXCSR);
        let word = self.b.ins().uextend(I64, word);
        let raised = self.b.ins().band_imm_u(word, 0x3f);
        let at = self.b.ins().iadd(self.state, raised);
        let table = offset::FLAG_TABLE - offset::BIAS;
        let raised = self.b.ins().uload8(I64, STATE, at, table);
        let kept = self.load_state(I32, offset::FCSR);
        let kept = self.b.ins().uextend(I64, kept);
        let fcsr = self.b.ins().bor(kept, raised);
        self.fcsr_now = Some(fcsr);
        fcsr
    }

    /// Writes `fcsr`. Nothing needs doing when it is what it was, as after a
    /// comparison between a read and a write of the flags. A new rounding mode
    /// is for the interpreter, which does the whole instruction.
    pub(super) fn set_fcsr(&mut self, v: Value) {
        self.see();
        self.begin_checkpoint();
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
        self.call(CLEAR_FLAGS);
        self.b.ins().jump(done, &[]);
        self.b.switch_to_block(done);
        self.fcsr_now = None;
    }
}
