//! [`StagedNames`]: the names of a batch that others than their inputs see, each
//! hashed once and numbered in the order they come.
//!
//! Texts are copied to one place, because an object's own string table is cold by
//! the time that another object names the same.
//!
//! Lists are kept from batch to batch, and emptied by what was in them, so that
//! a small batch after a large one allocates and clears next to nothing.

use super::make_room;

/// One name of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    /// Where its text lies among all texts.
    start: u32,
    len: u32,
    /// The [`hash`](crate::names::hash) of its text.
    pub hash: u32,
}

/// Slots that a session begins with.
const FIRST_LEN: usize = 64;
/// No entry in a slot. No hash and number are these: names are fewer.
const EMPTY: u64 = u64::MAX;

/// See the [module page](self).
#[derive(Default)]
pub(crate) struct StagedNames {
    names: Vec<Name>,
    texts: Vec<u8>,
    /// Open addressing by hash, half full at most: the hash in the high half and
    /// the name's number in the low, or `EMPTY`.
    slots: Vec<u64>,
}

impl StagedNames {
    /// How many names there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// A name by its number.
    #[inline]
    pub fn get(&self, number: u32) -> &Name {
        &self.names[number as usize]
    }

    /// The text of a name.
    #[inline]
    pub fn text(&self, name: &Name) -> &[u8] {
        &self.texts[name.start as usize..][..name.len as usize]
    }

    /// All names, in the order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Name> {
        self.names.iter()
    }

    /// The number of a name, which is added if it is new. `hash` is that of its
    /// text, which is UTF-8.
    #[inline]
    pub fn number_of(&mut self, hash: u32, text: &[u8]) -> u32 {
        if self.names.len() >= self.slots.len() / 2 {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                break;
            }
            let number = slot as u32;
            if (slot >> 32) as u32 == hash && self.text(self.get(number)) == text {
                return number;
            }
            at = (at + 1) & mask;
        }
        let number = self.names.len() as u32;
        self.slots[at] = u64::from(hash) << 32 | u64::from(number);
        make_room(&mut self.names, 1);
        self.names.push(Name {
            start: self.texts.len() as u32,
            len: text.len() as u32,
            hash,
        });
        make_room(&mut self.texts, text.len());
        self.texts.extend_from_slice(text);
        number
    }

    /// Makes the table of slots four times as long.
    #[cold]
    fn grow(&mut self) {
        self.slots = vec![EMPTY; (self.slots.len() * 4).max(FIRST_LEN)];
        for (number, name) in self.names.iter().enumerate() {
            let at = free_slot(&self.slots, name.hash);
            self.slots[at] = u64::from(name.hash) << 32 | number as u64;
        }
    }

    /// Forgets the names from a number on. The last to come are the first to go,
    /// so that no search for another has passed their slots: names are always in
    /// the table in the order of their numbers.
    pub fn truncate(&mut self, len: usize) {
        while self.names.len() > len {
            let Some(name) = self.names.pop() else { return };
            let (number, mask) = (self.names.len() as u32, self.slots.len() - 1);
            let mut at = name.hash as usize & mask;
            while self.slots[at] as u32 != number {
                at = (at + 1) & mask;
            }
            self.slots[at] = EMPTY;
            self.texts.truncate(name.start as usize);
        }
    }
}

/// The first free slot of a hash.
fn free_slot(slots: &[u64], hash: u32) -> usize {
    let mut at = hash as usize & (slots.len() - 1);
    while slots[at] != EMPTY {
        at = (at + 1) & (slots.len() - 1);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number_of(names: &mut StagedNames, number: u32) -> u32 {
        let hash = number.wrapping_mul(0x9e37_79b9) & 0xff;
        names.number_of(hash, number.to_string().as_bytes())
    }

    #[test]
    fn names_that_go_leave_those_before_them() {
        let mut names = StagedNames::default();
        for round in 1..200u32 {
            let kept = names.len() as u32;
            // Many share a hash, and the table grows in between.
            for start in 0..kept + round {
                assert_eq!(number_of(&mut names, start), start);
            }
            names.truncate(kept as usize + 1);
            for start in 0..=kept {
                assert_eq!(number_of(&mut names, start), start);
            }
        }
        names.truncate(0);
        assert!(names.slots.iter().all(|slot| *slot == EMPTY));
    }
}
