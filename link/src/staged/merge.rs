//! Merged sections: strings and constants (`SHF_MERGE`) of which a batch keeps
//! one of each, as a linker does.
//!
//! Sections of one entry size, alignment and kind are a *class*. The entries of a
//! class go to one atom, each once, in the order in which they are met; the
//! sections' own atoms are dropped, and a symbol in one of them stands for the
//! place that its entry went to. A relocation against the *section* symbol says
//! which entry it means by its addend, so it is looked up by itself.
//!
//! A section stays whole where that cannot be told or may not be: it has
//! relocations of its own; it is named so that its bounds can be asked for
//! (`__start_X`); its last string does not end; an instruction refers to its section
//! symbol by a field that counts from itself, and which entry that is depends on
//! whether the addend makes up for the distance to the instruction's end. (LLVM and
//! GNU assemblers then mean the entry that the addend names, others the one a few
//! bytes on.) What is alone in its class is left as it is, so a batch
//! of one object costs what it did. Ends of strings are not shared.
//!
//! Source: System V ABI, chapter 4, on `SHF_MERGE` and `SHF_STRINGS`.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use object::LittleEndian;
use object::elf;
use object::read::elf::Sym;

use super::{Role, Says, Span, Staged, StagedAtom, make_room};
use crate::arch::x86_64::is_relative;
use crate::model::{AtomKind, NONE};
use crate::names::{hash, hash_to_nul};

/// Marks a section's entry in [`Staged::sections`] whose own atom is dropped.
pub(super) const MERGED: u32 = 1 << 31;
/// The longest entry that is shared, in bytes, if it is no string.
const LONGEST: u64 = 64;
/// The most bytes that one class may have.
const MOST_BYTES: usize = 1 << 30;

/// A section that may be merged with others.
#[derive(Clone, Copy)]
pub(crate) struct Mergeable {
    /// Where its atom is said in [`Staged::sections`].
    slot: u32,
    atom: u32,
    class: Class,
}

/// What sections have in common whose entries are kept in one place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    strings: bool,
    /// Bytes of an entry, or of a character of a string.
    entry: u32,
    alignment_log2: u8,
}

impl Mergeable {
    /// A section of constants, by its flags and size of entry, if it is one.
    pub fn new(
        flags: elf::SectionFlags,
        entry: u64,
        slot: u32,
        (atom, staged): (u32, &StagedAtom),
    ) -> Option<Mergeable> {
        let strings = flags.0 & elf::SHF_STRINGS.0 != 0;
        let is_fit = match strings {
            true => matches!(entry, 1 | 2 | 4),
            false => (1..=LONGEST).contains(&entry),
        };
        let whole = is_fit && u64::from(staged.size).is_multiple_of(entry);
        let constants = staged.kind == AtomKind::ReadOnly && staged.role == Role::Plain;
        (whole && constants).then_some(Mergeable {
            slot,
            atom,
            class: Class {
                strings,
                entry: entry as u32,
                alignment_log2: staged.alignment_log2,
            },
        })
    }
}

/// Where an entry was in its section, and where it is in the class's atom.
#[derive(Clone, Copy)]
struct Piece {
    old: u32,
    new: u32,
}

/// Where each entry of a section was in it, and is in the class's atom.
pub(crate) type Entries = Box<[(u32, u32)]>;

/// A section whose entries went elsewhere.
struct Section {
    size: u32,
    /// The class's atom.
    into: u32,
    /// Its pieces in [`Merged::pieces`].
    pieces: Range<u32>,
    /// The one that was looked up last: an object names one after the other.
    last: AtomicU32,
}

/// Where the entries of merged sections went.
#[derive(Default)]
pub(crate) struct Merged {
    sections: Vec<Section>,
    /// Of each section in the order of their places in it.
    pieces: Vec<Piece>,
}

impl Merged {
    /// Whether no section was merged.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// The class's atom of a section, given by its entry in [`Staged::sections`].
    #[inline]
    pub fn atom(&self, section: u32) -> u32 {
        self.sections[(section & !MERGED) as usize].into
    }

    /// The place in the class's atom that an offset in a section went to; none past
    /// the section's end.
    #[inline]
    pub fn place(&self, section: u32, offset: u64) -> Option<u64> {
        let section = &self.sections[(section & !MERGED) as usize];
        if offset > u64::from(section.size) {
            return None;
        }
        let (offset, pieces) = (offset as u32, section.pieces.clone());
        let pieces = &self.pieces[pieces.start as usize..pieces.end as usize];
        let last = section.last.load(Ordering::Relaxed) as usize;
        let (now, next) = (pieces[last].old, pieces.get(last + 1));
        let number = match next {
            // The one after it, as a rule, or itself.
            Some(next) if next.old <= offset => match pieces.get(last + 2) {
                Some(third) if third.old <= offset => search(pieces, offset),
                _ => last + 1,
            },
            _ if now <= offset => last,
            _ => search(pieces, offset),
        };
        section.last.store(number as u32, Ordering::Relaxed);
        let piece = pieces[number];
        Some(u64::from(piece.new + (offset - piece.old)))
    }

    /// The class's atom of a section, given by its entry in [`Staged::sections`], how
    /// long the section was, and of each of its entries where it was in it and is in
    /// the atom; none for a section that was not merged.
    pub fn section(&self, section: u32) -> Option<(u32, u32, Entries)> {
        let section = is_merged(section).then(|| &self.sections[(section & !MERGED) as usize])?;
        let pieces = &self.pieces[section.pieces.start as usize..section.pieces.end as usize];
        let entries = pieces.iter().map(|piece| (piece.old, piece.new));
        Some((section.into, section.size, entries.collect()))
    }

    pub fn clear(&mut self) {
        self.sections.clear();
        self.pieces.clear();
    }
}

/// The number of the piece that an offset lies in.
#[cold]
fn search(pieces: &[Piece], offset: u32) -> usize {
    let after = pieces.partition_point(|piece| piece.old <= offset);
    after.saturating_sub(1)
}

/// Keeps one of each entry of the sections that can be merged. What is discarded
/// is known.
pub(crate) fn merge(staged: &mut Staged<'_>) {
    if staged.mergeable.len() < 2 {
        return;
    }
    let mut sections = std::mem::take(&mut staged.mergeable);
    sections.retain(|section| can_move(staged, section));
    keep_ambiguous(staged, &mut sections);
    sections.sort_by_key(|section| (section.class, section.atom));
    for of_class in sections.chunk_by(|a, b| a.class == b.class) {
        if of_class.len() > 1 {
            merge_class(staged, of_class);
        }
    }
    sections.clear();
    staged.mergeable = sections;
}

/// Whether nothing about a section itself is against its entries' moving.
fn can_move(staged: &Staged<'_>, section: &Mergeable) -> bool {
    let atom = &staged.atoms[section.atom as usize];
    let bytes = staged.atom_bytes(section.atom);
    let end = bytes.len().saturating_sub(section.class.entry as usize);
    let ends = !section.class.strings || bytes[end..].iter().all(|byte| *byte == 0);
    let bounded = !staged.atom_name(section.atom).starts_with('.');
    // With so many sections, symbols say which is theirs elsewhere.
    let many = staged.inputs[atom.input as usize].section_numbers.len > 0;
    let own = !atom.discarded && !bytes.is_empty() && atom.relocs.len == 0;
    own && ends && !bounded && !many
}

/// Takes out the sections of which an instruction means one entry or another,
/// depending on who wrote it.
fn keep_ambiguous(staged: &Staged<'_>, sections: &mut Vec<Mergeable>) {
    let mut kept = Vec::new();
    let input_of = |section: &Mergeable| staged.atoms[section.atom as usize].input;
    for of_input in sections.chunk_by(|a, b| input_of(a) == input_of(b)) {
        let input = input_of(&of_input[0]);
        let symbols = staged.symbols_of(input);
        let first_slot = staged.inputs[input as usize].sections.start;
        let referred = symbols.locals().filter_map(|(number, record, mark)| {
            let is_section = record.is_place() && mark.is_referred();
            let slot = first_slot + u32::from(record.st_shndx(LittleEndian).0);
            let mut sections = of_input.iter().filter(|_| is_section);
            let section = sections.find(|section| section.slot == slot)?;
            Some((number, record.st_value(LittleEndian), section))
        });
        let referred: Vec<(u32, u64, &Mergeable)> = referred.collect();
        if referred.is_empty() {
            continue;
        }
        let atoms = staged.inputs[input as usize].atoms.clone();
        for atom in atoms.filter(|atom| staged.atoms[*atom as usize].kind == AtomKind::Code) {
            for reloc in staged.relocs(atom).filter(|reloc| is_relative(reloc.kind)) {
                let found = referred.iter().find(|(number, ..)| *number == reloc.symbol);
                let ambiguous = found.filter(|(_, value, section)| {
                    let place = value.wrapping_add(reloc.addend as u64);
                    ends_behind(staged.atom_bytes(section.atom), place, section.class)
                });
                kept.extend(ambiguous.map(|(_, _, section)| section.atom));
            }
        }
    }
    if !kept.is_empty() {
        sections.retain(|section| !kept.contains(&section.atom));
    }
}

/// Whether an entry ends so soon after a place in a section that an instruction
/// may mean the next.
fn ends_behind(bytes: &[u8], place: u64, class: Class) -> bool {
    /// The furthest from a field to its instruction's end, in bytes.
    const FURTHEST: u64 = 8;
    let entry = u64::from(class.entry);
    let (first, last) = (place / entry, place.saturating_add(FURTHEST) / entry);
    if !class.strings {
        return first != last;
    }
    let characters = (first * entry) as usize..(last * entry) as usize;
    bytes.get(characters).is_none_or(|characters| {
        let mut characters = characters.chunks_exact(class.entry as usize);
        characters.any(|character| character.iter().all(|byte| *byte == 0))
    })
}

/// Makes the atom of a class, and drops its sections' own.
fn merge_class(staged: &mut Staged<'_>, sections: &[Mergeable]) {
    let class = sections[0].class;
    let len = |section: &Mergeable| staged.atoms[section.atom as usize].size as usize;
    if sections.iter().map(len).sum::<usize>() > MOST_BYTES {
        return;
    }
    let into = staged.atoms.len() as u32;
    let total = sections.iter().map(len).sum();
    let mut pool = Pool::new(std::mem::take(&mut staged.built), total, class);
    let mut merged = std::mem::take(&mut staged.merged);
    for section in sections {
        let first = merged.pieces.len() as u32;
        let bytes = staged.atom_bytes(section.atom);
        let mut at = 0;
        while at < bytes.len() {
            let (len, hash) = entry_at(bytes, at, class);
            let new = pool.place_of(&bytes[at..at + len], hash);
            merged.pieces.push(Piece {
                old: at as u32,
                new,
            });
            at += len + padding_at(bytes, at + len, class);
        }
        merged.sections.push(Section {
            size: bytes.len() as u32,
            into,
            pieces: first..merged.pieces.len() as u32,
            last: AtomicU32::new(0),
        });
        staged.sections[section.slot as usize] = MERGED | (merged.sections.len() - 1) as u32;
        staged.atoms[section.atom as usize].discarded = true;
    }
    staged.merged = merged;
    let first = &staged.atoms[sections[0].atom as usize];
    let (input, name) = (first.input, first.name);
    let bytes = Span {
        start: pool.base as u32,
        len: (pool.bytes.len() - pool.base) as u32,
    };
    staged.built = pool.bytes;
    staged.atoms.push(StagedAtom {
        input,
        kind: AtomKind::ReadOnly,
        role: Role::Merged,
        alignment_log2: class.alignment_log2,
        discarded: false,
        size: bytes.len,
        bytes,
        name,
        relocs: Span::default(),
    });
}

/// The length of the entry at an offset, a string's end included, and its hash.
fn entry_at(bytes: &[u8], at: usize, class: Class) -> (usize, u32) {
    let (rest, entry) = (&bytes[at..], class.entry as usize);
    if !class.strings {
        return (entry, hash(&rest[..entry]));
    }
    if entry == 1 {
        let (len, hash) = hash_to_nul(rest).expect("the last byte is zero");
        return (len + 1, hash);
    }
    let mut characters = rest.chunks_exact(entry);
    let len = characters.position(|c| c.iter().all(|byte| *byte == 0));
    let len = (len.expect("the last character is zero") + 1) * entry;
    (len, hash(&rest[..len]))
}

/// How many zero bytes follow a string up to where the next may begin. They are
/// no strings of their own.
fn padding_at(bytes: &[u8], end: usize, class: Class) -> usize {
    let next = end.next_multiple_of(1 << class.alignment_log2);
    let is_padding = class.strings
        && bytes
            .get(end..next)
            .is_some_and(|between| between.iter().all(|byte| *byte == 0));
    if is_padding { next - end } else { 0 }
}

/// Entries, each once, behind the bytes that hand-built inputs have.
struct Pool {
    bytes: Vec<u8>,
    /// Where they begin.
    base: usize,
    alignment: usize,
    entries: Vec<Entry>,
    /// Open addressing by hash, half full at most: an entry's number, or `NONE`.
    slots: Vec<u32>,
}

/// Where an entry begins, counted from the base, how long it is, and its hash.
#[derive(Clone, Copy)]
struct Entry {
    start: u32,
    len: u32,
    hash: u32,
}

impl Pool {
    /// For sections of `total` bytes.
    fn new(mut bytes: Vec<u8>, total: usize, class: Class) -> Pool {
        /// About how long texts are, and how many slots there are at least.
        const USUAL: usize = 32;
        const FIRST_LEN: usize = 64;
        let entry = if class.strings {
            USUAL
        } else {
            class.entry as usize
        };
        let slots = (total / entry).next_power_of_two().max(FIRST_LEN);
        make_room(&mut bytes, total);
        Pool {
            base: bytes.len(),
            bytes,
            alignment: 1 << class.alignment_log2,
            entries: Vec::with_capacity(slots / 2),
            slots: vec![NONE; slots],
        }
    }

    /// Where an entry lies, which is added if it is new.
    fn place_of(&mut self, entry: &[u8], hash: u32) -> u32 {
        if self.entries.len() >= self.slots.len() / 2 {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(known) = self.entries.get(self.slots[at] as usize) {
            if known.hash == hash && known.len as usize == entry.len() {
                let start = self.base + known.start as usize;
                if self.bytes[start..start + entry.len()] == *entry {
                    return known.start;
                }
            }
            at = (at + 1) & mask;
        }
        self.slots[at] = self.entries.len() as u32;
        let start = (self.bytes.len() - self.base) as u32;
        self.entries.push(Entry {
            start,
            len: entry.len() as u32,
            hash,
        });
        self.bytes.extend_from_slice(entry);
        // What follows a string is zero up to where the next may begin.
        let end = (self.bytes.len() - self.base).next_multiple_of(self.alignment);
        self.bytes.resize(self.base + end, 0);
        start
    }

    #[cold]
    fn grow(&mut self) {
        self.slots = vec![NONE; self.slots.len() * 2];
        let mask = self.slots.len() - 1;
        for (entry, number) in self.entries.iter().zip(0..) {
            let mut at = entry.hash as usize & mask;
            while self.slots[at] != NONE {
                at = (at + 1) & mask;
            }
            self.slots[at] = number;
        }
    }
}

/// Whether an entry of [`Staged::sections`] is that of a merged section.
#[inline]
pub(super) fn is_merged(section: u32) -> bool {
    section & MERGED != 0 && section != NONE
}
