//! `execve`: programs of the guest's architecture go on being emulated, by
//! running ourselves again; those of the host run on the host.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::addr::GuestAddr;
use crate::elf;
use crate::errno::Errno;
use crate::linux::host::{self, Argument};
use crate::linux::paths::{self, LastLink};
use crate::linux::signal::HANDLER_IGNORE;
use crate::linux::system_call::Call;
use crate::linux::thread::Process;
use crate::linux::tracing::Traced;

/// Linux bounds arguments and environment together to a quarter of the stack's
/// limit, mostly 2 MiB, and at most 6 MiB.
const MOST_BYTES: usize = 6 << 20;
/// One argument is at most 32 pages.
const LONGEST: usize = 32 * 4096;
/// How many scripts may name one another as interpreters.
const MOST_SCRIPTS: usize = 5;
/// What the kernel looks at to tell what a file is.
const START: usize = 256;

/// `execve(path, arguments, environment)`
pub fn execve(call: &mut Call<'_>) -> Result<u64, Errno> {
    let path = call.memory().c_string(call.address(0))?;
    execute(call, path, 1)
}

/// `execveat(directory, path, arguments, environment, flags)`
pub fn execveat(call: &mut Call<'_>) -> Result<u64, Errno> {
    let path = call.memory().c_string(call.address(1))?;
    let directory = call.int(0);
    if call.int(4) & !(libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = if path.starts_with(b"/") || (directory == libc::AT_FDCWD && !path.is_empty()) {
        path
    } else if path.is_empty() && call.int(4) & libc::AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT);
    } else {
        // The descriptor may be closed by the exec, so its file is named.
        let base = std::fs::read_link(format!("/proc/thread-self/fd/{directory}"))
            .map_err(|_| Errno::EBADF)?;
        let base = call
            .process()
            .options
            .files
            .to_guest(base.as_os_str().as_bytes());
        match path.is_empty() {
            true => base,
            false => [&base, &b"/"[..], &path].concat(),
        }
    };
    execute(call, path, 2)
}

fn execute(call: &mut Call<'_>, path: Vec<u8>, first_argument: usize) -> Result<u64, Errno> {
    let mut room = MOST_BYTES;
    let arguments = strings(call, call.address(first_argument), &mut room)?;
    let environment = strings(call, call.address(first_argument + 1), &mut room)?;
    let process = call.process();
    let plan = plan(process, path, arguments)?;
    let (program, arguments, environment) = match plan {
        Plan::Host { program, arguments } => (program, arguments, environment),
        Plan::Guest { program, arguments } => {
            let traced = call.thread.traced;
            emulated(process, traced, program, arguments, environment)
        }
    };
    let program = c_string(program)?;
    let arguments = arguments
        .into_iter()
        .map(c_string)
        .collect::<Result<Vec<_>, _>>()?;
    let environment = environment
        .into_iter()
        .map(c_string)
        .collect::<Result<Vec<_>, _>>()?;
    process.keep_translations();
    process.give_back_stack();
    // The new program inherits the mask, with the signals that only the guest
    // blocks.
    let error = host::with_exact_mask(call.thread.mask, || {
        host::execute(&program, &arguments, &environment)
    });
    Err(error)
}

fn c_string(bytes: Vec<u8>) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

/// A list of strings that ends with a null pointer.
fn strings(call: &Call<'_>, at: GuestAddr, room: &mut usize) -> Result<Vec<Vec<u8>>, Errno> {
    let mut strings = Vec::new();
    if at.0 == 0 {
        return Ok(strings);
    }
    for index in 0.. {
        let pointer: u64 = call.memory().read(at.add(index * 8))?;
        if pointer == 0 {
            break;
        }
        let string = call
            .memory()
            .c_string_within(GuestAddr(pointer), LONGEST)?
            .ok_or(Errno::E2BIG)?;
        *room = room.checked_sub(string.len() + 1 + 8).ok_or(Errno::E2BIG)?;
        strings.push(string);
    }
    Ok(strings)
}

/// Who runs a program.
enum Plan {
    /// The host, which is given this path and these arguments.
    Host {
        program: Vec<u8>,
        arguments: Vec<Vec<u8>>,
    },
    /// The emulator, which is.
    Guest {
        program: Vec<u8>,
        arguments: Vec<Vec<u8>>,
    },
}

/// Finds out what a file is, through scripts' interpreters, as the kernel does.
fn plan(process: &Process, path: Vec<u8>, arguments: Vec<Vec<u8>>) -> Result<Plan, Errno> {
    let asked = paths::to_host(process, libc::AT_FDCWD, path.clone(), LastLink::Followed);
    let asked_arguments = arguments.clone();
    let (mut program, mut arguments) = (path, arguments);
    for _ in 0..MOST_SCRIPTS {
        let host_path =
            paths::to_host(process, libc::AT_FDCWD, program.clone(), LastLink::Followed);
        let start = start_of(&host_path)?;
        if elf::machine_of(&start) == Some(process.abi.machine()) {
            return Ok(Plan::Guest {
                program: process.options.files.to_program(host_path),
                arguments,
            });
        }
        let Some((interpreter, argument)) = script_line(&start) else {
            // The host's own kernel goes through scripts by itself.
            return Ok(Plan::Host {
                program: asked,
                arguments: asked_arguments,
            });
        };
        let rest = arguments.into_iter().skip(1);
        arguments = [interpreter.clone()]
            .into_iter()
            .chain(argument)
            .chain([program])
            .chain(rest)
            .collect();
        program = interpreter;
    }
    Err(Errno::ELOOP)
}

/// The first bytes of a file that may be executed.
fn start_of(path: &[u8]) -> Result<Vec<u8>, Errno> {
    let path = PathBuf::from(OsString::from_vec(path.to_vec()));
    let terminated = c_string(path.as_os_str().as_bytes().to_vec())?;
    let arguments = &mut [
        Argument::Value(libc::AT_FDCWD as u64),
        Argument::In(terminated.as_bytes_with_nul()),
        Argument::Value(libc::X_OK as u64),
    ];
    host::uninterrupted(libc::SYS_faccessat, arguments)?;
    let metadata = std::fs::metadata(&path)?;
    if !metadata.is_file() {
        return Err(Errno::EACCES);
    }
    let mut start = Vec::new();
    match File::open(&path) {
        Ok(file) => file.take(START as u64).read_to_end(&mut start)?,
        // A file that may be executed and not read can only be the host's.
        Err(_) => 0,
    };
    Ok(start)
}

/// The interpreter that a script's first line names, and its one argument.
fn script_line(start: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let line = start.strip_prefix(b"#!")?;
    let line = line
        .split(|&byte| byte == b'\n' || byte == 0)
        .next()?
        .trim_ascii();
    let end = line
        .iter()
        .position(|byte| b" \t".contains(byte))
        .unwrap_or(line.len());
    let (interpreter, argument) = line.split_at(end);
    let argument = argument.trim_ascii();
    if interpreter.is_empty() {
        return None;
    }
    Some((
        interpreter.to_vec(),
        (!argument.is_empty()).then(|| argument.to_vec()),
    ))
}

type CommandLine = (Vec<u8>, Vec<Vec<u8>>, Vec<Vec<u8>>);

/// The command line by which the emulator runs a program. Variables that the
/// host's C library would heed are handed over as arguments.
fn emulated(
    process: &Process,
    traced: Option<Traced>,
    program: Vec<u8>,
    arguments: Vec<Vec<u8>>,
    environment: Vec<Vec<u8>>,
) -> CommandLine {
    let is_heeded = |variable: &Vec<u8>| {
        [&b"LD_"[..], b"GLIBC_", b"MALLOC_"]
            .iter()
            .any(|prefix| variable.starts_with(prefix))
    };
    let (heeded, environment): (Vec<_>, Vec<_>) = environment.into_iter().partition(is_heeded);
    let mut command: Vec<Vec<u8>> = process
        .options
        .command
        .iter()
        .map(|word| word.as_bytes().to_vec())
        .collect();
    for variable in heeded {
        command.extend([b"-E".to_vec(), variable]);
    }
    command.push(b"--child".to_vec());
    if let Some(traced) = traced {
        command.extend([b"--traced".to_vec(), traced.to_text().into_bytes()]);
    }
    if process.action(libc::SIGPIPE).handler == HANDLER_IGNORE {
        command.push(b"--ignore-sigpipe".to_vec());
    }
    for fd in 0..=2 {
        let asked = &mut [Argument::Value(fd), Argument::Value(libc::F_GETFD as u64)];
        // Closed by the exec counts as closed.
        if host::uninterrupted(libc::SYS_fcntl, asked) != Ok(0) {
            command.extend([b"--closed".to_vec(), fd.to_string().into_bytes()]);
        }
    }
    let mut arguments = arguments.into_iter();
    command.push(b"--argv0".to_vec());
    command.push(arguments.next().unwrap_or_default());
    command.push(b"--".to_vec());
    command.push(program);
    command.extend(arguments);
    (b"/proc/thread-self/exe".to_vec(), command, environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(start: &str) -> Option<(String, Option<String>)> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        script_line(start.as_bytes()).map(|(name, argument)| (text(name), argument.map(text)))
    }

    #[test]
    fn script_lines_are_split_as_the_kernel_does() {
        assert_eq!(line("#!/bin/sh\necho"), Some(("/bin/sh".into(), None)));
        assert_eq!(
            line("#! /bin/sh -e -x \n"),
            Some(("/bin/sh".into(), Some("-e -x".into())))
        );
        assert_eq!(line("#!\n"), None);
        assert_eq!(line("echo"), None);
    }
}
