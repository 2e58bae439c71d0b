//! The AArch64 guest: ARMv8.0-A with Advanced SIMD and floating point, and the
//! extensions LSE, CRC32, AES with PMULL, SHA1, SHA256, RDM, DotProd and RCpc,
//! as a Linux user program sees it.
//!
//! [`table`] is the instruction set in the order of the manual's encoding
//! index, [`decode`] finds the row that a word matches, [`lift`] says in IR what
//! it does. [`features`] is what the guest is told of all this, and [`float`]
//! is the manual's floating point in integers. Nothing here runs anything.

pub mod decode;
pub mod estimate;
pub mod features;
pub mod float;
pub mod lift;
pub mod table;

pub use decode::{Insn, decode};
pub use lift::{lift_block, lift_block_into};
