//! Which module is at an address.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{Address, Module};

/// A module of one [`Modules`]; never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u32);

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
    modules: Vec<Option<Arc<Module>>>,
    /// Each range of each module by its first address: its end, its module.
    ranges: BTreeMap<Address, (Address, ModuleId)>,
}

impl Modules {
    /// No modules.
    pub fn new() -> Modules {
        Modules::default()
    }

    /// Takes in a module. Where its addresses overlap an older one's, the
    /// newer one is found.
    pub fn add(&mut self, module: Module) -> ModuleId {
        let id = ModuleId(u32::try_from(self.modules.len()).expect("2^32 modules"));
        for range in module.ranges() {
            self.clear(range.start, range.end);
            self.ranges.insert(range.start, (range.end, id));
        }
        self.modules.push(Some(Arc::new(module)));
        id
    }

    /// Takes a module out, and gives it back if it was there.
    pub fn remove(&mut self, id: ModuleId) -> Option<Arc<Module>> {
        let module = self.modules.get_mut(id.0 as usize)?.take()?;
        for range in module.ranges() {
            if self
                .ranges
                .get(&range.start)
                .is_some_and(|&(_, owner)| owner == id)
            {
                self.ranges.remove(&range.start);
            }
        }
        Some(module)
    }

    /// The module of that id, unless it was removed.
    pub fn get(&self, id: ModuleId) -> Option<&Arc<Module>> {
        self.modules.get(id.0 as usize)?.as_ref()
    }

    /// The module whose memory `at` lies in.
    pub fn at(&self, at: Address) -> Option<(ModuleId, &Arc<Module>)> {
        let (_, &(end, id)) = self.ranges.range(..=at).next_back()?;
        if at >= end {
            return None;
        }
        Some((id, self.get(id)?))
    }

    /// All modules, in the order in which they came.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (ModuleId, &Arc<Module>)> {
        self.modules
            .iter()
            .enumerate()
            .filter_map(|(index, module)| Some((ModuleId(index as u32), module.as_ref()?)))
    }

    /// The modules that came after the first `count` ever added: what is new
    /// since [`Modules::added`] said `count`.
    pub fn since(&self, count: usize) -> impl Iterator<Item = (ModuleId, &Arc<Module>)> {
        self.modules
            .iter()
            .enumerate()
            .skip(count)
            .filter_map(|(index, module)| Some((ModuleId(index as u32), module.as_ref()?)))
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
