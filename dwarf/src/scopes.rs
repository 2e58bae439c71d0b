//! Variables: which ones a pc can see, and the program's globals.

use std::path::Path;
use std::sync::Arc;

use crate::{Address, EntryId, Module, Result, TypeId};

/// A variable or parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variable {
    /// The entry that has its location (of the inlined or concrete copy).
    pub id: EntryId,
    /// Its name; qualified for a global.
    pub name: String,
    /// Its type.
    pub type_id: Option<TypeId>,
    /// What kind of variable it is.
    pub kind: VariableKind,
    /// The file that declares it.
    pub file: Option<Arc<Path>>,
    /// The line that declares it, 0 where nobody says.
    pub line: u32,
    /// The block that it belongs to, 0 for the function's own, counted inwards.
    pub depth: u32,
    /// Whether the compiler made it up.
    pub is_artificial: bool,
}

/// What kind of variable it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum VariableKind {
    /// A formal parameter.
    Parameter,
    /// A local variable.
    Local,
    /// A variable of a file or namespace.
    Global,
}

impl Module {
    /// The variables that the frame whose code is described by `frame` (a
    /// [`SourceFrame::entry`](crate::SourceFrame::entry)) can see at `at`,
    /// innermost block first and in order of declaration within one.
    pub fn variables(&self, frame: EntryId, at: Address) -> Result<Vec<Variable>> {
        let _ = (frame, at);
        todo!()
    }

    /// The global and file-static variables of that name, or of that suffix on
    /// a `::` boundary, or that linkage name. Only definitions.
    pub fn globals(&self, name: &str) -> Vec<Variable> {
        let _ = name;
        todo!()
    }

    /// The constants that an enumeration visible from anywhere in the module
    /// gives a name to: the enumeration and the value.
    pub fn enumerator(&self, name: &str) -> Option<(TypeId, i128)> {
        let _ = name;
        todo!()
    }
}
