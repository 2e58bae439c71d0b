//! Catchpoints: stops at what is no place in the source.
//!
//! What a C++ runtime or Rust's standard library does first when it throws,
//! catches or panics is a function with a known name, so these are places like
//! any breakpoint's, resolved as libraries come. System calls, forks and signals
//! are events of the target's.

use super::run::{Outcome, Verdict};
use super::{Debugger, Events};
use crate::breakpoint::{BreakpointId, Wish};
use crate::command::Catch;
use crate::error::{Error, Result};
use crate::event::{Event, StopReason};
use crate::target::ThreadId;

mod syscalls;

/// The function that the runtime calls for such a thing: its symbol, and
/// whether that is only the end of a mangled name.
pub(super) fn function_of(what: &Catch) -> Option<(&'static str, bool)> {
    match what {
        Catch::Throw => Some(("__cxa_throw", false)),
        Catch::CatchException => Some(("__cxa_begin_catch", false)),
        Catch::Rethrow => Some(("__cxa_rethrow", false)),
        Catch::Panic => Some(("rust_panic", true)),
        _ => None,
    }
}

/// What a hit of such a catchpoint is called.
fn happened(what: &Catch) -> &'static str {
    match what {
        Catch::Throw => "exception thrown",
        Catch::CatchException => "exception caught",
        Catch::Rethrow => "exception rethrown",
        _ => "panic",
    }
}

impl Debugger {
    /// `catch`, `tcatch`.
    pub(super) fn catch(&mut self, what: Catch, temporary: bool, events: Events<'_>) -> Result<()> {
        if let Catch::Syscalls(names) = &what {
            for name in names {
                if syscalls::numbers(name).is_empty() {
                    return Err(Error::new(format!("Unknown syscall name '{name}'.")));
                }
            }
        }
        let id = self.breakpoints.add(Wish::Catch(what), temporary).id;
        let places = self.places_since(id, 0);
        self.add_places(id, places);
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
        if breakpoint.ignore > 0 {
            breakpoint.ignore -= 1;
            return None;
        }
        let temporary = breakpoint.temporary;
        if temporary {
            self.remove_breakpoint(id);
        }
        Some(id)
    }

    /// The stop that a hit of a breakpoint's place is.
    pub(super) fn stop_of(&self, id: BreakpointId) -> StopReason {
        let breakpoint = self.breakpoints.get(id);
        match breakpoint.map(|b| &b.wish) {
            Some(Wish::Catch(what)) => StopReason::Caught(id, happened(what).to_owned()),
            _ => StopReason::Breakpoint(id, breakpoint.is_some_and(|b| b.temporary)),
        }
    }

    /// Whether any enabled catchpoint wants that system call.
    pub(super) fn wants_syscall(&self, number: i64) -> bool {
        self.breakpoints.iter().any(|b| match &b.wish {
            Wish::Catch(what) => b.enabled && wants(what, number),
            _ => false,
        })
    }

    /// Tells the target whether system calls are of interest.
    pub(super) fn arm_syscalls(&mut self) {
        let wanted = self
            .breakpoints
            .iter()
            .any(|b| b.enabled && matches!(&b.wish, Wish::Catch(Catch::Syscalls(_))));
        if let Some(target) = &mut self.target {
            target.catch_syscalls(wanted);
        }
    }

    /// A thread entered or left a system call.
    pub(super) fn syscall(
        &mut self,
        thread: ThreadId,
        number: i64,
        result: Option<i64>,
    ) -> Result<Verdict> {
        let Some(id) = self.catches(|what| wants(what, number)) else {
            return Ok(Verdict::GoOn);
        };
        let name = syscalls::name(number);
        let what = match result {
            None => format!("call to syscall {name}"),
            Some(_) => format!("returned from syscall {name}"),
        };
        let reason = StopReason::Caught(id, what);
        Ok(Verdict::Stop(Outcome::Stop(thread, reason)))
    }

    /// Libraries came or went: whether somebody waits for that.
    pub(super) fn library_stop(
        &mut self,
        loaded: &[String],
        gone: &[String],
    ) -> Option<StopReason> {
        let of = |names: &[String], part: &str| names.iter().any(|name| name.contains(part));
        let id = self.catches(|what| match what {
            Catch::Load(part) => of(loaded, part),
            Catch::Unload(part) => of(gone, part),
            _ => false,
        })?;
        let list = |what: &str, names: &[String]| match names {
            [] => None,
            names => Some(format!("{what} {}", names.join(", "))),
        };
        let both = [list("loaded", loaded), list("unloaded", gone)];
        let text: Vec<String> = both.into_iter().flatten().collect();
        Some(StopReason::Caught(id, text.join("; ")))
    }
}

fn wants(what: &Catch, number: i64) -> bool {
    match what {
        Catch::Syscalls(names) => {
            names.is_empty() || names.iter().any(|n| syscalls::numbers(n).contains(&number))
        }
        _ => false,
    }
}
