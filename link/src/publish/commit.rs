//! `commit`: pushes a batch's records and stores the generation. Cannot fail.

use crate::archive::Archive;
use crate::batch::Published;
use crate::ids::{AtomId, InputId, NameId, SymbolId};
use crate::image::Slab;
use crate::model::NONE;
use crate::publish::Taken;
use crate::session::{DebugSource, Session};
use crate::space::SpaceId;
use crate::staged::Staged;
use crate::table::{Table, Writer};
use crate::tables::{InputRecord, RegionRecord, Tables};
use crate::txn::Txn;

/// Makes a batch part of the image.
pub(super) fn commit(
    session: &mut Session,
    staged: &Staged<'_>,
    archives: Vec<Archive>,
    taken: Taken,
    txn: &Txn,
    space: SpaceId,
) -> Published {
    let tables = session.tables.clone();
    let first_input = tables.inputs.len() as u32;
    let first_atom = tables.atoms.len() as u32;
    let writer = &mut session.writer;

    let mut slab = taken.slab;
    if taken.fresh {
        push_regions(writer, &tables, &slab);
    }
    push_names_and_symbols(writer, &tables, staged, txn);
    push_inputs(writer, &tables, staged);
    for reloc in &txn.relocs {
        writer.push(&tables.relocs, *reloc);
    }
    push_atoms(writer, &tables, txn, first_atom);
    writer.push(&tables.generations, tables.atoms.len() as u32);
    session.image.space = Some(space);

    for (segment, &used) in slab.segments.iter_mut().zip(&txn.used) {
        if used > segment.committed {
            segment.committed = segment.commit_to(used);
        }
        segment.used = used;
    }
    slab.cells.extend(&txn.cells);
    slab.stubs.extend(&txn.stubs);
    session.image.grow_in(taken.ground, slab);
    session.archives.extend(archives);
    keep_debug(session, staged, txn, first_input, first_atom);
    Published {
        generation: session.generation(),
        inputs: InputId(first_input)..InputId(tables.inputs.len() as u32),
        atoms: AtomId(first_atom)..AtomId(tables.atoms.len() as u32),
        faulted: None,
    }
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
fn push_atoms(writer: &mut Writer, tables: &Tables, txn: &Txn, first_atom: u32) {
    for atom in &txn.atoms {
        writer.push(&tables.atoms, *atom);
    }
    let mut order: Vec<u32> = (0..txn.atoms.len() as u32).collect();
    if order.len() > 1 {
        order.sort_by_key(|&number| txn.atoms[number as usize].offset);
    }
    for number in order {
        let region = tables.region(txn.atoms[number as usize].region);
        writer.push(&region.atoms, AtomId(first_atom + number));
    }
}

fn push_names_and_symbols(writer: &mut Writer, tables: &Tables, staged: &Staged<'_>, txn: &Txn) {
    for &symbol in &txn.names {
        tables.names.intern_new(writer, staged.symbol_name(symbol));
    }
    for record in &txn.symbols {
        let mut record = *record;
        let name = NameId(record.name);
        record.older = tables.names.newest(name).map_or(NONE, |older| older.0);
        let symbol = writer.push(&tables.symbols, record);
        tables.names.set_newest(writer, name, SymbolId(symbol));
    }
}

fn push_inputs(writer: &mut Writer, tables: &Tables, staged: &Staged<'_>) {
    let generation = tables.newest().0 + 1;
    for input in &staged.inputs {
        let name = tables.input_names.push(writer, &input.name);
        writer.push(&tables.inputs, InputRecord { name, generation });
    }
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
        let published = |&atom: &u32| {
            let number = if atom == NONE {
                NONE
            } else {
                txn.atom_numbers[atom as usize]
            };
            if number == NONE {
                NONE
            } else {
                first_atom + number
            }
        };
        let source = DebugSource {
            bytes: input.source.bytes().into(),
            sections: input.sections.iter().map(published).collect(),
        };
        session
            .debug
            .insert(InputId(first_input + number as u32), source);
    }
}
