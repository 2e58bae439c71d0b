//! Calling a function in a stopped thread: the state it takes, and the state
//! it must leave.
//!
//! The called function runs on the thread's own stack, below the 128 bytes that
//! a leaf function may use without moving the stack pointer (System V psABI,
//! §3.2.2), and returns to the program's entry point, where a site waits. All
//! that the thread had is kept and put back: general and vector registers,
//! blocked signals, a signal that was about to be delivered, and a system call
//! that was interrupted (`orig_rax`: while the call runs there is none to be
//! restarted; put back, the kernel restarts it as if nothing had been).

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::interrupt::Interrupter;
use crate::registers::{Registers, VectorState, x86};
use crate::signal::Signal;
use crate::target::{Address, Happening, Motion, Result, Resume, Target, TargetError, ThreadId};

/// What a function may use below the stack pointer without asking.
const RED_ZONE: u64 = 128;
/// How the stack is aligned at a call.
const STACK_ALIGNMENT: u64 = 16;
/// The direction flag, clear at every call.
const DIRECTION: u64 = 1 << 10;
/// The single-step flag.
const TRAP: u64 = 1 << 8;

/// A call as the machine sees it.
#[derive(Clone, Debug, Default)]
pub struct MachineCall {
    /// The function.
    pub function: Address,
    /// rdi, rsi, rdx, rcx, r8, r9.
    pub integers: Vec<u64>,
    /// xmm0 to xmm7.
    pub vectors: Vec<[u8; 16]>,
    /// What is on the stack at the call, from the lowest address.
    pub stack: Vec<u8>,
    /// Bytes the caller makes room for, to which rdi points before all other
    /// arguments: a result that does not fit registers.
    pub result_room: Option<u64>,
}

/// What a call returned in.
#[derive(Clone, Debug)]
pub struct MachineResult {
    /// rax and rdx.
    pub integers: [u64; 2],
    /// xmm0 and xmm1.
    pub vectors: [[u8; 16]; 2],
    /// st(0).
    pub x87: [u8; 10],
}

/// A thread's state, as it was before a call.
#[derive(Clone, Debug)]
pub struct Saved {
    /// The general registers.
    pub registers: Registers,
    /// The vector registers, where the target has them.
    pub vectors: Option<VectorState>,
    /// Blocked signals, where the target says.
    pub mask: Option<u64>,
    /// The signal that was about to be delivered.
    pub signal: Option<Signal>,
}

impl Saved {
    /// Takes a stopped thread's state, which is to be put back.
    pub fn take(target: &mut dyn Target, thread: ThreadId) -> Result<Saved> {
        let saved = Saved {
            registers: target.registers(thread)?,
            vectors: target.vector_state(thread).ok(),
            mask: target.signal_mask(thread).ok(),
            signal: target.signal(thread).map(|info| info.signal),
        };
        target.keep_state(thread, Some(&saved));
        Ok(saved)
    }

    /// Puts it back.
    pub fn put_back(&self, target: &mut dyn Target, thread: ThreadId) -> Result<()> {
        target.keep_state(thread, None);
        target.set_registers(thread, &self.registers)?;
        if let Some(vectors) = &self.vectors {
            target.set_vector_state(thread, vectors)?;
        }
        if let Some(mask) = self.mask {
            target.set_signal_mask(thread, mask)?;
        }
        target.set_signal(thread, self.signal)
    }
}

/// Where a call returns to, and the stack pointer then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Landing {
    /// The return address.
    pub returns_to: Address,
    /// The stack pointer behind the return.
    pub sp: Address,
}

/// Makes a stopped thread stand at the beginning of a called function. Gives
/// where the call will return to. On error the thread is as it was; its stack
/// below the stack pointer may not be.
pub fn begin(
    target: &mut dyn Target,
    thread: ThreadId,
    saved: &Saved,
    call: &MachineCall,
    returns_to: Address,
) -> Result<Landing> {
    let mut registers = saved.registers;
    let stack = call.stack.len() as u64;
    let room = call
        .result_room
        .map_or(0, |room| room.next_multiple_of(STACK_ALIGNMENT));
    let result =
        registers.sp().0.wrapping_sub(RED_ZONE).wrapping_sub(room) & !(STACK_ALIGNMENT - 1);
    let top = result.wrapping_sub(stack);
    let arguments = Address(top & !(STACK_ALIGNMENT - 1));
    let sp = Address(arguments.0.wrapping_sub(8));
    let mut bytes = returns_to.0.to_le_bytes().to_vec();
    bytes.extend(&call.stack);
    target
        .write(sp, &bytes)
        .map_err(|_| TargetError::Failed(format!("no room on the stack at {:#x}", sp.0)))?;
    let order = [x86::RDI, x86::RSI, x86::RDX, x86::RCX, x86::R8, x86::R9];
    let hidden = call.result_room.map(|_| result);
    let integers = hidden.into_iter().chain(call.integers.iter().copied());
    for (register, value) in order.into_iter().zip(integers) {
        registers.set(register, value);
    }
    registers.set(x86::RAX, call.vectors.len() as u64);
    registers.set(x86::RSP, sp.0);
    registers.set(x86::ORIG_RAX, u64::MAX);
    let flags = registers.get(x86::EFLAGS) & !(DIRECTION | TRAP);
    registers.set(x86::EFLAGS, flags);
    registers.set_pc(call.function);
    if !call.vectors.is_empty() {
        let mut vectors = saved
            .vectors
            .clone()
            .ok_or(TargetError::Unsupported("pass floating-point arguments"))?;
        for (number, value) in call.vectors.iter().enumerate() {
            vectors.set_xmm(number, *value);
        }
        target.set_vector_state(thread, &vectors)?;
    }
    target.set_registers(thread, &registers)?;
    target.set_signal(thread, None)?;
    Ok(Landing {
        returns_to,
        sp: arguments,
    })
}

/// What a thread that has just returned from a call returned.
pub fn result(target: &mut dyn Target, thread: ThreadId) -> Result<MachineResult> {
    let registers = target.registers(thread)?;
    let vectors = target.vector_state(thread).ok();
    let vectors = vectors.as_ref();
    let xmm = |n| vectors.and_then(|v| v.xmm(n)).unwrap_or_default();
    Ok(MachineResult {
        integers: [registers.get(x86::RAX), registers.get(x86::RDX)],
        vectors: [xmm(0), xmm(1)],
        x87: vectors.and_then(|v| v.st(0)).unwrap_or_default(),
    })
}

/// Calls a function on a stopped thread, all others standing still, and comes
/// back when it has returned. Breakpoints on the way are passed. The thread is
/// afterwards what it was, also on error. `stands` says that a breakpoint is at
/// `returns_to` already.
pub fn quietly(
    target: &mut dyn Target,
    thread: ThreadId,
    call: &MachineCall,
    returns_to: Address,
    stands: bool,
) -> Result<MachineResult> {
    let mut saved = Saved::take(target, thread)?;
    let returned = begin(target, thread, &saved, call, returns_to).and_then(|landing| {
        if !stands {
            target.insert_breakpoint(returns_to)?;
        }
        target.set_running(true);
        let returned = wait_quietly(target, thread, landing, &mut saved.signal);
        target.set_running(false);
        if !stands {
            target.remove_breakpoint(returns_to)?;
        }
        returned.and_then(|()| result(target, thread))
    });
    if !matches!(returned, Err(TargetError::Gone(_))) {
        saved.put_back(target, thread)?;
    }
    returned
}

/// Runs a thread alone until it has returned. A signal that arrives for the
/// program is put aside in `signal`.
fn wait_quietly(
    target: &mut dyn Target,
    thread: ThreadId,
    landing: Landing,
    signal: &mut Option<Signal>,
) -> Result<()> {
    let mut passing: Option<Address> = None;
    loop {
        target.resume(Resume {
            thread,
            motion: match passing {
                Some(_) => Motion::Step,
                None => Motion::Continue,
            },
            others_run: false,
        })?;
        let event = target.wait()?;
        if let Some(at) = passing.take() {
            target.insert_breakpoint(at)?;
        }
        match event.what {
            Happening::Breakpoint(at) => {
                if at == landing.returns_to && target.registers(thread)?.sp() == landing.sp {
                    return Ok(());
                }
                target.remove_breakpoint(at)?;
                passing = Some(at);
            }
            Happening::Signal(info) if info.signal.is_fault() && info.code > 0 => {
                return Err(TargetError::Failed(format!(
                    "it received signal {}, {}",
                    info.signal,
                    info.signal.meaning()
                )));
            }
            Happening::Signal(info) => {
                signal.get_or_insert(info.signal);
                target.set_signal(thread, None)?;
            }
            Happening::Interrupted => {
                return Err(TargetError::Failed(
                    "it did not return: another thread may hold a lock that it waits for"
                        .to_owned(),
                ));
            }
            Happening::Exited(_) | Happening::Killed(_) | Happening::Executed(_) => {
                return Err(TargetError::Gone(
                    "the program ended while a function was being called in it".to_owned(),
                ));
            }
            _ => {}
        }
    }
}

/// Interrupts a program that has not stopped by a deadline. One thread for the
/// debugger's life, so that a call costs no thread.
#[derive(Default)]
pub struct Alarm {
    shared: Arc<(Mutex<AlarmState>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct AlarmState {
    deadline: Option<Instant>,
    rang: bool,
    over: bool,
}

impl Alarm {
    /// Interrupts after `time`, unless [`stop`](Alarm::stop) comes first.
    pub fn start(&mut self, time: Duration, interrupter: &Interrupter) {
        let mut state = self.state();
        state.deadline = Some(Instant::now() + time);
        state.rang = false;
        drop(state);
        self.shared.1.notify_one();
        if self.thread.is_none() {
            let (shared, interrupter) = (self.shared.clone(), interrupter.clone());
            self.thread = Some(std::thread::spawn(move || ring(&shared, &interrupter)));
        }
    }

    /// Calls it off. Says whether it had rung.
    pub fn stop(&mut self) -> bool {
        let mut state = self.state();
        state.deadline = None;
        std::mem::take(&mut state.rang)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, AlarmState> {
        let state = self.shared.0.lock();
        state.unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn ring(shared: &(Mutex<AlarmState>, Condvar), interrupter: &Interrupter) {
    let (mutex, condition) = shared;
    let Ok(mut state) = mutex.lock() else { return };
    while !state.over {
        let Some(deadline) = state.deadline else {
            match condition.wait(state) {
                Ok(woken) => state = woken,
                Err(_) => return,
            }
            continue;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            state.deadline = None;
            state.rang = true;
            interrupter.interrupt();
            continue;
        }
        match condition.wait_timeout(state, left) {
            Ok((woken, _)) => state = woken,
            Err(_) => return,
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.state().over = true;
        self.shared.1.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
