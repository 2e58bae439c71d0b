//! [`Compiler`]: whoever turns C into objects; [`Cc`] asks the system's.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{DECLARATIONS, Dialect};

/// What is to be compiled.
#[derive(Clone, Copy, Debug)]
pub enum SourceFile<'a> {
    /// A text that is in no file. `#line` in it says what its lines are called.
    Text(&'a str),
    /// The same in C++, by a standard if one is named.
    Cpp(&'a str, Option<&'a str>),
    /// A file.
    File(&'a Path),
    /// A file, each of its functions and variables in a section of its own.
    Sectioned(&'a Path),
}

/// A compiled object.
#[derive(Clone, Debug)]
pub struct Object {
    /// A relocatable ELF object with debug information.
    pub bytes: Vec<u8>,
    /// What the compiler had to say all the same.
    pub warnings: String,
}

/// Turns C and C++ into relocatable objects with debug information, position
/// independent, unoptimised.
pub trait Compiler {
    /// Compiles, or gives the compiler's own messages.
    fn compile(&mut self, source: SourceFile<'_>) -> Result<Object, String>;
}

/// The system's compilers: `$CC` or `cc` for C, `$CXX` or `c++` for C++.
#[derive(Clone, Debug)]
pub struct Cc {
    c: OsString,
    cpp: OsString,
}

impl Default for Cc {
    fn default() -> Cc {
        let chosen = |variable: &str, usual: &str| {
            let set = std::env::var_os(variable).filter(|cc| !cc.is_empty());
            set.unwrap_or_else(|| usual.into())
        };
        Cc {
            c: chosen("CC", "cc"),
            cpp: chosen("CXX", "c++"),
        }
    }
}

/// A file that goes away with its owner.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Temporary {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sapwood-{}-{number}.o", std::process::id());
        Temporary(std::env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What is always asked for. Unused values and the like are no news in a
/// snippet.
const FLAGS: &[&str] = &["-g", "-O0", "-fPIC", "-c", "-Wno-unused-value"];
/// What is asked of a compiler of C.
const C_FLAGS: &[&str] = &["-Wno-builtin-declaration-mismatch"];
/// What is asked of a compiler of C++. A debugger sees what is private.
const CPP_FLAGS: &[&str] = &["-fno-access-control", "-Wno-deprecated"];

/// Whether the name of a file says that it is C++.
fn is_cpp(path: &Path) -> bool {
    let name = path.to_string_lossy();
    Dialect::of_file(&name) == Some(Dialect::Cpp)
}

impl Compiler for Cc {
    fn compile(&mut self, source: SourceFile<'_>) -> Result<Object, String> {
        let output = Temporary::new();
        let is_cpp = match source {
            SourceFile::Text(_) => false,
            SourceFile::Cpp(..) => true,
            SourceFile::File(path) | SourceFile::Sectioned(path) => is_cpp(path),
        };
        let (program, flags) = match is_cpp {
            false => (&self.c, C_FLAGS),
            true => (&self.cpp, CPP_FLAGS),
        };
        let mut command = Command::new(program);
        command.args(FLAGS).args(flags).arg("-o").arg(&output.0);
        let text = match source {
            SourceFile::Text(text) | SourceFile::Cpp(text, _) => {
                // A snippet lies in no folder: its name is its path.
                if let Ok(here) = std::env::current_dir() {
                    let mut map = OsString::from("-fdebug-prefix-map=");
                    map.push(here);
                    map.push("=");
                    command.arg(map);
                }
                if let SourceFile::Cpp(_, Some(standard)) = source {
                    command.arg(format!("-std={standard}"));
                }
                command.args(["-x", if is_cpp { "c++" } else { "c" }, "-"]);
                text
            }
            SourceFile::File(path) => {
                command.arg(path);
                ""
            }
            SourceFile::Sectioned(path) => {
                command.args(["-ffunction-sections", "-fdata-sections"]);
                command.arg(path);
                ""
            }
        };
        let name = program.to_string_lossy();
        let started = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut compiler = started.map_err(|e| {
            let (language, package) = match is_cpp {
                false => ("C", "gcc libc6-dev"),
                true => ("C++", "g++"),
            };
            format!(
                "{name}: {e}. A {language} compiler is needed (Debian: apt-get install {package})."
            )
        })?;
        if let Some(mut input) = compiler.stdin.take() {
            // A compiler that ends early says why on its error output.
            let _ = input.write_all(text.as_bytes());
        }
        let done = compiler
            .wait_with_output()
            .map_err(|e| format!("{name}: {e}"))?;
        let messages = without_repetitions(&String::from_utf8_lossy(&done.stderr));
        if !done.status.success() {
            return Err(match messages.is_empty() {
                true => format!("{name}: {}", done.status),
                false => messages,
            });
        }
        let bytes = std::fs::read(&output.0).map_err(|e| format!("{name}: {e}"))?;
        Ok(Object {
            bytes,
            warnings: messages,
        })
    }
}

/// Names of the wrapper's own, as messages quote them.
const OURS: [&str; 10] = [
    ": In function '__sapwood::result __eval",
    ": In function ‘__sapwood::result __eval",
    ": In lambda function:",
    ": In instantiation of",
    ": In function '__eval",
    ": In function ‘__eval",
    "'__now'",
    "‘__now’",
    "'__is_void'",
    "‘__is_void’",
];

/// The compiler's messages, each once: the last expression of a snippet is
/// compiled more than once. What is said of our own wrapper is left out.
fn without_repetitions(messages: &str) -> String {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in messages.lines() {
        // What the program says of itself is nobody's to change.
        let is_idle = line.starts_with(DECLARATIONS) && line.contains(": warning: ");
        if is_idle || OURS.iter().any(|ours| line.contains(ours)) {
            continue;
        }
        // A message begins with its place; what follows is its illustration.
        match blocks.last_mut() {
            Some(block) if line.starts_with(' ') => block.push(line),
            _ => blocks.push(vec![line]),
        }
    }
    // What our own templates make of an error is no news beside the error.
    let errors = blocks.iter().filter(|block| block[0].contains(": error: "));
    if errors.count() > 1 {
        blocks.retain(|block| !block[0].ends_with(": error: template argument 1 is invalid"));
    }
    let mut seen: Vec<&str> = Vec::new();
    blocks.retain(|block| {
        let new = !seen.contains(&block[0]);
        seen.push(block[0]);
        new
    });
    blocks.concat().join("\n")
}

#[cfg(test)]
mod tests {
    use super::without_repetitions;

    #[test]
    fn messages_come_once_without_our_wrapper() {
        let messages = "snip.c: In function '__eval1':\nsnip.c:1:1: error: 'x' undeclared\n    1 | x\n      | ^\nsnip.c:1:1: error: 'x' undeclared\n    1 | x\n";
        assert_eq!(
            without_repetitions(messages),
            "snip.c:1:1: error: 'x' undeclared\n    1 | x\n      | ^"
        );
    }
}
