//! Runs IR as its documentation says it: the oracle for every other tier, and
//! what they fall back on for one instruction when the host cannot do it.
//!
//! Floating point is [`crate::soft`], so nothing here depends on the host's
//! control words. Integer semantics are the free functions, which lifters use
//! to fold constants.

mod crypto;
pub(crate) mod flags;
pub(crate) mod lanes;
mod vector;

use std::cmp::Ordering;

use crate::aarch64::float::{FPCR_BITS, FPSR_BITS};
use crate::addr::GuestAddr;
use crate::exit::{Access, Exit, Fault, FaultKind};
use crate::fault::{self, HostFault};
use crate::ir::{
    AtomicOp, Binary, Block, Cond, End, FloatCond, FloatOp, Format, IntFloat, Op, Place, Rounding,
    Sign, Size, Unary, Value, Width,
};
use crate::memory::GuestMemory;
use crate::soft::{Float, quiet_nan};
use crate::state::{GuestState, NO_RESERVATION};

/// a op b.
pub fn binary(op: Binary, width: Width, a: u64, b: u64) -> u64 {
    match width {
        Width::W64 => binary64(op, a, b),
        Width::W32 => u64::from(binary32(op, a as u32, b as u32)),
    }
}

macro_rules! binary_operation {
    ($name:ident, $unsigned:ident, $signed:ident, $wide:ident, $wide_signed:ident) => {
        fn $name(op: Binary, a: $unsigned, b: $unsigned) -> $unsigned {
            let (s, t) = (a as $signed, b as $signed);
            let bits = $unsigned::BITS;
            match op {
                Binary::Add => a.wrapping_add(b),
                Binary::Sub => a.wrapping_sub(b),
                Binary::And => a & b,
                Binary::Or => a | b,
                Binary::Xor => a ^ b,
                Binary::Shl => a << (b % $unsigned::from(bits as u8)),
                Binary::ShrU => a >> (b % $unsigned::from(bits as u8)),
                Binary::ShrS => (s >> (b % $unsigned::from(bits as u8))) as $unsigned,
                Binary::RotR => a.rotate_right((b % $unsigned::from(bits as u8)) as u32),
                Binary::Mul => a.wrapping_mul(b),
                Binary::MulHighS => {
                    ($wide_signed::from(s) * $wide_signed::from(t) >> bits) as $unsigned
                }
                Binary::MulHighU => ($wide::from(a) * $wide::from(b) >> bits) as $unsigned,
                Binary::MulHighSU => {
                    ($wide_signed::from(s) * $wide_signed::from(b) >> bits) as $unsigned
                }
                Binary::DivS if b == 0 => $unsigned::MAX,
                Binary::DivS => s.wrapping_div(t) as $unsigned,
                Binary::DivU => a.checked_div(b).unwrap_or($unsigned::MAX),
                Binary::RemS if b == 0 => a,
                Binary::RemS => s.wrapping_rem(t) as $unsigned,
                Binary::RemU => a.checked_rem(b).unwrap_or(a),
                Binary::MinS => s.min(t) as $unsigned,
                Binary::MinU => a.min(b),
                Binary::MaxS => s.max(t) as $unsigned,
                Binary::MaxU => a.max(b),
            }
        }
    };
}
binary_operation!(binary64, u64, i64, u128, i128);
binary_operation!(binary32, u32, i32, u64, i64);

/// op a.
pub fn unary(op: Unary, width: Width, a: u64) -> u64 {
    match (op, width) {
        (Unary::Clz, Width::W64) => a.leading_zeros().into(),
        (Unary::Clz, Width::W32) => (a as u32).leading_zeros().into(),
        (Unary::Ctz, Width::W64) => a.trailing_zeros().into(),
        (Unary::Ctz, Width::W32) => (a as u32).trailing_zeros().into(),
        (Unary::PopCount, Width::W64) => a.count_ones().into(),
        (Unary::PopCount, Width::W32) => (a as u32).count_ones().into(),
        (Unary::ByteSwap, Width::W64) => a.swap_bytes(),
        (Unary::ByteSwap, Width::W32) => (a as u32).swap_bytes().into(),
        (Unary::BitSwap, Width::W64) => a.reverse_bits(),
        (Unary::BitSwap, Width::W32) => (a as u32).reverse_bits().into(),
        (Unary::OrBytes, Width::W64) => or_bytes(a),
        (Unary::OrBytes, Width::W32) => or_bytes(a & 0xffff_ffff),
    }
}

fn or_bytes(a: u64) -> u64 {
    u64::from_le_bytes(a.to_le_bytes().map(|byte| if byte == 0 { 0 } else { 0xff }))
}

/// Whether the comparison holds.
pub fn compare(cond: Cond, width: Width, a: u64, b: u64) -> bool {
    let (a, b) = match width {
        Width::W64 => (a, b),
        Width::W32 => (extend(Size::B4, true, a), extend(Size::B4, true, b)),
    };
    match cond {
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::LtS => (a as i64) < b as i64,
        Cond::GeS => a as i64 >= b as i64,
        Cond::LtU => a < b,
        Cond::GeU => a >= b,
    }
}

/// The low bytes of a, extended.
pub fn extend(size: Size, signed: bool, a: u64) -> u64 {
    let shift = 64 - 8 * size.bytes();
    if signed {
        ((a << shift) as i64 >> shift) as u64
    } else {
        a << shift >> shift
    }
}

/// What an atomic stores.
pub fn atomic(op: AtomicOp, size: Size, old: u64, operand: u64) -> u64 {
    let signed = matches!(op, AtomicOp::MinS | AtomicOp::MaxS);
    let (a, b) = (extend(size, signed, old), extend(size, signed, operand));
    let op = match op {
        AtomicOp::Swap => return operand,
        AtomicOp::Add => Binary::Add,
        AtomicOp::Xor => Binary::Xor,
        AtomicOp::And => Binary::And,
        AtomicOp::Or => Binary::Or,
        AtomicOp::MinS => Binary::MinS,
        AtomicOp::MaxS => Binary::MaxS,
        AtomicOp::MinU => Binary::MinU,
        AtomicOp::MaxU => Binary::MaxU,
    };
    binary(op, Width::W64, a, b)
}

/// The CRC-32 of the low bytes of `data` after those that gave `crc`, for the
/// polynomial of ISO 3309 or of Castagnoli, bits reversed.
pub fn crc32(castagnoli: bool, size: Size, crc: u64, data: u64) -> u64 {
    let polynomial: u32 = if castagnoli { 0x82f6_3b78 } else { 0xedb8_8320 };
    data.to_le_bytes()[..size.bytes() as usize]
        .iter()
        .fold(crc as u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                crc >> 1 ^ if crc & 1 != 0 { polynomial } else { 0 }
            })
        })
        .into()
}

fn misaligned(address: u64, access: Access) -> Exit {
    Exit::Fault(Fault {
        address: GuestAddr(address),
        access,
        kind: FaultKind::Misaligned,
    })
}

/// The rounding mode that `fcsr` holds, if it holds one.
pub fn dynamic_rounding(fcsr: u32) -> Option<Rounding> {
    Some(match fcsr >> 5 & 7 {
        0 => Rounding::Nearest,
        1 => Rounding::Zero,
        2 => Rounding::Down,
        3 => Rounding::Up,
        4 => Rounding::NearestAway,
        _ => return None,
    })
}

/// How a block that was run to its end goes on, at `state.pc`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// With whatever block is there.
    Block,
    /// The same, after code that was read before was looked at again (FENCE.I).
    CodeChanged,
}

/// Runs a block from its beginning. When the guest cannot go on the exit says
/// why, with the state exact. `values` is scratch space, kept between calls.
pub fn run(
    block: &Block,
    state: &mut GuestState,
    memory: &GuestMemory,
    values: &mut Vec<u128>,
) -> Result<Next, Exit> {
    values.clear();
    let mut run = Run {
        state,
        memory,
        values,
    };
    for op in &block.ops {
        let value = match op {
            Op::Vector(vector) => run.vector(vector)?,
            Op::Get(Place::V(n)) => run.vector_register(*n),
            op => run.op(op)?.into(),
        };
        run.values.push(value);
    }
    run.end(&block.end)
}

struct Run<'a> {
    state: &'a mut GuestState,
    memory: &'a GuestMemory,
    values: &'a mut Vec<u128>,
}

impl Run<'_> {
    fn get(&self, v: Value) -> u64 {
        self.values[v.index()] as u64
    }

    fn get_vector(&self, v: Value) -> u128 {
        self.values[v.index()]
    }

    /// Does one operation and gives its value, 0 when it has none.
    fn op(&mut self, op: &Op) -> Result<u64, Exit> {
        Ok(match *op {
            Op::Guest(at) => {
                self.state.pc = at;
                0
            }
            Op::Const(n) => n,
            Op::Get(Place::X(n)) => self.state.x[usize::from(n)],
            Op::Get(Place::F(n)) => self.state.f[usize::from(n)],
            Op::Get(Place::V(_)) => unreachable!("a vector is no integer"),
            Op::Get(Place::Nzcv) => self.state.aarch64.nzcv.into(),
            Op::Get(Place::Fpcr) => self.state.aarch64.fpcr.into(),
            Op::Get(Place::Fpsr) => self.state.aarch64.fpsr.into(),
            Op::Get(Place::Tpidr) => self.state.aarch64.tpidr,
            Op::Set(place, v) => {
                self.set(place, v);
                0
            }
            Op::Binary(op, width, a, b) => binary(op, width, self.get(a), self.get(b)),
            Op::Unary(op, width, a) => unary(op, width, self.get(a)),
            Op::Compare(cond, width, a, b) => compare(cond, width, self.get(a), self.get(b)).into(),
            Op::Extend(size, signed, a) => extend(size, signed, self.get(a)),
            Op::Select(c, a, b) => self.get(if self.get(c) != 0 { a } else { b }),
            Op::Load(size, signed, a, by) => extend(size, signed, self.load(size, a, by)?),
            Op::Store(size, a, by, v) => self.store(size, a, by, self.get(v))?,
            Op::LoadFloat(format, a, by) => self.load(bytes(format), a, by)?,
            Op::StoreFloat(format, a, by, v) => self.store(bytes(format), a, by, self.get(v))?,
            Op::LoadReserved(size, a) => self.load_reserved(size, self.get(a))?,
            Op::StoreConditional(size, a, v) => {
                self.store_conditional(size, self.get(a), self.get(v))?
            }
            Op::Atomic(op, size, a, v) => self.atomic(op, size, self.get(a), self.get(v))?,
            Op::Fence => {
                std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
                0
            }
            Op::GetFcsr => self.state.fcsr.into(),
            Op::SetFcsr(v) => {
                self.state.fcsr = self.get(v) as u32 & 0xff;
                0
            }
            Op::Counter(counter) => crate::clock::counter(counter),
            Op::CompareExchange(size, a, expected, new) => {
                self.compare_exchange(size, self.get(a), self.get(expected), self.get(new))?
            }
            Op::ClearReservation => {
                self.state.reservation = NO_RESERVATION;
                0
            }
            Op::Crc32(castagnoli, size, a, b) => crc32(castagnoli, size, self.get(a), self.get(b)),
            Op::Flags(ref flags) => self.flags(flags),
            ref float => self.float(float)?,
        })
    }

    fn set(&mut self, place: Place, v: Value) {
        let value = self.get(v);
        match place {
            Place::X(n) => self.state.x[usize::from(n)] = value,
            Place::F(n) => self.state.f[usize::from(n)] = value,
            Place::V(n) => self.set_vector_register(n, self.get_vector(v)),
            Place::Nzcv => self.state.aarch64.nzcv = value as u32,
            Place::Fpcr => self.state.aarch64.fpcr = value as u32 & FPCR_BITS,
            Place::Fpsr => self.state.aarch64.fpsr = value as u32 & FPSR_BITS,
            Place::Tpidr => self.state.aarch64.tpidr = value,
        }
    }

    /// The floating-point operations.
    fn float(&mut self, op: &Op) -> Result<u64, Exit> {
        Ok(match *op {
            Op::Float(op, format, rounding, a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.with(format, rounding, |float| match op {
                    FloatOp::Add => float.add(a, b, false),
                    FloatOp::Sub => float.add(a, b, true),
                    FloatOp::Mul => float.mul(a, b),
                    FloatOp::Div => float.div(a, b),
                })?
            }
            Op::FloatMinMax(max, format, a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.with(format, Rounding::Nearest, |float| float.min_max(a, b, max))?
            }
            Op::FloatSqrt(format, rounding, a) => {
                let a = self.get(a);
                self.with(format, rounding, |float| float.sqrt(a))?
            }
            Op::FloatFused(fused, a, b, c) => {
                let sign = |negate| if negate { negative(fused.format) } else { 0 };
                let a = self.get(a) ^ sign(fused.negate_product);
                let (b, c) = (self.get(b), self.get(c) ^ sign(fused.negate_addend));
                self.with(fused.format, fused.rounding, |float| float.fused(a, b, c))?
            }
            Op::FloatCompare(cond, format, a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.with(format, Rounding::Nearest, |float| {
                    let order = float.compare(a, b, cond != FloatCond::Eq);
                    u64::from(match cond {
                        FloatCond::Eq => order == Some(Ordering::Equal),
                        FloatCond::Lt => order == Some(Ordering::Less),
                        FloatCond::Le => order.is_some_and(Ordering::is_le),
                    })
                })?
            }
            Op::FloatClass(format, a) => Float::new(format, Rounding::Nearest).class(self.get(a)),
            Op::FloatToInt(c, a) => {
                let a = self.get(a);
                self.with(c.format, c.rounding, |float| {
                    float.to_int(a, c.width.bits(), c.signed)
                })?
            }
            Op::IntToFloat(c, a) => {
                let integer = integer(&c, self.get(a));
                self.with(c.format, c.rounding, |float| float.from_int(integer))?
            }
            Op::FloatConvert(to, rounding, a) => {
                let a = self.get(a);
                let from = if to == Format::Single {
                    Format::Double
                } else {
                    Format::Single
                };
                self.with(to, rounding, |float| float.convert(from, a))?
            }
            Op::FloatSign(sign, format, a, b) => {
                let (a, b, mask) = (self.get(a), self.get(b), negative(format));
                match sign {
                    Sign::Copy => a & !mask | b & mask,
                    Sign::CopyNot => a & !mask | !b & mask,
                    Sign::Xor => a ^ b & mask,
                }
            }
            Op::Bits(_, a) => self.get(a),
            Op::FromBits(Format::Double, a) => self.get(a),
            Op::FromBits(Format::Single, a) => self.get(a) & 0xffff_ffff,
            Op::Box(a) => self.get(a) | 0xffff_ffff << 32,
            Op::Unbox(a) => match self.get(a) {
                boxed if boxed >> 32 == 0xffff_ffff => boxed & 0xffff_ffff,
                _ => quiet_nan(Format::Single),
            },
            _ => unreachable!("{op} is no floating-point operation"),
        })
    }

    /// Runs floating-point arithmetic and keeps the flags it raised.
    fn with(
        &mut self,
        format: Format,
        rounding: Rounding,
        f: impl FnOnce(&mut Float) -> u64,
    ) -> Result<u64, Exit> {
        let rounding = match rounding {
            Rounding::Dynamic => dynamic_rounding(self.state.fcsr).ok_or(Exit::Illegal)?,
            fixed => fixed,
        };
        let mut float = Float::new(format, rounding);
        let value = f(&mut float);
        self.state.fcsr |= u32::from(float.flags);
        Ok(value)
    }

    /// The host address of guest bytes, or the fault of touching them.
    fn host(&self, address: u64, access: Access) -> Result<u64, Exit> {
        if address < self.memory.limit() {
            return Ok(self.memory.base() + address);
        }
        Err(Exit::Fault(Fault {
            address: GuestAddr(address),
            access,
            kind: FaultKind::Unmapped,
        }))
    }

    fn fault(&self, fault: HostFault, access: Access) -> Exit {
        let address = GuestAddr(fault.address.wrapping_sub(self.memory.base()));
        let kind = match self.memory.protection_at(address) {
            _ if fault.past_end => FaultKind::PastEnd,
            Some(_) => FaultKind::Protection,
            None => FaultKind::Unmapped,
        };
        Exit::Fault(Fault {
            address,
            access,
            kind,
        })
    }

    fn load(&self, size: Size, a: Value, by: i32) -> Result<u64, Exit> {
        let address = self.get(a).wrapping_add_signed(by.into());
        let host = self.host(address, Access::Read)?;
        // SAFETY: `host` checked that the first byte is below the limit, and
        // the guard behind it is longer than any access.
        unsafe { fault::load(size, host) }.map_err(|fault| self.fault(fault, Access::Read))
    }

    fn store(&self, size: Size, a: Value, by: i32, value: u64) -> Result<u64, Exit> {
        let address = self.get(a).wrapping_add_signed(by.into());
        let host = self.host(address, Access::Write)?;
        // SAFETY: as in `load`.
        unsafe { fault::store(size, host, value) }
            .map_err(|fault| self.fault(fault, Access::Write))?;
        Ok(0)
    }

    /// The host address of an aligned access.
    fn aligned(&self, size: Size, address: u64, access: Access) -> Result<u64, Exit> {
        if address.is_multiple_of(u64::from(size.bytes())) {
            return self.host(address, access);
        }
        Err(Exit::Fault(Fault {
            address: GuestAddr(address),
            access,
            kind: FaultKind::Misaligned,
        }))
    }

    fn load_reserved(&mut self, size: Size, address: u64) -> Result<u64, Exit> {
        let host = self.aligned(size, address, Access::Read)?;
        // SAFETY: as in `load`.
        let raw =
            unsafe { fault::load(size, host) }.map_err(|fault| self.fault(fault, Access::Read))?;
        let value = extend(size, true, raw);
        self.state.reservation = address;
        self.state.reservation_value = value;
        Ok(value)
    }

    fn store_conditional(&mut self, size: Size, address: u64, value: u64) -> Result<u64, Exit> {
        let host = self.aligned(size, address, Access::Write)?;
        if self.state.reservation != address {
            self.state.reservation = NO_RESERVATION;
            return Ok(1);
        }
        let expected = self.state.reservation_value;
        // SAFETY: as in `load`.
        let old = unsafe { fault::compare_exchange(size, host, expected, value) }
            .map_err(|fault| self.fault(fault, Access::Write))?;
        self.state.reservation = NO_RESERVATION;
        Ok(u64::from(
            extend(size, true, old) != extend(size, true, expected),
        ))
    }

    fn compare_exchange(
        &mut self,
        size: Size,
        address: u64,
        expected: u64,
        new: u64,
    ) -> Result<u64, Exit> {
        let host = self.aligned(size, address, Access::Write)?;
        // SAFETY: as in `load`.
        let old = unsafe { fault::compare_exchange(size, host, expected, new) }
            .map_err(|fault| self.fault(fault, Access::Write))?;
        Ok(extend(size, true, old))
    }

    fn atomic(
        &mut self,
        op: AtomicOp,
        size: Size,
        address: u64,
        operand: u64,
    ) -> Result<u64, Exit> {
        let host = self.aligned(size, address, Access::Write)?;
        // SAFETY: as in `load`.
        let mut old =
            unsafe { fault::load(size, host) }.map_err(|fault| self.fault(fault, Access::Write))?;
        loop {
            let new = atomic(op, size, old, operand);
            // SAFETY: as in `load`.
            let seen = unsafe { fault::compare_exchange(size, host, old, new) }
                .map_err(|fault| self.fault(fault, Access::Write))?;
            if seen == old {
                return Ok(extend(size, true, old));
            }
            old = seen;
        }
    }

    fn end(&mut self, end: &End) -> Result<Next, Exit> {
        let (pc, result) = match *end {
            End::Jump(to) | End::Call { to, .. } | End::Synchronise(to, false) => {
                (to, Ok(Next::Block))
            }
            End::Synchronise(to, true) => (to, Ok(Next::CodeChanged)),
            End::Branch {
                cond,
                a,
                b,
                taken,
                next,
            } => {
                let holds = compare(cond, Width::W64, self.get(a), self.get(b));
                (if holds { taken } else { next }, Ok(Next::Block))
            }
            End::Indirect(to, _) => (GuestAddr(self.get(to)), Ok(Next::Block)),
            End::Syscall(at) => (at, Err(Exit::Syscall)),
            End::Breakpoint(at) => (at, Err(Exit::Breakpoint)),
            End::Illegal(at) => (at, Err(Exit::Illegal)),
            End::Fault(at, fault) => (at, Err(Exit::Fault(fault))),
        };
        self.state.pc = pc;
        result
    }
}

fn bytes(format: Format) -> Size {
    if format == Format::Single {
        Size::B4
    } else {
        Size::B8
    }
}

fn negative(format: Format) -> u64 {
    if format == Format::Single {
        1 << 31
    } else {
        1 << 63
    }
}

fn integer(conversion: &IntFloat, a: u64) -> i128 {
    match (conversion.width, conversion.signed) {
        (Width::W32, true) => (a as i32).into(),
        (Width::W32, false) => (a as u32).into(),
        (Width::W64, true) => (a as i64).into(),
        (Width::W64, false) => a.into(),
    }
}
