//! What an [`Engine`](super::Engine) keeps on disk: looking for what an earlier
//! process left of the guest's files, and leaving something for the next.
//!
//! Only code of files is kept, mapped privately and not writable: what a guest
//! makes as it runs is another each time. While a debugger has breakpoints
//! nothing is looked for nor kept, since blocks end at them.

use std::io;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::{Inner, Phase};
use crate::blocks::Keeping;
use crate::kept::Key;
use crate::memory::{CodeFile, PAGE_SIZE};
use crate::{GuestAddr, GuestMemory};

/// Units in use at once. One whose file was unmapped stays until the code space
/// is full, so a guest that maps and unmaps a library for ever comes to an end
/// with this, and its code is translated as other code is.
const MOST_UNITS: usize = 200;

impl Inner {
    /// Forgets what was translated from these guest addresses.
    pub(super) fn invalidate(&mut self, range: Range<GuestAddr>) {
        let (start, end) = (range.start.0, range.end.0);
        let apart = |known: &Range<u64>| known.end <= start || end <= known.start;
        self.looked.retain(apart);
        if !apart(&self.unkept) {
            self.unkept = 0..0;
        }
        self.blocks.invalidate(range);
    }

    /// Nothing is known of the code at `pc`: takes in what was kept of the file
    /// that it comes from, once for each. Gives whether there was anything.
    pub(super) fn look_for_unit(&mut self, pc: GuestAddr, memory: &GuestMemory) -> bool {
        let Some(cache) = &self.cache else {
            return false;
        };
        let known =
            self.unkept.contains(&pc.0) || self.looked.iter().any(|range| range.contains(&pc.0));
        if known || !self.breakpoints.is_empty() || self.blocks.units() >= MOST_UNITS {
            return false;
        }
        let Some((range, file)) = memory.code_at(pc) else {
            return false;
        };
        let Some(file) = file else {
            self.unkept = range;
            return false;
        };
        self.looked.push(range);
        let Some(key) = key_of(cache, &file, memory) else {
            return false;
        };
        if self.blocks.has_unit(&key) {
            return false;
        }
        let began = self.statistics.now();
        self.statistics.looked += 1;
        let found = cache.find(&key, self.ways);
        let is_found = found.is_some();
        if let Some(unit) = found {
            self.statistics.found += 1;
            self.statistics.kept_blocks += unit.len();
            self.blocks
                .adopt(key, unit, |at, into| memory.fetch(at, into) == into.len());
        }
        self.statistics.spent(Phase::Look, began);
        is_found
    }

    /// Writes what has been translated since, where it is worth it.
    pub(super) fn keep(&mut self, memory: &GuestMemory) -> io::Result<()> {
        /// Less than this is not looked at.
        const FEW: usize = 16;
        self.take_finished();
        let new = self.blocks.published() - self.kept;
        let Some(cache) = &self.cache else {
            return Ok(());
        };
        if new < FEW || !self.breakpoints.is_empty() {
            return Ok(());
        }
        let began = self.statistics.now();
        let mut files: FxHashMap<CodeFile, Vec<Range<u64>>> = FxHashMap::default();
        for (range, file) in memory.code_files() {
            files.entry(file).or_default().push(range);
        }
        let mut result = Ok(());
        for (file, ranges) in files {
            let Some(key) = key_of(cache, &file, memory) else {
                continue;
            };
            let keeping = Keeping {
                key,
                base: file.base,
                ranges,
            };
            if let Some(draft) = self.blocks.draft(&keeping) {
                let kept = cache.keep(&key, draft);
                self.statistics.written += usize::from(kept.is_ok());
                result = result.and(kept);
            }
        }
        self.kept = self.blocks.published();
        self.statistics.spent(Phase::Keep, began);
        result
    }
}

fn key_of(cache: &crate::kept::Cache, file: &CodeFile, memory: &GuestMemory) -> Option<Key> {
    let mut page = [0; PAGE_SIZE as usize];
    let length = memory.read_some(file.page, &mut page).ok()?;
    Some(cache.key(file.base.0, &page[..length]))
}
