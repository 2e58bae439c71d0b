//! [`CodeSpace`]: where translated code and its indirection cells live.
//!
//! A space is a slab of a link session's image in this process; after a fork,
//! the child's session leaves the slab to its parent and begins another, so it
//! may be several. Each piece of code is one anonymous atom, written where it will run and published as the
//! image's next generation; published code is never written again. What changes
//! is the cells: they are data atoms, private memory on pages of their own, so
//! that after a fork each side links its own code. Code reaches its cells
//! relative to the instruction pointer, because a slab's regions lie in reach
//! of one another.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use sapwood_link::{
    AtomKind, Cells, HostAddr, LocalSpace, Near, Options, Parts, Protection, Region, Session,
};

use crate::enter::Ways;
use crate::fault::{self, Registration};

/// Bytes for code, and as many for cells. An engine that fills either begins a
/// new space. The smaller ones are for an address space so crowded that there is
/// no room for three regions in reach of one another.
const SLAB_BYTES: [u64; 3] = [64 << 20, 16 << 20, 4 << 20];

/// Code begins at multiples of this.
const ALIGNMENT: u64 = 16;

/// And at multiples of this where a debugger may poke into it.
const PAGE: u64 = 4096;

/// Cells are published so many at a time, 8 bytes each.
const CELLS_IN_ATOM: u64 = 512;

/// A bounded piece of address space for translated code.
#[derive(Debug)]
pub struct CodeSpace {
    mapping: Arc<Mapping>,
    /// Where code and cells lie. Only the last grows, if that.
    slabs: Vec<Slab>,
    /// Whether the last one is this process's own.
    grows: bool,
    /// The first byte past all code of the last.
    code_end: HostAddr,
    /// The published cells that nobody has taken, at the end of all cells.
    free_cells: Range<HostAddr>,
    ways: &'static Ways,
    /// What code begins at multiples of.
    alignment: u64,
}

/// Who may want to change code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pokes {
    /// Nobody.
    Never,
    /// A debugger of this process. Each piece of code has pages of its own, which
    /// are this process's alone: a page that was poked shows no later writes.
    ByDebugger,
}

/// Where code and cells of one slab may lie.
#[derive(Debug)]
struct Slab {
    code: Range<HostAddr>,
    data: Range<HostAddr>,
    cells: Cells,
}

/// Slabs in one space. A child of so many generations begins a new space.
const MOST_SLABS: usize = 8;

/// The memory of a [`CodeSpace`], which is unmapped when the last share of it
/// goes. Who runs its code holds a share.
pub struct Mapping {
    image: Mutex<Image>,
}

/// The image that the code is part of.
struct Image {
    session: Session,
    space: LocalSpace,
    /// Make host faults in the code the guest's.
    registrations: Vec<Registration>,
}

/// The space is full.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Image {
    fn new(slab_length: u64, pokes: Pokes) -> Image {
        let options = Options {
            near: Near::Anywhere,
            slab_length,
            ..Options::default()
        };
        Image {
            session: Session::new(options),
            space: match pokes {
                Pokes::Never => LocalSpace::new(),
                Pokes::ByDebugger => LocalSpace::for_debuggers(),
            },
            registrations: Vec::new(),
        }
    }

    /// Publishes an anonymous atom that `write` fills in where it will stay.
    fn append(
        &mut self,
        kind: AtomKind,
        alignment: u64,
        length: u64,
        write: impl FnOnce(HostAddr, &mut [u8]),
    ) -> Result<HostAddr, sapwood_link::Error> {
        let Image { session, space, .. } = self;
        let mut emission = session.emit_in_place(space, kind, alignment, length)?;
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
    pub fn new(ways: &'static Ways, pokes: Pokes) -> io::Result<CodeSpace> {
        // The first cells make the image reserve its slab.
        let bytes = CELLS_IN_ATOM * 8;
        let begin = |slab| {
            let mut image = Image::new(slab, pokes);
            let cells = image.append(AtomKind::Data, ALIGNMENT, bytes, |_, _| {})?;
            Ok((image, cells))
        };
        let begun = begin(SLAB_BYTES[0])
            .or_else(|_| begin(SLAB_BYTES[1]))
            .or_else(|_| begin(SLAB_BYTES[2]));
        let (image, cells) =
            begun.map_err(|error: sapwood_link::Error| io::Error::other(error.to_string()))?;
        let mut space = CodeSpace {
            mapping: Arc::new(Mapping {
                image: Mutex::new(image),
            }),
            slabs: Vec::new(),
            grows: false,
            code_end: HostAddr(0),
            free_cells: HostAddr(0)..HostAddr(0),
            ways,
            alignment: match pokes {
                Pokes::Never => ALIGNMENT,
                Pokes::ByDebugger => PAGE,
            },
        };
        space.enter_slab(cells);
        space.free_cells = cells.range(bytes);
        Ok(space)
    }

    /// Something was published at `at`: from now on everything is in that slab.
    fn enter_slab(&mut self, at: HostAddr) {
        let mut image = self.mapping.image();
        let regions = image.session.regions();
        // A slab's regions follow one another, code first, then constants, data.
        let holds = |(region, _): &(_, _)| Region::range(region).contains(&at);
        let index = regions.iter().position(holds).expect("it is in a region");
        let protection = regions[index].0.protection;
        let first = match protection {
            Protection::Code => index,
            _ => index - 2,
        };
        let (code, data) = (regions[first].0.range(), regions[first + 2].0.range());
        let cells = Cells::of(&regions[first + 2].0).expect("cells lie in data");
        let code_addresses = code.start.0..code.end.0;
        let registration = fault::register(code_addresses, self.ways.landing);
        image.registrations.push(registration);
        drop(image);
        self.code_end = code.start;
        self.slabs.push(Slab { code, data, cells });
        self.grows = true;
    }

    /// To be called in the child after a fork: it must not append where its
    /// parent does. `Err` when the child had better begin a new space.
    pub fn forked(&mut self) -> Result<(), Full> {
        self.grows = false;
        self.free_cells = HostAddr(0)..HostAddr(0);
        match self.slabs.len() < MOST_SLABS {
            true => Ok(()),
            false => Err(Full),
        }
    }

    /// Published code.
    pub fn code(&self, range: &Range<u64>) -> &[u8] {
        let mut slabs = self.slabs.iter();
        let inside =
            slabs.any(|slab| slab.code.start.0 <= range.start && range.end <= slab.code.end.0);
        assert!(
            inside && range.start <= range.end,
            "{range:x?} is no code of this space"
        );
        // SAFETY: checked to be in a code region of our image, which stays
        // mapped, readable, while this is borrowed; what was published is not
        // written again.
        unsafe {
            std::slice::from_raw_parts(range.start as *const u8, (range.end - range.start) as usize)
        }
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
        if self.grows {
            let room = self.slab().code.end.distance_from(self.code_end) as u64;
            if length + self.alignment > room {
                return Err(Full);
            }
        }
        let alignment = self.alignment;
        let mut image = self.mapping.image();
        let published = image.append(AtomKind::Code, alignment, length, write);
        drop(image);
        let at = published.map_err(|_| Full)?;
        if !self.grows {
            self.enter_slab(at);
        }
        debug_assert!(self.slab().code.contains(&at));
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
        if self.grows && self.free_cells.end.0 != 0 {
            let room = self.slab().data.end.distance_from(self.free_cells.end) as u64;
            if bytes + ALIGNMENT > room {
                return Err(Full);
            }
        }
        let published = self
            .mapping
            .image()
            .append(AtomKind::Data, ALIGNMENT, bytes, |_, _| {});
        let cells = published.map_err(|_| Full)?;
        if !self.grows {
            self.enter_slab(cells);
        }
        self.free_cells = cells.range(bytes);
        Ok(())
    }

    /// The slab that grows.
    fn slab(&self) -> &Slab {
        self.slabs.last().expect("a space begins with one")
    }

    /// Changes a cell: this is how code moves. Running code sees the old value or
    /// the new one.
    pub fn set_cell(&self, cell: HostAddr, value: u64) {
        let mut slabs = self.slabs.iter();
        // SAFETY: `mapping` keeps the image's regions; its data is cells, which
        // everybody, translated code too, accesses as single words.
        let redirect = |slab: &Slab| unsafe { slab.cells.redirect(cell, HostAddr(value)) };
        assert!(slabs.any(redirect), "{cell} is no cell of this space");
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let image = self.image.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Before the addresses can be anything else's.
        image.registrations.clear();
        let Image {
            session, mut space, ..
        } = std::mem::replace(image, Image::new(SLAB_BYTES[2], Pokes::Never));
        // Who runs code there holds a share, so nobody does any more.
        let released = session.release(&mut Parts {
            space: &mut space,
            host: &mut (),
            resolver: &mut (),
        });
        released.expect("this space holds the image's regions");
    }
}
