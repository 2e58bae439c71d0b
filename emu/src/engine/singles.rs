//! Instructions that were lifted alone, for the interpreter. What translated
//! code leaves to it, it often leaves again.

use crate::ir::Block;
use crate::{Guest, GuestAddr, GuestMemory};

thread_local! {
    /// The instructions that this thread interpreted last.
    pub(super) static SINGLES: std::cell::RefCell<Singles> = std::cell::RefCell::default();
}

/// Instructions that were lifted alone. What translated code leaves to the
/// interpreter it often leaves again.
#[derive(Default)]
pub(super) struct Singles {
    by_pc: Vec<Option<Single>>,
    code: Vec<u8>,
}

struct Single {
    guest: Guest,
    code: Box<[u8]>,
    block: Block,
}

/// How many are kept, a power of two.
const KEPT_SINGLES: usize = 256;

impl Singles {
    /// The instruction at `pc`, lifted. What was lifted before counts only if
    /// the guest's code is the same still.
    pub fn lift(&mut self, guest: Guest, pc: GuestAddr, memory: &GuestMemory) -> &Block {
        self.by_pc.resize_with(KEPT_SINGLES, || None);
        self.code.resize(4, 0);
        let got = memory.fetch(pc, &mut self.code);
        let code = &self.code[..got];
        let slot = &mut self.by_pc[(pc.0 >> 1) as usize % KEPT_SINGLES];
        let same = |single: &Single| {
            single.guest == guest && single.block.start == pc && *single.code == *code
        };
        if !slot.as_ref().is_some_and(same) {
            *slot = None;
        }
        let single = slot.get_or_insert_with(|| Single {
            guest,
            code: code.into(),
            block: guest.lift_code(Vec::new(), pc, code, 1),
        });
        &single.block
    }
}
