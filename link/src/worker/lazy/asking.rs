//! The worker's side of a lazy call: it asks who a symbol is, and does what it is
//! asked to until it is told.
//!
//! Every call has a socket of its own, whose other end it sends to the controller
//! in one packet with its question. So calls on many threads and in forked
//! children do not meet here, no lock is held, and a child that was forked in the
//! middle of another thread's call has nothing half done. The only memory that is
//! kept says which libraries this process has, so that a child can tell.

use std::ffi::c_void;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use super::stubs::{self, Token};
use crate::HostAddr;
use crate::fork::Fork;
use crate::worker::channel::{self, Channel};
use crate::worker::wire::{Question, Reply, Request};
use crate::worker::{agent, signals};

/// The most lazy libraries that a process has.
pub const MOST_LIBRARIES: usize = 1024;

/// Where questions are sent, and which socket that is: a program may close what is
/// not its own, and have another file of the same number.
static CONTROLLER: AtomicI32 = AtomicI32::new(-1);
static SOCKET: AtomicU64 = AtomicU64::new(0);

/// For each library which instance of it this process has; 0 for none.
static LOADED: [AtomicU32; MOST_LIBRARIES] = [const { AtomicU32::new(0) }; MOST_LIBRARIES];

/// Lazy symbols may be called from now on.
pub fn connect(controller: OwnedFd) {
    let controller = controller.into_raw_fd();
    SOCKET.store(socket_of(controller).unwrap_or(0), Ordering::Relaxed);
    CONTROLLER.store(controller, Ordering::Release);
    stubs::answer_with(Box::new(|token, blocked| {
        ask(token, blocked).unwrap_or_else(|why| give_up(&why))
    }));
}

/// A library is part of this process for good.
pub fn note_loaded(library: u64, instance: u64) {
    if let Some(loaded) = LOADED.get(library as usize) {
        loaded.store(instance as u32, Ordering::Release);
    }
}

fn loaded() -> Vec<(u64, u64)> {
    let all = LOADED.iter().enumerate();
    all.map(|(library, instance)| (library as u64, u64::from(instance.load(Ordering::Acquire))))
        .filter(|(_, instance)| *instance != 0)
        .collect()
}

/// Asks which function a token stands for.
fn ask(token: Token, blocked: &libc::sigset_t) -> Result<HostAddr, String> {
    let cannot = |what: &str| format!("a lazy library cannot be loaded: {what}");
    let (ours, theirs) = UnixStream::pair().map_err(|error| cannot(&error.to_string()))?;
    let question = Question {
        token: token.0,
        process: Fork::watch().process(),
        // SAFETY: asks for the calling thread's number.
        thread: u64::from(unsafe { libc::gettid() }.cast_unsigned()),
        loaded: loaded(),
    };
    send(&question.encode(), theirs.as_fd())
        .map_err(|error| cannot(&format!("the controller cannot be asked: {error}")))?;
    drop(theirs);
    serve(&Channel::to_controller(ours), blocked).map_err(|why| match why {
        Ended::GivenUp(why) => why,
        Ended::Gone => cannot("the controller is gone"),
    })
}

fn send(question: &[u8], socket: BorrowedFd<'_>) -> std::io::Result<()> {
    let controller: RawFd = CONTROLLER.load(Ordering::Acquire);
    if socket_of(controller) != Some(SOCKET.load(Ordering::Relaxed)) {
        return Err(std::io::ErrorKind::NotConnected.into());
    }
    // SAFETY: the descriptor is this file's, as was just seen.
    channel::send_packet(
        unsafe { BorrowedFd::borrow_raw(controller) },
        question,
        socket,
    )
}

/// The number of the socket that a descriptor stands for.
fn socket_of(descriptor: RawFd) -> Option<u64> {
    // SAFETY: asks about a descriptor that may not exist; zeroes are a valid
    // answer to be written over.
    unsafe {
        let mut found = std::mem::zeroed::<libc::stat>();
        let known = libc::fstat(descriptor, &raw mut found) == 0;
        (known && found.st_mode & libc::S_IFMT == libc::S_IFSOCK).then_some(found.st_ino)
    }
}

/// Why there is no function.
enum Ended {
    /// What the controller says.
    GivenUp(String),
    /// The controller did not answer.
    Gone,
}

/// Does what the controller asks, until it says where the call goes on.
fn serve(channel: &Channel, blocked: &libc::sigset_t) -> Result<HostAddr, Ended> {
    loop {
        let (frame, file) = channel.receive().map_err(|_| Ended::Gone)?;
        let request = Request::decode(&frame).map_err(|_| Ended::Gone)?;
        let reply = match request {
            Request::GoOn { function } => return Ok(HostAddr(function)),
            Request::GiveUp { why } => return Err(Ended::GivenUp(why)),
            Request::Call { .. } => {
                // Code of the program's: it runs with the signals of its thread.
                signals::restore(blocked);
                let reply = agent::answer(request, file);
                let _ = signals::block_all();
                reply
            }
            other => agent::answer(other, file),
        };
        let reply = reply.unwrap_or_else(|error| Reply::Failed(error.to_string()));
        channel
            .send(&reply.encode(), None)
            .map_err(|_| Ended::Gone)?;
    }
}

/// Ends the process: the program has called what is not there. As the dynamic
/// linker does, with no function of the program's called.
pub(super) fn give_up(why: &str) -> ! {
    let text = format!("error: {why}\n");
    let mut rest = text.as_bytes();
    // SAFETY: a system call on bytes of ours; then the process ends.
    unsafe {
        while !rest.is_empty() {
            let written = libc::write(2, rest.as_ptr().cast::<c_void>(), rest.len());
            match usize::try_from(written) {
                Ok(written) if written > 0 => rest = &rest[written..],
                _ => break,
            }
        }
        libc::_exit(127)
    }
}
