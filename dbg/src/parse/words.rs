//! The words that commands begin with, and which abbreviation means which.

use super::{ParseError, Result};

/// Every command word, in the order in which an abbreviation that several
/// begin with chooses: the first one wins when the row says so.
///
/// A row: the word, other spellings of it, and what it does in a line.
pub const WORDS: &[(&str, &[&str], &str)] = &[
    (
        "break",
        &["b", "br", "bre", "brea"],
        "Set a breakpoint: FUNCTION, FILE:LINE, LINE, *ADDRESS [if CONDITION]",
    ),
    (
        "tbreak",
        &["tb", "tbr"],
        "Set a breakpoint that goes away when it is hit",
    ),
    (
        "hbreak",
        &["hb"],
        "Set a breakpoint in a debug register of the processor, of which there are four",
    ),
    (
        "thbreak",
        &["thb"],
        "Set one that goes away when it is hit in a debug register",
    ),
    (
        "watch",
        &["wa"],
        "Stop when the value of an expression changes",
    ),
    ("rwatch", &["rw"], "Stop when an expression is read"),
    (
        "awatch",
        &["aw"],
        "Stop when an expression is read or written",
    ),
    (
        "catch",
        &[],
        "Stop at fork, vfork, exec, syscall [NAME…], throw, catch, rethrow, panic, load, unload, signal",
    ),
    ("tcatch", &[], "Catch something once"),
    (
        "dprintf",
        &[],
        "dprintf WHERE,\"FORMAT\",EXPRESSION…: print at a place, and go on",
    ),
    (
        "delete",
        &["d", "del", "delet", "dele"],
        "Delete breakpoints: all, or these numbers",
    ),
    (
        "rbreak",
        &["rb"],
        "Set a breakpoint on every function of the program whose name matches a regular expression",
    ),
    ("save", &[], "save breakpoints FILE: as commands for -x"),
    ("clear", &["cl"], "Delete the breakpoints at a place"),
    (
        "enable",
        &["en"],
        "Enable breakpoints: [once | delete | count N] NUMBERS",
    ),
    ("disable", &["dis", "disa"], "Disable breakpoints"),
    (
        "condition",
        &["cond"],
        "condition N EXPRESSION: stop at breakpoint N only if it is not zero",
    ),
    (
        "ignore",
        &["ig"],
        "ignore N COUNT: ignore the next COUNT hits of breakpoint N",
    ),
    (
        "commands",
        &["comm"],
        "What to do at each hit of a breakpoint; ends with a line `end`",
    ),
    ("run", &["r"], "Start the program, with these arguments"),
    ("start", &[], "Start the program and stop in main"),
    (
        "starti",
        &[],
        "Start the program and stop at its first instruction",
    ),
    (
        "continue",
        &["c", "fg", "cont"],
        "Go on until something stops the program",
    ),
    (
        "step",
        &["s"],
        "Go to the next source line, into calls; step FUNCTION: into calls of that one only",
    ),
    ("next", &["n"], "Go to the next source line, over calls"),
    ("stepi", &["si"], "Execute one instruction"),
    ("nexti", &["ni"], "Execute one instruction, over a call"),
    (
        "finish",
        &["fin"],
        "Go on until the selected frame returns, and show the value",
    ),
    (
        "until",
        &["u"],
        "Go to a greater line, or to a place in this frame",
    ),
    ("advance", &["adv"], "Go on to a place"),
    (
        "skip",
        &[],
        "Functions that step does not stop in: [function NAME | file FILE | -gfi PATTERN | -rfu REGEX | delete N]",
    ),
    (
        "return",
        &["ret"],
        "Return from the selected frame at once, with this value",
    ),
    ("jump", &["j"], "Go on from another place"),
    ("signal", &["sig"], "Go on with this signal (0: none)"),
    ("kill", &["k"], "End the program"),
    ("detach", &["det"], "Let the program go"),
    ("attach", &["at"], "Take hold of a running process"),
    ("core-file", &["core"], "Look at a core file"),
    (
        "generate-core-file",
        &["gcore", "generate-core"],
        "Write a core file of the program",
    ),
    ("file", &[], "Choose the program"),
    ("exec-file", &[], "Choose the program"),
    (
        "backtrace",
        &["bt", "where", "whe", "wher", "ba", "back"],
        "Show the stack: [full] [N]",
    ),
    (
        "frame",
        &["f"],
        "Select and show a frame: [N | level N | function NAME | address EXPR], or apply [all | COUNT | level N] COMMAND",
    ),
    (
        "alias",
        &[],
        "alias NAME = COMMAND: another name for the beginning of a command",
    ),
    (
        "apropos",
        &[],
        "Show the commands whose help contains a text",
    ),
    (
        "cd",
        &[],
        "Go to another folder: the debugger, and what it starts",
    ),
    (
        "directory",
        &["dir"],
        "Look for sources in these folders too; in none of the user's, without any",
    ),
    ("make", &[], "Run make with these arguments"),
    (
        "pipe",
        &["|"],
        "pipe COMMAND | SHELL: give what a command says to a line of the shell",
    ),
    ("pwd", &[], "Show the debugger's folder"),
    (
        "search",
        &["forward-search", "fo"],
        "Find a regular expression in the lines after the last that were shown",
    ),
    (
        "reverse-search",
        &["rev"],
        "Find a regular expression in the lines before those shown last",
    ),
    ("shell", &["!"], "Run a line of the system's shell"),
    ("select-frame", &[], "Select a frame, without a word"),
    (
        "up-silently",
        &[],
        "Select a frame further out, without a word",
    ),
    (
        "down-silently",
        &[],
        "Select a frame further in, without a word",
    ),
    (
        "taas",
        &[],
        "Apply a command to all threads, without errors and without those that have nothing to say",
    ),
    ("faas", &[], "Apply a command to all frames in that manner"),
    (
        "tfaas",
        &[],
        "Apply a command to all frames of all threads in that manner",
    ),
    (
        "with",
        &[],
        "with SETTING VALUE -- COMMAND: a setting for one command",
    ),
    ("up", &[], "Select a frame further out"),
    ("down", &["do", "dow"], "Select a frame further in"),
    (
        "thread",
        &["t", "th", "thr"],
        "Select a thread, or apply all|N… [-q] [-s] [-c] COMMAND, name NAME, find TEXT",
    ),
    (
        "print",
        &["p", "pr", "pri", "prin"],
        "Show the value of an expression; /x /d /u /o /t /c /a /f /s",
    ),
    ("inspect", &["ins"], "Show the value of an expression"),
    (
        "output",
        &[],
        "Show the value of an expression, without its number and a line's end",
    ),
    (
        "printf",
        &[],
        "printf \"FORMAT\", EXPRESSION…: print as C's printf does",
    ),
    ("call", &[], "Call a function of the program"),
    ("x", &[], "Show memory: x/COUNT FORMAT SIZE ADDRESS"),
    (
        "find",
        &[],
        "find /SIZE COUNT START, END or +LENGTH, VALUE…: look for values one after the other in memory",
    ),
    (
        "dump",
        &[],
        "dump memory FILE START END, or value FILE EXPRESSION: write bytes to a file",
    ),
    (
        "append",
        &["app"],
        "append memory FILE START END, or value FILE EXPRESSION: write bytes behind a file's",
    ),
    (
        "restore",
        &[],
        "restore FILE binary OFFSET [START [END]]: write a file's bytes to memory",
    ),
    ("whatis", &["what"], "Show the type of an expression"),
    (
        "ptype",
        &["pt"],
        "Show what a type is made of; /o offsets, /x in hexadecimal, /m no methods, /t no typedefs",
    ),
    ("display", &["disp"], "Show an expression at each stop"),
    ("undisplay", &["undisp"], "Take displays away"),
    ("list", &["l"], "Show source lines"),
    (
        "disassemble",
        &["disas"],
        "Show instructions; /s with source, /r with bytes",
    ),
    ("info", &["i", "inf"], INFO_HELP),
    (
        "eval",
        &["ev"],
        "eval [NAME] { C code }: compile, append to the program, run, show the value",
    ),
    ("load", &["lo"], "Compile and append FILE.c, FILE.o, FILE.a"),
    (
        "replace",
        &[],
        "Put new versions of functions, of FILE.c or FILE.o, in place",
    ),
    (
        "handle",
        &["ha"],
        "handle SIGNAL [no]stop [no]print [no]pass",
    ),
    (
        "set",
        &[],
        "set var EXPRESSION, or a setting: args environment cwd inferior-tty disable-randomization follow-fork-mode scheduler-locking print listsize",
    ),
    (
        "tty",
        &[],
        "Choose the terminal that the program is started on",
    ),
    ("unset", &[], "unset environment [NAME]"),
    ("show", &["sho"], "Show a setting"),
    ("echo", &["ec"], "Print a text"),
    (
        "define",
        &[],
        "Make a command of commands, which follow up to `end`; $arg0, $argc in them",
    ),
    (
        "document",
        &[],
        "Say what a command of your own does, up to `end`",
    ),
    (
        "if",
        &[],
        "if EXPRESSION, commands, perhaps `else` and others, `end`",
    ),
    (
        "while",
        &[],
        "while EXPRESSION, commands, `end`; loop_break and loop_continue in them",
    ),
    ("loop_break", &[], "Leave the innermost while"),
    (
        "loop_continue",
        &[],
        "Begin the next turn of the innermost while",
    ),
    ("source", &["so"], "Execute the commands of a file"),
    ("help", &["h"], "Show what commands do"),
    ("quit", &["q", "exit"], "End the debugger"),
];

/// `info`'s help; its words are listed by whoever shows it.
const INFO_HELP: &str = "Show what is known of the program and of the debugger";

/// Settings that `set` and `show` know.
pub const SETTINGS: &[&str] = &[
    "args",
    "directories",
    "substitute-path",
    "backtrace limit",
    "call-timeout",
    "can-use-hw-watchpoints",
    "cwd",
    "disable-randomization",
    "environment",
    "follow-fork-mode",
    "inferior-tty",
    "listsize",
    "print address",
    "print array",
    "print array-indexes",
    "print elements",
    "print frame-arguments",
    "print max-depth",
    "print null-stop",
    "print object",
    "print pretty",
    "print repeats",
    "print static-members",
    "print symbol",
    "print union",
    "print vtbl",
    "scheduler-locking",
    "step-mode",
    "var",
];

/// The full word for a word or its abbreviation. `None` for one that no command
/// begins with, an error for one that several do.
pub(super) fn command(word: &str) -> Result<Option<&'static str>> {
    let exact = WORDS
        .iter()
        .find(|(full, others, _)| *full == word || others.contains(&word));
    if let Some((full, ..)) = exact {
        return Ok(Some(full));
    }
    let candidates: Vec<&'static str> = WORDS
        .iter()
        .map(|(full, ..)| *full)
        .filter(|full| full.starts_with(word))
        .collect();
    match candidates[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(ParseError::Wrong(format!(
            "Ambiguous command \"{word}\": {}.",
            candidates.join(", ")
        ))),
    }
}

/// The command words that begin with `prefix`, for completion.
pub fn completions(prefix: &str) -> Vec<&'static str> {
    WORDS
        .iter()
        .map(|(full, ..)| *full)
        .filter(|full| full.starts_with(prefix))
        .collect()
}
