//! Interned names and the index that finds them.
//!
//! The index is a split-ordered list (Shalev and Shavit, "Split-Ordered Lists:
//! Lock-Free Extensible Hash Tables", JACM 2006): all names hang in one linked
//! list sorted by the bit-reversed hash, and a bucket is a pointer into it.
//! Doubling the number of buckets moves nothing, so the index never rehashes
//! (no append pays for the others) and readers need no lock. Here one thread
//! writes, which leaves of the paper's algorithm a plain insertion.
//!
//! What holds between calls: the list is sorted by `key`; every name is
//! reachable from node 0; a bucket is 0 or names a node whose key is that
//! bucket's; a bucket not yet set is reached through its parent.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU32, Ordering};

use rustc_hash::FxHasher;

use crate::ids::{NameId, SymbolId};
use crate::table::{Table, Text, TextAt, Writer};

/// No node, no symbol.
const NONE: u32 = u32::MAX;
/// Names per bucket, on average, before the number of buckets doubles.
const LOAD: u32 = 2;

/// A link of the sorted list: a name, or the start of a bucket.
struct Node {
    /// The reversed hash; odd for names, even for bucket starts.
    key: u32,
    /// The name, meaningless for a bucket start.
    name: u32,
    next: AtomicU32,
}

struct Name {
    text: TextAt,
    /// The newest symbol of this name, or `NONE`.
    newest: AtomicU32,
}

/// All names of a session.
pub(crate) struct Names {
    names: Table<Name>,
    text: Text,
    nodes: Table<Node>,
    buckets: Table<AtomicU32>,
    /// Number of buckets in use, a power of two.
    in_use: AtomicU32,
}

impl Names {
    /// No names yet.
    pub fn new(writer: &mut Writer) -> Names {
        let names = Names {
            names: Table::default(),
            text: Text::default(),
            nodes: Table::default(),
            buckets: Table::default(),
            in_use: AtomicU32::new(1),
        };
        writer.push(
            &names.nodes,
            Node {
                key: 0,
                name: NONE,
                next: AtomicU32::new(NONE),
            },
        );
        writer.push(&names.buckets, AtomicU32::new(0));
        names
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
        let hash = hash(text);
        let key = hash.reverse_bits() | 1;
        let mut at = self.start_of(hash & (self.in_use.load(Ordering::Acquire) - 1));
        loop {
            let node = self.node(at);
            if node.key > key {
                return None;
            }
            if node.key == key && self.text(NameId(node.name)) == text {
                return Some(NameId(node.name));
            }
            at = node.next.load(Ordering::Acquire);
            if at == NONE {
                return None;
            }
        }
    }

    /// Interns a name that [`find`](Names::find) does not know. Part of commit.
    pub fn intern_new(&self, writer: &mut Writer, text: &str) -> NameId {
        let at = self.text.push(writer, text);
        let name = Name {
            text: at,
            newest: AtomicU32::new(NONE),
        };
        let name = writer.push(&self.names, name);
        let hash = hash(text);
        let buckets = self.in_use.load(Ordering::Relaxed);
        let start = self.bucket(writer, hash & (buckets - 1));
        self.insert(writer, start, hash.reverse_bits() | 1, name);
        if self.names.len() as u32 > buckets.saturating_mul(LOAD) {
            self.in_use.store(buckets * 2, Ordering::Release);
        }
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

    fn node(&self, at: u32) -> &Node {
        self.nodes
            .get(at as usize)
            .expect("links name nodes that were pushed before")
    }

    /// The node to begin a search of `bucket` at: the bucket's own, or the
    /// nearest ancestor's that exists.
    fn start_of(&self, mut bucket: u32) -> u32 {
        while bucket != 0 {
            if let Some(start) = self.buckets.get(bucket as usize) {
                let start = start.load(Ordering::Acquire);
                if start != 0 {
                    return start;
                }
            }
            bucket = parent(bucket);
        }
        0
    }

    /// The start node of `bucket`, made now if need be.
    fn bucket(&self, writer: &mut Writer, bucket: u32) -> u32 {
        while self.buckets.len() <= bucket as usize {
            writer.push(&self.buckets, AtomicU32::new(0));
        }
        let known = self.buckets.get(bucket as usize).expect("just pushed");
        let start = known.load(Ordering::Relaxed);
        if bucket == 0 || start != 0 {
            return start;
        }
        let from = self.bucket(writer, parent(bucket));
        let start = self.insert(writer, from, bucket.reverse_bits(), NONE);
        known.store(start, Ordering::Release);
        start
    }

    /// Links a new node in behind every node of a smaller or equal key.
    fn insert(&self, writer: &mut Writer, from: u32, key: u32, name: u32) -> u32 {
        let mut before = from;
        let next = loop {
            let next = self.node(before).next.load(Ordering::Relaxed);
            if next == NONE || self.node(next).key > key {
                break next;
            }
            before = next;
        };
        let node = writer.push(
            &self.nodes,
            Node {
                key,
                name,
                next: AtomicU32::new(next),
            },
        );
        self.node(before).next.store(node, Ordering::Release);
        node
    }
}

/// The bucket that `bucket` was split from: the same without its highest bit.
fn parent(bucket: u32) -> u32 {
    bucket & !(1 << bucket.ilog2())
}

fn hash(text: &str) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(text.as_bytes());
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_while_the_index_grows() {
        let mut writer = Writer::new();
        let names = Names::new(&mut writer);
        for i in 0..20_000u32 {
            let text = format!("function_{i}");
            assert_eq!(names.find(&text), None);
            let id = names.intern_new(&mut writer, &text);
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

    #[test]
    fn buckets_stay_short() {
        let mut writer = Writer::new();
        let names = Names::new(&mut writer);
        for i in 0..50_000u32 {
            names.intern_new(&mut writer, &format!("_ZN4test{i}E"));
        }
        let mut longest = 0;
        let mut run = 0;
        let mut at = 0;
        while at != NONE {
            let node = names.node(at);
            run = if node.key & 1 == 0 { 0 } else { run + 1 };
            longest = longest.max(run);
            at = node.next.load(Ordering::Relaxed);
        }
        assert!(longest < 32, "a bucket holds {longest} names");
    }
}
