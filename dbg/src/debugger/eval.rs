//! `eval` and `load`: new code in a stopped program.
//!
//! Compile; [publish](super::image), which arms breakpoints; then run: first
//! what the code wants run before it is used, then the snippet itself.

use std::path::{Path, PathBuf};

use sapwood_dwarf::ModuleId;
use sapwood_link::source::whole_archive;

use super::calls::{Called, Purpose};
use super::image::{Input, machine_call};
use super::surroundings::{Copied, Surroundings};
use super::{Debugger, Events};
use crate::call::MachineResult;
use crate::error::{Error, Result};
use crate::eval::{Cc, Compiler, DECLARATIONS, Object, RESULT, SourceFile, mentioned, snippet};
use crate::event::{Event, ValueView};
use crate::target::Address;

/// Who compiles.
pub(super) struct Compilers(Box<dyn Compiler>);

impl Default for Compilers {
    fn default() -> Compilers {
        Compilers(Box::new(Cc::default()))
    }
}

/// An `eval` whose call has not returned.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    /// The snippet's module.
    module: ModuleId,
    /// The wrapper's name.
    wrapper: String,
    /// Variables in registers that it has copies of.
    copies: Vec<Copied>,
}

impl Debugger {
    /// Uses another compiler than the system's.
    pub fn set_compiler(&mut self, compiler: Box<dyn Compiler>) {
        self.compiler = Compilers(compiler);
    }

    /// `eval`.
    pub(super) fn eval(
        &mut self,
        name: Option<String>,
        text: &str,
        events: Events<'_>,
    ) -> Result<()> {
        self.thread()
            .map_err(|_| Error::new("eval needs a running program: use run or start first."))?;
        let number = 1 + self.image.as_ref().map_or(0, |image| image.snippets);
        let name = name.unwrap_or_else(|| format!("snip{number}.c"));
        let mut around = self.surroundings(&mentioned(text), number);
        let mut made = snippet(text, &name, number, &around.declarations);
        let mut compiled = self.compiler.0.compile(SourceFile::Text(&made.c));
        if let Err(messages) = &compiled
            && !around.declarations.is_empty()
        {
            // The snippet may say itself what we said of the program.
            let bare = snippet(text, &name, number, "");
            match self.compiler.0.compile(SourceFile::Text(&bare.c)) {
                Err(other) if messages.contains(DECLARATIONS) => compiled = Err(other),
                Err(_) => {}
                done => {
                    (made, compiled) = (bare, done);
                    around = Surroundings::default();
                }
            }
        }
        let object = compiled.map_err(Error::new)?;
        if !object.warnings.is_empty() {
            events(Event::Warning(object.warnings));
        }
        let inputs = [Input::Object(name.clone(), object.bytes)];
        // Kept before the publish, which tells of breakpoints that it arms.
        self.keep_text(&name, &made.text);
        let landed = self.publish(&inputs, &around.places, events)?;
        self.fill_copies(&around.copies)?;
        let image = self.image.as_mut().expect("it was just published in");
        image.snippets = number;
        let wrapper = made.wrapper.and_then(|wrapper| {
            let at = image.session.view().symbol(&wrapper)?.address;
            Some((wrapper, Address(at.get())))
        });
        self.run_deferred(&landed.calls, events)?;
        let Some((wrapper, at)) = wrapper else {
            return Ok(());
        };
        let module = landed.modules.first().copied();
        let module = module.ok_or_else(|| Error::new("the snippet has no debug information."))?;
        let waiting = Waiting {
            module,
            wrapper,
            copies: around.copies,
        };
        let purpose = Purpose::Eval(waiting.clone());
        match self.call(&machine_call(at, &[]), &name, purpose, false, events)? {
            Called::Returned(result) => {
                if let Some(value) = self.eval_value(&waiting, &result)? {
                    events(Event::Value(value));
                }
                Ok(())
            }
            Called::Stopped => Ok(()),
        }
    }

    /// Keeps a snippet's text under the names its line table may use.
    fn keep_text(&mut self, name: &str, text: &str) {
        self.sources.keep(name, text);
        // Compilers that map folders away leave a path without one, or a root.
        self.sources.keep(Path::new("/").join(name), text);
        if let Ok(here) = std::env::current_dir() {
            self.sources.keep(here.join(name), text);
        }
    }

    /// The value of an `eval` that has returned: the wrapper gives the address
    /// of a variable whose type says what it is.
    pub(super) fn eval_value(
        &mut self,
        waiting: &Waiting,
        result: &MachineResult,
    ) -> Result<Option<ValueView>> {
        self.take_copies_back(&waiting.copies)?;
        let at = Address(result.integers[0]);
        if at == Address(0) {
            return Ok(None);
        }
        self.value_of_variable(waiting.module, &waiting.wrapper, RESULT, at)
            .map(Some)
    }

    /// `load`.
    pub(super) fn load(&mut self, files: &[PathBuf], events: Events<'_>) -> Result<()> {
        if self.target.is_none() && self.program.is_none() {
            return self.choose_inputs(files);
        }
        self.thread()
            .map_err(|_| Error::new("load needs a running program: use run or start first."))?;
        let calls = self.publish_files(files, events)?;
        let newest = self.image.as_ref().map(|i| i.session.generation());
        if let Some(view) = newest.and_then(|newest| self.generation_view(newest)) {
            events(Event::Generations(vec![view]));
        }
        self.run_deferred(&calls, events)
    }

    /// Compiles, or gives the compiler's messages.
    pub(super) fn compile(&mut self, source: SourceFile<'_>) -> Result<Object> {
        self.compiler.0.compile(source).map_err(Error::new)
    }

    /// A file as an input, compiled where it is a source.
    pub(super) fn input(&mut self, file: &Path, events: Events<'_>) -> Result<Input> {
        let name = file.display().to_string();
        let extension = file.extension().and_then(|e| e.to_str()).unwrap_or("");
        let read = || std::fs::read(file).map_err(|e| Error::new(format!("{name}: {e}")));
        Ok(match extension {
            "c" => {
                read()?;
                let compiled = self.compiler.0.compile(SourceFile::File(file));
                let object = compiled.map_err(Error::new)?;
                if !object.warnings.is_empty() {
                    events(Event::Warning(object.warnings));
                }
                Input::Object(name, object.bytes)
            }
            "a" => {
                let whole = whole_archive(file, read()?);
                let whole = whole.map_err(|error| Error::new(error.to_string()))?;
                Input::Archive(name.clone(), whole.bytes)
            }
            _ => Input::Object(name.clone(), read()?),
        })
    }
}
