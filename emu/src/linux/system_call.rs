//! Performing one system call: looking it up in the table, converting its
//! arguments, and asking the host or one of our own functions.
//!
//! Most calls are the host's own: numbers, flags and structures of 64-bit Linux
//! differ little between architectures. A row of the [table](super::table) then
//! says only what each argument is, and that is all that is needed to hand the
//! call over: addresses are moved into guest memory, paths are looked up where
//! the guest would find them, the rest is passed as it is.

use std::os::fd::RawFd;

use super::abi::Request;
use super::host::{self, Argument, NOT_BEGUN, RESTART};
use super::paths::{self, LastLink};
use super::strace;
use super::table::{self, Kind, Performed, Row};
use super::thread::{Process, Thread};
use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::memory::{GuestMemory, Plain};

/// What came of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The result register gets this.
    Result(Result<u64, Errno>),
    /// A signal came while it slept: the call is made again, or becomes `EINTR`.
    Interrupted,
    /// A signal came first: its handler runs, and then the call is made.
    NotBegun,
    /// All registers were set.
    RegistersSet,
    /// The thread ends with this status.
    ThreadEnds(i32),
}

/// A system call that is being made, for the functions that implement it.
pub struct Call<'a> {
    /// The thread that makes it.
    pub thread: &'a mut Thread,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// Makes a system call for a thread.
pub fn perform(thread: &mut Thread, request: &Request) -> Outcome {
    let row = table::find(request.number);
    let trace = thread.process.options.trace_calls;
    // What the call was asked is written down before it overwrites it.
    let asked = trace.then(|| strace::request(thread, row, request));
    let mut call = Call {
        thread,
        arguments: request.arguments,
    };
    let outcome = match row.map(|row| (row, &row.performed)) {
        Some((row, Performed::ByHost(number))) => finish(call.pass(row, *number)),
        Some((_, Performed::Here(function))) => finish(function(&mut call)),
        Some((_, Performed::Leaving(function))) => function(&mut call),
        Some((row, Performed::Missing)) => call.missing(request.number, row.name),
        None => call.missing(request.number, "unknown"),
    };
    if let Some(asked) = asked {
        strace::outcome(&asked, &outcome);
    }
    outcome
}

fn finish(result: Result<u64, Errno>) -> Outcome {
    match result {
        Err(RESTART) => Outcome::Interrupted,
        Err(NOT_BEGUN) => Outcome::NotBegun,
        result => Outcome::Result(result),
    }
}

impl Call<'_> {
    /// The process.
    pub fn process(&self) -> &Process {
        &self.thread.process
    }

    /// Its memory.
    pub fn memory(&self) -> &GuestMemory {
        &self.thread.process.memory
    }

    /// An argument as an address.
    pub fn address(&self, index: usize) -> GuestAddr {
        GuestAddr(self.arguments[index])
    }

    /// An argument as a C `int`.
    pub fn int(&self, index: usize) -> i32 {
        self.arguments[index] as i32
    }

    /// An argument as it is.
    pub fn value(&self, index: usize) -> Argument<'static> {
        Argument::Value(self.arguments[index])
    }

    /// An argument as an address for the kernel.
    pub fn pointer(&self, index: usize) -> Argument<'static> {
        Argument::Guest(self.memory().host_pointer(self.address(index)))
    }

    /// Writes a value to where an argument points.
    pub fn store<T: Plain>(&self, index: usize, value: &T) -> Result<(), Errno> {
        self.memory().write(self.address(index), value)
    }

    /// Reads a value from where an argument points.
    pub fn load<T: Plain>(&self, index: usize) -> Result<T, Errno> {
        self.memory().read(self.address(index))
    }

    /// Asks the host's kernel; a signal that comes first is [`RESTART`].
    pub fn host<const N: usize>(
        &self,
        number: i64,
        mut arguments: [Argument<'_>; N],
    ) -> Result<u64, Errno> {
        host::call(&self.thread.mailbox, number, &mut arguments)
    }

    /// The path that an argument points to, as the host is to be given it: with
    /// a zero byte at its end. It is relative to what `directory` is open for.
    pub fn path(&self, directory: RawFd, index: usize, last: LastLink) -> Result<Vec<u8>, Errno> {
        let path = self.memory().c_string(self.address(index))?;
        let mut path = paths::to_host(self.process(), directory, path, last);
        path.push(0);
        Ok(path)
    }

    /// What a link at the end of a path means to a call with these arguments.
    fn last_link(&self, row: &Row, kind: Kind) -> LastLink {
        let flags = row.arguments.iter().position(|kind| *kind == Kind::AtFlags);
        let flags = flags.map_or(0, |index| self.int(index));
        match kind == Kind::Link || flags & libc::AT_SYMLINK_NOFOLLOW != 0 {
            true => LastLink::Kept,
            false => LastLink::Followed,
        }
    }

    /// Hands the call to the host as the row says.
    fn pass(&self, row: &Row, number: i64) -> Result<u64, Errno> {
        let mut paths: [Option<Vec<u8>>; 6] = Default::default();
        for (index, kind) in row.arguments.iter().enumerate() {
            if matches!(kind, Kind::Path | Kind::Link) && self.arguments[index] != 0 {
                let last = self.last_link(row, *kind);
                let directory = match index.checked_sub(1).map(|before| row.arguments[before]) {
                    Some(Kind::Fd) => self.int(index - 1),
                    _ => libc::AT_FDCWD,
                };
                paths[index] = Some(self.path(directory, index, last)?);
            }
        }
        let mut arguments: [Argument<'_>; 6] =
            std::array::from_fn(|index| match (&paths[index], row.arguments.get(index)) {
                (Some(path), _) => Argument::In(path),
                (None, Some(kind)) if kind.is_address() => self.pointer(index),
                (None, Some(_)) => self.value(index),
                (None, None) => Argument::Value(0),
            });
        host::call(&self.thread.mailbox, number, &mut arguments)
    }

    /// There is no such call here; said once for each.
    fn missing(&self, number: u64, name: &str) -> Outcome {
        if self.process().is_news(number) && !table::is_probed(number) {
            eprintln!(
                "sapwood emu: system call {number} ({name}) is not implemented; it gives ENOSYS"
            );
        }
        Outcome::Result(Err(Errno::ENOSYS))
    }
}
