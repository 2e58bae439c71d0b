//! Split debug information: what the linked file has of a unit is a skeleton
//! (its address ranges and lines), and the rest lies in a `.dwo` of its own or,
//! with all the others', in one `.dwp`.
//!
//! A unit keeps its number whether it is split or not: [`Info::unit`] gives the
//! part with the entries, [`Info::home`] the part in the linked file. Type units
//! come to light as their `.dwo` is read; they get numbers behind all others
//! then. A `.dwo` that is missing or of another compilation is complained of
//! once, and the skeleton stands for its unit: lines without names.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use gimli::{DwoId, UnitType};

use crate::elf::{Elf, path_of};
use crate::info::{Info, SectionFile, Sections, Slice, Unit};
use crate::units::{Slot, signature_of};
use crate::{DebugFiles, EntryId, Error, Result, Wanted};

/// The split files of one module, each found on first need.
#[derive(Default)]
pub(crate) struct SplitFiles {
    finder: Option<Arc<dyn DebugFiles>>,
    /// One for each unit of the linked file, counted when its headers are read.
    units: OnceLock<Box<[OnceLock<Option<SectionFile>>]>>,
    package: OnceLock<Option<SectionFile>>,
}

impl SplitFiles {
    pub(crate) fn new(finder: Option<Arc<dyn DebugFiles>>) -> SplitFiles {
        SplitFiles {
            finder,
            ..SplitFiles::default()
        }
    }

    fn slot(&self, unit: u32, count: usize) -> Option<&OnceLock<Option<SectionFile>>> {
        let slots = self
            .units
            .get_or_init(|| (0..count).map(|_| OnceLock::new()).collect());
        slots.get(unit as usize)
    }

    /// Asks for a file, and finds its sections.
    fn load(&self, name: &Path, wanted: &Wanted<'_>) -> Result<Option<SectionFile>> {
        let Some(bytes) = self.finder.as_ref().and_then(|finder| finder.find(wanted)) else {
            return Ok(None);
        };
        let elf = Elf::parse(name, bytes.get())?;
        SectionFile::load(name, bytes, &elf, gimli::SectionId::dwo_name).map(Some)
    }
}

/// The part of a unit that lies in a `.dwo`.
pub(crate) struct Split<'a> {
    pub(crate) dwarf: Arc<gimli::Dwarf<Slice<'a>>>,
    pub(crate) unit: Unit<'a>,
}

/// A file that has all of a module's split units.
pub(crate) type Package<'a> = gimli::DwarfPackage<Slice<'a>>;

impl<'a> Info<'a> {
    /// The part of a unit that was split off it, read on first use.
    pub(crate) fn split(&self, unit: u32) -> Option<&Split<'a>> {
        let slot = self.slot(unit)?;
        let id = self.home(unit)?.dwo_id?;
        let split = slot.split.get_or_init(|| match self.read_split(unit, id) {
            Ok(split) => Some(Box::new(split)),
            Err(error) => {
                self.keep_complaint(error);
                None
            }
        });
        split.as_deref()
    }

    fn read_split(&self, index: u32, id: DwoId) -> Result<Split<'a>> {
        let home = self
            .home(index)
            .ok_or_else(|| Error::new(self.name, "the skeleton is damaged"))?;
        let dwarf = match self.packaged(id)? {
            Some(dwarf) => dwarf,
            None => self.dwo(index, home, id)?,
        };
        let fault = |error| Error::new(self.name, error).in_section(".debug_info.dwo");
        let dwarf = Arc::new(dwarf);
        let mut found = None;
        let mut units = dwarf.units();
        while let Some(header) = units.next().map_err(fault)? {
            if let Some(slot) = Slot::split_type(header, &dwarf) {
                self.take_type(slot);
                continue;
            }
            let unit = dwarf.unit(header).map_err(fault)?;
            if unit.dwo_id == Some(id) {
                found = Some(unit);
            }
        }
        let mut types = dwarf.type_units();
        while let Some(header) = types.next().map_err(fault)? {
            if let Some(slot) = Slot::split_type(header, &dwarf) {
                self.take_type(slot);
            }
        }
        let Some(mut unit) = found else {
            let name = self.dwo_name(index, home);
            let what = format_args!("{} is of another compilation", name.display());
            return Err(Error::new(self.name, what));
        };
        unit.copy_relocated_attributes(home);
        Ok(Split { dwarf, unit })
    }

    /// The name that a skeleton gives its `.dwo`.
    fn dwo_name(&self, index: u32, home: &Unit<'a>) -> std::path::PathBuf {
        let name = home.dwo_name().ok().flatten();
        let name = name.and_then(|name| self.home_dwarf(index).attr_string(home, name).ok());
        path_of(name.map_or(&[][..], |name| name.slice()))
    }

    /// The sections of a unit's own `.dwo`.
    fn dwo(&self, index: u32, home: &Unit<'a>, id: DwoId) -> Result<gimli::Dwarf<Slice<'a>>> {
        let name = self.dwo_name(index, home);
        let directory = path_of(home.comp_dir.map_or(&[][..], |folder| folder.slice()));
        let files = &self.files_of.splits;
        let missing = || {
            let what = format_args!("its split debug file {} is missing", name.display());
            Error::new(self.name, what)
        };
        let slot = files.slot(index, self.units.len()).ok_or_else(missing)?;
        let mut fault = None;
        let file = slot.get_or_init(|| {
            let wanted = Wanted::Split {
                module: self.name,
                directory: &directory,
                name: &name,
                id: id.0,
            };
            files.load(&name, &wanted).unwrap_or_else(|error| {
                fault = Some(error);
                None
            })
        });
        match (fault, file) {
            (Some(error), _) => Err(error),
            (None, Some(file)) => Ok(self.sections_of_dwo(file)),
            (None, None) => Err(missing()),
        }
    }

    fn sections_of_dwo(&self, file: &'a SectionFile) -> gimli::Dwarf<Slice<'a>> {
        let mut dwarf = gimli::Dwarf::load(|id| {
            Ok::<_, gimli::Error>(file.section(id.dwo_name().unwrap_or_default()))
        })
        .expect("loading a slice cannot fail");
        dwarf.make_dwo(&self.dwarf);
        dwarf
    }

    /// The sections that the module's package has for a unit, if there is one.
    fn packaged(&self, id: DwoId) -> Result<Option<gimli::Dwarf<Slice<'a>>>> {
        let fault = |error| Error::new(self.name, error).in_section(".debug_cu_index");
        match self.package() {
            Some(package) => package.find_cu(id, &self.dwarf).map_err(fault),
            None => Ok(None),
        }
    }

    /// The module's package, looked for on first use; its type units are taken
    /// in then.
    fn package(&self) -> Option<&Package<'a>> {
        let package = self.package.get_or_init(|| match self.open_package() {
            Ok(package) => package,
            Err(error) => {
                self.keep_complaint(error);
                None
            }
        });
        package.as_ref()
    }

    fn open_package(&self) -> Result<Option<Package<'a>>> {
        let files = &self.files_of.splits;
        let mut fault = None;
        let file = files.package.get_or_init(|| {
            let wanted = Wanted::Package { module: self.name };
            files.load(self.name, &wanted).unwrap_or_else(|error| {
                fault = Some(error);
                None
            })
        });
        let file = match (fault, file) {
            (Some(error), _) => return Err(error),
            (None, None) => return Ok(None),
            (None, Some(file)) => file,
        };
        let fault = |error| Error::new(self.name, error).in_section(".debug_tu_index");
        let empty = Slice::new(&[], gimli::LittleEndian);
        let section = |id: gimli::SectionId| file.section(id.dwo_name().unwrap_or_default());
        let package =
            Package::load(|id| Ok::<_, gimli::Error>(section(id)), empty).map_err(fault)?;
        for row in 1..=package.tu_index.unit_count() {
            let dwarf = package.tu_sections(row, &self.dwarf).map_err(fault)?;
            let header = match dwarf.units().next().map_err(fault)? {
                Some(header) => Some(header),
                None => dwarf.type_units().next().map_err(fault)?,
            };
            let slot = header.and_then(|header| Slot::split_type(header, &Arc::new(dwarf)));
            slot.into_iter().for_each(|slot| self.take_type(slot));
        }
        Ok(Some(package))
    }

    /// Gives a type unit of a split file a number, unless the same type has one.
    fn take_type(&self, slot: Slot<'a>) {
        let header = slot.header.get().and_then(Option::as_ref);
        let Some((signature, id)) = header.and_then(|header| signature_of(header, 0)) else {
            return;
        };
        let mut known = self.late_types.lock().unwrap_or_else(|e| e.into_inner());
        known.entry(signature).or_insert_with(|| {
            let offset = id.offset;
            let unit = (self.units.len() + self.late.push(slot)) as u32;
            EntryId { unit, offset }
        });
    }
}

impl<'a> Slot<'a> {
    /// The slot of a type unit of a split file; `None` for another unit.
    fn split_type(
        header: gimli::UnitHeader<Slice<'a>>,
        dwarf: &Arc<gimli::Dwarf<Slice<'a>>>,
    ) -> Option<Slot<'a>> {
        let is_type = matches!(
            header.type_(),
            UnitType::Type { .. } | UnitType::SplitType { .. }
        );
        is_type.then(|| Slot {
            sections: Some(dwarf.clone()),
            ..Slot::new(header)
        })
    }
}

impl Sections {
    /// The files that split units lie in.
    pub(crate) fn with_splits(mut self, finder: Option<Arc<dyn DebugFiles>>) -> Sections {
        self.splits = SplitFiles::new(finder);
        self
    }
}
