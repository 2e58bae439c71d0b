//! What is not about the program: the shell, the debugger's own folder, other
//! names and settings for one command, and the search in sources.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command as Process, Stdio};

use regex_lite::Regex;

use super::{Debugger, Events};
use crate::command::Command;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::parse::WORDS;
use crate::render::render;

/// The user's shell.
fn shell() -> Process {
    let name = std::env::var_os("SHELL").filter(|name| !name.is_empty());
    Process::new(name.unwrap_or_else(|| "/bin/sh".into()))
}

fn cannot(error: std::io::Error) -> Error {
    Error::new(format!("cannot run the shell: {error}."))
}

impl Debugger {
    /// `shell`.
    pub(super) fn shell(&mut self, line: &str) -> Result<()> {
        let mut shell = shell();
        if !line.is_empty() {
            shell.args(["-c", line]);
        }
        let status = shell.status().map_err(cannot)?;
        self.note_shell(status);
        Ok(())
    }

    /// How a line of the shell ended is a convenience variable, as in gdb.
    fn note_shell(&mut self, status: std::process::ExitStatus) {
        use std::os::unix::process::ExitStatusExt;
        let of = crate::value::Value::int;
        if let Some(code) = status.code() {
            self.set_own_variable("_shell_exitcode", of(code));
        }
        if let Some(signal) = status.signal() {
            self.set_own_variable("_shell_exitsignal", of(signal));
        }
    }

    /// `pipe`.
    pub(super) fn pipe(&mut self, command: &str, line: &str) -> Result<()> {
        let command = self.parse(command).map_err(|e| Error::new(e.to_string()))?;
        let mut text = String::new();
        self.execute_one(command, &mut |event| text.push_str(&render(&event)))?;
        let child = shell().args(["-c", line]).stdin(Stdio::piped()).spawn();
        let mut child = child.map_err(cannot)?;
        if let Some(mut input) = child.stdin.take() {
            // One that has read enough ends early.
            let _ = input.write_all(text.as_bytes());
        }
        let status = child.wait().map_err(cannot)?;
        self.note_shell(status);
        Ok(())
    }

    /// `cd`.
    pub(super) fn change_directory(
        &mut self,
        folder: Option<PathBuf>,
        events: Events<'_>,
    ) -> Result<()> {
        let home = || std::env::var_os("HOME").map(PathBuf::from);
        let folder = match folder {
            Some(folder) => match (folder.strip_prefix("~"), home()) {
                (Ok(rest), Some(home)) => home.join(rest),
                _ => folder,
            },
            None => home().ok_or_else(|| Error::new("there is no HOME."))?,
        };
        // The program is known by a path that may begin here.
        if let Some(program) = &mut self.program
            && let Ok(whole) = std::fs::canonicalize(&*program)
        {
            *program = whole;
        }
        std::env::set_current_dir(&folder)
            .map_err(|e| Error::new(format!("{}: {e}.", folder.display())))?;
        self.directory(events)
    }

    /// `pwd`.
    pub(super) fn directory(&mut self, events: Events<'_>) -> Result<()> {
        let here = std::env::current_dir().map_err(|e| Error::new(format!("{e}.")))?;
        events(Event::Text(format!(
            "Working directory {}.\n",
            here.display()
        )));
        Ok(())
    }

    /// `with`: settings hold for one command.
    pub(super) fn with(
        &mut self,
        settings: &[String],
        command: &str,
        events: Events<'_>,
    ) -> Result<()> {
        let parse = |text: &str| self.parse(text).map_err(|e| Error::new(e.to_string()));
        let mut wanted = Vec::new();
        for text in settings {
            match parse(&format!("set {text}"))? {
                Command::Set(setting) => wanted.push(setting),
                _ => return Err(Error::new(format!("\"{text}\" is no setting."))),
            }
        }
        let command = parse(command)?;
        let before = self.settings.clone();
        let changed = wanted
            .into_iter()
            .try_for_each(|setting| self.change_setting(setting));
        let done = changed.and_then(|()| self.execute_with_hits(command, events));
        self.settings = before;
        done
    }

    /// `apropos`.
    pub(super) fn apropos(&self, text: &str) -> String {
        let wanted = text.to_lowercase();
        let has = |what: &str| what.to_lowercase().contains(&wanted);
        let rows = WORDS
            .iter()
            .filter(|(name, _, what)| has(name) || has(what));
        rows.map(|(name, _, what)| format!("{name:<20} {what}\n"))
            .collect()
    }

    /// `search` and `reverse-search`: the line is the next that `list` is about.
    pub(super) fn search(
        &mut self,
        pattern: &str,
        forward: bool,
        events: Events<'_>,
    ) -> Result<()> {
        let regex = Regex::new(pattern).map_err(|e| Error::new(format!("{pattern}: {e}.")))?;
        let (file, first, last) = match self.listing.shown() {
            Some(shown) => shown,
            None => {
                let (file, line) = self.current_line()?;
                (file, line, line)
            }
        };
        let text = self.sources.text(&file);
        let text = text.map_err(|why| Error::new(format!("{}: {why}.", file.display())))?;
        let is_there = |&line: &u32| regex.is_match(&text[line as usize - 1]);
        let count = text.len() as u32;
        let found = match forward {
            true => (last + 1..=count).find(is_there),
            false => (1..first.min(count + 1)).rev().find(is_there),
        };
        let line = found.ok_or_else(|| Error::new(format!("Expression not found: {pattern}.")))?;
        self.listing.show(file.clone(), line, line);
        events(Event::Source(self.sources.lines(&file, line, line, None)));
        Ok(())
    }
}
