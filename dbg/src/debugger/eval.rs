//! `eval` and `load`: new code in a stopped program.
//!
//! Compile; [publish](super::image), which arms breakpoints; then run: first
//! what the code wants run before it is used, then the snippet itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sapwood_dwarf::{Function, Language, ModuleId};
use sapwood_link::source::whole_archive;

use super::calls::{Called, Purpose};
use super::image::{Input, machine_call};
use super::surroundings::{Copied, Surroundings};
use super::{Debugger, Events};
use crate::call::MachineResult;
use crate::error::{Error, Result};
use crate::eval::{
    Around, Cc, Compiler, DECLARATIONS, Dialect, Object, RESULT, SourceFile, mentioned, snippet,
};
use crate::event::{Event, ValueView};
use crate::libraries::read_text;
use crate::target::Address;
use crate::value::demangled;

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
    dialect: Dialect,
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
        let (dialect, standard) = self.dialect(name.as_deref());
        let name = name.unwrap_or_else(|| match dialect {
            Dialect::C => format!("snip{number}.c"),
            Dialect::Cpp => format!("snip{number}.cc"),
        });
        let mut around = self.surroundings(&mentioned(text, dialect), dialect, number);
        let mut made = snippet(text, &name, number, dialect, &around.around);
        let mut compile = |text: &str| {
            let source = match dialect {
                Dialect::C => SourceFile::Text(text),
                Dialect::Cpp => SourceFile::Cpp(text, standard.as_deref()),
            };
            self.compiler.0.compile(source)
        };
        let mut compiled = compile(&made.c);
        if let Err(messages) = &compiled
            && !around.around.declarations.is_empty()
        {
            // The snippet may say itself what we said of the program.
            let bare = snippet(text, &name, number, dialect, &Around::default());
            match compile(&bare.c) {
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
        let wrapper = made.wrapper.zip(made.entry).and_then(|(wrapper, entry)| {
            let at = image.session.view().symbol(&entry)?.address;
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
            dialect,
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

    /// The language of a snippet: as its name says, or as the frame's; and the
    /// standard that the program's own code was compiled by.
    fn dialect(&mut self, name: Option<&str>) -> (Dialect, Option<String>) {
        let frame = self.current_frame().ok();
        let function = frame.as_ref().and_then(|frame| frame.function.clone());
        let is_cpp = |function: &&Arc<Function>| function.language == Language::Cpp;
        let function = function.as_ref().filter(is_cpp);
        let own = match function {
            Some(_) => Dialect::Cpp,
            None => Dialect::C,
        };
        let dialect = name.and_then(Dialect::of_file).unwrap_or(own);
        let standard = function.and_then(|function| {
            let module = self.modules.get(frame.as_ref()?.module?)?;
            let producer = module.unit_note(function.id)?.producer?;
            let words = producer.split_whitespace();
            let mut named = words.filter_map(|word| word.strip_prefix("-std="));
            named.next_back().map(str::to_owned)
        });
        (dialect, standard)
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
    /// of a variable whose type says what it is; in C++ it points to the value, and
    /// beside it is the name of what was thrown.
    pub(super) fn eval_value(
        &mut self,
        waiting: &Waiting,
        result: &MachineResult,
    ) -> Result<Option<ValueView>> {
        self.take_copies_back(&waiting.copies)?;
        let at = Address(result.integers[0]);
        let is_cpp = waiting.dialect == Dialect::Cpp;
        if is_cpp && result.integers[1] != 0 {
            let name = read_text(self.live()?, Address(result.integers[1])).unwrap_or_default();
            let name = String::from_utf8_lossy(&name);
            let mangled = format!("_ZTS{}", name.trim_start_matches('*'));
            let name = demangled(&mangled).into_owned();
            let name = name.strip_prefix("typeinfo name for ").unwrap_or(&name);
            return Err(Error::new(format!(
                "the snippet threw an exception of type {name}."
            )));
        }
        if at == Address(0) {
            return Ok(None);
        }
        self.value_of_variable(waiting.module, &waiting.wrapper, RESULT, at, is_cpp)
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
            _ if Dialect::of_file(&name).is_some() => {
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
