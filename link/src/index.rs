//! [`Index`]: finds a record of an append-only table by hash, and never stops
//! to rehash.
//!
//! Open addressing, in an array that doubles when it is three quarters full.
//! The next array is made when half of the slots are taken, and its pages are
//! asked for by and by until it is needed. Then the entries of the array before
//! are moved a few with each insertion, so no append pays for the others, and
//! until all are moved a search looks into both.
//! Entries are single words that never change once written, and arrays live as
//! long as the index, so any thread may search while one inserts.
//!
//! The slot of a hash is given by its high bits: doubling keeps the order of
//! entries, and moving them walks both arrays from front to back.
//!
//! What holds between calls: every entry is in the array in use, or in the one
//! before it at or past `moved`; when that array came into use, the one before it
//! held everything. The array behind it, if there is one, is empty.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::table::{Table, Words, Writer};

/// Slots of the first array.
const FIRST_LEN: usize = 64;
/// Slots of the array before that each insertion moves: a cache line. Three
/// would do, because the array before has to be empty when the newest, twice as
/// long, goes from three eighths to three quarters full; more make searches of
/// two arrays fewer.
const MOVED_EACH: usize = 8;

/// Bytes of the next array that are asked of the kernel at a time.
const POPULATED_AT_ONCE: usize = 32 << 10;

/// See the [module page](self). An entry is a hash and the number of a record.
pub(crate) struct Index {
    arrays: Table<Array>,
    /// The number of the array in use.
    newest: AtomicUsize,
    /// Bytes of the array behind it that were asked for.
    populated: AtomicUsize,
    /// Slots of the array before the newest whose entries have been moved.
    moved: AtomicUsize,
    len: AtomicUsize,
}

/// Hash in the high half, record number plus one in the low; 0 is empty.
struct Array(Words);

impl Array {
    fn new(len: usize) -> Array {
        Array(Words::new(len))
    }

    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.0.len() as u64) >> 32) as usize
    }

    fn find(&self, hash: u32, is_it: &impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let entry = self.0[at].load(Ordering::Acquire);
            if entry == 0 {
                return None;
            }
            let number = entry as u32 - 1;
            if (entry >> 32) as u32 == hash && is_it(number) {
                return Some(number);
            }
            at = (at + 1) & (self.0.len() - 1);
        }
    }

    fn insert(&self, entry: u64) {
        let mut at = self.home((entry >> 32) as u32);
        while self.0[at].load(Ordering::Relaxed) != 0 {
            at = (at + 1) & (self.0.len() - 1);
        }
        self.0[at].store(entry, Ordering::Release);
    }
}

impl Index {
    /// An empty index.
    pub fn new(writer: &mut Writer) -> Index {
        let index = Index {
            arrays: Table::default(),
            newest: AtomicUsize::new(0),
            populated: AtomicUsize::new(0),
            moved: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
        };
        writer.push(&index.arrays, Array::new(FIRST_LEN));
        index
    }

    /// The record of this hash for which `is_it` holds.
    #[inline]
    pub fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let newest = self.newest.load(Ordering::Acquire);
        // Read before the array in use is searched: an entry that is moved after
        // that search is still found in the array before.
        let moved = self.moved.load(Ordering::Acquire);
        let found = self.array(newest).find(hash, &is_it);
        if found.is_some() || newest == 0 || moved == self.array(newest - 1).0.len() {
            return found;
        }
        self.array(newest - 1).find(hash, &is_it)
    }

    /// Adds a record that is not there.
    #[inline]
    pub fn insert(&self, writer: &mut Writer, hash: u32, number: u32) {
        let len = self.len.load(Ordering::Relaxed) + 1;
        self.len.store(len, Ordering::Relaxed);
        let mut newest = self.newest.load(Ordering::Relaxed);
        let slots = self.array(newest).0.len();
        if len > slots / 2 {
            self.prepare(writer, newest, len - slots / 2);
            if len > slots / 4 * 3 {
                newest = self.use_next(newest);
            }
        }
        let array = self.array(newest);
        array.insert(u64::from(hash) << 32 | u64::from(number + 1));
        if newest > 0 {
            self.move_some(self.array(newest - 1), array);
        }
    }

    /// Makes the array behind the one in use, or asks for some of its pages, when
    /// so many slots past the half are taken.
    fn prepare(&self, writer: &mut Writer, newest: usize, past_half: usize) {
        let slots = self.array(newest).0.len();
        if self.arrays.len() - 1 == newest {
            self.populated.store(0, Ordering::Relaxed);
            writer.push(&self.arrays, Array::new(slots * 2));
        }
        // All of its bytes by the time that another quarter is taken, and half a step
        // early: where each batch adds a name, its unwind entry's pages are asked for
        // as often, and would be in the same batches.
        let (bytes, due) = (slots * 16, past_half * 64 + POPULATED_AT_ONCE / 2);
        let populated = self.populated.load(Ordering::Relaxed);
        if due > populated && populated < bytes {
            let end = (populated + POPULATED_AT_ONCE).min(bytes);
            let words = populated / 8..end / 8;
            self.array(newest + 1).0.populate(words);
            self.populated.store(end, Ordering::Relaxed);
        }
    }

    /// Goes on with the array behind the one in use.
    fn use_next(&self, newest: usize) -> usize {
        // In this order: who sees the new array must see that nothing has been
        // moved to it.
        self.moved.store(0, Ordering::Release);
        self.newest.store(newest + 1, Ordering::Release);
        newest + 1
    }

    /// Makes room for so many records more, if what is there already is no more
    /// than they are: else they pay for the room as they come.
    pub fn reserve(&self, writer: &mut Writer, more: usize) {
        let len = self.len.load(Ordering::Relaxed);
        let mut newest = self.newest.load(Ordering::Relaxed);
        let slots = self.array(newest).0.len();
        let wanted = (len + more).div_ceil(3) * 4;
        if wanted <= slots || slots > 4 * more {
            return;
        }
        self.move_all(newest);
        if self.arrays.len() - 1 > newest {
            // One that is ready already: it comes before the large one.
            newest = self.use_next(newest);
            self.move_all(newest);
        }
        let fresh = Array::new(wanted.next_power_of_two());
        fresh.0.populate(0..fresh.0.len());
        writer.push(&self.arrays, fresh);
        newest = self.use_next(newest);
        self.move_all(newest);
    }

    /// Moves all that is left in the array before one.
    fn move_all(&self, newest: usize) {
        if newest > 0 {
            self.move_rest(self.array(newest - 1), self.array(newest));
        }
    }

    fn move_rest(&self, from: &Array, to: &Array) {
        while self.moved.load(Ordering::Relaxed) < from.0.len() {
            self.move_some(from, to);
        }
    }

    fn move_some(&self, from: &Array, to: &Array) {
        let moved = self.moved.load(Ordering::Relaxed);
        let end = (moved + MOVED_EACH).min(from.0.len());
        for slot in &from.0[moved..end] {
            let entry = slot.load(Ordering::Relaxed);
            if entry != 0 {
                to.insert(entry);
            }
        }
        self.moved.store(end, Ordering::Release);
    }

    fn array(&self, number: usize) -> &Array {
        self.arrays.get(number).expect("arrays are never taken out")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u32) -> u32 {
        number.wrapping_mul(0x9e37_79b9)
    }

    #[test]
    fn every_record_is_found_while_the_index_grows() {
        let mut writer = Writer::new();
        let index = Index::new(&mut writer);
        for number in 0..20_000 {
            assert_eq!(index.find(hash(number), |found| found == number), None);
            index.insert(&mut writer, hash(number), number);
            for known in [0, number / 2, number] {
                let found = index.find(hash(known), |found| found == known);
                assert_eq!(found, Some(known), "with {number} records");
            }
        }
    }

    #[test]
    fn room_may_be_made_at_any_time() {
        let mut writer = Writer::new();
        let index = Index::new(&mut writer);
        for number in 0..20_000 {
            if number % 1_000 == 77 {
                index.reserve(&mut writer, number as usize / 3);
            }
            index.insert(&mut writer, hash(number), number);
            for known in [0, number / 2, number] {
                let found = index.find(hash(known), |found| found == known);
                assert_eq!(found, Some(known), "with {number} records");
            }
        }
    }

    #[test]
    fn records_of_one_hash_are_told_apart() {
        let mut writer = Writer::new();
        let index = Index::new(&mut writer);
        for number in 0..500 {
            index.insert(&mut writer, u32::MAX, number);
        }
        for number in 0..500 {
            assert_eq!(index.find(u32::MAX, |found| found == number), Some(number));
        }
        assert_eq!(index.find(u32::MAX, |_| false), None);
    }

    #[test]
    fn a_search_on_another_thread_never_misses_what_is_there() {
        let mut writer = Writer::new();
        let index = Index::new(&mut writer);
        let shown = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut turn = 0u32;
                while shown.load(Ordering::Acquire) < 50_000 {
                    let shown = shown.load(Ordering::Acquire) as u32;
                    turn = turn.wrapping_add(7919);
                    if let Some(number) = turn.checked_rem(shown) {
                        let found = index.find(hash(number), |found| found == number);
                        assert_eq!(found, Some(number), "of {shown}");
                    }
                }
            });
            for number in 0..50_000 {
                index.insert(&mut writer, hash(number), number);
                shown.store(number as usize + 1, Ordering::Release);
            }
        });
    }
}
