//! Unwind entries at scale: one registration for each slab, for ever.
//!
//! libgcc's unwinder sorts what is registered with `__register_frame` at the
//! first throw: a million entries take it longer than a program's user waits,
//! and each registration more slows every throw. But what it searches in the
//! end is a plain array of pointers to entries, sorted by pc. A slab's code
//! grows upwards only, so its entries come sorted. The session keeps that array
//! itself, in a region of the slab, in the form in which libgcc leaves an object
//! that it has sorted, and registers it once: publishing writes pointers past
//! the array's end and then its count, and a throw is a binary search however
//! much there is.
//!
//! The layout of that object (`struct object` and `struct fde_vector` in
//! `unwind-dw2-fde.h`) is part of libgcc's interface with `crtbegin.o` in
//! executables and has been the same since GCC 3; versions 12 to 15 were read.
//! Nothing is taken on trust: the words that libgcc fills in at registration
//! are compared with what is known of it, then it is asked for an entry by
//! `_Unwind_Find_FDE`. Should either answer be another, the object is taken back
//! and each batch's entries are registered in the plain way.
//!
//! What holds between publishes: the array's first `count` words point to
//! entries of published code in the order of their pcs.

use std::ops::Range;

use crate::addr::HostAddr;
use crate::batch::Ground;
use crate::error::Error;
use crate::host::{HostError, Libgcc};
use crate::image::Slab;
use crate::space::Write;
use crate::staged::{Relocs, Staged, StagedReloc, read_rela};
use crate::txn::Txn;

/// The slab's segment for the array.
pub(crate) const SEGMENT: usize = 3;
/// `struct object`: pc_begin, tbase, dbase, u, s, next.
const OBJECT: u64 = 0;
const OBJECT_PC_BEGIN: u64 = 0;
const OBJECT_UNION: u64 = 24;
const OBJECT_BITS: u64 = 32;
/// Three words for `_Unwind_Find_FDE` to answer in.
const ANSWER: u64 = 48;
/// An `.eh_frame` of one entry, that stands for all of the slab's code.
const SEED: u64 = 72;
/// `struct fde_vector`: orig_data, count, array.
const VECTOR: u64 = 136;
const COUNT: u64 = 144;
pub(super) const ARRAY: u64 = 152;
/// `s.b` as registration leaves it: encoding `DW_EH_PE_omit`, from bit 3.
const UNSORTED: u64 = 0xff << 3;
/// `s.b` of what the session keeps: sorted, and each entry's encoding read from
/// its own CIE (`mixed_encoding`).
const SORTED: u64 = 1 | 4;

/// How a slab's unwind entries reach the unwinder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Registered {
    /// Not at all yet.
    NotYet,
    /// As one sorted array.
    Sorted,
    /// Batch by batch.
    Plainly,
}

/// A registered array, to be taken back when the image is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adopted {
    pub start: HostAddr,
    pub libgcc: Libgcc,
}

/// The entries of a staged `.eh_frame`: the offset of each that a relocation
/// gives a pc, with that.
pub(super) struct Entries<'s, 'i> {
    staged: &'s Staged<'i>,
    atom: u32,
    bytes: &'s [u8],
    relocs: Relocs<'s>,
    at: usize,
}

impl<'s, 'i> Entries<'s, 'i> {
    pub fn new(staged: &'s Staged<'i>, atom: u32) -> Entries<'s, 'i> {
        Entries {
            staged,
            atom,
            bytes: staged.atom_bytes(atom),
            relocs: staged.relocs(atom),
            at: 0,
        }
    }

    #[inline]
    fn word(&self, at: usize) -> Option<u32> {
        let word = self.bytes.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*word))
    }

    /// The relocation of a field. Assemblers write relocations in the order of
    /// their fields; should one not, all are looked through.
    #[inline]
    fn reloc_at(&mut self, field: u32) -> Option<StagedReloc> {
        while let [record, rest @ ..] = self.relocs.records.as_slice() {
            let offset = read_rela(record)[0] as u32;
            if offset > field {
                break;
            }
            self.relocs.records = rest.iter();
            if offset == field {
                return Some(self.relocs.read(record));
            }
        }
        let mut all = self.staged.relocs(self.atom);
        all.find(|reloc| reloc.offset == field)
    }
}

impl Iterator for Entries<'_, '_> {
    type Item = Result<(u32, StagedReloc), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(length) = self.word(self.at) {
            let at = self.at;
            let end = at + 4 + length as usize;
            if length == 0 {
                return None;
            }
            if length < 4 || end > self.bytes.len() {
                // Nothing comes behind it.
                self.at = self.bytes.len();
                let name = self.staged.atom_name(self.atom);
                let what = format!("{name}+{at:#x}: an entry is past the end of the section");
                let input = self.staged.input_name_of_atom(self.atom);
                return Some(Err(Error::malformed(input, what)));
            }
            self.at = end;
            // 0 is a CIE; an FDE's first field is the pc.
            if self.word(at + 4) == Some(0) {
                continue;
            }
            if let Some(reloc) = self.reloc_at(at as u32 + 8) {
                return Some(Ok((at as u32, reloc)));
            }
        }
        None
    }
}

/// The bytes that a batch adds to the array, with what comes before it when
/// there is nothing yet.
pub(super) fn array_bytes(slab: &Slab, txn: &mut Txn) {
    let fresh = slab.segments[SEGMENT].used == 0;
    let Txn {
        frames,
        array_bytes,
        ..
    } = txn;
    if fresh {
        let start = slab.segments[SEGMENT].region.start;
        array_bytes.extend(head(start, &slab.segments[0].region.range(), frames.len()));
    }
    for (_, entry) in frames {
        array_bytes.extend(entry.get().to_le_bytes());
    }
}

/// What comes before the array.
fn head(start: HostAddr, code: &Range<HostAddr>, count: usize) -> [u8; ARRAY as usize] {
    let mut head = [0; ARRAY as usize];
    let mut put = |at: u64, bytes: &[u8]| {
        head[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
    };
    // CIE: version 1, "zR", code alignment 1, data alignment -8, return address
    // in column 16, absolute 8-byte pointers; CFA = rsp + 8.
    let cie = [
        20, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, 16, 1, 0x04, 0x0c, 7, 8, 0, 0, 0, 0,
    ];
    put(SEED, &cie);
    put(SEED + 24, &24u32.to_le_bytes());
    put(SEED + 28, &28u32.to_le_bytes());
    put(SEED + 32, &code.start.get().to_le_bytes());
    let length = code.end.distance_from(code.start);
    put(SEED + 40, &length.to_le_bytes());
    put(VECTOR, &start.add(SEED).get().to_le_bytes());
    put(COUNT, &(count as u64).to_le_bytes());
    head
}

/// Puts the entries of overwritten code in the place of those that were there:
/// the word of each and its new value. `None` when they do not begin at the same
/// pcs, one for one.
pub(super) fn overwritten(
    slab: &Slab,
    txn: &mut Txn,
    ground: &mut dyn Ground,
) -> Result<Option<Vec<(HostAddr, HostAddr)>>, HostError> {
    txn.slot_frames.sort_unstable();
    txn.slot_frames.dedup_by_key(|(pc, _)| *pc);
    let array = slab.segments[SEGMENT].region.start.add(ARRAY);
    let count = slab.segments[SEGMENT].used.saturating_sub(ARRAY) / 8;
    let mut words = Vec::with_capacity(txn.slot_frames.len());
    for slot in &txn.in_slots {
        let new = txn.slot_frames.iter();
        let mut new = new.filter(|(pc, _)| slot.range.contains(pc));
        let mut number = first_at_or_after(ground, array, count, slot.range.start)?;
        while number < count {
            let word = array.add(number * 8);
            let entry = HostAddr(read(ground, word)?);
            let pc = pc_of(ground, entry)?;
            if pc >= slot.range.end {
                break;
            }
            match new.next() {
                Some(&(new_pc, entry)) if new_pc == pc => words.push((word, entry)),
                _ => return Ok(None),
            }
            number += 1;
        }
        if new.next().is_some() {
            return Ok(None);
        }
    }
    Ok(Some(words))
}

/// The first of the array's entries whose code begins at or after a pc.
fn first_at_or_after(
    ground: &mut dyn Ground,
    array: HostAddr,
    count: u64,
    pc: HostAddr,
) -> Result<u64, HostError> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        let entry = HostAddr(read(ground, array.add(middle * 8))?);
        if pc_of(ground, entry)? < pc {
            low = middle + 1
        } else {
            high = middle
        }
    }
    Ok(low)
}

/// Where the code of a published entry begins. Compilers write it relative to
/// itself in four or eight bytes, or as an address; the CIE says which.
fn pc_of(ground: &mut dyn Ground, entry: HostAddr) -> Result<HostAddr, HostError> {
    let back = entry.add(4);
    let cie = back.add(u64::from(read(ground, back)? as u32).wrapping_neg());
    let mut head = [0; 48];
    ground.space().read(cie, &mut head)?;
    let field = entry.add(8);
    let word = read(ground, field)?;
    /// `DW_EH_PE_pcrel`, over the low half, which is the size.
    const RELATIVE: u8 = 0x10;
    Ok(match pc_encoding(&head) {
        0x1b => field.add(i64::from(word as i32).cast_unsigned()),
        encoding if encoding & RELATIVE != 0 => field.add(word),
        _ => HostAddr(word),
    })
}

/// The encoding of addresses that a CIE's augmentation names (`R`), 0 when it
/// names none.
fn pc_encoding(cie: &[u8; 48]) -> u8 {
    // Length, id, version; then the augmentation's letters.
    let letters_end = cie[9..].iter().position(|byte| *byte == 0);
    let Some(end) = letters_end.map(|length| 9 + length) else {
        return 0;
    };
    let leb = |at: usize| at + 1 + cie[at..].iter().take_while(|b| *b & 0x80 != 0).count();
    // Code and data alignment, the return address's column, the data's length.
    let mut at = (0..4).fold(end + 1, |at, _| leb(at.min(47)));
    for letter in &cie[10..end] {
        let Some(&byte) = cie.get(at) else { return 0 };
        at += match letter {
            b'R' => return byte,
            b'P' => 1 + if byte & 7 == 0 || byte & 7 == 4 { 8 } else { 4 },
            b'L' => 1,
            _ => 0,
        };
    }
    0
}

/// Where a slab's count is, and what it is.
pub(super) fn count(slab: &Slab, used: u64) -> (HostAddr, [u8; 8]) {
    let start = slab.segments[SEGMENT].region.start;
    let count = used.saturating_sub(ARRAY) / 8;
    (start.add(COUNT), count.to_le_bytes())
}

/// Why an array was not adopted, and what libgcc knows of it all the same.
pub(super) struct NotAdopted {
    pub why: HostError,
    pub left: Left,
}

/// What a failure has left in libgcc.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Left {
    /// Nothing: it can be tried again.
    Nothing,
    /// The object, which must be [given back](give_back) and never be registered
    /// again: libgcc's list would have no end.
    Registered,
    /// The call faulted in the middle of it.
    Unknown,
}

/// Registers a slab's array. False when the target's libgcc is not as expected:
/// nothing is registered then.
pub(super) fn adopt(
    adopted: Adopted,
    code: &Range<HostAddr>,
    known: (HostAddr, HostAddr),
    ground: &mut dyn Ground,
) -> Result<bool, NotAdopted> {
    let Adopted { start, libgcc } = adopted;
    let arguments = [start.add(SEED).get(), start.add(OBJECT).get()];
    if let Err(why) = call(ground, libgcc.register_frame_info, &arguments) {
        let left = match why {
            HostError::Failed(_) => Left::Nothing,
            HostError::Faulted(_) | HostError::Lost(_) => Left::Unknown,
        };
        return Err(NotAdopted { why, left });
    }
    let found = put_array(adopted, code, known, ground);
    if matches!(found, Ok(true)) {
        return Ok(true);
    }
    match (found, give_back(adopted, ground)) {
        (Ok(found), Ok(())) => Ok(found),
        (Err(why), Ok(())) => Err(NotAdopted {
            why,
            left: Left::Nothing,
        }),
        (Err(why), Err(_)) | (Ok(_), Err(why)) => Err(NotAdopted {
            why,
            left: Left::Registered,
        }),
    }
}

/// Puts the array in the place of what was registered, and looks an entry up.
fn put_array(
    adopted: Adopted,
    code: &Range<HostAddr>,
    known: (HostAddr, HostAddr),
    ground: &mut dyn Ground,
) -> Result<bool, HostError> {
    let Adopted { start, libgcc } = adopted;
    let (object, seed) = (start.add(OBJECT), start.add(SEED));
    let as_expected = read(ground, object.add(OBJECT_UNION))? == seed.get()
        && read(ground, object.add(OBJECT_BITS))? == UNSORTED;
    if !as_expected {
        return Ok(false);
    }
    let words = [
        (object.add(OBJECT_PC_BEGIN), code.start.get()),
        (object.add(OBJECT_UNION), start.add(VECTOR).get()),
        (object.add(OBJECT_BITS), SORTED),
    ];
    write(ground, &words)?;
    let (pc, entry) = known;
    let answer = start.add(ANSWER).get();
    let found = call(ground, libgcc.find_fde, &[pc.get(), answer])?;
    Ok(found == entry.get())
}

/// Undoes [`adopt`]: the object is made what registration left, because libgcc
/// would free a sorted one's array.
pub(crate) fn give_back(adopted: Adopted, ground: &mut dyn Ground) -> Result<(), HostError> {
    let Adopted { start, libgcc } = adopted;
    let (object, seed) = (start.add(OBJECT), start.add(SEED));
    let words = [
        (object.add(OBJECT_UNION), seed.get()),
        (object.add(OBJECT_BITS), UNSORTED),
    ];
    write(ground, &words)?;
    call(ground, libgcc.deregister_frame_info, &[seed.get()]).map(drop)
}

fn call(ground: &mut dyn Ground, function: HostAddr, arguments: &[u64]) -> Result<u64, HostError> {
    let call = ground.host().call();
    call.expect("asked for before").call(function, arguments)
}

fn read(ground: &mut dyn Ground, at: HostAddr) -> Result<u64, HostError> {
    let mut word = [0; 8];
    ground.space().read(at, &mut word)?;
    Ok(u64::from_le_bytes(word))
}

/// Writes all of the words or none: half of an object is one that libgcc would
/// stumble over.
fn write(ground: &mut dyn Ground, words: &[(HostAddr, u64)]) -> Result<(), HostError> {
    let bytes: Vec<_> = words.iter().map(|(_, word)| word.to_le_bytes()).collect();
    let writes = words.iter().zip(&bytes);
    let writes: Vec<_> = writes
        .map(|((at, _), bytes)| Write { at: *at, bytes })
        .collect();
    Ok(ground.space().apply(&writes)?)
}
