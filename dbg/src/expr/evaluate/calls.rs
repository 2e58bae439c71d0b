//! Calls of the program's functions, and types as an expression writes them.

use std::sync::Arc;

use sapwood_dwarf::{Address, Encoding, Language, SymbolKind, TypeKind};

use super::super::tree::{Base, Derive, Expr, TypeExpr};
use super::*;
use crate::value::{Error, Number, Place, Shape, Type, Value, abi};

impl Evaluator<'_> {
    /// A function's address, what it returns (`None` where nobody knows) and its
    /// parameters.
    #[allow(clippy::type_complexity)]
    pub(super) fn callee(
        &mut self,
        function: &Value,
    ) -> Result<(Address, Option<Type>, Option<Vec<Type>>), Error> {
        let mut function = self.referred(function)?;
        let modules = self.reader.modules;
        if let Shape::Pointer(to) = function.ty.shape(modules)? {
            let at = self.pointer_bits(&function)?;
            function = Value::in_memory(to, at);
        }
        match (function.ty.shape(modules)?, function.address()) {
            (
                Shape::Function {
                    returns,
                    parameters,
                    ..
                },
                Some(at),
            ) => {
                // One of the symbol table alone: made by `undescribed`.
                let is_known = !matches!(
                    function.ty,
                    Type::Function {
                        parameters: None,
                        ..
                    }
                );
                let returns = is_known.then_some(returns);
                Ok((at, returns, parameters))
            }
            _ => Err(Error::new(
                "The function is not one, and no pointer to one.",
            )),
        }
    }

    pub(super) fn call(
        &mut self,
        function: &Expr,
        arguments: &[Expr],
        as_type: Option<&Type>,
    ) -> Result<Value, Error> {
        if let Some((object, name, is_arrow)) = self.member_called(function)?
            && let Some(value) = self.call_method(&object, name, is_arrow, arguments)?
        {
            return Ok(value);
        }
        if let Expr::Dollar(name) = function
            && name.starts_with('_')
        {
            let given: Result<Vec<Value>, Error> =
                arguments.iter().map(|one| self.evaluate(one)).collect();
            if let Some(value) = self.own_function(name, &given?)? {
                return Ok(value);
            }
        }
        let value = self.evaluate(function)?;
        let (address, returns, parameters) = self.callee(&value)?;
        let Some(returns) = returns.or_else(|| as_type.cloned()) else {
            let name = match function {
                Expr::Name(name) => name.clone(),
                _ => address.to_string(),
            };
            return Err(Error::new(format_args!(
                "'{name}' has unknown return type; cast the call to its declared return type"
            )));
        };
        let wanted = parameters.as_ref().map_or(0, Vec::len);
        if arguments.len() < wanted {
            return Err(Error::new("Too few arguments in function call."));
        }
        let mut passed = Vec::new();
        for (at, argument) in arguments.iter().enumerate() {
            let value = self.evaluate(argument)?;
            let parameter = parameters.as_ref().and_then(|types| types.get(at));
            let value = self.argument(&value, parameter)?;
            let bytes = self.reader.bytes(&value)?;
            passed.push((value.ty, bytes));
        }
        let address = self.resolved(address)?;
        self.invoke(address, &passed, returns)
    }

    /// The object and the name of a call that is written as a member's, unless a
    /// member of data has the name.
    pub(super) fn member_called<'e>(
        &mut self,
        function: &'e Expr,
    ) -> Result<Option<(Value, &'e str, bool)>, Error> {
        let (Expr::Member(whole, name) | Expr::Arrow(whole, name)) = function else {
            return Ok(None);
        };
        let is_arrow = matches!(function, Expr::Arrow(..));
        let object = self.evaluate(whole)?;
        let is_data = self.member(&object, name, is_arrow).is_ok();
        Ok((!is_data).then_some((object, name, is_arrow)))
    }

    /// Calls the code at an address.
    pub(super) fn invoke(
        &mut self,
        address: Address,
        passed: &[(Type, Arc<[u8]>)],
        returns: Type,
    ) -> Result<Value, Error> {
        let call = abi::lay_out(address, passed, &returns, self.reader.modules)?;
        let returned = self.reader.source.call(&call)?;
        match abi::result(&returned, &returns, self.reader.modules)? {
            abi::ResultPlace::Bytes(bytes) => Ok(Value::computed(returns, bytes)),
            abi::ResultPlace::Memory(at) => {
                let value = self.reader.fetched(&Value::in_memory(returns, at))?;
                Ok(Value {
                    place: Place::Nowhere,
                    ..value
                })
            }
        }
    }

    /// The function to call for one at an address: what an indirect one's
    /// resolver says, for those that the C library picks by processor.
    pub(super) fn resolved(&mut self, at: Address) -> Result<Address, Error> {
        let module = self.reader.modules.at(at).map(|(_, module)| module.clone());
        let symbol = module.as_ref().and_then(|module| module.symbol_at(at));
        let is_indirect = symbol
            .is_some_and(|(symbol, past)| past == 0 && symbol.kind == SymbolKind::IndirectFunction);
        if !is_indirect {
            return Ok(at);
        }
        let call = abi::lay_out(at, &[], &Type::Void.pointer(), self.reader.modules)?;
        Ok(Address(self.reader.source.call(&call)?.rax))
    }

    /// A value as it is passed for a parameter, or for none that is declared.
    pub(super) fn argument(
        &mut self,
        value: &Value,
        parameter: Option<&Type>,
    ) -> Result<Value, Error> {
        let modules = self.reader.modules;
        // A text goes to the program's memory first.
        let value = match (value.ty.shape(modules)?, &value.place) {
            (Shape::Array { element, .. }, Place::Nowhere) => {
                let bytes = self.reader.bytes(value)?;
                let at = self.reader.source.allocate(&bytes)?;
                pointer_value(element, at)
            }
            _ => value.clone(),
        };
        let Some(parameter) = parameter else {
            let value = self.decayed(&value)?;
            return match value.ty.shape(modules)? {
                Shape::Number {
                    encoding: Encoding::Float,
                    size: 4,
                } => self.cast(&value, &Type::Number(Number::DOUBLE)),
                Shape::Number { size: 0..=3, .. } => self.cast(&value, &Type::INT),
                _ => Ok(value),
            };
        };
        match parameter.shape(modules)? {
            Shape::Composite(..) => {
                let value = self.referred(&value)?;
                let content = self.reader.content(&value)?;
                Ok(Value {
                    ty: parameter.clone(),
                    content: Some(content),
                    ..value
                })
            }
            Shape::Reference(..) => match value.ty.shape(modules)? {
                Shape::Reference(..) => Ok(value),
                _ => self.cast(&value, parameter),
            },
            _ => self.cast(&value, parameter),
        }
    }

    // Types.

    /// The type that is written.
    pub fn type_of(&mut self, written: &TypeExpr) -> Result<Type, Error> {
        let mut ty = match &written.base {
            Base::Void => Type::Void,
            Base::Number(name) => {
                let number = Number::ALL.iter().find(|number| number.name == *name);
                Type::Number(*number.expect("the parser takes known names only"))
            }
            Base::Tagged(tag, name) => self.named_type(name, Some(tag))?,
            Base::Name(name) => self.named_type(name, None)?,
        };
        for step in &written.derive {
            ty = match step {
                Derive::Pointer => ty.pointer(),
                Derive::Reference => Type::Reference(Arc::new(ty)),
                Derive::Array(count) => Type::Array(Arc::new(ty), *count),
                Derive::Function(parameters) => {
                    let parameters: Result<Vec<Type>, Error> =
                        parameters.iter().map(|one| self.type_of(one)).collect();
                    Type::Function {
                        returns: Arc::new(ty),
                        parameters: Some(parameters?),
                        is_variadic: false,
                    }
                }
            };
        }
        Ok(ty)
    }

    pub(crate) fn named_type(&mut self, name: &str, tag: Option<&str>) -> Result<Type, Error> {
        for (id, module) in self.reader.nearest_modules(name) {
            let mut found: Option<Type> = None;
            for candidate in module.types(name) {
                let description = module.type_of(candidate)?;
                let is_tagged = tag.is_none_or(|tag| match &description.kind {
                    TypeKind::Composite(_) => tag != "enum",
                    TypeKind::Enumeration { .. } => tag == "enum",
                    _ => false,
                });
                // In C a struct's name is none without its tag.
                let is_bare = tag.is_none()
                    && description.language == Language::C
                    && matches!(
                        description.kind,
                        TypeKind::Composite(_) | TypeKind::Enumeration { .. }
                    );
                if is_tagged {
                    let ty = Type::Described(id, candidate);
                    if description.qualified_name.as_deref() == Some(name) && !is_bare {
                        return Ok(ty);
                    }
                    found.get_or_insert(ty);
                }
            }
            if let Some(ty) = found {
                return Ok(ty);
            }
        }
        Err(Error::new(match tag {
            Some(tag) => format!("No {tag} type named {name}."),
            None => format!("No type named {name}."),
        }))
    }
}
