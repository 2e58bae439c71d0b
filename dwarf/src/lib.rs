//! Debug information for a debugger: modules, lines, symbols, types,
//! locations, unwinding.
//!
//! # What it owns
//! A [`Module`] is one file of a program: the executable, a shared library, or
//! an object that was published into it while it ran. [`Modules`] finds the
//! module at an address. An [`Unwinder`] walks stacks over both.
//!
//! # Invariants
//! * It does no I/O: bytes come in through [`Input`], the program's memory
//!   through [`Memory`].
//! * Opening a module reads its headers. Everything else is decoded when first
//!   asked for, and adding a module never touches another.
//! * An address that crosses the boundary is one of the running program
//!   ([`Address`]); the load bias is applied here and nowhere else.
//! * A corrupt file is an [`Error`] or has "no debug information". It never
//!   panics, and never makes us allocate more than a multiple of its size.
//!
//! It knows nothing of processes, breakpoints or terminals.
#![forbid(unsafe_code)]

mod address;
mod composite;
mod elf;
mod error;
mod files;
mod frames;
mod functions;
mod info;
mod input;
mod lines;
mod listing;
mod locations;
mod memory;
mod module;
mod modules;
mod names;
mod nesting;
mod operations;
mod outline;
mod parallel;
mod registers;
mod rows;
mod scan;
mod scopes;
mod seek;
mod split;
mod symbols;
mod tail_calls;
mod types;
mod units;
mod unwind;
mod versions;
mod vtables;

pub use address::{Address, FrameAddress};
pub use composite::{
    Access, Composite, Keyword, Member, MemberOffset, Method, StaticMember, TemplateArgument,
    Variant, Variants,
};
pub use error::{Error, Result};
pub use functions::{Function, Language, SourceFrame};
pub use input::{Bytes, DebugFiles, Input, ModuleKind, Wanted};
pub use lines::{LineRow, Place};
pub use listing::{NamedType, UnitNote};
pub use locations::{FrameContext, Location, LocationError, Piece, Storage};
pub use memory::{Memory, MemoryError, NoMemory};
pub use module::{EntryId, Module};
pub use modules::{Having, ModuleId, Modules, OpenModule};
pub use names::without_arguments;
pub use nesting::Scope;
pub use outline::Outline;
pub use registers::{Arch, OtherRegisters, Register, Registers};
pub use scopes::{Variable, VariableKind};
pub use symbols::{Binding, Symbol, SymbolKind};
pub use types::{Encoding, Enumerator, Qualifier, Type, TypeId, TypeKind};
pub use unwind::{UnwindError, Unwinder, Unwound};
