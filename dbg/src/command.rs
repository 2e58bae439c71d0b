//! [`Command`]: everything a face may ask of a [`Debugger`](crate::Debugger).
//!
//! Plain data. Expressions and C text stay text here: what they mean depends on
//! the frame in which they are looked at. [`crate::parse`] makes commands from
//! what a user types; a TUI or editor builds them itself.

use std::path::PathBuf;

use crate::signal::{Disposition, Signal};
use crate::target::ProcessId;

/// Where in the program: what follows `break`, `until`, `list`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Spec {
    /// A function by name.
    Function(String),
    /// A function of one file.
    FunctionIn {
        /// A path suffix.
        file: String,
        /// The function.
        function: String,
    },
    /// A line of a file.
    Line {
        /// A path suffix; the current file when `None`.
        file: Option<String>,
        /// From 1.
        line: u32,
    },
    /// So many lines after (or before) the current one.
    Offset(i32),
    /// The value of an expression.
    Address(String),
    /// Where the selected frame is.
    Here,
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Spec::Function(name) => f.write_str(name),
            Spec::FunctionIn { file, function } => write!(f, "{file}:{function}"),
            Spec::Line {
                file: Some(file),
                line,
            } => write!(f, "{file}:{line}"),
            Spec::Line { file: None, line } => write!(f, "{line}"),
            Spec::Offset(n) => write!(f, "{n:+}"),
            Spec::Address(expression) => write!(f, "*{expression}"),
            Spec::Here => f.write_str("here"),
        }
    }
}

/// How `print`, `x` and `display` show a value: gdb's letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Format {
    /// How many units; 1 where none is given.
    pub count: Option<i64>,
    /// `x d u o t z a c f s i`, or `None` for the type's own.
    pub letter: Option<char>,
    /// Bytes in a unit (`b h w g`), or `None` for the type's own.
    pub size: Option<u8>,
}

/// What to look for in memory, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Find {
    /// Bytes of each value; its type's own if not given.
    pub size: Option<u8>,
    /// How many places are enough.
    pub most: Option<usize>,
    /// Where to begin.
    pub start: String,
    /// The last byte, or `+` and how many there are.
    pub end: String,
    /// The values, one after the other.
    pub pattern: Vec<String>,
}

/// What to write to a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dump {
    /// The file.
    pub file: String,
    /// Behind what it has.
    pub append: bool,
    /// The bytes.
    pub what: DumpWhat,
}

/// Bytes of the program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DumpWhat {
    /// From one address up to another.
    Memory(String, String),
    /// Of a value.
    Value(String),
}

/// What to write to memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restore {
    /// The file that has the bytes.
    pub file: String,
    /// The address of the file's first byte; which of its bytes is the first to
    /// be written, and before which to end: expressions.
    pub numbers: Vec<String>,
}

/// What `info` is asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Info {
    /// Breakpoints, watchpoints, catchpoints.
    Breakpoints,
    /// Registers: these, or all general ones; `true` for every register there is.
    Registers(Vec<String>, bool),
    /// The floating-point unit.
    Float,
    /// Local variables of the frame.
    Locals,
    /// Arguments of the frame.
    Args,
    /// The frame itself.
    Frame,
    /// Threads.
    Threads,
    /// Shared libraries.
    SharedLibraries,
    /// The addresses of a line.
    Line(Option<Spec>),
    /// The symbol at an address.
    Symbol(String),
    /// `address`: where a name's code or variable is.
    Address(String),
    /// `auxv`: what the kernel told the program at its start.
    AuxiliaryVector,
    /// `proc status` and its like: what the kernel has under that name.
    ProcessFile(String),
    /// The current source file.
    Source,
    /// The signal table, or one signal of it.
    Signals(Option<Signal>),
    /// Published generations with their symbols and sizes.
    Generations,
    /// The image: segments and how full they are.
    Image,
    /// Expressions to be displayed at each stop.
    Display,
    /// The process.
    Process,
    /// Its memory map.
    Mappings,
    /// The program and its modules.
    Files,
    /// Functions whose name matches a regular expression.
    Functions(Option<String>),
    /// Global variables whose name matches a regular expression.
    Variables(Option<String>),
    /// Types whose name matches a regular expression.
    Types(Option<String>),
    /// Source files whose name matches a regular expression.
    Sources(Option<String>),
    /// The variables that a place sees.
    Scope(Spec),
    /// The program being debugged.
    Program,
}

/// Which threads `thread apply` is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WhichThreads {
    /// All of them.
    All,
    /// These, by the debugger's numbers.
    These(Vec<u32>),
}

/// A command for several threads or frames.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Apply {
    /// The command, as it is typed.
    pub command: String,
    /// Does not say which thread or frame it is about.
    pub quiet: bool,
    /// An error is shown, and the others have their turn.
    pub goes_on: bool,
    /// An error is not shown, nor what it is about.
    pub silent: bool,
}

/// Which frames `frame apply` is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WhichFrames {
    /// All of them.
    All,
    /// The innermost ones, or with a negative number the outermost.
    Count(i64),
    /// These.
    Levels(Vec<u32>),
}

/// What `ptype` adds and leaves out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TypeFlags {
    /// Offsets and sizes of members.
    pub offsets: bool,
    /// Numbers in hexadecimal.
    pub hexadecimal: bool,
    /// Methods.
    pub methods: bool,
    /// Typedefs within a class.
    pub typedefs: bool,
}

impl Default for TypeFlags {
    fn default() -> TypeFlags {
        TypeFlags {
            offsets: false,
            hexadecimal: false,
            methods: true,
            typedefs: true,
        }
    }
}

/// What a watchpoint stops at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchKind {
    /// Changes of the value.
    Write,
    /// Reads of it.
    Read,
    /// Both.
    Access,
}

/// What `catch` stops at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Catch {
    /// System calls: these names or numbers, or all.
    Syscalls(Vec<String>),
    /// `fork`.
    Fork,
    /// `vfork`.
    Vfork,
    /// `exec`.
    Exec,
    /// A C++ `throw`.
    Throw,
    /// A C++ `catch`.
    CatchException,
    /// Signals: these, or all.
    Signals(Vec<Signal>),
    /// A C++ `throw;`.
    Rethrow,
    /// A Rust panic.
    Panic,
    /// A library that is loaded, whose path contains the text.
    Load(String),
    /// One that is unloaded.
    Unload(String),
}

/// What `enable` may say of how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lasting {
    /// For so many stops; it is disabled then.
    Stops(u64),
    /// For one stop; it is deleted then.
    Delete,
}

/// What `skip` is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Skip {
    /// `step` does not stop in functions that match.
    Add(SkipRule),
    /// The selected frame's function.
    Here,
    /// The selected frame's file.
    ThisFile,
    /// These rules, or all, go away.
    Delete(Vec<u32>),
    /// These rules, or all, count or do not.
    Enable(Vec<u32>, bool),
    /// Lists the rules.
    List,
}

/// Functions that `step` does not stop in; both parts must match.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SkipRule {
    /// The source file: a path's end, or a pattern with `*` and `?`.
    pub file: Option<String>,
    /// That is a pattern.
    pub file_is_glob: bool,
    /// The function: a name, or a regular expression.
    pub function: Option<String>,
    /// That is a regular expression.
    pub function_is_regex: bool,
}

/// Which lines `list` shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListWhat {
    /// Those after the ones shown last, or around the stop.
    More,
    /// Those before the ones shown last.
    Before,
    /// Those around a place.
    Around(Spec),
    /// From one place to another (either may be left out).
    Range(Option<Spec>, Option<Spec>),
}

/// What `disassemble` shows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Disassemble {
    /// Source lines among the instructions.
    pub source: bool,
    /// The instructions' bytes.
    pub raw: bool,
    /// An address or function; the selected frame's function when `None`.
    pub start: Option<String>,
    /// One past the last address, or `+LENGTH`.
    pub end: Option<String>,
}

/// One request.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// `break`, `tbreak`, `hbreak`, `thbreak`: sets a breakpoint, pending when
    /// nothing matches yet.
    Break {
        /// Where.
        at: Spec,
        /// Goes away when it is hit.
        temporary: bool,
        /// Stands in a debug register.
        hardware: bool,
        /// Stops only where this expression is not zero.
        condition: Option<String>,
        /// Stops only this thread, by the debugger's number.
        thread: Option<u32>,
    },
    /// `dprintf WHERE, FORMAT, EXPR…`: prints at a place and goes on.
    Dprintf(Spec, String),
    /// `watch`, `rwatch`, `awatch`.
    Watch {
        /// The expression whose storage is watched.
        expression: String,
        /// What it stops at.
        kind: WatchKind,
    },
    /// `catch`, `tcatch`.
    Catch {
        /// What it stops at.
        what: Catch,
        /// Goes away when it is hit.
        temporary: bool,
    },
    /// `delete`: these breakpoints, or all.
    Delete(Vec<u32>),
    /// `clear`: the breakpoints at a place.
    Clear(Spec),
    /// `enable`, `disable`: these breakpoints, or all.
    Enable(Vec<u32>, bool),
    /// `enable once|delete|count N`: these breakpoints.
    EnableFor(Vec<u32>, Lasting),
    /// `save breakpoints FILE`.
    SaveBreakpoints(PathBuf),
    /// `rbreak REGEX`: every function of the program that matches.
    BreakMatching(String),
    /// `skip`, `info skip`.
    Skip(Skip),
    /// `shell`, `!`, `make`: a line for the system's shell; a shell, if empty.
    Shell(String),
    /// `cd`: the debugger's own folder; home when `None`.
    ChangeDirectory(Option<PathBuf>),
    /// `pwd`.
    Directory,
    /// `pipe COMMAND | SHELL`: what a command says goes to a shell's line.
    Pipe(String, String),
    /// `with SETTING [-- COMMAND]`: settings that hold for one command.
    With(Vec<String>, String),
    /// `alias NAME = COMMAND`.
    Alias(String, String),
    /// `apropos TEXT`.
    Apropos(String),
    /// A command that says nothing: `up-silently`.
    Silently(Box<Command>),
    /// `search` and `reverse-search`: a regular expression in source lines.
    Search {
        /// What is looked for.
        pattern: String,
        /// Towards the end of the file.
        forward: bool,
    },
    /// `return [EXPR]`: the selected frame returns at once.
    Return(Option<String>),
    /// `condition N [EXPR]`.
    Condition(u32, Option<String>),
    /// `ignore N COUNT`.
    Ignore(u32, u64),
    /// `commands [N]`: what to execute at each hit; the newest when `None`.
    Commands(Option<u32>, Vec<String>),

    /// `run [ARGS]`: from the start, with new arguments when given.
    Run(Option<String>),
    /// `start [ARGS]`: runs to `main`.
    Start(Option<String>),
    /// `starti [ARGS]`: to the first instruction.
    StartInstruction(Option<String>),
    /// `continue [N]`: ignoring the current breakpoint N - 1 times.
    Continue(u64),
    /// `step [N]`.
    Step(u64),
    /// `step FUNCTION`: into a call of that function, and no other.
    StepInto(String),
    /// `next [N]`.
    Next(u64),
    /// `stepi [N]`.
    StepInstruction(u64),
    /// `nexti [N]`.
    NextInstruction(u64),
    /// `finish`.
    Finish,
    /// `until [WHERE]`.
    Until(Option<Spec>),
    /// `advance WHERE`.
    Advance(Spec),
    /// `jump WHERE`.
    Jump(Spec),
    /// `signal SIG`: continue with that signal (0: none).
    Signal(Option<Signal>),
    /// `kill`.
    Kill,
    /// `detach`.
    Detach,
    /// `attach PID`.
    Attach(ProcessId),
    /// `core-file FILE`.
    Core(PathBuf),
    /// `generate-core-file [FILE]`.
    GenerateCore(Option<PathBuf>),
    /// `file PROG`.
    File(PathBuf),

    /// `backtrace [full] [N]`: the innermost N, or the outermost when negative.
    Backtrace {
        /// With local variables.
        full: bool,
        /// How many.
        limit: Option<i64>,
    },
    /// `frame [N]`.
    Frame(Option<u32>),
    /// `up [N]`.
    Up(u32),
    /// `down [N]`.
    Down(u32),
    /// `thread [N]`.
    Thread(Option<u32>),
    /// `thread apply WHICH [-q] [-s] COMMAND`.
    ThreadApply(WhichThreads, Apply),
    /// `thread name [NAME]`: what the debugger calls the selected thread.
    ThreadName(Option<String>),
    /// `thread find TEXT`: the threads whose name or number matches.
    ThreadFind(String),
    /// `frame function NAME`.
    FrameFunction(String),
    /// `frame address EXPR`.
    FrameAddress(String),
    /// `frame apply [all|N|level N…] COMMAND`.
    FrameApply(WhichFrames, Apply),

    /// `print[/F] [EXPR]`.
    Print(Format, String),
    /// `output[/F] EXPR`: the value alone, without a number or a line's end.
    Output(Format, String),
    /// `printf FORMAT, EXPR…`.
    Printf(String),
    /// `call EXPR`: like print, without showing void.
    Call(String),
    /// `x/NFU EXPR`; goes on where the last one ended without an expression.
    Examine(Format, Option<String>),
    /// `find[/SIZE MOST] START, END, VALUE…`.
    Find(Find),
    /// `dump` and `append`.
    Dump(Dump),
    /// `restore FILE binary OFFSET [START [END]]`.
    Restore(Restore),
    /// `set var EXPR`.
    SetVariable(String),
    /// `whatis EXPR`.
    WhatIs(String),
    /// `ptype[/FLAGS] EXPR`.
    PrintType(TypeFlags, String),
    /// `display[/F] EXPR`, or all displays now.
    Display(Option<(Format, String)>),
    /// `undisplay [N…]`.
    Undisplay(Vec<u32>),
    /// `list`.
    List(ListWhat),
    /// `disassemble`.
    Disassemble(Disassemble),
    /// `info`.
    Info(Info),

    /// `eval [NAME] { C code }`.
    Eval {
        /// The file name its lines are known by.
        name: Option<String>,
        /// What stands between the braces.
        text: String,
    },
    /// `load FILE…`.
    Load(Vec<PathBuf>),
    /// Put other versions of functions into the program.
    Replace(Vec<PathBuf>),

    /// `handle SIGNAL… ACTION…`: a change of each named signal's row.
    Handle(Vec<Signal>, Vec<HandleWord>),
    /// `set NAME VALUE`.
    Set(Setting),
    /// `show NAME`.
    Show(String),
    /// `echo TEXT`.
    Echo(String),
    /// `define NAME`: a command of the user's own.
    Define(String, Vec<String>),
    /// `document NAME`: what `help` says of it.
    Document(String, String),
    /// A command that the user defined, with its arguments.
    UserDefined(String, String),
    /// `if EXPR`, and the commands behind `else`.
    If(String, Vec<String>, Vec<String>),
    /// `while EXPR`.
    While(String, Vec<String>),
    /// `loop_break` (`true`) or `loop_continue`.
    LeaveLoop(bool),
    /// `source FILE`.
    Source(PathBuf),
    /// `help [WORD]`.
    Help(Option<String>),
    /// `quit [STATUS]`.
    Quit(Option<i32>),
    /// A blank line or a comment.
    Nothing,
}

/// One word of `handle`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandleWord {
    /// `stop` or `nostop`.
    Stop(bool),
    /// `print` or `noprint`.
    Print(bool),
    /// `pass` or `nopass` (and `noignore`, `ignore`).
    Pass(bool),
}

impl HandleWord {
    /// Changes a row as the word says; stopping implies printing, and not
    /// printing implies not stopping.
    pub fn apply(self, row: &mut Disposition) {
        match self {
            HandleWord::Stop(stop) => {
                row.stop = stop;
                row.print |= stop;
            }
            HandleWord::Print(print) => {
                row.print = print;
                row.stop &= print;
            }
            HandleWord::Pass(pass) => row.pass = pass,
        }
    }
}

/// What `set` may change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Setting {
    /// `args`: the program's arguments, as a shell would split them.
    Arguments(String),
    /// `environment NAME[=VALUE]`.
    Environment(String, Option<String>),
    /// `unset environment NAME`.
    NoEnvironment(String),
    /// `cwd`.
    Directory(Option<PathBuf>),
    /// `disable-randomization`.
    DisableRandomization(bool),
    /// `follow-fork-mode child`.
    FollowChild(bool),
    /// `scheduler-locking`.
    SchedulerLocking(SchedulerLocking),
    /// `unset environment`: none of ours is passed on.
    EmptyEnvironment,
    /// `inferior-tty`: the terminal of the program.
    Terminal(Option<PathBuf>),
    /// `print …`, what is on or off.
    PrintFlag(PrintFlag, bool),
    /// `print …`, what has a limit; 0 is none.
    PrintLimit(PrintLimit, usize),
    /// `print frame-arguments`.
    FrameArguments(FrameArguments),
    /// `listsize`.
    ListSize(u32),
    /// `step-mode`: whether `step` stops in functions without lines.
    StepMode(bool),
    /// `can-use-hw-watchpoints`: whether debug registers watch.
    HardwareWatches(bool),
    /// `substitute-path FROM TO`: where sources are that were elsewhere.
    Substitute(PathBuf, PathBuf),
    /// `unset substitute-path [FROM]`.
    NoSubstitute(Option<PathBuf>),
    /// `directory`: folders to look for sources in, before those known so far;
    /// none of the user's, when empty.
    SourceFolders(Vec<PathBuf>),
    /// `backtrace limit`.
    BacktraceLimit(Option<usize>),
    /// `call-timeout`, in milliseconds; 0 is none.
    CallTimeout(u64),
    /// `confirm`, `pagination`, `width`, `height` and others that only a face
    /// knows: taken in silence.
    Face(String, String),
}

/// How values are shown, as far as it is on or off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrintFlag {
    /// One member a line.
    Pretty,
    /// One row of an array a line.
    Array,
    /// `[0] = ` before each element.
    ArrayIndexes,
    /// Addresses of frames, breakpoints and pointers to text.
    Address,
    /// The symbol that a pointer points to.
    Symbol,
    /// The type that an object has, rather than the declared one.
    Object,
    /// Unions within structs.
    Union,
    /// A class's static members.
    StaticMembers,
    /// An array of characters ends at the first null.
    NullStop,
    /// Tables of virtual functions, laid out.
    Vtbl,
}

impl PrintFlag {
    /// Each with its name.
    pub const ALL: &[(&str, PrintFlag)] = &[
        ("pretty", PrintFlag::Pretty),
        ("array-indexes", PrintFlag::ArrayIndexes),
        ("array", PrintFlag::Array),
        ("address", PrintFlag::Address),
        ("symbol", PrintFlag::Symbol),
        ("object", PrintFlag::Object),
        ("union", PrintFlag::Union),
        ("static-members", PrintFlag::StaticMembers),
        ("null-stop", PrintFlag::NullStop),
        ("vtbl", PrintFlag::Vtbl),
    ];
}

/// How much of a value is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrintLimit {
    /// Elements of an array, characters of a text.
    Elements,
    /// Equal elements that are shown one by one.
    Repeats,
    /// Structs within structs.
    Depth,
}

impl PrintLimit {
    /// Each with its name.
    pub const ALL: &[(&str, PrintLimit)] = &[
        ("elements", PrintLimit::Elements),
        ("characters", PrintLimit::Elements),
        ("repeats", PrintLimit::Repeats),
        ("max-depth", PrintLimit::Depth),
    ];
}

/// Which arguments of a frame are shown with their values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FrameArguments {
    /// All.
    All,
    /// Those that are no struct, union or array.
    #[default]
    Scalars,
    /// None, but their names.
    None,
    /// None; `...` says that there are some.
    Presence,
}

/// Whether other threads run while one is stepped or continued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SchedulerLocking {
    /// They run.
    #[default]
    Off,
    /// They never run.
    On,
    /// They stay stopped while one is stepped.
    Step,
}
