//! Threads and child processes: making them, ending them, and the futexes by
//! which they wait for each other.

use std::sync::mpsc;

use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::linux::host::{self, Argument};
use crate::linux::lent::{self, LentStack};
use crate::linux::structures::CloneArguments;
use crate::linux::system_call::{Call, Outcome};
use crate::linux::thread::Thread;
use crate::memory::{Plain, bytes_of_mut};

/// Stack of the host thread that runs a guest thread; the guest's own stack is
/// in guest memory. Enough for the translator.
const HOST_STACK: usize = 2 << 20;

const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// What `clone` and `clone3` ask for.
struct NewTask {
    flags: u64,
    /// Where its stack ends; 0 for the one its maker uses.
    stack: GuestAddr,
    tls: u64,
    parent_tid: GuestAddr,
    child_tid: GuestAddr,
    pidfd: GuestAddr,
}

impl NewTask {
    fn has(&self, flag: i32) -> bool {
        self.flags & flag as u32 as u64 != 0
    }
}

/// `clone(flags, stack, parent tid, tls, child tid)`
pub fn clone(call: &mut Call<'_>) -> Outcome {
    let task = NewTask {
        flags: call.arguments[0],
        stack: call.address(1),
        tls: call.arguments[3],
        parent_tid: call.address(2),
        child_tid: call.address(4),
        pidfd: call.address(2),
    };
    begin(call, &task)
}

/// `clone3(arguments, size)`
pub fn clone3(call: &mut Call<'_>) -> Outcome {
    match clone3_task(call) {
        Ok(task) => begin(call, &task),
        Err(error) => Outcome::Result(Err(error)),
    }
}

fn clone3_task(call: &Call<'_>) -> Result<NewTask, Errno> {
    const FIRST_VERSION: u64 = 64;
    let size = call.arguments[1];
    if size < FIRST_VERSION {
        return Err(Errno::EINVAL);
    }
    if size > crate::memory::PAGE_SIZE {
        return Err(Errno::E2BIG);
    }
    let mut arguments = CloneArguments::ZERO;
    let known = (size as usize).min(size_of::<CloneArguments>());
    let given = call.memory().read_bytes(call.address(0), size as usize)?;
    bytes_of_mut(&mut arguments)[..known].copy_from_slice(&given[..known]);
    if given[known..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG);
    }
    let plain_flags = arguments.flags & 0xff == 0 && arguments.exit_signal <= 64;
    if !plain_flags || (arguments.stack == 0) != (arguments.stack_size == 0) {
        return Err(Errno::EINVAL);
    }
    if arguments.set_tid_size != 0 || arguments.flags & CLONE_INTO_CGROUP != 0 {
        return Err(Errno::EPERM);
    }
    Ok(NewTask {
        flags: arguments.flags | arguments.exit_signal,
        stack: GuestAddr(arguments.stack.wrapping_add(arguments.stack_size)),
        tls: arguments.tls,
        parent_tid: GuestAddr(arguments.parent_tid),
        child_tid: GuestAddr(arguments.child_tid),
        pidfd: GuestAddr(arguments.pidfd),
    })
}

fn begin(call: &mut Call<'_>, task: &NewTask) -> Outcome {
    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET;
    let threads = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
    if task.has(libc::CLONE_THREAD) {
        let complete = task.flags as i32 & threads == threads;
        let result = if complete {
            thread(call, task)
        } else {
            Err(Errno::EINVAL)
        };
        return Outcome::Result(result);
    }
    // A process that shares its maker's memory and both run on: only threads
    // can do that here. Namespaces would be the emulator's.
    let shares = task.has(libc::CLONE_VM) && !task.has(libc::CLONE_VFORK);
    if shares || task.has(libc::CLONE_SIGHAND) || task.flags as i32 & namespaces != 0 {
        return Outcome::Result(Err(Errno::EINVAL));
    }
    process(call, task)
}

/// Sets the registers of a new task: it comes out of the same system call,
/// with result 0.
fn set_registers(call: &Call<'_>, task: &NewTask, state: &mut crate::GuestState) {
    let abi = call.process().abi;
    abi.set_result(state, 0);
    abi.step_over_call(state);
    if task.stack.0 != 0 {
        abi.set_stack_pointer(state, task.stack);
    }
    if task.has(libc::CLONE_SETTLS) {
        abi.set_thread_pointer(state, task.tls);
    }
}

/// Begins a thread; gives its identifier.
fn thread(call: &mut Call<'_>, task: &NewTask) -> Result<u64, Errno> {
    let mut state = call.thread.state.duplicate();
    set_registers(call, task, &mut state);
    let mut child = Thread::new(call.thread.process.clone(), state, call.thread.mask);
    if task.has(libc::CLONE_CHILD_CLEARTID) {
        child.clear_on_exit = task.child_tid;
    }
    let event = call.thread.event_of_clone(task.flags);
    let tracer = event.and(call.thread.traced).map(|traced| traced.tracer);
    let parent_tid = task
        .has(libc::CLONE_PARENT_SETTID)
        .then_some(task.parent_tid);
    let child_tid = task.has(libc::CLONE_CHILD_SETTID).then_some(task.child_tid);
    let (tell, told) = mpsc::sync_channel(1);
    // The new host thread begins with our mask; it opens what its guest wants
    // once it has a mailbox.
    host::block_all();
    let made = std::thread::Builder::new()
        .stack_size(HOST_STACK)
        .spawn(move || {
            let identifier = host::thread_id();
            child.process.threads().insert(identifier);
            for at in [parent_tid, child_tid].into_iter().flatten() {
                // As in Linux, a bad address is nobody's error.
                let _ = child.process.memory.write(at, &identifier);
            }
            child.begun = Some(tell);
            child.awaited = tracer;
            child.run();
            end(&child);
        });
    let identifier = made
        .map_err(|_| Errno::EAGAIN)
        .and_then(|_| told.recv().map_err(|_| Errno::EAGAIN));
    if let (Ok(identifier), Some(event)) = (identifier, event) {
        call.thread.event(event, identifier as u64);
    }
    call.thread.open_signals();
    identifier.map(|identifier| identifier as u64)
}

/// Begins a process. With `CLONE_VFORK` its maker waits until the child runs
/// another program or ends; memory is copied all the same, but for what the
/// child writes to its maker's stack.
fn process(call: &mut Call<'_>, task: &NewTask) -> Outcome {
    let waiting = match task
        .has(libc::CLONE_VFORK)
        .then(host::Waiting::new)
        .transpose()
    {
        Ok(waiting) => waiting,
        Err(error) => return Outcome::Result(Err(error)),
    };
    host::block_all();
    let event = call.thread.event_of_clone(task.flags);
    let tracer = event.and(call.thread.traced).map(|traced| traced.tracer);
    let process = call.thread.process.clone();
    let forked = process.while_frozen(host::fork);
    match forked {
        Ok(None) => {
            process.engine.after_fork();
            if let Some(stub) = &process.stub {
                stub.forget();
            }
            let maker_stack = process.abi.stack_pointer(&call.thread.state);
            process.borrow_stack(waiting.map(|waiting| {
                LentStack::new(&process.memory, maker_stack, waiting.into_child_end())
            }));
            become_child(call.thread, task);
            let mut state = call.thread.state.duplicate();
            set_registers(call, task, &mut state);
            *call.thread.state = state;
            match tracer {
                Some(tracer) => call.thread.await_tracer(tracer),
                None => call.thread.open_signals(),
            }
            Outcome::RegistersSet
        }
        Ok(Some(child)) => {
            if task.has(libc::CLONE_PARENT_SETTID) {
                let _ = call.memory().write(task.parent_tid, &child);
            }
            if task.has(libc::CLONE_PIDFD) {
                let _ = give_pidfd(call, child, task.pidfd);
            }
            if let Some(event) = event {
                call.thread.event(event, child as u64);
            }
            if let Some(waiting) = waiting {
                lent::take_back(&process.memory, &waiting.wait(lent::MOST_BYTES));
                call.thread
                    .event(libc::PTRACE_EVENT_VFORK_DONE, child as u64);
            }
            call.thread.open_signals();
            Outcome::Result(Ok(child as u64))
        }
        Err(error) => {
            call.thread.open_signals();
            Outcome::Result(Err(error))
        }
    }
}

fn give_pidfd(call: &Call<'_>, child: i32, at: GuestAddr) -> Result<(), Errno> {
    let fd = call.host(
        libc::SYS_pidfd_open,
        [Argument::Value(child as u64), Argument::Value(0)],
    )?;
    call.memory().write(at, &(fd as i32))
}

/// What changes for the thread that comes out of a fork in the child.
fn become_child(thread: &mut Thread, task: &NewTask) {
    host::attached_thread_forked();
    let mut threads = thread.process.threads();
    threads.clear();
    threads.insert(host::thread_id());
    drop(threads);
    thread.mailbox.forget();
    thread.forget_traced();
    thread.process.tracees().clear();
    thread.initial = true;
    thread.is_child = true;
    thread.robust_list = GuestAddr(0);
    thread.clear_on_exit = if task.has(libc::CLONE_CHILD_CLEARTID) {
        task.child_tid
    } else {
        GuestAddr(0)
    };
    if task.has(libc::CLONE_CHILD_SETTID) {
        let _ = thread
            .process
            .memory
            .write(task.child_tid, &host::thread_id());
    }
}

/// What Linux does when a thread ends: robust futexes are marked, and whoever
/// joins it is woken.
pub fn end(thread: &Thread) {
    if thread.initial {
        thread.process.give_back_stack();
    }
    mark_robust_futexes(thread);
    let at = thread.clear_on_exit;
    if at.0 != 0 && thread.process.memory.write(at, &0_u32).is_ok() {
        wake(thread, at, 1);
    }
}

fn wake(thread: &Thread, at: GuestAddr, count: u64) {
    let arguments = &mut [
        Argument::Guest(thread.process.memory.host_pointer(at)),
        Argument::Value(libc::FUTEX_WAKE as u64),
        Argument::Value(count),
    ];
    host::uninterrupted(libc::SYS_futex, arguments).ok();
}

/// Marks each futex of the thread's list whose owner it is as left behind.
fn mark_robust_futexes(thread: &Thread) {
    /// The kernel stops here too, lest a ring hold it for ever.
    const MOST: usize = 2048;
    let memory = &thread.process.memory;
    let head = thread.robust_list;
    let Ok([first, offset, pending]) = memory.read::<[u64; 3]>(head) else {
        return;
    };
    if head.0 == 0 {
        return;
    }
    let mark = |entry: u64| {
        let at = GuestAddr((entry & !1).wrapping_add(offset));
        let Ok(word) = memory.read::<u32>(at) else {
            return;
        };
        if word & libc::FUTEX_TID_MASK == host::thread_id() as u32 {
            let left = (word & libc::FUTEX_WAITERS) | libc::FUTEX_OWNER_DIED;
            if memory.write(at, &left).is_ok() && word & libc::FUTEX_WAITERS != 0 {
                wake(thread, at, 1);
            }
        }
    };
    let mut entry = first;
    for _ in 0..MOST {
        if entry & !1 == head.0 {
            break;
        }
        let Ok(next) = memory.read::<u64>(GuestAddr(entry & !1)) else {
            break;
        };
        if entry != pending {
            mark(entry);
        }
        entry = next;
    }
    if pending != 0 {
        mark(pending);
    }
}

/// `exit(status)`: the thread ends.
pub fn exit(call: &mut Call<'_>) -> Outcome {
    let status = (call.int(0) as u64 & 0xff) << 8;
    call.thread.event(libc::PTRACE_EVENT_EXIT, status);
    Outcome::ThreadEnds(call.int(0))
}

/// `exit_group(status)`: the process ends.
pub fn exit_group(call: &mut Call<'_>) -> Outcome {
    let status = (call.int(0) as u64 & 0xff) << 8;
    call.thread.event(libc::PTRACE_EVENT_EXIT, status);
    call.process().ended(Ok(call.int(0)));
    call.process().give_back_stack();
    host::exit_process(call.int(0))
}

/// `set_tid_address(address)`
pub fn set_tid_address(call: &mut Call<'_>) -> Result<u64, Errno> {
    call.thread.clear_on_exit = call.address(0);
    Ok(host::thread_id() as u64)
}

/// `set_robust_list(head, size)`
pub fn set_robust_list(call: &mut Call<'_>) -> Result<u64, Errno> {
    const HEAD_SIZE: u64 = 24;
    if call.arguments[1] != HEAD_SIZE {
        return Err(Errno::EINVAL);
    }
    call.thread.robust_list = call.address(0);
    Ok(0)
}

/// `get_robust_list(thread, head, size)`, for the thread itself.
pub fn get_robust_list(call: &mut Call<'_>) -> Result<u64, Errno> {
    if call.int(0) != 0 && call.int(0) != host::thread_id() {
        return Err(Errno::EPERM);
    }
    call.store(1, &call.thread.robust_list.0)?;
    call.store(2, &24_u64)?;
    Ok(0)
}
