//! Workers, driven by hand-assembled bytes: this executable starts itself again
//! as the worker, so it has a `main` of its own instead of the test harness.
//!
//! Each case leaves nothing: the checks at the end see that no child is left.

#[path = "common/cases.rs"]
mod cases;

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::process::{Command, ExitCode, Stdio};

use sapwood_link::host::{Call, ThreadLocals, Unwind};
use sapwood_link::worker::{ARENA_SIZE, Afterwards, Fate, Program, Worker};
use sapwood_link::{
    AddressSpace, HostAddr, HostError, Near, Outside, Protection, Region, Reserve, Resolver,
    SpaceError, Wanted, Write,
};

const CASES: &[cases::Case] = &[
    ("code_is_called", code_is_called),
    ("pages_come_and_go", pages_come_and_go),
    ("data_is_private", data_is_private),
    ("bad_requests_change_nothing", bad_requests_change_nothing),
    ("reservations_lie_where_asked", reservations_lie_where_asked),
    ("names_are_resolved_in_one_go", names_are_resolved_in_one_go),
    (
        "main_runs_and_its_status_arrives",
        main_runs_and_its_status_arrives,
    ),
    ("exit_handlers_run", exit_handlers_run),
    (
        "an_agent_serves_while_main_runs",
        an_agent_serves_while_main_runs,
    ),
    ("a_call_that_dies_is_reported", a_call_that_dies_is_reported),
    (
        "signals_are_at_their_defaults",
        signals_are_at_their_defaults,
    ),
    (
        "a_worker_dies_with_its_controller",
        a_worker_dies_with_its_controller,
    ),
    (
        "thread_locals_reach_every_thread",
        thread_locals_reach_every_thread,
    ),
    ("unwind_tables_are_taken", unwind_tables_are_taken),
    (
        "no_descriptor_is_left_to_the_program",
        no_descriptor_is_left_to_the_program,
    ),
];

fn main() -> ExitCode {
    cases::main(CASES, &[("__controller", controller_that_is_killed)])
}

fn worker() -> Worker {
    Worker::start_process(&Program::this("case")).unwrap()
}

fn reserve(worker: &mut Worker, protection: Protection) -> Region {
    let want = Reserve {
        length: 1 << 20,
        protection,
        alignment: 4096,
        near: Near::Low,
    };
    let region = worker.space.reserve(&want).unwrap();
    worker.space.commit(&region, 4096).unwrap();
    region
}

/// Publishes a function by hand and gives its address.
fn function(worker: &mut Worker, code: &[u8]) -> HostAddr {
    let region = reserve(worker, Protection::Code);
    worker
        .space
        .window(region.start, code.len() as u64)
        .unwrap()
        .copy_from_slice(code);
    region.start
}

/// `lea eax, [rdi + rsi]; ret`
const ADD: &[u8] = &[0x8d, 0x04, 0x37, 0xc3];
/// `mov eax, edi; ret`: a `main` that gives its argument count.
const COUNT: &[u8] = &[0x89, 0xf8, 0xc3];

fn code_is_called() {
    let mut worker = worker();
    let add = function(&mut worker, ADD);
    assert!(add.get() < 1 << 31);
    assert_eq!(worker.host.call(add, &[40, 2]).unwrap(), 42);
    assert!(matches!(
        worker.host.call(add, &[0; 7]),
        Err(HostError::Failed(_))
    ));
}

fn pages_come_and_go() {
    let mut worker = worker();
    for protection in [Protection::Code, Protection::ReadOnly, Protection::Data] {
        let region = reserve(&mut worker, protection);
        worker.space.commit(&region, 3 * 4096).unwrap();
        let write = |at: u64, bytes| Write {
            at: region.start.add(at),
            bytes,
        };
        worker
            .space
            .apply(&[
                write(0, b"first"),
                write(4090, b"across pages"),
                write(8192, b"x"),
            ])
            .unwrap();
        let mut read = [0; 12];
        worker
            .space
            .read(region.start.add(4090), &mut read)
            .unwrap();
        assert_eq!(&read, b"across pages");
        // What lies past the kept length is gone when it comes back.
        worker.space.decommit(&region, 4093).unwrap();
        assert!(
            worker
                .space
                .read(region.start.add(4096), &mut read)
                .is_err()
        );
        worker.space.commit(&region, 3 * 4096).unwrap();
        worker
            .space
            .read(region.start.add(4090), &mut read)
            .unwrap();
        assert_eq!(&read, b"acr\0\0\0\0\0\0\0\0\0");
        worker.space.read(region.start, &mut read[..5]).unwrap();
        assert_eq!(&read[..5], b"first");
        worker.space.release(&region).unwrap();
        assert!(worker.space.read(region.start, &mut read).is_err());
        assert!(worker.space.release(&region).is_err());
    }
}

fn data_is_private() {
    let mut worker = worker();
    let data = reserve(&mut worker, Protection::Data);
    assert!(worker.space.window(data.start, 8).is_none());
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", worker.pid())).unwrap();
    let line = maps
        .lines()
        .find(|line| line.starts_with(&format!("{:08x}-", data.start.get())))
        .unwrap();
    assert!(line.contains("rw-p"), "{line}");
    let code = reserve(&mut worker, Protection::Code);
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", worker.pid())).unwrap();
    let line = maps
        .lines()
        .find(|line| line.starts_with(&format!("{:08x}-", code.start.get())))
        .unwrap();
    assert!(line.contains("r-xs"), "{line}");
    assert!(!maps.lines().any(|line| line.contains("rwx")), "{maps}");
}

fn bad_requests_change_nothing() {
    let mut worker = worker();
    let data = reserve(&mut worker, Protection::Data);
    let code = reserve(&mut worker, Protection::Code);
    let beyond = Write {
        at: code.start.add(4090),
        bytes: b"past the end",
    };
    let good = Write {
        at: data.start,
        bytes: b"good",
    };
    assert!(matches!(
        worker.space.apply(&[good, beyond]),
        Err(SpaceError::Failed(_))
    ));
    let mut read = [0; 4];
    worker.space.read(data.start, &mut read).unwrap();
    assert_eq!(read, [0; 4]);
    assert!(worker.space.commit(&data, data.length + 1).is_err());
    assert!(worker.open_library("libnothing_of_the_kind.so").is_err());
    let error = worker
        .open_library("libnothing_of_the_kind.so")
        .unwrap_err();
    assert!(error.to_string().contains("libnothing_of_the_kind.so"));
}

fn reservations_lie_where_asked() {
    let mut worker = worker();
    let mut reserve = |near, alignment| {
        worker.space.reserve(&Reserve {
            length: 0x5000,
            protection: Protection::Data,
            alignment,
            near,
        })
    };
    let low = reserve(Near::Low, 1 << 21).unwrap();
    assert!(low.range().end.get() <= 1 << 31 && low.start.get().is_multiple_of(1 << 21));
    let anchor = reserve(Near::Anywhere, 4096).unwrap();
    let near = reserve(Near::Range(anchor.range()), 4096).unwrap();
    assert!(near.start.distance_from(anchor.start).unsigned_abs() < 1 << 31);
    let there = HostAddr(0x5000_0000);
    assert_eq!(reserve(Near::At(there), 4096).unwrap().start, there);
    let again = reserve(Near::At(there), 4096);
    assert!(matches!(again, Err(SpaceError::NoRoom(_))), "{again:?}");
    let huge = worker.space.reserve(&Reserve {
        length: 1 << 40,
        protection: Protection::Data,
        alignment: 4096,
        near: Near::Low,
    });
    assert!(matches!(huge, Err(SpaceError::NoRoom(_))), "{huge:?}");
}

fn names_are_resolved_in_one_go() {
    let mut worker = worker();
    let wanted = |name, version| Wanted {
        name,
        version,
        thread_local: false,
    };
    let found = worker
        .resolver
        .resolve(&[
            wanted("getppid", None),
            wanted("memcpy", Some("GLIBC_2.14")),
            wanted("memcpy", Some("GLIBC_9.9")),
            wanted("no_such_thing", None),
            wanted("cos", None),
        ])
        .unwrap();
    let Some(Outside::Address(getppid)) = found[0] else {
        panic!("{found:?}")
    };
    let parent = worker.host.call(getppid, &[]).unwrap();
    assert_eq!(parent, u64::from(std::process::id()));
    assert!(matches!(found[1], Some(Outside::Address(_))));
    assert_eq!(found[2..4], [None, None]);
    worker.open_library("libm.so.6").unwrap();
    let found = worker.resolver.resolve(&[wanted("cos", None)]).unwrap();
    assert!(matches!(found[0], Some(Outside::Address(_))));
}

fn main_runs_and_its_status_arrives() {
    let mut worker = worker();
    let count = function(&mut worker, COUNT);
    let arguments = ["prog", "one", "two"].map(OsString::from);
    worker.start(count, &arguments, Afterwards::Leave).unwrap();
    assert_eq!(worker.wait().unwrap(), Fate::Exited(3));
}

fn exit_handlers_run() {
    let mut worker = worker();
    // The handler is `mov edi, 9; mov eax, 231; syscall`: exit_group(9).
    let region = reserve(&mut worker, Protection::Code);
    let handler = [0xbf, 9, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05];
    let bytes: Vec<u8> = COUNT.iter().chain(&handler).copied().collect();
    let write = Write {
        at: region.start,
        bytes: &bytes,
    };
    worker.space.apply(&[write]).unwrap();
    let handler = region.start.add(COUNT.len() as u64);
    worker.host.at_exit(handler).unwrap();
    worker.start(region.start, &[], Afterwards::Leave).unwrap();
    assert_eq!(worker.wait().unwrap(), Fate::Exited(9));
}

fn an_agent_serves_while_main_runs() {
    let mut worker = worker();
    let data = reserve(&mut worker, Protection::Data);
    let flag = u32::try_from(data.start.get()).unwrap().to_le_bytes();
    // `again: mov eax, [flag]; test eax, eax; je again; ret`
    let mut wait_for_flag = vec![0x8b, 0x04, 0x25];
    wait_for_flag.extend(flag);
    wait_for_flag.extend([0x85, 0xc0, 0x74, 0xf5, 0xc3]);
    let main = function(&mut worker, &wait_for_flag);
    worker.start(main, &[], Afterwards::Serve).unwrap();
    let add = function(&mut worker, ADD);
    assert_eq!(worker.host.call(add, &[1, 2]).unwrap(), 3);
    let raise = Write {
        at: data.start,
        bytes: &[5],
    };
    worker.space.apply(&[raise]).unwrap();
    assert_eq!(worker.wait().unwrap(), Fate::Exited(5));
}

fn a_call_that_dies_is_reported() {
    let mut worker = worker();
    // `ud2`
    let bad = function(&mut worker, &[0x0f, 0x0b]);
    let Err(HostError::Lost(why)) = worker.host.call(bad, &[]) else {
        panic!("the worker is gone");
    };
    assert!(why.contains("SIGILL"), "{why}");
    let later = worker.space.commit(
        &Region {
            start: bad,
            length: 1 << 20,
            protection: Protection::Code,
        },
        8192,
    );
    assert!(later.is_ok(), "growing a memory file needs no worker");
    assert!(worker.start(bad, &[], Afterwards::Leave).is_err());
    assert_eq!(worker.wait().unwrap(), Fate::Died(4));
}

fn signals_are_at_their_defaults() {
    let mut worker = worker();
    // It is ready once it serves.
    let _ = worker.resolver.resolve(&[Wanted {
        name: "main",
        version: None,
        thread_local: false,
    }]);
    let pipe = 1 << (13 - 1);
    let ignored = status_of("self", "SigIgn") & !pipe;
    let pid = worker.pid().to_string();
    assert_eq!(status_of(&pid, "SigIgn"), ignored);
    assert_eq!(status_of(&pid, "SigCgt"), 0);
    assert_eq!(status_of(&pid, "SigBlk"), status_of("self", "SigBlk"));
    assert_eq!(status_of(&pid, "Threads"), 1);
}

/// A field of `/proc/PID/status`, as a hexadecimal number.
fn status_of(pid: &str, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
}

fn thread_locals_reach_every_thread() {
    let mut worker = worker();
    let host = &mut worker.host;
    let first = host.reserve(8, 8).unwrap();
    let second = host.reserve(4, 64).unwrap();
    assert!(
        first < second && second < 0 && second % 64 == 0,
        "{first} {second}"
    );
    host.release(second).unwrap();
    assert_eq!(host.reserve(64, 64).unwrap(), second);
    ThreadLocals::initialise(host, first, &7_u64.to_le_bytes()).unwrap();
    assert!(ThreadLocals::initialise(host, second + 60, &[0; 8]).is_err());
    assert!(host.reserve(ARENA_SIZE as u64, 1).is_err());
    assert!(host.reserve(8, 4096).is_err());

    // `mov rax, fs:[offset]; ret`
    let read = |offset: i64| {
        let mut code = vec![0x64, 0x48, 0x8b, 0x04, 0x25];
        code.extend(i32::try_from(offset).unwrap().to_le_bytes());
        code.push(0xc3);
        code
    };
    let first = function(&mut worker, &read(first));
    let second = function(&mut worker, &read(second));
    assert_eq!(worker.host.call(first, &[]).unwrap(), 7);
    assert_eq!(worker.host.call(second, &[]).unwrap(), 0);
    let data = reserve(&mut worker, Protection::Data).start;
    let create = resolve(&mut worker, "pthread_create");
    let join = resolve(&mut worker, "pthread_join");
    for (code, value) in [(first, 7), (second, 0)] {
        let thread = [data.get(), 0, code.get(), 0];
        assert_eq!(worker.host.call(create, &thread).unwrap(), 0);
        let mut id = [0; 8];
        worker.space.read(data, &mut id).unwrap();
        let join_to = [u64::from_le_bytes(id), data.add(8).get()];
        assert_eq!(worker.host.call(join, &join_to).unwrap(), 0);
        let mut result = [0; 8];
        worker.space.read(data.add(8), &mut result).unwrap();
        assert_eq!(u64::from_le_bytes(result), value);
    }
}

fn unwind_tables_are_taken() {
    let mut worker = worker();
    // An empty `.eh_frame`: the terminator alone.
    let region = reserve(&mut worker, Protection::ReadOnly);
    worker
        .host
        .register(region.start..region.start.add(4))
        .unwrap();
    worker
        .host
        .deregister(region.start..region.start.add(4))
        .unwrap();
}

fn no_descriptor_is_left_to_the_program() {
    let mut worker = worker();
    let pause = resolve(&mut worker, "pause");
    // `mov rax, pause; jmp rax`
    let mut code = vec![0x48, 0xb8];
    code.extend(pause.get().to_le_bytes());
    code.extend([0xff, 0xe0]);
    let main = function(&mut worker, &code);
    worker
        .start(main, &[OsString::from("x/prog")], Afterwards::Leave)
        .unwrap();
    let proc = format!("/proc/{}", worker.pid());
    // It has been told to go; it is there when it has its new name.
    for _ in 0..1000 {
        if std::fs::read_to_string(format!("{proc}/comm")).unwrap() == "prog\n" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert_eq!(
        std::fs::read_to_string(format!("{proc}/comm")).unwrap(),
        "prog\n"
    );
    let open: Vec<_> = std::fs::read_dir(format!("{proc}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|fd| fd.to_str().unwrap().parse::<i32>().unwrap() > 2)
        .filter_map(|fd| std::fs::read_link(format!("{proc}/fd/{}", fd.display())).ok())
        .map(|path| path.display().to_string())
        .filter(|path| path.starts_with("socket:") || path.contains("memfd"))
        .collect();
    assert_eq!(open, [] as [&str; 0]);
}

fn resolve(worker: &mut Worker, name: &str) -> HostAddr {
    let wanted = [Wanted {
        name,
        version: None,
        thread_local: false,
    }];
    match worker.resolver.resolve(&wanted).unwrap()[..] {
        [Some(Outside::Address(at))] => at,
        ref other => panic!("{other:?}"),
    }
}

/// A controller in a process of its own, which is killed while its program
/// sleeps; the program holds the write end of our pipe, so that its death is
/// the pipe's end.
fn a_worker_dies_with_its_controller() {
    let mut controller = Command::new("/proc/self/exe")
        .arg("__controller")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = controller.stdout.take().unwrap();
    assert!(pipe.as_raw_fd() > 2);
    let mut ready = [0; 5];
    pipe.read_exact(&mut ready).unwrap();
    controller.kill().unwrap();
    controller.wait().unwrap();
    let mut rest = Vec::new();
    pipe.read_to_end(&mut rest).unwrap();
}

fn controller_that_is_killed() -> ExitCode {
    let mut worker = worker();
    let pause = resolve(&mut worker, "pause");
    let mut code = vec![0x48, 0xb8];
    code.extend(pause.get().to_le_bytes());
    code.extend([0xff, 0xe0]);
    let main = function(&mut worker, &code);
    worker.start(main, &[], Afterwards::Leave).unwrap();
    println!("ready");
    let _ = worker.wait();
    ExitCode::FAILURE
}
