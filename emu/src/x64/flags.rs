//! AArch64's condition flags, as the host's.
//!
//! A flags value is an integer in the form of [`host_flags`](crate::enter): what
//! `lahf` and `seto al` leave in ax after a subtraction. So a comparison costs
//! those two and a store, and a condition that finds nothing but the stored
//! flags costs an addition and `sahf`. AArch64's carry is the opposite of the
//! host's borrow; what is no subtraction turns the host's carry round instead.

use super::asm::{Alu, Cc, Reg, Rm};
use super::{Cold, Emit};
use crate::ir::{Condition, Flags, Format, Op, Value, Width};

impl Emit<'_> {
    pub(super) fn flags(&mut self, op: Flags) -> bool {
        // Nobody asks, and but for a comparison of numbers nothing else happens.
        let unused = self.places.uses(self.value()) == 0;
        if unused && !matches!(op, Flags::Float(..)) {
            return true;
        }
        match op {
            Flags::Sub(width, a, b) => self.flags_of_difference(width, a, b),
            Flags::Add(width, a, b) => self.flags_of_sum(width, a, b),
            Flags::AddCarry(width, a, b, c) => return self.flags_of_long_sum(width, a, b, c),
            Flags::Logic(width, a) => self.flags_of_result(width, a),
            Flags::Float(format, signals, a, b) => self.flags_of_numbers(format, signals, a, b),
            // Constants are known to the places; others are too rare.
            Flags::Pack(_) => return self.places.constant(self.value()).is_some(),
            Flags::Unpack(_) => return false,
            Flags::Select(c, a, b) => self.select(c, a, b),
            Flags::Test(condition, a) => {
                let cc = self.test(condition, a);
                self.set_result(cc);
            }
        }
        true
    }

    /// Takes the host's flags into rax, which was taken: the current value.
    fn take_flags(&mut self) {
        self.asm.set_byte(Cc::O, Reg::RAX);
        self.asm.flags_to_ah();
        self.result_in(Reg::RAX);
    }

    fn flags_of_difference(&mut self, width: Width, a: Value, b: Value) {
        let wide = width == Width::W64;
        self.take(Reg::RAX);
        let left = self.reg(a);
        match self.small(wide, b) {
            Some(n) => self.asm.alu_imm(Alu::Cmp, wide, left, n),
            None => {
                let right = self.operand(b);
                self.asm.alu(Alu::Cmp, wide, left, right);
            }
        }
        self.take_flags();
        // The store of the flags, if it is next, leaves the host's alone.
        let stored = matches!(
            self.block.ops.get(self.at + 1),
            Some(&Op::Set(crate::ir::Place::Nzcv, v)) if v == self.value()
        );
        self.compared = if stored {
            (usize::MAX, Some((width, a, b)))
        } else {
            (self.asm.len(), Some((width, a, b)))
        };
    }

    fn flags_of_sum(&mut self, width: Width, a: Value, b: Value) {
        let wide = width == Width::W64;
        self.take(Reg::RAX);
        let sum = self.scratch();
        match self.small(wide, b) {
            Some(n) => {
                self.load_into(sum, a);
                self.asm.alu_imm(Alu::Add, wide, sum, n);
            }
            None => {
                let right = self.operand(b);
                self.load_into(sum, a);
                self.asm.alu(Alu::Add, wide, sum, right);
            }
        }
        self.asm.complement_carry();
        self.take_flags();
    }

    fn flags_of_long_sum(&mut self, width: Width, a: Value, b: Value, c: Value) -> bool {
        let wide = width == Width::W64;
        let small = self.small(wide, b);
        if small.is_none() && self.places.constant(b).is_some() {
            return false;
        }
        self.take(Reg::RAX);
        self.take(Reg::RCX);
        self.take(Reg::RDX);
        // Where b is, if it was evicted just now, is memory.
        let right = match small {
            Some(_) => Rm::Reg(0),
            None => self.operand(b),
        };
        self.load_into(Reg::RCX, a);
        self.load_into(Reg::RDX, c);
        // Carries exactly when c is 1.
        self.asm.alu_imm(Alu::Add, false, Reg::RDX, -1);
        match small {
            Some(n) => self.asm.alu_imm(Alu::Adc, wide, Reg::RCX, n),
            None => self.asm.alu(Alu::Adc, wide, Reg::RCX, right),
        }
        self.asm.complement_carry();
        self.take_flags();
        true
    }

    fn flags_of_result(&mut self, width: Width, a: Value) {
        self.take(Reg::RAX);
        let result = self.reg(a);
        self.asm.constant(Reg::RAX, 0);
        self.asm.test(width == Width::W64, result);
        self.asm.set_carry();
        self.asm.flags_to_ah();
        self.result_in(Reg::RAX);
    }

    /// The host says "less" by a borrow, AArch64 by N as well.
    fn flags_of_numbers(&mut self, format: Format, signals: bool, a: Value, b: Value) {
        self.take(Reg::RAX);
        let less = self.scratch();
        let (left, right) = (self.vector(a), self.vector_operand(b));
        self.asm
            .compare_scalar(format == Format::Double, signals, left, right);
        let unordered = self.asm.jcc(Cc::P);
        self.asm.constant(Reg::RAX, 0);
        self.asm.flags_to_ah();
        self.asm.mov(false, less, Reg::RAX);
        self.asm.alu_imm(Alu::And, false, less, 1 << 8);
        self.asm.shift_imm(super::asm::Shift::Shl, false, less, 7);
        self.asm.alu(Alu::Or, false, Reg::RAX, less);
        self.cold.push(Cold::Unordered(unordered, self.asm.len()));
        self.result_in(Reg::RAX);
    }

    /// Leaves flags in the host's, and gives the condition that says whether
    /// this one holds. Nothing is held afterwards.
    pub(super) fn test(&mut self, condition: Condition, flags: Value) -> Cc {
        let there = self.is_in_rax(flags);
        self.take(Reg::RAX);
        if !there {
            self.load_flags(flags);
        }
        // The overflow flag of 1 + 127, as a byte.
        self.asm.add_al(0x7f);
        self.asm.flags_from_ah();
        self.release();
        match condition {
            Condition::Eq => Cc::E,
            Condition::Ne => Cc::Ne,
            Condition::Cs => Cc::Ae,
            Condition::Cc => Cc::B,
            Condition::Mi => Cc::S,
            Condition::Pl => Cc::Ns,
            Condition::Vs => Cc::O,
            Condition::Vc => Cc::No,
            Condition::Hi => Cc::A,
            Condition::Ls => Cc::Be,
            Condition::Ge => Cc::Ge,
            Condition::Lt => Cc::L,
            Condition::Gt => Cc::G,
            Condition::Le => Cc::Le,
        }
    }
}
