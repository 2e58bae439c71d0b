//! [`Recorder`]: a ground that nobody runs, which writes down what a publish
//! does to it, so that it can be done again in another process.
//!
//! Everything lies at a fixed address far from all libraries, so that code
//! reaches what is outside through stubs and cells, and only those words hold
//! outside addresses. Which words these are is not asked of the linker but
//! found: the same batch is linked twice, with every outside name at another
//! address each time, and what differs are the words to be filled in. A
//! difference that is not such a word (a value computed from an address in some
//! other way) means that this image cannot be kept.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::kept::{KeptImage, KeptName, KeptRegion, Place};
use super::mapping::PAGE;
use super::wire::Request;
use crate::HostAddr;
use crate::arena::Arena;
use crate::batch::Ground;
use crate::host::{Call, Extent, Host, HostError, Outside, Resolver, ThreadLocals, Unwind, Wanted};
use crate::space::{AddressSpace, Near, Protection, Region, Reserve, SpaceError, SpaceId, Write};

/// Where kept images lie: far above the executable and its heap, far below
/// libraries and stacks.
const BASE: u64 = 64 << 30;
/// Where those lie that must be below 2 GiB: past the highest place that the
/// kernel picks for the heap of an executable at a fixed address.
const LOW_BASE: u64 = 0x5000_0000;
const LOW_END: u64 = 0x8000_0000;

/// What names stood for when the image was first linked. Wraps the resolver of
/// that link.
pub struct Noting<'a> {
    inner: &'a mut dyn Resolver,
    answers: Answers,
}

/// Each name and version with its answer.
pub type Answers = FxHashMap<(String, Option<String>), Option<Outside>>;

impl<'a> Noting<'a> {
    /// Asks `inner`, and remembers what it says.
    pub fn new(inner: &'a mut dyn Resolver) -> Noting<'a> {
        Noting {
            inner,
            answers: Answers::default(),
        }
    }

    /// What was said.
    pub fn answers(self) -> Answers {
        self.answers
    }
}

impl Resolver for Noting<'_> {
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError> {
        let found = self.inner.resolve(wanted)?;
        for (wanted, answer) in wanted.iter().zip(&found) {
            self.answers.insert(key(wanted), *answer);
        }
        Ok(found)
    }

    fn extents(&mut self, at: &[HostAddr]) -> Result<Vec<Option<Extent>>, HostError> {
        self.inner.extents(at)
    }
}

fn key(wanted: &Wanted<'_>) -> (String, Option<String>) {
    (wanted.name.to_owned(), wanted.version.map(str::to_owned))
}

/// Links twice into recorders and gives what is to be kept, or why it cannot
/// be. `link` publishes everything and gives the address of `main`.
pub fn record(
    answers: &Answers,
    libraries: &[String],
    mut link: impl FnMut(&mut dyn Ground) -> Result<HostAddr, String>,
) -> Result<KeptImage, String> {
    let mut linked = |fakes| {
        let mut recorder = Recorder::new(answers, fakes);
        let main = link(&mut recorder)?;
        recorder.is_whole()?;
        Ok::<_, String>((recorder, main))
    };
    let (first, main) = linked(Fakes::FIRST)?;
    let (second, again) = linked(Fakes::SECOND)?;
    if main != again || first.steps != second.steps || first.wanted != second.wanted {
        return Err("two links of the same inputs differ".to_owned());
    }
    let names = places(&first, &second)?;
    let opened = libraries.iter().cloned();
    let mut steps: Vec<Request> = opened.map(|library| Request::Open { library }).collect();
    steps.extend(first.steps);
    Ok(KeptImage {
        main: main.get(),
        regions: first.regions.into_iter().filter_map(keep_region).collect(),
        names,
        absent: first.absent,
        steps,
    })
}

/// Links what was kept once more, to know what lies where in it. `link` publishes
/// what was published when it was recorded.
pub fn relink<T>(image: &KeptImage, link: impl FnOnce(&mut dyn Ground) -> Option<T>) -> Option<T> {
    let here = Some(Outside::Address(HostAddr(0)));
    let names = image.names.iter();
    let known = names.map(|name| ((name.name.clone(), name.version.clone()), here));
    let absent = image.absent.iter().map(|name| (name.clone(), None));
    let answers: Answers = known.chain(absent).collect();
    let mut recorder = Recorder::new(&answers, Fakes::FIRST);
    // A name that is not in the image was asked for, and had an address.
    recorder.by_default = here;
    link(&mut recorder)
}

/// Made-up addresses of outside names: each link's own, far from the image and
/// from one another, and different in every byte that an address has.
#[derive(Clone, Copy)]
struct Fakes {
    base: u64,
    /// From one name's address to the next.
    step: u64,
}

impl Fakes {
    const FIRST: Fakes = Fakes {
        base: 0x1122_3344_5566,
        step: 1 << 25,
    };
    const SECOND: Fakes = Fakes {
        base: 0x2233_4455_6677,
        step: 3 << 24,
    };

    fn address(self, name: u64) -> u64 {
        self.base + name * self.step
    }
}

struct Recorded {
    region: Region,
    bytes: Vec<u8>,
}

/// See the [module page](self).
struct Recorder<'a> {
    id: SpaceId,
    answers: &'a Answers,
    /// What a name stands for that has no answer.
    by_default: Option<Outside>,
    fakes: Fakes,
    next: u64,
    next_low: u64,
    regions: Vec<Recorded>,
    /// The names asked for, by number.
    wanted: Vec<(String, Option<String>)>,
    /// Weak names that nobody had.
    absent: Vec<(String, Option<String>)>,
    steps: Vec<Request>,
    arena: Arena,
    /// What was asked that cannot be done again later.
    refused: Option<&'static str>,
}

impl<'a> Recorder<'a> {
    fn new(answers: &'a Answers, fakes: Fakes) -> Recorder<'a> {
        Recorder {
            id: SpaceId::fresh(),
            answers,
            by_default: None,
            fakes,
            next: BASE,
            next_low: LOW_BASE,
            regions: Vec::new(),
            wanted: Vec::new(),
            absent: Vec::new(),
            steps: Vec::new(),
            arena: Arena::default(),
            refused: None,
        }
    }

    fn is_whole(&self) -> Result<(), String> {
        self.refused.map_or(Ok(()), |why| Err(why.to_owned()))
    }

    fn slice(&mut self, at: HostAddr, length: u64) -> Option<&mut [u8]> {
        self.regions.iter_mut().find_map(|recorded| {
            let offset = at.get().checked_sub(recorded.region.start.get())? as usize;
            let end = offset.checked_add(usize::try_from(length).ok()?)?;
            recorded.bytes.get_mut(offset..end)
        })
    }

    fn find(&mut self, region: &Region) -> Result<&mut Recorded, SpaceError> {
        let mut regions = self.regions.iter_mut();
        let found = regions.find(|recorded| recorded.region == *region);
        found.ok_or_else(|| SpaceError::Failed("no such reservation".to_owned()))
    }
}

fn not_here() -> SpaceError {
    SpaceError::Failed("memory outside a recorded image".to_owned())
}

impl Ground for Recorder<'_> {
    fn space(&mut self) -> &mut dyn AddressSpace {
        self
    }
    fn host(&mut self) -> &mut dyn Host {
        self
    }
    fn resolver(&mut self) -> &mut dyn Resolver {
        self
    }
}

impl AddressSpace for Recorder<'_> {
    fn id(&self) -> SpaceId {
        self.id
    }

    fn reserve(&mut self, want: &Reserve) -> Result<Region, SpaceError> {
        let (next, end) = match want.near {
            Near::Low => (&mut self.next_low, LOW_END),
            Near::Range(ref range) if range.end.get() <= LOW_END => (&mut self.next_low, LOW_END),
            _ => (&mut self.next, BASE << 1),
        };
        let start = next.next_multiple_of(want.alignment.max(PAGE));
        let length = want.length.next_multiple_of(PAGE);
        if start.checked_add(length).is_none_or(|past| past > end) {
            return Err(SpaceError::NoRoom("a recorded image is full".to_owned()));
        }
        *next = start + length;
        let region = Region {
            start: HostAddr(start),
            length,
            protection: want.protection,
        };
        self.regions.push(Recorded {
            region: region.clone(),
            bytes: Vec::new(),
        });
        Ok(region)
    }

    fn release(&mut self, region: &Region) -> Result<(), SpaceError> {
        self.find(region)?;
        self.regions.retain(|recorded| recorded.region != *region);
        Ok(())
    }

    fn commit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        let bytes = &mut self.find(region)?.bytes;
        bytes.resize(bytes.len().max(length as usize), 0);
        Ok(())
    }

    fn decommit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        self.find(region)?.bytes.truncate(length as usize);
        Ok(())
    }

    fn window(&mut self, at: HostAddr, length: u64) -> Option<&mut [u8]> {
        self.slice(at, length)
    }

    fn apply(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        // What an indirect function's resolver said is written by another step.
        if self.steps.iter().any(|s| matches!(s, Request::Call { .. })) {
            self.refused = Some("it has indirect functions");
        }
        for write in writes {
            self.slice(write.at, write.bytes.len() as u64)
                .ok_or_else(not_here)?
                .copy_from_slice(write.bytes);
        }
        Ok(())
    }

    fn read(&mut self, at: HostAddr, into: &mut [u8]) -> Result<(), SpaceError> {
        let length = into.len() as u64;
        into.copy_from_slice(self.slice(at, length).ok_or_else(not_here)?);
        Ok(())
    }
}

impl Host for Recorder<'_> {
    fn call(&mut self) -> Option<&mut dyn Call> {
        Some(self)
    }
    fn thread_locals(&mut self) -> Option<&mut dyn ThreadLocals> {
        Some(self)
    }
    fn unwind(&mut self) -> Option<&mut dyn Unwind> {
        Some(self)
    }
}

impl Call for Recorder<'_> {
    fn call(&mut self, function: HostAddr, arguments: &[u64]) -> Result<u64, HostError> {
        let mut registers = [0; 6];
        registers[..arguments.len()].copy_from_slice(arguments);
        self.steps.push(Request::Call {
            function: function.get(),
            arguments: registers,
        });
        Ok(0)
    }

    fn at_exit(&mut self, function: HostAddr) -> Result<(), HostError> {
        self.steps.push(Request::AtExit {
            function: function.get(),
        });
        Ok(())
    }
}

/// The arena is the executable's, so offsets are the same in every process.
impl ThreadLocals for Recorder<'_> {
    fn reserve(&mut self, size: u64, alignment: u64) -> Result<i64, HostError> {
        self.steps
            .push(Request::ReserveThreadLocal { size, alignment });
        let offset = self.arena.reserve(size, alignment);
        offset.ok_or_else(|| HostError::Failed("no room for thread-locals".to_owned()))
    }

    fn initialise(&mut self, offset: i64, bytes: &[u8]) -> Result<(), HostError> {
        self.steps.push(Request::InitialiseThreadLocal {
            offset,
            bytes: bytes.to_vec(),
        });
        Ok(())
    }

    fn release(&mut self, _offset: i64) -> Result<(), HostError> {
        self.refused = Some("its thread-locals were given back");
        Ok(())
    }
}

impl Unwind for Recorder<'_> {
    fn register(&mut self, eh_frame: Range<HostAddr>) -> Result<(), HostError> {
        self.steps.push(Request::RegisterFrames {
            start: eh_frame.start.get(),
        });
        Ok(())
    }

    fn deregister(&mut self, _eh_frame: Range<HostAddr>) -> Result<(), HostError> {
        self.refused = Some("its unwind entries were taken back");
        Ok(())
    }
}

impl Resolver for Recorder<'_> {
    fn resolve(&mut self, wanted: &[Wanted<'_>]) -> Result<Vec<Option<Outside>>, HostError> {
        let mut found = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let key = key(wanted);
            let answer = self.answers.get(&key).copied();
            found.push(match answer.or(self.by_default.map(Some)) {
                Some(Some(Outside::Address(_))) => {
                    let known = self.wanted.iter().position(|other| *other == key);
                    let number = known.unwrap_or(self.wanted.len()) as u64;
                    if known.is_none() {
                        self.wanted.push(key);
                    }
                    Some(Outside::Address(HostAddr(self.fakes.address(number))))
                }
                Some(None) => {
                    self.absent.push(key);
                    None
                }
                Some(Some(_)) => {
                    self.refused = Some("it uses a library's thread-locals or resolvers directly");
                    None
                }
                None => {
                    self.refused = Some("it asks for a name that was not asked for before");
                    None
                }
            });
        }
        Ok(found)
    }
}

/// Where outside addresses lie in the image, by name.
fn places(first: &Recorder<'_>, second: &Recorder<'_>) -> Result<Vec<KeptName>, String> {
    let mut names: Vec<KeptName> = first
        .wanted
        .iter()
        .map(|(name, version)| KeptName {
            name: name.clone(),
            version: version.clone(),
            places: Vec::new(),
        })
        .collect();
    if first.regions.len() != second.regions.len() {
        return Err("two links of the same inputs differ".to_owned());
    }
    for (one, other) in first.regions.iter().zip(&second.regions) {
        if one.region != other.region || one.bytes.len() != other.bytes.len() {
            return Err("two links of the same inputs differ".to_owned());
        }
        for (index, (a, b)) in words(&one.bytes).zip(words(&other.bytes)).enumerate() {
            if a == b {
                continue;
            }
            let at = one.region.start.get() + index as u64 * 8;
            let (name, addend) = explain(first, second, a, b)
                .filter(|_| one.region.protection == Protection::Data)
                .ok_or_else(|| format!("the word at {at:#x} depends on an outside address"))?;
            names[name].places.push(Place { at, addend });
        }
    }
    // A name that only a discarded section asked for.
    names.retain(|name| !name.places.is_empty());
    Ok(names)
}

/// Which name's address two different words hold, and what was added to it.
fn explain(first: &Recorder<'_>, second: &Recorder<'_>, a: u64, b: u64) -> Option<(usize, i64)> {
    let Fakes { base, step } = first.fakes;
    let number = a.wrapping_sub(base).wrapping_add(step / 2) / step;
    let addend = a.wrapping_sub(first.fakes.address(number));
    let name = usize::try_from(number).ok()?;
    let holds = name < first.wanted.len() && b == second.fakes.address(number).wrapping_add(addend);
    holds.then_some((name, addend.cast_signed()))
}

/// A region's bytes as words; committed lengths are whole pages.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let words = bytes.chunks(8);
    words.map(|word| {
        let mut whole = [0; 8];
        whole[..word.len()].copy_from_slice(word);
        u64::from_le_bytes(whole)
    })
}

/// What is kept of a region: `None` for one that was never written.
fn keep_region(recorded: Recorded) -> Option<KeptRegion> {
    let Recorded { region, mut bytes } = recorded;
    let length = bytes.len() as u64;
    let filled = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    bytes.truncate(filled);
    (length > 0).then_some(KeptRegion {
        start: region.start.get(),
        length,
        protection: region.protection,
        bytes,
    })
}
