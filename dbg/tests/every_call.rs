//! A stopped process as a ground: every call that a publish makes of it fails in
//! turn, and then every access to the process itself. Of a refused batch nothing
//! may be left; `link/tests/every_call.rs` does the same on its own grounds.

#[path = "../../link/tests/common/mod.rs"]
mod common;
#[path = "../../link/tests/common/every_kind.rs"]
mod every_kind;
#[path = "../../link/tests/common/tripping.rs"]
mod tripping;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use common::{Folder, archive, compile, compile_with};
use every_kind::{Kind, Stage, check, every_call, everything, prepare, publish};
use sapwood_dbg::Launch;
use sapwood_dbg::interrupt::Interrupter;
use sapwood_dbg::native::Native;
use sapwood_dbg::space::{Deferred, ProcessSpace, QuietCalls};
use sapwood_dbg::target::{
    Address, Happening, Mapping, Motion, ProcessId, Registers, RemoteSyscall, Result, Resume,
    Signal, Target, TargetError, TargetEvent, ThreadId, VectorState,
};
use sapwood_link::host::Call;
use sapwood_link::{
    AddressSpace, Error, Ground, Host, HostAddr, HostError, Libgcc, Outside, Resolver, Session,
    SpaceId, Wanted,
};
use tripping::Tripping;

/// A program that says where names lie, and stops.
const PROGRAM: &str = r#"
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <signal.h>
    #include <stdio.h>
    int main(int argc, char **argv) {
        dlopen("libstdc++.so.6", RTLD_NOW | RTLD_GLOBAL);
        for (int i = 1; i < argc; i++)
            printf("%s %lx\n", argv[i], (unsigned long)dlsym(RTLD_DEFAULT, argv[i]));
        fflush(stdout);
        raise(SIGUSR1);
        return 0;
    }
"#;

/// What the batches want of it.
const NAMES: [&str; 12] = [
    "puts",
    "strlen",
    "__register_frame_info",
    "__deregister_frame_info",
    "_Unwind_Find_FDE",
    "_Unwind_Resume",
    "__cxa_allocate_exception",
    "__cxa_throw",
    "__cxa_begin_catch",
    "__cxa_end_catch",
    "__gxx_personality_v0",
    "_ZTIl",
];

/// Accesses until one fails, and which did.
#[derive(Clone, Default)]
struct Fuse(Rc<(Left, Failed)>);

type Left = Cell<Option<usize>>;
type Failed = Cell<Option<&'static str>>;

impl Fuse {
    fn step(&self, name: &'static str) -> Result<()> {
        let (left, failed) = &*self.0;
        match left.get() {
            Some(0) => {
                left.set(None);
                failed.set(Some(name));
                Err(TargetError::Failed(format!("{name} fails")))
            }
            other => {
                left.set(other.map(|left| left - 1));
                Ok(())
            }
        }
    }
}

/// The process, whose accesses can be made to fail. Each ground has a handle of its
/// own.
#[derive(Clone)]
struct Handle {
    native: Rc<RefCell<Native>>,
    fuse: Fuse,
}

impl Target for Handle {
    fn process(&self) -> ProcessId {
        self.native.borrow_mut().process()
    }
    fn threads(&self) -> Vec<ThreadId> {
        self.native.borrow_mut().threads()
    }
    fn registers(&mut self, thread: ThreadId) -> Result<Registers> {
        self.native.borrow_mut().registers(thread)
    }
    fn set_registers(&mut self, thread: ThreadId, registers: &Registers) -> Result<()> {
        self.native.borrow_mut().set_registers(thread, registers)
    }
    fn vector_state(&mut self, thread: ThreadId) -> Result<VectorState> {
        self.native.borrow_mut().vector_state(thread)
    }
    fn set_vector_state(&mut self, thread: ThreadId, state: &VectorState) -> Result<()> {
        self.native.borrow_mut().set_vector_state(thread, state)
    }
    fn signal_mask(&mut self, thread: ThreadId) -> Result<u64> {
        self.native.borrow_mut().signal_mask(thread)
    }
    fn set_signal_mask(&mut self, thread: ThreadId, mask: u64) -> Result<()> {
        self.native.borrow_mut().set_signal_mask(thread, mask)
    }
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<()> {
        self.fuse.step("read")?;
        self.native.borrow_mut().read(at, into)
    }
    fn write(&mut self, at: Address, bytes: &[u8]) -> Result<()> {
        self.fuse.step("write")?;
        self.native.borrow_mut().write(at, bytes)
    }
    fn insert_breakpoint(&mut self, at: Address) -> Result<()> {
        self.native.borrow_mut().insert_breakpoint(at)
    }
    fn remove_breakpoint(&mut self, at: Address) -> Result<()> {
        self.native.borrow_mut().remove_breakpoint(at)
    }
    fn resume(&mut self, resume: Resume) -> Result<()> {
        self.native.borrow_mut().resume(resume)
    }
    fn wait(&mut self) -> Result<TargetEvent> {
        self.native.borrow_mut().wait()
    }
    fn set_signal(&mut self, thread: ThreadId, signal: Option<Signal>) -> Result<()> {
        self.native.borrow_mut().set_signal(thread, signal)
    }
    fn kill(&mut self) -> Result<()> {
        self.native.borrow_mut().kill()
    }
    fn detach(&mut self) -> Result<()> {
        self.native.borrow_mut().detach()
    }
    fn mappings(&mut self) -> Result<Vec<Mapping>> {
        self.fuse.step("mappings")?;
        self.native.borrow_mut().mappings()
    }
    fn auxiliary_vector(&mut self) -> Vec<(u64, u64)> {
        self.native.borrow_mut().auxiliary_vector()
    }
    fn syscalls(&mut self) -> Option<&mut dyn RemoteSyscall> {
        Some(self)
    }
}

impl RemoteSyscall for Handle {
    fn syscall(&mut self, thread: ThreadId, number: i64, arguments: [u64; 6]) -> Result<i64> {
        self.fuse.step("syscall")?;
        let mut native = self.native.borrow_mut();
        let syscalls = native.syscalls().expect("it is a process");
        syscalls.syscall(thread, number, arguments)
    }
}

/// One process for all, and where its names lie.
struct Program {
    process: Handle,
    thread: ThreadId,
    names: HashMap<String, HostAddr>,
    libgcc: Libgcc,
    entry: Address,
}

impl Program {
    /// Starts it, and lets it get to where it stops.
    fn start() -> Program {
        let folder = Folder::new();
        let (source, program) = (folder.path().join("names.c"), folder.path().join("names"));
        std::fs::write(&source, PROGRAM).unwrap();
        let mut cc = std::process::Command::new("cc");
        let done = cc.arg("-o").args([&program, &source]).arg("-ldl").status();
        assert!(done.unwrap().success());
        let output = folder.path().join("output");
        let launch = Launch {
            arguments: NAMES.map(Into::into).to_vec(),
            output: Some(output.clone()),
            ..Launch::new(program)
        };
        let mut native = Native::launch(&launch, Interrupter::default()).unwrap();
        let thread = native.threads()[0];
        loop {
            let resume = Resume {
                thread,
                motion: Motion::Continue,
                others_run: true,
            };
            native.resume(resume).unwrap();
            let event = native.wait().unwrap();
            if matches!(event.what, Happening::Signal(info) if info.signal == Signal(libc::SIGUSR1))
            {
                break;
            }
        }
        native.set_signal(thread, None).unwrap();
        let said = std::fs::read_to_string(output).unwrap();
        let names: HashMap<String, HostAddr> = said
            .lines()
            .map(|line| {
                let (name, at) = line.split_once(' ').unwrap();
                (
                    name.to_owned(),
                    HostAddr(u64::from_str_radix(at, 16).unwrap()),
                )
            })
            .collect();
        let entry = native.auxiliary(libc::AT_ENTRY).unwrap();
        Program {
            process: Handle {
                native: Rc::new(RefCell::new(native)),
                fuse: Fuse::default(),
            },
            thread,
            libgcc: Libgcc {
                register_frame_info: names["__register_frame_info"],
                deregister_frame_info: names["__deregister_frame_info"],
                find_fde: names["_Unwind_Find_FDE"],
            },
            names,
            entry: Address(entry),
        }
    }
}

/// The process as a ground.
struct Stopped<'p> {
    space: ProcessSpace<'static>,
    names: Names<'p>,
}

struct Names<'p>(&'p HashMap<String, HostAddr>);

impl Resolver for Names<'_> {
    fn resolve(
        &mut self,
        wanted: &[Wanted<'_>],
    ) -> std::result::Result<Vec<Option<Outside>>, HostError> {
        let known = |wanted: &Wanted<'_>| self.0.get(wanted.name).copied().map(Outside::Address);
        Ok(wanted.iter().map(known).collect())
    }
}

impl Ground for Stopped<'_> {
    fn space(&mut self) -> &mut dyn AddressSpace {
        &mut self.space
    }
    fn host(&mut self) -> &mut dyn Host {
        &mut self.space
    }
    fn resolver(&mut self) -> &mut dyn Resolver {
        &mut self.names
    }
}

impl every_kind::Target for Stopped<'_> {
    fn process(&self) -> u32 {
        self.space.target.process().0.cast_unsigned()
    }
    fn thread_pointers(&mut self) -> Vec<u64> {
        Vec::new()
    }
    fn first_thread_local(&self) -> i64 {
        0
    }
    fn settle(&mut self) {
        for call in std::mem::take(&mut self.space.calls) {
            if let Deferred::Now(function) = call {
                Call::call(&mut self.space, function, &[]).unwrap();
            }
        }
    }
    /// The image stays in the process, whose libgcc knows of it.
    fn end(self, _session: Session) {}
}

fn stopped(program: &Program) -> Stopped<'_> {
    Stopped {
        space: ProcessSpace {
            target: Box::leak(Box::new(program.process.clone())),
            thread: program.thread,
            id: SpaceId::fresh(),
            calls: Vec::new(),
            quiet: Some(QuietCalls {
                returns_to: program.entry,
                stands: false,
                interrupter: Interrupter::default(),
            }),
            libgcc: Some(program.libgcc),
            world: None,
        },
        names: Names(&program.names),
    }
}

const FULL: &str = r#"
    #include <stdio.h>
    #include <string.h>
    long counter = 3; long zeroes[5000]; int common_block[4];
    extern long member(long);
    static long one(long x) { return x + 1; }
    static void *choose(void) { return one; }
    long chosen(long) __attribute__((ifunc("choose")));
    __attribute__((constructor(300))) static void starts(void) { counter += 100; }
    __attribute__((constructor)) static void starts_late(void) { counter += 1000; }
    __attribute__((destructor)) static void ends(void) { counter = 0; }
    extern int missing(void) __attribute__((weak));
    __attribute__((section("named"))) int in_named = 1; extern int __start_named[];
    long value(long a, long b) {
        return chosen(a) + member(b) + counter + (long)strlen("abc")
            + (missing ? 1 : 0) + __start_named[0] + common_block[0] + zeroes[4999];
    }
"#;
/// What `value(3, 4)` is: 4 + 8 + 1103 + 3 + 0 + 1.
const FULL_VALUE: i64 = 1119;

/// The kinds of batch that a stopped process takes: all that replace nothing and
/// have no thread-locals of their own.
fn kinds() -> Vec<Kind> {
    let flags = ["-fPIC", "-O1", "-g", "-fcommon", "-w"];
    let small = || Stage {
        objects: vec![(
            "part.o",
            compile(&flags, "long small(long x) { return x; }"),
        )],
        ..Stage::default()
    };
    let full = Stage {
        objects: vec![("full.o", compile(&flags, FULL))],
        once: Some(compile(&flags, "long only_once = 1;")),
        archive: Some(archive(&compile(
            &flags,
            "long member(long x) { return x * 2; }",
        ))),
        atoms: true,
        ..Stage::default()
    };
    let low = compile(
        &["-fno-pic", "-O1"],
        "long table[9]; unsigned long low(long a, long b) { return (unsigned)(long)&table[a] != 0; }",
    );
    let throws = compile_with(
        "c++",
        "c++",
        &["-fPIC", "-O1"],
        "extern \"C\" long second(long a, long b) {
            try { if (a) throw a + b; return 0; } catch (long x) { return x; } }",
    );
    vec![
        Kind {
            name: "the first append, of everything",
            batch: full.clone(),
            check: ("value", FULL_VALUE),
            ..Kind::default()
        },
        Kind {
            name: "an append that begins a slab",
            before: vec![small()],
            batch: full,
            slab_length: Some(4096),
            check: ("value", FULL_VALUE),
            ..Kind::default()
        },
        Kind {
            name: "an append below 2 GiB, beside the slab",
            before: vec![small()],
            batch: Stage {
                objects: vec![("low.o", low)],
                ..Stage::default()
            },
            check: ("low", 1),
            ..Kind::default()
        },
        Kind {
            name: "entries in a sorted array",
            batch: Stage {
                objects: vec![("throws.o", throws)],
                ..Stage::default()
            },
            check: ("second", 7),
            ..Kind::default()
        },
    ]
}

/// The process is one ptrace tracee of the thread that started it.
#[test]
fn nothing_that_fails_leaves_a_trace_in_a_stopped_process() {
    let program = Program::start();
    let ground = || Tripping::new(stopped(&program), false);
    for kind in &kinds() {
        every_call(kind, &ground);
        every_access(kind, &ground, &program.process.fuse);
    }
    program.process.native.borrow_mut().kill().unwrap();
}

/// Has each access to the process fail once, whoever makes it.
fn every_access<'p>(kind: &Kind, ground: &impl Fn() -> Tripping<Stopped<'p>>, fuse: &Fuse) {
    let (left, failed) = &*fuse.0;
    let mut failures = 0;
    let (mut session, mut tripping) = prepare(kind, ground());
    let mut before = everything(&session, &mut tripping);
    for access in 0.. {
        left.set(Some(access));
        let result = publish(&mut session, &mut tripping, &kind.batch);
        left.set(None);
        let failed = failed.take();
        let what = || format!("{}: access {access}, {failed:?}", kind.name);
        match result {
            // What undoes failed.
            Err(Error::Lost(why)) => panic!("{}: {why}", what()),
            Err(error) => {
                assert!(failed.is_some(), "{}: {error}", what());
                let after = everything(&session, &mut tripping);
                if let Some(trace) = after.differs_from(&before) {
                    panic!("{} left a trace: {trace}", what());
                }
                failures += 1;
            }
            Ok(published) => {
                tripping.inner.settle_if(published.faulted.is_none());
                if published.faulted.is_none() {
                    check(kind, &session, &mut tripping);
                }
                every_kind::Target::end(tripping.inner, session);
                if failed.is_none() {
                    break;
                }
                (session, tripping) = prepare(kind, ground());
                before = everything(&session, &mut tripping);
            }
        }
    }
    assert!(failures > 3, "{}", kind.name);
}

impl Stopped<'_> {
    fn settle_if(&mut self, wanted: bool) {
        match wanted {
            true => every_kind::Target::settle(self),
            false => self.space.calls.clear(),
        }
    }
}
