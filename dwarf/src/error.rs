//! What is wrong with a file, and where in it.

use std::fmt;
use std::path::PathBuf;

/// A fault in an input: the file, the section and the offset where it is known.
///
/// Cheap to clone and free of borrowed data, so that a cache may keep one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    file: PathBuf,
    section: Option<&'static str>,
    offset: Option<u64>,
    what: String,
}

/// The result of whatever reads an input.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A fault of the file as a whole.
    pub fn new(file: impl Into<PathBuf>, what: impl fmt::Display) -> Error {
        Error {
            file: file.into(),
            section: None,
            offset: None,
            what: what.to_string(),
        }
    }

    /// The same fault, in that section.
    pub fn in_section(mut self, section: &'static str) -> Error {
        self.section = Some(section);
        self
    }

    /// The same fault, at that offset of its section.
    pub fn at(mut self, offset: u64) -> Error {
        self.offset = Some(offset);
        self
    }

    /// The file at fault.
    pub fn file(&self) -> &std::path::Path {
        &self.file
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        match (self.section, self.offset) {
            (Some(section), Some(offset)) => write!(f, "{section}+{offset:#x}: ")?,
            (Some(section), None) => write!(f, "{section}: ")?,
            (None, Some(offset)) => write!(f, "offset {offset:#x}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {}
