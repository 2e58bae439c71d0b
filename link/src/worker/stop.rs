//! Stops a worker's threads from outside, with ptrace.
//!
//! The program does not notice: no signal handler runs, a thread that blocks all
//! signals stops like any other, and a system call that was interrupted is
//! restarted by the kernel. The agent's thread goes on, because it serves the
//! requests of the publish that the world is stopped for; no image code is
//! running there.
//!
//! Return addresses are found by reading each stack from its stack pointer up, as
//! [`stop`](crate::stop) does.
//!
//! A worker that a debugger or a tracer is attached to cannot be stopped here,
//! and that is the reason given. What holds between calls: no thread is traced
//! unless a [`StoppedWorker`] is alive, on the thread of this process that made
//! it.

use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::addr::HostAddr;
use crate::stop::{WINDOW, executable_in, follows_call, interrupted, is_code};

/// How long a thread may take to stop.
const SILENT: Duration = Duration::from_secs(10);
/// Bytes of a stack that are read at a time, and the most that are read at all.
const PIECE: usize = 64 << 10;
const DEEPEST: u64 = 1 << 30;

/// Threads that are stopped and traced. Dropping it lets them go on.
#[derive(Debug)]
pub struct StoppedWorker {
    /// Each thread, and the signal that it was about to get.
    threads: Vec<(i32, i32)>,
}

/// Stops every thread of a process but one; gives every pc, and every return
/// address on a stack.
pub fn stop(pid: u32, but: u64) -> io::Result<(StoppedWorker, Vec<HostAddr>)> {
    let mut stopped = StoppedWorker {
        threads: Vec::new(),
    };
    let pid = pid.cast_signed();
    loop {
        let mut new = Vec::new();
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let task: Option<i32> = task?
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            let known = |task| stopped.threads.iter().any(|(known, _)| *known == task);
            new.extend(task.filter(|&task| task as u64 != but && !known(task)));
        }
        if new.is_empty() {
            break;
        }
        for task in new {
            if seize(task)? {
                // From here on it is let go by whoever drops `stopped`.
                stopped.threads.push((task, 0));
                interrupt(task);
            }
        }
        for thread in &mut stopped.threads {
            thread.1 = wait_until_stopped(thread.0)?;
        }
    }
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let code = executable_in(&maps)?;
    let mut places = Vec::new();
    for (task, _) in &stopped.threads {
        // A thread that has died meanwhile is nowhere.
        if let Some((pc, sp)) = registers(*task) {
            places.push(HostAddr(pc));
            read_stack(pid, sp, &code, &mut places);
        }
    }
    Ok((stopped, places))
}

impl Drop for StoppedWorker {
    fn drop(&mut self) {
        for (task, signal) in self.threads.drain(..) {
            // One that is not stopped yet cannot be let go.
            let _ = wait_until_stopped(task);
            request(libc::PTRACE_DETACH, task, signal as usize);
        }
    }
}

/// Begins to trace a thread. False when it has ended.
fn seize(task: i32) -> io::Result<bool> {
    if request(libc::PTRACE_SEIZE, task, 0) == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ESRCH) => Ok(false),
        // A thread that is ending may not be traced either.
        _ if has_ended(task) => Ok(false),
        _ => {
            let tracer = tracer(task);
            let who = tracer.map_or_else(String::new, |by| format!(": process {by} traces it"));
            let why = format!("thread {task} of the worker cannot be stopped ({error}){who}");
            Err(io::Error::other(why))
        }
    }
}

fn interrupt(task: i32) {
    request(libc::PTRACE_INTERRUPT, task, 0);
}

/// Waits for a stop and gives the signal that the thread would have got, or 0;
/// nothing of the process is reaped. A thread that has ended counts as stopped.
fn wait_until_stopped(task: i32) -> io::Result<i32> {
    let began = Instant::now();
    let mut pause = Duration::from_micros(10);
    loop {
        // SAFETY: zeroes are a valid value, and the call fills it.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let flags = libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
        // SAFETY: as above; without WEXITED nobody's end is taken.
        let waited =
            unsafe { libc::waitid(libc::P_PID, task.cast_unsigned(), &raw mut info, flags) };
        // SAFETY: the structure is of a child's kind, or still zero.
        let (from, status) = unsafe { (info.si_pid(), info.si_status()) };
        if waited == 0 && from == task {
            // The event is above the signal; a signal that has none is due.
            return Ok(if status >> 8 == 0 { status } else { 0 });
        }
        if has_ended(task) {
            return Ok(0);
        }
        if began.elapsed() > SILENT {
            let seconds = SILENT.as_secs();
            let why = format!("thread {task} of the worker did not stop within {seconds} s");
            return Err(io::Error::other(why));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

/// A field of a thread's `status`.
fn status(task: i32, field: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{task}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().to_owned())
}

fn has_ended(task: i32) -> bool {
    let state = status(task, "State:");
    state.is_none_or(|state| state.starts_with(['Z', 'X']))
}

fn tracer(task: i32) -> Option<u32> {
    let tracer = status(task, "TracerPid:")?.parse().ok()?;
    (tracer != 0 && tracer != std::process::id()).then_some(tracer)
}

/// A stopped thread's pc and stack pointer.
fn registers(task: i32) -> Option<(u64, u64)> {
    // SAFETY: zeroes are a valid value; the kernel fills in the structure.
    let (got, registers) = unsafe {
        let mut registers: libc::user_regs_struct = std::mem::zeroed();
        let got = libc::ptrace(libc::PTRACE_GETREGS, task, 0usize, &raw mut registers);
        (got, registers)
    };
    (got == 0).then_some((registers.rip, registers.rsp))
}

/// Keeps every word of a stack that points into code, and where a signal's frame
/// says that another stack was interrupted, of that too.
fn read_stack(pid: i32, sp: u64, code: &[Range<u64>], places: &mut Vec<HostAddr>) {
    let mut stacks = vec![sp];
    let mut piece = vec![0; PIECE];
    let mut read = Vec::<Range<u64>>::new();
    while let Some(sp) = stacks.pop() {
        if read.iter().any(|range| range.contains(&sp)) {
            continue;
        }
        let mut at = sp & !7;
        let end = at.saturating_add(DEEPEST);
        let mut window = [0; WINDOW];
        while at < end {
            let step = PIECE - at as usize % PIECE;
            let length = read_memory(pid, at, &mut piece[..step]);
            for word in piece[..length].chunks_exact(8) {
                let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
                window.rotate_left(1);
                window[WINDOW - 1] = word;
                if is_code(code, word) && is_return_address(pid, word) {
                    places.push(HostAddr(word));
                }
                if let Some((stack, pc)) = interrupted(&window).filter(|it| is_code(code, it.1)) {
                    places.push(HostAddr(pc));
                    stacks.push(stack);
                }
            }
            at += length as u64;
            if length < step {
                break;
            }
        }
        read.push(sp & !7..at);
    }
}

/// Whether a call comes before an address.
fn is_return_address(pid: i32, at: u64) -> bool {
    let mut read = |at, into: &mut [u8]| read_memory(pid, at, into) == into.len();
    follows_call(at, &mut read)
}

fn read_memory(pid: i32, at: u64, into: &mut [u8]) -> usize {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: at as *mut libc::c_void,
        iov_len: into.len(),
    };
    // SAFETY: it writes to `into` only; the other side is checked by the kernel.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).unwrap_or(0)
}

/// A request without an address.
fn request(request: libc::c_uint, task: i32, data: usize) -> i64 {
    // SAFETY: these requests touch no memory of this process.
    unsafe { libc::ptrace(request, task, 0usize, data) }
}
