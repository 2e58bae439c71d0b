//! `replace`: which of the image's functions and variables a batch takes the
//! place of, and the jumps that are left at the functions' old addresses.
//!
//! Code moves and data stays. A function of the batch is placed like any other,
//! and a jump of five bytes overwrites the beginning of every earlier version of
//! it, so an old address is one jump away from the newest code however often it
//! was replaced. A variable is the image's when its section has the same
//! variables at the same offsets with the same sizes; then the batch's section is
//! not placed at all. Anything else under a known name would change the shape of
//! data that running code holds, and is refused.
//!
//! Constants are new each time: code that was replaced reads the old ones.

use std::ops::Range;

use crate::addr::HostAddr;
use crate::arch::x86_64::{self, ISLAND_LEN};
use crate::batch::Ground;
use crate::error::Error;
use crate::host::HostError;
use crate::ids::{AtomId, InputId, SymbolId};
use crate::model::{AtomKind, Binding, NONE, SymbolRecord};
use crate::publish::bind::Bound;
use crate::session::Session;
use crate::space::Write;
use crate::staged::{Staged, StagedDefinition};
use crate::tables::Tables;
use crate::txn::{Island, Txn};

/// A staged symbol in an atom, and the image's that it would replace.
struct Pair {
    atom: u32,
    offset: u64,
    symbol: u32,
    old: Option<SymbolId>,
}

/// Finds what the batch replaces: functions are listed in `bound.replaced`, and
/// variables' atoms in `bound.aliases`; the latter are discarded.
pub(super) fn pair(
    session: &Session,
    staged: &mut Staged<'_>,
    bound: &mut Bound,
) -> Result<(), Error> {
    let tables = &session.tables;
    bound.aliases.resize(staged.atoms.len(), NONE);
    let mut pairs = pairs(tables, staged, bound);
    pairs.sort_by_key(|pair| (pair.atom, pair.offset));
    for of_atom in pairs.chunk_by(|a, b| a.atom == b.atom) {
        let atom = of_atom[0].atom;
        match staged.atoms[atom as usize].kind {
            AtomKind::Code => {
                for pair in of_atom {
                    let Some(old) = pair.old else { continue };
                    check_function(tables, staged, pair.symbol, old)?;
                    bound.replaced.push((pair.symbol, old));
                }
            }
            AtomKind::Data | AtomKind::Zero | AtomKind::ThreadLocal
                if !staged.atom_name(atom).starts_with(".data.rel.ro") =>
            {
                if of_atom.iter().any(|pair| pair.old.is_some()) {
                    let old = same_shape(tables, staged, of_atom)?;
                    bound.aliases[atom as usize] = old.0;
                    staged.atoms[atom as usize].discarded = true;
                    for pair in of_atom {
                        let entry = bound.names.of_mut(pair.symbol);
                        if entry.winner == pair.symbol {
                            entry.winner = NONE;
                        }
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every named definition of the batch with its counterpart.
fn pairs(tables: &Tables, staged: &Staged<'_>, bound: &Bound) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (index, symbol) in staged.symbols.iter().enumerate() {
        let StagedDefinition::Atom(atom, offset) = symbol.definition else {
            continue;
        };
        if symbol.nameless || staged.atoms[atom as usize].discarded {
            continue;
        }
        let entry = bound.names.of(index as u32);
        let old = if symbol.binding != Binding::Local {
            let image = Some(SymbolId(entry.image)).filter(|_| entry.image != NONE);
            image.filter(|image| tables.symbol(*image).is_image_definition())
        } else if entry.id == NONE {
            None
        } else {
            let input = staged.input_name(symbol.input);
            let name = crate::ids::NameId(entry.id);
            tables.find_symbol(name, |record| {
                record.binding == Binding::Local && input_of(tables, record) == Some(input)
            })
        };
        pairs.push(Pair {
            atom,
            offset,
            symbol: index as u32,
            old,
        });
    }
    pairs
}

/// What the input that brought a symbol is called.
fn input_of<'t>(tables: &'t Tables, record: &SymbolRecord) -> Option<&'t str> {
    let atom = tables.atoms.get(record.atom as usize)?;
    (atom.input != NONE).then(|| tables.input_name(InputId(atom.input)))
}

/// Refuses to put a function where there was none, or where there is no room
/// for a jump.
fn check_function(
    tables: &Tables,
    staged: &Staged<'_>,
    symbol: u32,
    old: SymbolId,
) -> Result<(), Error> {
    let record = tables.symbol(old);
    let old_atom = tables.atoms.get(record.atom as usize);
    let why = match old_atom {
        Some(atom) if atom.kind == AtomKind::Code => {
            let size = match u64::from(record.size) {
                0 => u64::from(atom.size).saturating_sub(record.value),
                size => size,
            };
            if size >= ISLAND_LEN as u64 {
                return Ok(());
            }
            format!("the function it replaces has {size} bytes, too few for a jump")
        }
        _ => "it is a function, and was none before".into(),
    };
    Err(refuse(staged, symbol, &why))
}

/// The image's atom whose variables are the same as those of a staged one.
fn same_shape(tables: &Tables, staged: &Staged<'_>, pairs: &[Pair]) -> Result<AtomId, Error> {
    let first = pairs.iter().find_map(|pair| pair.old);
    let first = first.expect("the caller saw one");
    let old_atom = tables.symbol(first).atom;
    for pair in pairs {
        let symbol = &staged.symbols[pair.symbol as usize];
        let Some(old) = pair.old.map(|old| tables.symbol(old)) else {
            let why = "it is new in a section of variables that are there already; \
                       compile with -fdata-sections";
            return Err(refuse(staged, pair.symbol, why));
        };
        let atom = &staged.atoms[pair.atom as usize];
        let is_thread_local = |kind| kind == AtomKind::ThreadLocal;
        let same_kind = tables.atoms.get(old.atom as usize).is_some_and(|old| {
            is_thread_local(old.kind) == is_thread_local(atom.kind)
                && matches!(
                    old.kind,
                    AtomKind::Data | AtomKind::Zero | AtomKind::ThreadLocal
                )
        });
        if !same_kind || u64::from(old.size) != symbol.size {
            let (size, before) = (symbol.size, old.size);
            let why = if same_kind {
                format!("its shape would change: it has {size} bytes, and had {before}")
            } else {
                "it is a variable, and was another kind of thing before".into()
            };
            return Err(refuse(staged, pair.symbol, &why));
        }
        if old.atom != old_atom || old.value != pair.offset {
            let why = "it lies elsewhere among the variables of its section; \
                       compile with -fdata-sections";
            return Err(refuse(staged, pair.symbol, why));
        }
    }
    Ok(AtomId(old_atom))
}

fn refuse(staged: &Staged<'_>, symbol: u32, why: &str) -> Error {
    let input = staged.input_name(staged.symbols[symbol as usize].input);
    let name = staged.symbol_name(symbol);
    Error::unsupported(input, format!("cannot replace `{name}`: {why}"))
}

/// Plans the jumps. Every earlier version of a function gets one.
pub(super) fn islands(
    session: &Session,
    staged: &Staged<'_>,
    bound: &Bound,
    txn: &mut Txn,
    ground: &mut dyn Ground,
) -> Result<(), Error> {
    let tables = &session.tables;
    for &(symbol, newest) in &bound.replaced {
        let winner = match staged.symbols[symbol as usize].binding {
            Binding::Local => symbol,
            _ => bound.names.of(symbol).winner,
        };
        // A copy that lost to another of the batch.
        if winner != symbol {
            continue;
        }
        let StagedDefinition::Atom(atom, offset) = staged.symbols[symbol as usize].definition
        else {
            continue;
        };
        let record = &txn.atoms[txn.atom_numbers[atom as usize] as usize];
        let to = txn.code_start.add(u64::from(record.offset)).add(offset);
        let mut next = Some(newest);
        while let Some(old) = next {
            let record = tables.symbol(old);
            next = (record.older != NONE).then_some(SymbolId(record.older));
            let is_version = old == newest || is_same_function(tables, record, newest);
            if !is_version {
                continue;
            }
            let at = tables.symbol_address(old);
            let Some(jump) = x86_64::island(at.get(), to.get()) else {
                return Err(refuse(
                    staged,
                    symbol,
                    "a jump does not reach its new place",
                ));
            };
            let mut before = [0; ISLAND_LEN];
            ground.space().read(at, &mut before)?;
            txn.islands.push(Island { at, jump, before });
        }
    }
    Ok(())
}

/// Whether a symbol is an earlier version of a function.
fn is_same_function(tables: &Tables, record: &SymbolRecord, newest: SymbolId) -> bool {
    let newest = tables.symbol(newest);
    let code = tables
        .atoms
        .get(record.atom as usize)
        .is_some_and(|atom| atom.kind == AtomKind::Code);
    let local = |record: &SymbolRecord| record.binding == Binding::Local;
    code && u64::from(record.size) >= ISLAND_LEN as u64
        && local(record) == local(newest)
        && (!local(record) || input_of(tables, record) == input_of(tables, newest))
}

/// Stops the world for a batch that overwrites code, and makes sure that nobody
/// is there. On error it goes on as it was.
pub(super) fn stop_world(
    staged: &Staged<'_>,
    txn: &Txn,
    ground: &mut dyn Ground,
) -> Result<(), Error> {
    if txn.islands.is_empty() {
        return Ok(());
    }
    let input = staged.inputs.first();
    let input = input.map_or("batch", |_| staged.input_name(0));
    let Some(world) = ground.host().world() else {
        let why = "it replaces functions, and this target's threads cannot be stopped";
        return Err(Error::unsupported(input, why));
    };
    let places = world.stop()?;
    let overwritten = |at: HostAddr| {
        let mut islands = txn.islands.iter();
        islands.find(|island| range(island).contains(&at))
    };
    let Some(place) = places.into_iter().find(|at| overwritten(*at).is_some()) else {
        return Ok(());
    };
    world.resume()?;
    let why = format!("it replaces a function that a thread is in, at {place}; try again later");
    Err(Error::unsupported(input, why))
}

/// Lets the world go on.
pub(super) fn resume_world(txn: &Txn, ground: &mut dyn Ground) -> Result<(), HostError> {
    match ground.host().world() {
        Some(world) if !txn.islands.is_empty() => world.resume(),
        _ => Ok(()),
    }
}

fn range(island: &Island) -> Range<HostAddr> {
    island.at.range(ISLAND_LEN as u64)
}

/// The jumps as writes, or what was there before.
pub(super) fn writes(txn: &Txn, back: bool) -> impl Iterator<Item = Write<'_>> {
    txn.islands.iter().map(move |island| Write {
        at: island.at,
        bytes: if back { &island.before } else { &island.jump },
    })
}
