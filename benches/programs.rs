//! How fast `sapwood emu` runs the C programs of `benches/programs`, built for
//! both guests, beside the same programs native at `-O2` and under `qemu-user`,
//! interleaved in one run. Processor time counts, because machines are shared;
//! the ratios are of the least time that each contender needed.
//!
//! ```text
//! cargo bench --bench programs -- [--percent N] [--rounds N] [PROGRAM]…
//! ```
//!
//! `--percent` scales the work, a second each natively at 100. Each guest's
//! checksum under Sapwood must be QEMU's, or its row says so. Two threads over
//! one are measured by the clock on the wall, and mean nothing on a busy machine.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{Usage, UsageWho, getrusage};

/// The programs and what they are of. A kind has a bar of its own.
const PROGRAMS: [(&str, &str); 26] = [
    ("arithmetic", "integer"),
    ("branches", "integer"),
    ("queens", "integer"),
    ("sort", "integer"),
    ("tree", "integer"),
    ("lists", "integer"),
    ("hash", "integer"),
    ("crc", "integer"),
    ("sieve", "integer"),
    ("integers", "integer"),
    ("compression", "integer"),
    ("allocation", "integer"),
    ("atomics", "atomics"),
    ("states", "states"),
    ("calls", "calls"),
    ("indirect", "calls"),
    ("bytecode", "calls"),
    ("threaded", "calls"),
    ("double", "double"),
    ("elimination", "double"),
    ("spectral", "double"),
    ("mandelbrot", "double"),
    ("vector", "vector"),
    ("matrix", "vector"),
    ("strings", "strings"),
    ("threads", "threads"),
];

const KINDS: [&str; 8] = [
    "integer", "calls", "double", "vector", "strings", "states", "atomics", "threads",
];

const GUESTS: [&str; 2] = ["aarch64", "riscv64"];

/// Starts of the static hello.
const HELLOS: u32 = 20;

struct Options {
    percent: String,
    rounds: usize,
    only: Vec<String>,
}

impl Options {
    fn parse() -> Options {
        let mut options = Options {
            percent: "100".into(),
            rounds: 3,
            only: Vec::new(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--percent" => options.percent = arguments.next().expect("--percent N"),
                "--rounds" => {
                    let rounds = arguments.next().and_then(|n| n.parse().ok());
                    options.rounds = rounds.expect("--rounds N");
                }
                "--bench" => {}
                name => options.only.push(name.to_owned()),
            }
        }
        options
    }
}

/// One program's builds.
struct Built {
    native: PathBuf,
    guests: [PathBuf; 2],
}

fn main() {
    let options = Options::parse();
    let folder = support::Folder::new("programs");
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|o| o == name);
    println!(
        "\nprocessor time over native -O2, {} % of the work, least of {} rounds (QEMU's in brackets)",
        options.percent, options.rounds
    );
    println!(
        "  {:<13}{:<9}{:>9}{:>11}{:>18}",
        "", "kind", "native s", GUESTS[0], GUESTS[1]
    );
    let mut ratios: Vec<(&str, &str, [[f64; 2]; 2])> = Vec::new();
    for (name, kind) in PROGRAMS.into_iter().filter(|(name, _)| wanted(name)) {
        let Some(built) = build(&folder, name) else {
            return;
        };
        ratios.push((name, kind, row(name, kind, &built, &options)));
    }
    summary(&ratios);
    if wanted("threads") {
        two_threads(&folder, &options);
    }
    if wanted("hello") {
        hello(&folder);
    }
}

fn build(folder: &support::Folder, name: &str) -> Option<Built> {
    let source = support::repository(&format!("benches/programs/{name}.c"));
    let compile = |compiler: &str, statically: bool, to: &Path| {
        let mut command = Command::new(compiler);
        command.arg("-O2").args(statically.then_some("-static"));
        command.arg(&source).arg("-o").arg(to);
        support::succeeds(command.args(["-lm", "-pthread"]))
    };
    let built = Built {
        native: folder.path(name),
        guests: GUESTS.map(|guest| folder.path(&format!("{name}.{guest}"))),
    };
    let done = compile("cc", false, &built.native)
        && GUESTS.iter().zip(&built.guests).all(|(guest, to)| {
            let compiler = format!("{guest}-linux-gnu-gcc");
            support::is_installed(&compiler, &format!("gcc-{guest}-linux-gnu"))
                && compile(&compiler, true, to)
        });
    done.then_some(built)
}

/// Measures one program; gives, for each guest, Sapwood's and QEMU's ratio.
fn row(name: &str, kind: &str, built: &Built, options: &Options) -> [[f64; 2]; 2] {
    let mut native = Duration::MAX;
    let mut times = [[Duration::MAX; 2]; 2];
    let mut wrong = [""; 2];
    for _ in 0..options.rounds {
        let (taken, _) = spent(Command::new(&built.native).arg(&options.percent));
        native = native.min(taken);
        for (guest, program) in built.guests.iter().enumerate() {
            let mut ours = support::sapwood();
            ours.arg("emu").arg(program).arg(&options.percent);
            let (taken, output) = spent(&mut ours);
            times[guest][0] = times[guest][0].min(taken);
            let mut theirs = Command::new(format!("qemu-{}", GUESTS[guest]));
            let (taken, expected) = spent(theirs.arg(program).arg(&options.percent));
            times[guest][1] = times[guest][1].min(taken);
            if output != expected {
                wrong[guest] = " WRONG";
            }
        }
    }
    let ratios = times.map(|of| of.map(|time| time.as_secs_f64() / native.as_secs_f64()));
    println!(
        "  {name:<13}{kind:<9}{:>9.2}{:>8.2} ({:>5.1}){}{:>10.2} ({:>5.1}){}",
        native.as_secs_f64(),
        ratios[0][0],
        ratios[0][1],
        wrong[0],
        ratios[1][0],
        ratios[1][1],
        wrong[1]
    );
    ratios
}

/// Geometric means by kind, each with the worst program beside it.
fn summary(rows: &[(&str, &str, [[f64; 2]; 2])]) {
    println!("\n  geometric means, and the worst beside them");
    for kind in KINDS.into_iter().chain(["all"]) {
        let of_kind: Vec<_> = rows
            .iter()
            .filter(|row| kind == "all" || row.1 == kind)
            .collect();
        if of_kind.is_empty() {
            continue;
        }
        print!("  {kind:<10}");
        for guest in 0..GUESTS.len() {
            let mean = |who: usize| {
                let sum: f64 = of_kind.iter().map(|row| row.2[guest][who].ln()).sum();
                (sum / of_kind.len() as f64).exp()
            };
            let by_ratio = |a: &&&(&str, &str, [[f64; 2]; 2]), b: &&&(&str, &str, _)| {
                let (a, b): (&[[f64; 2]; 2], &[[f64; 2]; 2]) = (&a.2, &b.2);
                a[guest][0].total_cmp(&b[guest][0])
            };
            let worst = of_kind.iter().max_by(by_ratio).expect("not empty");
            print!(
                "  {} {:.2} ({:.1}), {} {:.2}",
                GUESTS[guest],
                mean(0),
                mean(1),
                worst.0,
                worst.2[guest][0]
            );
        }
        println!();
    }
}

/// How much faster two threads do the work of one, each contender's over native's.
fn two_threads(folder: &support::Folder, options: &Options) {
    let Some(built) = build(folder, "threads") else {
        return;
    };
    let gain = |command: &dyn Fn() -> Command| {
        let time = |threads: &str| {
            let run = || {
                support::timed(command().args([&options.percent, threads]))
                    .0
                    .as_secs_f64()
            };
            (0..options.rounds).map(|_| run()).fold(f64::MAX, f64::min)
        };
        time("1") / time("2")
    };
    let native = gain(&|| Command::new(&built.native));
    println!("\n  two threads over one, by the wall clock: native {native:.2} × faster");
    for (guest, program) in GUESTS.iter().zip(&built.guests) {
        let ours = gain(&|| {
            let mut command = support::sapwood();
            command.arg("emu").arg(program);
            command
        });
        println!("    {guest}: {ours:.2} ×, {:.2} of native's", ours / native);
    }
}

/// Processor time of a start of a static program that prints one word.
fn hello(folder: &support::Folder) {
    let Some(built) = build(folder, "hello") else {
        return;
    };
    println!("\n  static hello, ms of processor time");
    let mean = |command: &dyn Fn() -> Command| {
        let total: Duration = (0..HELLOS).map(|_| spent(&mut command()).0).sum();
        total.as_secs_f64() * 1e3 / f64::from(HELLOS)
    };
    println!("    native: {:.2}", mean(&|| Command::new(&built.native)));
    for (guest, program) in GUESTS.iter().zip(&built.guests) {
        let ours = mean(&|| {
            let mut command = support::sapwood();
            command.arg("emu").arg(program);
            command
        });
        let theirs = mean(&|| {
            let mut command = Command::new(format!("qemu-{guest}"));
            command.arg(program);
            command
        });
        println!("    {guest}: sapwood {ours:.2}, qemu {theirs:.2}");
    }
}

/// Runs a command and gives the processor time it used and its output.
fn spent(command: &mut Command) -> (Duration, String) {
    let before = children();
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        text.push_str(&format!(
            "[{}: {}]",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let spent = children().saturating_sub(before);
    // A process too short for the clock is not done in no time at all.
    (spent.max(Duration::from_micros(1)), text)
}

fn children() -> Duration {
    let usage: Usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the usage of own children");
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000))
        .sum()
}
