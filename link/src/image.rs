//! [`Image`]: the segments an image grows in, and where the next byte of each
//! goes.
//!
//! A *slab* is one reservation for each protection, near one another, so that
//! what lands in one slab reaches the rest of it by 32-bit displacements. When
//! a slab is full the next batch gets a fresh one; what lies in different slabs
//! meets through stubs and cells.
//!
//! What holds between publishes: bytes below a segment's cursor are published
//! and never change; bytes at and past it read as zero.

use std::ops::Range;

use crate::addr::HostAddr;
use crate::error::Error;
use crate::index::Index;
use crate::model::AtomKind;
use crate::publish::unwind::{self, Registered};
use crate::space::{AddressSpace, Near, Protection, Region, Reserve, SpaceError, SpaceId};
use crate::table::{Table, Writer};

/// The protections of a slab's segments, in order.
pub(crate) const PROTECTIONS: [Protection; 4] = [
    Protection::Code,
    Protection::ReadOnly,
    Protection::Data,
    // The unwinder's array; see `publish::unwind`.
    Protection::Data,
];
/// The segment of the unwinder's array is this many times shorter than others.
const ARRAY_SHARE: u64 = 8;
/// Segments in a slab.
pub(crate) const SEGMENTS: usize = PROTECTIONS.len();
/// Pages are committed at least this many bytes at a time, so that small
/// batches seldom ask the address space for anything.
const COMMIT_STEP: u64 = 256 << 10;
/// No region is larger, so that offsets in it fit 32 bits.
const MAX_REGION: u64 = (4 << 30) - COMMIT_STEP;

/// Which segment of a slab an atom's bytes go to.
pub(crate) fn segment_of(kind: AtomKind) -> usize {
    match kind {
        AtomKind::Code => 0,
        AtomKind::ReadOnly | AtomKind::ThreadLocal => 1,
        AtomKind::Data | AtomKind::Zero => 2,
    }
}

/// A segment's reservation, and how much of it is used.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub region: Region,
    /// Bytes published: the cursor, counted from the region's start.
    pub used: u64,
    /// Bytes the address space was asked to make usable.
    pub committed: u64,
}

impl Segment {
    /// The address the next byte goes to.
    pub fn cursor(&self) -> HostAddr {
        self.region.start.add(self.used)
    }

    /// How far to commit so that `used` bytes are usable.
    pub fn commit_to(&self, used: u64) -> u64 {
        let step = COMMIT_STEP.max(self.committed / 2);
        used.next_multiple_of(step).min(self.region.length)
    }
}

/// Places known by the address that they hold or jump to.
pub(crate) struct Known {
    index: Index,
    places: Table<(u64, HostAddr)>,
}

impl Known {
    fn new(writer: &mut Writer) -> Known {
        Known {
            index: Index::new(writer),
            places: Table::default(),
        }
    }

    /// The place of an address.
    pub fn get(&self, value: u64) -> Option<HostAddr> {
        if self.places.len() == 0 {
            return None;
        }
        let place = |number: u32| *self.places.get(number as usize).expect("it is indexed");
        let found = self
            .index
            .find(hash(value), |number| place(number).0 == value);
        found.map(|number| place(number).1)
    }

    /// Every address and its place, in the order in which they came.
    pub fn all(&self) -> impl Iterator<Item = (u64, HostAddr)> + '_ {
        (0..self.places.len()).map(|number| *self.places.get(number).expect("below the length"))
    }

    /// Adds the place of an address that has none.
    pub fn insert(&mut self, writer: &mut Writer, value: u64, place: HostAddr) {
        let number = writer.push(&self.places, (value, place));
        self.index.insert(writer, hash(value), number);
    }
}

/// Addresses differ in their middle bits; the index goes by the high ones.
fn hash(value: u64) -> u32 {
    (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// Segments for each protection, near one another, and the cells and stubs that
/// lie in their reach.
pub(crate) struct Slab {
    pub segments: [Segment; SEGMENTS],
    /// The number of the slab's first region in the region table.
    pub first_region: u16,
    /// How its unwind entries reach the unwinder.
    pub registered: Registered,
    /// Address held → GOT cell that holds it.
    pub cells: Known,
    /// Address jumped to → stub that jumps there.
    pub stubs: Known,
    /// Address of type information outside → copy of it.
    pub copies: Known,
}

impl Slab {
    /// Whether there is room for this many more bytes in each segment.
    pub fn has_room(&self, wanted: &[u64; SEGMENTS]) -> bool {
        let mut segments = self.segments.iter().zip(wanted);
        segments.all(|(segment, wanted)| segment.region.length - segment.used >= *wanted)
    }

    /// Whether a batch that needs this ground may go to it.
    pub fn is_on(&self, ground: Ground) -> bool {
        let is_low = |segment: &Segment| segment.region.range().end.get() <= 1 << 31;
        ground == Ground::Preferred || self.segments.iter().all(is_low)
    }

    /// Whether the space lets it grow.
    pub fn grows(&self, space: &dyn AddressSpace) -> bool {
        self.segments
            .iter()
            .all(|segment| space.grows(&segment.region))
    }

    /// What the psABI calls GOT: the base that GOT-relative fields count from.
    pub fn got(&self) -> HostAddr {
        self.segments[2].region.start
    }
}

/// Which of the image's growing slabs a batch goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ground {
    /// The one near what the session was told to be near.
    Preferred = 0,
    /// The one below 2 GiB, for code with 32-bit absolute addresses.
    Low = 1,
}

/// See the [module page](self).
#[derive(Default)]
pub(crate) struct Image {
    /// The space it grew in, once it has grown.
    pub space: Option<SpaceId>,
    /// The slabs that grow, by [`Ground`].
    pub slabs: [Option<Box<Slab>>; 2],
    /// Slabs that were too full for a batch once. What a replace batch moves goes to
    /// the one where its old code lies, if it has room.
    pub full: Vec<Slab>,
}

/// Where a slab of the image is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SlabAt {
    /// The one that grows on a ground.
    Growing(Ground),
    /// One of the full ones.
    Full(usize),
}

impl Image {
    /// Checks that the image grew in this space, or nowhere yet.
    pub fn check_space(&self, offered: SpaceId) -> Result<(), Error> {
        match self.space {
            Some(image) if image != offered => Err(Error::OtherSpace { image, offered }),
            _ => Ok(()),
        }
    }

    /// Where the slab is kept whose first region has this number.
    pub fn find(&self, first_region: u16) -> Option<SlabAt> {
        let is_it = |slab: &Slab| slab.first_region == first_region;
        let growing = [Ground::Preferred, Ground::Low].into_iter();
        let mut growing = growing.filter(|ground| {
            let slab = self.slabs[*ground as usize].as_ref();
            slab.is_some_and(|slab| is_it(slab))
        });
        let mut full = self.full.iter();
        let among_full = || full.position(is_it).map(SlabAt::Full);
        growing.next().map(SlabAt::Growing).or_else(among_full)
    }

    /// A slab that is kept there.
    pub fn slab(&self, at: SlabAt) -> Option<&Slab> {
        match at {
            SlabAt::Growing(ground) => self.slabs[ground as usize].as_deref(),
            SlabAt::Full(number) => self.full.get(number),
        }
    }

    /// The same, to be changed.
    pub fn slab_mut(&mut self, at: SlabAt) -> Option<&mut Slab> {
        match at {
            SlabAt::Growing(ground) => self.slabs[ground as usize].as_deref_mut(),
            SlabAt::Full(number) => self.full.get_mut(number),
        }
    }

    /// Takes a slab out, for [`put`](Image::put) to put back.
    pub fn take(&mut self, at: SlabAt) -> Option<Box<Slab>> {
        match at {
            SlabAt::Growing(ground) => self.slabs[ground as usize].take(),
            SlabAt::Full(number) if number < self.full.len() => {
                Some(Box::new(self.full.remove(number)))
            }
            SlabAt::Full(_) => None,
        }
    }

    /// Keeps a slab. One that grew on the same ground before is full.
    pub fn put(&mut self, at: SlabAt, slab: Box<Slab>) {
        match at {
            SlabAt::Growing(ground) => {
                let full = self.slabs[ground as usize].replace(slab);
                self.full.extend(full.map(|full| *full));
            }
            SlabAt::Full(number) => self.full.insert(number, *slab),
        }
    }

    /// Every region the image holds, and how much of it is used.
    pub fn regions(&self) -> impl Iterator<Item = (&Region, u64)> {
        let growing = self.slabs.iter().flatten().map(|slab| &**slab);
        let slabs = self.full.iter().chain(growing);
        let segments = slabs.flat_map(|slab| &slab.segments);
        segments.map(|segment| (&segment.region, segment.used))
    }
}

/// Reserves a slab with room for `wanted` bytes in each segment, and at least
/// `usual`. Reserves all of it or nothing.
///
/// Below 2 GiB means there or not at all; any other wish gives way to
/// "together, anywhere" when it cannot be had.
pub(crate) fn reserve_slab(
    writer: &mut Writer,
    space: &mut dyn AddressSpace,
    near: &Near,
    ground: Ground,
    usual: u64,
    wanted: &[u64; SEGMENTS],
) -> Result<Box<Slab>, Error> {
    let mut lengths = wanted.map(|wanted| wanted.max(usual));
    lengths[unwind::SEGMENT] = wanted[unwind::SEGMENT].max(usual / ARRAY_SHARE);
    if let Some(length) = lengths.into_iter().find(|length| *length > MAX_REGION) {
        let why = format!("a batch wants {length:#x} bytes in one segment");
        return Err(SpaceError::NoRoom(why).into());
    }
    let near = if ground == Ground::Low {
        &Near::Low
    } else {
        near
    };
    let regions = match reserve_together(space, near, &lengths) {
        Err(Error::Space(SpaceError::NoRoom(_)))
            if ground == Ground::Preferred && *near != Near::Anywhere =>
        {
            reserve_together(space, &Near::Anywhere, &lengths)
        }
        other => other,
    };
    let segments = regions?.map(|region| Segment {
        region,
        used: 0,
        committed: 0,
    });
    Ok(Box::new(Slab {
        segments,
        first_region: 0,
        registered: Registered::NotYet,
        cells: Known::new(writer),
        stubs: Known::new(writer),
        copies: Known::new(writer),
    }))
}

/// Reserves a region for each segment, in reach of one another, or nothing.
fn reserve_together(
    space: &mut dyn AddressSpace,
    near: &Near,
    lengths: &[u64; SEGMENTS],
) -> Result<[Region; SEGMENTS], Error> {
    let mut held: Vec<Region> = Vec::with_capacity(SEGMENTS);
    for (&length, protection) in lengths.iter().zip(PROTECTIONS) {
        match space.reserve(&want(length, protection, nearer(near, &held))) {
            Ok(region) => held.push(region),
            Err(error) => {
                release(space, &held)?;
                return Err(error.into());
            }
        }
    }
    Ok(held
        .try_into()
        .expect("one region was reserved for each segment"))
}

/// Gives regions back after a failure.
pub(crate) fn release(space: &mut dyn AddressSpace, regions: &[Region]) -> Result<(), Error> {
    for region in regions {
        space
            .release(region)
            .map_err(|e| Error::Lost(e.to_string()))?;
    }
    Ok(())
}

fn want(length: u64, protection: Protection, near: Near) -> Reserve {
    Reserve {
        length,
        protection,
        alignment: 4096,
        near,
    }
}

/// Where the next region of a slab should lie: as asked, and in reach of the
/// slab's regions so far.
fn nearer(near: &Near, held: &[Region]) -> Near {
    let reach = held.iter().map(Region::range).reduce(union);
    match (near, reach) {
        (near, None) => near.clone(),
        (Near::Low, Some(_)) => Near::Low,
        (Near::Range(range), Some(reach)) => Near::Range(union(range.clone(), reach)),
        (Near::Anywhere | Near::At(_), Some(reach)) => Near::Range(reach),
    }
}

fn union(a: Range<HostAddr>, b: Range<HostAddr>) -> Range<HostAddr> {
    a.start.min(b.start)..a.end.max(b.end)
}
