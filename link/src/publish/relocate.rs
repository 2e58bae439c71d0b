//! `relocate`: the value of every field of a planned batch.
//!
//! A branch that does not reach its target goes through a stub, and what wants
//! a cell shares it with all others of the same value in the slab. Both are
//! added to the plan as they turn out to be needed.

use crate::addr::HostAddr;
use crate::arch::x86_64::{self, CELL_LEN, Field, Letters, Needs, STUB_LEN, tls};
use crate::error::Error;
use crate::model::{Definition, NONE};
use crate::publish::bind::{Target, place};
use crate::publish::plan::Plan;
use crate::staged::{Role, StagedDefinition, StagedReloc};
use crate::txn::{Made, Resolved};

/// A field that stays as the code has it, because a sequence takes its place.
const UNTOUCHED: Field = Field { value: 0, width: 0 };

impl Plan<'_, '_> {
    /// Computes every field of every kept atom.
    pub(super) fn relocate(&mut self) -> Result<(), Error> {
        self.txn.fields.resize(self.staged.relocs.len(), UNTOUCHED);
        for index in 0..self.staged.atoms.len() as u32 {
            if self.txn.atom_numbers[index as usize] == NONE {
                continue;
            }
            let base = self.address_of(index);
            let mut relocs = self.staged.atoms[index as usize].relocs.clone();
            while let Some(number) = relocs.next() {
                let reloc = self.staged.relocs[number as usize];
                self.txn.fields[number as usize] = self.relocate_one(index, base, &reloc)?;
                if tls::has_call(reloc.kind) {
                    self.expect_thread_call(index, &reloc, relocs.next())?;
                }
            }
        }
        Ok(())
    }

    fn relocate_one(
        &mut self,
        atom: u32,
        base: HostAddr,
        reloc: &StagedReloc,
    ) -> Result<Field, Error> {
        let target = self.bound.targets[reloc.symbol as usize];
        if target == Target::Discarded {
            return self.refer_to_discarded(atom, reloc);
        }
        let needs = x86_64::needs(reloc.kind).expect("the reader refuses other kinds");
        let resolved = self.txn.resolved[reloc.symbol as usize];
        let mut letters = Letters {
            s: resolved.address,
            a: reloc.addend,
            p: base.add(u64::from(reloc.offset)).get(),
            z: u64::from(resolved.size),
            cell: 0,
            got: self.slab.got().get(),
        };
        match needs {
            Needs::Nothing | Needs::Reach => {}
            Needs::Cell => letters.cell = self.cell_for(resolved.address).get(),
            Needs::ThreadOffset => self.check_thread_local(atom, reloc, &resolved)?,
            Needs::ThreadCell => {
                self.check_thread_local(atom, reloc, &resolved)?;
                letters.cell = self.cell_for(resolved.address).get();
            }
            Needs::ThreadCode => {
                self.check_thread_local(atom, reloc, &resolved)?;
                self.rewrite(atom, reloc, &resolved)?;
                return Ok(UNTOUCHED);
            }
        }
        if let Some(field) = x86_64::field(reloc.kind, &letters) {
            return Ok(field);
        }
        if needs == Needs::Reach && self.is_branch(atom, reloc) {
            letters.s = self.stub_for(resolved.address, atom, reloc)?.get();
        } else if x86_64::is_absolute_32(reloc.kind) {
            if let Some(copy) = self.copy_of(resolved.address) {
                letters.s = copy.get();
            } else if self.names_function(atom, reloc) {
                letters.s = self.stub_for(resolved.address, atom, reloc)?.get();
            }
        }
        let field = x86_64::field(reloc.kind, &letters);
        field.ok_or_else(|| self.out_of_range(atom, reloc, &letters))
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
        if resolved.thread_local || module {
            return Ok(());
        }
        let what = format!(
            "refers to `{}`, which is not thread-local",
            self.symbol_text(reloc.symbol)
        );
        Err(self.bad_field(atom, reloc, &what))
    }

    /// Turns a thread-local sequence into its local-exec form.
    fn rewrite(
        &mut self,
        atom: u32,
        reloc: &StagedReloc,
        resolved: &Resolved,
    ) -> Result<(), Error> {
        let code = self.staged.atom_bytes(atom);
        let value = (resolved.address as i64).wrapping_add(reloc.addend);
        let value = value.clamp(-(1 << 40), 1 << 40);
        match tls::local_exec(reloc.kind, code, reloc.offset, value) {
            Ok(sequence) => {
                self.txn.sequences.push((atom, sequence));
                Ok(())
            }
            Err(what) => Err(self.bad_field(atom, reloc, what)),
        }
    }

    /// Checks that a sequence's call follows it.
    fn expect_thread_call(
        &self,
        atom: u32,
        reloc: &StagedReloc,
        next: Option<u32>,
    ) -> Result<(), Error> {
        let next = next.map(|next| self.staged.relocs[next as usize]);
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
        let outside = match self.bound.targets[reloc.symbol as usize] {
            Target::Outside(_) => true,
            Target::Known(known) => matches!(
                self.session.tables.symbol(known).definition(),
                Definition::Outside(_)
            ),
            _ => false,
        };
        let name = self.staged.symbol_bytes(reloc.symbol);
        let mangled = name.starts_with(b"_ZN") && !name.ends_with(b"E");
        outside && (mangled || self.staged.atoms[atom as usize].role == Role::EhFrame)
    }

    /// The slab's copy of type information outside, made now if it is known.
    fn copy_of(&mut self, address: u64) -> Option<HostAddr> {
        let known = self.slab.copies.get(address);
        if let Some(copy) = known.or_else(|| self.txn.copies.get(&address).copied()) {
            return Some(copy);
        }
        let copies = &self.bound.copies;
        let (_, bytes) = *copies.iter().find(|(known, _)| *known == address)?;
        let mut first = None;
        for word in bytes.chunks_exact(CELL_LEN as usize) {
            let (offset, at) = self.take_own(2, CELL_LEN);
            first.get_or_insert(at);
            self.txn.made.push(Made {
                segment: 2,
                offset,
                bytes: word.try_into().expect("a chunk is a word"),
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

    /// The stub that jumps to `value`, made if there is none in reach.
    fn stub_for(&mut self, value: u64, atom: u32, reloc: &StagedReloc) -> Result<HostAddr, Error> {
        let known = self.slab.stubs.get(value);
        if let Some(stub) = known.or_else(|| self.txn.stubs.get(&value).copied()) {
            return Ok(stub);
        }
        let cell = self.cell_for(value).get();
        let (offset, stub) = self.take_own(0, STUB_LEN);
        let Some(bytes) = x86_64::stub(stub.get(), cell) else {
            let letters = Letters {
                s: cell,
                a: 0,
                p: stub.get(),
                z: 0,
                cell,
                got: 0,
            };
            return Err(self.out_of_range(atom, reloc, &letters));
        };
        self.txn.stubs.insert(value, stub);
        self.txn.made.push(Made {
            segment: 0,
            offset,
            bytes,
        });
        Ok(stub)
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
            symbol: self.symbol_text(reloc.symbol),
            target: HostAddr(letters.s),
            field: HostAddr(letters.p),
        }
    }

    /// A symbol's name for messages; a section's for a symbol without one.
    fn symbol_text(&self, symbol: u32) -> String {
        let name = self.staged.symbol_name(symbol);
        match (name, self.staged.symbols[symbol as usize].definition) {
            ("", StagedDefinition::Atom(atom, _)) => self.staged.atom_name(atom).to_owned(),
            _ => name.to_owned(),
        }
    }
}
