//! [`LocalLazyLibraries`]: lazy libraries of this process, for whoever has a
//! session here and no worker.
//!
//! The stubs are a worker's; who is asked is in the same process. The first call
//! of a stub compiles its library on the calling thread, publishes it into the
//! session and runs its initialisers, then binds all of its stubs. Who waits for
//! whom is [`Progress`]'s to say, as in a worker.
//!
//! What holds: the session is held only while something is published, never while
//! code of the image runs or a compiler does. Whoever forks holds every lock of
//! this file meanwhile, so a child finds them free and the session whole; what was
//! half loaded by another thread then, the child loads for itself.
//!
//! Stubs are for ever, so an instance is too: it is never freed.

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use rustc_hash::FxHashMap;

use super::asking::give_up;
use super::deferring::Deferring;
use super::libraries::{Failure, Libraries, LibraryId, function, load_once, said};
use super::progress::{Caller, Claim, Known, Process, Progress};
use super::stubs::{self, MOST_STUBS, Token};
use crate::fork::Fork;
use crate::host::{Extent, HostError, Outside, Resolver, Wanted};
use crate::worker::signals;
use crate::{Error, Ground, HostAddr, LocalHost, LocalSpace, Parts, Session};

/// See the [module page](self).
#[derive(Clone, Copy)]
pub struct LocalLazyLibraries(&'static Shared);

/// An image in this process.
struct Grown {
    session: Session,
    space: LocalSpace,
}

struct Shared {
    /// Among [`Tokens::instances`].
    number: usize,
    libraries: Box<dyn Libraries>,
    /// Libraries that came with the program.
    with_program: Vec<LibraryId>,
    progress: Progress,
    image: Mutex<Grown>,
    /// The thread that publishes, or 0.
    publishing: AtomicU64,
    /// Libraries that are ready, in this process or one it was forked from.
    ready: Mutex<Vec<LibraryId>>,
}

/// Symbols that have stubs, of all instances.
struct Tokens {
    instances: Vec<&'static Shared>,
    /// By number: the instance, the library and the name.
    symbols: Vec<(&'static Shared, LibraryId, String)>,
    by_name: FxHashMap<(usize, String), Token>,
}

static TOKENS: Mutex<Tokens> = Mutex::new(Tokens {
    instances: Vec::new(),
    symbols: Vec::new(),
    by_name: FxHashMap::with_hasher(rustc_hash::FxBuildHasher),
});

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The calling thread's number.
fn thread() -> u64 {
    // SAFETY: asks for a number.
    u64::from(unsafe { libc::gettid() }.cast_unsigned())
}

impl LocalLazyLibraries {
    /// Answers calls of these libraries by publishing into a session whose image is
    /// in this process. The libraries `with_program` are never loaded.
    ///
    /// # Safety
    /// What is published runs in this process, and is compiled from the libraries'
    /// sources: the caller vouches for their code.
    pub unsafe fn start(
        session: Session,
        space: LocalSpace,
        libraries: Box<dyn Libraries>,
        with_program: Vec<LibraryId>,
    ) -> Result<LocalLazyLibraries, Error> {
        static ANSWERS: Mutex<bool> = Mutex::new(false);
        let mut answers = lock(&ANSWERS);
        if !*answers {
            *answers = stubs::answer_with(Box::new(answer));
            if !*answers {
                let why = "this process is a worker, whose lazy libraries its controller has";
                return Err(HostError::Failed(why.to_owned()).into());
            }
        }
        drop(answers);
        hold_at_forks();
        let mut tokens = lock(&TOKENS);
        let shared: &'static Shared = Box::leak(Box::new(Shared {
            number: tokens.instances.len(),
            libraries,
            with_program,
            progress: Progress::default(),
            image: Mutex::new(Grown { session, space }),
            publishing: AtomicU64::new(0),
            ready: Mutex::default(),
        }));
        tokens.instances.push(shared);
        Ok(LocalLazyLibraries(shared))
    }

    /// Publishes something: `link` is given the session and a ground on which lazy
    /// symbols are found. Initialisers run when it has returned. It must not call
    /// code of the image.
    pub fn link<T, E: From<HostError>>(
        &self,
        link: impl FnOnce(&mut Session, &mut dyn Ground) -> Result<T, E>,
    ) -> Result<T, E> {
        let (linked, host) = self.0.publish(None, link)?;
        host.initialise()?;
        Ok(linked)
    }

    /// Looks at the image, with all that was loaded into it. `look` must not call
    /// code of it.
    pub fn look<T>(&self, look: impl FnOnce(&Session, &mut LocalSpace) -> T) -> T {
        let mut grown = lock(&self.0.image);
        let Grown { session, space } = &mut *grown;
        look(session, space)
    }
}

/// Says which function a token stands for, once its library is there.
fn answer(token: Token, blocked: &libc::sigset_t) -> HostAddr {
    let (shared, library, name) = lock(&TOKENS).symbols[token.0 as usize].clone();
    let call = Call {
        shared,
        caller: caller(),
        blocked,
    };
    match call.answer(library, &name) {
        Ok(function) => function,
        Err(Failure::Said(why)) => {
            let library = shared.libraries.name(library);
            give_up(&format!(
                "lazy library {library}, wanted by a call of `{name}`: {why}"
            ))
        }
        // Another thread says so, and ends the process.
        Err(Failure::Silent) => loop {
            std::thread::park();
        },
    }
}

fn caller() -> Caller {
    Caller {
        process: Process(Fork::watch().process()),
        thread: thread(),
    }
}

impl Shared {
    /// Publishes something; gives the initialisers that are to run.
    fn publish<T, E>(
        &'static self,
        library: Option<LibraryId>,
        link: impl FnOnce(&mut Session, &mut dyn Ground) -> Result<T, E>,
    ) -> Result<(T, Deferring<LocalHost>), E> {
        let mut grown = lock(&self.image);
        self.publishing.store(thread(), Ordering::Relaxed);
        let Grown { session, space } = &mut *grown;
        // SAFETY: whoever started this vouched for what is published.
        let (local, inner) = unsafe { (LocalHost::new(), LocalHost::new()) };
        let mut host = Deferring::new(local);
        let mut resolver = Names {
            shared: self,
            library,
            inner,
        };
        let linked = link(
            session,
            &mut Parts {
                space,
                host: &mut host,
                resolver: &mut resolver,
            },
        );
        self.publishing.store(0, Ordering::Relaxed);
        linked.map(|linked| (linked, host))
    }

    /// Whether nothing need be done for a library.
    fn is_ready(&self, library: LibraryId) -> bool {
        self.with_program.contains(&library) || lock(&self.ready).contains(&library)
    }

    /// The stub of a library's symbol.
    fn stub(&'static self, library: LibraryId, name: &str) -> Result<Outside, HostError> {
        let mut tokens = lock(&TOKENS);
        let next = tokens.symbols.len();
        let key = (self.number, name.to_owned());
        let token = match tokens.by_name.get(&key) {
            Some(token) => *token,
            None if next == MOST_STUBS => {
                let why = format!("a process has at most {MOST_STUBS} lazy symbols");
                return Err(HostError::Failed(why));
            }
            None => {
                let token = Token(next as u32);
                tokens.symbols.push((self, library, key.1.clone()));
                tokens.by_name.insert(key, token);
                token
            }
        };
        let stub = stubs::stub(token);
        let stub = stub.map_err(|why| HostError::Failed(format!("no stub for `{name}`: {why}")))?;
        Ok(Outside::Address(stub))
    }
}

/// A call that is being answered.
struct Call<'a> {
    shared: &'static Shared,
    caller: Caller,
    /// The signals that its thread blocks by itself.
    blocked: &'a libc::sigset_t,
}

impl Call<'_> {
    fn answer(&self, library: LibraryId, name: &str) -> Result<HostAddr, Failure> {
        if self.shared.publishing.load(Ordering::Relaxed) == self.caller.thread {
            let why = "it is called while the same thread links something";
            return Err(Failure::Said(why.to_owned()));
        }
        self.ensure(library)?;
        said(function(&lock(&self.shared.image).session.view(), name))
    }

    /// Makes sure that a library is part of the process.
    fn ensure(&self, library: LibraryId) -> Result<(), Failure> {
        if self.shared.is_ready(library) {
            return Ok(());
        }
        let (progress, name) = (&self.shared.progress, self.shared.libraries.name(library));
        load_once(progress, self.caller, library, name, || self.load(library))
    }

    fn load(&self, library: LibraryId) -> Result<(), Failure> {
        let shared = self.shared;
        let made = shared.libraries.make(library).map_err(Failure::Said)?;
        for path in &made.shared {
            open(path).map_err(Failure::Said)?;
        }
        for first in &made.first {
            self.ensure(*first)?;
        }
        let linked = shared.publish(Some(library), |session, ground| {
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
        // What the new code was bound to may not be initialised yet.
        for other in uninitialised {
            if shared.progress.claim(self.caller, other) == Claim::Failed {
                return Err(Failure::Silent);
            }
        }
        // Code of the program's: it runs with the signals of its thread.
        signals::restore(self.blocked);
        let initialised = host.initialise();
        let _ = signals::block_all();
        said(initialised)?;
        self.bind(library);
        lock(&shared.ready).push(library);
        Ok(())
    }

    /// Has all stubs of a library go to its functions.
    fn bind(&self, library: LibraryId) {
        let view = lock(&self.shared.image).session.view();
        let tokens = lock(&TOKENS);
        for (token, (shared, of, name)) in (0..).map(Token).zip(&tokens.symbols) {
            let is_its = shared.number == self.shared.number && *of == library;
            if let Ok(function) = function(&view, name)
                && is_its
            {
                stubs::bind(token, function);
            }
        }
    }
}

/// Opens a shared library for everyone in this process.
fn open(path: &Path) -> Result<(), String> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: a NUL-terminated name; its initialisers run, for which whoever started
    // this vouched. The text of an error is the thread's until its next call.
    unsafe {
        if !libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() {
            return Ok(());
        }
        let why = libc::dlerror();
        match why.is_null() {
            true => Err(format!("cannot open {}", path.display())),
            false => Err(CStr::from_ptr(why).to_string_lossy().into_owned()),
        }
    }
}

/// What names stand for: stubs of libraries that are not there, then what this
/// process knows.
struct Names {
    shared: &'static Shared,
    /// What is being linked, whose own names are never lazy.
    library: Option<LibraryId>,
    inner: LocalHost,
}

impl Names {
    fn lazy(&self, name: &str) -> Result<Option<Outside>, HostError> {
        let shared = self.shared;
        let owner = shared.libraries.owner(name).filter(|library| {
            let process = Process(Fork::watch().process());
            let is_there = shared.progress.is_there(process, *library);
            Some(*library) != self.library && !is_there && !shared.is_ready(*library)
        });
        owner.map(|library| shared.stub(library, name)).transpose()
    }
}

impl Resolver for Names {
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError> {
        let mut found = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let known = match self.lazy(wanted.name)? {
                Some(stub) => Some(stub),
                None => self.inner.resolve(&[*wanted])?[0],
            };
            found.push(known);
        }
        Ok(found)
    }

    fn extents(&mut self, at: &[HostAddr]) -> Result<Vec<Option<Extent>>, HostError> {
        self.inner.extents(at)
    }
}

/// Every lock of this file, while the thread forks.
struct Held {
    _images: Vec<MutexGuard<'static, Grown>>,
    _progress: Vec<MutexGuard<'static, Known>>,
    _ready: Vec<MutexGuard<'static, Vec<LibraryId>>>,
    _tokens: MutexGuard<'static, Tokens>,
}

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

/// Has threads that fork wait until nobody publishes.
fn hold_at_forks() {
    static ONCE: Once = Once::new();
    // SAFETY: the handlers are functions for ever. They run on the thread that
    // forks, which holds none of the locks but when it publishes.
    ONCE.call_once(|| unsafe {
        libc::pthread_atfork(Some(begins), Some(ends), Some(ends));
    });
}

extern "C" fn begins() {
    let instances = lock(&TOKENS).instances.clone();
    let own = thread();
    let publishes = |shared: &&&Shared| shared.publishing.load(Ordering::Relaxed) == own;
    if instances.iter().any(|shared| publishes(&shared)) {
        return;
    }
    // In the order in which everybody takes them.
    let held = Held {
        _images: instances.iter().map(|shared| lock(&shared.image)).collect(),
        _progress: instances.iter().map(|s| s.progress.lock()).collect(),
        _ready: instances.iter().map(|shared| lock(&shared.ready)).collect(),
        _tokens: lock(&TOKENS),
    };
    HELD.set(Some(held));
}

extern "C" fn ends() {
    HELD.set(None);
}
