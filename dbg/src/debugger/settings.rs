//! [`Settings`]: what `set` changes and `show` shows.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::Debugger;
use crate::command::{SchedulerLocking, Setting};
use crate::error::{Error, Result};
use crate::parse::SETTINGS;

/// What the user may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program's arguments, as text for [`split_arguments`](crate::parse::split_arguments).
    pub arguments: String,
    /// Environment variables set or (`None`) left out for the program.
    pub environment: BTreeMap<OsString, Option<OsString>>,
    /// Where the program starts.
    pub directory: Option<PathBuf>,
    /// Mappings are where they were last time.
    pub disable_randomization: bool,
    /// Stay with the child after a fork.
    pub follow_child: bool,
    /// Whether other threads run.
    pub scheduler_locking: SchedulerLocking,
    /// Elements of strings and arrays that are shown; 0 is no limit.
    pub print_elements: usize,
    /// One member a line.
    pub print_pretty: bool,
    /// Lines that `list` shows.
    pub list_size: u32,
    /// `step` stops in functions without lines.
    pub step_mode: bool,
    /// Frames that `backtrace` shows.
    pub backtrace_limit: Option<usize>,
    /// How long a called function may run; `None` is for ever.
    pub call_timeout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            arguments: String::new(),
            environment: BTreeMap::new(),
            directory: None,
            disable_randomization: true,
            follow_child: false,
            scheduler_locking: SchedulerLocking::default(),
            print_elements: 200,
            print_pretty: false,
            list_size: 10,
            step_mode: false,
            backtrace_limit: None,
            call_timeout: Some(Duration::from_secs(30)),
        }
    }
}

impl Debugger {
    /// `set`.
    pub(super) fn change_setting(&mut self, setting: Setting) -> Result<()> {
        let settings = &mut self.settings;
        match setting {
            Setting::Arguments(text) => settings.arguments = text,
            Setting::Environment(name, value) => {
                let value = value.unwrap_or_default();
                settings.environment.insert(name.into(), Some(value.into()));
            }
            Setting::NoEnvironment(name) => {
                settings.environment.insert(name.into(), None);
            }
            Setting::Directory(directory) => settings.directory = directory,
            Setting::DisableRandomization(on) => settings.disable_randomization = on,
            Setting::FollowChild(on) => {
                settings.follow_child = on;
                if let Some(target) = &mut self.target {
                    target.follow_child(on);
                }
            }
            Setting::SchedulerLocking(how) => settings.scheduler_locking = how,
            Setting::PrintElements(count) => settings.print_elements = count,
            Setting::PrintPretty(on) => settings.print_pretty = on,
            Setting::ListSize(count) => settings.list_size = count.max(1),
            Setting::StepMode(on) => settings.step_mode = on,
            Setting::BacktraceLimit(limit) => settings.backtrace_limit = limit,
            Setting::CallTimeout(0) => settings.call_timeout = None,
            Setting::CallTimeout(ms) => settings.call_timeout = Some(Duration::from_millis(ms)),
            Setting::Face(..) => {}
        }
        Ok(())
    }

    /// `show`.
    pub(super) fn show_setting(&self, name: &str) -> Result<String> {
        let settings = &self.settings;
        let on = |on: bool| if on { "on" } else { "off" };
        let limit = |n: Option<usize>| n.map_or("unlimited".to_owned(), |n| n.to_string());
        let mut text = match name {
            "args" => format!(
                "Argument list to give program being debugged when it is started is \"{}\".",
                settings.arguments
            ),
            "environment" | "env" => {
                let mut text = String::new();
                for (name, value) in &settings.environment {
                    let name = name.display();
                    let _ = match value {
                        Some(value) => writeln!(text, "{name}={}", value.display()),
                        None => writeln!(text, "{name} is left out"),
                    };
                }
                return Ok(text);
            }
            "cwd" => match &settings.directory {
                Some(directory) => format!("The program starts in {}.", directory.display()),
                None => "The program starts in the debugger's own directory.".to_owned(),
            },
            "disable-randomization" => format!(
                "Disabling randomization of debuggee's virtual address space is {}.",
                on(settings.disable_randomization)
            ),
            "follow-fork-mode" => format!(
                "Debugger response to a program call of fork or vfork is \"{}\".",
                if settings.follow_child {
                    "child"
                } else {
                    "parent"
                }
            ),
            "scheduler-locking" => format!(
                "Mode for locking scheduler during execution is \"{}\".",
                match settings.scheduler_locking {
                    SchedulerLocking::Off => "off",
                    SchedulerLocking::On => "on",
                    SchedulerLocking::Step => "step",
                }
            ),
            "listsize" => format!("Number of source lines to list is {}.", settings.list_size),
            "print elements" => format!(
                "Limit on string chars or array elements to print is {}.",
                limit((settings.print_elements != 0).then_some(settings.print_elements))
            ),
            "print pretty" => format!("Pretty formatting is {}.", on(settings.print_pretty)),
            "step-mode" => format!("Mode of the step operation is {}.", on(settings.step_mode)),
            "backtrace limit" => format!(
                "An upper bound on the number of stack frames in a backtrace is {}.",
                limit(settings.backtrace_limit)
            ),
            "call-timeout" => match settings.call_timeout {
                Some(time) => format!("A called function may run for {} ms.", time.as_millis()),
                None => "A called function may run for ever.".to_owned(),
            },
            "version" => format!("Sapwood {}", env!("CARGO_PKG_VERSION")),
            _ => {
                return Err(Error::new(format!(
                    "No setting \"{name}\". There are: {}.",
                    SETTINGS.join(", ")
                )));
            }
        };
        text.push('\n');
        Ok(text)
    }
}
