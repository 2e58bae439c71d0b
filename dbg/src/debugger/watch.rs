//! Watchpoints: in debug registers while they have room, by single steps past
//! that.
//!
//! What is watched is all that the value hangs on: for `p->x` the pointer too,
//! so that when `p` changes the member of what it points to then is watched. A
//! change of any of it has the expression evaluated again, in the frame that it
//! was first evaluated in, and with the names that were seen from there.

use super::frames::TargetMemory;
use super::{Debugger, Events};
use crate::breakpoint::{Breakpoint, BreakpointId, Reason, Scope, Watch, Wish};
use crate::command::WatchKind;
use crate::error::{Error, Result};
use crate::event::{Event, StopReason, WatchHit};
use crate::stack::Frame;
use crate::target::{Access, Address, Fired, ThreadId};

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

/// How far out the frame of a watched local is looked for at first.
const FIRST_FRAMES: usize = 8;

/// Each range once, and none that lies in another.
fn distinct(mut ranges: Vec<(Address, u64)>) -> Vec<(Address, u64)> {
    ranges.retain(|(_, size)| *size > 0);
    ranges.sort_by_key(|(at, size)| (*at, std::cmp::Reverse(*size)));
    let mut kept: Vec<(Address, u64)> = Vec::new();
    for (at, size) in ranges {
        let end = at.0.saturating_add(size);
        let covered = |(other, length): &(Address, u64)| {
            other.0 <= at.0 && end <= other.0.saturating_add(*length)
        };
        if !kept.iter().any(covered) {
            kept.push((at, size));
        }
    }
    kept
}

/// What debug registers would have to watch: pieces, and whether each is of the
/// value itself.
fn wanted(storage: &[(Address, u64)], place: Option<(Address, u64)>) -> Vec<(Address, u8, bool)> {
    let is_value = |at: Address| {
        place.is_some_and(|(start, size)| (start.0..start.0.saturating_add(size)).contains(&at.0))
    };
    let all = storage.iter().flat_map(|(at, size)| pieces(*at, *size));
    all.map(|(at, length)| (at, length, is_value(at))).collect()
}

/// What a value hangs on.
#[derive(Clone, Debug, Default)]
pub(super) struct Uses {
    /// The memory that was read for it.
    pub memory: Vec<(Address, u64)>,
    /// It is found by what only its frame has.
    pub of_frame: bool,
    /// Some of it is in registers.
    pub in_register: bool,
}

/// An expression's value for somebody who waits for it to change.
struct Watched {
    /// Its bytes, where it can be read.
    bytes: Option<Vec<u8>>,
    /// Its text.
    text: String,
    /// Where it is, and how many bytes.
    place: Option<(Address, u64)>,
    uses: Uses,
}

impl Debugger {
    /// `watch`, `rwatch`, `awatch`.
    pub(super) fn watch(
        &mut self,
        expression: &str,
        kind: WatchKind,
        events: Events<'_>,
    ) -> Result<()> {
        let frame = match self.selected {
            Some(_) => Some(self.current_frame()?),
            None => None,
        };
        let seen = self.look_at(frame.as_ref(), expression)?;
        if seen.uses.memory.is_empty() && !seen.uses.in_register {
            return Err(Error::new(format!(
                "Cannot watch constant value `{expression}'."
            )));
        }
        let scope = match &frame {
            Some(frame) if seen.uses.of_frame => self.scope_of(frame)?,
            _ => None,
        };
        let mut watch = Watch {
            expression: expression.to_owned(),
            kind,
            slots: Vec::new(),
            storage: Vec::new(),
            bytes: Vec::new(),
            in_register: false,
            in_hardware: false,
            value: None,
            shown: String::new(),
            scope,
            seen_from: frame,
        };
        self.take_in_watched(&mut watch, seen);
        if kind != WatchKind::Write && !watch.in_hardware {
            return Err(Error::new(
                "Expression cannot be implemented with read/access watchpoint.",
            ));
        }
        let id = self.breakpoints.add(Wish::Watch(Box::new(watch)), false).id;
        if let Some(caller) = scope.and_then(|scope| scope.caller) {
            let change = self.sites.add(caller, Reason::Scope(id));
            self.apply(change)?;
        }
        events(Event::BreakpointSet(self.breakpoint_view(id)?));
        Ok(())
    }

    /// Evaluates what is watched, and says what its value hangs on. One that
    /// cannot be read is no error where it hangs on something.
    fn look_at(&mut self, frame: Option<&Frame>, text: &str) -> Result<Watched> {
        self.uses = Some(Uses::default());
        let found = self.evaluate_in(frame, text, &mut |_| {}, |evaluator| {
            let value = evaluator.evaluate_text(text)?;
            let fetched = evaluator.reader.fetched(&value);
            let size = value.ty.size(evaluator.reader.modules)?.unwrap_or(0);
            Ok((value.address().map(|at| (at, size)), fetched))
        });
        let uses = self.uses.take().unwrap_or_default();
        let unreadable = |place| Watched {
            bytes: None,
            text: "<unreadable>".to_owned(),
            place,
            uses: uses.clone(),
        };
        let (place, value) = match found {
            Ok(Some(found)) => found,
            Ok(None) => return Err(Error::new("the program stopped.")),
            Err(_) if !uses.memory.is_empty() || uses.in_register => return Ok(unreadable(None)),
            Err(error) => return Err(error),
        };
        let Ok(value) = value else {
            return Ok(unreadable(place));
        };
        let style = self.style(None);
        let text = self.evaluate_in(frame, "", &mut |_| {}, |evaluator| {
            evaluator.reader.show(&value, &style)
        })?;
        Ok(Watched {
            bytes: value.content.map(|content| content.bytes.to_vec()),
            text: text.unwrap_or_default(),
            place,
            uses,
        })
    }

    /// Makes what was seen what a watch knows, and has the hardware watch it, as
    /// far as there is room.
    fn take_in_watched(&mut self, watch: &mut Watch, seen: Watched) {
        let storage = distinct(seen.uses.memory);
        let pieces = wanted(&storage, seen.place);
        let fits = (self.settings.hardware_watches || watch.kind != WatchKind::Write)
            && !seen.uses.in_register
            && !pieces.is_empty()
            && pieces.len() <= SLOTS;
        let stays = storage == watch.storage && !watch.slots.is_empty();
        if !stays {
            self.release(&watch.slots);
            watch.slots = match fits {
                true => self.take_slots(&pieces, watch.kind).unwrap_or_default(),
                false => Vec::new(),
            };
        }
        watch.in_hardware = fits && (self.target.is_none() || !watch.slots.is_empty());
        watch.storage = storage;
        watch.bytes = self.bytes_of(&watch.storage);
        watch.in_register = seen.uses.in_register;
        watch.value = seen.bytes;
        watch.shown = seen.text;
    }

    /// The bytes of all of some storage; what cannot be read is left out.
    fn bytes_of(&mut self, storage: &[(Address, u64)]) -> Vec<u8> {
        let mut all = Vec::new();
        let Some(target) = self.target.as_deref_mut() else {
            return all;
        };
        for (at, size) in storage {
            let mut bytes = vec![0; *size as usize];
            if target.read(*at, &mut bytes).is_ok() {
                all.extend(bytes);
            }
        }
        all
    }

    /// Debug registers for pieces: all or none. What leads to the value matters
    /// only when it is written.
    fn take_slots(
        &mut self,
        pieces: &[(Address, u8, bool)],
        kind: WatchKind,
    ) -> Option<Vec<(u8, bool)>> {
        let mut slots = Vec::new();
        for &(at, length, is_value) in pieces {
            let access = match is_value && kind != WatchKind::Write {
                true => Access::ReadWrite,
                false => Access::Write,
            };
            let hardware = self.target.as_deref_mut()?.watchpoints()?;
            match hardware.watch(at, length, access) {
                Ok(slot) => slots.push((slot, is_value)),
                Err(_) => {
                    self.release(&slots);
                    return None;
                }
            }
        }
        Some(slots)
    }

    fn release(&mut self, slots: &[(u8, bool)]) {
        if let Some(hardware) = self.target.as_deref_mut().and_then(|t| t.watchpoints()) {
            for (slot, _) in slots {
                let _ = hardware.unwatch(*slot);
            }
        }
    }

    /// The life of a frame, as far as it can be told.
    fn scope_of(&mut self, frame: &Frame) -> Result<Option<Scope>> {
        let thread = self.thread()?;
        let Some(cfa) = frame.cfa else {
            return Ok(None);
        };
        let level = self.level;
        let stack = self.walk(level + 2)?;
        let mut outer = stack.frames.iter().skip(level + 1);
        // What is inlined ends with the function that it is part of.
        let mut caller = outer
            .find(|(outer, _)| outer.cfa != Some(cfa))
            .map(|(frame, _)| frame.pc());
        if caller.is_none() {
            // What is beyond the program's own beginning is not on the stack that
            // the user sees.
            caller = self.return_address(frame);
        }
        Ok(Some(Scope {
            thread,
            cfa,
            function: frame.scope,
            names_at: frame.names_at.unwrap_or(frame.address.lookup()),
            caller,
        }))
    }

    fn return_address(&mut self, frame: &Frame) -> Option<Address> {
        let mut memory = TargetMemory(self.target.as_deref_mut()?);
        let (at, registers) = (frame.address, &frame.registers);
        let unwound = self
            .unwinder
            .step(&self.modules, at, registers, &mut memory);
        Some(unwound.ok()?.caller?.0.pc())
    }

    /// The frame of a scope, as it is now, with the names that it had.
    fn frame_of(&mut self, scope: &Scope) -> Option<Frame> {
        let before = (self.selected, self.level, self.stack.take());
        self.selected = Some(scope.thread);
        let mut wanted = FIRST_FRAMES;
        let found = loop {
            let Ok(stack) = self.walk(wanted) else {
                break None;
            };
            let of_scope =
                |frame: &&Frame| frame.cfa == Some(scope.cfa) && frame.scope == scope.function;
            let frames = stack.frames.iter().map(|(frame, _)| frame);
            let found = frames.clone().find(of_scope).cloned();
            let is_past = frames
                .clone()
                .any(|f| f.cfa.is_some_and(|cfa| cfa > scope.cfa));
            if found.is_some() || is_past || stack.frames.len() < wanted {
                break found;
            }
            wanted *= 4;
        };
        (self.selected, self.level, self.stack) = before;
        let mut frame = found?;
        frame.names_at = Some(scope.names_at);
        Some(frame)
    }

    /// Debug registers fired: what was watched for, by number.
    pub(super) fn hardware_watches(
        &mut self,
        thread: ThreadId,
        fired: Fired,
        events: Events<'_>,
    ) -> Result<Vec<WatchHit>> {
        let of = |b: &Breakpoint| {
            let Wish::Watch(watch) = &b.wish else {
                return None;
            };
            let mut its = watch.slots.iter().filter(|(slot, _)| fired.has(*slot));
            let first = its.next()?;
            Some((b.id, first.1 || its.any(|(_, is_value)| *is_value)))
        };
        let found: Vec<_> = self.breakpoints.iter().filter_map(of).collect();
        let mut hits = Vec::new();
        for (id, accessed) in found {
            hits.extend(self.may_have_changed(id, accessed, thread, events)?);
        }
        Ok(hits)
    }

    /// Whether some watchpoint has to be watched by single steps.
    pub(super) fn watches_by_stepping(&self) -> bool {
        let in_software = |b: &Breakpoint| match &b.wish {
            Wish::Watch(watch) => b.enabled && watch.slots.is_empty(),
            _ => false,
        };
        self.breakpoints.iter().any(in_software)
    }

    /// After a step: what was watched for without hardware, by number.
    pub(super) fn software_watches(
        &mut self,
        thread: ThreadId,
        events: Events<'_>,
    ) -> Result<Vec<WatchHit>> {
        let ids: Vec<BreakpointId> = self
            .breakpoints
            .iter()
            .filter(|b| b.enabled)
            .filter(|b| matches!(&b.wish, Wish::Watch(watch) if watch.slots.is_empty()))
            .map(|b| b.id)
            .collect();
        let mut hits = Vec::new();
        for id in ids {
            let Some(Wish::Watch(watch)) = self.breakpoints.get(id).map(|b| &b.wish) else {
                continue;
            };
            if !watch.in_register {
                let storage = watch.storage.clone();
                let now = self.bytes_of(&storage);
                let watch = self.breakpoints.get(id).map(|b| &b.wish);
                if matches!(watch, Some(Wish::Watch(watch)) if watch.bytes == now) {
                    continue;
                }
            }
            hits.extend(self.may_have_changed(id, false, thread, events)?);
        }
        Ok(hits)
    }

    /// What a watchpoint watches was accessed, or something that it hangs on may
    /// have changed: what there is to tell, if it counts.
    fn may_have_changed(
        &mut self,
        id: BreakpointId,
        accessed: bool,
        thread: ThreadId,
        events: Events<'_>,
    ) -> Result<Option<WatchHit>> {
        let Some(Wish::Watch(mut watch)) = self.breakpoints.get(id).map(|b| b.wish.clone()) else {
            return Ok(None);
        };
        let frame = match &watch.scope {
            Some(scope) => match self.frame_of(scope) {
                Some(frame) => Some(frame),
                // Within a prologue or epilogue nobody can tell.
                None => return Ok(None),
            },
            None => watch.seen_from.clone(),
        };
        let seen = self.look_at(frame.as_ref(), &watch.expression)?;
        let changed = seen.bytes != watch.value;
        let old = watch.shown.clone();
        let was_in_hardware = watch.in_hardware;
        self.take_in_watched(&mut watch, seen);
        if was_in_hardware && !watch.in_hardware {
            events(Event::Warning(format!(
                "watchpoint {id} is watched by single steps now: what it hangs on is more than the free debug registers hold"
            )));
        }
        let hit = WatchHit {
            id,
            title: watch.title(),
            expression: watch.expression.clone(),
            old: changed.then_some(old),
            new: watch.shown.clone(),
        };
        let is_news = match watch.kind {
            WatchKind::Write => changed,
            WatchKind::Read => accessed && !changed,
            WatchKind::Access => accessed || changed,
        };
        if let Some(breakpoint) = self.breakpoints.get_mut(id) {
            breakpoint.wish = Wish::Watch(watch);
        }
        if !is_news || !self.counts(id, thread, events)? {
            return Ok(None);
        }
        Ok(Some(hit))
    }

    /// Frees what a watchpoint has of the hardware.
    pub(super) fn free_slots(&mut self, id: BreakpointId) {
        let Some(Wish::Watch(watch)) = self.breakpoints.get_mut(id).map(|b| &mut b.wish) else {
            return;
        };
        let slots = std::mem::take(&mut watch.slots);
        self.release(&slots);
    }

    /// Begins to watch once more: after a pause, or in a new process.
    pub(super) fn watch_again(&mut self, id: BreakpointId) {
        let Some(Wish::Watch(mut watch)) = self.breakpoints.get(id).map(|b| b.wish.clone()) else {
            return;
        };
        let frame = match &watch.scope {
            Some(scope) => self.frame_of(scope),
            None => watch.seen_from.clone(),
        };
        if let Ok(seen) = self.look_at(frame.as_ref(), &watch.expression) {
            self.take_in_watched(&mut watch, seen);
            if let Some(breakpoint) = self.breakpoints.get_mut(id) {
                breakpoint.wish = Wish::Watch(watch);
            }
        }
    }

    /// The frame whose local was watched has returned.
    pub(super) fn scope_ended(
        &mut self,
        id: BreakpointId,
        thread: ThreadId,
    ) -> Result<Option<StopReason>> {
        let Some(Wish::Watch(watch)) = self.breakpoints.get(id).map(|b| &b.wish) else {
            return Ok(None);
        };
        let Some(scope) = watch.scope else {
            return Ok(None);
        };
        let expression = watch.expression.clone();
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

    /// Watches what is not a frame's in a new process.
    pub(super) fn watch_new_process(&mut self) {
        for id in self.watches(|_| true) {
            if self.breakpoints.get(id).is_some_and(|b| b.enabled) {
                self.watch_again(id);
            }
        }
    }

    fn watches(&self, test: impl Fn(&Watch) -> bool) -> Vec<BreakpointId> {
        self.breakpoints
            .iter()
            .filter(|b| matches!(&b.wish, Wish::Watch(watch) if test(watch)))
            .map(|b| b.id)
            .collect()
    }

    /// The process is gone, and with it the frames that were watched in it.
    pub(super) fn forget_watches(&mut self) {
        for id in self.watches(|watch| watch.scope.is_some()) {
            self.breakpoints.remove(id);
        }
        for id in self.watches(|_| true) {
            if let Some(Wish::Watch(watch)) = self.breakpoints.get_mut(id).map(|b| &mut b.wish) {
                watch.slots.clear();
                watch.storage.clear();
            }
        }
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

    #[test]
    fn what_lies_in_another_range_is_watched_with_it() {
        let at = |ranges: &[(u64, u64)]| -> Vec<_> {
            ranges.iter().map(|(at, n)| (Address(*at), *n)).collect()
        };
        let all = at(&[(32, 4), (16, 8), (20, 4), (16, 8), (40, 0)]);
        assert_eq!(distinct(all), at(&[(16, 8), (32, 4)]));
        let pieces = wanted(&at(&[(16, 8), (32, 4)]), Some((Address(32), 4)));
        assert_eq!(pieces, [(Address(16), 8, false), (Address(32), 4, true)]);
    }
}
