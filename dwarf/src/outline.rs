//! [`Outline`]: what can be told of a small object without opening it.
//!
//! A program that takes in objects by the thousand must not pay for a
//! [`Module`](crate::Module) for each: tables of sections, units, lines. An
//! outline is two short lists of hashes, of the base names of the source files
//! its line tables mention and, read when first asked for, of the names its
//! entries and symbols have. It answers "may it have that?" with *no* or
//! *perhaps*; only after *perhaps* is the object opened and asked. So hashes may
//! collide and a name may be listed that stands for nothing, but none may be
//! missing.
//!
//! It is read in one pass over the object's bytes, and borrows nothing of them.

use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gimli::SectionId;
use gimli::constants as c;
use object::elf::{self, FileHeader64, Sym64};
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{LittleEndian, SectionIndex};

use crate::files::hash_name;
use crate::info::{Entry, Slice};
use crate::names::{hash_last, is_indexed, split_path};
use crate::{Address, Error, Result};

/// See the [module page](self).
#[derive(Clone, Debug, Default)]
pub struct Outline {
    ranges: Box<[Range<Address>]>,
    /// Sorted.
    files: Box<[u32]>,
}

/// The hashes of an object's names, sorted.
#[derive(Clone, Debug)]
pub(crate) struct OutlineNames(Box<[u32]>);

/// The sections that names and lines lie in.
const SECTIONS: [SectionId; 10] = [
    SectionId::DebugInfo,
    SectionId::DebugAbbrev,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugAddr,
    SectionId::DebugTypes,
    SectionId::DebugRngLists,
    SectionId::DebugRanges,
];

/// What is found of an object in one pass over its section headers.
struct Found<'d> {
    sections: [&'d [u8]; SECTIONS.len()],
    ranges: Vec<Range<Address>>,
    /// Hashes of the symbols' names, where they were wanted.
    symbols: Vec<u32>,
}

/// `None` where only opening the object tells what is in it.
fn find<'d>(name: &Path, data: &'d [u8], symbols: bool) -> Result<Option<Found<'d>>> {
    let endian = LittleEndian;
    let fault = |error: object::Error| Error::new(name, error);
    let header = FileHeader64::<LittleEndian>::parse(data).map_err(fault)?;
    let table = header.sections(endian, data).map_err(fault)?;
    let mut found = Found {
        sections: Default::default(),
        ranges: Vec::with_capacity(4),
        symbols: Vec::new(),
    };
    for section in table.iter() {
        let flags = section.sh_flags(endian).0;
        let start = section.sh_addr(endian);
        let loaded = flags & elf::SHF_ALLOC.0 != 0 && flags & elf::SHF_TLS.0 == 0;
        if loaded && start != 0 && section.sh_size(endian) != 0 {
            let range = Address(start).range(section.sh_size(endian));
            found.ranges.push(range);
        }
        if symbols && section.sh_type(endian) == elf::SHT_SYMTAB {
            names_of_symbols(&table, section, data, &mut found.symbols).map_err(fault)?;
        }
        if loaded || section.sh_type(endian) != elf::SHT_PROGBITS {
            continue;
        }
        let title = table.section_name(endian, section).unwrap_or_default();
        if flags & elf::SHF_COMPRESSED.0 != 0 || title.starts_with(b".zdebug") {
            return Ok(None);
        }
        let known = SECTIONS.iter().position(|id| id.name().as_bytes() == title);
        // Of several of one name only opening tells which is meant.
        match known {
            Some(known) if found.sections[known].is_empty() => {
                found.sections[known] = section.data(endian, data).map_err(fault)?;
            }
            Some(_) => return Ok(None),
            None => {}
        }
    }
    Ok(Some(found))
}

impl Outline {
    /// Whether reading an outline looks at a section of that name: its
    /// relocations have to be applied before.
    pub fn reads(section: &[u8]) -> bool {
        section == b".debug_line"
    }

    /// Reads the outline of a 64-bit little-endian ELF object, placed at the
    /// addresses that its sections say. `None` where only opening it will tell:
    /// its debug information is compressed, lies in another file, or is
    /// damaged.
    pub fn read(name: &Path, data: &[u8]) -> Result<Option<Outline>> {
        let Some(found) = find(name, data, false)? else {
            return Ok(None);
        };
        let mut files = Vec::new();
        if !matches!(read_files(&found.sections, &mut files), Ok(true)) {
            return Ok(None);
        }
        Ok(Some(Outline {
            ranges: disjoint(found.ranges),
            files: sorted(files),
        }))
    }

    /// The memory that the object takes up, sorted and disjoint.
    pub fn ranges(&self) -> &[Range<Address>] {
        &self.ranges
    }

    /// Whether its line tables may mention a file whose path ends so.
    pub fn may_mention(&self, suffix: &str) -> bool {
        let base = Path::new(suffix).file_name();
        base.is_some_and(|base| {
            let hash = hash_name(base.as_bytes());
            self.files.binary_search(&hash).is_ok()
        })
    }
}

impl OutlineNames {
    /// Reads the names of an object that has an outline. `None` where only
    /// opening it will tell.
    pub(crate) fn read(name: &Path, data: &[u8]) -> Option<OutlineNames> {
        let found = find(name, data, true).ok()??;
        let mut names = found.symbols;
        let whole = read_names(&found.sections, &mut names);
        whole
            .is_ok_and(|whole| whole)
            .then(|| OutlineNames(sorted(names)))
    }

    /// Whether an entry or a symbol may have that name, or one that ends so.
    pub(crate) fn may_name(&self, name: &str) -> bool {
        let parts = split_path(name);
        let last = parts.last().copied().unwrap_or(name);
        let has = |hash| self.0.binary_search(&hash).is_ok();
        has(hash_last(last.as_bytes())) || has(hash_name(name.as_bytes()))
    }
}

fn sorted(mut hashes: Vec<u32>) -> Box<[u32]> {
    hashes.sort_unstable();
    hashes.dedup();
    hashes.into()
}

fn disjoint(mut ranges: Vec<Range<Address>>) -> Box<[Range<Address>]> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<Address>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged.into()
}

/// The names of the defined symbols, without their versions.
fn names_of_symbols(
    table: &object::read::elf::SectionTable<'_, FileHeader64<LittleEndian>>,
    section: &elf::SectionHeader64<LittleEndian>,
    data: &[u8],
    names: &mut Vec<u32>,
) -> object::read::Result<()> {
    let endian = LittleEndian;
    let symbols: &[Sym64<LittleEndian>] = section.data_as_array(endian, data)?;
    let link = SectionIndex(section.sh_link(endian) as usize);
    let strings = table.strings(endian, data, link)?;
    for symbol in symbols
        .iter()
        .filter(|symbol| symbol.st_shndx(endian).0 != 0)
    {
        if let Ok(name) = symbol.name(endian, strings)
            && !name.is_empty()
        {
            let end = name.iter().position(|&byte| byte == b'@');
            names.push(hash_name(&name[..end.unwrap_or(name.len())]));
        }
    }
    Ok(())
}

fn load<'d>(found: &[&'d [u8]; SECTIONS.len()]) -> gimli::Dwarf<Slice<'d>> {
    gimli::Dwarf::load(|id| {
        let known = SECTIONS.iter().position(|known| *known == id);
        let bytes = known.map_or(&[][..], |known| found[known]);
        Ok::<_, gimli::Error>(Slice::new(bytes, gimli::LittleEndian))
    })
    .expect("loading a slice cannot fail")
}

/// Hashes the base names in the headers of the line tables; false where they
/// lie elsewhere.
fn read_files(found: &[&[u8]; SECTIONS.len()], files: &mut Vec<u32>) -> gimli::Result<bool> {
    let slice = |id: SectionId| {
        let known = SECTIONS.iter().position(|known| *known == id);
        Slice::new(
            known.map_or(&[][..], |known| found[known]),
            gimli::LittleEndian,
        )
    };
    let lines = slice(SectionId::DebugLine);
    let table = gimli::DebugLine::from(lines);
    let strings = gimli::DebugStr::from(slice(SectionId::DebugStr));
    let line_strings = gimli::DebugLineStr::from(slice(SectionId::DebugLineStr));
    let mut at = 0;
    while at < lines.len() {
        let program = table.program(gimli::DebugLineOffset(at), 8, None, None)?;
        let header = program.header();
        for file in header.file_names() {
            let path = match file.path_name() {
                gimli::AttributeValue::String(path) => path,
                gimli::AttributeValue::DebugLineStrRef(at) => line_strings.get_str(at)?,
                gimli::AttributeValue::DebugStrRef(at) => strings.get_str(at)?,
                _ => return Ok(false),
            };
            let path = path.slice();
            let base = path.rsplit(|&byte| byte == b'/').next();
            files.push(hash_name(base.unwrap_or(path)));
        }
        let initial = usize::from(header.format().initial_length_size());
        at += initial + header.unit_length();
    }
    Ok(true)
}

/// Hashes the names of all units' entries; false where they lie elsewhere.
fn read_names(found: &[&[u8]; SECTIONS.len()], names: &mut Vec<u32>) -> gimli::Result<bool> {
    let dwarf = load(found);
    let mut units = dwarf.units();
    let mut types = dwarf.type_units();
    let mut entry = Entry::null();
    while let Some(header) = match units.next()? {
        Some(header) => Some(header),
        None => types.next()?,
    } {
        let unit = dwarf.unit(header)?;
        if unit.dwo_id.is_some() {
            return Ok(false);
        }
        let mut entries = unit.entries_raw(None)?;
        let mut function: Option<isize> = None;
        while !entries.is_empty() {
            let depth = entries.next_depth();
            if function.is_some_and(|opened| depth <= opened) {
                function = None;
            }
            let mut probe = entries.clone();
            let Some(abbreviation) = probe.read_abbreviation()? else {
                entries = probe;
                continue;
            };
            let tag = abbreviation.tag();
            if !is_indexed(tag, function.is_some()) {
                probe.skip_attributes(abbreviation.attributes())?;
                entries = probe;
                continue;
            }
            entries.read_entry(&mut entry)?;
            if let Some(value) = entry.attr_value(c::DW_AT_name) {
                names.push(hash_last(dwarf.attr_string(&unit, value)?.slice()));
            }
            if tag == c::DW_TAG_subprogram && function.is_none() && entry.has_children() {
                function = Some(depth);
            }
        }
    }
    Ok(true)
}
