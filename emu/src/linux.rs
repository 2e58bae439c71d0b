//! Linux for the guest: loading programs, system calls, signals, threads.
//!
//! A guest process is a host process, a guest thread a host thread, a guest
//! signal a host signal, a descriptor a descriptor. What is left to do is to
//! keep the two apart where they must not meet: memory (all addresses go
//! through [`GuestMemory`](crate::GuestMemory)), handlers and masks
//! ([`host`], [`deliver`]), and what of itself the guest sees under `/proc`
//! ([`paths`], [`proc_files`]).
//!
//! | file | what it knows |
//! |---|---|
//! | `start` | loading a program and laying out its stack |
//! | `thread` | processes, threads, and the loop in which a thread runs |
//! | `table` | every system call: number, name, arguments, who does it |
//! | `system_call` | handing a call to the host or to a function of ours |
//! | `calls/` | those functions |
//! | `deliver`, `signal` | which signal does what, and how a handler is entered |
//! | `lent` | what a `vfork` child writes to its maker's stack |
//! | `tracing` | one guest process that traces another |
//! | `gdb/` | a debugger at the other end of gdb's protocol |
//! | `vdso` | the library that Linux gives every program |
//! | `abi/` | registers, frames, flags of one guest architecture |
//! | `crash` | what is told when the emulator itself breaks |
//! | `host` | the host's kernel; all `unsafe` of this folder |
//!
//! Nothing here knows how guest instructions are run, nor how a command line
//! is read.

mod abi;
mod calls;
mod crash;
mod deliver;
mod gdb;
mod host;
mod lent;
mod paths;
mod proc_files;
mod signal;
mod start;
mod strace;
mod structures;
mod system_call;
mod table;
mod thread;
mod tracing;
mod vdso;

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::engine::Tier;
use crate::watch::Watcher;

pub use paths::Files;
pub use start::StartError;

/// What to run, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The program, as a path of the guest's.
    pub program: PathBuf,
    /// Its arguments, the zeroth included.
    pub arguments: Vec<OsString>,
    /// Its environment, each as `VARIABLE=VALUE`.
    pub environment: Vec<OsString>,
    /// Where the guest's own files are.
    pub files: Files,
    /// How its instructions are run.
    pub tier: Tier,
    /// Print each system call.
    pub trace_calls: bool,
    /// Where gdb's protocol is served, `HOST:PORT` or a path: the program
    /// waits there for gdb before its first instruction.
    pub gdb: Option<String>,
    /// Where translations are kept from one run to the next.
    pub cache: Option<crate::kept::Place>,
    /// Print what the engine did, at the end.
    pub statistics: bool,
    /// Who wants to see what is translated.
    pub watch: Option<Watcher>,
    /// Whether another guest process started this one.
    pub is_child: bool,
    /// That the guest process which became this one is traced by another, in
    /// the words that it hands over.
    pub traced: Option<String>,
    /// Whether the guest begins with `SIGPIPE` ignored.
    pub ignore_sigpipe: bool,
    /// Standard descriptors that the guest begins without; Rust's runtime opens
    /// those that are closed.
    pub closed: Vec<i32>,
    /// The command line by which this executable, `/proc/thread-self/exe`, runs
    /// another guest program in the same way, up to where the program is
    /// named. It understands `-E VARIABLE=VALUE`, `--argv0 NAME`, `--child`,
    /// `--ignore-sigpipe`, `--closed FD`, `--traced HOW` and `--`.
    pub command: Vec<OsString>,
}

/// Runs a guest program in this process, which becomes it: when the guest
/// exits or dies, so does the process. Returns only if it could not start.
pub fn run(options: Options) -> Result<Infallible, StartError> {
    let thread = start::prepare(options)?;
    host::die_of_panics();
    start::run(thread)
}

/// Every system call by number and name, and whether it is done.
pub fn system_calls() -> impl Iterator<Item = (u64, &'static str, bool)> {
    table::TABLE.iter().map(|row| {
        (
            row.number,
            row.name,
            !matches!(row.performed, table::Performed::Missing),
        )
    })
}
