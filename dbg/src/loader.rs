//! Files as modules: reads what [`sapwood_dwarf`], which does no I/O, wants to
//! look at.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use memmap2::Mmap;
use sapwood_dwarf::{Bytes, DebugFiles, Input, Module, ModuleKind, Wanted};

use crate::error::{Error, Result};

/// Where distributions put debug files.
const DEBUG_FOLDER: &str = "/usr/lib/debug";

/// A file's contents, mapped.
pub(crate) fn map(path: &Path) -> std::io::Result<Bytes> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::from(Vec::new()));
    }
    // SAFETY: the mapping is private and read-only. What it cannot exclude is
    // that somebody truncates the file meanwhile; compilers and package tools
    // replace executables by new files instead, and the kernel refuses to open
    // one that runs for writing.
    let mapping = unsafe { Mmap::map(&file)? };
    Ok(Bytes::new(mapping))
}

/// What tells one version of a file from another: where it is, how long, and
/// when it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    file: (u64, u64),
    length: u64,
    written: SystemTime,
}

/// The stamp of a file that there is.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let facts = std::fs::metadata(path).ok()?;
    Some(Stamp {
        file: (facts.dev(), facts.ino()),
        length: facts.len(),
        written: facts.modified().ok()?,
    })
}

impl Stamp {
    /// Whether another file was written after this one.
    pub fn is_older_than(&self, other: &Path) -> bool {
        stamp(other).is_some_and(|other| other.written > self.written)
    }
}

/// Opens a file as a module.
pub fn open(path: &Path, kind: ModuleKind, bias: u64) -> Result<Module> {
    let bytes = map(path).map_err(|e| Error::new(format!("{}: {e}", path.display())))?;
    Ok(Module::open(
        Input::new(path, kind, bytes, bias).with_files(Arc::new(Finder)),
    )?)
}

/// Opens bytes that are in no file as a module.
pub fn open_bytes(name: &Path, kind: ModuleKind, bytes: Vec<u8>, bias: u64) -> Result<Module> {
    Ok(Module::open(
        Input::new(name, kind, Bytes::from(bytes), bias).with_files(Arc::new(Finder)),
    )?)
}

/// Finds separate, shared and split debug files where Linux keeps them.
struct Finder;

impl DebugFiles for Finder {
    fn find(&self, wanted: &Wanted<'_>) -> Option<Bytes> {
        let mut candidates = candidates(wanted).into_iter();
        candidates.find_map(|path| map(&path).ok().filter(|bytes| wanted.is_met_by(bytes)))
    }

    fn kept_index(&self, build_id: &[u8], kind: u32) -> Option<Bytes> {
        crate::kept::find(build_id, kind)
    }

    fn keep_index(&self, build_id: &[u8], kind: u32, index: &[u8]) {
        crate::kept::keep(build_id, kind, index);
    }
}

fn candidates(wanted: &Wanted<'_>) -> Vec<PathBuf> {
    match *wanted {
        Wanted::Separate {
            module,
            build_id,
            link,
        } => {
            let mut paths: Vec<PathBuf> = build_id.and_then(by_build_id).into_iter().collect();
            if let (Some((name, _)), Some(folder)) = (link, module.parent()) {
                paths.push(folder.join(name));
                paths.push(folder.join(".debug").join(name));
                let inside = folder.strip_prefix("/").unwrap_or(folder);
                paths.push(Path::new(DEBUG_FOLDER).join(inside).join(name));
            }
            paths.retain(|path| path != module);
            paths
        }
        Wanted::Supplementary { path, build_id } => {
            let mut paths = vec![path.to_owned()];
            if let Some(name) = path.file_name() {
                paths.push(Path::new(DEBUG_FOLDER).join(".dwz").join(name));
            }
            paths.extend(by_build_id(build_id));
            paths
        }
        Wanted::Split {
            module,
            directory,
            name,
            ..
        } => {
            let mut paths = vec![directory.join(name), name.to_owned()];
            if let (Some(folder), Some(name)) = (module.parent(), name.file_name()) {
                paths.push(folder.join(name));
            }
            paths
        }
        Wanted::Package { module } => {
            let mut name = module.as_os_str().to_owned();
            name.push(".dwp");
            vec![PathBuf::from(name)]
        }
    }
}

/// `/usr/lib/debug/.build-id/ab/cdef….debug`.
fn by_build_id(id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = id.split_first()?;
    let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Path::new(DEBUG_FOLDER).join(format!(".build-id/{first:02x}/{rest}.debug")))
}
