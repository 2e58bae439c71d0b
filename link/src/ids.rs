//! Ids: what other code holds in place of a table's record.
//!
//! Each is an index into one append-only table of the session, so it stays good
//! for the session's life and means nothing outside it. What must last longer
//! is keyed by names and content hashes.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// The id as an index, for tables that run in parallel to the session's.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(
    /// One function or data object of the image.
    AtomId, "atom"
);
id!(
    /// One definition, or one binding to something outside. Each definition of
    /// a name has its own.
    SymbolId, "sym"
);
id!(
    /// An interned name.
    NameId, "name"
);
id!(
    /// One object file, archive member or group of hand-built atoms.
    InputId, "input"
);
id!(
    /// How many batches have been published; 0 is the empty image.
    Generation, "gen"
);

impl Generation {
    /// The image before the first publish.
    pub const EMPTY: Generation = Generation(0);
}
