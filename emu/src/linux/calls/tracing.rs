//! `ptrace` and `wait`: the side of the tracer. What is traced stops by itself;
//! see [`tracing`](crate::linux::tracing).
//!
//! What the guest is told of its tracees comes through here, so `wait` looks at
//! every stop first: one that has a [`Board`] is the guest's, or asks for
//! something; any other is the host's own affair, and the thread goes on.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::addr::GuestAddr;
use crate::errno::Errno;
use crate::linux::host::{Argument, tracing as on_host};
use crate::linux::signal::SIGNALS;
use crate::linux::structures::IoVector;
use crate::linux::system_call::{Call, Outcome};
use crate::linux::tracing::{BOARD_MAGIC, Board, How, Kind, Orders, Traced};
use crate::memory::{Plain, bytes_of, bytes_of_mut, bytes_of_slice, bytes_of_slice_mut};

const EIO: Errno = Errno(libc::EIO);
/// Options that a tracer may set.
const OPTIONS: u64 = 0xff | libc::PTRACE_O_EXITKILL as u64;

/// A thread that this process traces.
#[derive(Debug, Default)]
pub struct Tracee {
    seized: bool,
    options: u64,
    /// What it is to be told when it stops on the host.
    orders: u64,
    /// How many `SIGCONT`s of ours are on their way to it.
    continued: u32,
    /// What it has told last, and the host address of that; until it goes on.
    stopped: Option<(u64, Box<Board>)>,
    /// Its process, and where that has guest memory, once it has stopped.
    process: i32,
    memory: Option<(u64, u64)>,
}

/// All of them, by their identifiers.
pub type Tracees = HashMap<i32, Tracee>;

/// A structure that `PTRACE_GET_SYSCALL_INFO` fills: the kind of stop, the
/// architecture, pc and stack pointer, then what the kind has.
type CallInfo = [u64; 11];

/// `ptrace(request, thread, address, data)`
pub fn ptrace(call: &mut Call<'_>) -> Outcome {
    let result = match call.int(0) as u32 {
        libc::PTRACE_TRACEME => trace_me(call),
        request => on_tracee(call, request),
    };
    Outcome::Result(result)
}

fn trace_me(call: &mut Call<'_>) -> Result<u64, Errno> {
    if call.thread.traced.is_some() {
        return Err(Errno::EPERM);
    }
    on_host::trace_me()?;
    call.thread.begin_traced(Traced {
        seized: false,
        options: 0,
        how: How::Continue,
        tracer: std::os::unix::process::parent_id() as i32,
    });
    call.thread.greet_tracer();
    call.thread.open_signals();
    Ok(0)
}

fn on_tracee(call: &mut Call<'_>, request: u32) -> Result<u64, Errno> {
    let thread = call.int(1);
    match request {
        libc::PTRACE_ATTACH => return attach(call, thread, false, 0),
        libc::PTRACE_SEIZE if call.arguments[2] != 0 => return Err(EIO),
        libc::PTRACE_SEIZE => return attach(call, thread, true, call.arguments[3]),
        _ => {}
    }
    let process = call.thread.process.clone();
    let mut tracees = process.tracees();
    let tracee = tracees.get_mut(&thread).ok_or(Errno::ESRCH)?;
    match request {
        libc::PTRACE_INTERRUPT if !tracee.seized => return Err(EIO),
        libc::PTRACE_INTERRUPT => {
            if tracee.stopped.is_none() {
                order(tracee, thread, Orders::INTERRUPT)?;
            }
            return Ok(0);
        }
        libc::PTRACE_KILL => {
            let kill = [Argument::Value(tracee.process as u64), Argument::Value(9)];
            return call.host(libc::SYS_kill, kill);
        }
        _ => {}
    }
    let how = match request {
        libc::PTRACE_CONT => How::Continue,
        libc::PTRACE_SYSCALL => How::ToCall,
        libc::PTRACE_SINGLESTEP => How::Step,
        libc::PTRACE_DETACH => How::Detached,
        libc::PTRACE_LISTEN => How::Listen,
        _ => return look(call, request, tracee),
    };
    let signal = match how {
        How::Listen => 0,
        _ => call.arguments[3],
    };
    if signal > SIGNALS as u64 {
        return Err(EIO);
    }
    go_on(tracee, thread, how, signal as i32)?;
    if how == How::Detached {
        tracees.remove(&thread);
    }
    Ok(0)
}

/// Begins to trace a thread of another process of ours.
fn attach(call: &Call<'_>, thread: i32, seized: bool, options: u64) -> Result<u64, Errno> {
    if options & !OPTIONS != 0 {
        return Err(EIO);
    }
    if call.process().threads().contains(&thread) {
        return Err(Errno::EPERM);
    }
    let process = process_of(thread).ok_or(Errno::ESRCH)?;
    // What is not emulated could be stopped, and not shown.
    let program = |of: &str| std::fs::metadata(format!("/proc/{of}/exe")).ok();
    let same = match (program("self"), program(&thread.to_string())) {
        (Some(own), Some(other)) => (own.dev(), own.ino()) == (other.dev(), other.ino()),
        _ => false,
    };
    if !same {
        return Err(Errno::EPERM);
    }
    let kills = options & libc::PTRACE_O_EXITKILL as u64 != 0;
    on_host::seize(thread, kills)?;
    let mut tracees = call.process().tracees();
    take_on(&mut tracees, process, thread, seized, options, !seized)?;
    Ok(0)
}

/// Tells a thread that is traced on the host already how it is.
fn take_on(
    tracees: &mut Tracees,
    process: i32,
    thread: i32,
    seized: bool,
    options: u64,
    stops: bool,
) -> Result<(), Errno> {
    let mut orders = Orders::TRACED | options << Orders::OPTIONS;
    orders |= match (seized, stops) {
        (true, true) => Orders::SEIZED | Orders::INTERRUPT,
        (true, false) => Orders::SEIZED,
        (false, _) => Orders::STOP_SIGNAL,
    };
    let mut tracee = Tracee {
        seized,
        options,
        process,
        ..Tracee::default()
    };
    order(&mut tracee, thread, orders)?;
    tracees.insert(thread, tracee);
    Ok(())
}

/// Orders a thread that runs to do something.
fn order(tracee: &mut Tracee, thread: i32, orders: u64) -> Result<(), Errno> {
    tracee.orders |= orders;
    on_host::announce(tracee.process, thread)
}

/// The process that a thread belongs to.
fn process_of(thread: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok()
}

/// Answers a stopped thread, and lets it go on.
fn go_on(tracee: &mut Tracee, thread: i32, how: How, signal: i32) -> Result<(), Errno> {
    let (at, mut board) = tracee.stopped.take().ok_or(Errno::ESRCH)?;
    board.how = how as u32;
    board.signal = signal as u32;
    board.options = tracee.options;
    memory_of(thread)?.write_all_at(bytes_of(&*board), at)?;
    match how {
        How::Detached => on_host::detach(thread),
        _ => on_host::go_on(thread, 0),
    }
}

fn memory_of(thread: i32) -> Result<File, Errno> {
    let mut options = File::options();
    let path = format!("/proc/{thread}/mem");
    Ok(options.read(true).write(true).open(path)?)
}

/// What is asked of a stopped thread.
fn look(call: &mut Call<'_>, request: u32, tracee: &mut Tracee) -> Result<u64, Errno> {
    const GET_SYSCALL_INFO: u32 = 0x420e;
    let thread = call.int(1);
    let (_, board) = tracee.stopped.as_mut().ok_or(Errno::ESRCH)?;
    if board.machine != u64::from(call.process().abi.machine()) {
        return Err(EIO);
    }
    match request {
        libc::PTRACE_PEEKTEXT | libc::PTRACE_PEEKDATA => {
            let word = peek(board, thread, call.arguments[2])?;
            call.store(3, &word)?;
        }
        libc::PTRACE_POKETEXT | libc::PTRACE_POKEDATA => {
            peek(board, thread, call.arguments[2])?;
            let word = call.arguments[3].to_le_bytes();
            let at = host_address(board, call.arguments[2], 8)?;
            // A tracer writes to code, too.
            memory_of(thread)?
                .write_all_at(&word, at)
                .map_err(|_| EIO)?;
            note_written(board, call.arguments[2], 8);
        }
        libc::PTRACE_SETOPTIONS => {
            let options = call.arguments[3];
            if options & !OPTIONS != 0 {
                return Err(Errno::EINVAL);
            }
            tracee.options = options;
            let kills = options & libc::PTRACE_O_EXITKILL as u64 != 0;
            on_host::set_options(thread, kills)?;
        }
        libc::PTRACE_GETEVENTMSG => call.store(3, &board.message)?,
        libc::PTRACE_GETSIGINFO if board.info.signal == 0 => return Err(Errno::EINVAL),
        libc::PTRACE_GETSIGINFO => call.store(3, &board.info)?,
        libc::PTRACE_SETSIGINFO => board.info = call.load(3)?,
        libc::PTRACE_GETREGSET | libc::PTRACE_SETREGSET => {
            register_set(call, board, request == libc::PTRACE_SETREGSET)?;
        }
        libc::PTRACE_GETSIGMASK | libc::PTRACE_SETSIGMASK if call.arguments[2] != 8 => {
            return Err(Errno::EINVAL);
        }
        libc::PTRACE_GETSIGMASK => call.store(3, &board.mask)?,
        libc::PTRACE_SETSIGMASK => board.mask = call.load(3)?,
        GET_SYSCALL_INFO => return call_info(call, board),
        _ => return Err(EIO),
    }
    Ok(0)
}

/// Reads a word of a tracee's guest memory. Not by way of its `/proc/…/mem`,
/// which gives zeros where the guest has nothing: that is reserved.
fn peek(board: &Board, thread: i32, at: u64) -> Result<u64, Errno> {
    let mut word = 0_u64;
    let at = host_address(board, at, 8)?;
    on_host::read(thread, at, bytes_of_mut(&mut word)).map_err(|_| EIO)?;
    Ok(word)
}

/// The host address of some of a tracee's guest memory.
fn host_address(board: &Board, at: u64, length: u64) -> Result<u64, Errno> {
    let end = at.checked_add(length).ok_or(EIO)?;
    match end <= board.memory_limit {
        true => Ok(board.memory_base + at),
        false => Err(EIO),
    }
}

/// Code that was written to must be translated anew.
fn note_written(board: &mut Board, at: u64, length: u64) {
    let [low, high] = board.written;
    board.written = match low < high {
        true => [low.min(at), high.max(at + length)],
        false => [at, at + length],
    };
}

/// `PTRACE_GETREGSET(thread, kind, vector)` and its counterpart.
fn register_set(call: &Call<'_>, board: &mut Board, sets: bool) -> Result<(), Errno> {
    const CALL_NUMBER: u64 = 0x404;
    let kind = call.arguments[2];
    let vector: IoVector = call.load(3)?;
    let room = vector.length.min(4096) as usize;
    let at = GuestAddr(vector.base);
    let number = kind == CALL_NUMBER && call.process().abi.has_call_number_set();
    let mut bytes = bytes_of_slice(&board.registers).to_vec();
    let mut whole;
    let parts = match number {
        true => None,
        false => Some(call.process().abi.register_set(kind)),
    };
    match parts {
        None => whole = (board.call[0] as u32).to_le_bytes().to_vec(),
        Some(None) => return Err(Errno::EINVAL),
        Some(Some((parts, length))) => {
            whole = Vec::with_capacity(length);
            for &(start, end) in parts {
                whole.extend_from_slice(&bytes[start..end]);
            }
            whole.resize(length, 0);
        }
    }
    let length = whole.len().min(room);
    if !sets {
        call.memory().write_bytes(at, &whole[..length])?;
    } else {
        let given = call.memory().read_bytes(at, length)?;
        whole[..length].copy_from_slice(&given);
        match parts {
            Some(Some((parts, _))) => {
                let mut from = 0;
                for &(start, end) in parts {
                    let to = from + (end - start);
                    bytes[start..end].copy_from_slice(&whole[from..to]);
                    from = to;
                }
                bytes_of_slice_mut(&mut board.registers).copy_from_slice(&bytes);
            }
            _ => {
                let number = whole[..4].try_into().expect("four bytes");
                board.call[0] = i64::from(i32::from_le_bytes(number)) as u64;
            }
        }
    }
    let vector = IoVector {
        length: length as u64,
        ..vector
    };
    call.store(3, &vector)
}

/// `PTRACE_GET_SYSCALL_INFO(thread, size, structure)`: gives how long the
/// structure is.
fn call_info(call: &Call<'_>, board: &Board) -> Result<u64, Errno> {
    const HEAD: usize = 24;
    let abi = call.process().abi;
    let kind = match board.kind {
        kind if kind == Kind::CallBegins as u32 => 1,
        kind if kind == Kind::CallEnds as u32 => 2,
        _ => 0_u64,
    };
    let (pc, stack) = abi.places(bytes_of_slice(&board.registers));
    let mut info: CallInfo = [0; 11];
    info[0] = kind | u64::from(abi.audit_number()) << 32;
    info[1] = pc;
    info[2] = stack;
    let length = match kind {
        1 => {
            info[3..10].copy_from_slice(&board.call);
            HEAD + 56
        }
        2 => {
            info[3] = board.result;
            info[4] = u64::from(Errno::from_raw(board.result as i64).is_err());
            HEAD + 9
        }
        _ => HEAD,
    };
    let room = (call.arguments[2] as usize).min(length);
    call.memory()
        .write_bytes(call.address(3), &bytes_of(&info)[..room])?;
    Ok(length as u64)
}

/// What a stop of the host's means.
enum Meaning {
    /// The guest is told, with this status.
    Told(u32),
    /// It was not for the guest; the thread goes on.
    Nothing,
    /// It is no tracee: job control.
    Untraced,
}

/// Looks at a stop that `wait` gave.
fn meaning(call: &Call<'_>, thread: i32, status: u32) -> Result<Meaning, Errno> {
    let mut tracees = call.process().tracees();
    let (signal, event) = ((status >> 8 & 0xff) as i32, status >> 16);
    let found = match on_host::board_of(thread) {
        Ok(found) => found,
        // It is dead by now, or was never traced.
        Err(_) if tracees.contains_key(&thread) => return Ok(Meaning::Nothing),
        Err(_) => return Ok(Meaning::Untraced),
    };
    if event == 0
        && signal == libc::SIGTRAP
        && let Some(at) = found
        && let Some(board) = read_board(thread, at)
    {
        return told(&mut tracees, thread, at, board);
    }
    const GROUP_STOP: u32 = libc::PTRACE_EVENT_STOP as u32;
    let passed = match (event, signal) {
        // It was stopped before it was traced, or a thread of its emulator's own
        // took the signal, and all stopped.
        (GROUP_STOP, libc::SIGSTOP) => {
            if let Some(tracee) = tracees.get_mut(&thread)
                && tracee.orders & Orders::TRACED == 0
            {
                order(tracee, thread, Orders::STOP_SIGNAL)?;
                tracee.continued += 1;
                on_host::send(tracee.process, libc::SIGCONT);
            }
            0
        }
        (0, libc::SIGCONT) => match tracees.get_mut(&thread) {
            Some(tracee) if tracee.continued > 0 => {
                tracee.continued -= 1;
                0
            }
            _ => libc::SIGCONT,
        },
        (0, libc::SIGSTOP) => {
            if let Some(tracee) = tracees.get_mut(&thread) {
                order(tracee, thread, Orders::STOP_SIGNAL)?;
            }
            0
        }
        (0, libc::SIGSEGV) => {
            if let Some(tracee) = tracees.get_mut(&thread)
                && on_host::hand_over(thread, tracee.orders)
            {
                tracee.orders = 0;
            }
            libc::SIGSEGV
        }
        (0, signal) => signal,
        _ => 0,
    };
    let _ = on_host::go_on(thread, passed);
    Ok(Meaning::Nothing)
}

fn read_board(thread: i32, at: u64) -> Option<Box<Board>> {
    let mut board = Box::new(Board::ZERO);
    let memory = memory_of(thread).ok()?;
    memory.read_exact_at(bytes_of_mut(&mut *board), at).ok()?;
    (board.magic == BOARD_MAGIC).then_some(board)
}

fn told(tracees: &mut Tracees, thread: i32, at: u64, board: Box<Board>) -> Result<Meaning, Errno> {
    let tracee = tracees.entry(thread).or_default();
    tracee.process = board.process as i32;
    tracee.memory = Some((board.memory_base, board.memory_limit));
    let (kind, status, message) = (board.kind, board.status, board.message);
    tracee.stopped = Some((at, board));
    if kind == Kind::Hello as u32 {
        let _ = on_host::set_options(thread, false);
        go_on(tracee, thread, How::Continue, 0)?;
        return Ok(Meaning::Nothing);
    }
    let (seized, options) = (tracee.seized, tracee.options);
    let event = (status >> 16) as i32;
    let makes = [
        libc::PTRACE_EVENT_FORK,
        libc::PTRACE_EVENT_VFORK,
        libc::PTRACE_EVENT_CLONE,
    ];
    if kind == Kind::Event as u32 && makes.contains(&event) {
        // What was made waits to be taken on; it may be dead already.
        let made = message as i32;
        let kills = options & libc::PTRACE_O_EXITKILL as u64 != 0;
        if let Some(process) = process_of(made)
            && on_host::seize(made, kills).is_ok()
        {
            take_on(tracees, process, made, seized, options, true)?;
        }
    }
    Ok(Meaning::Told(status))
}

/// `wait4(process, status, options, usage)`
pub fn wait4(call: &mut Call<'_>) -> Result<u64, Errno> {
    loop {
        let mut status = 0_u32;
        let found = call.host(
            libc::SYS_wait4,
            [
                call.value(0),
                Argument::Out(bytes_of_mut(&mut status)),
                call.value(2),
                call.pointer(3),
            ],
        )?;
        if found == 0 {
            return Ok(0);
        }
        let thread = found as i32;
        if libc::WIFSTOPPED(status as i32) {
            match meaning(call, thread, status)? {
                Meaning::Told(told) => status = told,
                Meaning::Nothing => continue,
                Meaning::Untraced => {}
            }
        } else if !libc::WIFCONTINUED(status as i32) {
            call.process().tracees().remove(&thread);
        }
        if call.arguments[1] != 0 {
            call.store(1, &status)?;
        }
        return Ok(found);
    }
}

/// `waitid(kind, identifier, info, options, usage)`
pub fn waitid(call: &mut Call<'_>) -> Result<u64, Errno> {
    const STATUS: usize = 6;
    loop {
        let mut info = [0_u32; 32];
        let result = call.host(
            libc::SYS_waitid,
            [
                call.value(0),
                call.value(1),
                Argument::Out(bytes_of_slice_mut(&mut info)),
                call.value(3),
                call.pointer(4),
            ],
        )?;
        let (code, thread) = (info[2] as i32, info[4] as i32);
        match code {
            libc::CLD_TRAPPED | libc::CLD_STOPPED => {
                let status = info[STATUS] << 8 | 0x7f;
                match meaning(call, thread, status)? {
                    Meaning::Told(told) => info[STATUS] = told >> 8,
                    Meaning::Nothing => continue,
                    Meaning::Untraced => {}
                }
            }
            libc::CLD_EXITED | libc::CLD_KILLED | libc::CLD_DUMPED
                if call.int(3) & libc::WNOWAIT == 0 =>
            {
                call.process().tracees().remove(&thread);
            }
            _ => {}
        }
        if call.arguments[2] != 0 {
            call.store(2, &info)?;
        }
        return Ok(result);
    }
}

/// Where another process that is traced has its guest's memory: base and limit.
pub fn memory_of_tracee(call: &Call<'_>, process: i32) -> Option<(u64, u64)> {
    let tracees = call.process().tracees();
    let mut of_process = tracees.values().filter(|one| one.process == process);
    of_process.find_map(|tracee| tracee.memory)
}
