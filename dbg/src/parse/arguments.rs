//! The arguments of commands that have a grammar of their own.

use super::{
    ParseError, Result, command as parse_command, parse, signal_named, small, some, spec,
    split_word, words, wrong,
};
use crate::command::{
    Catch, Command, Disassemble, HandleWord, Info, Lasting, SchedulerLocking, Setting, Skip,
    SkipRule, WatchKind, WhichThreads,
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

/// `thread [N]`, `thread apply all|N… COMMAND`.
pub(super) fn thread(text: &str) -> Result<Command> {
    let (word, rest) = split_word(text);
    if word.is_empty() {
        return Ok(Command::Thread(None));
    }
    if word != "apply" {
        return Ok(Command::Thread(Some(small(word, 0)?)));
    }
    let (mut which, mut rest) = split_word(rest);
    if which == "all" {
        return Ok(Command::ThreadApply(
            WhichThreads::All,
            Box::new(parse(rest)?),
        ));
    }
    let mut chosen = Vec::new();
    while which.starts_with(|c: char| c.is_ascii_digit()) {
        chosen.extend(numbers(which)?);
        (which, rest) = split_word(rest);
    }
    let command = format!("{which} {rest}");
    if chosen.is_empty() || command.trim().is_empty() {
        return wrong("thread apply all|NUMBER… COMMAND");
    }
    Ok(Command::ThreadApply(
        WhichThreads::These(chosen),
        Box::new(parse(&command)?),
    ))
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

/// What may follow `info`, with the shortest abbreviation of each.
const INFO: &[(&str, usize)] = &[
    ("all-registers", 2),
    ("args", 2),
    ("breakpoints", 1),
    ("display", 1),
    ("files", 3),
    ("frame", 1),
    ("functions", 2),
    ("generations", 1),
    ("image", 2),
    ("inferiors", 3),
    ("line", 2),
    ("locals", 2),
    ("mappings", 2),
    ("proc", 3),
    ("program", 4),
    ("registers", 1),
    ("sharedlibrary", 2),
    ("signals", 3),
    ("skip", 2),
    ("source", 2),
    ("stack", 2),
    ("symbol", 2),
    ("threads", 1),
    ("variables", 2),
    ("vector", 2),
    ("watchpoints", 2),
    ("handle", 1),
    ("dll", 2),
    ("target", 2),
];

/// `info WHAT`.
pub(super) fn info(text: &str) -> Result<Command> {
    let (word, rest) = split_word(text);
    let full = INFO
        .iter()
        .find(|(full, least)| word == *full || (word.len() >= *least && full.starts_with(word)))
        .map(|(full, _)| *full);
    let what = match full {
        Some("breakpoints" | "watchpoints") => Info::Breakpoints,
        Some("registers") => Info::Registers(registers(rest), false),
        Some("all-registers" | "vector") => Info::Registers(registers(rest), true),
        Some("locals") => Info::Locals,
        Some("args") => Info::Args,
        Some("frame") => Info::Frame,
        Some("stack") => return parse_command("backtrace", rest),
        Some("threads") => Info::Threads,
        Some("sharedlibrary" | "dll") => Info::SharedLibraries,
        Some("line") if rest.is_empty() => Info::Line(None),
        Some("line") => Info::Line(Some(spec(rest)?)),
        Some("symbol") => Info::Symbol(super::required(rest, "an address")?),
        Some("source") => Info::Source,
        Some("signals" | "handle") if rest.is_empty() => Info::Signals(None),
        Some("signals" | "handle") => Info::Signals(Some(signal(rest)?)),
        Some("skip") => return Ok(Command::Skip(Skip::List)),
        Some("generations") => Info::Generations,
        Some("image") => Info::Image,
        Some("display") => Info::Display,
        Some("proc") if rest.starts_with("map") => Info::Mappings,
        Some("proc" | "inferiors") => Info::Process,
        Some("mappings") => Info::Mappings,
        Some("files" | "target") => Info::Files,
        Some("functions") => Info::Functions(some(rest)),
        Some("variables") => Info::Variables(some(rest)),
        Some("program") => Info::Program,
        _ => {
            let known: Vec<&str> = INFO.iter().map(|(full, _)| *full).collect();
            return wrong(format!("info what? One of: {}.", known.join(", ")));
        }
    };
    Ok(Command::Info(what))
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
    Ok(match word {
        "elements" | "el" | "characters" => Setting::PrintElements(limit(rest)? as usize),
        "pretty" | "p" => Setting::PrintPretty(on_off(rest)?),
        _ => Setting::Face(format!("print {word}"), rest.to_owned()),
    })
}

/// `unset environment NAME`.
pub(super) fn unset(text: &str) -> Result<Command> {
    match split_word(text) {
        ("environment" | "env", name) if !name.is_empty() => {
            Ok(Command::Set(Setting::NoEnvironment(name.to_owned())))
        }
        _ => Err(ParseError::Wrong("unset environment NAME".to_owned())),
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

/// C's escapes in `echo`.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('e') => out.push('\x1b'),
            Some(c) => out.push(c),
            None => {}
        }
    }
    out
}
