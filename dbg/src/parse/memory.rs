//! The arguments of `find`, `dump`, `append` and `restore`.

use super::{Result, split_word, wrong};
use crate::command::{Command, Dump, DumpWhat, Find, Restore};
use crate::value::printf::split_at_commas;

/// `[/SIZE MOST] START, END or +LENGTH, VALUE…`
pub(super) fn find(rest: &str) -> Result<Command> {
    let (flags, rest) = match rest.strip_prefix('/') {
        Some(rest) => split_word(rest),
        None => ("", rest),
    };
    let (mut size, mut digits) = (None, String::new());
    for flag in flags.chars() {
        match flag {
            'b' => size = Some(1),
            'h' => size = Some(2),
            'w' => size = Some(4),
            'g' => size = Some(8),
            '0'..='9' => digits.push(flag),
            _ => return wrong("Invalid size granularity."),
        }
    }
    let most = match digits.parse() {
        Ok(0) => return wrong("Count must be positive."),
        Ok(most) => Some(most),
        Err(_) => None,
    };
    if rest.is_empty() {
        return wrong("Missing search parameters.");
    }
    let mut parts = split_at_commas(rest).into_iter();
    let (Some(start), Some(end)) = (parts.next(), parts.next()) else {
        return wrong("Argument required (where the search ends).");
    };
    let pattern: Vec<String> = parts.collect();
    if pattern.is_empty() || pattern.iter().any(String::is_empty) {
        return wrong("Missing search pattern.");
    }
    Ok(Command::Find(Find {
        size,
        most,
        start,
        end,
        pattern,
    }))
}

/// `[binary] memory FILE START END` or `[binary] value FILE EXPR`.
pub(super) fn dump(rest: &str, append: bool) -> Result<Command> {
    let (mut what, mut rest) = split_word(rest);
    if what == "binary" {
        (what, rest) = split_word(rest);
    }
    if !matches!(what, "memory" | "value") {
        return wrong(match what {
            "ihex" | "srec" | "tekhex" | "verilog" => {
                format!("There is no {what} here, only binary.")
            }
            _ => "Argument required (memory FILE START END, or value FILE EXPRESSION).".to_owned(),
        });
    }
    let (file, rest) = split_word(rest);
    if file.is_empty() {
        return wrong("Missing filename.");
    }
    let what = if what == "value" {
        if rest.is_empty() {
            return wrong("No value to dump.");
        }
        DumpWhat::Value(rest.to_owned())
    } else {
        let (start, end) = split_word(rest);
        if start.is_empty() {
            return wrong("Missing start address.");
        }
        if end.is_empty() {
            return wrong("Missing stop address.");
        }
        DumpWhat::Memory(start.to_owned(), end.to_owned())
    };
    Ok(Command::Dump(Dump {
        file: file.to_owned(),
        append,
        what,
    }))
}

/// `FILE binary OFFSET [START [END]]`.
pub(super) fn restore(rest: &str) -> Result<Command> {
    let (file, rest) = split_word(rest);
    if file.is_empty() {
        return wrong("Missing filename.");
    }
    let (kind, rest) = split_word(rest);
    if kind != "binary" {
        return wrong(format!(
            "restore {file} binary OFFSET: only bytes are restored."
        ));
    }
    let numbers: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
    if numbers.is_empty() {
        return wrong("Argument required (the address to restore at).");
    }
    if numbers.len() > 3 {
        return wrong("Too many arguments: FILE binary OFFSET [START [END]].");
    }
    Ok(Command::Restore(Restore {
        file: file.to_owned(),
        numbers,
    }))
}
