//! [`definers`]: which of the machine's shared libraries define some names.
//!
//! A library is asked by its dynamic symbol table alone, of which only the pages
//! with the table are read. When more than one library defines a name, the one
//! that defines most of what is wanted is taken, then the one that is found
//! first: the names that a program wants of a library are seldom only one.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, Sym};
use object::{Endianness, ReadCache};

use super::library::SYSTEM_FOLDERS;

/// Libraries that stand in the way of others' functions, for checking tools:
/// they define much, and are never what is meant.
const INTERPOSERS: [&str; 7] = [
    "libasan.",
    "libhwasan.",
    "liblsan.",
    "libtsan.",
    "libubsan.",
    "libjemalloc.",
    "libtcmalloc",
];

/// The libraries to open so that these names are defined, in the order in which
/// they were chosen, from `folders` and those that the loader searches. What
/// nobody defines is left out in silence: the link will say so.
pub fn definers(names: &[String], folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut wanted: BTreeSet<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    let mut candidates: Vec<(PathBuf, BTreeSet<&[u8]>)> = libraries(folders)
        .into_iter()
        .map(|path| {
            let defined = defined_of(&path, &wanted).unwrap_or_default();
            (path, defined)
        })
        .filter(|(_, defined)| !defined.is_empty())
        .collect();
    let mut chosen = Vec::new();
    while !wanted.is_empty() {
        let most = candidates.iter().map(|(_, defined)| defined.len()).max();
        let best = candidates
            .iter()
            .position(|(_, defined)| Some(defined.len()) == most && !defined.is_empty());
        let Some(best) = best else {
            break;
        };
        let (path, defined) = candidates.remove(best);
        chosen.push(path);
        wanted.retain(|name| !defined.contains(name));
        for (_, others) in &mut candidates {
            others.retain(|name| !defined.contains(name));
        }
    }
    chosen
}

/// Every shared library of the folders, once for each file.
fn libraries(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let system = SYSTEM_FOLDERS.iter().map(PathBuf::from);
    let all = folders.iter().cloned().chain(configured()).chain(system);
    for folder in all {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_library(name))
            .collect();
        // `libz.so.1` before `libz.so.1.2.13`: the name that programs ask for.
        names.sort_by_key(|name| (name.len(), name.clone()));
        for name in names {
            let path = folder.join(name);
            if let Ok(real) = path.canonicalize()
                && seen.insert(real)
            {
                found.push(path);
            }
        }
    }
    found
}

fn is_library(name: &str) -> bool {
    let shared = name.starts_with("lib") && (name.ends_with(".so") || name.contains(".so."));
    shared && !INTERPOSERS.iter().any(|other| name.starts_with(other))
}

/// The folders that the loader was configured with.
fn configured() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/ld.so.conf")];
    let more = std::fs::read_dir("/etc/ld.so.conf.d").into_iter().flatten();
    files.extend(more.flatten().map(|entry| entry.path()));
    files.sort();
    let lines = files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines
        .map(|line| line.trim().to_owned())
        .filter(|line| line.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// Which of the wanted names a library defines. An error for what is no shared
/// library of this machine's.
fn defined_of<'n>(
    path: &Path,
    wanted: &BTreeSet<&'n [u8]>,
) -> Result<BTreeSet<&'n [u8]>, Box<dyn std::error::Error>> {
    let cache = ReadCache::new(File::open(path)?);
    let header = FileHeader64::<Endianness>::parse(&cache)?;
    let endian = header.endian()?;
    if header.e_type(endian) != elf::ET_DYN || header.e_machine(endian) != elf::EM_X86_64 {
        return Ok(BTreeSet::new());
    }
    let sections = header.sections(endian, &cache)?;
    let symbols = sections.symbols(endian, &cache, elf::SHT_DYNSYM)?;
    let strings = symbols.strings();
    let mut defined = BTreeSet::new();
    for symbol in symbols.iter() {
        let is_for_all = matches!(
            symbol.st_bind(),
            elf::STB_GLOBAL | elf::STB_WEAK | elf::STB_GNU_UNIQUE
        );
        if is_for_all
            && !symbol.is_undefined(endian)
            && let Ok(name) = symbol.name(endian, strings)
            && let Some(name) = wanted.get(name)
        {
            defined.insert(*name);
        }
    }
    Ok(defined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_the_maths_library_is_found_in_it() {
        let found = definers(&["cbrtl".to_owned(), "no_such_name".to_owned()], &[]);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string_lossy().contains("libm"), "{found:?}");
        assert!(definers(&["no_such_name".to_owned()], &[]).is_empty());
    }
}
