//! A worker's image as `perf` sees it: a jitdump file that the worker has mapped,
//! because `perf record` learns of the file from that mapping.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::Path;

use super::mapping::PAGE;
use super::process::Worker;
use super::wire::{Reply, Request};
use crate::HostAddr;
use crate::host::HostError;
use crate::ids::Generation;
use crate::jitdump::{Dump, Line, Source};
use crate::session::Session;
use crate::space::{AddressSpace, Near, Protection, Reserve};

/// A [jitdump](crate::jitdump) file of a worker's image.
pub struct PerfDump {
    file: File,
    dump: Dump,
    seen: Generation,
}

/// Code is read from the worker, lines come from whoever knows them.
struct InWorker<'w> {
    space: &'w mut dyn AddressSpace,
    lines: &'w mut dyn FnMut(Range<HostAddr>) -> Vec<Line>,
}

impl Source for InWorker<'_> {
    fn read(&mut self, at: HostAddr, into: &mut [u8]) -> bool {
        self.space.read(at, into).is_ok()
    }
    fn lines(&mut self, code: Range<HostAddr>) -> Vec<Line> {
        (self.lines)(code)
    }
}

impl Worker {
    /// Begins a dump in a new file, which `perf` wants to be called
    /// `jit-PID.dump`.
    pub fn perf_dump(&mut self, path: &Path) -> Result<PerfDump, HostError> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(|error| HostError::Failed(error.to_string()))?;
        let mut dump = PerfDump {
            file,
            dump: Dump::new(self.pid(), now_ns()),
            seen: Generation::EMPTY,
        };
        dump.write()?;
        let page = Request::Reserve(Reserve {
            length: PAGE,
            protection: Protection::Code,
            alignment: PAGE,
            near: Near::Anywhere,
        });
        let mapped = self.line.ask(&page, Some(dump.file.as_fd()));
        match mapped.map_err(HostError::Lost)? {
            Reply::Value(_) => Ok(dump),
            Reply::Failed(why) => Err(HostError::Failed(why)),
            other => Err(HostError::Lost(format!("the worker gave {other:?}"))),
        }
    }
}

impl PerfDump {
    /// Adds the functions that were published since this was asked last.
    pub fn add(
        &mut self,
        session: &Session,
        space: &mut dyn AddressSpace,
        lines: &mut dyn FnMut(Range<HostAddr>) -> Vec<Line>,
    ) -> Result<(), HostError> {
        let view = session.view();
        let source = &mut InWorker { space, lines };
        self.dump.add(&view, self.seen, now_ns(), source);
        self.seen = view.generation();
        self.write()
    }

    fn write(&mut self) -> Result<(), HostError> {
        let written = self.file.write_all(&self.dump.take());
        written.map_err(|error| HostError::Failed(error.to_string()))
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
fn now_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call fills in the structure, and does not fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
