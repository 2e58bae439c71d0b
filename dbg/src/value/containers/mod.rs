//! Containers of the standard libraries, shown by what is in them.
//!
//! A container is recognised by the name of its type and by having the members
//! that its library gives it; one that has not is shown as the struct that it
//! is. What is read of it is bounded by what is shown.

mod cpp;
mod cpp_more;
mod libcxx;
mod rust;

use sapwood_dwarf::{self as dwarf, Address, Composite, Language, ModuleId, TypeKind};

use super::{Error, Reader, Shape, Type, Value, format};

/// A container as it is shown.
pub(super) struct Summary {
    /// What stands before the contents.
    pub(super) heading: String,
    /// The contents.
    pub(super) contents: Contents,
}

/// What is in a container, as far as it is shown.
pub(super) enum Contents {
    /// The heading says all.
    Nothing,
    /// Characters of that size and prefix; and whether more follow.
    Text(Vec<u32>, usize, &'static str, bool),
    /// A row of values; and whether more follow.
    Row(Vec<Value>, bool),
    /// Values by their keys; and whether more follow.
    Map(Vec<(Value, Value)>, bool),
    /// Values by name, in braces; and whether more follow.
    Named(Vec<(String, Value)>, bool),
    /// One value in place of the container.
    Inner(Box<Value>),
}

/// The struct that is looked at.
pub(super) struct Subject<'v> {
    pub(super) value: &'v Value,
    pub(super) module: ModuleId,
    pub(super) composite: &'v Composite,
    /// Its name without template or generic arguments.
    pub(super) base: &'v str,
    /// How many elements may be read.
    pub(super) limit: usize,
}

impl Subject<'_> {
    /// A template or generic argument that is a type.
    fn argument(&self, index: usize) -> Result<Type, Error> {
        let argument = self.composite.arguments.get(index);
        let id = argument.and_then(|argument| argument.type_id);
        let id = id.ok_or_else(|| Error::new("a container without its element's type"))?;
        Ok(Type::Described(self.module, id))
    }
}

impl Reader<'_> {
    /// What a struct is as a container; `None` where it is none, or where it
    /// does not look as its library lays it out.
    pub(super) fn container(
        &mut self,
        value: &Value,
        module: ModuleId,
        description: &dwarf::Type,
        limit: usize,
    ) -> Option<Summary> {
        let TypeKind::Composite(composite) = &description.kind else {
            return None;
        };
        let name = description.qualified_name.as_deref()?;
        let base = name.split('<').next().unwrap_or(name);
        let subject = Subject {
            value,
            module,
            composite,
            base,
            limit,
        };
        match description.language {
            Language::Cpp if cpp_more::is_iterator(base) => self.cpp_iterator(value),
            Language::Cpp if base.starts_with("std::") => self.cpp_container(&subject),
            Language::Rust => self.rust_container(&subject, name),
            _ => return None,
        }
        .ok()
        .flatten()
    }

    /// A struct's value as a container, of which so many elements are wanted.
    fn as_container(&mut self, value: &Value, limit: usize) -> Result<Option<Contents>, Error> {
        let Shape::Composite(module, description) = value.ty.shape(self.modules)? else {
            return Ok(None);
        };
        let summary = self.container(value, module, &description, limit);
        Ok(summary.map(|summary| summary.contents))
    }

    /// The characters of a string object; `None` for what is none.
    pub fn string_text(&mut self, value: &Value, limit: usize) -> Result<Option<Vec<u32>>, Error> {
        Ok(match self.as_container(value, limit)? {
            Some(Contents::Text(units, ..)) => Some(units),
            _ => None,
        })
    }

    /// The keys and values of a map; `None` for what is none.
    pub fn map_pairs(
        &mut self,
        value: &Value,
        limit: usize,
    ) -> Result<Option<Vec<(Value, Value)>>, Error> {
        Ok(match self.as_container(value, limit)? {
            Some(Contents::Map(pairs, _)) => Some(pairs),
            _ => None,
        })
    }

    /// The element of that number of a vector, deque, string or list; `None`
    /// for what is no such container, or has not so many.
    pub fn container_element(
        &mut self,
        value: &Value,
        index: usize,
    ) -> Result<Option<Value>, Error> {
        const MAX_INDEX: usize = 1 << 20;
        if index >= MAX_INDEX {
            return Ok(None);
        }
        Ok(match self.as_container(value, index + 1)? {
            Some(Contents::Row(values, _)) => values.into_iter().nth(index),
            Some(Contents::Named(values, _)) => {
                let wanted = format!("[{index}]");
                values
                    .into_iter()
                    .find(|(name, _)| *name == wanted)
                    .map(|(_, value)| value)
            }
            Some(Contents::Text(units, size @ (1 | 4), ..)) => {
                let number = if size == 1 {
                    super::Number::CHAR
                } else {
                    super::Number::INT
                };
                let unit = units.get(index);
                unit.map(|&unit| Value::integer(Type::Number(number), unit.into(), size as u64))
            }
            _ => None,
        })
    }

    /// What a smart pointer points to, or a wrapper of one value holds; `None`
    /// for what is neither, or is empty.
    pub fn pointee(&mut self, value: &Value) -> Result<Option<Value>, Error> {
        let named = match self.as_container(value, 1)? {
            Some(Contents::Inner(value)) => return Ok(Some(*value)),
            // Rust's counted pointers hold the one value.
            Some(Contents::Row(values, false)) if values.len() == 1 => {
                let is_rust = value.ty.language(self.modules) == Language::Rust;
                return Ok(values.into_iter().next().filter(|_| is_rust));
            }
            Some(Contents::Named(values, _)) => values.into_iter().next(),
            _ => None,
        };
        match named {
            Some((name, pointer)) if name == "get()" => {
                let (at, to) = self.first_pointer(&pointer)?;
                Ok((at.0 != 0).then(|| Value::in_memory(to, at)))
            }
            Some((name, value)) if name == "[contained value]" => Ok(Some(value)),
            _ => Ok(None),
        }
    }

    /// A member by its path, through unnamed members and base classes.
    pub(super) fn path(&mut self, value: &Value, path: &[&str]) -> Result<Value, Error> {
        let mut value = value.clone();
        for name in path {
            value = self
                .find_member(&value, name, 0)?
                .ok_or_else(|| Error::new(format_args!("There is no member named {name}.")))?;
        }
        Ok(value)
    }

    /// A member that is a whole number or a pointer.
    pub(super) fn path_number(&mut self, value: &Value, path: &[&str]) -> Result<u64, Error> {
        let member = self.path(value, path)?;
        self.bits_of(&member)
    }

    pub(super) fn bits_of(&mut self, value: &Value) -> Result<u64, Error> {
        let bytes = self.bytes(value)?;
        Ok(format::unsigned(&bytes) as u64)
    }

    /// The first pointer in a struct, however deep it is wrapped.
    pub(super) fn first_pointer(&mut self, value: &Value) -> Result<(Address, Type), Error> {
        const MAX_WRAPPERS: u32 = 12;
        self.pointer_within(value, MAX_WRAPPERS)?
            .ok_or_else(|| Error::new("a container without a pointer"))
    }

    fn pointer_within(
        &mut self,
        value: &Value,
        depth: u32,
    ) -> Result<Option<(Address, Type)>, Error> {
        match value.ty.shape(self.modules)? {
            Shape::Pointer(to) => Ok(Some((Address(self.bits_of(value)?), to))),
            Shape::Composite(module, description) if depth > 0 => {
                let TypeKind::Composite(composite) = &description.kind else {
                    return Ok(None);
                };
                for member in &composite.members {
                    let inner = self.member(value, module, member)?;
                    if let Some(found) = self.pointer_within(&inner, depth - 1)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Elements that lie one behind the other, as many as are shown.
    pub(super) fn row(
        &mut self,
        element: &Type,
        start: Address,
        count: u64,
        limit: usize,
    ) -> Result<Contents, Error> {
        let size = self.size(element)? as u64;
        let shown = count.min(limit as u64);
        let values = (0..shown)
            .map(|index| Value::in_memory(element.clone(), start.add(index * size)))
            .collect();
        Ok(Contents::Row(values, shown < count))
    }

    /// Bytes that are text, as many as are shown.
    pub(super) fn text_of(
        &mut self,
        start: Address,
        count: u64,
        size: usize,
        prefix: &'static str,
        limit: usize,
    ) -> Result<Contents, Error> {
        let shown = count.min(limit as u64) as usize;
        let mut bytes = vec![0; shown * size];
        self.source.read(start, &mut bytes)?;
        let units = bytes
            .chunks_exact(size)
            .map(|unit| format::unsigned(unit) as u32)
            .collect();
        Ok(Contents::Text(units, size, prefix, (shown as u64) < count))
    }
}
