//! [`Txn`]: everything a batch would change, as `plan` computed it.
//!
//! Dropped, it leaves nothing. Applying it is the only way to change a table:
//! `apply` writes its bytes past the cursors, `commit` pushes its records and
//! stores the generation.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::addr::HostAddr;
use crate::arch::x86_64::Field;
use crate::image::SEGMENTS;
use crate::model::{AtomRecord, RelocRecord, SymbolRecord};

/// A field of a staged atom to be overwritten.
#[derive(Clone, Copy)]
pub(crate) struct Fix {
    /// The atom, counted in the batch.
    pub atom: u32,
    pub offset: u32,
    pub field: Field,
}

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

/// What `run` will do once the batch is published.
#[derive(Default)]
pub(crate) struct Actions {
    /// `.eh_frame` ranges to register, terminator included.
    pub unwind: Vec<Range<HostAddr>>,
    /// Initialiser lists in the order they run.
    pub initialisers: Vec<FunctionList>,
    /// Finaliser lists in the order they are registered, which is the reverse
    /// of the order they run at exit.
    pub finalisers: Vec<FunctionList>,
}

/// See the [module page](self).
#[derive(Default)]
pub(crate) struct Txn {
    /// Cursors after the batch.
    pub used: [u64; SEGMENTS],
    /// Where the data segment's bytes end and its zeroes begin.
    pub data_end: u64,
    /// Where the batch's own cells and stubs begin in their segments.
    pub cells_start: u64,
    pub stubs_start: u64,
    /// Names new to the session: a staged symbol of each, in the order of the
    /// ids they will get.
    pub names: Vec<u32>,
    /// Symbols to publish, but for `older`, which `commit` fills in. Names new
    /// to the session are named by the id they will get.
    pub symbols: Vec<SymbolRecord>,
    /// Atoms to publish: the staged ones that were kept, then the session's own.
    pub atoms: Vec<AtomRecord>,
    /// For each staged atom its index in `atoms`, or `NONE`.
    pub atom_numbers: Vec<u32>,
    pub relocs: Vec<RelocRecord>,
    pub fixes: Vec<Fix>,
    pub made: Vec<Made>,
    /// New cells and stubs: address held or jumped to → where.
    pub cells: FxHashMap<u64, HostAddr>,
    pub stubs: FxHashMap<u64, HostAddr>,
    pub actions: Actions,
}
