//! `core-file` and `generate-core-file`.

use std::path::{Path, PathBuf};

use super::{Debugger, Events};
use crate::core::{self, Core};
use crate::error::{Error, Result};
use crate::event::{Began, Event, StopReason};
use crate::target::Target;

impl Debugger {
    /// `core-file`: looks at what a dead process left.
    pub(super) fn open_core(&mut self, path: &Path, events: Events<'_>) -> Result<()> {
        if self.target.as_ref().is_some_and(|target| target.can_run()) {
            return Err(Error::new(
                "A program is being debugged already; kill or detach it first.",
            ));
        }
        let core = Core::open(path)?;
        let program = match (&self.program, core.executable()) {
            (Some(chosen), _) => chosen.clone(),
            (None, Some(named)) => named,
            (None, None) => {
                return Err(Error::new(format!(
                    "{} does not name its program: name it before (`file PROGRAM`).",
                    path.display()
                )));
            }
        };
        for warning in core.warnings() {
            events(Event::Warning(warning.clone()));
        }
        let command = PathBuf::from(core.command());
        let fatal = core.fatal();
        self.process_ended();
        self.follow_target(Box::new(core), &command, Began::Core, events);
        if let Err(error) = self.take_in_process(&program, events) {
            self.process_ended();
            return Err(error);
        }
        self.program.get_or_insert(program);
        let reason = match fatal {
            Some(info) => StopReason::Died(info.signal),
            None => StopReason::Attached,
        };
        let thread = self.thread()?;
        self.report(thread, reason, true, events)
    }

    /// `generate-core-file`: writes down the process as it is.
    pub(super) fn write_core(&mut self, path: Option<PathBuf>, events: Events<'_>) -> Result<()> {
        let thread = self.thread()?;
        let target = self.live()?;
        let path = path.unwrap_or_else(|| format!("core.{}", target.process()).into());
        let written = core::write(target, thread, &path)?;
        if written.unreadable > 0 {
            let count = written.unreadable;
            events(Event::Warning(format!(
                "{count} mappings could not be read and are left out."
            )));
        }
        events(Event::Text(format!("Saved corefile {}\n", path.display())));
        Ok(())
    }
}
