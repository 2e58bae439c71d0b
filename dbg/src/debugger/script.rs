//! Commands made of commands: `define`, `if`, `while`, `source`, and what
//! breakpoints have in store for their hits.
//!
//! A block is kept as text and taken apart when it is executed, a command at a
//! time: what a word means may have been defined by the command before. A
//! breakpoint's commands follow the command that stopped the program, inside a
//! block as well as at the prompt.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use super::{Debugger, Events};
use crate::command::Command;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::parse::{self, ParseError, full_word, statements};

/// How deep user-defined commands and files may call one another, as in gdb.
const MAX_DEPTH: usize = 1024;

/// What the user defined, and what of it is being executed.
#[derive(Default)]
pub(super) struct Scripts {
    defined: BTreeMap<String, Defined>,
    /// Other names for beginnings of commands.
    aliases: BTreeMap<String, String>,
    /// The arguments of the commands that are being executed, innermost last.
    arguments: Vec<Vec<String>>,
    depth: usize,
    /// How many loops are being executed.
    loops: usize,
    jump: Option<Jump>,
    /// Commands of a breakpoint that are still to be executed.
    queue: VecDeque<String>,
    /// How often such commands were put there.
    stops: u64,
}

/// A command of the user's own.
#[derive(Clone, Debug, Default)]
struct Defined {
    body: Vec<String>,
    help: String,
}

/// How a loop is left before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Jump {
    Break,
    Continue,
}

impl Scripts {
    /// The names of the user's commands.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let defined = self.defined.keys();
        defined.chain(self.aliases.keys()).map(String::as_str)
    }

    /// What `document` said of a user's command.
    pub(super) fn help(&self, name: &str) -> Option<String> {
        let defined = self.defined.get(name)?;
        Some(match defined.help.is_empty() {
            true => "User-defined.\n".to_owned(),
            false => defined.help.clone(),
        })
    }

    /// `$argc` and `$arg0` and those that follow, put into a line.
    fn with_arguments(&self, line: &str) -> Result<String> {
        let Some(arguments) = self.arguments.last() else {
            return Ok(line.to_owned());
        };
        let mut out = String::new();
        let mut rest = line;
        while let Some(at) = rest.find("$arg") {
            out.push_str(&rest[..at]);
            let after = &rest[at + 4..];
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let ends = |from: usize| {
                let next = after[from..].chars().next();
                next.is_none_or(|c| !c.is_alphanumeric() && c != '_')
            };
            if let Some(behind) = after.strip_prefix('c').filter(|_| ends(1)) {
                out.push_str(&arguments.len().to_string());
                rest = behind;
            } else if let Some(behind) = after.strip_prefix('*') {
                out.push_str(&arguments.join(" "));
                rest = behind;
            } else if digits > 0 && ends(digits) {
                let number: usize = after[..digits].parse().unwrap_or(usize::MAX);
                let argument = arguments.get(number).ok_or_else(|| {
                    Error::new(format!("Missing argument {number} in user function."))
                })?;
                out.push_str(argument);
                rest = &after[digits..];
            } else {
                out.push_str("$arg");
                rest = after;
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The arguments of a user's command: words, quoted ones with their quotes.
fn words(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let (mut word, mut quote, mut depth) = (String::new(), None, 0u32);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth = depth.saturating_sub(1),
            (None, c) if c.is_whitespace() && depth == 0 => {
                if !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        all.push(word);
    }
    all
}

impl Debugger {
    /// Parses a command, the user's own among them. See [`parse::parse`].
    pub fn parse(&self, text: &str) -> Result<Command, ParseError> {
        let line = text.trim();
        let (word, rest) = parse::first_word(line);
        if let Some(meant) = self.scripts.aliases.get(word) {
            return parse::parse(&format!("{meant} {rest}"));
        }
        match self.scripts.defined.contains_key(word) {
            true => Ok(Command::UserDefined(word.to_owned(), rest.to_owned())),
            false => parse::parse(text),
        }
    }

    /// Executes one command, telling `events` what happens as it happens.
    /// Returns when the program has stopped again, or when there is none.
    pub fn execute(&mut self, command: Command, events: &mut dyn FnMut(Event)) -> Result<()> {
        let done = self.execute_with_hits(command, events);
        self.scripts.jump = None;
        if done.is_err() {
            self.scripts.queue.clear();
        }
        done
    }

    /// Executes a command, and then what breakpoints have in store for the stop
    /// that it led to. One of those that moves the program ends at a new stop,
    /// whose commands take the place of the rest.
    pub(super) fn execute_with_hits(&mut self, command: Command, events: Events<'_>) -> Result<()> {
        self.execute_one(command, events)?;
        while let Some(line) = self.scripts.queue.pop_front() {
            self.execute_line(&line, events)?;
        }
        Ok(())
    }

    fn execute_line(&mut self, line: &str, events: Events<'_>) -> Result<()> {
        let command = self.parse(line).map_err(|e| Error::new(e.to_string()))?;
        self.execute_one(command, events)
    }

    /// Commands to execute once the present one is done.
    pub(super) fn queue_commands(&mut self, commands: &[String]) {
        let scripts = &mut self.scripts;
        scripts.queue = statements(commands).into();
        scripts.stops += 1;
        if scripts.queue.front().is_some_and(|first| first == "silent") {
            scripts.queue.pop_front();
        }
    }

    /// Executes the commands of a block.
    pub(super) fn execute_block(&mut self, lines: &[String], events: Events<'_>) -> Result<()> {
        // What a breakpoint has in store goes on behind the block, unless the
        // block leads to another stop.
        let outer = std::mem::take(&mut self.scripts.queue);
        let stops = self.scripts.stops;
        self.scripts.depth += 1;
        let done = match self.scripts.depth > MAX_DEPTH {
            true => Err(Error::new(
                "Max user call depth exceeded -- command aborted.",
            )),
            false => self.execute_lines(lines, events),
        };
        self.scripts.depth -= 1;
        if self.scripts.stops == stops {
            self.scripts.queue = outer;
        }
        done
    }

    fn execute_lines(&mut self, lines: &[String], events: Events<'_>) -> Result<()> {
        for line in statements(lines) {
            if self.interrupter.take() {
                return Err(Error::new("Quit"));
            }
            let line = self.scripts.with_arguments(&line)?;
            let command = self.parse(&line).map_err(|e| Error::new(e.to_string()))?;
            self.execute_with_hits(command, events)?;
            if self.scripts.jump.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Whether the value of an expression is not zero.
    fn holds(&mut self, text: &str, events: Events<'_>) -> Result<bool> {
        let text = self.scripts.with_arguments(text)?;
        let holds = self.evaluate(&text, events, |evaluator| {
            let value = evaluator.evaluate_text(&text)?;
            evaluator.is_true(&value)
        })?;
        holds.ok_or_else(|| Error::new("the program stopped."))
    }

    /// `if`.
    pub(super) fn execute_if(
        &mut self,
        condition: &str,
        then: &[String],
        otherwise: &[String],
        events: Events<'_>,
    ) -> Result<()> {
        let lines = if self.holds(condition, events)? {
            then
        } else {
            otherwise
        };
        self.execute_block(lines, events)
    }

    /// `while`.
    pub(super) fn execute_while(
        &mut self,
        condition: &str,
        lines: &[String],
        events: Events<'_>,
    ) -> Result<()> {
        self.scripts.loops += 1;
        let done = self.turns_of_loop(condition, lines, events);
        self.scripts.loops -= 1;
        done
    }

    fn turns_of_loop(
        &mut self,
        condition: &str,
        lines: &[String],
        events: Events<'_>,
    ) -> Result<()> {
        while self.holds(condition, events)? {
            if self.interrupter.take() {
                return Err(Error::new("Quit"));
            }
            self.execute_block(lines, events)?;
            if self.scripts.jump.take() == Some(Jump::Break) {
                break;
            }
        }
        Ok(())
    }

    /// `loop_break` and `loop_continue`.
    pub(super) fn leave_turn(&mut self, breaks: bool) -> Result<()> {
        if self.scripts.loops == 0 {
            let word = if breaks {
                "loop_break"
            } else {
                "loop_continue"
            };
            return Err(Error::new(format!("{word}: there is no loop here.")));
        }
        self.scripts.jump = Some(if breaks { Jump::Break } else { Jump::Continue });
        Ok(())
    }

    /// `define`.
    pub(super) fn define(&mut self, name: String, body: Vec<String>) -> Result<()> {
        let defined = self.scripts.defined.entry(name).or_default();
        defined.body = body;
        Ok(())
    }

    /// `alias`.
    pub(super) fn alias(&mut self, name: String, command: String) -> Result<()> {
        if full_word(&name) == Some(&name[..]) {
            return Err(Error::new(format!("Alias already exists: {name}")));
        }
        // Its word must be known; what follows may be anything.
        let word = parse::first_word(&command).0;
        if full_word(word).is_none() && !self.scripts.defined.contains_key(word) {
            return Err(Error::new(format!(
                "Invalid command to alias to: {command}"
            )));
        }
        self.scripts.aliases.insert(name, command);
        Ok(())
    }

    /// `document`.
    pub(super) fn document(&mut self, name: &str, help: String) -> Result<()> {
        match self.scripts.defined.get_mut(name) {
            Some(defined) => {
                defined.help = help;
                Ok(())
            }
            None => Err(Error::new(match full_word(name) {
                Some(_) => format!("Command \"{name}\" is built-in."),
                None => format!("Undefined command: \"{name}\".  Try \"help\"."),
            })),
        }
    }

    /// A command that the user defined.
    pub(super) fn execute_defined(
        &mut self,
        name: &str,
        arguments: &str,
        events: Events<'_>,
    ) -> Result<()> {
        let defined = self.scripts.defined.get(name);
        let body = defined
            .map(|defined| defined.body.clone())
            .ok_or_else(|| Error::new(format!("Undefined command: \"{name}\".  Try \"help\".")))?;
        self.scripts.arguments.push(words(arguments));
        // A loop around the call is not one of the commands in it.
        let loops = std::mem::take(&mut self.scripts.loops);
        let done = self.execute_block(&body, events);
        self.scripts.loops = loops;
        self.scripts.arguments.pop();
        done
    }

    /// `source`.
    pub(super) fn source_file(&mut self, path: &Path, events: Events<'_>) -> Result<()> {
        let failed = |why: std::io::Error| Error::new(format!("{}: {why}.", path.display()));
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let before = std::mem::take(&mut self.scripts.arguments);
        let done = self.execute_block(&lines, events);
        self.scripts.arguments = before;
        done
    }

    /// `show user`.
    pub(super) fn user_commands_text(&self, name: Option<&str>) -> Result<String> {
        let mut text = String::new();
        for (own, defined) in &self.scripts.defined {
            if name.is_none_or(|name| name == own) {
                text.push_str(&format!("User command \"{own}\":\n"));
                text.push_str(&parse::indented(&defined.body, 2));
                text.push('\n');
            }
        }
        match (text.is_empty(), name) {
            (true, Some(name)) => Err(Error::new(format!("Not a user command: \"{name}\"."))),
            _ => Ok(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_put_into_lines() {
        let scripts = Scripts {
            arguments: vec![words("one \"two three\" f(4, 5)")],
            ..Scripts::default()
        };
        for (line, expected) in [
            ("p $arg0", "p one"),
            ("echo $arg1|$arg2", "echo \"two three\"|f(4, 5)"),
            ("p $argc + 1", "p 3 + 1"),
            ("p $argument", "p $argument"),
            ("p $arg", "p $arg"),
        ] {
            assert_eq!(scripts.with_arguments(line).unwrap(), expected);
        }
        assert!(scripts.with_arguments("p $arg3").is_err());
    }
}
