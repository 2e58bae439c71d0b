//! Runs commands, one an argument: `script PROG -e CMD…` without a terminal.
//!
//! The smallest face there is; `sapwood dbg --batch` is the real one.

use sapwood_dbg::parse::parse;
use sapwood_dbg::{Debugger, render::render};

fn main() {
    let mut debugger = Debugger::new();
    for line in std::env::args().skip(1) {
        println!("(dbg) {line}");
        let done = parse(&line).map_err(|e| e.to_string()).and_then(|command| {
            let show = &mut |event| print!("{}", render(&event));
            debugger.execute(command, show).map_err(|e| e.to_string())
        });
        if let Err(error) = done {
            println!("error: {error}");
        }
    }
}
