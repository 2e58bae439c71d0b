//! Values of the debugged program: typed, placed, read when needed.
//!
//! A [`Value`] says what type it has, where it is, and holds its bytes once
//! somebody needed them: `&big.array[3]` reads nothing. [`Source`] is what
//! reading, writing and calling ask of the debugger; this module knows neither
//! targets nor commands.

use std::fmt;
use std::sync::Arc;

use sapwood_dwarf::{
    Address, EntryId, LocationError, Memory, MemoryError, Module, ModuleId, Modules, Register,
};

use crate::stack::Frame;

pub mod abi;
mod containers;
mod dynamic;
pub mod extended;
pub mod float;
pub mod format;
mod load;
pub mod machine;
mod member_pointer;
mod members;
pub mod print;
pub mod printf;
mod scalar;
mod structure;
pub mod types;
mod write_rust_type;
pub mod write_type;

pub(crate) use load::copy_bits;
pub use types::{Number, Shape, Type};

/// Why an expression has no value, in a sentence for the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// Memory that cannot be read.
    Memory(MemoryError),
    /// A value that the compiler did not keep, or a location that cannot be
    /// followed.
    Location(LocationError),
    /// Anything else.
    Other(String),
}

impl Error {
    /// An error of that text.
    pub fn new(text: impl fmt::Display) -> Error {
        Error::Other(text.to_string())
    }

    pub(crate) fn unloaded() -> Error {
        Error::new("the library that describes the type is no longer loaded")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Memory(error) => error.fmt(f),
            Error::Location(error) => error.fmt(f),
            Error::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl From<MemoryError> for Error {
    fn from(error: MemoryError) -> Error {
        Error::Memory(error)
    }
}

impl From<LocationError> for Error {
    fn from(error: LocationError) -> Error {
        match error {
            LocationError::Memory(error) => Error::Memory(error),
            error => Error::Location(error),
        }
    }
}

impl From<sapwood_dwarf::Error> for Error {
    fn from(error: sapwood_dwarf::Error) -> Error {
        Error::new(error)
    }
}

/// What evaluating may ask of the debugger: the stopped thread's memory and
/// registers, and calls into the program.
pub trait Source: Memory {
    /// Changes the program's memory.
    fn write(&mut self, at: Address, bytes: &[u8]) -> Result<(), Error>;

    /// Changes a register of a frame. `bytes` are the register's lowest ones.
    fn write_register(
        &mut self,
        frame: &Frame,
        register: Register,
        bytes: &[u8],
    ) -> Result<(), Error>;

    /// The bytes of a register that is not among [`Frame::registers`]: vectors,
    /// x87, flags, segments, by DWARF number.
    fn other_register(&mut self, frame: &Frame, register: Register) -> Option<Vec<u8>> {
        let _ = (frame, register);
        None
    }

    /// What is known of the signal that stopped the thread: its `siginfo_t`.
    fn signal_bytes(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// Told when a value is found by what only its frame has: its registers, its
    /// canonical frame address.
    fn note_frame(&mut self) {}

    /// Told when a value is in a register: no memory tells of its changes.
    fn note_register(&mut self) {}

    /// The stopped thread's thread pointer.
    fn thread_pointer(&mut self) -> Option<Address> {
        None
    }

    /// Calls a function of the program and gives the registers that it
    /// returned with.
    fn call(&mut self, call: &abi::Call) -> Result<abi::Returned, Error> {
        let _ = call;
        Err(Error::new("You can't do that without a process to debug."))
    }

    /// Memory of the program that stays its own, for a string or array that an
    /// expression makes and passes on.
    fn allocate(&mut self, bytes: &[u8]) -> Result<Address, Error> {
        let _ = bytes;
        Err(Error::new(
            "evaluation of this expression requires the target program to be active",
        ))
    }
}

/// A value.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its type.
    pub ty: Type,
    /// Where it is.
    pub place: Place,
    /// The bits of the place that it has, where it is a bit-field.
    pub bits: Option<Bits>,
    /// Its bytes, where they were read or never were anywhere else.
    pub content: Option<Content>,
}

/// The bits of a bit-field, counted from the lowest bit of the first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bits {
    /// The first one.
    pub offset: u64,
    /// How many there are.
    pub size: u64,
}

/// Where a value is.
#[derive(Clone, PartialEq, Debug)]
pub enum Place {
    /// Nowhere: it was computed.
    Nowhere,
    /// In memory.
    Memory(Address),
    /// In a register of a frame, from that byte of it on.
    Register {
        /// The frame that it was read in.
        frame: Arc<Frame>,
        /// The register.
        register: Register,
        /// The first byte.
        offset: u64,
    },
    /// In the debugger's own variable of that name.
    Convenience(String),
}

impl PartialEq for Frame {
    fn eq(&self, other: &Frame) -> bool {
        self.is_same_activation(other) && self.level == other.level
    }
}

/// The bytes of a value, some of which may be lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// The bytes, little-endian.
    pub bytes: Arc<[u8]>,
    /// For each byte whether it is known; `None` where all are.
    pub known: Option<Arc<[bool]>>,
    /// The pointers among the lost bytes of which it is known what they point
    /// to: a variable that the compiler took away.
    pub synthetic: Option<Arc<[Synthetic]>>,
}

/// A pointer without a value: what it points to has no address, but may be
/// known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Synthetic {
    /// Its first byte in the content.
    pub start: usize,
    /// The module that describes the variable.
    pub module: ModuleId,
    /// The variable that it points to.
    pub variable: EntryId,
    /// The byte of it.
    pub offset: i64,
}

impl Content {
    /// Bytes that are all known.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Content {
        Content {
            bytes: bytes.into(),
            known: None,
            synthetic: None,
        }
    }

    /// Bytes none of which is known.
    pub fn lost(len: usize) -> Content {
        Content {
            bytes: vec![0; len].into(),
            known: Some(vec![false; len].into()),
            synthetic: None,
        }
    }

    /// Whether any byte of a range is lost.
    pub fn is_lost(&self, range: std::ops::Range<usize>) -> bool {
        let known = self.known.as_ref().and_then(|known| known.get(range));
        known.is_some_and(|known| known.contains(&false))
    }

    /// The pointer without a value that it begins with.
    pub fn synthetic_pointer(&self) -> Option<Synthetic> {
        let all = self.synthetic.as_ref()?;
        all.iter().find(|one| one.start == 0).copied()
    }

    /// A part of it; bytes past its end are lost.
    pub fn part(&self, start: usize, len: usize) -> Content {
        let Some(end) = start
            .checked_add(len)
            .filter(|&end| end <= self.bytes.len())
        else {
            return Content::lost(len);
        };
        Content {
            bytes: self.bytes[start..end].into(),
            known: self.known.as_ref().map(|known| known[start..end].into()),
            synthetic: self.synthetic.as_ref().and_then(|all| {
                let inside = all.iter().filter(|one| (start..end).contains(&one.start));
                let moved: Vec<Synthetic> = inside
                    .map(|one| Synthetic {
                        start: one.start - start,
                        ..*one
                    })
                    .collect();
                (!moved.is_empty()).then(|| moved.into())
            }),
        }
    }
}

impl Value {
    /// A computed value.
    pub fn computed(ty: Type, bytes: impl Into<Arc<[u8]>>) -> Value {
        Value {
            ty,
            place: Place::Nowhere,
            bits: None,
            content: Some(Content::new(bytes)),
        }
    }

    /// A value in memory, not read yet.
    pub fn in_memory(ty: Type, at: Address) -> Value {
        Value {
            ty,
            place: Place::Memory(at),
            bits: None,
            content: None,
        }
    }

    /// No value.
    pub fn void() -> Value {
        Value::computed(Type::Void, [])
    }

    /// An `int`.
    pub fn int(value: i32) -> Value {
        Value::computed(Type::INT, value.to_le_bytes())
    }

    /// An integer of a type of that size.
    pub fn integer(ty: Type, value: i128, size: u64) -> Value {
        Value::computed(ty, &value.to_le_bytes()[..(size as usize).min(16)])
    }

    /// The address of a value in memory.
    pub fn address(&self) -> Option<Address> {
        match self.place {
            Place::Memory(address) => Some(address),
            _ => None,
        }
    }

    /// Whether it can be assigned to.
    pub fn is_lvalue(&self) -> bool {
        self.place != Place::Nowhere
    }
}

/// The debugger's own variables: what was shown, and what the user named.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    /// The values that were shown, `$1` first.
    pub history: Vec<Value>,
    /// `$name`.
    pub convenience: std::collections::BTreeMap<String, Value>,
}

impl Memo {
    /// Keeps a value as the next one of the history and gives its number.
    pub fn record(&mut self, value: Value) -> usize {
        self.history.push(value);
        self.history.len()
    }
}

/// Reads and prints values of a stopped program, as one of its frames sees
/// them.
pub struct Reader<'a> {
    /// The program's modules.
    pub modules: &'a Modules,
    /// The selected frame.
    pub frame: Option<&'a Frame>,
    /// The program.
    pub source: &'a mut dyn Source,
}

/// How deep an entry value may refer to the caller's entry values.
const MAX_CALLERS: u32 = 64;

/// The most bytes that one value may have, so that a damaged type or variable
/// does not make us read gigabytes. gdb's `max-value-size` is 64 KiB.
pub const MAX_VALUE_SIZE: u64 = 16 << 20;

/// Where the thread has the byte at `offset` of a module's thread-local block.
///
/// The program's own block ends at the thread pointer (variant II of the ELF
/// TLS specification, as x86-64 has it). A library's block is found through
/// the thread's vector, by the module's number, which its GOT holds.
fn thread_local(module: &Module, offset: u64, source: &mut dyn Source) -> Option<Address> {
    let pointer = source.thread_pointer()?;
    let (size, alignment) = module.thread_local_block()?;
    if module.kind() == sapwood_dwarf::ModuleKind::Executable {
        let size = size.checked_next_multiple_of(alignment)?;
        return Some(Address(pointer.0.wrapping_sub(size).wrapping_add(offset)));
    }
    let number = module.thread_local_number(source)?;
    let vector = source.read_unsigned(pointer.add(8), 8).ok()?;
    let block = source
        .read_unsigned(Address(vector).add(16 * number), 8)
        .ok()?;
    (block != u64::MAX && block != 0).then(|| Address(block).add(offset))
}

/// A linker's name as the source has it; a name of C is itself.
pub fn demangled(name: &str) -> std::borrow::Cow<'_, str> {
    // A mangled name may stand for a text far longer than it is.
    const MAX_LENGTH: usize = 4096;
    // Without the hash that Rust's older scheme ends with.
    if (name.starts_with("_Z") || name.starts_with("_R"))
        && let Ok(plain) = rustc_demangle::try_demangle(name)
    {
        return format!("{plain:#}").into();
    }
    if name.starts_with("_Z")
        && name.len() <= MAX_LENGTH
        && let Ok(symbol) = cpp_demangle::Symbol::new(name)
        && let Ok(plain) = symbol.demangle()
    {
        return special_name(plain).into();
    }
    name.into()
}

/// The name of what a compiler made for a class, as binutils words it.
fn special_name(name: String) -> String {
    let words = [
        ("{vtable(", "vtable for "),
        ("{vtt(", "VTT for "),
        ("{typeinfo(", "typeinfo for "),
    ];
    for (start, word) in words {
        if let Some(class) = name
            .strip_prefix(start)
            .and_then(|rest| rest.strip_suffix(")}"))
        {
            return format!("{word}{class}");
        }
    }
    name
}
