//! Having a process begin and end.

use std::path::Path;

use super::breakpoints::Wanted;
use super::{Debugger, Events};
use crate::command::Spec;
use crate::error::{Error, Result};
use crate::event::{Began, Event, StopReason};
use crate::native::{Launch, Native};
use crate::parse::split_arguments;
use crate::target::{ProcessId, Target};

impl Debugger {
    /// What `run` is to start.
    fn launch_wanted(&self) -> Result<Launch> {
        let settings = &self.settings;
        let (program, name) = match (&self.program, self.inputs.first()) {
            (Some(program), _) => (program.clone(), None),
            (None, Some(input)) => {
                let own = std::env::current_exe().map_err(|e| Error::new(e.to_string()))?;
                (own, Some(input.clone().into_os_string()))
            }
            (None, None) => return Err(Error::NoProgram),
        };
        let (arguments, [input, output, error]) = redirections(&settings.arguments);
        Ok(Launch {
            program,
            name,
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: settings.environment.clone(),
            directory: settings.directory.clone(),
            input: input.map(Into::into).or(settings.terminal.clone()),
            output: output.map(Into::into).or(settings.terminal.clone()),
            error: error.map(Into::into).or(settings.terminal.clone()),
            randomise: !settings.disable_randomization,
        })
    }

    /// Starts the program and leaves it before its first instruction.
    fn launch(&mut self, arguments: Option<String>, events: Events<'_>) -> Result<()> {
        if let Some(arguments) = arguments {
            self.settings.arguments = arguments;
        }
        let launch = self.launch_wanted()?;
        self.kill_quietly()?;
        self.reread_changed(events)?;
        if self.program.is_none() {
            return self.launch_live(&launch, events);
        }
        let program = launch.program.clone();
        let native = Native::launch(&launch, self.interrupter.clone())?;
        self.adopt(Box::new(native), &program, Began::Launched, events)
    }

    /// Makes a stopped target the one that is debugged.
    pub fn adopt(
        &mut self,
        target: Box<dyn Target>,
        program: &Path,
        how: Began,
        events: &mut dyn FnMut(Event),
    ) -> Result<()> {
        self.process_ended();
        self.follow_target(target, program, how, events);
        self.take_in_process(program, events)
    }

    /// Makes a target the one that commands are about, and says so.
    pub(super) fn follow_target(
        &mut self,
        mut target: Box<dyn Target>,
        program: &Path,
        how: Began,
        events: Events<'_>,
    ) {
        target.follow_child(self.settings.follow_child);
        let process = target.process();
        let first = target.threads().first().copied();
        self.target = Some(target);
        self.number_threads();
        if let Some(thread) = first {
            self.select(thread);
        }
        events(Event::Started {
            process,
            program: program.to_owned(),
            how,
        });
    }

    /// `run`.
    pub(super) fn run(&mut self, arguments: Option<String>, events: Events<'_>) -> Result<()> {
        self.launch(arguments, events)?;
        self.proceed(1, events)
    }

    /// `start`.
    pub(super) fn start(&mut self, arguments: Option<String>, events: Events<'_>) -> Result<()> {
        if self.program.is_none() && self.inputs.is_empty() {
            return Err(Error::NoProgram);
        }
        let main = Spec::Function("main".to_owned());
        let wanted = Wanted {
            temporary: true,
            ..Wanted::default()
        };
        self.set_breakpoint(main, wanted, events)?;
        self.run(arguments, events)
    }

    /// `starti`.
    pub(super) fn start_instruction(
        &mut self,
        arguments: Option<String>,
        events: Events<'_>,
    ) -> Result<()> {
        self.launch(arguments, events)?;
        let thread = self.thread()?;
        events(Event::Text("Program stopped.\n".to_owned()));
        self.report(thread, StopReason::Attached, true, events)
    }

    /// `attach`.
    pub(super) fn attach(&mut self, process: ProcessId, events: Events<'_>) -> Result<()> {
        if self.target.is_some() {
            return Err(Error::new(
                "A program is being debugged already; kill or detach it first.",
            ));
        }
        let native = Native::attach(process, self.interrupter.clone())?;
        let mut program = native
            .executable()
            .ok_or_else(|| Error::new(format!("process {process} has no executable.")))?;
        if let Some(path) = program.to_string_lossy().strip_suffix(" (deleted)") {
            events(Event::Warning(format!(
                "{path} was removed or replaced since process {process} was started; its own copy is read"
            )));
            program = format!("/proc/{}/exe", native.process()).into();
        } else {
            self.program.get_or_insert_with(|| program.clone());
        }
        self.adopt(Box::new(native), &program, Began::Attached, events)?;
        let thread = self.thread()?;
        self.report(thread, StopReason::Attached, true, events)
    }

    /// `kill`.
    pub(super) fn kill(&mut self, events: Events<'_>) -> Result<()> {
        let process = self.live()?.process();
        self.kill_quietly()?;
        events(Event::Text(format!(
            "[Inferior 1 (process {process}) killed]\n"
        )));
        Ok(())
    }

    fn kill_quietly(&mut self) -> Result<()> {
        if let Some(target) = &mut self.target {
            target.kill()?;
        }
        self.process_ended();
        Ok(())
    }

    /// `detach`.
    pub(super) fn detach(&mut self, events: Events<'_>) -> Result<()> {
        self.abandon_calls();
        let target = self.live()?;
        let process = target.process();
        target.detach()?;
        self.process_ended();
        events(Event::Detached { process });
        Ok(())
    }

    /// Leaves nothing behind: a program that we started dies, one that we
    /// attached to goes on.
    pub fn end_session(&mut self) -> Result<()> {
        self.abandon_calls();
        // The target knows which of the two it is, and does it when dropped.
        self.target = None;
        self.process_ended();
        Ok(())
    }

    /// Forgets what was the process's.
    pub(super) fn process_ended(&mut self) {
        self.target = None;
        self.sites.clear();
        self.armed.clear();
        self.standing.clear();
        self.calls.clear();
        self.threads.clear();
        self.selected = None;
        self.level = 0;
        self.stack = None;
        self.forget_process_modules();
        self.forget_image();
        self.forget_watches();
    }
}

/// Arguments and the files that `<`, `>` and `2>` name among them.
fn redirections(text: &str) -> (Vec<String>, [Option<String>; 3]) {
    let mut files = [None, None, None];
    let mut arguments = Vec::new();
    let mut words = split_arguments(text).into_iter();
    while let Some(word) = words.next() {
        let (which, rest) = match word.as_str() {
            w if w.starts_with("2>") => (2, &w[2..]),
            w if w.starts_with('>') => (1, &w[1..]),
            w if w.starts_with("1>") => (1, &w[2..]),
            w if w.starts_with('<') => (0, &w[1..]),
            _ => {
                arguments.push(word);
                continue;
            }
        };
        files[which] = match rest {
            "" => words.next(),
            rest => Some(rest.to_owned()),
        };
    }
    (arguments, files)
}

#[cfg(test)]
mod tests {
    use super::redirections;

    #[test]
    fn redirections_are_taken_out_of_the_arguments() {
        let (arguments, files) = redirections("a <in b > out 2>err");
        assert_eq!(arguments, ["a", "b"]);
        assert_eq!(files.map(Option::unwrap), ["in", "out", "err"]);
    }
}
