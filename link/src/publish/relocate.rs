//! `relocate`: every kept atom's bytes, copied to where they go, and its fields.
//!
//! A branch that does not reach its target goes through a stub, and what wants
//! a cell shares it with all others of the same value in the slab. Both are
//! added to the plan as they turn out to be needed. So are the records of the
//! relocations that the image keeps: each is read once, from its object.

use object::elf;

use crate::addr::HostAddr;
use crate::arch::x86_64::{self, CELL_LEN, Field, Letters, Needs, STUB_LEN, relax, tls};
use crate::error::Error;
use crate::image::segment_of;
use crate::model::{AtomKind, Definition, NONE, RelocKind, RelocRecord};
use crate::publish::apply::Sink;
use crate::publish::bind::{Target, place};
use crate::publish::plan::Plan;
use crate::staged::merge::Merged;
use crate::staged::{Relocs, Role, StagedAtom, StagedDefinition, StagedReloc, SymbolAt, read_rela};
use crate::txn::{Made, MergedAt, Resolved, State, Txn};

/// A field that is written already, because a sequence takes its place.
const WRITTEN: Field = Field { value: 0, width: 0 };
/// Addends too large for a record that a session may keep.
const MAX_WIDE: usize = 1 << 24;

impl Plan<'_, '_> {
    /// Copies every kept atom to its place and fills its fields in.
    pub(super) fn write_atoms(&mut self, sink: &mut Sink<'_>) -> Result<(), Error> {
        let first = self.session.tables.relocs.len();
        self.txn.relocs.reserve(self.staged.relocs);
        let mut resolved_of = NONE;
        for index in 0..self.staged.atoms.len() as u32 {
            let number = self.txn.atom_numbers[index as usize];
            if number == NONE {
                continue;
            }
            let record = &mut self.txn.atoms[number as usize];
            record.relocs = (first + self.txn.relocs.len()) as u32;
            let kind = self.staged.atoms[index as usize].kind;
            let source = self.staged.atom_bytes(index);
            if kind == AtomKind::Zero || source.is_empty() {
                continue;
            }
            let StagedAtom { input, relocs, .. } = self.staged.atoms[index as usize];
            while relocs.len > 0 && resolved_of != input {
                resolved_of = resolved_of.wrapping_add(1);
                self.resolve_input(resolved_of);
            }
            let segment = segment_of(kind);
            let record = &self.txn.atoms[number as usize];
            let offset = u64::from(record.offset);
            let base = self.slab.segments[segment].region.start.add(offset);
            if let Some(start) = self.txn.slot_of(index) {
                let mut kept = std::mem::take(&mut self.txn.overwriting);
                let bytes = &mut kept[start..start + source.len()];
                bytes.copy_from_slice(source);
                let result = self.relocate(index, base, bytes);
                self.txn.overwriting = kept;
                result?;
                continue;
            }
            let bytes = sink.bytes(segment, offset, source.len());
            bytes.copy_from_slice(source);
            self.relocate(index, base, bytes)?;
        }
        let wide = self.session.tables.wide_addends.len() + self.txn.wide_addends.len();
        if wide > MAX_WIDE {
            let what = "too many relocations with addends of 8 MiB and more";
            return Err(Error::unsupported(self.staged.input_name(0), what));
        }
        Ok(())
    }

    /// Fills in the fields of one atom, and keeps its relocations.
    fn relocate(&mut self, atom: u32, base: HostAddr, bytes: &mut [u8]) -> Result<(), Error> {
        let mut relocs = self.staged.relocs(atom);
        let merged = &self.staged.merged;
        while let Some(reloc) = fill_in_plainly(&mut relocs, merged, self.txn, base.get(), bytes) {
            if reloc.kind.0 == elf::R_X86_64_NONE.0 {
                continue;
            }
            let resolved = self.resolved(atom, &reloc)?;
            self.keep(&reloc, &resolved);
            let field = self.relocate_one(atom, base, &reloc, bytes)?;
            let (at, width) = (reloc.offset as usize, usize::from(field.width));
            bytes[at..at + width].copy_from_slice(&field.value.to_le_bytes()[..width]);
            if tls::has_call(reloc.kind) {
                let next = relocs.next();
                self.expect_thread_call(atom, &reloc, next.as_ref())?;
                if let Some(call) = next {
                    let resolved = self.resolved(atom, &call)?;
                    self.keep(&call, &resolved);
                }
            }
        }
        Ok(())
    }

    /// The symbol of an atom's relocation.
    fn symbol(&self, atom: u32, reloc: &StagedReloc) -> SymbolAt {
        SymbolAt {
            input: self.staged.atoms[atom as usize].input,
            number: reloc.symbol,
        }
    }

    /// What it resolves to.
    fn resolved(&self, atom: u32, reloc: &StagedReloc) -> Result<Resolved, Error> {
        let input = self.staged.atoms[atom as usize].input;
        let first = self.staged.inputs[input as usize].symbols.start;
        let resolved = self.txn.resolved[(reloc.symbol - first) as usize];
        match resolved.state {
            State::Merged => self.merged(atom, reloc, &resolved),
            _ => Ok(resolved),
        }
    }

    /// What the symbol of a merged section stands for in one relocation: such an
    /// address that with the addend it is that of the entry.
    fn merged(
        &self,
        atom: u32,
        reloc: &StagedReloc,
        section: &Resolved,
    ) -> Result<Resolved, Error> {
        let at = MergedAt(section.offset);
        let place = at.value().wrapping_add(reloc.addend as u64);
        let Some(offset) = self.staged.merged.place(at.section(), place) else {
            let what = format!("refers to {place:#x} in a section of constants that ends before");
            return Err(self.bad_field(atom, reloc, &what));
        };
        let less = |value: u64| value.wrapping_sub(reloc.addend as u64);
        Ok(Resolved {
            address: less(section.address.wrapping_add(offset)),
            offset: less(offset),
            target: section.target,
            state: State::Plain,
        })
    }

    /// Keeps a relocation, relative and symbolic.
    fn keep(&mut self, reloc: &StagedReloc, resolved: &Resolved) {
        let addend = reloc.addend.wrapping_add(resolved.offset as i64);
        let StagedReloc { offset, kind, .. } = *reloc;
        let record = if RelocRecord::is_short(addend) {
            RelocRecord::short(offset, kind, resolved.target, addend)
        } else {
            let wide = self.session.tables.wide_addends.len() + self.txn.wide_addends.len();
            self.txn.wide_addends.push(addend);
            // Too many are refused when all are known.
            let number = (wide % MAX_WIDE) as u32;
            RelocRecord::wide(offset, kind, resolved.target, number)
        };
        self.txn.relocs.push(record);
    }

    fn relocate_one(
        &mut self,
        atom: u32,
        base: HostAddr,
        reloc: &StagedReloc,
        bytes: &mut [u8],
    ) -> Result<Field, Error> {
        let resolved = self.resolved(atom, reloc)?;
        if resolved.state == State::Discarded {
            return self.refer_to_discarded(atom, reloc);
        }
        let needs = x86_64::needs(reloc.kind).expect("the reader refuses other kinds");
        let mut letters = Letters {
            s: resolved.address,
            a: reloc.addend,
            p: base.add(u64::from(reloc.offset)).get(),
            z: 0,
            cell: 0,
            got: self.slab.got().get(),
        };
        match needs {
            Needs::Nothing | Needs::Reach => {}
            Needs::Size => letters.z = self.size_of(self.symbol(atom, reloc)),
            Needs::Cell if self.is_settled(atom, reloc) && relax::relax(reloc, &letters, bytes) => {
                return Ok(WRITTEN);
            }
            Needs::Cell => letters.cell = self.cell_for(resolved.address).get(),
            Needs::ThreadOffset => self.check_thread_local(atom, reloc, &resolved)?,
            Needs::ThreadCell => {
                self.check_thread_local(atom, reloc, &resolved)?;
                letters.cell = self.cell_for(resolved.address).get();
            }
            Needs::ThreadCode => {
                self.check_thread_local(atom, reloc, &resolved)?;
                self.rewrite(atom, reloc, &resolved, bytes)?;
                return Ok(WRITTEN);
            }
        }
        if let Some(field) = x86_64::field(reloc.kind, &letters) {
            return Ok(field);
        }
        if needs == Needs::Reach && self.is_branch(atom, reloc) {
            // The displacement counts from its own end, so this is where it goes.
            let to = resolved.address.wrapping_add(reloc.addend as u64);
            letters.s = self.stub_at(to.wrapping_add(4), atom, reloc)?.get();
            letters.a = -4;
        } else if x86_64::is_absolute_32(reloc.kind) && self.names_function(atom, reloc) {
            letters.s = self.stub_at(resolved.address, atom, reloc)?.get();
        }
        let field = x86_64::field(reloc.kind, &letters);
        field.ok_or_else(|| self.out_of_range(atom, reloc, &letters))
    }

    /// Whether a symbol stands for a place that no cell is needed for: not one
    /// that may be absent, and not a number.
    fn is_settled(&self, atom: u32, reloc: &StagedReloc) -> bool {
        matches!(
            self.bound.target(self.staged, self.symbol(atom, reloc)),
            Target::Atom(..) | Target::Old(..) | Target::Outside(_) | Target::Ifunc(_)
        )
    }

    /// A reference to a discarded copy of a COMDAT group. Unwinders take a zero
    /// pc for an entry that a linker dropped; from anywhere else it is an error.
    fn refer_to_discarded(&mut self, atom: u32, reloc: &StagedReloc) -> Result<Field, Error> {
        if self.staged.atoms[atom as usize].role != Role::EhFrame {
            return Err(self.bad_field(
                atom,
                reloc,
                "refers to a discarded copy of a COMDAT group",
            ));
        }
        Ok(Field {
            value: 0,
            width: x86_64::width(reloc.kind),
        })
    }

    /// Refuses a thread-local relocation whose symbol is not thread-local. The
    /// one of local-dynamic code names the module, and any symbol of it will do.
    fn check_thread_local(
        &self,
        atom: u32,
        reloc: &StagedReloc,
        resolved: &Resolved,
    ) -> Result<(), Error> {
        let module = reloc.kind.0 == object::elf::R_X86_64_TLSLD.0;
        if resolved.state == State::ThreadLocal || module {
            return Ok(());
        }
        let what = format!(
            "refers to `{}`, which is not thread-local",
            self.symbol_text(self.symbol(atom, reloc))
        );
        Err(self.bad_field(atom, reloc, &what))
    }

    /// Turns a thread-local sequence into its local-exec form.
    fn rewrite(
        &mut self,
        atom: u32,
        reloc: &StagedReloc,
        resolved: &Resolved,
        bytes: &mut [u8],
    ) -> Result<(), Error> {
        let code = self.staged.atom_bytes(atom);
        let value = (resolved.address as i64).wrapping_add(reloc.addend);
        let value = value.clamp(-(1 << 40), 1 << 40);
        match tls::local_exec(reloc.kind, code, reloc.offset, value) {
            Ok(sequence) => {
                let (at, len) = (sequence.offset as usize, usize::from(sequence.len));
                bytes[at..at + len].copy_from_slice(&sequence.bytes[..len]);
                Ok(())
            }
            Err(what) => {
                let what = format!(
                    "against `{}` {what}",
                    self.symbol_text(self.symbol(atom, reloc))
                );
                Err(self.bad_field(atom, reloc, &what))
            }
        }
    }

    /// Checks that a sequence's call follows it.
    fn expect_thread_call(
        &self,
        atom: u32,
        reloc: &StagedReloc,
        next: Option<&StagedReloc>,
    ) -> Result<(), Error> {
        match next {
            Some(next) if (reloc.offset + 5..=reloc.offset + 8).contains(&next.offset) => Ok(()),
            _ => Err(self.bad_field(atom, reloc, "is not followed by a call of __tls_get_addr")),
        }
    }

    /// Whether a field is the target of a call or jump, which may go through a
    /// stub. A PLT32 always is; a PC32 is by the opcode before it.
    fn is_branch(&self, atom: u32, reloc: &StagedReloc) -> bool {
        let bytes = self.staged.atom_bytes(atom);
        x86_64::is_branch(reloc.kind, &bytes[..reloc.offset as usize])
    }

    /// Whether a 32-bit address that does not reach is a function's, for which a
    /// stub may stand: an unwind entry's personality, or by the C++ ABI's
    /// mangling a function in a scope (data in a scope ends in `E`).
    fn names_function(&self, atom: u32, reloc: &StagedReloc) -> bool {
        let outside = match self.bound.target(self.staged, self.symbol(atom, reloc)) {
            Target::Outside(_) => true,
            Target::Known(known) => matches!(
                self.session.tables.symbol(known).definition(),
                Definition::Outside(_)
            ),
            _ => false,
        };
        let name = self.staged.symbol_bytes(self.symbol(atom, reloc));
        let mangled = name.starts_with(b"_ZN") && !name.ends_with(b"E");
        outside && (mangled || self.staged.atoms[atom as usize].role == Role::EhFrame)
    }

    /// The slab's copy of a class's table outside, made now if it is known.
    pub(super) fn copy_of(&mut self, address: u64) -> Option<HostAddr> {
        let known = self.slab.copies.get(address);
        if let Some(copy) = known.or_else(|| self.txn.copies.get(&address).copied()) {
            return Some(copy);
        }
        let copies = &self.bound.copies;
        let copied = copies.iter().position(|(known, _)| *known == address)?;
        let words = self.bound.copies[copied]
            .1
            .len()
            .div_ceil(CELL_LEN as usize);
        let mut first = None;
        for number in 0..words {
            let (offset, at) = self.take_own(2, CELL_LEN);
            first.get_or_insert(at);
            let mut bytes = [0; CELL_LEN as usize];
            let rest = &self.bound.copies[copied].1[number * CELL_LEN as usize..];
            let len = rest.len().min(bytes.len());
            bytes[..len].copy_from_slice(&rest[..len]);
            self.txn.made.push(Made {
                segment: 2,
                offset,
                bytes,
            });
        }
        let first = first.expect("a copy has words");
        self.txn.copies.insert(address, first);
        Some(first)
    }

    /// The cell that holds `value`, made if there is none in reach.
    fn cell_for(&mut self, value: u64) -> HostAddr {
        let known = self.slab.cells.get(value);
        if let Some(cell) = known.or_else(|| self.txn.cells.get(&value).copied()) {
            return cell;
        }
        let (offset, cell) = self.take_own(2, CELL_LEN);
        self.txn.cells.insert(value, cell);
        self.txn.made.push(Made {
            segment: 2,
            offset,
            bytes: value.to_le_bytes(),
        });
        cell
    }

    /// The stub that jumps to `value`, made if there is none in reach. None when it
    /// does not reach its own cell.
    pub(super) fn stub_for(&mut self, value: u64) -> Option<HostAddr> {
        let known = self.slab.stubs.get(value);
        if let Some(stub) = known.or_else(|| self.txn.stubs.get(&value).copied()) {
            return Some(stub);
        }
        let cell = self.cell_for(value).get();
        let (offset, stub) = self.take_own(0, STUB_LEN);
        let bytes = x86_64::stub(stub.get(), cell)?;
        self.txn.stubs.insert(value, stub);
        self.txn.made.push(Made {
            segment: 0,
            offset,
            bytes,
        });
        Some(stub)
    }

    /// The same for a field.
    fn stub_at(&mut self, value: u64, atom: u32, reloc: &StagedReloc) -> Result<HostAddr, Error> {
        self.stub_for(value).ok_or_else(|| {
            let letters = Letters {
                s: value,
                a: 0,
                p: 0,
                z: 0,
                cell: 0,
                got: 0,
            };
            self.out_of_range(atom, reloc, &letters)
        })
    }

    fn bad_field(&self, atom: u32, reloc: &StagedReloc, what: &str) -> Error {
        let place = place(self.staged, atom, reloc.offset);
        let name = x86_64::name(reloc.kind).unwrap_or("relocation");
        let text = format!("{}+{:#x}: {name} {what}", place.section, place.offset);
        Error::malformed(&place.input, text)
    }

    fn out_of_range(&self, atom: u32, reloc: &StagedReloc, letters: &Letters) -> Error {
        Error::Range {
            place: place(self.staged, atom, reloc.offset),
            relocation: x86_64::name(reloc.kind).unwrap_or("relocation"),
            symbol: self.symbol_text(self.symbol(atom, reloc)),
            target: HostAddr(letters.s),
            field: HostAddr(letters.p),
        }
    }

    /// A symbol's name for messages; a section's for a symbol without one.
    fn symbol_text(&self, symbol: SymbolAt) -> String {
        let name = self.staged.symbol_name(symbol);
        let record = self.staged.record(symbol);
        match (name, self.staged.definition(symbol, record)) {
            ("", StagedDefinition::Atom(atom, _)) => self.staged.atom_name(atom).to_owned(),
            _ => name.to_owned(),
        }
    }
}

/// Fills in fields of the kinds that nearly all are, and keeps their
/// relocations, up to one that is not so plain: of another kind, or out of
/// reach. That is given back.
fn fill_in_plainly(
    relocs: &mut Relocs<'_>,
    merged: &Merged,
    txn: &mut Txn,
    base: u64,
    bytes: &mut [u8],
) -> Option<StagedReloc> {
    const PC32: u32 = elf::R_X86_64_PC32.0;
    const PLT32: u32 = elf::R_X86_64_PLT32.0;
    const ADDRESS: u32 = elf::R_X86_64_64.0;
    let symbols = &*txn.resolved;
    while let Some(record) = relocs.records.next() {
        let [offset, info, addend] = read_rela(record);
        let (at, kind) = (offset as usize, info as u32);
        let unusual = |relocs: &Relocs<'_>| Some(relocs.read(record));
        let Some(symbol) = symbols.get((info >> 32) as usize) else {
            return unusual(relocs);
        };
        let mut place = symbol.offset.wrapping_add(addend);
        let mut target = symbol.address.wrapping_add(addend);
        if symbol.state != State::Plain {
            let at = MergedAt(symbol.offset);
            let wanted = at.value().wrapping_add(addend);
            match symbol.state {
                State::Merged => match merged.place(at.section(), wanted) {
                    Some(offset) => {
                        place = offset;
                        target = symbol.address.wrapping_add(offset);
                    }
                    None => return unusual(relocs),
                },
                _ => return unusual(relocs),
            }
        }
        let kept = place as i64;
        if !RelocRecord::is_short(kept) {
            return unusual(relocs);
        }
        if kind == PLT32 || kind == PC32 {
            let distance = target.wrapping_sub(base.wrapping_add(offset)) as i64;
            let field = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
            match (field, i32::try_from(distance)) {
                (Some(field), Ok(distance)) => *field = distance.to_le_bytes(),
                _ => return unusual(relocs),
            }
        } else if kind == ADDRESS {
            match bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
                Some(field) => *field = target.to_le_bytes(),
                None => return unusual(relocs),
            }
        } else {
            return unusual(relocs);
        }
        let kind = RelocKind(kind);
        let record = RelocRecord::short(offset as u32, kind, symbol.target, kept);
        txn.relocs.push(record);
    }
    None
}
