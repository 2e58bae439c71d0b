//! How fast `sapwood emu` runs an integer program, beside the same program
//! native and under `qemu-riscv64`, interleaved in one run.
//!
//! `cargo bench --bench emulator`; the program is `benches/integer.c`. Each
//! contender must print the same checksum, or its row says that it did not.

mod support;

use std::process::Command;
use std::time::Duration;

/// Iterations of the program: about half a second natively.
const ITERATIONS: &str = "6000";
/// Runs of each contender; the middle one counts.
const ROUNDS: usize = 5;

/// A contender's name, and the command that runs the program its way.
type Contender = (&'static str, Box<dyn Fn() -> Command>);

fn main() {
    println!("\ninteger program (lists, matrices, state machine, CRC), wall time, {ROUNDS} rounds");
    let folder = support::Folder::new("emulator");
    let source = support::repository("benches/integer.c");
    let (native, guest) = (folder.path("native"), folder.path("guest"));
    let compiled = support::is_installed("riscv64-linux-gnu-gcc", "gcc-riscv64-linux-gnu")
        && support::succeeds(
            Command::new("cc")
                .arg("-O2")
                .arg(&source)
                .arg("-o")
                .arg(&native),
        )
        && support::succeeds(
            Command::new("riscv64-linux-gnu-gcc")
                .args(["-O2", "-static"])
                .arg(&source)
                .arg("-o")
                .arg(&guest),
        );
    if !compiled {
        return;
    }

    let mut contenders: Vec<Contender> =
        vec![("native -O2", Box::new(move || Command::new(&native)))];
    if support::is_installed("qemu-riscv64", "qemu-user") {
        let guest = guest.clone();
        contenders.push((
            "qemu-riscv64",
            Box::new(move || {
                let mut command = Command::new("qemu-riscv64");
                command.arg(&guest);
                command
            }),
        ));
    }
    contenders.push((
        "sapwood emu",
        Box::new(move || {
            let mut command = support::sapwood();
            command.arg("emu").arg(&guest);
            command
        }),
    ));
    race(&contenders);
}

/// Runs every contender in turn, round after round, and prints the table.
fn race(contenders: &[Contender]) {
    let mut rows: Vec<(String, Vec<Duration>)> = contenders
        .iter()
        .map(|(name, _)| ((*name).to_owned(), Vec::new()))
        .collect();
    let mut expected = None;
    for _ in 0..ROUNDS {
        for ((_, command), (name, times)) in contenders.iter().zip(&mut rows) {
            let (taken, output) = support::timed(command().arg(ITERATIONS));
            let expected = expected.get_or_insert_with(|| output.clone());
            if output != *expected && !name.ends_with("(WRONG)") {
                name.push_str(" (WRONG)");
                println!(
                    "  {name}: {:?} where native said {:?}",
                    output.trim(),
                    expected.trim()
                );
            }
            times.push(taken);
        }
    }
    support::print_table("s", 1.0, &mut rows);
}
