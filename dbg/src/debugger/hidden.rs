//! Frames that are not shown yet: calls that were inlined and begin exactly
//! where a thread stopped.
//!
//! To whoever reads the source such a call is still to be made: the thread is
//! shown in the function around it, at the line of the call, and `step` enters
//! the call without moving the thread. What was asked for by name is shown: a
//! breakpoint at an inlined function shows that function.

use sapwood_dwarf::{EntryId, SourceFrame};

use super::Debugger;
use crate::breakpoint::BreakpointId;
use crate::error::Result;
use crate::step::Scene;
use crate::target::{Address, ThreadId};

/// How many of a thread's innermost frames are not shown, while it stands there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hidden {
    thread: ThreadId,
    at: Address,
    frames: usize,
}

/// How many calls begin at an address, counted from the innermost outwards up to
/// the frames that are to be shown.
pub(super) fn beginning(chain: &[SourceFrame], at: Address, shown: &[EntryId]) -> usize {
    let begins = |frame: &&SourceFrame| {
        frame.is_inlined
            && !shown.contains(&frame.entry)
            && frame.ranges.iter().any(|range| range.start == at)
    };
    chain.iter().take_while(begins).count()
}

impl Debugger {
    /// How many of the innermost frames of a thread that stands there are hidden.
    pub(super) fn hidden_frames(&self, thread: ThreadId, at: Address) -> usize {
        match self.hidden {
            Some(hidden) if hidden.thread == thread && hidden.at == at => hidden.frames,
            _ => 0,
        }
    }

    /// Hides so many of the innermost frames of a thread that stands there.
    pub(super) fn hide(&mut self, thread: ThreadId, at: Address, frames: usize) {
        let hidden = (frames > 0).then_some(Hidden { thread, at, frames });
        if std::mem::replace(&mut self.hidden, hidden) != hidden {
            self.stack = None;
        }
    }

    /// Hides the calls that begin there, but for those that a breakpoint there
    /// was set at.
    pub(super) fn hide_calls(&mut self, thread: ThreadId, at: Address) {
        let chain = match self.modules.at(at) {
            Some((_, module)) => module.inlined_at(at),
            None => Vec::new(),
        };
        if chain.len() < 2 {
            return self.hide(thread, at, 0);
        }
        let here = self
            .sites
            .at(at)
            .iter()
            .filter_map(|reason| reason.of_user());
        let ids: Vec<BreakpointId> = here.collect();
        let places = self
            .breakpoints
            .iter()
            .filter(|breakpoint| ids.contains(&breakpoint.id))
            .flat_map(|breakpoint| &breakpoint.places);
        let shown: Vec<EntryId> = places
            .filter(|place| place.address == at)
            .filter_map(|place| place.frame)
            .collect();
        self.hide(thread, at, beginning(&chain, at, &shown));
    }

    /// Shows one frame more, if one is hidden that `step` may enter: the thread
    /// has made the call.
    pub(super) fn enter_hidden(&mut self, thread: ThreadId, at: Address) -> Result<bool> {
        let frames = self.hidden_frames(thread, at);
        if frames == 0 {
            return Ok(false);
        }
        let row = self.scene(thread)?.row();
        let call = row.and_then(|row| row.calls.into_iter().nth(frames - 1));
        let enters = call.is_some_and(|call| call.is_entered);
        if enters {
            self.hide(thread, at, frames - 1);
        }
        Ok(enters)
    }
}
