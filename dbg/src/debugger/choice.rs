//! Which frame commands are about, other than by its number; and a command for
//! several frames.

use super::{Debugger, Events};
use crate::command::{Apply, WhichFrames};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::render::render;

impl Debugger {
    /// `frame function NAME`: the innermost one of that function.
    pub(super) fn select_frame_of(&mut self, name: &str, events: Events<'_>) -> Result<()> {
        self.thread().map_err(|_| Error::new("No stack."))?;
        let is_it = |known: &str| {
            known == name
                || known
                    .strip_suffix(name)
                    .is_some_and(|scope| scope.ends_with("::"))
        };
        let frames = &self.walk(usize::MAX)?.frames;
        let found = frames
            .iter()
            .position(|(frame, _)| frame.function_name().is_some_and(is_it));
        let Some(level) = found else {
            return Err(Error::new(format!("No frame for function \"{name}\".")));
        };
        self.select_frame(Some(level as u32), events)
    }

    /// `frame address EXPR`: the one with that canonical frame address.
    pub(super) fn select_frame_at(&mut self, text: &str, events: Events<'_>) -> Result<()> {
        self.thread().map_err(|_| Error::new("No stack."))?;
        let at = self.evaluate_address(text)?;
        let frames = &self.walk(usize::MAX)?.frames;
        let found = frames.iter().position(|(frame, _)| frame.cfa == Some(at));
        let Some(level) = found else {
            return Err(Error::new(format!("No frame at address {text}.")));
        };
        self.select_frame(Some(level as u32), events)
    }

    /// `frame apply`.
    pub(super) fn frame_apply(
        &mut self,
        which: &WhichFrames,
        apply: &Apply,
        events: Events<'_>,
    ) -> Result<()> {
        let (selected, level) = (
            self.thread().map_err(|_| Error::new("No stack."))?,
            self.level,
        );
        let all = self.walk(usize::MAX)?.frames.len();
        let levels: Vec<usize> = match which {
            WhichFrames::All => (0..all).collect(),
            WhichFrames::Count(n) if *n < 0 => {
                (all.saturating_sub(n.unsigned_abs() as usize)..all).collect()
            }
            WhichFrames::Count(n) => (0..all.min(*n as usize)).collect(),
            WhichFrames::Levels(levels) => levels.iter().map(|level| *level as usize).collect(),
        };
        let mut result = Ok(());
        for one in levels {
            self.level = one;
            let heading = self
                .frame_view(one)
                .map_err(|_| Error::new(format!("No frame at level {one}.")));
            result = heading.and_then(|view| {
                self.apply_in_turn(apply, render(&Event::Frame(view, None)), events)
            });
            if result.is_err() || self.selected != Some(selected) {
                break;
            }
        }
        if self.selected == Some(selected) {
            self.level = level;
        }
        result
    }
}
