//! Where the guest's paths are on the host ([`Files`]).
//!
//! With a sysroot, an absolute path that exists below it is that file, and any
//! other is the host's: the guest finds its own libraries and configuration,
//! and the user's files. With a root, every path is below it, `..` stops there,
//! and links stay inside, as after `chroot`; only `/proc`, `/dev` and `/sys` are
//! the host's. Neither is a wall: it keeps an honest guest among its own files,
//! and nothing from a program that means to get out.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::thread::Process;

/// Where the guest's files are.
#[derive(Clone, Debug, Default)]
pub enum Files {
    /// They are the host's.
    #[default]
    Host,
    /// Below this folder where they exist there, and the host's otherwise.
    Sysroot(PathBuf),
    /// Below this folder, and nowhere else.
    Root(PathBuf),
}

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

/// What the guest sees of the host even with a root of its own.
const PASSED_THROUGH: [&[u8]; 3] = [b"proc", b"dev", b"sys"];

/// The host's path for a guest's, which is relative to what `directory` is
/// open for (or the working directory, for `AT_FDCWD`) unless it is absolute.
pub fn to_host(process: &Process, directory: RawFd, path: Vec<u8>, last: LastLink) -> Vec<u8> {
    if is_own_executable(&path) && last == LastLink::Followed {
        return process.executable.as_os_str().as_bytes().to_vec();
    }
    let files = &process.options.files;
    if path.starts_with(b"/") {
        return files.find(&path, last).unwrap_or(path);
    }
    // What is below a sysroot is not looked for from inside of it, where the
    // host's own way of following links is near enough.
    if !matches!(files, Files::Root(_)) || path.is_empty() {
        return path;
    }
    match opened(directory) {
        Some(base) => {
            let whole = [&files.to_guest(&base), &b"/"[..], &path].concat();
            files.find(&whole, last).unwrap_or(path)
        }
        // A bad descriptor is the call's to tell.
        None => path,
    }
}

/// The host's path of what a descriptor is open for, or of the working
/// directory.
pub fn opened(directory: RawFd) -> Option<Vec<u8>> {
    let link = match directory {
        libc::AT_FDCWD => "/proc/thread-self/cwd".into(),
        fd => format!("/proc/thread-self/fd/{fd}"),
    };
    let path = std::fs::read_link(link).ok()?;
    // A pipe or a socket has a name that is no path.
    path.is_absolute().then(|| path.into_os_string().into_vec())
}

impl Files {
    /// The host's path of an absolute path of the guest's; `None` when that is
    /// the same.
    pub fn find(&self, path: &[u8], last: LastLink) -> Option<Vec<u8>> {
        let below = match self {
            Files::Host => return None,
            Files::Sysroot(sysroot) => follow(sysroot, path, last, false)?,
            Files::Root(root) => follow(root, path, last, true)?,
        };
        let is_missing = !below.missing.is_empty();
        if is_missing && matches!(self, Files::Sysroot(_)) {
            return None;
        }
        let mut found = below.found;
        below.missing.iter().for_each(|name| found.push(name));
        let mut found = found.into_os_string().into_vec();
        if path.ends_with(b"/") && !found.ends_with(b"/") {
            // It must be a directory, then.
            found.push(b'/');
        }
        Some(found)
    }

    /// The name by which the emulator, run again in the same way, finds the
    /// program at this path of the host's.
    pub fn to_program(&self, path: Vec<u8>) -> Vec<u8> {
        match self {
            Files::Root(_) => self.to_guest(&path),
            // A file that is not below a sysroot may have the name of one that is.
            Files::Host | Files::Sysroot(_) => path,
        }
    }

    /// The guest's path for a host's.
    pub fn to_guest(&self, path: &[u8]) -> Vec<u8> {
        let (Files::Sysroot(root) | Files::Root(root)) = self else {
            return path.to_vec();
        };
        match path.strip_prefix(root.as_os_str().as_bytes()) {
            Some(b"") => b"/".to_vec(),
            Some(below) if below.starts_with(b"/") => below.to_vec(),
            _ => path.to_vec(),
        }
    }
}

/// How far a path could be followed.
struct Followed {
    found: PathBuf,
    /// What is not there, from the first name on that is not.
    missing: Vec<OsString>,
}

/// Follows an absolute path of the guest's below `root`. Where there are more links
/// in it than Linux follows: to the one that is too many, or `None` below a sysroot.
///
/// Links are followed here, and not left to the host, because an absolute one
/// (`/etc/alternatives/awk`) means a file below the root.
fn follow(root: &Path, path: &[u8], last: LastLink, passes_through: bool) -> Option<Followed> {
    let mut rest: VecDeque<OsString> = names(path.strip_prefix(b"/")?).collect();
    let mut links = 0;
    let mut found = root.to_owned();
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            if found != root {
                found.pop();
            }
            continue;
        }
        if passes_through && found == root && PASSED_THROUGH.contains(&name.as_bytes()) {
            // Its links lead to open files and the like: the kernel's matter.
            let mut inside = vec![name];
            while !inside.is_empty()
                && let Some(next) = rest.pop_front()
            {
                if next == ".." {
                    inside.pop();
                } else {
                    inside.push(next);
                }
            }
            if inside.is_empty() {
                continue;
            }
            let found = Path::new("/").join(inside.iter().collect::<PathBuf>());
            return Some(Followed {
                found,
                missing: Vec::new(),
            });
        }
        found.push(&name);
        let Ok(metadata) = found.symlink_metadata() else {
            found.pop();
            rest.push_front(name);
            return Some(Followed {
                found,
                missing: rest.into(),
            });
        };
        let is_kept = rest.is_empty() && last == LastLink::Kept;
        if !metadata.is_symlink() || is_kept {
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            // The host finds the same of links that are relative.
            let missing = rest.into();
            return passes_through.then_some(Followed { found, missing });
        }
        let target = found.read_link().ok()?.into_os_string().into_vec();
        if target.starts_with(b"/") {
            found = root.to_owned();
        } else {
            found.pop();
        }
        names(&target).rev().for_each(|name| rest.push_front(name));
    }
    Some(Followed {
        found,
        missing: Vec::new(),
    })
}

/// The parts of a path that say something.
fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = OsString> {
    let parts = path.split(|&byte| byte == b'/');
    parts
        .filter(|part| !part.is_empty() && *part != b".")
        .map(|part| OsStr::from_bytes(part).to_owned())
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
    if !own {
        return None;
    }
    // What a thread's folder shows of the process is the same.
    let of_thread = name.strip_prefix(b"task/").and_then(|task| {
        let end = task.iter().position(|&byte| byte == b'/')?;
        let name = &task[end + 1..];
        (!name.is_empty()).then_some(name)
    });
    Some(of_thread.unwrap_or(name))
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
        symlink("circle/inside", root.join("circle")).unwrap();
        symlink("/proc/self", root.join("me")).unwrap();
        let below = |files: &Files, path: &str, last| {
            let found = files.find(path.as_bytes(), last)?;
            let found = String::from_utf8(found).unwrap();
            let inside = found.strip_prefix(root.to_str().unwrap());
            Some(inside.map_or(format!("host:{found}"), str::to_owned))
        };
        let sysroot = Files::Sysroot(root.clone());
        let followed = |path| below(&sysroot, path, LastLink::Followed);
        assert_eq!(followed("/bin/awk").as_deref(), Some("/usr/bin/mawk"));
        assert_eq!(
            below(&sysroot, "/bin/awk", LastLink::Kept).as_deref(),
            Some("/usr/bin/awk")
        );
        assert_eq!(followed("/../../bin/./").as_deref(), Some("/usr/bin/"));
        assert_eq!(followed("/").as_deref(), Some("/"));
        assert_eq!(followed("/loop"), None);
        assert_eq!(followed("/bin/missing"), None);
        assert_eq!(followed("/proc/self/stat"), None);
        assert_eq!(followed("bin/awk"), None);

        let whole = Files::Root(root.clone());
        let inside = |path| below(&whole, path, LastLink::Followed).unwrap();
        assert_eq!(inside("/bin/awk"), "/usr/bin/mawk");
        assert_eq!(inside("/bin/missing/name"), "/usr/bin/missing/name");
        let path = root.join(&inside("/circle/name")[1..]);
        let error = fs::metadata(path).unwrap_err().raw_os_error();
        assert_eq!(error, Some(libc::ELOOP));
        assert_eq!(inside("/proc/self/stat"), "host:/proc/self/stat");
        assert_eq!(inside("/bin/../../proc"), "host:/proc");
        assert_eq!(inside("/proc/../bin"), "/usr/bin");
        assert_eq!(inside("/me/stat"), "host:/proc/self/stat");
        assert_eq!(
            whole.to_guest(root.join("etc").as_os_str().as_bytes()),
            b"/etc"
        );
        assert_eq!(whole.to_guest(b"/dev/null"), b"/dev/null");
        fs::remove_dir_all(&root).unwrap();
    }
}
