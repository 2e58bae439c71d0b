//! Stacks unwound out of a core file, beside gdb's backtrace of the same one.

mod common;

use std::path::Path;
use std::process::Command;

use common::{Folder, builds, has};
use sapwood_dwarf::{
    Address, Arch, Bytes, FrameAddress, Input, Memory, MemoryError, Module, ModuleKind, Modules,
    Register, Registers, Unwinder,
};

/// A core file as memory and as the registers of its first thread.
struct Core {
    bytes: Vec<u8>,
    /// Address, file offset and length of each segment.
    segments: Vec<(u64, usize, usize)>,
    registers: Registers,
    /// Path and load address of each mapped file.
    files: Vec<(String, u64)>,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn half(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

impl Core {
    fn read(path: &Path) -> Core {
        let bytes = std::fs::read(path).expect("a core file");
        let (table, count) = (word(&bytes, 32) as usize, usize::from(bytes[56]));
        let mut core = Core {
            segments: Vec::new(),
            registers: Registers::new(Arch::X86_64),
            files: Vec::new(),
            bytes,
        };
        for index in 0..count {
            let at = table + 56 * index;
            let kind = half(&core.bytes, at);
            let offset = word(&core.bytes, at + 8) as usize;
            let len = word(&core.bytes, at + 32) as usize;
            match kind {
                1 => core
                    .segments
                    .push((word(&core.bytes, at + 16), offset, len)),
                4 => core.notes(offset, len),
                _ => {}
            }
        }
        core
    }

    fn notes(&mut self, start: usize, len: usize) {
        let mut at = start;
        while at + 12 <= start + len {
            let (name, size) = (half(&self.bytes, at), half(&self.bytes, at + 4));
            let kind = half(&self.bytes, at + 8);
            let text = at + 12 + name.next_multiple_of(4);
            match kind {
                1 if self.registers.pc().is_none() => self.status(text + 112),
                0x4649_4c45 => self.mapped(text),
                _ => {}
            }
            at = text + size.next_multiple_of(4);
        }
    }

    /// `struct user_regs_struct`, by DWARF number.
    fn status(&mut self, at: usize) {
        const ORDER: [u16; 17] = [15, 14, 13, 12, 6, 3, 11, 10, 9, 8, 0, 2, 1, 4, 5, 99, 16];
        for (index, number) in ORDER.into_iter().enumerate() {
            self.registers
                .set(Register(number), word(&self.bytes, at + 8 * index));
        }
        self.registers
            .set(Register(7), word(&self.bytes, at + 8 * 19));
    }

    fn mapped(&mut self, at: usize) {
        let count = word(&self.bytes, at) as usize;
        let mut name = at + 16 + 24 * count;
        for index in 0..count {
            let entry = at + 16 + 24 * index;
            let end = name
                + self.bytes[name..]
                    .iter()
                    .position(|&b| b == 0)
                    .expect("an end");
            let path = String::from_utf8_lossy(&self.bytes[name..end]).into_owned();
            name = end + 1;
            if word(&self.bytes, entry + 16) == 0 {
                self.files.push((path, word(&self.bytes, entry)));
            }
        }
    }

    fn modules(&self) -> Modules {
        let mut modules = Modules::new();
        for (path, start) in &self.files {
            let Ok(bytes) = std::fs::read(path) else {
                continue;
            };
            let is_position_independent = bytes[16] == 3;
            let bias = if is_position_independent { *start } else { 0 };
            let input = Input::new(path, ModuleKind::Library, Bytes::from(bytes), bias);
            if let Ok(module) = Module::open(input) {
                modules.add(module);
            }
        }
        modules
    }
}

impl Memory for Core {
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<(), MemoryError> {
        let len = into.len();
        for &(start, offset, size) in &self.segments {
            if at.0 >= start && at.0 + len as u64 <= start + size as u64 {
                let from = offset + (at.0 - start) as usize;
                into.copy_from_slice(&self.bytes[from..from + len]);
                return Ok(());
            }
        }
        Err(MemoryError { at, len })
    }
}

/// The function of each frame, inlined ones too, and the value of rbx and rbp.
fn ours(core: &Path) -> Vec<String> {
    let mut core = Core::read(core);
    let modules = core.modules();
    let mut unwinder = Unwinder::new();
    let mut registers = core.registers.clone();
    let mut at = FrameAddress::InstructionPointer(registers.pc().expect("a pc"));
    let mut frames = Vec::new();
    loop {
        let found = modules.at(at.lookup());
        let sources = found.map_or(Vec::new(), |(_, module)| module.inlined_at(at.lookup()));
        for source in &sources {
            frames.push(source.function.name.clone());
        }
        if sources.is_empty() {
            let symbol = found.and_then(|(_, module)| module.symbol_at(at.lookup()));
            frames.push(symbol.map_or("??".into(), |(symbol, _)| symbol.name.to_owned()));
        }
        assert!(frames.len() < 100, "{frames:?}");
        match unwinder
            .step(&modules, at, &registers, &mut core)
            .expect("it unwinds")
            .caller
        {
            Some((next, caller)) => (at, registers) = (next, caller),
            None => return frames,
        }
    }
}

/// Runs a program up to a function under gdb, which writes a core file and its
/// own backtrace.
fn gdb(program: &Path, stop: &str, core: &Path) -> Vec<String> {
    let output = Command::new("gdb")
        .args(["-nx", "-batch", "-ex", "handle SIGUSR1 nostop noprint pass"])
        .args(["-ex", "set debuginfod enabled off"])
        .args([
            "-ex",
            "set backtrace past-main on",
            "-ex",
            "set backtrace past-entry on",
        ])
        .args([
            "-ex",
            &format!("break {stop}"),
            "-ex",
            "run",
            "-ex",
            "echo @@@",
        ])
        .args(["-ex", "backtrace", "-ex", "echo @@@"])
        .args([
            "-ex",
            &format!("generate-core-file {}", core.display()),
            "-ex",
            "kill",
        ])
        .arg(program)
        .output()
        .expect("gdb");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let trace = text.split("@@@").nth(1).unwrap_or_else(|| panic!("{text}"));
    let frames = trace.lines().filter(|line| line.starts_with('#'));
    let functions = frames.map(|line| {
        if line.contains("<signal handler called>") {
            return "__restore_rt".to_owned();
        }
        let rest = line
            .split_once("  ")
            .map_or(line, |(_, rest)| rest)
            .trim_start();
        let rest = rest
            .strip_prefix("0x")
            .and_then(|r| r.split_once(" in "))
            .map_or(rest, |r| r.1);
        rest.split(" (").next().unwrap_or_default().to_owned()
    });
    functions.collect()
}

fn check(
    source: &str,
    stop: &str,
    compiler: &str,
    options: &[&str],
    folder: &Folder,
    index: usize,
) {
    let program = folder.compile(compiler, source, options, &format!("program{index}"));
    let core = folder.0.join(format!("core{index}"));
    let gdb = gdb(&program, stop, &core);
    assert!(gdb.len() > 2, "{compiler} {options:?}: {gdb:?}");
    let ours = ours(&core);
    // What the C library's own frames are called depends on whether its debug
    // information is installed; those of the fixture have one name.
    let module = common::open(&program, 0);
    let of_fixture = |frames: &[String]| -> Vec<String> {
        let named = frames
            .iter()
            .filter(|name| !module.functions(name).is_empty());
        named.cloned().collect()
    };
    let (theirs, mine) = (of_fixture(&gdb), of_fixture(&ours));
    assert!(theirs.len() >= 2, "{compiler} {options:?}: {gdb:?}");
    assert_eq!(
        theirs, mine,
        "{compiler} {options:?}\n gdb {gdb:?}\nours {ours:?}"
    );
    let last = ours.last().map(String::as_str);
    assert_eq!(last, Some("_start"), "{compiler} {options:?}: {ours:?}");
}

#[test]
fn stacks_are_those_of_gdb() {
    if !has("gdb") {
        return;
    }
    let folder = Folder::new("unwinding");
    for (index, (compiler, options)) in builds().into_iter().enumerate().step_by(3) {
        check("shapes.c", "sum", compiler, &options, &folder, index);
    }
}

#[test]
fn a_signal_frame_is_walked_through() {
    if !has("gdb") {
        return;
    }
    let folder = Folder::new("signals");
    let options: [&[&str]; 2] = [&["-g", "-O0"], &["-g", "-O2", "-static"]];
    for (index, options) in options.into_iter().enumerate() {
        check("signal.c", "handle", "cc", options, &folder, index);
    }
}
