//! `sapwood run`: link files into a live process and run `main`.
//!
//! A program that was linked before, from the same files, is started from what
//! was kept of it. Otherwise inputs are gathered before a worker is started, and
//! the worker is told to start only when everything is published, so that an
//! error is found before the program did anything; and while it runs, what is to
//! be kept is made.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use sapwood_link::source::{self, Answer, Cache, Library, Question};
use sapwood_link::worker::{
    self, Afterwards, Answers, Crash, Debugger, Ended, Fate, Found, Noting, Program, Replay,
    Worker, signals,
};
use sapwood_link::{
    AddressSpace, Error, Generation, Ground, HostAddr, HostError, Near, Options, Parts, Session,
};

use crate::failure::Failure;
use crate::help::{self, Topic};
use crate::inputs::{Gathered, Input, Request};

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
            Long("autoload") => request.autoload = true,
            Long("edition") => {
                request.flags.edition = Some(text(parser.value().map_err(usage)?)?);
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
    let began = SystemTime::now();
    let request = &asked.request;
    let name = program_name(request);
    let mut argv = vec![name.clone()];
    argv.extend(asked.arguments.iter().cloned());
    let libraries = request.find_libraries()?;
    let cache = request.cache();
    // Whoever looks into the program wants to see it linked.
    let plain = asked.debugger == Debugger::Ignore && !asked.perf;
    let question = cache
        .as_ref()
        .filter(|_| plain)
        .and_then(|cache| Some((cache, request.question(&libraries)?)));
    let known = question.and_then(|(cache, question)| cache.find_run(question));
    if let Some(Answer::Image { found, warnings }) = &known {
        eprint!("{warnings}");
        if let Some((fate, crash)) = replay(found, &argv)? {
            let place = crash.and_then(|crash| place_in_kept(&asked, &libraries, found, &crash));
            return end(&name, fate, place);
        }
    }
    let mut gathered = request.gather(&libraries, cache.as_ref())?;
    eprint!("{}", gathered.warnings);
    let program = Program {
        debuggable: asked.debugger != Debugger::Ignore,
        writes_down_crashes: true,
        ..Program::this(&name)
    };
    let mut worker = Worker::start_process(&program).map_err(Failure::new)?;
    let near = worker.near_libraries().map_err(Failure::new)?;
    let mut session = session(near);
    let (main, answers) = link_in_worker(request, &mut session, &mut worker, &mut gathered)?;
    tell_others(&asked, &session, &mut worker)?;
    signals::pass_on_to(worker.pid()).map_err(Failure::new)?;
    worker
        .start_under(main, &argv, Afterwards::Leave, asked.debugger)
        .map_err(Failure::new)?;
    if let (Some((cache, question)), None) = (question, known) {
        keep(cache, question, began, &gathered, &answers);
    }
    let fate = worker.wait().map_err(Failure::new)?;
    signals::pass_on_no_more();
    let place = crash_place(&session, &mut worker);
    end(&name, fate, place)
}

fn session(near: Near) -> Session {
    Session::new(Options {
        near,
        ..Options::default()
    })
}

/// Tells perf and debuggers of the program, where that was asked for.
fn tell_others(asked: &Asked, session: &Session, worker: &mut Worker) -> Result<(), Failure> {
    let pid = worker.pid();
    if asked.perf {
        let path = format!("/tmp/perf-{pid}.map");
        let map = session.view().perf_map(Generation::EMPTY);
        let written = std::fs::write(&path, map);
        written.map_err(|error| Failure::new(format!("{path}: {error}")))?;
    }
    if asked.debugger != Debugger::Ignore {
        let told = worker.tell_debuggers(session, Generation::EMPTY);
        told.map_err(Failure::new)?;
        match asked.debugger {
            Debugger::Await => eprintln!("process {pid} waits for a debugger: gdb -p {pid}"),
            _ => eprintln!("process {pid} runs the program"),
        }
    }
    Ok(())
}

/// Links everything into the worker. Gives the address of `main`, and what names
/// outside stood for. With `--autoload`, libraries that define what nothing else
/// does are opened, and join the inputs.
fn link_in_worker(
    request: &Request,
    session: &mut Session,
    worker: &mut Worker,
    gathered: &mut Gathered,
) -> Result<(HostAddr, Answers), Failure> {
    for path in gathered.inputs.iter().filter_map(Input::shared) {
        worker.open_library(&path).map_err(Failure::new)?;
    }
    loop {
        let mut noting = Noting::new(&mut worker.resolver);
        let mut ground = Parts {
            space: &mut worker.space,
            host: &mut worker.host,
            resolver: &mut noting,
        };
        let missing = match link(session, &gathered.inputs, &mut ground) {
            Ok(main) => return Ok((main, noting.answers())),
            Err(NotLinked::Error(Error::Undefined(missing))) if request.autoload => missing,
            Err(NotLinked::Faulted(fault)) => {
                let place = crash_place(session, worker).map(|place| format!(" {place}"));
                let place = place.unwrap_or_default();
                return Err(Failure::new(format!("before main: {fault}{place}")));
            }
            Err(other) => return Err(Failure::new(other)),
        };
        let names: Vec<String> = missing.iter().map(|one| one.name.clone()).collect();
        let found = source::definers(&names, &request.folders);
        if found.is_empty() {
            return Err(Failure::new(Error::Undefined(missing)));
        }
        for path in found {
            worker
                .open_library(&path.to_string_lossy())
                .map_err(Failure::new)?;
            gathered.add_library(path);
        }
    }
}

/// Ends as the program did; `place` is where it crashed.
fn end(name: &OsStr, fate: Fate, place: Option<String>) -> Result<ExitCode, Failure> {
    if let Fate::Died(signal) = fate
        && is_a_crash(signal)
    {
        let place = place.map(|place| format!(" {place}")).unwrap_or_default();
        eprintln!("error: {} {fate}{place}", name.display());
    }
    fate.follow()
}

/// Where the program crashed: `in parse+0x12 (parse.c)`.
fn crash_place(session: &Session, worker: &mut Worker) -> Option<String> {
    let crash = worker.crash()?;
    place_of(&crash, session, &mut worker.space)
}

fn place_of(crash: &Crash, session: &Session, space: &mut dyn AddressSpace) -> Option<String> {
    let place = crash.place(&session.view(), &mut |at, into| {
        space.read(at, into).is_ok()
    });
    place.map(|place| format!("in {place}"))
}

/// The same for a program that was kept: what was linked then is linked again,
/// for no process, to know what lies where.
fn place_in_kept(
    asked: &Asked,
    libraries: &[Library],
    found: &Found,
    crash: &Crash,
) -> Option<String> {
    let request = &asked.request;
    let gathered = request.gather(libraries, request.cache().as_ref()).ok()?;
    worker::relink(&found.image, |ground| {
        let mut session = session(Near::Anywhere);
        link(&mut session, &gathered.inputs, ground).ok()?;
        place_of(crash, &session, ground.space())
    })
}

/// Runs a program that was linked before; gives how it ended, and where if it
/// crashed. `None` when it cannot begin, and has to be linked anew.
fn replay(found: &Found, argv: &[OsString]) -> Result<Option<(Fate, Option<Crash>)>, Failure> {
    let Ok(mut child) = Replay::start(found, argv.to_vec()) else {
        return Ok(None);
    };
    match child.wait().map_err(Failure::new)? {
        Ended::NotBegun => Ok(None),
        Ended::Program(fate) => Ok(Some((fate, child.crash()))),
        Ended::BeforeMain(fate) => Err(Failure::new(format!(
            "before main: target lost: the worker {fate}"
        ))),
    }
}

/// Keeps the program for the next time, while it runs: links it once more, for
/// no process.
fn keep(
    cache: &Cache,
    question: Question,
    began: SystemTime,
    gathered: &Gathered,
    answers: &Answers,
) {
    let Some(files) = &gathered.files else {
        return;
    };
    let shared = gathered.inputs.iter().filter_map(Input::shared);
    let libraries: Vec<String> = shared.collect();
    let image = worker::record(answers, &libraries, |ground| {
        link(&mut session(Near::Anywhere), &gathered.inputs, ground).map_err(|why| why.to_string())
    });
    cache.keep_run(
        question,
        began,
        files,
        &gathered.warnings,
        image.as_ref().ok(),
    );
}

/// Why there is no program.
enum NotLinked {
    Error(Error),
    Faulted(HostError),
    Other(String),
}

impl Display for NotLinked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotLinked::Error(error) => error.fmt(f),
            NotLinked::Faulted(fault) => write!(f, "before main: {fault}"),
            NotLinked::Other(why) => f.write_str(why),
        }
    }
}

impl From<Error> for NotLinked {
    fn from(error: Error) -> NotLinked {
        NotLinked::Error(error)
    }
}

/// Links everything and gives the address of `main`.
fn link(
    session: &mut Session,
    inputs: &[Input],
    ground: &mut dyn Ground,
) -> Result<HostAddr, NotLinked> {
    let mut batch = session.batch();
    for input in inputs {
        match input {
            Input::Object { name, bytes } => batch.object(name, bytes)?,
            Input::Archive { name, bytes } => batch.archive(name, bytes.as_slice())?,
            Input::Shared(_) => {}
        }
    }
    let published = batch.publish(ground)?;
    if let Some(fault) = published.faulted {
        return Err(NotLinked::Faulted(fault));
    }
    match session.view().symbol("main") {
        Some(main) => Ok(main.address),
        None => Err(NotLinked::Other("no file defines `main`".to_owned())),
    }
}

/// Whether a program that died of this signal did something wrong: others are
/// sent by people, or mean that nobody reads on.
fn is_a_crash(signal: i32) -> bool {
    const SENT: [i32; 5] = [1, 2, 3, 13, 15];
    !SENT.contains(&signal)
}
