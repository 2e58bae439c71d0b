//! [`become_kept`]: a kept image started in this process, with no link session.
//!
//! No process is made for it: this one maps the image, fills in outside addresses,
//! does the steps of the plan and becomes the program. That is irrevocable at once,
//! so a process that finds on the way that the image does not fit has to be
//! executed anew.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;

use super::kept::{ContentRange, KeptImage, KeptRegion};
use super::wire::{Reply, Request};
use super::{agent, crash, report, start};
use crate::Protection;
use crate::host::Outside;

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

/// Makes this process, which must have no other thread, a kept program. When that
/// crashes, `reporter` is the command line with which this executable is started
/// to report it; see [`Crash::to_report`](crate::worker::Crash::to_report).
///
/// Returns only when the image does not fit this process. Nothing of the program
/// has run then, but this process is not what it was.
pub fn become_kept(found: Found, arguments: Vec<OsString>, reporter: Vec<OsString>) -> io::Error {
    match prepare(&found, reporter) {
        Err(error) => error,
        Ok(()) => {
            let Found { image, content, .. } = found;
            // The program finds no descriptor of ours.
            drop(content);
            run(image, arguments)
        }
    }
}

/// All that runs no code of the image.
fn prepare(found: &Found, reporter: Vec<OsString>) -> io::Result<()> {
    start::prepare()?;
    report::report_by(reporter)?;
    crash::report_crashes()?;
    for (region, range) in found.image.regions.iter().zip(&found.ranges) {
        map(region, *range, &found.content)?;
    }
    let steps = || found.image.steps.iter().filter(|step| !initialises(step));
    for step in steps().filter(|step| opens(step)) {
        does(step)?;
    }
    fill_in(&found.image)?;
    for step in steps().filter(|step| !opens(step)) {
        does(step)?;
    }
    Ok(())
}

/// Runs the program.
fn run(image: KeptImage, arguments: Vec<OsString>) -> ! {
    for step in image.steps.iter().filter(|step| initialises(step)) {
        if does(step).is_err() {
            std::process::exit(127);
        }
    }
    crash::main_is_called();
    let arguments = arguments.into_iter().map(OsStringExt::into_vec).collect();
    start::become_program(image.main, arguments)
}

fn initialises(step: &Request) -> bool {
    matches!(step, Request::Call { .. } | Request::AtExit { .. })
}

fn opens(step: &Request) -> bool {
    matches!(step, Request::Open { .. })
}

/// Does a step as a worker would.
fn does(step: &Request) -> io::Result<()> {
    match agent::answer(step.clone(), None)? {
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
