//! Evaluating a tree against a frame.

mod calls;
mod methods;
mod operations;
mod operators;

use std::sync::Arc;

use sapwood_dwarf::{Address, Arch, Language, ModuleId, Register, SymbolKind};

use super::arithmetic::Operand;
use super::parse::{Names, parse};
use super::tree::{Binary, Expr};
use crate::value::machine;
use crate::value::{Content, Error, Memo, Number, Place, Reader, Shape, Type, Value};

/// Evaluates expressions: reads through its [`Reader`], remembers in its
/// [`Memo`].
pub struct Evaluator<'a> {
    /// The program, as the selected frame sees it.
    pub reader: Reader<'a>,
    /// The debugger's own variables.
    pub memo: &'a mut Memo,
}

impl Names for Reader<'_> {
    fn is_type(&self, name: &str) -> bool {
        if self.frame.is_some() && self.local(name).is_some() {
            return false;
        }
        // The nearest module that knows the name says what it is.
        for (_, module) in self.nearest_modules(name) {
            let is_value = !module.globals(name).is_empty() || module.symbol_named(name).is_some();
            let is_type = !module.types(name).is_empty();
            if is_value || is_type {
                return is_type && !is_value;
            }
        }
        false
    }
}

impl Reader<'_> {
    /// A variable of that name that the frame sees, the innermost one.
    fn local(&self, name: &str) -> Option<(ModuleId, sapwood_dwarf::Variable)> {
        let frame = self.frame?;
        let id = frame.module?;
        let module = self.modules.get(id)?;
        let seen_from = frame.names_at.unwrap_or(frame.address.lookup());
        let variables = module.variables(frame.scope?, seen_from).ok()?;
        let variable = variables
            .into_iter()
            .find(|variable| variable.name == name)?;
        Some((id, variable))
    }

    /// The modules that may have that name, the frame's first.
    pub(crate) fn nearest_modules(
        &self,
        name: &str,
    ) -> Vec<(ModuleId, Arc<sapwood_dwarf::Module>)> {
        let own = self.frame.and_then(|frame| frame.module);
        let mut modules: Vec<_> = self
            .modules
            .naming(name)
            .map(|(id, module)| (id, module.clone()))
            .collect();
        // The newest definition wins for new code, so the latest come first.
        modules.sort_by_key(|(id, _)| (Some(*id) != own, std::cmp::Reverse(*id)));
        modules
    }

    fn language(&self) -> Language {
        let function = self.frame.and_then(|frame| frame.function.as_ref());
        function.map_or(Language::C, |function| function.language)
    }
}

impl Evaluator<'_> {
    /// Parses and evaluates a text.
    pub fn evaluate_text(&mut self, text: &str) -> Result<Value, Error> {
        let expr = parse(text, &self.reader)?;
        self.evaluate(&expr)
    }

    /// Evaluates an expression.
    pub fn evaluate(&mut self, expr: &Expr) -> Result<Value, Error> {
        match expr {
            Expr::Integer(value, suffix) => Ok(integer(*value, suffix)),
            Expr::Float(value, suffix) => {
                let number = match suffix {
                    Some('f') => Number::FLOAT,
                    Some('l') => Number::LONG_DOUBLE,
                    _ => Number::DOUBLE,
                };
                Ok(Operand::Float(*value, number).value())
            }
            Expr::Character(unit, prefix) => {
                let number = if prefix.is_empty() {
                    Number::CHAR
                } else {
                    Number::INT
                };
                Ok(Value::integer(
                    Type::Number(number),
                    (*unit).into(),
                    number.size,
                ))
            }
            Expr::Text(units, prefix) => Ok(text(units, prefix)),
            Expr::Name(name) => self.name(name),
            Expr::Static(file, name) => self.file_static(file, name),
            Expr::Dollar(name) => self.dollar(name),
            Expr::Member(whole, name) | Expr::Arrow(whole, name) => {
                let whole = self.evaluate(whole)?;
                self.member(&whole, name, matches!(expr, Expr::Arrow(..)))
            }
            Expr::Index(array, index) => {
                let array = self.evaluate(array)?;
                let index = self.evaluate(index)?;
                match self.subscript(&array, &index)? {
                    Some(element) => Ok(element),
                    None => {
                        let index = self.whole_number(&index)?;
                        self.index(&array, index)
                    }
                }
            }
            Expr::Slice(array, low, high) => self.slice(array, low, high),
            Expr::Repeat(first, count) => {
                let first = self.evaluate(first)?;
                let count = self.evaluate(count)?;
                let count = self.whole_number(&count)?;
                self.repeat(first, count)
            }
            Expr::Call(function, arguments) => self.call(function, arguments, None),
            Expr::Unary(operator, operand) => self.unary(*operator, operand),
            Expr::Binary(operator, one, other) => self.binary(*operator, one, other),
            Expr::Assign(operator, target, value) => self.assign_expr(*operator, target, value),
            Expr::Conditional(condition, then, otherwise) => {
                let condition = self.evaluate(condition)?;
                let chosen = if self.is_true(&condition)? {
                    then
                } else {
                    otherwise
                };
                self.evaluate(chosen)
            }
            Expr::Cast(ty, operand) => {
                let ty = self.type_of(ty)?;
                // The cast says what a function without debug information
                // returns.
                if let Expr::Call(function, arguments) = &**operand {
                    let value = self.call(function, arguments, Some(&ty))?;
                    return self.cast(&value, &ty);
                }
                let value = match &**operand {
                    Expr::Name(name) => self.name_as(name, Some(&ty))?,
                    operand => self.evaluate(operand)?,
                };
                self.cast(&value, &ty)
            }
            Expr::SizeOf(operand) => {
                let value = self.evaluate(operand)?;
                let ty = match value.ty.shape(self.reader.modules)? {
                    Shape::Reference(to, _) => to,
                    _ => value.ty,
                };
                self.size_of(&ty)
            }
            Expr::SizeOfType(ty) => {
                let ty = self.type_of(ty)?;
                self.size_of(&ty)
            }
            Expr::Type(_) => Err(Error::new("Attempt to use a type name as an expression")),
        }
    }

    fn size_of(&mut self, ty: &Type) -> Result<Value, Error> {
        let size = self.reader.size(ty)?;
        Ok(Value::integer(
            Type::Number(Number::UNSIGNED_LONG),
            size as i128,
            8,
        ))
    }

    /// The type of an expression, or the one that it names; and whether it
    /// names one. Nothing of the program is changed or called.
    pub fn type_of_expr(&mut self, expr: &Expr) -> Result<(Type, bool), Error> {
        match expr {
            Expr::Type(ty) => Ok((self.type_of(ty)?, true)),
            Expr::Call(function, arguments) => {
                if let Some((object, name, is_arrow)) = self.member_called(function)?
                    && let Some(ty) = self.method_type(&object, name, is_arrow, arguments)?
                {
                    return Ok((ty, false));
                }
                let function = self.evaluate(function)?;
                let (_, returns, _) = self.callee(&function)?;
                match returns {
                    Some(returns) => Ok((returns, false)),
                    None => Err(Error::new("function has unknown return type")),
                }
            }
            Expr::Assign(_, target, _) => self.type_of_expr(target),
            _ => Ok((self.evaluate(expr)?.ty, false)),
        }
    }

    // Names.

    fn name(&mut self, name: &str) -> Result<Value, Error> {
        self.name_as(name, None)
    }

    /// What a name stands for. `as_type` is what a cast says of a symbol that
    /// no debug information describes.
    fn name_as(&mut self, name: &str, as_type: Option<&Type>) -> Result<Value, Error> {
        let plain = name.strip_prefix("::").unwrap_or(name);
        if plain == name {
            if let Some((id, variable)) = self.reader.local(name) {
                return self.reader.variable(id, &variable);
            }
            if let Some(value) = self.member_of_this(name)? {
                return Ok(value);
            }
        }
        match name {
            "true" | "false" if self.reader.language() != Language::C => {
                let ty = Type::Number(Number::BOOL);
                return Ok(Value::integer(ty, i128::from(name == "true"), 1));
            }
            _ => {}
        }
        if let Some(value) = self.described(plain)? {
            return Ok(value);
        }
        self.undescribed(plain, as_type)
    }

    /// A member of the object whose method the frame is in.
    pub(crate) fn member_of_this(&mut self, name: &str) -> Result<Option<Value>, Error> {
        if self.reader.language() != Language::Cpp {
            return Ok(None);
        }
        let Some((id, this)) = self.reader.local("this") else {
            return Ok(None);
        };
        let this = self.reader.variable(id, &this)?;
        match self.member(&this, name, true) {
            Ok(value) => Ok(Some(value)),
            Err(Error::Other(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A variable of the frame's.
    pub(crate) fn frame_variable(&mut self, name: &str) -> Option<Value> {
        let (id, variable) = self.reader.local(name)?;
        self.reader.variable(id, &variable).ok()
    }

    /// What a name stands for where the frame is: a local, or a global, function
    /// or constant of the program's.
    pub(crate) fn known(&mut self, name: &str) -> Result<Option<Value>, Error> {
        match self.reader.local(name) {
            Some((id, variable)) => self.reader.variable(id, &variable).map(Some),
            None => self.described(name),
        }
    }

    /// A global, function or constant that debug information describes.
    fn described(&mut self, name: &str) -> Result<Option<Value>, Error> {
        let modules = self.reader.nearest_modules(name);
        let own = self.reader.frame.and_then(|frame| frame.physical);
        for (id, module) in &modules {
            let mut globals = module.globals(name);
            // A static of the frame's own file comes before another file's.
            globals.sort_by_key(|global| !own.is_some_and(|own| own.is_same_unit(global.id)));
            globals.sort_by_key(|global| global.name != name);
            if let Some(global) = globals.first() {
                return self.reader.variable(*id, global).map(Some);
            }
            let functions = module.functions(name);
            let exact = functions.iter().find(|function| function.name == name);
            let same_unit = functions
                .iter()
                .find(|f| f.entry.is_some() && own.is_some_and(|own| own.is_same_unit(f.id)));
            let function = same_unit.or(exact).or(functions.first());
            if let Some(function) = function
                && let Some(entry) = function.entry
            {
                let ty = Type::Described(*id, function.type_id());
                return Ok(Some(Value::in_memory(ty, entry)));
            }
            if let Some((ty, value)) = module.enumerator(name) {
                let ty = Type::Described(*id, ty);
                let size = self.reader.size(&ty)? as u64;
                return Ok(Some(Value::integer(ty, value, size)));
            }
        }
        self.function_static(name)
    }

    /// `function::variable`.
    fn function_static(&mut self, name: &str) -> Result<Option<Value>, Error> {
        let Some((function, variable)) = name.rsplit_once("::") else {
            return Ok(None);
        };
        for (id, module) in self.reader.nearest_modules(function) {
            for function in module.functions(function) {
                let Some(entry) = function.entry else {
                    continue;
                };
                let variables = module.variables(function.id, entry)?;
                if let Some(found) = variables.iter().find(|one| one.name == variable) {
                    return self.reader.variable(id, found).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// A symbol of the ELF tables alone.
    fn undescribed(&mut self, name: &str, as_type: Option<&Type>) -> Result<Value, Error> {
        for (_, module) in self.reader.nearest_modules(name) {
            let Some(symbol) = module.symbol_named(name) else {
                continue;
            };
            match symbol.kind {
                SymbolKind::Function | SymbolKind::IndirectFunction | SymbolKind::Label => {
                    let ty = Type::Function {
                        returns: Arc::new(Type::Void),
                        parameters: None,
                        is_variadic: false,
                    };
                    return Ok(Value::in_memory(ty, symbol.address));
                }
                SymbolKind::Data => {
                    if let Some(ty) = as_type {
                        return Ok(Value::in_memory(ty.clone(), symbol.address));
                    }
                    return Err(Error::new(format_args!(
                        "'{name}' has unknown type; cast it to its declared type"
                    )));
                }
                SymbolKind::ThreadLocal => {}
            }
        }
        if self
            .reader
            .modules
            .iter()
            .all(|(_, module)| !module.has_debug_info())
        {
            return Err(Error::new(
                "No symbol table is loaded.  Use the \"file\" command.",
            ));
        }
        Err(Error::new(match self.reader.language() {
            Language::Rust => format!("No symbol '{name}' in current context"),
            _ => format!("No symbol \"{name}\" in current context."),
        }))
    }

    fn file_static(&mut self, file: &str, name: &str) -> Result<Value, Error> {
        let mut files = self.reader.modules.mentioning(file);
        let has_file = files.any(|(_, module)| !module.files(file).is_empty());
        for (id, module) in self.reader.nearest_modules(name) {
            let is_there = |path: &Option<Arc<std::path::Path>>| {
                path.as_ref().is_some_and(|path| path.ends_with(file))
            };
            let globals = module.globals(name);
            if let Some(global) = globals.iter().find(|global| is_there(&global.file)) {
                return self.reader.variable(id, global);
            }
            let functions = module.functions(name);
            let function = functions
                .iter()
                .find(|f| is_there(&f.file) && f.entry.is_some());
            if let Some(function) = function {
                let ty = Type::Described(id, function.type_id());
                return Ok(Value::in_memory(ty, function.entry.unwrap_or_default()));
            }
        }
        if !has_file {
            // Not a file: perhaps a function or a scope in quotes.
            return self.name(&format!("{file}::{name}"));
        }
        Err(Error::new(format_args!(
            "No symbol \"{name}\" in specified context."
        )))
    }

    /// A register, a variable of ours, or a value of the history.
    fn dollar(&mut self, name: &str) -> Result<Value, Error> {
        if let Some(value) = self.history(name)? {
            return Ok(value);
        }
        if let Some(value) = self.register(name)? {
            return Ok(value);
        }
        if name == "_siginfo"
            && self.reader.frame.is_some()
            && let Some(ty) = machine::named(self.reader.modules, "siginfo")
            && let Some(bytes) = self.reader.source.signal_bytes()
        {
            return Ok(Value::computed(ty, bytes));
        }
        match self.memo.convenience.get(name) {
            Some(value) => Ok(value.clone()),
            None => {
                let place = Place::Convenience(name.to_owned());
                Ok(Value {
                    place,
                    ..Value::void()
                })
            }
        }
    }

    fn history(&mut self, name: &str) -> Result<Option<Value>, Error> {
        let len = self.memo.history.len();
        let back = |back: usize| {
            let value = len
                .checked_sub(back + 1)
                .map(|at| self.memo.history[at].clone());
            Ok(Some(value.unwrap_or_else(Value::void)))
        };
        if name.is_empty() {
            return back(0);
        }
        if name == "$" {
            return back(1);
        }
        if let Some(count) = name.strip_prefix('$') {
            return match count.parse() {
                Ok(count) => back(count),
                Err(_) => Ok(None),
            };
        }
        let Ok(number) = name.parse::<usize>() else {
            return Ok(None);
        };
        match number
            .checked_sub(1)
            .and_then(|at| self.memo.history.get(at))
        {
            Some(value) => Ok(Some(value.clone())),
            None => Err(Error::new(format_args!(
                "History has not yet reached ${number}."
            ))),
        }
    }

    fn register(&mut self, name: &str) -> Result<Option<Value>, Error> {
        let Some(frame) = self.reader.frame else {
            let is_register = Arch::X86_64.register_named(name).is_some();
            return match is_register || matches!(name, "pc" | "sp" | "fp") {
                true => Err(Error::new("No registers.")),
                false => Ok(None),
            };
        };
        let arch = frame.registers.arch();
        let data = Type::Void.pointer();
        let code = Type::Function {
            returns: Arc::new(Type::Void),
            parameters: None,
            is_variadic: false,
        }
        .pointer();
        let whole = match name {
            "pc" => Some(arch.pc()),
            "sp" => Some(arch.sp()),
            "fp" => Some(arch.fp()),
            name => arch.register_named(name),
        };
        let (register, ty, size) = match whole {
            Some(register) if register == arch.pc() => (register, code, 8),
            Some(register) if register == arch.sp() || register == arch.fp() => (register, data, 8),
            Some(register) => {
                let word = Number {
                    name: "int64_t",
                    ..Number::LONG
                };
                (register, Type::Number(word), 8)
            }
            None => match (vector_register(name), part_of_register(arch, name)) {
                (Some((register, union, size)), _) if arch == Arch::X86_64 => {
                    let ty = machine::named(self.reader.modules, union);
                    let plain = Type::Number(Number::UNSIGNED_INT128);
                    (register, ty.unwrap_or(plain), size)
                }
                (_, Some((register, number))) => (register, Type::Number(number), number.size),
                _ => return Ok(None),
            },
        };
        let bytes = frame.registers.bytes(register);
        let bytes = bytes.or_else(|| self.reader.source.other_register(frame, register));
        let content = match bytes {
            Some(mut bytes) => {
                // x87's ten bytes are a type of sixteen.
                bytes.resize(bytes.len().max(size as usize), 0);
                Content::new(bytes).part(0, size as usize)
            }
            None => Content::lost(size as usize),
        };
        let place = Place::Register {
            frame: Arc::new(frame.clone()),
            register,
            offset: 0,
        };
        Ok(Some(Value {
            ty,
            place,
            bits: None,
            content: Some(content),
        }))
    }

    // Parts.

    /// What a reference refers to; any other value as it is.
    fn referred(&mut self, value: &Value) -> Result<Value, Error> {
        match value.ty.shape(self.reader.modules)? {
            Shape::Reference(to, _) => self.target(value, to, 0),
            _ => Ok(value.clone()),
        }
    }

    /// What a pointer or reference leads to, `by` bytes on.
    fn target(&mut self, pointer: &Value, to: Type, by: i64) -> Result<Value, Error> {
        let pointer = self.reader.fetched(pointer)?;
        if let Some(value) = self.reader.synthetic_target(&pointer, &to, by)? {
            return Ok(value);
        }
        let at = self.pointer_bits(&pointer)?;
        Ok(Value::in_memory(to, at.offset(by)))
    }

    fn pointer_bits(&mut self, value: &Value) -> Result<Address, Error> {
        let bytes = self.reader.bytes(value)?;
        Ok(Address(crate::value::format::unsigned(&bytes) as u64))
    }

    /// A member of a struct, or of what a pointer points to.
    pub fn member(&mut self, whole: &Value, name: &str, is_arrow: bool) -> Result<Value, Error> {
        let mut whole = self.referred(whole)?;
        if let Shape::Pointer(to) = whole.ty.shape(self.reader.modules)? {
            whole = self.target(&whole, to, 0)?;
        }
        let Shape::Composite(..) = whole.ty.shape(self.reader.modules)? else {
            let pointer = if is_arrow { " pointer" } else { "" };
            return Err(Error::new(format_args!(
                "Attempt to extract a component of a value that is not a structure{pointer}."
            )));
        };
        if let Some(value) = self.reader.find_member(&whole, name, 0)? {
            return Ok(value);
        }
        // `pointer->member` through a smart pointer.
        let pointee = self.reader.pointee(&whole)?;
        let found = match &pointee {
            Some(pointee) => self.reader.find_member(pointee, name, 0)?,
            None => None,
        };
        match found {
            Some(value) => Ok(value),
            None => Err(Error::new(format_args!("There is no member named {name}."))),
        }
    }

    fn index(&mut self, array: &Value, index: i128) -> Result<Value, Error> {
        let array = self.referred(array)?;
        let modules = self.reader.modules;
        let (element, start) = match array.ty.shape(modules)? {
            Shape::Array { element, count } => match array.address() {
                Some(at) => (element, at),
                None => return self.element(&array, &element, count, index),
            },
            Shape::Pointer(to) => {
                let size = self.reader.size(&to)? as i128;
                return self.target(&array, to, index.wrapping_mul(size) as i64);
            }
            _ => {
                if let Ok(index) = usize::try_from(index)
                    && let Some(element) = self.reader.container_element(&array, index)?
                {
                    return Ok(element);
                }
                let name = array.ty.name(modules);
                return Err(Error::new(format_args!(
                    "cannot subscript something of type `{name}'"
                )));
            }
        };
        let size = self.reader.size(&element)? as i128;
        let at = start.offset(index.wrapping_mul(size) as i64);
        Ok(Value::in_memory(element, at))
    }

    /// An element of an array that is not in memory.
    fn element(
        &mut self,
        array: &Value,
        element: &Type,
        count: Option<u64>,
        index: i128,
    ) -> Result<Value, Error> {
        let size = self.reader.size(element)?;
        let index = u64::try_from(index)
            .ok()
            .filter(|index| count.is_none_or(|c| *index < c));
        let index = index.ok_or_else(|| Error::new("no such vector element"))?;
        let content = self
            .reader
            .content(array)?
            .part(index as usize * size, size);
        let place = match &array.place {
            Place::Register {
                frame,
                register,
                offset,
            } => Place::Register {
                frame: frame.clone(),
                register: *register,
                offset: offset + index * size as u64,
            },
            _ => Place::Nowhere,
        };
        Ok(Value {
            ty: element.clone(),
            place,
            bits: None,
            content: Some(content),
        })
    }

    fn slice(&mut self, array: &Expr, low: &Expr, high: &Expr) -> Result<Value, Error> {
        let array = self.evaluate(array)?;
        let low = self.evaluate(low)?;
        let high = self.evaluate(high)?;
        let (low, high) = (self.whole_number(&low)?, self.whole_number(&high)?);
        if high <= low {
            return Err(Error::new("The end of a range must lie behind its start."));
        }
        let first = self.index(&array, low)?;
        self.repeat(first, high - low)
    }

    fn repeat(&mut self, first: Value, count: i128) -> Result<Value, Error> {
        let first = self.referred(&first)?;
        let Some(at) = first.address().filter(|_| first.bits.is_none()) else {
            return Err(Error::new(
                "Only values in memory can be extended with '@'.",
            ));
        };
        let Some(count) = u64::try_from(count).ok().filter(|&count| count > 0) else {
            return Err(Error::new(format_args!(
                "Invalid number {count} of repetitions."
            )));
        };
        Ok(Value::in_memory(
            Type::Array(Arc::new(first.ty), Some(count)),
            at,
        ))
    }
}

fn pointer_value(to: Type, at: Address) -> Value {
    Value::computed(to.pointer(), at.0.to_le_bytes())
}

fn is_comparison(operator: Binary) -> bool {
    matches!(
        operator,
        Binary::Equal
            | Binary::NotEqual
            | Binary::Less
            | Binary::LessEqual
            | Binary::Greater
            | Binary::GreaterEqual
    )
}

/// A whole number's literal: of the first type of C's list that holds it.
fn integer(value: u128, suffix: &str) -> Value {
    let is_unsigned = suffix.contains('u');
    let is_long = suffix.contains('l');
    let number = if !is_long && !is_unsigned && value <= i32::MAX as u128 {
        Number::INT
    } else if !is_long && is_unsigned && value <= u32::MAX.into() {
        Number::UNSIGNED_INT
    } else if !is_unsigned && value <= i64::MAX as u128 {
        Number::LONG
    } else if value <= u64::MAX.into() {
        Number::UNSIGNED_LONG
    } else if !is_unsigned && value <= i128::MAX as u128 {
        Number::INT128
    } else {
        Number::UNSIGNED_INT128
    };
    Value::integer(Type::Number(number), value as i128, number.size)
}

/// A text, as the array that C makes of it.
fn text(units: &[u32], prefix: &str) -> Value {
    let number = match prefix {
        "" | "u8" => Number::CHAR,
        "u" => Number::UNSIGNED_SHORT,
        _ => Number::INT,
    };
    let mut bytes = Vec::new();
    for unit in units.iter().chain([&0]) {
        bytes.extend_from_slice(&unit.to_le_bytes()[..number.size as usize]);
    }
    let count = units.len() as u64 + 1;
    Value::computed(
        Type::Array(Arc::new(Type::Number(number)), Some(count)),
        bytes,
    )
}

/// A vector register: its number in DWARF, the union that it is seen as, and how
/// many bytes it has.
fn vector_register(name: &str) -> Option<(Register, &'static str, u64)> {
    const XMM0: u16 = 17;
    let rows = [("xmm", "vec128", 16), ("ymm", "vec256", 32)];
    rows.into_iter().find_map(|(prefix, union, size)| {
        let number: u16 = name.strip_prefix(prefix)?.parse().ok()?;
        (number < 16).then_some((Register(XMM0 + number), union, size))
    })
}

/// A register that is part of another: `eax`, `ax`, `al`, `r8d`, `eflags`.
fn part_of_register(arch: Arch, name: &str) -> Option<(Register, Number)> {
    if arch != Arch::X86_64 {
        return None;
    }
    const FLAGS: Register = Register(49);
    const MXCSR: Register = Register(64);
    if name == "eflags" {
        let flags = Number {
            name: "i386_eflags",
            ..Number::INT
        };
        return Some((FLAGS, flags));
    }
    if name == "mxcsr" {
        let flags = Number {
            name: "i386_mxcsr",
            ..Number::INT
        };
        return Some((MXCSR, flags));
    }
    if let Some(number) = name.strip_prefix("st").and_then(|n| n.parse::<u16>().ok())
        && number < 8
    {
        return Some((Register(33 + number), Number::LONG_DOUBLE));
    }
    let segments = ["es", "cs", "ss", "ds", "fs", "gs"];
    if let Some(at) = segments.iter().position(|segment| *segment == name) {
        return Some((Register(50 + at as u16), Number::SHORT));
    }
    match name {
        "fs_base" => return Some((Register(58), Number::LONG)),
        "gs_base" => return Some((Register(59), Number::LONG)),
        _ => {}
    }
    if let Some(rest) = name.strip_prefix('e')
        && let Some(register) = arch.register_named(&format!("r{rest}"))
    {
        return Some((register, Number::INT));
    }
    if let Some(number) = name.strip_prefix('r') {
        let (digits, size) = match number.char_indices().last()? {
            (at, 'd') => (&number[..at], Number::INT),
            (at, 'w' | 'l') if number.ends_with('w') => (&number[..at], Number::SHORT),
            (at, 'l' | 'b') => (&number[..at], Number::CHAR),
            _ => return None,
        };
        return Some((arch.register_named(&format!("r{digits}"))?, size));
    }
    let (letters, number) = match name {
        "ax" | "bx" | "cx" | "dx" | "si" | "di" | "bp" | "sp" => (name, Number::SHORT),
        "al" | "bl" | "cl" | "dl" => (&*format!("{}x", &name[..1]), Number::CHAR),
        "sil" | "dil" | "bpl" | "spl" => (&name[..2], Number::CHAR),
        _ => return None,
    };
    Some((arch.register_named(&format!("r{letters}"))?, number))
}
