//! What a batch has taken in and not yet published: flat lists of atoms,
//! symbols and relocations over all of its inputs.
//!
//! Nothing here has an address. Indices count from the start of the batch;
//! `plan` turns them into ids of the session.

use std::ops::Range;
use std::sync::Arc;

use crate::model::{AtomKind, Binding, RelocKind, SymbolKind, Visibility};

/// The bytes of an input.
#[derive(Clone)]
pub(crate) enum Source<'i> {
    /// The caller keeps them while the batch lives.
    Borrowed(&'i [u8]),
    /// A member of an archive the session keeps.
    Member(Arc<[u8]>, Range<usize>),
    /// Hand-built atoms: bytes and names gathered in one buffer.
    Built(Vec<u8>),
}

impl Source<'_> {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Source::Borrowed(bytes) => bytes,
            Source::Member(bytes, range) => &bytes[range.clone()],
            Source::Built(bytes) => bytes,
        }
    }
}

/// A run of bytes in an input's source.
#[derive(Clone, Copy, Default)]
pub(crate) struct Span {
    pub start: u32,
    pub len: u32,
}

impl Span {
    pub fn of<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.start as usize..][..self.len as usize]
    }

    /// As a name; the reader checked that it is UTF-8.
    pub fn text<'b>(&self, bytes: &'b [u8]) -> &'b str {
        std::str::from_utf8(self.of(bytes)).expect("names are checked when they are staged")
    }
}

/// One input of a batch.
pub(crate) struct StagedInput<'i> {
    pub name: String,
    pub source: Source<'i>,
    /// Its symbols in the batch's list.
    pub symbols: Range<u32>,
    /// For each section of an ELF object, its atom in the batch's list, or
    /// `NONE`. Empty for hand-built atoms.
    pub sections: Vec<u32>,
    /// Whether the object has debug sections, so that its bytes are worth keeping.
    pub has_debug: bool,
}

/// What an atom does beside being there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Nothing.
    Plain,
    /// A list of functions to call at publish, in the order of `priority`.
    Initialisers { priority: u32, reversed: bool },
    /// A list of functions to call at exit.
    Finalisers { priority: u32, reversed: bool },
    /// Call frame information for the unwinder.
    EhFrame,
}

/// One atom of a batch.
pub(crate) struct StagedAtom {
    pub input: u32,
    pub kind: AtomKind,
    pub role: Role,
    pub alignment_log2: u8,
    /// Dropped in favour of another copy of its COMDAT group.
    pub discarded: bool,
    pub size: u32,
    /// Empty for [`AtomKind::Zero`].
    pub bytes: Span,
    /// The section's name, or the hand-built atom's.
    pub name: Span,
    /// Its relocations in the batch's list.
    pub relocs: Range<u32>,
}

/// Where a staged symbol is defined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StagedDefinition {
    /// Nowhere in this input.
    Undefined,
    /// In an atom of the batch, this many bytes from its start.
    Atom(u32, u64),
    /// At a fixed value.
    Absolute(u64),
    /// A common block: so many bytes of zeroes with this alignment, one for all
    /// inputs that name it.
    Common { alignment: u64 },
    /// In a section that takes no part (debug information, notes).
    Elsewhere,
}

/// One symbol of a batch.
pub(crate) struct StagedSymbol {
    pub name: Span,
    pub definition: StagedDefinition,
    pub size: u64,
    pub binding: Binding,
    pub visibility: Visibility,
    pub kind: SymbolKind,
    /// A section or file symbol, or an assembler label: it has no name worth
    /// keeping.
    pub nameless: bool,
}

/// One relocation of a batch.
#[derive(Clone, Copy)]
pub(crate) struct StagedReloc {
    pub offset: u32,
    pub kind: RelocKind,
    /// Its symbol in the batch's list.
    pub symbol: u32,
    pub addend: i64,
}

/// All inputs of a batch.
#[derive(Default)]
pub(crate) struct Staged<'i> {
    pub inputs: Vec<StagedInput<'i>>,
    pub atoms: Vec<StagedAtom>,
    pub symbols: Vec<StagedSymbol>,
    pub relocs: Vec<StagedReloc>,
    /// COMDAT groups: signature's input and name, and the group's atoms.
    pub groups: Vec<Group>,
}

/// A COMDAT group: of several with one signature, one is kept.
pub(crate) struct Group {
    pub input: u32,
    pub signature: Span,
    pub atoms: Vec<u32>,
}

impl<'i> Staged<'i> {
    /// The input a symbol belongs to.
    pub fn input_of_symbol(&self, symbol: u32) -> &StagedInput<'i> {
        let after = self
            .inputs
            .partition_point(|input| input.symbols.end <= symbol);
        &self.inputs[after]
    }

    /// A symbol's name.
    pub fn symbol_name(&self, symbol: u32) -> &str {
        let bytes = self.input_of_symbol(symbol).source.bytes();
        self.symbols[symbol as usize].name.text(bytes)
    }

    /// The input an atom belongs to.
    pub fn input_of_atom(&self, atom: u32) -> &StagedInput<'i> {
        &self.inputs[self.atoms[atom as usize].input as usize]
    }

    /// An atom's name.
    pub fn atom_name(&self, atom: u32) -> &str {
        self.atoms[atom as usize]
            .name
            .text(self.input_of_atom(atom).source.bytes())
    }

    /// Lengths, to go back to when an input turns out to be bad.
    pub fn lengths(&self) -> Lengths {
        Lengths {
            inputs: self.inputs.len(),
            atoms: self.atoms.len(),
            symbols: self.symbols.len(),
            relocs: self.relocs.len(),
            groups: self.groups.len(),
        }
    }

    /// Forgets everything staged since `lengths` was taken.
    pub fn truncate(&mut self, lengths: &Lengths) {
        self.inputs.truncate(lengths.inputs);
        self.atoms.truncate(lengths.atoms);
        self.symbols.truncate(lengths.symbols);
        self.relocs.truncate(lengths.relocs);
        self.groups.truncate(lengths.groups);
    }
}

/// See [`Staged::lengths`].
pub(crate) struct Lengths {
    inputs: usize,
    atoms: usize,
    symbols: usize,
    relocs: usize,
    groups: usize,
}
