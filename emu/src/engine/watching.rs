//! Telling a watcher ([`Watch`](crate::watch::Watch)) of what was translated.

use sapwood_link::HostAddr;

use super::Inner;
use crate::compiler::Done;
use crate::ir::Block;
use crate::watch::Translated;
use crate::{GuestAddr, GuestMemory};

impl Inner {
    /// Whether somebody wants to know of each block that runs.
    pub(super) fn is_followed(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.follows())
    }

    /// A block was translated by the first tier.
    pub(super) fn tell_of_block(&self, block: &Block, memory: &GuestMemory) {
        let Some(watch) = &self.watch else { return };
        let start = block.start;
        let (Some(range), Some(rows)) = (self.blocks.code_range(start), self.blocks.rows_of(start))
        else {
            return;
        };
        watch.translated(&Translated {
            guest: self.guest,
            start,
            guest_code: self.blocks.code_of(start).unwrap_or_default(),
            file: memory.file_at(start),
            ir: Some(block.to_string()),
            blocks: 1,
            at: HostAddr(range.start),
            code: self.blocks.space().code(&range),
            rows: &rows,
        });
    }

    /// A region was published.
    pub(super) fn tell_of_region(&self, done: &Done) {
        let (start, blocks): (GuestAddr, usize) = (done.members[0], done.members.len());
        if let Some(watch) = &self.watch
            && let Some(range) = self.blocks.code_range(start)
            && let Some(compiled) = &done.compiled
        {
            watch.translated(&Translated {
                guest: self.guest,
                start,
                guest_code: &[],
                file: None,
                ir: None,
                blocks,
                at: HostAddr(range.start),
                code: self.blocks.space().code(&range),
                rows: &compiled.rows,
            });
        }
    }
}
