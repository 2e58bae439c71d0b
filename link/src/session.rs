//! [`Session`]: the one entry point. It owns the image, the tables and the
//! archives, and hands out batches and views.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::addr::HostAddr;
use crate::arch::Arch;
use crate::archive::Archive;
use crate::batch::{Batch, Ground};
use crate::error::Error;
use crate::host::Libgcc;
use crate::ids::{AtomId, Generation, InputId};
use crate::image::{self, Image};
use crate::publish::Bound;
use crate::publish::unwind::{Adopted, give_back};
use crate::space::{AddressSpace, Near, Protection, Region, SpaceError, SpaceId};
use crate::staged::Staged;
use crate::staged::merge::Entries;
use crate::table::{Table, Writer};
use crate::tables::Tables;
use crate::txn::Txn;
use crate::view::View;

/// How a session's image is to be laid out.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the image is made of.
    pub arch: Arch,
    /// Where the image should lie; where there is no room it lies elsewhere,
    /// and relocations that cannot reach are refused.
    pub near: Near,
    /// Bytes of address space reserved at a time for each protection. Costs no
    /// memory until used.
    pub slab_length: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            arch: Arch::X86_64,
            near: Near::Low,
            slab_length: 128 << 20,
        }
    }
}

/// What an object with debug sections is remembered by, so that its debug
/// sections can be relocated when somebody asks.
pub(crate) struct DebugSource {
    pub bytes: Box<[u8]>,
    /// For each section its atom's index, or `NONE`.
    pub sections: Box<[u32]>,
    /// The sections of constants whose entries went elsewhere.
    pub merged: Box<[MergedSection]>,
}

/// A section of constants of which the batch kept one of each.
pub(crate) struct MergedSection {
    /// Its number in the object.
    pub section: usize,
    pub size: u32,
    /// The atom that has its entries.
    pub atom: AtomId,
    /// Where each entry began in the section, and where it is in the atom: in the
    /// order of the former.
    pub entries: Entries,
}

impl MergedSection {
    /// Where in the atom what lay at an offset in the section is.
    pub fn place(&self, offset: u64) -> Option<u64> {
        let entries = &self.entries;
        let after = entries.partition_point(|(old, _)| u64::from(*old) <= offset);
        let (old, new) = entries[after.checked_sub(1)?];
        let inside = offset - u64::from(old);
        (offset <= u64::from(self.size)).then(|| u64::from(new) + inside)
    }
}

/// A link session; see the [crate page](crate).
pub struct Session {
    pub(crate) options: Options,
    pub(crate) tables: Arc<Tables>,
    pub(crate) writer: Writer,
    pub(crate) image: Image,
    pub(crate) archives: Vec<Archive>,
    /// The objects with debug sections, in the order of their ids.
    pub(crate) debug: Table<(InputId, Arc<DebugSource>)>,
    /// What was registered with the target's unwinder.
    pub(crate) unwind: Vec<Range<HostAddr>>,
    /// Names of objects that are not loaded twice.
    pub(crate) once: FxHashSet<Box<str>>,
    /// The target's libgcc, once its host was asked for it.
    pub(crate) libgcc: Option<Option<Libgcc>>,
    /// Arrays registered with it.
    pub(crate) adopted: Vec<Adopted>,
    /// Where thread-local blocks of the target were reserved, in their order.
    pub(crate) thread_blocks: Vec<i64>,
    pub(crate) scratch: Scratch,
}

/// Lists that every publish fills and empties, kept so that a small batch
/// allocates nothing. Between publishes nothing in them means anything.
#[derive(Default)]
pub(crate) struct Scratch {
    pub staged: Staged<'static>,
    /// Nothing while a batch is published.
    pub bound: Option<Box<Bound>>,
    pub txn: Option<Box<Txn>>,
    /// Atoms of a batch in the order of their addresses.
    pub order: Vec<u32>,
}

impl Session {
    /// A session with an empty image.
    pub fn new(options: Options) -> Session {
        let mut writer = Writer::new();
        Session {
            options,
            tables: Arc::new(Tables::new(&mut writer)),
            writer,
            image: Image::default(),
            archives: Vec::new(),
            debug: Table::default(),
            unwind: Vec::new(),
            once: FxHashSet::default(),
            libgcc: None,
            adopted: Vec::new(),
            thread_blocks: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// What the image is made of.
    pub fn arch(&self) -> Arch {
        self.options.arch
    }

    /// An empty batch. Dropping it leaves nothing.
    pub fn batch<'i>(&mut self) -> Batch<'_, 'i> {
        Batch::new(self)
    }

    /// The newest generation.
    pub fn generation(&self) -> Generation {
        self.tables.newest()
    }

    /// A snapshot of the newest generation.
    pub fn view(&self) -> View {
        View::new(self.tables.clone(), self.generation())
    }

    /// Which slab a batch goes to, given what its relocations need: when the
    /// session prefers low addresses anyway there is one for both.
    pub(crate) fn ground_for(&self, needed: image::Ground) -> image::Ground {
        match (&self.options.near, needed) {
            (Near::Low, _) => image::Ground::Preferred,
            (_, needed) => needed,
        }
    }

    /// The address space the image grew in, once it has grown.
    pub fn space(&self) -> Option<SpaceId> {
        self.image.space
    }

    /// The address ranges the image holds, and how many bytes of each are used.
    pub fn regions(&self) -> Vec<(Region, u64)> {
        self.image
            .regions()
            .map(|(region, used)| (region.clone(), used))
            .collect()
    }

    /// Moves code whose callers go through an indirection cell: an aligned word of
    /// the image's data, which holds where it is and is pointed to where it will
    /// be. This is the cheap form of a move. A replace batch leaves a jump at the
    /// old address, with every thread stopped; here no published byte changes but
    /// the cell's, in one store, and whoever is in the old code goes on in it. In
    /// this process [`Cells`](crate::Cells) do the same without the session.
    pub fn redirect(
        &self,
        space: &mut dyn AddressSpace,
        cell: HostAddr,
        to: HostAddr,
    ) -> Result<(), Error> {
        self.image.check_space(space.id())?;
        let holds = |(region, used): (&Region, u64)| {
            let offset = cell.get().wrapping_sub(region.start.get());
            region.protection == Protection::Data && offset < used && used - offset >= 8
        };
        if !cell.get().is_multiple_of(8) || !self.image.regions().any(holds) {
            let why = format!("{cell} is no cell of the image's data");
            return Err(SpaceError::Failed(why).into());
        }
        Ok(space.redirect(cell, to)?)
    }

    /// Takes the image out of the target: its unwind entries, then its address
    /// space. The caller knows that nothing in the target uses it any more.
    pub fn release(mut self, ground: &mut dyn Ground) -> Result<(), Error> {
        self.image.check_space(ground.space().id())?;
        if let Some(unwind) = ground.host().unwind() {
            for range in self.unwind.drain(..) {
                unwind.deregister(range)?;
            }
        }
        if ground.host().call().is_some() {
            for adopted in self.adopted.drain(..) {
                give_back(adopted, ground)?;
            }
        }
        if let Some(thread_locals) = ground.host().thread_locals() {
            for block in self.thread_blocks.drain(..).rev() {
                thread_locals.release(block)?;
            }
        }
        let regions: Vec<Region> = self
            .image
            .regions()
            .map(|(region, _)| region.clone())
            .collect();
        self.image = Image::default();
        image::release(ground.space(), &regions)
    }
}
