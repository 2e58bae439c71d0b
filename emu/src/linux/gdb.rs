//! [`Stub`]: a debugger at the other end of gdb's remote protocol (`--gdb`).
//!
//! ```text
//! guest threads ─ stop, checkpoint, park ─► World ◄─ registers, resume ─ server ◄─► gdb
//! ```
//!
//! All threads stop together. A thread that meets something to be told (a
//! breakpoint, a signal, the end of a step) stops the world: it asks every other
//! thread to leave guest code, waits until each has, and tells gdb. A thread is
//! out of the way when it is parked here or in a system call, at whose end it
//! parks. Before it is, it leaves a copy of its registers, which gdb reads and
//! writes; a thread that was parked takes what was written when it goes on.
//!
//! Breakpoints are the engine's: guest memory never changes for them. A child of
//! a fork is not debugged, and neither is what `execve` runs.

mod files;
mod packet;
mod server;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::abi::Abi;
use super::host;
use super::signal::SignalSet;
use super::thread::{Process, Thread};

pub use server::listen;

/// What a thread has to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// It has not run yet.
    Start,
    /// A breakpoint of gdb's is at its pc.
    Breakpoint,
    /// It has made the one step that it was to make.
    Step,
    /// A signal is about to be delivered.
    Signal(i32),
}

/// What a thread is to do when the world goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Resume {
    Stay,
    Continue,
    Step,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Running,
    InCall,
    Parked,
}

/// One guest thread, as gdb sees it.
struct Slot {
    phase: Phase,
    resume: Resume,
    /// What it had when it was last out of the way, in the order of
    /// [`Abi::register_table`].
    registers: Vec<u8>,
    /// gdb wrote to them.
    is_written: bool,
    /// The signal that it is to go on with.
    signal: Option<i32>,
}

#[derive(Default)]
struct World {
    threads: BTreeMap<i32, Slot>,
    is_stopped: bool,
    /// The thread that was told of last.
    focus: i32,
    /// Signals that are of no interest.
    passed: SignalSet,
    /// Nobody debugs any more.
    is_detached: bool,
}

/// See the head of this file.
pub struct Stub {
    abi: &'static dyn Abi,
    world: Mutex<World>,
    changed: Condvar,
    out: Mutex<Option<Box<dyn Write + Send>>>,
}

impl Stub {
    /// For a process that nobody debugs yet: its first thread waits for gdb.
    pub fn new(abi: &'static dyn Abi) -> Arc<Stub> {
        Arc::new(Stub {
            abi,
            world: Mutex::default(),
            changed: Condvar::new(),
            out: Mutex::default(),
        })
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wait<'a>(&self, world: MutexGuard<'a, World>) -> MutexGuard<'a, World> {
        self.changed
            .wait(world)
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A thread begins to run.
    pub fn begin(&self) {
        let slot = Slot {
            phase: Phase::Running,
            resume: Resume::Continue,
            registers: Vec::new(),
            is_written: false,
            signal: None,
        };
        self.world().threads.insert(host::thread_id(), slot);
    }

    /// A thread has ended.
    pub fn end(&self) {
        self.world().threads.remove(&host::thread_id());
        self.changed.notify_all();
    }

    /// Stays here while the world stands still.
    pub fn checkpoint(&self, thread: &mut Thread) {
        let world = self.world();
        if world.is_stopped && !world.is_detached {
            drop(self.park(thread, world));
        }
    }

    /// Whether this thread is to make one step only.
    pub fn is_stepping(&self) -> bool {
        let world = self.world();
        let slot = world.threads.get(&host::thread_id());
        !world.is_detached && slot.is_some_and(|slot| slot.resume == Resume::Step)
    }

    /// Before a system call: its thread is out of the way until it is over.
    pub fn enter_call(&self, thread: &Thread) {
        let mut world = self.world();
        if let Some(slot) = world.threads.get_mut(&host::thread_id()) {
            slot.phase = Phase::InCall;
            slot.registers = self.abi.registers(&thread.state);
        }
        self.changed.notify_all();
    }

    /// After it.
    pub fn leave_call(&self) {
        let mut world = self.world();
        while world.is_stopped && !world.is_detached {
            world = self.wait(world);
        }
        if let Some(slot) = world.threads.get_mut(&host::thread_id()) {
            slot.phase = Phase::Running;
        }
    }

    /// Tells gdb of something, and stays until it lets the thread go on: with
    /// this signal.
    pub fn stop(&self, thread: &mut Thread, stop: Stop) -> Option<i32> {
        let own = host::thread_id();
        let mut world = self.world();
        let passes = |world: &World| match stop {
            Stop::Signal(signal) => world.passed.contains(signal),
            _ => false,
        };
        while world.is_stopped && !world.is_detached {
            // Another was first.
            world = self.park(thread, world);
            if stop == Stop::Breakpoint || stop == Stop::Step {
                // It meets it again, if it is still there.
                return None;
            }
        }
        if world.is_detached || passes(&world) {
            return match stop {
                Stop::Signal(signal) => Some(signal),
                _ => None,
            };
        }
        self.leave_registers(thread, &mut world);
        let world = self.stop_world(world, own);
        self.tell(&stop_reply(own, stop));
        let mut world = self.park(thread, world);
        world
            .threads
            .get_mut(&own)
            .and_then(|slot| slot.signal.take())
    }

    /// gdb's user interrupts the program.
    fn interrupt(&self) {
        let world = self.world();
        if world.is_stopped || world.is_detached {
            return;
        }
        let Some(&first) = world.threads.keys().next() else {
            return;
        };
        let focus = match world.threads.contains_key(&world.focus) {
            true => world.focus,
            false => first,
        };
        let _world = self.stop_world(world, focus);
        self.tell(&stop_reply(focus, Stop::Signal(libc::SIGINT)));
    }

    /// Has every thread leave guest code.
    fn stop_world<'a>(
        &self,
        mut world: MutexGuard<'a, World>,
        focus: i32,
    ) -> MutexGuard<'a, World> {
        world.is_stopped = true;
        world.focus = focus;
        let running = |world: &World| -> Vec<i32> {
            let threads = world.threads.iter();
            let running = threads.filter(|(_, slot)| slot.phase == Phase::Running);
            running.map(|(&thread, _)| thread).collect()
        };
        for thread in running(&world) {
            host::interrupt(thread);
        }
        while !running(&world).is_empty() {
            world = self.wait(world);
        }
        world
    }

    fn leave_registers(&self, thread: &Thread, world: &mut World) {
        if let Some(slot) = world.threads.get_mut(&host::thread_id()) {
            slot.phase = Phase::Parked;
            slot.registers = self.abi.registers(&thread.state);
            slot.is_written = false;
        }
    }

    /// Stays until the world goes on, and this thread with it.
    fn park<'a>(
        &self,
        thread: &mut Thread,
        mut world: MutexGuard<'a, World>,
    ) -> MutexGuard<'a, World> {
        let own = host::thread_id();
        self.leave_registers(thread, &mut world);
        self.changed.notify_all();
        loop {
            let stays = world
                .threads
                .get(&own)
                .is_some_and(|slot| slot.resume == Resume::Stay);
            if world.is_detached || !(world.is_stopped || stays) {
                break;
            }
            world = self.wait(world);
        }
        if let Some(slot) = world.threads.get_mut(&own) {
            slot.phase = Phase::Running;
            if std::mem::take(&mut slot.is_written) {
                self.abi.set_registers(&mut thread.state, &slot.registers);
            }
        }
        world
    }

    /// The process ends: with a status, or of a signal.
    pub fn ended(&self, status: Result<i32, i32>) {
        self.tell(&match status {
            Ok(status) => format!("W{:02x}", status as u8),
            Err(signal) => format!("X{:02x}", packet::to_gdb_signal(signal)),
        });
    }

    /// In the child of a fork, which nobody debugs.
    pub fn forget(&self) {
        self.world().is_detached = true;
        *self.out() = None;
    }

    fn out(&self) -> MutexGuard<'_, Option<Box<dyn Write + Send>>> {
        self.out
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn tell(&self, text: &str) {
        let _ = self.send(text.as_bytes());
    }

    fn send(&self, payload: &[u8]) -> io::Result<()> {
        match &mut *self.out() {
            Some(out) => out.write_all(&packet::framed(payload)),
            None => Ok(()),
        }
    }

    /// Holds what a fork's child needs while the fork happens.
    pub fn freeze(&self) -> impl Sized + '_ {
        (self.world(), self.out())
    }
}

/// What gdb is told of a stop.
fn stop_reply(thread: i32, stop: Stop) -> String {
    let (signal, why) = match stop {
        Stop::Breakpoint => (libc::SIGTRAP, "swbreak:;"),
        Stop::Start | Stop::Step => (libc::SIGTRAP, ""),
        Stop::Signal(signal) => (signal, ""),
    };
    let signal = packet::to_gdb_signal(signal);
    format!("T{signal:02x}{why}thread:{thread:x};")
}

/// What the server needs of a process.
pub struct Debugged {
    /// The process.
    pub process: Arc<Process>,
    /// Its stub.
    pub stub: Arc<Stub>,
}
