//! Commands that hold others, up to the `end` that closes them: `commands`,
//! `define`, `document`, `if`, `while`.
//!
//! What is held stays text: what a line means may depend on what was defined by
//! the time it is executed. A command of several lines that is held (an `eval`,
//! another block) is kept whole, its lines joined.

use super::{Command, ParseError, Result, first_word, full_word, parse, small, some, wrong};

/// What is held between a block's first line and its `end`.
struct Body {
    /// What follows the command's word in its first line.
    heading: String,
    /// The commands up to `else` or `end`.
    first: Vec<String>,
    /// Those behind `else`.
    second: Option<Vec<String>>,
}

/// The commands in `lines`, each with all lines that belong to it.
pub(crate) fn statements(lines: &[String]) -> Vec<String> {
    let text = lines.join("\n");
    let mut rest = text.lines();
    let mut all = Vec::new();
    while let Some(line) = rest.next() {
        // What has no end is shown as wrong when it is executed.
        let whole = statement(line, &mut rest).unwrap_or_else(|_| line.trim().to_owned());
        if !whole.is_empty() {
            all.push(whole);
        }
    }
    all
}

/// Commands as a list shows them: what a block holds stands further in.
pub(crate) fn indented(commands: &[String], first: usize) -> String {
    let mut text = String::new();
    let mut depth = 0;
    for line in commands.iter().flat_map(|command| command.lines()) {
        let word = first_word(line).0;
        let closes = matches!(word, "end" | "else");
        let blanks = first + 2 * (depth - usize::from(closes && depth > 0));
        text.push_str(&format!("{}{line}\n", " ".repeat(blanks)));
        depth += usize::from(matches!(word, "if" | "while" | "commands"));
        depth -= usize::from(word == "end" && depth > 0);
    }
    text
}

/// A command that begins with `line`, with as many more lines as it needs.
fn statement<'a>(line: &str, more: &mut impl Iterator<Item = &'a str>) -> Result<String> {
    let mut text = line.trim().to_owned();
    while holds_more(&text) {
        match more.next() {
            Some(next) => {
                text.push('\n');
                text.push_str(next.trim());
            }
            None => return Err(ParseError::Incomplete(">")),
        }
    }
    Ok(text)
}

/// Whether a command goes on in the next line.
fn holds_more(text: &str) -> bool {
    let (word, _) = first_word(text);
    let opens = matches!(
        full_word(word),
        Some("commands" | "define" | "document" | "eval" | "if" | "while")
    );
    let goes_on = text.ends_with('\\') && !text.ends_with("\\\\");
    (opens || goes_on) && matches!(parse(text), Err(ParseError::Incomplete(_)))
}

fn body(text: &str) -> Result<Body> {
    let (heading, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut body = Body {
        heading: heading.trim().to_owned(),
        first: Vec::new(),
        second: None,
    };
    let mut lines = rest.lines();
    while let Some(line) = lines.next() {
        match line.trim() {
            "end" => return Ok(body),
            "else" if body.second.is_none() => body.second = Some(Vec::new()),
            "" => {}
            line => {
                let whole = statement(line, &mut lines)?;
                body.second.as_mut().unwrap_or(&mut body.first).push(whole);
            }
        }
    }
    Err(ParseError::Incomplete(">"))
}

fn without_else(text: &str) -> Result<(String, Vec<String>)> {
    let body = body(text)?;
    match body.second {
        None => Ok((body.heading, body.first)),
        Some(_) => wrong("\"else\" without an \"if\"."),
    }
}

/// `commands [N]`, one command a line, `end`.
pub(super) fn commands(text: &str) -> Result<Command> {
    let (heading, commands) = without_else(text)?;
    let number = match &heading[..] {
        "" => None,
        number => Some(small(number, 0)?),
    };
    Ok(Command::Commands(number, commands))
}

/// The name of a command that is defined or documented.
fn name_of(heading: &str, what: &str) -> Result<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match heading {
        "" => wrong(format!("Argument required (name of command to {what}).")),
        name if name.chars().all(fits) => Ok(name.to_owned()),
        name => wrong(format!("Junk in argument list: \"{name}\"")),
    }
}

/// `define NAME`, its commands, `end`.
pub(super) fn define(text: &str) -> Result<Command> {
    let (heading, commands) = without_else(text)?;
    Ok(Command::Define(name_of(&heading, "define")?, commands))
}

/// `document NAME`, text, `end`.
pub(super) fn document(text: &str) -> Result<Command> {
    let (heading, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut said = String::new();
    for line in rest.lines() {
        if line.trim() == "end" {
            return Ok(Command::Document(
                name_of(heading.trim(), "document")?,
                said,
            ));
        }
        said.push_str(line);
        said.push('\n');
    }
    Err(ParseError::Incomplete(">"))
}

/// `if EXPR` or `while EXPR`, commands, for `if` perhaps `else` and others,
/// `end`.
pub(super) fn conditional(word: &str, text: &str) -> Result<Command> {
    let body = body(text)?;
    let Some(condition) = some(&body.heading) else {
        return wrong("if/while commands require arguments.");
    };
    match (word, body.second) {
        ("if", second) => Ok(Command::If(
            condition,
            body.first,
            second.unwrap_or_default(),
        )),
        (_, None) => Ok(Command::While(condition, body.first)),
        (_, Some(_)) => wrong("\"else\" without an \"if\"."),
    }
}
