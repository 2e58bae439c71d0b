//! What `/proc` says of a process.

use std::path::PathBuf;

use crate::target::{Address, Mapping};

/// Every thread of a process.
pub fn threads(process: i32) -> Vec<i32> {
    let mut threads: Vec<i32> = std::fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    threads.sort_unstable();
    threads
}

/// The fields of a `stat` file after the command's name: `[0]` is the state.
fn stat(path: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(path).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Whether a thread has ended but is still listed (a leader whose other threads
/// live on, or a process that its parent has not taken note of).
pub fn is_zombie(process: i32, thread: i32) -> bool {
    stat(&format!("/proc/{process}/task/{thread}/stat"))
        .is_none_or(|fields| matches!(fields.first().map(String::as_str), Some("Z" | "X")))
}

/// The processor a thread ran on last: field 39 of its `stat`.
pub fn last_processor(process: i32, thread: i32) -> Option<usize> {
    stat(&format!("/proc/{process}/task/{thread}/stat"))?
        .get(36)?
        .parse()
        .ok()
}

/// The process that a thread belongs to.
pub fn group_of(thread: i32) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Tgid:"))?;
    line[5..].trim().parse().ok()
}

/// Whether a process has a filter that its system calls must pass: the
/// `Seccomp:` line of its status.
pub fn filters_system_calls(process: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    line.is_some_and(|mode| mode.trim() != "0")
}

/// The value of a line of a process's status.
fn status(process: i32, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim_start_matches(':').trim().to_owned())
}

/// Why the kernel would not let us trace a process, as far as it can be told
/// from outside (ptrace(2), `/proc/PID/status`, Yama's setting).
pub fn why_refused(process: i32, error: &std::io::Error) -> String {
    if error.raw_os_error() == Some(libc::ESRCH) {
        return "No such process".to_owned();
    }
    let tracer = status(process, "TracerPid").and_then(|text| text.parse().ok());
    if let Some(tracer) = tracer.filter(|tracer| *tracer != 0) {
        let name = thread_name(tracer, tracer).unwrap_or_default();
        return format!("it is being traced by process {tracer} ({name}) already");
    }
    if status(process, "State").is_some_and(|state| state.starts_with('Z')) {
        return "it has ended, and its parent has not taken note of that yet".to_owned();
    }
    if status(process, "Kthread").as_deref() == Some("1") {
        return "it is a thread of the kernel's".to_owned();
    }
    if error.raw_os_error() != Some(libc::EPERM) && error.raw_os_error() != Some(libc::EACCES) {
        return error.to_string();
    }
    let effective = |process: i32| {
        let users = status(process, "Uid")?;
        users.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let own = std::process::id() as i32;
    let (theirs, ours) = (effective(process), effective(own));
    if let (Some(theirs), Some(ours)) = (theirs, ours)
        && theirs != ours
        && ours != 0
    {
        return format!("Operation not permitted: it runs as user {theirs}, we as user {ours}");
    }
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    match scope.as_deref().map(str::trim) {
        Ok(scope @ ("1" | "2" | "3")) => format!(
            "Operation not permitted: /proc/sys/kernel/yama/ptrace_scope is {scope}, which allows {}",
            match scope {
                "1" => "tracing descendants only",
                "2" => "tracing by the superuser only",
                _ => "no tracing at all",
            }
        ),
        _ if status(own, "Seccomp").is_some_and(|mode| mode != "0") => {
            "Operation not permitted: a filter of system calls is in force, as in a container"
                .to_owned()
        }
        _ => "Operation not permitted: it may have forbidden that (PR_SET_DUMPABLE), or have privileges that we have not".to_owned(),
    }
}

/// The name of a thread.
pub fn thread_name(process: i32, thread: i32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// The file that a process executes.
pub fn executable(process: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{process}/exe")).ok()
}

/// The name of the command and its arguments.
pub fn command_line(process: i32) -> Option<Vec<String>> {
    let bytes = std::fs::read(format!("/proc/{process}/cmdline")).ok()?;
    let words = bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0);
    Some(
        words
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect(),
    )
}

/// The auxiliary vector.
pub fn auxiliary(process: i32) -> Vec<(u64, u64)> {
    let bytes = std::fs::read(format!("/proc/{process}/auxv")).unwrap_or_default();
    let (words, _) = bytes.as_chunks::<8>();
    let (pairs, _) = words.as_chunks::<2>();
    pairs
        .iter()
        .map(|[key, value]| (u64::from_le_bytes(*key), u64::from_le_bytes(*value)))
        .collect()
}

/// The memory map.
pub fn mappings(process: i32) -> std::io::Result<Vec<Mapping>> {
    let text = std::fs::read(format!("/proc/{process}/maps"))?;
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .filter_map(parse_mapping)
        .collect())
}

fn parse_mapping(line: &str) -> Option<Mapping> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let (flags, rest) = rest.split_once(' ')?;
    let (offset, rest) = rest.split_once(' ')?;
    let mut rest = rest.splitn(3, ' ');
    let (_device, _inode) = (rest.next()?, rest.next()?);
    let flag = |index: usize, letter: u8| flags.as_bytes().get(index) == Some(&letter);
    Some(Mapping {
        start: Address(u64::from_str_radix(start, 16).ok()?),
        end: Address(u64::from_str_radix(end, 16).ok()?),
        permissions: [flag(0, b'r'), flag(1, b'w'), flag(2, b'x'), flag(3, b's')],
        offset: u64::from_str_radix(offset, 16).ok()?,
        name: rest.next().unwrap_or("").trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_maps() {
        let line = "7ffff7dc0000-7ffff7de6000 r--p 00001000 fe:01 1234   /usr/lib/a b.so";
        let mapping = parse_mapping(line).unwrap();
        assert_eq!(mapping.start, Address(0x7fff_f7dc_0000));
        assert_eq!(mapping.permissions, [true, false, false, false]);
        assert_eq!(mapping.offset, 0x1000);
        assert_eq!(mapping.name, "/usr/lib/a b.so");
    }
}
