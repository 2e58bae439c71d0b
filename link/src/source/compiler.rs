//! [`compile`]: sources to relocatable objects, through the machine's own
//! compilers.
//!
//! Each source is one run of `cc` or `c++` in a [`Scratch`] folder, as many at a
//! time as there are cores; what comes back is bytes. The compiler runs in the
//! user's working directory, so that its messages name the files as the user
//! did, and with `TMPDIR` in the scratch folder, so that nothing is left even
//! where it was killed.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::cache::{Cache, Kept, Making, headers_of_rule};
use super::scratch::Scratch;

/// A language that there is a compiler for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// C, compiled by `cc`.
    C,
    /// C++, compiled by `c++`.
    Cxx,
}

impl Language {
    /// What a file is written in, by its name.
    pub fn of(path: &Path) -> Option<Language> {
        match path.extension()?.to_str()? {
            "c" => Some(Language::C),
            "cc" | "cpp" | "cxx" | "C" | "c++" => Some(Language::Cxx),
            _ => None,
        }
    }

    /// The compiler's name for the language (`-x`).
    fn option(self) -> &'static str {
        match self {
            Language::C => "c",
            Language::Cxx => "c++",
        }
    }

    /// The Debian packages that bring the compiler and what it needs.
    fn packages(self) -> &'static str {
        match self {
            Language::C => "gcc libc6-dev",
            Language::Cxx => "g++ libc6-dev",
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
#[derive(Clone, Default, Debug)]
pub struct Flags {
    /// The level after `-O`; the compiler's own default when there is none.
    pub optimise: Option<String>,
    /// Whether to write debug information.
    pub debug: bool,
    /// Folders for included files.
    pub include: Vec<PathBuf>,
    /// Macros, as `NAME` or `NAME=VALUE`.
    pub defines: Vec<String>,
    /// Options given as they are, after all others.
    pub extra: Vec<OsString>,
}

impl Flags {
    /// Adds what code needs that is linked into a running process: it may lie
    /// anywhere (so nothing reaches outside directly), its names are its own,
    /// and its thread-locals lie at fixed offsets in the worker's arena.
    pub fn for_a_live_image(mut self) -> Flags {
        let live = [
            "-fPIC",
            "-fno-semantic-interposition",
            "-ftls-model=initial-exec",
            "-fno-lto",
        ];
        self.extra.extend(live.map(OsString::from));
        self
    }

    fn arguments(&self) -> Vec<OsString> {
        let joined = |option: &str, value: &OsStr| {
            let mut word = OsString::from(option);
            word.push(value);
            word
        };
        let optimise = self
            .optimise
            .iter()
            .map(|level| joined("-O", OsStr::new(level)));
        let debug = self.debug.then(|| OsString::from("-g"));
        let include = self.include.iter().map(|dir| joined("-I", dir.as_os_str()));
        let defines = self.defines.iter().map(|d| joined("-D", OsStr::new(d)));
        optimise
            .chain(debug)
            .chain(include)
            .chain(defines)
            .chain(self.extra.iter().cloned())
            .collect()
    }
}

/// The compilers' names, or paths.
#[derive(Clone, Debug)]
pub struct Tools {
    /// For C.
    pub cc: OsString,
    /// For C++.
    pub cxx: OsString,
}

impl Default for Tools {
    fn default() -> Tools {
        Tools {
            cc: "cc".into(),
            cxx: "c++".into(),
        }
    }
}

impl Tools {
    fn for_language(&self, language: Language) -> &OsStr {
        match language {
            Language::C => &self.cc,
            Language::Cxx => &self.cxx,
        }
    }
}

/// What became of a source.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What messages call the object: the source's name.
    pub name: String,
    /// A relocatable ELF object.
    pub object: Vec<u8>,
    /// What the compiler had to say all the same, as it wrote it; often empty.
    pub warnings: String,
}

/// Why there is no object.
#[derive(Debug)]
pub enum CompileError {
    /// The compiler is not installed.
    NoCompiler {
        /// The name under which it was looked for.
        name: String,
        /// The Debian packages that bring it.
        packages: &'static str,
    },
    /// The compiler would not have it; its own messages, as it wrote them.
    Rejected(String),
    /// The compiler was killed, or something around it failed.
    Failed(String),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileError::NoCompiler { name, packages } => write!(
                f,
                "no compiler: `{name}` is not installed\n\
                 install it with: apt-get install {packages}"
            ),
            CompileError::Rejected(messages) => f.write_str(messages.trim_end()),
            CompileError::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for CompileError {}

/// Compiles every source, at most one for each core at a time, and gives the
/// objects in the sources' order. When some do not compile, the error has the
/// messages of all that were tried; no new one is begun after the first.
///
/// With a cache, a source whose object is there is not compiled.
pub fn compile(
    sources: &[Source],
    flags: &Flags,
    tools: &Tools,
    cache: Option<&Cache>,
) -> Result<Vec<Compiled>, CompileError> {
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let scratch = Scratch::new().map_err(|error| CompileError::Failed(error.to_string()))?;
    let job = Job {
        options: flags.arguments(),
        tools,
        cache,
        scratch: scratch.path(),
    };
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<Compiled, CompileError>)>> = Mutex::default();
    let work = || {
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some(source) = sources.get(index)
        {
            let result = job.compile(index, source);
            if result.is_err() {
                next.store(sources.len(), Ordering::Relaxed);
            }
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.push((index, result));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 1..cores.min(sources.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    gather(results.into_iter().map(|(_, result)| result))
}

/// All objects, or one error for all that failed.
fn gather(
    results: impl Iterator<Item = Result<Compiled, CompileError>>,
) -> Result<Vec<Compiled>, CompileError> {
    let mut compiled = Vec::new();
    let mut rejected = String::new();
    for result in results {
        match result {
            Ok(object) => compiled.push(object),
            Err(CompileError::Rejected(messages)) => rejected.push_str(&messages),
            Err(other) => return Err(other),
        }
    }
    match rejected.is_empty() {
        true => Ok(compiled),
        false => Err(CompileError::Rejected(rejected)),
    }
}

/// What the compilations of one call have in common.
struct Job<'a> {
    options: Vec<OsString>,
    tools: &'a Tools,
    cache: Option<&'a Cache>,
    scratch: &'a Path,
}

impl Job<'_> {
    /// Takes a source's object from the cache, or makes it and keeps it there.
    fn compile(&self, index: usize, source: &Source) -> Result<Compiled, CompileError> {
        let name = source.name();
        let Some(cache) = self.cache else {
            return self.run(index, source).map(|(compiled, _)| compiled);
        };
        let text = match source {
            Source::Text { text, .. } => text.clone().into_bytes(),
            Source::File { path, .. } => std::fs::read(path)
                .map_err(|error| CompileError::Failed(format!("{name}: {error}")))?,
        };
        let key = cache.key(&Making {
            compiler: self.tools.for_language(source.language()),
            options: &self.options,
            name: &name,
            text: &text,
        });
        if let Some(Kept { object, warnings }) = key.and_then(|key| cache.find(key)) {
            return Ok(Compiled {
                name,
                object,
                warnings,
            });
        }
        let (compiled, headers) = self.run(index, source)?;
        if let Some(key) = key {
            let kept = Kept {
                object: compiled.object.clone(),
                warnings: compiled.warnings.clone(),
            };
            cache.keep(key, &text, &headers, &kept);
        }
        Ok(compiled)
    }

    /// Runs the compiler. Gives the object, and the headers that it read when
    /// there is a cache that wants to know.
    fn run(&self, index: usize, source: &Source) -> Result<(Compiled, Vec<PathBuf>), CompileError> {
        let name = source.name();
        let failed = |error: io::Error| CompileError::Failed(format!("{name}: {error}"));
        let folder = self.scratch.join(index.to_string());
        std::fs::create_dir(&folder).map_err(failed)?;
        let (object, rule) = (folder.join("object.o"), folder.join("rule.d"));
        let tool = self.tools.for_language(source.language());

        let mut command = Command::new(tool);
        command
            .arg("-c")
            .args(&self.options)
            .arg("-o")
            .arg(&object)
            .args(["-x", source.language().option()])
            .env("TMPDIR", self.scratch)
            .stdin(Stdio::null());
        if self.cache.is_some() {
            command.args(["-MD", "-MF"]).arg(&rule);
        }
        let path = match source {
            Source::File { path, .. } => path.clone(),
            Source::Text { name, text, .. } => {
                let path = folder.join(name);
                std::fs::write(&path, text).map_err(failed)?;
                let mut map = OsString::from("-ffile-prefix-map=");
                map.push(&folder);
                map.push("/=");
                command.args(["-iquote", "."]).arg(map);
                path
            }
        };
        let output = match command.arg(&path).output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CompileError::NoCompiler {
                    name: tool.to_string_lossy().into_owned(),
                    packages: source.language().packages(),
                });
            }
            other => other.map_err(failed)?,
        };
        let messages = messages(&output, &folder);
        if !output.status.success() {
            return Err(rejection(&name, &output, messages));
        }
        let headers = std::fs::read_to_string(&rule)
            .map(|rule| headers_of_rule(&rule))
            .unwrap_or_default();
        let compiled = Compiled {
            name: name.clone(),
            object: std::fs::read(&object).map_err(failed)?,
            warnings: messages,
        };
        // The source's text is in the key already.
        Ok((
            compiled,
            headers
                .into_iter()
                .filter(|header| *header != path)
                .collect(),
        ))
    }
}

/// Why a compiler did not succeed.
fn rejection(name: &str, output: &Output, messages: String) -> CompileError {
    match output.status.signal() {
        Some(signal) => CompileError::Failed(format!(
            "{name}: the compiler was killed by {}",
            crate::worker::signals::describe(signal)
        )),
        None if messages.is_empty() => CompileError::Failed(format!(
            "{name}: the compiler failed without a word ({})",
            output.status
        )),
        None => CompileError::Rejected(messages),
    }
}

/// What the compiler wrote, with text that is in no file called by its name
/// alone.
fn messages(output: &Output, folder: &Path) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.replace(&format!("{}/", folder.display()), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, text: &str) -> Source {
        Source::Text {
            name: name.to_owned(),
            language: Language::of(Path::new(name)).unwrap(),
            text: text.to_owned(),
        }
    }

    fn leftovers() -> usize {
        let ours = format!("sapwood-{}-", std::process::id());
        std::fs::read_dir(std::env::temp_dir())
            .unwrap()
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_string_lossy().starts_with(&ours)
            })
            .count()
    }

    /// One test, because it counts the folders of this process.
    #[test]
    fn sources_become_objects_or_the_compilers_own_words() {
        let flags = Flags {
            optimise: Some("1".into()),
            debug: true,
            defines: vec!["ANSWER=42".into()],
            ..Flags::default()
        }
        .for_a_live_image();
        let tools = Tools::default();
        let many: Vec<Source> = (0..5)
            .map(|n| text(&format!("f{n}.c"), "int f(void) { return ANSWER; }"))
            .collect();
        let compiled = compile(&many, &flags, &tools, None).unwrap();
        let names: Vec<&str> = compiled.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["f0.c", "f1.c", "f2.c", "f3.c", "f4.c"]);
        for one in &compiled {
            assert!(one.object.starts_with(b"\x7fELF") && one.warnings.is_empty());
            // No trace of the scratch folder: the same source gives the same
            // bytes wherever it is compiled.
            let needle = b"sapwood-";
            assert!(!one.object.windows(needle.len()).any(|w| w == needle));
        }

        let bad = [
            text("good.c", "int good;"),
            text("bad.c", "int x;\nint f() { return y; }\n"),
        ];
        let error = compile(&bad, &flags, &tools, None).unwrap_err().to_string();
        assert!(
            error.contains("bad.c:2:") && error.contains("undeclared"),
            "{error}"
        );
        assert!(!error.contains("/bad.c"), "{error}");

        let missing = Source::file("no/such/file.c").unwrap();
        let error = compile(&[missing], &flags, &tools, None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("no/such/file.c"), "{error}");

        let nothing = Tools {
            cc: "no-such-compiler".into(),
            ..Tools::default()
        };
        let error = compile(&many, &flags, &nothing, None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("apt-get install gcc libc6-dev"), "{error}");
        assert_eq!(leftovers(), 0);
    }
}
