//! Errors: what was wrong with an input, or why a publish was refused.
//!
//! Each names the file and, where there is one, the section or symbol and the
//! offset, because the reader of the message has hundreds of objects.

use std::fmt;

use crate::addr::HostAddr;
use crate::host::HostError;
use crate::space::{SpaceError, SpaceId};

/// A place in an input, for messages: `util.o: .text.f+0x12`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The input's name, `libz.a(inflate.o)` for a member of an archive.
    pub input: String,
    /// The section, or the hand-built atom.
    pub section: String,
    /// Bytes from its start.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}+{:#x}", self.input, self.section, self.offset)
    }
}

/// A name nobody defines, and who wants it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undefined {
    /// The name.
    pub name: String,
    /// The first reference to it.
    pub wanted_by: Place,
}

/// How many undefined names a message names: whoever forgot a library misses
/// hundreds.
const MOST_NAMED: usize = 20;

/// Why an input was not staged or a batch not published. Nothing has changed
/// when one of these is returned, except after [`Error::Lost`].
#[derive(Debug)]
pub enum Error {
    /// An object or archive is malformed, truncated, or not for this machine.
    Malformed {
        /// The input.
        input: String,
        /// What is wrong with it, and where.
        what: String,
    },
    /// An input is well-formed but asks for what this session or target cannot
    /// give.
    Unsupported {
        /// The input.
        input: String,
        /// What it asks for.
        what: String,
    },
    /// Names that neither the batch, the image nor the resolver defines.
    Undefined(Vec<Undefined>),
    /// Two strong definitions of one name.
    Duplicate {
        /// The name.
        name: String,
        /// Where it is defined already.
        first: String,
        /// Where it is defined again.
        second: String,
    },
    /// A relocation's value does not fit its field.
    Range {
        /// The field.
        place: Place,
        /// The relocation's name in the psABI.
        relocation: &'static str,
        /// What it refers to.
        symbol: String,
        /// That symbol's address.
        target: HostAddr,
        /// The field's address.
        field: HostAddr,
    },
    /// The image grew in another address space.
    OtherSpace {
        /// Where it grew.
        image: SpaceId,
        /// What was offered.
        offered: SpaceId,
    },
    /// The address space failed; nothing has changed.
    Space(SpaceError),
    /// The host or resolver failed; nothing has changed.
    Host(HostError),
    /// The target is lost, or could not be put back as it was.
    Lost(String),
}

impl Error {
    pub(crate) fn malformed(input: &str, what: impl fmt::Display) -> Error {
        Error::Malformed {
            input: input.into(),
            what: what.to_string(),
        }
    }

    pub(crate) fn unsupported(input: &str, what: impl fmt::Display) -> Error {
        Error::Unsupported {
            input: input.into(),
            what: what.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Malformed { input, what } | Error::Unsupported { input, what } => {
                write!(f, "{input}: {what}")
            }
            Error::Undefined(names) => {
                for (i, undefined) in names.iter().take(MOST_NAMED).enumerate() {
                    let separator = if i == 0 { "" } else { "\n" };
                    let Undefined { name, wanted_by } = undefined;
                    write!(
                        f,
                        "{separator}undefined symbol `{name}`, wanted by {wanted_by}"
                    )?;
                }
                match names.len().saturating_sub(MOST_NAMED) {
                    0 => Ok(()),
                    more => write!(f, "\nand {more} more undefined symbols"),
                }
            }
            Error::Duplicate {
                name,
                first,
                second,
            } => {
                write!(
                    f,
                    "duplicate symbol `{name}`: defined in {first} and again in {second}"
                )
            }
            Error::Range {
                place,
                relocation,
                symbol,
                target,
                field,
            } => write!(
                f,
                "{place}: {relocation} against `{symbol}` does not reach {target} from {field}; \
                 compile with -fPIC, or place the image nearer"
            ),
            Error::OtherSpace { image, offered } => write!(
                f,
                "the image grew in address space {} and cannot grow in {}",
                image.0, offered.0
            ),
            Error::Space(error) => error.fmt(f),
            Error::Host(error) => error.fmt(f),
            Error::Lost(why) => write!(f, "target lost: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<SpaceError> for Error {
    fn from(error: SpaceError) -> Error {
        match error {
            SpaceError::Lost(why) => Error::Lost(why),
            other => Error::Space(other),
        }
    }
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Error {
        match error {
            HostError::Lost(why) => Error::Lost(why),
            other => Error::Host(other),
        }
    }
}
