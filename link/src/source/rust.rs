//! What is particular to Rust sources: which toolchain `rustc` stands for, and
//! where its standard library is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::compiler::CompileError;
use super::language::Language;

/// `rustc` may be rustup's, which goes by files to find the real one: what they
/// are says which compiler it was. Their names and marks.
pub(super) fn toolchain_files() -> Vec<(PathBuf, [i64; 4])> {
    let home = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".rustup")));
    let settings = home.map(|home| home.join("settings.toml"));
    let here = std::env::current_dir().unwrap_or_default();
    let above = here
        .ancestors()
        .flat_map(|folder| ["rust-toolchain", "rust-toolchain.toml"].map(|name| folder.join(name)));
    let files = settings.into_iter().chain(above);
    files
        .filter_map(|path| {
            let metadata = std::fs::metadata(&path).ok()?;
            let mark = [
                metadata.len().cast_signed(),
                metadata.mtime(),
                metadata.mtime_nsec(),
                metadata.ino().cast_signed(),
            ];
            Some((path, mark))
        })
        .collect()
}

/// The same as words for a key.
pub(super) fn toolchain_words() -> Vec<Vec<u8>> {
    let word = |(path, mark): (PathBuf, [i64; 4])| {
        let mut word = path.into_os_string().as_bytes().to_vec();
        word.extend(mark.iter().flat_map(|number| number.to_le_bytes()));
        word
    };
    toolchain_files().into_iter().map(word).collect()
}

/// The shared standard library of a `rustc`, which Rust objects are linked
/// with.
pub fn rust_library(rustc: &OsStr) -> Result<PathBuf, CompileError> {
    let output = Command::new(rustc)
        .args(["--print", "target-libdir"])
        .stdin(Stdio::null())
        .output()
        .map_err(|_| CompileError::no_compiler(rustc, Language::Rust))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let folder = Path::new(text.trim());
    let is_std = |name: &str| name.starts_with("libstd-") && name.ends_with(".so");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_std))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found.pop().ok_or_else(|| {
        CompileError::Failed(format!(
            "{}: no libstd-*.so, which Rust objects are linked with",
            folder.display()
        ))
    })
}

/// Whether a source is a program, as far as its text tells.
pub(super) fn has_main(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let main = |pair: &[&str]| pair[0] == "fn" && pair[1].starts_with("main(");
    words.windows(2).any(main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_libraries() {
        assert!(has_main("use std::env;\nfn main() {}"));
        assert!(has_main("pub fn  main( ) {}"));
        assert!(!has_main("pub extern \"C\" fn mainly() {}"));
        assert!(!has_main("fn"));
    }
}
