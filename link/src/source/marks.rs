//! [`Mark`]: what the file system says of a file, by which it is known to be
//! unchanged; and [`Looking`], which asks for many.
//!
//! A program's files lie in few folders, most of them far from the root. So each
//! folder is opened once, and its files are looked up from there: a third of what
//! it costs by their whole paths.

use std::ffi::CString;
use std::fs::Metadata;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::worker::wire::{Decoder, Encoder, Garbled};

/// What the file system says of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark(pub [u64; 7]);

impl Mark {
    pub fn of(metadata: &Metadata) -> Mark {
        Mark([
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            metadata.mtime().cast_unsigned(),
            metadata.mtime_nsec().cast_unsigned(),
            metadata.ctime().cast_unsigned(),
            metadata.ctime_nsec().cast_unsigned(),
        ])
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.numbers(&self.0);
        out.0
    }

    pub fn read(from: &mut Decoder<'_>) -> Result<Mark, Garbled> {
        let mut mark = Mark([0; 7]);
        for number in &mut mark.0 {
            *number = from.number()?;
        }
        Ok(mark)
    }
}

/// Looks at files; best in an order that has those of a folder together.
#[derive(Default)]
pub struct Looking {
    folder: Option<(PathBuf, OwnedFd)>,
}

impl Looking {
    /// A file's mark; none for one that cannot be looked at.
    pub fn mark(&mut self, path: &Path) -> Option<Mark> {
        let (folder, name) = (path.parent()?, path.file_name()?);
        let name = CString::new(name.as_bytes()).ok()?;
        let at = match folder.as_os_str().is_empty() {
            true => libc::AT_FDCWD,
            false => self.open(folder)?,
        };
        let mut found = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: a C string, a descriptor that is open, and room for the answer.
        if unsafe { libc::fstatat(at, name.as_ptr(), found.as_mut_ptr(), 0) } != 0 {
            return None;
        }
        // SAFETY: the call that succeeded has filled it in.
        let found = unsafe { found.assume_init() };
        Some(Mark([
            found.st_dev,
            found.st_ino,
            found.st_size.cast_unsigned(),
            found.st_mtime.cast_unsigned(),
            found.st_mtime_nsec.cast_unsigned(),
            found.st_ctime.cast_unsigned(),
            found.st_ctime_nsec.cast_unsigned(),
        ]))
    }

    fn open(&mut self, folder: &Path) -> Option<libc::c_int> {
        if let Some((open, descriptor)) = &self.folder
            && open == folder
        {
            return Some(descriptor.as_raw_fd());
        }
        let name = CString::new(folder.as_os_str().as_bytes()).ok()?;
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: a C string; the descriptor is new, and nobody else owns it.
        let descriptor = unsafe {
            match libc::open(name.as_ptr(), flags) {
                -1 => return None,
                descriptor => OwnedFd::from_raw_fd(descriptor),
            }
        };
        let number = descriptor.as_raw_fd();
        self.folder = Some((folder.to_path_buf(), descriptor));
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Scratch;

    #[test]
    fn a_file_has_one_mark_however_it_is_looked_at() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path().join("deep/er");
        std::fs::create_dir_all(&folder).unwrap();
        let mut looking = Looking::default();
        for name in ["a", "b", "../c"] {
            let path = folder.join(name);
            assert_eq!(looking.mark(&path), None);
            std::fs::write(&path, name).unwrap();
            let mark = Mark::of(&std::fs::metadata(&path).unwrap());
            assert_eq!(looking.mark(&path), Some(mark));
        }
        std::os::unix::fs::symlink("a", folder.join("link")).unwrap();
        assert_eq!(
            looking.mark(&folder.join("link")),
            looking.mark(&folder.join("a"))
        );
        let here = Path::new("Cargo.toml");
        let mark = Mark::of(&std::fs::metadata(here).unwrap());
        assert_eq!(looking.mark(here), Some(mark));
        assert_eq!(looking.mark(Path::new("/no/such/file")), None);
        assert_eq!(looking.mark(Path::new("/")), None);
    }
}
