//! Memory as bytes: `find` in it, `dump` it to a file, `append` it to one and
//! `restore` it from one.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::examine::symbol_text;
use super::values::address_of;
use super::{Debugger, Events};
use crate::command::{Dump, DumpWhat, Find, Restore};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::expr::Evaluator;
use crate::target::Address;
use crate::value::print::is_signed;
use crate::value::{self, Number, Type, Value};

/// What is read of the program at once, in bytes.
const CHUNK: usize = 1 << 20;

impl Debugger {
    /// `find`.
    pub(super) fn find(&mut self, find: &Find, events: Events<'_>) -> Result<()> {
        let whole = [&find.start, &find.end].into_iter().chain(&find.pattern);
        let whole: Vec<&str> = whole.map(String::as_str).collect();
        let found = self.evaluate(&whole.join(","), events, |evaluator| {
            search(find, evaluator)
        })?;
        let Some(Found { all, unread }) = found else {
            return Ok(());
        };
        let mut text = String::new();
        for at in &all {
            let symbol = symbol_text(self.data_symbol(*at).as_ref());
            text += &format!("{:#x}{symbol}\n", at.0);
        }
        if let Some((at, length)) = unread {
            events(Event::Warning(format!(
                "Unable to access {length} bytes of target memory at {:#x}, halting search.",
                at.0
            )));
        }
        text += &match all.len() {
            0 => "Pattern not found.\n".to_owned(),
            1 => "1 pattern found.\n".to_owned(),
            n => format!("{n} patterns found.\n"),
        };
        events(Event::Text(text));
        let count = Value::integer(Type::Number(Number::INT), all.len() as i128, 4);
        self.set_own_variable("numfound", count);
        if let Some(last) = all.last() {
            let pointer = Value::computed(Type::Void.pointer(), last.0.to_le_bytes());
            self.set_own_variable("_", pointer);
        }
        Ok(())
    }

    /// `dump` and `append`.
    pub(super) fn dump(&mut self, dump: &Dump, events: Events<'_>) -> Result<()> {
        let bytes = match &dump.what {
            DumpWhat::Memory(start, end) => {
                let (start, end) = (self.evaluate_address(start)?, self.evaluate_address(end)?);
                if start >= end {
                    return Err(Error::new("Invalid memory address range (start >= end)."));
                }
                // The file's length is asked for before all of it is there.
                Some(Wanted::Memory(start, end.0 - start.0))
            }
            DumpWhat::Value(text) => self
                .evaluate(text, events, |evaluator| {
                    let value = evaluator.evaluate_text(text)?;
                    evaluator.reader.bytes(&value)
                })?
                .map(|bytes| Wanted::Bytes(bytes.to_vec())),
        };
        let Some(wanted) = bytes else {
            return Ok(());
        };
        let first = match &wanted {
            Wanted::Bytes(bytes) => bytes.clone(),
            // What cannot be read leaves the file as it is.
            Wanted::Memory(start, length) => self.bytes_at(*start, CHUNK.min(*length as usize))?,
        };
        let path = Path::new(&dump.file);
        let failed = |error| cannot(path, &error);
        let mut options = OpenOptions::new();
        options.create(true);
        let options = match dump.append {
            true => options.append(true),
            false => options.write(true).truncate(true),
        };
        let mut file = options.open(path).map_err(failed)?;
        file.write_all(&first).map_err(failed)?;
        if let Wanted::Memory(start, length) = wanted {
            let mut done = first.len() as u64;
            while done < length {
                let part = CHUNK.min((length - done) as usize);
                let bytes = self.bytes_at(start.add(done), part)?;
                file.write_all(&bytes).map_err(failed)?;
                done += part as u64;
            }
        }
        Ok(())
    }

    fn bytes_at(&mut self, at: Address, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.evaluate("", &mut |_| {}, |evaluator| {
            evaluator
                .reader
                .source
                .read(at, &mut bytes)
                .map_err(Into::into)
        })?;
        Ok(bytes)
    }

    /// `restore`.
    pub(super) fn restore(&mut self, restore: &Restore, events: Events<'_>) -> Result<()> {
        let path = Path::new(&restore.file);
        let bytes = fs::read(path).map_err(|error| cannot(path, &error))?;
        let mut numbers = [0, 0, bytes.len() as u64];
        for (number, text) in numbers.iter_mut().zip(&restore.numbers) {
            *number = self.evaluate_address(text)?.0;
        }
        let [offset, start, end] = numbers;
        if start >= end {
            return Err(Error::new("Start must be less than end."));
        }
        if end > bytes.len() as u64 {
            let length = bytes.len();
            let file = path.display();
            return Err(Error::new(format!("{file} has {length} bytes, not {end}.")));
        }
        let part = &bytes[start as usize..end as usize];
        let at = Address(offset.wrapping_add(start));
        let after = at.add(part.len() as u64);
        events(Event::Text(format!(
            "Restoring binary file {} into memory ({:#x} to {:#x})\n",
            path.display(),
            at.0,
            after.0
        )));
        self.live()?.write(at, part)?;
        self.stack = None;
        Ok(())
    }
}

/// What goes to a file.
enum Wanted {
    Bytes(Vec<u8>),
    /// From an address, so many bytes.
    Memory(Address, u64),
}

fn cannot(path: &Path, error: &std::io::Error) -> Error {
    // Without the number behind it.
    let why = error.to_string();
    let why = why.split(" (os error").next().unwrap_or(&why);
    Error::new(format!("Failed to open {}: {why}.", path.display()))
}

struct Found {
    all: Vec<Address>,
    /// Where memory ended before the search did, and what was left of it.
    unread: Option<(Address, u64)>,
}

fn search(find: &Find, evaluator: &mut Evaluator<'_>) -> Result<Found, value::Error> {
    let start = evaluator.evaluate_text(&find.start)?;
    let start = address_of(evaluator, &start)?;
    let length = match find.end.strip_prefix('+') {
        Some(length) => {
            let length = evaluator.evaluate_text(length)?;
            address_of(evaluator, &length)?.0
        }
        None => {
            let last = evaluator.evaluate_text(&find.end)?;
            let last = address_of(evaluator, &last)?;
            if last < start {
                return Err(value::Error::new(
                    "Invalid search space, end precedes start.",
                ));
            }
            (last.0 - start.0).saturating_add(1)
        }
    };
    if length == 0 {
        return Err(value::Error::new("Empty search range."));
    }
    let mut pattern = Vec::new();
    for text in &find.pattern {
        let value = evaluator.evaluate_text(text)?;
        let mut bytes = evaluator.reader.bytes(&value)?.to_vec();
        if let Some(size) = find.size {
            let signed = is_signed(&value.ty, evaluator.reader.modules)?;
            let negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
            bytes.resize(usize::from(size), if negative { 0xff } else { 0 });
        }
        pattern.extend(bytes);
    }
    if pattern.is_empty() {
        return Err(value::Error::new("Empty search pattern."));
    }
    let most = find.most.unwrap_or(usize::MAX);
    let mut found = Found {
        all: Vec::new(),
        unread: None,
    };
    // What was read and may still hold a beginning of the pattern, and its place.
    let (mut kept, mut at): (Vec<u8>, u64) = (Vec::new(), 0);
    let mut read = 0;
    while read < length && found.all.len() < most {
        let part = CHUNK.min((length - read) as usize);
        let old = kept.len();
        kept.resize(old + part, 0);
        let here = start.add(read);
        let Some(part) = read_some(evaluator, here, &mut kept[old..]) else {
            found.unread = Some((here, length - read));
            break;
        };
        kept.truncate(old + part);
        read += part as u64;
        let matches = kept.windows(pattern.len()).enumerate();
        let matches = matches.filter(|(_, window)| *window == pattern);
        let rest = most - found.all.len();
        let places = matches.map(|(place, _)| start.add(at + place as u64));
        found.all.extend(places.take(rest));
        let done = (kept.len() + 1).saturating_sub(pattern.len());
        kept.drain(..done);
        at += done as u64;
    }
    Ok(found)
}

/// Reads up to so many bytes, and at least what is there of the first page; gives
/// how many.
fn read_some(evaluator: &mut Evaluator<'_>, at: Address, into: &mut [u8]) -> Option<usize> {
    const PAGE: u64 = 4096;
    let source = &mut evaluator.reader.source;
    if source.read(at, into).is_ok() {
        return Some(into.len());
    }
    let mut done = 0;
    while done < into.len() {
        let here = at.add(done as u64);
        let page = (PAGE - here.0 % PAGE) as usize;
        let part = page.min(into.len() - done);
        if source.read(here, &mut into[done..done + part]).is_err() {
            break;
        }
        done += part;
    }
    (done > 0).then_some(done)
}
