//! The commands that move the program: each makes a plan, drives it, and tells
//! the user how it ended.

use super::run::{Outcome, Plan};
use super::{Debugger, Events};
use crate::breakpoint::BreakpointId;
use crate::command::Spec;
use crate::error::{Error, Result};
use crate::event::{Event, FrameKind, StopReason};
use crate::registers::x86;
use crate::signal::Signal;
use crate::step::{Goal, Kind, Stepper};
use crate::value;

/// Whether a function's full name is meant by a name: all of it, or its end from
/// a `::` on, with or without generic arguments.
pub(super) fn is_called(full: &str, name: &str) -> bool {
    let ends = |full: &str| {
        let before = full.strip_suffix(name);
        before.is_some_and(|before| before.is_empty() || before.ends_with("::"))
    };
    ends(full) || full.split_once('<').is_some_and(|(plain, _)| ends(plain))
}

impl Debugger {
    /// `continue`.
    pub(super) fn proceed(&mut self, count: u64, events: Events<'_>) -> Result<()> {
        self.hear_announcers(events)?;
        if count > 1 {
            let pc = self.frame_at(0)?.pc();
            let here: Vec<BreakpointId> = self
                .sites
                .at(pc)
                .iter()
                .filter_map(|reason| reason.of_user())
                .collect();
            for id in here {
                self.ignore(id.0, count - 1, events)?;
            }
        }
        self.drive_and_conclude(Plan::Free, events)
    }

    /// `signal`.
    pub(super) fn proceed_with(
        &mut self,
        signal: Option<Signal>,
        events: Events<'_>,
    ) -> Result<()> {
        let thread = self.thread()?;
        self.live()?.set_signal(thread, signal)?;
        self.drive_and_conclude(Plan::Free, events)
    }

    /// `step`, `next`, `stepi`, `nexti`, `until` without a place.
    pub(super) fn step(&mut self, kind: Kind, count: u64, events: Events<'_>) -> Result<()> {
        let thread = self.thread()?;
        let before = self.frame_at(0)?;
        let without_lines = before.line == 0;
        if without_lines && !matches!(kind, Kind::Instruction | Kind::OverInstruction) {
            let name = before.function_name().unwrap_or("??");
            events(Event::Text(format!(
                "Single stepping until exit from function {name},\nwhich has no line number information.\n"
            )));
        }
        for _ in 0..count {
            let at = self.live()?.registers(thread)?.pc();
            if kind == Kind::Into && self.enter_hidden(thread, at)? {
                continue;
            }
            let begun = Stepper::begin(kind, &mut self.scene(thread)?);
            let Some((stepper, first)) = begun else {
                return Err(Error::new("Cannot find bounds of current function"));
            };
            match self.drive(thread, Plan::Step(stepper, first), events)? {
                Outcome::Arrived => {}
                other => return self.conclude(other, events),
            }
        }
        let after = self.frame_at(0);
        let same = after
            .as_ref()
            .is_ok_and(|after| after.is_same_activation(&before) && after.line != 0);
        if let Some(chosen) = &self.chosen {
            let name = after.ok().and_then(|frame| frame.function);
            if !name.is_some_and(|function| is_called(&function.name, chosen)) {
                let text = format!("\"{chosen}\" was not called on the way");
                events(Event::Warning(text));
            }
        }
        self.report(thread, StopReason::Stepped, !same, events)
    }

    /// `step FUNCTION`: into that function, if the line calls it, and into no
    /// other.
    pub(super) fn step_into(&mut self, function: String, events: Events<'_>) -> Result<()> {
        self.chosen = Some(function);
        let done = self.step(Kind::Into, 1, events);
        self.chosen = None;
        done
    }

    /// The goals of leaving a frame: where it returns to, with the stack as
    /// high as it is then.
    fn out_of(&mut self, level: usize) -> Result<Goal> {
        let stack = self.walk(level + 2)?;
        let frame = stack.frames.get(level).map(|(frame, _)| frame.cfa);
        // An inlined frame is left where the function that it is part of is.
        let caller = stack.frames[level.min(stack.frames.len())..]
            .iter()
            .skip(1)
            .map(|(frame, kind)| (frame.pc(), frame.cfa, *kind))
            .find(|(_, cfa, _)| Some(*cfa) != frame);
        match (frame, caller) {
            (Some(stack_at_least), Some((address, ..))) => Ok(Goal {
                address,
                stack_at_least,
            }),
            _ => Err(Error::new(
                "\"finish\" not meaningful in the outermost frame.",
            )),
        }
    }

    /// `finish`.
    pub(super) fn finish(&mut self, events: Events<'_>) -> Result<()> {
        let thread = self.thread()?;
        let level = self.level;
        let frame = self.frame_at(level)?;
        if self.walk(level + 1)?.frames[level].1 == FrameKind::Inlined {
            return self.finish_inlined(level, events);
        }
        let view = self.frame_view(level)?;
        let goal = self.out_of(level)?;
        let text = crate::render::render(&Event::Frame(view, None));
        events(Event::Text(format!("Run till exit from {text}")));
        match self.drive(thread, Plan::To(vec![goal]), events)? {
            Outcome::Arrived => {
                let value = self.returned_value(thread, &frame);
                self.report(thread, StopReason::Finished { value }, true, events)
            }
            other => self.conclude(other, events),
        }
    }

    /// Leaves an inlined call: steps over lines until its frame is gone.
    fn finish_inlined(&mut self, level: usize, events: Events<'_>) -> Result<()> {
        let thread = self.thread()?;
        let frame = self.frame_at(level)?;
        loop {
            let begun = Stepper::begin(Kind::Over, &mut self.scene(thread)?);
            let Some((stepper, first)) = begun else {
                return Err(Error::new("Cannot find bounds of current function"));
            };
            match self.drive(thread, Plan::Step(stepper, first), events)? {
                Outcome::Arrived => {}
                other => return self.conclude(other, events),
            }
            let within = self.walk(usize::MAX)?.frames.iter();
            if !within.clone().any(|(f, _)| f.is_same_activation(&frame)) {
                return self.report(thread, StopReason::Arrived, true, events);
            }
        }
    }

    /// `until WHERE` and `advance WHERE`: to the place, or out of the frame.
    pub(super) fn run_to(&mut self, at: &Spec, this_frame: bool, events: Events<'_>) -> Result<()> {
        self.thread()?;
        let places = self.places(at)?;
        if places.is_empty() {
            return Err(self.nothing_matches(at));
        }
        let level = self.level;
        let least = match this_frame {
            // Not in a deeper call of the same function.
            true => self.frame_at(level)?.registers.sp(),
            false => None,
        };
        let inside = self.frame_at(level)?;
        let mut goals: Vec<Goal> = places
            .iter()
            .map(|place| {
                let here = inside
                    .function
                    .as_ref()
                    .is_some_and(|f| f.ranges.iter().any(|r| r.contains(&place.address)));
                Goal {
                    address: place.address,
                    stack_at_least: least.filter(|_| here),
                }
            })
            .collect();
        goals.extend(self.out_of(level));
        self.drive_and_conclude(Plan::To(goals), events)
    }

    /// The value of an expression as the word that a function returns it in.
    fn returned_word(&mut self, text: &str) -> Result<u64> {
        let word = self.evaluate(text, &mut |_| {}, |evaluator| {
            let value = evaluator.evaluate_text(text)?;
            let value = evaluator.reader.fetched(&value)?;
            let bytes = value.content.map_or(Vec::new(), |c| c.bytes.to_vec());
            if bytes.len() > 8 {
                return Err(value::Error::new(
                    "a value of that size cannot be returned.",
                ));
            }
            let is_negative = bytes.last().is_some_and(|byte| byte >> 7 == 1);
            // A caller looks at as much of it as its type has.
            let mut word = [if is_negative { 0xff } else { 0 }; 8];
            word[..bytes.len()].copy_from_slice(&bytes);
            Ok(u64::from_le_bytes(word))
        })?;
        word.ok_or_else(|| Error::new("the program stopped."))
    }

    /// `return`: the selected frame's caller goes on as though it had returned.
    pub(super) fn return_now(&mut self, value: Option<&str>, events: Events<'_>) -> Result<()> {
        let thread = self.thread()?;
        let level = self.level;
        let word = value.map(|text| self.returned_word(text)).transpose()?;
        let goal = self.out_of(level)?;
        let frames = &self.walk(usize::MAX)?.frames;
        let mut outer = frames.iter().skip(level + 1).map(|(frame, _)| frame);
        let caller = outer
            .find(|frame| frame.pc() == goal.address)
            .ok_or_else(|| Error::new("Can not force return in the outermost frame."))?;
        let known = caller.registers.clone();
        let target = self.live()?;
        let mut registers = target.registers(thread)?;
        for (number, index) in registers.layout().dwarf {
            if let Some(value) = known.get(sapwood_dwarf::Register(*number)) {
                registers.set(*index, value);
            }
        }
        registers.set_pc(goal.address);
        if let Some(index) = registers.index_of("orig_rax") {
            registers.set(index, u64::MAX);
        }
        if let Some(word) = word {
            registers.set(x86::RAX, word);
            let mut vectors = target.vector_state(thread)?;
            let mut low = [0; 16];
            low[..8].copy_from_slice(&word.to_le_bytes());
            vectors.set_xmm(0, low);
            target.set_vector_state(thread, &vectors)?;
        }
        target.set_registers(thread, &registers)?;
        self.select(thread);
        self.unseen = true;
        self.show_frame(events)
    }

    /// `jump`.
    pub(super) fn jump(&mut self, at: &Spec, events: Events<'_>) -> Result<()> {
        let place = self.one_place(at)?;
        let thread = self.thread()?;
        let target = self.live()?;
        let mut registers = target.registers(thread)?;
        registers.set_pc(place.address);
        // A system call that was interrupted is not to be restarted from there.
        if let Some(index) = registers.index_of("orig_rax") {
            registers.set(index, u64::MAX);
        }
        target.set_registers(thread, &registers)?;
        events(Event::Text(format!(
            "Continuing at {:#x}.\n",
            place.address.0
        )));
        self.drive_and_conclude(Plan::Free, events)
    }
}
