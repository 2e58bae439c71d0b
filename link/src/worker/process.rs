//! [`Worker`]: starting a worker process, talking to it, and how it ended.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use super::channel::{Bell, Channel, watch};
use super::crash::{Crash, Record};
use super::debuggers::Listing;
use super::services::{WorkerHost, WorkerResolver};
use super::signals;
use super::space::WorkerSpace;
use super::wire::{Reply, Request};
use crate::host::{Host, HostError, Outside, Resolver, Wanted};
use crate::space::{AddressSpace, Near, SpaceError, Write};
use crate::{Ground, HostAddr};

/// What a worker is started from.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable; it hands `__worker …` to [`agent::main`](super::agent::main).
    pub executable: PathBuf,
    /// What lists of processes show for it.
    pub name: OsString,
    /// Whether all of the image lies in private pages, so that a debugger can
    /// attach and poke breakpoints into its code. Publishing is slower then.
    pub debuggable: bool,
    /// Whether the worker writes down where it crashes, for
    /// [`Worker::crash`]. The program finds handlers of SIGSEGV and its kind then.
    pub writes_down_crashes: bool,
    /// Whether it can have [lazy libraries](super::lazy).
    pub lazy: bool,
}

impl Program {
    /// This executable, started again.
    pub fn this(name: impl Into<OsString>) -> Program {
        Program {
            executable: PathBuf::from("/proc/self/exe"),
            name: name.into(),
            debuggable: false,
            writes_down_crashes: false,
            lazy: false,
        }
    }
}

/// What the worker does about debuggers as `main` is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Debugger {
    /// Nothing.
    Ignore,
    /// Lets one attach that is not its parent, where the kernel asks for that.
    Allow,
    /// Waits until one is attached, and for it to let `main` run.
    Await,
}

/// What the worker does with its end of the socket once `main` runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Afterwards {
    /// An agent thread goes on serving requests.
    Serve,
    /// Closes it: the program is alone in its process.
    Leave,
}

/// Why a worker could not be started, or could not start the program.
#[derive(Debug)]
pub struct WorkerError(String);

impl WorkerError {
    pub(super) fn new(why: impl Into<String>) -> WorkerError {
        WorkerError(why.into())
    }
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WorkerError {}

/// A worker process. Killed when dropped, unless it has ended before.
///
/// It is a [`Ground`] to publish on; the ground's three parts are fields too, so
/// that each can be borrowed by itself.
#[derive(Debug)]
pub struct Worker {
    /// The image's bytes.
    pub space: WorkerSpace,
    /// Calls, and the unwinder.
    pub host: WorkerHost,
    /// Names of the C library and of opened libraries.
    pub resolver: WorkerResolver,
    pub(super) line: Arc<Line>,
    process: Child,
    ended: bool,
    record: Option<Record>,
    bell: Option<Bell>,
    pub(super) listing: Listing,
}

impl Worker {
    /// Starts a worker. The calling thread must live as long as the worker is
    /// to: the kernel kills the worker when the thread ends.
    pub fn start_process(program: &Program) -> Result<Worker, WorkerError> {
        let cannot = |error: io::Error| WorkerError(format!("cannot start a worker: {error}"));
        let (ours, theirs) = UnixStream::pair().map_err(cannot)?;
        let record = program.writes_down_crashes.then(Record::new);
        let record = record.transpose().map_err(cannot)?;
        let bell = program.lazy.then(Bell::new);
        let (bell, ringing) = bell.transpose().map_err(cannot)?.unzip();
        let passed = [
            Some(theirs.as_raw_fd()),
            record.as_ref().map(|record| record.file.as_raw_fd()),
            ringing.as_ref().map(AsRawFd::as_raw_fd),
        ];
        let process = command(program, passed).spawn().map_err(cannot)?;
        drop((theirs, ringing));
        // From here on a return drops `process`, so it has to be reaped.
        let mut process = process;
        // It is not reaped yet, so its number is its own.
        let watched = watch(process.id());
        let peer = match watched {
            Ok(peer) => peer,
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                return Err(cannot(error));
            }
        };
        let line = Arc::new(Line::new(Channel::to_worker(ours, peer), process.id()));
        Ok(Worker {
            space: WorkerSpace::new(line.clone(), program.debuggable),
            host: WorkerHost::new(line.clone()),
            resolver: WorkerResolver::new(line.clone()),
            line,
            process,
            ended: false,
            record,
            bell,
            listing: Listing::default(),
        })
    }

    /// The controller's end of the bell that lazy calls ring.
    pub(super) fn take_bell(&mut self) -> Option<Bell> {
        self.bell.take()
    }

    /// The worker's process number.
    pub fn pid(&self) -> u32 {
        self.line.pid
    }

    /// Opens a shared library, a path or a name for `dlopen`, in the worker; its
    /// names are found by the [`resolver`](Worker::resolver) from then on.
    pub fn open_library(&mut self, library: &str) -> Result<(), HostError> {
        self.line.ask_done(&Request::Open {
            library: library.to_owned(),
        })
    }

    /// Where an image should grow in this worker: in reach of the C library, so
    /// that calls go there directly, and that code which was not compiled for
    /// it still finds the library's variables.
    pub fn near_libraries(&mut self) -> Result<Near, HostError> {
        let wanted = Wanted {
            name: "malloc",
            version: None,
            thread_local: false,
        };
        Ok(match self.resolver.resolve(&[wanted])?[..] {
            [Some(Outside::Address(at))] => Near::Range(at..at.add(1)),
            _ => Near::Anywhere,
        })
    }

    /// Has the main thread call `main` with these arguments, the program's name
    /// being the first, and exit with its result.
    pub fn start(
        &mut self,
        main: HostAddr,
        arguments: &[OsString],
        afterwards: Afterwards,
    ) -> Result<(), WorkerError> {
        self.start_under(main, arguments, afterwards, Debugger::Ignore)
    }

    /// The same, with a debugger in mind.
    pub fn start_under(
        &mut self,
        main: HostAddr,
        arguments: &[OsString],
        afterwards: Afterwards,
        debugger: Debugger,
    ) -> Result<(), WorkerError> {
        let request = Request::Start {
            main: main.get(),
            arguments: arguments
                .iter()
                .cloned()
                .map(OsStringExt::into_vec)
                .collect(),
            serve: afterwards == Afterwards::Serve,
            debuggable: debugger != Debugger::Ignore,
            wait: debugger == Debugger::Await,
        };
        self.line
            .ask_done(&request)
            .map_err(|error| WorkerError(format!("cannot start the program: {error}")))?;
        if afterwards == Afterwards::Leave {
            self.line.hang_up();
        }
        Ok(())
    }

    /// How the worker crashed, once it did and if it wrote that down.
    pub fn crash(&mut self) -> Option<Crash> {
        let pid = self.pid();
        self.record.as_mut()?.read(pid)
    }

    /// Waits for the worker to end. Signals that reach this process meanwhile
    /// should be [passed on](signals::pass_on_to).
    pub fn wait(&mut self) -> io::Result<Fate> {
        let status = self.process.wait()?;
        self.ended = true;
        Ok(Fate::of(status))
    }

    /// How the worker ended, if it has.
    pub fn fate(&mut self) -> io::Result<Option<Fate>> {
        let status = self.process.try_wait()?;
        self.ended |= status.is_some();
        Ok(status.map(Fate::of))
    }
}

impl Ground for Worker {
    fn space(&mut self) -> &mut dyn AddressSpace {
        &mut self.space
    }

    fn host(&mut self) -> &mut dyn Host {
        &mut self.host
    }

    fn resolver(&mut self) -> &mut dyn Resolver {
        &mut self.resolver
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// How a worker ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It exited with this status.
    Exited(i32),
    /// It died of this signal.
    Died(i32),
}

impl Fate {
    fn of(status: ExitStatus) -> Fate {
        match status.signal() {
            Some(signal) => Fate::Died(signal),
            None => Fate::Exited(status.code().unwrap_or(127)),
        }
    }

    /// Ends this process in the same way.
    pub fn follow(self) -> ! {
        match self {
            Fate::Exited(status) => std::process::exit(status),
            Fate::Died(signal) => signals::die_of(signal),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Exited(status) => write!(f, "exited with status {status}"),
            Fate::Died(signal) => write!(f, "died of {}", signals::describe(*signal)),
        }
    }
}

/// The command that starts a worker with descriptors for it: its end of the
/// socket, the record of a crash, and the bell; `-` for one that is not there.
fn command(program: &Program, passed: [Option<RawFd>; 3]) -> Command {
    let mut command = Command::new(&program.executable);
    let words = passed.map(|fd| fd.map_or("-".to_owned(), |fd| fd.to_string()));
    command.arg0(&program.name).arg("__worker").args(words);
    let controller = std::process::id();
    let mask = signal_mask();
    // SAFETY: between fork and exec only system calls are made, on values
    // copied before: nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(move || {
            // The standard library has just emptied the mask.
            libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
            for descriptor in passed.into_iter().flatten() {
                if libc::fcntl(descriptor, libc::F_SETFD, 0) != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The controller may have died before it could be watched.
            if libc::getppid().cast_unsigned() != controller {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
    command
}

/// The calling thread's blocked signals.
fn signal_mask() -> libc::sigset_t {
    let mut mask = MaybeUninit::zeroed();
    // SAFETY: asks only, into a valid, initialised set.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), mask.as_mut_ptr());
        mask.assume_init()
    }
}

/// The connection that all parts of one worker share.
#[derive(Debug)]
pub(super) struct Line {
    /// `None` once the program has been left to itself, or is lost.
    channel: Mutex<Option<Channel>>,
    pid: u32,
}

impl Line {
    pub(super) fn new(channel: Channel, pid: u32) -> Line {
        Line {
            channel: Mutex::new(Some(channel)),
            pid,
        }
    }

    /// Says what is not answered. A peer that is gone does not hear it.
    pub(super) fn tell(&self, last: &Request) {
        let held = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = &*held {
            let _ = channel.send(&last.encode(), None);
        }
    }

    /// Waits until the peer is gone.
    pub(super) fn wait_for_end(&self) {
        let held = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = &*held {
            while channel.receive().is_ok() {}
        }
    }

    /// One round trip. An error is text that says why the worker is lost.
    pub(super) fn ask(
        &self,
        request: &Request,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<Reply, String> {
        let mut held = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = held
            .as_ref()
            .ok_or("the program runs by itself, with no agent")?;
        let reply = channel
            .send(&request.encode(), file)
            .and_then(|()| channel.receive())
            .and_then(|(frame, _)| {
                Reply::decode(&frame).map_err(|_| io::Error::other("its answer is garbled"))
            });
        reply.map_err(|error| {
            if let Some(channel) = held.take() {
                channel.let_peer_die();
            }
            self.obituary(&error)
        })
    }

    /// The worker's process number.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    fn hang_up(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Why there was no answer: how the worker died, if it did.
    fn obituary(&self, error: &io::Error) -> String {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // WNOWAIT: the worker stays to be reaped by its owner.
        // SAFETY: `info` is valid for writes, and zeroes are a valid value of it.
        let (code, status) = unsafe {
            let waited = libc::waitid(
                libc::P_PID,
                self.pid,
                info.as_mut_ptr(),
                libc::WEXITED | libc::WNOHANG | libc::WNOWAIT,
            );
            let info = info.assume_init();
            match waited {
                0 if info.si_pid() != 0 => (info.si_code, info.si_status()),
                _ => (0, 0),
            }
        };
        match code {
            libc::CLD_EXITED => format!("the worker exited with status {status}"),
            libc::CLD_KILLED | libc::CLD_DUMPED => {
                format!("the worker died of {}", signals::describe(status))
            }
            _ => format!("the worker does not answer: {error}"),
        }
    }

    /// Writes private memory of the worker: all of it, or nothing, or the
    /// worker is lost.
    pub(super) fn write_private(&self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        let mut written = false;
        for part in writes.chunks(libc::UIO_MAXIOV as usize) {
            match self.transfer_out(part) {
                Ok(()) => written = true,
                Err(error) if not_allowed(&error) => {
                    for write in part {
                        self.write_by_request(write)?;
                    }
                }
                Err(error) if written || error.kind() == io::ErrorKind::WriteZero => {
                    return Err(SpaceError::Lost(format!(
                        "only a part of the image's data could be written: {error}"
                    )));
                }
                Err(error) => {
                    return Err(SpaceError::Failed(format!(
                        "cannot write the worker's memory: {error}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Reads the worker's memory from outside.
    pub(super) fn peek(&self, at: HostAddr, into: &mut [u8]) -> io::Result<()> {
        let local = libc::iovec {
            iov_base: into.as_mut_ptr().cast(),
            iov_len: into.len(),
        };
        let remote = libc::iovec {
            iov_base: at.get() as *mut libc::c_void,
            iov_len: into.len(),
        };
        let pid = self.pid.cast_signed();
        // SAFETY: the local run is `into`, valid for writes of its length; the
        // remote one is checked by the kernel.
        let count =
            unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
        match count {
            -1 => Err(io::Error::last_os_error()),
            count if count == into.len() as isize => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Reads private memory of the worker.
    pub(super) fn read_private(&self, at: HostAddr, into: &mut [u8]) -> Result<(), SpaceError> {
        let Err(error) = self.peek(at, into) else {
            return Ok(());
        };
        if !not_allowed(&error) {
            return Err(SpaceError::Failed(format!(
                "cannot read {:#x} bytes of the worker's memory at {at}",
                into.len()
            )));
        }
        let request = Request::Read {
            start: at.get(),
            length: into.len() as u64,
        };
        match self.ask(&request, None).map_err(SpaceError::Lost)? {
            Reply::Bytes(bytes) if bytes.len() == into.len() => {
                into.copy_from_slice(&bytes);
                Ok(())
            }
            other => Err(SpaceError::Failed(format!(
                "cannot read the worker's memory: {other:?}"
            ))),
        }
    }

    /// One `process_vm_writev`. An error of kind `WriteZero` says that a part
    /// was written, any other that nothing was.
    fn transfer_out(&self, writes: &[Write<'_>]) -> io::Result<()> {
        let runs: Vec<(libc::iovec, libc::iovec)> = writes
            .iter()
            .map(|write| {
                let run = |base: *mut libc::c_void| libc::iovec {
                    iov_base: base,
                    iov_len: write.bytes.len(),
                };
                (
                    run(write.bytes.as_ptr().cast_mut().cast()),
                    run(write.at.get() as *mut libc::c_void),
                )
            })
            .collect();
        let (local, remote): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
        let total: usize = writes.iter().map(|write| write.bytes.len()).sum();
        // SAFETY: the local runs are the writes' bytes, only read; the remote
        // ones are checked by the kernel.
        let count = unsafe {
            libc::process_vm_writev(
                self.pid.cast_signed(),
                local.as_ptr(),
                local.len() as libc::c_ulong,
                remote.as_ptr(),
                remote.len() as libc::c_ulong,
                0,
            )
        };
        match count {
            -1 => Err(io::Error::last_os_error()),
            count if count as usize == total => Ok(()),
            0 => Err(io::Error::from_raw_os_error(libc::EFAULT)),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn write_by_request(&self, write: &Write<'_>) -> Result<(), SpaceError> {
        const PIECE: usize = 1 << 20;
        for (index, piece) in write.bytes.chunks(PIECE).enumerate() {
            let request = Request::Write {
                start: write.at.get() + (index * PIECE) as u64,
                bytes: piece.to_vec(),
            };
            match self.ask(&request, None).map_err(SpaceError::Lost)? {
                Reply::Done => {}
                other => {
                    return Err(SpaceError::Lost(format!(
                        "the worker did not write its memory: {other:?}"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// The machine's rules, or a program that dropped its own accessibility, keep
/// us from reaching into the worker; the worker itself still can.
fn not_allowed(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS)
    )
}
