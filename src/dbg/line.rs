//! Line mode: reads commands, hands them to the debugger, prints what it says.
//!
//! The lines of a script, of a pipe and of a person at a terminal take the same
//! path; they differ in where the next line comes from, and in what a failing
//! command means.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use sapwood_dbg::event::Stopped;
use sapwood_dbg::parse::ParseError;
use sapwood_dbg::render::render;
use sapwood_dbg::{Command, Debugger, Event};
use sapwood_link::source::{UserFolder, user_folder};

use super::complete::Words;
use super::{colour, json};
use crate::failure::Failure;

/// What people see before they type.
const PROMPT: &str = "(sapwood) ";

/// How many lines of history are kept.
const HISTORY_LINES: usize = 5000;

/// What becomes of the commands that follow a failing one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnError {
    /// They are not executed: a script relies on what went before.
    Stop,
    /// They are.
    GoOn,
}

/// Where lines come from.
pub enum Lines {
    /// A script.
    Text(VecDeque<String>),
    /// Standard input that is no terminal.
    Pipe,
    /// A person.
    Terminal(Box<Terminal>),
}

type Editor = rustyline::Editor<Words, FileHistory>;

/// A person's terminal, with the history that goes with it.
pub struct Terminal {
    editor: Editor,
    history: Option<PathBuf>,
}

/// The next line, or why there is none.
enum Next {
    Line(String),
    /// Ctrl-C: the line that was being typed is dropped.
    Dropped,
    End,
}

impl Lines {
    /// The lines of a script.
    pub fn of_text(text: &str) -> Lines {
        Lines::Text(text.lines().map(str::to_owned).collect())
    }

    /// What the user types, or sends through a pipe.
    pub fn of_the_user(face: &Face) -> Result<Lines, Failure> {
        match std::io::stdin().is_terminal() && face.shown != Shown::Json {
            true => {
                let words = Words::new(Rc::clone(&face.debugger));
                Ok(Lines::Terminal(Box::new(Terminal::open(words)?)))
            }
            false => Ok(Lines::Pipe),
        }
    }

    fn next(&mut self, prompt: &str) -> Result<Next, Failure> {
        Ok(match self {
            Lines::Text(lines) => lines.pop_front().map_or(Next::End, Next::Line),
            Lines::Terminal(terminal) => terminal.next(prompt)?,
            Lines::Pipe => {
                let mut line = String::new();
                match std::io::stdin().lock().read_line(&mut line) {
                    Ok(0) => Next::End,
                    Ok(_) => Next::Line(line.trim_end_matches('\n').to_owned()),
                    Err(error) => return Err(cannot_read(&error)),
                }
            }
        })
    }

    fn is_a_person(&self) -> bool {
        matches!(self, Lines::Terminal(_))
    }
}

impl Terminal {
    fn open(words: Words) -> Result<Terminal, Failure> {
        let config = rustyline::Config::builder()
            .max_history_size(HISTORY_LINES)
            .and_then(|builder| builder.history_ignore_dups(true))
            .map_err(|error| cannot_read(&error))?
            .completion_type(rustyline::CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config).map_err(|error| cannot_read(&error))?;
        editor.set_helper(Some(words));
        let history = history_file();
        if let Some(path) = &history {
            // The first time there is none.
            let _ = editor.load_history(path);
        }
        Ok(Terminal { editor, history })
    }

    fn next(&mut self, prompt: &str) -> Result<Next, Failure> {
        match self.editor.readline(prompt) {
            Ok(line) => Ok(Next::Line(line)),
            Err(ReadlineError::Interrupted) => Ok(Next::Dropped),
            Err(ReadlineError::Eof) => Ok(Next::End),
            Err(error) => Err(cannot_read(&error)),
        }
    }

    /// Keeps a command in the history at once, so that a debugger that is
    /// killed forgets nothing.
    fn remember(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        let added = self.editor.add_history_entry(text);
        if let (Ok(true), Some(path)) = (added, &self.history) {
            // History is a comfort: a full disk must not end the session.
            let _ = self.editor.append_history(path);
        }
    }
}

fn cannot_read(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("cannot read commands: {error}"))
}

/// `$XDG_STATE_HOME/sapwood/history`; `None` where there is no home.
fn history_file() -> Option<PathBuf> {
    let folder = user_folder(UserFolder::State)?;
    fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

/// How events are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// As text.
    Plain,
    /// As text, source lines with colours.
    Coloured,
    /// As JSON, an object a line.
    Json,
}

impl Shown {
    /// Colours where there is a terminal to show them, unless `NO_COLOR` is set.
    pub fn of_the_terminal() -> Shown {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_none_or(|name| name == "dumb");
        match std::io::stdout().is_terminal() && !plain {
            true => Shown::Coloured,
            false => Shown::Plain,
        }
    }

    fn text(self, mut event: Event) -> String {
        match (self, &mut event) {
            (Shown::Json, event) => return json::event(event) + "\n",
            (
                Shown::Coloured,
                Event::Source(source)
                | Event::Frame(_, Some(source))
                | Event::Stopped(Stopped {
                    source: Some(source),
                    ..
                }),
            ) => colour::paint(source),
            _ => {}
        }
        render(&event)
    }
}

/// A debugger and the terminal or file that its words go to.
pub struct Face {
    /// Shared with what completes lines, which asks while no command runs.
    debugger: Rc<RefCell<Debugger>>,
    shown: Shown,
    /// Whether commands that no person typed are shown before they are executed.
    echo: bool,
    /// What an empty line executes again.
    last: Command,
    /// The status to end with, once a command asked to end.
    quit: Option<i32>,
}

impl Face {
    /// A face with a debugger of its own, which Ctrl-C interrupts.
    pub fn new(shown: Shown, echo: bool) -> Result<Face, Failure> {
        let mut debugger = Debugger::new();
        debugger.name_threads(shown == Shown::Json);
        let interrupter = debugger.interrupter();
        let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT])
            .map_err(|error| Failure::new(format!("cannot handle SIGINT: {error}")))?;
        std::thread::spawn(move || {
            for _ in signals.forever() {
                interrupter.interrupt();
            }
        });
        Ok(Face {
            debugger: Rc::new(RefCell::new(debugger)),
            shown,
            echo,
            last: Command::Nothing,
            quit: None,
        })
    }

    /// Executes one command and prints what happens as it happens.
    pub fn execute(&mut self, command: Command) -> Result<(), String> {
        let quit = &mut self.quit;
        let shown = self.shown;
        let mut show = |event: Event| {
            if let Event::Quit(status) = event {
                *quit = Some(status.unwrap_or(0));
            } else {
                print(&shown.text(event));
            }
        };
        self.debugger
            .borrow_mut()
            .execute(command, &mut show)
            .map_err(|error| error.to_string())
    }

    /// Executes every command of `lines`. Gives the status to end with when one
    /// of them said to end, or failed where that ends everything.
    pub fn follow(
        &mut self,
        mut lines: Lines,
        on_error: OnError,
    ) -> Result<Option<ExitCode>, Failure> {
        loop {
            let (text, command) = match self.read_command(&mut lines)? {
                Read::End => return Ok(None),
                Read::Nothing => continue,
                Read::Command { text, command } => {
                    if command != Command::Nothing {
                        self.echo(&text, &lines);
                    }
                    (text, Ok(self.repeated(command, &lines)))
                }
                Read::Wrong { text, why } => {
                    self.echo(&text, &lines);
                    (text, Err(why))
                }
            };
            let done = command.and_then(|command| self.execute(command));
            if self.shown == Shown::Json {
                print(&match &done {
                    Ok(()) => json::done(&text) + "\n",
                    Err(why) => json::error(&text, why) + "\n",
                });
            }
            if let Err(why) = done {
                eprintln!("error: {why}");
                if on_error == OnError::Stop {
                    return Ok(Some(ExitCode::FAILURE));
                }
            }
            if let Some(status) = self.quit {
                return Ok(Some(ExitCode::from(status as u8)));
            }
        }
    }

    /// Reads a command, with as many lines as it takes.
    fn read_command(&self, lines: &mut Lines) -> Result<Read, Failure> {
        let mut text = match lines.next(PROMPT)? {
            Next::Line(line) => line,
            Next::Dropped => return Ok(Read::Nothing),
            Next::End => return Ok(Read::End),
        };
        let parsed = loop {
            match self.debugger.borrow().parse(&text) {
                Err(ParseError::Incomplete(prompt)) => match lines.next(prompt)? {
                    Next::Line(line) => {
                        text.push('\n');
                        text.push_str(&line);
                    }
                    Next::Dropped => return Ok(Read::Nothing),
                    Next::End => break Err(ParseError::Incomplete("")),
                },
                other => break other,
            }
        };
        if let Lines::Terminal(terminal) = lines {
            terminal.remember(&text);
        }
        Ok(match parsed {
            Ok(command) => Read::Command { text, command },
            Err(why) => Read::Wrong {
                text,
                why: why.to_string(),
            },
        })
    }

    /// Shows a command that no person typed, where that was asked for.
    fn echo(&self, text: &str, lines: &Lines) {
        if self.echo && self.shown != Shown::Json && !lines.is_a_person() {
            print(&format!("{PROMPT}{text}\n"));
        }
    }

    /// An empty line of a person stands for the last command, where doing it
    /// again makes sense.
    fn repeated(&mut self, command: Command, lines: &Lines) -> Command {
        if !lines.is_a_person() {
            return command;
        }
        if command == Command::Nothing {
            return self.last.clone();
        }
        self.last = again(&command);
        command
    }
}

/// What an empty line means after a command.
fn again(command: &Command) -> Command {
    use sapwood_dbg::command::ListWhat;
    match command {
        Command::Step(_)
        | Command::Next(_)
        | Command::StepInstruction(_)
        | Command::NextInstruction(_)
        | Command::Continue(_)
        | Command::Finish
        | Command::Until(_)
        | Command::Up(_)
        | Command::Down(_) => command.clone(),
        Command::List(ListWhat::Before) => Command::List(ListWhat::Before),
        Command::List(_) => Command::List(ListWhat::More),
        Command::Examine(format, _) => Command::Examine(*format, None),
        _ => Command::Nothing,
    }
}

/// A command, which may have taken several lines, or why there is none.
enum Read {
    Command { text: String, command: Command },
    Wrong { text: String, why: String },
    Nothing,
    End,
}

/// Prints, and lets nothing wait: the program prints to the same terminal. When
/// nobody reads any more, nobody misses it.
fn print(text: &str) {
    let mut output = std::io::stdout().lock();
    let _ = output.write_all(text.as_bytes());
    let _ = output.flush();
}
