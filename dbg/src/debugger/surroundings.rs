//! What a snippet sees of where it is run: the frame's variables, the program's
//! globals, functions and types, static ones of any unit too, declared for it
//! without its asking.
//!
//! A variable in memory is declared under a name of the linker's that says its
//! address, so the snippet uses the variable itself. One that lives in a
//! register gets a variable of the same type in the image; its value is put
//! there before the call, and taken back after it if it changed.

use std::collections::HashMap;

use super::Debugger;
use crate::error::{Error, Result};
use crate::eval::{Declarations, Mentions};
use crate::expr::Evaluator;
use crate::target::Address;
use crate::value::{self, Place, Value};

/// See the [module page](self).
#[derive(Default)]
pub(super) struct Surroundings {
    /// C text.
    pub declarations: String,
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
    pub(super) fn surroundings(&mut self, mentions: &Mentions, number: u32) -> Surroundings {
        let found = self.evaluate("", &mut |_| {}, |evaluator| {
            Ok(declare(evaluator, mentions, number))
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
    around.declarations = declarations.finish();
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
