//! `ptype` of Rust's structs, tuples, unions and enums.

use sapwood_dwarf::{self as dwarf, Composite, Keyword, Member, ModuleId, TypeKind};

use super::{Error, Reader, Shape, Type};

impl Reader<'_> {
    /// A Rust struct or enum, as Rust writes it.
    pub(super) fn rust_struct(
        &self,
        module: ModuleId,
        description: &dwarf::Type,
        composite: &Composite,
    ) -> Result<String, Error> {
        let name = description.qualified_name.clone().unwrap_or_default();
        let mut out = String::new();
        if let Some(variants) = &composite.variants {
            out.push_str(&format!("enum {name} {{\n"));
            for member in variants.variants.iter().flat_map(|one| one.members.first()) {
                let ty = Type::Described(module, member.type_id);
                let variant = member.name.as_deref().unwrap_or_default();
                let fields = match ty.shape(self.modules)? {
                    Shape::Composite(_, inner) => match &inner.kind {
                        TypeKind::Composite(inner) => self.rust_fields(module, inner, 2),
                        _ => String::new(),
                    },
                    _ => String::new(),
                };
                out.push_str(&format!("  {variant}{fields},\n"));
            }
            out.push('}');
            return Ok(out);
        }
        let word = match composite.keyword {
            Keyword::Union => "union",
            _ => "struct",
        };
        let fields = self.rust_fields(module, composite, 0);
        if name.starts_with('(') {
            return Ok(fields.trim_start().to_owned());
        }
        let gap = if fields.starts_with('(') { " " } else { "" };
        Ok(format!("{word} {name}{gap}{fields}"))
    }

    /// The fields of a struct or of a variant, with what stands around them.
    fn rust_fields(&self, module: ModuleId, composite: &Composite, level: usize) -> String {
        let name_of = |member: &Member| {
            let ty = Type::Described(module, member.type_id);
            ty.name(self.modules)
        };
        let members = &composite.members;
        let is_numbered = members.iter().all(|member| {
            let name = member.name.as_deref().unwrap_or_default();
            let number = name.strip_prefix("__");
            number.is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()))
        });
        let indent = " ".repeat(level);
        let separator = if level > 0 { ", " } else { ",\n  " };
        match (members.is_empty(), is_numbered) {
            (true, _) if level > 0 => String::new(),
            (true, _) => " {\n}".to_owned(),
            (_, true) if level > 0 => {
                let types: Vec<String> = members.iter().map(name_of).collect();
                format!("({})", types.join(", "))
            }
            (_, true) => {
                let types: Vec<String> = members.iter().map(name_of).collect();
                format!("(\n{indent}  {},\n)", types.join(separator))
            }
            (_, false) => {
                let fields: Vec<String> = members
                    .iter()
                    .map(|m| format!("{}: {}", m.name.as_deref().unwrap_or("?"), name_of(m)))
                    .collect();
                match level {
                    0 => format!(" {{\n  {},\n}}", fields.join(separator)),
                    _ => format!("{{{}}}", fields.join(", ")),
                }
            }
        }
    }
}
