//! [`Native`]: a process on this machine, through ptrace (x86-64 Linux).
//!
//! It owns the traced threads, the process's memory file and the
//! [`Patches`] in it, and keeps the promise of [`Target`]: all threads stop
//! together. Whoever drops it leaves nothing behind: a program that it started
//! dies, one that it attached to goes on unpatched.
//!
//! What holds between calls: a thread is *stopped* or *running*; the registers
//! of a stopped one are read once and written back when it is resumed; an event
//! of a thread that stopped beside the reported one waits in that thread, and
//! is reported when that thread is resumed, without anything running. A
//! breakpoint hit is the exception: the thread is moved back before the
//! breakpoint instead, and hits it again if it is still there.
//!
//! ptrace binds tracees to one *thread* of ours: a `Native` is used on the
//! thread that made it.

mod launch;
mod passing;
mod pin;
mod process;
mod registers;
mod remote;
mod rest;
mod sys;
mod terminal;
mod wait;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

pub use launch::{Launch, find_program};

use crate::call::Saved;
use crate::interrupt::Interrupter;
use crate::patches::{INT3, Patches};
use crate::registers::{Registers, VectorState};
use crate::signal::Signal;
use crate::target::{
    Address, Happening, Mapping, Motion, Passed, ProcessId, RemoteSyscall, Result, Resume,
    SignalInfo, Target, TargetError, TargetEvent, ThreadId, Watchpoints,
};
use passing::{Copies, Displaced};
use pin::Pin;
use terminal::Terminal;

/// Wakes the wait for a process; see [`Interrupter`].
pub(crate) fn nudge(process: i32) {
    sys::kill(process, libc::SIGSTOP);
}

/// Whom to stay with when the program forks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Follow {
    /// The process we have; the child runs free.
    #[default]
    Parent,
    /// The new one; the parent runs free.
    Child,
}

/// A traced thread.
#[derive(Default)]
struct Thread {
    running: bool,
    /// It was resumed for one instruction.
    stepping: bool,
    /// Read since it stopped.
    registers: Option<Registers>,
    /// They were changed since.
    changed: bool,
    /// It is in a copy of an instruction: what its registers show is not where
    /// it is.
    displaced: Option<Displaced>,
    /// Delivered by its next resume.
    signal: Option<SignalInfo>,
    /// Happened while another thread's event was being reported.
    pending: Option<Happening>,
}

/// A process on this machine. See the [module page](self).
pub struct Native {
    process: i32,
    launched: bool,
    ended: bool,
    memory: File,
    threads: BTreeMap<i32, Thread>,
    patches: Patches,
    copies: Copies,
    /// A vforked child shares our memory: patches are recorded, not in place.
    patches_suspended: bool,
    /// Nothing of us is in the process: see [`rest`].
    at_rest: bool,
    guardian: Option<rest::Guardian>,
    /// Where breakpoints were: a thread that was stopped just after it had executed
    /// one has yet to report that.
    removed: BTreeSet<Address>,
    /// What threads are to be put back to that run something of ours.
    kept: BTreeMap<i32, Vec<Saved>>,
    /// What those threads have for us while the process is at rest.
    shelved: BTreeMap<i32, rest::Shelf>,
    follow: Follow,
    /// Threads stop where they enter and leave system calls.
    catches_syscalls: bool,
    /// An event that needs no waiting.
    ready: Option<TargetEvent>,
    /// How the last resume was meant, for threads that appear meanwhile.
    resumed: Option<Resume>,
    /// First stops of threads whose creation has not been reported yet.
    early: BTreeMap<i32, i32>,
    interrupter: Interrupter,
    terminal: Option<Terminal>,
    pin: Pin,
    /// What the debug registers watch, in every thread.
    watched: [Option<watch::Slot>; watch::SLOTS],
    /// Where in its memory a `syscall` instruction stands.
    syscall_at: Option<Address>,
    /// Tracees belong to a thread of ours: neither Send nor Sync.
    _here: PhantomData<*const ()>,
}

fn open_memory(process: i32) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/{process}/mem"))
        .map_err(|e| {
            let why = process::why_refused(process, &e);
            TargetError::Failed(format!(
                "ptrace: cannot attach to process {process}: {why}."
            ))
        })
}

impl Native {
    /// Starts a program. It stands before its first instruction.
    pub fn launch(launch: &Launch, interrupter: Interrupter) -> Result<Native> {
        let process = launch::start(launch)?;
        let mut native = Native::new(process, true, interrupter)?;
        native.threads.insert(process, Thread::default());
        if launch.input.is_none() {
            native.terminal = Terminal::share(process);
        }
        Ok(native)
    }

    /// Takes hold of a running process and stops all of its threads.
    pub fn attach(process: ProcessId, interrupter: Interrupter) -> Result<Native> {
        // A thread stands for its process.
        let number = process::group_of(process.0).unwrap_or(process.0);
        if number == std::process::id() as i32 {
            return Err(TargetError::Failed("I refuse to debug myself!".to_owned()));
        }
        if process::threads(number).is_empty() {
            return Err(TargetError::Failed(format!(
                "ptrace: No such process {number}."
            )));
        }
        let mut native = Native::new(number, false, interrupter)?;
        native.seize_threads()?;
        native.stop_all()?;
        native.guardian = rest::Guardian::start(number, &native.memory);
        native.at_rest = true;
        Ok(native)
    }

    fn new(process: i32, launched: bool, interrupter: Interrupter) -> Result<Native> {
        Ok(Native {
            process,
            launched,
            ended: false,
            memory: open_memory(process).inspect_err(|_| {
                if launched {
                    sys::kill(process, libc::SIGKILL);
                    let _ = sys::wait(process, true);
                }
            })?,
            threads: BTreeMap::new(),
            patches: Patches::default(),
            copies: Copies::default(),
            patches_suspended: false,
            at_rest: false,
            guardian: None,
            removed: BTreeSet::new(),
            kept: BTreeMap::new(),
            shelved: BTreeMap::new(),
            follow: Follow::default(),
            catches_syscalls: false,
            ready: None,
            resumed: None,
            early: BTreeMap::new(),
            interrupter,
            terminal: None,
            pin: Pin::default(),
            watched: [None; watch::SLOTS],
            syscall_at: None,
            _here: PhantomData,
        })
    }

    /// Takes hold of each thread, until a look at the list finds no new one.
    fn seize_threads(&mut self) -> Result<()> {
        loop {
            let mut found = false;
            for thread in process::threads(self.process) {
                if self.threads.contains_key(&thread) {
                    continue;
                }
                match sys::seize(thread, sys::OPTIONS) {
                    Ok(()) => {}
                    Err(e) if e.raw_os_error() == Some(libc::ESRCH) => continue,
                    Err(e) => {
                        let _ = self.let_go();
                        return Err(TargetError::Failed(format!(
                            "ptrace: cannot attach to process {}: {}.",
                            self.process,
                            process::why_refused(self.process, &e)
                        )));
                    }
                }
                found = true;
                let running = Thread {
                    running: true,
                    ..Thread::default()
                };
                self.threads.insert(thread, running);
            }
            if !found {
                return Ok(());
            }
        }
    }

    fn gone(&self) -> TargetError {
        TargetError::Gone(format!("process {} is gone", self.process))
    }

    fn failed(&self, thread: ThreadId, error: &io::Error) -> TargetError {
        if error.raw_os_error() == Some(libc::ESRCH) {
            TargetError::Gone(format!("thread {thread} is gone"))
        } else {
            TargetError::Failed(format!("thread {thread}: {error}"))
        }
    }

    fn stopped(&mut self, thread: ThreadId) -> Result<&mut Thread> {
        match self.threads.get_mut(&thread.0) {
            Some(known) if !known.running => Ok(known),
            Some(_) => Err(TargetError::Failed(format!("thread {thread} is running"))),
            None => Err(TargetError::Gone(format!("thread {thread} is gone"))),
        }
    }

    /// Writes changed registers back.
    fn flush(&mut self, thread: i32) -> io::Result<()> {
        if let Some(known) = self.threads.get_mut(&thread)
            && known.changed
            && let Some(registers) = &known.registers
        {
            let mut kernel = registers::to_kernel(registers);
            if let Some(displaced) = known.displaced
                && displaced.shown == registers.pc()
            {
                kernel.rip = displaced.real.0;
            }
            sys::set_registers(thread, &kernel)?;
            known.changed = false;
        }
        Ok(())
    }

    /// Lets one thread go. One that was killed meanwhile counts as running, so
    /// that its end is waited for.
    fn resume_thread(&mut self, thread: i32, motion: Motion) -> Result<()> {
        let signal = self.threads.get(&thread).and_then(|t| t.signal);
        let settled = self.settle(thread, motion, signal.map_or(0, |info| info.signal.0));
        if let Err(error @ TargetError::Failed(_)) = settled {
            return Err(error);
        }
        let flushed = self.flush(thread);
        let Some(known) = self.threads.get_mut(&thread) else {
            return Ok(());
        };
        let signal = known.signal.take().map_or(0, |info| info.signal.0);
        known.registers = None;
        known.changed = false;
        known.displaced = None;
        known.running = true;
        known.stepping = motion == Motion::Step;
        let moved = flushed.and_then(|()| match motion {
            Motion::Continue if self.catches_syscalls => sys::proceed_to_syscall(thread, signal),
            Motion::Continue => sys::proceed(thread, signal),
            Motion::Step => sys::step(thread, signal),
        });
        match moved {
            Err(e) if e.raw_os_error() != Some(libc::ESRCH) => {
                if let Some(known) = self.threads.get_mut(&thread) {
                    known.running = false;
                }
                Err(self.failed(ThreadId(thread), &e))
            }
            _ => Ok(()),
        }
    }

    /// Reads memory as it is, patches included.
    fn read_raw(&self, at: Address, into: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < into.len() {
            let from = at.0.wrapping_add(done as u64);
            match self.memory.read_at(&mut into[done..], from) {
                Ok(0) | Err(_) => return Err(TargetError::Memory(Address(from))),
                Ok(n) => done += n,
            }
        }
        Ok(())
    }

    fn write_raw(&self, at: Address, bytes: &[u8]) -> Result<()> {
        write_memory(&self.memory, at, bytes)
    }

    /// Puts every one of the program's own bytes back into `memory`.
    fn unpatch(&self, memory: &File) {
        for (at, original) in self.patches.iter() {
            // A page that is not there any more needs nothing put back.
            let _ = write_memory(memory, at, &[original]);
        }
    }

    /// Lays every patch over memory again.
    fn patch(&mut self) {
        for (at, _) in self.patches.clone().iter() {
            let _ = self.write_raw(at, &[INT3]);
        }
    }

    /// Takes every patch out and ends tracing of every thread.
    fn let_go(&mut self) -> Result<()> {
        self.leave_copies();
        if self.has_patches_in_place() {
            self.unpatch(&self.memory);
        }
        self.patches.clear();
        let was_watching = self.is_watching();
        self.watched = Default::default();
        for thread in self.threads.keys().copied().collect::<Vec<_>>() {
            let _ = self.flush(thread);
            if was_watching {
                let _ = self.arm_watches(thread);
            }
            let known = &self.threads[&thread];
            let signal = match (&known.signal, &known.pending) {
                (Some(info), _) | (None, Some(Happening::Signal(info))) => info.signal.0,
                _ => 0,
            };
            let _ = sys::detach(thread, signal);
        }
        self.finish();
        self.bury_later(self.process);
        Ok(())
    }

    /// A process that we started and let go is still ours to bury.
    fn bury_later(&mut self, process: i32) {
        if std::mem::take(&mut self.launched) {
            std::thread::spawn(move || sys::bury(process));
        }
    }

    /// The end of our interest in the process.
    fn finish(&mut self) {
        self.ended = true;
        self.guardian = None;
        self.removed.clear();
        self.kept.clear();
        self.shelved.clear();
        self.at_rest = false;
        self.threads.clear();
        self.patches.clear();
        self.copies = Copies::default();
        self.early.clear();
        self.interrupter.watch(0);
        self.pin.release();
        if let Some(terminal) = &mut self.terminal {
            terminal.take_back();
        }
    }
}

fn write_memory(memory: &File, at: Address, bytes: &[u8]) -> Result<()> {
    memory
        .write_all_at(bytes, at.0)
        .map_err(|_| TargetError::Memory(at))
}

impl Target for Native {
    fn process(&self) -> ProcessId {
        ProcessId(self.process)
    }

    fn threads(&self) -> Vec<ThreadId> {
        self.threads.keys().copied().map(ThreadId).collect()
    }

    fn thread_count(&self) -> usize {
        self.threads.len()
    }

    fn has_thread(&self, thread: ThreadId) -> bool {
        self.threads.contains_key(&thread.0)
    }

    fn thread_name(&self, thread: ThreadId) -> Option<String> {
        process::thread_name(self.process, thread.0)
    }

    fn registers(&mut self, thread: ThreadId) -> Result<Registers> {
        let known = self.stopped(thread)?;
        if let Some(registers) = known.registers {
            return Ok(registers);
        }
        let kernel = sys::registers(thread.0).map_err(|e| self.failed(thread, &e))?;
        let mut registers = registers::from_kernel(&kernel);
        self.show_original(thread.0, &mut registers);
        self.stopped(thread)?.registers = Some(registers);
        Ok(registers)
    }

    fn set_registers(&mut self, thread: ThreadId, registers: &Registers) -> Result<()> {
        let known = self.stopped(thread)?;
        known.registers = Some(*registers);
        known.changed = true;
        Ok(())
    }

    fn vector_state(&mut self, thread: ThreadId) -> Result<VectorState> {
        self.stopped(thread)?;
        if let Some(shelf) = self.shelved.get(&thread.0) {
            return Ok(VectorState(shelf.vectors.clone()));
        }
        sys::vector_state(thread.0)
            .map(VectorState)
            .map_err(|e| self.failed(thread, &e))
    }

    fn signal_bytes(&mut self, thread: ThreadId) -> Result<Vec<u8>> {
        self.stopped(thread)?;
        let bytes = sys::signal_bytes(thread.0).map_err(|e| self.failed(thread, &e))?;
        Ok(bytes.to_vec())
    }

    fn set_vector_state(&mut self, thread: ThreadId, state: &VectorState) -> Result<()> {
        self.stopped(thread)?;
        if let Some(shelf) = self.shelved.get_mut(&thread.0) {
            shelf.vectors.clone_from(&state.0);
            return Ok(());
        }
        sys::set_vector_state(thread.0, &state.0).map_err(|e| self.failed(thread, &e))
    }

    fn signal_mask(&mut self, thread: ThreadId) -> Result<u64> {
        self.stopped(thread)?;
        if let Some(shelf) = self.shelved.get(&thread.0) {
            return Ok(shelf.mask);
        }
        sys::signal_mask(thread.0).map_err(|e| self.failed(thread, &e))
    }

    fn set_signal_mask(&mut self, thread: ThreadId, mask: u64) -> Result<()> {
        self.stopped(thread)?;
        if let Some(shelf) = self.shelved.get_mut(&thread.0) {
            shelf.mask = mask;
            return Ok(());
        }
        sys::set_signal_mask(thread.0, mask).map_err(|e| self.failed(thread, &e))
    }

    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<()> {
        self.read_raw(at, into)?;
        self.patches.hide(at, into);
        Ok(())
    }

    fn write(&mut self, at: Address, bytes: &[u8]) -> Result<()> {
        match self.patches.lay_over(at, bytes) {
            Some(laid) if self.has_patches_in_place() => self.write_raw(at, &laid)?,
            _ => self.write_raw(at, bytes)?,
        }
        self.patches.note_write(at, bytes);
        self.copies.forget(at.range(bytes.len() as u64));
        Ok(())
    }

    fn insert_breakpoint(&mut self, at: Address) -> Result<()> {
        if self.patches.contains(at) {
            return Ok(());
        }
        let mut original = [0];
        self.read_raw(at, &mut original)?;
        if self.has_patches_in_place() {
            self.write_raw(at, &[INT3])?;
        }
        self.patches.insert(at, original[0]);
        // What stands there may have changed while nobody looked.
        self.copies.forget(at.range(1));
        Ok(())
    }

    fn remove_breakpoint(&mut self, at: Address) -> Result<()> {
        if let Some(original) = self.patches.remove(at)
            && self.has_patches_in_place()
        {
            // Memory that is unmapped by now holds no patch either.
            let _ = self.write_raw(at, &[original]);
            self.removed.insert(at);
        }
        Ok(())
    }

    fn resume(&mut self, resume: Resume) -> Result<()> {
        self.stopped(resume.thread)?;
        self.resumed = Some(resume);
        if resume.motion == Motion::Continue && self.interrupter.take() {
            self.ready = Some(TargetEvent {
                thread: resume.thread,
                what: Happening::Interrupted,
            });
            return Ok(());
        }
        let moving: Vec<i32> = if resume.others_run {
            self.threads.keys().copied().collect()
        } else {
            vec![resume.thread.0]
        };
        for thread in &moving {
            if let Some(what) = self.threads.get_mut(thread).and_then(|t| t.pending.take()) {
                if let Happening::Signal(info) = what {
                    self.stopped(ThreadId(*thread))?.signal = Some(info);
                }
                self.ready = Some(TargetEvent {
                    thread: ThreadId(*thread),
                    what,
                });
                return Ok(());
            }
        }
        if let Some(guardian) = &self.guardian {
            guardian.tell(&self.patches, self.is_watching());
            guardian.tell_states(&self.kept);
        }
        self.interrupter.watch(self.process);
        self.pin.follow(self.process, resume.thread.0);
        for thread in moving.into_iter().filter(|t| *t != resume.thread.0) {
            self.resume_thread(thread, Motion::Continue)?;
        }
        self.resume_thread(resume.thread.0, resume.motion)
    }

    fn wait(&mut self) -> Result<TargetEvent> {
        let event = self.next_event()?;
        self.stop()?;
        Ok(event)
    }

    fn wait_for_one(&mut self) -> Result<TargetEvent> {
        self.next_event()
    }

    fn stop(&mut self) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.stop_all()
    }

    fn pass_breakpoint(&mut self, thread: ThreadId) -> Result<Passed> {
        self.pass(thread)
    }

    fn go_on(&mut self, resume: Resume, thread: ThreadId) -> Result<()> {
        // What was reported had happened before: nobody was let go for it.
        let is_there = self.threads.contains_key(&resume.thread.0);
        if is_there && !self.threads.values().any(|known| known.running) {
            return self.resume(resume);
        }
        let motion = match thread == resume.thread {
            true => resume.motion,
            false => Motion::Continue,
        };
        self.resume_thread(thread.0, motion)
    }

    fn set_signal(&mut self, thread: ThreadId, signal: Option<Signal>) -> Result<()> {
        let known = self.stopped(thread)?;
        known.signal = signal.map(|signal| match known.signal {
            Some(info) if info.signal == signal => info,
            _ => SignalInfo {
                signal,
                code: libc::SI_USER,
                address: None,
                sender: None,
            },
        });
        Ok(())
    }

    fn signal(&self, thread: ThreadId) -> Option<SignalInfo> {
        self.threads.get(&thread.0)?.signal
    }

    fn set_running(&mut self, running: bool) {
        if running {
            self.wake();
            if let Some(terminal) = &mut self.terminal {
                terminal.lend();
            }
        } else {
            self.pin.release();
            self.rest();
            if let Some(terminal) = &mut self.terminal {
                terminal.take_back();
            }
        }
    }

    fn follow_child(&mut self, child: bool) {
        self.follow = if child { Follow::Child } else { Follow::Parent };
    }

    fn catch_syscalls(&mut self, on: bool) {
        self.catches_syscalls = on;
    }

    fn keep_state(&mut self, thread: ThreadId, state: Option<&Saved>) {
        self.keep(thread.0, state);
    }

    fn kill(&mut self) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        sys::kill(self.process, libc::SIGKILL);
        while let Ok(Some((thread, status))) = sys::wait(-1, true) {
            let over = libc::WIFEXITED(status) || libc::WIFSIGNALED(status);
            if over && thread == self.process {
                break;
            }
            if !over {
                // Whatever it reports on its way out, it may go on.
                let _ = sys::proceed(thread, 0);
            }
        }
        self.finish();
        Ok(())
    }

    fn detach(&mut self) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.let_go()
    }

    fn auxiliary_vector(&mut self) -> Vec<(u64, u64)> {
        process::auxiliary(self.process)
    }

    fn command_line(&self) -> Option<Vec<String>> {
        process::command_line(self.process)
    }

    fn executable(&self) -> Option<PathBuf> {
        process::executable(self.process)
    }

    fn mappings(&mut self) -> Result<Vec<Mapping>> {
        process::mappings(self.process).map_err(|_| self.gone())
    }

    fn syscalls(&mut self) -> Option<&mut dyn RemoteSyscall> {
        Some(self)
    }

    fn watchpoints(&mut self) -> Option<&mut dyn Watchpoints> {
        Some(self)
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if self.launched {
            let _ = self.kill();
        } else {
            // All of its threads must be stopped for us to let go of them.
            let _ = self.stop_all();
            let _ = self.let_go();
        }
    }
}
