//! Loads and stores of vector structures: LD1 to LD4, ST1 to ST4, LD1R to LD4R.
//!
//! Structures of two and four elements are taken apart and put together with
//! unzips and zips of whole vectors; those of three element by element.

use super::{Insn, Lifter, W64, size};
use crate::aarch64::table::Op as Code;
use crate::ir::{Binary, Bytes, Op, Size, Value, Vector, VectorBinary};

impl Lifter {
    /// Lifts one of these instructions; false if it is none.
    pub(super) fn structure(&mut self, i: Insn) -> bool {
        let base = match i.op {
            Code::VectorMultiple | Code::VectorSingle => self.xsp(i.rn()),
            _ => return false,
        };
        let length = if i.op == Code::VectorMultiple {
            self.multiple(i, base)
        } else {
            self.single(i, base)
        };
        if i.bit(23) {
            match i.rm() {
                31 => self.advance(i.rn(), base, length.into()),
                rm => {
                    let by = self.x(rm);
                    let next = self.binary(Binary::Add, W64, base, by);
                    self.set_xsp(i.rn(), next);
                }
            }
        }
        true
    }

    /// Whole registers; gives the bytes accessed.
    fn multiple(&mut self, i: Insn, base: Value) -> u32 {
        let (registers, elements) = match i.bits(12, 4) {
            0 => (4, 4),
            2 => (4, 1),
            4 => (3, 3),
            6 => (3, 1),
            7 => (1, 1),
            8 => (2, 2),
            _ => (2, 1),
        };
        let (size, bytes) = (size(i.bits(10, 2)), if i.q() { 16 } else { 8 });
        let list: Vec<u8> = (0..registers).map(|n| (i.rd() + n) % 32).collect();
        if i.bit(22) {
            let values = match elements {
                1 => self.load_run(base, i.q(), registers.into()),
                3 => self.load_threes(base, i.q(), size),
                _ => self.load_interleaved(base, i.q(), size, elements),
            };
            for (&register, value) in list.iter().zip(values) {
                self.set_v(register, value);
            }
        } else {
            let values: Vec<Value> = list.iter().map(|&register| self.v(register)).collect();
            match elements {
                1 => self.store_run(base, i.q(), &values),
                3 => self.store_threes(base, i.q(), size, &values),
                _ => self.store_interleaved(base, i.q(), size, &values),
            }
        }
        u32::from(registers) * bytes
    }

    fn load_run(&mut self, base: Value, q: bool, count: u32) -> Vec<Value> {
        let (bytes, step) = if q { (Bytes::B16, 16) } else { (Bytes::B8, 8) };
        (0..count as i32)
            .map(|n| self.load_vector(bytes, base, n * step))
            .collect()
    }

    fn store_run(&mut self, base: Value, q: bool, values: &[Value]) {
        let (bytes, step) = if q { (Bytes::B16, 16) } else { (Bytes::B8, 8) };
        for (n, &value) in (0..).zip(values) {
            self.vector(Vector::Store(bytes, base, n * step, value));
        }
    }

    /// Even and odd lanes of two vectors in a row.
    fn unzip(&mut self, size: Size, a: Value, b: Value) -> [Value; 2] {
        [VectorBinary::Uzp1, VectorBinary::Uzp2].map(|op| self.pairwise(op, size, a, b))
    }

    fn zip(&mut self, size: Size, a: Value, b: Value) -> [Value; 2] {
        [VectorBinary::Zip1, VectorBinary::Zip2].map(|op| self.pairwise(op, size, a, b))
    }

    fn load_interleaved(&mut self, base: Value, q: bool, size: Size, elements: u32) -> Vec<Value> {
        // Half as many whole vectors hold registers of 8 bytes; the upper halves
        // of what comes out are then a copy that must go.
        let count = if q { elements } else { elements / 2 };
        let m = self.load_run(base, true, count);
        let pair = |lifter: &mut Lifter, n: usize| {
            let (a, b) = if q {
                (m[2 * n], m[2 * n + 1])
            } else {
                (m[n], m[n])
            };
            lifter.unzip(size, a, b)
        };
        let values = match (elements, q) {
            (2, _) => pair(self, 0).to_vec(),
            (_, true) => {
                let ([even0, odd0], [even1, odd1]) = (pair(self, 0), pair(self, 1));
                let ([a, c], [b, d]) =
                    (self.unzip(size, even0, even1), self.unzip(size, odd0, odd1));
                vec![a, b, c, d]
            }
            (_, false) => {
                let [even, odd] = self.unzip(size, m[0], m[1]);
                let ([a, c], [b, d]) = (self.unzip(size, even, even), self.unzip(size, odd, odd));
                vec![a, b, c, d]
            }
        };
        if q {
            values
        } else {
            values.into_iter().map(|v| self.low(v)).collect()
        }
    }

    fn store_interleaved(&mut self, base: Value, q: bool, size: Size, v: &[Value]) {
        let whole = match *v {
            [a, b] => {
                let [low, high] = self.zip(size, a, b);
                if q { vec![low, high] } else { vec![low] }
            }
            _ => {
                let ([x0, x1], [y0, y1]) = (self.zip(size, v[0], v[2]), self.zip(size, v[1], v[3]));
                let mut whole = self.zip(size, x0, y0).to_vec();
                if q {
                    whole.extend(self.zip(size, x1, y1));
                }
                whole
            }
        };
        self.store_run(base, true, &whole);
    }

    fn load_threes(&mut self, base: Value, q: bool, size: Size) -> Vec<Value> {
        let lanes = if q { 16 } else { 8 } / size.bytes();
        let zero = self.zero_vector();
        let mut values = vec![zero; 3];
        for n in 0..3 * lanes {
            let element = self.op(Op::Load(size, false, base, (n * size.bytes()) as i32));
            let register = &mut values[(n % 3) as usize];
            *register = self.vector(Vector::WithLane(size, (n / 3) as u8, *register, element));
        }
        values
    }

    fn store_threes(&mut self, base: Value, q: bool, size: Size, v: &[Value]) {
        let lanes = if q { 16 } else { 8 } / size.bytes();
        for n in 0..3 * lanes {
            let element = self.vector(Vector::Lane(
                size,
                (n / 3) as u8,
                false,
                v[(n % 3) as usize],
            ));
            self.op(Op::Store(size, base, (n * size.bytes()) as i32, element));
        }
    }

    /// One lane of each register, or all lanes alike; gives the bytes accessed.
    fn single(&mut self, i: Insn, base: Value) -> u32 {
        let (opcode, field) = (i.bits(13, 3), i.bits(10, 2));
        let elements = ((opcode & 1) << 1 | i.bits(21, 1)) + 1;
        let index = i.bits(30, 1) << 3 | i.bits(12, 1) << 2 | field;
        let (size, lane) = match opcode >> 1 {
            0 => (Size::B1, index),
            1 => (Size::B2, index >> 1),
            2 if field & 1 == 0 => (Size::B4, index >> 2),
            2 => (Size::B8, index >> 3),
            _ => (size(field), 0),
        };
        let list: Vec<u8> = (0..elements as u8).map(|n| (i.rd() + n) % 32).collect();
        let offset = |n: usize| n as i32 * size.bytes() as i32;
        if !i.bit(22) {
            for (n, &register) in list.iter().enumerate() {
                let v = self.v(register);
                let element = self.vector(Vector::Lane(size, lane as u8, false, v));
                self.op(Op::Store(size, base, offset(n), element));
            }
            return elements * size.bytes();
        }
        let loaded: Vec<Value> = (0..list.len())
            .map(|n| self.op(Op::Load(size, false, base, offset(n))))
            .collect();
        for (&register, element) in list.iter().zip(loaded) {
            let v = if opcode >> 1 == 3 {
                let all = self.vector(Vector::Splat(size, element));
                if i.q() { all } else { self.low(all) }
            } else {
                let old = self.v(register);
                self.vector(Vector::WithLane(size, lane as u8, old, element))
            };
            self.set_v(register, v);
        }
        elements * size.bytes()
    }
}
