//! Values and expressions, each compared with what gdb prints at the same stop
//! of the same program.
//!
//! A case is a line of `fixtures/values.txt`. Where there is no gdb the test
//! says so and passes: the other tests of values have their answers written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sapwood_dbg::Interrupter;
use sapwood_dbg::expr::{Evaluator, parse};
use sapwood_dbg::native::{Launch, Native};
use sapwood_dbg::stack::{Frame, Frames};
use sapwood_dbg::target::{Happening, Motion, Resume, Target, ThreadId};
use sapwood_dbg::value::format::Format;
use sapwood_dbg::value::print::Style;
use sapwood_dbg::value::{Error, Memo, Reader, Source, abi};
use sapwood_dwarf::{
    Address, Arch, Bytes, Input, Memory, MemoryError, Module, ModuleKind, Modules, Register,
    Registers, Unwinder,
};

/// A program that is stopped in a function.
struct Stopped {
    target: Native,
    thread: ThreadId,
    modules: Modules,
    frames: Vec<Frame>,
}

impl Stopped {
    fn at(program: &Path, function: &str) -> Stopped {
        let launch = Launch::new(program);
        let mut target = Native::launch(&launch, Interrupter::default()).expect("it starts");
        let thread = target.threads()[0];
        let bytes = Bytes::from(std::fs::read(program).expect("it is there"));
        let probe = Input::new(program, ModuleKind::Executable, bytes.clone(), 0);
        let entry = Module::open(probe)
            .expect("an executable")
            .entry()
            .expect("an entry");
        const AT_ENTRY: u64 = 9;
        let bias = target
            .auxiliary(AT_ENTRY)
            .expect("an entry")
            .wrapping_sub(entry.0);
        let input = Input::new(program, ModuleKind::Executable, bytes, bias);
        let module = Module::open(input).expect("an executable");
        let found = module
            .functions(function)
            .into_iter()
            .next()
            .expect("the function");
        let place = module.prologue_end(&found);
        let mut modules = Modules::new();
        modules.add(module);
        target.insert_breakpoint(place).expect("code");
        target
            .resume(Resume {
                thread,
                motion: Motion::Continue,
                others_run: true,
            })
            .expect("it runs");
        loop {
            let event = target.wait().expect("it stops");
            match event.what {
                Happening::Breakpoint(at) => {
                    assert_eq!(at, place);
                    break;
                }
                Happening::Exited(_) | Happening::Killed(_) => panic!("it ended"),
                _ => {
                    let resume = Resume {
                        thread,
                        motion: Motion::Continue,
                        others_run: true,
                    };
                    target.resume(resume).expect("it runs on");
                }
            }
        }
        target.remove_breakpoint(place).expect("it was inserted");
        let mut stopped = Stopped {
            target,
            thread,
            modules,
            frames: Vec::new(),
        };
        stopped.frames = stopped.walk();
        stopped
    }

    fn walk(&mut self) -> Vec<Frame> {
        let registers = registers(&mut self.target, self.thread);
        let mut unwinder = Unwinder::new();
        let mut source = Access {
            target: &mut self.target,
            thread: self.thread,
            sp: None,
        };
        Frames::new(&self.modules, &mut unwinder, &registers, &mut source).collect()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.target.kill();
    }
}

fn registers(target: &mut Native, thread: ThreadId) -> Registers {
    let machine = target.registers(thread).expect("a stopped thread");
    let mut registers = Registers::new(Arch::X86_64);
    for &(number, index) in machine.layout().dwarf {
        registers.set(Register(number), machine.get(index));
    }
    registers.set_pc(machine.pc());
    registers
}

/// What the evaluator asks for, answered by the process.
struct Access<'a> {
    target: &'a mut Native,
    thread: ThreadId,
    /// Where the next allocation on the stack ends.
    sp: Option<u64>,
}

impl Memory for Access<'_> {
    fn read(&mut self, at: Address, into: &mut [u8]) -> Result<(), MemoryError> {
        let len = into.len();
        self.target
            .read(at, into)
            .map_err(|_| MemoryError { at, len })
    }
}

impl Source for Access<'_> {
    fn write(&mut self, at: Address, bytes: &[u8]) -> Result<(), Error> {
        self.target.write(at, bytes).map_err(Error::new)
    }

    fn write_register(&mut self, _: &Frame, register: Register, bytes: &[u8]) -> Result<(), Error> {
        let mut machine = self.target.registers(self.thread).map_err(Error::new)?;
        let layout = machine.layout().dwarf;
        let slot = layout.iter().find(|(number, _)| *number == register.0);
        let (_, index) = slot.ok_or_else(|| Error::new("no such register"))?;
        let bytes = bytes
            .try_into()
            .map_err(|_| Error::new("not eight bytes"))?;
        machine.set(*index, u64::from_le_bytes(bytes));
        self.target
            .set_registers(self.thread, &machine)
            .map_err(Error::new)
    }

    fn thread_pointer(&mut self) -> Option<Address> {
        let machine = self.target.registers(self.thread).ok()?;
        Some(Address(machine.get(sapwood_dbg::registers::x86::FS_BASE)))
    }

    fn allocate(&mut self, bytes: &[u8]) -> Result<Address, Error> {
        let machine = self.target.registers(self.thread).map_err(Error::new)?;
        let sp = self
            .sp
            .unwrap_or(machine.get(sapwood_dbg::registers::x86::RSP) - 4096);
        let at = (sp - bytes.len() as u64) & !15;
        self.sp = Some(at);
        self.write(Address(at), bytes)?;
        Ok(Address(at))
    }

    fn call(&mut self, call: &abi::Call) -> Result<abi::Returned, Error> {
        use sapwood_dbg::registers::x86::*;
        let before = self.target.registers(self.thread).map_err(Error::new)?;
        let vectors = self.target.vector_state(self.thread).map_err(Error::new)?;
        let mut machine = before;
        let top = self.sp.unwrap_or(before.get(RSP) - 4096);
        let room = call.result_in_memory.map(|size| (top - size) & !15);
        let sp = (room.unwrap_or(top) - call.stack.len() as u64) & !15;
        self.write(Address(sp), &call.stack)?;
        let end = before.pc();
        self.write(Address(sp - 8), &end.0.to_le_bytes())?;
        let integers = room.into_iter().chain(call.integers.iter().copied());
        for (slot, value) in [RDI, RSI, RDX, RCX, R8, R9].into_iter().zip(integers) {
            machine.set(slot, value);
        }
        machine.set(RSP, sp - 8);
        machine.set(RAX, call.vectors.len() as u64);
        machine.set(ORIG_RAX, u64::MAX);
        machine.set_pc(call.function);
        let mut passed = vectors.clone();
        for (at, value) in call.vectors.iter().enumerate() {
            passed.0[160 + 16 * at..168 + 16 * at].copy_from_slice(&value.to_le_bytes());
        }
        let failed = Error::new;
        self.target
            .set_vector_state(self.thread, &passed)
            .map_err(failed)?;
        self.target
            .set_registers(self.thread, &machine)
            .map_err(failed)?;
        self.target.insert_breakpoint(end).map_err(failed)?;
        let resume = Resume {
            thread: self.thread,
            motion: Motion::Continue,
            others_run: false,
        };
        self.target.resume(resume).map_err(failed)?;
        let event = self.target.wait().map_err(failed)?;
        assert_eq!(event.what, Happening::Breakpoint(end));
        self.target.remove_breakpoint(end).map_err(failed)?;
        let after = self.target.registers(self.thread).map_err(failed)?;
        let state = self.target.vector_state(self.thread).map_err(failed)?;
        self.target
            .set_registers(self.thread, &before)
            .map_err(failed)?;
        self.target
            .set_vector_state(self.thread, &vectors)
            .map_err(failed)?;
        let mut returned = abi::Returned {
            rax: after.get(RAX),
            rdx: after.get(RDX),
            ..Default::default()
        };
        for (at, xmm) in returned.xmm.iter_mut().enumerate() {
            xmm.copy_from_slice(&state.0[160 + 16 * at..176 + 16 * at]);
        }
        Ok(returned)
    }
}

/// The folder of this test's programs, taken away at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("sapwood-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn compile(&self, compiler: &str, source: &str, options: &[&str]) -> PathBuf {
        let program = self.0.join(format!("{source}{}", options.concat()));
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures")
            .join(source);
        let status = Command::new(compiler)
            .args(options)
            .arg("-o")
            .arg(&program)
            .arg(file)
            .status()
            .expect("a compiler");
        assert!(status.success(), "{compiler} {options:?} {source}");
        program
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn cases(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(file);
    let text = std::fs::read_to_string(path).expect("the cases");
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// What gdb prints for each case; `None` where there is no gdb.
fn gdb(program: &Path, stop: &str, frame: usize, cases: &[String]) -> Option<Vec<String>> {
    const MARK: &str = "@@@";
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-ex", "set debuginfod enabled off"]);
    gdb.args([
        "-ex",
        &format!("break {stop}"),
        "-ex",
        "run",
        "-ex",
        "delete",
    ]);
    gdb.args(["-ex", &format!("frame {frame}")]);
    for case in cases {
        let command = match case.strip_prefix('/') {
            Some(rest) => format!("print/{rest}"),
            None if case.starts_with("ptype ") || case.starts_with("whatis ") => case.clone(),
            None => format!("print {case}"),
        };
        gdb.args(["-ex", &format!("echo {MARK}"), "-ex", &command]);
    }
    gdb.args(["-ex", &format!("echo {MARK}"), "-ex", "kill"])
        .arg(program);
    gdb.env("LC_ALL", "C").stdin(Stdio::null());
    // Errors belong in their place among the answers.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    gdb.stdout(writer.try_clone().expect("a pipe"))
        .stderr(writer);
    let child = gdb.spawn();
    drop(gdb);
    let mut child = child.ok()?;
    let text = std::io::read_to_string(reader).expect("text");
    child.wait().expect("gdb ends");
    let mut parts = text.split(MARK).skip(1);
    let answers = cases.iter().map(|case| {
        let answer = parts
            .next()
            .unwrap_or_else(|| panic!("no answer to {case}: {text}"));
        let lines = answer.lines().filter(|line| !line.starts_with("warning: "));
        let answer = lines.collect::<Vec<_>>().join("\n");
        match answer.split_once(" = ") {
            Some((number, value)) if number.starts_with('$') => value.to_owned(),
            _ => answer,
        }
    });
    Some(answers.collect())
}

fn ours(stopped: &mut Stopped, frame: usize, cases: &[String]) -> Vec<String> {
    let mut memo = Memo::default();
    let mut answers = Vec::new();
    for case in cases {
        stopped.frames = stopped.walk();
        let frame = stopped.frames.get(frame).expect("the frame").clone();
        let mut access = Access {
            target: &mut stopped.target,
            thread: stopped.thread,
            sp: None,
        };
        let reader = Reader {
            modules: &stopped.modules,
            frame: Some(&frame),
            source: &mut access,
        };
        let mut evaluator = Evaluator {
            reader,
            memo: &mut memo,
        };
        let answer = answer(&mut evaluator, case);
        answers.push(answer.unwrap_or_else(|error| error.to_string()));
    }
    answers
}

fn answer(evaluator: &mut Evaluator<'_>, case: &str) -> Result<String, Error> {
    for (word, is_definition) in [("ptype ", true), ("whatis ", false)] {
        let Some(rest) = case.strip_prefix(word) else {
            continue;
        };
        let expr = parse(rest, &evaluator.reader)?;
        let (ty, is_named) = evaluator.type_of_expr(&expr)?;
        let text = match is_definition {
            true => evaluator.reader.ptype(&ty, Default::default())?,
            false => evaluator.reader.whatis(&ty, is_named)?,
        };
        return Ok(format!("type = {text}"));
    }
    let (format, text) = match case.strip_prefix('/') {
        Some(rest) => (
            Format::of(rest.chars().next().expect("a letter")),
            &rest[1..],
        ),
        None => (None, case),
    };
    let value = evaluator.evaluate_text(text)?;
    let value = match evaluator.reader.fetched(&value) {
        Ok(fetched) => fetched,
        Err(error) => {
            // A function has no bytes to be kept.
            let style = Style {
                format,
                ..Style::default()
            };
            return evaluator.reader.show(&value, &style).map_err(|_| error);
        }
    };
    let shown = evaluator.reader.show(
        &value,
        &Style {
            format,
            ..Style::default()
        },
    )?;
    if shown != "void" {
        evaluator.memo.record(value);
    }
    Ok(shown)
}

/// A line without what may differ: gdb gives its program a larger environment,
/// so that the stack lies elsewhere.
fn normal(line: &str) -> String {
    let mut normal = String::new();
    let mut rest = line.trim_end();
    while let Some(at) = rest.find("0x7ff") {
        normal.push_str(&rest[..at]);
        normal.push_str("STACK");
        rest = rest[at + 5..].trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    normal + rest
}

/// The places that differ, as lines to be read.
fn differences(cases: &[String], gdb: &[String], ours: &[String]) -> BTreeMap<String, String> {
    let pairs = cases.iter().zip(gdb.iter().zip(ours));
    pairs
        .filter(|(_, (gdb, ours))| normal(gdb) != normal(ours))
        .map(|(case, (gdb, ours))| {
            (
                case.clone(),
                format!("{case}\n   gdb: {gdb}\n  ours: {ours}"),
            )
        })
        .collect()
}

fn compare(compiler: &str, source: &str, options: &[&str], stop: &str, frame: usize, list: &str) {
    let folder = Folder::new(&format!("{list}-{compiler}-{}", options.concat()));
    let program = folder.compile(compiler, source, options);
    let cases = cases(list);
    let Some(gdb) = gdb(&program, stop, frame, &cases) else {
        println!("skipped: no gdb");
        return;
    };
    let mut stopped = Stopped::at(&program, stop);
    let ours = ours(&mut stopped, frame, &cases);
    let differences = differences(&cases, &gdb, &ours);
    let text: Vec<&str> = differences.values().map(String::as_str).collect();
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        text.len(),
        text.join("\n")
    );
}

#[test]
fn c_values_are_those_of_gdb() {
    compare("cc", "values.c", &["-g", "-O0"], "stop", 1, "values.txt");
}

#[test]
fn c_types_are_those_of_gdb() {
    compare("cc", "values.c", &["-g", "-O0"], "stop", 1, "types.txt");
}

#[test]
fn values_of_a_program_by_clang() {
    if Command::new("clang").arg("--version").output().is_err() {
        println!("skipped: no clang");
        return;
    }
    compare(
        "clang",
        "values.c",
        &["-g", "-O0", "-no-pie"],
        "stop",
        1,
        "values.txt",
    );
}

#[test]
fn calls_give_what_the_functions_return() {
    let folder = Folder::new("calls");
    let program = folder.compile("cc", "values.c", &["-g", "-static"]);
    let mut stopped = Stopped::at(&program, "stop");
    for case in cases("calls.txt") {
        let (expr, expected) = case.rsplit_once(" = ").expect("an answer");
        // A struct's own text has that sign too.
        let (expr, expected) = match case.split_once(" = {") {
            Some((expr, rest)) => (expr, format!("{{{rest}")),
            None => (expr, expected.to_owned()),
        };
        let answers = ours(&mut stopped, 1, &[expr.to_owned()]);
        assert_eq!(answers, [expected], "{expr}");
    }
}

#[test]
fn containers_of_cpp_are_those_of_gdb() {
    if Command::new("g++").arg("--version").output().is_err() {
        println!("skipped: no g++");
        return;
    }
    let options = ["-g", "-O0", "-std=c++17"];
    compare(
        "g++",
        "containers.cpp",
        &options,
        "stop",
        1,
        "containers.txt",
    );
}

#[test]
fn values_of_rust() {
    let folder = Folder::new("rust");
    let options = ["-g", "--edition", "2024", "--crate-name", "containers"];
    let program = folder.compile("rustc", "containers.rs", &options);
    let mut stopped = Stopped::at(&program, "stop");
    let main = stopped.frames.iter().position(|frame| {
        frame
            .function_name()
            .is_some_and(|name| name == "containers::main")
    });
    let main = main.expect("main is on the stack");
    let mut wrong = Vec::new();
    for case in cases("rust.txt") {
        let (expr, expected) = case.split_once(" => ").expect("an answer");
        let answer = ours(&mut stopped, main, &[expr.to_owned()]).remove(0);
        if answer != expected {
            wrong.push(format!("{expr}\n  want {expected}\n  have {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
