//! A user-mode emulator that runs Linux programs of another processor on this
//! one.
//!
//! ```text
//! guest code ─ riscv: decode, lift ─► ir ─┬─► interp   the oracle; whatever is rare
//!                                         ├─► x64      first tier: one pass, every block
//!                                         └─► clif     second tier: hot loops, Cranelift
//! compiler: the second tier's thread
//! engine: which of them runs what       blocks: what is known, who is linked to whom
//! state: the registers, one layout      enter: the way in and out of host code
//! kept: translations on disk           watch: who wants to see them
//! memory, elf, linux: the rest of the guest's machine
//! ```
//!
//! What holds between calls of [`Engine::run`]: the [`GuestState`] is exact; no
//! host page is writable and executable; published code does not change, only
//! the cells through which it leaves do; guest addresses reach guest memory or
//! fault as the guest's. `tests/unsafe-files.txt` names the files that know of
//! raw memory.
//!
//! ```no_run
//! use sapwood_emu::linux::{self, Options};
//!
//! let options = Options { program: "hello".into(), arguments: vec!["hello".into()], ..Options::default() };
//! let Err(error) = linux::run(options);
//! eprintln!("{error}");
//! ```

pub mod aarch64;
pub mod addr;
mod blocks;
mod clif;
mod clock;
mod code;
mod compiler;
pub mod elf;
pub mod engine;
mod enter;
pub mod errno;
pub mod exit;
mod fault;
pub mod interp;
pub mod ir;
mod kept;
pub mod linux;
mod marks;
pub mod memory;
mod regions;
pub mod riscv;
pub mod soft;
pub mod state;
pub mod watch;
mod x64;

pub use addr::GuestAddr;
pub use engine::{Engine, Guest, Tier};
pub use errno::Errno;
pub use exit::{Access, Exit, Fault, FaultKind};
pub use kept::Place;
pub use memory::GuestMemory;
pub use state::GuestState;
