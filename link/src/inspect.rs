//! [`Session::state`]: everything a session knows, as text.
//!
//! For tests, which compare it before and after a batch that was refused, and
//! for reports of bugs. Each line is one record of one table. What is not there:
//! the contents of lists that mean nothing between publishes, what the host
//! answered when it was asked for its unwinder (asking again gives the same), and
//! the target's memory, which is the address space's.

use std::fmt::{self, Write};

use crate::ids::{AtomId, Generation, NameId, SymbolId};
use crate::image::{Known, Slab};
use crate::session::Session;
use crate::tables::Tables;

impl Session {
    /// Every table of the session, a record on a line.
    pub fn state(&self) -> String {
        let mut text = String::new();
        let written = tables(&mut text, &self.tables).and_then(|()| self.own_state(&mut text));
        written.expect("a string takes all");
        text
    }

    /// What is the session's alone, and no view's.
    fn own_state(&self, text: &mut String) -> fmt::Result {
        let view = self.view();
        for added in view.since(Generation::EMPTY) {
            writeln!(text, "{added:?}")?;
        }
        writeln!(text, "space {:?}", self.image.space)?;
        for (ground, slab) in self.image.slabs.iter().enumerate() {
            if let Some(slab) = slab {
                self::slab(text, &format!("slab {ground}"), slab)?;
            }
        }
        for (number, full) in self.image.full.iter().enumerate() {
            self::slab(text, &format!("full slab {number}"), full)?;
        }
        for archive in &self.archives {
            writeln!(text, "archive {} {:?}", archive.name, archive.pulled())?;
        }
        for number in 0..self.debug.len() {
            let source = self.debug.get(number).expect("below the length");
            writeln!(text, "debug {} {:?}", source.0, source.1.sections)?;
        }
        let mut once: Vec<_> = self.once.iter().collect();
        once.sort();
        writeln!(text, "once {once:?}")?;
        writeln!(text, "unwind {:?}", self.unwind)?;
        writeln!(text, "adopted {:?}", self.adopted)?;
        writeln!(text, "thread blocks {:?}", self.thread_blocks)
    }
}

fn tables(text: &mut String, tables: &Tables) -> fmt::Result {
    for number in 0..tables.names.len() {
        let name = NameId(number as u32);
        let newest = tables.names.newest(name);
        writeln!(text, "{name} {:?} {newest:?}", tables.names.text(name))?;
    }
    for number in 0..tables.symbols.len() {
        let symbol = SymbolId(number as u32);
        let (record, at) = (tables.symbol(symbol), tables.symbol_address(symbol));
        let thread = tables.thread_offset(symbol);
        writeln!(text, "{symbol} {record:?} {at} {thread:?}")?;
    }
    for number in 0..tables.atoms.len() {
        let atom = AtomId(number as u32);
        let (record, at) = (tables.atom(atom), tables.address(atom));
        let newer = tables.successors.of(atom);
        writeln!(text, "{atom} {record:?} {at} {newer:?}")?;
    }
    for number in 0..tables.relocs.len() {
        writeln!(text, "relocation {number} {:?}", tables.reloc(number))?;
    }
    writeln!(text, "wide addends {}", tables.wide_addends.len())?;
    for number in 0..tables.inputs.len() {
        let input = tables.inputs.get(number).expect("below the length");
        let name = tables.input_names.get(input.name);
        writeln!(text, "input {number} {name:?} {}", input.generation)?;
    }
    for number in 0..tables.regions.len() {
        let record = tables.region(number as u16);
        let atoms: Vec<_> = (0..record.atoms.len())
            .filter_map(|index| record.atoms.get(index))
            .collect();
        writeln!(text, "region {number} {:?} {atoms:?}", record.region)?;
    }
    writeln!(text, "generations {}", tables.generations.len())?;
    writeln!(text, "thread-locals {}", tables.thread_locals.len())
}

fn slab(text: &mut String, name: &str, slab: &Slab) -> fmt::Result {
    for segment in &slab.segments {
        writeln!(text, "{name} {segment:?}")?;
    }
    let (first, registered) = (slab.first_region, slab.registered);
    writeln!(text, "{name} {first} {registered:?}")?;
    for (what, known) in [
        ("cell", &slab.cells),
        ("stub", &slab.stubs),
        ("copy", &slab.copies),
    ] {
        self::known(text, what, known)?;
    }
    Ok(())
}

fn known(text: &mut String, what: &str, known: &Known) -> fmt::Result {
    for (value, place) in known.all() {
        writeln!(text, "{what} {value:#x} at {place}")?;
    }
    Ok(())
}
