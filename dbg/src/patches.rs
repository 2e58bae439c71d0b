//! [`Patches`]: the one owner of patched bytes.
//!
//! Pure data. It knows at which addresses a breakpoint instruction stands in
//! the target's memory and what the program had there, and answers two
//! questions: what does the program see where memory says this ([`hide`]), and
//! what must be written so that the program's store lands beneath our patches
//! ([`lay_over`]).
//!
//! [`hide`]: Patches::hide
//! [`lay_over`]: Patches::lay_over

use std::collections::BTreeMap;

use crate::target::Address;

/// One-byte breakpoint instructions laid over the program's own bytes.
#[derive(Clone, Debug, Default)]
pub struct Patches {
    /// The program's own byte at each patched address.
    original: BTreeMap<Address, u8>,
}

/// x86's `int3`.
pub const INT3: u8 = 0xcc;

impl Patches {
    /// Whether a patch stands there.
    pub fn contains(&self, at: Address) -> bool {
        self.original.contains_key(&at)
    }

    /// The program's byte beneath a patch.
    pub fn original(&self, at: Address) -> Option<u8> {
        self.original.get(&at).copied()
    }

    /// Records that the byte at `at`, which was `original`, is patched now.
    pub fn insert(&mut self, at: Address, original: u8) {
        let before = self.original.insert(at, original);
        assert!(before.is_none(), "patched twice at {:#x}", at.0);
    }

    /// Forgets a patch; gives the byte to put back.
    pub fn remove(&mut self, at: Address) -> Option<u8> {
        self.original.remove(&at)
    }

    /// Every patch and the byte to put back.
    pub fn iter(&self) -> impl Iterator<Item = (Address, u8)> + '_ {
        self.original.iter().map(|(at, byte)| (*at, *byte))
    }

    /// Forgets every patch, because the memory they stood in is gone.
    pub fn clear(&mut self) {
        self.original.clear();
    }

    /// Puts the program's own bytes into `bytes`, which were read from memory at
    /// `at`.
    pub fn hide(&self, at: Address, bytes: &mut [u8]) {
        let end = at.range(bytes.len() as u64).end;
        for (address, original) in self.original.range(at..end) {
            bytes[(address.0 - at.0) as usize] = *original;
        }
    }

    /// What to write to memory at `at` when the program's bytes there become
    /// `bytes`, so that patches stay in place; `None` when that is `bytes` itself.
    pub fn lay_over(&self, at: Address, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut laid: Option<Vec<u8>> = None;
        for (address, _) in self.original.range(at..at.range(bytes.len() as u64).end) {
            let index = (address.0 - at.0) as usize;
            laid.get_or_insert_with(|| bytes.to_vec())[index] = INT3;
        }
        laid
    }

    /// Takes in that `bytes` were written at `at`, beneath the patches there.
    pub fn note_write(&mut self, at: Address, bytes: &[u8]) {
        let end = at.range(bytes.len() as u64).end;
        for (address, original) in self.original.range_mut(at..end) {
            *original = bytes[(address.0 - at.0) as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_show_no_patch_and_writes_land_beneath() {
        let mut patches = Patches::default();
        patches.insert(Address(0x11), 0xaa);
        let mut seen = [0x10, INT3, 0x12];
        patches.hide(Address(0x10), &mut seen);
        assert_eq!(seen, [0x10, 0xaa, 0x12]);
        assert_eq!(
            patches.lay_over(Address(0x10), &[1, 2, 3]),
            Some(vec![1, INT3, 3])
        );
        patches.note_write(Address(0x10), &[1, 2, 3]);
        assert_eq!(patches.lay_over(Address(0x12), &[1, 2]), None);
        assert_eq!(patches.remove(Address(0x11)), Some(2));
        assert_eq!(patches.lay_over(Address(0x10), &[1, 2, 3]), None);
    }
}
