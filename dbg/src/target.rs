//! [`Target`]: what a debugger needs of a running thing.
//!
//! Everything above it (breakpoints, stepper, stacks, values, eval) is written
//! once, against this trait. Implementors: a native process ([`crate::native`]),
//! a core file, an emulated program, a remote stub.
//!
//! What holds between calls: the target is *all-stop*. After
//! [`wait`](Target::wait) returned an event that is not the target's end, every
//! thread is stopped, and no thread runs until the next
//! [`resume`](Target::resume). Memory is seen as the program wrote it:
//! breakpoint bytes are the implementor's business and show in no read.
//! Abilities that not every target has are reached by methods that say `None`.

use std::fmt;
use std::path::PathBuf;

pub use sapwood_dwarf::Address;

use crate::call::Saved;
pub use crate::registers::{Registers, VectorState};
pub use crate::signal::Signal;

/// A process, by the kernel's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProcessId(pub i32);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A thread, by the kernel's number (or the emulator's).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ThreadId(pub i32);

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why a target could not do what it was asked.
#[derive(Debug)]
pub enum TargetError {
    /// Some byte of the range is not accessible.
    Memory(Address),
    /// The target cannot do this at all.
    Unsupported(&'static str),
    /// The request failed; the target is as it was.
    Failed(String),
    /// The target is gone.
    Gone(String),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetError::Memory(at) => write!(f, "Cannot access memory at address {:#x}", at.0),
            TargetError::Unsupported(what) => write!(f, "this target cannot {what}"),
            TargetError::Failed(why) | TargetError::Gone(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for TargetError {}

/// Shorthand for what targets return.
pub type Result<T, E = TargetError> = std::result::Result<T, E>;

/// How the resumed thread goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Motion {
    /// Until something happens.
    Continue,
    /// One instruction.
    Step,
}

/// Which threads move, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resume {
    /// The thread that the request is about.
    pub thread: ThreadId,
    /// How that thread goes on.
    pub motion: Motion,
    /// Whether every other thread runs freely meanwhile, or stays stopped.
    pub others_run: bool,
}

/// What [`Target::pass_breakpoint`] could do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passed {
    /// The thread's next resume executes the instruction.
    Ready,
    /// The instruction has been executed.
    Done,
    /// Nothing: the breakpoint has to be taken out for it.
    Cannot,
}

/// What ended a [`wait`](Target::wait).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Happening {
    /// The thread reached a breakpoint instruction of ours; its pc is the
    /// address of the breakpoint.
    Breakpoint(Address),
    /// The single step is done.
    Stepped,
    /// Hardware watchpoints fired, after the access.
    Watchpoint(Fired),
    /// A signal is about to be delivered. It is delivered on the next resume
    /// unless [`Target::set_signal`] says otherwise.
    Signal(SignalInfo),
    /// [`Interrupter::interrupt`](crate::interrupt::Interrupter::interrupt) asked for a stop.
    Interrupted,
    /// The program replaced itself by this executable; one thread is left.
    Executed(PathBuf),
    /// The program forked; the child was let go (or is followed) as asked.
    Forked {
        /// The new process.
        child: ProcessId,
        /// It shares its parent's memory until it executes another program.
        vfork: bool,
    },
    /// The thread entered or left a system call that is being caught.
    Syscall {
        /// The kernel's number of the call.
        number: i64,
        /// `None` on entry, the result on return.
        result: Option<i64>,
    },
    /// The only thread that moved has ended; another is named as the event's.
    ThreadEnded(ThreadId),
    /// The process ended by itself with this status.
    Exited(i32),
    /// The process was ended by a signal.
    Killed(Signal),
}

/// The hardware watchpoints that one instruction fired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fired {
    /// Their slots: bit `n` for slot `n`.
    pub slots: u8,
    /// A single step that was asked for is done with it.
    pub stepped: bool,
}

impl Fired {
    /// Whether the watchpoint of that slot is among them.
    pub fn has(self, slot: u8) -> bool {
        self.slots >> slot & 1 == 1
    }
}

/// What is known of a signal that stopped a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignalInfo {
    /// Which.
    pub signal: Signal,
    /// The kernel's `si_code`: who sent it, or why it arose.
    pub code: i32,
    /// The address at fault, for signals that faults raise.
    pub address: Option<Address>,
    /// The sending process, for signals that processes send.
    pub sender: Option<ProcessId>,
}

/// An event of a target: what happened, and to which thread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetEvent {
    /// The thread it happened to.
    pub thread: ThreadId,
    /// What happened.
    pub what: Happening,
}

/// A running, or at least inspectable, program.
pub trait Target {
    /// The process as the user knows it.
    fn process(&self) -> ProcessId;

    /// Every thread, oldest first.
    fn threads(&self) -> Vec<ThreadId>;

    /// How many threads there are.
    fn thread_count(&self) -> usize {
        self.threads().len()
    }

    /// Whether that thread is one of them.
    fn has_thread(&self, thread: ThreadId) -> bool {
        self.threads().contains(&thread)
    }

    /// A thread's name, where it has one.
    fn thread_name(&self, thread: ThreadId) -> Option<String> {
        let _ = thread;
        None
    }

    /// Whether it can move at all: what is dead can only be looked at.
    fn can_run(&self) -> bool {
        true
    }

    /// The general registers of a stopped thread.
    fn registers(&mut self, thread: ThreadId) -> Result<Registers>;

    /// Changes the general registers of a stopped thread.
    fn set_registers(&mut self, thread: ThreadId, registers: &Registers) -> Result<()>;

    /// The floating-point and vector registers.
    fn vector_state(&mut self, thread: ThreadId) -> Result<VectorState> {
        let _ = thread;
        Err(TargetError::Unsupported("show vector registers"))
    }

    /// What is known of the signal that stopped a thread: its `siginfo_t`.
    fn signal_bytes(&mut self, thread: ThreadId) -> Result<Vec<u8>> {
        let _ = thread;
        Err(TargetError::Unsupported("tell more of a signal"))
    }

    /// Changes the floating-point and vector registers.
    fn set_vector_state(&mut self, thread: ThreadId, state: &VectorState) -> Result<()> {
        let _ = (thread, state);
        Err(TargetError::Unsupported("change vector registers"))
    }

    /// The signals a stopped thread blocks, bit `n - 1` for signal `n`.
    fn signal_mask(&mut self, thread: ThreadId) -> Result<u64> {
        let _ = thread;
        Err(TargetError::Unsupported("show blocked signals"))
    }

    /// Changes the signals a stopped thread blocks.
    fn set_signal_mask(&mut self, thread: ThreadId, mask: u64) -> Result<()> {
        let _ = (thread, mask);
        Err(TargetError::Unsupported("change blocked signals"))
    }

    /// Reads memory as the program wrote it. Fills all of `into` or fails at the
    /// first byte that cannot be read.
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<()>;

    /// Writes memory, protections notwithstanding, beneath any breakpoint.
    fn write(&mut self, at: Address, bytes: &[u8]) -> Result<()>;

    /// Makes every thread that gets to `at` stop there.
    fn insert_breakpoint(&mut self, at: Address) -> Result<()>;

    /// Undoes [`insert_breakpoint`](Target::insert_breakpoint). Without effect
    /// where there is none.
    fn remove_breakpoint(&mut self, at: Address) -> Result<()>;

    /// Lets threads go. Gives an error, and moves nothing, when the thread is gone.
    fn resume(&mut self, resume: Resume) -> Result<()>;

    /// Waits until something happens and every thread has stopped.
    fn wait(&mut self) -> Result<TargetEvent>;

    /// Waits until something happens to one thread, which is stopped then. The
    /// others may run on: until [`stop`](Target::stop), or until that thread is
    /// let [`go on`](Target::go_on), only that thread and memory may be asked
    /// about.
    fn wait_for_one(&mut self) -> Result<TargetEvent> {
        self.wait()
    }

    /// Stops every thread that runs on since [`wait_for_one`](Target::wait_for_one).
    fn stop(&mut self) -> Result<()> {
        Ok(())
    }

    /// Lets the thread whose event `wait_for_one` gave go on as `resume` had it,
    /// as though nothing had happened.
    fn go_on(&mut self, resume: Resume, thread: ThreadId) -> Result<()> {
        let _ = thread;
        self.resume(resume)
    }

    /// Has a thread that stands on a breakpoint execute the instruction beneath
    /// it instead of hitting it, without any other thread getting past.
    fn pass_breakpoint(&mut self, thread: ThreadId) -> Result<Passed> {
        let _ = thread;
        Ok(Passed::Cannot)
    }

    /// Replaces the signal that the thread's next resume delivers.
    fn set_signal(&mut self, thread: ThreadId, signal: Option<Signal>) -> Result<()>;

    /// The signal that the thread's next resume would deliver.
    fn signal(&self, thread: ThreadId) -> Option<SignalInfo> {
        let _ = thread;
        None
    }

    /// Called with `true` before a series of resumes and with `false` before the
    /// user is asked again: whose turn it is at the terminal, for one.
    fn set_running(&mut self, running: bool) {
        let _ = running;
    }

    /// Whether to stay with the child when the program forks.
    fn follow_child(&mut self, child: bool) {
        let _ = child;
    }

    /// Whether threads stop where they enter and leave system calls.
    fn catch_syscalls(&mut self, on: bool) {
        let _ = on;
    }

    /// Something of the debugger's own is about to run on a thread: that is what
    /// the thread is put back to should the debugger die meanwhile. `None` when
    /// it is over. The outermost of several counts.
    fn keep_state(&mut self, thread: ThreadId, state: Option<&Saved>) {
        let _ = (thread, state);
    }

    /// Ends the program. Afterwards no other method may be called.
    fn kill(&mut self) -> Result<()>;

    /// Takes every breakpoint out and lets the program go on by itself.
    fn detach(&mut self) -> Result<()>;

    /// What the kernel told the program at its start: keys (`AT_*`) and values.
    fn auxiliary_vector(&mut self) -> Vec<(u64, u64)> {
        Vec::new()
    }

    /// The auxiliary vector's value for a key, where there is one.
    fn auxiliary(&mut self, key: u64) -> Option<u64> {
        let vector = self.auxiliary_vector();
        vector.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    /// The program's name for itself and its arguments.
    fn command_line(&self) -> Option<Vec<String>> {
        None
    }

    /// The file that is being executed.
    fn executable(&self) -> Option<PathBuf> {
        None
    }

    /// Address ranges in use, by start.
    fn mappings(&mut self) -> Result<Vec<Mapping>> {
        Ok(Vec::new())
    }

    /// The ability to make system calls in the name of a stopped thread.
    fn syscalls(&mut self) -> Option<&mut dyn RemoteSyscall> {
        None
    }

    /// The ability to stop at accesses of data.
    fn watchpoints(&mut self) -> Option<&mut dyn Watchpoints> {
        None
    }
}

/// One mapping of a process's memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// First address.
    pub start: Address,
    /// One past the last address.
    pub end: Address,
    /// May be read, written, executed; is shared.
    pub permissions: [bool; 4],
    /// Offset in the file.
    pub offset: u64,
    /// The file, or a name in brackets, or empty.
    pub name: String,
}

/// Making system calls in the name of a stopped thread.
pub trait RemoteSyscall {
    /// Makes the call. Gives the kernel's result, negative errno included. The
    /// thread's registers are afterwards what they were, and no other thread runs.
    fn syscall(&mut self, thread: ThreadId, number: i64, arguments: [u64; 6]) -> Result<i64>;
}

/// What kind of access a watchpoint stops at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Execution of the instruction that begins there; it has not been executed
    /// when the thread stops.
    Execute,
    /// Stores.
    Write,
    /// Loads and stores.
    ReadWrite,
}

/// Hardware watchpoints and breakpoints. A thread that is about to execute what
/// one stands at reports [`Happening::Breakpoint`].
pub trait Watchpoints {
    /// Watches `length` (1, 2, 4 or 8) bytes at an address aligned to it in
    /// every thread, present and future. Gives the slot, or an error when all
    /// are taken.
    fn watch(&mut self, at: Address, length: u8, access: Access) -> Result<u8>;
    /// Frees a slot.
    fn unwatch(&mut self, slot: u8) -> Result<()>;
}
