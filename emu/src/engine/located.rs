//! Which guest code some host code is: for a report of a crash of ours, which
//! may come at any time, so nothing here waits or asks for memory.

use super::Engine;
use crate::GuestAddr;

/// What is at a host address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// Nothing that was translated.
    None,
    /// Nobody can tell now.
    Unknown,
    /// The code of a block, or of a region that begins at it.
    Block {
        /// Where it begins.
        head: GuestAddr,
        /// The instruction.
        pc: GuestAddr,
        /// How far into the code, in bytes.
        offset: u64,
    },
}

impl Engine {
    /// What was translated to the code at a host address. Waits for nothing, and
    /// asks for no memory: for a report of a crash.
    pub fn code_at(&self, host: u64) -> Code {
        let Ok(inner) = self.inner.try_lock() else {
            return Code::Unknown;
        };
        let mut all = std::iter::once(&inner.blocks).chain(&inner.retired);
        let found = all.find_map(|blocks| Some((blocks.head_at(host)?, blocks.guest_pc(host)?)));
        match found {
            None => Code::None,
            Some(((head, offset), pc)) => Code::Block { head, pc, offset },
        }
    }
}
