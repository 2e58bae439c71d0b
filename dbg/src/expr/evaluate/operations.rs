//! Operators, casts and assignment, as C has them.

use std::sync::Arc;

use sapwood_dwarf::{Address, Encoding, Language, Register};

use super::super::arithmetic::{self, Operand};
use super::super::tree::{Binary, Expr, Unary};
use super::*;
use crate::value::{Bits, Content, Error, Number, Place, Shape, Type, Value};

impl Evaluator<'_> {
    /// A value as an operand of C's: a reference followed, an array or function
    /// as a pointer to it.
    pub(super) fn decayed(&mut self, value: &Value) -> Result<Value, Error> {
        let value = self.referred(value)?;
        match value.ty.shape(self.reader.modules)? {
            Shape::Array { element, .. } => match value.address() {
                Some(at) => Ok(pointer_value(element, at)),
                None => Ok(value),
            },
            Shape::Function { .. } => match value.address() {
                Some(at) => Ok(pointer_value(value.ty.clone(), at)),
                None => Ok(value),
            },
            _ => Ok(value),
        }
    }

    pub(super) fn operand(&mut self, value: &Value) -> Result<Operand, Error> {
        let value = self.decayed(value)?;
        let modules = self.reader.modules;
        if let Shape::Pointer(_) = value.ty.shape(modules)? {
            let at = self.pointer_bits(&value)?;
            return Ok(Operand::Whole(at.0.into(), Number::UNSIGNED_LONG));
        }
        if let Shape::Composite(..) | Shape::Void = value.ty.shape(modules)? {
            return Err(Error::new(
                "Argument to arithmetic operation not a number or boolean.",
            ));
        }
        let bytes = self.reader.bytes(&value)?;
        Operand::read(&value.ty, &bytes, modules)?
            .ok_or_else(|| Error::new("Argument to arithmetic operation not a number or boolean."))
    }

    /// A value as a whole number.
    pub fn whole_number(&mut self, value: &Value) -> Result<i128, Error> {
        match self.operand(value)? {
            Operand::Whole(number, _) => Ok(number),
            Operand::Float(number, _) => Ok(number as i128),
            Operand::Long(number) => Ok(number.to_whole()),
        }
    }

    /// Whether C takes a value for true.
    pub fn is_true(&mut self, value: &Value) -> Result<bool, Error> {
        Ok(self.operand(value)?.is_true())
    }

    pub(super) fn unary(&mut self, operator: Unary, operand: &Expr) -> Result<Value, Error> {
        let value = self.evaluate(operand)?;
        match operator {
            Unary::Dereference => self.dereference(&value),
            Unary::Address => self.address_of(&value),
            Unary::PreStep(is_up) | Unary::PostStep(is_up) => {
                let operator_given = operator;
                let before = self.reader.fetched(&value)?;
                let operator = if is_up { Binary::Add } else { Binary::Subtract };
                let after = self.apply(operator, &before, &Value::int(1))?;
                let assigned = self.assign(&value, &after)?;
                Ok(match operator_given {
                    Unary::PostStep(_) => Value {
                        place: Place::Nowhere,
                        ..before
                    },
                    _ => assigned,
                })
            }
            _ => {
                let operand = self.operand(&value)?;
                Ok(arithmetic::unary(operator, operand)?.value())
            }
        }
    }

    pub(super) fn dereference(&mut self, value: &Value) -> Result<Value, Error> {
        let value = self.referred(value)?;
        match value.ty.shape(self.reader.modules)? {
            Shape::Pointer(Type::Void) => Err(Error::new(
                "Attempt to take contents of a non-pointer value.",
            )),
            Shape::Pointer(to) => self.target(&value, to, 0),
            Shape::Array { .. } => self.index(&value, 0),
            Shape::Function { .. } => Ok(value),
            Shape::Composite(..) => match self.reader.pointee(&value)? {
                Some(pointee) => Ok(pointee),
                None => match self.call_operator("*", &[value])? {
                    Some(value) => Ok(value),
                    None => Err(Error::new(
                        "Attempt to take contents of a non-pointer value.",
                    )),
                },
            },
            Shape::Number { encoding, .. } if encoding != Encoding::Float => {
                let at = Address(self.whole_number(&value)? as u64);
                Ok(Value::in_memory(Type::Number(Number::LONG), at))
            }
            _ => Err(Error::new(
                "Attempt to take contents of a non-pointer value.",
            )),
        }
    }

    pub(super) fn address_of(&mut self, value: &Value) -> Result<Value, Error> {
        let value = self.referred(value)?;
        match value.place {
            Place::Memory(at) => {
                let bits = value.bits.map_or(0, |bits| bits.offset / 8);
                Ok(pointer_value(value.ty.clone(), at.add(bits)))
            }
            Place::Register { .. } => Err(Error::new(
                "Attempt to take address of value in a register.",
            )),
            _ => Err(Error::new(
                "Attempt to take address of value not located in memory.",
            )),
        }
    }

    pub(super) fn binary(
        &mut self,
        operator: Binary,
        one: &Expr,
        other: &Expr,
    ) -> Result<Value, Error> {
        let left = self.evaluate(one)?;
        match operator {
            Binary::Comma => return self.evaluate(other),
            Binary::And | Binary::Or => {
                let left = self.is_true(&left)?;
                let is = if left == (operator == Binary::And) {
                    let right = self.evaluate(other)?;
                    self.is_true(&right)?
                } else {
                    left
                };
                return Ok(self.truth(is));
            }
            _ => {}
        }
        let right = self.evaluate(other)?;
        let value = self.apply(operator, &left, &right)?;
        if is_comparison(operator) {
            let is = self.is_true(&value)?;
            return Ok(self.truth(is));
        }
        Ok(value)
    }

    /// A truth value in the frame's language.
    pub(super) fn truth(&self, is: bool) -> Value {
        match self.reader.language() {
            Language::C | Language::Assembly => Value::int(is.into()),
            _ => Value::integer(Type::Number(Number::BOOL), is.into(), 1),
        }
    }

    pub(super) fn apply(
        &mut self,
        operator: Binary,
        one: &Value,
        other: &Value,
    ) -> Result<Value, Error> {
        if let Some(value) = self.operate(operator, one, other)? {
            return Ok(value);
        }
        let (one, other) = (self.decayed(one)?, self.decayed(other)?);
        let modules = self.reader.modules;
        if let (Shape::Composite(..), Binary::Add | Binary::Subtract) =
            (one.ty.shape(modules)?, operator)
        {
            let sign = if operator == Binary::Add { '+' } else { '-' };
            return Err(Error::new(format_args!(
                "Structure has no component named operator{sign}."
            )));
        }
        let pointee = |ty: &Type| match ty.shape(modules) {
            Ok(Shape::Pointer(to)) => Some(to),
            _ => None,
        };
        match (operator, pointee(&one.ty), pointee(&other.ty)) {
            (Binary::Subtract, Some(to), Some(_)) => {
                let (a, b) = (self.pointer_bits(&one)?, self.pointer_bits(&other)?);
                let size = self.reader.size(&to)?.max(1) as i64;
                let distance = a.0.wrapping_sub(b.0) as i64 / size;
                Ok(Value::integer(
                    Type::Number(Number::LONG),
                    distance.into(),
                    8,
                ))
            }
            (Binary::Add | Binary::Subtract, Some(to), None) => {
                let count = self.whole_number(&other)?;
                let count = if operator == Binary::Add {
                    count
                } else {
                    -count
                };
                self.moved(&one, &to, count)
            }
            (Binary::Add, None, Some(to)) => {
                let count = self.whole_number(&one)?;
                self.moved(&other, &to, count)
            }
            _ => {
                let (a, b) = (self.operand(&one)?, self.operand(&other)?);
                Ok(arithmetic::binary(operator, a, b)?.value())
            }
        }
    }

    /// A pointer so many elements on.
    pub(super) fn moved(
        &mut self,
        pointer: &Value,
        to: &Type,
        count: i128,
    ) -> Result<Value, Error> {
        let size = self.reader.size(to)?.max(1) as i128;
        let at = self
            .pointer_bits(pointer)?
            .offset(count.wrapping_mul(size) as i64);
        Ok(Value::computed(pointer.ty.clone(), at.0.to_le_bytes()))
    }

    // Casts and assignment.

    /// A value as one of another type, by C's rules.
    pub fn cast(&mut self, value: &Value, ty: &Type) -> Result<Value, Error> {
        let modules = self.reader.modules;
        let shape = ty.shape(modules)?;
        if let Shape::Composite(..) | Shape::Array { .. } = shape {
            let value = self.referred(value)?;
            let is_same = self.reader.size(&value.ty)? == self.reader.size(ty)?;
            return match value.address().filter(|_| is_same) {
                Some(at) => Ok(Value::in_memory(ty.clone(), at)),
                None => Err(Error::new("Invalid cast.")),
            };
        }
        if let Shape::Void = shape {
            return Ok(Value::void());
        }
        if let Shape::Reference(..) = shape {
            let at = self.address_of(value)?;
            let bytes = self.reader.bytes(&at)?;
            return Ok(Value::computed(ty.clone(), bytes));
        }
        let operand = self.operand(value)?;
        let size = self.reader.size(ty)? as u64;
        let encoding = match shape {
            Shape::Number { encoding, .. } => encoding,
            Shape::Function { .. } => return Err(Error::new("Invalid cast.")),
            _ => Encoding::Unsigned,
        };
        Ok(Value::computed(
            ty.clone(),
            operand.convert(encoding, size)?,
        ))
    }

    pub(super) fn assign_expr(
        &mut self,
        operator: Option<Binary>,
        target: &Expr,
        value: &Expr,
    ) -> Result<Value, Error> {
        let target_value = self.evaluate(target)?;
        let mut value = self.evaluate(value)?;
        if let Some(operator) = operator {
            value = self.apply(operator, &target_value, &value)?;
        }
        if let Expr::Dollar(name) = target
            && !matches!(target_value.place, Place::Register { .. })
        {
            let value = self.reader.fetched(&value)?;
            let value = Value {
                place: Place::Convenience(name.clone()),
                bits: None,
                ..value
            };
            self.memo.convenience.insert(name.clone(), value.clone());
            return Ok(value);
        }
        self.assign(&target_value, &value)
    }

    /// Writes a value to where another is, converted to its type.
    pub fn assign(&mut self, target: &Value, value: &Value) -> Result<Value, Error> {
        let target = self.referred(target)?;
        if !target.is_lvalue() {
            return Err(Error::new("Left operand of assignment is not an lvalue."));
        }
        let modules = self.reader.modules;
        let bytes: Arc<[u8]> = match target.ty.shape(modules)? {
            Shape::Composite(..) | Shape::Array { .. } => {
                let value = self.referred(value)?;
                let bytes = self.reader.bytes(&value)?;
                if bytes.len() != self.reader.size(&target.ty)? {
                    return Err(Error::new("Invalid cast."));
                }
                bytes
            }
            _ => {
                let converted = self.cast(value, &target.ty)?;
                self.reader.bytes(&converted)?
            }
        };
        self.store(&target, &bytes)?;
        let content = Some(match target.bits {
            Some(_) if matches!(target.place, Place::Memory(_)) => {
                let fresh = Value {
                    content: None,
                    ..target.clone()
                };
                self.reader.content(&fresh)?
            }
            _ => Content::new(bytes),
        });
        Ok(Value { content, ..target })
    }

    pub(super) fn store(&mut self, target: &Value, bytes: &[u8]) -> Result<(), Error> {
        match (&target.place, target.bits) {
            (Place::Memory(at), None) => self.reader.source.write(*at, bytes),
            (Place::Memory(at), Some(bits)) => self.store_bits(*at, bits, bytes),
            (
                Place::Register {
                    frame,
                    register,
                    offset,
                },
                None,
            ) => {
                let mut whole = self.register_bytes(frame, *register)?;
                let start = *offset as usize;
                let slot = whole.get_mut(start..start + bytes.len());
                slot.ok_or_else(|| Error::new("The value does not fit the register."))?
                    .copy_from_slice(bytes);
                // The lower half of a register zeroes the upper one.
                if start == 0 && bytes.len() == 4 && whole.len() == 8 {
                    whole[4..].fill(0);
                }
                self.reader.source.write_register(frame, *register, &whole)
            }
            (Place::Convenience(name), None) => {
                let value = Value::computed(target.ty.clone(), bytes);
                let value = Value {
                    place: target.place.clone(),
                    ..value
                };
                self.memo.convenience.insert(name.clone(), value);
                Ok(())
            }
            _ => Err(Error::new("Left operand of assignment is not an lvalue.")),
        }
    }

    pub(super) fn register_bytes(
        &mut self,
        frame: &crate::stack::Frame,
        register: Register,
    ) -> Result<Vec<u8>, Error> {
        let known = frame.registers.bytes(register);
        let known = known.or_else(|| self.reader.source.other_register(frame, register));
        known.ok_or_else(|| Error::new("The register is not available in this frame."))
    }

    pub(super) fn store_bits(
        &mut self,
        at: Address,
        bits: Bits,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let at = at.add(bits.offset / 8);
        let first = bits.offset % 8;
        let mut around = vec![0; (first + bits.size).div_ceil(8) as usize];
        self.reader.source.read(at, &mut around)?;
        crate::value::copy_bits(bytes, 0, &mut around, first as usize, bits.size as usize);
        self.reader.source.write(at, &around)
    }
}
