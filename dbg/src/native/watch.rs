//! Hardware watchpoints and breakpoints: the processor's debug registers, set alike in every
//! thread (Intel SDM vol. 3B, §18.2).

use super::{Native, sys};
use crate::target::{Access, Address, Fired, Result, TargetError, Watchpoints};

/// How many there are.
pub(super) const SLOTS: usize = 4;

/// Says what happened.
const STATUS: usize = 6;
/// In the former: the thread was stepped.
const SINGLE_STEP: u64 = 1 << 14;
/// Says what is watched.
pub(super) const CONTROL: usize = 7;

/// How debug registers stopped a thread.
pub(super) enum HardwareStop {
    /// It is about to execute what one stands at.
    BeforeInstruction,
    /// It accessed what these watch.
    AfterAccess(Fired),
}

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

    /// What stopped a thread, if a slot did; asked once a stop. A slot that is
    /// not enabled may have its bit set too (§18.2.3).
    pub(super) fn watches_that_fired(&self, thread: i32) -> Option<HardwareStop> {
        let status = sys::debug_register(thread, STATUS).ok()?;
        let among = |test: fn(Access) -> bool| {
            let slots = self.watched.iter().enumerate();
            let is_meant = |slot: &Option<Slot>| slot.is_some_and(|slot| test(slot.access));
            slots
                .filter(|(number, slot)| status >> number & 1 == 1 && is_meant(slot))
                .fold(0, |slots, (number, _)| slots | 1 << number)
        };
        let slots = among(|access| access != Access::Execute);
        let is_about_to_execute = among(|access| access == Access::Execute) != 0;
        if slots == 0 && !is_about_to_execute {
            return None;
        }
        let _ = sys::set_debug_register(thread, STATUS, 0);
        Some(match slots {
            // Whatever stops it before the next instruction will do so again.
            0 => HardwareStop::BeforeInstruction,
            slots => HardwareStop::AfterAccess(Fired {
                slots,
                stepped: status & SINGLE_STEP != 0,
            }),
        })
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
