//! Reads an ELF relocatable object into a batch.
//!
//! Every allocated section that has bytes or a symbol becomes an atom. What the
//! reader meets that is malformed is an error that names the object, the
//! section or symbol, and the offset; the batch is then as it was before.
//!
//! Source: System V ABI, chapter 4 (generic ELF), and the psABI of the
//! architecture for its section types.

use object::elf::{
    self, FileHeader64, GRP_COMDAT, Rela64, SHF_ALLOC, SHF_EXECINSTR, SHF_TLS, SHF_WRITE, Sym64,
};
use object::read::elf::{FileHeader, Rela, SectionHeader, SectionTable, Sym, SymbolTable};
use object::{LittleEndian, SectionIndex, SymbolIndex};

use crate::arch::Arch;
use crate::error::Error;
use crate::model::{AtomKind, Binding, NONE, RelocKind, SymbolKind, Visibility};
use crate::names::hash;
use crate::staged::{
    Group, Role, Source, Span, Staged, StagedAtom, StagedDefinition, StagedInput, StagedReloc,
    StagedSymbol,
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
    symbols: Symbols<'d>,
    /// Where the object's sections begin in the batch's list, which says the
    /// atom of each, or `NONE`.
    first_section: usize,
    first_symbol: u32,
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
        let first_section = staged.sections.len();
        staged.sections.resize(first_section + sections.len(), NONE);
        Ok(Reader {
            first_section,
            first_symbol: staged.symbols.len() as u32,
            has_debug: false,
            staged,
            name,
            data,
            sections,
            symbols,
        })
    }

    /// Reads everything; the caller adds the source.
    fn read(mut self) -> Result<StagedInput<'i>, Error> {
        self.read_sections()?;
        self.read_symbols()?;
        self.read_groups()?;
        self.read_relocations()?;
        Ok(StagedInput {
            name: self.staged.keep(self.name.as_bytes()),
            source: Source::Built,
            sections: self.first_section as u32..self.staged.sections.len() as u32,
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
        for (index, section) in self.sections.enumerate() {
            let flags = section.sh_flags(LE);
            if !has(flags, SHF_ALLOC) {
                self.has_debug |= self.sections.section_name(LE, section).is_ok_and(|name| {
                    name.starts_with(b".debug_") || name.starts_with(b".zdebug_")
                });
                continue;
            }
            if section.sh_size(LE) != 0 && takes_part(section) {
                self.add_atom(index)?;
            }
        }
        Ok(())
    }

    /// Makes an atom of a section and gives its number.
    fn add_atom(&mut self, index: SectionIndex) -> Result<u32, Error> {
        let section = self
            .sections
            .section(index)
            .map_err(|e| self.malformed(e))?;
        let name = self.section_name(index)?;
        let fail = |what: &str| Error::malformed(self.name, format!("section {}: {what}", name.1));
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
        let relocs = self.staged.relocs.len() as u32;
        self.staged.atoms.push(StagedAtom {
            input: self.staged.inputs.len() as u32,
            kind,
            role: role(section.sh_type(LE), name.1),
            alignment_log2: alignment.ilog2() as u8,
            discarded: false,
            size,
            bytes: if no_bytes {
                Span::default()
            } else {
                self.span(bytes)
            },
            name: name.0,
            relocs: relocs..relocs,
        });
        self.staged.sections[self.first_section + index.0] = atom;
        Ok(atom)
    }

    fn read_symbols(&mut self) -> Result<(), Error> {
        let symbols = self.symbols;
        for (index, symbol) in symbols.iter().enumerate() {
            let index = SymbolIndex(index);
            let name = self.symbol_name(index, symbol)?;
            let kind = symbol.st_type();
            let nameless = name.1.is_empty()
                || kind == elf::STT_SECTION
                || kind == elf::STT_FILE
                || (symbol.is_local() && name.1.starts_with(".L"));
            let definition = self.definition(index, symbol, nameless, name.1)?;
            let staged = StagedSymbol {
                name: name.0,
                hash: if nameless { 0 } else { hash(name.1.as_bytes()) },
                input: self.staged.inputs.len() as u32,
                definition,
                size: symbol.st_size(LE),
                binding: match symbol.st_bind() {
                    elf::STB_LOCAL => Binding::Local,
                    // A unique symbol comes in a COMDAT group in every object
                    // that uses it, and the first is as good as the next.
                    elf::STB_WEAK | elf::STB_GNU_UNIQUE => Binding::Weak,
                    _ => Binding::Global,
                },
                visibility: match symbol.st_visibility() {
                    elf::STV_HIDDEN | elf::STV_INTERNAL => Visibility::Hidden,
                    elf::STV_PROTECTED => Visibility::Protected,
                    _ => Visibility::Default,
                },
                kind: match kind {
                    elf::STT_FUNC => SymbolKind::Function,
                    elf::STT_OBJECT | elf::STT_COMMON => SymbolKind::Object,
                    elf::STT_TLS => SymbolKind::ThreadLocal,
                    elf::STT_GNU_IFUNC => SymbolKind::Ifunc,
                    _ => SymbolKind::Untyped,
                },
                nameless,
            };
            self.staged.symbols.push(staged);
        }
        Ok(())
    }

    fn definition(
        &mut self,
        index: SymbolIndex,
        symbol: &Sym64<LittleEndian>,
        nameless: bool,
        name: &str,
    ) -> Result<StagedDefinition, Error> {
        let value = symbol.st_value(LE);
        let fail = |what: String| Error::malformed(self.name, format!("symbol {name:?}: {what}"));
        let Some(section) = self
            .symbols
            .symbol_section(LE, symbol, index)
            .map_err(|e| fail(e.to_string()))?
        else {
            return match symbol.st_shndx(LE) {
                elf::SHN_UNDEF => Ok(StagedDefinition::Undefined),
                elf::SHN_ABS => Ok(StagedDefinition::Absolute(value)),
                elf::SHN_COMMON if value.is_power_of_two() && value <= MAX_ALIGNMENT => {
                    Ok(StagedDefinition::Common { alignment: value })
                }
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
            return Ok(StagedDefinition::Elsewhere);
        }
        if value > header.sh_size(LE) {
            return Err(fail(format!(
                "its offset {value:#x} is past the end of its section"
            )));
        }
        let mut atom = self.atom_of(section.0).expect("the section is there");
        if atom == NONE {
            // An empty section: worth an atom only if a name marks its place.
            if nameless {
                return Ok(StagedDefinition::Elsewhere);
            }
            atom = self.add_atom(section)?;
        }
        Ok(StagedDefinition::Atom(atom, value))
    }

    fn read_groups(&mut self) -> Result<(), Error> {
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
            let symbol = self.first_symbol as usize + signature;
            if signature >= self.symbols.len() {
                let what = format!(
                    "group section {}: signature symbol {signature} is not there",
                    index.0
                );
                return Err(Error::malformed(self.name, what));
            }
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
                signature: self.staged.symbols[symbol].name,
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
            let relocs = section.rela(LE, self.data).map_err(|e| self.malformed(e))?;
            self.read_relocations_of(atom, relocs.map_or(&[], |(relocs, _)| relocs))?;
        }
        Ok(())
    }

    fn read_relocations_of(
        &mut self,
        atom: u32,
        relocs: &[Rela64<LittleEndian>],
    ) -> Result<(), Error> {
        let size = u64::from(self.staged.atoms[atom as usize].bytes.len);
        let first = self.staged.relocs.len() as u32;
        if !self.staged.atoms[atom as usize].relocs.is_empty() {
            return Err(Error::malformed(
                self.name,
                "two relocation sections for one section",
            ));
        }
        self.staged.relocs.reserve(relocs.len());
        for reloc in relocs {
            let offset = reloc.r_offset(LE);
            let kind = RelocKind(Rela::r_type(reloc, LE, false).0);
            if kind.0 == elf::R_X86_64_NONE.0 {
                continue;
            }
            let symbol = Rela::r_sym(reloc, LE, false);
            let place = || {
                let name = self.staged.atoms[atom as usize].name.text(self.data);
                format!("relocation at {name}+{offset:#x}")
            };
            if symbol as usize >= self.symbols.len().max(1) {
                let what = format!("{}: symbol {symbol} is not there", place());
                return Err(Error::malformed(self.name, what));
            }
            if crate::arch::x86_64::needs(kind).is_none() {
                let named = crate::arch::x86_64::name(kind).map_or("unknown", |name| name);
                let what = format!("{}: relocation kind {} ({named})", place(), kind.0);
                return Err(Error::unsupported(self.name, what));
            }
            let width = u64::from(crate::arch::x86_64::width(kind));
            self.staged.wants_low |= crate::arch::x86_64::is_absolute_32(kind);
            if offset.checked_add(width).is_none_or(|end| end > size) {
                let what = format!("{}: its field is past the end of the section", place());
                return Err(Error::malformed(self.name, what));
            }
            self.staged.relocs.push(StagedReloc {
                offset: offset as u32,
                kind,
                symbol: self.first_symbol + symbol,
                addend: reloc.r_addend(LE),
            });
        }
        self.staged.atoms[atom as usize].relocs = first..self.staged.relocs.len() as u32;
        Ok(())
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

    fn section_name(&self, index: SectionIndex) -> Result<(Span, &'d str), Error> {
        let section = self
            .sections
            .section(index)
            .map_err(|e| self.malformed(e))?;
        let name = self.sections.section_name(LE, section);
        let name = name.ok().and_then(|name| std::str::from_utf8(name).ok());
        let name = name.ok_or_else(|| {
            Error::malformed(self.name, format!("section {}: its name is bad", index.0))
        })?;
        Ok((self.span(name.as_bytes()), name))
    }

    fn symbol_name(
        &self,
        index: SymbolIndex,
        symbol: &'d Sym64<LittleEndian>,
    ) -> Result<(Span, &'d str), Error> {
        let name = self.symbols.symbol_name(LE, symbol);
        let name = name.ok().and_then(|name| std::str::from_utf8(name).ok());
        let name = name.ok_or_else(|| {
            Error::malformed(self.name, format!("symbol {}: its name is bad", index.0))
        })?;
        Ok((self.span(name.as_bytes()), name))
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
fn role(kind: elf::SectionType, name: &str) -> Role {
    let priority = |prefix: &str, none: u32| {
        let digits = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('.'));
        digits
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(none)
    };
    // `.ctors.N` counts the other way and runs last to first (GCC's
    // `--enable-initfini-array=no`); 65535 is "no priority" in both.
    if kind == elf::SHT_INIT_ARRAY || kind == elf::SHT_PREINIT_ARRAY {
        Role::Initialisers {
            priority: priority(".init_array", 65536),
            reversed: false,
        }
    } else if kind == elf::SHT_FINI_ARRAY {
        Role::Finalisers {
            priority: priority(".fini_array", 65536),
            reversed: false,
        }
    } else if name == ".ctors" || name.starts_with(".ctors.") {
        let priority = 65535u32.saturating_sub(priority(".ctors", 0));
        Role::Initialisers {
            priority,
            reversed: true,
        }
    } else if name == ".dtors" || name.starts_with(".dtors.") {
        let priority = 65535u32.saturating_sub(priority(".dtors", 0));
        Role::Finalisers {
            priority,
            reversed: true,
        }
    } else if name == ".eh_frame" {
        Role::EhFrame
    } else {
        Role::Plain
    }
}
