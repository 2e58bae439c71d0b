//! Executing the instruction beneath a breakpoint while the breakpoint stays in
//! memory, so that no other thread can slip past it meanwhile: see
//! [`crate::displace`].
//!
//! Copies live in a page or two of the debuggee, near the code they are of. A
//! thread in one is a thread of the original: whoever reads its registers sees
//! the pc that it would have without us, and whoever leaves that pc alone leaves
//! the thread in the copy. It leaves the copy before a signal is delivered, a
//! step is made or it is let go, so that nothing of the program, a signal
//! handler's context least of all, ever holds an address in a copy.

use std::collections::BTreeMap;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::{Native, process};
use crate::displace::{COPY, Copied, Passage, passage};
use crate::flow::LONGEST;
use crate::registers::{Registers, x86};
use crate::target::{
    Address, Motion, Passed, RemoteSyscall, Result, Target, TargetError, ThreadId,
};

/// How much memory is taken for copies at a time.
const AREA: u64 = 4096;

/// How far from the original a copy may be: both ways within a 32-bit
/// displacement, with room for what the original's own reaches.
const NEAR: u64 = 1 << 30;

/// What is kept free below a mapping, in case it grows downwards.
const GUARD: u64 = 1 << 16;

/// The lowest address that Linux lets programs map.
const LOWEST: u64 = 1 << 16;

const MMAP: i64 = 9;
const MUNMAP: i64 = 11;
const PROT_READ_EXEC: u64 = 5;
/// `MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE`.
const MAP_FLAGS: u64 = 0x2 | 0x20 | 0x10_0000;

/// The flag that has the processor pass over an instruction breakpoint once.
const RESUME: u64 = 1 << 16;

/// `-ERESTARTSYS`, `-ERESTARTNOINTR`, `-ERESTARTNOHAND`, `-ERESTART_RESTARTBLOCK`:
/// what a system call that is to be made again leaves in rax.
const RESTARTS: [i64; 4] = [-512, -513, -514, -516];

/// Copies of instructions in the debuggee.
#[derive(Default)]
pub(super) struct Copies {
    areas: Vec<Range<Address>>,
    /// How much of the last area is taken.
    used: u64,
    /// What each copy is of, by the copy's address.
    slots: BTreeMap<Address, Slot>,
    /// How each instruction is passed, by its own address, while its bytes are
    /// known to be unchanged.
    known: FxHashMap<Address, Way>,
    /// This process can have no copies.
    refused: bool,
}

/// A copy.
struct Slot {
    original: Address,
    copied: Copied,
}

/// How an instruction is passed.
#[derive(Clone)]
enum Way {
    /// By the debugger, or not at all.
    Here(Passage),
    /// In the copy at that address.
    Copy(Address),
}

/// A thread's pc in a copy, and the pc that it has in the original.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Displaced {
    pub shown: Address,
    pub real: Address,
    /// The instruction has not been executed yet.
    pub is_before: bool,
}

impl Copies {
    /// What a pc in a copy is in the original.
    pub fn original(&self, real: Address) -> Option<Displaced> {
        let (copy, slot) = self.slots.range(..=real).next_back()?;
        let length = slot.copied.bytes.len() as u64;
        match real.0 - copy.0 {
            0 => Some(Displaced {
                shown: slot.original,
                real,
                is_before: true,
            }),
            past if past == length && slot.copied.goes_on => Some(Displaced {
                shown: slot.original.add(length),
                real,
                is_before: false,
            }),
            _ => None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The bytes there may have changed.
    pub fn forget(&mut self, range: Range<Address>) {
        if !self.known.is_empty() {
            let longest = LONGEST as u64;
            self.known
                .retain(|at, _| !(at.0 < range.end.0 && range.start.0 < at.0 + longest));
        }
    }

    /// A free place within reach of the code at `near`.
    fn place(&self, near: Address) -> Option<Address> {
        let area = self.areas.last()?;
        (area.start.0.abs_diff(near.0) < NEAR && self.used + COPY <= AREA)
            .then(|| area.start.add(self.used))
    }
}

/// A range of `AREA` bytes near `near` that no mapping covers: below the mapping
/// that holds it, or the nearest such gap.
fn free_range(mappings: &[crate::target::Mapping], near: Address) -> Option<Address> {
    let mut end_of_previous = LOWEST;
    let mut best: Option<Address> = None;
    for mapping in mappings {
        let (start, end) = (mapping.start.0, mapping.end.0);
        let room = start.saturating_sub(end_of_previous);
        if room >= AREA + 2 * GUARD && mapping.name != "[stack]" {
            let at = Address(start - GUARD - AREA);
            let distance = at.0.abs_diff(near.0);
            if distance < NEAR && best.is_none_or(|b| b.0.abs_diff(near.0) > distance) {
                best = Some(at);
            }
        }
        end_of_previous = end.max(end_of_previous);
    }
    best
}

/// Whether a thread is stopped in a system call that the kernel will make again.
fn restarts(registers: &Registers) -> bool {
    registers.get(x86::ORIG_RAX) as i64 >= 0 && RESTARTS.contains(&(registers.get(x86::RAX) as i64))
}

impl Native {
    /// See [`Target::pass_breakpoint`].
    pub(super) fn pass(&mut self, thread: ThreadId) -> Result<Passed> {
        let mut registers = self.target_registers(thread)?;
        let at = registers.pc();
        if self.is_armed(at) && !self.patches.contains(at) {
            registers.set(x86::EFLAGS, registers.get(x86::EFLAGS) | RESUME);
            self.set_target_registers(thread, registers);
        }
        if !self.patches.contains(at) || self.patches_suspended || restarts(&registers) {
            return Ok(Passed::Ready);
        }
        let inside = self.threads[&thread.0].displaced;
        if inside.is_some_and(|d| d.shown == at && d.is_before) {
            return Ok(Passed::Ready);
        }
        let way = match self.way(thread, at) {
            // Its memory is gone: killed, most likely, as the next wait will tell.
            Err(TargetError::Memory(_)) => return Ok(Passed::Cannot),
            way => way?,
        };
        match way {
            Way::Copy(real) => {
                let known = self.stopped(thread)?;
                known.displaced = Some(Displaced {
                    shown: at,
                    real,
                    is_before: true,
                });
                known.changed = true;
                Ok(Passed::Ready)
            }
            Way::Here(Passage::Branch { when, taken, next }) => {
                let to = if when.holds(&mut registers) {
                    taken
                } else {
                    next
                };
                registers.set_pc(to);
                self.set_target_registers(thread, registers);
                Ok(Passed::Done)
            }
            Way::Here(Passage::Call { callee, next }) => {
                let callee = match callee.resolve(&registers) {
                    Ok(address) => address,
                    Err(slot) => {
                        let mut word = [0; 8];
                        if Target::read(self, slot, &mut word).is_err() {
                            return Ok(Passed::Cannot);
                        }
                        Address(u64::from_le_bytes(word))
                    }
                };
                let sp = registers.sp().offset(-8);
                if Target::write(self, sp, &next.0.to_le_bytes()).is_err() {
                    return Ok(Passed::Cannot);
                }
                registers.set(x86::RSP, sp.0);
                registers.set_pc(callee);
                self.set_target_registers(thread, registers);
                Ok(Passed::Done)
            }
            Way::Here(_) => Ok(Passed::Cannot),
        }
    }

    fn way(&mut self, thread: ThreadId, at: Address) -> Result<Way> {
        if let Some(way) = self.copies.known.get(&at) {
            return Ok(way.clone());
        }
        let mut bytes = [0; LONGEST];
        let page = 4096 - (at.0 % 4096) as usize;
        let length = match Target::read(self, at, &mut bytes) {
            Ok(()) => LONGEST,
            // Nothing is mapped behind it.
            Err(_) => {
                let length = page.min(LONGEST);
                Target::read(self, at, &mut bytes[..length])?;
                length
            }
        };
        let way = match passage(at, &bytes[..length]) {
            Passage::Copy(copied) => match self.copy(thread, at, copied)? {
                Some(copy) => Way::Copy(copy),
                None => Way::Here(Passage::Lift),
            },
            passage => Way::Here(passage),
        };
        self.copies.known.insert(at, way.clone());
        Ok(way)
    }

    /// Makes a copy of an instruction; one that is there already serves again.
    fn copy(
        &mut self,
        thread: ThreadId,
        original: Address,
        copied: Copied,
    ) -> Result<Option<Address>> {
        let same = |slot: &Slot| slot.original == original && slot.copied == copied;
        if let Some((at, _)) = self.copies.slots.iter().find(|(_, slot)| same(slot)) {
            return Ok(Some(*at));
        }
        let place = match self.copies.place(original) {
            Some(place) => place,
            None => match self.more_room(thread, original)? {
                Some(area) => area,
                None => return Ok(None),
            },
        };
        let Some(code) = copied.code(original, place) else {
            return Ok(None);
        };
        self.write_raw(place, &code)?;
        self.copies.used += COPY;
        let slot = Slot { original, copied };
        self.copies.slots.insert(place, slot);
        Ok(Some(place))
    }

    /// Maps another area. A process that filters its system calls is not made
    /// to make one that it may die of.
    fn more_room(&mut self, thread: ThreadId, near: Address) -> Result<Option<Address>> {
        if self.copies.refused || process::filters_system_calls(self.process) {
            self.copies.refused = true;
            return Ok(None);
        }
        let mappings = self.mappings()?;
        let Some(at) = free_range(&mappings, near) else {
            return Ok(None);
        };
        let arguments = [at.0, AREA, PROT_READ_EXEC, MAP_FLAGS, u64::MAX, 0];
        if self.syscall(thread, MMAP, arguments)? != at.0 as i64 {
            self.copies.refused = true;
            return Ok(None);
        }
        self.copies.areas.push(at.range(AREA));
        self.copies.used = 0;
        Ok(Some(at))
    }

    /// What the kernel's registers are in the original, when they are in a copy.
    pub(super) fn show_original(&mut self, thread: i32, registers: &mut Registers) {
        if self.copies.is_empty() {
            return;
        }
        let displaced = self.copies.original(registers.pc());
        if let Some(displaced) = displaced {
            registers.set_pc(displaced.shown);
        }
        if let Some(known) = self.threads.get_mut(&thread) {
            known.displaced = displaced;
        }
    }

    /// Makes sure that a thread that is about to be resumed in that manner is in
    /// no copy, or may be.
    pub(super) fn settle(&mut self, thread: i32, motion: Motion, signal: i32) -> Result<()> {
        let stopped = self.threads.get(&thread).is_some_and(|t| !t.running);
        let goes_on = motion == Motion::Continue && signal == 0;
        if self.copies.is_empty() || goes_on || !stopped {
            return Ok(());
        }
        let registers = self.target_registers(ThreadId(thread))?;
        let Some(displaced) = self.threads[&thread].displaced else {
            return Ok(());
        };
        if registers.pc() != displaced.shown {
            return Ok(());
        }
        let slot = self.copies.slots.get(&displaced.real);
        let is_syscall = slot.is_some_and(|slot| slot.copied.is_syscall);
        if displaced.is_before && signal == 0 {
            return Ok(());
        }
        if displaced.is_before && !is_syscall && !self.is_own_fault(thread) {
            return self.step_out_of_copy(thread);
        }
        if motion == Motion::Step && signal == 0 && restarts(&registers) {
            return Ok(());
        }
        self.put_back(thread);
        Ok(())
    }

    /// The signal that is being delivered was raised by the instruction itself.
    fn is_own_fault(&self, thread: i32) -> bool {
        let signal = self.threads.get(&thread).and_then(|t| t.signal);
        signal.is_some_and(|s| s.signal.is_fault() && s.code > 0)
    }

    /// Executes the copied instruction, with the signal that is to be delivered
    /// held back meanwhile.
    fn step_out_of_copy(&mut self, thread: i32) -> Result<()> {
        let held = self.threads.get_mut(&thread).and_then(|t| t.signal.take());
        let aside = self.step_over_syscall(thread)?;
        if !self.threads.contains_key(&thread) {
            return Ok(());
        }
        self.target_registers(ThreadId(thread))?;
        self.put_back(thread);
        if let Some(known) = self.threads.get_mut(&thread) {
            known.signal = held;
            if let Some(info) = aside {
                let signal = crate::target::Happening::Signal(info);
                known.pending.get_or_insert(signal);
            }
        }
        Ok(())
    }

    /// Moves a thread from a copy to where it is in the original.
    pub(super) fn put_back(&mut self, thread: i32) {
        if let Some(known) = self.threads.get_mut(&thread)
            && known.displaced.take().is_some()
            && known.registers.is_some()
        {
            known.changed = true;
        }
    }

    /// Moves every thread out of the copies and takes their memory back, before
    /// the process is let go.
    pub(super) fn leave_copies(&mut self) {
        if self.copies.is_empty() {
            return;
        }
        for thread in self.threads.keys().copied().collect::<Vec<_>>() {
            if self.target_registers(ThreadId(thread)).is_ok() {
                self.put_back(thread);
                let _ = self.flush(thread);
            }
        }
        let areas = std::mem::take(&mut self.copies).areas;
        let Some(thread) = self.threads.keys().next().copied() else {
            return;
        };
        for area in areas {
            let arguments = [area.start.0, AREA, 0, 0, 0, 0];
            let _ = self.syscall(ThreadId(thread), MUNMAP, arguments);
            let _ = self.flush(thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Mapping;

    #[test]
    fn a_free_range_is_near_and_below_a_mapping() {
        let mapping = |start, end, name: &str| Mapping {
            start: Address(start),
            end: Address(end),
            permissions: [true, false, true, false],
            offset: 0,
            name: name.to_owned(),
        };
        let program = mapping(0x5555_5555_4000, 0x5555_5555_9000, "/prog");
        let library = mapping(0x7fff_f7d0_0000, 0x7fff_f7f0_0000, "/lib");
        let stack = mapping(0x7fff_fffd_e000, 0x7fff_ffff_f000, "[stack]");
        let all = [program, library, stack];
        assert_eq!(
            free_range(&all, Address(0x5555_5555_5000)),
            Some(Address(0x5555_5555_4000 - GUARD - AREA))
        );
        assert_eq!(
            free_range(&all, Address(0x7fff_ffff_0000)),
            Some(Address(0x7fff_f7d0_0000 - GUARD - AREA))
        );
        let low = [mapping(0x400000, 0x401000, "/static")];
        assert!(free_range(&low, Address(0x400500)).is_some());
        assert_eq!(free_range(&low, Address(0x7fff_0000_0000)), None);
    }

    #[test]
    fn a_pc_in_a_copy_is_shown_in_the_original() {
        let mut copies = Copies::default();
        let Passage::Copy(copied) = passage(Address(0x1000), &[0x48, 0x89, 0xe5]) else {
            panic!();
        };
        let original = Address(0x1000);
        copies
            .slots
            .insert(Address(0x2000), Slot { original, copied });
        let shown = |real| {
            copies
                .original(Address(real))
                .map(|d| (d.shown.0, d.is_before))
        };
        assert_eq!(shown(0x2000), Some((0x1000, true)));
        assert_eq!(shown(0x2003), Some((0x1003, false)));
        assert_eq!(shown(0x2008), None);
        assert_eq!(shown(0x1fff), None);
    }
}
