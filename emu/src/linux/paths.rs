//! Where the guest's paths are on the host.
//!
//! With `-L SYSROOT`, an absolute path that exists below the sysroot is that
//! file, and any other is the host's: the guest finds its own libraries and
//! configuration, and the user's files.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::thread::Process;

/// Whether a call acts on what a symbolic link at the end of a path points to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastLink {
    /// It does.
    Followed,
    /// It acts on the link itself.
    Kept,
}

/// Linux gives up after this many links in one path.
const MOST_LINKS: usize = 40;

/// The host's path for a guest's.
pub fn to_host(process: &Process, path: Vec<u8>, last: LastLink) -> Vec<u8> {
    if is_own_executable(&path) && last == LastLink::Followed {
        return process.executable.as_os_str().as_bytes().to_vec();
    }
    match below_sysroot(process.options.sysroot.as_deref(), &path, last) {
        Some(found) => found,
        None => path,
    }
}

/// The file below the sysroot that an absolute path names, if it is there.
///
/// Links are followed here, and not left to the host, because an absolute one
/// (`/etc/alternatives/awk`) means a file below the sysroot.
pub fn below_sysroot(sysroot: Option<&Path>, path: &[u8], last: LastLink) -> Option<Vec<u8>> {
    let sysroot = sysroot?;
    let mut rest: VecDeque<OsString> = names(path.strip_prefix(b"/")?).collect();
    let mut links = 0;
    let mut found = sysroot.to_owned();
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            if found != sysroot {
                found.pop();
            }
            continue;
        }
        found.push(&name);
        let metadata = found.symlink_metadata().ok()?;
        let is_kept = rest.is_empty() && last == LastLink::Kept;
        if !metadata.is_symlink() || is_kept {
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return None;
        }
        let target = found.read_link().ok()?.into_os_string().into_vec();
        if target.starts_with(b"/") {
            found = sysroot.to_owned();
        } else {
            found.pop();
        }
        names(&target).rev().for_each(|name| rest.push_front(name));
    }
    let mut found = found.into_os_string().into_vec();
    if path.ends_with(b"/") {
        // It must be a directory, then.
        found.push(b'/');
    }
    Some(found)
}

/// The parts of a path that say something.
fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = OsString> {
    let parts = path.split(|&byte| byte == b'/');
    parts
        .filter(|part| !part.is_empty() && *part != b".")
        .map(|part| OsStr::from_bytes(part).to_owned())
}

/// The guest's path for a host's.
pub fn to_guest(process: &Process, path: &[u8]) -> Vec<u8> {
    let sysroot = process.options.sysroot.as_ref();
    let sysroot = sysroot.map(|root| root.as_os_str().as_bytes());
    match sysroot.and_then(|root| path.strip_prefix(root)) {
        Some(b"") => b"/".to_vec(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_below_the_sysroot() {
        let root = std::env::temp_dir().join(format!("sapwood-paths-{}", std::process::id()));
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::create_dir_all(root.join("etc/alternatives")).unwrap();
        fs::write(root.join("usr/bin/mawk"), "").unwrap();
        symlink("/etc/alternatives/awk", root.join("usr/bin/awk")).unwrap();
        symlink("../../usr/bin/mawk", root.join("etc/alternatives/awk")).unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        symlink("/loop", root.join("loop")).unwrap();
        let find = |path: &str, last| {
            let found = below_sysroot(Some(&root), path.as_bytes(), last)?;
            let found = String::from_utf8(found).unwrap();
            Some(
                found
                    .strip_prefix(root.to_str().unwrap())
                    .unwrap()
                    .to_owned(),
            )
        };
        let followed = |path| find(path, LastLink::Followed);
        assert_eq!(followed("/bin/awk").as_deref(), Some("/usr/bin/mawk"));
        assert_eq!(
            find("/bin/awk", LastLink::Kept).as_deref(),
            Some("/usr/bin/awk")
        );
        assert_eq!(followed("/../../bin/./").as_deref(), Some("/usr/bin/"));
        assert_eq!(followed("/").as_deref(), Some("/"));
        assert_eq!(followed("/loop"), None);
        assert_eq!(followed("/bin/missing"), None);
        assert_eq!(followed("bin/awk"), None);
        fs::remove_dir_all(&root).unwrap();
    }
}
