//! Runs a static RISC-V Linux program: `guest [--interpret] PROGRAM [ARGUMENT…]`.

use sapwood_emu::Tier;
use sapwood_emu::linux::{self, Options};

fn main() {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let interpret = arguments
        .first()
        .is_some_and(|first| first == "--interpret");
    if interpret {
        arguments.remove(0);
    }
    let Some(program) = arguments.first().cloned() else {
        eprintln!("usage: guest [--interpret] PROGRAM [ARGUMENT…]");
        std::process::exit(2);
    };
    let environment = std::env::vars_os().map(|(name, value)| [name, value].join("=".as_ref()));
    let options = Options {
        program: program.into(),
        arguments,
        environment: environment.collect(),
        tier: if interpret {
            Tier::Interpret
        } else {
            Tier::Translate
        },
        statistics: std::env::var_os("GUEST_STATISTICS").is_some(),
        ..Options::default()
    };
    match linux::run(options) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(127);
        }
    }
}
