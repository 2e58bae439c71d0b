//! The arguments of commands that have a grammar of their own.

use super::{
    ParseError, Result, command as parse_command, signal_named, small, some, spec, split_word,
    words, wrong,
};
use crate::command::{
    Apply, Catch, Command, Disassemble, FrameArguments, HandleWord, Info, Lasting, PrintFlag,
    PrintLimit, SchedulerLocking, Setting, Skip, SkipRule, TypeFlags, WatchKind, WhichFrames,
    WhichThreads,
};
use crate::signal::{SIGNALS, Signal};

/// A number in decimal, or in hexadecimal after `0x`.
pub(super) fn number(text: &str) -> Result<u64> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.or_else(|_| wrong(format!("\"{text}\" is no number.")))
}

/// Numbers and ranges: `1 2 4-6`.
pub(super) fn numbers(text: &str) -> Result<Vec<u32>> {
    /// More than anybody lists by hand; a slip must not fill memory.
    const MOST: u32 = 100_000;
    let mut all = Vec::new();
    for word in text.split([' ', ',']).filter(|w| !w.is_empty()) {
        match word.split_once('-') {
            None => all.push(small(word, 0)?),
            Some((first, last)) => {
                let (first, last): (u32, u32) = (small(first, 0)?, small(last, 0)?);
                if last < first || last - first > MOST {
                    return wrong(format!("bad range \"{word}\"."));
                }
                all.extend(first..=last);
            }
        }
    }
    Ok(all)
}

/// Breakpoint numbers, after an optional `breakpoints`.
pub(super) fn breakpoint_numbers(text: &str) -> Result<Vec<u32>> {
    let (word, rest) = split_word(text);
    if word.len() > 2 && "breakpoints".starts_with(word) {
        return numbers(rest);
    }
    numbers(text)
}

/// `enable [once|delete] [display|breakpoints] N…`.
pub(super) fn enable(text: &str, on: bool) -> Result<Command> {
    let (word, rest) = split_word(text);
    Ok(match word {
        "once" if on => Command::EnableFor(breakpoint_numbers(rest)?, Lasting::Stops(1)),
        "delete" if on => Command::EnableFor(breakpoint_numbers(rest)?, Lasting::Delete),
        "count" if on => {
            let (count, rest) = split_word(rest);
            let count = Lasting::Stops(number(count)?);
            Command::EnableFor(breakpoint_numbers(rest)?, count)
        }
        _ => Command::Enable(breakpoint_numbers(text)?, on),
    })
}

/// `skip [function NAME|file FILE|-fi FILE|-gfi PATTERN|-fu NAME|-rfu REGEX…]`,
/// `skip delete|enable|disable N…`.
pub(super) fn skip(text: &str) -> Result<Skip> {
    let (word, rest) = split_word(text);
    let mut rule = SkipRule::default();
    match word {
        "" => return Ok(Skip::Here),
        "delete" => return Ok(Skip::Delete(numbers(rest)?)),
        "enable" | "disable" => return Ok(Skip::Enable(numbers(rest)?, word == "enable")),
        "file" if rest.is_empty() => return Ok(Skip::ThisFile),
        "file" => rule.file = some(rest),
        "function" if rest.is_empty() => return Ok(Skip::Here),
        "function" => rule.function = some(rest),
        _ if !word.starts_with('-') => rule.function = some(text),
        _ => {
            let words = split_arguments(text);
            for pair in words.chunks(2) {
                let [option, value] = pair else {
                    return wrong(format!("Missing value for {} option.", pair[0]));
                };
                match option.as_str() {
                    "-fi" | "-file" => rule.file = Some(value.clone()),
                    "-gfi" | "-gfile" => {
                        (rule.file, rule.file_is_glob) = (Some(value.clone()), true);
                    }
                    "-fu" | "-function" => rule.function = Some(value.clone()),
                    "-rfu" | "-rfunction" => {
                        (rule.function, rule.function_is_regex) = (Some(value.clone()), true);
                    }
                    other => return wrong(format!("Invalid skip option: {other}")),
                }
            }
        }
    }
    Ok(Skip::Add(rule))
}

/// `watch [-l] EXPR`.
pub(super) fn watch(word: &str, text: &str) -> Result<Command> {
    let expression = match text.strip_prefix("-location ").or(text.strip_prefix("-l ")) {
        Some(expression) => format!("*&({})", expression.trim()),
        None => text.to_owned(),
    };
    if expression.is_empty() {
        return wrong("Argument required (expression to compute).");
    }
    let kind = match word {
        "watch" => WatchKind::Write,
        "rwatch" => WatchKind::Read,
        _ => WatchKind::Access,
    };
    Ok(Command::Watch { expression, kind })
}

/// `catch WHAT [ARGS]`.
pub(super) fn catch(text: &str, temporary: bool) -> Result<Command> {
    let (word, rest) = split_word(text);
    let what = match word {
        "syscall" => Catch::Syscalls(rest.split_whitespace().map(str::to_owned).collect()),
        "fork" => Catch::Fork,
        "vfork" => Catch::Vfork,
        "exec" => Catch::Exec,
        "throw" => Catch::Throw,
        "catch" => Catch::CatchException,
        "rethrow" => Catch::Rethrow,
        "load" => Catch::Load(rest.to_owned()),
        "unload" => Catch::Unload(rest.to_owned()),
        "panic" => Catch::Panic,
        "signal" => {
            let names = rest.split_whitespace().filter(|w| *w != "all");
            Catch::Signals(names.map(signal).collect::<Result<_>>()?)
        }
        _ => {
            return wrong(
                "Catch what? syscall, fork, vfork, exec, throw, catch, rethrow, panic, load, unload, signal.",
            );
        }
    };
    Ok(Command::Catch { what, temporary })
}

pub(super) fn signal(text: &str) -> Result<Signal> {
    match signal_named(text) {
        Some(signal) => Ok(signal),
        None => wrong(format!("Unrecognized signal \"{text}\".")),
    }
}

/// `backtrace [full] [N]`.
pub(super) fn backtrace(text: &str) -> Result<Command> {
    let (mut full, mut limit) = (false, None);
    for word in text.split_whitespace() {
        match word {
            "full" | "-full" | "f" => full = true,
            "no-filters" | "-no-filters" | "hide" => {}
            number => match number.parse() {
                Ok(n) => limit = Some(n),
                Err(_) => return wrong(format!("No symbol \"{number}\" in current context.")),
            },
        }
    }
    Ok(Command::Backtrace { full, limit })
}

/// `[-q] [-c] [-s] COMMAND`, where several threads or frames have their turn.
fn apply(text: &str, usage: &str) -> Result<Apply> {
    let mut apply = Apply::default();
    let mut rest = text;
    loop {
        let (word, after) = split_word(rest);
        match word {
            "-q" => apply.quiet = true,
            "-c" => apply.goes_on = true,
            "-s" => apply.silent = true,
            "-ascending" | "--" => {}
            _ => break,
        }
        rest = after;
    }
    apply.command = match some(rest) {
        Some(command) => command,
        None => return wrong(usage),
    };
    Ok(apply)
}

/// `thread [N]`, `thread apply all|N… COMMAND`, `thread name`, `thread find`.
pub(super) fn thread(text: &str) -> Result<Command> {
    const USAGE: &str = "Please specify a command at the end of 'thread apply'";
    let (word, rest) = split_word(text);
    match word {
        "" => return Ok(Command::Thread(None)),
        "name" => return Ok(Command::ThreadName(some(rest))),
        "find" => return Ok(Command::ThreadFind(super::required(rest, "a name")?)),
        "apply" => {}
        number => return Ok(Command::Thread(Some(small(number, 0)?))),
    }
    let (mut which, mut after) = split_word(rest);
    if which == "all" {
        return Ok(Command::ThreadApply(
            WhichThreads::All,
            apply(after, USAGE)?,
        ));
    }
    let (mut chosen, mut rest) = (Vec::new(), rest);
    while which.starts_with(|c: char| c.is_ascii_digit()) {
        chosen.extend(numbers(which)?);
        rest = after;
        (which, after) = split_word(after);
    }
    if chosen.is_empty() {
        return wrong("Please specify a thread ID list");
    }
    Ok(Command::ThreadApply(
        WhichThreads::These(chosen),
        apply(rest, USAGE)?,
    ))
}

/// `frame [N]`, `frame level N`, `frame function NAME`, `frame address EXPR`,
/// `frame apply [all|N|level N…] COMMAND`.
pub(super) fn frame(text: &str) -> Result<Command> {
    const USAGE: &str = "Please specify a command to apply on the selected frames";
    let (word, rest) = split_word(text);
    Ok(match word {
        "" => Command::Frame(None),
        "level" => Command::Frame(Some(small(&super::required(rest, "a level")?, 0)?)),
        "function" => Command::FrameFunction(super::required(rest, "a function name")?),
        "address" => Command::FrameAddress(super::required(rest, "an address")?),
        "apply" => {
            let (which, after) = split_word(rest);
            let (which, command) = match which {
                "all" => (WhichFrames::All, after),
                "level" => {
                    let (levels, after) = split_word(after);
                    (WhichFrames::Levels(numbers(levels)?), after)
                }
                count => match count.parse() {
                    Ok(count) => (WhichFrames::Count(count), after),
                    Err(_) => return wrong("Missing COUNT argument."),
                },
            };
            Command::FrameApply(which, apply(command, USAGE)?)
        }
        number => Command::Frame(Some(small(number, 0)?)),
    })
}

/// `ptype[/FLAGS] EXPR`.
pub(super) fn ptype(text: &str) -> Result<Command> {
    let mut flags = TypeFlags::default();
    let mut rest = text;
    if let Some(letters) = text.strip_prefix('/') {
        let (letters, after) = split_word(letters);
        rest = after;
        for letter in letters.chars() {
            match letter {
                'o' => {
                    flags.offsets = true;
                    flags.methods = false;
                    flags.typedefs = false;
                }
                'x' => flags.hexadecimal = true,
                'd' => flags.hexadecimal = false,
                'm' => flags.methods = false,
                'M' => flags.methods = true,
                't' => flags.typedefs = false,
                'T' => flags.typedefs = true,
                'r' => {}
                other => return wrong(format!("unrecognized flag '{other}'")),
            }
        }
    }
    Ok(Command::PrintType(
        flags,
        super::required(rest, "an expression")?,
    ))
}

/// `dprintf WHERE, FORMAT, EXPR…`.
pub(super) fn dprintf(text: &str) -> Result<Command> {
    let Some((place, template)) = text.split_once(',') else {
        return wrong("Format string required");
    };
    let template = template.trim();
    crate::value::printf::Template::parse(template).or_else(|error| wrong(error.to_string()))?;
    Ok(Command::Dprintf(spec(place)?, template.to_owned()))
}

/// `disassemble[/s][/r] [START[,END]]`.
pub(super) fn disassemble(text: &str) -> Result<Command> {
    let mut wanted = Disassemble::default();
    let mut rest = text;
    while let Some(flags) = rest.strip_prefix('/') {
        let (letters, after) = split_word(flags);
        for letter in letters.chars() {
            match letter {
                's' | 'm' => wanted.source = true,
                'r' => wanted.raw = true,
                '/' => {}
                other => return wrong(format!("Invalid disassembly modifier '{other}'.")),
            }
        }
        rest = after;
    }
    match rest.split_once(',') {
        Some((start, end)) => {
            wanted.start = some(start.trim());
            wanted.end = some(end.trim());
        }
        None => wanted.start = some(rest),
    }
    Ok(Command::Disassemble(wanted))
}

/// `COMMAND | SHELL`; another mark than `|` after `-d`.
pub(super) fn pipe(text: &str) -> Result<Command> {
    let (mark, text) = match text.strip_prefix("-d ") {
        Some(rest) => split_word(rest.trim_start()),
        None => ("|", text),
    };
    match text.split_once(mark) {
        Some((command, shell)) if !command.trim().is_empty() && !shell.trim().is_empty() => Ok(
            Command::Pipe(command.trim().to_owned(), shell.trim().to_owned()),
        ),
        _ => wrong("pipe COMMAND | SHELL_COMMAND"),
    }
}

/// `alias [-a] NAME = COMMAND`.
pub(super) fn alias(text: &str) -> Result<Command> {
    let text = text.strip_prefix("-a ").unwrap_or(text);
    match text.split_once('=') {
        Some((name, command)) if super::first_word(name.trim()) == (name.trim(), "") => Ok(
            Command::Alias(name.trim().to_owned(), command.trim().to_owned()),
        ),
        _ => wrong("alias NAME = COMMAND"),
    }
}

/// `print -OPTION [VALUE]… -- EXPRESSION`: options are settings of `print`.
pub(super) fn print_with(text: &str) -> Result<Command> {
    let (options, expression) = text.split_once("-- ").unwrap_or((text, ""));
    let mut settings: Vec<String> = Vec::new();
    for word in options.split_whitespace() {
        match (word.strip_prefix('-'), settings.last_mut()) {
            (Some(option), _) => settings.push(format!("print {option}")),
            (None, Some(setting)) => {
                setting.push(' ');
                setting.push_str(word);
            }
            (None, None) => return wrong("print -OPTION [VALUE]... -- EXPRESSION"),
        }
    }
    Ok(Command::With(settings, format!("print {expression}")))
}

/// What may follow `info`, with the shortest abbreviation of each.
const INFO: &[(&str, usize)] = &[
    ("address", 2),
    ("all-registers", 2),
    ("args", 2),
    ("auxv", 2),
    ("breakpoints", 1),
    ("display", 1),
    ("dll", 2),
    ("files", 3),
    ("float", 2),
    ("frame", 1),
    ("functions", 2),
    ("generations", 1),
    ("handle", 1),
    ("image", 2),
    ("inferiors", 3),
    ("line", 2),
    ("locals", 2),
    ("mappings", 2),
    ("proc", 3),
    ("program", 4),
    ("registers", 1),
    ("scope", 2),
    ("sharedlibrary", 2),
    ("signals", 3),
    ("skip", 2),
    ("source", 2),
    ("sources", 7),
    ("stack", 2),
    ("symbol", 2),
    ("target", 2),
    ("threads", 1),
    ("types", 2),
    ("variables", 2),
    ("vector", 2),
    ("watchpoints", 2),
];

/// The words that may follow `info`.
pub fn info_words() -> impl Iterator<Item = &'static str> {
    INFO.iter().map(|(full, _)| *full)
}

/// `info WHAT`.
pub(super) fn info(text: &str) -> Result<Command> {
    let (word, rest) = split_word(text);
    let full = INFO
        .iter()
        .find(|(full, _)| word == *full)
        .or_else(|| {
            let mut all = INFO.iter();
            all.find(|(full, least)| word.len() >= *least && full.starts_with(word))
        })
        .map(|(full, _)| *full);
    let Some(full) = full else {
        let known: Vec<&str> = info_words().collect();
        return wrong(format!("info what? One of: {}.", known.join(", ")));
    };
    let what = match full {
        "breakpoints" | "watchpoints" => Info::Breakpoints,
        "registers" => Info::Registers(registers(rest), false),
        "all-registers" | "vector" => Info::Registers(registers(rest), true),
        "float" => Info::Float,
        "locals" => Info::Locals,
        "args" => Info::Args,
        "frame" => Info::Frame,
        "stack" => return parse_command("backtrace", rest),
        "threads" => Info::Threads,
        "sharedlibrary" | "dll" => Info::SharedLibraries,
        "line" if rest.is_empty() => Info::Line(None),
        "line" => Info::Line(Some(spec(rest)?)),
        "address" => Info::Address(super::required(rest, "a symbol")?),
        "auxv" => Info::AuxiliaryVector,
        "symbol" => Info::Symbol(super::required(rest, "address")?),
        "scope" => Info::Scope(spec(&super::required(
            rest,
            "a linespec: an expression or a file and line",
        )?)?),
        "source" => Info::Source,
        "sources" => Info::Sources(some(rest)),
        "signals" | "handle" if rest.is_empty() => Info::Signals(None),
        "signals" | "handle" => Info::Signals(Some(signal(rest)?)),
        "skip" => return Ok(Command::Skip(Skip::List)),
        "generations" => Info::Generations,
        "image" => Info::Image,
        "display" => Info::Display,
        "proc" if rest.starts_with("map") => Info::Mappings,
        "proc" if matches!(rest, "status" | "stat" | "limits" | "io") => {
            Info::ProcessFile(rest.to_owned())
        }
        "proc" | "inferiors" => Info::Process,
        "mappings" => Info::Mappings,
        "files" | "target" => Info::Files,
        "functions" => Info::Functions(matching(rest)),
        "variables" => Info::Variables(matching(rest)),
        "types" => Info::Types(matching(rest)),
        "program" => Info::Program,
        other => unreachable!("{other} is in the table of words but has no meaning"),
    };
    Ok(Command::Info(what))
}

/// The regular expression of `info functions` and its like.
fn matching(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some(after) = rest
        .strip_prefix("-q")
        .or_else(|| rest.strip_prefix("-n"))
        .filter(|after| after.is_empty() || after.starts_with(' '))
    {
        rest = after.trim_start();
    }
    some(rest)
}

fn registers(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|name| name.trim_start_matches('$').to_owned())
        .collect()
}

/// `handle SIGNAL… WORD…`.
pub(super) fn handle(text: &str) -> Result<Command> {
    let (mut signals, mut rules) = (Vec::new(), Vec::new());
    for word in text.split_whitespace() {
        match word {
            "stop" | "nostop" => rules.push(HandleWord::Stop(word == "stop")),
            "print" | "noprint" => rules.push(HandleWord::Print(word == "print")),
            "pass" | "noignore" => rules.push(HandleWord::Pass(true)),
            "nopass" | "ignore" => rules.push(HandleWord::Pass(false)),
            "all" => signals.extend(
                (1..SIGNALS)
                    .map(Signal)
                    .filter(|s| !matches!(s.0, libc::SIGTRAP | libc::SIGINT)),
            ),
            name => signals.push(signal(name)?),
        }
    }
    if signals.is_empty() {
        return wrong("Argument required (signal to handle).");
    }
    Ok(Command::Handle(signals, rules))
}

fn on_off(text: &str) -> Result<bool> {
    match text {
        "" | "on" | "1" | "yes" => Ok(true),
        "off" | "0" | "no" => Ok(false),
        _ => wrong("\"on\" or \"off\" expected."),
    }
}

/// `unlimited` is 0, as 0 is.
fn limit(text: &str) -> Result<u64> {
    match text {
        "unlimited" | "0" => Ok(0),
        text => number(text),
    }
}

/// `set …`.
pub(super) fn set(text: &str) -> Result<Command> {
    let (word, rest) = split_word(text);
    let setting = match word {
        "var" | "variable" => {
            return Ok(Command::SetVariable(super::required(
                rest,
                "expression to compute",
            )?));
        }
        "args" => Setting::Arguments(rest.to_owned()),
        "environment" | "env" => {
            let (name, value) = rest.split_once('=').unwrap_or_else(|| split_word(rest));
            let value = value.trim_start();
            Setting::Environment(name.trim().to_owned(), some(value))
        }
        "cwd" => Setting::Directory(some(rest).map(Into::into)),
        "substitute-path" => match &split_arguments(rest)[..] {
            [from, to] => Setting::Substitute(from.into(), to.into()),
            _ => return wrong("set substitute-path FROM TO"),
        },
        "directories" => {
            let folders = rest.split(':').filter(|folder| !folder.is_empty());
            Setting::SourceFolders(folders.map(Into::into).collect())
        }
        "inferior-tty" => Setting::Terminal(some(rest).map(Into::into)),
        "disable-randomization" => Setting::DisableRandomization(on_off(rest)?),
        "follow-fork-mode" => match rest {
            "parent" => Setting::FollowChild(false),
            "child" => Setting::FollowChild(true),
            _ => return wrong("Requires an argument. Valid arguments are child, parent."),
        },
        "scheduler-locking" => Setting::SchedulerLocking(match rest {
            "off" | "replay" => SchedulerLocking::Off,
            "on" => SchedulerLocking::On,
            "step" => SchedulerLocking::Step,
            _ => return wrong("Requires an argument. Valid arguments are off, on, step."),
        }),
        "listsize" => Setting::ListSize(small(rest, 10)?),
        "step-mode" => Setting::StepMode(on_off(rest)?),
        "can-use-hw-watchpoints" => Setting::HardwareWatches(limit(rest)? != 0),
        "call-timeout" => Setting::CallTimeout(limit(rest)?),
        "print" | "p" | "pr" => print_setting(rest)?,
        "backtrace" => match split_word(rest) {
            ("limit", n) => Setting::BacktraceLimit(match limit(n)? {
                0 => None,
                n => Some(n as usize),
            }),
            _ => Setting::Face(text.to_owned(), String::new()),
        },
        "confirm" | "pagination" | "width" | "height" | "prompt" | "history" | "style"
        | "verbose" | "logging" | "breakpoint" | "debuginfod" | "auto-load" | "editing"
        | "language" | "startup-with-shell" | "detach-on-fork" | "max-value-size"
        | "disassembly-flavor" => Setting::Face(word.to_owned(), rest.to_owned()),
        // As gdb has it: what is no setting is an expression.
        _ if text.contains('=') => return Ok(Command::SetVariable(text.to_owned())),
        _ => {
            return wrong(format!(
                "No setting \"{word}\". There are: {}.",
                words::SETTINGS.join(", ")
            ));
        }
    };
    Ok(Command::Set(setting))
}

fn print_setting(text: &str) -> Result<Setting> {
    let (word, rest) = split_word(text);
    let exact = PrintFlag::ALL.iter().find(|(name, _)| word == *name);
    let begun = || PrintFlag::ALL.iter().find(|(name, _)| named(word, name));
    if let Some((_, flag)) = exact.or_else(begun) {
        return Ok(Setting::PrintFlag(*flag, on_off(rest)?));
    }
    if let Some((_, which)) = PrintLimit::ALL.iter().find(|(name, _)| named(word, name)) {
        return Ok(Setting::PrintLimit(*which, limit(rest)? as usize));
    }
    Ok(match word {
        "frame-arguments" => Setting::FrameArguments(match rest {
            "all" => FrameArguments::All,
            "scalars" => FrameArguments::Scalars,
            "none" => FrameArguments::None,
            "presence" => FrameArguments::Presence,
            _ => {
                return wrong(
                    "Requires an argument. Valid arguments are all, scalars, none, presence.",
                );
            }
        }),
        _ => Setting::Face(format!("print {word}"), rest.to_owned()),
    })
}

/// Whether a word is a name's beginning, long enough to be meant.
fn named(word: &str, name: &str) -> bool {
    let is_long = word.len() > 1 || word == "p";
    is_long && name.starts_with(word)
}

/// `unset environment NAME`.
pub(super) fn unset(text: &str) -> Result<Command> {
    match split_word(text) {
        ("environment" | "env", name) if !name.is_empty() => {
            Ok(Command::Set(Setting::NoEnvironment(name.to_owned())))
        }
        ("environment" | "env", _) => Ok(Command::Set(Setting::EmptyEnvironment)),
        ("args", _) => Ok(Command::Set(Setting::Arguments(String::new()))),
        ("substitute-path", from) => Ok(Command::Set(Setting::NoSubstitute(
            some(from).map(Into::into),
        ))),
        ("cwd", _) => Ok(Command::Set(Setting::Directory(None))),
        _ => Err(ParseError::Wrong(
            "unset what? One of: environment, args, cwd, substitute-path.".to_owned(),
        )),
    }
}

/// Splits text into words as a shell does: quotes and backslashes, and nothing
/// else of a shell.
pub fn split_arguments(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                word.extend(characters.by_ref().take_while(|c| *c != '\''));
            }
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(c) = characters.next() {
                    match c {
                        '"' => break,
                        '\\' => match characters.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => word.push('\\'),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(characters.next()),
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// C's escapes in `echo`; a backslash at the end of a line joins it with the
/// next one.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('e') => out.push('\x1b'),
            Some('a') => out.push('\x07'),
            Some('b') => out.push('\x08'),
            Some('f') => out.push('\x0c'),
            Some('r') => out.push('\r'),
            Some('v') => out.push('\x0b'),
            Some('\n') | None => {}
            Some(c) if c.is_digit(8) => {
                let mut value = c.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    match characters.peek().and_then(|c| c.to_digit(8)) {
                        Some(digit) => value = 8 * value + digit,
                        None => break,
                    }
                    characters.next();
                }
                out.extend(char::from_u32(value));
            }
            Some(c) => out.push(c),
        }
    }
    out
}
