//! What a command left behind: processes and temporary files.
//!
//! A process is known by a variable in its environment that names its case,
//! which it has from the shell that ran the command, whatever became of its
//! parents and its group.

use std::path::Path;
use std::time::{Duration, Instant};

/// The variable's name.
pub const MARK: &str = "SAPWOOD_TEST_CASE";

/// How long a killed process may take to be gone from the kernel's list.
const GRACE: Duration = Duration::from_secs(3);

/// What was left, in words; nothing when all is well. What runs is killed.
pub fn find(mark: &str, temporary: &Path) -> Vec<String> {
    let deadline = Instant::now() + GRACE;
    let mut running = processes(mark);
    while !running.is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
        running = processes(mark);
    }
    let mut left: Vec<String> = running
        .iter()
        .map(|(pid, name)| format!("process {pid} ({name}) is still there"))
        .collect();
    for (pid, _) in running {
        kill(pid);
    }
    let files = std::fs::read_dir(temporary).into_iter().flatten().flatten();
    left.extend(files.map(|file| format!("{} is still there", file.path().display())));
    left
}

/// Kills every process of a case.
pub fn kill_all(mark: &str) {
    for (pid, _) in processes(mark) {
        kill(pid);
    }
}

fn kill(pid: u32) {
    let _ = std::process::Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .stderr(std::process::Stdio::null())
        .status();
}

/// The processes that carry the mark, with their names. A process that is dead
/// and not reaped has no environment any more.
fn processes(mark: &str) -> Vec<(u32, String)> {
    let wanted = format!("{MARK}={mark}");
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            let marked = environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == wanted.as_bytes());
            let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
            marked.then(|| (pid, name.trim().to_owned()))
        })
        .collect()
}
