//! What a debugger does all day, beside gdb (and lldb, where it is installed):
//! conditions, steps, stacks and threads, interleaved in one run.
//!
//! `cargo bench --bench debugger [-- --rounds N] [NAME…]`. Each contender is fed
//! commands through a pipe and answers with a marker, so that start-up is in no
//! figure but the first row's. Two times are taken between markers: the wall's,
//! and the processor's in the debugger's own threads (`schedstat`), which other
//! work on the machine changes little. The ratio is of medians. A debugger that is
//! silent for a minute is killed, and takes no further part in that job.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Runs of each contender in each row, unless the command line says otherwise.
const ROUNDS: usize = 5;

/// Something to measure.
struct Job {
    name: &'static str,
    /// What one is, and the bar: our processor time over gdb's.
    unit: &'static str,
    bar: f64,
    source: &'static str,
    flags: &'static [&'static str],
    /// Commands that are not measured, and those that are.
    before: &'static [&'static str],
    measured: &'static [&'static str],
    /// The last measured command is given so often.
    times: u32,
    /// How many units the measured commands are.
    units: u32,
}

const JOBS: &[Job] = &[
    Job {
        name: "first breakpoint",
        unit: "run",
        bar: 0.1,
        source: "loop.c",
        flags: &[],
        before: &[],
        measured: &["break main", "run"],
        times: 1,
        units: 1,
    },
    Job {
        name: "condition",
        unit: "check",
        bar: 0.125,
        source: "loop.c",
        flags: &[],
        before: &["break main", "run", "break work if n == 19999"],
        measured: &["continue"],
        times: 1,
        units: 20_000,
    },
    Job {
        name: "next, short lines",
        unit: "line",
        bar: 0.125,
        source: "short.c",
        flags: &[],
        before: &["break main", "run"],
        measured: &["next"],
        times: 1000,
        units: 1000,
    },
    Job {
        name: "step, short lines",
        unit: "line",
        bar: 0.125,
        source: "short.c",
        flags: &[],
        before: &["break main", "run"],
        measured: &["step"],
        times: 1000,
        units: 1000,
    },
    Job {
        name: "next, long lines with calls",
        unit: "line",
        bar: 0.1,
        source: "long.c",
        flags: &[],
        before: &["break main", "run"],
        measured: &["next"],
        times: 200,
        units: 200,
    },
    Job {
        name: "step, long lines without calls",
        unit: "line",
        bar: 0.1,
        source: "wide.c",
        flags: &[],
        before: &["break main", "run"],
        measured: &["step"],
        times: 200,
        units: 200,
    },
    Job {
        name: "backtrace of 10,000 frames",
        unit: "list",
        bar: 0.1,
        source: "deep.c",
        flags: &[],
        before: &["break bottom", "run"],
        measured: &["bt"],
        times: 1,
        units: 1,
    },
    Job {
        name: "list of 1,000 threads",
        unit: "list",
        bar: 0.5,
        source: "crowd.c",
        flags: &["-pthread"],
        before: &["break ready", "run", "info threads"],
        measured: &["info threads"],
        times: 1,
        units: 1,
    },
    Job {
        name: "stepi with 1,000 threads",
        unit: "step",
        bar: 0.02,
        source: "crowd.c",
        flags: &["-pthread"],
        before: &["break ready", "run"],
        measured: &["stepi"],
        times: 20,
        units: 20,
    },
];

const SOURCES: &[(&str, &str)] = &[
    (
        "loop.c",
        "int total;\nint work(int n) {\n  return n * 3;\n}\nint main(void) {\n  for (int i = 0; i < 20000; i++)\n    total += work(i);\n  return 0;\n}\n",
    ),
    (
        "short.c",
        "int main(void) {\n  int a = 0, b = 1;\n  for (int i = 0; i < 1000000; i++) {\n    a += i;\n    b ^= a;\n    a -= b;\n  }\n  return a & b & 1;\n}\n",
    ),
    (
        "long.c",
        "int f(int n) {\n  int s = 0;\n  for (int i = 0; i < 10; i++) s += i ^ n;\n  return s;\n}\nint main(void) {\n  int s = 0;\n  for (int i = 0; i < 1000000; i++) {\n    s += f(i) + f(s) + f(i + 1) + f(s + 1) + f(i + 2) + f(s + 2) + f(i + 3) + f(s + 3);\n    s ^= f(s) * f(i) + f(s ^ 5) * f(i ^ 5) + f(s ^ 6) * f(i ^ 6) + f(s ^ 7) * f(i ^ 7);\n  }\n  return s & 1;\n}\n",
    ),
    (
        "wide.c",
        "int main(void) {\n  unsigned s = 0;\n  for (unsigned i = 0; i < 1000000; i++) {\n    for (unsigned j = 0; j < 100; j++) s += (s ^ j) * 3 + (i ^ j) * 5 + (s << 3);\n    for (unsigned j = 0; j < 100; j++) s ^= (s + j) * 7 + (i + j) * 9 + (s >> 3);\n  }\n  return s & 1;\n}\n",
    ),
    (
        "deep.c",
        "int bottom(int n) {\n  return n;\n}\nint down(int n, const char *name) {\n  if (n == 0) return bottom(n);\n  return down(n - 1, name) + 1;\n}\nint main(void) {\n  return down(10000, \"deep\") & 1;\n}\n",
    ),
    (
        "crowd.c",
        "#include <pthread.h>\n#include <unistd.h>\nint turns;\nvoid ready(void) {\n  for (;;)\n    turns++;\n}\nvoid *idle(void *p) {\n  for (;;) pause();\n  return p;\n}\nint main(void) {\n  pthread_attr_t a;\n  pthread_attr_init(&a);\n  pthread_attr_setstacksize(&a, 65536);\n  for (int i = 0; i < 999; i++) {\n    pthread_t t;\n    pthread_create(&t, &a, idle, 0);\n  }\n  usleep(200000);\n  ready();\n}\n",
    ),
];

/// How long a debugger may take for a job: one that waits for ever is out.
const LIMIT: Duration = Duration::from_secs(60);

/// A debugger that takes commands through a pipe.
struct Session {
    child: Child,
    /// While this is there, [`LIMIT`] runs.
    _running: Sender<()>,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    markers: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contender {
    Gdb,
    Sapwood,
    Lldb,
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Contender::Gdb => "gdb",
            Contender::Sapwood => "sapwood dbg",
            Contender::Lldb => "lldb",
        }
    }

    fn start(self, program: &Path) -> Option<Session> {
        let mut command = match self {
            Contender::Gdb => {
                let mut command = Command::new("gdb");
                command.args(["-nx", "-q"]);
                for setting in ["confirm off", "pagination off", "debuginfod enabled off"] {
                    command.args(["-ex", &format!("set {setting}")]);
                }
                command
            }
            Contender::Sapwood => {
                let mut command = support::sapwood();
                command.arg("dbg");
                command
            }
            Contender::Lldb => {
                let mut command = Command::new("lldb");
                command.args(["--no-lldbinit", "--no-use-colors"]);
                command
            }
        };
        let mut child = command
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let input = child.stdin.take()?;
        let output = BufReader::new(child.stdout.take()?);
        Some(Session {
            _running: kill_after_limit(&child),
            child,
            input,
            output,
            markers: 0,
        })
    }

    /// lldb has other words for some.
    fn word(self, command: &str) -> String {
        if self != Contender::Lldb {
            return command.to_owned();
        }
        match command {
            "info threads" => "thread list".to_owned(),
            other => match other.strip_prefix("break ") {
                Some(rest) => match rest.split_once(" if ") {
                    Some((at, condition)) => {
                        format!("breakpoint set -n {at} -c \"{condition}\"")
                    }
                    None => format!("breakpoint set -n {rest}"),
                },
                None => other.to_owned(),
            },
        }
    }

    /// A command that prints a text.
    fn marker(self, text: &str) -> String {
        match self {
            Contender::Lldb => format!("script print(\"{text}\", flush=True)"),
            _ => format!("echo {text}\\n"),
        }
    }
}

impl Session {
    /// Executes commands and waits until they have been.
    fn execute(&mut self, contender: Contender, commands: &[String]) -> Option<()> {
        self.markers += 1;
        let marker = format!("marker{}end", self.markers);
        let mut text = commands.join("\n");
        text.push('\n');
        text.push_str(&contender.marker(&marker));
        text.push('\n');
        self.input.write_all(text.as_bytes()).ok()?;
        self.input.flush().ok()?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.output.read_line(&mut line).ok()? == 0 {
                return None;
            }
            // lldb shows the command too, which has a parenthesis before it.
            if line.contains(&marker) && !line.contains('"') && !line.contains("echo ") {
                return Some(());
            }
        }
    }

    /// Processor time of all of the debugger's threads.
    fn processor_time(&self) -> Duration {
        let folder = format!("/proc/{}/task", self.child.id());
        let nanoseconds = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|task| {
                let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
                text.split_whitespace().next()?.parse::<u64>().ok()
            })
            .sum();
        Duration::from_nanos(nanoseconds)
    }
}

/// Kills a process that still runs when [`LIMIT`] is over and what it gives is
/// still there.
fn kill_after_limit(child: &Child) -> Sender<()> {
    let (running, ended) = mpsc::channel();
    let pid = Pid::from_raw(child.id().cast_signed());
    std::thread::spawn(move || {
        if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    });
    running
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.input.write_all(b"kill\nquit\n");
        let _ = self.input.flush();
        // One that does not leave by itself is made to.
        for _ in 0..200 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Wall and processor time of the measured commands.
fn measure(job: &Job, contender: Contender, program: &Path) -> Option<(Duration, Duration)> {
    let words =
        |commands: &[&str]| -> Vec<String> { commands.iter().map(|c| contender.word(c)).collect() };
    let from_the_start = job.before.is_empty();
    let start = Instant::now();
    let mut session = contender.start(program)?;
    if !from_the_start {
        session.execute(contender, &words(job.before))?;
    }
    let (start, before) = match from_the_start {
        true => (start, Duration::ZERO),
        false => (Instant::now(), session.processor_time()),
    };
    let mut commands = words(job.measured);
    let last = commands.last()?.clone();
    commands.extend(std::iter::repeat_n(last, job.times as usize - 1));
    session.execute(contender, &commands)?;
    let wall = start.elapsed();
    Some((wall, session.processor_time().saturating_sub(before)))
}

fn compile(folder: &support::Folder, job: &Job) -> Option<PathBuf> {
    let (_, text) = SOURCES.iter().find(|(name, _)| *name == job.source)?;
    let source = folder.path(job.source);
    std::fs::write(&source, text).ok()?;
    let program = folder.path(&job.source.replace(".c", ""));
    let mut command = Command::new("cc");
    command.args(["-g", "-O0"]).arg(&source).arg("-o");
    command.arg(&program).args(job.flags);
    support::succeeds(&mut command).then_some(program)
}

fn main() {
    let mut rounds = ROUNDS;
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => {
                let number = arguments.next().and_then(|n| n.parse().ok());
                rounds = number.unwrap_or(ROUNDS).max(1);
            }
            "--bench" => {}
            name => wanted.push(name.to_owned()),
        }
    }
    let mut contenders = vec![Contender::Sapwood];
    if support::is_installed("gdb", "gdb") {
        contenders.insert(0, Contender::Gdb);
    }
    if support::is_installed("lldb", "lldb") {
        contenders.push(Contender::Lldb);
    }
    let folder = support::Folder::new("debugger");
    println!("\na debugger's day, µs of one unit, medians of {rounds} rounds");
    for job in JOBS {
        if wanted.is_empty() || wanted.iter().any(|name| job.name.contains(name.as_str())) {
            run(job, &folder, &contenders, rounds);
        }
    }
}

fn run(job: &Job, folder: &support::Folder, contenders: &[Contender], rounds: usize) {
    let Some(program) = compile(folder, job) else {
        return;
    };
    println!("\n{} (bar: {} of gdb's processor time)", job.name, job.bar);
    let mut times = vec![(Vec::new(), Vec::new()); contenders.len()];
    let mut given_up = Vec::new();
    for _ in 0..rounds {
        for (contender, (wall, processor)) in contenders.iter().zip(&mut times) {
            if given_up.contains(contender) {
                continue;
            }
            match measure(job, *contender, &program) {
                Some((w, p)) => {
                    wall.push(w);
                    processor.push(p);
                }
                None => {
                    println!("  ({} did not finish)", contender.name());
                    given_up.push(*contender);
                }
            }
        }
    }
    let unit = format!("{}, processor", job.unit);
    println!(
        "  {:<14}{unit:>18}{:>10}{:>14}{:>10}",
        "", "/ gdb", "wall", "/ gdb"
    );
    let mut first: Option<(f64, f64)> = None;
    for (contender, (wall, processor)) in contenders.iter().zip(&mut times) {
        if wall.is_empty() {
            continue;
        }
        let each = |times: &mut [Duration]| {
            support::median(times).as_secs_f64() * 1e6 / f64::from(job.units)
        };
        let (wall, processor) = (each(wall), each(processor));
        let (base_wall, base_processor) = *first.get_or_insert((wall, processor));
        println!(
            "  {:<14}{processor:>18.1}{:>10.3}{wall:>14.1}{:>10.3}",
            contender.name(),
            processor / base_processor,
            wall / base_wall
        );
    }
}
