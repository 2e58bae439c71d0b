//! `run`: what must execute in the target once a batch is published.
//!
//! In this order: indirect functions get their targets, because anything may
//! call them; unwind registration, so that an initialiser may throw; finalisers
//! are registered for exit; initialisers run by priority. The first
//! fault ends the step, marks the generation and is reported: the batch stays
//! published, because its code may have run already.

use crate::batch::Ground;
use crate::host::HostError;
use crate::ids::Generation;
use crate::image::SlabAt;
use crate::publish::unwind::{self, Adopted, Left, NotAdopted, Registered};
use crate::session::Session;
use crate::space::Write;
use crate::txn::{FunctionList, Txn};

/// Runs a batch's actions; gives the fault, if there was one.
pub(super) fn run(
    session: &mut Session,
    txn: &Txn,
    grown: SlabAt,
    generation: Generation,
    ground: &mut dyn Ground,
) -> Option<HostError> {
    let result = run_all(session, txn, grown, ground);
    if let Err(fault) = &result {
        session.tables.mark_faulted(generation, fault);
    }
    result.err()
}

fn run_all(
    session: &mut Session,
    txn: &Txn,
    grown: SlabAt,
    ground: &mut dyn Ground,
) -> Result<(), HostError> {
    for ifunc in &txn.actions.ifuncs {
        let mut target = 0;
        call(ground, |call| {
            target = call.call(ifunc.resolver, &[])?;
            Ok(())
        })?;
        let write = Write {
            at: ifunc.cell,
            bytes: &target.to_le_bytes(),
        };
        ground.space().apply(&[write])?;
    }
    if !txn.frames.is_empty() {
        register_array(session, txn, grown, ground)?;
    }
    let slab = session.image.slab(grown);
    let plainly = slab.is_some_and(|slab| slab.registered == Registered::Plainly);
    if let Some(unwind) = ground
        .host()
        .unwind()
        .filter(|_| plainly || !txn.keeps_array)
    {
        for range in &txn.actions.unwind {
            unwind.register(range.clone())?;
            session.unwind.push(range.clone());
        }
    }
    for list in &txn.actions.finalisers {
        for function in functions(list, ground)? {
            call(ground, |call| call.at_exit(function))?;
        }
    }
    for list in &txn.actions.initialisers {
        for function in functions(list, ground)? {
            call(ground, |call| call.initialise(function))?;
        }
    }
    Ok(())
}

/// Makes a slab's array of unwind entries known, the first time that there is
/// one.
fn register_array(
    session: &mut Session,
    txn: &Txn,
    grown: SlabAt,
    ground: &mut dyn Ground,
) -> Result<(), HostError> {
    let slab = session.image.slab_mut(grown);
    let slab = slab.expect("the batch grew in it");
    if slab.registered != Registered::NotYet {
        return Ok(());
    }
    let libgcc = session.libgcc.flatten();
    let libgcc = libgcc.expect("an array is kept for it only");
    let code = slab.segments[0].region.range();
    let start = slab.segments[unwind::SEGMENT].region.start;
    let adopted = Adopted { start, libgcc };
    let result = unwind::adopt(adopted, &code, txn.frames[0], ground);
    slab.registered = match &result {
        Ok(true) => Registered::Sorted,
        Ok(false) => Registered::Plainly,
        Err(failure) => match failure.left {
            // The next batch tries again.
            Left::Nothing => Registered::NotYet,
            Left::Registered | Left::Unknown => Registered::Plainly,
        },
    };
    if let Ok(true)
    | Err(NotAdopted {
        left: Left::Registered,
        ..
    }) = result
    {
        session.adopted.push(adopted);
    }
    result.map(drop).map_err(|failure| failure.why)
}

fn call(
    ground: &mut dyn Ground,
    act: impl FnOnce(&mut dyn crate::host::Call) -> Result<(), HostError>,
) -> Result<(), HostError> {
    let call = ground.host().call();
    act(call.expect("plan refused a batch that needs calls when there are none"))
}

/// The functions of a list, in order. Empty slots hold 0 or -1.
fn functions(
    list: &FunctionList,
    ground: &mut dyn Ground,
) -> Result<Vec<crate::HostAddr>, HostError> {
    let mut bytes = vec![0; list.count as usize * 8];
    ground.space().read(list.at, &mut bytes)?;
    let words = bytes
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let functions = words
        .filter(|&word| word != 0 && word != u64::MAX)
        .map(crate::HostAddr);
    let mut functions: Vec<_> = functions.collect();
    if list.reversed {
        functions.reverse();
    }
    Ok(functions)
}
