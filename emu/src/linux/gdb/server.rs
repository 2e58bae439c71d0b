//! The server: takes gdb's packets, one connection, on a thread of its own.
//!
//! Answers come from what parked threads left and from guest memory; a packet
//! that lets the program go on has no answer here: the thread that stops next
//! gives it.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;

use super::files::OpenFiles;
use super::packet::{self, Incoming, LONGEST, hex, number, unhex};
use super::{Debugged, Phase, Resume, Stop, stop_reply};
use crate::addr::GuestAddr;
use crate::linux::abi::Feature;
use crate::linux::host;
use crate::linux::signal::SignalSet;

/// Waits for gdb at `address`, `HOST:PORT` or the path of a socket, and serves
/// it from then on. Returns once it has come.
pub fn listen(address: &str, debugged: Debugged) -> io::Result<()> {
    let (input, output): (Box<dyn Read + Send>, Box<dyn io::Write + Send>) =
        if address.contains('/') {
            let (stream, _) = UnixListener::bind(address)?.accept()?;
            // Nobody else can come.
            let _ = std::fs::remove_file(address);
            (Box::new(stream.try_clone()?), Box::new(stream))
        } else {
            let address = match address.strip_prefix(':') {
                Some(port) => format!("127.0.0.1:{port}"),
                None => address.to_owned(),
            };
            let (stream, _) = TcpListener::bind(address)?.accept()?;
            stream.set_nodelay(true)?;
            (Box::new(stream.try_clone()?), Box::new(stream))
        };
    *debugged.stub.out() = Some(output);
    let server = Server {
        debugged,
        input: BufReader::new(input),
        files: OpenFiles::default(),
        acknowledges: true,
        thread: 0,
        description: String::new(),
    };
    // It takes no signals: they are the guest's.
    let mask = host::block_all();
    let started = std::thread::Builder::new()
        .name("gdb".into())
        .spawn(move || server.serve());
    host::set_mask(mask);
    started.map(drop)
}

struct Server {
    debugged: Debugged,
    input: BufReader<Box<dyn Read + Send>>,
    files: OpenFiles,
    /// Until both agree not to.
    acknowledges: bool,
    /// The thread that register packets are about; 0 for the focus.
    thread: i32,
    /// The target description, once it was asked for.
    description: String,
}

/// What to do after a packet.
enum Answer {
    Text(Vec<u8>),
    /// The next stop is the answer.
    Later,
    /// The connection ends after this one.
    Last(Vec<u8>),
}

fn text(answer: impl Into<String>) -> Answer {
    Answer::Text(answer.into().into_bytes())
}

fn okay() -> Answer {
    text("OK")
}

/// An error's number means nothing to gdb.
fn error() -> Answer {
    text("E01")
}

fn unknown() -> Answer {
    text("")
}

impl Server {
    fn serve(mut self) {
        loop {
            match packet::read(&mut self.input) {
                Ok(Incoming::Interrupt) => self.debugged.stub.interrupt(),
                Ok(Incoming::Packet(_, false)) if self.acknowledges => self.raw(b"-"),
                Ok(Incoming::Packet(payload, _)) => {
                    if self.acknowledges {
                        self.raw(b"+");
                    }
                    match self.answer(&payload) {
                        Answer::Text(answer) => drop(self.debugged.stub.send(&answer)),
                        Answer::Later => {}
                        Answer::Last(answer) => {
                            let _ = self.debugged.stub.send(&answer);
                            break;
                        }
                    }
                }
                Err(_) => break,
            }
        }
        // The program goes on without.
        self.detach();
    }

    fn raw(&self, bytes: &[u8]) {
        if let Some(out) = &mut *self.debugged.stub.out() {
            let _ = out.write_all(bytes);
        }
    }

    fn detach(&self) {
        let engine = &self.debugged.process.engine;
        engine.clear_breakpoints();
        self.debugged.stub.world().is_detached = true;
        self.debugged.stub.changed.notify_all();
    }

    fn answer(&mut self, payload: &[u8]) -> Answer {
        let Some((&kind, rest)) = payload.split_first() else {
            return unknown();
        };
        match kind {
            b'?' => text(stop_reply(self.focus(), Stop::Start)),
            b'g' => self.read_registers(),
            b'G' => self.write_registers(0, rest),
            b'p' => self.read_register(rest),
            b'P' => self.write_register(rest),
            b'm' => self.read_memory(rest),
            b'M' => self.write_memory(rest, true),
            b'X' => self.write_memory(rest, false),
            b'H' => self.set_thread(rest),
            b'T' => self.is_alive(rest),
            b'Z' | b'z' => self.breakpoint(kind == b'Z', rest),
            b'c' => self.resume_all(Resume::Continue, None),
            b's' => self.resume_all(Resume::Step, None),
            b'C' | b'S' => {
                let signal = rest.get(..2).and_then(number).and_then(signal_of);
                let how = match kind {
                    b'C' => Resume::Continue,
                    _ => Resume::Step,
                };
                self.resume_all(how, signal)
            }
            b'D' => Answer::Last(b"OK".to_vec()),
            b'k' => host::die_of(libc::SIGKILL),
            b'q' | b'Q' => self.query(payload),
            b'v' => self.long_packet(payload),
            _ => unknown(),
        }
    }

    fn focus(&self) -> i32 {
        match self.thread {
            0 => self.debugged.stub.world().focus,
            thread => thread,
        }
    }

    fn read_registers(&self) -> Answer {
        let world = self.debugged.stub.world();
        let focus = if self.thread == 0 {
            world.focus
        } else {
            self.thread
        };
        match world.threads.get(&focus) {
            Some(slot) => text(hex(&slot.registers)),
            None => error(),
        }
    }

    /// Writes registers from an offset in their table on.
    fn write_registers(&self, at: usize, digits: &[u8]) -> Answer {
        let focus = self.focus();
        let mut world = self.debugged.stub.world();
        let (Some(bytes), Some(slot)) = (unhex(digits), world.threads.get_mut(&focus)) else {
            return error();
        };
        // What a thread in a system call has, that will set.
        let Some(place) = slot.registers.get_mut(at..at + bytes.len()) else {
            return error();
        };
        if slot.phase != Phase::Parked {
            return error();
        }
        place.copy_from_slice(&bytes);
        slot.is_written = true;
        okay()
    }

    /// Where a register is in the table.
    fn register(&self, digits: &[u8]) -> Option<std::ops::Range<usize>> {
        let wanted = number(digits)? as usize;
        let features = self.debugged.process.abi.register_table();
        let mut registers = features.iter().flat_map(|feature| &feature.registers);
        let before: usize = registers
            .by_ref()
            .take(wanted)
            .map(|register| register.bytes)
            .sum();
        let length = registers.next()?.bytes;
        Some(before..before + length)
    }

    fn read_register(&self, digits: &[u8]) -> Answer {
        let focus = self.focus();
        let world = self.debugged.stub.world();
        let slot = world.threads.get(&focus);
        let bytes = self
            .register(digits)
            .and_then(|place| slot?.registers.get(place));
        bytes.map_or_else(error, |bytes| text(hex(bytes)))
    }

    fn write_register(&self, rest: &[u8]) -> Answer {
        let split = rest.iter().position(|&byte| byte == b'=');
        let Some((name, value)) = split.map(|at| (&rest[..at], &rest[at + 1..])) else {
            return error();
        };
        match self.register(name) {
            Some(place) if value.len() == 2 * place.len() => {
                self.write_registers(place.start, value)
            }
            _ => error(),
        }
    }

    fn read_memory(&self, rest: &[u8]) -> Answer {
        let Some((at, length)) = pair(rest) else {
            return error();
        };
        let mut bytes = vec![0; (length as usize).min(LONGEST / 2)];
        match self
            .debugged
            .process
            .memory
            .read_some(GuestAddr(at), &mut bytes)
        {
            Ok(got) => text(hex(&bytes[..got])),
            Err(_) => error(),
        }
    }

    /// Debuggers write where programs may not: through `/proc`, which asks for
    /// no permission of the page's.
    fn write_memory(&self, rest: &[u8], is_hex: bool) -> Answer {
        let Some(split) = rest.iter().position(|&byte| byte == b':') else {
            return error();
        };
        let data = &rest[split + 1..];
        let data = if is_hex {
            unhex(data)
        } else {
            Some(data.to_vec())
        };
        let (Some((at, length)), Some(data)) = (pair(&rest[..split]), data) else {
            return error();
        };
        if data.len() as u64 != length {
            return error();
        }
        if data.is_empty() {
            return okay();
        }
        let process = &self.debugged.process;
        let written = process
            .memory
            .host_range(GuestAddr(at), length)
            .is_ok_and(|host| {
                let memory = OpenOptions::new().write(true).open("/proc/self/mem");
                memory.is_ok_and(|memory| memory.write_all_at(&data, host).is_ok())
            });
        if !written {
            return error();
        }
        process
            .engine
            .invalidate(GuestAddr(at)..GuestAddr(at + length));
        okay()
    }

    fn set_thread(&mut self, rest: &[u8]) -> Answer {
        let thread = match rest.get(1..) {
            None | Some(b"0" | b"-1") => 0,
            Some(digits) => match number(digits) {
                Some(thread) => thread as i32,
                None => return error(),
            },
        };
        if rest[0] == b'g' {
            self.thread = thread;
        }
        okay()
    }

    fn is_alive(&self, digits: &[u8]) -> Answer {
        let thread = number(digits).map(|thread| thread as i32);
        let world = self.debugged.stub.world();
        match thread.is_some_and(|thread| world.threads.contains_key(&thread)) {
            true => okay(),
            false => error(),
        }
    }

    /// `Z0,ADDRESS,KIND`: the engine has breakpoints of one kind.
    fn breakpoint(&self, sets: bool, rest: &[u8]) -> Answer {
        let mut fields = rest.split(|&byte| byte == b',' || byte == b';');
        if !matches!(fields.next(), Some(b"0" | b"1")) {
            return unknown();
        }
        let Some(at) = fields.next().and_then(number) else {
            return error();
        };
        self.debugged
            .process
            .engine
            .set_breakpoint(GuestAddr(at), sets);
        okay()
    }

    fn resume_all(&mut self, how: Resume, signal: Option<i32>) -> Answer {
        let focus = self.focus();
        self.resume(|thread| match (how, thread == focus) {
            (Resume::Step, true) => Some((Resume::Step, signal)),
            (_, is_focus) => Some((Resume::Continue, signal.filter(|_| is_focus))),
        })
    }

    /// Lets the world go on; threads for which there is nothing stay.
    fn resume(&mut self, wanted: impl Fn(i32) -> Option<(Resume, Option<i32>)>) -> Answer {
        // What is asked next is about the thread that stops next.
        self.thread = 0;
        let stub = self.debugged.stub.clone();
        let mut world = stub.world();
        for (&thread, slot) in &mut world.threads {
            let (resume, signal) = wanted(thread).unwrap_or((Resume::Stay, None));
            slot.resume = resume;
            slot.signal = signal;
        }
        world.is_stopped = false;
        stub.changed.notify_all();
        Answer::Later
    }

    fn long_packet(&mut self, payload: &[u8]) -> Answer {
        if let Some(request) = payload.strip_prefix(b"vFile:") {
            let process = self.debugged.process.clone();
            return Answer::Text(self.files.answer(&process, request));
        }
        match payload {
            b"vCont?" => text("vCont;c;C;s;S"),
            _ if payload.starts_with(b"vKill") => host::die_of(libc::SIGKILL),
            _ => match payload.strip_prefix(b"vCont;") {
                Some(actions) => self.resume_each(actions),
                None => unknown(),
            },
        }
    }

    /// `ACTION[:THREAD];…`; the first that names a thread is its own.
    fn resume_each(&mut self, actions: &[u8]) -> Answer {
        let mut wanted: Vec<(Option<i32>, Resume, Option<i32>)> = Vec::new();
        for action in actions.split(|&byte| byte == b';') {
            let mut parts = action.splitn(2, |&byte| byte == b':');
            let what = parts.next().unwrap_or_default();
            let thread = match parts.next() {
                None | Some(b"-1") => None,
                Some(digits) => number(digits).map(|thread| thread as i32),
            };
            let signal = what.get(1..3).and_then(number).and_then(signal_of);
            let resume = match what.first() {
                Some(b'c' | b'C') => Resume::Continue,
                Some(b's' | b'S') => Resume::Step,
                _ => return error(),
            };
            wanted.push((thread, resume, signal));
        }
        self.resume(|thread| {
            let mut wanted = wanted.iter();
            let found = wanted.find(|(one, ..)| one.is_none_or(|one| one == thread))?;
            Some((found.1, found.2))
        })
    }

    fn query(&mut self, payload: &[u8]) -> Answer {
        let text_of = String::from_utf8_lossy(payload);
        let (name, rest) = match text_of.split_once(':') {
            Some((name, rest)) => (name, rest),
            None => (&*text_of, ""),
        };
        match name {
            "qSupported" => text(format!(
                "PacketSize={LONGEST:x};QStartNoAckMode+;vContSupported+;QPassSignals+;\
                     swbreak+;qXfer:features:read+;qXfer:auxv:read+;qXfer:exec-file:read+;\
                     qXfer:threads:read+"
            )),
            "QStartNoAckMode" => {
                self.acknowledges = false;
                okay()
            }
            "QPassSignals" => {
                let numbers = rest
                    .split(';')
                    .filter_map(|digits| number(digits.as_bytes()));
                let signals: Vec<i32> = numbers.filter_map(signal_of).collect();
                self.debugged.stub.world().passed = SignalSet::of(&signals);
                okay()
            }
            "qAttached" => text("0"),
            "qC" => text(format!("QC{:x}", self.focus())),
            "qSymbol" => okay(),
            "qXfer" => self.transfer(rest),
            "qfThreadInfo" => {
                let world = self.debugged.stub.world();
                let threads = world.threads.keys();
                let list: Vec<String> = threads.map(|thread| format!("{thread:x}")).collect();
                text(format!("m{}", list.join(",")))
            }
            "qsThreadInfo" => text("l"),
            _ => match name.strip_prefix("qThreadExtraInfo,") {
                Some(digits) => self.thread_name(digits),
                None => unknown(),
            },
        }
    }

    fn thread_name(&self, digits: &str) -> Answer {
        let thread = number(digits.as_bytes()).unwrap_or(0);
        let name = std::fs::read_to_string(format!("/proc/self/task/{thread}/comm"));
        text(hex(name.unwrap_or_default().trim_end().as_bytes()))
    }

    /// `OBJECT:read:ANNEX:OFFSET,LENGTH`
    fn transfer(&mut self, rest: &str) -> Answer {
        let parts: Vec<&str> = rest.splitn(4, ':').collect();
        let [object, "read", annex, span] = parts[..] else {
            return unknown();
        };
        let process = self.debugged.process.clone();
        let threads;
        let whole: &[u8] = match (object, annex) {
            ("features", "target.xml") => {
                if self.description.is_empty() {
                    let name = process.abi.debugger_name();
                    self.description = describe(name, &process.abi.register_table());
                }
                self.description.as_bytes()
            }
            ("auxv", _) => &process.auxiliary_vector,
            ("exec-file", _) => {
                let path = process.executable.as_os_str();
                threads = process
                    .options
                    .files
                    .to_guest(std::os::unix::ffi::OsStrExt::as_bytes(path));
                &threads
            }
            ("threads", _) => {
                let world = self.debugged.stub.world();
                let list = world.threads.keys();
                let list: String = list
                    .map(|thread| format!("<thread id=\"{thread:x}\"/>"))
                    .collect();
                threads = format!("<?xml version=\"1.0\"?><threads>{list}</threads>").into_bytes();
                &threads
            }
            _ => return unknown(),
        };
        let Some((offset, length)) = pair(span.as_bytes()) else {
            return error();
        };
        let start = (offset as usize).min(whole.len());
        // A payload may double when it is escaped.
        let end = (start + (length as usize).min(LONGEST / 2 - 32)).min(whole.len());
        let more = if end < whole.len() { b'm' } else { b'l' };
        Answer::Text([&[more], &whole[start..end]].concat())
    }
}

fn signal_of(number: u64) -> Option<i32> {
    packet::from_gdb_signal(number as u8)
}

/// Two hexadecimal numbers with a comma between.
fn pair(text: &[u8]) -> Option<(u64, u64)> {
    let split = text.iter().position(|&byte| byte == b',')?;
    Some((number(&text[..split])?, number(&text[split + 1..])?))
}

/// The target description that gdb reads, in XML.
fn describe(architecture: &str, features: &[Feature]) -> String {
    let mut xml = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">\
         <target version=\"1.0\"><architecture>{architecture}</architecture>\
         <osabi>GNU/Linux</osabi>"
    );
    for feature in features {
        let _ = write!(xml, "<feature name=\"{}\">{}", feature.name, feature.types);
        for register in &feature.registers {
            let _ = write!(
                xml,
                "<reg name=\"{}\" bitsize=\"{}\" type=\"{}\"/>",
                register.name,
                register.bytes * 8,
                register.kind
            );
        }
        xml.push_str("</feature>");
    }
    xml + "</target>"
}
