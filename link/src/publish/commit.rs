//! `commit`: pushes a batch's records and stores the generation. Cannot fail.

use std::sync::Arc;

use crate::archive::Archive;
use crate::batch::Published;
use crate::ids::{AtomId, InputId, NameId, SymbolId};
use crate::image::Slab;
use crate::model::{AtomKind, NONE};
use crate::publish::Taken;
use crate::publish::bind::Bound;
use crate::publish::plan::local_records;
use crate::session::{DebugSource, MergedSection, Session};
use crate::space::SpaceId;
use crate::staged::Staged;
use crate::table::{Table, Writer};
use crate::tables::{InputRecord, RegionRecord, Tables};
use crate::txn::Txn;

/// Makes a batch part of the image.
pub(super) fn commit(
    session: &mut Session,
    staged: &Staged<'_>,
    bound: &Bound,
    archives: Vec<Archive>,
    taken: Taken,
    txn: &Txn,
    space: SpaceId,
) -> Published {
    let Session {
        tables,
        writer,
        image,
        scratch,
        ..
    } = session;
    let first_input = tables.inputs.len() as u32;
    let first_atom = tables.atoms.len() as u32;

    let mut slab = taken.slab;
    if taken.fresh {
        push_regions(writer, tables, &slab);
    }
    push_names_and_symbols(writer, tables, staged, txn);
    push_locals(writer, tables, staged, bound, txn);
    push_inputs(writer, tables, staged);
    writer.extend_from(&tables.wide_addends, &txn.wide_addends);
    writer.extend_from(&tables.relocs, &txn.relocs);
    let code_before = slab.segments[0].used;
    push_atoms(
        writer,
        tables,
        txn,
        first_atom,
        code_before,
        &mut scratch.order,
    );
    for slot in &txn.in_slots {
        let number = txn.atom_numbers[slot.staged as usize];
        let newer = AtomId(first_atom + number);
        tables.successors.push(writer, slot.old, newer);
    }
    let places = txn.thread_locals.iter();
    let places = places.map(|&(number, offset)| (AtomId(first_atom + number), offset));
    writer.extend(&tables.thread_locals, places);
    writer.push(&tables.generations, tables.atoms.len() as u32);
    image.space = Some(space);

    for (segment, &used) in slab.segments.iter_mut().zip(&txn.used) {
        if used > segment.committed {
            segment.committed = segment.commit_to(used);
        }
        segment.used = used;
    }
    for (&value, &cell) in &txn.cells {
        slab.cells.insert(writer, value, cell);
    }
    for (&value, &stub) in &txn.stubs {
        slab.stubs.insert(writer, value, stub);
    }
    for (&address, &copy) in &txn.copies {
        slab.copies.insert(writer, address, copy);
    }
    let regions = slab.first_region..slab.first_region + slab.segments.len() as u16;
    tables.prepare(writer, regions);
    image.put(taken.at, slab);
    let published = Published {
        generation: tables.newest(),
        inputs: InputId(first_input)..InputId(tables.inputs.len() as u32),
        atoms: AtomId(first_atom)..AtomId(tables.atoms.len() as u32),
        faulted: None,
    };
    let block = txn.thread_block.as_ref();
    session
        .thread_blocks
        .extend(block.map(|block| block.offset));
    session.archives.extend(archives);
    keep_debug(session, staged, txn, first_input, first_atom);
    published
}

/// Pushes a fresh slab's regions.
pub(super) fn push_regions(writer: &mut Writer, tables: &Tables, slab: &Slab) {
    assert_eq!(
        tables.regions.len(),
        usize::from(slab.first_region),
        "numbered when taken"
    );
    for segment in &slab.segments {
        let record = RegionRecord {
            region: segment.region.clone(),
            atoms: Table::default(),
        };
        writer.push(&tables.regions, record);
    }
}

/// Pushes atoms, and their numbers in each region in the order of addresses.
fn push_atoms(
    writer: &mut Writer,
    tables: &Tables,
    txn: &Txn,
    first_atom: u32,
    code_before: u64,
    order: &mut Vec<u32>,
) {
    writer.extend_from(&tables.atoms, &txn.atoms);
    order.clear();
    // As they were placed, but for sections that came together: a stable sort
    // finds what is in order.
    let atoms = || (0..).zip(&txn.atoms);
    for kinds in [
        &[AtomKind::Code][..],
        &[AtomKind::ReadOnly, AtomKind::ThreadLocal],
        &[AtomKind::Data],
        &[AtomKind::Zero],
    ] {
        let of = atoms().filter(|(_, atom)| kinds.contains(&atom.kind));
        order.extend(of.map(|(number, _)| number));
    }
    if !txn.in_slots.is_empty() {
        // What lies in another's slot is found by way of the other.
        order.retain(|&number| {
            let atom = &txn.atoms[number as usize];
            atom.kind != AtomKind::Code || u64::from(atom.offset) >= code_before
        });
    }
    // Empty atoms share an address with what follows them.
    order.sort_by_key(|&number| {
        let atom = &txn.atoms[number as usize];
        (atom.region, atom.offset, number)
    });
    for &number in &*order {
        let region = tables.region(txn.atoms[number as usize].region);
        writer.push(&region.atoms, AtomId(first_atom + number));
    }
}

fn push_names_and_symbols(writer: &mut Writer, tables: &Tables, staged: &Staged<'_>, txn: &Txn) {
    let names = || txn.names.iter().map(|number| staged.names.get(*number));
    let texts = names().map(|name| staged.names.text(name));
    let len = texts.clone().map(<[u8]>::len).sum();
    let hashes = names().map(|name| name.hash);
    tables.names.intern_new(writer, len, texts, hashes);
    for record in &txn.symbols {
        let mut record = *record;
        let name = NameId(record.name);
        record.older = tables.names.newest(name).map_or(NONE, |older| older.0);
        let symbol = writer.push(&tables.symbols, record);
        tables.names.set_newest(writer, name, SymbolId(symbol));
    }
}

/// Pushes the named symbols that only their inputs see.
fn push_locals(
    writer: &mut Writer,
    tables: &Tables,
    staged: &Staged<'_>,
    bound: &Bound,
    txn: &Txn,
) {
    let published = (tables.atoms.len() as u32, tables.newest().0 + 1);
    for input in 0..staged.inputs.len() as u32 {
        for (mut record, name) in local_records(staged, bound, txn, published, input) {
            record.name = tables.locals.len() as u32;
            let symbol = writer.push(&tables.symbols, record);
            tables.locals.push(writer, name, SymbolId(symbol));
        }
    }
}

fn push_inputs(writer: &mut Writer, tables: &Tables, staged: &Staged<'_>) {
    let generation = tables.newest().0 + 1;
    let names = (0..staged.inputs.len() as u32).map(|input| staged.input_name_bytes(input));
    let len = names.clone().map(<[u8]>::len).sum();
    writer.extend_named(&tables.inputs, &tables.input_names, len, names, |name| {
        InputRecord { name, generation }
    });
}

/// Keeps the bytes of objects with debug sections, for whoever asks later.
fn keep_debug(
    session: &mut Session,
    staged: &Staged<'_>,
    txn: &Txn,
    first_input: u32,
    first_atom: u32,
) {
    for (number, input) in staged.inputs.iter().enumerate() {
        if !input.has_debug {
            continue;
        }
        // What was merged is in no one place.
        let published = |&atom: &u32| match txn.atom_numbers.get(atom as usize) {
            None | Some(&NONE) => NONE,
            Some(number) => first_atom + number,
        };
        let sections = input.sections.start as usize..input.sections.end as usize;
        let sections = &staged.sections[sections];
        let merged = |(section, &entry): (usize, &u32)| {
            let (into, size, entries) = staged.merged.section(entry)?;
            Some(MergedSection {
                section,
                size,
                atom: AtomId(published(&into)),
                entries,
            })
        };
        let source = DebugSource {
            bytes: staged.bytes_of(number as u32).into(),
            sections: sections.iter().map(published).collect(),
            merged: sections.iter().enumerate().filter_map(merged).collect(),
        };
        let id = InputId(first_input + number as u32);
        session.writer.push(&session.debug, (id, Arc::new(source)));
    }
}
