//! The A64 table against LLVM's disassembler, told exactly the features that
//! this guest has: the same words must be instructions to both.
//!
//! Needs `llvm-mc` (Debian's `llvm`). `SAPWOOD_SEED` chooses other words.

use std::io::Write;
use std::process::{Command, Stdio};

use sapwood_emu::aarch64::decode;
use sapwood_emu::aarch64::decode::encodings;

const FEATURES: &str = "+neon,+lse,+crc,+aes,+sha2,+rdm,+dotprod,+rcpc";

/// What LLVM makes of each word: its text, or nothing.
fn disassemble(words: &[u32]) -> Vec<Option<String>> {
    let mut child = Command::new("llvm-mc")
        .args(["--disassemble", "--triple=aarch64", "--mattr", FEATURES])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("llvm-mc is installed (apt-get install llvm)");
    let mut input = child.stdin.take().expect("it is piped");
    let text: String = words
        .iter()
        .map(|word| {
            word.to_le_bytes()
                .map(|byte| format!("{byte:#04x} "))
                .concat()
                + "\n"
        })
        .collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("llvm-mc runs");
    writer
        .join()
        .expect("the writer ends")
        .expect("llvm-mc reads");
    // A word that is none is told of as `<stdin>:LINE:COLUMN: warning: invalid instruction encoding`.
    let mut invalid = vec![false; words.len()];
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        if line.contains("invalid instruction encoding")
            && let Some(number) = line.split(':').nth(1)
        {
            invalid[number.parse::<usize>().expect("a line number") - 1] = true;
        }
    }
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = stdout.lines().filter(|line| !line.trim().starts_with('.'));
    invalid
        .into_iter()
        .map(|invalid| {
            if invalid {
                None
            } else {
                lines.next().map(|line| line.trim().replace('\t', " "))
            }
        })
        .collect()
}

/// Words that both may well disagree on, and why.
fn is_excused(word: u32, theirs: Option<&str>) -> bool {
    let is = |mask: u32, value: u32| word & mask == value;
    let text = theirs.unwrap_or("");
    let name = text.split(' ').next().unwrap_or("");
    // To a user program these are undefined: HVC, SMC, HLT, DCPS, ERET, DRPS,
    // writes of PSTATE fields, SYS and system registers of other levels.
    ["hvc", "smc", "hlt", "dcps1", "dcps2", "dcps3", "eret", "drps", "udf"].contains(&name)
        || is(0xffc0_0000, 0xd500_0000)
        // Unpredictable, which LLVM refuses or marks, and the architecture lets
        // a processor do: pairs into one register, write-back into the register
        // that is loaded, exclusives with a status register that is in use.
        || is(0x3a00_0000, 0x2800_0000)
        || is(0x3f00_0000, 0x0800_0000)
        || is(0x3b20_0400, 0x3800_0400)
}

#[test]
fn every_word_is_an_instruction_to_both_or_to_neither() {
    let mut state = std::env::var("SAPWOOD_SEED")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(0x5eed_u64);
    let mut random = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 32) as u32
    };
    // Anything at all; and each row, with one fixed bit flipped in half of them.
    let mut words: Vec<u32> = (0..40_000).map(|_| random()).collect();
    for (_, mask, value, _) in encodings() {
        for n in 0..80 {
            let flip = if n % 2 == 0 { 0 } else { 1 << (random() % 32) };
            words.push((value | random() & !mask) ^ flip);
        }
    }
    let theirs = disassemble(&words);
    let mut differ = Vec::new();
    for (&word, theirs) in words.iter().zip(&theirs) {
        let ours = decode(word);
        if ours.is_some() != theirs.is_some() && !is_excused(word, theirs.as_deref()) {
            differ.push(format!(
                "{word:#010x}: ours {:?}, LLVM's {theirs:?}",
                ours.map(|insn| insn.op)
            ));
        }
    }
    assert!(
        differ.is_empty(),
        "{} words differ\n{}",
        differ.len(),
        differ.join("\n")
    );
}
