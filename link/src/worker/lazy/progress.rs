//! [`Progress`]: which library is being loaded by which call, and who waits for
//! whom.
//!
//! What holds: in one process a library is loaded by one call at a time and once
//! at most; nobody waits for a thread that, through others, waits for them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::libraries::LibraryId;

/// A process that has lazy libraries: the worker, or a child of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Process(pub u64);

/// A thread that calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Caller {
    pub process: Process,
    pub thread: u64,
}

/// How far a library is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Being made, by this thread's call.
    Loading(u64),
    /// Part of the image; its initialisers run on this thread.
    Initialising(u64),
    Ready,
    Failed,
}

impl Stage {
    /// Whose call is at it.
    fn by(self) -> Option<u64> {
        match self {
            Stage::Loading(thread) | Stage::Initialising(thread) => Some(thread),
            Stage::Ready | Stage::Failed => None,
        }
    }
}

/// What a call that wants a library is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// Load it, then say how that went.
    Load,
    /// Go on: it is there, initialised as far as anybody can wait for.
    GoOn,
    /// Nothing: another call failed to load it, and says so.
    Failed,
    /// It is being loaded for the sake of what this call loads.
    Circular,
}

/// See the [module page](self).
#[derive(Debug, Default)]
pub struct Progress {
    known: Mutex<Known>,
    changed: Condvar,
}

/// What is known of all libraries.
#[derive(Debug, Default)]
pub(super) struct Known {
    stages: FxHashMap<(Process, LibraryId), Stage>,
    waits: FxHashMap<Caller, LibraryId>,
}

impl Known {
    /// Whether `thread` waits, through others, for `caller`.
    fn waits_for(&self, mut thread: u64, caller: Caller) -> bool {
        let Caller {
            process,
            thread: me,
        } = caller;
        loop {
            if thread == me {
                return true;
            }
            let Some(library) = self.waits.get(&Caller { process, thread }) else {
                return false;
            };
            let stage = self.stages.get(&(process, *library));
            match stage.and_then(|stage| stage.by()) {
                Some(next) => thread = next,
                None => return false,
            }
        }
    }
}

impl Progress {
    pub(super) fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what a call that wants a library is to do, as soon as that is known.
    pub fn claim(&self, caller: Caller, library: LibraryId) -> Claim {
        let key = (caller.process, library);
        let mut known = self.lock();
        loop {
            let stage = match known.stages.get(&key) {
                None => {
                    let mine = Stage::Loading(caller.thread);
                    known.stages.insert(key, mine);
                    return Claim::Load;
                }
                Some(Stage::Ready) => return Claim::GoOn,
                Some(Stage::Failed) => return Claim::Failed,
                Some(stage) => *stage,
            };
            let by = stage.by().expect("somebody is at it");
            if known.waits_for(by, caller) {
                return match stage {
                    Stage::Initialising(_) => Claim::GoOn,
                    _ => Claim::Circular,
                };
            }
            known.waits.insert(caller, library);
            known = self
                .changed
                .wait(known)
                .unwrap_or_else(PoisonError::into_inner);
            known.waits.remove(&caller);
        }
    }

    /// The library that the caller loads is part of the image. Gives those whose
    /// initialisers others are running.
    pub fn published(&self, caller: Caller, library: LibraryId) -> Vec<LibraryId> {
        let mut known = self.lock();
        let mine = Stage::Initialising(caller.thread);
        known.stages.insert((caller.process, library), mine);
        self.changed.notify_all();
        let others = known.stages.iter();
        let others = others.filter(|((process, _), stage)| {
            *process == caller.process
                && matches!(stage, Stage::Initialising(thread) if *thread != caller.thread)
        });
        others.map(|((_, other), _)| *other).collect()
    }

    /// The library that the caller loads is ready, or could not be loaded.
    pub fn ended(&self, caller: Caller, library: LibraryId, is_ready: bool) {
        let stage = if is_ready {
            Stage::Ready
        } else {
            Stage::Failed
        };
        let key = (caller.process, library);
        self.lock().stages.insert(key, stage);
        self.changed.notify_all();
    }

    /// Whether a library is part of a process's image.
    pub fn is_there(&self, process: Process, library: LibraryId) -> bool {
        let known = self.lock();
        let stage = known.stages.get(&(process, library));
        matches!(stage, Some(Stage::Ready | Stage::Initialising(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: LibraryId = LibraryId(0);
    const B: LibraryId = LibraryId(1);

    fn caller(thread: u64) -> Caller {
        Caller {
            process: Process(0),
            thread,
        }
    }

    #[test]
    fn one_loads_and_others_wait() {
        let progress = Progress::default();
        assert_eq!(progress.claim(caller(1), A), Claim::Load);
        assert_eq!(progress.claim(caller(1), A), Claim::Circular);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| progress.claim(caller(2), A));
            progress.published(caller(1), A);
            assert_eq!(progress.claim(caller(1), A), Claim::GoOn);
            assert!(progress.is_there(Process(0), A) && !progress.is_there(Process(1), A));
            progress.ended(caller(1), A, true);
            assert_eq!(other.join().unwrap(), Claim::GoOn);
        });
        assert_eq!(progress.claim(caller(3), A), Claim::GoOn);
        let child = Caller {
            process: Process(1),
            thread: 1,
        };
        assert_eq!(progress.claim(child, A), Claim::Load);
        progress.ended(child, A, false);
        assert_eq!(progress.claim(child, A), Claim::Failed);
    }

    #[test]
    fn nobody_waits_in_a_circle() {
        let progress = Progress::default();
        assert_eq!(progress.claim(caller(1), A), Claim::Load);
        assert_eq!(progress.claim(caller(2), B), Claim::Load);
        assert_eq!(progress.published(caller(1), A), []);
        assert_eq!(progress.published(caller(2), B), [A]);
        std::thread::scope(|scope| {
            // A's initialiser calls B, which waits; then B's calls A.
            let first = scope.spawn(|| progress.claim(caller(1), B));
            while !progress.lock().waits.contains_key(&caller(1)) {
                std::thread::yield_now();
            }
            assert_eq!(progress.claim(caller(2), A), Claim::GoOn);
            progress.ended(caller(2), B, true);
            assert_eq!(first.join().unwrap(), Claim::GoOn);
        });
    }
}
