//! [`Registry`]: libraries that are source, by name.
//!
//! A TOML file has one table for each:
//!
//! ```toml
//! [sqlite]
//! sources = ["sqlite/sqlite3.c"]   # `*` stands for any part of a file's name
//! include = ["sqlite"]             # for its own sources and for its users'
//! flags = ["-O2", "-DSQLITE_THREADSAFE=1"]
//! needs = ["m"]                    # of the registry, or what `-l` would find
//! load = "lazy"                    # or "eager"
//! symbols = ["sqlite3_*"]          # what it defines; C++ as "flecs::*"
//! language = "c"                   # where a file's name does not say it
//! ```
//!
//! Paths are the registry file's neighbours. A library that is loaded *lazily* is
//! not compiled before one of its functions is called, so its `symbols` say
//! which names are its own. Nothing is compiled or looked for here: reading the
//! file only expands `*`.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::language::{Language, Source};

/// When a library is compiled and linked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Load {
    /// With the program that uses it.
    Eager,
    /// When one of its functions is called for the first time.
    Lazy,
}

/// Which names a library defines: a symbol's name, or a C++ function's or
/// object's without its arguments (`ns::Class::method`), with `*` for any text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern; any text is one.
    pub fn new(text: impl Into<String>) -> Pattern {
        Pattern(text.into())
    }

    /// Whether a symbol is meant.
    pub fn matches(&self, symbol: &str) -> bool {
        let unversioned = symbol.split('@').next().unwrap_or(symbol);
        glob(self.0.as_bytes(), unversioned.as_bytes())
            || qualified_name(unversioned)
                .is_some_and(|name| glob(self.0.as_bytes(), name.as_bytes()))
    }
}

/// A library that is source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceLibrary {
    /// What `-l` and other libraries call it.
    pub name: String,
    /// What it is compiled from.
    pub sources: Vec<PathBuf>,
    /// What sources are written in whose names do not say it.
    pub language: Option<Language>,
    /// Folders for included files, for its own sources and its users'.
    pub include: Vec<PathBuf>,
    /// Options for the compiler, after all others.
    pub flags: Vec<OsString>,
    /// Other libraries, of the registry or of the system.
    pub needs: Vec<String>,
    /// The names that it defines.
    pub symbols: Vec<Pattern>,
    /// When it is loaded.
    pub load: Load,
}

impl SourceLibrary {
    /// Whether a name is one of its `symbols`.
    pub fn defines(&self, symbol: &str) -> bool {
        self.symbols.iter().any(|pattern| pattern.matches(symbol))
    }

    /// Its sources, each with its language.
    pub fn to_compile(&self) -> Result<Vec<Source>, RegistryError> {
        let source = |path: &PathBuf| {
            let language = Language::of(path).or(self.language).ok_or_else(|| {
                let why = format!("{}: `language` is not said", path.display());
                RegistryError::of(&self.name, why)
            })?;
            Ok(Source::File {
                path: path.clone(),
                language,
            })
        };
        self.sources.iter().map(source).collect()
    }
}

/// Libraries by name; see the [module page](self).
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Registry {
    libraries: Vec<SourceLibrary>,
}

/// What is wrong with a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistryError(String);

impl RegistryError {
    fn of(library: &str, why: impl fmt::Display) -> RegistryError {
        RegistryError(format!("library {library}: {why}"))
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RegistryError {}

impl Registry {
    /// Reads a registry's file.
    pub fn read(path: &Path) -> Result<Registry, RegistryError> {
        let about = |why: &dyn fmt::Display| RegistryError(format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| about(&error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Registry::parse(&text, folder).map_err(|error| about(&error))
    }

    /// A registry's text, whose paths are of this folder.
    pub fn parse(text: &str, folder: &Path) -> Result<Registry, RegistryError> {
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| RegistryError(error.to_string().trim_end().into()))?;
        let mut registry = Registry::default();
        for (name, value) in &table {
            let Value::Table(fields) = value else {
                return Err(RegistryError(format!(
                    "`{name}` is not the table of a library"
                )));
            };
            registry.add(library(name, fields, folder)?)?;
        }
        Ok(registry)
    }

    /// Adds a library.
    pub fn add(&mut self, library: SourceLibrary) -> Result<(), RegistryError> {
        let refuse = |why| Err(RegistryError::of(&library.name, why));
        if self.get(&library.name).is_some() {
            return refuse("it is there already");
        }
        if library.sources.is_empty() {
            return refuse("it has no `sources`");
        }
        if library.load == Load::Lazy && library.symbols.is_empty() {
            return refuse("it is loaded lazily, so `symbols` must say what it defines");
        }
        self.libraries.push(library);
        Ok(())
    }

    /// A library by its name.
    pub fn get(&self, name: &str) -> Option<&SourceLibrary> {
        self.libraries.iter().find(|library| library.name == name)
    }

    /// All libraries, in the order of their names where they came from a file.
    pub fn libraries(&self) -> &[SourceLibrary] {
        &self.libraries
    }

    /// Folders for included files: a library's own, and those of the libraries
    /// that it needs.
    pub fn include_of(&self, library: &SourceLibrary) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        let mut seen = Vec::new();
        let mut next = vec![library];
        while let Some(library) = next.pop() {
            if seen.contains(&&library.name) {
                continue;
            }
            seen.push(&library.name);
            folders.extend(library.include.iter().cloned());
            let needed = library.needs.iter().rev();
            next.extend(needed.filter_map(|name| self.get(name)));
        }
        folders
    }
}

/// A library from its table.
fn library(name: &str, fields: &Table, folder: &Path) -> Result<SourceLibrary, RegistryError> {
    let wrong = |key: &str, what: &str| {
        let why = format!("`{key}` is not {what}");
        RegistryError::of(name, why)
    };
    let mut library = SourceLibrary {
        name: name.to_owned(),
        sources: Vec::new(),
        language: None,
        include: Vec::new(),
        flags: Vec::new(),
        needs: Vec::new(),
        symbols: Vec::new(),
        load: Load::Eager,
    };
    for (key, value) in fields {
        let word = value.as_str();
        let list = || words(value).ok_or_else(|| wrong(key, "a list of texts"));
        match key.as_str() {
            "sources" => {
                for source in list()? {
                    let found = expand(folder, source);
                    if found.is_empty() {
                        let why = format!("there is no file {source:?}");
                        return Err(RegistryError::of(name, why));
                    }
                    library.sources.extend(found);
                }
            }
            "include" => library.include = list()?.iter().map(|path| folder.join(path)).collect(),
            "flags" => library.flags = list()?.into_iter().map(OsString::from).collect(),
            "needs" => library.needs = list()?.into_iter().map(str::to_owned).collect(),
            "symbols" => library.symbols = list()?.into_iter().map(Pattern::new).collect(),
            "load" => {
                library.load = match word {
                    Some("eager") => Load::Eager,
                    Some("lazy") => Load::Lazy,
                    _ => return Err(wrong(key, "\"eager\" or \"lazy\"")),
                }
            }
            "language" => {
                library.language = match word.and_then(language_named) {
                    Some(language) => Some(language),
                    None => return Err(wrong(key, "c, c++, assembly, llvm-ir or rust")),
                }
            }
            other => return Err(RegistryError::of(name, format!("`{other}` means nothing"))),
        }
    }
    Ok(library)
}

fn words(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn language_named(word: &str) -> Option<Language> {
    Some(match word {
        "c" => Language::C,
        "c++" => Language::Cxx,
        "assembly" => Language::AssemblyWithCpp,
        "llvm-ir" => Language::LlvmIr,
        "rust" => Language::Rust,
        _ => return None,
    })
}

/// The files that a path means: `*` in its last part is any text.
fn expand(folder: &Path, path: &str) -> Vec<PathBuf> {
    let whole = folder.join(path);
    let (Some(parent), Some(last)) = (whole.parent(), whole.file_name().and_then(|n| n.to_str()))
    else {
        return Vec::new();
    };
    if !last.contains('*') {
        return if whole.is_file() {
            vec![whole]
        } else {
            Vec::new()
        };
    }
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_str();
            name.is_some_and(|name| glob(last.as_bytes(), name.as_bytes()))
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Whether text is as a pattern says, in which `*` stands for any text.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // Where to go on when what follows the last `*` does not fit here.
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match &mut retry {
                Some((after, at)) => {
                    *at += 1;
                    (p, t) = (*after, *at);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// What a C++ symbol names, without arguments: `ns::Class::method`. Template
/// arguments and all that follows them are left out. `None` for what is no C++
/// symbol, or begins with something else than a name.
fn qualified_name(symbol: &str) -> Option<String> {
    let mut rest = symbol.strip_prefix("_Z")?;
    // Tables and type information of a class, guards and thunks.
    if let Some(of) = ["TV", "TT", "TI", "TS", "GV"]
        .iter()
        .find_map(|kind| rest.strip_prefix(kind))
    {
        rest = of;
    } else if rest.starts_with("Th") || rest.starts_with("Tv") {
        rest = &rest[rest.find('_')? + 1..];
    }
    let nested = rest.strip_prefix('N');
    let mut rest = nested
        .unwrap_or(rest)
        .trim_start_matches(['K', 'V', 'r', 'R', 'O']);
    let mut parts: Vec<String> = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix("St").filter(|_| parts.is_empty()) {
            parts.push("std".into());
            rest = after;
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            let length: usize = rest[..digits].parse().ok()?;
            let name = rest.get(digits..digits.checked_add(length)?)?;
            parts.push(name.to_owned());
            rest = &rest[digits + length..];
            if nested.is_none() && parts.first().is_none_or(|first| first != "std") {
                break;
            }
            continue;
        }
        let class = parts.last().cloned();
        match (rest.as_bytes(), class) {
            ([b'C', b'1'..=b'5', ..], Some(class)) => parts.push(class),
            ([b'D', b'0'..=b'5', ..], Some(class)) => parts.push(format!("~{class}")),
            ([b'a'..=b'z', b'a'..=b'z' | b'A'..=b'Z', ..], Some(_)) if nested.is_some() => {
                parts.push("operator".into());
            }
            _ => {}
        }
        break;
    }
    (!parts.is_empty()).then(|| parts.join("::"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Scratch;

    #[test]
    fn patterns_match_names_of_c_and_cxx() {
        let yes = |pattern: &str, symbol: &str| {
            assert!(Pattern::new(pattern).matches(symbol), "{pattern} {symbol}");
        };
        let no = |pattern: &str, symbol: &str| {
            assert!(!Pattern::new(pattern).matches(symbol), "{pattern} {symbol}");
        };
        yes("sqlite3_*", "sqlite3_open");
        yes("*", "anything");
        yes("a*b*c", "a--b--bc");
        yes("memcpy", "memcpy@GLIBC_2.14");
        no("sqlite3_*", "sqlite_open");
        no("a*b*c", "a--b--");
        no("exact", "exactly");
        yes("ns::*", "_ZN2ns3Box3getEv");
        yes("ns::Box::get", "_ZNK2ns3Box3getEv");
        yes("ns::Box::Box", "_ZN2ns3BoxC1Ei");
        yes("ns::Box::~Box", "_ZN2ns3BoxD2Ev");
        yes("ns::Box::operator*", "_ZN2ns3BoxaSERKS0_");
        yes("ns::Box", "_ZTVN2ns3BoxE");
        yes("ns::Box", "_ZTI3Box".replace("3Box", "N2ns3BoxE").as_str());
        yes("ns::Box::get", "_ZThn16_N2ns3Box3getEv");
        yes("plain", "_Z5plaini");
        yes("pick", "_Z4pickIiEvT_");
        yes("std::terminate", "_ZSt9terminatev");
        no("ns::*", "_ZN3nsx3BoxE");
        // What ends too soon, or says too much, is no name.
        for symbol in [
            "_Z",
            "_ZN",
            "_Z99x",
            "_ZN99999999999999999999x",
            "_ZTh",
            "_ZNK",
        ] {
            no("?*", symbol);
        }
    }

    #[test]
    fn a_file_says_all_of_a_library() {
        let scratch = Scratch::new().unwrap();
        for name in ["b.c", "a.c", "c.cc", "odd"] {
            std::fs::write(scratch.path().join(name), "").unwrap();
        }
        let text = "[one]\nsources = ['*.c', 'odd']\nlanguage = 'c++'\ninclude = ['.']\n\
             flags = ['-O2']\nneeds = ['two', 'm']\nload = 'lazy'\nsymbols = ['one_*']\n\
             [two]\nsources = ['c.cc']\ninclude = ['deep']\n";
        let registry = Registry::parse(text, scratch.path()).unwrap();
        let one = registry.get("one").unwrap();
        let file = |name: &str| scratch.path().join(name);
        assert_eq!(one.sources, [file("a.c"), file("b.c"), file("odd")]);
        assert_eq!(one.load, Load::Lazy);
        assert!(one.defines("one_more") && !one.defines("two_more"));
        let languages: Vec<Language> = one
            .to_compile()
            .unwrap()
            .iter()
            .map(Source::language)
            .collect();
        assert_eq!(languages, [Language::C, Language::C, Language::Cxx]);
        assert_eq!(registry.include_of(one), [file("."), file("deep")]);
        assert_eq!(registry.get("two").unwrap().load, Load::Eager);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let scratch = Scratch::new().unwrap();
        std::fs::write(scratch.path().join("a.c"), "").unwrap();
        for (text, why) in [
            ("one = 1", "`one` is not the table of a library"),
            ("[one]", "library one: it has no `sources`"),
            ("[one]\nsources = 'a.c'", "`sources` is not a list of texts"),
            ("[one]\nsources = ['b.c']", "there is no file \"b.c\""),
            (
                "[one]\nsources = ['a.c']\nload = 'lazy'",
                "`symbols` must say",
            ),
            ("[one]\nsources = ['a.c']\nload = 'late'", "`load` is not"),
            (
                "[one]\nsources = ['a.c']\nsource = 'x'",
                "`source` means nothing",
            ),
            (
                "[one]\nsources = ['a.c']\nlanguage = 'ada'",
                "`language` is not",
            ),
            ("[one", "1:5"),
        ] {
            let error = Registry::parse(text, scratch.path())
                .unwrap_err()
                .to_string();
            let said = error.contains(why) || why == "1:5" && error.contains("line 1, column 5");
            assert!(said, "{text}: {error}");
        }
    }
}
