//! Calls of member functions: `object.function(…)` and `pointer->function(…)`.
//!
//! Which of several functions of a name is meant is told by the number of
//! arguments first and by what they are second, which is less than C++'s own
//! rules and enough for what people type. A virtual one is the object's own.

use sapwood_dwarf::{Address, Method, ModuleId, TypeId, TypeKind, without_arguments};

use super::super::tree::Expr;
use super::{Evaluator, pointer_value};
use crate::value::{Error, Shape, Type, Value};

/// How many base classes deep a function is looked for.
const MAX_BASES: u32 = 64;

/// A member function, and the object of the class that has it.
pub(super) struct Found {
    object: Value,
    method: Method,
    returns: Type,
    parameters: Vec<Type>,
}

impl Evaluator<'_> {
    /// Calls a function of an object's class, where it has one of that name.
    pub(super) fn call_method(
        &mut self,
        object: &Value,
        name: &str,
        is_arrow: bool,
        arguments: &[Expr],
    ) -> Result<Option<Value>, Error> {
        let mut given = Vec::new();
        for argument in arguments {
            given.push(self.evaluate(argument)?);
        }
        match self.method(object, name, is_arrow, &given)? {
            Some(found) => self.call_found(found, &given).map(Some),
            None => Ok(None),
        }
    }

    /// Calls a function that was found for such arguments.
    pub(super) fn call_found(&mut self, found: Found, given: &[Value]) -> Result<Value, Error> {
        let mut passed = Vec::new();
        if found.method.hidden > 0 {
            let class = found.object.ty.clone();
            let at = match found.object.address() {
                Some(at) => at,
                // What a call gave, or is in registers, is copied to memory.
                None => {
                    let bytes = self.reader.bytes(&found.object)?;
                    self.reader.source.allocate(&bytes)?
                }
            };
            let this = pointer_value(class, at);
            let bytes = self.reader.bytes(&this)?;
            passed.push((this.ty, bytes));
        }
        for (value, parameter) in given.iter().zip(&found.parameters) {
            let value = self.in_memory_for(value, parameter)?;
            let value = self.argument(&value, Some(parameter))?;
            let bytes = self.reader.bytes(&value)?;
            passed.push((value.ty, bytes));
        }
        let address = self.method_address(&found)?;
        self.invoke(address, &passed, found.returns)
    }

    /// What such a call would give.
    pub(super) fn method_type(
        &mut self,
        object: &Value,
        name: &str,
        is_arrow: bool,
        arguments: &[Expr],
    ) -> Result<Option<Type>, Error> {
        let mut given = Vec::new();
        for argument in arguments {
            let (ty, _) = self.type_of_expr(argument)?;
            given.push(Value::in_memory(ty, Address(0)));
        }
        let found = self.method(object, name, is_arrow, &given)?;
        Ok(found.map(|found| found.returns))
    }

    fn method(
        &mut self,
        object: &Value,
        name: &str,
        is_arrow: bool,
        given: &[Value],
    ) -> Result<Option<Found>, Error> {
        let mut whole = self.referred(object)?;
        if let Shape::Pointer(to) = whole.ty.shape(self.reader.modules)? {
            whole = self.target(&whole, to, 0)?;
        } else if is_arrow && let Some(pointee) = self.reader.pointee(&whole)? {
            whole = pointee;
        }
        let mut others = 0;
        let found = self.method_of(&whole, name, given, &mut others, 0)?;
        if found.is_none() && others > 0 {
            let class = whole.ty.name(self.reader.modules);
            return Err(Error::new(format_args!(
                "no function {class}::{name} takes {} such argument{}.",
                given.len(),
                if given.len() == 1 { "" } else { "s" }
            )));
        }
        Ok(found)
    }

    /// The function of that name that takes such arguments best, in a class or
    /// its bases. `others` counts those of the name that do not.
    pub(super) fn method_of(
        &mut self,
        whole: &Value,
        name: &str,
        given: &[Value],
        others: &mut u32,
        depth: u32,
    ) -> Result<Option<Found>, Error> {
        let modules = self.reader.modules;
        let Shape::Composite(module, description) = whole.ty.shape(modules)? else {
            return Ok(None);
        };
        let TypeKind::Composite(composite) = &description.kind else {
            return Ok(None);
        };
        let mut best: Option<(u32, Found)> = None;
        for method in composite
            .methods
            .iter()
            .filter(|method| method.name == name || without_arguments(&method.name) == name)
        {
            let Some((returns, parameters)) = self.signature_of(module, method)? else {
                continue;
            };
            let Some(score) = self.suits(&parameters, given)? else {
                *others += 1;
                continue;
            };
            if best.as_ref().is_none_or(|(known, _)| score > *known) {
                let object = whole.clone();
                let method = method.clone();
                let found = Found {
                    object,
                    method,
                    returns,
                    parameters,
                };
                best = Some((score, found));
            }
        }
        if let Some((_, found)) = best {
            return Ok(Some(found));
        }
        // A name of its own hides those of the bases.
        if *others > 0 || depth >= MAX_BASES {
            return Ok(None);
        }
        for base in composite.members.iter().filter(|member| member.is_base) {
            let inner = self.reader.member(whole, module, base)?;
            let found = self.method_of(&inner, name, given, others, depth + 1)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// What a function returns, and the parameters that are written.
    fn signature_of(
        &self,
        module: ModuleId,
        method: &Method,
    ) -> Result<Option<(Type, Vec<Type>)>, Error> {
        let ty = Type::Described(module, TypeId(method.id));
        let Shape::Function {
            returns,
            parameters,
            ..
        } = ty.shape(self.reader.modules)?
        else {
            return Ok(None);
        };
        let all = parameters.unwrap_or_default();
        let written = all.into_iter().skip(method.hidden);
        Ok(Some((returns, written.collect())))
    }

    /// How well arguments suit parameters; `None` where they do not.
    pub(super) fn suits(&self, parameters: &[Type], given: &[Value]) -> Result<Option<u32>, Error> {
        if parameters.len() != given.len() {
            return Ok(None);
        }
        let modules = self.reader.modules;
        let mut score = 0;
        for (parameter, value) in parameters.iter().zip(given) {
            let bare = |ty: &Type| -> Result<Type, Error> {
                match ty.shape(modules)? {
                    Shape::Reference(to, _) => to.stripped(modules),
                    _ => ty.stripped(modules),
                }
            };
            let (wanted, has) = (bare(parameter)?, bare(&value.ty)?);
            if wanted.name(modules) == has.name(modules) {
                score += 3;
                continue;
            }
            score += match (wanted.shape(modules)?, has.shape(modules)?) {
                (Shape::Pointer(_), Shape::Pointer(_) | Shape::Array { .. }) => 2,
                (
                    Shape::Number { encoding: one, .. },
                    Shape::Number {
                        encoding: other, ..
                    },
                ) => 1 + u32::from(one == other),
                (
                    Shape::Number { .. } | Shape::Enumeration(..),
                    Shape::Number { .. } | Shape::Enumeration(..),
                ) => 1,
                (Shape::Pointer(_), Shape::Number { .. }) => 0,
                _ => return Ok(None),
            };
        }
        Ok(Some(score))
    }

    /// Where a function's code is: a virtual one's by its object's table.
    fn method_address(&mut self, found: &Found) -> Result<Address, Error> {
        let method = &found.method;
        if let (true, Some(slot), Some(at)) =
            (method.is_virtual, method.slot, found.object.address())
        {
            let table = self.reader.source.read_unsigned(at, 8)?;
            let entry = Address(table).add(slot.saturating_mul(8));
            return Ok(Address(self.reader.source.read_unsigned(entry, 8)?));
        }
        let symbol = method.linkage_name.as_deref().and_then(|linkage| {
            let modules = self.reader.nearest_modules(linkage).into_iter();
            let mut symbols = modules.filter_map(|(_, module)| {
                module.symbol_named(linkage).map(|symbol| symbol.address)
            });
            symbols.next()
        });
        symbol.ok_or_else(|| {
            let class = found.object.ty.name(self.reader.modules);
            Error::new(format_args!(
                "{class}::{} has no code of its own: it was inlined wherever it is called.",
                method.name
            ))
        })
    }
}
