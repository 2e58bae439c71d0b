//! From wait statuses to events: what each kind of stop means, and stopping the
//! other threads before one is reported.

use std::os::raw::c_int;

use super::watch::HardwareStop;
use super::{Follow, Native, Thread, open_memory, process, sys};
use crate::patches::INT3;
use crate::registers::x86;
use crate::signal::Signal;
use crate::target::{
    Address, Happening, Motion, ProcessId, Result, SignalInfo, Target, TargetError, TargetEvent,
    ThreadId,
};

/// `si_code` of a trap that the processor raised for an `int3`.
const SI_KERNEL: i32 = 0x80;

/// What a wait status meant for a thread.
enum Meaning {
    /// Something to report.
    Event(Happening),
    /// The thread stopped, and that is all.
    Stopped,
    /// Nothing to report, and the thread may go on as it was.
    GoOn,
    /// The thread is no more; its process lives.
    Ended,
}

impl Native {
    /// Waits for an event of one thread; the others may run on.
    pub(super) fn next_event(&mut self) -> Result<TargetEvent> {
        loop {
            if let Some(event) = self.ready.take() {
                return Ok(event);
            }
            let (thread, status) = self.next_status()?;
            let over = libc::WIFEXITED(status) || libc::WIFSIGNALED(status);
            let process_is_over = over && thread == self.process;
            // Whichever thread executes another program has the first one's
            // number afterwards, and that one may have ended long before.
            if status >> 16 == libc::PTRACE_EVENT_EXEC && thread == self.process {
                self.threads.entry(thread).or_default();
            }
            if !process_is_over && !self.threads.contains_key(&thread) {
                self.early.insert(thread, status);
                continue;
            }
            match self.meaning(thread, status)? {
                Meaning::Event(what @ (Happening::Exited(_) | Happening::Killed(_))) => {
                    self.finish();
                    return Ok(self.event(thread, what));
                }
                Meaning::Event(what) => return Ok(self.event(thread, what)),
                Meaning::Stopped | Meaning::GoOn => self.go_on(thread)?,
                Meaning::Ended => self.after_end(thread)?,
            }
        }
    }

    fn event(&self, thread: i32, what: Happening) -> TargetEvent {
        TargetEvent {
            thread: ThreadId(thread),
            what,
        }
    }

    /// The next wait status of any running thread.
    fn next_status(&mut self) -> Result<(i32, c_int)> {
        let mut running = self.threads.iter().filter(|(_, t)| t.running);
        let whom = match (running.next(), running.next()) {
            // The first thread ended before the others, and its end is the
            // process's.
            (None, _) if self.threads.is_empty() => self.process,
            (None, _) => return Err(TargetError::Failed("no thread is running".to_owned())),
            (Some((&one, _)), None) => one,
            _ => -1,
        };
        match sys::wait(whom, true) {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(TargetError::Failed("nothing to wait for".to_owned())),
            Err(_) if whom > 0 && whom != self.process => {
                // It executed another program, and has another number now.
                self.threads.remove(&whom);
                match sys::wait(self.process, true) {
                    Ok(Some(status)) => Ok(status),
                    _ => {
                        self.finish();
                        Err(self.gone())
                    }
                }
            }
            Err(_) => {
                self.finish();
                Err(self.gone())
            }
        }
    }

    /// Lets a thread that reported nothing of interest go on as it was.
    fn go_on(&mut self, thread: i32) -> Result<()> {
        let stepping = self.threads.get(&thread).is_some_and(|t| t.stepping);
        let motion = if stepping {
            Motion::Step
        } else {
            Motion::Continue
        };
        self.resume_thread(thread, motion)
    }

    /// A thread ended while its process lives. When that was the only one that
    /// moved, there is nobody left to wait for: the rest is let go.
    fn after_end(&mut self, thread: i32) -> Result<()> {
        if self.threads.values().any(|t| t.running) {
            return Ok(());
        }
        let Some(other) = self.threads.keys().next().copied() else {
            return Ok(());
        };
        let _ = thread;
        self.ready = Some(self.event(other, Happening::ThreadEnded(ThreadId(thread))));
        Ok(())
    }

    /// Takes a wait status in: what state the thread is in, and what it means.
    fn meaning(&mut self, thread: i32, status: c_int) -> Result<Meaning> {
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            return Ok(self.ended(thread, status));
        }
        let known = self.threads.get_mut(&thread).expect("looked up by callers");
        known.running = false;
        known.registers = None;
        known.displaced = None;
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            0 if signal == libc::SIGTRAP => self.trap(thread),
            // With PTRACE_O_TRACESYSGOOD.
            0 if signal == libc::SIGTRAP | 0x80 => self.at_syscall(thread),
            0 => self.signalled(thread, signal),
            sys::EVENT_STOP => Ok(Meaning::Stopped),
            libc::PTRACE_EVENT_CLONE => self.cloned(thread),
            libc::PTRACE_EVENT_FORK => self.forked(thread, false),
            libc::PTRACE_EVENT_VFORK => self.forked(thread, true),
            libc::PTRACE_EVENT_VFORK_DONE => {
                if self.patches_suspended {
                    self.patches_suspended = false;
                    self.patch();
                }
                Ok(Meaning::GoOn)
            }
            libc::PTRACE_EVENT_EXEC => self.executed(),
            _ => Ok(Meaning::GoOn),
        }
    }

    fn ended(&mut self, thread: i32, status: c_int) -> Meaning {
        self.threads.remove(&thread);
        if thread != self.process {
            return Meaning::Ended;
        }
        Meaning::Event(if libc::WIFEXITED(status) {
            Happening::Exited(libc::WEXITSTATUS(status))
        } else {
            Happening::Killed(Signal(libc::WTERMSIG(status)))
        })
    }

    /// A thread enters or leaves a system call.
    fn at_syscall(&mut self, thread: i32) -> Result<Meaning> {
        let Ok(registers) = self.target_registers(ThreadId(thread)) else {
            return Ok(Meaning::GoOn);
        };
        if !self.catches_syscalls {
            return Ok(Meaning::GoOn);
        }
        let Ok(enters) = sys::enters_syscall(thread) else {
            return Ok(Meaning::GoOn);
        };
        Ok(Meaning::Event(Happening::Syscall {
            number: registers.get(x86::ORIG_RAX) as i64,
            result: (!enters).then(|| registers.get(x86::RAX) as i64),
        }))
    }

    /// A SIGTRAP: a breakpoint of ours, a finished step, or the program's own.
    fn trap(&mut self, thread: i32) -> Result<Meaning> {
        let id = ThreadId(thread);
        let stepping = self.threads[&thread].stepping;
        if self.is_watching()
            && let Some(stop) = self.watches_that_fired(thread)
        {
            return Ok(match (stop, self.target_registers(id)) {
                (HardwareStop::AfterAccess(fired), _) => {
                    Meaning::Event(Happening::Watchpoint(fired))
                }
                (HardwareStop::BeforeInstruction, Ok(registers)) => {
                    Meaning::Event(Happening::Breakpoint(registers.pc()))
                }
                (HardwareStop::BeforeInstruction, Err(_)) => Meaning::GoOn,
            });
        }
        let mut registers = match self.target_registers(id) {
            Ok(registers) => registers,
            // Killed between the stop and now: its end comes next.
            Err(_) => return Ok(Meaning::GoOn),
        };
        let before = Address(registers.pc().0.wrapping_sub(1));
        let displaced = self.threads[&thread].displaced.is_some();
        let patched = !displaced && !self.patches_suspended && self.patches.contains(before);
        let buried = !displaced && !patched && self.removed.contains(&before);
        if stepping && !patched && !buried {
            return Ok(Meaning::Event(Happening::Stepped));
        }
        let Ok(info) = sys::signal_info(thread) else {
            return Ok(Meaning::GoOn);
        };
        if buried && info.si_code == SI_KERNEL && !self.has_trap_of_its_own(before) {
            // The kernel stopped it for us before it told of the trap, and the
            // breakpoint was taken out meanwhile.
            registers.set_pc(before);
            self.set_target_registers(id, registers);
            return Ok(Meaning::GoOn);
        }
        if patched && info.si_code == SI_KERNEL {
            registers.set_pc(before);
            self.set_target_registers(id, registers);
            return Ok(Meaning::Event(Happening::Breakpoint(before)));
        }
        if stepping && info.si_code > 0 {
            return Ok(Meaning::Event(Happening::Stepped));
        }
        self.signalled(thread, libc::SIGTRAP)
    }

    /// Whether the program itself has a trap there.
    fn has_trap_of_its_own(&mut self, at: Address) -> bool {
        let mut byte = [0];
        self.read(at, &mut byte).is_ok() && byte == [INT3]
    }

    /// A signal on its way to the program; or our own nudge.
    fn signalled(&mut self, thread: i32, signal: c_int) -> Result<Meaning> {
        let Ok(info) = sys::signal_info(thread) else {
            return Ok(Meaning::GoOn);
        };
        let (address, sender) = sys::signal_details(&info);
        let sent = info.si_code <= 0;
        if signal == libc::SIGSTOP && sent && sender == std::process::id() as i32 {
            return Ok(if self.interrupter.take() {
                Meaning::Event(Happening::Interrupted)
            } else {
                Meaning::GoOn
            });
        }
        let signal = Signal(signal);
        let info = SignalInfo {
            signal,
            code: info.si_code,
            address: (!sent && signal.is_fault()).then_some(Address(address)),
            sender: sent.then_some(ProcessId(sender)),
        };
        let known = self.threads.get_mut(&thread).expect("looked up by callers");
        known.signal = Some(info);
        Ok(Meaning::Event(Happening::Signal(info)))
    }

    /// The first stop of a thread or process that the kernel attached for us.
    fn await_first_stop(&mut self, thread: i32) -> bool {
        let status = match self.early.remove(&thread) {
            Some(status) => Some(status),
            None => sys::wait(thread, true).ok().flatten().map(|(_, s)| s),
        };
        status.is_some_and(|status| libc::WIFSTOPPED(status))
    }

    fn cloned(&mut self, parent: i32) -> Result<Meaning> {
        let Ok(child) = sys::event_message(parent) else {
            return Ok(Meaning::GoOn);
        };
        let child = child as i32;
        if !self.await_first_stop(child) {
            return Ok(Meaning::GoOn);
        }
        if process::group_of(child) != Some(self.process) {
            // A process of its own that merely shares memory: it may not meet
            // our patches, and there is no telling when it stops sharing.
            let _ = sys::detach(child, 0);
            return Ok(Meaning::GoOn);
        }
        self.threads.insert(child, Thread::default());
        if self.is_watching() {
            let _ = self.arm_watches(child);
        }
        if self.resumed.is_some_and(|r| r.others_run) {
            self.resume_thread(child, Motion::Continue)?;
        }
        Ok(Meaning::GoOn)
    }

    fn forked(&mut self, parent: i32, vfork: bool) -> Result<Meaning> {
        let Ok(child) = sys::event_message(parent) else {
            return Ok(Meaning::GoOn);
        };
        let child = child as i32;
        if !self.await_first_stop(child) {
            return Ok(Meaning::GoOn);
        }
        match self.follow {
            Follow::Parent => {
                if vfork {
                    self.unpatch(&self.memory);
                    self.patches_suspended = true;
                } else if let Ok(memory) = open_memory(child) {
                    self.unpatch(&memory);
                }
                let _ = sys::detach(child, 0);
            }
            Follow::Child => self.move_to_child(child, vfork)?,
        }
        Ok(Meaning::Event(Happening::Forked {
            child: ProcessId(child),
            vfork,
        }))
    }

    /// Lets the parent go, unpatched, and stays with its child.
    fn move_to_child(&mut self, child: i32, vfork: bool) -> Result<()> {
        let _ = self.stop_all();
        self.unpatch(&self.memory);
        let watched = std::mem::take(&mut self.watched);
        let was_watching = watched.iter().any(Option::is_some);
        for thread in self.threads.keys().copied().collect::<Vec<_>>() {
            let _ = self.flush(thread);
            if was_watching {
                let _ = self.arm_watches(thread);
            }
            let _ = sys::detach(thread, 0);
        }
        self.watched = watched;
        if was_watching {
            // A new process begins with none.
            let _ = self.arm_watches(child);
        }
        self.threads.clear();
        self.threads.insert(child, Thread::default());
        self.bury_later(self.process);
        self.process = child;
        self.memory = open_memory(child)?;
        self.renew_guardian();
        // A vforked child runs in its parent's memory until it executes.
        self.patches_suspended = vfork;
        self.interrupter.watch(child);
        Ok(())
    }

    fn executed(&mut self) -> Result<Meaning> {
        let process = self.process;
        self.threads.retain(|thread, _| *thread == process);
        self.patches.clear();
        self.copies = super::Copies::default();
        self.patches_suspended = false;
        self.syscall_at = None;
        self.watched = Default::default();
        self.memory = open_memory(process)?;
        self.renew_guardian();
        let path = process::executable(process).unwrap_or_default();
        Ok(Meaning::Event(Happening::Executed(path)))
    }

    /// Stops every thread that runs, and keeps what else they report for later.
    pub(super) fn stop_all(&mut self) -> Result<()> {
        let asked: Vec<i32> = self.running();
        for thread in &asked {
            let _ = sys::interrupt(*thread);
        }
        // A thread that ends or is born meanwhile changes the list.
        while let Some(thread) = self.running().first().copied() {
            let status = if thread == self.process {
                self.wait_for_leader()
            } else {
                sys::wait(thread, true).ok().flatten()
            };
            let Some((_, status)) = status else {
                self.threads.remove(&thread);
                continue;
            };
            if let Meaning::Event(what) = self.meaning(thread, status)? {
                self.keep_for_later(thread, what)?;
            } else if self.threads.get(&thread).is_some_and(|t| t.running) {
                let _ = sys::interrupt(thread);
            }
        }
        Ok(())
    }

    fn running(&self) -> Vec<i32> {
        self.threads
            .iter()
            .filter(|(_, t)| t.running)
            .map(|(thread, _)| *thread)
            .collect()
    }

    /// Waits for the first thread, which, when it has ended before the others,
    /// reports nothing until the last of them has.
    fn wait_for_leader(&mut self) -> Option<(i32, c_int)> {
        loop {
            if let Some(status) = sys::wait(self.process, false).ok()? {
                return Some(status);
            }
            if self.threads.len() > 1 && process::is_zombie(self.process, self.process) {
                return None;
            }
            std::thread::yield_now();
        }
    }

    fn keep_for_later(&mut self, thread: i32, what: Happening) -> Result<()> {
        match what {
            // It was moved back before the breakpoint, and will hit it again.
            Happening::Breakpoint(_) | Happening::Interrupted => {}
            Happening::Exited(_) | Happening::Killed(_) => {
                // Everything is over, whatever else was to be reported.
                self.finish();
                self.ready = None;
                return Err(TargetError::Gone(format!(
                    "process {} ended while it was being stopped",
                    self.process
                )));
            }
            Happening::Signal(_) => {
                let known = self.threads.get_mut(&thread).expect("it just stopped");
                known.signal = None;
                known.pending = Some(what);
            }
            what => {
                if let Some(known) = self.threads.get_mut(&thread) {
                    known.pending = Some(what);
                }
            }
        }
        Ok(())
    }
}
