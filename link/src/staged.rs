//! What a batch has taken in and not yet published: flat lists of atoms,
//! symbols over all of its inputs. Section bytes and relocations stay where the
//! input has them until they are written to the image.
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
    /// Hand-built: bytes and names lie in [`Staged::built`].
    Built,
}

/// Makes room for more elements of a list. A list that grows is made eight
/// times as long, because an address range costs nothing until it is used, and
/// copying does.
pub(crate) fn make_room<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity() - list.len() < more {
        list.reserve_exact(more.max(list.len() * 7));
    }
}

/// A run of bytes in an input's source.
#[derive(Clone, Copy, Default)]
pub(crate) struct Span {
    pub start: u32,
    pub len: u32,
}

impl Span {
    #[inline]
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
    /// Its name in [`Staged::built`].
    pub name: Span,
    pub source: Source<'i>,
    /// For each section of an ELF object, its atom in the batch's list, or
    /// `NONE`: a run of [`Staged::sections`]. Empty for hand-built atoms.
    pub sections: Range<u32>,
    /// Its atoms and symbols in the batch's lists.
    pub atoms: Range<u32>,
    pub symbols: Range<u32>,
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
    /// Its relocations as the input holds them: whole records of
    /// [`RELA_LEN`] bytes, checked when they were staged.
    pub relocs: Span,
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
    /// The [`hash`](crate::names::hash) of its name, unless it is nameless.
    pub hash: u32,
    pub input: u32,
    pub definition: StagedDefinition,
    pub size: u64,
    pub binding: Binding,
    pub visibility: Visibility,
    pub kind: SymbolKind,
    /// A section or file symbol, or an assembler label: it has no name worth
    /// keeping.
    pub nameless: bool,
    /// Whether a relocation refers to it.
    pub referred: bool,
}

impl StagedSymbol {
    /// Whether only its own input sees it.
    pub fn is_local(&self) -> bool {
        self.binding == Binding::Local || self.nameless
    }

    /// The null symbol of an input.
    pub fn nothing(input: u32) -> StagedSymbol {
        StagedSymbol {
            name: Span::default(),
            hash: 0,
            input,
            definition: StagedDefinition::Undefined,
            size: 0,
            binding: Binding::Local,
            visibility: Visibility::Default,
            kind: SymbolKind::Untyped,
            nameless: true,
            referred: false,
        }
    }
}

/// One relocation of a batch, as [`Staged::relocs`] reads it from its input.
#[derive(Clone, Copy)]
pub(crate) struct StagedReloc {
    pub offset: u32,
    pub kind: RelocKind,
    /// Its symbol in the batch's list.
    pub symbol: u32,
    pub addend: i64,
}

/// Bytes of a relocation record (`Elf64_Rela`): offset, kind and symbol,
/// addend. Hand-built atoms' relocations are kept in the same form.
pub(crate) const RELA_LEN: usize = 24;

/// The relocations of an atom, read from its input's bytes as they are wanted.
#[derive(Clone)]
pub(crate) struct Relocs<'s> {
    pub records: std::slice::Iter<'s, [u8; RELA_LEN]>,
    /// The input's first symbol, from which theirs count.
    pub first_symbol: u32,
}

impl Relocs<'_> {
    /// What a record says.
    #[inline]
    pub fn read(&self, record: &[u8; RELA_LEN]) -> StagedReloc {
        let [offset, info, addend] = read_rela(record);
        StagedReloc {
            offset: offset as u32,
            kind: RelocKind(info as u32),
            symbol: self.first_symbol + (info >> 32) as u32,
            addend: addend as i64,
        }
    }
}

impl Iterator for Relocs<'_> {
    type Item = StagedReloc;

    #[inline]
    fn next(&mut self) -> Option<StagedReloc> {
        let record = self.records.next()?;
        Some(self.read(record))
    }
}

/// The words of a relocation record.
#[inline]
pub(crate) fn read_rela(record: &[u8; RELA_LEN]) -> [u64; 3] {
    let word = |at: usize| {
        let bytes = record[at..at + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    };
    [word(0), word(8), word(16)]
}

/// All inputs of a batch.
#[derive(Default)]
pub(crate) struct Staged<'i> {
    pub inputs: Vec<StagedInput<'i>>,
    pub atoms: Vec<StagedAtom>,
    pub symbols: Vec<StagedSymbol>,
    /// How many relocations the atoms have.
    pub relocs: usize,
    /// COMDAT groups: signature's input and name, and the group's atoms.
    pub groups: Vec<Group>,
    /// The atoms of all groups.
    pub group_atoms: Vec<u32>,
    /// For each section of each object its atom, or `NONE`.
    pub sections: Vec<u32>,
    /// The inputs' names, and the bytes and names of hand-built atoms.
    pub built: Vec<u8>,
    /// Whether a field holds a 32-bit absolute address.
    pub wants_low: bool,
    /// Whether its definitions take the place of the image's.
    pub replaces: bool,
}

/// A COMDAT group: of several with one signature, one is kept.
pub(crate) struct Group {
    pub input: u32,
    pub signature: Span,
    /// A run of [`Staged::group_atoms`].
    pub atoms: Range<u32>,
}

impl<'i> Staged<'i> {
    /// The bytes that an input's spans count in.
    #[inline]
    pub fn bytes_of(&self, input: u32) -> &[u8] {
        match &self.inputs[input as usize].source {
            Source::Borrowed(bytes) => bytes,
            Source::Member(bytes, range) => &bytes[range.clone()],
            Source::Built => &self.built,
        }
    }

    /// Keeps hand-built bytes or a text.
    pub fn keep(&mut self, bytes: &[u8]) -> Span {
        let start = self.built.len() as u32;
        make_room(&mut self.built, bytes.len());
        self.built.extend_from_slice(bytes);
        Span {
            start,
            len: bytes.len() as u32,
        }
    }

    /// Keeps relocations of a hand-built atom, whose symbols count from its
    /// input's first.
    pub fn keep_relocs(&mut self, relocs: impl Iterator<Item = StagedReloc>) -> Span {
        let start = self.built.len();
        for reloc in relocs {
            let info = u64::from(reloc.symbol) << 32 | u64::from(reloc.kind.0);
            for word in [u64::from(reloc.offset), info, reloc.addend as u64] {
                self.built.extend_from_slice(&word.to_le_bytes());
            }
            self.relocs += 1;
        }
        Span {
            start: start as u32,
            len: (self.built.len() - start) as u32,
        }
    }

    /// What an input is called.
    pub fn input_name(&self, input: u32) -> &str {
        self.inputs[input as usize].name.text(&self.built)
    }

    /// The same as bytes.
    pub fn input_name_bytes(&self, input: u32) -> &[u8] {
        self.inputs[input as usize].name.of(&self.built)
    }

    /// A symbol's name as bytes.
    #[inline]
    pub fn symbol_bytes(&self, symbol: u32) -> &[u8] {
        let symbol = &self.symbols[symbol as usize];
        symbol.name.of(self.bytes_of(symbol.input))
    }

    /// A symbol's name.
    pub fn symbol_name(&self, symbol: u32) -> &str {
        let symbol = &self.symbols[symbol as usize];
        symbol.name.text(self.bytes_of(symbol.input))
    }

    /// The relocations of an atom.
    pub fn relocs(&self, atom: u32) -> Relocs<'_> {
        let atom = &self.atoms[atom as usize];
        let records = atom.relocs.of(self.bytes_of(atom.input));
        Relocs {
            records: records.as_chunks().0.iter(),
            first_symbol: self.inputs[atom.input as usize].symbols.start,
        }
    }

    /// Says again which of an input's symbols are referred to, after some of its
    /// atoms were discarded.
    pub fn refer_again(&mut self, input: u32) {
        let StagedInput { symbols, atoms, .. } = &self.inputs[input as usize];
        let (symbols, atoms) = (symbols.clone(), atoms.clone());
        for symbol in symbols {
            self.symbols[symbol as usize].referred = false;
        }
        let mut referred = Vec::new();
        for atom in atoms.filter(|atom| !self.atoms[*atom as usize].discarded) {
            // The call that belongs to the one before is not one.
            let mut call = false;
            for reloc in self.relocs(atom) {
                let shape = crate::arch::x86_64::shape(reloc.kind);
                if !std::mem::replace(&mut call, shape.has_call) && shape.refers {
                    referred.push(reloc.symbol);
                }
            }
        }
        for symbol in referred {
            self.symbols[symbol as usize].referred = true;
        }
    }

    /// The bytes of an atom.
    pub fn atom_bytes(&self, atom: u32) -> &[u8] {
        let atom = &self.atoms[atom as usize];
        atom.bytes.of(self.bytes_of(atom.input))
    }

    /// An atom's name.
    pub fn atom_name(&self, atom: u32) -> &str {
        let atom = &self.atoms[atom as usize];
        atom.name.text(self.bytes_of(atom.input))
    }

    /// What the input of an atom is called.
    pub fn input_name_of_atom(&self, atom: u32) -> &str {
        self.input_name(self.atoms[atom as usize].input)
    }

    /// Lengths, to go back to when an input turns out to be bad.
    pub fn lengths(&self) -> Lengths {
        Lengths {
            inputs: self.inputs.len(),
            atoms: self.atoms.len(),
            symbols: self.symbols.len(),
            relocs: self.relocs,
            groups: self.groups.len(),
            group_atoms: self.group_atoms.len(),
            sections: self.sections.len(),
            built: self.built.len(),
            wants_low: self.wants_low,
        }
    }

    /// Forgets everything staged since `lengths` was taken.
    pub fn truncate(&mut self, lengths: &Lengths) {
        self.inputs.truncate(lengths.inputs);
        self.atoms.truncate(lengths.atoms);
        self.symbols.truncate(lengths.symbols);
        self.relocs = lengths.relocs;
        self.groups.truncate(lengths.groups);
        self.group_atoms.truncate(lengths.group_atoms);
        self.sections.truncate(lengths.sections);
        self.built.truncate(lengths.built);
        self.wants_low = lengths.wants_low;
    }

    /// Empties the lists for another batch, which may borrow other inputs.
    pub fn recycle<'j>(mut self) -> Staged<'j> {
        self.truncate(&Lengths::default());
        // An empty list of one lifetime becomes one of another in place: the
        // iterator has nothing to map.
        let inputs = self.inputs.into_iter().map(|_| unreachable!("it is empty"));
        Staged {
            inputs: inputs.collect(),
            atoms: self.atoms,
            symbols: self.symbols,
            relocs: 0,
            groups: self.groups,
            group_atoms: self.group_atoms,
            sections: self.sections,
            built: self.built,
            wants_low: false,
            replaces: false,
        }
    }
}

/// See [`Staged::lengths`].
#[derive(Default)]
pub(crate) struct Lengths {
    inputs: usize,
    atoms: usize,
    symbols: usize,
    relocs: usize,
    groups: usize,
    group_atoms: usize,
    sections: usize,
    built: usize,
    wants_low: bool,
}
