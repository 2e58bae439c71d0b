//! Condition flags, as 64-bit values in NZCV's form. Most conditions never come
//! here: the lifter makes comparisons of them. What is computed here and not
//! used, Cranelift drops.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{self as clif, InstBuilder};

use super::emit::Emit;
use crate::ir::{Condition, Flags, Format, Value, Width};

const N: u8 = 31;
const Z: u8 = 30;
const C: u8 = 29;
const V: u8 = 28;

impl Emit<'_> {
    pub(super) fn flags(&mut self, op: &Flags) -> clif::Value {
        match *op {
            Flags::Add(width, a, b) => {
                let (a, b) = (self.narrow(width, a), self.narrow(width, b));
                let sum = self.b.ins().iadd(a, b);
                let carry = self.b.ins().icmp(IntCC::UnsignedLessThan, sum, a);
                let overflow = self.add_overflow(a, b, sum);
                self.arithmetic(sum, carry, overflow)
            }
            Flags::Sub(width, a, b) => {
                let (a, b) = (self.narrow(width, a), self.narrow(width, b));
                let difference = self.b.ins().isub(a, b);
                let carry = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, a, b);
                let opposite = self.b.ins().bnot(b);
                let overflow = self.add_overflow(a, opposite, difference);
                self.arithmetic(difference, carry, overflow)
            }
            Flags::AddCarry(width, a, b, c) => self.add_carry_flags(width, a, b, c),
            Flags::Logic(width, a) => {
                let a = self.narrow(width, a);
                self.sign_and_zero(a)
            }
            Flags::Float(format, signals, a, b) => self.float_flags(format, signals, a, b),
            Flags::Pack(a) => {
                let a = self.get(a);
                self.b.ins().band_imm_u(a, 0xf000_0000)
            }
            Flags::Unpack(a) => self.get(a),
            Flags::Select(c, a, b) => {
                let (c, a, b) = (self.get(c), self.get(a), self.get(b));
                self.b.ins().select(c, a, b)
            }
            Flags::Test(condition, a) => {
                let a = self.get(a);
                self.test_flags(condition, a)
            }
        }
    }

    /// Whether a + b = sum overflowed, in the sign bit.
    fn add_overflow(&mut self, a: clif::Value, b: clif::Value, sum: clif::Value) -> clif::Value {
        let x = self.b.ins().bxor(a, sum);
        let y = self.b.ins().bxor(b, sum);
        let both = self.b.ins().band(x, y);
        self.b.ins().icmp_imm_s(IntCC::SignedLessThan, both, 0)
    }

    /// A condition as a flag.
    fn flag(&mut self, holds: clif::Value, bit: u8) -> clif::Value {
        let wide = self.b.ins().uextend(I64, holds);
        self.b.ins().ishl_imm_u(wide, i64::from(bit))
    }

    fn sign_and_zero(&mut self, result: clif::Value) -> clif::Value {
        let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, result, 0);
        let zero = self.b.ins().icmp_imm_s(IntCC::Equal, result, 0);
        let (n, z) = (self.flag(negative, N), self.flag(zero, Z));
        self.b.ins().bor(n, z)
    }

    fn arithmetic(
        &mut self,
        result: clif::Value,
        carry: clif::Value,
        overflow: clif::Value,
    ) -> clif::Value {
        let nz = self.sign_and_zero(result);
        let (c, v) = (self.flag(carry, C), self.flag(overflow, V));
        let cv = self.b.ins().bor(c, v);
        self.b.ins().bor(nz, cv)
    }

    fn add_carry_flags(&mut self, width: Width, a: Value, b: Value, c: Value) -> clif::Value {
        let (a, b, c) = (
            self.narrow(width, a),
            self.narrow(width, b),
            self.narrow(width, c),
        );
        let partial = self.b.ins().iadd(a, b);
        let sum = self.b.ins().iadd(partial, c);
        let first = self.b.ins().icmp(IntCC::UnsignedLessThan, partial, a);
        let second = self.b.ins().icmp(IntCC::UnsignedLessThan, sum, partial);
        let carry = self.b.ins().bor(first, second);
        let overflow = self.add_overflow(a, b, sum);
        self.arithmetic(sum, carry, overflow)
    }

    /// The host's quiet comparison; a signalling one of NaNs is the interpreter's.
    fn float_flags(&mut self, format: Format, signals: bool, a: Value, b: Value) -> clif::Value {
        let (a, b) = (self.scalar(format, a), self.scalar(format, b));
        let unordered = self.b.ins().fcmp(FloatCC::Unordered, a, b);
        if signals {
            self.interpret_if(unordered, false);
        }
        let less = self.b.ins().fcmp(FloatCC::LessThan, a, b);
        let equal = self.b.ins().fcmp(FloatCC::Equal, a, b);
        let not_less = self
            .b
            .ins()
            .fcmp(FloatCC::UnorderedOrGreaterThanOrEqual, a, b);
        let (n, z) = (self.flag(less, N), self.flag(equal, Z));
        let (c, v) = (self.flag(not_less, C), self.flag(unordered, V));
        let nz = self.b.ins().bor(n, z);
        let cv = self.b.ins().bor(c, v);
        self.b.ins().bor(nz, cv)
    }

    fn has(&mut self, flags: clif::Value, bit: u8) -> clif::Value {
        let down = self.b.ins().ushr_imm_u(flags, i64::from(bit));
        self.b.ins().band_imm_u(down, 1)
    }

    fn test_flags(&mut self, condition: Condition, flags: clif::Value) -> clif::Value {
        use Condition as K;
        let (positive, inverted) = match condition {
            K::Eq | K::Ne => (self.has(flags, Z), condition == K::Ne),
            K::Cs | K::Cc => (self.has(flags, C), condition == K::Cc),
            K::Mi | K::Pl => (self.has(flags, N), condition == K::Pl),
            K::Vs | K::Vc => (self.has(flags, V), condition == K::Vc),
            K::Hi | K::Ls => {
                let (c, z) = (self.has(flags, C), self.has(flags, Z));
                (self.b.ins().band_not(c, z), condition == K::Ls)
            }
            K::Lt | K::Ge => {
                let (n, v) = (self.has(flags, N), self.has(flags, V));
                (self.b.ins().bxor(n, v), condition == K::Ge)
            }
            K::Le | K::Gt => {
                let (n, v, z) = (self.has(flags, N), self.has(flags, V), self.has(flags, Z));
                let differ = self.b.ins().bxor(n, v);
                (self.b.ins().bor(differ, z), condition == K::Gt)
            }
        };
        if inverted {
            self.b.ins().bxor_imm_u(positive, 1)
        } else {
            positive
        }
    }

    /// The flags register as the state has it.
    pub(super) fn flags_word(&mut self, flags: clif::Value) -> clif::Value {
        self.b.ins().ireduce(I32, flags)
    }
}
