//! A debugger as a library.
pub mod interrupt;
pub mod native;
pub mod patches;
pub mod registers;
pub mod signal;
pub mod target;
