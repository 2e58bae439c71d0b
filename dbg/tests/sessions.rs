//! Sessions as data: each file in `tests/sessions` is a program, commands, and
//! what the debugger says to each. A new case is a new file.
//!
//! ```text
//! program: orchard.c
//! flags: -O1
//! (dbg) b main
//! Breakpoint 1 at 0x…: file DIR/orchard.c, line 39.
//! --- output
//! what the program wrote
//! ```
//!
//! A line `> …` continues a command. Addresses, process numbers and the folder
//! are made equal before comparing. `SAPWOOD_BLESS=1` writes what was said into
//! the files; read the difference before you commit it.

mod common;

use std::fmt::Write;
use std::path::Path;

use common::{Folder, compile, no_children_left, programs};
use sapwood_dbg::{Debugger, render::render};

/// A session file, taken apart.
#[derive(Default)]
struct Session {
    program: String,
    flags: Vec<String>,
    /// Other files to compile: name, and flags.
    also: Vec<(String, Vec<String>)>,
    /// Runs live, from source.
    live: bool,
    header: String,
    commands: Vec<String>,
}

fn read(text: &str) -> Session {
    let mut session = Session::default();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("(dbg) ") {
            session.commands.push(command.to_owned());
        } else if let Some(more) = line.strip_prefix("> ") {
            let last = session.commands.last_mut().expect("a command goes before");
            let _ = write!(last, "\n{more}");
        } else if session.commands.is_empty() {
            let _ = writeln!(session.header, "{line}");
            match line.split_once(": ") {
                Some(("program", name)) => session.program = name.to_owned(),
                Some(("live", name)) => {
                    session.program = name.to_owned();
                    session.live = true;
                }
                Some(("flags", flags)) => session.flags = words(flags),
                Some(("also", rest)) => {
                    let (name, flags) = rest.split_once(' ').unwrap_or((rest, ""));
                    session.also.push((name.to_owned(), words(flags)));
                }
                _ => assert!(line.is_empty() || line.starts_with('#'), "{line}"),
            }
        }
    }
    session
}

/// Executes a session, and writes it down as its file would have it.
fn execute(session: &Session, folder: &Folder) -> String {
    let here = folder.path.to_str().unwrap();
    let source = programs().join(&session.program);
    let program = if session.live {
        let copy = folder.path.join(&session.program);
        std::fs::copy(&source, &copy).unwrap();
        copy
    } else {
        compile(&source, &session.flags, folder)
    };
    for (name, flags) in &session.also {
        compile(&programs().join(name), flags, folder);
    }
    let mut text = session.header.clone();
    let mut debugger = Debugger::new();
    let run = |debugger: &mut Debugger, line: &str| {
        let mut said = String::new();
        let parsed = debugger.parse(line).map_err(|e| e.to_string());
        let done = parsed.and_then(|command| {
            let tell = &mut |event| said.push_str(&render(&event));
            debugger.execute(command, tell).map_err(|e| e.to_string())
        });
        if let Err(error) = done {
            let _ = writeln!(said, "error: {error}");
        }
        said
    };
    let opening = format!("file {}", program.display());
    assert_eq!(run(&mut debugger, &opening), "");
    run(&mut debugger, &format!("set args > {here}/output"));
    for command in &session.commands {
        let said = run(&mut debugger, &command.replace("DIR", here));
        let _ = writeln!(text, "(dbg) {}", command.replace('\n', "\n> "));
        text.push_str(&normal(&said, here));
    }
    drop(debugger);
    let output = std::fs::read_to_string(folder.path.join("output")).unwrap_or_default();
    if !output.is_empty() {
        let _ = write!(text, "--- output\n{}", normal(&output, here));
    }
    text
}

/// What differs from run to run is made equal.
fn normal(text: &str, folder: &str) -> String {
    let here = std::env::current_dir().expect("tests run in a folder");
    let text = text
        .replace(folder, "DIR")
        .replace(&*here.to_string_lossy(), "HERE");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        out.push_str(&rest[..at]);
        let word_end = rest[at..]
            .find(|c: char| !c.is_ascii_alphanumeric())
            .map_or(rest.len(), |n| at + n);
        let word = &rest[at..word_end];
        let address = word.len() >= 8 && word.starts_with("0x");
        let number = ["process ", "LWP "]
            .iter()
            .any(|before| out.ends_with(before))
            && word.bytes().all(|b| b.is_ascii_digit());
        out.push_str(match (address, number) {
            (true, _) => "0x…",
            (_, true) => "N",
            _ => word,
        });
        rest = &rest[word_end..];
    }
    out.push_str(rest);
    // Frames of the C library depend on its version and its debug information.
    let mut lines: Vec<&str> = Vec::new();
    for line in out.lines() {
        let library = line.starts_with('#')
            && ["__libc_start", "_start ()", "clone", "start_thread"]
                .iter()
                .any(|name| line.contains(name));
        if !library {
            lines.push(line);
        }
    }
    // Columns depend on how many digits a process number has.
    let squeezed = lines.iter().map(|line| match line.contains("(LWP N)") {
        true => line.split_whitespace().collect::<Vec<_>>().join(" "),
        false => (*line).to_owned(),
    });
    squeezed.flat_map(|line| [line, "\n".to_owned()]).collect()
}

#[test]
fn sessions() {
    let only = std::env::var("SAPWOOD_ONLY").ok();
    let bless = std::env::var_os("SAPWOOD_BLESS").is_some();
    let mut files: Vec<_> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sessions"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                only.as_ref()
                    .is_none_or(|part| path.to_string_lossy().contains(part))
            })
            .collect();
    files.sort();
    let mut wrong = Vec::new();
    for path in &files {
        let expected = std::fs::read_to_string(path).unwrap();
        let folder = Folder::new();
        let said = execute(&read(&expected), &folder);
        no_children_left();
        if said == expected {
            continue;
        }
        if bless {
            std::fs::write(path, &said).unwrap();
        } else {
            wrong.push(format!(
                "{}:\n{}",
                path.display(),
                difference(&expected, &said)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!files.is_empty());
}

/// The first lines that differ, with what goes before them.
fn difference(expected: &str, said: &str) -> String {
    let (expected, said): (Vec<_>, Vec<_>) = (expected.lines().collect(), said.lines().collect());
    let first = (0..).find(|&i| expected.get(i) != said.get(i)).unwrap_or(0);
    let show = |lines: &[&str], mark: &str| -> String {
        let some = lines.iter().skip(first).take(6);
        some.map(|line| format!("{mark} {line}\n")).collect()
    };
    let before: String = expected[first.saturating_sub(3)..first]
        .iter()
        .map(|line| format!("  {line}\n"))
        .collect();
    format!("{before}{}{}", show(&expected, "-"), show(&said, "+"))
}
