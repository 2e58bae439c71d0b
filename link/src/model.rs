//! Atoms, relocations and symbols: what an image is made of, as outside code
//! names it and as the tables keep it.

use crate::addr::HostAddr;
use crate::ids::{AtomId, Generation, InputId, SymbolId};

/// What an atom's bytes are for; it decides the segment they lie in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum AtomKind {
    /// Instructions.
    Code,
    /// Constants, strings, unwind entries.
    ReadOnly,
    /// Initialised data, and GOT and indirection cells.
    Data,
    /// Data that begins as zeroes; it has a size and no bytes.
    Zero,
    /// The initial bytes of a thread-local.
    ThreadLocal,
}

/// How strongly a definition or reference holds (ELF `STB_*`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Binding {
    /// Seen only by its own input.
    Local,
    /// One definition in all.
    Global,
    /// Yields to a global definition; may stay undefined, and is then 0.
    Weak,
}

/// Who may see a definition (ELF `STV_*`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Visibility {
    /// Everyone.
    Default,
    /// The image only.
    Hidden,
    /// Everyone, and the image's own references are bound to it.
    Protected,
}

/// What a symbol names (ELF `STT_*`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum SymbolKind {
    /// Not said.
    Untyped,
    /// A function.
    Function,
    /// A data object.
    Object,
    /// A thread-local object.
    ThreadLocal,
    /// A function that gives the address to use in its place.
    Ifunc,
}

/// A relocation kind: the number the architecture's psABI gives it. Its formula
/// and range are in [`arch`](crate::arch).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RelocKind(pub u32);

/// What a relocation refers to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RelocTarget {
    /// A symbol that others may see.
    Symbol(SymbolId),
    /// A place in an atom of the same input, counted from the atom's start.
    Atom(AtomId),
    /// A weak name that nobody defines: address 0. Also what a debug or unwind
    /// entry of a discarded section refers to.
    Null,
}

/// A relocation as the image keeps it for ever: relative and symbolic, so that
/// an atom that moves needs none of its relocations rewritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reloc {
    /// The field's offset in its atom, in bytes.
    pub offset: u32,
    /// How the field is computed.
    pub kind: RelocKind,
    /// What it refers to.
    pub target: RelocTarget,
    /// The constant added to the target.
    pub addend: i64,
}

/// No atom, no symbol, no input in a packed record.
pub(crate) const NONE: u32 = u32::MAX;

/// Marks a packed relocation target that is an atom.
const ATOM: u32 = 1 << 31;

/// [`Reloc`] as the table keeps it: 12 bytes. An addend that does not fit lies
/// in a table of its own, and the record holds its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RelocRecord {
    pub offset: u32,
    target: u32,
    /// Kind in the low 7 bits, [`WIDE`](RelocRecord::WIDE), addend in the high 24.
    packed: u32,
}

impl RelocRecord {
    /// The addend is a number in the table of wide ones.
    const WIDE: u32 = 0x80;

    /// Whether an addend fits a record.
    #[inline]
    pub fn is_short(addend: i64) -> bool {
        (addend << 40 >> 40) == addend
    }

    /// A record whose addend fits.
    #[inline]
    pub fn short(offset: u32, kind: RelocKind, target: PackedTarget, addend: i64) -> RelocRecord {
        debug_assert!(kind.0 < RelocRecord::WIDE && RelocRecord::is_short(addend));
        RelocRecord {
            offset,
            target: target.0,
            packed: kind.0 | (addend as u32) << 8,
        }
    }

    /// A record whose addend is that number among the wide ones.
    pub fn wide(offset: u32, kind: RelocKind, target: PackedTarget, number: u32) -> RelocRecord {
        RelocRecord {
            offset,
            target: target.0,
            packed: kind.0 | RelocRecord::WIDE | number << 8,
        }
    }

    /// The number of the addend among the wide ones, if it is one.
    pub fn wide_addend(&self) -> Option<usize> {
        (self.packed & RelocRecord::WIDE != 0).then_some((self.packed >> 8) as usize)
    }

    /// `wide` is the addend that [`wide_addend`](RelocRecord::wide_addend) names.
    pub fn unpack(&self, wide: Option<i64>) -> Reloc {
        Reloc {
            offset: self.offset,
            kind: RelocKind(self.packed & (RelocRecord::WIDE - 1)),
            target: PackedTarget(self.target).unpack(),
            addend: wide.unwrap_or(i64::from(self.packed as i32 >> 8)),
        }
    }
}

/// [`RelocTarget`] in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PackedTarget(u32);

impl PackedTarget {
    pub const NULL: PackedTarget = PackedTarget(NONE);

    pub fn atom(atom: AtomId) -> PackedTarget {
        PackedTarget(atom.0 | ATOM)
    }

    pub fn symbol(symbol: SymbolId) -> PackedTarget {
        PackedTarget(symbol.0)
    }

    fn unpack(self) -> RelocTarget {
        match self.0 {
            NONE => RelocTarget::Null,
            atom if atom & ATOM != 0 => RelocTarget::Atom(AtomId(atom & !ATOM)),
            symbol => RelocTarget::Symbol(SymbolId(symbol)),
        }
    }
}

/// An atom as the table keeps it. 20 bytes, because a translated program has
/// millions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtomRecord {
    /// The input it came from; `NONE` for an anonymous atom.
    pub input: u32,
    /// Offset in its region.
    pub offset: u32,
    pub size: u32,
    /// Its first relocation; they end where the next atom's begin.
    pub relocs: u32,
    pub region: u16,
    pub kind: AtomKind,
    pub alignment_log2: u8,
}

/// Where a symbol is defined.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Definition {
    /// In an atom of the image, this many bytes from its start.
    Atom(AtomId, u64),
    /// At a fixed value, which no image move changes.
    Absolute(u64),
    /// Outside the image, at this address.
    Outside(HostAddr),
    /// A thread-local outside the image, at this offset from the thread pointer.
    ThreadOffset(i64),
}

/// A symbol as the table keeps it. 32 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SymbolRecord {
    pub value: u64,
    /// Its name: a [`NameId`](crate::NameId), or for a local symbol the number
    /// among [`Locals`](crate::locals::Locals).
    pub name: u32,
    pub generation: u32,
    /// The symbol of the same name before this one that others see, or `NONE`.
    pub older: u32,
    /// Its atom, or one of the marks below.
    pub atom: u32,
    pub size: u32,
    pub binding: Binding,
    pub visibility: Visibility,
    pub kind: SymbolKind,
}

impl SymbolRecord {
    /// In `atom`: the value is absolute.
    pub const ABSOLUTE: u32 = NONE;
    /// In `atom`: the value is an address outside the image.
    pub const OUTSIDE: u32 = NONE - 1;
    /// In `atom`: the value is the offset from the thread pointer of a
    /// thread-local outside the image.
    pub const THREAD_OUTSIDE: u32 = NONE - 2;

    /// Whether the image itself defines it, for others to see.
    pub fn is_image_definition(&self) -> bool {
        let outside = matches!(
            self.atom,
            SymbolRecord::OUTSIDE | SymbolRecord::THREAD_OUTSIDE
        );
        self.binding != Binding::Local && !outside
    }

    pub fn definition(&self) -> Definition {
        match self.atom {
            SymbolRecord::ABSOLUTE => Definition::Absolute(self.value),
            SymbolRecord::OUTSIDE => Definition::Outside(HostAddr(self.value)),
            SymbolRecord::THREAD_OUTSIDE => Definition::ThreadOffset(self.value as i64),
            atom => Definition::Atom(AtomId(atom), self.value),
        }
    }
}

/// A symbol, as a [`View`](crate::View) shows it.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<'v> {
    /// Its id.
    pub id: SymbolId,
    /// Its name.
    pub name: &'v str,
    /// Where it is defined.
    pub definition: Definition,
    /// Its address, or its value when it is absolute.
    pub address: HostAddr,
    /// Its size in bytes, 0 when not said.
    pub size: u64,
    /// How strongly it holds.
    pub binding: Binding,
    /// Who may see it.
    pub visibility: Visibility,
    /// What it names.
    pub kind: SymbolKind,
    /// The batch that brought it.
    pub generation: Generation,
}

/// An atom, as a [`View`](crate::View) shows it.
#[derive(Clone, Copy, Debug)]
pub struct Atom {
    /// Its id.
    pub id: AtomId,
    /// The input it came from; none for a translated block.
    pub input: Option<InputId>,
    /// What its bytes are for.
    pub kind: AtomKind,
    /// Where it lies.
    pub address: HostAddr,
    /// How long it is, in bytes.
    pub size: u64,
    /// What its address is a multiple of, in bytes.
    pub alignment: u64,
}
