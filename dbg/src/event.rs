//! [`Event`]: what a [`Debugger`](crate::Debugger) tells its face.
//!
//! Structured, so that an editor need not take text apart; [`crate::render`]
//! makes gdb's wording of each. Values and types come as text, because their
//! shape is the printer's business.

use std::path::PathBuf;
use std::sync::Arc;

use crate::breakpoint::BreakpointId;
use crate::signal::Signal;
use crate::target::{Address, ProcessId, ThreadId};

/// Something a face shows.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The program stopped, and waits for the user.
    Stopped(Stopped),
    /// The process ended by itself.
    Exited {
        /// Which.
        process: ProcessId,
        /// Its exit status.
        status: i32,
    },
    /// The process was ended by a signal.
    Killed {
        /// Which.
        process: ProcessId,
        /// By what.
        signal: Signal,
    },
    /// A process was started or attached to, or replaced itself.
    Started {
        /// Which.
        process: ProcessId,
        /// What it executes.
        program: PathBuf,
        /// How we got it.
        how: Began,
    },
    /// A process was let go.
    Detached {
        /// Which.
        process: ProcessId,
    },
    /// The process forked.
    Forked {
        /// The process that forked.
        parent: ProcessId,
        /// The new one.
        child: ProcessId,
        /// Whether we are with the child now.
        followed: bool,
    },
    /// A thread appeared or ended.
    Thread {
        /// Which.
        thread: ThreadView,
        /// It appeared (or else ended).
        new: bool,
    },
    /// A signal passed that does not stop the program but is to be told.
    SignalPassed {
        /// The thread it goes to.
        thread: ThreadView,
        /// Which.
        signal: Signal,
    },
    /// A breakpoint was made, and has places.
    BreakpointSet(BreakpointView),
    /// A breakpoint was made that nothing matches yet; or lost all its places.
    BreakpointPending(BreakpointView, String),
    /// A pending breakpoint got places, or one got more, from new code.
    BreakpointArmed(BreakpointView),
    /// A breakpoint was deleted because it was temporary or its scope ended.
    BreakpointGone(BreakpointId),
    /// `ignore`, `condition` and the like: what was changed.
    BreakpointChanged(BreakpointView, String),
    /// A frame was selected.
    Frame(FrameView, Option<SourceLines>),
    /// A backtrace; the text says why it ended early.
    Frames(Vec<FrameView>, Option<String>),
    /// A value.
    Value(ValueView),
    /// A value that is displayed at each stop.
    Displayed {
        /// The display's number.
        number: u32,
        /// What is displayed, with its format.
        what: String,
        /// The value, or what stands in its way.
        text: String,
    },
    /// Variables, for `info locals` and `info args`.
    Variables(Vec<VariableView>, &'static str),
    /// All breakpoints.
    Breakpoints(Vec<BreakpointView>),
    /// Registers: name, value, and how the value reads.
    Registers(Vec<RegisterView>),
    /// Instructions.
    Disassembly(Disassembly),
    /// Rows of memory.
    Memory(Vec<MemoryRow>),
    /// Source lines.
    Source(SourceLines),
    /// Threads; the selected one is marked.
    Threads(Vec<ThreadLine>),
    /// What was published, generation by generation.
    Generations(Vec<GenerationView>),
    /// What a publish brought.
    Published(GenerationView),
    /// Text as it is, with its line ends: what has no shape of its own.
    Text(String),
    /// Something the user should know that is no error.
    Warning(String),
    /// The face should end, with this status.
    Quit(Option<i32>),
}

/// How we got a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Began {
    /// We started it.
    Launched,
    /// It ran before.
    Attached,
    /// It executed another program.
    Executed,
    /// It died before; this is what it left.
    Core,
}

/// The program stopped.
#[derive(Clone, PartialEq, Debug)]
pub struct Stopped {
    /// The thread that stopped it; it is selected now.
    pub thread: ThreadView,
    /// Another thread was selected before.
    pub switched: bool,
    /// Which of a breakpoint's places it is, where that has several.
    pub place: Option<u32>,
    /// Why.
    pub reason: StopReason,
    /// The innermost frame.
    pub frame: FrameView,
    /// A step that stays in its function need not show the frame again.
    pub show_frame: bool,
    /// The source line, where there is one.
    pub source: Option<SourceLines>,
}

/// Why the program stopped.
#[derive(Clone, PartialEq, Debug)]
pub enum StopReason {
    /// At breakpoints: the first is the one to name.
    Breakpoint(BreakpointId, bool),
    /// Watched values changed or were accessed, by number; and what else there
    /// is to stop for where the thread is now.
    Watchpoints(Vec<WatchHit>, Option<Box<StopReason>>),
    /// A watched local's function returned.
    WatchpointScope(BreakpointId, String),
    /// Something that is being caught.
    Caught(BreakpointId, String),
    /// A step is done.
    Stepped,
    /// A function was finished.
    Finished {
        /// What it returned, where it has a value.
        value: Option<ValueView>,
    },
    /// `until` or `advance` got there.
    Arrived,
    /// A signal arrived.
    Signal(Signal, Option<Address>),
    /// It is dead, of this signal: a core file was opened.
    Died(Signal),
    /// The user asked for it.
    Interrupted,
    /// The program was attached to, or just started.
    Attached,
    /// An `exec` happened.
    Executed(PathBuf),
    /// A call of ours stopped within the function that it called.
    InCall(Box<StopReason>, String),
    /// A call that had stopped within is done now, and gave this value.
    CallDone(Option<ValueView>),
    /// The thread that was being stepped ended.
    ThreadEnded,
}

/// A watched value changed or was accessed.
#[derive(Clone, PartialEq, Debug)]
pub struct WatchHit {
    /// The watchpoint.
    pub id: BreakpointId,
    /// What it is called: "Hardware watchpoint".
    pub title: &'static str,
    /// What it watches.
    pub expression: String,
    /// The value before; `None` for one that is only read.
    pub old: Option<String>,
    /// The value now.
    pub new: String,
}

/// A frame as the user sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct FrameView {
    /// 0 is the innermost.
    pub level: u32,
    /// Its pc.
    pub pc: Address,
    /// Whether the pc is in the middle of a line, so that it is worth showing.
    pub show_pc: bool,
    /// The function.
    pub function: Option<String>,
    /// Arguments: name and value.
    pub arguments: Vec<(String, String)>,
    /// The source file.
    pub file: Option<Arc<std::path::Path>>,
    /// The line, 0 where nobody says.
    pub line: u32,
    /// The library, for code without lines.
    pub module: Option<PathBuf>,
    /// What the frame is, when it is no function's.
    pub kind: FrameKind,
    /// Local variables, for `backtrace full`.
    pub locals: Option<Vec<VariableView>>,
}

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FrameKind {
    /// A function that was called.
    #[default]
    Normal,
    /// A function that was inlined into the next frame.
    Inlined,
    /// Where the kernel called a signal handler.
    Signal,
    /// Where the debugger called a function.
    Call,
}

/// A variable and its value.
#[derive(Clone, PartialEq, Debug)]
pub struct VariableView {
    /// Its name.
    pub name: String,
    /// Its value, or what stands in its way.
    pub value: String,
    /// Its type.
    pub type_name: String,
}

/// A value that was asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct ValueView {
    /// Its number in the value history, where it has one.
    pub number: Option<u32>,
    /// The value.
    pub text: String,
    /// Its type.
    pub type_name: String,
}

/// Lines of a source file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceLines {
    /// The file.
    pub file: Arc<std::path::Path>,
    /// The number of the first line of `lines`.
    pub first: u32,
    /// The text; empty when the file cannot be read.
    pub lines: Vec<String>,
    /// The line where the program is.
    pub current: Option<u32>,
    /// Why there is no text.
    pub missing: Option<String>,
}

/// A breakpoint as the user sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct BreakpointView {
    /// Its number.
    pub id: BreakpointId,
    /// `breakpoint`, `hw watchpoint`, `catchpoint`.
    pub kind: &'static str,
    /// Goes away when it is hit.
    pub temporary: bool,
    /// Counts.
    pub enabled: bool,
    /// Where it is.
    pub places: Vec<PlaceView>,
    /// What the user asked for.
    pub spec: String,
    /// Its condition.
    pub condition: Option<String>,
    /// How often it was hit.
    pub hits: u64,
    /// How many hits are still to be ignored.
    pub ignore: u64,
    /// What is executed at each hit.
    pub commands: Vec<String>,
    /// The thread it is for.
    pub thread: Option<u32>,
}

/// One place of a breakpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct PlaceView {
    /// Its address.
    pub address: Address,
    /// The function it lies in.
    pub function: Option<String>,
    /// Its file.
    pub file: Option<Arc<std::path::Path>>,
    /// Its line, 0 where nobody says.
    pub line: u32,
}

/// A register.
#[derive(Clone, PartialEq, Debug)]
pub struct RegisterView {
    /// Its name.
    pub name: String,
    /// Its bytes as a number in hexadecimal, or `<unavailable>`.
    pub raw: String,
    /// How it reads: decimal, flags, a symbol.
    pub natural: String,
}

/// Instructions of a function or range.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Disassembly {
    /// The function, when it is all of one.
    pub function: Option<String>,
    /// The rows.
    pub rows: Vec<DisassemblyRow>,
}

/// A row of a disassembly.
#[derive(Clone, PartialEq, Debug)]
pub enum DisassemblyRow {
    /// An instruction.
    Instruction(Instruction),
    /// Source lines whose code follows.
    Source(SourceLines),
}

/// An instruction.
#[derive(Clone, PartialEq, Debug)]
pub struct Instruction {
    /// Where it is.
    pub address: Address,
    /// The function and the distance from its start.
    pub symbol: Option<(String, u64)>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Mnemonic and operands.
    pub text: String,
    /// What its operand address means.
    pub target: Option<String>,
    /// The pc is here.
    pub current: bool,
    /// Show the bytes.
    pub raw: bool,
}

/// A row of `x`.
#[derive(Clone, PartialEq, Debug)]
pub struct MemoryRow {
    /// Where it is.
    pub address: Address,
    /// The symbol and the distance from its start.
    pub symbol: Option<(String, u64)>,
    /// The units, each as text.
    pub units: Vec<String>,
}

/// A thread as the user knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ThreadView {
    /// The debugger's number, from 1.
    pub number: u32,
    /// The kernel's.
    pub id: ThreadId,
    /// Its name.
    pub name: Option<String>,
    /// The C library's handle: what `pthread_self` gives.
    pub handle: Option<u64>,
    /// The program has never had another.
    pub is_single: bool,
}

/// A row of `info threads`.
#[derive(Clone, PartialEq, Debug)]
pub struct ThreadLine {
    /// The thread.
    pub thread: ThreadView,
    /// It is selected.
    pub selected: bool,
    /// Where it is.
    pub frame: Option<FrameView>,
}

/// A published generation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GenerationView {
    /// Its number.
    pub number: u64,
    /// What brought it: `snip1.c`, a file's name.
    pub from: Vec<String>,
    /// Symbols it defined: name, address, size in bytes.
    pub symbols: Vec<(String, Address, u64)>,
    /// Bytes it added to the image.
    pub bytes: u64,
}
