//! One file of the program: its ELF facts, and the door to its debug
//! information, which is read when first asked for.

use std::fmt;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};

use crate::elf::Elf;
use crate::files::hash_name;
use crate::frames::FrameTables;
use crate::info::{Info, InfoCell, KeptKind, MIN_KEPT, SectionFile, Sections};
use crate::rows::{self, Identity, Index};
use crate::symbols::SymbolTable;
use crate::{Address, Arch, Bytes, DebugFiles, Error, Input, Memory, ModuleKind, Result, Wanted};

/// An entry of a module's debug information: the unit and the offset in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct EntryId {
    pub(crate) unit: u32,
    pub(crate) offset: u32,
}

impl EntryId {
    /// Whether two entries of one module are of one compilation unit.
    pub fn is_same_unit(self, other: EntryId) -> bool {
        self.unit == other.unit
    }
}

/// An executable, shared library or published object of the program.
///
/// Opening one reads its ELF headers only. It is immutable afterwards but for
/// what it has decoded, and may be used by several threads at once.
pub struct Module {
    name: PathBuf,
    kind: ModuleKind,
    bias: u64,
    bytes: Bytes,
    elf: Elf,
    debug: Option<(Bytes, Elf)>,
    /// What `.gnu_debugdata` holds, unpacked on first use.
    mini: OnceLock<Option<(Bytes, Elf)>>,
    files: Option<Arc<dyn DebugFiles>>,
    ranges: Vec<Range<Address>>,
    info: OnceLock<Option<InfoCell>>,
    info_fault: OnceLock<Error>,
    pub(crate) symbols: OnceLock<SymbolTable>,
    /// How often a name was looked for among all symbols.
    pub(crate) symbol_scans: AtomicU32,
    /// What an earlier run kept of the mentions of source files.
    pub(crate) kept_lines: OnceLock<Option<Index>>,
    pub(crate) frames: OnceLock<FrameTables>,
}

impl Module {
    /// Opens a module: reads its ELF headers, and nothing more yet.
    pub fn open(input: Input) -> Result<Module> {
        let elf = Elf::parse(&input.name, input.bytes.get())?;
        let bias = input.bias;
        let memory = elf.memory().into_iter();
        let ranges = memory
            .map(|r| Address(r.start.wrapping_add(bias))..Address(r.end.wrapping_add(bias)))
            .filter(|range| range.start < range.end)
            .collect();
        let mut module = Module {
            name: input.name,
            kind: input.kind,
            bias,
            bytes: input.bytes,
            elf,
            debug: None,
            mini: OnceLock::new(),
            files: input.files,
            ranges,
            info: OnceLock::new(),
            info_fault: OnceLock::new(),
            symbols: OnceLock::new(),
            symbol_scans: AtomicU32::new(0),
            kept_lines: OnceLock::new(),
            frames: OnceLock::new(),
        };
        module.take_debug_file(input.debug)?;
        Ok(module)
    }

    /// Takes the separate debug file that the caller has, or asks for one where
    /// the module has no debug information of its own.
    fn take_debug_file(&mut self, given: Option<Bytes>) -> Result<()> {
        let has_own = |elf: &Elf| {
            let named = |name| {
                elf.section(name)
                    .is_some_and(|section| !section.file.is_empty())
            };
            named(".debug_info") || named(".zdebug_info")
        };
        let found = || {
            if has_own(&self.elf) {
                return None;
            }
            let link = self.elf.debug_link.as_ref();
            let wanted = Wanted::Separate {
                module: &self.name,
                build_id: self.elf.build_id.as_deref(),
                link: link.map(|(path, sum)| (path.as_path(), *sum)),
            };
            // What was found by its name and is of another build is no one's.
            let found = self.files.as_ref()?.find(&wanted);
            found.filter(|bytes| wanted.is_met_by(bytes))
        };
        let Some(bytes) = given.or_else(found) else {
            return Ok(());
        };
        let elf = Elf::parse(&self.name, bytes.get())?;
        if let (Some(ours), Some(theirs)) = (&self.elf.build_id, &elf.build_id)
            && ours != theirs
        {
            return Err(Error::new(
                &self.name,
                "the debug file's build id is another one",
            ));
        }
        self.debug = Some((bytes, elf));
        Ok(())
    }

    /// What the module is called: its path, where it has one.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// What it is to the program.
    pub fn kind(&self) -> ModuleKind {
        self.kind
    }

    /// What the loader added to each of the file's addresses.
    pub fn bias(&self) -> u64 {
        self.bias
    }

    /// The memory that belongs to it, as sorted ranges that do not overlap.
    pub fn ranges(&self) -> &[Range<Address>] {
        &self.ranges
    }

    /// The instruction set of its code.
    pub fn arch(&self) -> Arch {
        self.elf.arch
    }

    /// Where the program starts.
    pub fn entry(&self) -> Option<Address> {
        (self.elf.entry != 0).then(|| self.to_memory(self.elf.entry))
    }

    /// Its build id, where it has one.
    pub fn build_id(&self) -> Option<&[u8]> {
        self.elf.build_id.as_deref()
    }

    /// The file name and checksum of its `.gnu_debuglink`.
    pub fn debug_link(&self) -> Option<(&Path, u32)> {
        self.elf
            .debug_link
            .as_ref()
            .map(|(path, sum)| (path.as_path(), *sum))
    }

    /// The dynamic linker that it asks for.
    pub fn interpreter(&self) -> Option<&Path> {
        self.elf.interpreter.as_deref()
    }

    /// Whether the loader may place it anywhere.
    pub fn is_position_independent(&self) -> bool {
        self.elf.is_position_independent
    }

    /// Whether it has debug information.
    pub fn has_debug_info(&self) -> bool {
        self.info(|info| !info.units.is_empty()).unwrap_or(false)
    }

    /// Its sections that are loaded: name and address range.
    pub fn sections(&self) -> Vec<(&str, Range<Address>)> {
        let loaded = self
            .elf
            .sections
            .iter()
            .filter(|section| section.is_allocated());
        loaded
            .map(|section| {
                (
                    &section.name[..],
                    self.range_to_memory(&section.addresses()),
                )
            })
            .collect()
    }

    /// The bytes that the file has for `range`, where it is loaded from the
    /// file: what memory held before the program ran.
    pub fn file_bytes(&self, range: Range<Address>) -> Option<&[u8]> {
        let wanted = self.to_file(range.start)..self.to_file(range.end);
        let in_segments = self
            .elf
            .segments
            .iter()
            .map(|s| (s.addresses.start, &s.file));
        let in_sections = self.elf.sections.iter().filter(|s| s.is_allocated());
        let in_sections = in_sections.map(|s| (s.address, &s.file));
        in_segments.chain(in_sections).find_map(|(address, file)| {
            let start = usize::try_from(wanted.start.checked_sub(address)?).ok()?;
            let end = usize::try_from(wanted.end.checked_sub(address)?).ok()?;
            self.bytes.get().get(file.clone())?.get(start..end)
        })
    }

    /// The size and alignment of its block of thread-local storage.
    pub fn thread_local_block(&self) -> Option<(u64, u64)> {
        let (addresses, alignment) = self.elf.thread_local.as_ref()?;
        Some((addresses.end - addresses.start, *alignment))
    }

    /// The number under which the dynamic linker keeps the module's
    /// thread-local storage: it wrote it where the module's code finds it.
    ///
    /// `R_X86_64_DTPMOD64` (16): word64 = the module's number.
    pub fn thread_local_number(&self, memory: &mut (impl Memory + ?Sized)) -> Option<u64> {
        let (bytes, elf) = self.loaded_file();
        let tables = elf
            .sections
            .iter()
            .filter(|s| s.kind == object::elf::SHT_RELA);
        for table in tables {
            let table = bytes.get().get(table.file.clone())?;
            for relocation in table.chunks_exact(24) {
                let word = |at: usize| {
                    let word = relocation[at..]
                        .first_chunk()
                        .expect("an entry has 24 bytes");
                    u64::from_le_bytes(*word)
                };
                const DTPMOD64: u64 = 16;
                // With a symbol it may be another module's; without, it is ours.
                if word(8) == DTPMOD64 {
                    return memory.read_unsigned(self.to_memory(word(0)), 8).ok();
                }
            }
        }
        None
    }

    /// Where its thread-local block lies from the thread pointer, if the
    /// dynamic linker wrote that where the module's code finds it.
    ///
    /// `R_X86_64_TPOFF64` (18): word64 = block + symbol + addend.
    pub fn thread_local_offset(&self, memory: &mut (impl Memory + ?Sized)) -> Option<i64> {
        const TPOFF64: u64 = 18;
        let (bytes, elf) = self.loaded_file();
        let tables = elf.sections.iter();
        for table in tables.filter(|s| s.kind == object::elf::SHT_RELA) {
            let symbols = elf.sections.get(table.link)?;
            let symbols = bytes.get().get(symbols.file.clone())?;
            for relocation in bytes.get().get(table.file.clone())?.chunks_exact(24) {
                let word = |bytes: &[u8], at: usize| {
                    let word = bytes.get(at..)?.first_chunk()?;
                    Some(u64::from_le_bytes(*word))
                };
                let info = word(relocation, 8)?;
                if info & 0xffff_ffff != TPOFF64 {
                    continue;
                }
                let offset = match info >> 32 {
                    0 => 0,
                    index => {
                        let symbol = symbols.get(index as usize * 24..)?.get(..24)?;
                        // A symbol without a section is another module's.
                        if symbol[6..8] == [0, 0] {
                            continue;
                        }
                        word(symbol, 8)?
                    }
                };
                let offset = offset.wrapping_add(word(relocation, 16)?);
                let at = self.to_memory(word(relocation, 0)?);
                let word = memory.read_unsigned(at, 8).ok()?;
                return Some(word.wrapping_sub(offset) as i64);
            }
        }
        None
    }

    /// What was wrong with its debug information, as far as it was read.
    pub fn complaints(&self) -> Vec<Error> {
        let mut complaints: Vec<Error> = self.info_fault.get().cloned().into_iter().collect();
        complaints.extend(
            self.info(|info| {
                info.complaints
                    .lock()
                    .unwrap_or_else(|e| e.into_inner())
                    .clone()
            })
            .unwrap_or_default(),
        );
        complaints
    }

    /// Looks at the debug information, read on first use; `None` where the
    /// module has none.
    pub(crate) fn info<T>(&self, look: impl FnOnce(&Info<'_>) -> T) -> Option<T> {
        let cell = self.info.get_or_init(|| match self.read_info() {
            Ok(cell) => cell,
            Err(error) => {
                let _ = self.info_fault.set(error);
                None
            }
        });
        cell.as_ref()
            .map(|cell| cell.with_dependent(|_, info| look(info)))
    }

    /// Whether its line tables may mention a source file whose path ends so. Does
    /// not read debug information that was not read yet: only what an earlier run
    /// kept can say no.
    pub(crate) fn may_mention(&self, suffix: &str) -> bool {
        if self.info.get().is_some() {
            return true;
        }
        let known = self.lines_kept();
        let base = Path::new(suffix).file_name();
        let hash = base.map(|base| hash_name(base.as_bytes()));
        match (known, hash) {
            (Some(known), Some(hash)) => !known.hashed.with_hash(hash).is_empty(),
            _ => true,
        }
    }

    /// What an earlier run kept of the units and the source files.
    fn lines_kept(&self) -> Option<&Index> {
        let kept = self.kept_lines.get_or_init(|| self.read_kept_lines());
        kept.as_ref()
    }

    fn read_kept_lines(&self) -> Option<Index> {
        let (bytes, elf) = self.debug_file();
        let size = |name: &str| {
            let section = elf.section(&format!(".{name}"));
            let section = section.or_else(|| elf.section(&format!(".z{name}")));
            section.map_or(Some(0), |section| {
                crate::elf::plain_size(section, bytes.get())
            })
        };
        let sizes = [size("debug_info")? as u32, size("debug_line")? as u32];
        if (sizes[0] as usize) < MIN_KEPT {
            return None;
        }
        let kind = KeptKind::Lines as u32;
        let build_id = self.elf.build_id.as_deref()?;
        let kept = self.files.as_ref()?.kept_index(build_id, kind)?;
        rows::unpack(&kept, Identity { kind, sizes })
    }

    fn read_info(&self) -> Result<Option<InfoCell>> {
        let (bytes, elf) = self.debug_file();
        let linked = |id: gimli::SectionId| Some(id.name());
        let main = SectionFile::load(&self.name, bytes.clone(), elf, linked)?;
        if main.section(".debug_info").slice().is_empty() {
            return Ok(None);
        }
        let mut files = vec![main];
        files.extend(self.supplementary_file(bytes, elf)?);
        let sections = Sections {
            name: self.name.clone(),
            files,
            code: self.elf.code(),
            splits: Default::default(),
            lines: self.lines_kept().cloned(),
            keeper: self.files.clone().zip(self.elf.build_id.clone()),
        }
        .with_splits(self.files.clone());
        Ok(Some(InfoCell::new(sections, |sections| {
            Info::open(sections)
        })))
    }

    /// The file that `dwz` moved the common part to.
    fn supplementary_file(&self, bytes: &Bytes, elf: &Elf) -> Result<Option<SectionFile>> {
        let Some(link) = elf.bytes(".gnu_debugaltlink", bytes.get()) else {
            return Ok(None);
        };
        let Some(end) = link.iter().position(|&byte| byte == 0) else {
            return Ok(None);
        };
        let path = crate::elf::path_of(&link[..end]);
        let build_id = &link[end + 1..];
        let found = self.files.as_ref().and_then(|files| {
            files.find(&Wanted::Supplementary {
                path: &path,
                build_id,
            })
        });
        let Some(bytes) = found else {
            return Err(Error::new(
                &self.name,
                format_args!("its supplementary debug file {} is missing", path.display()),
            ));
        };
        let elf = Elf::parse(&path, bytes.get())?;
        if elf.build_id.as_deref().is_some_and(|id| id != build_id) {
            return Err(Error::new(
                &path,
                "the supplementary file's build id is another one",
            ));
        }
        SectionFile::load(&path, bytes, &elf, |id| Some(id.name())).map(Some)
    }

    /// The file with the fuller symbol table: the separate debug file, or the
    /// small one that a stripped file carries within itself.
    pub(crate) fn symbol_file(&self) -> (&Bytes, &Elf) {
        if self.debug.is_some() {
            return self.debug_file();
        }
        let mini = self.mini.get_or_init(|| {
            let packed = self.elf.bytes(".gnu_debugdata", self.bytes.get())?;
            let bytes = Bytes::from(crate::elf::unpack_xz(packed)?);
            let elf = Elf::parse(&self.name, bytes.get()).ok()?;
            Some((bytes, elf))
        });
        match mini {
            Some((bytes, elf)) => (bytes, elf),
            None => self.debug_file(),
        }
    }

    /// The file with the debug information.
    pub(crate) fn debug_file(&self) -> (&Bytes, &Elf) {
        match &self.debug {
            Some((bytes, elf)) => (bytes, elf),
            None => (&self.bytes, &self.elf),
        }
    }

    /// The file that is loaded.
    pub(crate) fn loaded_file(&self) -> (&Bytes, &Elf) {
        (&self.bytes, &self.elf)
    }

    /// The file's own address of one in memory.
    pub(crate) fn to_file(&self, at: Address) -> u64 {
        at.0.wrapping_sub(self.bias)
    }

    /// The address in memory of one of the file's own.
    pub(crate) fn to_memory(&self, at: u64) -> Address {
        Address(at.wrapping_add(self.bias))
    }

    pub(crate) fn range_to_memory(&self, range: &Range<u64>) -> Range<Address> {
        self.to_memory(range.start)..self.to_memory(range.end)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({} at {:#x})", self.name.display(), self.bias)
    }
}
