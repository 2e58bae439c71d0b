//! What a snippet sees of where it is run: the frame's variables, the program's
//! globals, functions and types, static ones of any unit too, declared for it
//! without its asking.
//!
//! A variable in memory is declared under a name of the linker's that says its
//! address, so the snippet uses the variable itself. One that lives in a
//! register gets a variable of the same type in the image; its value is put
//! there before the call, and taken back after it if it changed.

use std::collections::HashMap;

use sapwood_dwarf::{EntryId, Module, Scope, TypeKind};

use super::Debugger;
use crate::error::{Error, Result};
use crate::eval::{Around, CppDeclarations, Declarations, Dialect, Mentions, last_part};
use crate::expr::Evaluator;
use crate::target::Address;
use crate::value::{self, Place, Shape, Type, Value};

/// See the [module page](self).
#[derive(Default)]
pub(super) struct Surroundings {
    /// What is written around the snippet.
    pub around: Around,
    /// Where names of the linker's are.
    pub places: HashMap<String, Address>,
    /// Variables that the image has copies of.
    pub copies: Vec<Copied>,
}

/// A variable in a register, and its copy's name in the image.
#[derive(Clone, Debug)]
pub(super) struct Copied {
    label: String,
    value: Value,
    /// Its bytes, as they were put into the copy.
    bytes: Vec<u8>,
}

impl Debugger {
    /// Declares what a snippet mentions. `number` makes names its own.
    pub(super) fn surroundings(
        &mut self,
        mentions: &Mentions,
        dialect: Dialect,
        number: u32,
    ) -> Surroundings {
        let found = self.evaluate("", &mut |_| {}, |evaluator| {
            Ok(match dialect {
                Dialect::C => declare(evaluator, mentions, number),
                Dialect::Cpp => Cpp::new(evaluator, mentions, number).declare(mentions),
            })
        });
        found.ok().flatten().unwrap_or_default()
    }

    /// Gives the copies of a published snippet their values.
    pub(super) fn fill_copies(&mut self, copies: &[Copied]) -> Result<()> {
        for copy in copies {
            let at = self.copy_address(copy)?;
            self.live()?.write(at, &copy.bytes)?;
        }
        Ok(())
    }

    /// Puts what a snippet changed back into registers.
    pub(super) fn take_copies_back(&mut self, copies: &[Copied]) -> Result<()> {
        for copy in copies {
            let at = self.copy_address(copy)?;
            let mut bytes = vec![0; copy.bytes.len()];
            self.live()?.read(at, &mut bytes)?;
            if bytes == copy.bytes {
                continue;
            }
            let new = Value::in_memory(copy.value.ty.clone(), at);
            self.evaluate("", &mut |_| {}, |evaluator| {
                evaluator.assign(&copy.value, &new)
            })?;
            self.stack = None;
        }
        Ok(())
    }

    fn copy_address(&self, copy: &Copied) -> Result<Address> {
        let at = self.image_symbol(&copy.label);
        at.ok_or_else(|| Error::new("the snippet's copy of a register is gone."))
    }
}

fn declare(evaluator: &mut Evaluator<'_>, mentions: &Mentions, number: u32) -> Surroundings {
    let modules = evaluator.reader.modules;
    let mut declarations = Declarations::new(modules, &mentions.declared);
    let mut around = Surroundings::default();
    for word in &mentions.words {
        let name = &word.name;
        let known = match &word.tag {
            Some(_) => None,
            None => evaluator.known(name).ok().flatten(),
        };
        let Some(value) = known else {
            if let Ok(ty) = evaluator.named_type(name, word.tag.as_deref()) {
                let _ = declarations.type_of(&ty);
            }
            continue;
        };
        let _ = match &value.place {
            Place::Memory(at) => {
                let label = format!("{name}.{:#x}", at.0);
                let declared = declarations.variable(name, &value.ty, &label);
                around.places.insert(label, *at);
                declared
            }
            Place::Register { .. } => copy(evaluator, &mut declarations, name, value, number)
                .map(|copied| around.copies.push(copied)),
            // A constant of an enumeration.
            _ => declarations.type_of(&value.ty),
        };
    }
    around.around.declarations = declarations.finish();
    around
}

fn copy(
    evaluator: &mut Evaluator<'_>,
    declarations: &mut Declarations<'_>,
    name: &str,
    value: Value,
    number: u32,
) -> std::result::Result<Copied, value::Error> {
    let bytes = evaluator.reader.bytes(&value)?.to_vec();
    let label = format!("{name}.copy{number}");
    declarations.copy(name, &value.ty, &label)?;
    Ok(Copied {
        label,
        value,
        bytes,
    })
}

/// What a C++ snippet sees, as it is found.
struct Cpp<'e, 'a, 'm> {
    evaluator: &'e mut Evaluator<'a>,
    declarations: CppDeclarations<'m>,
    found: Surroundings,
    /// The namespaces that the frame's function is in, outermost first.
    spaces: Vec<String>,
    number: u32,
}

/// The last part of a qualified name, as far as it is a word.
fn plain_last(name: &str) -> String {
    let last = last_part(name).chars();
    last.map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect()
}

/// The most functions or instances of a template of one name that are declared.
const MAX_SAME: usize = 64;
/// How many base classes deep a function is looked for.
const MAX_BASES: u32 = 16;

impl<'e, 'a, 'm> Cpp<'e, 'a, 'm>
where
    'a: 'm,
{
    fn new(evaluator: &'e mut Evaluator<'a>, mentions: &'m Mentions, number: u32) -> Self {
        let modules = evaluator.reader.modules;
        let frame = evaluator.reader.frame;
        let scopes = frame.and_then(|frame| {
            let module = modules.get(frame.module?)?;
            Some(module.scopes_of(frame.function.as_ref()?.id))
        });
        let spaces = scopes.unwrap_or_default().into_iter();
        let spaces = spaces.filter_map(|scope| match scope {
            Scope::Namespace { name, .. } => name,
            _ => None,
        });
        Cpp {
            spaces: spaces.collect(),
            declarations: CppDeclarations::new(modules, &mentions.declared),
            evaluator,
            found: Surroundings::default(),
            number,
        }
    }

    fn declare(mut self, mentions: &Mentions) -> Surroundings {
        let this = self.evaluator.frame_variable("this");
        if let Some(this) = &this {
            self.variable("__this", this.clone());
        }
        for word in &mentions.words {
            self.word(&word.name, this.as_ref());
        }
        for operator in &mentions.operators {
            self.names(&format!("operator{operator}"));
        }
        let mut path = String::new();
        for space in &self.spaces {
            path = match path.is_empty() {
                true => space.clone(),
                false => format!("{path}::{space}"),
            };
            self.found.around.spaces.push(path.clone());
        }
        let (declarations, includes) = self.declarations.finish();
        self.found.around.includes = includes;
        // One that nothing was declared in would be unknown.
        self.found.around.spaces.retain(|space| {
            let last = space.rsplit("::").next().unwrap_or(space);
            declarations.contains(&format!("namespace {last} {{"))
        });
        self.found.around.declarations = declarations;
        self.found
    }

    fn word(&mut self, name: &str, this: Option<&Value>) {
        if name == "std" || name.starts_with("std::") {
            return self.declarations.standard(name);
        }
        if !name.contains("::") {
            let member = |evaluator: &mut Evaluator<'_>| evaluator.member_of_this(name).ok()?;
            let variable = self.evaluator.frame_variable(name);
            if let Some(value) = variable.or_else(|| member(self.evaluator)) {
                return self.variable(name, value);
            }
            if this.is_some_and(|this| self.has_method(&this.ty, name, 0)) {
                return self.found.around.methods.push(name.to_owned());
            }
        }
        if !self.names(name)
            && let Some((scope, _)) = name.rsplit_once("::")
        {
            self.word(scope, None);
        }
    }

    /// Declares a variable of the frame's, or a member of its object.
    fn variable(&mut self, name: &str, value: Value) {
        let declared = match &value.place {
            Place::Memory(at) if value.bits.is_none() => {
                let label = format!("{name}.{:#x}", at.0);
                let declared = self.declarations.local(name, &value.ty, &label);
                self.found.places.insert(label, *at);
                declared
            }
            Place::Register { .. } => self.copied(name, value),
            _ => return,
        };
        if declared.is_ok() {
            self.found.around.locals.push(name.to_owned());
        }
    }

    fn copied(&mut self, name: &str, value: Value) -> std::result::Result<(), value::Error> {
        let bytes = self.evaluator.reader.bytes(&value)?.to_vec();
        let label = format!("{name}.copy{}", self.number);
        self.declarations.copy(name, &value.ty, &label)?;
        self.found.copies.push(Copied {
            label,
            value,
            bytes,
        });
        Ok(())
    }

    /// Whether an object, or what a pointer leads to, has a function of that name.
    fn has_method(&self, ty: &Type, name: &str, depth: u32) -> bool {
        let modules = self.evaluator.reader.modules;
        match ty.shape(modules) {
            Ok(Shape::Pointer(to)) if depth == 0 => self.has_method(&to, name, 1),
            Ok(Shape::Composite(module, description)) if depth < MAX_BASES => {
                let TypeKind::Composite(composite) = &description.kind else {
                    return false;
                };
                let mut bases = composite.members.iter().filter(|member| member.is_base);
                composite.methods.iter().any(|method| method.name == name)
                    || bases.any(|base| {
                        let ty = Type::Described(module, base.type_id);
                        self.has_method(&ty, name, depth + 1)
                    })
            }
            _ => false,
        }
    }

    /// Declares whatever a name outside all functions stands for, in the nearest
    /// module that knows it.
    fn names(&mut self, name: &str) -> bool {
        for (id, module) in self.evaluator.reader.nearest_modules(name) {
            let mut is_known = false;
            let functions = module.functions(name);
            let functions = functions
                .iter()
                .filter(|function| function.entry.is_some())
                .filter(|function| self.is_seen(&module, function.id, name));
            for function in functions.take(MAX_SAME).collect::<Vec<_>>() {
                let at = function.entry.unwrap_or_default();
                let label = format!("{}.{:#x}", plain_last(&function.name), at.0);
                let done = self.declarations.function(id, function, &label);
                self.found.places.insert(label, at);
                is_known |= done.is_ok();
            }
            for global in module.globals(name) {
                if !self.is_seen(&module, global.id, name) {
                    continue;
                }
                let Ok(value) = self.evaluator.reader.variable(id, &global) else {
                    continue;
                };
                let Place::Memory(at) = value.place else {
                    continue;
                };
                let label = format!("{}.{:#x}", last_part(&global.name), at.0);
                let done = self
                    .declarations
                    .global(id, global.id, &global.name, &value.ty, &label);
                self.found.places.insert(label, at);
                is_known |= done.is_ok();
            }
            for ty in module.types(name).into_iter().take(MAX_SAME) {
                let done = self.declarations.type_of(&Type::Described(id, ty));
                is_known |= done.is_ok();
            }
            if let Some((ty, _)) = module.enumerator(name) {
                let done = self.declarations.type_of(&Type::Described(id, ty));
                is_known |= done.is_ok();
            }
            if is_known {
                return true;
            }
        }
        false
    }

    /// Whether a name that is written so is that entry's, where the frame is.
    fn is_seen(&self, module: &Module, id: EntryId, name: &str) -> bool {
        let scopes = module.scopes_of(id);
        if name.contains("::") {
            return true;
        }
        // An operator is found by what it is given.
        if name.starts_with("operator") {
            return !scopes
                .iter()
                .any(|scope| !matches!(scope, Scope::Namespace { .. }));
        }
        let mut around = self.spaces.iter();
        scopes.iter().all(|scope| match scope {
            Scope::Namespace {
                name: Some(name),
                is_inline,
            } => *is_inline || around.next() == Some(name),
            Scope::Namespace { name: None, .. } => true,
            _ => false,
        })
    }
}
