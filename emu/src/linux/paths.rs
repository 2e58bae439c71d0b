//! Where the guest's paths are on the host.
//!
//! With `-L SYSROOT`, an absolute path that exists below the sysroot is that
//! file, and any other is the host's: the guest finds its own libraries and
//! configuration, and the user's files.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::thread::Process;

/// The host's path for a guest's.
pub fn to_host(process: &Process, path: Vec<u8>) -> Vec<u8> {
    if is_own_executable(&path) {
        return process.executable.as_os_str().as_bytes().to_vec();
    }
    match below_sysroot(process.options.sysroot.as_deref(), &path) {
        Some(found) => found,
        None => path,
    }
}

/// The file below the sysroot that an absolute path names, if it is there.
pub fn below_sysroot(sysroot: Option<&Path>, path: &[u8]) -> Option<Vec<u8>> {
    let relative = path.strip_prefix(b"/")?;
    let candidate = sysroot?.join(OsStr::from_bytes(relative));
    // The link itself counts, for calls that do not follow it.
    candidate.symlink_metadata().ok()?;
    Some(candidate.into_os_string().into_vec())
}

/// The guest's path for a host's.
pub fn to_guest(process: &Process, path: &[u8]) -> Vec<u8> {
    let sysroot = process
        .options
        .sysroot
        .as_ref()
        .map(|root| root.as_os_str().as_bytes());
    match sysroot.and_then(|root| path.strip_prefix(root)) {
        Some(below) if below.starts_with(b"/") => below.to_vec(),
        _ => path.to_vec(),
    }
}

/// Whether a path names the running program by way of `/proc`.
pub fn is_own_executable(path: &[u8]) -> bool {
    own_proc_file(path) == Some(b"exe")
}

/// The name below `/proc/self`, for a path that leads there.
pub fn own_proc_file(path: &[u8]) -> Option<&[u8]> {
    let rest = path.strip_prefix(b"/proc/")?;
    let split = rest.iter().position(|&byte| byte == b'/')?;
    let (process, name) = (&rest[..split], &rest[split + 1..]);
    let own = process == b"self"
        || process == b"thread-self"
        || process == std::process::id().to_string().as_bytes();
    own.then_some(name)
}
