//! A user-mode emulator that runs programs of another processor on this one.

pub mod addr;
pub mod engine;
pub mod errno;
pub mod exit;
pub mod ir;
pub mod memory;
pub mod state;

pub use addr::GuestAddr;
pub use engine::Engine;
pub use errno::Errno;
pub use exit::{Access, Exit, Fault, FaultKind};
pub use memory::GuestMemory;
pub use state::GuestState;
