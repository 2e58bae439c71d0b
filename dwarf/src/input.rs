//! What a [`Module`](crate::Module) is made from: bytes that somebody else read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::elf::Elf;

/// The contents of a file: a mapping, a vector, whatever gives bytes.
///
/// The bytes must not change while they are held. A caller that maps a file
/// another process may rewrite has to guard against that itself.
#[derive(Clone)]
pub struct Bytes(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl Bytes {
    /// Takes whatever gives bytes: a `Vec<u8>`, a mapped file.
    pub fn new(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Bytes {
        Bytes(Arc::new(owner))
    }

    /// The bytes.
    pub fn get(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes::new(bytes)
    }
}

impl From<Arc<[u8]>> for Bytes {
    fn from(bytes: Arc<[u8]>) -> Bytes {
        Bytes::new(bytes)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.get().len())
    }
}

/// What a module is to the program that it is part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ModuleKind {
    /// The program itself.
    Executable,
    /// A shared library, the dynamic linker among them.
    Library,
    /// The kernel's own library, which has no file.
    Vdso,
    /// An object published into the running program, with the generation that
    /// brought it.
    Published(u32),
}

/// Finds the further files that debug information may be spread over.
///
/// This crate reads no file. It says what it wants, by name and identity, and
/// checks the identity of what it is given.
pub trait DebugFiles: Send + Sync {
    /// The bytes of the file that `wanted` describes, when there is one.
    fn find(&self, wanted: &Wanted<'_>) -> Option<Bytes>;

    /// The index of that kind that was kept for the file of that build id. What
    /// is in it is checked: a damaged one does no harm.
    fn kept_index(&self, build_id: &[u8], kind: u32) -> Option<Bytes> {
        let _ = (build_id, kind);
        None
    }

    /// Keeps an index, to be given back by [`DebugFiles::kept_index`].
    fn keep_index(&self, build_id: &[u8], kind: u32, index: &[u8]) {
        let _ = (build_id, kind, index);
    }
}

/// A file that holds part of a module's debug information.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted<'a> {
    /// The debug information that was split off this module by `objcopy`.
    Separate {
        /// The module's path.
        module: &'a Path,
        /// Its build id, where it has one.
        build_id: Option<&'a [u8]>,
        /// The file name and checksum of its `.gnu_debuglink`.
        link: Option<(&'a Path, u32)>,
    },
    /// What several modules share, as `dwz` moved it out.
    Supplementary {
        /// The path that `.gnu_debugaltlink` or `.debug_sup` gives, relative
        /// to the file that has the debug information.
        path: &'a Path,
        /// The build id that it must have.
        build_id: &'a [u8],
    },
    /// One compilation's `.dwo`.
    Split {
        /// The path of the module that it belongs to.
        module: &'a Path,
        /// The directory it was compiled in.
        directory: &'a Path,
        /// The file's name, relative to that directory.
        name: &'a Path,
        /// The number that skeleton and `.dwo` share.
        id: u64,
    },
    /// The `.dwp` that holds this module's `.dwo` files.
    Package {
        /// The module's path.
        module: &'a Path,
    },
}

impl Wanted<'_> {
    /// Whether a file that was found by its name is the one that is meant: its
    /// build id has to be the same, or its checksum where there is none. For
    /// split files that is only known once they are read.
    pub fn is_met_by(&self, bytes: &Bytes) -> bool {
        let has_id = |wanted: &[u8]| {
            let elf = Elf::parse(Path::new("a debug file"), bytes.get());
            elf.is_ok_and(|elf| elf.build_id.is_none_or(|id| id == wanted))
        };
        match *self {
            Wanted::Separate {
                build_id: Some(id), ..
            } => has_id(id),
            Wanted::Separate {
                link: Some((_, sum)),
                ..
            } => crc32fast::hash(bytes.get()) == sum,
            Wanted::Supplementary { build_id, .. } => has_id(build_id),
            _ => true,
        }
    }
}

/// A module to open.
#[derive(Clone)]
pub struct Input {
    /// What to call it; its path, where it has one.
    pub name: PathBuf,
    /// What it is to the program.
    pub kind: ModuleKind,
    /// The ELF file.
    pub bytes: Bytes,
    /// Its separate debug file, where the caller already has it.
    pub debug: Option<Bytes>,
    /// What the loader added to each of the file's addresses. 0 for a
    /// non-PIE executable and for a published object.
    pub bias: u64,
    /// Who finds further files, asked on the first need.
    pub files: Option<Arc<dyn DebugFiles>>,
}

impl Input {
    /// A module whose debug information, if any, is in the file itself.
    pub fn new(name: impl Into<PathBuf>, kind: ModuleKind, bytes: Bytes, bias: u64) -> Input {
        Input {
            name: name.into(),
            kind,
            bytes,
            debug: None,
            bias,
            files: None,
        }
    }

    /// The same with a separate debug file.
    pub fn with_debug(mut self, debug: Option<Bytes>) -> Input {
        self.debug = debug;
        self
    }

    /// The same with somebody who finds further files.
    pub fn with_files(mut self, files: Arc<dyn DebugFiles>) -> Input {
        self.files = Some(files);
        self
    }
}
