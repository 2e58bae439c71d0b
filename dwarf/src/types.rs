//! Types, one level at a time: a [`Type`] names its parts by [`TypeId`].

use std::sync::Arc;

use gimli::constants as c;

use crate::composite::Composite;
use crate::info::{Entry, Info, Slice, Unit, Value};
use crate::names::NameKind;
use crate::{EntryId, Error, Language, Module, Result};

/// A type of one module, by the entry that describes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct TypeId(pub EntryId);

/// A type, one level deep.
#[derive(Clone, PartialEq, Debug)]
pub struct Type {
    /// Itself.
    pub id: TypeId,
    /// Its name as the source has it, without `struct` and the like, and
    /// without its namespace.
    pub name: Option<String>,
    /// Its name with its namespace.
    pub qualified_name: Option<String>,
    /// Its size in bytes where the entry says so; see [`Module::size_of`].
    pub size: Option<u64>,
    /// What it is.
    pub kind: TypeKind,
    /// The language of its unit.
    pub language: Language,
}

/// What a type is made of.
#[derive(Clone, PartialEq, Debug)]
pub enum TypeKind {
    /// No value, as in `decltype(nullptr)` or Rust's `!`.
    Unspecified,
    /// A number, a character or a truth value.
    Base(Encoding),
    /// An address of something; `None` for `void`.
    Pointer(Option<TypeId>),
    /// `T&`.
    Reference(TypeId),
    /// `T&&`.
    RvalueReference(TypeId),
    /// `T C::*`.
    MemberPointer {
        /// What it points to.
        to: TypeId,
        /// The class whose member it is.
        class: TypeId,
    },
    /// A struct, class or union.
    Composite(Composite),
    /// An array.
    Array {
        /// What it is made of.
        element: TypeId,
        /// How many in each dimension, outermost first; `None` where the
        /// count is not known before the program runs.
        counts: Vec<Option<u64>>,
        /// Whether it is a vector register's worth, as GNU C's vectors are.
        is_vector: bool,
    },
    /// An enumeration.
    Enumeration {
        /// The type it is kept in.
        underlying: Option<TypeId>,
        /// Its constants, in order of declaration.
        enumerators: Vec<Enumerator>,
        /// Whether it is an `enum class`.
        is_scoped: bool,
    },
    /// Another name for a type; `None` for `void`.
    Typedef(Option<TypeId>),
    /// A qualified type; `None` for `void`.
    Qualified(Qualifier, Option<TypeId>),
    /// A function.
    Function {
        /// What it returns; `None` for `void`.
        returns: Option<TypeId>,
        /// Its parameters.
        parameters: Vec<TypeId>,
        /// Whether `...` follows.
        is_variadic: bool,
        /// Whether its parameters are declared at all, as `f()` in C is not.
        is_prototyped: bool,
        /// Whether the first of them is the object that it is called for.
        is_method: bool,
    },
}

/// How the bytes of a base type are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Encoding {
    /// A truth value.
    Boolean,
    /// A signed integer.
    Signed,
    /// An unsigned integer.
    Unsigned,
    /// A signed character.
    SignedChar,
    /// An unsigned character.
    UnsignedChar,
    /// A character of UTF-8, UTF-16 or UTF-32, by its size.
    Utf,
    /// A binary floating-point number: 2, 4, 8, 10-in-16 or 16 bytes.
    Float,
    /// Two floating-point numbers.
    ComplexFloat,
}

/// What qualifies a type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Qualifier {
    /// `const`.
    Const,
    /// `volatile`.
    Volatile,
    /// `restrict`.
    Restrict,
    /// `_Atomic`.
    Atomic,
}

/// One constant of an enumeration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Enumerator {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: i128,
}

/// A number that an attribute has, whatever its form. The forms without a
/// sign of their own are read as their tag's type would be: as signed when
/// small and written with `DW_FORM_sdata`, else as unsigned.
pub(crate) fn constant(entry: &Entry<'_>, at: gimli::DwAt) -> Option<i128> {
    match entry.attr_value(at)? {
        Value::Sdata(value) => Some(value.into()),
        Value::Udata(value) => Some(value.into()),
        Value::Data1(value) => Some(value.into()),
        Value::Data2(value) => Some(value.into()),
        Value::Data4(value) => Some(value.into()),
        Value::Data8(value) => Some(value.into()),
        Value::Data16(value) => Some(value as i128),
        Value::Block(bytes) if bytes.slice().len() <= 16 => {
            let mut wide = [0; 16];
            wide[..bytes.slice().len()].copy_from_slice(bytes.slice());
            Some(i128::from_le_bytes(wide))
        }
        value => value.udata_value().map(Into::into),
    }
}

/// How deep the types that one look-up walks through may nest.
const MAX_DEPTH: u32 = 64;

/// A type's entry as it is read.
pub(crate) struct Reading<'i, 'a> {
    pub(crate) info: &'i Info<'a>,
    pub(crate) unit: &'i Unit<'a>,
    pub(crate) id: EntryId,
    pub(crate) entry: Entry<'a>,
}

impl<'i, 'a> Reading<'i, 'a> {
    pub(crate) fn new(info: &'i Info<'a>, id: EntryId) -> Option<Reading<'i, 'a>> {
        let (unit, entry) = info.entry(id)?;
        Some(Reading {
            info,
            unit,
            id,
            entry,
        })
    }

    /// A child of this entry.
    fn child(&self, offset: u32, entry: Entry<'a>) -> Reading<'i, 'a> {
        let id = EntryId {
            unit: self.id.unit,
            offset,
        };
        Reading {
            info: self.info,
            unit: self.unit,
            id,
            entry,
        }
    }

    pub(crate) fn text(&self, at: gimli::DwAt) -> Option<String> {
        let text: Slice<'a> = self.info.text(self.id.unit, self.entry.attr_value(at))?;
        Some(text.to_string_lossy().into_owned())
    }

    pub(crate) fn reference(&self, at: gimli::DwAt) -> Option<TypeId> {
        self.info
            .follow(self.id.unit, self.entry.attr_value(at)?)
            .map(TypeId)
    }

    pub(crate) fn number(&self, at: gimli::DwAt) -> Option<i128> {
        constant(&self.entry, at)
    }

    pub(crate) fn unsigned(&self, at: gimli::DwAt) -> Option<u64> {
        u64::try_from(self.number(at)?).ok()
    }

    pub(crate) fn flag(&self, at: gimli::DwAt) -> bool {
        matches!(self.entry.attr_value(at), Some(Value::Flag(true)))
    }

    /// The entries directly inside this one.
    pub(crate) fn children(&self) -> Vec<Reading<'i, 'a>> {
        let mut children = Vec::new();
        if let Err(error) = self.fill_children(&mut children) {
            self.info
                .complain(".debug_info", self.info.section_offset(self.id), error);
        }
        children
    }

    fn fill_children(&self, children: &mut Vec<Reading<'i, 'a>>) -> gimli::Result<()> {
        if !self.entry.has_children() {
            return Ok(());
        }
        let mut entries = self
            .unit
            .entries_raw(Some(gimli::UnitOffset(self.id.offset as usize)))?;
        let mut entry = Entry::null();
        entries.read_entry(&mut entry)?;
        while !entries.is_empty() {
            let offset = entries.next_offset().0 as u32;
            let depth = entries.next_depth();
            if depth <= 0 {
                break;
            }
            if entries.read_entry(&mut entry)? && depth == 1 {
                children.push(self.child(offset, entry.clone()));
            }
        }
        Ok(())
    }

    /// The entry in a unit of its own that this one stands for.
    fn in_type_unit(&self) -> Option<EntryId> {
        let signature = self.entry.attr_value(c::DW_AT_signature)?;
        let found = self.info.follow(self.id.unit, signature)?;
        (found != self.id).then_some(found)
    }

    fn kind(&self) -> Result<TypeKind> {
        let target = || self.reference(c::DW_AT_type);
        let must = |target: Option<TypeId>| {
            target.ok_or_else(|| self.info.fault_at(self.id, "a type without its target"))
        };
        Ok(match self.entry.tag() {
            c::DW_TAG_unspecified_type => TypeKind::Unspecified,
            c::DW_TAG_base_type => TypeKind::Base(self.encoding()?),
            c::DW_TAG_pointer_type => TypeKind::Pointer(target()),
            c::DW_TAG_reference_type => TypeKind::Reference(must(target())?),
            c::DW_TAG_rvalue_reference_type => TypeKind::RvalueReference(must(target())?),
            c::DW_TAG_ptr_to_member_type => TypeKind::MemberPointer {
                to: must(target())?,
                class: must(self.reference(c::DW_AT_containing_type))?,
            },
            c::DW_TAG_structure_type | c::DW_TAG_class_type | c::DW_TAG_union_type => {
                TypeKind::Composite(self.composite())
            }
            c::DW_TAG_array_type => self.array(must(target())?),
            c::DW_TAG_enumeration_type => self.enumeration(),
            c::DW_TAG_typedef => TypeKind::Typedef(target()),
            c::DW_TAG_const_type => TypeKind::Qualified(Qualifier::Const, target()),
            c::DW_TAG_volatile_type => TypeKind::Qualified(Qualifier::Volatile, target()),
            c::DW_TAG_restrict_type => TypeKind::Qualified(Qualifier::Restrict, target()),
            c::DW_TAG_atomic_type => TypeKind::Qualified(Qualifier::Atomic, target()),
            c::DW_TAG_subroutine_type | c::DW_TAG_subprogram => {
                self.function(self.inherited_type())
            }
            c::DW_TAG_template_alias => TypeKind::Typedef(target()),
            tag => {
                let what = format_args!("entry {tag} is no type that is known");
                return Err(self.info.fault_at(self.id, what));
            }
        })
    }

    fn encoding(&self) -> Result<Encoding> {
        let encoding = match self.entry.attr_value(c::DW_AT_encoding) {
            Some(Value::Encoding(encoding)) => encoding,
            _ => c::DW_ATE_unsigned,
        };
        Ok(match encoding {
            c::DW_ATE_boolean => Encoding::Boolean,
            c::DW_ATE_signed => Encoding::Signed,
            c::DW_ATE_unsigned | c::DW_ATE_address => Encoding::Unsigned,
            c::DW_ATE_signed_char => Encoding::SignedChar,
            c::DW_ATE_unsigned_char => Encoding::UnsignedChar,
            c::DW_ATE_UTF | c::DW_ATE_UCS | c::DW_ATE_ASCII => Encoding::Utf,
            c::DW_ATE_float => Encoding::Float,
            c::DW_ATE_complex_float => Encoding::ComplexFloat,
            other => {
                let what = format_args!("encoding {other} is not supported");
                return Err(self.info.fault_at(self.id, what));
            }
        })
    }

    fn array(&self, element: TypeId) -> TypeKind {
        let mut counts = Vec::new();
        for child in self.children() {
            match child.entry.tag() {
                c::DW_TAG_subrange_type => counts.push(child.subrange_count()),
                c::DW_TAG_enumeration_type => {
                    let count = child.children().len();
                    counts.push(Some(count as u64));
                }
                c::DW_TAG_generic_subrange => counts.push(None),
                _ => {}
            }
        }
        if counts.is_empty() {
            counts.push(None);
        }
        TypeKind::Array {
            element,
            counts,
            is_vector: self.flag(c::DW_AT_GNU_vector),
        }
    }

    fn subrange_count(&self) -> Option<u64> {
        if let Some(count) = self.unsigned(c::DW_AT_count) {
            return Some(count);
        }
        let lower = self.number(c::DW_AT_lower_bound).unwrap_or(0);
        // gcc writes -1 as an unsigned number of some width for `int a[0]`.
        let upper = match self.entry.attr_value(c::DW_AT_upper_bound)? {
            Value::Data4(u32::MAX) | Value::Data8(u64::MAX) | Value::Udata(u64::MAX) => -1,
            Value::Exprloc(_) | Value::UnitRef(_) | Value::DebugInfoRef(_) => return None,
            _ => self.number(c::DW_AT_upper_bound)?,
        };
        u64::try_from(upper - lower + 1).ok()
    }

    fn enumeration(&self) -> TypeKind {
        let underlying = self.reference(c::DW_AT_type);
        let size = self.unsigned(c::DW_AT_byte_size).unwrap_or(8).min(16) as u32;
        let mut enumerators = Vec::new();
        for child in self.children() {
            if child.entry.tag() == c::DW_TAG_enumerator
                && let (Some(name), Some(value)) = (
                    child.text(c::DW_AT_name),
                    child.number(c::DW_AT_const_value),
                )
            {
                enumerators.push(Enumerator { name, value });
            }
        }
        // One negative constant makes the type signed; then the others' forms
        // without a sign are signed too.
        let is_signed = enumerators.iter().any(|one| one.value < 0);
        if is_signed && size < 16 {
            for one in &mut enumerators {
                let shift = 128 - 8 * size;
                one.value = one.value << shift >> shift;
            }
        }
        let is_scoped = self.flag(c::DW_AT_enum_class);
        TypeKind::Enumeration {
            underlying,
            enumerators,
            is_scoped,
        }
    }

    fn function(&self, returns: Option<TypeId>) -> TypeKind {
        let mut parameters = Vec::new();
        let mut is_variadic = false;
        let mut is_method = false;
        for child in self.children() {
            match child.entry.tag() {
                c::DW_TAG_formal_parameter => {
                    is_method |= parameters.is_empty() && child.flag(c::DW_AT_artificial);
                    parameters.extend(child.inherited_type());
                }
                c::DW_TAG_unspecified_parameters => is_variadic = true,
                _ => {}
            }
        }
        let is_c = matches!(self.info.language(self.id.unit), Language::C);
        let lineage = self.info.lineage(self.id);
        let is_declared = lineage.iter().any(|(_, entry)| {
            matches!(
                entry.attr_value(c::DW_AT_prototyped),
                Some(Value::Flag(true))
            )
        });
        let is_prototyped = is_declared || !is_c || !parameters.is_empty();
        TypeKind::Function {
            returns,
            parameters,
            is_variadic,
            is_prototyped,
            is_method,
        }
    }

    /// The type of an entry, its own or that of what it stands for.
    fn inherited_type(&self) -> Option<TypeId> {
        let lineage = self.info.lineage(self.id);
        lineage.iter().find_map(|(id, entry)| {
            self.info
                .follow(id.unit, entry.attr_value(c::DW_AT_type)?)
                .map(TypeId)
        })
    }
}

impl<'a> Info<'a> {
    /// The size of a type, through whatever names and qualifies it.
    /// Each dimension of an array: its count where that is fixed, else the
    /// attribute that says it, whether that is a count (or the last index), and
    /// the first index.
    #[allow(clippy::type_complexity)]
    pub(crate) fn array_bounds(
        &self,
        array: TypeId,
    ) -> Vec<(Option<u64>, Option<Value<'a>>, bool, i128)> {
        let Some(reading) = Reading::new(self, array.0) else {
            return Vec::new();
        };
        let subranges = reading.children().into_iter();
        subranges
            .filter(|child| child.entry.tag() == c::DW_TAG_subrange_type)
            .map(|child| {
                let count = child.entry.attr_value(c::DW_AT_count);
                let is_count = count.is_some();
                let attribute = count.or_else(|| child.entry.attr_value(c::DW_AT_upper_bound));
                let lower = child.number(c::DW_AT_lower_bound).unwrap_or(0);
                (child.subrange_count(), attribute, is_count, lower)
            })
            .collect()
    }

    pub(crate) fn byte_size(&self, id: EntryId, depth: u32) -> Option<u64> {
        if depth > MAX_DEPTH {
            return None;
        }
        let reading = Reading::new(self, id)?;
        if let Some(size) = reading.unsigned(c::DW_AT_byte_size) {
            return Some(size);
        }
        if let Some(defined) = reading.in_type_unit() {
            return self.byte_size(defined, depth + 1);
        }
        match reading.entry.tag() {
            c::DW_TAG_pointer_type | c::DW_TAG_reference_type | c::DW_TAG_rvalue_reference_type => {
                Some(8)
            }
            c::DW_TAG_ptr_to_member_type => {
                // A function's address or place, and what is added to `this`.
                let to = reading.reference(c::DW_AT_type);
                let to = to.and_then(|to| self.entry(to.0));
                let is_function =
                    to.is_some_and(|(_, entry)| entry.tag() == c::DW_TAG_subroutine_type);
                Some(if is_function { 16 } else { 8 })
            }
            c::DW_TAG_array_type => {
                let element = reading.reference(c::DW_AT_type)?;
                let TypeKind::Array { counts, .. } = reading.array(element) else {
                    return None;
                };
                let size = self.byte_size(element.0, depth + 1)?;
                counts
                    .iter()
                    .try_fold(size, |size, count| size.checked_mul((*count)?))
            }
            c::DW_TAG_structure_type | c::DW_TAG_class_type | c::DW_TAG_union_type => {
                let complete = self.complete(id);
                if complete == id {
                    None
                } else {
                    self.byte_size(complete, depth + 1)
                }
            }
            _ => self.byte_size(reading.reference(c::DW_AT_type)?.0, depth + 1),
        }
    }

    /// The definition of what an entry only declares, or the entry itself.
    fn complete(&self, id: EntryId) -> EntryId {
        let Some(reading) = Reading::new(self, id) else {
            return id;
        };
        if let Some(defined) = reading.in_type_unit() {
            return defined;
        }
        if !reading.flag(c::DW_AT_declaration) {
            return id;
        }
        let tag = reading.entry.tag();
        let name = self.qualified_name(id);
        let mut candidates = self.named(&name, &[NameKind::Type]);
        candidates.retain(|&other| {
            self.entry(other)
                .is_some_and(|(_, entry)| is_same_kind(entry.tag(), tag))
        });
        // The unit's own definition is nearer than another's of that name.
        let own = candidates.iter().find(|other| other.unit == id.unit);
        own.or(candidates.first()).copied().unwrap_or(id)
    }

    fn read_type(&self, id: EntryId) -> Result<Type> {
        let damaged = || self.fault_at(id, "the entry of a type is damaged");
        let mut reading = Reading::new(self, id).ok_or_else(damaged)?;
        let mut id = id;
        // gcc leaves no more of a type that has a unit of its own than a sign.
        if let Some(defined) = reading.in_type_unit() {
            id = defined;
            reading = Reading::new(self, id).ok_or_else(damaged)?;
        }
        let name = reading.text(c::DW_AT_name);
        let qualified_name = name.as_ref().map(|_| self.qualified_name(id));
        Ok(Type {
            id: TypeId(id),
            size: reading.unsigned(c::DW_AT_byte_size),
            kind: reading.kind()?,
            language: self.language(id.unit),
            name,
            qualified_name,
        })
    }
}

/// Whether two tags may declare and define one type: C++ lets `class` declare
/// what `struct` defines.
fn is_same_kind(one: gimli::DwTag, other: gimli::DwTag) -> bool {
    let plain = |tag| {
        if tag == c::DW_TAG_class_type {
            c::DW_TAG_structure_type
        } else {
            tag
        }
    };
    plain(one) == plain(other)
}

impl Module {
    /// The type of that entry.
    pub fn type_of(&self, id: TypeId) -> Result<Arc<Type>> {
        let read = self.info(|info| {
            let lock = || info.types.lock().unwrap_or_else(|e| e.into_inner());
            if let Some(known) = lock().get(&id.0) {
                return Ok(known.clone());
            }
            let read = Arc::new(info.read_type(id.0)?);
            lock().insert(id.0, read.clone());
            Ok(read)
        });
        read.unwrap_or_else(|| Err(Error::new(self.name(), "no debug information")))
    }

    /// The complete definition of a type that `id` only declares, or `id`.
    pub fn complete(&self, id: TypeId) -> TypeId {
        TypeId(self.info(|info| info.complete(id.0)).unwrap_or(id.0))
    }

    /// The size of a type in bytes, through typedefs and arrays. `None` where
    /// only the running program could tell, or for a mere declaration.
    pub fn size_of(&self, id: TypeId) -> Option<u64> {
        self.info(|info| info.byte_size(id.0, 0))?
    }

    /// The scopes that a type is in and its name, which may be empty, as the
    /// language writes them.
    pub fn path_of(&self, id: TypeId) -> String {
        self.info(|info| info.qualified_name(id.0))
            .unwrap_or_default()
    }

    /// The types of that name (a whole qualified name or a suffix on a `::`
    /// boundary). Only definitions.
    pub fn types(&self, name: &str) -> Vec<TypeId> {
        let ids = self
            .info(|info| info.named(name, &[NameKind::Type]))
            .unwrap_or_default();
        ids.into_iter().map(TypeId).collect()
    }

    /// The qualified names of all types, each once, sorted.
    pub fn type_names(&self) -> Vec<String> {
        self.info(|info| info.all_named(&[NameKind::Type]))
            .unwrap_or_default()
    }
}
