//! `sapwood dbg`: the debugger's command line.
//!
//! What the command line asks for becomes commands of the debugger, which are
//! executed in the order in which they were given; the prompt follows, unless
//! `--batch` says otherwise. All logic is in `sapwood-dbg`.

mod colour;
mod complete;
mod json;
mod line;
mod start_up;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sapwood_dbg::command::{Command, Setting};
use sapwood_dbg::target::ProcessId;

use crate::failure::Failure;
use crate::help::{self, Topic};
use line::{Face, Lines, OnError, Shown};

/// What the command line asks for.
#[derive(Debug, Default)]
struct Asked {
    batch: bool,
    echo: bool,
    json: bool,
    no_init: bool,
    scripts: Vec<Script>,
    pid: Option<i32>,
    core: Option<PathBuf>,
    program: Vec<PathBuf>,
    arguments: Vec<OsString>,
}

/// Commands to be executed before the prompt.
#[derive(Debug)]
enum Script {
    /// `-x FILE`.
    File(PathBuf),
    /// `-e COMMAND`.
    Command(String),
}

/// `sapwood dbg …`.
pub fn main(parser: &mut lexopt::Parser) -> Result<ExitCode, Failure> {
    match read_command_line(parser)? {
        None => help::print(Topic::Dbg),
        Some(asked) => debug(&asked),
    }
}

/// `None` when help was asked for.
fn read_command_line(parser: &mut lexopt::Parser) -> Result<Option<Asked>, Failure> {
    use lexopt::Arg::{Long, Short, Value};
    let usage = |error: lexopt::Error| Failure::usage(Topic::Dbg, error);
    let text = |value: OsString| {
        value
            .into_string()
            .map_err(|value| Failure::usage(Topic::Dbg, format!("{value:?} is not text")))
    };

    let mut asked = Asked::default();
    loop {
        let mut spelled = None;
        // The parser would take what follows `--` for more files.
        if let Some(mut raw) = parser.try_raw_args() {
            match raw.peek().and_then(|word| word.to_str()) {
                Some("--") => {
                    asked.arguments.extend(raw.skip(1));
                    break;
                }
                Some("--args" | "-args") => {
                    let mut rest = raw.skip(1);
                    asked.program.extend(rest.next().map(PathBuf::from));
                    asked.arguments.extend(rest);
                    break;
                }
                word => spelled = word.and_then(spelled_as_gdb_does),
            }
            if spelled.is_some() {
                raw.next();
            }
        }
        let argument = match spelled {
            Some(argument) => argument,
            None => match parser.next().map_err(usage)? {
                Some(argument) => argument,
                None => break,
            },
        };
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("batch") => asked.batch = true,
            Long("echo") => asked.echo = true,
            Long("json") => asked.json = true,
            Short('n') | Long("no-init") => asked.no_init = true,
            // We say nothing at the start that could be left out.
            Short('q') | Long("quiet") => {}
            Short('x') => {
                let file = parser.value().map_err(usage)?;
                asked.scripts.push(Script::File(file.into()));
            }
            Short('e') => {
                let command = text(parser.value().map_err(usage)?)?;
                asked.scripts.push(Script::Command(command));
            }
            Short('p') | Long("pid") => {
                let pid = text(parser.value().map_err(usage)?)?;
                let number = pid.parse().ok().filter(|number| *number > 0);
                asked.pid = Some(number.ok_or_else(|| {
                    Failure::usage(Topic::Dbg, format!("{pid:?} is not a process number"))
                })?);
            }
            Short('c') | Long("core") => asked.core = Some(parser.value().map_err(usage)?.into()),
            Value(file) => asked.program.push(file.into()),
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(Some(asked))
}

/// An option by one of the names that gdb has for it, and fingers know.
fn spelled_as_gdb_does(word: &str) -> Option<lexopt::Arg<'static>> {
    use lexopt::Arg::{Long, Short};
    Some(match word {
        "-ex" | "--ex" | "--eval-command" => Short('e'),
        "-nx" | "--nx" | "-nh" | "--nh" => Short('n'),
        "--command" => Short('x'),
        "-batch" => Long("batch"),
        "-pid" => Long("pid"),
        "-core" => Long("core"),
        "-quiet" | "-silent" | "--silent" => Long("quiet"),
        _ => return None,
    })
}

/// The commands that the rest of the command line stands for.
fn opening(asked: &Asked) -> Vec<Command> {
    let mut commands = Vec::new();
    if !asked.program.is_empty() {
        commands.push(match &asked.program[..] {
            [one] => Command::File(one.clone()),
            many => Command::Load(many.to_vec()),
        });
    }
    if !asked.arguments.is_empty() {
        let quoted: Vec<String> = asked.arguments.iter().map(quoted).collect();
        commands.push(Command::Set(Setting::Arguments(quoted.join(" "))));
    }
    if let Some(core) = &asked.core {
        commands.push(Command::Core(core.clone()));
    }
    if let Some(pid) = asked.pid {
        commands.push(Command::Attach(ProcessId(pid)));
    }
    commands
}

/// An argument as a shell reads it back.
fn quoted(argument: &OsString) -> String {
    format!("'{}'", argument.to_string_lossy().replace('\'', r"'\''"))
}

fn debug(asked: &Asked) -> Result<ExitCode, Failure> {
    let shown = match asked.json {
        true => Shown::Json,
        false if asked.batch => Shown::Plain,
        false => Shown::of_the_terminal(),
    };
    let mut face = Face::new(shown, asked.echo)?;
    if !asked.batch && !asked.no_init {
        let found = start_up::find();
        if let Some(warning) = found.warning {
            eprintln!("warning: {warning}");
        }
        for path in found.files {
            if let Some(status) = face.follow(lines_of(&path)?, OnError::GoOn)? {
                return Ok(status);
            }
        }
    }
    for command in opening(asked) {
        face.execute(command).map_err(Failure::new)?;
    }
    let on_error = match asked.batch {
        true => OnError::Stop,
        false => OnError::GoOn,
    };
    for script in &asked.scripts {
        let lines = match script {
            Script::Command(command) => Lines::of_text(command),
            Script::File(path) => lines_of(path)?,
        };
        if let Some(status) = face.follow(lines, on_error)? {
            return Ok(status);
        }
    }
    if asked.batch {
        return Ok(ExitCode::SUCCESS);
    }
    let lines = Lines::of_the_user(&face)?;
    let status = face.follow(lines, OnError::GoOn)?;
    Ok(status.unwrap_or(ExitCode::SUCCESS))
}

/// The lines of a file of commands.
fn lines_of(path: &Path) -> Result<Lines, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
    Ok(Lines::of_text(&text))
}
