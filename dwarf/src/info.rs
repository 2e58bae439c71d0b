//! A module's DWARF, opened: the sections it lies in and its units.
//!
//! [`InfoCell`] owns the bytes (files, and the sections that had to be
//! decompressed) together with what [`gimli`] parsed of them, so that reading
//! is plain slices and no reference is counted. All that is decoded here lies
//! at addresses of the *file*; [`Module`](crate::Module) applies the bias.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use gimli::{LittleEndian, SectionId};
use rustc_hash::FxHashMap;
use self_cell::self_cell;

use crate::elf::{self, Elf};
use crate::files::FileIndex;
use crate::functions::{Body, Function};
use crate::lines::UnitLines;
use crate::names::NameIndex;
use crate::units::{Slot, UnitRanges};
use crate::{Bytes, EntryId, Error, Result, Type, Variable};

/// How sections are read.
pub(crate) type Slice<'a> = gimli::EndianSlice<'a, LittleEndian>;
/// A gimli unit over [`Slice`].
pub(crate) type Unit<'a> = gimli::Unit<Slice<'a>>;
/// A gimli entry over [`Slice`].
pub(crate) type Entry<'a> = gimli::DebuggingInformationEntry<Slice<'a>>;
/// A gimli attribute value over [`Slice`].
pub(crate) type Value<'a> = gimli::AttributeValue<Slice<'a>>;

self_cell!(
    /// The bytes of a module's debug information and what was parsed of them.
    pub(crate) struct InfoCell {
        owner: Sections,
        #[not_covariant]
        dependent: Info,
    }
);

/// The files that debug information lies in, and their sections.
pub(crate) struct Sections {
    pub(crate) name: PathBuf,
    /// The main debug information first, then the supplementary file.
    pub(crate) files: Vec<SectionFile>,
    /// The module's code, to tell real addresses from those of code that the
    /// linker dropped.
    pub(crate) code: Vec<Range<u64>>,
}

/// One file with debug sections.
pub(crate) struct SectionFile {
    bytes: Bytes,
    plain: BTreeMap<&'static str, Range<usize>>,
    unpacked: BTreeMap<&'static str, Vec<u8>>,
}

impl SectionFile {
    /// Finds the debug sections of a file, decompressing where need be.
    pub(crate) fn load(name: &Path, bytes: Bytes, elf: &Elf) -> Result<SectionFile> {
        let mut file = SectionFile {
            bytes,
            plain: BTreeMap::new(),
            unpacked: BTreeMap::new(),
        };
        for id in SECTIONS {
            if let Some((key, section)) = candidates(elf, id) {
                match elf::decompress(section, file.bytes.get()) {
                    Ok(Some(plain)) => {
                        file.unpacked.insert(key, plain);
                    }
                    Ok(None) => {
                        file.plain.insert(key, section.file.clone());
                    }
                    Err(what) => return Err(Error::new(name, what).in_section(key)),
                }
            }
        }
        Ok(file)
    }

    /// A section's bytes, empty where the file has none of that name.
    pub(crate) fn section(&self, name: &str) -> Slice<'_> {
        let bytes = match self.unpacked.get(name) {
            Some(bytes) => &bytes[..],
            None => {
                let range = self.plain.get(name).cloned().unwrap_or_default();
                self.bytes.get().get(range).unwrap_or_default()
            }
        };
        Slice::new(bytes, LittleEndian)
    }
}

/// The sections that are read, as a plain file and as a `.dwo` name them.
const SECTIONS: [SectionId; 14] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugNames,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugTypes,
    SectionId::DebugFrame,
];

/// The section of that kind, under the name it may also go by.
fn candidates(elf: &Elf, id: SectionId) -> Option<(&'static str, &elf::Section)> {
    let name = id.name();
    if let Some(section) = elf.section(name) {
        return Some((name, section));
    }
    let old = format!(".z{}", &name[1..]);
    elf.section(&old).map(|section| (name, section))
}

/// What was parsed of a module's debug information.
pub(crate) struct Info<'a> {
    pub(crate) name: &'a Path,
    code: &'a [Range<u64>],
    pub(crate) dwarf: gimli::Dwarf<Slice<'a>>,
    pub(crate) units: Vec<Slot<'a>>,
    /// How many of the units are in `.debug_info`; `.debug_types` follow, and
    /// then those of the supplementary file.
    pub(crate) sections: [usize; 2],
    pub(crate) ranges: OnceLock<UnitRanges>,
    pub(crate) files: OnceLock<FileIndex>,
    pub(crate) names: OnceLock<NameIndex>,
    pub(crate) signatures: OnceLock<FxHashMap<u64, EntryId>>,
    pub(crate) types: Mutex<FxHashMap<EntryId, Arc<Type>>>,
    pub(crate) functions: Mutex<FxHashMap<EntryId, Arc<Function>>>,
    pub(crate) bodies: Mutex<FxHashMap<EntryId, Arc<Body>>>,
    /// What a frame's entry sees at an address.
    pub(crate) variables: Mutex<VariablesAt>,
    pub(crate) complaints: Mutex<Vec<Error>>,
}

/// Frame's entry and pc → the variables in scope there.
pub(crate) type VariablesAt = FxHashMap<(EntryId, u64), Arc<[Variable]>>;

/// The most faults of one file that are kept to be told.
const MAX_COMPLAINTS: usize = 64;

impl<'a> Info<'a> {
    /// Reads the unit headers.
    pub(crate) fn open(sections: &'a Sections) -> Info<'a> {
        let load = |file: &'a SectionFile| {
            gimli::Dwarf::load(|id| Ok::<_, gimli::Error>(file.section(id.name())))
                .expect("loading a slice cannot fail")
        };
        let mut dwarf = load(&sections.files[0]);
        if let Some(supplementary) = sections.files.get(1) {
            dwarf.set_sup(load(supplementary));
        }
        let mut info = Info {
            name: &sections.name,
            code: &sections.code,
            dwarf,
            units: Vec::new(),
            sections: [0; 2],
            ranges: OnceLock::new(),
            files: OnceLock::new(),
            names: OnceLock::new(),
            signatures: OnceLock::new(),
            types: Mutex::default(),
            functions: Mutex::default(),
            bodies: Mutex::default(),
            variables: Mutex::default(),
            complaints: Mutex::default(),
        };
        info.read_headers();
        info
    }

    fn read_headers(&mut self) {
        let mut units = self.dwarf.units();
        self.units = self.collect(
            std::iter::from_fn(|| units.next().transpose()),
            ".debug_info",
        );
        self.sections[0] = self.units.len();
        let mut types = self.dwarf.type_units();
        let types = self.collect(
            std::iter::from_fn(|| types.next().transpose()),
            ".debug_types",
        );
        self.units.extend(types);
        self.sections[1] = self.units.len();
        if let Some(sup) = self.dwarf.sup.clone() {
            let mut units = sup.units();
            let units = self.collect(
                std::iter::from_fn(|| units.next().transpose()),
                ".debug_info",
            );
            self.units.extend(units);
        }
    }

    /// The headers up to the first one that is damaged: the next one's place
    /// is not known then.
    fn collect(
        &self,
        headers: impl Iterator<Item = gimli::Result<gimli::UnitHeader<Slice<'a>>>>,
        section: &'static str,
    ) -> Vec<Slot<'a>> {
        let mut slots = Vec::new();
        for header in headers {
            match header {
                Ok(header) => slots.push(Slot::new(header)),
                Err(error) => {
                    self.complain(section, None, error);
                    break;
                }
            }
        }
        slots
    }

    /// The sections that a unit's entries refer to.
    pub(crate) fn dwarf_of(&self, unit: u32) -> &gimli::Dwarf<Slice<'a>> {
        match &self.dwarf.sup {
            Some(sup) if unit as usize >= self.sections[1] => sup,
            _ => &self.dwarf,
        }
    }

    /// A unit, parsed on first use. `None` where it is damaged.
    pub(crate) fn unit(&self, unit: u32) -> Option<&Unit<'a>> {
        let slot = self.units.get(unit as usize)?;
        let parsed = slot.unit.get_or_init(|| match self.parse_unit(unit) {
            Ok(parsed) => Some(Box::new(parsed)),
            Err(error) => {
                self.complain(".debug_info", slot.section_offset(), error);
                None
            }
        });
        parsed.as_deref()
    }

    /// Parses a unit without keeping it.
    pub(crate) fn parse_unit(&self, unit: u32) -> gimli::Result<Unit<'a>> {
        let slot = &self.units[unit as usize];
        self.dwarf_of(unit).unit(slot.header)
    }

    /// The entry of that id.
    pub(crate) fn entry(&self, id: EntryId) -> Option<(&Unit<'a>, Entry<'a>)> {
        let unit = self.unit(id.unit)?;
        match unit.entry(gimli::UnitOffset(id.offset as usize)) {
            Ok(entry) => Some((unit, entry)),
            Err(error) => {
                self.complain(".debug_info", self.section_offset(id), error);
                None
            }
        }
    }

    /// Where in its section an entry lies.
    pub(crate) fn section_offset(&self, id: EntryId) -> Option<u64> {
        let unit = self.units.get(id.unit as usize)?.section_offset()?;
        Some(unit + u64::from(id.offset))
    }

    /// The entry that a reference from `unit` leads to.
    pub(crate) fn follow(&self, unit: u32, reference: Value<'a>) -> Option<EntryId> {
        match reference {
            Value::UnitRef(offset) => Some(EntryId {
                unit,
                offset: u32::try_from(offset.0).ok()?,
            }),
            Value::DebugInfoRef(offset) => {
                let units = if unit as usize >= self.sections[1] {
                    self.sections[1]..self.units.len()
                } else {
                    0..self.sections[0]
                };
                self.containing(units, offset.0)
            }
            Value::DebugInfoRefSup(offset) => {
                self.containing(self.sections[1]..self.units.len(), offset.0)
            }
            Value::DebugTypesRef(signature) => self.signatures().get(&signature.0).copied(),
            _ => None,
        }
    }

    /// The entry at an offset of the section that those units make up.
    fn containing(&self, units: Range<usize>, offset: usize) -> Option<EntryId> {
        let slots = &self.units[units.clone()];
        let after = slots.partition_point(|slot| slot.start() <= offset);
        let index = after.checked_sub(1)?;
        let offset = offset - slots[index].start();
        Some(EntryId {
            unit: u32::try_from(units.start + index).ok()?,
            offset: u32::try_from(offset).ok()?,
        })
    }

    /// The type that each type unit defines, by its signature.
    fn signatures(&self) -> &FxHashMap<u64, EntryId> {
        self.signatures.get_or_init(|| {
            let units = self.units.iter().enumerate();
            units
                .filter_map(|(index, slot)| slot.signature(index as u32))
                .collect()
        })
    }

    /// Whether an address is one of the module's code, and not of code that
    /// the linker dropped (to which compilers' entries remain, at 0, 1 or -1).
    pub(crate) fn is_code(&self, address: u64) -> bool {
        let after = self.code.partition_point(|range| range.start <= address);
        after
            .checked_sub(1)
            .is_some_and(|index| self.code[index].end > address)
    }

    /// Keeps a fault to be told to whoever asks.
    pub(crate) fn complain(
        &self,
        section: &'static str,
        offset: Option<u64>,
        what: impl std::fmt::Display,
    ) {
        let mut complaints = self.complaints.lock().unwrap_or_else(|e| e.into_inner());
        if complaints.len() < MAX_COMPLAINTS {
            complaints.push(self.fault(section, offset, what));
        }
    }

    /// A fault of this file.
    pub(crate) fn fault(
        &self,
        section: &'static str,
        offset: Option<u64>,
        what: impl std::fmt::Display,
    ) -> Error {
        let error = Error::new(self.name, what).in_section(section);
        match offset {
            Some(offset) => error.at(offset),
            None => error,
        }
    }

    /// A fault at an entry.
    pub(crate) fn fault_at(&self, id: EntryId, what: impl std::fmt::Display) -> Error {
        self.fault(".debug_info", self.section_offset(id), what)
    }

    /// The decoded line rows of a unit, decoded on first use.
    pub(crate) fn lines(&self, unit: u32) -> Option<&UnitLines> {
        let slot = self.units.get(unit as usize)?;
        let lines = slot.lines.get_or_init(|| {
            let unit_parsed = self.unit(unit)?;
            match UnitLines::decode(self, unit, unit_parsed) {
                Ok(lines) => lines,
                Err(error) => {
                    self.complain(".debug_line", slot.section_offset(), error);
                    None
                }
            }
        });
        lines.as_ref()
    }
}
