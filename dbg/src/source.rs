//! [`Sources`]: the text of source files, of snippets too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::event::SourceLines;

/// A source file larger than this is not read.
const LARGEST: u64 = 256 << 20;

/// The text of source files, read when first asked for; that of snippets, which
/// are in no file, is given.
#[derive(Default)]
pub struct Sources {
    /// What is in no file.
    kept: FxHashMap<PathBuf, Arc<[String]>>,
    /// What was read, or why it could not be.
    texts: FxHashMap<PathBuf, Result<Arc<[String]>, String>>,
    /// Folders to look in for a file that is not where the compiler found it.
    folders: Vec<PathBuf>,
    /// Those that the user named, which come before them.
    named: Vec<PathBuf>,
    /// What is elsewhere now: the beginning of a path, and what it is today.
    moved: Vec<(PathBuf, PathBuf)>,
}

fn split(text: &str) -> Arc<[String]> {
    text.lines().map(str::to_owned).collect()
}

fn read(path: &Path) -> Result<Arc<[String]>, std::io::Error> {
    let size = std::fs::metadata(path)?.len();
    if size > LARGEST {
        return Err(std::io::Error::other("is too large"));
    }
    Ok(split(&String::from_utf8_lossy(&std::fs::read(path)?)))
}

impl Sources {
    /// Keeps the text of something that is in no file.
    pub fn keep(&mut self, name: impl Into<PathBuf>, text: &str) {
        self.kept.insert(name.into(), split(text));
    }

    /// Also looks in this folder for files that are not where they were.
    pub fn add_folder(&mut self, folder: &Path) {
        if !self.folders.iter().any(|f| f == folder) {
            self.folders.push(folder.to_owned());
        }
    }

    /// The folders that the user named.
    pub fn named_folders(&self) -> &[PathBuf] {
        &self.named
    }

    /// Takes folders of the user's to look in first; none is as at the start.
    pub fn name_folders(&mut self, folders: Vec<PathBuf>) {
        match folders.is_empty() {
            true => self.named.clear(),
            false => {
                self.named.retain(|folder| !folders.contains(folder));
                self.named.splice(0..0, folders);
            }
        }
        self.texts.clear();
    }

    /// Paths that are elsewhere now.
    pub fn moved(&self) -> &[(PathBuf, PathBuf)] {
        &self.moved
    }

    /// What lay below `from` lies below `to` now.
    pub fn move_to(&mut self, from: PathBuf, to: PathBuf) {
        self.moved.retain(|(known, _)| *known != from);
        self.moved.push((from, to));
        self.texts.clear();
    }

    /// What lay below `from` (all, when `None`) is where it was.
    pub fn move_back(&mut self, from: Option<&Path>) {
        self.moved
            .retain(|(known, _)| from.is_some_and(|from| from != known));
        self.texts.clear();
    }

    /// Where a file is looked for first.
    fn today(&self, file: &Path) -> PathBuf {
        let found = self.moved.iter().find_map(|(from, to)| {
            let rest = file.strip_prefix(from).ok()?;
            Some(to.join(rest))
        });
        found.unwrap_or_else(|| file.to_owned())
    }

    /// Forgets what was read from files, because they may have changed.
    pub fn refresh(&mut self) {
        self.texts.clear();
    }

    /// The lines of a file.
    pub fn text(&mut self, file: &Path) -> Result<Arc<[String]>, String> {
        if let Some(text) = self.kept.get(file) {
            return Ok(text.clone());
        }
        if let Some(text) = self.texts.get(file) {
            return text.clone();
        }
        let text = read(&self.today(file)).or_else(|error| {
            // A folder may have the whole path below it, or just the file.
            let below = file.strip_prefix("/").unwrap_or(file);
            let elsewhere = file.file_name().and_then(|name| {
                self.named.iter().chain(&self.folders).find_map(|folder| {
                    read(&folder.join(below))
                        .or_else(|_| read(&folder.join(name)))
                        .ok()
                })
            });
            elsewhere.ok_or_else(|| match error.kind() {
                std::io::ErrorKind::NotFound => "No such file or directory".to_owned(),
                _ => error.to_string(),
            })
        });
        self.texts.insert(file.to_owned(), text.clone());
        text
    }

    /// Lines `first` to `last` of a file, as far as it has them.
    pub fn lines(
        &mut self,
        file: &Arc<Path>,
        first: u32,
        last: u32,
        current: Option<u32>,
    ) -> SourceLines {
        let first = first.max(1);
        let (lines, missing) = match self.text(file) {
            Ok(text) => {
                let from = (first as usize - 1).min(text.len());
                let to = (last as usize).clamp(from, text.len());
                (text[from..to].to_vec(), None)
            }
            Err(why) => (Vec::new(), Some(why)),
        };
        SourceLines {
            file: file.clone(),
            first,
            lines,
            current,
            missing,
        }
    }
}
