//! A module's DWARF, opened: the sections it lies in and its units.
//!
//! [`InfoCell`] owns the bytes (files, and the sections that had to be
//! decompressed) together with what [`gimli`] parsed of them, so that reading
//! is plain slices and no reference is counted. All that is decoded here lies
//! at addresses of the *file*; [`Module`](crate::Module) applies the bias.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, OnceLock};

use gimli::{LittleEndian, Section as _, SectionId};
use rustc_hash::FxHashMap;
use self_cell::self_cell;

use crate::elf::{self, Elf};
use crate::files::FileIndex;
use crate::functions::{Body, Function};
use crate::lines::UnitLines;
use crate::names::NameIndex;
use crate::rows::{self, Identity, Index};
use crate::split::{Package, SplitFiles};
use crate::units::{Slot, UnitRanges};
use crate::{Bytes, DebugFiles, EntryId, Error, Result, Type, TypeId, Variable};

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
    pub(crate) splits: SplitFiles,
    /// What an earlier run kept of the units and the source files.
    pub(crate) lines: Option<Index>,
    /// Who keeps indexes, and the build id to keep them under.
    pub(crate) keeper: Option<(Arc<dyn DebugFiles>, Vec<u8>)>,
}

/// One file with debug sections.
pub(crate) struct SectionFile {
    bytes: Bytes,
    plain: BTreeMap<&'static str, Range<usize>>,
    unpacked: BTreeMap<&'static str, Vec<u8>>,
}

impl SectionFile {
    /// Finds the debug sections of a file, under the names that this kind of
    /// file gives them, decompressing where need be.
    pub(crate) fn load(
        name: &Path,
        bytes: Bytes,
        elf: &Elf,
        names: impl Fn(SectionId) -> Option<&'static str>,
    ) -> Result<SectionFile> {
        let mut file = SectionFile {
            bytes,
            plain: BTreeMap::new(),
            unpacked: BTreeMap::new(),
        };
        for key in SECTIONS.into_iter().filter_map(names) {
            let plain = |section| {
                let plain = elf::decompress(section, file.bytes.get());
                plain.map_err(|what| Error::new(name, what).in_section(key))
            };
            let sections = candidates(elf, key);
            let whole = match &sections[..] {
                [] => continue,
                [section] => plain(section)?,
                // gcc gives each type unit a section of its own, and they need
                // not be linked: those of a `.dwo` are not.
                several => {
                    let mut whole = Vec::new();
                    for section in several {
                        match plain(section)? {
                            Some(part) => whole.extend(part),
                            None => whole.extend(
                                file.bytes
                                    .get()
                                    .get(section.file.clone())
                                    .unwrap_or_default(),
                            ),
                        }
                    }
                    Some(whole)
                }
            };
            match whole {
                Some(whole) => file.unpacked.insert(key, whole).map(|_| ()),
                None => file.plain.insert(key, sections[0].file.clone()).map(|_| ()),
            };
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

/// The sections that are read, where a file has them.
const SECTIONS: [SectionId; 16] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugCuIndex,
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
    SectionId::DebugTuIndex,
    SectionId::DebugTypes,
    SectionId::DebugFrame,
];

/// The sections of that name, or of the name that it goes by when compressed in
/// the old way.
fn candidates<'e>(elf: &'e Elf, name: &'static str) -> Vec<&'e elf::Section> {
    let named = |name: &str| {
        let sections = elf.sections.iter();
        sections
            .filter(|section| section.name == name && !section.file.is_empty())
            .collect::<Vec<_>>()
    };
    let found = named(name);
    match found.is_empty() {
        true => named(&format!(".z{}", &name[1..])),
        false => found,
    }
}

/// What was parsed of a module's debug information.
pub(crate) struct Info<'a> {
    pub(crate) name: &'a Path,
    pub(crate) files_of: &'a Sections,
    pub(crate) dwarf: gimli::Dwarf<Slice<'a>>,
    /// The units of the linked file and of the supplementary one.
    pub(crate) units: Vec<Slot<'a>>,
    /// The type units of split files, numbered behind those.
    pub(crate) late: boxcar::Vec<Slot<'a>>,
    /// Those by their signatures.
    pub(crate) late_types: Mutex<FxHashMap<u64, EntryId>>,
    pub(crate) package: OnceLock<Option<Package<'a>>>,
    /// How many of the units are in `.debug_info`; `.debug_types` follow, and
    /// then those of the supplementary file.
    pub(crate) sections: [usize; 2],
    pub(crate) ranges: OnceLock<UnitRanges>,
    pub(crate) files: OnceLock<FileIndex>,
    pub(crate) names: OnceLock<NameIndex>,
    /// Whether an index of names that an earlier run kept was asked for.
    pub(crate) names_asked: Once,
    /// What was found of names without that index, by hash.
    pub(crate) sought: Mutex<FxHashMap<u32, Vec<[u32; 3]>>>,
    pub(crate) signatures: OnceLock<FxHashMap<u64, EntryId>>,
    /// Rust's tables of methods, by address: the types that they are for.
    pub(crate) vtables: OnceLock<FxHashMap<u64, TypeId>>,
    pub(crate) types: Mutex<FxHashMap<EntryId, Arc<Type>>>,
    pub(crate) functions: Mutex<FxHashMap<EntryId, Arc<Function>>>,
    pub(crate) bodies: Mutex<FxHashMap<EntryId, Arc<Body>>>,
    /// What a frame's entry sees at an address.
    pub(crate) variables: Mutex<VariablesAt>,
    /// Where the frame base is said once for a whole function.
    pub(crate) frame_bases: Mutex<FxHashMap<EntryId, Slice<'a>>>,
    pub(crate) complaints: Mutex<Vec<Error>>,
}

/// Frame's entry and pc → the variables in scope there.
pub(crate) type VariablesAt = FxHashMap<(EntryId, u64), Arc<[Variable]>>;

/// The most faults of one file that are kept to be told.
const MAX_COMPLAINTS: usize = 64;

/// An index that may be kept from one run to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KeptKind {
    /// The units' ranges, and the mentions of source files.
    Lines = 1,
    /// The names.
    Names = 2,
}

/// Debug information smaller than this is read again sooner than an index.
pub(crate) const MIN_KEPT: usize = 1 << 18;

impl<'a> Info<'a> {
    /// What a kept index must be of.
    fn identity(&self, kind: KeptKind) -> Identity {
        let info = self.dwarf.debug_info.reader().slice().len();
        let line = self.files_of.files[0].section(".debug_line").slice().len();
        Identity {
            kind: kind as u32,
            sizes: [info as u32, line as u32],
        }
    }

    /// Who keeps indexes of this file, if that is worth while.
    fn keeper(&self) -> Option<(&dyn DebugFiles, &[u8])> {
        let (keeper, build_id) = self.files_of.keeper.as_ref()?;
        let size = self.dwarf.debug_info.reader().slice().len();
        (size >= MIN_KEPT).then_some((&**keeper, build_id))
    }

    /// An index of an earlier run.
    pub(crate) fn kept(&self, kind: KeptKind) -> Option<Index> {
        let (keeper, build_id) = self.keeper()?;
        let bytes = keeper.kept_index(build_id, kind as u32)?;
        rows::unpack(&bytes, self.identity(kind))
    }

    /// Keeps an index for later runs. One that has numbers of split files' units
    /// is not: these come to light in no certain order.
    pub(crate) fn keep(&self, kind: KeptKind, index: &Index) {
        let Some((keeper, build_id)) = self.keeper() else {
            return;
        };
        let is_split = |slot: &Slot<'_>| matches!(slot.split.get(), Some(Some(_)));
        if self.late.count() == 0 && !self.units.iter().any(is_split) {
            let packed = rows::pack(self.identity(kind), index);
            keeper.keep_index(build_id, kind as u32, &packed);
        }
    }

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
            files_of: sections,
            dwarf,
            units: Vec::new(),
            late: boxcar::Vec::new(),
            late_types: Mutex::default(),
            package: OnceLock::new(),
            sections: [0; 2],
            ranges: OnceLock::new(),
            files: OnceLock::new(),
            names: OnceLock::new(),
            names_asked: Once::new(),
            sought: Mutex::default(),
            signatures: OnceLock::new(),
            vtables: OnceLock::new(),
            types: Mutex::default(),
            functions: Mutex::default(),
            bodies: Mutex::default(),
            variables: Mutex::default(),
            frame_bases: Mutex::default(),
            complaints: Mutex::default(),
        };
        info.read_headers();
        info
    }

    fn read_headers(&mut self) {
        if let Some(index) = &self.files_of.lines
            && self.dwarf.sup.is_none()
            && self.dwarf.debug_types.reader().is_empty()
        {
            let starts = index.starts.iter();
            self.units = starts.map(|[start]| Slot::at(start as usize)).collect();
            self.sections = [self.units.len(); 2];
            return;
        }
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

    /// A unit's header and what is known of it.
    pub(crate) fn slot(&self, unit: u32) -> Option<&Slot<'a>> {
        let unit = unit as usize;
        match self.units.get(unit) {
            Some(slot) => Some(slot),
            None => self.late.get(unit - self.units.len()),
        }
    }

    /// The sections that a unit's entries refer to.
    pub(crate) fn dwarf_of(&self, unit: u32) -> &gimli::Dwarf<Slice<'a>> {
        let split = self.slot(unit).and_then(|slot| slot.split.get());
        match split {
            Some(Some(split)) => &split.dwarf,
            _ => self.home_dwarf(unit),
        }
    }

    /// The sections that the part of a unit in its linked file refers to.
    pub(crate) fn home_dwarf(&self, unit: u32) -> &gimli::Dwarf<Slice<'a>> {
        let own = self.slot(unit).and_then(|slot| slot.sections.as_deref());
        match (own, &self.dwarf.sup) {
            (Some(own), _) => own,
            (None, Some(sup)) if unit as usize >= self.sections[1] => sup,
            _ => &self.dwarf,
        }
    }

    /// A unit, parsed on first use: the part with its entries, where it is
    /// split and the rest of it was found. `None` where it is damaged.
    pub(crate) fn unit(&self, unit: u32) -> Option<&Unit<'a>> {
        let home = self.home(unit)?;
        let split = home.dwo_id.and_then(|_| self.split(unit));
        Some(split.map_or(home, |split| &split.unit))
    }

    /// A unit as the linked file has it: the part with its lines.
    pub(crate) fn home(&self, unit: u32) -> Option<&Unit<'a>> {
        let slot = self.slot(unit)?;
        let parsed = slot.unit.get_or_init(|| match self.parse_unit(unit) {
            Ok(parsed) => Some(Box::new(parsed)),
            Err(error) => {
                self.complain(".debug_info", slot.section_offset(), error);
                None
            }
        });
        parsed.as_deref()
    }

    /// Parses a unit, as the linked file has it, without keeping it.
    pub(crate) fn parse_unit(&self, unit: u32) -> gimli::Result<Unit<'a>> {
        let slot = self
            .slot(unit)
            .ok_or(gimli::Error::NoEntryAtGivenOffset(0))?;
        match (self.header(unit), slot.start()) {
            (Some(header), _) => self.home_dwarf(unit).unit(*header),
            (None, start) => Err(gimli::Error::OffsetOutOfBounds(start as u64)),
        }
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
        let unit = self.slot(id.unit)?.section_offset()?;
        Some(unit + u64::from(id.offset))
    }

    /// The entry that a reference from `unit` leads to.
    pub(crate) fn follow(&self, unit: u32, reference: Value<'a>) -> Option<EntryId> {
        match reference {
            Value::UnitRef(offset) => Some(EntryId {
                unit,
                offset: u32::try_from(offset.0).ok()?,
            }),
            Value::DebugInfoRef(offset) if self.is_split(unit) => {
                let unit_start = self.unit(unit)?.header.offset().0;
                let offset = u32::try_from(offset.0.checked_sub(unit_start)?).ok()?;
                Some(EntryId { unit, offset })
            }
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
            Value::DebugTypesRef(signature) => {
                let known = self.signatures().get(&signature.0).copied();
                known.or_else(|| {
                    let late = self.late_types.lock().unwrap_or_else(|e| e.into_inner());
                    late.get(&signature.0).copied()
                })
            }
            _ => None,
        }
    }

    /// Whether a unit's entries lie in a file of their own.
    fn is_split(&self, unit: u32) -> bool {
        unit as usize >= self.units.len()
            || self
                .slot(unit)
                .is_some_and(|slot| matches!(slot.split.get(), Some(Some(_))))
    }

    /// The entry at an offset of the section that those units make up.
    pub(crate) fn containing(&self, units: Range<usize>, offset: usize) -> Option<EntryId> {
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
            let units = 0..self.units.len() as u32;
            units.filter_map(|unit| self.signature(unit)).collect()
        })
    }

    /// Whether an address is one of the module's code, and not of code that
    /// the linker dropped (to which compilers' entries remain, at 0, 1 or -1).
    pub(crate) fn is_code(&self, address: u64) -> bool {
        let code = &self.files_of.code;
        let after = code.partition_point(|range| range.start <= address);
        after
            .checked_sub(1)
            .is_some_and(|index| code[index].end > address)
    }

    /// Keeps a fault to be told to whoever asks.
    pub(crate) fn complain(
        &self,
        section: &'static str,
        offset: Option<u64>,
        what: impl std::fmt::Display,
    ) {
        self.keep_complaint(self.fault(section, offset, what));
    }

    /// Keeps a fault to be told to whoever asks.
    pub(crate) fn keep_complaint(&self, fault: Error) {
        let mut complaints = self.complaints.lock().unwrap_or_else(|e| e.into_inner());
        if complaints.len() < MAX_COMPLAINTS {
            complaints.push(fault);
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
        let slot = self.slot(unit)?;
        let lines = slot.lines.get_or_init(|| {
            let unit_parsed = self.home(unit)?;
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
