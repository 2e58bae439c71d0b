//! [`Threads`]: the debugger's own numbers for threads, from 1, never used
//! twice in a process; and the commands about threads.

use std::collections::BTreeMap;

use super::{Debugger, Events};
use crate::command::{Command, WhichThreads};
use crate::error::{Error, Result};
use crate::event::{Event, ThreadLine, ThreadView};
use crate::registers::x86;
use crate::target::ThreadId;

/// Numbers of threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Threads {
    numbers: BTreeMap<ThreadId, u32>,
    last: u32,
}

impl Threads {
    /// The number of a thread; a new one for a thread not seen before.
    pub fn number(&mut self, thread: ThreadId) -> u32 {
        *self.numbers.entry(thread).or_insert_with(|| {
            self.last += 1;
            self.last
        })
    }

    /// Forgets all, for a new process.
    pub fn clear(&mut self) {
        *self = Threads::default();
    }
}

impl Debugger {
    /// A thread as the user sees it.
    pub(super) fn thread_view(&mut self, thread: ThreadId) -> ThreadView {
        let number = self.threads.number(thread);
        let (name, handle) = match &mut self.target {
            Some(target) => (
                target.thread_name(thread),
                target
                    .registers(thread)
                    .ok()
                    .map(|r| r.get(x86::FS_BASE))
                    .filter(|handle| *handle != 0),
            ),
            None => (None, None),
        };
        ThreadView {
            number,
            id: thread,
            name,
            handle,
        }
    }

    /// A thread as a stop's line names it: where the program has had no other,
    /// nobody asks for its name.
    pub(super) fn brief_thread_view(&mut self, thread: ThreadId) -> ThreadView {
        let number = self.threads.number(thread);
        let is_alone = self.target.as_ref().is_none_or(|t| t.thread_count() == 1);
        if !is_alone || number != 1 {
            return self.thread_view(thread);
        }
        ThreadView {
            number,
            id: thread,
            name: None,
            handle: None,
        }
    }

    /// Gives every thread that there is a number, oldest first.
    pub(super) fn number_threads(&mut self) -> Vec<(ThreadId, u32)> {
        let threads = self.target.as_ref().map_or(Vec::new(), |t| t.threads());
        threads
            .into_iter()
            .map(|thread| (thread, self.threads.number(thread)))
            .collect()
    }

    /// `thread [N]`.
    pub(super) fn select_thread(&mut self, number: Option<u32>, events: Events<'_>) -> Result<()> {
        let all = self.number_threads();
        let thread = match number {
            None => self.thread()?,
            Some(number) => {
                let found = all.iter().find(|(_, n)| *n == number);
                found
                    .ok_or_else(|| Error::new(format!("Unknown thread {number}.")))?
                    .0
            }
        };
        if number.is_some() {
            self.select(thread);
        }
        let view = self.thread_view(thread);
        let what = match number {
            None => "Current thread is",
            Some(_) => "Switching to thread",
        };
        let handle = match view.handle {
            Some(handle) => format!("Thread {handle:#x} (LWP {})", view.id),
            None => format!("LWP {}", view.id),
        };
        events(Event::Text(format!(
            "[{what} {} ({handle})]\n",
            view.number
        )));
        if number.is_some() {
            self.show_frame(events)?;
        }
        Ok(())
    }

    /// Makes commands be about the innermost frame of a thread.
    pub(super) fn select(&mut self, thread: ThreadId) {
        self.selected = Some(thread);
        self.level = 0;
        self.stack = None;
        self.listing.restart();
    }

    /// `info threads`.
    pub(super) fn info_threads(&mut self, events: Events<'_>) -> Result<()> {
        let (selected, level) = (self.selected, self.level);
        let mut lines = Vec::new();
        for (thread, _) in self.number_threads() {
            let view = self.thread_view(thread);
            self.selected = Some(thread);
            self.stack = None;
            let frame = self.frame_view(0).ok();
            lines.push(ThreadLine {
                thread: view,
                selected: Some(thread) == selected,
                frame,
            });
        }
        self.selected = selected;
        self.level = level;
        self.stack = None;
        lines.sort_by_key(|line| line.thread.number);
        events(Event::Threads(lines));
        Ok(())
    }

    /// `thread apply`.
    pub(super) fn thread_apply(
        &mut self,
        which: &WhichThreads,
        command: &Command,
        events: Events<'_>,
    ) -> Result<()> {
        let (selected, level) = (self.thread()?, self.level);
        let mut all = self.number_threads();
        all.retain(|(_, number)| match which {
            WhichThreads::All => true,
            WhichThreads::These(these) => these.contains(number),
        });
        all.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
        let mut result = Ok(());
        for (thread, number) in all {
            self.select(thread);
            let view = self.thread_view(thread);
            let handle = view.handle.unwrap_or(0);
            events(Event::Text(format!(
                "\nThread {number} (Thread {handle:#x} (LWP {})):\n",
                view.id
            )));
            result = self.execute(command.clone(), events);
            if result.is_err() {
                break;
            }
        }
        if self.target.is_some() {
            self.select(selected);
            self.level = level;
        }
        result
    }
}
