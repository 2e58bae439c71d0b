//! How fast a very large program is debugged, beside gdb and lldb, interleaved
//! in one run.
//!
//! `cargo bench --bench big_program` builds this workspace's own binary without
//! optimisation and with all debug information (some 190 MB with the standard
//! library's part), once, in `target/big`; it takes some minutes. Then each
//! contender goes to a breakpoint by `file:line` in its `main`. Ours does it with
//! an empty cache, and then with the indexes that the first round kept.
//!
//! `cargo bench --bench big_program -- --image VMLINUX` looks up one symbol, one
//! line and one function in a kernel image instead; `bash benches/vmlinux`
//! fetches Debian's. Nothing is run then.
//!
//! What is measured is processor time, ours and the children's, because that
//! says the same on a busy machine, and wall time, fastest first. The peak is of
//! anonymous memory, as `/proc` has it every few milliseconds.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs of each contender; the middle one counts.
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let image = arguments.iter().position(|argument| argument == "--image");
    match image.and_then(|at| arguments.get(at + 1)) {
        Some(image) => look_up(Path::new(image)),
        None => first_stop(),
    }
}

/// One contender: what it is called, how it is started, whether its cache is
/// thrown away before each run.
struct Contender {
    name: &'static str,
    command: Box<dyn Fn() -> Command>,
    is_cold: bool,
}

/// What one run took.
struct Taken {
    processor: Duration,
    wall: Duration,
    peak_kib: u64,
    text: String,
}

fn first_stop() {
    let Some(program) = build() else { return };
    let size = std::fs::metadata(&program).map_or(0, |facts| facts.len());
    println!(
        "\n{} MB of Rust to its first breakpoint by file:line, {ROUNDS} rounds",
        size / 1_000_000
    );
    let source = std::fs::read_to_string(support::repository("src/main.rs")).expect("our source");
    let line = source.lines().position(|line| line.starts_with("fn main"));
    let place = format!("src/main.rs:{}", line.expect("our main function") + 2);
    race(
        &program,
        &[format!("break {place}"), "run".to_owned()],
        Some(&place),
    );
}

fn look_up(image: &Path) {
    for command in [
        "info symbol schedule",
        "info line schedule",
        "info line kernel/sched/core.c:6700",
        "break vfs_read",
    ] {
        println!("\n`{command}` in {}", image.display());
        race(image, &[command.to_owned()], None);
    }
}

/// Runs all contenders in turn, and prints what they took.
fn race(program: &Path, commands: &[String], stop: Option<&str>) {
    let folder = support::Folder::new("big-program");
    let cache = folder.path("cache");
    let mut contenders = contenders(program, commands, stop, &cache);
    let mut rows: Vec<Vec<Taken>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (contender, taken) in contenders.iter_mut().zip(&mut rows) {
            if contender.is_cold {
                let _ = std::fs::remove_dir_all(&cache);
            }
            taken.push(run((contender.command)()));
        }
    }
    println!(
        "  {:<22}{:>12}{:>10}{:>12}{:>8}{:>12}",
        "", "CPU ms", "/ first", "wall ms", "/ first", "peak MiB"
    );
    let mut base = None;
    for (contender, mut taken) in contenders.iter().zip(rows) {
        if let (Some(stop), Some(one)) = (stop, taken.first())
            && !one.text.contains(stop.rsplit('/').next().unwrap_or(stop))
        {
            println!("  {:<22} did not stop: {}", contender.name, one.text.trim());
            continue;
        }
        let peak = taken.iter().map(|one| one.peak_kib).max().unwrap_or(0) / 1024;
        taken.sort_by_key(|one| one.processor);
        let processor = taken[taken.len() / 2].processor.as_secs_f64() * 1e3;
        taken.sort_by_key(|one| one.wall);
        let wall = taken[taken.len() / 2].wall.as_secs_f64() * 1e3;
        let (first, first_wall) = *base.get_or_insert((processor, wall));
        println!(
            "  {:<22}{processor:>12.0}{:>10.3}{wall:>12.0}{:>8.3}{peak:>12}",
            contender.name,
            processor / first,
            wall / first_wall
        );
    }
}

fn contenders(
    program: &Path,
    commands: &[String],
    stop: Option<&str>,
    cache: &Path,
) -> Vec<Contender> {
    let mut contenders = Vec::new();
    let (path, given) = (program.to_owned(), commands.to_owned());
    if support::is_installed("gdb", "gdb") {
        let command = move || {
            let mut command = Command::new("gdb");
            command.args(["-nx", "--batch"]);
            given.iter().for_each(|one| {
                command.args(["-ex", one]);
            });
            command.arg(&path);
            command
        };
        contenders.push(Contender {
            name: "gdb",
            command: Box::new(command),
            is_cold: false,
        });
    }
    let path = program.to_owned();
    if let Some(stop) = stop
        && support::is_installed("lldb", "lldb")
    {
        let (file, line) = stop.split_once(':').expect("a file and a line");
        let set = format!("breakpoint set --file {file} --line {line}");
        let command = move || {
            let mut command = Command::new("lldb");
            command.args([
                "--no-lldbinit",
                "--batch",
                "-o",
                &set,
                "-o",
                "run",
                "-o",
                "kill",
            ]);
            command.arg(&path);
            command
        };
        contenders.push(Contender {
            name: "lldb",
            command: Box::new(command),
            is_cold: false,
        });
    }
    for (name, is_cold) in [("sapwood dbg, cold", true), ("sapwood dbg, kept", false)] {
        let (path, given, cache) = (program.to_owned(), commands.to_owned(), cache.to_owned());
        let command = move || {
            let mut command = support::sapwood();
            command
                .args(["dbg", "--batch"])
                .env("XDG_CACHE_HOME", &cache);
            given.iter().for_each(|one| {
                command.args(["-e", one]);
            });
            command.arg(&path);
            command
        };
        contenders.push(Contender {
            name,
            command: Box::new(command),
            is_cold,
        });
    }
    contenders
}

/// Runs a command to its end.
fn run(mut command: Command) -> Taken {
    let before = children();
    let start = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.expect("a debugger");
    let mut output = child.stdout.take().expect("its output");
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = std::io::Read::read_to_end(&mut output, &mut text);
        text
    });
    let mut peak_kib = 0;
    while child.try_wait().is_ok_and(|ended| ended.is_none()) {
        peak_kib = anonymous_kib(child.id()).max(peak_kib);
        std::thread::sleep(Duration::from_millis(2));
    }
    let wall = start.elapsed();
    let text = reader.join().unwrap_or_default();
    Taken {
        processor: children().saturating_sub(before),
        wall,
        peak_kib,
        text: String::from_utf8_lossy(&text).into_owned(),
    }
}

fn anonymous_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    number.unwrap_or(0)
}

/// The processor time of all children that have ended: `cutime` and `cstime` of
/// `/proc/self/stat`, in hundredths of a second.
fn children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok());
    let both = ticks(14).unwrap_or(0) + ticks(15).unwrap_or(0);
    Duration::from_millis(both * 10)
}

/// Builds the large program, unless it is there.
fn build() -> Option<PathBuf> {
    let folder = support::repository("target/big");
    let built = support::succeeds(
        Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--bin", "sapwood"])
            .args(["--config", r#"profile.dev.package."*".debug="full""#])
            .arg("--target-dir")
            .arg(&folder)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("CARGO_PROFILE_DEV_DEBUG", "full")
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0"),
    );
    built.then(|| folder.join("debug/sapwood"))
}
