//! `eval` and `load`: new code in a stopped program.
//!
//! The order is the promise. Compile; publish, all or nothing; take the new
//! objects' line tables in; arm breakpoints; only then run anything: first what
//! the code wants run before it is used, then the snippet itself. The process
//! stands still from the first byte written until breakpoints are armed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sapwood_dwarf::{Module, ModuleId, ModuleKind, Modules, SymbolKind};
use sapwood_link::{
    AddressSpace, Generation, Ground, Host, HostAddr, HostError, Near, Options, Outside, Resolver,
    Session, SpaceId, Wanted,
};

use super::calls::{Called, Purpose};
use super::{Debugger, Events};
use crate::call::{MachineCall, MachineResult};
use crate::error::{Error, Result};
use crate::eval::{Cc, Compiler, RESULT, SourceFile, snippet};
use crate::event::{Event, GenerationView, ValueView};
use crate::loader;
use crate::space::{Deferred, ProcessSpace};
use crate::target::Address;

/// Address space reserved at a time for each protection, in bytes.
const SLAB: u64 = 64 << 20;

/// More IFUNC resolvers than one batch can want one after another.
const IFUNC_ROUNDS: usize = 4;

/// The code that was appended to a process.
pub(super) struct Image {
    session: Session,
    space: SpaceId,
    /// The dwarf modules of published objects, with the generation of each.
    pub modules: Vec<(ModuleId, Generation)>,
    /// How many snippets there were.
    snippets: u32,
    /// What indirect functions of libraries resolved to.
    resolved: HashMap<Address, Address>,
}

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
}

/// An input of a batch.
enum Input {
    Object(String, Vec<u8>),
    Archive(String, Vec<u8>),
}

/// The program's names: its own, static ones included, then its libraries'.
struct ProgramNames<'a> {
    modules: &'a Modules,
    /// The source file that is preferred where static names are ambiguous.
    near: Option<&'a Path>,
    resolved: &'a HashMap<Address, Address>,
    /// Indirect functions whose resolvers are to be called first.
    missing: Vec<Address>,
}

impl ProgramNames<'_> {
    /// The program's own names first, then what was published and is not for
    /// others to see (the session knows the rest), the newest first, then the
    /// libraries'.
    fn find(&self, name: &str) -> Option<(Address, SymbolKind)> {
        let of = |wanted: fn(ModuleKind) -> bool| {
            let modules = self.modules.iter();
            modules.filter(move |(_, module)| wanted(module.kind()))
        };
        of(|kind| kind == ModuleKind::Executable)
            .chain(of(|kind| matches!(kind, ModuleKind::Published(_))).rev())
            .find_map(|(_, module)| self.find_in(module, name, true))
            .or_else(|| {
                of(|kind| kind == ModuleKind::Library)
                    .find_map(|(_, module)| self.find_in(module, name, false))
            })
    }

    fn find_in(&self, module: &Module, name: &str, locals: bool) -> Option<(Address, SymbolKind)> {
        let symbols = module.symbols_named(name);
        let first = symbols.first()?;
        if first.binding != sapwood_dwarf::Binding::Local {
            return Some((first.address, first.kind));
        }
        if !locals {
            return None;
        }
        if symbols.len() > 1
            && let Some(near) = self.near
        {
            let functions = module.functions(name);
            let here = functions.iter().find(|f| f.file.as_deref() == Some(near));
            if let Some(entry) = here.and_then(|f| f.entry) {
                return Some((entry, SymbolKind::Function));
            }
        }
        Some((first.address, first.kind))
    }
}

impl Resolver for ProgramNames<'_> {
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError> {
        let mut answers = Vec::with_capacity(wanted.len());
        for want in wanted {
            let answer = match self.find(want.name) {
                None => None,
                Some((offset, SymbolKind::ThreadLocal)) => {
                    Some(Outside::ThreadOffset(offset.0 as i64))
                }
                Some((at, SymbolKind::IndirectFunction)) => match self.resolved.get(&at) {
                    Some(function) => Some(Outside::Address(HostAddr(function.0))),
                    None => {
                        self.missing.push(at);
                        None
                    }
                },
                Some((at, _)) => Some(Outside::Address(HostAddr(at.0))),
            };
            answers.push(answer);
        }
        match self.missing.is_empty() {
            true => Ok(answers),
            false => Err(HostError::Failed(
                "an indirect function is not resolved yet".to_owned(),
            )),
        }
    }
}

struct ProcessGround<'a> {
    space: ProcessSpace<'a>,
    names: ProgramNames<'a>,
}

impl Ground for ProcessGround<'_> {
    fn space(&mut self) -> &mut dyn AddressSpace {
        &mut self.space
    }
    fn host(&mut self) -> &mut dyn Host {
        &mut self.space
    }
    fn resolver(&mut self) -> &mut dyn Resolver {
        &mut self.names
    }
}

/// What a batch did.
struct Landed {
    generation: Generation,
    /// The modules of its inputs, by input name.
    modules: Vec<(String, ModuleId)>,
    /// What it wants called.
    calls: Vec<Deferred>,
}

impl Debugger {
    /// Uses another compiler than the system's.
    pub fn set_compiler(&mut self, compiler: Box<dyn Compiler>) {
        self.compiler = Compilers(compiler);
    }

    /// The code that was appended is gone with its process.
    pub(super) fn forget_image(&mut self) {
        self.image = None;
    }

    /// An empty image near the program.
    fn new_image(&self) -> Image {
        let program = self.executable.and_then(|id| self.modules.get(id));
        let ranges = program.map_or(&[][..], |m| m.ranges());
        let near = match (ranges.first(), ranges.last()) {
            (Some(first), Some(last)) => Near::Range(HostAddr(first.start.0)..HostAddr(last.end.0)),
            _ => Near::Anywhere,
        };
        Image {
            session: Session::new(Options {
                near,
                slab_length: SLAB,
                ..Options::default()
            }),
            space: SpaceId::fresh(),
            modules: Vec::new(),
            snippets: 0,
            resolved: HashMap::new(),
        }
    }

    /// Publishes inputs as one batch, and takes in what they brought. Nothing
    /// of the new code has run when it returns.
    fn publish(&mut self, inputs: &[Input], events: Events<'_>) -> Result<Landed> {
        let mut image = match self.image.take() {
            Some(image) => image,
            None => self.new_image(),
        };
        let result = self.publish_in(&mut image, inputs, events);
        self.image = Some(image);
        let (published, calls) = result?;
        self.take_in(published, calls, events)
    }

    fn publish_in(
        &mut self,
        image: &mut Image,
        inputs: &[Input],
        events: Events<'_>,
    ) -> Result<(sapwood_link::Published, Vec<Deferred>)> {
        for _ in 0..IFUNC_ROUNDS {
            let mut missing = Vec::new();
            match self.publish_once(image, inputs, &mut missing) {
                Err(error) if missing.is_empty() => return Err(error),
                Ok(published) => return Ok(published),
                Err(_) => {}
            }
            for resolver in missing {
                let function = self.call_quietly(resolver, &[], "an IFUNC resolver", events)?;
                image
                    .resolved
                    .insert(resolver, Address(function.integers[0]));
            }
        }
        Err(Error::new("indirect functions cannot be resolved"))
    }

    fn publish_once(
        &mut self,
        image: &mut Image,
        inputs: &[Input],
        missing: &mut Vec<Address>,
    ) -> Result<(sapwood_link::Published, Vec<Deferred>)> {
        let thread = self.thread()?;
        let near = self.current_frame().ok().and_then(|frame| frame.file);
        let failed = |e: sapwood_link::Error| Error::new(e.to_string());
        let target = self.target.as_deref_mut().ok_or(Error::NotRunning)?;
        let mut ground = ProcessGround {
            space: ProcessSpace {
                target,
                thread,
                id: image.space,
                calls: Vec::new(),
            },
            names: ProgramNames {
                modules: &self.modules,
                near: near.as_deref(),
                resolved: &image.resolved,
                missing: Vec::new(),
            },
        };
        let mut batch = image.session.batch();
        for input in inputs {
            match input {
                Input::Object(name, bytes) => batch.object(name, bytes).map_err(failed)?,
                Input::Archive(name, bytes) => {
                    batch.archive(name, bytes.clone()).map_err(failed)?;
                }
            }
        }
        let published = batch.publish(&mut ground);
        *missing = std::mem::take(&mut ground.names.missing);
        Ok((published.map_err(failed)?, ground.space.calls))
    }

    /// Takes in the line tables of a generation and arms what waits for it.
    fn take_in(
        &mut self,
        published: sapwood_link::Published,
        calls: Vec<Deferred>,
        events: Events<'_>,
    ) -> Result<Landed> {
        let mut landed = Landed {
            generation: published.generation,
            modules: Vec::new(),
            calls,
        };
        let image = self.image.as_ref().expect("it was just published in");
        let view = image.session.view();
        let mut opened = Vec::new();
        for input in view.added(published.generation).input_ids() {
            let name = view.input_name(input).to_owned();
            let kind = ModuleKind::Published(published.generation.index() as u32);
            let module = match image.session.debug_image(input) {
                Ok(Some(bytes)) => loader::open_bytes(Path::new(&name), kind, bytes, 0),
                Ok(None) => continue,
                Err(error) => Err(Error::new(error.to_string())),
            };
            match module {
                Ok(module) => opened.push((name, module)),
                Err(error) => events(Event::Warning(format!("{name}: {error}"))),
            }
        }
        for (name, module) in opened {
            let id = self.add_module(module);
            landed.modules.push((name, id));
        }
        self.resolve_new(events);
        if let Some(image) = &mut self.image {
            let ids = landed
                .modules
                .iter()
                .map(|(_, id)| (*id, landed.generation));
            image.modules.extend(ids);
        }
        if let Some(view) = self.generation_view(landed.generation) {
            events(Event::Published(view));
        }
        Ok(landed)
    }

    /// Calls what a generation wants called before it is used.
    pub(super) fn run_deferred(&mut self, calls: &[Deferred], events: Events<'_>) -> Result<()> {
        for call in calls {
            match call {
                Deferred::Now(function) => {
                    let at = Address(function.get());
                    let call = machine_call(at, &[]);
                    match self.call(&call, "an initialiser", Purpose::Nothing, false, events)? {
                        Called::Returned(_) => {}
                        Called::Stopped => {
                            return Err(Error::new("an initialiser of the new code stopped."));
                        }
                    }
                }
                Deferred::AtExit(function) => {
                    if let Some(register) = self.library_function("__cxa_atexit") {
                        let arguments = [function.get(), 0, 0];
                        self.call_quietly(register, &arguments, "__cxa_atexit", events)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A function of the program or its libraries, by symbol.
    pub(super) fn library_function(&self, name: &str) -> Option<Address> {
        let none = HashMap::new();
        let names = ProgramNames {
            modules: &self.modules,
            near: None,
            resolved: &none,
            missing: Vec::new(),
        };
        names.find(name).map(|(at, _)| at)
    }

    /// Calls a function with integer arguments, on the debugger's own behalf.
    pub(super) fn call_quietly(
        &mut self,
        function: Address,
        arguments: &[u64],
        name: &str,
        events: Events<'_>,
    ) -> Result<MachineResult> {
        let call = machine_call(function, arguments);
        match self.call(&call, name, Purpose::Nothing, true, events)? {
            Called::Returned(result) => Ok(result),
            Called::Stopped => Err(Error::new(format!("the program stopped within {name}."))),
        }
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
        let made = snippet(text, &name, number);
        let compiled = self.compiler.0.compile(SourceFile::Text(&made.c));
        let object = compiled.map_err(Error::new)?;
        if !object.warnings.is_empty() {
            events(Event::Warning(object.warnings));
        }
        let inputs = [Input::Object(name.clone(), object.bytes)];
        // Kept before the publish, which tells of breakpoints that it arms.
        self.keep_text(&name, &made.text);
        let landed = self.publish(&inputs, events)?;
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
        let module = landed.modules.first().map(|(_, id)| *id);
        let module = module.ok_or_else(|| Error::new("the snippet has no debug information."))?;
        let waiting = Waiting { module, wrapper };
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

    /// Publishes files as one batch; gives what they want called.
    pub(super) fn publish_files(
        &mut self,
        files: &[PathBuf],
        events: Events<'_>,
    ) -> Result<Vec<Deferred>> {
        let mut inputs = Vec::new();
        for file in files {
            inputs.push(self.input(file, events)?);
        }
        Ok(self.publish(&inputs, events)?.calls)
    }

    /// The newest definition of a name in the image.
    pub(super) fn image_symbol(&self, name: &str) -> Option<Address> {
        let view = self.image.as_ref()?.session.view();
        let symbol = view.symbol(name)?;
        Some(Address(symbol.address.get()))
    }

    fn input(&mut self, file: &Path, events: Events<'_>) -> Result<Input> {
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
            "a" => Input::Archive(name.clone(), read()?),
            _ => Input::Object(name.clone(), read()?),
        })
    }

    /// A generation as the user sees it.
    fn generation_view(&self, generation: Generation) -> Option<GenerationView> {
        let view = self.image.as_ref()?.session.view();
        let added = view.added(generation);
        let from = added
            .input_ids()
            .map(|input| view.input_name(input).to_owned())
            .collect();
        let symbols = added
            .symbol_ids()
            .map(|id| view.symbol_by_id(id))
            .filter(|s| matches!(s.definition, sapwood_link::Definition::Atom(..)))
            .map(|s| (s.name.to_owned(), Address(s.address.get()), s.size))
            .collect();
        let bytes = added.atom_ids().map(|atom| view.atom(atom).size).sum();
        Some(GenerationView {
            number: generation.index() as u64,
            from,
            symbols,
            bytes,
        })
    }

    /// `info generations`.
    pub(super) fn info_generations(&mut self, events: Events<'_>) -> Result<()> {
        let view = self.image.as_ref().map(|image| image.session.view());
        let all = view
            .iter()
            .flat_map(|view| view.since(Generation::EMPTY))
            .filter_map(|added| self.generation_view(added.generation))
            .collect();
        events(Event::Generations(all));
        Ok(())
    }

    /// `info image`.
    pub(super) fn image_text(&self) -> Result<String> {
        use std::fmt::Write;
        let Some(image) = &self.image else {
            return Ok("Nothing has been appended to the program.\n".to_owned());
        };
        let mut text = format!("{}\n", image.session.generation());
        for (region, used) in image.session.regions() {
            let range = region.range();
            let _ = writeln!(
                text,
                "{:#018x} - {:#018x} {:<9} {used} of {} bytes used",
                range.start.get(),
                range.end.get(),
                format!("{:?}", region.protection),
                region.length
            );
        }
        Ok(text)
    }
}

fn machine_call(function: Address, arguments: &[u64]) -> MachineCall {
    MachineCall {
        function,
        integers: arguments.to_vec(),
        ..MachineCall::default()
    }
}
