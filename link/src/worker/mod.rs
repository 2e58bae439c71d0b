//! Worker processes: where a live-linked program runs.
//!
//! A program that is linked into memory needs a process to live in, and that
//! must not be the linker's own: the program may crash, exit, fork or overwrite
//! whatever it can reach. A *worker* is a child process that runs this same
//! executable, started again through `/proc/self/exe` with `__worker` as its
//! first argument, whose main thread does what the *controller* (the process
//! that holds the link session) asks until it is told to call the program's
//! `main`. It has the user's terminal, working directory and environment, and
//! nothing of ours in them.
//!
//! | file | what it owns |
//! |---|---|
//! | `wire` | requests and replies as bytes; no I/O |
//! | `channel` | the socket between the two, passing of memory files |
//! | `process` | [`Worker`]: starting one, and how it ended |
//! | `space` | [`WorkerSpace`]: the image's bytes |
//! | `services` | [`WorkerHost`] and [`WorkerResolver`]: calls, unwinder, names |
//! | `agent` | the worker's side: serves the requests |
//! | `start` | the worker's side: becomes the program |
//! | `stop` | stopping its threads, from the controller |
//! | `crash` | what a worker writes down as it dies, and how it is read |
//! | `lazy` | libraries that are linked when they are called |
//! | `debuggers` | telling an outside gdb or lldb of published objects |
//! | `perf` | a jitdump of published functions, for `perf` |
//! | `recorder` | a ground that writes down what a publish does |
//! | `kept` | [`KeptImage`]: what was written down, as data |
//! | `replay` | [`become_kept`]: a kept image started without a link session |
//! | `report` | a crash of such a program, reported |
//! | `mapping` | owned `mmap`s |
//! | `signals` | dispositions, passing signals on, dying of the same one |
//!
//! # Who runs what
//! Until `main` is called the worker has one thread, and every call into the
//! image (constructors, IFUNC resolvers) is made on it, as a C program's would
//! be. [`Worker::start`] says what happens then: [`Afterwards::Leave`] closes the
//! socket, and the program has its process to itself; [`Afterwards::Serve`]
//! leaves an *agent* thread behind, all signals blocked, that goes on serving
//! requests, so that more code can be published into the running program.
//!
//! # Memory
//! Code and read-only segments are memory files, mapped read-write in the
//! controller and read-execute or read-only in the worker: publishing into them
//! is a copy, with no system call, and no page is writable and executable in the
//! process that runs it. Data is private to the worker, so that `fork` means
//! what it should, and is written with one `process_vm_writev` for each publish.
//!
//! A worker that is [`debuggable`](Program::debuggable) has private pages only,
//! written through `/proc/PID/mem`: a debugger cannot poke a breakpoint into a
//! shared page that is not writable.
//!
//! Thread-locals come from an arena that the worker's executable has in every
//! thread, at one offset from the thread pointer, so that code in the image may
//! use the fast models (local-exec, initial-exec).
//!
//! # Death
//! The worker is killed when the thread that started it ends
//! (`PR_SET_PDEATHSIG`), and ends by itself when it finds the socket closed; so
//! start it from a thread that lives as long as the controller. [`Worker::wait`]
//! gives the worker's [`Fate`], and [`Fate::follow`] ends this process in the
//! same way. Where it was when it crashed, [`Worker::crash`] says, for a worker
//! that [writes that down](Program::writes_down_crashes).

pub mod agent;
mod channel;
mod crash;
mod debuggers;
mod kept;
pub mod lazy;
mod mapping;
mod perf;
mod process;
mod recorder;
mod replay;
mod report;
mod services;
pub mod signals;
mod space;
mod start;
mod stop;
pub(crate) mod wire;

pub use crate::arena::ARENA_SIZE;
pub use crash::Crash;
pub use kept::KeptImage;
pub use perf::PerfDump;
pub use process::{Afterwards, Debugger, Fate, Program, Worker, WorkerError};
pub use recorder::{Answers, Noting, record, relink};
pub use replay::{Found, become_kept};
pub use services::{WorkerHost, WorkerResolver};
pub use space::WorkerSpace;
