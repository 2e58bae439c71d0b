//! [`Breakpoints`]: what the user wished for, apart from [`Sites`]: where
//! something stands in memory for it.
//!
//! A breakpoint is a wish with a number, and has any number of places; none
//! while it is pending. A site is an address and everyone's reasons to stop
//! there; it is in the target's memory exactly while it has a reason. Nothing
//! here touches a target or a module: placing is done by whoever resolves
//! specs, inserting by whoever holds the target, and both learn from return
//! values what is to be done.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::command::{Catch, Spec};
use crate::target::{Address, ThreadId};

/// A breakpoint's number, as the user sees it; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BreakpointId(pub u32);

impl fmt::Display for BreakpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a breakpoint stops at.
#[derive(Clone, PartialEq, Debug)]
pub enum Wish {
    /// Execution of a place.
    Place(Spec),
    /// An access of memory.
    Watch(Watch),
    /// Something that is no place.
    Catch(Catch),
}

/// A watched expression.
#[derive(Clone, PartialEq, Debug)]
pub struct Watch {
    /// The expression.
    pub expression: String,
    /// Reads count too, and writes that change nothing.
    pub reads: bool,
    /// Where its storage is, and how many bytes.
    pub storage: Option<(Address, u64)>,
    /// The hardware slots in use; none for one that is watched by stepping.
    pub slots: Vec<u8>,
    /// The bytes when they were last looked at.
    pub bytes: Vec<u8>,
    /// The value when it was last shown.
    pub shown: String,
    /// The frame whose local it is, and where that frame returns to: the watch
    /// ends with it.
    pub scope: Option<Scope>,
}

/// The life of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The thread.
    pub thread: ThreadId,
    /// The frame's canonical frame address.
    pub cfa: Address,
    /// Where it returns to.
    pub caller: Address,
}

/// Where a breakpoint stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Place {
    /// The address.
    pub address: Address,
    /// The function it lies in.
    pub function: Option<String>,
    /// The source file.
    pub file: Option<Arc<Path>>,
    /// The line, 0 where nobody says.
    pub line: u32,
}

/// What the user wished for.
#[derive(Clone, PartialEq, Debug)]
pub struct Breakpoint {
    /// Its number.
    pub id: BreakpointId,
    /// What it stops at.
    pub wish: Wish,
    /// The file that a spec without one means.
    pub file: Option<Arc<Path>>,
    /// Goes away when it is hit.
    pub temporary: bool,
    /// Counts.
    pub enabled: bool,
    /// Stops only where this is not zero.
    pub condition: Option<String>,
    /// Hits still to be ignored.
    pub ignore: u64,
    /// Is disabled after so many stops more.
    pub left: Option<u64>,
    /// Hits so far.
    pub hits: u64,
    /// What is executed at each hit.
    pub commands: Vec<String>,
    /// Stops only this thread, by the debugger's number.
    pub thread: Option<u32>,
    /// What is printed at each hit, instead of stopping: `dprintf`'s text.
    pub template: Option<String>,
    /// The user was told that it has a place: the news when a program lies
    /// elsewhere than its file let expect is none.
    pub announced: bool,
    /// Where it stands; empty while it is pending.
    pub places: Vec<Place>,
}

impl Breakpoint {
    /// Whether nothing matches its spec yet.
    pub fn is_pending(&self) -> bool {
        matches!(self.wish, Wish::Place(_)) && self.places.is_empty()
    }
}

/// Every breakpoint, by number.
#[derive(Clone, Debug, Default)]
pub struct Breakpoints {
    all: BTreeMap<BreakpointId, Breakpoint>,
    last: u32,
}

impl Breakpoints {
    /// Takes in a wish, with no place yet.
    pub fn add(&mut self, wish: Wish, temporary: bool) -> &mut Breakpoint {
        self.last += 1;
        let id = BreakpointId(self.last);
        self.all.entry(id).or_insert(Breakpoint {
            id,
            wish,
            file: None,
            temporary,
            enabled: true,
            condition: None,
            ignore: 0,
            left: None,
            hits: 0,
            commands: Vec::new(),
            thread: None,
            template: None,
            announced: false,
            places: Vec::new(),
        })
    }

    /// Takes one out.
    pub fn remove(&mut self, id: BreakpointId) -> Option<Breakpoint> {
        self.all.remove(&id)
    }

    /// The breakpoint of that number.
    pub fn get(&self, id: BreakpointId) -> Option<&Breakpoint> {
        self.all.get(&id)
    }

    /// The breakpoint of that number, to change.
    pub fn get_mut(&mut self, id: BreakpointId) -> Option<&mut Breakpoint> {
        self.all.get_mut(&id)
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Breakpoint> {
        self.all.values()
    }

    /// The number given last.
    pub fn newest(&self) -> Option<BreakpointId> {
        self.all.keys().next_back().copied()
    }
}

/// Why execution should stop at an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// A breakpoint of the user's.
    User(BreakpointId),
    /// The dynamic linker says here that the list of libraries changed.
    Libraries,
    /// A step, `finish` or `until` goes this far.
    Step,
    /// A function that we called returns here.
    CallReturn,
    /// A watched local's frame returns here.
    Scope(BreakpointId),
}

/// What is to be done in the target after a change of [`Sites`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Insert a breakpoint there.
    Insert(Address),
    /// Remove the one there.
    Remove(Address),
}

/// Everyone's reasons to stop, by address.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    reasons: BTreeMap<Address, Vec<Reason>>,
}

impl Sites {
    /// Adds a reason. Says what is to be done, if anything.
    pub fn add(&mut self, at: Address, reason: Reason) -> Option<Change> {
        let reasons = self.reasons.entry(at).or_default();
        reasons.push(reason);
        (reasons.len() == 1).then_some(Change::Insert(at))
    }

    /// Takes one such reason back.
    pub fn remove(&mut self, at: Address, reason: Reason) -> Option<Change> {
        let reasons = self.reasons.get_mut(&at)?;
        let index = reasons.iter().position(|r| *r == reason)?;
        reasons.remove(index);
        if !reasons.is_empty() {
            return None;
        }
        self.reasons.remove(&at);
        Some(Change::Remove(at))
    }

    /// Takes back every reason that satisfies the test.
    pub fn remove_all(&mut self, test: impl Fn(Reason) -> bool) -> Vec<Change> {
        let mut changes = Vec::new();
        self.reasons.retain(|at, reasons| {
            reasons.retain(|r| !test(*r));
            if reasons.is_empty() {
                changes.push(Change::Remove(*at));
            }
            !reasons.is_empty()
        });
        changes
    }

    /// The reasons to stop there; empty where there is no site.
    pub fn at(&self, at: Address) -> &[Reason] {
        self.reasons.get(&at).map_or(&[], Vec::as_slice)
    }

    /// Every site.
    pub fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.reasons.keys().copied()
    }

    /// Forgets everything, because the memory it stood in is gone.
    pub fn clear(&mut self) {
        self.reasons.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_stands_while_it_has_a_reason() {
        let (at, mut sites) = (Address(16), Sites::default());
        let user = Reason::User(BreakpointId(1));
        assert_eq!(sites.add(at, user), Some(Change::Insert(at)));
        assert_eq!(sites.add(at, Reason::Step), None);
        assert_eq!(sites.remove(at, user), None);
        assert_eq!(sites.remove(at, user), None, "it was taken back already");
        assert_eq!(sites.remove(at, Reason::Step), Some(Change::Remove(at)));
        assert_eq!(sites.at(at), []);
    }

    #[test]
    fn numbers_are_never_used_twice() {
        let mut breakpoints = Breakpoints::default();
        let wish = || Wish::Place(Spec::Function("f".into()));
        let first = breakpoints.add(wish(), false).id;
        breakpoints.remove(first);
        assert_ne!(breakpoints.add(wish(), false).id, first);
    }
}
