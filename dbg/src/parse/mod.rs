//! From what a user types to a [`Command`]: gdb's words and abbreviations.
//!
//! A pure function of the text, shared by every face. It knows no program: a
//! name that nothing defines parses as well as any other. A command that goes
//! on over several lines (`eval { …`, `commands`) says
//! [`ParseError::Incomplete`] until its end is there; the face then asks for
//! another line and tries again with both.

mod arguments;
mod blocks;
mod memory;
mod words;

pub use arguments::{info_words, split_arguments};
pub(crate) use blocks::{indented, statements};
pub use words::{SETTINGS, WORDS, completions};

/// The full word that a word or its abbreviation stands for, where it is one
/// command's.
pub fn full_word(word: &str) -> Option<&'static str> {
    words::command(word).ok().flatten()
}

use crate::clex;
use crate::command::{Command, Format, ListWhat, Setting, Spec};
use crate::signal::Signal;
use crate::target::ProcessId;
use std::fmt;

/// Why a text is no command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// The command goes on in the next line; this prompt suits it.
    Incomplete(&'static str),
    /// It is wrong, and how.
    Wrong(String),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::Incomplete(_) => f.write_str("the command is not complete"),
            ParseError::Wrong(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ParseError {}

type Result<T> = std::result::Result<T, ParseError>;

fn wrong<T>(why: impl Into<String>) -> Result<T> {
    Err(ParseError::Wrong(why.into()))
}

/// Parses one command.
///
/// ```
/// use sapwood_dbg::command::{Command, Spec};
/// use sapwood_dbg::parse::parse;
///
/// assert_eq!(parse("n 3"), Ok(Command::Next(3)));
/// assert_eq!(parse("until prog.c:7"), Ok(Command::Until(Some(Spec::Line {
///     file: Some("prog.c".to_owned()),
///     line: 7,
/// }))));
/// ```
pub fn parse(text: &str) -> Result<Command> {
    if text.ends_with('\\') && !text.ends_with("\\\\") {
        return Err(ParseError::Incomplete(""));
    }
    let joined;
    let mut text = text;
    // C code keeps its lines.
    if text.contains("\\\n") && !matches!(full_word(first_word(text.trim()).0), Some("eval")) {
        joined = text.replace("\\\n", "");
        text = &joined;
    }
    let line = text.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(Command::Nothing);
    }
    let (word, rest) = first_word(line);
    let Some(word) = words::command(word)? else {
        return wrong(format!("Undefined command: \"{word}\".  Try \"help\"."));
    };
    // The blanks that a text ends with are part of what is echoed.
    match word {
        "echo" => command(word, first_word(text.trim_start()).1),
        _ => command(word, rest),
    }
}

/// The command's own word, and what follows it. A format follows the word
/// without a space (`p/x`, `x/8i`).
pub(crate) fn first_word(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .unwrap_or(text.len());
    // An unknown character is a word of its own: `!`, `?`.
    let end = if end == 0 {
        text.chars().next().map_or(0, char::len_utf8)
    } else {
        end
    };
    // The end of the line is the end of a block's heading.
    (&text[..end], text[end..].trim_start_matches([' ', '\t']))
}

/// Splits off the first word of arguments.
fn split_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn required(text: &str, what: &str) -> Result<String> {
    match some(text) {
        Some(text) => Ok(text),
        None => wrong(format!("Argument required ({what}).")),
    }
}

fn count(text: &str) -> Result<u64> {
    if text.is_empty() {
        return Ok(1);
    }
    arguments::number(text)
}

fn small<T: TryFrom<u64>>(text: &str, default: T) -> Result<T> {
    if text.is_empty() {
        return Ok(default);
    }
    T::try_from(arguments::number(text)?).or_else(|_| wrong(format!("{text} is too large.")))
}

/// What a command's full word and its arguments mean.
fn command(word: &str, rest: &str) -> Result<Command> {
    Ok(match word {
        "break" | "tbreak" | "hbreak" | "thbreak" => breakpoint(word, rest)?,
        "watch" | "rwatch" | "awatch" => arguments::watch(word, rest)?,
        "catch" | "tcatch" => arguments::catch(rest, word == "tcatch")?,
        "delete" if split_word(rest).0 == "display" => {
            Command::Undisplay(arguments::numbers(split_word(rest).1)?)
        }
        "delete" => Command::Delete(arguments::breakpoint_numbers(rest)?),
        "clear" => Command::Clear(spec_or_here(rest)?),
        "enable" | "disable" => arguments::enable(rest, word == "enable")?,
        "save" => match split_word(rest) {
            (what, file) if what.len() > 1 && "breakpoints".starts_with(what) => {
                Command::SaveBreakpoints(required(file, "a file")?.into())
            }
            _ => return wrong("save breakpoints FILE"),
        },
        "rbreak" => Command::BreakMatching(required(rest, "a regular expression")?),
        "skip" => Command::Skip(arguments::skip(rest)?),
        "return" => Command::Return(some(rest)),
        "condition" => {
            let (number, expression) = split_word(rest);
            let number = required(number, "breakpoint number")?;
            Command::Condition(small(&number, 0)?, some(expression))
        }
        "ignore" => {
            let (number, times) = split_word(rest);
            let number = required(number, "a breakpoint number")?;
            Command::Ignore(small(&number, 0)?, count(&required(times, "a count")?)?)
        }
        "commands" => blocks::commands(rest)?,
        "dprintf" => arguments::dprintf(rest)?,
        "run" => Command::Run(some(rest)),
        "start" => Command::Start(some(rest)),
        "starti" => Command::StartInstruction(some(rest)),
        "continue" => Command::Continue(count(rest)?),
        "step" if rest.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '<') => {
            Command::StepInto(rest.to_owned())
        }
        "step" => Command::Step(count(rest)?),
        "next" => Command::Next(count(rest)?),
        "stepi" => Command::StepInstruction(count(rest)?),
        "nexti" => Command::NextInstruction(count(rest)?),
        "finish" => Command::Finish,
        "until" if rest.is_empty() => Command::Until(None),
        "until" => Command::Until(Some(spec(rest)?)),
        "advance" => Command::Advance(spec(&required(rest, "a location")?)?),
        "jump" => Command::Jump(spec(&required(rest, "starting address")?)?),
        "signal" => match rest {
            "0" => Command::Signal(None),
            name => Command::Signal(Some(arguments::signal(name)?)),
        },
        "kill" => Command::Kill,
        "detach" => Command::Detach,
        "attach" => Command::Attach(process(rest)?),
        "core-file" => Command::Core(required(rest, "a core file")?.into()),
        "generate-core-file" => Command::GenerateCore(some(rest).map(Into::into)),
        "file" | "exec-file" => Command::File(required(rest, "a program")?.into()),
        "backtrace" => arguments::backtrace(rest)?,
        "frame" => arguments::frame(rest)?,
        "shell" => Command::Shell(rest.to_owned()),
        "make" => Command::Shell(format!("make {rest}")),
        "cd" => Command::ChangeDirectory(some(rest).map(Into::into)),
        "pwd" => Command::Directory,
        "pipe" => arguments::pipe(rest)?,
        "with" => match rest.split_once("--") {
            Some((setting, command)) => Command::With(
                vec![setting.trim().to_owned()],
                required(command.trim(), "a command")?,
            ),
            None => return wrong("with SETTING [VALUE] -- COMMAND"),
        },
        "alias" => arguments::alias(rest)?,
        "apropos" => Command::Apropos(required(rest, "a text")?),
        "search" | "reverse-search" => Command::Search {
            pattern: required(rest, "a regular expression")?,
            forward: word == "search",
        },
        "directory" => {
            let folders = rest
                .split([':', ' ', '\t'])
                .filter(|folder| !folder.is_empty());
            Command::Set(Setting::SourceFolders(folders.map(Into::into).collect()))
        }
        "up-silently" => Command::Silently(Box::new(Command::Up(small(rest, 1)?))),
        "down-silently" => Command::Silently(Box::new(Command::Down(small(rest, 1)?))),
        "select-frame" => Command::Silently(Box::new(arguments::frame(rest)?)),
        "taas" => command("thread", &format!("apply all -s {rest}"))?,
        "faas" => command("frame", &format!("apply all -s {rest}"))?,
        "tfaas" => command("thread", &format!("apply all -s frame apply all -s {rest}"))?,
        "up" => Command::Up(small(rest, 1)?),
        "down" => Command::Down(small(rest, 1)?),
        "thread" => arguments::thread(rest)?,
        "print" | "inspect" if rest.starts_with('-') && rest.contains("-- ") => {
            arguments::print_with(rest)?
        }
        "print" | "inspect" => {
            let (format, expression) = format(rest)?;
            Command::Print(format, expression.to_owned())
        }
        "output" => {
            let (format, expression) = format(rest)?;
            Command::Output(format, required(expression, "an expression")?)
        }
        "printf" => Command::Printf(rest.to_owned()),
        "call" => Command::Call(required(rest, "an expression")?),
        "x" => {
            let (format, expression) = format(rest)?;
            Command::Examine(format, some(expression))
        }
        "find" => memory::find(rest)?,
        "dump" => memory::dump(rest, false)?,
        "append" => memory::dump(rest, true)?,
        "restore" => memory::restore(rest)?,
        "whatis" => Command::WhatIs(required(rest, "an expression")?),
        "ptype" => arguments::ptype(rest)?,
        "display" if rest.is_empty() => Command::Display(None),
        "display" => {
            let (format, expression) = format(rest)?;
            Command::Display(Some((format, required(expression, "an expression")?)))
        }
        "undisplay" => Command::Undisplay(arguments::numbers(rest)?),
        "list" => list(rest)?,
        "disassemble" => arguments::disassemble(rest)?,
        "info" => arguments::info(rest)?,
        "eval" => eval(rest)?,
        "load" => Command::Load(files(rest)?),
        "replace" => Command::Replace(files(rest)?),
        "handle" => arguments::handle(rest)?,
        "set" => arguments::set(rest)?,
        "unset" => arguments::unset(rest)?,
        "show" => Command::Show(rest.to_owned()),
        "tty" => Command::Set(Setting::Terminal(some(rest).map(Into::into))),
        "echo" => Command::Echo(arguments::unescape(rest)),
        "define" => blocks::define(rest)?,
        "document" => blocks::document(rest)?,
        "if" | "while" => blocks::conditional(word, rest)?,
        "loop_break" | "loop_continue" => Command::LeaveLoop(word == "loop_break"),
        "source" => Command::Source(required(source(rest), "file to source")?.into()),
        "help" => Command::Help(some(rest)),
        "quit" if rest.is_empty() => Command::Quit(None),
        "quit" => Command::Quit(Some(small::<u8>(rest, 0)?.into())),
        other => unreachable!("{other} is in the table of words but has no meaning"),
    })
}

fn process(text: &str) -> Result<ProcessId> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(ProcessId(number)),
        _ => wrong("Argument required (process-id to attach)."),
    }
}

/// The file that `source` names, whose options change nothing here.
fn source(text: &str) -> &str {
    match split_word(text) {
        ("-v" | "-s", file) => file,
        _ => text,
    }
}

/// `/NFU` before an expression. The command's word is off already, so the text
/// begins with the slash where there is a format.
fn format(text: &str) -> Result<(Format, &str)> {
    let Some(rest) = text.strip_prefix('/') else {
        return Ok((Format::default(), text));
    };
    let (letters, rest) = split_word(rest);
    let digits = letters
        .strip_prefix('-')
        .unwrap_or(letters)
        .find(|c: char| !c.is_ascii_digit())
        .map_or(letters.len(), |n| n + usize::from(letters.starts_with('-')));
    let mut format = Format {
        count: letters[..digits].parse().ok(),
        ..Format::default()
    };
    for letter in letters[digits..].chars() {
        match letter {
            'b' => format.size = Some(1),
            'h' => format.size = Some(2),
            'w' => format.size = Some(4),
            'g' => format.size = Some(8),
            'x' | 'd' | 'u' | 'o' | 't' | 'z' | 'a' | 'c' | 'f' | 's' | 'i' => {
                format.letter = Some(letter);
            }
            // Raw output: there are no printers to go around.
            'r' => {}
            other => return wrong(format!("Undefined output format \"{other}\".")),
        }
    }
    Ok((format, rest))
}

/// Where: `FUNCTION`, `FILE:LINE`, `FILE:FUNCTION`, `LINE`, `+N`, `-N`, `*EXPR`.
pub fn spec(text: &str) -> Result<Spec> {
    let text = text.trim();
    let text = text
        .strip_prefix("-function ")
        .or_else(|| text.strip_prefix("-line "))
        .unwrap_or(text)
        .trim();
    if text.is_empty() {
        return Ok(Spec::Here);
    }
    if let Some(expression) = text.strip_prefix('*') {
        return Ok(Spec::Address(expression.trim().to_owned()));
    }
    if let Ok(line) = text.parse::<u32>()
        && !text.starts_with('+')
    {
        return Ok(Spec::Line { file: None, line });
    }
    if let Some(Ok(n)) = text.strip_prefix('+').map(str::parse) {
        return Ok(Spec::Offset(n));
    }
    if let Some(Ok(n)) = text.strip_prefix('-').map(str::parse::<i32>) {
        return Ok(Spec::Offset(-n));
    }
    // The last single colon parts file and line; `::` belongs to a name.
    let bytes = text.as_bytes();
    let colon = (0..bytes.len()).rev().find(|&i| {
        bytes[i] == b':' && bytes.get(i + 1) != Some(&b':') && (i == 0 || bytes[i - 1] != b':')
    });
    let Some(colon) = colon else {
        return Ok(Spec::Function(text.to_owned()));
    };
    let (file, rest) = (text[..colon].trim().to_owned(), text[colon + 1..].trim());
    if file.is_empty() || rest.is_empty() {
        return wrong(format!("malformed linespec \"{text}\"."));
    }
    Ok(match rest.parse() {
        Ok(line) => Spec::Line {
            file: Some(file),
            line,
        },
        Err(_) => Spec::FunctionIn {
            file,
            function: rest.to_owned(),
        },
    })
}

fn spec_or_here(text: &str) -> Result<Spec> {
    spec(text)
}

/// `break [WHERE] [thread N] [if COND]`.
fn breakpoint(word: &str, text: &str) -> Result<Command> {
    let (place, condition) = match find_word(text, "if") {
        Some(at) => (&text[..at], some(text[at + 2..].trim())),
        None => (text, None),
    };
    let (place, thread) = match find_word(place, "thread") {
        Some(at) => (&place[..at], Some(small(place[at + 6..].trim(), 0)?)),
        None => (place, None),
    };
    Ok(Command::Break {
        at: spec(place)?,
        temporary: word.starts_with('t'),
        hardware: word.contains("hb"),
        condition,
        thread,
    })
}

/// Where a word stands by itself in a text.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || c == '(');
    text.match_indices(word).map(|(at, _)| at).find(|&at| {
        text[..at]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace)
            && edge(text[at + word.len()..].chars().next())
    })
}

/// `eval [NAME] { C code }`.
///
/// The braces end the text where C says they match: those in strings, character
/// constants and comments do not count.
fn eval(text: &str) -> Result<Command> {
    let Some(open) = text.find('{') else {
        let after = text.trim();
        if after.is_empty() || clex::is_file_name(after) {
            return Err(ParseError::Incomplete(">"));
        }
        return wrong("eval takes C code in braces: eval { … }");
    };
    let name = text[..open].trim();
    if !name.is_empty() && !clex::is_file_name(name) {
        return wrong(format!("\"{name}\" is no name for a snippet."));
    }
    let body = &text[open + 1..];
    let Some(close) = clex::matching_brace(body) else {
        return Err(ParseError::Incomplete(">"));
    };
    let after = body[close + 1..].trim();
    if !after.is_empty() && !after.starts_with('#') {
        return wrong(format!("Junk after the closing brace: \"{after}\"."));
    }
    Ok(Command::Eval {
        name: some(name),
        text: body[..close].to_owned(),
    })
}

fn list(text: &str) -> Result<Command> {
    Ok(Command::List(match text {
        "" => ListWhat::More,
        "-" => ListWhat::Before,
        _ => match text.split_once(',') {
            None => ListWhat::Around(spec(text)?),
            Some((first, last)) => {
                let end = |text: &str| match text.trim() {
                    "" => Ok(None),
                    text => spec(text).map(Some),
                };
                ListWhat::Range(end(first)?, end(last)?)
            }
        },
    }))
}

/// Names of signals that `handle` and others take.
pub(crate) fn signal_named(text: &str) -> Option<Signal> {
    Signal::parse(text)
}

/// One file or more.
fn files(rest: &str) -> Result<Vec<std::path::PathBuf>> {
    let names = split_arguments(&required(rest, "a file")?);
    Ok(names.into_iter().map(Into::into).collect())
}

#[cfg(test)]
mod tests;
