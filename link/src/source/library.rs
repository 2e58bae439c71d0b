//! [`find_library`]: what `-l NAME` means.
//!
//! As a linker does it: in each folder, the shared library before the archive.
//! A shared library may be a linker script, a text that names others; only
//! what Debian's say (`GROUP`, `INPUT`, `AS_NEEDED`) is understood.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where libraries are looked for after the folders that the user gave.
pub const SYSTEM_FOLDERS: [&str; 8] = [
    "/usr/local/lib/x86_64-linux-gnu",
    "/usr/local/lib",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// A library that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Library {
    /// Opened in the worker.
    Shared(PathBuf),
    /// Linked from.
    Archive(PathBuf),
}

/// Why a library was not found.
#[derive(Debug)]
pub enum LibraryError {
    /// It is in none of the folders.
    NotFound {
        /// The name after `-l`.
        name: String,
    },
    /// A linker script says what is not understood.
    Script {
        /// The script.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for LibraryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LibraryError::NotFound { name } => {
                write!(f, "-l{name}: neither lib{name}.so nor lib{name}.a is there")
            }
            LibraryError::Script { path, why } => {
                write!(f, "{}: linker script: {why}", path.display())
            }
        }
    }
}

impl std::error::Error for LibraryError {}

/// Finds `lib{name}.so` or `lib{name}.a` in `folders`, then in the
/// [system's](SYSTEM_FOLDERS). A library without its development package is
/// found too, by its numbered name. A script may name more than one.
pub fn find_library(name: &str, folders: &[PathBuf]) -> Result<Vec<Library>, LibraryError> {
    let everywhere = || {
        let system = SYSTEM_FOLDERS.iter().map(PathBuf::from);
        folders.iter().cloned().chain(system)
    };
    for folder in everywhere() {
        let shared = folder.join(format!("lib{name}.so"));
        if shared.is_file() {
            return open_script(shared);
        }
        let archive = folder.join(format!("lib{name}.a"));
        if archive.is_file() {
            return Ok(vec![Library::Archive(archive)]);
        }
    }
    everywhere()
        .find_map(|folder| numbered(&folder, name))
        .map(|path| vec![Library::Shared(path)])
        .ok_or_else(|| LibraryError::NotFound {
            name: name.to_owned(),
        })
}

/// The library of the highest number: `libz.so.1` for `z`.
fn numbered(folder: &Path, name: &str) -> Option<PathBuf> {
    let prefix = format!("lib{name}.so.");
    std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| {
            let file_name = entry.ok()?.file_name().into_string().ok()?;
            let number: u32 = file_name.strip_prefix(&prefix)?.parse().ok()?;
            Some((number, folder.join(file_name)))
        })
        .max()
        .map(|(_, path)| path)
}

/// What a file named like a shared library stands for.
fn open_script(path: PathBuf) -> Result<Vec<Library>, LibraryError> {
    /// No script is longer than this; what is, is a library.
    const LONGEST_SCRIPT: u64 = 4096;
    let mut start = Vec::new();
    let read = std::fs::File::open(&path)
        .and_then(|file| file.take(LONGEST_SCRIPT).read_to_end(&mut start));
    match read {
        Ok(_) if !start.starts_with(b"\x7fELF") => {}
        // Let whoever opens the library say what is wrong with it.
        _ => return Ok(vec![Library::Shared(path)]),
    }
    files_of_script(&String::from_utf8_lossy(&start))
        .map_err(|why| LibraryError::Script { path, why })
}

/// The files that a linker script names, in order.
fn files_of_script(text: &str) -> Result<Vec<Library>, String> {
    let text = without_comments(text);
    let spaced = text
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace(',', " ");
    let mut found = Vec::new();
    let mut words = spaced.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "OUTPUT_FORMAT" => {
                // Its value is in parentheses.
                words.by_ref().find(|word| *word == ")");
            }
            "GROUP" | "INPUT" | "AS_NEEDED" | "(" | ")" => {}
            file if file.starts_with('/') && file.ends_with(".a") => {
                found.push(Library::Archive(file.into()));
            }
            file if file.starts_with('/') => found.push(Library::Shared(file.into())),
            other => return Err(format!("{other:?} is not understood")),
        }
    }
    match found.is_empty() {
        true => Err("it names no library".to_owned()),
        false => Ok(found),
    }
}

fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, comment)) = rest.split_once("/*") {
        kept.push_str(before);
        kept.push(' ');
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_scripts_are_understood() {
        let libm = "/* GNU ld script\n*/\nOUTPUT_FORMAT(elf64-x86-64)\n\
             GROUP ( /lib/x86_64-linux-gnu/libm.so.6  AS_NEEDED ( /lib/x86_64-linux-gnu/libmvec.so.1 ) )\n";
        let shared = |path: &str| Library::Shared(path.into());
        assert_eq!(
            files_of_script(libm).unwrap(),
            [
                shared("/lib/x86_64-linux-gnu/libm.so.6"),
                shared("/lib/x86_64-linux-gnu/libmvec.so.1")
            ]
        );
        let libc = "GROUP ( /lib/libc.so.6 /usr/lib/libc_nonshared.a  AS_NEEDED ( /lib64/ld.so ) )";
        assert_eq!(
            files_of_script(libc).unwrap()[1],
            Library::Archive("/usr/lib/libc_nonshared.a".into())
        );
        assert!(files_of_script("INPUT(-ltinfo)").is_err());
        assert!(files_of_script("/* never ends").is_err());
    }

    #[test]
    fn the_systems_libraries_are_found() {
        let found = find_library("m", &[]).unwrap();
        assert!(matches!(&found[0], Library::Shared(path) if path.ends_with("libm.so.6")));
        let error = find_library("no_such_library", &[]).unwrap_err();
        assert!(error.to_string().contains("libno_such_library.so"));
    }
}
