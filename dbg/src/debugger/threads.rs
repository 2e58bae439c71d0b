//! [`Threads`]: the debugger's own numbers for threads, from 1, never used
//! twice in a process; and the commands about threads.

use std::collections::BTreeMap;

use super::{Debugger, Events};
use crate::command::{Apply, WhichThreads};
use crate::error::{Error, Result};
use crate::event::{Event, ThreadLine, ThreadView};
use crate::registers::x86;
use crate::target::ThreadId;

/// Numbers of threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Threads {
    numbers: BTreeMap<ThreadId, u32>,
    last: u32,
    /// What the user calls them.
    names: BTreeMap<ThreadId, String>,
}

impl Threads {
    /// The number of a thread; a new one for a thread not seen before.
    pub fn number(&mut self, thread: ThreadId) -> u32 {
        *self.numbers.entry(thread).or_insert_with(|| {
            self.last += 1;
            self.last
        })
    }

    /// Whether there has never been more than one.
    pub fn are_single(&self) -> bool {
        self.last <= 1
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
            name: self.threads.names.get(&thread).cloned().or(name),
            handle,
            is_single: self.threads.are_single(),
        }
    }

    /// Every stop tells its thread's name and handle, which costs system calls;
    /// otherwise only those of a program that has had several threads do.
    pub fn name_threads(&mut self, always: bool) {
        self.names_threads = always;
    }

    /// A thread as a stop's line names it: where the program has had no other,
    /// nobody asks for its name.
    pub(super) fn brief_thread_view(&mut self, thread: ThreadId) -> ThreadView {
        let number = self.threads.number(thread);
        if self.names_threads || !self.threads.are_single() {
            return self.thread_view(thread);
        }
        ThreadView {
            number,
            id: thread,
            name: None,
            handle: None,
            is_single: true,
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
        apply: &Apply,
        events: Events<'_>,
    ) -> Result<()> {
        let (selected, level) = (self.thread()?, self.level);
        let mut all = self.number_threads();
        all.retain(|(_, number)| match which {
            WhichThreads::All => true,
            WhichThreads::These(these) => these.contains(number),
        });
        all.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
        if let WhichThreads::These(these) = which {
            all.sort_by_key(|(_, number)| these.iter().position(|one| one == number));
            for number in these {
                if !all.iter().any(|(_, known)| known == number) {
                    events(Event::Warning(format!("Unknown thread {number}")));
                }
            }
        }
        let mut result = Ok(());
        for (thread, number) in all {
            self.select(thread);
            let view = self.thread_view(thread);
            let heading = format!(
                "\nThread {number} ({}):\n",
                crate::render::thread_line(&view)
            );
            result = self.apply_in_turn(apply, heading, events);
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

    /// Executes a command that several threads or frames have their turn with.
    pub(super) fn apply_in_turn(
        &mut self,
        apply: &Apply,
        heading: String,
        events: Events<'_>,
    ) -> Result<()> {
        let parsed = self.parse(&apply.command);
        let command = parsed.map_err(|error| Error::new(error.to_string()))?;
        let mut said = Vec::new();
        let done = self.execute_with_hits(command, &mut |event| said.push(event));
        if apply.silent && (done.is_err() || said.is_empty()) {
            return Ok(());
        }
        if !apply.quiet {
            events(Event::Text(heading));
        }
        said.into_iter().for_each(&mut *events);
        match done {
            Err(error) if apply.goes_on => {
                events(Event::Text(format!("{error}\n")));
                Ok(())
            }
            done => done,
        }
    }

    /// `thread name`.
    pub(super) fn name_thread(&mut self, name: Option<String>) -> Result<()> {
        let thread = self.thread()?;
        match name {
            Some(name) => drop(self.threads.names.insert(thread, name)),
            None => drop(self.threads.names.remove(&thread)),
        }
        Ok(())
    }

    /// `thread find`.
    pub(super) fn find_threads(&mut self, text: &str, events: Events<'_>) -> Result<()> {
        let regex = regex_lite::Regex::new(text)
            .map_err(|e| Error::new(format!("Invalid regexp: {e}: {text}")))?;
        let mut found = String::new();
        for (thread, number) in self.number_threads() {
            let view = self.thread_view(thread);
            if let Some(name) = view.name.as_ref().filter(|name| regex.is_match(name)) {
                found.push_str(&format!("Thread {number} has name '{name}'\n"));
            }
            let id = crate::render::thread_name(&view);
            if regex.is_match(&id) {
                found.push_str(&format!("Thread {number} has target id '{id}'\n"));
            }
        }
        if found.is_empty() {
            found = format!("No threads match '{text}'\n");
        }
        events(Event::Text(found));
        Ok(())
    }
}
