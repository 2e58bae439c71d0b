//! [`Core`]: a core file as a [`Target`] that can only be looked at.
//!
//! Memory is what the file holds; where it holds nothing of a mapping (the
//! kernel leaves out what stands in files), the mapped file is read, if it is
//! still there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use sapwood_dwarf::Bytes;

use super::notes::{self, MappedFile, Process, Status};
use crate::error::{Error, Result};
use crate::loader;
use crate::registers::{Registers, VectorState};
use crate::signal::Signal;
use crate::target::{
    self, Address, Mapping, ProcessId, Resume, SignalInfo, Target, TargetError, TargetEvent,
    ThreadId,
};

/// What is said when a core file is asked to do what only a process can.
const DEAD: TargetError = TargetError::Unsupported("do that: it is a core file, not a process");

/// The auxiliary vector's key of the program's first instruction.
const AT_ENTRY: u64 = 9;
/// As long a piece of a mapped file is compared with what the core file has.
const COMPARED: usize = 4096;

/// A thread's state when the core file was written.
struct Thread {
    status: Status,
    vector: Option<VectorState>,
    signal: Option<SignalInfo>,
}

/// A mapping of the process.
struct Segment {
    start: u64,
    end: u64,
    /// Where in the core file its first bytes are, and how many.
    offset: u64,
    held: u64,
    flags: u32,
}

/// A core file.
pub struct Core {
    bytes: Bytes,
    process: Process,
    /// In the file's order: the one that died first.
    threads: Vec<(ThreadId, Thread)>,
    segments: Vec<Segment>,
    auxiliary: Vec<(u64, u64)>,
    files: Vec<MappedFile>,
    /// Mapped files that were asked for; `None` for one that cannot be read.
    opened: BTreeMap<PathBuf, Option<Bytes>>,
    warnings: Vec<String>,
}

impl Core {
    /// Opens a core file. The error names the file and what is wrong with it.
    pub fn open(path: &Path) -> Result<Core> {
        let wrong = |what: &str| Error::new(format!("{}: {what}", path.display()));
        let bytes = loader::map(path).map_err(|e| wrong(&e.to_string()))?;
        let not_core = || wrong("not a core file of an x86-64 Linux process");
        let data = bytes.get();
        let header = FileHeader64::<LittleEndian>::parse(data).map_err(|_| not_core())?;
        let endian = header.endian().map_err(|_| not_core())?;
        let kind = (header.e_type(endian), header.e_machine(endian));
        if kind != (elf::ET_CORE, elf::EM_X86_64) {
            return Err(not_core());
        }
        let damaged = |e: object::Error| wrong(&format!("damaged: {e}"));
        let headers = header.program_headers(endian, data).map_err(damaged)?;
        let mut core = Core {
            bytes: bytes.clone(),
            process: Process::default(),
            threads: Vec::new(),
            segments: Vec::new(),
            auxiliary: Vec::new(),
            files: Vec::new(),
            opened: BTreeMap::new(),
            warnings: Vec::new(),
        };
        for header in headers {
            match header.p_type(endian) {
                elf::PT_LOAD => core.segments.push(Segment {
                    start: header.p_vaddr(endian),
                    end: header
                        .p_vaddr(endian)
                        .saturating_add(header.p_memsz(endian)),
                    offset: header.p_offset(endian),
                    held: header.p_filesz(endian).min(header.p_memsz(endian)),
                    flags: header.p_flags(endian).0,
                }),
                elf::PT_NOTE => {
                    let notes = header.notes(endian, data).map_err(damaged)?;
                    for note in notes.into_iter().flatten() {
                        let note = note.map_err(damaged)?;
                        core.take_note(note.n_type(endian).0, note.desc());
                    }
                }
                _ => {}
            }
        }
        if core.threads.is_empty() {
            return Err(wrong("it has no thread"));
        }
        core.segments.sort_by_key(|segment| segment.start);
        core.check(path);
        Ok(core)
    }

    fn take_note(&mut self, kind: u32, bytes: &[u8]) {
        let last = self.threads.last_mut().map(|(_, thread)| thread);
        match kind {
            notes::NT_PRSTATUS => {
                if let Some(status) = Status::read(bytes) {
                    let thread = Thread {
                        vector: None,
                        signal: None,
                        status,
                    };
                    self.threads.push((ThreadId(thread.status.thread), thread));
                }
            }
            notes::NT_FPREGSET => {
                if let Some(thread) = last.filter(|thread| thread.vector.is_none()) {
                    thread.vector = Some(from_fxsave(bytes));
                }
            }
            notes::NT_X86_XSTATE => {
                if let Some(thread) = last {
                    thread.vector = Some(VectorState(bytes.to_vec()));
                }
            }
            notes::NT_SIGINFO => {
                if let Some(thread) = last {
                    thread.signal = notes::read_signal(bytes);
                }
            }
            notes::NT_PRPSINFO => {
                self.process = Process::read(bytes).unwrap_or_default();
            }
            notes::NT_AUXV => self.auxiliary = notes::read_auxiliary(bytes),
            notes::NT_FILE => self.files = notes::read_files(bytes).unwrap_or_default(),
            _ => {}
        }
    }

    /// Notes what the user should know: a file that is cut off, and programs
    /// and libraries that are not what they were.
    fn check(&mut self, path: &Path) {
        let length = self.bytes.get().len() as u64;
        let ends = self
            .segments
            .iter()
            .map(|s| s.offset.saturating_add(s.held));
        let wanted = ends.max().unwrap_or(0);
        if wanted > length {
            self.warnings.push(format!(
                "{} is cut off: it has {length} of {wanted} bytes.",
                path.display()
            ));
        }
        let firsts: Vec<MappedFile> = self
            .files
            .iter()
            .filter(|file| file.offset == 0)
            .cloned()
            .collect();
        for file in firsts {
            let mut was = [0; COMPARED];
            if self.held(file.start, &mut was) < COMPARED || !was.starts_with(&elf::ELFMAG) {
                continue;
            }
            let Some(bytes) = self.file(&file.path) else {
                continue;
            };
            let now = bytes.get();
            let now = &now[..now.len().min(COMPARED)];
            if was[..now.len()] != *now {
                self.warnings.push(format!(
                    "{} is not the file that the process had mapped.",
                    file.path
                ));
            }
        }
    }

    /// What the user should know before believing what is shown.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The command line, as far as the kernel keeps it.
    pub fn command(&self) -> &str {
        match self.process.command.as_str() {
            "" => &self.process.name,
            command => command,
        }
    }

    /// What ended the process, where anything did.
    pub fn fatal(&self) -> Option<SignalInfo> {
        let (_, thread) = self.threads.first()?;
        thread.signal.or_else(|| {
            let signal = thread.status.signal;
            (signal != 0).then_some(SignalInfo {
                signal: Signal(signal),
                code: 0,
                address: None,
                sender: None,
            })
        })
    }

    fn thread(&self, thread: ThreadId) -> target::Result<&Thread> {
        let found = self.threads.iter().find(|(id, _)| *id == thread);
        found
            .map(|(_, thread)| thread)
            .ok_or_else(|| TargetError::Failed(format!("the core file has no thread {thread}")))
    }

    fn file(&mut self, path: &str) -> Option<Bytes> {
        let opened = self.opened.entry(PathBuf::from(path));
        opened
            .or_insert_with_key(|path| loader::map(path).ok())
            .clone()
    }

    /// Reads as much from `at` on as the core file itself holds; gives how much.
    fn held(&self, at: u64, into: &mut [u8]) -> usize {
        let after = self.segments.partition_point(|s| s.start <= at);
        let Some(segment) = after.checked_sub(1).map(|i| &self.segments[i]) else {
            return 0;
        };
        let within = at - segment.start;
        let left = segment.held.saturating_sub(within).min(into.len() as u64) as usize;
        let from = segment.offset.saturating_add(within);
        let bytes = self.bytes.get();
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
        let left = left.min(bytes.len() - from);
        into[..left].copy_from_slice(&bytes[from..from + left]);
        left
    }

    /// The same of the file that is mapped there.
    fn mapped(&mut self, at: u64, into: &mut [u8]) -> usize {
        let covers = |file: &&MappedFile| (file.start..file.end).contains(&at);
        let Some(file) = self.files.iter().find(covers).cloned() else {
            return 0;
        };
        let left = (file.end - at).min(into.len() as u64) as usize;
        let Some(bytes) = self.file(&file.path) else {
            return 0;
        };
        let bytes = bytes.get();
        let from = file.offset.saturating_add(at - file.start);
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
        let there = left.min(bytes.len() - from);
        into[..there].copy_from_slice(&bytes[from..from + there]);
        there
    }
}

/// An XSAVE area of the 512 bytes that FXSAVE writes: with the header that says
/// that x87 and SSE are in it.
fn from_fxsave(bytes: &[u8]) -> VectorState {
    let mut area = bytes.to_vec();
    area.resize(576, 0);
    area[512] = 3;
    VectorState(area)
}

impl Target for Core {
    fn process(&self) -> ProcessId {
        let first = self.threads.first().map_or(0, |(id, _)| id.0);
        ProcessId(match self.process.process {
            0 => first,
            process => process,
        })
    }

    fn threads(&self) -> Vec<ThreadId> {
        self.threads.iter().map(|(id, _)| *id).collect()
    }

    fn can_run(&self) -> bool {
        false
    }

    fn registers(&mut self, thread: ThreadId) -> target::Result<Registers> {
        Ok(self.thread(thread)?.status.registers)
    }

    fn set_registers(&mut self, _: ThreadId, _: &Registers) -> target::Result<()> {
        Err(DEAD)
    }

    fn vector_state(&mut self, thread: ThreadId) -> target::Result<VectorState> {
        let vector = self.thread(thread)?.vector.clone();
        vector.ok_or(TargetError::Unsupported("show vector registers"))
    }

    fn signal_mask(&mut self, thread: ThreadId) -> target::Result<u64> {
        Ok(self.thread(thread)?.status.blocked)
    }

    fn read(&mut self, at: Address, into: &mut [u8]) -> target::Result<()> {
        let mut done = 0;
        while done < into.len() {
            let here = at.add(done as u64);
            let rest = &mut into[done..];
            done += match self.held(here.0, rest) {
                0 => match self.mapped(here.0, rest) {
                    0 => return Err(TargetError::Memory(here)),
                    some => some,
                },
                some => some,
            };
        }
        Ok(())
    }

    fn write(&mut self, _: Address, _: &[u8]) -> target::Result<()> {
        Err(DEAD)
    }

    // A breakpoint waits for the next `run`.
    fn insert_breakpoint(&mut self, _: Address) -> target::Result<()> {
        Ok(())
    }

    fn remove_breakpoint(&mut self, _: Address) -> target::Result<()> {
        Ok(())
    }

    fn resume(&mut self, _: Resume) -> target::Result<()> {
        Err(DEAD)
    }

    fn wait(&mut self) -> target::Result<TargetEvent> {
        Err(DEAD)
    }

    fn set_signal(&mut self, _: ThreadId, _: Option<Signal>) -> target::Result<()> {
        Err(DEAD)
    }

    fn signal(&self, thread: ThreadId) -> Option<SignalInfo> {
        self.thread(thread).ok()?.signal
    }

    fn kill(&mut self) -> target::Result<()> {
        Ok(())
    }

    fn detach(&mut self) -> target::Result<()> {
        Ok(())
    }

    fn auxiliary_vector(&mut self) -> Vec<(u64, u64)> {
        self.auxiliary.clone()
    }

    fn executable(&self) -> Option<PathBuf> {
        let (_, entry) = self.auxiliary.iter().find(|(key, _)| *key == AT_ENTRY)?;
        let covers = |file: &&MappedFile| (file.start..file.end).contains(entry);
        Some(PathBuf::from(&self.files.iter().find(covers)?.path))
    }

    fn mappings(&mut self) -> target::Result<Vec<Mapping>> {
        let flag = |segment: &Segment, flag: u32| segment.flags & flag != 0;
        let mappings = self.segments.iter().map(|segment| {
            let file = self.files.iter().find(|file| file.start == segment.start);
            Mapping {
                start: Address(segment.start),
                end: Address(segment.end),
                permissions: [
                    flag(segment, elf::PF_R.0),
                    flag(segment, elf::PF_W.0),
                    flag(segment, elf::PF_X.0),
                    false,
                ],
                offset: file.map_or(0, |file| file.offset),
                name: file.map_or(String::new(), |file| file.path.clone()),
            }
        });
        Ok(mappings.collect())
    }
}
