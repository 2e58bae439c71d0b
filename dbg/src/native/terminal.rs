//! Whose turn it is at the terminal: what a shell does for a job.
//!
//! A program that we started leads a process group of its own. While it runs,
//! that group is the terminal's foreground, so that it may read and that Ctrl-C
//! and Ctrl-Z go to it; while it is stopped, we are, with our own terminal
//! settings. A program with jobs of its own, a shell, may have put one of them
//! there: what it finds when it goes on is what was there when it stopped.
//! Nothing happens when our standard input is no terminal of ours.

use crate::native::sys;

/// The descriptor of the terminal: our standard input.
const TERMINAL: i32 = 0;

/// A terminal shared between us and the program.
pub struct Terminal {
    ours: i32,
    /// The group that the program leads.
    program: i32,
    /// The one that had the terminal when the program stopped.
    theirs: i32,
    our_settings: Option<libc::termios>,
    their_settings: Option<libc::termios>,
    lent: bool,
}

impl Terminal {
    /// Shares our terminal with the process group that `program` leads. `None`
    /// when we have none, or are not in its foreground.
    pub fn share(program: i32) -> Option<Terminal> {
        let ours = sys::foreground(TERMINAL)?;
        Some(Terminal {
            ours,
            program,
            theirs: program,
            our_settings: sys::terminal_settings(TERMINAL),
            their_settings: None,
            lent: false,
        })
    }

    /// Gives it to the program.
    pub fn lend(&mut self) {
        if self.lent {
            return;
        }
        self.our_settings = sys::terminal_settings(TERMINAL);
        if let Some(settings) = &self.their_settings {
            sys::set_terminal_settings(TERMINAL, settings);
        }
        if !sys::give_terminal(TERMINAL, self.theirs) {
            // The job has ended meanwhile.
            sys::give_terminal(TERMINAL, self.program);
        }
        self.lent = true;
    }

    /// Takes it back.
    pub fn take_back(&mut self) {
        if !self.lent {
            return;
        }
        let theirs = sys::foreground_group(TERMINAL).filter(|group| *group != self.ours);
        self.theirs = theirs.unwrap_or(self.program);
        sys::give_terminal(TERMINAL, self.ours);
        self.their_settings = sys::terminal_settings(TERMINAL);
        if let Some(settings) = &self.our_settings {
            sys::set_terminal_settings(TERMINAL, settings);
        }
        self.lent = false;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.take_back();
    }
}
