//! [`Language`]: what a source is written in, which compiler takes it, and how
//! that one is told what [`Flags`] say.
//!
//! Everything here is decided by names and values; nothing is run. `compiler`
//! runs what this says.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A language that there is a compiler for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// C, compiled by `cc`.
    C,
    /// C after its preprocessor, by `cc`.
    PreprocessedC,
    /// C++, by `c++`.
    Cxx,
    /// C++ after its preprocessor, by `c++`.
    PreprocessedCxx,
    /// Assembly, by `cc`.
    Assembly,
    /// Assembly that the C preprocessor goes over first, by `cc`.
    AssemblyWithCpp,
    /// LLVM IR, as text or bitcode, by `clang`.
    LlvmIr,
    /// Rust, one crate in one file (and the modules that it names), by `rustc`.
    Rust,
}

impl Language {
    /// What a file is written in, by its name.
    pub fn of(path: &Path) -> Option<Language> {
        Some(match path.extension()?.to_str()? {
            "c" => Language::C,
            "i" => Language::PreprocessedC,
            "cc" | "cpp" | "cxx" | "C" | "c++" => Language::Cxx,
            "ii" => Language::PreprocessedCxx,
            "s" => Language::Assembly,
            "S" => Language::AssemblyWithCpp,
            "ll" | "bc" => Language::LlvmIr,
            "rs" => Language::Rust,
            _ => return None,
        })
    }

    /// The compilers' name for the language (`-x`); `rustc` knows only one.
    pub(super) fn option(self) -> &'static str {
        match self {
            Language::C => "c",
            Language::PreprocessedC => "cpp-output",
            Language::Cxx => "c++",
            Language::PreprocessedCxx => "c++-cpp-output",
            Language::Assembly => "assembler",
            Language::AssemblyWithCpp => "assembler-with-cpp",
            Language::LlvmIr => "ir",
            Language::Rust => "rust",
        }
    }

    /// Whether the C++ library is wanted beside it.
    pub fn wants_cxx_library(self) -> bool {
        matches!(self, Language::Cxx | Language::PreprocessedCxx)
    }

    /// What brings the compiler and what it needs.
    pub(super) fn how_to_install(self) -> &'static str {
        match self {
            Language::C
            | Language::PreprocessedC
            | Language::Assembly
            | Language::AssemblyWithCpp => "apt-get install gcc libc6-dev",
            Language::Cxx | Language::PreprocessedCxx => "apt-get install g++ libc6-dev",
            Language::LlvmIr => "apt-get install clang",
            Language::Rust => "apt-get install rustc, or rustup",
        }
    }
}

/// Something to compile.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file, named as the user did.
    File {
        /// Where it is.
        path: PathBuf,
        /// What it is written in.
        language: Language,
    },
    /// Text that is in no file.
    Text {
        /// The file name that messages and debug information give it, such as
        /// `snip.c`: a plain name, no path.
        name: String,
        /// What it is written in.
        language: Language,
        /// The text.
        text: String,
    },
}

impl Source {
    /// A file whose name says what it is written in.
    pub fn file(path: impl Into<PathBuf>) -> Option<Source> {
        let path = path.into();
        let language = Language::of(&path)?;
        Some(Source::File { path, language })
    }

    /// What it is written in.
    pub fn language(&self) -> Language {
        match self {
            Source::File { language, .. } | Source::Text { language, .. } => *language,
        }
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Source::File { path, .. } => path.display().to_string(),
            Source::Text { name, .. } => name.clone(),
        }
    }
}

/// How to compile.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Flags {
    /// The level after `-O`; the compiler's own default when there is none.
    pub optimise: Option<String>,
    /// Whether to write debug information.
    pub debug: bool,
    /// Folders for included files.
    pub include: Vec<PathBuf>,
    /// Macros, as `NAME` or `NAME=VALUE`.
    pub defines: Vec<String>,
    /// The edition of Rust sources; 2024 when there is none.
    pub edition: Option<String>,
    /// Whether the code is to be linked into a running process.
    pub live: bool,
    /// Options given as they are, after all others, to all compilers but
    /// `rustc`.
    pub extra: Vec<OsString>,
}

impl Flags {
    /// Adds what code needs that is linked into a running process: it may lie
    /// anywhere (so nothing reaches outside directly), its names are its own,
    /// and its thread-locals lie at fixed offsets in the worker's arena.
    pub fn for_a_live_image(mut self) -> Flags {
        self.live = true;
        self
    }

    /// A compiler's options for a source in this language.
    pub(super) fn arguments(&self, language: Language) -> Vec<OsString> {
        match language {
            Language::Rust => self.rust_arguments(),
            _ => self.c_arguments(language),
        }
    }

    fn c_arguments(&self, language: Language) -> Vec<OsString> {
        const LIVE: [&str; 4] = [
            "-fPIC",
            "-fno-semantic-interposition",
            "-ftls-model=initial-exec",
            "-fno-lto",
        ];
        let mut words: Vec<OsString> = Vec::new();
        if let Some(level) = &self.optimise {
            words.push(format!("-O{level}").into());
        }
        if self.debug {
            words.push("-g".into());
        }
        let include = self.include.iter().map(|dir| joined("-I", dir.as_os_str()));
        words.extend(include);
        let defines = self.defines.iter().map(|d| joined("-D", OsStr::new(d)));
        words.extend(defines);
        words.extend(self.extra.iter().cloned());
        if self.live {
            words.extend(LIVE.map(OsString::from));
        }
        if language == Language::LlvmIr {
            // Half of the options mean nothing for what was compiled already,
            // and clang would say so for each.
            words.push("-Qunused-arguments".into());
        }
        words
    }

    /// The standard library is the shared one that came with `rustc`: it has
    /// the allocator and the panic runtime in it, which otherwise the linking of
    /// an executable makes.
    fn rust_arguments(&self) -> Vec<OsString> {
        let edition = self.edition.as_deref().unwrap_or("2024");
        let level = match self.optimise.as_deref() {
            None => "0",
            Some("fast") => "3",
            Some(level) => level,
        };
        let mut words: Vec<OsString> = vec![
            format!("--edition={edition}").into(),
            format!("-Copt-level={level}").into(),
            "-Cprefer-dynamic".into(),
            "-Ccodegen-units=1".into(),
            "-Crelocation-model=pic".into(),
        ];
        if self.debug {
            words.push("-g".into());
        }
        for define in &self.defines {
            // `-D name="value"`, as C's, is a configuration.
            words.push("--cfg".into());
            words.push(match define.split_once('=') {
                Some((name, value)) => format!("{name}={value:?}").into(),
                None => define.into(),
            });
        }
        words
    }
}

fn joined(option: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(option);
    word.push(value);
    word
}

/// The compilers' names, or paths.
#[derive(Clone, Debug)]
pub struct Tools {
    /// For C.
    pub cc: OsString,
    /// For C++.
    pub cxx: OsString,
    /// For LLVM IR.
    pub clang: OsString,
    /// For Rust.
    pub rustc: OsString,
}

impl Default for Tools {
    fn default() -> Tools {
        Tools {
            cc: "cc".into(),
            cxx: "c++".into(),
            clang: "clang".into(),
            rustc: "rustc".into(),
        }
    }
}

impl Tools {
    /// The compiler of a language.
    pub fn for_language(&self, language: Language) -> &OsStr {
        match language {
            Language::C
            | Language::PreprocessedC
            | Language::Assembly
            | Language::AssemblyWithCpp => &self.cc,
            Language::Cxx | Language::PreprocessedCxx => &self.cxx,
            Language::LlvmIr => &self.clang,
            Language::Rust => &self.rustc,
        }
    }
}
