//! One file of the program: its ELF facts, and the door to its debug
//! information, which is read when first asked for.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::{Address, Arch, Error, Input, ModuleKind, Result};

/// An entry of a module's debug information: the unit and the offset in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct EntryId {
    pub(crate) unit: u32,
    pub(crate) offset: u32,
}

/// An executable, shared library or published object of the program.
///
/// Opening one reads its ELF headers only. It is immutable afterwards but for
/// what it has decoded, and may be used by several threads at once.
pub struct Module {
    name: PathBuf,
    kind: ModuleKind,
    bias: u64,
    ranges: Vec<Range<Address>>,
}

impl Module {
    /// Opens a module: reads its ELF headers, and nothing more yet.
    pub fn open(input: Input) -> Result<Module> {
        let _ = &input;
        Err(Error::new(input.name, "not yet"))
    }

    /// What the module is called: its path, where it has one.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// What it is to the program.
    pub fn kind(&self) -> ModuleKind {
        self.kind
    }

    /// What the loader added to each of the file's addresses.
    pub fn bias(&self) -> u64 {
        self.bias
    }

    /// The memory that belongs to it, as sorted ranges that do not overlap.
    pub fn ranges(&self) -> &[Range<Address>] {
        &self.ranges
    }

    /// The instruction set of its code.
    pub fn arch(&self) -> Arch {
        todo!()
    }

    /// Where the program starts.
    pub fn entry(&self) -> Option<Address> {
        todo!()
    }

    /// Its build id, where it has one.
    pub fn build_id(&self) -> Option<&[u8]> {
        todo!()
    }

    /// The file name and checksum of its `.gnu_debuglink`.
    pub fn debug_link(&self) -> Option<(&Path, u32)> {
        todo!()
    }

    /// The dynamic linker that it asks for.
    pub fn interpreter(&self) -> Option<&Path> {
        todo!()
    }

    /// Whether the loader may place it anywhere.
    pub fn is_position_independent(&self) -> bool {
        todo!()
    }

    /// Whether it has debug information with source lines.
    pub fn has_debug_info(&self) -> bool {
        todo!()
    }

    /// Its sections that are loaded: name and address range.
    pub fn sections(&self) -> Vec<(&str, Range<Address>)> {
        todo!()
    }

    /// The bytes that the file has for `range`, where it is loaded from the
    /// file: what memory held before the program ran.
    pub fn file_bytes(&self, range: Range<Address>) -> Option<&[u8]> {
        let _ = range;
        todo!()
    }

    /// What was wrong with its debug information, as far as it was read.
    pub fn complaints(&self) -> Vec<Error> {
        todo!()
    }
}
