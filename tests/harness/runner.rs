//! Runs the cases, as many at a time as there are cores, and says how they went
//! in the words of cargo's own test harness.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::case::{Case, Settings, trim_blank_end};
use super::{compare, leftovers, packages, terminal};

/// A case that was found.
struct Found {
    /// `dbg/pending`.
    name: String,
    path: PathBuf,
}

/// Runs the cases in these folders of `tests` on this binary.
pub fn run(tests: &Path, folders: &[&str], binary: &Path) -> ExitCode {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let all: Vec<Found> = folders
        .iter()
        .flat_map(|folder| find(tests, folder))
        .collect();
    let total = all.len();
    let wanted = |found: &Found| words.is_empty() || words.iter().any(|w| found.name.contains(w));
    let cases: Vec<Found> = all.into_iter().filter(wanted).collect();
    if std::env::args().any(|word| word == "--list") {
        cases
            .iter()
            .for_each(|found| println!("{}: test", found.name));
        return ExitCode::SUCCESS;
    }

    println!("\nrunning {} tests", cases.len());
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(found) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = run_case(found, tests, binary);
            let word = if outcome.is_ok() { "ok" } else { "FAILED" };
            println!("test {} ... {word}", found.name);
            if let Err(why) = outcome {
                failures.lock().unwrap().push((found.name.clone(), why));
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores.min(cases.len()) {
            scope.spawn(work);
        }
    });

    let failures = failures.into_inner().unwrap();
    for (name, why) in &failures {
        println!("\n---- {name}\n{why}");
    }
    let verdict = if failures.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out\n",
        cases.len() - failures.len(),
        failures.len(),
        total - cases.len()
    );
    ExitCode::from(u8::from(!failures.is_empty()))
}

fn find(tests: &Path, folder: &str) -> Vec<Found> {
    let entries = fs::read_dir(tests.join(folder)).into_iter().flatten();
    let mut cases: Vec<Found> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "case"))
        .map(|path| Found {
            name: format!("{folder}/{}", path.file_stem().unwrap().display()),
            path,
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// The folders of a case, removed when it is over.
struct Room {
    root: PathBuf,
}

impl Room {
    fn new(found: &Found) -> std::io::Result<Room> {
        let name = format!(
            "sapwood-case-{}-{}",
            std::process::id(),
            found.name.replace('/', "-")
        );
        let root = std::env::temp_dir().join(name);
        for folder in ["work", "tmp", "home", "output"] {
            fs::create_dir_all(root.join(folder))?;
        }
        Ok(Room { root })
    }

    fn at(&self, folder: &str) -> PathBuf {
        self.root.join(folder)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn run_case(found: &Found, tests: &Path, binary: &Path) -> Result<(), String> {
    let problem = |error: std::io::Error| error.to_string();
    let text = fs::read_to_string(&found.path).map_err(problem)?;
    let mut case = Case::parse(&text)?;
    if let Some(missing) = packages::missing(&case.settings.needs) {
        return Err(missing);
    }
    let room = Room::new(found).map_err(problem)?;
    lay_out(&case, tests, &room).map_err(problem)?;

    let bless = std::env::var_os("SAPWOOD_BLESS").is_some();
    let mut report = String::new();
    for step in &mut case.steps {
        let mark = room.root.display().to_string();
        let printed = run_step(&step.command, &case.settings, &room, &mark, tests, binary)?;
        let left = leftovers::find(&mark, &room.at("tmp"));
        if !left.is_empty() {
            return Err(format!(
                "$ {}\nleft behind: {}",
                step.command,
                left.join("; ")
            ));
        }
        if compare::matches(&step.expected, &printed) {
            continue;
        }
        if bless {
            step.expected = printed;
        } else {
            let difference = compare::difference(&step.expected, &printed);
            report.push_str(&format!("$ {}\n{difference}", step.command));
        }
    }
    if bless && case.write() != text {
        fs::write(&found.path, case.write()).map_err(problem)?;
    }
    match report.is_empty() {
        true => Ok(()),
        false => Err(report),
    }
}

/// Writes and copies the case's files into its folder.
fn lay_out(case: &Case, tests: &Path, room: &Room) -> std::io::Result<()> {
    for (name, content) in &case.files {
        let path = room.at("work").join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)?;
    }
    for file in &case.settings.copy {
        let from = tests.join(file);
        let name = from.file_name().unwrap_or_default();
        fs::copy(&from, room.at("work").join(name))
            .map_err(|error| std::io::Error::other(format!("{}: {error}", from.display())))?;
    }
    Ok(())
}

/// Runs one command and gives the lines it printed, normalised.
fn run_step(
    command: &str,
    settings: &Settings,
    room: &Room,
    mark: &str,
    tests: &Path,
    binary: &Path,
) -> Result<Vec<String>, String> {
    let problem = |error: std::io::Error| format!("$ {command}\n{error}");
    let like = |child: &mut Command| set_environment(child, room, mark, tests, binary);
    if let Some(keys) = command.strip_prefix("terminal ") {
        let keys = fs::read_to_string(room.at("work").join(keys)).map_err(problem)?;
        let shown = terminal::act_out(&keys, like, settings.timeout_s)?;
        return Ok(shown.lines().map(|line| settings.normalise(line)).collect());
    }
    let (output, errors) = (room.at("output").join("1"), room.at("output").join("2"));
    let mut child = Command::new("/bin/sh");
    like(&mut child);
    let mut child = child
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(File::create(&output).map_err(problem)?)
        .stderr(File::create(&errors).map_err(problem)?)
        .process_group(0)
        .spawn()
        .map_err(problem)?;

    let deadline = Instant::now() + Duration::from_secs(settings.timeout_s);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(problem)? {
            break Some(status);
        }
        if Instant::now() > deadline {
            leftovers::kill_all(mark);
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(Duration::from_millis(2));
    };

    let folder = room.at("work").display().to_string();
    let read = |path| {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let lines = text.lines().map(|line| line.replace(&folder, "$DIR"));
        lines
            .map(|line| settings.normalise(line.trim_end()))
            .collect::<Vec<_>>()
    };
    let mut lines = read(&output);
    trim_blank_end(&mut lines);
    lines.extend(
        read(&errors)
            .iter()
            .map(|line| format!("! {line}").trim_end().to_owned()),
    );
    match status {
        None => lines.push(format!("[killed after {} s]", settings.timeout_s)),
        Some(status) => lines.extend(ending(status)),
    }
    Ok(lines)
}

/// Where a case's commands run, and what they find there.
fn set_environment(command: &mut Command, room: &Room, mark: &str, tests: &Path, binary: &Path) {
    let mut path = binary
        .parent()
        .unwrap_or(Path::new("."))
        .as_os_str()
        .to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    command
        .current_dir(room.at("work"))
        .env("PATH", path)
        .env("HOME", room.at("home"))
        .envs(toolchain())
        .env("TMPDIR", room.at("tmp"))
        .env("TESTS", tests)
        .env("LC_ALL", "C")
        .env("TERM", "dumb")
        .env(leftovers::MARK, mark)
        .env_remove("XDG_STATE_HOME")
        .env_remove("XDG_CACHE_HOME")
        .env_remove("RUST_BACKTRACE");
}

/// Where cargo keeps what it fetched and rustup its toolchains, which a new
/// `HOME` would hide.
fn toolchain() -> Vec<(&'static str, PathBuf)> {
    let Some(home) = std::env::var_os("HOME").map(PathBuf::from) else {
        return Vec::new();
    };
    [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")]
        .into_iter()
        .filter(|(variable, _)| std::env::var_os(variable).is_none())
        .map(|(variable, folder)| (variable, home.join(folder)))
        .filter(|(_, folder)| folder.is_dir())
        .collect()
}

/// How a command ended, where it did not end well. A shell that does not exec
/// its last command reports a signal as status 128 + signal.
fn ending(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("[exit {code}]")),
        (None, signal) => Some(format!("[signal {}]", signal.unwrap_or(0))),
    }
}
