//! An object's debug information as a debugger can read it: an ELF file in
//! memory whose sections say where they were placed, and whose debug and unwind
//! sections are relocated.
//!
//! It is the published object's own bytes with three changes: `sh_addr` of
//! every allocated section is its atom's address; relocations of sections that
//! a debugger reads are applied, and their relocation sections made void;
//! symbols hold absolute addresses, so the file says it is executable.
//! Compressed debug sections are replaced by plain ones at the file's end.
//! Debug sections never enter the target's memory, and none of this is done
//! before somebody asks.
//!
//! References to a discarded copy of a COMDAT group, and to code that a replace
//! batch has overwritten in its slot since, become 0, which readers of DWARF take
//! for "not there".

use std::sync::Arc;

use object::elf::{self, FileHeader64, Rela64, SHF_ALLOC, Sym64};
use object::read::elf::{FileHeader, Rela, SectionHeader, Sym};
use object::{CompressionFormat, LittleEndian, SectionIndex, SymbolIndex};

use crate::arch::x86_64;
use crate::error::Error;
use crate::ids::{AtomId, InputId};
use crate::model::{NONE, RelocKind};
use crate::session::{DebugSource, MergedSection, Session};
use crate::table::count_before;
use crate::view::View;

const LE: LittleEndian = LittleEndian;
/// The most a compressed section may grow to, in bytes: a corrupt header must
/// not ask for all of memory.
const MAX_SECTION: u64 = 1 << 30;
/// The most times its own size that it may grow to: deflate reaches 1,032, and
/// debug information nothing of the kind.
const MAX_GROWTH: u64 = 4096;
/// Offsets in ELF structures (System V ABI, chapter 4).
const E_TYPE: usize = 16;
const SH_TYPE: usize = 4;
const SH_FLAGS: usize = 8;
const SH_ADDR: usize = 16;
const SH_OFFSET: usize = 24;
const SH_SIZE: usize = 32;
const SECTION_HEADER_LEN: usize = 64;
const ST_VALUE: usize = 8;
const SYMBOL_LEN: usize = 24;

/// An input's debug information, to be made when somebody wants it: holding it
/// costs two references, and outlives the session.
#[derive(Clone)]
pub struct DebugObject {
    view: View,
    input: InputId,
    source: Arc<DebugSource>,
}

impl DebugObject {
    /// The name that the input was staged under.
    pub fn name(&self) -> &str {
        self.view.input_name(self.input)
    }

    /// The debug image: an ELF file as the [module page](self) says.
    pub fn image(&self) -> Result<Vec<u8>, Error> {
        self.image_with(|_| true)
    }

    /// The same, where only the sections of which `wanted` says so, by name,
    /// are relocated: cheaper for whoever reads no others.
    pub fn image_with(&self, wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, Error> {
        let image = Image {
            view: &self.view,
            source: &self.source,
            data: &self.source.bytes,
        };
        let failed = |error| Error::malformed(self.name(), error);
        image.build(&wanted).map_err(failed)
    }
}

impl Session {
    /// The debug image of an input, or `None` when it has no debug sections.
    pub fn debug_image(&self, input: InputId) -> Result<Option<Vec<u8>>, Error> {
        let object = self.debug_object(input);
        object.map(|object| object.image()).transpose()
    }

    /// The debug information of an input, not made yet; `None` when it has no
    /// debug sections.
    pub fn debug_object(&self, input: InputId) -> Option<DebugObject> {
        Some(DebugObject {
            view: self.view(),
            input,
            source: self.debug_source(input)?.clone(),
        })
    }

    /// What an object with debug sections is remembered by.
    fn debug_source(&self, input: InputId) -> Option<&Arc<DebugSource>> {
        let sources = &self.debug;
        let source = |index| sources.get(index).expect("below the length");
        let low = count_before(sources.len(), |index| source(index).0 < input);
        let found = sources.get(low).filter(|(found, _)| *found == input);
        found.map(|(_, source)| source)
    }
}

/// What a symbol stands for.
#[derive(Clone, Copy)]
enum Value {
    /// It was discarded, or nobody defines it.
    Nowhere,
    /// It is there.
    At(u64),
    /// It is the symbol of a section that is in no one place, with its value: the
    /// addend of a reference says what is meant.
    Section(SectionIndex, u64),
}

struct Image<'s> {
    view: &'s View,
    source: &'s DebugSource,
    data: &'s [u8],
}

type Result_<T> = object::Result<T>;

impl Image<'_> {
    fn build(&self, wanted: &dyn Fn(&[u8]) -> bool) -> Result_<Vec<u8>> {
        let data = self.data;
        let header = FileHeader64::<LittleEndian>::parse(data)?;
        let sections = header.sections(LE, data)?;
        let symbols = sections.symbols(LE, data, elf::SHT_SYMTAB)?;
        let headers_at = header.e_shoff(LE) as usize;
        let header_at = |index: usize| headers_at + index * SECTION_HEADER_LEN;
        let values = self.symbol_values(&sections, &symbols)?;

        let mut out = data.to_vec();
        out[E_TYPE..E_TYPE + 2].copy_from_slice(&elf::ET_EXEC.0.to_le_bytes());
        for (index, section) in sections.enumerate() {
            if section.sh_flags(LE).0 & SHF_ALLOC.0 != 0 {
                let address = self.section_address(index);
                put(&mut out, header_at(index.0) + SH_ADDR, address.unwrap_or(0));
            }
            self.decompress(section, header_at(index.0), &mut out)?;
        }
        for (index, section) in sections.enumerate() {
            let patched = SectionIndex(section.sh_info(LE) as usize);
            let Some((relocs, _)) = section.rela(LE, data)? else {
                continue;
            };
            let target = sections.section(patched)?;
            let executable = target.sh_flags(LE).0 & elf::SHF_EXECINSTR.0 != 0;
            if !executable && wanted(sections.section_name(LE, target)?) {
                self.relocate(&mut out, header_at(patched.0), relocs, &values);
            }
            put_u32(&mut out, header_at(index.0) + SH_TYPE, elf::SHT_NULL.0);
        }
        let table = sections.section(symbols.section())?;
        let table_at = table
            .file_range(LE)
            .map_or(0, |(offset, _)| offset as usize);
        for (index, value) in values.iter().enumerate().skip(1) {
            let at = table_at + index * SYMBOL_LEN + ST_VALUE;
            put(&mut out, at, self.address(*value, 0).unwrap_or(0));
        }
        Ok(out)
    }

    /// Where a section was placed; none for one that was discarded or takes no
    /// part.
    fn section_address(&self, section: SectionIndex) -> Option<u64> {
        let atom = *self.source.sections.get(section.0)?;
        let is_there = atom != NONE && self.view.overwritten_by(AtomId(atom)).is_none();
        is_there.then(|| self.view.atom(AtomId(atom)).address.get())
    }

    /// Where what lay at an offset in a section is.
    fn place(&self, section: SectionIndex, offset: u64) -> Option<u64> {
        if let Some(start) = self.section_address(section) {
            return Some(start.wrapping_add(offset));
        }
        let merged = self.merged(section)?;
        let place = merged.place(offset)?;
        Some(self.view.atom(merged.atom).address.add(place).get())
    }

    /// A section whose entries went elsewhere.
    fn merged(&self, section: SectionIndex) -> Option<&MergedSection> {
        let mut merged = self.source.merged.iter();
        merged.find(|merged| merged.section == section.0)
    }

    /// A symbol's address for a reference with an addend, less that.
    fn address(&self, value: Value, addend: i64) -> Option<u64> {
        match value {
            Value::Nowhere => None,
            Value::At(address) => Some(address),
            Value::Section(section, value) => {
                let place = value.wrapping_add(addend.cast_unsigned());
                let place = self.place(section, place)?;
                Some(place.wrapping_sub(addend.cast_unsigned()))
            }
        }
    }

    /// Every symbol's value.
    fn symbol_values(
        &self,
        sections: &object::read::elf::SectionTable<'_, FileHeader64<LittleEndian>>,
        symbols: &object::read::elf::SymbolTable<'_, FileHeader64<LittleEndian>>,
    ) -> Result_<Vec<Value>> {
        let mut values = Vec::with_capacity(symbols.len());
        for (index, symbol) in symbols.iter().enumerate() {
            if symbol.st_type() == elf::STT_SECTION
                && let Some(section) = symbols.symbol_section(LE, symbol, SymbolIndex(index))?
                && self.merged(section).is_some()
            {
                values.push(Value::Section(section, symbol.st_value(LE)));
                continue;
            }
            let own = self.own_value(sections, symbols, SymbolIndex(index), symbol)?;
            let elsewhere = || {
                let name = symbols.symbol_name(LE, symbol).ok()?;
                let name = std::str::from_utf8(name)
                    .ok()
                    .filter(|name| !name.is_empty())?;
                if symbol.is_local() {
                    return None;
                }
                Some(self.view.symbol(name)?.address.get())
            };
            let address = own.or_else(elsewhere);
            values.push(address.map_or(Value::Nowhere, Value::At));
        }
        Ok(values)
    }

    /// A symbol's address by this object's own definition.
    fn own_value(
        &self,
        sections: &object::read::elf::SectionTable<'_, FileHeader64<LittleEndian>>,
        symbols: &object::read::elf::SymbolTable<'_, FileHeader64<LittleEndian>>,
        index: SymbolIndex,
        symbol: &Sym64<LittleEndian>,
    ) -> Result_<Option<u64>> {
        let value = symbol.st_value(LE);
        match symbols.symbol_section(LE, symbol, index)? {
            Some(section) => {
                let header = sections.section(section)?;
                let allocated = header.sh_flags(LE).0 & SHF_ALLOC.0 != 0;
                let thread_local = header.sh_flags(LE).0 & elf::SHF_TLS.0 != 0;
                if !allocated || thread_local {
                    return Ok(Some(value));
                }
                Ok(self.place(section, value))
            }
            None if symbol.st_shndx(LE) == elf::SHN_ABS => Ok(Some(value)),
            None => Ok(None),
        }
    }

    /// Puts a compressed section's contents at the end of the file.
    fn decompress(
        &self,
        section: &elf::SectionHeader64<LittleEndian>,
        header_at: usize,
        out: &mut Vec<u8>,
    ) -> Result_<()> {
        let Some((header, offset, size)) = section.compression(LE, self.data)? else {
            return Ok(());
        };
        let format = match header.ch_type.get(LE) {
            elf::ELFCOMPRESS_ZLIB => CompressionFormat::Zlib,
            elf::ELFCOMPRESS_ZSTD => CompressionFormat::Zstandard,
            _ => CompressionFormat::Unknown,
        };
        let most = MAX_SECTION.min(size.saturating_mul(MAX_GROWTH));
        let uncompressed_size = header.ch_size.get(LE).min(most);
        let start = offset as usize;
        let data = self
            .data
            .get(start..)
            .and_then(|rest| rest.get(..size as usize));
        let compressed = object::CompressedData {
            format,
            data: data.unwrap_or_default(),
            uncompressed_size,
        };
        let plain = compressed.decompress()?;
        let flags = section.sh_flags(LE).0 & !elf::SHF_COMPRESSED.0;
        put(out, header_at + SH_FLAGS, flags);
        out.resize(out.len().next_multiple_of(8), 0);
        let end = out.len() as u64;
        put(out, header_at + SH_OFFSET, end);
        put(out, header_at + SH_SIZE, plain.len() as u64);
        out.extend_from_slice(&plain);
        Ok(())
    }

    /// Applies the relocations of one section to the copy. A field that cannot
    /// be computed without the image's cells is left as it was: debuggers read
    /// none of those.
    fn relocate(
        &self,
        out: &mut [u8],
        header_at: usize,
        relocs: &[Rela64<LittleEndian>],
        values: &[Value],
    ) {
        let address = get(out, header_at + SH_ADDR);
        let offset = get(out, header_at + SH_OFFSET) as usize;
        let size = get(out, header_at + SH_SIZE) as usize;
        if out[header_at + SH_TYPE..][..4] == elf::SHT_NOBITS.0.to_le_bytes() {
            return;
        }
        for reloc in relocs {
            let at = reloc.r_offset(LE);
            let kind = RelocKind(Rela::r_type(reloc, LE, false).0);
            let symbol = Rela::r_sym(reloc, LE, false) as usize;
            let value = values.get(symbol).copied();
            let value = value.and_then(|value| self.address(value, reloc.r_addend(LE)));
            let letters = x86_64::Letters {
                s: value.unwrap_or(0),
                a: reloc.r_addend(LE),
                p: address.wrapping_add(at),
                z: 0,
                cell: 0,
                got: 0,
            };
            let field = match value {
                // The symbol of index 0 stands for no symbol: its value is 0.
                None if symbol != 0 => {
                    let width = x86_64::width(kind);
                    Some(x86_64::Field { value: 0, width })
                }
                _ => x86_64::debug_field(kind, &letters),
            };
            let Some(field) = field else { continue };
            let width = usize::from(field.width);
            let end = (at as usize).checked_add(width).filter(|end| *end <= size);
            if let Some(field_bytes) = end.and_then(|end| {
                out.get_mut(offset.checked_add(at as usize)?..offset.checked_add(end)?)
            }) {
                field_bytes.copy_from_slice(&field.value.to_le_bytes()[..width]);
            }
        }
    }
}

fn put(out: &mut [u8], at: usize, value: u64) {
    if let Some(field) = out.get_mut(at..at + 8) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}

fn put_u32(out: &mut [u8], at: usize, value: u32) {
    if let Some(field) = out.get_mut(at..at + 4) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}

fn get(out: &[u8], at: usize) -> u64 {
    let field = out.get(at..at + 8).and_then(|field| field.try_into().ok());
    field.map_or(0, u64::from_le_bytes)
}
