//! `apply`: writes a planned batch past the cursors.
//!
//! Where the space has a window the bytes are built in place; where it has not
//! they are built in a buffer and handed over in one call. That call comes
//! first, because it is the one that can fail.

use std::ops::Range;

use crate::error::Error;
use crate::image::{SEGMENTS, Slab, segment_of};
use crate::model::{AtomKind, NONE};
use crate::space::{AddressSpace, Protection, SpaceError, Write};
use crate::staged::Staged;
use crate::txn::Txn;

/// A contiguous range of a segment to be filled.
struct Run {
    segment: usize,
    /// Offsets in the segment.
    range: Range<u64>,
    /// The bytes, when the space has no window.
    buffer: Vec<u8>,
}

/// Commits pages and writes. On error the target is as it was, or reported
/// lost.
pub(super) fn apply(
    staged: &Staged<'_>,
    slab: &Slab,
    txn: &Txn,
    space: &mut dyn AddressSpace,
) -> Result<(), Error> {
    let result = try_apply(staged, slab, txn, space);
    if let Err(SpaceError::Failed(_) | SpaceError::NoRoom(_)) = result {
        undo(slab, txn, space)?;
    }
    Ok(result?)
}

fn try_apply(
    staged: &Staged<'_>,
    slab: &Slab,
    txn: &Txn,
    space: &mut dyn AddressSpace,
) -> Result<(), SpaceError> {
    for (segment, &used) in slab.segments.iter().zip(&txn.used) {
        if used > segment.committed {
            space.commit(&segment.region, segment.commit_to(used))?;
        }
    }
    let mut runs = runs(slab, txn);
    for run in &mut runs {
        let at = slab.segments[run.segment].region.start.add(run.range.start);
        let len = run.range.end - run.range.start;
        if space.window(at, len).is_none() {
            run.buffer = vec![0; len as usize];
        }
    }
    // First what goes through `apply`, then the windows: writing to those
    // cannot fail.
    fill(staged, slab, txn, space, &mut runs, true);
    let writes: Vec<Write<'_>> = runs
        .iter()
        .filter(|run| !run.buffer.is_empty())
        .map(|run| Write {
            at: slab.segments[run.segment].region.start.add(run.range.start),
            bytes: &run.buffer,
        })
        .collect();
    if !writes.is_empty() {
        space.apply(&writes)?;
    }
    fill(staged, slab, txn, space, &mut runs, false);
    let code = &slab.segments[0];
    if txn.used[0] > code.used {
        let written = code.cursor().range(txn.used[0] - code.used);
        space.seal(written, Protection::Code)?;
    }
    Ok(())
}

/// The ranges that hold bytes: code with its stubs, constants, data, cells.
fn runs(slab: &Slab, txn: &Txn) -> Vec<Run> {
    let before: [u64; SEGMENTS] = slab.segments.each_ref().map(|segment| segment.used);
    let ranges = [
        (0, before[0]..txn.used[0]),
        (1, before[1]..txn.used[1]),
        (2, before[2]..txn.data_end),
        (2, txn.cells_start..txn.used[2]),
    ];
    ranges
        .into_iter()
        // Without cells `cells_start` may lie past the cursor: an empty range.
        .filter(|(_, range)| !range.is_empty())
        .map(|(segment, range)| Run {
            segment,
            range,
            buffer: Vec::new(),
        })
        .collect()
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
    for run in runs
        .iter_mut()
        .filter(|run| run.buffer.is_empty() != buffers)
    {
        let segment = run.segment;
        let len = run.range.end - run.range.start;
        let bytes: &mut [u8] = if buffers {
            &mut run.buffer
        } else {
            let at = slab.segments[segment].region.start.add(run.range.start);
            space
                .window(at, len)
                .expect("there was a window a moment ago")
        };
        copy_atoms(staged, txn, segment, &run.range, bytes);
        for made in txn.made.iter().filter(|made| made.segment == segment) {
            if run.range.contains(&u64::from(made.offset)) {
                let at = (u64::from(made.offset) - run.range.start) as usize;
                bytes[at..at + made.bytes.len()].copy_from_slice(&made.bytes);
            }
        }
    }
}

/// Copies the atoms that lie in a run, and overwrites their fields.
fn copy_atoms(staged: &Staged<'_>, txn: &Txn, segment: usize, run: &Range<u64>, bytes: &mut [u8]) {
    let mut fixes = txn.fixes.iter().peekable();
    for (index, atom) in staged.atoms.iter().enumerate() {
        let number = txn.atom_numbers[index];
        if number == NONE {
            continue;
        }
        let offset = u64::from(txn.atoms[number as usize].offset);
        let here = segment_of(atom.kind) == segment
            && atom.kind != AtomKind::Zero
            && run.contains(&offset);
        let at = if here {
            (offset - run.start) as usize
        } else {
            0
        };
        if here {
            let source = staged.inputs[atom.input as usize].source.bytes();
            let source = atom.bytes.of(source);
            bytes[at..at + source.len()].copy_from_slice(source);
        }
        while let Some(fix) = fixes.next_if(|fix| fix.atom == index as u32) {
            if here {
                let at = at + fix.offset as usize;
                let width = usize::from(fix.field.width);
                bytes[at..at + width].copy_from_slice(&fix.field.value.to_le_bytes()[..width]);
            }
        }
    }
}

/// After a failure: what was written or committed past the cursors is zero and
/// uncommitted again.
fn undo(slab: &Slab, txn: &Txn, space: &mut dyn AddressSpace) -> Result<(), Error> {
    let lost = |error: SpaceError| Error::Lost(format!("could not undo a batch: {error}"));
    for run in runs(slab, txn) {
        let segment = &slab.segments[run.segment];
        let at = segment.region.start.add(run.range.start);
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
    for (segment, &used) in slab.segments.iter().zip(&txn.used) {
        if used > segment.committed {
            space
                .decommit(&segment.region, segment.committed)
                .map_err(lost)?;
        }
    }
    Ok(())
}
