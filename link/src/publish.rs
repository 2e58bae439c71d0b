//! Publish: a batch lands whole as the next generation, or leaves no trace.
//!
//! Four steps, one file each:
//!
//! 1. [`plan`] reads the session and gives placements, or an error. Before it,
//!    [`select`] pulls archive members and [`bind`] says what every name stands
//!    for.
//! 2. [`apply`] writes bytes past the cursors, and nowhere else: each atom is
//!    copied once, straight from its input, and its fields are filled in while
//!    it is at hand ([`relocate`]).
//! 3. [`commit`] cannot fail: it pushes records and stores the generation.
//! 4. [`run`] does what must execute in the target: unwind registration and
//!    initialisers.
//!
//! A failure before `commit` leaves target memory, mappings and every table as
//! they were. A fault in `run` keeps the generation, marks it faulted, and says
//! so.

mod apply;
mod bind;
mod by_name;
mod commit;
mod in_place;
mod plan;
mod relocate;
mod replace;
mod run;
mod select;
mod slot;
pub(crate) mod unwind;

pub(crate) use bind::Bound;
pub(crate) use in_place::{commit_in_place, room_in_place};

use crate::archive::Archive;
use crate::batch::{Ground, Published};
use crate::error::Error;
use crate::host::{Host, HostError};
use crate::image::{self, Ground as SlabGround, SEGMENTS, Slab, SlabAt};
use crate::session::{Options, Session};
use crate::space::AddressSpace;
use crate::staged::{Role, Staged, StagedAtom, StagedDefinition, SymbolAt, SymbolRecord};
use crate::txn::{ThreadBlock, Txn};
use unwind::Registered;

/// Publishes what a batch staged.
pub(crate) fn publish(
    session: &mut Session,
    staged: &mut Staged<'_>,
    mut archives: Vec<Archive>,
    ground: &mut dyn Ground,
) -> Result<Published, Error> {
    session.image.check_space(ground.space().id())?;
    let pulled = select::pull(session, staged, &mut archives)?;
    let mut bound = session.scratch.bound.take().unwrap_or_default();
    let mut txn = session.scratch.txn.take().unwrap_or_default();
    txn.clear();
    let planned = plan_and_apply(session, staged, &mut bound, &mut txn, ground);
    let result = match planned {
        Ok(taken) => {
            let space = ground.space().id();
            let at = taken.at;
            let mut published =
                commit::commit(session, staged, &bound, archives, taken, &txn, space);
            published.faulted = run::run(session, &txn, at, published.generation, ground);
            Ok(published)
        }
        Err(error) => {
            select::put_back(session, &mut archives, &pulled);
            Err(error)
        }
    };
    session.scratch.bound = Some(bound);
    session.scratch.txn = Some(txn);
    result
}

/// A slab that a batch goes to, taken out of the image while it is worked on.
struct Taken {
    at: SlabAt,
    slab: Box<Slab>,
    /// Whether it was reserved for this batch.
    fresh: bool,
}

/// The steps that can fail. Gives the slab as it was before the batch.
fn plan_and_apply(
    session: &mut Session,
    staged: &mut Staged<'_>,
    bound: &mut Bound,
    txn: &mut Txn,
    ground: &mut dyn Ground,
) -> Result<Taken, Error> {
    bind::bind(session, staged, bound, ground)?;
    check_abilities(staged, bound, ground.host())?;
    if let Some(taken) = attempt(session, staged, bound, txn, ground)? {
        return Ok(taken);
    }
    // What cannot be written where it was is moved.
    bound.slots.clear();
    bound.names.forget_new(&session.tables);
    txn.clear();
    let moved = attempt(session, staged, bound, txn, ground)?;
    Ok(moved.expect("only code in a slot can be in the way of itself"))
}

/// Tries to land the batch, with functions written in the slots that `bound`
/// has for them. Gives nothing when they cannot be: all is as it was.
fn attempt(
    session: &mut Session,
    staged: &Staged<'_>,
    bound: &mut Bound,
    txn: &mut Txn,
    ground: &mut dyn Ground,
) -> Result<Option<Taken>, Error> {
    let which = session.ground_for(plan::ground(staged));
    let wanted = plan::wanted(staged, bound);
    let taken = match take_home(session, bound, ground.space(), which, &wanted) {
        Some(taken) => taken,
        None => take_slab(session, ground.space(), which, &wanted)?,
    };
    let result = keeps_array(session, &taken.slab, ground.host())
        .map(|keeps| {
            txn.keeps_array = keeps;
            // An unwinder that was told of the old code's entries would find
            // them still.
            if !keeps && ground.host().unwind().is_some() {
                bound.slots.clear();
            }
        })
        .and_then(|()| reserve_thread_locals(staged, txn, ground.host()))
        .and_then(|()| plan::plan(session, staged, bound, &taken.slab, txn))
        .and_then(|()| replace::plan(session, staged, bound, &taken.slab, txn, ground))
        .and_then(|fits| match fits {
            true => write(session, staged, bound, &taken.slab, txn, ground),
            false => Ok(false),
        });
    if matches!(result, Ok(true)) {
        return Ok(Some(taken));
    }
    give_back(session, taken, ground.space())?;
    release_thread_locals(txn, ground.host())?;
    result.map(|_| None)
}

/// Writes what is new, then what is overwritten. False when a thread is in the
/// way of a function that could be moved instead; then and on error the target is
/// as it was, or reported lost.
fn write(
    session: &Session,
    staged: &Staged<'_>,
    bound: &mut Bound,
    slab: &Slab,
    txn: &mut Txn,
    ground: &mut dyn Ground,
) -> Result<bool, Error> {
    let written = apply::apply(session, staged, bound, slab, txn, ground)
        .and_then(|()| replace::overwrite(staged, txn, ground));
    if !matches!(written, Ok(true) | Err(Error::Lost(_))) {
        apply::undo(slab, txn, ground.space())?;
    }
    written
}

/// Whether unwind entries go to a sorted array; libgcc is asked for once.
fn keeps_array(session: &mut Session, slab: &Slab, host: &mut dyn Host) -> Result<bool, Error> {
    if session.libgcc.is_none() {
        let can_call = host.call().is_some();
        session.libgcc = Some(match host.unwind() {
            Some(unwind) if can_call => unwind.libgcc()?,
            _ => None,
        });
    }
    let libgcc = session.libgcc.flatten();
    Ok(libgcc.is_some() && slab.registered != Registered::Plainly)
}

/// Reserves a block for the batch's thread-locals, and says where each lies in
/// it.
fn reserve_thread_locals(
    staged: &Staged<'_>,
    txn: &mut Txn,
    host: &mut dyn Host,
) -> Result<(), Error> {
    let (size, alignment) = plan::thread_layout(staged, &mut txn.thread_locals);
    let Some(&(first, _)) = txn.thread_locals.first() else {
        return Ok(());
    };
    let no_room = |why: &str| {
        let input = staged.input_name_of_atom(first);
        let name = thread_local_name(staged, first);
        Error::unsupported(input, format!("`{name}` is thread-local, and {why}"))
    };
    let Some(thread_locals) = host.thread_locals() else {
        return Err(no_room("this target has no room for thread-locals"));
    };
    match thread_locals.reserve(size, alignment) {
        Ok(offset) => {
            txn.thread_block = Some(ThreadBlock { offset, size });
            Ok(())
        }
        Err(HostError::Failed(why)) => Err(no_room(&why)),
        Err(error) => Err(error.into()),
    }
}

/// Undoes [`reserve_thread_locals`].
fn release_thread_locals(txn: &Txn, host: &mut dyn Host) -> Result<(), Error> {
    match (txn.thread_block, host.thread_locals()) {
        (Some(block), Some(thread_locals)) => {
            let released = thread_locals.release(block.offset);
            released.map_err(|error| Error::Lost(format!("could not undo a batch: {error}")))
        }
        _ => Ok(()),
    }
}

/// A symbol in a thread-local atom, or the atom's own name.
fn thread_local_name<'s>(staged: &'s Staged<'_>, atom: u32) -> &'s str {
    let input = staged.atoms[atom as usize].input;
    let symbols = staged.symbols_of(input);
    let here = |(symbol, record): &(SymbolAt, &SymbolRecord)| {
        let definition = staged.definition(*symbol, record);
        matches!(definition, StagedDefinition::Atom(of, _) if of == atom)
    };
    let globals = staged
        .globals(input)
        .map(|(symbol, record, _)| (symbol, record));
    let locals = staged
        .locals(input)
        .filter(|(_, record)| symbols.has_local_name(record));
    match globals.chain(locals).find(here) {
        Some((symbol, _)) => staged.symbol_name(symbol),
        None => staged.atom_name(atom),
    }
}

/// Takes the slab out of the image where code lies that the batch replaces, if it
/// replaces any and there is room: from there a short jump reaches what moves.
fn take_home(
    session: &mut Session,
    bound: &Bound,
    space: &dyn AddressSpace,
    ground: SlabGround,
    wanted: &[u64; SEGMENTS],
) -> Option<Taken> {
    let (_, old) = bound.replaced.first()?;
    let atom = session.tables.symbol(*old).atom;
    let region = session.tables.atoms.get(atom as usize)?.region;
    let at = session.image.find(region)?;
    let fits = |slab: &Slab| slab.is_on(ground) && slab.has_room(wanted) && slab.grows(space);
    session.image.slab(at).filter(|slab| fits(slab))?;
    let slab = session.image.take(at)?;
    Some(Taken {
        at,
        slab,
        fresh: false,
    })
}

/// Takes the growing slab out of the image, or reserves a fresh one when it is
/// too full.
fn take_slab(
    session: &mut Session,
    space: &mut dyn AddressSpace,
    ground: SlabGround,
    wanted: &[u64; SEGMENTS],
) -> Result<Taken, Error> {
    let at = SlabAt::Growing(ground);
    let growing = &mut session.image.slabs[ground as usize];
    let room = |slab: &mut Box<Slab>| slab.has_room(wanted) && slab.grows(space);
    match growing.take_if(room) {
        Some(slab) => Ok(Taken {
            at,
            slab,
            fresh: false,
        }),
        None => {
            let Options {
                near, slab_length, ..
            } = &session.options;
            let mut slab = {
                let writer = &mut session.writer;
                image::reserve_slab(writer, space, near, ground, *slab_length, wanted)?
            };
            slab.first_region = next_region(session);
            Ok(Taken {
                at,
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
        session.image.put(taken.at, taken.slab);
        Ok(())
    }
}

/// Refuses a batch that needs what the host cannot do, before a byte is
/// written.
fn check_abilities(staged: &Staged<'_>, bound: &Bound, host: &mut dyn Host) -> Result<(), Error> {
    let is_list = |atom: &&StagedAtom| {
        let list = matches!(
            atom.role,
            Role::Initialisers { .. } | Role::Finalisers { .. }
        );
        list && !atom.discarded && atom.size > 0
    };
    let wanting = match (bound.first_ifunc(), staged.atoms.iter().find(is_list)) {
        (Some(atom), _) => Some((staged.atoms[atom as usize].input, "indirect functions")),
        (None, Some(atom)) => Some((atom.input, "initialisers or finalisers")),
        (None, None) => None,
    };
    match wanting {
        Some((input, what)) if host.call().is_none() => {
            let what = format!("it has {what}, and this target cannot be asked to call functions");
            Err(Error::unsupported(staged.input_name(input), what))
        }
        _ => Ok(()),
    }
}
