//! `ptype` and `whatis`: types as their definition and by their name.

use sapwood_dwarf::{
    self as dwarf, Access, Composite, Keyword, Language, Member, MemberOffset, Method, ModuleId,
    TypeId, TypeKind,
};

use super::types::{Naming, declare};
use super::{Error, Reader, Shape, Type};
use crate::command::TypeFlags;

/// How wide the column of offsets and sizes is.
const COLUMN: usize = 27;

/// The definition that is being written, and what of it is wanted.
struct Writing<'a> {
    naming: Naming<'a>,
    flags: TypeFlags,
    /// How deep definitions are still opened; unnamed ones once more.
    show: i32,
    /// The bits at which the struct begins, for its members' offsets.
    base: u64,
    /// Where the member before ended, in bits.
    end: u64,
}

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
    pub fn ptype(&self, ty: &Type, flags: TypeFlags) -> Result<String, Error> {
        let expanded = self.expanded(ty)?;
        let core = self.core(&expanded)?;
        let declared = expanded.name(self.modules);
        let shape = core.shape(self.modules)?;
        let (Shape::Composite(..) | Shape::Enumeration(..)) = shape else {
            return Ok(declared);
        };
        // The declaration begins with the core's name, its qualifiers before
        // it: the definition takes the name's place.
        let name = core.name(self.modules);
        let flags = TypeFlags {
            offsets: flags.offsets && matches!(shape, Shape::Composite(..)),
            ..flags
        };
        let mut writing = Writing {
            naming: Naming::of(self.modules),
            flags,
            show: 1,
            base: 0,
            end: 0,
        };
        let definition = self.definition(&core, 0, &mut writing)?;
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

    /// The definition of a struct or enumeration, its members four deeper.
    fn definition(
        &self,
        ty: &Type,
        level: usize,
        writing: &mut Writing<'_>,
    ) -> Result<String, Error> {
        match ty.shape(self.modules)? {
            Shape::Enumeration(module, description) => {
                Ok(self.enumeration(module, &description, writing.naming))
            }
            Shape::Composite(module, description) => match &description.kind {
                TypeKind::Composite(composite) if description.language == Language::Rust => {
                    self.rust_struct(module, &description, composite)
                }
                TypeKind::Composite(composite) => {
                    self.composite(ty, module, &description, composite, level, writing)
                }
                _ => Ok(declare(ty, "", writing.naming, 0)),
            },
            _ => Ok(declare(ty, "", writing.naming, 0)),
        }
    }

    fn enumeration(
        &self,
        module: ModuleId,
        description: &dwarf::Type,
        naming: Naming<'_>,
    ) -> String {
        let TypeKind::Enumeration {
            enumerators,
            is_scoped,
            underlying,
        } = &description.kind
        else {
            return String::new();
        };
        let is_cpp = description.language == Language::Cpp;
        let qualifier = match (&description.qualified_name, is_scoped) {
            (Some(name), true) => format!("{name}::"),
            (Some(name), false) if is_cpp => scope_of(name),
            (None, _) if is_cpp => naming.modules.get(module).map_or(String::new(), |owner| {
                let path = owner.path_of(description.id);
                scope_of(&path)
            }),
            _ => String::new(),
        };
        let mut next = 0;
        let mut constants = Vec::new();
        for one in enumerators {
            let value = match one.value == next {
                true => String::new(),
                false => format!(" = {}", one.value),
            };
            constants.push(format!("{qualifier}{}{value}", one.name));
            next = one.value + 1;
        }
        let word = if *is_scoped { "enum class" } else { "enum" };
        let kept = match underlying {
            Some(id) if is_cpp => {
                let name = Type::Described(module, *id).name(naming.modules);
                format!(": {name} ")
            }
            _ => String::new(),
        };
        let name = tag(description);
        format!("{word} {name}{kept}{{{}}}", constants.join(", "))
    }

    fn composite(
        &self,
        ty: &Type,
        module: ModuleId,
        description: &dwarf::Type,
        composite: &Composite,
        level: usize,
        writing: &mut Writing<'_>,
    ) -> Result<String, Error> {
        let word = match composite.keyword {
            Keyword::Struct => "struct",
            Keyword::Class => "class",
            Keyword::Union => "union",
        };
        let name = tag(description);
        let indent = " ".repeat(level);
        if composite.is_declaration {
            return Ok(format!(
                "{word} {name}{{\n{indent}    <incomplete type>\n{indent}}}"
            ));
        }
        if description.name.is_none() && writing.show < 0 {
            return Ok(format!("{word} {{...}}"));
        }
        let local = self.local_names(module, composite);
        let of_class = |outer: &[(Type, String)]| {
            let mut all = local.clone();
            all.extend_from_slice(outer);
            all
        };
        let names = of_class(writing.naming.local);
        let arguments = self.arguments_text(module, composite);
        let bases = self.bases_text(module, composite);
        let naming = Naming {
            modules: self.modules,
            local: &names,
        };
        let mut inner = Writing {
            naming,
            flags: writing.flags,
            show: writing.show,
            base: writing.base,
            end: 0,
        };
        let mut body = Body {
            out: String::new(),
            level,
            offsets: inner.flags.offsets,
            labels: needs_labels(composite),
            access: None,
        };
        self.data_members(module, composite, &mut body, &mut inner)?;
        if inner.flags.methods {
            self.methods(module, description, composite, &mut body, naming);
        }
        if inner.flags.typedefs && !composite.typedefs.is_empty() {
            self.typedefs(module, composite, &mut body, writing.naming);
        }
        if body.out.is_empty() {
            body.line("<no data fields>");
        }
        let mut end = indent.clone();
        if body.offsets {
            let size = ty.size(self.modules)?.unwrap_or(0);
            body.out.push_str(&inner.hole(8 * size, "padding"));
            let column = " ".repeat(COLUMN + level + 4);
            body.out
                .push_str(&format!("\n{column}/* total size (bytes): {size:4} */\n"));
            let extra = if level == 0 { 2 } else { 0 };
            end = " ".repeat(COLUMN + level + extra);
        }
        Ok(format!(
            "{word} {name}{arguments}{bases}{{\n{}{end}}}",
            body.out
        ))
    }

    /// The names that types have within a class: its template's parameters and
    /// its typedefs.
    fn local_names(&self, module: ModuleId, composite: &Composite) -> Vec<(Type, String)> {
        let mut names = Vec::new();
        for argument in &composite.arguments {
            if let (Some(id), Some(name), None) = (argument.type_id, &argument.name, argument.value)
            {
                names.push((Type::Described(module, id), name.clone()));
            }
        }
        self.add_typedefs(module, composite, &mut names, 0);
        names
    }

    /// The names that a class and its base classes give to types.
    fn add_typedefs(
        &self,
        module: ModuleId,
        composite: &Composite,
        names: &mut Vec<(Type, String)>,
        depth: u32,
    ) {
        const MAX_BASES: u32 = 16;
        for (id, _) in &composite.typedefs {
            let ty = Type::Described(module, *id);
            if let Ok(Some(description)) = ty.description(self.modules)
                && let (TypeKind::Typedef(Some(to)), Some(name)) =
                    (&description.kind, &description.name)
            {
                names.push((Type::Described(module, *to), name.clone()));
                names.push((ty, name.clone()));
            }
        }
        if depth >= MAX_BASES {
            return;
        }
        for base in composite.members.iter().filter(|member| member.is_base) {
            let base = Type::Described(module, base.type_id);
            if let Ok(Shape::Composite(module, description)) = base.shape(self.modules)
                && let TypeKind::Composite(composite) = &description.kind
            {
                self.add_typedefs(module, composite, names, depth + 1);
            }
        }
    }

    /// `[with T = int] `.
    fn arguments_text(&self, module: ModuleId, composite: &Composite) -> String {
        let types: Vec<String> = composite
            .arguments
            .iter()
            .filter(|argument| argument.value.is_none())
            .filter_map(|argument| {
                let ty = Type::Described(module, argument.type_id?);
                Some(format!(
                    "{} = {}",
                    argument.name.as_ref()?,
                    ty.name(self.modules)
                ))
            })
            .collect();
        match types.is_empty() {
            true => String::new(),
            false => format!("[with {}] ", types.join(", ")),
        }
    }

    /// `: public Base `.
    fn bases_text(&self, module: ModuleId, composite: &Composite) -> String {
        let bases = composite.members.iter().filter(|member| member.is_base);
        let bases: Vec<String> = bases
            .map(|base| {
                let is_virtual = if base.is_virtual { " virtual" } else { "" };
                let name = Type::Described(module, base.type_id).name(self.modules);
                format!("{}{is_virtual} {name}", word_of(base.access))
            })
            .collect();
        match bases.is_empty() {
            true => String::new(),
            false => format!(": {} ", bases.join(", ")),
        }
    }

    fn data_members(
        &self,
        module: ModuleId,
        composite: &Composite,
        body: &mut Body,
        writing: &mut Writing<'_>,
    ) -> Result<(), Error> {
        let is_union = composite.keyword == Keyword::Union;
        let mut statics = composite.statics.iter().peekable();
        for (position, member) in composite.members.iter().enumerate() {
            while let Some(one) = statics.next_if(|one| one.position <= position) {
                self.static_line(module, one, body, writing);
            }
            let name = member.name.as_deref().unwrap_or_default();
            if member.is_base || name.starts_with("_vptr.") || name.starts_with("_vptr$") {
                continue;
            }
            if body.labels {
                body.label(member.access);
            }
            let column = match (body.offsets, is_union) {
                (false, _) => String::new(),
                (true, true) => {
                    let ty = Type::Described(module, member.type_id);
                    let size = writing.number(ty.size(self.modules)?.unwrap_or(0));
                    format!("/*                {size} */")
                }
                (true, false) => self.offset_column(module, member, writing)?,
            };
            let declared = self.member_text(module, member, body.level + 4, writing)?;
            let bits = match (member.bit_size, &member.offset) {
                (Some(bits), MemberOffset::Bits(_)) => format!(" : {bits}"),
                _ => String::new(),
            };
            let indent = " ".repeat(body.level + 4);
            body.out
                .push_str(&format!("{column}{indent}{declared}{bits};\n"));
        }
        for one in statics {
            self.static_line(module, one, body, writing);
        }
        Ok(())
    }

    fn static_line(
        &self,
        module: ModuleId,
        one: &dwarf::StaticMember,
        body: &mut Body,
        writing: &Writing<'_>,
    ) {
        if body.labels {
            body.label(one.access);
        }
        let ty = Type::Described(module, one.type_id);
        let declared = declare(&ty, &one.name, writing.naming, 0);
        body.line(&format!("static {declared};"));
    }

    /// The column of a member that is no union's: where it is and how large; and
    /// the hole before it.
    fn offset_column(
        &self,
        module: ModuleId,
        member: &Member,
        writing: &mut Writing<'_>,
    ) -> Result<String, Error> {
        let size = Type::Described(module, member.type_id)
            .size(self.modules)?
            .unwrap_or(0);
        let (start, bits) = match member.offset {
            MemberOffset::Bytes(at) => (8 * at, 8 * size),
            MemberOffset::Bits(at) => (at, member.bit_size.unwrap_or(0)),
            MemberOffset::Computed(_) => (writing.end, 8 * size),
        };
        let hole = writing.hole(start, "hole");
        writing.end = start + bits;
        let at = writing.base + start;
        let column = match member.bit_size {
            Some(_) => format!("/* {}:{:2}", writing.number(at / 8), at % 8),
            None => format!("/* {}   ", writing.number(at / 8)),
        };
        Ok(format!("{hole}{column}   |  {} */", writing.number(size)))
    }

    /// A member's declaration: the definition of its type where that has no name
    /// or offsets are wanted.
    fn member_text(
        &self,
        module: ModuleId,
        member: &Member,
        level: usize,
        writing: &mut Writing<'_>,
    ) -> Result<String, Error> {
        let ty = Type::Described(module, member.type_id);
        let name = member.name.as_deref().unwrap_or_default();
        let core = self.core(&ty)?;
        let opens = match core.description(self.modules)? {
            Some(inner) => match &inner.kind {
                TypeKind::Composite(_) => {
                    let is_whole = core == ty;
                    inner.name.is_none() || (writing.flags.offsets && is_whole)
                }
                TypeKind::Enumeration { .. } => inner.name.is_none(),
                _ => false,
            },
            None => false,
        };
        if !opens || names_a_typedef(&ty, &core, self)? {
            return Ok(declare(&ty, name, writing.naming, 0));
        }
        let start = match member.offset {
            MemberOffset::Bytes(at) => 8 * at,
            _ => 0,
        };
        let mut inner = Writing {
            naming: writing.naming,
            flags: TypeFlags {
                offsets: writing.flags.offsets && core == ty,
                ..writing.flags
            },
            show: if writing.flags.offsets {
                writing.show
            } else {
                writing.show - 1
            },
            base: writing.base + start,
            end: 0,
        };
        inner.show = inner
            .show
            .min(if writing.flags.offsets { i32::MAX } else { 0 });
        if !writing.flags.offsets && writing.show <= 0 {
            inner.show = -1;
        }
        let definition = self.definition(&core, level, &mut inner)?;
        let plain = core.name(self.modules);
        let declared = declare(&ty, name, Naming::of(self.modules), 0);
        Ok(declared.replacen(&plain, &definition, 1))
    }

    fn methods(
        &self,
        module: ModuleId,
        description: &dwarf::Type,
        composite: &Composite,
        body: &mut Body,
        naming: Naming<'_>,
    ) {
        let shown: Vec<&Method> = composite
            .methods
            .iter()
            .filter(|method| !method.is_artificial)
            .collect();
        if shown.is_empty() {
            return;
        }
        if body.access.is_some() {
            body.out.push('\n');
        }
        let class = description.name.as_deref().unwrap_or_default();
        let class = class.split('<').next().unwrap_or(class);
        // Those of one name stand together, where the first of them was declared.
        let mut written: Vec<&str> = Vec::new();
        for first in &shown {
            if written.contains(&first.name.as_str()) {
                continue;
            }
            written.push(&first.name);
            for method in shown.iter().filter(|method| method.name == first.name) {
                body.label(method.access);
                let text = self.method_text(module, class, method, naming);
                body.line(&format!("{text};"));
            }
        }
    }

    fn method_text(
        &self,
        module: ModuleId,
        class: &str,
        method: &Method,
        naming: Naming<'_>,
    ) -> String {
        let ty = Type::Described(module, TypeId(method.id));
        let Ok(Some(description)) = ty.description(self.modules) else {
            return method.name.clone();
        };
        let TypeKind::Function {
            returns,
            parameters,
            is_variadic,
            ..
        } = &description.kind
        else {
            return method.name.clone();
        };
        let name = &method.name;
        let is_special =
            name.split('<').next() == Some(class) || name.starts_with('~') || is_conversion(name);
        let mut list: Vec<String> = parameters
            .iter()
            .skip(method.hidden)
            .map(|id| declare(&Type::Described(module, *id), "", naming, 0))
            .collect();
        if *is_variadic {
            list.push("...".to_owned());
        }
        let list = if list.is_empty() {
            "void".to_owned()
        } else {
            list.join(", ")
        };
        let mut text = String::new();
        if method.is_virtual && method.slot.is_some() {
            text.push_str("virtual ");
        } else if method.hidden == 0 {
            text.push_str("static ");
        }
        if !is_special {
            let returns = declare(&Type::described(module, *returns), "", naming, 0);
            text.push_str(&returns);
            if !returns.ends_with(['*', '&']) || !text.ends_with(' ') {
                text.push(' ');
            }
        }
        text.push_str(&format!("{name}({list})"));
        if method.hidden > 0
            && let Some(this) = parameters.first()
        {
            text.push_str(&self.qualifiers_of_this(module, *this));
        }
        text
    }

    /// ` const` and ` volatile`, as the type of `this` says.
    fn qualifiers_of_this(&self, module: ModuleId, this: TypeId) -> String {
        let this = Type::Described(module, this);
        let words = match this.shape(self.modules) {
            Ok(Shape::Pointer(to)) => qualifiers(&to, self).unwrap_or_default(),
            _ => String::new(),
        };
        let words = words.trim();
        if words.is_empty() {
            String::new()
        } else {
            format!(" {words}")
        }
    }

    fn typedefs(
        &self,
        module: ModuleId,
        composite: &Composite,
        body: &mut Body,
        naming: Naming<'_>,
    ) {
        if !body.out.is_empty() {
            body.out.push('\n');
        }
        for (id, access) in &composite.typedefs {
            let ty = Type::Described(module, *id);
            if let Ok(Some(description)) = ty.description(self.modules)
                && let (TypeKind::Typedef(to), Some(name)) = (&description.kind, &description.name)
            {
                if body.labels {
                    body.label(*access);
                }
                let declared = declare(&Type::described(module, *to), name, naming, 0);
                body.line(&format!("typedef {declared};"));
            }
        }
    }
}

/// What stands between a definition's braces.
struct Body {
    out: String,
    level: usize,
    offsets: bool,
    /// Members are parted by who may name them.
    labels: bool,
    access: Option<Access>,
}

impl Body {
    fn line(&mut self, text: &str) {
        let column = if self.offsets { COLUMN } else { 0 };
        let indent = " ".repeat(column + self.level + 4);
        self.out.push_str(&format!("{indent}{text}\n"));
    }

    fn label(&mut self, access: Access) {
        if self.access == Some(access) {
            return;
        }
        self.access = Some(access);
        let column = if self.offsets { COLUMN } else { 0 };
        let indent = " ".repeat(column + self.level + 2);
        self.out
            .push_str(&format!("{indent}{}:\n", word_of(access)));
    }
}

impl Writing<'_> {
    fn number(&self, number: u64) -> String {
        match self.flags.hexadecimal {
            true => format!("0x{number:04x}"),
            false => format!("{number:6}"),
        }
    }

    /// The lines that say how much is unused before `start`.
    fn hole(&self, start: u64, what: &str) -> String {
        let mut lines = String::new();
        if self.end > 0 && self.end < start {
            let hole = start - self.end;
            if !hole.is_multiple_of(8) {
                lines.push_str(&format!("/* XXX {:2}-bit {what:<7}    */\n", hole % 8));
            }
            if hole / 8 > 0 {
                lines.push_str(&format!("/* XXX {:2}-byte {what:<7}   */\n", hole / 8));
            }
        }
        lines
    }
}

fn word_of(access: Access) -> &'static str {
    match access {
        Access::Public => "public",
        Access::Protected => "protected",
        Access::Private => "private",
    }
}

/// Whether members are parted by who may name them: where not all are as the
/// keyword has it.
fn needs_labels(composite: &Composite) -> bool {
    // What the compiler made up is private.
    let own = |member: &Member| match member.is_artificial {
        true => Access::Private,
        false => member.access,
    };
    let members = composite.members.iter().filter(|member| !member.is_base);
    let statics = composite.statics.iter().map(|one| one.access);
    let methods = composite.methods.iter().map(|method| method.access);
    let typedefs = composite.typedefs.iter().map(|(_, access)| *access);
    let mut all = members
        .map(own)
        .chain(statics)
        .chain(methods)
        .chain(typedefs);
    match composite.keyword {
        Keyword::Class => all.any(|access| access != Access::Private),
        _ => all.any(|access| access != Access::Public),
    }
}

/// `operator bool`, which is named by what it gives.
fn is_conversion(name: &str) -> bool {
    name.strip_prefix("operator ").is_some_and(|rest| {
        let word: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
        !matches!(&word[..], "new" | "delete" | "")
    })
}

/// A definition's name and the blank behind it.
fn tag(description: &dwarf::Type) -> String {
    let name = description
        .qualified_name
        .as_ref()
        .or(description.name.as_ref());
    name.map_or(String::new(), |name| format!("{name} "))
}

/// The scope of a path, with what leads on to a name in it.
fn scope_of(path: &str) -> String {
    path.rsplit_once("::")
        .map_or(String::new(), |(scope, _)| format!("{scope}::"))
}

/// Whether a declaration names a typedef on the way to its core: then it is
/// shown by that name.
fn names_a_typedef(ty: &Type, core: &Type, reader: &Reader<'_>) -> Result<bool, Error> {
    let mut ty = ty.clone();
    const MAX: usize = 64;
    for _ in 0..MAX {
        if ty == *core {
            return Ok(false);
        }
        let Type::Described(module, _) = ty else {
            return Ok(false);
        };
        let Some(description) = ty.description(reader.modules)? else {
            return Ok(false);
        };
        let next = match &description.kind {
            TypeKind::Typedef(_) => return Ok(true),
            TypeKind::Qualified(_, to) | TypeKind::Pointer(to) => *to,
            TypeKind::Reference(to) | TypeKind::RvalueReference(to) => Some(*to),
            TypeKind::Array { element, .. } => Some(*element),
            TypeKind::Function { returns, .. } => *returns,
            _ => return Ok(false),
        };
        ty = Type::described(module, next);
    }
    Ok(false)
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
                    dwarf::Qualifier::Const => "const ",
                    dwarf::Qualifier::Volatile => "volatile ",
                    dwarf::Qualifier::Restrict => "restrict ",
                    dwarf::Qualifier::Atomic => "_Atomic ",
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
