//! Condition flags, as pure functions and in the interpreter.

use std::cmp::Ordering;

use super::Run;
use crate::aarch64::float::{Float, Precision};
use crate::ir::{Condition, Flags, Width};

const N: u64 = 1 << 31;
const Z: u64 = 1 << 30;
const C: u64 = 1 << 29;
const V: u64 = 1 << 28;

/// Flags of a + b + carry.
pub fn add(width: Width, a: u64, b: u64, carry: bool) -> u64 {
    let shift = 64 - width.bits();
    let mask = u64::MAX >> shift;
    let (a, b) = (a & mask, b & mask);
    let full = u128::from(a) + u128::from(b) + u128::from(carry);
    let sum = full as u64 & mask;
    let overflow = (a ^ sum) & (b ^ sum) & (mask ^ mask >> 1) != 0;
    logic(width, sum) | flag(full > mask.into(), C) | flag(overflow, V)
}

/// Flags of a result.
pub fn logic(width: Width, a: u64) -> u64 {
    let a = a << (64 - width.bits());
    flag(a >> 63 != 0, N) | flag(a == 0, Z)
}

/// Flags of a floating-point comparison.
pub fn float(order: Option<Ordering>) -> u64 {
    match order {
        Some(Ordering::Equal) => Z | C,
        Some(Ordering::Less) => N,
        Some(Ordering::Greater) => C,
        None => C | V,
    }
}

/// Whether the condition holds.
pub fn test(condition: Condition, flags: u64) -> bool {
    let has = |bit| flags & bit != 0;
    match condition {
        Condition::Eq => has(Z),
        Condition::Ne => !has(Z),
        Condition::Cs => has(C),
        Condition::Cc => !has(C),
        Condition::Mi => has(N),
        Condition::Pl => !has(N),
        Condition::Vs => has(V),
        Condition::Vc => !has(V),
        Condition::Hi => has(C) && !has(Z),
        Condition::Ls => !has(C) || has(Z),
        Condition::Ge => has(N) == has(V),
        Condition::Lt => has(N) != has(V),
        Condition::Gt => !has(Z) && has(N) == has(V),
        Condition::Le => has(Z) || has(N) != has(V),
    }
}

fn flag(holds: bool, bit: u64) -> u64 {
    if holds { bit } else { 0 }
}

impl Run<'_> {
    /// Does one operation; flags are the value in NZCV's form.
    pub(super) fn flags(&mut self, op: &Flags) -> u64 {
        match *op {
            Flags::Add(width, a, b) => add(width, self.get(a), self.get(b), false),
            Flags::Sub(width, a, b) => add(width, self.get(a), !self.get(b), true),
            Flags::AddCarry(width, a, b, c) => {
                add(width, self.get(a), self.get(b), self.get(c) != 0)
            }
            Flags::Logic(width, a) => logic(width, self.get(a)),
            Flags::Float(format, signals, a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.arm(|f: &mut Float| float(f.compare(Precision::from(format), a, b, signals)))
            }
            Flags::Pack(a) => self.get(a) & (N | Z | C | V),
            Flags::Unpack(a) => self.get(a),
            Flags::Select(c, a, b) => self.get(if self.get(c) != 0 { a } else { b }),
            Flags::Test(condition, a) => test(condition, self.get(a)).into(),
        }
    }
}
