//! Writing a core file of a stopped process, as the kernel would have.
//!
//! What stands unchanged in a file is left out, but for the first page of each
//! program and library, by which a reader knows them again; pages of zeros
//! become holes. Breakpoints of ours show in no read, so not in the file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::notes::{self, MappedFile, Process, Status};
use crate::error::{Error, Result};
use crate::signal::Signal;
use crate::target::{Mapping, SignalInfo, Target, ThreadId};

const PAGE: u64 = 4096;
/// Bytes read at a time.
const PIECE: u64 = 1 << 20;

/// A processor whose standard-format XSAVE area is shorter than Intel's gets
/// zeros behind it: gdb takes a shorter one for damaged.
const XSTATE_LEAST: usize = 2696;

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// Bytes of the process's memory that the file holds.
    pub memory: u64,
    /// Mappings that could not be read although they should be.
    pub unreadable: usize,
}

/// A mapping and how many of its bytes go into the file.
struct Part {
    mapping: Mapping,
    held: u64,
}

/// Writes a core file; `first` is the thread that a reader is to look at. On an
/// error no file is left.
pub fn write(target: &mut dyn Target, first: ThreadId, path: &Path) -> Result<Written> {
    let failed = |e: io::Error| Error::new(format!("{}: {e}", path.display()));
    let file = File::create(path).map_err(failed)?;
    let written = fill(target, first, file);
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written.map_err(|e| match e {
        Failure::File(e) => failed(e),
        Failure::Target(e) => e,
    })
}

enum Failure {
    File(io::Error),
    Target(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::File(error)
    }
}

impl From<crate::target::TargetError> for Failure {
    fn from(error: crate::target::TargetError) -> Failure {
        Failure::Target(error.into())
    }
}

fn fill(target: &mut dyn Target, first: ThreadId, mut file: File) -> Result<Written, Failure> {
    let parts = parts(target)?;
    let notes = notes(target, first, &parts)?;
    let headers = 64 + 56 * (parts.len() as u64 + 1);
    let memory_at = (headers + notes.len() as u64).next_multiple_of(PAGE);

    let mut head = elf_header(parts.len() + 1);
    head.extend(program_header(
        [4, 0, headers, 0, 0, notes.len() as u64],
        notes.len() as u64,
        4,
    ));
    let mut at = memory_at;
    for part in &parts {
        let Mapping {
            start,
            end,
            permissions: [r, w, x, _],
            ..
        } = part.mapping;
        let flags = u64::from(r) * 4 + u64::from(w) * 2 + u64::from(x);
        head.extend(program_header(
            [1, flags, at, start.0, 0, part.held],
            end.0 - start.0,
            PAGE,
        ));
        at += part.held;
    }
    head.extend(notes);
    file.write_all(&head)?;

    let mut written = Written {
        memory: 0,
        unreadable: 0,
    };
    let mut at = memory_at;
    for part in &parts {
        if copy(target, part, &mut file, at)? {
            written.memory += part.held;
        } else {
            written.unreadable += 1;
        }
        at += part.held;
    }
    file.set_len(at)?;
    Ok(written)
}

/// Which mappings there are, and what is to be kept of each.
fn parts(target: &mut dyn Target) -> Result<Vec<Part>, Failure> {
    let mut parts = Vec::new();
    for mapping in target.mappings()? {
        // The kernel's own pages: of no process, and not readable as memory.
        if mapping.name == "[vsyscall]" || mapping.name.starts_with("[vvar") {
            continue;
        }
        let held = held(target, &mapping);
        parts.push(Part { mapping, held });
    }
    Ok(parts)
}

fn held(target: &mut dyn Target, mapping: &Mapping) -> u64 {
    let [readable, writable, _, shared] = mapping.permissions;
    let length = mapping.end.0 - mapping.start.0;
    let of_file = mapping.name.starts_with('/') && !mapping.name.ends_with(" (deleted)");
    if !readable {
        return 0;
    }
    if !of_file || (!shared && (writable || differs(target, mapping))) {
        return length;
    }
    let mut magic = [0; 4];
    let is_program = mapping.offset == 0
        && target.read(mapping.start, &mut magic).is_ok()
        && magic == *b"\x7fELF";
    if is_program { length.min(PAGE) } else { 0 }
}

/// Whether a private mapping is no longer what its file says: relocated data
/// that was made read-only afterwards, for one.
fn differs(target: &mut dyn Target, mapping: &Mapping) -> bool {
    let Ok(file) = crate::loader::map(Path::new(&mapping.name)) else {
        return true;
    };
    let from = usize::try_from(mapping.offset).unwrap_or(usize::MAX);
    let there = file.get().get(from..).unwrap_or_default();
    let length = (mapping.end.0 - mapping.start.0).min(there.len() as u64) as usize;
    let mut buffer = vec![0; length.min(PIECE as usize)];
    let mut pieces = there[..length].chunks(PIECE as usize).enumerate();
    pieces.any(|(index, piece)| {
        let buffer = &mut buffer[..piece.len()];
        let at = mapping.start.add(index as u64 * PIECE);
        target.read(at, buffer).is_ok() && buffer != piece
    })
}

fn notes(target: &mut dyn Target, first: ThreadId, parts: &[Part]) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    let program = target.executable().unwrap_or_default();
    let command = match target.command_line() {
        Some(words) => words.join(" "),
        None => program.display().to_string(),
    };
    let name = program.file_name().unwrap_or_default();
    let process = Process {
        process: target.process().0,
        name: name.to_string_lossy().into_owned(),
        command,
    };
    let mut threads = target.threads();
    threads.sort_by_key(|thread| *thread != first);
    for (index, thread) in threads.into_iter().enumerate() {
        // What a thread that a breakpoint or the user stopped would have died of.
        let trap = SignalInfo {
            signal: Signal(libc::SIGTRAP),
            code: 0,
            address: None,
            sender: None,
        };
        let signal = target.signal(thread).or((index == 0).then_some(trap));
        let status = Status {
            thread: thread.0,
            signal: signal.map_or(0, |s| s.signal.0),
            blocked: target.signal_mask(thread).unwrap_or(0),
            registers: target.registers(thread)?,
        };
        note(&mut all, b"CORE", notes::NT_PRSTATUS, &status.write());
        if index == 0 {
            note(&mut all, b"CORE", notes::NT_PRPSINFO, &process.write());
        }
        if let Some(signal) = signal {
            let bytes = notes::write_signal(&signal);
            note(&mut all, b"CORE", notes::NT_SIGINFO, &bytes);
        }
        if index == 0 {
            let auxiliary = notes::write_auxiliary(&target.auxiliary_vector());
            note(&mut all, b"CORE", notes::NT_AUXV, &auxiliary);
            let files = notes::write_files(&files(parts));
            note(&mut all, b"CORE", notes::NT_FILE, &files);
        }
        if let Ok(vector) = target.vector_state(thread) {
            if let Some(fxsave) = vector.0.get(..512) {
                note(&mut all, b"CORE", notes::NT_FPREGSET, fxsave);
            }
            let mut area = vector.0;
            area.resize(area.len().max(XSTATE_LEAST), 0);
            note(&mut all, b"LINUX", notes::NT_X86_XSTATE, &area);
        }
    }
    Ok(all)
}

fn files(parts: &[Part]) -> Vec<MappedFile> {
    let named = parts.iter().map(|part| &part.mapping);
    named
        .filter(|mapping| mapping.name.starts_with('/'))
        .map(|mapping| MappedFile {
            start: mapping.start.0,
            end: mapping.end.0,
            offset: mapping.offset,
            path: mapping.name.clone(),
        })
        .collect()
}

/// Appends `Elf64_Nhdr`, name and contents, each padded to four bytes.
fn note(all: &mut Vec<u8>, name: &[u8], kind: u32, contents: &[u8]) {
    for word in [name.len() as u32 + 1, contents.len() as u32, kind] {
        all.extend(word.to_le_bytes());
    }
    for piece in [&[name, b"\0"].concat()[..], contents] {
        all.extend(piece);
        all.resize(all.len().next_multiple_of(4), 0);
    }
}

fn elf_header(headers: usize) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    bytes[16] = 4; // ET_CORE
    bytes[18] = 62; // EM_X86_64
    bytes[20] = 1;
    bytes[32] = 64; // e_phoff
    bytes[52] = 64; // e_ehsize
    bytes[54] = 56; // e_phentsize
    // A process has at most 65,530 mappings unless its administrator allows it
    // more; those beyond what the field can say are left out by a reader.
    let headers = u16::try_from(headers).unwrap_or(u16::MAX - 1);
    bytes[56..58].copy_from_slice(&headers.to_le_bytes());
    bytes
}

/// `Elf64_Phdr`: type, flags, offset, vaddr, paddr, filesz; memsz; align.
fn program_header(fields: [u64; 6], memory: u64, alignment: u64) -> Vec<u8> {
    let [kind, flags, rest @ ..] = fields;
    let mut bytes: Vec<u8> = [kind as u32, flags as u32]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    let words = rest.into_iter().chain([memory, alignment]);
    bytes.extend(words.flat_map(u64::to_le_bytes));
    bytes
}

/// Copies a part's memory; says whether it could be read.
fn copy(target: &mut dyn Target, part: &Part, file: &mut File, at: u64) -> Result<bool, io::Error> {
    let mut buffer = vec![0; part.held.min(PIECE) as usize];
    let mut done = 0;
    while done < part.held {
        let length = (part.held - done).min(PIECE) as usize;
        let piece = &mut buffer[..length];
        if target.read(part.mapping.start.add(done), piece).is_err() {
            return Ok(false);
        }
        for (index, page) in piece.chunks(PAGE as usize).enumerate() {
            if page.iter().any(|byte| *byte != 0) {
                file.seek(SeekFrom::Start(at + done + index as u64 * PAGE))?;
                file.write_all(page)?;
            }
        }
        done += length as u64;
    }
    Ok(true)
}
