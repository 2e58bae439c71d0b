//! Where a variable is: DWARF expressions and location lists, evaluated in a
//! frame that the caller describes.

use std::fmt;

use crate::{Address, EntryId, Memory, MemoryError, Module, Register, TypeId, Variable};

/// The frame that a location is evaluated in.
///
/// Only what an expression asks for is looked up.
pub trait FrameContext: Memory {
    /// The frame's pc, as [`FrameAddress::lookup`](crate::FrameAddress::lookup)
    /// gives it.
    fn pc(&self) -> Address;

    /// A register's bytes, or `None` where nobody knows them.
    fn register(&mut self, register: Register) -> Option<Vec<u8>>;

    /// The frame's canonical frame address.
    fn cfa(&mut self) -> Option<Address>;

    /// The physical function's entry, whose frame base `DW_OP_fbreg` uses.
    fn function(&self) -> Option<EntryId>;

    /// Where the selected thread has the byte at `offset` of the module's
    /// thread-local block.
    fn thread_local(&mut self, module: &Module, offset: u64) -> Option<Address> {
        let _ = (module, offset);
        None
    }

    /// The value that a register had, or an expression gave, when the function
    /// was entered: the caller's call site says. `expression` is the operand
    /// of `DW_OP_entry_value`.
    fn entry_value(&mut self, module: &Module, expression: &[u8]) -> Option<u64> {
        let _ = (module, expression);
        None
    }
}

/// Where a value is: one piece as a rule, several where it was taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// The pieces, from the value's first byte.
    pub pieces: Vec<Piece>,
}

impl Location {
    /// A whole value in one place.
    pub fn whole(at: Storage) -> Location {
        Location {
            pieces: vec![Piece {
                size_bits: None,
                offset_bits: 0,
                at,
            }],
        }
    }

    /// The address of a value that lies in memory in one piece.
    pub fn address(&self) -> Option<Address> {
        match &self.pieces[..] {
            [
                Piece {
                    size_bits: None,
                    offset_bits: 0,
                    at: Storage::Memory(address),
                },
            ] => Some(*address),
            _ => None,
        }
    }
}

/// Part of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// How many bits of the value it holds; `None` for the rest of it.
    pub size_bits: Option<u64>,
    /// Which bit of the storage it begins at.
    pub offset_bits: u64,
    /// Where it is.
    pub at: Storage,
}

/// Where a piece of a value is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Storage {
    /// In memory.
    Memory(Address),
    /// In a register.
    Register(Register),
    /// Nowhere: the debug information has the number itself.
    Value(u64),
    /// Nowhere: the debug information has the bytes themselves.
    Bytes(Vec<u8>),
    /// Nowhere: a pointer to a variable that the compiler took away. What it
    /// points at is the variable of that entry, `offset` bytes in.
    ImplicitPointer {
        /// The variable.
        variable: EntryId,
        /// The byte of it.
        offset: i64,
    },
    /// Optimised out.
    Nowhere,
}

/// Why a location could not be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LocationError {
    /// The compiler says that the variable has no value here.
    OptimizedOut,
    /// The expression needs a register that nobody knows.
    NoRegister(Register),
    /// The expression needs the frame's address, and nobody knows it.
    NoFrameBase,
    /// A thread-local variable of a thread or library that has none.
    NoThreadLocal,
    /// The expression reads memory that cannot be read.
    Memory(MemoryError),
    /// The debug information is at fault.
    Malformed(crate::Error),
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocationError::OptimizedOut => f.write_str("value has been optimized out"),
            LocationError::NoRegister(register) => {
                write!(
                    f,
                    "value is not available: register {} is not saved",
                    register.0
                )
            }
            LocationError::NoFrameBase => {
                f.write_str("value is not available: the frame's base is not known")
            }
            LocationError::NoThreadLocal => {
                f.write_str("Cannot find thread-local storage for the selected thread")
            }
            LocationError::Memory(error) => error.fmt(f),
            LocationError::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LocationError {}

impl From<MemoryError> for LocationError {
    fn from(error: MemoryError) -> LocationError {
        LocationError::Memory(error)
    }
}

impl Module {
    /// Where a variable is in that frame.
    pub fn locate(
        &self,
        variable: &Variable,
        frame: &mut dyn FrameContext,
    ) -> Result<Location, LocationError> {
        self.locate_entry(variable.id, frame)
    }

    /// Where the variable of that entry is in that frame.
    pub fn locate_entry(
        &self,
        variable: EntryId,
        frame: &mut dyn FrameContext,
    ) -> Result<Location, LocationError> {
        let _ = (variable, frame);
        todo!()
    }

    /// Where a member with a computed offset is, given its struct's address.
    pub fn member_address(
        &self,
        member: EntryId,
        of: Address,
        frame: &mut dyn FrameContext,
    ) -> Result<Address, LocationError> {
        let _ = (member, of, frame);
        todo!()
    }

    /// What the call that returns to `return_address` passed for `expression`
    /// (the operand of `DW_OP_entry_value` in the callee), evaluated in the
    /// caller's frame.
    pub fn call_site_value(
        &self,
        return_address: Address,
        expression: &[u8],
        caller: &mut dyn FrameContext,
    ) -> Option<u64> {
        let _ = (return_address, expression, caller);
        todo!()
    }

    /// The type of that entry's value, where it has one.
    pub fn type_of_entry(&self, entry: EntryId) -> Option<TypeId> {
        let _ = entry;
        todo!()
    }
}
