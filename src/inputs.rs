//! The files of a command line, made into what a link session takes.
//!
//! What a file is, its name says when it ends in a source's extension, and its
//! first bytes otherwise.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sapwood_link::source::{
    self, Asking, Cache, Compiled, Flags, Language, Library, Question, Source, Tools,
};
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

impl Input {
    /// A shared library's path, as the loader takes it.
    pub fn shared(&self) -> Option<String> {
        match self {
            Input::Shared(path) => Some(path.to_string_lossy().into_owned()),
            Input::Object { .. } | Input::Archive { .. } => None,
        }
    }
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
    /// Whether to look for libraries that define what nothing else does.
    pub autoload: bool,
    /// Whether objects that were compiled before may be used again.
    pub cached: bool,
}

/// Everything that is to be linked, as bytes.
#[derive(Debug)]
pub struct Gathered {
    /// In the order of the command line.
    pub inputs: Vec<Input>,
    /// What the compilers had to say.
    pub warnings: String,
    /// Every file that any of it was made from, where they are all known.
    pub files: Option<Vec<PathBuf>>,
}

impl Gathered {
    /// One more shared library, which was opened already.
    pub fn add_library(&mut self, path: PathBuf) {
        if let Some(files) = &mut self.files {
            files.push(path.clone());
        }
        self.inputs.push(Input::Shared(path));
    }
}

impl Request {
    /// Compiles and reads everything; `libraries` are
    /// [`find_libraries`](Request::find_libraries)'s. An error leaves nothing
    /// behind.
    pub fn gather(
        &self,
        libraries: &[Library],
        cache: Option<&Cache>,
    ) -> Result<Gathered, Failure> {
        let mut inputs = Vec::new();
        let mut warnings = String::new();
        let mut files = Some(self.files.clone());
        let mut compiled = self.compile(cache)?.into_iter();
        for file in &self.files {
            inputs.push(match Language::of(file) {
                Some(_) => {
                    let one = compiled.next().expect("each source was compiled");
                    warnings.push_str(&one.warnings);
                    match (&mut files, one.headers) {
                        (Some(files), Some(headers)) => files.extend(headers),
                        _ => files = None,
                    }
                    Input::Object {
                        name: one.name,
                        bytes: one.object,
                    }
                }
                None => read(file)?,
            });
        }
        for library in libraries {
            let (Library::Shared(path) | Library::Archive(path)) = library;
            if let Some(files) = &mut files {
                files.push(path.clone());
            }
            inputs.push(open_library(library.clone())?);
        }
        if self.has_rust() {
            let std = source::rust_library(&Tools::default().rustc).map_err(Failure::new)?;
            if let Some(files) = &mut files {
                files.push(std.clone());
            }
            inputs.push(Input::Shared(std));
        }
        let has_others_in_it = |input: &Input| match input {
            Input::Archive { bytes, .. } => bytes.starts_with(b"!<thin>\n"),
            _ => false,
        };
        if inputs.iter().any(has_others_in_it) {
            files = None;
        }
        Ok(Gathered {
            inputs,
            warnings,
            files,
        })
    }

    /// What each `-l` means, and C++ without one.
    pub fn find_libraries(&self) -> Result<Vec<Library>, Failure> {
        let mut found = Vec::new();
        for name in &self.libraries {
            found.extend(source::find_library(name, &self.folders).map_err(Failure::new)?);
        }
        if self.has_cxx() {
            found.extend(source::find_library("stdc++", &[]).map_err(Failure::new)?);
        }
        Ok(found)
    }

    /// The objects' cache, when it may be used.
    pub fn cache(&self) -> Option<Cache> {
        self.cached.then(cache).flatten()
    }

    /// All that decides what the linked program is, but for the files' contents;
    /// `None` when that cannot be told.
    pub fn question(&self, libraries: &[Library]) -> Option<Question> {
        let mut asking = Asking::new()?;
        for language in self.files.iter().filter_map(|file| Language::of(file)) {
            asking.compiler(&Tools::default(), language)?;
        }
        for file in &self.files {
            asking.part(file.as_os_str().as_bytes());
        }
        for library in libraries {
            let (Library::Shared(path) | Library::Archive(path)) = library;
            asking.part(path.as_os_str().as_bytes());
        }
        for folder in &self.folders {
            asking.part(folder.as_os_str().as_bytes());
        }
        asking.part(format!("{:?} {}", self.flags, self.autoload).as_bytes());
        Some(asking.ask())
    }

    fn has_rust(&self) -> bool {
        let mut languages = self.files.iter().filter_map(|file| Language::of(file));
        languages.any(|language| language == Language::Rust)
    }

    fn has_cxx(&self) -> bool {
        let mut languages = self.files.iter().filter_map(|file| Language::of(file));
        languages.any(Language::wants_cxx_library)
    }

    fn compile(&self, cache: Option<&Cache>) -> Result<Vec<Compiled>, Failure> {
        let sources: Vec<Source> = self.files.iter().filter_map(Source::file).collect();
        for source in &sources {
            // The compiler's own words for this are about an assembler.
            let Source::File { path, .. } = source else {
                continue;
            };
            fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
        }
        let flags = self.flags.clone().for_a_live_image();
        // Ctrl-C ends the compilers; what they leave has to be removed first.
        let (result, interrupted) =
            signals::hold_off(|| source::compile(&sources, &flags, &Tools::default(), cache))
                .map_err(Failure::new)?;
        if let Some(signal) = interrupted {
            signals::die_of(signal);
        }
        result.map_err(Failure::new)
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
