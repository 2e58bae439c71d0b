//! Functions: by name, by address, and as the chain of calls that the compiler
//! inlined at an address.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::{Address, EntryId, Module, TypeId};

/// A function as the debug information describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    /// The entry that has its code, or, where it has none of its own, the one
    /// that describes it.
    pub id: EntryId,
    /// Its qualified name: `main`, `ns::Type::method`, `alloc::vec::Vec<u8>::push`.
    pub name: String,
    /// The name the linker knows it by, where that differs.
    pub linkage_name: Option<String>,
    /// Its code, the range with the entry point first; empty for one that was
    /// only ever inlined.
    pub ranges: Vec<Range<Address>>,
    /// Where a call lands. `None` for one that was only ever inlined.
    pub entry: Option<Address>,
    /// The file that declares it.
    pub file: Option<Arc<Path>>,
    /// The line that declares it, 0 where nobody says.
    pub line: u32,
    /// Whether other files can call it by name.
    pub is_external: bool,
    /// What it returns; `None` for void.
    pub return_type: Option<TypeId>,
    /// The language it was written in.
    pub language: Language,
}

/// The language of a unit, as far as it changes how names and values look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Language {
    /// C, and whatever is close enough to be shown like it.
    C,
    /// C++.
    Cpp,
    /// Rust.
    Rust,
    /// An assembler.
    Assembly,
}

/// One function that the source has at an address: the physical function, or a
/// call that was inlined into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFrame {
    /// The function.
    pub function: Arc<Function>,
    /// The entry that covers the address: the function's own or that of the
    /// inlined call. It says which scope the frame's variables are in.
    pub entry: EntryId,
    /// The code of this frame: the function's, or the inlined call's.
    pub ranges: Arc<[Range<Address>]>,
    /// Where the frame stands: the line of the address for the innermost
    /// frame, that of the call for the others.
    pub file: Option<Arc<Path>>,
    /// The line, 0 where nobody says.
    pub line: u32,
    /// The column, 0 where nobody says.
    pub column: u32,
    /// Whether the function was inlined into the frame that follows.
    pub is_inlined: bool,
}

impl Module {
    /// The functions of that name, with code of their own or only inlined.
    ///
    /// The name is a whole qualified name, a suffix of one on a `::` boundary,
    /// or a linkage name. Template or generic arguments may be left out.
    pub fn functions(&self, name: &str) -> Vec<Arc<Function>> {
        let _ = name;
        todo!()
    }

    /// The function whose code `at` lies in; not an inlined one.
    pub fn function_at(&self, at: Address) -> Option<Arc<Function>> {
        let _ = at;
        todo!()
    }

    /// The functions that the source has at `at`, innermost first. The last is
    /// the physical one. Empty where no debug information covers `at`.
    ///
    /// Give [`FrameAddress::lookup`](crate::FrameAddress::lookup), not a return
    /// address itself.
    pub fn inlined_at(&self, at: Address) -> Vec<SourceFrame> {
        let _ = at;
        todo!()
    }

    /// The calls of `function` that were inlined: where the code of each copy
    /// begins.
    pub fn inlined_copies(&self, function: &Function) -> Vec<Address> {
        let _ = function;
        todo!()
    }

    /// The qualified names of all functions, for completion and for regular
    /// expressions. Each once, sorted.
    pub fn function_names(&self) -> Vec<String> {
        todo!()
    }
}
