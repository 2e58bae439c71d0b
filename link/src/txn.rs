//! [`Txn`]: everything a batch would change, as `plan` computed it.
//!
//! Dropped, it leaves nothing. Applying it is the only way to change a table:
//! `apply` writes its bytes past the cursors, `commit` pushes its records and
//! stores the generation.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::addr::HostAddr;
use crate::ids::AtomId;
use crate::image::SEGMENTS;
use crate::model::{AtomRecord, PackedTarget, RelocRecord, SymbolRecord};

/// Bytes that the session itself makes: a stub or a cell.
#[derive(Clone, Copy)]
pub(crate) struct Made {
    pub segment: usize,
    /// Offset in the segment.
    pub offset: u32,
    pub bytes: [u8; 8],
}

/// A list of function pointers in the image.
#[derive(Clone, Copy)]
pub(crate) struct FunctionList {
    pub priority: u32,
    /// The first pointer.
    pub at: HostAddr,
    /// How many.
    pub count: u32,
    /// Whether they run from the last to the first.
    pub reversed: bool,
}

/// A cell to be filled with what an indirect function's resolver gives.
#[derive(Clone, Copy)]
pub(crate) struct IfuncCell {
    pub cell: HostAddr,
    pub resolver: HostAddr,
}

/// Published bytes that a replace batch overwrites while the world is stopped.
#[derive(Clone)]
pub(crate) struct Overwrite {
    pub at: HostAddr,
    /// The new bytes, in [`Txn::overwriting`].
    pub bytes: Range<usize>,
    /// Where no thread may stand or return to, counted from `at`. A function's
    /// first byte is not among them: whoever is there has run nothing of it yet.
    pub guarded: Range<u64>,
    /// Whether it is a function in its old slot, which could be moved instead.
    pub in_slot: bool,
}

/// A staged atom that is written where an atom of the image lies.
#[derive(Clone)]
pub(crate) struct InSlot {
    pub staged: u32,
    pub old: AtomId,
    /// The old atom's bytes.
    pub range: Range<HostAddr>,
}

/// What `run` will do once the batch is published.
#[derive(Default)]
pub(crate) struct Actions {
    /// `.eh_frame` ranges to register, terminator included.
    pub unwind: Vec<Range<HostAddr>>,
    /// Resolvers to call, before any initialiser.
    pub ifuncs: Vec<IfuncCell>,
    /// Initialiser lists in the order they run.
    pub initialisers: Vec<FunctionList>,
    /// Finaliser lists in the order they are registered, which is the reverse
    /// of the order they run at exit.
    pub finalisers: Vec<FunctionList>,
}

/// What a staged symbol resolves to.
#[derive(Clone, Copy)]
pub(crate) struct Resolved {
    /// Its address, or a thread-local's offset from the thread pointer.
    pub address: u64,
    /// What is added to a kept relocation's addend, because its target is an
    /// atom and not the place in it.
    pub offset: u64,
    /// How the kept record names it.
    pub target: PackedTarget,
    pub state: State,
}

/// What kind of thing a staged symbol resolves to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// An address or a fixed value.
    Plain,
    ThreadLocal,
    /// In a discarded copy of a COMDAT group.
    Discarded,
    /// The symbol of a merged section: the addend says which place in it is meant.
    /// The address is that of the atom which has the entries, and the offset a
    /// [`MergedAt`].
    Merged,
}

/// A section, by its entry in `Staged::sections`, and its symbol's own value in it, in
/// a word.
#[derive(Clone, Copy)]
pub(crate) struct MergedAt(pub u64);

impl MergedAt {
    /// None for a value past any section's end.
    pub fn new(section: u32, value: u64) -> Option<MergedAt> {
        let value = u32::try_from(value).ok()?;
        Some(MergedAt(u64::from(section) << 32 | u64::from(value)))
    }

    pub fn section(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub fn value(self) -> u64 {
        u64::from(self.0 as u32)
    }
}

/// The thread-local block of a batch.
#[derive(Clone, Copy)]
pub(crate) struct ThreadBlock {
    /// Its first byte's offset from the thread pointer.
    pub offset: i64,
    pub size: u64,
}

/// See the [module page](self). Its lists are kept from batch to batch.
#[derive(Default)]
pub(crate) struct Txn {
    /// Cursors after the batch.
    pub used: [u64; SEGMENTS],
    /// Where the data segment's bytes end and its zeroes begin.
    pub data_end: u64,
    /// Where the batch's own cells and stubs begin in their segments.
    pub cells_start: u64,
    pub stubs_start: u64,
    /// Names new to the session: the batch's numbers of them, in the order of the
    /// ids they will get.
    pub names: Vec<u32>,
    /// Symbols of names to publish, but for `older`, which `commit` fills in.
    /// Names new to the session are named by the id they will get. Those that
    /// only their inputs see come behind them.
    pub symbols: Vec<SymbolRecord>,
    /// Atoms to publish: the staged ones that were kept, then the session's own.
    pub atoms: Vec<AtomRecord>,
    /// How many of them are staged ones.
    pub kept_atoms: u32,
    /// For each staged atom its index in `atoms`, or `NONE`.
    pub atom_numbers: Vec<u32>,
    /// For each symbol of the input that is written what it resolves to.
    pub resolved: Vec<Resolved>,
    /// What each name resolves to that others see.
    pub by_name: Vec<Resolved>,
    /// The kept atoms' relocations, relative and symbolic, in the order of the
    /// atoms; and the addends that do not fit a record.
    pub relocs: Vec<RelocRecord>,
    pub wide_addends: Vec<i64>,
    pub made: Vec<Made>,
    /// New cells and stubs: address held or jumped to → where.
    pub cells: FxHashMap<u64, HostAddr>,
    pub stubs: FxHashMap<u64, HostAddr>,
    /// New copies of classes' tables outside: address → where.
    pub copies: FxHashMap<u64, HostAddr>,
    /// Thread-local atoms, counted in `atoms`, and their offsets from the
    /// thread pointer.
    pub thread_locals: Vec<(u32, i64)>,
    pub thread_block: Option<ThreadBlock>,
    /// Staged atoms that are written where the image's lie.
    pub in_slots: Vec<InSlot>,
    /// Unwind entries of those: pc and address.
    pub slot_frames: Vec<(HostAddr, HostAddr)>,
    /// What is overwritten: code in its slot, jumps where moved functions lay,
    /// entries of the unwinder's array. By address.
    pub overwrites: Vec<Overwrite>,
    /// The bytes of those.
    pub overwriting: Vec<u8>,
    /// Where the slab's code begins.
    pub code_start: HostAddr,
    /// Whether the unwinder's array is kept, and not every batch's entries
    /// registered.
    pub keeps_array: bool,
    /// Unwind entries of the batch: pc and address, in the order of pcs.
    pub frames: Vec<(HostAddr, HostAddr)>,
    /// What is added to the unwinder's array.
    pub array_bytes: Vec<u8>,
    pub actions: Actions,
}

impl Txn {
    /// Whether the session itself adds data: cells, or copies, which lie with
    /// them.
    pub fn has_cells(&self) -> bool {
        !self.cells.is_empty() || !self.copies.is_empty()
    }

    /// Where the bytes of a staged atom that is written into a slot are kept
    /// until then, counted in [`overwriting`](Txn::overwriting).
    pub fn slot_of(&self, staged: u32) -> Option<usize> {
        let slot = self.in_slots.iter().find(|slot| slot.staged == staged)?;
        let at = slot.range.start;
        let mut overwrites = self.overwrites.iter();
        let overwrite = overwrites.find(|one| one.in_slot && one.at == at);
        Some(overwrite.expect("it was planned").bytes.start)
    }

    /// Whether a pc lies in code that is written into a slot.
    pub fn is_in_slot(&self, pc: HostAddr) -> bool {
        self.in_slots.iter().any(|slot| slot.range.contains(&pc))
    }

    /// Empties the lists for another batch.
    pub fn clear(&mut self) {
        self.names.clear();
        self.symbols.clear();
        self.atoms.clear();
        self.atom_numbers.clear();
        self.resolved.clear();
        self.by_name.clear();
        self.relocs.clear();
        self.wide_addends.clear();
        self.made.clear();
        self.cells.clear();
        self.stubs.clear();
        self.copies.clear();
        self.thread_locals.clear();
        self.thread_block = None;
        self.in_slots.clear();
        self.slot_frames.clear();
        self.overwrites.clear();
        self.overwriting.clear();
        self.keeps_array = false;
        self.frames.clear();
        self.array_bytes.clear();
        self.actions.unwind.clear();
        self.actions.ifuncs.clear();
        self.actions.initialisers.clear();
        self.actions.finalisers.clear();
    }
}
