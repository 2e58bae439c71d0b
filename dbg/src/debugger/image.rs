//! The image: code that was appended to the process, and how it gets there.
//!
//! The order is the promise. Publish, all or nothing; take the new objects in,
//! as [outlines](sapwood_dwarf::Outline) that are opened when somebody looks at
//! one; arm breakpoints; and only then is anything of the new code run. The
//! process stands still from the first byte written until breakpoints are armed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sapwood_dwarf::{Module, ModuleId, ModuleKind, OpenModule, Outline};
use sapwood_link::{
    AddressSpace, DebugObject, Generation, Ground, Host, HostAddr, Libgcc, Near, Options, Resolver,
    Session, SpaceId, View,
};

use super::calls::{Called, Purpose};
use super::resolve::{Known, Missing, ProgramNames, libgcc};
use super::{Debugger, Events};
use crate::call::{MachineCall, MachineResult};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::loader;
use crate::space::{Deferred, ProcessSpace, QuietCalls};
use crate::target::Address;

/// Address space reserved at a time for each protection, in bytes.
const SLAB: u64 = 64 << 20;

/// How often a batch is tried again, knowing what it asked for.
const ROUNDS: usize = 4;
/// The code that was appended to a process.
pub(super) struct Image {
    pub session: Session,
    space: SpaceId,
    /// How many snippets there were.
    pub snippets: u32,
    /// The program's unwinder.
    libgcc: Option<Libgcc>,
    known: Known,
}

/// What publishing has cost so far, by the clock that
/// [`measure_image`](Debugger::measure_image) was given.
#[derive(Clone, Copy, Default, Debug)]
pub struct ImageCosts {
    /// From objects in memory to a generation in the process.
    pub publish: Duration,
    /// From a generation in the process to breakpoints resolved against it.
    pub intake: Duration,
}

/// An input of a batch.
pub(super) enum Input {
    Object(String, Vec<u8>),
    Archive(String, Vec<u8>),
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

/// A published object that nobody has looked at yet.
struct Unopened {
    object: DebugObject,
    kind: ModuleKind,
}

impl OpenModule for Unopened {
    fn bytes(&self) -> Option<(PathBuf, Vec<u8>)> {
        Some((self.object.name().into(), self.object.image().ok()?))
    }

    fn open(&self) -> Option<Module> {
        let bytes = self.object.image().ok()?;
        loader::open_bytes(Path::new(self.object.name()), self.kind, bytes, 0).ok()
    }
}

/// What a batch did.
pub(super) struct Landed {
    pub generation: Generation,
    /// The modules of its inputs that have debug information.
    pub modules: Vec<ModuleId>,
    /// What it wants called.
    pub calls: Vec<Deferred>,
}

impl Debugger {
    /// Has publishing measured by a clock.
    pub fn measure_image(&mut self, clock: fn() -> Duration) {
        self.image_clock = Some(clock);
    }

    /// What publishing has cost so far.
    pub fn image_costs(&self) -> ImageCosts {
        self.image_costs
    }

    fn now(&self) -> Duration {
        self.image_clock.map_or(Duration::ZERO, |clock| clock())
    }

    /// The code that was appended is gone with its process.
    pub(super) fn forget_image(&mut self) {
        self.image = None;
        self.replaced.clear();
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
            snippets: 0,
            libgcc: libgcc(&self.modules),
            known: Known::default(),
        }
    }

    /// Publishes inputs as one batch, and takes in what they brought. Nothing
    /// of the new code has run when it returns.
    /// `places` are names that mean these addresses before anything else.
    pub(super) fn publish(
        &mut self,
        inputs: &[Input],
        places: &HashMap<String, Address>,
        events: Events<'_>,
    ) -> Result<Landed> {
        self.publish_over(inputs, places, None, events)
    }

    /// The same; with `world`, which is every pc and return address of the
    /// program's threads, the inputs take the place of what the image has.
    pub(super) fn publish_over(
        &mut self,
        inputs: &[Input],
        places: &HashMap<String, Address>,
        world: Option<&[Address]>,
        events: Events<'_>,
    ) -> Result<Landed> {
        let mut image = match self.image.take() {
            Some(image) => image,
            None => self.new_image(),
        };
        let began = self.now();
        let result = self.publish_in(&mut image, inputs, places, world, events);
        self.image = Some(image);
        self.image_costs.publish += self.now() - began;
        let (published, calls) = result?;
        self.take_in(published, calls, events)
    }

    fn publish_in(
        &mut self,
        image: &mut Image,
        inputs: &[Input],
        places: &HashMap<String, Address>,
        world: Option<&[Address]>,
        events: Events<'_>,
    ) -> Result<(sapwood_link::Published, Vec<Deferred>)> {
        for _ in 0..ROUNDS {
            let mut missing = Missing::default();
            match self.publish_once(image, inputs, places, world, &mut missing) {
                Err(error) if missing.is_empty() => return Err(error),
                Ok(published) => return Ok(published),
                Err(_) => {}
            }
            for resolver in missing.functions {
                let function = self.call_quietly(resolver, &[], "an IFUNC resolver", events)?;
                let function = Address(function.integers[0]);
                image.known.functions.insert(resolver, function);
            }
            for module in missing.thread_blocks {
                let block = self.thread_block(module);
                image.known.thread_blocks.insert(module, block);
            }
        }
        Err(Error::new("indirect functions cannot be resolved"))
    }

    fn publish_once(
        &mut self,
        image: &mut Image,
        inputs: &[Input],
        places: &HashMap<String, Address>,
        world: Option<&[Address]>,
        missing: &mut Missing,
    ) -> Result<(sapwood_link::Published, Vec<Deferred>)> {
        let thread = self.thread()?;
        let near = self.current_frame().ok().and_then(|frame| frame.file);
        let failed = |e: sapwood_link::Error| Error::new(e.to_string());
        let quiet = self.ground.entry.map(|returns_to| QuietCalls {
            returns_to,
            stands: !self.sites.at(returns_to).is_empty(),
            interrupter: self.interrupter.clone(),
        });
        let view = image.session.view();
        let target = self.target.as_deref_mut().ok_or(Error::NotRunning)?;
        let mut ground = ProcessGround {
            space: ProcessSpace {
                target,
                thread,
                id: image.space,
                calls: Vec::new(),
                quiet,
                libgcc: image.libgcc,
                world: world.map(|places| places.iter().map(|at| HostAddr(at.0)).collect()),
            },
            names: ProgramNames {
                modules: &self.modules,
                image: Some(view),
                near: near.as_deref(),
                known: &image.known,
                places: Some(places),
                missing: Missing::default(),
            },
        };
        let mut batch = image.session.batch();
        if world.is_some() {
            batch.replace();
        }
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

    /// Takes in what a generation brought and arms what waits for it.
    fn take_in(
        &mut self,
        published: sapwood_link::Published,
        calls: Vec<Deferred>,
        events: Events<'_>,
    ) -> Result<Landed> {
        let began = self.now();
        let mut landed = Landed {
            generation: published.generation,
            modules: Vec::new(),
            calls,
        };
        if let Some(fault) = published.faulted {
            events(Event::Warning(format!(
                "{}: {fault}; the code is there all the same",
                published.generation
            )));
        }
        let kind = ModuleKind::Published(published.generation.index() as u32);
        let view = self.image_view().expect("it was just published in");
        for input in view.added(published.generation).input_ids() {
            let image = self.image.as_ref().expect("it was just published in");
            let Some(object) = image.session.debug_object(input) else {
                continue;
            };
            match self.add_published(object, kind) {
                Ok(id) => landed.modules.push(id),
                Err(error) => events(Event::Warning(error.to_string())),
            }
        }
        self.resolve_new(events);
        self.image_costs.intake += self.now() - began;
        if let Some(view) = self.generation_view(landed.generation) {
            events(Event::Published(view));
        }
        Ok(landed)
    }

    /// Adds the module of a published object: closed, where its outline says
    /// enough. Breakpoints do not know it yet.
    fn add_published(&mut self, object: DebugObject, kind: ModuleKind) -> Result<ModuleId> {
        let failed = |error: sapwood_link::Error| Error::new(error.to_string());
        let name = Path::new(object.name());
        let bytes = object.image_with(Outline::reads).map_err(failed)?;
        let outline = Outline::read(name, &bytes)?;
        let modules = Arc::make_mut(&mut self.modules);
        Ok(match outline {
            Some(outline) => modules.add_closed(outline, Box::new(Unopened { object, kind })),
            None => {
                let bytes = object.image().map_err(failed)?;
                modules.add(loader::open_bytes(name, kind, bytes, 0)?)
            }
        })
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
        let names = ProgramNames {
            modules: &self.modules,
            image: self.image.as_ref().map(|image| image.session.view()),
            near: None,
            known: &Known::default(),
            places: None,
            missing: Missing::default(),
        };
        names.function(name)
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
        Ok(self.publish(&inputs, &HashMap::new(), events)?.calls)
    }

    /// What was published.
    pub(super) fn image_view(&self) -> Option<View> {
        self.image.as_ref().map(|image| image.session.view())
    }

    /// The newest definition of a name in the image.
    pub(super) fn image_symbol(&self, name: &str) -> Option<Address> {
        let view = self.image.as_ref()?.session.view();
        let symbol = view.symbol(name)?;
        Some(Address(symbol.address.get()))
    }
}

pub(super) fn machine_call(function: Address, arguments: &[u64]) -> MachineCall {
    MachineCall {
        function,
        integers: arguments.to_vec(),
        ..MachineCall::default()
    }
}
