//! The files below `/proc` that would otherwise show the emulator, or its
//! machine's processor: what is mapped and how large it is, the command line,
//! the environment, the auxiliary vector, the threads.
//!
//! Each is written out whole when it is opened, into a file in memory. What
//! would lead to the emulator's own memory is refused.

use std::fmt::Write as _;
use std::fs;
use std::io::{Seek, Write as _};
use std::os::fd::{IntoRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use super::paths;
use super::thread::Process;
use crate::errno::Errno;
use crate::memory::{Attributes, Kind, PAGE_SIZE};

/// Names below a process's folder that are ours to write.
const OWN: [&[u8]; 13] = [
    b"maps",
    b"smaps",
    b"smaps_rollup",
    b"numa_maps",
    b"cmdline",
    b"environ",
    b"auxv",
    b"mem",
    b"stat",
    b"statm",
    b"status",
    b"pagemap",
    b"syscall",
];

/// Opens a path, relative to what `directory` is open for, if it is one of
/// ours.
pub fn open(process: &Process, directory: RawFd, path: &[u8]) -> Option<Result<u64, Errno>> {
    let whole;
    let path = match path {
        [b'/', ..] => path,
        // Seldom: who has the folder of a process open asks for names in it.
        _ if OWN.contains(&path) && directory != libc::AT_FDCWD => {
            whole = [&paths::opened(directory)?, &b"/"[..], path].concat();
            &whole
        }
        _ => return None,
    };
    if path == b"/proc/cpuinfo" {
        return Some(in_memory(process.abi.processors(processors()).as_bytes()));
    }
    let name = paths::own_proc_file(path)?;
    if !OWN.contains(&name) {
        return None;
    }
    Some(contents(process, path, name).and_then(|contents| in_memory(&contents)))
}

fn contents(process: &Process, path: &[u8], name: &[u8]) -> Result<Vec<u8>, Errno> {
    let options = &process.options;
    let host = || fs::read_to_string(std::ffi::OsStr::from_bytes(path));
    Ok(match name {
        b"maps" => maps(process, |_, _| {}).into_bytes(),
        b"smaps" => maps(process, sizes_of_mapping).into_bytes(),
        b"cmdline" => terminated(&options.arguments),
        b"environ" => terminated(&options.environment),
        b"auxv" => process.auxiliary_vector.clone(),
        b"status" => status(process, &host()?).into_bytes(),
        b"stat" => stat(process, &host()?)
            .ok_or(Errno(libc::EIO))?
            .into_bytes(),
        b"statm" => statm(process, &host()?).into_bytes(),
        // Offsets in these are addresses of the host, at which the emulator is.
        _ => return Err(Errno::EACCES),
    })
}

fn in_memory(contents: &[u8]) -> Result<u64, Errno> {
    let mut file = super::host::memory_file(c"proc")?;
    file.write_all(contents)?;
    file.rewind()?;
    Ok(file.into_raw_fd() as u64)
}

fn terminated(words: &[std::ffi::OsString]) -> Vec<u8> {
    let words = words.iter();
    words
        .flat_map(|word| [word.as_bytes(), b"\0"].concat())
        .collect()
}

/// Processors that are online.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes that the guest has mapped, of the kinds that `wanted` says.
fn mapped(process: &Process, wanted: impl Fn(&Attributes) -> bool) -> u64 {
    let ranges = process.memory.snapshot();
    let wanted = ranges.iter().filter(|(_, attributes)| wanted(attributes));
    wanted.map(|(range, _)| range.end - range.start).sum()
}

/// `/proc/self/status` with the sizes and threads of the guest.
fn status(process: &Process, host: &str) -> String {
    let kind = |wanted: fn(&Kind) -> bool| mapped(process, |attributes| wanted(&attributes.kind));
    let total = mapped(process, |_| true);
    let mut text = String::new();
    for line in host.lines() {
        let name = line.split(':').next().unwrap_or_default();
        let bytes = match name {
            "VmPeak" | "VmSize" => total,
            "VmData" => mapped(process, |attributes| {
                attributes.protection.write() && !attributes.shared
            }),
            "VmStk" => kind(|kind| matches!(kind, Kind::Stack)),
            "VmExe" | "VmLib" => mapped(process, |attributes| attributes.protection.execute()),
            "VmPTE" | "VmSwap" | "VmLck" | "VmPin" => 0,
            "Threads" => {
                let _ = writeln!(text, "Threads:\t{}", process.threads().len());
                continue;
            }
            _ => {
                let _ = writeln!(text, "{line}");
                continue;
            }
        };
        let _ = writeln!(text, "{name}:\t{:>8} kB", bytes / 1024);
    }
    text
}

/// `/proc/self/stat` likewise. Fields are counted from 1, as in proc(5).
fn stat(process: &Process, host: &str) -> Option<String> {
    let name_end = host.rfind(')')?;
    let (start, rest) = host.split_at(name_end + 1);
    let mut fields: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
    let mut set = |number: usize, value: u64| {
        // The third is the first behind the name.
        if let Some(field) = fields.get_mut(number - 3) {
            *field = value.to_string();
        }
    };
    set(20, process.threads().len() as u64);
    set(23, mapped(process, |_| true));
    let snapshot = process.memory.snapshot();
    let mut code = snapshot
        .iter()
        .filter(|(_, attributes)| attributes.protection.execute());
    let code = code.next().map(|(range, _)| range);
    set(26, code.as_ref().map_or(0, |range| range.start));
    set(27, code.as_ref().map_or(0, |range| range.end));
    let mut stack = snapshot
        .iter()
        .filter(|(_, attributes)| attributes.kind == Kind::Stack);
    set(
        28,
        stack.next().map_or(0, |(range, _)| range.end - PAGE_SIZE),
    );
    // Where the emulator's own registers, heap and arguments are.
    (29..=30).chain(45..=51).for_each(|number| set(number, 0));
    Some(format!("{start} {}\n", fields.join(" ")))
}

/// `/proc/self/statm` likewise, in pages.
fn statm(process: &Process, host: &str) -> String {
    let mut fields: Vec<String> = host.split_whitespace().map(str::to_owned).collect();
    if let Some(size) = fields.first_mut() {
        *size = (mapped(process, |_| true) / PAGE_SIZE).to_string();
    }
    fields.join(" ") + "\n"
}

/// The lines of `/proc/self/maps`, in guest addresses; `details` adds what
/// follows each.
fn maps(process: &Process, details: impl Fn(&mut String, u64)) -> String {
    let mut text = String::new();
    for (range, attributes) in process.memory.snapshot().iter() {
        let sharing = if attributes.shared { 's' } else { 'p' };
        let (offset, device, inode, name) = match &attributes.kind {
            Kind::Anonymous => (0, 0, 0, String::new()),
            Kind::Segment(id) => (0, 0, *id as u64, format!("/SYSV00000000 ({id})")),
            Kind::Stack => (0, 0, 0, "[stack]".into()),
            Kind::Heap => (0, 0, 0, "[heap]".into()),
            Kind::Vdso => (0, 0, 0, "[vdso]".into()),
            Kind::File(file, offset) => {
                let name = process
                    .options
                    .files
                    .to_guest(file.path.as_os_str().as_bytes());
                (
                    *offset,
                    file.device,
                    file.inode,
                    String::from_utf8_lossy(&name).into_owned(),
                )
            }
        };
        let line = format!(
            "{:08x}-{:08x} {}{sharing} {offset:08x} {:02x}:{:02x} {inode} ",
            range.start,
            range.end,
            attributes.protection,
            libc::major(device),
            libc::minor(device),
        );
        // Names begin in column 73, as in the kernel's.
        let _ = if name.is_empty() {
            writeln!(text, "{line}")
        } else {
            writeln!(text, "{line:<73}{name}")
        };
        details(&mut text, range.end - range.start);
    }
    text
}

/// What `smaps` says of each mapping, as far as it is known.
fn sizes_of_mapping(text: &mut String, length: u64) {
    let page = PAGE_SIZE / 1024;
    let _ = writeln!(text, "Size:           {:>8} kB", length / 1024);
    let _ = writeln!(text, "KernelPageSize: {page:>8} kB");
    let _ = writeln!(text, "MMUPageSize:    {page:>8} kB");
}

/// Takes entries out of what `getdents64` gave for `/proc/self/task` that are
/// threads of the emulator's; gives how many bytes are left.
pub fn keep_guest_threads(process: &Process, entries: &mut [u8]) -> usize {
    /// Offsets in `struct linux_dirent64`.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    let threads = process.threads();
    let (mut from, mut to) = (0, 0);
    while from + NAME < entries.len() {
        let length = u16::from_le_bytes([entries[from + LENGTH], entries[from + LENGTH + 1]]);
        let end = (from + usize::from(length)).min(entries.len());
        if end <= from {
            break;
        }
        let name = entries[from + NAME..end].split(|&byte| byte == 0).next();
        let number = name.and_then(|name| std::str::from_utf8(name).ok()?.parse::<i32>().ok());
        if number.is_none_or(|number| threads.contains(&number)) {
            entries.copy_within(from..end, to);
            to += end - from;
        }
        from = end;
    }
    to
}

/// Whether a path of the host's is the folder of this process's threads.
pub fn is_own_tasks(path: &[u8]) -> bool {
    path == format!("/proc/{}/task", std::process::id()).as_bytes()
}
