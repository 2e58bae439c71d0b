//! [`CodeSpace`]: where translated code and its indirection cells live.
//!
//! A space is one slab of a link session's image in this process. Each piece of
//! code is one anonymous atom, written where it will run and published as the
//! image's next generation; published code is never written again. What changes
//! is the cells: they are data atoms, private memory on pages of their own, so
//! that after a fork each side links its own code. Code reaches its cells
//! relative to the instruction pointer, because a slab's regions lie in reach
//! of one another.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sapwood_link::{AtomKind, HostAddr, LocalSpace, Near, Options, Protection, Session};

use crate::enter::Ways;
use crate::fault::{self, Registration};

/// Bytes for code, and as many for cells. An engine that fills either begins a
/// new space. The smaller ones are for an address space so crowded that there is
/// no room for three regions in reach of one another.
const SLAB_BYTES: [u64; 3] = [64 << 20, 16 << 20, 4 << 20];

/// Code begins at multiples of this.
const ALIGNMENT: u64 = 16;

/// Cells are published so many at a time, 8 bytes each.
const CELLS_IN_ATOM: u64 = 512;

/// A bounded piece of address space for translated code.
#[derive(Debug)]
pub struct CodeSpace {
    mapping: Arc<Mapping>,
    /// Where code and cells may lie.
    code: Range<HostAddr>,
    data: Range<HostAddr>,
    /// The first byte past all code.
    code_end: HostAddr,
    /// The published cells that nobody has taken, at the end of all cells.
    free_cells: Range<HostAddr>,
    ways: &'static Ways,
}

/// The memory of a [`CodeSpace`], which is unmapped when the last share of it
/// goes. Who runs its code holds a share.
pub struct Mapping {
    image: Mutex<Image>,
    /// Makes host faults in the code the guest's.
    registration: Option<Registration>,
}

/// The image that the code is part of.
struct Image {
    session: Session,
    space: LocalSpace,
}

/// The space is full.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Image {
    fn new(slab_length: u64) -> Image {
        let options = Options {
            near: Near::Anywhere,
            slab_length,
            ..Options::default()
        };
        Image {
            session: Session::new(options),
            space: LocalSpace::new(),
        }
    }

    /// Publishes an anonymous atom that `write` fills in where it will stay.
    fn append(
        &mut self,
        kind: AtomKind,
        length: u64,
        write: impl FnOnce(HostAddr, &mut [u8]),
    ) -> Result<HostAddr, sapwood_link::Error> {
        let Image { session, space } = self;
        let mut emission = session.emit_in_place(space, kind, ALIGNMENT, length)?;
        let at = emission.address();
        write(at, emission.bytes());
        emission.finish(length)?;
        Ok(at)
    }
}

impl Mapping {
    fn image(&self) -> std::sync::MutexGuard<'_, Image> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mapping")
            .field("generation", &self.image().session.generation())
            .finish()
    }
}

impl CodeSpace {
    /// An empty space for a guest's code.
    pub fn new(ways: &'static Ways) -> io::Result<CodeSpace> {
        // The first cells make the image reserve its slab.
        let bytes = CELLS_IN_ATOM * 8;
        let begin = |slab| {
            let mut image = Image::new(slab);
            let cells = image.append(AtomKind::Data, bytes, |_, _| {})?;
            Ok((image, cells))
        };
        let begun = begin(SLAB_BYTES[0])
            .or_else(|_| begin(SLAB_BYTES[1]))
            .or_else(|_| begin(SLAB_BYTES[2]));
        let (image, cells) =
            begun.map_err(|error: sapwood_link::Error| io::Error::other(error.to_string()))?;
        let regions = image.session.regions();
        let range = |protection| {
            let mut regions = regions.iter().map(|(region, _)| region);
            let region = regions.find(|region| region.protection == protection);
            region.expect("a slab has a region for each").range()
        };
        let (code, data) = (range(Protection::Code), range(Protection::Data));
        let registration = fault::register(code.start.0..code.end.0, ways.landing);
        Ok(CodeSpace {
            mapping: Arc::new(Mapping {
                image: Mutex::new(image),
                registration: Some(registration),
            }),
            code_end: code.start,
            code,
            data,
            free_cells: cells.range(bytes),
            ways,
        })
    }

    /// The ways out of the code.
    pub fn ways(&self) -> &'static Ways {
        self.ways
    }

    /// A share of the memory, to hold while its code runs.
    pub fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Publishes `length` bytes of code, which `write` is given to fill in
    /// with the address they will run at; gives that address.
    pub fn publish(
        &mut self,
        length: usize,
        write: impl FnOnce(HostAddr, &mut [u8]),
    ) -> Result<HostAddr, Full> {
        let length = length as u64;
        let room = self.code.end.distance_from(self.code_end) as u64;
        if length + ALIGNMENT > room {
            return Err(Full);
        }
        let published = self.mapping.image().append(AtomKind::Code, length, write);
        let at = published.map_err(|_| Full)?;
        debug_assert!(self.code.contains(&at));
        self.code_end = at.add(length);
        Ok(at)
    }

    /// A new cell, holding `value`.
    pub fn cell(&mut self, value: u64) -> Result<HostAddr, Full> {
        if self.free_cells.is_empty() {
            self.more_cells()?;
        }
        let cell = self.free_cells.start;
        self.free_cells.start = cell.add(8);
        self.set_cell(cell, value);
        Ok(cell)
    }

    fn more_cells(&mut self) -> Result<(), Full> {
        let bytes = CELLS_IN_ATOM * 8;
        let room = self.data.end.distance_from(self.free_cells.end) as u64;
        if bytes + ALIGNMENT > room {
            return Err(Full);
        }
        let published = self
            .mapping
            .image()
            .append(AtomKind::Data, bytes, |_, _| {});
        self.free_cells = published.map_err(|_| Full)?.range(bytes);
        Ok(())
    }

    /// Changes a cell. Running code sees the old value or the new one.
    pub fn set_cell(&self, cell: HostAddr, value: u64) {
        assert!(
            self.data.contains(&cell) && cell < self.free_cells.start && cell.0.is_multiple_of(8),
            "{cell} is no cell of this space"
        );
        // SAFETY: checked to be an aligned cell in data of our image; all
        // accesses to it, here and in translated code, are single 8-byte
        // accesses.
        let cell = unsafe { AtomicU64::from_ptr(cell.0 as *mut u64) };
        cell.store(value, Ordering::Release);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Before the addresses can be anything else's.
        self.registration = None;
        let image = self.image.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Image { session, mut space } = std::mem::replace(image, Image::new(SLAB_BYTES[2]));
        // Who runs code there holds a share, so nobody does any more.
        let released = session.release(&mut space, &mut ());
        released.expect("this space holds the image's regions");
    }
}
