//! `--strace`: each system call as one line on standard error.

use std::fmt::Write;

use super::abi::Request;
use super::host;
use super::signal::{self, SigInfo};
use super::system_call::Outcome;
use super::table::{Kind, Row};
use super::thread::Thread;
use crate::addr::GuestAddr;

/// Strings and data are shown up to this many bytes.
const SHOWN: usize = 64;

/// A system call and its arguments, as they are before it is made.
pub fn request(thread: &Thread, row: Option<&Row>, request: &Request) -> String {
    let mut text = format!("{} ", host::thread_id());
    let Some(row) = row else {
        let _ = write!(text, "unknown_{}()", request.number);
        return text;
    };
    text.push_str(row.name);
    text.push('(');
    for (index, kind) in row.arguments.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        argument(&mut text, thread, *kind, index, &request.arguments);
    }
    text.push(')');
    text
}

fn argument(text: &mut String, thread: &Thread, kind: Kind, index: usize, all: &[u64; 6]) {
    let value = all[index];
    let _ = match kind {
        Kind::Fd if value as i32 == libc::AT_FDCWD => write!(text, "AT_FDCWD"),
        Kind::Int | Kind::Fd => write!(text, "{}", value as i32),
        Kind::Size => write!(text, "{}", value as i64),
        Kind::Octal => write!(text, "0{:o}", value as u32),
        Kind::Hex | Kind::AtFlags | Kind::Pointer if value < 10 => write!(text, "{value}"),
        Kind::Hex | Kind::AtFlags | Kind::Pointer => write!(text, "{value:#x}"),
        Kind::Path | Kind::Link | Kind::Text => {
            match thread
                .process
                .memory
                .c_string_within(GuestAddr(value), 4096)
            {
                Ok(string) => quoted(text, &string.unwrap_or_default()),
                Err(_) => write!(text, "{value:#x}"),
            }
        }
        Kind::Data => {
            let length = all
                .get(index + 1)
                .copied()
                .unwrap_or(0)
                .min(SHOWN as u64 + 1);
            match thread
                .process
                .memory
                .read_bytes(GuestAddr(value), length as usize)
            {
                Ok(bytes) => quoted(text, &bytes),
                Err(_) => write!(text, "{value:#x}"),
            }
        }
    };
}

fn quoted(text: &mut String, bytes: &[u8]) -> std::fmt::Result {
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let more = if shown.len() < bytes.len() { "..." } else { "" };
    write!(text, "\"{}\"{more}", shown.escape_ascii())
}

/// Prints a call with what came of it.
pub fn outcome(asked: &str, outcome: &Outcome) {
    match outcome {
        Outcome::Result(Ok(value)) if *value < 1 << 16 => eprintln!("{asked} = {value}"),
        Outcome::Result(Ok(value)) => eprintln!("{asked} = {value:#x}"),
        Outcome::Result(Err(error)) => eprintln!("{asked} = -1 {error:?} ({error})"),
        Outcome::Interrupted => eprintln!("{asked} = ? (interrupted)"),
        Outcome::RegistersSet | Outcome::ThreadEnds(_) => eprintln!("{asked} = ?"),
    }
}

/// Prints a signal as it is delivered: who sent it, or where the fault was.
pub fn signal(thread: &Thread, info: &SigInfo) {
    let name = signal::name(info.signal);
    let from = match info.was_sent() {
        true => format!("si_pid={}", info.sender()),
        false => format!("si_addr={}", info.address()),
    };
    eprintln!(
        "{} --- {name} {{si_code={}, {from}}} at pc {} ---",
        host::thread_id(),
        info.code,
        thread.state.pc
    );
}
