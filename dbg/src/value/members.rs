//! The members of structs: by name, through base classes and unnamed members,
//! and the variants of Rust's enums.

use sapwood_dwarf::{self as dwarf, Composite, Member, MemberOffset, ModuleId, TypeKind};

use super::{Bits, Error, Place, Reader, Shape, Type, Value, format};

/// How many structs deep a member is looked for.
const MAX_BASES: u32 = 64;

impl Reader<'_> {
    /// Looks for a member in a struct, in what is unnamed in it, in its base
    /// classes, and in the variant that a Rust enum has.
    pub fn find_member(
        &mut self,
        whole: &Value,
        name: &str,
        depth: u32,
    ) -> Result<Option<Value>, Error> {
        let Shape::Composite(module, description) = whole.ty.shape(self.modules)? else {
            return Ok(None);
        };
        let TypeKind::Composite(composite) = &description.kind else {
            return Ok(None);
        };
        if composite.is_declaration {
            let name = whole.ty.name(self.modules);
            return Err(Error::new(format_args!("incomplete type \"{name}\"")));
        }
        let last = name.rsplit("::").next().unwrap_or(name);
        if let Some(member) = named_member(composite, last) {
            return self.member(whole, module, member).map(Some);
        }
        if let Some(one) = composite.statics.iter().find(|one| one.name == last) {
            let ty = Type::Described(module, one.type_id);
            return self
                .static_value(module, &description, last, &ty, one.value)
                .map(Some);
        }
        if depth >= MAX_BASES {
            return Ok(None);
        }
        if let Some(variant) = self.active_variant(whole)? {
            return self.find_member(&variant, name, depth + 1);
        }
        for member in &composite.members {
            if member.is_base || member.name.is_none() {
                let inner = self.member(whole, module, member)?;
                if let Some(found) = self.find_member(&inner, name, depth + 1)? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The variant that a Rust enum's value has: its struct. `None` for what is
    /// no such enum.
    pub fn active_variant(&mut self, whole: &Value) -> Result<Option<Value>, Error> {
        let Shape::Composite(module, description) = whole.ty.shape(self.modules)? else {
            return Ok(None);
        };
        let TypeKind::Composite(composite) = &description.kind else {
            return Ok(None);
        };
        let Some(variants) = &composite.variants else {
            return Ok(None);
        };
        let selector = match &variants.discriminant {
            Some(discriminant) => {
                let value = self.member(whole, module, discriminant)?;
                let bytes = self.bytes(&value)?;
                Some(format::unsigned(&bytes) as i128)
            }
            None => None,
        };
        let selected = |one: &&dwarf::Variant| {
            selector
                .is_some_and(|selector| one.selectors.iter().any(|range| range.contains(&selector)))
        };
        let chosen = variants.variants.iter().find(selected);
        let chosen = chosen.or_else(|| {
            variants
                .variants
                .iter()
                .find(|one| one.selectors.is_empty())
        });
        match chosen.and_then(|one| one.members.first()) {
            Some(member) => self.member(whole, module, member).map(Some),
            None => Err(Error::new("the enum has no variant with its discriminant")),
        }
    }

    /// A static data member of a class.
    pub fn static_value(
        &mut self,
        module: ModuleId,
        class: &dwarf::Type,
        name: &str,
        ty: &Type,
        constant: Option<i128>,
    ) -> Result<Value, Error> {
        if let Some(constant) = constant {
            let size = self.size(ty)? as u64;
            return Ok(Value::integer(ty.clone(), constant, size));
        }
        let class = class.qualified_name.as_deref().unwrap_or_default();
        let owner = self
            .modules
            .get(module)
            .ok_or_else(Error::unloaded)?
            .clone();
        let path = format!("{class}::{name}");
        let found = owner.globals(&path).into_iter().next();
        let variable = found.ok_or_else(|| Error::new(format_args!("No symbol \"{path}\"")))?;
        self.variable(module, &variable)
    }

    /// A member of a struct's value.
    pub fn member(
        &mut self,
        whole: &Value,
        module: ModuleId,
        member: &Member,
    ) -> Result<Value, Error> {
        let ty = Type::Described(module, member.type_id);
        let bytes = match &member.offset {
            MemberOffset::Bytes(bytes) => *bytes,
            MemberOffset::Bits(offset) => return self.bit_field(whole, ty, *offset, member),
            MemberOffset::Computed(entry) => {
                let base = whole.address().ok_or_else(|| {
                    Error::new("a virtual base class of a value that is not in memory")
                })?;
                let owner = self
                    .modules
                    .get(module)
                    .ok_or_else(Error::unloaded)?
                    .clone();
                let at = owner.member_address(*entry, base, &mut self.seen())?;
                return Ok(Value::in_memory(ty, at));
            }
        };
        let place = match &whole.place {
            Place::Memory(address) => Place::Memory(address.add(bytes)),
            Place::Register {
                frame,
                register,
                offset,
            } => Place::Register {
                frame: frame.clone(),
                register: *register,
                offset: offset + bytes,
            },
            _ => Place::Nowhere,
        };
        let content = match &whole.content {
            Some(content) => Some(content.part(bytes as usize, self.size(&ty)?)),
            None => None,
        };
        Ok(Value {
            ty,
            place,
            bits: None,
            content,
        })
    }

    fn bit_field(
        &mut self,
        whole: &Value,
        ty: Type,
        offset: u64,
        member: &Member,
    ) -> Result<Value, Error> {
        let bits = Bits {
            offset,
            size: member.bit_size.unwrap_or(0),
        };
        let content = match &whole.content {
            Some(content) => Some(self.extract(content, &ty, bits, self.size(&ty)?)?),
            None => None,
        };
        let place = match whole.place {
            Place::Memory(address) => Place::Memory(address),
            _ => Place::Nowhere,
        };
        Ok(Value {
            ty,
            place,
            bits: Some(bits),
            content,
        })
    }
}

fn named_member<'c>(composite: &'c Composite, name: &str) -> Option<&'c Member> {
    composite
        .members
        .iter()
        .find(|member| member.name.as_deref() == Some(name))
}
