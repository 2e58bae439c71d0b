//! Types as the evaluator sees them: those that a module's debug information
//! describes, and those that expressions make out of them.

use std::borrow::Cow;
use std::sync::Arc;

use sapwood_dwarf::{
    self as dwarf, Encoding, Keyword, Language, ModuleId, Modules, Qualifier, TypeId, TypeKind,
};

use super::Error;

/// A type.
#[derive(Clone, PartialEq, Debug)]
pub enum Type {
    /// One that a module describes.
    Described(ModuleId, TypeId),
    /// Nothing.
    Void,
    /// A number of the language's own.
    Number(Number),
    /// A pointer.
    Pointer(Arc<Type>),
    /// A C++ reference.
    Reference(Arc<Type>),
    /// An array; `None` where nobody knows how long.
    Array(Arc<Type>, Option<u64>),
    /// A function.
    Function {
        /// What it returns.
        returns: Arc<Type>,
        /// What it takes; `None` where the source does not say.
        parameters: Option<Vec<Type>>,
        /// Whether `...` follows.
        is_variadic: bool,
    },
}

/// A number type that needs no debug information.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Number {
    /// Its name in C.
    pub name: &'static str,
    /// How its bytes are meant.
    pub encoding: Encoding,
    /// Its size in bytes.
    pub size: u64,
}

macro_rules! numbers {
    ($($constant:ident = $name:literal $encoding:ident $size:literal;)*) => {
        impl Number {
            $(#[doc = concat!("`", $name, "`.")]
            pub const $constant: Number =
                Number { name: $name, encoding: Encoding::$encoding, size: $size };)*

            /// Every number type of C.
            pub const ALL: &[Number] = &[$(Number::$constant),*];
        }
    };
}

numbers! {
    CHAR = "char" SignedChar 1;
    SIGNED_CHAR = "signed char" SignedChar 1;
    UNSIGNED_CHAR = "unsigned char" UnsignedChar 1;
    SHORT = "short" Signed 2;
    UNSIGNED_SHORT = "unsigned short" Unsigned 2;
    INT = "int" Signed 4;
    UNSIGNED_INT = "unsigned int" Unsigned 4;
    LONG = "long" Signed 8;
    UNSIGNED_LONG = "unsigned long" Unsigned 8;
    LONG_LONG = "long long" Signed 8;
    UNSIGNED_LONG_LONG = "unsigned long long" Unsigned 8;
    INT128 = "__int128" Signed 16;
    UNSIGNED_INT128 = "unsigned __int128" Unsigned 16;
    BOOL = "bool" Boolean 1;
    FLOAT = "float" Float 4;
    DOUBLE = "double" Float 8;
    LONG_DOUBLE = "long double" Float 16;
}

/// A type with its names and qualifiers taken off: what can be done with it.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Nothing, or nothing that anybody described.
    Void,
    /// A number, character or truth value.
    Number {
        /// How the bytes are meant.
        encoding: Encoding,
        /// How many there are.
        size: u64,
    },
    /// An address of something.
    Pointer(Type),
    /// A C++ reference; the flag says `&&`.
    Reference(Type, bool),
    /// A pointer to a member, as its ABI keeps it: an offset, or a function.
    MemberPointer(Type),
    /// A struct, class or union, complete where any unit completes it.
    Composite(ModuleId, Arc<dwarf::Type>),
    /// An enumeration.
    Enumeration(ModuleId, Arc<dwarf::Type>),
    /// An array.
    Array {
        /// What it is made of: itself an array, for more than one dimension.
        element: Type,
        /// How many; `None` where nobody knows.
        count: Option<u64>,
    },
    /// A function.
    Function {
        /// What it returns.
        returns: Type,
        /// What it takes; `None` where the source does not say.
        parameters: Option<Vec<Type>>,
        /// Whether `...` follows.
        is_variadic: bool,
    },
}

/// How many names and qualifiers one type may be under.
const MAX_NAMES: usize = 64;

impl Type {
    /// The number type of C.
    pub const INT: Type = Type::Number(Number::INT);

    /// A pointer to this type.
    pub fn pointer(self) -> Type {
        Type::Pointer(Arc::new(self))
    }

    /// A type of a module, or `void` for none.
    pub fn described(module: ModuleId, id: Option<TypeId>) -> Type {
        id.map_or(Type::Void, |id| Type::Described(module, id))
    }

    /// What the type is, one level deep; `None` for a type made by us.
    pub fn description(&self, modules: &Modules) -> Result<Option<Arc<dwarf::Type>>, Error> {
        match self {
            Type::Described(module, id) => {
                let module = modules.get(*module).ok_or_else(Error::unloaded)?;
                Ok(Some(module.type_of(*id)?))
            }
            _ => Ok(None),
        }
    }

    /// The type with its outermost typedefs and qualifiers taken off.
    pub fn stripped(&self, modules: &Modules) -> Result<Type, Error> {
        let mut stripped = self.clone();
        for _ in 0..MAX_NAMES {
            let Type::Described(module, _) = stripped else {
                return Ok(stripped);
            };
            let Some(description) = stripped.description(modules)? else {
                return Ok(stripped);
            };
            match &description.kind {
                TypeKind::Typedef(to) | TypeKind::Qualified(_, to) => {
                    stripped = Type::described(module, *to);
                }
                _ => return Ok(stripped),
            }
        }
        Err(Error::new("a type is named in terms of itself"))
    }

    /// The type with its outermost qualifiers taken off, but not its names.
    pub fn unqualified(&self, modules: &Modules) -> Result<Type, Error> {
        let mut plain = self.clone();
        for _ in 0..MAX_NAMES {
            let Type::Described(module, _) = plain else {
                return Ok(plain);
            };
            match plain.description(modules)?.map(|d| d.kind.clone()) {
                Some(TypeKind::Qualified(_, to)) => plain = Type::described(module, to),
                _ => return Ok(plain),
            }
        }
        Ok(plain)
    }

    /// What can be done with the type.
    pub fn shape(&self, modules: &Modules) -> Result<Shape, Error> {
        let stripped = self.stripped(modules)?;
        let (module, description) = match &stripped {
            Type::Void => return Ok(Shape::Void),
            Type::Number(number) => {
                return Ok(Shape::Number {
                    encoding: number.encoding,
                    size: number.size,
                });
            }
            Type::Pointer(to) => return Ok(Shape::Pointer((**to).clone())),
            Type::Reference(to) => return Ok(Shape::Reference((**to).clone(), false)),
            Type::Array(element, count) => {
                return Ok(Shape::Array {
                    element: (**element).clone(),
                    count: *count,
                });
            }
            Type::Function {
                returns,
                parameters,
                is_variadic,
            } => {
                return Ok(Shape::Function {
                    returns: (**returns).clone(),
                    parameters: parameters.clone(),
                    is_variadic: *is_variadic,
                });
            }
            Type::Described(module, _) => (
                *module,
                stripped.description(modules)?.expect("a described type"),
            ),
        };
        Ok(match &description.kind {
            TypeKind::Unspecified => Shape::Void,
            TypeKind::Base(encoding) => Shape::Number {
                encoding: *encoding,
                size: description.size.unwrap_or(0),
            },
            TypeKind::Pointer(to) => Shape::Pointer(Type::described(module, *to)),
            TypeKind::Reference(to) => Shape::Reference(Type::Described(module, *to), false),
            TypeKind::RvalueReference(to) => Shape::Reference(Type::Described(module, *to), true),
            TypeKind::MemberPointer { to, .. } => {
                Shape::MemberPointer(Type::Described(module, *to))
            }
            TypeKind::Composite(composite) if composite.is_declaration => {
                complete(modules, module, description)?
            }
            TypeKind::Composite(_) => Shape::Composite(module, description),
            TypeKind::Enumeration { .. } => Shape::Enumeration(module, description),
            TypeKind::Array {
                element, counts, ..
            } => {
                let mut element = Type::Described(module, *element);
                for count in counts[1..].iter().rev() {
                    element = Type::Array(Arc::new(element), *count);
                }
                Shape::Array {
                    element,
                    count: counts[0],
                }
            }
            TypeKind::Function {
                returns,
                parameters,
                is_variadic,
                is_prototyped,
                ..
            } => {
                let types = parameters.iter().map(|&id| Type::Described(module, id));
                Shape::Function {
                    returns: Type::described(module, *returns),
                    parameters: is_prototyped.then(|| types.collect()),
                    is_variadic: *is_variadic,
                }
            }
            TypeKind::Typedef(_) | TypeKind::Qualified(..) => {
                unreachable!("stripping took names and qualifiers off")
            }
        })
    }

    /// The size in bytes; `None` where nobody knows.
    pub fn size(&self, modules: &Modules) -> Result<Option<u64>, Error> {
        Ok(match self {
            Type::Void => Some(1),
            Type::Number(number) => Some(number.size),
            Type::Pointer(_) | Type::Reference(_) => Some(8),
            Type::Array(element, count) => match (element.size(modules)?, count) {
                (Some(size), Some(count)) => size.checked_mul(*count),
                _ => None,
            },
            Type::Function { .. } => Some(1),
            Type::Described(module, id) => {
                let owner = modules.get(*module).ok_or_else(Error::unloaded)?;
                match owner.size_of(*id) {
                    Some(size) => Some(size),
                    None => match self.shape(modules)? {
                        Shape::Composite(_, description) => description.size,
                        Shape::Function { .. } | Shape::Void => Some(1),
                        _ => None,
                    },
                }
            }
        })
    }

    /// The language that the type was written in.
    pub fn language(&self, modules: &Modules) -> Language {
        match self {
            Type::Pointer(to) | Type::Reference(to) | Type::Array(to, _) => to.language(modules),
            _ => match self.description(modules) {
                Ok(Some(description)) => description.language,
                _ => Language::C,
            },
        }
    }

    /// How C writes the type.
    pub fn name(&self, modules: &Modules) -> String {
        declare(self, "", Naming::of(modules), 0)
    }
}

/// How types are named: by their own names, but for those that have another one
/// where they are shown, as a template's arguments have within it.
#[derive(Clone, Copy)]
pub(crate) struct Naming<'a> {
    /// Who describes them.
    pub(crate) modules: &'a Modules,
    /// The types with other names.
    pub(crate) local: &'a [(Type, String)],
}

impl<'a> Naming<'a> {
    /// By their own names.
    pub(crate) fn of(modules: &'a Modules) -> Naming<'a> {
        Naming {
            modules,
            local: &[],
        }
    }
}

/// The definition of a type that is only declared where it is used: another
/// unit of the module has it, or another module.
fn complete(
    modules: &Modules,
    id: ModuleId,
    description: Arc<dwarf::Type>,
) -> Result<Shape, Error> {
    let owner = modules.get(id).ok_or_else(Error::unloaded)?;
    let complete = owner.complete(description.id);
    if complete != description.id {
        return Ok(Shape::Composite(id, owner.type_of(complete)?));
    }
    let Some(name) = &description.qualified_name else {
        return Ok(Shape::Composite(id, description));
    };
    for (other, module) in modules.naming(name).filter(|(other, _)| *other != id) {
        for candidate in module.types(name) {
            let found = module.type_of(candidate)?;
            if matches!(&found.kind, TypeKind::Composite(one) if !one.is_declaration)
                && found.qualified_name == description.qualified_name
            {
                return Ok(Shape::Composite(other, found));
            }
        }
    }
    Ok(Shape::Composite(id, description))
}

/// Writes the declaration of `inner` (a name, or nothing) with a type, as C
/// does: from the inside out.
pub(crate) fn declare(ty: &Type, inner: &str, naming: Naming<'_>, depth: usize) -> String {
    if depth > MAX_NAMES {
        return join("...", inner);
    }
    if let Some((_, name)) = naming.local.iter().find(|(one, _)| one == ty) {
        return join(name, inner);
    }
    let modules = naming.modules;
    let declare = |ty: &Type, inner: &str| declare(ty, inner, naming, depth + 1);
    let description = match ty {
        Type::Void => return join("void", inner),
        Type::Number(number) => return join(number.name, inner),
        Type::Pointer(to) => return declare(to, &pointer_to(to, "*", inner, modules)),
        Type::Reference(to) => return declare(to, &pointer_to(to, "&", inner, modules)),
        Type::Array(element, count) => {
            let count = count.map_or(String::new(), |count| count.to_string());
            return declare(element, &format!("{}[{count}]", spaced(inner)));
        }
        Type::Function {
            returns,
            parameters,
            is_variadic,
        } => {
            let list = parameter_list(parameters.as_deref(), *is_variadic, naming, depth);
            return declare(returns, &format!("{}({list})", spaced(inner)));
        }
        Type::Described(module, _) => match ty.description(modules) {
            Ok(Some(description)) => (*module, description),
            _ => return join("<unknown type>", inner),
        },
    };
    let (module, description) = description;
    let of = |id: Option<TypeId>| Type::described(module, id);
    match &description.kind {
        TypeKind::Pointer(to) => match &description.name {
            // Rust names its pointers, as `&str` and `*const u8`.
            Some(name) if description.language == Language::Rust => join(name, inner),
            _ => declare(&of(*to), &pointer_to(&of(*to), "*", inner, modules)),
        },
        TypeKind::Reference(to) => declare(
            &of(Some(*to)),
            &pointer_to(&of(Some(*to)), "&", inner, modules),
        ),
        TypeKind::RvalueReference(to) => declare(
            &of(Some(*to)),
            &pointer_to(&of(Some(*to)), "&&", inner, modules),
        ),
        TypeKind::MemberPointer { to, class } => {
            let class = of(Some(*class)).name(modules);
            let sigil = format!("{class}::*");
            declare(
                &of(Some(*to)),
                &pointer_to(&of(Some(*to)), &sigil, inner, modules),
            )
        }
        TypeKind::Qualified(qualifier, to) => qualified(*qualifier, &of(*to), inner, naming, depth),
        TypeKind::Array {
            element,
            counts,
            is_vector,
        } => {
            let mut suffix = String::new();
            for count in counts {
                let count = count.map_or(String::new(), |count| count.to_string());
                suffix.push_str(&format!("[{count}]"));
            }
            if *is_vector {
                let count = counts[0].map_or(String::new(), |count| count.to_string());
                suffix = format!("__attribute__ ((vector_size({count})))");
            }
            declare(&of(Some(*element)), &format!("{}{suffix}", spaced(inner)))
        }
        TypeKind::Function {
            returns,
            parameters,
            is_variadic,
            is_prototyped,
            is_method,
        } => {
            let types: Vec<Type> = parameters.iter().map(|&id| of(Some(id))).collect();
            let types = is_prototyped.then_some(&types[..]);
            let mut list = parameter_list(types, *is_variadic, naming, depth);
            // `this` cannot be changed, though a declaration does not say so.
            let first = list.find(',').unwrap_or(list.len());
            if *is_method && list[..first].ends_with('*') {
                list.insert_str(first, " const");
            }
            declare(&of(*returns), &format!("{}({list})", spaced(inner)))
        }
        _ => join(&plain_name(&description), inner),
    }
}

/// The name of a type that is not built from another one.
pub(crate) fn plain_name(description: &dwarf::Type) -> Cow<'_, str> {
    let name = description
        .qualified_name
        .as_ref()
        .or(description.name.as_ref());
    let keyword = keyword(description);
    let is_c = matches!(description.language, Language::C | Language::Assembly);
    match (name, keyword) {
        (Some(name), Some(keyword)) if is_c => format!("{keyword} {name}").into(),
        (Some(name), _) if description.language != Language::Rust => canonical(name),
        (Some(name), _) => name.into(),
        (None, Some(keyword)) => format!("{keyword} {{...}}").into(),
        (None, None) => "<unnamed type>".into(),
    }
}

/// A C++ name with its number types as few words as C++ needs: compilers write
/// `long unsigned int`, also among template arguments.
fn canonical(name: &str) -> Cow<'_, str> {
    const WORDS: [(&str, &str); 7] = [
        ("long long unsigned int", "unsigned long long"),
        ("long long int", "long long"),
        ("long unsigned int", "unsigned long"),
        ("short unsigned int", "unsigned short"),
        ("long int", "long"),
        ("short int", "short"),
        ("unsigned long int", "unsigned long"),
    ];
    if !name.contains("long ") && !name.contains("short ") {
        return name.into();
    }
    let mut name = name.to_owned();
    for (from, to) in WORDS {
        name = name.replace(from, to);
    }
    name.into()
}

/// The word that C puts before the name of such a type.
pub(super) fn keyword(description: &dwarf::Type) -> Option<&'static str> {
    match &description.kind {
        TypeKind::Composite(composite) => Some(match composite.keyword {
            Keyword::Struct => "struct",
            Keyword::Class => "class",
            Keyword::Union => "union",
        }),
        TypeKind::Enumeration { .. } => Some("enum"),
        _ => None,
    }
}

fn qualified(
    qualifier: Qualifier,
    to: &Type,
    inner: &str,
    naming: Naming<'_>,
    depth: usize,
) -> String {
    let modules = naming.modules;
    let word = match qualifier {
        Qualifier::Const => "const",
        Qualifier::Volatile => "volatile",
        Qualifier::Restrict => "restrict",
        Qualifier::Atomic => "_Atomic",
    };
    let is_pointer = match to.description(modules) {
        Ok(Some(description)) => match &description.kind {
            TypeKind::Pointer(_) => description.name.is_none(),
            // `const volatile` on a pointer: both go behind the star.
            TypeKind::Qualified(_, Some(next)) => {
                let Type::Described(module, _) = to else {
                    unreachable!("it has a description")
                };
                let next = Type::Described(*module, *next).description(modules);
                matches!(next, Ok(Some(next)) if matches!(next.kind, TypeKind::Pointer(_)))
            }
            _ => false,
        },
        _ => matches!(to, Type::Pointer(_)),
    };
    if is_pointer {
        let gap = if inner.starts_with(['[', ' ']) || inner.is_empty() {
            ""
        } else {
            " "
        };
        return declare(to, &format!(" {word}{gap}{inner}"), naming, depth + 1);
    }
    let declared = declare(to, inner, naming, depth + 1);
    // A const array is one of const elements: once said is enough.
    let is_array = matches!(to.shape(modules), Ok(Shape::Array { .. }));
    if is_array && declared.split([' ', '*']).any(|part| part == word) {
        return declared;
    }
    format!("{word} {declared}")
}

/// The declarator of a pointer: in brackets where what it points to binds
/// tighter.
fn pointer_to(to: &Type, sigil: &str, inner: &str, modules: &Modules) -> String {
    let mut target = to.clone();
    // Qualifiers of what it points to stay outside the brackets.
    for _ in 0..4 {
        match (&target, target.description(modules)) {
            (Type::Described(module, _), Ok(Some(description))) => match &description.kind {
                TypeKind::Qualified(_, to) => target = Type::described(*module, *to),
                TypeKind::Array { .. } | TypeKind::Function { .. } => {
                    return format!("({sigil}{})", inner.trim_start());
                }
                _ => break,
            },
            (Type::Array(..) | Type::Function { .. }, _) => {
                return format!("({sigil}{})", inner.trim_start());
            }
            _ => break,
        }
    }
    format!("{sigil}{inner}")
}

fn parameter_list(
    parameters: Option<&[Type]>,
    is_variadic: bool,
    naming: Naming<'_>,
    depth: usize,
) -> String {
    let Some(parameters) = parameters else {
        return String::new();
    };
    let mut list: Vec<String> = parameters
        .iter()
        .map(|ty| declare(ty, "", naming, depth + 1))
        .collect();
    if is_variadic {
        list.push("...".into());
    }
    if list.is_empty() {
        "void".into()
    } else {
        list.join(", ")
    }
}

/// A base name and its declarator, with a blank between.
fn join(base: &str, inner: &str) -> String {
    if inner.is_empty() || inner.starts_with(' ') {
        format!("{base}{inner}")
    } else {
        format!("{base} {inner}")
    }
}

/// A declarator to which brackets are put: `(*)` takes them as it is.
fn spaced(inner: &str) -> String {
    inner.trim_start().to_owned()
}
