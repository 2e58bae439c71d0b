//! The RISC-V guest: RV64IMAFDC with Zicsr, Zifencei, Zba, Zbb, Zbs and Zicond,
//! as a Linux user program sees it.
//!
//! [`table`] is the instruction set as the manual prints it, [`decode`] finds
//! the row that an encoding matches, [`lift`] says in IR what it does. Nothing
//! here runs anything.

pub mod decode;
pub mod lift;
pub mod table;

pub use decode::{Insn, decode};
pub use lift::{lift_block, lift_block_into};
