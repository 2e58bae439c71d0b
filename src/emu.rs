//! `sapwood emu`: run a foreign-architecture Linux program.
//!
//! Reads the command line and lets the emulator turn this process into the
//! guest's; what is left to say here is why that could not begin.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use sapwood_emu::Place;
use sapwood_emu::engine::Tier;
use sapwood_emu::linux::{self, Files, Options};
use sapwood_emu::watch::Watcher;
use sapwood_link::source::{UserFolder, user_folder};

use crate::failure::Failure;
use crate::help::{self, Topic};
use watch::{Show, Shown};

mod debug_object;
mod listing;
mod names;
mod watch;

/// What the command line asks for.
enum Asked {
    Help,
    SystemCalls,
    Run(Box<Options>),
}

/// `sapwood emu …`.
pub fn main(parser: &mut lexopt::Parser) -> Result<ExitCode, Failure> {
    match read_command_line(parser)? {
        Asked::Help => help::print(Topic::Emu),
        Asked::SystemCalls => list_system_calls(),
        Asked::Run(options) => match linux::run(*options) {
            Ok(never) => match never {},
            Err(error) => Err(Failure::new(&error).with_status(error.status())),
        },
    }
}

fn read_command_line(parser: &mut lexopt::Parser) -> Result<Asked, Failure> {
    use lexopt::Arg::{Long, Short, Value};
    let usage = |error: lexopt::Error| Failure::usage(Topic::Emu, error);

    let mut options = Options {
        // What a guest's `execve` of a guest program runs us again with.
        command: vec!["sapwood".into(), "emu".into()],
        ..Options::default()
    };
    let mut environment: Vec<OsString> = Vec::new();
    let mut argument_zero = None;
    let mut cache = None;
    let mut shown = Shown::default();
    let program = loop {
        let Some(argument) = parser.next().map_err(usage)? else {
            return Err(Failure::usage(Topic::Emu, "no program given"));
        };
        match argument {
            Short('h') | Long("help") => return Ok(Asked::Help),
            Long("syscalls") => return Ok(Asked::SystemCalls),
            Short('L') => {
                let sysroot = folder(parser.value().map_err(usage)?);
                options
                    .command
                    .extend(["-L".into(), sysroot.clone().into()]);
                options.files = Files::Sysroot(sysroot);
            }
            Long("root") => {
                let root = folder(parser.value().map_err(usage)?);
                options
                    .command
                    .extend(["--root".into(), root.clone().into()]);
                options.files = Files::Root(root);
            }
            Short('E') => environment.push(parser.value().map_err(usage)?),
            Long("engine") => {
                let name = parser.value().map_err(usage)?;
                options.tier = engine(&name)?;
                options.command.extend(["--engine".into(), name]);
            }
            Long("strace") => {
                options.trace_calls = true;
                options.command.push("--strace".into());
            }
            Long("gdb") => {
                let address = parser.value().map_err(usage)?;
                options.gdb = Some(address.to_string_lossy().into_owned());
            }
            Short('d') => {
                let list = parser.value().map_err(usage)?;
                shown
                    .add(&list.to_string_lossy())
                    .map_err(|why| Failure::usage(Topic::Emu, why))?;
                options.command.extend(["-d".into(), list]);
            }
            Long("trace") => {
                shown.trace = true;
                options.command.push("--trace".into());
            }
            Long("perf") => {
                shown.perf = true;
                options.command.push("--perf".into());
            }
            Long("debuggable") => {
                shown.debuggable = true;
                options.command.push("--debuggable".into());
            }
            Long("cache") => cache = Some(Some(PathBuf::from(parser.value().map_err(usage)?))),
            Long("no-cache") => cache = Some(None),
            Long("child") => options.is_child = true,
            Long("stats") => options.statistics = true,
            Long("traced") => {
                let how = parser.value().map_err(usage)?;
                options.traced = Some(how.to_string_lossy().into_owned());
            }
            Long("argv0") => argument_zero = Some(parser.value().map_err(usage)?),
            Long("ignore-sigpipe") => options.ignore_sigpipe = true,
            Long("closed") => {
                let number = parser.value().map_err(usage)?;
                options
                    .closed
                    .push(lexopt::ValueExt::parse(&number).map_err(usage)?);
            }
            Value(program) => break program,
            other => return Err(Failure::usage(Topic::Emu, other.unexpected())),
        }
    };
    if shown.is_any() {
        let show = Show::new(shown).map_err(|error| Failure::new(format!("--perf: {error}")))?;
        options.watch = Some(Watcher(Arc::new(show)));
    }
    options.cache = cache
        .unwrap_or_else(|| Some(user_folder(UserFolder::Cache)?.join("translations")))
        .map(|folder| Place::at(std::path::absolute(&folder).unwrap_or(folder)));
    // A guest may change what its children take for their user's folders.
    options.command.extend(match &options.cache {
        Some(place) => vec!["--cache".into(), place.folder.clone().into()],
        None => vec!["--no-cache".into()],
    });
    options.program = PathBuf::from(&program);
    options.arguments = vec![argument_zero.unwrap_or(program)];
    options.arguments.extend(parser.raw_args().map_err(usage)?);
    options.environment = with_variables(environment)?;
    Ok(Asked::Run(Box::new(options)))
}

/// A folder as the guest's files are looked for in it: whole, without links.
fn folder(name: OsString) -> PathBuf {
    let name = PathBuf::from(name);
    let whole = std::fs::canonicalize(&name).or_else(|_| std::path::absolute(&name));
    whole.unwrap_or(name)
}

fn engine(name: &OsStr) -> Result<Tier, Failure> {
    match name.to_str() {
        Some("jit") => Ok(Tier::Translate),
        Some("interpreter" | "interp") => Ok(Tier::Interpret),
        Some("unicorn") => Err(Failure::new(
            "this build has no unicorn engine; the engines are jit and interpreter",
        )),
        _ => Err(Failure::usage(
            Topic::Emu,
            format!("no engine is named {:?}", name.to_string_lossy()),
        )),
    }
}

/// Our own environment with these variables set.
fn with_variables(set: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    let name_of = |variable: &OsStr| {
        let bytes = variable.as_bytes();
        let end = bytes.iter().position(|&byte| byte == b'=');
        end.map(|end| OsStr::from_bytes(&bytes[..end]).to_owned())
    };
    let mut environment: Vec<OsString> = std::env::vars_os()
        .map(|(name, value)| [name, value].join(OsStr::new("=")))
        .collect();
    for variable in set {
        let Some(name) = name_of(&variable) else {
            let problem = format!(
                "-E wants VARIABLE=VALUE, not {:?}",
                variable.to_string_lossy()
            );
            return Err(Failure::usage(Topic::Emu, problem));
        };
        let same = |old: &OsString| name_of(old).as_ref() == Some(&name);
        match environment.iter().position(same) {
            Some(index) => environment[index] = variable,
            None => environment.push(variable),
        }
    }
    Ok(environment)
}

/// `sapwood emu --syscalls`: number, name, and whether it is done.
fn list_system_calls() -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    for (number, name, is_done) in linux::system_calls() {
        let state = if is_done { "" } else { "  ENOSYS" };
        // Whoever reads may stop reading.
        if writeln!(out, "{number:>4} {name}{state}").is_err() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}
