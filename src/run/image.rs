//! [`Image`]: the linked program in its worker, with or without libraries that are
//! linked when it calls them.

use sapwood_link::source::Chosen;
use sapwood_link::worker::lazy::{LazyLibraries, LibraryId};
use sapwood_link::worker::{Answers, Crash, Noting, Worker};
use sapwood_link::{
    AddressSpace, Error, Ground, HostAddr, HostError, Near, Options, Parts, Session,
};

use super::crash_place;
use crate::inputs::Input;

/// See the [module page](self).
pub enum Image {
    /// All that there is was linked before `main`.
    Whole(Box<Session>),
    /// More may come.
    Growing(LazyLibraries),
}

/// Why there is no program.
#[derive(Debug)]
pub enum NotLinked {
    /// It cannot be linked.
    Error(Error),
    /// An initialiser faulted.
    Faulted(HostError),
    /// No `main`.
    NoMain,
}

impl std::fmt::Display for NotLinked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotLinked::Error(error) => error.fmt(f),
            NotLinked::Faulted(fault) => write!(f, "before main: {fault}"),
            NotLinked::NoMain => f.write_str("no file defines `main`"),
        }
    }
}

impl From<Error> for NotLinked {
    fn from(error: Error) -> NotLinked {
        NotLinked::Error(error)
    }
}

impl From<HostError> for NotLinked {
    fn from(fault: HostError) -> NotLinked {
        NotLinked::Faulted(fault)
    }
}

/// An empty session that grows near there.
pub fn session(near: Near) -> Session {
    Session::new(options(near))
}

fn options(near: Near) -> Options {
    Options {
        near,
        ..Options::default()
    }
}

/// Links everything and gives the address of `main`.
pub fn link(
    session: &mut Session,
    inputs: &[Input],
    ground: &mut dyn Ground,
) -> Result<HostAddr, NotLinked> {
    let mut batch = session.batch();
    for input in inputs {
        match input {
            Input::Object { name, bytes } => batch.object(name, bytes)?,
            Input::Archive { name, bytes } => batch.archive(name, bytes.as_slice())?,
            Input::Shared(_) => {}
        }
    }
    let published = batch.publish(ground)?;
    if let Some(fault) = published.faulted {
        return Err(NotLinked::Faulted(fault));
    }
    match session.view().symbol("main") {
        Some(main) => Ok(main.address),
        None => Err(NotLinked::NoMain),
    }
}

impl Image {
    /// An empty image in a worker. The lazy libraries are those chosen, less those
    /// that come with the program.
    pub fn new(
        worker: &mut Worker,
        lazy: Option<(Chosen, Vec<LibraryId>)>,
    ) -> Result<Image, Box<dyn std::error::Error>> {
        let near = worker.near_libraries()?;
        let session = session(near.clone());
        Ok(match lazy {
            None => Image::Whole(Box::new(session)),
            Some((chosen, with_program)) => Image::Growing(LazyLibraries::start(
                worker,
                session,
                options(near),
                Box::new(chosen),
                with_program,
            )?),
        })
    }

    /// Links everything into the worker. Gives the address of `main`, and what
    /// names outside stood for, where all are known.
    pub fn link(
        &mut self,
        worker: &mut Worker,
        inputs: &[Input],
    ) -> Result<(HostAddr, Option<Answers>), NotLinked> {
        match self {
            Image::Whole(session) => {
                let mut noting = Noting::new(&mut worker.resolver);
                let mut ground = Parts {
                    space: &mut worker.space,
                    host: &mut worker.host,
                    resolver: &mut noting,
                };
                let main = link(session, inputs, &mut ground)?;
                Ok((main, Some(noting.answers())))
            }
            Image::Growing(lazy) => {
                let main = lazy.link(worker, |session, ground| link(session, inputs, ground))?;
                Ok((main, None))
            }
        }
    }

    /// Tells an attached debugger of all that is there.
    pub fn tell_debuggers(&mut self, worker: &mut Worker) -> Result<(), Error> {
        match self {
            Image::Whole(session) => worker.tell_debuggers(session),
            Image::Growing(lazy) => lazy.tell_debuggers(worker),
        }
    }

    /// Looks at all that is there, and at the worker's memory.
    pub fn look<T>(
        &self,
        worker: &mut Worker,
        look: impl FnOnce(&Session, &mut dyn AddressSpace) -> T,
    ) -> T {
        match self {
            Image::Whole(session) => look(session, &mut worker.space),
            Image::Growing(lazy) => lazy.look(|session, space| look(session, space)),
        }
    }

    /// Where the program crashed: `in parse+0x12 (parse.c)`.
    pub fn crash_place(&mut self, worker: &mut Worker) -> Option<String> {
        let crash: Crash = worker.crash()?;
        let place =
            |session: &Session, space: &mut dyn AddressSpace| crash_place(&crash, session, space);
        self.look(worker, place)
    }

    /// The program has ended: nothing is linked any more.
    pub fn stop(&mut self) {
        if let Image::Growing(lazy) = self {
            lazy.stop();
        }
    }
}
