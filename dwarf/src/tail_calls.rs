//! Frames that are gone: a function whose last act is a call hands its frame
//! on, so the stack has it no more. The debug information lists the calls of
//! each function and which of them are such tail calls; where there is only one
//! way from what a frame called to what runs in its place, the functions between
//! are known.

use gimli::constants as c;

use crate::info::{Entry, Info, Value};
use crate::{Address, EntryId, Module};

/// A call that a function makes.
#[derive(Clone, Copy, Debug)]
struct CallSite {
    /// Where the call returns to; behind the jump of a tail call.
    returns: u64,
    /// The entry point of what it calls; `None` where that is only known when
    /// it runs.
    target: Option<u64>,
    is_tail: bool,
}

/// The longest chain that is looked for.
const MAX_CHAIN: usize = 32;
/// The most functions that are looked at for one frame.
const MAX_FUNCTIONS: usize = 512;

/// The search for the ways from one function to another by tail calls alone.
struct Search<'m, 'i, 'a> {
    module: &'m Module,
    info: &'i Info<'a>,
    callee: u64,
    /// The functions on the way, by entry point, and the calls between them.
    way: Vec<u64>,
    calls: Vec<u64>,
    /// What all ways that were found so far have in common: the calls from the
    /// start and those up to the end.
    common: Option<(Vec<u64>, Vec<u64>)>,
    looked_at: usize,
}

impl Search<'_, '_, '_> {
    /// Follows all tail calls of the function at an entry point; `None` where
    /// one leads nobody knows where, or the search is too long.
    fn follow(&mut self, entry: u64) -> Option<()> {
        if entry == self.callee {
            self.take_in();
            return Some(());
        }
        self.looked_at += 1;
        if self.looked_at > MAX_FUNCTIONS || self.way.len() >= MAX_CHAIN {
            return None;
        }
        if self.way.contains(&entry) {
            return Some(());
        }
        // A function without debug information ends the way.
        let Some(function) = self.info.function_at(entry) else {
            return Some(());
        };
        self.way.push(entry);
        for site in self.info.call_sites(self.module, function) {
            if site.is_tail {
                self.calls.push(site.returns);
                self.follow(site.target?)?;
                self.calls.pop();
            }
        }
        self.way.pop();
        Some(())
    }

    /// One way was found.
    fn take_in(&mut self) {
        let calls = &self.calls;
        self.common = Some(match self.common.take() {
            None => (calls.clone(), calls.clone()),
            Some((first, last)) => {
                let same = first.iter().zip(calls).take_while(|(a, b)| a == b);
                let same = same.count();
                let back = last.iter().rev().zip(calls.iter().rev());
                let back = back.take_while(|(a, b)| a == b).count();
                (first[..same].to_vec(), last[last.len() - back..].to_vec())
            }
        });
    }
}

impl<'a> Info<'a> {
    /// The calls that a function makes, those of what was inlined into it among
    /// them.
    fn call_sites(&self, module: &Module, function: EntryId) -> Vec<CallSite> {
        let mut sites = Vec::new();
        let Some(unit) = self.unit(function.unit) else {
            return sites;
        };
        let start = gimli::UnitOffset(function.offset as usize);
        let Ok(mut entries) = unit.entries_raw(Some(start)) else {
            return sites;
        };
        let mut entry = Entry::null();
        if entries.read_entry(&mut entry).is_err() {
            return sites;
        }
        while !entries.is_empty() && entries.next_depth() > 0 {
            match entries.read_entry(&mut entry) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(_) => break,
            }
            if !matches!(entry.tag(), c::DW_TAG_call_site | c::DW_TAG_GNU_call_site) {
                continue;
            }
            let returns = [c::DW_AT_call_return_pc, c::DW_AT_low_pc];
            let returns = returns
                .iter()
                .find_map(|&at| self.address_of(function.unit, unit, entry.attr_value(at)));
            let Some(returns) = returns else { continue };
            let is_set = |at| matches!(entry.attr_value(at), Some(Value::Flag(true)));
            sites.push(CallSite {
                returns,
                target: self.call_target(module, function.unit, &entry),
                is_tail: is_set(c::DW_AT_call_tail_call) || is_set(c::DW_AT_GNU_tail_call),
            });
        }
        sites
    }

    /// The entry point of the function that a call site names.
    fn call_target(&self, module: &Module, unit: u32, entry: &Entry<'a>) -> Option<u64> {
        let origin = entry
            .attr_value(c::DW_AT_call_origin)
            .or_else(|| entry.attr_value(c::DW_AT_abstract_origin))?;
        let id = self.follow(unit, origin)?;
        for (id, entry) in self.lineage(id) {
            let unit = self.unit(id.unit)?;
            if let Some(range) = self.ranges_of(id.unit, unit, &entry).first() {
                return Some(range.start);
            }
        }
        // A declaration of a function of another unit: its symbol has it.
        let lineage = self.lineage(id);
        let name = |at| {
            lineage
                .iter()
                .find_map(|(id, entry)| self.text(id.unit, entry.attr_value(at)))
        };
        let name = name(c::DW_AT_linkage_name).or_else(|| name(c::DW_AT_name))?;
        let symbol = module.symbol_named(name.to_string().ok()?)?;
        Some(module.to_file(symbol.address))
    }
}

impl Module {
    /// The tail calls between a frame and the function that runs in place of
    /// what it called: where each would return to, the innermost first.
    ///
    /// `returns` is where the frame's call returns to, `callee` the entry point
    /// of the function of the next frame inwards. Empty where that is what was
    /// called, and where nobody can tell. Where there are several ways only the
    /// calls are given that all have in common.
    pub fn tail_calls(&self, returns: Address, callee: Address) -> Vec<Address> {
        let found = self.info(|info| {
            let (returns, callee) = (self.to_file(returns), self.to_file(callee));
            let caller = info.function_at(returns.wrapping_sub(1))?;
            let sites = info.call_sites(self, caller);
            let site = sites.iter().find(|site| site.returns == returns)?;
            let target = site.target.filter(|&target| target != callee)?;
            let mut search = Search {
                module: self,
                info,
                callee,
                way: Vec::new(),
                calls: Vec::new(),
                common: None,
                looked_at: 0,
            };
            search.follow(target)?;
            let (first, last) = search.common?;
            let overlap = first == last;
            let calls = first
                .into_iter()
                .chain(if overlap { Vec::new() } else { last });
            let mut calls: Vec<Address> = calls.map(|at| self.to_memory(at)).collect();
            calls.reverse();
            Some(calls)
        });
        found.flatten().unwrap_or_default()
    }
}
