//! Integer operations on vectors, by SSE 4.2. What it has not got in a few
//! instructions is the interpreter's.

use super::asm::{Cc, Map, Rm, Sse, Xmm};
use super::{Emit, state};
use crate::ir::{
    Bytes, Size, Value, Vector, VectorBinary as B, VectorShift as S, VectorTernary as T,
    VectorUnary as U,
};
use crate::state::{Shuffle, offset};

const fn two(opcode: u8) -> Sse {
    Sse(0x66, Map::Two, opcode)
}

const fn three(opcode: u8) -> Sse {
    Sse(0x66, Map::Three38, opcode)
}

pub(super) const PAND: Sse = two(0xdb);
pub(super) const PANDN: Sse = two(0xdf);
pub(super) const POR: Sse = two(0xeb);
pub(super) const PXOR: Sse = two(0xef);
const PSHUFB: Sse = three(0x00);
const PSHUFD: Sse = two(0x70);
const PSHUFLW: Sse = Sse(0xf2, Map::Two, 0x70);
const SHUFPS: Sse = Sse(0, Map::Two, 0xc6);
const PALIGNR: Sse = Sse(0x66, Map::Three3A, 0x0f);
const PACKUSWB: Sse = two(0x67);
const PACKUSDW: Sse = three(0x2b);
const PACKSSWB: Sse = two(0x63);
const PSADBW: Sse = two(0xf6);
/// Of the low 8 bytes, the rest zero.
pub(super) const MOVQ: Sse = Sse(0xf3, Map::Two, 0x7e);

/// Groups of shifts by a constant.
const BYTES_RIGHT: (u8, u8) = (0x73, 3);
const BYTES_LEFT: (u8, u8) = (0x73, 7);

/// By the size of a lane.
const fn by_size(size: Size, opcodes: [Sse; 4]) -> Sse {
    opcodes[size as usize]
}

const fn add(size: Size) -> Sse {
    by_size(size, [two(0xfc), two(0xfd), two(0xfe), two(0xd4)])
}

const fn subtract(size: Size) -> Sse {
    by_size(size, [two(0xf8), two(0xf9), two(0xfa), two(0xfb)])
}

pub(super) const fn equal(size: Size) -> Sse {
    by_size(size, [two(0x74), two(0x75), two(0x76), three(0x29)])
}

const fn greater(size: Size) -> Sse {
    by_size(size, [two(0x64), two(0x65), two(0x66), three(0x37)])
}

const fn least_u(size: Size) -> Sse {
    by_size(size, [two(0xda), three(0x3a), three(0x3b), three(0x3b)])
}

const fn greatest_u(size: Size) -> Sse {
    by_size(size, [two(0xde), three(0x3e), three(0x3f), three(0x3f)])
}

const fn least_s(size: Size) -> Sse {
    by_size(size, [three(0x38), two(0xea), three(0x39), three(0x39)])
}

const fn greatest_s(size: Size) -> Sse {
    by_size(size, [three(0x3c), two(0xee), three(0x3d), three(0x3d)])
}

/// Operations that are one instruction, a op b.
const fn one_instruction(op: B, size: Size) -> Option<Sse> {
    let whole = matches!(size, Size::B8);
    Some(match op {
        B::And => PAND,
        B::Or => POR,
        B::Xor => PXOR,
        B::Add => add(size),
        B::Sub => subtract(size),
        B::Mul if matches!(size, Size::B2) => two(0xd5),
        B::Mul if matches!(size, Size::B4) => three(0x40),
        B::MinU if !whole => least_u(size),
        B::MaxU if !whole => greatest_u(size),
        B::MinS if !whole => least_s(size),
        B::MaxS if !whole => greatest_s(size),
        B::AverageUpU if matches!(size, Size::B1) => two(0xe0),
        B::AverageUpU if matches!(size, Size::B2) => two(0xe3),
        B::Eq => equal(size),
        B::GtS => greater(size),
        B::Concat => two(0x6c),
        B::Zip1 => by_size(size, [two(0x60), two(0x61), two(0x62), two(0x6c)]),
        B::Zip2 => by_size(size, [two(0x68), two(0x69), two(0x6a), two(0x6d)]),
        B::Uzp1 | B::Trn1 if whole => two(0x6c),
        B::Uzp2 | B::Trn2 if whole => two(0x6d),
        _ => return None,
    })
}

impl Emit<'_> {
    /// A constant of vector code.
    fn table(&self, shuffle: Shuffle) -> Rm {
        state(offset::SHUFFLES + 16 * shuffle as i32)
    }

    /// The current value's register, holding a copy of a.
    pub(super) fn copied(&mut self, a: Value) -> Xmm {
        let from = self.vector(a);
        let to = self.vector_result();
        self.asm.load_vector(to, from);
        to
    }

    pub(super) fn zero(&mut self) -> Xmm {
        let zero = self.vector_scratch();
        self.asm.sse(PXOR, zero, zero);
        zero
    }

    fn invert(&mut self, to: Xmm) {
        let ones = self.vector_scratch();
        self.asm.sse(equal(Size::B4), ones, ones);
        self.asm.sse(PXOR, to, ones);
    }

    /// Keeps the low 8 bytes only.
    pub(super) fn clear_high(&mut self, to: Xmm) {
        self.asm.sse(MOVQ, to, to);
    }

    pub(super) fn vector_op(&mut self, op: &Vector) -> bool {
        match *op {
            Vector::Const(low, high) => return self.vector_constant(low, high),
            Vector::Load(bytes, a, by) => self.vector_load(bytes, a, by),
            Vector::Store(bytes, a, by, v) => self.vector_store(bytes, a, by, v),
            Vector::FromInt(a) => {
                let from = self.reg(a);
                let to = self.vector_result();
                self.asm.move_in(true, to, from);
            }
            Vector::Lane(size, n, signed, a) => self.lane(size, n, signed, a),
            Vector::WithLane(size, n, a, b) => {
                let from = self.reg(b);
                let to = self.copied(a);
                let op = match size {
                    Size::B1 => Sse(0x66, Map::Three3A, 0x20),
                    Size::B2 => two(0xc4),
                    _ => Sse(0x66, Map::Three3A, 0x22),
                };
                self.asm.sse_general(op, size == Size::B8, to, from);
                self.asm.code.push(n);
            }
            Vector::Splat(size, a) => {
                let from = self.reg(a);
                let to = self.vector_result();
                self.asm.move_in(size == Size::B8, to, from);
                self.spread(size, to);
            }
            Vector::SplatLane(size, n, a) => {
                let to = self.copied(a);
                let by = n * size.bytes() as u8;
                if by != 0 {
                    self.asm.vector_shift(BYTES_RIGHT.0, BYTES_RIGHT.1, to, by);
                }
                self.spread(size, to);
            }
            Vector::Choose(c, a, b) => {
                let c = self.reg(c);
                let (yes, no) = (self.vector(a), self.vector(b));
                let to = self.vector_result();
                self.asm.load_vector(to, yes);
                self.asm.test(true, c);
                let chosen = self.asm.jcc(Cc::Ne);
                self.asm.load_vector(to, no);
                self.asm.land(chosen);
            }
            Vector::Unary(op, size, a) => return self.vector_unary(op, size, a),
            Vector::Binary(op, size, a, b) => return self.vector_binary(op, size, a, b),
            Vector::Shift(op, size, a, by) => return self.vector_shifted(op, size, a, by),
            Vector::Ternary(T::Select, _, mask, a, b) => {
                let (mask, yes, no) = (self.vector(mask), self.vector(a), self.vector_operand(b));
                let to = self.vector_result();
                let rest = self.vector_scratch();
                self.asm.load_vector(to, mask);
                self.asm.sse(PAND, to, yes);
                self.asm.load_vector(rest, mask);
                self.asm.sse(PANDN, rest, no);
                self.asm.sse(POR, to, rest);
            }
            Vector::Extract(a, b, n) => {
                let low = self.vector_operand(a);
                let to = self.copied(b);
                self.asm.sse_imm(PALIGNR, to, low, n);
            }
            _ => return self.vector_float(op),
        }
        true
    }

    fn vector_constant(&mut self, low: u64, high: u64) -> bool {
        if (low, high) == (0, 0) {
            let to = self.vector_result();
            self.asm.sse(PXOR, to, to);
            return true;
        }
        if (low, high) == (u64::MAX, u64::MAX) {
            let to = self.vector_result();
            self.asm.sse(equal(Size::B4), to, to);
            return true;
        }
        let from = self.scratch();
        self.asm.constant(from, low);
        let to = self.vector_result();
        self.asm.move_in(true, to, from);
        if high == low {
            self.asm.sse(two(0x6c), to, to);
        } else if high != 0 {
            self.asm.constant(from, high);
            self.asm
                .sse_general(Sse(0x66, Map::Three3A, 0x22), true, to, from);
            self.asm.code.push(1);
        }
        true
    }

    fn vector_load(&mut self, bytes: Bytes, a: Value, by: i32) {
        let from = self.guest(a, by);
        match bytes.size() {
            None => {
                let to = self.vector_result();
                self.asm.load_vector(to, from);
            }
            Some(size @ (Size::B4 | Size::B8)) => {
                let to = self.vector_result();
                self.asm.load_scalar(size == Size::B8, to, from);
            }
            Some(size) => {
                let low = self.scratch();
                self.asm.load(size.bytes(), false, low, from);
                let to = self.vector_result();
                self.asm.move_in(false, to, low);
            }
        }
    }

    fn vector_store(&mut self, bytes: Bytes, a: Value, by: i32, v: Value) {
        let to = self.guest(a, by);
        let from = self.vector(v);
        match bytes.size() {
            None => self.asm.store_vector(to, from),
            Some(size @ (Size::B4 | Size::B8)) => {
                self.asm.store_scalar(size == Size::B8, to, from);
            }
            Some(size) => {
                let opcode = if size == Size::B1 { 0x14 } else { 0x15 };
                let op = Sse(0x66, Map::Three3A, opcode);
                self.asm.sse_general(op, false, from, to);
                self.asm.code.push(0);
            }
        }
    }

    fn lane(&mut self, size: Size, n: u8, signed: bool, a: Value) {
        let from = self.vector(a);
        let to = self.result();
        if n == 0 && size.bytes() >= 4 {
            let wide = size == Size::B8;
            self.asm.sse_general(two(0x7e), wide, from, to);
        } else {
            let opcode = [0x14, 0x15, 0x16, 0x16][size as usize];
            let op = Sse(0x66, Map::Three3A, opcode);
            self.asm.sse_general(op, size == Size::B8, from, to);
            self.asm.code.push(n);
        }
        if signed && size != Size::B8 {
            self.asm.load(size.bytes(), true, to, to.into());
        }
    }

    /// The lowest lane in all of them.
    fn spread(&mut self, size: Size, to: Xmm) {
        match size {
            Size::B1 => {
                let zero = self.zero();
                self.asm.sse(PSHUFB, to, zero);
            }
            Size::B2 => {
                self.asm.sse_imm(PSHUFLW, to, to, 0);
                self.asm.sse_imm(PSHUFD, to, to, 0);
            }
            Size::B4 => self.asm.sse_imm(PSHUFD, to, to, 0),
            Size::B8 => self.asm.sse(two(0x6c), to, to),
        }
    }

    fn vector_unary(&mut self, op: U, size: Size, a: Value) -> bool {
        match op {
            U::Low => {
                let from = self.vector_operand(a);
                let to = self.vector_result();
                self.asm.sse(MOVQ, to, from);
            }
            U::High => {
                let to = self.copied(a);
                self.asm.vector_shift(BYTES_RIGHT.0, BYTES_RIGHT.1, to, 8);
            }
            U::Not => {
                let to = self.copied(a);
                self.invert(to);
            }
            U::Neg => {
                let from = self.vector_operand(a);
                let to = self.vector_result();
                self.asm.sse(PXOR, to, to);
                self.asm.sse(subtract(size), to, from);
            }
            U::Abs if size != Size::B8 => {
                let from = self.vector_operand(a);
                let to = self.vector_result();
                self.asm.sse(three(0x1c + size as u8), to, from);
            }
            U::WidenU | U::WidenS if size != Size::B8 => {
                let from = self.vector(a);
                let to = self.vector_result();
                let opcode = [0x20, 0x23, 0x25][size as usize];
                let zero = if op == U::WidenU { 0x10 } else { 0 };
                self.asm.sse(three(opcode + zero), to, from);
            }
            U::Narrow => self.narrow(size, a),
            U::PopCount => self.pop_count(a),
            U::Reverse16 | U::Reverse32 | U::Reverse64 => return self.reverse(op, size, a),
            U::Sum => return self.sum(size, a),
            U::LeastU | U::LeastS | U::GreatestU | U::GreatestS if size != Size::B8 => {
                self.reduce(op, size, a);
            }
            U::PairwiseWidenU if size == Size::B1 => {
                let to = self.copied(a);
                self.asm.sse(three(0x04), to, self.table(Shuffle::Ones));
            }
            U::PairwiseWidenS if size == Size::B1 => {
                let from = self.vector(a);
                let to = self.vector_result();
                self.asm.load_vector(to, self.table(Shuffle::Ones));
                self.asm.sse(three(0x04), to, from);
            }
            U::AesMix | U::AesUnmix if self.features.aes => {
                let to = self.copied(a);
                if op == U::AesUnmix {
                    self.asm.sse(three(0xdb), to, to);
                } else {
                    // All of a round but the mixing is taken back before.
                    let zero = self.zero();
                    self.asm.sse(three(0xdf), to, zero);
                    self.asm.sse(three(0xdc), to, zero);
                }
            }
            _ => return false,
        }
        true
    }

    fn narrow(&mut self, size: Size, a: Value) {
        let to = self.copied(a);
        match size {
            Size::B1 => {
                self.asm.sse(PAND, to, self.table(Shuffle::LowBytes));
                self.asm.sse(PACKUSWB, to, to);
            }
            Size::B2 => {
                self.asm.sse(PAND, to, self.table(Shuffle::LowHalves));
                self.asm.sse(PACKUSDW, to, to);
            }
            Size::B4 => self.asm.sse_imm(PSHUFD, to, to, 0b1000),
            Size::B8 => {}
        }
        self.clear_high(to);
    }

    fn pop_count(&mut self, a: Value) {
        let from = self.vector(a);
        let to = self.vector_result();
        let (low, counts) = (self.vector_scratch(), self.vector_scratch());
        self.asm.load_vector(low, from);
        self.asm.sse(PAND, low, self.table(Shuffle::LowNibbles));
        self.asm.load_vector(to, self.table(Shuffle::NibbleCounts));
        self.asm.sse(PSHUFB, to, low);
        self.asm.load_vector(low, from);
        self.asm.vector_shift(0x71, 2, low, 4);
        self.asm.sse(PAND, low, self.table(Shuffle::LowNibbles));
        self.asm
            .load_vector(counts, self.table(Shuffle::NibbleCounts));
        self.asm.sse(PSHUFB, counts, low);
        self.asm.sse(add(Size::B1), to, counts);
    }

    fn reverse(&mut self, op: U, size: Size, a: Value) -> bool {
        let shuffle = match (op, size) {
            (U::Reverse16, Size::B1) => Shuffle::Bytes16,
            (U::Reverse32, Size::B1) => Shuffle::Bytes32,
            (U::Reverse64, Size::B1) => Shuffle::Bytes64,
            (U::Reverse32, Size::B2) => Shuffle::Halves32,
            (U::Reverse64, Size::B2) => Shuffle::Halves64,
            (U::Reverse64, Size::B4) => {
                let from = self.vector_operand(a);
                let to = self.vector_result();
                self.asm.sse_imm(PSHUFD, to, from, 0b1011_0001);
                return true;
            }
            _ => return false,
        };
        let to = self.copied(a);
        self.asm.sse(PSHUFB, to, self.table(shuffle));
        true
    }

    fn sum(&mut self, size: Size, a: Value) -> bool {
        let to = self.copied(a);
        let other = self.vector_scratch();
        match size {
            Size::B1 => {
                self.asm.sse(PXOR, other, other);
                self.asm.sse(PSADBW, to, other);
                self.fold(add(Size::B8), to, other, 8);
            }
            Size::B2 | Size::B4 => {
                self.fold(add(size), to, other, 8);
                self.fold(add(size), to, other, 4);
                if size == Size::B2 {
                    self.fold(add(size), to, other, 2);
                }
            }
            Size::B8 => self.fold(add(size), to, other, 8),
        }
        self.keep_lowest(size, to);
        true
    }

    /// to ← to op (to moved down by bytes).
    fn fold(&mut self, op: Sse, to: Xmm, other: Xmm, by: u8) {
        self.asm.load_vector(other, to);
        self.asm
            .vector_shift(BYTES_RIGHT.0, BYTES_RIGHT.1, other, by);
        self.asm.sse(op, to, other);
    }

    /// Clears all lanes but the lowest.
    fn keep_lowest(&mut self, size: Size, to: Xmm) {
        let by = 16 - size.bytes() as u8;
        self.asm.vector_shift(BYTES_LEFT.0, BYTES_LEFT.1, to, by);
        self.asm.vector_shift(BYTES_RIGHT.0, BYTES_RIGHT.1, to, by);
    }

    fn reduce(&mut self, op: U, size: Size, a: Value) {
        let op = match op {
            U::LeastU => least_u(size),
            U::LeastS => least_s(size),
            U::GreatestU => greatest_u(size),
            _ => greatest_s(size),
        };
        let to = self.copied(a);
        let other = self.vector_scratch();
        let mut by = 8;
        while by >= size.bytes() as u8 {
            // What is moved in would count: only what was there is looked at.
            self.fold(op, to, other, by);
            by /= 2;
        }
        self.keep_lowest(size, to);
    }

    fn vector_binary(&mut self, op: B, size: Size, a: Value, b: Value) -> bool {
        if let Some(one) = one_instruction(op, size) {
            let right = self.vector_operand(b);
            let to = self.copied(a);
            self.asm.sse(one, to, right);
            return true;
        }
        match op {
            // The host inverts the operand that it writes.
            B::AndNot => {
                let left = self.vector_operand(a);
                let to = self.copied(b);
                self.asm.sse(PANDN, to, left);
            }
            B::OrNot => {
                let left = self.vector_operand(a);
                let to = self.copied(b);
                self.invert(to);
                self.asm.sse(POR, to, left);
            }
            B::GeS => {
                let left = self.vector_operand(a);
                let to = self.copied(b);
                self.asm.sse(greater(size), to, left);
                self.invert(to);
            }
            B::GeU | B::GtU if size != Size::B8 => {
                // a ≥ b is max(a, b) = a; a > b is not b ≥ a.
                let (a, b) = if op == B::GeU { (a, b) } else { (b, a) };
                let left = self.vector(a);
                let to = self.copied(b);
                self.asm.sse(greatest_u(size), to, left);
                self.asm.sse(equal(size), to, left);
                if op == B::GtU {
                    self.invert(to);
                }
            }
            B::Test => {
                let right = self.vector_operand(b);
                let to = self.copied(a);
                self.asm.sse(PAND, to, right);
                let zero = self.zero();
                self.asm.sse(equal(size), to, zero);
                self.invert(to);
            }
            B::DiffU if size.bytes() < 4 => {
                let (left, right) = (self.vector(a), self.vector(b));
                let to = self.vector_result();
                let other = self.vector_scratch();
                let saturating = two(0xd8 + size as u8);
                self.asm.load_vector(to, left);
                self.asm.sse(saturating, to, right);
                self.asm.load_vector(other, right);
                self.asm.sse(saturating, other, left);
                self.asm.sse(POR, to, other);
            }
            B::Uzp1 | B::Uzp2 => self.unzip(op == B::Uzp2, size, a, b),
            B::Trn1 | B::Trn2 => self.transpose(op == B::Trn2, size, a, b),
            B::Table => {
                let index = self.vector(b);
                let to = self.copied(a);
                let mask = self.vector_scratch();
                self.asm.load_vector(mask, index);
                // Saturated, so that an index past 15 has its highest bit set.
                self.asm.sse(two(0xdc), mask, self.table(Shuffle::Beyond));
                self.asm.sse(PSHUFB, to, mask);
            }
            B::MulWideU | B::MulWideS => return self.multiply_wide(op == B::MulWideS, size, a, b),
            B::AesEncrypt | B::AesDecrypt if self.features.aes => {
                let right = self.vector_operand(b);
                let to = self.copied(a);
                self.asm.sse(PXOR, to, right);
                let zero = self.zero();
                let opcode = if op == B::AesEncrypt { 0xdd } else { 0xdf };
                self.asm.sse(three(opcode), to, zero);
            }
            _ => return false,
        }
        true
    }

    /// Even or odd lanes of a, then those of b; of less than 8 bytes.
    fn unzip(&mut self, odd: bool, size: Size, a: Value, b: Value) {
        if size == Size::B4 {
            let right = self.vector_operand(b);
            let to = self.copied(a);
            let which = if odd { 0b1101_1101 } else { 0b1000_1000 };
            return self.asm.sse_imm(SHUFPS, to, right, which);
        }
        let right = self.vector(b);
        let to = self.copied(a);
        let other = self.vector_scratch();
        self.asm.load_vector(other, right);
        for half in [to, other] {
            match (odd, size) {
                (true, Size::B1) => self.asm.vector_shift(0x71, 2, half, 8),
                (true, _) => self.asm.vector_shift(0x72, 2, half, 16),
                (false, Size::B1) => self.asm.sse(PAND, half, self.table(Shuffle::LowBytes)),
                (false, _) => self.asm.sse(PAND, half, self.table(Shuffle::LowHalves)),
            }
        }
        let pack = if size == Size::B1 { PACKUSWB } else { PACKUSDW };
        self.asm.sse(pack, to, other);
    }

    /// Even or odd lanes in turn; of less than 8 bytes.
    fn transpose(&mut self, odd: bool, size: Size, a: Value, b: Value) {
        if size == Size::B4 {
            let right = self.vector_operand(b);
            let to = self.copied(a);
            let which = if odd { 0b1101_1101 } else { 0b1000_1000 };
            self.asm.sse_imm(SHUFPS, to, right, which);
            return self.asm.sse_imm(PSHUFD, to, to, 0b1101_1000);
        }
        let right = self.vector(b);
        let to = self.copied(a);
        let other = self.vector_scratch();
        self.asm.load_vector(other, right);
        // One goes up or down by a lane, the other loses what is not wanted.
        let (group, bits) = if size == Size::B1 {
            (0x71, 8)
        } else {
            (0x72, 16)
        };
        if odd {
            self.asm.vector_shift(group, 2, to, bits);
            self.asm.vector_shift(group, 2, other, bits);
        } else {
            self.asm.vector_shift(group, 6, to, bits);
            self.asm.vector_shift(group, 2, to, bits);
        }
        self.asm.vector_shift(group, 6, other, bits);
        self.asm.sse(POR, to, other);
    }

    fn multiply_wide(&mut self, signed: bool, size: Size, a: Value, b: Value) -> bool {
        let (left, right) = (self.vector(a), self.vector(b));
        let to = self.vector_result();
        let other = self.vector_scratch();
        match size {
            Size::B1 | Size::B2 => {
                let opcode = if size == Size::B1 { 0x20 } else { 0x23 };
                let widen = three(opcode + if signed { 0 } else { 0x10 });
                self.asm.sse(widen, to, left);
                self.asm.sse(widen, other, right);
                let product = if size == Size::B1 {
                    two(0xd5)
                } else {
                    three(0x40)
                };
                self.asm.sse(product, to, other);
            }
            Size::B4 => {
                self.asm.sse_imm(PSHUFD, to, left, 0b0101_0000);
                self.asm.sse_imm(PSHUFD, other, right, 0b0101_0000);
                let product = if signed { three(0x28) } else { two(0xf4) };
                self.asm.sse(product, to, other);
            }
            Size::B8 => return false,
        }
        true
    }

    fn vector_shifted(&mut self, op: S, size: Size, a: Value, by: u8) -> bool {
        let bits = (size.bytes() * 8) as u8;
        let group = [0x71, 0x71, 0x72, 0x73][size as usize];
        match op {
            S::Left | S::RightU if size == Size::B1 => {
                let mask = if op == S::Left {
                    0xff << by
                } else {
                    0xff >> by.min(8)
                };
                let mask = u64::from(mask as u8) * 0x0101_0101_0101_0101;
                let constant = self.scratch();
                let to = self.copied(a);
                let keep = self.vector_scratch();
                let which = if op == S::Left { 6 } else { 2 };
                self.asm.vector_shift(group, which, to, by);
                self.asm.constant(constant, mask);
                self.asm.move_in(true, keep, constant);
                self.asm.sse(two(0x6c), keep, keep);
                self.asm.sse(PAND, to, keep);
            }
            S::Left | S::RightU => {
                let to = self.copied(a);
                self.asm
                    .vector_shift(group, if op == S::Left { 6 } else { 2 }, to, by);
            }
            S::RightS if size == Size::B1 => {
                let from = self.vector(a);
                let to = self.vector_result();
                let high = self.vector_scratch();
                let by = by.min(bits - 1) + 8;
                for (half, opcode) in [(to, 0x60), (high, 0x68)] {
                    self.asm.load_vector(half, from);
                    self.asm.sse(two(opcode), half, half);
                    self.asm.vector_shift(0x71, 4, half, by);
                }
                self.asm.sse(PACKSSWB, to, high);
            }
            S::RightS if size != Size::B8 => {
                let to = self.copied(a);
                self.asm.vector_shift(group, 4, to, by.min(bits - 1));
            }
            _ => return false,
        }
        true
    }
}
