//! [`Cache`]: translations kept on disk, shared by all processes of a user.
//!
//! | file | what it knows |
//! |---|---|
//! | `unit` | the file of one guest file's translations, mapped to run |
//! | `draft` | writing such a file |
//! | `map` | mapping; all `unsafe` |
//!
//! A unit's key says what its code depends on: this build of the program that
//! we are part of, the host's instructions, the guest's architecture, and where
//! which guest file lies ([`Cache::key`]). It does not say what the guest's code
//! is: the unit has the bytes, and whoever uses it compares them with the
//! guest's memory.
//!
//! A file is written under another name and then renamed, so whoever reads sees
//! all of the old one or all of the new one, whoever else writes and whenever
//! anyone is killed. Of two who write at once one wins. What is damaged, or
//! another user's, counts as not there. Files that were not used for longest go
//! when all together are longer than the limit.

mod draft;
mod map;
mod unit;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::engine::Guest;
use crate::enter::Ways;

pub use draft::{Draft, Piece};
pub use unit::{Key, Unit, UnitBlock};

/// The most that all files together hold, in bytes.
pub const MOST_BYTES: u64 = 512 << 20;

/// How often a file's last use is noted.
const STEP: Duration = Duration::from_secs(3600);

/// Where translations are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder, which is made when it is first written to.
    pub folder: PathBuf,
    /// The most that it holds, in bytes.
    pub limit: u64,
}

impl Place {
    /// A folder, with the usual limit.
    pub fn at(folder: impl Into<PathBuf>) -> Place {
        Place {
            folder: folder.into(),
            limit: MOST_BYTES,
        }
    }
}

/// A folder of translations, for one guest architecture.
#[derive(Debug)]
pub struct Cache {
    place: Place,
    /// What all code depends on.
    context: Key,
}

impl Cache {
    /// The cache in a folder; `None` if this build cannot be told from others.
    pub fn new(place: Place, guest: Guest) -> Option<Cache> {
        let context = draft::key(&[
            &build()?,
            &host_instructions(),
            format!("{guest:?}").as_bytes(),
        ]);
        Some(Cache { place, context })
    }

    /// The key of a guest file's translations: `base` is the guest address that
    /// its first byte has, or would have, and `page` what identifies it.
    pub fn key(&self, base: u64, page: &[u8]) -> Key {
        draft::key(&[&self.context, &base.to_le_bytes(), page])
    }

    fn path(&self, key: &Key) -> PathBuf {
        let name: String = key[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        self.place.folder.join(name)
    }

    /// The unit with this key, mapped, if there is a good one.
    pub fn find(&self, key: &Key, ways: &Ways) -> Option<Unit> {
        let path = self.path(key);
        let unit = Unit::open(&path, key, ways).ok()?;
        note_use(&path);
        Some(unit)
    }

    /// Writes a unit in place of the one with the same key.
    pub fn keep(&self, key: &Key, draft: Draft) -> io::Result<()> {
        let mut folder = fs::DirBuilder::new();
        folder
            .recursive(true)
            .mode(0o700)
            .create(&self.place.folder)?;
        let path = self.path(key);
        let partial = path.with_extension(format!("{}", std::process::id()));
        let bytes = draft.finish(key);
        let written = write(&partial, &bytes).and_then(|()| fs::rename(&partial, &path));
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
        // Looking at every file takes long, so not each time.
        if std::process::id().is_multiple_of(4) || written.is_err() {
            self.prune();
        }
        written
    }

    /// Removes what was not used for longest, until the rest is short enough;
    /// and what somebody who was killed left half written.
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.place.folder) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        files.sort();
        let long_ago = SystemTime::now() - STEP;
        let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
        for (used, length, path) in files {
            let is_left = path.extension().is_some() && used < long_ago;
            if (total > self.place.limit || is_left) && fs::remove_file(&path).is_ok() {
                total -= length;
            }
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Beyond the limit the kernel kills who writes, and that would be the guest.
    if bytes.len() as u64 > map::longest_file() {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let _ = fs::remove_file(path);
    options.open(path)?.write_all(bytes)
}

/// Notes that a file is used, if that was not done lately.
fn note_use(path: &Path) {
    let noted = fs::metadata(path).and_then(|metadata| metadata.modified());
    if noted.is_ok_and(|noted| noted.elapsed().is_ok_and(|age| age > STEP)) {
        let _ = File::options()
            .append(true)
            .open(path)
            .and_then(|file| file.set_modified(SystemTime::now()));
    }
}

/// The user whose files we trust.
fn user() -> u32 {
    map::user()
}

/// What tells this build of the running executable from every other: the
/// linker's note of its contents, or which file it is.
fn build() -> Option<Vec<u8>> {
    let mut start = Vec::new();
    let executable = File::open("/proc/self/exe").ok()?;
    (&executable).take(4096).read_to_end(&mut start).ok()?;
    if let Some(id) = crate::elf::build_id(&start) {
        return Some(id.to_vec());
    }
    let file = executable.metadata().ok()?;
    let marks = [
        file.dev(),
        file.ino(),
        file.len(),
        file.mtime() as u64,
        file.mtime_nsec() as u64,
        file.ctime() as u64,
        file.ctime_nsec() as u64,
    ];
    Some(marks.iter().flat_map(|mark| mark.to_le_bytes()).collect())
}

/// Every feature that the host says it has, and that its kernel lets be used.
fn host_instructions() -> Vec<u8> {
    use std::arch::x86_64::__cpuid_count;
    let leaf = |leaf, part| __cpuid_count(leaf, part);
    let (first, seventh, seventh_more, extended) =
        (leaf(1, 0), leaf(7, 0), leaf(7, 1), leaf(0x8000_0001, 0));
    // Leaf 1's ebx says which processor this is.
    [
        first.eax,
        first.ecx,
        first.edx,
        seventh.ebx,
        seventh.ecx,
        seventh.edx,
        seventh_more.eax,
        extended.ecx,
        extended.edx,
        u32::from(is_x86_feature_detected!("avx2")),
        u32::from(is_x86_feature_detected!("avx512f")),
    ]
    .iter()
    .flat_map(|word| word.to_le_bytes())
    .collect()
}
