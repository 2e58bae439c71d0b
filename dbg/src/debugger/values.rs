//! Values: `print`, `x`, `display`, arguments and locals, conditions.

use sapwood_dwarf::ModuleId;

use super::{Debugger, Events};
use crate::command::Format;
use crate::error::{Error, Result};
use crate::event::{Event, ValueView, VariableView};
use crate::stack::Frame;
use crate::target::{Address, ThreadId};

/// What was shown, and what the user named.
#[derive(Default)]
pub(super) struct Memo;

/// What is shown at each stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Displays {
    all: Vec<(u32, Format, String)>,
    last: u32,
}

fn later<T>() -> Result<T> {
    Err(Error::new("expressions are not built yet."))
}

#[allow(unused_variables)]
impl Debugger {
    pub(super) fn argument_texts(&mut self, frame: &Frame) -> Vec<(String, String)> {
        Vec::new()
    }
    pub(super) fn argument_views(&mut self, frame: &Frame) -> Vec<VariableView> {
        Vec::new()
    }
    pub(super) fn local_views(&mut self, frame: &Frame) -> Vec<VariableView> {
        Vec::new()
    }
    pub(super) fn evaluate_address(&mut self, expression: &str) -> Result<Address> {
        let text = expression.trim();
        if let Some(hex) = text.strip_prefix("0x")
            && let Ok(value) = u64::from_str_radix(hex, 16)
        {
            return Ok(Address(value));
        }
        let found = self.library_function(text.trim_start_matches('&'));
        found.ok_or_else(|| Error::new(format!("No symbol \"{text}\" in current context.")))
    }
    pub(super) fn condition_holds(&mut self, thread: ThreadId, text: &str) -> Result<bool> {
        later()
    }
    pub(super) fn returned_value(&mut self, thread: ThreadId, frame: &Frame) -> Option<ValueView> {
        None
    }
    pub(super) fn value_of_variable(
        &mut self,
        module: ModuleId,
        function: &str,
        variable: &str,
        at: Address,
    ) -> Result<ValueView> {
        let target = self.live()?;
        let value = crate::libraries::read_word(target, at)?;
        Ok(ValueView {
            number: None,
            text: format!("{}", value as i32),
            type_name: String::new(),
        })
    }
    pub(super) fn print(&mut self, format: Format, text: &str, events: Events<'_>) -> Result<()> {
        later()
    }
    pub(super) fn call_expression(&mut self, text: &str, events: Events<'_>) -> Result<()> {
        later()
    }
    pub(super) fn examine(
        &mut self,
        format: Format,
        text: Option<&str>,
        events: Events<'_>,
    ) -> Result<()> {
        later()
    }
    pub(super) fn set_variable(&mut self, text: &str, events: Events<'_>) -> Result<()> {
        later()
    }
    pub(super) fn whatis(&mut self, text: &str, events: Events<'_>) -> Result<()> {
        later()
    }
    pub(super) fn print_type(&mut self, text: &str, events: Events<'_>) -> Result<()> {
        later()
    }
    pub(super) fn display(
        &mut self,
        format: Format,
        text: String,
        events: Events<'_>,
    ) -> Result<()> {
        self.displays.last += 1;
        self.displays.all.push((self.displays.last, format, text));
        Ok(())
    }
    pub(super) fn undisplay(&mut self, numbers: &[u32]) -> Result<()> {
        self.displays
            .all
            .retain(|(n, ..)| !numbers.is_empty() && !numbers.contains(n));
        Ok(())
    }
    pub(super) fn show_displays(&mut self, events: Events<'_>) {
        for (number, _, text) in self.displays.all.clone() {
            events(Event::Displayed {
                number,
                what: text,
                text: String::new(),
            });
        }
    }
    pub(super) fn displays_text(&self) -> String {
        String::new()
    }
}
