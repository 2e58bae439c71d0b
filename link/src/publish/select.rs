//! Pulls archive members until no wanted name is defined by one that is left.
//!
//! Archives of earlier batches take part too, so that a snippet may use what
//! the program so far did not. As static linkers do, a weak reference pulls
//! nothing.

use std::ops::Range;

use crate::archive::Archive;
use crate::elf;
use crate::error::Error;
use crate::model::Binding;
use crate::session::Session;
use crate::staged::{Says, Source, Staged, StagedDefinition};

/// Members pulled by a batch, to be put back if it fails: archive, counted over
/// the session's and then the batch's, and member.
pub(super) type Pulled = Vec<(usize, u32)>;

/// Stages the members that the batch wants.
pub(super) fn pull(
    session: &mut Session,
    staged: &mut Staged<'_>,
    archives: &mut [Archive],
) -> Result<Pulled, Error> {
    let mut pulled = Pulled::new();
    if session.archives.is_empty() && archives.is_empty() {
        return Ok(pulled);
    }
    let result = pull_into(session, staged, archives, &mut pulled);
    if let Err(error) = result {
        put_back(session, archives, &pulled);
        return Err(error);
    }
    Ok(pulled)
}

/// Marks members as not pulled.
pub(super) fn put_back(session: &mut Session, archives: &mut [Archive], pulled: &Pulled) {
    for &(archive, member) in pulled {
        nth(session, archives, archive).set_loaded(member, false);
    }
}

fn nth<'a>(session: &'a mut Session, archives: &'a mut [Archive], n: usize) -> &'a mut Archive {
    let kept = session.archives.len();
    if n < kept {
        &mut session.archives[n]
    } else {
        &mut archives[n - kept]
    }
}

fn pull_into(
    session: &mut Session,
    staged: &mut Staged<'_>,
    archives: &mut [Archive],
    pulled: &mut Pulled,
) -> Result<(), Error> {
    // By the numbers of names.
    let mut defined: Vec<bool> = Vec::new();
    let (mut looked_at, mut wanted) = (0, Vec::new());
    loop {
        // The newly staged inputs first define, then want.
        let fresh = looked_at..staged.inputs.len() as u32;
        looked_at = fresh.end;
        if fresh.is_empty() {
            return Ok(());
        }
        note_defined(staged, fresh.clone(), &mut defined);
        wanted.clear();
        for input in fresh {
            for (symbol, record, name) in staged.globals(input) {
                let undefined = staged.definition(symbol, record) == StagedDefinition::Undefined;
                if undefined && record.binding() != Binding::Weak && !defined[name as usize] {
                    wanted.push(name);
                }
            }
        }
        for &name in &wanted {
            if defined[name as usize] || in_image(session, staged, name) {
                continue;
            }
            let text = staged.name_text(name);
            let count = session.archives.len() + archives.len();
            let found = (0..count).find_map(|n| {
                let archive = nth(session, archives, n);
                let (member, full_name, range) = archive.member_for(text)?;
                archive.set_loaded(member, true);
                Some((
                    n,
                    member,
                    full_name,
                    Source::Member(archive.bytes.clone(), range),
                ))
            });
            let Some((n, member, full_name, source)) = found else {
                continue;
            };
            pulled.push((n, member));
            let before = staged.inputs.len() as u32;
            elf::stage(staged, session.options.arch, &full_name, source)?;
            note_defined(staged, before..staged.inputs.len() as u32, &mut defined);
        }
    }
}

/// Notes which names inputs define.
fn note_defined(staged: &Staged<'_>, inputs: Range<u32>, defined: &mut Vec<bool>) {
    defined.resize(staged.names.len(), false);
    for input in inputs {
        for (symbol, record, name) in staged.globals(input) {
            let definition = staged.definition(symbol, record);
            defined[name as usize] |= definition != StagedDefinition::Undefined;
        }
    }
    for &(_, name) in &staged.versions {
        defined[name as usize] = true;
    }
}

/// Whether the image defines a name.
fn in_image(session: &Session, staged: &Staged<'_>, name: u32) -> bool {
    let tables = &session.tables;
    let hash = staged.names.get(name).hash;
    let name = tables.names.find_hashed(hash, staged.name_bytes(name));
    name.is_some_and(|name| {
        tables
            .find_symbol(name, |s| s.is_image_definition())
            .is_some()
    })
}
