//! Source lines: what a stop shows, what `list` shows; and `help`.

use std::path::Path;
use std::sync::Arc;

use super::{Debugger, Events};
use crate::command::{ListWhat, Spec};
use crate::error::{Error, Result};
use crate::event::{Event, FrameView, SourceLines};
use crate::parse::{SETTINGS, WORDS, full_word, info_words};
use crate::target::Address;

/// What `list` showed last.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    shown: Option<(Arc<Path>, u32, u32)>,
}

impl Listing {
    /// The next `list` is about the selected frame again.
    pub fn restart(&mut self) {
        self.shown = None;
    }

    /// The file and the lines, first to last.
    pub fn shown(&self) -> Option<(Arc<Path>, u32, u32)> {
        self.shown.clone()
    }

    /// These lines were shown.
    pub fn show(&mut self, file: Arc<Path>, first: u32, last: u32) {
        self.shown = Some((file, first, last));
    }
}

impl Debugger {
    /// The source line of a frame.
    pub(super) fn frame_source(&mut self, frame: &FrameView) -> Option<SourceLines> {
        let file = frame.file.as_ref().filter(|_| frame.line != 0)?;
        let line = frame.line;
        let lines = self.sources.lines(file, line, line, Some(line));
        Some(lines)
    }

    /// Says so, once, when a source file was written after the program was built.
    pub(super) fn warn_of_newer(
        &mut self,
        at: Address,
        source: Option<&SourceLines>,
        events: Events<'_>,
    ) {
        let module = self.modules.at(at).map(|(id, _)| id);
        if module.is_none() || module != self.executable {
            return;
        }
        let Some(source) = source.filter(|source| source.missing.is_none()) else {
            return;
        };
        if self.compared.contains(&*source.file) {
            return;
        }
        self.compared.insert(source.file.to_path_buf());
        let newer = self
            .stamp
            .is_some_and(|stamp| stamp.is_older_than(&source.file));
        if newer {
            events(Event::Warning(
                "Source file is more recent than executable.".to_owned(),
            ));
        }
    }

    /// Where the selected frame is, or else the program's `main`.
    pub(super) fn current_line(&mut self) -> Result<(Arc<Path>, u32)> {
        if let Some((file, first, last)) = self.listing.shown.clone() {
            return Ok((file, first.midpoint(last)));
        }
        if self.target.is_some() {
            let frame = self.current_frame()?;
            if let Some(file) = frame.file.filter(|_| frame.line != 0) {
                return Ok((file, frame.line));
            }
        }
        let main = self.places(&Spec::Function("main".to_owned()))?;
        main.into_iter()
            .find_map(|place| Some((place.file?, place.line)))
            .ok_or_else(|| Error::new("No symbol table is loaded.  Use the \"file\" command."))
    }

    /// `list`.
    pub(super) fn list(&mut self, what: &ListWhat, events: Events<'_>) -> Result<()> {
        let size = self.settings.list_size;
        let around = |line: u32| {
            let first = line.saturating_sub(size / 2).max(1);
            (first, first + size - 1)
        };
        let (file, first, last) = match (what, self.listing.shown.clone()) {
            (ListWhat::More, Some((file, _, last))) => (file, last + 1, last + size),
            (ListWhat::Before, Some((_, 1, _))) => {
                return Err(Error::new("Already at the start of the file."));
            }
            (ListWhat::Before, Some((file, first, _))) => {
                (file, first.saturating_sub(size).max(1), first - 1)
            }
            (ListWhat::More | ListWhat::Before, None) => {
                let (file, line) = self.current_line()?;
                let (first, last) = around(line);
                (file, first, last)
            }
            (ListWhat::Around(spec), _) => {
                let (file, line) = self.line_of(spec)?;
                let (first, last) = around(line);
                (file, first, last)
            }
            (ListWhat::Range(from, to), _) => self.line_range(from.as_ref(), to.as_ref())?,
        };
        let here = self.selected.and_then(|_| self.current_frame().ok());
        let current = here
            .filter(|frame| frame.file.as_ref() == Some(&file))
            .map(|frame| frame.line);
        let lines = self.sources.lines(&file, first, last, current);
        if let Some(why) = &lines.missing {
            return Err(Error::new(format!("{}: {why}.", file.display())));
        }
        if lines.lines.is_empty() {
            return Err(Error::new(format!(
                "Line number {first} out of range; {} has {} lines.",
                file.display(),
                self.sources.text(&file).map_or(0, |lines| lines.len())
            )));
        }
        let last = first + lines.lines.len() as u32 - 1;
        self.listing.shown = Some((file, first, last));
        events(Event::Source(lines));
        Ok(())
    }

    /// The file and line that a spec means, code or no code.
    fn line_of(&mut self, spec: &Spec) -> Result<(Arc<Path>, u32)> {
        let spec = self.absolute(spec)?;
        if let Spec::Line {
            file: Some(name),
            line,
        } = &spec
        {
            let file = self.file_named(name);
            return Ok((file.ok_or_else(|| self.nothing_matches(&spec))?, *line));
        }
        // A function is shown from where it is declared.
        if let Spec::Function(name) = &spec {
            let declared = self.modules.naming(name).find_map(|(_, module)| {
                let function = module.functions(name).into_iter().next()?;
                Some((function.file.clone()?, function.line))
            });
            if let Some((file, line)) = declared.filter(|(_, line)| *line != 0) {
                return Ok((file, line));
            }
        }
        let place = self.one_place(&spec)?;
        match place.file {
            Some(file) => Ok((file, place.line)),
            None => Err(Error::new(format!(
                "{spec} has no line number information."
            ))),
        }
    }

    fn line_range(
        &mut self,
        from: Option<&Spec>,
        to: Option<&Spec>,
    ) -> Result<(Arc<Path>, u32, u32)> {
        let size = self.settings.list_size;
        match (from, to) {
            (Some(from), None) => {
                let (file, first) = self.line_of(from)?;
                Ok((file, first, first + size - 1))
            }
            (None, Some(to)) => {
                let (file, last) = self.line_of(to)?;
                Ok((file, (last + 1).saturating_sub(size).max(1), last))
            }
            (Some(from), Some(to)) => {
                let (file, first) = self.line_of(from)?;
                let last = match to {
                    Spec::Line { file: None, line } => *line,
                    Spec::Offset(by) => first.saturating_add_signed(*by),
                    to => self.line_of(to)?.1,
                };
                Ok((file, first, last))
            }
            (None, None) => Err(Error::new("list what?")),
        }
    }

    /// The source file that a path suffix means.
    pub(super) fn file_named(&self, suffix: &str) -> Option<Arc<Path>> {
        // The newest first: a snippet of that name, rather than an old one.
        self.modules
            .mentioning(suffix)
            .rev()
            .find_map(|(_, module)| module.files(suffix).into_iter().next())
    }

    /// `help`.
    pub(super) fn help(&self, word: Option<&str>) -> Result<String> {
        if let Some(text) = word.and_then(|word| self.scripts.help(word)) {
            return Ok(text);
        }
        let full = word.and_then(full_word);
        let rows = WORDS.iter().filter(|(name, ..)| match (full, word) {
            (Some(full), _) => *name == full,
            (None, Some(word)) => name.starts_with(word),
            (None, None) => true,
        });
        let mut text = String::new();
        for (name, others, what) in rows {
            text.push_str(&format!("{name:<20} {what}\n"));
            if let (Some(_), [_, ..]) = (full, others) {
                text.push_str(&format!("{:<20} also: {}\n", "", others.join(" ")));
            }
        }
        match full {
            Some("info") => list_words(&mut text, info_words()),
            Some("set" | "show") => list_words(&mut text, SETTINGS.iter().copied()),
            _ => {}
        }
        if word.is_none() {
            for name in self.scripts.names() {
                text.push_str(&format!("{name:<20} (defined by the user)\n"));
            }
        }
        match (text.is_empty(), word) {
            (true, Some(word)) => Err(Error::new(format!(
                "Undefined command: \"{word}\".  Try \"help\"."
            ))),
            _ => Ok(text),
        }
    }
}

/// Words that may follow a command's, one a line.
fn list_words<'a>(text: &mut String, words: impl Iterator<Item = &'a str>) {
    for word in words {
        text.push_str(&format!("    {word}\n"));
    }
}
