//! New code in a stopped process: what a publish of a thousand objects costs,
//! and what taking in ten thousand costs when each comes in a batch of its own
//! and two breakpoints wait for lines that none of them has.
//!
//! `cargo bench -p sapwood-dbg --bench image [-- --objects N] [--no-rivals]`. Times
//! are processor time of this thread (the debuggee does next to nothing). Each
//! figure stands beside that of the whole `load` commands it is a part of: files
//! read, commands parsed, events shown. The rivals, gdb and lldb, get a thousand
//! of the same objects through the GDB JIT interface, from a program that
//! registers them one after another, with the same two breakpoints waiting;
//! their time is what that adds to the same run without objects.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use sapwood_dbg::parse::parse;
use sapwood_dbg::{Debugger, render::render};

/// An object as a compiler of one function writes it: an unwind entry, a line
/// table, a type, a variable. The digits make each its own.
const OBJECT: &str = "\
static int kept_00000;
int unit_00000(int n)
{
    int twice = 2 * n;
    kept_00000 += twice;
    return kept_00000;
}
";

const PROGRAM: &str = "\
int fed(int n) { return n + 1; }
int main(void) { return fed(1) == 0; }
";

/// Registers the files that it is given, as a JIT does.
const JIT: &str = r#"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
struct entry { struct entry *next, *previous; const char *file; uint64_t size; };
struct { uint32_t version, action; struct entry *relevant, *first; } __jit_debug_descriptor = {1};
void __attribute__((noinline)) __jit_debug_register_code(void) { __asm__ volatile(""); }
int main(int argc, char **argv)
{
    for (int n = 0; n < atoi(argv[2]); n++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%05d.o", argv[1], n);
        FILE *file = fopen(name, "rb");
        char *bytes = malloc(1 << 16);
        struct entry *entry = calloc(1, sizeof *entry);
        entry->file = bytes;
        entry->size = fread(bytes, 1, 1 << 16, file);
        fclose(file);
        entry->next = __jit_debug_descriptor.first;
        if (entry->next) entry->next->previous = entry;
        __jit_debug_descriptor.first = __jit_debug_descriptor.relevant = entry;
        __jit_debug_descriptor.action = 1;
        __jit_debug_register_code();
    }
    return argc == 0;
}
"#;

fn now() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock");
    Duration::from(time)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

struct Folder(PathBuf);

impl Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Compiles a text; gives the output's path.
fn compile(folder: &Folder, name: &str, text: &str, flags: &[&str]) -> PathBuf {
    let source = folder.path(&format!("{name}.c"));
    std::fs::write(&source, text).expect("the folder can be written");
    let output = folder.path(name);
    let mut command = Command::new("cc");
    command
        .current_dir(&folder.0)
        .args(["-g", "-O0"])
        .args(flags);
    command.arg(format!("{name}.c")).arg("-o").arg(&output);
    let status = command.status().expect("a C compiler is needed");
    assert!(status.success(), "{name}.c does not compile");
    output
}

/// The object again and again, each under its own name.
fn write_objects(folder: &Folder, count: usize) -> Vec<PathBuf> {
    let first = compile(folder, "unit_00000", OBJECT, &["-c", "-fPIC"]);
    let bytes = std::fs::read(first).expect("it was just compiled");
    let places: Vec<usize> = (0..bytes.len().saturating_sub(5))
        .filter(|&at| bytes[at..].starts_with(b"_00000"))
        .collect();
    let objects = folder.path("objects");
    std::fs::create_dir_all(&objects).expect("the folder can be written");
    let write = |number: usize| {
        let mut object = bytes.clone();
        for place in &places {
            object[place + 1..place + 6].copy_from_slice(format!("{number:05}").as_bytes());
        }
        let path = objects.join(format!("{number:05}.o"));
        std::fs::write(&path, object).expect("the folder can be written");
        path
    };
    (0..count).map(write).collect()
}

struct Session {
    debugger: Debugger,
    shown: String,
}

impl Session {
    /// A debugger with the program stopped in `main`.
    fn start(program: &Path) -> Session {
        let mut session = Session {
            debugger: Debugger::new(),
            shown: String::new(),
        };
        session.debugger.measure_image(now);
        session.run(&format!("file {}", program.display()));
        session.run("start");
        session
    }

    fn run(&mut self, line: &str) {
        let command = parse(line).expect("a command of ours");
        let shown = &mut self.shown;
        shown.clear();
        let done = self
            .debugger
            .execute(command, &mut |event| shown.push_str(&render(&event)));
        done.unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// One batch of many objects.
fn publish(program: &Path, objects: &[PathBuf]) {
    let names: Vec<String> = objects.iter().map(|o| o.display().to_string()).collect();
    let line = format!("load {}", names.join(" "));
    let (mut publish, mut intake, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..9 {
        let mut session = Session::start(program);
        let began = now();
        session.run(&line);
        whole.push(now() - began);
        let costs = session.debugger.image_costs();
        publish.push(costs.publish);
        intake.push(costs.intake);
        session.run("kill");
    }
    println!(
        "\n{} objects in one batch into a stopped process, median of 9",
        objects.len()
    );
    println!(
        "  {:<44}{:>10.2} ms",
        "publish (bar: 10 ms for 1,000)",
        ms(median(publish))
    );
    println!(
        "  {:<44}{:>10.2} ms",
        "intake of debug information",
        ms(median(intake))
    );
    println!(
        "  {:<44}{:>10.2} ms",
        "the whole `load` command",
        ms(median(whole))
    );
}

/// Kilobytes of this process's memory.
fn resident_kb() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

/// Each object in a batch of its own.
fn intake(program: &Path, objects: &[PathBuf]) {
    let mut session = Session::start(program);
    session.run("break nowhere.c:3");
    session.run("break absent.c:7");
    let memory = resident_kb();
    let (mut intakes, mut publishes, mut whole) = (Vec::new(), Vec::new(), Duration::ZERO);
    let mut stops = Duration::ZERO;
    for thousand in objects.chunks(1000) {
        let before = session.debugger.image_costs();
        let began = now();
        for object in thousand {
            session.run(&format!("load {}", object.display()));
        }
        whole += now() - began;
        let after = session.debugger.image_costs();
        intakes.push(after.intake - before.intake);
        publishes.push(after.publish - before.publish);
        let began = now();
        session.run("bt");
        session.run("info line");
        stops += now() - began;
    }
    let total: Duration = intakes.iter().sum();
    let published: Duration = publishes.iter().sum();
    let (first, last) = (intakes[0], intakes[intakes.len() - 1]);
    println!(
        "\n{} objects in as many batches, two breakpoints pending",
        objects.len()
    );
    println!(
        "  {:<44}{:>10.2} ms",
        "intake (bar: 100 ms for 10,000)",
        ms(total)
    );
    println!("  {:<44}{:>10.2} ms", "  its first thousand", ms(first));
    println!(
        "  {:<44}{:>10.2} ms  {:.2} x the first (bar: 1.2)",
        "  its last thousand",
        ms(last),
        last.as_secs_f64() / first.as_secs_f64()
    );
    let each: Vec<String> = intakes
        .iter()
        .map(|one| format!("{:.1}", ms(*one)))
        .collect();
    println!("  {:<44}{:>10}", "  every thousand, ms", each.join(" "));
    println!("  {:<44}{:>10.2} ms", "publish", ms(published));
    println!(
        "  {:<44}{:>10.2} ms",
        "the whole `load` commands",
        ms(whole)
    );
    println!("  {:<44}{:>10.2} ms", "inspected stops", ms(stops));
    let used = (resident_kb().saturating_sub(memory)) * 1024 / objects.len() as u64;
    println!("  {:<44}{used:>10} bytes", "memory an object");
    session.run("kill");
}

/// Processor time of a rival with this many objects.
fn rival_time(command: &mut Command) -> Duration {
    let used = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it cannot fail");
        let time = |time: nix::sys::time::TimeVal| {
            Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000)
        };
        time(usage.user_time()) + time(usage.system_time())
    };
    let before = used();
    let _ = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    used() - before
}

fn rivals(jit: &Path, folder: &Folder) {
    let objects = folder.path("objects");
    let gdb = |count: usize| {
        let mut command = Command::new("gdb");
        command.args(["-nx", "--batch", "-ex", "set breakpoint pending on"]);
        command.args([
            "-ex",
            "break nowhere.c:3",
            "-ex",
            "break absent.c:7",
            "-ex",
            "run",
        ]);
        command
            .arg("--args")
            .arg(jit)
            .arg(&objects)
            .arg(count.to_string());
        rival_time(&mut command)
    };
    let lldb = |count: usize| {
        let mut command = Command::new("lldb");
        command.args([
            "--batch",
            "-o",
            "settings set plugin.jit-loader.gdb.enable on",
        ]);
        command.args(["-o", "b nowhere.c:3", "-o", "b absent.c:7", "-o", "run"]);
        command
            .arg("--")
            .arg(jit)
            .arg(&objects)
            .arg(count.to_string());
        rival_time(&mut command)
    };
    for (name, time) in [("gdb", &gdb as &dyn Fn(usize) -> Duration), ("lldb", &lldb)] {
        let installed = Command::new(name).arg("--version").output();
        if installed.is_err() {
            println!("  ({name} is not installed: apt-get install {name})");
            continue;
        }
        let empty = time(0);
        let label = format!("{name}, 1,000 objects by the JIT interface");
        println!(
            "  {label:<44}{:>10.2} ms",
            ms(time(1000).saturating_sub(empty))
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let objects = arguments.iter().position(|word| word == "--objects");
    let count: usize = objects
        .and_then(|at| arguments.get(at + 1)?.parse().ok())
        .unwrap_or(10_000);
    let name = format!("sapwood-bench-image-{}", std::process::id());
    let folder = Folder(std::env::temp_dir().join(name));
    std::fs::create_dir_all(&folder.0).expect("a temporary folder can be made");
    let program = compile(&folder, "program", PROGRAM, &[]);
    let objects = write_objects(&folder, count.max(1000));
    publish(&program, &objects[..1000]);
    intake(&program, &objects[..count]);
    if !arguments.iter().any(|word| word == "--no-rivals") {
        let jit = compile(&folder, "jit", JIT, &[]);
        rivals(&jit, &folder);
    }
}
