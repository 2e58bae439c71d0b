//! Starting a program: what to start, and the steps from `fork` to its first
//! stop, before its first instruction.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::native::process::why_refused;
use crate::native::sys;
use crate::target::{Result, TargetError};

/// What to start, and how.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// The executable; looked up in `PATH` when it has no slash.
    pub program: PathBuf,
    /// What it is to take for its own name; its path, when `None`.
    pub name: Option<OsString>,
    /// Its arguments, its own name not among them.
    pub arguments: Vec<OsString>,
    /// Environment variables to set (or, with `None`, to leave out) on top of ours.
    pub environment: BTreeMap<OsString, Option<OsString>>,
    /// Where to be; here, when `None`.
    pub directory: Option<PathBuf>,
    /// Files to open as standard input, output and error; ours, when `None`.
    pub input: Option<PathBuf>,
    /// See `input`.
    pub output: Option<PathBuf>,
    /// See `input`.
    pub error: Option<PathBuf>,
    /// Whether the kernel may place mappings at random.
    pub randomise: bool,
}

impl Launch {
    /// Starts a program by its path, with ours for all else.
    pub fn new(program: impl Into<PathBuf>) -> Launch {
        Launch {
            program: program.into(),
            ..Launch::default()
        }
    }
}

fn c_string(text: &OsStr) -> Result<CString> {
    CString::new(text.as_bytes())
        .map_err(|_| TargetError::Failed(format!("{}: contains a zero byte", text.display())))
}

/// The file that a shell would execute for this name.
pub fn find_program(program: &Path) -> Result<PathBuf> {
    let absent =
        || TargetError::Failed(format!("{}: No such file or directory.", program.display()));
    if program.as_os_str().as_bytes().contains(&b'/') {
        return program
            .exists()
            .then(|| program.to_owned())
            .ok_or_else(absent);
    }
    if program.is_file() {
        return Ok(Path::new(".").join(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(absent)
}

fn environment(launch: &Launch) -> Result<Vec<CString>> {
    let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for (name, value) in &launch.environment {
        match value {
            Some(value) => variables.insert(name.clone(), value.clone()),
            None => variables.remove(name),
        };
    }
    variables
        .into_iter()
        .map(|(name, value)| {
            let mut pair = name.into_vec();
            pair.push(b'=');
            pair.extend(value.into_vec());
            c_string(&OsString::from_vec(pair))
        })
        .collect()
}

fn redirections(launch: &Launch) -> Result<[Option<File>; 3]> {
    let failed =
        |path: &Path, e: std::io::Error| TargetError::Failed(format!("{}: {e}", path.display()));
    let read = |path: &PathBuf| File::open(path).map_err(|e| failed(path, e));
    let write = |path: &PathBuf| File::create(path).map_err(|e| failed(path, e));
    Ok([
        launch.input.as_ref().map(read).transpose()?,
        launch.output.as_ref().map(write).transpose()?,
        launch.error.as_ref().map(write).transpose()?,
    ])
}

/// Starts the program and gives its process number. It is traced, and stopped
/// just before its first instruction (at the exec event).
///
/// The child waits for a byte before it executes anything, so that it is traced
/// first; a pipe that `execve` closes tells whether that worked.
pub fn start(launch: &Launch) -> Result<i32> {
    let path = find_program(&launch.program)?;
    let full = std::fs::canonicalize(&path)
        .map_err(|e| TargetError::Failed(format!("{}: {e}", path.display())))?;
    let name = launch.name.as_deref().unwrap_or(full.as_os_str());
    let mut arguments = vec![c_string(name)?];
    for argument in &launch.arguments {
        arguments.push(c_string(argument)?);
    }
    let files = redirections(launch)?;
    let directory = launch.directory.as_ref().map(|d| c_string(d.as_os_str()));
    let image = sys::Image {
        path: c_string(full.as_os_str())?,
        arguments,
        environment: environment(launch)?,
        directory: directory.transpose()?,
        stdio: [0, 1, 2].map(|i| files[i].as_ref().map(|f: &File| f.as_raw_fd())),
        randomise: launch.randomise,
    };
    let io = |e: std::io::Error| TargetError::Failed(format!("{}: {e}", full.display()));
    let (go_read, mut go_write) = std::io::pipe().map_err(io)?;
    let (mut failed_read, failed_write) = std::io::pipe().map_err(io)?;
    let process = sys::spawn(&image, go_read.as_raw_fd(), failed_write.as_raw_fd()).map_err(io)?;
    drop((go_read, failed_write));
    let seized = sys::seize(process, sys::OPTIONS | sys::EXIT_KILL);
    if let Err(e) = seized {
        let why = why_refused(process, &e);
        // It has both ends of the pipe, and would wait for ever.
        sys::kill(process, libc::SIGKILL);
        sys::bury(process);
        return Err(TargetError::Failed(format!(
            "cannot trace {}: {why}.",
            full.display()
        )));
    }
    go_write.write_all(&[1]).map_err(io)?;
    drop(go_write);
    loop {
        match sys::wait(process, true).map_err(io)? {
            Some((_, status)) if libc::WIFSTOPPED(status) => {
                if status >> 16 == libc::PTRACE_EVENT_EXEC {
                    return Ok(process);
                }
                sys::proceed(process, 0).map_err(io)?;
            }
            _ => {
                let mut errno = [0; 4];
                let why = match failed_read.read_exact(&mut errno) {
                    Ok(()) => std::io::Error::from_raw_os_error(i32::from_ne_bytes(errno)),
                    Err(_) => std::io::Error::other("died before it could be executed"),
                };
                return Err(io(why));
            }
        }
    }
}
