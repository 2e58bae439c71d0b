//! Says in IR what RISC-V instructions do.
//!
//! Pure: bytes in, a block out. While it goes through a block it remembers
//! which value each register holds, so that a register is read at most once,
//! constants are folded, and a single-precision result used again is not boxed
//! and unboxed. Every write to a register is still an [`Op::Set`], in its place.

mod float;

use super::decode::{Insn, decode, length};
use super::table::Op as Code;
use crate::addr::GuestAddr;
use crate::exit::{Access, Fault, FaultKind};
use crate::ir::{
    AtomicOp, Binary, Block, Cond, Counter, End, FloatCond, FloatOp, Format, Hint, Op, Place,
    Rounding, Sign, Size, Unary, Value, Width,
};

/// No block has more guest instructions than this, so that lifting one takes
/// bounded time and an interrupt is seen soon.
pub const MAX_INSTRUCTIONS: u32 = 96;

/// Lifts the block that begins at `start`, whose code begins with `code`. Ends
/// at a jump, after `limit` instructions, or where `code` ends; when `code` does
/// not hold even one instruction the block ends in the fault of fetching the
/// first byte that is missing (reported as unmapped: who has the memory knows
/// better).
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
        let Some(word) = fetch(&code[done..]) else {
            break if done == 0 {
                missing(start, code.len())
            } else {
                End::Jump(at)
            };
        };
        lifter.ops.push(Op::Guest(at));
        let Some(insn) = decode(word) else {
            lifter.next = at.add(length(word as u16).into());
            break End::Illegal(at);
        };
        lifter.pc = at;
        lifter.next = at.add(insn.length.into());
        lifter.instructions += 1;
        if let Some(end) = lifter.instruction(&insn) {
            break end;
        }
    };
    Block {
        start,
        length: lifter.next.0.wrapping_sub(start.0) as u32,
        instructions: lifter.instructions,
        ops: lifter.ops,
        end,
    }
}

/// The next 2 or 4 bytes, if the instruction that begins with them is whole.
fn fetch(code: &[u8]) -> Option<u32> {
    let low = u16::from_le_bytes(code.get(..2)?.try_into().ok()?);
    if length(low) == 2 {
        return Some(low.into());
    }
    Some(u32::from_le_bytes(code.get(..4)?.try_into().ok()?))
}

fn missing(start: GuestAddr, available: usize) -> End {
    let fault = Fault {
        address: start.add(available as u64),
        access: Access::Execute,
        kind: FaultKind::Unmapped,
    };
    End::Fault(start, fault)
}

struct Lifter {
    ops: Vec<Op>,
    pc: GuestAddr,
    next: GuestAddr,
    instructions: u32,
    x: [Option<Value>; 32],
    f: [Option<Value>; 32],
    /// The single-precision number that a register is known to hold.
    single: [Option<Value>; 32],
}

use Width::{W32, W64};

impl Lifter {
    fn new(start: GuestAddr, ops: Vec<Op>) -> Lifter {
        Lifter {
            ops,
            pc: start,
            next: start,
            instructions: 0,
            x: [None; 32],
            f: [None; 32],
            single: [None; 32],
        }
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

    fn x(&mut self, n: u8) -> Value {
        if let Some(v) = self.x[usize::from(n)] {
            return v;
        }
        let v = self.op(if n == 0 {
            Op::Const(0)
        } else {
            Op::Get(Place::X(n))
        });
        self.x[usize::from(n)] = Some(v);
        v
    }

    fn set_x(&mut self, n: u8, v: Value) {
        if n != 0 {
            self.x[usize::from(n)] = Some(v);
            self.op(Op::Set(Place::X(n), v));
        }
    }

    fn f(&mut self, n: u8) -> Value {
        if let Some(v) = self.f[usize::from(n)] {
            return v;
        }
        let v = self.op(Op::Get(Place::F(n)));
        self.f[usize::from(n)] = Some(v);
        v
    }

    fn float(&mut self, format: Format, n: u8) -> Value {
        if format == Format::Double {
            return self.f(n);
        }
        if let Some(v) = self.single[usize::from(n)] {
            return v;
        }
        let boxed = self.f(n);
        let v = self.op(Op::Unbox(boxed));
        self.single[usize::from(n)] = Some(v);
        v
    }

    fn set_float(&mut self, format: Format, n: u8, v: Value) {
        let index = usize::from(n);
        let raw = match format {
            Format::Double => v,
            Format::Single => self.op(Op::Box(v)),
        };
        self.single[index] = (format == Format::Single).then_some(v);
        self.f[index] = Some(raw);
        self.op(Op::Set(Place::F(n), raw));
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

    fn extend(&mut self, size: Size, signed: bool, a: Value) -> Value {
        match self.known(a) {
            Some(n) => self.constant(crate::interp::extend(size, signed, n)),
            None => self.op(Op::Extend(size, signed, a)),
        }
    }

    /// rd ← rs1 op rs2; of a 32-bit operation the sign-extended result.
    fn register(&mut self, i: &Insn, op: Binary, width: Width) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        self.arithmetic(i.rd, op, width, a, b);
    }

    /// rd ← rs1 op immediate.
    fn immediate(&mut self, i: &Insn, op: Binary, width: Width) {
        let a = self.x(i.rs1);
        let b = self.constant(i.imm as u64);
        self.arithmetic(i.rd, op, width, a, b);
    }

    fn arithmetic(&mut self, rd: u8, op: Binary, width: Width, a: Value, b: Value) {
        let extend_only = op == Binary::Add && width == W32 && self.known(b) == Some(0);
        let mut v = if extend_only {
            a
        } else {
            self.binary(op, width, a, b)
        };
        if width == W32 {
            v = self.extend(Size::B4, true, v);
        }
        self.set_x(rd, v);
    }

    fn compare(&mut self, rd: u8, cond: Cond, a: Value, b: Value) {
        let v = self.op(Op::Compare(cond, W64, a, b));
        self.set_x(rd, v);
    }

    fn unary(&mut self, i: &Insn, op: Unary, width: Width) {
        let a = self.x(i.rs1);
        let v = self.op(Op::Unary(op, width, a));
        self.set_x(i.rd, v);
    }

    fn load(&mut self, i: &Insn, size: Size, signed: bool) {
        let a = self.x(i.rs1);
        let v = self.op(Op::Load(size, signed, a, i.imm as i32));
        self.set_x(i.rd, v);
    }

    fn store(&mut self, i: &Insn, size: Size) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        self.op(Op::Store(size, a, i.imm as i32, b));
    }

    fn atomic(&mut self, i: &Insn, op: AtomicOp, size: Size) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let v = self.op(Op::Atomic(op, size, a, b));
        self.set_x(i.rd, v);
    }

    fn branch(&mut self, i: &Insn, cond: Cond) -> Option<End> {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let taken = self.pc.add(i.imm as u64);
        if i.rs1 == i.rs2 {
            let always = matches!(cond, Cond::Eq | Cond::GeS | Cond::GeU);
            return Some(End::Jump(if always { taken } else { self.next }));
        }
        Some(End::Branch {
            cond,
            a,
            b,
            taken,
            next: self.next,
        })
    }

    fn link(&mut self, rd: u8) {
        if rd != 0 {
            let back = self.constant(self.next.0);
            self.set_x(rd, back);
        }
    }

    fn jump(&mut self, i: &Insn) -> Option<End> {
        let to = self.pc.add(i.imm as u64);
        self.link(i.rd);
        Some(direct(to, i.rd, self.next))
    }

    fn indirect(&mut self, i: &Insn) -> Option<End> {
        let base = self.x(i.rs1);
        let offset = self.constant(i.imm as u64);
        let sum = self.binary(Binary::Add, W64, base, offset);
        if let Some(to) = self.known(sum) {
            self.link(i.rd);
            return Some(direct(GuestAddr(to & !1), i.rd, self.next));
        }
        let mask = self.constant(!1);
        let to = self.binary(Binary::And, W64, sum, mask);
        self.link(i.rd);
        let hint = match (is_link(i.rd), is_link(i.rs1)) {
            (true, _) => Hint::Call(self.next),
            (false, true) => Hint::Return,
            (false, false) => Hint::None,
        };
        Some(End::Indirect(to, hint))
    }

    /// rd ← (rs1 << by, its low 32 bits only when `word`) + rs2
    fn shift_add(&mut self, i: &Insn, by: u64, word: bool) {
        let (mut a, b) = (self.x(i.rs1), self.x(i.rs2));
        if word {
            a = self.extend(Size::B4, false, a);
        }
        let by = self.constant(by);
        let shifted = self.binary(Binary::Shl, W64, a, by);
        self.arithmetic(i.rd, Binary::Add, W64, shifted, b);
    }

    /// rd ← rs1 op not rs2
    fn inverted(&mut self, i: &Insn, op: Binary) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let ones = self.constant(u64::MAX);
        let b = self.binary(Binary::Xor, W64, b, ones);
        self.arithmetic(i.rd, op, W64, a, b);
    }

    fn rotate_left(&mut self, i: &Insn, width: Width) {
        let (a, b) = (self.x(i.rs1), self.x(i.rs2));
        let zero = self.constant(0);
        let b = self.binary(Binary::Sub, W64, zero, b);
        self.arithmetic(i.rd, Binary::RotR, width, a, b);
    }

    /// rd ← rs1 with one bit changed; the bit's number is rs2 or the immediate.
    fn single_bit(&mut self, i: &Insn, op: Binary, immediate: bool) {
        let a = self.x(i.rs1);
        let n = if immediate {
            self.constant(i.imm as u64)
        } else {
            self.x(i.rs2)
        };
        let one = self.constant(1);
        let mut bit = self.binary(Binary::Shl, W64, one, n);
        if op == Binary::And {
            let ones = self.constant(u64::MAX);
            bit = self.binary(Binary::Xor, W64, bit, ones);
        }
        self.arithmetic(i.rd, op, W64, a, bit);
    }

    fn extract_bit(&mut self, i: &Insn, immediate: bool) {
        let a = self.x(i.rs1);
        let n = if immediate {
            self.constant(i.imm as u64)
        } else {
            self.x(i.rs2)
        };
        let shifted = self.binary(Binary::ShrU, W64, a, n);
        let one = self.constant(1);
        self.arithmetic(i.rd, Binary::And, W64, shifted, one);
    }

    fn zero_if(&mut self, i: &Insn, zero_when_zero: bool) {
        let (a, c) = (self.x(i.rs1), self.x(i.rs2));
        let zero = self.constant(0);
        let v = self.op(if zero_when_zero {
            Op::Select(c, a, zero)
        } else {
            Op::Select(c, zero, a)
        });
        self.set_x(i.rd, v);
    }

    /// A CSR instruction; illegal for every register but the floating-point
    /// ones and the counters, and for writes of the latter.
    fn csr(&mut self, i: &Insn) -> Option<End> {
        let immediate = matches!(i.op, Code::Csrrwi | Code::Csrrsi | Code::Csrrci);
        let exchange = matches!(i.op, Code::Csrrw | Code::Csrrwi);
        let writes = exchange || i.rs1 != 0;
        let (low, width) = match i.imm {
            0x001 => (0, 5),
            0x002 => (5, 3),
            0x003 => (0, 8),
            0xc00..=0xc02 if !writes => {
                let counter =
                    [Counter::Cycle, Counter::Time, Counter::Retired][(i.imm & 3) as usize];
                let v = self.op(Op::Counter(counter));
                self.set_x(i.rd, v);
                return None;
            }
            _ => return Some(End::Illegal(self.pc)),
        };
        let mask: u64 = (1 << width) - 1;
        let whole = self.op(Op::GetFcsr);
        let low = self.constant(low);
        let shifted = self.binary(Binary::ShrU, W64, whole, low);
        let mask_value = self.constant(mask);
        let old = self.binary(Binary::And, W64, shifted, mask_value);
        if !writes {
            self.set_x(i.rd, old);
            return None;
        }
        let operand = if immediate {
            self.constant(i.rs1.into())
        } else {
            self.x(i.rs1)
        };
        let new = match i.op {
            Code::Csrrw | Code::Csrrwi => operand,
            Code::Csrrs | Code::Csrrsi => self.binary(Binary::Or, W64, old, operand),
            _ => {
                let ones = self.constant(u64::MAX);
                let keep = self.binary(Binary::Xor, W64, operand, ones);
                self.binary(Binary::And, W64, old, keep)
            }
        };
        let new = self.binary(Binary::And, W64, new, mask_value);
        let new = self.binary(Binary::Shl, W64, new, low);
        let field = self.constant(mask << self.known(low).expect("a constant"));
        let ones = self.constant(u64::MAX);
        let rest = self.binary(Binary::Xor, W64, field, ones);
        let kept = self.binary(Binary::And, W64, whole, rest);
        let all = self.binary(Binary::Or, W64, kept, new);
        self.op(Op::SetFcsr(all));
        self.set_x(i.rd, old);
        Some(End::Synchronise(self.next, false))
    }

    /// Lifts one instruction; gives the end of the block if it is one.
    fn instruction(&mut self, i: &Insn) -> Option<End> {
        use AtomicOp as A;
        use Binary as B;
        match i.op {
            Code::Lui => {
                let v = self.constant(i.imm as u64);
                self.set_x(i.rd, v);
            }
            Code::Auipc => {
                let v = self.constant(self.pc.0.wrapping_add(i.imm as u64));
                self.set_x(i.rd, v);
            }
            Code::Jal => return self.jump(i),
            Code::Jalr => return self.indirect(i),
            Code::Beq => return self.branch(i, Cond::Eq),
            Code::Bne => return self.branch(i, Cond::Ne),
            Code::Blt => return self.branch(i, Cond::LtS),
            Code::Bge => return self.branch(i, Cond::GeS),
            Code::Bltu => return self.branch(i, Cond::LtU),
            Code::Bgeu => return self.branch(i, Cond::GeU),
            Code::Lb => self.load(i, Size::B1, true),
            Code::Lh => self.load(i, Size::B2, true),
            Code::Lw => self.load(i, Size::B4, true),
            Code::Ld => self.load(i, Size::B8, true),
            Code::Lbu => self.load(i, Size::B1, false),
            Code::Lhu => self.load(i, Size::B2, false),
            Code::Lwu => self.load(i, Size::B4, false),
            Code::Sb => self.store(i, Size::B1),
            Code::Sh => self.store(i, Size::B2),
            Code::Sw => self.store(i, Size::B4),
            Code::Sd => self.store(i, Size::B8),
            Code::Addi => self.immediate(i, B::Add, W64),
            Code::Xori => self.immediate(i, B::Xor, W64),
            Code::Ori => self.immediate(i, B::Or, W64),
            Code::Andi => self.immediate(i, B::And, W64),
            Code::Slli => self.immediate(i, B::Shl, W64),
            Code::Srli => self.immediate(i, B::ShrU, W64),
            Code::Srai => self.immediate(i, B::ShrS, W64),
            Code::Addiw => self.immediate(i, B::Add, W32),
            Code::Slliw => self.immediate(i, B::Shl, W32),
            Code::Srliw => self.immediate(i, B::ShrU, W32),
            Code::Sraiw => self.immediate(i, B::ShrS, W32),
            Code::Slti | Code::Sltiu => {
                let a = self.x(i.rs1);
                let b = self.constant(i.imm as u64);
                let cond = if i.op == Code::Slti {
                    Cond::LtS
                } else {
                    Cond::LtU
                };
                self.compare(i.rd, cond, a, b);
            }
            Code::Slt | Code::Sltu => {
                let (a, b) = (self.x(i.rs1), self.x(i.rs2));
                let cond = if i.op == Code::Slt {
                    Cond::LtS
                } else {
                    Cond::LtU
                };
                self.compare(i.rd, cond, a, b);
            }
            Code::Add => self.register(i, B::Add, W64),
            Code::Sub => self.register(i, B::Sub, W64),
            Code::Sll => self.register(i, B::Shl, W64),
            Code::Xor => self.register(i, B::Xor, W64),
            Code::Srl => self.register(i, B::ShrU, W64),
            Code::Sra => self.register(i, B::ShrS, W64),
            Code::Or => self.register(i, B::Or, W64),
            Code::And => self.register(i, B::And, W64),
            Code::Addw => self.register(i, B::Add, W32),
            Code::Subw => self.register(i, B::Sub, W32),
            Code::Sllw => self.register(i, B::Shl, W32),
            Code::Srlw => self.register(i, B::ShrU, W32),
            Code::Sraw => self.register(i, B::ShrS, W32),
            Code::Mul => self.register(i, B::Mul, W64),
            Code::Mulh => self.register(i, B::MulHighS, W64),
            Code::Mulhsu => self.register(i, B::MulHighSU, W64),
            Code::Mulhu => self.register(i, B::MulHighU, W64),
            Code::Div => self.register(i, B::DivS, W64),
            Code::Divu => self.register(i, B::DivU, W64),
            Code::Rem => self.register(i, B::RemS, W64),
            Code::Remu => self.register(i, B::RemU, W64),
            Code::Mulw => self.register(i, B::Mul, W32),
            Code::Divw => self.register(i, B::DivS, W32),
            Code::Divuw => self.register(i, B::DivU, W32),
            Code::Remw => self.register(i, B::RemS, W32),
            Code::Remuw => self.register(i, B::RemU, W32),
            Code::Fence => {
                // Only a store before a load is not ordered by the host already.
                let (pred_writes, succ_reads) = (i.imm & 0x10 != 0, i.imm & 2 != 0);
                if pred_writes && succ_reads {
                    self.op(Op::Fence);
                }
            }
            Code::FenceI => return Some(End::Synchronise(self.next, true)),
            Code::Ecall => return Some(End::Syscall(self.pc)),
            Code::Ebreak => return Some(End::Breakpoint(self.pc)),
            Code::Csrrw
            | Code::Csrrs
            | Code::Csrrc
            | Code::Csrrwi
            | Code::Csrrsi
            | Code::Csrrci => {
                return self.csr(i);
            }
            Code::LrW | Code::LrD => {
                let a = self.x(i.rs1);
                let size = if i.op == Code::LrW {
                    Size::B4
                } else {
                    Size::B8
                };
                let v = self.op(Op::LoadReserved(size, a));
                self.set_x(i.rd, v);
            }
            Code::ScW | Code::ScD => {
                let (a, b) = (self.x(i.rs1), self.x(i.rs2));
                let size = if i.op == Code::ScW {
                    Size::B4
                } else {
                    Size::B8
                };
                let v = self.op(Op::StoreConditional(size, a, b));
                self.set_x(i.rd, v);
            }
            Code::AmoswapW => self.atomic(i, A::Swap, Size::B4),
            Code::AmoaddW => self.atomic(i, A::Add, Size::B4),
            Code::AmoxorW => self.atomic(i, A::Xor, Size::B4),
            Code::AmoandW => self.atomic(i, A::And, Size::B4),
            Code::AmoorW => self.atomic(i, A::Or, Size::B4),
            Code::AmominW => self.atomic(i, A::MinS, Size::B4),
            Code::AmomaxW => self.atomic(i, A::MaxS, Size::B4),
            Code::AmominuW => self.atomic(i, A::MinU, Size::B4),
            Code::AmomaxuW => self.atomic(i, A::MaxU, Size::B4),
            Code::AmoswapD => self.atomic(i, A::Swap, Size::B8),
            Code::AmoaddD => self.atomic(i, A::Add, Size::B8),
            Code::AmoxorD => self.atomic(i, A::Xor, Size::B8),
            Code::AmoandD => self.atomic(i, A::And, Size::B8),
            Code::AmoorD => self.atomic(i, A::Or, Size::B8),
            Code::AmominD => self.atomic(i, A::MinS, Size::B8),
            Code::AmomaxD => self.atomic(i, A::MaxS, Size::B8),
            Code::AmominuD => self.atomic(i, A::MinU, Size::B8),
            Code::AmomaxuD => self.atomic(i, A::MaxU, Size::B8),
            Code::Flw => self.load_float(i, Format::Single),
            Code::Fld => self.load_float(i, Format::Double),
            Code::Fsw => self.store_float(i, Format::Single),
            Code::Fsd => self.store_float(i, Format::Double),
            Code::Fmadd => self.fused(i, false, false),
            Code::Fmsub => self.fused(i, false, true),
            Code::Fnmsub => self.fused(i, true, false),
            Code::Fnmadd => self.fused(i, true, true),
            Code::Fadd => self.float_binary(i, FloatOp::Add),
            Code::Fsub => self.float_binary(i, FloatOp::Sub),
            Code::Fmul => self.float_binary(i, FloatOp::Mul),
            Code::Fdiv => self.float_binary(i, FloatOp::Div),
            Code::Fsqrt => {
                let a = self.float(format(i), i.rs1);
                let v = self.op(Op::FloatSqrt(format(i), rounding(i), a));
                self.set_float(format(i), i.rd, v);
            }
            Code::Fsgnj => self.sign(i, Sign::Copy),
            Code::Fsgnjn => self.sign(i, Sign::CopyNot),
            Code::Fsgnjx => self.sign(i, Sign::Xor),
            Code::Fmin => self.min_max(i, false),
            Code::Fmax => self.min_max(i, true),
            Code::FcvtSD => self.convert(i, Format::Single),
            Code::FcvtDS => self.convert(i, Format::Double),
            Code::Feq => self.float_compare(i, FloatCond::Eq),
            Code::Flt => self.float_compare(i, FloatCond::Lt),
            Code::Fle => self.float_compare(i, FloatCond::Le),
            Code::Fclass => {
                let a = self.float(format(i), i.rs1);
                let v = self.op(Op::FloatClass(format(i), a));
                self.set_x(i.rd, v);
            }
            Code::FcvtW => self.float_to_int(i, W32, true),
            Code::FcvtWu => self.float_to_int(i, W32, false),
            Code::FcvtL => self.float_to_int(i, W64, true),
            Code::FcvtLu => self.float_to_int(i, W64, false),
            Code::FcvtFW => self.int_to_float(i, W32, true),
            Code::FcvtFWu => self.int_to_float(i, W32, false),
            Code::FcvtFL => self.int_to_float(i, W64, true),
            Code::FcvtFLu => self.int_to_float(i, W64, false),
            Code::FmvXF => self.bits_to_x(i),
            Code::FmvFX => self.bits_to_f(i),
            Code::AddUw => self.shift_add(i, 0, true),
            Code::Sh1add => self.shift_add(i, 1, false),
            Code::Sh2add => self.shift_add(i, 2, false),
            Code::Sh3add => self.shift_add(i, 3, false),
            Code::Sh1addUw => self.shift_add(i, 1, true),
            Code::Sh2addUw => self.shift_add(i, 2, true),
            Code::Sh3addUw => self.shift_add(i, 3, true),
            Code::SlliUw => {
                let a = self.x(i.rs1);
                let a = self.extend(Size::B4, false, a);
                let by = self.constant(i.imm as u64);
                self.arithmetic(i.rd, B::Shl, W64, a, by);
            }
            Code::Andn => self.inverted(i, B::And),
            Code::Orn => self.inverted(i, B::Or),
            Code::Xnor => self.inverted(i, B::Xor),
            Code::Clz => self.unary(i, Unary::Clz, W64),
            Code::Ctz => self.unary(i, Unary::Ctz, W64),
            Code::Cpop => self.unary(i, Unary::PopCount, W64),
            Code::Clzw => self.unary(i, Unary::Clz, W32),
            Code::Ctzw => self.unary(i, Unary::Ctz, W32),
            Code::Cpopw => self.unary(i, Unary::PopCount, W32),
            Code::OrcB => self.unary(i, Unary::OrBytes, W64),
            Code::Rev8 => self.unary(i, Unary::ByteSwap, W64),
            Code::SextB | Code::SextH | Code::ZextH => {
                let a = self.x(i.rs1);
                let size = if i.op == Code::SextB {
                    Size::B1
                } else {
                    Size::B2
                };
                let v = self.extend(size, i.op != Code::ZextH, a);
                self.set_x(i.rd, v);
            }
            Code::Max => self.register(i, B::MaxS, W64),
            Code::Maxu => self.register(i, B::MaxU, W64),
            Code::Min => self.register(i, B::MinS, W64),
            Code::Minu => self.register(i, B::MinU, W64),
            Code::Rol => self.rotate_left(i, W64),
            Code::Rolw => self.rotate_left(i, W32),
            Code::Ror => self.register(i, B::RotR, W64),
            Code::Rori => self.immediate(i, B::RotR, W64),
            Code::Rorw => self.register(i, B::RotR, W32),
            Code::Roriw => self.immediate(i, B::RotR, W32),
            Code::Bclr => self.single_bit(i, B::And, false),
            Code::Bclri => self.single_bit(i, B::And, true),
            Code::Binv => self.single_bit(i, B::Xor, false),
            Code::Binvi => self.single_bit(i, B::Xor, true),
            Code::Bset => self.single_bit(i, B::Or, false),
            Code::Bseti => self.single_bit(i, B::Or, true),
            Code::Bext => self.extract_bit(i, false),
            Code::Bexti => self.extract_bit(i, true),
            Code::CzeroEqz => self.zero_if(i, true),
            Code::CzeroNez => self.zero_if(i, false),
        }
        None
    }
}

/// A jump to a known address; a call when it leaves a return address behind.
fn direct(to: GuestAddr, rd: u8, back: GuestAddr) -> End {
    if is_link(rd) {
        End::Call { to, back }
    } else {
        End::Jump(to)
    }
}

/// Whether the manual's calling convention keeps return addresses there.
fn is_link(register: u8) -> bool {
    register == 1 || register == 5
}

fn format(i: &Insn) -> Format {
    if i.fmt == 0 {
        Format::Single
    } else {
        Format::Double
    }
}

fn rounding(i: &Insn) -> Rounding {
    match i.rm {
        0 => Rounding::Nearest,
        1 => Rounding::Zero,
        2 => Rounding::Down,
        3 => Rounding::Up,
        4 => Rounding::NearestAway,
        _ => Rounding::Dynamic,
    }
}
