//! `info`: what is known, put into events.

use std::fmt::Write;

use super::{Debugger, Events};
use crate::command::{Catch, Info};
use crate::error::{Error, Result};
use crate::event::{Event, StopReason};
use crate::signal::{Dispositions, SIGNALS, Signal};
use crate::target::Address;
use crate::value::{Type, Value, demangled};

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

impl Debugger {
    /// `info`.
    pub(super) fn info(&mut self, what: &Info, events: Events<'_>) -> Result<()> {
        let text = match what {
            Info::Breakpoints => {
                let ids: Vec<_> = self.breakpoints.iter().map(|b| b.id).collect();
                let views: Result<Vec<_>> =
                    ids.into_iter().map(|id| self.breakpoint_view(id)).collect();
                let views = views?;
                let places = views.iter().flat_map(|view| &view.places);
                if let Some(last) = places.last() {
                    let at = last.address.0.to_le_bytes();
                    let pointer = Value::computed(Type::Void.pointer(), at);
                    self.set_own_variable("_", pointer);
                }
                events(Event::Breakpoints(views));
                return Ok(());
            }
            Info::Registers(names, all) => return self.info_registers(names, *all, events),
            Info::Threads => return self.info_threads(events),
            Info::Locals => {
                let frame = self.selected_frame()?;
                let views = self.local_views(&frame, 0);
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
            Info::Address(name) => self.address_of_name(name)?,
            Info::AuxiliaryVector => self.auxiliary_text()?,
            Info::ProcessFile(name) => self.process_file(name)?,
            Info::Source => self.source_text()?,
            Info::Signals(None) => {
                let all: Vec<Signal> = (1..SIGNALS).map(Signal).collect();
                signal_table(&self.signals, &all)
            }
            Info::Signals(Some(signal)) => signal_table(&self.signals, &[*signal]),
            Info::Process => self.process_text()?,
            Info::Mappings => self.mappings_text()?,
            Info::Files => self.files_text(),
            Info::Functions(pattern) => self.functions_text(pattern.as_deref())?,
            Info::Variables(pattern) => self.variables_text(pattern.as_deref())?,
            Info::Types(pattern) => self.types_text(pattern.as_deref())?,
            Info::Sources(pattern) => self.sources_text(pattern.as_deref())?,
            Info::Scope(spec) => self.scope_text(spec)?,
            Info::Float => self.float_text()?,
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

    fn process_text(&mut self) -> Result<String> {
        let target = self.live()?;
        let process = target.process();
        let executable = target.executable().unwrap_or_default();
        let link = |name| std::fs::read_link(format!("/proc/{process}/{name}"));
        let directory = link("cwd").unwrap_or_default();
        let words = target.command_line().unwrap_or_default();
        let mut text = format!("process {process}\ncmdline = '{}'\n", words.join(" "));
        let _ = writeln!(text, "cwd = '{}'", directory.display());
        let _ = writeln!(text, "exe = '{}'", executable.display());
        Ok(text)
    }

    fn process_file(&mut self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.live()?.process());
        std::fs::read_to_string(&path).map_err(|e| Error::new(format!("{path}: {e}.")))
    }

    /// `info auxv`: keys by their names in `<elf.h>`.
    fn auxiliary_text(&mut self) -> Result<String> {
        const KEYS: &[(u64, &str, &str)] = &[
            (0, "AT_NULL", "End of vector"),
            (3, "AT_PHDR", "Program headers for program"),
            (4, "AT_PHENT", "Size of program header entry"),
            (5, "AT_PHNUM", "Number of program headers"),
            (6, "AT_PAGESZ", "System page size"),
            (7, "AT_BASE", "Base address of interpreter"),
            (8, "AT_FLAGS", "Flags"),
            (9, "AT_ENTRY", "Entry point of program"),
            (11, "AT_UID", "Real user ID"),
            (12, "AT_EUID", "Effective user ID"),
            (13, "AT_GID", "Real group ID"),
            (14, "AT_EGID", "Effective group ID"),
            (15, "AT_PLATFORM", "String identifying platform"),
            (16, "AT_HWCAP", "Machine-dependent CPU capability hints"),
            (17, "AT_CLKTCK", "Frequency of times()"),
            (23, "AT_SECURE", "Boolean, was exec setuid-like?"),
            (25, "AT_RANDOM", "Address of 16 random bytes"),
            (26, "AT_HWCAP2", "Extension of AT_HWCAP"),
            (27, "AT_RSEQ_FEATURE_SIZE", "rseq supported feature size"),
            (28, "AT_RSEQ_ALIGN", "rseq allocation alignment"),
            (31, "AT_EXECFN", "File name of executable"),
            (33, "AT_SYSINFO_EHDR", "System-supplied DSO's ELF header"),
            (51, "AT_MINSIGSTKSZ", "Minimum signal stack size"),
        ];
        let mut text = String::new();
        for (key, value) in self.live()?.auxiliary_vector() {
            let known = KEYS.iter().find(|(number, ..)| *number == key);
            let (name, what) = known.map_or(("???", ""), |(_, name, what)| (name, what));
            let _ = writeln!(text, "{key:<4} {name:<20} {what:<40} {value:#x}");
        }
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

    fn program_text(&mut self) -> Result<String> {
        let thread = self.thread()?;
        let pc = self.frame_at(0)?.pc();
        let view = self.thread_view(thread);
        let mut text = format!(
            "\tUsing the running image of child {}.\nProgram stopped at {:#x}.\n",
            crate::render::thread_name(&view),
            pc.0
        );
        let why = match &self.last_stop {
            Some(StopReason::Breakpoint(id, _)) if self.breakpoints.get(*id).is_some() => {
                format!("at breakpoint {id}.")
            }
            Some(
                StopReason::Breakpoint(..) | StopReason::Arrived | StopReason::Finished { .. },
            ) => "at a breakpoint that has since been deleted.".to_owned(),
            Some(StopReason::Signal(signal, _)) => {
                format!("at signal {signal}, {}.", signal.meaning())
            }
            _ => "after being stepped.".to_owned(),
        };
        let _ = writeln!(text, "It stopped {why}");
        text.push_str("Type \"info stack\" or \"info registers\" for more information.\n");
        Ok(text)
    }
}
