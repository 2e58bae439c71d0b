//! [`Engine`]: runs guest instructions until something needs the caller.

use crate::{Exit, GuestAddr, GuestMemory, GuestState};
use std::ops::Range;

/// How an engine runs guest code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tier {
    /// Translate what runs often.
    #[default]
    Translate,
    /// Interpret everything.
    Interpret,
}

/// Runs the threads of one guest process.
#[derive(Debug, Default)]
pub struct Engine {}

impl Engine {
    /// An engine with nothing translated yet.
    pub fn new(_: Tier) -> Engine {
        Engine {}
    }

    /// Runs guest instructions from `state.pc` until one of them needs the caller.
    pub fn run(&self, state: &mut GuestState, memory: &GuestMemory) -> Exit {
        let _ = (state, memory);
        Exit::Illegal
    }

    /// Forgets what was translated from these guest addresses. To be called
    /// when a mapping or a protection there changes.
    pub fn invalidate(&self, range: Range<GuestAddr>) {
        let _ = range;
    }
}
