//! Whole programs that were linked before.
//!
//! A *question* is all that a command line says: files, options, folders, the
//! environment that a compiler reads, who links and who compiles. The answer, a
//! [`KeptImage`], is good while every file that went into it is as it was. That
//! is not found out by reading them (SQLite alone is nine megabytes) but by what
//! the file system says of each: its number, length, and times of change to the
//! nanosecond. The time of change cannot be set back by a user, and a file that
//! was changed less than [`SETTLED`] before its program was compiled is not
//! trusted, so that a clock's coarse step hides nothing. When any mark is
//! another, this file knows nothing, and the objects' cache decides by content.
//!
//! An answer is two files, as all in the cache written under another name and
//! renamed: `.image` holds pages that are mapped as they are, and `.run`, sealed
//! by its hash, the rest and the mark of the `.image`. An image that was written
//! to after it was kept has another mark, and is no image.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use blake3::{Hash, Hasher};

use super::cache::{Cache, VARIABLES, find, unseal};
use super::language::{Language, Tools};
use super::marks::{Looking, Mark};
use super::rust::toolchain_words;
use crate::worker::wire::{Decoder, Encoder, Garbled};
use crate::worker::{Found, KeptImage};

/// Part of every question: another number when what is kept changes its
/// meaning.
const FORMAT: &str = "sapwood run cache 1";

/// How long before the program was begun a file must have been left alone.
const SETTLED: Duration = Duration::from_millis(50);

/// How old a use may be before it is noted again: what was not used for longest
/// is removed first, and days are enough for that.
const NOTED_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Variables that change what is linked, beside those that change what is
/// compiled.
const LOADER_VARIABLES: [&str; 3] = ["LD_LIBRARY_PATH", "LD_PRELOAD", "GLIBC_TUNABLES"];

/// All that a command line says; see the [module page](self).
#[derive(Clone, Copy, Debug)]
pub struct Question(Hash);

/// What is known about a question.
#[derive(Debug)]
pub enum Answer {
    /// The program, linked, and what the compilers had to say.
    Image {
        /// What to start.
        found: Found,
        /// The compilers' words.
        warnings: String,
    },
    /// This program cannot be kept; it is linked anew each time.
    Never,
}

/// A question in the making.
pub struct Asking(Hasher);

impl Asking {
    /// Begins with what every question holds: who links, where, and in what
    /// environment. `None` when that cannot be told.
    pub fn new() -> Option<Asking> {
        let mut asking = Asking(Hasher::new());
        asking.part(FORMAT.as_bytes());
        let linker = fs::metadata("/proc/self/exe").ok()?;
        asking.part(&Mark::of(&linker).bytes());
        asking.part(std::env::current_dir().ok()?.as_os_str().as_bytes());
        for variable in VARIABLES.iter().chain(&LOADER_VARIABLES) {
            let value = std::env::var_os(variable).unwrap_or_default();
            asking.part(value.as_bytes());
        }
        Some(asking)
    }

    /// Adds a word; words are kept apart.
    pub fn part(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Adds a program as it is found in `PATH`, with its mark.
    fn program(&mut self, name: &std::ffi::OsStr) -> Option<()> {
        let path = find(name)?;
        self.part(path.as_os_str().as_bytes());
        self.part(&Mark::of(&fs::metadata(path).ok()?).bytes());
        Some(())
    }

    /// Adds the compiler of a language.
    pub fn compiler(&mut self, tools: &Tools, language: Language) -> Option<()> {
        self.program(tools.for_language(language))?;
        if language == Language::Rust {
            for word in toolchain_words() {
                self.part(&word);
            }
        }
        Some(())
    }

    /// The question.
    pub fn ask(self) -> Question {
        Question(self.0.finalize())
    }
}

/// Whether a file was last changed well before a moment: if it is unchanged now,
/// it is what anybody read since then.
pub(super) fn settled(metadata: &Metadata, began: SystemTime) -> bool {
    let changed = u64::try_from(metadata.ctime())
        .ok()
        .zip(u32::try_from(metadata.ctime_nsec()).ok())
        .map(|(seconds, nanoseconds)| UNIX_EPOCH + Duration::new(seconds, nanoseconds));
    changed.is_some_and(|changed| changed + SETTLED <= began)
}

/// A `.run` file's content.
struct Record {
    /// The mark of the `.image` and the plan; none for a program that cannot be
    /// kept.
    kept: Option<(Mark, Vec<u8>)>,
    warnings: String,
    files: Vec<(PathBuf, Mark)>,
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.tag(u8::from(self.kept.is_some()));
        if let Some((mark, plan)) = &self.kept {
            out.numbers(&mark.0);
            out.bytes(plan);
        }
        out.bytes(self.warnings.as_bytes());
        out.numbers(&[self.files.len() as u64]);
        for (path, mark) in &self.files {
            out.bytes(path.as_os_str().as_bytes());
            out.numbers(&mark.0);
        }
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Record, Garbled> {
        let mut from = Decoder(bytes);
        let record = Record {
            kept: match from.flag()? {
                true => Some((Mark::read(&mut from)?, from.bytes()?.to_vec())),
                false => None,
            },
            warnings: from.text()?,
            files: from.list(|from| {
                let path = std::ffi::OsString::from_vec(from.bytes()?.to_vec());
                Ok((path.into(), Mark::read(from)?))
            })?,
        };
        from.end(record)
    }

    fn still_holds(&self) -> bool {
        let mut looking = Looking::default();
        self.files
            .iter()
            .all(|(path, mark)| looking.mark(path) == Some(*mark))
    }
}

impl Cache {
    /// What is known about a question, when every file is as it was.
    pub fn find_run(&self, question: Question) -> Option<Answer> {
        let path = self.path(question.0, "run");
        let record = Record::decode(&unseal(&path)?).ok()?;
        if !record.still_holds() {
            return None;
        }
        self.note_use(&path);
        let Some((mark, plan)) = record.kept else {
            return Some(Answer::Never);
        };
        let content = fs::File::open(self.path(question.0, "image")).ok()?;
        if Mark::of(&content.metadata().ok()?) != mark {
            return None;
        }
        let (image, ranges) = KeptImage::decode(&plan).ok()?;
        let found = Found {
            image,
            ranges,
            content,
        };
        Some(Answer::Image {
            found,
            warnings: record.warnings,
        })
    }

    /// Keeps the answer to a question: an image, or that there is none. It was
    /// made since `began` from these files. Says whether it was kept: not when a
    /// file was changed too lately.
    pub fn keep_run(
        &self,
        question: Question,
        began: SystemTime,
        files: &[PathBuf],
        warnings: &str,
        image: Option<&KeptImage>,
    ) -> bool {
        let marked = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            settled(&metadata, began).then(|| (path.clone(), Mark::of(&metadata)))
        };
        // Each once, those of a folder together.
        let once: BTreeSet<_> = files.iter().map(|path| (path.parent(), path)).collect();
        let files = once.into_iter().map(|(_, path)| marked(path));
        let Some(files) = files.collect::<Option<Vec<_>>>() else {
            return false;
        };
        let kept = match image {
            None => None,
            Some(image) => {
                let path = self.path(question.0, "image");
                // Not sealed: its mark is in the record, which is.
                match self.write_whole(&path, &image.content(), &[]) {
                    Ok(metadata) => Some((Mark::of(&metadata), image.plan())),
                    Err(_) => return false,
                }
            }
        };
        let record = Record {
            kept,
            warnings: warnings.to_owned(),
            files,
        };
        let written = self.write(&self.path(question.0, "run"), &record.encode());
        written.is_ok() && self.prune_at_times(question.0).is_ok()
    }

    fn note_use(&self, path: &Path) {
        let now = SystemTime::now();
        let noted = fs::metadata(path).and_then(|metadata| metadata.modified());
        let old = |noted| now.duration_since(noted).is_ok_and(|age| age > NOTED_EVERY);
        if noted.is_ok_and(old)
            && let Ok(file) = fs::File::open(path)
        {
            let _ = file.set_modified(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Scratch;

    fn image() -> KeptImage {
        KeptImage {
            main: 4096,
            regions: Vec::new(),
            names: Vec::new(),
            absent: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn question(word: &str) -> Question {
        let mut asking = Asking::new().unwrap();
        asking.part(word.as_bytes());
        asking.ask()
    }

    fn found(cache: &Cache, word: &str) -> bool {
        matches!(cache.find_run(question(word)), Some(Answer::Image { .. }))
    }

    #[test]
    fn an_answer_is_good_while_its_files_are_as_they_were() {
        let scratch = Scratch::new().unwrap();
        let cache = Cache::at(scratch.path().join("cache"));
        let file = scratch.path().join("input");
        fs::write(&file, "one").unwrap();
        let files = [file.clone()];
        let keep = |began| cache.keep_run(question("a"), began, &files, "", Some(&image()));
        // Just written: whoever compiled it may have read something else.
        assert!(!keep(SystemTime::now()) && !found(&cache, "a"));
        let later = SystemTime::now() + Duration::from_secs(1);
        assert!(keep(later) && found(&cache, "a") && !found(&cache, "b"));
        fs::write(&file, "two").unwrap();
        assert!(!found(&cache, "a"));
        assert!(keep(later) && found(&cache, "a"));
        fs::remove_file(&file).unwrap();
        assert!(!found(&cache, "a"));
    }

    #[test]
    fn what_was_damaged_is_not_found() {
        let scratch = Scratch::new().unwrap();
        let cache = Cache::at(scratch.path().join("cache"));
        let began = SystemTime::now() + Duration::from_secs(1);
        let keep = || cache.keep_run(question("a"), began, &[], "careful", Some(&image()));
        assert!(keep() && found(&cache, "a"));
        let run = cache.path(question("a").0, "run");
        let whole = fs::read(&run).unwrap();
        for length in 0..whole.len() {
            fs::write(&run, &whole[..length]).unwrap();
            assert!(!found(&cache, "a"));
        }
        for byte in 0..whole.len() {
            let mut bent = whole.clone();
            bent[byte] ^= 1;
            fs::write(&run, bent).unwrap();
            assert!(!found(&cache, "a"));
        }
        assert!(keep() && found(&cache, "a"));
        fs::write(cache.path(question("a").0, "image"), "scribble").unwrap();
        assert!(!found(&cache, "a"));
        assert!(keep() && found(&cache, "a"));
        assert!(cache.keep_run(question("a"), began, &[], "", None));
        assert!(matches!(cache.find_run(question("a")), Some(Answer::Never)));
    }
}
