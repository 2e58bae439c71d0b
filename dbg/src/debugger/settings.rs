//! [`Settings`]: what `set` changes and `show` shows.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use super::Debugger;
use crate::command::{FrameArguments, PrintFlag, PrintLimit, SchedulerLocking, Setting};
use crate::error::{Error, Result};
use crate::parse::SETTINGS;
use crate::value::print::Style;

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
    /// How values are shown.
    pub style: Style,
    /// Which arguments of frames are shown with their values.
    pub frame_arguments: FrameArguments,
    /// Frames and breakpoints are shown with their addresses.
    pub addresses: bool,
    /// Tables of virtual functions are laid out.
    pub vtbl: bool,
    /// The terminal that the program is started on.
    pub terminal: Option<PathBuf>,
    /// Lines that `list` shows.
    pub list_size: u32,
    /// `step` stops in functions without lines.
    pub step_mode: bool,
    /// Debug registers watch, as far as there are any.
    pub hardware_watches: bool,
    /// Frames that `backtrace` shows.
    pub backtrace_limit: Option<usize>,
    /// What only a face knows of: kept to be shown.
    pub of_faces: BTreeMap<String, String>,
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
            style: Style::default(),
            frame_arguments: FrameArguments::default(),
            addresses: true,
            vtbl: false,
            terminal: None,
            list_size: 10,
            step_mode: false,
            hardware_watches: true,
            backtrace_limit: None,
            of_faces: BTreeMap::new(),
            call_timeout: Some(Duration::from_secs(30)),
        }
    }
}

impl Settings {
    fn print_flag(&mut self, flag: PrintFlag) -> &mut bool {
        let style = &mut self.style;
        match flag {
            PrintFlag::Pretty => &mut style.pretty,
            PrintFlag::Array => &mut style.rows,
            PrintFlag::ArrayIndexes => &mut style.indexes,
            PrintFlag::Address => &mut self.addresses,
            PrintFlag::Symbol => &mut style.symbol,
            PrintFlag::Object => &mut style.object,
            PrintFlag::Union => &mut style.union,
            PrintFlag::StaticMembers => &mut style.statics,
            PrintFlag::NullStop => &mut style.null_stop,
            PrintFlag::Vtbl => &mut self.vtbl,
        }
    }

    fn print_limit(&mut self, which: PrintLimit) -> &mut usize {
        match which {
            PrintLimit::Elements => &mut self.style.elements,
            PrintLimit::Repeats => &mut self.style.repeats,
            PrintLimit::Depth => &mut self.style.depth,
        }
    }

    /// `show print …`.
    fn print_text(&self, name: &str) -> Option<String> {
        let mut settings = self.clone();
        if let Some((_, flag)) = PrintFlag::ALL.iter().find(|(word, _)| *word == name) {
            let what = match flag {
                PrintFlag::Pretty => "Pretty formatting of structures",
                PrintFlag::Array => "Pretty formatting of arrays",
                PrintFlag::ArrayIndexes => "Printing of array indexes",
                PrintFlag::Address => "Printing of addresses",
                PrintFlag::Symbol => "Printing of symbols when printing pointers",
                PrintFlag::Object => "Printing of object's derived type based on vtable info",
                PrintFlag::Union => "Printing of unions interior to structures",
                PrintFlag::StaticMembers => "Printing of C++ static members",
                PrintFlag::NullStop => "Printing of char arrays to stop at first null char",
                PrintFlag::Vtbl => "Printing of C++ virtual function tables",
            };
            let on = if *settings.print_flag(*flag) {
                "on"
            } else {
                "off"
            };
            return Some(format!("{what} is {on}."));
        }
        if let Some((_, which)) = PrintLimit::ALL.iter().find(|(word, _)| *word == name) {
            let limit = match *settings.print_limit(*which) {
                usize::MAX => "unlimited".to_owned(),
                limit => limit.to_string(),
            };
            let what = match which {
                PrintLimit::Elements => "Limit on string chars or array elements to print",
                PrintLimit::Repeats => "Threshold for repeated print elements",
                PrintLimit::Depth => "Maximum print depth",
            };
            return Some(format!("{what} is {limit}."));
        }
        (name == "frame-arguments").then(|| {
            let which = match self.frame_arguments {
                FrameArguments::All => "all",
                FrameArguments::Scalars => "scalars",
                FrameArguments::None => "none",
                FrameArguments::Presence => "presence",
            };
            format!("Printing of non-scalar frame arguments is \"{which}\".")
        })
    }
}

/// What is said of a setting of gdb's that is kept for whoever shows it, and that
/// nothing here heeds. Those that only a terminal cares for are not among them.
pub(super) fn unheeded(setting: &Setting) -> Option<String> {
    let Setting::Face(name, value) = setting else {
        return None;
    };
    let usual = match name.as_str() {
        "detach-on-fork" | "startup-with-shell" => ["on", ""],
        "language" => ["auto", "local"],
        "disassembly-flavor" => ["att", ""],
        "logging" => ["off", "enabled off"],
        "print entry-values" => ["default", "no"],
        _ => return None,
    };
    let heeded = usual.contains(&value.as_str());
    (!heeded).then(|| format!("\"set {name}\" is known here, and changes nothing."))
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
            Setting::EmptyEnvironment => {
                let own = std::env::vars_os().map(|(name, _)| (name, None));
                settings.environment = own.collect();
            }
            Setting::Terminal(terminal) => settings.terminal = terminal,
            Setting::PrintFlag(flag, on) => *settings.print_flag(flag) = on,
            Setting::PrintLimit(which, limit) => {
                *settings.print_limit(which) = if limit == 0 { usize::MAX } else { limit };
            }
            Setting::FrameArguments(which) => settings.frame_arguments = which,
            Setting::ListSize(count) => settings.list_size = count.max(1),
            Setting::Substitute(from, to) => self.sources.move_to(from, to),
            Setting::NoSubstitute(from) => self.sources.move_back(from.as_deref()),
            Setting::SourceFolders(folders) => {
                let here = std::env::current_dir().unwrap_or_default();
                let whole = folders.iter().map(|folder| here.join(folder));
                self.sources.name_folders(whole.collect());
            }
            Setting::StepMode(on) => settings.step_mode = on,
            Setting::HardwareWatches(on) => settings.hardware_watches = on,
            Setting::BacktraceLimit(limit) => settings.backtrace_limit = limit,
            Setting::CallTimeout(0) => settings.call_timeout = None,
            Setting::CallTimeout(ms) => settings.call_timeout = Some(Duration::from_millis(ms)),
            Setting::Face(name, value) => {
                settings.of_faces.insert(name, value);
            }
        }
        Ok(())
    }

    /// `show`.
    pub(super) fn show_setting(&mut self, name: &str) -> Result<String> {
        match name {
            "convenience" | "conv" => return Ok(self.convenience_text()),
            "values" => return Ok(self.values_text()),
            "substitute-path" => {
                let rules = self.sources.moved().iter();
                let row = |(from, to): &(PathBuf, PathBuf)| {
                    format!("  `{}' -> `{}'.\n", from.display(), to.display())
                };
                let rules: String = rules.map(row).collect();
                return Ok(format!(
                    "List of all source path substitution rules:\n{rules}"
                ));
            }
            "directories" => {
                let named = self.sources.named_folders().iter();
                let named = named.map(|folder| format!("{}:", folder.display()));
                return Ok(format!(
                    "Source directories searched: {}$cdir:$cwd\n",
                    named.collect::<String>()
                ));
            }
            _ => {}
        }
        let settings = &self.settings;
        if let Some(word) = name.strip_prefix("print ")
            && let Some(mut text) = settings.print_text(word.trim())
        {
            text.push('\n');
            return Ok(text);
        }
        let on = |on: bool| if on { "on" } else { "off" };
        let limit = |n: Option<usize>| n.map_or("unlimited".to_owned(), |n| n.to_string());
        let mut text = match name {
            "args" => format!(
                "Argument list to give program being debugged when it is started is \"{}\".",
                settings.arguments
            ),
            name if name == "user" || name.starts_with("user ") => {
                return self.user_commands_text(name.strip_prefix("user "));
            }
            name if name.starts_with("environment ") => {
                let name = &name["environment ".len()..];
                let set = settings
                    .environment
                    .get(std::ffi::OsStr::new(name))
                    .cloned();
                match set.unwrap_or_else(|| std::env::var_os(name)) {
                    Some(value) => format!("{name} = {}", value.display()),
                    None => format!("Environment variable \"{name}\" not defined."),
                }
            }
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
            "step-mode" => format!("Mode of the step operation is {}.", on(settings.step_mode)),
            "backtrace limit" => format!(
                "An upper bound on the number of stack frames in a backtrace is {}.",
                limit(settings.backtrace_limit)
            ),
            "can-use-hw-watchpoints" => format!(
                "Debugger's willingness to use watchpoint hardware is {}.",
                u8::from(settings.hardware_watches)
            ),
            "call-timeout" => match settings.call_timeout {
                Some(time) => format!("A called function may run for {} ms.", time.as_millis()),
                None => "A called function may run for ever.".to_owned(),
            },
            "inferior-tty" => match &settings.terminal {
                Some(path) => format!(
                    "Terminal for future runs of program being debugged is \"{}\".",
                    path.display()
                ),
                None => "Terminal for future runs of program being debugged is \"\".".to_owned(),
            },
            "version" => format!("Sapwood {}", env!("CARGO_PKG_VERSION")),
            "confirm" => format!(
                "Whether to confirm potentially dangerous operations is {}.",
                settings.of_faces.get(name).map_or("off", String::as_str)
            ),
            "pagination" => format!(
                "State of pagination is {}.",
                settings.of_faces.get(name).map_or("off", String::as_str)
            ),
            name if settings.of_faces.contains_key(name) => {
                format!("{name} is {}.", settings.of_faces[name])
            }
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
