//! [`Chosen`]: the libraries of a registry that a program may use, compiled with
//! the program or when they are called.
//!
//! A chosen library that is loaded eagerly comes with the program when the program
//! named it, needs it, or wants one of its symbols; a lazy one when more than
//! calls are wanted of it. Which these are shows from the objects, so it is asked
//! again when more objects have been made.

use std::path::PathBuf;

use super::cache::Cache;
use super::compiler::{Compiled, compile};
use super::language::{Flags, Language, Source, Tools};
use super::library::{Library, find_library};
use super::references::{Reference, References};
use super::registry::{Load, Registry, SourceLibrary};
use super::rust::rust_library;
use super::thin::whole_archive;
use crate::worker::lazy::{Libraries, LibraryId, Made};

/// How chosen libraries are compiled.
#[derive(Clone, Debug, Default)]
pub struct Making {
    /// The program's flags; a library's own come after its level of optimisation
    /// and debug information.
    pub flags: Flags,
    /// The compilers.
    pub tools: Tools,
    /// Objects that were compiled before.
    pub cache: Option<Cache>,
    /// Where the system libraries that they need are looked for first.
    pub folders: Vec<PathBuf>,
}

/// See the [module page](self).
#[derive(Debug)]
pub struct Chosen {
    registry: Registry,
    /// Which of the registry's libraries may be used, by number, in the order in
    /// which they are looked at.
    chosen: Vec<LibraryId>,
    /// Those that the program named.
    named: Vec<LibraryId>,
    making: Making,
    warn: fn(&str),
}

/// A library with all that went into it.
#[derive(Debug)]
pub struct MadeLibrary {
    /// Its sources.
    pub sources: Vec<PathBuf>,
    /// Its objects.
    pub objects: Vec<Compiled>,
    /// Other libraries that it needs, which are not the registry's.
    pub libraries: Vec<Library>,
}

impl Chosen {
    /// Chooses the libraries with these names and what they need, or all.
    /// Compilers' warnings about libraries that are made lazily go to `warn`.
    pub fn new(
        registry: Registry,
        named: &[String],
        all: bool,
        making: Making,
        warn: fn(&str),
    ) -> Chosen {
        let number = |name: &str| {
            let mut libraries = registry.libraries().iter();
            let number = libraries.position(|library| library.name == name)?;
            Some(LibraryId(number as u32))
        };
        let named: Vec<LibraryId> = named.iter().filter_map(|name| number(name)).collect();
        let mut chosen = named.clone();
        if all {
            chosen.extend((0..registry.libraries().len() as u32).map(LibraryId));
        }
        let mut looked_at = 0;
        while looked_at < chosen.len() {
            let library = &registry.libraries()[chosen[looked_at].0 as usize];
            chosen.extend(library.needs.iter().filter_map(|name| number(name)));
            looked_at += 1;
            let mut seen = std::collections::BTreeSet::new();
            chosen.retain(|library| seen.insert(*library));
        }
        Chosen {
            registry,
            chosen,
            named,
            making,
            warn,
        }
    }

    /// The folders for included files of all that were chosen.
    pub fn include(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for library in &self.chosen {
            folders.extend(self.library(*library).include.iter().cloned());
        }
        let mut seen = std::collections::BTreeSet::new();
        folders.retain(|folder| seen.insert(folder.clone()));
        folders
    }

    /// The libraries that must come with a program whose objects refer to others
    /// so, beside those that come `already`.
    pub fn wanted(&self, references: &References, already: &[LibraryId]) -> Vec<LibraryId> {
        let mut wanted: Vec<LibraryId> = self
            .named
            .iter()
            .filter(|library| self.library(**library).load == Load::Eager)
            .copied()
            .collect();
        for library in already {
            wanted.extend(self.needed_by(*library));
        }
        wanted.extend(self.more_than_called(references));
        let mut seen: std::collections::BTreeSet<LibraryId> = already.iter().copied().collect();
        wanted.retain(|library| seen.insert(*library));
        wanted
    }

    /// Whether any library may be called for the first time when the program
    /// runs, if those come with it.
    pub fn is_lazy(&self, references: &References, already: &[LibraryId]) -> bool {
        references.wanted().any(|(name, _)| {
            let owner = self.owner(name);
            owner.is_some_and(|library| !already.contains(&library))
        })
    }

    /// The eager libraries of the registry that a library needs by name.
    fn needed_by(&self, library: LibraryId) -> impl Iterator<Item = LibraryId> {
        let needs = &self.library(library).needs;
        let libraries = (0..).map(LibraryId).zip(self.registry.libraries());
        libraries
            .filter(|(_, other)| other.load == Load::Eager && needs.contains(&other.name))
            .map(|(number, _)| number)
    }

    /// The libraries that cannot wait for a call.
    fn more_than_called(&self, references: &References) -> impl Iterator<Item = LibraryId> {
        references.wanted().filter_map(|(name, how)| {
            let owner = self.owner(name)?;
            let waits = self.library(owner).load == Load::Lazy && how == Reference::Called;
            (!waits).then_some(owner)
        })
    }

    fn library(&self, library: LibraryId) -> &SourceLibrary {
        &self.registry.libraries()[library.0 as usize]
    }

    /// Compiles a library, or says why it cannot be.
    pub fn compile(&self, library: LibraryId) -> Result<MadeLibrary, String> {
        let library = self.library(library);
        let sources = library.to_compile().map_err(|error| error.to_string())?;
        let flags = Flags {
            optimise: self.making.flags.optimise.clone(),
            debug: self.making.flags.debug,
            edition: self.making.flags.edition.clone(),
            include: self.registry.include_of(library),
            extra: library.flags.clone(),
            ..Flags::default()
        }
        .for_a_live_image();
        let (tools, cache) = (&self.making.tools, self.making.cache.as_ref());
        let objects = compile(&sources, &flags, tools, cache).map_err(|error| error.to_string())?;
        Ok(MadeLibrary {
            sources: library.sources.clone(),
            objects,
            libraries: self.outside(library, &sources)?,
        })
    }

    /// What a library needs that is not of the registry.
    fn outside(&self, library: &SourceLibrary, sources: &[Source]) -> Result<Vec<Library>, String> {
        let mut found = Vec::new();
        for name in &library.needs {
            if self.registry.get(name).is_none() {
                let libraries = find_library(name, &self.making.folders);
                found.extend(libraries.map_err(|error| error.to_string())?);
            }
        }
        let has = |wanted: &dyn Fn(Language) -> bool| {
            let mut languages = sources.iter().map(Source::language);
            languages.any(wanted)
        };
        if has(&Language::wants_cxx_library) {
            found.extend(find_library("stdc++", &[]).map_err(|error| error.to_string())?);
        }
        if has(&|language| language == Language::Rust) {
            let std = rust_library(&self.making.tools.rustc).map_err(|error| error.to_string())?;
            found.push(Library::Shared(std));
        }
        Ok(found)
    }
}

impl Libraries for Chosen {
    fn owner(&self, symbol: &str) -> Option<LibraryId> {
        let mut chosen = self.chosen.iter().copied();
        chosen.find(|library| self.library(*library).defines(symbol))
    }

    fn name(&self, library: LibraryId) -> &str {
        &self.library(library).name
    }

    fn make(&self, library: LibraryId) -> Result<Made, String> {
        let compiled = self.compile(library)?;
        let mut made = Made::default();
        let mut references = References::default();
        for one in compiled.objects {
            if !one.warnings.is_empty() {
                (self.warn)(&one.warnings);
            }
            references.object(&one.object);
            made.objects.push((one.name, one.object));
        }
        for outside in compiled.libraries {
            match outside {
                Library::Shared(path) => made.shared.push(path),
                Library::Archive(path) => {
                    let name = path.display().to_string();
                    let bytes = std::fs::read(&path).map_err(|error| format!("{name}: {error}"))?;
                    let whole = whole_archive(&path, bytes).map_err(|error| error.to_string())?;
                    let bytes = whole.bytes;
                    references.archive(&bytes);
                    made.archives.push((name, bytes));
                }
            }
        }
        made.first.extend(self.needed_by(library));
        made.first.extend(self.more_than_called(&references));
        made.first.retain(|other| *other != library);
        made.first.sort_unstable();
        made.first.dedup();
        Ok(made)
    }
}
