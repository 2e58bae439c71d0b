//! A debugger as a library: targets, breakpoints, stepping, stacks, values,
//! eval.
//!
//! # What it owns
//! A [`Debugger`] owns a [`Target`](target::Target) (a process, a core file, an
//! emulated program), the modules of its program, breakpoints, and the link
//! session that appends code to it. It takes [`Command`]s and gives [`Event`]s;
//! line mode, TUI and editor protocol are faces of that one interface.
//!
//! # Invariants
//! * All-stop: while a command is not running the program, every thread is
//!   stopped.
//! * Patched bytes have one owner, show in no read, and are put back before
//!   the program is let go.
//! * The program does not run between the first byte of an append and the
//!   moment when line tables and breakpoints have taken it in.
//! * A command that fails leaves the program as it was, or its error says what
//!   it left.
//!
//! It knows nothing of terminals, colours or prompts.
//!
//! ```no_run
//! use sapwood_dbg::{Debugger, parse::parse, render::render};
//!
//! let mut debugger = Debugger::new();
//! for line in ["file ./prog", "b main", "run", "bt", "kill"] {
//!     let command = parse(line)?;
//!     debugger.execute(command, &mut |event| print!("{}", render(&event)))?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod breakpoint;
pub mod call;
pub mod clex;
pub mod command;
pub mod core;
mod debugger;
pub mod displace;
pub mod error;
pub mod eval;
pub mod event;
pub mod exits;
pub mod expr;
pub mod flow;
pub mod instruction;
pub mod interrupt;
pub mod kept;
mod libraries;
pub mod loader;
pub mod native;
pub mod parse;
pub mod patches;
pub mod registers;
pub mod render;
pub mod signal;
pub mod source;
pub mod space;
pub mod stack;
pub mod step;
pub mod target;
pub mod value;

pub use command::Command;
pub use debugger::{Completion, Debugger, ImageCosts};
pub use error::{Error, Result};
pub use event::Event;
pub use interrupt::Interrupter;
pub use native::Launch;
