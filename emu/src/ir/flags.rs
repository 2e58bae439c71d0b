//! Condition flags as values: N, Z, C and V, of a [`Type::Flags`](super::Type).
//!
//! A flags value is kept as AArch64's NZCV register has it: N in bit 31, Z in
//! 30, C in 29, V in 28, all else zero. A tier need not make that form: it may
//! keep the operation and its operands, or the host's own flags, until a
//! [`Flags::Unpack`] or the end of its reach asks for the bits. Hence each
//! operation here names what the flags are *of*, and the arithmetic itself
//! stays an integer operation on the same operands, next to it.

use super::{Format, Type, Value, Width};

/// Operations that give or take flags.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Flags {
    /// Of a + b: N and Z of the sum, C the carry out, V signed overflow.
    Add(Width, Value, Value),
    /// Of a − b: N and Z of the difference, C when nothing is borrowed
    /// (a ≥ b unsigned), V signed overflow.
    Sub(Width, Value, Value),
    /// Of a + b + c, where c is 0 or 1.
    AddCarry(Width, Value, Value, Value),
    /// Of a result: N and Z of it, C and V zero.
    Logic(Width, Value),
    /// Of a comparison of the lowest numbers of two vectors: equal 0110, less
    /// 1000, greater 0010, unordered 0011. `true`: any NaN is an invalid
    /// operation, otherwise only a signalling one.
    Float(Format, bool, Value, Value),
    /// Bits 31 to 28 of an integer.
    Pack(Value),
    /// The second flags when the first value, an integer, is not 0, otherwise the third.
    Select(Value, Value, Value),
    /// An integer: the flags in bits 31 to 28.
    Unpack(Value),
    /// An integer: 1 when the condition holds, otherwise 0.
    Test(Condition, Value),
}

/// What flags are tested for, by AArch64's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Condition {
    /// Z
    Eq,
    /// not Z
    Ne,
    /// C
    Cs,
    /// not C
    Cc,
    /// N
    Mi,
    /// not N
    Pl,
    /// V
    Vs,
    /// not V
    Vc,
    /// C and not Z
    Hi,
    /// not C or Z
    Ls,
    /// N = V
    Ge,
    /// N ≠ V
    Lt,
    /// not Z and N = V
    Gt,
    /// Z or N ≠ V
    Le,
}

impl Flags {
    /// The type of the operation's value.
    pub const fn ty(&self) -> Type {
        match self {
            Flags::Unpack(_) | Flags::Test(..) => Type::Int,
            _ => Type::Flags,
        }
    }

    /// Calls `visit` with each operand and the type it must have.
    pub fn operands(&self, mut visit: impl FnMut(Value, Type)) {
        match *self {
            Flags::Add(_, a, b) | Flags::Sub(_, a, b) => {
                visit(a, Type::Int);
                visit(b, Type::Int);
            }
            Flags::AddCarry(_, a, b, c) => {
                visit(a, Type::Int);
                visit(b, Type::Int);
                visit(c, Type::Int);
            }
            Flags::Logic(_, a) | Flags::Pack(a) => visit(a, Type::Int),
            Flags::Float(_, _, a, b) => {
                visit(a, Type::Vector);
                visit(b, Type::Vector);
            }
            Flags::Select(c, a, b) => {
                visit(c, Type::Int);
                visit(a, Type::Flags);
                visit(b, Type::Flags);
            }
            Flags::Unpack(a) | Flags::Test(_, a) => visit(a, Type::Flags),
        }
    }
}
