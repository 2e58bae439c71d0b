//! Integer operations.

use super::asm::{Alu, Cc, Jump, Reg, Rm, Shift};
use super::{Cold, Emit};
use crate::ir::{Binary, Cond, Unary, Value, Width};

/// A division on its way: the dividend is in rax, the divisor in rcx; the
/// quotient belongs in rax or the remainder in rdx.
#[derive(Clone, Copy)]
pub(super) struct Division {
    wide: bool,
    signed: bool,
    remainder: bool,
}

impl Emit<'_> {
    pub(super) fn binary(&mut self, op: Binary, width: Width, a: Value, b: Value) -> bool {
        let wide = width == Width::W64;
        match op {
            Binary::Add => self.alu(Alu::Add, wide, a, b),
            Binary::Sub => self.alu(Alu::Sub, wide, a, b),
            Binary::And => self.alu(Alu::And, wide, a, b),
            Binary::Or => self.alu(Alu::Or, wide, a, b),
            Binary::Xor => self.alu(Alu::Xor, wide, a, b),
            Binary::Shl => self.shift(Shift::Shl, wide, a, b),
            Binary::ShrU => self.shift(Shift::Shr, wide, a, b),
            Binary::ShrS => self.shift(Shift::Sar, wide, a, b),
            Binary::RotR => self.shift(Shift::Ror, wide, a, b),
            Binary::Mul => self.multiply(wide, a, b),
            Binary::MulHighS | Binary::MulHighU | Binary::MulHighSU => {
                if !wide {
                    return false;
                }
                self.multiply_high(op, a, b);
            }
            Binary::DivS => self.divide(
                Division {
                    wide,
                    signed: true,
                    remainder: false,
                },
                a,
                b,
            ),
            Binary::DivU => self.divide(
                Division {
                    wide,
                    signed: false,
                    remainder: false,
                },
                a,
                b,
            ),
            Binary::RemS => self.divide(
                Division {
                    wide,
                    signed: true,
                    remainder: true,
                },
                a,
                b,
            ),
            Binary::RemU => self.divide(
                Division {
                    wide,
                    signed: false,
                    remainder: true,
                },
                a,
                b,
            ),
            Binary::MinS => self.choose(Cc::G, wide, a, b),
            Binary::MinU => self.choose(Cc::A, wide, a, b),
            Binary::MaxS => self.choose(Cc::L, wide, a, b),
            Binary::MaxU => self.choose(Cc::B, wide, a, b),
        }
        true
    }

    /// A constant operand of an operation of this width.
    pub(super) fn small(&self, wide: bool, v: Value) -> Option<i32> {
        match (wide, self.places.constant(v)) {
            (_, None) => None,
            (true, Some(n)) => i32::try_from(n as i64).ok(),
            (false, Some(n)) => Some(n as u32 as i32),
        }
    }

    fn alu(&mut self, op: Alu, wide: bool, mut a: Value, mut b: Value) {
        let commutes = op != Alu::Sub;
        if commutes && self.places.constant(a).is_some() {
            std::mem::swap(&mut a, &mut b);
        }
        if let Some(n) = self.small(wide, b) {
            self.alu_constant(op, wide, a, n);
            return;
        }
        let (mut left, mut right) = (self.operand(a), self.operand(b));
        let to = self.result();
        if right == to.into() && left != to.into() {
            if !commutes {
                let scratch = self.scratch();
                self.asm.mov(true, scratch, left);
                self.asm.alu(op, wide, scratch, right);
                self.asm.mov(true, to, scratch);
                return;
            }
            std::mem::swap(&mut left, &mut right);
        }
        if let (Alu::Add, Rm::Reg(l), Rm::Reg(r)) = (op, left, right)
            && left != to.into()
        {
            self.asm.lea(wide, to, Rm::Index(Reg(l), Reg(r), 0, 0));
            return;
        }
        self.asm.mov(true, to, left);
        self.asm.alu(op, wide, to, right);
    }

    fn alu_constant(&mut self, op: Alu, wide: bool, a: Value, n: i32) {
        let left = self.operand(a);
        let to = self.result();
        match (op, left) {
            (Alu::Add, Rm::Reg(l)) if left != to.into() => {
                self.asm.lea(wide, to, Rm::Base(Reg(l), n));
            }
            _ => {
                self.asm.mov(true, to, left);
                self.asm.alu_imm(op, wide, to, n);
            }
        }
    }

    fn shift(&mut self, op: Shift, wide: bool, a: Value, b: Value) {
        if let Some(by) = self.places.constant(b) {
            let by = by as u8 & if wide { 63 } else { 31 };
            let from = self.operand(a);
            let to = self.result();
            self.asm.mov(wide, to, from);
            if by != 0 {
                self.asm.shift_imm(op, wide, to, by);
            }
            return;
        }
        if self.features.bmi2 && op != Shift::Ror {
            let (from, by) = (self.reg(a), self.reg(b));
            let to = self.result();
            self.asm.shift_by(op, wide, to, from, by);
            return;
        }
        self.take(Reg::RCX);
        self.load_into(Reg::RCX, b);
        let from = self.operand(a);
        let to = self.result();
        self.asm.mov(wide, to, from);
        self.asm.shift_cl(op, wide, to);
    }

    fn multiply(&mut self, wide: bool, a: Value, b: Value) {
        let (mut left, mut right) = (self.operand(a), self.operand(b));
        let to = self.result();
        if right == to.into() {
            std::mem::swap(&mut left, &mut right);
        }
        self.asm.mov(true, to, left);
        self.asm.imul(wide, to, right);
    }

    fn multiply_high(&mut self, op: Binary, a: Value, b: Value) {
        self.take(Reg::RAX);
        self.take(Reg::RDX);
        self.take(Reg::RCX);
        self.load_into(Reg::RAX, a);
        self.load_into(Reg::RCX, b);
        let which = if op == Binary::MulHighS { 5 } else { 4 };
        if op == Binary::MulHighSU {
            // Less b × 2^64 when a is negative; kept where a was, once it is used.
            self.asm.group3(which, true, Reg::RCX);
            self.load_into(Reg::RAX, a);
            self.asm.shift_imm(Shift::Sar, true, Reg::RAX, 63);
            self.asm.alu(Alu::And, true, Reg::RAX, Reg::RCX);
            self.asm.alu(Alu::Sub, true, Reg::RDX, Reg::RAX);
        } else {
            self.asm.group3(which, true, Reg::RCX);
        }
        self.result_in(Reg::RDX);
    }

    fn divide(&mut self, division: Division, a: Value, b: Value) {
        self.take(Reg::RAX);
        self.take(Reg::RCX);
        self.take(Reg::RDX);
        self.load_into(Reg::RAX, a);
        self.load_into(Reg::RCX, b);
        let wide = division.wide;
        let special = if division.signed {
            // Divisors −1 and 0 are 0 and 1 here.
            self.asm.lea(wide, Reg::RDX, Rm::Base(Reg::RCX, 1));
            self.asm.alu_imm(Alu::Cmp, wide, Reg::RDX, 1);
            let special = self.asm.jcc(Cc::Be);
            self.asm.cqo(wide);
            self.asm.group3(7, wide, Reg::RCX);
            special
        } else {
            self.asm.test(wide, Reg::RCX);
            let special = self.asm.jcc(Cc::E);
            self.asm.alu(Alu::Xor, false, Reg::RDX, Reg::RDX);
            self.asm.group3(6, wide, Reg::RCX);
            special
        };
        self.cold
            .push(Cold::Divide(special, division, self.asm.len()));
        self.result_in(if division.remainder {
            Reg::RDX
        } else {
            Reg::RAX
        });
    }

    /// Divisions by 0, and signed ones by −1.
    pub(super) fn divide_specially(&mut self, jump: Jump, division: Division, back: usize) {
        self.asm.land(jump);
        let wide = division.wide;
        self.asm.test(wide, Reg::RCX);
        let by_minus_one = self.asm.jcc(Cc::Ne);
        if division.remainder {
            self.asm.mov(wide, Reg::RDX, Reg::RAX);
        } else {
            self.asm
                .constant(Reg::RAX, if wide { u64::MAX } else { 0xffff_ffff });
        }
        let done = self.asm.jmp();
        self.asm.land_at(done, back);
        self.asm.land(by_minus_one);
        if division.remainder {
            self.asm.alu(Alu::Xor, false, Reg::RDX, Reg::RDX);
        } else {
            self.asm.group3(3, wide, Reg::RAX);
        }
        let done = self.asm.jmp();
        self.asm.land_at(done, back);
    }

    /// a, or b if the comparison of a with b says so.
    fn choose(&mut self, cc: Cc, wide: bool, a: Value, b: Value) {
        let (mut left, mut right) = (self.operand(a), self.operand(b));
        let to = self.result();
        if right == to.into() {
            std::mem::swap(&mut left, &mut right);
        }
        self.asm.mov(wide, to, left);
        self.asm.alu(Alu::Cmp, wide, to, right);
        self.asm.cmov(cc, wide, to, right);
    }

    pub(super) fn unary(&mut self, op: Unary, width: Width, a: Value) -> bool {
        let wide = width == Width::W64;
        let opcode = match op {
            Unary::BitSwap => {
                self.reverse_bits(wide, a);
                return true;
            }
            Unary::Clz => 0xbd,
            Unary::Ctz => 0xbc,
            Unary::PopCount => 0xb8,
            Unary::ByteSwap => {
                let from = self.operand(a);
                let to = self.result();
                self.asm.mov(wide, to, from);
                self.asm.bswap(wide, to);
                return true;
            }
            Unary::OrBytes => return false,
        };
        if !self.features.counts {
            return false;
        }
        let from = self.operand(a);
        let to = self.result();
        self.asm.count(opcode, wide, to, from);
        true
    }

    /// Neighbours change places: bits, pairs, nibbles, and then bytes.
    fn reverse_bits(&mut self, wide: bool, a: Value) {
        self.take(Reg::RAX);
        self.take(Reg::RCX);
        self.take(Reg::RDX);
        self.load_into(Reg::RAX, a);
        let masks = [
            (1, 0x5555_5555_5555_5555),
            (2, 0x3333_3333_3333_3333),
            (4, 0x0f0f_0f0f_0f0f_0f0f),
        ];
        for (by, mask) in masks {
            self.asm.constant(Reg::RCX, mask);
            self.asm.mov(true, Reg::RDX, Reg::RAX);
            self.asm.shift_imm(Shift::Shr, true, Reg::RDX, by);
            self.asm.alu(Alu::And, true, Reg::RDX, Reg::RCX);
            self.asm.alu(Alu::And, true, Reg::RAX, Reg::RCX);
            self.asm.shift_imm(Shift::Shl, true, Reg::RAX, by);
            self.asm.alu(Alu::Or, true, Reg::RAX, Reg::RDX);
        }
        self.asm.bswap(wide, Reg::RAX);
        self.result_in(Reg::RAX);
    }

    /// Compares, and gives the condition that says that it holds.
    pub(super) fn compare(&mut self, cond: Cond, width: Width, a: Value, b: Value) -> Cc {
        let wide = width == Width::W64;
        let (mut cc, mut a, mut b) = (condition(cond), a, b);
        if self.compared.0 == self.asm.len()
            && let Some((compared, left, right)) = self.compared.1
            && compared == width
        {
            if (left, right) == (a, b) {
                return cc;
            }
            if (left, right) == (b, a) {
                return mirrored(cc);
            }
        }
        if self.places.constant(a).is_some() && self.places.constant(b).is_none() {
            std::mem::swap(&mut a, &mut b);
            cc = mirrored(cc);
        }
        let left = self.operand(a);
        match (self.small(wide, b), left) {
            (Some(0), Rm::Reg(l)) => self.asm.test(wide, Reg(l)),
            (Some(n), _) => self.asm.alu_imm(Alu::Cmp, wide, left, n),
            (None, Rm::Reg(l)) => {
                let right = self.operand(b);
                self.asm.alu(Alu::Cmp, wide, Reg(l), right);
            }
            (None, _) => {
                let left = self.reg(a);
                let right = self.operand(b);
                self.asm.alu(Alu::Cmp, wide, left, right);
            }
        }
        cc
    }

    /// The condition is in the flags before anything else is held, and what
    /// comes then leaves them alone.
    pub(super) fn select(&mut self, c: Value, a: Value, b: Value) {
        let cc = self.truth(c);
        let (yes, no) = (self.operand(a), self.operand(b));
        let to = self.result();
        if yes == to.into() {
            self.asm.cmov(opposite(cc), true, to, no);
        } else {
            self.asm.mov(true, to, no);
            self.asm.cmov(cc, true, to, yes);
        }
    }
}

/// The condition that holds when this one does not.
fn opposite(cc: Cc) -> Cc {
    match cc {
        Cc::O => Cc::No,
        Cc::No => Cc::O,
        Cc::B => Cc::Ae,
        Cc::Ae => Cc::B,
        Cc::E => Cc::Ne,
        Cc::Ne => Cc::E,
        Cc::Be => Cc::A,
        Cc::A => Cc::Be,
        Cc::S => Cc::Ns,
        Cc::Ns => Cc::S,
        Cc::P => Cc::Np,
        Cc::Np => Cc::P,
        Cc::L => Cc::Ge,
        Cc::Ge => Cc::L,
        Cc::Le => Cc::G,
        Cc::G => Cc::Le,
    }
}

fn condition(cond: Cond) -> Cc {
    match cond {
        Cond::Eq => Cc::E,
        Cond::Ne => Cc::Ne,
        Cond::LtS => Cc::L,
        Cond::GeS => Cc::Ge,
        Cond::LtU => Cc::B,
        Cond::GeU => Cc::Ae,
    }
}

/// The condition with its operands exchanged.
fn mirrored(cc: Cc) -> Cc {
    match cc {
        Cc::L => Cc::G,
        Cc::Ge => Cc::Le,
        Cc::B => Cc::A,
        Cc::Ae => Cc::Be,
        other => other,
    }
}
