//! `sapwood run`: link files into a live process and run `main`.
//!
//! A program that was linked before, from the same files, is started from what
//! was kept of it. Otherwise inputs are gathered before a worker is started, and
//! the worker is told to start only when everything is published, so that an
//! error is found before the program did anything; and while it runs, what is to
//! be kept is made.

mod image;
mod perf;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use image::{Image, NotLinked, link, session};
use sapwood_link::source::{self, Answer, Cache, Question};
use sapwood_link::worker::{
    self, Afterwards, Answers, Crash, Debugger, Fate, Found, Program, Worker, signals,
};
use sapwood_link::{AddressSpace, Error, HostAddr, Near, Session};

use crate::failure::Failure;
use crate::help::{self, Topic};
use crate::inputs::{Gathered, Input, Request};

/// What the command line asks for.
struct Asked {
    request: Request,
    debugger: Debugger,
    /// What `perf` is told of functions.
    perf: Option<perf::Form>,
    /// Whether the program is linked, even if it was kept.
    relink: bool,
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
    let (mut debugger, mut perf, mut relink) = (Debugger::Ignore, None, false);
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
            Long("relink") => relink = true,
            Long("perf") => {
                perf = Some(match parser.optional_value() {
                    None => perf::Form::Map,
                    Some(form) if form == "map" => perf::Form::Map,
                    Some(form) if form == "jitdump" => perf::Form::Jitdump,
                    Some(form) => {
                        let why = format!("--perf is `map` or `jitdump`, not {form:?}");
                        return Err(Failure::usage(Topic::Run, why));
                    }
                });
            }
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
            Long("registry") => {
                request.registry = Some(PathBuf::from(parser.value().map_err(usage)?));
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
    request.flags.debug |= debugger != Debugger::Ignore || perf == Some(perf::Form::Jitdump);
    Ok(Some(Asked {
        request,
        debugger,
        perf,
        relink,
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
    let plain = asked.debugger == Debugger::Ignore && asked.perf.is_none();
    let question = cache
        .as_ref()
        .filter(|_| plain)
        .and_then(|cache| Some((cache, request.question(&libraries)?)));
    let known = question
        .filter(|_| !asked.relink)
        .and_then(|(cache, question)| cache.find_run(question));
    let is_new = known.is_none();
    if let Some(Answer::Image { found, warnings }) = known {
        eprint!("{warnings}");
        return Err(become_kept(found, argv));
    }
    let mut gathered = request.gather(&libraries, cache.as_ref())?;
    eprint!("{}", gathered.warnings);
    let lazy = libraries.chosen.filter(|_| gathered.is_lazy);
    let program = Program {
        debuggable: asked.debugger != Debugger::Ignore,
        writes_down_crashes: true,
        lazy: lazy.is_some(),
        ..Program::this(&name)
    };
    let mut worker = Worker::start_process(&program).map_err(Failure::new)?;
    let lazy = lazy.map(|chosen| (chosen, gathered.with_program.clone()));
    let mut image = Image::new(&mut worker, lazy).map_err(Failure::new)?;
    let (main, answers) = link_in_worker(request, &mut image, &mut worker, &mut gathered)?;
    tell_others(&asked, &mut image, &mut worker)?;
    signals::pass_on_to(worker.pid()).map_err(Failure::new)?;
    worker
        .start_under(main, &argv, Afterwards::Leave, asked.debugger)
        .map_err(Failure::new)?;
    if let (Some((cache, question)), true, Some(answers)) = (question, is_new, answers) {
        keep(cache, question, began, &gathered, &answers);
    }
    let fate = worker.wait().map_err(Failure::new)?;
    signals::pass_on_no_more();
    image.stop();
    let place = image.crash_place(&mut worker);
    end(&name, fate, place)
}

/// Tells perf and debuggers of the program, where that was asked for.
fn tell_others(asked: &Asked, image: &mut Image, worker: &mut Worker) -> Result<(), Failure> {
    let pid = worker.pid();
    if let Some(form) = asked.perf {
        perf::tell(form, image, worker)?;
    }
    if asked.debugger != Debugger::Ignore {
        image.tell_debuggers(worker).map_err(Failure::new)?;
        match asked.debugger {
            Debugger::Await => eprintln!("process {pid} waits for a debugger: gdb -p {pid}"),
            _ => eprintln!("process {pid} runs the program"),
        }
    }
    Ok(())
}

/// Links everything into the worker. Gives the address of `main`, and what names
/// outside stood for, where all are known. With `--autoload`, libraries that
/// define what nothing else does are opened, and join the inputs.
fn link_in_worker(
    request: &Request,
    image: &mut Image,
    worker: &mut Worker,
    gathered: &mut Gathered,
) -> Result<(HostAddr, Option<Answers>), Failure> {
    for path in gathered.inputs.iter().filter_map(Input::shared) {
        worker.open_library(&path).map_err(Failure::new)?;
    }
    loop {
        let missing = match image.link(worker, &gathered.inputs) {
            Ok(linked) => return Ok(linked),
            Err(NotLinked::Error(Error::Undefined(missing))) if request.autoload => missing,
            Err(NotLinked::Faulted(fault)) => {
                // An initialiser that calls `exit` ends its program.
                if let Ok(Some(fate @ Fate::Exited(_))) = worker.fate() {
                    fate.follow();
                }
                let place = image.crash_place(worker).map(|place| format!(" {place}"));
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

/// Where a program crashed: `in parse+0x12 (parse.c)`.
fn crash_place(crash: &Crash, session: &Session, space: &mut dyn AddressSpace) -> Option<String> {
    let place = crash.place(&session.view(), &mut |at, into| {
        space.read(at, into).is_ok()
    });
    place.map(|place| format!("in {place}"))
}

/// The same for a program that was kept: what was linked then is linked again,
/// for no process, to know what lies where.
fn place_in_kept(asked: &Asked, crash: &Crash) -> Option<String> {
    let request = &asked.request;
    let libraries = request.find_libraries().ok()?;
    let cache = request.cache()?;
    let Some(Answer::Image { found, .. }) = cache.find_run(request.question(&libraries)?) else {
        return None;
    };
    let gathered = request.gather(&libraries, Some(&cache)).ok()?;
    worker::relink(&found.image, |ground| {
        let mut session = session(Near::Anywhere);
        link(&mut session, &gathered.inputs, ground).ok()?;
        crash_place(crash, &session, ground.space())
    })
}

/// Becomes a program that was linked before. Where that fails this process begins
/// again, and links it.
fn become_kept(found: Found, argv: Vec<OsString>) -> Failure {
    let mut reporter: Vec<OsString> = vec!["sapwood".into(), "__crashed".into()];
    reporter.push(std::env::current_dir().unwrap_or_default().into());
    reporter.extend(std::env::args_os().skip(2));
    let error = worker::become_kept(found, argv, reporter);
    let again = Command::new("/proc/self/exe")
        .args(["run", "--relink"])
        .args(std::env::args_os().skip(2))
        .exec();
    Failure::new(format!(
        "cannot start the program: {error}, nor link it: {again}"
    ))
}

/// Says how a kept program crashed: `folder`, then the command line of its
/// `sapwood run`.
pub fn report_crash(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    let Some((crash, (folder, words))) = Crash::to_report().zip(words.split_first()) else {
        return Err(Failure::new(
            "`__crashed` is how sapwood starts itself, and not for people",
        ));
    };
    let died = Fate::Died(crash.signal);
    let mut parser = lexopt::Parser::from_args(words.iter().cloned());
    let asked = read_command_line(&mut parser)?;
    let name = asked.as_ref().map(|asked| program_name(&asked.request));
    let place = asked
        .filter(|_| std::env::set_current_dir(folder).is_ok())
        .and_then(|asked| place_in_kept(&asked, &crash));
    let place = place.map(|place| format!(" {place}")).unwrap_or_default();
    match crash.before_main {
        true => eprintln!("error: before main: target lost: the worker {died}{place}"),
        false => {
            let name = name.unwrap_or_default();
            eprintln!("error: {} {died}{place}", name.display());
        }
    }
    Ok(ExitCode::SUCCESS)
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

/// Whether a program that died of this signal did something wrong: others are
/// sent by people, or mean that nobody reads on.
fn is_a_crash(signal: i32) -> bool {
    const SENT: [i32; 5] = [1, 2, 3, 13, 15];
    !SENT.contains(&signal)
}
