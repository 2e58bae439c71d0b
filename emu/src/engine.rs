//! [`Engine`]: runs guest instructions until something needs the caller.
//!
//! The loop is: find translated code for the guest pc, or translate the block
//! there by the first tier, and run it. Translated code goes from block to block
//! by itself; it comes back for what it does not know, and the reason says what.
//! It also comes back when it has made a number of backward jumps; where that
//! happens repeatedly is a hot loop, which the second tier compiles as a region,
//! on a thread of its own.
//!
//! One lock holds all that is known of the code; it is never held while guest
//! instructions run.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::blocks::{Blocks, ExitId};
use crate::clif::Lowering;
use crate::code::{CodeSpace, Mapping, Pokes};
use crate::compiler::{Compiler, Pause};
use crate::enter::{self, Left, Ways, guest_flags, host_flags, reason};
use crate::exit::{Access, FaultKind};
use crate::fault;
use crate::interp::{self, Next};
use crate::ir::{Block, End, Op};
use crate::kept::{self, Cache};
use crate::watch::Watch;
use crate::{aarch64, riscv};
use rustc_hash::{FxHashMap, FxHashSet};
use sapwood_link::HostAddr;

use crate::{Exit, Fault, GuestAddr, GuestMemory, GuestState};

/// The processor that guest code is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Guest {
    Riscv64,
    Aarch64,
}

/// How an engine runs guest code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tier {
    /// Translate what runs often.
    #[default]
    Translate,
    /// Translate everything by the second tier at once: slow to begin, and what
    /// tests that tier.
    Optimise,
    /// Interpret everything: slow, and what translated code is checked against.
    Interpret,
}

/// Backward and indirect jumps that first-tier code makes before it comes back.
const FUEL: i32 = 1000;

/// Bytes of guest code to look at first for the end of a block.
const FIRST_FETCH: usize = 64;

/// Runs the threads of one guest process.
pub struct Engine {
    guest: Guest,
    tier: Tier,
    inner: Mutex<Inner>,
}

struct Inner {
    guest: Guest,
    tier: Tier,
    ways: &'static Ways,
    blocks: Blocks,
    /// Whether there is no memory for more of them.
    is_exhausted: bool,
    /// Where blocks end because a debugger wants to see these instructions.
    breakpoints: BTreeSet<GuestAddr>,
    /// Full spaces that threads may still be in.
    retired: Vec<Blocks>,
    first: crate::x64::Translator,
    compiler: Compiler,
    /// The second tier on this thread, for [`Tier::Optimise`] and where there
    /// can be no other thread.
    second: Option<Lowering>,
    /// The regions that were published, by the first of their exits: their
    /// heads, and what they lost.
    regions: FxHashMap<ExitId, (GuestAddr, u32)>,
    /// Where translations are kept from one run to the next.
    cache: Option<Cache>,
    /// Ranges of guest memory whose units were looked for.
    looked: Vec<Range<u64>>,
    /// The last range that was no file's.
    unkept: Range<u64>,
    /// How many of the pieces of code that were published need not be kept.
    kept: usize,
    statistics: Statistics,
    /// Who wants to see what is translated.
    watch: Option<Arc<dyn Watch>>,
    /// The blocks of all regions there ever were here.
    members: FxHashSet<GuestAddr>,
    /// The blocks of regions that no other is to have a part in.
    tight: FxHashSet<GuestAddr>,
    /// Those of the regions that are being compiled: that they run in the first
    /// tier meanwhile says nothing.
    pending: FxHashSet<GuestAddr>,
    /// Memory that the next block's code and operations use again.
    fetched: Vec<u8>,
    ops: Vec<Op>,
}

/// What to do next for a thread, decided under the lock.
enum Step {
    Enter(u64, Arc<Mapping>),
    Interpret(Arc<Block>),
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = self.lock().blocks.counts();
        write!(
            f,
            "Engine({:?}, (blocks, translations) = {counts:?})",
            self.tier
        )
    }
}

impl Inner {
    fn new(guest: Guest, tier: Tier) -> io::Result<Inner> {
        let ways = guest.ways();
        Ok(Inner {
            guest,
            tier,
            ways,
            blocks: Blocks::new(CodeSpace::new(ways, Pokes::Never)?, ExitId(0)),
            is_exhausted: false,
            breakpoints: BTreeSet::new(),
            retired: Vec::new(),
            first: crate::x64::Translator::new(ways),
            compiler: Compiler::new(ways),
            second: None,
            regions: FxHashMap::default(),
            cache: None,
            looked: Vec::new(),
            unkept: 0..0,
            kept: 0,
            statistics: Statistics::default(),
            watch: None,
            members: FxHashSet::default(),
            tight: FxHashSet::default(),
            pending: FxHashSet::default(),
            fetched: Vec::new(),
            ops: Vec::new(),
        })
    }

    fn new_space(&self) -> io::Result<CodeSpace> {
        let is_poked = self
            .watch
            .as_ref()
            .is_some_and(|watch| watch.is_for_debuggers());
        let pokes = match is_poked {
            true => Pokes::ByDebugger,
            false => Pokes::Never,
        };
        CodeSpace::new(self.ways, pokes)
    }

    /// Begins a new space, after the old one is full. What is in it goes when
    /// the last thread has left it. When the host has no memory for another, the
    /// old one stays, and what is not in it is interpreted.
    fn renew(&mut self) {
        let Ok(space) = self.new_space() else {
            self.is_exhausted = true;
            return;
        };
        self.retired
            .retain(|blocks| Arc::strong_count(blocks.space().mapping()) > 1);
        let next = self.blocks.next_exit();
        let mut old = std::mem::replace(&mut self.blocks, Blocks::new(space, next));
        if self.is_followed() {
            self.blocks.keep_apart();
        }
        old.unlink_all();
        self.regions.clear();
        self.looked.clear();
        self.kept = 0;
        self.statistics.renewed += 1;
        self.members.clear();
        self.tight.clear();
        self.pending.clear();
        self.retired.push(old);
    }

    /// Where the exit with this cell leads, which was taken.
    fn taken(&mut self, cell: HostAddr) -> GuestAddr {
        match self.blocks.taken(cell) {
            Some(exit) => self.blocks.target(exit).expect("it is one of these"),
            None => self.target(cell),
        }
    }

    fn target(&self, cell: HostAddr) -> GuestAddr {
        let mut all = std::iter::once(&self.blocks).chain(&self.retired);
        let target = all.find_map(|blocks| blocks.target_at(cell));
        target.unwrap_or_else(|| panic!("translated code left by {cell}, which is no cell of it"))
    }

    fn guest_pc(&self, host: u64) -> GuestAddr {
        let mut all = std::iter::once(&self.blocks).chain(&self.retired);
        let pc = all.find_map(|blocks| blocks.guest_pc(host));
        pc.unwrap_or_else(|| panic!("no guest instruction is at host address {host:#x}"))
    }
}

mod breakpoints;
mod hot;
mod keeping;
mod located;
mod singles;
mod statistics;
mod watching;

pub use located::Code;
use singles::SINGLES;
pub use statistics::{Phase, Statistics};

impl Engine {
    /// An engine with nothing translated yet; `Err` when the host gives no memory
    /// for translated code.
    pub fn new(guest: Guest, tier: Tier) -> io::Result<Engine> {
        fault::install();
        Ok(Engine {
            guest,
            tier,
            inner: Mutex::new(Inner::new(guest, tier)?),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock was held is a bug that has already been told.
        self.inner
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs guest instructions from `state.pc` until one of them needs the
    /// caller. `state` and `memory` belong together, always the same for this
    /// engine.
    pub fn run(&self, state: &mut GuestState, memory: &GuestMemory) -> Exit {
        let mut values = Vec::new();
        // Whether an indirect jump led to where the state is.
        let mut indirect = false;
        loop {
            if state.interrupt.load(Ordering::Relaxed) != 0 {
                return Exit::Interrupted;
            }
            let left = match self.next(state, memory, std::mem::take(&mut indirect)) {
                Step::Interpret(block) => interp::run(&block, state, memory, &mut values),
                Step::Enter(code, _mapping) => {
                    state.aarch64.nzcv = host_flags(state.aarch64.nzcv);
                    // SAFETY: `code` is the entry of a translation in the
                    // mapping that is held; `next` checked the rounding mode;
                    // the caller vouches for the memory.
                    let left = unsafe { enter::enter(self.guest.ways(), state, code) };
                    state.aarch64.nzcv = guest_flags(state.aarch64.nzcv);
                    if self.guest == Guest::Aarch64 {
                        state.take_flags();
                    }
                    indirect = left.reason == reason::DISPATCH;
                    self.left(left, state, memory, &mut values)
                }
            };
            match left {
                Ok(Next::Block) => {}
                Ok(Next::CodeChanged) => self.revalidate(memory),
                Err(Exit::Fault(fault)) if fault.access == Access::Execute => {
                    return Exit::Fault(fetch_fault(fault, memory));
                }
                Err(exit) => return exit,
            }
        }
    }

    /// Forgets what was translated from these guest addresses. To be called
    /// when a mapping or a protection there changes.
    pub fn invalidate(&self, range: Range<GuestAddr>) {
        self.lock().invalidate(range);
    }

    /// Tells a watcher of all that is translated, and of each block that runs if
    /// it follows. To be called before anything runs.
    pub fn watch(&self, watch: Arc<dyn Watch>) {
        let mut inner = self.lock();
        if watch.follows() {
            inner.blocks.keep_apart();
        }
        let is_poked = watch.is_for_debuggers();
        inner.watch = Some(watch);
        if is_poked {
            inner.renew();
        }
    }

    /// From now on measures times, for [`statistics`](Self::statistics).
    pub fn measure(&self) {
        self.lock().statistics.measure();
    }

    /// What was done so far.
    pub fn statistics(&self) -> Statistics {
        let inner = self.lock();
        let mut statistics = inner.statistics.clone();
        statistics.known = inner.blocks.counts();
        statistics
    }

    /// Has translations kept in a folder from one run to the next. To be called
    /// before anything runs.
    pub fn keep_in(&self, place: kept::Place) {
        self.lock().cache = Cache::new(place, self.guest);
    }

    /// Writes what is worth keeping to the folder, if there is one. To be called
    /// when the guest's process ends or becomes another program.
    pub fn keep(&self, memory: &GuestMemory) -> io::Result<()> {
        self.lock().keep(memory)
    }

    /// To be called in the child after a fork: the child goes on with the code
    /// that it shares with its parent, and appends elsewhere.
    pub fn after_fork(&self) {
        let mut inner = self.lock();
        let compiler = Compiler::new(inner.ways);
        std::mem::replace(&mut inner.compiler, compiler).abandon();
        inner.pending.clear();
        if inner.blocks.forked().is_err() {
            inner.renew();
        }
        // What the parent has translated, the parent keeps.
        inner.kept = inner.blocks.published();
    }

    /// Takes the lock, so that a fork finds it free in the child: hold what
    /// this returns across the fork, in both processes.
    pub fn freeze(&self) -> Frozen<'_> {
        let inner = self.lock();
        Frozen {
            _pause: inner.compiler.pause(),
            _inner: inner,
        }
    }

    fn revalidate(&self, memory: &GuestMemory) {
        self.lock()
            .blocks
            .revalidate(|at, into| memory.fetch(at, into) == into.len());
    }

    /// Decides how the block at `state.pc` is to be run.
    fn next(&self, state: &mut GuestState, memory: &GuestMemory, indirect: bool) -> Step {
        let mut inner = self.lock();
        let pc = state.pc;
        let step = self.choose(&mut inner, state, memory);
        if indirect {
            inner.blocks.enter_in_table(pc);
        }
        if let Some(watch) = inner.watch.as_ref().filter(|watch| watch.follows()) {
            watch.running(pc);
        }
        step
    }

    fn choose(&self, inner: &mut Inner, state: &mut GuestState, memory: &GuestMemory) -> Step {
        let pc = state.pc;
        let plain = enter::control_word(state.fcsr).is_some() && state.aarch64.fpcr == 0;
        let translate = self.tier != Tier::Interpret && plain;
        inner.take_finished();
        if translate && let Some(code) = inner.blocks.code_at(pc) {
            return inner.step_into(code, state);
        }
        if translate
            && inner.look_for_unit(pc, memory)
            && let Some(code) = inner.blocks.code_at(pc)
        {
            return inner.step_into(code, state);
        }
        if translate && self.tier == Tier::Translate {
            return match inner.translate(self.guest, pc, memory) {
                Ok(code) => inner.step_into(code, state),
                Err(block) => Step::Interpret(block),
            };
        }
        let block = match inner.lifted(self.guest, pc, memory) {
            Ok(block) => block,
            Err(block) => return Step::Interpret(block),
        };
        if translate && !matches!(block.end, End::Breakpoint(_)) {
            let region = inner.gather(self.guest, pc, memory, true, false);
            if let Some(code) = inner.optimise_here(region, pc) {
                return inner.step_into(code, state);
            }
        }
        Step::Interpret(block)
    }

    /// Deals with what translated code came back for.
    fn left(
        &self,
        left: Left,
        state: &mut GuestState,
        memory: &GuestMemory,
        values: &mut Vec<u128>,
    ) -> Result<Next, Exit> {
        let mut inner = self.lock();
        inner.statistics.left(left.reason);
        match left.reason {
            reason::LINK => {
                state.pc = inner.taken(HostAddr(left.payload));
                Ok(Next::Block)
            }
            reason::DISPATCH => Ok(Next::Block),
            reason::FUEL => {
                inner.sample(self.guest, state.pc, memory);
                Ok(Next::Block)
            }
            reason::SYSCALL => Err(Exit::Syscall),
            reason::BREAKPOINT => Err(Exit::Breakpoint),
            reason::ILLEGAL => Err(Exit::Illegal),
            reason::INTERRUPTED => Err(Exit::Interrupted),
            reason::INTERPRET | reason::FAULT | reason::REPLAY | reason::REFUSED => {
                let region = HostAddr(left.payload);
                match left.reason {
                    reason::FAULT => state.pc = inner.guest_pc(state.fault_pc),
                    reason::REPLAY => inner.count_loss(region, hot::REPLAY_LOSS),
                    reason::REFUSED => inner.count_loss(region, 1),
                    _ => {}
                }
                let began = inner.statistics.now();
                drop(inner);
                let next = self.interpret_one(state, memory, values);
                if began.is_some() {
                    self.lock().statistics.spent(Phase::Interpret, began);
                }
                next
            }
            other => unreachable!("translated code left with reason {other}"),
        }
    }

    /// Interprets the instruction at `state.pc`: it has the last word on
    /// whether, and how, an instruction faults.
    fn interpret_one(
        &self,
        state: &mut GuestState,
        memory: &GuestMemory,
        values: &mut Vec<u128>,
    ) -> Result<Next, Exit> {
        SINGLES.with_borrow_mut(|singles| {
            let block = singles.lift(self.guest, state.pc, memory);
            interp::run(block, state, memory, values)
        })
    }

    /// Runs one instruction, for a debugger's single step. `None` when it was
    /// done and nothing needs the caller.
    pub fn step(&self, state: &mut GuestState, memory: &GuestMemory) -> Option<Exit> {
        match self.interpret_one(state, memory, &mut Vec::new()) {
            Ok(Next::Block) => None,
            Ok(Next::CodeChanged) => {
                self.revalidate(memory);
                None
            }
            Err(Exit::Fault(fault)) if fault.access == Access::Execute => {
                Some(Exit::Fault(fetch_fault(fault, memory)))
            }
            Err(exit) => Some(exit),
        }
    }
}

/// Keeps an engine's tables as they are while it lives.
pub struct Frozen<'a> {
    _pause: Pause,
    _inner: MutexGuard<'a, Inner>,
}

impl Inner {
    fn step_into(&self, code: u64, state: &mut GuestState) -> Step {
        state.exits = self.ways.exits();
        state.tables.leave = self.ways.leave_pinned;
        state.lookup = self.blocks.lookup_address();
        // Who follows wants to see each turn of a loop.
        state.fuel = if self.is_followed() { 0 } else { FUEL };
        Step::Enter(code, self.blocks.space().mapping().clone())
    }

    /// Lifts the block at `pc`, with the memory of the last one, and knows it
    /// from now on; but for one whose first instruction cannot be fetched.
    fn lift(&mut self, guest: Guest, pc: GuestAddr, memory: &GuestMemory) -> Block {
        let mut fetched = std::mem::take(&mut self.fetched);
        let ops = std::mem::take(&mut self.ops);
        let block = guest.lift_with(ops, &mut fetched, pc, memory, riscv::lift::MAX_INSTRUCTIONS);
        let block = self.stop_at_breakpoint(guest, block, &fetched);
        if !matches!(block.end, End::Fault(..)) {
            self.blocks.insert(pc, &fetched[..block.length as usize]);
        }
        self.fetched = fetched;
        block
    }

    /// The block at `pc`, kept to be interpreted again; `Err` with one that ends
    /// in the fault of fetching it.
    fn lifted(
        &mut self,
        guest: Guest,
        pc: GuestAddr,
        memory: &GuestMemory,
    ) -> Result<Arc<Block>, Arc<Block>> {
        if let Some(block) = self
            .blocks
            .record(pc)
            .and_then(|record| record.block.clone())
        {
            return Ok(block);
        }
        let block = Arc::new(self.lift(guest, pc, memory));
        let Some(record) = self.blocks.record(pc) else {
            return Err(block);
        };
        record.block = Some(block.clone());
        Ok(block)
    }

    /// Translates the block at `pc` by the first tier. A block that was not
    /// translated, because it cannot be fetched or the space was full (then a
    /// new one was begun), is to be interpreted.
    fn translate(
        &mut self,
        guest: Guest,
        pc: GuestAddr,
        memory: &GuestMemory,
    ) -> Result<u64, Arc<Block>> {
        let began = self.statistics.now();
        let block = self.lift(guest, pc, memory);
        self.statistics.spent(Phase::Lift, began);
        if self.is_exhausted || matches!(block.end, End::Fault(..)) {
            return Err(Arc::new(block));
        }
        let began = self.statistics.now();
        let compiled = self.first.translate(&block);
        self.statistics.spent(Phase::Translate, began);
        self.statistics.blocks += 1;
        self.statistics.guest_bytes += block.length as usize;
        self.statistics.host_bytes += compiled.code.len();
        let instructions = block.ops.iter().filter(|op| matches!(op, Op::Guest(_)));
        self.statistics.instructions += instructions.count();
        let began = self.statistics.now();
        let reserved = self.blocks.reserve_exits(compiled.exits.len());
        let published = reserved.and_then(|first| self.blocks.publish(&[pc], compiled, first));
        self.statistics.spent(Phase::Publish, began);
        self.tell_of_block(&block, memory);
        if published.is_err() {
            self.renew();
            return Err(Arc::new(block));
        }
        self.ops = block.ops;
        let code = self.blocks.code_at(pc);
        Ok(code.expect("it was published just now"))
    }
}

impl Guest {
    fn ways(self) -> &'static Ways {
        match self {
            Guest::Riscv64 => enter::riscv64(),
            Guest::Aarch64 => enter::aarch64(),
        }
    }

    /// Lifts the block at `pc`, whose code is given.
    fn lift_code(self, ops: Vec<Op>, pc: GuestAddr, code: &[u8], limit: u32) -> Block {
        match self {
            Guest::Riscv64 => riscv::lift_block_into(ops, pc, code, limit),
            Guest::Aarch64 => aarch64::lift_block_into(ops, pc, code, limit),
        }
    }

    /// Lifts the block at `pc`; its code is at the beginning of `code` then.
    /// Most blocks are short, so all the code that one may have is only fetched
    /// when a part of it did not hold its end.
    fn lift_with(
        self,
        mut ops: Vec<Op>,
        code: &mut Vec<u8>,
        pc: GuestAddr,
        memory: &GuestMemory,
        limit: u32,
    ) -> Block {
        let most = 4 * limit as usize;
        for wanted in [most.min(FIRST_FETCH), most] {
            code.resize(wanted, 0);
            let got = memory.fetch(pc, code);
            let block = self.lift_code(ops, pc, &code[..got], limit);
            // An instruction of 4 bytes may stand in the last 2.
            let ended = block.length as usize + 4 <= got;
            if ended || got < wanted || wanted == most {
                return block;
            }
            ops = block.ops;
        }
        unreachable!("the second fetch is of all")
    }
}

/// A failed fetch, with what the map of guest memory says of it.
fn fetch_fault(fault: Fault, memory: &GuestMemory) -> Fault {
    let kind = match memory.protection_at(fault.address) {
        Some(protection) if protection.execute() => FaultKind::PastEnd,
        Some(_) => FaultKind::Protection,
        None => FaultKind::Unmapped,
    };
    Fault { kind, ..fault }
}
