//! Source files: which units mention a file, found by the file's base name.
//!
//! The index keeps twelve bytes for each mention and no text; the text is read
//! again from the unit that a look-up leads to.

use std::hash::Hasher;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gimli::constants as c;
use rustc_hash::FxHasher;

use crate::elf::path_of;
use crate::info::{Info, KeptKind, Slice, Unit};
use crate::parallel;
use crate::rows::{HashedRows, Index, Rows};
use crate::units::UnitRanges;

/// The mentions of source files.
///
/// A row is the hash of the base name, the unit and the file's number there.
pub(crate) struct FileIndex(HashedRows);

/// The source files of one unit, numbered as its line program does.
pub(crate) struct UnitFiles {
    /// The number of the first one: 1 before DWARF 5.
    first: u32,
    paths: Vec<Arc<Path>>,
}

impl UnitFiles {
    /// The path of that number.
    pub(crate) fn get(&self, file: u64) -> Option<&Arc<Path>> {
        self.paths
            .get(usize::try_from(file.checked_sub(self.first.into())?).ok()?)
    }
}

/// The hash by which names are found: of its bytes alone.
pub(crate) fn hash_name(name: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    (hasher.finish() >> 32) as u32
}

/// What one thread found while skimming units.
#[derive(Default)]
struct Skimmed {
    ranges: Vec<(u64, u64, u32)>,
    mentions: Vec<[u32; 3]>,
}

impl<'a> Info<'a> {
    /// Reads each unit's root entry and line header once: from these come the
    /// units' address ranges and the index of files.
    pub(crate) fn skim(&self) {
        if self.files.get().is_some() {
            return;
        }
        if let Some(index) = self.files_of.lines.clone() {
            let _ = self.ranges.set(UnitRanges::kept(index.ranges));
            let _ = self.files.set(FileIndex(index.hashed));
            return;
        }
        let count = self.sections[0];
        let parts = parallel::gather(count, |unit, found: &mut Skimmed| {
            self.skim_unit(unit as u32, count, found);
        });
        let mut ranges = Vec::new();
        let mut mentions = Vec::new();
        for part in parts {
            ranges.extend(part.ranges);
            mentions.push(part.mentions);
        }
        let (ranges, files) = (UnitRanges::new(ranges), HashedRows::build(&mentions));
        let starts = self.units[..count].iter();
        let starts = starts.map(|slot| [slot.start() as u32]).collect();
        let index = Index {
            starts: Rows::Built(starts),
            ranges: ranges.rows().clone(),
            hashed: files,
        };
        self.keep(KeptKind::Lines, &index);
        let _ = self.ranges.set(ranges);
        let _ = self.files.set(FileIndex(index.hashed));
    }

    fn skim_unit(&self, index: u32, count: usize, found: &mut Skimmed) {
        // A large program's units are not kept: that would cost more memory
        // than the index.
        const KEEP: usize = 64;
        let parsed;
        let unit = if count <= KEEP || self.units[index as usize].unit.get().is_some() {
            let Some(unit) = self.home(index) else { return };
            unit
        } else {
            match self.parse_unit(index) {
                Ok(unit) => parsed = unit,
                Err(error) => {
                    let offset = self.units[index as usize].section_offset();
                    return self.complain(".debug_info", offset, error);
                }
            }
            &parsed
        };
        self.skim_ranges(index, unit, found);
        self.skim_files(index, unit, found);
    }

    fn skim_ranges(&self, index: u32, unit: &Unit<'a>, found: &mut Skimmed) {
        let Ok(root) = unit.entry(unit.header.root_offset()) else {
            return;
        };
        let ranges = self.ranges_in(self.home_dwarf(index), unit, &root);
        if !ranges.is_empty() {
            found
                .ranges
                .extend(ranges.into_iter().map(|r| (r.start, r.end, index)));
        } else if matches!(root.tag(), c::DW_TAG_compile_unit | c::DW_TAG_skeleton_unit)
            && !root.has_attr(c::DW_AT_ranges)
        {
            // Assemblers of old wrote no ranges; the line table has them.
            let Some(program) = unit.line_program.clone() else {
                return;
            };
            let Ok((_, sequences)) = program.sequences() else {
                return;
            };
            for sequence in sequences {
                if self.is_code(sequence.start) {
                    found.ranges.push((sequence.start, sequence.end, index));
                }
            }
        }
    }

    fn skim_files(&self, index: u32, unit: &Unit<'a>, found: &mut Skimmed) {
        let Some(program) = &unit.line_program else {
            return;
        };
        let header = program.header();
        let first = first_file(header.version());
        for (number, file) in header.file_names().iter().enumerate() {
            let Ok(name) = self.home_dwarf(index).attr_string(unit, file.path_name()) else {
                continue;
            };
            let name = name.slice();
            let base = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
            let file = first + number as u32;
            found.mentions.push([hash_name(base), index, file]);
        }
    }

    /// The mentions of files whose path ends in `suffix`, by unit.
    pub(crate) fn mentions(&self, suffix: &str) -> Vec<(u32, Vec<u64>)> {
        self.skim();
        let index = self.files.get().expect("skimming sets it");
        let wanted = Path::new(suffix);
        let Some(base) = wanted.file_name() else {
            return Vec::new();
        };
        let hash = hash_name(base.as_bytes());
        let mut found: Vec<(u32, Vec<u64>)> = Vec::new();
        for [_, in_unit, file] in index.0.with_hash(hash) {
            let Some(path) = self
                .unit_files(in_unit)
                .and_then(|files| files.get(file.into()))
            else {
                continue;
            };
            if !ends_with(path, wanted) {
                continue;
            }
            match found.last_mut() {
                Some((unit, files)) if *unit == in_unit => files.push(file.into()),
                _ => found.push((in_unit, vec![file.into()])),
            }
        }
        found
    }

    /// All source files that the line tables mention, each once, sorted.
    pub(crate) fn all_files(&self) -> Vec<Arc<Path>> {
        let parts = parallel::gather(self.sections[0], |unit, found: &mut Vec<Arc<Path>>| {
            let Ok(parsed) = self.parse_unit(unit as u32) else {
                return;
            };
            found.extend(self.read_files(unit as u32, &parsed).paths);
            found.sort_unstable();
            found.dedup();
        });
        let mut all: Vec<_> = parts.into_iter().flatten().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// A unit's source files, on first use.
    pub(crate) fn unit_files(&self, unit: u32) -> Option<&UnitFiles> {
        let slot = self.slot(unit)?;
        let parsed = self.home(unit)?;
        Some(slot.files.get_or_init(|| self.read_files(unit, parsed)))
    }

    fn read_files(&self, index: u32, unit: &Unit<'a>) -> UnitFiles {
        let Some(program) = &unit.line_program else {
            return UnitFiles {
                first: 0,
                paths: Vec::new(),
            };
        };
        let header = program.header();
        let mut paths = Vec::with_capacity(header.file_names().len());
        for file in header.file_names() {
            let text = |value| self.home_dwarf(index).attr_string(unit, value).ok();
            let directory = file.directory(header).and_then(text);
            // Number 0 is the unit's directory once more, which may be relative.
            let is_another = |directory: &Slice<'_>| {
                file.directory_index() != 0 || directory.slice().starts_with(b"/")
            };
            let directory = directory.filter(is_another);
            let name = text(file.path_name());
            paths.push(full_path(unit.comp_dir, directory, name).into());
        }
        UnitFiles {
            first: first_file(header.version()),
            paths,
        }
    }

    /// The file that a `DW_AT_decl_file` or `DW_AT_call_file` of a unit names.
    pub(crate) fn file_of(&self, unit: u32, file: u64) -> Option<Arc<Path>> {
        self.unit_files(unit)?.get(file).cloned()
    }
}

/// The number of a line table's first file.
fn first_file(version: u16) -> u32 {
    u32::from(version < 5)
}

/// Whether a path ends in `suffix`, on a `/` boundary. A `.` in it is nothing.
pub(crate) fn ends_with(path: &Path, suffix: &Path) -> bool {
    let suffix = suffix.strip_prefix("./").unwrap_or(suffix);
    path.ends_with(suffix)
}

/// A file's path: its name in its directory in the unit's directory.
fn full_path(
    unit: Option<Slice<'_>>,
    directory: Option<Slice<'_>>,
    name: Option<Slice<'_>>,
) -> PathBuf {
    let mut path = PathBuf::new();
    for part in [unit, directory, name].into_iter().flatten() {
        path.push(path_of(part.slice()));
    }
    // Takes out each `.`, so that a path has one spelling; `..` stays, for
    // what it means depends on symbolic links.
    path.components().collect::<PathBuf>()
}
