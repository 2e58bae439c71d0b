//! `apply`: writes a planned batch past the cursors.
//!
//! Where the space has a window the bytes are built in place; where it has not
//! they are built in a buffer and handed over in one call. That call comes
//! first, because it is the one that can fail.

use std::ops::Range;

use crate::addr::HostAddr;
use crate::batch::Ground;
use crate::error::Error;
use crate::image::{SEGMENTS, Slab, segment_of};
use crate::model::{AtomKind, NONE};
use crate::publish::unwind;
use crate::space::{AddressSpace, Protection, SpaceError, Write};
use crate::staged::{Staged, StagedAtom};
use crate::txn::{ThreadBlock, Txn};

/// A contiguous range of a segment to be filled.
struct Run {
    segment: usize,
    /// Offsets in the segment.
    range: Range<u64>,
    /// The bytes, when the space has no window.
    buffer: Vec<u8>,
}

impl Run {
    fn at(&self, slab: &Slab) -> HostAddr {
        slab.segments[self.segment]
            .region
            .start
            .add(self.range.start)
    }

    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// Commits pages and writes. On error the target is as it was, or reported
/// lost.
pub(super) fn apply(
    staged: &Staged<'_>,
    slab: &Slab,
    txn: &Txn,
    ground: &mut dyn Ground,
) -> Result<(), Error> {
    let result = try_apply(staged, slab, txn, ground);
    if let Err(Error::Space(_) | Error::Host(_)) = result {
        undo(slab, txn, ground.space())?;
    }
    result
}

fn try_apply(
    staged: &Staged<'_>,
    slab: &Slab,
    txn: &Txn,
    ground: &mut dyn Ground,
) -> Result<(), Error> {
    let space = ground.space();
    for (segment, &used) in slab.segments.iter().zip(&txn.used) {
        if used > segment.committed {
            space.commit(&segment.region, segment.commit_to(used))?;
        }
    }
    let mut runs = runs(slab, txn);
    for run in &mut runs {
        if run.len() > 0 && space.window(run.at(slab), run.len()).is_none() {
            run.buffer = vec![0; run.len() as usize];
        }
    }
    // First what goes through `apply`, then the windows: writing to those
    // cannot fail.
    fill(staged, slab, txn, space, &mut runs, true);
    let buffered = runs.iter().filter(|run| !run.buffer.is_empty());
    let mut writes: Vec<Write<'_>> = buffered
        .map(|run| Write {
            at: run.at(slab),
            bytes: &run.buffer,
        })
        .collect();
    let (at, count) = unwind::count(slab, txn.used[unwind::SEGMENT]);
    let counts = !txn.array_bytes.is_empty() && slab.segments[unwind::SEGMENT].used > 0;
    let windowless = writes.iter().any(|write| {
        slab.segments[unwind::SEGMENT]
            .region
            .range()
            .contains(&write.at)
    });
    if counts && windowless {
        // Last: it is what shows the entries to the unwinder.
        writes.push(Write { at, bytes: &count });
    }
    if !writes.is_empty() {
        space.apply(&writes)?;
    }
    fill(staged, slab, txn, space, &mut runs, false);
    let code = &slab.segments[0];
    if txn.used[0] > code.used {
        let written = code.cursor().range(txn.used[0] - code.used);
        space.seal(written, Protection::Code)?;
    }
    initialise_thread_locals(staged, slab, txn, ground)?;
    if counts && !windowless {
        let cell = ground.space().window(at, 8);
        cell.expect("there was a window").copy_from_slice(&count);
    }
    Ok(())
}

/// The ranges that hold bytes: code with its stubs, constants, data, cells.
/// Some may be empty.
fn runs(slab: &Slab, txn: &Txn) -> [Run; 5] {
    let before: [u64; SEGMENTS] = slab.segments.each_ref().map(|segment| segment.used);
    let ranges = [
        (0, before[0]..txn.used[0]),
        (1, before[1]..txn.used[1]),
        (2, before[2]..txn.data_end),
        // Without cells `cells_start` may lie past the cursor.
        (2, txn.cells_start..txn.used[2].max(txn.cells_start)),
        (
            unwind::SEGMENT,
            before[unwind::SEGMENT]..txn.used[unwind::SEGMENT],
        ),
    ];
    ranges.map(|(segment, range)| Run {
        segment,
        range,
        buffer: Vec::new(),
    })
}

/// Fills the buffers, or the windows.
fn fill(
    staged: &Staged<'_>,
    slab: &Slab,
    txn: &Txn,
    space: &mut dyn AddressSpace,
    runs: &mut [Run],
    buffers: bool,
) {
    for run in runs.iter_mut().filter(|run| run.len() > 0) {
        if run.buffer.is_empty() == buffers {
            continue;
        }
        let (at, len) = (run.at(slab), run.len());
        let bytes: &mut [u8] = if buffers {
            &mut run.buffer
        } else {
            space
                .window(at, len)
                .expect("there was a window a moment ago")
        };
        if run.segment == unwind::SEGMENT {
            bytes.copy_from_slice(&txn.array_bytes);
            continue;
        }
        copy_atoms(staged, txn, run.segment, &run.range, bytes);
        for made in txn.made.iter().filter(|made| made.segment == run.segment) {
            if run.range.contains(&u64::from(made.offset)) {
                let at = (u64::from(made.offset) - run.range.start) as usize;
                bytes[at..at + made.bytes.len()].copy_from_slice(&made.bytes);
            }
        }
    }
}

/// Copies the atoms that lie in a run, and overwrites their fields.
fn copy_atoms(staged: &Staged<'_>, txn: &Txn, segment: usize, run: &Range<u64>, bytes: &mut [u8]) {
    let mut sequences = txn.sequences.iter().peekable();
    for (index, atom) in staged.atoms.iter().enumerate() {
        let number = txn.atom_numbers[index];
        if number == NONE || atom.kind == AtomKind::Zero || segment_of(atom.kind) != segment {
            continue;
        }
        let offset = u64::from(txn.atoms[number as usize].offset);
        if !run.contains(&offset) {
            continue;
        }
        let at = (offset - run.start) as usize;
        let source = staged.atom_bytes(index as u32);
        let atom_bytes = &mut bytes[at..at + source.len()];
        atom_bytes.copy_from_slice(source);
        relocate(atom_bytes, staged, txn, atom);
        while sequences
            .next_if(|(of, _)| (*of as usize) < index)
            .is_some()
        {}
        while let Some((_, sequence)) = sequences.next_if(|(of, _)| *of as usize == index) {
            let len = usize::from(sequence.len);
            let at = sequence.offset as usize;
            atom_bytes[at..at + len].copy_from_slice(&sequence.bytes[..len]);
        }
    }
}

/// One atom's bytes as they are to be, for where it is placed.
pub(super) fn atom_bytes(staged: &Staged<'_>, txn: &Txn, index: u32, into: &mut [u8]) {
    into.copy_from_slice(staged.atom_bytes(index));
    relocate(into, staged, txn, &staged.atoms[index as usize]);
    for (_, sequence) in txn.sequences.iter().filter(|(of, _)| *of == index) {
        let at = sequence.offset as usize;
        let len = usize::from(sequence.len);
        into[at..at + len].copy_from_slice(&sequence.bytes[..len]);
    }
}

/// Overwrites the fields of one atom.
fn relocate(bytes: &mut [u8], staged: &Staged<'_>, txn: &Txn, atom: &StagedAtom) {
    let range = atom.relocs.start as usize..atom.relocs.end as usize;
    for (reloc, field) in staged.relocs[range.clone()].iter().zip(&txn.fields[range]) {
        let at = reloc.offset as usize;
        let value = field.value.to_le_bytes();
        match field.width {
            4 => bytes[at..at + 4].copy_from_slice(&value[..4]),
            8 => bytes[at..at + 8].copy_from_slice(&value),
            width => {
                let width = usize::from(width);
                bytes[at..at + width].copy_from_slice(&value[..width]);
            }
        }
    }
}

/// Gives the batch's thread-locals their initial bytes in every thread. They lie
/// in the image too, relocated, whence later threads' bytes are taken.
fn initialise_thread_locals(
    staged: &Staged<'_>,
    slab: &Slab,
    txn: &Txn,
    ground: &mut dyn Ground,
) -> Result<(), Error> {
    let Some(ThreadBlock { offset, size }) = txn.thread_block else {
        return Ok(());
    };
    let mut block = vec![0; size as usize];
    let numbers = staged.atoms.iter().zip(&txn.atom_numbers);
    for (atom, &number) in numbers.filter(|(atom, _)| atom.bytes.len > 0) {
        let places = &txn.thread_locals;
        let Ok(place) = places.binary_search_by_key(&number, |(atom, _)| *atom) else {
            continue;
        };
        let at = (places[place].1 - offset) as usize;
        let start = slab.segments[segment_of(atom.kind)].region.start;
        let from = start.add(u64::from(txn.atoms[number as usize].offset));
        let into = &mut block[at..at + atom.size as usize];
        ground.space().read(from, into)?;
    }
    let thread_locals = ground.host().thread_locals();
    let thread_locals = thread_locals.expect("it gave room for them");
    Ok(thread_locals.initialise(offset, &block)?)
}

/// After a failure: what was written or committed past the cursors is zero and
/// uncommitted again.
pub(super) fn undo(slab: &Slab, txn: &Txn, space: &mut dyn AddressSpace) -> Result<(), Error> {
    let lost = |error: SpaceError| Error::Lost(format!("could not undo a batch: {error}"));
    for run in runs(slab, txn) {
        let segment = &slab.segments[run.segment];
        let at = run.at(slab);
        // What was not committed before goes with the decommit below.
        let len = run
            .range
            .end
            .min(segment.committed)
            .saturating_sub(run.range.start);
        if len == 0 {
            continue;
        }
        if let Some(bytes) = space.window(at, len) {
            bytes.fill(0);
            continue;
        }
        let mut bytes = vec![0; len as usize];
        space.read(at, &mut bytes).map_err(lost)?;
        if bytes.iter().any(|byte| *byte != 0) {
            bytes.fill(0);
            space.apply(&[Write { at, bytes: &bytes }]).map_err(lost)?;
        }
    }
    let array = &slab.segments[unwind::SEGMENT];
    if array.used > 0 && !txn.array_bytes.is_empty() {
        let (at, bytes) = unwind::count(slab, array.used);
        space.apply(&[Write { at, bytes: &bytes }]).map_err(lost)?;
    }
    for (segment, &used) in slab.segments.iter().zip(&txn.used) {
        if used > segment.committed {
            space
                .decommit(&segment.region, segment.committed)
                .map_err(lost)?;
        }
    }
    Ok(())
}
