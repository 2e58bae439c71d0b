//! The harness of the end-to-end tests: reading a case, running it, comparing.

pub mod case;
pub mod compare;
pub mod leftovers;
pub mod packages;
pub mod runner;
pub mod terminal;
