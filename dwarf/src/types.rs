//! Types, one level at a time: a [`Type`] names its parts by [`TypeId`].

use std::sync::Arc;

use crate::{EntryId, Language, Module, Result};

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
        /// The lowest index, 0 in C.
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

/// A struct, class or union.
#[derive(Clone, PartialEq, Debug)]
pub struct Composite {
    /// Which of them.
    pub keyword: Keyword,
    /// Its data members and base classes, in order of declaration.
    pub members: Vec<Member>,
    /// Its static data members.
    pub statics: Vec<StaticMember>,
    /// Its template or generic type arguments.
    pub arguments: Vec<TemplateArgument>,
    /// What tells the variants of a Rust enum apart, and the variants.
    pub variants: Option<Variants>,
    /// Its functions: their entries and names.
    pub methods: Vec<(EntryId, String)>,
    /// Whether it is only declared here, and no unit of the module defines it.
    pub is_declaration: bool,
}

/// Which composite type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Keyword {
    /// `struct`.
    Struct,
    /// `class`.
    Class,
    /// `union`.
    Union,
}

/// A data member or base class.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    /// Its name; `None` for an unnamed struct or union within.
    pub name: Option<String>,
    /// Its type.
    pub type_id: TypeId,
    /// Where it begins.
    pub offset: MemberOffset,
    /// For a bit-field, its width in bits; its place is then
    /// `MemberOffset::Bits`.
    pub bit_size: Option<u64>,
    /// Whether it is a base class.
    pub is_base: bool,
    /// Whether the compiler made it up.
    pub is_artificial: bool,
}

/// Where a member begins, from the start of its struct.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemberOffset {
    /// That many bytes on.
    Bytes(u64),
    /// That many bits on, counted from the least significant bit of the first
    /// byte.
    Bits(u64),
    /// Where a location expression says (a virtual base class). Evaluate it
    /// with [`Module::member_address`].
    Computed(EntryId),
}

/// A static data member.
#[derive(Clone, PartialEq, Debug)]
pub struct StaticMember {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_id: TypeId,
    /// Its value, where it is a constant.
    pub value: Option<i128>,
}

/// A template or generic argument.
#[derive(Clone, PartialEq, Debug)]
pub struct TemplateArgument {
    /// The parameter's name.
    pub name: Option<String>,
    /// The type it stands for, or the type of its value.
    pub type_id: Option<TypeId>,
    /// Its value, for one that is not a type.
    pub value: Option<i128>,
}

/// The variants of a Rust enum.
#[derive(Clone, PartialEq, Debug)]
pub struct Variants {
    /// The member that tells them apart; `None` where there is only one.
    pub discriminant: Option<Box<Member>>,
    /// The variants.
    pub variants: Vec<Variant>,
}

/// One variant of a Rust enum.
#[derive(Clone, PartialEq, Debug)]
pub struct Variant {
    /// The discriminants that select it; empty for the one that all others
    /// select.
    pub selectors: Vec<std::ops::RangeInclusive<i128>>,
    /// Its contents, one member named as the variant is.
    pub members: Vec<Member>,
}

impl Module {
    /// The type of that entry.
    pub fn type_of(&self, id: TypeId) -> Result<Arc<Type>> {
        let _ = id;
        todo!()
    }

    /// The complete definition of a type that `id` only declares, or `id`.
    pub fn complete(&self, id: TypeId) -> TypeId {
        let _ = id;
        todo!()
    }

    /// The size of a type in bytes, through typedefs and arrays.
    pub fn size_of(&self, id: TypeId) -> Result<Option<u64>> {
        let _ = id;
        todo!()
    }

    /// The types of that name (a whole qualified name or a suffix on a `::`
    /// boundary), complete ones first.
    pub fn types(&self, name: &str) -> Vec<TypeId> {
        let _ = name;
        todo!()
    }
}
