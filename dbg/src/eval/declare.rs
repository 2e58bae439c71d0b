//! [`Declarations`]: C declarations of the program's own types, variables and
//! functions, made of its debug information, so that a snippet can use them
//! without saying what they are.
//!
//! Whatever a declaration mentions is declared before it: a `struct` that a
//! value has is defined, one that is only pointed to is announced, and defined
//! afterwards if there are not too many, so that a pointer can be followed. A
//! definition is checked by the compiler against the size that the debug
//! information says.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write;

use sapwood_dwarf::{Language, Member, Modules, TypeKind};

use crate::value::types::{Naming, declare, plain_name};
use crate::value::{Error, Shape, Type};

/// How many types are defined because a pointer leads to them.
const MAX_FOLLOWED: usize = 300;
/// How deep types may lie in one another.
const MAX_DEPTH: usize = 40;

/// See the [module page](self).
pub struct Declarations<'m> {
    modules: &'m Modules,
    /// Names that the snippet declares itself.
    taken: &'m HashSet<String>,
    /// What was declared, by how it is written: `struct node`, `size_t`.
    done: HashSet<String>,
    /// Types that pointers lead to.
    later: VecDeque<Type>,
    text: String,
}

impl<'m> Declarations<'m> {
    /// None yet.
    pub fn new(modules: &'m Modules, taken: &'m HashSet<String>) -> Declarations<'m> {
        Declarations {
            modules,
            taken,
            done: HashSet::new(),
            later: VecDeque::new(),
            text: String::new(),
        }
    }

    /// Declares a variable or function under a name of the linker's. On error
    /// nothing of it is declared but perhaps types.
    pub fn variable(&mut self, name: &str, ty: &Type, label: &str) -> Result<(), Error> {
        self.need(ty, true, 0)?;
        let declared = self.spell(ty, name, 0)?;
        let _ = writeln!(self.text, "extern {declared} __asm__(\"{label}\");");
        Ok(())
    }

    /// Defines a variable of its own under a name of the linker's.
    pub fn copy(&mut self, name: &str, ty: &Type, label: &str) -> Result<(), Error> {
        self.need(ty, true, 0)?;
        let declared = self.spell(ty, name, 0)?;
        let _ = writeln!(self.text, "{declared} __asm__(\"{label}\");");
        Ok(())
    }

    /// Declares a type.
    pub fn type_of(&mut self, ty: &Type) -> Result<(), Error> {
        self.need(ty, true, 0)
    }

    /// The text, once what pointers lead to is defined.
    pub fn finish(mut self) -> String {
        let mut followed = 0;
        while let Some(ty) = self.later.pop_front() {
            followed += 1;
            if followed > MAX_FOLLOWED {
                break;
            }
            let before = self.text.len();
            if self.need(&ty, true, 0).is_err() {
                self.text.truncate(before);
            }
        }
        self.text
    }

    /// Declares what a type mentions, and the type; `whole` says that a value
    /// of it is to be had.
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
                self.need(returns, true, depth + 1)?;
                let mut all = parameters.iter().flatten();
                return all.try_for_each(|ty| self.need(ty, true, depth + 1));
            }
            Type::Described(module, _) => match ty.description(self.modules)? {
                Some(description) => (*module, description),
                None => return Ok(()),
            },
        };
        if !matches!(description.language, Language::C | Language::Assembly) {
            return Err(Error::new("it is not of C"));
        }
        let of = |id| Type::described(module, id);
        match &description.kind {
            TypeKind::Base(_) | TypeKind::Unspecified => Ok(()),
            TypeKind::Pointer(to) => self.need_pointee(&of(*to), depth),
            TypeKind::Qualified(_, to) => self.need(&of(*to), whole, depth + 1),
            TypeKind::Array { element, .. } => self.need(&of(Some(*element)), true, depth + 1),
            TypeKind::Function {
                returns,
                parameters,
                ..
            } => {
                self.need(&of(*returns), true, depth + 1)?;
                let mut all = parameters.iter();
                all.try_for_each(|id| self.need(&of(Some(*id)), true, depth + 1))
            }
            TypeKind::Typedef(to) => {
                let name = plain_name(&description).into_owned();
                self.need_typedef(&name, &of(*to), whole, depth)
            }
            TypeKind::Enumeration { .. } => match &description.name {
                Some(name) if !self.taken.contains(name) => {
                    let spelled = plain_name(&description).into_owned();
                    if self.done.insert(spelled.clone()) {
                        let body = self.body(ty, depth)?;
                        let _ = writeln!(self.text, "{spelled} {body};");
                    }
                    Ok(())
                }
                _ => Ok(()),
            },
            TypeKind::Composite(_) => self.need_composite(ty, whole, depth),
            _ => Err(Error::new("it is not of C")),
        }
    }

    fn need_pointee(&mut self, to: &Type, depth: usize) -> Result<(), Error> {
        self.need(to, false, depth + 1)?;
        self.later.push_back(to.clone());
        Ok(())
    }

    fn need_typedef(
        &mut self,
        name: &str,
        to: &Type,
        whole: bool,
        depth: usize,
    ) -> Result<(), Error> {
        self.need(to, whole, depth + 1)?;
        let is_known = self.taken.contains(name) || name.starts_with("__builtin");
        if !is_known && self.done.insert(name.to_owned()) {
            let declared = self.spell(to, name, depth + 1)?;
            let _ = writeln!(self.text, "typedef {declared};");
        }
        Ok(())
    }

    fn need_composite(&mut self, ty: &Type, whole: bool, depth: usize) -> Result<(), Error> {
        let Shape::Composite(module, description) = ty.shape(self.modules)? else {
            return Ok(());
        };
        let TypeKind::Composite(composite) = &description.kind else {
            return Ok(());
        };
        let Some(name) = &description.name else {
            return self.need_members(module, &composite.members, depth);
        };
        if self.taken.contains(name) {
            return Ok(());
        }
        let spelled = plain_name(&description).into_owned();
        if self.done.insert(format!("{spelled};")) {
            let _ = writeln!(self.text, "{spelled};");
        }
        if !whole || composite.is_declaration || !self.done.insert(spelled.clone()) {
            return Ok(());
        }
        self.need_members(module, &composite.members, depth)?;
        let body = self.body(ty, depth)?;
        let _ = writeln!(self.text, "{spelled} {body};");
        if let Some(size) = description.size {
            let _ = writeln!(
                self.text,
                "_Static_assert(sizeof({spelled}) == {size}, \"the program's {spelled} is laid \
                 out in a way that its debug information does not tell\");"
            );
        }
        Ok(())
    }

    fn need_members(
        &mut self,
        module: sapwood_dwarf::ModuleId,
        members: &[Member],
        depth: usize,
    ) -> Result<(), Error> {
        let mut all = members.iter();
        all.try_for_each(|m| self.need(&Type::Described(module, m.type_id), true, depth + 1))
    }

    /// What stands in the braces of a composite type or enumeration, braces
    /// included.
    fn body(&self, ty: &Type, depth: usize) -> Result<String, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new("its type lies too deep"));
        }
        let mut body = "{\n".to_owned();
        match ty.shape(self.modules)? {
            Shape::Composite(module, description) => {
                let TypeKind::Composite(composite) = &description.kind else {
                    return Err(Error::new("it has no members"));
                };
                for member in &composite.members {
                    let ty = Type::Described(module, member.type_id);
                    let name = member.name.as_deref().unwrap_or_default();
                    let declared = self.spell(&ty, name, depth + 1)?;
                    let _ = match member.bit_size {
                        Some(bits) => writeln!(body, "  {declared} : {bits};"),
                        None => writeln!(body, "  {declared};"),
                    };
                }
            }
            Shape::Enumeration(_, description) => {
                let TypeKind::Enumeration { enumerators, .. } = &description.kind else {
                    return Err(Error::new("it has no constants"));
                };
                for one in enumerators {
                    let _ = writeln!(body, "  {} = {},", one.name, one.value);
                }
            }
            _ => return Err(Error::new("it has no members")),
        }
        body.push('}');
        Ok(body)
    }

    /// The declaration of a name with a type, unnamed types spelled out.
    fn spell(&self, ty: &Type, name: &str, depth: usize) -> Result<String, Error> {
        let declared = declare(ty, name, Naming::of(self.modules), 0);
        let Some(unnamed) = self.unnamed_core(ty)? else {
            return Ok(declared);
        };
        let body = self.body(&unnamed, depth + 1)?;
        Ok(declared.replacen("{...}", &body, 1))
    }

    /// The type without a name that a type is made of, if it is.
    fn unnamed_core(&self, ty: &Type) -> Result<Option<Type>, Error> {
        let mut core = ty.clone();
        for _ in 0..MAX_DEPTH {
            let next = match &core {
                Type::Pointer(to) => (**to).clone(),
                Type::Array(element, _) => (**element).clone(),
                Type::Described(module, _) => {
                    let of = |id| Type::described(*module, id);
                    let Some(description) = core.description(self.modules)? else {
                        return Ok(None);
                    };
                    match &description.kind {
                        TypeKind::Pointer(to) | TypeKind::Qualified(_, to) => of(*to),
                        TypeKind::Array { element, .. } => of(Some(*element)),
                        TypeKind::Composite(_) | TypeKind::Enumeration { .. } => {
                            return Ok(description.name.is_none().then_some(core));
                        }
                        _ => return Ok(None),
                    }
                }
                _ => return Ok(None),
            };
            core = next;
        }
        Ok(None)
    }
}
