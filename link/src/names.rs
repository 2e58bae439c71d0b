//! Interned names, the symbols of each, and the index that finds them.
//!
//! What holds between calls: every name is in the index under the hash of its
//! text, once.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU32, Ordering};

use rustc_hash::FxHasher;

use crate::ids::{NameId, SymbolId};
use crate::index::Index;
use crate::table::{Table, Text, TextAt, Writer};

/// No symbol.
const NONE: u32 = u32::MAX;

struct Name {
    text: TextAt,
    /// The newest symbol of this name, or `NONE`.
    newest: AtomicU32,
}

/// All names of a session.
pub(crate) struct Names {
    names: Table<Name>,
    text: Text,
    index: Index,
}

impl Names {
    /// No names yet.
    pub fn new(writer: &mut Writer) -> Names {
        Names {
            names: Table::default(),
            text: Text::default(),
            index: Index::new(writer),
        }
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The text of a name.
    pub fn text(&self, name: NameId) -> &str {
        self.text.get(self.name(name).text)
    }

    /// Finds a name.
    pub fn find(&self, text: &str) -> Option<NameId> {
        self.find_hashed(hash(text.as_bytes()), text.as_bytes())
    }

    /// Finds a name whose [`hash`] is known.
    pub fn find_hashed(&self, hash: u32, text: &[u8]) -> Option<NameId> {
        let is_it = |name: u32| self.text(NameId(name)).as_bytes() == text;
        self.index.find(hash, is_it).map(NameId)
    }

    /// Interns a name that [`find_hashed`](Names::find_hashed) does not know.
    /// Part of commit.
    pub fn intern_new(&self, writer: &mut Writer, hash: u32, text: &str) -> NameId {
        let text = self.text.push(writer, text);
        let newest = AtomicU32::new(NONE);
        let name = writer.push(&self.names, Name { text, newest });
        self.index.insert(writer, hash, name);
        NameId(name)
    }

    /// The newest symbol of a name.
    pub fn newest(&self, name: NameId) -> Option<SymbolId> {
        let newest = self.name(name).newest.load(Ordering::Acquire);
        (newest != NONE).then_some(SymbolId(newest))
    }

    /// Makes `symbol` the newest of its name. Part of commit.
    pub fn set_newest(&self, _writer: &mut Writer, name: NameId, symbol: SymbolId) {
        self.name(name).newest.store(symbol.0, Ordering::Release);
    }

    fn name(&self, name: NameId) -> &Name {
        self.names
            .get(name.index())
            .expect("a NameId comes from this table")
    }
}

/// The hash that names are found by.
pub(crate) fn hash(text: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(text);
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        let mut writer = Writer::new();
        let names = Names::new(&mut writer);
        for i in 0..20_000u32 {
            let text = format!("function_{i}");
            assert_eq!(names.find(&text), None);
            let id = names.intern_new(&mut writer, hash(text.as_bytes()), &text);
            assert_eq!(names.find(&text), Some(id));
        }
        for i in 0..20_000u32 {
            let text = format!("function_{i}");
            let id = names.find(&text).unwrap();
            assert_eq!(names.text(id), text);
        }
        assert_eq!(names.len(), 20_000);
        assert_eq!(names.find("function_20000"), None);
        assert_eq!(names.find(""), None);
    }
}
