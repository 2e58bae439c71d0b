//! [`CppDeclarations`]: C++ declarations of the program's own types, variables
//! and functions, made of its debug information.
//!
//! Classes are written as they are, in their namespaces, with their bases,
//! members, functions and who may name them, because all of that has a say in how
//! an object lies in memory; the compiler checks the size. Functions are bound to
//! the names that the linker knows them by. What the standard library has comes
//! from its own headers, which are included for it. A template is declared, and
//! each of its instances that is needed is written as a specialisation of it.
//!
//! A member whose type cannot be written (a closure's, one local to a function) is
//! so many bytes; a function with such a parameter is left out.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt::Write;

use sapwood_dwarf::{
    Access, Composite, EntryId, Function, Keyword, Language, Member, MemberOffset, Method,
    ModuleId, Modules, Qualifier, Scope, TemplateArgument, TypeId, TypeKind,
};

use super::cpp_names::{is_special, last_part, spelled, written_name};
use super::headers::header_of;
use crate::value::types::{Naming, declare};
use crate::value::{Error, Shape, Type};

/// How many types are defined because a pointer leads to them.
const MAX_FOLLOWED: usize = 200;
/// How deep types may lie in one another.
const MAX_DEPTH: usize = 40;
/// The namespace that the frame's variables are declared in.
pub const FRAME: &str = "__frame";

/// See the [module page](self).
pub struct CppDeclarations<'m> {
    modules: &'m Modules,
    /// Names that the snippet declares itself.
    taken: &'m HashSet<String>,
    /// What was declared, by its whole name; a `;` behind it says: announced.
    done: HashSet<String>,
    /// The parameters of the templates that were declared.
    templates: HashMap<String, String>,
    includes: BTreeSet<&'static str>,
    /// Types that pointers lead to.
    later: VecDeque<Type>,
    text: String,
    /// C's functions. Headers have their own say of these.
    functions_of_c: String,
}

/// A name that is in the way of nobody: where it is in namespaces, its path.
struct Path {
    /// The namespaces, outermost first: how they are opened.
    opened: Vec<String>,
    /// The class that it is in, if it is in one.
    class: Option<TypeId>,
    /// Whether it is the standard library's.
    is_std: bool,
}

impl Path {
    /// A declaration, in its namespaces.
    fn around(&self, declaration: &str) -> String {
        let mut text = String::new();
        for space in &self.opened {
            let _ = write!(text, "{space} {{ ");
        }
        text.push_str(declaration);
        text.push_str(&" }".repeat(self.opened.len()));
        text
    }
}

impl<'m> CppDeclarations<'m> {
    /// None yet.
    pub fn new(modules: &'m Modules, taken: &'m HashSet<String>) -> CppDeclarations<'m> {
        CppDeclarations {
            modules,
            taken,
            done: HashSet::new(),
            templates: HashMap::new(),
            includes: BTreeSet::new(),
            later: VecDeque::new(),
            text: String::new(),
            functions_of_c: String::new(),
        }
    }

    /// A name of the standard library's that a snippet writes.
    pub fn standard(&mut self, name: &str) {
        self.includes.extend(header_of(name));
    }

    /// Declares a variable of the frame's under a name of the linker's.
    pub fn local(&mut self, name: &str, ty: &Type, label: &str) -> Result<(), Error> {
        self.need(ty, true, 0)?;
        let declared = self.spell(ty, name)?;
        let _ = writeln!(
            self.text,
            "namespace {FRAME} {{ extern {declared} __asm__(\"{label}\"); }}"
        );
        Ok(())
    }

    /// The same with room for it in the image, as it is in a register.
    pub fn copy(&mut self, name: &str, ty: &Type, label: &str) -> Result<(), Error> {
        let size = ty.size(self.modules)?.unwrap_or(8);
        self.local(name, ty, label)?;
        let _ = writeln!(
            self.text,
            "namespace {FRAME} {{ alignas(16) unsigned char __room_{name}[{size}] __asm__(\"{label}\"); }}"
        );
        Ok(())
    }

    /// Declares a variable outside all functions under a name of the linker's.
    pub fn global(
        &mut self,
        module: ModuleId,
        id: EntryId,
        name: &str,
        ty: &Type,
        label: &str,
    ) -> Result<(), Error> {
        let path = self.path(module, id)?;
        if path.is_std {
            return Ok(());
        }
        if let Some(class) = path.class {
            return self.need(&Type::Described(module, class), true, 0);
        }
        self.need(ty, true, 0)?;
        let declared = self.spell(ty, last_part(name))?;
        if self.done.insert(format!("{name} (variable)")) {
            let declaration = format!("extern {declared} __asm__(\"{label}\");");
            let _ = writeln!(self.text, "{}", path.around(&declaration));
        }
        Ok(())
    }

    /// Declares a function, or the class that it is of. `label` is the linker's
    /// name of one that has none of its own.
    pub fn function(
        &mut self,
        module: ModuleId,
        function: &Function,
        label: &str,
    ) -> Result<(), Error> {
        let path = self.path(module, function.id)?;
        if path.is_std {
            return Ok(());
        }
        if let Some(class) = path.class {
            return self.need(&Type::Described(module, class), true, 0);
        }
        let ty = Type::Described(module, function.type_id());
        let Shape::Function {
            returns,
            parameters,
            is_variadic,
        } = ty.shape(self.modules)?
        else {
            return Ok(());
        };
        let parameters = parameters.unwrap_or_default();
        let list = self.parameters(&parameters, is_variadic)?;
        self.need(&returns, true, 0)?;
        let name = written_name(last_part(&function.name));
        let is_c = function.language != Language::Cpp;
        let declared = self.spell(&returns, &format!("{name}({list})"))?;
        if !self.done.insert(format!("{}({list})", function.name)) {
            return Ok(());
        }
        if is_c {
            let _ = writeln!(self.functions_of_c, "extern \"C\" {declared};");
            return Ok(());
        }
        let label = function.linkage_name.as_deref().unwrap_or(label);
        let declaration = format!("{declared} __asm__(\"{label}\");");
        let _ = writeln!(self.text, "{}", path.around(&declaration));
        Ok(())
    }

    /// Declares a type.
    pub fn type_of(&mut self, ty: &Type) -> Result<(), Error> {
        self.need(ty, true, 0)
    }

    /// The text, once what pointers lead to is defined, and the headers that it
    /// takes.
    pub fn finish(mut self) -> (String, BTreeSet<&'static str>) {
        let mut followed = 0;
        while let Some(ty) = self.later.pop_front() {
            followed += 1;
            if followed > MAX_FOLLOWED {
                break;
            }
            let _ = self.need(&ty, true, 0);
        }
        if self.includes.is_empty() {
            self.text.push_str(&self.functions_of_c);
        }
        (self.text, self.includes)
    }

    /// What an entry is in; an error where no one outside can name it.
    fn path(&self, module: ModuleId, id: EntryId) -> Result<Path, Error> {
        let owner = self.modules.get(module).ok_or_else(Error::unloaded)?;
        let mut path = Path {
            opened: Vec::new(),
            class: None,
            is_std: false,
        };
        for scope in owner.scopes_of(id) {
            match scope {
                Scope::Namespace { name, is_inline } => {
                    let is_first = path.opened.is_empty();
                    path.is_std |= is_first
                        && matches!(name.as_deref(), Some("std" | "__gnu_cxx" | "__cxxabiv1"));
                    path.opened.push(match (name, is_inline) {
                        (Some(name), true) => format!("inline namespace {name}"),
                        (Some(name), false) => format!("namespace {name}"),
                        (None, _) => "namespace".to_owned(),
                    });
                }
                Scope::Type(class) => {
                    path.class.get_or_insert(class);
                }
                Scope::Function(_) => return Err(Error::new("it is local to a function")),
            }
        }
        Ok(path)
    }

    /// Declares what a type mentions, and the type; `whole` says that a value of
    /// it is to be had.
    fn need(&mut self, ty: &Type, whole: bool, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new("its type lies too deep"));
        }
        let (module, description) = match ty {
            Type::Void | Type::Number(_) => return Ok(()),
            Type::Pointer(to) | Type::Reference(to) => return self.need_pointee(to, depth),
            Type::Array(element, _) => return self.need(element, whole, depth + 1),
            Type::Function {
                returns,
                parameters,
                ..
            } => {
                self.need(returns, false, depth + 1)?;
                let mut all = parameters.iter().flatten();
                return all.try_for_each(|ty| self.need(ty, false, depth + 1));
            }
            Type::Described(module, _) => match ty.description(self.modules)? {
                Some(description) => (*module, description),
                None => return Ok(()),
            },
        };
        if description.language == Language::Rust {
            return Err(Error::new("it is not of C++"));
        }
        let of = |id| Type::described(module, id);
        match &description.kind {
            TypeKind::Base(_) | TypeKind::Unspecified => Ok(()),
            TypeKind::Pointer(to) => self.need_pointee(&of(*to), depth),
            TypeKind::Reference(to) | TypeKind::RvalueReference(to) => {
                self.need_pointee(&of(Some(*to)), depth)
            }
            TypeKind::MemberPointer { to, class } => {
                self.need(&of(Some(*class)), false, depth + 1)?;
                self.need(&of(Some(*to)), false, depth + 1)
            }
            TypeKind::Qualified(_, to) => self.need(&of(*to), whole, depth + 1),
            TypeKind::Array { element, .. } => self.need(&of(Some(*element)), true, depth + 1),
            TypeKind::Function {
                returns,
                parameters,
                ..
            } => {
                self.need(&of(*returns), false, depth + 1)?;
                let mut all = parameters.iter();
                all.try_for_each(|id| self.need(&of(Some(*id)), false, depth + 1))
            }
            TypeKind::Typedef(to) => {
                let name = description.qualified_name.as_deref().unwrap_or_default();
                self.need_typedef(module, description.id, name, &of(*to), whole, depth)
            }
            TypeKind::Enumeration { .. } | TypeKind::Composite(_) => {
                self.need_named(ty, whole, depth)
            }
        }
    }

    fn need_pointee(&mut self, to: &Type, depth: usize) -> Result<(), Error> {
        self.need(to, false, depth + 1)?;
        self.later.push_back(to.clone());
        Ok(())
    }

    fn need_typedef(
        &mut self,
        module: ModuleId,
        id: TypeId,
        name: &str,
        to: &Type,
        whole: bool,
        depth: usize,
    ) -> Result<(), Error> {
        let path = self.path(module, id.0)?;
        if path.is_std {
            self.need_standard(name)?;
            // Its arguments are perhaps the program's.
            let _ = self.need(to, whole, depth + 1);
            return Ok(());
        }
        if let Some(class) = path.class {
            self.need(&Type::Described(module, class), true, depth + 1)?;
            return self.need(to, whole, depth + 1);
        }
        self.need(to, whole, depth + 1)?;
        let is_known = self.taken.contains(name) || name.starts_with("__builtin");
        if !is_known && self.done.insert(name.to_owned()) {
            let declared = self.spell(to, last_part(name))?;
            let declaration = format!("typedef {declared};");
            let _ = writeln!(self.text, "{}", path.around(&declaration));
        }
        Ok(())
    }

    /// Includes the header for a name of the standard library's.
    fn need_standard(&mut self, name: &str) -> Result<(), Error> {
        let header = header_of(name);
        let header = header.ok_or_else(|| Error::new(format!("no header is known for {name}")))?;
        self.includes.insert(header);
        Ok(())
    }

    /// Declares a class or enumeration.
    fn need_named(&mut self, ty: &Type, whole: bool, depth: usize) -> Result<(), Error> {
        let (module, description) = match ty.shape(self.modules)? {
            Shape::Composite(module, description) | Shape::Enumeration(module, description) => {
                (module, description)
            }
            _ => return Ok(()),
        };
        let Some(name) = description.qualified_name.clone() else {
            return Err(Error::new("its type has no name"));
        };
        let path = self.path(module, description.id.0)?;
        if path.is_std {
            self.need_standard(&name)?;
            if let TypeKind::Composite(composite) = &description.kind {
                for argument in all_arguments(composite) {
                    if let Some(id) = argument.type_id {
                        let ty = Type::Described(module, id);
                        self.need_argument(&ty, whole, depth)?;
                    }
                }
            }
            return Ok(());
        }
        if let Some(class) = path.class {
            return self.need(&Type::Described(module, class), true, depth + 1);
        }
        if self.taken.contains(last_part(&name)) {
            return Ok(());
        }
        match &description.kind {
            TypeKind::Enumeration { .. } => {
                if self.done.insert(name.clone()) {
                    let text = self.enumeration(module, &description)?;
                    let _ = writeln!(self.text, "{}", path.around(&text));
                }
                Ok(())
            }
            TypeKind::Composite(composite) => {
                let written = spelled(&name)?;
                self.announce(module, composite, &name, last_part(&written), &path, depth)?;
                if !whole || composite.is_declaration || !self.done.insert(name.clone()) {
                    return Ok(());
                }
                let mark = match has_arguments(composite) {
                    true => "template<> ",
                    false => "",
                };
                let body = self.class(module, composite, last_part(&written), depth)?;
                let text = format!("{mark}{} {body}", word_of(composite.keyword));
                let _ = writeln!(self.text, "{}", path.around(&text));
                if let Some(size) = description.size {
                    let _ = writeln!(
                        self.text,
                        "static_assert(sizeof({written}) == {size}, \"the program's {written} is \
                         laid out in a way that its debug information does not tell\");"
                    );
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An argument of a template of the standard library's: its own comparisons
    /// and allocators come with it.
    fn need_argument(&mut self, ty: &Type, whole: bool, depth: usize) -> Result<(), Error> {
        let is_std = |ty: &Type| {
            let description = ty.description(self.modules).ok().flatten();
            let name = description.and_then(|one| one.qualified_name.clone());
            name.is_some_and(|name| name.starts_with("std::"))
        };
        match self.need(ty, whole, depth + 1) {
            Err(_) if is_std(ty) => Ok(()),
            other => other,
        }
    }

    /// Says that there is such a class, and of what template it is.
    fn announce(
        &mut self,
        module: ModuleId,
        composite: &Composite,
        name: &str,
        written: &str,
        path: &Path,
        depth: usize,
    ) -> Result<(), Error> {
        if !self.done.insert(format!("{name};")) {
            return Ok(());
        }
        let word = word_of(composite.keyword);
        if !has_arguments(composite) {
            let text = path.around(&format!("{word} {written};"));
            let _ = writeln!(self.text, "{text}");
            return Ok(());
        }
        let mut list: Vec<String> = Vec::new();
        for argument in &composite.arguments {
            list.push(self.parameter_of(module, argument, depth)?);
        }
        if let Some(pack) = &composite.pack {
            let first = pack.first();
            let kind = first.map(|one| self.parameter_of(module, one, depth));
            list.push(format!("{}...", kind.unwrap_or(Ok("class".to_owned()))?));
            for argument in pack.iter().skip(1) {
                self.parameter_of(module, argument, depth)?;
            }
        }
        let list = list.join(", ");
        let base = name.split('<').next().unwrap_or(name).to_owned();
        match self.templates.get(&base) {
            Some(known) if *known != list => {
                return Err(Error::new("its template is declared otherwise"));
            }
            Some(_) => {}
            None => {
                let short = last_part(&base).to_owned();
                let text = path.around(&format!("template<{list}> {word} {short};"));
                let _ = writeln!(self.text, "{text}");
                self.templates.insert(base, list);
            }
        }
        Ok(())
    }

    /// The parameter that a template has for such an argument.
    fn parameter_of(
        &mut self,
        module: ModuleId,
        argument: &TemplateArgument,
        depth: usize,
    ) -> Result<String, Error> {
        let id = argument
            .type_id
            .ok_or_else(|| Error::new("one of its arguments is a template"))?;
        let ty = Type::Described(module, id);
        self.need(&ty, false, depth + 1)?;
        match argument.value {
            None => Ok("class".to_owned()),
            Some(_) => self.spell(&ty, ""),
        }
    }

    fn enumeration(
        &mut self,
        module: ModuleId,
        description: &sapwood_dwarf::Type,
    ) -> Result<String, Error> {
        let TypeKind::Enumeration {
            underlying,
            enumerators,
            is_scoped,
        } = &description.kind
        else {
            return Err(Error::new("it has no constants"));
        };
        let word = if *is_scoped { "enum class" } else { "enum" };
        let name = description.name.as_deref().unwrap_or_default();
        let mut text = format!("{word} {name}");
        if let Some(underlying) = underlying {
            let base = self.spell(&Type::Described(module, *underlying), "")?;
            let _ = write!(text, " : {base}");
        }
        text.push_str(" {");
        for one in enumerators {
            let _ = write!(text, " {} = {},", one.name, one.value);
        }
        text.push_str(" };");
        Ok(text)
    }

    /// A class from its name on.
    fn class(
        &mut self,
        module: ModuleId,
        composite: &Composite,
        name: &str,
        depth: usize,
    ) -> Result<String, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new("its type lies too deep"));
        }
        let mut text = name.to_owned();
        let bases = composite.members.iter().filter(|member| member.is_base);
        for (index, base) in bases.enumerate() {
            let ty = Type::Described(module, base.type_id);
            self.need(&ty, true, depth + 1)?;
            let sign = if index == 0 { ':' } else { ',' };
            let share = if base.is_virtual { "virtual " } else { "" };
            let spelled = self.spell(&ty, "")?;
            let _ = write!(text, " {sign} {share}{} {spelled}", word_for(base.access));
        }
        text.push_str(" {\n");
        self.write_nested(module, composite, depth, &mut text)?;
        for member in composite.members.iter().filter(|member| !member.is_base) {
            self.write_member(module, composite, member, depth, &mut text)?;
        }
        for one in &composite.statics {
            let ty = Type::Described(module, one.type_id);
            let is_known = self.need(&ty, true, depth + 1).is_ok();
            if let (true, Ok(declared)) = (is_known, self.spell(&ty, &one.name)) {
                let is_whole = matches!(
                    ty.shape(self.modules)?,
                    Shape::Number { .. } | Shape::Enumeration(..)
                );
                let is_const = declared.starts_with("const ");
                let value = match one.value.filter(|_| is_whole && is_const) {
                    Some(value) => format!(" = ({}){value}", self.spell(&ty, "")?),
                    None => String::new(),
                };
                let access = word_for(one.access);
                let _ = writeln!(text, "{access}: static {declared}{value};");
            }
        }
        let short = name.split('<').next().unwrap_or(name);
        let mut seen = HashSet::new();
        for method in composite.methods.iter().filter(|m| !m.is_artificial) {
            let declared = match self.method(module, short, method, depth) {
                Ok(declared) => declared,
                // Its place in the table of virtual functions is kept.
                Err(_) if method.is_virtual => {
                    format!("virtual void __slot{}()", method.slot.unwrap_or(0))
                }
                Err(_) => continue,
            };
            if seen.insert(declared.clone()) {
                let tail = match &method.linkage_name {
                    _ if method.is_defaulted => " = default".to_owned(),
                    _ if method.is_deleted => " = delete".to_owned(),
                    Some(linkage) if !is_special(short, &method.name) => {
                        format!(" __asm__(\"{linkage}\")")
                    }
                    _ => String::new(),
                };
                let access = word_for(method.access);
                let _ = writeln!(text, "{access}: {declared}{tail};");
            }
        }
        text.push_str("};");
        Ok(text)
    }

    /// The types that a class has within it.
    fn write_nested(
        &mut self,
        module: ModuleId,
        composite: &Composite,
        depth: usize,
        text: &mut String,
    ) -> Result<(), Error> {
        let mut within = Vec::new();
        for (id, access) in &composite.nested {
            let ty = Type::Described(module, *id);
            let Some(description) = ty.description(self.modules)? else {
                continue;
            };
            within.push((description, word_for(*access)));
        }
        for (description, access) in &within {
            let name = description.name.as_deref().unwrap_or_default();
            match &description.kind {
                TypeKind::Enumeration { .. } => {
                    let one = self.enumeration(module, description)?;
                    let _ = writeln!(text, "{access}: {one}");
                }
                TypeKind::Composite(inner) if !has_arguments(inner) => {
                    let _ = writeln!(text, "{access}: {} {name};", word_of(inner.keyword));
                }
                _ => {}
            }
        }
        for (id, access) in &composite.typedefs {
            let ty = Type::Described(module, *id);
            let Some(description) = ty.description(self.modules)? else {
                continue;
            };
            let (TypeKind::Typedef(to), Some(name)) = (&description.kind, &description.name) else {
                continue;
            };
            let to = Type::described(module, *to);
            if self.need(&to, false, depth + 1).is_ok()
                && let Ok(declared) = self.spell(&to, name)
            {
                let _ = writeln!(text, "{}: typedef {declared};", word_for(*access));
            }
        }
        for (description, access) in &within {
            let name = description.name.as_deref().unwrap_or_default();
            if let TypeKind::Composite(inner) = &description.kind
                && !has_arguments(inner)
                && !inner.is_declaration
            {
                let body = self.class(module, inner, name, depth + 1)?;
                let _ = writeln!(text, "{access}: {} {body}", word_of(inner.keyword));
            }
        }
        Ok(())
    }

    fn write_member(
        &mut self,
        module: ModuleId,
        composite: &Composite,
        member: &Member,
        depth: usize,
        text: &mut String,
    ) -> Result<(), Error> {
        let name = member.name.as_deref().unwrap_or_default();
        if member.is_artificial || name.starts_with("_vptr") {
            return Ok(());
        }
        let ty = Type::Described(module, member.type_id);
        let access = word_for(member.access);
        if let Shape::Composite(owner, description) = ty.shape(self.modules)?
            && description.name.is_none()
            && let TypeKind::Composite(unnamed) = &description.kind
        {
            let body = self.class(owner, unnamed, "", depth + 1)?;
            let body = body.trim_end_matches(';');
            let word = word_of(unnamed.keyword);
            let _ = writeln!(text, "{access}: {word} {body} {name};");
            return Ok(());
        }
        let is_known = self.need(&ty, true, depth + 1);
        let declared = is_known.and_then(|()| self.spell(&ty, name));
        let _ = match (declared, member.bit_size) {
            (Ok(declared), Some(bits)) => writeln!(text, "{access}: {declared} : {bits};"),
            (Ok(declared), None) => writeln!(text, "{access}: {declared};"),
            (Err(_), _) => {
                // So many bytes, as far on as they are.
                let size = ty.size(self.modules)?;
                let size = size.ok_or_else(|| Error::new("a member's size is not known"))?;
                let offset = match member.offset {
                    MemberOffset::Bytes(offset) => offset,
                    _ => 1,
                };
                let is_union = composite.keyword == Keyword::Union;
                let rest = if is_union { size } else { offset | size };
                let aligned = 1u64 << rest.trailing_zeros().min(3);
                writeln!(
                    text,
                    "{access}: alignas({aligned}) unsigned char {name}[{size}];"
                )
            }
        };
        Ok(())
    }

    /// A function of a class, but for its end.
    fn method(
        &mut self,
        module: ModuleId,
        class: &str,
        method: &Method,
        depth: usize,
    ) -> Result<String, Error> {
        let ty = Type::Described(module, TypeId(method.id));
        let Shape::Function {
            returns,
            parameters,
            is_variadic,
        } = ty.shape(self.modules)?
        else {
            return Err(Error::new("it is no function"));
        };
        let parameters = parameters.unwrap_or_default();
        let (hidden, written) = parameters.split_at(method.hidden.min(parameters.len()));
        let mut list = Vec::new();
        for parameter in written {
            self.need(parameter, false, depth + 1)?;
            list.push(self.spell(parameter, "")?);
        }
        if is_variadic {
            list.push("...".to_owned());
        }
        let is_const = hidden.first().is_some_and(|this| self.is_to_const(this));
        let mut text = String::new();
        if method.is_virtual {
            text.push_str("virtual ");
        } else if method.hidden == 0 {
            text.push_str("static ");
        }
        let name = written_name(&method.name);
        let called = format!("{name}({})", list.join(", "));
        if is_special(class, &method.name)
            || method.name.starts_with("operator ") && {
                // A conversion says once what it gives.
                !method.name.starts_with("operator new")
                    && !method.name.starts_with("operator delete")
            }
        {
            text.push_str(&called);
        } else {
            self.need(&returns, false, depth + 1)?;
            text.push_str(&self.spell(&returns, &called)?);
        }
        if is_const {
            text.push_str(" const");
        }
        Ok(text)
    }

    /// Whether a pointer leads to what may not be changed.
    fn is_to_const(&self, pointer: &Type) -> bool {
        let to = match pointer.shape(self.modules) {
            Ok(Shape::Pointer(to)) => to,
            _ => return false,
        };
        let description = to.description(self.modules).ok().flatten();
        description.is_some_and(|one| matches!(one.kind, TypeKind::Qualified(Qualifier::Const, _)))
    }

    fn parameters(&mut self, types: &[Type], is_variadic: bool) -> Result<String, Error> {
        let mut list = Vec::new();
        for ty in types {
            self.need(ty, true, 0)?;
            list.push(self.spell(ty, "")?);
        }
        if is_variadic {
            list.push("...".to_owned());
        }
        Ok(list.join(", "))
    }

    /// The declaration of a name with a type.
    fn spell(&self, ty: &Type, name: &str) -> Result<String, Error> {
        spelled(&declare(ty, name, Naming::of(self.modules), 0))
    }
}

fn all_arguments(composite: &Composite) -> impl Iterator<Item = &TemplateArgument> {
    composite
        .arguments
        .iter()
        .chain(composite.pack.iter().flatten())
}

fn has_arguments(composite: &Composite) -> bool {
    !composite.arguments.is_empty() || composite.pack.is_some()
}

fn word_of(keyword: Keyword) -> &'static str {
    match keyword {
        Keyword::Struct => "struct",
        Keyword::Class => "class",
        Keyword::Union => "union",
    }
}

fn word_for(access: Access) -> &'static str {
    match access {
        Access::Public => "public",
        Access::Protected => "protected",
        Access::Private => "private",
    }
}
