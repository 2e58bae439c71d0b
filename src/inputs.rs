//! The files of a command line, made into what a link session takes.
//!
//! What a file is, its name says when it ends in a source's extension, and its
//! first bytes otherwise.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sapwood_link::source::{
    self, Asking, Cache, Chosen, Compiled, Flags, Language, Library, Making, Question, References,
    Registry, Source, Tools, UserFolder,
};
use sapwood_link::worker::lazy::LibraryId;
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
    /// A file of libraries that are source, all of which may be used.
    pub registry: Option<PathBuf>,
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
    /// Libraries of the registry that are among the inputs.
    pub with_program: Vec<LibraryId>,
    /// Whether others may be called when the program runs.
    pub is_lazy: bool,
}

/// The libraries of a command line.
#[derive(Debug)]
pub struct Libraries {
    /// The system's.
    pub system: Vec<Library>,
    /// Those that are source, when the registry has any that may be used.
    pub chosen: Option<Chosen>,
    /// Where the registry lies.
    registry: Option<PathBuf>,
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
    /// [`find_libraries`](Request::find_libraries)'. An error leaves nothing
    /// behind.
    pub fn gather(
        &self,
        libraries: &Libraries,
        cache: Option<&Cache>,
    ) -> Result<Gathered, Failure> {
        let mut inputs = Vec::new();
        let mut warnings = String::new();
        let mut files = Some(self.files.clone());
        let mut compiled = self.compile(libraries, cache)?.into_iter();
        for file in &self.files {
            inputs.push(match Language::of(file) {
                Some(_) => {
                    let one = compiled.next().expect("each source was compiled");
                    warnings.push_str(&one.warnings);
                    note_headers(&mut files, one.headers);
                    Input::Object {
                        name: one.name,
                        bytes: one.object,
                    }
                }
                None => read(file, &mut files)?,
            });
        }
        for library in &libraries.system {
            inputs.push(open_library(library, &mut files)?);
        }
        if self.has_rust() {
            let std = source::rust_library(&Tools::default().rustc).map_err(Failure::new)?;
            if let Some(files) = &mut files {
                files.push(std.clone());
            }
            inputs.push(Input::Shared(std));
        }
        let mut gathered = Gathered {
            inputs,
            warnings,
            files,
            with_program: Vec::new(),
            is_lazy: false,
        };
        if let Some(chosen) = &libraries.chosen {
            gathered.add_chosen(chosen, libraries.registry.as_deref())?;
        }
        Ok(gathered)
    }

    /// What each `-l` means, and C++ without one.
    pub fn find_libraries(&self) -> Result<Libraries, Failure> {
        let (registry, path) = match self.find_registry()? {
            Some((registry, path)) => (registry, Some(path)),
            None => (Registry::default(), None),
        };
        let (of_source, others): (Vec<String>, Vec<String>) =
            (self.libraries.iter().cloned()).partition(|name| registry.get(name).is_some());
        let mut system = Vec::new();
        for name in &others {
            system.extend(source::find_library(name, &self.folders).map_err(Failure::new)?);
        }
        if self.has_cxx() {
            system.extend(source::find_library("stdc++", &[]).map_err(Failure::new)?);
        }
        let all = self.registry.is_some();
        let chosen = (all || !of_source.is_empty()).then(|| {
            let making = Making {
                flags: self.flags.clone(),
                tools: Tools::default(),
                cache: self.cache(),
                folders: self.folders.clone(),
            };
            let warn = |warnings: &str| eprint!("{warnings}");
            Chosen::new(registry, &of_source, all, making, warn)
        });
        Ok(Libraries {
            system,
            registry: path.filter(|_| chosen.is_some()),
            chosen,
        })
    }

    /// The registry that was asked for, or else the user's own.
    fn find_registry(&self) -> Result<Option<(Registry, PathBuf)>, Failure> {
        let own = || {
            let folder = source::user_folder(UserFolder::Configuration)?;
            Some(folder.join("libraries.toml")).filter(|path| path.is_file())
        };
        let wanted = match &self.registry {
            Some(path) => Some(path.clone()),
            None if self.libraries.is_empty() => None,
            None => own(),
        };
        let Some(path) = wanted else {
            return Ok(None);
        };
        let registry = Registry::read(&path).map_err(Failure::new)?;
        Ok(Some((registry, path)))
    }

    /// The objects' cache, when it may be used.
    pub fn cache(&self) -> Option<Cache> {
        self.cached.then(cache).flatten()
    }

    /// All that decides what the linked program is, but for the files' contents;
    /// `None` when that cannot be told.
    pub fn question(&self, libraries: &Libraries) -> Option<Question> {
        let mut asking = Asking::new()?;
        let tools = Tools::default();
        let mut asked = Vec::new();
        for language in self.files.iter().filter_map(|file| Language::of(file)) {
            if !asked.contains(&tools.for_language(language)) {
                asking.compiler(&tools, language)?;
                asked.push(tools.for_language(language));
            }
        }
        for file in &self.files {
            asking.part(file.as_os_str().as_bytes());
        }
        for library in &libraries.system {
            let (Library::Shared(path) | Library::Archive(path)) = library;
            asking.part(path.as_os_str().as_bytes());
        }
        if let Some(path) = &libraries.registry {
            asking.part(path.as_os_str().as_bytes());
        }
        for folder in &self.folders {
            asking.part(folder.as_os_str().as_bytes());
        }
        let options = (&self.flags, self.autoload, &self.libraries, &self.registry);
        asking.part(format!("{options:?}").as_bytes());
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

    fn compile(
        &self,
        libraries: &Libraries,
        cache: Option<&Cache>,
    ) -> Result<Vec<Compiled>, Failure> {
        let sources: Vec<Source> = self.files.iter().filter_map(Source::file).collect();
        for source in &sources {
            // The compiler's own words for this are about an assembler.
            let Source::File { path, .. } = source else {
                continue;
            };
            fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
        }
        let mut flags = self.flags.clone().for_a_live_image();
        if let Some(chosen) = &libraries.chosen {
            flags.include.extend(chosen.include());
        }
        uninterrupted(|| source::compile(&sources, &flags, &Tools::default(), cache))?
            .map_err(Failure::new)
    }
}

impl Gathered {
    /// Compiles the libraries of the registry that must come with the program.
    fn add_chosen(&mut self, chosen: &Chosen, registry: Option<&Path>) -> Result<(), Failure> {
        let mut references = References::default();
        for input in &self.inputs {
            match input {
                Input::Object { bytes, .. } => references.object(bytes),
                Input::Archive { bytes, .. } => references.archive(bytes),
                Input::Shared(_) => {}
            }
        }
        if let Some(files) = &mut self.files {
            files.extend(registry.map(Path::to_path_buf));
        }
        loop {
            let wanted = chosen.wanted(&references, &self.with_program);
            if wanted.is_empty() {
                break;
            }
            for library in wanted {
                self.add_library_of(chosen, library, &mut references)?;
                self.with_program.push(library);
            }
        }
        self.is_lazy = chosen.is_lazy(&references, &self.with_program);
        Ok(())
    }

    fn add_library_of(
        &mut self,
        chosen: &Chosen,
        library: LibraryId,
        references: &mut References,
    ) -> Result<(), Failure> {
        let made = uninterrupted(|| chosen.compile(library))?.map_err(Failure::new)?;
        if let Some(files) = &mut self.files {
            files.extend(made.sources);
        }
        for one in made.objects {
            self.warnings.push_str(&one.warnings);
            note_headers(&mut self.files, one.headers);
            references.object(&one.object);
            self.inputs.push(Input::Object {
                name: one.name,
                bytes: one.object,
            });
        }
        for outside in &made.libraries {
            let input = open_library(outside, &mut self.files)?;
            if let Input::Archive { bytes, .. } = &input {
                references.archive(bytes);
            }
            self.inputs.push(input);
        }
        Ok(())
    }
}

/// Adds to the files that an object was made from the headers that its compiler
/// read, where all are known.
fn note_headers(files: &mut Option<Vec<PathBuf>>, headers: Option<Vec<PathBuf>>) {
    match (&mut *files, headers) {
        (Some(files), Some(headers)) => files.extend(headers),
        _ => *files = None,
    }
}

/// Compiles. Ctrl-C ends the compilers; what they leave has to be removed first.
fn uninterrupted<T>(compile: impl FnOnce() -> T) -> Result<T, Failure> {
    let (result, interrupted) = signals::hold_off(compile).map_err(Failure::new)?;
    match interrupted {
        Some(signal) => signals::die_of(signal),
        None => Ok(result),
    }
}

/// The objects' cache; none where there is no home.
fn cache() -> Option<Cache> {
    let folder = source::user_folder(UserFolder::Cache)?;
    Some(Cache::at(folder.join("objects")))
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot read {}: {error}", path.display()))
}

fn open_library(library: &Library, files: &mut Option<Vec<PathBuf>>) -> Result<Input, Failure> {
    let (Library::Shared(path) | Library::Archive(path)) = library;
    if let Some(files) = files {
        files.push(path.clone());
    }
    match library {
        Library::Shared(path) => Ok(Input::Shared(path.clone())),
        Library::Archive(path) => read(path, files),
    }
}

/// Reads a file that is no source, and the files that it names as its members.
fn read(path: &Path, files: &mut Option<Vec<PathBuf>>) -> Result<Input, Failure> {
    let bytes = fs::read(path).map_err(|error| cannot_read(path, &error))?;
    let name = path.display().to_string();
    match kind(&bytes) {
        Some(Kind::Object) => Ok(Input::Object { name, bytes }),
        Some(Kind::Archive) => {
            let whole = source::whole_archive(path, bytes).map_err(Failure::new)?;
            if let Some(files) = files {
                files.extend(whole.files);
            }
            Ok(Input::Archive {
                name,
                bytes: whole.bytes,
            })
        }
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
