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

use sapwood_dwarf::EntryId;

use crate::command::{Catch, Spec, WatchKind};
use crate::stack::Frame;
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
    Watch(Box<Watch>),
    /// Something that is no place.
    Catch(Catch),
}

/// A watched expression.
#[derive(Clone, PartialEq, Debug)]
pub struct Watch {
    /// The expression.
    pub expression: String,
    /// What it stops at.
    pub kind: WatchKind,
    /// The debug registers in use, and whether each is of the value itself and
    /// not of what leads to it; none for one that is watched by stepping.
    pub slots: Vec<(u8, bool)>,
    /// The memory that the value hangs on: where, and how many bytes.
    pub storage: Vec<(Address, u64)>,
    /// The bytes of the storage when they were last looked at.
    pub bytes: Vec<u8>,
    /// Some of the value is in registers.
    pub in_register: bool,
    /// It is watched, or will be when there is a process, by debug registers.
    pub in_hardware: bool,
    /// The value's bytes when it was last looked at, where it could be read.
    pub value: Option<Vec<u8>>,
    /// The value when it was last looked at.
    pub shown: String,
    /// The frame that it is found by: the watch ends with it.
    pub scope: Option<Scope>,
    /// Where the expression's names were looked up. Of a watch without a scope
    /// nothing but that is asked of the frame, which may be long gone.
    pub seen_from: Option<Frame>,
}

impl Watch {
    /// What it is called.
    pub fn title(&self) -> &'static str {
        match (self.kind, self.in_hardware) {
            (WatchKind::Read, _) => "Hardware read watchpoint",
            (WatchKind::Access, _) => "Hardware access (read/write) watchpoint",
            (WatchKind::Write, true) => "Hardware watchpoint",
            (WatchKind::Write, false) => "Watchpoint",
        }
    }
}

/// The life of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The thread.
    pub thread: ThreadId,
    /// The frame's canonical frame address.
    pub cfa: Address,
    /// The function or inlined call that the frame is of.
    pub function: Option<EntryId>,
    /// Where in it the names were found.
    pub names_at: Address,
    /// Where it returns to, unless it is the outermost.
    pub caller: Option<Address>,
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
    /// Which of the functions that the source has at the address is meant: of
    /// those inlined there the others are not shown.
    pub frame: Option<EntryId>,
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
    /// Stands in a debug register, not in memory.
    pub hardware: bool,
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
    /// Why to stop at its places.
    pub fn reason(&self) -> Reason {
        match self.hardware {
            true => Reason::Hardware(self.id),
            false => Reason::User(self.id),
        }
    }

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
            hardware: false,
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
    /// One that stands in a debug register.
    Hardware(BreakpointId),
    /// The dynamic linker says here that the list of libraries changed.
    Libraries,
    /// The program announces here that it made code.
    Announced,
    /// A step, `finish` or `until` goes this far.
    Step,
    /// A function that we called returns here.
    CallReturn,
    /// A watched local's frame returns here.
    Scope(BreakpointId),
}

impl Reason {
    /// The breakpoint of the user's that it is of.
    pub fn of_user(self) -> Option<BreakpointId> {
        match self {
            Reason::User(id) | Reason::Hardware(id) => Some(id),
            _ => None,
        }
    }

    fn is_hardware(self) -> bool {
        matches!(self, Reason::Hardware(_))
    }
}

/// What is to be done in the target after a change of [`Sites`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Insert a breakpoint there.
    Insert(Address),
    /// Remove the one there.
    Remove(Address),
    /// Have a debug register stop there.
    Arm(Address),
    /// Free the debug register that does.
    Disarm(Address),
}

/// What stands at an address: in memory, in a debug register.
fn standing(reasons: &[Reason]) -> [bool; 2] {
    [false, true].map(|hardware| reasons.iter().any(|r| r.is_hardware() == hardware))
}

/// What is to be done at an address where one thing stood and another shall.
fn changes(at: Address, before: [bool; 2], after: [bool; 2]) -> impl Iterator<Item = Change> {
    let change = |index: usize, come: Change, go: Change| match (before[index], after[index]) {
        (false, true) => Some(come),
        (true, false) => Some(go),
        _ => None,
    };
    let soft = change(0, Change::Insert(at), Change::Remove(at));
    let hard = change(1, Change::Arm(at), Change::Disarm(at));
    soft.into_iter().chain(hard)
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
        let before = standing(reasons);
        reasons.push(reason);
        changes(at, before, standing(reasons)).next()
    }

    /// Takes one such reason back.
    pub fn remove(&mut self, at: Address, reason: Reason) -> Option<Change> {
        let reasons = self.reasons.get_mut(&at)?;
        let index = reasons.iter().position(|r| *r == reason)?;
        let before = standing(reasons);
        reasons.remove(index);
        let after = standing(reasons);
        if reasons.is_empty() {
            self.reasons.remove(&at);
        }
        changes(at, before, after).next()
    }

    /// Takes back every reason that satisfies the test.
    pub fn remove_all(&mut self, test: impl Fn(Reason) -> bool) -> Vec<Change> {
        let mut all = Vec::new();
        self.reasons.retain(|at, reasons| {
            let before = standing(reasons);
            reasons.retain(|r| !test(*r));
            all.extend(changes(*at, before, standing(reasons)));
            !reasons.is_empty()
        });
        all
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
    fn memory_and_debug_registers_are_apart() {
        let (at, mut sites) = (Address(16), Sites::default());
        let hard = Reason::Hardware(BreakpointId(1));
        assert_eq!(sites.add(at, hard), Some(Change::Arm(at)));
        assert_eq!(sites.add(at, hard), None);
        assert_eq!(sites.add(at, Reason::Step), Some(Change::Insert(at)));
        assert_eq!(sites.remove(at, hard), None);
        assert_eq!(
            sites.remove_all(|_| true),
            [Change::Remove(at), Change::Disarm(at)]
        );
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
