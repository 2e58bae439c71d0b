//! System calls in the name of a stopped thread.

use super::{Native, sys};
use crate::registers::{Registers, x86};
use crate::target::{
    Address, Happening, Motion, RemoteSyscall, Result, SignalInfo, Target, TargetError, ThreadId,
};

/// `AT_SYSINFO_EHDR`: where the vdso is.
const AT_SYSINFO_EHDR: u64 = 33;
/// `AT_ENTRY`: where the program starts.
const AT_ENTRY: u64 = 9;

/// The `syscall` instruction.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// How much of the vdso is searched for one.
const VDSO_SEARCHED: usize = 8 << 10;

impl Native {
    pub(super) fn target_registers(&mut self, thread: ThreadId) -> Result<Registers> {
        Target::registers(self, thread)
    }

    pub(super) fn set_target_registers(&mut self, thread: ThreadId, registers: Registers) {
        Target::set_registers(self, thread, &registers).expect("its registers were just read");
    }

    /// Where a `syscall` instruction stands that a thread can be sent to, and
    /// the bytes to put back there afterwards, when we had to write it.
    fn syscall_instruction(&mut self) -> Result<(Address, Option<[u8; 2]>)> {
        if let Some(at) = self.syscall_at {
            return Ok((at, None));
        }
        if let Some(vdso) = self.auxiliary(AT_SYSINFO_EHDR) {
            let mut bytes = vec![0; VDSO_SEARCHED];
            let mut got = 0;
            while got < VDSO_SEARCHED {
                let page = Address(vdso + got as u64);
                if self.read_raw(page, &mut bytes[got..got + 4096]).is_err() {
                    break;
                }
                got += 4096;
            }
            // The headers come first; an instruction does not lie in them.
            let found = bytes[..got]
                .windows(2)
                .skip(0x200)
                .position(|w| w == SYSCALL);
            if let Some(index) = found {
                let at = Address(vdso + 0x200 + index as u64);
                self.syscall_at = Some(at);
                return Ok((at, None));
            }
        }
        let at = Address(self.auxiliary(AT_ENTRY).ok_or(TargetError::Unsupported(
            "find a place for a system call instruction",
        ))?);
        let mut before = [0; 2];
        self.read_raw(at, &mut before)?;
        self.write_raw(at, &SYSCALL)?;
        Ok((at, Some(before)))
    }

    /// Executes the one instruction at the thread's pc, setting aside signals
    /// that arrive meanwhile. Gives the first that did.
    pub(super) fn step_over_syscall(&mut self, thread: i32) -> Result<Option<SignalInfo>> {
        let id = ThreadId(thread);
        let mut aside = None;
        loop {
            self.resume_thread(thread, Motion::Step)?;
            let (_, status) = sys::wait(thread, true)
                .map_err(|e| self.failed(id, &e))?
                .ok_or_else(|| self.gone())?;
            if !libc::WIFSTOPPED(status) {
                self.finish();
                return Err(self.gone());
            }
            let known = self
                .threads
                .get_mut(&thread)
                .ok_or_else(|| TargetError::Gone(format!("thread {thread} is gone")))?;
            known.running = false;
            known.registers = None;
            known.displaced = None;
            match (status >> 16, libc::WSTOPSIG(status)) {
                (0, libc::SIGTRAP) => return Ok(aside),
                (0, signal) => {
                    // Set aside, to be reported when the thread is resumed.
                    let info = sys::signal_info(thread).map_err(|e| self.failed(id, &e))?;
                    let (_, sender) = sys::signal_details(&info);
                    aside.get_or_insert(SignalInfo {
                        signal: crate::signal::Signal(signal),
                        code: info.si_code,
                        address: None,
                        sender: (info.si_code <= 0).then_some(crate::target::ProcessId(sender)),
                    });
                }
                _ => {}
            }
        }
    }
}

impl RemoteSyscall for Native {
    fn syscall(&mut self, thread: ThreadId, number: i64, arguments: [u64; 6]) -> Result<i64> {
        let before = self.target_registers(thread)?;
        let known = self.stopped(thread)?;
        let signal = known.signal.take();
        let displaced = known.displaced.take();
        let (at, put_back) = self.syscall_instruction()?;
        let mut registers = before;
        registers.set_pc(at);
        registers.set(x86::RAX, number as u64);
        // Not in a system call: nothing is to be restarted on the way there.
        registers.set(x86::ORIG_RAX, u64::MAX);
        let order = [x86::RDI, x86::RSI, x86::RDX, x86::R10, x86::R8, x86::R9];
        for (register, value) in order.into_iter().zip(arguments) {
            registers.set(register, value);
        }
        self.set_target_registers(thread, registers);
        let stepped = self.step_over_syscall(thread.0);
        if let Some(bytes) = put_back {
            let _ = self.write_raw(at, &bytes);
        }
        let aside = stepped?;
        let result = self.target_registers(thread)?.get(x86::RAX) as i64;
        self.set_target_registers(thread, before);
        let known = self.stopped(thread)?;
        known.signal = signal;
        known.displaced = displaced;
        if let Some(info) = aside {
            known.pending.get_or_insert(Happening::Signal(info));
        }
        Ok(result)
    }
}
