//! Gathering what is worth keeping on disk: the translations of one guest file.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::frozen::Frozen;
use super::{Blocks, Translation};
use crate::addr::GuestAddr;
use crate::kept::{Draft, Key, Piece, Unit, UnitBlock};

/// A unit is written anew when it has grown by this many blocks, and by one in
/// so many of those that it has. A region counts as many blocks as take as long
/// to translate.
const MANY_NEW: usize = 16;
const SHARE_NEW: usize = 64;
const BLOCKS_IN_REGION: usize = 32;

/// A guest file whose translations are to be kept.
pub struct Keeping {
    /// The unit's key.
    pub key: Key,
    /// The guest address that the file's first byte has, or would have.
    pub base: GuestAddr,
    /// Where its code is mapped.
    pub ranges: Vec<Range<u64>>,
}

/// Where the code of a block is.
enum Source<'a> {
    Frozen(&'a Unit, u32),
    Live(&'a Translation),
}

impl Blocks {
    /// The translations of a guest file, if they are enough more than its unit
    /// has.
    pub fn draft(&self, keeping: &Keeping) -> Option<Draft> {
        let inside = |start: GuestAddr, length: u64| {
            let mut ranges = keeping.ranges.iter();
            ranges.any(|range| range.start <= start.0 && start.0 + length <= range.end)
        };
        let mut sources: Vec<(GuestAddr, Source<'_>)> = Vec::new();
        let mut worth = 0;
        for (&start, record) in &self.records {
            let Some(code) = record.code else { continue };
            if inside(start, record.bytes.1.into()) {
                let translation = &self.translations[code.0 as usize];
                let bytes = |member| self.code_of(member).map_or(0, |code| code.len() as u64);
                let mut members = translation.members.iter();
                if !members.all(|&member| inside(member, bytes(member))) {
                    // The loop goes through several files.
                    continue;
                }
                worth += match (&translation.thawed, translation.members.is_empty()) {
                    (Some(_), _) => 0,
                    (None, true) => 1,
                    (None, false) => BLOCKS_IN_REGION,
                };
                sources.push((start, Source::Live(translation)));
            }
        }
        let units = self.frozen.iter();
        let units = units.filter(|frozen| frozen.key == keeping.key);
        // Before anything that takes as long as there is much that is old.
        let old: usize = units.clone().map(Frozen::blocks).sum();
        if worth < MANY_NEW || worth < old / SHARE_NEW {
            return None;
        }
        for frozen in units {
            let blocks = (0..frozen.unit.len() as u32).filter(|&block| frozen.has(block));
            sources.extend(blocks.map(|block| {
                let start = frozen.unit.block(block).start;
                (start, Source::Frozen(&frozen.unit, block))
            }));
        }
        sources.sort_unstable_by_key(|(start, _)| *start);
        let mut draft = Draft::new(keeping.base);
        let mut regions = Regions::default();
        for (_, source) in sources {
            match source {
                Source::Live(translation) => match translation.thawed {
                    None => self.add_live(&mut draft, translation, &inside),
                    Some((unit, block)) => {
                        let unit = &self.frozen[unit as usize].unit;
                        let mut row = unit.block(block);
                        row.in_table = self.is_in_table(row.start);
                        regions.add(&mut draft, unit, &row, block);
                    }
                },
                Source::Frozen(unit, block) => {
                    let mut row = unit.block(block);
                    row.in_table = self.is_in_table(row.start);
                    regions.add(&mut draft, unit, &row, block);
                }
            }
        }
        Some(draft)
    }

    fn add_live(
        &self,
        draft: &mut Draft,
        translation: &Translation,
        inside: &dyn Fn(GuestAddr, u64) -> bool,
    ) {
        let members: Option<Vec<(GuestAddr, &[u8])>> = translation
            .members
            .iter()
            .map(|&member| {
                let code = self.code_of(member)?;
                inside(member, code.len() as u64).then_some((member, code))
            })
            .collect();
        // A region whose blocks are not all known is no region any more.
        let (Some(members), Some(bytes)) = (members, self.code_of(translation.head)) else {
            return;
        };
        let list = |range: &Range<u32>| range.start as usize..range.end as usize;
        let exits =
            list(&translation.exits).map(|exit| self.exits[exit - self.first_exit as usize].target);
        let added = draft.add(Piece {
            start: translation.head,
            bytes,
            code: self.space.code(&translation.host),
            in_table: self.is_in_table(translation.head),
            exits,
            rows: self.rows[list(&translation.rows)].iter().copied(),
            uses: self.uses[list(&translation.uses)].iter().copied(),
        });
        if added && !members.is_empty() {
            draft.region(members.into_iter());
        }
    }
}

/// The blocks of each region of a unit, by the number of the head: where they
/// start, and their bytes.
type Members = FxHashMap<u32, Vec<(GuestAddr, u32)>>;

/// The regions of the units that were seen.
#[derive(Default)]
struct Regions<'a> {
    of: Vec<(&'a Unit, Members)>,
}

impl<'a> Regions<'a> {
    /// Adds a block of a unit, as it is there.
    fn add(&mut self, draft: &mut Draft, unit: &'a Unit, block: &UnitBlock, number: u32) {
        let added = draft.add(Piece {
            start: block.start,
            bytes: unit.bytes(block.start, block.length),
            code: unit.code(block),
            in_table: block.in_table,
            exits: block.exits.clone().map(|exit| unit.target(exit)),
            rows: unit.rows(block),
            uses: unit.uses(block),
        });
        if !added || !block.in_region {
            return;
        }
        if let Some(members) = self.of_unit(unit).get(&number) {
            draft.region(
                members
                    .iter()
                    .map(|&(start, length)| (start, unit.bytes(start, length))),
            );
        }
    }

    fn of_unit(&mut self, unit: &'a Unit) -> &Members {
        let known = self
            .of
            .iter()
            .position(|(known, _)| std::ptr::eq(*known, unit));
        let index = known.unwrap_or_else(|| {
            let regions = unit.regions().map(|region| (region.head, region.members));
            self.of.push((unit, regions.collect()));
            self.of.len() - 1
        });
        &self.of[index].1
    }
}
