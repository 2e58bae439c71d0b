//! Data processing on integer registers.

use super::{Insn, Lifter, W32, W64, size, width};
use crate::aarch64::table::Op as Code;
use crate::ir::{Binary, Flags, Op, Size, Unary, Value, Width};

/// How an operand is shifted.
const SHIFTS: [Binary; 4] = [Binary::Shl, Binary::ShrU, Binary::ShrS, Binary::RotR];

/// The immediate of a logical instruction, `DecodeBitMasks` of the manual, of
/// an encoding that the table has let through.
fn bit_mask(i: Insn) -> u64 {
    let (n, immr, imms) = (i.bits(22, 1), i.bits(16, 6), i.bits(10, 6));
    let length = 31 - (n << 6 | !imms & 0x3f).leading_zeros();
    let width = 1 << length;
    let (ones, turn) = ((imms & (width - 1)) + 1, immr & (width - 1));
    let element = u64::MAX >> (64 - ones);
    let mask = u64::MAX >> (64 - width);
    let turned = (element >> turn | element << ((width - turn) % width)) & mask;
    (0..64 / width).fold(0, |all, n| all | turned << (n * width))
}

impl Lifter {
    /// Lifts one of these instructions; false if it is none.
    pub(super) fn integer(&mut self, i: Insn) -> bool {
        let (w, rd, rn) = (width(i), i.rd(), i.rn());
        match i.op {
            Code::Adr => self.address(i),
            Code::AddSubImm => {
                let shift = if i.bit(22) { 12 } else { 0 };
                let (a, b) = (
                    self.xsp(rn),
                    self.constant(u64::from(i.bits(10, 12)) << shift),
                );
                self.add_sub(i, a, b, true);
            }
            Code::AddSubShifted => {
                let (a, b) = (self.x(rn), self.shifted(i));
                self.add_sub(i, a, b, false);
            }
            Code::AddSubExtended => {
                let (a, b) = (self.xsp(rn), self.extended(i, i.bits(10, 3)));
                self.add_sub(i, a, b, true);
            }
            Code::AddSubCarry => self.add_carry(i),
            Code::LogicImm => {
                let (a, b) = (self.x(rn), self.constant(bit_mask(i)));
                let v = self.logic(i, a, b);
                if i.bits(29, 2) == 3 {
                    self.set_x(rd, v)
                } else {
                    self.set_xsp(rd, v)
                }
            }
            Code::LogicShifted => {
                let a = self.x(rn);
                let mut b = self.shifted(i);
                if i.bit(21) {
                    b = self.not(w, b);
                }
                let v = self.logic(i, a, b);
                self.set_x(rd, v);
            }
            Code::MoveWide => self.move_wide(i),
            Code::Bitfield => self.bitfield(i),
            Code::Extr => {
                let (high, low, by) = (self.x(rn), self.x(i.rm()), i.bits(10, 6));
                let v = self.extract(w, high, low, by);
                self.set_x(rd, v);
            }
            Code::Div => {
                let (a, b) = (self.x(rn), self.x(i.rm()));
                let op = if i.bit(10) {
                    Binary::DivS
                } else {
                    Binary::DivU
                };
                let quotient = self.op(Op::Binary(op, w, a, b));
                // The IR's quotient by zero is all ones, AArch64's is zero.
                let divisor = self.fit(w, b);
                let zero = self.constant(0);
                let v = self.op(Op::Select(divisor, quotient, zero));
                self.set_x(rd, v);
            }
            Code::ShiftVariable => {
                let (a, b) = (self.x(rn), self.x(i.rm()));
                let v = self.op(Op::Binary(SHIFTS[i.bits(10, 2) as usize], w, a, b));
                self.set_x(rd, v);
            }
            Code::Crc32 => {
                let (a, b) = (self.x(rn), self.x(i.rm()));
                let v = self.op(Op::Crc32(i.bit(12), size(i.bits(10, 2)), a, b));
                self.set_x(rd, v);
            }
            Code::Rbit => self.one(i, Unary::BitSwap, w),
            Code::Clz => self.one(i, Unary::Clz, w),
            Code::Rev64 => self.one(i, Unary::ByteSwap, W64),
            Code::Rev32 if w == W32 => self.one(i, Unary::ByteSwap, W32),
            Code::Rev32 => {
                let a = self.x(rn);
                let swapped = self.op(Op::Unary(Unary::ByteSwap, W64, a));
                let v = self.with(Binary::RotR, W64, swapped, 32);
                self.set_x(rd, v);
            }
            Code::Rev16 => {
                let a = self.x(rn);
                let bytes = 0x00ff_00ff_00ff_00ff;
                let low = self.with(Binary::And, w, a, bytes);
                let high = self.with(Binary::ShrU, w, a, 8);
                let up = self.with(Binary::Shl, w, low, 8);
                let down = self.with(Binary::And, w, high, bytes);
                let v = self.binary(Binary::Or, w, up, down);
                self.set_x(rd, v);
            }
            Code::Cls => {
                // The sign bits are zeros once it is in exclusive or with itself shifted by one.
                let a = self.x(rn);
                let shifted = self.with(Binary::ShrS, w, a, 1);
                let changes = self.binary(Binary::Xor, w, a, shifted);
                let zeros = self.op(Op::Unary(Unary::Clz, w, changes));
                let v = self.with(Binary::Sub, w, zeros, 1);
                self.set_x(rd, v);
            }
            Code::CompareRegister | Code::CompareImm => self.conditional_compare(i),
            Code::Select => {
                let (a, mut b) = (self.x(rn), self.x(i.rm()));
                if i.bit(30) {
                    b = self.not(w, b);
                }
                if i.bit(10) {
                    b = self.with(Binary::Add, w, b, 1);
                }
                let holds = self.holds(i.bits(12, 4));
                let v = self.op(Op::Select(holds, a, b));
                let v = self.fit(w, v);
                self.set_x(rd, v);
            }
            Code::MulAdd => {
                let (a, b, c) = (self.x(rn), self.x(i.rm()), self.x(i.ra()));
                let product = self.binary(Binary::Mul, w, a, b);
                self.accumulate(i, w, c, product);
            }
            Code::MulAddLong => {
                let (a, b, c) = (self.x(rn), self.x(i.rm()), self.x(i.ra()));
                let (a, b) = (
                    self.extend(Size::B4, !i.bit(23), a),
                    self.extend(Size::B4, !i.bit(23), b),
                );
                let product = self.binary(Binary::Mul, W64, a, b);
                self.accumulate(i, W64, c, product);
            }
            Code::MulHigh => {
                let (a, b) = (self.x(rn), self.x(i.rm()));
                let op = if i.bit(23) {
                    Binary::MulHighU
                } else {
                    Binary::MulHighS
                };
                let v = self.binary(op, W64, a, b);
                self.set_x(rd, v);
            }
            _ => return false,
        }
        true
    }

    fn one(&mut self, i: Insn, op: Unary, w: Width) {
        let a = self.x(i.rn());
        let v = self.op(Op::Unary(op, w, a));
        self.set_x(i.rd(), v);
    }

    fn address(&mut self, i: Insn) {
        let offset = i.signed(5, 19) << 2 | i64::from(i.bits(29, 2));
        let to = if i.bit(31) {
            (self.pc.0 & !0xfff).wrapping_add((offset << 12) as u64)
        } else {
            self.pc.add(offset as u64).0
        };
        let v = self.constant(to);
        self.set_x(i.rd(), v);
    }

    /// Rm, shifted as the instruction says.
    fn shifted(&mut self, i: Insn) -> Value {
        let a = self.x(i.rm());
        match i.bits(10, 6) {
            0 => a,
            by => self.with(SHIFTS[i.bits(22, 2) as usize], width(i), a, by.into()),
        }
    }

    /// Rm, extended as the `option` field says, times 2^shift.
    pub(super) fn extended(&mut self, i: Insn, shift: u32) -> Value {
        let a = self.x(i.rm());
        let option = i.bits(13, 3);
        let extended = if option & 3 == 3 {
            a
        } else {
            self.extend(size(option & 3), option & 4 != 0, a)
        };
        self.with(Binary::Shl, W64, extended, shift.into())
    }

    /// Rd ← a ± b; register 31 is the stack pointer if `sp`, unless flags are set.
    fn add_sub(&mut self, i: Insn, a: Value, b: Value, sp: bool) {
        let (w, subtract) = (width(i), i.bit(30));
        let op = if subtract { Binary::Sub } else { Binary::Add };
        if i.bit(29) {
            // The flags first: they need the operands, of which the result may
            // take the register.
            self.set_flags(if subtract {
                Flags::Sub(w, a, b)
            } else {
                Flags::Add(w, a, b)
            });
            if i.rd() != 31 {
                let v = self.binary(op, w, a, b);
                self.set_x(i.rd(), v);
                self.result = Some(v);
            }
            return;
        }
        let v = self.binary(op, w, a, b);
        if sp {
            self.set_xsp(i.rd(), v);
        } else {
            self.set_x(i.rd(), v);
        }
    }

    fn add_carry(&mut self, i: Insn) {
        let w = width(i);
        let (a, mut b) = (self.x(i.rn()), self.x(i.rm()));
        if i.bit(30) {
            b = self.not(w, b);
        }
        let carry = self.holds(2);
        let sum = self.binary(Binary::Add, w, a, b);
        let v = self.binary(Binary::Add, w, sum, carry);
        let v = self.fit(w, v);
        self.set_x(i.rd(), v);
        if i.bit(29) {
            self.set_flags(Flags::AddCarry(w, a, b, carry));
        }
    }

    fn logic(&mut self, i: Insn, a: Value, b: Value) -> Value {
        let w = width(i);
        let op = [Binary::And, Binary::Or, Binary::Xor, Binary::And][i.bits(29, 2) as usize];
        let v = self.binary(op, w, a, b);
        let v = self.fit(w, v);
        if i.bits(29, 2) == 3 {
            self.set_flags(Flags::Logic(w, v));
        }
        v
    }

    fn move_wide(&mut self, i: Insn) {
        let shift = i.bits(21, 2) * 16;
        let immediate = u64::from(i.bits(5, 16)) << shift;
        let v = match i.bits(29, 2) {
            0 => {
                let v = self.constant(!immediate);
                self.fit(width(i), v)
            }
            2 => self.constant(immediate),
            _ => {
                let a = self.x(i.rd());
                let rest = self.with(Binary::And, W64, a, !(0xffff << shift));
                let v = self.with(Binary::Or, W64, rest, immediate);
                self.fit(width(i), v)
            }
        };
        self.set_x(i.rd(), v);
    }

    /// SBFM, BFM, UBFM: a field of Rn goes to a place in Rd.
    fn bitfield(&mut self, i: Insn) {
        let (w, r, s) = (width(i), i.bits(16, 6), i.bits(10, 6));
        let bits = w.bits();
        let source = self.x(i.rn());
        // Bits r to s go to bit 0, or bits 0 to s go to bit w − r.
        let (length, to) = if s >= r {
            (s - r + 1, 0)
        } else {
            (s + 1, bits - r)
        };
        let from = if s >= r { r } else { 0 };
        let signed = i.bits(29, 2) == 0;
        if i.bits(29, 2) == 1 {
            let mask = u64::MAX >> (64 - length);
            let field = self.with(Binary::ShrU, w, source, from.into());
            let field = self.with(Binary::And, w, field, mask);
            let field = self.with(Binary::Shl, w, field, to.into());
            let old = self.x(i.rd());
            let rest = self.with(Binary::And, w, old, !(mask << to));
            let v = self.binary(Binary::Or, w, rest, field);
            let v = self.fit(w, v);
            return self.set_x(i.rd(), v);
        }
        let natural = match length {
            8 => Some(Size::B1),
            16 => Some(Size::B2),
            32 => Some(Size::B4),
            _ => None,
        };
        let field = if let (Some(size), 0) = (natural, from) {
            self.extend(size, signed, source)
        } else if from + length == bits {
            let shift = if signed { Binary::ShrS } else { Binary::ShrU };
            self.with(shift, w, source, from.into())
        } else if signed {
            let up = self.with(Binary::Shl, w, source, (bits - from - length).into());
            self.with(Binary::ShrS, w, up, (bits - length).into())
        } else {
            let down = self.with(Binary::ShrU, w, source, from.into());
            self.with(Binary::And, w, down, u64::MAX >> (64 - length))
        };
        let v = self.with(Binary::Shl, w, field, to.into());
        let v = self.fit(w, v);
        self.set_x(i.rd(), v);
    }

    fn extract(&mut self, w: Width, high: Value, low: Value, by: u32) -> Value {
        if by == 0 {
            return self.fit(w, low);
        }
        if high == low {
            return self.with(Binary::RotR, w, low, by.into());
        }
        let low = self.with(Binary::ShrU, w, low, by.into());
        let high = self.with(Binary::Shl, w, high, (w.bits() - by).into());
        self.binary(Binary::Or, w, low, high)
    }

    /// Rd ← c ± product.
    fn accumulate(&mut self, i: Insn, w: Width, c: Value, product: Value) {
        let v = self.binary(
            if i.bit(15) { Binary::Sub } else { Binary::Add },
            w,
            c,
            product,
        );
        let v = self.fit(w, v);
        self.set_x(i.rd(), v);
    }

    /// CCMP, CCMN: flags of a comparison if the condition holds, else as given.
    fn conditional_compare(&mut self, i: Insn) {
        let w = width(i);
        let a = self.x(i.rn());
        let b = if i.op == Code::CompareImm {
            self.constant(i.rm().into())
        } else {
            self.x(i.rm())
        };
        let holds = self.holds(i.bits(12, 4));
        let compared = self.flag_op(if i.bit(30) {
            Flags::Sub(w, a, b)
        } else {
            Flags::Add(w, a, b)
        });
        self.choose_flags(holds, compared, i.bits(0, 4));
    }

    /// The flags are now `compared` if `holds`, otherwise these four bits.
    pub(super) fn choose_flags(&mut self, holds: Value, compared: Value, otherwise: u32) {
        if self.known(holds) == Some(1) {
            return self.set_flags_value(compared);
        }
        let given = self.constant(u64::from(otherwise) << 28);
        let given = self.flag_op(Flags::Pack(given));
        self.set_flags(Flags::Select(holds, compared, given));
    }
}
