//! Hardware watchpoints and breakpoints: the processor's debug registers, set alike in every
//! thread (Intel SDM vol. 3B, §18.2).

use super::{Native, sys};
use crate::target::{Access, Address, Result, TargetError, Watchpoints};

/// How many there are.
pub(super) const SLOTS: usize = 4;

/// Says what happened.
const STATUS: usize = 6;
/// Says what is watched.
pub(super) const CONTROL: usize = 7;

/// What a slot watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot {
    at: Address,
    length: u8,
    access: Access,
}

/// The control register for these slots: for slot n, bit 2n enables it for the
/// thread, bits 16+4n say execution (00), stores (01) or loads and stores (11),
/// bits 18+4n the length, 8 bytes being 10; of execution, one byte.
fn control(slots: &[Option<Slot>; SLOTS]) -> u64 {
    let mut bits = 0;
    for (number, slot) in slots.iter().enumerate() {
        let Some(slot) = slot else { continue };
        let access = match slot.access {
            Access::Execute => 0b00,
            Access::Write => 0b01,
            Access::ReadWrite => 0b11,
        };
        let length = match slot.length {
            1 => 0b00,
            2 => 0b01,
            4 => 0b11,
            _ => 0b10,
        };
        bits |= 1 << (2 * number) | (access | length << 2) << (16 + 4 * number);
    }
    bits
}

impl Native {
    /// Puts the slots into a stopped thread's debug registers.
    pub(super) fn arm_watches(&self, thread: i32) -> std::io::Result<()> {
        sys::set_debug_register(thread, CONTROL, 0)?;
        for (number, slot) in self.watched.iter().enumerate() {
            if let Some(slot) = slot {
                sys::set_debug_register(thread, number, slot.at.0)?;
            }
        }
        sys::set_debug_register(thread, CONTROL, control(&self.watched))
    }

    fn arm_all(&mut self) -> Result<()> {
        for thread in self.threads.keys() {
            self.arm_watches(*thread)
                .map_err(|e| TargetError::Failed(format!("hardware watchpoint: {e}")))?;
            if self.at_rest {
                let _ = sys::set_debug_register(*thread, CONTROL, 0);
            }
        }
        Ok(())
    }

    /// Whether anything is watched.
    pub(super) fn is_watching(&self) -> bool {
        self.watched.iter().any(Option::is_some)
    }

    /// The slot that stopped a thread, if one did, and what it does; asked once
    /// a stop.
    pub(super) fn watch_that_fired(&self, thread: i32) -> Option<(u8, Access)> {
        let status = sys::debug_register(thread, STATUS).ok()?;
        let slot = (0..SLOTS as u8).find(|slot| status >> slot & 1 == 1)?;
        let _ = sys::set_debug_register(thread, STATUS, 0);
        self.watched[usize::from(slot)].map(|one| (slot, one.access))
    }

    /// Whether a thread that executes the instruction there is stopped by a
    /// debug register.
    pub(super) fn is_armed(&self, at: Address) -> bool {
        let mut slots = self.watched.iter().flatten();
        slots.any(|slot| slot.access == Access::Execute && slot.at == at)
    }
}

impl Watchpoints for Native {
    fn watch(&mut self, at: Address, length: u8, access: Access) -> Result<u8> {
        if !matches!(length, 1 | 2 | 4 | 8) || !at.0.is_multiple_of(length.into()) {
            return Err(TargetError::Unsupported("watch unaligned memory"));
        }
        let free = self.watched.iter().position(Option::is_none);
        let slot = free.ok_or(TargetError::Unsupported(
            "watch more: all hardware watchpoints are in use",
        ))?;
        self.watched[slot] = Some(Slot { at, length, access });
        if let Err(error) = self.arm_all() {
            self.watched[slot] = None;
            let _ = self.arm_all();
            return Err(error);
        }
        Ok(slot as u8)
    }

    fn unwatch(&mut self, slot: u8) -> Result<()> {
        if let Some(slot) = self.watched.get_mut(usize::from(slot)) {
            *slot = None;
        }
        // A thread that is gone needs nothing freed.
        let _ = self.arm_all();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_register() {
        let slot = |length, access| {
            Some(Slot {
                at: Address(0),
                length,
                access,
            })
        };
        let slots = [
            slot(4, Access::Write),
            None,
            slot(8, Access::ReadWrite),
            slot(1, Access::Execute),
        ];
        assert_eq!(control(&slots), 0b1011_0000_1101 << 16 | 0b101_0001);
    }
}
