//! Operators that are functions of the program's, and text.
//!
//! An operator of a class's object is the class's function, or one that takes it:
//! whichever suits the operands best, as for [calls](super::methods). Where the
//! program has none that was not inlined, texts are compared all the same, the
//! standard libraries' strings among them: `s == "oak"` is what conditions ask.

use sapwood_dwarf::{Address, Encoding, Language, Scope, without_arguments};

use super::super::tree::Binary;
use super::Evaluator;
use crate::value::print::Style;
use crate::value::{Error, Shape, Type, Value};

/// The longest text that is compared.
const MAX_TEXT: usize = 1 << 20;
/// How many entries of a map are looked through for a key.
const MAX_PAIRS: usize = 1 << 16;

/// How an operator is written.
fn sign_of(operator: Binary) -> &'static str {
    match operator {
        Binary::Add => "+",
        Binary::Subtract => "-",
        Binary::Multiply => "*",
        Binary::Divide => "/",
        Binary::Remainder => "%",
        Binary::ShiftLeft => "<<",
        Binary::ShiftRight => ">>",
        Binary::BitAnd => "&",
        Binary::BitOr => "|",
        Binary::BitXor => "^",
        Binary::And => "&&",
        Binary::Or => "||",
        Binary::Equal => "==",
        Binary::NotEqual => "!=",
        Binary::Less => "<",
        Binary::LessEqual => "<=",
        Binary::Greater => ">",
        Binary::GreaterEqual => ">=",
        Binary::Comma => ",",
    }
}

impl Evaluator<'_> {
    fn is_object(&self, value: &Value) -> Result<bool, Error> {
        let modules = self.reader.modules;
        let ty = match value.ty.shape(modules)? {
            Shape::Reference(to, _) => to,
            _ => value.ty.clone(),
        };
        Ok(matches!(ty.shape(modules)?, Shape::Composite(..)))
    }

    /// An operator of two operands, one of which is an object; nothing where
    /// neither is.
    pub(super) fn operate(
        &mut self,
        operator: Binary,
        one: &Value,
        other: &Value,
    ) -> Result<Option<Value>, Error> {
        if !self.is_object(one)? && !self.is_object(other)? {
            return Ok(None);
        }
        if let Some(order) = self.compare_texts(one, other)? {
            let is = match operator {
                Binary::Equal => Some(order.is_eq()),
                Binary::NotEqual => Some(order.is_ne()),
                Binary::Less => Some(order.is_lt()),
                Binary::LessEqual => Some(order.is_le()),
                Binary::Greater => Some(order.is_gt()),
                Binary::GreaterEqual => Some(order.is_ge()),
                _ => None,
            };
            if let Some(is) = is {
                return Ok(Some(self.truth(is)));
            }
        }
        let modules = self.reader.modules;
        let is_cpp = |value: &Value| value.ty.language(modules) == Language::Cpp;
        let sign = sign_of(operator);
        if !is_cpp(one) && !is_cpp(other) {
            return Ok(None);
        }
        let operands = [one.clone(), other.clone()];
        if let Some(value) = self.call_operator(sign, &operands)? {
            return Ok(Some(value));
        }
        // `!=` is the opposite of `==` where there is no other.
        if operator == Binary::NotEqual
            && let Some(value) = self.call_operator("==", &operands)?
        {
            let is = self.is_true(&value)?;
            return Ok(Some(self.truth(!is)));
        }
        Err(Error::new(format_args!(
            "Structure has no component named operator{sign}."
        )))
    }

    /// `object[index]` where that is a function of the object's class: by a text, or
    /// by whatever else is no number, and of classes that are no known containers.
    pub(super) fn subscript(
        &mut self,
        object: &Value,
        index: &Value,
    ) -> Result<Option<Value>, Error> {
        if !self.is_object(object)? {
            return Ok(None);
        }
        let object = self.referred(object)?;
        if let Some(pairs) = self.reader.map_pairs(&object, MAX_PAIRS)? {
            return self.value_of_key(pairs, index).map(Some);
        }
        let whole = self.whole_number(index).ok();
        let place = whole.and_then(|whole| usize::try_from(whole).ok());
        if let Some(place) = place
            && let Some(element) = self.reader.container_element(&object, place)?
        {
            return Ok(Some(element));
        }
        self.call_operator("[]", &[object, index.clone()])
    }

    /// A map's value by its key, which is a text or a number. Nothing is added to
    /// the map where it has no such key.
    fn value_of_key(&mut self, pairs: Vec<(Value, Value)>, key: &Value) -> Result<Value, Error> {
        let text = self.text_of(key)?;
        for (one, value) in pairs {
            let is_it = match &text {
                Some(text) => self.text_of(&one)?.as_ref() == Some(text),
                None => {
                    let wanted = self.whole_number(key)?;
                    self.whole_number(&one).is_ok_and(|number| number == wanted)
                }
            };
            if is_it {
                return Ok(value);
            }
        }
        Err(Error::new("the map has no such key"))
    }

    /// Calls the program's function for an operator.
    pub(super) fn call_operator(
        &mut self,
        sign: &str,
        operands: &[Value],
    ) -> Result<Option<Value>, Error> {
        let name = format!("operator{sign}");
        let object = self.referred(&operands[0])?;
        if let Shape::Composite(..) = object.ty.shape(self.reader.modules)?
            && let Some(found) = self.method_of(&object, &name, &operands[1..], &mut 0, 0)?
        {
            return self.call_found(found, &operands[1..]).map(Some);
        }
        let Some((entry, returns, parameters)) = self.free_operator(&name, operands)? else {
            return Ok(None);
        };
        let mut passed = Vec::new();
        for (operand, parameter) in operands.iter().zip(&parameters) {
            let operand = self.in_memory_for(operand, parameter)?;
            let value = self.argument(&operand, Some(parameter))?;
            let bytes = self.reader.bytes(&value)?;
            passed.push((value.ty, bytes));
        }
        self.invoke(entry, &passed, returns).map(Some)
    }

    /// What a reference can refer to: what a call gave is copied to memory.
    pub(super) fn in_memory_for(
        &mut self,
        value: &Value,
        parameter: &Type,
    ) -> Result<Value, Error> {
        let modules = self.reader.modules;
        let is_reference = matches!(parameter.shape(modules)?, Shape::Reference(..));
        let is_one = matches!(value.ty.shape(modules)?, Shape::Reference(..));
        if !is_reference || is_one || value.address().is_some() {
            return Ok(value.clone());
        }
        let bytes = self.reader.bytes(value)?;
        let at = self.reader.source.allocate(&bytes)?;
        Ok(Value::in_memory(value.ty.clone(), at))
    }

    /// The function of no class that suits such operands best.
    #[allow(clippy::type_complexity)]
    fn free_operator(
        &mut self,
        name: &str,
        operands: &[Value],
    ) -> Result<Option<(Address, Type, Vec<Type>)>, Error> {
        let mut best: Option<(u32, (Address, Type, Vec<Type>))> = None;
        for (id, module) in self.reader.nearest_modules(name) {
            for function in module.functions(name) {
                let is_member = |scope: &Scope| matches!(scope, Scope::Type(_));
                let Some(entry) = function.entry else {
                    continue;
                };
                let last = function.name.rsplit("::").next().unwrap_or_default();
                if without_arguments(last) != name && !function.name.contains(name)
                    || module.scopes_of(function.id).iter().any(is_member)
                {
                    continue;
                }
                let ty = Type::Described(id, function.type_id());
                let Shape::Function {
                    returns,
                    parameters: Some(parameters),
                    ..
                } = ty.shape(self.reader.modules)?
                else {
                    continue;
                };
                if let Some(score) = self.suits(&parameters, operands)?
                    && best.as_ref().is_none_or(|(known, _)| score > *known)
                {
                    best = Some((score, (entry, returns, parameters)));
                }
            }
            if best.is_some() {
                break;
            }
        }
        Ok(best.map(|(_, found)| found))
    }

    /// How two texts compare, where both are.
    fn compare_texts(
        &mut self,
        one: &Value,
        other: &Value,
    ) -> Result<Option<std::cmp::Ordering>, Error> {
        let (Some(one), Some(other)) = (self.text_of(one)?, self.text_of(other)?) else {
            return Ok(None);
        };
        Ok(Some(one.cmp(&other)))
    }

    /// The characters of a string object, an array of characters, or what a pointer
    /// to such leads to.
    pub(super) fn text_of(&mut self, value: &Value) -> Result<Option<Vec<u32>>, Error> {
        let modules = self.reader.modules;
        let value = self.referred(value)?;
        Ok(match value.ty.shape(modules)? {
            Shape::Composite(..) => self.reader.string_text(&value, MAX_TEXT)?,
            Shape::Array { element, .. } if self.is_character(&element)? => {
                let size = self.reader.size(&element)?.max(1);
                let bytes = self.reader.bytes(&value)?;
                let units = bytes.chunks_exact(size);
                let units = units.map(|unit| crate::value::format::unsigned(unit) as u32);
                Some(units.take_while(|unit| *unit != 0).collect())
            }
            Shape::Pointer(to) if self.is_character(&to)? => {
                let size = self.reader.size(&to)?.max(1);
                let at = self.pointer_bits(&value)?;
                Some(self.reader.text_at(at, size, MAX_TEXT)?.0)
            }
            _ => None,
        })
    }

    fn is_character(&self, ty: &Type) -> Result<bool, Error> {
        Ok(matches!(
            ty.shape(self.reader.modules)?,
            Shape::Number {
                encoding: Encoding::SignedChar | Encoding::UnsignedChar | Encoding::Utf,
                ..
            }
        ))
    }

    /// gdb's functions of its own: `$_streq("a", s)`. Nothing where the name is
    /// none of them.
    pub(super) fn own_function(
        &mut self,
        name: &str,
        given: &[Value],
    ) -> Result<Option<Value>, Error> {
        let count = match name {
            "_strlen" | "_as_string" => 1,
            "_streq" | "_regex" => 2,
            "_memeq" => 3,
            _ => return Ok(None),
        };
        if given.len() != count {
            return Err(Error::new(format_args!(
                "You must provide {count} argument{} to ${name}.",
                if count == 1 { "" } else { "s" }
            )));
        }
        let mut text = |index: usize| -> Result<Vec<u32>, Error> {
            let found = self.text_of(&given[index])?;
            found.ok_or_else(|| Error::new("Argument is not a string."))
        };
        Ok(Some(match name {
            "_strlen" => Value::int(text(0)?.len() as i32),
            "_streq" => {
                let is = text(0)? == text(1)?;
                Value::int(is.into())
            }
            "_regex" => {
                let (text, pattern) = (plain(&text(0)?), plain(&text(1)?));
                let pattern = regex_lite::Regex::new(&pattern);
                let pattern = pattern.map_err(|error| Error::new(format_args!("{error}")))?;
                Value::int(pattern.is_match(&text).into())
            }
            "_memeq" => {
                let (a, b) = (self.pointer_bits(&given[0])?, self.pointer_bits(&given[1])?);
                let len = usize::try_from(self.whole_number(&given[2])?).unwrap_or(0);
                let len = len.min(MAX_TEXT);
                let (mut one, mut other) = (vec![0; len], vec![0; len]);
                self.reader.source.read(a, &mut one)?;
                self.reader.source.read(b, &mut other)?;
                Value::int((one == other).into())
            }
            _ => {
                let shown = self.reader.show(&given[0], &Style::default())?;
                super::text(&shown.chars().map(u32::from).collect::<Vec<_>>(), "")
            }
        }))
    }
}

/// A text's characters; what is none of Unicode's is one that stands for it.
fn plain(units: &[u32]) -> String {
    let characters = units.iter().copied();
    characters
        .map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}
