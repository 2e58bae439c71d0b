//! [`Replay`]: a kept image started in a child process, with no link session.
//!
//! The child is forked, not executed anew: it begins with what this process has
//! mapped already, and nothing it does reaches this process. It maps the image,
//! fills in outside addresses, does the steps of the plan and becomes the
//! program. A page shared with the parent says how far it came, so that a child
//! that could not begin costs nothing but another way to start, and one that
//! died in an initialiser is told from one that died in `main`.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};

use super::crash::{Crash, Record};
use super::kept::{ContentRange, KeptImage, KeptRegion};
use super::mapping::PAGE;
use super::process::Fate;
use super::wire::{Reply, Request};
use super::{agent, crash, signals, start};
use crate::Protection;
use crate::arena::Arena;
use crate::host::Outside;

/// How far the child came.
const PREPARING: u32 = 0;
const INITIALISING: u32 = 1;
const RUNNING: u32 = 2;

/// How a replayed program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It never began: the image does not fit this process. Nothing of it ran.
    NotBegun,
    /// An initialiser ended the process.
    BeforeMain(Fate),
    /// The program ended.
    Program(Fate),
}

/// A child process that a kept image was started in. Killed when dropped,
/// unless it has ended before, and when the thread that started it ends.
#[derive(Debug)]
pub struct Replay {
    pid: libc::pid_t,
    stage: *const AtomicU32,
    record: Record,
    ended: bool,
}

/// A kept image, and the file that its pages are mapped from.
#[derive(Debug)]
pub struct Found {
    /// What to do.
    pub image: KeptImage,
    /// Where each region's bytes lie.
    pub ranges: Vec<ContentRange>,
    /// The content.
    pub content: File,
}

impl Replay {
    /// Starts a kept image. The process must have no other thread: the child has
    /// only a copy of the calling one. From then on signals that other processes
    /// send to this one are [passed on](signals::pass_on_to), the first one too:
    /// they are held back until somebody is there to take them.
    pub fn start(found: &Found, arguments: Vec<OsString>) -> io::Result<Replay> {
        let record = Record::new()?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE as usize, access, kind, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stage: *const AtomicU32 = page.cast_const().cast();
        let parent = std::process::id();
        let mask = signals::block_all()?;
        // SAFETY: the caller says that this process has one thread, so the child
        // may do what it likes.
        match unsafe { libc::fork() } {
            -1 => {
                let error = io::Error::last_os_error();
                // SAFETY: made above, and nobody else knows of it.
                unsafe { libc::munmap(page, PAGE as usize) };
                signals::restore(&mask);
                Err(error)
            }
            0 => {
                // SAFETY: mapped above, page-aligned, zero, and never unmapped
                // in the child.
                let stage = unsafe { &*stage };
                let _ = child(found, arguments, parent, &mask, &record.file, stage);
                // SAFETY: ends the child at once; nothing of the parent's is
                // flushed or undone twice.
                unsafe { libc::_exit(127) }
            }
            pid => {
                let replay = Replay {
                    pid,
                    stage,
                    record,
                    ended: false,
                };
                let passed_on = signals::pass_on_to(replay.pid());
                signals::restore(&mask);
                passed_on.map(|()| replay)
            }
        }
    }

    /// The child's process number.
    pub fn pid(&self) -> u32 {
        self.pid.cast_unsigned()
    }

    /// How the child crashed, once it did and if it could write that down.
    pub fn crash(&mut self) -> Option<Crash> {
        self.record.read(self.pid())
    }

    /// Waits for the child to end.
    pub fn wait(&mut self) -> io::Result<Ended> {
        let mut status = 0;
        // SAFETY: waits for our own child; `status` is valid for writes.
        while unsafe { libc::waitpid(self.pid, &raw mut status, 0) } < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        self.ended = true;
        signals::pass_on_no_more();
        let status = ExitStatus::from_raw(status);
        let fate = match status.signal() {
            Some(signal) => Fate::Died(signal),
            None => Fate::Exited(status.code().unwrap_or(127)),
        };
        // SAFETY: mapped until `self` is dropped.
        Ok(match unsafe { &*self.stage }.load(Ordering::Acquire) {
            PREPARING => Ended::NotBegun,
            INITIALISING => Ended::BeforeMain(fate),
            _ => Ended::Program(fate),
        })
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        // SAFETY: the child is ours and was not reaped, so its number is its
        // own; the page was made by `start`, and is not used after this.
        unsafe {
            if !self.ended {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
            libc::munmap(self.stage.cast_mut().cast(), PAGE as usize);
        }
    }
}

/// Everything that the child does. Returns only when the program cannot begin.
fn child(
    found: &Found,
    arguments: Vec<OsString>,
    parent: u32,
    mask: &libc::sigset_t,
    record: &File,
    stage: &AtomicU32,
) -> io::Result<()> {
    // SAFETY: a system call on numbers.
    let killed_with_parent = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: as above.
    if killed_with_parent != 0 || unsafe { libc::getppid() }.cast_unsigned() != parent {
        return Err(io::ErrorKind::NotFound.into());
    }
    start::prepare()?;
    crash::write_down_crashes(record)?;
    signals::restore(mask);
    for (region, range) in found.image.regions.iter().zip(&found.ranges) {
        map(region, *range, &found.content)?;
    }
    let (prepare, initialise): (Vec<&Request>, Vec<&Request>) = (found.image.steps.iter())
        .partition(|step| !matches!(step, Request::Call { .. } | Request::AtExit { .. }));
    let mut arena = Arena::default();
    for step in prepare.iter().filter(|step| opens(step)) {
        does(step, &mut arena)?;
    }
    fill_in(&found.image)?;
    for step in prepare.iter().filter(|step| !opens(step)) {
        does(step, &mut arena)?;
    }
    // From here on code of the image runs.
    stage.store(INITIALISING, Ordering::Release);
    for step in initialise {
        let done = does(step, &mut arena);
        if done.is_err() {
            std::process::exit(127);
        }
    }
    stage.store(RUNNING, Ordering::Release);
    // SAFETY: the page with the stage is the child's to give back: the program
    // has nothing of ours within reach that the parent believes.
    unsafe { libc::munmap(std::ptr::from_ref(stage).cast_mut().cast(), PAGE as usize) };
    let arguments = arguments.into_iter().map(OsStringExt::into_vec).collect();
    start::become_program(found.image.main, arguments)
}

fn opens(step: &Request) -> bool {
    matches!(step, Request::Open { .. })
}

/// Does a step as a worker would.
fn does(step: &Request, arena: &mut Arena) -> io::Result<()> {
    match agent::answer(step.clone(), None, arena)? {
        Reply::NoRoom | Reply::Failed(_) => Err(io::ErrorKind::OutOfMemory.into()),
        _ => Ok(()),
    }
}

/// Maps a region where it was linked: bytes from the file, zeroes after them.
fn map(region: &KeptRegion, range: ContentRange, content: &File) -> io::Result<()> {
    let access = match region.protection {
        Protection::Code => libc::PROT_READ | libc::PROT_EXEC,
        Protection::ReadOnly => libc::PROT_READ,
        Protection::Data => libc::PROT_READ | libc::PROT_WRITE,
    };
    let fixed = libc::MAP_PRIVATE | libc::MAP_FIXED_NOREPLACE;
    let piece = |start: u64, length: u64, flags, fd, offset: u64| {
        if length == 0 {
            return Ok(());
        }
        let at = start as *mut libc::c_void;
        // SAFETY: a mapping that the kernel refuses where it would touch
        // another. The file is sealed in a cache: whoever writes it anew makes a
        // new file.
        let mapped =
            unsafe { libc::mmap(at, length as usize, access, flags, fd, offset.cast_signed()) };
        match mapped {
            libc::MAP_FAILED => Err(io::Error::last_os_error()),
            mapped if mapped != at => Err(io::ErrorKind::AddrInUse.into()),
            _ => Ok(()),
        }
    };
    piece(
        region.start,
        range.length,
        fixed,
        content.as_raw_fd(),
        range.offset,
    )?;
    piece(
        region.start + range.length,
        region.length - range.length,
        fixed | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        -1,
        0,
    )
}

/// Writes outside addresses into the words that hold them.
fn fill_in(image: &KeptImage) -> io::Result<()> {
    let loaded = agent::Loaded::now();
    let address = |name: &str, version: Option<&str>| {
        let c_string = |text: &str| CString::new(text).ok();
        let version = version.map(c_string);
        match version {
            Some(None) => None,
            Some(Some(version)) => agent::resolve(&c_string(name)?, Some(&version), &loaded),
            None => agent::resolve(&c_string(name)?, None, &loaded),
        }
    };
    for name in &image.names {
        let Some(Outside::Address(at)) = address(&name.name, name.version.as_deref()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        for place in &name.places {
            let value = at.get().wrapping_add(place.addend.cast_unsigned());
            // SAFETY: `decode` checked that every place lies in a region of
            // data, and those have just been mapped writable.
            unsafe { (place.at as *mut u64).write_unaligned(value) };
        }
    }
    for (name, version) in &image.absent {
        if address(name, version.as_deref()).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
    }
    Ok(())
}
