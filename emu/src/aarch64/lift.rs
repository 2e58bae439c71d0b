//! Says in IR what AArch64 instructions do.
//!
//! Pure: bytes in, a block out. While it goes through a block it remembers which
//! value each register and the flags hold, so that a register is read at most
//! once, constants are folded, and a condition on flags becomes a comparison of
//! what was compared. Every write to a register is still an [`Op::Set`], in its
//! place, but for flags that are overwritten before anything could see them.

mod float;
mod integer;
mod memory;
mod simd;
mod structure;
mod system;

use super::decode::{Insn, decode};
use crate::addr::GuestAddr;
use crate::exit::{Access, Fault, FaultKind};
use crate::ir::{
    Binary, Block, Bytes, Cond, Condition, End, Flags, Op, Place, Size, Value, Vector,
    VectorBinary, VectorUnary, Width,
};

/// Lifts the block that begins at `start`, whose code begins with `code`. Ends
/// at a jump, after `limit` instructions, or where `code` ends; when `code` does
/// not hold even one instruction the block ends in the fault of fetching the
/// first byte that is missing (reported as unmapped: who has the memory knows
/// better). An address that is no multiple of 4 is a misaligned fetch.
pub fn lift_block(start: GuestAddr, code: &[u8], limit: u32) -> Block {
    lift_block_into(Vec::with_capacity(64), start, code, limit)
}

/// As [`lift_block`], with memory for the operations that is used again.
pub fn lift_block_into(mut ops: Vec<Op>, start: GuestAddr, code: &[u8], limit: u32) -> Block {
    ops.clear();
    let mut lifter = Lifter::new(start, ops);
    let end = loop {
        let at = lifter.next;
        let done = at.0.wrapping_sub(start.0) as usize;
        if lifter.instructions == limit {
            break End::Jump(at);
        }
        let Some(word) = code.get(done..done + 4) else {
            break if done == 0 {
                missing(start, code.len())
            } else {
                End::Jump(at)
            };
        };
        if !start.0.is_multiple_of(4) {
            break misaligned(start);
        }
        lifter.ops.push(Op::Guest(at));
        lifter.next = at.add(4);
        let word = u32::from_le_bytes(word.try_into().expect("4 bytes were taken"));
        let Some(insn) = decode(word) else {
            break End::Illegal(at);
        };
        lifter.pc = at;
        lifter.instructions += 1;
        if let Some(end) = lifter.instruction(insn) {
            break end;
        }
    };
    drop_dead_flags(&mut lifter.ops);
    Block {
        start,
        length: lifter.next.0.wrapping_sub(start.0) as u32,
        instructions: lifter.instructions,
        ops: lifter.ops,
        end,
    }
}

fn missing(start: GuestAddr, available: usize) -> End {
    let fault = Fault {
        address: start.add(available as u64),
        access: Access::Execute,
        kind: FaultKind::Unmapped,
    };
    End::Fault(start, fault)
}

fn misaligned(start: GuestAddr) -> End {
    let fault = Fault {
        address: start,
        access: Access::Execute,
        kind: FaultKind::Misaligned,
    };
    End::Fault(start, fault)
}

/// Takes out writes of the flags that are followed by another one before any
/// operation that could leave the block.
fn drop_dead_flags(ops: &mut [Op]) {
    let mut overwritten = false;
    for op in ops.iter_mut().rev() {
        match op {
            Op::Set(Place::Nzcv, _) if overwritten => *op = Op::Const(0),
            Op::Set(Place::Nzcv, _) => overwritten = true,
            Op::Get(Place::Nzcv) => overwritten = false,
            Op::Guest(_)
            | Op::Const(_)
            | Op::Get(_)
            | Op::Set(..)
            | Op::Binary(..)
            | Op::Compare(..)
            | Op::Extend(..)
            | Op::Select(..) => {}
            // The first tier leaves some of the others to the interpreter.
            Op::Flags(Flags::Sub(..) | Flags::Add(..) | Flags::Logic(..)) => {}
            Op::Flags(Flags::Select(..) | Flags::Test(..)) => {}
            _ => overwritten = false,
        }
    }
}

struct Lifter {
    ops: Vec<Op>,
    pc: GuestAddr,
    next: GuestAddr,
    instructions: u32,
    /// What the integer registers hold; 31 is the stack pointer.
    x: [Option<Value>; 32],
    v: [Option<Value>; 32],
    flags: Option<Value>,
    /// The result of the addition or subtraction that set the flags, if it has
    /// been computed.
    result: Option<Value>,
}

use Width::{W32, W64};

/// A comparison that stands for a condition.
type Comparison = (Cond, Width, Value, Value);

impl Lifter {
    fn new(start: GuestAddr, ops: Vec<Op>) -> Lifter {
        Lifter {
            ops,
            pc: start,
            next: start,
            instructions: 0,
            x: [None; 32],
            v: [None; 32],
            flags: None,
            result: None,
        }
    }

    /// Lifts one instruction; gives the end of the block if it is one.
    fn instruction(&mut self, i: Insn) -> Option<End> {
        if let Some(end) = self.system(i) {
            return end;
        }
        let done =
            self.integer(i) || self.memory(i) || self.structure(i) || self.simd(i) || self.float(i);
        assert!(done, "every row of the table is lifted, {:?} too", i.op);
        None
    }

    fn op(&mut self, op: Op) -> Value {
        self.ops.push(op);
        Value(self.ops.len() as u32 - 1)
    }

    fn constant(&mut self, n: u64) -> Value {
        self.op(Op::Const(n))
    }

    fn known(&self, v: Value) -> Option<u64> {
        match self.ops[v.index()] {
            Op::Const(n) => Some(n),
            _ => None,
        }
    }

    /// An integer register; 31 is zero.
    fn x(&mut self, n: u8) -> Value {
        if n == 31 {
            self.constant(0)
        } else {
            self.xsp(n)
        }
    }

    /// An integer register; 31 is the stack pointer.
    fn xsp(&mut self, n: u8) -> Value {
        if let Some(v) = self.x[usize::from(n)] {
            return v;
        }
        let v = self.op(Op::Get(Place::X(n)));
        self.x[usize::from(n)] = Some(v);
        v
    }

    fn set_x(&mut self, n: u8, v: Value) {
        if n != 31 {
            self.set_xsp(n, v);
        }
    }

    fn set_xsp(&mut self, n: u8, v: Value) {
        self.x[usize::from(n)] = Some(v);
        self.op(Op::Set(Place::X(n), v));
    }

    fn v(&mut self, n: u8) -> Value {
        if let Some(v) = self.v[usize::from(n)] {
            return v;
        }
        let v = self.op(Op::Get(Place::V(n)));
        self.v[usize::from(n)] = Some(v);
        v
    }

    fn set_v(&mut self, n: u8, v: Value) {
        self.v[usize::from(n)] = Some(v);
        self.op(Op::Set(Place::V(n), v));
    }

    fn binary(&mut self, op: Binary, width: Width, a: Value, b: Value) -> Value {
        let (left, right) = (self.known(a), self.known(b));
        if let (Some(left), Some(right)) = (left, right) {
            return self.constant(crate::interp::binary(op, width, left, right));
        }
        let neutral = matches!(
            op,
            Binary::Add
                | Binary::Sub
                | Binary::Or
                | Binary::Xor
                | Binary::Shl
                | Binary::ShrU
                | Binary::ShrS
        );
        if width == W64 && neutral && right == Some(0) {
            return a;
        }
        if width == W64 && left == Some(0) && matches!(op, Binary::Add | Binary::Or | Binary::Xor) {
            return b;
        }
        self.op(Op::Binary(op, width, a, b))
    }

    /// a op n.
    fn with(&mut self, op: Binary, width: Width, a: Value, n: u64) -> Value {
        let n = self.constant(n);
        self.binary(op, width, a, n)
    }

    fn not(&mut self, width: Width, a: Value) -> Value {
        self.with(Binary::Xor, width, a, u64::MAX)
    }

    fn extend(&mut self, size: Size, signed: bool, a: Value) -> Value {
        match self.known(a) {
            Some(n) => self.constant(crate::interp::extend(size, signed, n)),
            None => self.op(Op::Extend(size, signed, a)),
        }
    }

    /// a as a result of this width: its upper half zero if it is 32 bits.
    fn fit(&mut self, width: Width, a: Value) -> Value {
        if width == W64 {
            a
        } else {
            self.extend(Size::B4, false, a)
        }
    }

    fn flag_op(&mut self, flags: Flags) -> Value {
        self.op(Op::Flags(flags))
    }

    fn get_flags(&mut self) -> Value {
        match self.flags {
            Some(v) => v,
            None => {
                let v = self.op(Op::Get(Place::Nzcv));
                self.flags = Some(v);
                v
            }
        }
    }

    fn set_flags(&mut self, flags: Flags) {
        let v = self.flag_op(flags);
        self.set_flags_value(v);
    }

    fn set_flags_value(&mut self, v: Value) {
        self.flags = Some(v);
        self.result = None;
        self.op(Op::Set(Place::Nzcv, v));
    }

    /// The condition as a comparison of what set the flags, where there is one.
    fn comparison(&mut self, condition: Condition) -> Option<Comparison> {
        use Condition as C;
        let flags = self.get_flags();
        let Op::Flags(flags) = self.ops[flags.index()] else {
            return None;
        };
        let (width, result) = match (flags, condition) {
            // The operands may be gone from their registers.
            (Flags::Sub(w, ..) | Flags::Add(w, ..), C::Eq | C::Ne | C::Mi | C::Pl)
                if self.result.is_some() =>
            {
                (w, self.result.expect("just looked at"))
            }
            (Flags::Sub(w, a, b), _) if !matches!(condition, C::Mi | C::Pl | C::Vs | C::Vc) => {
                return Some(match condition {
                    C::Eq => (Cond::Eq, w, a, b),
                    C::Ne => (Cond::Ne, w, a, b),
                    C::Cs => (Cond::GeU, w, a, b),
                    C::Cc => (Cond::LtU, w, a, b),
                    C::Hi => (Cond::LtU, w, b, a),
                    C::Ls => (Cond::GeU, w, b, a),
                    C::Ge => (Cond::GeS, w, a, b),
                    C::Lt => (Cond::LtS, w, a, b),
                    C::Gt => (Cond::LtS, w, b, a),
                    _ => (Cond::GeS, w, b, a),
                });
            }
            (Flags::Logic(w, a), _) => (w, a),
            (Flags::Sub(w, a, b), C::Mi | C::Pl) => (w, self.binary(Binary::Sub, w, a, b)),
            (Flags::Add(w, a, b), C::Eq | C::Ne | C::Mi | C::Pl) => {
                (w, self.binary(Binary::Add, w, a, b))
            }
            _ => return None,
        };
        let zero = self.constant(0);
        Some(match condition {
            C::Eq => (Cond::Eq, width, result, zero),
            C::Ne => (Cond::Ne, width, result, zero),
            C::Mi | C::Lt => (Cond::LtS, width, result, zero),
            C::Pl | C::Ge => (Cond::GeS, width, result, zero),
            C::Gt => (Cond::LtS, width, zero, result),
            C::Le => (Cond::GeS, width, zero, result),
            // Without a carry and an overflow, as after `Logic`.
            C::Cc | C::Vc | C::Ls => (Cond::Eq, width, zero, zero),
            C::Cs | C::Vs | C::Hi => (Cond::Ne, width, zero, zero),
        })
    }

    /// 1 when the condition of this number (as in a `cond` field) holds.
    fn holds(&mut self, number: u32) -> Value {
        let Some(condition) = condition(number) else {
            return self.constant(1);
        };
        match self.comparison(condition) {
            Some((cond, width, a, b)) => self.op(Op::Compare(cond, width, a, b)),
            None => {
                let flags = self.get_flags();
                self.flag_op(Flags::Test(condition, flags))
            }
        }
    }

    fn vector(&mut self, op: Vector) -> Value {
        self.op(Op::Vector(op))
    }

    fn unary(&mut self, op: VectorUnary, size: Size, a: Value) -> Value {
        self.vector(Vector::Unary(op, size, a))
    }

    fn pairwise(&mut self, op: VectorBinary, size: Size, a: Value, b: Value) -> Value {
        self.vector(Vector::Binary(op, size, a, b))
    }

    /// A vector of all lanes alike.
    fn splat_constant(&mut self, size: Size, n: u64) -> Value {
        let lane = n & (u64::MAX >> (64 - 8 * size.bytes()));
        let half = (0..8 / size.bytes()).fold(0, |all, i| all | lane << (i * size.bytes() * 8));
        self.vector(Vector::Const(half, half))
    }

    fn zero_vector(&mut self) -> Value {
        self.vector(Vector::Const(0, 0))
    }

    fn low(&mut self, a: Value) -> Value {
        self.unary(VectorUnary::Low, Size::B8, a)
    }

    fn load_vector(&mut self, bytes: Bytes, a: Value, by: i32) -> Value {
        self.vector(Vector::Load(bytes, a, by))
    }
}

/// The condition that a `cond` field names; `None` for always.
fn condition(number: u32) -> Option<Condition> {
    use Condition as C;
    let all = [
        C::Eq,
        C::Ne,
        C::Cs,
        C::Cc,
        C::Mi,
        C::Pl,
        C::Vs,
        C::Vc,
        C::Hi,
        C::Ls,
        C::Ge,
        C::Lt,
        C::Gt,
        C::Le,
    ];
    all.get(number as usize).copied()
}

fn width(i: Insn) -> Width {
    if i.sf() { W64 } else { W32 }
}

/// The size that a field of two bits names.
fn size(field: u32) -> Size {
    [Size::B1, Size::B2, Size::B4, Size::B8][field as usize]
}
