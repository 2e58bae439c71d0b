//! Holds the architecture: reads the tree and compares it with what the design
//! says, so that it cannot rot in silence.
//!
//! When one of these fails, the question is whether the change is meant; if it
//! is, the table here changes with it, in the same commit, with the reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may use whom among our crates.
const IMPORTS: [(&str, &[&str]); 5] = [
    ("link", &[]),
    ("dwarf", &[]),
    ("dbg", &["dwarf", "link"]),
    ("emu", &["link"]),
    (".", &["dbg", "dwarf", "emu", "link"]),
];

/// Crates that only the binary may use: it alone knows a terminal.
const TERMINAL: [&str; 4] = ["crossterm", "lexopt", "ratatui", "rustyline"];

/// Folders with code in them.
const FOLDERS: [&str; 6] = ["src", "dbg", "dwarf", "emu", "link", "tests"];

/// Folders of programs that tests compile and look at: no code of ours.
const FIXTURES: [&str; 2] = ["fixtures", "programs"];

/// The files in which `unsafe` may be written, one a line.
const UNSAFE_FILES: &str = include_str!("unsafe-files.txt");

/// A file longer than this wants to be two.
const MOST_LINES: usize = 800;

/// A file larger than this is data that a script should make, not keep.
const MOST_BYTES: u64 = 200_000;

/// Files that are longer all the same, and how long they may get: to be taken
/// apart, and never to grow.
const LONG_FILES: [(&str, usize); 2] =
    [("dwarf/src/types.rs", 830), ("emu/src/riscv/lift.rs", 840)];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of ours: its path from the root, and its text.
fn sources() -> Vec<(String, String)> {
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| root().join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !FIXTURES.iter().any(|name| path.ends_with(name)) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(found.len() > 30, "the tree was not found");
    found
}

/// A file's text without comments and the contents of strings.
fn code_only(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        let mut in_string = false;
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\\' if in_string => drop(characters.next()),
                '"' => in_string = !in_string,
                '/' if !in_string && characters.peek() == Some(&'/') => break,
                other if !in_string => code.push(other),
                _ => {}
            }
        }
        code.push('\n');
    }
    code
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|found| found == word)
}

/// Fails with every offender, not only the first.
fn none(rule: &str, offenders: &[String]) {
    assert!(
        offenders.is_empty(),
        "{rule}:\n  {}",
        offenders.join("\n  ")
    );
}

#[test]
fn every_file_opens_with_its_page() {
    let without: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! ") || text.starts_with("//! placeholder"))
        .map(|(name, _)| name)
        .collect();
    none("a file opens with a `//!` page", &without);
}

#[test]
fn no_file_is_long() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|(name, text)| {
            let known = LONG_FILES.iter().find(|(long, _)| long == name);
            text.lines().count() > known.map_or(MOST_LINES, |(_, most)| *most)
        })
        .map(|(name, text)| format!("{name}: {} lines", text.lines().count()))
        .collect();
    none("a file has a few hundred lines", &long);
}

#[test]
fn no_file_of_the_tree_is_big() {
    let mut folders = vec![root().to_path_buf()];
    let mut big = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            if kind.is_dir() && !["target", ".git"].contains(&name.as_str()) {
                folders.push(path);
            } else if kind.is_file() && entry.metadata().unwrap().len() > MOST_BYTES {
                big.push(name);
            }
        }
    }
    none("what a script can make again is not kept", &big);
}

#[test]
fn unsafe_is_written_in_the_named_files_only() {
    let allowed: BTreeSet<&str> = UNSAFE_FILES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let used: BTreeSet<String> = sources()
        .into_iter()
        .filter(|(_, text)| has_word(&code_only(text), "unsafe"))
        .map(|(name, _)| name)
        .collect();
    let unnamed: Vec<String> = used
        .iter()
        .filter(|name| !allowed.contains(name.as_str()))
        .cloned()
        .collect();
    none("`unsafe` outside tests/unsafe-files.txt", &unnamed);
    let stale: Vec<String> = allowed
        .iter()
        .filter(|name| !used.contains(**name))
        .map(|name| (*name).to_owned())
        .collect();
    none("named in tests/unsafe-files.txt for nothing", &stale);
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let mut silent = Vec::new();
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let code = code_only(line);
            if !code.contains("unsafe {") && !code.contains("unsafe impl") {
                continue;
            }
            let above = lines[index.saturating_sub(12)..=index].iter();
            if !above.rev().any(|line| line.contains("SAFETY:")) {
                silent.push(format!("{name}:{}", index + 1));
            }
        }
    }
    none("an unsafe block without `// SAFETY:` above it", &silent);
}

#[test]
fn dwarf_and_the_binary_forbid_unsafe() {
    for file in ["src/main.rs", "dwarf/src/lib.rs"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{file}");
    }
}

/// The names in a manifest's `[dependencies]`.
fn dependencies(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let name = |line: &str| line.split(['.', ' ', '=']).next().unwrap().to_owned();
    text.lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(name)
        .collect()
}

#[test]
fn imports_go_one_way() {
    for (folder, allowed) in IMPORTS {
        let used = dependencies(&root().join(folder).join("Cargo.toml"));
        let forbidden: Vec<String> = used
            .iter()
            .filter_map(|name| name.strip_prefix("sapwood-"))
            .filter(|name| !allowed.contains(name))
            .map(|name| format!("{folder} uses {name}"))
            .collect();
        none("imports go one way", &forbidden);
        let terminal: Vec<String> = used
            .into_iter()
            .filter(|name| folder != "." && TERMINAL.contains(&name.as_str()))
            .map(|name| format!("{folder} uses {name}"))
            .collect();
        none("only the binary knows a terminal", &terminal);
    }
}

#[test]
fn the_core_of_link_does_not_import_its_outside() {
    let outside = ["link/src/worker", "link/src/source", "link/src/lib.rs"];
    let offenders: Vec<String> = sources()
        .into_iter()
        .filter(|(name, _)| name.starts_with("link/src"))
        .filter(|(name, _)| !outside.iter().any(|part| name.starts_with(part)))
        .filter(|(_, text)| {
            let code = code_only(text);
            code.contains("crate::worker") || code.contains("crate::source")
        })
        .map(|(name, _)| name)
        .collect();
    none("link's core imports worker or source", &offenders);
}

#[test]
fn there_is_one_version_of_each_crate_whose_types_we_share() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for name in ["gimli", "object"] {
        let versions = lock.matches(&format!("name = \"{name}\"\n")).count();
        assert_eq!(versions, 1, "{name}");
    }
}
