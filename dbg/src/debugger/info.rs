//! `info`: what is known, put into events.

use std::fmt::Write;

use super::{Debugger, Events};
use crate::command::{Catch, Info, Spec};
use crate::error::{Error, Result};
use crate::event::{Event, RegisterView};
use crate::registers::{Registers, VectorState};
use crate::signal::{Dispositions, SIGNALS, Signal};
use crate::target::Address;
use crate::value::demangled;

/// Names of x86-64's flag bits.
const FLAGS: &[(u32, &str)] = &[
    (0, "CF"),
    (2, "PF"),
    (4, "AF"),
    (6, "ZF"),
    (7, "SF"),
    (8, "TF"),
    (9, "IF"),
    (10, "DF"),
    (11, "OF"),
];

/// What a catchpoint catches.
pub(super) fn catch_text(what: &Catch) -> String {
    let list = |names: Vec<String>| match names.is_empty() {
        true => "<any>".to_owned(),
        false => names.join(" "),
    };
    match what {
        Catch::Syscalls(names) => format!("syscall {}", list(names.clone())),
        Catch::Fork => "fork".to_owned(),
        Catch::Vfork => "vfork".to_owned(),
        Catch::Exec => "exec".to_owned(),
        Catch::Throw => "throw".to_owned(),
        Catch::CatchException => "catch".to_owned(),
        Catch::Rethrow => "rethrow".to_owned(),
        Catch::Panic => "panic".to_owned(),
        Catch::Load(part) => format!("load {part}").trim_end().to_owned(),
        Catch::Unload(part) => format!("unload {part}").trim_end().to_owned(),
        Catch::Signals(these) => {
            format!("signal {}", list(these.iter().map(|s| s.name()).collect()))
        }
    }
}

/// The table of signals, or rows of it.
pub(super) fn signal_table(table: &Dispositions, which: &[Signal]) -> String {
    let mut text = "Signal        Stop\tPrint\tPass to program\tDescription\n".to_owned();
    let yes = |yes: bool| if yes { "Yes" } else { "No" };
    for signal in which {
        let row = table.get(*signal);
        let _ = writeln!(
            text,
            "{:<13} {}\t{}\t{}\t\t{}",
            signal.name(),
            yes(row.stop),
            yes(row.print),
            yes(row.pass),
            signal.meaning()
        );
    }
    text
}

fn flags_text(value: u64) -> String {
    let set: Vec<&str> = FLAGS
        .iter()
        .filter(|(bit, _)| value >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    format!("[ {} ]", set.join(" "))
}

/// A number from little-endian bytes, in hexadecimal.
fn hexadecimal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().rev().map(|b| format!("{b:02x}")).collect();
    let digits = digits.trim_start_matches('0');
    format!("0x{}", if digits.is_empty() { "0" } else { digits })
}

fn vector_views(state: &VectorState) -> Vec<RegisterView> {
    let xmm = (0..16).filter_map(|n| Some((format!("xmm{n}"), state.xmm(n)?.to_vec())));
    let st = (0..8).filter_map(|n| Some((format!("st{n}"), state.st(n)?.to_vec())));
    let mxcsr = state
        .mxcsr()
        .map(|v| ("mxcsr".to_owned(), v.to_le_bytes().to_vec()));
    st.chain(xmm)
        .chain(mxcsr)
        .map(|(name, bytes)| {
            let natural = match <[u8; 16]>::try_from(&bytes[..]) {
                Ok(bytes) => {
                    let (low, high) = bytes.split_at(8);
                    let double = |b: &[u8]| f64::from_le_bytes(b.try_into().unwrap_or_default());
                    format!("{{{}, {}}}", double(low), double(high))
                }
                Err(_) => String::new(),
            };
            RegisterView {
                name,
                raw: hexadecimal(&bytes),
                natural,
            }
        })
        .collect()
}

impl Debugger {
    /// `info`.
    pub(super) fn info(&mut self, what: &Info, events: Events<'_>) -> Result<()> {
        let text = match what {
            Info::Breakpoints => {
                let ids: Vec<_> = self.breakpoints.iter().map(|b| b.id).collect();
                let views: Result<Vec<_>> =
                    ids.into_iter().map(|id| self.breakpoint_view(id)).collect();
                events(Event::Breakpoints(views?));
                return Ok(());
            }
            Info::Registers(names, all) => return self.info_registers(names, *all, events),
            Info::Threads => return self.info_threads(events),
            Info::Locals => {
                let frame = self.selected_frame()?;
                let views = self.local_views(&frame);
                events(Event::Variables(views, "locals"));
                return Ok(());
            }
            Info::Args => {
                let frame = self.selected_frame()?;
                let views = self.argument_views(&frame);
                events(Event::Variables(views, "arguments"));
                return Ok(());
            }
            Info::Generations => return self.info_generations(events),
            Info::Image => self.image_text()?,
            Info::Display => self.displays_text(),
            Info::Frame => self.frame_text()?,
            Info::SharedLibraries => self.libraries_text(),
            Info::Line(spec) => self.line_text(spec.as_ref())?,
            Info::Symbol(expression) => self.symbol_text(expression)?,
            Info::Source => self.source_text()?,
            Info::Signals(None) => {
                let all: Vec<Signal> = (1..SIGNALS).map(Signal).collect();
                signal_table(&self.signals, &all)
            }
            Info::Signals(Some(signal)) => signal_table(&self.signals, &[*signal]),
            Info::Process => self.process_text()?,
            Info::Mappings => self.mappings_text()?,
            Info::Files => self.files_text(),
            Info::Functions(part) => self.functions_text(part.as_deref()),
            Info::Variables(part) => self.variables_text(part.as_deref()),
            Info::Program => self.program_text()?,
        };
        events(Event::Text(text));
        Ok(())
    }

    /// The selected frame, with gdb's words where there is none.
    fn selected_frame(&mut self) -> Result<crate::stack::Frame> {
        self.thread()
            .map_err(|_| Error::new("No frame selected."))?;
        self.current_frame()
    }

    /// An address with the symbol it lies in: `<main+4>`.
    pub(super) fn symbol_of(&self, at: Address) -> Option<(String, u64)> {
        let (_, module) = self.modules.at(at)?;
        if let Some(function) = module.function_at(at)
            && let Some(offset) = function.entry.and_then(|entry| at.past(entry))
        {
            return Some((function.name.clone(), offset));
        }
        let (symbol, offset) = module.symbol_at(at)?;
        Some((demangled(symbol.name).into_owned(), offset))
    }

    fn info_registers(&mut self, names: &[String], all: bool, events: Events<'_>) -> Result<()> {
        let thread = self
            .thread()
            .map_err(|_| Error::new("The program has no registers now."))?;
        let target = self.live()?;
        let registers = target.registers(thread)?;
        let vectors = target.vector_state(thread).ok();
        let mut views = self.register_views(&registers);
        let wide = vectors.as_ref().map(vector_views).unwrap_or_default();
        if names.is_empty() {
            views.extend(wide.into_iter().filter(|_| all));
            events(Event::Registers(views));
            return Ok(());
        }
        views.extend(wide);
        let mut chosen = Vec::new();
        for name in names {
            let full = registers
                .index_of(name)
                .map_or(name.as_str(), |index| registers.layout().names[index]);
            let view = views.iter().find(|view| view.name == full);
            let view = view.ok_or_else(|| Error::new(format!("Invalid register `{name}'")))?;
            chosen.push(RegisterView {
                name: name.clone(),
                ..view.clone()
            });
        }
        events(Event::Registers(chosen));
        Ok(())
    }

    fn register_views(&self, registers: &Registers) -> Vec<RegisterView> {
        let layout = registers.layout();
        (0..layout.shown)
            .map(|index| {
                let value = registers.get(index);
                let name = layout.names[index];
                let natural = match name {
                    "eflags" => flags_text(value),
                    _ if index == layout.pc => match self.symbol_of(Address(value)) {
                        Some((symbol, 0)) => format!("{value:#x} <{symbol}>"),
                        Some((symbol, offset)) => format!("{value:#x} <{symbol}+{offset}>"),
                        None => format!("{value:#x}"),
                    },
                    _ if index == layout.sp || index == layout.fp => format!("{value:#x}"),
                    _ => (value as i64).to_string(),
                };
                RegisterView {
                    name: name.to_owned(),
                    raw: format!("{value:#x}"),
                    natural,
                }
            })
            .collect()
    }

    fn frame_text(&mut self) -> Result<String> {
        self.thread().map_err(|_| Error::new("No stack."))?;
        let frame = self.current_frame()?;
        let caller = self.frame_at(self.level + 1).ok();
        let mut text = String::new();
        let name = frame.function_name().unwrap_or("??");
        let cfa = frame.cfa.unwrap_or_default();
        let _ = writeln!(text, "Stack level {}, frame at {cfa:#x}:", frame.level);
        let _ = write!(text, " rip = {:#x} in {name}", frame.pc());
        if let Some(file) = frame.file.as_ref().filter(|_| frame.line != 0) {
            let _ = write!(text, " ({}:{})", file.display(), frame.line);
        }
        if let Some(caller) = caller {
            let _ = write!(text, "; saved rip = {:#x}", caller.pc());
            let _ = write!(
                text,
                "\n called by frame at {:#x}",
                caller.cfa.unwrap_or_default()
            );
        }
        text.push('\n');
        if frame.is_inlined {
            text.push_str(" inlined into the next frame\n");
        }
        Ok(text)
    }

    fn libraries_text(&self) -> String {
        if self.libraries.is_empty() {
            return "No shared libraries loaded at this time.\n".to_owned();
        }
        let mut text =
            "From                To                  Syms Read   Shared Object Library\n"
                .to_owned();
        for (library, id) in &self.libraries {
            let module = id.and_then(|id| self.modules.get(id));
            let range =
                module.and_then(|m| Some((m.ranges().first()?.start, m.ranges().last()?.end)));
            let (from, to) = range.unwrap_or_default();
            let read = match module {
                Some(module) if module.has_debug_info() => "Yes",
                Some(_) => "Yes (*)",
                None => "No",
            };
            let _ = writeln!(
                text,
                "{:#018x}  {:#018x}  {read:<11} {}",
                from.0,
                to.0,
                library.name.display()
            );
        }
        text
    }

    fn line_text(&mut self, spec: Option<&Spec>) -> Result<String> {
        let places = match spec {
            None => vec![self.one_place(&Spec::Here)?],
            Some(spec) => self.places(spec)?,
        };
        if places.is_empty() {
            return Err(self.nothing_matches(spec.unwrap_or(&Spec::Here)));
        }
        let mut text = String::new();
        for place in places {
            let row = self
                .modules
                .at(place.address)
                .and_then(|(_, module)| module.line_at(place.address));
            let _ = match row {
                Some(row) => {
                    let symbol = |at: Address| match self.symbol_of(at) {
                        Some((name, offset)) => format!("{at:#x} <{name}+{offset}>"),
                        None => format!("{at:#x}"),
                    };
                    writeln!(
                        text,
                        "Line {} of \"{}\" starts at address {} and ends at {}.",
                        row.line,
                        row.file.display(),
                        symbol(row.range.start),
                        symbol(row.range.end)
                    )
                }
                None => writeln!(
                    text,
                    "No line number information available for address {:#x}",
                    place.address
                ),
            };
        }
        Ok(text)
    }

    fn symbol_text(&mut self, expression: &str) -> Result<String> {
        let at = self.evaluate_address(expression)?;
        let found = self.modules.at(at).and_then(|(_, module)| {
            let (symbol, offset) = module.symbol_at(at)?;
            Some((
                demangled(symbol.name).into_owned(),
                offset,
                module.name().to_owned(),
            ))
        });
        let Some((name, offset, module)) = found else {
            return Err(Error::new(format!("No symbol matches {expression}.")));
        };
        let section = match self.executable.and_then(|id| self.modules.get(id)) {
            Some(program) if program.name() == module => String::new(),
            _ => format!(" of {}", module.display()),
        };
        Ok(match offset {
            0 => format!("{name}{section}\n"),
            offset => format!("{name} + {offset}{section}\n"),
        })
    }

    fn source_text(&mut self) -> Result<String> {
        let (file, line) = self.current_line()?;
        let lines = self.sources.text(&file);
        let mut text = format!("Current source file is {}, line {line}\n", file.display());
        let _ = match lines {
            Ok(lines) => writeln!(text, "Contains {} lines.", lines.len()),
            Err(why) => writeln!(text, "It cannot be read: {why}."),
        };
        Ok(text)
    }

    fn process_text(&mut self) -> Result<String> {
        let target = self.live()?;
        let process = target.process();
        let executable = target.executable().unwrap_or_default();
        let link = |name| std::fs::read_link(format!("/proc/{process}/{name}"));
        let directory = link("cwd").unwrap_or_default();
        let mut text = format!("process {process}\n");
        let _ = writeln!(text, "cwd = '{}'", directory.display());
        let _ = writeln!(text, "exe = '{}'", executable.display());
        Ok(text)
    }

    fn mappings_text(&mut self) -> Result<String> {
        let mappings = self.live()?.mappings()?;
        let mut text = format!(
            "{:>18} {:>18} {:>10} {:>10}  Perms  File\n",
            "Start Addr", "End Addr", "Size", "Offset"
        );
        for mapping in mappings {
            let [read, write, execute, shared] = mapping.permissions;
            let letter = |is: bool, letter| if is { letter } else { '-' };
            let _ = writeln!(
                text,
                "{:#18x} {:#18x} {:#10x} {:#10x}  {}{}{}{}   {}",
                mapping.start.0,
                mapping.end.0,
                mapping.end.0 - mapping.start.0,
                mapping.offset,
                letter(read, 'r'),
                letter(write, 'w'),
                letter(execute, 'x'),
                if shared { 's' } else { 'p' },
                mapping.name
            );
        }
        Ok(text)
    }

    fn files_text(&self) -> String {
        let mut text = String::new();
        for (_, module) in self.modules.iter() {
            let _ = writeln!(text, "{}", module.name().display());
            for (name, range) in module.sections() {
                let _ = writeln!(
                    text,
                    "\t{:#018x} - {:#018x} is {name}",
                    range.start.0, range.end.0
                );
            }
        }
        text
    }

    fn functions_text(&self, part: Option<&str>) -> String {
        let wanted = |name: &str| part.is_none_or(|part| name.contains(part));
        let mut text = String::new();
        for (_, module) in self.modules.iter() {
            for name in module.function_names().into_iter().filter(|n| wanted(n)) {
                let _ = writeln!(text, "{name}");
            }
        }
        text
    }

    fn variables_text(&self, part: Option<&str>) -> String {
        let wanted = |name: &str| part.is_none_or(|part| name.contains(part));
        let mut text = String::new();
        for (_, module) in self.modules.iter() {
            for symbol in module.symbols() {
                if symbol.kind == sapwood_dwarf::SymbolKind::Data && wanted(symbol.name) {
                    let _ = writeln!(text, "{:#018x}  {}", symbol.address.0, symbol.name);
                }
            }
        }
        text
    }

    fn program_text(&mut self) -> Result<String> {
        let process = self.live()?.process();
        let pc = self.frame_at(0)?.pc();
        Ok(format!(
            "process {process}\nProgram stopped at {:#x}.\n",
            pc.0
        ))
    }
}
