//! A user-mode emulator that runs programs of another processor on this one.

pub mod aarch64;
pub mod addr;
mod blocks;
mod clif;
mod clock;
mod code;
pub mod elf;
pub mod engine;
mod enter;
pub mod errno;
pub mod exit;
mod fault;
pub mod interp;
pub mod ir;
pub mod linux;
pub mod memory;
pub mod riscv;
pub mod soft;
pub mod state;
mod x64;

pub use addr::GuestAddr;
pub use engine::{Engine, Guest, Tier};
pub use errno::Errno;
pub use exit::{Access, Exit, Fault, FaultKind};
pub use memory::GuestMemory;
pub use state::GuestState;
