//! [`Debugger`]: the owner of everything, and the one door to it.

use crate::command::Command;
use crate::error::Result;
use crate::event::Event;
use crate::interrupt::Interrupter;

/// A debugger. See the [crate page](crate).
#[derive(Default)]
pub struct Debugger {
    interrupter: Interrupter,
}

impl Debugger {
    /// A debugger without a program.
    pub fn new() -> Debugger {
        Debugger::default()
    }

    /// Executes one command, telling `events` what happens as it happens.
    /// Returns when the program has stopped again, or when there is none.
    pub fn execute(&mut self, command: Command, events: &mut dyn FnMut(Event)) -> Result<()> {
        if let Command::Quit(status) = command {
            events(Event::Quit(status));
        }
        Ok(())
    }

    /// What another thread or a signal handler uses to stop the program.
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }
}
