//! [`Locals`]: names of symbols that only their own inputs see.
//!
//! Nothing is bound by them, so they are kept as they come and not interned. Who
//! looks one up (a debugger, a replace batch) has those indexed that came since
//! somebody last did.
//!
//! What holds between calls: the index lists the first `indexed` of the table.

use std::sync::Mutex;

use rustc_hash::FxHashMap;

use crate::ids::SymbolId;
use crate::names;
use crate::table::{Table, Text, TextAt, Writer};
use crate::tables::Tables;

/// One name. A symbol's record says its number.
struct Local {
    text: TextAt,
    symbol: SymbolId,
}

/// See the [module page](self).
#[derive(Default)]
pub(crate) struct Locals {
    locals: Table<Local>,
    texts: Text,
    index: Mutex<ByHash>,
}

/// The symbols of each hash, oldest first.
#[derive(Default)]
struct ByHash {
    symbols: FxHashMap<u32, Vec<SymbolId>>,
    indexed: usize,
}

impl Locals {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.locals.len()
    }

    /// Adds the name of a symbol, in UTF-8. Part of commit.
    pub fn push(&self, writer: &mut Writer, text: &[u8], symbol: SymbolId) {
        let text = writer.add_text(&self.texts, text);
        writer.push(&self.locals, Local { text, symbol });
    }

    /// Asks for memory for names to come, if there is little: says whether it did.
    pub fn prepare(&self, writer: &mut Writer) -> bool {
        writer.prepare(&self.locals)
    }

    /// A name by its number.
    pub fn text(&self, number: u32) -> &str {
        self.texts.get(self.local(number as usize).text)
    }

    /// The symbols of a name, newest first.
    pub fn named(&self, tables: &Tables, name: &str) -> Vec<SymbolId> {
        let mut index = self
            .index
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        for number in index.indexed..self.len() {
            let local = self.local(number);
            let hash = names::hash(self.texts.bytes(local.text));
            index.symbols.entry(hash).or_default().push(local.symbol);
            index.indexed = number + 1;
        }
        let known = index.symbols.get(&names::hash(name.as_bytes()));
        let known = known.into_iter().flatten().rev().copied();
        known
            .filter(|symbol| tables.symbol_name(*symbol) == name)
            .collect()
    }

    fn local(&self, number: usize) -> &Local {
        self.locals
            .get(number)
            .expect("a symbol's record says its number")
    }
}
