//! Reading a guest's ELF file and laying its segments into guest memory.
//!
//! Two steps. [`Program::parse`] reads the header and the program headers and
//! checks all that can be checked without memory; it allocates in proportion
//! to what the file really holds, and whatever is wrong is one [`ElfError`]
//! with the file, the offset in it, and the problem. [`Program::load`] then
//! maps the segments, the file's pages themselves where it can.
//!
//! Sections are never looked at: as for the kernel, only program headers count.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::memory::{
    BackingFile, GuestMemory, Kind, LOWEST_ADDRESS, Map, PAGE_SIZE, Placement, Protection, Source,
    page_down, page_up,
};

/// `e_machine` of RISC-V.
pub const MACHINE_RISCV: u16 = 243;
/// `e_machine` of AArch64.
pub const MACHINE_AARCH64: u16 = 183;
/// `e_machine` of x86-64, the host.
pub const MACHINE_X86_64: u16 = 62;

const HEADER_SIZE: usize = 64;
const PROGRAM_HEADER_SIZE: usize = 56;
/// The kernel refuses program headers of more than 64 KiB together.
const MOST_PROGRAM_HEADERS: u16 = (65536 / PROGRAM_HEADER_SIZE) as u16;
/// The kernel refuses an interpreter's name of more than `PATH_MAX` bytes.
const LONGEST_INTERPRETER: u64 = 4096;

const TYPE_EXECUTABLE: u16 = 2;
const TYPE_SHARED: u16 = 3;
const SEGMENT_LOAD: u32 = 1;
const SEGMENT_INTERPRETER: u32 = 3;
const SEGMENT_HEADERS: u32 = 6;
const SEGMENT_STACK: u32 = 0x6474_e551;
const FLAG_EXECUTE: u32 = 1;
const FLAG_WRITE: u32 = 2;
const FLAG_READ: u32 = 4;

/// Bytes at offsets: a file, or a slice in tests.
pub trait ReadAt {
    /// Bytes in all.
    fn length(&self) -> io::Result<u64>;
    /// Fills `into` from `offset` on, or fails.
    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, into, offset)
    }
}

impl ReadAt for [u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset)
            .ok()
            .and_then(|start| Some(start..start.checked_add(into.len())?));
        let found = start
            .and_then(|range| self.get(range))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(found);
        Ok(())
    }
}

/// What is wrong with an ELF file.
#[derive(Debug)]
pub struct ElfError {
    /// The file.
    pub file: PathBuf,
    /// Where in it the offending field or content lies, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// The ways in which an ELF file can be wrong.
#[derive(Debug)]
pub enum Problem {
    /// It does not begin as an ELF file does.
    NotElf,
    /// It is an ELF file of 32 bits, or of the wrong byte order or version.
    WrongForm(&'static str),
    /// It is for another processor than the guest's.
    WrongMachine {
        /// What the file says.
        found: u16,
        /// What the guest is.
        wanted: u16,
    },
    /// It is an object, a core file or something else that is not executed.
    NotExecutable(u16),
    /// The file ends before what this offset promises.
    Truncated,
    /// A field whose value makes no sense; the text says which and why.
    Field(&'static str, u64),
    /// Two segments want the same bytes of memory, or are out of order.
    Overlap(u64),
    /// The segments do not fit into guest memory.
    OutsideMemory(u64),
    /// Nothing in it is to be loaded.
    NoSegments,
    /// The file could not be read.
    Read(io::Error),
    /// A segment could not be mapped.
    Map(Errno),
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: offset {:#x}: ", self.file.display(), self.offset)?;
        match &self.problem {
            Problem::NotElf => f.write_str("not an ELF file"),
            Problem::WrongForm(what) => write!(f, "{what}"),
            Problem::WrongMachine { found, wanted } => {
                write!(
                    f,
                    "a program for {}, but the guest is {}",
                    machine_name(*found),
                    machine_name(*wanted)
                )
            }
            Problem::NotExecutable(kind) => write!(f, "file type {kind} is not executable"),
            Problem::Truncated => f.write_str("the file is truncated"),
            Problem::Field(what, value) => write!(f, "{what}: {value:#x}"),
            Problem::Overlap(address) => {
                write!(f, "segments overlap or are out of order at {address:#x}")
            }
            Problem::OutsideMemory(address) => {
                write!(
                    f,
                    "the segment at {address:#x} does not fit into guest memory"
                )
            }
            Problem::NoSegments => f.write_str("no segment to load"),
            Problem::Read(error) => write!(f, "cannot be read: {error}"),
            Problem::Map(error) => write!(f, "a segment cannot be mapped: {error}"),
        }
    }
}

impl std::error::Error for ElfError {}

impl ElfError {
    /// The error number that `execve` gives for such a file.
    pub fn errno(&self) -> Errno {
        match &self.problem {
            Problem::Read(error) => Errno(error.raw_os_error().unwrap_or(libc::EIO)),
            Problem::Map(errno) => *errno,
            Problem::OutsideMemory(_) => Errno::ENOMEM,
            _ => Errno::ENOEXEC,
        }
    }
}

fn machine_name(machine: u16) -> String {
    match machine {
        MACHINE_RISCV => "RISC-V".into(),
        MACHINE_AARCH64 => "AArch64".into(),
        MACHINE_X86_64 => "x86-64".into(),
        3 => "x86".into(),
        40 => "Arm".into(),
        other => format!("machine {other}"),
    }
}

/// Where a program wants to lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Position {
    /// At the addresses that it names.
    Fixed,
    /// Anywhere, as a whole.
    Anywhere,
}

/// One segment to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where its program header lies in the file, for messages.
    header_offset: u64,
    file_offset: u64,
    file_size: u64,
    address: u64,
    memory_size: u64,
    protection: Protection,
}

/// The headers of a program, checked.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    position: Position,
    entry: u64,
    segments: Vec<Segment>,
    alignment: u64,
    headers_address: Option<u64>,
    headers_count: u16,
    /// The program that loads this one, for dynamically linked programs.
    pub interpreter: Option<PathBuf>,
    /// Whether the stack is to be executable.
    pub executable_stack: bool,
}

/// Where a program was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What was added to each address in the file.
    pub bias: u64,
    /// The first instruction.
    pub entry: GuestAddr,
    /// Its program headers in memory (`AT_PHDR`); 0 when no segment holds them.
    pub headers: GuestAddr,
    /// How many there are (`AT_PHNUM`).
    pub headers_count: u16,
    /// The first address past its last segment.
    pub end: GuestAddr,
}

impl Program {
    /// The bytes of one program header (`AT_PHENT`).
    pub const HEADER_ENTRY_SIZE: u64 = PROGRAM_HEADER_SIZE as u64;

    /// Reads and checks the headers of the ELF file at `path`, whose contents
    /// `source` gives, for a guest of this `machine` with `limit` bytes of memory.
    pub fn parse<S: ReadAt + ?Sized>(
        path: &Path,
        source: &S,
        machine: u16,
        limit: u64,
    ) -> Result<Program, ElfError> {
        let reader = Reader { path, source };
        let header = reader.header(machine)?;
        let mut program = Program {
            path: path.to_owned(),
            position: header.position,
            entry: header.entry,
            segments: Vec::new(),
            alignment: PAGE_SIZE,
            headers_address: None,
            headers_count: header.headers_count,
            interpreter: None,
            executable_stack: false,
        };
        let mut listed_headers = None;
        for index in 0..header.headers_count {
            let offset = header.headers_offset + u64::from(index) * PROGRAM_HEADER_SIZE as u64;
            let raw = reader.program_header(offset)?;
            match raw.kind {
                SEGMENT_LOAD if raw.memory_size == 0 => {}
                SEGMENT_LOAD => program.add_segment(&reader, &raw, limit)?,
                SEGMENT_INTERPRETER => program.interpreter = Some(reader.interpreter(&raw)?),
                SEGMENT_HEADERS => listed_headers = Some(raw.address),
                SEGMENT_STACK => program.executable_stack = raw.flags & FLAG_EXECUTE != 0,
                _ => {}
            }
        }
        if program.segments.is_empty() {
            return Err(reader.error(header.headers_offset, Problem::NoSegments));
        }
        program.headers_address =
            listed_headers.or_else(|| program.address_of(header.headers_offset));
        Ok(program)
    }

    fn add_segment<S: ReadAt + ?Sized>(
        &mut self,
        reader: &Reader<'_, S>,
        raw: &RawProgramHeader,
        limit: u64,
    ) -> Result<(), ElfError> {
        let segment = reader.segment(raw, limit)?;
        if let Some(before) = self.segments.last()
            && segment.address < before.address + before.memory_size
        {
            return Err(reader.error(raw.offset + 16, Problem::Overlap(segment.address)));
        }
        if self.position == Position::Fixed && page_down(segment.address) < LOWEST_ADDRESS {
            return Err(reader.error(raw.offset + 16, Problem::OutsideMemory(segment.address)));
        }
        self.alignment = self.alignment.max(raw.alignment);
        self.segments.push(segment);
        Ok(())
    }

    /// The address at which a file offset is loaded.
    fn address_of(&self, offset: u64) -> Option<u64> {
        let holds = |segment: &&Segment| {
            segment.file_offset <= offset && offset - segment.file_offset < segment.file_size
        };
        self.segments
            .iter()
            .find(holds)
            .map(|segment| segment.address + (offset - segment.file_offset))
    }

    /// The pages from the first segment to the last.
    fn span(&self) -> (u64, u64) {
        let first = self.segments.first().expect("parse found a segment");
        let last = self.segments.last().expect("parse found a segment");
        (page_down(first.address), last.address + last.memory_size)
    }

    /// Maps the segments from `file`, the one that was parsed. A program that
    /// may lie anywhere goes to `hint` if there is room.
    pub fn load(
        &self,
        file: &File,
        memory: &GuestMemory,
        hint: GuestAddr,
    ) -> Result<Loaded, ElfError> {
        let bias = self.choose_bias(memory, hint)?;
        let backing = self.backing(file)?;
        for segment in &self.segments {
            segment
                .map(file, &backing, bias, memory)
                .map_err(|error| ElfError {
                    file: self.path.clone(),
                    offset: segment.header_offset,
                    problem: Problem::Map(error),
                })?;
        }
        let at = |address: u64| GuestAddr(address.wrapping_add(bias));
        Ok(Loaded {
            bias,
            entry: at(self.entry),
            headers: self.headers_address.map_or(GuestAddr(0), at),
            headers_count: self.headers_count,
            end: at(self.span().1),
        })
    }

    /// Reserves room for the whole program and gives what is to be added to
    /// its addresses.
    fn choose_bias(&self, memory: &GuestMemory, hint: GuestAddr) -> Result<u64, ElfError> {
        let (start, end) = self.span();
        let error = |problem| ElfError {
            file: self.path.clone(),
            offset: self.segments[0].header_offset,
            problem,
        };
        let slack = self.alignment - PAGE_SIZE;
        let (placement, slack) = match self.position {
            Position::Fixed => (Placement::FixedIfFree(GuestAddr(start)), 0),
            Position::Anywhere => (Placement::Hint(hint), slack),
        };
        let length = (end - start)
            .checked_add(slack)
            .ok_or_else(|| error(Problem::OutsideMemory(start)))?;
        let reservation = Map {
            placement,
            length,
            protection: Protection::NONE,
            shared: false,
            host_flags: libc::MAP_NORESERVE,
            source: Source::Anonymous(Kind::Anonymous),
        };
        let got = memory.map(&reservation).map_err(|errno| match errno {
            Errno::ENOMEM => error(Problem::OutsideMemory(start)),
            other => error(Problem::Map(other)),
        })?;
        if self.position == Position::Fixed {
            return Ok(0);
        }
        // Inside the reservation the program begins where its alignment wants
        // it; what is left over before and after is given back.
        let lead = start % self.alignment;
        let mut base = page_down(got.address.0) / self.alignment * self.alignment + lead;
        if base < got.address.0 {
            base += self.alignment;
        }
        let whole = |bytes: u64| page_up(bytes).expect("it lies inside guest memory");
        let give_back = |from: u64, to: u64| {
            if to > from {
                // These pages were never accessible, so nothing is stale.
                let _ = memory.unmap(GuestAddr(from), to - from);
            }
        };
        give_back(got.address.0, base);
        give_back(base + whole(end - start), got.address.0 + whole(length));
        Ok(base.wrapping_sub(start))
    }

    fn backing(&self, file: &File) -> Result<Arc<BackingFile>, ElfError> {
        let metadata = file.metadata().map_err(|error| ElfError {
            file: self.path.clone(),
            offset: 0,
            problem: Problem::Read(error),
        })?;
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        Ok(Arc::new(BackingFile {
            path,
            device: metadata.dev(),
            inode: metadata.ino(),
        }))
    }
}

impl Segment {
    /// Maps the file's part, zeroes the rest of its last page, and maps zeroed
    /// pages for what lies past it. The last page is zeroed to its end, past
    /// the segment's: dynamic loaders allocate from there.
    fn map(
        &self,
        file: &File,
        backing: &Arc<BackingFile>,
        bias: u64,
        memory: &GuestMemory,
    ) -> Result<(), Errno> {
        let address = self.address.wrapping_add(bias);
        let within_page = address % PAGE_SIZE;
        let start = address - within_page;
        let file_end = address + self.file_size;
        let memory_end = address + self.memory_size;
        let mut zero_from = start;
        if self.file_size > 0 {
            let source = Source::File {
                fd: file.as_raw_fd(),
                offset: self.file_offset - within_page,
                backing: backing.clone(),
            };
            self.map_part(memory, start, file_end - start, source)?;
            zero_from = page_up(file_end).ok_or(Errno::ENOMEM)?;
            let zeros = zero_from - file_end;
            if zeros > 0 && self.protection.write() && memory_end > file_end {
                memory.write_bytes(
                    GuestAddr(file_end),
                    &[0; PAGE_SIZE as usize][..zeros as usize],
                )?;
            }
        }
        if memory_end > zero_from {
            self.map_part(
                memory,
                zero_from,
                memory_end - zero_from,
                Source::Anonymous(Kind::Anonymous),
            )?;
        }
        Ok(())
    }

    fn map_part(
        &self,
        memory: &GuestMemory,
        start: u64,
        length: u64,
        source: Source,
    ) -> Result<(), Errno> {
        let request = Map {
            placement: Placement::Fixed(GuestAddr(start)),
            length,
            protection: self.protection,
            shared: false,
            host_flags: 0,
            source,
        };
        // Nothing has run from these pages yet, so nothing can be stale.
        memory.map(&request).map(drop)
    }
}

/// What the file header says, checked.
struct Header {
    position: Position,
    entry: u64,
    headers_offset: u64,
    headers_count: u16,
}

/// One program header as it stands in the file.
struct RawProgramHeader {
    offset: u64,
    kind: u32,
    flags: u32,
    file_offset: u64,
    address: u64,
    file_size: u64,
    memory_size: u64,
    alignment: u64,
}

struct Reader<'a, S: ReadAt + ?Sized> {
    path: &'a Path,
    source: &'a S,
}

impl<S: ReadAt + ?Sized> Reader<'_, S> {
    fn error(&self, offset: u64, problem: Problem) -> ElfError {
        ElfError {
            file: self.path.to_owned(),
            offset,
            problem,
        }
    }

    fn bytes<const N: usize>(&self, offset: u64) -> Result<[u8; N], ElfError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn fill(&self, into: &mut [u8], offset: u64) -> Result<(), ElfError> {
        self.source
            .read_exact_at(into, offset)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => self.error(offset, Problem::Truncated),
                _ => self.error(offset, Problem::Read(error)),
            })
    }

    fn header(&self, machine: u16) -> Result<Header, ElfError> {
        let length = self
            .source
            .length()
            .map_err(|error| self.error(0, Problem::Read(error)))?;
        if length < 4 || self.bytes::<4>(0)? != *b"\x7fELF" {
            return Err(self.error(0, Problem::NotElf));
        }
        let raw: [u8; HEADER_SIZE] = self.bytes(0)?;
        let form = |offset, wrong: bool, what| {
            if wrong {
                Err(self.error(offset, Problem::WrongForm(what)))
            } else {
                Ok(())
            }
        };
        form(4, raw[4] != 2, "not a 64-bit ELF file")?;
        form(5, raw[5] != 1, "not a little-endian ELF file")?;
        form(6, raw[6] != 1, "an unknown version of ELF")?;
        let found = u16_at(&raw, 18);
        if found != machine {
            return Err(self.error(
                18,
                Problem::WrongMachine {
                    found,
                    wanted: machine,
                },
            ));
        }
        let position = match u16_at(&raw, 16) {
            TYPE_EXECUTABLE => Position::Fixed,
            TYPE_SHARED => Position::Anywhere,
            other => return Err(self.error(16, Problem::NotExecutable(other))),
        };
        let (headers_offset, entry_size, headers_count) =
            (u64_at(&raw, 32), u16_at(&raw, 54), u16_at(&raw, 56));
        if usize::from(entry_size) != PROGRAM_HEADER_SIZE {
            return Err(self.error(
                54,
                Problem::Field("size of a program header", entry_size.into()),
            ));
        }
        if headers_count == 0 || headers_count > MOST_PROGRAM_HEADERS {
            return Err(self.error(
                56,
                Problem::Field("number of program headers", headers_count.into()),
            ));
        }
        let size = u64::from(headers_count) * PROGRAM_HEADER_SIZE as u64;
        if headers_offset
            .checked_add(size)
            .is_none_or(|end| end > length)
        {
            return Err(self.error(32, Problem::Truncated));
        }
        Ok(Header {
            position,
            entry: u64_at(&raw, 24),
            headers_offset,
            headers_count,
        })
    }

    fn program_header(&self, offset: u64) -> Result<RawProgramHeader, ElfError> {
        let raw: [u8; PROGRAM_HEADER_SIZE] = self.bytes(offset)?;
        Ok(RawProgramHeader {
            offset,
            kind: u32_at(&raw, 0),
            flags: u32_at(&raw, 4),
            file_offset: u64_at(&raw, 8),
            address: u64_at(&raw, 16),
            file_size: u64_at(&raw, 32),
            memory_size: u64_at(&raw, 40),
            alignment: u64_at(&raw, 48).max(1),
        })
    }

    fn segment(&self, raw: &RawProgramHeader, limit: u64) -> Result<Segment, ElfError> {
        let field = |at, what, value| self.error(raw.offset + at, Problem::Field(what, value));
        if raw.file_size > raw.memory_size {
            return Err(field(
                32,
                "a segment larger in the file than in memory",
                raw.file_size,
            ));
        }
        if !raw.alignment.is_power_of_two() || raw.alignment > 1 << 30 {
            return Err(field(48, "alignment of a segment", raw.alignment));
        }
        if raw.file_size > 0 && raw.address % PAGE_SIZE != raw.file_offset % PAGE_SIZE {
            return Err(field(
                16,
                "address and file offset of a segment disagree within a page",
                raw.address,
            ));
        }
        if raw
            .address
            .checked_add(raw.memory_size)
            .is_none_or(|end| end > limit - PAGE_SIZE)
        {
            return Err(self.error(raw.offset + 16, Problem::OutsideMemory(raw.address)));
        }
        let length = self
            .source
            .length()
            .map_err(|error| self.error(0, Problem::Read(error)))?;
        if raw
            .file_offset
            .checked_add(raw.file_size)
            .is_none_or(|end| end > length)
        {
            return Err(self.error(raw.offset + 8, Problem::Truncated));
        }
        let has = |flag| raw.flags & flag != 0;
        Ok(Segment {
            header_offset: raw.offset,
            file_offset: raw.file_offset,
            file_size: raw.file_size,
            address: raw.address,
            memory_size: raw.memory_size,
            protection: Protection::new(has(FLAG_READ), has(FLAG_WRITE), has(FLAG_EXECUTE)),
        })
    }

    fn interpreter(&self, raw: &RawProgramHeader) -> Result<PathBuf, ElfError> {
        if raw.file_size < 2 || raw.file_size > LONGEST_INTERPRETER {
            let problem = Problem::Field("length of the interpreter's name", raw.file_size);
            return Err(self.error(raw.offset + 32, problem));
        }
        let mut name = vec![0; raw.file_size as usize];
        self.fill(&mut name, raw.file_offset)?;
        let end = name.iter().position(|&byte| byte == 0);
        name.truncate(end.ok_or_else(|| {
            self.error(
                raw.file_offset,
                Problem::Field("the interpreter's name has no end", raw.file_size),
            )
        })?);
        Ok(PathBuf::from(std::ffi::OsString::from_vec(name)))
    }
}

/// The machine that an ELF file of 64 bits is for, if it is one.
pub fn machine_of(start: &[u8]) -> Option<u16> {
    let is_elf =
        start.len() >= 20 && start.starts_with(b"\x7fELF") && start[4] == 2 && start[5] == 1;
    is_elf.then(|| u16_at(start, 18))
}

/// The address that the file was linked for to have at an offset in it, by its
/// program headers.
pub fn link_address(file: &[u8], offset: u64) -> Option<u64> {
    machine_of(file)?;
    let headers = file.get(usize::try_from(u64_at(file.get(..HEADER_SIZE)?, 32)).ok()?..)?;
    let mut headers = headers
        .chunks_exact(PROGRAM_HEADER_SIZE)
        .take(usize::from(u16_at(file, 56)))
        .filter(|header| u32_at(header, 0) == libc::PT_LOAD);
    headers.find_map(|header| {
        let within = offset.checked_sub(u64_at(header, 8))?;
        let address = u64_at(header, 16).checked_add(within)?;
        (within < u64_at(header, 32)).then_some(address)
    })
}

/// The linker's hash of an executable's contents (`NT_GNU_BUILD_ID`), if the
/// file begins with it: in its first bytes, as linkers lay it.
pub fn build_id(start: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    machine_of(start)?;
    let headers = start.get(usize::try_from(u64_at(start.get(..HEADER_SIZE)?, 32)).ok()?..)?;
    let count = usize::from(u16_at(start, 56));
    let notes = headers
        .chunks_exact(PROGRAM_HEADER_SIZE)
        .take(count)
        .filter(|header| u32_at(header, 0) == libc::PT_NOTE);
    for header in notes {
        let (at, length) = (u64_at(header, 8) as usize, u64_at(header, 32) as usize);
        let mut notes = start.get(at..at.checked_add(length)?)?;
        while notes.len() >= 12 {
            let name = u32_at(notes, 0) as usize;
            let length = u32_at(notes, 4) as usize;
            let value = 12 + name.checked_next_multiple_of(4)?;
            let end = value.checked_add(length)?;
            if u32_at(notes, 8) == NT_GNU_BUILD_ID && notes.get(12..16)? == b"GNU\0" {
                return notes.get(value..end);
            }
            notes = notes
                .get(end.checked_next_multiple_of(4)?..)
                .unwrap_or_default();
        }
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
