//! [`LazyLibraries`]: the controller's side. It owns the program's session from
//! the moment that the program may call.
//!
//! A thread listens for questions; each question has a thread of its own until it
//! is answered. What is known of a process and a library is in
//! [`Progress`]; the session is held only while something is published, never
//! while code of the program's runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustc_hash::FxHashMap;

use super::asking::MOST_LIBRARIES;
use super::deferring::Deferring;
use super::progress::{Caller, Claim, Process, Progress};
use super::stubs::{MOST_STUBS, Token};
use crate::host::{Extent, HostError, Outside, Resolver, Wanted};
use crate::model::{AtomKind, Definition, Symbol, SymbolKind};
use crate::worker::channel::{Bell, Channel};
use crate::worker::debuggers::Listing;
use crate::worker::process::{Line, Worker, WorkerError};
use crate::worker::services::{WorkerHost, WorkerResolver};
use crate::worker::space::WorkerSpace;
use crate::worker::wire::{Question, Reply, Request};
use crate::{Error, Ground, HostAddr, Options, Parts, Session, View};

/// A library, by its number among all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LibraryId(pub u32);

/// What is linked when a library is loaded.
#[derive(Debug, Default)]
pub struct Made {
    /// Relocatable objects: what messages call them, and their bytes.
    pub objects: Vec<(String, Vec<u8>)>,
    /// Static archives, likewise.
    pub archives: Vec<(String, Vec<u8>)>,
    /// Shared libraries to be opened first.
    pub shared: Vec<PathBuf>,
    /// Lazy libraries that must be there before, because more is wanted of them
    /// than calls.
    pub first: Vec<LibraryId>,
}

/// Where lazy libraries come from.
pub trait Libraries: Send + Sync {
    /// The library that defines a name, if any is said to.
    fn owner(&self, symbol: &str) -> Option<LibraryId>;

    /// What messages call a library.
    fn name(&self, library: LibraryId) -> &str;

    /// Compiles a library, or says why it cannot be.
    fn make(&self, library: LibraryId) -> Result<Made, String>;
}

/// See the [module page](self). While it lives, and its worker does, calls of
/// lazy libraries are answered.
pub struct LazyLibraries {
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

/// An image in one process.
struct Grown {
    session: Session,
    space: WorkerSpace,
    /// In a forked child, the images that it was forked with, newest first.
    inherited: Vec<View>,
    listing: Listing,
}

struct Shared {
    libraries: Box<dyn Libraries>,
    bell: Bell,
    /// The worker's process number.
    worker: u32,
    options: Options,
    debuggable: bool,
    /// Libraries that came with the program.
    with_program: Vec<LibraryId>,
    tokens: Mutex<Tokens>,
    progress: Progress,
    worker_image: Arc<Mutex<Grown>>,
    /// Those of forked children.
    images: Mutex<FxHashMap<Process, Child>>,
    /// Who is publishing: no code of the program's may wait for that.
    publishing: Mutex<Vec<Caller>>,
    /// The program alone, as it was linked.
    program: Mutex<Option<View>>,
    /// What an image was when a library had been loaded into it, by the number of
    /// that instance of the library.
    instances: Mutex<FxHashMap<u64, View>>,
    next_instance: AtomicU32,
    making: Mutex<Making>,
    made: Condvar,
}

/// A forked child.
struct Child {
    pid: u32,
    image: Arc<Mutex<Grown>>,
}

/// Compilations that are going on.
#[derive(Default)]
struct Making {
    count: usize,
    /// Whether none is begun any more.
    stopped: bool,
}

/// Symbols that have stubs, by number.
#[derive(Default)]
struct Tokens {
    symbols: Vec<(LibraryId, String)>,
    by_name: FxHashMap<String, Token>,
}

/// The worker itself; its children have numbers that are not zero.
const WORKER: Process = Process(0);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LazyLibraries {
    /// Answers calls in a worker that was started with
    /// [`lazy`](crate::worker::Program::lazy), whose image is the session's.
    /// The worker's space is this value's from then on. The libraries `with_program`
    /// come with it, and are never loaded.
    pub fn start(
        worker: &mut Worker,
        session: Session,
        options: Options,
        libraries: Box<dyn Libraries>,
        with_program: Vec<LibraryId>,
    ) -> Result<LazyLibraries, WorkerError> {
        let bell = worker
            .take_bell()
            .ok_or_else(|| WorkerError::new("the worker was not started to have lazy libraries"))?;
        let debuggable = worker.space.is_private();
        let empty = WorkerSpace::new(worker.line.clone(), debuggable);
        let space = std::mem::replace(&mut worker.space, empty);
        let shared = Arc::new(Shared {
            libraries,
            bell,
            worker: worker.pid(),
            options,
            debuggable,
            with_program,
            tokens: Mutex::default(),
            progress: Progress::default(),
            worker_image: Arc::new(Mutex::new(Grown {
                session,
                space,
                inherited: Vec::new(),
                listing: Listing::default(),
            })),
            images: Mutex::default(),
            publishing: Mutex::default(),
            program: Mutex::default(),
            instances: Mutex::default(),
            next_instance: AtomicU32::new(1),
            making: Mutex::default(),
            made: Condvar::new(),
        });
        let listening = shared.clone();
        let listener = std::thread::Builder::new()
            .name("lazy libraries".to_owned())
            .spawn(move || listen(&listening))
            .map_err(|error| WorkerError::new(format!("cannot start a thread: {error}")))?;
        Ok(LazyLibraries {
            shared,
            listener: Some(listener),
        })
    }

    /// Publishes the program: `link` is given the session and a ground on which
    /// lazy symbols are found. Its initialisers run when `link` has returned.
    pub fn link<T, E: From<HostError>>(
        &self,
        worker: &mut Worker,
        link: impl FnOnce(&mut Session, &mut dyn Ground) -> Result<T, E>,
    ) -> Result<T, E> {
        let caller = Caller {
            process: WORKER,
            thread: u64::from(worker.pid()),
        };
        let call = Call {
            shared: &self.shared,
            line: worker.line.clone(),
            caller,
            loaded: &[],
        };
        let (linked, host) = call.publish(&self.shared.worker_image, None, link)?;
        let view = lock(&self.shared.worker_image).session.view();
        *lock(&self.shared.program) = Some(view);
        host.initialise()?;
        Ok(linked)
    }

    /// Looks at the worker's image, with all that was loaded into it.
    pub fn look<T>(&self, look: impl FnOnce(&Session, &mut WorkerSpace) -> T) -> T {
        let mut grown = lock(&self.shared.worker_image);
        let Grown { session, space, .. } = &mut *grown;
        look(session, space)
    }

    /// Tells an attached debugger of the objects that it has not been told of.
    pub fn tell_debuggers(&self, worker: &Worker) -> Result<(), Error> {
        let mut grown = lock(&self.shared.worker_image);
        let Grown {
            session, listing, ..
        } = &mut *grown;
        listing.tell(&worker.line, session)
    }

    /// Answers no more calls. Compilers that are running are waited for, so that
    /// they leave nothing behind.
    pub fn stop(&mut self) {
        self.shared.bell.silence();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        let mut making = lock(&self.shared.making);
        making.stopped = true;
        while making.count > 0 {
            let made = self.shared.made.wait(making);
            making = made.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for LazyLibraries {
    fn drop(&mut self) {
        if self.listener.is_some() {
            self.stop();
        }
    }
}

/// Takes questions until nobody can ask any more.
fn listen(shared: &Arc<Shared>) {
    while let Ok((packet, socket)) = shared.bell.answer() {
        let (Ok(question), Some(socket)) = (Question::decode(&packet), socket) else {
            continue;
        };
        let answering = shared.clone();
        // A caller whose socket is closed says by itself that nobody answers.
        let _ = std::thread::Builder::new()
            .name("lazy library".to_owned())
            .spawn(move || converse(&answering, &question, Channel::over(socket)));
    }
}

/// Why a call cannot go on.
pub(super) enum Failure {
    /// The worker is to say this.
    Said(String),
    /// Another call of the same process says it.
    Silent,
}

/// Has a library loaded by the first who wants it: others wait for that, or learn
/// why there is no waiting.
pub(super) fn load_once(
    progress: &Progress,
    caller: Caller,
    library: LibraryId,
    name: &str,
    load: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    match progress.claim(caller, library) {
        Claim::GoOn => Ok(()),
        Claim::Failed => Err(Failure::Silent),
        Claim::Circular => Err(Failure::Said(format!(
            "it and {name} want more than calls of each other: one of them must be loaded \
             eagerly"
        ))),
        Claim::Load => {
            let loaded = load();
            progress.ended(caller, library, loaded.is_ok());
            loaded
        }
    }
}

/// Answers one question.
fn converse(shared: &Shared, question: &Question, connection: std::io::Result<(Channel, u32)>) {
    // A caller that is gone, or that cannot be known, has its socket closed.
    let Ok((channel, pid)) = connection else {
        return;
    };
    let line = Arc::new(Line::new(channel, pid));
    let process = match pid == shared.worker {
        true => WORKER,
        false => Process(question.process),
    };
    let call = Call {
        shared,
        line: line.clone(),
        caller: Caller {
            process,
            thread: question.thread,
        },
        loaded: &question.loaded,
    };
    let symbol = lock(&shared.tokens)
        .symbols
        .get(question.token as usize)
        .cloned();
    let Some((library, name)) = symbol else {
        return;
    };
    let last = match call.answer(library, &name) {
        Ok(function) => Request::GoOn {
            function: function.get(),
        },
        Err(Failure::Said(why)) => {
            let library = shared.libraries.name(library);
            let why = format!("lazy library {library}, wanted by a call of `{name}`: {why}");
            Request::GiveUp { why }
        }
        Err(Failure::Silent) => {
            line.wait_for_end();
            return;
        }
    };
    line.tell(&last);
}

/// A call that is being answered.
struct Call<'a> {
    shared: &'a Shared,
    line: Arc<Line>,
    caller: Caller,
    /// Libraries that the calling process has, and which instances of them.
    loaded: &'a [(u64, u64)],
}

impl Call<'_> {
    fn answer(&self, library: LibraryId, name: &str) -> Result<HostAddr, Failure> {
        if lock(&self.shared.publishing).contains(&self.caller) {
            let why = "it is called by an indirect function's resolver while that is linked";
            return Err(Failure::Said(why.to_owned()));
        }
        self.ensure(library)?;
        self.function(name)
    }

    /// Makes sure that a library is part of the calling process.
    fn ensure(&self, library: LibraryId) -> Result<(), Failure> {
        if self.is_there(library) {
            return Ok(());
        }
        let (progress, name) = (&self.shared.progress, self.shared.libraries.name(library));
        load_once(progress, self.caller, library, name, || self.load(library))
    }

    /// Whether the calling process had the library before this call was made, and
    /// maybe before it was forked.
    fn is_there(&self, library: LibraryId) -> bool {
        let mut loaded = self.loaded.iter();
        loaded.any(|(known, _)| *known == u64::from(library.0))
            || self.shared.with_program.contains(&library)
    }

    fn load(&self, library: LibraryId) -> Result<(), Failure> {
        let shared = self.shared;
        let made = self.make(library)?;
        for path in &made.shared {
            let library = path.to_string_lossy().into_owned();
            said(self.line.ask_done(&Request::Open { library }))?;
        }
        for first in &made.first {
            self.ensure(*first)?;
        }
        let image = self.image()?;
        let linked = self.publish(&image, Some(library), |session, ground| {
            let mut batch = session.batch();
            for (name, bytes) in &made.objects {
                batch.object(name, bytes)?;
            }
            for (name, bytes) in &made.archives {
                batch.archive(name, bytes.as_slice())?;
            }
            let published = batch.publish(ground)?;
            if let Some(fault) = published.faulted {
                return Err(fault.into());
            }
            // Before anybody else links: whoever binds to this code has to know
            // that it is not initialised yet.
            Ok(shared.progress.published(self.caller, library))
        });
        let (uninitialised, host) =
            linked.map_err(|error: Error| Failure::Said(error.to_string()))?;
        if shared.debuggable {
            let mut grown = lock(&image);
            let Grown {
                session, listing, ..
            } = &mut *grown;
            said(listing.tell(&self.line, session))?;
        }
        // What the new code was bound to may not be initialised yet.
        for other in uninitialised {
            if shared.progress.claim(self.caller, other) == Claim::Failed {
                return Err(Failure::Silent);
            }
        }
        said(host.initialise())?;
        self.bind(&image, library)
    }

    /// Compiles a library, unless there is nobody to call it any more.
    fn make(&self, library: LibraryId) -> Result<Made, Failure> {
        let shared = self.shared;
        {
            let mut making = lock(&shared.making);
            if making.stopped {
                return Err(Failure::Silent);
            }
            making.count += 1;
        }
        let made = shared.libraries.make(library);
        lock(&shared.making).count -= 1;
        shared.made.notify_all();
        made.map_err(Failure::Said)
    }

    /// Publishes something on an image of the calling process.
    fn publish<T, E>(
        &self,
        image: &Mutex<Grown>,
        library: Option<LibraryId>,
        link: impl FnOnce(&mut Session, &mut dyn Ground) -> Result<T, E>,
    ) -> Result<(T, Deferring<WorkerHost>), E> {
        let mut grown = lock(image);
        let Grown {
            session,
            space,
            inherited,
            ..
        } = &mut *grown;
        space.speak_through(self.line.clone());
        let mut host = Deferring::new(WorkerHost::new(self.line.clone()));
        let mut resolver = Names {
            call: self,
            library,
            inherited,
            inner: WorkerResolver::new(self.line.clone()),
        };
        lock(&self.shared.publishing).push(self.caller);
        let linked = link(
            session,
            &mut Parts {
                space,
                host: &mut host,
                resolver: &mut resolver,
            },
        );
        lock(&self.shared.publishing).retain(|caller| *caller != self.caller);
        linked.map(|linked| (linked, host))
    }

    /// Has all stubs of a library go to its functions, and notes in the process
    /// that it is there.
    fn bind(&self, image: &Mutex<Grown>, library: LibraryId) -> Result<(), Failure> {
        let names: Vec<(Token, String)> = {
            let tokens = lock(&self.shared.tokens);
            let all = (0..).map(Token).zip(&tokens.symbols);
            all.filter(|(_, (of, _))| *of == library)
                .map(|(token, (_, name))| (token, name.clone()))
                .collect()
        };
        let view = lock(image).session.view();
        let bound = names.iter().filter_map(|(token, name)| {
            let function = function(&view, name).ok()?;
            Some((u64::from(token.0), function.get()))
        });
        let cells = bound.collect();
        let instance = u64::from(self.shared.next_instance.fetch_add(1, Ordering::Relaxed));
        lock(&self.shared.instances).insert(instance, view);
        said(self.line.ask_done(&Request::Bind {
            cells,
            library: u64::from(library.0),
            instance,
        }))
    }

    /// The function that the calling process has by this name.
    fn function(&self, name: &str) -> Result<HostAddr, Failure> {
        let image = self.image()?;
        let grown = lock(&image);
        let own = function(&grown.session.view(), name);
        let mut inherited = grown.inherited.iter();
        let found = own.or_else(|why| {
            inherited
                .find_map(|view| function(view, name).ok())
                .ok_or(why)
        });
        found.map_err(|why| Failure::Said(why.to_owned()))
    }

    /// The calling process's image.
    fn image(&self) -> Result<Arc<Mutex<Grown>>, Failure> {
        let (shared, process) = (self.shared, self.caller.process);
        if process == WORKER {
            return Ok(shared.worker_image.clone());
        }
        let mut images = lock(&shared.images);
        if let Some(child) = images.get(&process) {
            return Ok(child.image.clone());
        }
        // Those of children that have ended are of no use to anybody.
        images.retain(|_, child| Path::new(&format!("/proc/{}", child.pid)).exists());
        let mut inherited = Vec::new();
        {
            let instances = lock(&shared.instances);
            let mut loaded = self.loaded.to_vec();
            loaded.sort_by_key(|(_, instance)| std::cmp::Reverse(*instance));
            inherited.extend(
                loaded
                    .iter()
                    .filter_map(|(_, one)| instances.get(one).cloned()),
            );
        }
        inherited.extend(lock(&shared.program).clone());
        let image = Arc::new(Mutex::new(Grown {
            session: Session::new(shared.options.clone()),
            space: WorkerSpace::new(self.line.clone(), shared.debuggable),
            inherited,
            listing: Listing::default(),
        }));
        let child = Child {
            pid: self.line.pid(),
            image: image.clone(),
        };
        images.insert(process, child);
        Ok(image)
    }
}

pub(super) fn said<T>(result: Result<T, impl std::fmt::Display>) -> Result<T, Failure> {
    result.map_err(|error| Failure::Said(error.to_string()))
}

/// The function of a name, or why there is none.
pub(super) fn function(view: &View, name: &str) -> Result<HostAddr, &'static str> {
    let defined = |symbol: &Symbol<'_>| matches!(symbol.definition, Definition::Atom(..));
    let symbol = view.symbol(name).filter(defined);
    let symbol = symbol.ok_or("the library does not define it")?;
    let is_code = match symbol.definition {
        Definition::Atom(atom, _) => view.atom(atom).kind == AtomKind::Code,
        _ => false,
    };
    match symbol.kind {
        SymbolKind::Function | SymbolKind::Ifunc => Ok(symbol.address),
        SymbolKind::Untyped if is_code => Ok(symbol.address),
        _ => Err("in the library that is no function"),
    }
}

/// What names stand for in a process with lazy libraries: what it inherited, then
/// stubs of libraries that are not there, then what is outside.
struct Names<'a, 'c> {
    call: &'a Call<'c>,
    /// What is being linked, whose own names are never lazy.
    library: Option<LibraryId>,
    inherited: &'a [View],
    inner: WorkerResolver,
}

impl Names<'_, '_> {
    fn here(&self, name: &str) -> Result<Option<Outside>, HostError> {
        let mut images = self.inherited.iter();
        if let Some(found) = images.find_map(|view| inherited(view, name)) {
            return Ok(Some(found));
        }
        let shared = self.call.shared;
        let owner = shared.libraries.owner(name);
        let lazy = owner.filter(|library| {
            let process = self.call.caller.process;
            Some(*library) != self.library
                && !self.call.is_there(*library)
                && !shared.progress.is_there(process, *library)
        });
        lazy.map(|library| self.stub(library, name)).transpose()
    }

    fn stub(&self, library: LibraryId, name: &str) -> Result<Outside, HostError> {
        let token = {
            let mut tokens = lock(&self.call.shared.tokens);
            let next = tokens.symbols.len();
            if next == MOST_STUBS || library.0 as usize >= MOST_LIBRARIES {
                let why = format!("{MOST_LIBRARIES} lazy libraries, or {MOST_STUBS} symbols");
                return Err(HostError::Failed(format!("a process has at most {why}")));
            }
            match tokens.by_name.get(name) {
                Some(token) => *token,
                None => {
                    let token = Token(next as u32);
                    tokens.symbols.push((library, name.to_owned()));
                    tokens.by_name.insert(name.to_owned(), token);
                    token
                }
            }
        };
        let token = u64::from(token.0);
        match self.call.line.ask(&Request::Stub { token }, None) {
            Ok(Reply::Value(stub)) => Ok(Outside::Address(HostAddr(stub))),
            Ok(other) => Err(HostError::Failed(format!(
                "no stub for `{name}`: {other:?}"
            ))),
            Err(why) => Err(HostError::Lost(why)),
        }
    }
}

/// What a name stands for in the image that a child was forked with.
fn inherited(view: &View, name: &str) -> Option<Outside> {
    let symbol = view.symbol(name)?;
    match symbol.definition {
        Definition::Atom(..) | Definition::Absolute(_) => {
            Some(match view.thread_offset(symbol.id) {
                Some(offset) => Outside::ThreadOffset(offset),
                None => Outside::Address(symbol.address),
            })
        }
        Definition::Outside(_) | Definition::ThreadOffset(_) => None,
    }
}

impl Resolver for Names<'_, '_> {
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError> {
        let mut found = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            found.push(self.here(wanted.name)?);
        }
        let missing: Vec<usize> = (0..wanted.len()).filter(|n| found[*n].is_none()).collect();
        let rest: Vec<Wanted<'_>> = missing.iter().map(|number| wanted[*number]).collect();
        for (number, answer) in missing.into_iter().zip(self.inner.resolve(&rest)?) {
            found[number] = answer;
        }
        Ok(found)
    }

    fn extents(&mut self, at: &[HostAddr]) -> Result<Vec<Option<Extent>>, HostError> {
        self.inner.extents(at)
    }
}
