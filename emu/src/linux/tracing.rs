//! One guest process that traces another (`ptrace`): the traced side.
//!
//! ```text
//! tracee, at a point where its registers are exact      tracer, in wait
//!   fills its Board ── stops on the host ─────────────►  reads the Board
//!   takes the answer ◄──────────── lets it go on ──────  writes the answer
//! ```
//!
//! The host's `ptrace` brings the stop across, so that `wait` reports threads
//! and strangers as it should, and a tracer's death frees its tracees. What a
//! stop is of, and what the registers are, only the tracee knows: it stops by
//! itself, in [`host::tracing::stop`], with a [`Board`] for the tracer to read.
//! Whatever else stops it on the host, its tracer's emulator lets go on unseen
//! ([`calls::tracing`](super::calls::tracing)).
//!
//! While a process is traced each of its signals comes to its handler on the
//! host, so that the tracer is told of those, too, that the guest ignores. A
//! tracer reaches a thread that runs by [`Orders`], which come with a signal
//! that a guest cannot block on the host.
//!
//! Not done: a stop signal stops the thread that takes it and not the others of
//! its process; what the guest makes `execve` of the host's programs is not
//! traced; there are no hardware breakpoints.

use super::abi::Request;
use super::host::{self, tracing as on_host};
use super::signal::{DefaultAction, SigInfo, SignalSet, default_action};
use super::system_call::Outcome;
use super::thread::{Process, Thread};
use crate::Errno;
use crate::addr::GuestAddr;
use crate::memory::{Plain, plain_structs};

/// How a board begins.
pub const BOARD_MAGIC: u64 = u64::from_le_bytes(*b"board 01");

/// The number of the call that a program begins with.
const EXECVE: u64 = 221;

/// More than all registers of any guest have, in words.
const REGISTER_WORDS: usize = 104;

plain_structs! {
    /// What a stopped thread and its tracer's emulator tell each other. It lies
    /// in the tracee's emulator.
    pub struct Board {
        pub magic: u64,
        /// Which guest it is (`e_machine`).
        pub machine: u64,
        /// The host address of guest address 0, and how many there are.
        pub memory_base: u64,
        pub memory_limit: u64,
        /// The auxiliary vector: host address and length.
        pub auxiliary_vector: [u64; 2],
        /// The program's path, as the guest knows it, likewise.
        pub executable: [u64; 2],
        /// What `wait` gives.
        pub status: u32,
        /// Which kind of stop: one of [`Kind`].
        pub kind: u32,
        /// What `PTRACE_GETEVENTMSG` gives.
        pub message: u64,
        /// The process, and the thread.
        pub process: u32,
        pub thread: u32,
        /// In a system call's stop its number and arguments, and its result.
        pub call: [u64; 7],
        pub result: u64,
        /// Signals that are blocked.
        pub mask: u64,
        /// The signal, in a stop for one.
        pub info: SigInfo,
        /// Registers as [`Abi::registers`](super::abi::Abi::registers) has them.
        pub registers: [u64; REGISTER_WORDS],
        /// From here on the answer. How the thread goes on: one of [`How`].
        pub how: u32,
        /// With which signal.
        pub signal: u32,
        /// The tracer's options.
        pub options: u64,
        /// The lowest byte that the tracer wrote to, and past the highest.
        pub written: [u64; 2],
    }
}

/// What a thread stops for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// Its tracer's emulator is to know it; the guest is not told.
    Hello = 1,
    Signal,
    /// It was stopped by a signal, or by its tracer's asking.
    Group,
    Event,
    CallBegins,
    CallEnds,
}

/// How a thread goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum How {
    Continue = 1,
    /// It stops at its next system call.
    ToCall,
    Step,
    /// It is traced no more.
    Detached,
    /// It waits for `SIGCONT`.
    Listen,
}

impl How {
    /// The one with this number; a tracer that is gone answers nothing.
    fn of(number: u32) -> How {
        let all = [How::Continue, How::ToCall, How::Step, How::Listen];
        let found = all.into_iter().find(|how| *how as u32 == number);
        found.unwrap_or(How::Detached)
    }
}

/// What a tracer wants of a thread that runs: bits, and options above them.
pub struct Orders;

impl Orders {
    /// It is traced from now on.
    pub const TRACED: u64 = 1;
    /// In the way of `PTRACE_SEIZE`.
    pub const SEIZED: u64 = 2;
    /// It is to stop as if `SIGSTOP` had come.
    pub const STOP_SIGNAL: u64 = 4;
    /// It is to stop.
    pub const INTERRUPT: u64 = 8;
    /// Options begin at this bit.
    pub const OPTIONS: u32 = 8;
}

/// `PTRACE_O_…`
pub const SYSTEM_CALLS_MARKED: u64 = libc::PTRACE_O_TRACESYSGOOD as u64;

/// That a thread is traced, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traced {
    /// By `PTRACE_SEIZE`, or in the old way.
    pub seized: bool,
    /// `PTRACE_O_…`
    pub options: u64,
    /// How it was let go on last.
    pub how: How,
    /// The tracer.
    pub tracer: i32,
}

impl Traced {
    /// In words of a command line, for the emulator that an `execve` starts.
    pub fn to_text(self) -> String {
        let Traced {
            seized,
            options,
            how,
            tracer,
        } = self;
        format!("{},{options},{},{tracer}", u8::from(seized), how as u32)
    }

    /// What [`to_text`](Self::to_text) wrote.
    pub fn from_text(text: &str) -> Option<Traced> {
        let mut numbers = text.split(',').map(|word| word.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        Some(Traced {
            seized: next()? != 0,
            options: next()?,
            how: How::of(next()? as u32),
            tracer: next()? as i32,
        })
    }
}

/// One stop, to be told.
struct Stop {
    kind: Kind,
    status: u32,
    message: u64,
    info: SigInfo,
    call: Option<(Request, u64)>,
}

/// A stop's status as `wait` has it.
fn status(signal: i32, event: i32) -> u32 {
    (event as u32) << 16 | (signal as u32) << 8 | 0x7f
}

impl Process {
    /// One more of its threads is traced: all signals come to us.
    fn count_traced(&self) {
        if self.traced().more() {
            self.renew_dispositions();
        }
    }

    fn count_untraced(&self) {
        if self.traced().less() {
            self.renew_dispositions();
        }
    }
}

impl Thread {
    /// The thread is traced from now on.
    pub fn begin_traced(&mut self, traced: Traced) {
        if self.traced.replace(traced).is_none() {
            self.process.count_traced();
        }
    }

    /// It is not any more.
    pub fn end_traced(&mut self) {
        if self.traced.take().is_some() {
            self.process.count_untraced();
        }
    }

    /// In the child of a fork, whose maker may be traced.
    pub fn forget_traced(&mut self) {
        self.traced = None;
        if self.process.traced().none() {
            self.process.renew_dispositions();
        }
    }

    /// Stops and waits for the tracer's answer: gives the signal to go on with,
    /// and what comes with it.
    fn stop_for_tracer(&mut self, stop: Stop) -> (i32, SigInfo) {
        let process = self.process.clone();
        let abi = process.abi;
        let of = |bytes: &[u8]| [bytes.as_ptr() as u64, bytes.len() as u64];
        let path = process.executable.as_os_str();
        let path = std::os::unix::ffi::OsStrExt::as_bytes(path);
        let path = process.options.files.to_guest(path);
        // At a system call's stops the instruction has been executed.
        let inside = stop.kind == Kind::CallBegins;
        let mut shown = self.state.duplicate();
        if inside {
            abi.step_over_call(&mut shown);
        }
        let mut board = Box::new(Board {
            magic: BOARD_MAGIC,
            machine: abi.machine().into(),
            memory_base: process.memory.base(),
            memory_limit: process.memory.limit(),
            auxiliary_vector: of(&process.auxiliary_vector),
            executable: of(&path),
            status: stop.status,
            kind: stop.kind as u32,
            message: stop.message,
            process: std::process::id(),
            thread: host::thread_id() as u32,
            mask: self.mask.bits(),
            info: stop.info,
            ..Board::ZERO
        });
        if let Some((request, result)) = &stop.call {
            board.call[0] = request.number;
            board.call[1..].copy_from_slice(&request.arguments);
            board.result = *result;
        }
        let registers = abi.registers(&shown);
        let words = registers.chunks(8).zip(&mut board.registers);
        for (bytes, word) in words {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        let before = *board;
        // Another thread's tracer may be gone, and the host's handler with it.
        let _ = host::set_disposition(libc::SIGTRAP, host::Disposition::Catch(0));
        on_host::stop(&mut board);
        self.take_answer(&board, &before, registers.len(), inside);
        (board.signal as i32, board.info)
    }

    fn take_answer(&mut self, board: &Board, before: &Board, length: usize, inside: bool) {
        let how = How::of(board.how);
        if board.registers != before.registers {
            let words = board.registers.iter();
            let bytes: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
            let mut state = self.state.duplicate();
            self.process.abi.set_registers(&mut state, &bytes[..length]);
            if inside {
                self.process.abi.step_back_call(&mut state);
            }
            *self.state = state;
        }
        if board.call[0] != before.call[0] {
            let abi = self.process.abi;
            abi.set_call_number(&mut self.state, board.call[0]);
        }
        if board.mask != before.mask {
            self.mask = SignalSet::from_bits(board.mask).blockable();
        }
        let [low, high] = board.written;
        if low < high {
            let stale = GuestAddr(low)..GuestAddr(high);
            self.process.engine.invalidate(stale);
        }
        match (&mut self.traced, how) {
            (_, How::Detached) => self.end_traced(),
            (Some(traced), _) => {
                traced.how = how;
                traced.options = board.options;
            }
            (None, _) => {}
        }
    }

    /// Tells the tracer's emulator of this thread, which asked to be traced.
    pub fn greet_tracer(&mut self) {
        self.tell_tracer(Kind::Hello, status(libc::SIGTRAP, 0), 0, SigInfo::ZERO);
    }

    fn tell_tracer(
        &mut self,
        kind: Kind,
        status: u32,
        message: u64,
        info: SigInfo,
    ) -> (i32, SigInfo) {
        let answer = self.stop_for_tracer(Stop {
            kind,
            status,
            message,
            info,
            call: None,
        });
        self.listen();
        answer
    }

    /// Waits, after a group stop, until something new is to be told.
    fn listen(&mut self) {
        while self.traced.is_some_and(|traced| traced.how == How::Listen) {
            while !self.mailbox.is_full() {
                on_host::sleep(self.mask, 1000);
            }
            // What came wakes it; it stays where it is for whoever takes it.
            let _ = self.mailbox.take_orders();
            self.event_stop();
        }
    }

    /// A signal is about to be taken; gives what the tracer lets through.
    pub fn tracer_passes(&mut self, info: &SigInfo) -> Option<SigInfo> {
        if self.traced.is_none() || info.signal == libc::SIGKILL {
            return Some(*info);
        }
        let before = self.state.pc;
        let (signal, changed) = self.tell_tracer(Kind::Signal, status(info.signal, 0), 0, *info);
        if self.state.pc != before {
            self.restarting = false;
        }
        match signal {
            0 => None,
            same if same == changed.signal => Some(changed),
            other => Some(SigInfo::fault(other, 0, GuestAddr(0))),
        }
    }

    /// A signal that stops was let through: gives whether the tracer was told.
    pub fn group_stop(&mut self, signal: i32) -> bool {
        let Some(traced) = self.traced else {
            return false;
        };
        debug_assert_eq!(default_action(signal), DefaultAction::Stop);
        let event = if traced.seized {
            libc::PTRACE_EVENT_STOP
        } else {
            0
        };
        self.tell_tracer(Kind::Group, status(signal, event), 0, SigInfo::ZERO);
        true
    }

    fn event_stop(&mut self) {
        let event = libc::PTRACE_EVENT_STOP;
        let code = libc::SIGTRAP | event << 8;
        let info = SigInfo::of_stop(code, host::thread_id(), host::identity()[0]);
        let status = status(libc::SIGTRAP, event);
        self.tell_tracer(Kind::Group, status, 0, info);
    }

    /// Something happened of which the tracer wants to know; `event` is
    /// `PTRACE_EVENT_…`. Gives whether it was told.
    pub fn event(&mut self, event: i32, message: u64) -> bool {
        let wanted = self
            .traced
            .is_some_and(|traced| traced.options & 1 << event != 0);
        if wanted {
            let code = libc::SIGTRAP | event << 8;
            let info = SigInfo::of_stop(code, host::thread_id(), host::identity()[0]);
            self.tell_tracer(Kind::Event, status(libc::SIGTRAP, event), message, info);
        }
        wanted
    }

    /// The thread has made the one step that it was to make.
    pub fn stepped_for_tracer(&mut self) {
        const TRAP_TRACE: i32 = 2;
        let info = SigInfo::fault(libc::SIGTRAP, TRAP_TRACE, self.state.pc);
        let passed = self.tracer_passes(&info);
        if let Some(info) = passed {
            self.force_untold(info);
        }
    }

    /// Whether the thread is to make one step only.
    pub fn steps_for_tracer(&self) -> bool {
        self.traced.is_some_and(|traced| traced.how == How::Step)
    }

    /// Whether the tracer is told of this thread's system calls.
    pub fn calls_are_told(&self) -> bool {
        self.traced.is_some_and(|traced| traced.how == How::ToCall)
    }

    /// A system call begins, or ends with a result.
    pub fn call_stop(&mut self, request: &Request, result: Option<u64>) {
        let Some(traced) = self.traced else { return };
        let marked = traced.options & SYSTEM_CALLS_MARKED != 0;
        let signal = libc::SIGTRAP | if marked { 0x80 } else { 0 };
        let kind = match result {
            None => Kind::CallBegins,
            Some(_) => Kind::CallEnds,
        };
        let info = SigInfo::of_stop(signal, host::thread_id(), host::identity()[0]);
        let (passed, _) = self.stop_for_tracer(Stop {
            kind,
            status: status(signal, 0),
            message: if result.is_none() { 1 } else { 2 },
            info,
            call: Some((*request, result.unwrap_or(0))),
        });
        if passed != 0 {
            host::send_to_self(passed);
        }
        self.open_signals();
    }

    /// A system call that the tracer is told of is over, or is made again.
    pub fn call_ended(&mut self, request: &Request, outcome: &Outcome, result: Option<u64>) {
        // What the kernel's `ERESTARTSYS` is when it is looked at.
        const MADE_AGAIN: Errno = Errno(512);
        match outcome {
            Outcome::RegistersSet => {
                let result = self.process.abi.request(&self.state).arguments[0];
                self.call_stop(request, Some(result));
            }
            Outcome::Interrupted | Outcome::NotBegun => {
                self.call_stop(request, Some(MADE_AGAIN.as_result()));
            }
            Outcome::Result(_) | Outcome::ThreadEnds(_) => self.call_stop(request, result),
        }
    }

    /// A process that an `execve` of a traced one made begins: what is told of
    /// the exec is told now.
    pub fn begin_after_exec(&mut self) {
        let Some(traced) = self.process.options.traced.as_deref() else {
            return;
        };
        let Some(traced) = Traced::from_text(traced).filter(|_| tracer_of(host::thread_id()) != 0)
        else {
            return;
        };
        host::block_all();
        self.begin_traced(traced);
        let told = self.event(libc::PTRACE_EVENT_EXEC, host::thread_id() as u64);
        if self.calls_are_told() {
            let abi = self.process.abi;
            let number = EXECVE;
            let request = Request {
                number,
                arguments: abi.request(&self.state).arguments,
            };
            self.call_stop(&request, Some(0));
        }
        if !told && !traced.seized {
            let info = SigInfo::of_stop(0, host::thread_id(), host::identity()[0]);
            self.tell_tracer(Kind::Signal, status(libc::SIGTRAP, 0), 0, info);
        }
        self.open_signals();
    }

    /// What tells the tracer of a thread or process that this one makes with
    /// these `CLONE_…` flags, if it wants to know.
    pub fn event_of_clone(&self, flags: u64) -> Option<i32> {
        let traced = self.traced?;
        let event = if flags & libc::CLONE_VFORK as u64 != 0 {
            libc::PTRACE_EVENT_VFORK
        } else if flags & 0xff == libc::SIGCHLD as u64 {
            libc::PTRACE_EVENT_FORK
        } else {
            libc::PTRACE_EVENT_CLONE
        };
        let wanted = traced.options & 1 << event != 0;
        (wanted && flags & libc::CLONE_UNTRACED as u64 == 0).then_some(event)
    }

    /// Does what a tracer wants of a running thread. All signals are blocked.
    pub fn obey(&mut self, orders: u64) {
        if orders & Orders::TRACED != 0 {
            self.begin_traced(Traced {
                seized: orders & Orders::SEIZED != 0,
                options: orders >> Orders::OPTIONS,
                how: How::Continue,
                tracer: tracer_of(host::thread_id()),
            });
        }
        if orders & Orders::STOP_SIGNAL != 0 {
            let info = SigInfo::fault(libc::SIGSTOP, 0, GuestAddr(0));
            if self.tracer_passes(&info).is_some() && !self.group_stop(libc::SIGSTOP) {
                host::send_to_self(libc::SIGSTOP);
            }
        }
        if orders & Orders::INTERRUPT != 0 && self.traced.is_some() {
            self.event_stop();
        }
    }

    /// A thread or process that one traced by `tracer` made waits here until it
    /// is traced too, unless the tracer is gone.
    pub fn await_tracer(&mut self, tracer: i32) {
        host::block_all();
        loop {
            if let Some(orders) = self.mailbox.take_orders() {
                self.obey(orders);
                break;
            }
            let signal = &mut [
                host::Argument::Value(tracer as u64),
                host::Argument::Value(0),
            ];
            let gone = host::uninterrupted(libc::SYS_kill, signal) == Err(Errno::ESRCH);
            if gone || tracer == 0 {
                break;
            }
            // The orders come with a signal that no mask keeps out.
            on_host::sleep(SignalSet::ALL, 20);
        }
        self.open_signals();
    }
}

/// Who traces a thread of this process on the host; 0 for nobody.
fn tracer_of(thread: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status"));
    let status = status.unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    line.and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

/// How many threads of a process are traced.
#[derive(Debug, Default)]
pub struct Count(std::sync::atomic::AtomicUsize);

impl Count {
    /// One more: gives whether it is the first.
    fn more(&self) -> bool {
        self.0.fetch_add(1, std::sync::atomic::Ordering::AcqRel) == 0
    }

    /// One less: gives whether it was the last.
    fn less(&self) -> bool {
        self.0.fetch_sub(1, std::sync::atomic::Ordering::AcqRel) == 1
    }

    /// None at all from now on: gives whether there were some.
    fn none(&self) -> bool {
        self.0.swap(0, std::sync::atomic::Ordering::AcqRel) != 0
    }

    /// Whether there are any.
    pub fn is_some(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Acquire) != 0
    }
}
