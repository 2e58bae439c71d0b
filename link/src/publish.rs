//! Publish: a batch lands whole as the next generation, or leaves no trace.
//!
//! Four steps, one file each:
//!
//! 1. [`plan`] reads the session and gives placements and relocation values, or
//!    an error. Before it, [`select`] pulls archive members and [`bind`] says
//!    what every name stands for.
//! 2. [`apply`] writes bytes past the cursors, and nowhere else.
//! 3. [`commit`] cannot fail: it pushes records and stores the generation.
//! 4. [`run`] does what must execute in the target: unwind registration and
//!    initialisers.
//!
//! A failure before `commit` leaves target memory, mappings and every table as
//! they were. A fault in `run` keeps the generation, marks it faulted, and says
//! so.

mod apply;
mod bind;
mod commit;
mod in_place;
mod plan;
mod run;
mod select;

pub(crate) use in_place::{commit_in_place, room_in_place};

use crate::archive::Archive;
use crate::batch::{Ground, Published};
use crate::error::Error;
use crate::host::Host;
use crate::image::{self, SEGMENTS, Slab};
use crate::session::{Options, Session};
use crate::space::AddressSpace;
use crate::staged::Staged;
use crate::txn::Txn;

/// Publishes what a batch staged.
pub(crate) fn publish(
    session: &mut Session,
    mut staged: Staged<'_>,
    mut archives: Vec<Archive>,
    ground: &mut dyn Ground,
) -> Result<Published, Error> {
    session.image.check_space(ground.space().id())?;
    let pulled = select::pull(session, &mut staged, &mut archives)?;
    match plan_and_apply(session, &mut staged, ground) {
        Ok((taken, txn)) => {
            let space = ground.space().id();
            let mut published = commit::commit(session, &staged, archives, taken, &txn, space);
            published.faulted = run::run(session, &txn, published.generation, ground);
            Ok(published)
        }
        Err(error) => {
            select::put_back(session, &mut archives, &pulled);
            Err(error)
        }
    }
}

/// A slab that a batch goes to, taken out of the image while it is worked on.
struct Taken {
    ground: image::Ground,
    slab: Slab,
    /// Whether it was reserved for this batch.
    fresh: bool,
}

/// The steps that can fail. Gives the slab as it was before the batch.
fn plan_and_apply(
    session: &mut Session,
    staged: &mut Staged<'_>,
    ground: &mut dyn Ground,
) -> Result<(Taken, Txn), Error> {
    let bound = bind::bind(session, staged, ground.resolver())?;
    let which = session.ground_for(plan::ground(staged));
    let wanted = plan::wanted(staged);
    let taken = take_slab(session, ground.space(), which, &wanted)?;
    let result = plan::plan(session, staged, &bound, &taken.slab).and_then(|txn| {
        check_abilities(&txn, staged, ground.host())?;
        apply::apply(staged, &taken.slab, &txn, ground.space())?;
        Ok(txn)
    });
    match result {
        Ok(txn) => Ok((taken, txn)),
        Err(error) => {
            give_back(session, taken, ground.space())?;
            Err(error)
        }
    }
}

/// Takes the growing slab out of the image, or reserves a fresh one when it is
/// too full.
fn take_slab(
    session: &mut Session,
    space: &mut dyn AddressSpace,
    ground: image::Ground,
    wanted: &[u64; SEGMENTS],
) -> Result<Taken, Error> {
    let growing = &mut session.image.slabs[ground as usize];
    match growing.take_if(|slab| slab.has_room(wanted)) {
        Some(slab) => Ok(Taken {
            ground,
            slab,
            fresh: false,
        }),
        None => {
            let Options {
                near, slab_length, ..
            } = &session.options;
            let mut slab = image::reserve_slab(space, near, ground, *slab_length, wanted)?;
            slab.first_region = next_region(session);
            Ok(Taken {
                ground,
                slab,
                fresh: true,
            })
        }
    }
}

/// The number the next region will get.
fn next_region(session: &Session) -> u16 {
    let next = session.tables.regions.len();
    assert!(
        next + SEGMENTS <= usize::from(u16::MAX),
        "an image has at most 65,535 regions"
    );
    next as u16
}

/// Undoes [`take_slab`].
fn give_back(
    session: &mut Session,
    taken: Taken,
    space: &mut dyn AddressSpace,
) -> Result<(), Error> {
    if taken.fresh {
        let regions: Vec<_> = taken
            .slab
            .segments
            .iter()
            .map(|s| s.region.clone())
            .collect();
        image::release(space, &regions)
    } else {
        session.image.slabs[taken.ground as usize] = Some(taken.slab);
        Ok(())
    }
}

/// Refuses a batch that needs what the host cannot do, before a byte is
/// written.
fn check_abilities(txn: &Txn, staged: &Staged<'_>, host: &mut dyn Host) -> Result<(), Error> {
    let actions = &txn.actions;
    if (!actions.initialisers.is_empty() || !actions.finalisers.is_empty()) && host.call().is_none()
    {
        let input = staged.inputs.first().map_or("batch", |input| &input.name);
        let what = "it has initialisers, and this target cannot be asked to call functions";
        return Err(Error::unsupported(input, what));
    }
    Ok(())
}
