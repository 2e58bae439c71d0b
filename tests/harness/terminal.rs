//! A person at a terminal: types at a shell, and waits for what is said.
//!
//! The shell is an interactive bash under a terminal of its own, which util-linux's
//! `script` provides, so that job control, foreground groups and terminal modes are
//! the real ones. What is typed is a file of the case:
//!
//! ```text
//! type sapwood dbg loop      typed, with Enter
//! wait (sapwood)             waits until that text comes, after what was waited for last
//! key ^C                     one key, or several without Enter
//! sh kill -KILL $(cat pid)   executed elsewhere, not at the terminal
//! ```
//!
//! Whatever is waited for in vain ends the session; then the terminal's whole
//! content is what the command printed. Otherwise it printed nothing.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Unlike any prompt of a debugger, and not what is typed to set it.
const PROMPT: &str = "sh$ ";
const SET_PROMPT: &str = "PS1='sh''$ '";

/// What came from the terminal so far, and whether more may come.
#[derive(Default)]
struct Screen {
    content: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Screen {
    /// Takes in what is shown until the terminal is gone.
    fn follow(&self, mut from: impl Read) {
        let mut bytes = [0; 4096];
        loop {
            let got = from.read(&mut bytes).unwrap_or(0);
            let mut content = self.content.lock().unwrap();
            content.0.extend(&bytes[..got]);
            content.1 = got == 0;
            self.changed.notify_all();
            if got == 0 {
                return;
            }
        }
    }

    fn text(&self) -> String {
        plain(&self.content.lock().unwrap().0)
    }

    /// Waits until a text comes at or after a place. Gives where it ends.
    fn wait(&self, wanted: &str, from: usize, until: Instant) -> Option<usize> {
        let mut content = self.content.lock().unwrap();
        loop {
            let text = plain(&content.0);
            let rest = text.get(from..).unwrap_or_default();
            if let Some(at) = rest.find(wanted) {
                return Some(from + at + wanted.len());
            }
            let left = until.saturating_duration_since(Instant::now());
            if content.1 || left.is_zero() {
                return None;
            }
            content = self.changed.wait_timeout(content, left).unwrap().0;
        }
    }
}

/// Text without what moves the cursor and sets colours. What an unfinished
/// sequence will be is not known yet, so that the text ends before it.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {}
            '\x1b' => match characters.next() {
                // A control sequence, to its final character.
                Some('[') => while characters.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                Some(']') => while characters.next().is_some_and(|c| c != '\x07') {},
                _ => {}
            },
            other => plain.push(other),
        }
    }
    plain
}

/// What a line of the script asks for.
enum Act<'a> {
    Type(&'a str),
    Wait(&'a str),
    Keys(&'a str),
    Elsewhere(&'a str),
}

fn act(line: &str) -> Result<Act<'_>, String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    Ok(match word {
        "type" => Act::Type(rest),
        "wait" => Act::Wait(rest),
        "key" => Act::Keys(rest),
        "sh" => Act::Elsewhere(rest),
        _ => return Err(format!("nobody at a terminal can `{line}`")),
    })
}

/// `^C` is Control and C.
fn keys(text: &str) -> Vec<u8> {
    match text.strip_prefix('^').and_then(|rest| rest.bytes().next()) {
        Some(letter) => vec![letter & 0x1f],
        None => text.as_bytes().to_vec(),
    }
}

/// Acts out a script in the environment of `like`. Gives what there is to print.
pub fn act_out(script: &str, like: impl Fn(&mut Command), seconds: u64) -> Result<String, String> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut command = Command::new("script");
    command.args(["-qec", "exec bash --norc --noprofile -i", "/dev/null"]);
    like(&mut command);
    let mut child = command
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("script: {error}"))?;
    let screen = Arc::new(Screen::default());
    let shown = child.stdout.take().expect("it is piped");
    let follower = {
        let screen = Arc::clone(&screen);
        std::thread::spawn(move || screen.follow(shown))
    };
    let mut typed = child.stdin.take().expect("it is piped");
    let missed = play(script, &screen, &mut typed, &like, until)?;
    leave(&mut child, typed, missed.is_some());
    let _ = follower.join();
    Ok(match missed {
        Some(line) => format!("{}\n[waited in vain: {line}]\n", screen.text()),
        None => String::new(),
    })
}

/// Gives the line that was waited for in vain.
fn play(
    script: &str,
    screen: &Screen,
    typed: &mut ChildStdin,
    like: &impl Fn(&mut Command),
    until: Instant,
) -> Result<Option<String>, String> {
    let mut seen = 0;
    let start = format!("type {SET_PROMPT}\nwait {PROMPT}");
    let lines = start.lines().chain(script.lines());
    for line in lines.filter(|line| !line.is_empty()) {
        let sent = match act(line)? {
            Act::Type(text) => typed.write_all(format!("{text}\r").as_bytes()),
            Act::Keys(text) => typed.write_all(&keys(text)),
            Act::Wait(text) => match screen.wait(text, seen, until) {
                Some(end) => {
                    seen = end;
                    Ok(())
                }
                None => return Ok(Some(line.to_owned())),
            },
            Act::Elsewhere(text) => {
                let mut command = Command::new("sh");
                command.args(["-c", text]);
                like(&mut command);
                command.status().map(|_| ())
            }
        };
        sent.map_err(|error| format!("{line}: {error}"))?;
    }
    Ok(None)
}

/// Leaves the shell. A session that went wrong may be anywhere.
fn leave(child: &mut Child, mut typed: ChildStdin, kill: bool) {
    if kill {
        let _ = child.kill();
    } else {
        let _ = typed.write_all(b"exit\r");
    }
    let _ = child.wait();
}
