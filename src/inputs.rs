//! The files of a command line, made into what a link session takes.
//!
//! What a file is, its name says when it ends in a source's extension, and its
//! first bytes otherwise.

use std::fs;
use std::path::{Path, PathBuf};

use sapwood_link::source::{self, Cache, Compiled, Flags, Language, Library, Source, Tools};
use sapwood_link::worker::signals;

use crate::failure::Failure;

/// Something to link.
#[derive(Debug)]
pub enum Input {
    /// A relocatable object.
    Object {
        /// What messages call it.
        name: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A static archive.
    Archive {
        /// What messages call it.
        name: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A shared library, to be opened where the program runs.
    Shared(PathBuf),
}

/// What a command line asks to be linked.
#[derive(Debug, Default)]
pub struct Request {
    /// Sources, objects, archives, shared libraries.
    pub files: Vec<PathBuf>,
    /// What followed each `-l`.
    pub libraries: Vec<String>,
    /// What followed each `-L`.
    pub folders: Vec<PathBuf>,
    /// How to compile.
    pub flags: Flags,
    /// Whether objects that were compiled before may be used again.
    pub cached: bool,
}

impl Request {
    /// Compiles and reads everything. Warnings of the compiler go to standard
    /// error; an error leaves nothing behind.
    pub fn gather(&self) -> Result<Vec<Input>, Failure> {
        let mut inputs = Vec::new();
        let mut compiled = self.compile()?.into_iter();
        for file in &self.files {
            inputs.push(match Language::of(file) {
                Some(_) => {
                    let Compiled { name, object, .. } =
                        compiled.next().expect("each source was compiled");
                    Input::Object {
                        name,
                        bytes: object,
                    }
                }
                None => read(file)?,
            });
        }
        for name in &self.libraries {
            for library in source::find_library(name, &self.folders).map_err(Failure::new)? {
                inputs.push(open_library(library)?);
            }
        }
        if self.has_cxx() {
            for library in source::find_library("stdc++", &[]).map_err(Failure::new)? {
                inputs.push(open_library(library)?);
            }
        }
        Ok(inputs)
    }

    fn has_cxx(&self) -> bool {
        self.files
            .iter()
            .any(|file| Language::of(file) == Some(Language::Cxx))
    }

    fn compile(&self) -> Result<Vec<Compiled>, Failure> {
        let sources: Vec<Source> = self.files.iter().filter_map(Source::file).collect();
        for source in &sources {
            // The compiler's own words for this are about an assembler.
            let Source::File { path, .. } = source else {
                continue;
            };
            fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
        }
        let flags = self.flags.clone().for_a_live_image();
        let cache = self.cached.then(cache).flatten();
        // Ctrl-C ends the compilers; what they leave has to be removed first.
        let (result, interrupted) = signals::hold_off(|| {
            source::compile(&sources, &flags, &Tools::default(), cache.as_ref())
        })
        .map_err(Failure::new)?;
        if let Some(signal) = interrupted {
            signals::die_of(signal);
        }
        let compiled = result.map_err(Failure::new)?;
        for one in &compiled {
            eprint!("{}", one.warnings);
        }
        Ok(compiled)
    }
}

/// `$XDG_CACHE_HOME/sapwood/objects`; none where there is no home.
fn cache() -> Option<Cache> {
    let folder = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(Cache::at(folder.join("sapwood/objects")))
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot read {}: {error}", path.display()))
}

fn open_library(library: Library) -> Result<Input, Failure> {
    match library {
        Library::Shared(path) => Ok(Input::Shared(path)),
        Library::Archive(path) => read(&path),
    }
}

/// Reads a file that is no source.
fn read(path: &Path) -> Result<Input, Failure> {
    let bytes = fs::read(path).map_err(|error| cannot_read(path, &error))?;
    let name = path.display().to_string();
    match kind(&bytes) {
        Some(Kind::Object) => Ok(Input::Object { name, bytes }),
        Some(Kind::Archive) => Ok(Input::Archive { name, bytes }),
        Some(Kind::Shared) => Ok(Input::Shared(absolute(path)?)),
        None => Err(Failure::new(format!(
            "{name}: neither a source by its name, nor an object, an archive or a shared \
             library by its content"
        ))),
    }
}

/// `dlopen` looks for a name without a slash elsewhere.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| cannot_read(path, &error))
}

enum Kind {
    Object,
    Archive,
    Shared,
}

/// What a file is by its first bytes. An executable is taken for an object, so
/// that the session says what is wrong with it.
fn kind(bytes: &[u8]) -> Option<Kind> {
    const ET_DYN: [u8; 2] = 3u16.to_le_bytes();
    if bytes.starts_with(b"!<arch>\n") || bytes.starts_with(b"!<thin>\n") {
        return Some(Kind::Archive);
    }
    if !bytes.starts_with(b"\x7fELF") {
        return None;
    }
    match bytes.get(16..18) {
        Some(kind) if kind == ET_DYN => Some(Kind::Shared),
        _ => Some(Kind::Object),
    }
}
