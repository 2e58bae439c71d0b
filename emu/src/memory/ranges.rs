//! [`Ranges`]: which guest pages are mapped, how, and from what.
//!
//! The host's own page tables cannot answer for the guest: executable guest
//! pages are never executable on the host, pages of the reservation that the
//! guest has not mapped are still a mapping of ours, and `/proc/self/maps`
//! must be written in guest addresses. So every mapping is kept here too, and
//! this map is the one that decides.
//!
//! What holds between calls: ranges do not overlap, none is empty, all begin
//! and end on a page, and two neighbours that could be one are one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::PAGE_SIZE;
use super::Protection;

/// The file behind a mapping, as `/proc/self/maps` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackingFile {
    /// Its path when it was mapped, in the guest's view.
    pub path: PathBuf,
    /// Device number, as `st_dev` has it.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
}

/// What a range is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Memory without a file.
    Anonymous,
    /// The initial thread's stack.
    Stack,
    /// What `brk` gave.
    Heap,
    /// Our own code for the guest: the signal trampoline, the clock functions.
    Vdso,
    /// A System V shared memory segment, by its identifier.
    Segment(i32),
    /// A file's contents, beginning at this offset in bytes.
    File(Arc<BackingFile>, u64),
}

/// How a range of pages is mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What the guest may do with it.
    pub protection: Protection,
    /// Whether writes are seen by other processes (`MAP_SHARED`).
    pub shared: bool,
    /// What it is.
    pub kind: Kind,
}

impl Attributes {
    /// The attributes of the pages that begin `bytes` further on.
    fn advanced(&self, bytes: u64) -> Attributes {
        let mut attributes = self.clone();
        if let Kind::File(_, offset) = &mut attributes.kind {
            *offset += bytes;
        }
        attributes
    }
}

#[derive(Clone, Debug)]
struct Entry {
    end: u64,
    attributes: Attributes,
}

/// Every mapped range of one guest, by first address.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    by_start: BTreeMap<u64, Entry>,
}

impl Ranges {
    /// The range that holds `address`, if it is mapped.
    pub fn at(&self, address: u64) -> Option<(Range<u64>, &Attributes)> {
        let (&start, entry) = self.by_start.range(..=address).next_back()?;
        (address < entry.end).then_some((start..entry.end, &entry.attributes))
    }

    /// All ranges, in order of address.
    pub fn iter(&self) -> impl Iterator<Item = (Range<u64>, &Attributes)> {
        self.by_start
            .iter()
            .map(|(&start, entry)| (start..entry.end, &entry.attributes))
    }

    /// The parts of mapped ranges that lie within `range`, in order.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, &Attributes)> {
        let first = self
            .at(range.start)
            .map_or(range.start, |(found, _)| found.start);
        self.by_start
            .range(first..range.end.max(first))
            .map(move |(&start, entry)| {
                (
                    start.max(range.start)..entry.end.min(range.end),
                    &entry.attributes,
                )
            })
    }

    /// Whether every page of `range` is mapped.
    pub fn covers(&self, range: Range<u64>) -> bool {
        self.mapped_prefix(range.clone()) == range.end
    }

    /// Where the unbroken mapped run that begins at `range.start` ends, at most
    /// `range.end`.
    pub fn mapped_prefix(&self, range: Range<u64>) -> u64 {
        let mut reached = range.start;
        for (part, _) in self.within(range) {
            if part.start != reached {
                break;
            }
            reached = part.end;
        }
        reached
    }

    /// Whether no page of `range` is mapped.
    pub fn is_free(&self, range: Range<u64>) -> bool {
        self.within(range).next().is_none()
    }

    /// Whether a page of `range` may be executed.
    pub fn any_executable(&self, range: Range<u64>) -> bool {
        self.within(range)
            .any(|(_, attributes)| attributes.protection.execute())
    }

    /// Maps `range`, in place of whatever was there.
    pub fn insert(&mut self, range: Range<u64>, attributes: Attributes) {
        debug_assert!(
            range.start < range.end
                && range.start.is_multiple_of(PAGE_SIZE)
                && range.end.is_multiple_of(PAGE_SIZE)
        );
        self.remove(range.clone());
        self.by_start.insert(
            range.start,
            Entry {
                end: range.end,
                attributes,
            },
        );
        self.join(range.end);
        self.join(range.start);
    }

    /// Forgets `range`.
    pub fn remove(&mut self, range: Range<u64>) {
        self.split(range.start);
        self.split(range.end);
        let doomed: Vec<u64> = self
            .by_start
            .range(range)
            .map(|(&start, _)| start)
            .collect();
        for start in doomed {
            self.by_start.remove(&start);
        }
    }

    /// Changes what the guest may do with the mapped pages of `range`.
    pub fn protect(&mut self, range: Range<u64>, protection: Protection) {
        self.split(range.start);
        self.split(range.end);
        for (_, entry) in self.by_start.range_mut(range.clone()) {
            entry.attributes.protection = protection;
        }
        let starts: Vec<u64> = self
            .by_start
            .range(range.clone())
            .map(|(&start, _)| start)
            .collect();
        self.join(range.end);
        for start in starts.into_iter().rev() {
            self.join(start);
        }
    }

    /// Moves the mappings of `range`, offsets and all, to begin at `target`.
    /// What was at the target is forgotten first.
    pub fn relocate(&mut self, range: Range<u64>, target: u64) {
        let moved: Vec<(Range<u64>, Attributes)> = self
            .within(range.clone())
            .map(|(part, attributes)| {
                let (whole, _) = self.at(part.start).expect("a part lies in a range");
                (part.clone(), attributes.advanced(part.start - whole.start))
            })
            .collect();
        self.remove(range.clone());
        self.remove(target..target + (range.end - range.start));
        for (part, attributes) in moved {
            let start = target + (part.start - range.start);
            self.insert(start..start + (part.end - part.start), attributes);
        }
    }

    /// The highest free run of `length` bytes that ends at or below `ceiling`
    /// and begins at or above `floor`, aligned to `alignment` bytes.
    pub fn highest_gap(
        &self,
        length: u64,
        floor: u64,
        ceiling: u64,
        alignment: u64,
    ) -> Option<u64> {
        let mut top = ceiling;
        for (&start, entry) in self.by_start.range(..ceiling).rev() {
            if entry.end < top
                && let Some(found) = fit(entry.end.max(floor), top, length, alignment)
            {
                return Some(found);
            }
            top = top.min(start);
            if top <= floor {
                return None;
            }
        }
        fit(floor, top, length, alignment)
    }

    /// Makes `address` the start of a range, if it lies inside one.
    fn split(&mut self, address: u64) {
        let Some((range, attributes)) = self.at(address) else {
            return;
        };
        if range.start == address {
            return;
        }
        let rest = Entry {
            end: range.end,
            attributes: attributes.advanced(address - range.start),
        };
        self.by_start.get_mut(&range.start).expect("just found").end = address;
        self.by_start.insert(address, rest);
    }

    /// Joins the range that begins at `address` to the one that ends there, if
    /// they are one mapping in all but name.
    fn join(&mut self, address: u64) {
        let Some((&before, entry)) = self.by_start.range(..address).next_back() else {
            return;
        };
        let Some(after) = self.by_start.get(&address) else {
            return;
        };
        if entry.end != address || entry.attributes.advanced(address - before) != after.attributes {
            return;
        }
        let end = after.end;
        self.by_start.remove(&address);
        self.by_start.get_mut(&before).expect("just found").end = end;
    }
}

/// The highest aligned start of `length` bytes within `from..to`.
fn fit(from: u64, to: u64, length: u64, alignment: u64) -> Option<u64> {
    let start = to.checked_sub(length)? & !(alignment - 1);
    (start >= from).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: u64 = PAGE_SIZE;

    fn anonymous(protection: Protection) -> Attributes {
        Attributes {
            protection,
            shared: false,
            kind: Kind::Anonymous,
        }
    }

    /// The map as text, pages instead of bytes: `2-5 rw`.
    fn text(ranges: &Ranges) -> String {
        let line = |(range, attributes): (Range<u64>, &Attributes)| {
            let offset = match &attributes.kind {
                Kind::File(_, offset) => format!("@{}", offset / P),
                _ => String::new(),
            };
            format!(
                "{}-{} {}{offset}",
                range.start / P,
                range.end / P,
                attributes.protection
            )
        };
        ranges.iter().map(line).collect::<Vec<_>>().join(", ")
    }

    fn file(protection: Protection, page: u64) -> Attributes {
        let backing = BackingFile {
            path: "/x".into(),
            device: 1,
            inode: 2,
        };
        Attributes {
            protection,
            shared: false,
            kind: Kind::File(Arc::new(backing), page * P),
        }
    }

    #[test]
    fn insert_replaces_and_joins() {
        let mut ranges = Ranges::default();
        ranges.insert(2 * P..6 * P, anonymous(Protection::READ_WRITE));
        ranges.insert(6 * P..8 * P, anonymous(Protection::READ_WRITE));
        assert_eq!(text(&ranges), "2-8 rw-");
        ranges.insert(4 * P..5 * P, anonymous(Protection::READ));
        assert_eq!(text(&ranges), "2-4 rw-, 4-5 r--, 5-8 rw-");
        ranges.protect(0..100 * P, Protection::READ);
        assert_eq!(text(&ranges), "2-8 r--");
        ranges.remove(3 * P..7 * P);
        assert_eq!(text(&ranges), "2-3 r--, 7-8 r--");
        assert!(ranges.is_free(3 * P..7 * P));
        assert!(!ranges.covers(2 * P..4 * P));
        assert_eq!(ranges.mapped_prefix(2 * P..8 * P), 3 * P);
    }

    #[test]
    fn file_offsets_follow_splits_and_moves() {
        let mut ranges = Ranges::default();
        ranges.insert(10 * P..20 * P, file(Protection::READ, 5));
        ranges.remove(12 * P..13 * P);
        assert_eq!(text(&ranges), "10-12 r--@5, 13-20 r--@8");
        ranges.relocate(15 * P..20 * P, 40 * P);
        assert_eq!(text(&ranges), "10-12 r--@5, 13-15 r--@8, 40-45 r--@10");
        ranges.insert(12 * P..13 * P, file(Protection::READ, 7));
        assert_eq!(text(&ranges), "10-15 r--@5, 40-45 r--@10");
    }

    #[test]
    fn gaps_are_found_from_the_top() {
        let mut ranges = Ranges::default();
        assert_eq!(ranges.highest_gap(2 * P, P, 10 * P, P), Some(8 * P));
        ranges.insert(8 * P..10 * P, anonymous(Protection::READ));
        ranges.insert(3 * P..6 * P, anonymous(Protection::READ));
        assert_eq!(ranges.highest_gap(2 * P, P, 10 * P, P), Some(6 * P));
        assert_eq!(ranges.highest_gap(2 * P, P, 7 * P, P), Some(P));
        assert_eq!(ranges.highest_gap(3 * P, P, 10 * P, P), None);
        assert_eq!(ranges.highest_gap(2 * P, P, 10 * P, 4 * P), None);
        assert_eq!(ranges.highest_gap(P, P, 10 * P, 2 * P), Some(6 * P));
    }
}
