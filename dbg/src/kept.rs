//! Indexes of debug information, kept from one run to the next.
//!
//! Each lies in the user's cache folder under the build id of the file that it
//! is of. It is written under another name and renamed, so that a reader sees
//! all of it or none; what is in it is for [`sapwood_dwarf`] to check. Failing
//! to read or write one is never an error: the index is built again. The folder
//! is bounded: what was not used for longest goes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use sapwood_dwarf::Bytes;
use sapwood_link::source::{UserFolder, user_folder};

/// The most that the folder holds, in bytes.
const MOST_BYTES: u64 = 512 << 20;

/// Where indexes are kept; `None` where the user has no folder for such things.
fn folder() -> Option<PathBuf> {
    Some(user_folder(UserFolder::Cache)?.join("indexes"))
}

fn name(build_id: &[u8], kind: u32) -> String {
    let id: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{id}.{kind}")
}

/// The index of that kind of the file with that build id.
pub(crate) fn find(build_id: &[u8], kind: u32) -> Option<Bytes> {
    let path = folder()?.join(name(build_id, kind));
    let bytes = crate::loader::map(&path).ok()?;
    // Used now: it stays when others have to go.
    let touched = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
    let _ = touched;
    Some(bytes)
}

/// Keeps an index.
pub(crate) fn keep(build_id: &[u8], kind: u32, index: &[u8]) {
    if let Some(folder) = folder() {
        let _ = write(&folder, &name(build_id, kind), index);
    }
}

fn write(folder: &Path, name: &str, index: &[u8]) -> std::io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    fs::create_dir_all(folder)?;
    make_room(folder, index.len() as u64)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{}.{number}", std::process::id()));
    let written =
        fs::write(&temporary, index).and_then(|()| fs::rename(&temporary, folder.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Removes what was not used for longest, until `more` bytes fit.
fn make_room(folder: &Path, more: u64) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let facts = entry.metadata()?;
        files.push((facts.modified()?, facts.len(), entry.path()));
    }
    let mut total: u64 = more + files.iter().map(|file| file.1).sum::<u64>();
    files.sort();
    for (_, size, path) in files {
        if total <= MOST_BYTES {
            break;
        }
        fs::remove_file(path)?;
        total -= size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays() {
        let folder = std::env::temp_dir().join(format!("sapwood-kept-{}", std::process::id()));
        write(&folder, "old", b"12345").expect("a folder");
        let old = fs::File::open(folder.join("old")).expect("it was written");
        old.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
        write(&folder, "new", b"123").expect("a folder");
        make_room(&folder, MOST_BYTES - 4).expect("a folder");
        let left: Vec<_> = fs::read_dir(&folder).expect("a folder").collect();
        assert_eq!(left.len(), 1);
        assert_eq!(fs::read(folder.join("new")).expect("it stays"), b"123");
        let _ = fs::remove_dir_all(&folder);
    }
}
