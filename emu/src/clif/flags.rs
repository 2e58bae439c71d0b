//! Condition flags, as 64-bit values in the form that the state has them while
//! translated code runs ([`host_flags`]). Most conditions never come here: the lifter makes comparisons of them. What is computed here and not
//! used, Cranelift drops.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I32, I64};
use cranelift_codegen::ir::{self as clif, InstBuilder, MemFlagsData};
use cranelift_frontend::{FunctionBuilder, Variable};
use rustc_hash::FxHashMap;

use super::emit::Emit;
use crate::GuestAddr;
use crate::ir::{Block, Condition, Flags, Format, Op, Place, Value, Width};
use crate::regions::{self, Returns};
use crate::state::DeferredFlags;

const N: u8 = 15;
const Z: u8 = 14;
/// The opposite of C.
const BORROW: u8 = 8;
const V: u8 = 0;

/// The flags register between blocks: not the flags but what they are of, so
/// that a loop which sets them in each turn need not work them out. See
/// [`DeferredFlags`].
#[derive(Clone, Copy)]
pub(super) struct FlagsRegister {
    of: Variable,
    a: Variable,
    b: Variable,
}

impl FlagsRegister {
    pub(super) fn declare(b: &mut FunctionBuilder<'_>) -> FlagsRegister {
        FlagsRegister {
            of: b.declare_var(I64),
            a: b.declare_var(I64),
            b: b.declare_var(I64),
        }
    }

    /// In the order that the state has them.
    pub(super) fn parts(self) -> [Variable; 3] {
        [self.of, self.a, self.b]
    }
}

/// What the flags register is known to hold: flags of these operands, by the
/// bits of [`DeferredFlags`].
#[derive(Clone, Copy)]
pub(super) struct Known {
    of: u64,
    a: clif::Value,
    b: clif::Value,
}

/// What flags that an operation gives are of; with no [`DeferredFlags::OF`], they
/// are kept themselves.
fn deferred_as(op: &Op) -> u64 {
    let of = match *op {
        Op::Flags(Flags::Sub(width, ..)) => narrow(width),
        Op::Flags(Flags::Add(width, ..)) => narrow(width) | DeferredFlags::SUM,
        Op::Flags(Flags::Logic(width, _)) => narrow(width) | DeferredFlags::RESULT,
        Op::Flags(Flags::Float(Format::Single, ..)) => {
            DeferredFlags::NARROW | DeferredFlags::NUMBERS
        }
        Op::Flags(Flags::Float(Format::Double, ..)) => DeferredFlags::NUMBERS,
        _ => return DeferredFlags::SOME,
    };
    DeferredFlags::SOME | DeferredFlags::OF | of
}

/// What the flags register holds flags of.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Kind {
    of: u64,
    /// The second operand, if it is always this.
    second: Option<u64>,
}

impl Kind {
    /// Flags themselves.
    const PACKED: Kind = Kind {
        of: DeferredFlags::SOME,
        second: Some(0),
    };

    /// Of the flags that an operation of a block gives.
    fn given(ops: &[Op], v: Value) -> Kind {
        let op = &ops[v.index()];
        let of = deferred_as(op);
        let second = match *op {
            Op::Flags(Flags::Sub(_, _, b) | Flags::Add(_, _, b)) => match ops[b.index()] {
                Op::Const(n) => Some(n),
                _ => None,
            },
            Op::Flags(Flags::Float(..)) => None,
            _ => Some(0),
        };
        Kind { of, second }
    }

    /// What holds of both.
    fn join(self, other: Kind) -> Option<Kind> {
        let second = self.second.filter(|_| self.second == other.second);
        (self.of == other.of).then_some(Kind { second, ..self })
    }
}

/// For each block of a region, what the flags register holds flags of when it is
/// entered, where that is the same on every way there.
pub(super) fn flags_at_entry(region: &[Block], returns: &Returns) -> Vec<Option<Kind>> {
    let index: FxHashMap<GuestAddr, usize> = region
        .iter()
        .enumerate()
        .map(|(i, block)| (block.start, i))
        .collect();
    let set = |block: &Block| {
        let last = block.ops.iter().rev().find_map(|op| match *op {
            Op::Set(Place::Nzcv, v) => Some(v),
            _ => None,
        });
        last.map(|v| Kind::given(&block.ops, v))
    };
    let set: Vec<Option<Kind>> = region.iter().map(set).collect();
    // Nothing yet, or what all ways so far agree on.
    let mut known: Vec<Option<Option<Kind>>> = vec![None; region.len()];
    known[0] = Some(Some(Kind::PACKED));
    let mut wanted: Vec<usize> = (0..region.len()).collect();
    while let Some(at) = wanted.pop() {
        let Some(entry) = known[at] else { continue };
        let after = set[at].map_or(entry, Some);
        for next in regions::successors(&region[at], returns) {
            let Some(&next) = index.get(&next) else {
                continue;
            };
            let joined = match known[next] {
                Some(other) => Some(other.zip(after).and_then(|(one, two)| one.join(two))),
                None => Some(after),
            };
            if joined != known[next] {
                known[next] = joined;
                wanted.push(next);
            }
        }
    }
    known.into_iter().map(Option::flatten).collect()
}

impl Emit<'_> {
    /// What the flags register holds, of a known kind.
    pub(super) fn known_flags(&mut self, register: FlagsRegister, kind: Kind) -> Known {
        let (a, b) = (self.b.use_var(register.a), self.b.use_var(register.b));
        Known { of: kind.of, a, b }
    }

    /// Known flags, worked out.
    pub(super) fn work_out(&mut self, known: Known) -> clif::Value {
        let Known { of, a, b } = known;
        if of & DeferredFlags::OF == 0 {
            return a;
        }
        if of & DeferredFlags::NUMBERS != 0 {
            let (a, b) = self.known_numbers(known);
            return self.compared_numbers(a, b);
        }
        let [a, b] = [a, b].map(|v| self.known_width(of, v));
        if of & DeferredFlags::RESULT != 0 {
            let nz = self.sign_and_zero(a);
            self.b.ins().bor_imm_u(nz, 1 << BORROW)
        } else if of & DeferredFlags::SUM != 0 {
            self.flags_of_sum(a, b)
        } else {
            self.flags_of_difference(a, b)
        }
    }

    fn known_width(&mut self, of: u64, v: clif::Value) -> clif::Value {
        if of & DeferredFlags::NARROW == 0 {
            v
        } else {
            self.b.ins().ireduce(I32, v)
        }
    }

    fn known_numbers(&mut self, known: Known) -> (clif::Value, clif::Value) {
        let [a, b] = [known.a, known.b].map(|bits| {
            let bits = self.known_width(known.of, bits);
            let ty = if known.of & DeferredFlags::NARROW == 0 {
                F64
            } else {
                F32
            };
            self.b.ins().bitcast(ty, MemFlagsData::new(), bits)
        });
        (a, b)
    }

    /// Whether a condition on known flags holds, where a comparison says so.
    fn test_known(&mut self, condition: Condition, known: Known) -> Option<clif::Value> {
        use Condition as K;
        let Known { of, a, b } = known;
        if of & DeferredFlags::OF == 0 || of & DeferredFlags::SUM != 0 {
            return None;
        }
        if of & DeferredFlags::NUMBERS != 0 {
            let (a, b) = self.known_numbers(known);
            return Some(self.compare_numbers(condition, a, b));
        }
        let [a, b] = [a, b].map(|v| self.known_width(of, v));
        let of_result = of & DeferredFlags::RESULT != 0;
        let b = if of_result {
            let ty = self.b.func.dfg.value_type(a);
            self.b.ins().iconst(ty, 0)
        } else {
            b
        };
        let cond = match condition {
            K::Eq => IntCC::Equal,
            K::Ne => IntCC::NotEqual,
            K::Ge => IntCC::SignedGreaterThanOrEqual,
            K::Lt => IntCC::SignedLessThan,
            K::Gt => IntCC::SignedGreaterThan,
            K::Le => IntCC::SignedLessThanOrEqual,
            K::Mi if of_result => IntCC::SignedLessThan,
            K::Pl if of_result => IntCC::SignedGreaterThanOrEqual,
            // A result has neither carry nor overflow.
            _ if of_result => return None,
            K::Cs => IntCC::UnsignedGreaterThanOrEqual,
            K::Cc => IntCC::UnsignedLessThan,
            K::Hi => IntCC::UnsignedGreaterThan,
            K::Ls => IntCC::UnsignedLessThanOrEqual,
            K::Mi | K::Pl | K::Vs | K::Vc => return None,
        };
        let holds = self.b.ins().icmp(cond, a, b);
        Some(self.widen(holds))
    }

    /// The register holds flags of this kind, whichever way led here: what it has
    /// of that are constants, which need no register.
    pub(super) fn fix_kind(&mut self, register: FlagsRegister, kind: Kind) {
        let of = self.constant(kind.of);
        self.b.def_var(register.of, of);
        if let Some(second) = kind.second {
            let second = self.constant(second);
            self.b.def_var(register.b, second);
        }
    }

    /// The register now holds these flags.
    pub(super) fn set_packed_flags(&mut self, register: FlagsRegister, flags: clif::Value) {
        let of = self.constant(DeferredFlags::SOME);
        let zero = self.constant(0);
        self.b.def_var(register.of, of);
        self.b.def_var(register.a, flags);
        self.b.def_var(register.b, zero);
    }

    /// The register now holds these flags, which this operation gives.
    pub(super) fn set_flags_register(
        &mut self,
        register: FlagsRegister,
        flags: clif::Value,
        from: &Op,
    ) {
        let (a, b) = match *from {
            Op::Flags(Flags::Sub(_, a, b) | Flags::Add(_, a, b)) => (self.get(a), self.get(b)),
            Op::Flags(Flags::Logic(_, a)) => (self.get(a), self.constant(0)),
            Op::Flags(Flags::Float(format, _, a, b)) => {
                (self.bits(format, a), self.bits(format, b))
            }
            _ => return self.set_packed_flags(register, flags),
        };
        let of = self.constant(deferred_as(from));
        self.b.def_var(register.of, of);
        self.b.def_var(register.a, a);
        self.b.def_var(register.b, b);
    }

    /// The bits of the lowest number of a vector.
    fn bits(&mut self, format: Format, v: Value) -> clif::Value {
        let number = self.scalar(format, v);
        let ty = if format == Format::Single { I32 } else { I64 };
        let bits = self.b.ins().bitcast(ty, MemFlagsData::new(), number);
        self.widen(bits)
    }

    /// The flags that the register holds.
    pub(super) fn packed_flags(&mut self, register: FlagsRegister) -> clif::Value {
        let of = self.b.use_var(register.of);
        let (plain, second) = (self.b.use_var(register.a), self.b.use_var(register.b));
        let has = |emit: &mut Self, bit: u64| emit.b.ins().band_imm_u(of, bit as i64);
        // Lower halves, moved up, have the same flags.
        let by = has(self, DeferredFlags::NARROW);
        let by = self.b.ins().ishl_imm_u(by, 4);
        let (a, b) = (self.b.ins().ishl(plain, by), self.b.ins().ishl(second, by));
        let sums = has(self, DeferredFlags::SUM);
        let (sum, difference) = (self.b.ins().iadd(a, b), self.b.ins().isub(a, b));
        let result = self.b.ins().select(sums, sum, difference);
        let opposite = self.b.ins().bnot(b);
        let added = self.b.ins().select(sums, b, opposite);
        let no_carry = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, sum, a);
        let borrow = self.b.ins().icmp(IntCC::UnsignedLessThan, a, b);
        let borrow = self.b.ins().select(sums, no_carry, borrow);
        let overflow = self.add_overflow(a, added, result);
        let flags = self.arithmetic(result, borrow, overflow);
        let of_result = has(self, DeferredFlags::RESULT);
        let borrow = self.b.ins().ishl_imm_u(
            of_result,
            i64::from(BORROW) - i64::from(DeferredFlags::RESULT.ilog2()),
        );
        let flags = self.b.ins().bor(flags, borrow);
        let of_numbers = self.number_flags(of, plain, second);
        let numbers = has(self, DeferredFlags::NUMBERS);
        let flags = self.b.ins().select(numbers, of_numbers, flags);
        let deferred = has(self, DeferredFlags::OF);
        self.b.ins().select(deferred, flags, plain)
    }

    /// Of numbers, whose bits these are. Singles are compared as doubles.
    fn number_flags(&mut self, of: clif::Value, a: clif::Value, b: clif::Value) -> clif::Value {
        let narrow = self.b.ins().band_imm_u(of, DeferredFlags::NARROW as i64);
        // What is no such number raises no flag.
        let numbers = self.b.ins().band_imm_u(of, DeferredFlags::NUMBERS as i64);
        let zero = self.constant(0);
        let [a, b] = [a, b].map(|bits| {
            let bits = self.b.ins().select(numbers, bits, zero);
            let wide = self.b.ins().select(narrow, zero, bits);
            let double = self.b.ins().bitcast(F64, MemFlagsData::new(), wide);
            let low = self.b.ins().select(narrow, bits, zero);
            let low = self.b.ins().ireduce(I32, low);
            let single = self.b.ins().bitcast(F32, MemFlagsData::new(), low);
            let single = self.b.ins().fpromote(F64, single);
            self.b.ins().select(narrow, single, double)
        });
        self.compared_numbers(a, b)
    }

    pub(super) fn flags(&mut self, op: &Flags, ops: &[Op]) -> clif::Value {
        match *op {
            Flags::Add(width, a, b) => {
                let (a, b) = (self.narrow(width, a), self.narrow(width, b));
                self.flags_of_sum(a, b)
            }
            Flags::Sub(width, a, b) => {
                let (a, b) = (self.narrow(width, a), self.narrow(width, b));
                self.flags_of_difference(a, b)
            }
            Flags::AddCarry(width, a, b, c) => self.add_carry_flags(width, a, b, c),
            Flags::Logic(width, a) => {
                let a = self.narrow(width, a);
                let nz = self.sign_and_zero(a);
                self.b.ins().bor_imm_u(nz, 1 << BORROW)
            }
            Flags::Float(format, signals, a, b) => self.float_flags(format, signals, a, b),
            Flags::Pack(a) => {
                let nzcv = self.get(a);
                let nz = self.b.ins().ushr_imm_u(nzcv, 16);
                let nz = self.b.ins().band_imm_u(nz, 0xc000);
                let (c, v) = (self.has(nzcv, 29), self.has(nzcv, 28));
                let borrow = self.b.ins().bxor_imm_u(c, 1);
                let borrow = self.b.ins().ishl_imm_u(borrow, i64::from(BORROW));
                let cv = self.b.ins().bor(borrow, v);
                self.b.ins().bor(nz, cv)
            }
            Flags::Unpack(a) => {
                let flags = self.get(a);
                let nz = self.b.ins().band_imm_u(flags, 0xc000);
                let nz = self.b.ins().ishl_imm_u(nz, 16);
                let (borrow, v) = (self.has(flags, BORROW), self.has(flags, V));
                let c = self.b.ins().bxor_imm_u(borrow, 1);
                let (c, v) = (
                    self.b.ins().ishl_imm_u(c, 29),
                    self.b.ins().ishl_imm_u(v, 28),
                );
                let cv = self.b.ins().bor(c, v);
                self.b.ins().bor(nz, cv)
            }
            Flags::Select(c, a, b) => {
                let (c, a, b) = (self.get(c), self.get(a), self.get(b));
                self.b.ins().select(c, a, b)
            }
            Flags::Test(condition, a) => {
                if let Op::Flags(Flags::Float(format, _, a, b)) = ops[a.index()] {
                    return self.test_numbers(condition, format, a, b);
                }
                if let Some(&known) = self.known.get(&a)
                    && let Some(holds) = self.test_known(condition, known)
                {
                    return holds;
                }
                let a = self.get(a);
                self.test_flags(condition, a)
            }
        }
    }

    fn flags_of_sum(&mut self, a: clif::Value, b: clif::Value) -> clif::Value {
        let sum = self.b.ins().iadd(a, b);
        let borrow = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, sum, a);
        let overflow = self.add_overflow(a, b, sum);
        self.arithmetic(sum, borrow, overflow)
    }

    fn flags_of_difference(&mut self, a: clif::Value, b: clif::Value) -> clif::Value {
        let difference = self.b.ins().isub(a, b);
        let borrow = self.b.ins().icmp(IntCC::UnsignedLessThan, a, b);
        let opposite = self.b.ins().bnot(b);
        let overflow = self.add_overflow(a, opposite, difference);
        self.arithmetic(difference, borrow, overflow)
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
        borrow: clif::Value,
        overflow: clif::Value,
    ) -> clif::Value {
        let nz = self.sign_and_zero(result);
        let (c, v) = (self.flag(borrow, BORROW), self.flag(overflow, V));
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
        let borrow = self.b.ins().bxor_imm_u(carry, 1);
        let overflow = self.add_overflow(a, b, sum);
        self.arithmetic(sum, borrow, overflow)
    }

    /// Whether one of two numbers is NaN.
    pub(super) fn unordered(&mut self, format: Format, a: Value, b: Value) -> clif::Value {
        let (a, b) = (self.scalar(format, a), self.scalar(format, b));
        self.b.ins().fcmp(FloatCC::Unordered, a, b)
    }

    /// The host's quiet comparison; a signalling one of NaNs is the interpreter's.
    fn float_flags(&mut self, format: Format, signals: bool, a: Value, b: Value) -> clif::Value {
        if signals {
            let unordered = self.unordered(format, a, b);
            self.interpret_if(unordered, false);
        }
        let (a, b) = (self.scalar(format, a), self.scalar(format, b));
        self.compared_numbers(a, b)
    }

    fn compared_numbers(&mut self, a: clif::Value, b: clif::Value) -> clif::Value {
        let unordered = self.b.ins().fcmp(FloatCC::Unordered, a, b);
        let less = self.b.ins().fcmp(FloatCC::LessThan, a, b);
        let equal = self.b.ins().fcmp(FloatCC::Equal, a, b);
        let (n, z) = (self.flag(less, N), self.flag(equal, Z));
        let (c, v) = (self.flag(less, BORROW), self.flag(unordered, V));
        let nz = self.b.ins().bor(n, z);
        let cv = self.b.ins().bor(c, v);
        self.b.ins().bor(nz, cv)
    }

    /// Whether a condition on the flags of two numbers holds.
    fn test_numbers(
        &mut self,
        condition: Condition,
        format: Format,
        a: Value,
        b: Value,
    ) -> clif::Value {
        let (a, b) = (self.scalar(format, a), self.scalar(format, b));
        self.compare_numbers(condition, a, b)
    }

    fn compare_numbers(
        &mut self,
        condition: Condition,
        a: clif::Value,
        b: clif::Value,
    ) -> clif::Value {
        use Condition as K;
        let cond = match condition {
            K::Eq => FloatCC::Equal,
            K::Ne => FloatCC::NotEqual,
            K::Cs | K::Pl => FloatCC::UnorderedOrGreaterThanOrEqual,
            K::Cc | K::Mi => FloatCC::LessThan,
            K::Vs => FloatCC::Unordered,
            K::Vc => FloatCC::Ordered,
            K::Hi => FloatCC::UnorderedOrGreaterThan,
            K::Ls => FloatCC::LessThanOrEqual,
            K::Ge => FloatCC::GreaterThanOrEqual,
            K::Lt => FloatCC::UnorderedOrLessThan,
            K::Gt => FloatCC::GreaterThan,
            K::Le => FloatCC::UnorderedOrLessThanOrEqual,
        };
        let holds = self.b.ins().fcmp(cond, a, b);
        self.widen(holds)
    }

    fn has(&mut self, flags: clif::Value, bit: u8) -> clif::Value {
        let down = self.b.ins().ushr_imm_u(flags, i64::from(bit));
        self.b.ins().band_imm_u(down, 1)
    }

    fn test_flags(&mut self, condition: Condition, flags: clif::Value) -> clif::Value {
        use Condition as K;
        let (positive, inverted) = match condition {
            K::Eq | K::Ne => (self.has(flags, Z), condition == K::Ne),
            K::Cs | K::Cc => (self.has(flags, BORROW), condition == K::Cs),
            K::Mi | K::Pl => (self.has(flags, N), condition == K::Pl),
            K::Vs | K::Vc => (self.has(flags, V), condition == K::Vc),
            K::Hi | K::Ls => {
                let (borrow, z) = (self.has(flags, BORROW), self.has(flags, Z));
                (self.b.ins().bor(borrow, z), condition == K::Hi)
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
}

/// The bit of a comparison's width.
fn narrow(width: Width) -> u64 {
    if width == Width::W32 {
        DeferredFlags::NARROW
    } else {
        0
    }
}
