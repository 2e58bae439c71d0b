//! Arithmetic on numbers, by C's conversions.

use std::cmp::Ordering;

use sapwood_dwarf::{Encoding, Modules, TypeKind};

use super::tree::{Binary, Unary};
use crate::value::extended::Extended;
use crate::value::{Error, Number, Shape, Type, Value, float, format};

/// A number out of a value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Operand {
    /// A whole number and the type that it was promoted to.
    Whole(i128, Number),
    /// A floating-point number and its type.
    Float(f64, Number),
    /// A `long double`, with all its digits.
    Long(Extended),
}

impl Operand {
    /// Reads a number of a type; `None` for a type that has none.
    pub(super) fn read(
        ty: &Type,
        bytes: &[u8],
        modules: &Modules,
    ) -> Result<Option<Operand>, Error> {
        let (is_signed, size) = match ty.shape(modules)? {
            Shape::Number {
                encoding: Encoding::Float,
                size,
            } => {
                let invalid = || Error::new("Invalid float value.");
                let value = float::value(bytes).ok_or_else(invalid)?;
                let number = match size {
                    4 => Number::FLOAT,
                    8 => Number::DOUBLE,
                    10.. => {
                        let value = Extended::from_bytes(bytes).ok_or_else(invalid)?;
                        return Ok(Some(Operand::Long(value)));
                    }
                    _ => Number::LONG_DOUBLE,
                };
                return Ok(Some(Operand::Float(value, number)));
            }
            Shape::Number {
                encoding: Encoding::ComplexFloat,
                ..
            } => return Ok(None),
            Shape::Number { encoding, size } => (
                matches!(encoding, Encoding::Signed | Encoding::SignedChar),
                size,
            ),
            Shape::Enumeration(_, description) => match &description.kind {
                TypeKind::Enumeration { enumerators, .. } => (
                    enumerators.iter().any(|one| one.value < 0),
                    description.size.unwrap_or(bytes.len() as u64),
                ),
                _ => return Ok(None),
            },
            Shape::MemberPointer(_) => (true, 8),
            _ => return Ok(None),
        };
        let value = match is_signed {
            true => format::signed(bytes),
            false => format::unsigned(bytes) as i128,
        };
        let number = match (size, is_signed) {
            (0..=3, _) | (4, true) => Number::INT,
            (4, false) => Number::UNSIGNED_INT,
            (5..=8, true) => Number::LONG,
            (5..=8, false) => Number::UNSIGNED_LONG,
            (_, true) => Number::INT128,
            (_, false) => Number::UNSIGNED_INT128,
        };
        Ok(Some(Operand::Whole(value, number)))
    }

    pub(super) fn is_true(self) -> bool {
        match self {
            Operand::Whole(value, _) => value != 0,
            Operand::Float(value, _) => value != 0.0,
            Operand::Long(value) => value.is_true(),
        }
    }

    fn as_float(self) -> f64 {
        match self {
            Operand::Whole(value, number) if number == Number::UNSIGNED_INT128 => {
                value as u128 as f64
            }
            Operand::Whole(value, _) => value as f64,
            Operand::Float(value, _) => value,
            Operand::Long(value) => value.to_double(),
        }
    }

    fn as_extended(self) -> Extended {
        match self {
            Operand::Whole(value, number) if number == Number::UNSIGNED_INT128 => {
                Extended::from_whole(false, value as u128)
            }
            Operand::Whole(value, _) => Extended::from_whole(value < 0, value.unsigned_abs()),
            Operand::Float(value, _) => Extended::from_double(value),
            Operand::Long(value) => value,
        }
    }

    /// The number as a value of its own type.
    pub(super) fn value(self) -> Value {
        match self {
            Operand::Whole(value, number) => {
                Value::integer(Type::Number(number), value, number.size)
            }
            Operand::Float(value, number) => {
                let bytes = float::to_bytes(value, number.size).unwrap_or_default();
                Value::computed(Type::Number(number), bytes)
            }
            Operand::Long(value) => {
                let number = Number::LONG_DOUBLE;
                Value::computed(Type::Number(number), value.to_bytes(number.size as usize))
            }
        }
    }

    /// The number's bytes as a type of that encoding and size keeps it.
    pub(super) fn convert(self, encoding: Encoding, size: u64) -> Result<Vec<u8>, Error> {
        Ok(match (self, encoding) {
            (_, Encoding::Float) if (10..=16).contains(&size) => {
                self.as_extended().to_bytes(size as usize)
            }
            (_, Encoding::Float) => float::to_bytes(self.as_float(), size)
                .ok_or_else(|| Error::new("A float of that size is not supported."))?,
            (_, Encoding::Boolean) => {
                let mut bytes = vec![0; size as usize];
                if let Some(first) = bytes.first_mut() {
                    *first = u8::from(self.is_true());
                }
                bytes
            }
            (Operand::Whole(value, _), _) => {
                value.to_le_bytes()[..(size as usize).min(16)].to_vec()
            }
            (Operand::Float(value, _), _) => {
                (value as i128).to_le_bytes()[..(size as usize).min(16)].to_vec()
            }
            (Operand::Long(value), _) => {
                value.to_whole().to_le_bytes()[..(size as usize).min(16)].to_vec()
            }
        })
    }
}

/// A whole number cut to what its type holds.
fn wrap(value: i128, number: Number) -> Operand {
    let bytes = value.to_le_bytes();
    let bytes = &bytes[..number.size as usize];
    let value = match number.encoding {
        Encoding::Signed => format::signed(bytes),
        _ => format::unsigned(bytes) as i128,
    };
    Operand::Whole(value, number)
}

/// The type that two whole operands have in common.
fn common(one: Number, other: Number) -> Number {
    if one.size != other.size {
        return if one.size > other.size { one } else { other };
    }
    if one.encoding == Encoding::Unsigned {
        one
    } else {
        other
    }
}

/// Does the sum. Comparisons give an `int`.
pub(super) fn binary(operator: Binary, one: Operand, other: Operand) -> Result<Operand, Error> {
    match (one, other) {
        (Operand::Whole(a, x), Operand::Whole(b, y)) => whole(operator, a, x, b, y),
        _ => floating(operator, one, other),
    }
}

fn truth(is: bool) -> Operand {
    Operand::Whole(is.into(), Number::INT)
}

fn whole(operator: Binary, a: i128, x: Number, b: i128, y: Number) -> Result<Operand, Error> {
    let number = common(x, y);
    // Shifts take the left operand's type alone.
    if let Binary::ShiftLeft | Binary::ShiftRight = operator {
        let bits = i128::from(x.size) * 8;
        if !(0..bits).contains(&b) {
            return Ok(wrap(
                if a < 0 && operator == Binary::ShiftRight {
                    -1
                } else {
                    0
                },
                x,
            ));
        }
        return Ok(wrap(
            if operator == Binary::ShiftLeft {
                a << b
            } else {
                a >> b
            },
            x,
        ));
    }
    let (Operand::Whole(a, _), Operand::Whole(b, _)) = (wrap(a, number), wrap(b, number)) else {
        unreachable!("wrapping keeps a whole number whole")
    };
    if matches!(operator, Binary::Divide | Binary::Remainder) && b == 0 {
        return Err(Error::new("Division by zero"));
    }
    let is_wide = number == Number::UNSIGNED_INT128;
    Ok(match operator {
        Binary::Add => wrap(a.wrapping_add(b), number),
        Binary::Subtract => wrap(a.wrapping_sub(b), number),
        Binary::Multiply => wrap(a.wrapping_mul(b), number),
        Binary::Divide if is_wide => wrap((a as u128 / b as u128) as i128, number),
        Binary::Divide => wrap(a.wrapping_div(b), number),
        Binary::Remainder if is_wide => wrap((a as u128 % b as u128) as i128, number),
        Binary::Remainder => wrap(a.wrapping_rem(b), number),
        Binary::BitAnd => wrap(a & b, number),
        Binary::BitOr => wrap(a | b, number),
        Binary::BitXor => wrap(a ^ b, number),
        Binary::Equal => truth(a == b),
        Binary::NotEqual => truth(a != b),
        Binary::Less if is_wide => truth((a as u128) < b as u128),
        Binary::Less => truth(a < b),
        Binary::LessEqual if is_wide => truth(a as u128 <= b as u128),
        Binary::LessEqual => truth(a <= b),
        Binary::Greater if is_wide => truth(a as u128 > b as u128),
        Binary::Greater => truth(a > b),
        Binary::GreaterEqual if is_wide => truth(a as u128 >= b as u128),
        Binary::GreaterEqual => truth(a >= b),
        Binary::And | Binary::Or | Binary::Comma | Binary::ShiftLeft | Binary::ShiftRight => {
            unreachable!("evaluated before its operands are converted")
        }
    })
}

fn floating(operator: Binary, one: Operand, other: Operand) -> Result<Operand, Error> {
    let is_long = |operand| match operand {
        Operand::Long(_) => true,
        Operand::Float(_, number) => number.size > Number::DOUBLE.size,
        Operand::Whole(..) => false,
    };
    if is_long(one) || is_long(other) {
        let (a, b) = (one.as_extended(), other.as_extended());
        return match operator {
            Binary::Add => Ok(Operand::Long(a.plus(b))),
            Binary::Subtract => Ok(Operand::Long(a.plus(b.negate()))),
            Binary::Multiply => Ok(Operand::Long(a.multiply(b))),
            Binary::Divide => Ok(Operand::Long(a.divide(b))),
            _ => compare(operator, a, b),
        };
    }
    let number = match (one, other) {
        (Operand::Float(_, x), Operand::Float(_, y)) => {
            if x.size >= y.size {
                x
            } else {
                y
            }
        }
        (Operand::Float(_, x), _) | (_, Operand::Float(_, x)) => x,
        _ => unreachable!("one of them is a float"),
    };
    let (a, b) = (one.as_float(), other.as_float());
    let float = |value: f64| {
        let value = if number == Number::FLOAT {
            f64::from(value as f32)
        } else {
            value
        };
        Ok(Operand::Float(value, number))
    };
    match operator {
        Binary::Add => float(a + b),
        Binary::Subtract => float(a - b),
        Binary::Multiply => float(a * b),
        Binary::Divide => float(a / b),
        _ => compare(operator, a, b),
    }
}

fn compare<T: PartialOrd>(operator: Binary, a: T, b: T) -> Result<Operand, Error> {
    match operator {
        Binary::Equal => Ok(truth(a.partial_cmp(&b) == Some(Ordering::Equal))),
        Binary::NotEqual => Ok(truth(a.partial_cmp(&b) != Some(Ordering::Equal))),
        Binary::Less => Ok(truth(a < b)),
        Binary::LessEqual => Ok(truth(a <= b)),
        Binary::Greater => Ok(truth(a > b)),
        Binary::GreaterEqual => Ok(truth(a >= b)),
        _ => Err(Error::new(
            "Integer-only operation on floating point number.",
        )),
    }
}

/// Applies `-`, `+`, `!` or `~`.
pub(super) fn unary(operator: Unary, operand: Operand) -> Result<Operand, Error> {
    Ok(match (operator, operand) {
        (Unary::Plus, operand) => operand,
        (Unary::Not, operand) => truth(!operand.is_true()),
        (Unary::Minus, Operand::Whole(value, number)) => wrap(value.wrapping_neg(), number),
        (Unary::Minus, Operand::Float(value, number)) => Operand::Float(-value, number),
        (Unary::Minus, Operand::Long(value)) => Operand::Long(value.negate()),
        (Unary::Complement, Operand::Whole(value, number)) => wrap(!value, number),
        _ => {
            return Err(Error::new(
                "Argument to arithmetic operation not a number or boolean.",
            ));
        }
    })
}
