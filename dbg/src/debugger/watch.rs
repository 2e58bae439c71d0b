//! Watchpoints: in hardware while it has room, by single steps past that.

use super::run::{Outcome, Verdict};
use super::{Debugger, Events};
use crate::breakpoint::{Breakpoint, BreakpointId, Reason, Scope, Watch, Wish};
use crate::command::WatchKind;
use crate::error::{Error, Result};
use crate::event::{Event, StopReason};
use crate::target::{Access, Address, ThreadId};

/// A range as pieces that the hardware can watch: each a power of two, 8 bytes
/// at most, aligned to its length.
fn pieces(at: Address, size: u64) -> Vec<(Address, u8)> {
    let (mut at, end) = (at, at.0.saturating_add(size));
    let mut pieces = Vec::new();
    while at.0 < end && pieces.len() <= SLOTS {
        let fits = |length: &u64| at.0.is_multiple_of(*length) && at.0 + length <= end;
        let length = [8u64, 4, 2, 1].into_iter().find(fits).unwrap_or(1);
        pieces.push((at, length as u8));
        at = at.add(length);
    }
    pieces
}

/// No hardware watches more than this many pieces.
const SLOTS: usize = 4;

impl Debugger {
    /// `watch`, `rwatch`, `awatch`.
    pub(super) fn watch(
        &mut self,
        expression: &str,
        kind: WatchKind,
        events: Events<'_>,
    ) -> Result<()> {
        self.live()?;
        let (value, at, size, shown) = self.watchable(expression)?;
        let reads = kind != WatchKind::Write;
        let slots = match self.take_slots(at, size, reads) {
            Ok(slots) => slots,
            Err(_) if !reads => Vec::new(),
            Err(_) => {
                return Err(Error::new(
                    "Expression cannot be implemented with read/access watchpoint.",
                ));
            }
        };
        let mut bytes = vec![0; size as usize];
        self.live()?.read(at, &mut bytes)?;
        let scope = self.scope_of(at)?;
        let wish = Wish::Watch(Watch {
            expression: expression.to_owned(),
            reads,
            storage: Some((at, size)),
            slots,
            bytes,
            shown,
            scope,
        });
        let id = self.breakpoints.add(wish, false).id;
        self.watched.insert(id, value);
        if let Some(scope) = scope {
            let change = self.sites.add(scope.caller, Reason::Scope(id));
            self.apply(change)?;
        }
        events(Event::BreakpointSet(self.breakpoint_view(id)?));
        Ok(())
    }

    /// Debug registers for a range: aligned pieces of it, all or none.
    fn take_slots(&mut self, at: Address, size: u64, reads: bool) -> Result<Vec<u8>> {
        let access = match reads {
            true => Access::ReadWrite,
            false => Access::Write,
        };
        let none = || Error::new("this target has no hardware watchpoints.");
        let mut slots = Vec::new();
        for (piece, length) in pieces(at, size) {
            let hardware = self.live()?.watchpoints().ok_or_else(none)?;
            match hardware.watch(piece, length, access) {
                Ok(slot) => slots.push(slot),
                Err(error) => {
                    for slot in slots {
                        let _ = hardware.unwatch(slot);
                    }
                    return Err(error.into());
                }
            }
        }
        Ok(slots)
    }

    /// The frame whose local lies there: the innermost one, from the selected
    /// frame outwards, that ends above the address.
    fn scope_of(&mut self, at: Address) -> Result<Option<Scope>> {
        let thread = self.thread()?;
        let sp = self.live()?.registers(thread)?.sp();
        let (frame, caller) = (self.current_frame()?, self.level + 1);
        let Some(cfa) = frame.cfa.filter(|cfa| (sp..*cfa).contains(&at)) else {
            return Ok(None);
        };
        Ok(self.frame_at(caller).ok().map(|caller| Scope {
            thread,
            cfa,
            caller: caller.pc(),
        }))
    }

    /// A hardware watchpoint fired: a stop, unless nothing changed.
    pub(super) fn watch_hit(
        &mut self,
        thread: ThreadId,
        slot: u8,
        events: Events<'_>,
    ) -> Result<Verdict> {
        let found = self.breakpoints.iter().find_map(|b| match &b.wish {
            Wish::Watch(watch) if watch.slots.contains(&slot) => Some((b.id, watch.clone())),
            _ => None,
        });
        match found {
            Some((id, watch)) => self.watched_changed(id, watch, thread, events),
            None => Ok(Verdict::GoOn),
        }
    }

    /// Whether some watchpoint has to be watched by single steps.
    pub(super) fn watches_by_stepping(&self) -> bool {
        let in_software = |b: &Breakpoint| match &b.wish {
            Wish::Watch(watch) => b.enabled && watch.slots.is_empty(),
            _ => false,
        };
        self.breakpoints.iter().any(in_software)
    }

    /// After a step: what is watched without hardware.
    pub(super) fn software_watches(
        &mut self,
        thread: ThreadId,
        events: Events<'_>,
    ) -> Result<Verdict> {
        let watches: Vec<(BreakpointId, Watch)> = self
            .breakpoints
            .iter()
            .filter(|b| b.enabled)
            .filter_map(|b| match &b.wish {
                Wish::Watch(watch) if watch.slots.is_empty() => Some((b.id, watch.clone())),
                _ => None,
            })
            .collect();
        for (id, watch) in watches {
            let verdict = self.watched_changed(id, watch, thread, events)?;
            if matches!(verdict, Verdict::Stop(_)) {
                return Ok(verdict);
            }
        }
        Ok(Verdict::GoOn)
    }

    /// What a watchpoint watches may have changed: if so, and it counts, a stop.
    fn watched_changed(
        &mut self,
        id: BreakpointId,
        mut watch: Watch,
        thread: ThreadId,
        events: Events<'_>,
    ) -> Result<Verdict> {
        let (at, size) = watch.storage.unwrap_or_default();
        let mut bytes = vec![0; size as usize];
        self.live()?.read(at, &mut bytes)?;
        let changed = bytes != watch.bytes;
        if !changed && !watch.reads {
            return Ok(Verdict::GoOn);
        }
        let new = self.watched_text(id)?;
        let old = std::mem::replace(&mut watch.shown, new.clone());
        watch.bytes = bytes;
        let expression = watch.expression.clone();
        if let Some(breakpoint) = self.breakpoints.get_mut(id) {
            breakpoint.wish = Wish::Watch(watch);
        }
        if !self.counts(id, thread, events)? {
            return Ok(Verdict::GoOn);
        }
        let reason = StopReason::Watchpoint {
            id,
            expression,
            old: changed.then_some(old),
            new,
        };
        Ok(Verdict::Stop(Outcome::Stop(thread, reason)))
    }

    /// Frees what a watchpoint has of the hardware.
    pub(super) fn free_slots(&mut self, id: BreakpointId) {
        self.watched.remove(&id);
        let Some(Wish::Watch(watch)) = self.breakpoints.get(id).map(|b| &b.wish) else {
            return;
        };
        let slots = watch.slots.clone();
        if let Some(hardware) = self.target.as_deref_mut().and_then(|t| t.watchpoints()) {
            for slot in slots {
                let _ = hardware.unwatch(slot);
            }
        }
    }

    /// The frame whose local was watched has returned.
    pub(super) fn scope_ended(
        &mut self,
        id: BreakpointId,
        thread: ThreadId,
    ) -> Result<Option<StopReason>> {
        let Some(Wish::Watch(Watch {
            scope: Some(scope),
            expression,
            ..
        })) = self.breakpoints.get(id).map(|b| &b.wish)
        else {
            return Ok(None);
        };
        let (scope, expression) = (*scope, expression.clone());
        if scope.thread != thread {
            return Ok(None);
        }
        let sp = self.live()?.registers(thread)?.sp();
        if sp < scope.cfa {
            return Ok(None);
        }
        self.remove_breakpoint(id);
        Ok(Some(StopReason::WatchpointScope(id, expression)))
    }

    /// The process is gone, and with it what was watched in it.
    pub(super) fn forget_watches(&mut self) {
        let watches: Vec<BreakpointId> = self
            .breakpoints
            .iter()
            .filter(|b| matches!(b.wish, Wish::Watch(_)))
            .map(|b| b.id)
            .collect();
        for id in watches {
            self.breakpoints.remove(id);
        }
        self.watched.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_in_aligned_pieces() {
        let check = |at: u64, size, expected: &[(u64, u8)]| {
            let expected: Vec<_> = expected.iter().map(|(at, n)| (Address(*at), *n)).collect();
            assert_eq!(pieces(Address(at), size), expected);
        };
        check(16, 4, &[(16, 4)]);
        check(16, 24, &[(16, 8), (24, 8), (32, 8)]);
        check(18, 7, &[(18, 2), (20, 4), (24, 1)]);
    }
}
