//! What the tests of this crate share: compiling fixtures with the system's
//! compilers, and an address space that fails when it is told to.

#![allow(dead_code)]

use std::path::Path;
use std::process::Command;

use sapwood_link::{
    AddressSpace, Error, Ground, HostAddr, LocalHost, LocalSpace, Options, Parts, Published,
    Region, Reserve, Session, SpaceError, SpaceId, Write,
};

/// Compiles a source text to an object and gives its bytes. `language` is what
/// `-x` takes.
pub fn compile_with(compiler: &str, language: &str, flags: &[&str], source: &str) -> Vec<u8> {
    let folder = Folder::new();
    let input = folder.path().join("input");
    let output = folder.path().join("output.o");
    std::fs::write(&input, source).unwrap();
    let run = Command::new(compiler)
        .args(["-x", language, "-c"])
        .args(flags)
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    std::fs::read(output).unwrap()
}

/// Compiles C with `cc`.
pub fn compile(flags: &[&str], source: &str) -> Vec<u8> {
    compile_with("cc", "c", flags, source)
}

/// A temporary folder, removed when dropped.
pub struct Folder(std::path::PathBuf);

impl Folder {
    pub fn new() -> Folder {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("sapwood-link-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Loads a system library for everyone in this process.
pub fn load_library(name: &std::ffi::CStr) {
    // SAFETY: loading a system library runs its initialisers and nothing else.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    assert!(!library.is_null(), "{name:?}");
}

/// The calling thread's thread pointer.
pub fn thread_pointer() -> u64 {
    // SAFETY: it gives the thread's own number, which in glibc is that address.
    unsafe { libc::pthread_self() as u64 }
}

/// An archive with one member.
pub fn archive(member: &[u8]) -> Vec<u8> {
    let folder = Folder::new();
    let (object, archive) = (folder.path().join("member.o"), folder.path().join("lib.a"));
    std::fs::write(&object, member).unwrap();
    let mut ar = Command::new("ar");
    let made = ar.arg("rcs").args([&archive, &object]).status();
    assert!(made.unwrap().success());
    std::fs::read(archive).unwrap()
}

/// Calls a function that a test compiled, of up to two arguments.
pub fn call_at(address: HostAddr, a: i64, b: i64) -> i64 {
    // SAFETY: the tests' functions have such a type.
    let function: extern "C" fn(i64, i64) -> i64 =
        unsafe { std::mem::transmute(address.get() as *const ()) };
    function(a, b)
}

/// Runs something in a child of this process, and gives how it ended: its exit
/// status, or minus the signal. What it says of errors is not shown.
pub fn in_child(run: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child runs what the parent could, and ends without the test
    // runner's ado; waiting fills in a word.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0, "{}", std::io::Error::last_os_error());
        if child == 0 {
            let nowhere = libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY);
            libc::dup2(nowhere, 2);
            let run = std::panic::AssertUnwindSafe(run);
            libc::_exit(std::panic::catch_unwind(run).unwrap_or(101));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        match libc::WIFEXITED(status) {
            true => libc::WEXITSTATUS(status),
            false => -libc::WTERMSIG(status),
        }
    }
}

/// Lazy libraries of this process, with an empty image.
pub fn lazy_here(
    libraries: Box<dyn sapwood_link::worker::lazy::Libraries>,
) -> sapwood_link::worker::lazy::LocalLazyLibraries {
    use sapwood_link::worker::lazy::LocalLazyLibraries;
    let session = Session::new(Options {
        near: LocalSpace::near_libraries(),
        ..Options::default()
    });
    // SAFETY: the tests' libraries may run here.
    unsafe { LocalLazyLibraries::start(session, LocalSpace::new(), libraries, Vec::new()).unwrap() }
}

/// Where a name of the target's lies.
pub fn outside(ground: &mut dyn Ground, name: &str) -> HostAddr {
    let wanted = sapwood_link::Wanted {
        name,
        version: None,
        thread_local: false,
    };
    match ground.resolver().resolve(&[wanted]).unwrap()[..] {
        [Some(sapwood_link::Outside::Address(at))] => at,
        ref other => panic!("{name}: {other:?}"),
    }
}

/// Gives an image's memory back to the space that it grew in, which needs nobody
/// else for that.
pub fn release(session: Session, space: &mut dyn AddressSpace) {
    let mut ground = Parts {
        space,
        host: &mut (),
        resolver: &mut (),
    };
    session.release(&mut ground).unwrap();
}

/// A session in this process.
pub struct Bench {
    pub session: Session,
    pub space: LocalSpace,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(Options::default())
    }

    pub fn with(options: Options) -> Bench {
        Bench {
            session: Session::new(options),
            space: LocalSpace::new(),
        }
    }

    /// Publishes objects as one batch.
    pub fn publish(&mut self, objects: &[(&str, &[u8])]) -> Result<Published, Error> {
        let mut batch = self.session.batch();
        for (name, bytes) in objects {
            batch.object(name, bytes)?;
        }
        // SAFETY: tests publish code that they compiled.
        let (mut host, mut resolver) = unsafe { (LocalHost::new(), LocalHost::new()) };
        batch.publish(&mut Parts {
            space: &mut self.space,
            host: &mut host,
            resolver: &mut resolver,
        })
    }

    /// Publishes objects in the place of those of the same names.
    pub fn replace(&mut self, objects: &[(&str, &[u8])]) -> Result<Published, Error> {
        let mut batch = self.session.batch();
        batch.replace();
        for (name, bytes) in objects {
            batch.object(name, bytes)?;
        }
        // SAFETY: as in `publish`.
        let (mut host, mut resolver) = unsafe { (LocalHost::new(), LocalHost::new()) };
        batch.publish(&mut Parts {
            space: &mut self.space,
            host: &mut host,
            resolver: &mut resolver,
        })
    }

    /// Publishes an object with an archive to pull from.
    pub fn publish_with(&mut self, object: &[u8], archive: &[u8]) -> Result<Published, Error> {
        self.publish_parts(&[("object", object)], archive)
    }

    /// The same for several objects.
    pub fn publish_parts(
        &mut self,
        objects: &[(&str, &[u8])],
        archive: &[u8],
    ) -> Result<Published, Error> {
        let mut batch = self.session.batch();
        for (name, bytes) in objects {
            batch.object(name, bytes)?;
        }
        batch.archive("archive", archive)?;
        // SAFETY: as in `publish`.
        let (mut host, mut resolver) = unsafe { (LocalHost::new(), LocalHost::new()) };
        batch.publish(&mut Parts {
            space: &mut self.space,
            host: &mut host,
            resolver: &mut resolver,
        })
    }

    /// Calls a published function of up to two arguments.
    pub fn call(&self, name: &str, a: i64, b: i64) -> i64 {
        let view = self.session.view();
        let symbol = view
            .symbol(name)
            .unwrap_or_else(|| panic!("no symbol {name}"));
        // SAFETY: tests call functions that they compiled with such a type.
        let function: extern "C" fn(i64, i64) -> i64 =
            unsafe { std::mem::transmute(symbol.address.get() as *const ()) };
        function(a, b)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let session = std::mem::replace(&mut self.session, Session::new(Options::default()));
        // SAFETY: it publishes nothing.
        let mut host = unsafe { LocalHost::new() };
        session
            .release(&mut Parts {
                space: &mut self.space,
                host: &mut host,
                resolver: &mut (),
            })
            .unwrap();
    }
}

/// An address space that hides its windows and fails when told to.
pub struct Faulty {
    pub inner: LocalSpace,
    /// Which call fails: `reserve`, `commit`, `apply`, `seal`, or none.
    pub failing: Option<&'static str>,
    /// Whether the session sees windows.
    pub windows: bool,
    /// How often each call came, in order: reserve, release, commit, decommit,
    /// apply, seal.
    pub calls: [usize; 6],
}

impl Faulty {
    pub fn new(windows: bool) -> Faulty {
        Faulty {
            inner: LocalSpace::new(),
            failing: None,
            windows,
            calls: [0; 6],
        }
    }

    fn step(&mut self, number: usize, name: &'static str) -> Result<(), SpaceError> {
        self.calls[number] += 1;
        match self.failing {
            Some(failing) if failing == name => Err(SpaceError::Failed(format!("{name} fails"))),
            _ => Ok(()),
        }
    }
}

impl AddressSpace for Faulty {
    fn id(&self) -> SpaceId {
        self.inner.id()
    }
    fn reserve(&mut self, want: &Reserve) -> Result<Region, SpaceError> {
        self.step(0, "reserve")?;
        self.inner.reserve(want)
    }
    fn release(&mut self, region: &Region) -> Result<(), SpaceError> {
        self.step(1, "release")?;
        self.inner.release(region)
    }
    fn commit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        self.step(2, "commit")?;
        self.inner.commit(region, length)
    }
    fn decommit(&mut self, region: &Region, length: u64) -> Result<(), SpaceError> {
        self.step(3, "decommit")?;
        self.inner.decommit(region, length)
    }
    fn window(&mut self, at: HostAddr, length: u64) -> Option<&mut [u8]> {
        if self.windows {
            self.inner.window(at, length)
        } else {
            None
        }
    }
    fn apply(&mut self, writes: &[Write<'_>]) -> Result<(), SpaceError> {
        self.step(4, "apply")?;
        self.inner.apply(writes)
    }
    fn read(&mut self, at: HostAddr, into: &mut [u8]) -> Result<(), SpaceError> {
        self.inner.read(at, into)
    }
    fn seal(
        &mut self,
        range: std::ops::Range<HostAddr>,
        protection: sapwood_link::Protection,
    ) -> Result<(), SpaceError> {
        self.step(5, "seal")?;
        self.inner.seal(range, protection)
    }
}
