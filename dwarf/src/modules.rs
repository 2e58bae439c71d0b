//! Which module is at an address.
//!
//! A module may be *closed*: an [`Outline`] and somebody who opens it. Looking
//! it up opens it; questions about a name or a file pass by those whose outline
//! says no, so ten thousand small objects cost little until one is looked at.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::outline::OutlineNames;
use crate::{Address, Module, Outline};

/// Opens a module when it is first looked at; nothing where it turns out to be
/// damaged.
pub trait OpenModule: Send + Sync {
    /// The object's name and bytes.
    fn bytes(&self) -> Option<(PathBuf, Vec<u8>)>;
    /// The module.
    fn open(&self) -> Option<Module>;
}

/// What modules are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Having<'a> {
    /// All of them.
    Anything,
    /// Those that were never closed.
    Opened,
    /// Those that may mention a source file whose path ends so.
    File(&'a str),
    /// Those that may have an entry or symbol of that name.
    Name(&'a str),
}

/// A module, or what will be one.
#[derive(Clone)]
enum Slot {
    Gone,
    Open(Arc<Module>),
    Closed(Arc<Closed>),
}

struct Closed {
    outline: Outline,
    opener: Box<dyn OpenModule>,
    /// Read when first asked for; nothing where they cannot be told.
    names: OnceLock<Option<OutlineNames>>,
    module: OnceLock<Option<Arc<Module>>>,
}

impl Closed {
    fn may_name(&self, name: &str) -> bool {
        let read = || {
            let (title, bytes) = self.opener.bytes()?;
            OutlineNames::read(&title, &bytes)
        };
        let names = self.names.get_or_init(read).as_ref();
        names.is_none_or(|names| names.may_name(name))
    }
}

impl Slot {
    fn module(&self) -> Option<&Arc<Module>> {
        match self {
            Slot::Gone => None,
            Slot::Open(module) => Some(module),
            Slot::Closed(closed) => {
                let open = || closed.opener.open().map(Arc::new);
                closed.module.get_or_init(open).as_ref()
            }
        }
    }

    /// The memory it takes up, unless it is gone.
    fn ranges(&self) -> Option<&[Range<Address>]> {
        match self {
            Slot::Gone => None,
            Slot::Open(module) => Some(module.ranges()),
            Slot::Closed(closed) => Some(closed.outline.ranges()),
        }
    }

    /// Whether it may have what is asked for.
    fn may(&self, have: &Having<'_>) -> bool {
        match (self, have) {
            (Slot::Gone, _) => false,
            (Slot::Open(_), _) | (_, Having::Anything) => true,
            (Slot::Closed(_), Having::Opened) => false,
            (Slot::Closed(closed), Having::File(suffix)) => closed.outline.may_mention(suffix),
            (Slot::Closed(closed), Having::Name(name)) => closed.may_name(name),
        }
    }
}

/// A module of one [`Modules`]; never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u32);

impl ModuleId {
    /// The module of [`Modules::set_machine`].
    pub const MACHINE: ModuleId = ModuleId(u32::MAX);
}

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "module{}", self.0)
    }
}

impl fmt::Debug for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The modules of a program, found by address.
///
/// Adding or removing one costs the logarithm of how many there are, and
/// touches no other.
#[derive(Clone, Default)]
pub struct Modules {
    modules: Vec<Slot>,
    /// Each range of each module by its first address: its end, its module.
    ranges: BTreeMap<Address, (Address, ModuleId)>,
    machine: Option<Arc<Module>>,
}

impl Modules {
    /// No modules.
    pub fn new() -> Modules {
        Modules::default()
    }

    /// Takes in a module. Where its addresses overlap an older one's, the
    /// newer one is found.
    pub fn add(&mut self, module: Module) -> ModuleId {
        self.add_slot(Slot::Open(Arc::new(module)))
    }

    /// Takes in a module of types that are no program's. It has no code, and is
    /// found by [`ModuleId::MACHINE`] alone.
    pub fn set_machine(&mut self, module: Arc<Module>) {
        self.machine = Some(module);
    }

    /// Whether there is a module of types that are no program's.
    pub fn has_machine(&self) -> bool {
        self.machine.is_some()
    }

    /// Takes in a module that is opened when it is first looked at.
    pub fn add_closed(&mut self, outline: Outline, opener: Box<dyn OpenModule>) -> ModuleId {
        self.add_slot(Slot::Closed(Arc::new(Closed {
            outline,
            opener,
            names: OnceLock::new(),
            module: OnceLock::new(),
        })))
    }

    fn add_slot(&mut self, slot: Slot) -> ModuleId {
        let id = ModuleId(u32::try_from(self.modules.len()).expect("2^32 modules"));
        for range in slot.ranges().unwrap_or_default() {
            self.clear(range.start, range.end);
            self.ranges.insert(range.start, (range.end, id));
        }
        self.modules.push(slot);
        id
    }

    /// Takes a module out. Says what memory was its own, if it was there; one
    /// that is closed is not opened for that.
    pub fn remove(&mut self, id: ModuleId) -> Option<Box<[Range<Address>]>> {
        let slot = std::mem::replace(self.modules.get_mut(id.0 as usize)?, Slot::Gone);
        let ranges: Box<[Range<Address>]> = slot.ranges()?.into();
        for range in &ranges {
            if self
                .ranges
                .get(&range.start)
                .is_some_and(|&(_, owner)| owner == id)
            {
                self.ranges.remove(&range.start);
            }
        }
        Some(ranges)
    }

    /// The module of that id, unless it was removed.
    pub fn get(&self, id: ModuleId) -> Option<&Arc<Module>> {
        if id == ModuleId::MACHINE {
            return self.machine.as_ref();
        }
        self.modules.get(id.0 as usize)?.module()
    }

    /// The module whose memory `at` lies in.
    pub fn at(&self, at: Address) -> Option<(ModuleId, &Arc<Module>)> {
        let (_, &(end, id)) = self.ranges.range(..=at).next_back()?;
        if at >= end {
            return None;
        }
        Some((id, self.get(id)?))
    }

    /// All modules, in the order in which they came. Opens those that are
    /// closed: ask for those with a [name](Modules::naming) or a
    /// [file](Modules::mentioning) where that is what is looked for.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (ModuleId, &Arc<Module>)> {
        self.since(0, Having::Anything)
    }

    /// The modules that were never closed: the program and its libraries.
    pub fn opened(&self) -> impl DoubleEndedIterator<Item = (ModuleId, &Arc<Module>)> {
        self.since(0, Having::Opened)
    }

    /// The modules that may have an entry or symbol of that name.
    pub fn naming<'a>(
        &'a self,
        name: &'a str,
    ) -> impl DoubleEndedIterator<Item = (ModuleId, &'a Arc<Module>)> {
        self.since(0, Having::Name(name))
    }

    /// The modules that may mention a source file whose path ends so.
    pub fn mentioning<'a>(
        &'a self,
        suffix: &'a str,
    ) -> impl DoubleEndedIterator<Item = (ModuleId, &'a Arc<Module>)> {
        self.since(0, Having::File(suffix))
    }

    /// The modules that came after the first `count` ever added and may have
    /// that: what is new since [`Modules::added`] said `count`.
    pub fn since<'a>(
        &'a self,
        count: usize,
        having: Having<'a>,
    ) -> impl DoubleEndedIterator<Item = (ModuleId, &'a Arc<Module>)> {
        let slots = self.modules.iter().enumerate().skip(count);
        slots
            .filter(move |(_, slot)| slot.may(&having))
            .filter_map(|(index, slot)| Some((ModuleId(index as u32), slot.module()?)))
    }

    /// All modules' ids, in the order in which they came. Opens none.
    pub fn ids(&self) -> impl Iterator<Item = ModuleId> {
        let there = |slot: &Slot| !matches!(slot, Slot::Gone);
        let slots = self.modules.iter().enumerate();
        slots
            .filter(move |(_, slot)| there(slot))
            .map(|(index, _)| ModuleId(index as u32))
    }

    /// How many modules were ever added.
    pub fn added(&self) -> usize {
        self.modules.len()
    }

    /// Drops the ranges that overlap `start..end`, keeping what lies outside.
    fn clear(&mut self, start: Address, end: Address) {
        let overlapping: Vec<Address> = self
            .ranges
            .range(..end)
            .rev()
            .take_while(|(_, (other_end, _))| *other_end > start)
            .map(|(&first, _)| first)
            .collect();
        for first in overlapping {
            let (last, owner) = self.ranges.remove(&first).expect("it was just there");
            if first < start {
                self.ranges.insert(first, (start, owner));
            }
            if last > end {
                self.ranges.insert(end, (last, owner));
            }
        }
    }
}
