//! [`WorkerHost`] and [`WorkerResolver`]: what the session asks of a worker
//! besides memory.

use std::ops::Range;
use std::sync::Arc;

use super::process::Line;
use super::stop::{self, StoppedWorker};
use super::wire::{Reply, Request};
use crate::HostAddr;
use crate::host::{
    Call, Extent, Host, HostError, Libgcc, Outside, Resolver, StopWorld, ThreadLocals, Unwind,
    Wanted,
};

/// A worker's abilities: calls, and its unwinder.
#[derive(Debug)]
pub struct WorkerHost {
    line: Arc<Line>,
    stopped: Option<StoppedWorker>,
}

/// Knows the names of the C library and of every library that was opened in
/// the worker.
#[derive(Debug)]
pub struct WorkerResolver {
    line: Arc<Line>,
}

impl WorkerHost {
    pub(super) fn new(line: Arc<Line>) -> WorkerHost {
        WorkerHost {
            line,
            stopped: None,
        }
    }
}

impl WorkerResolver {
    pub(super) fn new(line: Arc<Line>) -> WorkerResolver {
        WorkerResolver { line }
    }
}

impl Line {
    fn ask_host(&self, request: &Request) -> Result<Reply, HostError> {
        match self.ask(request, None).map_err(HostError::Lost)? {
            Reply::Failed(why) => Err(HostError::Failed(why)),
            reply => Ok(reply),
        }
    }

    /// A request whose only good answer is that it is done.
    pub(super) fn ask_done(&self, request: &Request) -> Result<(), HostError> {
        match self.ask_host(request)? {
            Reply::Done => Ok(()),
            other => Err(senseless(&other)),
        }
    }
}

fn senseless(reply: &Reply) -> HostError {
    HostError::Lost(format!("the worker gave a senseless answer: {reply:?}"))
}

impl Host for WorkerHost {
    fn call(&mut self) -> Option<&mut dyn Call> {
        Some(self)
    }

    fn world(&mut self) -> Option<&mut dyn StopWorld> {
        Some(self)
    }

    fn thread_locals(&mut self) -> Option<&mut dyn ThreadLocals> {
        Some(self)
    }

    fn unwind(&mut self) -> Option<&mut dyn Unwind> {
        Some(self)
    }
}

impl Call for WorkerHost {
    /// Before `main` runs the call is made on the main thread, later on the
    /// agent's. A call that does not return ends the worker, or waits for ever:
    /// it is the program's own code.
    fn call(&mut self, function: HostAddr, arguments: &[u64]) -> Result<u64, HostError> {
        let mut registers = [0; 6];
        registers
            .get_mut(..arguments.len())
            .ok_or_else(|| HostError::Failed("more than six arguments".to_owned()))?
            .copy_from_slice(arguments);
        let request = Request::Call {
            function: function.get(),
            arguments: registers,
        };
        match self.line.ask_host(&request)? {
            Reply::Value(value) => Ok(value),
            other => Err(senseless(&other)),
        }
    }

    fn at_exit(&mut self, function: HostAddr) -> Result<(), HostError> {
        self.line.ask_done(&Request::AtExit {
            function: function.get(),
        })
    }
}

/// From an arena of [`ARENA_SIZE`](super::ARENA_SIZE) bytes that the worker's
/// executable has in every thread.
impl ThreadLocals for WorkerHost {
    fn reserve(&mut self, size: u64, alignment: u64) -> Result<i64, HostError> {
        let request = Request::ReserveThreadLocal { size, alignment };
        match self.line.ask_host(&request)? {
            Reply::Value(offset) => Ok(offset.cast_signed()),
            Reply::NoRoom => Err(HostError::Failed(format!(
                "no room for {size:#x} bytes of thread-local storage: all programs of a worker \
                 have {:#x}",
                super::ARENA_SIZE
            ))),
            other => Err(senseless(&other)),
        }
    }

    fn initialise(&mut self, offset: i64, bytes: &[u8]) -> Result<(), HostError> {
        self.line.ask_done(&Request::InitialiseThreadLocal {
            offset,
            bytes: bytes.to_vec(),
        })
    }

    fn release(&mut self, offset: i64) -> Result<(), HostError> {
        self.line.ask_done(&Request::ReleaseThreadLocal { offset })
    }
}

/// Every thread but the agent's, with ptrace. The same thread of this process
/// must stop and resume.
impl StopWorld for WorkerHost {
    fn stop(&mut self) -> Result<Vec<HostAddr>, HostError> {
        let agent = match self.line.ask_host(&Request::Agent)? {
            Reply::Value(task) => task,
            other => return Err(senseless(&other)),
        };
        let stopped = stop::stop(self.line.pid(), agent);
        let (stopped, places) = stopped.map_err(|error| HostError::Failed(error.to_string()))?;
        self.stopped = Some(stopped);
        Ok(places)
    }

    fn resume(&mut self) -> Result<(), HostError> {
        self.stopped = None;
        Ok(())
    }
}

impl Unwind for WorkerHost {
    fn libgcc(&mut self) -> Result<Option<Libgcc>, HostError> {
        let names = [
            "__register_frame_info",
            "__deregister_frame_info",
            "_Unwind_Find_FDE",
        ];
        let names = names.map(|name| (name.to_owned(), None)).to_vec();
        let Reply::Found(found) = self.line.ask_host(&Request::Resolve { names })? else {
            return Ok(None);
        };
        let &[
            Some(Outside::Address(register_frame_info)),
            Some(Outside::Address(deregister_frame_info)),
            Some(Outside::Address(find_fde)),
        ] = &found[..]
        else {
            return Ok(None);
        };
        Ok(Some(Libgcc {
            register_frame_info,
            deregister_frame_info,
            find_fde,
        }))
    }

    fn register(&mut self, eh_frame: Range<HostAddr>) -> Result<(), HostError> {
        self.line.ask_done(&Request::RegisterFrames {
            start: eh_frame.start.get(),
        })
    }

    fn deregister(&mut self, eh_frame: Range<HostAddr>) -> Result<(), HostError> {
        self.line.ask_done(&Request::DeregisterFrames {
            start: eh_frame.start.get(),
        })
    }
}

impl Resolver for WorkerResolver {
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        // These first: to look one up by name gives each thread a copy of its own.
        let mut thread_locals = Vec::new();
        for (number, wanted) in wanted.iter().enumerate().filter(|(_, w)| w.thread_local) {
            let name = wanted.name.to_owned();
            match self.line.ask_host(&Request::ThreadLocal { name })? {
                Reply::Found(found) if found.len() == 1 => thread_locals.push((number, found[0])),
                other => return Err(senseless(&other)),
            }
        }
        let names = wanted
            .iter()
            .map(|w| (w.name.to_owned(), w.version.map(str::to_owned)))
            .collect();
        let mut found = match self.line.ask_host(&Request::Resolve { names })? {
            Reply::Found(found) if found.len() == wanted.len() => found,
            other => return Err(senseless(&other)),
        };
        for (number, offset) in thread_locals {
            found[number] = offset.or(found[number]);
        }
        Ok(found)
    }

    fn extents(&mut self, at: &[HostAddr]) -> Result<Vec<Option<Extent>>, HostError> {
        let request = Request::Describe {
            at: at.iter().map(|at| at.get()).collect(),
        };
        match self.line.ask_host(&request)? {
            Reply::Described(extents) if extents.len() == at.len() => Ok(extents),
            other => Err(senseless(&other)),
        }
    }
}
