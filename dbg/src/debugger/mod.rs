//! [`Debugger`]: the owner of everything, and the one door to it.
//!
//! One file for each part of the job: [`process`] has a program begin and end,
//! [`modules`] keeps modules and breakpoints in step with what is loaded,
//! [`run`] moves the program, [`frames`] walks stacks, [`show`] answers
//! questions, [`places`] finds where a spec is.

mod announced;
mod breakpoints;
mod calls;
mod catch;
mod choice;
mod complete;
mod conditions;
mod core_files;
mod disassembly;
mod eval;
mod examine;
mod frames;
mod generations;
mod hidden;
mod hooks;
mod image;
mod info;
mod info_frame;
mod info_symbols;
mod live;
mod memory;
mod modules;
mod motion;
mod places;
mod printf;
mod process;
mod replace;
mod resolve;
mod run;
mod scene;
mod script;
mod settings;
mod shell;
mod show;
mod skip;
mod surroundings;
mod thread_blocks;
mod threads;
mod values;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use sapwood_dwarf::{Address, ModuleId, Modules, Unwinder};

use crate::breakpoint::{BreakpointId, Breakpoints, Sites};
use crate::call::Alarm;
use crate::command::{Command, Format};
use crate::error::{Error, Result};
use crate::event::{Event, StopReason};
use crate::interrupt::Interrupter;
use crate::libraries::{Ground, Library};
use crate::loader;
use crate::signal::Dispositions;
use crate::source::Sources;
use crate::target::{Target, ThreadId};

use crate::value::Memo;
use breakpoints::Wanted;
use calls::PendingCall;
pub use complete::Completion;
use conditions::Conditions;
use eval::Compilers;
use frames::Stack;
use image::Image;
pub use image::ImageCosts;
use script::Scripts;
pub use settings::Settings;
use show::Listing;
use skip::Skips;
use threads::Threads;
use values::Displays;

/// Who is told what happens.
pub(crate) type Events<'a> = &'a mut dyn FnMut(Event);

/// A debugger. See the [crate page](crate).
#[derive(Default)]
pub struct Debugger {
    settings: Settings,
    interrupter: Interrupter,
    signals: Dispositions,
    /// The program that `run` starts.
    program: Option<PathBuf>,
    /// Or the files that it runs live, without an executable.
    inputs: Vec<PathBuf>,
    target: Option<Box<dyn Target>>,
    /// Shared with an evaluation in progress, whose calls may add to them.
    modules: Arc<Modules>,
    unwinder: Unwinder,
    /// The program's own module.
    executable: Option<ModuleId>,
    /// What the kernel put where in this process.
    ground: Ground,
    /// The libraries the dynamic linker listed when it was last asked.
    libraries: Vec<(Library, Option<ModuleId>)>,
    breakpoints: Breakpoints,
    sites: Sites,
    /// The debug register that stops at each address which has one.
    armed: BTreeMap<Address, u8>,
    /// Where a call may be left without returning.
    hooks: hooks::Hooks,
    /// The modules that announce code that the program makes.
    announcers: announced::Announcers,
    /// How many modules breakpoints have been resolved against.
    resolved: usize,
    threads: Threads,
    /// Every stop tells its thread's name and handle.
    names_threads: bool,
    /// The thread that commands are about.
    selected: Option<ThreadId>,
    /// The frame that commands are about, 0 the innermost.
    level: usize,
    /// The selected thread's stack, as far as it was walked since the last stop.
    stack: Option<Stack>,
    /// Inlined calls that the stopped thread is still to make.
    hidden: Option<hidden::Hidden>,
    /// Threads that stand on a site whose hit was reported already.
    standing: BTreeMap<ThreadId, Address>,
    /// The selected thread was put where it is: a breakpoint there counts.
    unseen: bool,
    /// The user's breakpoints of all kinds that count as hit by what happened
    /// last.
    hit: std::collections::BTreeSet<BreakpointId>,
    /// Why the program stopped last.
    last_stop: Option<StopReason>,
    sources: Sources,
    listing: Listing,
    /// Calls into the program that have not returned, the innermost last.
    calls: Vec<PendingCall>,
    /// A call of the debugger's own is running: the user's breakpoints rest.
    quiet: bool,
    alarm: Alarm,
    /// The code that was appended to this process.
    image: Option<Image>,
    /// Functions of the process that have another version, the newest last.
    replaced: Vec<replace::Replaced>,
    image_clock: Option<fn() -> std::time::Duration>,
    image_costs: ImageCosts,
    compiler: Compilers,
    memo: Memo,
    conditions: Conditions,
    skips: Skips,
    /// The one function that the step in progress may enter.
    chosen: Option<String>,
    /// The program's file when it was read.
    stamp: Option<loader::Stamp>,
    /// Source files whose age was compared with the program's.
    compared: std::collections::BTreeSet<PathBuf>,
    /// Threads are stepped though nobody asked for steps: something is watched
    /// without hardware.
    by_steps: bool,
    displays: Displays,
    /// What the expression that is being evaluated hangs on, where somebody
    /// wants to know.
    uses: Option<watch::Uses>,
    /// What the user defined, and what of it is being executed.
    scripts: Scripts,
    /// Where `x` goes on.
    examined: Option<(Address, Format)>,
}

impl Debugger {
    /// A debugger without a program.
    pub fn new() -> Debugger {
        Debugger::default()
    }

    /// What another thread or a signal handler uses to stop the program.
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// Whether there is a process.
    pub fn is_alive(&self) -> bool {
        self.target.is_some()
    }

    /// The process, or an error for commands that need one.
    fn live(&mut self) -> Result<&mut (dyn Target + 'static)> {
        self.target.as_deref_mut().ok_or(Error::NotRunning)
    }

    fn thread(&self) -> Result<ThreadId> {
        self.selected.ok_or(Error::NotRunning)
    }

    fn execute_one(&mut self, command: Command, events: Events<'_>) -> Result<()> {
        match command {
            Command::Break {
                at,
                temporary,
                hardware,
                condition,
                thread,
            } => {
                let wanted = Wanted {
                    temporary,
                    hardware,
                    condition,
                    thread,
                    template: None,
                };
                self.set_breakpoint(at, wanted, events)
            }
            Command::Delete(ids) => self.delete(&ids, events),
            Command::Clear(at) => self.clear(&at, events),
            Command::Enable(ids, on) => self.enable(&ids, on),
            Command::EnableFor(ids, lasting) => self.enable_for(&ids, lasting),
            Command::SaveBreakpoints(path) => self.save_breakpoints(&path, events),
            Command::BreakMatching(text) => self.break_matching(&text, events),
            Command::Shell(line) => self.shell(&line),
            Command::ChangeDirectory(folder) => self.change_directory(folder, events),
            Command::Directory => self.directory(events),
            Command::Pipe(command, line) => self.pipe(&command, &line),
            Command::With(settings, command) => self.with(&settings, &command, events),
            Command::Alias(name, command) => self.alias(name, command),
            Command::Apropos(text) => {
                events(Event::Text(self.apropos(&text)));
                Ok(())
            }
            Command::Silently(command) => self.execute_one(*command, &mut |_| {}),
            Command::Search { pattern, forward } => self.search(&pattern, forward, events),
            Command::Skip(what) => self.skip(what, events),
            Command::Return(value) => self.return_now(value.as_deref(), events),
            Command::Condition(id, condition) => self.condition(id, condition, events),
            Command::Ignore(id, count) => self.ignore(id, count, events),
            Command::Commands(id, commands) => self.set_commands(id, commands),

            Command::File(path) if live::is_input(&path) => self.choose_inputs(&[path]),
            Command::File(path) => self.choose_program(&path),
            Command::Run(arguments) => self.run(arguments, events),
            Command::Start(arguments) => self.start(arguments, events),
            Command::StartInstruction(arguments) => self.start_instruction(arguments, events),
            Command::Attach(process) => self.attach(process, events),
            Command::Kill => self.kill(events),
            Command::Detach => self.detach(events),
            Command::Quit(status) => {
                self.end_session()?;
                events(Event::Quit(status));
                Ok(())
            }

            Command::Continue(count) => self.proceed(count, events),
            Command::StepInto(function) => self.step_into(function, events),
            Command::Step(count) => self.step(crate::step::Kind::Into, count, events),
            Command::Next(count) => self.step(crate::step::Kind::Over, count, events),
            Command::StepInstruction(count) => {
                self.step(crate::step::Kind::Instruction, count, events)
            }
            Command::NextInstruction(count) => {
                self.step(crate::step::Kind::OverInstruction, count, events)
            }
            Command::Until(None) => self.step(crate::step::Kind::Until, 1, events),
            Command::Until(Some(at)) => self.run_to(&at, true, events),
            Command::Advance(at) => self.run_to(&at, false, events),
            Command::Finish => self.finish(events),
            Command::Jump(at) => self.jump(&at, events),
            Command::Signal(signal) => self.proceed_with(signal, events),

            Command::Watch { expression, kind } => self.watch(&expression, kind, events),
            Command::Catch { what, temporary } => self.catch(what, temporary, events),

            Command::Print(format, text) => self.print(format, &text, events),
            Command::Output(format, text) => self.output(format, &text, events),
            Command::Printf(text) => self.printf(&text, events),
            Command::Dprintf(at, template) => self.set_dprintf(at, template, events),
            Command::Call(text) => self.call_expression(&text, events),
            Command::Examine(format, text) => self.examine(format, text.as_deref(), events),
            Command::Find(find) => self.find(&find, events),
            Command::Dump(dump) => self.dump(&dump, events),
            Command::Restore(restore) => self.restore(&restore, events),
            Command::SetVariable(text) => self.set_variable(&text, events),
            Command::WhatIs(text) => self.whatis(&text, events),
            Command::PrintType(flags, text) => self.print_type(flags, &text, events),
            Command::Display(None) => {
                self.show_displays(events);
                Ok(())
            }
            Command::Display(Some((format, text))) => self.display(format, text, events),
            Command::Undisplay(numbers) => self.undisplay(&numbers),
            Command::Eval { name, text } => self.eval(name, &text, events),
            Command::Load(files) => self.load(&files, events),
            Command::Replace(files) => self.replace(&files, events),

            Command::Backtrace { full, limit } => self.backtrace(full, limit, events),
            Command::Frame(level) => self.select_frame(level, events),
            Command::Up(count) => self.move_frame(i64::from(count), events),
            Command::Down(count) => self.move_frame(-i64::from(count), events),
            Command::Thread(number) => self.select_thread(number, events),
            Command::ThreadApply(which, apply) => self.thread_apply(&which, &apply, events),
            Command::ThreadName(name) => self.name_thread(name),
            Command::ThreadFind(text) => self.find_threads(&text, events),
            Command::FrameFunction(name) => self.select_frame_of(&name, events),
            Command::FrameAddress(text) => self.select_frame_at(&text, events),
            Command::FrameApply(which, apply) => self.frame_apply(&which, &apply, events),

            Command::List(what) => self.list(&what, events),
            Command::Disassemble(wanted) => self.disassemble(&wanted, events),
            Command::Info(what) => self.info(&what, events),

            Command::Handle(signals, words) => {
                for signal in &signals {
                    let mut row = self.signals.get(*signal);
                    words.iter().for_each(|word| word.apply(&mut row));
                    self.signals.set(*signal, row);
                }
                events(Event::Text(info::signal_table(&self.signals, &signals)));
                Ok(())
            }
            Command::Set(setting) => {
                if let Some(why) = settings::unheeded(&setting) {
                    events(Event::Warning(why));
                }
                self.change_setting(setting)
            }
            Command::Show(name) => {
                events(Event::Text(self.show_setting(&name)?));
                Ok(())
            }
            Command::Echo(text) => {
                events(Event::Text(text));
                Ok(())
            }
            Command::Help(word) => {
                events(Event::Text(self.help(word.as_deref())?));
                Ok(())
            }
            Command::Define(name, body) => self.define(name, body),
            Command::Document(name, text) => self.document(&name, text),
            Command::UserDefined(name, rest) => self.execute_defined(&name, &rest, events),
            Command::If(condition, then, otherwise) => {
                self.execute_if(&condition, &then, &otherwise, events)
            }
            Command::While(condition, lines) => self.execute_while(&condition, &lines, events),
            Command::LeaveLoop(breaks) => self.leave_turn(breaks),
            Command::Source(path) => self.source_file(&path, events),
            Command::Nothing => Ok(()),
            Command::Core(path) => self.open_core(&path, events),
            Command::GenerateCore(path) => self.write_core(path, events),
        }
    }
}

impl Drop for Debugger {
    fn drop(&mut self) {
        let _ = self.end_session();
    }
}
