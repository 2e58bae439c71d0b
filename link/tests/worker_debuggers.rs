//! Outside debuggers in workers of private pages: gdb and lldb break, step and
//! finish in image code, and breakpoints that wait for code are armed by the
//! publish that brings it. This executable is its own worker.

#[path = "common/cases.rs"]
mod cases;
mod common;
#[path = "common/in_worker.rs"]
mod in_worker;

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use common::compile;
use in_worker::Ground;
use sapwood_link::worker::{Afterwards, Debugger, Fate, Program};

const CASES: &[cases::Case] = &[
    ("gdb_breaks_steps_and_finishes", || {
        let commands = [
            "break stepped",
            "break twice",
            "continue",
            "next",
            "bt",
            "finish",
            "next",
            "next",
            "print held == 3",
            "finish",
            "continue",
        ];
        let seen = [
            "stepped (a=1)",
            "twice (x=1)",
            "main (count=1)",
            "$1 = 2",
            "$2 = 1",
            "exited with code 03",
        ];
        drive_debugger(GDB, &commands, &seen);
    }),
    ("lldb_breaks_steps_and_finishes", || {
        let commands = [
            "breakpoint set --name stepped",
            "continue",
            "next",
            "step",
            "bt",
            "breakpoint set --name twice",
            "frame variable held",
            "finish",
            "continue",
        ];
        let seen = [
            "stop reason = breakpoint",
            "stepped",
            "stop reason = step over",
            "held = 3",
            "status = 3",
        ];
        drive_debugger(LLDB, &commands, &seen);
    }),
    ("gdb_arms_what_a_later_publish_brings", || {
        let commands = [
            "break later",
            "break more.c:4",
            "continue",
            "bt",
            "next",
            "print held",
            "finish",
            "continue",
            "bt",
            "finish",
            "info breakpoints",
            "delete",
            "continue",
        ];
        let seen = [
            "Function \"later\" not defined",
            "Breakpoint 1, later (x=",
            "calls_newest",
            "main () at ",
            "Value returned is",
            "more (x=",
            "breakpoint already hit 1 time",
            "exited with code 052",
        ];
        publish_under_debugger(GDB, &commands, &seen);
    }),
    ("lldb_arms_what_a_later_publish_brings", || {
        let commands = [
            "breakpoint set --name later",
            "continue",
            "bt",
            "next",
            "frame variable held",
            "finish",
            "breakpoint delete --force",
            "continue",
        ];
        let seen = [
            "(pending)",
            "later(x=",
            "calls_newest",
            "held = ",
            "stop reason = step out",
            "status = 42",
        ];
        publish_under_debugger(LLDB, &commands, &seen);
    }),
];

fn main() -> ExitCode {
    cases::main(CASES, &[])
}

/// How a debugger is told what to do.
struct Tool {
    name: &'static str,
    flags: &'static [&'static str],
    command: &'static str,
    first: &'static [&'static str],
}

const GDB: Tool = Tool {
    name: "gdb",
    flags: &["-nx", "--batch"],
    command: "-ex",
    first: &["set breakpoint pending on", "set confirm off"],
};

const LLDB: Tool = Tool {
    name: "lldb",
    flags: &["--no-lldbinit", "--batch"],
    command: "-o",
    first: &["settings set plugin.jit-loader.gdb.enable on"],
};

impl Tool {
    /// The command that attaches to a process.
    fn attached(&self, process: u32, commands: &[&str]) -> Command {
        let mut debugger = Command::new(self.name);
        debugger.args(self.flags).args(["-p", &process.to_string()]);
        for line in self.first.iter().chain(commands) {
            debugger.args([self.command, line]);
        }
        debugger.stdin(Stdio::null());
        debugger
    }
}

/// Checks that a debugger has said what it should, in that order.
fn check(output: &std::process::Output, seen: &[&str]) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let all = format!("{text}\n{errors}");
    for part in seen {
        assert!(all.contains(part), "{part} in\n{all}");
    }
}

fn ground() -> Ground {
    Ground::new(Program {
        debuggable: true,
        ..Program::this("program")
    })
}

/// Publishes a source, compiled to be looked into under its own name.
fn publish(ground: &mut Ground, name: &str, source: &str) {
    let folder = common::Folder::new();
    let (path, object) = (folder.path().join(name), folder.path().join("object.o"));
    std::fs::write(&path, source).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-fPIC", "-O0", "-g", "-c"]).arg(&path);
    assert!(cc.arg("-o").arg(&object).status().unwrap().success());
    let bytes = std::fs::read(object).unwrap();
    ground.publish(false, &[(name, &bytes)]).unwrap();
}

/// Starts `main`, which waits for a debugger.
fn start(ground: &mut Ground, afterwards: Afterwards) {
    let main = ground.session.view().symbol("main").unwrap().address;
    let arguments = ["program".into()];
    let worker = &mut ground.worker;
    let started = worker.start_under(main, &arguments, afterwards, Debugger::Await);
    started.unwrap();
}

const STEPPED: &str = "static long twice(long x)\n{\n  return x + x;\n}\n\
    long stepped(long a)\n{\n  long held = twice(a);\n  held += 1;\n  return held;\n}\n\
    int main(int count)\n{\n  return (int)stepped(count);\n}\n";

fn drive_debugger(tool: Tool, commands: &[&str], seen: &[&str]) {
    let mut ground = ground();
    let object = compile(&["-fPIC", "-O0", "-g"], STEPPED);
    ground.publish(false, &[("stepped.o", &object)]).unwrap();
    ground.worker.tell_debuggers(&ground.session).unwrap();
    start(&mut ground, Afterwards::Leave);
    let output = tool.attached(ground.worker.pid(), commands).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", tool.name));
    check(&output, seen);
    assert_eq!(ground.worker.wait().unwrap(), Fate::Exited(3));
}

/// A program that calls whatever it is shown.
const WAITS: &str = r#"#include <unistd.h>
typedef long newest(long);
static newest *volatile shown; static volatile long started, done;
long has_started(long x) { return started; }
long show(long at) { shown = (newest *)at; return 0; }
long is_waiting(long x) { return shown != 0; }
long finish(long x) { done = 1; return 0; }
static void calls_newest(void)
{
  newest *call = __atomic_exchange_n(&shown, 0, __ATOMIC_ACQ_REL);
  if (call)
    call(20);
}
int main(void)
{
  started = 1;
  while (!done) {
    calls_newest();
    usleep(1000);
  }
  return 42;
}
"#;
const LATER: &str =
    "long later(long x)\n{\n  long held = x + 1;\n  held *= 2;\n  return held;\n}\n";
const MORE: &str = "long more(long x)\n{\n  long held = x;\n  return held + 100;\n}\n";

fn publish_under_debugger(tool: Tool, commands: &[&str], seen: &[&str]) {
    let mut ground = ground();
    publish(&mut ground, "waits.c", WAITS);
    let tell = |ground: &mut Ground| {
        ground.worker.tell_debuggers(&ground.session).unwrap();
    };
    tell(&mut ground);
    start(&mut ground, Afterwards::Serve);
    let mut debugger = tool.attached(ground.worker.pid(), commands);
    debugger.stdout(Stdio::piped()).stderr(Stdio::piped());
    let debugger = debugger.spawn();
    let debugger = debugger.unwrap_or_else(|error| panic!("{}: {error}", tool.name));
    // It runs once the debugger has read its first commands. While that holds
    // the worker, a question waits.
    while ground.call("has_started", 0) == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    for (name, source) in [("later", LATER), ("more", MORE)] {
        publish(&mut ground, &format!("{name}.c"), source);
        tell(&mut ground);
        let at = ground.session.view().symbol(name).unwrap().address;
        ground.call("show", at.get());
        while ground.call("is_waiting", 0) != 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    ground.call("finish", 0);
    let output = debugger.wait_with_output().unwrap();
    check(&output, seen);
    assert_eq!(ground.worker.wait().unwrap(), Fate::Exited(42));
}
