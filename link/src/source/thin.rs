//! [`whole_archive`]: a thin archive with its members in it.
//!
//! A thin archive (`ar rcT`) names files instead of holding them. The session does
//! no I/O, so it is given an ordinary archive of the same members, made here in
//! memory, without a table of symbols: the session reads those from the members.
//!
//! Source: `ar(5)` of GNU binutils. A name `/N` lies in the table `//` at N; `/N:M`
//! is an ordinary archive by that name, and the member is the one whose header is at
//! M in it. Names are relative to the archive's own folder.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use object::read::archive::{ArchiveFile, ArchiveOffset};

const MAGIC: &[u8] = b"!<arch>\n";
const THIN_MAGIC: &[u8] = b"!<thin>\n";
/// Bytes of a member's header: name 16, time 12, owner and group 6 each, mode 8,
/// size 10, and the two that end it.
const HEADER_LEN: usize = 60;
const NAME: std::ops::Range<usize> = 0..16;
const SIZE: std::ops::Range<usize> = 48..58;
const END: &[u8] = b"`\n";

/// An archive that holds all of its members.
#[derive(Debug)]
pub struct WholeArchive {
    /// The archive.
    pub bytes: Vec<u8>,
    /// The files that were read to make it; none for one that was not thin.
    pub files: Vec<PathBuf>,
}

/// Why a thin archive cannot be read.
#[derive(Debug)]
pub enum ThinError {
    /// It is no thin archive after all.
    Malformed {
        /// The archive.
        archive: PathBuf,
        /// Where, in bytes from its start.
        offset: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// A member's file cannot be read.
    Member {
        /// The archive.
        archive: PathBuf,
        /// The file.
        member: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl fmt::Display for ThinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ThinError::Malformed {
                archive,
                offset,
                why,
            } => write!(f, "{}: thin archive+{offset:#x}: {why}", archive.display()),
            ThinError::Member {
                archive,
                member,
                error,
            } => write!(
                f,
                "{}: a thin archive, whose member {} cannot be read: {error}",
                archive.display(),
                member.display()
            ),
        }
    }
}

impl std::error::Error for ThinError {}

/// The same archive with its members in it, if it is thin; else the bytes as they
/// are. `path` is where it was read from.
pub fn whole_archive(path: &Path, bytes: Vec<u8>) -> Result<WholeArchive, ThinError> {
    if !bytes.starts_with(THIN_MAGIC) {
        let files = Vec::new();
        return Ok(WholeArchive { bytes, files });
    }
    let reader = Reader {
        path,
        bytes: &bytes,
        names: &[],
        files: Vec::new(),
    };
    reader.read()
}

/// One member: what it is called, and its bytes.
type Member = (Vec<u8>, Vec<u8>);

struct Reader<'t> {
    path: &'t Path,
    bytes: &'t [u8],
    /// The table of long names.
    names: &'t [u8],
    files: Vec<PathBuf>,
}

impl<'t> Reader<'t> {
    fn read(mut self) -> Result<WholeArchive, ThinError> {
        let mut members: Vec<Member> = Vec::new();
        let mut at = THIN_MAGIC.len();
        while at < self.bytes.len() {
            let header = self.bytes.get(at..at + HEADER_LEN);
            let header = header.ok_or_else(|| self.malformed(at, "a header is cut off"))?;
            if !header.ends_with(END) {
                return Err(self.malformed(at, "no header where one should be"));
            }
            let field = |range| trim(&header[range]);
            let size = digits(field(SIZE));
            let size = size.ok_or_else(|| self.malformed(at, "a size is no number"))?;
            let (start, name) = (at + HEADER_LEN, field(NAME));
            at = start;
            // The tables alone lie in it.
            if matches!(name, b"/" | b"//" | b"/SYM64/") {
                let end = start.checked_add(size);
                let table = end.and_then(|end| self.bytes.get(start..end));
                let table = table.ok_or_else(|| self.malformed(start, "a table is cut off"))?;
                if name == b"//" {
                    self.names = table;
                }
                at = start + size.next_multiple_of(2);
                continue;
            }
            members.push(self.member(start - HEADER_LEN, name)?);
        }
        Ok(WholeArchive {
            bytes: archive_of(&members),
            files: self.files,
        })
    }

    /// Reads the member that a header at an offset names.
    fn member(&mut self, at: usize, name: &[u8]) -> Result<Member, ThinError> {
        let bad = |reader: &Self| reader.malformed(at, "a member's name is bad");
        let (name, nested) = match name.strip_prefix(b"/") {
            None => (name.strip_suffix(b"/").unwrap_or(name), None),
            Some(number) => {
                let mut numbers = number.splitn(2, |byte| *byte == b':');
                let place = numbers.next().and_then(digits);
                let name = place.and_then(|place| self.long_name(place));
                let nested = numbers.next().map(|text| digits(text).ok_or(()));
                let nested = nested.transpose().map_err(|()| bad(self))?;
                (name.ok_or_else(|| bad(self))?, nested)
            }
        };
        let text = std::str::from_utf8(name)
            .ok()
            .filter(|name| !name.is_empty());
        let text = text.ok_or_else(|| bad(self))?;
        let file = match self.path.parent() {
            Some(folder) => folder.join(text),
            None => PathBuf::from(text),
        };
        let bytes = read_file(&file).map_err(|error| self.unreadable(&file, error))?;
        let member = match nested {
            None => Ok((name.to_vec(), bytes)),
            Some(offset) => member_of(text, &bytes, offset)
                .map_err(|error| self.unreadable(&file, io::Error::other(error))),
        };
        if self.files.last() != Some(&file) {
            self.files.push(file);
        }
        member
    }

    fn long_name(&self, place: usize) -> Option<&'t [u8]> {
        let names = self.names.get(place..)?;
        let end = names.iter().position(|byte| *byte == b'\n')?;
        names[..end].strip_suffix(b"/")
    }

    fn malformed(&self, offset: usize, why: &'static str) -> ThinError {
        ThinError::Malformed {
            archive: self.path.to_path_buf(),
            offset,
            why,
        }
    }

    fn unreadable(&self, member: &Path, error: io::Error) -> ThinError {
        ThinError::Member {
            archive: self.path.to_path_buf(),
            member: member.to_path_buf(),
            error,
        }
    }
}

/// Reads a file, and nothing else: a device may have no end.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    match fs::metadata(path)?.is_file() {
        true => fs::read(path),
        false => Err(io::Error::other("it is no file")),
    }
}

/// The member of an ordinary archive whose header is at an offset.
fn member_of(archive: &str, bytes: &[u8], offset: usize) -> object::Result<Member> {
    let file = ArchiveFile::parse(bytes)?;
    let member = file.member(ArchiveOffset(offset as u64))?;
    let name = [archive.as_bytes(), b":", member.name()].concat();
    Ok((name, member.data(bytes)?.to_vec()))
}

/// An ordinary archive of these members. All of their names are in the table of
/// long ones.
fn archive_of(members: &[Member]) -> Vec<u8> {
    let mut names = Vec::new();
    let mut places = Vec::new();
    for (name, _) in members {
        places.push(names.len());
        names.extend_from_slice(name);
        names.extend_from_slice(b"/\n");
    }
    let mut out = MAGIC.to_vec();
    add(&mut out, "//", &names);
    for (place, (_, bytes)) in places.iter().zip(members) {
        add(&mut out, &format!("/{place}"), bytes);
    }
    out
}

fn add(out: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let size = bytes.len();
    let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}", 0, 0, 0, 644);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(END);
    out.extend_from_slice(bytes);
    if size % 2 == 1 {
        out.push(b'\n');
    }
}

/// Without the spaces that fill a field.
fn trim(field: &[u8]) -> &[u8] {
    field.trim_ascii_end()
}

fn digits(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Scratch;

    /// A thin archive as `ar rcT` writes it, of these names in its table.
    fn thin(names: &[&str]) -> Vec<u8> {
        let mut out = THIN_MAGIC.to_vec();
        let table: String = names.iter().map(|name| format!("{name}/\n")).collect();
        add(&mut out, "//", table.as_bytes());
        let mut place = 0;
        for name in names {
            let header = format!("{:<16}{:<32}{:<10}", format!("/{place}"), 0, 3);
            out.extend_from_slice(header.as_bytes());
            out.extend_from_slice(END);
            place += name.len() + 2;
        }
        out
    }

    #[test]
    fn members_come_from_beside_the_archive() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path();
        fs::create_dir(folder.join("sub")).unwrap();
        fs::write(folder.join("sub/a.o"), "one").unwrap();
        fs::write(folder.join("b.o"), "two").unwrap();
        let path = folder.join("lib.a");
        let whole = whole_archive(&path, thin(&["sub/a.o", "b.o"])).unwrap();
        let archive = ArchiveFile::parse(&*whole.bytes).unwrap();
        let members: Vec<(Vec<u8>, Vec<u8>)> = archive
            .members()
            .map(|member| {
                let member = member.unwrap();
                let data = member.data(&*whole.bytes).unwrap();
                (member.name().to_vec(), data.to_vec())
            })
            .collect();
        let expected = [("sub/a.o", "one"), ("b.o", "two")];
        assert_eq!(
            members,
            expected.map(|(name, data)| (name.into(), data.into()))
        );
        assert_eq!(
            whole.files,
            ["sub/a.o", "b.o"].map(|name| folder.join(name))
        );

        fs::remove_file(folder.join("b.o")).unwrap();
        let error = whole_archive(&path, thin(&["sub/a.o", "b.o"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("lib.a") && text.contains("b.o"), "{text}");
    }

    #[test]
    fn a_damaged_one_is_refused_or_read() {
        let scratch = Scratch::new().unwrap();
        fs::write(scratch.path().join("a.o"), "one").unwrap();
        let path = scratch.path().join("lib.a");
        let good = thin(&["a.o"]);
        for cut in THIN_MAGIC.len() + 1..good.len() {
            let read = whole_archive(&path, good[..cut].to_vec());
            // Cut behind the table, it is whole and empty.
            assert_eq!(read.is_ok(), matches!(cut, 73 | 74), "cut at {cut}");
        }
        for byte in THIN_MAGIC.len()..good.len() {
            for value in [0, b'/', b':', b'9', 0xff] {
                let mut bad = good.clone();
                bad[byte] = value;
                let _ = whole_archive(&path, bad);
            }
        }
    }

    #[test]
    fn another_archive_is_left_alone() {
        let bytes = b"!<arch>\n".to_vec();
        let whole = whole_archive(Path::new("lib.a"), bytes.clone()).unwrap();
        assert_eq!((whole.bytes, whole.files.len()), (bytes, 0));
    }
}
