//! [`Compiler`]: compiles hot regions on a thread of its own.
//!
//! A guest thread hands over what is to be compiled and goes on in first-tier
//! code; whoever holds the engine's lock next takes what has been finished.
//! Between the two the guest's code may change, so a finished region comes with
//! the guest code that it was made of, and who publishes it compares.
//!
//! The thread is made when the first region is hot, gets no signals, and ends
//! with its engine. A fork waits until it is idle ([`Compiler::pause`]) and the
//! child makes a new one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::addr::GuestAddr;
use crate::blocks::{Compiled, ExitId};
use crate::clif::Lowering;
use crate::enter::Ways;
use crate::fault;
use crate::ir::Block;

/// A region to compile.
pub struct Region {
    /// Its blocks; it is entered at the first.
    pub blocks: Vec<Block>,
    /// The guest code of all blocks in a row.
    pub code: Vec<u8>,
    /// The first of the exits that are reserved for it.
    pub first_exit: ExitId,
}

/// A region that was compiled.
pub struct Done {
    /// Where its blocks begin.
    pub members: Vec<GuestAddr>,
    /// As in [`Region`].
    pub code: Vec<u8>,
    /// As in [`Region`].
    pub first_exit: ExitId,
    /// The host code; see [`Lowering::compile`].
    pub compiled: Option<Compiled>,
    /// How long it took.
    pub took: Duration,
}

#[derive(Default)]
struct Shared {
    done: Mutex<Vec<Done>>,
    /// Whether there is anything in `done`.
    any: AtomicBool,
    /// Whether a region is being compiled, or the thread is kept from it. Not a
    /// lock, because a child after a fork must be able to let go of it whatever
    /// the thread, which it has not got, was about to do.
    busy: AtomicBool,
}

/// The thread, as seen from the engine.
pub struct Compiler {
    ways: &'static Ways,
    shared: Arc<Shared>,
    jobs: Option<Sender<Region>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Compiler {
    /// No thread yet.
    pub fn new(ways: &'static Ways) -> Compiler {
        Compiler {
            ways,
            shared: Arc::default(),
            jobs: None,
        }
    }

    /// Has a region compiled. Gives it back when there can be no thread.
    pub fn compile(&mut self, region: Region) -> Result<(), Region> {
        if self.jobs.is_none() {
            let (sender, receiver) = channel();
            let (shared, ways) = (self.shared.clone(), self.ways);
            let thread = std::thread::Builder::new().name("translator".into());
            let made =
                fault::without_signals(|| thread.spawn(move || work(&receiver, &shared, ways)));
            if made.is_err() {
                return Err(region);
            }
            self.jobs = Some(sender);
        }
        let jobs = self.jobs.as_ref().expect("just made");
        jobs.send(region).map_err(|error| error.0)
    }

    /// What has been finished since.
    pub fn finished(&self) -> Vec<Done> {
        if !self.shared.any.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut *locked(&self.shared.done))
    }

    /// Keeps the thread from working while what this gives lives.
    pub fn pause(&self) -> Pause {
        self.shared.begin();
        Pause(self.shared.clone())
    }

    /// Leaves the thread alone, in a child that has not got it.
    pub fn abandon(self) {
        // Letting go of the sender would wake the thread.
        std::mem::forget(self);
    }
}

impl Shared {
    fn begin(&self) {
        while self.busy.swap(true, Ordering::Acquire) {
            std::thread::sleep(WAIT);
        }
    }

    fn end(&self) {
        self.busy.store(false, Ordering::Release);
    }
}

/// How long who finds the thread busy, or paused, waits to look again.
const WAIT: Duration = Duration::from_micros(50);

/// Keeps a compiler's thread idle while it lives.
pub struct Pause(Arc<Shared>);

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn work(jobs: &Receiver<Region>, shared: &Shared, ways: &'static Ways) {
    let mut lowering = Lowering::new(ways);
    while let Ok(region) = jobs.recv() {
        shared.begin();
        let done = Done::new(&mut lowering, region);
        locked(&shared.done).push(done);
        shared.any.store(true, Ordering::Release);
        shared.end();
    }
}

impl Done {
    /// Compiles a region.
    pub fn new(lowering: &mut Lowering, region: Region) -> Done {
        let began = Instant::now();
        let compiled = lowering.compile(&region.blocks);
        Done {
            members: region.blocks.iter().map(|block| block.start).collect(),
            code: region.code,
            first_exit: region.first_exit,
            compiled,
            took: began.elapsed(),
        }
    }
}
