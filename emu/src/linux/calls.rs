//! The system calls that are more than the host's own under another number:
//! those that would change this process instead of the guest's, those whose
//! structures hold addresses or are laid out differently, and those that must
//! show the guest itself instead of the emulator.

pub mod attributes;
pub mod execute;
pub mod files;
pub mod futexes;
pub mod ipc;
pub mod memory;
pub mod polling;
pub mod process;
pub mod signals;
pub mod sockets;
pub mod tasks;
pub mod tracing;
