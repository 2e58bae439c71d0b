//! Equivalence with gdb: one script, the same build of a program, two debuggers.
//!
//! `tests/equivalence/programs/` holds small C, C++ and Rust programs, each with
//! its script in its first lines: every `//> COMMAND` is a step, and a line
//! `//>> MORE` goes on with the command before. `//: builds …` says how the
//! program is built, and `//: printers` that gdb may use libstdc++'s own. A
//! program is built in several ways, both debuggers are given the commands
//! through a pipe, and what they say to each is compared once addresses, process
//! numbers and folders are taken out. So the stops, frames, lines and values
//! have to agree, and their wording.
//!
//! A step that differs has to be in `tests/equivalence/differences.txt`:
//!
//! ```text
//! PROGRAM | BUILD | STEPS | WHOSE | REASON
//! ```
//!
//! `BUILD` is the end of one or `*`, `STEPS` a number, a range or `*`; `WHOSE`
//! is `ours` (to mend), `wording` (the same said otherwise), or `gdb`, and then
//! the reason says what else shows that gdb is at fault.
//!
//! A difference that is not listed fails, and so does a line of the list that no
//! difference answers to. What is run by default is one build of each program, a
//! different one from program to program. `bash tests/equivalence/all [WORD…]`
//! runs all builds of each program, or of those whose names have one of the
//! words. Every unlisted difference is printed with both texts, as a line for the
//! list.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a debugger may take for one script.
const SECONDS: &str = "120";

/// The ways to build a program of each language.
const C: [&str; 8] = [
    "gcc -O0",
    "gcc -O2",
    "gcc -O1 -no-pie",
    "gcc -O3",
    "clang -O0",
    "clang -O1",
    "clang -O2 -no-pie",
    "clang -O3 -gdwarf-4",
];
const CPP: [&str; 6] = [
    "g++ -O0",
    "g++ -O2",
    "g++ -O1 -no-pie",
    "clang++ -O0",
    "clang++ -O2 -no-pie",
    "clang++ -O1",
];
const RUST: [&str; 4] = [
    "rustc -Copt-level=0",
    "rustc -Copt-level=2",
    "rustc -Copt-level=1",
    "rustc -Copt-level=3 -Cpanic=abort",
];

/// A program and its script.
struct Program {
    path: PathBuf,
    name: String,
    steps: Vec<String>,
    builds: Vec<String>,
    /// gdb shows containers by the printers that libstdc++ brings for it.
    printers: bool,
}

/// A step on which the debuggers disagree.
struct Difference {
    program: String,
    build: String,
    step: usize,
    command: String,
    gdb: String,
    ours: String,
}

/// A line of the list.
struct Listed {
    program: String,
    build: String,
    steps: (usize, usize),
    whose: String,
    text: String,
}

impl Listed {
    fn read(line: &str) -> Option<Listed> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let fields: Vec<&str> = line.splitn(5, '|').map(str::trim).collect();
        let [program, build, steps, whose, reason] = fields[..] else {
            panic!("differences.txt: five fields are needed: {line}");
        };
        assert!(!reason.is_empty(), "differences.txt: no reason: {line}");
        assert!(
            ["ours", "wording", "gdb"].contains(&whose),
            "differences.txt: whose? {line}"
        );
        let number = |text: &str| text.trim().parse().expect("a step's number");
        let steps = match steps.split_once('-') {
            _ if steps == "*" => (0, usize::MAX),
            Some((first, last)) => (number(first), number(last)),
            None => (number(steps), number(steps)),
        };
        Some(Listed {
            program: program.to_owned(),
            build: build.to_owned(),
            steps,
            whose: whose.to_owned(),
            text: line.to_owned(),
        })
    }

    /// Whether it is about one build alone, and that was run.
    fn is_of(&self, jobs: &[(&Program, &String)]) -> bool {
        jobs.iter()
            .any(|(program, build)| program.name == self.program && **build == self.build)
    }

    fn covers(&self, difference: &Difference) -> bool {
        let build = match self.build.strip_suffix('*') {
            Some(start) => difference.build.starts_with(start),
            None => difference.build == self.build,
        };
        self.program == difference.program
            && build
            && (self.steps.0..=self.steps.1).contains(&difference.step)
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let all = std::env::var_os("SAPWOOD_EQUIVALENCE").is_some_and(|which| which == "all");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/equivalence");
    let list = std::fs::read_to_string(folder.join("differences.txt")).unwrap_or_default();
    let listed: Vec<Listed> = list.lines().filter_map(Listed::read).collect();
    let mut used = vec![0usize; listed.len()];
    let room = std::env::temp_dir().join(format!("sapwood-equivalence-{}", std::process::id()));
    std::fs::create_dir_all(&room).expect("a temporary folder");

    let programs = read_programs(&folder.join("programs"), &words);
    let jobs: Vec<(&Program, &String)> = programs
        .iter()
        .enumerate()
        .flat_map(|(index, program)| {
            let count = program.builds.len();
            let (skip, take) = if all { (0, count) } else { (index % count, 1) };
            let builds = program.builds.iter().skip(skip).take(take);
            builds.map(move |build| (program, build))
        })
        .collect();
    let steps: usize = jobs.iter().map(|(program, _)| program.steps.len()).sum();
    let (programs, builds) = (programs.len(), jobs.len());
    let mut unlisted = Vec::new();
    for difference in compare_all(&jobs, &room) {
        match listed.iter().position(|line| line.covers(&difference)) {
            Some(line) => used[line] += 1,
            None => unlisted.push(difference),
        }
    }
    let _ = std::fs::remove_dir_all(&room);

    for difference in &unlisted {
        println!("{}", difference.describe());
    }
    let known: usize = used.iter().sum();
    let gdb = listed
        .iter()
        .zip(&used)
        .filter(|(line, _)| line.whose == "gdb");
    let gdb: usize = gdb.map(|(_, used)| used).sum();
    println!(
        "{programs} programs, {builds} builds, {steps} steps: {} equal, {known} listed \
         ({gdb} of them put down to gdb), {} unlisted",
        steps - known - unlisted.len(),
        unlisted.len()
    );
    let mut is_stale = false;
    for (line, _) in listed.iter().zip(&used).filter(|(_, used)| **used == 0) {
        // A line for several builds may be about one that was not run.
        if words.is_empty() && (all || line.is_of(&jobs)) {
            is_stale = true;
            println!("mended, to be taken off the list: {}", line.text);
        }
    }
    // At most one in fifty may be put down to gdb.
    match unlisted.is_empty() && !is_stale && gdb * 50 <= steps {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn read_programs(folder: &Path, words: &[String]) -> Vec<Program> {
    let mut programs = Vec::new();
    for file in std::fs::read_dir(folder).expect("the programs") {
        let path = file.expect("a program").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a program");
        let mut steps: Vec<String> = Vec::new();
        for line in text.lines() {
            if let Some(step) = line.strip_prefix("//> ") {
                steps.push(step.to_owned());
            } else if let Some(more) = line.strip_prefix("//>> ") {
                let last = steps.last_mut().expect("a step goes before");
                let _ = write!(last, "\n{more}");
            }
        }
        let builds = text
            .lines()
            .find_map(|line| line.strip_prefix("//: builds "));
        let usual: &[&str] = match path.extension().and_then(|kind| kind.to_str()) {
            Some("rs") => &RUST,
            Some("cc") => &CPP,
            _ => &C,
        };
        programs.push(Program {
            steps,
            builds: match builds {
                Some(builds) => builds.split('|').map(|one| one.trim().to_owned()).collect(),
                None => usual.iter().map(|&one| one.to_owned()).collect(),
            },
            printers: text.lines().any(|line| line == "//: printers"),
            path,
            name,
        });
    }
    programs.sort_by(|one, other| one.name.cmp(&other.name));
    programs
}

/// Does all jobs, two at a time, and gives the differences in their order.
fn compare_all(jobs: &[(&Program, &String)], room: &Path) -> Vec<Difference> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let room = room.join(worker.to_string());
            let (next, found) = (&next, &found);
            scope.spawn(move || {
                std::fs::create_dir_all(&room).expect("a temporary folder");
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    let Some((program, build)) = jobs.get(job) else {
                        return;
                    };
                    let differences = compare(program, build, &room);
                    let differences = differences.into_iter().map(|one| (job, one));
                    found.lock().expect("no one failed").extend(differences);
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no one failed");
    found.sort_by_key(|(job, difference)| (*job, difference.step));
    found
        .into_iter()
        .map(|(_, difference)| difference)
        .collect()
}

/// Builds a program and runs its script in both debuggers.
fn compare(program: &Program, build: &str, room: &Path) -> Vec<Difference> {
    let binary = room.join("program");
    let mut words = build.split(' ');
    let compiler = words.next().expect("a compiler");
    let mut command = Command::new(compiler);
    // Where a compiler leaves files beside the program's, it is in the room.
    let source = program.path.canonicalize().expect("a program");
    command
        .current_dir(room)
        .args(words)
        .arg("-g")
        .arg(source)
        .arg("-o")
        .arg(&binary);
    match compiler {
        "rustc" => command.arg("--edition=2021"),
        _ => command.args(["-pthread", "-lm"]),
    };
    let built = command.output();
    let built = built.unwrap_or_else(|error| panic!("{compiler}: {error}; is it installed?"));
    assert!(
        built.status.success(),
        "{} ({build}) does not compile:\n{}",
        program.name,
        String::from_utf8_lossy(&built.stderr)
    );
    let script = script(&program.steps);
    let mut gdb = Command::new("timeout");
    gdb.args([SECONDS, "gdb", "-nx", "-q"]);
    if !program.printers {
        gdb.args(["-iex", "set auto-load no"]);
    }
    let settings = [
        "confirm off",
        "width 0",
        "height 0",
        "prompt ",
        "debuginfod enabled off",
        // We show no values of entry beside present ones.
        "print entry-values no",
    ];
    for setting in settings {
        gdb.args(["-ex", &format!("set {setting}")]);
    }
    gdb.arg(&binary);
    let mut ours = Command::new("timeout");
    ours.args([SECONDS, env!("CARGO_BIN_EXE_sapwood"), "dbg"])
        .arg(&binary);
    let gdb = answers(gdb, &script, &program.steps, room);
    let ours = answers(ours, &script, &program.steps, room);
    let steps = program.steps.iter().enumerate();
    let differing = steps.filter(|&(step, _)| gdb[step] != ours[step]);
    differing
        .map(|(step, command)| Difference {
            program: program.name.clone(),
            build: build.to_owned(),
            step: step + 1,
            command: command.clone(),
            gdb: gdb[step].clone(),
            ours: ours[step].clone(),
        })
        .collect()
}

/// The commands with a mark after each.
fn script(steps: &[String]) -> String {
    let mut script = String::new();
    for (step, command) in steps.iter().enumerate() {
        // The program's own output would come between.
        let command = match command == "run" {
            true => "run > /dev/null",
            false => command,
        };
        let _ = write!(script, "{command}\necho @@{}@@\\n\n", step + 1);
    }
    script.push_str("kill\nquit\n");
    script
}

/// What a debugger says to each step.
fn answers(mut debugger: Command, script: &str, steps: &[String], room: &Path) -> Vec<String> {
    let file = room.join("script");
    std::fs::write(&file, script).expect("a script");
    let input = std::fs::File::open(&file).expect("a script");
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    debugger
        .stdin(Stdio::from(input))
        .stdout(writer.try_clone().expect("a pipe"))
        .stderr(writer)
        .env("HOME", room)
        .env_remove("XDG_CACHE_HOME")
        .env("LC_ALL", "C.UTF-8");
    let mut child = debugger.spawn().expect("timeout, and a debugger");
    // The pipe ends when nobody has its other side any more.
    drop(debugger);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut bytes).expect("a pipe");
    let _ = child.wait();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut rest = &text[..];
    let mut answers = Vec::new();
    for step in 1..=steps.len() {
        let mark = format!("@@{step}@@\n");
        let (answer, after) = rest.split_once(&mark).unwrap_or((rest, ""));
        answers.push(normalised(answer));
        rest = after;
    }
    answers
}

/// Lines that only one of the two writes, and that say nothing of the program.
const NOISE: [&str; 10] = [
    "Reading symbols from",
    "Starting program:",
    "[Thread debugging using",
    "Using host libthread_db",
    "[New Thread",
    "[Switching to",
    "[Thread 0x",
    "warning: Error disabling address space randomization",
    "warning: Missing auto-load script",
    "Continuing.",
];

/// A text without what differs from run to run.
fn normalised(text: &str) -> String {
    let lines = text.lines().map(str::trim_end);
    let lines = lines.filter(|line| !NOISE.iter().any(|noise| line.starts_with(noise)));
    let lines = lines.map(|line| line.strip_prefix("error: ").unwrap_or(line));
    let mut normalised: Vec<String> = lines.map(normalised_line).collect();
    normalised.retain(|line| !line.is_empty());
    normalised.join("\n")
}

fn normalised_line(line: &str) -> String {
    // Numbers of processes, long addresses, folders.
    let rules = [
        // What gdb asks for more lines with.
        (r"^(?: *>)+", ""),
        (r"\(process \d+\)", "(process N)"),
        (r"process \d+", "process N"),
        (r"Thread 0x[0-9a-f]+ \(LWP \d+\)", "Thread N"),
        (r"\(LWP \d+\)", "(LWP N)"),
        (r"0x[0-9a-f]{4,}", "0xADDR"),
        (r"(?:\.\.?)?/?(?:[A-Za-z0-9_.+-]+/)+", ""),
        // What ours says beyond gdb's words.
        (r"^warning: line \d+ has no code.*", ""),
        (r"^Breakpoint \d+ \(.*\) pending\.", ""),
    ];
    rules.iter().fold(line.to_owned(), |line, (pattern, by)| {
        let pattern = regex_lite::Regex::new(pattern).expect("a pattern");
        pattern.replace_all(&line, *by).into_owned()
    })
}

impl Difference {
    fn describe(&self) -> String {
        let (program, build, step) = (&self.program, &self.build, self.step);
        let mut text = format!("{program} | {build} | {step} | ours | `{}`\n", self.command);
        for (who, said) in [("gdb:  ", &self.gdb), ("ours: ", &self.ours)] {
            for line in said.lines() {
                let _ = writeln!(text, "    {who}{line}");
            }
        }
        text
    }
}
