//! Reads an ELF relocatable object into a batch.
//!
//! Every allocated section that has bytes or a symbol becomes an atom. What the
//! reader meets that is malformed is an error that names the object, the
//! section or symbol, and the offset; the batch is then as it was before.
//!
//! Source: System V ABI, chapter 4 (generic ELF), and the psABI of the
//! architecture for its section types.

use object::elf::{self, FileHeader64, GRP_COMDAT};
use object::elf::{SHF_ALLOC, SHF_EXECINSTR, SHF_MERGE, SHF_TLS, SHF_WRITE};
use object::read::elf::{FileHeader, SectionHeader, SectionTable, Sym, SymbolTable};
use object::{LittleEndian, SectionIndex, SymbolIndex, pod};

use crate::arch::Arch;
use crate::arch::x86_64::{self, Shape};
use crate::error::Error;
use crate::model::{AtomKind, Binding, NONE, RelocKind, SymbolKind};
use crate::names::{self, default_version, hash_to_nul, len_to_nul};
use crate::staged::merge::Mergeable;
use crate::staged::{
    Group, Mark, RELA_LEN, Role, Says, Source, Span, Staged, StagedAtom, StagedInput, SymbolAt,
    SymbolRecord, make_room, read_rela,
};

const LE: LittleEndian = LittleEndian;
/// The largest alignment an atom may ask for, in bytes: a large page. More
/// would let a corrupt object ask for all of memory.
const MAX_ALIGNMENT: u64 = 2 << 20;

type Header = FileHeader64<LittleEndian>;
type Sections<'d> = SectionTable<'d, Header>;
type Symbols<'d> = SymbolTable<'d, Header>;

/// Stages an object. On error the batch is as it was.
pub(crate) fn stage<'i>(
    staged: &mut Staged<'i>,
    arch: Arch,
    name: &str,
    source: Source<'i>,
) -> Result<(), Error> {
    let before = staged.lengths();
    // The bytes are borrowed from a clone so that `source` can be moved into
    // the list at the end; a clone is a reference or a reference count.
    let bytes = match &source {
        Source::Borrowed(bytes) => Source::Borrowed(bytes),
        other => other.clone(),
    };
    let data = match &bytes {
        Source::Borrowed(bytes) => bytes,
        Source::Member(bytes, range) => &bytes[range.clone()],
        Source::Built => unreachable!("an object has bytes of its own"),
    };
    match Reader::new(staged, arch, name, data).and_then(Reader::read) {
        Ok(input) => {
            make_room(&mut staged.inputs, 1);
            staged.inputs.push(StagedInput { source, ..input });
            Ok(())
        }
        Err(error) => {
            staged.truncate(&before);
            Err(error)
        }
    }
}

struct Reader<'r, 'i, 'd> {
    staged: &'r mut Staged<'i>,
    name: &'r str,
    data: &'d [u8],
    sections: Sections<'d>,
    /// The string table of the sections' names, and whether all of it is ASCII.
    names: (&'d [u8], bool),
    symbols: Symbols<'d>,
    /// Where the object's sections begin in the batch's list, which says the
    /// atom of each, or `NONE`.
    first_section: usize,
    first_symbol: u32,
    first_global: u32,
    has_debug: bool,
}

impl<'r, 'i, 'd> Reader<'r, 'i, 'd> {
    fn new(
        staged: &'r mut Staged<'i>,
        arch: Arch,
        name: &'r str,
        data: &'d [u8],
    ) -> Result<Self, Error> {
        let header = check_header(arch, name, data)?;
        let fail = |error| Error::malformed(name, error);
        if u32::try_from(data.len()).is_err() {
            return Err(Error::unsupported(name, "an object of 4 GiB or more"));
        }
        let sections = header.sections(LE, data).map_err(fail)?;
        let symbols = sections.symbols(LE, data, elf::SHT_SYMTAB).map_err(fail)?;
        let names = header.shstrndx(LE, data).map_err(fail)? as usize;
        let names = sections.section(SectionIndex(names));
        let names = names
            .and_then(|names| names.data(LE, data))
            .unwrap_or_default();
        let first_section = staged.sections.len();
        make_room(&mut staged.sections, sections.len());
        staged.sections.resize(first_section + sections.len(), NONE);
        Ok(Reader {
            first_section,
            first_symbol: staged.marks.len() as u32,
            first_global: 0,
            has_debug: false,
            staged,
            name,
            data,
            sections,
            names: (names, names.is_ascii()),
            symbols,
        })
    }

    /// Reads everything; the caller adds the source.
    fn read(mut self) -> Result<StagedInput<'i>, Error> {
        let first_atom = self.staged.atoms.len() as u32;
        self.read_sections()?;
        let strings = self.strings()?;
        self.read_symbols(&strings)?;
        self.read_groups(&strings)?;
        self.read_relocations()?;
        let section_numbers = self.section_numbers()?;
        Ok(StagedInput {
            name: self.staged.keep(self.name.as_bytes()),
            source: Source::Built,
            sections: self.first_section as u32..self.staged.sections.len() as u32,
            atoms: first_atom..self.staged.atoms.len() as u32,
            symbols: self.first_symbol..self.staged.marks.len() as u32,
            first_global: self.first_global,
            records: self.span(pod::bytes_of_slice(self.symbols.symbols())),
            strings: Span {
                start: strings.start,
                len: strings.bytes.len() as u32,
            },
            section_numbers,
            has_debug: self.has_debug,
        })
    }

    /// The atom of a section, or `NONE`; nothing when there is no such section.
    fn atom_of(&self, section: usize) -> Option<u32> {
        self.staged.sections[self.first_section..]
            .get(section)
            .copied()
    }

    fn read_sections(&mut self) -> Result<(), Error> {
        let (first_atom, mut is_slim) = (self.staged.atoms.len(), false);
        for (index, section) in self.sections.enumerate() {
            let flags = section.sh_flags(LE);
            if !has(flags, SHF_ALLOC) {
                let name = self.names.0.get(section.sh_name(LE) as usize..);
                self.has_debug |= name.is_some_and(|name| {
                    name.starts_with(b".debug_") || name.starts_with(b".zdebug_")
                });
                is_slim |= name.is_some_and(|name| name.starts_with(b".gnu.lto_"));
                continue;
            }
            if section.sh_size(LE) != 0 && takes_part(section) {
                self.add_atom(index)?;
            }
        }
        if is_slim && self.staged.atoms.len() == first_atom {
            let what = "GCC's intermediate code and nothing else: compile without -flto";
            return Err(Error::unsupported(self.name, what));
        }
        Ok(())
    }

    /// Makes an atom of a section and gives its number.
    fn add_atom(&mut self, index: SectionIndex) -> Result<u32, Error> {
        let section = self
            .sections
            .section(index)
            .map_err(|e| self.malformed(e))?;
        let name = self.section_name(index, section.sh_name(LE))?;
        let fail = |what: &str| {
            let name = String::from_utf8_lossy(name);
            Error::malformed(self.name, format!("section {name}: {what}"))
        };
        let bytes = section
            .data(LE, self.data)
            .map_err(|_| fail("its bytes lie outside the file"))?;
        let no_bytes = section.sh_type(LE) == elf::SHT_NOBITS;
        let size = u32::try_from(section.sh_size(LE)).map_err(|_| fail("it has 4 GiB or more"))?;
        let alignment = section.sh_addralign(LE).max(1);
        if !alignment.is_power_of_two() || alignment > MAX_ALIGNMENT {
            return Err(fail(&format!("its alignment is {alignment:#x}")));
        }
        let flags = section.sh_flags(LE);
        let kind = if has(flags, SHF_TLS) {
            AtomKind::ThreadLocal
        } else if no_bytes {
            AtomKind::Zero
        } else if has(flags, SHF_EXECINSTR) {
            AtomKind::Code
        } else if has(flags, SHF_WRITE) {
            AtomKind::Data
        } else {
            AtomKind::ReadOnly
        };
        let atom = self.staged.atoms.len() as u32;
        make_room(&mut self.staged.atoms, 1);
        self.staged.atoms.push(StagedAtom {
            input: self.staged.inputs.len() as u32,
            kind,
            role: role(section.sh_type(LE), name),
            alignment_log2: alignment.ilog2() as u8,
            discarded: false,
            size,
            bytes: if no_bytes {
                Span::default()
            } else {
                self.span(bytes)
            },
            name: self.span(name),
            relocs: Span::default(),
        });
        let slot = self.first_section + index.0;
        self.staged.sections[slot] = atom;
        if has(flags, SHF_MERGE) {
            let entry = section.sh_entsize(LE);
            let staged = &self.staged.atoms[atom as usize];
            let mergeable = Mergeable::new(flags, entry, slot as u32, (atom, staged));
            self.staged.mergeable.extend(mergeable);
        }
        Ok(atom)
    }

    /// Checks the symbols and numbers the names that others see.
    fn read_symbols(&mut self, strings: &Strings<'d>) -> Result<(), Error> {
        let records = self.symbols.symbols();
        make_room(&mut self.staged.marks, records.len().max(1));
        // An object's own come first.
        let locals = records
            .iter()
            .take_while(|record| record.binding() == Binding::Local);
        let locals = locals.count();
        self.first_global = self.first_symbol + locals as u32;
        for (index, record) in records[..locals].iter().enumerate() {
            self.read_local(strings, index, record)?;
        }
        for (index, record) in records.iter().enumerate().skip(locals) {
            if record.binding() == Binding::Local {
                self.read_local(strings, index, record)?;
            } else {
                self.read_global(strings, index, record)?;
            }
        }
        if records.is_empty() {
            // Symbol 0 is always there to be referred to.
            self.staged.marks.push(Mark::LOCAL);
        }
        Ok(())
    }

    fn bad_name(&self, index: usize) -> Error {
        self.malformed(format!("symbol {index}: its name is bad"))
    }

    /// Checks a symbol that only this object sees. Its name is read when it is
    /// published.
    #[inline]
    fn read_local(
        &mut self,
        strings: &Strings<'d>,
        index: usize,
        record: &SymbolRecord,
    ) -> Result<(), Error> {
        if !record.is_place() && !strings.is_name(record.st_name(LE)) {
            return Err(self.bad_name(index));
        }
        self.check_definition(strings, index, record)?;
        if record.kind() == SymbolKind::Ifunc {
            self.staged.local_ifuncs.push(SymbolAt {
                input: self.staged.inputs.len() as u32,
                number: self.first_symbol + index as u32,
            });
        }
        self.staged.marks.push(Mark::LOCAL);
        Ok(())
    }

    #[inline]
    fn read_global(
        &mut self,
        strings: &Strings<'d>,
        index: usize,
        record: &SymbolRecord,
    ) -> Result<(), Error> {
        let offset = record.st_name(LE);
        if offset == 0 || record.is_place() {
            return self.read_local(strings, index, record);
        }
        let name = strings.name(offset).ok_or_else(|| self.bad_name(index))?;
        if name.bytes.is_empty() {
            return self.read_local(strings, index, record);
        }
        self.check_definition(strings, index, record)?;
        let number = self.staged.names.number_of(name.hash, name.bytes);
        self.staged.marks.push(Mark::of_name(number));
        let section = record.st_shndx(LE);
        if strings.has_versions && section != elf::SHN_UNDEF && section != elf::SHN_COMMON {
            self.read_version(index, name.bytes);
        }
        Ok(())
    }

    /// A definition of `f@@V` is one of `f` and of `f@V` too.
    fn read_version(&mut self, index: usize, name: &[u8]) {
        let Some((plain, version)) = default_version(name) else {
            return;
        };
        let symbol = SymbolAt {
            input: self.staged.inputs.len() as u32,
            number: self.first_symbol + index as u32,
        };
        let with_version = [plain, b"@", version].concat();
        for name in [plain, &with_version] {
            let number = self.staged.names.number_of(names::hash(name), name);
            self.staged.versions.push((symbol, number));
        }
    }

    /// The string table of the symbols.
    fn strings(&self) -> Result<Strings<'d>, Error> {
        let bytes = match self.symbols.is_empty() {
            true => &[],
            false => self
                .sections
                .section(self.symbols.string_section())
                .and_then(|section| section.data(LE, self.data))
                .map_err(|error| self.malformed(error))?,
        };
        let is_text = bytes.is_ascii() || std::str::from_utf8(bytes).is_ok();
        Ok(Strings {
            bytes,
            start: self.span(bytes).start,
            is_whole: is_text && bytes.last() == Some(&0),
            // Without a way out in the middle this is many bytes at a time.
            has_versions: bytes.iter().fold(false, |has, byte| has | (*byte == b'@')),
        })
    }

    /// Where the section numbers are that do not fit a symbol's record.
    fn section_numbers(&self) -> Result<Span, Error> {
        let index = self.symbols.shndx_section();
        if index.0 == 0 {
            return Ok(Span::default());
        }
        let section = self.sections.section(index);
        let bytes = section.and_then(|section| section.data(LE, self.data));
        Ok(self.span(bytes.map_err(|error| self.malformed(error))?))
    }

    /// Checks where a symbol is defined.
    #[inline]
    fn check_definition(
        &mut self,
        strings: &Strings<'d>,
        index: usize,
        record: &SymbolRecord,
    ) -> Result<(), Error> {
        let section = record.st_shndx(LE);
        if section == elf::SHN_UNDEF {
            return Ok(());
        }
        let (sections, atoms) = (&self.staged.sections, &self.staged.atoms);
        // Most are in a section that has an atom; extended indices are past all
        // of those.
        if let Some(&number) = sections.get(self.first_section + usize::from(section.0))
            && let Some(atom) = atoms.get(number as usize)
            && section.0 < elf::SHN_LORESERVE
            && record.st_value(LE) <= u64::from(atom.size)
        {
            return Ok(());
        }
        self.check_unusual_definition(strings, SymbolIndex(index), record)
    }

    #[cold]
    fn check_unusual_definition(
        &mut self,
        strings: &Strings<'d>,
        index: SymbolIndex,
        record: &SymbolRecord,
    ) -> Result<(), Error> {
        let value = record.st_value(LE);
        let name = match record.is_place() {
            true => None,
            false => strings.name(record.st_name(LE)),
        };
        let name = name.map_or(&[][..], |name| name.bytes);
        let is_label = record.binding() == Binding::Local && name.starts_with(b".L");
        let nameless = name.is_empty() || is_label;
        let name = String::from_utf8_lossy(name);
        let fail = |what: String| Error::malformed(self.name, format!("symbol {name:?}: {what}"));
        let Some(section) = self
            .symbols
            .symbol_section(LE, record, index)
            .map_err(|e| fail(e.to_string()))?
        else {
            return match record.st_shndx(LE) {
                elf::SHN_UNDEF | elf::SHN_ABS => Ok(()),
                elf::SHN_COMMON if value.is_power_of_two() && value <= MAX_ALIGNMENT => Ok(()),
                elf::SHN_COMMON => Err(fail(format!("common with alignment {value:#x}"))),
                other => Err(fail(format!("it is in reserved section {:#x}", other.0))),
            };
        };
        let header = self.sections.section(section).map_err(|_| {
            fail(format!(
                "it is in section {}, which is not there",
                section.0
            ))
        })?;
        if !has(header.sh_flags(LE), SHF_ALLOC) || !takes_part(header) {
            return Ok(());
        }
        if value > header.sh_size(LE) {
            return Err(fail(format!(
                "its offset {value:#x} is past the end of its section"
            )));
        }
        // An empty section: worth an atom only if a name marks its place.
        let atom = self.atom_of(section.0).expect("the section is there");
        if atom == NONE && !nameless {
            self.add_atom(section)?;
        }
        Ok(())
    }

    fn read_groups(&mut self, strings: &Strings<'d>) -> Result<(), Error> {
        for (index, section) in self.sections.enumerate() {
            if section.sh_type(LE) != elf::SHT_GROUP {
                continue;
            }
            let Some((flags, members)) = section
                .group(LE, self.data)
                .map_err(|e| self.malformed(e))?
            else {
                continue;
            };
            if flags.0 & GRP_COMDAT.0 == 0 {
                continue;
            }
            let signature = section.sh_info(LE) as usize;
            let Some(symbol) = self.symbols.symbols().get(signature) else {
                let what = format!(
                    "group section {}: signature symbol {signature} is not there",
                    index.0
                );
                return Err(Error::malformed(self.name, what));
            };
            let first = self.staged.group_atoms.len() as u32;
            for member in members {
                match self.atom_of(member.get(LE) as usize) {
                    None => {
                        let what = format!(
                            "group section {}: member {} is not there",
                            index.0,
                            member.get(LE)
                        );
                        return Err(Error::malformed(self.name, what));
                    }
                    Some(NONE) => {}
                    Some(atom) => self.staged.group_atoms.push(atom),
                }
            }
            self.staged.groups.push(Group {
                input: self.staged.inputs.len() as u32,
                signature: match symbol.is_place() {
                    true => Span::default(),
                    false => strings.name(symbol.st_name(LE)).unwrap_or_default().span,
                },
                atoms: first..self.staged.group_atoms.len() as u32,
            });
        }
        Ok(())
    }

    fn read_relocations(&mut self) -> Result<(), Error> {
        for section in self.sections.iter() {
            let kind = section.sh_type(LE);
            if kind != elf::SHT_RELA && kind != elf::SHT_REL {
                continue;
            }
            let patched = section.sh_info(LE) as usize;
            let Some(atom) = self.atom_of(patched) else {
                let what = format!("relocations for section {patched}, which is not there");
                return Err(Error::malformed(self.name, what));
            };
            if atom == NONE {
                continue;
            }
            if kind == elf::SHT_REL {
                return Err(Error::unsupported(
                    self.name,
                    "relocations without addends (SHT_REL)",
                ));
            }
            let records = section.data(LE, self.data).map_err(|e| self.malformed(e))?;
            self.read_relocations_of(atom, records)?;
        }
        Ok(())
    }

    /// Checks the relocations of an atom, and marks what they refer to. They
    /// stay where they are.
    fn read_relocations_of(&mut self, atom: u32, records: &'d [u8]) -> Result<(), Error> {
        let staged = &mut *self.staged;
        if staged.atoms[atom as usize].relocs.len > 0 {
            let what = "two relocation sections for one section";
            return Err(Error::malformed(self.name, what));
        }
        let size = u64::from(staged.atoms[atom as usize].bytes.len);
        let marks = &mut staged.marks[self.first_symbol as usize..];
        let (entries, rest) = records.as_chunks::<RELA_LEN>();
        let mut bad = !rest.is_empty();
        // The call that belongs to the one before refers to nothing.
        let mut call = false;
        let mut all = Shape::NOTHING;
        for record in entries {
            let [offset, info, _] = read_rela(record);
            let shape = x86_64::shape(RelocKind(info as u32));
            bad |= offset.saturating_add(shape.width()) > size;
            all |= shape;
            match marks.get_mut((info >> 32) as usize) {
                Some(mark) => mark.refer(shape.refers() & !call),
                None => {
                    bad = true;
                    break;
                }
            }
            call = shape.has_call();
        }
        bad |= !all.is_linked();
        let wants_low = all.is_absolute_32();
        if bad {
            return Err(self.bad_relocation(atom, records));
        }
        staged.relocs += entries.len();
        staged.wants_low |= wants_low;
        let relocs = self.span(records);
        self.staged.atoms[atom as usize].relocs = relocs;
        Ok(())
    }

    /// What is wrong with the relocations of an atom.
    fn bad_relocation(&self, atom: u32, records: &[u8]) -> Error {
        let size = u64::from(self.staged.atoms[atom as usize].bytes.len);
        let section = self.staged.atoms[atom as usize].name.text(self.data);
        for record in records.as_chunks::<RELA_LEN>().0 {
            let [offset, info, _] = read_rela(record);
            let (kind, symbol) = (RelocKind(info as u32), (info >> 32) as usize);
            if kind.0 == elf::R_X86_64_NONE.0 {
                continue;
            }
            let place = format!("relocation at {section}+{offset:#x}");
            if symbol >= self.staged.marks.len() - self.first_symbol as usize {
                let what = format!("{place}: symbol {symbol} is not there");
                return self.malformed(what);
            }
            let shape = x86_64::shape(kind);
            if !shape.is_linked() {
                let named = x86_64::name(kind).unwrap_or("unknown");
                let what = format!("{place}: relocation kind {} ({named})", kind.0);
                return Error::unsupported(self.name, what);
            }
            if offset
                .checked_add(shape.width())
                .is_none_or(|end| end > size)
            {
                let what = format!("{place}: its field is past the end of the section");
                return self.malformed(what);
            }
        }
        self.malformed(format!("relocations for {section}: the last is not whole"))
    }

    fn malformed(&self, what: impl std::fmt::Display) -> Error {
        Error::malformed(self.name, what)
    }

    /// Where `part` lies in the object's bytes.
    fn span(&self, part: &[u8]) -> Span {
        if part.is_empty() {
            return Span::default();
        }
        let start = part.as_ptr() as usize - self.data.as_ptr() as usize;
        Span {
            start: start as u32,
            len: part.len() as u32,
        }
    }

    fn section_name(&self, index: SectionIndex, offset: u32) -> Result<&'d [u8], Error> {
        let (names, is_ascii) = self.names;
        let name = names.get(offset as usize..).and_then(|bytes| {
            let name = &bytes[..len_to_nul(bytes)?];
            (is_ascii || std::str::from_utf8(name).is_ok()).then_some(name)
        });
        name.ok_or_else(|| self.malformed(format!("section {}: its name is bad", index.0)))
    }
}

/// The string table of an object's symbols.
struct Strings<'d> {
    bytes: &'d [u8],
    /// Where it lies in the object.
    start: u32,
    /// Whether all of it is UTF-8 and it ends with a zero, so that names need not
    /// be looked at one by one.
    is_whole: bool,
    /// Whether a name in it may have a version.
    has_versions: bool,
}

/// A symbol's name.
#[derive(Default)]
struct StringName<'d> {
    bytes: &'d [u8],
    span: Span,
    hash: u32,
}

impl<'d> Strings<'d> {
    /// The name at an offset, when there is a whole one.
    #[inline]
    fn name(&self, offset: u32) -> Option<StringName<'d>> {
        let bytes = self.bytes.get(offset as usize..)?;
        let (len, hash) = hash_to_nul(bytes)?;
        let bytes = &bytes[..len];
        let is_text = match self.is_whole {
            // It begins at a character: not at one's second byte.
            true => bytes.first().is_none_or(|byte| byte & 0xc0 != 0x80),
            false => std::str::from_utf8(bytes).is_ok(),
        };
        is_text.then(|| StringName {
            bytes,
            span: Span {
                start: self.start + offset,
                len: len as u32,
            },
            hash,
        })
    }

    /// Whether there is a whole name at an offset, or the offset says that there
    /// is none.
    #[inline]
    fn is_name(&self, offset: u32) -> bool {
        match self.bytes.get(offset as usize) {
            _ if offset == 0 => true,
            Some(byte) if self.is_whole => byte & 0xc0 != 0x80,
            _ => self.name(offset).is_some(),
        }
    }
}

/// Checks that the bytes are an ELF object for this architecture.
fn check_header<'d>(arch: Arch, name: &str, data: &'d [u8]) -> Result<&'d Header, Error> {
    if data.len() < 20 || data[..4] != elf::ELFMAG {
        return Err(Error::malformed(name, "not an ELF file"));
    }
    let machine = u16::from_le_bytes([data[18], data[19]]);
    if data[4] != elf::ELFCLASS64.0
        || data[5] != elf::ELFDATA2LSB.0
        || machine != arch.elf_machine()
    {
        let what = format!(
            "an object for another architecture (ELF class {}, machine {machine}), not for {arch:?}",
            data[4]
        );
        return Err(Error::unsupported(name, what));
    }
    let header = Header::parse(data).map_err(|error| Error::malformed(name, error))?;
    match header.e_type(LE) {
        elf::ET_REL => Ok(header),
        other => {
            let what = format!("not a relocatable object (ELF type {})", other.0);
            Err(Error::unsupported(name, what))
        }
    }
}

fn has(flags: elf::SectionFlags, flag: elf::SectionFlags) -> bool {
    flags.0 & flag.0 != 0
}

/// Whether an allocated section is part of the image. Notes describe the file.
fn takes_part(section: &elf::SectionHeader64<LittleEndian>) -> bool {
    section.sh_type(LE) != elf::SHT_NOTE
}

/// What a section does beside being there, by its type and name.
fn role(kind: elf::SectionType, name: &[u8]) -> Role {
    let priority = |prefix: &[u8], none: u32| {
        let digits = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix(b"."));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        digits
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(none)
    };
    // `.ctors.N` counts the other way and runs last to first (GCC's
    // `--enable-initfini-array=no`); 65535 is "no priority" in both.
    if kind == elf::SHT_INIT_ARRAY || kind == elf::SHT_PREINIT_ARRAY {
        Role::Initialisers {
            priority: priority(b".init_array", 65536),
            reversed: false,
        }
    } else if kind == elf::SHT_FINI_ARRAY {
        Role::Finalisers {
            priority: priority(b".fini_array", 65536),
            reversed: false,
        }
    } else if name == b".ctors" || name.starts_with(b".ctors.") {
        let priority = 65535u32.saturating_sub(priority(b".ctors", 0));
        Role::Initialisers {
            priority,
            reversed: true,
        }
    } else if name == b".dtors" || name.starts_with(b".dtors.") {
        let priority = 65535u32.saturating_sub(priority(b".dtors", 0));
        Role::Finalisers {
            priority,
            reversed: true,
        }
    } else if name == b".eh_frame" {
        Role::EhFrame
    } else {
        Role::Plain
    }
}
