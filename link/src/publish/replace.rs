//! `replace`: which of the image's functions and variables a batch takes the
//! place of, and the published bytes that it overwrites.
//!
//! New code is written over the old where it fits the old one's [`slot`] and
//! nobody is in it. Else it moves: it is placed like any other, and a jump
//! overwrites the beginning of every earlier version of it, so an old address is
//! one jump away from the newest code however often it was replaced. Either way
//! callers' bytes, vtables and stored pointers stay good. The jump is five bytes,
//! or fourteen where the new place is more than 2 GiB away.
//!
//! Data stays. A variable is the image's when its section has the same variables
//! at the same offsets with the same sizes; then the batch's section is not
//! placed at all. Anything else under a known name would change the shape of data
//! that running code holds, and is refused. Constants are new each time: code
//! that moved reads the old ones until its callers come back.
//!
//! A compiler's own pieces of functions (`f.cold`, `f.isra.0`) are reached by
//! conventions of their own, so they are never replaced: old code goes on with
//! the old ones.
//!
//! Published bytes change last of all, with every thread stopped, and only when
//! no pc and no return address lies among them. Between stopping and resuming
//! nothing is allocated or freed, because a stopped thread of this process may be
//! the one that holds the allocator's lock.

use object::LittleEndian;
use object::read::elf::Sym;

use crate::addr::HostAddr;
use crate::arch::x86_64;
use crate::batch::Ground;
use crate::error::Error;
use crate::ids::{AtomId, InputId, SymbolId};
use crate::image::Slab;
use crate::model::{AtomKind, Binding, NONE, SymbolRecord};
use crate::publish::bind::Bound;
use crate::publish::slot::{self, Old};
use crate::publish::unwind;
use crate::session::Session;
use crate::space::{AddressSpace, SpaceError, Write};
use crate::staged::{Staged, StagedDefinition, SymbolAt};
use crate::tables::Tables;
use crate::txn::{Overwrite, Txn};

/// How often a program may fork just when its code is to be overwritten.
const MOST_TRIES: u32 = 1000;

/// What fills the rest of a slot: `int3`.
const TRAP: u8 = 0xcc;

/// A staged symbol in an atom, and the image's that it would replace.
struct Pair {
    atom: u32,
    offset: u64,
    symbol: SymbolAt,
    /// The number of its name, if others see it.
    name: Option<u32>,
    old: Option<SymbolId>,
}

/// Finds what the batch replaces: functions are listed in `bound.replaced`, with
/// the slots that their atoms fit in `bound.slots`, and variables' atoms in
/// `bound.aliases`; the latter are discarded.
pub(super) fn pair(
    session: &Session,
    staged: &mut Staged<'_>,
    bound: &mut Bound,
) -> Result<(), Error> {
    let tables = &session.tables;
    bound.aliases.resize(staged.atoms.len(), NONE);
    bound.slots.resize(staged.atoms.len(), NONE);
    let mut known = Old::default();
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
                let bracketed = bound.brackets.iter().any(|b| b.contains(&atom));
                if let Some(old) = fitting(session, staged, of_atom, &mut known)
                    && !bracketed
                {
                    bound.slots[atom as usize] = old.0;
                }
            }
            AtomKind::Data | AtomKind::Zero | AtomKind::ThreadLocal
                if !staged.atom_name(atom).starts_with(".data.rel.ro")
                    && of_atom.iter().any(|pair| pair.old.is_some()) =>
            {
                let old = same_shape(tables, staged, of_atom)?;
                bound.aliases[atom as usize] = old.0;
                staged.atoms[atom as usize].discarded = true;
                for pair in of_atom {
                    let Some(name) = pair.name else { continue };
                    let entry = bound.names.entry_mut(name);
                    if entry.winner == pair.symbol {
                        entry.winner = SymbolAt::NONE;
                        entry.definition = StagedDefinition::Undefined;
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
    for number in 0..staged.inputs.len() as u32 {
        let symbols = staged.symbols_of(number);
        let name = staged.input_name(number);
        for (symbol, record) in staged.locals(number) {
            let StagedDefinition::Atom(atom, offset) = staged.definition(symbol, record) else {
                continue;
            };
            let is_code = staged.atoms[atom as usize].kind == AtomKind::Code;
            if !symbols.has_local_name(record)
                || staged.atoms[atom as usize].discarded
                || (is_code && is_a_piece(staged, symbol))
            {
                continue;
            }
            let mut named = tables
                .locals
                .named(tables, staged.symbol_name(symbol))
                .into_iter();
            let old = named.find(|old| input_of(tables, tables.symbol(*old)) == Some(name));
            pairs.push(Pair {
                atom,
                offset,
                symbol,
                name: None,
                old,
            });
        }
        let globals = staged.globals(number);
        pairs.extend(globals.filter_map(|(symbol, record, name)| {
            global_pair(tables, staged, bound, (symbol, record), name)
        }));
    }
    pairs.extend(staged.versions.iter().filter_map(|&(symbol, name)| {
        global_pair(tables, staged, bound, (symbol, staged.record(symbol)), name)
    }));
    pairs
}

/// A definition that others see, with its counterpart.
fn global_pair(
    tables: &Tables,
    staged: &Staged<'_>,
    bound: &Bound,
    (symbol, record): (SymbolAt, &crate::staged::SymbolRecord),
    name: u32,
) -> Option<Pair> {
    let StagedDefinition::Atom(atom, offset) = staged.definition(symbol, record) else {
        return None;
    };
    if staged.atoms[atom as usize].discarded {
        return None;
    }
    let image = bound.names.entry(name).image;
    let image = Some(SymbolId(image)).filter(|_| image != NONE);
    Some(Pair {
        atom,
        offset,
        symbol,
        name: Some(name),
        old: image.filter(|image| tables.symbol(*image).is_image_definition()),
    })
}

/// What the input that brought a symbol is called.
fn input_of<'t>(tables: &'t Tables, record: &SymbolRecord) -> Option<&'t str> {
    let atom = tables.atoms.get(record.atom as usize)?;
    (atom.input != NONE).then(|| tables.input_name(InputId(atom.input)))
}

/// Whether a local function is one that the compiler made of another.
fn is_a_piece(staged: &Staged<'_>, symbol: SymbolAt) -> bool {
    staged
        .symbol_name(symbol)
        .trim_start_matches('.')
        .contains('.')
}

/// Refuses to put a function where there was none.
fn check_function(
    tables: &Tables,
    staged: &Staged<'_>,
    symbol: SymbolAt,
    old: SymbolId,
) -> Result<(), Error> {
    let record = tables.symbol(old);
    let old_atom = tables.atoms.get(record.atom as usize);
    match old_atom {
        Some(atom) if atom.kind == AtomKind::Code => Ok(()),
        _ => {
            let why = "it is a function, and was none before";
            Err(refuse(staged, symbol, why))
        }
    }
}

/// The image's atom in whose slot a staged one of code may be written.
fn fitting(
    session: &Session,
    staged: &Staged<'_>,
    pairs: &[Pair],
    known: &mut Old,
) -> Option<AtomId> {
    let tables = &session.tables;
    let first = pairs.iter().find_map(|pair| pair.old)?;
    let old = AtomId(tables.symbol(first).atom);
    let same_place = |pair: &Pair| match pair.old.map(|symbol| tables.symbol(symbol)) {
        Some(record) => record.atom == old.0 && record.value == pair.offset,
        None => true,
    };
    let atom = &staged.atoms[pairs[0].atom as usize];
    let fits = atom.size > 0
        && pairs.iter().all(same_place)
        && u64::from(atom.size) <= slot::capacity(session, old)
        && slot::is_aligned(tables.address(old), atom.alignment_log2)
        && tables.successors.of(old).is_none();
    if !fits || known.is_entered(session, old) {
        return None;
    }
    let starts = known.starts(session, old);
    let still_there = |start: &u64| {
        let mut pairs = pairs.iter();
        pairs.any(|pair| pair.old.is_some() && pair.offset == *start)
    };
    (!starts.is_empty() && starts.iter().all(still_there)).then_some(old)
}

/// The image's atom whose variables are the same as those of a staged one.
fn same_shape(tables: &Tables, staged: &Staged<'_>, pairs: &[Pair]) -> Result<AtomId, Error> {
    let first = pairs.iter().find_map(|pair| pair.old);
    let first = first.expect("the caller saw one");
    let old_atom = tables.symbol(first).atom;
    for pair in pairs {
        let size = staged.record(pair.symbol).st_size(LittleEndian);
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
        if !same_kind || u64::from(old.size) != size {
            let before = old.size;
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

fn refuse(staged: &Staged<'_>, symbol: SymbolAt, why: &str) -> Error {
    let input = staged.input_name(symbol.input);
    let name = staged.symbol_name(symbol);
    Error::unsupported(input, format!("cannot replace `{name}`: {why}"))
}

/// Plans what is overwritten: code in its slot, a jump at every earlier version
/// of what moves, and unwind entries of the former. False when code does not fit
/// its slot after all.
pub(super) fn plan(
    session: &Session,
    staged: &Staged<'_>,
    bound: &Bound,
    slab: &Slab,
    txn: &mut Txn,
    ground: &mut dyn Ground,
) -> Result<bool, Error> {
    if !staged.replaces {
        return Ok(true);
    }
    for number in 0..txn.in_slots.len() {
        overwrite_slot(staged, txn, number);
    }
    if txn.keeps_array && !txn.in_slots.is_empty() {
        let Some(words) = unwind::overwritten(slab, txn, ground)? else {
            return Ok(false);
        };
        for (word, entry) in words {
            push(txn, word, &entry.get().to_le_bytes(), 0..0, false);
        }
    }
    islands(session, staged, bound, txn, ground)?;
    txn.overwrites.sort_by_key(|overwrite| overwrite.at);
    if txn.overwrites.is_empty() || ground.host().world().is_some() {
        return Ok(true);
    }
    let why = "it replaces functions, and this target's threads cannot be stopped";
    Err(Error::unsupported(first_input(staged), why))
}

/// Adds an overwrite.
fn push(txn: &mut Txn, at: HostAddr, bytes: &[u8], guarded: std::ops::Range<u64>, in_slot: bool) {
    let start = txn.overwriting.len();
    txn.overwriting.extend_from_slice(bytes);
    txn.overwrites.push(Overwrite {
        at,
        bytes: start..start + bytes.len(),
        guarded,
        in_slot,
    });
}

/// Code written over old code, and traps over what is left of that. Its end is
/// guarded too: a call that does not return may be the last instruction, and an
/// unwinder would look for its caller.
fn overwrite_slot(staged: &Staged<'_>, txn: &mut Txn, number: usize) {
    let slot = &txn.in_slots[number];
    let (index, at) = (slot.staged, slot.range.start);
    let old = slot.range.end.distance_from(at) as usize;
    let new = staged.atoms[index as usize].size as usize;
    let bytes = vec![TRAP; new.max(old)];
    // The code itself comes when all atoms are written.
    push(txn, at, &bytes, 1..old as u64 + 1, true);
}

/// Plans the jumps. Every earlier version of a function gets one.
fn islands(
    session: &Session,
    staged: &Staged<'_>,
    bound: &Bound,
    txn: &mut Txn,
    ground: &mut dyn Ground,
) -> Result<(), Error> {
    let tables = &session.tables;
    let mut known = Old::default();
    for &(symbol, newest) in &bound.replaced {
        let entry = bound.names.of(staged, symbol);
        // A copy that lost to another of the batch.
        if entry.is_some_and(|entry| entry.winner != symbol) {
            continue;
        }
        let definition = staged.definition(symbol, staged.record(symbol));
        let StagedDefinition::Atom(atom, offset) = definition else {
            continue;
        };
        let record = &txn.atoms[txn.atom_numbers[atom as usize] as usize];
        let to = txn.code_start.add(u64::from(record.offset)).add(offset);
        let mut next = Some(newest);
        while let Some(old) = next {
            let record = tables.symbol(old);
            next = tables.older(old);
            let is_version = old == newest || is_same_function(tables, record, newest);
            let at = tables.symbol_address(old);
            // Several versions may have lain in one slot.
            let done = at == to || txn.overwrites.iter().any(|known| known.at == at);
            if !is_version || done {
                continue;
            }
            let room = slot::room(session, &mut known, old, ground)?;
            let near = x86_64::island(at.get(), to.get());
            let far = x86_64::far_island(to.get());
            let jump: &[u8] = near.as_ref().map_or(&far, |near| near);
            if room < jump.len() as u64 {
                let needed = if near.is_some() {
                    "a jump"
                } else {
                    "a jump so far"
                };
                let why =
                    format!("the function it replaces has {room} bytes, too few for {needed}");
                return Err(refuse(staged, symbol, &why));
            }
            push(txn, at, jump, 1..jump.len() as u64, false);
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
    code && local(record) == local(newest)
        && (!local(record) || input_of(tables, record) == input_of(tables, newest))
}

fn first_input<'s>(staged: &'s Staged<'_>) -> &'s str {
    let input = staged.inputs.first();
    input.map_or("batch", |_| staged.input_name(0))
}

/// Overwrites what was planned, with the world stopped. False when a thread is in
/// the way of code in its slot, and of nothing else; an error when one is in the
/// way of a jump. Nothing is written then.
pub(super) fn overwrite(
    staged: &Staged<'_>,
    txn: &Txn,
    ground: &mut dyn Ground,
) -> Result<bool, Error> {
    if txn.overwrites.is_empty() {
        return Ok(true);
    }
    let writes: Vec<Write<'_>> = txn.overwrites.iter().map(|one| write(txn, one)).collect();
    let places = stop_alone(staged, &writes, ground)?;
    let in_the_way = || places.iter().filter_map(|place| guard_of(txn, *place));
    let blocked = in_the_way()
        .find(|(_, one)| !one.in_slot)
        .or(in_the_way().next());
    let written = match blocked {
        None => write_all(ground.space(), &writes),
        Some(_) => Ok(()),
    };
    let resumed = resume(ground);
    let blocked = blocked.map(|(place, one)| (place, one.in_slot));
    drop(places);
    resumed?;
    written?;
    match blocked {
        None => Ok(true),
        Some((_, true)) => Ok(false),
        Some((place, false)) => {
            let why =
                format!("it replaces a function that a thread is in, at {place}; try again later");
            Err(Error::unsupported(first_input(staged), why))
        }
    }
}

/// Stops the world at a moment when no child shares the code that is to be
/// overwritten, and gives the places. From then on nothing may be allocated or
/// freed until it goes on.
fn stop_alone(
    staged: &Staged<'_>,
    writes: &[Write<'_>],
    ground: &mut dyn Ground,
) -> Result<Vec<HostAddr>, Error> {
    for _ in 0..MOST_TRIES {
        ground.space().unshare(writes)?;
        let world = ground.host().world();
        let places = world.expect("`plan` made sure of it").stop()?;
        if ground.space().is_unshared(writes) {
            return Ok(places);
        }
        resume(ground)?;
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    let why = "it replaces functions, and the program does nothing but fork";
    Err(Error::unsupported(first_input(staged), why))
}

fn resume(ground: &mut dyn Ground) -> Result<(), Error> {
    let world = ground.host().world();
    let resumed = world.expect("`plan` made sure of it").resume();
    resumed.map_err(|error| Error::Lost(error.to_string()))
}

/// What is overwritten at a place where a thread is or will return to.
fn guard_of(txn: &Txn, place: HostAddr) -> Option<(HostAddr, &Overwrite)> {
    let after = txn.overwrites.partition_point(|one| one.at < place);
    let one = txn.overwrites[..after].last()?;
    let offset = place.distance_from(one.at) as u64;
    one.guarded.contains(&offset).then_some((place, one))
}

fn write<'t>(txn: &'t Txn, one: &Overwrite) -> Write<'t> {
    Write {
        at: one.at,
        bytes: &txn.overwriting[one.bytes.clone()],
    }
}

/// Through windows where all have one, which cannot fail.
fn write_all(space: &mut dyn AddressSpace, writes: &[Write<'_>]) -> Result<(), SpaceError> {
    let mut windows = writes.iter();
    if !windows.all(|write| space.window(write.at, write.bytes.len() as u64).is_some()) {
        return space.apply(writes);
    }
    for write in writes {
        let window = space.window(write.at, write.bytes.len() as u64);
        window.expect("there was one").copy_from_slice(write.bytes);
    }
    Ok(())
}
