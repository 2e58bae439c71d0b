//! Watchpoints and catchpoints.

use super::run::Outcome;
use super::{Debugger, Events};
use crate::breakpoint::{BreakpointId, Watch, Wish};
use crate::command::{Catch, WatchKind};
use crate::error::{Error, Result};
use crate::event::{Event, StopReason};
use crate::target::ThreadId;

impl Debugger {
    /// `watch`, `rwatch`, `awatch`.
    pub(super) fn watch(
        &mut self,
        expression: &str,
        kind: WatchKind,
        events: Events<'_>,
    ) -> Result<()> {
        let _ = (expression, kind, events);
        Err(Error::new("watchpoints are not supported yet."))
    }

    /// `catch`, `tcatch`.
    pub(super) fn catch(&mut self, what: Catch, temporary: bool, events: Events<'_>) -> Result<()> {
        if !matches!(
            what,
            Catch::Fork | Catch::Vfork | Catch::Exec | Catch::Signals(_)
        ) {
            return Err(Error::new(format!(
                "catch {} is not supported yet.",
                super::info::catch_text(&what)
            )));
        }
        let id = self.breakpoints.add(Wish::Catch(what), temporary).id;
        events(Event::BreakpointSet(self.breakpoint_view(id)?));
        Ok(())
    }

    /// The first enabled catchpoint that catches such a thing; counts the hit.
    pub(super) fn catches(&mut self, test: impl Fn(&Catch) -> bool) -> Option<BreakpointId> {
        let found = self.breakpoints.iter().find(|b| match &b.wish {
            Wish::Catch(what) => b.enabled && test(what),
            _ => false,
        });
        let id = found?.id;
        let breakpoint = self.breakpoints.get_mut(id)?;
        breakpoint.hits += 1;
        let temporary = breakpoint.temporary;
        if temporary {
            self.remove_breakpoint(id);
        }
        Some(id)
    }

    /// A hardware watchpoint fired.
    pub(super) fn watch_hit(
        &mut self,
        thread: ThreadId,
        slot: u8,
        events: Events<'_>,
    ) -> Result<super::run::Verdict> {
        let _ = (slot, events);
        Ok(super::run::Verdict::Stop(Outcome::Stop(
            thread,
            StopReason::Interrupted,
        )))
    }

    /// A thread entered or left a system call that is being caught.
    pub(super) fn syscall(
        &mut self,
        thread: ThreadId,
        number: i64,
        result: Option<i64>,
    ) -> Result<super::run::Verdict> {
        let _ = (thread, number, result);
        Ok(super::run::Verdict::GoOn)
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
    }
}
