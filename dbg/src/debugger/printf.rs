//! What is printed as the user words it: `printf`, `output`, `dprintf`; and the
//! debugger's own variables, which such texts like to mention.

use super::breakpoints::Wanted;
use super::{Debugger, Events};
use crate::breakpoint::BreakpointId;
use crate::command::{Format, Spec};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::target::ThreadId;
use crate::value::printf::Template;
use crate::value::{self, Value};

impl Debugger {
    /// `printf`.
    pub(super) fn printf(&mut self, text: &str, events: Events<'_>) -> Result<()> {
        let template = Template::parse(text)?;
        if let Some(said) = self.filled(&template, events)? {
            events(Event::Text(said));
        }
        Ok(())
    }

    /// `None`: a call stopped within.
    fn filled(&mut self, template: &Template, events: Events<'_>) -> Result<Option<String>> {
        self.evaluate(&template.arguments.join(","), events, |evaluator| {
            let values = template.arguments.iter();
            let values: Vec<Value> = values
                .map(|text| evaluator.evaluate_text(text))
                .collect::<Result<_, value::Error>>()?;
            template.fill(&values, &mut evaluator.reader)
        })
    }

    /// `output`.
    pub(super) fn output(&mut self, format: Format, text: &str, events: Events<'_>) -> Result<()> {
        let style = self.style(format.letter);
        let shown = self.evaluate(text, events, |evaluator| {
            let value = evaluator.evaluate_text(text)?;
            evaluator.reader.show(&value, &style)
        })?;
        if let Some(shown) = shown {
            events(Event::Text(shown));
        }
        Ok(())
    }

    /// `dprintf`.
    pub(super) fn set_dprintf(
        &mut self,
        at: Spec,
        template: String,
        events: Events<'_>,
    ) -> Result<()> {
        let wanted = Wanted {
            template: Some(template),
            ..Wanted::default()
        };
        self.set_breakpoint(at, wanted, events)
    }

    /// Prints what a breakpoint of `dprintf` is to print at a hit. Says whether
    /// it is one: the program goes on then.
    pub(super) fn prints(
        &mut self,
        id: BreakpointId,
        here: ThreadId,
        events: Events<'_>,
    ) -> Result<bool> {
        let breakpoint = self.breakpoints.get(id);
        let Some(text) = breakpoint.and_then(|b| b.template.clone()) else {
            return Ok(false);
        };
        let before = (self.selected, self.level);
        self.select(here);
        let said = Template::parse(&text)
            .map_err(Error::from)
            .and_then(|template| self.filled(&template, events));
        (self.selected, self.level) = before;
        self.stack = None;
        match said {
            Ok(Some(said)) => events(Event::Text(said)),
            // A call in it stopped, which is a stop.
            Ok(None) => return Ok(false),
            Err(error) => events(Event::Warning(format!("dprintf {id}: {error}"))),
        }
        Ok(true)
    }

    /// Sets a variable of the debugger's own.
    pub(super) fn set_own_variable(&mut self, name: &str, value: Value) {
        self.memo.convenience.insert(name.to_owned(), value);
    }

    /// Brings those of the debugger's own variables up to date that say what is
    /// selected, or made last.
    pub(super) fn refresh_own_variables(&mut self) {
        let number = self
            .selected
            .map_or(0, |thread| self.threads.number(thread));
        for name in ["_thread", "_gthread"] {
            self.set_own_variable(name, Value::int(number as i32));
        }
        self.set_own_variable("_inferior", Value::int(1));
        if let Some(id) = self.breakpoints.newest() {
            self.set_own_variable("bpnum", Value::int(id.0 as i32));
        }
    }

    /// `show convenience`.
    pub(super) fn convenience_text(&mut self) -> String {
        let all = self.memo.convenience.clone();
        let mut text = String::new();
        for (name, value) in all.iter().rev() {
            let style = self.style(None);
            let shown = self.evaluate("", &mut |_| {}, |evaluator| {
                evaluator.reader.show(value, &style)
            });
            let shown = match shown {
                Ok(shown) => shown.unwrap_or_default(),
                Err(error) => format!("<error: {error}>"),
            };
            text.push_str(&format!("${name} = {shown}\n"));
        }
        text
    }

    /// `show values`: the last ten of the history.
    pub(super) fn values_text(&mut self) -> String {
        const SHOWN: usize = 10;
        let all = self.memo.history.clone();
        let first = all.len().saturating_sub(SHOWN);
        let style = self.style(None);
        let mut text = String::new();
        for (index, value) in all.iter().enumerate().skip(first) {
            let shown = self.evaluate("", &mut |_| {}, |evaluator| {
                evaluator.reader.show(value, &style)
            });
            let shown = shown.map_or_else(|e| e.to_string(), Option::unwrap_or_default);
            text.push_str(&format!("${} = {shown}\n", index + 1));
        }
        text
    }
}
