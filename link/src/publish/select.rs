//! Pulls archive members until no wanted name is defined by one that is left.
//!
//! Archives of earlier batches take part too, so that a snippet may use what
//! the program so far did not. As static linkers do, a weak reference pulls
//! nothing.

use rustc_hash::FxHashSet;

use crate::archive::Archive;
use crate::elf;
use crate::error::Error;
use crate::model::Binding;
use crate::session::Session;
use crate::staged::{Source, Staged, StagedDefinition};

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
    let mut defined: FxHashSet<String> = FxHashSet::default();
    let mut looked_at = 0;
    loop {
        // The newly staged symbols first define, then want.
        let fresh = looked_at..staged.symbols.len();
        looked_at = fresh.end;
        let names = |staged: &Staged<'_>, wanted: bool| -> Vec<String> {
            let global = fresh.clone().filter(|&i| {
                let symbol = &staged.symbols[i];
                let undefined = symbol.definition == StagedDefinition::Undefined;
                symbol.binding != Binding::Local
                    && undefined == wanted
                    && !(wanted && symbol.binding == Binding::Weak)
            });
            global
                .map(|i| staged.symbol_name(i as u32).to_owned())
                .collect()
        };
        defined.extend(names(staged, false));
        let wanted = names(staged, true);
        if fresh.is_empty() {
            return Ok(());
        }
        for name in wanted {
            if defined.contains(&name) || in_image(session, &name) {
                continue;
            }
            let count = session.archives.len() + archives.len();
            let found = (0..count).find_map(|n| {
                let archive = nth(session, archives, n);
                let (member, full_name, range) = archive.member_for(&name)?;
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
            let before = staged.symbols.len();
            elf::stage(staged, session.options.arch, &full_name, source)?;
            let brought = before..staged.symbols.len();
            let brought = brought.filter(|&i| {
                let symbol = &staged.symbols[i];
                symbol.binding != Binding::Local && symbol.definition != StagedDefinition::Undefined
            });
            defined.extend(brought.map(|i| staged.symbol_name(i as u32).to_owned()));
        }
    }
}

/// Whether the image defines a name.
fn in_image(session: &Session, name: &str) -> bool {
    let tables = &session.tables;
    let name = tables.names.find(name);
    name.is_some_and(|name| {
        tables
            .find_symbol(name, |s| s.is_image_definition())
            .is_some()
    })
}
