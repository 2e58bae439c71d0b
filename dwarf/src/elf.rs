//! What a module's ELF headers say: sections, segments, identity.
//!
//! Everything here is copied out of the file, so that nothing borrows from it.
//! Section contents stay in the file and are named by their range.

use std::ops::Range;
use std::path::{Path, PathBuf};

use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{CompressionHeader, FileHeader, ProgramHeader, SectionHeader};

use crate::{Arch, Error, Result};

/// A section's header.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) kind: elf::SectionType,
    pub(crate) flags: u64,
    /// The address in the file's own terms.
    pub(crate) address: u64,
    pub(crate) size: u64,
    /// Its bytes in the file; empty where it has none.
    pub(crate) file: Range<usize>,
    /// The section that its `sh_link` names.
    pub(crate) link: usize,
}

impl Section {
    /// Whether memory is set aside for it.
    pub(crate) fn is_allocated(&self) -> bool {
        self.flags & elf::SHF_ALLOC.0 != 0
    }

    /// Whether it holds code.
    pub(crate) fn is_code(&self) -> bool {
        self.is_allocated() && self.flags & elf::SHF_EXECINSTR.0 != 0
    }

    /// The addresses that it takes up.
    pub(crate) fn addresses(&self) -> Range<u64> {
        self.address..self.address.saturating_add(self.size)
    }
}

/// A loaded segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) addresses: Range<u64>,
    pub(crate) file: Range<usize>,
    pub(crate) is_code: bool,
}

/// An ELF file's headers.
#[derive(Clone, Debug)]
pub(crate) struct Elf {
    pub(crate) arch: Arch,
    /// Whether symbols are relative to their section (`ET_REL`).
    pub(crate) is_relocatable: bool,
    pub(crate) is_position_independent: bool,
    pub(crate) entry: u64,
    pub(crate) sections: Vec<Section>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) build_id: Option<Vec<u8>>,
    pub(crate) debug_link: Option<(PathBuf, u32)>,
    pub(crate) interpreter: Option<PathBuf>,
    /// The file address and size of the thread-local segment, and its
    /// alignment.
    pub(crate) thread_local: Option<(Range<u64>, u64)>,
}

impl Elf {
    /// Reads the headers of a 64-bit little-endian ELF file.
    pub(crate) fn parse(name: &Path, data: &[u8]) -> Result<Elf> {
        let fault = |what: &dyn std::fmt::Display| Error::new(name, what);
        if !data.starts_with(&elf::ELFMAG) {
            return Err(fault(&"not an ELF file"));
        }
        let header =
            FileHeader64::<LittleEndian>::parse(data).map_err(|_| fault(&foreign(data)))?;
        let endian = LittleEndian;
        if header.is_big_endian() {
            return Err(fault(&foreign(data)));
        }
        let arch = match header.e_machine(endian) {
            elf::EM_X86_64 => Arch::X86_64,
            elf::EM_AARCH64 => Arch::Aarch64,
            elf::EM_RISCV => Arch::Riscv64,
            other => return Err(fault(&format_args!("machine {} is not supported", other.0))),
        };
        let kind = header.e_type(endian);
        let sections = sections(header, data)
            .map_err(|error| fault(&format_args!("section headers: {error}")))?;
        let programs = header
            .program_headers(endian, data)
            .map_err(|error| fault(&format_args!("program headers: {error}")))?;
        let mut elf = Elf {
            arch,
            is_relocatable: kind == elf::ET_REL,
            is_position_independent: kind == elf::ET_DYN,
            entry: header.e_entry(endian),
            sections,
            segments: Vec::new(),
            build_id: None,
            debug_link: None,
            interpreter: None,
            thread_local: None,
        };
        for program in programs {
            elf.take_segment(program, data);
        }
        elf.build_id = elf.find_build_id(data);
        elf.debug_link = elf.find_debug_link(data);
        Ok(elf)
    }

    fn take_segment(&mut self, program: &elf::ProgramHeader64<LittleEndian>, data: &[u8]) {
        let endian = LittleEndian;
        let start = program.p_vaddr(endian);
        let addresses = start..start.saturating_add(program.p_memsz(endian));
        let file = clamp(program.p_offset(endian), program.p_filesz(endian), data);
        match program.p_type(endian) {
            elf::PT_LOAD => self.segments.push(Segment {
                addresses,
                file,
                is_code: program.p_flags(endian).0 & elf::PF_X.0 != 0,
            }),
            elf::PT_TLS => self.thread_local = Some((addresses, program.p_align(endian).max(1))),
            elf::PT_INTERP => {
                let text = data[file]
                    .split(|&byte| byte == 0)
                    .next()
                    .unwrap_or_default();
                self.interpreter = Some(path_of(text));
            }
            _ => {}
        }
    }

    /// The section of that name; the one with bytes where there are several.
    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        let mut named = self.sections.iter().filter(|section| section.name == name);
        let first = named.next()?;
        if first.file.is_empty() {
            named.find(|s| !s.file.is_empty()).or(Some(first))
        } else {
            Some(first)
        }
    }

    /// The bytes of a section as they lie in the file, compressed or not.
    pub(crate) fn bytes<'d>(&self, name: &str, data: &'d [u8]) -> Option<&'d [u8]> {
        data.get(self.section(name)?.file.clone())
    }

    /// The address ranges of its code, sorted.
    pub(crate) fn code(&self) -> Vec<Range<u64>> {
        let sections = self
            .sections
            .iter()
            .filter(|s| s.is_code())
            .map(Section::addresses);
        let mut code: Vec<_> = sections.filter(|range| !range.is_empty()).collect();
        if code.is_empty() {
            let segments = self.segments.iter().filter(|s| s.is_code);
            code = segments.map(|segment| segment.addresses.clone()).collect();
        }
        code.sort_by_key(|range| range.start);
        code
    }

    /// The address ranges that it takes up in memory, sorted and disjoint.
    pub(crate) fn memory(&self) -> Vec<Range<u64>> {
        let mut memory: Vec<Range<u64>> = if self.segments.is_empty() {
            let thread_local = elf::SHF_TLS.0;
            let loaded = self
                .sections
                .iter()
                .filter(|s| s.is_allocated() && s.address != 0);
            loaded
                .filter(|section| section.flags & thread_local == 0)
                .map(Section::addresses)
                .collect()
        } else {
            self.segments
                .iter()
                .map(|segment| segment.addresses.clone())
                .collect()
        };
        memory.retain(|range| !range.is_empty());
        memory.sort_by_key(|range| range.start);
        let mut disjoint: Vec<Range<u64>> = Vec::with_capacity(memory.len());
        for range in memory {
            match disjoint.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => disjoint.push(range),
            }
        }
        disjoint
    }

    /// Finds a build id among the notes: in sections, else in the segments'
    /// bytes (the vdso of a core file may have no section headers).
    fn find_build_id(&self, data: &[u8]) -> Option<Vec<u8>> {
        let notes = self
            .sections
            .iter()
            .filter(|section| section.kind == elf::SHT_NOTE);
        notes
            .filter_map(|section| data.get(section.file.clone()))
            .find_map(build_id_in)
    }

    /// Reads `.gnu_debuglink`: a file name, padding, a checksum.
    fn find_debug_link(&self, data: &[u8]) -> Option<(PathBuf, u32)> {
        let link = self.bytes(".gnu_debuglink", data)?;
        let end = link.iter().position(|&byte| byte == 0)?;
        let sum = link.get((end + 4) & !3..)?.first_chunk::<4>()?;
        Some((path_of(&link[..end]), u32::from_le_bytes(*sum)))
    }
}

/// A path of bytes that a file gives.
pub(crate) fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

/// Says what kind of ELF file it is that we cannot read.
fn foreign(data: &[u8]) -> &'static str {
    match (data.get(4), data.get(5)) {
        (Some(1), _) => "a 32-bit ELF file, which is not supported",
        (Some(2), Some(2)) => "a big-endian ELF file, which is not supported",
        _ => "the ELF header is damaged",
    }
}

/// The part of `offset..offset + len` that the file has.
fn clamp(offset: u64, len: u64, data: &[u8]) -> Range<usize> {
    let end = offset.saturating_add(len).min(data.len() as u64) as usize;
    let start = (offset.min(data.len() as u64) as usize).min(end);
    start..end
}

fn sections(
    header: &FileHeader64<LittleEndian>,
    data: &[u8],
) -> object::read::Result<Vec<Section>> {
    let endian = LittleEndian;
    let table = header.sections(endian, data)?;
    let mut sections = Vec::with_capacity(table.len());
    for section in table.iter() {
        let name = table.section_name(endian, section).unwrap_or_default();
        let kind = section.sh_type(endian);
        let file = match kind {
            elf::SHT_NOBITS | elf::SHT_NULL => 0..0,
            _ => clamp(section.sh_offset(endian), section.sh_size(endian), data),
        };
        sections.push(Section {
            name: String::from_utf8_lossy(name).into_owned(),
            kind,
            flags: section.sh_flags(endian).0,
            address: section.sh_addr(endian),
            size: section.sh_size(endian),
            file,
            link: section.sh_link(endian) as usize,
        });
    }
    Ok(sections)
}

/// The description of the `NT_GNU_BUILD_ID` note, if these notes have one.
fn build_id_in(mut notes: &[u8]) -> Option<Vec<u8>> {
    let word = |bytes: &[u8], at: usize| {
        bytes
            .get(at..)?
            .first_chunk()
            .map(|b| u32::from_le_bytes(*b) as usize)
    };
    loop {
        let (name, description) = (word(notes, 0)?, word(notes, 4)?);
        let kind = word(notes, 8)?;
        let start = 12usize.checked_add(name.checked_add(3)? & !3)?;
        let end = start.checked_add(description)?;
        if kind == 3 && notes.get(12..12 + name)? == b"GNU\0" {
            return notes.get(start..end).map(<[u8]>::to_vec);
        }
        notes = notes.get(end.checked_add(3)? & !3..)?;
    }
}

/// The most that a file within a file may unpack to: real ones are a hundredth.
const MAX_XZ: u64 = 256 << 20;

/// Unpacks what `xz` packed; `None` where it is damaged.
pub(crate) fn unpack_xz(packed: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut plain = Vec::new();
    let reader = lzma_rust2::XzReader::new(packed, false);
    reader.take(MAX_XZ).read_to_end(&mut plain).ok()?;
    Some(plain)
}

/// The most that a compressed section may grow: zlib cannot do more, and
/// zstd's few more extreme cases are no debug information.
const MAX_RATIO: u64 = 1100;

/// A section's packed bytes, how they were packed and their size without;
/// `Ok(None)` where they are plain.
fn packed<'d>(
    section: &Section,
    data: &'d [u8],
) -> Result<Option<object::CompressedData<'d>>, String> {
    let bytes = data.get(section.file.clone()).unwrap_or_default();
    let (format, size, packed) = if section.flags & elf::SHF_COMPRESSED.0 != 0 {
        let (header, packed) =
            object::pod::from_bytes::<elf::CompressionHeader64<LittleEndian>>(bytes)
                .map_err(|()| "its compression header is damaged".to_owned())?;
        let format = match header.ch_type(LittleEndian) {
            elf::ELFCOMPRESS_ZLIB => object::CompressionFormat::Zlib,
            elf::ELFCOMPRESS_ZSTD => object::CompressionFormat::Zstandard,
            other => return Err(format!("compression {} is not supported", other.0)),
        };
        (format, header.ch_size(LittleEndian), packed)
    } else if let (true, Some((b"ZLIB", rest))) = (
        section.name.starts_with(".zdebug"),
        bytes.split_first_chunk::<4>(),
    ) {
        let (size, packed) = rest
            .split_first_chunk::<8>()
            .ok_or("its compression header is damaged")?;
        (
            object::CompressionFormat::Zlib,
            u64::from_be_bytes(*size),
            packed,
        )
    } else {
        return Ok(None);
    };
    if size > (packed.len() as u64).saturating_mul(MAX_RATIO) {
        return Err(format!("it claims to decompress to {size} bytes"));
    }
    Ok(Some(object::CompressedData {
        format,
        data: packed,
        uncompressed_size: size,
    }))
}

/// A section's bytes, decompressed where need be: `Ok(None)` where they are
/// plain and lie in the file as they are.
pub(crate) fn decompress(section: &Section, data: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let Some(compressed) = packed(section, data)? else {
        return Ok(None);
    };
    let plain = compressed.decompress().map_err(|error| error.to_string())?;
    Ok(Some(plain.into_owned()))
}

/// How many bytes a section has when it is decompressed, as far as it says.
pub(crate) fn plain_size(section: &Section, data: &[u8]) -> Option<u64> {
    Some(match packed(section, data).ok()? {
        Some(compressed) => compressed.uncompressed_size,
        None => section.file.len() as u64,
    })
}
