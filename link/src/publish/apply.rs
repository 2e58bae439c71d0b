//! `apply`: writes a planned batch past the cursors.
//!
//! Where the space has a window the bytes are built in place; where it has not
//! they are built in buffers and handed over in one call. A field that cannot
//! hold its value shows here, when its atom is written; like every failure it
//! leaves zeroes past the cursors, as there were before.

use std::ops::Range;

use crate::addr::HostAddr;
use crate::batch::Ground;
use crate::error::Error;
use crate::image::{SEGMENTS, Slab, segment_of};
use crate::publish::bind::Bound;
use crate::publish::plan::Plan;
use crate::publish::unwind;
use crate::session::Session;
use crate::space::{AddressSpace, Protection, SpaceError, Write};
use crate::staged::Staged;
use crate::txn::{ThreadBlock, Txn};

/// The segments that atoms lie in.
const OF_ATOMS: usize = unwind::SEGMENT;

/// Where the bytes of a batch go: windows on the target's memory, or buffers.
pub(super) struct Sink<'g> {
    space: &'g mut dyn AddressSpace,
    /// The first byte of each segment.
    starts: [HostAddr; OF_ATOMS],
    /// The segments' cursors before the batch.
    before: [u64; OF_ATOMS],
    /// Of a segment without a window, all bytes from its cursor on.
    buffers: [Option<Vec<u8>>; OF_ATOMS],
}

impl<'g> Sink<'g> {
    fn new(slab: &Slab, txn: &Txn, space: &'g mut dyn AddressSpace) -> Sink<'g> {
        let mut sink = Sink {
            space,
            starts: [HostAddr(0); OF_ATOMS],
            before: [0; OF_ATOMS],
            buffers: [const { None }; OF_ATOMS],
        };
        let ends = [txn.used[0], txn.used[1], txn.data_end];
        for (number, end) in ends.into_iter().enumerate() {
            let segment = &slab.segments[number];
            sink.starts[number] = segment.region.start;
            sink.before[number] = segment.used;
            // Asking for the whole at once tells the space what is coming.
            let len = end - segment.used;
            if len > 0 && sink.space.window(segment.cursor(), len).is_none() {
                sink.buffers[number] = Some(vec![0; len as usize]);
            }
        }
        sink
    }

    /// The bytes at an offset in a segment.
    pub fn bytes(&mut self, segment: usize, offset: u64, len: usize) -> &mut [u8] {
        match &mut self.buffers[segment] {
            Some(buffer) => &mut buffer[(offset - self.before[segment]) as usize..][..len],
            None => {
                let at = self.starts[segment].add(offset);
                let window = self.space.window(at, len as u64);
                window.expect("there was a window a moment ago")
            }
        }
    }
}

/// Bytes for a place without a window.
struct Buffer {
    at: HostAddr,
    bytes: Vec<u8>,
}

/// A contiguous range of a segment that holds bytes.
struct Run {
    segment: usize,
    /// Offsets in the segment.
    range: Range<u64>,
}

impl Run {
    fn at(&self, slab: &Slab) -> HostAddr {
        slab.segments[self.segment]
            .region
            .start
            .add(self.range.start)
    }
}

/// Commits pages and writes. On error something may have been written, for
/// [`undo`] to take back.
pub(super) fn apply(
    session: &Session,
    staged: &Staged<'_>,
    bound: &mut Bound,
    slab: &Slab,
    txn: &mut Txn,
    ground: &mut dyn Ground,
) -> Result<(), Error> {
    let space = ground.space();
    let committed = commit(slab, &txn.used, None, space)?;
    let mut sink = Sink::new(slab, txn, space);
    let mut plan = Plan::new(session, staged, bound, slab, txn);
    plan.write_atoms(&mut sink)?;
    plan.keep_own_atoms();
    commit(slab, &txn.used, Some(committed), sink.space)?;
    let mut buffers = Vec::new();
    for (bytes, segment) in sink.buffers.into_iter().zip(&slab.segments) {
        if let Some(bytes) = bytes {
            let at = segment.cursor();
            buffers.push(Buffer { at, bytes });
        }
    }
    buffers.extend(add_made(slab, txn, ground.space()));
    write(slab, txn, &buffers, ground.space())?;
    let code = &slab.segments[0];
    if txn.used[0] > code.used {
        let written = code.cursor().range(txn.used[0] - code.used);
        ground.space().seal(written, Protection::Code)?;
    }
    initialise_thread_locals(staged, slab, txn, ground)?;
    show(slab, txn, ground.space());
    Ok(())
}

/// Makes pages usable up to the planned cursors, but for those that are.
fn commit(
    slab: &Slab,
    used: &[u64; SEGMENTS],
    committed: Option<[u64; SEGMENTS]>,
    space: &mut dyn AddressSpace,
) -> Result<[u64; SEGMENTS], Error> {
    let before = slab.segments.each_ref().map(|segment| segment.committed);
    let mut committed = committed.unwrap_or(before);
    for (number, segment) in slab.segments.iter().enumerate() {
        if used[number] > committed[number] {
            committed[number] = segment.commit_to(used[number]);
            space.commit(&segment.region, committed[number])?;
        }
    }
    Ok(committed)
}

/// Writes the stubs and cells, which come behind the atoms. Gives the buffers
/// of those that have no window.
fn add_made(slab: &Slab, txn: &Txn, space: &mut dyn AddressSpace) -> Vec<Buffer> {
    let mut buffers = Vec::new();
    for (number, start) in [(0, txn.stubs_start), (2, txn.cells_start)] {
        let made = || txn.made.iter().filter(|made| made.segment == number);
        if made().next().is_none() {
            continue;
        }
        let at = slab.segments[number].region.start.add(start);
        let len = txn.used[number] - start;
        let fill = |bytes: &mut [u8]| {
            for made in made() {
                let at = (u64::from(made.offset) - start) as usize;
                bytes[at..at + made.bytes.len()].copy_from_slice(&made.bytes);
            }
        };
        if let Some(window) = space.window(at, len) {
            fill(window);
            continue;
        }
        let mut bytes = vec![0; len as usize];
        fill(&mut bytes);
        buffers.push(Buffer { at, bytes });
    }
    buffers
}

/// Whether the unwinder's array is registered and grows.
fn array_grows(slab: &Slab, txn: &Txn) -> bool {
    !txn.array_bytes.is_empty() && slab.segments[unwind::SEGMENT].used > 0
}

/// Hands over what is in buffers, and the unwinder's array; where that has no
/// window, what shows its entries to those who run already.
fn write(
    slab: &Slab,
    txn: &Txn,
    buffers: &[Buffer],
    space: &mut dyn AddressSpace,
) -> Result<(), Error> {
    let writes = buffers
        .iter()
        .map(|Buffer { at, bytes }| Write { at: *at, bytes });
    let mut writes: Vec<Write<'_>> = writes.collect();
    let array = slab.segments[unwind::SEGMENT].cursor();
    let (at, count) = unwind::count(slab, txn.used[unwind::SEGMENT]);
    if let [_, ..] = &*txn.array_bytes {
        match space.window(array, txn.array_bytes.len() as u64) {
            Some(window) => window.copy_from_slice(&txn.array_bytes),
            None => writes.push(Write {
                at: array,
                bytes: &txn.array_bytes,
            }),
        }
    }
    if array_grows(slab, txn) && space.window(at, 8).is_none() {
        // Last: it is what shows the entries to the unwinder.
        writes.push(Write { at, bytes: &count });
    }
    if !writes.is_empty() {
        space.apply(&writes)?;
    }
    Ok(())
}

/// Through its window, the count that shows entries to the unwinder.
fn show(slab: &Slab, txn: &Txn, space: &mut dyn AddressSpace) {
    let (at, count) = unwind::count(slab, txn.used[unwind::SEGMENT]);
    if array_grows(slab, txn)
        && let Some(cell) = space.window(at, 8)
    {
        cell.copy_from_slice(&count);
    }
}

/// The ranges that hold bytes: code with its stubs, constants, data, cells, the
/// unwinder's array. Some may be empty.
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
    ranges.map(|(segment, range)| Run { segment, range })
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

/// After a failure, of this step or of what follows it: what was written or committed past the cursors is zero and
/// uncommitted again.
pub(super) fn undo(slab: &Slab, txn: &Txn, space: &mut dyn AddressSpace) -> Result<(), Error> {
    let lost = |error: SpaceError| Error::Lost(format!("could not undo a batch: {error}"));
    let mut zeroes = Vec::new();
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
        // What refused to write has most likely written nothing.
        let mut bytes = vec![0; len as usize];
        if space.read(at, &mut bytes).is_err() || bytes.iter().any(|byte| *byte != 0) {
            bytes.fill(0);
            zeroes.push(Buffer { at, bytes });
        }
    }
    let array = &slab.segments[unwind::SEGMENT];
    let (at, bytes) = unwind::count(slab, array.used);
    let mut writes = Vec::new();
    if array.used > 0 && !txn.array_bytes.is_empty() && !holds(space, at, &bytes) {
        writes.push(Write { at, bytes: &bytes });
    }
    writes.extend(
        zeroes
            .iter()
            .map(|Buffer { at, bytes }| Write { at: *at, bytes }),
    );
    if !writes.is_empty() {
        space.apply(&writes).map_err(lost)?;
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

/// Whether these bytes are known to lie there.
fn holds(space: &mut dyn AddressSpace, at: HostAddr, bytes: &[u8; 8]) -> bool {
    let mut there = [0; 8];
    space.read(at, &mut there).is_ok() && there == *bytes
}
