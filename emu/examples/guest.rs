//! Runs a static Linux program: `guest [--interpret|--translate|--optimise]
//! PROGRAM [ARGUMENT…]`.

use sapwood_emu::Tier;
use sapwood_emu::linux::{self, Options};

fn main() {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let tier = match arguments.first().and_then(|first| first.to_str()) {
        Some("--interpret") => Some(Tier::Interpret),
        Some("--translate") => Some(Tier::Translate),
        Some("--optimise") => Some(Tier::Optimise),
        _ => None,
    };
    if tier.is_some() {
        arguments.remove(0);
    }
    let Some(program) = arguments.first().cloned() else {
        eprintln!("usage: guest [--interpret|--translate|--optimise] PROGRAM [ARGUMENT…]");
        std::process::exit(2);
    };
    let environment = std::env::vars_os().map(|(name, value)| [name, value].join("=".as_ref()));
    let options = Options {
        program: program.into(),
        arguments,
        environment: environment.collect(),
        tier: tier.unwrap_or_default(),
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
