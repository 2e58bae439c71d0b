//! What a batch has taken in and not yet published: flat lists of atoms and
//! names over all of its inputs. Section bytes, relocations and symbols stay
//! where the input has them, as ELF records, until they are wanted.
//!
//! Nothing here has an address. Indices count from the start of the batch;
//! `plan` turns them into ids of the session.

pub(crate) mod merge;
mod names;
mod symbols;

use std::ops::Range;
use std::sync::Arc;

use object::LittleEndian;
use object::elf::{self, Sym64};
use object::pod;
use object::read::elf::Sym;

use crate::model::{AtomKind, Binding, NONE, RelocKind, SymbolKind, Visibility};
use merge::{Mergeable, Merged};
pub(crate) use names::StagedNames;
pub(crate) use symbols::Symbols;

const LE: LittleEndian = LittleEndian;

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

impl Source<'_> {
    /// The bytes, where `built` are those of all hand-built inputs.
    #[inline]
    pub fn bytes<'s>(&'s self, built: &'s [u8]) -> &'s [u8] {
        match self {
            Source::Borrowed(bytes) => bytes,
            Source::Member(bytes, range) => &bytes[range.clone()],
            Source::Built => built,
        }
    }
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
        text(self.of(bytes))
    }
}

/// A name that was checked when it was staged.
fn text(name: &[u8]) -> &str {
    std::str::from_utf8(name).expect("names are checked when they are staged")
}

/// One input of a batch.
pub(crate) struct StagedInput<'i> {
    /// Its name in [`Staged::built`].
    pub name: Span,
    pub source: Source<'i>,
    /// For each section of an ELF object, its atom in the batch's list, or
    /// `NONE`: a run of [`Staged::sections`]. Empty for hand-built atoms.
    pub sections: Range<u32>,
    /// Its atoms in the batch's list.
    pub atoms: Range<u32>,
    /// The numbers of its symbols in the batch.
    pub symbols: Range<u32>,
    /// Of those, the first that others may see: nearly all before it are its
    /// own, and all that are not come behind it.
    pub first_global: u32,
    /// Its symbol table, checked when it was staged: whole records of
    /// [`SYMBOL_LEN`] bytes.
    pub records: Span,
    /// The symbol table's string table.
    pub strings: Span,
    /// Section numbers that do not fit a symbol record, 4 bytes for each symbol.
    pub section_numbers: Span,
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
    /// Nothing: it holds the entries of [merged](merge) sections. Its bytes lie in
    /// [`Staged::built`].
    Merged,
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

/// Bytes of a symbol record (`Elf64_Sym`). Hand-built atoms' symbols are kept in
/// the same form.
pub(crate) const SYMBOL_LEN: usize = 24;

/// A symbol record as an object has it.
pub(crate) type SymbolRecord = Sym64<LittleEndian>;

/// What a symbol record says, in the session's words.
pub(crate) trait Says {
    fn binding(&self) -> Binding;
    fn visibility(&self) -> Visibility;
    fn kind(&self) -> SymbolKind;
    /// Whether it is a section or file symbol, whose name is not worth keeping.
    fn is_place(&self) -> bool;
}

impl Says for SymbolRecord {
    #[inline]
    fn binding(&self) -> Binding {
        BINDINGS[usize::from(self.st_info.st_bind().0 & 15)]
    }
    #[inline]
    fn visibility(&self) -> Visibility {
        VISIBILITIES[usize::from(self.st_visibility().0 & 3)]
    }
    #[inline]
    fn kind(&self) -> SymbolKind {
        KINDS[usize::from(self.st_info.st_type().0 & 15)]
    }
    #[inline]
    fn is_place(&self) -> bool {
        let kind = self.st_info.st_type().0 & 15;
        kind == elf::STT_SECTION.0 || kind == elf::STT_FILE.0
    }
}

/// By `STB_*`.
const BINDINGS: [Binding; 16] = {
    let mut bindings = [Binding::Global; 16];
    bindings[elf::STB_LOCAL.0 as usize] = Binding::Local;
    bindings[elf::STB_WEAK.0 as usize] = Binding::Weak;
    // A unique symbol comes in a COMDAT group in every object that uses it, and
    // the first is as good as the next.
    bindings[elf::STB_GNU_UNIQUE.0 as usize] = Binding::Weak;
    bindings
};

/// By `STV_*`.
const VISIBILITIES: [Visibility; 4] = [
    Visibility::Default,
    Visibility::Hidden,
    Visibility::Hidden,
    Visibility::Protected,
];

/// By `STT_*`.
const KINDS: [SymbolKind; 16] = {
    let mut kinds = [SymbolKind::Untyped; 16];
    kinds[elf::STT_FUNC.0 as usize] = SymbolKind::Function;
    kinds[elf::STT_OBJECT.0 as usize] = SymbolKind::Object;
    kinds[elf::STT_COMMON.0 as usize] = SymbolKind::Object;
    kinds[elf::STT_TLS.0 as usize] = SymbolKind::ThreadLocal;
    kinds[elf::STT_GNU_IFUNC.0 as usize] = SymbolKind::Ifunc;
    kinds
};

/// What the batch notes of each symbol: the number of its name if others see
/// it, and whether a relocation refers to it.
#[derive(Clone, Copy)]
pub(crate) struct Mark(u32);

impl Mark {
    const REFERRED: u32 = 1 << 31;
    /// Only its own input sees it.
    pub const LOCAL: Mark = Mark(Mark::REFERRED - 1);

    /// Of a symbol that others see.
    #[inline]
    pub fn of_name(number: u32) -> Mark {
        debug_assert!(number < Mark::LOCAL.0);
        Mark(number)
    }

    /// The number of its name among the batch's, if others see it.
    #[inline]
    pub fn name(self) -> Option<u32> {
        let number = self.0 & !Mark::REFERRED;
        (number != Mark::LOCAL.0).then_some(number)
    }

    /// Whether a relocation refers to it.
    #[inline]
    pub fn is_referred(self) -> bool {
        self.0 & Mark::REFERRED != 0
    }

    /// Notes that a relocation refers to it, if `refers`.
    #[inline]
    pub fn refer(&mut self, refers: bool) {
        self.0 |= u32::from(refers) << 31;
    }
}

/// One symbol of a batch: its input and its number, which counts over all
/// inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SymbolAt {
    pub input: u32,
    pub number: u32,
}

impl SymbolAt {
    /// No symbol.
    pub const NONE: SymbolAt = SymbolAt {
        input: NONE,
        number: NONE,
    };

    /// Whether it is one.
    #[inline]
    pub fn is_some(self) -> bool {
        self.number != NONE
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
    /// What is noted of each symbol.
    pub marks: Vec<Mark>,
    /// The names that others than their inputs see.
    pub names: StagedNames,
    /// Definitions of a default version (`f@@V`), with the numbers of the other names
    /// (`f`, `f@V`) that they define.
    pub versions: Vec<(SymbolAt, u32)>,
    /// The indirect functions that only their own inputs see.
    pub local_ifuncs: Vec<SymbolAt>,
    /// How many relocations the atoms have.
    pub relocs: usize,
    /// COMDAT groups: signature's input and name, and the group's atoms.
    pub groups: Vec<Group>,
    /// The atoms of all groups.
    pub group_atoms: Vec<u32>,
    /// For each section of each object its atom, or `NONE`; or that it was
    /// [merged](merge).
    pub sections: Vec<u32>,
    /// The sections that may be merged.
    pub mergeable: Vec<Mergeable>,
    /// Where the entries of those went that were.
    pub merged: Merged,
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
        self.bytes_in(&self.inputs[input as usize])
    }

    /// The same of an input at hand.
    #[inline]
    pub fn bytes_in<'s>(&'s self, input: &'s StagedInput<'_>) -> &'s [u8] {
        input.source.bytes(&self.built)
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

    /// Keeps a text with a zero behind it, as an object does.
    pub fn keep_text(&mut self, text: &str) -> Span {
        let span = self.keep(text.as_bytes());
        self.built.push(0);
        span
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

    /// The symbols of an input.
    #[inline]
    pub fn symbols_of(&self, input: u32) -> Symbols<'_> {
        let of = &self.inputs[input as usize];
        let bytes = of.source.bytes(&self.built);
        let records = pod::slice_from_all_bytes(of.records.of(bytes));
        Symbols {
            first: of.symbols.start,
            locals: (of.first_global - of.symbols.start) as usize,
            records: records.expect("a symbol table is whole records"),
            marks: &self.marks[of.symbols.start as usize..of.symbols.end as usize],
            sections: &self.sections[of.sections.start as usize..of.sections.end as usize],
            merged: &self.merged,
            strings: of.strings.of(bytes),
            section_numbers: of.section_numbers.of(bytes),
        }
    }

    /// The record of a symbol.
    pub fn record(&self, symbol: SymbolAt) -> &SymbolRecord {
        self.symbols_of(symbol.input).record(symbol.number)
    }

    /// What is noted of a symbol.
    #[inline]
    pub fn mark(&self, symbol: SymbolAt) -> Mark {
        self.marks[symbol.number as usize]
    }

    /// The symbols of an input that others may see, with their records and the
    /// numbers of their names.
    #[inline]
    pub fn globals(
        &self,
        input: u32,
    ) -> impl Iterator<Item = (SymbolAt, &SymbolRecord, u32)> + use<'_, 'i> {
        let all = self.symbols_of(input).globals();
        all.map(move |(number, record, _, name)| (SymbolAt { input, number }, record, name))
    }

    /// The symbols that only an input itself sees, with their records.
    #[inline]
    pub fn locals(
        &self,
        input: u32,
    ) -> impl Iterator<Item = (SymbolAt, &SymbolRecord)> + use<'_, 'i> {
        let all = self.symbols_of(input).locals();
        all.map(move |(number, record, _)| (SymbolAt { input, number }, record))
    }

    /// Where a symbol is defined, as its own record says.
    pub fn definition(&self, symbol: SymbolAt, record: &SymbolRecord) -> StagedDefinition {
        self.symbols_of(symbol.input)
            .definition(symbol.number, record)
    }

    /// A symbol's name as bytes: empty for a section or file symbol.
    pub fn symbol_bytes(&self, symbol: SymbolAt) -> &[u8] {
        let symbols = self.symbols_of(symbol.input);
        let record = symbols.record(symbol.number);
        match record.is_place() {
            true => &[],
            false => symbols.text(record),
        }
    }

    /// A symbol's name.
    pub fn symbol_name(&self, symbol: SymbolAt) -> &str {
        text(self.symbol_bytes(symbol))
    }

    /// Where a symbol's name lies in its input's bytes.
    pub fn name_span(&self, symbol: SymbolAt) -> Span {
        let text = self.symbol_bytes(symbol);
        let strings = self.inputs[symbol.input as usize].strings;
        Span {
            start: strings.start + self.record(symbol).st_name(LE),
            len: text.len() as u32,
        }
    }

    /// The text of a name that others see.
    #[inline]
    pub fn name_bytes(&self, number: u32) -> &[u8] {
        self.names.text(self.names.get(number))
    }

    /// The same as a text.
    pub fn name_text(&self, number: u32) -> &str {
        text(self.name_bytes(number))
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
        for mark in &mut self.marks[symbols.start as usize..symbols.end as usize] {
            mark.0 &= !Mark::REFERRED;
        }
        let mut referred = Vec::new();
        for atom in atoms.filter(|atom| !self.atoms[*atom as usize].discarded) {
            // The call that belongs to the one before is not one.
            let mut call = false;
            for reloc in self.relocs(atom) {
                let shape = crate::arch::x86_64::shape(reloc.kind);
                if !std::mem::replace(&mut call, shape.has_call()) && shape.refers() {
                    referred.push(reloc.symbol);
                }
            }
        }
        for symbol in referred {
            self.marks[symbol as usize].refer(true);
        }
    }

    /// The bytes of an atom.
    pub fn atom_bytes(&self, atom: u32) -> &[u8] {
        let atom = &self.atoms[atom as usize];
        match atom.role {
            Role::Merged => atom.bytes.of(&self.built),
            _ => atom.bytes.of(self.bytes_of(atom.input)),
        }
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
            marks: self.marks.len(),
            names: self.names.len(),
            versions: self.versions.len(),
            local_ifuncs: self.local_ifuncs.len(),
            relocs: self.relocs,
            groups: self.groups.len(),
            group_atoms: self.group_atoms.len(),
            sections: self.sections.len(),
            mergeable: self.mergeable.len(),
            built: self.built.len(),
            wants_low: self.wants_low,
        }
    }

    /// Forgets everything staged since `lengths` was taken.
    pub fn truncate(&mut self, lengths: &Lengths) {
        self.inputs.truncate(lengths.inputs);
        self.atoms.truncate(lengths.atoms);
        self.marks.truncate(lengths.marks);
        self.names.truncate(lengths.names);
        self.versions.truncate(lengths.versions);
        self.local_ifuncs.truncate(lengths.local_ifuncs);
        self.relocs = lengths.relocs;
        self.groups.truncate(lengths.groups);
        self.group_atoms.truncate(lengths.group_atoms);
        self.sections.truncate(lengths.sections);
        self.mergeable.truncate(lengths.mergeable);
        self.built.truncate(lengths.built);
        self.wants_low = lengths.wants_low;
    }

    /// Empties the lists for another batch, which may borrow other inputs.
    pub fn recycle<'j>(mut self) -> Staged<'j> {
        self.truncate(&Lengths::default());
        self.merged.clear();
        // An empty list of one lifetime becomes one of another in place: the
        // iterator has nothing to map.
        let inputs = self.inputs.into_iter().map(|_| unreachable!("it is empty"));
        Staged {
            inputs: inputs.collect(),
            atoms: self.atoms,
            marks: self.marks,
            names: self.names,
            versions: self.versions,
            local_ifuncs: self.local_ifuncs,
            relocs: 0,
            groups: self.groups,
            group_atoms: self.group_atoms,
            sections: self.sections,
            mergeable: self.mergeable,
            merged: self.merged,
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
    marks: usize,
    names: usize,
    versions: usize,
    local_ifuncs: usize,
    relocs: usize,
    groups: usize,
    group_atoms: usize,
    sections: usize,
    mergeable: usize,
    built: usize,
    wants_low: bool,
}
