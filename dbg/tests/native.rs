//! What must hold of a process once the debugger has let go of it, and of a
//! thread once a call has returned.

mod common;

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

use common::{Folder, compile, no_children_left, programs};
use sapwood_dbg::command::Command;
use sapwood_dbg::event::{Event, StopReason};
use sapwood_dbg::parse::parse;
use sapwood_dbg::target::ProcessId;
use sapwood_dbg::{Debugger, render::render};

fn say(debugger: &mut Debugger, line: &str) -> String {
    let mut said = String::new();
    let tell = &mut |event: Event| said.push_str(&render(&event));
    if let Err(error) = debugger.execute(parse(line).unwrap(), tell) {
        said.push_str(&format!("error: {error}\n"));
    }
    said
}

/// Starts a fixture by itself.
fn start(name: &str, folder: &Folder) -> Child {
    let program = compile(&programs().join(name), &[], folder);
    let mut command = Process::new(program);
    command.stdout(Stdio::piped()).process_group(0);
    command.spawn().unwrap()
}

/// The bytes of a process's mappings that are executable and come from a file.
fn code(process: u32) -> Vec<(String, Vec<u8>)> {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).unwrap();
    maps.lines()
        .filter(|line| line.contains("r-xp") && line.contains('/'))
        .map(|line| {
            let (range, _) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|n| u64::from_str_radix(n, 16).unwrap());
            let mut bytes = vec![0; (end - start) as usize];
            memory.read_exact_at(&mut bytes, start).unwrap();
            (line.to_owned(), bytes)
        })
        .collect()
}

#[test]
fn a_process_let_go_has_its_own_bytes_and_goes_on() {
    let folder = Folder::new();
    let mut child = start("patient.c", &folder);
    let mut line = [0; 6];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .unwrap();
    let before = code(child.id());
    for how in ["detach", "drop", "quit"] {
        let mut debugger = Debugger::new();
        let attach = Command::Attach(ProcessId(child.id() as i32));
        debugger.execute(attach, &mut |_| {}).unwrap();
        assert!(say(&mut debugger, "b work").contains("Breakpoint 1 at"));
        assert!(say(&mut debugger, "b puts").contains("Breakpoint 2 at"));
        assert!(say(&mut debugger, "continue").contains("Breakpoint 1, work"));
        assert!(
            code(child.id()) == before,
            "a process at rest could be left alone at any time"
        );
        match how {
            "drop" => drop(debugger),
            how => {
                say(&mut debugger, how);
            }
        }
        assert!(code(child.id()) == before, "{how} left a patch");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    no_children_left();
}

#[test]
fn a_call_in_an_interrupted_system_call_leaves_it_to_go_on() {
    let folder = Folder::new();
    let program = compile(&programs().join("sleeper.c"), &[], &folder);
    let mut debugger = Debugger::new();
    say(&mut debugger, &format!("file {}", program.display()));
    let output = folder.path.join("output");
    let interrupter = debugger.interrupter();
    let nudge = std::thread::spawn(move || {
        // Long enough to get into the read, short of the answer.
        std::thread::sleep(Duration::from_millis(500));
        interrupter.interrupt();
    });
    let said = say(&mut debugger, &format!("run > {}", output.display()));
    nudge.join().unwrap();
    assert!(said.contains("stopped."), "{said}");
    let before = say(&mut debugger, "info registers");
    assert_eq!(say(&mut debugger, "p twice(21)"), "$1 = 42\n");
    let evaluated = say(&mut debugger, "eval { int twice(int); twice(2) }");
    assert_eq!(evaluated, "$2 = 4\n");
    assert_eq!(say(&mut debugger, "info registers"), before);
    let end = say(&mut debugger, "continue");
    assert!(end.contains("exited normally"), "{end}");
    assert_eq!(std::fs::read_to_string(output).unwrap(), "read 1 x 8\n");
    no_children_left();
}

#[test]
fn a_debuggee_killed_under_us_is_a_message() {
    let folder = Folder::new();
    let program = compile(&programs().join("orchard.c"), &[], &folder);
    for command in [
        "continue",
        "next",
        "p scale(3)",
        "eval { 1 }",
        "bt",
        "x/4x $sp",
        "step",
    ] {
        let mut debugger = Debugger::new();
        say(&mut debugger, &format!("file {}", program.display()));
        say(&mut debugger, "b scale");
        let mut process = None;
        let tell = &mut |event: Event| {
            if let Event::Started { process: p, .. } = event {
                process = Some(p);
            }
        };
        debugger.execute(Command::Run(None), tell).unwrap();
        let killed = Process::new("kill")
            .args(["-9", &process.unwrap().to_string()])
            .status();
        assert!(killed.unwrap().success());
        say(&mut debugger, command);
        say(&mut debugger, "continue");
        assert!(
            say(&mut debugger, "run").contains("Breakpoint 1, "),
            "after {command}"
        );
        say(&mut debugger, "kill");
        no_children_left();
    }
}

#[test]
fn a_compile_error_and_an_undefined_symbol_change_no_byte() {
    let folder = Folder::new();
    let program = compile(&programs().join("orchard.c"), &[], &folder);
    let mut debugger = Debugger::new();
    say(&mut debugger, &format!("file {}", program.display()));
    say(&mut debugger, "b scale");
    let mut process = 0;
    let tell = &mut |event: Event| {
        if let Event::Started { process: p, .. } = event {
            process = p.0;
        }
    };
    debugger.execute(Command::Run(None), tell).unwrap();
    assert!(say(&mut debugger, "eval { 1 }").contains("= 1"));
    let look = |debugger: &mut Debugger| {
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let registers = say(debugger, "info all-registers");
        (maps, registers, code(process as u32), memory(process))
    };
    let before = look(&mut debugger);
    for bad in [
        "eval { nonsense }",
        "eval { int nobody(int); nobody(3) }",
        "eval { int x = }",
        "load /nowhere.o",
    ] {
        assert!(say(&mut debugger, bad).contains("error: "), "{bad}");
        assert!(look(&mut debugger) == before, "{bad} changed something");
    }
    say(&mut debugger, "kill");
    no_children_left();
}

/// All writable memory of a process.
fn memory(process: i32) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let file = std::fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains("rw-p")) {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [start, end] = [start, end].map(|n| u64::from_str_radix(n, 16).unwrap());
        let mut bytes = vec![0; (end - start) as usize];
        file.read_exact_at(&mut bytes, start).unwrap();
        all.extend(bytes);
    }
    all
}

#[test]
fn an_interrupt_stops_a_program_that_blocks_all_signals() {
    let folder = Folder::new();
    let program = compile(&programs().join("deaf.c"), &[], &folder);
    let mut debugger = Debugger::new();
    say(&mut debugger, &format!("file {}", program.display()));
    // On a busy machine it may not have got to its own code the first time.
    let mut motion = Command::Run(None);
    for _ in 0..20 {
        let interrupter = debugger.interrupter();
        let nudge = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            interrupter.interrupt();
        });
        let mut reason = None;
        let tell = &mut |event: Event| {
            if let Event::Stopped(stop) = event {
                reason = Some(stop.reason);
            }
        };
        debugger.execute(motion, tell).unwrap();
        nudge.join().unwrap();
        assert_eq!(reason, Some(StopReason::Interrupted));
        if say(&mut debugger, "bt").contains("deaf.c:") {
            break;
        }
        motion = Command::Continue(1);
    }
    assert!(say(&mut debugger, "bt").contains("deaf.c:"));
    say(&mut debugger, "kill");
    no_children_left();
}

/// The process that a debugger has, killed by somebody else; waits until it is.
fn kill_behind(debugger: &mut Debugger) {
    let said = say(debugger, "info program");
    let mut words = said.split(|c: char| !c.is_ascii_alphanumeric());
    let number = words.find(|word| word.parse::<i32>().is_ok());
    let number = number.expect("it names the process").to_owned();
    let killed = Process::new("kill").args(["-KILL", &number]).status();
    assert!(killed.unwrap().success());
    let dead = || {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        stat.rsplit_once(')')
            .is_none_or(|(_, rest)| matches!(rest.trim_start().chars().next(), Some('Z' | 'X')))
    };
    while !dead() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_program_killed_at_any_stage_ends_in_words() {
    const STAGES: &[&str] = &[
        "next",
        "step",
        "stepi",
        "continue",
        "finish",
        "until",
        "advance scale",
        "bt",
        "info threads",
        "info registers",
        "p counter",
        "p scale(2)",
        "x/4x $sp",
        "watch counter",
        "b scale",
        "delete",
        "return",
        "jump 34",
        "disassemble",
        "info locals",
        "detach",
        "kill",
    ];
    let folder = Folder::new();
    let program = compile(&programs().join("orchard.c"), &[], &folder);
    for stage in STAGES {
        let mut debugger = Debugger::new();
        say(&mut debugger, &format!("file {}", program.display()));
        let quiet = format!("set args > {}/output", folder.path.display());
        say(&mut debugger, &quiet);
        say(&mut debugger, "b sum");
        assert!(say(&mut debugger, "run").contains("Breakpoint 1, sum"));
        kill_behind(&mut debugger);
        // Whatever it says of the program, it says it and is there afterwards.
        say(&mut debugger, stage);
        say(&mut debugger, "continue");
        let said = say(&mut debugger, "info threads");
        assert!(!debugger.is_alive(), "after {stage}: {said}");
        let again = say(&mut debugger, "run");
        let stops = match *stage {
            "delete" => again.contains("exited"),
            _ => again.contains("Breakpoint 1, sum"),
        };
        assert!(stops, "after {stage}: {again}");
        drop(debugger);
        no_children_left();
    }
}

#[test]
fn no_hit_is_lost_while_threads_pass_a_breakpoint() {
    let folder = Folder::new();
    let program = compile(&programs().join("crossing.c"), &[], &folder);
    let output = folder.path.join("output");
    // The instruction beneath the breakpoint: a store, a call, a system call
    // that waits, a fault with a handler, and one while signals rain.
    for (place, hits) in [
        ("store", 4 * 500),
        ("caller", 4 * 500),
        ("*&pausing", 4 * 500),
        ("faulting", 4),
    ] {
        let mut debugger = Debugger::new();
        say(&mut debugger, &format!("file {}", program.display()));
        say(&mut debugger, "handle SIGALRM nostop noprint pass");
        say(&mut debugger, "handle SIGSEGV nostop noprint pass");
        say(&mut debugger, "handle SIGUSR1 nostop noprint pass");
        let said = say(&mut debugger, &format!("b {place}"));
        assert!(said.contains("Breakpoint 1 at"), "{said}");
        say(&mut debugger, "ignore 1 1000000");
        let said = say(&mut debugger, &format!("run > {}", output.display()));
        assert!(said.contains("exited normally"), "{place}: {said}");
        let said = say(&mut debugger, "info breakpoints");
        let counted = said.split("already hit ").nth(1);
        let counted = counted.and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
        // A signal that comes before a system call has been made is handled
        // first, and the call comes to the breakpoint again.
        let most = hits + if place == "*&pausing" { 100 } else { 0 };
        assert!(
            counted.is_some_and(|n| (hits..=most).contains(&n)),
            "{place}: {said}"
        );
        let written = std::fs::read_to_string(&output).unwrap();
        assert_eq!(written, "2000 2000 2000 4\n", "{place}");
        drop(debugger);
        no_children_left();
    }
}

#[test]
fn steps_and_forks_go_past_a_breakpoint_in_place() {
    let folder = Folder::new();
    let program = compile(&programs().join("crossing.c"), &[], &folder);
    let mut debugger = Debugger::new();
    say(&mut debugger, &format!("file {}", program.display()));
    say(&mut debugger, "handle SIGSEGV nostop noprint pass");
    say(&mut debugger, "b store thread 2");
    let output = folder.path.join("output");
    let said = say(&mut debugger, &format!("run > {}", output.display()));
    assert!(said.contains("Thread 2"), "{said}");
    // Off the breakpoint by an instruction, a line, and out: always thread 2.
    for motion in ["stepi", "nexti", "next", "step", "finish", "continue"] {
        let said = say(&mut debugger, motion);
        assert!(!said.contains("error"), "{motion}: {said}");
        let said = say(&mut debugger, "thread");
        assert!(said.contains("thread is 2 "), "{motion}: {said}");
    }
    say(&mut debugger, "delete");
    let said = say(&mut debugger, "continue");
    assert!(said.contains("exited normally"), "{said}");
    let written = std::fs::read_to_string(&output).unwrap();
    assert_eq!(written, "2000 2000 2000 4\n");
    drop(debugger);
    no_children_left();
}

/// Bytes of a process's code once they are as they were; the guardian of a
/// debugger that was killed needs a moment.
fn settles_to(process: u32, before: &[(String, Vec<u8>)]) -> bool {
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        if code(process) == before {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn a_debugger_that_is_killed_leaves_nothing_in_a_process_it_attached_to() {
    let folder = Folder::new();
    let mut child = start("patient.c", &folder);
    let mut line = [0; 6];
    let output = child.stdout.as_mut().unwrap();
    output.read_exact(&mut line).unwrap();
    let before = code(child.id());
    // The debugger is this test, in a process of its own.
    let ways = [
        "at rest",
        "running",
        "watching",
        "calling",
        "stopped in a call",
    ];
    for how in ways {
        let me = std::env::current_exe().unwrap();
        let mut debugger = Process::new(me)
            .args(["--exact", "a_debugger_to_be_killed", "--nocapture"])
            .env("SAPWOOD_VICTIM", child.id().to_string())
            .env("SAPWOOD_HOW", how)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = std::io::BufReader::new(debugger.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains("now\n") {
            let mut line = String::new();
            let got = std::io::BufRead::read_line(&mut said, &mut line).unwrap();
            assert!(got > 0, "{how}: {text}");
            text.push_str(&line);
        }
        if !matches!(how, "at rest" | "stopped in a call") {
            // It says so before it lets the program go.
            std::thread::sleep(Duration::from_millis(300));
        }
        if how == "running" {
            assert!(code(child.id()) != before, "a breakpoint is in place");
        }
        debugger.kill().unwrap();
        debugger.wait().unwrap();
        assert!(settles_to(child.id(), &before), "{how}: a patch was left");
        std::thread::sleep(Duration::from_millis(50));
        assert!(child.try_wait().unwrap().is_none(), "{how}: it lives on");
        // It does what it did, once: what was called in it is forgotten.
        let mut debugger = Debugger::new();
        say(&mut debugger, &format!("attach {}", child.id()));
        say(&mut debugger, "b work");
        say(&mut debugger, "continue");
        let stack = say(&mut debugger, "bt");
        assert!(stack.contains("in main ()"), "{how}: {stack}");
        assert_eq!(stack.matches("main").count(), 1, "{how}: {stack}");
        assert_eq!(say(&mut debugger, "p starts"), "$1 = 1\n", "{how}");
        say(&mut debugger, "detach");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    no_children_left();
}

/// Not a test by itself: what the one above kills.
#[test]
fn a_debugger_to_be_killed() {
    let Some(victim) = std::env::var("SAPWOOD_VICTIM").ok() else {
        return;
    };
    let mut debugger = Debugger::new();
    let attach = Command::Attach(ProcessId(victim.parse().unwrap()));
    debugger.execute(attach, &mut |_| {}).unwrap();
    say(&mut debugger, "b work");
    say(&mut debugger, "watch rounds");
    say(&mut debugger, "continue");
    say(&mut debugger, "stepi");
    let how = std::env::var("SAPWOOD_HOW").unwrap();
    if how != "at rest" {
        say(&mut debugger, "delete");
    }
    // Each goes on for longer than we live.
    let last = match &how[..] {
        "at rest" => "",
        // Whatever traps before the guardian is awake is the program's end: this
        // is not written any more.
        "watching" => {
            say(&mut debugger, "watch starts");
            "continue"
        }
        "calling" => "call nap(600)",
        "stopped in a call" => {
            say(&mut debugger, "b nap");
            let said = say(&mut debugger, "call nap(1)");
            assert!(said.contains("nap (tenths=1)"), "{said}");
            ""
        }
        _ => {
            say(&mut debugger, "b main");
            say(&mut debugger, "b _exit");
            "continue"
        }
    };
    println!("now");
    say(&mut debugger, last);
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_refusal_says_why() {
    let folder = Folder::new();
    let mut child = start("patient.c", &folder);
    let attach = |debugger: &mut Debugger| say(debugger, &format!("attach {}", child.id()));
    let mut first = Debugger::new();
    assert!(attach(&mut first).starts_with("Attached to process"));
    let refused = std::thread::spawn({
        let id = child.id();
        move || say(&mut Debugger::new(), &format!("attach {id}"))
    });
    let refused = refused.join().unwrap();
    let tracer = format!("it is being traced by process {} (", std::process::id());
    assert!(
        refused.contains("cannot attach to process") && refused.contains("being traced by process"),
        "{refused} instead of {tracer}"
    );
    say(&mut first, "detach");
    let me = say(&mut first, &format!("attach {}", std::process::id()));
    assert_eq!(me, "error: I refuse to debug myself!\n");
    child.kill().unwrap();
    let status = format!("/proc/{}/status", child.id());
    while !std::fs::read_to_string(&status)
        .unwrap()
        .contains("State:\tZ")
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    let dead = say(&mut first, &format!("attach {}", child.id()));
    assert!(
        dead.contains("it has ended") || dead.contains("No such process"),
        "{dead}"
    );
    child.wait().unwrap();
    let gone = say(&mut first, &format!("attach {}", child.id()));
    assert!(gone.contains("No such process"), "{gone}");
    no_children_left();
}
