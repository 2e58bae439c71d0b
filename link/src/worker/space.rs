//! [`WorkerSpace`]: the image's bytes, in a worker.
//!
//! A shared reservation (code, read-only) is one memory file as long as the
//! reservation is committed. Both processes map the whole reservation at once
//! and the file grows under it, so committing is one `ftruncate` and no round
//! trip: a page past the end of the file cannot be touched by either side.
//! Giving pages back is the same call the other way round, and they read as
//! zero when the file grows again.
//!
//! A private reservation (data) is mapped without access in the worker, which
//! is asked to open and close it. In a debuggable worker code and constants are
//! private too, accessible from the start and written past their protection
//! through `/proc/PID/mem`.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::mapping::{Mapping, PAGE, memory_file};
use super::process::Line;
use super::wire::{Reply, Request};
use crate::HostAddr;
use crate::fork;
use crate::space::{AddressSpace, Protection, Region, Reserve, SpaceError, SpaceId, Write};

/// The memory of a worker that the image grows in. See the
/// [module page](super).
#[derive(Debug)]
pub struct WorkerSpace {
    id: SpaceId,
    line: Arc<Line>,
    /// Ascending by address.
    held: Vec<Held>,
    /// Whether all pages are private.
    private: bool,
    /// The worker's memory, opened when it is first written.
    memory: Option<File>,
    /// Where the worker counts its forks, once it was asked.
    forks_at: Option<HostAddr>,
}

/// One reservation.
#[derive(Debug)]
struct Held {
    region: Region,
    /// Bytes from the start that are accessible.
    committed: u64,
    /// How often the worker had forked when the file became its own; nothing when
    /// that was not known.
    forks: Option<u64>,
    /// The memory file and this process's view of it; `None` for private pages.
    shared: Option<(File, Mapping)>,
}

impl Held {
    /// Whether shared pages of it are among what is written.
    fn is_written(&self, writes: &[Write<'_>]) -> bool {
        let range = self.region.range();
        let mut writes = writes.iter();
        self.shared.is_some() && writes.any(|write| range.contains(&write.at))
    }

    fn usable(&self) -> Range<u64> {
        self.region.start.get()..self.region.start.get() + self.committed
    }
}

impl WorkerSpace {
    pub(super) fn new(line: Arc<Line>, private: bool) -> WorkerSpace {
        WorkerSpace {
            id: SpaceId::fresh(),
            line,
            held: Vec::new(),
            private,
            memory: None,
            forks_at: None,
        }
    }

    /// Whether all pages are private.
    pub(super) fn is_private(&self) -> bool {
        self.private
    }

    /// Has another thread of the same process do what is asked from now on.
    pub(super) fn speak_through(&mut self, line: Arc<Line>) {
        self.line = line;
    }

    /// How often the worker has forked; nothing while it is doing so. Its threads
    /// may be stopped: none is asked.
    fn forks(&self) -> Option<u64> {
        let mut counts = [0; 16];
        self.line.peek(self.forks_at?, &mut counts).ok()?;
        let count = |at: usize| u64::from_le_bytes(counts[at..at + 8].try_into().expect("eight"));
        fork::settled(count(0), count(8))
    }

    /// Writes private pages: data directly, and in a debuggable worker
    /// everything past the pages' protection.
    fn write_private(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        if !self.private {
            return self.line.write_private(writes);
        }
        let memory = match &mut self.memory {
            Some(memory) => memory,
            closed => {
                let path = format!("/proc/{}/mem", self.line.pid());
                let open = File::options().read(true).write(true).open(path);
                closed.insert(open.map_err(failed("cannot open the worker's memory"))?)
            }
        };
        for (index, write) in writes.iter().enumerate() {
            match memory.write_all_at(write.bytes, write.at.get()) {
                Ok(()) => {}
                // One write of few bytes is whole or not at all.
                Err(error) if index == 0 && write.bytes.len() <= PAGE as usize => {
                    return Err(failed("cannot write the worker's memory")(error));
                }
                Err(error) => {
                    let why = format!("only a part of the image could be written: {error}");
                    return Err(SpaceError::Lost(why));
                }
            }
        }
        Ok(())
    }

    fn ask(&self, request: &Request) -> Result<Reply, SpaceError> {
        self.line.ask(request, None).map_err(SpaceError::Lost)
    }

    fn ask_done(&self, request: &Request) -> Result<(), SpaceError> {
        match self.ask(request)? {
            Reply::Done => Ok(()),
            Reply::Failed(why) => Err(SpaceError::Failed(why)),
            other => Err(unexpected(&other)),
        }
    }

    /// The place in `held` of a region that this space gave out.
    fn index_of(&self, region: &Region) -> Result<usize, SpaceError> {
        self.held
            .binary_search_by_key(&region.start, |held| held.region.start)
            .ok()
            .filter(|&index| self.held[index].region == *region)
            .ok_or_else(|| {
                SpaceError::Failed(format!(
                    "no reservation of {:#x} bytes at {}",
                    region.length, region.start
                ))
            })
    }

    /// The place in `held` of the reservation whose committed part holds all of
    /// `length` bytes at `at`.
    fn index_at(&self, at: HostAddr, length: u64) -> Option<usize> {
        let after = self.held.partition_point(|held| held.region.start <= at);
        let index = after.checked_sub(1)?;
        let end = at.get().checked_add(length)?;
        (end <= self.held[index].usable().end).then_some(index)
    }

    /// Puts a copy of a shared reservation's memory file in its place.
    fn copy_shared(&mut self, index: usize) -> Result<(), SpaceError> {
        let held = &mut self.held[index];
        let Some((_, view)) = &mut held.shared else {
            return Ok(());
        };
        let (length, protection) = (held.region.length, held.region.protection);
        let cannot = failed("cannot copy a memory file");
        let copied = memory_file(c"sapwood code").and_then(|file| {
            file.set_len(held.committed)?;
            let mut copy = Mapping::shared(&file, length)?;
            let whole = 0..held.committed;
            copy.bytes(whole.clone()).copy_from_slice(view.bytes(whole));
            Ok((file, copy))
        });
        let (file, copy) = copied.map_err(cannot)?;
        let request = Request::Remap {
            start: held.region.start.get(),
            length,
            executable: protection == Protection::Code,
        };
        match self
            .line
            .ask(&request, Some(file.as_fd()))
            .map_err(SpaceError::Lost)?
        {
            Reply::Done => self.held[index].shared = Some((file, copy)),
            Reply::Failed(why) => return Err(SpaceError::Failed(why)),
            other => return Err(unexpected(&other)),
        }
        Ok(())
    }

    fn must_be_committed(&self, at: HostAddr, length: u64) -> Result<usize, SpaceError> {
        self.index_at(at, length).ok_or_else(|| {
            SpaceError::Failed(format!("{length:#x} bytes at {at} are not all committed"))
        })
    }
}

/// The answer to another question than was asked: the worker's memory is not
/// to be trusted any more.
fn unexpected(reply: &Reply) -> SpaceError {
    SpaceError::Lost(format!("the worker gave a senseless answer: {reply:?}"))
}

fn failed(what: &str) -> impl FnOnce(std::io::Error) -> SpaceError {
    move |error| SpaceError::Failed(format!("{what}: {error}"))
}

impl AddressSpace for WorkerSpace {
    fn id(&self) -> SpaceId {
        self.id
    }

    fn reserve(&mut self, want: &Reserve) -> Result<Region, SpaceError> {
        let no_room = || {
            SpaceError::NoRoom(format!(
                "no room for {:#x} bytes, aligned to {:#x}, {:?}",
                want.length, want.alignment, want.near
            ))
        };
        let length = want
            .length
            .checked_next_multiple_of(PAGE)
            .filter(|length| *length > 0)
            .ok_or_else(no_room)?;
        let shared = match want.protection {
            _ if self.private => None,
            Protection::Data => None,
            Protection::Code => Some(c"sapwood code"),
            Protection::ReadOnly => Some(c"sapwood constants"),
        }
        .map(|name| {
            let file = memory_file(name)?;
            let view = Mapping::shared(&file, length)?;
            Ok((file, view))
        })
        .transpose()
        .map_err(failed("cannot make a memory file"))?;
        let request = Request::Reserve(Reserve {
            length,
            alignment: want.alignment.max(PAGE),
            ..want.clone()
        });
        let file = shared.as_ref().map(|(file, _)| file.as_fd());
        let start = match self.line.ask(&request, file).map_err(SpaceError::Lost)? {
            Reply::Value(start) => HostAddr(start),
            Reply::NoRoom => return Err(no_room()),
            Reply::Failed(why) => return Err(SpaceError::Failed(why)),
            other => return Err(unexpected(&other)),
        };
        let region = Region {
            start,
            length,
            protection: want.protection,
        };
        let index = self
            .held
            .partition_point(|held| held.region.start < region.start);
        self.held.insert(
            index,
            Held {
                region: region.clone(),
                committed: 0,
                forks: Some(0),
                shared,
            },
        );
        Ok(region)
    }

    fn release(&mut self, region: &Region) -> Result<(), SpaceError> {
        let index = self.index_of(region)?;
        self.ask_done(&Request::Release {
            start: region.start.get(),
            length: region.length,
        })?;
        self.held.remove(index);
        Ok(())
    }

    fn commit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        let index = self.index_of(region)?;
        let length = length.next_multiple_of(PAGE);
        let held = &self.held[index];
        if length > region.length {
            return Err(SpaceError::Failed(format!(
                "a reservation of {:#x} bytes has no {length:#x}",
                region.length
            )));
        }
        if length <= held.committed {
            return Ok(());
        }
        match &held.shared {
            Some((file, _)) => file
                .set_len(length)
                .map_err(failed("cannot grow a memory file"))?,
            // Mapped as it is to be, and zero.
            None if region.protection != Protection::Data => {}
            None => self.ask_done(&Request::Commit {
                start: region.start.get() + held.committed,
                length: length - held.committed,
            })?,
        }
        self.held[index].committed = length;
        Ok(())
    }

    fn decommit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        let index = self.index_of(region)?;
        let keep = length.next_multiple_of(PAGE);
        let committed = self.held[index].committed;
        if let Some((file, view)) = &mut self.held[index].shared {
            if keep < committed {
                file.set_len(keep)
                    .map_err(failed("cannot shrink a memory file"))?;
            }
            // The tail of the page in which the kept part ends.
            view.bytes(length.min(committed)..keep.min(committed))
                .fill(0);
        } else {
            if keep < committed {
                self.ask_done(&Request::Decommit {
                    start: region.start.get() + keep,
                    length: committed - keep,
                    protection: region.protection,
                })?;
            }
            let tail = length.min(committed)..keep.min(committed);
            if !tail.is_empty() {
                let zeroes = vec![0; (tail.end - tail.start) as usize];
                self.write_private(&[Write {
                    at: region.start.add(tail.start),
                    bytes: &zeroes,
                }])?;
            }
        }
        self.held[index].committed = committed.min(keep);
        Ok(())
    }

    fn window(&mut self, at: HostAddr, length: u64) -> Option<&mut [u8]> {
        let index = self.index_at(at, length)?;
        let held = &mut self.held[index];
        let offset = at.get() - held.region.start.get();
        let (_, view) = held.shared.as_mut()?;
        Some(view.bytes(offset..offset + length))
    }

    /// Private writes go first, in one system call: they alone can fail.
    fn apply(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        let mut private = Vec::new();
        let mut shared = Vec::new();
        for write in writes {
            let index = self.must_be_committed(write.at, write.bytes.len() as u64)?;
            match self.held[index].shared {
                None => private.push(*write),
                Some(_) => shared.push((index, write)),
            }
        }
        self.write_private(&private)?;
        for (index, write) in shared {
            let held = &mut self.held[index];
            let offset = write.at.get() - held.region.start.get();
            if let Some((_, view)) = &mut held.shared {
                view.bytes(offset..offset + write.bytes.len() as u64)
                    .copy_from_slice(write.bytes);
            }
        }
        Ok(())
    }

    /// Children that the worker forked run the same pages, so the worker is given
    /// a copy of its own before they change.
    fn unshare(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        if self.forks_at.is_none() {
            self.forks_at = match self.ask(&Request::Forks)? {
                Reply::Value(at) => Some(HostAddr(at)),
                other => return Err(unexpected(&other)),
            };
        }
        for index in 0..self.held.len() {
            let forks = self.forks();
            let held = &self.held[index];
            if held.is_written(writes) && (forks.is_none() || held.forks != forks) {
                self.copy_shared(index)?;
                self.held[index].forks = forks;
            }
        }
        Ok(())
    }

    fn is_unshared(&mut self, writes: &[Write<'_>]) -> bool {
        let forks = self.forks();
        let mut written = self.held.iter().filter(|held| held.is_written(writes));
        written.all(|held| forks.is_some() && held.forks == forks)
    }

    fn read(&mut self, at: HostAddr, into: &mut [u8]) -> Result<(), SpaceError> {
        let length = into.len() as u64;
        let Some(index) = self.index_at(at, length) else {
            // What is not the image's is read where it is readable.
            return self.line.read_private(at, into);
        };
        let held = &mut self.held[index];
        let offset = at.get() - held.region.start.get();
        match &mut held.shared {
            Some((_, view)) => {
                into.copy_from_slice(view.bytes(offset..offset + length));
                Ok(())
            }
            None => self.line.read_private(at, into),
        }
    }
}
