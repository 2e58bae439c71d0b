//! `ptype` and `whatis`: types as their definition and by their name.

use sapwood_dwarf::{Keyword, Language, MemberOffset, TypeKind};

use super::{Error, Reader, Shape, Type};

impl Reader<'_> {
    /// How `whatis` shows a type: by its name, one level of naming taken off
    /// where the user gave a name.
    pub fn whatis(&self, ty: &Type, is_named: bool) -> Result<String, Error> {
        if is_named
            && let Type::Described(module, _) = ty
            && let Some(description) = ty.description(self.modules)?
            && let TypeKind::Typedef(to) = &description.kind
        {
            return Ok(Type::described(*module, *to).name(self.modules));
        }
        Ok(ty.name(self.modules))
    }

    /// How `ptype` shows a type: structs and enums by what they are made of.
    pub fn ptype(&self, ty: &Type) -> Result<String, Error> {
        let expanded = self.expanded(ty)?;
        let core = self.core(&expanded)?;
        let declared = expanded.name(self.modules);
        let (Shape::Composite(..) | Shape::Enumeration(..)) = core.shape(self.modules)? else {
            return Ok(declared);
        };
        // The declaration begins with the core's name, its qualifiers before
        // it: the definition takes the name's place.
        let name = core.name(self.modules);
        let definition = self.definition(&core, 0)?;
        Ok(declared.replacen(&name, &definition, 1))
    }

    /// What stands at the heart of pointers, arrays and functions.
    fn core(&self, ty: &Type) -> Result<Type, Error> {
        let mut core = ty.stripped(self.modules)?;
        loop {
            core = match core.shape(self.modules)? {
                Shape::Pointer(to) | Shape::Reference(to, _) => to,
                Shape::Array { element, .. } => element,
                Shape::Function { returns, .. } => returns,
                _ => return Ok(core),
            }
            .stripped(self.modules)?;
        }
    }

    /// A type with the typedefs taken off at every level that a declarator has.
    fn expanded(&self, ty: &Type) -> Result<Type, Error> {
        let stripped = ty.stripped(self.modules)?;
        if !qualifiers(ty, self)?.is_empty() {
            return Ok(ty.clone());
        }
        Ok(match stripped.shape(self.modules)? {
            Shape::Pointer(to) if stripped.language(self.modules) != Language::Rust => {
                self.expanded(&to)?.pointer()
            }
            Shape::Array { element, count } => Type::Array(self.expanded(&element)?.into(), count),
            Shape::Function {
                returns,
                parameters,
                is_variadic,
            } => Type::Function {
                returns: self.expanded(&returns)?.into(),
                parameters,
                is_variadic,
            },
            _ => stripped,
        })
    }

    /// The definition of a struct or enumeration, its members one deeper.
    fn definition(&self, ty: &Type, depth: usize) -> Result<String, Error> {
        let indent = "    ".repeat(depth);
        match ty.shape(self.modules)? {
            Shape::Enumeration(_, description) => {
                let TypeKind::Enumeration {
                    enumerators,
                    is_scoped,
                    ..
                } = &description.kind
                else {
                    return Ok(ty.name(self.modules));
                };
                let mut next = 0;
                let mut constants = Vec::new();
                for one in enumerators {
                    constants.push(match one.value == next {
                        true => one.name.clone(),
                        false => format!("{} = {}", one.name, one.value),
                    });
                    next = one.value + 1;
                }
                let word = if *is_scoped { "enum class" } else { "enum" };
                let name = self.tag(&description);
                Ok(format!("{word} {name}{{{}}}", constants.join(", ")))
            }
            Shape::Composite(module, description) => {
                let TypeKind::Composite(composite) = &description.kind else {
                    return Ok(ty.name(self.modules));
                };
                let word = match composite.keyword {
                    Keyword::Struct => "struct",
                    Keyword::Class => "class",
                    Keyword::Union => "union",
                };
                let name = self.tag(&description);
                if composite.is_declaration {
                    let body = "{\n    <incomplete type>\n}";
                    return Ok(format!("{word} {name}{body}"));
                }
                let bases: Vec<&str> = composite
                    .members
                    .iter()
                    .filter(|member| member.is_base)
                    .filter_map(|member| member.name.as_deref())
                    .collect();
                let bases = match bases.is_empty() {
                    true => String::new(),
                    false => format!(": public {} ", bases.join(", public ")),
                };
                let mut out = format!("{word} {name}{bases}{{\n");
                let mut is_empty = true;
                for member in composite.members.iter().filter(|member| !member.is_base) {
                    is_empty = false;
                    let ty = Type::Described(module, member.type_id);
                    let declared = match &member.name {
                        Some(name) => super::types::declare(&ty, name, self.modules, 0),
                        None => self.definition(&ty, depth + 1)?,
                    };
                    let bits = match (member.bit_size, &member.offset) {
                        (Some(bits), MemberOffset::Bits(_)) => format!(" : {bits}"),
                        _ => String::new(),
                    };
                    out.push_str(&format!("{indent}    {declared}{bits};\n"));
                }
                for one in &composite.statics {
                    is_empty = false;
                    let ty = Type::Described(module, one.type_id);
                    let declared = super::types::declare(&ty, &one.name, self.modules, 0);
                    out.push_str(&format!("{indent}    static {declared};\n"));
                }
                if is_empty {
                    out.push_str(&format!("{indent}    <no data fields>\n"));
                }
                out.push_str(&format!("{indent}}}"));
                Ok(out)
            }
            _ => Ok(ty.name(self.modules)),
        }
    }

    /// A definition's name and the blank behind it.
    fn tag(&self, description: &sapwood_dwarf::Type) -> String {
        let name = description
            .qualified_name
            .as_ref()
            .or(description.name.as_ref());
        name.map_or(String::new(), |name| format!("{name} "))
    }
}

/// The qualifiers outside of all names, as words with a blank behind each.
fn qualifiers(ty: &Type, reader: &Reader<'_>) -> Result<String, Error> {
    let mut words = String::new();
    let mut ty = ty.clone();
    for _ in 0..16 {
        let Type::Described(module, _) = ty else {
            break;
        };
        let Some(description) = ty.description(reader.modules)? else {
            break;
        };
        match &description.kind {
            TypeKind::Qualified(qualifier, to) => {
                let word = match qualifier {
                    sapwood_dwarf::Qualifier::Const => "const ",
                    sapwood_dwarf::Qualifier::Volatile => "volatile ",
                    sapwood_dwarf::Qualifier::Restrict => "restrict ",
                    sapwood_dwarf::Qualifier::Atomic => "_Atomic ",
                };
                words.push_str(word);
                ty = Type::described(module, *to);
            }
            TypeKind::Typedef(to) => ty = Type::described(module, *to),
            _ => break,
        }
    }
    Ok(words)
}
