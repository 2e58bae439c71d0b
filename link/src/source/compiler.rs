//! [`compile`]: sources to relocatable objects, through the machine's own
//! compilers.
//!
//! Each source is one run of its compiler in a [`Scratch`] folder, as many at a
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
use std::time::SystemTime;

use super::cache::{Cache, Kept, Making, changed_before, headers_of_rule};
use super::language::{Flags, Language, Source, Tools};
use super::rust;
use super::scratch::Scratch;

/// What became of a source.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What messages call the object: the source's name.
    pub name: String,
    /// A relocatable ELF object.
    pub object: Vec<u8>,
    /// What the compiler had to say all the same, as it wrote it; often empty.
    pub warnings: String,
    /// The headers that it was made from, when nothing else made it what it is:
    /// known with a cache only, and not for a source that asks for the time.
    pub headers: Option<Vec<PathBuf>>,
}

/// Why there is no object.
#[derive(Debug)]
pub enum CompileError {
    /// The compiler is not installed.
    NoCompiler {
        /// The name under which it was looked for.
        name: String,
        /// What brings it.
        install: &'static str,
    },
    /// The compiler would not have it; its own messages, as it wrote them.
    Rejected(String),
    /// The compiler was killed, or something around it failed.
    Failed(String),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileError::NoCompiler { name, install } => write!(
                f,
                "no compiler: `{name}` is not installed\n\
                 install it with: {install}"
            ),
            CompileError::Rejected(messages) => f.write_str(messages.trim_end()),
            CompileError::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for CompileError {}

impl CompileError {
    pub(super) fn no_compiler(name: &OsStr, language: Language) -> CompileError {
        CompileError::NoCompiler {
            name: name.to_string_lossy().into_owned(),
            install: language.how_to_install(),
        }
    }
}

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
        flags,
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

/// Whether a file was left alone since then: the text that was read is what the
/// compiler read.
fn is_as_at(source: &Source, began: SystemTime) -> bool {
    match source {
        Source::File { path, .. } => {
            std::fs::metadata(path).is_ok_and(|metadata| changed_before(&metadata, began))
        }
        Source::Text { .. } => true,
    }
}

/// What the compilations of one call have in common.
struct Job<'a> {
    flags: &'a Flags,
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
        let began = SystemTime::now();
        let text = match source {
            Source::Text { text, .. } => text.clone().into_bytes(),
            Source::File { path, .. } => std::fs::read(path)
                .map_err(|error| CompileError::Failed(format!("{name}: {error}")))?,
        };
        let key = cache.key(&Making {
            compiler: self.tools.for_language(source.language()),
            language: source.language(),
            options: &self.flags.arguments(source.language()),
            name: &name,
            text: &text,
        });
        let found = key.and_then(|key| cache.find(key));
        if let Some((Kept { object, warnings }, headers)) = found {
            return Ok(Compiled {
                name,
                object,
                warnings,
                headers: Some(headers),
            });
        }
        let (mut compiled, headers) = self.run(index, source)?;
        if let Some(key) = key.filter(|_| is_as_at(source, began))
            && let Some(headers) = headers
        {
            let kept = Kept {
                object: compiled.object.clone(),
                warnings: compiled.warnings.clone(),
            };
            if cache.keep(key, began, &text, &headers, &kept) {
                compiled.headers = Some(headers);
            }
        }
        Ok(compiled)
    }

    /// Runs the compiler. Gives the object, and the headers that it read when
    /// there is a cache that wants to know; none when it was made from more than
    /// files.
    fn run(
        &self,
        index: usize,
        source: &Source,
    ) -> Result<(Compiled, Option<Vec<PathBuf>>), CompileError> {
        let name = source.name();
        let failed = |error: io::Error| CompileError::Failed(format!("{name}: {error}"));
        let folder = self.scratch.join(index.to_string());
        std::fs::create_dir(&folder).map_err(failed)?;
        let (object, rule) = (folder.join("object.o"), folder.join("rule.d"));
        let tool = self.tools.for_language(source.language());

        let path = match source {
            Source::File { path, .. } => path.clone(),
            Source::Text { name, text, .. } => {
                let path = folder.join(name);
                std::fs::write(&path, text).map_err(failed)?;
                path
            }
        };
        let is_text = matches!(source, Source::Text { .. });
        let run = |program: bool| {
            let mut command = match source.language() {
                Language::Rust => self.rustc(program, &object, &rule),
                language => self.cc(language, &object, &rule, is_text.then_some(&folder)),
            };
            match command.arg(&path).output() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Err(CompileError::no_compiler(tool, source.language()))
                }
                other => other.map_err(failed),
            }
        };
        let output = match source.language() {
            Language::Rust => {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let program = rust::has_main(&text);
                let output = run(program)?;
                // A library whose text looked like a program's.
                match program && String::from_utf8_lossy(&output.stderr).contains("error[E0601]") {
                    true => run(false)?,
                    false => output,
                }
            }
            _ => run(false)?,
        };
        let messages = messages(&output, &folder);
        if !output.status.success() {
            return Err(rejection(&name, &output, messages));
        }
        let rule = std::fs::read_to_string(&rule).unwrap_or_default();
        let compiled = Compiled {
            name: name.clone(),
            object: std::fs::read(&object).map_err(failed)?,
            warnings: messages,
            headers: None,
        };
        // The source's text is in the key already.
        let headers = headers_of_rule(&rule);
        let others = headers.map(|all| all.into_iter().filter(|one| *one != path).collect());
        Ok((compiled, others))
    }
}

impl Job<'_> {
    /// The command for all compilers but `rustc`. Text that is in no file lies in
    /// `folder`.
    fn cc(
        &self,
        language: Language,
        object: &Path,
        rule: &Path,
        folder: Option<&PathBuf>,
    ) -> Command {
        let mut command = self.command(language);
        command
            .arg("-c")
            .args(self.flags.arguments(language))
            .arg("-o")
            .arg(object)
            .args(["-x", language.option()]);
        if self.cache.is_some() {
            command.args(["-MD", "-MF"]).arg(rule);
        }
        if let Some(folder) = folder {
            let mut map = OsString::from("-ffile-prefix-map=");
            map.push(folder);
            map.push("/=");
            command.args(["-iquote", "."]).arg(map);
        }
        command
    }

    /// The command for `rustc`: a program's `main` is C's too, a library's
    /// public `extern "C"` functions are there for others.
    fn rustc(&self, program: bool, object: &Path, rule: &Path) -> Command {
        let emit = |kind: &str, path: &Path| {
            let mut word = OsString::from(format!("{kind}="));
            word.push(path);
            word
        };
        let mut command = self.command(Language::Rust);
        command
            .args(self.flags.arguments(Language::Rust))
            .arg(if program {
                "--crate-type=bin"
            } else {
                "--crate-type=lib"
            })
            .arg("--emit")
            .arg(emit("obj", object));
        if self.cache.is_some() {
            command.arg("--emit").arg(emit("dep-info", rule));
        }
        command
    }

    fn command(&self, language: Language) -> Command {
        let mut command = Command::new(self.tools.for_language(language));
        command.env("TMPDIR", self.scratch).stdin(Stdio::null());
        command
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
