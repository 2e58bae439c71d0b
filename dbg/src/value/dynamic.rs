//! The type that a C++ object has, whatever it was declared as: its table of
//! virtual functions says so.
//!
//! As the Itanium ABI lays objects out: one of a class with virtual functions or
//! bases begins with the address of such a table, whose symbol names the class;
//! two words before that address stands how far back the whole object begins.

use sapwood_dwarf::{Address, TypeKind};

use super::types::Type;
use super::{Error, Reader, Shape, Value, demangled, format};

/// How many base classes deep a virtual function is looked for.
const MAX_BASES: u32 = 64;

impl Reader<'_> {
    /// Whether objects of a class begin with the address of a table.
    fn has_table(&self, class: &Type, depth: u32) -> Result<bool, Error> {
        let Shape::Composite(module, description) = class.shape(self.modules)? else {
            return Ok(false);
        };
        let TypeKind::Composite(composite) = &description.kind else {
            return Ok(false);
        };
        if composite.methods.iter().any(|method| method.is_virtual)
            || composite.members.iter().any(|member| member.is_virtual)
        {
            return Ok(true);
        }
        if depth >= MAX_BASES {
            return Ok(false);
        }
        for base in composite.members.iter().filter(|member| member.is_base) {
            if self.has_table(&Type::Described(module, base.type_id), depth + 1)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The class of the whole object that a part of it, of class `class` and at
    /// `at`, belongs to, and where that begins. `None` where it is just that
    /// class, or where nobody knows.
    pub fn dynamic(&mut self, class: &Type, at: Address) -> Result<Option<(Type, Address)>, Error> {
        if at.0 == 0 || !self.has_table(class, 0)? {
            return Ok(None);
        }
        let Ok(table) = self.source.read_unsigned(at, 8) else {
            return Ok(None);
        };
        let table = Address(table);
        let Some((_, module)) = self.modules.at(table) else {
            return Ok(None);
        };
        let Some((symbol, _)) = module.symbol_at(table) else {
            return Ok(None);
        };
        let name = demangled(symbol.name);
        let Some(name) = name.strip_prefix("vtable for ") else {
            return Ok(None);
        };
        let own = class.stripped(self.modules)?;
        if own.name(self.modules) == name {
            return Ok(None);
        }
        let is_class = |ty: &Type| matches!(ty.shape(self.modules), Ok(Shape::Composite(..)));
        let Some(whole) = self.type_named(name, is_class) else {
            return Ok(None);
        };
        let back = self
            .source
            .read_unsigned(Address(table.0.wrapping_sub(16)), 8);
        let back = back.unwrap_or(0) as i64;
        Ok(Some((whole, at.offset(back))))
    }

    /// The first type of a name that will do.
    pub(super) fn type_named(&self, name: &str, will_do: impl Fn(&Type) -> bool) -> Option<Type> {
        let mut modules = self.modules.naming(name);
        modules.find_map(|(id, module)| {
            let types = module.types(name).into_iter();
            let mut types = types.map(|ty| Type::Described(id, ty));
            types.find(&will_do)
        })
    }

    /// A pointer, reference or object as one of the type that the object has.
    /// `None` where that is the declared one.
    pub fn as_dynamic(&mut self, value: &Value) -> Result<Option<Value>, Error> {
        match value.ty.shape(self.modules)? {
            Shape::Pointer(to) => {
                let bytes = self.bytes(value)?;
                let at = Address(format::unsigned(&bytes) as u64);
                let found = self.dynamic(&to, at)?;
                Ok(found.map(|(ty, at)| Value::computed(ty.pointer(), at.0.to_le_bytes())))
            }
            Shape::Reference(to, _) => {
                let bytes = self.bytes(value)?;
                let at = Address(format::unsigned(&bytes) as u64);
                let found = self.dynamic(&to, at)?;
                Ok(found.map(|(ty, at)| {
                    Value::computed(Type::Reference(ty.into()), at.0.to_le_bytes())
                }))
            }
            Shape::Composite(..) => {
                let Some(at) = value.address() else {
                    return Ok(None);
                };
                let found = self.dynamic(&value.ty, at)?;
                Ok(found.map(|(ty, at)| Value::in_memory(ty, at)))
            }
            _ => Ok(None),
        }
    }
}
