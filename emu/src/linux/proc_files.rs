//! The files below `/proc/self` that would otherwise show the emulator: what
//! is mapped, the command line, the auxiliary vector.
//!
//! Each is written out whole when it is opened, into a file in memory.

use std::fmt::Write as _;
use std::io::{Seek, Write as _};
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStrExt;

use super::paths;
use super::thread::Process;
use crate::errno::Errno;
use crate::memory::Kind;

/// Opens a path if it is one of ours.
pub fn open(process: &Process, path: &[u8]) -> Option<Result<u64, Errno>> {
    let contents = match paths::own_proc_file(path)? {
        b"maps" => maps(process).into_bytes(),
        b"cmdline" => command_line(process),
        b"auxv" => process.auxiliary_vector.clone(),
        _ => return None,
    };
    Some(in_memory(&contents).map(|fd| fd as u64))
}

fn in_memory(contents: &[u8]) -> Result<i32, Errno> {
    let mut file = super::host::memory_file(c"proc")?;
    file.write_all(contents)?;
    file.rewind()?;
    Ok(file.into_raw_fd())
}

fn command_line(process: &Process) -> Vec<u8> {
    let terminated = |word: &std::ffi::OsString| [word.as_bytes(), b"\0"].concat();
    process
        .options
        .arguments
        .iter()
        .flat_map(terminated)
        .collect()
}

/// The lines of `/proc/self/maps`, in guest addresses.
fn maps(process: &Process) -> String {
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
                let name = paths::to_guest(process, file.path.as_os_str().as_bytes());
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
    }
    text
}
