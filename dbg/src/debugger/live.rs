//! A program that was never linked to a file: sources and objects, published
//! into a process that has nothing but the C library.
//!
//! The process is our own executable, started under the debugger and stopped
//! where the C library is about to call its `main`: libraries are there and
//! initialised, `argc`, `argv` and `envp` are in registers, and nothing of ours
//! has run. The inputs are published there, and the thread goes to *their*
//! `main` instead. What `main` returns goes where it always goes.

use std::path::{Path, PathBuf};

use super::run::{Outcome, Plan};
use super::{Debugger, Events};
use crate::error::{Error, Result};
use crate::event::{Began, Event};
use crate::native::{Launch, Native};
use crate::registers::x86;
use crate::step::Goal;
use crate::target::{Address, Target};

/// Extensions of files that are inputs of a live program.
const INPUTS: [&str; 4] = ["c", "o", "a", "i"];

/// What the C library calls with `main` as its first argument.
const START: &str = "__libc_start_main";

/// Whether a file is to be run live rather than executed.
pub(super) fn is_input(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str());
    extension.is_some_and(|e| INPUTS.contains(&e))
}

impl Debugger {
    /// Makes these files the program that `run` starts.
    pub(super) fn choose_inputs(&mut self, files: &[PathBuf]) -> Result<()> {
        if self.target.is_some() {
            return Err(Error::new(
                "A program is being debugged already; kill it first.",
            ));
        }
        let mut inputs = Vec::new();
        for file in files {
            let full = std::fs::canonicalize(file);
            let full = full.map_err(|e| Error::new(format!("{}: {e}", file.display())))?;
            if let Some(folder) = full.parent() {
                self.sources.add_folder(folder);
            }
            inputs.push(full);
        }
        self.forget_program();
        self.inputs = inputs;
        Ok(())
    }

    /// Starts a process and brings it to the inputs' `main`.
    pub(super) fn launch_live(&mut self, launch: &Launch, events: Events<'_>) -> Result<()> {
        let native = Native::launch(launch, self.interrupter.clone())?;
        let process = native.process();
        self.process_ended();
        self.target = Some(Box::new(native));
        let thread = self.number_threads().first().map(|(thread, _)| *thread);
        let thread = thread.ok_or(Error::NotRunning)?;
        self.select(thread);
        let program = self.inputs[0].clone();
        events(Event::Started {
            process,
            program,
            how: Began::Launched,
        });
        let ready = self.bring_to_main(events);
        if ready.is_err()
            && let Some(target) = &mut self.target
        {
            let _ = target.kill();
            self.process_ended();
        }
        ready
    }

    fn bring_to_main(&mut self, events: Events<'_>) -> Result<()> {
        self.take_in_ground(events)?;
        let entry = self.ground.entry;
        self.run_quietly_to(entry, events)?;
        self.refresh_libraries(events)?;
        self.run_quietly_to(self.library_function(START), events)?;
        let thread = self.thread()?;
        let own_main = self.live()?.registers(thread)?.get(x86::RDI);
        self.run_quietly_to(Some(Address(own_main)), events)?;

        let files = self.inputs.clone();
        let calls = self.publish_files(&files, events)?;
        self.run_deferred(&calls, events)?;
        let main = self
            .image_symbol("main")
            .ok_or_else(|| Error::new("none of the files defines main."))?;
        let target = self.live()?;
        let mut registers = target.registers(thread)?;
        registers.set_pc(main);
        target.set_registers(thread, &registers)?;
        self.stack = None;
        // A breakpoint at its very first instruction has not been seen.
        self.unseen = true;
        Ok(())
    }

    /// Runs to an address without telling anybody.
    fn run_quietly_to(&mut self, at: Option<Address>, events: Events<'_>) -> Result<()> {
        let address = at.ok_or_else(|| {
            Error::new("a live program needs a dynamic C library, which this debugger has not got.")
        })?;
        let thread = self.thread()?;
        let goal = Goal {
            address,
            stack_at_least: None,
        };
        let was_quiet = std::mem::replace(&mut self.quiet, true);
        let outcome = self.drive(thread, Plan::To(vec![goal]), events);
        self.quiet = was_quiet;
        match outcome? {
            Outcome::Arrived => Ok(()),
            _ => Err(Error::new("the process did not get to main.")),
        }
    }
}
