//! [`Process`] and [`Thread`]: one guest process, its threads, and the loop in
//! which each of them runs.
//!
//! A guest thread is a host thread, with the same identifier; a guest process
//! is a host process. So waiting, scheduling, `kill` and `/proc` need nothing
//! from us, and what other processes see of the guest is true.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard};

use super::Options;
use super::abi::{Abi, AlternateStack};
use super::calls::tracing::Tracees;
use super::gdb::{Stop, Stub};
use super::host::{self, Mailbox};
use super::lent::LentStack;
use super::signal::{Action, SIGNALS, SigInfo, SignalSet};
use super::structures::ResourceLimit;
use super::system_call::{self, Outcome};
use super::tracing::{Count, Traced};
use crate::addr::GuestAddr;
use crate::engine::Tier;
use crate::exit::{Exit, Fault, FaultKind};
use crate::memory::{Changed, GuestMemory, Plain};
use crate::state::GuestState;
use crate::{Engine, Errno};

/// `si_code` of an instruction that does not exist.
const ILL_ILLOPC: i32 = 1;
/// `si_code` of a breakpoint instruction.
const TRAP_BRKPT: i32 = 1;

/// What all threads of a guest process share.
pub struct Process {
    /// Its memory.
    pub memory: GuestMemory,
    /// What runs its instructions.
    pub engine: Engine,
    /// The host's process that was started; a fork of it is another.
    started_as: u32,
    /// Its architecture's Linux.
    pub abi: &'static dyn Abi,
    /// How the emulator was told to behave.
    pub options: Options,
    /// The program, as an absolute path of the host.
    pub executable: PathBuf,
    /// The auxiliary vector that the program was given.
    pub auxiliary_vector: Vec<u8>,
    /// Where signal handlers return to.
    pub trampoline: GuestAddr,
    /// What is done with each signal; signal `n` is at `n - 1`.
    actions: Mutex<[Action; SIGNALS as usize]>,
    /// The system calls that were found missing, each told once.
    missing: Mutex<HashSet<u64>>,
    /// The stack that the process was lent, if it is the child of a `vfork`.
    lent_stack: Mutex<Option<LentStack>>,
    /// Where a debugger is, if there is one.
    pub stub: Option<Arc<Stub>>,
    /// The identifiers of the threads that run.
    threads: Mutex<HashSet<i32>>,
    /// Limits that are shown to the guest and not put on the host's process.
    limits: Mutex<HashMap<i32, ResourceLimit>>,
    /// The threads of other processes that this one traces.
    tracees: Mutex<Tracees>,
    /// How many of its own threads are traced.
    traced: Count,
}

impl Process {
    /// A process with its memory filled, before its first thread runs; `Err` when
    /// there is no memory for translated code.
    pub fn new(
        memory: GuestMemory,
        abi: &'static dyn Abi,
        options: Options,
        executable: PathBuf,
        auxiliary_vector: Vec<u8>,
        trampoline: GuestAddr,
    ) -> io::Result<Process> {
        let engine = Engine::new(abi.guest(), options.tier)?;
        // What was translated earlier nobody would see.
        let keeps =
            options.tier == Tier::Translate && options.gdb.is_none() && options.watch.is_none();
        if let Some(place) = options.cache.as_ref().filter(|_| keeps) {
            engine.keep_in(place.clone());
        }
        if let Some(watch) = &options.watch {
            engine.watch(watch.0.clone());
        }
        if options.statistics {
            engine.measure();
        }
        Ok(Process {
            memory,
            engine,
            started_as: std::process::id(),
            abi,
            options,
            executable,
            auxiliary_vector,
            trampoline,
            actions: Mutex::new([Action::default(); SIGNALS as usize]),
            missing: Mutex::default(),
            lent_stack: Mutex::default(),
            stub: None,
            threads: Mutex::default(),
            limits: Mutex::default(),
            tracees: Mutex::default(),
            traced: Count::default(),
        })
    }

    /// The table of signal actions, locked.
    pub fn actions(&self) -> MutexGuard<'_, [Action; SIGNALS as usize]> {
        lock(&self.actions)
    }

    /// What is done with a signal.
    pub fn action(&self, signal: i32) -> Action {
        self.actions()[signal as usize - 1]
    }

    /// The process was made by a `vfork`, or by something else (`None`).
    pub fn borrow_stack(&self, stack: Option<LentStack>) {
        *lock(&self.lent_stack) = stack;
    }

    /// A descriptor of ours among the guest's.
    pub fn own_descriptor(&self) -> Option<RawFd> {
        lock(&self.lent_stack).as_ref().map(LentStack::descriptor)
    }

    /// The process is about to run another program or to end: its maker gets
    /// what was written to its stack.
    pub fn give_back_stack(&self) {
        if let Some(stack) = &mut *lock(&self.lent_stack) {
            stack.give_back(&self.memory);
        }
    }

    /// The identifiers of the guest's threads that run, locked.
    pub fn threads(&self) -> MutexGuard<'_, HashSet<i32>> {
        lock(&self.threads)
    }

    /// The limits that are only shown, locked.
    pub fn limits(&self) -> MutexGuard<'_, HashMap<i32, ResourceLimit>> {
        lock(&self.limits)
    }

    /// The threads that it traces, locked.
    pub fn tracees(&self) -> MutexGuard<'_, Tracees> {
        lock(&self.tracees)
    }

    /// How many of its threads are traced.
    pub fn traced(&self) -> &Count {
        &self.traced
    }

    /// Runs `fork` while no other thread holds a lock that its child needs.
    pub fn while_frozen<T>(&self, fork: impl FnOnce() -> T) -> T {
        let _actions = self.actions();
        let _missing = lock(&self.missing);
        let _limits = self.limits();
        let _lent_stack = lock(&self.lent_stack);
        let _tracees = self.tracees();
        let _threads = self.threads();
        let _stub = self.stub.as_ref().map(|stub| stub.freeze());
        let _interrupts = host::freeze();
        // The engine asks memory for code while it holds its own lock.
        let _engine = self.engine.freeze();
        let _memory = self.memory.freeze();
        fork()
    }

    /// The process ends, with a status or of a signal: whoever wanted to know
    /// is told.
    pub fn ended(&self, status: Result<i32, i32>) {
        if let Some(stub) = &self.stub {
            stub.ended(status);
        }
        self.keep_translations();
        self.report();
    }

    /// Leaves on disk what another run can use. That it cannot be written is
    /// told once, by the process that the user started.
    pub fn keep_translations(&self) {
        let before = host::block_all();
        if let Err(error) = self.engine.keep(&self.memory)
            && let Some(place) = &self.options.cache
            && !self.options.is_child
            && self.started_as == std::process::id()
        {
            let folder = place.folder.display();
            eprintln!("sapwood emu: translations cannot be kept in {folder}: {error}");
        }
        host::set_mask(before);
    }

    /// What the user asked to be told at the end, on standard error.
    fn report(&self) {
        if self.options.statistics {
            for line in self.engine.statistics().to_string().lines() {
                eprintln!("sapwood emu: {line}");
            }
        }
    }

    /// Takes in what an operation on guest memory did, and gives the address.
    pub fn settle(&self, changed: Changed) -> u64 {
        if let Some(stale) = changed.stale {
            self.engine.invalidate(stale);
        }
        changed.address.0
    }

    /// Whether this system call is found missing for the first time.
    pub fn is_news(&self, number: u64) -> bool {
        lock(&self.missing).insert(number)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while the lock was held is a bug that has already been told.
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// One thread of the guest, on the host thread that runs it.
pub struct Thread {
    /// The process it belongs to.
    pub process: Arc<Process>,
    /// Its registers.
    pub state: Box<GuestState>,
    /// Where the host leaves its signals.
    pub mailbox: Box<Mailbox>,
    /// The signals that it blocks.
    pub mask: SignalSet,
    /// Signals that report faults, sent while the guest blocks them: the host
    /// cannot keep them pending, so they wait here.
    pub held: Vec<SigInfo>,
    /// The stack for its signal handlers.
    pub alternate: AlternateStack,
    /// Cleared, and waiters woken, when it ends (`set_tid_address`).
    pub clear_on_exit: GuestAddr,
    /// Its list of robust futexes.
    pub robust_list: GuestAddr,
    /// Whether it is the process's first thread.
    pub initial: bool,
    /// A system call at `pc` was interrupted and is to be made again, unless
    /// a handler that does not want that comes in between.
    pub restarting: bool,
    /// A debugger had it make one step, which is not told yet.
    stepped: bool,
    /// Whether another process traces it, and how.
    pub traced: Option<Traced>,
    /// It has just come out of a fork, in the child.
    pub is_child: bool,
    /// Its maker, who waits until it can take signals.
    pub begun: Option<SyncSender<i32>>,
    /// The tracer that is to have it before it runs.
    pub awaited: Option<i32>,
}

impl Thread {
    /// A thread that is about to run from `state`.
    pub fn new(process: Arc<Process>, state: GuestState, mask: SignalSet) -> Thread {
        Thread {
            process,
            state: Box::new(state),
            mailbox: Box::default(),
            mask,
            held: Vec::new(),
            alternate: AlternateStack {
                flags: libc::SS_DISABLE as u32,
                ..AlternateStack::ZERO
            },
            clear_on_exit: GuestAddr(0),
            robust_list: GuestAddr(0),
            initial: false,
            restarting: false,
            stepped: false,
            traced: None,
            is_child: false,
            begun: None,
            awaited: None,
        }
    }

    /// Runs the guest until this thread ends; gives its status then. When the
    /// process ends, this does not return.
    pub fn run(&mut self) -> i32 {
        // SAFETY: both are boxed, and the engine is the process's; all live
        // until `self` is dropped, which is after the guard.
        let _attached = unsafe { host::attach(&self.mailbox, &self.state, &self.process.engine) };
        self.process.threads().insert(host::thread_id());
        if let Some(maker) = self.begun.take() {
            let _ = maker.send(host::thread_id());
        }
        host::set_mask(self.mask);
        let process = self.process.clone();
        if self.initial {
            self.begin_after_exec();
        }
        if let Some(tracer) = self.awaited.take() {
            self.await_tracer(tracer);
        }
        if let Some(stub) = &process.stub {
            stub.begin();
            if self.initial {
                stub.stop(self, Stop::Start);
            }
        }
        loop {
            let exit = self.run_guest(&process);
            match exit {
                Exit::Syscall => {
                    if let Some(status) = self.system_call() {
                        self.leave(&process, status);
                        return status;
                    }
                }
                Exit::Breakpoint => match &process.stub {
                    Some(stub) if process.engine.has_breakpoint(self.state.pc) => {
                        stub.stop(self, Stop::Breakpoint);
                    }
                    _ => self.force(SigInfo::fault(libc::SIGTRAP, TRAP_BRKPT, self.state.pc)),
                },
                Exit::Illegal => {
                    self.force(SigInfo::fault(libc::SIGILL, ILL_ILLOPC, self.state.pc));
                }
                Exit::Fault(fault) => self.force(signal_of(&fault)),
                Exit::Interrupted => {}
            }
            self.take_signals();
        }
    }

    /// Runs guest code until it needs something; as a debugger wants it, if
    /// there is one.
    fn run_guest(&mut self, process: &Process) -> Exit {
        if self.traced.is_some() || process.stub.is_none() {
            return self.run_for_tracer(process);
        }
        let Some(stub) = &process.stub else {
            unreachable!("seen just now");
        };
        if std::mem::take(&mut self.stepped) {
            stub.stop(self, Stop::Step);
        }
        stub.checkpoint(self);
        if !stub.is_stepping() {
            return process.engine.run(&mut self.state, &process.memory);
        }
        // What the step needs is done before it is told of.
        self.stepped = true;
        let exit = process.engine.step(&mut self.state, &process.memory);
        exit.unwrap_or(Exit::Interrupted)
    }

    /// The same, as a tracer wants it, if there is one.
    fn run_for_tracer(&mut self, process: &Process) -> Exit {
        if std::mem::take(&mut self.stepped) {
            self.stepped_for_tracer();
            // Its tracer may have gone, or something else may wait.
            self.open_signals();
        }
        if !self.steps_for_tracer() {
            return process.engine.run(&mut self.state, &process.memory);
        }
        self.stepped = true;
        let exit = process.engine.step(&mut self.state, &process.memory);
        if !matches!(exit, None | Some(Exit::Syscall)) {
            // A fault or a breakpoint is told by itself.
            self.stepped = false;
        }
        exit.unwrap_or(Exit::Interrupted)
    }

    /// The thread ends, and perhaps the process with it.
    fn leave(&mut self, process: &Process, status: i32) {
        host::block_all();
        if let Some(stub) = &process.stub {
            stub.end();
        }
        let mut threads = process.threads();
        threads.remove(&host::thread_id());
        if threads.is_empty() {
            process.ended(Ok(status));
        }
    }

    /// Makes the system call at `pc`; gives the thread's status when it ended.
    fn system_call(&mut self) -> Option<i32> {
        let abi = self.process.abi;
        let mut request = abi.request(&self.state);
        let process = self.process.clone();
        if self.calls_are_told() {
            self.call_stop(&request, None);
            request = abi.request(&self.state);
        }
        if let Some(stub) = &process.stub {
            stub.enter_call(self);
        }
        let outcome = system_call::perform(self, &request);
        if let Some(stub) = &process.stub {
            stub.leave_call();
        }
        let result = match outcome {
            Outcome::Result(result) => {
                let result = result.unwrap_or_else(Errno::as_result);
                abi.set_result(&mut self.state, result);
                abi.step_over_call(&mut self.state);
                Some(result)
            }
            Outcome::Interrupted => {
                self.restarting = true;
                None
            }
            Outcome::NotBegun | Outcome::RegistersSet => None,
            Outcome::ThreadEnds(status) => return Some(status),
        };
        // Of a fork's two ends the child has none.
        let is_child = std::mem::take(&mut self.is_child);
        if self.calls_are_told() && !is_child {
            self.call_ended(&request, &outcome, result);
        }
        None
    }
}

/// The signal that Linux sends for a fault.
fn signal_of(fault: &Fault) -> SigInfo {
    const SEGV_MAPERR: i32 = 1;
    const SEGV_ACCERR: i32 = 2;
    let (signal, code) = match fault.kind {
        FaultKind::Unmapped => (libc::SIGSEGV, SEGV_MAPERR),
        FaultKind::Protection => (libc::SIGSEGV, SEGV_ACCERR),
        FaultKind::PastEnd => (libc::SIGBUS, libc::BUS_ADRERR),
        FaultKind::Misaligned => (libc::SIGBUS, libc::BUS_ADRALN),
    };
    SigInfo::fault(signal, code, fault.address)
}
