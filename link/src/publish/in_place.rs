//! The short way for one anonymous atom that its maker writes where it will
//! run: no names, no symbols, no relocations, so `plan` has only a place to
//! find and `apply` has nothing to write.

use crate::error::Error;
use crate::ids::{AtomId, Generation};
use crate::image::{self, Ground, SEGMENTS, SlabAt, segment_of};
use crate::model::{AtomKind, AtomRecord, NONE};
use crate::publish::{commit::push_regions, next_region};
use crate::session::Session;
use crate::space::{AddressSpace, SpaceError};

/// Finds room for an atom of at most `max` bytes: its region, segment and
/// offset in it. The bytes there are usable and zero.
pub(crate) fn room_in_place(
    session: &mut Session,
    space: &mut dyn AddressSpace,
    kind: AtomKind,
    alignment: u64,
    max: u64,
) -> Result<(u16, usize, u64), Error> {
    assert!(
        alignment.is_power_of_two() && alignment <= 4096,
        "alignment {alignment}"
    );
    session.image.check_space(space.id())?;
    let index = segment_of(kind);
    let mut wanted = [0; SEGMENTS];
    wanted[index] = max + alignment;
    let growing = session.image.slabs[Ground::Preferred as usize].as_ref();
    if growing.is_none_or(|slab| !slab.has_room(&wanted) || !slab.grows(space)) {
        fresh_slab(session, space, &wanted)?;
    }
    let slab = session.image.slabs[Ground::Preferred as usize].as_mut();
    let slab = slab.expect("there is a growing slab now");
    let segment = &mut slab.segments[index];
    let base = segment.region.start.get();
    let offset = (base + segment.used).next_multiple_of(alignment) - base;
    if offset + max > segment.committed {
        let to = segment.commit_to(offset + max);
        space.commit(&segment.region, to)?;
        segment.committed = to;
    }
    if space
        .window(segment.region.start.add(offset), max)
        .is_none()
    {
        let why = "atoms are written in place only where the target's memory has a window";
        return Err(Error::Space(SpaceError::Failed(why.into())));
    }
    Ok((slab.first_region + index as u16, index, offset))
}

/// Reserves a slab and makes it the growing one. An address range is no part of
/// a generation, so there is nothing to undo should the atom never come.
fn fresh_slab(
    session: &mut Session,
    space: &mut dyn AddressSpace,
    wanted: &[u64; SEGMENTS],
) -> Result<(), Error> {
    let near = session.options.near.clone();
    let length = session.options.slab_length;
    let mut slab = image::reserve_slab(
        &mut session.writer,
        space,
        &near,
        Ground::Preferred,
        length,
        wanted,
    )?;
    slab.first_region = next_region(session);
    push_regions(&mut session.writer, &session.tables, &slab);
    session.image.space = Some(space.id());
    session.image.put(SlabAt::Growing(Ground::Preferred), slab);
    Ok(())
}

/// Publishes an atom that was written in place.
pub(crate) fn commit_in_place(
    session: &mut Session,
    region: u16,
    segment: usize,
    kind: AtomKind,
    offset: u64,
    length: u64,
) -> (Generation, AtomId) {
    let Session {
        tables,
        writer,
        image,
        ..
    } = session;
    let record = AtomRecord {
        input: NONE,
        offset: offset as u32,
        size: length as u32,
        relocs: tables.relocs.len() as u32,
        region,
        kind,
        alignment_log2: 0,
    };
    let atom = AtomId(writer.push(&tables.atoms, record));
    writer.push(&tables.region(region).atoms, atom);
    writer.push(&tables.generations, atom.0 + 1);
    let slab = image.slabs[Ground::Preferred as usize].as_mut();
    slab.expect("room_in_place made sure of a slab").segments[segment].used = offset + length;
    (tables.newest(), atom)
}
