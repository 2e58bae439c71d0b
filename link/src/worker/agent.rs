//! The worker's side: serves what the controller asks.
//!
//! The same loop runs twice at most: on the main thread until the program is
//! started, and on a thread of its own afterwards, when the controller wants to
//! go on publishing. Between requests it holds the socket. A thread that calls a
//! [lazy](super::lazy) symbol does the same requests over a socket of its own.

use std::ffi::{CStr, CString, OsString, c_int, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use super::channel::Channel;
use super::lazy::{self, stubs};
use super::mapping::PAGE;
use super::wire::{Reply, Request};
use super::{crash, signals, start};
use crate::arena;
use crate::extent::extent;
use crate::fork::{self, Fork};
use crate::gdb::Listed;
use crate::local::no_offset;
use crate::{HostAddr, HostError, Outside, Protection, Reserve, gap, surplus};

/// The worker's entry: what follows `__worker` on the command line. Never
/// returns: it becomes the program, or ends with its controller.
pub fn main(command_line: &[OsString]) -> ! {
    let [socket, record, bell] = command_line else {
        refuse()
    };
    let Some(socket) = descriptor_from(socket, libc::S_IFSOCK) else {
        refuse()
    };
    let record = descriptor_from(record, libc::S_IFREG).map(File::from);
    if let Some(bell) = descriptor_from(bell, libc::S_IFSOCK) {
        lazy::asking::connect(bell);
    }
    let channel = Channel::to_controller(UnixStream::from(socket));
    serve_until_started(channel, record)
}

fn refuse() -> ! {
    eprintln!("error: `__worker` is how sapwood starts itself, and not for people");
    std::process::exit(2)
}

/// A descriptor of the controller's, if the number names one of this kind: a
/// person may have typed it.
fn descriptor_from(number: &OsString, wanted: libc::mode_t) -> Option<OwnedFd> {
    let fd: RawFd = number.to_str()?.parse().ok().filter(|fd| *fd > 2)?;
    // SAFETY: asks about, and sets a flag of, a descriptor that may not exist.
    unsafe {
        let mut kind = std::mem::zeroed::<libc::stat>();
        if libc::fstat(fd, &raw mut kind) != 0 || kind.st_mode & libc::S_IFMT != wanted {
            return None;
        }
        libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
    }
    // SAFETY: the descriptor is open, and was made for this process alone by
    // whoever started it; nothing else here owns it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn serve_until_started(channel: Channel, record: Option<File>) -> ! {
    let ready = start::prepare().and_then(|()| match &record {
        Some(record) => crash::write_down_crashes(record),
        None => Ok(()),
    });
    drop(record);
    if ready.is_err() {
        std::process::exit(127);
    }
    // Forks are counted from here on.
    Fork::watch();
    match serve(&channel) {
        Next::Start {
            main,
            arguments,
            serve,
            wait,
        } => {
            if serve {
                leave_an_agent(channel);
            } else {
                drop(channel);
            }
            if wait {
                start::wait_for_debugger();
            }
            start::become_program(main, arguments)
        }
        Next::ControllerGone => std::process::exit(1),
    }
}

/// Starts the thread that goes on serving while the program runs.
fn leave_an_agent(channel: Channel) {
    let agent = move || {
        let _ = signals::block_all();
        serve(&channel);
        // The controller is gone, and the program must not outlive it.
        // SAFETY: a signal to this process.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    };
    let spawned = std::thread::Builder::new()
        .name("sapwood-agent".to_owned())
        .spawn(agent);
    if spawned.is_err() {
        std::process::exit(127);
    }
}

/// Why the serving loop ended.
enum Next {
    Start {
        main: u64,
        arguments: Vec<Vec<u8>>,
        serve: bool,
        wait: bool,
    },
    ControllerGone,
}

fn serve(channel: &Channel) -> Next {
    loop {
        let Ok((frame, file)) = channel.receive() else {
            return Next::ControllerGone;
        };
        let Ok(request) = Request::decode(&frame) else {
            return Next::ControllerGone;
        };
        let reply = match request {
            Request::Start {
                main,
                arguments,
                serve,
                debuggable,
                wait,
            } => {
                if debuggable {
                    start::allow_debuggers();
                }
                if channel.send(&Reply::Done.encode(), None).is_err() {
                    return Next::ControllerGone;
                }
                return Next::Start {
                    main,
                    arguments,
                    serve,
                    wait,
                };
            }
            other => answer(other, file).unwrap_or_else(|error| Reply::Failed(error.to_string())),
        };
        if channel.send(&reply.encode(), None).is_err() {
            return Next::ControllerGone;
        }
    }
}

/// Does one request. What fails changed nothing.
pub(super) fn answer(request: Request, file: Option<File>) -> io::Result<Reply> {
    match request {
        Request::Reserve(want) => reserve(&want, file),
        Request::Release { start, length } => {
            // SAFETY: the controller releases and changes only reservations that
            // it was given, in which the program has no business of its own.
            done(unsafe { libc::munmap(at(start), length as usize) })
        }
        Request::Commit { start, length } => {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: as above.
            done(unsafe { libc::mprotect(at(start), length as usize, access) })
        }
        Request::Decommit {
            start,
            length,
            protection,
        } => {
            // SAFETY: as above; a fresh mapping in place of the old one forgets
            // what the pages held and takes the access away in one step.
            let mapped = unsafe { map(start, length, protection, None, libc::MAP_FIXED) };
            mapped.map(|_| Reply::Done)
        }
        Request::Read { start, length } => {
            // SAFETY: the controller reads only what it committed.
            let bytes =
                unsafe { std::slice::from_raw_parts(start as *const u8, length as usize).to_vec() };
            Ok(Reply::Bytes(bytes))
        }
        Request::Write { start, bytes } => {
            // SAFETY: the controller writes only what it committed, before it is
            // published.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), start as *mut u8, bytes.len());
            }
            Ok(Reply::Done)
        }
        Request::Call {
            function,
            arguments,
        } => Ok(Reply::Value(call(function, arguments))),
        Request::AtExit { function } => {
            // SAFETY: a function that the image published and keeps for ever; it
            // takes no argument, and may be given one all the same in this ABI.
            done(unsafe { __cxa_atexit(at(function), std::ptr::null_mut(), std::ptr::null_mut()) })
        }
        Request::RegisterFrames { start } => {
            // SAFETY: an `.eh_frame` section that ends with a terminator and
            // stays where it is until it is deregistered.
            unsafe { __register_frame(start as *const u8) };
            Ok(Reply::Done)
        }
        Request::DeregisterFrames { start } => {
            // SAFETY: it was registered.
            unsafe { __deregister_frame(start as *const u8) };
            Ok(Reply::Done)
        }
        Request::ReserveThreadLocal { size, alignment } => Ok(arena::own()
            .reserve(size, alignment)
            .map_or(Reply::NoRoom, |offset| Reply::Value(offset.cast_unsigned()))),
        Request::InitialiseThreadLocal { offset, bytes } => arena::own()
            .initialise(offset, &bytes)
            .map(|()| Reply::Done),
        Request::ReleaseThreadLocal { offset } => {
            arena::own().release(offset);
            Ok(Reply::Done)
        }
        Request::Resolve { names } => Ok(Reply::Found(resolve_all(&names))),
        Request::Describe { at } => {
            let extents = at.into_iter().map(|at| extent(HostAddr(at)));
            Ok(Reply::Described(extents.collect()))
        }
        Request::ThreadLocal { name } => Ok(match thread_local(&name) {
            Ok(found) => Reply::Found(vec![found]),
            Err(why) => Reply::Failed(why.to_string()),
        }),
        Request::Open { library } => open_library(&library)
            .map(|()| Reply::Done)
            .map_err(io::Error::other),
        Request::List { debug_image } => {
            // It stays listed until it is asked for by its address.
            let listed = Box::into_raw(Box::new(Listed::new(debug_image)));
            Ok(Reply::Value(listed as u64))
        }
        Request::Unlist { listed } => {
            // SAFETY: the controller has the address from the request above, and
            // gives it back once.
            drop(unsafe { Box::from_raw(listed as *mut Listed) });
            Ok(Reply::Done)
        }
        Request::Agent => {
            // SAFETY: asks for the calling thread's number.
            let task = unsafe { libc::gettid() };
            Ok(Reply::Value(u64::from(task.cast_unsigned())))
        }
        Request::Forks => Ok(Reply::Value(fork::address())),
        Request::Remap {
            start,
            length,
            executable,
        } => {
            let protection = match executable {
                true => Protection::Code,
                false => Protection::ReadOnly,
            };
            let file = file.ok_or_else(|| io::Error::other("no file came along"))?;
            // SAFETY: a reservation of the controller's, whose bytes stay the
            // same.
            let mapped = unsafe { map(start, length, protection, Some(&file), libc::MAP_FIXED) };
            mapped.map(|_| Reply::Done)
        }
        Request::Stub { token } => {
            let token = u32::try_from(token).map_err(|_| io::ErrorKind::OutOfMemory)?;
            stubs::stub(stubs::Token(token)).map(|stub| Reply::Value(stub.get()))
        }
        Request::Bind {
            cells,
            library,
            instance,
        } => {
            for (token, function) in cells {
                stubs::bind(stubs::Token(token as u32), HostAddr(function));
            }
            lazy::asking::note_loaded(library, instance);
            Ok(Reply::Done)
        }
        Request::Start { .. } | Request::GoOn { .. } | Request::GiveUp { .. } => {
            Err(io::Error::other("what only a serving loop is told"))
        }
    }
}

unsafe extern "C" {
    fn __cxa_atexit(function: *mut c_void, argument: *mut c_void, object: *mut c_void) -> c_int;
    fn __register_frame(begin: *const u8);
    fn __deregister_frame(begin: *const u8);
    fn atexit(function: *mut c_void) -> c_int;
    fn at_quick_exit(function: *mut c_void) -> c_int;
    fn pthread_atfork(prepare: *mut c_void, parent: *mut c_void, child: *mut c_void) -> c_int;
}

fn at(address: u64) -> *mut c_void {
    address as *mut c_void
}

fn done(result: c_int) -> io::Result<Reply> {
    match result {
        0 => Ok(Reply::Done),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Finds room and takes it. Another thread may take it first, so the kernel has
/// the last word, and a refusal means to look again.
fn reserve(want: &Reserve, file: Option<File>) -> io::Result<Reply> {
    const TRIES: usize = 8;
    let shared_data = want.protection == Protection::Data && file.is_some();
    if shared_data || want.length == 0 {
        return Err(io::Error::other("a reservation that makes no sense"));
    }
    for _ in 0..TRIES {
        let mappings = gap::parse_maps(&std::fs::read_to_string("/proc/self/maps")?);
        let Some(start) = gap::find_gap(&mappings, want).map(HostAddr::get) else {
            return Ok(Reply::NoRoom);
        };
        let (length, protection) = (want.length, want.protection);
        // SAFETY: a new mapping that the kernel refuses where it would touch
        // another.
        match unsafe {
            map(
                start,
                length,
                protection,
                file.as_ref(),
                libc::MAP_FIXED_NOREPLACE,
            )
        } {
            Ok(start) => return Ok(Reply::Value(start)),
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Reply::NoRoom)
}

/// Maps a reservation at exactly `start`: code and constants with the access that
/// the program has for good, data with none yet. Without a file the pages are
/// private.
///
/// # Safety
/// With `MAP_FIXED` the range must be the image's own.
unsafe fn map(
    start: u64,
    length: u64,
    protection: Protection,
    file: Option<&File>,
    fixed: c_int,
) -> io::Result<u64> {
    let access = match protection {
        Protection::Code => libc::PROT_READ | libc::PROT_EXEC,
        Protection::ReadOnly => libc::PROT_READ,
        Protection::Data => libc::PROT_NONE,
    };
    let (kind, fd) = match file {
        Some(file) => (libc::MAP_SHARED, file.as_raw_fd()),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    let flags = kind | libc::MAP_NORESERVE | fixed;
    debug_assert!(start.is_multiple_of(PAGE));
    // SAFETY: what the caller promises.
    let mapped = unsafe { libc::mmap(at(start), length as usize, access, flags, fd, 0) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    if mapped as u64 != start {
        // A kernel that does not know MAP_FIXED_NOREPLACE takes the address for
        // a hint.
        // SAFETY: the mapping was made just now, for nobody.
        unsafe { libc::munmap(mapped, length as usize) };
        return Err(io::Error::from_raw_os_error(libc::EEXIST));
    }
    Ok(start)
}

/// Calls into the image. What the code does wrong ends the worker, and the
/// controller is told how it died.
fn call(function: u64, arguments: [u64; 6]) -> u64 {
    type Function = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64) -> u64;
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the controller names a function that takes integer arguments, at
    // most six, and is published.
    unsafe { std::mem::transmute::<usize, Function>(function as usize)(a, b, c, d, e, f) }
}

/// Opens a library for all to see, and for good.
fn open_library(library: &str) -> Result<(), String> {
    let name = CString::new(library).map_err(|_| format!("no library is named {library:?}"))?;
    // SAFETY: a C string; the library's initialisers are the user's code, wanted
    // here. The message is valid until the next call of the family on this
    // thread.
    unsafe {
        if libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() {
            let why = CStr::from_ptr(libc::dlerror()).to_string_lossy();
            return Err(format!("cannot open a shared library: {why}"));
        }
    }
    Ok(())
}

/// What names stand for in this process.
fn resolve_all(names: &[(String, Option<String>)]) -> Vec<Option<Outside>> {
    let loaded = Loaded::now();
    let found = |(name, version): &(String, Option<String>)| {
        let name = CString::new(name.as_str()).ok()?;
        let version = version.as_deref().map(CString::new).transpose().ok()?;
        resolve(&name, version.as_deref(), &loaded)
    };
    names.iter().map(found).collect()
}

/// Where a library's thread-local is in every thread; none for what is none.
fn thread_local(name: &str) -> Result<Option<Outside>, HostError> {
    let Ok(text) = CString::new(name) else {
        return Ok(None);
    };
    let offsets = surplus::offsets(&[&text]).map_err(|why| no_offset(name, &why))?;
    Ok(offsets[0].map(Outside::ThreadOffset))
}

/// What a name stands for in this process.
pub(super) fn resolve(name: &CStr, version: Option<&CStr>, loaded: &Loaded) -> Option<Outside> {
    // SAFETY: C strings, looked up; an indirect function's resolver, which the
    // loader runs, is the library's own.
    let found = unsafe {
        match version {
            None => libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()),
            Some(version) => libc::dlvsym(libc::RTLD_DEFAULT, name.as_ptr(), version.as_ptr()),
        }
    };
    if found.is_null() {
        return linked_in(name.to_str().ok()?).map(Outside::Address);
    }
    let given = name.to_str().ok().and_then(crash::stands_in_for);
    if let Some(function) = given {
        return Some(Outside::Address(function));
    }
    Some(match loaded.has(found as u64) {
        true => Outside::Address(HostAddr(found as u64)),
        // The loader gave the calling thread's copy of a thread-local.
        false => Outside::ThreadOffset((found as i64).wrapping_sub(arena::thread_pointer())),
    })
}

/// Where the loaded objects lie: everything with a name lies in one of them,
/// but thread-locals.
pub(super) struct Loaded(Vec<std::ops::Range<u64>>);

impl Loaded {
    /// The objects that are loaded now.
    pub fn now() -> Loaded {
        let mut loaded = Loaded(Vec::new());
        // SAFETY: the function is called for each object before this returns,
        // with the pointer given here.
        unsafe { libc::dl_iterate_phdr(Some(note_object), (&raw mut loaded).cast()) };
        loaded
    }

    fn has(&self, address: u64) -> bool {
        self.0.iter().any(|range| range.contains(&address))
    }
}

/// Adds an object's segments to the [`Loaded`] that `list` points to.
unsafe extern "C" fn note_object(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    list: *mut c_void,
) -> c_int {
    // SAFETY: the loader gives a valid description of an object, with its
    // program headers; `list` is what `now` gave.
    let (info, headers, loaded) = unsafe {
        let info = &*info;
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
        (info, headers, &mut *list.cast::<Loaded>())
    };
    let segments = headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD);
    loaded.0.extend(segments.map(|header| {
        let start = info.dlpi_addr.wrapping_add(header.p_vaddr);
        start..start.wrapping_add(header.p_memsz)
    }));
    0
}

/// The few names that no shared library has, because a linker takes them from
/// the C library's static part or makes them itself for each executable.
fn linked_in(name: &str) -> Option<HostAddr> {
    static DSO_HANDLE: u8 = 0;
    let address = match name {
        "atexit" => atexit as *const c_void,
        "at_quick_exit" => at_quick_exit as *const c_void,
        "pthread_atfork" => pthread_atfork as *const c_void,
        "__dso_handle" => (&raw const DSO_HANDLE).cast(),
        _ => return None,
    };
    Some(HostAddr(address as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(name: &str, version: Option<&str>) -> Option<Outside> {
        resolve_all(&[(name.to_owned(), version.map(str::to_owned))])[0]
    }

    #[test]
    fn names_are_told_apart() {
        let address = |name| match resolve(name, None) {
            Some(Outside::Address(at)) => Some(at.get()),
            _ => None,
        };
        assert_eq!(address("getpid"), Some(libc::getpid as *const () as u64));
        assert!(address("atexit").is_some());
        assert!(address("__dso_handle").is_some());
        assert_eq!(resolve("no_such_name_anywhere", None), None);
        assert_eq!(resolve("getpid", Some("GLIBC_1.0")), None);
        assert_eq!(
            resolve("getpid", Some("GLIBC_2.2.5")),
            resolve("getpid", None)
        );
    }

    #[test]
    fn a_thread_local_is_known_by_its_offset() {
        let Some(Outside::ThreadOffset(offset)) = resolve("errno", Some("GLIBC_PRIVATE")) else {
            panic!("errno is a thread-local");
        };
        // SAFETY: errno's address, which is valid for reads on this thread.
        let errno = unsafe { libc::__errno_location() } as i64;
        assert_eq!(arena::thread_pointer().wrapping_add(offset), errno);
    }
}
