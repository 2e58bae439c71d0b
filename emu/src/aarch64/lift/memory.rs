//! Loads and stores of integer and single vector registers, exclusives, atomics.

use super::{Insn, Lifter, W64, size};
use crate::aarch64::table::Op as Code;
use crate::ir::{AtomicOp, Binary, Bytes, Op, Size, Value, Vector};

/// How a load or store finds its address and what it does to the base.
enum Mode {
    Offset,
    Post,
    Pre,
}

/// An access of an integer register (by its `size` and `opc`) or of a vector register.
#[derive(Clone, Copy)]
enum Kind {
    Integer(u32, u32),
    Vector(Bytes, bool),
}

/// The size that a scale of 0 to 4 names.
fn bytes(scale: u32) -> Bytes {
    [Bytes::B1, Bytes::B2, Bytes::B4, Bytes::B8, Bytes::B16][scale as usize]
}

impl Kind {
    fn integer(i: Insn) -> Kind {
        Kind::Integer(i.bits(30, 2), i.bits(22, 2))
    }

    fn vector(i: Insn) -> Kind {
        Kind::Vector(bytes(i.bits(23, 1) << 2 | i.bits(30, 2)), i.bit(22))
    }

    fn scale(self) -> u32 {
        match self {
            Kind::Integer(size, _) => size,
            Kind::Vector(bytes, _) => bytes as u32,
        }
    }
}

impl Lifter {
    /// Lifts one of these instructions; false if it is none.
    pub(super) fn memory(&mut self, i: Insn) -> bool {
        match i.op {
            Code::LoadLiteral => self.load_literal(i),
            Code::LoadLiteralVector => {
                let at = self.constant(self.pc.0.wrapping_add((i.signed(5, 19) * 4) as u64));
                let v = self.load_vector(bytes(i.bits(30, 2) + 2), at, 0);
                self.set_v(i.rd(), v);
            }
            Code::Pair => self.pair(i),
            Code::PairVector => self.pair_vector(i),
            Code::LoadStore9 => self.indexed(i, Kind::integer(i)),
            Code::LoadStore9Vector => self.indexed(i, Kind::vector(i)),
            Code::LoadStore12 => self.scaled(i, Kind::integer(i)),
            Code::LoadStore12Vector => self.scaled(i, Kind::vector(i)),
            Code::LoadStoreRegister => self.register_offset(i, Kind::integer(i)),
            Code::LoadStoreRegisterVector => self.register_offset(i, Kind::vector(i)),
            Code::Ldar | Code::Ldapr => {
                let base = self.xsp(i.rn());
                self.access(i.rd(), Kind::Integer(i.bits(30, 2), 1), base, 0);
            }
            Code::Stlr => {
                let base = self.xsp(i.rn());
                self.access(i.rd(), Kind::Integer(i.bits(30, 2), 0), base, 0);
                // A later load-acquire must not be seen before this store.
                self.op(Op::Fence);
            }
            Code::Ldxr => {
                let (base, size) = (self.xsp(i.rn()), size(i.bits(30, 2)));
                let v = self.op(Op::LoadReserved(size, base));
                let v = self.extend(size, false, v);
                self.set_x(i.rd(), v);
            }
            Code::Stxr => {
                let (base, v) = (self.xsp(i.rn()), self.x(i.rd()));
                let status = self.op(Op::StoreConditional(size(i.bits(30, 2)), base, v));
                self.set_x(i.rm(), status);
            }
            Code::Ldxp => self.load_pair_exclusive(i),
            Code::Stxp => {
                let base = self.xsp(i.rn());
                let (low, high) = (self.x(i.rd()), self.x(i.ra()));
                let status = if i.bit(30) {
                    let pair = self.join(low, high);
                    self.vector(Vector::StoreConditional(base, pair))
                } else {
                    let pair = self.join_words(low, high);
                    self.op(Op::StoreConditional(Size::B8, base, pair))
                };
                self.set_x(i.rm(), status);
            }
            Code::Cas => {
                let (base, expected, new) = (self.xsp(i.rn()), self.x(i.rm()), self.x(i.rd()));
                let size = size(i.bits(30, 2));
                let old = self.op(Op::CompareExchange(size, base, expected, new));
                let old = self.extend(size, false, old);
                self.set_x(i.rm(), old);
            }
            Code::Casp => self.compare_swap_pair(i),
            Code::Swp | Code::Atomic => self.atomic(i),
            _ => return false,
        }
        true
    }

    /// Does one load or store at base + offset.
    fn access(&mut self, register: u8, kind: Kind, base: Value, offset: i32) {
        match kind {
            Kind::Integer(field, 0) => {
                let v = self.x(register);
                self.op(Op::Store(size(field), base, offset, v));
            }
            Kind::Integer(field, opc) => {
                let v = self.op(Op::Load(size(field), opc & 2 != 0, base, offset));
                let v = if opc == 3 {
                    self.extend(Size::B4, false, v)
                } else {
                    v
                };
                self.set_x(register, v);
            }
            Kind::Vector(bytes, true) => {
                let v = self.load_vector(bytes, base, offset);
                self.set_v(register, v);
            }
            Kind::Vector(bytes, false) => {
                let v = self.v(register);
                self.vector(Vector::Store(bytes, base, offset, v));
            }
        }
    }

    /// The base goes forward.
    pub(super) fn advance(&mut self, rn: u8, base: Value, by: i64) {
        let next = self.with(Binary::Add, W64, base, by as u64);
        self.set_xsp(rn, next);
    }

    fn indexed(&mut self, i: Insn, kind: Kind) {
        let (base, offset) = (self.xsp(i.rn()), i.signed(12, 9));
        let mode = match i.bits(10, 2) {
            1 => Mode::Post,
            3 => Mode::Pre,
            _ => Mode::Offset,
        };
        match mode {
            Mode::Post => self.access(i.rd(), kind, base, 0),
            _ => self.access(i.rd(), kind, base, offset as i32),
        }
        if !matches!(mode, Mode::Offset) {
            self.advance(i.rn(), base, offset);
        }
    }

    fn scaled(&mut self, i: Insn, kind: Kind) {
        let base = self.xsp(i.rn());
        self.access(i.rd(), kind, base, (i.bits(10, 12) << kind.scale()) as i32);
    }

    fn register_offset(&mut self, i: Insn, kind: Kind) {
        let base = self.xsp(i.rn());
        let offset = self.extended(i, if i.bit(12) { kind.scale() } else { 0 });
        let address = self.binary(Binary::Add, W64, base, offset);
        self.access(i.rd(), kind, address, 0);
    }

    fn load_literal(&mut self, i: Insn) {
        let (field, opc) = match i.bits(30, 2) {
            0 => (2, 1),
            1 => (3, 1),
            2 => (2, 2),
            _ => return,
        };
        let at = self.constant(self.pc.0.wrapping_add((i.signed(5, 19) * 4) as u64));
        self.access(i.rd(), Kind::Integer(field, opc), at, 0);
    }

    /// The address of a pair: where the access is, relative to the base, and
    /// where the base goes, if it moves.
    fn pair_offsets(i: Insn, scale: u32) -> (i32, Option<i64>) {
        let offset = i.signed(15, 7) << scale;
        match i.bits(23, 2) {
            1 => (0, Some(offset)),
            3 => (offset as i32, Some(offset)),
            _ => (offset as i32, None),
        }
    }

    fn pair(&mut self, i: Insn) {
        let (size, scale) = if i.bit(31) {
            (Size::B8, 3)
        } else {
            (Size::B4, 2)
        };
        let signed = i.bit(30);
        let (offset, advance) = Self::pair_offsets(i, scale);
        let base = self.xsp(i.rn());
        let second = offset + (1 << scale);
        if i.bit(22) {
            let a = self.op(Op::Load(size, signed, base, offset));
            let b = self.op(Op::Load(size, signed, base, second));
            self.set_x(i.rd(), a);
            self.set_x(i.ra(), b);
        } else {
            let (a, b) = (self.x(i.rd()), self.x(i.ra()));
            self.op(Op::Store(size, base, offset, a));
            self.op(Op::Store(size, base, second, b));
        }
        if let Some(by) = advance {
            self.advance(i.rn(), base, by);
        }
    }

    fn pair_vector(&mut self, i: Insn) {
        let scale = i.bits(30, 2) + 2;
        let bytes = bytes(scale);
        let (offset, advance) = Self::pair_offsets(i, scale);
        let base = self.xsp(i.rn());
        let second = offset + (1 << scale);
        if i.bit(22) {
            let a = self.load_vector(bytes, base, offset);
            let b = self.load_vector(bytes, base, second);
            self.set_v(i.rd(), a);
            self.set_v(i.ra(), b);
        } else {
            let (a, b) = (self.v(i.rd()), self.v(i.ra()));
            self.vector(Vector::Store(bytes, base, offset, a));
            self.vector(Vector::Store(bytes, base, second, b));
        }
        if let Some(by) = advance {
            self.advance(i.rn(), base, by);
        }
    }

    /// Two registers as a vector.
    fn join(&mut self, low: Value, high: Value) -> Value {
        let low = self.vector(Vector::FromInt(low));
        self.vector(Vector::WithLane(Size::B8, 1, low, high))
    }

    /// The lower halves of two registers as one number.
    fn join_words(&mut self, low: Value, high: Value) -> Value {
        let low = self.extend(Size::B4, false, low);
        let high = self.with(Binary::Shl, W64, high, 32);
        self.binary(Binary::Or, W64, low, high)
    }

    fn split(&mut self, pair: Value) -> (Value, Value) {
        let low = self.vector(Vector::Lane(Size::B8, 0, false, pair));
        let high = self.vector(Vector::Lane(Size::B8, 1, false, pair));
        (low, high)
    }

    fn split_words(&mut self, pair: Value) -> (Value, Value) {
        let low = self.extend(Size::B4, false, pair);
        let high = self.with(Binary::ShrU, W64, pair, 32);
        (low, high)
    }

    fn load_pair_exclusive(&mut self, i: Insn) {
        let base = self.xsp(i.rn());
        let (low, high) = if i.bit(30) {
            let pair = self.vector(Vector::LoadReserved(base));
            self.split(pair)
        } else {
            let pair = self.op(Op::LoadReserved(Size::B8, base));
            self.split_words(pair)
        };
        self.set_x(i.rd(), low);
        self.set_x(i.ra(), high);
    }

    fn compare_swap_pair(&mut self, i: Insn) {
        let base = self.xsp(i.rn());
        let registers = [i.rm(), i.rm() + 1, i.rd(), i.rd() + 1];
        let [a, b, c, d] = registers.map(|n| self.x(n));
        let (low, high) = if i.bit(30) {
            let (expected, new) = (self.join(a, b), self.join(c, d));
            let old = self.vector(Vector::CompareExchange(base, expected, new));
            self.split(old)
        } else {
            let (expected, new) = (self.join_words(a, b), self.join_words(c, d));
            let old = self.op(Op::CompareExchange(Size::B8, base, expected, new));
            self.split_words(old)
        };
        self.set_x(i.rm(), low);
        self.set_x(i.rm() + 1, high);
    }

    fn atomic(&mut self, i: Insn) {
        let (base, size) = (self.xsp(i.rn()), size(i.bits(30, 2)));
        let mut operand = self.x(i.rm());
        let op = match i.bits(12, 3) {
            _ if i.op == Code::Swp => AtomicOp::Swap,
            0 => AtomicOp::Add,
            1 => {
                operand = self.not(W64, operand);
                AtomicOp::And
            }
            2 => AtomicOp::Xor,
            3 => AtomicOp::Or,
            4 => AtomicOp::MaxS,
            5 => AtomicOp::MinS,
            6 => AtomicOp::MaxU,
            _ => AtomicOp::MinU,
        };
        let old = self.op(Op::Atomic(op, size, base, operand));
        let old = self.extend(size, false, old);
        self.set_x(i.rd(), old);
    }
}
