//! The emulator's own intermediate representation: what guest instructions do,
//! said once, for every tier to run or lower.
//!
//! A [`Block`] is a straight line of operations and one [`End`]. Each operation
//! that gives a value defines the [`Value`] with its own index; values are
//! defined once and before use. The types are [`Type::Int`], 64 bits; the two
//! floating-point formats; vectors; and condition flags.
//!
//! What every tier keeps to:
//! - [`Op::Guest`] opens each guest instruction. Whatever an operation after it
//!   cannot do (a fault, a rounding mode the host has not got) is an exit with
//!   the state as it was at that `Guest`: a lifter therefore puts each
//!   instruction's `Set`s after everything in it that can fail.
//! - State is only touched by `Get`, `Set` and the operations whose page says so.
//! - Floating-point operations, but for those on vectors, raise the flags that IEEE 754 asks for (tininess
//!   is detected after rounding) whether or not their value is used, and give
//!   the guest's one quiet NaN for every NaN.
//!
//! It knows nothing of hosts, of guest encodings, or of how blocks are found.

pub mod flags;
pub mod text;
pub mod vector;
pub mod verify;

use crate::addr::GuestAddr;
use crate::exit::Fault;

pub use flags::{Condition, Flags};
pub use vector::{
    Bytes, Convert, ScalarInt, Shape, Vector, VectorBinary, VectorFloatBinary, VectorFloatUnary,
    VectorShift, VectorTernary, VectorUnary,
};

/// The result of one operation of a block. Prints as `v7`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub u32);

impl Value {
    /// The index of the operation that defines it.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What kind of thing a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Type {
    /// 64 bits.
    Int,
    /// IEEE binary32.
    F32,
    /// IEEE binary64; also the raw 64 bits of a floating-point register.
    F64,
    /// 128 bits; see [`vector`].
    Vector,
    /// Condition flags; see [`flags`].
    Flags,
}

/// How many bits an integer operation looks at. A `W32` operation ignores the
/// upper halves of its operands and zero-extends its result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub enum Width {
    W32,
    W64,
}

impl Width {
    /// 32 or 64.
    pub const fn bits(self) -> u32 {
        match self {
            Width::W32 => 32,
            Width::W64 => 64,
        }
    }
}

/// How many bytes a memory operation touches, or an extension keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub enum Size {
    B1,
    B2,
    B4,
    B8,
}

impl Size {
    /// 1, 2, 4 or 8.
    pub const fn bytes(self) -> u32 {
        match self {
            Size::B1 => 1,
            Size::B2 => 2,
            Size::B4 => 4,
            Size::B8 => 8,
        }
    }
}

/// A floating-point format.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub enum Format {
    Single,
    Double,
}

impl Format {
    /// The type of a value in this format.
    pub const fn ty(self) -> Type {
        match self {
            Format::Single => Type::F32,
            Format::Double => Type::F64,
        }
    }
}

/// How a result that does not fit is rounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Rounding {
    /// As the state's rounding mode says. When that holds no mode, the
    /// instruction is illegal.
    Dynamic,
    /// To nearest, ties to even.
    Nearest,
    /// Towards zero.
    Zero,
    /// Towards minus infinity.
    Down,
    /// Towards plus infinity.
    Up,
    /// To nearest, ties away from zero.
    NearestAway,
}

/// A register of the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Place {
    /// Integer register n. Never `x0` on RISC-V: that is the constant 0.
    /// AArch64's 31 is the stack pointer.
    X(u8),
    /// Floating-point register n, all 64 bits. RISC-V.
    F(u8),
    /// Vector register n. AArch64, as all below.
    V(u8),
    /// The condition flags.
    Nzcv,
    /// FPCR. Only set in a block that ends in [`End::Synchronise`].
    Fpcr,
    /// FPSR, flags raised so far included.
    Fpsr,
    /// TPIDR_EL0.
    Tpidr,
}

impl Place {
    /// The type of what the register holds.
    pub const fn ty(self) -> Type {
        match self {
            Place::X(_) => Type::Int,
            Place::F(_) => Type::F64,
            Place::V(_) => Type::Vector,
            Place::Nzcv => Type::Flags,
            Place::Fpcr | Place::Fpsr | Place::Tpidr => Type::Int,
        }
    }
}

/// Integer operations of two operands, on `w` = 32 or 64 bits, modulo 2^w.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Binary {
    /// a + b
    Add,
    /// a − b
    Sub,
    /// a and b
    And,
    /// a or b
    Or,
    /// a xor b
    Xor,
    /// a × 2^(b mod w)
    Shl,
    /// a ÷ 2^(b mod w), a unsigned, rounded down
    ShrU,
    /// a ÷ 2^(b mod w), a signed, rounded down
    ShrS,
    /// a turned right by b mod w bits
    RotR,
    /// a × b
    Mul,
    /// ⌊a × b ÷ 2^w⌋, both signed
    MulHighS,
    /// ⌊a × b ÷ 2^w⌋, both unsigned
    MulHighU,
    /// ⌊a × b ÷ 2^w⌋, a signed, b unsigned
    MulHighSU,
    /// a ÷ b, signed, towards zero; −1 when b = 0; −2^(w−1) ÷ −1 = −2^(w−1)
    DivS,
    /// a ÷ b, unsigned, down; 2^w − 1 when b = 0
    DivU,
    /// a − b × DivS(a, b); a when b = 0
    RemS,
    /// a − b × DivU(a, b); a when b = 0
    RemU,
    /// the lesser, signed
    MinS,
    /// the lesser, unsigned
    MinU,
    /// the greater, signed
    MaxS,
    /// the greater, unsigned
    MaxU,
}

/// Integer operations of one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Unary {
    /// Zero bits above the highest one; w when a = 0
    Clz,
    /// Zero bits below the lowest one; w when a = 0
    Ctz,
    /// Bits that are one
    PopCount,
    /// Bytes in reverse order
    ByteSwap,
    /// Bits in reverse order
    BitSwap,
    /// Each byte that is not 0 becomes 0xff
    OrBytes,
}

/// Comparisons of integers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub enum Cond {
    Eq,
    Ne,
    LtS,
    GeS,
    LtU,
    GeU,
}

/// What an atomic stores, from the old value in memory and its operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub enum AtomicOp {
    Swap,
    Add,
    Xor,
    And,
    Or,
    MinS,
    MaxS,
    MinU,
    MaxU,
}

/// Floating-point operations of two operands that round.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub enum FloatOp {
    Add,
    Sub,
    Mul,
    Div,
}

/// Comparisons of floating-point numbers; false when either is NaN.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum FloatCond {
    /// a = b. Quiet: only a signalling NaN is an invalid operation.
    Eq,
    /// a < b. Any NaN is an invalid operation.
    Lt,
    /// a ≤ b. Any NaN is an invalid operation.
    Le,
}

/// What happens to a sign bit; no flags, NaNs are as any other number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Sign {
    /// a with the sign of b
    Copy,
    /// a with the opposite of the sign of b
    CopyNot,
    /// a with its sign and that of b in exclusive or
    Xor,
}

/// Counters a user program may read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Counter {
    /// Cycles: the host's time-stamp counter.
    Cycle,
    /// Time, at the 10 MHz of common RISC-V machines.
    Time,
    /// Time in nanoseconds: AArch64's counter, at 1 GHz.
    Nanoseconds,
    /// Instructions retired: no tier counts them, so the cycles.
    Retired,
}

/// A fused multiplication and addition's variants: negations before rounding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Fused {
    /// The format of operands and result.
    pub format: Format,
    /// Rounding of the one rounding there is.
    pub rounding: Rounding,
    /// −(a × b) instead of a × b.
    pub negate_product: bool,
    /// − c instead of + c.
    pub negate_addend: bool,
}

/// A conversion between an integer and a floating-point number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct IntFloat {
    /// The floating-point format.
    pub format: Format,
    /// The integer's width.
    pub width: Width,
    /// Whether the integer is signed.
    pub signed: bool,
    /// Rounding of the result.
    pub rounding: Rounding,
}

/// One operation. Operands are values defined earlier in the block.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Op {
    /// No value: the guest instruction at this address begins.
    Guest(GuestAddr),
    /// The number.
    Const(u64),
    /// What the register holds.
    Get(Place),
    /// No value: the register now holds this.
    Set(Place, Value),
    /// See [`Binary`].
    Binary(Binary, Width, Value, Value),
    /// See [`Unary`].
    Unary(Unary, Width, Value),
    /// 1 when the comparison holds on `w` bits, otherwise 0.
    Compare(Cond, Width, Value, Value),
    /// The low bytes, sign-extended (`true`) or zero-extended.
    Extend(Size, bool, Value),
    /// The second value when the first is not 0, otherwise the third.
    Select(Value, Value, Value),
    /// Memory at address + offset, sign-extended (`true`) or zero-extended.
    /// Fails with a read fault. Need not be aligned.
    Load(Size, bool, Value, i32),
    /// No value: memory at address + offset is now the low bytes of the second
    /// value. Fails with a write fault, having written nothing.
    Store(Size, Value, i32, Value),
    /// A floating-point number in memory at address + offset. As `Load`.
    LoadFloat(Format, Value, i32),
    /// No value: as `Store`.
    StoreFloat(Format, Value, i32, Value),
    /// Memory at the address, sign-extended; the address is now reserved with
    /// that value. Fails with a read fault, also when misaligned.
    LoadReserved(Size, Value),
    /// 0 and memory at the address is now the second value, when the address is
    /// reserved and memory still holds what was read then; otherwise 1. No
    /// address is reserved afterwards. Fails with a write fault, also when
    /// misaligned.
    StoreConditional(Size, Value, Value),
    /// The sign-extended old value of memory at the address, which is now
    /// op(old, value), in one indivisible step, in sequence with all others.
    /// Fails with a write fault, also when misaligned.
    Atomic(AtomicOp, Size, Value, Value),
    /// The sign-extended old value of memory at the address, which is now the
    /// third value if it was the second, in one indivisible step. As `Atomic`.
    CompareExchange(Size, Value, Value, Value),
    /// No value: no address is reserved any more.
    ClearReservation,
    /// No value: every access before is seen before every access after.
    Fence,
    /// a op b, rounded.
    Float(FloatOp, Format, Rounding, Value, Value),
    /// IEEE 754-2019 minimumNumber (`false`) or maximumNumber (`true`): a NaN
    /// loses against a number, −0 is less than +0.
    FloatMinMax(bool, Format, Value, Value),
    /// √a, rounded.
    FloatSqrt(Format, Rounding, Value),
    /// ±(a × b) ± c with one rounding.
    FloatFused(Fused, Value, Value, Value),
    /// 1 or 0.
    FloatCompare(FloatCond, Format, Value, Value),
    /// The bit that RISC-V's fclass sets: 0 −∞, 1 negative normal, 2 negative
    /// subnormal, 3 −0, 4 +0, 5 subnormal, 6 normal, 7 +∞, 8 signalling NaN,
    /// 9 quiet NaN.
    FloatClass(Format, Value),
    /// The number as an integer; out of range the nearest that there is, NaN
    /// the greatest, both an invalid operation. `W32` zero-extends.
    FloatToInt(IntFloat, Value),
    /// The integer as a number, rounded.
    IntToFloat(IntFloat, Value),
    /// To single precision (rounded) or to double precision (exact), from the other.
    FloatConvert(Format, Rounding, Value),
    /// See [`Sign`].
    FloatSign(Sign, Format, Value, Value),
    /// The bits of a floating-point number, zero-extended.
    Bits(Format, Value),
    /// The floating-point number with these low bits.
    FromBits(Format, Value),
    /// A single-precision number in a register: its bits below 32 ones.
    Box(Value),
    /// The number that `Box` put there; the quiet NaN when the upper 32 bits
    /// are not all ones.
    Unbox(Value),
    /// `fcsr`, flags raised so far included.
    GetFcsr,
    /// No value: `fcsr` is now the low 8 bits. Only in the last
    /// instruction of a block that ends in [`End::Synchronise`].
    SetFcsr(Value),
    /// See [`Counter`].
    Counter(Counter),
    /// The CRC-32 (`true`: CRC-32C) of the low bytes of the second value after
    /// those that gave the first, bits reversed as usual, without the initial
    /// and final complement.
    Crc32(bool, Size, Value, Value),
    /// See [`Flags`].
    Flags(Flags),
    /// See [`Vector`].
    Vector(Vector),
}

/// What helps to predict an indirect jump.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Hint {
    /// A jump through a table or a function pointer.
    None,
    /// A call; it returns to this address.
    Call(GuestAddr),
    /// A return.
    Return,
    /// Most likely to `to`; a call if it returns to `back`. A lifter does not
    /// know that: [`regions::foresee`](crate::regions::foresee) does.
    #[allow(missing_docs)]
    Likely {
        to: GuestAddr,
        back: Option<GuestAddr>,
    },
}

/// How a block ends: where the guest goes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum End {
    /// To this address.
    Jump(GuestAddr),
    /// A call of this address; it returns to `back`.
    #[allow(missing_docs)]
    Call { to: GuestAddr, back: GuestAddr },
    /// To `taken` when the comparison of the 64-bit values holds, otherwise to `next`.
    #[allow(missing_docs)]
    Branch {
        cond: Cond,
        a: Value,
        b: Value,
        taken: GuestAddr,
        next: GuestAddr,
    },
    /// To the address that is the value.
    Indirect(Value, Hint),
    /// Exit with [`Exit::Syscall`](crate::Exit::Syscall) at this address.
    Syscall(GuestAddr),
    /// Exit with [`Exit::Breakpoint`](crate::Exit::Breakpoint) at this address.
    Breakpoint(GuestAddr),
    /// Exit with [`Exit::Illegal`](crate::Exit::Illegal) at this address.
    Illegal(GuestAddr),
    /// Exit with a fault at this address: the instruction could not be fetched.
    Fault(GuestAddr, Fault),
    /// To this address, after what depends on the rounding mode or (`true`) on
    /// the bytes of guest code was looked at again.
    Synchronise(GuestAddr, bool),
}

/// A straight line of guest instructions.
#[derive(Clone, Debug)]
pub struct Block {
    /// The address of the first instruction.
    pub start: GuestAddr,
    /// Bytes of guest code it was lifted from.
    pub length: u32,
    /// Guest instructions in it.
    pub instructions: u32,
    /// The operations; the index is the value's number.
    pub ops: Vec<Op>,
    /// Where the guest goes then.
    pub end: End,
}

impl Op {
    /// The type of the operation's value, if it gives one.
    pub const fn ty(&self) -> Option<Type> {
        Some(match self {
            Op::Guest(_)
            | Op::Set(..)
            | Op::Store(..)
            | Op::StoreFloat(..)
            | Op::Fence
            | Op::ClearReservation
            | Op::SetFcsr(_) => return None,
            Op::Flags(flags) => flags.ty(),
            Op::Vector(vector) => return vector.ty(),
            Op::Get(place) => place.ty(),
            Op::LoadFloat(format, ..)
            | Op::Float(_, format, ..)
            | Op::FloatMinMax(_, format, ..)
            | Op::FloatSqrt(format, ..)
            | Op::FloatConvert(format, ..)
            | Op::FloatSign(_, format, ..)
            | Op::FromBits(format, _) => format.ty(),
            Op::FloatFused(fused, ..) => fused.format.ty(),
            Op::IntToFloat(conversion, _) => conversion.format.ty(),
            Op::Box(_) => Type::F64,
            Op::Unbox(_) => Type::F32,
            Op::Const(_)
            | Op::Binary(..)
            | Op::Unary(..)
            | Op::Compare(..)
            | Op::Extend(..)
            | Op::Select(..)
            | Op::Load(..)
            | Op::LoadReserved(..)
            | Op::StoreConditional(..)
            | Op::Atomic(..)
            | Op::CompareExchange(..)
            | Op::Crc32(..)
            | Op::FloatCompare(..)
            | Op::FloatClass(..)
            | Op::FloatToInt(..)
            | Op::Bits(..)
            | Op::GetFcsr
            | Op::Counter(_) => Type::Int,
        })
    }

    /// Whether it does nothing but give a value, of integers and quickly seen to.
    pub const fn is_pure(&self) -> bool {
        matches!(
            self,
            Op::Const(_)
                | Op::Get(_)
                | Op::Binary(..)
                | Op::Unary(..)
                | Op::Compare(..)
                | Op::Extend(..)
                | Op::Select(..)
        )
    }

    /// Calls `visit` with each operand and the type it must have.
    pub fn operands(&self, mut visit: impl FnMut(Value, Type)) {
        use Type::{F32, F64, Int};
        match *self {
            Op::Guest(_)
            | Op::Const(_)
            | Op::Get(_)
            | Op::Fence
            | Op::ClearReservation
            | Op::GetFcsr
            | Op::Counter(_) => {}
            Op::Flags(flags) => flags.operands(visit),
            Op::Vector(vector) => vector.operands(visit),
            Op::Set(place, a) => visit(a, place.ty()),
            Op::Binary(_, _, a, b) | Op::Compare(_, _, a, b) | Op::Crc32(_, _, a, b) => {
                visit(a, Int);
                visit(b, Int);
            }
            Op::Unary(_, _, a)
            | Op::Extend(_, _, a)
            | Op::Load(_, _, a, _)
            | Op::LoadFloat(_, a, _)
            | Op::LoadReserved(_, a)
            | Op::IntToFloat(_, a)
            | Op::FromBits(_, a)
            | Op::SetFcsr(a) => visit(a, Int),
            Op::Select(a, b, c) | Op::CompareExchange(_, a, b, c) => {
                visit(a, Int);
                visit(b, Int);
                visit(c, Int);
            }
            Op::Store(_, a, _, b) | Op::StoreConditional(_, a, b) | Op::Atomic(_, _, a, b) => {
                visit(a, Int);
                visit(b, Int);
            }
            Op::StoreFloat(format, a, _, b) => {
                visit(a, Int);
                visit(b, format.ty());
            }
            Op::Float(_, format, _, a, b)
            | Op::FloatMinMax(_, format, a, b)
            | Op::FloatCompare(_, format, a, b)
            | Op::FloatSign(_, format, a, b) => {
                visit(a, format.ty());
                visit(b, format.ty());
            }
            Op::FloatSqrt(format, _, a) | Op::FloatClass(format, a) | Op::Bits(format, a) => {
                visit(a, format.ty());
            }
            Op::FloatFused(fused, a, b, c) => {
                visit(a, fused.format.ty());
                visit(b, fused.format.ty());
                visit(c, fused.format.ty());
            }
            Op::FloatToInt(conversion, a) => visit(a, conversion.format.ty()),
            Op::FloatConvert(Format::Single, _, a) | Op::Unbox(a) => visit(a, F64),
            Op::FloatConvert(Format::Double, _, a) | Op::Box(a) => visit(a, F32),
        }
    }
}

impl End {
    /// Calls `visit` with each operand; all are integers.
    pub fn operands(&self, mut visit: impl FnMut(Value)) {
        match *self {
            End::Branch { a, b, .. } => {
                visit(a);
                visit(b);
            }
            End::Indirect(a, _) => visit(a),
            _ => {}
        }
    }
}
