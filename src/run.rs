//! `sapwood run`: link files into a live process and run `main`.
//!
//! Inputs are gathered before a worker is started, and the worker is told to
//! start only when everything is published, so that an error is found before
//! the program did anything.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use sapwood_link::worker::{Afterwards, Debugger, Fate, Program, Worker, signals};
use sapwood_link::{AddressSpace, Generation, Options, Session};

use crate::failure::Failure;
use crate::help::{self, Topic};
use crate::inputs::{Input, Request};

/// What the command line asks for.
struct Asked {
    request: Request,
    debugger: Debugger,
    /// Whether `perf` is told the names of functions.
    perf: bool,
    /// What follows `--`.
    arguments: Vec<OsString>,
}

/// `sapwood run …`.
pub fn main(parser: &mut lexopt::Parser) -> Result<ExitCode, Failure> {
    match read_command_line(parser)? {
        None => help::print(Topic::Run),
        Some(asked) => run(asked),
    }
}

/// `None` when help was asked for.
fn read_command_line(parser: &mut lexopt::Parser) -> Result<Option<Asked>, Failure> {
    use lexopt::Arg::{Long, Short, Value};
    let usage = |error: lexopt::Error| Failure::usage(Topic::Run, error);

    let mut request = Request {
        cached: true,
        ..Request::default()
    };
    let mut arguments = Vec::new();
    let (mut debugger, mut perf) = (Debugger::Ignore, false);
    let text = |value: OsString| {
        value
            .into_string()
            .map_err(|value| Failure::usage(Topic::Run, format!("{value:?} is not text")))
    };
    loop {
        // `--` ends our part of the command line, files included; the parser
        // would take what follows it for more of them.
        if let Some(raw) = parser.try_raw_args()
            && raw.peek() == Some("--".as_ref())
        {
            arguments.extend(raw.skip(1));
            break;
        }
        let Some(argument) = parser.next().map_err(usage)? else {
            break;
        };
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("no-cache") => request.cached = false,
            Long("debuggable") if debugger == Debugger::Await => {}
            Long("debuggable") => debugger = Debugger::Allow,
            Long("wait") => debugger = Debugger::Await,
            Long("perf") => perf = true,
            Short('g') => request.flags.debug = true,
            Short('O') => {
                let level = parser.optional_value().unwrap_or_else(|| "1".into());
                request.flags.optimise = Some(text(level)?);
            }
            Short('I') => {
                let folder = parser.value().map_err(usage)?;
                request.flags.include.push(PathBuf::from(folder));
            }
            Short('D') => {
                let macro_ = text(parser.value().map_err(usage)?)?;
                request.flags.defines.push(macro_);
            }
            Short('l') => request
                .libraries
                .push(text(parser.value().map_err(usage)?)?),
            Short('L') => {
                let folder = parser.value().map_err(usage)?;
                request.folders.push(PathBuf::from(folder));
            }
            Value(file) => request.files.push(PathBuf::from(file)),
            other => return Err(usage(other.unexpected())),
        }
    }
    if request.files.is_empty() {
        return Err(Failure::usage(Topic::Run, "no file to run"));
    }
    request.flags.debug |= debugger != Debugger::Ignore;
    Ok(Some(Asked {
        request,
        debugger,
        perf,
        arguments,
    }))
}

/// The program's name: the first file's, without its extension.
fn program_name(request: &Request) -> OsString {
    let first = request.files.first().and_then(|file| file.file_stem());
    first.unwrap_or("program".as_ref()).to_owned()
}

fn run(asked: Asked) -> Result<ExitCode, Failure> {
    let name = program_name(&asked.request);
    let inputs = asked.request.gather()?;
    let program = Program {
        debuggable: asked.debugger != Debugger::Ignore,
        writes_down_crashes: true,
        ..Program::this(&name)
    };
    let mut worker = Worker::start_process(&program).map_err(Failure::new)?;
    let near = worker.near_libraries().map_err(Failure::new)?;
    let mut session = Session::new(Options {
        near,
        ..Options::default()
    });
    let main = link(&mut session, &mut worker, inputs)?;
    if asked.perf {
        let path = format!("/tmp/perf-{}.map", worker.pid());
        let map = session.view().perf_map(Generation::EMPTY);
        let written = std::fs::write(&path, map);
        written.map_err(|error| Failure::new(format!("{path}: {error}")))?;
    }
    if asked.debugger != Debugger::Ignore {
        let told = worker.tell_debuggers(&session, Generation::EMPTY);
        told.map_err(Failure::new)?;
        let pid = worker.pid();
        match asked.debugger {
            Debugger::Await => eprintln!("process {pid} waits for a debugger: gdb -p {pid}"),
            _ => eprintln!("process {pid} runs the program"),
        }
    }

    let mut argv = vec![name.clone()];
    argv.extend(asked.arguments);
    signals::pass_on_to(worker.pid()).map_err(Failure::new)?;
    worker
        .start_under(main, &argv, Afterwards::Leave, asked.debugger)
        .map_err(Failure::new)?;
    let fate = worker.wait().map_err(Failure::new)?;
    signals::pass_on_no_more();
    if let Fate::Died(signal) = fate
        && is_a_crash(signal)
    {
        let place = crash_place(&session, &mut worker).unwrap_or_default();
        eprintln!(
            "error: {} {fate}{}{place}",
            name.display(),
            separator(&place)
        );
    }
    fate.follow()
}

fn separator(place: &str) -> &'static str {
    if place.is_empty() { "" } else { " " }
}

/// Where the program crashed: `in parse+0x12 (parse.c)`.
fn crash_place(session: &Session, worker: &mut Worker) -> Option<String> {
    let crash = worker.crash()?;
    let space = &mut worker.space;
    let place = crash.place(&session.view(), &mut |at, into| {
        space.read(at, into).is_ok()
    });
    place.map(|place| format!("in {place}"))
}

/// Links everything into the worker and gives the address of `main`.
fn link(
    session: &mut Session,
    worker: &mut Worker,
    inputs: Vec<Input>,
) -> Result<sapwood_link::HostAddr, Failure> {
    let mut batch = session.batch();
    for input in &inputs {
        match input {
            Input::Object { name, bytes } => batch.object(name, bytes),
            Input::Archive { name, bytes } => batch.archive(name, bytes.as_slice()),
            Input::Shared(path) => {
                worker
                    .open_library(&path.to_string_lossy())
                    .map_err(Failure::new)?;
                Ok(())
            }
        }
        .map_err(Failure::new)?;
    }
    let published = batch.publish(worker).map_err(Failure::new)?;
    if let Some(fault) = published.faulted {
        let place = crash_place(session, worker).unwrap_or_default();
        let separator = separator(&place);
        return Err(Failure::new(format!(
            "before main: {fault}{separator}{place}"
        )));
    }
    match session.view().symbol("main") {
        Some(main) => Ok(main.address),
        None => Err(Failure::new("no file defines `main`")),
    }
}

/// Whether a program that died of this signal did something wrong: others are
/// sent by people, or mean that nobody reads on.
fn is_a_crash(signal: i32) -> bool {
    const SENT: [i32; 5] = [1, 2, 3, 13, 15];
    !SENT.contains(&signal)
}
