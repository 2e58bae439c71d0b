//! Starting a guest program: loading it and its interpreter, and laying out
//! the stack that it finds at its first instruction.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::abi::{self, Abi};
use super::gdb::{self, Debugged, Stub};
use super::host::{self, Disposition, FAULT_SIGNALS};
use super::signal::{Action, HANDLER_IGNORE, SIGNALS};
use super::thread::{Process, Thread};
use super::{Files, Options, calls, paths};
use crate::addr::GuestAddr;
use crate::elf::{self, ElfError, Loaded, Program};
use crate::errno::Errno;
use crate::memory::{GuestMemory, Kind, Map, PAGE_SIZE, Placement, Protection, Source, page_up};
use crate::state::GuestState;

/// Guest addresses: 256 GiB, what RISC-V's Sv39 gives a process.
const GUEST_SIZE: u64 = 1 << 38;
/// The initial thread's stack, when the limit does not say less or more.
const SMALLEST_STACK: u64 = 8 << 20;
const LARGEST_STACK: u64 = 64 << 20;
/// Kept free below the stack.
const STACK_GUARD: u64 = 1 << 20;
/// Where a program that may lie anywhere goes: two thirds up, as in Linux.
const fn program_hint(limit: u64) -> GuestAddr {
    GuestAddr(limit / 3 * 2 / PAGE_SIZE * PAGE_SIZE)
}

/// Why a program could not be started.
#[derive(Debug)]
pub enum StartError {
    /// The file, or its interpreter, cannot be opened.
    Open(PathBuf, io::Error),
    /// The file, or its interpreter, is not a program that can be run.
    Elf(ElfError),
    /// The interpreter that the program names is not there.
    NoInterpreter {
        /// The program.
        program: PathBuf,
        /// The interpreter it names.
        interpreter: PathBuf,
    },
    /// The interpreter itself wants an interpreter.
    NestedInterpreter(PathBuf),
    /// Arguments and environment do not fit on the stack.
    TooLong,
    /// A debugger cannot be waited for at this address.
    Debugger(String, io::Error),
    /// The host gives no memory.
    Memory(Errno),
    /// The host gives no memory for translated code.
    Code(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Open(path, error) => write!(f, "{}: {error}", path.display()),
            StartError::Elf(error) => error.fmt(f),
            StartError::NoInterpreter {
                program,
                interpreter,
            } => write!(
                f,
                "{}: its interpreter {} does not exist; -L SYSROOT says where the guest's libraries are",
                program.display(),
                interpreter.display(),
            ),
            StartError::NestedInterpreter(path) => {
                write!(
                    f,
                    "{}: an interpreter that wants an interpreter",
                    path.display()
                )
            }
            StartError::TooLong => f.write_str("arguments and environment are too long"),
            StartError::Debugger(address, error) => {
                write!(f, "--gdb {address}: {error}")
            }
            StartError::Memory(error) => write!(f, "no memory for the guest: {error}"),
            StartError::Code(error) => write!(f, "no memory for translated code: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl StartError {
    /// The exit status that a shell gives for such a command.
    pub fn status(&self) -> u8 {
        match self {
            StartError::Open(_, error) if error.kind() == io::ErrorKind::NotFound => 127,
            _ => 126,
        }
    }
}

/// The Linux that a program is for. Of what is no program, any: it is refused
/// when it is loaded.
fn abi_of(program: &Path) -> &'static dyn Abi {
    let mut start = [0; 64];
    let read = File::open(program).and_then(|mut file| file.read(&mut start));
    let machine = read
        .ok()
        .and_then(|length| elf::machine_of(&start[..length]));
    machine.and_then(abi::for_machine).unwrap_or(&abi::Riscv64)
}

/// Loads the program that the options name, and gives its first thread.
pub(super) fn prepare(options: Options) -> Result<Thread, StartError> {
    enter_root(&options.files)?;
    let path = program_path(&options);
    let abi = abi_of(&path);
    let memory = GuestMemory::new(GUEST_SIZE).map_err(StartError::Memory)?;
    // First of all, so that nothing that may lie anywhere lies at its place.
    let stack = Stack::map(&memory).map_err(StartError::Memory)?;
    let images = load(&path, &options, abi, &memory)?;
    let (vdso, trampoline) = map_vdso(abi, &memory).map_err(StartError::Memory)?;
    let (stack_pointer, vector) = stack.fill(&memory, abi, &options, &images, vdso)?;
    let mut state = GuestState::new(memory.base(), memory.limit());
    abi.set_stack_pointer(&mut state, stack_pointer);
    state.pc = images.interpreter.as_ref().unwrap_or(&images.program).entry;

    let executable = std::path::absolute(&path).unwrap_or(path);
    let executable = std::fs::canonicalize(&executable).unwrap_or(executable);
    // Ours come before the engine's, which hands on what it does not know.
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        let _ = host::set_disposition(signal, Disposition::Catch(0));
    }
    let ignores_pipe = options.ignore_sigpipe;
    options.closed.iter().for_each(|&fd| host::close(fd));
    let gdb = options.gdb.clone();
    let mut process = Process::new(memory, abi, options, executable, vector, trampoline)
        .map_err(StartError::Code)?;
    inherit_dispositions(&process, ignores_pipe);
    name_process(&process);
    process.stub = gdb.is_some().then(|| Stub::new(abi));
    let process = Arc::new(process);
    if let (Some(address), Some(stub)) = (gdb, &process.stub) {
        let (process, stub) = (process.clone(), stub.clone());
        gdb::listen(&address, Debugged { process, stub })
            .map_err(|error| StartError::Debugger(address, error))?;
    }
    let mut thread = Thread::new(process, state, host::inherited_mask());
    thread.initial = true;
    Ok(thread)
}

/// Runs the first thread until the process ends.
pub(super) fn run(mut thread: Thread) -> ! {
    let status = thread.run();
    calls::tasks::end(&thread);
    host::exit_thread(status)
}

/// Signals that are ignored stay ignored in a new program; Rust's runtime
/// ignores `SIGPIPE`, which the guest is not to notice.
fn inherit_dispositions(process: &Process, ignores_pipe: bool) {
    for signal in 1..=SIGNALS {
        let ignored = match signal {
            libc::SIGPIPE => ignores_pipe,
            _ => !FAULT_SIGNALS.contains(signal) && host::is_ignored(signal),
        };
        let handler = if ignored { HANDLER_IGNORE } else { 0 };
        if ignored || signal == libc::SIGPIPE {
            let _ = process.set_action(
                signal,
                Action {
                    handler,
                    ..Action::default()
                },
            );
        }
    }
}

/// The process is called what its program is called.
fn name_process(process: &Process) {
    let name = process
        .executable
        .file_name()
        .unwrap_or_default()
        .as_bytes();
    let mut short = [0; 16];
    let length = name.len().min(15);
    short[..length].copy_from_slice(&name[..length]);
    let arguments = &mut [
        host::Argument::Value(libc::PR_SET_NAME as u64),
        host::Argument::In(&short),
    ];
    let _ = host::uninterrupted(libc::SYS_prctl, arguments);
}

/// The program and its interpreter, loaded.
struct Images {
    program: Loaded,
    interpreter: Option<Loaded>,
}

/// A guest with a root of its own works below it.
fn enter_root(files: &Files) -> Result<(), StartError> {
    let Files::Root(root) = files else {
        return Ok(());
    };
    let inside = std::env::current_dir().is_ok_and(|folder| folder.starts_with(root));
    match inside {
        true => Ok(()),
        false => {
            std::env::set_current_dir(root).map_err(|error| StartError::Open(root.clone(), error))
        }
    }
}

/// The program's path on the host.
fn program_path(options: &Options) -> PathBuf {
    let mut path = options.program.as_os_str().as_bytes().to_vec();
    if let Files::Root(_) = options.files
        && !path.starts_with(b"/")
        && let Some(base) = paths::opened(libc::AT_FDCWD)
    {
        path = [&options.files.to_guest(&base), &b"/"[..], &path].concat();
    }
    let found = options.files.find(&path, paths::LastLink::Followed);
    found.map_or_else(|| options.program.clone(), path_of)
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

fn load(
    path: &Path,
    options: &Options,
    abi: &dyn Abi,
    memory: &GuestMemory,
) -> Result<Images, StartError> {
    let hint = program_hint(memory.limit());
    let (file, program) = open(path, abi, memory)?;
    let loaded = program.load(&file, memory, hint).map_err(StartError::Elf)?;
    memory.set_heap(loaded.end);
    let Some(name) = &program.interpreter else {
        return Ok(Images {
            program: loaded,
            interpreter: None,
        });
    };
    let found = options
        .files
        .find(name.as_os_str().as_bytes(), paths::LastLink::Followed);
    let found = found.map_or_else(|| name.clone(), path_of);
    let (file, interpreter) = open(&found, abi, memory).map_err(|error| match error {
        StartError::Open(_, error) if error.kind() == io::ErrorKind::NotFound => {
            StartError::NoInterpreter {
                program: path.to_owned(),
                interpreter: name.clone(),
            }
        }
        other => other,
    })?;
    if interpreter.interpreter.is_some() {
        return Err(StartError::NestedInterpreter(found));
    }
    // Anywhere: it goes where `mmap` would put it.
    let loaded_interpreter = interpreter
        .load(&file, memory, GuestAddr(0))
        .map_err(StartError::Elf)?;
    Ok(Images {
        program: loaded,
        interpreter: Some(loaded_interpreter),
    })
}

fn open(path: &Path, abi: &dyn Abi, memory: &GuestMemory) -> Result<(File, Program), StartError> {
    let open_error = |error| StartError::Open(path.to_owned(), error);
    let file = File::open(path).map_err(open_error)?;
    if file.metadata().map_err(open_error)?.is_dir() {
        return Err(open_error(io::Error::from_raw_os_error(libc::EISDIR)));
    }
    let program =
        Program::parse(path, &file, abi.machine(), memory.limit()).map_err(StartError::Elf)?;
    Ok((file, program))
}

/// Maps Linux's own library; gives where it is, and where in it signal handlers
/// return to.
fn map_vdso(abi: &dyn Abi, memory: &GuestMemory) -> Result<(GuestAddr, GuestAddr), Errno> {
    let image = abi.vdso().image(abi.machine());
    let request = Map {
        placement: Placement::Anywhere,
        length: PAGE_SIZE,
        protection: Protection::READ_WRITE,
        shared: false,
        host_flags: 0,
        source: Source::Anonymous(Kind::Vdso),
    };
    let at = memory.map(&request)?.address;
    memory.write_bytes(at, &image.bytes)?;
    let at = memory
        .protect(at, PAGE_SIZE, Protection::READ_EXECUTE)?
        .address;
    Ok((at, at.add(image.first)))
}

/// The pages of the initial thread's stack.
struct Stack {
    start: u64,
    end: u64,
}

impl Stack {
    fn map(memory: &GuestMemory) -> Result<Stack, Errno> {
        let limit = host::stack_limit().clamp(SMALLEST_STACK, LARGEST_STACK);
        let length = page_up(limit).ok_or(Errno::ENOMEM)?;
        let end = memory.limit() - PAGE_SIZE;
        let start = end - length;
        let request = Map {
            placement: Placement::FixedIfFree(GuestAddr(start)),
            length,
            protection: Protection::READ_WRITE,
            shared: false,
            host_flags: libc::MAP_NORESERVE,
            source: Source::Anonymous(Kind::Stack),
        };
        let mapped = memory.map(&request)?;
        memory.set_mmap_top(GuestAddr(mapped.address.0 - STACK_GUARD));
        Ok(Stack { start, end })
    }

    /// Writes what a program finds on its stack: from the stack pointer
    /// upwards the number of arguments, their addresses, 0, the addresses of
    /// the environment's strings, 0, the auxiliary vector; then the strings.
    fn fill(
        &self,
        memory: &GuestMemory,
        abi: &dyn Abi,
        options: &Options,
        images: &Images,
        vdso: GuestAddr,
    ) -> Result<(GuestAddr, Vec<u8>), StartError> {
        let mut strings = Strings {
            bytes: Vec::new(),
            base: 0,
        };
        let path = strings.add(options.program.as_os_str().as_bytes());
        let platform = strings.add(abi.name().as_bytes());
        let random = strings.add_raw(&random_bytes());
        let all = |strings: &mut Strings, words: &[OsString]| -> Vec<u64> {
            words
                .iter()
                .map(|word| strings.add(word.as_bytes()))
                .collect()
        };
        let arguments = all(&mut strings, &options.arguments);
        let environment = all(&mut strings, &options.environment);
        // A quarter of the stack is the most that Linux lets them take.
        if strings.bytes.len() as u64 > (self.end - self.start) / 4 {
            return Err(StartError::TooLong);
        }
        // Linux ends the stack with a null pointer.
        strings.base = (self.end - 8 - strings.bytes.len() as u64) & !15;
        let at = |offset| strings.base + offset;
        let vector = auxiliary_vector(abi, images, vdso, [at(path), at(platform), at(random)]);

        let mut words: Vec<u64> = vec![arguments.len() as u64];
        for list in [&arguments, &environment] {
            words.extend(list.iter().map(|offset| strings.base + offset));
            words.push(0);
        }
        let mut block: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        block.extend_from_slice(&vector);
        let stack_pointer = GuestAddr((strings.base - block.len() as u64) & !15);
        let written = memory
            .write_bytes(stack_pointer, &block)
            .and_then(|()| memory.write_bytes(GuestAddr(strings.base), &strings.bytes));
        written.map_err(|_| StartError::TooLong)?;
        Ok((stack_pointer, vector))
    }
}

/// The strings at the top of the stack, by offset until they have a place.
struct Strings {
    bytes: Vec<u8>,
    base: u64,
}

impl Strings {
    fn add(&mut self, string: &[u8]) -> u64 {
        let offset = self.add_raw(string);
        self.bytes.push(0);
        offset
    }

    fn add_raw(&mut self, bytes: &[u8]) -> u64 {
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        offset
    }
}

/// The sixteen bytes that `AT_RANDOM` points to.
fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    let source = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    if source.is_err() {
        // Without it the guest's stack protector is merely predictable.
        bytes = *b"sapwood emulator";
    }
    bytes
}

/// The vector that tells a program what it runs on.
fn auxiliary_vector(
    abi: &dyn Abi,
    images: &Images,
    vdso: GuestAddr,
    [path, platform, random]: [u64; 3],
) -> Vec<u8> {
    let identity = host::identity();
    let entries = [
        (libc::AT_SYSINFO_EHDR, vdso.0),
        (libc::AT_HWCAP, abi.capabilities()),
        (libc::AT_PAGESZ, PAGE_SIZE),
        (libc::AT_CLKTCK, 100),
        (libc::AT_PHDR, images.program.headers.0),
        (libc::AT_PHENT, Program::HEADER_ENTRY_SIZE),
        (libc::AT_PHNUM, images.program.headers_count.into()),
        (
            libc::AT_BASE,
            images.interpreter.map_or(0, |loaded| loaded.bias),
        ),
        (libc::AT_FLAGS, 0),
        (libc::AT_ENTRY, images.program.entry.0),
        (libc::AT_UID, identity[0].into()),
        (libc::AT_EUID, identity[1].into()),
        (libc::AT_GID, identity[2].into()),
        (libc::AT_EGID, identity[3].into()),
        (libc::AT_SECURE, 0),
        (libc::AT_RANDOM, random),
        (libc::AT_EXECFN, path),
        (libc::AT_PLATFORM, platform),
        (libc::AT_NULL, 0),
    ];
    entries
        .iter()
        .flat_map(|(key, value)| [*key, *value])
        .flat_map(u64::to_le_bytes)
        .collect()
}
